#include "nasc_depthwise.h"

/* Depthwise convolution.
 *
 * Four channels at a time, two columns of one or two (stride 1) rows of outputs at a time. Inputs
 * that these rows see are gathered in pairs of rows, as 16 bits: [column][channel][row], of which
 * a pair is a word. Going down, a pair takes another's place (3x3 with the DSP extension), or all
 * move up. What is read is never read again, so that outputs may take its place.
 *
 * Weights are channel by channel, columns two by two: row by row of these, and a last column alone.
 * A 5x5 or a 7x7 is laid out as pairs of rows for the DSP extension. */

/* Pairs of rows that one or two rows of outputs see. */
INLINE uint32_t pairs_of(uint32_t kernel_h)
{
	return kernel_h / 2 + 1;
}

/* Where a column of weights begins, and from a row of it to the next. */
INLINE const int8_t *column_of(const int8_t *weights, uint32_t column, uint32_t kernel_h,
			       uint32_t kernel_w, uint32_t *step)
{
	*step = column / 2 * 2 + 1 < kernel_w ? 2 : 1;
	return weights + column / 2 * 2 * kernel_h + column % 2;
}

#ifdef __ARM_FEATURE_DSP
/* Of @n words, up to four, all but the first: read before any is written. */
INLINE void move_up(uint32_t *words, uint32_t n)
{
	uint32_t others[3];

	UNROLL
	for (uint32_t i = 1; i < n; i++)
		others[i - 1] = words[i];
	UNROLL
	for (uint32_t i = 1; i < n; i++)
		words[i - 1] = others[i - 1];
}
#endif

/* Of @n channels of a column the next pair of rows, behind the others; @any: not of 3x3, 5x5, 7x7.
 */
INLINE void gather_column(const int8_t *upper, const int8_t *lower, uint32_t n, uint32_t pairs,
			  half *to, int any)
{
#ifdef __ARM_FEATURE_DSP
	const uint32_t a = n == 4 ? load(upper) : load_some(upper, n);
	const uint32_t b = n == 4 ? load(lower) : load_some(lower, n);
	const uint32_t pair[4] = { low_halves(even_bytes(a), even_bytes(b)),
				   low_halves(odd_bytes(a), odd_bytes(b)),
				   high_halves(even_bytes(a), even_bytes(b)),
				   high_halves(odd_bytes(a), odd_bytes(b)) };
	uint32_t *words = (uint32_t *)(void *)to;

	UNROLL
	for (uint32_t i = 0; i < 4; i++, words += pairs) {
		if (any)
			for (uint32_t k = 1; k < pairs; k++)
				words[k - 1] = words[k];
		else
			move_up(words, pairs);
		words[pairs - 1] = pair[i];
	}
#else
	(void)any;
	UNROLL
	for (uint32_t i = 0; i < n; i++, to += 2 * pairs) {
		for (uint32_t k = 0; k + 2 < 2 * pairs; k++)
			to[k] = to[k + 2];
		to[2 * pairs - 2] = upper[i];
		to[2 * pairs - 1] = lower[i];
	}
#endif
}

/* Rows @row and @row + 1, of which the upper begins at @x. */
INLINE void gather_pairs(const struct group *g, uint32_t row, const int8_t *x, uint32_t pairs,
			 uint32_t channels, int any)
{
	const int8_t *upper = x, *lower = x + g->line;
	uint32_t upper_step = g->step, lower_step = upper_step;
	half *to = g->first;

	if (row >= g->height) {
		upper = g->outside;
		upper_step = 0;
	}
	if (row + 1 >= g->height) {
		lower = g->outside;
		lower_step = 0;
	}
	for (uint32_t i = g->columns; i; i--, upper += upper_step, lower += lower_step) {
		gather_column(upper, lower, channels, pairs, to, any);
		to += 8 * pairs;
	}
}

ALONE void gather_three(const struct group *g, uint32_t row, const int8_t *x)
{
	gather_pairs(g, row, x, 3, 4, 0);
}

ALONE void gather_four(const struct group *g, uint32_t row, const int8_t *x)
{
	gather_pairs(g, row, x, 4, 4, 0);
}

INLINE void gather(const struct group *g, uint32_t row, const int8_t *x, uint32_t pairs, int any)
{
	if (any)
		gather_pairs(g, row, x, pairs, g->channels, 1);
	else if (pairs == 4)
		gather_four(g, row, x);
	else if (pairs == 3)
		gather_three(g, row, x);
	else
		gather_pairs(g, row, x, pairs, 4, 0);
}

