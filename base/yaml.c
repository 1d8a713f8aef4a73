#include "schema.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "file.h"
#include "json.h"

#define DEPTH_MAX 16

struct loader {
	yaml_parser_t parser;
	const char *file, *text;
	size_t n;
	bool numbered; /* false: all lines are 0 */
	struct arena *arena;
	struct nasc_err *err;
};

/* ---- messages ------------------------------------------------------------ */

static size_t line_of_offset(const struct loader *l, size_t offset)
{
	size_t line = 1;

	for (size_t i = 0; i < offset && i < l->n; i++)
		line += l->text[i] == '\n';
	return line;
}

static size_t line_of(const struct loader *l, const yaml_event_t *ev)
{
	return l->numbered ? ev->start_mark.line + 1 : 0;
}

/* Put "file:line: " in front; a value that came without a file has no line. */
static enum nasc_status at_line(const struct loader *l, size_t line)
{
	if (!l->numbered)
		return l->err->code;
	return nasc_wrap(l->err, "%s:%zu", l->file, line);
}

/* What people trip over, told from the first odd character of the line. */
static const char *hint(const struct loader *l, size_t line)
{
	const char *s = l->text, *end = l->text + l->n;

	for (size_t i = 1; i < line && s; i++) {
		s = memchr(s, '\n', (size_t)(end - s));
		s = s ? s + 1 : NULL;
	}
	if (!s)
		return "";
	while (s < end && *s == ' ')
		s++;
	if (s < end && *s == '\t')
		return "; indent with blanks, not with tabs";
	return "; a value with special characters wants quotes around it";
}

static enum nasc_status fail_parser(struct loader *l)
{
	const yaml_parser_t *p = &l->parser;
	size_t line = p->problem_mark.line + 1;

	if (p->error == YAML_MEMORY_ERROR)
		abort();
	if (p->error == YAML_READER_ERROR) {
		nasc_fail(l->err, NASC_CONFIG, "not a text file in UTF-8: %s", p->problem);
		return at_line(l, line_of_offset(l, p->problem_offset));
	}
	if (p->context && strstr(p->context, "block scalar"))
		nasc_fail(l->err, NASC_CONFIG,
			  "a value that begins with '>' or '|' wants quotes, as in '>= 4'");
	else
		nasc_fail(l->err, NASC_CONFIG, "not valid YAML: %s%s%s%s", p->problem,
			  p->context ? " " : "", p->context ? p->context : "", hint(l, line));
	return at_line(l, line);
}

static enum nasc_status fail_event(struct loader *l, const yaml_event_t *ev, const char *what)
{
	nasc_fail(l->err, NASC_CONFIG, "%s", what);
	return at_line(l, line_of(l, ev));
}

/* ---- events to nodes ------------------------------------------------------ */

static enum nasc_status next_event(struct loader *l, yaml_event_t *ev)
{
	return yaml_parser_parse(&l->parser, ev) ? NASC_OK : fail_parser(l);
}

static enum nasc_status check_decoration(struct loader *l, const yaml_event_t *ev)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	switch (ev->type) {
	case YAML_ALIAS_EVENT:
		return fail_event(l, ev,
				  "aliases ('*name') are not supported; "
				  "write the value out, or quote it");
	case YAML_SCALAR_EVENT:
		anchor = ev->data.scalar.anchor;
		tag = ev->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = ev->data.sequence_start.anchor;
		tag = ev->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = ev->data.mapping_start.anchor;
		tag = ev->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor)
		return fail_event(l, ev,
				  "anchors ('&name') are not supported; "
				  "remove it, or quote the value");
	if (tag)
		return fail_event(l, ev,
				  "tags ('!name') are not supported; "
				  "remove it, or quote the value");
	return NASC_OK;
}

static enum nasc_status read_scalar(struct loader *l, const yaml_event_t *ev, const char **out)
{
	const char *text = (const char *)ev->data.scalar.value;
	yaml_scalar_style_t style = ev->data.scalar.style;

	if (memchr(text, '\0', ev->data.scalar.length))
		return fail_event(l, ev, "a NUL character in a value");
	/* `sram: >4` is a block scalar of indent 4 that holds nothing */
	if (text[0] == '\0' &&
	    (style == YAML_FOLDED_SCALAR_STYLE || style == YAML_LITERAL_SCALAR_STYLE))
		return fail_event(l, ev,
				  "a value that begins with '>' or '|' wants quotes, as in '>= 4'");
	*out = arena_strdup(l->arena, text);
	return NASC_OK;
}

