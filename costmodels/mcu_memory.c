#include "mcu_memory.h"

#include <string.h>

#include "mcu_graph.h"
#include "mcu_greedy.h"

const char *const mcu_memory_names[] = { [MCU_IDEAL] = "ideal",
					 [MCU_TFLM] = "tflm",
					 [MCU_TINYENGINE] = "tinyengine",
					 [MCU_NASC] = "nasc",
					 NULL };

const char *const mcu_memory_provenance[] = {
	[MCU_IDEAL] =
		"predicted: least peak of live activations over all execution orders, depthwise "
		"in place; no stack, scratch buffers or fragmentation",
	[MCU_TFLM] =
		"predicted: greedy planner of TensorFlow Lite Micro, nothing in place; without "
		"kernels' scratch buffers and the persistent part of the arena",
	[MCU_TINYENGINE] = "predicted: first fit by size, depthwise in place, im2col and kernel "
			   "buffers; no stack",
	[MCU_NASC] = "counted: the arena of nasc's exported firmware, kernels' buffers included; "
		     "no stack",
};

/* Operators looked at before a search settles for what it has: some 0.3 s. */
#define VISITS_MAX ((uint64_t)1 << 25)

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- sizes ------------------------------------------------------------------- */

/* An add's input that is the other one at the end of operators with one input each. */
static bool ends_block(const struct network *net, const uint32_t *readers, uint32_t add, uint32_t k)
{
	const uint32_t *in = network_inputs(net, add);
	uint32_t op = in[k], residual = in[1 - k];

	if (net->op[op].kind != NET_CONV2D || readers[op] != 1 || readers[residual] != 2)
		return false;
	while (op > residual && net->op[op].n_inputs == 1)
		op = network_inputs(net, op)[0];
	return op == residual;
}

uint64_t mcu_memory_bytes(struct net_shape map, const struct mcu_memory_rules *rules)
{
	uint64_t bytes = (net_elements(map) * rules->activation_bits + 7) / 8;

	return rules->model == MCU_NASC ? (bytes + 3) / 4 * 4 : bytes;
}

bool mcu_memory_in_place(const struct network *net, const struct mcu_memory_rules *rules,
			 uint32_t op)
{
	if (rules->model == MCU_NASC)
		return !rules->parts && firmware_in_place(net, op);
	return rules->inplace_depthwise;
}

void mcu_memory_sizes(const struct network *net, const struct mcu_memory_rules *rules,
		      uint64_t *size, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	uint32_t *readers = ARENA_NEW(scratch, uint32_t, net->n_ops);

	for (size_t i = 0; i < net->n_ops; i++)
		size[i] = mcu_memory_bytes(net->op[i].out, rules);
	if (!rules->count_input)
		size[0] = 0;
	if (rules->model == MCU_IDEAL && rules->fused_add) {
		network_consumers(net, readers);
		for (uint32_t i = 1; i < net->n_ops; i++)
			for (uint32_t k = 0; k < 2 && net->op[i].kind == NET_ADD; k++)
				if (net->op[i].n_inputs == 2 && ends_block(net, readers, i, k))
					size[network_inputs(net, i)[k]] = 0;
	}
	arena_rewind(scratch, mark);
}

/* ---- graph ------------------------------------------------------------------- */

