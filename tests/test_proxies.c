#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "evaluators.h"
#include "leak.h"
#include "network_fixture.h"
#include "rng.h"
#include "space.h"

TestSuite(proxies, .fini = no_leaks);

extern const struct evaluator_ops evaluator_naswot, evaluator_synflow;

#define SEED 4242
#define ID   17

static enum eval_outcome evaluate(const struct evaluator_ops *ops, const char *yaml,
				  const struct network *net, const struct dataset *data,
				  const atomic_bool *cancel, struct eval_result *result)
{
	struct eval_request request = { .id = ID, .seed = SEED, .net = net, .cancel = cancel };
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct yaml_doc doc;
	char cfg[256];
	struct evaluator e = { .ops = ops, .cfg = cfg, .train = data, .arena = &a };
	enum eval_outcome outcome;
	void *worker = NULL;

	cr_assert_leq(ops->cfg_size, sizeof cfg);
	cr_assert_eq(yaml_parse("t.yaml", yaml, strlen(yaml), &a, &doc, &err), NASC_OK, "%s",
		     err.msg);
	cr_assert_eq(cfg_load(ops->fields, &doc, doc.root, NULL, &a, cfg, ops->cfg_size, &err),
		     NASC_OK, "%s", err.msg);
	if (ops->worker_open)
		cr_assert_eq(ops->worker_open(&e, &worker, &err), NASC_OK, "%s", err.msg);
	outcome = ops->run(&e, worker, &request, result);
	if (ops->worker_close)
		ops->worker_close(&e, worker);
	arena_free(&a);
	return outcome;
}

/* ---- naswot ------------------------------------------------------------------ */

/* Images of two pixels: (+ +), (+ -), (- +) after the mean of 1/2 is taken away. */
static const uint8_t signs[] = { 255, 255, 255, 0, 0, 255 };
static const uint8_t no_labels[] = { 0, 1, 0 };

static struct dataset three_images(const uint8_t *image)
{
	return (struct dataset){ .n = 3,
				 .shape = { 1, 2, 1 },
				 .classes = 2,
				 .image = image,
				 .label = no_labels,
				 .mean = { .5f },
				 .std = { .5f } };
}

/* A 1x1 convolution to three channels: whatever the weights' signs, all three
 * bits of a pixel turn over with its sign. So 6 units, Hamming distances 3, 3 and
 * 6, K = [[6 3 3] [3 6 0] [3 0 6]] a layer, det = 216 - 54 - 54 = 108. */
static void three_channels(struct arena *a, uint32_t relus, struct network *net)
{
	uint32_t x;

	network_init(net, a, (struct net_shape){ 1, 2, 1 });
	x = network_conv2d(net, 0, 3, 1, 1, 1, NET_SAME, false);
	for (uint32_t i = 0; i < relus; i++)
		x = network_unary(net, NET_RELU, x);
	network_dense(net, x, 2, true);
	infer(net);
}

Test(proxies, naswot_equals_the_determinant_by_hand)
{
	struct arena a = { 0 };
	struct dataset data = three_images(signs);
	struct eval_result result;
	struct network net;

	three_channels(&a, 1, &net);
	cr_assert_eq(evaluate(&evaluator_naswot, "repeats: 1", &net, &data, NULL, &result),
		     EVAL_OK);
	cr_assert_float_eq(result.value[0], log(108), 1e-9);
	cr_assert_eq(evaluate(&evaluator_naswot, "repeats: 4", &net, &data, NULL, &result),
		     EVAL_OK);
	cr_assert_float_eq(result.value[0], log(108), 1e-9);
	/* A second ReLU behind the first has the same code: K and so 2^3 times the determinant. */
	three_channels(&a, 2, &net);
	cr_assert_eq(evaluate(&evaluator_naswot, "repeats: 1", &net, &data, NULL, &result),
		     EVAL_OK);
	cr_assert_float_eq(result.value[0], log(8 * 108), 1e-9);
	arena_free(&a);
}

