#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "leak.h"
#include "network_fixture.h"
#include "rng.h"
#include "tflite_fixture.h"

TestSuite(tflite, .fini = no_leaks);

/* ---- real models ------------------------------------------------------------------ */

/* MACs, and bytes of constants with those of what the network does not have: shapes of
 * reshapes, amounts of padding, sizes of resizes (columns macs_from_file and
 * wconst_bytes_from_file of ../shared/data/mcu_measured.csv, which a Python reader counted; for
 * the last one MACs and bytes by another such reader). */
static const struct {
	const char *file;
	uint64_t macs, constants, left_out;
} models[] = {
	{ "mlperf_tiny/ad01_int8.tflite", 264192, 270880, 0 },
	{ "mlperf_tiny/kws_ref_model.tflite", 2656768, 24376, 8 },
	{ "mlperf_tiny/vww_96_int8.tflite", 7489664, 219072, 8 },
	{ "mlperf_tiny/pretrainedResnet_quant.tflite", 12501632, 78752, 8 },
	{ "tinyengine/detection.tflite", 18296320, 175400, 5 * 32 + 2 * 8 },
};

static uint64_t int8_bytes(const struct network *net)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < net->n_ops; i++)
		sum += network_op_weights(net, i) + 4 * network_op_biases(net, i);
	return sum;
}

Test(tflite, real_models_have_their_published_counts)
{
	const char *source = getenv("NASC_SOURCE");
	size_t read = 0;

	for (size_t i = 0; source && i < sizeof models / sizeof *models; i++) {
		struct arena a = { 0 };
		struct nasc_err err = { 0 };
		struct network net;
		char path[1000];
		FILE *fp;

		snprintf(path, sizeof path, "%s/../shared/models/%s", source, models[i].file);
		fp = fopen(path, "rb");
		if (!fp)
			continue;
		fclose(fp);
		read++;
		cr_assert(network_is_foreign(path));
		cr_assert_eq(network_load(path, &a, &net, &err), NASC_OK, "%s", err.msg);
		cr_assert_eq(network_macs(&net), models[i].macs, "%s: %llu MACs", path,
			     (unsigned long long)network_macs(&net));
		cr_assert_eq(int8_bytes(&net), models[i].constants - models[i].left_out,
			     "%s: %llu bytes", path, (unsigned long long)int8_bytes(&net));
		arena_free(&a);
	}
	if (!read)
		cr_skip("no models at ../shared/models");
}

/* ---- small models ------------------------------------------------------------------ */

/* As Keras writes a small network: stride by a pad in front, an addition, heads by a mean. */
static const struct lite_tensor tensors[] = {
	{ LITE_FLOAT32, 4, { 1, 9, 8, 3 }, 0, { 0 } },	       /* 0 */
	{ LITE_INT8, 4, { 1, 9, 8, 3 }, 0, { 0 } },	       /* 1 = quantize */
	{ LITE_INT8, 4, { 6, 3, 2, 3 }, 8, { 0 } },	       /* 2 weights */
	{ LITE_INT32, 1, { 6 }, 8, { 0 } },		       /* 3 bias */
	{ LITE_INT8, 4, { 1, 5, 4, 6 }, 0, { 0 } },	       /* 4 = conv, same, stride 2, relu6 */
	{ LITE_INT32, 2, { 4, 2 }, 32, { 0, 0, 1, 1, 2, 0 } }, /* 5 paddings */
	{ LITE_INT8, 4, { 1, 7, 6, 6 }, 0, { 0 } },	       /* 6 = pad */
	{ LITE_INT8, 4, { 1, 3, 3, 6 }, 8, { 0 } },	       /* 7 weights */
	{ LITE_INT8, 4, { 1, 5, 4, 6 }, 0, { 0 } },	       /* 8 = depthwise, valid */
	{ LITE_INT8, 4, { 1, 5, 4, 6 }, 0, { 0 } },	       /* 9 = add, relu */
	{ LITE_INT8, 4, { 1, 5, 4, 12 }, 0, { 0 } },	       /* 10 = concatenation */
	{ LITE_INT8, 4, { 1, 2, 2, 12 }, 0, { 0 } },	       /* 11 = max pool 2x2, relu6 */
	{ LITE_INT8, 4, { 1, 1, 1, 12 }, 0, { 0 } },	       /* 12 = average pool of all */
	{ LITE_INT8, 2, { 1, 12 }, 0, { 0 } },		       /* 13 = reshape */
	{ LITE_INT8, 2, { 5, 12 }, 8, { 0 } },		       /* 14 weights */
	{ LITE_INT8, 2, { 1, 5 }, 0, { 0 } },		       /* 15 = fully connected */
	{ LITE_INT8, 2, { 1, 5 }, 0, { 0 } },		       /* 16 = softmax */
	{ 0, 0, { 0 }, 0, { 0 } },
};
#define N_TENSORS (sizeof tensors / sizeof *tensors)

