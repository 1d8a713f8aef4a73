#include "nasc_kernels.h"
#include "nasc_words.h"

#if defined(__GNUC__) && !defined(__clang__)
/* gcc would make words of bytes before it stores them. */
#pragma GCC optimize("no-tree-slp-vectorize")
#endif

/* ---- pools ----------------------------------------------------------------------- */

/* The cells of a window that lie in the map. */
struct cells {
	const int8_t *first;
	uint32_t rows, columns;
};

static struct cells cells_of(const struct nasc_window *w, const int8_t *x, uint32_t row,
			     uint32_t column)
{
	const int32_t top = (int32_t)(row * w->stride) - w->pad_top;
	const int32_t left = (int32_t)(column * w->stride) - w->pad_left;
	const int32_t bottom = top + w->kernel_h, right = left + w->kernel_w;
	const int32_t r0 = top < 0 ? 0 : top, r1 = bottom > w->in_h ? w->in_h : bottom;
	const int32_t c0 = left < 0 ? 0 : left, c1 = right > w->in_w ? w->in_w : right;

	return (struct cells){ x + ((uint32_t)r0 * w->in_w + (uint32_t)c0) * w->in_c,
			       (uint32_t)(r1 - r0), (uint32_t)(c1 - c0) };
}

/* Of @n of the channels, 1 to 4, from @cell on. */
INLINE void add_cells(const struct cells *cells, const int8_t *cell, uint32_t line,
		      uint32_t channels, uint32_t n, int32_t *sum)
{
	int32_t a = 0, b = 0, c = 0, d = 0;

	for (uint32_t rows = cells->rows; rows; rows--, cell += line - cells->columns * channels) {
		for (uint32_t columns = cells->columns; columns; columns--, cell += channels) {
			const uint32_t bytes = n == 4 ? load(cell) : load_some(cell, n);

			a += (int8_t)bytes;
			b += (int8_t)(bytes >> 8);
			c += (int8_t)(bytes >> 16);
			d += (int8_t)(bytes >> 24);
		}
	}
	sum[0] = a;
	sum[1] = b;
	sum[2] = c;
	sum[3] = d;
}

INLINE uint32_t largest_of(const struct cells *cells, const int8_t *cell, uint32_t line,
			   uint32_t channels, uint32_t n)
{
	uint32_t largest = repeat(-128);

	for (uint32_t rows = cells->rows; rows; rows--, cell += line - cells->columns * channels)
		for (uint32_t columns = cells->columns; columns; columns--, cell += channels)
			largest = larger(largest, n == 4 ? load(cell) : load_some(cell, n));
	return largest;
}

void nasc_mean_pool(const struct nasc_window *w, const int8_t *x, int8_t *y)
{
	const uint32_t channels = w->in_c, line = w->in_w * channels;
	const uint32_t beside = (uint32_t)(w->out_line - w->out_w) * channels;

	for (uint32_t row = 0; row < w->out_h; row++, y += beside) {
		for (uint32_t column = 0; column < w->out_w; column++, y += channels) {
			const struct cells cells = cells_of(w, x, row, column);
			const struct nasc_requant q =
				w->requant[(uint32_t)w->kernel_h * w->kernel_w -
					   cells.rows * cells.columns];
			int32_t sum[4];
			uint32_t c = 0;

			for (; channels - c >= 4; c += 4) {
				add_cells(&cells, cells.first + c, line, channels, 4, sum);
				UNROLL
				for (uint32_t i = 0; i < 4; i++)
					y[c + i] = requantise(NASC_MEAN_PARTS * sum[i] + q.offset,
							      q.multiplier);
			}
			if (c == channels)
				continue;
			add_cells(&cells, cells.first + c, line, channels, channels - c, sum);
			for (uint32_t i = 0; c + i < channels; i++)
				y[c + i] = requantise(NASC_MEAN_PARTS * sum[i] + q.offset,
						      q.multiplier);
		}
	}
}

void nasc_max_pool(const struct nasc_window *w, const int8_t *x, int8_t *y)
{
	const uint32_t channels = w->in_c, line = w->in_w * channels;
	const uint32_t beside = (uint32_t)(w->out_line - w->out_w) * channels;

	for (uint32_t row = 0; row < w->out_h; row++, y += beside) {
		for (uint32_t column = 0; column < w->out_w; column++, y += channels) {
			const struct cells cells = cells_of(w, x, row, column);
			uint32_t c = 0, largest;

			for (; channels - c >= 4; c += 4)
				store(y + c,
				      largest_of(&cells, cells.first + c, line, channels, 4));
			if (c == channels)
				continue;
			largest = largest_of(&cells, cells.first + c, line, channels, channels - c);
			for (uint32_t i = 0; c + i < channels; i++)
				y[c + i] = (int8_t)(largest >> 8 * i);
		}
	}
}

/* ---- element by element ------------------------------------------------------------ */

INLINE int8_t apply(struct nasc_affine a, uint32_t shift, int8_t x)
{
	return saturate((a.constant + a.factor * x) >> shift);
}

/* Of all pixels @n channels, all by a[0] or each by its own. */
INLINE void apply_to(const struct nasc_affine *a, int own, uint32_t n, uint32_t shift,
		     uint32_t pixels, uint32_t x_step, uint32_t y_step, const int8_t *x, int8_t *y)
{
	struct nasc_affine copy[8];

	UNROLL
	for (uint32_t i = 0; i < n; i++)
		copy[i] = a[own ? i : 0];
	for (; pixels; pixels--, x += x_step, y += y_step) {
		UNROLL
		for (uint32_t i = 0; i < n; i++)
			y[i] = apply(copy[i], shift, x[i]);
	}
}

