#include <string.h>

#include "lower.h"

/* Nodes -> phases: forward in order, the loss, backward in reverse. */

uint32_t lower_buffer(struct lower *l, uint32_t h, uint32_t w, uint32_t stride)
{
	struct plan *p = l->plan;

	if (p->n_buffers == p->cap_buffers) {
		size_t cap = p->cap_buffers ? 2 * p->cap_buffers : 64;
		struct plan_buffer *b = ARENA_NEW(p->arena, struct plan_buffer, cap);

		if (p->n_buffers)
			memcpy(b, p->buffer, p->n_buffers * sizeof *b);
		p->buffer = b;
		p->cap_buffers = cap;
	}
	p->buffer[p->n_buffers] = (struct plan_buffer){ .pixels = h * w, .stride = stride };
	return (uint32_t)p->n_buffers++;
}

struct plan_operand lower_dense(struct lower *l, uint32_t h, uint32_t w, uint32_t c)
{
	uint32_t stride = lower_padded(c);

	return (struct plan_operand){ lower_buffer(l, h, w, stride), 0, stride, true };
}

static struct phase *emit(struct lower *l, struct phase ph)
{
	struct plan *p = l->plan;

	if (p->n_phases == p->cap_phases) {
		size_t cap = p->cap_phases ? 2 * p->cap_phases : 128;
		struct phase *b = ARENA_NEW(p->arena, struct phase, cap);

		if (p->n_phases)
			memcpy(b, p->phase, p->n_phases * sizeof *b);
		p->phase = b;
		p->cap_phases = cap;
	}
	p->phase[p->n_phases] = ph;
	return &p->phase[p->n_phases++];
}

static const struct plan_operand nothing = { PLAN_NONE, 0, 0, false };

static struct plan_operand value_of(const struct lower *l, uint32_t t)
{
	const struct lower_tensor *r = &l->tensor[l->tensor[t].root];

	return (struct plan_operand){ r->value, l->tensor[t].offset, r->stride,
				      lower_is_dense(l, t) && r->stride % KERNEL_BLOCK == 0 };
}

static struct plan_operand grad_of(struct lower *l, uint32_t t)
{
	struct lower_tensor *r = &l->tensor[l->tensor[t].root];
	struct plan_operand o = value_of(l, t);

	if (r->grad == PLAN_NONE)
		r->grad = lower_buffer(l, r->h, r->w, r->stride);
	o.buffer = r->grad;
	return o;
}

static uint32_t channel_of(const struct lower *l, uint32_t t)
{
	return l->tensor[l->tensor[t].root].channel + l->tensor[t].offset;
}

static struct phase phase_on(const struct lower *l, enum phase_kind kind, uint32_t t)
{
	return (struct phase){ .kind = kind,
			       .x = nothing,
			       .y = nothing,
			       .g = nothing,
			       .d = nothing,
			       .pixels = l->tensor[t].h * l->tensor[t].w,
			       .c = l->tensor[t].c,
			       .channel = channel_of(l, t) };
}

static bool channels_any(const struct lower *l, uint32_t t, uint8_t bit)
{
	uint32_t at = channel_of(l, t);

	for (uint32_t c = 0; c < l->tensor[t].c; c++)
		if (l->flag[at + c] & bit)
			return true;
	return false;
}

static void channels_set(struct lower *l, uint32_t t, uint8_t bit)
{
	uint32_t at = channel_of(l, t);

	for (uint32_t c = 0; c < l->tensor[t].c; c++)
		l->flag[at + c] |= bit;
}

/* One phase, a copy of @ph, for each run of channels of @t without @bit; sets it. */
static void emit_runs(struct lower *l, uint32_t t, uint8_t bit, struct phase ph,
		      struct plan_operand *operand)
{
	uint32_t at = channel_of(l, t), offset = operand->offset, n = l->tensor[t].c;

	for (uint32_t c = 0, end; c < n; c = end) {
		for (end = c; end < n && (l->flag[at + end] & bit) == (l->flag[at + c] & bit);)
			end++;
		if (!(l->flag[at + c] & bit)) {
			operand->offset = offset + c;
			operand->whole = operand->whole && c == 0 && end == n;
			ph.c = end - c;
			ph.channel = at + c;
			*(ph.kind == PHASE_STATS ? &ph.x : &ph.y) = *operand;
			emit(l, ph);
		}
	}
	channels_set(l, t, bit);
}

/* Make the gradient of @t ready for one more contribution: true when it must be
 * added, false when it may be stored over what is there. */
