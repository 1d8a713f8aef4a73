#ifndef NASC_SEARCH_ALONE_H
#define NASC_SEARCH_ALONE_H
#include <stddef.h>

/* Volume in three objectives, bounded by @ref, that @u dominates and none of the n
 * points f (n * 3, ascending in the third objective) does; f[but] is passed over, or
 * none where but >= n. @x and @y: room for n each. O(n) for the points that are out of
 * the way and O(s) for each of those that cut u's, s steps long by then. */
double alone_three(const double *f, size_t n, const double *u, size_t but, const double *ref,
		   double *x, double *y);
#endif
