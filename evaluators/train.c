#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "clock.h"
#include "engine.h"
#include "pool.h"
#include "rng.h"
#include "weights.h"

#define STATISTICS_MOMENTUM 0.1 /* of the running statistics, as PyTorch's default */

static const char *const precision_names[] = { "auto", "f32", "bf16", NULL };
enum { PRECISION_AUTO, PRECISION_F32, PRECISION_BF16 };

const struct cfg_field train_fields[] = {
	CFG_INT_FIELD(struct train_cfg, epochs, "1", 1, 10000, "epochs",
		      "passes over the images of a candidate"),
	CFG_REAL_FIELD(struct train_cfg, fraction, "1", 1e-6, 1, UNIT_FRACTION, "",
		       "part of the training images used, chosen by the seed"),
	CFG_INT_FIELD(struct train_cfg, image_size, "0", 0, 4096, "pixels",
		      "height and width to train at; 0: the network's own input"),
	CFG_INT_FIELD(struct train_cfg, batch, "64", 1, 65536, "images",
		      "images of one step; a multiple of shard"),
	CFG_INT_FIELD(struct train_cfg, shard, "32", 1, 4096, "images",
		      "images whose batch norm statistics are taken together"),
	CFG_REAL_FIELD(struct train_cfg, rate, "0.1", 0, 100, UNIT_NONE, "",
		       "learning rate at the start; a cosine takes it to 0"),
	CFG_REAL_FIELD(struct train_cfg, momentum, "0.9", 0, 1, UNIT_NONE, "",
		       "of Nesterov's method"),
	CFG_REAL_FIELD(struct train_cfg, weight_decay, "1e-4", 0, 1, UNIT_NONE, "",
		       "pull of the weights to 0; not on biases and batch norms"),
	CFG_INT_FIELD(struct train_cfg, shift, "0", 0, 64, "pixels",
		      "images are moved by up to so much in both directions"),
	CFG_BOOL_FIELD(struct train_cfg, flip, "false", "mirror images left to right at random"),
	CFG_CHOICE_FIELD(struct train_cfg, precision, "auto", precision_names,
			 "storage of activations; auto: bf16 on a CPU with AMX, else f32"),
	CFG_END
};

/* One network being trained. A step's images are cut into shards; shard s, worked on
 * by any thread, leaves its gradient and statistics in slot s, and the slots are summed
 * in order: nothing depends on the number of threads. */
struct job {
	const struct train_cfg *cfg;
	const struct dataset *norm;
	const atomic_bool *cancel;
	struct arena arena;
	struct plan plan;
	struct model model;
	struct pool *pool;
	unsigned threads;
	struct runner *runner; /* one a thread */
	float **image;
	uint8_t **label;
	struct batch train;
	size_t shards, shard, batch, images; /* a step, a shard, a step, an epoch */
	float *slot_gradient, *slot_mean, *slot_var;
	double *slot_loss;
	size_t first; /* image of the step */
	/* a test */
	struct batch test;
	uint64_t *correct, *confusion; /* one, classes * classes a thread */
};

static bool cancelled(const struct job *j)
{
	return j->cancel && atomic_load_explicit(j->cancel, memory_order_relaxed);
}

/* ---- setting up -------------------------------------------------------------- */

enum nasc_status train_check(const struct train_cfg *cfg, struct nasc_err *err)
{
	if (cfg->batch % cfg->shard != 0)
		return nasc_fail(err, NASC_CONFIG,
				 "batch: %lld images are not a multiple of shard: %lld",
				 (long long)cfg->batch, (long long)cfg->shard);
	if (cfg->precision == PRECISION_BF16 && !plan_has_bf16())
		return nasc_fail(err, NASC_CONFIG,
				 "precision: bf16 needs a CPU with AVX-512; auto or f32 would run "
				 "here");
	return NASC_OK;
}

static bool in_bf16(const struct train_cfg *cfg)
{
	return cfg->precision == PRECISION_BF16 ||
	       (cfg->precision == PRECISION_AUTO && plan_prefers_bf16());
}

static enum nasc_status job_check(const struct train_cfg *cfg, const struct network *net,
				  const struct dataset *data, struct nasc_err *err)
{
	if (train_check(cfg, err))
		return err->code;
	if (net->input.c != data->shape.c)
		return nasc_fail(err, NASC_CONFIG,
				 "the network reads %u channels, the images have %u", net->input.c,
				 data->shape.c);
	if (net->classes != data->classes)
		return nasc_fail(err, NASC_CONFIG,
				 "the network tells %u classes apart, the labels are of %u",
				 net->classes, data->classes);
	if (data->n == 0)
		return nasc_fail(err, NASC_DATA, "there are no training images");
	return NASC_OK;
}

