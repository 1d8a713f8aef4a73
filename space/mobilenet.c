#include "genes.h"

#include <stdio.h>

/*
 * Networks of inverted residuals: a stem convolution, one block without expansion, stages of
 * blocks, a classifier.
 *   block       [conv 1x1 to expansion * channels, BN act,] depthwise kxk, BN act, conv 1x1,
 *               BN; added to what went in where that has the same shape
 *   stage       blocks of one width; the first of them has the stage's stride
 *   head        [conv 1x1, BN act,] global average pool, dense, softmax
 * No convolution has a bias. The first stage is always one block of expansion 1. Source:
 * Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
 * arXiv:1801.04381; kernels and expansions by block as in Cai et al., "Once-for-All", ICLR 2020,
 * arXiv:1908.09791, and Lin et al., "MCUNet", NeurIPS 2020, arXiv:2007.10319. MobileNetV2 and
 * MCUNet's networks are points of the space.
 */
#define STAGES_MAX 8
#define DEPTH_MAX  8
#define DIVISOR	   8

enum vary { VARY_STAGE, VARY_BLOCK };
static const char *const vary_names[] = { "stage", "block", NULL };

struct mobilenet_cfg {
	struct cfg_ints channels, strides, width, expansion, stem_width, stem_stride, head_width,
		resolution;
	struct cfg_range depth;
	uint64_t kernel, activation;
	int64_t vary;
};

static const char *const depthwise_kernel_names[] = { "3", "5", "7", NULL };
static const int64_t depthwise_kernel_sizes[] = { 3, 5, 7 };

static const struct cfg_field mobilenet_fields[] = {
	CFG_LIST_FIELD(struct mobilenet_cfg, channels, "[16, 24, 32, 64, 96, 160, 320]", 1, 1024,
		       "channels", "of each stage at a width of 100 percent"),
	CFG_LIST_FIELD(struct mobilenet_cfg, strides, "[1, 2, 2, 2, 1, 2, 1]", 1, 2, "pixels",
		       "stride of each stage's first block"),
	CFG_INTS_FIELD(
		struct mobilenet_cfg, width, "[50, 75, 100]", 1, 400, "percent",
		"of the stage's channels, rounded to a multiple of 8 that is not 0 and at most a "
		"tenth below; a gene for each stage"),
	CFG_RANGE_FIELD(struct mobilenet_cfg, depth, "[1, 4]", 1, DEPTH_MAX, "blocks",
			"blocks of a stage, a gene for each but the first, which has one"),
	CFG_CHOICES_FIELD(struct mobilenet_cfg, kernel, "[3, 5, 7]", depthwise_kernel_names,
			  "kernel of the depthwise convolutions"),
	CFG_INTS_FIELD(struct mobilenet_cfg, expansion, "[3, 4, 6]", 1, 16, "times",
		       "channels of the depthwise convolution over those of the block's input; 1 "
		       "in the first stage"),
	CFG_CHOICE_FIELD(
		struct mobilenet_cfg, vary, "stage", vary_names,
		"whether each stage or each block has a kernel and an expansion of its own"),
	CFG_INTS_FIELD(struct mobilenet_cfg, stem_width, "[16, 32]", 1, 1024, "channels",
		       "channels of the stem convolution, 3x3"),
	CFG_INTS_FIELD(struct mobilenet_cfg, stem_stride, "[1, 2]", 1, 4, "pixels",
		       "stride of the stem convolution"),
	CFG_INTS_FIELD(struct mobilenet_cfg, head_width, "[0, 1280]", 0, 4096, "channels",
		       "channels of the 1x1 convolution in front of the classifier; 0: none"),
	CFG_CHOICES_FIELD(struct mobilenet_cfg, activation, "relu6", gene_act_names,
			  "activation behind batch norms"),
	CFG_INTS_FIELD(struct mobilenet_cfg, resolution, "0", 0, 1024, "pixels",
		       "height and width of the input image, length of a series; 0: the data "
		       "set's own"),
	CFG_END
};

