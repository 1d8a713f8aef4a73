#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <string.h>

#include "leak.h"
#include "plain_network.h"

/* The engine's loss and gradients against a plain f64 implementation and its central differences,
 * for every operator and the ways they are put together. */

TestSuite(gradients, .fini = no_leaks);

/* With f64 and a step of 1e-6 a difference is good to about 1e-8 of the loss's scale: next to
 * nothing beside the engine's f32, whose rounding of 6e-8 grows to a few 1e-6 over the sums and
 * norms of these networks. A ReLU or maximum changes sides within so small a step in about one of
 * 1e6 cells. A wrong factor, tap or channel shows as 1e-2 and more. */
#define STEP	  1e-6
#define TOLERANCE 2e-5
#define PROBES	  12 /* weights of a tensor, about */

static void check(struct bench *b, size_t probes, const char *name)
{
	double diff = 0, norm2 = 0, loss;
	struct plain r;

	bench_open(b, false);
	plain_open(&r, b);
	loss = plain_loss(&r);
	cr_assert_float_eq(forward(b), loss, 1e-5 * fmax(1, loss), "%s: loss %g, not %g", name,
			   forward(b), loss);
	runner_backward(&b->run);
	for (size_t k = 0; k < b->plan.n_params; k++) {
		const struct param *q = &b->plan.param[k];
		size_t n = param_count(q), stride = n / probes + 1;

		for (size_t i = 0; i < n; i += stride) {
			double *w = &r.weight[q->op][q->role][i], old = *w, want;
			double got = (double)b->run.gradient[param_at(q, i)];

			*w = old + STEP;
			want = plain_loss(&r);
			*w = old - STEP;
			want = (want - plain_loss(&r)) / (2 * STEP);
			*w = old;
			diff += (got - want) * (got - want);
			norm2 += want * want;
		}
	}
	cr_assert(norm2 > 1e-8, "%s: the loss does not depend on the weights", name);
	cr_assert_leq(diff, TOLERANCE * TOLERANCE * norm2, "%s: relative distance %g", name,
		      sqrt(diff / norm2));
	bench_close(b);
}

/* ---- convolutions, depthwise convolutions, pools ------------------------------------ */

/* The operator under test reads a convolution, so that the gradient of its input is tested by
 * those weights; its output is read by a dense layer. */
static uint32_t begin(struct bench *b, uint32_t h, uint32_t w, uint32_t channels)
{
	start(b, h, w, 3);
	return conv(&b->net, 0, channels, 1);
}

static void finish(struct bench *b, uint32_t x, const char *name)
{
	network_dense(&b->net, x, 3, true);
	check(b, PROBES, name);
}

Test(gradients, convolutions)
{
	static const uint32_t kernels[] = { 1, 2, 3, 5 }, groups[] = { 1, 2, 6 };

	for (uint32_t i = 0; i < 4 * 3 * 8; i++) {
		uint32_t kernel = kernels[i % 4], group = groups[i / 4 % 3],
			 stride = 1 + i / 12 % 2;
		bool valid = i / 24 % 2, bias = i / 48;
		char name[80];
		struct bench b;
		uint32_t x = begin(&b, 7, 6, 6);

		snprintf(name, sizeof name, "%ux%u, stride %u, %u groups%s%s", kernel, kernel,
			 stride, group, valid ? ", valid" : "", bias ? ", bias" : "");
		x = network_conv2d(&b.net, x, 12, kernel, stride, group,
				   valid ? NET_VALID : NET_SAME, bias);
		finish(&b, x, name);
	}
}

Test(gradients, convolutions_of_many_channels)
{
	for (uint32_t i = 0; i < 4; i++) {
		struct bench b;
		uint32_t x = begin(&b, 5, 9, 35);

		x = network_conv2d(&b.net, x, 50, i % 2 ? 3 : 1, 1 + i / 2, 1, NET_SAME, true);
		finish(&b, x, i % 2 ? "3x3" : "1x1");
	}
}

Test(gradients, depthwise_convolutions)
{
	static const uint32_t kernels[] = { 1, 2, 3, 4, 5, 7 }, channels[] = { 5, 16, 23 };

	for (uint32_t i = 0; i < 6 * 3 * 8; i++) {
		uint32_t kernel = kernels[i % 6], stride = 1 + i / 18 % 3;
		bool valid = i / 54 % 2, bias = i % 2;
		char name[80];
		struct bench b;
		uint32_t x = begin(&b, 9, 8, channels[i / 6 % 3]);

		snprintf(name, sizeof name, "depthwise %ux%u, stride %u, %u channels%s%s", kernel,
			 kernel, stride, channels[i / 6 % 3], valid ? ", valid" : "",
			 bias ? ", bias" : "");
		x = network_depthwise(&b.net, x, kernel, stride, valid ? NET_VALID : NET_SAME,
				      bias);
		finish(&b, x, name);
	}
}

