#ifndef TESTS_TRAIN_FIXTURE_H
#define TESTS_TRAIN_FIXTURE_H
/* Images and networks that train in a moment. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "evaluators.h"
#include "file.h"
#include "rng.h"

/* train_network() with the streams of seed 5, id 9. */
#define TRAIN(arena, report, err, ...)                                                             \
	train_network(&(struct train_request){ .seed = 5, .id = 9, __VA_ARGS__ }, arena, report,   \
		      err)

static inline struct train_cfg defaults(struct arena *a)
{
	struct train_cfg cfg;

	cfg_defaults(train_fields, a, &cfg, sizeof cfg);
	return cfg;
}

/* Four classes told apart by the quarter of the image that is bright; noise on all. */
static inline void quarters(struct arena *a, size_t n, uint64_t seed, struct dataset *d)
{
	uint8_t *image = ARENA_NEW(a, uint8_t, n * 64), *label = ARENA_NEW(a, uint8_t, n);
	struct rng rng;

	rng_stream(&rng, seed, RNG_SAMPLE, 0);
	for (size_t i = 0; i < n; i++) {
		label[i] = (uint8_t)rng_below(&rng, 4);
		for (size_t p = 0; p < 64; p++) {
			size_t quarter = p / 32 * 2 + p % 8 / 4;
			uint64_t bright = quarter == label[i] ? 60 : 0;

			image[i * 64 + p] = (uint8_t)(rng_below(&rng, 190) + bright);
		}
	}
	*d = (struct dataset){ .n = n,
			       .shape = { 8, 8, 1 },
			       .classes = 4,
			       .image = image,
			       .label = label,
			       .mean = { .4f },
			       .std = { .22f } };
}

/* DenseNet of two blocks: batch norm, ReLU, convolution, concatenation a layer. */
static inline void densenet(struct arena *a, struct net_shape in, uint32_t stem, uint32_t layers,
			    uint32_t growth, uint32_t classes, struct network *net)
{
	struct nasc_err err = { 0 };
	uint32_t x, c = stem;

	network_init(net, a, in);
	x = network_conv2d(net, 0, c, 3, 1, 1, NET_SAME, false);
	for (int block = 0; block < 2; block++) {
		for (uint32_t i = 0; i < layers; i++) {
			uint32_t y = network_unary(net, NET_BATCH_NORM, x), both[2] = { x, 0 };

			y = network_unary(net, NET_RELU, y);
			both[1] = network_conv2d(net, y, growth, 3, 1, 1, NET_SAME, false);
			x = network_merge(net, NET_CONCAT, both, 2);
			c += growth;
		}
		x = network_unary(net, NET_RELU, network_unary(net, NET_BATCH_NORM, x));
		if (block == 0) {
			c /= 2;
			x = network_conv2d(net, x, c, 1, 1, 1, NET_SAME, false);
			x = network_pool(net, NET_AVG_POOL, x, 2, 2, NET_VALID);
		}
	}
	x = network_unary(net, NET_GLOBAL_POOL, x);
	network_unary(net, NET_SOFTMAX, network_dense(net, x, classes, true));
	cr_assert_eq(network_infer(net, &err), NASC_OK, "%s", err.msg);
}

static inline void temporary(char path[64])
{
	int fd;

	snprintf(path, 64, "%s", "/tmp/nasc-train-XXXXXX");
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	close(fd);
}

/* The bytes of the weights after training with @threads. */
static inline char *weights_after(struct arena *a, const struct train_cfg *cfg,
				  const struct network *net, const struct dataset *data,
				  unsigned threads, size_t *n, struct train_report *report)
{
	struct nasc_err err = { 0 };
	char path[64], *text;

	temporary(path);
	cr_assert_eq(TRAIN(a, report, &err, .cfg = cfg, .net = net, .train = data,
			   .validation = data, .test = data, .threads = threads,
			   .weights_path = path),
		     NASC_OK, "%s", err.msg);
	cr_assert_eq(file_read(path, 1 << 24, a, &text, n, &err), NASC_OK, "%s", err.msg);
	unlink(path);
	return text;
}

static inline void near(const char *what, size_t i, double got, double want, double tolerance)
{
	cr_assert_float_eq(got, want, tolerance, "%s, %zu: %.9f, not %.9f", what, i, got, want);
}
#endif
