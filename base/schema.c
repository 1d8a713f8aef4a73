#include "schema.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

/* ---- near names ----------------------------------------------------------- */

#define NEAR_MAX 48

static size_t min2(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Edits that turn @a into @b: insert, delete, replace, swap two neighbours
 * (optimal string alignment). Names longer than NEAR_MAX are far from all. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), row[3][NEAR_MAX + 1];
	size_t *before = row[0], *above = row[1], *now = row[2], *t;

	if (n > NEAR_MAX || m > NEAR_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= m; j++) {
		above[j] = j;
		before[j] = 0;
	}
	for (size_t i = 1; i <= n; i++) {
		now[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t d = above[j - 1] + (a[i - 1] != b[j - 1]);

			d = min2(d, min2(above[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = min2(d, before[j - 2] + 1);
			now[j] = d;
		}
		t = before;
		before = above;
		above = now;
		now = t;
	}
	return above[m];
}

/* Keep in *best the name nearest to @name that is near at all. */
static void consider(const char *name, const char *candidate, const char **best, size_t *distance)
{
	size_t d = edit_distance(name, candidate);

	if (d < *distance && d <= 1 + strlen(candidate) / 4) {
		*best = candidate;
		*distance = d;
	}
}

const char *cfg_nearest(const char *name, const char *const *names)
{
	const char *best = NULL;
	size_t distance = SIZE_MAX;

	for (; *names; names++)
		consider(name, *names, &best, &distance);
	return best;
}

/* ---- one value ------------------------------------------------------------ */

/* A row whose value is being read, and what reading it needs. */
struct reader {
	const struct cfg_field *row;
	struct arena *arena;
	struct nasc_err *err;
};

static enum nasc_status fail_bounds(const struct reader *r, const char *text)
{
	char bounds[128];
	bool closed = isfinite(r->row->min) && isfinite(r->row->max);

	return nasc_fail(r->err, NASC_CONFIG, closed ? "%s is outside %s" : "%s is not %s", text,
			 cfg_expects(r->row, bounds, sizeof bounds));
}

/* Decimal digits with or without sign; 010 is 8 to one reader and 10 to another. */
static bool is_whole(const char *text)
{
	const char *digits = text + (*text == '-' || *text == '+');
	size_t n = strspn(digits, "0123456789");

	return n > 0 && digits[n] == '\0' && (n == 1 || digits[0] != '0');
}

static enum nasc_status read_int(const struct reader *r, const char *text, int64_t *out)
{
	intmax_t v;

	if (!is_whole(text))
		return nasc_fail(r->err, NASC_CONFIG, "'%s' is not a whole number", text);
	errno = 0;
	v = strtoimax(text, NULL, 10);
	if (errno || (double)v < r->row->min || (double)v > r->row->max)
		return fail_bounds(r, text);
	*out = v;
	return NASC_OK;
}

static enum nasc_status read_u64(const struct reader *r, const char *text, uint64_t *out)
{
	uintmax_t v;

	if (!is_whole(text))
		return nasc_fail(r->err, NASC_CONFIG, "'%s' is not a whole number", text);
	errno = 0;
	v = strtoumax(text, NULL, 10);
	if (errno || *text == '-')
		return nasc_fail(r->err, NASC_CONFIG, "%s is outside [0, %" PRIu64 "]", text,
				 UINT64_MAX);
	*out = v;
	return NASC_OK;
}

static enum nasc_status read_real(const struct reader *r, const char *text, double *out)
{
	double v;

	if (unit_parse(text, r->row->dim, &v, r->err))
		return r->err->code;
	if (v < r->row->min || v > r->row->max)
		return fail_bounds(r, text);
	*out = v;
	return NASC_OK;
}

static enum nasc_status read_bool(const struct reader *r, const char *text, bool *out)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return nasc_fail(r->err, NASC_CONFIG, "'%s' is neither true nor false", text);
	*out = text[0] == 't';
	return NASC_OK;
}

static enum nasc_status read_choice(const struct reader *r, const char *text, int64_t *out)
{
	char names[256];
	const char *near;

	for (size_t i = 0; r->row->choices[i]; i++) {
		if (strcmp(text, r->row->choices[i]) == 0) {
			*out = (int64_t)i;
			return NASC_OK;
		}
	}
	near = cfg_nearest(text, r->row->choices);
	cfg_expects(r->row, names, sizeof names);
	if (near)
		return nasc_fail(r->err, NASC_CONFIG, "'%s' is not %s; did you mean '%s'?", text,
				 names, near);
	return nasc_fail(r->err, NASC_CONFIG, "'%s' is not %s", text, names);
}

/* ---- lists ---------------------------------------------------------------- */

static bool takes_list(enum cfg_type type)
{
	return type == CFG_RANGE || type == CFG_INTS || type == CFG_LIST || type == CFG_CHOICES ||
	       type == CFG_STRINGS;
}

static enum nasc_status read_range(const struct reader *r, const char *const *text, size_t n,
				   struct cfg_range *out)
{
	struct cfg_range v;

	if (n != 1 && n != 2)
		return nasc_fail(r->err, NASC_CONFIG,
				 "a list of %zu; a range is [lowest, highest] or one number", n);
	if (read_int(r, text[0], &v.lo) || read_int(r, text[n - 1], &v.hi))
		return r->err->code;
	if (v.lo > v.hi)
		return nasc_fail(r->err, NASC_CONFIG,
				 "[%s, %s] is empty; the lower end comes first", text[0], text[1]);
	*out = v;
	return NASC_OK;
}

static int compare_int(const void *a, const void *b)
{
	int64_t x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return (x > y) - (x < y);
}

static enum nasc_status read_ints(const struct reader *r, const char *const *text, size_t n,
				  struct cfg_ints *out)
{
	struct cfg_ints v = { .n = n };

	bool set = r->row->type == CFG_INTS;

	if (n < set || n > CFG_INTS_MAX)
		return nasc_fail(r->err, NASC_CONFIG, "a list of %zu numbers; %d to %d are right",
				 n, set, CFG_INTS_MAX);
	for (size_t i = 0; i < n; i++) {
		if (read_int(r, text[i], &v.v[i]))
			return r->err->code;
	}
	if (set)
		qsort(v.v, n, sizeof *v.v, compare_int);
	for (size_t i = 1; set && i < n; i++) {
		if (v.v[i] == v.v[i - 1])
			return nasc_fail(r->err, NASC_CONFIG, "%" PRId64 " is given twice", v.v[i]);
	}
	*out = v;
	return NASC_OK;
}

static enum nasc_status read_choices(const struct reader *r, const char *const *text, size_t n,
				     uint64_t *out)
{
	uint64_t mask = 0;
	int64_t one;

	if (n == 0)
		return nasc_fail(r->err, NASC_CONFIG, "an empty list; at least one name is right");
	for (size_t i = 0; i < n; i++) {
		if (read_choice(r, text[i], &one))
			return r->err->code;
		if (one >= 64)
			abort();
		if (mask >> one & 1)
			return nasc_fail(r->err, NASC_CONFIG, "'%s' is given twice", text[i]);
		mask |= (uint64_t)1 << one;
	}
	*out = mask;
	return NASC_OK;
}

static void read_strings(const struct reader *r, const char *const *text, size_t n,
			 struct cfg_strings *out)
{
	out->n = n;
	out->v = ARENA_NEW(r->arena, const char *, n);
	for (size_t i = 0; i < n; i++)
		out->v[i] = arena_strdup(r->arena, text[i]);
}

/* The scalars of a list, or of one scalar, which means a list of it. */
static enum nasc_status item_texts(const struct reader *r, const struct yaml_node *node,
				   const char ***out, size_t *n)
{
	const char **text;

	if (node->kind == YAML_MAP)
		return nasc_fail(r->err, NASC_CONFIG, "holds keys; a value or a list is right");
	*n = node->kind == YAML_LIST ? node->n : 1;
	text = ARENA_NEW(r->arena, const char *, *n);
	for (size_t i = 0; i < *n; i++) {
		const struct yaml_node *item = node->kind == YAML_LIST ? node->item[i] : node;

		if (item->kind != YAML_SCALAR)
			return nasc_fail(r->err, NASC_CONFIG,
					 "a list within the list; plain values are right");
		text[i] = item->scalar;
	}
	*out = text;
	return NASC_OK;
}

static enum nasc_status read_list(const struct reader *r, const struct yaml_node *node, void *out)
{
	const char **text;
	size_t n;
	enum nasc_status status = item_texts(r, node, &text, &n);

	if (status)
		return status;
	switch (r->row->type) {
	case CFG_RANGE:
		return read_range(r, text, n, out);
	case CFG_INTS:
	case CFG_LIST:
		return read_ints(r, text, n, out);
	case CFG_CHOICES:
		return read_choices(r, text, n, out);
	default:
		read_strings(r, text, n, out);
		return NASC_OK;
	}
}

/* @out: the row's member. Messages do not say where; the caller does. */
static enum nasc_status read_value(const struct reader *r, const struct yaml_node *node, void *out)
{
	if (takes_list(r->row->type))
		return read_list(r, node, out);
	if (node->kind != YAML_SCALAR)
		return nasc_fail(r->err, NASC_CONFIG, "holds %s; one value is right",
				 node->kind == YAML_LIST ? "a list" : "keys");
	if (node->scalar[0] == '\0' && r->row->type != CFG_STRING)
		return nasc_fail(r->err, NASC_CONFIG, "has no value");
	switch (r->row->type) {
	case CFG_BOOL:
		return read_bool(r, node->scalar, out);
	case CFG_INT:
		return read_int(r, node->scalar, out);
	case CFG_U64:
		return read_u64(r, node->scalar, out);
	case CFG_REAL:
		return read_real(r, node->scalar, out);
	case CFG_CHOICE:
		return read_choice(r, node->scalar, out);
	default:
		*(const char **)out = arena_strdup(r->arena, node->scalar);
		return NASC_OK;
	}
}

/* ---- whole structs -------------------------------------------------------- */

/* "file:line: key", or "--set: key" for what came from the command line. */
static enum nasc_status wrap_place(struct nasc_err *err, const struct yaml_doc *doc, size_t line,
				   const char *key)
{
	nasc_wrap(err, "%s", key);
	return line ? nasc_wrap(err, "%s:%zu", doc->file, line) : nasc_wrap(err, "--set");
}

static bool is_skipped(const char *key, const char *const *skip)
{
	for (; skip && *skip; skip++) {
		if (strcmp(key, *skip) == 0)
			return true;
	}
	return false;
}

static const struct cfg_field *find_row(const struct cfg_field *rows, const char *key)
{
	for (; rows->key; rows++) {
		if (strcmp(rows->key, key) == 0)
			return rows;
	}
	return NULL;
}

static enum nasc_status fail_unknown(const struct cfg_field *rows, const struct yaml_doc *doc,
				     const char *key, size_t line, const char *const *skip,
				     struct nasc_err *err)
{
	const char *near = NULL;
	size_t distance = SIZE_MAX;

	for (; rows->key; rows++)
		consider(key, rows->key, &near, &distance);
	for (; skip && *skip; skip++)
		consider(key, *skip, &near, &distance);
	if (near)
		nasc_fail(err, NASC_CONFIG, "unknown key '%s'; did you mean '%s'?", key, near);
	else
		nasc_fail(err, NASC_CONFIG, "unknown key '%s'", key);
	return line ? nasc_wrap(err, "%s:%zu", doc->file, line) : nasc_wrap(err, "--set");
}

static enum nasc_status fail_missing(const struct cfg_field *row, const struct yaml_doc *doc,
				     const struct yaml_node *node, struct nasc_err *err)
{
	nasc_fail(err, NASC_CONFIG, "key '%s' is missing: %s", row->key, row->help);
	if (node && node->line)
		return nasc_wrap(err, "%s:%zu", doc->file, node->line);
	return doc ? nasc_wrap(err, "%s", doc->file) : NASC_CONFIG;
}

static void read_default(const struct cfg_field *row, struct arena *a, char *base)
{
	struct nasc_err err = { 0 };
	struct reader r = { row, a, &err };
	struct yaml_node *node;

	if (yaml_value(row->def, a, &node, &err) || read_value(&r, node, base + row->offset)) {
		fprintf(stderr, "nasc: default of '%s': %s\n", row->key, err.msg);
		abort();
	}
}

enum nasc_status cfg_load(const struct cfg_field *rows, const struct yaml_doc *doc,
			  const struct yaml_node *node, const char *const *skip, struct arena *a,
			  void *out, size_t out_size, struct nasc_err *err)
{
	char *base = arena_alloc(a, 1, out_size, alignof(max_align_t));

	if (node && node->kind != YAML_MAP) {
		nasc_fail(err, NASC_CONFIG, "%s; lines of 'key: value' are right",
			  node->kind == YAML_LIST ? "a list" : "a single value");
		return node->line ? nasc_wrap(err, "%s:%zu", doc->file, node->line)
				  : nasc_wrap(err, "--set");
	}
	for (size_t i = 0; node && i < node->n; i++) {
		const struct cfg_field *row = find_row(rows, node->key[i]);
		struct reader r = { row, a, err };

		if (!row && is_skipped(node->key[i], skip))
			continue;
		if (!row)
			return fail_unknown(rows, doc, node->key[i], node->key_line[i], skip, err);
		if (read_value(&r, node->item[i], base + row->offset))
			return wrap_place(err, doc, node->key_line[i], row->key);
	}
	for (const struct cfg_field *row = rows; row->key; row++) {
		if (node && yaml_get(node, row->key))
			continue;
		if (!row->def)
			return fail_missing(row, doc, node, err);
		read_default(row, a, base);
	}
	memcpy(out, base, out_size);
	return NASC_OK;
}

void cfg_defaults(const struct cfg_field *rows, struct arena *a, void *out, size_t out_size)
{
	memset(out, 0, out_size);
	for (; rows->key; rows++) {
		if (rows->def)
			read_default(rows, a, out);
	}
}
