#include "nasc_kernels.h"
#include "nasc_words.h"

#if defined(__GNUC__) && !defined(__clang__)
/* These loops have registers for what is written here and for no more. */
#ifdef __ARM_FEATURE_DSP
#pragma GCC optimize("no-tree-scev-cprop", "no-ivopts")
#else
#pragma GCC optimize("no-tree-reassoc", "no-tree-ter")
#endif
#endif

/* ---- sums of a group of channels -------------------------------------------------
 *
 * Weights are in groups of 4 channels, those left over in pairs, and an odd channel there twice.
 * Inputs go in blocks of 4, k0 to k3, and these in halves, (k0, k2) and (k1, k3). In a group a half
 * is a word (a k0, b k0, a k2, b k2) for each two channels a and b, with 128 added to a's. So half
 * of the word is 256 b + a + 128, a factor as it stands, and odd_bytes() makes b of it: one sum is
 * of the former, one of the latter, and a's is the one without 256 times the other and without 128
 * times all inputs. Sums count modulo 2^32, where that is exact. */

/* Of so many inputs: those before a multiple of 4, and k0, or k0 and k2, or all. */
INLINE uint32_t n_halves(uint32_t inputs)
{
	return inputs / 4 * 2 + (inputs % 4 == 1 ? 1 : inputs % 4 ? 2 : 0);
}

/* Inputs of one pixel or of two, widened to 16 bits: of each half the first's and the second's.
 * PAIR elements are two inputs. Without the DSP extension factors are a + 128 and b, unmixed. */
#ifdef __ARM_FEATURE_DSP
typedef uint32_t patch;
enum { PAIR = 1, MIXED = 256 };
#else
typedef int16_t patch;
enum { PAIR = 2, MIXED = 0 };
#endif

/* For each two channels, of each pixel: of a, with MIXED times b's in it, and of b. */
struct sums {
	int32_t first[4], second[4];
};

/* @excess: -128 times all inputs, of each pixel. @other: 0, where the group is one channel. */
INLINE void begin_sums(struct sums *s, uint32_t channels, uint32_t pixels,
		       const struct nasc_requant *q, uint32_t other, const int32_t *excess)
{
	UNROLL
	for (uint32_t i = 0; i < channels / 2 * pixels; i++) {
		const struct nasc_requant *const a = q + i / pixels * 2, *const b = a + other;

		s->second[i] = b->offset;
		s->first[i] = (int32_t)((uint32_t)a->offset + MIXED * (uint32_t)b->offset +
					(uint32_t)excess[i % pixels]);
	}
}

INLINE void add_half(struct sums *s, uint32_t channels, uint32_t pixels, const int8_t *weights,
		     const patch *p)
{
#ifdef __ARM_FEATURE_DSP
	UNROLL
	for (uint32_t i = 0; i < channels / 2; i++) {
		const uint32_t w = load(weights + 4 * i), b = odd_bytes(w);

		UNROLL
		for (uint32_t j = i * pixels; j < (i + 1) * pixels; j++) {
			s->first[j] = multiply_add(w, p[j % pixels], s->first[j]);
			s->second[j] = multiply_add(b, p[j % pixels], s->second[j]);
		}
	}
#else
	UNROLL
	for (uint32_t k = 0; k < 2; k++) {
		UNROLL
		for (uint32_t j = 0; j < channels / 2 * pixels; j++) {
			const int8_t *const w = weights + 4 * (j / pixels) + 2 * k;
			const int32_t input = p[j % pixels * 2 + k];

			s->first[j] = (int32_t)((uint32_t)s->first[j] +
						(uint32_t)(*(const uint8_t *)w * input));
			s->second[j] += w[1] * input;
		}
	}
#endif
}

INLINE void finish_sums(const struct sums *s, uint32_t channels, uint32_t pixels,
			const struct nasc_requant *q, uint32_t other, int8_t *const *y)
{
	UNROLL
	for (uint32_t i = channels / 2 * pixels; i-- > 0;) {
		const uint32_t a = i / pixels * 2, b = a + other;
		const uint32_t first = (uint32_t)s->first[i] - MIXED * (uint32_t)s->second[i];

		y[i % pixels][a] = requantise((int32_t)first, q[a].multiplier);
		y[i % pixels][b] = requantise(s->second[i], q[b].multiplier);
	}
}

