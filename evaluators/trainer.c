#include "trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "clock.h"
#include "engine.h"
#include "loss.h"
#include "pool.h"
#include "rng.h"
#include "robustness.h"
#include "rungs.h"
#include "weights.h"

#define STATISTICS_MOMENTUM 0.1 /* of the running statistics, as PyTorch's default */

/* One network being trained. What one step leaves to the next is the model, the random
 * streams and the counters behind them, nothing else. A step's images are cut into shards; shard s,
 * worked on by any thread, leaves its gradient and statistics in slot s, and the slots are summed
 * in order: nothing depends on the number of threads. */
struct job {
	const struct train_request *request;
	const struct train_cfg *cfg; /* of the request */
	struct arena arena;
	struct network net; /* at the size of its images */
	struct plan plan;
	struct model model;
	struct pool *pool;
	unsigned threads;
	struct runner *runner; /* one a thread */
	float **image;
	uint8_t **label;
	float **target; /* NULL: the labels alone */
	struct batch train;
	struct loss_rule rule;
	double chance;			     /* loss of one answer for all images */
	size_t shards, shard, batch, images; /* a step, a shard, a step, an epoch */
	float *slot_gradient, *slot_mean, *slot_var;
	double *slot_loss;
	struct rng init, shuffle, augment;
	size_t done, epoch_steps, steps; /* steps so far, of an epoch, of the whole training */
	double loss;			 /* sum over the images of the epoch so far */
	double loss_sum;		 /* of the mean loss of each step */
	int64_t stuck;			 /* epochs in a row with a loss no better than chance */
	double start;			 /* clock, s */
	/* a test */
	const struct dataset *tested;
	struct robustness robustness;
	struct batch test;
	uint64_t *correct, *confusion; /* one, classes * classes a thread */
};

static bool cancelled(const struct job *j)
{
	const atomic_bool *cancel = j->request->cancel;

	return cancel && atomic_load_explicit(cancel, memory_order_relaxed);
}

/* ---- setting up -------------------------------------------------------------- */

bool trainer_bf16(const struct train_cfg *cfg)
{
	return cfg->precision == PRECISION_BF16 ||
	       (cfg->precision == PRECISION_AUTO && plan_prefers_bf16());
}

static enum nasc_status job_check(const struct train_cfg *cfg, const struct network *net,
				  const struct dataset *data, struct nasc_err *err)
{
	if (train_check(cfg, err) || dataset_check_network(data, net, err))
		return err->code;
	if (net->input.h == 1 && (cfg->rotate > 0 || cfg->shear > 0))
		return nasc_fail(err, NASC_CONFIG, "%s: a series cannot be",
				 cfg->rotate > 0 ? "rotate" : "shear");
	if (cfg->class_weights.n > 1 && cfg->class_weights.n != data->classes)
		return nasc_fail(err, NASC_CONFIG, "class_weights: %zu numbers for %u classes",
				 cfg->class_weights.n, data->classes);
	if (data->n == 0)
		return nasc_fail(err, NASC_DATA, "there are no training images");
	return NASC_OK;
}

static void job_sizes(struct job *j)
{
	const struct train_cfg *c = j->cfg;
	const struct dataset *data = j->request->train;

	if (c->shard < 1 || c->batch < 1) /* the schema's rows say so */
		abort();
	j->images = (size_t)(c->fraction * (double)data->n);
	j->images = j->images ? j->images : 1;
	j->shard = (size_t)c->shard < j->images ? (size_t)c->shard : j->images;
	j->batch = (size_t)c->batch < j->images ? (size_t)c->batch : j->images;
	j->shards = j->batch / j->shard;
	j->batch = j->shards * j->shard;
	j->epoch_steps = j->images / j->batch;
	j->steps = j->epoch_steps * (size_t)c->epochs;
}

double *trainer_class_weights(const struct train_cfg *cfg, uint32_t classes, const size_t *count,
			      struct arena *a)
{
	bool balanced = strcmp(cfg->class_weights.v[0], "balanced") == 0;
	double *weight = ARENA_NEW(a, double, classes), sum = 0, images = 0;
	struct nasc_err err;

	if (strcmp(cfg->class_weights.v[0], "none") == 0)
		return NULL;
	for (uint32_t k = 0; k < classes; k++) {
		if (balanced)
			weight[k] = count[k] ? 1 / (double)count[k] : 0;
		else if (unit_parse(cfg->class_weights.v[k], UNIT_NONE, &weight[k], &err))
			abort(); /* train_check() read them */
		sum += weight[k] * (double)count[k];
		images += (double)count[k];
	}
	for (uint32_t k = 0; k < classes && sum > 0; k++)
		weight[k] *= images / sum;
	return weight;
}

