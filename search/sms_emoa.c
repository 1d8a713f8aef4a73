#include "strategies.h"

#include <string.h>

#include "contribution.h"
#include "distinct.h"
#include "variation.h"

struct sms_cfg {
	struct variation_cfg vary;
	int64_t population, batch;
};

static const struct cfg_field sms_fields[] = {
	CFG_INT_FIELD(struct sms_cfg, population, "100", 4, 1e5, "individuals",
		      "size of the population"),
	VARIATION_FIELDS("1", "20"),
	CFG_INT_FIELD(struct sms_cfg, batch, "1", 1, 1e5, "candidates",
		      "offspring proposed at once from one population; 1: as published"),
	CFG_END,
};

struct sms_state {
	size_t size, n; /* of the population: wanted, there */
	/* size + 1 rows: the one behind the population is the newcomer's */
	double *x, *f, *violation;
	uint32_t *dominators; /* of feasible rows: how many feasible rows dominate it */
	struct contribution front;
	double *mate;	      /* n_vars: the other child */
	struct distinct seen; /* among which offspring must be new */
};

static enum nasc_status sms_open(struct search *s, struct nasc_err *err)
{
	const struct sms_cfg *cfg = s->cfg;
	struct sms_state *st = s->state;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives, rows;

	(void)err;
	st->size = (size_t)cfg->population;
	rows = st->size + 1;
	st->x = ARENA_NEW(s->arena, double, rows *n_vars);
	st->f = ARENA_NEW(s->arena, double, rows *m);
	st->violation = ARENA_NEW(s->arena, double, rows);
	st->dominators = ARENA_NEW(s->arena, uint32_t, rows);
	contribution_init(&st->front, m, rows, s->arena);
	st->mate = ARENA_NEW(s->arena, double, n_vars);
	distinct_init(&st->seen, s->domain, st->size + (size_t)cfg->batch, s->arena);
	return NASC_OK;
}

static size_t sms_batch(const struct search *s)
{
	const struct sms_cfg *cfg = s->cfg;
	const struct sms_state *st = s->state;

	return search_room(st->size, st->n, cfg->batch);
}

static void make_child(struct search *s, double *child)
{
	const struct sms_cfg *cfg = s->cfg;
	struct sms_state *st = s->state;
	size_t n_vars = s->domain->n_vars;
	size_t a = (size_t)rng_below(s->rng, st->n), b = (size_t)rng_below(s->rng, st->n - 1);

	memcpy(child, st->x + a * n_vars, n_vars * sizeof *child);
	memcpy(st->mate, st->x + (b + (b >= a)) * n_vars, n_vars * sizeof *child);
	variation_cross(s->domain, &cfg->vary, s->rng, child, st->mate);
	variation_mutate(s->domain, &cfg->vary, s->rng, child);
}

static size_t sms_ask(struct search *s, double *x, size_t cap)
{
	const struct sms_cfg *cfg = s->cfg;
	struct sms_state *st = s->state;
	size_t n_vars = s->domain->n_vars, n = search_proposals(st->size, st->n, cfg->batch);
	bool first = st->n < st->size;

	n = n < cap ? n : cap;
	distinct_reset(&st->seen, st->x, st->n);
	for (size_t i = 0; i < n; i++) {
		double *child = x + i * n_vars;

		if (first)
			variation_sample(s->domain, s->rng, child);
		else
			make_child(s, child);
		distinct_add_new(&st->seen, first ? NULL : &cfg->vary, s->rng, child);
	}
	return n;
}

/* Row @at, told and feasible, among the others. */
static void join(struct search *s, size_t at)
{
	struct sms_state *st = s->state;
	size_t m = s->domain->n_objectives;

	st->dominators[at] = 0;
	for (size_t i = 0; i < st->n; i++) {
		int order;

		if (st->violation[i] > 0)
			continue;
		order = search_compare(st->f + i * m, st->f + at * m, m);
		st->dominators[at] += order == -1;
		if (order == 1 && st->dominators[i]++ == 0)
			contribution_drop(&st->front, (uint32_t)i);
	}
	if (st->dominators[at] == 0)
		contribution_add(&st->front, st->f + at * m, (uint32_t)at);
}

/* The row to remove of population and newcomer: what violates most, else what most
 * dominate, else what contributes least. None left is dominated by it. */
static size_t worst(struct sms_state *st)
{
	size_t violating = 0, dominated = 0;

	for (size_t i = 1; i <= st->size; i++) {
		if (st->violation[i] > st->violation[violating])
			violating = i;
		if (st->dominators[i] > st->dominators[dominated])
			dominated = i;
	}
	if (st->violation[violating] > 0)
		return violating;
	if (st->dominators[dominated] > 0)
		return dominated;
	return contribution_least(&st->front);
}

static void replace(struct search *s, size_t at)
{
	struct sms_state *st = s->state;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives, last = st->size;

	contribution_drop(&st->front, (uint32_t)at);
	if (at == last)
		return;
	memcpy(st->x + at * n_vars, st->x + last * n_vars, n_vars * sizeof *st->x);
	memcpy(st->f + at * m, st->f + last * m, m * sizeof *st->f);
	st->violation[at] = st->violation[last];
	st->dominators[at] = st->dominators[last];
	contribution_rename(&st->front, (uint32_t)last, (uint32_t)at);
}

static void sms_tell(struct search *s, const double *x, const double *f, const double *violation,
		     size_t n)
{
	struct sms_state *st = s->state;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives;

	for (size_t i = 0; i < n; i++) {
		size_t at = st->n;

		memcpy(st->x + at * n_vars, x + i * n_vars, n_vars * sizeof *x);
		memcpy(st->f + at * m, f + i * m, m * sizeof *f);
		st->violation[at] = violation[i];
		st->dominators[at] = 0;
		if (!(violation[i] > 0))
			join(s, at);
		if (st->n < st->size)
			st->n++;
		else
			replace(s, worst(st));
	}
}

static void sms_answer(const struct search *s, struct search_points *out)
{
	const struct sms_state *st = s->state;

	*out = (struct search_points){ st->n, st->x, st->f, st->violation };
}

const struct search_ops search_sms_emoa = {
	.name = "sms_emoa",
	.summary = "genetic algorithm: one offspring at a time, the least hypervolume leaves",
	.source = "Beume, Naujoks, Emmerich, EJOR 181(3) 2007",
	.fields = sms_fields,
	.cfg_size = sizeof(struct sms_cfg),
	.state_size = sizeof(struct sms_state),
	.open = sms_open,
	.batch = sms_batch,
	.ask = sms_ask,
	.tell = sms_tell,
	.answer = sms_answer,
};