Test(proxies, naswot_fails_with_a_reason)
{
	static const uint8_t same[] = { 255, 0, 255, 0, 0, 255 };
	struct arena a = { 0 };
	struct dataset data = three_images(same);
	struct eval_result result;
	struct network net;

	three_channels(&a, 1, &net);
	cr_assert_eq(evaluate(&evaluator_naswot, "repeats: 1", &net, &data, NULL, &result),
		     EVAL_FAILED);
	cr_assert_str_eq(result.why,
			 "the kernel matrix is singular: two images open the same ReLUs");
	three_channels(&a, 0, &net);
	cr_assert_eq(evaluate(&evaluator_naswot, "repeats: 1", &net, &data, NULL, &result),
		     EVAL_FAILED);
	cr_assert_str_eq(result.why, "the network has no ReLU to take codes from");
	data.shape.c = 3;
	cr_assert_eq(evaluate(&evaluator_naswot, "repeats: 1", &net, &data, NULL, &result),
		     EVAL_FAILED);
	cr_assert_str_eq(result.why, "the network reads 1 channels, the images have 3");
	arena_free(&a);
}

/* Random images: more channels tell images apart better, the score grows; the
 * same request gives the same bits, another candidate's weights others. */
static void random_images(struct arena *a, struct dataset *d)
{
	uint8_t *image = ARENA_NEW(a, uint8_t, 40 * 64), *label = ARENA_NEW(a, uint8_t, 40);
	struct rng rng;

	rng_stream(&rng, 3, RNG_SAMPLE, 0);
	for (size_t i = 0; i < 40 * 64; i++)
		image[i] = (uint8_t)rng_below(&rng, 256);
	*d = (struct dataset){ .n = 40,
			       .shape = { 8, 8, 1 },
			       .classes = 2,
			       .image = image,
			       .label = label,
			       .mean = { .5f },
			       .std = { .3f } };
}

static void wide(struct arena *a, uint32_t c, struct network *net)
{
	uint32_t x;

	network_init(net, a, (struct net_shape){ 8, 8, 1 });
	x = network_conv2d(net, 0, c, 3, 1, 1, NET_SAME, false);
	x = network_unary(net, NET_RELU, network_unary(net, NET_BATCH_NORM, x));
	network_dense(net, network_unary(net, NET_GLOBAL_POOL, x), 2, true);
	infer(net);
}

Test(proxies, naswot_grows_with_width_and_repeats_itself)
{
	struct arena a = { 0 };
	struct eval_result narrow, broad, again;
	struct network net[2];
	struct dataset data;

	random_images(&a, &data);
	wide(&a, 4, &net[0]);
	wide(&a, 32, &net[1]);
	cr_assert_eq(evaluate(&evaluator_naswot, "{}", &net[0], &data, NULL, &narrow), EVAL_OK);
	cr_assert_eq(evaluate(&evaluator_naswot, "{}", &net[1], &data, NULL, &broad), EVAL_OK);
	cr_assert_eq(evaluate(&evaluator_naswot, "{}", &net[1], &data, NULL, &again), EVAL_OK);
	cr_assert_eq(broad.value[0], again.value[0]);
	cr_assert_gt(broad.value[0], narrow.value[0]);
	cr_assert_eq(evaluate(&evaluator_naswot, "image_size: 4", &net[1], &data, NULL, &again),
		     EVAL_OK);
	cr_assert_lt(again.value[0], broad.value[0]); /* a quarter of the units */
	arena_free(&a);
}

/* One pass over 256 images is seconds of work, one layer of it a fraction of one. */
static void deep(struct arena *a, struct network *net)
{
	uint32_t x = 0;

	network_init(net, a, (struct net_shape){ 16, 16, 1 });
	for (int i = 0; i < 20; i++)
		x = network_conv2d(net, x, 64, 7, 1, 1, NET_SAME, false);
	network_dense(net, network_unary(net, NET_RELU, x), 2, true);
	infer(net);
}

struct canceller {
	atomic_bool cancel;
	clock_t when; /* in processor time */
};

