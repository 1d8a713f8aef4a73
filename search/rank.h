#ifndef NASC_SEARCH_RANK_H
#define NASC_SEARCH_RANK_H
#include "search.h"

/* Rank under constraint domination (Deb et al. 2002): the feasible points by
 * search_rank(), behind them the infeasible ones by violation alone. Returns
 * the number of fronts; @feasible_fronts of them hold feasible points. */
size_t rank_constrained(const struct search_points *p, size_t m, uint32_t *rank,
			size_t *feasible_fronts, struct arena *scratch);

/* Crowding distance (Deb et al. 2002) of the points f[member[0..n)] of one
 * front into crowding[member[.]]; the ends of each objective get INFINITY. */
void rank_crowding(const double *f, size_t m, const uint32_t *member, size_t n, double *crowding,
		   struct arena *scratch);
#endif
