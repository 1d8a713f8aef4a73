#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "leak.h"
#include "network_fixture.h"

TestSuite(network, .fini = no_leaks);

static void expect_counts(const struct network *net, uint32_t op, uint64_t weights, uint64_t biases,
			  uint64_t params, uint64_t macs)
{
	cr_assert_eq(network_op_weights(net, op), weights, "weights of %u", op);
	cr_assert_eq(network_op_biases(net, op), biases, "biases of %u", op);
	cr_assert_eq(network_op_params(net, op), params, "parameters of %u", op);
	cr_assert_eq(network_op_macs(net, op), macs, "MACs of %u", op);
}

/* MobileNetV2 1.0 (Sandler et al., CVPR 2018, table 2), 1000 classes. */
static void mobilenet_v2(struct network *net, struct arena *a, uint32_t side)
{
	static const struct {
		uint32_t expand, width, n, stride;
	} stage[] = { { 1, 16, 1, 1 }, { 6, 24, 2, 2 },	 { 6, 32, 3, 2 }, { 6, 64, 4, 2 },
		      { 6, 96, 3, 1 }, { 6, 160, 3, 2 }, { 6, 320, 1, 1 } };
	uint32_t x, c = 32;

	network_init(net, a, (struct net_shape){ side, side, 3 });
	x = network_conv2d(net, 0, 32, 3, 2, 1, NET_SAME, false);
	x = network_unary(net, NET_RELU6, network_unary(net, NET_BATCH_NORM, x));
	for (size_t s = 0; s < sizeof stage / sizeof *stage; s++)
		for (uint32_t i = 0; i < stage[s].n; i++) {
			uint32_t stride = i ? 1 : stage[s].stride, y = x;

			if (stage[s].expand > 1) {
				y = network_conv2d(net, y, stage[s].expand * c, 1, 1, 1, NET_SAME,
						   false);
				y = network_unary(net, NET_BATCH_NORM, y);
				y = network_unary(net, NET_RELU6, y);
			}
			y = network_depthwise(net, y, 3, stride, NET_SAME, false);
			y = network_unary(net, NET_RELU6, network_unary(net, NET_BATCH_NORM, y));
			y = network_conv2d(net, y, stage[s].width, 1, 1, 1, NET_SAME, false);
			y = network_unary(net, NET_BATCH_NORM, y);
			x = stride == 1 && c == stage[s].width
				    ? network_merge(net, NET_ADD, (uint32_t[]){ x, y }, 2)
				    : y;
			c = stage[s].width;
		}
	x = network_conv2d(net, x, 1280, 1, 1, 1, NET_SAME, false);
	x = network_unary(net, NET_RELU6, network_unary(net, NET_BATCH_NORM, x));
	x = network_dense(net, network_unary(net, NET_GLOBAL_POOL, x), 1000, true);
	network_unary(net, NET_SOFTMAX, x);
}

/* Shapes and counts worked out by hand from the definitions. */
Test(network, counts_by_hand)
{
	struct arena a = { 0 };
	struct network net;
	uint32_t x, y;

	network_init(&net, &a, (struct net_shape){ 5, 7, 4 });
	x = network_conv2d(&net, 0, 6, 3, 2, 2, NET_SAME, true); /* ceil(5/2) x ceil(7/2) */
	y = network_depthwise(&net, x, 3, 1, NET_VALID, false);	 /* 3-3+1 x 4-3+1 */
	network_pool(&net, NET_MAX_POOL, x, 2, 1, NET_VALID);
	network_pool(&net, NET_AVG_POOL, 3, 2, 2, NET_SAME); /* ceil(2/2) x ceil(3/2) */
	network_merge(&net, NET_CONCAT, (uint32_t[]){ y, 4, y }, 3);
	network_merge(&net, NET_ADD, (uint32_t[]){ 5, 5 }, 2);
	network_unary(&net, NET_BATCH_NORM, 6);
	network_unary(&net, NET_RELU, 7);
	network_dense(&net, 8, 10, true);
	network_unary(&net, NET_SOFTMAX, 9);
	infer(&net);
	expect_shape(&net, 1, 3, 4, 6);
	expect_counts(&net, 1, 3 * 3 * 2 * 6, 6, 114, 108 * 12);
	expect_shape(&net, 2, 1, 2, 6);
	expect_counts(&net, 2, 54, 0, 54, 54 * 2);
	expect_shape(&net, 3, 2, 3, 6);
	expect_counts(&net, 3, 0, 0, 0, 0);
	expect_shape(&net, 4, 1, 2, 6);
	expect_shape(&net, 5, 1, 2, 18);
	expect_shape(&net, 6, 1, 2, 18);
	expect_shape(&net, 8, 1, 2, 18);
	expect_counts(&net, 7, 0, 0, 36, 0);
	expect_shape(&net, 9, 1, 1, 10);
	expect_counts(&net, 9, 360, 10, 370, 360);
	cr_assert_eq(net.classes, 10);
	cr_assert_eq(network_params(&net), 114 + 54 + 36 + 370);
	cr_assert_eq(network_macs(&net), 1296 + 108 + 360);
	arena_free(&a);
}

