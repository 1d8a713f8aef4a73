#include <math.h>
#include <string.h>

#include "search.h"

struct spread {
	const double *f;
	size_t n, m;
	double scale[SEARCH_MAX_OBJECTIVES]; /* 1 / range; 0: no range */
	uint32_t *rank;
	double *near; /* squared distance to the nearest chosen; NAN: chosen itself */
};

static void take_scale(struct spread *s)
{
	for (size_t k = 0; k < s->m; k++) {
		double lo = INFINITY, hi = -INFINITY;

		for (size_t i = 0; i < s->n; i++) {
			lo = fmin(lo, s->f[i * s->m + k]);
			hi = fmax(hi, s->f[i * s->m + k]);
		}
		s->scale[k] = hi > lo ? 1 / (hi - lo) : 0;
	}
}

static void choose(struct spread *s, size_t chosen)
{
	const double *to = s->f + chosen * s->m;

	for (size_t i = 0; i < s->n; i++) {
		double sum = 0;

		for (size_t k = 0; k < s->m; k++) {
			double d = (s->f[i * s->m + k] - to[k]) * s->scale[k];

			sum += d * d;
		}
		if (sum < s->near[i])
			s->near[i] = sum;
	}
	s->near[chosen] = (double)NAN;
}

/* Of the points of a rank that are left. */
static size_t farthest(const struct spread *s, uint32_t rank)
{
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < s->n; i++)
		if (s->rank[i] == rank && !isnan(s->near[i]) &&
		    (best == SIZE_MAX || s->near[i] > s->near[best]))
			best = i;
	return best;
}

static size_t best_in_last(const struct spread *s)
{
	size_t last = s->m - 1, best = SIZE_MAX;

	for (size_t i = 0; i < s->n; i++)
		if (s->rank[i] == 0 &&
		    (best == SIZE_MAX || s->f[i * s->m + last] < s->f[best * s->m + last]))
			best = i;
	return best;
}

void search_spread(const double *f, size_t n, size_t m, size_t most, uint32_t *order,
		   struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	struct spread s = { .f = f,
			    .n = n,
			    .m = m,
			    .rank = ARENA_NEW(scratch, uint32_t, n),
			    .near = ARENA_NEW(scratch, double, n) };
	uint32_t rank = 0;

	search_rank(f, n, m, s.rank, scratch);
	take_scale(&s);
	for (size_t i = 0; i < n; i++)
		s.near[i] = INFINITY;
	for (size_t i = 0; i < most; i++) {
		size_t next = i ? farthest(&s, rank) : best_in_last(&s);

		if (next == SIZE_MAX) /* the rank is at its end, others are left */
			next = farthest(&s, ++rank);
		order[i] = (uint32_t)next;
		choose(&s, next);
	}
	arena_rewind(scratch, mark);
}
