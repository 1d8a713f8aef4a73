/* Every kernel over many shapes: outputs to outputs.bin, instructions to counts.csv. The same on a
 * board and, with host.c, where it is built. */
#include <string.h>

#include "board.h"
#include "nasc_kernels.h"

enum kernel { CONV, DEPTHWISE, DENSE, MEAN, MAX, SCALE, PLACE, ADD, CLAMP, PAD, UPSAMPLE };
static const char *const names[] = { "conv",	 "depthwise", "dense",	 "mean_pool",
				     "max_pool", "scale",     "place",	 "add",
				     "clamp",	 "pad",	      "upsample" };

/* A map, a window with padding as NET_SAME has it, and output channels. */
static const struct {
	enum kernel kernel;
	uint16_t h, w, c, kernel_size, stride, out_c;
} cases[] = {
#ifdef SHAPES
#include SHAPES
#else
	{ CONV, 8, 8, 16, 1, 1, 32 },	     { CONV, 8, 8, 32, 1, 1, 32 },
	{ CONV, 8, 8, 64, 1, 1, 64 },	     { CONV, 8, 8, 8, 1, 1, 24 },
	{ CONV, 8, 8, 24, 1, 1, 40 },	     { CONV, 8, 8, 12, 1, 1, 6 },
	{ CONV, 8, 8, 48, 1, 1, 13 },	     { CONV, 16, 16, 32, 1, 1, 32 },
	{ CONV, 7, 7, 96, 1, 1, 24 },	     { CONV, 4, 4, 128, 1, 1, 128 },
	{ CONV, 9, 9, 13, 1, 1, 14 },	     { CONV, 8, 8, 16, 1, 2, 32 },
	{ CONV, 1, 1, 64, 1, 1, 10 },	     { CONV, 16, 16, 16, 3, 1, 32 },
	{ CONV, 16, 16, 32, 3, 1, 32 },	     { CONV, 8, 8, 64, 3, 1, 64 },
	{ CONV, 15, 15, 16, 3, 2, 32 },	     { CONV, 16, 16, 16, 3, 2, 32 },
	{ CONV, 7, 7, 24, 3, 1, 24 },	     { CONV, 12, 12, 8, 5, 1, 8 },
	{ CONV, 12, 12, 16, 5, 2, 16 },	     { CONV, 10, 10, 8, 7, 1, 8 },
	{ CONV, 5, 5, 4, 3, 1, 3 },	     { CONV, 6, 6, 20, 2, 1, 5 },
	{ CONV, 6, 20, 8, 3, 1, 8 },	     { CONV, 32, 32, 3, 3, 1, 8 },
	{ CONV, 32, 32, 3, 3, 2, 16 },	     { CONV, 33, 33, 3, 3, 2, 16 },
	{ CONV, 32, 32, 1, 3, 2, 16 },	     { CONV, 16, 16, 1, 5, 1, 8 },
	{ CONV, 9, 9, 13, 3, 1, 14 },	     { CONV, 20, 20, 3, 5, 2, 24 },
	{ CONV, 24, 24, 3, 7, 2, 16 },	     { DEPTHWISE, 48, 48, 8, 3, 1, 8 },
	{ DEPTHWISE, 16, 16, 32, 3, 1, 32 }, { DEPTHWISE, 8, 8, 64, 3, 1, 64 },
	{ DEPTHWISE, 7, 7, 64, 3, 1, 64 },   { DEPTHWISE, 4, 4, 128, 3, 1, 128 },
	{ DEPTHWISE, 9, 9, 13, 3, 1, 13 },   { DEPTHWISE, 1, 1, 8, 3, 1, 8 },
	{ DEPTHWISE, 2, 2, 6, 3, 1, 6 },     { DEPTHWISE, 32, 32, 16, 3, 2, 16 },
	{ DEPTHWISE, 16, 16, 32, 3, 2, 32 }, { DEPTHWISE, 15, 15, 32, 3, 2, 32 },
	{ DEPTHWISE, 7, 7, 13, 3, 2, 13 },   { DEPTHWISE, 16, 16, 32, 5, 1, 32 },
	{ DEPTHWISE, 7, 7, 48, 5, 1, 48 },   { DEPTHWISE, 4, 4, 9, 5, 1, 9 },
	{ DEPTHWISE, 16, 16, 32, 5, 2, 32 }, { DEPTHWISE, 9, 9, 20, 5, 2, 20 },
	{ DEPTHWISE, 16, 16, 16, 7, 1, 16 }, { DEPTHWISE, 7, 7, 24, 7, 1, 24 },
	{ DEPTHWISE, 14, 14, 16, 7, 2, 16 }, { DEPTHWISE, 6, 20, 8, 3, 1, 8 },
	{ DENSE, 1, 1, 64, 1, 1, 10 },	     { DENSE, 1, 1, 256, 1, 1, 10 },
	{ DENSE, 4, 4, 33, 1, 1, 7 },	     { DENSE, 1, 1, 1024, 1, 1, 100 },
	{ DENSE, 2, 2, 30, 1, 1, 5 },	     { MEAN, 8, 8, 64, 8, 8, 64 },
	{ MEAN, 7, 7, 30, 7, 7, 30 },	     { MEAN, 16, 16, 16, 3, 1, 16 },
	{ MEAN, 16, 16, 16, 2, 2, 16 },	     { MAX, 16, 16, 16, 2, 2, 16 },
	{ MAX, 15, 15, 7, 3, 2, 7 },	     { MAX, 16, 16, 16, 3, 1, 16 },
	{ SCALE, 16, 16, 16, 1, 1, 16 },     { SCALE, 7, 7, 5, 1, 1, 5 },
	{ PLACE, 16, 16, 16, 1, 1, 24 },     { PLACE, 7, 7, 5, 1, 1, 12 },
	{ ADD, 16, 16, 16, 2, 1, 16 },	     { ADD, 7, 7, 5, 2, 1, 5 },
	{ ADD, 8, 8, 16, 3, 1, 16 },	     { CLAMP, 16, 16, 16, 1, 1, 16 },
	{ PAD, 16, 16, 16, 1, 1, 16 },	     { PAD, 7, 7, 5, 1, 2, 5 },
	{ UPSAMPLE, 8, 8, 16, 1, 2, 16 },
#endif
};

