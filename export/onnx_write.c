#include <string.h>

#include "export.h"
#include "onnx_graph.h"

/* A trained or quantised network as an ONNX model. Operators: https://onnx.ai/onnx/operators.
 * Values are [1][c][h][w] or, around dense layers, [1][c]; weights [out][in][h][w]. In int8 an
 * operator is still one of f32: it reads what a DequantizeLinear makes of an int8 tensor, and a
 * QuantizeLinear makes one of what it computes; runtimes know this form and run it in int8. */

#define F32   ONNX__TENSOR__DATA_TYPE__FLOAT
#define INT32 ONNX__TENSOR__DATA_TYPE__INT32
#define INT8  ONNX__TENSOR__DATA_TYPE__INT8

enum rank { FLAT = 2, MAP = 4 };

/* What an operator has made. */
struct output {
	const char *tensor; /* f32; quantised int8 */
	enum rank rank;
	const char *flat, *map; /* the same to be read in f32; NULL: nobody has yet */
};
struct writer {
	struct onnx_graph g;
	const struct network *net;
	const struct trained_op *trained;     /* NULL: */
	const struct quantised_op *quantised; /* this one is written */
	struct output *output;
	const char *low, *high, *axes; /* constants that several nodes read: 0, 6, axes of a map */
};

/* ---- constants --------------------------------------------------------------------- */

static const char *scalar(struct writer *w, const char *name, float v)
{
	*(float *)graph_constant(&w->g, name, F32, 0, NULL) = v;
	return name;
}

static const char *list(struct writer *w, const char *name, size_t n, const int64_t *v)
{
	memcpy(graph_constant(&w->g, name, ONNX__TENSOR__DATA_TYPE__INT64, 1,
			      (const int64_t[]){ (int64_t)n }),
	       v, n * sizeof *v);
	return name;
}

/* One number a channel, to be filled. */
static float *per_channel(struct writer *w, const char *name, size_t n)
{
	return graph_constant(&w->g, name, F32, 1, (const int64_t[]){ (int64_t)n });
}

/* ---- values --------------------------------------------------------------------------- */

static const char *scale_name(struct writer *w, uint32_t op)
{
	return graph_name(&w->g, "op%u_scale", op);
}

static const char *zero_name(struct writer *w, uint32_t op)
{
	return graph_name(&w->g, "op%u_zero", op);
}

static const char *dequantise(struct writer *w, uint32_t op, const char *stored)
{
	return graph_node(&w->g, "DequantizeLinear", graph_name(&w->g, "%s_f32", stored), 3,
			  (const char *[]){ stored, scale_name(w, op), zero_name(w, op) });
}

/* Operator @op's output in f32 and of @rank, from nodes that are made when it is first read so. */
static const char *value(struct writer *w, uint32_t op, enum rank rank)
{
	struct output *from = &w->output[op];
	const char **read = rank == FLAT ? &from->flat : &from->map;

	if (*read)
		return *read;
	*read = from->tensor;
	if (rank < from->rank)
		*read = graph_node(&w->g, "Flatten", graph_name(&w->g, "op%u_flat", op), 1, read);
	if (rank > from->rank && !w->axes)
		w->axes = list(w, "axes", 2, (const int64_t[]){ 2, 3 });
	if (rank > from->rank)
		*read = graph_node(&w->g, "Unsqueeze", graph_name(&w->g, "op%u_map", op), 2,
				   (const char *[]){ *read, w->axes });
	if (w->quantised)
		*read = dequantise(w, op, *read);
	return *read;
}

/* Operator @op's output is @tensor, in f32. */
static void made(struct writer *w, uint32_t op, const char *tensor, enum rank rank)
{
	if (w->quantised) {
		const struct quantised_op *q = &w->quantised[op];

		scalar(w, scale_name(w, op), q->scale);
		*(int8_t *)graph_constant(&w->g, zero_name(w, op), INT8, 0, NULL) = (int8_t)q->zero;
		tensor =
			graph_node(&w->g, "QuantizeLinear", graph_name(&w->g, "op%u_int8", op), 3,
				   (const char *[]){ tensor, scale_name(w, op), zero_name(w, op) });
	}
	w->output[op] = (struct output){ .tensor = tensor, .rank = rank };
}

static const char *activation(struct writer *w, enum net_act act, const char *name, const char *x)
{
	if (act == NET_ACT_RELU)
		return graph_node(&w->g, "Relu", name, 1, &x);
	if (!w->low) {
		w->low = scalar(w, "low", 0);
		w->high = scalar(w, "high", 6);
	}
	return graph_node(&w->g, "Clip", name, 3, (const char *[]){ x, w->low, w->high });
}

