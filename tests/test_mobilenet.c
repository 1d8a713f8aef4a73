#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leak.h"
#include "space_fixture.h"

TestSuite(mobilenet, .fini = no_leaks);

static void open_mobilenet(const char *text, struct net_shape input, uint32_t classes,
			   struct arena *a, struct space *s)
{
	struct nasc_err err = { 0 };

	cr_assert_eq(open_text("mobilenet", text, input, classes, a, s, &err), NASC_OK, "%s",
		     err.msg);
}

static void set_gene(const struct space *s, uint32_t *gene, const char *name, int value)
{
	for (size_t i = 0; i < s->n_genes; i++) {
		if (strcmp(s->gene[i].name, name) != 0)
			continue;
		for (gene[i] = 0; gene[i] < s->gene[i].n_values; gene[i]++)
			if (s->gene[i].value[gene[i]] == value)
				return;
		cr_assert_fail("gene %s has no value %d", name, value);
	}
	cr_assert_fail("no gene %s", name);
}

static void set_of(const struct space *s, uint32_t *gene, const char *name, int stage, int block,
		   int value)
{
	char text[32];

	snprintf(text, sizeof text, block ? "%s_%d_%d" : "%s_%d", name, stage, block);
	set_gene(s, gene, text, value);
}

/* ---- published networks ------------------------------------------------------------------- */

/* Expansions and kernels of blocks by stage, the first stage left out: "434 545". */
struct published {
	char name[12], text[160], expansions[32], kernels[32];
	int widths[7];
	uint32_t side;
	uint64_t params, macs;
};

/* MobileNetV2: expansions 6, kernels 3; 3,504,872 parameters and 300,774,272 MACs are those of
 * torchvision's model. MCUNet: block lists of mit-han-lab/mcunet, whose table has 0.75, 0.73 and
 * 1.73 million parameters and 6.4, 67.3 and 125.9 million MACs; in full they follow from the
 * lists. */
ParameterizedTestParameters(mobilenet, published)
{
#define MCUNET "channels: [16, 24, 40, 80, 96, 192, 320]\nvary: block\nhead_width: 0\n"
	static struct published rows[] = {
		{ "mbv2",
		  "vary: block\nwidth: 100\nstem_width: 32\nhead_width: 1280\n",
		  "66 666 6666 666 666 6",
		  "33 333 3333 333 333 3",
		  { 16, 24, 32, 64, 96, 160, 320 },
		  224,
		  3504872,
		  300774272 },
		{ "in0",
		  MCUNET "width: 60\nstem_width: 24\nexpansion: [3, 4, 5, 6]\n",
		  "434 545 54 545 64 6",
		  "533 755 75 353 35 3",
		  { 16, 16, 24, 48, 56, 112, 192 },
		  48,
		  749840,
		  6364224 },
		{ "in2",
		  MCUNET "width: 50\nstem_width: 16\nexpansion: [3, 4, 5, 6]\n",
		  "3655 566 45 554 6434 5",
		  "5735 375 75 353 5553 5",
		  { 8, 16, 24, 40, 48, 96, 160 },
		  160,
		  729392,
		  67287200 },
		{ "in4",
		  MCUNET "width: 100\nstem_width: 32\nexpansion: [3, 4, 5, 6]\n",
		  "354 544 333 433 433 4",
		  "735 737 737 355 775 5",
		  { 16, 24, 40, 80, 96, 192, 320 },
		  160,
		  1732640,
		  125874400 },
	};
	return cr_make_param_array(struct published, rows, sizeof rows / sizeof *rows);
}
ParameterizedTest(struct published *p, mobilenet, published)
{
	struct arena a = { 0 };
	struct network net;
	struct space s;
	uint32_t gene[128] = { 0 };
	int stage = 2, block = 0;

	open_mobilenet(p->text, (struct net_shape){ p->side, p->side, 3 }, 1000, &a, &s);
	cr_assert_leq(s.n_genes, 128);
	set_gene(&s, gene, "stem_stride", 2);
	for (int i = 0; i < 7; i++)
		set_of(&s, gene, "width", i + 1, 0, p->widths[i]);
	for (size_t i = 0; i <= strlen(p->expansions); i++) {
		if (p->expansions[i] == ' ' || !p->expansions[i]) {
			set_of(&s, gene, "depth", stage++, 0, block);
			block = 0;
			continue;
		}
		block++;
		set_of(&s, gene, "expansion", stage, block, p->expansions[i] - '0');
		set_of(&s, gene, "kernel", stage, block, p->kernels[i] - '0');
	}
	space_decode(&s, gene, &a, &net);
	cr_expect_eq(network_params(&net), p->params, "%s: %llu parameters", p->name,
		     (unsigned long long)network_params(&net));
	cr_expect_eq(network_macs(&net), p->macs, "%s: %llu MACs", p->name,
		     (unsigned long long)network_macs(&net));
	arena_free(&a);
}