/* After a second of work, half of which has gone into the plan: in the middle of a pass. */
static void *cancel_soon(void *arg)
{
	struct canceller *c = arg;
	clock_t start = clock();

	while (clock() - start < CLOCKS_PER_SEC)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	c->when = clock();
	atomic_store(&c->cancel, true);
	return NULL;
}

Test(proxies, naswot_hears_a_cancel_between_layers, .timeout = 120)
{
	struct arena a = { 0 };
	struct dataset data = { .n = 256,
				.shape = { 16, 16, 1 },
				.classes = 2,
				.image = ARENA_NEW(&a, uint8_t, 256 * 16 * 16),
				.label = ARENA_NEW(&a, uint8_t, 256),
				.mean = { .5f },
				.std = { .5f } };
	struct eval_result result;
	struct canceller c = { .when = 0 };
	struct network net;
	pthread_t thread;
	double work;

	deep(&a, &net);
	cr_assert_eq(pthread_create(&thread, NULL, cancel_soon, &c), 0);
	cr_assert_eq(evaluate(&evaluator_naswot, "{images: 256, repeats: 20}", &net, &data,
			      &c.cancel, &result),
		     EVAL_CANCELLED, "%s", result.why);
	work = (double)(clock() - c.when) / CLOCKS_PER_SEC;
	pthread_join(thread, NULL);
	cr_assert_lt(work, 1, "worked on for %g s", work);
	arena_free(&a);
}

/* ---- synflow ----------------------------------------------------------------- */

/* |weights| as PyTorch draws them, uniform within 1 / sqrt(fan_in). */
static double draw(struct rng *rng, double fan_in)
{
	return rng_unit(rng) / sqrt(fan_in);
}

static double synflow(struct network *net, const char *yaml)
{
	struct eval_result result;

	infer(net);
	cr_assert_eq(evaluate(&evaluator_synflow, yaml, net, NULL, NULL, &result), EVAL_OK, "%s",
		     result.why);
	return result.value[0];
}

static double synflow_once(struct network *net)
{
	return synflow(net, "repeats: 1");
}

/* Two dense layers: R = sum of |W2| |W1| 1, each layer's sum of theta * dR/dtheta is R. */
Test(proxies, synflow_of_two_dense_layers)
{
	struct arena a = { 0 };
	struct network net;
	double hidden[3] = { 0 }, r = 0, first;
	struct rng rng;

	rng_stream(&rng, SEED, RNG_INIT, ID);
	for (int i = 0; i < 4; i++)
		for (int o = 0; o < 3; o++)
			hidden[o] += draw(&rng, 4);
	for (int i = 0; i < 3; i++)
		for (int o = 0; o < 2; o++)
			r += hidden[i] * draw(&rng, 3);
	network_init(&net, &a, (struct net_shape){ 2, 1, 2 });
	network_unary(&net, NET_SOFTMAX,
		      network_dense(&net, network_dense(&net, 0, 3, true), 2, true));
	first = synflow_once(&net);
	cr_assert_float_eq(first, log(2 * r), 1e-12, "%.15g, by hand %.15g", first, log(2 * r));
	cr_assert_float_neq(synflow(&net, "repeats: 2"), first, 1e-9); /* other weights join in */
	arena_free(&a);
}

/* One pixel, one channel, a = w1, b = w2 a. add: R = w3 (a + b), the layers give
 * R, w3 w2 w1 and R. concat: R = w3 a + w4 b, the layers R, w4 b and R. */
