#define _XOPEN_SOURCE 700
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "export.h"
#include "scratch.h"
#include "train_fixture.h"

/* A trained network read back, and the same in int8. */

TestSuite(export, .init = begin, .fini = finish);

/* ---- as it was trained ------------------------------------------------------------ */

/* Every operator that can be trained, the norms folded and not. */
static void all_kinds(struct arena *a, struct network *net)
{
	struct nasc_err err = { 0 };
	uint32_t x, y, two[2];

	network_init(net, a, (struct net_shape){ 8, 8, 1 });
	x = network_conv2d(net, 0, 6, 3, 1, 1, NET_SAME, false);
	x = network_unary(net, NET_RELU6, network_unary(net, NET_BATCH_NORM, x));
	y = network_depthwise(net, x, 3, 1, NET_SAME, false);
	y = network_unary(net, NET_RELU, network_unary(net, NET_BATCH_NORM, y));
	y = network_conv2d(net, y, 6, 1, 1, 1, NET_SAME, true);
	two[0] = x;
	two[1] = y;
	x = network_unary(net, NET_RELU, network_merge(net, NET_ADD, two, 2));
	two[0] = network_pool(net, NET_MAX_POOL, x, 2, 2, NET_SAME);
	two[1] = network_pool(net, NET_AVG_POOL, x, 3, 2, NET_SAME);
	x = network_merge(net, NET_CONCAT, two, 2);
	x = network_unary(net, NET_RELU, network_unary(net, NET_BATCH_NORM, x));
	network_conv2d(net, x, 3, 1, 1, 1, NET_SAME, true); /* nobody reads it */
	x = network_conv2d(net, x, 8, 3, 1, 2, NET_VALID, false);
	x = network_unary(net, NET_GLOBAL_POOL, network_unary(net, NET_BATCH_NORM, x));
	x = network_dense(net, x, 4, true);
	network_unary(net, NET_SOFTMAX, x);
	cr_assert_eq(network_infer(net, &err), NASC_OK, "%s", err.msg);
}

static struct images fetch(struct arena *a, const struct dataset *d, const struct dataset *norm)
{
	float *image = ARENA_NEW(a, float, d->n * 64);

	dataset_fetch(d, norm, d->shape, NULL, 0, d->n, image, ARENA_NEW(a, uint8_t, d->n));
	return (struct images){ d->n, image, d->label };
}

static size_t largest(const float *v, size_t n)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++)
		best = v[i] > v[best] ? i : best;
	return best;
}

/* The engine that trained it answers the same. */
static void check_answers(struct arena *a, const struct network *net)
{
	struct train_cfg cfg = defaults(a);
	struct dataset train, test;
	struct train_report report;
	struct nasc_err err = { 0 };
	struct trained t;
	struct images images;
	uint64_t confusion[16] = { 0 }, different = 0;
	float *logits;

	quarters(a, 160, 1, &train);
	quarters(a, 200, 2, &test);
	cfg.epochs = 4;
	cfg.batch = 32;
	cfg.shard = 16;
	cfg.precision = 1; /* f32 */
	cr_assert_eq(TRAIN(a, &report, &err, .cfg = &cfg, .net = net, .train = &train,
			   .test = &test, .threads = 1, .weights_path = "w"),
		     NASC_OK, "%s", err.msg);
	cr_assert_eq(trained_load("w", net, a, &t, &err), NASC_OK, "%s", err.msg);
	images = fetch(a, &test, &train);
	logits = ARENA_NEW(a, float, test.n * 4);
	cr_assert_eq(trained_run(&t, &images, 2, logits, &err), NASC_OK, "%s", err.msg);
	for (size_t i = 0; i < test.n; i++)
		confusion[test.label[i] * 4 + largest(logits + i * 4, 4)]++;
	for (size_t i = 0; i < 16; i++)
		different += confusion[i] > report.confusion[i]
				     ? confusion[i] - report.confusion[i]
				     : report.confusion[i] - confusion[i];
	cr_expect_leq(different, 2, "one image at most, by rounding"); /* counted twice */
	cr_expect_gt(report.test_accuracy, 0.4);
}

Test(export, answers_as_the_engine_that_trained_it)
{
	struct arena a = { 0 };
	struct network net;

	all_kinds(&a, &net);
	check_answers(&a, &net);
	densenet(&a, (struct net_shape){ 8, 8, 1 }, 6, 2, 5, 4, &net);
	check_answers(&a, &net);
	arena_free(&a);
}