/* Four bytes as a block of one pixel. */
INLINE void split(uint32_t bytes, patch *block)
{
#ifdef __ARM_FEATURE_DSP
	block[0] = even_bytes(bytes);
	block[1] = odd_bytes(bytes);
#else
	block[0] = (int8_t)bytes;
	block[1] = (int8_t)(bytes >> 16);
	block[2] = (int8_t)(bytes >> 8);
	block[3] = (int8_t)(bytes >> 24);
#endif
}

/* -128 times the inputs of half a block. */
INLINE int32_t add_excess(const patch *half, int32_t excess)
{
#ifdef __ARM_FEATURE_DSP
	return multiply_add(half[0], 0xff80ff80, excess);
#else
	return excess - 128 * (half[0] + half[1]);
#endif
}

/* ---- convolution ---------------------------------------------------------------- */

/* Two pixels at a time: all inputs of both are copied to one patch, and then all channels read
 * it. */
struct two_pixels {
	const int8_t *weights;
	patch *patch;
	uint32_t halves;
	const struct nasc_requant *q, *q_end; /* of groups of 4 channels */
	int8_t *y[2];			      /* of one alone twice the same */
	int32_t excess[2];
	/* Of windows: rows, halves of one, bytes from one to the next, and to the second window. */
	uint32_t rows, row_halves, line, step;
};

INLINE void convolve_group(const struct two_pixels *two, uint32_t channels, const int8_t *weights,
			   const struct nasc_requant *q, uint32_t other, int8_t *const *y)
{
	const patch *p = two->patch;
	struct sums s;

	begin_sums(&s, channels, 2, q, other, two->excess);
	for (uint32_t n = two->halves; n; n--, p += 2 * PAIR, weights += 2 * channels)
		add_half(&s, channels, 2, weights, p);
	finish_sums(&s, channels, 2, q, other, y);
}

/* All groups of 4 channels, if there are any; returns the weights behind them. */
#ifdef __ARM_FEATURE_DSP
/* Four channels a to d in all registers: 0 weights, 1 patch, 2 and 3 a half's weights, 4 and 5 its
 * inputs; sums of two pixels 6 and 7 of a with b, 8 and 9 of b, 10 and 11 of c with d, 12 and 14 of
 * d. On the stack the patch, where to enter the loop, which is of eight halves, q, the patch's end,
 * q_end, y, excess. */
#define BEGIN_TWO(a, b, first0, first1, second0, second1)                                          \
	"ldr " second0 ", [r3, #" b "]\n"                                                          \
	"ldr " first0 ", [r3, #" a "]\n"                                                           \
	"mov " second1 ", " second0 "\n"                                                           \
	"add " first0 ", " first0 ", " second0 ", lsl #8\n"                                        \
	"add " first1 ", " first0 ", r5\n"                                                         \
	"add " first0 ", " first0 ", r4\n"
#define FINISH_TWO(multiplier, sum0, sum1)                                                         \
	"ldr r2, [r3, #" multiplier "]\n"                                                          \
	"smmulr " sum0 ", " sum0 ", r2\n"                                                          \
	"smmulr " sum1 ", " sum1 ", r2\n"                                                          \
	"ssat " sum0 ", #8, " sum0 "\n"                                                            \
	"ssat " sum1 ", #8, " sum1 "\n"                                                            \
	"strb " sum1 ", [r5], #1\n"                                                                \
	"strb " sum0 ", [r4], #1\n"
