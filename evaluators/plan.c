#include "engine.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lower.h"

/* Network -> nodes: dead operators go, fused activations become nodes of their
 * own or part of a norm, a pool moves in front of a 1x1 convolution. */

static struct lower_tensor *tensor_new(struct lower *l, struct net_shape s, bool needs_grad,
				       uint32_t *id)
{
	struct lower_tensor *t = &l->tensor[l->n_tensors];

	*id = (uint32_t)l->n_tensors++;
	*t = (struct lower_tensor){ .h = s.h,
				    .w = s.w,
				    .c = s.c,
				    .root = *id,
				    .dense = PLAN_NONE,
				    .needs_grad = needs_grad };
	return t;
}

static struct lower_node *node_new(struct lower *l, enum lower_kind kind, uint32_t op,
				   struct net_shape out, const uint32_t *x, uint32_t n_x)
{
	struct lower_node *n = &l->node[l->n_nodes++];
	bool grad = l->plan->use == PLAN_TRAIN && (kind == LOWER_CONV || kind == LOWER_NORM);

	*n = (struct lower_node){ .kind = kind, .op = op, .n_x = n_x, .times = 1 };
	n->x = ARENA_NEW(l->plan->arena, uint32_t, n_x);
	for (uint32_t i = 0; i < n_x; i++) {
		n->x[i] = x[i];
		grad = grad || l->tensor[x[i]].needs_grad;
	}
	tensor_new(l, out, grad, &n->y);
	return n;
}

static enum kernel_act act_of(enum net_act act)
{
	return act == NET_LINEAR ? KERNEL_LINEAR : act == NET_ACT_RELU ? KERNEL_RELU : KERNEL_RELU6;
}

static uint32_t act_node(struct lower *l, uint32_t op, enum kernel_act act, uint32_t x)
{
	struct net_shape s = { l->tensor[x].h, l->tensor[x].w, l->tensor[x].c };
	struct lower_node *n;

	if (act == KERNEL_LINEAR)
		return x;
	n = l->tensor[x].act;
	if (n && n->act == act) { /* the same output again */
		n->times++;
		return n->y;
	}
	n = l->tensor[x].act = node_new(l, LOWER_ACT, op, s, &x, 1);
	n->act = act;
	return n->y;
}

/* The only reader of @op when it is of kind @kind; else PLAN_NONE. */
static uint32_t sole_reader(const struct lower *l, uint32_t op, enum net_kind kind)
{
	uint32_t r = l->reader[op];

	if (op + 1 == l->net->n_ops || l->n_readers[op] != 1 || l->net->op[r].kind != kind)
		return PLAN_NONE;
	return r;
}

/* Averages and a 1x1 convolution commute: pooled first, it has fewer pixels. */
static uint32_t pool_behind(const struct lower *l, uint32_t op)
{
	const struct net_op *o = &l->net->op[op];
	uint32_t pool = sole_reader(l, op, NET_AVG_POOL);

	if (o->kind != NET_CONV2D || o->kernel_h != 1 || o->kernel_w != 1 || o->stride != 1 ||
	    o->padding == NET_EXPLICIT || o->act != NET_LINEAR || pool == PLAN_NONE ||
	    l->net->op[pool].stride < 2)
		return PLAN_NONE;
	return pool;
}

static uint32_t conv_node(struct lower *l, uint32_t op, uint32_t x)
{
	const struct net_op *o = &l->net->op[op];
	uint32_t pool = pool_behind(l, op), y;

	if (pool != PLAN_NONE) {
		struct net_shape s = l->net->op[pool].out;

		s.c = l->tensor[x].c;
		x = node_new(l, LOWER_POOL, pool, s, &x, 1)->y;
		y = node_new(l, LOWER_CONV, op, l->net->op[pool].out, &x, 1)->y;
		l->value[pool] = y;
		l->done[pool] = true;
		return y;
	}
	y = node_new(l, LOWER_CONV, op, o->out, &x, 1)->y;
	return act_node(l, op, act_of(o->act), y);
}

