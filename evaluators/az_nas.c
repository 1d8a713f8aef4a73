#include <math.h>
#include <string.h>

#include "eigen.h"
#include "proxy.h"
#include "ranked.h"

/* AZ-NAS, Lee & Ham, CVPR 2024 (arXiv 2403.19232). A block is what lies between two
 * operators that every path from the image to the features passes, with a layer of
 * weights in between; F_l is the output of block l for noise of N(0, 1).
 *   expressivity E   sum of E_l, the entropy of the normalised eigenvalues of the c x c
 *                    covariance of F_l over images and pixels
 *   progressivity P  least E_l - E_(l-1)
 *   trainability T   g_out random signs at F_l, g_in their product with the block's
 *                    Jacobian, strides laid out as channels; s the largest singular value
 *                    of g_in^T g_out / (images h w); mean of 2 - s - 1 / (s + 1e-6)
 * The score is the log-rank sum of E, P, T and the MACs (ranked.h). */
#define ENTROPY_SHIFT  1e-8
#define SINGULAR_SHIFT 1e-6

static const struct cfg_field az_nas_fields[] = {
	PROXY_IMAGES_FIELD("32", "random images of the batch"), PROXY_REPEATS_FIELD("1"),
	PROXY_SIZE_FIELD,
	CFG_INT_FIELD(struct proxy_cfg, reference, "64", 2, 100000, "networks",
		      "sample of the space that ranks are taken in"),
	CFG_END
};
enum { EXPRESSIVITY, PROGRESSIVITY, TRAINABILITY, MACS, FIGURES };

/* ---- blocks ------------------------------------------------------------------------ */

static bool has_weights(enum net_kind kind)
{
	return kind == NET_CONV2D || kind == NET_DEPTHWISE || kind == NET_DENSE;
}

/* Operators that the last one depends on. */
static bool *operators_live(const struct network *net, struct arena *a)
{
	bool *live = ARENA_NEW(a, bool, net->n_ops);

	live[net->n_ops - 1] = true;
	for (size_t i = net->n_ops; i-- > 0;)
		for (uint32_t k = 0; live[i] && k < net->op[i].n_inputs; k++)
			live[network_inputs(net, i)[k]] = true;
	return live;
}

/* The ends of the blocks, in order, into @end; returns their number. */
static size_t blocks_find(const struct network *net, const bool *live, struct arena *a,
			  uint32_t *end)
{
	uint32_t *last = ARENA_NEW(a, uint32_t, net->n_ops), reach = 0;
	size_t n = 0;
	bool weights = false;

	for (uint32_t i = 0; i < net->n_ops; i++)
		for (uint32_t k = 0; live[i] && k < net->op[i].n_inputs; k++)
			last[network_inputs(net, i)[k]] = i;
	for (uint32_t i = 0; i < net->n_ops; i++) {
		if (!live[i])
			continue;
		weights |= has_weights(net->op[i].kind);
		if (reach <= i && i > 0) { /* nothing before is read behind it */
			n += weights || n == 0;
			end[n - 1] = i;
			weights = false;
		}
		reach = last[i] > reach ? last[i] : reach;
	}
	return n;
}

/* The live operators behind @from up to @to, reading @from's output as their image. */
static enum nasc_status block_make(const struct network *net, const bool *live, uint32_t from,
				   uint32_t to, struct arena *a, struct network *out,
				   struct nasc_err *err)
{
	uint32_t *now = ARENA_NEW(a, uint32_t, net->n_ops);

	network_init(out, a, net->op[from].out);
	for (uint32_t i = from + 1; i <= to; i++) {
		const struct net_op *o = &net->op[i];
		uint32_t *in = ARENA_NEW(a, uint32_t, o->n_inputs);

		if (!live[i])
			continue;
		for (uint32_t k = 0; k < o->n_inputs; k++)
			in[k] = now[network_inputs(net, i)[k]]; /* 0 for @from */
		now[i] = network_append(out, o, in, o->n_inputs);
	}
	return network_infer(out, err);
}

