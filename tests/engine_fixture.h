#ifndef TESTS_ENGINE_FIXTURE_H
#define TESTS_ENGINE_FIXTURE_H
/* Small networks with every operator, and all it takes to run one. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine.h"
#include "rng.h"

#ifndef IMAGES
#define IMAGES 4
#endif

struct bench {
	struct arena arena;
	struct network net;
	struct plan plan;
	struct model model;
	struct runner run;
	float *image;
	uint8_t label[IMAGES];
};

static inline void bench_open(struct bench *b, bool bf16)
{
	struct nasc_err err = { 0 };
	struct rng rng;
	size_t n;

	cr_assert_eq(network_infer(&b->net, &err), NASC_OK, "%s", err.msg);
	conv_use_one_thread();
	cr_assert_eq(plan_create(&b->net, IMAGES, bf16, PLAN_TRAIN, &b->arena, &b->plan, &err),
		     NASC_OK, "%s", err.msg);
	model_create(&b->model, &b->plan, &b->arena);
	rng_stream(&rng, 7, RNG_INIT, 3);
	model_init(&b->model, &rng);
	runner_create(&b->run, &b->plan, &b->model, &b->arena);
	n = IMAGES * net_elements(b->net.input);
	b->image = ARENA_NEW(&b->arena, float, n);
	rng_stream(&rng, 11, RNG_SAMPLE, 0);
	for (size_t i = 0; i < n; i++)
		b->image[i] = (float)rng_normal(&rng);
	/* Off the symmetric start: gammas, betas and biases all different. */
	for (size_t k = 0; k < b->plan.n_params; k++)
		for (size_t i = 0; i < param_count(&b->plan.param[k]); i++)
			if (b->plan.param[k].role != PARAM_WEIGHTS)
				b->model.weights[b->plan.param[k].at + i] +=
					(float)(0.3 * rng_normal(&rng));
	for (size_t i = 0; i < IMAGES; i++)
		b->label[i] = (uint8_t)(i * 5 % b->net.classes);
	b->run.label = b->label;
	b->run.n_labels = IMAGES;
	b->run.loss_scale = 1.0 / IMAGES;
}

static inline double forward(struct bench *b)
{
	runner_pack(&b->run);
	runner_load(&b->run, b->image);
	runner_forward(&b->run, RUN_TRAIN);
	return b->run.loss / IMAGES;
}

static inline void bench_close(struct bench *b)
{
	runner_release(&b->run);
	plan_release(&b->plan);
	arena_free(&b->arena);
}

static inline void start(struct bench *b, uint32_t h, uint32_t w, uint32_t c)
{
	*b = (struct bench){ 0 };
	network_init(&b->net, &b->arena, (struct net_shape){ h, w, c });
}

/* ---- networks that have every operator ---------------------------------------- */

static inline uint32_t conv(struct network *n, uint32_t x, uint32_t out, uint32_t kernel)
{
	return network_conv2d(n, x, out, kernel, 1, 1, NET_SAME, true);
}

static inline uint32_t norm(struct network *n, uint32_t x)
{
	return network_unary(n, NET_BATCH_NORM, x);
}

static inline uint32_t relu(struct network *n, uint32_t x)
{
	return network_unary(n, NET_RELU, x);
}

static inline uint32_t merge(struct network *n, enum net_kind kind, uint32_t a, uint32_t b,
			     uint32_t c)
{
	uint32_t in[3] = { a, b, c };

	return network_merge(n, kind, in, c == UINT32_MAX ? 2 : 3);
}
#define NO UINT32_MAX

static inline void make_dense(struct network *n)
{
	network_dense(n, 0, 7, true);
}

static inline void make_conv(struct network *n)
{
	network_dense(n, network_unary(n, NET_GLOBAL_POOL, conv(n, conv(n, 0, 5, 3), 18, 3)), 6,
		      true);
}

static inline void make_strided(struct network *n)
{
	uint32_t x = network_conv2d(n, 0, 20, 3, 2, 1, NET_SAME, false);

	x = network_conv2d(n, x, 5, 2, 2, 1, NET_VALID, true);
	network_dense(n, x, 5, false);
}

static inline void make_grouped(struct network *n)
{
	uint32_t x = conv(n, 0, 6, 1);

	x = network_conv2d(n, x, 9, 3, 1, 3, NET_SAME, true);
	network_dense(n, x, 5, false);
}

static inline void make_depthwise(struct network *n)
{
	uint32_t x = conv(n, 0, 19, 1);

	x = network_depthwise(n, x, 3, 1, NET_SAME, true);
	x = network_depthwise(n, x, 3, 2, NET_SAME, false);
	x = network_depthwise(n, x, 5, 1, NET_SAME, false);
	network_dense(n, x, 5, false);
}

static inline void make_max_pool(struct network *n)
{
	uint32_t x = network_pool(n, NET_MAX_POOL, conv(n, 0, 5, 3), 3, 2, NET_SAME);

	x = network_pool(n, NET_MAX_POOL, x, 2, 1, NET_VALID);
	network_dense(n, x, 5, false);
}

static inline void make_avg_pool(struct network *n)
{
	uint32_t x = network_pool(n, NET_AVG_POOL, conv(n, 0, 5, 3), 3, 2, NET_SAME);

	x = network_pool(n, NET_AVG_POOL, x, 2, 2, NET_VALID);
	network_dense(n, x, 5, false);
}