static uint32_t norm_node(struct lower *l, uint32_t op, uint32_t x)
{
	struct lower_node *n = node_new(l, LOWER_NORM, op, l->net->op[op].out, &x, 1);
	uint32_t relu = sole_reader(l, op, NET_RELU), relu6 = sole_reader(l, op, NET_RELU6);
	uint32_t fused = relu != PLAN_NONE ? relu : relu6;

	n->act = act_of(l->net->op[op].act);
	if (n->act == KERNEL_LINEAR && fused != PLAN_NONE) {
		n->act = relu != PLAN_NONE ? KERNEL_RELU : KERNEL_RELU6;
		l->value[fused] = n->y;
		l->done[fused] = true;
	}
	return n->y;
}

static void node_of(struct lower *l, uint32_t op, uint32_t *x)
{
	const struct net_op *o = &l->net->op[op];
	const uint32_t *in = network_inputs(l->net, op);
	uint32_t y = PLAN_NONE;

	for (uint32_t i = 0; i < o->n_inputs; i++)
		x[i] = l->value[in[i]];
	switch (o->kind) {
	case NET_INPUT:
		tensor_new(l, o->out, l->plan->use == PLAN_INPUT_GRADIENT, &y);
		break;
	case NET_CONV2D:
	case NET_DEPTHWISE:
	case NET_DENSE:
		y = conv_node(l, op, x[0]);
		break;
	case NET_BATCH_NORM:
		y = norm_node(l, op, x[0]);
		break;
	case NET_MAX_POOL:
	case NET_AVG_POOL:
		y = node_new(l, LOWER_POOL, op, o->out, x, 1)->y;
		break;
	case NET_GLOBAL_POOL:
		y = node_new(l, LOWER_MEAN, op, o->out, x, 1)->y;
		break;
	case NET_ADD:
		y = act_node(l, op, act_of(o->act),
			     node_new(l, LOWER_ADD, op, o->out, x, o->n_inputs)->y);
		break;
	case NET_CONCAT:
		y = node_new(l, LOWER_CONCAT, op, o->out, x, o->n_inputs)->y;
		break;
	case NET_RELU:
	case NET_RELU6:
		y = act_node(l, op, o->kind == NET_RELU ? KERNEL_RELU : KERNEL_RELU6, x[0]);
		break;
	case NET_SOFTMAX: /* the last operator: part of the loss */
		y = x[0];
		break;
	case NET_PAD:
	case NET_UPSAMPLE:
	case NET_KIND_COUNT:
		break;
	}
	l->value[op] = y;
}

static enum nasc_status nodes_make(struct lower *l, struct nasc_err *err)
{
	const struct network *net = l->net;
	struct arena *a = l->plan->arena;
	uint32_t *x = ARENA_NEW(a, uint32_t, net->n_edges + 1);
	bool *live = ARENA_NEW(a, bool, net->n_ops);

	l->value = ARENA_NEW(a, uint32_t, net->n_ops);
	l->reader = ARENA_NEW(a, uint32_t, net->n_ops);
	l->n_readers = ARENA_NEW(a, uint32_t, net->n_ops);
	l->done = ARENA_NEW(a, bool, net->n_ops);
	l->tensor = ARENA_NEW(a, struct lower_tensor, 2 * net->n_ops + 2);
	l->node = ARENA_NEW(a, struct lower_node, 2 * net->n_ops + 2);
	live[0] = live[net->n_ops - 1] = true;
	for (size_t i = net->n_ops; i-- > 0;)
		for (uint32_t k = 0; live[i] && k < net->op[i].n_inputs; k++) {
			uint32_t from = network_inputs(net, i)[k];

			live[from] = true;
			l->reader[from] = (uint32_t)i;
			l->n_readers[from]++;
		}
	for (uint32_t i = 0; i < net->n_ops; i++) {
		if (net->op[i].kind == NET_SOFTMAX && i + 1 != net->n_ops && live[i])
			return nasc_fail(err, NASC_CONFIG,
					 "operator %u (softmax): only the last operator of a "
					 "network to be trained can be a softmax",
					 i);
		if (net->op[i].kind == NET_PAD && live[i])
			return nasc_fail(err, NASC_CONFIG,
					 "operator %u (pad): training takes padding only where it "
					 "belongs to the one convolution that reads it",
					 i);
		if (net->op[i].kind == NET_UPSAMPLE && live[i])
			return nasc_fail(err, NASC_CONFIG,
					 "operator %u (upsample): it can be costed, not trained",
					 i);
		if (live[i] && !l->done[i])
			node_of(l, i, x);
	}
	l->logits = l->value[net->n_ops - 1];
	return NASC_OK;
}