/* ---- int8: each operator as its scales say ---------------------------------------------- */

#define SIDE	 5
#define CHANNELS 3
#define IMAGES	 20

/* A network of one operator behind the input, with random weights. */
struct single {
	struct arena arena;
	struct trained t;
	struct quantised q;
	struct images images;
	int8_t *in, *out; /* [IMAGES][...] */
	size_t n_out;
};

static double uniform(struct rng *r, double low, double high)
{
	return low + (high - low) * rng_unit(r);
}

static float *random_list(struct rng *r, struct arena *a, size_t n, double low, double high)
{
	float *v = ARENA_NEW(a, float, n);

	for (size_t i = 0; i < n; i++)
		v[i] = (float)uniform(r, low, high);
	return v;
}

static void single_open(struct single *s, const struct net_op *op, const uint32_t *in, size_t n,
			bool relu_first, uint64_t seed)
{
	struct arena *a = &s->arena;
	struct network *net = &s->t.net;
	struct nasc_err err = { 0 };
	size_t last, n_in = SIDE * SIDE * CHANNELS;
	struct rng r;

	rng_stream(&r, seed, RNG_SAMPLE, 0);
	network_init(net, a, (struct net_shape){ SIDE, SIDE, CHANNELS });
	if (relu_first)
		network_unary(net, NET_RELU, 0);
	network_append(net, op, in, n);
	cr_assert_eq(network_infer(net, &err), NASC_OK, "%s", err.msg);
	last = net->n_ops - 1;
	s->t.op = ARENA_NEW(a, struct trained_op, net->n_ops);
	if (op->kind == NET_BATCH_NORM)
		s->t.op[last] = (struct trained_op){ random_list(&r, a, CHANNELS, -2, 2),
						     random_list(&r, a, CHANNELS, -1, 1) };
	if (network_op_weights(net, last))
		s->t.op[last] =
			(struct trained_op){ random_list(&r, a, network_op_weights(net, last), -1,
							 1),
					     random_list(&r, a, net->op[last].out.c, -2, 2) };
	s->images = (struct images){ IMAGES, random_list(&r, a, IMAGES * n_in, -3, 9), NULL };
	cr_assert_eq(quantise(&s->t, &s->images, 1, a, &s->q, &err), NASC_OK, "%s", err.msg);
	s->n_out = net->classes;
	s->in = ARENA_NEW(a, int8_t, IMAGES * n_in);
	s->out = ARENA_NEW(a, int8_t, IMAGES * s->n_out);
	for (size_t i = 0; i < IMAGES; i++)
		quantised_input(&s->q, s->images.image + i * n_in, s->in + i * n_in);
	cr_assert_eq(quantised_run(&s->q, &s->images, 2, s->out, &err), NASC_OK, "%s", err.msg);
}

/* What cell (y, x, c) of operator @op's input stands for; 0 outside. */
static double cell(const struct single *s, const int8_t *in, size_t op, int64_t y, int64_t x,
		   int64_t c)
{
	double v;

	if (y < 0 || x < 0 || y >= SIDE || x >= SIDE)
		return 0;
	v = (double)s->q.op[0].scale * (in[(y * SIDE + x) * CHANNELS + c] - s->q.op[0].zero);
	return op == 1 && v < 0 ? 0 : v; /* the ReLU in front of additions and concatenations */
}

static double weight(const struct single *s, size_t op, size_t at, uint32_t c)
{
	return (double)s->q.op[op].weights[at] * (double)s->q.op[op].weight_scale[c];
}

