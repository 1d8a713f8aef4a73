/* Images per second that training takes, as in a search: every worker trains a network of its own.
 * Beside it where the time of one worker goes, phase by phase, and the memory that it takes.
 *
 * usage: train [--json] [--shares] [--phases] [--precision auto|f32|bf16] [--batch N] [--shard N]
 *              [--workers N] [--steps N] [NET ...]
 *
 * --shares  the part of a worker's time by kind of phase, in a run of its own
 * --phases  the time of each phase, besides
 * --shard   images whose batch norm statistics are taken together; the batch: as PyTorch
 * --workers default: one a processor
 *
 * ONEDNN_MAX_CPU_ISA (AVX2, AVX512_CORE) keeps oneDNN and the kernels to an instruction set. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "batch.h"
#include "clock.h"
#include "engine.h"
#include "evaluators.h"
#include "rng.h"
#include "train_nets.h"
#include "trainer.h"

#define WARM_UP	    2 /* steps that are not measured */
#define MAX_WORKERS 256

struct options {
	struct train_cfg cfg;
	size_t steps;
	unsigned workers;
	bool json, shares, phases;
};

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "train: %s: %s\n", what, why);
	exit(1);
}

static void images_make(struct net_shape shape, size_t n, struct arena *a, struct dataset *d)
{
	size_t bytes = n * net_elements(shape);
	uint8_t *image = ARENA_NEW(a, uint8_t, bytes), *label = ARENA_NEW(a, uint8_t, n);
	struct rng rng;

	rng_stream(&rng, 1, RNG_SAMPLE, 0);
	for (size_t i = 0; i < bytes; i++)
		image[i] = (uint8_t)rng_below(&rng, 256);
	for (size_t i = 0; i < n; i++)
		label[i] = (uint8_t)rng_below(&rng, 10);
	*d = (struct dataset){ .n = n,
			       .shape = shape,
			       .classes = 10,
			       .image = image,
			       .label = label,
			       .mean = { .5f, .5f, .5f },
			       .std = { .29f, .29f, .29f } };
}

/* ---- images per second --------------------------------------------------------- */

struct worker {
	pthread_t thread;
	const struct options *options;
	const struct network *net;
	const struct dataset *data;
	pthread_barrier_t *barrier;
	uint64_t id;
	size_t step;
	double begin, end, cpu_begin, cpu_end;
	const char *precision;
};

/* Of the calling thread [s]. */
static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* All workers begin to be measured at once, when each has warmed up. */
static void step_done(const struct train_progress *p, void *ctx)
{
	struct worker *w = ctx;

	(void)p;
	w->end = clock_s();
	w->cpu_end = cpu_s();
	if (++w->step == WARM_UP) {
		pthread_barrier_wait(w->barrier);
		w->begin = clock_s();
		w->cpu_begin = cpu_s();
	}
}

static void *worker_run(void *ctx)
{
	struct worker *w = ctx;
	struct arena a = { 0 };
	struct train_report report;
	struct nasc_err err = { 0 };

	if (train_network(&(struct train_request){ .cfg = &w->options->cfg,
						   .net = w->net,
						   .train = w->data,
						   .seed = 1,
						   .id = w->id,
						   .threads = 1,
						   .progress = step_done,
						   .ctx = w },
			  &a, &report, &err))
		fail("training", err.msg);
	w->precision = report.precision;
	arena_free(&a);
	return NULL;
}

struct speed {
	double images_per_s;	 /* of all workers, until the slowest is through */
	double images_per_cpu_s; /* the same by processor time, steadier on a busy machine */
	const char *precision;
};

static struct speed speed_measure(const struct options *o, const struct network *net)
{
	size_t n = (o->steps + WARM_UP) * (size_t)o->cfg.batch;
	struct worker *worker = calloc(o->workers, sizeof *worker);
	pthread_barrier_t barrier;
	struct arena a = { 0 };
	struct dataset data;
	double slowest = 0, cpu = 0;
	struct speed speed;

	if (!worker || pthread_barrier_init(&barrier, NULL, o->workers))
		fail("workers", strerror(errno));
	images_make(net->input, n, &a, &data);
	for (unsigned k = 0; k < o->workers; k++) {
		worker[k] = (struct worker){
			.options = o, .net = net, .data = &data, .barrier = &barrier, .id = k
		};
		if (pthread_create(&worker[k].thread, NULL, worker_run, &worker[k]))
			fail("workers", "no more threads");
	}
	for (unsigned k = 0; k < o->workers; k++) {
		pthread_join(worker[k].thread, NULL);
		slowest = fmax(slowest, worker[k].end - worker[k].begin);
		cpu += worker[k].cpu_end - worker[k].cpu_begin;
	}
	n = o->workers * o->steps * (size_t)o->cfg.batch;
	speed = (struct speed){ (double)n / slowest, (double)n / cpu, worker[0].precision };
	pthread_barrier_destroy(&barrier);
	arena_free(&a);
	free(worker);
	return speed;
}