/* ---- slices ------------------------------------------------------------------ */

/* Is y, not yet placed, just a run of slices that lie in order in one buffer? */
static bool concat_is_view(struct lower *l, const struct lower_node *n)
{
	const struct lower_tensor *first = &l->tensor[n->x[0]];
	struct lower_tensor *y = &l->tensor[n->y];
	uint32_t at = first->offset;

	if (y->placed)
		return false;
	for (uint32_t i = 0; i < n->n_x; i++) {
		const struct lower_tensor *t = &l->tensor[n->x[i]];

		if (!t->placed || t->root != first->root || t->offset != at)
			return false;
		at += t->c;
	}
	y->placed = true;
	y->root = first->root;
	y->offset = first->offset;
	return true;
}

/* From the last concatenation to the first: an input not placed yet becomes a
 * slice of the output, which may be a slice itself. What already lies elsewhere,
 * and the image, is copied. */
static void slices_place(struct lower *l)
{
	for (size_t i = l->n_nodes; i-- > 0;) {
		struct lower_node *n = &l->node[i];
		const struct lower_tensor *y = &l->tensor[n->y];
		uint32_t at = 0;

		if (n->kind != LOWER_CONCAT)
			continue;
		n->copy = ARENA_NEW(l->plan->arena, bool, n->n_x);
		if (concat_is_view(l, n))
			continue;
		l->tensor[y->root].wide = true;
		for (uint32_t k = 0; k < n->n_x; k++) {
			struct lower_tensor *t = &l->tensor[n->x[k]];

			if (!t->placed && !t->wide && n->x[k] != l->value[0]) {
				t->placed = true;
				t->root = y->root;
				t->offset = y->offset + at;
			} else {
				n->copy[k] = t->root != y->root || t->offset != y->offset + at;
			}
			at += t->c;
		}
	}
}

/* Images of few channels stay narrow, where oneDNN has code for it that is not slower. */
static uint32_t image_stride(const struct lower *l, uint32_t c)
{
	if (l->plan->use == PLAN_INPUT_GRADIENT)
		return lower_padded(c);
	bool slow = l->plan->bf16 && c == 1 && !l->plan->direct;

	return c > 4 || slow ? lower_padded(c) : c;
}

static void roots_make(struct lower *l)
{
	struct plan *p = l->plan;

	for (size_t i = 0; i < l->n_tensors; i++) {
		struct lower_tensor *t = &l->tensor[i];

		if (t->root != i)
			continue;
		t->stride = i == l->value[0] ? image_stride(l, t->c) : lower_padded(t->c);
		t->value = lower_buffer(l, t->h, t->w, t->stride);
		t->grad = PLAN_NONE;
		t->channel = (uint32_t)p->n_channels;
		p->n_channels += lower_padded(t->c);
	}
	l->flag = ARENA_NEW(p->arena, uint8_t, p->n_channels);
	p->n_channels += KERNEL_BLOCK;
}

/* ---- the plan ---------------------------------------------------------------- */

/* Each instruction set has the bits of those it includes. */
static bool cpu_has(dnnl_cpu_isa_t isa)
{
	return (dnnl_get_effective_cpu_isa() & isa) == isa;
}

