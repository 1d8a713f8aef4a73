#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "leak.h"
#include "space_fixture.h"

/* The move of the space of inverted residuals, by what it does to receptive fields. */
TestSuite(field, .fini = no_leaks);

#define GENES_MAX 160
#define RUNS_MAX  8

static void open_mobilenet(const char *text, struct arena *a, struct space *s)
{
	struct nasc_err err = { 0 };

	cr_assert_eq(open_text("mobilenet", text, (struct net_shape){ 64, 64, 3 }, 10, a, s, &err),
		     NASC_OK, "%s", err.msg);
	cr_assert_leq(s->n_genes, GENES_MAX);
}

static uint32_t *named(const struct space *s, uint32_t *gene, const char *name)
{
	for (size_t i = 0; i < s->n_genes; i++)
		if (strcmp(s->gene[i].name, name) == 0)
			return &gene[i];
	cr_assert_fail("no gene %s", name);
	return NULL;
}

/* Width and height of what an element at the end of each run of blocks sees of the input, from the
 * network alone. A run ends where the next block has a stride or another width; the first block is
 * one of its own. Returns the number of runs. */
static size_t fields(const struct space *s, const uint32_t *gene, uint32_t end[RUNS_MAX])
{
	struct arena a = { 0 };
	struct network net;
	uint32_t field = 1, jump = 1, width = 0;
	size_t runs = 0, blocks = 0;

	space_decode(s, gene, &a, &net);
	for (size_t i = 0; i < net.n_ops; i++) {
		const struct net_op *op = &net.op[i];
		size_t out = i + 1;

		if (op->kind != NET_CONV2D && op->kind != NET_DEPTHWISE)
			continue;
		field += (op->kernel_w - 1) * jump;
		jump *= op->stride;
		if (op->kind != NET_DEPTHWISE)
			continue;
		while (net.op[out].kind != NET_CONV2D)
			out++;
		if (blocks < 2 || op->stride > 1 || net.op[out].out_channels != width)
			runs++;
		cr_assert_leq(runs, RUNS_MAX);
		end[runs - 1] = field;
		width = net.op[out].out_channels;
		blocks++;
	}
	arena_free(&a);
	return runs;
}

static void check_fields(const struct space *s, const uint32_t *gene, const uint32_t *expected,
			 size_t n)
{
	uint32_t end[RUNS_MAX];

	cr_assert_eq(fields(s, gene, end), n);
	cr_expect_arr_eq(end, expected, n * sizeof *end);
}

/* ---- by hand -------------------------------------------------------------------------------- */

/* Stem 3 of stride 2: 3, two pixels a step. A kernel of 5 adds 4 steps, 3 adds 2. */
Test(field, kernel_by_hand)
{
	struct arena a = { 0 };
	struct rng rng;
	struct space s;
	uint32_t gene[GENES_MAX] = { 0 }, kept[GENES_MAX];

	open_mobilenet("channels: [8, 16]\nstrides: [1, 2]\nstem_stride: 2\ndepth: 1\n"
		       "kernel: [3, 5]\nwidth: 100\n",
		       &a, &s);
	rng_seed(&rng, 1, 1);
	*named(&s, gene, "kernel_1") = 1;
	check_fields(&s, gene, (uint32_t[]){ 3 + 4 * 2, 3 + 4 * 2 + 2 * 2 }, 2);
	cr_assert(s.ops->move(&s, gene, &rng));
	cr_expect_eq(*named(&s, gene, "kernel_1"), 0);
	cr_expect_eq(*named(&s, gene, "kernel_2"), 1);
	check_fields(&s, gene, (uint32_t[]){ 3 + 2 * 2, 3 + 2 * 2 + 4 * 2 }, 2);
	/* Nothing to take, or nowhere to put it. */
	for (uint32_t i = 0; i < 3; i++) {
		*named(&s, gene, "kernel_1") = i & 1;
		*named(&s, gene, "kernel_2") = i < 2;
		memcpy(kept, gene, sizeof kept);
		cr_expect(!s.ops->move(&s, gene, &rng), "%u", i);
		cr_expect_arr_eq(gene, kept, sizeof kept);
	}
	arena_free(&a);
}

