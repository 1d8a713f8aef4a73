#define IMAGES 16
#include "engine_fixture.h"

#include <math.h>

#include "leak.h"

/* Whole networks through our own convolutions with what is fused to them, in bf16 by tiles in
 * software, against the same networks through oneDNN. This program's direct_choose() stands in
 * for the engine's. */

TestSuite(engine_fused, .fini = no_leaks);

extern const struct direct_kernels direct_emulated_v2, direct_emulated_v4;

const struct direct_kernels *direct_choose(void)
{
	return kernels_choose(true) == &kernels_v4[1] ? &direct_emulated_v4 : &direct_emulated_v2;
}

static void open_net(struct bench *b, void (*make)(struct network *), uint32_t size, bool bf16)
{
	start(b, size, size, 3);
	make(&b->net);
	bench_open(b, bf16);
}

/* Distance of two gradients, in parts of the first. */
static double gradient_distance(const struct bench *a, const struct bench *b)
{
	double aa = 0, diff = 0;

	for (size_t k = 0; k < a->plan.n_params; k++)
		for (size_t i = 0; i < param_count(&a->plan.param[k]); i++) {
			double x = (double)a->run.gradient[param_at(&a->plan.param[k], i)];
			double y = (double)b->run.gradient[param_at(&b->plan.param[k], i)];

			aa += x * x;
			diff += (x - y) * (x - y);
		}
	return sqrt(diff / aa);
}

/* Residual, as in ResNet: conv, norm, ReLU, conv, norm, add, ReLU; a 1x1 shortcut of stride 2. */
static uint32_t residual(struct network *n, uint32_t x, uint32_t c, uint32_t stride)
{
	uint32_t y = network_conv2d(n, x, c, 3, stride, 1, NET_SAME, false);

	y = relu(n, norm(n, y));
	y = norm(n, network_conv2d(n, y, c, 3, 1, 1, NET_SAME, false));
	if (stride > 1)
		x = norm(n, network_conv2d(n, x, c, 1, stride, 1, NET_SAME, false));
	return relu(n, merge(n, NET_ADD, x, y, NO));
}

static void make_residual(struct network *n)
{
	uint32_t x = relu(n, norm(n, network_conv2d(n, 0, 8, 3, 1, 1, NET_SAME, false)));

	x = residual(n, residual(n, x, 8, 1), 20, 2);
	network_dense(n, network_unary(n, NET_GLOBAL_POOL, x), 4, true);
}

static void make_densenet(struct network *n)
{
	uint32_t x = network_conv2d(n, 0, 16, 3, 1, 1, NET_SAME, false);

	for (int b = 0; b < 2; b++) {
		for (int i = 0; i < 3; i++)
			x = merge(n, NET_CONCAT, x,
				  network_conv2d(n, relu(n, norm(n, x)), 12, 3, 1, 1, NET_SAME,
						 false),
				  NO);
		x = relu(n, norm(n, x));
		if (b == 0) {
			x = network_conv2d(n, x, 26, 1, 1, 1, NET_SAME, false);
			x = network_pool(n, NET_AVG_POOL, x, 2, 2, NET_VALID);
		}
	}
	network_dense(n, network_unary(n, NET_GLOBAL_POOL, x), 4, true);
}

/* Means of cells that do not start with the first, and a convolution that oneDNN has to do. */
static void make_padded(struct network *n)
{
	uint32_t x = relu(n, norm(n, network_conv2d(n, 0, 16, 3, 1, 1, NET_SAME, false)));

	x = network_pool(n, NET_AVG_POOL, x, 2, 2, NET_EXPLICIT);
	n->op[x].pad_top = n->op[x].pad_left = 1;
	x = norm(n, network_conv2d(n, x, 16, 3, 1, 1, NET_SAME, false));
	x = network_conv2d(n, x, 8, 3, 2, 1, NET_EXPLICIT, true);
	n->op[x].pad_top = n->op[x].pad_right = 2;
	network_dense(n, network_unary(n, NET_GLOBAL_POOL, x), 4, true);
}