/* clang-format off */
__attribute__((naked)) ALONE const int8_t *
convolve_fours(__attribute__((unused)) const struct two_pixels *two)
{
	__asm__("push {r4-r11, lr}\n"
		"ldm r0, {r0-r8}\n"
		"push {r4-r8}\n"
		"add r4, r1, r2, lsl #3\n"
		"rsb r2, r2, #0\n"
		"and r2, r2, #7\n"
		"adr r5, 2f + 1\n"
		"mov r6, #48\n" /* bytes of instructions a half */
		"mla r2, r2, r6, r5\n"
		"push {r1-r4}\n"
		"1:\n"
		"ldrd r4, r5, [sp, #28]\n"
		BEGIN_TWO("0", "8", "r6", "r7", "r8", "r9")
		BEGIN_TWO("16", "24", "r10", "r11", "r12", "r14")
		"ldm sp, {r1, pc}\n"
		".balign 4\n"
		"2:\n"
		".rept 8\n"
		"ldrd r2, r3, [r0], #8\n"
		"ldrd r4, r5, [r1], #8\n"
		"smlad r6, r2, r4, r6\n"
		"smlad r7, r2, r5, r7\n"
		"sxtb16 r2, r2, ror #8\n"
		"smlad r10, r3, r4, r10\n"
		"smlad r11, r3, r5, r11\n"
		"sxtb16 r3, r3, ror #8\n"
		"smlad r8, r2, r4, r8\n"
		"smlad r9, r2, r5, r9\n"
		"smlad r12, r3, r4, r12\n"
		"smlad r14, r3, r5, r14\n"
		".endr\n"
		"ldrd r3, r2, [sp, #8]\n"
		"cmp r1, r2\n"
		"bne 2b\n"
		"ldrd r4, r5, [sp, #20]\n"
		"sub r6, r6, r8, lsl #8\n"
		"sub r7, r7, r9, lsl #8\n"
		"sub r10, r10, r12, lsl #8\n"
		"sub r11, r11, r14, lsl #8\n"
		FINISH_TWO("4", "r6", "r7")
		FINISH_TWO("12", "r8", "r9")
		FINISH_TWO("20", "r10", "r11")
		FINISH_TWO("28", "r12", "r14")
		"adds r3, #32\n"
		"ldr r2, [sp, #16]\n"
		"str r3, [sp, #8]\n"
		"strd r4, r5, [sp, #20]\n"
		"cmp r3, r2\n"
		"bne 1b\n"
		"add sp, #36\n"
		"pop {r4-r11, pc}\n");
}
/* clang-format on */
#else
static const int8_t *convolve_fours(const struct two_pixels *two)
{
	const int8_t *weights = two->weights;
	int8_t *y[2] = { two->y[0], two->y[1] };

	for (const struct nasc_requant *q = two->q; q != two->q_end; q += 4) {
		convolve_group(two, 4, weights, q, 1, y);
		weights += 8 * two->halves;
		y[0] += 4;
		y[1] += 4;
	}
	return weights;
}
#endif

/* Those left over. */
ALONE void convolve_rest(const struct two_pixels *two, const int8_t *weights, uint32_t channels)
{
	for (uint32_t c = channels / 4 * 4; c < channels; c += 2, weights += 4 * two->halves) {
		int8_t *const y[2] = { two->y[0] + c, two->y[1] + c };

		convolve_group(two, 2, weights, two->q + c, c + 1 < channels, y);
	}
}

INLINE void convolve_two(const struct two_pixels *two, uint32_t channels)
{
	const int8_t *weights = channels < 4 ? two->weights : convolve_fours(two);

	if (channels % 4)
		convolve_rest(two, weights, channels);
}

/* The same half of both pixels. */
INLINE void put_halves(patch *p, const patch *first, const patch *second)
{
#ifdef __ARM_FEATURE_DSP
	store_two(p, *first, *second);
#else
	p[0] = first[0];
	p[1] = first[1];
	p[2] = second[0];
	p[3] = second[1];
#endif
}

INLINE int32_t put_half(patch *p, const patch *half, int32_t excess)
{
	p[0] = half[0];
	p[PAIR - 1] = half[PAIR - 1];
	return add_excess(half, excess);
}

/* Blocks of bytes to every other place in the patch, @step: 0, where all are the same; returns what
 * lies behind, and adds theirs to @excess. */
INLINE patch *widen(const int8_t *bytes, uint32_t blocks, uint32_t step, patch *p, int32_t *excess)
{
	patch block[2 * PAIR];

	for (; blocks; blocks--, bytes += step, p += 4 * PAIR) {
		split(load(bytes), block);
		*excess = put_half(p, block, put_half(p + 2 * PAIR, block + PAIR, *excess));
	}
	return p;
}

/* All inputs of the window whose first cell is (@top, @left), which may lie outside the map, to the
 * patch of pixel @i; @line has room for a row of them. */
