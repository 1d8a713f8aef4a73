#include "import.h"
#include "network.h"

#include <string.h>

#define OPS_FIRST 64 /* operators a small network needs: no growth below that */

/* What a kind is, once: names, arity and which members of net_op it uses. */
static const struct kind {
	const char *name;
	uint32_t min_inputs, max_inputs;
	bool window; /* kernel, stride, padding */
	bool width;  /* out_channels */
	bool act;    /* may carry a fused activation */
} kind_table[NET_KIND_COUNT] = {
	[NET_INPUT] = { "input", 0, 0, false, false, false },
	[NET_CONV2D] = { "conv2d", 1, 1, true, true, true },
	[NET_DEPTHWISE] = { "depthwise", 1, 1, true, false, true },
	[NET_DENSE] = { "dense", 1, 1, false, true, true },
	[NET_MAX_POOL] = { "max_pool", 1, 1, true, false, false },
	[NET_AVG_POOL] = { "avg_pool", 1, 1, true, false, false },
	[NET_GLOBAL_POOL] = { "global_pool", 1, 1, false, false, false },
	[NET_ADD] = { "add", 2, NETWORK_MAX_EDGES, false, false, true },
	[NET_CONCAT] = { "concat", 2, NETWORK_MAX_EDGES, false, false, false },
	[NET_BATCH_NORM] = { "batch_norm", 1, 1, false, false, true },
	[NET_RELU] = { "relu", 1, 1, false, false, false },
	[NET_RELU6] = { "relu6", 1, 1, false, false, false },
	[NET_SOFTMAX] = { "softmax", 1, 1, false, false, false },
	[NET_PAD] = { "pad", 1, 1, false, false, false },
	[NET_UPSAMPLE] = { "upsample", 1, 1, false, false, false },
};

/* ---- building -------------------------------------------------------------- */

uint32_t network_append(struct network *net, const struct net_op *op, const uint32_t *in, size_t n)
{
	if (net->n_ops == net->cap_ops) {
		size_t cap = net->cap_ops ? 2 * net->cap_ops : OPS_FIRST;
		struct net_op *grown = ARENA_NEW(net->arena, struct net_op, cap);

		if (net->n_ops)
			memcpy(grown, net->op, net->n_ops * sizeof *grown);
		net->op = grown;
		net->cap_ops = cap;
	}
	if (net->cap_edges - net->n_edges < n) {
		size_t cap = net->cap_edges ? 2 * net->cap_edges : 2 * OPS_FIRST;
		uint32_t *grown;

		while (cap - net->n_edges < n)
			cap *= 2;
		grown = ARENA_NEW(net->arena, uint32_t, cap);
		if (net->n_edges)
			memcpy(grown, net->edge, net->n_edges * sizeof *grown);
		net->edge = grown;
		net->cap_edges = cap;
	}
	net->op[net->n_ops] = *op;
	net->op[net->n_ops].first_input = (uint32_t)net->n_edges;
	net->op[net->n_ops].n_inputs = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		net->edge[net->n_edges++] = in[i];
	return (uint32_t)net->n_ops++;
}

void network_init(struct network *net, struct arena *a, struct net_shape input)
{
	*net = (struct network){ .arena = a, .input = input };
	network_append(net, &(struct net_op){ .kind = NET_INPUT, .out = input }, NULL, 0);
}

uint32_t network_conv2d(struct network *net, uint32_t in, uint32_t out_channels, uint32_t kernel,
			uint32_t stride, uint32_t groups, enum net_padding padding, bool bias)
{
	return network_append(net,
			      &(struct net_op){ .kind = NET_CONV2D,
						.out_channels = out_channels,
						.kernel_h = kernel,
						.kernel_w = kernel,
						.stride = stride,
						.groups = groups,
						.padding = padding,
						.bias = bias },
			      &in, 1);
}

uint32_t network_depthwise(struct network *net, uint32_t in, uint32_t kernel, uint32_t stride,
			   enum net_padding padding, bool bias)
{
	return network_append(net,
			      &(struct net_op){ .kind = NET_DEPTHWISE,
						.kernel_h = kernel,
						.kernel_w = kernel,
						.stride = stride,
						.padding = padding,
						.bias = bias },
			      &in, 1);
}

uint32_t network_dense(struct network *net, uint32_t in, uint32_t units, bool bias)
{
	return network_append(
		net, &(struct net_op){ .kind = NET_DENSE, .out_channels = units, .bias = bias },
		&in, 1);
}

