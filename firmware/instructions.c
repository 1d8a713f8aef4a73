#include "firmware.h"

#include <math.h>

/* What the kernels' loops run through, by the shapes of an operator (its work: how often each is
 * entered, and its turns), and how many instructions each of that takes. No kernel branches on
 * data, so that such sums are nearly exact. @f of each function is all 0 before. */

#define MAX_WORK 64

/* Rows or columns of windows, by where their cells lie. */
struct span {
	double windows, kernel;
	double empty;	    /* windows that see nothing of the map */
	double whole, cut;  /* others: that see all their cells; some */
	double cells;	    /* in the map, of all windows */
	double whole_cells; /* of the whole ones */
};

/* @pad: of a part as in struct nasc_window, where it may be negative. */
static struct span span_of(uint32_t in, uint32_t out, uint32_t kernel, uint32_t stride,
			   uint32_t pad)
{
	struct span s = { .windows = out, .kernel = kernel };

	for (uint32_t i = 0; i < out; i++) {
		int64_t from = (int64_t)i * stride - (int32_t)pad, to = from + kernel;
		int64_t first = from < 0 ? 0 : from, end = to > in ? in : to;
		int64_t cells = end > first ? end - first : 0;

		s.cells += (double)cells;
		s.empty += cells == 0;
		s.whole += cells == kernel;
		s.cut += cells > 0 && cells < kernel;
		s.whole_cells += cells == kernel ? (double)cells : 0;
	}
	return s;
}

/* Halves of blocks: see nasc_kernels.c. */
static uint32_t n_halves(uint64_t inputs)
{
	uint64_t blocks = inputs / 4;

	return (uint32_t)(2 * blocks) + (inputs % 4 > 1 ? 2 : (uint32_t)(inputs % 4));
}

/* Windows of a row of outputs that are collected by twos: nasc_conv() there. */
static uint32_t paired_windows(const struct net_op *o, struct net_shape in, int64_t top)
{
	int64_t stride = o->stride, left = (int32_t)o->pad_left, bottom = top + o->kernel_h;
	int64_t over = in.c % 4 && (in.h - bottom) * in.w * in.c < 3 ? (in.c + 2) / in.c : 0;
	int64_t room = (int64_t)in.w - over - o->kernel_w + left;
	int64_t first = left < 0 ? 0 : (left + stride - 1) / stride;
	int64_t end = room < 0 ? 0 : room / stride + 1;

	end = end > o->out.w ? o->out.w : end;
	return top < 0 || bottom > in.h || end < first ? 0 : (uint32_t)(end - first) / 2 * 2;
}

