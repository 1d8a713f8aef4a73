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

INLINE void requantise_two(int32_t sum0, int32_t sum1, int32_t multiplier, int8_t *y0, int8_t *y1)
{
	*y0 = requantise(sum0, multiplier);
	*y1 = requantise(sum1, multiplier);
}

#ifdef __ARM_FEATURE_DSP
INLINE void convolve_pair(const int8_t *weights, const void *pixels, uint32_t blocks,
			  const struct nasc_requant *q, uint32_t other, int8_t *y0, int8_t *y1)
{
	const uint32_t *p = pixels;
	int32_t a0 = q[0].offset, a1 = a0, b0 = q[other].offset, b1 = b0;

	for (const uint32_t *end = p + 4 * blocks; p != end; p += 4, weights += 8) {
		UNROLL
		for (uint32_t i = 0; i < 2; i++) {
			const uint32_t w = load(weights + 4 * i), a = even_bytes(w),
				       b = odd_bytes(w);

			a0 = multiply_add(a, p[2 * i], a0);
			a1 = multiply_add(a, p[2 * i + 1], a1);
			b0 = multiply_add(b, p[2 * i], b0);
			b1 = multiply_add(b, p[2 * i + 1], b1);
		}
	}
	requantise_two(a0, a1, q[0].multiplier, y0, y1);
	requantise_two(b0, b1, q[other].multiplier, y0 + other, y1 + other);
}

/* Half a block of four channels and two pixels. */
INLINE void convolve_half(const int8_t *weights, const uint32_t *p, int32_t *sum)
{
	const uint32_t p0 = p[0], p1 = p[1];

	UNROLL
	for (uint32_t i = 0; i < 2; i++) {
		const uint32_t w = load(weights + 4 * i), a = even_bytes(w), b = odd_bytes(w);

		sum[4 * i] = multiply_add(a, p0, sum[4 * i]);
		sum[4 * i + 1] = multiply_add(a, p1, sum[4 * i + 1]);
		sum[4 * i + 2] = multiply_add(b, p0, sum[4 * i + 2]);
		sum[4 * i + 3] = multiply_add(b, p1, sum[4 * i + 3]);
	}
}

/* All groups of four channels; returns the weights behind them. */
ALONE const int8_t *convolve_fours(const int8_t *weights, const void *pixels, uint32_t blocks,
				   const struct nasc_requant *q, uint32_t groups, int8_t *y0,
				   int8_t *y1)
{
	for (; groups; groups--, q += 4, y0 += 4, y1 += 4) {
		const uint32_t *p = pixels, *const end = p + 4 * (blocks / 2 * 2);
		int32_t sum[8];

		UNROLL
		for (uint32_t i = 0; i < 8; i++)
			sum[i] = q[i / 2].offset;
		for (; p != end; p += 8, weights += 32) {
			UNROLL
			for (uint32_t i = 0; i < 4; i++)
				convolve_half(weights + 8 * i, p + 2 * i, sum);
		}
		if (blocks % 2) {
			convolve_half(weights, p, sum);
			convolve_half(weights + 8, p + 2, sum);
			weights += 16;
		}
		UNROLL
		for (uint32_t i = 0; i < 4; i++)
			requantise_two(sum[2 * i], sum[2 * i + 1], q[i].multiplier, y0 + i, y1 + i);
	}
	return weights;
}
#else
/* Two channels, of a group whose blocks are @step bytes. */
INLINE void convolve_two(const int8_t *weights, uint32_t step, const void *pixels, uint32_t blocks,
			 const struct nasc_requant *q, uint32_t other, int8_t *y0, int8_t *y1)
{
	const int16_t *p = pixels;
	int32_t a0 = q[0].offset, a1 = a0, b0 = q[other].offset, b1 = b0;

	for (const int16_t *end = p + 8 * blocks; p != end; p += 8, weights += step) {
		UNROLL
		for (uint32_t i = 0; i < 4; i++) {
			const int8_t *w = weights + i / 2 * (step / 2) + i % 2 * 2;
			const int32_t p0 = p[i / 2 * 4 + i % 2], p1 = p[i / 2 * 4 + i % 2 + 2];

			a0 += w[0] * p0;
			a1 += w[0] * p1;
			b0 += w[1] * p0;
			b1 += w[1] * p1;
		}
	}
	requantise_two(a0, a1, q[0].multiplier, y0, y1);
	requantise_two(b0, b1, q[other].multiplier, y0 + other, y1 + other);
}

