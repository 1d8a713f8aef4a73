#define _XOPEN_SOURCE 700
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"
#include "file.h"
#include "rng.h"
#include "scratch.h"

TestSuite(export_onnx, .init = begin, .fini = finish);

/* ---- networks ------------------------------------------------------------------------- */

enum more { PLAIN, GROUPS = 1, UPSAMPLE = 2, PADS = 4, CHAINS = 8 };

static uint32_t relu6_of(struct network *net, uint32_t x)
{
	return network_unary(net, NET_RELU6, x);
}

/* Every kind of operator, dense layers behind maps and in front of them. GROUPS,
 * UPSAMPLE, PADS: also a grouped convolution, an upsampling, a pad. CHAINS: sums of three inputs
 * as two sums. */
static void every_kind(struct network *net, int more)
{
	struct nasc_err err = { 0 };
	struct network plain;
	uint32_t x, y, z;

	network_init(&plain, &arena, (struct net_shape){ 9, 8, 3 });
	x = network_conv2d(&plain, 0, 6, 3, 2, 1, NET_SAME, false); /* 5x4 */
	plain.op[x].kernel_w = 2;
	x = network_unary(&plain, NET_RELU, network_unary(&plain, NET_BATCH_NORM, x));
	y = relu6_of(&plain, network_depthwise(&plain, x, 3, 1, NET_SAME, true));
	z = network_conv2d(&plain, y, 6, 1, 1, more & GROUPS ? 2 : 1, NET_SAME, true);
	if (more & CHAINS) {
		x = network_merge(&plain, NET_ADD, (const uint32_t[]){ x, y }, 2);
		x = network_merge(&plain, NET_ADD, (const uint32_t[]){ x, z }, 2);
	} else {
		x = network_merge(&plain, NET_ADD, (const uint32_t[]){ x, y, z }, 3);
	}
	x = network_unary(&plain, NET_RELU, network_unary(&plain, NET_BATCH_NORM, x));
	x = network_merge(&plain, NET_CONCAT, (const uint32_t[]){ x, y, z }, 3);
	if (more & PADS)
		x = network_pad(&plain, x, 1, 0, 0, 2);
	x = network_pool(&plain, NET_AVG_POOL, x, 2, 1, NET_VALID);
	x = network_pool(&plain, NET_AVG_POOL, x, 3, 2, NET_SAME);
	x = network_pool(&plain, NET_MAX_POOL, x, 3, 1, NET_EXPLICIT);
	plain.op[x].pad_top = plain.op[x].pad_right = 1;
	plain.op[x].pad_left = 2;
	if (more & UPSAMPLE)
		x = network_append(&plain, &(struct net_op){ .kind = NET_UPSAMPLE, .stride = 2 },
				   &x, 1);
	x = relu6_of(&plain, x);
	y = network_unary(&plain, NET_RELU, network_unary(&plain, NET_GLOBAL_POOL, x));
	z = network_dense(&plain, x, 7, true);
	z = network_merge(&plain, NET_CONCAT, (const uint32_t[]){ z, y }, 2);
	x = network_conv2d(&plain, z, 18, 1, 1, 1, NET_SAME, true);
	x = network_merge(&plain, NET_ADD, (const uint32_t[]){ x, y }, 2);
	x = network_dense(&plain, relu6_of(&plain, x), 9, false);
	network_dense(&plain, network_unary(&plain, NET_BATCH_NORM, x), 5, true);
	cr_assert_eq(network_infer(&plain, &err), NASC_OK, "%s", err.msg);
	network_fold(&plain, &arena, net, NULL);
	snprintf(net->name, sizeof net->name, "every kind");
}