/* Loss, gradients at most @most of their length apart, and means of norms. */
static void check(const char *name, void (*make)(struct network *), double most)
{
	struct bench half, full;
	double distance, a, b;

	open_net(&half, make, 12, true);
	open_net(&full, make, 12, false);
	a = forward(&half);
	b = forward(&full);
	cr_assert_float_eq(a, b, 5e-3 * b, "%s: loss %g, not %g", name, a, b);
	runner_backward(&half.run);
	runner_backward(&full.run);
	distance = gradient_distance(&full, &half);
	cr_assert_lt(distance, most, "%s: gradients are %g apart", name, distance);
	for (size_t i = 0; i < half.plan.n_norms; i++)
		for (uint32_t c = 0; c < half.plan.norm[i].c; c++) {
			uint32_t k = half.plan.norm[i].channel + c;

			cr_assert_float_eq((double)half.run.mean[k], (double)full.run.mean[k], 0.02,
					   "%s", name);
		}
	bench_close(&half);
	bench_close(&full);
}

/* Half a step of bf16 is 0.002; a ReLU at 0 may fall either way, which tells in deep networks. */
Test(engine_fused, gradients_equal_those_of_onednn_in_f32)
{
	check("residual", make_residual, 0.07);
	check("DenseNet", make_densenet, 0.07);
	if (!plan_has_bf16()) /* for the convolutions that are oneDNN's */
		return;
	for (size_t i = 0; i < N_MADE; i++)
		check(made[i].name, made[i].make, 0.012);
	check("padded", make_padded, 0.02);
	check("real", make_real, 0.04);
}

/* Images whose class is the corner that is bright, under noise: the loss after each step. */
static void train(struct bench *b, double *loss, size_t steps)
{
	size_t side = b->net.input.h, pixels = side * side;

	for (size_t i = 0; i < IMAGES; i++) {
		b->label[i] = (uint8_t)(i % 4);
		for (size_t p = 0; p < pixels; p++)
			for (size_t c = 0; c < 3; c++)
				if ((p / side < side / 2) == (i % 4 < 2) &&
				    (p % side < side / 2) == (i % 2 == 0))
					b->image[(i * pixels + p) * 3 + c] += 0.7f;
	}
	for (size_t k = 0; k < steps; k++) {
		loss[k] = forward(b);
		runner_backward(&b->run);
		memcpy(b->model.gradient, b->run.gradient, b->plan.n_weights * sizeof(float));
		model_step(&b->model, &(struct update){ .rate = 0.05, .momentum = 0.9 });
	}
}

#define STEPS 25
static void check_training(const char *name, void (*make)(struct network *))
{
	double half_loss[STEPS], full_loss[STEPS], half_mean = 0, full_mean = 0;
	struct bench half, full;

	open_net(&half, make, 12, true);
	open_net(&full, make, 12, false);
	train(&half, half_loss, STEPS);
	train(&full, full_loss, STEPS);
	for (size_t k = 0; k < STEPS; k++) {
		half_mean += half_loss[k] / STEPS;
		full_mean += full_loss[k] / STEPS;
		if (k < 5) /* before the paths part */
			cr_assert_float_eq(half_loss[k], full_loss[k], 0.05 * full_loss[k] + 0.01,
					   "%s, step %zu: %g, not %g", name, k, half_loss[k],
					   full_loss[k]);
	}
	cr_assert_lt(full_loss[STEPS - 1], 0.2 * full_loss[0], "%s does not learn", name);
	cr_assert_lt(half_loss[STEPS - 1], 0.2 * half_loss[0], "%s does not learn", name);
	cr_assert_float_eq(half_mean, full_mean, 0.1 * full_mean, "%s: %g, not %g", name, half_mean,
			   full_mean);
	bench_close(&half);
	bench_close(&full);
}

Test(engine_fused, networks_train_in_emulated_tiles_as_in_f32)
{
	check_training("DenseNet", make_densenet);
	check_training("ResNet", make_residual);
}