static const struct lite_op ops[] = {
	{ LITE_QUANTIZE, 1, { 0 }, 1, 0, { { 0 } } },
	{ LITE_CONV, 3, { 1, 2, 3 }, 4, 4, { { 0, 0 }, { 1, 2 }, { 2, 2 }, { 3, 3 } } },
	{ LITE_PAD, 2, { 4, 5 }, 6, 0, { { 0 } } },
	{ LITE_DEPTHWISE, 3, { 6, 7, -1 }, 8, 4, { { 0, 1 }, { 1, 1 }, { 2, 1 }, { 3, 1 } } },
	{ LITE_ADD, 2, { 4, 8 }, 9, 1, { { 0, 1 } } },
	{ LITE_CONCATENATION, 2, { 9, 8 }, 10, 1, { { 0, 3 } } },
	{ LITE_MAX_POOL,
	  1,
	  { 10 },
	  11,
	  6,
	  { { 0, 1 }, { 1, 2 }, { 2, 2 }, { 3, 2 }, { 4, 2 }, { 5, 3 } } },
	{ LITE_AVERAGE_POOL,
	  1,
	  { 11 },
	  12,
	  5,
	  { { 0, 1 }, { 1, 2 }, { 2, 7 }, { 3, 2 }, { 4, 2 } } },
	{ LITE_RESHAPE, 1, { 12 }, 13, 0, { { 0 } } },
	{ LITE_FULLY_CONNECTED, 2, { 13, 14 }, 15, 0, { { 0 } } },
	{ LITE_SOFTMAX, 1, { 15 }, 16, 0, { { 0 } } },
	{ 0, 0, { 0 }, 0, 0, { { 0 } } },
};
#define N_OPS (sizeof ops / sizeof *ops)

Test(tflite, operators_by_hand)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net, want;
	static struct lite f;
	uint32_t x, y;

	lite_model(&f, tensors, ops);
	cr_assert_eq(read_bytes(network_from_tflite, f.byte, f.n, &a, &net, &err), NASC_OK, "%s",
		     err.msg);
	network_init(&want, &a, (struct net_shape){ 9, 8, 3 });
	x = network_conv2d(&want, 0, 6, 3, 2, 1, NET_SAME, true);
	want.op[x].kernel_w = 2;
	want.op[x].act = NET_ACT_RELU6;
	y = network_depthwise(&want, x, 3, 1, NET_EXPLICIT, false);
	want.op[y].pad_top = want.op[y].pad_bottom = 1;
	want.op[y].pad_left = 2;
	x = network_merge(&want, NET_ADD, (const uint32_t[]){ x, y }, 2);
	want.op[x].act = NET_ACT_RELU;
	x = network_merge(&want, NET_CONCAT, (const uint32_t[]){ x, y }, 2);
	x = network_pool(&want, NET_MAX_POOL, x, 2, 2, NET_VALID);
	x = network_unary(&want, NET_RELU6, x);
	x = network_pool(&want, NET_AVG_POOL, x, 2, 1, NET_VALID);
	network_unary(&want, NET_SOFTMAX, network_dense(&want, x, 5, false));
	cr_assert_eq(network_infer(&want, &err), NASC_OK, "%s", err.msg);
	cr_assert(network_equal(&net, &want));
	arena_free(&a);
}