/* A series, whose last operator makes a map. */
static void series(struct network *net)
{
	struct nasc_err err = { 0 };
	struct network plain;
	uint32_t x;

	network_init(&plain, &arena, (struct net_shape){ 1, 30, 2 });
	x = network_conv2d(&plain, 0, 8, 5, 2, 1, NET_SAME, true);
	plain.op[x].kernel_h = 1;
	x = network_conv2d(&plain, network_unary(&plain, NET_RELU, x), 4, 1, 1, 1, NET_SAME, true);
	network_unary(&plain, NET_GLOBAL_POOL, x);
	cr_assert_eq(network_infer(&plain, &err), NASC_OK, "%s", err.msg);
	network_fold(&plain, &arena, net, NULL);
}

/* One operator of a kind that int8 has, behind the input or, to merge, beside a convolution. */
static void alone(struct network *net, enum net_kind kind)
{
	bool merges = kind == NET_ADD || kind == NET_CONCAT;
	struct nasc_err err = { 0 };
	uint32_t in[2] = { 0 };

	network_init(net, &arena, (struct net_shape){ 7, 6, 4 });
	if (merges)
		in[1] = network_conv2d(net, 0, 4, 1, 1, 1, NET_SAME, false);
	switch (kind) {
	case NET_CONV2D:
		network_conv2d(net, 0, 5, 3, 2, 1, NET_SAME, true);
		break;
	case NET_DEPTHWISE:
		network_depthwise(net, 0, 3, 2, NET_SAME, true);
		break;
	case NET_DENSE:
		network_dense(net, 0, 5, true);
		break;
	case NET_MAX_POOL:
	case NET_AVG_POOL:
		network_pool(net, kind, 0, 3, 2, NET_SAME);
		break;
	case NET_PAD:
		network_pad(net, 0, 2, 1, 0, 3);
		break;
	case NET_UPSAMPLE:
		network_append(net, &(struct net_op){ .kind = kind, .stride = 2 }, in, 1);
		break;
	default:
		network_append(net, &(struct net_op){ .kind = kind }, in, merges ? 2 : 1);
	}
	cr_assert_eq(network_infer(net, &err), NASC_OK, "%s", err.msg);
}

/* Inverted residuals. */
static void residual(struct network *net)
{
	struct nasc_err err = { 0 };
	struct network plain;
	uint32_t x, y;

	network_init(&plain, &arena, (struct net_shape){ 12, 12, 3 });
	x = network_conv2d(&plain, 0, 8, 3, 2, 1, NET_SAME, true);
	for (int i = 0; i < 2; i++) {
		y = network_unary(&plain, NET_RELU,
				  network_conv2d(&plain, x, 24, 1, 1, 1, NET_SAME, true));
		y = relu6_of(&plain, network_depthwise(&plain, y, 3, 1, NET_SAME, true));
		y = network_conv2d(&plain, y, 8, 1, 1, 1, NET_SAME, true);
		x = network_merge(&plain, NET_ADD, (const uint32_t[]){ x, y }, 2);
	}
	network_dense(&plain, network_unary(&plain, NET_GLOBAL_POOL, x), 5, true);
	cr_assert_eq(network_infer(&plain, &err), NASC_OK, "%s", err.msg);
	network_fold(&plain, &arena, net, NULL);
}

static float normal(struct rng *r, double spread)
{
	return (float)(spread * rng_normal(r));
}

static struct trained random_weights(const struct network *net, struct rng *r)
{
	struct trained t = { .net = *net, .op = ARENA_NEW(&arena, struct trained_op, net->n_ops) };

	for (size_t i = 0; i < net->n_ops; i++) {
		const struct net_op *o = &net->op[i];
		size_t n = network_op_weights(net, i);
		bool norm = o->kind == NET_BATCH_NORM;

		if (n || norm)
			t.op[i].weights = ARENA_NEW(&arena, float, norm ? o->out.c : n);
		if (o->bias || norm)
			t.op[i].bias = ARENA_NEW(&arena, float, o->out.c);
		for (size_t k = 0; k < n; k++)
			t.op[i].weights[k] = normal(r, sqrt(2.0 * o->out.c / (double)n));
		for (size_t c = 0; norm && c < o->out.c; c++)
			t.op[i].weights[c] = 1 + normal(r, 0.5);
		for (size_t c = 0; t.op[i].bias && c < o->out.c; c++)
			t.op[i].bias[c] = normal(r, 0.3);
	}
	return t;
}