void nasc_scale(const struct nasc_affine *a, uint32_t shift, uint32_t pixels, uint32_t channels,
		const int8_t *x, int8_t *y)
{
	uint32_t c = 0;

	for (; channels - c >= 4; c += 4)
		apply_to(a + c, 1, 4, shift, pixels, channels, channels, x + c, y + c);
	for (; c < channels; c++)
		apply_to(a + c, 1, 1, shift, pixels, channels, channels, x + c, y + c);
}

void nasc_place(struct nasc_affine a, uint32_t shift, uint32_t pixels, uint32_t channels,
		uint32_t stride, const int8_t *x, int8_t *y)
{
	uint32_t c = 0;

	for (; channels - c >= 8; c += 8)
		apply_to(&a, 0, 8, shift, pixels, channels, stride, x + c, y + c);
	for (; channels - c >= 2; c += 2)
		apply_to(&a, 0, 2, shift, pixels, channels, stride, x + c, y + c);
	if (c < channels)
		apply_to(&a, 0, 1, shift, pixels, channels, stride, x + c, y + c);
}

/* Of four elements of two inputs the products with two factors, halves of a word. */
INLINE void add_products(const int8_t *a, const int8_t *b, uint32_t factors, int32_t constant,
			 int32_t *sum)
{
#ifdef __ARM_FEATURE_DSP
	const uint32_t of_a = load(a), of_b = load(b);
	const uint32_t first = low_halves(of_a, of_b), last = high_halves(of_a, of_b);
	const uint32_t pairs[4] = { even_bytes(first), odd_bytes(first), even_bytes(last),
				    odd_bytes(last) };

	UNROLL
	for (uint32_t i = 0; i < 4; i++)
		__asm__("smlad %0, %1, %2, %3"
			: "=r"(sum[i])
			: "r"(pairs[i]), "r"(factors), "r"(constant));
#else
	UNROLL
	for (uint32_t i = 0; i < 4; i++)
		sum[i] = constant + (int16_t)factors * a[i] + (int16_t)(factors >> 16) * b[i];
#endif
}

INLINE void add_product(const int8_t *x, int32_t factor, int32_t *sum)
{
	UNROLL
	for (uint32_t i = 0; i < 4; i++)
		sum[i] += factor * x[i];
}

/* Of the first elements, four at a time. */
INLINE void add_fours(int32_t constant, const int32_t *factor, uint32_t shift, uint32_t n,
		      uint32_t fours, const int8_t *const *x, int8_t *y)
{
	const uint32_t second = n > 1 ? (uint32_t)factor[1] : 0;
	const uint32_t factors = low_halves((uint32_t)factor[0], second);
	const int32_t third = n == 3 ? factor[2] : 0;
	const int8_t *a = x[0], *b = x[n > 1], *c = x[n == 3 ? 2 : 0];

	for (uint32_t e = 0; fours; fours--, a += 4, b += 4, c += 4, e += 4, y += 4) {
		int32_t sum[4];

		add_products(a, b, factors, constant, sum);
		if (n == 3)
			add_product(c, third, sum);
		else
			for (uint32_t i = 2; i < n; i++)
				add_product(x[i] + e, factor[i], sum);
		UNROLL
		for (uint32_t i = 0; i < 4; i++)
			y[i] = saturate(sum[i] >> shift);
	}
}

void nasc_add(int32_t constant, const int32_t *factor, uint32_t shift, uint32_t n,
	      uint32_t elements, const int8_t *const *x, int8_t *y)
{
	if (n == 2)
		add_fours(constant, factor, shift, 2, elements / 4, x, y);
	else if (n == 3)
		add_fours(constant, factor, shift, 3, elements / 4, x, y);
	else
		add_fours(constant, factor, shift, n, elements / 4, x, y);
	for (uint32_t e = elements / 4 * 4; e < elements; e++) {
		int32_t sum = constant;

		for (uint32_t i = 0; i < n; i++)
			sum += factor[i] * x[i][e];
		y[e] = saturate(sum >> shift);
	}
}

void nasc_clamp(int8_t low, int8_t high, uint32_t elements, const int8_t *x, int8_t *y)
{
#ifdef __ARM_FEATURE_DSP
	for (; elements >= 4; elements -= 4, x += 4, y += 4)
		store(y, smaller(larger(load(x), repeat(low)), repeat(high)));
#endif
	for (; elements; elements--, x++)
		*y++ = *x < low ? low : *x > high ? high : *x;
}

void nasc_pad(const struct nasc_window *w, const int8_t *x, int8_t *y)
{
	const uint32_t in = (uint32_t)w->in_w * w->in_c, out = (uint32_t)w->out_w * w->in_c;
	const uint32_t left = (uint32_t)w->pad_left * w->in_c, above = (uint32_t)w->pad_top;

	y = fill(w->zero, above * out + left, y);
	for (uint32_t row = 0; row < w->in_h; row++, x += in) {
		y = copy(x, in, y);
		y = fill(w->zero, row + 1 < w->in_h ? out - in : out - in - left, y);
	}
	fill(w->zero, (w->out_h - above - w->in_h) * out, y);
}

void nasc_upsample(const struct nasc_window *w, const int8_t *x, int8_t *y)
{
	const uint32_t in = (uint32_t)w->in_w * w->in_c;

	for (uint32_t row = 0; row < w->out_h; row++) {
		const int8_t *line = x + row / w->stride * in;

		for (uint32_t column = 0; column < w->out_w; column++)
			y = copy(line + column / w->stride * w->in_c, w->in_c, y);
	}
}
