#include "space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The cells of NAS-Bench-201 in their network: a stem (3x3 convolution, batch
 * norm), three stages of equal cells at 1, 2 and 4 times the stem's channels,
 * a residual block of stride 2 in front of the second and third, a classifier.
 *   cell      nodes 0 (its input) to 3 (its output), one operator on each edge
 *             a>b, a < b; a node is the sum of what comes in
 *   operator  none, skip_connect, nor_conv_1x1 or nor_conv_3x3 (ReLU, convolution,
 *             batch norm), avg_pool_3x3
 *   head      batch norm, ReLU, global average pool, dense, softmax
 * No convolution has a bias. Source: Dong & Yang, ICLR 2020, arXiv:2001.00326.
 *
 * Its parameters and MACs are the benchmark's, which counts the convolutions on
 * edges that nothing reaches or that reach nothing too. They stay in the network:
 * their output is read by nobody, and where their input would be zeros they read
 * the cell's. Sums leave zeros out, so no tensor of zeros is needed: the learned
 * constant behind a batch norm of zeros is all that differs. A cell without any
 * path through it would be a constant; it gets a skip_connect on 0>3.
 */
#define NODES 4
#define EDGES 6
#define CELLS 15625 /* 5^6 */
enum { NONE, SKIP, CONV_1X1, CONV_3X3, AVG_POOL, OPERATORS };

struct nb201_cfg {
	int64_t channels, cells;
};
static const struct cfg_field nb201_fields[] = {
	CFG_INT_FIELD(struct nb201_cfg, channels, "16", 1, 1024, "channels",
		      "of the first stage, doubled in the second and third"),
	CFG_INT_FIELD(struct nb201_cfg, cells, "5", 1, 64, "cells", "of each of the three stages"),
	CFG_END
};

static const char *const operator_names[OPERATORS] = { "none", "skip_connect", "nor_conv_1x1",
						       "nor_conv_3x3", "avg_pool_3x3" };
static const struct edge {
	uint32_t from, to;
} edges[EDGES] = { { 0, 1 }, { 0, 2 }, { 1, 2 }, { 0, 3 }, { 1, 3 }, { 2, 3 } };
#define INPUT_TO_OUTPUT 3 /* index of the edge 0>3 */

struct nb201 {
	/* Of each genome, read as a number of base 5: the least one of the same network. */
	uint16_t canonical[CELLS];
};

/* ---- a cell ---------------------------------------------------------------- */

/* Nodes on a path from the cell's input to its output. */
static void nodes_live(const uint32_t *gene, bool live[NODES])
{
	bool fed[NODES] = { true }, read[NODES] = { [NODES - 1] = true };

	for (size_t i = 0; i < EDGES; i++) /* in order of their ends */
		fed[edges[i].to] |= gene[i] != NONE && fed[edges[i].from];
	for (uint32_t node = NODES - 1; node-- > 0;)
		for (size_t i = 0; i < EDGES; i++)
			read[node] |= edges[i].from == node && gene[i] != NONE && read[edges[i].to];
	for (size_t node = 0; node < NODES; node++)
		live[node] = fed[node] && read[node];
}

static void connect(uint32_t *gene)
{
	bool live[NODES];

	nodes_live(gene, live);
	if (!live[NODES - 1])
		gene[INPUT_TO_OUTPUT] = SKIP;
}

static uint32_t conv_unit(struct network *net, uint32_t x, uint32_t channels, uint32_t kernel,
			  uint32_t stride)
{
	x = network_unary(net, NET_RELU, x);
	x = network_conv2d(net, x, channels, kernel, stride, 1, NET_SAME, false);
	return network_unary(net, NET_BATCH_NORM, x);
}

static uint32_t operator_add(struct network *net, uint32_t op, uint32_t x, uint32_t channels)
{
	switch (op) {
	case CONV_1X1:
		return conv_unit(net, x, channels, 1, 1);
	case CONV_3X3:
		return conv_unit(net, x, channels, 3, 1);
	case AVG_POOL:
		return network_pool(net, NET_AVG_POOL, x, 3, 1, NET_SAME);
	default:
		return x;
	}
}

/* @gene is connected. */
static uint32_t cell_add(struct network *net, uint32_t x, uint32_t channels, const uint32_t *gene)
{
	uint32_t value[NODES] = { x };
	bool live[NODES];

	nodes_live(gene, live);
	for (uint32_t node = 1; node < NODES; node++) {
		uint32_t in[NODES];
		size_t n = 0;

		for (size_t i = 0; i < EDGES; i++) {
			bool path = live[edges[i].from] && live[node];
			bool counts = gene[i] == CONV_1X1 || gene[i] == CONV_3X3;
			uint32_t from = live[edges[i].from] ? value[edges[i].from] : x, y;

			if (edges[i].to != node || gene[i] == NONE || !(path || counts))
				continue;
			y = operator_add(net, gene[i], from, channels);
			if (path)
				in[n++] = y;
		}
		value[node] = n > 1 ? network_merge(net, NET_ADD, in, n) : n ? in[0] : x;
	}
	return value[NODES - 1];
}

/* ---- genes to network -------------------------------------------------------- */

static uint32_t reduction_add(struct network *net, uint32_t x, uint32_t channels)
{
	uint32_t in[2];

	in[0] = conv_unit(net, x, channels, 3, 2);
	in[0] = conv_unit(net, in[0], channels, 3, 1);
	in[1] = network_pool(net, NET_AVG_POOL, x, 2, 2, NET_SAME);
	in[1] = network_conv2d(net, in[1], channels, 1, 1, 1, NET_SAME, false);
	return network_merge(net, NET_ADD, in, 2);
}