/* ---- layers with weights ---------------------------------------------------------------- */

/* Weights, and how far apart in ours the neighbours along each of ONNX's dimensions are. */
struct weights {
	size_t out, in, h, w, by_out, by_in, by_h, by_w;
};

static struct weights weights_of(const struct writer *w, uint32_t op)
{
	const struct net_op *o = &w->net->op[op];
	struct net_shape in = network_in_shape(w->net, op);
	struct weights k = { .out = o->out.c, .in = 1, .h = o->kernel_h, .w = o->kernel_w };

	if (o->kind == NET_CONV2D)
		k.in = in.c / o->groups;
	if (o->kind == NET_DENSE) {
		k.in = in.c;
		k.h = in.h;
		k.w = in.w;
	}
	if (w->quantised && o->kind != NET_DEPTHWISE) { /* [out][h][w][in] */
		k.by_in = 1;
		k.by_w = k.in;
		k.by_h = k.w * k.by_w;
		k.by_out = k.h * k.by_h;
	} else { /* [h][w][in][out] */
		k.by_out = 1;
		k.by_in = k.out;
		k.by_w = k.in * k.by_in;
		k.by_h = k.w * k.by_w;
	}
	return k;
}

static void reorder(const struct weights *k, const void *from, size_t bytes, void *to)
{
	const char *at = from;
	char *next = to;

	for (size_t o = 0; o < k->out; o++)
		for (size_t i = 0; i < k->in; i++)
			for (size_t y = 0; y < k->h; y++)
				for (size_t x = 0; x < k->w; x++, next += bytes)
					memcpy(next,
					       at + (o * k->by_out + i * k->by_in + y * k->by_h +
						     x * k->by_w) *
							       bytes,
					       bytes);
}

/* @stored in f32, each of its @n channels by its scale, which the caller fills in. Zeros that could
 * be left out are there: runtimes ask for as many of them as of scales. */
static const char *dequantise_channels(struct writer *w, const char *stored,
				       Onnx__Tensor__DataType type, size_t n, float **scale)
{
	const char *by = graph_name(&w->g, "%s_scale", stored);
	const char *zero = graph_name(&w->g, "%s_zero", stored);

	*scale = per_channel(w, by, n);
	graph_constant(&w->g, zero, type, 1, (const int64_t[]){ (int64_t)n });
	stored = graph_node(&w->g, "DequantizeLinear", graph_name(&w->g, "%s_f32", stored), 3,
			    (const char *[]){ stored, by, zero });
	graph_int(&w->g, "axis", 0);
	return stored;
}

static const char *layer_weights(struct writer *w, uint32_t op)
{
	struct weights k = weights_of(w, op);
	const int64_t conv[] = { (int64_t)k.out, (int64_t)k.in, (int64_t)k.h, (int64_t)k.w };
	const int64_t dense[] = { (int64_t)k.out, (int64_t)(k.in * k.h * k.w) };
	bool is_dense = w->net->op[op].kind == NET_DENSE;
	const char *name = graph_name(&w->g, "op%u_weights", op);
	void *to = graph_constant(&w->g, name, w->quantised ? INT8 : F32, is_dense ? 2 : 4,
				  is_dense ? dense : conv);
	float *scale;

	if (!w->quantised) {
		reorder(&k, w->trained[op].weights, sizeof(float), to);
		return name;
	}
	reorder(&k, w->quantised[op].weights, 1, to);
	name = dequantise_channels(w, name, INT8, k.out, &scale);
	memcpy(scale, w->quantised[op].weight_scale, k.out * sizeof *scale);
	return name;
}

static const char *layer_bias(struct writer *w, uint32_t op)
{
	uint32_t in = network_inputs(w->net, op)[0];
	size_t n = w->net->op[op].out.c;
	const char *name = graph_name(&w->g, "op%u_bias", op);
	float *scale;

	if (!w->quantised) {
		memcpy(per_channel(w, name, n), w->trained[op].bias, n * sizeof(float));
		return name;
	}
	memcpy(graph_constant(&w->g, name, INT32, 1, (const int64_t[]){ (int64_t)n }),
	       w->quantised[op].bias, n * sizeof(int32_t));
	name = dequantise_channels(w, name, INT32, n, &scale);
	for (size_t i = 0; i < n; i++)
		scale[i] = w->quantised[in].scale * w->quantised[op].weight_scale[i];
	return name;
}

