#include "search.h"

#include <stdlib.h>
#include <string.h>

#include "front.h"
#include "strategies.h"

const struct search_ops *const search_registry[] = {
	&search_nsga2,
	&search_nsga3,
	&search_sms_emoa,
	&search_amosa,
	&search_regularized_evolution,
	&search_random,
	NULL,
};

const struct search_ops *search_find(const char *name)
{
	for (const struct search_ops *const *row = search_registry; *row; row++)
		if (strcmp((*row)->name, name) == 0)
			return *row;
	return NULL;
}

enum nasc_status search_open(struct search *s, const struct search_ops *ops, const void *cfg,
			     const struct search_domain *domain, struct arena *arena,
			     struct rng *rng, uint64_t budget, struct nasc_err *err)
{
	if (domain->n_vars == 0 || domain->n_objectives == 0 ||
	    domain->n_objectives > SEARCH_MAX_OBJECTIVES)
		abort();
	*s = (struct search){
		.ops = ops,
		.cfg = cfg,
		.state = arena_alloc(arena, 1, ops->state_size, alignof(max_align_t)),
		.domain = domain,
		.arena = arena,
		.rng = rng,
		.budget = budget,
	};
	return ops->open(s, err);
}

int search_compare(const double *a, const double *b, size_t m)
{
	struct front_relation r = front_relate(a, b, m);

	return (int)r.worse - (int)r.better;
}