INLINE void convolve_pair(const int8_t *weights, const void *pixels, uint32_t blocks,
			  const struct nasc_requant *q, uint32_t other, int8_t *y0, int8_t *y1)
{
	convolve_two(weights, 8, pixels, blocks, q, other, y0, y1);
}

static const int8_t *convolve_fours(const int8_t *weights, const void *pixels, uint32_t blocks,
				    const struct nasc_requant *q, uint32_t groups, int8_t *y0,
				    int8_t *y1)
{
	for (; groups; groups--, q += 4, y0 += 4, y1 += 4, weights += 16 * blocks)
		for (uint32_t i = 0; i < 4; i += 2)
			convolve_two(weights + 2 * i, 16, pixels, blocks, q + i, 1, y0 + i, y1 + i);
	return weights;
}
#endif

/* Blocks of bytes to every other word of a pixel's; returns what lies behind. */
#ifdef __ARM_FEATURE_DSP
INLINE void *widen(const int8_t *bytes, uint32_t blocks, uint32_t step, void *pixel)
{
	uint32_t *p = pixel;

	for (; blocks; blocks--, bytes += step, p += 4) {
		const uint32_t word = load(bytes);

		p[0] = even_bytes(word);
		p[2] = odd_bytes(word);
	}
	return p;
}

static void *second_pixel(void *pixels)
{
	return (uint32_t *)pixels + 1;
}
#else
INLINE void *widen(const int8_t *bytes, uint32_t blocks, uint32_t step, void *pixel)
{
	int16_t *p = pixel;

	for (; blocks; blocks--, bytes += step, p += 8) {
		p[0] = bytes[0];
		p[1] = bytes[2];
		p[4] = bytes[1];
		p[5] = bytes[3];
	}
	return p;
}

static void *second_pixel(void *pixels)
{
	return (int16_t *)pixels + 2;
}
#endif

/* All inputs of the output at (@row, @column), to @to: widened, where channels are whole blocks,
 * else as bytes. */
INLINE void collect_as(const struct nasc_window *w, const int8_t *x, uint32_t row, uint32_t column,
		       int whole, void *to)
{
	const int8_t outside[4] = { w->zero, w->zero, w->zero, w->zero };
	const int32_t top = (int32_t)(row * w->stride) - w->pad_top;
	const int32_t left = (int32_t)(column * w->stride) - w->pad_left;
	const int32_t right = left + w->kernel_w;
	const int32_t from = left < 0 ? 0 : left, end = right > w->in_w ? w->in_w : right;
	const uint32_t c = w->in_c;
	/* Of a row of the window: before the map, in it, behind it. */
	const uint32_t before = (uint32_t)(from - left) * c, within = (uint32_t)(end - from) * c;
	const uint32_t behind = (uint32_t)(right - end) * c;

	if (whole && w->kernel_h == 1 && within == c && w->kernel_w == 1 && top >= 0 &&
	    top < w->in_h) {
		widen(x + (uint32_t)(top * w->in_w + left) * c, c / 4, 4, to);
		return;
	}
	for (int32_t r = top; r < top + w->kernel_h; r++) {
		const int8_t *line = x + (uint32_t)(r * w->in_w + from) * c;

		if (r < 0 || r >= w->in_h || from >= end) {
			to = whole ? widen(outside, w->kernel_w * c / 4, 0, to)
				   : fill(w->zero, w->kernel_w * c, to);
		} else if (whole && !before && !behind) {
			to = widen(line, within / 4, 4, to);
		} else if (whole) {
			to = widen(outside, before / 4, 0, to);
			to = widen(line, within / 4, 4, to);
			to = widen(outside, behind / 4, 0, to);
		} else if (!before && !behind) {
			to = copy(line, within, to);
		} else {
			to = fill(w->zero, before, to);
			to = copy(line, within, to);
			to = fill(w->zero, behind, to);
		}
	}
}

ALONE void collect(const struct nasc_window *w, const int8_t *x, uint32_t row, uint32_t column,
		   int8_t *bytes, void *pixel)
{
	if (w->in_c % 4 == 0) {
		collect_as(w, x, row, column, 1, pixel);
	} else {
		collect_as(w, x, row, column, 0, bytes);
		widen(bytes, ((uint32_t)w->kernel_h * w->kernel_w * w->in_c + 3) / 4, 4, pixel);
	}
}

