#include "distinct.h"

#include <stdint.h>
#include <string.h>

#define REDRAWS_MAX 16

void distinct_init(struct distinct *d, const struct search_domain *domain, size_t most,
		   struct arena *arena)
{
	size_t slots = 4;

	*d = (struct distinct){ .domain = domain };
	if (!variation_all_integer(domain))
		return;
	while (slots < 2 * most)
		slots *= 2;
	d->mask = slots - 1;
	d->slot = ARENA_NEW(arena, const double *, slots);
}

void distinct_reset(struct distinct *d, const double *x, size_t n)
{
	if (!d->slot)
		return;
	memset(d->slot, 0, (d->mask + 1) * sizeof *d->slot);
	for (size_t i = 0; i < n; i++)
		distinct_add(d, x + i * d->domain->n_vars);
}

static uint64_t hash(const double *x, size_t n)
{
	uint64_t h = n;

	for (size_t i = 0; i < n; i++) {
		double v = x[i] + 0.0; /* -0 and 0 are the same value */
		uint64_t bits;

		memcpy(&bits, &v, sizeof bits);
		h = (h ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return h;
}

static bool equal(const double *a, const double *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

bool distinct_add(struct distinct *d, const double *x)
{
	size_t n = d->domain->n_vars, at;

	if (!d->slot)
		return true;
	for (at = hash(x, n) & d->mask; d->slot[at]; at = (at + 1) & d->mask)
		if (equal(d->slot[at], x, n))
			return false;
	d->slot[at] = x;
	return true;
}

void distinct_add_new(struct distinct *d, const struct variation_cfg *vary, struct rng *rng,
		      double *x)
{
	for (int i = 0; !distinct_add(d, x) && i < REDRAWS_MAX; i++)
		if (vary)
			variation_mutate(d->domain, vary, rng, x);
		else
			variation_sample(d->domain, rng, x);
}
