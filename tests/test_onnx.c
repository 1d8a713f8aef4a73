#define _XOPEN_SOURCE 700
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "network_fixture.h"
#include "onnx_fixture.h"
#include "rng.h"
#include "scratch.h"

TestSuite(onnx, .init = begin, .fini = finish);

/* ---- as PyTorch exports them --------------------------------------------------------- */

/* Parameters and MACs that PyTorch counts, of a plain network, of inverted residuals, of one
 * with branches and of a series; with their norms, and with them folded. */
Test(onnx, models_of_pytorch)
{
	const char *source = getenv("NASC_SOURCE");
	char command[2000], line[200], path[sizeof line + 8];
	size_t read = 0;
	FILE *fp;

	if (!source || system("/usr/bin/python3 -c 'import torch' >/dev/null 2>&1"))
		cr_skip("no /usr/bin/python3 with torch (Debian: python3-torch)");
	snprintf(command, sizeof command, "/usr/bin/python3 %s/tests/onnx_torch.py .", source);
	fp = popen(command, "r");
	cr_assert(fp);
	while (fgets(line, sizeof line, fp)) {
		char *name = line, *rest = strchr(line, ' ');
		uint64_t params, macs;
		struct nasc_err err = { 0 };
		struct network net;

		cr_assert_not_null(rest, "%s", line);
		*rest = '\0';
		params = strtoull(rest + 1, &rest, 10);
		macs = strtoull(rest, NULL, 10);
		snprintf(path, sizeof path, "%s.onnx", name);
		cr_assert_eq(network_load(path, &arena, &net, &err), NASC_OK, "%s", err.msg);
		cr_assert_str_eq(net.name, name);
		cr_assert_eq(network_params(&net), params, "%s: %" PRIu64 " parameters", name,
			     network_params(&net));
		cr_assert_eq(network_macs(&net), macs, "%s: %" PRIu64 " MACs", name,
			     network_macs(&net));
		for (size_t i = 0; i < net.n_ops; i++)
			cr_assert_neq(net.op[i].kind, NET_PAD, "%s: a pad is left", name);
		read++;
	}
	cr_assert_eq(pclose(fp), 0);
	cr_assert_eq(read, 8);
}

/* ---- operators by hand ---------------------------------------------------------------- */

/* Everything that a quantized, residual model of QDQ form may have, and what is left of it. */
static const struct onnx_constant constants[] = {
	{ "w1", 4, { 6, 3, 3, 2 }, { 0 }, 0 }, { "b1", 1, { 6 }, { 0 }, 0 },
	{ "w2", 4, { 6, 1, 3, 3 }, { 0 }, 0 }, { "pads", 1, { 8 }, { 0, 0, 1, 2, 0, 0, 1, 0 }, 8 },
	{ "w3", 2, { 48, 5 }, { 0 }, 0 },      { "b3", 1, { 5 }, { 0 }, 0 },
	{ "to", 1, { 2 }, { 1, -1 }, 2 },      { "scale", 0, { 0 }, { 0 }, 0 },
	{ NULL, 0, { 0 }, { 0 }, 0 },
};
static const struct onnx_node nodes[] = {
	{ "QuantizeLinear", { "x", "scale" }, "x8", { { 0 } } },
	{ "DequantizeLinear", { "x8", "scale" }, "xq", { { 0 } } },
	{ "DequantizeLinear", { "w1", "scale" }, "w1q", { { 0 } } },
	{ "Conv",
	  { "xq", "w1q", "b1" },
	  "c1",
	  { { "auto_pad", 0, { 0 }, "SAME_UPPER" }, { "strides", 2, { 2, 2 }, NULL } } },
	{ "Relu", { "c1" }, "r1", { { 0 } } },
	{ "Pad", { "r1", "pads" }, "p1", { { 0 } } },
	{ "Conv", { "p1", "w2" }, "c2", { { "group", 0, { 6 }, NULL } } },
	{ "BatchNormalization", { "c2" }, "n2", { { 0 } } },
	{ "Add", { "r1", "n2" }, "s", { { 0 } } },
	{ "Concat", { "s", "n2" }, "k", { { "axis", 0, { 1 }, NULL } } },
	{ "MaxPool",
	  { "k" },
	  "m",
	  { { "kernel_shape", 2, { 3, 3 }, NULL },
	    { "strides", 2, { 2, 2 }, NULL },
	    { "ceil_mode", 0, { 1 }, NULL } } },
	{ "Concat", { "m" }, "m1", { { "axis", 0, { 1 }, NULL } } },
	{ "AveragePool",
	  { "m1" },
	  "a",
	  { { "kernel_shape", 2, { 2, 2 }, NULL },
	    { "pads", 4, { 1, 0, 0, 1 }, NULL },
	    { "strides", 2, { 1, 1 }, NULL },
	    { "count_include_pad", 0, { 1 }, NULL } } },
	{ "Reshape", { "a", "to" }, "f", { { 0 } } },
	{ "MatMul", { "f", "w3" }, "d", { { 0 } } },
	{ "Add", { "b3", "d" }, "e", { { 0 } } },
	{ "Softmax", { "e" }, "y", { { 0 } } },
	{ NULL, { 0 }, NULL, { { 0 } } },
};
static const int64_t image[] = { 1, 3, 9, 8 };

