/* The language of --where:
 *
 *	or   = and { "||" and }        and  = not { "&&" not }
 *	not  = "!" not | "(" or ")" | name op quantity
 *	op   = "<" "<=" ">" ">=" "==" "!="
 *
 * A quantity is a number with an optional unit of the score's kind. */
#include <ctype.h>
#include <string.h>

#include "private.h"

#define DEPTH_MAX 100

struct where {
	const char *text, *at;
	const struct result *row;
	int depth;
	struct nasc_err *err;
};

static bool where_or(struct where *w, bool *value);

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

static bool where_comparison(struct where *w, bool *value)
{
	static const char *const ops[] = { "<=", ">=", "==", "!=", "<", ">" };
	const struct result_score *s;
	char name[80], quantity[64];
	const char *op = NULL;
	size_t n = 0;
	double bound, v;
	enum unit_dim dim = UNIT_NONE;

	skip_blank(w);
	while (isalnum((unsigned char)w->at[n]) || (w->at[n] && strchr("_.-", w->at[n])))
		n++;
	if (n == 0 || n >= sizeof name)
		return bad(w, "the name of a score");
	memcpy(name, w->at, n);
	name[n] = '\0';
	s = result_score(w->row, name);
	if (!s && strcmp(name, "id") != 0) {
		no_score(w->row, name, w->err);
		return located(w);
	}
	w->at += n;
	for (size_t i = 0; i < sizeof ops / sizeof *ops && !op; i++)
		if (take(w, ops[i]))
			op = ops[i];
	if (!op)
		return bad(w, "one of < <= > >= == !=");
	skip_blank(w);
	n = strcspn(w->at, "&|)");
	if (n == 0 || n >= sizeof quantity)
		return bad(w, "a number, with or without unit");
	memcpy(quantity, w->at, n);
	while (n && isspace((unsigned char)quantity[n - 1]))
		n--;
	quantity[n] = '\0';
	if (s)
		dim = result_dim(s);
	if (unit_parse(quantity, dim, &bound, w->err)) {
		w->err->code = NASC_USAGE;
		return located(w);
	}
	w->at += strcspn(w->at, "&|)");
	v = s ? s->value : (double)w->row->id;
	*value = compare(v, op, bound);
	return true;
}

static bool where_not(struct where *w, bool *value)
{
	bool ok;

	if (w->depth++ == DEPTH_MAX)
		return bad(w, "fewer nested brackets");
	if (take(w, "!")) {
		ok = where_not(w, value);
		*value = ok && !*value;
	} else if (take(w, "(")) {
		ok = where_or(w, value);
		if (ok && !take(w, ")"))
			ok = bad(w, "')'");
	} else {
		ok = where_comparison(w, value);
	}
	w->depth--;
	return ok;
}

static bool where_and(struct where *w, bool *value)
{
	bool more;

	if (!where_not(w, value))
		return false;
	while (take(w, "&&")) {
		if (!where_not(w, &more))
			return false;
		*value = *value && more;
	}
	return true;
}

static bool where_or(struct where *w, bool *value)
{
	bool more;

	if (!where_and(w, value))
		return false;
	while (take(w, "||")) {
		if (!where_and(w, &more))
			return false;
		*value = *value || more;
	}
	return true;
}

enum nasc_status results_where(struct results *r, const char *text, struct nasc_err *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n; i++) {
		struct where w = { .text = text, .at = text, .row = &r->row[i], .err = err };
		bool keep = false;

		if (!where_or(&w, &keep))
			return err->code;
		skip_blank(&w);
		if (*w.at) {
			bad(&w, "&&, || or the end");
			return err->code;
		}
		if (keep)
			r->row[kept++] = r->row[i];
	}
	r->n = kept;
	return NASC_OK;
}