/* One operator behind the input, by tensors 1 and 2; then its output 3, or why not. */
struct single {
	struct lite_tensor tensor[5];
	struct lite_op op[3];
	const char *want;
};
static const struct single singles[] = {
	{ { { LITE_INT8, 4, { 1, 4, 4, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 1, 3, 3, 6 }, 8, { 0 } },
	    { LITE_INT8, 4, { 1, 4, 4, 6 }, 0, { 0 } } },
	  { { LITE_DEPTHWISE, 2, { 0, 1 }, 2, 2, { { 1, 1 }, { 2, 1 } } } },
	  NULL }, /* multiplier 2: a convolution of 3 groups */
	{ { { LITE_INT8, 4, { 1, 4, 4, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 8, 3, 3, 3 }, 8, { 0 } },
	    { LITE_INT8, 4, { 1, 4, 4, 8 }, 0, { 0 } } },
	  { { LITE_CONV, 2, { 0, 1 }, 2, 3, { { 1, 1 }, { 2, 1 }, { 4, 2 } } } },
	  "operator 0 (conv_2d): dilation 1x2, nasc knows 1x1 alone" },
	{ { { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 8, 3, 3, 3 }, 8, { 0 } },
	    { LITE_INT8, 4, { 1, 8, 4, 8 }, 0, { 0 } } },
	  { { LITE_CONV, 2, { 0, 1 }, 2, 2, { { 1, 2 }, { 2, 1 } } } },
	  "operator 0 (conv_2d): stride 1x2, nasc knows one for both axes" },
	{ { { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } } },
	  { { LITE_LSTM, 1, { 0 }, 1, 0, { { 0 } } } },
	  "operator 0 (lstm): it is not among the operators that nasc reads: add, "
	  "average_pool_2d, concatenation, conv_2d, depthwise_conv_2d, dequantize, "
	  "fully_connected, max_pool_2d, relu, relu6, reshape, softmax, pad, transpose, mean, "
	  "squeeze, expand_dims, resize_nearest_neighbor, quantize" },
	{ { { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } } },
	  { { LITE_LSTM, 1, { 0 }, 1, 0, { { 0 } } }, { 200, 1, { 1 }, 1, 0, { { 0 } } } },
	  "operators 0 (lstm), 1 (builtin operator 200): they are not among the operators that "
	  "nasc reads: add, average_pool_2d, concatenation, conv_2d, depthwise_conv_2d, "
	  "dequantize, fully_connected, max_pool_2d, relu, relu6, reshape, softmax, pad, "
	  "transpose, mean, squeeze, expand_dims, resize_nearest_neighbor, quantize" },
	{ { { LITE_INT8, 4, { -1, -1, 8, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 1, 1, 8, 3 }, 0, { 0 } } },
	  { { LITE_SOFTMAX, 1, { 0 }, 1, 0, { { 0 } } } },
	  "input: its input is ?x8x3, where ? is a size that the file leaves open: export the "
	  "model with fixed ones" },
	{ { { LITE_INT8, 4, { 2, 8, 8, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 2, 8, 8, 3 }, 0, { 0 } } },
	  { { LITE_SOFTMAX, 1, { 0 }, 1, 0, { { 0 } } } },
	  "input: tensor 0 is a batch of 2, it must be 1" },
	{ { { LITE_INT16, 4, { 1, 8, 8, 3 }, 0, { 0 } },
	    { LITE_INT16, 4, { 1, 8, 8, 3 }, 0, { 0 } } },
	  { { LITE_SOFTMAX, 1, { 0 }, 1, 0, { { 0 } } } },
	  "input: tensor 0 is of type 7, nasc reads activations of float32 (0), uint8 (3) and int8 "
	  "(9)" },
	{ { { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } },
	    { LITE_INT32, 1, { 4 }, 16, { 0, 2, 1, 3 } },
	    { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } } },
	  { { LITE_TRANSPOSE, 2, { 0, 1 }, 2, 0, { { 0 } } } },
	  "operator 0 (transpose): it moves data, nasc has no transpose" },
	{ { { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } },
	    { LITE_INT32, 1, { 1 }, 4, { 1 } },
	    { LITE_INT8, 3, { 1, 8, 3 }, 0, { 0 } } },
	  { { LITE_MEAN, 2, { 0, 1 }, 2, 0, { { 0 } } } },
	  "operator 0 (mean): a mean over one of height and width" },
	{ { { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 1, 8, 8, 3 }, 8, { 0 } },
	    { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } } },
	  { { LITE_ADD, 2, { 0, 1 }, 2, 0, { { 0 } } } },
	  "operator 0 (add): input 1 is a constant" },
	{ { { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 1, 8, 8, 4 }, 0, { 0 } } },
	  { { LITE_SOFTMAX, 1, { 0 }, 1, 0, { { 0 } } } },
	  "operator 0 (softmax): it makes 8x8x3, but tensor 1 is 8x8x4" },
	{ { { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 1, 20, 16, 3 }, 0, { 0 } } },
	  { { LITE_NEAREST, 1, { 0 }, 1, 0, { { 0 } } } },
	  "operator 0 (resize_nearest_neighbor): 8x8 to 20x16, nasc resizes by one whole number" },
	{ { { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 1, 8, 8, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 1, 4, 16, 3 }, 0, { 0 } },
	    { LITE_INT8, 4, { 1, 2, 8, 3 }, 0, { 0 } } },
	  { { LITE_SOFTMAX, 1, { 0 }, 1, 0, { { 0 } } },
	    { LITE_MAX_POOL, 1, { 1 }, 2, 4, { { 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 } } } },
	  "operator 1 (max_pool_2d): it makes 8x8x3, but tensor 2 is 4x16x3" },
};