/* Genes by position. Then come the stages, from the second on each with a kernel and an expansion
 * for all its blocks or for each; see stage_at() and block_at(). */
enum { RESOLUTION, STEM_WIDTH, STEM_STRIDE, HEAD_WIDTH, ACTIVATION, FIRST_WIDTH, FIRST_KERNEL };
enum { STAGE_GENES = FIRST_KERNEL + 1 };
enum { WIDTH, DEPTH, STAGE_BLOCKS };
enum { KERNEL, EXPANSION, GENES_PER_BLOCK };
#define GENES_MAX (STAGE_GENES + (STAGES_MAX - 1) * (STAGE_BLOCKS + GENES_PER_BLOCK * DEPTH_MAX))

struct mobilenet {
	const int64_t *meaning[GENES_MAX]; /* of the values of each gene */
	size_t chosen;			   /* blocks of a stage with genes of their own */
};

/* Of stage @stage >= 1. */
static size_t stage_at(const struct space *s, size_t stage, size_t which)
{
	const struct mobilenet *m = s->state;

	return STAGE_GENES + (stage - 1) * (STAGE_BLOCKS + GENES_PER_BLOCK * m->chosen) + which;
}

static size_t block_at(const struct space *s, size_t stage, size_t block, size_t which)
{
	const struct mobilenet *m = s->state;

	if (block >= m->chosen)
		block = 0;
	return stage_at(s, stage, STAGE_BLOCKS + GENES_PER_BLOCK * block + which);
}

static uint32_t meaning(const struct space *s, const uint32_t *gene, size_t i)
{
	return (uint32_t)((const struct mobilenet *)s->state)->meaning[i][gene[i]];
}

/* ---- genes to network --------------------------------------------------------- */

static uint32_t norm(struct network *net, uint32_t x)
{
	return network_unary(net, NET_BATCH_NORM, x);
}

static uint32_t pointwise(struct network *net, uint32_t x, uint32_t channels)
{
	return norm(net, network_conv2d(net, x, channels, 1, 1, 1, NET_SAME, false));
}

struct block {
	uint32_t in, out, expansion, kernel, stride;
	enum net_kind act;
};

static uint32_t block_add(struct network *net, uint32_t x, const struct block *b)
{
	uint32_t y = x;

	if (b->expansion > 1)
		y = network_unary(net, b->act, pointwise(net, y, b->in * b->expansion));
	y = norm(net, network_depthwise(net, y, b->kernel, b->stride, NET_SAME, false));
	y = pointwise(net, network_unary(net, b->act, y), b->out);
	if (b->stride > 1 || b->in != b->out)
		return y;
	return network_merge(net, NET_ADD, (const uint32_t[]){ y, x }, 2);
}

static uint32_t stage_add(const struct space *s, const uint32_t *gene, size_t stage,
			  struct network *net, uint32_t x, struct block *b)
{
	const struct mobilenet_cfg *cfg = s->cfg;
	uint32_t depth = meaning(s, gene, stage_at(s, stage, DEPTH));

	b->out = meaning(s, gene, stage_at(s, stage, WIDTH));
	b->stride = (uint32_t)cfg->strides.v[stage];
	for (uint32_t i = 0; i < depth; i++) {
		b->kernel = meaning(s, gene, block_at(s, stage, i, KERNEL));
		b->expansion = meaning(s, gene, block_at(s, stage, i, EXPANSION));
		x = block_add(net, x, b);
		b->in = b->out;
		b->stride = 1;
	}
	return x;
}

static enum nasc_status build(const struct space *s, const uint32_t *gene, struct arena *a,
			      struct network *net, struct nasc_err *err)
{
	const struct mobilenet_cfg *cfg = s->cfg;
	enum net_kind act = (enum net_kind)meaning(s, gene, ACTIVATION);
	struct block b = { .in = meaning(s, gene, STEM_WIDTH),
			   .out = meaning(s, gene, FIRST_WIDTH),
			   .expansion = 1,
			   .kernel = meaning(s, gene, FIRST_KERNEL),
			   .stride = (uint32_t)cfg->strides.v[0],
			   .act = act };
	uint32_t head = meaning(s, gene, HEAD_WIDTH), x;