/* Room for one more in arrays of @n that grow by doubling. */
static void *grown(struct arena *a, void *old, size_t n, size_t size)
{
	void *v;

	if (n != 0 && (n < 4 || (n & (n - 1)) != 0))
		return old;
	v = arena_alloc(a, n < 4 ? 4 : 2 * n, size, alignof(max_align_t));
	if (n)
		memcpy(v, old, n * size);
	return v;
}

static enum nasc_status read_node(struct loader *l, const yaml_event_t *ev, size_t depth,
				  struct yaml_node **out);

static enum nasc_status read_items(struct loader *l, struct yaml_node *node, size_t depth)
{
	for (;;) {
		enum nasc_status status;
		yaml_event_t ev;

		if (next_event(l, &ev))
			return l->err->code;
		if (ev.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&ev);
			return NASC_OK;
		}
		node->item = grown(l->arena, node->item, node->n, sizeof(struct yaml_node *));
		status = read_node(l, &ev, depth + 1, &node->item[node->n]);
		yaml_event_delete(&ev);
		if (status)
			return status;
		node->n++;
	}
}

static enum nasc_status read_key(struct loader *l, const yaml_event_t *ev, struct yaml_node *node)
{
	if (check_decoration(l, ev))
		return l->err->code;
	if (ev->type != YAML_SCALAR_EVENT)
		return fail_event(l, ev, "a key must be a word, not a list or a map");
	node->key = grown(l->arena, node->key, node->n, sizeof(char *));
	node->key_line = grown(l->arena, node->key_line, node->n, sizeof(size_t));
	node->item = grown(l->arena, node->item, node->n, sizeof(struct yaml_node *));
	node->key_line[node->n] = line_of(l, ev);
	return read_scalar(l, ev, &node->key[node->n]);
}

struct key_at {
	const char *key;
	size_t line;
};

static int compare_keys(const void *a, const void *b)
{
	const struct key_at *x = a, *y = b;
	int order = strcmp(x->key, y->key);

	return order ? order : (x->line > y->line) - (x->line < y->line);
}

static enum nasc_status check_repeats(struct loader *l, const struct yaml_node *node)
{
	struct key_at *sorted = ARENA_NEW(l->arena, struct key_at, node->n);

	for (size_t i = 0; i < node->n; i++)
		sorted[i] = (struct key_at){ node->key[i], node->key_line[i] };
	qsort(sorted, node->n, sizeof *sorted, compare_keys);
	for (size_t i = 1; i < node->n; i++) {
		if (strcmp(sorted[i - 1].key, sorted[i].key) != 0)
			continue;
		if (l->numbered)
			nasc_fail(l->err, NASC_CONFIG, "key '%s' is given twice, first in line %zu",
				  sorted[i].key, sorted[i - 1].line);
		else
			nasc_fail(l->err, NASC_CONFIG, "key '%s' is given twice", sorted[i].key);
		return at_line(l, sorted[i].line);
	}
	return NASC_OK;
}

static enum nasc_status read_pairs(struct loader *l, struct yaml_node *node, size_t depth)
{
	for (;;) {
		enum nasc_status status;
		yaml_event_t ev;

		if (next_event(l, &ev))
			return l->err->code;
		if (ev.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&ev);
			return check_repeats(l, node);
		}
		status = read_key(l, &ev, node);
		yaml_event_delete(&ev);
		if (status)
			return status;
		if (next_event(l, &ev))
			return l->err->code;
		status = read_node(l, &ev, depth + 1, &node->item[node->n]);
		yaml_event_delete(&ev);
		if (status)
			return status;
		node->n++;
	}
}

static enum nasc_status read_node(struct loader *l, const yaml_event_t *ev, size_t depth,
				  struct yaml_node **out)
{
	struct yaml_node *node = ARENA_NEW(l->arena, struct yaml_node, 1);

	node->line = line_of(l, ev);
	*out = node;
	if (check_decoration(l, ev))
		return l->err->code;
	if (ev->type == YAML_SCALAR_EVENT) {
		node->kind = YAML_SCALAR;
		return read_scalar(l, ev, &node->scalar);
	}
	if (depth > DEPTH_MAX) {
		nasc_fail(l->err, NASC_CONFIG, "nested deeper than %d levels", DEPTH_MAX);
		return at_line(l, node->line);
	}
	if (ev->type == YAML_SEQUENCE_START_EVENT) {
		node->kind = YAML_LIST;
		return read_items(l, node, depth);
	}
	node->kind = YAML_MAP;
	return read_pairs(l, node, depth);
}

/* ---- documents ------------------------------------------------------------ */

/* The only document of the stream; *out NULL when there is none. */
static enum nasc_status read_document(struct loader *l, struct yaml_node **out)
{
	enum nasc_status status;
	yaml_event_t ev;