bool plan_prefers_bf16(void)
{
	return cpu_has(dnnl_cpu_isa_avx512_core_amx);
}

bool plan_has_bf16(void)
{
	return cpu_has(dnnl_cpu_isa_avx512_core);
}

void plan_machine(bool bf16, char text[128])
{
	const struct kernels *k = kernels_choose(bf16);
	const dnnl_version_t *v = dnnl_version();

	snprintf(text, 128, "%s, oneDNN %d.%d.%d for instruction set 0x%x, kernels x86-64-v%d%s",
		 bf16 ? "bf16" : "f32", v->major, v->minor, v->patch,
		 (unsigned)dnnl_get_effective_cpu_isa(),
		 k == &kernels_v4[bf16]	  ? 4
		 : k == &kernels_v3[bf16] ? 3
					  : 2,
		 bf16 && direct_choose() ? ", own convolutions" : "");
}

enum nasc_status plan_resize(const struct network *net, int64_t size, struct arena *a,
			     struct network *out, struct nasc_err *err)
{
	if (size)
		return network_resize(net, net->input.h == 1 ? 1 : (uint32_t)size, (uint32_t)size,
				      a, out, err);
	*out = *net;
	return NASC_OK;
}

enum nasc_status plan_create(const struct network *net, uint32_t images, bool bf16,
			     enum plan_use use, struct arena *a, struct plan *out,
			     struct nasc_err *err)
{
	struct lower l = { .net = net, .plan = out };
	enum nasc_status st;

	*out = (struct plan){ .arena = a,
			      .use = use,
			      .images = images,
			      .bf16 = bf16,
			      .input = net->input,
			      .classes = net->classes,
			      .kernels = kernels_choose(bf16),
			      .direct = bf16 && use == PLAN_TRAIN ? direct_choose() : NULL };
	if (dnnl_engine_create(&out->engine, dnnl_cpu, 0) != dnnl_success)
		return nasc_fail(err, NASC_FAIL, "oneDNN does not start");
	st = nodes_make(&l, err);
	if (!st) {
		slices_place(&l);
		if (out->direct)
			lower_fuse(&l);
		roots_make(&l);
		lower_params(&l);
		lower_phases(&l);
		plan_segments(out);
		plan_place(out);
		st = lower_convs(&l, err);
	}
	if (st)
		plan_release(out);
	return st;
}

enum nasc_status memory_fits(double bytes, struct nasc_err *err)
{
	double have = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);

	if (have > 0 && bytes > have)
		return nasc_fail(err, NASC_FAIL,
				 "needs %.1f GiB of memory, this machine has %.1f GiB",
				 bytes / (1 << 30), have / (1 << 30));
	return NASC_OK;
}

struct plan_memory plan_memory(const struct plan *p)
{
	size_t vector = p->n_weights * sizeof(float);

	return (struct plan_memory){ .tensors = p->bytes,
				     .weights = 2 * vector, /* and velocity */
				     .packed = p->packed_bytes,
				     .gradients = 2 * vector + p->gradient_bytes +
						  2 * p->n_part * sizeof(float),
				     .scratch = p->scratch_bytes };
}

double plan_bytes(const struct plan *p, size_t runners, size_t gradients)
{
	struct plan_memory m = plan_memory(p);
	double vector = (double)p->n_weights * sizeof(float);
	double runner = (double)m.tensors + (double)m.gradients - vector + (double)m.scratch;
	double model = (double)m.weights + (double)m.packed + 3 * vector; /* AdamW's, average */

	return model + (double)runners * runner + (double)gradients * vector;
}

enum nasc_status plan_fits(const struct plan *p, size_t runners, size_t gradients,
			   struct nasc_err *err)
{
	return memory_fits(plan_bytes(p, runners, gradients), err);
}

void plan_release(struct plan *p)
{
	for (size_t i = 0; i < p->n_convs; i++)
		conv_release(&p->conv[i].conv);
	if (p->engine)
		dnnl_engine_destroy(p->engine);
	*p = (struct plan){ 0 };
}
