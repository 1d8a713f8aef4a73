#include "genes.h"

#include <stdio.h>

/*
 * DenseNet-style networks: a stem convolution, dense blocks with transitions
 * between them, a classifier.
 *   layer       BN act [conv 1x1 to factor * growth, BN act] conv kxk to growth,
 *               concatenated to what went in
 *   transition  BN act conv 1x1 to floor(compression * channels), pool 2x2 / 2
 *   head        BN act, global average pool, dense, softmax
 * No convolution has a bias. Source: Huang et al., "Densely Connected
 * Convolutional Networks", CVPR 2017, arXiv:1608.06993; its DenseNet and
 * DenseNet-BC (L, k) for CIFAR are points of the space. On a series, an input of
 * height 1, a kernel k is 1 x k and the pooling 1 x 2.
 */
#define BLOCKS_MAX 4

struct densenet_cfg {
	struct cfg_range blocks, layers;
	struct cfg_ints growth, bottleneck_factor, compression, stem_width, stem_stride, resolution;
	uint64_t kernel, bottleneck, stem_kernel, activation, transition_pool;
};

static const char *const layer_kernel_names[] = { "1", "3", "5", NULL };
static const char *const stem_kernel_names[] = { "1", "3", "5", "7", NULL };
static const int64_t kernel_sizes[] = { 1, 3, 5, 7 }; /* of both */
static const char *const bottleneck_names[] = { "off", "on", NULL };
static const char *const pool_names[] = { "avg", "max", NULL };
static const int64_t pool_kinds[] = { NET_AVG_POOL, NET_MAX_POOL };
static const int64_t off_on[] = { 0, 1 };

static const struct cfg_field densenet_fields[] = {
	CFG_RANGE_FIELD(struct densenet_cfg, blocks, "[1, 3]", 1, BLOCKS_MAX, "blocks",
			"dense blocks; fewer where the feature map gets too small to pool"),
	CFG_RANGE_FIELD(struct densenet_cfg, layers, "[1, 8]", 1, 64, "layers",
			"layers of a block, a gene for each block"),
	CFG_INTS_FIELD(struct densenet_cfg, growth, "[4, 8, 12, 16]", 1, 128, "channels",
		       "channels a layer adds, a gene for each block"),
	CFG_CHOICES_FIELD(struct densenet_cfg, kernel, "[1, 3, 5]", layer_kernel_names,
			  "kernel of the layers, a gene for each block"),
	CFG_CHOICES_FIELD(struct densenet_cfg, bottleneck, "[off, on]", bottleneck_names,
			  "1x1 convolution in front of every layer's own"),
	CFG_INTS_FIELD(struct densenet_cfg, bottleneck_factor, "[2, 4]", 1, 8, "times growth",
		       "channels of the bottleneck"),
	CFG_INTS_FIELD(struct densenet_cfg, compression, "[50, 75, 100]", 1, 100, "percent",
		       "channels a transition keeps, rounded down"),
	CFG_INTS_FIELD(struct densenet_cfg, stem_width, "[8, 16, 24, 32]", 1, 1024, "channels",
		       "channels of the stem convolution"),
	CFG_CHOICES_FIELD(struct densenet_cfg, stem_kernel, "[3, 5]", stem_kernel_names,
			  "kernel of the stem convolution"),
	CFG_INTS_FIELD(struct densenet_cfg, stem_stride, "[1, 2]", 1, 4, "pixels",
		       "stride of the stem convolution"),
	CFG_CHOICES_FIELD(struct densenet_cfg, activation, "[relu, relu6]", gene_act_names,
			  "activation behind every batch norm"),
	CFG_CHOICES_FIELD(struct densenet_cfg, transition_pool, "[avg, max]", pool_names,
			  "pooling of the transitions"),
	CFG_INTS_FIELD(struct densenet_cfg, resolution, "0", 0, 1024, "pixels",
		       "height and width of the input image, length of a series; 0: the data "
		       "set's own"),
	CFG_END
};

/* Genes by position; those of block b (from 0) start at BLOCK_GENES + 3 * b. */
enum {
	RESOLUTION,
	STEM_WIDTH,
	STEM_KERNEL,
	STEM_STRIDE,
	BLOCKS,
	BOTTLENECK,
	FACTOR,
	COMPRESSION,
	POOL,
	ACTIVATION,
	BLOCK_GENES
};
enum { LAYERS, GROWTH, KERNEL, GENES_PER_BLOCK };
#define GENES_MAX (BLOCK_GENES + GENES_PER_BLOCK * BLOCKS_MAX)