static struct images random_images(const struct network *net, size_t n, struct rng *r)
{
	size_t all = n * net_elements(net->input);
	float *image = ARENA_NEW(&arena, float, all);

	for (size_t i = 0; i < all; i++)
		image[i] = normal(r, 4);
	return (struct images){ n, image, NULL };
}

static struct quantised quantised_of(const struct trained *t, const struct images *images)
{
	struct nasc_err err = { 0 };
	struct quantised q;

	cr_assert_eq(quantise(t, images, 1, &arena, &q, &err), NASC_OK, "%s", err.msg);
	return q;
}

/* ---- read back ------------------------------------------------------------------------- */

static void reads_back_as(const char *path, const struct network *want)
{
	struct nasc_err err = { 0 };
	struct network read, net;

	cr_assert_eq(network_load(path, &arena, &read, &err), NASC_OK, "%s", err.msg);
	network_fold(&read, &arena, &net, NULL);
	for (size_t i = 0; i < net.n_ops && i < want->n_ops; i++)
		cr_expect_eq(net.op[i].kind, want->op[i].kind, "%s: operator %zu is %s, not %s",
			     path, i, net_kind_name(net.op[i].kind),
			     net_kind_name(want->op[i].kind));
	cr_assert(network_equal(&net, want), "%s", path);
}

Test(export_onnx, reads_back)
{
	struct nasc_err err = { 0 };
	struct network net, chains;
	struct quantised q;
	struct trained t;
	struct images images;
	struct rng r;

	rng_seed(&r, 1, 0);
	every_kind(&net, GROUPS | PADS);
	every_kind(&chains, GROUPS | PADS | CHAINS);
	t = random_weights(&net, &r);
	cr_assert_eq(export_onnx_float(&t, "f32.onnx", &err), NASC_OK, "%s", err.msg);
	reads_back_as("f32.onnx", &chains);
	every_kind(&net, PADS);
	every_kind(&chains, PADS | CHAINS);
	t = random_weights(&net, &r);
	images = random_images(&net, 20, &r);
	q = quantised_of(&t, &images);
	cr_assert_eq(export_onnx_int8(&q, "int8.onnx", &err), NASC_OK, "%s", err.msg);
	reads_back_as("int8.onnx", &chains);
	series(&net);
	t = random_weights(&net, &r);
	cr_assert_eq(export_onnx_float(&t, "series.onnx", &err), NASC_OK, "%s", err.msg);
	reads_back_as("series.onnx", &net);
}

static const char *whole(const char *path, size_t *n)
{
	struct nasc_err err = { 0 };
	char *text;

	cr_assert_eq(file_read(path, 1 << 24, &arena, &text, n, &err), NASC_OK, "%s", err.msg);
	return text;
}

Test(export_onnx, same_bytes_again)
{
	struct nasc_err err = { 0 };
	const char *first, *second;
	struct network net;
	struct trained t;
	size_t n, m;
	struct rng r;

	rng_seed(&r, 2, 0);
	every_kind(&net, GROUPS | UPSAMPLE | PADS);
	t = random_weights(&net, &r);
	cr_assert_eq(export_onnx_float(&t, "a.onnx", &err), NASC_OK, "%s", err.msg);
	first = whole("a.onnx", &n);
	cr_assert_eq(export_onnx_float(&t, "a.onnx", &err), NASC_OK, "%s", err.msg);
	second = whole("a.onnx", &m);
	cr_assert(n == m && memcmp(first, second, n) == 0);
	cr_assert_gt(n, sizeof(float) * network_params(&net));
}

Test(export_onnx, no_such_folder)
{
	struct nasc_err err = { 0 };
	struct network net;
	struct trained t;
	struct rng r;

	rng_seed(&r, 3, 0);
	series(&net);
	t = random_weights(&net, &r);
	cr_assert_eq(export_onnx_float(&t, "none/a.onnx", &err), NASC_FAIL);
	cr_assert_eq(strncmp(err.msg, "none/a.onnx: ", 13), 0, "%s", err.msg);
}

