#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "leak.h"
#include "rng.h"
#include "space_fixture.h"

TestSuite(space, .fini = no_leaks);

static const struct net_shape cifar = { 32, 32, 3 };

static void open_densenet(const char *text, struct net_shape input, uint32_t classes,
			  struct arena *a, struct space *s)
{
	struct nasc_err err = { 0 };

	cr_assert_eq(open_text("densenet", text, input, classes, a, s, &err), NASC_OK, "%s",
		     err.msg);
}

static size_t gene_at(const struct space *s, const char *name)
{
	for (size_t i = 0; i < s->n_genes; i++)
		if (strcmp(s->gene[i].name, name) == 0)
			return i;
	cr_assert_fail("no gene %s", name);
	return 0;
}

static void set_gene(const struct space *s, uint32_t *gene, const char *name, const char *text)
{
	size_t i = gene_at(s, name);
	char buf[32];

	for (gene[i] = 0; gene[i] < s->gene[i].n_values; gene[i]++)
		if (strcmp(space_gene_text(s, i, gene[i], buf, sizeof buf), text) == 0)
			return;
	cr_assert_fail("gene %s has no value %s", name, text);
}

/* ---- published networks ------------------------------------------------------------ */

struct published {
	char stem[4], layers[4], growth[4], bottleneck[4], compression[4];
	uint32_t classes;
	uint64_t params, macs; /* macs 0: not published for this many classes */
};

/* DenseNet (L, k) on CIFAR, Huang et al. 2017: (L - 4) / 3 layers a block, half of that with
 * bottleneck; stem 16 or 2k. Parameters rounded are the README's of liuzhuang13/DenseNet (1.0M,
 * 7.0M, 27.2M, 0.8M, 15.3M, 25.6M); exact figures follow from its definition, 2 a batch norm
 * channel, no bias but the classifier's. */
ParameterizedTestParameters(space, published)
{
	static struct published rows[] = {
		{ "16", "12", "12", "off", "100", 10, 1019722, 264812928 },
		{ "16", "32", "12", "off", "100", 10, 6979642, 1769516448 },
		{ "16", "32", "24", "off", "100", 10, 27249082, 6889347744 },
		{ "24", "16", "12", "on", "50", 10, 769162, 287929692 },
		{ "48", "41", "24", "on", "50", 10, 15324406, 5418785724 },
		{ "80", "31", "40", "on", "50", 10, 25624430, 9301945740 },
		{ "16", "12", "12", "off", "100", 100, 1060132, 0 },
		{ "16", "32", "12", "off", "100", 100, 7084852, 0 },
		{ "24", "16", "12", "on", "50", 100, 800032, 0 },
	};
	return cr_make_param_array(struct published, rows, sizeof rows / sizeof *rows);
}
ParameterizedTest(struct published *p, space, published)
{
	static const char text[] = "blocks: [1, 3]\nlayers: [1, 41]\ngrowth: [12, 24, 40]\n"
				   "bottleneck_factor: [2, 4]\ncompression: [50, 100]\n"
				   "stem_width: [16, 24, 48, 80]\nstem_kernel: [3, 5]\n";
	struct arena a = { 0 };
	struct network net;
	struct space s;
	uint32_t gene[64] = { 0 };
	char name[24];

	open_densenet(text, cifar, p->classes, &a, &s);
	set_gene(&s, gene, "blocks", "3");
	set_gene(&s, gene, "stem_width", p->stem);
	set_gene(&s, gene, "stem_kernel", "3");
	set_gene(&s, gene, "bottleneck", p->bottleneck);
	set_gene(&s, gene, "bottleneck_factor", strcmp(p->bottleneck, "on") == 0 ? "4" : "2");
	set_gene(&s, gene, "compression", p->compression);
	set_gene(&s, gene, "transition_pool", "avg");
	for (int b = 1; b <= 3; b++) {
		snprintf(name, sizeof name, "layers_%d", b);
		set_gene(&s, gene, name, p->layers);
		snprintf(name, sizeof name, "growth_%d", b);
		set_gene(&s, gene, name, p->growth);
		snprintf(name, sizeof name, "kernel_%d", b);
		set_gene(&s, gene, name, "3");
	}
	space_decode(&s, gene, &a, &net);
	cr_assert_eq(network_params(&net), p->params, "%s layers of %s", p->layers, p->growth);
	if (p->macs)
		cr_assert_eq(network_macs(&net), p->macs, "%s layers of %s", p->layers, p->growth);
	cr_assert_eq(net.classes, p->classes);
	arena_free(&a);
}