uint32_t network_pool(struct network *net, enum net_kind max_or_avg, uint32_t in, uint32_t kernel,
		      uint32_t stride, enum net_padding padding)
{
	return network_append(net,
			      &(struct net_op){ .kind = max_or_avg,
						.kernel_h = kernel,
						.kernel_w = kernel,
						.stride = stride,
						.padding = padding },
			      &in, 1);
}

uint32_t network_pad(struct network *net, uint32_t in, uint32_t top, uint32_t left, uint32_t bottom,
		     uint32_t right)
{
	return network_append(net,
			      &(struct net_op){ .kind = NET_PAD,
						.pad_top = top,
						.pad_left = left,
						.pad_bottom = bottom,
						.pad_right = right },
			      &in, 1);
}

uint32_t network_unary(struct network *net, enum net_kind kind, uint32_t in)
{
	return network_append(net, &(struct net_op){ .kind = kind }, &in, 1);
}

uint32_t network_merge(struct network *net, enum net_kind kind, const uint32_t *in, size_t n)
{
	return network_append(net, &(struct net_op){ .kind = kind }, in, n);
}

void network_flatten(struct network *net)
{
	for (size_t i = 0; i < net->n_ops && net->input.h == 1; i++)
		if (net->op[i].kernel_h > 1)
			net->op[i].kernel_h = 1;
}

/* ---- counts ---------------------------------------------------------------- */

const char *net_kind_name(enum net_kind kind)
{
	return (unsigned)kind < NET_KIND_COUNT ? kind_table[kind].name : "unknown kind";
}

/* Saturates, so that network_infer() can compare with its bound; exact in
 * every network that passed. */
static uint64_t product(uint64_t a, uint64_t b)
{
	uint64_t p;

	return __builtin_mul_overflow(a, b, &p) ? UINT64_MAX : p;
}

uint64_t net_elements(struct net_shape s)
{
	return (uint64_t)s.h * s.w * s.c;
}

uint64_t network_op_weights(const struct network *net, size_t op)
{
	const struct net_op *o = &net->op[op];
	uint64_t window = (uint64_t)o->kernel_h * o->kernel_w;

	switch (o->kind) {
	case NET_CONV2D:
		return product(window * (network_in_shape(net, op).c / o->groups), o->out_channels);
	case NET_DEPTHWISE:
		return window * o->out.c;
	case NET_DENSE:
		return product(net_elements(network_in_shape(net, op)), o->out_channels);
	default:
		return 0;
	}
}

uint64_t network_op_biases(const struct network *net, size_t op)
{
	return net->op[op].bias ? net->op[op].out.c : 0;
}

uint64_t network_op_params(const struct network *net, size_t op)
{
	if (net->op[op].kind == NET_BATCH_NORM)
		return 2 * (uint64_t)net->op[op].out.c;
	return network_op_weights(net, op) + network_op_biases(net, op);
}

uint64_t network_op_macs(const struct network *net, size_t op)
{
	struct net_shape out = net->op[op].out;

	return product(network_op_weights(net, op), (uint64_t)out.h * out.w);
}

uint64_t network_params(const struct network *net)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < net->n_ops; i++)
		sum += network_op_params(net, i);
	return sum;
}

uint64_t network_macs(const struct network *net)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < net->n_ops; i++)
		sum += network_op_macs(net, i);
	return sum;
}

void network_lifetimes(const struct network *net, uint32_t *last)
{
	for (size_t i = 0; i < net->n_ops; i++) {
		const uint32_t *in = network_inputs(net, i);

		last[i] = (uint32_t)i;
		for (uint32_t k = 0; k < net->op[i].n_inputs; k++)
			last[in[k]] = (uint32_t)i;
	}
	last[net->n_ops - 1] = (uint32_t)net->n_ops;
}

void network_consumers(const struct network *net, uint32_t *count)
{
	/* The top bit marks what the operator at hand has read before: counts
	 * stay far below it, and no table is needed. */
	const uint32_t seen = 1u << 31;

	memset(count, 0, net->n_ops * sizeof *count);
	for (size_t i = 0; i < net->n_ops; i++) {
		const uint32_t *in = network_inputs(net, i);
		uint32_t n = net->op[i].n_inputs;

		for (uint32_t k = 0; k < n; k++)
			if (!(count[in[k]] & seen))
				count[in[k]] = (count[in[k]] + 1) | seen;
		for (uint32_t k = 0; k < n; k++)
			count[in[k]] &= ~seen;
	}
}