static size_t conv_work(const struct net_op *o, struct net_shape in, double *f)
{
	uint32_t c = in.c, rest = o->out.c % 4;
	uint32_t halves = n_halves((uint64_t)o->kernel_w * c), all = halves * o->kernel_h;
	uint32_t fours = o->out.c / 4, pairs = (rest + 1) / 2, eights = (all + 7) / 8;
	uint32_t blocks = halves / 2;
	double pixels = (double)o->out.h * o->out.w, turns = floor((pixels + 1) / 2);
	struct span w = span_of(in.w, o->out.w, o->kernel_w, o->stride, o->pad_left);
	double inside_rows = span_of(in.h, o->out.h, o->kernel_h, o->stride, o->pad_top).cells;
	double last_rows = span_of(in.h, o->out.h, o->kernel_h, o->stride, o->pad_top).cells -
			   span_of(in.h - 1, o->out.h, o->kernel_h, o->stride, o->pad_top).cells;
	/* Of windows that are collected one by one, rows in the map, and others; cells of the
	 * former; of them rows that are cut, or whose words would reach behind the map, their words
	 * and bytes, and how often there are any. */
	double twos = 0, alone = 0, inside = 0, outside = 0, cells = 0, cut = 0;
	double words = 0, bytes = 0, any_words = 0, any_bytes = 0;

	for (uint32_t i = 0; i < o->out.w; i++) {
		uint32_t pad = o->pad_left - i * o->stride;
		struct span one = span_of(in.w, 1, o->kernel_w, 1, pad);
		int64_t end = -(int64_t)(int32_t)pad * c + (2 * (int64_t)halves + 3) / 4 * 4;
		bool behind = one.whole > 0 && c % 4 && end > (int64_t)in.w * c;
		double rows = one.cut * inside_rows + behind * last_rows, n = one.cells * c;

		cut += rows;
		words += rows * floor(n / 4);
		bytes += rows * fmod(n, 4);
		any_words += rows * (n >= 4);
		any_bytes += rows * (fmod(n, 4) > 0);
	}
	for (uint32_t i = 0; i < o->out.h; i++) {
		uint32_t pad = o->pad_top - i * o->stride;
		double rows = span_of(in.h, 1, o->kernel_h, 1, pad).cells;
		double paired = paired_windows(o, in, -(int64_t)(int32_t)pad);
		double single = w.windows - paired;

		twos += paired / 2;
		alone += single;
		inside += rows * (single - w.empty);
		outside += o->kernel_h * single - rows * (single - w.empty);
		cells += rows * (w.cells - paired * w.kernel);
	}
	f[0] = 1;
	f[1] = o->out.h;
	f[2] = turns;
	f[3] = fours > 0 ? turns : 0;
	f[4] = turns * fours;
	f[5] = turns * fours * all;
	f[6] = turns * fours * eights;
	f[7] = rest > 0 ? turns : 0;
	f[8] = turns * pairs;
	f[9] = turns * pairs * all;
	f[10] = rest % 2 ? turns : 0;
	f[11] = twos;
	f[12] = twos * o->kernel_h;
	f[13] = twos * o->kernel_h * blocks;
	f[14] = twos * o->kernel_h * (halves % 2);
	f[15] = halves > 1 ? twos * o->kernel_h : 0;
	if (c % 4 == 0) {
		f[16] = alone;
		f[17] = outside;
		f[18] = outside * blocks;
		f[19] = inside;
		f[20] = cut;
		f[21] = cells * c / 4;
		f[22] = (inside * o->kernel_w - cells) * c / 4;
	} else {
		f[23] = alone;
		f[24] = outside;
		f[25] = inside;
		f[26] = cut;
		f[27] = (outside + cut) * (blocks + halves % 2);
		f[28] = (inside + outside) * blocks;
		f[29] = (inside + outside) * (halves % 2);
		f[30] = blocks > 0 ? inside + outside : 0;
		f[31] = words;
		f[32] = bytes;
		f[33] = any_words;
		f[34] = any_bytes;
	}
	return 35;
}

static size_t depthwise_work(const struct net_op *o, struct net_shape in, double *f)
{
	uint32_t rows = o->stride == 1 ? 2 : 1, pairs = o->kernel_h / 2 + 1;
	uint32_t steps = (o->out.h + rows - 1) / rows, twos = o->out.w / 2;
	uint64_t across = (o->out.w + 1) / 2 * 2 - 1;
	double columns = (double)(across * o->stride + o->kernel_w);
	double pad = (int32_t)o->pad_left; /* of a part: as in span_of() */
	double room = fmax(columns - fmax(pad, 0), 0), there = fmax(in.w - fmax(-pad, 0), 0);
	double filled = fmin(there, room);
	double half = floor(filled / 2), odd = filled - 2 * half;
	uint32_t groups = (in.c + 3) / 4;
	/* Pairs of rows gathered, rows of outputs of a group and of a channel. */
	double gathers =
		groups * (rows * o->stride == 2 ? pairs + steps - 1 : (double)pairs * steps);
	double strips = (double)groups * steps, lines = (double)in.c * steps;
	size_t size = o->kernel_h / 2 - 1, kind = 2 * size + o->stride - 1;

	f[0] = 1;
	f[1] = (columns - filled) * pairs;
	if (in.c >= 4 && o->kernel_w == o->kernel_h && o->kernel_h % 2 && o->kernel_h >= 3 &&
	    o->kernel_h <= 7 && o->stride <= 2) {
		f[2 + 5 * size] = groups;
		f[3 + 5 * size] = in.c;
		f[4 + 5 * size] = gathers;
		f[5 + 5 * size] = gathers * half;
		f[6 + 5 * size] = gathers * odd;
		f[17 + 5 * kind] = strips;
		f[18 + 5 * kind] = lines;
		f[19 + 5 * kind] = lines * twos;
		f[20 + 5 * kind] = lines * (o->out.w % 2);
		f[21 + 5 * kind] = lines * (twos > 0);
	} else {
		f[47] = groups;
		f[48] = gathers;
		f[49] = gathers * filled;
		f[50] = gathers * filled * pairs;
		f[51] = gathers * filled * (in.c < 4);
		f[52] = gathers * filled * (in.c < 4) * in.c;
		f[53] = strips;
		f[54] = lines;
		f[55] = lines * o->out.w;
		f[56] = lines * o->out.w * o->kernel_w;
		f[57] = lines * o->out.w * o->kernel_w * o->kernel_h;
	}
	return 58;
}