	network_init(net, a, gene_input(s, meaning(s, gene, RESOLUTION)));
	x = network_conv2d(net, 0, b.in, 3, meaning(s, gene, STEM_STRIDE), 1, NET_SAME, false);
	x = block_add(net, network_unary(net, act, norm(net, x)), &b);
	b.in = b.out;
	for (size_t stage = 1; stage < cfg->channels.n; stage++)
		x = stage_add(s, gene, stage, net, x, &b);
	if (head)
		x = network_unary(net, act, pointwise(net, x, head));
	x = network_unary(net, NET_GLOBAL_POOL, x);
	network_unary(net, NET_SOFTMAX, network_dense(net, x, s->classes, true));
	network_flatten(net);
	return network_infer(net, err);
}

/* ---- one genome for each network ------------------------------------------------ */

/* Stages whose blocks are all alike in width and, but for the first one's, in stride: where one
 * ends and the next begins cannot be seen in the network. */
struct run {
	size_t first, end;							    /* stages */
	size_t n;								    /* blocks */
	uint32_t kernel[STAGES_MAX * DEPTH_MAX], expansion[STAGES_MAX * DEPTH_MAX]; /* genes */
};

/* Whether it is in one run with the stage before it. */
static bool runs_on(const struct space *s, const uint32_t *gene, size_t stage)
{
	const struct mobilenet_cfg *cfg = s->cfg;

	return stage > 1 && cfg->strides.v[stage] == 1 &&
	       meaning(s, gene, stage_at(s, stage, WIDTH)) ==
		       meaning(s, gene, stage_at(s, stage - 1, WIDTH));
}

static void run_read(const struct space *s, const uint32_t *gene, size_t first, struct run *run)
{
	const struct mobilenet_cfg *cfg = s->cfg;

	run->first = run->end = first;
	run->n = 0;
	do {
		uint32_t depth = meaning(s, gene, stage_at(s, run->end, DEPTH));

		for (uint32_t i = 0; i < depth; i++) {
			run->kernel[run->n] = gene[block_at(s, run->end, i, KERNEL)];
			run->expansion[run->n++] = gene[block_at(s, run->end, i, EXPANSION)];
		}
		run->end++;
	} while (run->end < cfg->channels.n && runs_on(s, gene, run->end));
}

/* Whether blocks from..to can be one stage. */
static bool one_stage(const struct space *s, const struct run *run, size_t from, size_t to)
{
	const struct mobilenet *m = s->state;

	for (size_t i = from + 1; i < to && m->chosen == 1; i++)
		if (run->kernel[i] != run->kernel[from] ||
		    run->expansion[i] != run->expansion[from])
			return false;
	return true;
}

/* Deal the blocks out so that each stage in turn has as many as it can. */
static void run_write(const struct space *s, const struct run *run, uint32_t *gene)
{
	const struct mobilenet_cfg *cfg = s->cfg;
	const struct mobilenet *m = s->state;
	size_t lo = (size_t)cfg->depth.lo, hi = (size_t)cfg->depth.hi, at = 0;
	/* Whether the stages from one on can take the blocks from one on, and how many the first
	 * of them takes. */
	bool can[STAGES_MAX + 1][STAGES_MAX * DEPTH_MAX + 1] = { 0 };
	size_t depth[STAGES_MAX][STAGES_MAX * DEPTH_MAX] = { 0 };

	can[run->end][run->n] = true;
	for (size_t stage = run->end; stage-- > run->first;)
		for (size_t from = 0; from < run->n; from++)
			for (size_t d = lo; d <= hi && from + d <= run->n; d++)
				if (can[stage + 1][from + d] && one_stage(s, run, from, from + d)) {
					can[stage][from] = true;
					depth[stage][from] = d;
				}
	for (size_t stage = run->first; stage < run->end; stage++) {
		size_t d = depth[stage][at];

		gene[stage_at(s, stage, DEPTH)] = (uint32_t)(d - lo);
		for (size_t i = 0; i < m->chosen; i++) {
			/* Of blocks that are not there they have no effect. */
			gene[block_at(s, stage, i, KERNEL)] = i < d ? run->kernel[at + i] : 0;
			gene[block_at(s, stage, i, EXPANSION)] = i < d ? run->expansion[at + i] : 0;
		}
		at += d;
	}
}

