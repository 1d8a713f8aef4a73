#include "network.h"

#include <string.h>

/* Room for what @net holds, in @a: nothing grows afterwards. */
static void like(const struct network *net, struct arena *a, struct network *out)
{
	*out = *net;
	out->arena = a;
	out->cap_ops = net->n_ops;
	out->cap_edges = net->n_edges;
	out->op = ARENA_NEW(a, struct net_op, net->n_ops);
	out->edge = ARENA_NEW(a, uint32_t, net->n_edges);
}

static bool has_weights(enum net_kind kind)
{
	return kind == NET_CONV2D || kind == NET_DEPTHWISE || kind == NET_DENSE;
}

/* Whether @o vanishes into @into, the operator that computes its input; if so
 * @into is changed to compute both. */
static bool absorb(struct net_op *into, const struct net_op *o)
{
	if (into->act != NET_LINEAR)
		return false;
	switch (o->kind) {
	case NET_BATCH_NORM:
		if (!has_weights(into->kind))
			return false;
		into->bias = true;
		into->act = o->act;
		return true;
	case NET_RELU:
	case NET_RELU6:
		if (!has_weights(into->kind) && into->kind != NET_ADD &&
		    into->kind != NET_BATCH_NORM)
			return false;
		into->act = o->kind == NET_RELU ? NET_ACT_RELU : NET_ACT_RELU6;
		return true;
	default:
		return false;
	}
}

void network_fold(const struct network *net, struct arena *a, struct network *out, uint32_t *source)
{
	struct arena_mark m;
	uint32_t *count, *map;

	like(net, a, out);
	out->n_ops = out->n_edges = 0;
	m = arena_mark(a);
	count = ARENA_NEW(a, uint32_t, net->n_ops);
	map = source ? source : ARENA_NEW(a, uint32_t, net->n_ops);
	network_consumers(net, count);
	for (size_t i = 0; i < net->n_ops; i++) {
		const struct net_op *o = &net->op[i];
		const uint32_t *in = network_inputs(net, i);

		if (o->n_inputs == 1 && count[in[0]] == 1 && absorb(&out->op[map[in[0]]], o)) {
			map[i] = map[in[0]];
			continue;
		}
		map[i] = (uint32_t)out->n_ops;
		out->op[out->n_ops] = *o;
		out->op[out->n_ops++].first_input = (uint32_t)out->n_edges;
		for (uint32_t e = 0; e < o->n_inputs; e++)
			out->edge[out->n_edges++] = map[in[e]];
	}
	arena_rewind(a, m);
}

enum nasc_status network_resize(const struct network *net, uint32_t h, uint32_t w, struct arena *a,
				struct network *out, struct nasc_err *err)
{
	struct arena_mark m = arena_mark(a);
	struct network copy;

	like(net, a, &copy);
	memcpy(copy.op, net->op, net->n_ops * sizeof *net->op);
	if (net->n_edges)
		memcpy(copy.edge, net->edge, net->n_edges * sizeof *net->edge);
	copy.input.h = h;
	copy.input.w = w;
	if (network_infer(&copy, err)) {
		arena_rewind(a, m);
		return nasc_wrap(err, "at input %ux%u", h, w);
	}
	*out = copy;
	return NASC_OK;
}