static void job_memory(struct job *j)
{
	struct arena *a = &j->arena;
	const struct plan *p = &j->plan;
	size_t pixels = net_elements(p->input), classes = p->classes;
	unsigned threads = j->threads;

	model_create(&j->model, p, a);
	model_extend(&j->model, j->cfg->optimizer == OPTIMIZER_ADAMW, j->cfg->ema > 0, a);
	j->runner = ARENA_NEW(a, struct runner, threads);
	j->image = ARENA_NEW(a, float *, threads);
	j->label = ARENA_NEW(a, uint8_t *, threads);
	j->correct = ARENA_NEW(a, uint64_t, threads);
	j->confusion = ARENA_NEW(a, uint64_t, threads * classes * classes);
	if (j->cfg->label_smoothing > 0 || j->cfg->mixup > 0 || j->rule.weight)
		j->target = ARENA_NEW(a, float *, threads);
	for (unsigned t = 0; t < threads; t++) {
		if (j->target)
			j->target[t] = ARENA_NEW(a, float, j->shard *classes);
		runner_create(&j->runner[t], p, &j->model, a);
		j->image[t] = ARENA_NEW(a, float, (j->shard + BATCH_SPARE) * pixels);
		j->label[t] = ARENA_NEW(a, uint8_t, j->shard);
	}
	j->slot_gradient = ARENA_NEW(a, float, j->shards * p->n_weights);
	j->slot_mean = ARENA_NEW(a, float, j->shards * p->n_channels);
	j->slot_var = ARENA_NEW(a, float, j->shards * p->n_channels);
	j->slot_loss = ARENA_NEW(a, double, j->shards);
}

static void job_rules(struct job *j)
{
	const struct train_cfg *c = j->cfg;
	const struct dataset *data = j->request->train;
	size_t *count = ARENA_NEW(&j->arena, size_t, data->classes);

	for (size_t i = 0; i < data->n; i++)
		count[data->label[i]]++;
	j->rule = (struct loss_rule){ .smoothing = c->label_smoothing,
				      .weight = trainer_class_weights(c, data->classes, count,
								      &j->arena) };
	j->chance = loss_of_chance(&j->rule, data->classes, count);
	batch_open(&j->train, data, data, j->plan.input, &j->arena);
	j->train.augment = (struct augment){ .shift = c->shift,
					     .flip = c->flip,
					     .rotate = c->rotate,
					     .shear = c->shear,
					     .scale = c->scale,
					     .cutout = c->cutout,
					     .mixup = c->mixup,
					     .step = j->batch };
}

/* At images of @size pixels; 0: of the network's own. */
static enum nasc_status job_open(struct job *j, int64_t size, struct nasc_err *err)
{
	const struct train_request *q = j->request;
	unsigned threads = q->threads ? q->threads : 1;
	enum nasc_status st;

