#ifndef NASC_LOWER_H
#define NASC_LOWER_H
#include "engine.h"

/* What exists only while a network is being lowered: plan.c makes nodes and
 * places tensors, params.c parameters and oneDNN objects, phases.c the phases. */

enum lower_kind {
	LOWER_CONV,
	LOWER_NORM,
	LOWER_ACT,
	LOWER_POOL,
	LOWER_MEAN,
	LOWER_ADD,
	LOWER_CONCAT
};

struct lower_tensor {
	uint32_t h, w, c;
	uint32_t root, offset; /* channels from `offset` of tensor `root`'s buffers */
	bool placed;	       /* a slice of another tensor */
	bool wide;	       /* root of slices */
	bool needs_grad;
	uint32_t dense; /* buffer of its dense copy, PLAN_NONE before the first use */
	uint32_t stride, value, grad, channel; /* of a root */
	struct lower_node *act;		       /* that reads it; NULL: none yet */
};

struct lower_node {
	enum lower_kind kind;
	enum kernel_act act;
	uint32_t op, y, n_x, index; /* index: of the plan's conv or norm */
	uint32_t times;		    /* operators of the network that it stands for */
	/* Our own convolution: what it reads, the mean of cells * cells of `source` behind `norm`
	 * (NULL: none). A norm or pool that it does on the way is fused: not done by itself. */
	bool own, fused;
	uint32_t source, cells;
	struct lower_node *norm;
	uint32_t *x;
	bool *copy; /* concat: input that is not a slice of y */
};

/* Of each channel of a root. */
#define LOWER_STATS   1u /* phase of its statistics is emitted */
#define LOWER_WRITTEN 2u /* gradient holds something */
#define LOWER_AFFINE  4u /* a norm left slope and offset to settle */
#define LOWER_NORMED  8u /* a norm reads it */

struct lower {
	const struct network *net;
	struct plan *plan;
	uint32_t *value; /* tensor of each operator */
	uint32_t *reader, *n_readers;
	bool *done;
	size_t n_tensors, n_nodes;
	struct lower_tensor *tensor;
	struct lower_node *node;
	uint32_t logits;
	uint8_t *flag;
};

uint32_t lower_buffer(struct lower *l, uint32_t h, uint32_t w, uint32_t stride);
struct plan_operand lower_dense(struct lower *l, uint32_t h, uint32_t w, uint32_t c);
void lower_fuse(struct lower *l);   /* where the plan has kernels of our own for convolutions */
void lower_params(struct lower *l); /* and the shapes of the convolutions */
void lower_phases(struct lower *l);
enum nasc_status lower_convs(struct lower *l, struct nasc_err *err); /* after plan_segments() */

static inline uint32_t lower_padded(uint32_t c)
{
	return (c + KERNEL_BLOCK - 1) / KERNEL_BLOCK * KERNEL_BLOCK;
}
/* oneDNN can read it where it lies: no slice, no neighbours. */
static inline bool lower_is_dense(const struct lower *l, uint32_t t)
{
	return l->tensor[t].root == t && !l->tensor[t].wide;
}
static inline uint32_t lower_source_stride(const struct lower *l, uint32_t t)
{
	return lower_is_dense(l, t) ? l->tensor[t].stride : lower_padded(l->tensor[t].c);
}
#endif
