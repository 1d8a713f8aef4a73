#include "nasc_kernels.h"
#include "nasc_words.h"

/* Depthwise convolution.
 *
 * Four channels at a time, two columns of one or two (stride 1) rows of outputs at a time. Rows
 * of inputs are kept as pairs, the upper in the low half of a word: a column has a word of each
 * channel and pair, [column][channel][pair]. Going down, the oldest pair is replaced, so that the
 * pairs are a ring, and what is read is never read again: outputs may take its place. Weights are
 * laid out as the pairs are, for an upper and a lower row of outputs, [column][row][pair], 0
 * where a row does not look; twice behind each other, so that they can start where the ring does.
 */

/* Of @n channels, at @columns columns, a pair of rows. */
INLINE void gather_column(const int8_t *upper, const int8_t *lower, uint32_t n, uint32_t pairs,
			  uint32_t *to)
{
	const uint32_t a = n == 4 ? load(upper) : load_some(upper, n);
	const uint32_t b = n == 4 ? load(lower) : load_some(lower, n);

	to[0] = low_halves(even_bytes(a), even_bytes(b));
	to[pairs] = low_halves(odd_bytes(a), odd_bytes(b));
	to[2 * pairs] = high_halves(even_bytes(a), even_bytes(b));
	to[3 * pairs] = high_halves(odd_bytes(a), odd_bytes(b));
}

INLINE void gather(const int8_t *upper, uint32_t upper_step, const int8_t *lower,
		   uint32_t lower_step, uint32_t n, uint32_t columns, uint32_t pairs, uint32_t *to)
{
	const uint32_t *const end = to + columns / 2 * 8 * pairs;

	for (; to != end; to += 8 * pairs, upper += 2 * upper_step, lower += 2 * lower_step) {
		gather_column(upper, lower, n, pairs, to);
		gather_column(upper + upper_step, lower + lower_step, n, pairs, to + 4 * pairs);
	}
	if (columns % 2)
		gather_column(upper, lower, n, pairs, to);
}

/* Some channels of one or two rows of outputs. */
struct rows {
	uint32_t kernel_h, kernel_w, stride, pairs;
	uint32_t channels;	/* of these here; @step of all */
	uint32_t step, columns; /* of outputs */
	uint32_t filled;	/* columns of the ring that are of the map */
	uint32_t span;		/* bytes of outputs, but for an odd column */
	const uint32_t *ring, *weights;
	uint32_t layout; /* words of a channel's weights */
	const struct nasc_requant *requant;
	int8_t *y;
	uint32_t lower; /* from the upper row of outputs to the lower; 0: there is none */
	int8_t outside[4];
};

/* Rows @row and @row + 1 of inputs, whose channels begin at @x, to a pair of the ring. */
ALONE void gather_rows(const struct rows *r, const struct nasc_window *w, const int8_t *x,
		       int32_t row, uint32_t *to)
{
	const uint32_t columns = r->filled, n = r->channels, pairs = r->pairs;
	const uint32_t step = w->in_c, line = w->in_w * step;
	const int8_t *upper = x + row * (int32_t)line, *lower = upper + line;
	uint32_t upper_step = step, lower_step = step;

	if (row < 0 || row >= w->in_h) {
		upper = r->outside;
		upper_step = 0;
	}
	if (row < -1 || row + 1 >= w->in_h) {
		lower = r->outside;
		lower_step = 0;
	}
	if (n == 4 && pairs == 2)
		gather(upper, upper_step, lower, lower_step, 4, columns, 2, to);
	else if (n == 4)
		gather(upper, upper_step, lower, lower_step, 4, columns, pairs, to);
	else
		gather(upper, upper_step, lower, lower_step, n, columns, pairs, to);
}

INLINE uint32_t pairs_of(uint32_t kernel_h)
{
	return kernel_h / 2 + 1;
}

/* The weights of some columns of a kernel of three rows. */
ALONE void lay_out_three(const int8_t *weights, uint32_t columns, uint32_t rows, uint32_t *to)
{
	for (; columns; columns--, weights += 3, to += 4 * rows) {
		const uint32_t a = (uint32_t)weights[0], b = (uint32_t)weights[1];
		const uint32_t c = (uint32_t)weights[2];

		to[0] = to[2] = low_halves(a, b);
		to[1] = to[3] = low_halves(c, 0);
		if (rows == 2) {
			to[4] = to[6] = low_halves(0, a);
			to[5] = to[7] = low_halves(b, c);
		}
	}
}

