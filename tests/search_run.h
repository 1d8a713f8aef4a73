#ifndef NASC_TESTS_SEARCH_RUN_H
#define NASC_TESTS_SEARCH_RUN_H
#include <criterion/criterion.h>
#include <string.h>

#include "search.h"

#define BATCH_MAX 1000

static inline void fill(struct search_var *var, size_t n, double lo, double hi, bool integer)
{
	for (size_t i = 0; i < n; i++)
		var[i] = (struct search_var){ lo, hi, integer };
}

/* Configuration of a strategy from YAML text, in @a. */
static inline const void *settings(const struct search_ops *ops, const char *text, struct arena *a)
{
	void *cfg = arena_alloc(a, 1, ops->cfg_size, alignof(max_align_t));
	struct nasc_err err = { 0 };
	struct yaml_doc doc;

	cr_assert_eq(yaml_parse("t.yaml", text, strlen(text), a, &doc, &err), NASC_OK, "%s",
		     err.msg);
	cr_assert_eq(cfg_load(ops->fields, &doc, doc.root, NULL, a, cfg, ops->cfg_size, &err),
		     NASC_OK, "%s", err.msg);
	return cfg;
}

/* What is searched: objectives and violation of one vector. */
typedef void evaluate_fn(const struct search_domain *d, const double *x, double *f,
			 double *violation);

/* One search, driven step by step. */
struct run {
	struct arena arena;
	struct rng rng;
	struct search s;
	double *x, *f, *violation;
	size_t n; /* of the last batch */
	uint64_t told;
};

static inline void run_open(struct run *r, const struct search_ops *ops, const void *cfg,
			    const struct search_domain *d, uint64_t budget, uint64_t seed)
{
	struct nasc_err err = { 0 };

	*r = (struct run){ 0 };
	if (!cfg) {
		void *defaults = arena_alloc(&r->arena, 1, ops->cfg_size, alignof(max_align_t));

		cfg_defaults(ops->fields, &r->arena, defaults, ops->cfg_size);
		cfg = defaults;
	}
	r->x = ARENA_NEW(&r->arena, double, BATCH_MAX * d->n_vars);
	r->f = ARENA_NEW(&r->arena, double, BATCH_MAX * d->n_objectives);
	r->violation = ARENA_NEW(&r->arena, double, BATCH_MAX);
	rng_stream(&r->rng, seed, RNG_STRATEGY, 0);
	cr_assert_eq(search_open(&r->s, ops, cfg, d, &r->arena, &r->rng, budget, &err), NASC_OK,
		     "%s", err.msg);
}

static inline void run_batch(struct run *r, evaluate_fn *evaluate, size_t cap)
{
	const struct search_domain *d = r->s.domain;

	cap = cap < BATCH_MAX ? cap : BATCH_MAX;
	r->n = r->s.ops->ask(&r->s, r->x, cap);
	cr_assert(r->n >= 1 && r->n <= cap, "%s: %zu of %zu", r->s.ops->name, r->n, cap);
	for (size_t i = 0; i < r->n; i++)
		evaluate(d, r->x + i * d->n_vars, r->f + i * d->n_objectives, &r->violation[i]);
	r->s.ops->tell(&r->s, r->x, r->f, r->violation, r->n);
	r->told += r->n;
}

static inline struct search_points run_to(struct run *r, evaluate_fn *evaluate, uint64_t budget)
{
	struct search_points answer;

	while (r->told < budget) {
		size_t want = r->s.ops->batch(&r->s);

		run_batch(r, evaluate, want < budget - r->told ? want : budget - r->told);
	}
	r->s.ops->answer(&r->s, &answer);
	return answer;
}

static inline void run_close(struct run *r)
{
	arena_free(&r->arena);
}
#endif