/* 28 pixels: 28, 14, 7, 3 in the four blocks, as an odd row and column are dropped. */
Test(space, odd_feature_maps)
{
	struct arena a = { 0 };
	struct network net;
	struct space s;
	uint32_t gene[64] = { 0 }, side = 28;

	open_densenet("blocks: 4\n", (struct net_shape){ 28, 28, 1 }, 10, &a, &s);
	space_decode(&s, gene, &a, &net);
	for (size_t i = 1; i < net.n_ops; i++)
		if (net.op[i].kind == NET_AVG_POOL) {
			side /= 2;
			cr_assert_eq(net.op[i].out.h, side);
			cr_assert_eq(net.op[i].out.w, side);
		}
	cr_assert_eq(side, 3);
	arena_free(&a);
}

/* ---- one genome, one network -------------------------------------------------------- */

/* Small spaces that are all coincidences: roundings of compression, feature maps too small for
 * the blocks asked for, oblong input, every choice. */
struct tiny {
	char text[320];
	uint32_t h, w;
};
static struct tiny tiny_cases[] = {
	{ "blocks: [1, 3]\nlayers: [1, 2]\ngrowth: [1, 2]\nkernel: [3]\nbottleneck: [off]\n"
	  "compression: [1, 30, 33, 34, 50, 51, 99, 100]\nstem_width: [1, 2]\nstem_kernel: [3]\n"
	  "stem_stride: [1]\nactivation: [relu]\ntransition_pool: [avg, max]\n",
	  8, 8 },
	{ "blocks: [1, 3]\nlayers: [1, 1]\ngrowth: [1, 3]\nkernel: [1, 3]\nbottleneck: [off, on]\n"
	  "bottleneck_factor: [1, 2]\ncompression: [50, 60]\nstem_width: [3]\nstem_kernel: [1]\n"
	  "stem_stride: [1, 2, 4]\nactivation: [relu, relu6]\ntransition_pool: [max]\n"
	  "resolution: [0, 2, 5, 9]\n",
	  5, 5 },
	{ "blocks: [2, 4]\nlayers: [1, 1]\ngrowth: [2, 5]\nkernel: [3]\nbottleneck: [on]\n"
	  "bottleneck_factor: [2]\ncompression: [40, 45, 50]\nstem_width: [2]\nstem_kernel: [3]\n"
	  "stem_stride: [1, 2, 3]\nactivation: [relu6]\ntransition_pool: [avg, max]\n"
	  "resolution: [0, 1, 2, 3, 7, 16]\n",
	  4, 12 },
	{ "blocks: [1, 1]\nlayers: [1, 3]\ngrowth: [4, 8]\nkernel: [1, 3, 5]\nbottleneck: [off, "
	  "on]\n"
	  "compression: [50, 100]\nstem_width: [8, 16]\nstem_kernel: [3, 7]\nstem_stride: [1, 2]\n"
	  "activation: [relu, relu6]\ntransition_pool: [avg, max]\n",
	  6, 6 },
	{ "blocks: [3, 4]\nlayers: [1, 2]\ngrowth: [1]\nkernel: [3]\nbottleneck: [off]\n"
	  "compression: [10, 20, 21, 22, 60, 70, 71, 90]\nstem_width: [1, 7, 30]\nstem_kernel: "
	  "[3]\n"
	  "stem_stride: [1]\nactivation: [relu]\ntransition_pool: [avg]\n",
	  9, 8 },
};

static int64_t number(const struct space *s, const uint32_t *gene, const char *name)
{
	size_t i = gene_at(s, name);

	return s->gene[i].value[gene[i]];
}

/* What makes a network of this space different from another, worked out from the template's
 * definition and not by the code under test: the genes that matter, and the channels behind
 * each transition in place of the compression. Empty when the blocks do not fit. */
