#include "json.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "file.h"

/* ---- writing ------------------------------------------------------------ */

void json_init(struct json_writer *w, FILE *fp, bool compact)
{
	*w = (struct json_writer){ .fp = fp, .compact = compact };
}

static void new_line(struct json_writer *w)
{
	if (!w->compact)
		fprintf(w->fp, "\n%*s", (int)(2 * w->depth), "");
}

size_t utf8_length(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	unsigned char lo = 0x80, hi = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		lo = 0xa0;
	if (s[0] == 0xed)
		hi = 0x9f;
	if (s[0] == 0xf0)
		lo = 0x90;
	if (s[0] == 0xf4)
		hi = 0x8f;
	if (s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	}
	return n;
}

static void put_text(FILE *fp, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	putc('"', fp);
	while (*s) {
		size_t n = utf8_length((const char *)s);

		if (*s == '"' || *s == '\\')
			fprintf(fp, "\\%c", *s);
		else if (*s == '\n')
			fputs("\\n", fp);
		else if (*s == '\t')
			fputs("\\t", fp);
		else if (*s < 0x20 || *s == 0x7f)
			fprintf(fp, "\\u%04x", *s);
		else if (n == 0)
			fputs("\xef\xbf\xbd", fp); /* U+FFFD, replacement character */
		else
			fwrite(s, 1, n, fp);
		s += n ? n : 1;
	}
	putc('"', fp);
}

/* What stands in front of a value: comma, line, key. A key outside an object or
 * a missing one inside is our fault. */
static void begin(struct json_writer *w, const char *key)
{
	if (w->depth == 0) {
		if (key)
			abort();
		return;
	}
	if (w->object[w->depth - 1] != (key != NULL))
		abort();
	if (w->some[w->depth - 1])
		putc(',', w->fp);
	w->some[w->depth - 1] = true;
	new_line(w);
	if (key) {
		put_text(w->fp, key);
		fputs(w->compact ? ":" : ": ", w->fp);
	}
}

static void open_nest(struct json_writer *w, const char *key, bool object)
{
	begin(w, key);
	if (w->depth == JSON_DEPTH_MAX)
		abort();
	putc(object ? '{' : '[', w->fp);
	w->object[w->depth] = object;
	w->some[w->depth] = false;
	w->depth++;
}

void json_object(struct json_writer *w, const char *key)
{
	open_nest(w, key, true);
}

void json_list(struct json_writer *w, const char *key)
{
	open_nest(w, key, false);
}

void json_end(struct json_writer *w)
{
	if (w->depth == 0)
		abort();
	w->depth--;
	if (w->some[w->depth])
		new_line(w);
	putc(w->object[w->depth] ? '}' : ']', w->fp);
	if (w->depth == 0)
		putc('\n', w->fp);
}

void json_string(struct json_writer *w, const char *key, const char *v)
{
	begin(w, key);
	if (v)
		put_text(w->fp, v);
	else
		fputs("null", w->fp);
}

void json_int(struct json_writer *w, const char *key, int64_t v)
{
	begin(w, key);
	fprintf(w->fp, "%" PRId64, v);
}

void json_u64(struct json_writer *w, const char *key, uint64_t v)
{
	begin(w, key);
	fprintf(w->fp, "%" PRIu64, v);
}

char *json_real_text(double v, char buf[static 32])
{
	char text[32] = "null";
	int digits = 15;

	if (isfinite(v)) {
		do
			snprintf(text, sizeof text, "%.*g", digits, v);
		while (strtod(text, NULL) != v && ++digits <= 17);
	}
	return memcpy(buf, text, sizeof text);
}

void json_real(struct json_writer *w, const char *key, double v)
{
	char buf[32];

	begin(w, key);
	fputs(json_real_text(v, buf), w->fp);
}

void json_bool(struct json_writer *w, const char *key, bool v)
{
	begin(w, key);
	fputs(v ? "true" : "false", w->fp);
}

void json_null(struct json_writer *w, const char *key)
{
	begin(w, key);
	fputs("null", w->fp);
}

/* ---- reading ------------------------------------------------------------ */

static enum nasc_status fail_at(const char *name, const char *text, size_t at, const char *what,
				struct nasc_err *err)
{
	size_t line = 1, start = 0;