static enum nasc_status build(const struct space *s, const uint32_t *gene, struct arena *a,
			      struct network *net, struct nasc_err *err)
{
	const struct nb201_cfg *cfg = s->cfg;
	uint32_t channels = (uint32_t)cfg->channels, connected[EDGES], x;

	memcpy(connected, gene, sizeof connected);
	connect(connected);
	network_init(net, a, s->input);
	x = network_conv2d(net, 0, channels, 3, 1, 1, NET_SAME, false);
	x = network_unary(net, NET_BATCH_NORM, x);
	for (int stage = 0; stage < 3; stage++) {
		if (stage)
			x = reduction_add(net, x, channels *= 2);
		for (int64_t i = 0; i < cfg->cells; i++)
			x = cell_add(net, x, channels, connected);
	}
	x = network_unary(net, NET_RELU, network_unary(net, NET_BATCH_NORM, x));
	x = network_unary(net, NET_GLOBAL_POOL, x);
	network_unary(net, NET_SOFTMAX, network_dense(net, x, s->classes, true));
	network_flatten(net);
	return network_infer(net, err);
}

/* ---- one genome for each network ------------------------------------------------ */

static uint32_t genome_number(const uint32_t *gene)
{
	uint32_t number = 0;

	for (size_t i = 0; i < EDGES; i++)
		number = number * OPERATORS + gene[i];
	return number;
}

static void genome_of(uint32_t number, uint32_t *gene)
{
	for (size_t i = EDGES; i-- > 0; number /= OPERATORS)
		gene[i] = number % OPERATORS;
}

static void nb201_canonical(const struct space *s, uint32_t *gene)
{
	const struct nb201 *n = s->state;

	connect(gene);
	genome_of(n->canonical[genome_number(gene)], gene);
}

/* What a cell is made of: which operator is its output; kind, kernel and inputs of
 * each. At most three operators an edge and two sums. */
struct made_of {
	uint8_t byte[96];
	uint16_t number;
};

static void made_of_make(const uint32_t *gene, struct arena *scratch, struct made_of *out)
{
	struct arena_mark mark = arena_mark(scratch);
	struct network net;
	size_t n = 0;

	*out = (struct made_of){ .number = (uint16_t)genome_number(gene) };
	network_init(&net, scratch, (struct net_shape){ 1, 1, 1 });
	out->byte[n++] = (uint8_t)cell_add(&net, 0, 1, gene);
	for (size_t i = 1; i < net.n_ops; i++) {
		out->byte[n++] = (uint8_t)net.op[i].kind;
		out->byte[n++] = (uint8_t)net.op[i].kernel_h;
		out->byte[n++] = (uint8_t)net.op[i].n_inputs;
		for (uint32_t k = 0; k < net.op[i].n_inputs; k++)
			out->byte[n++] = (uint8_t)network_inputs(&net, i)[k];
	}
	arena_rewind(scratch, mark);
}

static int made_of_compare(const void *a, const void *b)
{
	const struct made_of *p = a, *q = b;
	int order = memcmp(p->byte, q->byte, sizeof p->byte);

	return order ? order : (p->number > q->number) - (p->number < q->number);
}

static void canonical_fill(struct nb201 *n)
{
	struct arena scratch = { 0 };
	struct made_of *cell = ARENA_NEW(&scratch, struct made_of, CELLS);
	size_t count = 0, least = 0;

	for (uint32_t number = 0; number < CELLS; number++) {
		uint32_t gene[EDGES];

		genome_of(number, gene);
		connect(gene);
		if (genome_number(gene) == number)
			made_of_make(gene, &scratch, &cell[count++]);
	}
	qsort(cell, count, sizeof *cell, made_of_compare);
	for (size_t i = 0; i < count; i++) {
		if (memcmp(cell[i].byte, cell[least].byte, sizeof cell[i].byte) != 0)
			least = i;
		n->canonical[cell[i].number] = cell[least].number;
	}
	arena_free(&scratch);
}

static void nb201_count(const struct space *s, double *count, bool *exact)
{
	*count = 0;
	for (uint32_t number = 0; number < CELLS; number++) {
		uint32_t gene[EDGES];

		genome_of(number, gene);
		nb201_canonical(s, gene);
		*count += genome_number(gene) == number;
	}
	*exact = true;
}

/* ---- opening --------------------------------------------------------------------- */

static enum nasc_status nb201_open(struct space *s, struct nasc_err *err)
{
	static const uint32_t largest[EDGES] = { CONV_3X3, CONV_3X3, CONV_3X3,
						 CONV_3X3, CONV_3X3, CONV_3X3 };
	struct arena scratch = { 0 };
	struct network net;
	enum nasc_status status;

	s->n_genes = EDGES;
	s->gene = ARENA_NEW(s->arena, struct space_gene, EDGES);
	for (size_t i = 0; i < EDGES; i++) {
		snprintf(s->gene[i].name, sizeof s->gene[i].name, "edge_%u_%u",
			 (unsigned)edges[i].from, (unsigned)edges[i].to);
		s->gene[i].n_values = OPERATORS;
		s->gene[i].choice = operator_names;
	}
	s->state = ARENA_NEW(s->arena, struct nb201, 1);
	canonical_fill(s->state);
	status = build(s, largest, &scratch, &net, err);
	arena_free(&scratch);
	return status ? nasc_wrap(err, "the largest network of these keys") : NASC_OK;
}

const struct space_ops space_nb201 = {
	.name = "nb201",
	.summary = "the cells of NAS-Bench-201 in their network",
	.source = "Dong & Yang, ICLR 2020, arXiv:2001.00326",
	.fields = nb201_fields,
	.cfg_size = sizeof(struct nb201_cfg),
	.open = nb201_open,
	.canonical = nb201_canonical,
	.build = build,
	.count = nb201_count,
};