static void signature(const struct space *s, const uint32_t *gene, char *out, size_t n)
{
	int64_t blocks = number(s, gene, "blocks"), channels = number(s, gene, "stem_width");
	int64_t stride = number(s, gene, "stem_stride"), side = number(s, gene, "resolution");
	int64_t h = side ? side : s->input.h, w = side ? side : s->input.w;
	bool bottleneck =
		strcmp(s->gene[gene_at(s, "bottleneck")].choice[gene[gene_at(s, "bottleneck")]],
		       "on") == 0;
	size_t at;
	char name[24];

	at = (size_t)snprintf(out, n, "%d %d %d %d %d a%u f%d", (int)h, (int)w, (int)channels,
			      (int)stride, (int)number(s, gene, "stem_kernel"),
			      gene[gene_at(s, "activation")],
			      bottleneck ? (int)number(s, gene, "bottleneck_factor") : 0);
	h = (h + stride - 1) / stride;
	w = (w + stride - 1) / stride;
	for (int b = 1; b <= blocks; b++) {
		int64_t layers, growth, kernel;

		if (b > 1) {
			int64_t percent = number(s, gene, "compression");

			channels = channels * percent < 100 ? 1 : channels * percent / 100;
			at += (size_t)snprintf(out + at, n - at, " t%d p%u", (int)channels,
					       gene[gene_at(s, "transition_pool")]);
			h /= 2;
			w /= 2;
		}
		snprintf(name, sizeof name, "layers_%d", b);
		layers = number(s, gene, name);
		snprintf(name, sizeof name, "growth_%d", b);
		growth = number(s, gene, name);
		snprintf(name, sizeof name, "kernel_%d", b);
		kernel = number(s, gene, name);
		channels += layers * growth;
		at += (size_t)snprintf(out + at, n - at, " b%d,%d,%d", (int)layers, (int)growth,
				       (int)kernel);
	}
	if (h < 1 || w < 1)
		out[0] = '\0';
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t count_distinct(char **v, size_t n)
{
	size_t distinct = n > 0;

	qsort(v, n, sizeof *v, compare_strings);
	for (size_t i = 1; i < n; i++)
		distinct += strcmp(v[i - 1], v[i]) != 0;
	return distinct;
}

static char *network_text(const struct space *s, const uint32_t *gene, struct arena *a)
{
	struct arena scratch = { 0 };
	struct json_writer w;
	struct network net;
	char *buf = NULL, *text;
	size_t n = 0;
	FILE *fp = open_memstream(&buf, &n);

	space_decode(s, gene, &scratch, &net);
	json_init(&w, fp, true);
	network_write_json(&net, &w, NULL);
	fclose(fp);
	text = arena_strdup(a, buf);
	free(buf);
	arena_free(&scratch);
	return text;
}

/* The genome as text, to sort and compare. */
static char *genome_text(const struct space *s, const uint32_t *gene, struct arena *a)
{
	char buf[256];
	size_t at = 0;

	for (size_t i = 0; i < s->n_genes; i++)
		at += (size_t)snprintf(buf + at, sizeof buf - at, "%u,", gene[i]);
	return arena_strdup(a, buf);
}

/* Over all index vectors: canonical() keeps a legal network as it is, and the numbers of
 * canonical genomes, of networks they decode to, of signatures and count() are one number. */
ParameterizedTestParameters(space, distinct)
{
	return cr_make_param_array(struct tiny, tiny_cases, sizeof tiny_cases / sizeof *tiny_cases);
}
ParameterizedTest(struct tiny *c, space, distinct)
{
	struct arena a = { 0 };
	struct space s;
	size_t n = 0, n_legal = 0, n_networks = 0, n_genomes, cap = 1;
	uint32_t gene[64] = { 0 }, canonical[64], again[64];
	char sig[256], canonical_sig[256], **genome, **legal, **network;
	double count;
	bool exact;

	open_densenet(c->text, (struct net_shape){ c->h, c->w, 1 }, 2, &a, &s);
	for (size_t i = 0; i < s.n_genes; i++)
		cap *= s.gene[i].n_values;
	genome = ARENA_NEW(&a, char *, cap);
	legal = ARENA_NEW(&a, char *, cap);
	network = ARENA_NEW(&a, char *, cap);
	do {
		memcpy(canonical, gene, sizeof gene);
		s.ops->canonical(&s, canonical);
		memcpy(again, canonical, sizeof gene);
		s.ops->canonical(&s, again);
		cr_assert_arr_eq(canonical, again, s.n_genes * sizeof *gene, "idempotent");
		signature(&s, gene, sig, sizeof sig);
		signature(&s, canonical, canonical_sig, sizeof canonical_sig);
		cr_assert_neq(canonical_sig[0], '\0', "not legal: %s", genome_text(&s, gene, &a));
		genome[n++] = genome_text(&s, canonical, &a);
		if (sig[0]) {
			cr_assert_str_eq(sig, canonical_sig);
			legal[n_legal++] = arena_strdup(&a, sig);
		}
		if (memcmp(gene, canonical, s.n_genes * sizeof *gene) == 0)
			network[n_networks++] = network_text(&s, gene, &a);
	} while (next_genome(&s, gene));
	n_genomes = count_distinct(genome, n);
	cr_assert_eq(n_genomes, n_networks, "each canonical genome is its own");
	cr_assert_eq(n_genomes, count_distinct(network, n_networks), "networks");
	cr_assert_eq(n_genomes, count_distinct(legal, n_legal), "signatures: %zu genomes",
		     n_genomes);
	s.ops->count(&s, &count, &exact);
	cr_assert(exact);
	cr_assert_float_eq(count, (double)n_genomes, 0, "count() %.0f, %zu genomes", count,
			   n_genomes);
	cr_assert_lt(n_genomes, n, "there is something to normalise");
	arena_free(&a);
}

/* The widths of a space too large to enumerate as a whole, brute force over stem, layers,
 * growth: three blocks, every percentage from 69 to 100. The rest of the count is a product. */
Test(space, count_of_many_compressions)
{
	char text[512];
	struct arena a = { 0 };
	struct space s;
	double count, want = 0;
	size_t at;
	bool exact;

	at = (size_t)snprintf(
		text, sizeof text,
		"blocks: 3\nlayers: [1, 4]\ngrowth: [1, 2, 5]\nstem_width: [3, 8, 190]\n"
		"kernel: [1, 3, 5]\nstem_stride: 1\ncompression: [69");
	for (int p = 70; p <= 100; p++)
		at += (size_t)snprintf(text + at, sizeof text - at, ", %d", p);
	snprintf(text + at, sizeof text - at, "]\n");
	for (int stem = 0; stem < 3; stem++)
		for (int d1 = 0; d1 < 12; d1++)
			for (int d2 = 0; d2 < 12; d2++) {
				static const int stems[] = { 3, 8, 190 }, growths[] = { 1, 2, 5 };
				int c1 = stems[stem] + (d1 / 3 + 1) * growths[d1 % 3];
				int seen[32][2], n = 0;

				for (int p = 69; p <= 100; p++) {
					int t1 = c1 * p / 100, k = 0;
					int t2 = (t1 + (d2 / 3 + 1) * growths[d2 % 3]) * p / 100;

					while (k < n && (seen[k][0] != t1 || seen[k][1] != t2))
						k++;
					seen[k][0] = t1;
					seen[k][1] = t2;
					n += k == n;
				}
				want += n * 12; /* layers and growth of the last block */
			}
	/* kernels 3^3, pools 2, bottleneck off or one of 2 factors, stem kernels 2, activations 2
	 */
	want *= 27 * 2 * 3 * 2 * 2;
	open_densenet(text, cifar, 10, &a, &s);
	s.ops->count(&s, &count, &exact);
	cr_assert(exact);
	cr_assert_float_eq(count, want, 0, "%.0f, not %.0f", count, want);
	arena_free(&a);
}

/* ---- random genomes ------------------------------------------------------------------- */

static void expect_legal(const struct space *s, uint32_t *gene, struct arena *a)
{
	struct arena_mark m = arena_mark(a);
	struct nasc_err err = { 0 };
	uint32_t again[64];
	struct network net;

	for (size_t i = 0; i < s->n_genes; i++)
		cr_assert_lt(gene[i], s->gene[i].n_values, "gene %s", s->gene[i].name);
	memcpy(again, gene, s->n_genes * sizeof *gene);
	s->ops->canonical(s, again);
	cr_assert_arr_eq(again, gene, s->n_genes * sizeof *gene, "idempotent");
	space_decode(s, gene, a, &net);
	cr_assert_eq(network_infer(&net, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(net.classes, s->classes);
	arena_rewind(a, m);
}

/* Whatever a strategy does to index vectors, canonical() makes legal genomes of it. */
Test(space, random_genomes)
{
	static const char text[] =
		"blocks: [2, 4]\nlayers: [1, 6]\nstem_stride: [1, 2, 4]\n"
		"resolution: [0, 4, 12, 24]\ncompression: [10, 48, 49, 50, 100]\n";
	struct arena a = { 0 };
	struct rng rng;
	struct space s;
	uint32_t x[64], y[64], child[64];

	open_densenet(text, (struct net_shape){ 28, 28, 1 }, 10, &a, &s);
	rng_seed(&rng, 7, 1);
	space_sample(&s, &rng, x);
	for (int i = 0; i < 10000; i++) {
		size_t from = rng_below(&rng, s.n_genes), to = rng_below(&rng, s.n_genes);

		space_sample(&s, &rng, y);
		expect_legal(&s, y, &a);
		memcpy(child, y, sizeof child); /* one gene changed */
		child[from] = (uint32_t)rng_below(&rng, s.gene[from].n_values);
		s.ops->canonical(&s, child);
		expect_legal(&s, child, &a);
		for (size_t k = 0; k < s.n_genes; k++) /* two-point crossover, uniform crossover */
			child[k] =
				(i % 2 ? (k >= from && k < to) : rng_below(&rng, 2)) ? x[k] : y[k];
		s.ops->canonical(&s, child);
		expect_legal(&s, child, &a);
		memcpy(x, y, sizeof x);
	}
	arena_free(&a);
}

/* Same seed, same genome; and every network of a small space turns up. */
Test(space, sample)
{
	struct arena a = { 0 };
	struct rng p, q;
	struct space s;
	uint32_t x[64], y[64];
	char *seen[20000];
	double count;
	bool exact;

	open_densenet(tiny_cases[4].text, (struct net_shape){ 9, 8, 1 }, 2, &a, &s);
	rng_stream(&p, 3, RNG_SAMPLE, 0);
	rng_stream(&q, 3, RNG_SAMPLE, 0);
	for (size_t i = 0; i < 20000; i++) {
		space_sample(&s, &p, x);
		space_sample(&s, &q, y);
		cr_assert_arr_eq(x, y, s.n_genes * sizeof *x);
		seen[i] = genome_text(&s, x, &a);
	}
	s.ops->count(&s, &count, &exact);
	cr_assert_eq((double)count_distinct(seen, 20000), count);
	arena_free(&a);
}

/* ---- names and messages ------------------------------------------------------------------ */

Test(space, genes_as_json)
{
	struct arena a = { 0 };
	struct json_writer w;
	struct space s;
	uint32_t gene[64] = { 0 };
	char buf[512] = { 0 };
	FILE *fp = fmemopen(buf, sizeof buf, "w");

	open_densenet("blocks: [1, 2]\nresolution: [0, 16]\n", (struct net_shape){ 28, 28, 1 }, 10,
		      &a, &s);
	set_gene(&s, gene, "blocks", "2");
	set_gene(&s, gene, "growth_2", "12");
	set_gene(&s, gene, "bottleneck", "on");
	set_gene(&s, gene, "transition_pool", "max");
	set_gene(&s, gene, "resolution", "28");
	json_init(&w, fp, true);
	space_write_genes(&s, gene, &w, NULL);
	fclose(fp);
	cr_assert_str_eq(buf, "{\"resolution\":28,\"stem_width\":8,\"stem_kernel\":3,"
			      "\"stem_stride\":1,\"blocks\":2,\"bottleneck\":\"on\","
			      "\"bottleneck_factor\":2,\"compression\":50,"
			      "\"transition_pool\":\"max\",\"activation\":\"relu\","
			      "\"layers_1\":1,\"growth_1\":4,\"kernel_1\":1,"
			      "\"layers_2\":1,\"growth_2\":12,\"kernel_2\":1}\n");
	arena_free(&a);
}

struct bad_space {
	char text[96];
	uint32_t side, classes;
	char want[192];
};
ParameterizedTestParameters(space, rejects)
{
	static struct bad_space cases[] = {
		{ "blocks: [4, 4]\n", 7, 10,
		  "densenet: blocks: 4 do not fit, the largest feature map of the stem leaves room "
		  "for 3" },
		{ "blocks: 3\nstem_stride: 4\nresolution: [3, 9]\n", 32, 10,
		  "densenet: blocks: 3 do not fit, the largest feature map of the stem leaves room "
		  "for 2" },
		{ "blocks: 1\n", 32, 70000,
		  "densenet: the largest network of these ranges: operator 37 (dense): number of "
		  "output channels 70000 is outside [1, 65536]" },
		{ "layers: 64\n", 65536, 10,
		  "densenet: the largest network of these ranges: operator " },
		{ "kernel: [3, 2]\n", 32, 10, "t.yaml:1: kernel: " },
		{ "compression: [0, 50]\n", 32, 10, "t.yaml:1: compression: " },
		{ "growth: []\n", 32, 10, "t.yaml:1: growth: " },
		{ "layers: [3, 2]\n", 32, 10, "t.yaml:1: layers: " },
		{ "growht: [3, 2]\n", 32, 10, "t.yaml:1: " },
	};
	return cr_make_param_array(struct bad_space, cases, sizeof cases / sizeof *cases);
}
ParameterizedTest(struct bad_space *c, space, rejects)
{
	struct net_shape input = { c->side, c->side, 3 };
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct space s;

	cr_assert_eq(open_text("densenet", c->text, input, c->classes, &a, &s, &err), NASC_CONFIG,
		     "%s", c->text);
	cr_assert_eq(strncmp(err.msg, c->want, strlen(c->want)), 0, "%s", err.msg);
	arena_free(&a);
}