Test(proxies, synflow_of_branches)
{
	struct arena a = { 0 };
	struct network net;
	uint32_t in[2];
	struct rng rng;
	double w[4], r;

	rng_stream(&rng, SEED, RNG_INIT, ID);
	w[0] = draw(&rng, 1);
	w[1] = draw(&rng, 1);
	w[2] = draw(&rng, 1);
	network_init(&net, &a, (struct net_shape){ 1, 1, 1 });
	in[0] = network_conv2d(&net, 0, 1, 1, 1, 1, NET_SAME, false);
	in[1] = network_unary(&net, NET_RELU6, network_unary(&net, NET_BATCH_NORM, in[0]));
	in[1] = network_conv2d(&net, in[1], 1, 1, 1, 1, NET_SAME, true);
	network_dense(&net, network_merge(&net, NET_ADD, in, 2), 1, false);
	r = w[2] * (w[0] + w[1] * w[0]);
	cr_assert_float_eq(synflow_once(&net), log(2 * r + w[2] * w[1] * w[0]), 1e-12);

	rng_stream(&rng, SEED, RNG_INIT, ID);
	w[0] = draw(&rng, 1);
	w[1] = draw(&rng, 1);
	w[2] = draw(&rng, 2);
	w[3] = draw(&rng, 2);
	network_init(&net, &a, (struct net_shape){ 1, 1, 1 });
	in[0] = network_conv2d(&net, 0, 1, 1, 1, 1, NET_SAME, false);
	in[1] = network_conv2d(&net, in[0], 1, 1, 1, 1, NET_SAME, true);
	network_dense(&net, network_merge(&net, NET_CONCAT, in, 2), 1, false);
	r = w[2] * w[0] + w[3] * w[1] * w[0];
	cr_assert_float_eq(synflow_once(&net), log(2 * r + w[3] * w[1] * w[0]), 1e-12);
	arena_free(&a);
}

/* 2x2 ones, a 3x3 kernel with a border of one: rows of taps reach 1, 2 and 1 of the
 * two rows, so does each column; the mean of four pixels goes into a dense unit. */
Test(proxies, synflow_of_windows)
{
	static const double reach[3] = { 1, 2, 1 };
	struct arena a = { 0 };
	struct network net;
	struct rng rng;
	double sum = 0, w, top = 0, tap[9];

	rng_stream(&rng, SEED, RNG_INIT, ID);
	for (int k = 0; k < 9; k++) {
		tap[k] = draw(&rng, 9);
		sum += reach[k / 3] * reach[k % 3] * tap[k];
	}
	w = draw(&rng, 1);
	for (int kind = 0; kind < 2; kind++) {
		uint32_t x;

		network_init(&net, &a, (struct net_shape){ 2, 2, 1 });
		x = kind ? network_depthwise(&net, 0, 3, 1, NET_SAME, false)
			 : network_conv2d(&net, 0, 1, 3, 1, 1, NET_SAME, false);
		network_dense(&net, network_unary(&net, NET_GLOBAL_POOL, x), 1, false);
		cr_assert_float_eq(synflow_once(&net), log(2 * w * sum / 4), 1e-12);
	}
	/* The largest of the four pixels; pixel (y, x) is reached by taps 1 - y .. 2 - y. */
	for (int y = 0; y < 2; y++)
		for (int x = 0; x < 2; x++) {
			double v = 0;

			for (int ky = 1 - y; ky <= 2 - y; ky++)
				for (int kx = 1 - x; kx <= 2 - x; kx++)
					v += tap[ky * 3 + kx];
			top = fmax(top, v);
		}
	network_init(&net, &a, (struct net_shape){ 2, 2, 1 });
	network_dense(&net,
		      network_pool(&net, NET_MAX_POOL,
				   network_conv2d(&net, 0, 1, 3, 1, 1, NET_SAME, false), 2, 2,
				   NET_VALID),
		      1, false);
	cr_assert_float_eq(synflow_once(&net), log(2 * w * top), 1e-12);
	/* A mean of 2x2 windows that hang over: 4, 2, 2, 1 cells count, all the same here. */
	network_init(&net, &a, (struct net_shape){ 2, 2, 1 });
	network_dense(
		&net,
		network_unary(&net, NET_GLOBAL_POOL,
			      network_pool(&net, NET_AVG_POOL,
					   network_conv2d(&net, 0, 1, 1, 1, 1, NET_SAME, false), 2,
					   1, NET_SAME)),
		1, false);
	rng_stream(&rng, SEED, RNG_INIT, ID);
	w = draw(&rng, 1);
	w *= draw(&rng, 1);
	cr_assert_float_eq(synflow_once(&net), log(2 * w), 1e-12);
	arena_free(&a);
}