static size_t dense_work(const struct net_op *o, struct net_shape in, double *f)
{
	uint64_t inputs = net_elements(in);
	uint32_t fours = o->out.c / 4, pairs = (o->out.c % 4 + 1) / 2;
	uint64_t whole = inputs / 4;
	double blocks = (double)whole, rest = (double)(inputs % 4);

	f[0] = 1;
	f[1] = blocks;
	f[2] = rest;
	f[3] = fours;
	f[4] = fours * blocks;
	f[5] = rest > 0 ? fours : 0;
	f[6] = rest > 1 ? fours : 0;
	f[7] = pairs;
	f[8] = pairs * blocks;
	f[9] = rest > 0 ? pairs : 0;
	f[10] = rest > 1 ? pairs : 0;
	f[11] = (fours + pairs) * rest;
	return 12;
}

static size_t pool_work(const struct net_op *o, struct net_shape in, double *f)
{
	bool global = o->kind == NET_GLOBAL_POOL;
	struct span h = span_of(in.h, o->out.h, global ? in.h : o->kernel_h, global ? 1 : o->stride,
				o->pad_top);
	struct span w = span_of(in.w, o->out.w, global ? in.w : o->kernel_w, global ? 1 : o->stride,
				o->pad_left);
	uint32_t fours = in.c / 4, rest = in.c % 4;
	double windows = h.windows * w.windows;

	f[0] = 1;
	f[1] = windows;
	f[2] = windows * fours;
	f[3] = h.cells * w.windows * fours;
	f[4] = h.cells * w.cells * fours;
	f[5] = rest > 0 ? h.cells * w.windows : 0;
	for (uint32_t i = 1; i < 4; i++) {
		f[5 + i] = in.c % 4 == i ? windows : 0;
		f[8 + i] = in.c % 4 == i ? h.cells * w.cells : 0;
	}
	f[12] = h.windows;
	f[13] = fours > 0 ? windows : 0;
	return 14;
}

/* Elements in words and what is left over, of so many runs. */
static size_t element_work(double runs, uint64_t n, double *f)
{
	uint64_t whole = n / 4;
	double words = (double)whole, rest = (double)(n % 4);

	f[0] = 1;
	f[1] = runs;
	f[2] = runs * words;
	f[3] = runs * rest;
	f[4] = runs * (n >= 4);
	f[5] = runs * (n % 4 > 0);
	return 6;
}

