#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eigen.h"
#include "evaluators.h"
#include "leak.h"
#include "network_fixture.h"
#include "ranked.h"
#include "rng.h"

/* Every proxy's formula on networks so small that it is written out here a second time,
 * in doubles, from weights drawn again from the same stream. */
TestSuite(proxy_formulas, .fini = no_leaks);

#define SEED 4242
#define ID   17

static const struct network *sampled; /* what stands for a space's sample */

static void sample(const void *space, uint64_t seed, uint64_t i, struct arena *a,
		   struct network *out)
{
	(void)space, (void)seed, (void)a;
	*out = sampled[i];
}

static void evaluate(const char *name, const char *yaml, const struct network *net,
		     const struct dataset *data, struct eval_result *result)
{
	const struct evaluator_ops *ops = evaluator_find(name);
	struct eval_request request = { .id = ID, .seed = SEED, .net = net };
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct yaml_doc doc;
	char cfg[256];
	struct evaluator e = {
		.ops = ops, .cfg = cfg, .train = data, .arena = &a, .sample = sample
	};
	void *worker = NULL;

	cr_assert_eq(yaml_parse("t.yaml", yaml, strlen(yaml), &a, &doc, &err), NASC_OK, "%s",
		     err.msg);
	cr_assert_eq(cfg_load(ops->fields, &doc, doc.root, NULL, &a, cfg, ops->cfg_size, &err),
		     NASC_OK, "%s", err.msg);
	if (ops->open)
		cr_assert_eq(ops->open(&e, &err), NASC_OK, "%s", err.msg);
	if (ops->worker_open)
		cr_assert_eq(ops->worker_open(&e, &worker, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(ops->run(&e, worker, &request, result), EVAL_OK, "%s: %s", name, result->why);
	if (ops->worker_close)
		ops->worker_close(&e, worker);
	if (ops->close)
		ops->close(&e);
	arena_free(&a);
}

/* ---- two dense layers --------------------------------------------------------------- */

#define N   4 /* images */
#define IN  3
#define MID 5
#define OUT 2

static const uint8_t pixels[N * IN] = { 255, 10, 90, 30, 200, 40, 120, 5, 250, 60, 160, 220 };
static const uint8_t labels[N] = { 0, 1, 1, 0 };
static const struct dataset images = { .n = N,
				       .shape = { 1, 1, IN },
				       .classes = OUT,
				       .image = pixels,
				       .label = labels,
				       .mean = { .5f, .5f, .5f },
				       .std = { .25f, .25f, .25f } };

static double input_of(size_t i, size_t k)
{
	return (pixels[i * IN + k] / 255.0 - 0.5) / 0.25;
}

static void two_layers(struct arena *a, struct network *net)
{
	uint32_t x;

	network_init(net, a, (struct net_shape){ 1, 1, IN });
	x = network_unary(net, NET_RELU, network_dense(net, 0, MID, false));
	network_dense(net, x, OUT, false);
	infer(net);
}

struct weights {
	double w1[IN][MID], w2[MID][OUT];
};

/* Uniform within 1 / sqrt(fan_in); a row of outputs takes two numbers of each draw. */
static void row_uniform(double *w, size_t n, double fan_in, struct rng *rng)
{
	double bound = 1 / sqrt(fan_in);

	for (size_t i = 0; i < n; i += 2) {
		uint64_t bits = rng_u64(rng);

		w[i] = bound * (int32_t)(bits >> 32) / 2147483648.0;
		if (i + 1 < n)
			w[i + 1] = bound * (int32_t)bits / 2147483648.0;
	}
}

static void row_normal(double *w, size_t n, double std, struct rng *rng)
{
	for (size_t i = 0; i < n; i++)
		w[i] = std * rng_normal(rng);
}

static void draw(struct weights *w, bool normal)
{
	struct rng rng;

	rng_stream(&rng, SEED, RNG_INIT, ID);
	for (size_t i = 0; i < IN; i++)
		normal ? row_normal(w->w1[i], MID, sqrt(1.0 / IN), &rng)
		       : row_uniform(w->w1[i], MID, IN, &rng);
	for (size_t i = 0; i < MID; i++)
		normal ? row_normal(w->w2[i], OUT, sqrt(1.0 / MID), &rng)
		       : row_uniform(w->w2[i], OUT, MID, &rng);
}

/* Gradients of the mean cross-entropy over images order[0] .. order[n - 1]. */
static void gradients(const struct weights *w, const uint32_t *order, size_t n, struct weights *g)
{
	*g = (struct weights){ 0 };
	for (size_t b = 0; b < n; b++) {
		double h[MID] = { 0 }, z[OUT] = { 0 }, total = 0;

		for (size_t m = 0; m < MID; m++) {
			for (size_t k = 0; k < IN; k++)
				h[m] += w->w1[k][m] * input_of(order[b], k);
			h[m] = fmax(h[m], 0);
			for (size_t o = 0; o < OUT; o++)
				z[o] += w->w2[m][o] * h[m];
		}
		for (size_t o = 0; o < OUT; o++)
			total += exp(z[o]);
		for (size_t o = 0; o < OUT; o++) {
			double d = (exp(z[o]) / total - (o == labels[order[b]])) / (double)n;

			for (size_t m = 0; m < MID; m++) {
				g->w2[m][o] += h[m] * d;
				for (size_t k = 0; k < IN && h[m] > 0; k++)
					g->w1[k][m] += input_of(order[b], k) * w->w2[m][o] * d;
			}
		}
	}
}

static const uint32_t in_order[N] = { 0, 1, 2, 3 };

Test(proxy_formulas, snip_and_grad_norm)
{
	struct arena a = { 0 };
	struct eval_result result;
	struct network net;
	struct weights w, g;
	const double *v = &w.w1[0][0], *d = &g.w1[0][0];
	double snip = 0, first = 0, second = 0;

	two_layers(&a, &net);
	draw(&w, false);
	gradients(&w, in_order, N, &g);
	for (size_t i = 0; i < IN * MID + MID * OUT; i++) {
		snip += fabs(v[i] * d[i]);
		*(i < IN * MID ? &first : &second) += d[i] * d[i];
	}
	evaluate("snip", "repeats: 1", &net, &images, &result);
	cr_assert_float_eq(result.value[0], snip, 1e-5 * snip, "%g %g", result.value[0], snip);
	evaluate("grad_norm", "repeats: 1", &net, &images, &result);
	cr_assert_float_eq(result.value[0], sqrt(first) + sqrt(second), 1e-5);
	arena_free(&a);
}

/* Two batches of two images, in the run's order. */
Test(proxy_formulas, zico)
{
	uint32_t order[N] = { 0, 1, 2, 3 };
	struct arena a = { 0 };
	struct eval_result result;
	struct network net;
	struct weights w, g[2];
	double sum[2] = { 0 };
	struct rng rng;

	rng_stream(&rng, SEED, RNG_PROXY, 0);
	rng_shuffle_u32(&rng, order, N);
	two_layers(&a, &net);
	draw(&w, true);
	gradients(&w, order, 2, &g[0]);
	gradients(&w, order + 2, 2, &g[1]);
	for (size_t i = 0; i < IN * MID + MID * OUT; i++) {
		double p = (&g[0].w1[0][0])[i], q = (&g[1].w1[0][0])[i];
		double mean = (p + q) / 2;
		double std = sqrt(((p - mean) * (p - mean) + (q - mean) * (q - mean)) / 2);

		if (std > 0)
			sum[i >= IN * MID] += (fabs(p) + fabs(q)) / 2 / std;
	}
	evaluate("zico", "{repeats: 1, images: 2}", &net, &images, &result);
	cr_assert_float_eq(result.value[0], log(sum[0]) + log(sum[1]), 1e-4, "%g %g",
			   result.value[0], log(sum[0]) + log(sum[1]));
	arena_free(&a);
}

/* Eigenvalues of a symmetric 3x3 matrix of ones on the diagonal: Smith, CACM 4(4) 1961. */
static void eigenvalues_of_three(double p, double q, double r, double v[3])
{
	double s = sqrt((p * p + q * q + r * r) / 3), t = 0;

	if (s > 0)
		t = acos(fmax(-1, fmin(1, p * q * r / (s * s * s)))) / 3;
	for (int i = 0; i < 3; i++)
		v[i] = 1 + 2 * s * cos(t + 2 * acos(-1) * i / 3);
}

Test(proxy_formulas, jacob_cov)
{
	struct dataset three = images;
	struct arena a = { 0 };
	struct eval_result result;
	struct network net;
	struct weights w;
	double j[3][IN] = { 0 }, c[3][3], v[3], score = 0;

	three.n = 3;
	two_layers(&a, &net);
	draw(&w, false);
	for (size_t i = 0; i < 3; i++) {
		double mean = 0, norm = 0;

		for (size_t m = 0; m < MID; m++) {
			double h = 0;

			for (size_t k = 0; k < IN; k++)
				h += w.w1[k][m] * input_of(i, k);
			for (size_t k = 0; k < IN && h > 0; k++)
				j[i][k] += w.w1[k][m] * (w.w2[m][0] + w.w2[m][1]);
		}
		for (size_t k = 0; k < IN; k++)
			mean += j[i][k] / IN;
		for (size_t k = 0; k < IN; k++) {
			j[i][k] -= mean;
			norm += j[i][k] * j[i][k];
		}
		for (size_t k = 0; k < IN; k++)
			j[i][k] /= sqrt(norm);
	}
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < 3; k++) {
			c[i][k] = 0;
			for (size_t m = 0; m < IN; m++)
				c[i][k] += j[i][m] * j[k][m];
		}
	eigenvalues_of_three(c[0][1], c[0][2], c[1][2], v);
	for (size_t i = 0; i < 3; i++)
		score -= log(v[i] + 1e-5) + 1 / (v[i] + 1e-5);
	evaluate("jacob_cov", "repeats: 1", &net, &three, &result);
	/* 1 / (v + k) reaches 1e5 for a v of 0, which f32 gradients know to some 1e-7. */
	cr_assert_float_eq(result.value[0], score, 0.02 * fabs(score), "%.9g %.9g", result.value[0],
			   score);
	arena_free(&a);
}

/* ---- patterns ---------------------------------------------------------------------- */

/* Three images of two pixels of signs (+ +), (+ -), (- +), a 1x1 convolution to three
 * channels: a positive weight gives patterns 110 and 101, a negative one 001 and 010. */
Test(proxy_formulas, swap)
{
	static const uint8_t signs[] = { 255, 255, 255, 0, 0, 255 }, none[] = { 0, 1, 0 };
	struct dataset d = { .n = 3,
			     .shape = { 1, 2, 1 },
			     .classes = 2,
			     .image = signs,
			     .label = none,
			     .mean = { .5f },
			     .std = { .5f } };
	struct arena a = { 0 };
	struct eval_result result;
	struct network net;
	struct rng rng;
	double w[3];
	int positive = 0;
	uint32_t x;

	rng_stream(&rng, SEED, RNG_INIT, ID);
	row_uniform(w, 3, 1, &rng);
	for (int i = 0; i < 3; i++)
		positive += w[i] > 0;
	network_init(&net, &a, (struct net_shape){ 1, 2, 1 });
	x = network_conv2d(&net, 0, 3, 1, 1, 1, NET_SAME, false);
	network_dense(&net, network_unary(&net, NET_RELU, x), 2, true);
	infer(&net);
	evaluate("swap", "repeats: 1", &net, &d, &result);
	cr_assert_eq(result.value[0], positive == 0 || positive == 3 ? 2 : 4, "%g",
		     result.value[0]);
	arena_free(&a);
}

/* ---- noise -------------------------------------------------------------------------- */

#define NOISE 6

/* A 1x1 convolution of one pixel to two channels, normalised over the batch. */
static void normalised(const double w[2][2], double x[NOISE][2], double y[NOISE][2], double var[2])
{
	for (size_t c = 0; c < 2; c++) {
		double mean = 0;

		var[c] = 0;
		for (size_t i = 0; i < NOISE; i++) {
			y[i][c] = x[i][0] * w[0][c] + x[i][1] * w[1][c];
			mean += y[i][c] / NOISE;
		}
		for (size_t i = 0; i < NOISE; i++)
			var[c] += (y[i][c] - mean) * (y[i][c] - mean) / NOISE;
		for (size_t i = 0; i < NOISE; i++)
			y[i][c] = (y[i][c] - mean) / sqrt(var[c] + 1e-5);
	}
}

Test(proxy_formulas, zen)
{
	double w[2][2], x[NOISE][2], y[NOISE][2], z[NOISE][2], var[2], ignored[2];
	double moved = 0, score;
	struct arena a = { 0 };
	struct eval_result result;
	struct network net;
	struct rng rng;
	uint32_t at;

	rng_stream(&rng, SEED, RNG_INIT, ID);
	row_normal(w[0], 4, 1, &rng);
	row_normal(x[0], 2 * NOISE, 1, &rng);
	normalised((const double(*)[2])w, x, y, var);
	for (size_t i = 0; i < 2 * NOISE; i++)
		x[i / 2][i % 2] += 0.01 * rng_normal(&rng);
	normalised((const double(*)[2])w, x, z, ignored);
	for (size_t i = 0; i < 2 * NOISE; i++)
		moved += fabs(y[i / 2][i % 2] - z[i / 2][i % 2]) / NOISE;
	score = log(moved) + log(sqrt((var[0] + var[1]) / 2));
	network_init(&net, &a, (struct net_shape){ 1, 1, 2 });
	at = network_conv2d(&net, 0, 2, 1, 1, 1, NET_SAME, false);
	at = network_unary(&net, NET_GLOBAL_POOL, network_unary(&net, NET_BATCH_NORM, at));
	network_dense(&net, at, 3, true);
	infer(&net);
	evaluate("zen", "{repeats: 1, images: 6}", &net, NULL, &result);
	cr_assert_float_eq(result.value[0], score, 1e-3, "%.9g %.9g", result.value[0], score);
	arena_free(&a);
}

/* Eigenvalues of [[p q] [q r]]. */
static void eigenvalues_of_two(double p, double q, double r, double v[2])
{
	double mean = (p + r) / 2, half = sqrt((p - r) * (p - r) / 4 + q * q);

	v[0] = mean - half;
	v[1] = mean + half;
}

static double entropy_of(double f[NOISE][2])
{
	double mean[2] = { 0 }, c[3] = { 0 }, v[2], sum = 0;

	for (size_t i = 0; i < NOISE; i++)
		for (size_t k = 0; k < 2; k++)
			mean[k] += f[i][k] / NOISE;
	for (size_t i = 0; i < NOISE; i++) {
		double p = f[i][0] - mean[0], q = f[i][1] - mean[1];

		c[0] += p * p;
		c[1] += p * q;
		c[2] += q * q;
	}
	eigenvalues_of_two(c[0], c[1], c[2], v);
	for (int k = 0; k < 2; k++)
		sum -= v[k] / (v[0] + v[1]) * log(v[k] / (v[0] + v[1]) + 1e-8);
	return sum;
}

/* Two 1x1 convolutions of one pixel are two blocks; g_in = g_out w2^T, so that
 * g_in^T g_out / n = w2 (g_out^T g_out) / n. */
Test(proxy_formulas, az_nas)
{
	double w[2][2][2], x[NOISE][2], f[2][NOISE][2], e[2], g[3] = { 0 }, m[2][2], v[2], s;
	struct arena a = { 0 };
	struct eval_result result;
	struct network net, same[2];
	struct rng rng;

	rng_stream(&rng, SEED, RNG_INIT, ID);
	row_normal(x[0], 2 * NOISE, 1, &rng);
	for (int b = 0; b < 2; b++) {
		double(*from)[2] = b ? f[0] : x;

		row_normal(w[b][0], 4, 1, &rng); /* 2 / fan_in is 1 */
		for (size_t i = 0; i < NOISE; i++)
			for (size_t c = 0; c < 2; c++)
				f[b][i][c] = from[i][0] * w[b][0][c] + from[i][1] * w[b][1][c];
		e[b] = entropy_of(f[b]);
	}
	for (size_t i = 0; i < NOISE; i++) {
		double p = rng_u64(&rng) >> 63 ? 1 : -1, q = rng_u64(&rng) >> 63 ? 1 : -1;

		g[0] += p * p / NOISE;
		g[1] += p * q / NOISE;
		g[2] += q * q / NOISE;
	}
	for (int i = 0; i < 2; i++) {
		m[i][0] = w[1][i][0] * g[0] + w[1][i][1] * g[1];
		m[i][1] = w[1][i][0] * g[1] + w[1][i][1] * g[2];
	}
	eigenvalues_of_two(m[0][0] * m[0][0] + m[1][0] * m[1][0],
			   m[0][0] * m[0][1] + m[1][0] * m[1][1],
			   m[0][1] * m[0][1] + m[1][1] * m[1][1], v);
	s = sqrt(v[1]);
	network_init(&net, &a, (struct net_shape){ 1, 1, 2 });
	network_conv2d(&net, 0, 2, 1, 1, 1, NET_SAME, false);
	network_conv2d(&net, 1, 2, 1, 1, 1, NET_SAME, false);
	network_dense(&net, network_unary(&net, NET_GLOBAL_POOL, 2), 3, true);
	infer(&net);
	same[0] = same[1] = net;
	sampled = same;
	evaluate("az_nas", "{images: 6, reference: 2}", &net, NULL, &result);
	cr_assert_float_eq(result.value[1], e[0] + e[1], 1e-5, "%g", result.value[1]);
	cr_assert_float_eq(result.value[2], e[1] - e[0], 1e-5, "%g", result.value[2]);
	cr_assert_float_eq(result.value[3], 2 - s - 1 / (s + 1e-6), 1e-4, "%g %g", result.value[3],
			   2 - s - 1 / (s + 1e-6));
	arena_free(&a);
}

/* Nothing in front of the pool: said, not computed. */
Test(proxy_formulas, features_of_nothing)
{
	const struct evaluator_ops *ops = evaluator_find("zen");
	struct nasc_err err = { 0 };
	struct eval_result result;
	struct arena a = { 0 };
	struct network net;
	struct eval_request request = { .id = ID, .seed = SEED, .net = &net };
	char cfg[256];
	struct evaluator e = { .ops = ops, .cfg = cfg, .arena = &a };
	void *worker;

	cfg_defaults(ops->fields, &a, cfg, ops->cfg_size);
	network_init(&net, &a, (struct net_shape){ 4, 4, 2 });
	network_dense(&net, network_unary(&net, NET_GLOBAL_POOL, 0), 3, true);
	infer(&net);
	cr_assert_eq(ops->worker_open(&e, &worker, &err), NASC_OK);
	cr_assert_eq(ops->run(&e, worker, &request, &result), EVAL_FAILED);
	cr_assert_str_eq(result.why, "the global average pool reads the image itself");
	ops->worker_close(&e, worker);
	arena_free(&a);
}

/* ---- ranks ---------------------------------------------------------------------------- */

Test(proxy_formulas, ranks_within_and_beyond_a_sample)
{
	static const double plain[] = { 1, 2, 4, 8 }, ties[] = { 1, 1, 3 };
	static const double failed[] = { -(double)INFINITY, -(double)INFINITY, 5, 6 };
	static const double one[] = { 7, 7 };

	cr_assert_eq(ranked_rank(plain, 4, 1), 1);
	cr_assert_eq(ranked_rank(plain, 4, 2), 2);
	cr_assert_eq(ranked_rank(plain, 4, 3), 2.5);
	cr_assert_eq(ranked_rank(plain, 4, 8), 4);
	cr_assert_eq(ranked_rank(plain, 4, 12), 5);   /* 4 a rank, as from 4 to 8 */
	cr_assert_eq(ranked_rank(plain, 4, -3), 0.5); /* one such step below the worst */
	cr_assert_eq(ranked_rank(ties, 3, 1), 1.5);
	cr_assert_eq(ranked_rank(ties, 3, 2), 2.25);
	cr_assert_eq(ranked_rank(failed, 4, 5), 3);
	cr_assert_eq(ranked_rank(failed, 4, 4), 2.25); /* between both failures' 1.5 and 3 */
	cr_assert_eq(ranked_rank(one, 2, 7), 1.5);
	cr_assert_gt(ranked_rank(one, 2, 8), ranked_rank(one, 2, 7));
	cr_assert_lt(ranked_rank(one, 2, 6), ranked_rank(one, 2, 7));
}

/* Dense layers of 1 .. 4 units on 10 inputs; a candidate of 3 units, then of 6. */
Test(proxy_formulas, ensemble_is_the_log_rank_sum_of_its_members)
{
	struct arena a = { 0 };
	struct eval_result result;
	struct network net[6];

	for (uint32_t i = 0; i < 6; i++) {
		network_init(&net[i], &a, (struct net_shape){ 1, 1, 10 });
		network_dense(&net[i], 0, i + 1, true);
		infer(&net[i]);
	}
	sampled = net;
	evaluate("ensemble", "{members: [params, macs], reference: 4}", &net[2], &images, &result);
	cr_assert_float_eq(result.value[0], 2 * log(3.0 / 4), 1e-12);
	/* Worth of a rank: 11 and 10; two ranks beyond the fourth. */
	evaluate("ensemble", "{members: [params, macs], reference: 4}", &net[5], &images, &result);
	cr_assert_float_eq(result.value[0], 2 * log(6.0 / 4), 1e-12);
	arena_free(&a);
}

Test(proxy_formulas, ensemble_needs_a_space)
{
	const struct evaluator_ops *ops = evaluator_find("ensemble");
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	char cfg[256];
	struct evaluator e = { .ops = ops, .cfg = cfg, .train = &images, .arena = &a };

	cfg_defaults(ops->fields, &a, cfg, ops->cfg_size);
	cr_assert_eq(ops->open(&e, &err), NASC_CONFIG);
	arena_free(&a);
}

/* ---- eigenvalues ------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
	double p = *(const double *)a, q = *(const double *)b;

	return (p > q) - (p < q);
}

/* a_ij = min(i, j), i and j from 1: 1 / (4 sin^2((2k - 1) pi / (4n + 2))). */
Test(proxy_formulas, eigenvalues_of_a_known_matrix)
{
	double a[20 * 20], v[20], off[20];

	for (size_t n = 1; n <= 20; n++) {
		for (size_t i = 0; i < n * n; i++)
			a[i] = (double)(1 + (i / n < i % n ? i / n : i % n));
		symmetric_eigenvalues(a, n, v, off);
		qsort(v, n, sizeof *v, compare);
		for (size_t k = 1; k <= n; k++) {
			double s = sin((2.0 * (double)k - 1) * acos(-1) / (4.0 * (double)n + 2));

			cr_assert_float_eq(v[n - k], 1 / (4 * s * s), 1e-12 * v[n - 1] + 1e-12);
		}
	}
}

/* Diagonal, zero and block matrices, where nothing is left to do. */
Test(proxy_formulas, eigenvalues_of_plain_matrices)
{
	double a[9] = { 3, 0, 0, 0, 1, 0, 0, 0, 2 }, zero[4] = { 0 }, v[3], off[3];
	double block[9] = { 0, 1, 0, 1, 0, 0, 0, 0, 5 };

	symmetric_eigenvalues(a, 3, v, off);
	qsort(v, 3, sizeof *v, compare);
	cr_assert(v[0] == 1 && v[1] == 2 && v[2] == 3);
	symmetric_eigenvalues(zero, 2, v, off);
	cr_assert(v[0] == 0 && v[1] == 0);
	symmetric_eigenvalues(block, 3, v, off);
	qsort(v, 3, sizeof *v, compare);
	cr_assert_float_eq(v[0], -1, 1e-15);
	cr_assert_float_eq(v[1], 1, 1e-15);
	cr_assert_float_eq(v[2], 5, 1e-15);
}
