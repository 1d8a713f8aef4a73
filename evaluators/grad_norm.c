#include <math.h>

#include "proxy.h"

/* Abdelfattah et al., ICLR 2021 (arXiv 2101.08134): the sum over convolutions and dense
 * layers of the Euclidean norm of dL/dtheta, L the cross-entropy of one batch. */

static const struct cfg_field grad_norm_fields[] = {
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
		double square = 0;

		for (size_t i = q->at; i < q->at + q->n && q->role == PARAM_WEIGHTS; i++)
			square += (double)p->runner.gradient[i] * (double)p->runner.gradient[i];
		sum += sqrt(square);
	}
	return sum;
}

static const struct proxy_method grad_norm_method = {
	.use = PLAN_TRAIN,
	.batches = 1,
	.score = score,
	.degenerate = "the gradient is not a finite number",
};

static const struct metric grad_norm_metrics[] = {
	{ "grad_norm", "grad_norm", UNIT_NONE, true, false,
	  "proxy: summed norms of the gradients of one batch, untrained" },
};

const struct evaluator_ops evaluator_grad_norm = {
	.name = "grad_norm",
	.summary = "proxy: how steep the loss of the untrained network is",
	.source = "Abdelfattah et al., ICLR 2021, arXiv 2101.08134",
	.metric = grad_norm_metrics,
	.n_metrics = 1,
	.provenance = "proxy: gradient norm of the untrained network",
	.needs_data = true,
	.fields = grad_norm_fields,
	.cfg_size = sizeof(struct proxy_cfg),
	.machine = proxy_machine,
	.worker_open = proxy_open,
	.run = proxy_run,
	.worker_close = proxy_close,
	.method = &grad_norm_method,
};
