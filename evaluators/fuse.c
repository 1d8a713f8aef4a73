#include "lower.h"

/* Which convolutions are our own (direct.h), and which norms and means of cells in front of one
 * become part of it: those that nothing else reads. */

struct origin {
	struct lower_node *maker;
	uint32_t n_readers;
};

/* The node that makes @t when it is of kind @kind and @t has one reader. */
static struct lower_node *sole_maker(const struct origin *o, uint32_t t, enum lower_kind kind)
{
	struct lower_node *n = o[t].maker;

	return n && n->kind == kind && o[t].n_readers == 1 ? n : NULL;
}

static bool pool_fits(const struct lower *l, const struct lower_node *pool)
{
	const struct net_op *o = &l->net->op[pool->op];
	const struct lower_tensor *x = &l->tensor[pool->x[0]], *y = &l->tensor[pool->y];

	return o->kind == NET_AVG_POOL && o->kernel_h == o->stride && o->kernel_w == o->stride &&
	       o->pad_top == 0 && o->pad_left == 0 && y->h * o->stride == x->h &&
	       y->w * o->stride == x->w;
}

static void fuse_conv(struct lower *l, const struct origin *o, struct lower_node *n)
{
	struct lower_node *pool = sole_maker(o, n->x[0], LOWER_POOL);

	n->own = true;
	n->source = n->x[0];
	n->cells = 1;
	if (pool && pool_fits(l, pool)) {
		n->cells = l->net->op[pool->op].stride;
		n->source = pool->x[0];
		pool->fused = true;
	}
	n->norm = sole_maker(o, n->source, LOWER_NORM);
	if (n->norm) {
		n->source = n->norm->x[0];
		n->norm->fused = true;
	}
}

/* The pixels of a dense layer's input become channels of one: it must lie so. */
static bool can_be_own(const struct lower *l, const struct lower_node *n)
{
	const struct lower_tensor *x = &l->tensor[n->x[0]];
	enum net_kind kind = l->net->op[n->op].kind;

	if (kind == NET_CONV2D)
		return l->net->op[n->op].stride <= 4 && l->net->op[n->op].padding != NET_EXPLICIT;
	return kind == NET_DENSE && (lower_is_dense(l, n->x[0]) || x->h * x->w == 1);
}

void lower_fuse(struct lower *l)
{
	struct origin *o = ARENA_NEW(l->plan->arena, struct origin, l->n_tensors);

	for (size_t i = 0; i < l->n_nodes; i++) {
		struct lower_node *n = &l->node[i];

		o[n->y].maker = n;
		for (uint32_t k = 0; k < n->n_x; k++)
			o[n->x[k]].n_readers++;
	}
	o[l->logits].n_readers++;
	for (size_t i = 0; i < l->n_nodes; i++) {
		struct lower_node *n = &l->node[i];
		const struct lower_tensor *x = &l->tensor[n->x[0]];

		if (n->kind != LOWER_CONV || !can_be_own(l, n))
			continue;
		if (l->net->op[n->op].kind == NET_DENSE && x->h * x->w > 1) {
			n->own = true; /* as it lies */
			n->source = n->x[0];
			n->cells = 1;
		} else {
			fuse_conv(l, o, n);
		}
	}
}