	*out = NULL;
	for (;;) {
		if (next_event(l, &ev))
			return l->err->code;
		if (ev.type == YAML_STREAM_END_EVENT) {
			yaml_event_delete(&ev);
			return NASC_OK;
		}
		if (ev.type == YAML_DOCUMENT_START_EVENT && *out)
			status = fail_event(l, &ev, "a second document; one file is one config");
		else if (ev.type == YAML_STREAM_START_EVENT ||
			 ev.type == YAML_DOCUMENT_START_EVENT || ev.type == YAML_DOCUMENT_END_EVENT)
			status = NASC_OK;
		else
			status = read_node(l, &ev, 1, out);
		yaml_event_delete(&ev);
		if (status)
			return status;
	}
}

static enum nasc_status read_text(struct loader *l, struct yaml_node **out)
{
	enum nasc_status status;

	if (!yaml_parser_initialize(&l->parser))
		abort();
	yaml_parser_set_encoding(&l->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&l->parser, (const unsigned char *)l->text, l->n);
	status = read_document(l, out);
	yaml_parser_delete(&l->parser);
	return status;
}

/* `strategy:` with nothing behind it. */
static bool is_blank(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && node->scalar[0] == '\0';
}

enum nasc_status yaml_parse(const char *file, const char *text, size_t n, struct arena *a,
			    struct yaml_doc *out, struct nasc_err *err)
{
	struct loader l = {
		.file = file, .text = text, .n = n, .numbered = true, .arena = a, .err = err
	};
	const char *nul = memchr(text, '\0', n);
	struct yaml_node *root;

	if (n > YAML_MAX_BYTES)
		return nasc_fail(err, NASC_CONFIG, "%s: %zu bytes are more than the %zu allowed",
				 file, n, YAML_MAX_BYTES);
	if (nul) {
		nasc_fail(err, NASC_CONFIG, "a NUL byte; not a text file");
		return at_line(&l, line_of_offset(&l, (size_t)(nul - text)));
	}
	if (read_text(&l, &root))
		return err->code;
	if (!root || is_blank(root))
		return nasc_fail(err, NASC_CONFIG, "%s: empty file", file);
	if (root->kind != YAML_MAP) {
		nasc_fail(err, NASC_CONFIG, "%s at the top; a config is lines of 'key: value'",
			  root->kind == YAML_LIST ? "a list" : "a single value");
		return at_line(&l, root->line);
	}
	*out = (struct yaml_doc){ arena_strdup(a, file), root };
	return NASC_OK;
}

static const char *json_scalar(const struct cJSON *json, struct arena *a)
{
	char buf[32];
	double v = json->valuedouble;

	if (cJSON_IsString(json))
		return arena_strdup(a, json->valuestring);
	if (cJSON_IsNull(json))
		return "null";
	if (!cJSON_IsNumber(json))
		return cJSON_IsTrue(json) ? "true" : "false";
	if (fabs(v) <= 0x1p53 && v == floor(v)) /* 1e+15 is no whole number to a row */
		snprintf(buf, sizeof buf, "%.0f", v);
	else
		json_real_text(v, buf);
	return arena_strdup(a, buf);
}

static enum nasc_status read_json(struct loader *l, const struct cJSON *json, size_t depth,
				  struct yaml_node **out)
{
	struct yaml_node *node = ARENA_NEW(l->arena, struct yaml_node, 1);
	size_t n = (size_t)cJSON_GetArraySize(json);
	const struct cJSON *item;

	*out = node;
	node->line = 1;
	node->kind = cJSON_IsObject(json)  ? YAML_MAP
		     : cJSON_IsArray(json) ? YAML_LIST
					   : YAML_SCALAR;
	if (node->kind == YAML_SCALAR) {
		node->scalar = json_scalar(json, l->arena);
		return NASC_OK;
	}
	if (depth > DEPTH_MAX) {
		nasc_fail(l->err, NASC_CONFIG, "nested deeper than %d levels", DEPTH_MAX);
		return at_line(l, node->line);
	}
	node->item = ARENA_NEW(l->arena, struct yaml_node *, n);
	node->key = ARENA_NEW(l->arena, const char *, n);
	node->key_line = ARENA_NEW(l->arena, size_t, n);
	cJSON_ArrayForEach(item, json)
	{
		if (node->kind == YAML_MAP)
			node->key[node->n] = arena_strdup(l->arena, item->string);
		node->key_line[node->n] = 1;
		if (read_json(l, item, depth + 1, &node->item[node->n]))
			return l->err->code;
		node->n++;
	}
	return node->kind == YAML_MAP ? check_repeats(l, node) : NASC_OK;
}