/* The same of any. */
ALONE void lay_out(const int8_t *weights, uint32_t kernel_h, uint32_t columns, uint32_t rows,
		   uint32_t *to)
{
	const uint32_t pairs = pairs_of(kernel_h);

	for (; columns; columns--, to += 2 * rows * pairs) {
		uint32_t before = 0;

		for (uint32_t pair = 0; pair < pairs; pair++) {
			const uint32_t a = 2 * pair < kernel_h ? (uint32_t)*weights++ : 0;
			const uint32_t b = 2 * pair + 1 < kernel_h ? (uint32_t)*weights++ : 0;

			to[pair] = to[pair + pairs] = low_halves(a, b);
			if (rows == 2)
				to[pair + 2 * pairs] = to[pair + 3 * pairs] = low_halves(before, a);
			before = b;
		}
	}
}

/* A channel at @columns columns, 1 or 2. */
INLINE void convolve_columns(const uint32_t *x, const uint32_t *w, uint32_t pairs,
			     uint32_t kernel_w, uint32_t stride, uint32_t rows, uint32_t columns,
			     int32_t offset, int32_t multiplier, uint32_t lower, int8_t *y,
			     int8_t *second)
{
	int32_t a0 = offset, a1 = a0, b0 = a0, b1 = a0;

	UNROLL
	for (uint32_t column = 0; column < kernel_w; column++) {
		UNROLL
		for (uint32_t pair = 0; pair < pairs; pair++) {
			const uint32_t x0 = x[4 * pairs * column + pair];
			const uint32_t x1 =
				columns == 2 ? x[4 * pairs * (column + stride) + pair] : 0;
			const uint32_t v = w[2 * rows * pairs * column + pair];

			a0 = multiply_add(x0, v, a0);
			if (columns == 2)
				a1 = multiply_add(x1, v, a1);
			if (rows == 2) {
				const uint32_t u = w[2 * rows * pairs * column + 2 * pairs + pair];

				b0 = multiply_add(x0, u, b0);
				if (columns == 2)
					b1 = multiply_add(x1, u, b1);
			}
		}
	}
	/* A lower row that is none goes where the upper does, and before it. */
	if (rows == 2) {
		y[lower] = requantise(b0, multiplier);
		if (columns == 2)
			second[lower] = requantise(b1, multiplier);
	}
	y[0] = requantise(a0, multiplier);
	if (columns == 2)
		second[0] = requantise(a1, multiplier);
}

/* What is constant where this is called is so in the loops. */
INLINE void convolve_rows(const struct rows *r, uint32_t kernel_h, uint32_t kernel_w,
			  uint32_t stride)
{
	const uint32_t pairs = pairs_of(kernel_h), rows = stride == 1 ? 2 : 1;
	const uint32_t step = r->step, lower = r->lower;
	const uint32_t *ring = r->ring, *weights = r->weights;
	const struct nasc_requant *q = r->requant;

	for (uint32_t i = 0; i < r->channels; i++) {
		const int32_t offset = q->offset, multiplier = q->multiplier;
		const uint32_t *x = ring;
		int8_t *y = r->y + i, *const end = y + r->span;

		while (y != end) {
			int8_t *const second = y + step;

			convolve_columns(x, weights, pairs, kernel_w, stride, rows, 2, offset,
					 multiplier, lower, y, second);
			x += 8 * pairs * stride;
			y = second + step;
		}
		if (r->columns % 2)
			convolve_columns(ring + r->columns / 2 * 8 * pairs * stride, weights, pairs,
					 kernel_w, stride, rows, 1, offset, multiplier, lower, y,
					 y);
		ring += pairs;
		weights += r->layout;
		q++;
	}
}

ALONE void rows_3x3(const struct rows *r)
{
	convolve_rows(r, 3, 3, 1);
}

ALONE void rows_3x3_stride_2(const struct rows *r)
{
	convolve_rows(r, 3, 3, 2);
}

ALONE void rows_5x5(const struct rows *r)
{
	convolve_rows(r, 5, 5, 1);
}

ALONE void rows_5x5_stride_2(const struct rows *r)
{
	convolve_rows(r, 5, 5, 2);
}

ALONE void rows_7x7(const struct rows *r)
{
	convolve_rows(r, 7, 7, 1);
}

ALONE void rows_7x7_stride_2(const struct rows *r)
{
	convolve_rows(r, 7, 7, 2);
}