struct densenet {
	/* What the values of each gene mean; for numeric genes the numbers themselves. */
	const int64_t *meaning[GENES_MAX];
	/* Most blocks that fit, at resolution index r and stride index s:
	 * fit[r * strides + s]. */
	int64_t *fit;
	int64_t min_blocks;
};

static size_t at(int64_t block, size_t which)
{
	return BLOCK_GENES + GENES_PER_BLOCK * (size_t)block + which;
}

static int64_t meaning(const struct space *s, const uint32_t *gene, size_t i)
{
	return ((const struct densenet *)s->state)->meaning[i][gene[i]];
}

static int64_t fitting(const struct space *s, uint32_t resolution, uint32_t stride)
{
	const struct densenet *d = s->state;

	return d->fit[resolution * s->gene[STEM_STRIDE].n_values + stride];
}

/* ---- genes to network --------------------------------------------------------- */

/* Channels behind a transition: floor(percent of @channels), at least one. */
static int64_t squeeze(int64_t channels, int64_t percent)
{
	int64_t kept = channels * percent / 100;

	return kept > 0 ? kept : 1;
}

static uint32_t norm_act(struct network *net, uint32_t x, enum net_kind act)
{
	return network_unary(net, act, network_unary(net, NET_BATCH_NORM, x));
}

static uint32_t dense_layer(struct network *net, uint32_t x, enum net_kind act, uint32_t growth,
			    uint32_t kernel, uint32_t bottleneck)
{
	uint32_t y = norm_act(net, x, act);

	if (bottleneck) {
		y = network_conv2d(net, y, bottleneck, 1, 1, 1, NET_SAME, false);
		y = norm_act(net, y, act);
	}
	y = network_conv2d(net, y, growth, kernel, 1, 1, NET_SAME, false);
	return network_merge(net, NET_CONCAT, (const uint32_t[]){ x, y }, 2);
}

static enum nasc_status build(const struct space *s, const uint32_t *gene, struct arena *a,
			      struct network *net, struct nasc_err *err)
{
	enum net_kind act = (enum net_kind)meaning(s, gene, ACTIVATION);
	enum net_kind pool = (enum net_kind)meaning(s, gene, POOL);
	int64_t channels = meaning(s, gene, STEM_WIDTH), blocks = meaning(s, gene, BLOCKS);
	int64_t factor = meaning(s, gene, BOTTLENECK) * meaning(s, gene, FACTOR);
	uint32_t x;

	network_init(net, a, gene_input(s, meaning(s, gene, RESOLUTION)));
	x = network_conv2d(net, 0, (uint32_t)channels, (uint32_t)meaning(s, gene, STEM_KERNEL),
			   (uint32_t)meaning(s, gene, STEM_STRIDE), 1, NET_SAME, false);
	for (int64_t b = 0; b < blocks; b++) {
		int64_t layers = meaning(s, gene, at(b, LAYERS));
		int64_t growth = meaning(s, gene, at(b, GROWTH));
		uint32_t kernel = (uint32_t)meaning(s, gene, at(b, KERNEL));

		if (b > 0) {
			channels = squeeze(channels, meaning(s, gene, COMPRESSION));
			x = network_conv2d(net, norm_act(net, x, act), (uint32_t)channels, 1, 1, 1,
					   NET_SAME, false);
			x = network_pool(net, pool, x, 2, 2, NET_VALID);
		}
		for (int64_t l = 0; l < layers; l++)
			x = dense_layer(net, x, act, (uint32_t)growth, kernel,
					(uint32_t)(factor * growth));
		channels += layers * growth;
	}
	x = network_unary(net, NET_GLOBAL_POOL, norm_act(net, x, act));
	network_unary(net, NET_SOFTMAX, network_dense(net, x, s->classes, true));
	network_flatten(net);
	return network_infer(net, err);
}

/* ---- one genome for each network ------------------------------------------------ */

/* A stem after which the feature map is too small for the fewest blocks asked
 * for: the nearest values that leave room. open() made sure there are some. */
static void repair_stem(const struct space *s, uint32_t *gene)
{
	const struct densenet *d = s->state;
	uint32_t resolutions = s->gene[RESOLUTION].n_values;
	uint32_t strides = s->gene[STEM_STRIDE].n_values;

	for (uint32_t k = 0; k < resolutions; k++) {
		uint32_t r = (gene[RESOLUTION] + k) % resolutions;

		for (uint32_t j = 0; j < strides; j++) {
			uint32_t stride = (gene[STEM_STRIDE] + strides - j) % strides;

			if (fitting(s, r, stride) >= d->min_blocks) {
				gene[RESOLUTION] = r;
				gene[STEM_STRIDE] = stride;
				return;
			}
		}
	}
}