static bool grad_open(struct lower *l, uint32_t t)
{
	struct plan_operand g = grad_of(l, t);

	if (!channels_any(l, t, LOWER_WRITTEN)) {
		channels_set(l, t, LOWER_WRITTEN);
		return false;
	}
	emit_runs(l, t, LOWER_WRITTEN, phase_on(l, PHASE_ZERO, t), &g);
	return true;
}

/* The complete gradient of @t; @dense: where oneDNN can read it. */
static struct plan_operand settle(struct lower *l, uint32_t t, bool dense)
{
	bool affine = channels_any(l, t, LOWER_AFFINE);
	const struct lower_tensor *s = &l->tensor[t];
	struct phase ph = phase_on(l, affine ? PHASE_SETTLE : PHASE_COPY, t);
	struct plan_operand g = grad_of(l, t);

	dense = dense && !lower_is_dense(l, t);
	if (!dense && !affine)
		return g;
	ph.g = g;
	ph.x = affine ? value_of(l, t) : g;
	ph.y = dense ? lower_dense(l, s->h, s->w, s->c) : g;
	emit(l, ph);
	return ph.y;
}

/* ---- forward ----------------------------------------------------------------- */

static struct plan_operand source_of(struct lower *l, uint32_t t)
{
	struct lower_tensor *s = &l->tensor[t];
	struct phase ph = phase_on(l, PHASE_COPY, t);

	if (lower_is_dense(l, t))
		return value_of(l, t);
	ph.x = value_of(l, t);
	if (s->dense == PLAN_NONE) {
		ph.y = lower_dense(l, s->h, s->w, s->c);
		s->dense = ph.y.buffer;
		emit(l, ph);
	}
	return (struct plan_operand){ s->dense, 0, lower_padded(s->c), true };
}

static void own_forward(struct lower *l, const struct lower_node *n)
{
	struct plan_conv *c = &l->plan->conv[n->index];
	struct phase ph = phase_on(l, PHASE_CONV, n->y);

	c->sums = channels_any(l, n->y, LOWER_NORMED);
	ph.x = value_of(l, n->source);
	ph.y = value_of(l, n->y);
	ph.index = n->index;
	emit(l, ph);
	if (!c->sums)
		return;
	emit(l, phase_on(l, PHASE_STATS, n->y));
	channels_set(l, n->y, LOWER_STATS);
}

static void conv_forward(struct lower *l, const struct lower_node *n)
{
	struct phase ph = phase_on(l, PHASE_CONV, n->y);
	const struct lower_tensor *y = &l->tensor[n->y];

	if (n->own) {
		own_forward(l, n);
		return;
	}
	ph.x = source_of(l, n->x[0]);
	ph.y = lower_is_dense(l, n->y) ? value_of(l, n->y) : lower_dense(l, y->h, y->w, y->c);
	ph.index = n->index;
	emit(l, ph);
	if (!lower_is_dense(l, n->y)) {
		ph.kind = PHASE_COPY;
		ph.x = ph.y;
		ph.y = value_of(l, n->y);
		emit(l, ph);
	}
}

static struct kernel_window window_of(const struct lower *l, const struct lower_node *n)
{
	const struct net_op *o = &l->net->op[n->op];
	const struct lower_tensor *x = &l->tensor[n->x[0]], *y = &l->tensor[n->y];
	struct kernel_window w = { .images = l->plan->images,
				   .ih = x->h,
				   .iw = x->w,
				   .oh = y->h,
				   .ow = y->w,
				   .kh = o->kernel_h,
				   .kw = o->kernel_w,
				   .stride = o->stride,
				   .top = o->pad_top,
				   .left = o->pad_left,
				   .average = o->kind == NET_AVG_POOL };

	return w;
}

static void code_add(struct lower *l, const struct lower_node *n)
{
	struct plan *p = l->plan;
	const struct lower_tensor *y = &l->tensor[n->y];

	if (n->act != KERNEL_LINEAR)
		p->code[p->n_codes++] = (struct plan_code){ .y = value_of(l, n->y),
							    .pixels = y->h * y->w,
							    .c = y->c,
							    .phase = (uint32_t)p->n_phases - 1,
							    .times = n->times };
}

static void concat_forward(struct lower *l, const struct lower_node *n)
{
	struct plan_operand y = value_of(l, n->y);

	y.whole = false;
	for (uint32_t k = 0; k < n->n_x; k++) {
		struct phase ph = phase_on(l, PHASE_COPY, n->x[k]);

		ph.x = value_of(l, n->x[k]);
		ph.y = y;
		if (n->copy[k])
			emit(l, ph);
		y.offset += ph.c;
	}
}