enum nasc_status yaml_from_json(const char *file, const struct cJSON *json, struct arena *a,
				struct yaml_doc *out, struct nasc_err *err)
{
	struct loader l = { .file = file, .numbered = true, .arena = a, .err = err };
	struct yaml_node *root;

	if (!cJSON_IsObject(json))
		return nasc_fail(err, NASC_CONFIG, "%s: is no JSON object", file);
	if (read_json(&l, json, 1, &root))
		return err->code;
	*out = (struct yaml_doc){ arena_strdup(a, file), root };
	return NASC_OK;
}

enum nasc_status yaml_load(const char *path, struct arena *a, struct yaml_doc *out,
			   struct nasc_err *err)
{
	char *text;
	size_t n;

	if (file_read(path, YAML_MAX_BYTES, a, &text, &n, err))
		return err->code;
	return yaml_parse(path, text, n, a, out, err);
}

enum nasc_status yaml_value(const char *text, struct arena *a, struct yaml_node **out,
			    struct nasc_err *err)
{
	struct loader l = { .file = "", .text = text, .n = strlen(text), .arena = a, .err = err };
	struct yaml_node *node;

	if (l.n > 0 && strchr("[{\"'", text[0])) {
		if (read_text(&l, &node))
			return err->code;
	} else {
		node = ARENA_NEW(a, struct yaml_node, 1);
		node->kind = YAML_SCALAR;
		node->scalar = arena_strdup(a, text);
	}
	*out = node;
	return NASC_OK;
}

static size_t find_key(const struct yaml_node *map, const char *key, size_t n)
{
	size_t i = 0;

	while (i < map->n && (strncmp(map->key[i], key, n) != 0 || map->key[i][n] != '\0'))
		i++;
	return i;
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	size_t i = find_key(map, key, strlen(key));

	return i < map->n ? map->item[i] : NULL;
}

/* Append key @key of @n bytes without a value and return its index. */
static size_t add_key(struct yaml_node *map, struct arena *a, const char *key, size_t n)
{
	struct yaml_node old = *map;
	char *name = ARENA_NEW(a, char, n + 1);

	memcpy(name, key, n);
	map->item = ARENA_NEW(a, struct yaml_node *, old.n + 1);
	map->key = ARENA_NEW(a, const char *, old.n + 1);
	map->key_line = ARENA_NEW(a, size_t, old.n + 1);
	for (size_t i = 0; i < old.n; i++) {
		map->item[i] = old.item[i];
		map->key[i] = old.key[i];
		map->key_line[i] = old.key_line[i];
	}
	map->key[old.n] = name;
	map->n++;
	return old.n;
}

static bool is_utf8(const char *text)
{
	while (*text && utf8_length(text))
		text += utf8_length(text);
	return *text == '\0';
}

enum nasc_status yaml_set(struct yaml_doc *doc, struct arena *a, const char *path,
			  const char *value, struct nasc_err *err)
{
	struct yaml_node *map = doc->root, *made = NULL;
	const char *part = path;
	size_t n, i, depth = 1;

	if (path[0] == '.' || strstr(path, "..") || path[strspn(path, ".")] == '\0' ||
	    path[strlen(path) - 1] == '.')
		return nasc_fail(err, NASC_USAGE,
				 "--set '%s': not a key; use names with dots between them", path);
	if (!is_utf8(path) || !is_utf8(value))
		return nasc_fail(err, NASC_USAGE, "--set '%s': not text in UTF-8", path);
	if (yaml_value(value, a, &made, err))
		return nasc_wrap(err, "--set %s", path);
	for (;; part += n + 1, depth++) {
		if (depth > DEPTH_MAX)
			return nasc_fail(err, NASC_USAGE, "--set '%s': deeper than %d levels", path,
					 DEPTH_MAX);
		n = strcspn(part, ".");
		i = find_key(map, part, n);
		if (i == map->n)
			i = add_key(map, a, part, n);
		if (part[n] == '\0')
			break;
		if (!map->item[i] || is_blank(map->item[i])) {
			map->item[i] = ARENA_NEW(a, struct yaml_node, 1);
			map->item[i]->kind = YAML_MAP;
		}
		if (map->item[i]->kind != YAML_MAP)
			return nasc_fail(err, NASC_CONFIG,
					 "--set %s: '%.*s' holds a value, not keys", path,
					 (int)(part + n - path), path);
		map = map->item[i];
	}
	map->item[i] = made;
	map->key_line[i] = 0;
	return NASC_OK;
}
