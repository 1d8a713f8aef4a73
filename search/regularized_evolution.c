#include "strategies.h"

#include <string.h>

#include "best.h"
#include "variation.h"

struct aging_cfg {
	struct variation_cfg vary; /* only how it mutates */
	int64_t population, sample, batch;
};

static const struct cfg_field aging_fields[] = {
	CFG_INT_FIELD(struct aging_cfg, population, "100", 2, 1e6, "individuals",
		      "how many of the latest can become parents"),
	CFG_INT_FIELD(struct aging_cfg, sample, "10", 1, 1e4, "individuals",
		      "drawn for a tournament; one that none of them dominates is the parent"),
	CFG_INT_FIELD(struct aging_cfg, batch, "1", 1, 1e5, "candidates",
		      "offspring proposed at once from one population; 1: as published"),
	VARIATION_MUTATION_FIELDS,
	CFG_END,
};

struct aging_state {
	struct best best;
	size_t size, n, next;	   /* wanted, there, and the oldest once it is full */
	double *x, *f, *violation; /* size rows, a ring */
};

static enum nasc_status aging_open(struct search *s, struct nasc_err *err)
{
	const struct aging_cfg *cfg = s->cfg;
	struct aging_state *st = s->state;

	(void)err;
	best_init(&st->best, s->domain, s->arena);
	st->size = (size_t)cfg->population;
	st->x = ARENA_NEW(s->arena, double, st->size * s->domain->n_vars);
	st->f = ARENA_NEW(s->arena, double, st->size * s->domain->n_objectives);
	st->violation = ARENA_NEW(s->arena, double, st->size);
	return NASC_OK;
}

static size_t aging_batch(const struct search *s)
{
	const struct aging_cfg *cfg = s->cfg;
	const struct aging_state *st = s->state;

	return search_room(st->size, st->n, cfg->batch);
}

static bool beats(const struct search *s, size_t a, size_t b)
{
	const struct aging_state *st = s->state;
	size_t m = s->domain->n_objectives;

	if (st->violation[a] > 0 || st->violation[b] > 0)
		return st->violation[a] < st->violation[b];
	return search_compare(st->f + a * m, st->f + b * m, m) == -1;
}

/* Draws come one by one and each takes the place of what it beats: the last one
 * standing is of rank 0 among them. */
static size_t tournament(struct search *s)
{
	const struct aging_cfg *cfg = s->cfg;
	const struct aging_state *st = s->state;
	size_t winner = (size_t)rng_below(s->rng, st->n);

	for (int64_t i = 1; i < cfg->sample; i++) {
		size_t other = (size_t)rng_below(s->rng, st->n);

		if (beats(s, other, winner))
			winner = other;
	}
	return winner;
}

static size_t aging_ask(struct search *s, double *x, size_t cap)
{
	const struct aging_cfg *cfg = s->cfg;
	const struct aging_state *st = s->state;
	size_t n_vars = s->domain->n_vars, n = search_proposals(st->size, st->n, cfg->batch);

	n = n < cap ? n : cap;
	for (size_t i = 0; i < n; i++) {
		double *child = x + i * n_vars;

		if (st->n < st->size) {
			variation_sample(s->domain, s->rng, child);
			continue;
		}
		memcpy(child, st->x + tournament(s) * n_vars, n_vars * sizeof *x);
		variation_mutate(s->domain, &cfg->vary, s->rng, child);
	}
	return n;
}

static void aging_tell(struct search *s, const double *x, const double *f, const double *violation,
		       size_t n)
{
	struct aging_state *st = s->state;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives;

	best_tell(&st->best, x, f, violation, n);
	for (size_t i = 0; i < n; i++) {
		memcpy(st->x + st->next * n_vars, x + i * n_vars, n_vars * sizeof *x);
		memcpy(st->f + st->next * m, f + i * m, m * sizeof *f);
		st->violation[st->next] = violation[i];
		st->next = (st->next + 1) % st->size;
		st->n += st->n < st->size;
	}
}

static void aging_answer(const struct search *s, struct search_points *out)
{
	struct aging_state *st = s->state;

	best_answer(&st->best, out);
}

const struct search_ops search_regularized_evolution = {
	.name = "regularized_evolution",
	.summary = "mutation of tournament winners, the oldest leaves; keeps up to 10,000 that are "
		   "not dominated",
	.source = "Real, Aggarwal, Huang, Le, AAAI 2019",
	.fields = aging_fields,
	.cfg_size = sizeof(struct aging_cfg),
	.state_size = sizeof(struct aging_state),
	.open = aging_open,
	.batch = aging_batch,
	.ask = aging_ask,
	.tell = aging_tell,
	.answer = aging_answer,
};