static void window_attributes(struct writer *w, const struct net_op *o)
{
	graph_ints(&w->g, "kernel_shape", 2, (const int64_t[]){ o->kernel_h, o->kernel_w });
	graph_ints(&w->g, "strides", 2, (const int64_t[]){ o->stride, o->stride });
	graph_ints(&w->g, "pads", 4,
		   (const int64_t[]){ o->pad_top, o->pad_left, o->pad_bottom, o->pad_right });
}

static const char *layer(struct writer *w, uint32_t op, const char *name)
{
	const struct net_op *o = &w->net->op[op];
	bool dense = o->kind == NET_DENSE;
	const char *in[3] = { value(w, network_inputs(w->net, op)[0], dense ? FLAT : MAP),
			      layer_weights(w, op) };

	if (o->bias)
		in[2] = layer_bias(w, op);
	graph_node(&w->g, dense ? "Gemm" : "Conv", name, o->bias ? 3 : 2, in);
	if (dense) {
		graph_int(&w->g, "transB", 1);
		return name;
	}
	window_attributes(w, o);
	graph_int(&w->g, "group", o->kind == NET_DEPTHWISE ? o->out.c : o->groups);
	return name;
}

/* ---- other operators ---------------------------------------------------------------------- */

/* Factor and offset of channel @c of a batch norm. The kernel's constant also rounds: half of
 * what the shift leaves of a step is no part of the function. */
static void norm_channel(const struct writer *w, uint32_t op, size_t c, float *factor,
			 float *offset)
{
	uint32_t in = network_inputs(w->net, op)[0];

	if (w->quantised) {
		const struct quantised_op *x = &w->quantised[in], *y = &w->quantised[op];
		double step = (double)(INT64_C(1) << y->shift);
		double f = y->affine[c].factor / step;
		double constant =
			(y->affine[c].constant - (double)(INT64_C(1) << y->shift >> 1)) / step;

		*factor = (float)(f * (double)y->scale / (double)x->scale);
		*offset = (float)((constant + f * x->zero - y->zero) * (double)y->scale);
	} else {
		*factor = w->trained[op].weights[c];
		*offset = w->trained[op].bias[c];
	}
}

static const char *norm(struct writer *w, uint32_t op, const char *name, const char *x)
{
	static const char *const role[] = { "factor", "offset", "mean", "variance" };
	size_t channels = w->net->op[op].out.c;
	const char *in[5] = { x };
	float *v[4];

	for (size_t i = 0; i < 4; i++) {
		in[1 + i] = graph_name(&w->g, "op%u_%s", op, role[i]);
		v[i] = per_channel(w, in[1 + i], channels);
	}
	for (size_t c = 0; c < channels; c++) {
		norm_channel(w, op, c, &v[0][c], &v[1][c]);
		v[3][c] = 1;
	}
	graph_node(&w->g, "BatchNormalization", name, 5, in);
	graph_real(&w->g, "epsilon", 0);
	return name;
}

/* A sum of several is a chain of sums of two. */
static const char *add(struct writer *w, uint32_t op, const char *name, size_t n, const char **in)
{
	const char *sum = in[0];

	for (size_t i = 1; i < n; i++)
		sum = graph_node(&w->g, "Add",
				 i + 1 < n ? graph_name(&w->g, "op%u_sum%zu", op, i) : name, 2,
				 (const char *[]){ sum, in[i] });
	return sum;
}

static const char *pad(struct writer *w, uint32_t op, const char *name, const char *x)
{
	const struct net_op *o = &w->net->op[op];
	const int64_t cells[] = {
		0, 0, o->pad_top, o->pad_left, 0, 0, o->pad_bottom, o->pad_right
	};
	const char *pads = list(w, graph_name(&w->g, "op%u_pads", op), 8, cells);

	return graph_node(&w->g, "Pad", name, 2, (const char *[]){ x, pads });
}

static const char *upsample(struct writer *w, uint32_t op, const char *name, const char *x)
{
	const char *by = graph_name(&w->g, "op%u_scales", op);
	float *scale = per_channel(w, by, 4);

	scale[0] = scale[1] = 1;
	scale[2] = scale[3] = (float)w->net->op[op].stride;
	graph_node(&w->g, "Resize", name, 3, (const char *[]){ x, "", by });
	graph_text(&w->g, "mode", "nearest");
	graph_text(&w->g, "coordinate_transformation_mode", "asymmetric");
	graph_text(&w->g, "nearest_mode", "floor");
	return name;
}