/* Stem 3: 3, a pixel a step; each kernel of 3 adds 2 steps, each stride doubles them. */
Test(field, depth_by_hand)
{
	struct arena a = { 0 };
	struct rng rng;
	struct space s;
	uint32_t gene[GENES_MAX] = { 0 };

	open_mobilenet("channels: [8, 16, 24]\nstrides: [1, 2, 2]\nstem_stride: 1\n"
		       "depth: [1, 2]\nkernel: 3\nwidth: 100\n",
		       &a, &s);
	rng_seed(&rng, 1, 1);
	*named(&s, gene, "depth_2") = 1;
	check_fields(&s, gene, (uint32_t[]){ 5, 5 + 2 + 4, 5 + 2 + 4 + 4 }, 3);
	cr_assert(s.ops->move(&s, gene, &rng));
	cr_expect_eq(*named(&s, gene, "depth_2"), 0);
	cr_expect_eq(*named(&s, gene, "depth_3"), 1);
	check_fields(&s, gene, (uint32_t[]){ 5, 5 + 2, 5 + 2 + 4 + 8 }, 3);
	arena_free(&a);
}

/* Both stages are one run: a block less in the first and one more in the second would be the same
 * network. */
Test(field, not_within_a_run)
{
	struct arena a = { 0 };
	struct rng rng;
	struct space s;
	uint32_t gene[GENES_MAX] = { 0 };

	open_mobilenet("channels: [8, 16, 16]\nstrides: [1, 2, 1]\ndepth: [1, 2]\nkernel: 3\n"
		       "width: 100\n",
		       &a, &s);
	rng_seed(&rng, 1, 1);
	*named(&s, gene, "depth_2") = 1;
	cr_expect(!s.ops->move(&s, gene, &rng));
	arena_free(&a);
}

/* ---- all moves there are ----------------------------------------------------------------------
 */

static bool of_field(const char *name)
{
	return strncmp(name, "kernel_", 7) == 0 || strncmp(name, "depth_", 6) == 0;
}

/* A step down in a stage, a step up in a later one, nothing else. */
static bool is_move(const struct space *s, const uint32_t *from, const uint32_t *to)
{
	unsigned char down = 0, up = 0; /* digits of stages */

	for (size_t i = 0; i < s->n_genes; i++) {
		const char *name = s->gene[i].name;
		unsigned char stage = (unsigned char)name[strcspn(name, "123")];

		if (from[i] == to[i])
			continue;
		if (!of_field(name))
			return false;
		if (to[i] + 1 == from[i] && !down)
			down = stage;
		else if (to[i] == from[i] + 1 && !up)
			up = stage;
		else
			return false;
	}
	return down && down < up;
}

#define GENOMES 128
#define DRAWS	600

/* Every genome of a small space: the moves that are drawn are those that there are, each as often
 * (five standard deviations), and where there is none it says so. */
