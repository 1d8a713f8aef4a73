#include "fpga_stage.h"

#include <math.h>

#define C0_LUT 300 /* FINN-R: control of an engine */
#define C1_LUT 1.1 /* FINN-R: per gate of its datapath */

/* assumed: registers of control, as many as LUTs. */
#define C0_FF 300
/* One 8-bit multiply-accumulate with a 32-bit sum synthesises (yosys 0.23, xc7 and
 * xcup) to 68 flip-flops: operands and product twice, the sum, and 4. */
#define MAC_FF 4

/* Scaling a sum back to the activations' width. assumed: an 18-bit factor and a
 * 6-bit shift per channel; a DSP multiplies up to 25 bits by it. */
#define FACTOR_BITS 24
#define DSP_BITS    25

/* Below that a memory is made of LUTs; yosys 0.23 puts 100 x 16 there and 512 x 8
 * into block RAM, FINN embeds at most 128 words. */
#define LUTRAM_DEPTH 128
#define LUTRAM_BITS  1024

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
	return (a + b - 1) / b;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t r = a % b;

		a = b;
		b = r;
	}
	return a;
}

void fpga_use_add(struct fpga_use *sum, const struct fpga_use *u)
{
	for (int r = 0; r < FPGA_RESOURCES; r++)
		sum->of[r] += u->of[r];
}

/* ---- memories ------------------------------------------------------------------ */

uint64_t fpga_bram18(uint64_t width, uint64_t depth)
{
	if (width == 1)
		return ceil_div(depth, 16384);
	if (width == 2)
		return ceil_div(depth, 8192);
	if (width <= 4)
		return ceil_div(depth, 4096) * ceil_div(width, 4);
	if (width <= 9)
		return ceil_div(depth, 2048) * ceil_div(width, 9);
	if (width <= 18 || depth > 512)
		return ceil_div(depth, 1024) * ceil_div(width, 18);
	return ceil_div(depth, 512) * ceil_div(width, 36);
}

struct fpga_use fpga_memory_use(uint64_t width, uint64_t depth)
{
	struct fpga_use u = { { 0 } };

	if (depth <= LUTRAM_DEPTH || width * depth <= LUTRAM_BITS)
		u.of[FPGA_LUT] = width * ceil_div(depth, 64);
	else
		u.of[FPGA_BRAM] = fpga_bram18(width, depth);
	return u;
}

/* ---- shape of a stage ------------------------------------------------------------ */

/* Line buffer and fill of a window that slides over @in. */
static void slide(struct fpga_stage *s, const struct net_op *o, struct net_shape in)
{
	/* at least a cell, where padding alone would fill the first window */
	uint64_t rows = o->kernel_h > o->pad_top ? o->kernel_h - o->pad_top : 1;
	uint64_t columns = o->kernel_w > o->pad_left ? o->kernel_w - o->pad_left : 1;
	double before = (double)(rows - 1) * in.w + (double)(columns - 1);

	s->fill = fmin(before / fmax((double)in.h * in.w - 1, 1), 1);
	if (o->kernel_h == 1 && o->kernel_w == 1)
		return;
	s->rows = o->kernel_h < in.h ? o->kernel_h : in.h;
	s->row_pixels = in.w;
	s->row_channels = in.c;
}

static struct fpga_stage stream(struct net_shape shape, uint64_t operands, bool scales)
{
	return (struct fpga_stage){ .engine = FPGA_STREAM,
				    .mw = 1,
				    .mh = shape.c,
				    .vectors = (uint64_t)shape.h * shape.w,
				    .operands = operands,
				    .scales = scales };
}

struct fpga_stage fpga_stage_of(const struct network *net, size_t op)
{
	const struct net_op *o = &net->op[op];
	struct fpga_stage s = { .engine = FPGA_NONE, .mw = 1, .mh = 1 };
	uint64_t window = (uint64_t)o->kernel_h * o->kernel_w;
	struct net_shape in;

	if (o->kind == NET_INPUT || o->kind == NET_SOFTMAX)
		return s;
	in = network_in_shape(net, op);
	s.vectors = (uint64_t)o->out.h * o->out.w;
	s.mh = o->out.c;
	s.bias = o->bias;
	switch (o->kind) {
	case NET_CONV2D:
		s.engine = FPGA_MATRIX;
		s.mw = window * (in.c / o->groups);
		slide(&s, o, in);
		s.row_channels = in.c / o->groups;
		s.rows *= o->groups;
		break;
	case NET_DEPTHWISE:
		s.engine = FPGA_VECTOR;
		s.mw = window;
		slide(&s, o, in);
		break;
	case NET_DENSE:
		s.engine = FPGA_MATRIX;
		s.mw = net_elements(in);
		s.fill = 1;
		break;
	case NET_MAX_POOL:
	case NET_AVG_POOL:
		s = stream(in, window, o->kind == NET_AVG_POOL);
		slide(&s, o, in);
		break;
	case NET_GLOBAL_POOL:
		s = stream(in, 1, true);
		s.fill = 1;
		break;
	case NET_ADD:
		s = stream(o->out, o->n_inputs - 1, false);
		break;
	case NET_BATCH_NORM:
		s = stream(o->out, 1, true);
		break;
	default:
		s = stream(o->out, 1, false);
	}
	return s;
}