/* LeNet-5 as everybody counts it: 61,706 parameters, 416,520 MACs (28x28 padded to 32x32;
 * 156 + 2,416 + 48,120 + 10,164 + 850). */
Test(network, lenet5)
{
	struct arena a = { 0 };
	struct network net;
	uint32_t x;

	network_init(&net, &a, (struct net_shape){ 32, 32, 1 });
	x = network_conv2d(&net, 0, 6, 5, 1, 1, NET_VALID, true);
	x = network_pool(&net, NET_MAX_POOL, x, 2, 2, NET_VALID);
	x = network_conv2d(&net, x, 16, 5, 1, 1, NET_VALID, true);
	x = network_pool(&net, NET_MAX_POOL, x, 2, 2, NET_VALID);
	x = network_dense(&net, x, 120, true);
	x = network_dense(&net, x, 84, true);
	network_dense(&net, x, 10, true);
	infer(&net);
	cr_assert_eq(network_params(&net), 61706);
	cr_assert_eq(network_macs(&net), 416520);
	arena_free(&a);
}

/* 3,504,872 trainable parameters (Keras' summary); MACs per resolution from the table in the
 * tensorflow/models README of MobileNetV2, in millions; the convolutions at 224 counted one by
 * one from the paper's table: 299,494,272. */
Test(network, mobilenet_v2)
{
	static const struct {
		uint32_t side;
		double mega_macs;
	} published[] = { { 224, 300 }, { 192, 221 }, { 160, 154 }, { 128, 99 }, { 96, 56 } };
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net, small;

	mobilenet_v2(&net, &a, 224);
	infer(&net);
	cr_assert_eq(network_params(&net), 3504872);
	cr_assert_eq(network_macs(&net), 299494272 + 1280 * 1000);
	cr_assert_eq(net.classes, 1000);
	for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
		uint32_t side = published[i].side;

		cr_assert_eq(network_resize(&net, side, side, &a, &small, &err), NASC_OK);
		cr_assert_eq(network_params(&small), 3504872);
		cr_assert_lt(fabs((double)network_macs(&small) / 1e6 - published[i].mega_macs), 1,
			     "%u: %.2f", side, (double)network_macs(&small) / 1e6);
	}
	arena_free(&a);
}

Test(network, resize_refuses)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net, small = { .n_ops = 77 };

	network_init(&net, &a, (struct net_shape){ 8, 8, 1 });
	network_pool(&net, NET_MAX_POOL, network_conv2d(&net, 0, 2, 3, 1, 1, NET_VALID, true), 4, 4,
		     NET_VALID);
	infer(&net);
	cr_assert_eq(network_resize(&net, 5, 8, &a, &small, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "at input 5x8: operator 2 (max_pool): kernel height 4 is larger "
				  "than its input's 3 under valid padding");
	cr_assert_eq(small.n_ops, 77, "out must stay as it was");
	cr_assert_eq(network_resize(&net, 0, 8, &a, &small, &err), NASC_CONFIG);
	cr_assert_eq(net.op[1].out.h, 6, "the original must stay as it was");
	arena_free(&a);
}

/* 0 -> 1 -> 2 -> 4 -> 5, 1 -> 3 (nobody reads it), 1 -> 4; 4 reads 2 twice. */
Test(network, lifetimes_and_consumers)
{
	static const uint32_t want_last[] = { 1, 4, 4, 3, 5, 6 },
			      want_count[] = { 1, 3, 1, 0, 1, 0 };
	struct arena a = { 0 };
	struct network net;
	uint32_t last[6], count[6];

	network_init(&net, &a, (struct net_shape){ 4, 4, 2 });
	network_conv2d(&net, 0, 2, 1, 1, 1, NET_SAME, false);
	network_unary(&net, NET_RELU, 1);
	network_unary(&net, NET_RELU6, 1);
	network_merge(&net, NET_CONCAT, (uint32_t[]){ 2, 1, 2 }, 3);
	network_unary(&net, NET_GLOBAL_POOL, 4);
	infer(&net);
	network_lifetimes(&net, last);
	network_consumers(&net, count);
	for (size_t i = 0; i < 6; i++) {
		cr_assert_eq(last[i], want_last[i], "last[%zu] = %u", i, last[i]);
		cr_assert_eq(count[i], want_count[i], "count[%zu] = %u", i, count[i]);
	}
	arena_free(&a);
}