/* The real number that output (y, x, c) is made of: out of what int8 values stand for. */
static double real_output(const struct single *s, const int8_t *in, int64_t y, int64_t x,
			  uint32_t c)
{
	size_t op = s->t.net.n_ops - 1;
	const struct net_op *o = &s->t.net.op[op];
	const uint32_t *from = network_inputs(&s->t.net, op);
	double sum = 0, cells = 0, most = -INFINITY;
	int64_t top = y * o->stride - o->pad_top, left = x * o->stride - o->pad_left;
	uint32_t kh = o->kernel_h, kw = o->kernel_w;

	switch (o->kind) {
	case NET_ADD:
		return cell(s, in, from[0], y, x, c) + cell(s, in, from[1], y, x, c);
	case NET_CONCAT:
		return cell(s, in, from[c / CHANNELS], y, x, c % CHANNELS);
	case NET_BATCH_NORM:
		return cell(s, in, 0, y, x, c) * (double)s->t.op[op].weights[c] +
		       (double)s->t.op[op].bias[c];
	case NET_DENSE:
	case NET_GLOBAL_POOL:
		top = left = 0;
		kh = kw = SIDE;
		break;
	default:
		break;
	}
	for (uint32_t ky = 0; ky < kh; ky++)
		for (uint32_t kx = 0; kx < kw; kx++)
			for (uint32_t k = 0; k < CHANNELS; k++) {
				int64_t iy = top + ky, ix = left + kx;
				double v = cell(s, in, 0, iy, ix, k);
				bool inside = iy >= 0 && ix >= 0 && iy < SIDE && ix < SIDE;
				size_t at = (ky * kw + kx) * CHANNELS + k;

				if (o->kind == NET_CONV2D || o->kind == NET_DENSE)
					sum += v * weight(s, op,
							  c * (size_t)kh * kw * CHANNELS + at, c);
				if (k != c || o->kind == NET_CONV2D || o->kind == NET_DENSE)
					continue;
				if (o->kind == NET_DEPTHWISE)
					sum += v * weight(s, op, at, c);
				else if (inside)
					sum += v;
				cells += inside;
				most = inside && v > most ? v : most;
			}
	if (s->t.op[op].bias)
		return sum + (double)s->t.op[op].bias[c];
	return o->kind == NET_MAX_POOL ? most : sum / cells;
}

static void check_single(const struct net_op *op, const uint32_t *in, size_t n)
{
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct single s = { 0 };
		const struct net_op *o;
		const struct quantised_op *q;
		size_t far = 0;

		single_open(&s, op, in, n, n > 1, seed);
		o = &s.t.net.op[s.t.net.n_ops - 1];
		q = &s.q.op[s.t.net.n_ops - 1];
		for (size_t i = 0; i < IMAGES * s.n_out; i++) {
			size_t at = i % s.n_out, cell_at = at / o->out.c;
			double real = real_output(&s, s.in + i / s.n_out * SIDE * SIDE * CHANNELS,
						  (int64_t)(cell_at / o->out.w),
						  (int64_t)(cell_at % o->out.w),
						  (uint32_t)(at % o->out.c));
			double unit;

			if (o->act != NET_LINEAR)
				real = fmax(real, 0);
			if (o->act == NET_ACT_RELU6)
				real = fmin(real, 6);
			unit = fmin(fmax(real / (double)q->scale + q->zero, -128), 127);
			/* to the nearest, but for what is added to a sum, which is a whole number
			 * of a product's small units */
			far += fabs(unit - s.out[i]) > 0.55;
		}
		cr_expect_eq(far, 0, "%s: %zu of %zu", net_kind_name(op->kind), far,
			     IMAGES * s.n_out);
		arena_free(&s.arena);
	}
}

Test(export, int8_operators_are_what_their_scales_say)
{
	const uint32_t one[] = { 0 }, two[] = { 0, 1 };
	const struct net_op ops[] = {
		{ .kind = NET_CONV2D,
		  .out_channels = 5,
		  .kernel_h = 3,
		  .kernel_w = 3,
		  .stride = 1,
		  .groups = 1,
		  .bias = true,
		  .act = NET_ACT_RELU },
		{ .kind = NET_CONV2D,
		  .out_channels = 4,
		  .kernel_h = 2,
		  .kernel_w = 3,
		  .stride = 2,
		  .groups = 1,
		  .bias = true,
		  .padding = NET_EXPLICIT,
		  .pad_top = 1,
		  .pad_right = 2 },
		{ .kind = NET_DEPTHWISE,
		  .kernel_h = 3,
		  .kernel_w = 3,
		  .stride = 1,
		  .bias = true,
		  .act = NET_ACT_RELU6 },
		{ .kind = NET_DEPTHWISE, .kernel_h = 5, .kernel_w = 5, .stride = 2, .bias = true },
		{ .kind = NET_DENSE, .out_channels = 7, .bias = true },
		{ .kind = NET_AVG_POOL, .kernel_h = 3, .kernel_w = 3, .stride = 1 },
		{ .kind = NET_AVG_POOL,
		  .kernel_h = 2,
		  .kernel_w = 2,
		  .stride = 2,
		  .padding = NET_VALID },
		{ .kind = NET_MAX_POOL, .kernel_h = 3, .kernel_w = 3, .stride = 2 },
		{ .kind = NET_GLOBAL_POOL },
		{ .kind = NET_BATCH_NORM, .act = NET_ACT_RELU },
	};
	const struct net_op add = { .kind = NET_ADD }, concat = { .kind = NET_CONCAT };

	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		check_single(&ops[i], one, 1);
	check_single(&add, two, 2);
	check_single(&concat, two, 2);
}