/* ---- figures of one block ------------------------------------------------------------ */

/* Rows of @f: n * c. Of no meaning once cancelled, like singular(). */
static double entropy(struct proxy *p, const float *f, size_t n, size_t c)
{
	struct arena *a = &p->arena;
	double *cov = ARENA_NEW(a, double, c *c), *mean = ARENA_NEW(a, double, c);
	double *value = ARENA_NEW(a, double, c), *off = ARENA_NEW(a, double, c);
	double trace = 0, sum = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < c; j++)
			mean[j] += (double)f[i * c + j] / (double)n;
	for (size_t i = 0; i < n && !proxy_cancelled(p); i++) {
		for (size_t j = 0; j < c; j++)
			off[j] = (double)f[i * c + j] - mean[j];
		for (size_t j = 0; j < c; j++)
			for (size_t k = 0; k <= j; k++)
				cov[j * c + k] += off[j] * off[k];
	}
	symmetric_eigenvalues(cov, c, value, off);
	for (size_t j = 0; j < c; j++)
		trace += value[j];
	for (size_t j = 0; j < c && trace > 0; j++) {
		double share = fmax(value[j] / trace, 0);

		sum -= share * log(share + ENTROPY_SHIFT);
	}
	return sum;
}

struct gradient_pair {
	const float *in, *out; /* [images][h][w][c] of each */
	struct net_shape in_shape, out_shape;
	size_t images;
};

/* The rows of g_in that belong to output pixel @pixel of image @image, as channels. */
static size_t unshuffle(const struct gradient_pair *g, size_t image, uint32_t y, uint32_t x,
			float *row)
{
	const struct net_shape i = g->in_shape;
	uint32_t sy = i.h / g->out_shape.h, sx = i.w / g->out_shape.w;
	size_t n = 0;

	for (uint32_t dy = 0; dy < sy; dy++)
		for (uint32_t dx = 0; dx < sx; dx++, n += i.c)
			memcpy(row + n,
			       g->in + ((image * i.h + y * sy + dy) * i.w + x * sx + dx) * i.c,
			       i.c * sizeof *row);
	return n;
}

/* Largest singular value of g_in^T g_out / (images * pixels). */
static double singular(struct proxy *p, const struct gradient_pair *g)
{
	struct arena *a = &p->arena;
	const struct net_shape o = g->out_shape;
	size_t c = o.c, pixels = (size_t)o.h * o.w, rows;
	size_t wide = (size_t)(g->in_shape.h / o.h) * (g->in_shape.w / o.w) * g->in_shape.c;
	double *m = ARENA_NEW(a, double, wide *c), *gram = ARENA_NEW(a, double, c *c);
	double *value = ARENA_NEW(a, double, c), *off = ARENA_NEW(a, double, c), most = 0;
	float *row = ARENA_NEW(a, float, wide);

	for (size_t r = 0; r < g->images * pixels && !proxy_cancelled(p); r++) {
		const float *out = g->out + r * c;
		size_t pixel = r % pixels;

		rows = unshuffle(g, r / pixels, (uint32_t)(pixel / o.w), (uint32_t)(pixel % o.w),
				 row);
		for (size_t i = 0; i < rows; i++)
			for (size_t j = 0; j < c; j++)
				m[i * c + j] += (double)row[i] * (double)out[j];
	}
	for (size_t i = 0; i < wide && !proxy_cancelled(p); i++)
		for (size_t j = 0; j < c; j++)
			for (size_t k = 0; k <= j; k++)
				gram[j * c + k] += m[i * c + j] * m[i * c + k];
	symmetric_eigenvalues(gram, c, value, off);
	for (size_t j = 0; j < c; j++)
		most = fmax(most, value[j]);
	return sqrt(most) / (double)(g->images * pixels);
}

/* ---- one network ------------------------------------------------------------------------ */

struct sums {
	size_t blocks, trained;
	double expressivity, before, progressivity, trainability;
};