static void add_forward(struct lower *l, const struct lower_node *n)
{
	struct phase ph = phase_on(l, PHASE_ADD, n->y);

	ph.x = value_of(l, n->x[0]);
	ph.y = value_of(l, n->y);
	for (uint32_t k = 1; k < n->n_x; k++) {
		ph.g = value_of(l, n->x[k]);
		emit(l, ph);
		ph.x = ph.y;
	}
}

static void node_forward(struct lower *l, const struct lower_node *n)
{
	static const enum phase_kind of[] = { [LOWER_NORM] = PHASE_NORM,
					      [LOWER_ACT] = PHASE_ACT,
					      [LOWER_POOL] = PHASE_POOL,
					      [LOWER_MEAN] = PHASE_MEAN };
	struct plan_operand x;
	struct phase ph;

	if (n->kind == LOWER_CONV) {
		conv_forward(l, n);
		return;
	}
	if (n->kind == LOWER_CONCAT) {
		concat_forward(l, n);
		return;
	}
	if (n->kind == LOWER_ADD) {
		add_forward(l, n);
		return;
	}
	x = value_of(l, n->x[0]);
	if (n->kind == LOWER_NORM)
		emit_runs(l, n->x[0], LOWER_STATS, phase_on(l, PHASE_STATS, n->x[0]), &x);
	if (n->fused)
		return;
	ph = phase_on(l, of[n->kind], n->x[0]);
	ph.x = value_of(l, n->x[0]);
	ph.y = value_of(l, n->y);
	ph.act = n->act;
	ph.index = n->index;
	if (n->kind == LOWER_POOL)
		ph.window = window_of(l, n);
	emit(l, ph);
	code_add(l, n);
}

/* ---- backward ---------------------------------------------------------------- */

static void own_backward(struct lower *l, const struct lower_node *n)
{
	struct phase ph = phase_on(l, PHASE_CONV_BACK, n->y);

	ph.x = value_of(l, n->source);
	ph.g = grad_of(l, n->y);
	if (channels_any(l, n->y, LOWER_AFFINE))
		ph.y = value_of(l, n->y);
	ph.index = n->index;
	if (l->tensor[n->source].needs_grad) {
		ph.accumulate = grad_open(l, n->source);
		ph.d = grad_of(l, n->source);
		if (n->norm)
			channels_set(l, n->source, LOWER_AFFINE);
	}
	emit(l, ph);
}

static void conv_backward(struct lower *l, const struct lower_node *n)
{
	const struct plan_conv *c = &l->plan->conv[n->index];
	const struct lower_tensor *x = &l->tensor[n->x[0]];
	struct phase ph = phase_on(l, PHASE_CONV_BACK_WEIGHTS, n->x[0]);
	struct plan_operand dense;
	bool direct, add;

	if (n->own) {
		own_backward(l, n);
		return;
	}
	ph.g = settle(l, n->y, true);
	ph.index = n->index;
	ph.x = source_of(l, n->x[0]);
	if (c->conv.shape.kind == CONV_DEPTHWISE)
		ph.window = window_of(l, n);
	if (l->plan->use == PLAN_TRAIN)
		emit(l, ph);
	if (!x->needs_grad)
		return;
	add = grad_open(l, n->x[0]);
	direct = !add && lower_is_dense(l, n->x[0]);
	ph.kind = PHASE_CONV_BACK_DATA;
	ph.x = nothing;
	ph.d = direct ? grad_of(l, n->x[0]) : lower_dense(l, x->h, x->w, x->c);
	emit(l, ph);
	if (!direct) {
		dense = ph.d;
		ph = phase_on(l, PHASE_COPY, n->x[0]);
		ph.accumulate = add;
		ph.x = dense;
		ph.y = grad_of(l, n->x[0]);
		emit(l, ph);
	}
}

/* Hand the gradient @from, of the shape of @t, on to @t. */
static void pass_on(struct lower *l, struct plan_operand from, uint32_t t)
{
	struct phase ph = phase_on(l, PHASE_COPY, t);

	if (!l->tensor[t].needs_grad)
		return;
	ph.accumulate = grad_open(l, t);
	ph.x = from;
	ph.y = grad_of(l, t);
	emit(l, ph);
}

