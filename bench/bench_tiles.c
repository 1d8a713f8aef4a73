/* What training asks of AMX tiles, counted with tiles in software on any machine, and the time that
 * this would take with the cycles of an instruction measured on a Sapphire Rapids core; on a
 * machine with AVX-512 the time of all the rest besides, measured with tiles that do nothing.
 * Together an estimate of a step, shards of 32, one core: between the multiplications alone and all
 * tile instructions one after the other.
 *
 * usage: tiles [NET ...] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"
#include "rng.h"
#include "tile_emulated.h"
#include "train_nets.h"

#define SHARD	   32
#define CLOCK_HZ   2.6e9
#define MULTIPLY   16.0 /* cycles: one after another, of other sums */
#define LOAD	   10.0
#define LOAD_SPLIT 40.0 /* rows across cache lines */
#define STORE	   17.0

extern const struct direct_kernels direct_emulated_v2, direct_without_tiles;

const struct direct_kernels *direct_choose(void)
{
	return &direct_emulated_v2;
}

static void images_make(float *image, size_t n)
{
	struct rng rng;

	rng_stream(&rng, 1, RNG_SAMPLE, 0);
	for (size_t i = 0; i < n; i++)
		image[i] = (float)rng_normal(&rng);
}

/* Seconds of processor time an image of everything but the tiles: the best of some. */
static double rest_s(struct plan *p, struct runner *r)
{
	double best = 1e9;

	p->direct = &direct_without_tiles;
	for (int k = 0; k < 12; k++) {
		clock_t start = clock();
		double s;

		runner_forward(r, RUN_TRAIN);
		runner_backward(r);
		s = (double)(clock() - start) / CLOCKS_PER_SEC / SHARD;
		best = s < best ? s : best;
	}
	return best;
}

static void print(const char *name, const struct tile_counts *c, double rest)
{
	double least = MULTIPLY * (double)c->multiplies / SHARD / CLOCK_HZ;
	double most = least + (LOAD * (double)c->aligned_loads +
			       LOAD_SPLIT * (double)c->split_loads + STORE * (double)c->stores) /
				      SHARD / CLOCK_HZ;

	printf("%-7s per image: %6.0f multiplies, %6.0f loads, %2.0f split, %5.0f stores: %3.0f to "
	       "%3.0f us",
	       name, (double)c->multiplies / SHARD, (double)c->aligned_loads / SHARD,
	       (double)c->split_loads / SHARD, (double)c->stores / SHARD, 1e6 * least, 1e6 * most);
	if (rest > 0)
		printf("; the rest %4.0f us: %5.0f to %5.0f images/s", 1e6 * rest,
		       1 / (rest + most), 1 / (rest + least));
	printf("\n");
}

static void count(const struct train_net *s)
{
	static const uint8_t label[SHARD];
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net;
	struct tile_counts c;
	struct plan p;
	struct model m;
	struct runner r;
	struct rng rng;
	float *image;
	size_t n;

	train_net_make(s, &a, &net);
	conv_use_one_thread();
	if (plan_create(&net, SHARD, true, PLAN_TRAIN, &a, &p, &err)) {
		fprintf(stderr, "tiles: %s: %s\n", s->name, err.msg);
		exit(1);
	}
	model_create(&m, &p, &a);
	rng_stream(&rng, 1, RNG_INIT, 0);
	model_init(&m, &rng);
	runner_create(&r, &p, &m, &a);
	n = SHARD * net_elements(net.input);
	image = ARENA_NEW(&a, float, n);
	images_make(image, n);
	r.label = label;
	r.n_labels = SHARD;
	r.loss_scale = 1.0 / SHARD;
	runner_pack(&r);
	runner_load(&r, image);
	tile_counts = (struct tile_counts){ 0 };
	runner_forward(&r, RUN_TRAIN);
	runner_backward(&r);
	c = tile_counts;
	print(s->name, &c, kernels_choose(true) == &kernels_v4[1] ? rest_s(&p, &r) : 0);
	runner_release(&r);
	plan_release(&p);
	arena_free(&a);
}

int main(int argc, char **argv)
{
	for (size_t k = 0; k < n_train_nets; k++) {
		const struct train_net *s = &train_nets[k];
		bool wanted = argc == 1;

		for (int i = 1; i < argc; i++)
			wanted = wanted || strcmp(argv[i], s->name) == 0;
		if (wanted)
			count(s);
	}
	return 0;
}