static void block_expressed(struct sums *s, double entropy)
{
	s->expressivity += entropy;
	if (s->blocks++ > 0)
		s->progressivity = fmin(s->progressivity, entropy - s->before);
	s->before = entropy;
}

static double block_trainability(struct proxy *p, struct net_shape out, struct rng *rng)
{
	const struct plan *plan = &p->plan;
	struct gradient_pair g = { .in_shape = plan->input,
				   .out_shape = out,
				   .images = plan->images };
	size_t n_out = g.images * plan->logit_pixels * plan->logit_channels;
	float *in = ARENA_NEW(&p->arena, float, g.images *net_elements(plan->input));
	double s;

	for (size_t i = 0; i < n_out; i++)
		p->runner.logits_gradient[i] = rng_u64(rng) >> 63 ? 1 : -1;
	proxy_backward(p);
	proxy_input_gradient(p, in);
	g.in = in;
	g.out = p->runner.logits_gradient;
	s = singular(p, &g);
	return 2 - s - 1 / (s + SINGULAR_SHIFT);
}

/* @image: what the block reads, then what it gives. */
static enum nasc_status block_run(struct proxy *p, const struct network *block, bool first,
				  struct rng *rng, float *image, struct sums *s,
				  struct nasc_err *err)
{
	static const struct proxy_method method = { .use = PLAN_INPUT_GRADIENT };
	struct net_shape shape = block->op[block->n_ops - 1].out;
	size_t pixels = (size_t)shape.h * shape.w;

	if (proxy_prepare(p, block, (uint32_t)p->cfg->images, &method, err))
		return err->code;
	proxy_draw(p, PROXY_NORMAL, rng);
	runner_load(&p->runner, image);
	p->runner.n_labels = 0;
	runner_forward(&p->runner, RUN_TRAIN);
	if (!proxy_cancelled(p)) {
		block_expressed(s, entropy(p, p->runner.logits, p->plan.images * pixels, shape.c));
		memcpy(image, p->runner.logits,
		       p->plan.images * net_elements(shape) * sizeof *image);
		if (!first) {
			s->trainability += block_trainability(p, shape, rng);
			s->trained++;
		}
	}
	return NASC_OK;
}

struct blocks {
	size_t n;
	struct network *net;
	size_t most; /* elements of the largest feature map, or of the image */
};

static enum nasc_status blocks_make(struct proxy *p, struct blocks *b, struct nasc_err *err)
{
	enum nasc_status st;
	struct network net;
	uint32_t *end;
	bool *live;

	st = plan_resize(p->request->net, p->cfg->image_size, &p->arena, &net, err);
	if (!st)
		st = proxy_features(&p->arena, &net, err);
	if (st)
		return st;
	live = operators_live(&net, &p->arena);
	end = ARENA_NEW(&p->arena, uint32_t, net.n_ops);
	b->n = blocks_find(&net, live, &p->arena, end);
	if (b->n == 0)
		return nasc_fail(err, NASC_CONFIG, "the network has no block");
	b->net = ARENA_NEW(&p->arena, struct network, b->n);
	b->most = net_elements(net.input);
	for (size_t i = 0; i < b->n; i++) {
		size_t n = net_elements(net.op[end[i]].out);

		st = block_make(&net, live, i ? end[i - 1] : 0, end[i], &p->arena, &b->net[i], err);
		if (st)
			return st;
		b->most = n > b->most ? n : b->most;
	}
	return NASC_OK;
}

static enum nasc_status network_run(struct proxy *p, double *value, struct nasc_err *err)
{
	size_t images = (size_t)p->cfg->images, n_image;
	struct blocks b = { 0 };
	enum nasc_status st;
	struct rng rng;
	float *image;

