/* What `nasc pareto` does to rows: front, order, knee. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

struct point {
	const double *f;
	size_t m, at;
};

static int by_point(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	for (size_t k = 0; k < x->m; k++)
		if (x->f[k] != y->f[k])
			return x->f[k] < y->f[k] ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

/* Equal points of one file are different networks, of two files the same one: the first file's
 * stay. */
void results_front(struct results *r, struct arena *scratch)
{
	size_t m = r->n_objectives, n = 0, first = 0, kept = 0;
	double *f = ARENA_NEW(scratch, double, r->n *m);
	uint32_t *rank = ARENA_NEW(scratch, uint32_t, r->n);
	struct point *p = ARENA_NEW(scratch, struct point, r->n);
	bool *keep = ARENA_NEW(scratch, bool, r->n);

	for (size_t i = 0; i < r->n; i++)
		memcpy(f + i * m, r->row[i].f, m * sizeof *f);
	search_rank(f, r->n, m, rank, scratch);
	for (size_t i = 0; i < r->n; i++)
		if (rank[i] == 0)
			p[n++] = (struct point){ f + i * m, m, i };
	qsort(p, n, sizeof *p, by_point);
	for (size_t i = 0; i < n; i++) {
		if (memcmp(p[first].f, p[i].f, m * sizeof *f) != 0)
			first = i;
		keep[p[i].at] = r->row[p[first].at].file == r->row[p[i].at].file;
	}
	for (size_t i = 0; i < r->n; i++)
		if (keep[i])
			r->row[kept++] = r->row[i];
	r->n = kept;
}

enum nasc_status no_score(const struct result *row, const char *name, struct nasc_err *err)
{
	char known[256] = "";

	for (size_t i = 0; i < row->n_scores; i++) {
		size_t at = strlen(known);

		snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", row->score[i].key);
	}
	return nasc_fail(err, NASC_USAGE, "no score is called '%s'; row %lld has %s", name,
			 (long long)row->id, known);
}

struct sort_key {
	double key;
	size_t at;
};

static int by_key(const void *a, const void *b)
{
	const struct sort_key *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

/* Objectives were given a direction, other figures have their own. */
static bool more_is_better(const struct results *r, const char *key)
{
	const struct metric *m = metric_of_key(key);

	for (size_t i = 0; i < r->n_objectives; i++)
		if (!strcmp(r->objective[i].key, key))
			return r->objective[i].maximise;
	return m && m->maximise;
}

static enum nasc_status sort_keys(const struct results *r, const char *name, bool reverse,
				  struct sort_key *out, struct nasc_err *err)
{
	enum unit_dim unused;

	if (results_dim(r, name, &unused, err))
		return err->code;
	for (size_t i = 0; i < r->n; i++) {
		const struct result_score *s = result_score(&r->row[i], name);

		if (!s)
			return no_score(&r->row[i], name, err);
		out[i] = (struct sort_key){ s->value, i };
		if (more_is_better(r, s->key) != reverse)
			out[i].key = -s->value;
	}
	return NASC_OK;
}

enum nasc_status results_sort(struct results *r, const char *name, struct nasc_err *err)
{
	bool reverse = *name == '-';
	struct arena a = { 0 };
	struct sort_key *k = ARENA_NEW(&a, struct sort_key, r->n);
	struct result *sorted = ARENA_NEW(&a, struct result, r->n);
	enum nasc_status st = sort_keys(r, name + reverse, reverse, k, err);

	if (!st && r->n) {
		qsort(k, r->n, sizeof *k, by_key);
		for (size_t i = 0; i < r->n; i++)
			sorted[i] = r->row[k[i].at];
		memcpy(r->row, sorted, r->n * sizeof *sorted);
	}
	arena_free(&a);
	return st ? nasc_wrap(err, "--sort") : NASC_OK;
}

void results_knee(struct results *r)
{
	double lo[SEARCH_MAX_OBJECTIVES], hi[SEARCH_MAX_OBJECTIVES], least = INFINITY;
	struct result *knee = NULL;

	for (size_t k = 0; k < r->n_objectives; k++) {
		lo[k] = INFINITY;
		hi[k] = -INFINITY;
		for (size_t i = 0; i < r->n; i++) {
			lo[k] = fmin(lo[k], r->row[i].f[k]);
			hi[k] = fmax(hi[k], r->row[i].f[k]);
		}
	}
	for (size_t i = 0; i < r->n; i++) {
		double sum = 0;

		r->row[i].knee = false;
		for (size_t k = 0; k < r->n_objectives; k++)
			if (hi[k] / 2 > lo[k] / 2) /* halves: hi - lo may be no double */
				sum += (r->row[i].f[k] / 2 - lo[k] / 2) / (hi[k] / 2 - lo[k] / 2);
		if (sum < least) {
			least = sum;
			knee = &r->row[i];
		}
	}
	if (knee)
		knee->knee = true;
}

/* The row that is best in objective @name, the first of several; NULL: no such objective. */
static const struct result *best_in(const struct results *r, const char *name)
{
	const struct result_score *score = r->n ? result_score(&r->row[0], name) : NULL;
	const struct result *best = NULL;

	for (size_t k = 0; score && k < r->n_objectives; k++)
		for (size_t i = 0; !strcmp(r->objective[k].key, score->key) && i < r->n; i++)
			if (!best || r->row[i].f[k] < best->f[k])
				best = &r->row[i];
	return best;
}

const struct result *results_find(const struct results *r, const char *id)
{
	char *end;
	long long n = strtoll(id, &end, 10);

	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(id, "knee") ? r->row[i].knee : end != id && !*end && r->row[i].id == n)
			return &r->row[i];
	return best_in(r, id);
}