static uint32_t state = 1;

/* Marsaglia's xorshift, 2003. */
static uint32_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

#define MAP 20480
static int8_t x[3][MAP] __attribute__((aligned(4))), y[MAP] __attribute__((aligned(4)));
static int8_t weights[103000] __attribute__((aligned(4)));
static uint32_t scratch[8192];
static struct nasc_requant requant[1024];
static struct nasc_affine affine[1024];

static void run(enum kernel kernel, const struct nasc_window *w)
{
	static const int32_t factor[5] = { 9000, -8000, 3000, 100, 50 };
	const int8_t *const inputs[5] = { x[0], x[1], x[2], x[0], x[1] };
	const uint32_t pixels = (uint32_t)w->in_h * w->in_w, elements = pixels * w->in_c;

	switch (kernel) {
	case CONV:
		nasc_conv(w, x[0], y, scratch);
		break;
	case DEPTHWISE:
		nasc_depthwise(w, x[0], y, scratch);
		break;
	case DENSE:
		nasc_dense(w, x[0], y);
		break;
	case MEAN:
		nasc_mean_pool(w, x[0], y);
		break;
	case MAX:
		nasc_max_pool(w, x[0], y);
		break;
	case SCALE:
		nasc_scale(affine, 10, pixels, w->in_c, x[0], y);
		break;
	case PLACE:
		nasc_place(affine[0], 10, pixels, w->in_c, w->out_c, x[0], y);
		break;
	case ADD: /* of so many inputs as the window has rows */
		nasc_add(1234, factor, 14, w->kernel_h, elements, inputs, y);
		break;
	case CLAMP:
		nasc_clamp(-100, 90, elements, x[0], y);
		break;
	case PAD:
		nasc_pad(w, x[0], y);
		break;
	case UPSAMPLE:
		nasc_upsample(w, x[0], y);
		break;
	}
}

static uint16_t ceil_div(uint16_t a, uint16_t b)
{
	return (uint16_t)((a + b - 1) / b);
}

static int16_t same_pad(uint16_t in, uint16_t out, const struct nasc_window *w)
{
	const int all = (out - 1) * w->stride + w->kernel_h - in;

	return (int16_t)(all < 0 ? 0 : all / 2);
}

