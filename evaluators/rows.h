#ifndef NASC_ROWS_H
#define NASC_ROWS_H
#include "kernels.h"
#include "vector.h"

/* Rows of pixels (kernels.h) read and written a vector of channels at a time; only files that are
 * compiled once per instruction set include this. */

INLINE size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Channels to walk: all vectors with a channel, and the padding when it is ours. */
INLINE size_t width(struct rows r, size_t c)
{
	return r.whole ? (c + KERNEL_BLOCK - 1) / KERNEL_BLOCK * KERNEL_BLOCK : c;
}

INLINE vf rows_get(struct rows r, size_t row, size_t c, bool bf16)
{
	return vector_get(r.at, row * r.stride + c, bf16);
}

INLINE void rows_put(struct rows r, size_t row, size_t c, vf v, vi mask, bool part, bool bf16)
{
	size_t i = row * r.stride + c;

	if (part)
		v = vector_select(mask, v, r.whole ? vector_splat(0) : vector_get(r.at, i, bf16));
	vector_put(r.at, i, v, bf16);
}

INLINE vf act_apply(vf v, enum kernel_act act)
{
	if (act != KERNEL_LINEAR) /* in this order a NaN stays one */
		v = vector_max(vector_splat(0), v);
	if (act == KERNEL_RELU6)
		v = vector_min(vector_splat(6), v);
	return v;
}

INLINE vf act_gradient(vf g, vf y, enum kernel_act act)
{
	if (act == KERNEL_LINEAR)
		return g;
	return vector_between(g, y, 0, act == KERNEL_RELU6 ? 6 : __builtin_inff());
}

INLINE void fold(double *sum, vf v, size_t at, size_t c)
{
	for (size_t i = 0; i < LANES && at + i < c; i++)
		sum[at + i] += (double)v[i];
}
#endif
