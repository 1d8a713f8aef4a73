#include <math.h>
#include <string.h>

#include "proxy.h"

/* Zen-score, Lin et al., ICCV 2021 (arXiv 2102.01063): weights N(0, 1), batch norms in
 * training mode, x and x' noise of N(0, 1), f the features in front of the last global
 * average pool; the score is log of the mean over the batch of |f(x) - f(x + x' / 100)|_1,
 * plus for each batch norm log sqrt of the mean variance of its channels. Links that skip
 * layers stay in, other than in the original. */
#define STEP 0.01

static const struct cfg_field zen_fields[] = {
	PROXY_IMAGES_FIELD("16", "random images of the batch"), PROXY_REPEATS_FIELD("8"),
	PROXY_SIZE_FIELD, CFG_END
};

struct zen {
	float *image, *features;
	size_t n_image, n_features;
};

static enum nasc_status begin(struct proxy *p, struct nasc_err *err)
{
	struct zen *s = p->state = ARENA_NEW(&p->arena, struct zen, 1);
	size_t n = p->plan.images;

	(void)err;
	s->n_image = n * net_elements(p->plan.input);
	s->n_features = n * p->plan.logit_pixels * p->plan.logit_channels;
	s->image = ARENA_NEW(&p->arena, float, s->n_image);
	s->features = ARENA_NEW(&p->arena, float, s->n_features);
	return NASC_OK;
}

/* What the batch norms took away. */
static double norms_scale(const struct proxy *p)
{
	double sum = 0;

	for (size_t k = 0; k < p->plan.n_norms; k++) {
		const struct plan_norm *q = &p->plan.norm[k];
		double var = 0;

		for (uint32_t c = 0; c < q->c; c++)
			var += (double)p->runner.var[q->channel + c];
		sum += 0.5 * log(var / q->c);
	}
	return sum;
}

static double score(struct proxy *p, struct rng *rng)
{
	struct zen *s = p->state;
	double moved = 0, scale;

	for (size_t i = 0; i < s->n_image; i++)
		s->image[i] = (float)rng_normal(rng);
	runner_load(&p->runner, s->image);
	runner_forward(&p->runner, RUN_TRAIN);
	scale = norms_scale(p);
	memcpy(s->features, p->runner.logits, s->n_features * sizeof *s->features);
	for (size_t i = 0; i < s->n_image; i++)
		s->image[i] += (float)(STEP * rng_normal(rng));
	runner_load(&p->runner, s->image);
	runner_forward(&p->runner, RUN_TRAIN);
	for (size_t i = 0; i < s->n_features; i++)
		moved += fabs((double)s->features[i] - (double)p->runner.logits[i]);
	return log(moved / p->plan.images) + scale;
}

static const struct proxy_method zen_method = {
	.use = PLAN_FORWARD,
	.weights = PROXY_UNIT,
	.features = true,
	.score = score,
	.begin = begin,
	.degenerate = "the features do not change with the image, or grow out of range",
};

static const struct metric zen_metrics[] = {
	{ "zen", "zen", UNIT_NONE, true, false,
	  "proxy: how far the features of noise move with it, untrained" },
};

const struct evaluator_ops evaluator_zen = {
	.name = "zen",
	.summary = "proxy: how expressive the untrained network is, without any data",
	.source = "Lin et al., ICCV 2021, arXiv 2102.01063",
	.metric = zen_metrics,
	.n_metrics = 1,
	.provenance = "proxy: Zen-score of the untrained network",
	.needs_data = false,
	.fields = zen_fields,
	.cfg_size = sizeof(struct proxy_cfg),
	.machine = proxy_machine,
	.worker_open = proxy_open,
	.run = proxy_run,
	.worker_close = proxy_close,
	.method = &zen_method,
};