static void job_sizes(struct job *j, const struct dataset *data)
{
	const struct train_cfg *c = j->cfg;

	if (c->shard < 1 || c->batch < 1) /* the schema's rows say so */
		abort();
	j->images = (size_t)(c->fraction * (double)data->n);
	j->images = j->images ? j->images : 1;
	j->shard = (size_t)c->shard < j->images ? (size_t)c->shard : j->images;
	j->batch = (size_t)c->batch < j->images ? (size_t)c->batch : j->images;
	j->shards = j->batch / j->shard;
	j->batch = j->shards * j->shard;
}

static void job_memory(struct job *j)
{
	struct arena *a = &j->arena;
	const struct plan *p = &j->plan;
	size_t pixels = net_elements(p->input), classes = p->classes;
	unsigned threads = j->threads;

	model_create(&j->model, p, a);
	j->runner = ARENA_NEW(a, struct runner, threads);
	j->image = ARENA_NEW(a, float *, threads);
	j->label = ARENA_NEW(a, uint8_t *, threads);
	j->correct = ARENA_NEW(a, uint64_t, threads);
	j->confusion = ARENA_NEW(a, uint64_t, threads * classes * classes);
	for (unsigned t = 0; t < threads; t++) {
		runner_create(&j->runner[t], p, &j->model, a);
		j->image[t] = ARENA_NEW(a, float, j->shard *pixels);
		j->label[t] = ARENA_NEW(a, uint8_t, j->shard);
	}
	j->slot_gradient = ARENA_NEW(a, float, j->shards * p->n_weights);
	j->slot_mean = ARENA_NEW(a, float, j->shards * p->n_channels);
	j->slot_var = ARENA_NEW(a, float, j->shards * p->n_channels);
	j->slot_loss = ARENA_NEW(a, double, j->shards);
}

static enum nasc_status job_open(struct job *j, const struct network *net,
				 const struct dataset *data, unsigned threads, struct nasc_err *err)
{
	enum nasc_status st;

	conv_use_one_thread();
	st = plan_create(net, (uint32_t)j->shard, in_bf16(j->cfg), &j->arena, &j->plan, err);
	if (st)
		return st;
	threads = threads < j->shards ? threads : (unsigned)j->shards;
	if (plan_fits(&j->plan, threads, j->shards, err))
		return err->code;
	j->threads = threads;
	job_memory(j);
	batch_open(&j->train, data, data, j->plan.input, &j->arena);
	j->norm = data;
	return pool_open(&j->pool, threads, err);
}

static void job_close(struct job *j)
{
	pool_close(j->pool);
	for (unsigned t = 0; t < j->threads; t++)
		runner_release(&j->runner[t]);
	plan_release(&j->plan);
	arena_free(&j->arena);
}

/* ---- training ---------------------------------------------------------------- */

static void shard_train(void *ctx, unsigned t, size_t s)
{
	struct job *j = ctx;
	const struct plan *p = &j->plan;
	struct runner *r = &j->runner[t];

	if (cancelled(j))
		return;
	conv_use_one_thread();
	r->label = j->label[t];
	r->n_labels = (uint32_t)j->shard;
	r->loss_scale = 1 / (double)j->batch;
	batch_fetch(&j->train, j->first + s * j->shard, j->shard, j->image[t], j->label[t]);
	runner_load(r, j->image[t]);
	runner_forward(r, RUN_TRAIN);
	runner_backward(r);
	j->slot_loss[s] = r->loss;
	memcpy(j->slot_gradient + s * p->n_weights, r->gradient, p->n_weights * sizeof(float));
	memcpy(j->slot_mean + s * p->n_channels, r->mean, p->n_channels * sizeof(float));
	memcpy(j->slot_var + s * p->n_channels, r->var, p->n_channels * sizeof(float));
}

/* Running statistics: mean of the shards, in order; the variance unbiased. */
static void statistics_update(struct job *j)
{
	struct model *m = &j->model;
	const struct plan *p = &j->plan;
	double keep = m->started ? 1 - STATISTICS_MOMENTUM : 0;

	for (size_t i = 0; i < p->n_forward; i++) {
		const struct phase *ph = &p->phase[i];
		double n = (double)j->shard * ph->pixels;
		double unbiased = n > 1 ? n / (n - 1) : 1;

		if (ph->kind != PHASE_STATS)
			continue;
		for (size_t c = ph->channel; c < ph->channel + ph->c; c++) {
			double mean = 0, var = 0;

			for (size_t s = 0; s < j->shards; s++) {
				mean += (double)j->slot_mean[s * p->n_channels + c];
				var += (double)j->slot_var[s * p->n_channels + c];
			}
			mean /= (double)j->shards;
			var *= unbiased / (double)j->shards;
			m->running_mean[c] =
				(float)(keep * (double)m->running_mean[c] + (1 - keep) * mean);
			m->running_var[c] =
				(float)(keep * (double)m->running_var[c] + (1 - keep) * var);
		}
	}
	m->started = true;
}

