#ifndef NASC_SEARCH_DISTINCT_H
#define NASC_SEARCH_DISTINCT_H
#include "search.h"
#include "variation.h"

/* Set of vectors by value, held as pointers to the caller's rows, up to @most of them. Of a
 * domain with real variables, where chance repeats nothing, it holds none and all are new. */
struct distinct {
	const struct search_domain *domain;
	size_t mask;
	const double **slot; /* NULL: there are real variables */
};
void distinct_init(struct distinct *d, const struct search_domain *domain, size_t most,
		   struct arena *arena);
/* Hold the @n rows of @x and nothing else. */
void distinct_reset(struct distinct *d, const double *x, size_t n);
/* False if one of the same values is there. @x must stay until distinct_reset(). */
bool distinct_add(struct distinct *d, const double *x);
/* Add the offspring @x. While one of the same values is there, and up to 16 times, it is mutated
 * once more, or sampled where @vary is NULL. */
void distinct_add_new(struct distinct *d, const struct variation_cfg *vary, struct rng *rng,
		      double *x);
#endif