/* What a padding copies, and what it fills: above, beside and between the rows, below. */
static size_t pad_work(const struct net_op *o, struct net_shape in, double *f)
{
	uint64_t line = (uint64_t)o->out.w * in.c, left = (uint64_t)o->pad_left * in.c;
	uint64_t row = (uint64_t)in.w * in.c, beside = line - row;
	uint64_t fills[] = { o->pad_top * line + left, beside, beside - left,
			     (o->out.h - o->pad_top - in.h) * line };
	double times[] = { 1, in.h - 1, 1, 1 };
	size_t n = element_work(in.h, row, f);

	for (size_t i = 0; i < 4; i++) {
		uint64_t words = fills[i] / 4, rest = fills[i] % 4;

		f[n] += times[i] * (double)words;
		f[n + 1] += times[i] * (double)rest;
		f[n + 2] += times[i] * (words > 0);
		f[n + 3] += times[i] * (rest > 0);
	}
	return n + 4;
}

/* Channels of pixels: so many of the first size go together, of the rest so many of the second. */
static size_t channel_work(double pixels, uint32_t channels, const uint32_t *sizes, double *f)
{
	size_t n = 0;

	f[n++] = 1;
	for (size_t i = 0; i < 3; channels %= sizes[i++]) {
		uint32_t groups = channels / sizes[i];

		f[n++] = groups;
		f[n++] = groups * pixels;
		f[n++] = groups > 0;
	}
	return n;
}
static const uint32_t scale_sizes[] = { 4, 1, 1 }, place_sizes[] = { 8, 2, 1 };

/* By kernel, in the order of their features: least squares over 920 random shapes, gcc 12.2.1 -O2,
 * Cortex-M4, by bench/firmware_fit.py. tests/test_instructions.c says how far they are off. */
static const double conv_table[] = { 100.825, 91.341, 18.051, 10.06,  52.91,  11.992, 3.106,
				     15.984,  59.975, 10.963, 2.645,  28.431, 9.235,  16.046,
				     7.916,   0.497,  86.104, 14.283, 6.142,  36.139, -8.757,
				     8.914,   6.191,  90.732, 26.678, 23.302, 20.307, 3.872,
				     9.658,   6.795,  9.171,  5.405,  4.295,  -0.52,  4.938 };
static const double depthwise_table[] = {
	180.723, 22.179, 29.983,  2.445,   22.018,  33.066, 15.14,  127.967, 80.082, 27.256,
	61.864,	 31.112, 169.412, 156.839, 33.08,   74.63,  37.74,  16.849,  26.933, 46.977,
	22.99,	 0.077,	 17.284,  27.941,  26.959,  12.017, -0.023, 29.928,  14.632, 126.063,
	85.002,	 14.632, 22.795,  21.86,   88.099,  51.073, 4.004,  16.849,  14.687, 218.775,
	149.908, 14.687, 9.572,	  22.744,  149.607, 90.841, 8.045,  69.038,  62.363, 35.468,
	19.296,	 7.858,	 12.334,  46.675,  29.528,  28.586, 17.861, 6.843
};
static const double dense_table[] = { 54.64, 7.996,  6.293, 45.752, 22,	   18.461,
				      8.273, 37.761, 14,    11.671, 9.839, 6.761 };
static const double mean_table[] = { 49, 58, 42, 9, 10, 11, 34, 41, 48, 19, 26, 33, 16, 24 };
static const double max_table[] = { 45, 41, 12, 9, 7, 12, 28, 33, 38, 19, 26, 33, 14, 13 };
static const double scale_table[] = { 38, 22, 24, 11, 12, 8, 4, 0, 0, 0 };
static const double place_table[] = { 44, 8, 44, 12, 7, 14, 18, 3, 9, 3 };
static const double add_two_table[] = { 16.667, 16.667, 27, 26, 16.667, 11 };
static const double add_three_table[] = { 19.667, 19.667, 36, 32, 19.667, 11 };
static const double add_table[] = { 25.333, 25.333, 26, 19.375, 25.333, 0.25 };
static const double add_input_table[] = { 0, 0, 12, 4.925, 0, 2.15 };
static const double clamp_table[] = { 14.397, 14.397, 7.998, 9.453, 14.397, 0.695 };
static const double pad_table[] = { 59.751, 11.742, 4.003, 3.974, 11.742,
				    3.194,  3,	    3.035, 8.434, -0.291 };
