#ifndef NASC_TESTS_POINTS_H
#define NASC_TESTS_POINTS_H
#include <math.h>

#include "arena.h"
#include "rng.h"

/* Points that other programs measure as well. Source of the numbers: Marsaglia's xorshift,
 * Journal of Statistical Software 8(14) 2003. */

static inline double xorshift(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return (double)(*s >> 11) / 9007199254740992.0;
}

/* Uniform in the unit cube, or on the positive part of the unit sphere (Box-Muller). */
static inline double *cloud(struct arena *a, size_t n, size_t m, bool sphere)
{
	uint64_t s = 88172645463325252u;
	double *f = ARENA_NEW(a, double, n *m);

	for (size_t i = 0; i < n; i++) {
		double r = 0;

		for (size_t k = 0; k < m; k++) {
			double u = xorshift(&s);

			if (sphere) {
				double v = xorshift(&s);

				u = fabs(sqrt(-2 * log(u + 1e-300)) * cos(2 * M_PI * v));
			}
			f[i * m + k] = u;
			r += u * u;
		}
		for (size_t k = 0; sphere && k < m; k++)
			f[i * m + k] /= sqrt(r);
	}
	return f;
}

/* Coordinates 0 .. values-1, so that ties and equal points are frequent. */
static inline double *lattice(struct arena *a, struct rng *rng, size_t n, size_t m, uint64_t values)
{
	double *f = ARENA_NEW(a, double, n *m);

	for (size_t i = 0; i < n * m; i++)
		f[i] = (double)rng_below(rng, values);
	return f;
}
#endif