/* ---- cost ------------------------------------------------------------------------ */

uint64_t fpga_stage_cycles(const struct fpga_stage *s, struct fpga_folding f)
{
	if (s->engine == FPGA_NONE)
		return 0;
	return s->mh / f.pe * (s->mw / f.simd) * s->vectors;
}

uint32_t fpga_accumulator_bits(uint64_t mw, const struct fpga_arithmetic *a)
{
	/* weights and activations are signed */
	double alpha = log2((double)mw) + a->weight_bits + a->activation_bits - 2;

	return (uint32_t)ceil(alpha + log2(1 + exp2(-alpha)) + 1);
}

/* Weights, and what turns sums into activations. */
static void add_constants(const struct fpga_stage *s, struct fpga_folding f,
			  const struct fpga_arithmetic *a, uint32_t acc, struct fpga_use *u)
{
	uint64_t per_pe = s->mh / f.pe;
	struct fpga_use memory =
		fpga_memory_use(f.pe * f.simd * a->weight_bits, per_pe * (s->mw / f.simd));

	fpga_use_add(u, &memory);
	if (a->thresholds)
		return;
	memory = fpga_memory_use(f.pe * (FACTOR_BITS + (s->bias ? acc : 0)), per_pe);
	fpga_use_add(u, &memory);
}

static void matrix_use(const struct fpga_stage *s, struct fpga_folding f,
		       const struct fpga_arithmetic *a, struct fpga_use *u)
{
	uint64_t w = a->weight_bits, x = a->activation_bits, q = f.simd;
	uint32_t acc = fpga_accumulator_bits(s->mw, a);
	uint64_t multiply = 0, add = (w + x) * (2 * q - 1), output;

	if (a->lut_multipliers)
		multiply = q * (2 * ceil_div(w + x, 6) - 1) * (w + x);
	else
		u->of[FPGA_DSP] += f.pe * q * ceil_div(w + x, 48);
	if (a->thresholds) {
		uint64_t levels = ((uint64_t)1 << x) - 1;

		output = levels * acc * (ceil_div(s->mh / f.pe, 64) + 1);
	} else {
		u->of[FPGA_DSP] += f.pe * ceil_div(acc, DSP_BITS);
		output = acc + x; /* assumed: rounding and saturation */
	}
	u->of[FPGA_LUT] += (uint64_t)(C0_LUT + C1_LUT * (double)f.pe *
						       (double)(multiply + add + acc + output));
	u->of[FPGA_FF] += C0_FF + f.pe * (q * 2 * (w + x) + acc + MAC_FF);
	add_constants(s, f, a, acc, u);
}

/* assumed: an adder or comparator takes a LUT a bit, a channel at a time. */
static void stream_use(const struct fpga_stage *s, struct fpga_folding f,
		       const struct fpga_arithmetic *a, struct fpga_use *u)
{
	uint64_t x = a->activation_bits;
	struct fpga_use memory;

	u->of[FPGA_LUT] += (uint64_t)(C0_LUT + C1_LUT * (double)(f.pe * x * s->operands));
	u->of[FPGA_FF] += C0_FF + f.pe * 2 * x;
	if (!s->scales)
		return;
	u->of[FPGA_DSP] += f.pe;
	memory = fpga_memory_use(f.pe * 2 * FACTOR_BITS, s->mh / f.pe);
	fpga_use_add(u, &memory);
}

struct fpga_use fpga_stage_use(const struct fpga_stage *s, struct fpga_folding f,
			       const struct fpga_arithmetic *a)
{
	struct fpga_use u = { { 0 } }, memory;
	uint64_t lanes = s->engine == FPGA_MATRIX ? gcd(f.simd, s->row_channels) : f.pe;

	if (s->engine == FPGA_NONE)
		return u;
	if (s->engine == FPGA_STREAM)
		stream_use(s, f, a, &u);
	else
		matrix_use(s, f, a, &u);
	if (s->rows) {
		memory = fpga_memory_use(lanes * a->activation_bits,
					 s->row_pixels * s->row_channels / lanes);
		for (int r = 0; r < FPGA_RESOURCES; r++)
			u.of[r] += s->rows * memory.of[r];
	}
	return u;
}