/* Two groups of one channel each: no weight between the groups. */
Test(proxies, synflow_of_groups)
{
	struct arena a = { 0 };
	struct network net;
	struct rng rng;
	double w[4], d[2];

	rng_stream(&rng, SEED, RNG_INIT, ID);
	for (int i = 0; i < 4; i++) /* 1x1, one channel in, four out: groups 0 0 1 1 */
		w[i] = draw(&rng, 1);
	for (int i = 0; i < 2; i++) /* four channels in two groups to two: [2 in][2 out] */
		for (int o = 0; o < 2; o++)
			(void)(i == 0 ? (d[o] = w[2 * o] * draw(&rng, 2))
				      : (d[o] += w[2 * o + 1] * draw(&rng, 2)));
	network_init(&net, &a, (struct net_shape){ 1, 1, 1 });
	network_conv2d(&net, network_conv2d(&net, 0, 4, 1, 1, 1, NET_SAME, false), 2, 1, 1, 2,
		       NET_SAME, false);
	cr_assert_float_eq(synflow_once(&net), log(2 * (d[0] + d[1])), 1e-12);
	arena_free(&a);
}

/* Cells of NAS-Bench-201 from no layer to one on every edge, and what NASLib found for them
 * (zero-cost proxies of 725 cells, automl/NASLib 6639fd1); weights of its own move ours by
 * less than .4, those of another width by one part in ten or more. */
Test(proxies, synflow_is_the_published, .timeout = 120)
{
	static const struct {
		uint32_t gene[6];
		double published;
	} cell[] = {
		{ { 4, 1, 1, 4, 1, 1 }, 35.56958261089136 },
		{ { 1, 3, 3, 2, 2, 0 }, 41.94876860937543 },
		{ { 4, 1, 0, 4, 3, 1 }, 50.552935028232156 },
		{ { 3, 3, 3, 3, 3, 3 }, 114.79770753784477 },
	};
	const struct space_ops *ops = space_find("nb201");
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct space s;
	char cfg[256];

	cr_assert_leq(ops->cfg_size, sizeof cfg);
	cfg_defaults(ops->fields, &a, cfg, ops->cfg_size);
	cr_assert_eq(space_open(&s, ops, cfg, (struct net_shape){ 32, 32, 3 }, 10, &a, &err),
		     NASC_OK, "%s", err.msg);
	for (size_t i = 0; i < sizeof cell / sizeof *cell; i++) {
		struct network net;
		double score;

		space_decode(&s, cell[i].gene, &a, &net);
		score = synflow_once(&net);
		cr_assert_float_eq(score, cell[i].published, 0.4, "%g, published %g", score,
				   cell[i].published);
	}
	arena_free(&a);
}

/* 2^48 pixels' channels of 16 bytes: 4 PiB. */
Test(proxies, synflow_fails_one_network_too_large)
{
	struct arena a = { 0 };
	struct eval_result result;
	struct network net;

	network_init(&net, &a, (struct net_shape){ 65536, 65536, 65536 });
	network_dense(&net, network_unary(&net, NET_GLOBAL_POOL, 0), 2, true);
	infer(&net);
	cr_assert_eq(evaluate(&evaluator_synflow, "{}", &net, NULL, NULL, &result), EVAL_FAILED);
	cr_assert(strstr(result.why, "GiB of memory, this machine has"), "%s", result.why);
	arena_free(&a);
}

Test(proxies, stop_when_told)
{
	atomic_bool stop = true;
	struct arena a = { 0 };
	struct dataset data = three_images(signs);
	struct eval_result result;
	struct network net;

	three_channels(&a, 1, &net);
	cr_assert_eq(evaluate(&evaluator_naswot, "{}", &net, &data, &stop, &result),
		     EVAL_CANCELLED);
	cr_assert_eq(evaluate(&evaluator_synflow, "{}", &net, NULL, &stop, &result),
		     EVAL_CANCELLED);
	arena_free(&a);
}

