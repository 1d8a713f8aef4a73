#ifndef NASC_SEARCH_BEST_H
#define NASC_SEARCH_BEST_H
#include "search.h"

/*
 * The best of all that was told: the non-dominated set, or while nothing is feasible
 * what violates least. The vectors of the front lie in rows of x named by its tags;
 * what left the front leaves a hole until they are gathered.
 */
struct best {
	struct search_archive front;
	size_t n_vars, used, cap;
	double *x, *spare; /* cap * n_vars */
	double *violation; /* cap, all 0 */
	bool told;	   /* the least violation so far, while nothing is feasible */
	double *least_x, *least_f, least_violation;
};
void best_init(struct best *b, const struct search_domain *d, struct arena *arena);
void best_tell(struct best *b, const double *x, const double *f, const double *violation, size_t n);
/* Valid until the next best_tell(). */
void best_answer(struct best *b, struct search_points *out);
#endif