static void mobilenet_canonical(const struct space *s, uint32_t *gene)
{
	const struct mobilenet_cfg *cfg = s->cfg;
	struct run run;

	for (size_t stage = 1; stage < cfg->channels.n; stage = run.end) {
		run_read(s, gene, stage, &run);
		run_write(s, &run, gene);
	}
}

/* ---- receptive field --------------------------------------------------------------- */

/* Genes that the receptive field grows with, kernels and depths, each with its run of stages. */
struct field_genes {
	size_t n, gene[GENES_MAX], run[GENES_MAX];
};

static void field_add(const struct space *s, const uint32_t *gene, size_t i, size_t run, bool grow,
		      struct field_genes *out)
{
	if (grow ? gene[i] + 1 == s->gene[i].n_values : gene[i] == 0)
		return;
	out->gene[out->n] = i;
	out->run[out->n++] = run;
}

/* Those that can @grow by a step, or shrink; ascending by run. */
static void field_read(const struct space *s, const uint32_t *gene, bool grow,
		       struct field_genes *out)
{
	const struct mobilenet_cfg *cfg = s->cfg;
	const struct mobilenet *m = s->state;
	size_t run = 0;

	out->n = 0;
	field_add(s, gene, FIRST_KERNEL, run, grow, out);
	for (size_t stage = 1; stage < cfg->channels.n; stage++) {
		size_t depth = meaning(s, gene, stage_at(s, stage, DEPTH));

		run += !runs_on(s, gene, stage);
		field_add(s, gene, stage_at(s, stage, DEPTH), run, grow, out);
		for (size_t i = 0; i < m->chosen && i < depth; i++)
			field_add(s, gene, block_at(s, stage, i, KERNEL), run, grow, out);
	}
}

/* One step less in one run of stages and one more in a later one, each such pair as likely: where
 * the early layers run in patches, what neighbours both compute shrinks with their receptive
 * field. Within a run a block less here and one more there could be the same network. A block that
 * is added has the least of all where each has genes of its own. By hand in
 * Lin et al., "MCUNetV2: Memory-Efficient Patch-based Inference for Tiny Deep Learning", NeurIPS
 * 2021, arXiv:2110.15352, as the redistribution of the receptive field. */
static bool mobilenet_move(const struct space *s, uint32_t *gene, struct rng *rng)
{
	struct field_genes less, more;
	size_t pairs = 0, before;

	field_read(s, gene, false, &less);
	field_read(s, gene, true, &more);
	for (size_t i = 0; i < less.n; i++)
		for (size_t k = 0; k < more.n; k++)
			pairs += less.run[i] < more.run[k];
	before = pairs ? (size_t)rng_below(rng, pairs) : 0;
	for (size_t i = 0; i < less.n; i++)
		for (size_t k = 0; k < more.n; k++)
			if (less.run[i] < more.run[k] && before-- == 0) {
				gene[less.gene[i]]--;
				gene[more.gene[k]]++;
				return true;
			}
	return false;
}

/* Whether stages can have one width and no stride between them: then some vectors that are
 * counted are one network. */