/* Half of the inputs are the others negated, so that nothing comes out and all are of the output's
 * unit: no sum on the way leaves 32 bits. */
Test(export, additions_of_many_inputs)
{
	for (uint32_t n = 2; n <= 8192; n *= 4) {
		float minus = -1, nothing = 0, most;
		const float image[] = { -1, 1 };
		const struct images images = { 2, image, NULL };
		struct arena a = { 0 };
		struct nasc_err err = { 0 };
		struct trained_op ops[3] = { { 0 }, { &minus, &nothing }, { 0 } };
		struct trained t = { .op = ops };
		struct quantised q;
		uint32_t *in = ARENA_NEW(&a, uint32_t, n);

		network_init(&t.net, &a, (struct net_shape){ 1, 1, 1 });
		network_unary(&t.net, NET_BATCH_NORM, 0);
		for (uint32_t k = 0; k < n; k++)
			in[k] = k % 2;
		network_merge(&t.net, NET_ADD, in, n);
		cr_assert_eq(network_infer(&t.net, &err), NASC_OK, "%s", err.msg);
		cr_assert_eq(quantise(&t, &images, 1, &a, &q, &err), NASC_OK, "%s", err.msg);
		most = fabsf((float)q.op[2].affine[0].constant);
		for (uint32_t k = 0; k < n; k++)
			most += 128 * (float)q.op[2].affine[k].factor;
		cr_expect_lt(most, 0x1p31f, "%u inputs: %g", n, (double)most);
		cr_expect_gt(q.op[2].affine[0].factor, 128, "%u inputs", n);
		arena_free(&a);
	}
}

/* By hand: 255 units from -1 to 1.55 are 0.01 each, so zero is -28; weights 1 and -0.5 are 127 and
 * -64 (half to even or away: 63.5) of 1 / 127. */
Test(export, one_dense_layer_by_hand)
{
	float weights[] = { 1, -0.5f }, bias[] = { 0.25f };
	const float image[] = { -1, 1.55f, 1.55f, -1, 0.5f, 0.5f };
	const struct images images = { 3, image, NULL };
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct trained_op ops[2] = { { 0 }, { weights, bias } };
	struct trained t = { .op = ops };
	struct quantised q;
	int8_t out[3];

	network_init(&t.net, &a, (struct net_shape){ 1, 1, 2 });
	network_dense(&t.net, 0, 1, true);
	cr_assert_eq(network_infer(&t.net, &err), NASC_OK);
	cr_assert_eq(quantise(&t, &images, 1, &a, &q, &err), NASC_OK, "%s", err.msg);
	cr_expect_float_eq((double)q.op[0].scale, 0.01, 1e-7);
	cr_expect_eq(q.op[0].zero, -28);
	cr_expect_eq(q.op[1].weights[0], 127);
	cr_expect_eq(q.op[1].weights[1], -64);
	cr_expect_eq(q.op[1].bias[0], 3175); /* 0.25 / (0.01 / 127) */
	/* outputs -1.525, 2.3 and 0.5: 255 units of 3.825 */
	cr_expect_float_eq((double)q.op[1].scale, 0.015, 1e-7);
	cr_expect_eq(q.op[1].zero, -26); /* -128 + 101.67 */
	cr_assert_eq(quantised_run(&q, &images, 1, out, &err), NASC_OK);
	/* sums of products: -100 * 127 - 155 * 64 + 3175 = -19445, to be multiplied with
	 * 0.01 / 127 / 0.015 = 1 / 190.5: -102.07; likewise 149.3 and 33.2; less 26 */
	cr_expect_eq(out[0], -128);
	cr_expect_eq(out[1], (155 * 127 + 100 * 64 + 3175) * 2 / 381 - 26);
	cr_expect_eq(out[2], 7);
	arena_free(&a);
}

/* Infinity less infinity, which no range shows. */
Test(export, outputs_that_are_no_numbers_are_refused)
{
	float weights[] = { 3e38f, -3e38f };
	const float image[] = { 100, 100 };
	const struct images images = { 1, image, NULL };
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct trained_op ops[2] = { { 0 }, { weights, NULL } };
	struct trained t = { .op = ops };
	struct quantised q;

	network_init(&t.net, &a, (struct net_shape){ 1, 1, 2 });
	network_dense(&t.net, 0, 1, false);
	cr_assert_eq(network_infer(&t.net, &err), NASC_OK);
	cr_expect_eq(quantise(&t, &images, 1, &a, &q, &err), NASC_FAIL);
	cr_expect(strstr(err.msg, "operator 1 (dense): its outputs are not finite") != NULL, "%s",
		  err.msg);
	arena_free(&a);
}