void mcu_graph_init(struct mcu_graph *g, const struct network *net,
		    const struct mcu_memory_rules *rules, struct arena *a)
{
	uint32_t n = (uint32_t)net->n_ops, *seen, at = 0;

	*g = (struct mcu_graph){ .net = net,
				 .rules = rules,
				 .n = n,
				 .size = ARENA_NEW(a, uint64_t, n),
				 .scratch = ARENA_NEW(a, uint64_t, n),
				 .readers = ARENA_NEW(a, uint32_t, n),
				 .first = ARENA_NEW(a, uint32_t, n + 1),
				 .input = ARENA_NEW(a, uint32_t, net->n_edges + 1) };
	seen = ARENA_NEW(a, uint32_t, n);
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t *in = network_inputs(net, i);

		g->first[i] = at;
		for (uint32_t k = 0; k < net->op[i].n_inputs; k++) {
			if (seen[in[k]] == i)
				continue;
			seen[in[k]] = i; /* operator 0 reads nothing: 0 means never */
			g->input[at++] = in[k];
			g->readers[in[k]]++;
		}
	}
	g->first[n] = at;
	g->readers[n - 1]++;
	mcu_memory_sizes(net, rules, g->size, a);
	for (uint32_t i = 0; rules->model == MCU_NASC && i < n; i++)
		g->scratch[i] = firmware_scratch_bytes(net, i);
}

/* Bytes that @op's output takes from inputs that die: @dying of them in all,
 * @largest in one. */
static uint64_t shared(const struct mcu_graph *g, uint32_t op, uint64_t dying, uint64_t largest)
{
	const struct net_op *o = &g->net->op[op];
	uint64_t size = g->size[op];

	switch (o->kind) {
	case NET_CONCAT:
		return g->rules->model == MCU_NASC ? 0 : min_u64(size, dying);
	case NET_ADD:
	case NET_BATCH_NORM:
	case NET_RELU:
	case NET_RELU6:
	case NET_SOFTMAX:
		return min_u64(size, largest);
	case NET_DEPTHWISE:
		if (!mcu_memory_in_place(g->net, g->rules, op) || largest < size)
			return 0;
		if (g->rules->model == MCU_NASC)
			return size;
		return size - (size + o->out.c - 1) / o->out.c; /* all but one plane */
	default:
		return 0;
	}
}

struct mcu_step mcu_graph_step(const struct mcu_graph *g, const struct mcu_state *s, uint32_t op)
{
	uint64_t dying = 0, largest = 0, kept = g->readers[op] ? g->size[op] : 0;

	for (uint32_t k = g->first[op]; k < g->first[op + 1]; k++) {
		uint32_t t = g->input[k];

		if (s->unread[t] != 1)
			continue;
		dying += g->size[t];
		if (g->size[t] > largest)
			largest = g->size[t];
	}
	return (struct mcu_step){ s->live + g->size[op] + g->scratch[op] -
					  shared(g, op, dying, largest),
				  s->live - dying + kept };
}

void mcu_graph_run(const struct mcu_graph *g, struct mcu_state *s, uint32_t op,
		   struct mcu_step step)
{
	for (uint32_t k = g->first[op]; k < g->first[op + 1]; k++)
		s->unread[g->input[k]]--;
	s->live = step.after;
}

/* What @op needs in any order: its inputs and output, all inputs dying at best. */
static uint64_t least(const struct mcu_graph *g, uint32_t op)
{
	uint64_t sum = 0, largest = 0;

	for (uint32_t k = g->first[op]; k < g->first[op + 1]; k++) {
		uint64_t size = g->size[g->input[k]];

		sum += size;
		if (size > largest)
			largest = size;
	}
	return sum + g->size[op] + g->scratch[op] - shared(g, op, sum, largest);
}

/* ---- plan -------------------------------------------------------------------- */

/* Ends of the segments, ascending. An operator ends one when no tensor written
 * before it is read after it: then every later operator descends from it and it
 * from every earlier one, so all orders execute the same set up to it. */
static uint32_t find_segments(const struct mcu_graph *g, uint32_t *end, struct arena *scratch)
{
	uint32_t *last = ARENA_NEW(scratch, uint32_t, g->n), n = 0, reach = 0;

	for (uint32_t i = 0; i < g->n; i++) {
		last[i] = g->readers[i] ? i : g->n; /* an unread output may come at any time */
		for (uint32_t k = g->first[i]; k < g->first[i + 1]; k++)
			last[g->input[k]] = i;
	}
	for (uint32_t i = 0; i < g->n; i++) {
		if (reach <= i || i == g->n - 1)
			end[n++] = i + 1;
		if (last[i] > reach)
			reach = last[i];
	}
	return n;
}

