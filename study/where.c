/* The language of --where:
 *
 *	or   = and { "||" and }        and  = not { "&&" not }
 *	not  = "!" not | "(" or ")" | name op quantity
 *	op   = "<" "<=" ">" ">=" "==" "!="
 *
 * A quantity is a number with an optional unit of the score's kind. The text is read once: what
 * each of its parts says of all rows is combined, so that it is checked without rows too. */
#include <ctype.h>
#include <string.h>

#include "private.h"

#define DEPTH_MAX 100

struct where {
	const char *text, *at;
	const struct results *r;
	struct arena arena; /* of what the parts say: keep[r->n] each */
	int depth;
	struct nasc_err *err;
};

static bool where_or(struct where *w, bool *keep);

static void skip_blank(struct where *w)
{
	while (isspace((unsigned char)*w->at))
		w->at++;
}

static bool take(struct where *w, const char *token)
{
	skip_blank(w);
	if (strncmp(w->at, token, strlen(token)) != 0)
		return false;
	w->at += strlen(token);
	return true;
}

/* Puts in front of the message where it happened. */
static bool located(struct where *w)
{
	nasc_wrap(w->err, "--where: column %zu of '%s'", (size_t)(w->at - w->text) + 1, w->text);
	return false;
}

static bool bad(struct where *w, const char *expected)
{
	nasc_fail(w->err, NASC_USAGE, "expected %s", expected);
	return located(w);
}

static bool compare(double a, const char *op, double b)
{
	switch (op[0]) {
	case '<':
		return op[1] ? a <= b : a < b;
	case '>':
		return op[1] ? a >= b : a > b;
	case '=':
		return a == b;
	default:
		return a != b;
	}
}

/* One of <= >= == != < >, or NULL. */
static const char *take_operator(struct where *w)
{
	static const char *const ops[] = { "<=", ">=", "==", "!=", "<", ">" };

	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		if (take(w, ops[i]))
			return ops[i];
	return NULL;
}

static bool take_quantity(struct where *w, enum unit_dim dim, double *v)
{
	size_t length, n;
	char text[64];

	skip_blank(w);
	length = n = strcspn(w->at, "&|)");
	if (n == 0 || n >= sizeof text)
		return bad(w, "a number, with or without unit");
	memcpy(text, w->at, n);
	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	text[n] = '\0';
	if (unit_parse(text, dim, v, w->err)) {
		w->err->code = NASC_USAGE;
		return located(w);
	}
	w->at += length;
	return true;
}

static bool where_comparison(struct where *w, bool *keep)
{
	char name[80];
	const char *op, *start;
	size_t n = 0;
	double bound;
	enum unit_dim dim = UNIT_NONE;
	bool is_id;

	skip_blank(w);
	start = w->at;
	while (isalnum((unsigned char)start[n]) || (start[n] && strchr("_.-", start[n])))
		n++;
	if (n == 0 || n >= sizeof name)
		return bad(w, "the name of a score");
	memcpy(name, start, n);
	name[n] = '\0';
	is_id = !strcmp(name, "id");
	if (!is_id && results_dim(w->r, name, &dim, w->err))
		return located(w);
	w->at += n;
	op = take_operator(w);
	if (!op)
		return bad(w, "one of < <= > >= == !=");
	if (!take_quantity(w, dim, &bound))
		return false;
	for (size_t i = 0; i < w->r->n; i++) {
		const struct result *row = &w->r->row[i];
		const struct result_score *s = is_id ? NULL : result_score(row, name);

		if (!is_id && !s) {
			w->at = start;
			no_score(row, name, w->err);
			return located(w);
		}
		keep[i] = compare(s ? s->value : (double)row->id, op, bound);
	}
	return true;
}

static bool where_not(struct where *w, bool *keep)
{
	bool ok;

	if (w->depth++ == DEPTH_MAX)
		return bad(w, "fewer nested brackets");
	if (take(w, "!")) {
		ok = where_not(w, keep);
		for (size_t i = 0; ok && i < w->r->n; i++)
			keep[i] = !keep[i];
	} else if (take(w, "(")) {
		ok = where_or(w, keep);
		if (ok && !take(w, ")"))
			ok = bad(w, "')'");
	} else {
		ok = where_comparison(w, keep);
	}
	w->depth--;
	return ok;
}

static bool where_and(struct where *w, bool *keep)
{
	bool *more = ARENA_NEW(&w->arena, bool, w->r->n);

	if (!where_not(w, keep))
		return false;
	while (take(w, "&&")) {
		if (!where_not(w, more))
			return false;
		for (size_t i = 0; i < w->r->n; i++)
			keep[i] = keep[i] && more[i];
	}
	return true;
}

static bool where_or(struct where *w, bool *keep)
{
	bool *more = ARENA_NEW(&w->arena, bool, w->r->n);

	if (!where_and(w, keep))
		return false;
	while (take(w, "||")) {
		if (!where_and(w, more))
			return false;
		for (size_t i = 0; i < w->r->n; i++)
			keep[i] = keep[i] || more[i];
	}
	return true;
}

static bool where_whole(struct where *w, bool *keep)
{
	if (!where_or(w, keep))
		return false;
	skip_blank(w);
	return !*w->at || bad(w, "&&, || or the end");
}

enum nasc_status results_where(struct results *r, const char *text, struct nasc_err *err)
{
	struct where w = { .text = text, .at = text, .r = r, .err = err };
	bool *keep = ARENA_NEW(&w.arena, bool, r->n), ok = where_whole(&w, keep);
	size_t kept = 0;

	for (size_t i = 0; ok && i < r->n; i++)
		if (keep[i])
			r->row[kept++] = r->row[i];
	if (ok)
		r->n = kept;
	arena_free(&w.arena);
	return ok ? NASC_OK : err->code;
}
