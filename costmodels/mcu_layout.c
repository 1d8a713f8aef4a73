#include "firmware.h"
#include "mcu_memory.h"
#include "mcu_place.h"

/* Addresses for an order of MCU_IDEAL or MCU_NASC, with what mcu_memory.c lets tensors share. */

struct layout {
	const struct network *net;
	const struct mcu_memory_rules *rules;
	uint32_t *last; /* step at which each output is last read */
	uint32_t *step; /* of each operator */
	struct cost_buffer *b;
	uint32_t n;
};

static bool dies(const struct layout *l, uint32_t t, uint32_t op)
{
	return l->last[t] == l->step[op] && t != l->net->n_ops - 1;
}

/* The buffer in which @t lies, when it fills that. */
static bool fills_its_host(const struct layout *l, uint32_t t, uint32_t *host)
{
	uint64_t at = 0;

	for (*host = t; l->b[*host].host != *host; *host = l->b[*host].host)
		at += l->b[*host].at;
	return at == 0 && l->b[*host].size == l->b[t].size;
}

/* What dies in a concatenation becomes a part of it. */
static void join(struct layout *l, uint32_t op)
{
	const uint32_t *in = network_inputs(l->net, op);
	uint64_t at = 0;

	for (uint32_t k = 0; k < l->net->op[op].n_inputs; k++) {
		uint32_t host;

		if (dies(l, in[k], op) && fills_its_host(l, in[k], &host) && host != op) {
			l->b[host].host = op;
			l->b[host].at = at;
		}
		at += l->b[in[k]].size;
	}
}

/* The output takes the place of an input that dies. */
static void overwrite(struct layout *l, uint32_t op)
{
	const uint32_t *in = network_inputs(l->net, op);

	for (uint32_t k = 0; k < l->net->op[op].n_inputs; k++)
		if (dies(l, in[k], op) && l->b[in[k]].size >= l->b[op].size) {
			l->b[op].host = in[k];
			return;
		}
}

/* What a kernel needs while it runs. */
static void add_scratch(struct layout *l, uint32_t op, uint64_t size)
{
	l->b[l->n] = (struct cost_buffer){
		.op = op, .from = l->step[op], .to = l->step[op], .size = size, .host = l->n
	};
	l->n++;
}

static void share(struct layout *l, uint32_t op)
{
	const struct net_op *o = &l->net->op[op];
	bool firmware = l->rules->model == MCU_NASC;

	switch (o->kind) {
	case NET_CONCAT:
		if (!firmware)
			join(l, op);
		break;
	case NET_ADD:
	case NET_BATCH_NORM:
	case NET_RELU:
	case NET_RELU6:
	case NET_SOFTMAX:
		overwrite(l, op);
		break;
	case NET_DEPTHWISE:
		if (!mcu_memory_in_place(l->net, l->rules, op))
			break;
		overwrite(l, op);
		if (!firmware && l->b[op].host != op) /* one plane */
			add_scratch(l, op, (l->b[op].size + o->out.c - 1) / o->out.c);
		break;
	default:
		break;
	}
	if (firmware && firmware_scratch_bytes(l->net, op))
		add_scratch(l, op, firmware_scratch_bytes(l->net, op));
}

uint64_t mcu_memory_place(const struct network *net, const struct mcu_memory_rules *rules,
			  struct mcu_memory *plan, struct arena *a)
{
	uint32_t n = (uint32_t)net->n_ops;
	struct layout l = { .net = net,
			    .rules = rules,
			    .last = ARENA_NEW(a, uint32_t, n),
			    .step = ARENA_NEW(a, uint32_t, n),
			    .b = ARENA_NEW(a, struct cost_buffer, 2 * n),
			    .n = n };
	uint64_t bytes, *size = ARENA_NEW(a, uint64_t, n);

	if (plan->buffer)
		return plan->peak_bytes;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t op = plan->order[k];

		l.step[op] = l.last[op] = k;
		for (uint32_t e = 0; e < net->op[op].n_inputs; e++)
			l.last[network_inputs(net, op)[e]] = k;
	}
	l.last[n - 1] = n - 1;
	mcu_memory_sizes(net, rules, size, a);
	for (uint32_t op = 0; op < n; op++)
		l.b[op] = (struct cost_buffer){
			.op = op, .from = l.step[op], .to = l.last[op], .size = size[op], .host = op
		};
	for (uint32_t k = 0; k < n; k++)
		share(&l, plan->order[k]);
	bytes = mcu_place_tight(&l.b, l.n, plan->peak_bytes, a);
	plan->buffer = l.b;
	plan->n_buffers = l.n;
	return bytes;
}