/* ---- where the time goes ------------------------------------------------------- */

static const char *const phase_names[PHASE_KINDS] = {
	[PHASE_COPY] = "copy",
	[PHASE_CONV] = "conv",
	[PHASE_STATS] = "stats",
	[PHASE_NORM] = "norm",
	[PHASE_ACT] = "act",
	[PHASE_POOL] = "pool",
	[PHASE_MEAN] = "mean",
	[PHASE_ADD] = "add",
	[PHASE_LOSS] = "loss",
	[PHASE_ZERO] = "zero",
	[PHASE_SETTLE] = "settle",
	[PHASE_CONV_BACK_DATA] = "conv_back_data",
	[PHASE_CONV_BACK_WEIGHTS] = "conv_back_weights",
	[PHASE_CONV_BACK] = "conv_back",
	[PHASE_NORM_BACK] = "norm_back",
	[PHASE_ACT_BACK] = "act_back",
	[PHASE_POOL_BACK] = "pool_back",
	[PHASE_MEAN_BACK] = "mean_back",
};

/* One worker's steps with a clock around everything [s]. */
struct profile {
	double load, update, phase[PHASE_KINDS], all;
};

static void profile_step(struct runner *r, struct model *m, const struct options *o,
			 const struct batch *batch, float *image, uint8_t *label, size_t first,
			 struct profile *out)
{
	const struct plan *p = r->plan;
	size_t shard = (size_t)o->cfg.shard, n = (size_t)o->cfg.batch;
	double t0;

	for (size_t at = 0; at < n; at += shard) {
		t0 = clock_s();
		batch_fetch(batch, first + at, shard, image, label);
		runner_load(r, image);
		out->load += clock_s() - t0;
		runner_forward(r, RUN_TRAIN);
		runner_backward(r);
		t0 = clock_s();
		if (at == 0)
			memcpy(m->gradient, r->gradient, p->n_weights * sizeof *m->gradient);
		else
			p->kernels->sum(m->gradient, r->gradient, p->n_weights);
		out->update += clock_s() - t0;
	}
	t0 = clock_s();
	model_step(m, &(struct update){ .rate = o->cfg.rate,
					.momentum = o->cfg.momentum,
					.decay = o->cfg.weight_decay });
	runner_pack(r);
	out->update += clock_s() - t0;
}

static void phases_print(const struct plan *p, const double *phase_s)
{
	for (size_t i = 0; i < p->n_phases; i++) {
		const struct phase *ph = &p->phase[i];

		fprintf(stderr, "%4zu %-18s %5u pixels %4u channels %9.3f ms\n", i,
			phase_names[ph->kind], ph->pixels, ph->c, 1e3 * phase_s[i]);
	}
}

static void profile(const struct options *o, const struct plan *p, struct profile *out)
{
	size_t batch = (size_t)o->cfg.batch, shard = (size_t)o->cfg.shard;
	struct arena a = { 0 };
	double *phase_s = ARENA_NEW(&a, double, p->n_phases), start;
	float *image = ARENA_NEW(&a, float, shard *net_elements(p->input));
	uint8_t *label = ARENA_NEW(&a, uint8_t, shard);
	struct dataset data;
	struct batch images;
	struct model m;
	struct runner r;
	struct rng rng;

	*out = (struct profile){ 0 };
	images_make(p->input, batch, &a, &data);
	batch_open(&images, &data, &data, p->input, &a);
	model_create(&m, p, &a);
	runner_create(&r, p, &m, &a);
	rng_stream(&rng, 1, RNG_INIT, 0);
	model_init(&m, &rng);
	runner_pack(&r);
	r.label = label;
	r.n_labels = (uint32_t)shard;
	r.loss_scale = 1 / (double)batch;
	for (size_t k = 0; k < WARM_UP; k++)
		profile_step(&r, &m, o, &images, image, label, 0, out);
	*out = (struct profile){ 0 };
	r.phase_s = phase_s;
	start = clock_s();
	for (size_t k = 0; k < o->steps; k++)
		profile_step(&r, &m, o, &images, image, label, 0, out);
	out->all = clock_s() - start;
	for (size_t i = 0; i < p->n_phases; i++)
		out->phase[p->phase[i].kind] += phase_s[i];
	if (o->phases)
		phases_print(p, phase_s);
	runner_release(&r);
	arena_free(&a);
}

/* ---- reports -------------------------------------------------------------------- */

static void share_print(const struct options *o, const char *name, double share)
{
	printf(o->json ? "\"%s\": %.4f, " : "  %s %.4f", name, share);
}

static void shares_print(const struct options *o, const struct profile *f)
{
	printf("%s", o->json ? ", \"shares\": {" : "");
	share_print(o, "load", f->load / f->all);
	for (int k = 0; k < PHASE_KINDS; k++)
		if (f->phase[k] > 0)
			share_print(o, phase_names[k], f->phase[k] / f->all);
	printf(o->json ? "\"update\": %.4f}" : "  update %.4f\n", f->update / f->all);
}

