#include "seen.h"

#include <stdlib.h>
#include <string.h>

void seen_init(struct seen *s, size_t n_genes, size_t n_obj, size_t cap, struct arena *a)
{
	*s = (struct seen){ .n_genes = n_genes, .n_obj = n_obj, .cap = cap, .n_buckets = 1 };
	while (s->n_buckets < cap)
		s->n_buckets *= 2;
	s->gene = ARENA_NEW(a, uint16_t, cap * n_genes);
	s->score = ARENA_NEW(a, double, cap *(n_obj + 1));
	s->older = ARENA_NEW(a, uint32_t, cap);
	s->bucket = ARENA_NEW(a, uint32_t, s->n_buckets);
}

static uint64_t mix(uint64_t h, uint64_t gene)
{
	h = (h ^ gene) * 0xff51afd7ed558ccdu;
	return h ^ h >> 32;
}

static uint32_t *bucket_of_vector(const struct seen *s, const double *x)
{
	uint64_t h = 0;

	for (size_t i = 0; i < s->n_genes; i++) {
		if (!(x[i] >= 0 && x[i] <= UINT16_MAX))
			abort();
		h = mix(h, (uint64_t)x[i]);
	}
	return &s->bucket[h & (s->n_buckets - 1)];
}

static uint32_t *bucket_of_place(const struct seen *s, size_t place)
{
	uint64_t h = 0;

	for (size_t i = 0; i < s->n_genes; i++)
		h = mix(h, s->gene[place * s->n_genes + i]);
	return &s->bucket[h & (s->n_buckets - 1)];
}

static bool same(const struct seen *s, size_t place, const double *x)
{
	for (size_t i = 0; i < s->n_genes; i++)
		if (s->gene[place * s->n_genes + i] != x[i])
			return false;
	return true;
}

bool seen_find(const struct seen *s, const double *x, uint64_t *number)
{
	uint64_t newest = s->n - 1;
	uint32_t at = *bucket_of_vector(s, x);

	while (at && !same(s, at - 1, x))
		at = s->older[at - 1];
	if (!at)
		return false;
	/* the last number that has this place */
	*number = newest - (newest - (at - 1)) % s->cap;
	return true;
}

/* The oldest of all is the last of its bucket. */
static void forget(struct seen *s, size_t place)
{
	uint32_t *at = bucket_of_place(s, place);

	while (*at != place + 1)
		at = &s->older[*at - 1];
	*at = s->older[place];
}

uint64_t seen_add(struct seen *s, const double *x)
{
	size_t place = s->n % s->cap;
	uint32_t *bucket;

	if (s->n >= s->cap)
		forget(s, place);
	bucket = bucket_of_vector(s, x);
	for (size_t i = 0; i < s->n_genes; i++)
		s->gene[place * s->n_genes + i] = (uint16_t)x[i];
	s->older[place] = *bucket;
	*bucket = (uint32_t)place + 1;
	return s->n++;
}

void seen_score(struct seen *s, uint64_t number, const double *f, double violation)
{
	double *score = s->score + number % s->cap * (s->n_obj + 1);

	memcpy(score, f, s->n_obj * sizeof *f);
	score[s->n_obj] = violation;
}

double seen_recall(const struct seen *s, uint64_t number, double *f)
{
	const double *score = s->score + number % s->cap * (s->n_obj + 1);

	memcpy(f, score, s->n_obj * sizeof *f);
	return score[s->n_obj];
}