/* ---- in onnxruntime --------------------------------------------------------------------- */

static void needs_onnxruntime(void)
{
	if (!getenv("NASC_SOURCE") ||
	    system("node -e 'require(\"onnxruntime-node\")' >/dev/null 2>&1"))
		cr_skip("no node with onnxruntime-node, see scripts/install-onnxruntime");
}

/* Outputs of @path, from onnxruntime, that may rearrange @level of the graph. */
static float *onnxruntime(const char *path, const struct network *net, const struct images *images,
			  const char *level)
{
	struct net_shape s = net->input;
	size_t n = images->n * net->classes;
	float *logits = ARENA_NEW(&arena, float, n);
	FILE *fp = fopen("images", "wb");
	char command[6000];

	cr_assert_not_null(fp);
	for (size_t i = 0; i < images->n; i++)
		for (uint32_t c = 0; c < s.c; c++)
			for (size_t p = 0; p < (size_t)s.h * s.w; p++)
				fwrite(&images->image[(i * s.h * s.w + p) * s.c + c], sizeof(float),
				       1, fp);
	cr_assert_eq(fclose(fp), 0);
	snprintf(command, sizeof command, "node %s %s %ux%ux%u images logits %s",
		 source("tests/onnx/run.js"), path, s.c, s.h, s.w, level);
	cr_assert_eq(system(command), 0);
	fp = fopen("logits", "rb");
	cr_assert(fp && fread(logits, sizeof *logits, n, fp) == n && fgetc(fp) == EOF);
	fclose(fp);
	return logits;
}