/* ---- folding ------------------------------------------------------------------ */

/* Every pattern of the rule once; the result is written down by hand. */
Test(network, fold_by_hand)
{
	static const uint32_t want_source[] = {
		0, 1, 1, 1, 2, 3, 4, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10
	};
	struct arena a = { 0 };
	struct network net, want, got;
	uint32_t source[17];

	network_init(&net, &a, (struct net_shape){ 8, 8, 4 });
	network_conv2d(&net, 0, 4, 3, 1, 1, NET_SAME, false);
	network_unary(&net, NET_BATCH_NORM, 1); /* into 1 */
	network_unary(&net, NET_RELU, 2);	/* into 1 */
	network_conv2d(&net, 3, 4, 1, 1, 1, NET_SAME, false);
	network_unary(&net, NET_BATCH_NORM, 4); /* stays: 4 has two readers */
	network_merge(&net, NET_ADD, (uint32_t[]){ 4, 5 }, 2);
	network_unary(&net, NET_RELU6, 6);	/* into the add */
	network_unary(&net, NET_BATCH_NORM, 7); /* stays: behind an add */
	network_unary(&net, NET_RELU, 8);	/* into the batch norm */
	network_pool(&net, NET_MAX_POOL, 9, 2, 2, NET_VALID);
	network_depthwise(&net, 10, 3, 1, NET_SAME, true);
	network_unary(&net, NET_RELU, 11);	 /* into the depthwise */
	network_unary(&net, NET_BATCH_NORM, 12); /* stays: 11 is not linear any more */
	network_dense(&net, 13, 5, false);
	network_unary(&net, NET_BATCH_NORM, 14); /* into the dense layer */
	network_unary(&net, NET_SOFTMAX, 15);	 /* stays */
	infer(&net);

	network_init(&want, &a, (struct net_shape){ 8, 8, 4 });
	network_conv2d(&want, 0, 4, 3, 1, 1, NET_SAME, true);
	want.op[1].act = NET_ACT_RELU;
	network_conv2d(&want, 1, 4, 1, 1, 1, NET_SAME, false);
	network_unary(&want, NET_BATCH_NORM, 2);
	network_merge(&want, NET_ADD, (uint32_t[]){ 2, 3 }, 2);
	want.op[4].act = NET_ACT_RELU6;
	network_unary(&want, NET_BATCH_NORM, 4);
	want.op[5].act = NET_ACT_RELU;
	network_pool(&want, NET_MAX_POOL, 5, 2, 2, NET_VALID);
	network_depthwise(&want, 6, 3, 1, NET_SAME, true);
	want.op[7].act = NET_ACT_RELU;
	network_unary(&want, NET_BATCH_NORM, 7);
	network_dense(&want, 8, 5, true);
	network_unary(&want, NET_SOFTMAX, 9);
	infer(&want);

	network_fold(&net, &a, &got, source);
	cr_assert(network_equal(&got, &want));
	for (size_t i = 0; i < want.n_ops; i++)
		expect_shape(&got, (uint32_t)i, want.op[i].out.h, want.op[i].out.w,
			     want.op[i].out.c);
	for (size_t i = 0; i < net.n_ops; i++)
		cr_assert_eq(source[i], want_source[i], "source[%zu] = %u", i, source[i]);
	cr_assert_eq(got.classes, 5);
	cr_assert_not(network_equal(&net, &got));
	arena_free(&a);
}

/* Folded MobileNetV2: of 52 convolutions, 10 adds, pool, dense, softmax and input nothing
 * else is left; each convolution gained a bias and lost a batch norm: 17,056 channels in
 * all (34,112 batch norm parameters in the Keras summary of trainable parameters). */
Test(network, fold_mobilenet_v2)
{
	struct arena a = { 0 };
	struct network net, got, again;

	mobilenet_v2(&net, &a, 224);
	infer(&net);
	network_fold(&net, &a, &got, NULL);
	cr_assert_eq(got.n_ops, 52 + 10 + 4);
	cr_assert_eq(network_params(&got), 3504872 - 17056);
	cr_assert_eq(network_macs(&got), network_macs(&net));
	network_fold(&got, &a, &again, NULL);
	cr_assert(network_equal(&got, &again), "nothing is left to fold");
	infer(&got);
	arena_free(&a);
}

