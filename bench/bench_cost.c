/* Time of one candidate before it is trained: decode genes to a network, then its size
 * and all costs on a microcontroller, on one core. The bar is 20 us for some 30 layers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "costmodels.h"
#include "json.h"
#include "schema.h"
#include "space.h"

#define CANDIDATES 64
#define ROUNDS	   200
#define REPEATS	   7

/* Layers with weights: 1 + blocks * layers (* 2) + blocks - 1 + 1. */
static const struct {
	const char *name, *yaml;
} spaces[] = {
	{ "plain, 28 layers", "blocks: 3\nlayers: 8\nbottleneck: [off]\nresolution: 32\n" },
	{ "bottleneck, 28 layers", "blocks: 3\nlayers: 4\nbottleneck: [on]\nresolution: 32\n" },
	{ "bottleneck, 34 layers", "blocks: 3\nlayers: 5\nbottleneck: [on]\nresolution: 32\n" },
};

static double wall_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(enum nasc_status status, const struct nasc_err *err)
{
	if (status == NASC_OK)
		return;
	fprintf(stderr, "error: %s\n", err->msg);
	exit(nasc_exit_code(status));
}

struct bench {
	struct space space;
	struct costmodel size, mcu;
	uint32_t *gene; /* CANDIDATES * n_genes */
	struct arena scratch;
};

static void open_space(struct bench *b, const char *yaml, struct arena *a)
{
	const struct space_ops *ops = space_find("densenet");
	struct nasc_err err = { 0 };
	struct yaml_doc doc;
	struct rng rng;
	void *cfg = arena_alloc(a, 1, ops->cfg_size, alignof(max_align_t));

	must(yaml_parse("space", yaml, strlen(yaml), a, &doc, &err), &err);
	must(cfg_load(ops->fields, &doc, doc.root, NULL, a, cfg, ops->cfg_size, &err), &err);
	must(space_open(&b->space, ops, cfg, (struct net_shape){ 32, 32, 3 }, 10, a, &err), &err);
	b->gene = ARENA_NEW(a, uint32_t, CANDIDATES * b->space.n_genes);
	rng_stream(&rng, 1, RNG_SAMPLE, 0);
	for (size_t i = 0; i < CANDIDATES; i++)
		space_sample(&b->space, &rng, b->gene + i * b->space.n_genes);
}

/* One candidate, as a search does it; returns a figure so that nothing is left out. */
static double candidate(struct bench *b, size_t i, bool costs, size_t *ops)
{
	struct arena_mark mark = arena_mark(&b->scratch);
	struct network net;
	struct cost cost = { .per_op = NULL };
	struct nasc_err err = { 0 };
	double sum = 0;

	space_decode(&b->space, b->gene + i * b->space.n_genes, &b->scratch, &net);
	*ops += net.n_ops;
	if (costs) {
		must(b->size.ops->cost(&b->size, &net, &b->scratch, &cost, &err), &err);
		sum += cost.value[0];
		must(b->mcu.ops->cost(&b->mcu, &net, &b->scratch, &cost, &err), &err);
		sum += cost.value[0] + cost.value[2];
	}
	arena_rewind(&b->scratch, mark);
	return sum;
}

/* Seconds per candidate: the best of REPEATS, as everything else only adds. */
static double measure(struct bench *b, bool costs, double *ops, double *check)
{
	double best = 1e9;

	for (int r = 0; r < REPEATS; r++) {
		size_t n_ops = 0;
		double t = wall_s();

		for (size_t k = 0; k < (size_t)ROUNDS * CANDIDATES; k++)
			*check += candidate(b, k % CANDIDATES, costs, &n_ops);
		t = (wall_s() - t) / ((double)ROUNDS * CANDIDATES);
		best = t < best ? t : best;
		*ops = (double)n_ops / ((double)ROUNDS * CANDIDATES);
	}
	return best;
}

int main(int argc, char **argv)
{
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
	const char *targets = "configs/targets";
	struct json_writer w;

	if (argc > 1 && !json) {
		fprintf(stderr, "usage: %s [--json], in the root of the source\n", argv[0]);
		return 2;
	}
	json_init(&w, stdout, false);
	if (json)
		json_list(&w, NULL);
	for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
		struct bench b = { .gene = NULL };
		struct arena a = { 0 };
		struct nasc_err err = { 0 };
		double ops, check = 0, decode, all;

		open_space(&b, spaces[i].yaml, &a);
		must(costmodel_open(&b.size, costmodel_find("size"), &a, &err), &err);
		must(target_open(&b.mcu, targets, "stm32f746", &a, &err), &err);
		ARENA_NEW(&b.scratch, char, 1); /* a worker's arena keeps its first block */
		decode = measure(&b, false, &ops, &check);
		all = measure(&b, true, &ops, &check);
		if (json) {
			json_object(&w, NULL);
			json_string(&w, "name", spaces[i].name);
			json_real(&w, "operators", ops);
			json_real(&w, "decode_s", decode);
			json_real(&w, "decode_and_costs_s", all);
			json_real(&w, "check", check);
			json_end(&w);
		} else {
			printf("%-22s %5.0f operators  decode %6.2f us  decode + costs %6.2f us\n",
			       spaces[i].name, ops, decode * 1e6, all * 1e6);
		}
		arena_free(&b.scratch);
		arena_free(&a);
	}
	if (json)
		json_end(&w);
	return 0;
}