/* ---- inference --------------------------------------------------------------- */

static enum nasc_status check_dim(const char *what, uint64_t v, struct nasc_err *err)
{
	if (v < 1 || v > NETWORK_MAX_DIM)
		return nasc_fail(err, NASC_CONFIG, "%s %llu is outside [1, %u]", what,
				 (unsigned long long)v, NETWORK_MAX_DIM);
	return NASC_OK;
}

static enum nasc_status check_inputs(const struct network *net, size_t i, struct nasc_err *err)
{
	const struct net_op *o = &net->op[i];
	const struct kind *k = &kind_table[o->kind];

	if (o->n_inputs < k->min_inputs || o->n_inputs > k->max_inputs)
		return nasc_fail(err, NASC_CONFIG, "%u inputs, it takes %s%u", o->n_inputs,
				 k->max_inputs > k->min_inputs ? "at least " : "", k->min_inputs);
	if (o->first_input > net->n_edges || o->n_inputs > net->n_edges - o->first_input)
		return nasc_fail(err, NASC_CONFIG, "its inputs are outside the list of edges");
	for (uint32_t e = 0; e < o->n_inputs; e++) {
		uint32_t from = network_inputs(net, i)[e];

		if (from >= i)
			return nasc_fail(err, NASC_CONFIG,
					 "input %u is operator %u, it must be an earlier one", e,
					 from);
	}
	return NASC_OK;
}

/* One axis of a window or pad: cells before and behind the input, output cells. */
struct axis {
	const char *name;
	uint32_t in, kernel, before, after, out;
};

/* Explicit padding in bounds, and the output of a kernel of any size over it. */
static enum nasc_status slide(const struct net_op *o, struct axis *x, struct nasc_err *err)
{
	uint64_t padded = (uint64_t)x->before + x->in + x->after;
	bool pool = o->kind == NET_MAX_POOL || o->kind == NET_AVG_POOL;

	if (padded > NETWORK_MAX_DIM)
		return nasc_fail(err, NASC_CONFIG, "padded %s %llu is outside [1, %u]", x->name,
				 (unsigned long long)padded, NETWORK_MAX_DIM);
	if (x->kernel > padded)
		return nasc_fail(err, NASC_CONFIG,
				 "kernel %s %u is larger than its input's %u under %s padding",
				 x->name, x->kernel, (uint32_t)padded,
				 o->padding == NET_VALID ? "valid" : "explicit");
	if (pool && (x->before >= x->kernel || x->after >= x->kernel))
		return nasc_fail(err, NASC_CONFIG,
				 "padding %u is not below its kernel's %s %u: windows of a pool "
				 "would lie in padding alone",
				 x->before > x->after ? x->before : x->after, x->name, x->kernel);
	x->out = ((uint32_t)padded - x->kernel) / o->stride + 1;
	return NASC_OK;
}

static enum nasc_status infer_axis(const struct net_op *o, struct axis *x, struct nasc_err *err)
{
	uint64_t span, all;

	if (o->padding != NET_SAME)
		return slide(o, x, err);
	x->out = (x->in - 1) / o->stride + 1;
	span = (uint64_t)(x->out - 1) * o->stride + x->kernel;
	all = span > x->in ? span - x->in : 0;
	x->before = (uint32_t)(all / 2);
	x->after = (uint32_t)(all - all / 2);
	return NASC_OK;
}

static enum nasc_status infer_window(struct net_op *o, struct net_shape in, struct nasc_err *err)
{
	struct axis h = { "height", in.h, o->kernel_h, o->pad_top, o->pad_bottom, 0 };
	struct axis w = { "width", in.w, o->kernel_w, o->pad_left, o->pad_right, 0 };

	if (check_dim("kernel height", o->kernel_h, err) ||
	    check_dim("kernel width", o->kernel_w, err) || check_dim("stride", o->stride, err))
		return err->code;
	if (o->padding != NET_SAME && o->padding != NET_VALID && o->padding != NET_EXPLICIT)
		return nasc_fail(err, NASC_CONFIG, "padding %d is neither same, valid nor explicit",
				 (int)o->padding);
	if (o->padding == NET_VALID)
		h.before = h.after = w.before = w.after = 0;
	if (infer_axis(o, &h, err) || infer_axis(o, &w, err))
		return err->code;
	o->pad_top = h.before;
	o->pad_left = w.before;
	o->pad_bottom = h.after;
	o->pad_right = w.after;
	o->out = (struct net_shape){ h.out, w.out, in.c };
	return NASC_OK;
}

