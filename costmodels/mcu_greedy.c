#include "mcu_greedy.h"

#include "mcu_place.h"

#define TFLM_ALIGN 16

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* One buffer for each operator's output. */
static void list_outputs(const struct network *net, const struct mcu_memory_rules *rules,
			 struct cost_buffer *b, struct arena *scratch)
{
	uint32_t n = (uint32_t)net->n_ops, *last = ARENA_NEW(scratch, uint32_t, n);
	uint64_t *size = ARENA_NEW(scratch, uint64_t, n);

	network_lifetimes(net, last);
	mcu_memory_sizes(net, rules, size, scratch);
	for (uint32_t i = 0; i < n; i++)
		b[i] = (struct cost_buffer){ .op = i,
					     .from = i,
					     .to = last[i] < n ? last[i] : n - 1,
					     .size = size[i],
					     .host = i };
}

/* The output takes the place of the input where nobody reads that later. */
static bool in_place(const struct network *net, const struct cost_buffer *b, uint32_t i)
{
	uint32_t in;

	if (net->op[i].kind != NET_DEPTHWISE)
		return false;
	in = network_inputs(net, i)[0];
	return b[in].to == i && b[i].size && b[in].size >= b[i].size;
}

/* A convolution gathers two columns of 16-bit inputs; a depthwise convolution two padded planes, or
 * two columns where it cannot be in place. A kernel of more than one position is unpacked to 16
 * bits. */
static void tinyengine_scratch(const struct network *net, struct mcu_memory *plan)
{
	for (uint32_t i = 1; i < net->n_ops; i++) {
		const struct net_op *o = &net->op[i];
		struct net_shape in = network_in_shape(net, i);
		uint64_t window = (uint64_t)o->kernel_h * o->kernel_w, columns = 0, kernel = 0;

		switch (o->kind) {
		case NET_CONV2D:
			columns = 4 * window * (in.c / o->groups);
			if (window > 1)
				kernel = 2 * network_op_weights(net, i);
			break;
		case NET_DEPTHWISE:
			columns = 2 * window * in.c;
			if (plan->buffer[i].host != i)
				columns = 2 * (in.h + 2 * (uint64_t)(o->kernel_h / 2)) *
					  (in.w + 2 * (uint64_t)(o->kernel_w / 2));
			break;
		case NET_DENSE: /* as a 1x1 convolution */
			columns = 4 * net_elements(in);
			break;
		default:
			break;
		}
		plan->column_bytes = max_u64(plan->column_bytes, columns);
		plan->kernel_bytes = max_u64(plan->kernel_bytes, kernel);
	}
}

/* Bytes of all buffers in use at each step, those in place of others once. */
static void count_live(const struct cost_buffer *b, uint32_t n, uint64_t *live,
		       struct arena *scratch)
{
	uint64_t *ends = ARENA_NEW(scratch, uint64_t, n + 1), now = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t from = b[i].host == i ? b[i].from : b[b[i].host].to + 1;

		if (from <= b[i].to) {
			live[from] += b[i].size;
			ends[b[i].to] += b[i].size;
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		now += live[i];
		live[i] = now;
		now -= ends[i];
	}
}

void mcu_greedy_plan(const struct network *net, const struct mcu_memory_rules *rules,
		     struct arena *a, struct mcu_memory *out)
{
	uint32_t n = (uint32_t)net->n_ops;
	struct mcu_memory plan = { .exact = true,
				   .order = ARENA_NEW(a, uint32_t, n),
				   .live = ARENA_NEW(a, uint64_t, n),
				   .buffer = ARENA_NEW(a, struct cost_buffer, n),
				   .n_buffers = n };
	struct arena_mark mark = arena_mark(a);
	bool tflm = rules->model == MCU_TFLM;

	list_outputs(net, rules, plan.buffer, a);
	for (uint32_t i = 0; i < n; i++) {
		plan.order[i] = i;
		if (!tflm && in_place(net, plan.buffer, i))
			plan.buffer[i].host = network_inputs(net, i)[0];
	}
	if (!tflm)
		tinyengine_scratch(net, &plan);
	plan.peak_bytes = mcu_place(plan.buffer, n, tflm ? TFLM_ALIGN : 1,
				    tflm ? MCU_LARGER_LATER : MCU_LARGER_EARLIER, a);
	count_live(plan.buffer, n, plan.live, a);
	arena_rewind(a, mark);
	*out = plan;
}
