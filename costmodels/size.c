#include "deployed.h"
#include "models.h"

/* No target says how wide weights are: one byte, as every int8 runtime. */
#define WEIGHT_BITS 8

enum { PARAMS, MACS, WEIGHTS, N_METRICS };

static const struct metric metrics[N_METRICS] = {
	[PARAMS] = { "params", "params", UNIT_NONE, false, true,
		     "trainable parameters: weights, biases, two a channel of batch norm" },
	[MACS] = { "macs", "macs", UNIT_NONE, false, true,
		   "multiply-accumulates of convolutions and dense layers for one image" },
	[WEIGHTS] = { "weights_bytes", "weights", UNIT_BYTE, false, true,
		      "constants as deployed: weights of 8 bits, biases of 32, batch norm folded" },
};

static enum nasc_status cost(const struct costmodel *m, const struct network *net,
			     struct arena *scratch, struct cost *out, struct nasc_err *err)
{
	struct deployed d;
	double weights = 0;

	(void)m, (void)err;
	deployed_init(&d, net, scratch);
	for (size_t i = 0; out->per_op && i < net->n_ops; i++) {
		double *row = out->per_op + i * N_METRICS;

		row[PARAMS] = (double)network_op_params(net, i);
		row[MACS] = (double)network_op_macs(net, i);
		row[WEIGHTS] = 0;
	}
	for (size_t i = 0; i < d.net.n_ops; i++) {
		double bytes = (double)deployed_constants(&d.net, i, WEIGHT_BITS);

		weights += bytes;
		if (out->per_op)
			out->per_op[d.row[i] * N_METRICS + WEIGHTS] = bytes;
	}
	out->value[PARAMS] = (double)network_params(net);
	out->value[MACS] = (double)network_macs(net);
	out->value[WEIGHTS] = weights;
	for (size_t i = 0; i < N_METRICS; i++)
		out->bound[i] = false;
	return NASC_OK;
}

static const char *provenance(const struct costmodel *m, size_t i)
{
	(void)m;
	return i == WEIGHTS ? "counted: 8-bit weights and 32-bit biases, batch norm folded"
			    : "counted";
}

const struct costmodel_ops costmodel_size = {
	.name = "size",
	.summary = "parameters, multiply-accumulates and bytes of weights; needs no target",
	.source = "definition",
	.metric = metrics,
	.n_metrics = N_METRICS,
	.cost = cost,
	.provenance = provenance,
};
