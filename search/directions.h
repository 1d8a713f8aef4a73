#ifndef NASC_SEARCH_DIRECTIONS_H
#define NASC_SEARCH_DIRECTIONS_H
#include "search.h"

/* Reference directions: points of the unit simplex in @m dimensions whose coordinates are
 * multiples of 1 / @outer, and those of 1 / @inner drawn half way to the centre (0: no
 * inner layer). Source: Das & Dennis, SIAM J. Optim. 8(3) 1998; two layers as in Deb &
 * Jain, IEEE TEVC 18(4) 2014. */

/* More than these are not counted exactly. */
#define DIRECTIONS_MAX 10000000

/* C(m - 1 + p, p) for each layer, m and outer at least 1. */
size_t directions_count(size_t m, size_t outer, size_t inner);

/* w: directions_count() rows of m coordinates that sum to 1. */
void directions_fill(double *w, size_t m, size_t outer, size_t inner);

/* The layers with the most directions up to @most, or with m of them where that is more:
 * one layer, and an inner one where the outer has no point inside the simplex. */
void directions_choose(size_t m, size_t most, size_t *outer, size_t *inner);
#endif
