#ifndef NASC_DIRECT_VECTOR_H
#define NASC_DIRECT_VECTOR_H
#include "direct.h"
#include "rows.h"

/* Products in f32: some pixels (or input channels) in registers by 16 channels, each step a value
 * broadcast times a vector of weights (or of the gradient). */
#define VECTORS (DIRECT_GROUP / LANES)
#if LANES == 16
#define HEIGHT 16 /* rows of the product in registers */
#elif LANES == 8
#define HEIGHT 4
#else
#define HEIGHT 2
#endif

/* sum[row][16] (+)= a[at[o] + row * down + k * right] * b[o][k][16], over o < n and k < depth;
 * b's rows are b_right apart, those of one o from the next b_down. */
struct product {
	const float *a, *b;
	const ptrdiff_t *at;
	size_t n, depth, down, right, b_right, b_down;
};

INLINE void product_rows(const struct product *p, const float *from, size_t down, size_t right,
			 size_t b_right, float *sum, bool add)
{
	vf s[HEIGHT][VECTORS];

	for (int r = 0; r < HEIGHT; r++)
		for (int v = 0; v < VECTORS; v++)
			s[r][v] =
				add ? vector_get(sum, (size_t)r * DIRECT_GROUP + (size_t)v * LANES,
						 false)
				    : vector_splat(0);
	for (size_t o = 0; o < p->n; o++) {
		const float *a[(HEIGHT + 3) / 4], *b = p->b + o * p->b_down;

		for (int q = 0; q < (HEIGHT + 3) / 4; q++)
			a[q] = from + p->at[o] + 4 * (size_t)q * down;
		for (size_t k = 0; k < p->depth; k++, b += b_right) {
			vf w[VECTORS];

			for (int v = 0; v < VECTORS; v++)
				w[v] = vector_get(b, (size_t)v * LANES, false);
#pragma GCC unroll 16
			for (int r = 0; r < HEIGHT; r++)
				for (int v = 0; v < VECTORS; v++)
					s[r][v] = vector_fma(
						vector_splat(a[r / 4][(size_t)(r % 4) * down]),
						w[v], s[r][v]);
			for (int q = 0; q < (HEIGHT + 3) / 4; q++)
				a[q] += right;
		}
	}
	for (int r = 0; r < HEIGHT; r++)
		for (int v = 0; v < VECTORS; v++)
			vector_put(sum, (size_t)r * DIRECT_GROUP + (size_t)v * LANES, s[r][v],
				   false);
}

/* @pixels pixels of one block by the 16 channels of @packed. */
static void block_product(const struct direct *d, const float *a, size_t pitch, const ptrdiff_t *at,
			  size_t steps, size_t channels, const void *packed, size_t pixels,
			  float *sum)
{
	struct product p = { .b = packed,
			     .at = at,
			     .n = steps,
			     .depth = channels,
			     .b_down = channels * DIRECT_GROUP };

	(void)d;
	for (size_t r = 0; r < pixels; r += HEIGHT)
		product_rows(&p, a + r * pitch, pitch, 1, DIRECT_GROUP, sum + r * DIRECT_GROUP,
			     false);
}

#define ROWS_AT_ONCE 256 /* pixels: both operands in the first-level cache */

/* sums[tap][16 in][16 out] of some rows of an image. */
static void weights_rows(const struct direct *d, const float *input, const float *gradient,
			 size_t rows, float *sums)
{
	const struct direct_shape *s = &d->shape;
	struct product p = { .b = gradient,
			     .at = d->row_at,
			     .n = rows,
			     .depth = s->ow,
			     .b_down = d->pitch * d->np };

	for (size_t ky = 0; ky < s->kh; ky++)
		for (size_t kx = 0; kx < s->kw; kx++) {
			size_t st = s->stride, plane = ky % st * st + kx % st;
			size_t far = ky / st * d->pitch + kx / st;
			const float *a = input + (plane * d->plane_pixels + far) * d->cp;

			for (int r = 0; r < DIRECT_GROUP; r += HEIGHT)
				product_rows(&p, a + r, 1, d->cp, d->np, sums + r * DIRECT_GROUP,
					     true);
			sums += DIRECT_GROUP * DIRECT_GROUP;
		}
}

static void weights_product(const struct direct *d, const struct direct_backward *b,
			    const float *input, const float *gradient, size_t images)
{
	const struct direct_shape *s = &d->shape;
	size_t taps = (size_t)s->kh * s->kw, at_once = ROWS_AT_ONCE / s->ow + 1;

	for (size_t i = 0; i < images; i++)
		for (size_t y = 0; y < s->oh; y += at_once)
			for (size_t g = 0; g < (size_t)d->n_groups * d->c_groups; g++) {
				size_t m = i * d->span + y * d->pitch;
				size_t n = g / d->c_groups * DIRECT_GROUP;
				size_t c = g % d->c_groups * DIRECT_GROUP;

				weights_rows(d, input + m * d->cp + c,
					     gradient + (d->reach + m) * d->np + n,
					     min_size(at_once, s->oh - y),
					     b->sums + g * taps * DIRECT_GROUP * DIRECT_GROUP);
			}
}

/* Of sums[][], where the product of input channel c and output channel n lies. */
INLINE size_t sums_at(size_t c, size_t n)
{
	return c * DIRECT_GROUP + n;
}
#endif