Test(onnx, operators_by_hand)
{
	uint8_t file[ONNX_MAX];
	size_t n = onnx_pack(nodes, constants, image, 4, "y", file);
	struct nasc_err err = { 0 };
	struct network net, want;
	uint32_t x, y;

	cr_assert_eq(read_bytes(network_from_onnx, file, n, &arena, &net, &err), NASC_OK, "%s",
		     err.msg);
	network_init(&want, &arena, (struct net_shape){ 9, 8, 3 });
	x = network_conv2d(&want, 0, 6, 3, 2, 1, NET_SAME, true); /* 5x4 */
	want.op[x].kernel_w = 2;
	x = network_unary(&want, NET_RELU, x);
	y = network_depthwise(&want, x, 3, 1, NET_EXPLICIT, false);
	want.op[y].pad_top = want.op[y].pad_bottom = 1;
	want.op[y].pad_left = 2;
	y = network_unary(&want, NET_BATCH_NORM, y);
	x = network_merge(&want, NET_ADD, (const uint32_t[]){ x, y }, 2);
	x = network_merge(&want, NET_CONCAT, (const uint32_t[]){ x, y }, 2);
	x = network_pool(&want, NET_MAX_POOL, x, 3, 2, NET_EXPLICIT); /* 2x2, the second over 2 */
	want.op[x].pad_right = 1;
	x = network_pad(&want, x, 1, 0, 0, 1);
	x = network_pool(&want, NET_AVG_POOL, x, 2, 1, NET_VALID);
	network_unary(&want, NET_SOFTMAX, network_dense(&want, x, 5, true));
	cr_assert_eq(network_infer(&want, &err), NASC_OK, "%s", err.msg);
	for (size_t i = 0; i < net.n_ops; i++)
		cr_log_info("%zu %s", i, net_kind_name(net.op[i].kind));
	cr_assert(network_equal(&net, &want));
}

/* SAME_LOWER has the odd cell in front. */
Test(onnx, same_lower)
{
	static const struct onnx_node lower[] = {
		{ "MaxPool",
		  { "x" },
		  "y",
		  { { "auto_pad", 0, { 0 }, "SAME_LOWER" },
		    { "kernel_shape", 2, { 2, 4 }, NULL },
		    { "strides", 2, { 2, 2 }, NULL } } },
		{ NULL, { 0 }, NULL, { { 0 } } },
	};
	uint8_t file[ONNX_MAX];
	size_t n = onnx_pack(lower, &constants[8], image, 4, "y", file);
	struct nasc_err err = { 0 };
	struct network net;
	const struct net_op *o;

	cr_assert_eq(read_bytes(network_from_onnx, file, n, &arena, &net, &err), NASC_OK, "%s",
		     err.msg);
	o = &net.op[1];
	cr_assert(o->out.h == 5 && o->out.w == 4);
	cr_assert(o->pad_top == 1 && o->pad_bottom == 0 && o->pad_left == 1 && o->pad_right == 1);
}

static const struct {
	struct onnx_node node[3];
	const char *want;
} refusals[] = {
	{ { { "LSTM", { "x" }, "y", { { 0 } } } },
	  "operator 0 (LSTM): it is not among the operators that nasc reads: Add, AveragePool, "
	  "BatchNormalization, " },
	{ { { "LSTM", { "x" }, "z", { { 0 } } }, { "Einsum", { "z" }, "y", { { 0 } } } },
	  "operators 0 (LSTM), 1 (Einsum): they are not among the operators that nasc reads: "
	  "Add, AveragePool, BatchNormalization, " },
	{ { { "Conv", { "x", "w1" }, "y", { { "dilations", 2, { 2, 2 }, NULL } } } },
	  "operator 0 (Conv): dilation 2x2, nasc knows 1x1 alone" },
	{ { { "Conv", { "x", "w1" }, "y", { { "strides", 2, { 2, 1 }, NULL } } } },
	  "operator 0 (Conv): stride 2x1, nasc knows one for both axes" },
	{ { { "Conv", { "x", "w1" }, "y", { { "strides", 2, { 0, 1 }, NULL } } } },
	  "operator 0 (Conv): kernel 3x2 or stride 0x1 is out of bounds" },
	{ { { "Conv", { "x", "w1" }, "y", { { "group", 0, { 2 }, NULL } } } },
	  "operator 0 (Conv): 2 groups of 3 channels do not make the input's 3" },
	{ { { "Conv", { "x", "w9" }, "y", { { 0 } } } },
	  "operator 0 (Conv): input 1 is no constant of the model" },
	{ { { "Relu", { "z" }, "y", { { 0 } } } },
	  "operator 0 (Relu): input 0 is no tensor that an earlier node made" },
	{ { { "Concat", { "x", "x" }, "y", { { "axis", 0, { 2 }, NULL } } } },
	  "operator 0 (Concat): axis 2, nasc joins along channels alone" },
	{ { { "Clip", { "x" }, "y", { { 0 } } } },
	  "operator 0 (Clip): it clips to [-inf, inf], nasc knows 0 and 6 alone" },
	{ { { "ReduceMean", { "x" }, "y", { { "axes", 1, { 2 }, NULL } } } },
	  "operator 0 (ReduceMean): nasc takes means over height and width alone" },
	{ { { "Add", { "x", "b1" }, "y", { { 0 } } } },
	  "operator 0 (Add): it adds a constant that is no layer's bias" },
	{ { { "Reshape", { "x", "to" }, "x", { { 0 } } } }, "tensor 'x' is given twice" },
};

