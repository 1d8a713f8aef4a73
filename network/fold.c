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

/* ---- pads ---------------------------------------------------------------------- */

/* A network's pads: which merge into what reads them. */
struct pads {
	const struct network *net;
	uint32_t *count, *reader; /* network_consumers(), network_lifetimes() */
	bool stay;
};

static bool has_window(enum net_kind kind)
{
	return kind == NET_CONV2D || kind == NET_DEPTHWISE || kind == NET_MAX_POOL ||
	       kind == NET_AVG_POOL;
}

static bool never_negative(const struct net_op *o)
{
	return o->act != NET_LINEAR || o->kind == NET_RELU || o->kind == NET_RELU6;
}

static bool into_pool(const struct pads *p, uint32_t op, const struct net_op *pool);

static bool merges(const struct pads *p, uint32_t op)
{
	const struct net_op *r;

	if (p->stay || p->net->op[op].kind != NET_PAD || p->count[op] != 1)
		return false;
	r = &p->net->op[p->reader[op]];
	return r->kind == NET_CONV2D || r->kind == NET_DEPTHWISE || r->kind == NET_PAD ||
	       (r->kind == NET_MAX_POOL && into_pool(p, op, r));
}

/* Pad @op, with those that merge into it. */
static bool into_pool(const struct pads *p, uint32_t op, const struct net_op *pool)
{
	struct net_op all = *pool;

	do {
		all.pad_top += p->net->op[op].pad_top;
		all.pad_left += p->net->op[op].pad_left;
		all.pad_bottom += p->net->op[op].pad_bottom;
		all.pad_right += p->net->op[op].pad_right;
		op = network_inputs(p->net, op)[0];
	} while (merges(p, op));
	return never_negative(&p->net->op[op]) && all.pad_top < pool->kernel_h &&
	       all.pad_bottom < pool->kernel_h && all.pad_left < pool->kernel_w &&
	       all.pad_right < pool->kernel_w;
}

/* The nearest operator from @op back that is not a pad that merges. */
static uint32_t behind_pads(const struct pads *p, uint32_t op)
{
	while (merges(p, op))
		op = network_inputs(p->net, op)[0];
	return op;
}

/* The pads in front of operator @i that merge, into its copy @o. */
static void take_pads(const struct pads *p, size_t i, struct net_op *o, uint32_t *map)
{
	for (uint32_t at = network_inputs(p->net, i)[0]; merges(p, at);
	     at = network_inputs(p->net, at)[0]) {
		const struct net_op *pad = &p->net->op[at];

		if (o->kind != NET_PAD)
			o->padding = NET_EXPLICIT;
		o->pad_top += pad->pad_top;
		o->pad_left += pad->pad_left;
		o->pad_bottom += pad->pad_bottom;
		o->pad_right += pad->pad_right;
		map[at] = map[i];
	}
}

/* Whether windows along an axis lie as under same padding; if so, the cells behind. */
static bool lies_same(uint32_t in, uint32_t out, uint32_t kernel, uint32_t stride, uint32_t before,
		      uint32_t *after)
{
	uint64_t span = (uint64_t)(out - 1) * stride + kernel, all = span > in ? span - in : 0;

	*after = (uint32_t)(all - all / 2);
	return out == (in - 1) / stride + 1 && before == all / 2;
}

static bool lies_valid(uint32_t in, uint32_t out, uint32_t kernel, uint32_t stride, uint32_t before)
{
	return kernel <= in && out == (in - kernel) / stride + 1 && before == 0;
}

static void name_padding(struct net_op *o, struct net_shape in)
{
	uint32_t bottom, right;

	if (lies_same(in.h, o->out.h, o->kernel_h, o->stride, o->pad_top, &bottom) &&
	    lies_same(in.w, o->out.w, o->kernel_w, o->stride, o->pad_left, &right)) {
		o->padding = NET_SAME;
		o->pad_bottom = bottom;
		o->pad_right = right;
	} else if (lies_valid(in.h, o->out.h, o->kernel_h, o->stride, o->pad_top) &&
		   lies_valid(in.w, o->out.w, o->kernel_w, o->stride, o->pad_left)) {
		o->padding = NET_VALID;
		o->pad_bottom = o->pad_right = 0;
	}
}

