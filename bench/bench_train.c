/* Images per second that one training takes, for three DenseNets of 17k, 76k
 * and 250k parameters: batch norm, ReLU, 3x3 convolution a layer, transitions
 * of a 1x1 convolution to half the channels and a 2x2 mean.
 *
 * usage: train [--json] [--threads N] [--shard N] [--f32] [--steps N] [NET ...] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "evaluators.h"
#include "rng.h"

struct spec {
	const char *name;
	uint32_t size, channels, stem, layers, growth[3];
};
static const struct spec specs[] = {
	{ "dn17k", 28, 1, 8, 3, { 4, 8, 12 } },
	{ "dn76k", 28, 1, 24, 4, { 12, 12, 12 } },
	{ "dn250k", 32, 3, 24, 6, { 12, 16, 24 } },
};

static void build(const struct spec *s, struct arena *a, struct network *net)
{
	struct net_shape in = { s->size, s->size, s->channels };
	struct nasc_err err = { 0 };
	uint32_t x, c = s->stem;

	network_init(net, a, in);
	x = network_conv2d(net, 0, c, 3, 1, 1, NET_SAME, false);
	for (int b = 0; b < 3; b++) {
		for (uint32_t i = 0; i < s->layers; i++) {
			uint32_t y = network_unary(net, NET_BATCH_NORM, x), both[2] = { x, 0 };

			y = network_unary(net, NET_RELU, y);
			both[1] = network_conv2d(net, y, s->growth[b], 3, 1, 1, NET_SAME, false);
			x = network_merge(net, NET_CONCAT, both, 2);
			c += s->growth[b];
		}
		x = network_unary(net, NET_RELU, network_unary(net, NET_BATCH_NORM, x));
		if (b < 2) {
			c /= 2;
			x = network_conv2d(net, x, c, 1, 1, 1, NET_SAME, false);
			x = network_pool(net, NET_AVG_POOL, x, 2, 2, NET_VALID);
		}
	}
	x = network_unary(net, NET_GLOBAL_POOL, x);
	network_dense(net, x, 10, true);
	if (network_infer(net, &err)) {
		fprintf(stderr, "train: %s: %s\n", s->name, err.msg);
		exit(1);
	}
}

static void images_make(const struct spec *s, size_t n, struct arena *a, struct dataset *d)
{
	size_t bytes = n * s->size * s->size * s->channels;
	uint8_t *image = ARENA_NEW(a, uint8_t, bytes), *label = ARENA_NEW(a, uint8_t, n);
	struct rng rng;

	rng_stream(&rng, 1, RNG_SAMPLE, 0);
	for (size_t i = 0; i < bytes; i++)
		image[i] = (uint8_t)rng_below(&rng, 256);
	for (size_t i = 0; i < n; i++)
		label[i] = (uint8_t)rng_below(&rng, 10);
	*d = (struct dataset){ .n = n,
			       .shape = { s->size, s->size, s->channels },
			       .classes = 10,
			       .image = image,
			       .label = label,
			       .mean = { .5f, .5f, .5f },
			       .std = { .29f, .29f, .29f } };
}

struct stopwatch {
	double first_done, last_done;
	struct timespec first, last;
};

static void tick(const struct train_progress *p, void *ctx)
{
	struct stopwatch *w = ctx;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (w->first_done == 0) { /* the first step warms up */
		w->first_done = p->done;
		w->first = now;
	}
	w->last_done = p->done;
	w->last = now;
}

static int run(const struct spec *s, struct train_cfg *cfg, size_t steps, unsigned threads,
	       bool json)
{
	size_t n = steps * (size_t)cfg->batch;
	struct stopwatch w = { 0 };
	struct arena a = { 0 };
	struct train_report report;
	struct nasc_err err = { 0 };
	struct dataset data;
	struct network net;
	double s_taken, rate;

	build(s, &a, &net);
	images_make(s, n, &a, &data);
	if (train_network(&(struct train_request){ .cfg = cfg,
						   .net = &net,
						   .train = &data,
						   .seed = 1,
						   .id = 1,
						   .threads = threads,
						   .progress = tick,
						   .ctx = &w },
			  &a, &report, &err)) {
		fprintf(stderr, "train: %s: %s\n", s->name, err.msg);
		arena_free(&a);
		return 1;
	}
	s_taken = (double)(w.last.tv_sec - w.first.tv_sec) +
		  1e-9 * (double)(w.last.tv_nsec - w.first.tv_nsec);
	rate = (w.last_done - w.first_done) * (double)n / s_taken;
	if (json)
		printf("{\"net\": \"%s\", \"params\": %llu, \"precision\": \"%s\", \"batch\": "
		       "%lld, "
		       "\"shard\": %lld, \"threads\": %u, \"images_per_s\": %.1f}\n",
		       s->name, (unsigned long long)network_params(&net), report.precision,
		       (long long)cfg->batch, (long long)cfg->shard, threads, rate);
	else
		printf("%-7s %7llu parameters  %s  batch %lld  shard %3lld  %u thread%s  %8.1f "
		       "images/s\n",
		       s->name, (unsigned long long)network_params(&net), report.precision,
		       (long long)cfg->batch, (long long)cfg->shard, threads,
		       threads == 1 ? " " : "s", rate);
	arena_free(&a);
	return 0;
}

int main(int argc, char **argv)
{
	size_t n_specs = sizeof specs / sizeof *specs, steps = 12;
	unsigned threads = 1;
	struct train_cfg cfg;
	struct arena a = { 0 };
	bool json = false, named = false;
	int failed = 0;

	cfg_defaults(train_fields, &a, &cfg, sizeof cfg);
	cfg.rate = 0.01;
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "0";

		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (strcmp(argv[i], "--f32") == 0)
			cfg.precision = 1;
		else if (strcmp(argv[i], "--threads") == 0)
			threads = (unsigned)strtoul(value, NULL, 10), i++;
		else if (strcmp(argv[i], "--shard") == 0)
			cfg.shard = strtol(value, NULL, 10), i++;
		else if (strcmp(argv[i], "--steps") == 0)
			steps = strtoul(value, NULL, 10), i++;
		else
			for (size_t k = 0; k < n_specs; k++)
				if (strcmp(argv[i], specs[k].name) == 0) {
					failed |= run(&specs[k], &cfg, steps, threads, json);
					named = true;
				}
	}
	for (size_t k = 0; k < n_specs && !named; k++)
		failed |= run(&specs[k], &cfg, steps, threads, json);
	arena_free(&a);
	return failed;
}