Test(onnx, refusals)
{
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		uint8_t file[ONNX_MAX];
		size_t n = onnx_pack(refusals[i].node, constants, image, 4, "y", file);
		struct nasc_err err = { 0 };
		struct network net;

		cr_assert_eq(read_bytes(network_from_onnx, file, n, &arena, &net, &err), NASC_DATA,
			     "accepted: %s", refusals[i].want);
		cr_assert_eq(strncmp(err.msg, refusals[i].want, strlen(refusals[i].want)), 0,
			     "%s\nnot\n%s", err.msg, refusals[i].want);
	}
}

/* More kinds than are told, one of them twice. */
Test(onnx, many_unknown_kinds)
{
	static const char *const kind[] = { "A", "B", "A", "C", "D", "E", "F", "G", "H", "I", "J" };
	struct onnx_node list[12] = { { .type = NULL } };
	uint8_t file[ONNX_MAX];
	struct nasc_err err = { 0 };
	struct network net;

	for (size_t i = 0; i < sizeof kind / sizeof *kind; i++)
		list[i] = (struct onnx_node){ .type = kind[i], .in = { "x" }, .out = "y" };
	cr_assert_eq(read_bytes(network_from_onnx, file,
				onnx_pack(list, &constants[8], image, 4, "y", file), &arena, &net,
				&err),
		     NASC_DATA);
	cr_assert(strstr(err.msg, "operators 0 (A), 1 (B), 3 (C), 4 (D), 5 (E), 6 (F), 7 (G), 8 "
				  "(H) and others: they are not among"),
		  "%s", err.msg);
}

/* As PyTorch exports with dynamic axes: only the batch may be left open. */
Test(onnx, open_sizes)
{
	static const struct onnx_node relu[] = { { "Relu", { "x" }, "y", { { 0 } } },
						 { NULL, { 0 }, NULL, { { 0 } } } };
	static const int64_t batch[] = { 0, 3, 9, 8 }, sides[] = { 0, 3, 0, -1 };
	uint8_t file[ONNX_MAX];
	struct nasc_err err = { 0 };
	struct network net;
	size_t n = onnx_pack(relu, &constants[8], batch, 4, "y", file);

	cr_assert_eq(read_bytes(network_from_onnx, file, n, &arena, &net, &err), NASC_OK, "%s",
		     err.msg);
	n = onnx_pack(relu, &constants[8], sides, 4, "y", file);
	cr_assert_eq(read_bytes(network_from_onnx, file, n, &arena, &net, &err), NASC_DATA);
	cr_assert_str_eq(err.msg, "input: its input is ?x?x3, where ? is a size that the file "
				  "leaves open: export the model with fixed ones");
}

/* ---- damaged files --------------------------------------------------------------------- */

Test(onnx, truncated_files_are_refused)
{
	uint8_t file[ONNX_MAX];
	size_t n = onnx_pack(nodes, constants, image, 4, "y", file);

	for (size_t k = 0; k < n; k++)
		cr_assert(is_refused(network_from_onnx, file, k), "%zu of %zu bytes", k, n);
}

Test(onnx, flipped_bytes_do_no_harm)
{
	uint8_t file[ONNX_MAX], bad[ONNX_MAX];
	size_t n = onnx_pack(nodes, constants, image, 4, "y", file), refused = 0;
	struct rng r;

	rng_seed(&r, 5, 0);
	for (int i = 0; i < 20000; i++) {
		int64_t flips = rng_between(&r, 1, 3);

		memcpy(bad, file, n);
		while (flips--)
			bad[rng_between(&r, 0, (int64_t)n - 1)] = (uint8_t)rng_between(&r, 0, 255);
		refused += is_refused(network_from_onnx, bad, n);
	}
	cr_assert(refused > 10000 && refused < 20000, "%zu refused", refused);
}