/* ---- counting ------------------------------------------------------------------------------- */

#define NETWORKS_MOST 512

/* Distinct networks of all vectors; each of them is what its canonical genome decodes to. */
static size_t walk(const struct space *s, struct arena *a)
{
	struct network *net = ARENA_NEW(a, struct network, NETWORKS_MOST), own;
	uint32_t(*genome)[128] = arena_alloc(a, NETWORKS_MOST, sizeof *genome, 16);
	uint32_t gene[128] = { 0 };
	size_t n = 0;

	do {
		uint32_t canonical[128];
		size_t same = 0;

		memcpy(canonical, gene, s->n_genes * sizeof *gene);
		s->ops->canonical(s, canonical);
		space_decode(s, gene, a, &own);
		space_decode(s, canonical, a, &net[n]);
		cr_assert(network_equal(&own, &net[n]), "canonical is another network");
		while (!network_equal(&net[same], &own))
			same++;
		cr_assert(same == n ||
				  memcmp(genome[same], canonical, s->n_genes * sizeof *gene) == 0,
			  "two canonical genomes of one network");
		memcpy(genome[n], canonical, s->n_genes * sizeof *gene);
		n += same == n;
		cr_assert_lt(n, NETWORKS_MOST);
	} while (next_genome(s, gene));
	return n;
}

/* @most: what is counted; @expected: networks there are. */
static void check_count(const char *text, double most, size_t expected)
{
	struct arena a = { 0 };
	struct space s;
	double count;
	size_t walked;
	bool exact;

	open_mobilenet(text, (struct net_shape){ 16, 16, 1 }, 10, &a, &s);
	s.ops->count(&s, &count, &exact);
	walked = walk(&s, &a);
	cr_expect_eq(walked, expected, "%zu networks, %zu by hand: %s", walked, expected, text);
	cr_expect_eq(count, most, "%g counted, %g by hand: %s", count, most, text);
	cr_expect_eq(exact, most == (double)expected, "%s", text);
	arena_free(&a);
}

/* By hand, a factor a gene. With vary: block, depths 1 to 3 of 2 kernels and 2 expansions are
 * 4 + 16 + 64 stages. */
Test(mobilenet, counts_networks)
{
#define TWO_STAGES "channels: [8, 16]\nstrides: [1, 2]\nstem_stride: 1\nstem_width: [8, 16]\n"
	check_count(TWO_STAGES
		    "kernel: [3, 5]\nexpansion: [3, 6]\ndepth: [1, 3]\nwidth: 100\nhead_width: 0\n",
		    2 * 2 * (2 * 2 * 3), 48);
	check_count(TWO_STAGES "kernel: [3, 5]\nexpansion: [3, 6]\ndepth: [1, 3]\nwidth: 100\n"
			       "head_width: 0\nvary: block\n",
		    2 * 2 * (4 + 16 + 64), 336);
	check_count(TWO_STAGES
		    "kernel: 3\nexpansion: [1, 3, 6]\ndepth: [2, 3]\nhead_width: [0, 32]\n"
		    "vary: block\nwidth: 100\nactivation: [relu, relu6]\n",
		    2 * 2 * 2 * (9 + 27), 288);
}

/* Where a stage goes on as the one before, depths (1, 2) and (2, 1) are one network. */
Test(mobilenet, stages_that_run_on)
{
#define RUN                                                                                        \
	"strides: [1, 2, 1]\nwidth: 100\nstem_stride: 1\nstem_width: 8\nhead_width: 0\nkernel: "   \
	"3\n"
	check_count(RUN "channels: [8, 8, 8]\ndepth: [1, 2]\nexpansion: 3\n", 4, 3);
	/* Two expansions, a and b: a^2 to a^4 and the same of b; a^i b^j and b^i a^j of 1 or 2. */
	check_count(RUN "channels: [8, 8, 8]\ndepth: [1, 2]\nexpansion: [3, 6]\n", 4 * 4,
		    2 * 3 + 2 * 4);
	/* Any sequence of 2 to 4 blocks. */
	check_count(RUN "channels: [8, 8, 8]\ndepth: [1, 2]\nexpansion: [3, 6]\nvary: block\n",
		    6 * 6, 4 + 8 + 16);
	/* Another width, or a stride, between them. */
	check_count(RUN "channels: [8, 8, 16]\ndepth: [1, 2]\nexpansion: 3\n", 4, 4);
	check_count("strides: [1, 1, 2]\nwidth: 100\nstem_stride: 1\nstem_width: 8\nhead_width: 0\n"
		    "kernel: 3\nchannels: [8, 8, 8]\ndepth: [1, 2]\nexpansion: 3\n",
		    4, 4);
	/* Four stages: a^2 b^2 is (a, b, b) of depths (2, 1, 1) as well as (a, a, b). By hand: of
	 * one kind 3 to 6; a^i b^j from a a b or a b b, i + j from 3 to 6 and neither above 4;
	 * a^i b^j a^k each of 1 or 2. */
	check_count("strides: [1, 2, 1, 1]\nwidth: 100\nstem_stride: 1\nstem_width: 8\n"
		    "head_width: 0\nkernel: 3\nchannels: [8, 8, 8, 8]\ndepth: [1, 2]\n"
		    "expansion: [3, 6]\n",
		    64, 2 * 4 + 2 * (2 * 3 + 3 * 2 - 1 * 1) + 2 * 8);
}