Test(proxies, are_called_proxies)
{
	const struct evaluator_ops *ops[] = { &evaluator_naswot, &evaluator_synflow };

	for (int i = 0; i < 2; i++) {
		cr_assert_eq(evaluator_find(ops[i]->name), ops[i]);
		cr_assert_eq(strncmp(ops[i]->provenance, "proxy: ", 7), 0);
		cr_assert_eq(strncmp(ops[i]->metric[0].help, "proxy: ", 7), 0);
		cr_assert_str_eq(ops[i]->metric[0].key, ops[i]->name);
		cr_assert(ops[i]->metric[0].maximise);
	}
}

/* ---- against published values: NAS-Bench-201 ---------------------------------- */

#define NONE UINT32_MAX /* an edge without operator, or a node that nothing reaches */

static uint32_t unit(struct network *n, uint32_t x, uint32_t c, uint32_t kernel, uint32_t stride)
{
	x = network_unary(n, NET_RELU, x);
	x = network_conv2d(n, x, c, kernel, stride, 1, NET_SAME, false);
	return network_unary(n, NET_BATCH_NORM, x);
}

static uint32_t edge(struct network *n, uint32_t x, uint32_t c, char op)
{
	if (x == NONE || op == '0')
		return NONE;
	if (op == '1')
		return x;
	if (op == '4')
		return network_pool(n, NET_AVG_POOL, x, 3, 1, NET_SAME);
	return unit(n, x, c, op == '2' ? 1 : 3, 1);
}

static uint32_t sum(struct network *n, const uint32_t *x, size_t count)
{
	uint32_t some[3];
	size_t k = 0;

	for (size_t i = 0; i < count; i++)
		if (x[i] != NONE)
			some[k++] = x[i];
	return k == 0 ? NONE : k == 1 ? some[0] : network_merge(n, NET_ADD, some, k);
}

/* Edges in the order 0>1, 0>2, 1>2, 0>3, 1>3, 2>3. */
static uint32_t cell(struct network *n, uint32_t x, uint32_t c, const char *op)
{
	uint32_t in[3], v1 = edge(n, x, c, op[0]), v2;

	in[0] = edge(n, x, c, op[1]);
	in[1] = edge(n, v1, c, op[2]);
	v2 = sum(n, in, 2);
	in[0] = edge(n, x, c, op[3]);
	in[1] = edge(n, v1, c, op[4]);
	in[2] = edge(n, v2, c, op[5]);
	return sum(n, in, 3);
}

/* Stem, three stages of five cells with residual blocks of stride 2 between. */
static bool nb201(struct arena *a, const char *op, struct network *net)
{
	uint32_t x, c = 16;

	network_init(net, a, (struct net_shape){ 32, 32, 3 });
	x = network_unary(net, NET_BATCH_NORM, network_conv2d(net, 0, c, 3, 1, 1, NET_SAME, false));
	for (int stage = 0; stage < 3; stage++) {
		if (stage) {
			uint32_t in[2];

			c *= 2;
			in[0] = unit(net, unit(net, x, c, 3, 2), c, 3, 1);
			in[1] = network_pool(net, NET_AVG_POOL, x, 2, 2, NET_VALID);
			in[1] = network_conv2d(net, in[1], c, 1, 1, 1, NET_SAME, false);
			x = network_merge(net, NET_ADD, in, 2);
		}
		for (int i = 0; i < 5; i++) {
			x = cell(net, x, c, op);
			if (x == NONE)
				return false;
		}
	}
	x = network_unary(net, NET_RELU, network_unary(net, NET_BATCH_NORM, x));
	network_dense(net, network_unary(net, NET_GLOBAL_POOL, x), 10, true);
	infer(net);
	return true;
}