Test(gradients, pools)
{
	for (uint32_t i = 0; i < 3 * 3 * 4; i++) {
		uint32_t kernel = 2 + i % 3, stride = 1 + i / 3 % 3;
		bool average = i / 9 % 2, valid = i / 18;
		char name[80];
		struct bench b;
		uint32_t x = begin(&b, 9, 7, 5);

		snprintf(name, sizeof name, "%s pool %ux%u, stride %u%s", average ? "mean" : "max",
			 kernel, kernel, stride, valid ? ", valid" : "");
		x = network_pool(&b.net, average ? NET_AVG_POOL : NET_MAX_POOL, x, kernel, stride,
				 valid ? NET_VALID : NET_SAME);
		finish(&b, x, name);
	}
}

/* Cells above, left, below and right, as many as there may be; a pad in front of a convolution. */
static void set_padding(struct network *net, uint32_t op, uint32_t i)
{
	struct net_op *o = &net->op[op];

	o->padding = NET_EXPLICIT;
	o->pad_top = i % 3;
	o->pad_left = i / 3 % 3;
	o->pad_bottom = i / 2 % 3;
	o->pad_right = i % 2;
}

Test(gradients, explicit_padding)
{
	static const char *const names[] = { "3x3",	      "5x5 of groups", "depthwise 3x3",
					     "depthwise 5x5", "max pool",      "mean pool" };

	for (uint32_t i = 0; i < 6 * 18; i++) {
		uint32_t stride = 1 + i / 6 % 2;
		char name[80];
		struct bench b;
		uint32_t x = begin(&b, 9, 7, 6);

		switch (i % 6) {
		case 0:
		case 1:
			x = network_conv2d(&b.net, x, 12, i % 6 ? 5 : 3, stride, i % 6 ? 2 : 1,
					   NET_SAME, true);
			break;
		case 2:
		case 3:
			x = network_depthwise(&b.net, x, i % 6 == 3 ? 5 : 3, stride, NET_SAME,
					      true);
			break;
		default:
			x = network_pool(&b.net, i % 6 == 5 ? NET_AVG_POOL : NET_MAX_POOL, x, 3,
					 stride, NET_SAME);
		}
		set_padding(&b.net, x, i / 6);
		snprintf(name, sizeof name, "%s, stride %u, padding %u", names[i % 6], stride,
			 i / 6);
		finish(&b, x, name);
	}
}

/* A mean of four cells that do not start at the first, and one of a padded 1x1 convolution. */
Test(gradients, explicit_padding_around_fusion)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct bench b;
		uint32_t x = begin(&b, 6, 4, 5);

		if (i)
			set_padding(&b.net, x, 3);
		x = network_pool(&b.net, NET_AVG_POOL, x, 2, 2, NET_VALID);
		if (!i)
			set_padding(&b.net, x, 1);
		x = conv(&b.net, x, 6, 3);
		finish(&b, x, i ? "padded 1x1" : "padded mean");
	}
}