static enum nasc_status infer_pad(struct net_op *o, struct net_shape in, struct nasc_err *err)
{
	const struct net_op single = { .kind = NET_PAD, .stride = 1, .padding = NET_EXPLICIT };
	struct axis h = { "height", in.h, 1, o->pad_top, o->pad_bottom, 0 };
	struct axis w = { "width", in.w, 1, o->pad_left, o->pad_right, 0 };

	if (slide(&single, &h, err) || slide(&single, &w, err))
		return err->code;
	o->out = (struct net_shape){ h.out, w.out, in.c };
	return NASC_OK;
}

static enum nasc_status infer_upsample(struct net_op *o, struct net_shape in, struct nasc_err *err)
{
	if (check_dim("factor", o->stride, err) ||
	    check_dim("height", (uint64_t)in.h * o->stride, err) ||
	    check_dim("width", (uint64_t)in.w * o->stride, err))
		return err->code;
	o->out = (struct net_shape){ in.h * o->stride, in.w * o->stride, in.c };
	return NASC_OK;
}

static enum nasc_status infer_merge(struct network *net, size_t i, struct nasc_err *err)
{
	struct net_op *o = &net->op[i];
	const uint32_t *in = network_inputs(net, i);
	struct net_shape first = net->op[in[0]].out;
	uint64_t channels = 0;

	for (uint32_t e = 0; e < o->n_inputs; e++) {
		struct net_shape s = net->op[in[e]].out;

		if (s.h != first.h || s.w != first.w || (o->kind == NET_ADD && s.c != first.c))
			return nasc_fail(err, NASC_CONFIG,
					 "input %u is %ux%ux%u, which does not match the first, "
					 "%ux%ux%u",
					 e, s.h, s.w, s.c, first.h, first.w, first.c);
		channels += s.c;
	}
	o->out = first;
	if (o->kind == NET_ADD)
		return NASC_OK;
	if (check_dim("number of channels", channels, err))
		return err->code;
	o->out.c = (uint32_t)channels;
	return NASC_OK;
}

enum nasc_status network_infer_op(struct network *net, size_t i, struct nasc_err *err)
{
	struct net_op *o = &net->op[i];
	const struct kind *k = &kind_table[o->kind];
	struct net_shape in;

	if (check_inputs(net, i, err))
		return err->code;
	if (o->act != NET_LINEAR &&
	    (!k->act || (o->act != NET_ACT_RELU && o->act != NET_ACT_RELU6)))
		return nasc_fail(err, NASC_CONFIG, "it cannot carry activation %d", (int)o->act);
	if (k->width && check_dim("number of output channels", o->out_channels, err))
		return err->code;
	if (o->kind == NET_INPUT)
		return nasc_fail(err, NASC_CONFIG, "only operator 0 is an input");
	if (k->min_inputs > 1)
		return infer_merge(net, i, err);
	in = network_in_shape(net, i);
	if (k->window && infer_window(o, in, err))
		return err->code;
	switch (o->kind) {
	case NET_CONV2D:
		if (check_dim("number of groups", o->groups, err))
			return err->code;
		if (in.c % o->groups || o->out_channels % o->groups)
			return nasc_fail(err, NASC_CONFIG,
					 "%u %s channels are not divisible by %u groups",
					 in.c % o->groups ? in.c : o->out_channels,
					 in.c % o->groups ? "input" : "output", o->groups);
		o->out.c = o->out_channels;
		break;
	case NET_DENSE:
		o->out = (struct net_shape){ 1, 1, o->out_channels };
		break;
	case NET_GLOBAL_POOL:
		o->out = (struct net_shape){ 1, 1, in.c };
		break;
	case NET_PAD:
		return infer_pad(o, in, err);
	case NET_UPSAMPLE:
		return infer_upsample(o, in, err);
	default:
		if (!k->window)
			o->out = in;
	}
	return NASC_OK;
}

struct totals {
	uint64_t elements, params, macs;
};

/* Add one operator; each sum stays a number that a double holds exactly. */
static enum nasc_status add_counts(const struct network *net, size_t i, struct totals *t,
				   struct nasc_err *err)
{
	uint64_t elements = net_elements(net->op[i].out), macs = network_op_macs(net, i), params;
	const char *what = NULL;

