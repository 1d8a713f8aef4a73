#include "nasc_kernels.h"
#include "nasc_words.h"

/* ---- convolution ----------------------------------------------------------------
 *
 * Two pixels at a time: all inputs of each are copied to one patch of bytes, widened to 16 bits
 * and interleaved, and then all channels read them. Inputs go in blocks of 4, k0 to k3, as halves
 * of words: first pixel (k0, k2), second (k0, k2), first (k1, k3), second (k1, k3). Weights are in
 * groups of 4 channels, those left over in pairs, and an odd channel there twice. In a group, a
 * block is a word (a k0, b k0, a k2, b k2) for each two channels a, b, then these of k1 and k3: so
 * that even_bytes() and odd_bytes() make two channels' factors of a word. */

#ifdef __ARM_FEATURE_DSP
INLINE void convolve_pair(const int8_t *weights, const void *pixels, uint32_t blocks,
			  const struct nasc_requant *q, uint32_t other, int8_t *y0, int8_t *y1)
{
	const uint32_t *p = pixels;
	int32_t a0 = q[0].offset, a1 = a0, b0 = q[other].offset, b1 = b0;

	for (const uint32_t *end = p + 4 * blocks; p != end; p += 4, weights += 8) {
		UNROLL for (uint32_t i = 0; i < 2; i++)
		{
			const uint32_t w = load(weights + 4 * i), a = even_bytes(w),
				       b = odd_bytes(w);

			a0 = multiply_add(a, p[2 * i], a0);
			a1 = multiply_add(a, p[2 * i + 1], a1);
			b0 = multiply_add(b, p[2 * i], b0);
			b1 = multiply_add(b, p[2 * i + 1], b1);
		}
	}
	y0[0] = requantise(a0, q[0].multiplier);
	y1[0] = requantise(a1, q[0].multiplier);
	y0[other] = requantise(b0, q[other].multiplier);
	y1[other] = requantise(b1, q[other].multiplier);
}

INLINE void convolve_four(const int8_t *weights, const void *pixels, uint32_t blocks,
			  const struct nasc_requant *q, int8_t *y0, int8_t *y1)
{
	const uint32_t *p = pixels;
	int32_t a0 = q[0].offset, b0 = q[1].offset, c0 = q[2].offset, d0 = q[3].offset;
	int32_t a1 = a0, b1 = b0, c1 = c0, d1 = d0;

	for (const uint32_t *end = p + 4 * blocks; p != end; p += 4, weights += 16) {
		UNROLL for (uint32_t i = 0; i < 2; i++)
		{
			const uint32_t p0 = p[2 * i], p1 = p[2 * i + 1];
			uint32_t w = load(weights + 8 * i), v = even_bytes(w);

			a0 = multiply_add(v, p0, a0);
			a1 = multiply_add(v, p1, a1);
			v = odd_bytes(w);
			b0 = multiply_add(v, p0, b0);
			b1 = multiply_add(v, p1, b1);
			w = load(weights + 8 * i + 4);
			v = even_bytes(w);
			c0 = multiply_add(v, p0, c0);
			c1 = multiply_add(v, p1, c1);
			v = odd_bytes(w);
			d0 = multiply_add(v, p0, d0);
			d1 = multiply_add(v, p1, d1);
		}
	}
	y0[0] = requantise(a0, q[0].multiplier);
	y1[0] = requantise(a1, q[0].multiplier);
	y0[1] = requantise(b0, q[1].multiplier);
	y1[1] = requantise(b1, q[1].multiplier);
	y0[2] = requantise(c0, q[2].multiplier);
	y1[2] = requantise(c1, q[2].multiplier);
	y0[3] = requantise(d0, q[3].multiplier);
	y1[3] = requantise(d1, q[3].multiplier);
}
#else
/* Two channels, of a group whose blocks are @step bytes. */
INLINE void convolve_two(const int8_t *weights, uint32_t step, const void *pixels, uint32_t blocks,
			 const struct nasc_requant *q, uint32_t other, int8_t *y0, int8_t *y1)
{
	const int16_t *p = pixels;
	int32_t a0 = q[0].offset, a1 = a0, b0 = q[other].offset, b1 = b0;

	for (const int16_t *end = p + 8 * blocks; p != end; p += 8, weights += step) {
		UNROLL for (uint32_t i = 0; i < 4; i++)
		{
			const int8_t *w = weights + i / 2 * (step / 2) + i % 2 * 2;
			const int32_t p0 = p[i / 2 * 4 + i % 2], p1 = p[i / 2 * 4 + i % 2 + 2];

			a0 += w[0] * p0;
			a1 += w[0] * p1;
			b0 += w[1] * p0;
			b1 += w[1] * p1;
		}
	}
	y0[0] = requantise(a0, q[0].multiplier);
	y1[0] = requantise(a1, q[0].multiplier);
	y0[other] = requantise(b0, q[other].multiplier);
	y1[other] = requantise(b1, q[other].multiplier);
}