void nasc_conv(const struct nasc_window *w, const int8_t *x, int8_t *y, void *scratch)
{
	const uint32_t inputs = (uint32_t)w->kernel_h * w->kernel_w * w->in_c;
	const uint32_t blocks = (inputs + 3) / 4, channels = w->out_c;
	int8_t *const bytes = (int8_t *)scratch + 16 * blocks;
	const uint32_t beside = (uint32_t)(w->out_line - w->out_w) * channels;
	uint32_t row = 0, column = 0;

	fill(0, 4 * blocks - inputs, bytes + inputs);
	for (uint32_t left = (uint32_t)w->out_h * w->out_w; left;) {
		int8_t *y0 = y, *y1 = y;
		const int8_t *weights;
		void *pixel = scratch;

		for (uint32_t i = 0; i < 2; i++, pixel = second_pixel(scratch)) {
			collect(w, x, row, column, bytes, pixel);
			y1 = y;
			if (left == 1) /* a last pixel alone is calculated twice */
				continue;
			y += channels;
			if (++column == w->out_w) {
				column = 0;
				row++;
				y += beside;
			}
		}
		weights = convolve_fours(w->weights, scratch, blocks, w->requant, channels / 4, y0,
					 y1);
		for (uint32_t c = channels / 4 * 4; c < channels; c += 2, weights += 8 * blocks)
			convolve_pair(weights, scratch, blocks, w->requant + c, c + 1 < channels,
				      y0 + c, y1 + c);
		left -= y1 == y0 ? 1 : 2;
	}
}

/* ---- dense layer: one pixel, its inputs where they are -------------------------- */

/* Blocks of inputs, of the channels of a group: 4 or 2. */
INLINE void add_products(const int8_t *weights, uint32_t channels, const int8_t *x, uint32_t blocks,
			 int32_t *sum)
{
	for (; blocks; blocks--, x += 4, weights += 4 * channels) {
#ifdef __ARM_FEATURE_DSP
		const uint32_t inputs = load(x), even = even_bytes(inputs), odd = odd_bytes(inputs);

		UNROLL
		for (uint32_t i = 0; i < channels; i += 2) {
			const uint32_t w = load(weights + 2 * i);
			const uint32_t v = load(weights + 2 * channels + 2 * i);

			sum[i] = multiply_add(even_bytes(w), even, sum[i]);
			sum[i + 1] = multiply_add(odd_bytes(w), even, sum[i + 1]);
			sum[i] = multiply_add(even_bytes(v), odd, sum[i]);
			sum[i + 1] = multiply_add(odd_bytes(v), odd, sum[i + 1]);
		}
#else
		UNROLL
		for (uint32_t i = 0; i < channels; i += 2) {
			UNROLL
			for (uint32_t k = 0; k < 4; k++) {
				const int8_t *w =
					weights + k % 2 * 2 * channels + 2 * i + k / 2 * 2;

				sum[i] += w[0] * x[k];
				sum[i + 1] += w[1] * x[k];
			}
		}
#endif
	}
}

/* Outputs of a group, of which there are @n; returns the weights behind it. */
INLINE const int8_t *dense_group(const int8_t *weights, uint32_t channels, uint32_t n,
				 const int8_t *x, uint32_t inputs, const struct nasc_requant *q,
				 int8_t *y)
{
	const uint32_t blocks = inputs / 4;
	int32_t sum[4];

	UNROLL
	for (uint32_t i = 0; i < channels; i++)
		sum[i] = q[i < n ? i : 0].offset;
	add_products(weights, channels, x, blocks, sum);
	weights += 4 * channels * blocks;
	if (inputs % 4) {
		int8_t rest[4];

		store(rest, load_some(x + 4 * blocks, inputs % 4));
		add_products(weights, channels, rest, 1, sum);
		weights += 4 * channels;
	}
	UNROLL
	for (uint32_t i = 0; i < channels; i++)
		if (i < n)
			y[i] = requantise(sum[i], q[i].multiplier);
	return weights;
}

void nasc_dense(const struct nasc_window *w, const int8_t *x, int8_t *y)
{
	const uint32_t inputs = (uint32_t)w->in_h * w->in_w * w->in_c, channels = w->out_c;
	const int8_t *weights = w->weights;
	uint32_t c = 0;

	for (; channels - c >= 4; c += 4)
		weights = dense_group(weights, 4, 4, x, inputs, w->requant + c, y + c);
	for (; c < channels; c += 2)
		weights = dense_group(weights, 2, channels - c > 1 ? 2 : 1, x, inputs,
				      w->requant + c, y + c);
}