#ifdef __ARM_FEATURE_DSP
INLINE int32_t add_low_by_high(uint32_t a, uint32_t b, int32_t sum)
{
	__asm__("smlabt %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
	return sum;
}

INLINE int32_t add_high_by_low(uint32_t a, uint32_t b, int32_t sum)
{
	__asm__("smlatb %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
	return sum;
}

/* From a channel's weights to the next one's. */
INLINE uint32_t weights_step(uint32_t kernel_h, uint32_t kernel_w)
{
	return 4 * (kernel_h - 1) * kernel_w;
}

/* A column: the pairs of rows that an upper output takes, from row 0 on, and those that a lower one
 * takes, from row 1 on. */
INLINE uint32_t *lay_out_column(const int8_t *w, uint32_t step, uint32_t kernel_h, uint32_t *to)
{
	UNROLL
	for (uint32_t row = 0; row + 1 < kernel_h; row++)
		to[row % 2 * (kernel_h / 2) + row / 2] =
			low_halves((uint32_t)w[row * step], (uint32_t)w[(row + 1) * step]);
	return to + kernel_h - 1;
}

INLINE const int8_t *lay_out_kernel(const struct group *g, uint32_t kernel)
{
	const int8_t *w = g->weights;
	uint32_t *to = g->laid_out;

	for (const struct nasc_requant *q = g->requant; q != g->requant_end; q++, w += kernel) {
		for (uint32_t i = kernel / 2; i; i--, w += 2 * kernel) {
			to = lay_out_column(w, 2, kernel, to);
			to = lay_out_column(w + 1, 2, kernel, to);
		}
		to = lay_out_column(w, 1, kernel, to);
	}
	return (const int8_t *)g->laid_out;
}

ALONE const int8_t *lay_out_five(const struct group *g)
{
	return lay_out_kernel(g, 5);
}

ALONE const int8_t *lay_out_seven(const struct group *g)
{
	return lay_out_kernel(g, 7);
}

INLINE const int8_t *lay_out(const struct group *g, uint32_t kernel)
{
	return kernel == 5 ? lay_out_five(g) : lay_out_seven(g);
}

/* What a column of cells adds to the sums of an upper and a lower output. */
INLINE void add_column(const half *cells, const int8_t *weights, uint32_t column, uint32_t kernel_h,
		       uint32_t kernel_w, uint32_t rows, int32_t *upper, int32_t *lower)
{
	const uint32_t *x = (const uint32_t *)(const void *)cells;
	const uint32_t *w = (const uint32_t *)(const void *)weights + (kernel_h - 1) * column;
	const uint32_t last = kernel_h / 2;

	(void)kernel_w;
	UNROLL
	for (uint32_t pair = 0; pair < last; pair++)
		*upper = multiply_add(x[pair], w[pair], *upper);
	*upper = add_low_by_high(x[last], w[2 * last - 1], *upper);
	if (rows == 1)
		return;
	*lower = add_high_by_low(x[0], w[0], *lower);
	UNROLL
	for (uint32_t pair = 1; pair <= last; pair++)
		*lower = multiply_add(x[pair], w[last + pair - 1], *lower);
}
#else
INLINE uint32_t weights_step(uint32_t kernel_h, uint32_t kernel_w)
{
	return kernel_h * kernel_w;
}

INLINE const int8_t *lay_out(const struct group *g, uint32_t kernel)
{
	(void)kernel;
	return g->weights;
}

INLINE void add_column(const half *cells, const int8_t *weights, uint32_t column, uint32_t kernel_h,
		       uint32_t kernel_w, uint32_t rows, int32_t *upper, int32_t *lower)
{
	uint32_t step;
	const int8_t *w = column_of(weights, column, kernel_h, kernel_w, &step);

	UNROLL
	for (uint32_t row = 0; row < kernel_h; row++) {
		const int32_t weight = w[row * step];

		*upper += cells[row] * weight;
		if (rows == 2)
			*lower += cells[row + 1] * weight;
	}
#ifdef __GNUC__
	/* gcc would leave all of one sum for later than all of the other. */
	__asm__("" : "+r"(*upper), "+r"(*lower));
#endif
}
#endif

/* A channel at @columns columns, 1 or 2. */
INLINE void convolve_columns(const half *x, const int8_t *w, uint32_t kernel_h, uint32_t kernel_w,
			     uint32_t stride, uint32_t rows, uint32_t columns,
			     struct nasc_requant q, uint32_t lower, int8_t *y, int8_t *second)
{
	const uint32_t step = 8 * pairs_of(kernel_h);
	int32_t a0 = q.offset, a1 = a0, b0 = a0, b1 = a0;

	UNROLL
	for (uint32_t column = 0; column < kernel_w; column++) {
		add_column(x + column * step, w, column, kernel_h, kernel_w, rows, &a0, &b0);
		if (columns == 2)
			add_column(x + (column + stride) * step, w, column, kernel_h, kernel_w,
				   rows, &a1, &b1);
	}
	/* A lower row that is none goes where the upper does, and before it. */
	if (rows == 2) {
		y[lower] = requantise(b0, q.multiplier);
		if (columns == 2)
			second[lower] = requantise(b1, q.multiplier);
	}
	y[0] = requantise(a0, q.multiplier);
	if (columns == 2)
		second[0] = requantise(a1, q.multiplier);
}

/* One or two rows of outputs. */
INLINE void convolve_rows(const struct group *g, const int8_t *weights, uint32_t kernel_h,
			  uint32_t kernel_w, uint32_t stride, uint32_t lower, int8_t *y)
{
	const uint32_t rows = stride == 1 ? 2 : 1, step = g->step, pairs = pairs_of(kernel_h);
	const half *cells = g->cells;

	for (const struct nasc_requant *q = g->requant; q != g->requant_end; q++) {
		const half *x = cells;
		int8_t *to = y, *const end = y + g->twos;

		for (; to != end; to += 2 * step, x += 16 * pairs * stride)
			convolve_columns(x, weights, kernel_h, kernel_w, stride, rows, 2, *q, lower,
					 to, to + step);
		if (g->odd)
			convolve_columns(x, weights, kernel_h, kernel_w, stride, rows, 1, *q, lower,
					 to, to);
		cells += 2 * pairs;
		weights += weights_step(kernel_h, kernel_w);
		y++;
	}
}

/* The same, of any kernel. */
INLINE void convolve_rows_any(const struct group *g, uint32_t lower, int8_t *y)
{
	const uint32_t kernel_h = g->kernel_h, kernel_w = g->kernel_w, pairs = pairs_of(kernel_h);
	const half *cells = g->cells;
	const int8_t *weights = g->weights;

	for (const struct nasc_requant *q = g->requant; q != g->requant_end; q++) {
		const half *x = cells;
		int8_t *to = y, *const end = y + g->twos + (g->odd ? g->step : 0);

		for (; to != end; to += g->step, x += 8 * pairs * g->stride) {
			int32_t a = q->offset, b = a;
			const half *cell = x;

			for (uint32_t column = 0; column < kernel_w; column++) {
				uint32_t step;
				const int8_t *w =
					column_of(weights, column, kernel_h, kernel_w, &step);

				for (uint32_t row = 0; row < kernel_h; row++, w += step) {
					a += cell[row] * *w;
					b += cell[row + 1] * *w;
				}
				cell += 8 * pairs;
			}
			to[lower] = requantise(b, q->multiplier);
			*to = requantise(a, q->multiplier);
		}
		cells += 2 * pairs;
		weights += kernel_h * kernel_w;
		y++;
	}
}

/* All rows of outputs. What is constant where this is called is so in the loops; @any: nothing. */
INLINE void convolve_group(const struct group *g, uint32_t kernel_h, uint32_t kernel_w,
			   uint32_t stride, int any)
{
	const uint32_t rows = stride == 1 ? 2 : 1, pairs = pairs_of(kernel_h);
	/* Of the pairs that some rows of outputs see, the next see all but one, or none. */
	const uint32_t fresh = rows * stride == 2 ? 1 : pairs;
	const int32_t again = (int32_t)(2 * fresh) - (int32_t)(rows * stride);
	const int8_t *const weights = any ? g->weights : lay_out(g, kernel_h);
	const int8_t *x = g->x;
	int8_t *y = g->y;
	uint32_t row = g->row, lower = g->lower, missing = pairs;

	for (uint32_t left = g->rows;; left -= rows) {
		if (left == 1)
			lower = 0;
		for (; missing; missing--, row += 2, x += 2 * g->line)
			gather(g, row, x, pairs, any);
		if (any)
			convolve_rows_any(g, lower, y);
		else
			convolve_rows(g, weights, kernel_h, kernel_w, stride, lower, y);
		if (left <= rows)
			return;
		y += rows * g->out_line;
		missing = fresh;
		row -= (uint32_t)again;
		x -= again * (int32_t)g->line;
	}
}

ALONE void group_any(const struct group *g)
{
	convolve_group(g, g->kernel_h, g->kernel_w, g->stride, 1);
}

#ifndef __ARM_FEATURE_DSP
ALONE void group_3x3(const struct group *g)
{
	convolve_group(g, 3, 3, 1, 0);
}

ALONE void group_3x3_stride_2(const struct group *g)
{
	convolve_group(g, 3, 3, 2, 0);
}
#endif

ALONE void group_5x5(const struct group *g)
{
	convolve_group(g, 5, 5, 1, 0);
}

ALONE void group_5x5_stride_2(const struct group *g)
{
	convolve_group(g, 5, 5, 2, 0);
}

ALONE void group_7x7(const struct group *g)
{
	convolve_group(g, 7, 7, 1, 0);
}

ALONE void group_7x7_stride_2(const struct group *g)
{
	convolve_group(g, 7, 7, 2, 0);
}

static void (*group_of(const struct nasc_window *w))(const struct group *)
{
	static const struct {
		uint32_t kernel, stride;
		void (*convolve)(const struct group *);
	} known[] = { { 3, 1, group_3x3 }, { 3, 2, group_3x3_stride_2 },
		      { 5, 1, group_5x5 }, { 5, 2, group_5x5_stride_2 },
		      { 7, 1, group_7x7 }, { 7, 2, group_7x7_stride_2 } };

	if (w->in_c >= 4)
		for (uint32_t i = 0; i < sizeof known / sizeof *known; i++)
			if (w->kernel_h == known[i].kernel && w->kernel_w == w->kernel_h &&
			    w->stride == known[i].stride)
				return known[i].convolve;
	return group_any;
}

/* Cells beside the map, which stay. */
static void surround(int8_t zero, uint32_t cells, half *to)
{
	for (; cells; cells--)
		*to++ = zero;
}

void nasc_depthwise(const struct nasc_window *w, const int8_t *x, int8_t *y, void *scratch)
{
	const uint32_t kernel_h = w->kernel_h, kernel_w = w->kernel_w, stride = w->stride;
	const uint32_t channels = w->in_c, line = w->in_w * channels,
		       out_line = w->out_line * channels;
	const uint32_t columns = ((w->out_w + 1u) / 2 * 2 - 1) * stride + kernel_w;
	const uint32_t padding = w->pad_left < 0 ? 0 : (uint32_t)w->pad_left;
	const uint32_t skipped = w->pad_left < 0 ? (uint32_t)-w->pad_left : 0;
	const uint32_t before = padding < columns ? padding : columns;
	const uint32_t there = skipped < w->in_w ? w->in_w - skipped : 0;
	const uint32_t filled = there < columns - before ? there : columns - before;
	const uint32_t column = 8 * pairs_of(kernel_h); /* cells of it */
	half *const cells = scratch, *const first = cells + before * column;
	void (*const convolve)(const struct group *) = group_of(w);
	struct group g = {
		.lower = stride == 1 && w->out_h > 1 ? out_line : 0,
		.step = channels,
		.twos = w->out_w / 2u * 2 * channels,
		.odd = w->out_w % 2,
		.row = 0u - (uint32_t)w->pad_top,
		.columns = filled,
		.height = w->in_h,
		.line = line,
		.first = first,
		.rows = w->out_h,
		.out_line = out_line,
		.outside = { w->zero, w->zero, w->zero, w->zero },
		.kernel_h = kernel_h,
		.kernel_w = kernel_w,
		.stride = stride,
		.channels = channels < 4 ? channels : 4,
		.laid_out = (uint32_t *)(void *)(cells + columns * column),
	};

	surround(w->zero, before * column, cells);
	surround(w->zero, (columns - before - filled) * column, first + filled * column);
	x += (int32_t)(g.row * line) + (int32_t)(skipped * channels);
	for (uint32_t c = 0; c < channels; c += 4) {
		/* Where fewer than four are left, the last four are gathered. */
		const uint32_t n = channels - c < 4 ? channels - c : 4, spare = g.channels - n;

		g.x = x + c - spare;
		g.weights = w->weights + c * kernel_h * kernel_w;
		g.requant = w->requant + c;
		g.requant_end = g.requant + n;
		g.cells = cells + spare * (column / 4);
		g.y = y + c;
		convolve(&g);
	}
}