/* One step on the batch at j->first; its summed loss. */
static double step(struct job *j, double rate)
{
	struct model *m = &j->model;
	size_t n = j->plan.n_weights;
	double loss = 0;

	pool_run(j->pool, j->shards, shard_train, j);
	memcpy(m->gradient, j->slot_gradient, n * sizeof(float));
	for (size_t s = 1; s < j->shards; s++)
		j->plan.kernels->sum(m->gradient, j->slot_gradient + s * n, n);
	for (size_t s = 0; s < j->shards; s++)
		loss += j->slot_loss[s];
	statistics_update(j);
	model_step(m, rate, j->cfg->momentum, j->cfg->weight_decay);
	runner_pack(&j->runner[0]);
	return loss;
}

struct watch {
	void (*progress)(const struct train_progress *, void *);
	void *ctx;
	double start;
};

static enum nasc_status job_train(struct job *j, uint64_t seed, uint64_t id, const struct watch *w,
				  double *loss, struct nasc_err *err)
{
	const struct train_cfg *c = j->cfg;
	size_t steps = j->images / j->batch, all = steps * (size_t)c->epochs;
	struct rng init, shuffle, augment;

	rng_stream(&init, seed, RNG_INIT, id);
	rng_stream(&shuffle, seed, RNG_SHUFFLE, id);
	rng_stream(&augment, seed, RNG_AUGMENT, id);
	model_init(&j->model, &init);
	runner_pack(&j->runner[0]);
	batch_choose(&j->train, j->images, &shuffle);
	for (size_t k = 0; k < all; k++) {
		double rate =
			c->rate * 0.5 * (1 + cos(3.14159265358979323846 * (double)k / (double)all));
		size_t in_epoch = k % steps;

		if (in_epoch == 0) {
			batch_shuffle(&j->train, &shuffle, &augment, c->shift, c->flip);
			*loss = 0;
		}
		j->first = in_epoch * j->batch;
		*loss += step(j, rate);
		if (cancelled(j))
			return nasc_fail(err, NASC_INTERRUPTED, "stopped while training");
		if (!isfinite(*loss))
			return nasc_fail(err, NASC_FAIL,
					 "training diverged: the loss is not finite after %zu of "
					 "%zu steps",
					 k + 1, all);
		if (w->progress) {
			double done = (double)(k + 1), s = clock_s() - w->start;
			struct train_progress p = {
				.epoch = (int64_t)(k / steps),
				.epochs = c->epochs,
				.loss = *loss / (double)((in_epoch + 1) * j->batch),
				.images_per_s = done * (double)j->batch / (s > 1e-9 ? s : 1e-9),
				.done = done / (double)all
			};

			w->progress(&p, w->ctx);
		}
	}
	*loss /= (double)(steps * j->batch);
	return NASC_OK;
}

/* ---- testing ----------------------------------------------------------------- */

static void shard_test(void *ctx, unsigned t, size_t s)
{
	struct job *j = ctx;
	struct runner *r = &j->runner[t];
	size_t classes = j->plan.classes, at = s * j->shard, left = j->test.n - at;
	size_t some = left < j->shard ? left : j->shard;
	uint64_t *confusion = j->confusion + t * classes * classes;

	if (cancelled(j))
		return;
	conv_use_one_thread();
	batch_fetch(&j->test, at, some, j->image[t], j->label[t]);
	r->label = j->label[t];
	r->n_labels = (uint32_t)some;
	runner_load(r, j->image[t]);
	runner_forward(r, RUN_INFER);
	j->correct[t] += r->correct;
	for (size_t i = 0; i < some; i++)
		confusion[r->label[i] * classes + r->answer[i]]++;
}

static enum nasc_status job_test(struct job *j, const struct dataset *data, double *accuracy,
				 uint64_t *confusion, struct nasc_err *err)
{
	size_t cells = (size_t)j->plan.classes * j->plan.classes;
	struct arena_mark mark = arena_mark(&j->arena);
	uint64_t correct = 0;

	*accuracy = (double)NAN;
	if (!data || data->n == 0)
		return NASC_OK;
	batch_open(&j->test, data, j->norm, j->plan.input, &j->arena);
	memset(j->correct, 0, j->threads * sizeof *j->correct);
	memset(j->confusion, 0, j->threads * cells * sizeof *j->confusion);
	pool_run(j->pool, (data->n + j->shard - 1) / j->shard, shard_test, j);
	arena_rewind(&j->arena, mark);
	if (cancelled(j))
		return nasc_fail(err, NASC_INTERRUPTED, "stopped while testing");
	for (unsigned t = 0; t < j->threads; t++) {
		correct += j->correct[t];
		for (size_t i = 0; confusion && i < cells; i++)
			confusion[i] += j->confusion[t * cells + i];
	}
	*accuracy = (double)correct / (double)data->n;
	return NASC_OK;
}

