#include "distinct.h"

#include <stdint.h>
#include <string.h>

void distinct_init(struct distinct *d, size_t n_vars, size_t most, struct arena *arena)
{
	size_t slots = 4;

	while (slots < 2 * most)
		slots *= 2;
	*d = (struct distinct){ n_vars, slots - 1, ARENA_NEW(arena, const double *, slots) };
}

void distinct_clear(struct distinct *d)
{
	memset(d->slot, 0, (d->mask + 1) * sizeof *d->slot);
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
	size_t at = hash(x, d->n_vars) & d->mask;

	for (; d->slot[at]; at = (at + 1) & d->mask)
		if (equal(d->slot[at], x, d->n_vars))
			return false;
	d->slot[at] = x;
	return true;
}
