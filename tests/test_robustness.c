#include <math.h>
#include <string.h>

#include "engine_fixture.h"
#include "leak.h"
#include "robustness.h"
#include "train_fixture.h"

/* Errors under faults in the weights and noise on the images. */

TestSuite(robustness, .fini = no_leaks);

extern const struct evaluator_ops evaluator_train;

/* ---- flips ------------------------------------------------------------------------ */

/* Columns are output channels: the first has the scale .01, the second .002. 1 flips every bit,
 * which in two's complement makes -1 - v of v. */
Test(robustness, int8_by_hand)
{
	static const float given[6] = { 1.27f, -.254f, -.503f, .0031f, .004f, .1262f };
	static const int8_t want[6] = { 127, -127, -50, 2, 0, 63 };
	static const double scale[2] = { .01, .002 };
	struct bench b = { 0 };
	struct rng rng = { 0 };

	network_init(&b.net, &b.arena, (struct net_shape){ 1, 1, 3 });
	network_dense(&b.net, 0, 2, true);
	bench_open(&b, false);
	for (unsigned all = 0; all < 2; all++) {
		const struct param *w = &b.plan.param[0], *bias = &b.plan.param[1];
		float before = b.model.weights[bias->at];

		for (size_t i = 0; i < 6; i++)
			b.model.weights[param_at(w, i)] = given[i];
		cr_assert_eq(robustness_flip(&b.model, all, &rng), all * 48);
		for (size_t i = 0; i < 6; i++)
			cr_assert_float_eq(b.model.weights[param_at(w, i)],
					   scale[i % 2] * (all ? -1 - want[i] : want[i]), 1e-6,
					   "weight %zu, p %u", i, all);
		cr_assert_eq(b.model.weights[bias->at], before);
	}
	bench_close(&b);
}

/* Grouped and depthwise convolutions, norms and biases: only what is a weight changes, and the
 * padding of the stored tensors stays zero. */
Test(robustness, only_weights_change)
{
	struct bench b = { 0 };
	struct rng rng = { 0 };
	uint32_t at;
	float *old;
	bool *seen;

	network_init(&b.net, &b.arena, (struct net_shape){ 5, 5, 3 });
	at = network_unary(&b.net, NET_BATCH_NORM, network_conv2d(&b.net, 0, 6, 3, 1, 3, 0, true));
	at = network_depthwise(&b.net, at, 3, 1, NET_SAME, true);
	network_dense(&b.net, network_unary(&b.net, NET_RELU, at), 4, true);
	bench_open(&b, false);
	old = ARENA_NEW(&b.arena, float, b.plan.n_weights);
	seen = ARENA_NEW(&b.arena, bool, b.plan.n_weights);
	memcpy(old, b.model.weights, b.plan.n_weights * sizeof *old);
	cr_assert_eq(robustness_flip(&b.model, 1, &rng), 8 * (9 * 6 + 9 * 6 + 25 * 6 * 4));
	for (size_t k = 0; k < b.plan.n_params; k++) {
		const struct param *q = &b.plan.param[k];

		for (size_t i = 0; q->role == PARAM_WEIGHTS && i < param_count(q); i++) {
			float most = 0;

			for (size_t o = i % q->out; o < param_count(q); o += q->out)
				most = fmaxf(most, fabsf(old[param_at(q, o)]));
			seen[param_at(q, i)] = true;
			/* -1 - v: v was rounded by at most half, so the sum is -1 to within that */
			cr_assert_float_eq((b.model.weights[param_at(q, i)] + old[param_at(q, i)]) *
						   127 / most,
					   -1, .5 + 1e-4, "parameter %zu, weight %zu", k, i);
		}
	}
	for (size_t i = 0; i < b.plan.n_weights; i++)
		cr_assert(seen[i] || b.model.weights[i] == old[i], "at %zu", i);
	bench_close(&b);
}

/* 5,000 weights, 60 draws: flips are binomial in each of the eight places, in all, and from draw
 * to draw (chi-squared of 60 degrees of freedom: mean 60, standard deviation 11). */
