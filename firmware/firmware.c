#include "firmware.h"

#include <string.h>

/* Inputs of an output: more might overflow a sum. */
#define MAX_INPUTS 65536

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* Inputs of an output of a convolution or dense layer, all channels. */
static uint64_t n_inputs(const struct network *net, size_t op)
{
	const struct net_op *o = &net->op[op];
	struct net_shape in = network_in_shape(net, op);

	if (o->kind == NET_DENSE)
		return net_elements(in);
	return (uint64_t)o->kernel_h * o->kernel_w * in.c;
}

/* Halves of blocks of four inputs, the first with inputs 0 and 2, the second with 1 and 3. */
static uint64_t n_halves(uint64_t inputs)
{
	return inputs / 4 * 2 + (inputs % 4 > 1 ? 2 : inputs % 4);
}

/* Of an output: each row of a window by itself, and of a dense layer all inputs. */
static uint64_t all_halves(const struct network *net, size_t op)
{
	const struct net_op *o = &net->op[op];

	if (o->kind == NET_DENSE)
		return n_halves(n_inputs(net, op));
	return o->kernel_h * n_halves((uint64_t)o->kernel_w * network_in_shape(net, op).c);
}

static bool fits(struct net_shape s)
{
	return s.h <= INT16_MAX && s.w <= INT16_MAX && s.c <= UINT16_MAX &&
	       net_elements(s) <= INT32_MAX;
}

/* In the 16 bits of struct nasc_window. */
static bool window_fits(const struct net_op *o)
{
	return o->kernel_h <= UINT16_MAX && o->kernel_w <= UINT16_MAX && o->stride <= UINT16_MAX &&
	       o->pad_top <= INT16_MAX && o->pad_left <= INT16_MAX;
}

/* Products, or elements, that an output is the sum of. */
static uint64_t n_summands(const struct network *net, size_t op)
{
	const struct net_op *o = &net->op[op];

	switch (o->kind) {
	case NET_CONV2D:
	case NET_DENSE:
		return n_inputs(net, op);
	case NET_GLOBAL_POOL:
		return net_elements(network_in_shape(net, op)) / o->out.c;
	default:
		return (uint64_t)o->kernel_h * o->kernel_w;
	}
}

const char *firmware_refusal(const struct network *net, size_t op)
{
	const struct net_op *o = &net->op[op];
	bool small = fits(o->out) && window_fits(o);

	for (uint32_t i = 0; i < o->n_inputs; i++)
		small = small && fits(net->op[network_inputs(net, op)[i]].out);
	if (!small)
		return "a side or padding above 32767, a kernel, stride or number of channels "
		       "above 65535, or 2 GiB";
	if (o->kind == NET_SOFTMAX)
		return "a softmax that is not the network's end";
	if (o->kind == NET_CONV2D && o->groups > 1)
		return "a grouped convolution";
	if (o->kind != NET_MAX_POOL && n_summands(net, op) > MAX_INPUTS)
		return "an output of more than 65536 inputs";
	return NULL;
}

const char *firmware_refusal_of(const struct network *net, size_t *op)
{
	const char *refusal = NULL;

	for (*op = 0; *op < net->n_ops; ++*op) {
		refusal = firmware_refusal(net, *op);
		if (refusal)
			break;
	}
	return refusal;
}

/* As in nasc_kernels.c: two pixels of 16 bits, and a row of one where channels are no whole words.
 */
static uint64_t conv_scratch(const struct network *net, size_t op)
{
	uint32_t c = network_in_shape(net, op).c;
	uint64_t line = round_up((uint64_t)net->op[op].kernel_w * c, 4);

	return 8 * all_halves(net, op) + (c % 4 == 0 ? 0 : line);
}

/* As in nasc_depthwise.c: pairs of rows of four channels, 16 bits a cell; weights of four channels
 * that are laid out. */
static uint64_t depthwise_scratch(const struct net_op *o)
{
	uint64_t columns = (round_up(o->out.w, 2) - 1) * o->stride + o->kernel_w;
	uint64_t cells = 4 * columns * 2 * (o->kernel_h / 2 + 1);
	bool laid_out = (o->kernel_h == 5 || o->kernel_h == 7) && o->kernel_w == o->kernel_h &&
			o->stride <= 2 && o->out.c >= 4;
	uint64_t pairs = laid_out ? 4 * (o->kernel_h - 1) * o->kernel_w : 0;

	return cells * sizeof(int16_t) + pairs * sizeof(uint32_t);
}

bool firmware_in_place(const struct network *net, size_t op)
{
	const struct net_op *o = &net->op[op];
	struct net_shape in = network_in_shape(net, op);

	return o->kind == NET_DEPTHWISE && o->stride == 1 && o->out.h == in.h && o->out.w == in.w;
}

