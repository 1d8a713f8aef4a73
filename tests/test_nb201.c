#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leak.h"
#include "space.h"

TestSuite(nb201, .fini = no_leaks);

#define CELLS 15625

struct nb201_keys { /* as its own, in order */
	int64_t channels, cells;
};

static void open_nb201(struct space *s, struct nb201_keys keys, struct net_shape input,
		       struct arena *a)
{
	const struct space_ops *ops = space_find("nb201");
	struct nb201_keys *cfg = ARENA_NEW(a, struct nb201_keys, 1);
	struct nasc_err err = { 0 };

	cr_assert_eq(ops->cfg_size, sizeof *cfg);
	*cfg = keys;
	cr_assert_eq(space_open(s, ops, cfg, input, 10, a, &err), NASC_OK, "%s", err.msg);
}

static const struct net_shape cifar = { 32, 32, 3 };
static const struct nb201_keys published = { 16, 5 };

/* Six digits, 0>1 0>2 1>2 0>3 1>3 2>3: 0 none, 1 skip, 2 conv1x1, 3 conv3x3, 4 pool. */
static void read_genes(const char *digits, uint32_t gene[6])
{
	for (int i = 0; i < 6; i++)
		gene[i] = (uint32_t)(digits[i] - '0');
}

static void digits_of(unsigned number, char digits[7])
{
	for (int i = 6; i-- > 0; number /= 5)
		digits[i] = (char)('0' + number % 5);
	digits[6] = '\0';
}

static size_t count_char(const char *text, char c)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == c;
	return n;
}

/* The benchmark's own counts on CIFAR-10 are linear in the convolutions. */
Test(nb201, counts_of_all_cells_are_published)
{
	struct arena a = { 0 };
	struct space s;

	open_nb201(&s, published, cifar, &a);
	cr_assert_eq(s.n_genes, 6);
	for (unsigned number = 0; number < CELLS; number++) {
		struct arena_mark mark = arena_mark(&a);
		struct network net;
		uint32_t gene[6];
		uint64_t n1, n3;
		char digits[7];

		digits_of(number, digits);
		read_genes(digits, gene);
		n1 = count_char(digits, '2');
		n3 = count_char(digits, '3');
		space_decode(&s, gene, &a, &net);
		cr_assert_eq(network_params(&net), 73306 + 243040 * n3 + 28000 * n1, "%s", digits);
		cr_assert_eq(network_macs(&net), 7783040 + 35389440 * n3 + 3932160 * n1, "%s",
			     digits);
		arena_rewind(&a, mark);
	}
	arena_free(&a);
}

/* And as they stand in a table of the benchmark's trained cells. */
Test(nb201, counts_are_the_tables)
{
	const char *root = getenv("NASC_SOURCE");
	char path[4096], line[512];
	struct arena a = { 0 };
	struct space s;
	size_t rows = 0;
	FILE *fp;

	snprintf(path, sizeof path, "%s/../shared/data/nb201/nb201_cifar10_test_acc.csv",
		 root ? root : ".");
	fp = fopen(path, "r");
	if (!fp)
		cr_skip("no table of trained cells at ../shared/data/nb201");
	open_nb201(&s, published, cifar, &a);
	while (fgets(line, sizeof line, fp)) {
		struct arena_mark mark = arena_mark(&a);
		const char *field = line;
		struct network net;
		uint32_t gene[6];
		char *rest;

		if (!strchr("01234", *line))
			continue;
		read_genes(line, gene);
		space_decode(&s, gene, &a, &net);
		for (int i = 0; i < 5; i++)
			field = strchr(field, ',') + 1;
		cr_assert_eq(network_params(&net), strtoull(field, &rest, 10), "%s", line);
		cr_assert_eq(network_macs(&net), strtoull(rest + 1, NULL, 10), "%s", line);
		rows++;
		arena_rewind(&a, mark);
	}
	fclose(fp);
	cr_assert_eq(rows, CELLS);
	arena_free(&a);
}

/* ---- one genome for each network ---------------------------------------------------- */