static const double upsample_table[] = { 31, 15, 4, 4, 7, 3 };
static const double upsample_row = 7;

static double weigh(const double *f, size_t n, const double *table)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += f[i] * table[i];
	return sum;
}

/* As @o has operator @op, and @in its inputs: whole, or a part. */
static double instructions(const struct network *net, size_t op, const struct net_op *o,
			   struct net_shape in)
{
	uint64_t elements = net_elements(in), pixels = (uint64_t)in.h * in.w;
	double f[MAX_WORK] = { 0 }, sum = 0;

	switch (o->kind) {
	case NET_CONV2D:
		return weigh(f, conv_work(o, in, f), conv_table);
	case NET_DEPTHWISE:
		return weigh(f, depthwise_work(o, in, f), depthwise_table);
	case NET_DENSE:
		return weigh(f, dense_work(o, in, f), dense_table);
	case NET_AVG_POOL:
	case NET_GLOBAL_POOL:
		return weigh(f, pool_work(o, in, f), mean_table);
	case NET_MAX_POOL:
		return weigh(f, pool_work(o, in, f), max_table);
	case NET_ADD:
		if (o->n_inputs == 2)
			return weigh(f, element_work(1, elements, f), add_two_table);
		if (o->n_inputs == 3)
			return weigh(f, element_work(1, elements, f), add_three_table);
		return weigh(f, element_work(1, elements, f), add_table) +
		       o->n_inputs * weigh(f, element_work(1, elements, f), add_input_table);
	case NET_CONCAT:
		for (uint32_t i = 0; i < o->n_inputs; i++)
			sum += weigh(f,
				     channel_work((double)pixels,
						  net->op[network_inputs(net, op)[i]].out.c,
						  place_sizes, f),
				     place_table);
		return sum;
	case NET_BATCH_NORM:
		return weigh(f, channel_work((double)pixels, in.c, scale_sizes, f), scale_table);
	case NET_RELU:
	case NET_RELU6:
		return weigh(f, element_work(1, elements, f), clamp_table);
	case NET_PAD:
		return weigh(f, pad_work(o, in, f), pad_table);
	case NET_UPSAMPLE:
		return weigh(f, element_work((double)o->out.h * o->out.w, in.c, f),
			     upsample_table) +
		       o->out.h * upsample_row;
	default:
		return 0;
	}
}

double firmware_instructions(const struct network *net, size_t op)
{
	const struct net_op *o = &net->op[op];

	return instructions(net, op, o, o->n_inputs ? network_in_shape(net, op) : o->out);
}

/* What surrounds a kernel in a part; where it runs row by row, the loop and each map's row. By the
 * compiler's output. */
enum { WINDOW_OF_PART = 100, ROW_OF_PART = 10, MAP_OF_ROW = 22 };

/* Row by row, of @pixels each. */
static double row_instructions(const struct network *net, size_t op, uint32_t pixels)
{
	const struct net_op *o = &net->op[op];
	struct net_shape row = { 1, pixels, network_in_shape(net, op).c };
	double kernels = instructions(net, op, o, row);

	if (o->kind == NET_CONCAT)
		return kernels + o->n_inputs * (ROW_OF_PART + 2 * MAP_OF_ROW);
	return kernels + ROW_OF_PART + (o->n_inputs + 1) * MAP_OF_ROW;
}

double firmware_part_instructions(const struct network *net, size_t op, struct nasc_part in,
				  struct nasc_part out)
{
	struct net_op o = net->op[op];
	struct net_shape shape = network_in_shape(net, op);

	if (!firmware_has_window(o.kind))
		return out.rows.cells * row_instructions(net, op, out.columns.cells);
	shape.h = in.rows.cells;
	shape.w = in.columns.cells;
	o.out.h = out.rows.cells;
	o.out.w = out.columns.cells;
	o.pad_top += in.rows.first - out.rows.first * o.stride;
	o.pad_left += in.columns.first - out.columns.first * o.stride;
	return instructions(net, op, &o, shape) + WINDOW_OF_PART;
}
