#ifndef NASC_SEARCH_CLUSTER_H
#define NASC_SEARCH_CLUSTER_H
#include "search.h"

/* Choose @want of n > @want mutually non-dominated points f (n * m): the least of
 * each objective, and of the others one for each single-linkage cluster, the one
 * with the least total distance to the rest of its cluster; of several the one
 * farthest from the other clusters. Distances are
 * Euclidean in objectives scaled to [0, 1]. @kept: @want positions, ascending.
 * O(n^2 m) time. @want > m. */
void cluster_choose(const double *f, size_t n, size_t m, size_t want, uint32_t *kept,
		    struct arena *scratch);
#endif