static bool can_run_on(const struct space *s)
{
	const struct mobilenet_cfg *cfg = s->cfg;

	for (size_t stage = 2; stage < cfg->channels.n; stage++) {
		const struct space_gene *p = &s->gene[stage_at(s, stage - 1, WIDTH)];
		const struct space_gene *q = &s->gene[stage_at(s, stage, WIDTH)];

		for (uint32_t i = 0; i < p->n_values && cfg->strides.v[stage] == 1; i++)
			for (uint32_t k = 0; k < q->n_values; k++)
				if (p->value[i] == q->value[k])
					return true;
	}
	return false;
}

static void mobilenet_count(const struct space *s, double *count, bool *exact)
{
	const struct mobilenet_cfg *cfg = s->cfg;
	const struct mobilenet *m = s->state;

	*count = 1;
	for (size_t i = 0; i < STAGE_GENES; i++)
		*count *= s->gene[i].n_values;
	for (size_t stage = 1; stage < cfg->channels.n; stage++) {
		double a_block = (double)s->gene[block_at(s, stage, 0, KERNEL)].n_values *
				 s->gene[block_at(s, stage, 0, EXPANSION)].n_values;
		double depths = 0, ways = 1;
		size_t chosen = 0;

		for (int64_t depth = cfg->depth.lo; depth <= cfg->depth.hi; depth++) {
			while (chosen < m->chosen && chosen < (size_t)depth) {
				ways *= a_block;
				chosen++;
			}
			depths += ways;
		}
		*count *= depths * s->gene[stage_at(s, stage, WIDTH)].n_values;
	}
	*exact = !can_run_on(s);
}

/* ---- opening --------------------------------------------------------------------- */

/* The nearest multiple of DIVISOR, at least one, and not more than a tenth below: as in the
 * networks of the papers. */
static int64_t round_channels(int64_t channels, int64_t percent)
{
	int64_t wanted = channels * percent; /* in hundredths */
	int64_t n = (wanted + 100 * DIVISOR / 2) / (100 * DIVISOR) * DIVISOR;

	if (n < DIVISOR)
		n = DIVISOR;
	return n * 1000 < wanted * 9 ? n + DIVISOR : n;
}

static void set_width(struct space *s, size_t i, size_t stage)
{
	const struct mobilenet_cfg *cfg = s->cfg;
	int64_t *v = ARENA_NEW(s->arena, int64_t, CFG_INTS_MAX);
	size_t n = 0;
	char name[32];

	for (size_t k = 0; k < cfg->width.n; k++) {
		int64_t c = round_channels(cfg->channels.v[stage], cfg->width.v[k]);

		if (n == 0 || v[n - 1] != c)
			v[n++] = c;
	}
	snprintf(name, sizeof name, "width_%zu", stage + 1);
	((struct mobilenet *)s->state)->meaning[i] = gene_numbers(s, i, name, v, n);
}

static void set_stage(struct space *s, size_t stage)
{
	const struct mobilenet_cfg *cfg = s->cfg;
	struct mobilenet *m = s->state;
	size_t i = stage_at(s, stage, DEPTH);
	char name[48], block[16] = "";

	set_width(s, stage_at(s, stage, WIDTH), stage);
	snprintf(name, sizeof name, "depth_%zu", stage + 1);
	m->meaning[i] = gene_range(s, i, name, cfg->depth);
	for (size_t k = 0; k < m->chosen; k++) {
		if (cfg->vary == VARY_BLOCK)
			snprintf(block, sizeof block, "_%d", (int)k + 1);
		i = block_at(s, stage, k, KERNEL);
		snprintf(name, sizeof name, "kernel_%zu%s", stage + 1, block);
		m->meaning[i] = gene_choices(s, i, name, depthwise_kernel_sizes,
					     depthwise_kernel_names, false, cfg->kernel);
		i = block_at(s, stage, k, EXPANSION);
		snprintf(name, sizeof name, "expansion_%zu%s", stage + 1, block);
		m->meaning[i] = gene_numbers(s, i, name, cfg->expansion.v, cfg->expansion.n);
	}
}

