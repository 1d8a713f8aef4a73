#ifndef TESTS_COST_FIXTURE_H
#define TESTS_COST_FIXTURE_H
/* Networks of the literature and short ways to cost them. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "costmodels.h"
#include "leak.h"
#include "mcu_memory.h"
#include "network_fixture.h"

static inline const char *source_path(const char *below, char *buf, size_t n)
{
	const char *root = getenv("NASC_SOURCE");

	snprintf(buf, n, "%s/%s", root ? root : ".", below);
	return buf;
}

static inline void open_target(struct costmodel *m, const char *name, struct arena *a)
{
	struct nasc_err err = { 0 };
	char dir[1024];

	cr_assert_eq(target_open(m, source_path("configs/targets", dir, sizeof dir), name, a, &err),
		     NASC_OK, "%s", err.msg);
}

static inline void cost_of(const struct costmodel *m, const struct network *net, struct arena *a,
			   struct cost *out)
{
	struct nasc_err err = { 0 };

	cr_assert_eq(m->ops->cost(m, net, a, out, &err), NASC_OK, "%s: %s", m->target, err.msg);
}

static inline void open_text(struct costmodel *m, const char *text, struct arena *a)
{
	char path[] = "/tmp/nasc-target-XXXXXX.yaml";
	struct nasc_err err = { 0 };
	int fd = mkstemps(path, 5);
	FILE *fp = fdopen(fd, "w");

	cr_assert_not_null(fp);
	fputs(text, fp);
	fclose(fp);
	cr_assert_eq(target_open(m, ".", path, a, &err), NASC_OK, "%s", err.msg);
	remove(path);
}

/* ---- networks ------------------------------------------------------------------ */

static inline uint32_t conv_relu(struct network *n, uint32_t x, uint32_t c, uint32_t k, uint32_t s)
{
	return network_unary(n, NET_RELU, network_conv2d(n, x, c, k, s, 1, NET_SAME, true));
}

/* ResNet8 of MLPerf Tiny (mlcommons/tiny, image classification), BN folded. */
static inline void resnet8(struct network *n, struct arena *a)
{
	uint32_t x, y, both[2];

	network_init(n, a, (struct net_shape){ 32, 32, 3 });
	x = conv_relu(n, 0, 16, 3, 1);
	for (uint32_t width = 16; width <= 64; width *= 2) {
		uint32_t stride = width == 16 ? 1 : 2;

		y = conv_relu(n, x, width, 3, stride);
		both[1] = network_conv2d(n, y, width, 3, 1, 1, NET_SAME, true);
		both[0] = stride == 1 ? x : network_conv2d(n, x, width, 1, 2, 1, NET_SAME, true);
		x = network_unary(n, NET_RELU, network_merge(n, NET_ADD, both, 2));
	}
	x = network_unary(n, NET_GLOBAL_POOL, x);
	network_unary(n, NET_SOFTMAX, network_dense(n, x, 10, true));
	infer(n);
}

static inline uint32_t separable(struct network *n, uint32_t x, uint32_t c, uint32_t s)
{
	x = network_unary(n, NET_RELU, network_depthwise(n, x, 3, s, NET_SAME, true));
	return conv_relu(n, x, c, 1, 1);
}

/* DS-CNN keyword spotter of MLPerf Tiny: its first kernel is 10 x 4. */
static inline void ds_cnn(struct network *n, struct arena *a)
{
	uint32_t x;

	network_init(n, a, (struct net_shape){ 49, 10, 1 });
	x = network_conv2d(n, 0, 64, 10, 2, 1, NET_SAME, true);
	n->op[x].kernel_w = 4;
	x = network_unary(n, NET_RELU, x);
	for (int i = 0; i < 4; i++)
		x = separable(n, x, 64, 1);
	x = network_unary(n, NET_GLOBAL_POOL, x);
	network_unary(n, NET_SOFTMAX, network_dense(n, x, 12, true));
	infer(n);
}

/* MobileNetV1 0.25 at 96x96 of MLPerf Tiny, visual wake words. */
static inline void mobilenet_v1(struct network *n, struct arena *a)
{
	static const struct {
		uint32_t c, s;
	} layer[] = { { 16, 1 },  { 32, 2 },  { 32, 1 },  { 64, 2 },  { 64, 1 },
		      { 128, 2 }, { 128, 1 }, { 128, 1 }, { 128, 1 }, { 128, 1 },
		      { 128, 1 }, { 256, 2 }, { 256, 1 } };
	uint32_t x;

	network_init(n, a, (struct net_shape){ 96, 96, 3 });
	x = conv_relu(n, 0, 8, 3, 2);
	for (size_t i = 0; i < sizeof layer / sizeof *layer; i++)
		x = separable(n, x, layer[i].c, layer[i].s);
	x = network_unary(n, NET_GLOBAL_POOL, x);
	network_unary(n, NET_SOFTMAX, network_dense(n, x, 2, true));
	infer(n);
}

