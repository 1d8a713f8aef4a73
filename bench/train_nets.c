#include "train_nets.h"

#include <stdio.h>
#include <stdlib.h>

static uint32_t norm_relu(struct network *net, uint32_t x)
{
	return network_unary(net, NET_RELU, network_unary(net, NET_BATCH_NORM, x));
}

static uint32_t head(struct network *net, uint32_t x)
{
	return network_dense(net, network_unary(net, NET_GLOBAL_POOL, x), 10, true);
}

/* A layer: batch norm, ReLU, 3x3 convolution, concatenation; between blocks a 1x1 convolution to
 * half the channels and a mean of 2x2. */
static uint32_t densenet(struct network *net, const struct train_net *s)
{
	uint32_t c = s->stem, x = network_conv2d(net, 0, c, 3, 1, 1, NET_SAME, false);

	for (int b = 0; b < 3; b++) {
		for (uint32_t i = 0; i < s->layers; i++) {
			uint32_t both[2] = { x, 0 };

			both[1] = network_conv2d(net, norm_relu(net, x), s->growth[b], 3, 1, 1,
						 NET_SAME, false);
			x = network_merge(net, NET_CONCAT, both, 2);
			c += s->growth[b];
		}
		x = norm_relu(net, x);
		if (b < 2) {
			c /= 2;
			x = network_conv2d(net, x, c, 1, 1, 1, NET_SAME, false);
			x = network_pool(net, NET_AVG_POOL, x, 2, 2, NET_VALID);
		}
	}
	return head(net, x);
}

static uint32_t conv_norm(struct network *net, uint32_t x, uint32_t out, uint32_t kernel,
			  uint32_t stride)
{
	x = network_conv2d(net, x, out, kernel, stride, 1, NET_SAME, false);
	return network_unary(net, NET_BATCH_NORM, x);
}

static uint32_t add(struct network *net, uint32_t x, uint32_t y)
{
	uint32_t both[2] = { x, y };

	return network_merge(net, NET_ADD, both, 2);
}

static uint32_t resnet8(struct network *net, const struct train_net *s)
{
	static const uint32_t width[] = { 16, 32, 64 };
	uint32_t x = network_unary(net, NET_RELU, conv_norm(net, 0, width[0], 3, 1));

	(void)s;
	for (int i = 0; i < 3; i++) {
		uint32_t stride = i ? 2 : 1, y;

		y = network_unary(net, NET_RELU, conv_norm(net, x, width[i], 3, stride));
		y = conv_norm(net, y, width[i], 3, 1);
		if (i)
			x = conv_norm(net, x, width[i], 1, stride);
		x = network_unary(net, NET_RELU, add(net, y, x));
	}
	return head(net, x);
}

static uint32_t inverted(struct network *net, uint32_t x, uint32_t in, uint32_t expansion,
			 uint32_t out, uint32_t stride)
{
	uint32_t y = x;

	if (expansion > 1)
		y = network_unary(net, NET_RELU, conv_norm(net, y, in * expansion, 1, 1));
	y = norm_relu(net, network_depthwise(net, y, 3, stride, NET_SAME, false));
	y = conv_norm(net, y, out, 1, 1);
	return stride == 1 && in == out ? add(net, y, x) : y;
}

static uint32_t mobilenet(struct network *net, const struct train_net *s)
{
	static const struct {
		uint32_t expansion, out, repeats, stride;
	} row[] = { { 1, 8, 1, 1 }, { 4, 16, 2, 2 }, { 4, 24, 2, 2 }, { 4, 40, 2, 2 } };
	uint32_t c = 16, x = network_unary(net, NET_RELU, conv_norm(net, 0, c, 3, 2));

	(void)s;
	for (size_t i = 0; i < sizeof row / sizeof *row; i++)
		for (uint32_t k = 0; k < row[i].repeats; k++) {
			x = inverted(net, x, c, row[i].expansion, row[i].out,
				     k ? 1 : row[i].stride);
			c = row[i].out;
		}
	return head(net, network_unary(net, NET_RELU, conv_norm(net, x, 4 * c, 1, 1)));
}

const struct train_net train_nets[] = {
	{ "dn76k", { 28, 28, 1 }, densenet, 76378, 24, 4, { 12, 12, 12 } },
	{ "dn17k", { 28, 28, 1 }, densenet, 16538, 8, 3, { 4, 8, 12 } },
	{ "dn250k", { 32, 32, 3 }, densenet, 304090, 24, 6, { 12, 16, 24 } },
	{ "res8", { 32, 32, 3 }, resnet8, 78042, 0, 0, { 0 } },
	{ "mb48", { 48, 48, 3 }, mobilenet, 45018, 0, 0, { 0 } },
};
const size_t n_train_nets = sizeof train_nets / sizeof *train_nets;

void train_net_make(const struct train_net *s, struct arena *a, struct network *net)
{
	struct nasc_err err = { 0 };

	network_init(net, a, s->input);
	s->build(net, s);
	if (network_infer(net, &err)) {
		fprintf(stderr, "train: %s: %s\n", s->name, err.msg);
		exit(1);
	}
	if (network_params(net) != s->params) {
		fprintf(stderr, "train: %s has %llu parameters, not %llu\n", s->name,
			(unsigned long long)network_params(net), (unsigned long long)s->params);
		exit(1);
	}
}