static uint64_t network_hash(const struct network *net)
{
	uint64_t h = 1;

	for (size_t i = 0; i < net->n_ops; i++) {
		const struct net_op *o = &net->op[i];

		h = (h ^ o->kind ^ o->kernel_h << 8 ^ o->n_inputs << 16) * 0xff51afd7ed558ccdu;
		for (uint32_t k = 0; k < o->n_inputs; k++)
			h = (h ^ h >> 32 ^ network_inputs(net, i)[k]) * 0xc4ceb9fe1a85ec53u;
	}
	return h;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t p = *(const uint64_t *)a, q = *(const uint64_t *)b;

	return (p > q) - (p < q);
}

/* Every genome of the space: its canonical one means the same network, and no two
 * canonical ones do. A cell without a path is the same as with a skip_connect. */
Test(nb201, canonical_is_exact_over_the_whole_space)
{
	static uint64_t hash[CELLS];
	struct arena a = { 0 };
	double count;
	bool exact;
	struct space s;
	size_t n = 0, different = 0;

	open_nb201(&s, (struct nb201_keys){ 1, 1 }, cifar, &a);
	for (unsigned number = 0; number < CELLS; number++) {
		struct arena_mark mark = arena_mark(&a);
		uint32_t gene[6], canonical[6];
		struct network net, other;
		char digits[7];

		digits_of(number, digits);
		read_genes(digits, gene);
		memcpy(canonical, gene, sizeof gene);
		s.ops->canonical(&s, canonical);
		space_decode(&s, gene, &a, &net);
		space_decode(&s, canonical, &a, &other);
		cr_assert(network_equal(&net, &other), "%s", digits);
		if (memcmp(gene, canonical, sizeof gene) == 0)
			hash[n++] = network_hash(&net);
		arena_rewind(&a, mark);
	}
	qsort(hash, n, sizeof *hash, compare_u64);
	for (size_t i = 0; i < n; i++)
		different += i == 0 || hash[i] != hash[i - 1];
	cr_assert_eq(different, n);
	s.ops->count(&s, &count, &exact);
	cr_assert(exact);
	cr_assert_eq(count, (double)n);
	arena_free(&a);
}

/* Operators of a cell by hand: |conv3x3~0|+|none~0|none~1|+|none~0|none~1|skip~2| has no
 * path, so it is the skip_connect from 0 to 3 and a convolution that nobody reads. */
Test(nb201, a_cell_without_path_passes_its_input_on)
{
	static const enum net_kind want[] = {
		NET_INPUT,	NET_CONV2D,   NET_BATCH_NORM,			    /* stem */
		NET_RELU,	NET_CONV2D,   NET_BATCH_NORM,			    /* cell */
		NET_RELU,	NET_CONV2D,   NET_BATCH_NORM, NET_RELU, NET_CONV2D, /* reduction */
		NET_BATCH_NORM, NET_AVG_POOL, NET_CONV2D,     NET_ADD
	};
	struct arena a = { 0 };
	struct network net;
	uint32_t gene[6], least[6];
	struct space s;

	open_nb201(&s, (struct nb201_keys){ 8, 1 }, cifar, &a);
	read_genes("300001", gene);
	s.ops->canonical(&s, gene);
	read_genes("000103", least); /* node 2 is zeros: a convolution that nobody reads too */
	cr_assert_arr_eq(gene, least, sizeof gene);
	space_decode(&s, gene, &a, &net);
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		cr_assert_eq(net.op[i].kind, want[i], "operator %zu", i);
	cr_assert_eq(network_inputs(&net, 6)[0], 2); /* past the cell */
	cr_assert_eq(net.op[14].out.c, 16);
	arena_free(&a);
}

/* Odd sizes: the two branches of a reduction agree. */
Test(nb201, any_image_size)
{
	struct arena a = { 0 };
	struct space s;

	open_nb201(&s, published, (struct net_shape){ 1, 1, 1 }, &a);
	open_nb201(&s, published, (struct net_shape){ 13, 7, 1 }, &a);
	arena_free(&a);
}

Test(nb201, refuses_what_is_too_large)
{
	struct nb201_keys keys = { 1024, 64 };
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct space s;

	cr_assert_eq(space_open(&s, space_find("nb201"), &keys,
				(struct net_shape){ 65536, 65536, 3 }, 10, &a, &err),
		     NASC_CONFIG);
	cr_assert_eq(strncmp(err.msg, "nb201: the largest network of these keys: ", 42), 0, "%s",
		     err.msg);
	arena_free(&a);
}
