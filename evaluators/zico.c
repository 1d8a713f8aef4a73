#include <math.h>
#include <string.h>

#include "proxy.h"

/* ZiCo, Li et al., ICLR 2023 (arXiv 2301.11300): of two batches the gradients g1, g2 of
 * each weight; the sum over convolutions and dense layers of the logarithm of the sum of
 * mean |g| / standard deviation over the weights. Where the deviation is 0 the weight
 * does not count, and neither does a layer without any other. */

static const struct cfg_field zico_fields[] = {
	PROXY_IMAGES_FIELD(
		"32", "training images of each of the two batches, the same for all candidates"),
	PROXY_REPEATS_FIELD("3"), PROXY_SIZE_FIELD, CFG_END
};

static enum nasc_status begin(struct proxy *p, struct nasc_err *err)
{
	(void)err;
	p->state = ARENA_NEW(&p->arena, float, p->plan.n_weights);
	return NASC_OK;
}

/* The deviation of two numbers is half their distance. */
static double layer_score(const float *a, const float *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		double distance = fabs((double)a[i] - (double)b[i]);

		if (distance > 0)
			sum += (fabs((double)a[i]) + fabs((double)b[i])) / distance;
	}
	return sum > 0 ? log(sum) : 0;
}

static double score(struct proxy *p, struct rng *rng)
{
	const struct plan *plan = &p->plan;
	const float *first = p->state;
	double sum = 0;

	(void)rng;
	proxy_gradients(p);
	memcpy(p->state, p->runner.gradient, plan->n_weights * sizeof *first);
	proxy_load(p, 1);
	proxy_gradients(p);
	for (size_t k = 0; k < plan->n_params; k++) {
		const struct param *q = &plan->param[k];

		if (q->role == PARAM_WEIGHTS)
			sum += layer_score(first + q->at, p->runner.gradient + q->at, q->n);
	}
	return sum;
}

static const struct proxy_method zico_method = {
	.use = PLAN_TRAIN,
	.weights = PROXY_NORMAL,
	.batches = 2,
	.begin = begin,
	.score = score,
	.degenerate = "the gradient is not a finite number",
};

static const struct metric zico_metrics[] = {
	{ "zico", "zico", UNIT_NONE, true, false,
	  "proxy: logarithms of mean over deviation of the gradients of two batches" },
};

const struct evaluator_ops evaluator_zico = {
	.name = "zico",
	.summary = "proxy: how far the gradients of two batches agree in the untrained network",
	.source = "Li et al., ICLR 2023, arXiv 2301.11300",
	.metric = zico_metrics,
	.n_metrics = 1,
	.provenance = "proxy: ZiCo of the untrained network",
	.needs_data = true,
	.fields = zico_fields,
	.cfg_size = sizeof(struct proxy_cfg),
	.machine = proxy_machine,
	.worker_open = proxy_open,
	.run = proxy_run,
	.worker_close = proxy_close,
	.method = &zico_method,
};