/* Any number of values of one rank to one value of that rank. */
static const char *combine(struct writer *w, uint32_t op, const char *name, size_t n,
			   const char **in)
{
	const struct net_op *o = &w->net->op[op];

	switch (o->kind) {
	case NET_MAX_POOL:
	case NET_AVG_POOL:
		graph_node(&w->g, o->kind == NET_MAX_POOL ? "MaxPool" : "AveragePool", name, 1, in);
		window_attributes(w, o);
		return name;
	case NET_GLOBAL_POOL:
		return graph_node(&w->g, "GlobalAveragePool", name, 1, in);
	case NET_PAD:
		return pad(w, op, name, in[0]);
	case NET_UPSAMPLE:
		return upsample(w, op, name, in[0]);
	case NET_ADD:
		return add(w, op, name, n, in);
	case NET_BATCH_NORM:
		return norm(w, op, name, in[0]);
	case NET_RELU:
		return activation(w, NET_ACT_RELU, name, in[0]);
	case NET_RELU6:
		return activation(w, NET_ACT_RELU6, name, in[0]);
	default: /* concat, softmax: along channels */
		graph_node(&w->g, o->kind == NET_CONCAT ? "Concat" : "Softmax", name, n, in);
		graph_int(&w->g, "axis", 1);
		return name;
	}
}

static bool takes_maps(enum net_kind kind)
{
	return kind == NET_MAX_POOL || kind == NET_AVG_POOL || kind == NET_GLOBAL_POOL ||
	       kind == NET_PAD || kind == NET_UPSAMPLE;
}

static const char *operation(struct writer *w, uint32_t op, const char *name, enum rank *rank)
{
	const struct net_op *o = &w->net->op[op];
	const uint32_t *from = network_inputs(w->net, op);
	const char **in;

	if (o->kind == NET_CONV2D || o->kind == NET_DEPTHWISE || o->kind == NET_DENSE) {
		*rank = o->kind == NET_DENSE ? FLAT : MAP;
		return layer(w, op, name);
	}
	*rank = takes_maps(o->kind) ? MAP : w->output[from[0]].rank;
	in = ARENA_NEW(w->g.arena, const char *, o->n_inputs);
	for (uint32_t i = 0; i < o->n_inputs; i++)
		in[i] = value(w, from[i], *rank);
	return combine(w, op, name, o->n_inputs, in);
}

/* ---- the model --------------------------------------------------------------------------------
 */

/* The last output, elements in our order; the last node makes it. */
static void logits(struct writer *w)
{
	uint32_t op = (uint32_t)w->net->n_ops - 1;
	struct net_shape s = w->net->op[op].out;
	struct output *end = &w->output[op];

	if (end->rank == MAP && s.h * s.w > 1) {
		end->tensor = graph_node(&w->g, "Transpose", graph_name(&w->g, "op%u_hwc", op), 1,
					 &end->tensor);
		graph_ints(&w->g, "perm", 4, (const int64_t[]){ 0, 2, 3, 1 });
	}
	value(w, op, FLAT);
	w->g.graph.node[w->g.graph.n_node - 1]->output[0] = arena_strdup(w->g.arena, "logits");
}

static enum nasc_status write_model(struct writer *w, const char *path, struct nasc_err *err)
{
	const struct net_shape s = w->net->input;
	struct arena a = { 0 };
	enum nasc_status st;

	graph_begin(&w->g, &a, w->net->name[0] ? w->net->name : "network");
	w->output = ARENA_NEW(&a, struct output, w->net->n_ops);
	graph_value(&w->g, GRAPH_INPUT, "image", 4, (const int64_t[]){ 1, s.c, s.h, s.w });
	made(w, 0, "image", MAP);
	for (uint32_t op = 1; op < w->net->n_ops; op++) {
		const struct net_op *o = &w->net->op[op];
		const char *name = graph_name(&w->g, "op%u_%s", op, net_kind_name(o->kind));
		enum rank rank;
		const char *y = operation(w, op, name, &rank);

		if (o->act != NET_LINEAR)
			y = activation(w, o->act, graph_name(&w->g, "op%u_act", op), y);
		made(w, op, y, rank);
	}
	logits(w);
	graph_value(&w->g, GRAPH_OUTPUT, "logits", 2, (const int64_t[]){ 1, w->net->classes });
	st = graph_save(&w->g, path, err);
	arena_free(&a);
	return st;
}

enum nasc_status export_onnx_float(const struct trained *t, const char *path, struct nasc_err *err)
{
	return write_model(&(struct writer){ .net = &t->net, .trained = t->op }, path, err);
}

enum nasc_status export_onnx_int8(const struct quantised *q, const char *path, struct nasc_err *err)
{
	return write_model(&(struct writer){ .net = &q->net, .quantised = q->op }, path, err);
}