INLINE void convolve_pair(const int8_t *weights, const void *pixels, uint32_t blocks,
			  const struct nasc_requant *q, uint32_t other, int8_t *y0, int8_t *y1)
{
	convolve_two(weights, 8, pixels, blocks, q, other, y0, y1);
}

static void convolve_four(const int8_t *weights, const void *pixels, uint32_t blocks,
			  const struct nasc_requant *q, int8_t *y0, int8_t *y1)
{
	for (uint32_t i = 0; i < 4; i += 2)
		convolve_two(weights + 2 * i, 16, pixels, blocks, q + i, 1, y0 + i, y1 + i);
}
#endif

/* Blocks of bytes to every other word of @pixels. */
INLINE void widen(const int8_t *bytes, uint32_t blocks, void *pixels, uint32_t pixel)
{
#ifdef __ARM_FEATURE_DSP
	uint32_t *p = (uint32_t *)pixels + pixel;

	for (; blocks; blocks--, bytes += 4, p += 4) {
		const uint32_t word = load(bytes);

		p[0] = even_bytes(word);
		p[2] = odd_bytes(word);
	}
#else
	int16_t *p = (int16_t *)pixels + 2 * pixel;

	for (; blocks; blocks--, bytes += 4, p += 8) {
		p[0] = bytes[0];
		p[1] = bytes[2];
		p[4] = bytes[1];
		p[5] = bytes[3];
	}
#endif
}

/* All inputs of the output at (@row, @column), in one piece: in the map where they are, else
 * copied to @patch. */
static const int8_t *inputs_of(const struct nasc_window *w, const int8_t *x, uint32_t row,
			       uint32_t column, int8_t *patch)
{
	const int32_t top = (int32_t)(row * w->stride) - w->pad_top;
	const int32_t left = (int32_t)(column * w->stride) - w->pad_left;
	const int32_t right = left + w->kernel_w;
	const uint32_t c = w->in_c, line = w->kernel_w * c;
	const int32_t from = left < 0 ? 0 : left, to = right > w->in_w ? w->in_w : right;
	int8_t *next = patch;

	if (w->kernel_h == 1 && from + 1 == to && line == c && top >= 0 && top < w->in_h &&
	    c % 4 == 0)
		return x + (uint32_t)(top * w->in_w + left) * c;
	for (int32_t r = top; r < top + w->kernel_h; r++) {
		if (r < 0 || r >= w->in_h || from >= to) {
			next = fill(w->zero, line, next);
			continue;
		}
		next = fill(w->zero, (uint32_t)(from - left) * c, next);
		next = copy(x + (uint32_t)(r * w->in_w + from) * c, (uint32_t)(to - from) * c,
			    next);
		next = fill(w->zero, (uint32_t)(right - to) * c, next);
	}
	return patch;
}

void nasc_conv(const struct nasc_window *w, const int8_t *x, int8_t *y, void *scratch)
{
	const uint32_t inputs = (uint32_t)w->kernel_h * w->kernel_w * w->in_c;
	const uint32_t blocks = (inputs + 3) / 4, channels = w->out_c;
	int8_t *patch = (int8_t *)scratch + 16 * blocks;
	uint32_t row = 0, column = 0;

	fill(0, 4 * blocks - inputs, patch + inputs);
	for (uint32_t left = (uint32_t)w->out_h * w->out_w; left;) {
		/* A last pixel alone is calculated twice. */
		int8_t *const y1 = left > 1 ? y + channels : y;
		const int8_t *weights = w->weights;
		uint32_t c = 0;

		for (uint32_t pixel = 0; pixel < 2; pixel++) {
			widen(inputs_of(w, x, row, column, patch), blocks, scratch, pixel);
			if (left == 1)
				continue;
			if (++column == w->out_w) {
				column = 0;
				row++;
			}
		}
		for (; channels - c >= 4; c += 4, weights += 16 * blocks)
			convolve_four(weights, scratch, blocks, w->requant + c, y + c, y1 + c);
		for (; c < channels; c += 2, weights += 8 * blocks)
			convolve_pair(weights, scratch, blocks, w->requant + c, c + 1 < channels,
				      y + c, y1 + c);
		left -= y1 == y ? 1 : 2;
		y = y1 + channels;
	}
}

