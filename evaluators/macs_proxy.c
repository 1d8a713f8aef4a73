#include "evaluators.h"
#include "proxy.h"

/* The number of multiply-accumulates, more is better: what any proxy has to beat. */

static const struct cfg_field macs_fields[] = { CFG_END };

static enum eval_outcome run(struct evaluator *e, void *worker, const struct eval_request *request,
			     struct eval_result *result)
{
	(void)e, (void)worker;
	if (request->cancel && atomic_load(request->cancel))
		return EVAL_CANCELLED;
	result->value[0] = (double)network_macs(request->net);
	return EVAL_OK;
}

static const struct metric macs_metrics[] = {
	{ "macs_proxy", "macs_proxy", UNIT_NONE, true, false,
	  "proxy: number of multiply-accumulates, more is better" },
};

const struct evaluator_ops evaluator_macs = {
	.name = "macs",
	.summary = "proxy: the number of multiply-accumulates, for comparison",
	.source = "baseline",
	.metric = macs_metrics,
	.n_metrics = 1,
	.provenance = "proxy: number of multiply-accumulates",
	.fields = macs_fields,
	.cfg_size = sizeof(struct proxy_cfg),
	.run = run,
};