Test(gradients, pads_that_stand_alone_are_refused)
{
	struct nasc_err err = { 0 };
	struct bench b;

	start(&b, 6, 6, 3);
	network_dense(&b.net, network_pad(&b.net, 0, 1, 1, 1, 1), 3, true);
	cr_assert_eq(network_infer(&b.net, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(plan_create(&b.net, IMAGES, false, PLAN_TRAIN, &b.arena, &b.plan, &err),
		     NASC_CONFIG);
	cr_assert_str_eq(err.msg, "operator 1 (pad): training takes padding only where it belongs "
				  "to the one convolution that reads it");
	arena_free(&b.arena);
}

/* ---- norms, sums, activations, and how they are put together ------------------------ */

static void make_global_pool(struct network *n)
{
	network_dense(n, network_unary(n, NET_GLOBAL_POOL, conv(n, 0, 20, 3)), 4, true);
}

static void make_relus(struct network *n)
{
	uint32_t x = network_unary(n, NET_RELU, conv(n, 0, 9, 3));

	network_dense(n, network_unary(n, NET_RELU6, conv(n, x, 21, 3)), 4, true);
}

/* One tensor read by two norms, a convolution and a sum: its statistics are shared. */
static void make_shared_norms(struct network *n)
{
	uint32_t x = conv(n, 0, 18, 3), y = relu(n, norm(n, x)), z = norm(n, x);

	x = merge(n, NET_ADD, merge(n, NET_ADD, y, z, conv(n, x, 18, 1)), norm(n, y), NO);
	network_dense(n, x, 4, true);
}

static void make_sums(struct network *n)
{
	uint32_t x = conv(n, 0, 17, 3), y = conv(n, x, 17, 3), two, three;

	two = merge(n, NET_ADD, x, y, NO);
	n->op[two].act = NET_ACT_RELU;
	three = merge(n, NET_ADD, x, norm(n, two), y);
	n->op[three].act = NET_ACT_RELU6;
	network_dense(n, merge(n, NET_ADD, three, three, NO), 4, true);
}

static void make_softmax(struct network *n)
{
	network_unary(n, NET_SOFTMAX, network_dense(n, conv(n, 0, 5, 3), 6, true));
}

static void make_residual(struct network *n) /* as the blocks of ResNet8 */
{
	uint32_t x = relu(n, norm(n, conv(n, 0, 16, 3))), y;

	y = relu(n, norm(n, network_conv2d(n, x, 32, 3, 2, 1, NET_SAME, false)));
	y = norm(n, conv(n, y, 32, 3));
	x = norm(n, network_conv2d(n, x, 32, 1, 2, 1, NET_SAME, false));
	x = relu(n, merge(n, NET_ADD, y, x, NO));
	network_dense(n, network_unary(n, NET_GLOBAL_POOL, x), 5, true);
}

static void make_inverted(struct network *n) /* as those of MobileNetV2 */
{
	uint32_t x = norm(n, conv(n, 0, 8, 1)), y;

	y = network_unary(n, NET_RELU6,
			  norm(n, network_conv2d(n, x, 32, 1, 1, 1, NET_SAME, false)));
	y = network_depthwise(n, y, 3, 1, NET_SAME, false);
	y = network_unary(n, NET_RELU6, norm(n, y));
	y = norm(n, network_conv2d(n, y, 8, 1, 1, 1, NET_SAME, false));
	network_dense(n, merge(n, NET_ADD, y, x, NO), 5, true);
}

static const struct made composed[] = {
	{ "global pool", make_global_pool },
	{ "relu and relu6", make_relus },
	{ "shared norms", make_shared_norms },
	{ "sums of two and three", make_sums },
	{ "softmax", make_softmax },
	{ "residual", make_residual },
	{ "inverted residual", make_inverted },
};
#define N_COMPOSED (sizeof composed / sizeof *composed)

ParameterizedTestParameters(gradients, compositions)
{
	static size_t row[N_COMPOSED + N_MADE];

	for (size_t i = 0; i < N_COMPOSED + N_MADE; i++)
		row[i] = i;
	return cr_make_param_array(size_t, row, N_COMPOSED + N_MADE);
}
ParameterizedTest(size_t *row, gradients, compositions)
{
	const struct made *m = *row < N_COMPOSED ? &composed[*row] : &made[*row - N_COMPOSED];
	struct bench b;

	start(&b, 8, 7, 3);
	m->make(&b.net);
	check(&b, PROBES, m->name);
}

/* The same operators on a series, with 1 x k kernels. */
Test(gradients, series)
{
	for (size_t k = 0; k < N_MADE; k++) {
		struct bench b;

		start(&b, 1, 24, 3);
		made[k].make(&b.net);
		for (size_t i = 0; i < b.net.n_ops; i++) /* shrinks without padding: too low */
			b.net.op[i].padding = NET_SAME;
		network_flatten(&b.net);
		check(&b, PROBES, made[k].name);
	}
}

/* Images too large for the cache together: they run one after the other, and weight gradients,
 * statistics and the sums of the norms come together from parts. */
Test(gradients, images_in_turn)
{
	bool in_parts = false;
	struct bench b;

	start(&b, 48, 47, 3);
	make_large(&b.net);
	bench_open(&b, false);
	for (size_t i = 0; i < b.plan.n_convs; i++)
		in_parts |= b.plan.conv[i].in_parts && b.plan.conv[i].bias != PLAN_NONE;
	cr_assert(in_parts);
	bench_close(&b);
	start(&b, 48, 47, 3);
	make_large(&b.net);
	check(&b, 2, "images in turn");
}