	st = blocks_make(p, &b, err);
	if (!st)
		st = memory_fits((double)b.most * (double)images * sizeof *image, err);
	if (st)
		return st;
	image = ARENA_NEW(&p->arena, float, b.most *images);
	n_image = images * net_elements(b.net[0].input);
	rng_stream(&rng, p->request->seed, RNG_INIT, p->request->id);
	for (int64_t r = 0; r < p->cfg->repeats && !proxy_cancelled(p); r++) {
		struct sums s = { .progressivity = INFINITY };

		for (size_t i = 0; i < n_image; i++)
			image[i] = (float)rng_normal(&rng);
		for (size_t i = 0; i < b.n && !proxy_cancelled(p); i++) {
			struct arena_mark mark = arena_mark(&p->arena);

			st = block_run(p, &b.net[i], i == 0, &rng, image, &s, err);

			proxy_release(p);
			arena_rewind(&p->arena, mark);
			if (st)
				return st;
		}
		value[EXPRESSIVITY] += s.expressivity / (double)p->cfg->repeats;
		value[PROGRESSIVITY] +=
			(s.blocks > 1 ? s.progressivity : 0) / (double)p->cfg->repeats;
		value[TRAINABILITY] +=
			(s.trained ? s.trainability / (double)s.trained : 2 - 1 / SINGULAR_SHIFT) /
			(double)p->cfg->repeats;
	}
	value[MACS] = (double)network_macs(p->request->net);
	return NASC_OK;
}

static enum eval_outcome values(struct evaluator *e, void *worker,
				const struct eval_request *request, struct eval_result *result,
				double *value)
{
	struct proxy *p = worker;
	struct arena_mark mark = arena_mark(&p->arena);
	struct nasc_err err = { 0 };
	enum nasc_status st;

	p->cfg = e->cfg;
	p->request = request;
	memset(value, 0, FIGURES * sizeof *value);
	st = network_run(p, value, &err);
	arena_rewind(&p->arena, mark);
	if (proxy_cancelled(p))
		return EVAL_CANCELLED;
	memcpy(result->value + 1, value, MACS * sizeof *value);
	return st ? proxy_failed(&err, result) : EVAL_OK;
}

static enum eval_outcome run(struct evaluator *e, void *worker, const struct eval_request *request,
			     struct eval_result *result)
{
	double value[FIGURES];

	return ranked_score(e->state, e, worker, request, result, value);
}

static enum nasc_status az_nas_open(struct evaluator *e, struct nasc_err *err)
{
	const struct proxy_cfg *cfg = e->cfg;

	if (!e->sample)
		return nasc_fail(err, NASC_CONFIG, "AZ-NAS ranks within a space: there is none");
	e->state = ranked_open((size_t)cfg->reference, FIGURES, values);
	return e->state ? NASC_OK : nasc_fail(err, NASC_FAIL, "out of memory");
}

static void az_nas_close(struct evaluator *e)
{
	ranked_close(e->state);
}

static const struct metric az_nas_metrics[] = {
	{ "az_nas", "az_nas", UNIT_NONE, true, false,
	  "proxy: summed log-ranks of the three figures and the MACs in a sample of the space" },
	{ "az_nas_expressivity", "az_nas_expressivity", UNIT_NONE, true, false,
	  "proxy: summed entropies of the blocks' features, untrained" },
	{ "az_nas_progressivity", "az_nas_progressivity", UNIT_NONE, true, false,
	  "proxy: least gain of entropy from block to block, untrained" },
	{ "az_nas_trainability", "az_nas_trainability", UNIT_NONE, true, false,
	  "proxy: how nearly the blocks keep the size of gradients, untrained" },
};

const struct evaluator_ops evaluator_az_nas = {
	.name = "az_nas",
	.summary = "proxy: expressivity, progressivity, trainability and MACs, by their ranks",
	.source = "Lee & Ham, CVPR 2024, arXiv 2403.19232",
	.metric = az_nas_metrics,
	.n_metrics = sizeof az_nas_metrics / sizeof *az_nas_metrics,
	.provenance = "proxy: AZ-NAS of the untrained network",
	.fields = az_nas_fields,
	.cfg_size = sizeof(struct proxy_cfg),
	.machine = proxy_machine,
	.open = az_nas_open,
	.worker_open = proxy_open,
	.run = run,
	.worker_close = proxy_close,
	.close = az_nas_close,
};
