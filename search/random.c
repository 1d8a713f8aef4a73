#include "strategies.h"

#include "best.h"
#include "variation.h"

struct random_cfg {
	int64_t batch;
};

static const struct cfg_field random_fields[] = {
	CFG_INT_FIELD(struct random_cfg, batch, "100", 1, 1e6, "candidates",
		      "candidates proposed at once"),
	CFG_END,
};

static enum nasc_status random_open(struct search *s, struct nasc_err *err)
{
	(void)err;
	best_init(s->state, s->domain, s->arena);
	return NASC_OK;
}

static size_t random_batch(const struct search *s)
{
	const struct random_cfg *cfg = s->cfg;

	return (size_t)cfg->batch;
}

static size_t random_ask(struct search *s, double *x, size_t cap)
{
	size_t n = random_batch(s);

	n = n < cap ? n : cap;
	for (size_t i = 0; i < n; i++)
		variation_sample(s->domain, s->rng, x + i * s->domain->n_vars);
	return n;
}

static void random_tell(struct search *s, const double *x, const double *f, const double *violation,
			size_t n)
{
	best_tell(s->state, x, f, violation, n);
}

static void random_answer(const struct search *s, struct search_points *out)
{
	best_answer(s->state, out);
}

const struct search_ops search_random = {
	.name = "random",
	.summary = "uniform random sampling; keeps up to 10,000 that are not dominated",
	.source = "baseline",
	.fields = random_fields,
	.cfg_size = sizeof(struct random_cfg),
	.state_size = sizeof(struct best),
	.open = random_open,
	.batch = random_batch,
	.ask = random_ask,
	.tell = random_tell,
	.answer = random_answer,
};