/* ToyADMOS autoencoder of MLPerf Tiny. */
static inline void autoencoder(struct network *n, struct arena *a)
{
	static const uint32_t width[] = { 128, 128, 128, 128, 8, 128, 128, 128, 128 };
	uint32_t x = 0;

	network_init(n, a, (struct net_shape){ 1, 1, 640 });
	for (size_t i = 0; i < sizeof width / sizeof *width; i++)
		x = network_unary(n, NET_RELU, network_dense(n, x, width[i], true));
	network_dense(n, x, 640, true);
	infer(n);
}

static inline uint32_t inverted_residual(struct network *n, uint32_t x, uint32_t in, uint32_t mid,
					 uint32_t out, uint32_t kernel, uint32_t stride)
{
	uint32_t y = x;

	if (mid != in)
		y = conv_relu(n, y, mid, 1, 1);
	y = network_unary(n, NET_RELU6, network_depthwise(n, y, kernel, stride, NET_SAME, true));
	y = network_conv2d(n, y, out, 1, 1, 1, NET_SAME, true);
	if (stride == 1 && in == out)
		y = network_merge(n, NET_ADD, (uint32_t[]){ x, y }, 2);
	return y;
}

/* MobileNetV2 1.0 at 224x224, Sandler et al., table 2. */
static inline void mobilenet_v2(struct network *n, struct arena *a)
{
	static const struct {
		uint32_t t, c, n, s;
	} stage[] = { { 1, 16, 1, 1 }, { 6, 24, 2, 2 },	 { 6, 32, 3, 2 }, { 6, 64, 4, 2 },
		      { 6, 96, 3, 1 }, { 6, 160, 3, 2 }, { 6, 320, 1, 1 } };
	uint32_t x, c = 32;

	network_init(n, a, (struct net_shape){ 224, 224, 3 });
	x = conv_relu(n, 0, 32, 3, 2);
	for (size_t i = 0; i < sizeof stage / sizeof *stage; i++)
		for (uint32_t k = 0; k < stage[i].n; k++) {
			x = inverted_residual(n, x, c, c * stage[i].t, stage[i].c, 3,
					      k == 0 ? stage[i].s : 1);
			c = stage[i].c;
		}
	x = network_unary(n, NET_GLOBAL_POOL, conv_relu(n, x, 1280, 1, 1));
	network_dense(n, x, 1000, true);
	infer(n);
}

/* MCUNet by its published block lists (mit-han-lab/mcunet): expansions and kernels of the blocks
 * of each stage behind the first, "434 545". */
struct mcunet {
	const char *name, *expansions, *kernels;
	uint32_t side, stem, width[7];
};
static const struct mcunet mcunets[] = {
	{ "in0",
	  "434 545 54 545 64 6",
	  "533 755 75 353 35 3",
	  48,
	  24,
	  { 16, 16, 24, 48, 56, 112, 192 } },
	{ "in2",
	  "3655 566 45 554 6434 5",
	  "5735 375 75 353 5553 5",
	  160,
	  16,
	  { 8, 16, 24, 40, 48, 96, 160 } },
	{ "in4",
	  "354 544 333 433 433 4",
	  "735 737 737 355 775 5",
	  160,
	  32,
	  { 16, 24, 40, 80, 96, 192, 320 } },
};

static inline void mcunet(struct network *n, const struct mcunet *m, struct arena *a)
{
	static const uint32_t strides[] = { 1, 2, 2, 2, 1, 2, 1 };
	uint32_t stage = 1, c = m->width[0], x;
	bool first = true;

	network_init(n, a, (struct net_shape){ m->side, m->side, 3 });
	x = conv_relu(n, 0, m->stem, 3, 2);
	x = inverted_residual(n, x, m->stem, m->stem, c, 3, 1);
	for (size_t i = 0; m->expansions[i]; i++) {
		if (m->expansions[i] == ' ') {
			stage++;
			first = true;
			continue;
		}
		x = inverted_residual(n, x, c, c * (uint32_t)(m->expansions[i] - '0'),
				      m->width[stage], (uint32_t)(m->kernels[i] - '0'),
				      first ? strides[stage] : 1);
		c = m->width[stage];
		first = false;
	}
	network_dense(n, network_unary(n, NET_GLOBAL_POOL, x), 1000, true);
	infer(n);
}

/* ---- peak SRAM, as deployed ------------------------------------------------------ */

static inline uint64_t peak(const struct network *net, bool count_input, bool inplace, bool *exact)
{
	struct arena a = { 0 };
	struct network folded;
	struct mcu_memory memory;
	uint64_t bytes;

	network_fold(net, &a, &folded, NULL);
	mcu_memory_plan(
		&folded,
		&(struct mcu_memory_rules){ MCU_IDEAL, 8, count_input, inplace, false, false }, &a,
		&memory);
	bytes = memory.peak_bytes;
	if (exact)
		*exact = memory.exact;
	arena_free(&a);
	return bytes;
}
#endif
