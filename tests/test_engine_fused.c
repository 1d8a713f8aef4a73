#define IMAGES 16
#include "engine_fixture.h"

#include <math.h>

#include "leak.h"

/* Whole networks through our own convolutions with what is fused to them, in f32 and, by tiles in
 * software, in bf16, against the same networks through oneDNN. This program's direct_choose()
 * stands in for the engine's. */

TestSuite(engine_fused, .fini = no_leaks);

extern const struct direct_kernels direct_emulated_v2, direct_emulated_v4;
static const struct direct_kernels *chosen;

const struct direct_kernels *direct_choose(bool bf16)
{
	return chosen && chosen->bf16 == bf16 ? chosen : NULL;
}

static const struct direct_kernels *emulated(void)
{
	return kernels_choose(true) == &kernels_v4[1] ? &direct_emulated_v4 : &direct_emulated_v2;
}

static const struct direct_kernels *vectors(void)
{
	const struct kernels *k = kernels_choose(false);

	return k == &kernels_v4[0] ? &direct_v4 : k == &kernels_v3[0] ? &direct_v3 : &direct_v2;
}

static void open_net(struct bench *b, void (*make)(struct network *), uint32_t size,
		     const struct direct_kernels *k)
{
	start(b, size, size, 3);
	make(&b->net);
	chosen = k;
	bench_open(b, k && k->bf16);
}

/* Cosine of two gradients, and their distance in parts of the first. */
static double cosine(const struct bench *a, const struct bench *b, double *distance)
{
	double aa = 0, bb = 0, ab = 0, diff = 0;

	for (size_t k = 0; k < a->plan.n_params; k++)
		for (size_t i = 0; i < param_count(&a->plan.param[k]); i++) {
			double x = (double)a->run.gradient[param_at(&a->plan.param[k], i)];
			double y = (double)b->run.gradient[param_at(&b->plan.param[k], i)];

			aa += x * x;
			bb += y * y;
			ab += x * y;
			diff += (x - y) * (x - y);
		}
	*distance = sqrt(diff / aa);
	return ab / sqrt(aa * bb);
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

static void check_f32(const char *name, void (*make)(struct network *))
{
	struct bench own, other;
	double distance, a, b;

	open_net(&own, make, 12, vectors());
	open_net(&other, make, 12, NULL);
	a = forward(&own);
	b = forward(&other);
	cr_assert_float_eq(a, b, 1e-5 * b, "%s: loss %g, not %g", name, a, b);
	runner_backward(&own.run);
	runner_backward(&other.run);
	cosine(&other, &own, &distance);
	/* A ReLU at 0 may fall either way. */
	cr_assert_lt(distance, 1e-3, "%s: gradients are %g apart", name, distance);
	for (size_t i = 0; i < own.plan.n_norms; i++)
		for (uint32_t c = 0; c < own.plan.norm[i].c; c++) {
			uint32_t k = own.plan.norm[i].channel + c;

			cr_assert_float_eq((double)own.run.mean[k], (double)other.run.mean[k],
					   1e-4);
		}
	bench_close(&own);
	bench_close(&other);
}

Test(engine_fused, f32_gradients_equal_those_of_onednn)
{
	for (size_t i = 0; i < N_MADE; i++)
		check_f32(made[i].name, made[i].make);
	check_f32("real", make_real);
	check_f32("residual", make_residual);
	check_f32("DenseNet", make_densenet);
	check_f32("padded", make_padded);
}

static void check_bf16(const char *name, void (*make)(struct network *))
{
	struct bench half, full;
	double distance, c;

	open_net(&half, make, 12, emulated());
	open_net(&full, make, 12, NULL);
	forward(&half);
	forward(&full);
	runner_backward(&half.run);
	runner_backward(&full.run);
	c = cosine(&full, &half, &distance);
	cr_assert_gt(c, 0.99, "%s: cosine %g", name, c);
	bench_close(&half);
	bench_close(&full);
}

Test(engine_fused, bf16_gradients_point_the_same_way)
{
	check_bf16("residual", make_residual);
	check_bf16("DenseNet", make_densenet);
	if (plan_has_bf16()) /* for the depthwise convolution */
		check_bf16("real", make_real);
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

	open_net(&half, make, 12, emulated());
	open_net(&full, make, 12, NULL);
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