/* ---- dense layer: one pixel, its inputs where they are -------------------------- */

/* Blocks of inputs, of two channels; those of a group are @step bytes. */
INLINE void add_products(const int8_t *weights, uint32_t step, const int8_t *x, uint32_t blocks,
			 int32_t *sum)
{
	int32_t a = sum[0], b = sum[1];

	for (; blocks; blocks--, x += 4, weights += step) {
#ifdef __ARM_FEATURE_DSP
		const uint32_t inputs = load(x), even = even_bytes(inputs), odd = odd_bytes(inputs);
		const uint32_t w = load(weights), v = load(weights + step / 2);

		a = multiply_add(even_bytes(w), even, a);
		b = multiply_add(odd_bytes(w), even, b);
		a = multiply_add(even_bytes(v), odd, a);
		b = multiply_add(odd_bytes(v), odd, b);
#else
		UNROLL for (uint32_t i = 0; i < 4; i++)
		{
			const int8_t *w = weights + i % 2 * (step / 2) + i / 2 * 2;

			a += w[0] * x[i];
			b += w[1] * x[i];
		}
#endif
	}
	sum[0] = a;
	sum[1] = b;
}

void nasc_dense(const struct nasc_window *w, const int8_t *x, int8_t *y)
{
	const uint32_t inputs = (uint32_t)w->in_h * w->in_w * w->in_c, blocks = inputs / 4;
	const uint32_t channels = w->out_c;
	const int8_t *weights = w->weights;
	int8_t rest[4];

	store(rest, load_some(x + 4 * blocks, inputs % 4));
	for (uint32_t c = 0; c < channels; c += 2) {
		const struct nasc_requant *q = w->requant + c;
		const uint32_t other = c + 1 < channels, step = c < channels / 4 * 4 ? 16 : 8;
		int32_t sum[2] = { q[0].offset, q[other].offset };

		add_products(weights, step, x, blocks, sum);
		if (inputs % 4)
			add_products(weights + step * blocks, step, rest, 1, sum);
		y[c] = requantise(sum[0], q[0].multiplier);
		y[c + other] = requantise(sum[1], q[other].multiplier);
		/* To the second half of the group, or behind it. */
		weights += step == 16 && c % 4 == 0
				   ? 4
				   : step * ((inputs + 3) / 4) - (step == 16 ? 4 : 0);
	}
}

/* ---- depthwise convolution --------------------------------------------------------
 *
 * Four channels at a time, two columns of one or two (stride 1) rows of outputs at a time. Rows
 * of inputs are kept as pairs, the upper in the low half of a word: a column has a word of each
 * channel and pair, [column][channel][pair]. Going down, the oldest pair is replaced, so that the
 * pairs are a ring, and what is read is never read again: outputs may take its place. Weights are
 * laid out as the pairs are, for an upper and a lower row of outputs, [column][row][pair], 0
 * where a row does not look; twice behind each other, so that they can start where the ring does.
 */

struct ring {
	uint32_t columns, pairs, oldest;
	uint32_t *word;
};

/* Rows @row and @row + 1 of @n channels from @x on, to pair @pair. */
INLINE void gather(const struct nasc_window *w, const int8_t *x, int32_t row, uint32_t n,
		   const struct ring *ring, uint32_t pairs, uint32_t pair)
{
	const int8_t outside[4] = { w->zero, w->zero, w->zero, w->zero };
	const uint32_t line = (uint32_t)w->in_w * w->in_c;
	const int has_upper = row >= 0 && row < w->in_h, has_lower = row >= -1 && row + 1 < w->in_h;
	const int8_t *upper = has_upper ? x + (uint32_t)row * line : outside;
	const int8_t *lower = has_lower ? x + (uint32_t)(row + 1) * line : outside;
	const uint32_t upper_step = has_upper ? w->in_c : 0, lower_step = has_lower ? w->in_c : 0;
	const uint32_t room = ring->columns > w->pad_left ? ring->columns - w->pad_left : 0;
	uint32_t *to = ring->word + w->pad_left * 4 * pairs + pair;

	for (uint32_t columns = w->in_w < room ? w->in_w : room; columns; columns--) {
		const uint32_t a = n == 4 ? load(upper) : load_some(upper, n);
		const uint32_t b = n == 4 ? load(lower) : load_some(lower, n);

		to[0] = low_halves(even_bytes(a), even_bytes(b));
		to[pairs] = low_halves(odd_bytes(a), odd_bytes(b));
		to[2 * pairs] = high_halves(even_bytes(a), even_bytes(b));
		to[3 * pairs] = high_halves(odd_bytes(a), odd_bytes(b));
		to += 4 * pairs;
		upper += upper_step;
		lower += lower_step;
	}
}