/* ---- folding ------------------------------------------------------------------- */

/* Operator @i, as it is in the network that is folded, to the end of @out. */
static void keep(const struct pads *p, size_t i, struct network *out, uint32_t *map)
{
	const uint32_t *in = network_inputs(p->net, i);
	struct net_op o = p->net->op[i];

	map[i] = (uint32_t)out->n_ops;
	o.first_input = (uint32_t)out->n_edges;
	for (uint32_t e = 0; e < o.n_inputs; e++)
		out->edge[out->n_edges++] = map[behind_pads(p, in[e])];
	if (has_window(o.kind) || o.kind == NET_PAD)
		take_pads(p, i, &o, map);
	if (has_window(o.kind) && o.padding == NET_EXPLICIT)
		name_padding(&o, out->op[out->edge[o.first_input]].out);
	out->op[out->n_ops++] = o;
}

enum { PADS = 1, LAYERS = 2 }; /* what is folded */

static void fold(const struct network *net, struct arena *a, int what, struct network *out,
		 uint32_t *source)
{
	struct pads p = { .net = net, .stay = !(what & PADS) };
	struct arena_mark m;
	uint32_t *map;

	like(net, a, out);
	out->n_ops = out->n_edges = 0;
	m = arena_mark(a);
	p.count = ARENA_NEW(a, uint32_t, net->n_ops);
	p.reader = ARENA_NEW(a, uint32_t, net->n_ops);
	map = source ? source : ARENA_NEW(a, uint32_t, net->n_ops);
	network_consumers(net, p.count);
	network_lifetimes(net, p.reader);
	for (uint32_t i = 0; i < net->n_ops; i++) {
		const struct net_op *o = &net->op[i];
		uint32_t in = o->n_inputs == 1 ? network_inputs(net, i)[0] : i;

		if (merges(&p, i)) /* its reader takes it */
			continue;
		if (what & LAYERS && in != i && !merges(&p, in) && p.count[in] == 1 &&
		    absorb(&out->op[map[in]], o))
			map[i] = map[in];
		else
			keep(&p, i, out, map);
	}
	arena_rewind(a, m);
}

void network_fold_pads(const struct network *net, struct arena *a, struct network *out)
{
	fold(net, a, PADS, out, NULL);
}

void network_fold(const struct network *net, struct arena *a, struct network *out, uint32_t *source)
{
	fold(net, a, PADS | LAYERS, out, source);
}

void network_fold_layers(const struct network *net, struct arena *a, struct network *out,
			 uint32_t *source)
{
	fold(net, a, LAYERS, out, source);
}

/* ---- what is used ---------------------------------------------------------------- */

void network_used(const struct network *net, struct arena *a, struct network *out, uint32_t *index)
{
	bool *used = ARENA_NEW(a, bool, net->n_ops);
	uint32_t *map = ARENA_NEW(a, uint32_t, net->n_ops), end = (uint32_t)net->n_ops - 1;

	while (net->op[end].kind == NET_SOFTMAX)
		end = network_inputs(net, end)[0];
	used[0] = used[end] = true;
	for (uint32_t i = end; i > 0; i--)
		for (uint32_t e = 0; used[i] && e < net->op[i].n_inputs; e++)
			used[network_inputs(net, i)[e]] = true;
	like(net, a, out);
	out->n_ops = out->n_edges = 0;
	for (uint32_t i = 0; i <= end; i++) {
		struct net_op o = net->op[i];

		if (!used[i])
			continue;
		o.first_input = (uint32_t)out->n_edges;
		for (uint32_t e = 0; e < o.n_inputs; e++)
			out->edge[out->n_edges++] = map[network_inputs(net, i)[e]];
		map[i] = (uint32_t)out->n_ops;
		index[out->n_ops] = i;
		out->op[out->n_ops++] = o;
	}
}

/* ---- another input -------------------------------------------------------------- */

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