/* Whether compressions @p and @q give the same channels behind every transition. */
static bool same_channels(const struct space *s, const uint32_t *gene, int64_t blocks, int64_t p,
			  int64_t q)
{
	int64_t channels = meaning(s, gene, STEM_WIDTH);

	for (int64_t b = 0; b + 1 < blocks; b++) {
		channels += meaning(s, gene, at(b, LAYERS)) * meaning(s, gene, at(b, GROWTH));
		if (squeeze(channels, p) != squeeze(channels, q))
			return false;
		channels = squeeze(channels, p);
	}
	return true;
}

static void densenet_canonical(const struct space *s, uint32_t *gene)
{
	const struct densenet *d = s->state;
	const int64_t *percent = d->meaning[COMPRESSION];
	int64_t blocks, fit, capacity = (int64_t)s->gene[BLOCKS].n_values + d->min_blocks - 1;

	repair_stem(s, gene);
	fit = fitting(s, gene[RESOLUTION], gene[STEM_STRIDE]);
	blocks = meaning(s, gene, BLOCKS) < fit ? meaning(s, gene, BLOCKS) : fit;
	gene[BLOCKS] = (uint32_t)(blocks - d->min_blocks);
	for (size_t i = at(blocks, 0); i < at(capacity, 0); i++)
		gene[i] = 0;
	if (!meaning(s, gene, BOTTLENECK))
		gene[FACTOR] = 0;
	if (blocks == 1)
		gene[POOL] = gene[COMPRESSION] = 0;
	for (uint32_t q = 0; q < gene[COMPRESSION]; q++)
		if (same_channels(s, gene, blocks, percent[gene[COMPRESSION]], percent[q]))
			gene[COMPRESSION] = q;
}

/* ---- counting -------------------------------------------------------------------- */

/* Compressions lo..hi (indices) whose channels were the same at every
 * transition so far form a run, as squeeze() is monotone in the percentage. A
 * run of two or more has fewer than TIED_CHANNELS channels: from 200 on, one
 * percent is worth two channels. So few states remain that counting is exact. */
#define TIED_CHANNELS 200

struct tied {
	double n[TIED_CHANNELS][CFG_INTS_MAX][CFG_INTS_MAX]; /* [channels][lo][hi] */
};

/* Cut run lo..hi into runs of equal channels behind a transition from
 * @channels; @ways genomes share it. Runs of one go to *@single. */
static void cut_run(const struct space *s, int64_t channels, size_t lo, size_t hi, double ways,
		    struct tied *next, double *single)
{
	const int64_t *percent = ((const struct densenet *)s->state)->meaning[COMPRESSION];

	if (channels >= TIED_CHANNELS) {
		*single += ways * (double)(hi - lo + 1);
		return;
	}
	for (size_t from = lo, to; from <= hi; from = to + 1) {
		int64_t kept = squeeze(channels, percent[from]);

		for (to = from; to < hi && squeeze(channels, percent[to + 1]) == kept; to++)
			;
		if (to == from)
			*single += ways;
		else
			next->n[kept][from][to] += ways;
	}
}

/* Cut every run once more: any (layers, growth) of one more block, then its transition. */
static void next_block(const struct space *s, const struct tied *now, struct tied *next,
		       double *single)
{
	const int64_t *const *meant = ((const struct densenet *)s->state)->meaning;
	const int64_t *layers = meant[at(0, LAYERS)], *growth = meant[at(0, GROWTH)];
	size_t n = s->gene[COMPRESSION].n_values;

	for (int64_t c = 0; c < TIED_CHANNELS; c++)
		for (size_t lo = 0; lo < n; lo++)
			for (size_t hi = lo + 1; hi < n; hi++) {
				double ways = now->n[c][lo][hi];

				if (ways <= 0)
					continue;
				for (size_t l = 0; l < s->gene[at(0, LAYERS)].n_values; l++)
					for (size_t g = 0; g < s->gene[at(0, GROWTH)].n_values; g++)
						cut_run(s, c + layers[l] * growth[g], lo, hi, ways,
							next, single);
			}
}

static double sum_tied(const struct tied *t)
{
	const double *n = &t->n[0][0][0];
	double sum = 0;

	for (size_t i = 0; i < sizeof *t / sizeof *n; i++)
		sum += n[i];
	return sum;
}

/* widths[n]: distinct choices of stem width, layers, growth and compression in
 * networks of n blocks. */