/* The weights of one channel. */
INLINE void lay_out(const int8_t *weights, uint32_t kernel_h, uint32_t kernel_w, uint32_t pairs,
		    uint32_t rows, uint32_t *to)
{
	for (uint32_t column = 0; column < kernel_w; column++, to += 2 * rows * pairs) {
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

/* A channel of one or two rows of outputs. */
INLINE void convolve_rows(const uint32_t *x, const uint32_t *weights, uint32_t pairs,
			  uint32_t kernel_w, uint32_t stride, uint32_t rows, struct nasc_requant q,
			  uint32_t columns, uint32_t step, int8_t *upper, int8_t *lower)
{
	for (; columns; columns -= columns > 1 ? 2 : 1) {
		const uint32_t *w = weights;
		/* Where there is no second column or row, it is calculated and overwritten. */
		const uint32_t second = columns > 1 ? step : 0;
		int32_t a0 = q.offset, a1 = a0, b0 = a0, b1 = a0;

		UNROLL for (uint32_t column = 0; column < kernel_w; column++)
		{
			UNROLL for (uint32_t pair = 0; pair < pairs; pair++)
			{
				const uint32_t x0 = x[4 * pairs * column + pair];
				const uint32_t x1 = x[4 * pairs * (column + stride) + pair];

				a0 = multiply_add(x0, w[pair], a0);
				a1 = multiply_add(x1, w[pair], a1);
				if (rows == 2) {
					b0 = multiply_add(x0, w[2 * pairs + pair], b0);
					b1 = multiply_add(x1, w[2 * pairs + pair], b1);
				}
			}
			w += 2 * rows * pairs;
		}
		if (rows == 2)
			lower[second] = requantise(b1, q.multiplier);
		upper[second] = requantise(a1, q.multiplier);
		if (rows == 2)
			lower[0] = requantise(b0, q.multiplier);
		upper[0] = requantise(a0, q.multiplier);
		x += 8 * pairs * stride;
		upper += 2 * step;
		lower += 2 * step;
	}
}

void nasc_depthwise(const struct nasc_window *w, const int8_t *x, int8_t *y, void *scratch)
{
	const uint32_t kernel_h = w->kernel_h, kernel_w = w->kernel_w, stride = w->stride;
	const uint32_t channels = w->in_c, rows = stride == 1 ? 2 : 1, line = w->out_w * channels;
	const uint32_t pairs = kernel_h / 2 + 1, layout = 2 * rows * pairs * kernel_w;
	uint32_t *const weights = scratch;
	struct ring ring = { .columns = ((w->out_w + 1u) / 2 * 2 - 1) * stride + kernel_w,
			     .pairs = pairs,
			     .word = weights + 4 * layout };

	for (uint32_t i = 0; i < ring.columns * 4 * pairs; i++)
		ring.word[i] = low_halves((uint32_t)w->zero, (uint32_t)w->zero);
	for (uint32_t c = 0; c < channels; c += 4) {
		const uint32_t n = channels - c < 4 ? channels - c : 4;
		uint32_t known = 0; /* pairs of the next rows that the ring has already */

		for (uint32_t i = 0; i < n; i++)
			lay_out(w->weights + (c + i) * kernel_h * kernel_w, kernel_h, kernel_w,
				pairs, rows, weights + i * layout);
		ring.oldest = 0;
		for (uint32_t row = 0; row < w->out_h; row += rows) {
			const int32_t top = (int32_t)(row * stride) - w->pad_top;
			int8_t *const upper = y + row * line + c;
			int8_t *const lower = row + 1 < w->out_h ? upper + line : upper;

			for (uint32_t pair = known; pair < pairs; pair++)
				gather(w, x + c, top + (int32_t)(2 * pair), n, &ring, pairs,
				       (ring.oldest + pair) % pairs);
			for (uint32_t i = 0; i < n; i++)
				convolve_rows(ring.word + i * pairs,
					      weights + i * layout + pairs - ring.oldest, pairs,
					      kernel_w, stride, rows, w->requant[c + i], w->out_w,
					      channels, upper + i, lower + i);
			if (rows * stride == 2) {
				known = pairs - 1;
				ring.oldest = ring.oldest + 1 < pairs ? ring.oldest + 1 : 0;
			}
		}
	}
}
