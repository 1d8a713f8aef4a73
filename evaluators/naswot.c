#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "engine.h"
#include "rng.h"

/* NASWOT, Mellor et al., ICML 2021 (arXiv 2006.04647): how differently the ReLUs
 * of an untrained network open for different images. Image i gives each ReLU
 * layer a binary code c_i; K_ij = sum over the layers of (units - Hamming
 * distance of c_i and c_j); the score is log |det K|. */

struct naswot_cfg {
	int64_t images, repeats, image_size;
};
static const struct cfg_field naswot_fields[] = {
	CFG_INT_FIELD(struct naswot_cfg, images, "32", 2, 1024, "images",
		      "training images compared, the same for all candidates"),
	CFG_INT_FIELD(struct naswot_cfg, repeats, "3", 1, 1000, "times",
		      "initial weights averaged over"),
	CFG_INT_FIELD(struct naswot_cfg, image_size, "0", 0, 4096, "pixels",
		      "height and width to run at; 0: the network's own input"),
	CFG_END
};

struct proxy_run {
	struct arena arena;
	struct plan plan;
	struct model model;
	struct runner runner;
	double *kernel; /* images * images */
	uint64_t *code; /* images * words of the widest layer */
};

static bool cancelled(const struct proxy_run *p)
{
	return runner_cancelled(&p->runner);
}

/* log |det| of the kernel matrix, destroyed; -INFINITY when singular. LU with partial
 * pivoting. Of no meaning once cancelled. */
static double log_det(struct proxy_run *p)
{
	size_t n = p->plan.images;
	double sum = 0, *k = p->kernel;

	for (size_t c = 0; c < n && !cancelled(p); c++) {
		size_t pivot = c;

		for (size_t r = c + 1; r < n; r++)
			pivot = fabs(k[r * n + c]) > fabs(k[pivot * n + c]) ? r : pivot;
		for (size_t i = 0; i < n && pivot != c; i++) {
			double t = k[c * n + i];

			k[c * n + i] = k[pivot * n + i];
			k[pivot * n + i] = t;
		}
		sum += log(fabs(k[c * n + c]));
		if (!isfinite(sum))
			return -(double)INFINITY;
		for (size_t r = c + 1; r < n; r++) {
			double f = k[r * n + c] / k[c * n + c];

			for (size_t i = c; i < n; i++)
				k[r * n + i] -= f * k[c * n + i];
		}
	}
	return sum;
}

/* Bits of the units of one image, in order: is it open? */
static void code_take(const float *y, size_t stride, size_t pixels, size_t channels, uint64_t *code)
{
	uint64_t word = 0;
	unsigned bit = 0;

	for (size_t p = 0; p < pixels; p++)
		for (size_t c = 0; c < channels; c++) {
			word |= (uint64_t)(y[p * stride + c] > 0) << bit;
			if (++bit == 64) {
				*code++ = word;
				word = bit = 0;
			}
		}
	if (bit)
		*code = word;
}

/* Add one layer to the kernel matrix. */
static void layer_add(struct proxy_run *p, const struct plan_code *c)
{
	size_t n = p->plan.images, units = (size_t)c->pixels * c->c, words = (units + 63) / 64;
	struct rows y = runner_rows(&p->runner, c->y);

	for (size_t i = 0; i < n && !cancelled(p); i++)
		code_take((const float *)y.at + i * c->pixels * y.stride, y.stride, c->pixels, c->c,
			  p->code + i * words);
	for (size_t i = 0; i < n && !cancelled(p); i++)
		for (size_t j = 0; j <= i; j++) {
			uint64_t differ = 0;

			for (size_t w = 0; w < words; w++)
				differ += (uint64_t)__builtin_popcountll(p->code[i * words + w] ^
									 p->code[j * words + w]);
			p->kernel[i * n + j] += (double)(units - differ);
			p->kernel[j * n + i] = p->kernel[i * n + j];
		}
}

/* Of no meaning once cancelled. */
static double score_once(struct proxy_run *p, struct rng *init)
{
	size_t n = p->plan.images;

	model_init(&p->model, init);
	runner_pack(&p->runner);
	runner_forward(&p->runner, RUN_TRAIN);
	memset(p->kernel, 0, n * n * sizeof *p->kernel);
	for (size_t i = 0; i < p->plan.n_codes; i++)
		layer_add(p, &p->plan.code[i]);
	return log_det(p);
}