static inline void
make_transition(struct network *n) /* the pool moves before the 1x1 convolution */
{
	uint32_t x = conv(n, conv(n, 0, 21, 3), 5, 1);

	x = network_pool(n, NET_AVG_POOL, x, 3, 2, NET_SAME);
	network_dense(n, x, 5, false);
}

static inline void make_add(struct network *n)
{
	uint32_t x = conv(n, 0, 5, 3), y = conv(n, x, 5, 1), z;

	z = merge(n, NET_ADD, x, y, x);
	n->op[z].act = NET_ACT_RELU;
	z = merge(n, NET_ADD, z, conv(n, z, 5, 3), NO);
	network_dense(n, z, 5, false);
}

static inline void make_norm(struct network *n)
{
	uint32_t x = norm(n, conv(n, 0, 5, 3));

	x = network_unary(n, NET_RELU6, norm(n, conv(n, x, 17, 3)));
	x = norm(n, relu(n, norm(n, x))); /* a norm reads a norm's ReLU */
	network_dense(n, x, 5, false);
}

static inline void make_norm_image(struct network *n)
{
	network_dense(n, relu(n, conv(n, norm(n, 0), 4, 3)), 5, true);
}

static inline void make_chain(struct network *n) /* DenseNet: concatenations of concatenations */
{
	uint32_t x = conv(n, 0, 7, 3);

	for (int i = 0; i < 3; i++)
		x = merge(n, NET_CONCAT, x, conv(n, relu(n, norm(n, x)), 4, 3), NO);
	x = relu(n, norm(n, x));
	network_dense(n, network_unary(n, NET_GLOBAL_POOL, x), 5, true);
}

static inline void make_flat(struct network *n) /* the same, each one lists all */
{
	uint32_t s = conv(n, 0, 7, 3), a, b, x;

	a = conv(n, relu(n, norm(n, s)), 4, 3);
	x = merge(n, NET_CONCAT, s, a, NO);
	b = conv(n, relu(n, norm(n, x)), 4, 3);
	x = merge(n, NET_CONCAT, s, a, b);
	network_dense(n, relu(n, norm(n, x)), 5, true);
}

static inline void make_mixed(struct network *n) /* slices, copies, and readers of every kind */
{
	uint32_t s = conv(n, 0, 6, 3), a = conv(n, s, 6, 3), x, y;

	x = merge(n, NET_CONCAT, s, 0, a); /* the image is copied */
	y = merge(n, NET_CONCAT, a, s, a); /* twice, and in another order */
	y = merge(n, NET_CONCAT, norm(n, y), x, network_unary(n, NET_RELU6, y));
	x = network_pool(n, NET_MAX_POOL, x, 2, 2, NET_VALID);
	y = network_pool(n, NET_AVG_POOL, norm(n, y), 2, 2, NET_VALID);
	x = merge(n, NET_CONCAT, conv(n, x, 5, 1), y, x);
	network_unary(n, NET_SOFTMAX, network_dense(n, conv(n, x, 4, 3), 5, false));
}

static inline void make_acts(struct network *n)
{
	uint32_t x = conv(n, 0, 5, 3);

	n->op[x].act = NET_ACT_RELU6;
	x = network_depthwise(n, x, 3, 1, NET_VALID, true);
	n->op[x].act = NET_ACT_RELU;
	x = norm(n, x);
	n->op[x].act = NET_ACT_RELU;
	conv(n, relu(n, x), 1, 1); /* the output is an image: h * w classes */
}

static inline void make_large(struct network *n)
{
	uint32_t x = conv(n, 0, 5, 3), y;

	y = relu(n, norm(n, x));
	x = merge(n, NET_CONCAT, x, network_depthwise(n, y, 3, 1, NET_SAME, true), NO);
	x = relu(n, norm(n, conv(n, x, 6, 3)));
	x = merge(n, NET_ADD, x, network_unary(n, NET_RELU6, norm(n, conv(n, x, 6, 1))), NO);
	x = network_pool(n, NET_MAX_POOL, x, 2, 2, NET_SAME);
	network_dense(n, network_unary(n, NET_GLOBAL_POOL, x), 5, true);
}

struct made {
	const char *name;
	void (*make)(struct network *n);
};
static const struct made made[] = {
	{ "dense", make_dense },
	{ "conv", make_conv },
	{ "strided", make_strided },
	{ "grouped", make_grouped },
	{ "depthwise", make_depthwise },
	{ "max pool", make_max_pool },
	{ "avg pool", make_avg_pool },
	{ "transition", make_transition },
	{ "add", make_add },
	{ "norm", make_norm },
	{ "norm of the image", make_norm_image },
	{ "chain of concatenations", make_chain },
	{ "flat concatenations", make_flat },
	{ "mixed", make_mixed },
	{ "fused activations", make_acts },
};
#define N_MADE (sizeof made / sizeof *made)

/* A network wide enough for AMX tiles. */
static inline void make_real(struct network *n)
{
	uint32_t x = network_conv2d(n, 0, 24, 3, 1, 1, NET_SAME, false);

	for (int i = 0; i < 4; i++)
		x = merge(n, NET_CONCAT, x,
			  network_conv2d(n, relu(n, norm(n, x)), 12, 3, 1, 1, NET_SAME, false), NO);
	x = network_conv2d(n, relu(n, norm(n, x)), 36, 1, 1, 1, NET_SAME, false);
	x = network_pool(n, NET_AVG_POOL, x, 2, 2, NET_VALID);
	x = relu(n, norm(n, network_depthwise(n, x, 3, 1, NET_SAME, false)));
	network_dense(n, network_unary(n, NET_GLOBAL_POOL, x), 10, true);
}
#endif
