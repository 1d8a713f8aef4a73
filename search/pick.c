#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "order.h"
#include "rank.h"
#include "search.h"

static int ascending(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

void search_pick(const double *f, size_t n, const double *rival, size_t n_rivals, size_t m,
		 size_t want, size_t *picked, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	size_t all = n + n_rivals, n_picked = 0;
	double *joint = ARENA_NEW(scratch, double, all *m);
	double *crowding = ARENA_NEW(scratch, double, all);
	uint32_t *rank = ARENA_NEW(scratch, uint32_t, all);
	uint32_t *member = ARENA_NEW(scratch, uint32_t, all);
	struct order_key *key = ARENA_NEW(scratch, struct order_key, 2 * n);
	size_t fronts;

	memcpy(joint, f, n * m * sizeof *f);
	if (n_rivals)
		memcpy(joint + n * m, rival, n_rivals * m * sizeof *f);
	fronts = search_rank(joint, all, m, rank, scratch);
	for (uint32_t r = 0; r < fronts && n_picked < want; r++) {
		size_t size = 0, mine = 0;

		for (uint32_t i = 0; i < all; i++)
			if (rank[i] == r)
				member[size++] = i;
		rank_crowding(joint, m, member, size, crowding, scratch);
		for (size_t i = 0; i < size && member[i] < n; i++)
			key[mine++] = (struct order_key){ -crowding[member[i]], member[i] };
		order_sort(key, key + mine, mine);
		for (size_t i = 0; i < mine && n_picked < want; i++)
			picked[n_picked++] = key[i].at;
	}
	qsort(picked, n_picked, sizeof *picked, ascending);
	arena_rewind(scratch, mark);
}

static void mean_ranks(const double *v, size_t n, double *rank, struct arena *scratch)
{
	struct order_key *key = ARENA_NEW(scratch, struct order_key, 2 * n);

	for (size_t i = 0; i < n; i++)
		key[i] = (struct order_key){ v[i], (uint32_t)i };
	order_sort(key, key + n, n);
	for (size_t from = 0, end; from < n; from = end) {
		for (end = from + 1; end < n && key[end].v == key[from].v;)
			end++;
		for (size_t i = from; i < end; i++)
			rank[key[i].at] = (double)(from + end - 1) / 2;
	}
}

double search_rank_correlation(const double *a, const double *b, size_t n, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	double *p = ARENA_NEW(scratch, double, n), *q = ARENA_NEW(scratch, double, n);
	double pq = 0, pp = 0, qq = 0, mean = ((double)n - 1) / 2;

	mean_ranks(a, n, p, scratch);
	mean_ranks(b, n, q, scratch);
	for (size_t i = 0; i < n; i++) {
		pq += (p[i] - mean) * (q[i] - mean);
		pp += (p[i] - mean) * (p[i] - mean);
		qq += (q[i] - mean) * (q[i] - mean);
	}
	arena_rewind(scratch, mark);
	return pp > 0 && qq > 0 ? pq / sqrt(pp * qq) : (double)NAN;
}
