#include <math.h>
#include <string.h>

#include "network.h"

/* Convolutions over space, convolutions of single positions, pooling. */
enum layer { SPATIAL, POINTWISE, POOLING, LAYERS, NO_LAYER = LAYERS };

/* Counts are taken over all ways from the input to an operator's output. */
struct ways {
	double log_n;		 /* natural logarithm of how many there are */
	double most[LAYERS + 1]; /* layers of each sort on a way, at the end: with weights */
	double least[LAYERS + 1];
	double mean[LAYERS + 1];
};

static enum layer layer_of(const struct net_op *op)
{
	switch (op->kind) {
	case NET_CONV2D:
	case NET_DEPTHWISE:
		return op->kernel_h > 1 || op->kernel_w > 1 ? SPATIAL : POINTWISE;
	case NET_DENSE:
		return POINTWISE;
	case NET_MAX_POOL:
	case NET_AVG_POOL:
		return POOLING;
	default:
		return NO_LAYER;
	}
}

/* Operators that the output depends on. */
static void mark_live(const struct network *net, bool *live)
{
	memset(live, 0, net->n_ops * sizeof *live);
	live[net->n_ops - 1] = true;
	for (size_t i = net->n_ops; i-- > 0;)
		for (uint32_t k = 0; live[i] && k < net->op[i].n_inputs; k++)
			live[network_inputs(net, i)[k]] = true;
}

static void join(const struct ways *in, struct ways *w)
{
	double log_n = fmax(w->log_n, in->log_n) + log1p(exp(-fabs(w->log_n - in->log_n)));
	double share = exp(in->log_n - log_n);

	for (size_t k = 0; k <= LAYERS; k++) {
		w->most[k] = fmax(w->most[k], in->most[k]);
		w->least[k] = fmin(w->least[k], in->least[k]);
		w->mean[k] += share * (in->mean[k] - w->mean[k]);
	}
	w->log_n = log_n;
}

static void pass(enum layer layer, struct ways *w)
{
	if (layer == NO_LAYER)
		return;
	for (size_t k = 0; k <= LAYERS; k++)
		if (k == (size_t)layer || (k == LAYERS && layer != POOLING)) {
			w->most[k]++;
			w->least[k]++;
			w->mean[k]++;
		}
}

void network_structure(const struct network *net, struct arena *scratch,
		       double out[NETWORK_STRUCTURE])
{
	struct arena_mark mark = arena_mark(scratch);
	struct ways *way = ARENA_NEW(scratch, struct ways, net->n_ops);
	const struct ways *end = &way[net->n_ops - 1];
	bool *live = ARENA_NEW(scratch, bool, net->n_ops);
	double count[LAYERS + 1] = { 0 }, merged = 0;
	size_t at = 0;

	mark_live(net, live);
	for (size_t i = 1; i < net->n_ops; i++) {
		const uint32_t *in = network_inputs(net, i);
		const struct net_op *op = &net->op[i];

		if (!live[i])
			continue;
		way[i] = way[in[0]];
		for (uint32_t k = 1; k < op->n_inputs; k++)
			join(&way[in[k]], &way[i]);
		pass(layer_of(op), &way[i]);
		count[layer_of(op)]++;
		merged += op->n_inputs - 1;
	}
	out[at++] = end->log_n;
	for (size_t k = 0; k <= LAYERS; k++) {
		if (k == POINTWISE)
			continue; /* with weights, less those over space */
		out[at++] = end->most[k];
		out[at++] = end->least[k];
		out[at++] = end->mean[k];
	}
	for (size_t k = 0; k < LAYERS; k++)
		out[at++] = count[k];
	out[at] = merged;
	arena_rewind(scratch, mark);
}