uint64_t firmware_scratch_bytes(const struct network *net, size_t op)
{
	switch (net->op[op].kind) {
	case NET_CONV2D:
		return conv_scratch(net, op);
	case NET_DEPTHWISE:
		return depthwise_scratch(&net->op[op]);
	default:
		return 0;
	}
}

uint64_t firmware_weight_bytes(const struct network *net, size_t op)
{
	const struct net_op *o = &net->op[op];

	switch (o->kind) {
	case NET_CONV2D:
	case NET_DENSE:
		return 2 * all_halves(net, op) * round_up(o->out.c, 2);
	case NET_DEPTHWISE:
		return round_up((uint64_t)o->kernel_h * o->kernel_w * o->out.c, 4);
	default:
		return 0;
	}
}

/* Fewest cells that a window has in the map, along one side: the first window, or the last. */
static uint32_t fewest_cells(uint32_t in, uint32_t out, uint32_t kernel, uint32_t stride,
			     uint32_t before)
{
	const uint64_t window[] = { 0, out - 1 };
	int64_t fewest = kernel;

	for (size_t i = 0; i < 2; i++) {
		int64_t first = (int64_t)(window[i] * stride) - before, last = first + kernel;
		int64_t cells = (last < in ? last : in) - (first > 0 ? first : 0);

		fewest = cells < fewest ? cells : fewest;
	}
	return (uint32_t)fewest;
}

uint32_t firmware_mean_cells(const struct network *net, size_t op, uint32_t *fewest)
{
	const struct net_op *o = &net->op[op];
	struct net_shape in = network_in_shape(net, op);

	if (o->kind == NET_GLOBAL_POOL)
		return *fewest = in.h * in.w;
	*fewest = fewest_cells(in.h, o->out.h, o->kernel_h, o->stride, o->pad_top) *
		  fewest_cells(in.w, o->out.w, o->kernel_w, o->stride, o->pad_left);
	return o->kernel_h * o->kernel_w;
}

uint64_t firmware_constant_bytes(const struct network *net, size_t op)
{
	const struct net_op *o = &net->op[op];
	uint64_t bytes = firmware_weight_bytes(net, op);
	uint32_t most, fewest;

	switch (o->kind) {
	case NET_CONV2D:
	case NET_DEPTHWISE:
	case NET_DENSE:
		return bytes + o->out.c * sizeof(struct nasc_requant);
	case NET_GLOBAL_POOL:
	case NET_AVG_POOL:
		most = firmware_mean_cells(net, op, &fewest);
		return (most - fewest + 1) * sizeof(struct nasc_requant);
	case NET_BATCH_NORM:
		return o->out.c * sizeof(struct nasc_affine);
	case NET_ADD:
		return o->n_inputs * sizeof(int32_t);
	default:
		return bytes;
	}
}

/* Channels in fours, those left over in pairs, and of an odd one two; in a group halves of blocks:
 * of two channels the half's first input of both, its second of both; of the next two. The first of
 * two channels has 128 added. */
static void pack_matrix(const int8_t *weights, size_t rows, size_t inputs, size_t channels,
			int8_t *packed)
{
	for (size_t first = 0; first < channels;) {
		size_t group = channels - first >= 4 ? 4 : 2;

		for (size_t half = 0; half < rows * n_halves(inputs); half++) {
			for (size_t i = 0; i < 2 * group; i++) {
				size_t c = first + i / 4 * 2 + i % 2;
				size_t row = half / n_halves(inputs), at = half % n_halves(inputs);
				size_t k = at / 2 * 4 + at % 2 + i % 4 / 2 * 2;
				int w = 0;

				if (k < inputs)
					w = weights[((c < channels ? c : channels - 1) * rows +
						     row) * inputs +
						    k];
				*packed++ = (int8_t)(i % 2 ? w : (w + 256) % 256 - 128);
			}
		}
		first += group;
	}
}

/* Channel by channel; columns two by two, row by row of these, an odd one last. */
static void pack_depthwise(const struct net_op *o, const int8_t *weights, int8_t *packed)
{
	for (size_t c = 0; c < o->out.c; c++)
		for (size_t first = 0; first < o->kernel_w; first += 2)
			for (size_t row = 0; row < o->kernel_h; row++)
				for (size_t i = first; i < first + 2 && i < o->kernel_w; i++)
					*packed++ = weights[(row * o->kernel_w + i) * o->out.c + c];
}

void firmware_pack(const struct network *net, size_t op, const int8_t *weights, int8_t *packed)
{
	const struct net_op *o = &net->op[op];

	memset(packed, 0, firmware_weight_bytes(net, op));
	if (o->kind == NET_DEPTHWISE)
		pack_depthwise(o, weights, packed);
	else if (o->kind == NET_CONV2D)
		pack_matrix(weights, o->kernel_h, n_inputs(net, op) / o->kernel_h, o->out.c,
			    packed);
	else if (o->kind == NET_DENSE)
		pack_matrix(weights, 1, n_inputs(net, op), o->out.c, packed);
}