Test(field, all_moves)
{
	struct arena a = { 0 };
	struct space s;
	uint32_t(*genome)[GENES_MAX] = arena_alloc(&a, GENOMES, sizeof *genome, 16);
	uint32_t next[GENES_MAX] = { 0 };
	size_t n = 0, without = 0;
	struct rng rng;

	open_mobilenet("channels: [8, 16, 24]\nstrides: [1, 2, 2]\nstem_stride: 1\n"
		       "stem_width: 8\nhead_width: 0\nexpansion: 3\ndepth: [1, 2]\n"
		       "kernel: [3, 5]\nwidth: [50, 100]\n",
		       &a, &s);
	rng_seed(&rng, 3, 1);
	do {
		cr_assert_lt(n, GENOMES);
		memcpy(genome[n++], next, s.n_genes * sizeof *next);
	} while (next_genome(&s, next));
	for (size_t from = 0; from < n; from++) {
		size_t drawn[GENOMES] = { 0 }, moves = 0;

		for (size_t to = 0; to < n; to++)
			moves += is_move(&s, genome[from], genome[to]);
		without += moves == 0;
		for (size_t i = 0; i < DRAWS; i++) {
			size_t to = 0;

			memcpy(next, genome[from], sizeof next);
			cr_assert_eq(s.ops->move(&s, next, &rng), moves > 0);
			while (memcmp(next, genome[to], s.n_genes * sizeof *next) != 0)
				to++;
			drawn[to]++;
		}
		for (size_t to = 0; to < n && moves > 0; to++) {
			bool is = is_move(&s, genome[from], genome[to]);
			double p = is ? 1.0 / (double)moves : 0;

			cr_assert_float_eq((double)drawn[to], p * DRAWS,
					   5 * sqrt(DRAWS * p * (1 - p)) + 1e-9);
		}
	}
	/* By hand: with a large first kernel only where all behind it is large, with a small one
	 * where all of the second stage is small or all of the third large, 1 + 4 + 4 - 1; times
	 * two widths of either. */
	cr_expect_eq(without, 8 * 4);
	arena_free(&a);
}

/* ---- many networks of large spaces ------------------------------------------------------------
 */

/* One run's part of the receptive field shrinks, a later one's grows, the others' stay. */
static void check_shift(const struct space *s, const uint32_t *from, const uint32_t *to)
{
	uint32_t before[RUNS_MAX], after[RUNS_MAX];
	size_t n = fields(s, from, before), shrunk = 0, grown = 0;

	cr_assert_eq(fields(s, to, after), n);
	for (size_t i = 0; i < n; i++) {
		uint32_t was = before[i] - (i ? before[i - 1] : 0);
		uint32_t is = after[i] - (i ? after[i - 1] : 0);

		if (is > was)
			cr_assert_eq(shrunk, 1, "grows before anything has shrunk");
		shrunk += is < was;
		grown += is > was;
		if (!grown)
			cr_assert_leq(after[i], before[i], "the early part grows");
	}
	cr_assert(shrunk == 1 && grown == 1, "%zu shrink, %zu grow", shrunk, grown);
}

struct large {
	char text[200];
};
ParameterizedTestParameters(field, large_spaces)
{
	static struct large rows[] = {
		{ "{}" },
		{ "vary: block" },
		{ "channels: [16, 24, 24, 24, 40, 40]\nstrides: [1, 2, 1, 1, 2, 1]\n"
		  "width: [50, 100]\n" },
		{ "channels: [16, 24, 24, 24, 40, 40]\nstrides: [1, 2, 1, 1, 2, 1]\n"
		  "width: [50, 100]\nvary: block\nkernel: [3, 7]\n" },
		{ "channels: [16, 16, 16]\nstrides: [1, 1, 1]\nvary: block\ndepth: [2, 8]\n" },
	};
	return cr_make_param_array(struct large, rows, sizeof rows / sizeof *rows);
}
ParameterizedTest(struct large *p, field, large_spaces)
{
	struct arena a = { 0 };
	struct space s;
	struct rng rng;
	size_t moved = 0;

	open_mobilenet(p->text, &a, &s);
	rng_seed(&rng, 5, 1);
	for (int i = 0; i < 2000; i++) {
		uint32_t gene[GENES_MAX], to[GENES_MAX];

		space_sample(&s, &rng, gene);
		memcpy(to, gene, sizeof to);
		if (!s.ops->move(&s, to, &rng))
			continue;
		moved++;
		for (size_t k = 0; k < s.n_genes; k++)
			cr_assert_lt(to[k], s.gene[k].n_values, "%s", s.gene[k].name);
		s.ops->canonical(&s, to);
		check_shift(&s, gene, to);
	}
	cr_expect_gt(moved, 1500, "%zu", moved);
	arena_free(&a);
}