/* The first images of the run's own order of the training images. */
static void images_load(struct proxy_run *p, const struct dataset *data, uint64_t seed)
{
	size_t n = p->plan.images;
	float *image = ARENA_NEW(&p->arena, float, n *net_elements(p->plan.input));
	uint8_t *label = ARENA_NEW(&p->arena, uint8_t, n);
	struct batch batch;
	struct rng rng;

	rng_stream(&rng, seed, RNG_PROXY, 0);
	batch_open(&batch, data, data, p->plan.input, &p->arena);
	batch_choose(&batch, n, &rng);
	batch_fetch(&batch, 0, n, image, label);
	runner_load(&p->runner, image);
	p->runner.label = label;
	p->runner.n_labels = 0; /* no loss */
}

static enum nasc_status proxy_open(struct proxy_run *p, const struct naswot_cfg *cfg,
				   const struct eval_request *request, const struct dataset *data,
				   struct nasc_err *err)
{
	const struct network *net = request->net;
	uint32_t size = (uint32_t)cfg->image_size;
	size_t n = (size_t)cfg->images < data->n ? (size_t)cfg->images : data->n, widest = 0;
	struct network resized;
	enum nasc_status st;

	if (size) {
		st = network_resize(net, size, size, &p->arena, &resized, err);
		if (st)
			return st;
		net = &resized;
	}
	if (net->input.c != data->shape.c)
		return nasc_fail(err, NASC_CONFIG,
				 "the network reads %u channels, the images have %u", net->input.c,
				 data->shape.c);
	conv_use_one_thread();
	st = plan_create(net, (uint32_t)n, false, &p->arena, &p->plan, err);
	if (st)
		return st;
	if (p->plan.n_codes == 0)
		return nasc_fail(err, NASC_CONFIG, "the network has no ReLU to take codes from");
	if (plan_fits(&p->plan, 1, 0, err))
		return err->code;
	model_create(&p->model, &p->plan, &p->arena);
	runner_create(&p->runner, &p->plan, &p->model, &p->arena);
	p->runner.cancel = request->cancel;
	for (size_t i = 0; i < p->plan.n_codes; i++) {
		size_t units = (size_t)p->plan.code[i].pixels * p->plan.code[i].c;

		widest = units > widest ? units : widest;
	}
	p->kernel = ARENA_NEW(&p->arena, double, n *n);
	p->code = ARENA_NEW(&p->arena, uint64_t, n * ((widest + 63) / 64));
	return NASC_OK;
}

static enum eval_outcome score(struct proxy_run *p, const struct evaluator *e,
			       const struct eval_request *request, double *out,
			       struct nasc_err *err)
{
	const struct naswot_cfg *cfg = e->cfg;
	struct rng init;
	double sum = 0;

	if (proxy_open(p, cfg, request, e->train, err))
		return EVAL_FAILED;
	rng_stream(&init, request->seed, RNG_INIT, request->id);
	images_load(p, e->train, request->seed);
	for (int64_t i = 0; i < cfg->repeats && !cancelled(p); i++)
		sum += score_once(p, &init);
	if (cancelled(p))
		return EVAL_CANCELLED;
	*out = sum / (double)cfg->repeats;
	if (isfinite(*out))
		return EVAL_OK;
	nasc_fail(err, NASC_FAIL, "the kernel matrix is singular: two images open the same ReLUs");
	return EVAL_FAILED;
}

static enum eval_outcome run(struct evaluator *e, void *worker, const struct eval_request *request,
			     struct eval_result *result)
{
	struct proxy_run p = { 0 };
	struct nasc_err err = { 0 };
	enum eval_outcome outcome = score(&p, e, request, &result->value[0], &err);

	(void)worker;
	runner_release(&p.runner);
	plan_release(&p.plan);
	arena_free(&p.arena);
	if (outcome == EVAL_FAILED)
		snprintf(result->why, sizeof result->why, "%.*s", (int)sizeof result->why - 1,
			 err.msg);
	return outcome;
}

static void machine(const void *cfg, char text[128])
{
	(void)cfg;
	plan_machine(false, text);
}

static const struct metric naswot_metrics[] = {
	{ "naswot", "naswot", UNIT_NONE, true, false,
	  "proxy: log-determinant of the ReLU codes' kernel, untrained" },
};

const struct evaluator_ops evaluator_naswot = {
	.name = "naswot",
	.summary = "proxy: how differently the ReLUs of the untrained network open for images",
	.source = "Mellor et al., ICML 2021, arXiv 2006.04647",
	.metric = naswot_metrics,
	.n_metrics = 1,
	.provenance = "proxy: NASWOT of the untrained network",
	.needs_data = true,
	.fields = naswot_fields,
	.cfg_size = sizeof(struct naswot_cfg),
	.machine = machine,
	.run = run,
};
