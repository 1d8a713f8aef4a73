#include <string.h>

#include "proxy.h"

/* SWAP, Peng et al., ICLR 2024 (arXiv 2403.04161): of each unit behind a ReLU, which
 * images open it; the score is the number of different patterns among all units. */
#define IMAGES_MAX 24

static const struct cfg_field swap_fields[] = {
	CFG_INT_FIELD(struct proxy_cfg, images, "16", 2, IMAGES_MAX, "images",
		      "training images of the patterns, the same for all candidates"),
	PROXY_REPEATS_FIELD("3"), PROXY_SIZE_FIELD, CFG_END
};

struct patterns {
	uint64_t *seen; /* one bit for each of 2^images patterns */
	size_t n;
	uint32_t **unit; /* of each of the plan's codes: patterns of its units */
};

/* Take the bits of some images; with the last ones the layer's patterns are whole. */
static void layer_add(void *ctx, const struct plan_code *c)
{
	struct proxy *p = ctx;
	struct patterns *s = p->state;
	struct rows y = runner_rows(&p->runner, c->y);
	size_t units = (size_t)c->pixels * c->c, first = p->runner.first;
	uint32_t *unit = s->unit[c - p->plan.code];

	if (first == 0)
		memset(unit, 0, units * sizeof *unit);
	for (size_t i = 0; i < p->runner.count; i++)
		for (size_t pixel = 0; pixel < c->pixels; pixel++) {
			const float *row = (const float *)y.at + (i * c->pixels + pixel) * y.stride;

			for (size_t k = 0; k < c->c; k++)
				unit[pixel * c->c + k] |= (uint32_t)(row[k] > 0) << (first + i);
		}
	for (size_t k = 0; k < units && first + p->runner.count == p->plan.images; k++) {
		uint64_t *word = &s->seen[unit[k] / 64], bit = UINT64_C(1) << unit[k] % 64;

		s->n += !(*word & bit);
		*word |= bit;
	}
}

static size_t seen_words(const struct proxy *p)
{
	return ((size_t)1 << p->plan.images) / 64 + 1;
}

static enum nasc_status begin(struct proxy *p, struct nasc_err *err)
{
	struct patterns *s = p->state = ARENA_NEW(&p->arena, struct patterns, 1);

	if (p->plan.n_codes == 0)
		return nasc_fail(err, NASC_CONFIG, "the network has no ReLU to take patterns from");
	s->unit = ARENA_NEW(&p->arena, uint32_t *, p->plan.n_codes);
	for (size_t i = 0; i < p->plan.n_codes; i++)
		s->unit[i] = ARENA_NEW(&p->arena, uint32_t,
				       (size_t)p->plan.code[i].pixels * p->plan.code[i].c);
	s->seen = ARENA_NEW(&p->arena, uint64_t, seen_words(p));
	p->runner.see_code = layer_add;
	p->runner.see_ctx = p;
	return NASC_OK;
}

static double score(struct proxy *p, struct rng *rng)
{
	struct patterns *s = p->state;

	(void)rng;
	memset(s->seen, 0, seen_words(p) * sizeof *s->seen);
	s->n = 0;
	runner_forward(&p->runner, RUN_TRAIN);
	return (double)s->n;
}

static const struct proxy_method swap_method = {
	.use = PLAN_FORWARD,
	.batches = 1,
	.begin = begin,
	.score = score,
	.degenerate = "the score is not a finite number",
};

static const struct metric swap_metrics[] = {
	{ "swap", "swap", UNIT_NONE, true, false,
	  "proxy: number of different patterns in which images open ReLUs, untrained" },
};

const struct evaluator_ops evaluator_swap = {
	.name = "swap",
	.summary = "proxy: in how many ways images open the ReLUs of the untrained network",
	.source = "Peng et al., ICLR 2024, arXiv 2403.04161",
	.metric = swap_metrics,
	.n_metrics = 1,
	.provenance = "proxy: SWAP of the untrained network",
	.needs_data = true,
	.fields = swap_fields,
	.cfg_size = sizeof(struct proxy_cfg),
	.machine = proxy_machine,
	.worker_open = proxy_open,
	.run = proxy_run,
	.worker_close = proxy_close,
	.method = &swap_method,
};