/* ---- weights files of others -------------------------------------------------------- */

static enum nasc_status read_text(const char *header, size_t n_data, const struct network *net,
				  struct nasc_err *err)
{
	unsigned char file[4096] = { 0 };
	size_t n = strlen(header);
	struct arena a = { 0 };
	struct trained t;
	enum nasc_status st;

	memcpy(file + 8, header, n);
	file[0] = (unsigned char)n;
	file[1] = (unsigned char)(n >> 8);
	st = trained_read(file, 8 + n + n_data, net, &a, &t, err);
	arena_free(&a);
	return st;
}

#define HEADER(network, tensors)                                                                   \
	"{\"__metadata__\":{\"format\":\"nasc weights\",\"version\":\"1\",\"network\":\"" network  \
	"\"}" tensors "}"
#define DENSE                                                                                      \
	"{\\\"version\\\":1,\\\"input\\\":[1,1,2],\\\"operators\\\":[{\\\"kind\\\":\\\"dense\\\"," \
	"\\\"channels\\\":1,\\\"bias\\\":false}]}"
#define SOFTMAX                                                                                    \
	"{\\\"version\\\":1,\\\"input\\\":[1,1,2],\\\"operators\\\":[{\\\"kind\\\":"               \
	"\\\"softmax\\\"}]}"
#define TENSOR(type, from, to)                                                                     \
	",\"1.weights\":{\"dtype\":\"" type "\",\"shape\":[1,1,2,1],\"data_offsets\":[" from       \
	"," to "]}"

Test(export, refuses_what_is_no_weights_file)
{
	static const struct {
		const char *header;
		size_t n_data;
		const char *says;
	} row[] = {
		{ "[]", 8, "no object" },
		{ "{}", 8, "__metadata__" },
		{ "{\"__metadata__\":{\"format\":\"pt\",\"version\":\"1\",\"network\":\"\"}}", 8,
		  "nasc train writes" },
		{ HEADER("{}", ""), 8, "network" },
		{ HEADER(SOFTMAX, ""), 8, "softmax alone" },
		{ HEADER(DENSE, ""), 8, "no tensor \"1.weights\"" },
		{ HEADER(DENSE, TENSOR("F32", "0", "8")), 4, "parameters" },
		{ HEADER(DENSE, TENSOR("F16", "0", "8")), 8, "F32 is known" },
		{ HEADER(DENSE, TENSOR("F32", "0", "12")), 8, "not within" },
		{ HEADER(DENSE, TENSOR("F32", "0", "4")), 8, "4 bytes" },
		{ HEADER(DENSE, TENSOR("F32", "0.5", "8.5")), 12, "not within" },
		{ HEADER(DENSE, TENSOR("F32", "-8", "0")), 8, "not within" },
		{ HEADER(DENSE, TENSOR("F32", "\\\"0\\\"", "8")), 8, "header" },
	};
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct trained t;

	for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
		err = (struct nasc_err){ 0 };
		cr_expect_eq(read_text(row[i].header, row[i].n_data, NULL, &err), NASC_DATA);
		cr_expect(strstr(err.msg, row[i].says) != NULL, "row %zu: %s", i, err.msg);
	}
	err = (struct nasc_err){ 0 };
	cr_expect_eq(read_text(HEADER(DENSE, TENSOR("F32", "0", "8")), 8, NULL, &err), NASC_OK,
		     "%s", err.msg);
	cr_expect_eq(trained_read("\377\377\377\377\377\377\377\377{}", 10, NULL, &a, &t, &err),
		     NASC_DATA);
	cr_expect_eq(trained_read("", 0, NULL, &a, &t, &err), NASC_DATA);
	arena_free(&a);
}

Test(export, refuses_weights_of_another_network)
{
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct network net;

	network_init(&net, &a, (struct net_shape){ 1, 1, 3 });
	network_dense(&net, 0, 1, false);
	cr_assert_eq(network_infer(&net, &err), NASC_OK);
	cr_expect_eq(read_text(HEADER(DENSE, TENSOR("F32", "0", "8")), 8, &net, &err), NASC_DATA);
	cr_expect(strstr(err.msg, "another network") != NULL, "%s", err.msg);
	arena_free(&a);
}