static void memory_print(const struct options *o, const struct plan *p)
{
	struct plan_memory m = plan_memory(p);

	printf(o->json ? ", \"memory_bytes\": {\"tensors\": %zu, \"weights\": %zu, \"packed\": "
			 "%zu, \"gradients\": %zu, \"scratch\": %zu}"
		       : "  bytes of a worker: tensors %zu, weights %zu, packed %zu, gradients "
			 "%zu, scratch %zu\n",
	       m.tensors, m.weights, m.packed, m.gradients, m.scratch);
}

static void measure(const struct train_net *s, const struct options *o)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct profile f;
	struct network net;
	struct plan plan;
	struct speed speed;

	train_net_make(s, &a, &net);
	speed = speed_measure(o, &net);
	conv_use_one_thread();
	if (plan_create(&net, (uint32_t)o->cfg.shard, strcmp(speed.precision, "bf16") == 0,
			PLAN_TRAIN, &a, &plan, &err))
		fail(s->name, err.msg);
	printf(o->json ? "{\"net\": \"%s\", \"params\": %llu, \"precision\": \"%s\", \"batch\": "
			 "%lld, \"shard\": %lld, \"workers\": %u, \"images_per_s\": %.1f, "
			 "\"images_per_cpu_s\": %.1f"
		       : "%-7s %6llu parameters  %s  batch %lld  shard %lld  workers %u  %.1f "
			 "images/s, %.1f a second of processor time\n",
	       s->name, (unsigned long long)s->params, speed.precision, (long long)o->cfg.batch,
	       (long long)o->cfg.shard, o->workers, speed.images_per_s, speed.images_per_cpu_s);
	memory_print(o, &plan);
	if (o->shares) {
		profile(o, &plan, &f);
		shares_print(o, &f);
	}
	if (o->json)
		printf("}\n");
	fflush(stdout);
	plan_release(&plan);
	arena_free(&a);
}

/* ---- command line ---------------------------------------------------------------- */

static long number(const char *option, const char *text, long most)
{
	char *end;
	long n = text ? strtol(text, &end, 10) : 0;

	if (!text || *end || n < 1 || n > most)
		fail(option, "a number from 1 is expected behind it");
	return n;
}

static bool named(const char *name, char **argv, int argc)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return false;
}

static int64_t precision_of(const char *text)
{
	static const char *const names[] = {
		[PRECISION_AUTO] = "auto", [PRECISION_F32] = "f32", [PRECISION_BF16] = "bf16"
	};

	for (int i = 0; text && i < 3; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	fail("--precision", "auto, f32 or bf16 is expected behind it");
	return 0;
}

/* Moves the names of networks to the front of argv; their number. */
static int options_read(struct options *o, int argc, char **argv)
{
	int n_names = 0;

	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(arg, "--json") == 0)
			o->json = true;
		else if (strcmp(arg, "--shares") == 0)
			o->shares = true;
		else if (strcmp(arg, "--phases") == 0)
			o->shares = o->phases = true;
		else if (strcmp(arg, "--precision") == 0)
			o->cfg.precision = precision_of(value), i++;
		else if (strcmp(arg, "--batch") == 0)
			o->cfg.batch = number(arg, value, 65536), i++;
		else if (strcmp(arg, "--shard") == 0)
			o->cfg.shard = number(arg, value, 4096), i++;
		else if (strcmp(arg, "--workers") == 0)
			o->workers = (unsigned)number(arg, value, MAX_WORKERS), i++;
		else if (strcmp(arg, "--steps") == 0)
			o->steps = (size_t)number(arg, value, 100000), i++;
		else
			argv[n_names++] = argv[i];
	}
	return n_names;
}

int main(int argc, char **argv)
{
	struct options o = { .steps = 12 };
	struct arena a = { 0 };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int n_names;

	cfg_defaults(train_fields, &a, &o.cfg, sizeof o.cfg);
	o.cfg.rate = 0.01;
	o.cfg.batch = 128;
	o.cfg.shard = 0;
	o.workers = cores < 1 ? 1 : cores > MAX_WORKERS ? MAX_WORKERS : (unsigned)cores;
	n_names = options_read(&o, argc, argv);
	if (o.cfg.shard == 0)
		o.cfg.shard = o.cfg.batch;
	for (int i = 0; i < n_names; i++) {
		size_t k = 0;

		while (k < n_train_nets && strcmp(argv[i], train_nets[k].name) != 0)
			k++;
		if (k == n_train_nets)
			fail(argv[i], "no such option or network");
	}
	for (size_t k = 0; k < n_train_nets; k++)
		if (n_names == 0 || named(train_nets[k].name, argv, n_names))
			measure(&train_nets[k], &o);
	arena_free(&a);
	return 0;
}