ALONE void rows_any(const struct rows *r)
{
	const uint32_t pairs = pairs_of(r->kernel_h), rows = r->stride == 1 ? 2 : 1;

	for (uint32_t i = 0; i < r->channels; i++) {
		const struct nasc_requant q = r->requant[i];

		for (uint32_t row = rows; row-- > 0;) {
			const uint32_t *x = r->ring + i * pairs;
			int8_t *y = r->y + i + row * r->lower;

			for (uint32_t left = r->columns; left; left--, y += r->step) {
				const uint32_t *w = r->weights + i * r->layout + row * 2 * pairs;
				const uint32_t *cell = x;
				int32_t sum = q.offset;

				for (uint32_t column = r->kernel_w; column; column--) {
					for (uint32_t pair = 0; pair < pairs; pair++)
						sum = multiply_add(cell[pair], w[pair], sum);
					cell += 4 * pairs;
					w += 2 * rows * pairs;
				}
				*y = requantise(sum, q.multiplier);
				x += 4 * pairs * r->stride;
			}
		}
	}
}

static void (*rows_of(uint32_t kernel_h, uint32_t kernel_w, uint32_t stride))(const struct rows *)
{
	static const struct {
		uint32_t kernel, stride;
		void (*convolve)(const struct rows *);
	} known[] = { { 3, 1, rows_3x3 }, { 3, 2, rows_3x3_stride_2 },
		      { 5, 1, rows_5x5 }, { 5, 2, rows_5x5_stride_2 },
		      { 7, 1, rows_7x7 }, { 7, 2, rows_7x7_stride_2 } };

	for (uint32_t i = 0; i < sizeof known / sizeof *known; i++)
		if (kernel_h == known[i].kernel && kernel_w == kernel_h &&
		    stride == known[i].stride)
			return known[i].convolve;
	return rows_any;
}

/* Cells beside the map, which stay. */
static void surround(int8_t zero, uint32_t words, uint32_t *to)
{
	for (; words; words--)
		*to++ = low_halves((uint32_t)zero, (uint32_t)zero);
}

void nasc_depthwise(const struct nasc_window *w, const int8_t *x, int8_t *y, void *scratch)
{
	const uint32_t kernel_h = w->kernel_h, kernel_w = w->kernel_w, stride = w->stride;
	const uint32_t channels = w->in_c, rows = stride == 1 ? 2 : 1, pairs = pairs_of(kernel_h);
	const uint32_t layout = 2 * rows * pairs * kernel_w, line = w->out_line * channels;
	const uint32_t columns = ((w->out_w + 1u) / 2 * 2 - 1) * stride + kernel_w;
	const uint32_t padding = w->pad_left < 0 ? 0 : (uint32_t)w->pad_left;
	const uint32_t skipped = w->pad_left < 0 ? (uint32_t)-w->pad_left : 0;
	const uint32_t before = padding < columns ? padding : columns;
	const uint32_t there = skipped < w->in_w ? w->in_w - skipped : 0;
	uint32_t *const weights = scratch, *const ring = weights + 4 * layout;
	void (*const convolve)(const struct rows *) = rows_of(kernel_h, kernel_w, stride);
	struct rows r = { .kernel_h = kernel_h,
			  .kernel_w = kernel_w,
			  .stride = stride,
			  .pairs = pairs,
			  .step = channels,
			  .columns = w->out_w,
			  .filled = there < columns - before ? there : columns - before,
			  .span = w->out_w / 2u * 2 * channels,
			  .ring = ring,
			  .layout = layout,
			  .outside = { w->zero, w->zero, w->zero, w->zero } };

	surround(w->zero, before * 4 * pairs, ring);
	surround(w->zero, (columns - before - r.filled) * 4 * pairs,
		 ring + (before + r.filled) * 4 * pairs);
	for (uint32_t c = 0; c < channels; c += 4) {
		const int8_t *const packed = w->weights + c * kernel_h * kernel_w;
		uint32_t oldest = 0, known = 0; /* pairs of the next rows that are there already */

		r.channels = channels - c < 4 ? channels - c : 4;
		r.requant = w->requant + c;
		if (kernel_h == 3)
			lay_out_three(packed, kernel_w * r.channels, rows, weights);
		else
			lay_out(packed, kernel_h, kernel_w * r.channels, rows, weights);
		for (uint32_t row = 0; row < w->out_h; row += rows) {
			const int32_t top = (int32_t)(row * stride) - w->pad_top;

			for (uint32_t pair = known; pair < pairs; pair++) {
				const uint32_t at = oldest + pair;

				gather_rows(&r, w, x + skipped * channels + c,
					    top + (int32_t)(2 * pair),
					    ring + before * 4 * pairs +
						    (at < pairs ? at : at - pairs));
			}
			r.weights = weights + pairs - oldest;
			r.y = y + row * line + c;
			r.lower = row + 1 < w->out_h ? line : 0;
			convolve(&r);
			if (rows * stride == 2) {
				known = pairs - 1;
				oldest = oldest + 1 < pairs ? oldest + 1 : 0;
			}
		}
	}
}
