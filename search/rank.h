#ifndef NASC_SEARCH_RANK_H
#define NASC_SEARCH_RANK_H
#include "search.h"

/* Rank under constraint domination (Deb et al. 2002): the feasible points by
 * search_rank(), behind them the infeasible ones by violation alone. order[0..n) are
 * the points by rank, feasible ones of a rank in lexicographic order, infeasible ones
 * by position. Returns the number of fronts. */
size_t rank_constrained(const struct search_points *p, size_t m, uint32_t *rank, uint32_t *order,
			struct arena *scratch);

/* Crowding distance (Deb et al. 2002) of the points f[member[0..n)] of one
 * front into crowding[member[.]]; the ends of each objective get INFINITY. */
void rank_crowding(const double *f, size_t m, const uint32_t *member, size_t n, double *crowding,
		   struct arena *scratch);
#endif
