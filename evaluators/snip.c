#include <math.h>

#include "proxy.h"

/* SNIP, Lee et al., ICLR 2019 (arXiv 1810.02340), as a score of a whole network
 * (Abdelfattah et al., ICLR 2021, arXiv 2101.08134): the sum of |theta * dL/dtheta| over
 * the weights of convolutions and dense layers, L the cross-entropy of one batch. */

static const struct cfg_field snip_fields[] = {
	PROXY_IMAGES_FIELD("32", "training images of the batch, the same for all candidates"),
	PROXY_REPEATS_FIELD("3"), PROXY_SIZE_FIELD, CFG_END
};

static double score(struct proxy *p, struct rng *rng)
{
	const struct plan *plan = &p->plan;
	double sum = 0;

	(void)rng;
	proxy_gradients(p);
	for (size_t k = 0; k < plan->n_params; k++) {
		const struct param *q = &plan->param[k];

		for (size_t i = q->at; i < q->at + q->n && q->role == PARAM_WEIGHTS; i++)
			sum += fabs((double)p->model.weights[i] * (double)p->runner.gradient[i]);
	}
	return sum;
}

static const struct proxy_method snip_method = {
	.use = PLAN_TRAIN,
	.batches = 1,
	.score = score,
	.degenerate = "the gradient is not a finite number",
};

static const struct metric snip_metrics[] = {
	{ "snip", "snip", UNIT_NONE, true, false,
	  "proxy: summed |weight * gradient| of one batch, untrained" },
};

const struct evaluator_ops evaluator_snip = {
	.name = "snip",
	.summary = "proxy: how much the weights of the untrained network matter to its loss",
	.source = "Lee et al., ICLR 2019, arXiv 1810.02340",
	.metric = snip_metrics,
	.n_metrics = 1,
	.provenance = "proxy: SNIP of the untrained network",
	.needs_data = true,
	.fields = snip_fields,
	.cfg_size = sizeof(struct proxy_cfg),
	.machine = proxy_machine,
	.worker_open = proxy_open,
	.run = proxy_run,
	.worker_close = proxy_close,
	.method = &snip_method,
};
