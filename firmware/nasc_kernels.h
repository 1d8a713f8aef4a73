#ifndef NASC_KERNELS_H
#define NASC_KERNELS_H
#include <stdint.h>

/* Layers of an int8 network, for microcontrollers: C99, no allocation, no state, no library. With
 * the DSP extension (Cortex-M4, M7, M33: __ARM_FEATURE_DSP) the inner loops use it; elsewhere
 * they are portable, with the same bits.
 *
 * Maps are [h][w][c]. They begin on a multiple of 4 bytes, but for parts of larger maps, which
 * begin anywhere; nothing behind a map is read or written. A value q of a map stands for scale * (q
 * - zero). All sums are of 32 bits and never overflow: who chooses offsets, factors and weights
 * sees to that. >> is arithmetic, sat() limits to
 * [-128, 127]. */

/* What becomes of a sum: sat((sum + offset) * multiplier + 2^31 >> 32), the product of 64 bits.
 * The zero points of input and output and the bias are in the offset. */
struct nasc_requant {
	int32_t offset, multiplier; /* multiplier >= 0 */
};

/* A convolution, depthwise convolution, dense layer or pool. */
struct nasc_window {
	uint16_t in_h, in_w, in_c;
	uint16_t out_h, out_w, out_c;
	uint16_t kernel_h, kernel_w, stride;
	/* Cells before the map, and as many as needed behind it. Negative: of the map, the first
	 * cells are for others. */
	int16_t pad_top, pad_left;
	uint16_t out_line;     /* cells from a row of y to the next, out_w at least */
	int8_t zero;	       /* value of a cell of padding */
	const int8_t *weights; /* in the order of firmware_pack(), on a multiple of 4 bytes */
	/* Of each output channel. Of a mean: of windows that lie in the map, of those with one cell
	 * outside it, with two, up to the most that there are. */
	const struct nasc_requant *requant;
};

/* y = requant(sum of weight * x). @scratch: firmware_scratch_bytes(), on a multiple of 4. @y is
 * not @x. */
void nasc_conv(const struct nasc_window *w, const int8_t *x, int8_t *y, void *scratch);
/* The same, each channel by itself. @y may be @x where stride is 1 and the shapes are equal. */
void nasc_depthwise(const struct nasc_window *w, const int8_t *x, int8_t *y, void *scratch);
/* The same over all elements of x; out_h and out_w are 1. */
void nasc_dense(const struct nasc_window *w, const int8_t *x, int8_t *y);
/* y = requant(NASC_MEAN_PARTS * sum of x) over the cells that lie in the map: of few cells an
 * offset of whole inputs would be too coarse. */
#define NASC_MEAN_PARTS 16
void nasc_mean_pool(const struct nasc_window *w, const int8_t *x, int8_t *y);
void nasc_max_pool(const struct nasc_window *w, const int8_t *x, int8_t *y);

/* Of an element: sat(constant + factor * x >> shift). */
struct nasc_affine {
	int32_t constant, factor;
};
/* Each channel its own, @pixels of @channels; @y may be @x, or whole pixels before it. */
void nasc_scale(const struct nasc_affine *a, uint32_t shift, uint32_t pixels, uint32_t channels,
		const int8_t *x, int8_t *y);
/* One for all channels, into some channels of @y, whose pixels are @stride apart: a part of a
 * concatenation. */
void nasc_place(struct nasc_affine a, uint32_t shift, uint32_t pixels, uint32_t channels,
		uint32_t stride, const int8_t *x, int8_t *y);
/* y = sat(constant + sum of factor[i] * x[i] >> shift), @n of them, |factor| < 2^15; @y may be one
 * of them, or before that. */
void nasc_add(int32_t constant, const int32_t *factor, uint32_t shift, uint32_t n,
	      uint32_t elements, const int8_t *const *x, int8_t *y);
/* y = x within [low, high]; @y may be @x, or before it. */
void nasc_clamp(int8_t low, int8_t high, uint32_t elements, const int8_t *x, int8_t *y);
/* The map, whole, within a larger one of @zero: in_h, in_w, in_c, out_h, out_w, pad_top, pad_left,
 * zero. */
void nasc_pad(const struct nasc_window *w, const int8_t *x, int8_t *y);
/* Each cell @stride times in h and w. */
void nasc_upsample(const struct nasc_window *w, const int8_t *x, int8_t *y);

/* Networks whose first operators run on parts of their maps, one after the other. */

/* Rows or columns of a map. */
struct nasc_span {
	uint16_t first, cells;
};
struct nasc_part {
	struct nasc_span rows, columns;
};
/* Operator @whole, of which @in is held of the input and @out is wanted of the output; @to: what
 * there is of that, @out or more. The kernel's y is nasc_part_row(to, out, 0, channels) into it. */
struct nasc_window nasc_part_window(const struct nasc_window *whole, struct nasc_part in,
				    struct nasc_part out, struct nasc_part to);
/* Where, in the map of part @held, row @row of part @of begins. */
uint32_t nasc_part_row(struct nasc_part held, struct nasc_part of, uint32_t row, uint32_t channels);
#endif
