#include "firmware.h"

/* Bytes of code by arm-none-eabi-gcc 12.2.1 -O2 for a Cortex-M4; M7 and M33 differ by some hundred
 * in all. Whatever a kind of operator links in, its helpers included, once. */
static const uint32_t kernel_bytes[NET_KIND_COUNT] = {
	[NET_CONV2D] = 2472,	[NET_DEPTHWISE] = 9156,	 [NET_DENSE] = 752, [NET_MAX_POOL] = 512,
	[NET_AVG_POOL] = 708,	[NET_GLOBAL_POOL] = 708, [NET_ADD] = 744,   [NET_CONCAT] = 428,
	[NET_BATCH_NORM] = 280, [NET_RELU] = 132,	 [NET_RELU6] = 132, [NET_PAD] = 362,
	[NET_UPSAMPLE] = 168,
};
/* Vectors, start, memcpy() and memset(); a struct nasc_window; a call in NAME_run(). */
enum { START = 812, WINDOW = 36, CALL = 28 };
/* In parts: what all have in common; a window of a part; a loop over rows, and a row's address. */
enum { PARTS = 200, PART_WINDOW = 45, PART_LOOP = 40, PART_ROW = 55 };

bool firmware_has_window(enum net_kind kind)
{
	switch (kind) {
	case NET_CONV2D:
	case NET_DEPTHWISE:
	case NET_DENSE:
	case NET_MAX_POOL:
	case NET_AVG_POOL:
	case NET_GLOBAL_POOL:
	case NET_PAD:
	case NET_UPSAMPLE:
		return true;
	default:
		return false;
	}
}

/* What running operator @op in parts takes more. */
static uint64_t part_bytes(const struct network *net, size_t op, bool is_end)
{
	const struct net_op *o = &net->op[op];

	if (firmware_has_window(o->kind))
		return PART_WINDOW + (is_end ? PART_ROW : 0);
	if (o->kind == NET_CONCAT)
		return o->n_inputs * (PART_LOOP + 2 * PART_ROW);
	return PART_LOOP + (o->n_inputs + 1) * PART_ROW;
}

uint64_t firmware_code_bytes(const struct network *net, uint32_t end, uint32_t grid)
{
	bool linked[NET_KIND_COUNT] = { false };
	uint64_t bytes = START;

	for (size_t i = 1; i < net->n_ops; i++) {
		enum net_kind kind = net->op[i].kind, kernel = kind;

		if (kind == NET_AVG_POOL)
			kernel = NET_GLOBAL_POOL;
		if (kind == NET_RELU6)
			kernel = NET_RELU;
		bytes += linked[kernel] ? 0 : kernel_bytes[kernel];
		linked[kernel] = true;
		bytes += firmware_has_window(kind) ? WINDOW : 0;
		bytes += CALL * (kind == NET_CONCAT ? net->op[i].n_inputs : 1);
		bytes += i <= end ? part_bytes(net, i, i == end) : 0;
	}
	if (end)
		bytes += PARTS + 2 * sizeof(struct nasc_span) * ((uint64_t)end + 1) * grid;
	return bytes;
}