static struct nasc_window window_of(size_t i)
{
	const uint16_t h = cases[i].h, wide = cases[i].w, stride = cases[i].stride;
	struct nasc_window w = {
		.in_h = h,
		.in_w = wide,
		.in_c = cases[i].c,
		.out_h = ceil_div(h, stride),
		.out_w = ceil_div(wide, stride),
		.out_c = cases[i].out_c,
		.kernel_h = cases[i].kernel_size,
		.kernel_w = cases[i].kernel_size,
		.stride = stride,
		.zero = -7,
		.weights = weights,
		.requant = requant,
	};

	if (cases[i].kernel == PAD) {
		w.pad_top = w.pad_left = (int16_t)stride;
		w.out_h = (uint16_t)(h + 2 * stride);
		w.out_w = (uint16_t)(wide + 2 * stride);
	} else if (cases[i].kernel == UPSAMPLE) {
		w.out_h = (uint16_t)(h * stride);
		w.out_w = (uint16_t)(wide * stride);
	} else if (cases[i].kernel == DENSE || (cases[i].kernel == MEAN && stride == h)) {
		w.out_h = w.out_w = 1;
	} else {
		w.pad_top = same_pad(h, w.out_h, &w);
		w.pad_left = same_pad(wide, w.out_w, &w);
	}
	w.out_line = w.out_w;
	return w;
}

static char *put(char *to, const char *text)
{
	const size_t n = strlen(text);

	memcpy(to, text, n);
	return to + n;
}

static char *put_number(char *to, uint32_t n, char behind)
{
	char digits[10];
	size_t i = sizeof digits;

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	memcpy(to, digits + i, sizeof digits - i);
	to += sizeof digits - i;
	*to++ = behind;
	return to;
}

int main(void)
{
	const int outputs = board_open_output("outputs.bin"),
		  counts = board_open_output("counts.csv");

	if (outputs < 0 || counts < 0)
		return 1;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct nasc_window w = window_of(i);
		const enum kernel kernel = cases[i].kernel;
		uint32_t n = (uint32_t)w.out_h * w.out_w * w.out_c, before, between, after;
		char line[128], *end;

		if (kernel == ADD || kernel == CLAMP || kernel == SCALE)
			n = (uint32_t)w.in_h * w.in_w * w.in_c;
		for (size_t k = 0; k < sizeof x; k++)
			x[k / MAP][k % MAP] = (int8_t)(draw() >> 24);
		for (size_t k = 0; k < sizeof weights; k++)
			weights[k] = (int8_t)(draw() >> 24);
		for (size_t k = 0; k < 1024; k++) {
			/* Of about this many products, or, of a mean, of this many cells. */
			uint32_t products = kernel == CONV
						    ? (uint32_t)w.kernel_h * w.kernel_w * w.in_c
					    : kernel == DENSE ? (uint32_t)w.in_h * w.in_w * w.in_c
							      : (uint32_t)w.kernel_h * w.kernel_w;
			uint32_t scale = kernel == MEAN ? 1u << 29 : 40000000u;

			for (; products > 1; products /= 4)
				scale /= 2;
			requant[k].multiplier = (int32_t)scale;
			requant[k].offset = (int32_t)(draw() >> 20) - 2048;
			affine[k].factor = (int32_t)(draw() >> 21);
			affine[k].constant = (int32_t)(draw() >> 16) - 32768;
		}
		memset(y, 0, sizeof y);
		before = board_ticks();
		between = board_ticks();
		run(kernel, &w);
		after = board_ticks();
		if (board_write(outputs, y, n))
			return 1;
		end = put(line, names[kernel]);
		*end++ = ',';
		end = put_number(end, w.in_h, ',');
		end = put_number(end, w.in_w, ',');
		end = put_number(end, w.in_c, ',');
		end = put_number(end, w.kernel_h, ',');
		end = put_number(end, w.stride, ',');
		end = put_number(end, w.out_h, ',');
		end = put_number(end, w.out_w, ',');
		end = put_number(end, w.out_c, ',');
		end = put_number(end, board_instructions(after - between - (between - before)),
				 '\n');
		if (board_write(counts, line, (uint32_t)(end - line)))
			return 1;
	}
	return 0;
}