ALONE void collect(struct two_pixels *two, uint32_t i, const struct nasc_window *w, const int8_t *x,
		   int32_t top, int32_t left, int8_t *line)
{
	const int8_t outside[4] = { w->zero, w->zero, w->zero, w->zero };
	const int32_t c = w->in_c, right = left + w->kernel_w;
	const int32_t from = left < 0 ? 0 : left, end = right > w->in_w ? w->in_w : right;
	/* Of a row of the window: before the map, in it, behind it. */
	const uint32_t before = (uint32_t)((from - left) * c);
	const uint32_t within = (uint32_t)((end - from) * c);
	const uint32_t behind = (uint32_t)((right - end) * c);
	/* From here on no row is read where it stands: it is cut, or words reach behind the map. */
	const int8_t *const stop =
		before || behind
			? x
			: x + w->in_h * w->in_w * c + 1 - (int32_t)(two->row_halves + 1) / 2 * 4;
	const int8_t *at = x + (top * w->in_w + from) * c;
	patch *p = two->patch + i * PAIR;
	int32_t excess = 0;

	for (uint32_t rows = two->rows; rows; rows--, top++, at += two->line) {
		const int in_map = top >= 0 && top < w->in_h && from < end;

		if (c % 4 == 0 && !in_map) {
			p = widen(outside, two->row_halves / 2, 0, p, &excess);
		} else if (c % 4 == 0) {
			p = widen(outside, before / 4, 0, p, &excess);
			p = widen(at, within / 4, 4, p, &excess);
			p = widen(outside, behind / 4, 0, p, &excess);
		} else {
			const int8_t *bytes = at;

			if (!in_map || at >= stop) {
				for (uint32_t n = 0; n < two->row_halves; n += 2)
					store(line + 2 * n, load(outside));
				if (in_map)
					copy(at, within, line + before);
				bytes = line;
			}
			p = widen(bytes, two->row_halves / 2, 4, p, &excess);
			if (two->row_halves % 2) {
				patch block[2 * PAIR];

				split(load(bytes + two->row_halves / 2 * 4), block);
				excess = put_half(p, block, excess);
				p += 2 * PAIR;
			}
		}
	}
	two->excess[i] = excess;
}

/* Those of two windows that lie in the map, the first at @at, in whole words. */
ALONE void collect_two(struct two_pixels *two, const int8_t *at)
{
	const uint32_t step = two->step, blocks = two->row_halves / 2, odd = two->row_halves % 2;
	const int32_t behind = (int32_t)(two->line - 4 * blocks);
	patch *p = two->patch, first[2 * PAIR], second[2 * PAIR];
	int32_t excess0 = 0, excess1 = 0;

	for (uint32_t rows = two->rows; rows; rows--, at += behind) {
		for (uint32_t n = blocks; n; n--, at += 4, p += 4 * PAIR) {
			split(load(at), first);
			split(load(at + step), second);
			put_halves(p, first, second);
			put_halves(p + 2 * PAIR, first + PAIR, second + PAIR);
			excess0 = add_excess(first, add_excess(first + PAIR, excess0));
			excess1 = add_excess(second, add_excess(second + PAIR, excess1));
		}
		if (odd) {
			split(load(at), first);
			split(load(at + step), second);
			put_halves(p, first, second);
			excess0 = add_excess(first, excess0);
			excess1 = add_excess(second, excess1);
			p += 2 * PAIR;
		}
	}
	two->excess[0] = excess0;
	two->excess[1] = excess1;
}

/* Of a row of outputs, how many have windows that end in the map, @over cells before its end. */
static int32_t end_of_whole(const struct nasc_window *w, int32_t over)
{
	const int32_t room = w->in_w - over - w->kernel_w + w->pad_left;
	const int32_t end = room < 0 ? 0 : room / w->stride + 1;

	return end < w->out_w ? end : w->out_w;
}