	if (elements > NETWORK_MAX_COUNT - t->elements)
		what = "activations";
	else if (macs > NETWORK_MAX_COUNT - t->macs)
		what = "multiply-accumulates";
	if (!what) {
		/* Weights are at most the MACs: this sum cannot wrap. */
		params = network_op_params(net, i);
		if (params > NETWORK_MAX_COUNT - t->params)
			what = "parameters";
	}
	if (what)
		return nasc_fail(err, NASC_CONFIG, "more than 2^53 %s in the network up to here",
				 what);
	t->elements += elements;
	t->macs += macs;
	t->params += params;
	return NASC_OK;
}

static enum nasc_status check_input(const struct network *net, struct nasc_err *err)
{
	if (check_dim("height", net->input.h, err) || check_dim("width", net->input.w, err) ||
	    check_dim("number of channels", net->input.c, err))
		return nasc_wrap(err, "operator 0 (input)");
	if (net->n_ops < 2)
		return nasc_fail(err, NASC_CONFIG, "operator 0 (input): no operator follows it");
	if (net->n_ops > NETWORK_MAX_OPS)
		return nasc_fail(err, NASC_CONFIG, "operator %u: more than %u operators",
				 NETWORK_MAX_OPS, NETWORK_MAX_OPS);
	if (net->n_edges > NETWORK_MAX_EDGES)
		return nasc_fail(err, NASC_CONFIG, "the operators have %zu inputs, at most %u",
				 net->n_edges, NETWORK_MAX_EDGES);
	if (net->op[0].kind != NET_INPUT || net->op[0].n_inputs != 0)
		return nasc_fail(err, NASC_CONFIG, "operator 0 (%s): it must be the input",
				 net_kind_name(net->op[0].kind));
	return NASC_OK;
}

enum nasc_status network_infer(struct network *net, struct nasc_err *err)
{
	struct totals t = { net_elements(net->input), 0, 0 };
	uint64_t out;

	if (check_input(net, err))
		return err->code;
	net->op[0].out = net->input;
	for (size_t i = 1; i < net->n_ops; i++) {
		if ((unsigned)net->op[i].kind >= NET_KIND_COUNT)
			return nasc_fail(err, NASC_CONFIG, "operator %zu: unknown kind %d", i,
					 (int)net->op[i].kind);
		if (network_infer_op(net, i, err) || add_counts(net, i, &t, err))
			return nasc_wrap(err, "operator %zu (%s)", i,
					 net_kind_name(net->op[i].kind));
	}
	out = net_elements(net->op[net->n_ops - 1].out);
	if (out > UINT32_MAX)
		return nasc_fail(err, NASC_CONFIG,
				 "operator %zu (%s): the network's output has more than 2^32 - 1 "
				 "elements",
				 net->n_ops - 1, net_kind_name(net->op[net->n_ops - 1].kind));
	net->classes = (uint32_t)out;
	return NASC_OK;
}

/* ---- comparing --------------------------------------------------------------- */

/* Pads that are given; others follow from the rest. */
static bool same_pads(const struct net_op *p, const struct net_op *q)
{
	if (p->kind != NET_PAD && p->padding != NET_EXPLICIT)
		return true;
	return p->pad_top == q->pad_top && p->pad_left == q->pad_left &&
	       p->pad_bottom == q->pad_bottom && p->pad_right == q->pad_right;
}

bool network_equal(const struct network *a, const struct network *b)
{
	if (a->n_ops != b->n_ops || a->input.h != b->input.h || a->input.w != b->input.w ||
	    a->input.c != b->input.c)
		return false;
	for (size_t i = 0; i < a->n_ops; i++) {
		const struct net_op *p = &a->op[i], *q = &b->op[i];

		if (p->kind != q->kind || p->n_inputs != q->n_inputs ||
		    p->out_channels != q->out_channels || p->kernel_h != q->kernel_h ||
		    p->kernel_w != q->kernel_w || p->stride != q->stride ||
		    p->groups != q->groups || p->padding != q->padding || !same_pads(p, q) ||
		    p->act != q->act || p->bias != q->bias)
			return false;
		for (uint32_t e = 0; e < p->n_inputs; e++)
			if (network_inputs(a, i)[e] != network_inputs(b, i)[e])
				return false;
	}
	return true;
}