static enum nasc_status sized(const struct train_cfg *cfg, const struct network **net,
			      struct network *resized, struct arena *a, struct nasc_err *err)
{
	uint32_t size = (uint32_t)cfg->image_size;
	enum nasc_status st;

	if (size == 0)
		return NASC_OK;
	st = network_resize(*net, size, size, a, resized, err);
	*net = resized;
	return st;
}

enum nasc_status train_network(const struct train_cfg *cfg, const struct network *net,
			       const struct dataset *train, const struct dataset *validation,
			       const struct dataset *test, uint64_t seed, uint64_t id,
			       unsigned threads, const char *weights_path,
			       const atomic_bool *cancel,
			       void (*progress)(const struct train_progress *, void *), void *ctx,
			       struct arena *a, struct train_report *out, struct nasc_err *err)
{
	struct job j = { .cfg = cfg, .cancel = cancel };
	struct watch watch = { progress, ctx, clock_s() };
	struct train_report report = { 0 };
	struct network resized;
	enum nasc_status st;

	st = sized(cfg, &net, &resized, &j.arena, err);
	if (!st)
		st = job_check(cfg, net, train, err);
	if (!st) {
		job_sizes(&j, train);
		report.confusion = ARENA_NEW(a, uint64_t, (size_t)train->classes * train->classes);
		st = job_open(&j, net, train, threads ? threads : 1, err);
	}
	if (!st)
		st = job_train(&j, seed, id, &watch, &report.loss, err);
	if (!st)
		st = job_test(&j, validation, &report.validation_accuracy, NULL, err);
	if (!st)
		st = job_test(&j, test, &report.test_accuracy, report.confusion, err);
	if (!st) {
		report.precision = j.plan.bf16 ? "bf16" : "f32";
		*out = report;
		if (weights_path)
			st = weights_save(&j.model, net, weights_path, err);
	}
	job_close(&j);
	return st;
}

/* ---- the evaluator ----------------------------------------------------------- */

static const struct metric train_metrics[] = {
	{ "error", "error", UNIT_FRACTION, false, false,
	  "part of the validation images classified wrongly" },
	{ "accuracy", "accuracy", UNIT_FRACTION, true, false,
	  "part of the validation images classified rightly" },
};

static enum nasc_status check(const void *cfg, struct nasc_err *err)
{
	return train_check(cfg, err);
}

static void machine(const void *cfg, char text[128])
{
	plan_machine(in_bf16(cfg), text);
}

static enum nasc_status open(struct evaluator *e, struct nasc_err *err)
{
	if (!e->validation || e->validation->n == 0)
		return nasc_fail(err, NASC_CONFIG,
				 "evaluator 'train' needs validation images: data.validation must "
				 "be above 0");
	return check(e->cfg, err);
}

static enum eval_outcome run(struct evaluator *e, void *worker, const struct eval_request *request,
			     struct eval_result *result)
{
	struct arena a = { 0 };
	struct train_report report;
	struct nasc_err err = { 0 };
	enum nasc_status st;

	(void)worker;
	st = train_network(e->cfg, request->net, e->train, e->validation, NULL, request->seed,
			   request->id, 1, NULL, request->cancel, NULL, NULL, &a, &report, &err);
	arena_free(&a);
	if (st == NASC_INTERRUPTED)
		return EVAL_CANCELLED;
	if (st) {
		snprintf(result->why, sizeof result->why, "%.*s", (int)sizeof result->why - 1,
			 err.msg);
		return EVAL_FAILED;
	}
	result->value[0] = 1 - report.validation_accuracy;
	result->value[1] = report.validation_accuracy;
	return EVAL_OK;
}

const struct evaluator_ops evaluator_train = {
	.name = "train",
	.summary = "train on part of the training images, measure on the validation images",
	.source = "Sutskever et al., ICML 2013; Loshchilov & Hutter, ICLR 2017",
	.metric = train_metrics,
	.n_metrics = sizeof train_metrics / sizeof *train_metrics,
	.provenance = "measured: trained briefly, accuracy on the validation images",
	.needs_data = true,
	.fields = train_fields,
	.cfg_size = sizeof(struct train_cfg),
	.check = check,
	.machine = machine,
	.open = open,
	.run = run,
};
