/* The input is a target file. What is accepted must cost a network to sound figures, and load to
 * the same figures from what its own rows print. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <math.h>

#include "costmodels.h"

static struct arena arena;

/* A few operators of every cost: convolutions, branches that meet, a dense layer. */
static void make_network(struct network *net, struct arena *a)
{
	struct nasc_err err = { 0 };
	uint32_t x, y;

	network_init(net, a, (struct net_shape){ 6, 5, 2 });
	x = network_conv2d(net, 0, 4, 3, 1, 1, NET_SAME, true);
	y = network_unary(net, NET_RELU, network_unary(net, NET_BATCH_NORM, x));
	y = network_depthwise(net, y, 3, 1, NET_SAME, false);
	y = network_conv2d(net, y, 4, 1, 1, 1, NET_SAME, false);
	y = network_merge(net, NET_ADD, (uint32_t[]){ x, y }, 2);
	y = network_merge(net, NET_CONCAT, (uint32_t[]){ x, y }, 2);
	y = network_pool(net, NET_MAX_POOL, y, 2, 2, NET_VALID);
	network_unary(net, NET_SOFTMAX, network_dense(net, y, 3, true));
	MUST(network_infer(net, &err) == NASC_OK);
}

static bool is_figure(double v)
{
	return isnan(v) || (v >= 0 && isfinite(v));
}

static void check_cost(const struct costmodel *m, const struct network *net, struct cost *cost,
		       enum nasc_status *status)
{
	size_t n = m->ops->n_metrics;
	struct nasc_err err = { 0 };

	*cost = (struct cost){ .per_op = ARENA_NEW(&arena, double, net->n_ops *n) };
	*status = m->ops->cost(m, net, &arena, cost, &err);
	if (*status) {
		must_say_why(&err, *status);
		MUST(*status == NASC_INFEASIBLE);
		return;
	}
	for (size_t i = 0; i < n; i++)
		MUST(m->ops->provenance(m, i)
			     ? is_figure(cost->value[i]) && *m->ops->provenance(m, i)
			     : isnan(cost->value[i]));
	for (size_t i = 0; i < net->n_ops * n; i++)
		MUST(is_figure(cost->per_op[i]));
}

/* Buffers within the arena, and a schedule as dear as the cost says. */
static void check_memory(const struct costmodel *m, const struct network *net)
{
	struct cost_schedule *way;
	struct cost_memory memory;
	uint32_t n;

	if (!m->ops->memory)
		return;
	m->ops->memory(m, net, &arena, &memory);
	for (uint32_t i = 0; i < memory.n_buffers; i++)
		MUST(memory.buffer[i].offset + memory.buffer[i].size <= memory.arena_bytes &&
		     memory.buffer[i].op < net->n_ops);
	n = m->ops->schedules(m, net, &arena, &way);
	MUST(n == 0 || !way[0].op);
	for (uint32_t i = 0; i < n; i++)
		MUST(is_figure(way[i].latency_s) && way[i].op < net->n_ops);
}

static void check_limits(const struct costmodel *m)
{
	struct cost_limit limit[COST_MAX_METRICS];
	size_t n = m->ops->limits ? m->ops->limits(m, limit) : 0;

	MUST(n <= COST_MAX_METRICS);
	for (size_t i = 0; i < n; i++)
		MUST(limit[i].metric < m->ops->n_metrics && limit[i].max >= 0 &&
		     isfinite(limit[i].max));
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Print the values of @m and load them again. */
static void check_printed(const struct costmodel *m, const struct network *net,
			  const struct cost *cost, enum nasc_status status)
{
	static struct memory_file file;
	struct costmodel again;
	struct cost cost_again;
	enum nasc_status status_again;
	struct nasc_err err = { 0 };
	char *text = NULL;
	size_t n = 0;
	FILE *mem = open_memstream(&text, &n);

	MUST(mem);
	fprintf(mem, "model: %s\nsummary: x\n", m->ops->name);
	cfg_print(m->ops->fields, m->cfg, 0, mem);
	fclose(mem);
	if (target_open(&again, "", memory_file_fill(&file, text, n), &arena, &err)) {
		fprintf(stderr, "%s\n%s", err.msg, text);
		abort();
	}
	free(text);
	check_cost(&again, net, &cost_again, &status_again);
	MUST(status == status_again && strcmp(m->model, again.model) == 0);
	for (size_t i = 0; !status && i < m->ops->n_metrics; i++)
		MUST(memcmp(&cost->value[i], &cost_again.value[i], sizeof *cost->value) == 0 &&
		     same_text(m->ops->provenance(m, i), again.ops->provenance(&again, i)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory_file file;
	static struct arena forever;
	static struct network net;
	struct nasc_err err = { 0 };
	struct arena_mark start = arena_mark(&arena);
	enum nasc_status status;
	struct costmodel m;
	struct cost cost;

	if (!net.n_ops)
		make_network(&net, &forever);
	status = target_open(&m, "", memory_file_fill(&file, data, size), &arena, &err);
	if (status) {
		must_say_why(&err, status);
		MUST(status == NASC_CONFIG);
	} else {
		check_limits(&m);
		check_cost(&m, &net, &cost, &status);
		check_memory(&m, &net);
		check_printed(&m, &net, &cost, status);
	}
	arena_rewind(&arena, start);
	return 0;
}