Test(robustness, flips_are_binomial)
{
	enum { WEIGHTS = 5000, DRAWS = 60 };
	static const double rate[] = { .001, .01, .3 };
	struct bench b = { 0 };
	struct rng rng;

	network_init(&b.net, &b.arena, (struct net_shape){ 1, 1, 100 });
	network_dense(&b.net, 0, 50, false);
	bench_open(&b, false);
	rng_stream(&rng, 1, RNG_FLIPS, 2);
	for (size_t k = 0; k < sizeof rate / sizeof *rate; k++) {
		double p = rate[k], place[8] = { 0 }, all = 0, chi = 0, n = 8 * WEIGHTS;
		double sd = sqrt(WEIGHTS * DRAWS * p * (1 - p));
		const struct param *q = &b.plan.param[0];

		for (int d = 0; d < DRAWS; d++) {
			double count;

			/* 100 as the largest of each channel: the scale is 100/127 */
			for (size_t i = 0; i < WEIGHTS; i++)
				b.model.weights[param_at(q, i)] = i < 50 ? 100 : 0;
			count = (double)robustness_flip(&b.model, p, &rng);
			chi += (count - n * p) * (count - n * p) / (n * p * (1 - p));
			all += count;
			for (size_t i = 0; i < WEIGHTS; i++) {
				float v = b.model.weights[param_at(q, i)] * 1.27f;
				unsigned bits = (unsigned)lrintf(v) ^ (i < 50 ? 127u : 0u);

				for (unsigned bit = 0; bit < 8; bit++)
					place[bit] += bits >> bit & 1;
			}
		}
		cr_assert_float_eq(all, n * DRAWS * p, 4.5 * sqrt(8) * sd, "p %g: %g", p, all);
		for (unsigned bit = 0; bit < 8; bit++) {
			cr_assert_float_eq(place[bit], WEIGHTS * DRAWS * p, 4.5 * sd,
					   "p %g, bit %u: %g", p, bit, place[bit]);
			all -= place[bit];
		}
		cr_assert_eq(all, 0);
		cr_assert(chi > 20 && chi < 115, "p %g: chi-squared %g", p, chi);
	}
	bench_close(&b);
}

/* ---- noise --------------------------------------------------------------------------- */

/* Of a grey pixel far from black and white: N(0, .05). Of a black one, what is below is cut:
 * mean .05 / sqrt(2 pi), half of all stay black. Bounds: 4.5 standard deviations of the mean. */
Test(robustness, noise_by_its_moments)
{
	enum { N = 64, PIXELS = 32 * 32, ALL = N * PIXELS };
	static float image[2][ALL * 2], parts[ALL * 2], wide[ALL * 2];
	const struct dataset norm = { .mean = { .5f, .25f }, .std = { .2f, .1f } };
	const struct train_cfg cfg = { .noise = .05 };
	struct robustness r = { .cfg = &cfg, .noisy = true, .noise = 3 };
	const struct net_shape shape = { 32, 32, 2 };
	struct dataset floats = norm;
	double sum = 0, square = 0, black = 0, still = 0, negative = 0;

	for (size_t i = 0; i < ALL; i++) { /* channels: pixels of .5, of 0 */
		image[0][2 * i] = parts[2 * i] = 0;
		image[0][2 * i + 1] = parts[2 * i + 1] = -2.5f;
	}
	memcpy(image[1], image[0], sizeof *image);
	memcpy(wide, image[0], sizeof wide);
	floats.pixel = PIXEL_F32;
	robustness_noise(&r, &floats, 0, N, shape, wide);
	robustness_noise(&r, &norm, 0, N, shape, image[0]);
	robustness_noise(&r, &norm, 0, 5, shape, parts);
	robustness_noise(&r, &norm, 5, N - 5, shape, parts + (size_t)5 * 2 * PIXELS);
	cr_assert_eq(memcmp(parts, image[0], sizeof parts), 0, "depends on the calls");
	r.noise = 4;
	robustness_noise(&r, &norm, 0, N, shape, image[1]);
	cr_assert_neq(memcmp(image[0], image[1], sizeof *image), 0, "every draw is the same");
	cr_assert_neq(memcmp(image[0], image[0] + 2 * PIXELS, 2 * PIXELS * sizeof(float)), 0,
		      "every image has the same");
	for (size_t i = 0; i < 2 * ALL; i++) { /* floats are not cut */
		cr_assert_float_eq(fmaxf(wide[i], i % 2 ? -2.5f : -10), image[0][i], 1e-5);
		negative += i % 2 && wide[i] < -2.5f;
	}
	cr_assert_float_eq(negative / ALL, .5, 4.5 * .5 / sqrt(ALL));
	for (size_t i = 0; i < ALL; i++) {
		double grey = image[0][2 * i] * .2, dark = image[0][2 * i + 1] * .1 + .25;

		sum += grey;
		square += grey * grey;
		black += dark;
		still += dark < 1e-6;
		cr_assert(dark > -1e-6);
	}
	cr_assert_float_eq(sum / ALL, 0, 4.5 * .05 / sqrt(ALL));
	cr_assert_float_eq(sqrt(square / ALL), .05, 4.5 * .05 / sqrt(2 * ALL));
	cr_assert_float_eq(black / ALL, .05 / sqrt(2 * 3.14159265358979), 4.5 * .03 / sqrt(ALL));
	cr_assert_float_eq(still / ALL, .5, 4.5 * .5 / sqrt(ALL));
}