void nasc_conv(const struct nasc_window *w, const int8_t *x, int8_t *y, void *scratch)
{
	const int32_t c = w->in_c, channels = w->out_c, stride = w->stride;
	const uint32_t row_halves = n_halves((uint32_t)w->kernel_w * w->in_c);
	struct two_pixels two = {
		.weights = w->weights,
		.patch = scratch,
		.halves = w->kernel_h * row_halves,
		.q = w->requant,
		.q_end = w->requant + channels / 4 * 4,
		.rows = w->kernel_h,
		.row_halves = row_halves,
		.line = (uint32_t)w->in_w * w->in_c,
		.step = (uint32_t)(stride * c),
	};
	int8_t *const line = (int8_t *)(two.patch + 2 * PAIR * two.halves);
	/* Of a row of outputs, those whose windows lie in the map; in the last rows of the map
	 * words that reach up to 3 bytes behind a row must lie in it, too. */
	const int32_t first = w->pad_left < 0 ? 0 : (w->pad_left + stride - 1) / stride;
	const int32_t end = end_of_whole(w, 0), last_end = end_of_whole(w, c % 4 ? (c + 2) / c : 0);
	uint32_t collected = 0;

	for (int32_t row = 0; row < w->out_h; row++, y += w->out_line * channels) {
		const int32_t top = row * stride - w->pad_top, below = w->in_h - top - w->kernel_h;
		const int32_t n = (below * w->in_w * c < 3 ? last_end : end) - first;
		const int32_t pairs = top < 0 || below < 0 || n < 0 ? 0 : n / 2;
		const uint32_t waiting = collected;

		/* Whole windows by twos, others one by one: first those, unless a pixel of the row
		 * above waits for its second. It then has it before the twos, as rows are odd. */
		for (uint32_t pass = 0; pass < 2; pass++) {
			if (pass == waiting) {
				const int8_t *from =
					x + (top * w->in_w + first * stride - w->pad_left) * c;
				int8_t *to = y + first * channels;

				for (int32_t left = pairs; left; left--, from += 2 * two.step) {
					two.y[0] = to;
					two.y[1] = to + channels;
					to += 2 * channels;
					collect_two(&two, from);
					convolve_two(&two, w->out_c);
				}
				continue;
			}
			for (int32_t column = 0; column < w->out_w; column++) {
				if (pairs && column == first)
					column += 2 * pairs;
				if (column == w->out_w)
					break;
				two.y[collected] = y + column * channels;
				collect(&two, collected, w, x, top, column * stride - w->pad_left,
					line);
				if (++collected == 2) {
					convolve_two(&two, w->out_c);
					collected = 0;
				}
			}
		}
	}
	if (collected) {
		two.y[1] = two.y[0];
		convolve_two(&two, w->out_c);
	}
}

/* ---- dense layer: one pixel, its inputs where they are -------------------------- */

/* Outputs of a group of 2 or 4 channels; returns the weights behind it. */
INLINE const int8_t *dense_group(const int8_t *weights, uint32_t channels, uint32_t other,
				 const int8_t *x, uint32_t inputs, const struct nasc_requant *q,
				 const int32_t *excess, int8_t *y)
{
	const uint32_t step = 2 * channels;
	patch p[2 * PAIR];
	struct sums s;

	begin_sums(&s, channels, 1, q, other, excess);
	for (uint32_t n = inputs / 4; n; n--, x += 4, weights += 2 * step) {
		split(load(x), p);
		add_half(&s, channels, 1, weights, p);
		add_half(&s, channels, 1, weights + step, p + PAIR);
	}
	if (inputs % 4) {
		split(load_some(x, inputs % 4), p);
		add_half(&s, channels, 1, weights, p);
		weights += step;
		if (inputs % 4 > 1) {
			add_half(&s, channels, 1, weights, p + PAIR);
			weights += step;
		}
	}
	finish_sums(&s, channels, 1, q, other, &y);
	return weights;
}

void nasc_dense(const struct nasc_window *w, const int8_t *x, int8_t *y)
{
	const uint32_t inputs = (uint32_t)w->in_h * w->in_w * w->in_c, channels = w->out_c;
	const int8_t *weights = w->weights;
	uint32_t c = 0;
	int32_t excess = 0;
	uint32_t i = 0;

	for (; i < inputs / 4 * 4; i += 4) {
		patch block[2 * PAIR];

		split(load(x + i), block);
		excess = add_excess(block, add_excess(block + PAIR, excess));
	}
	for (; i < inputs; i++)
		excess -= 128 * x[i];
	for (; channels - c >= 4; c += 4)
		weights = dense_group(weights, 4, 1, x, inputs, w->requant + c, &excess, y + c);
	for (; c < channels; c += 2)
		weights = dense_group(weights, 2, c + 1 < channels, x, inputs, w->requant + c,
				      &excess, y + c);
}
