#include "search.h"

#include <string.h>

#define FIRST_CAP 64

void search_archive_init(struct search_archive *s, size_t m, struct arena *arena)
{
	*s = (struct search_archive){ .m = m, .arena = arena };
}

static void grow(struct search_archive *s)
{
	size_t cap = s->cap ? 2 * s->cap : FIRST_CAP;
	double *f = ARENA_NEW(s->arena, double, cap * s->m);
	uint64_t *tag = ARENA_NEW(s->arena, uint64_t, cap);

	if (s->n > 0) {
		memcpy(f, s->f, s->n * s->m * sizeof *f);
		memcpy(tag, s->tag, s->n * sizeof *tag);
	}
	s->cap = cap;
	s->f = f;
	s->tag = tag;
}

/* Put a point at position @at in place of @drop members from there on. */
static void put(struct search_archive *s, size_t at, size_t drop, const double *f, uint64_t tag)
{
	size_t m = s->m;

	if (drop == 0 && s->n == s->cap)
		grow(s);
	memmove(s->f + (at + 1) * m, s->f + (at + drop) * m, (s->n - at - drop) * m * sizeof *f);
	memmove(s->tag + at + 1, s->tag + at + drop, (s->n - at - drop) * sizeof *s->tag);
	memcpy(s->f + at * m, f, m * sizeof *f);
	s->tag[at] = tag;
	s->n += 1 - drop;
}

/* Two objectives: the members ascend in the first and so descend in the second. */
static bool add_two(struct search_archive *s, const double *f, uint64_t tag)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->f[2 * mid] < f[0])
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo > 0 && s->f[2 * lo - 1] <= f[1])
		return false;
	if (lo < s->n && s->f[2 * lo] == f[0] && s->f[2 * lo + 1] <= f[1])
		return false;
	for (hi = lo; hi < s->n && s->f[2 * hi + 1] >= f[1]; hi++)
		;
	put(s, lo, hi - lo, f, tag);
	return true;
}

static void swap_members(struct search_archive *s, size_t a, size_t b)
{
	uint64_t tag = s->tag[a];

	for (size_t k = 0; k < s->m; k++) {
		double v = s->f[a * s->m + k];

		s->f[a * s->m + k] = s->f[b * s->m + k];
		s->f[b * s->m + k] = v;
	}
	s->tag[a] = s->tag[b];
	s->tag[b] = tag;
}

bool search_archive_add(struct search_archive *s, const double *f, uint64_t tag)
{
	size_t m = s->m;

	if (m == 2)
		return add_two(s, f, tag);
	for (size_t i = 0; i < s->n;) {
		bool better = false, worse = false;

		for (size_t k = 0; k < m; k++) {
			better |= f[k] < s->f[i * m + k];
			worse |= f[k] > s->f[i * m + k];
		}
		if (!better) {
			/* what turns points away is asked earlier next time */
			swap_members(s, i, i / 2);
			return false;
		}
		if (worse) {
			i++;
			continue;
		}
		s->n--;
		memmove(s->f + i * m, s->f + s->n * m, m * sizeof *f);
		s->tag[i] = s->tag[s->n];
	}
	put(s, s->n, 0, f, tag);
	return true;
}