static void same_in_float(const struct network *net, const char *level, struct rng *r)
{
	struct trained t = random_weights(net, r);
	struct images images = random_images(net, 50, r);
	float *want = ARENA_NEW(&arena, float, images.n * net->classes), *got;
	double spread = 0;
	struct nasc_err err = { 0 };

	cr_assert_eq(export_onnx_float(&t, "f32.onnx", &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(trained_run(&t, &images, 1, want, &err), NASC_OK, "%s", err.msg);
	got = onnxruntime("f32.onnx", net, &images, level);
	for (size_t i = 0; i < images.n * net->classes; i++) {
		cr_assert_float_eq(got[i], want[i], 1e-4, "%zu: %g, not %g", i, (double)got[i],
				   (double)want[i]);
		spread = fmax(spread, fabs((double)want[i]));
	}
	cr_assert(spread > 0.1 && spread < 1000, "%g", spread);
}

/* onnxruntime 1.20 takes a pad into the mean behind it and forgets that its cells count
 * (https://github.com/microsoft/onnxruntime/pull/23190). */
Test(export_onnx, float_in_onnxruntime)
{
	struct network net;
	struct rng r;

	needs_onnxruntime();
	rng_seed(&r, 4, 0);
	every_kind(&net, GROUPS | UPSAMPLE | PADS);
	same_in_float(&net, "disabled", &r);
	every_kind(&net, GROUPS | UPSAMPLE);
	same_in_float(&net, "all", &r);
	series(&net);
	same_in_float(&net, "all", &r);
}

/* What both make of images, ours in f32. */
struct answers {
	size_t n;
	float *ours, *theirs, step;
};

static struct answers answers_in_int8(const struct trained *t, const struct images *images,
				      const char *level)
{
	struct quantised q = quantised_of(t, images);
	const struct quantised_op *end = &q.op[t->net.n_ops - 1];
	struct answers a = { .n = images->n * t->net.classes, .step = end->scale };
	int8_t *out = ARENA_NEW(&arena, int8_t, a.n);
	struct nasc_err err = { 0 };

	cr_assert_eq(export_onnx_int8(&q, "int8.onnx", &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(quantised_run(&q, images, 1, out, &err), NASC_OK, "%s", err.msg);
	a.ours = ARENA_NEW(&arena, float, a.n);
	for (size_t i = 0; i < a.n; i++)
		a.ours[i] = end->scale * (float)(out[i] - end->zero);
	a.theirs = onnxruntime("int8.onnx", &t->net, images, level);
	return a;
}

/* The kernels round sums in fixed point, onnxruntime in f32: few values differ, by one step an
 * operator. Means of few cells often lie halfway between two. */
Test(export_onnx, int8_operators_in_onnxruntime)
{
	struct rng r;

	needs_onnxruntime();
	rng_seed(&r, 5, 0);
	for (enum net_kind kind = NET_CONV2D; kind < NET_KIND_COUNT; kind++) {
		struct network net;
		struct trained t;
		struct images images;
		struct answers a;
		size_t equal = 0;

		if (kind == NET_SOFTMAX)
			continue;
		alone(&net, kind);
		t = random_weights(&net, &r);
		images = random_images(&net, 40, &r);
		a = answers_in_int8(&t, &images, "disabled");
		for (size_t i = 0; i < a.n; i++) {
			float off = fabsf(a.ours[i] - a.theirs[i]) / a.step;

			cr_assert_lt(off, (float)net.n_ops - 0.99f, "%s: %zu: %g, not %g",
				     net_kind_name(kind), i, (double)a.theirs[i],
				     (double)a.ours[i]);
			equal += off < 0.01f;
		}
		cr_assert_gt((double)equal, 0.98 * (double)a.n, "%s: %zu of %zu are equal",
			     net_kind_name(kind), equal, a.n);
	}
}

static uint32_t top(const float *logits, uint32_t n)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < n; i++)
		best = logits[i] > logits[best] ? i : best;
	return best;
}

/* By how much the top is above the others. */
static float margin(const float *logits, uint32_t n)
{
	uint32_t best = top(logits, n);
	float least = INFINITY;

	for (uint32_t i = 0; i < n; i++)
		if (i != best)
			least = fminf(least, logits[best] - logits[i]);
	return least;
}

/* Biases of the last layer, so that no class is the top of most images. */
static void balance(struct trained *t, const struct images *images)
{
	float *bias = t->op[t->net.n_ops - 1].bias;
	uint32_t n = t->net.classes;
	float *logits = ARENA_NEW(&arena, float, images->n *n);
	struct nasc_err err = { 0 };

	cr_assert_eq(trained_run(t, images, 1, logits, &err), NASC_OK, "%s", err.msg);
	for (size_t i = 0; i < images->n * n; i++)
		bias[i % n] -= logits[i] / (float)images->n;
}

/* Where two classes are not within a step of each other, as they often are of random weights. */
Test(export_onnx, int8_decides_alike_in_onnxruntime)
{
	static const char *const levels[] = { "disabled", "all" };
	struct rng r;

	needs_onnxruntime();
	rng_seed(&r, 6, 0);
	for (size_t k = 0; k < 4; k++) {
		const char *level = levels[k % 2];
		struct network net;
		struct trained t;
		struct images images;
		struct answers a;
		size_t same = 0, decided = 0, tops[5] = { 0 };

		if (k < 2)
			residual(&net);
		else
			every_kind(&net, UPSAMPLE);
		t = random_weights(&net, &r);
		images = random_images(&net, 1000, &r);
		balance(&t, &images);
		a = answers_in_int8(&t, &images, level);
		for (size_t i = 0; i < a.n; i += net.classes) {
			uint32_t best = top(a.ours + i, net.classes);

			tops[best]++;
			if (margin(a.ours + i, net.classes) < 1.5f * a.step)
				continue;
			decided++;
			same += best == top(a.theirs + i, net.classes);
		}
		for (size_t c = 0; c < 5; c++)
			cr_assert_lt(tops[c], 500, "class %zu: %zu of 1000", c, tops[c]);
		cr_assert_geq(decided, 900, "%zu of 1000", decided);
		cr_assert_geq((double)same, 0.995 * (double)decided, "network %zu, %s: %zu of %zu",
			      k / 2, level, same, decided);
	}
}
