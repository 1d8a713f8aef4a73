#include "evaluators.h"
#include "proxy.h"

/* The number of parameters, more is better: what any proxy has to beat. */

static const struct cfg_field params_fields[] = { CFG_END };

static enum eval_outcome run(struct evaluator *e, void *worker, const struct eval_request *request,
			     struct eval_result *result)
{
	(void)e, (void)worker;
	if (request->cancel && atomic_load(request->cancel))
		return EVAL_CANCELLED;
	result->value[0] = (double)network_params(request->net);
	return EVAL_OK;
}

static const struct metric params_metrics[] = {
	{ "params_proxy", "params_proxy", UNIT_NONE, true, false,
	  "proxy: number of parameters, more is better" },
};

const struct evaluator_ops evaluator_params = {
	.name = "params",
	.summary = "proxy: the number of parameters, for comparison",
	.source = "baseline",
	.metric = params_metrics,
	.n_metrics = 1,
	.provenance = "proxy: number of parameters",
	.fields = params_fields,
	.cfg_size = sizeof(struct proxy_cfg),
	.run = run,
};
