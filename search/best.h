#ifndef NASC_SEARCH_BEST_H
#define NASC_SEARCH_BEST_H
#include "search.h"

/* Members of the front at most. */
#define BEST_MOST 10000

/* The best of all that was told: the non-dominated set as search_archive keeps it,
 * or while nothing is feasible what violates least. */
struct best {
	struct search_archive front;
	size_t n_vars, cap;
	double *x; /* cap * n_vars, by slot of the front */
	bool told; /* the least violation so far, while nothing is feasible */
	double *least_x, *least_f, least_violation;
	size_t room;			    /* for the members of an answer, without gaps: */
	double *answer_x, *answer_f, *none; /* none: violations, all 0 */
	uint32_t *slot;
};
void best_init(struct best *b, const struct search_domain *d, struct arena *arena);
void best_tell(struct best *b, const double *x, const double *f, const double *violation, size_t n);
/* Valid until the next best_tell(). */
void best_answer(struct best *b, struct search_points *out);
#endif
