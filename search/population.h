#ifndef NASC_SEARCH_POPULATION_H
#define NASC_SEARCH_POPULATION_H
#include "distinct.h"
#include "search.h"
#include "variation.h"

/* A population that varies tournament winners and keeps the best of parents and
 * offspring, front by front (Deb et al. 2002). Strategies differ in whom they keep of
 * the front that does not fit. It is the first member of their state, its keys are that
 * of their configuration, and its functions are theirs. */
struct population_cfg {
	struct variation_cfg vary;
	int64_t population;
};
#define POPULATION_FIELDS(probability, eta)                                                        \
	CFG_INT_FIELD(struct population_cfg, population, "100", 4, 1e6, "individuals",             \
		      "size of the population and of a generation"),                               \
		VARIATION_FIELDS(probability, eta)

/* order[0..n) are the rows of parents and offspring as rank_constrained() has them.
 * Bring the @want to keep to order[0..want) and set merit[], and where it matters
 * rank[], of them: what the next parents are chosen by. */
typedef void population_select_fn(struct search *s, uint32_t *order, size_t n, size_t want);

struct population {
	size_t size, n;		   /* wanted, there */
	double *x, *f, *violation; /* 2 * size rows: one generation fits behind the population */
	uint32_t *rank;		   /* of two rows that of lower rank is the better parent ... */
	double *merit;		   /* ... of equal rank that of greater merit */
	uint32_t *pool;		   /* size: parents of the coming tournaments, each once ... */
	size_t pool_used;	   /* ... until the pool is used up and shuffled again */
	double *second;		   /* n_vars: the other child of the last pair */
	struct distinct seen;	   /* among which offspring must be new */
	population_select_fn *select;
};

void population_init(struct search *s, population_select_fn *select);

/* End of the front that starts at order[from]. */
size_t population_front_end(const struct population *p, const uint32_t *order, size_t n,
			    size_t from);

/* Members of search_ops. */
size_t population_batch(const struct search *s);
size_t population_ask(struct search *s, double *x, size_t cap);
void population_tell(struct search *s, const double *x, const double *f, const double *violation,
		     size_t n);
void population_answer(const struct search *s, struct search_points *out);
#endif