static void add_backward(struct lower *l, const struct lower_node *n)
{
	struct plan_operand g = settle(l, n->y, false);

	for (uint32_t k = 0; k < n->n_x; k++)
		pass_on(l, g, n->x[k]);
}

/* Slices share the gradient of the whole; what was copied in gets its part,
 * settled on the way. */
static void concat_backward(struct lower *l, const struct lower_node *n)
{
	struct plan_operand g = grad_of(l, n->y), x = value_of(l, n->y);
	uint32_t channel = channel_of(l, n->y);

	for (uint32_t k = 0; k < n->n_x; k++) {
		struct phase ph = phase_on(l, PHASE_SETTLE, n->x[k]);

		if (n->copy[k] && l->tensor[n->x[k]].needs_grad) {
			ph.accumulate = grad_open(l, n->x[k]);
			ph.channel = channel;
			ph.g = g;
			ph.x = x;
			ph.y = grad_of(l, n->x[k]);
			emit(l, ph);
		}
		g.offset += ph.c;
		x.offset += ph.c;
		channel += ph.c;
	}
}

static void norm_backward(struct lower *l, const struct lower_node *n)
{
	struct phase ph = phase_on(l, PHASE_NORM_BACK, n->x[0]);

	ph.g = settle(l, n->y, false);
	ph.x = value_of(l, n->x[0]);
	ph.act = n->act;
	ph.index = n->index;
	if (l->tensor[n->x[0]].needs_grad) {
		ph.accumulate = grad_open(l, n->x[0]);
		ph.d = grad_of(l, n->x[0]);
		channels_set(l, n->x[0], LOWER_AFFINE);
	}
	emit(l, ph);
}

static void node_backward(struct lower *l, const struct lower_node *n)
{
	static const enum phase_kind of[] = { [LOWER_ACT] = PHASE_ACT_BACK,
					      [LOWER_POOL] = PHASE_POOL_BACK,
					      [LOWER_MEAN] = PHASE_MEAN_BACK };
	struct plan_operand d;
	struct phase ph;

	if (!l->tensor[n->y].needs_grad || n->fused)
		return;
	if (n->kind == LOWER_CONV) {
		conv_backward(l, n);
		return;
	}
	if (n->kind == LOWER_NORM) {
		norm_backward(l, n);
		return;
	}
	if (n->kind == LOWER_ADD) {
		add_backward(l, n);
		return;
	}
	if (n->kind == LOWER_CONCAT) {
		concat_backward(l, n);
		return;
	}
	ph = phase_on(l, of[n->kind], n->x[0]);
	ph.g = settle(l, n->y, false);
	if (n->kind == LOWER_POOL && l->net->op[n->op].kind == NET_MAX_POOL)
		ph.x = value_of(l, n->x[0]);
	if (n->kind == LOWER_ACT || ph.x.buffer != PLAN_NONE)
		ph.y = value_of(l, n->y);
	ph.act = n->act;
	d = grad_of(l, n->x[0]);
	if (n->kind == LOWER_POOL)
		ph.window = window_of(l, n);
	if (n->kind == LOWER_POOL && !kernel_window_tiles(&ph.window)) {
		/* Windows may overlap or leave cells out: it adds to zeros. */
		ph.accumulate = true;
		emit_runs(l, n->x[0], LOWER_WRITTEN, phase_on(l, PHASE_ZERO, n->x[0]), &d);
	} else {
		ph.accumulate = grad_open(l, n->x[0]);
	}
	ph.d = grad_of(l, n->x[0]);
	emit(l, ph);
}

void lower_phases(struct lower *l)
{
	struct plan *p = l->plan;
	struct phase loss = phase_on(l, PHASE_LOSS, l->logits);

	for (size_t i = 0; i < l->n_nodes; i++)
		if (l->node[i].kind == LOWER_NORM)
			channels_set(l, l->node[i].x[0], LOWER_NORMED);
	for (size_t i = 0; i < l->n_nodes; i++)
		node_forward(l, &l->node[i]);
	p->n_forward = p->n_phases;
	p->in = value_of(l, l->value[0]);
	p->logits = loss.x = value_of(l, l->logits);
	p->logit_pixels = loss.pixels;
	p->logit_channels = loss.c;
	loss.g = grad_of(l, l->logits);
	channels_set(l, l->logits, LOWER_WRITTEN);
	emit(l, loss);
	for (size_t i = l->n_nodes; i-- > 0;)
		node_backward(l, &l->node[i]);
	p->in_gradient = p->use == PLAN_INPUT_GRADIENT ? settle(l, l->value[0], false) : nothing;
}