	if (plan_resize(q->net, size, &j->arena, &j->net, err) ||
	    job_check(j->cfg, &j->net, q->train, err))
		return err->code;
	job_sizes(j);
	conv_use_one_thread();
	st = plan_create(&j->net, (uint32_t)j->shard, trainer_bf16(j->cfg), PLAN_TRAIN, &j->arena,
			 &j->plan, err);
	if (st)
		return st;
	threads = threads < j->shards ? threads : (unsigned)j->shards;
	if (plan_fits(&j->plan, threads, j->shards, err))
		return err->code;
	j->threads = threads;
	job_rules(j);
	job_memory(j);
	rng_stream(&j->init, q->seed, RNG_INIT, q->id);
	rng_stream(&j->shuffle, q->seed, RNG_SHUFFLE, q->id);
	rng_stream(&j->augment, q->seed, RNG_AUGMENT, q->id);
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

/* Of the images of a shard, that is fetched, from @at of the order on. */
static const float *targets(struct job *j, unsigned t, size_t at)
{
	uint32_t classes = j->plan.classes;

	if (!j->target)
		return NULL;
	for (size_t i = 0; i < j->shard; i++) {
		uint8_t other;
		float mix = batch_mixed(&j->train, at + i, &other);

		loss_target(&j->rule, classes, j->label[t][i], other, (double)mix,
			    j->target[t] + i * classes);
	}
	return j->target[t];
}

static void shard_train(void *ctx, unsigned t, size_t s)
{
	struct job *j = ctx;
	const struct plan *p = &j->plan;
	struct runner *r = &j->runner[t];
	size_t at = j->done % j->epoch_steps * j->batch + s * j->shard;

	if (cancelled(j))
		return;
	conv_use_one_thread();
	r->label = j->label[t];
	r->n_labels = (uint32_t)j->shard;
	r->loss_scale = 1 / (double)j->batch;
	batch_fetch(&j->train, at, j->shard, j->image[t], j->label[t]);
	r->target = targets(j, t, at);
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

double trainer_rate(const struct train_cfg *c, size_t k, size_t steps, size_t epoch_steps)
{
	size_t warm = (size_t)(c->warmup * (double)epoch_steps);

	if (k < warm)
		return c->rate * (double)(k + 1) / (double)warm;
	return c->rate * 0.5 *
	       (1 + cos(3.14159265358979323846 * (double)(k - warm) / (double)(steps - warm)));
}

/* One step on the next batch. */
static void step(struct job *j)
{
	const struct train_cfg *c = j->cfg;
	struct model *m = &j->model;
	size_t n = j->plan.n_weights;
	double loss = 0;
	const struct update u = { .adamw = c->optimizer == OPTIMIZER_ADAMW,
				  .rate = trainer_rate(c, j->done, j->steps, j->epoch_steps),
				  .momentum = c->momentum,
				  .decay = c->weight_decay,
				  .beta1 = c->beta1,
				  .beta2 = c->beta2,
				  .epsilon = c->epsilon,
				  .average = c->ema };

	pool_run(j->pool, j->shards, shard_train, j);
	memcpy(m->gradient, j->slot_gradient, n * sizeof(float));
	for (size_t s = 1; s < j->shards; s++)
		j->plan.kernels->sum(m->gradient, j->slot_gradient + s * n, n);
	for (size_t s = 0; s < j->shards; s++)
		loss += j->slot_loss[s];
	statistics_update(j);
	model_step(m, &u);
	runner_pack(&j->runner[0]);
	j->loss += loss;
	j->loss_sum += loss / (double)j->batch;
	j->done++;
}

static void show(const struct job *j)
{
	const struct train_request *q = j->request;
	double done = (double)j->done, s = clock_s() - j->start;
	size_t k = j->done - 1;
	struct train_progress p = { .epoch = (int64_t)(k / j->epoch_steps),
				    .epochs = j->cfg->epochs,
				    .loss = j->loss / (double)((k % j->epoch_steps + 1) * j->batch),
				    .images_per_s = done * (double)j->batch / (s > 1e-9 ? s : 1e-9),
				    .done = done / (double)j->steps };

	if (q->progress)
		q->progress(&p, q->ctx);
}

/* A loss that is not finite, or that stays with that of one answer for all images. */
static enum nasc_status diverged(struct job *j, struct nasc_err *err)
{
	size_t epoch = j->done / j->epoch_steps;
	double mean;

	if (!isfinite(j->loss))
		return nasc_fail(err, NASC_FAIL,
				 "training diverged: the loss is not finite after %zu of %zu steps",
				 j->done, j->steps);
	if (j->done % j->epoch_steps || (double)epoch - 1 < j->cfg->warmup)
		return NASC_OK;
	mean = j->loss / (double)(j->epoch_steps * j->batch);
	j->stuck = mean >= j->chance ? j->stuck + 1 : 0;
	if (j->cfg->patience == 0 || j->stuck < j->cfg->patience)
		return NASC_OK;
	return nasc_fail(err, NASC_FAIL,
			 "training diverged: over %lld epochs the loss, now %.4f, is no better "
			 "than that of chance, %.4f",
			 (long long)j->stuck, mean, j->chance);
}

static enum nasc_status job_train(struct job *j, size_t until, struct nasc_err *err)
{
	while (j->done < until) {
		if (j->done % j->epoch_steps == 0) {
			batch_shuffle(&j->train, &j->shuffle, &j->augment);
			j->loss = 0;
		}
		step(j);
		if (cancelled(j))
			return nasc_fail(err, NASC_INTERRUPTED, "stopped while training");
		if (diverged(j, err))
			return err->code;
		show(j);
	}
	return NASC_OK;
}

static struct train_state job_state(struct job *j)
{
	return (struct train_state){ .model = &j->model,
				     .batch = &j->train,
				     .shuffle = &j->shuffle,
				     .augment = &j->augment,
				     .done = j->done,
				     .stuck = j->stuck,
				     .loss_sum = j->loss_sum };
}

/* At the beginning, or where @from ends. False: that does not fit. */
static bool job_start(struct job *j, FILE *from)
{
	struct train_state s = job_state(j);

	model_init(&j->model, &j->init);
	batch_choose(&j->train, j->images, &j->shuffle);
	if (from && !state_read(from, &s))
		return false;
	j->done = s.done;
	j->stuck = s.stuck;
	j->loss_sum = s.loss_sum;
	runner_pack(&j->runner[0]);
	return true;
}

/* All of it anew. */
static enum nasc_status job_again(struct job *j, int64_t size, FILE *from, struct nasc_err *err)
{
	job_close(j);
	*j = (struct job){ .request = j->request, .cfg = j->cfg, .start = j->start };
	if (job_open(j, size, err))
		return err->code;
	if (!job_start(j, from)) /* of the same training, in which all fits */
		abort();
	return NASC_OK;
}

/* Go on with images of another size. */
static enum nasc_status job_resize(struct job *j, int64_t size, struct nasc_err *err)
{
	struct train_state s = job_state(j);
	char *bytes = NULL;
	size_t n = 0;
	FILE *fp = open_memstream(&bytes, &n);
	enum nasc_status st;

	if (!fp)
		abort();
	state_write(&s, 0, fp);
	if (fclose(fp) || !(fp = fmemopen(bytes, n, "r")))
		abort();
	st = job_again(j, size, fp, err);
	fclose(fp);
	free(bytes);
	return st;
}

/* To the end of the rung that is asked for. The job is to be closed whatever comes. */
static enum nasc_status job_climb(struct job *j, struct nasc_err *err)
{
	const struct train_request *q = j->request;
	uint64_t identity = q->rungs ? state_identity(q) : 0;
	FILE *from;
	size_t rung = rungs_begin(q, j->epoch_steps, identity, &from), last = rungs_last(q);
	enum nasc_status st = job_open(j, rungs_size(q, rung), err);

	if (!st && !job_start(j, from)) { /* damaged: as good as none */
		rung = 0;
		st = job_again(j, rungs_size(q, rung), NULL, err);
	}
	if (from)
		fclose(from);
	while (!st && !(st = job_train(j, j->epoch_steps * rungs_epochs(q, rung), err)) &&
	       rung < last) {
		rung++;
		if (rungs_size(q, rung) != rungs_size(q, rung - 1))
			st = job_resize(j, rungs_size(q, rung), err);
	}
	if (st)
		return st;
	if (rungs_leaves(q)) {
		struct train_state s = job_state(j);

		state_save(&s, identity, q->state_path);
	}
	model_swap_average(&j->model);
	runner_pack(&j->runner[0]);
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
	if (j->robustness.noisy)
		robustness_noise(&j->robustness, j->request->train, at, some, j->plan.input,
				 j->image[t]);
	r->label = j->label[t];
	r->target = NULL;
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
	batch_open(&j->test, data, j->request->train, j->plan.input, &j->arena);
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

static enum nasc_status test_part(void *ctx, size_t first, size_t n, double *accuracy,
				  struct nasc_err *err)
{
	struct job *j = ctx;
	struct dataset part = *j->tested;

	part.n = n;
	part.image = (const char *)part.image +
		     first * net_elements(part.shape) * pixel_bytes(part.pixel);
	part.label += first;
	return job_test(j, &part, accuracy, NULL, err);
}

static enum nasc_status job_faults(struct job *j, const struct dataset *data,
				   struct train_robustness *out, struct nasc_err *err)
{
	const struct train_request *q = j->request;

	j->tested = data;
	j->robustness = (struct robustness){ .cfg = j->cfg,
					     .seed = q->seed,
					     .id = q->id,
					     .runner = &j->runner[0],
					     .model = &j->model,
					     .images = data ? data->n : 0 };
	return robustness_measure(&j->robustness, test_part, j, out, err);
}

enum nasc_status train_network(const struct train_request *q, struct arena *a,
			       struct train_report *out, struct nasc_err *err)
{
	struct job j = { .request = q, .cfg = q->cfg, .start = clock_s() };
	struct train_report report = { 0 };
	enum nasc_status st = train_check(q->cfg, err);

	report.confusion = ARENA_NEW(a, uint64_t, (size_t)q->train->classes * q->train->classes);
	if (!st) {
		job_sizes(&j);
		st = job_climb(&j, err);
	}
	if (!st)
		st = job_test(&j, q->validation, &report.validation_accuracy, NULL, err);
	if (!st)
		st = job_faults(&j, q->validation, &report.validation_robustness, err);
	if (!st)
		st = job_test(&j, q->test, &report.test_accuracy, report.confusion, err);
	if (!st)
		st = job_faults(&j, q->test, &report.test_robustness, err);
	if (!st) {
		report.loss = j.loss / (double)(j.epoch_steps * j.batch);
		report.loss_sum = j.loss_sum;
		report.precision = j.plan.bf16 ? "bf16" : "f32";
		report.memory_bytes = plan_bytes(&j.plan, 1, j.shards);
		*out = report;
		if (q->weights_path)
			st = weights_save(&j.model, &j.net, q->weights_path, err);
	}
	job_close(&j);
	return st;
}
