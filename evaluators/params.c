#include <stdlib.h>

#include "lower.h"

/* Parameters of every node and the oneDNN objects of its convolutions. */

static uint32_t param_add(struct plan *p, struct param q)
{
	q.at = p->n_weights;
	q.n = q.role == PARAM_WEIGHTS ? (size_t)q.taps * q.in_stored * q.out_stored : q.out_stored;
	p->n_weights += (q.n + KERNEL_BLOCK - 1) / KERNEL_BLOCK * KERNEL_BLOCK;
	p->param[p->n_params] = q;
	return (uint32_t)p->n_params++;
}

static uint32_t vector_add(struct plan *p, uint32_t op, enum param_role role, uint32_t c)
{
	return param_add(p, (struct param){ .op = op,
					    .role = role,
					    .out = c,
					    .out_stored = lower_padded(c),
					    .groups = 1 });
}

static void norm_add(struct lower *l, struct lower_node *n)
{
	struct plan *p = l->plan;
	const struct lower_tensor *x = &l->tensor[n->x[0]];
	struct plan_norm *q = &p->norm[p->n_norms];

	n->index = (uint32_t)p->n_norms++;
	*q = (struct plan_norm){ .op = n->op,
				 .c = x->c,
				 .slot = (uint32_t)p->n_slots,
				 .channel = l->tensor[x->root].channel + x->offset };
	p->n_slots += lower_padded(x->c);
	q->gamma = vector_add(p, n->op, PARAM_GAMMA, x->c);
	q->beta = vector_add(p, n->op, PARAM_BETA, x->c);
}

static struct param weights_of(const struct lower *l, const struct lower_node *n,
			       enum conv_kind kind)
{
	const struct net_op *o = &l->net->op[n->op];
	const struct lower_tensor *x = &l->tensor[n->x[0]], *y = &l->tensor[n->y];
	struct param q = { .op = n->op, .role = PARAM_WEIGHTS, .decay = true, .groups = 1 };

	q.kh = kind == CONV_DENSE ? x->h : o->kernel_h;
	q.kw = kind == CONV_DENSE ? x->w : o->kernel_w;
	q.taps = q.kh * q.kw;
	q.in = kind == CONV_DEPTHWISE ? 1 : x->c;
	q.in_stored = kind == CONV_DEPTHWISE ? 1 : lower_source_stride(l, n->x[0]);
	q.out = y->c;
	q.out_stored =
		kind == CONV_DEPTHWISE ? lower_source_stride(l, n->x[0]) : lower_padded(y->c);
	q.groups = kind == CONV_FULL && o->groups > 1 ? o->groups : 1;
	q.fan_in = (double)q.taps * q.in / q.groups;
	q.dense = kind == CONV_DENSE;
	return q;
}

static struct conv_shape shape_of(const struct lower *l, const struct lower_node *n,
				  const struct param *q, enum conv_kind kind)
{
	const struct net_op *o = &l->net->op[n->op];
	const struct lower_tensor *x = &l->tensor[n->x[0]], *y = &l->tensor[n->y];
	struct conv_shape s = { .kind = kind,
				.bf16 = l->plan->bf16,
				.bias = o->bias,
				.want_back_data = x->needs_grad,
				.want_back_weights = l->plan->use == PLAN_TRAIN,
				.h = x->h,
				.w = x->w,
				.in = lower_source_stride(l, n->x[0]),
				.out = q->out_stored,
				.oh = y->h,
				.ow = y->w,
				.kh = q->kh,
				.kw = q->kw,
				.stride = kind == CONV_DENSE ? 1 : o->stride,
				.top = o->pad_top,
				.left = o->pad_left,
				.bottom = o->pad_bottom,
				.right = o->pad_right };

	return s;
}

static size_t take(size_t *total, size_t bytes)
{
	size_t at = *total;

	*total += (bytes + 63) / 64 * 64;
	return at;
}