/* ---- as part of training ---------------------------------------------------------------- */

struct trained {
	struct arena a;
	struct train_cfg cfg;
	struct dataset train, validation;
	struct network net;
};

static void prepare(struct trained *t)
{
	*t = (struct trained){ 0 };
	t->cfg = defaults(&t->a);
	quarters(&t->a, 2000, 1, &t->train);
	quarters(&t->a, 333, 2, &t->validation);
	densenet(&t->a, t->train.shape, 6, 2, 5, 4, &t->net);
	t->cfg.epochs = 3;
	t->cfg.precision = 1; /* f32 */
}

static struct train_robustness faults(struct trained *t, double flips, double noise, double *error)
{
	struct evaluator e = { .ops = &evaluator_train,
			       .cfg = &t->cfg,
			       .train = &t->train,
			       .validation = &t->validation };
	struct eval_request request = { .id = 3, .seed = 5, .net = &t->net };
	struct eval_result r;

	t->cfg.flips = flips;
	t->cfg.noise = noise;
	cr_assert_eq(evaluator_train.run(&e, NULL, &request, &r), EVAL_OK, "%s", r.why);
	cr_assert_str_eq(evaluator_train.metric[2].key, "error_flips");
	cr_assert_str_eq(evaluator_train.metric[3].key, "error_noise");
	*error = r.value[0];
	return (struct train_robustness){ r.value[2], r.value[3] };
}

Test(robustness, without_faults_nothing_is_measured)
{
	static const double some[][2] = { { 0, 0 }, { .02, 0 }, { 0, .5 }, { .02, .5 } };
	struct trained t;
	double plain, error;

	prepare(&t);
	for (size_t i = 0; i < 4; i++) {
		struct train_robustness r = faults(&t, some[i][0], some[i][1], &error);
		bool flips = some[i][0] > 0, noise = some[i][1] > 0;

		if (i == 0)
			plain = error;
		cr_assert_eq(error, plain, "faults change what is trained");
		cr_assert(evaluator_measures(&evaluator_train, &t.cfg, 0) &&
			  evaluator_measures(&evaluator_train, &t.cfg, 1));
		cr_assert_eq(evaluator_measures(&evaluator_train, &t.cfg, 2), flips);
		cr_assert_eq(evaluator_measures(&evaluator_train, &t.cfg, 3), noise);
		cr_assert(flips ? r.error_flips != error : isnan(r.error_flips));
		cr_assert(noise ? r.error_noise != error : isnan(r.error_noise));
	}
	arena_free(&t.a);
}

/* A network that has learned four classes, from untouched to one of random weights. */
Test(robustness, more_faults_hurt_more)
{
	static const double flips[] = { 1e-4, .003, .02, .1, .5 }, noise[] = { .01, .3, 1, 10 };
	struct trained t;
	double error, last = 0;

	prepare(&t);
	t.cfg.draws = 100;
	for (size_t i = 0; i < 5; i++) {
		double now = faults(&t, flips[i], 0, &error).error_flips;

		printf("# %g of the bits flipped: error %.4f\n", flips[i], now);
		cr_assert_lt(error, .1);
		cr_assert_gt(now, last, "%g", flips[i]);
		cr_assert(i > 0 || now < error + .05);
		last = now;
	}
	cr_assert_float_eq(last, .75, .08);
	last = 0;
	for (size_t i = 0; i < 4; i++) {
		double now = faults(&t, 0, noise[i], &error).error_noise;

		printf("# noise %g: error %.4f\n", noise[i], now);
		cr_assert_gt(now, last, "%g", noise[i]);
		cr_assert(i > 0 || now < error + .05);
		last = now;
	}
	cr_assert_gt(last, .6);
	arena_free(&t.a);
}

Test(robustness, any_number_of_threads_gives_the_same_bits)
{
	struct trained t;
	struct train_report plain, report[3];
	char *want, *got;
	size_t n, m;

	prepare(&t);
	want = weights_after(&t.a, &t.cfg, &t.net, &t.train, 1, &n, &plain);
	t.cfg.flips = .01;
	t.cfg.noise = .2;
	for (unsigned i = 0; i < 3; i++) {
		got = weights_after(&t.a, &t.cfg, &t.net, &t.train, i + 1, &m, &report[i]);
		cr_assert(m == n && memcmp(got, want, n) == 0, "the faults stay in the weights");
		cr_assert_eq(report[i].test_accuracy, plain.test_accuracy);
		cr_assert_eq(report[i].test_robustness.error_flips,
			     report[0].validation_robustness.error_flips);
		cr_assert_eq(report[i].test_robustness.error_noise,
			     report[0].validation_robustness.error_noise);
	}
	arena_free(&t.a);
}