Test(tflite, single_operators)
{
	for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
		struct arena a = { 0 };
		struct nasc_err err = { 0 };
		struct network net;
		static struct lite f;
		enum nasc_status st;

		lite_model(&f, singles[i].tensor, singles[i].op);
		st = read_bytes(network_from_tflite, f.byte, f.n, &a, &net, &err);
		if (singles[i].want) {
			cr_assert_eq(st, NASC_DATA, "accepted, wanted: %s", singles[i].want);
			cr_assert_str_eq(err.msg, singles[i].want);
		} else {
			cr_assert_eq(st, NASC_OK, "%s", err.msg);
			cr_assert_eq(net.op[1].groups, 3);
			cr_assert_eq(network_macs(&net), 4 * 4 * 9 * 6);
		}
		arena_free(&a);
	}
}

/* As in keyword spotting: the input comes flat and becomes a picture; one that is made later may
 * become flat, but nothing else, in front of anything but a dense layer. */
Test(tflite, reshapes_fold_at_the_input_and_before_dense_layers)
{
	static const struct lite_tensor t[] = {
		{ LITE_INT8, 2, { 1, 60 }, 0, { 0 } },
		{ LITE_INT8, 4, { 1, 5, 4, 3 }, 0, { 0 } },
		{ LITE_INT8, 4, { 7, 1, 1, 3 }, 8, { 0 } },
		{ LITE_INT8, 4, { 1, 5, 4, 7 }, 0, { 0 } },
		{ LITE_INT8, 2, { 1, 140 }, 0, { 0 } },
		{ LITE_INT8, 2, { 2, 140 }, 8, { 0 } },
		{ LITE_INT8, 2, { 1, 2 }, 0, { 0 } },
		{ LITE_INT8, 4, { 1, 4, 5, 7 }, 0, { 0 } },
		{ 0, 0, { 0 }, 0, { 0 } },
	};
	struct lite_op o[] = { { LITE_RESHAPE, 1, { 0 }, 1, 0, { { 0 } } },
			       { LITE_CONV, 2, { 1, 2 }, 3, 2, { { 1, 1 }, { 2, 1 } } },
			       { LITE_RESHAPE, 1, { 3 }, 4, 0, { { 0 } } },
			       { LITE_FULLY_CONNECTED, 2, { 4, 5 }, 6, 0, { { 0 } } },
			       { 0, 0, { 0 }, 0, 0, { { 0 } } } };
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net;
	static struct lite f;

	lite_model(&f, t, o);
	cr_assert_eq(read_bytes(network_from_tflite, f.byte, f.n, &a, &net, &err), NASC_OK, "%s",
		     err.msg);
	cr_assert(net.n_ops == 3 && net.input.h == 5 && net.input.w == 4 && net.input.c == 3);
	cr_assert_eq(network_params(&net), 3 * 7 + 140 * 2);
	o[2].out = 7;
	o[3] = (struct lite_op){
		LITE_MAX_POOL, 1, { 7 }, 7, 4, { { 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 } }
	};
	lite_model(&f, t, o);
	cr_assert_eq(read_bytes(network_from_tflite, f.byte, f.n, &a, &net, &err), NASC_DATA);
	cr_assert_str_eq(err.msg,
			 "operator 3 (max_pool_2d): it reads 5x4x7 reshaped to 4x5x7, which "
			 "only a dense layer can");
	arena_free(&a);
}

/* ---- damaged files ------------------------------------------------------------------ */

Test(tflite, truncated_files_are_refused)
{
	static struct lite f;
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net;

	lite_model(&f, tensors, ops);
	for (size_t n = 0; n + 64 < f.n; n++) /* the last are unused bytes of a constant */
		cr_assert(is_refused(network_from_tflite, f.byte, n), "%zu of %zu bytes", n, f.n);
	cr_assert_eq(read_bytes(network_from_tflite, f.byte, 500, &a, &net, &err), NASC_DATA);
	cr_assert_str_eq(err.msg, "it is damaged: something in it points beyond its 500 bytes");
	arena_free(&a);
}

Test(tflite, flipped_bytes_do_no_harm)
{
	static struct lite f, bad;
	struct rng r;
	size_t refused = 0;

	lite_model(&f, tensors, ops);
	rng_seed(&r, 5, 0);
	for (int i = 0; i < 20000; i++) {
		int64_t flips = rng_between(&r, 1, 3);

		bad = f;
		while (flips--)
			bad.byte[rng_between(&r, 0, (int64_t)f.n - 1)] =
				(uint8_t)rng_between(&r, 0, 255);
		refused += is_refused(network_from_tflite, bad.byte, f.n);
	}
	cr_assert(refused > 3000 && refused < 19000, "%zu refused", refused);
}