static void count_widths(const struct space *s, size_t max_blocks, double *widths)
{
	const struct densenet *d = s->state;
	uint32_t layers = s->gene[at(0, LAYERS)].n_values,
		 growths = s->gene[at(0, GROWTH)].n_values;
	double per_block = (double)layers * growths, single = 0;
	struct arena scratch = { 0 };
	struct tied *now = ARENA_NEW(&scratch, struct tied, 1);

	widths[1] = s->gene[STEM_WIDTH].n_values * per_block;
	for (uint32_t w = 0; w < s->gene[STEM_WIDTH].n_values; w++)
		for (uint32_t l = 0; l < layers; l++)
			for (uint32_t g = 0; g < growths; g++)
				cut_run(s,
					d->meaning[STEM_WIDTH][w] +
						d->meaning[at(0, LAYERS)][l] *
							d->meaning[at(0, GROWTH)][g],
					0, s->gene[COMPRESSION].n_values - 1, 1, now, &single);
	for (size_t n = 2; n <= max_blocks; n++) {
		struct tied *next = ARENA_NEW(&scratch, struct tied, 1);

		/* The last block's own choice reaches no transition. */
		widths[n] = (single + sum_tied(now)) * per_block;
		single *= per_block;
		next_block(s, now, next, &single);
		now = next;
	}
	arena_free(&scratch);
}

/* Above 2^53 the count is rounded to a double, but still of all distinct networks. */
static void densenet_count(const struct space *s, double *count, bool *exact)
{
	const struct densenet *d = s->state;
	int64_t max_blocks = d->min_blocks + s->gene[BLOCKS].n_values - 1;
	double widths[BLOCKS_MAX + 1] = { 0 }, sum = 0, bottlenecks = 0;

	count_widths(s, (size_t)max_blocks, widths);
	for (uint32_t r = 0; r < s->gene[RESOLUTION].n_values; r++)
		for (uint32_t stride = 0; stride < s->gene[STEM_STRIDE].n_values; stride++) {
			double kernels = 1;

			for (int64_t n = 1; n <= max_blocks && n <= fitting(s, r, stride); n++) {
				kernels *= s->gene[at(0, KERNEL)].n_values;
				if (n >= d->min_blocks)
					sum += widths[n] * kernels *
					       (n > 1 ? s->gene[POOL].n_values : 1);
			}
		}
	for (uint32_t b = 0; b < s->gene[BOTTLENECK].n_values; b++)
		bottlenecks += d->meaning[BOTTLENECK][b] ? s->gene[FACTOR].n_values : 1;
	*count = sum * bottlenecks * s->gene[STEM_KERNEL].n_values * s->gene[ACTIVATION].n_values;
	*exact = true;
}

/* ---- opening --------------------------------------------------------------------- */

/* Fill d->fit and return the most blocks any stem leaves room for: a transition
 * pools 2x2. */
static int64_t fill_fit(struct space *s)
{
	struct densenet *d = s->state;
	uint32_t resolutions = s->gene[RESOLUTION].n_values;
	uint32_t strides = s->gene[STEM_STRIDE].n_values;
	int64_t most = 0;

	d->fit = ARENA_NEW(s->arena, int64_t, (size_t)resolutions * strides);
	for (uint32_t r = 0; r < resolutions; r++)
		for (uint32_t i = 0; i < strides; i++) {
			struct net_shape in = gene_input(s, d->meaning[RESOLUTION][r]);
			int64_t stride = d->meaning[STEM_STRIDE][i], fit = 1;
			int64_t side = in.h < in.w && in.h > 1 ? in.h : in.w;

			for (side = (side + stride - 1) / stride; side >= 2; side /= 2)
				fit++;
			d->fit[r * strides + i] = fit;
			if (fit > most)
				most = fit;
		}
	return most;
}

/* The dearest genome of each resolution, with and without bottleneck: where
 * these are within a network's limits, all are. */
static enum nasc_status check_largest(const struct space *s, struct nasc_err *err)
{
	const struct densenet *d = s->state;
	struct arena scratch = { 0 };
	enum nasc_status status = NASC_OK;
	uint32_t gene[GENES_MAX] = { 0 };

	for (size_t i = 0; i < s->n_genes; i++)
		gene[i] = s->gene[i].n_values - 1;
	gene[STEM_STRIDE] = 0;
	for (uint32_t r = 0; r < s->gene[RESOLUTION].n_values; r++)
		for (uint32_t b = 0; b < s->gene[BOTTLENECK].n_values && !status; b++) {
			int64_t fit = fitting(s, r, 0) - d->min_blocks;
			struct arena_mark m = arena_mark(&scratch);
			struct network net;

			if (fit < 0)
				continue;
			gene[RESOLUTION] = r;
			gene[BOTTLENECK] = b;
			gene[BLOCKS] = s->gene[BLOCKS].n_values - 1;
			if (gene[BLOCKS] > (uint64_t)fit)
				gene[BLOCKS] = (uint32_t)fit;
			status = build(s, gene, &scratch, &net, err);
			arena_rewind(&scratch, m);
		}
	arena_free(&scratch);
	return status ? nasc_wrap(err, "the largest network of these ranges") : NASC_OK;
}