/* A batch norm's own activation moves with it. */
Test(network, fold_act_of_batch_norm)
{
	struct arena a = { 0 };
	struct network net, got;

	network_init(&net, &a, (struct net_shape){ 4, 4, 2 });
	network_conv2d(&net, 0, 2, 1, 1, 1, NET_SAME, false);
	network_unary(&net, NET_BATCH_NORM, 1);
	net.op[2].act = NET_ACT_RELU6;
	network_unary(&net, NET_RELU, 2); /* stays: its input is not linear */
	infer(&net);
	network_fold(&net, &a, &got, NULL);
	cr_assert_eq(got.n_ops, 3);
	cr_assert_eq(got.op[1].act, NET_ACT_RELU6);
	cr_assert_eq(got.op[2].kind, NET_RELU);
	arena_free(&a);
}

/* Two networks that differ in one place, whichever, are not equal. */
Test(network, equal)
{
	struct arena a = { 0 };
	struct network net[2];
	struct net_op *o;

	for (int i = 0; i < 2; i++) {
		network_init(&net[i], &a, (struct net_shape){ 4, 4, 2 });
		network_conv2d(&net[i], 0, 2, 3, 1, 1, NET_SAME, false);
		network_merge(&net[i], NET_ADD, (uint32_t[]){ 0, 1 }, 2);
		infer(&net[i]);
	}
	snprintf(net[0].name, sizeof net[0].name, "names do not count");
	o = &net[1].op[1];
	cr_assert(network_equal(&net[0], &net[1]));
#define DIFFERS(place, value)                                                                      \
	do {                                                                                       \
		uint32_t was = (uint32_t)(place);                                                  \
		(place) = (value);                                                                 \
		cr_assert_not(network_equal(&net[0], &net[1]), #place);                            \
		(place) = was;                                                                     \
	} while (0)
	DIFFERS(o->kind, NET_DEPTHWISE);
	DIFFERS(o->out_channels, 4);
	DIFFERS(o->kernel_h, 1);
	DIFFERS(o->kernel_w, 1);
	DIFFERS(o->stride, 2);
	DIFFERS(o->groups, 2);
	DIFFERS(o->padding, NET_VALID);
	DIFFERS(o->act, NET_ACT_RELU);
	DIFFERS(o->bias, true);
	DIFFERS(net[1].edge[1], 1);
	DIFFERS(net[1].op[2].n_inputs, 1);
	DIFFERS(net[1].n_ops, 2);
	DIFFERS(net[1].input.h, 5);
	DIFFERS(net[1].input.w, 5);
	DIFFERS(net[1].input.c, 5);
#undef DIFFERS
	cr_assert(network_equal(&net[0], &net[1]));
	arena_free(&a);
}

/* ---- refusals of network_infer() -------------------------------------------------- */

static void expect_refusal(struct network *net, const char *want)
{
	struct nasc_err err = { 0 };

	cr_assert_eq(network_infer(net, &err), NASC_CONFIG, "accepted, wanted: %s", want);
	cr_assert_str_eq(err.msg, want);
}

/* What no file can express: the reader refuses it earlier. */
Test(network, infer_refuses_graphs)
{
	struct arena a = { 0 };
	struct network net;

	network_init(&net, &a, (struct net_shape){ 4, 4, 2 });
	expect_refusal(&net, "operator 0 (input): no operator follows it");
	network_unary(&net, NET_RELU, 1);
	expect_refusal(&net, "operator 1 (relu): input 0 is operator 1, it must be an earlier one");
	net.edge[0] = 9;
	expect_refusal(&net, "operator 1 (relu): input 0 is operator 9, it must be an earlier one");
	net.edge[0] = 0;
	net.op[1].n_inputs = 0;
	expect_refusal(&net, "operator 1 (relu): 0 inputs, it takes 1");
	net.op[1].n_inputs = 1;
	net.op[1].first_input = 1;
	expect_refusal(&net, "operator 1 (relu): its inputs are outside the list of edges");
	net.op[1].first_input = 0;
	net.op[1].act = NET_ACT_RELU;
	expect_refusal(&net, "operator 1 (relu): it cannot carry activation 1");
	net.op[1].act = NET_LINEAR;
	net.op[1].kind = NET_INPUT;
	expect_refusal(&net, "operator 1 (input): 1 inputs, it takes 0");
	net.op[1].kind = (enum net_kind)99;
	expect_refusal(&net, "operator 1: unknown kind 99");
	net.op[1].kind = NET_RELU;
	infer(&net);
	net.input.w = 0;
	expect_refusal(&net, "operator 0 (input): width 0 is outside [1, 65536]");
	network_init(&net, &a, (struct net_shape){ 4, 4, 2 });
	network_merge(&net, NET_CONCAT, (uint32_t[]){ 0 }, 1);
	expect_refusal(&net, "operator 1 (concat): 1 inputs, it takes at least 2");
	arena_free(&a);
}

Test(network, infer_refuses_sizes)
{
	struct arena a = { 0 };
	struct network net;

	network_init(&net, &a, (struct net_shape){ 65536, 65536, 65536 });
	network_dense(&net, 0, 65536, true); /* 2^64 weights would wrap to 0 */
	expect_refusal(&net, "operator 1 (dense): more than 2^53 multiply-accumulates in the "
			     "network up to here");
	network_init(&net, &a, (struct net_shape){ 4, 4, 65536 });
	network_conv2d(&net, 0, 65536, 65536, 1, 1, NET_SAME, true);
	expect_refusal(&net, "operator 1 (conv2d): more than 2^53 multiply-accumulates in the "
			     "network up to here");
	network_init(&net, &a, (struct net_shape){ 65536, 65536, 65536 });
	for (uint32_t i = 0; i < 40; i++) /* 2^48 each: the 32nd tensor is one too many */
		network_unary(&net, NET_RELU, i);
	expect_refusal(&net, "operator 32 (relu): more than 2^53 activations in the network up to "
			     "here");
	network_init(&net, &a, (struct net_shape){ 65536, 65536, 1 });
	network_unary(&net, NET_RELU, 0);
	expect_refusal(&net, "operator 1 (relu): the network's output has more than 2^32 - 1 "
			     "elements");
	network_init(&net, &a, (struct net_shape){ 1, 1, 40000 });
	network_merge(&net, NET_CONCAT, (uint32_t[]){ 0, 0 }, 2);
	expect_refusal(&net, "operator 1 (concat): number of channels 80000 is outside [1, 65536]");
	network_init(&net, &a, (struct net_shape){ 1, 1, 1 });
	for (uint32_t i = 0; i < NETWORK_MAX_OPS; i++)
		network_unary(&net, NET_RELU, i);
	expect_refusal(&net, "operator 65536: more than 65536 operators");
	arena_free(&a);
}

/* Two ways, over a 3x3 and a 1x1 convolution and past them over a pool, then a dense layer; a
 * third convolution that nobody reads counts for nothing. By hand. */
Test(network, structure_counts_the_ways)
{
	static const double want[NETWORK_STRUCTURE] = {
		0.69314718056, 1, 0, 0.5, 1, 0, 0.5, 3, 1, 2, 1, 2, 1, 1,
	};
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	double out[NETWORK_STRUCTURE];
	struct network net;
	uint32_t in[2];

	network_init(&net, &a, (struct net_shape){ 8, 8, 4 });
	in[0] = network_conv2d(&net, 0, 4, 3, 1, 1, NET_SAME, false);
	in[0] = network_conv2d(&net, network_unary(&net, NET_RELU, in[0]), 4, 1, 1, 1, NET_SAME,
			       false);
	network_conv2d(&net, in[0], 4, 3, 1, 1, NET_SAME, false);
	in[1] = network_pool(&net, NET_AVG_POOL, 0, 3, 1, NET_SAME);
	network_dense(&net, network_merge(&net, NET_ADD, in, 2), 10, true);
	cr_assert_eq(network_infer(&net, &err), NASC_OK, "%s", err.msg);
	network_structure(&net, &a, out);
	for (size_t i = 0; i < NETWORK_STRUCTURE; i++)
		cr_assert_float_eq(out[i], want[i], 1e-9, "%zu: %g, not %g", i, out[i], want[i]);
	arena_free(&a);
}

/* 2,000 additions of a convolution and what it read: 2^2000 ways are too many for a double. */
Test(network, structure_of_very_many_ways)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	double out[NETWORK_STRUCTURE];
	struct network net;
	uint32_t x = 0;

	network_init(&net, &a, (struct net_shape){ 2, 2, 1 });
	for (int i = 0; i < 2000; i++) {
		uint32_t in[] = { x, network_conv2d(&net, x, 1, 3, 1, 1, NET_SAME, false) };

		x = network_merge(&net, NET_ADD, in, 2);
	}
	cr_assert_eq(network_infer(&net, &err), NASC_OK, "%s", err.msg);
	network_structure(&net, &a, out);
	cr_assert_float_eq(out[0], 2000 * 0.69314718056, 1e-6);
	cr_assert_eq(out[1], 2000); /* most and least convolutions on a way, and the mean */
	cr_assert_eq(out[2], 0);
	cr_assert_float_eq(out[3], 1000, 1e-6);
	arena_free(&a);
}