/* make_divisible of the papers' code: nearest multiple of 8, at least 8, at most a tenth below. */
Test(mobilenet, widths_are_rounded_as_published)
{
	struct arena a = { 0 };
	struct space s;

	open_mobilenet("channels: [16, 24, 40, 80, 96, 192, 320]\nwidth: [35, 60, 75]\n",
		       (struct net_shape){ 64, 64, 3 }, 10, &a, &s);
	static const int64_t first[] = { 8, 16 };	/* 5.6, 9.6 (8 is too little), 12 (so) */
	static const int64_t fourth[] = { 32, 48, 64 }; /* 28 (24 is too little), 48, 60 */
	for (size_t i = 0; i < s.n_genes; i++) {
		const struct space_gene *g = &s.gene[i];
		bool is_first = strcmp(g->name, "width_1") == 0;

		if (is_first || strcmp(g->name, "width_4") == 0) {
			const int64_t *expected = is_first ? first : fourth;

			cr_assert_eq(g->n_values, is_first ? 2 : 3, "%s", g->name);
			for (uint32_t v = 0; v < g->n_values; v++)
				cr_expect_eq(g->value[v], expected[v], "%s", g->name);
		}
	}
	arena_free(&a);
}

/* ---- keys -------------------------------------------------------------------------------------
 */

/* @message NULL: any. */
static void refused(const char *text, struct net_shape input, const char *message)
{
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct space s;

	cr_expect_eq(open_text("mobilenet", text, input, 10, &a, &s, &err), NASC_CONFIG, "%s",
		     text);
	if (message)
		cr_expect_str_eq(err.msg, message);
	arena_free(&a);
}

Test(mobilenet, stages_are_checked)
{
	static const struct net_shape rgb = { 32, 32, 3 };

	refused("channels: []\n", rgb,
		"mobilenet: channels: 0 numbers, expected one for each of 1 to 8 stages");
	refused("channels: [8, 8, 8, 8, 8, 8, 8, 8, 8]\n", rgb,
		"mobilenet: channels: 9 numbers, expected one for each of 1 to 8 stages");
	refused("channels: [8, 16]\nstrides: [1]\n", rgb,
		"mobilenet: strides: as many numbers as in 'channels' are right, 2 in place of 1");
}

/* The data set's own size, 0, comes first in the list though it is the largest. */
Test(mobilenet, largest_network_is_tried_at_every_size)
{
	refused("channels: [1024, 1024, 1024, 1024, 1024, 1024, 1024, 1024]\n"
		"strides: [1, 1, 1, 1, 1, 1, 1, 1]\nwidth: 400\nexpansion: 16\ndepth: 8\n"
		"resolution: [0, 28]\n",
		(struct net_shape){ 2048, 2050, 1 }, NULL);
}

/* One stage is the stem and a block; on a series kernels are 1 x k. By hand: stem 1x3 of 2 to 8
 * channels 48, batch norm 16; block depthwise 1x5 40, batch norm 16, 1x1 64, batch norm 16;
 * classifier 8 * 3 + 3. */
Test(mobilenet, one_stage_on_a_series)
{
	struct arena a = { 0 };
	struct network net;
	struct space s;
	uint32_t gene[16] = { 0 };

	open_mobilenet("channels: [8]\nstrides: [1]\nstem_width: 8\nstem_stride: 2\nkernel: 5\n"
		       "head_width: 0\n",
		       (struct net_shape){ 1, 100, 2 }, 3, &a, &s);
	space_decode(&s, gene, &a, &net);
	cr_expect_eq(network_params(&net), 48 + 16 + 40 + 16 + 64 + 16 + 27);
	/* 50 places behind the stem; the classifier's 24. */
	cr_expect_eq(network_macs(&net), 50 * (48 + 40 + 64) + 24);
	arena_free(&a);
}