/* Every gene at its last value, the stride at its first, makes the dearest network of a
 * resolution: where these are within a network's limits, all are. */
static enum nasc_status check_largest(const struct space *s, struct nasc_err *err)
{
	struct arena scratch = { 0 };
	enum nasc_status status = NASC_OK;
	uint32_t gene[GENES_MAX] = { 0 };

	for (size_t i = 0; i < s->n_genes; i++)
		gene[i] = s->gene[i].n_values - 1;
	gene[STEM_STRIDE] = 0;
	for (uint32_t r = 0; r < s->gene[RESOLUTION].n_values && !status; r++) {
		struct arena_mark mark = arena_mark(&scratch);
		struct network net;

		gene[RESOLUTION] = r;
		status = build(s, gene, &scratch, &net, err);
		arena_rewind(&scratch, mark);
	}
	arena_free(&scratch);
	return status ? nasc_wrap(err, "the largest network of these ranges") : NASC_OK;
}

static enum nasc_status check_stages(const struct mobilenet_cfg *cfg, struct nasc_err *err)
{
	if (cfg->channels.n == 0 || cfg->channels.n > STAGES_MAX)
		return nasc_fail(err, NASC_CONFIG,
				 "channels: %zu numbers, expected one for each of 1 to %d stages",
				 cfg->channels.n, STAGES_MAX);
	if (cfg->strides.n != cfg->channels.n)
		return nasc_fail(err, NASC_CONFIG,
				 "strides: as many numbers as in 'channels' are right, %zu in "
				 "place of %zu",
				 cfg->channels.n, cfg->strides.n);
	return NASC_OK;
}

static enum nasc_status mobilenet_open(struct space *s, struct nasc_err *err)
{
	const struct mobilenet_cfg *cfg = s->cfg;
	struct mobilenet *m = ARENA_NEW(s->arena, struct mobilenet, 1);
	const int64_t **meant = m->meaning;

	if (check_stages(cfg, err))
		return err->code;
	s->state = m;
	s->gene = ARENA_NEW(s->arena, struct space_gene, GENES_MAX);
	m->chosen = cfg->vary == VARY_BLOCK ? (size_t)cfg->depth.hi : 1;
	meant[RESOLUTION] = gene_resolutions(s, RESOLUTION, &cfg->resolution);
	meant[STEM_WIDTH] =
		gene_numbers(s, STEM_WIDTH, "stem_width", cfg->stem_width.v, cfg->stem_width.n);
	meant[STEM_STRIDE] =
		gene_numbers(s, STEM_STRIDE, "stem_stride", cfg->stem_stride.v, cfg->stem_stride.n);
	meant[HEAD_WIDTH] =
		gene_numbers(s, HEAD_WIDTH, "head_width", cfg->head_width.v, cfg->head_width.n);
	meant[ACTIVATION] = gene_choices(s, ACTIVATION, "activation", gene_act_kinds,
					 gene_act_names, true, cfg->activation);
	set_width(s, FIRST_WIDTH, 0);
	meant[FIRST_KERNEL] = gene_choices(s, FIRST_KERNEL, "kernel_1", depthwise_kernel_sizes,
					   depthwise_kernel_names, false, cfg->kernel);
	for (size_t stage = 1; stage < cfg->channels.n; stage++)
		set_stage(s, stage);
	s->n_genes = stage_at(s, cfg->channels.n, 0);
	return check_largest(s, err);
}

const struct space_ops space_mobilenet = {
	.name = "mobilenet",
	.summary = "inverted residuals; MobileNetV2 and MCUNet among them",
	.source = "Sandler et al., CVPR 2018, arXiv:1801.04381",
	.fields = mobilenet_fields,
	.cfg_size = sizeof(struct mobilenet_cfg),
	.axis = { "width", "resolution" },
	.open = mobilenet_open,
	.canonical = mobilenet_canonical,
	.move = mobilenet_move,
	.build = build,
	.count = mobilenet_count,
};