static void own_add(struct plan *p, struct plan_conv *c)
{
	const struct conv_shape *s = &c->conv.shape;
	const struct param *q = &p->param[c->weights];
	struct direct_shape d = { .images = (uint32_t)s->images,
				  .h = c->flat ? 1 : (uint32_t)s->h,
				  .w = c->flat ? 1 : (uint32_t)s->w,
				  .c = c->flat ? q->taps * q->in_stored : q->in,
				  .oh = (uint32_t)s->oh,
				  .ow = (uint32_t)s->ow,
				  .n = q->out,
				  .kh = c->flat ? 1 : q->kh,
				  .kw = c->flat ? 1 : q->kw,
				  .stride = (uint32_t)s->stride,
				  .top = (uint32_t)s->top,
				  .left = (uint32_t)s->left,
				  .pool = c->cells,
				  .in_stored = q->in_stored,
				  .out_stored = q->out_stored,
				  .back_data = s->want_back_data };
	size_t scratch;

	if (!direct_plan(&c->direct, &d, p->arena))
		abort(); /* lower_fuse() asked for what direct_plan() can */
	c->packed_at[0] = take(&p->packed_bytes, c->direct.forward_bytes);
	c->packed_at[1] = take(&p->packed_bytes, c->direct.back_bytes);
	scratch = direct_sums_at(&c->direct) + c->direct.sums_bytes;
	p->scratch_bytes = scratch > p->scratch_bytes ? scratch : p->scratch_bytes;
}

static void conv_add(struct lower *l, struct lower_node *n)
{
	struct plan *p = l->plan;
	enum net_kind op = l->net->op[n->op].kind;
	enum conv_kind kind = op == NET_DENSE	    ? CONV_DENSE
			      : op == NET_DEPTHWISE ? CONV_DEPTHWISE
						    : CONV_FULL;
	struct plan_conv *c = &p->conv[p->n_convs];
	struct param q = weights_of(l, n, kind);

	n->index = (uint32_t)p->n_convs++;
	*c = (struct plan_conv){ .op = n->op, .weights = param_add(p, q), .bias = PLAN_NONE };
	c->conv.shape = shape_of(l, n, &q, kind);
	if (c->conv.shape.bias)
		c->bias = vector_add(p, n->op, PARAM_BIAS, q.out);
	c->norm = PLAN_NONE;
	if (!n->own)
		return;
	c->own = true;
	c->flat = kind == CONV_DENSE;
	c->cells = n->cells;
	if (n->norm) {
		c->norm = n->norm->index;
		c->act = n->norm->act;
	}
}

enum nasc_status lower_convs(struct lower *l, struct nasc_err *err)
{
	struct plan *p = l->plan;

	for (size_t i = 0; i < p->n_convs; i++) {
		struct plan_conv *c = &p->conv[i];
		struct conv_shape s = c->conv.shape;
		const struct param *q = &p->param[c->weights];
		size_t scratch;

		if (c->own) {
			own_add(p, c);
			continue;
		}
		if (conv_create(&c->conv, &s, p->engine, err))
			return nasc_wrap(err, "operator %u (%s)", c->op,
					 net_kind_name(l->net->op[c->op].kind));
		for (int k = 0; k < 2; k++)
			c->packed_at[k] = take(&p->packed_bytes,
					       conv_packed_bytes(&c->conv, (enum conv_pass)k));
		c->gradient_at =
			take(&p->gradient_bytes, conv_packed_bytes(&c->conv, CONV_BACK_WEIGHTS));
		scratch = conv_scratch_bytes(&c->conv);
		p->scratch_bytes = scratch > p->scratch_bytes ? scratch : p->scratch_bytes;
		c->in_parts = s.images < p->images;
		p->n_part = c->in_parts && q->n > p->n_part ? q->n : p->n_part;
	}
	return NASC_OK;
}

void lower_params(struct lower *l)
{
	struct plan *p = l->plan;

	p->param = ARENA_NEW(p->arena, struct param, 2 * l->n_nodes);
	p->conv = ARENA_NEW(p->arena, struct plan_conv, l->n_nodes);
	p->norm = ARENA_NEW(p->arena, struct plan_norm, l->n_nodes);
	p->code = ARENA_NEW(p->arena, struct plan_code, l->n_nodes);
	for (size_t i = 0; i < l->n_nodes; i++) {
		struct lower_node *n = &l->node[i];

		if (n->kind == LOWER_NORM)
			norm_add(l, n);
		else if (n->kind == LOWER_CONV)
			conv_add(l, n);
	}
	p->n_slots += KERNEL_BLOCK;
}

size_t param_count(const struct param *q)
{
	return q->role == PARAM_WEIGHTS ? (size_t)q->taps * (q->in / q->groups) * q->out : q->out;
}

size_t param_at(const struct param *q, size_t i)
{
	size_t o, in, tap, per_group;

	if (q->role != PARAM_WEIGHTS)
		return q->at + i;
	per_group = q->in / q->groups;
	o = i % q->out;
	in = i / q->out % per_group + o / (q->out / q->groups) * per_group;
	tap = i / q->out / per_group;
	return q->at + (tap * q->in_stored + in) * q->out_stored + o;
}