/* Smooth colour waves with some noise. */
static void waves(struct arena *a, struct dataset *d)
{
	uint8_t *image = ARENA_NEW(a, uint8_t, 32 * 3072), *label = ARENA_NEW(a, uint8_t, 32), *at;
	struct rng rng;

	rng_stream(&rng, 1, RNG_SAMPLE, 0);
	at = image;
	for (int i = 0; i < 32; i++) {
		double w[3][3];

		for (int k = 0; k < 9; k++)
			w[k / 3][k % 3] = 6 * rng_unit(&rng);
		for (int p = 0; p < 1024; p++)
			for (int c = 0; c < 3; c++)
				*at++ = (uint8_t)(128 +
						  60 * sin(w[c][0] * (p / 32) / 10 +
							   w[c][1] * (p % 32) / 10 + w[c][2]) +
						  40 * (rng_unit(&rng) - 0.5));
	}
	*d = (struct dataset){ .n = 32,
			       .shape = { 32, 32, 3 },
			       .classes = 10,
			       .image = image,
			       .label = label,
			       .mean = { .5f, .5f, .5f },
			       .std = { .25f, .25f, .25f } };
}

/* Spearman's rank correlation. */
static double rank_correlation(const double *a, const double *b, size_t n)
{
	double xy = 0, xx = 0, yy = 0;

	for (size_t i = 0; i < n; i++) {
		double x = 0, y = 0;

		for (size_t j = 0; j < n; j++) {
			x += (a[j] < a[i]) - (a[j] > a[i]);
			y += (b[j] < b[i]) - (b[j] > b[i]);
		}
		xy += x * y;
		xx += x * x;
		yy += y * y;
	}
	return xy / sqrt(xx * yy);
}

#define CELLS 60

/* Both proxies order cells as the values do that NASLib publishes for CIFAR-10 (other
 * weights, other images, full size). Parameter counts are published too. */
Test(proxies, order_nas_bench_201_as_naslib_does)
{
	double synflow_published[CELLS], nwot_published[CELLS], flow[CELLS], wot[CELLS];
	const char *root = getenv("NASC_SOURCE");
	char path[4096], line[2048];
	struct arena a = { 0 };
	struct dataset data;
	size_t n = 0, whole = 0;
	FILE *fp;

	snprintf(path, sizeof path, "%s/../shared/data/nb201/nb201_zc_725.csv", root ? root : ".");
	fp = fopen(path, "r");
	if (!fp)
		cr_skip("no published proxy values at ../shared/data/nb201");
	waves(&a, &data);
	while (n < CELLS && fgets(line, sizeof line, fp)) {
		struct arena_mark mark = arena_mark(&a);
		struct eval_result result;
		struct network net;
		double value[6]; /* params [M], flops, accuracy, synflow, jacov, nwot */
		char *at = strstr(line, ")\",");

		if (strncmp(line, "cifar10,", 8) != 0 || !at || !nb201(&a, line + 8, &net))
			continue;
		at += 3;
		for (int i = 0; i < 6; i++, at++)
			value[i] = strtod(at, &at);
		whole += fabs((double)network_params(&net) - 1e6 * value[0]) < 0.5;
		synflow_published[n] = value[3];
		nwot_published[n] = value[5];
		cr_assert_eq(evaluate(&evaluator_synflow, "{repeats: 1, image_size: 8}", &net, NULL,
				      NULL, &result),
			     EVAL_OK);
		flow[n] = result.value[0];
		cr_assert_eq(evaluate(&evaluator_naswot, "{repeats: 1, image_size: 8}", &net, &data,
				      NULL, &result),
			     EVAL_OK, "%s", result.why);
		wot[n++] = result.value[0];
		arena_rewind(&a, mark);
	}
	fclose(fp);
	cr_assert_eq(n, CELLS);
	cr_assert_geq(whole, CELLS / 2); /* the others count weights nothing reaches */
	cr_assert_gt(rank_correlation(flow, synflow_published, n), 0.95, "synflow %.3f",
		     rank_correlation(flow, synflow_published, n));
	cr_assert_gt(rank_correlation(wot, nwot_published, n), 0.9, "nwot %.3f",
		     rank_correlation(wot, nwot_published, n));
	arena_free(&a);
}