static void set_block_genes(struct space *s, int64_t blocks)
{
	const struct densenet_cfg *cfg = s->cfg;
	struct densenet *d = s->state;
	char name[32];

	for (int64_t b = 0; b < blocks; b++) {
		snprintf(name, sizeof name, "layers_%d", (int)b + 1);
		d->meaning[at(b, LAYERS)] = gene_range(s, at(b, LAYERS), name, cfg->layers);
		snprintf(name, sizeof name, "growth_%d", (int)b + 1);
		d->meaning[at(b, GROWTH)] =
			gene_numbers(s, at(b, GROWTH), name, cfg->growth.v, cfg->growth.n);
		snprintf(name, sizeof name, "kernel_%d", (int)b + 1);
		d->meaning[at(b, KERNEL)] = gene_choices(s, at(b, KERNEL), name, kernel_sizes,
							 layer_kernel_names, false, cfg->kernel);
	}
}

static enum nasc_status densenet_open(struct space *s, struct nasc_err *err)
{
	const struct densenet_cfg *cfg = s->cfg;
	struct densenet *d = ARENA_NEW(s->arena, struct densenet, 1);
	const int64_t **meant = d->meaning;
	int64_t most;

	s->state = d;
	s->gene = ARENA_NEW(s->arena, struct space_gene, GENES_MAX);
	d->min_blocks = cfg->blocks.lo;
	meant[RESOLUTION] = gene_resolutions(s, RESOLUTION, &cfg->resolution);
	meant[STEM_WIDTH] =
		gene_numbers(s, STEM_WIDTH, "stem_width", cfg->stem_width.v, cfg->stem_width.n);
	meant[STEM_KERNEL] = gene_choices(s, STEM_KERNEL, "stem_kernel", kernel_sizes,
					  stem_kernel_names, false, cfg->stem_kernel);
	meant[STEM_STRIDE] =
		gene_numbers(s, STEM_STRIDE, "stem_stride", cfg->stem_stride.v, cfg->stem_stride.n);
	most = fill_fit(s);
	if (most < cfg->blocks.lo)
		return nasc_fail(
			err, NASC_CONFIG,
			"blocks: %d do not fit, the largest feature map of the stem leaves "
			"room for %d",
			(int)cfg->blocks.lo, (int)most);
	if (most > cfg->blocks.hi)
		most = cfg->blocks.hi;
	meant[BLOCKS] = gene_range(s, BLOCKS, "blocks", (struct cfg_range){ cfg->blocks.lo, most });
	meant[BOTTLENECK] = gene_choices(s, BOTTLENECK, "bottleneck", off_on, bottleneck_names,
					 true, cfg->bottleneck);
	/* Genes that cannot have an effect in any of these networks are fixed. */
	meant[FACTOR] = gene_numbers(
		s, FACTOR, "bottleneck_factor", cfg->bottleneck_factor.v,
		meant[BOTTLENECK][s->gene[BOTTLENECK].n_values - 1] ? cfg->bottleneck_factor.n : 1);
	meant[COMPRESSION] = gene_numbers(s, COMPRESSION, "compression", cfg->compression.v,
					  most > 1 ? cfg->compression.n : 1);
	meant[POOL] = gene_choices(s, POOL, "transition_pool", pool_kinds, pool_names, true,
				   most > 1 ? cfg->transition_pool
					    : cfg->transition_pool & -cfg->transition_pool);
	meant[ACTIVATION] = gene_choices(s, ACTIVATION, "activation", gene_act_kinds,
					 gene_act_names, true, cfg->activation);
	set_block_genes(s, most);
	s->n_genes = at(most, 0);
	return check_largest(s, err);
}

const struct space_ops space_densenet = {
	.name = "densenet",
	.summary = "dense blocks with transitions, DenseNet and DenseNet-BC among them",
	.source = "Huang et al., CVPR 2017, arXiv:1608.06993",
	.fields = densenet_fields,
	.cfg_size = sizeof(struct densenet_cfg),
	.axis = { "growth", "resolution" },
	.open = densenet_open,
	.canonical = densenet_canonical,
	.build = build,
	.count = densenet_count,
};