	for (size_t i = 0; i < at; i++) {
		if (text[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	return nasc_fail(err, NASC_DATA, "%s:%zu:%zu: %s", name, line, at - start + 1, what);
}

/* cJSON would end a string at the NUL that the escape \u0000 stands for. */
static const char *find_nul_escape(const char *text, size_t n)
{
	const char *s = text, *end = text + n;

	while ((s = memchr(s, '\\', (size_t)(end - s)))) {
		if (end - s >= 6 && memcmp(s, "\\u0000", 6) == 0)
			return s;
		if (end - s < 2)
			return NULL;
		s += 2;
	}
	return NULL;
}

enum nasc_status json_parse(const char *name, const char *text, size_t n, struct cJSON **out,
			    struct nasc_err *err)
{
	const char *end = NULL, *nul = memchr(text, '\0', n);
	cJSON *tree;
	size_t at;

	if (nul)
		return fail_at(name, text, (size_t)(nul - text), "a NUL byte, not JSON", err);
	nul = find_nul_escape(text, n);
	if (nul)
		return fail_at(name, text, (size_t)(nul - text),
			       "a NUL character ('\\u0000') in a string", err);
	tree = cJSON_ParseWithLengthOpts(text, n, &end, false);
	at = end ? (size_t)(end - text) : 0;
	if (!tree)
		return fail_at(name, text, at < n ? at : n,
			       n == 0 ? "the file is empty, not JSON" : "not valid JSON", err);
	while (at < n && strchr(" \t\r\n", text[at]))
		at++;
	if (at < n) {
		cJSON_Delete(tree);
		return fail_at(name, text, at, "text behind the end of the JSON value", err);
	}
	*out = tree;
	return NASC_OK;
}

enum nasc_status json_load(const char *path, size_t max_bytes, struct cJSON **out,
			   struct nasc_err *err)
{
	struct arena a = { 0 };
	enum nasc_status status;
	char *text;
	size_t n;

	status = file_read(path, max_bytes, &a, &text, &n, err);
	if (!status)
		status = json_parse(path, text, n, out, err);
	arena_free(&a);
	return status;
}

static enum nasc_status fail_type(const char *key, const cJSON *item, const char *want,
				  struct nasc_err *err)
{
	const char *is = cJSON_IsString(item)	? "a string"
			 : cJSON_IsNumber(item) ? "a number"
			 : cJSON_IsArray(item)	? "a list"
			 : cJSON_IsObject(item) ? "an object"
			 : cJSON_IsNull(item)	? "null"
						: "true or false";

	return nasc_fail(err, NASC_DATA, "%s: is %s, not %s", key, is, want);
}

enum nasc_status json_get(const struct cJSON *obj, const char *key, const struct cJSON **out,
			  struct nasc_err *err)
{
	const cJSON *item;

	if (!cJSON_IsObject(obj))
		return nasc_fail(err, NASC_DATA, "%s: is missing, there is no object around it",
				 key);
	item = cJSON_GetObjectItemCaseSensitive(obj, key);
	if (!item)
		return nasc_fail(err, NASC_DATA, "%s: is missing", key);
	*out = item;
	return NASC_OK;
}

enum nasc_status json_get_int(const struct cJSON *obj, const char *key, int64_t min, int64_t max,
			      int64_t *out, struct nasc_err *err)
{
	enum nasc_status status;
	const cJSON *item;
	char text[32];
	double v;

	status = json_get(obj, key, &item, err);
	if (status)
		return status;
	if (!cJSON_IsNumber(item))
		return fail_type(key, item, "a whole number", err);
	v = item->valuedouble;
	if (!isfinite(v))
		return nasc_fail(err, NASC_DATA, "%s: the number is too large", key);
	if (fabs(v) > 0x1p53 || v != floor(v))
		return nasc_fail(err, NASC_DATA, "%s: %s is not a whole number below 2^53", key,
				 json_real_text(v, text));
	if ((int64_t)v < min || (int64_t)v > max)
		return nasc_fail(err, NASC_DATA,
				 "%s: %" PRId64 " is outside [%" PRId64 ", %" PRId64 "]", key,
				 (int64_t)v, min, max);
	*out = (int64_t)v;
	return NASC_OK;
}

enum nasc_status json_get_real(const struct cJSON *obj, const char *key, double *out,
			       struct nasc_err *err)
{
	enum nasc_status status;
	const cJSON *item;

	status = json_get(obj, key, &item, err);
	if (status)
		return status;
	if (!cJSON_IsNumber(item))
		return fail_type(key, item, "a number", err);
	if (!isfinite(item->valuedouble))
		return nasc_fail(err, NASC_DATA, "%s: the number is too large", key);
	*out = item->valuedouble;
	return NASC_OK;
}

/* Member @key of which @is holds; @what: for the message. */
static enum nasc_status get_typed(const struct cJSON *obj, const char *key,
				  cJSON_bool (*is)(const cJSON *), const char *what,
				  const struct cJSON **out, struct nasc_err *err)
{
	const cJSON *item;
	enum nasc_status status = json_get(obj, key, &item, err);

	if (status)
		return status;
	if (!is(item))
		return fail_type(key, item, what, err);
	*out = item;
	return NASC_OK;
}

enum nasc_status json_get_string(const struct cJSON *obj, const char *key, const char **out,
				 struct nasc_err *err)
{
	const cJSON *item = NULL;
	enum nasc_status status = get_typed(obj, key, cJSON_IsString, "a string", &item, err);

	if (!status)
		*out = item->valuestring;
	return status;
}

enum nasc_status json_get_list(const struct cJSON *obj, const char *key, const struct cJSON **out,
			       struct nasc_err *err)
{
	return get_typed(obj, key, cJSON_IsArray, "a list", out, err);
}

enum nasc_status json_only(const struct cJSON *obj, const char *const *known, struct nasc_err *err)
{
	const cJSON *item;
	uint64_t seen = 0;

	cJSON_ArrayForEach(item, obj)
	{
		size_t i = 0;

		while (known[i] && strcmp(known[i], item->string) != 0)
			i++;
		if (!known[i])
			return nasc_fail(err, NASC_DATA, "%s: unknown key", item->string);
		if (i >= 64)
			abort();
		if (seen >> i & 1)
			return nasc_fail(err, NASC_DATA, "%s: is given twice", item->string);
		seen |= (uint64_t)1 << i;
	}
	return NASC_OK;
}