/* Each operator reads the one before it: there is no other order. */
static bool is_path(const struct mcu_graph *g, uint32_t begin, uint32_t end)
{
	for (uint32_t i = begin + 1; i < end; i++) {
		bool reads = false;

		for (uint32_t k = g->first[i]; k < g->first[i + 1]; k++)
			reads |= g->input[k] == i - 1;
		if (!reads)
			return false;
	}
	return true;
}

/* Run @order[begin, end), note the bytes and return their peak. */
static uint64_t execute(const struct mcu_graph *g, struct mcu_state *s, uint32_t begin,
			uint32_t end, const uint32_t *order, uint64_t *live)
{
	uint64_t peak = 0;

	for (uint32_t k = begin; k < end; k++) {
		struct mcu_step step = mcu_graph_step(g, s, order[k]);

		mcu_graph_run(g, s, order[k], step);
		live[k] = step.during;
		if (step.during > peak)
			peak = step.during;
	}
	return peak;
}

static void unexecute(const struct mcu_graph *g, struct mcu_state *s, uint32_t begin, uint32_t end,
		      uint64_t live_before)
{
	for (uint32_t k = g->first[begin]; k < g->first[end]; k++)
		s->unread[g->input[k]]++;
	s->live = live_before;
}

static void ideal_plan(const struct network *net, const struct mcu_memory_rules *rules,
		       struct arena *a, struct mcu_memory *out)
{
	uint32_t n = (uint32_t)net->n_ops, n_segments, begin = 0, *end;
	uint64_t visits = VISITS_MAX;
	uint64_t bound = 0; /* what some part already needs: up to there nothing is lost */
	uint64_t proven;    /* no order needs less than that */
	struct mcu_memory plan = { .order = ARENA_NEW(a, uint32_t, n),
				   .live = ARENA_NEW(a, uint64_t, n) };
	struct arena_mark mark = arena_mark(a);
	struct mcu_state s = { 0, ARENA_NEW(a, uint32_t, n) };
	struct mcu_graph g;

	mcu_graph_init(&g, net, rules, a);
	memcpy(s.unread, g.readers, n * sizeof *s.unread);
	for (uint32_t i = 0; i < n; i++) {
		plan.order[i] = i;
		bound = max_u64(bound, least(&g, i));
	}
	proven = bound;
	end = ARENA_NEW(a, uint32_t, n);
	n_segments = find_segments(&g, end, a);
	for (uint32_t i = 0; i < n_segments; i++) {
		struct mcu_segment segment = { begin, end[i], 0 };
		uint64_t before = s.live;
		bool exact = true;

		segment.peak = execute(&g, &s, begin, end[i], plan.order, plan.live);
		if (segment.peak > bound && !is_path(&g, begin, end[i])) {
			unexecute(&g, &s, begin, end[i], before);
			exact = mcu_order_search(&g, &s, &segment, bound, &visits,
						 plan.order + begin, a);
			execute(&g, &s, begin, end[i], plan.order, plan.live);
		}
		if (exact && segment.peak > bound)
			proven = segment.peak;
		bound = max_u64(bound, segment.peak);
		begin = end[i];
	}
	plan.peak_bytes = bound;
	plan.exact = bound == proven;
	arena_rewind(a, mark);
	*out = plan;
}

void mcu_memory_plan(const struct network *net, const struct mcu_memory_rules *rules,
		     struct arena *a, struct mcu_memory *out)
{
	if (rules->model == MCU_TFLM || rules->model == MCU_TINYENGINE) {
		mcu_greedy_plan(net, rules, a, out);
		return;
	}
	ideal_plan(net, rules, a, out);
	if (rules->model == MCU_NASC) {
		out->peak_bytes = mcu_memory_place(net, rules, out, a);
		out->exact = true;
	}
}
