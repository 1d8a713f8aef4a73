#include <string.h>

#include "onnx_call.h"

/* ---- nodes ----------------------------------------------------------------------- */

static const struct node_type {
	const char *name;
	onnx_read *read;
} node_types[] = {
	{ "Add", onnx_add },
	{ "AveragePool", onnx_avg_pool },
	{ "BatchNormalization", onnx_norm },
	{ "Cast", onnx_same },
	{ "Clip", onnx_clip },
	{ "Concat", onnx_concat },
	{ "Constant", onnx_constant },
	{ "ConstantOfShape", onnx_fill },
	{ "Conv", onnx_conv },
	{ "DequantizeLinear", onnx_same },
	{ "Dropout", onnx_same },
	{ "Flatten", onnx_flatten },
	{ "Gather", onnx_gather },
	{ "Gemm", onnx_gemm },
	{ "GlobalAveragePool", onnx_global_pool },
	{ "Identity", onnx_same },
	{ "MatMul", onnx_matmul },
	{ "MaxPool", onnx_max_pool },
	{ "Mul", onnx_multiply },
	{ "Pad", onnx_pad },
	{ "QuantizeLinear", onnx_same },
	{ "ReduceMean", onnx_mean },
	{ "Relu", onnx_relu },
	{ "Reshape", onnx_reshape },
	{ "Shape", onnx_shape },
	{ "Slice", onnx_slice },
	{ "Softmax", onnx_softmax },
	{ "Squeeze", onnx_squeeze },
	{ "Sub", onnx_subtract },
	{ "Transpose", onnx_transpose },
	{ "Unsqueeze", onnx_unsqueeze },
};
#define N_NODE_TYPES (sizeof node_types / sizeof *node_types)

/* NULL: nasc does not read it. */
static const struct node_type *type_of(const Onnx__Node *node)
{
	if (node->domain && node->domain[0] && strcmp(node->domain, "ai.onnx") != 0)
		return NULL;
	for (size_t k = 0; node->op_type && k < N_NODE_TYPES; k++)
		if (strcmp(node_types[k].name, node->op_type) == 0)
			return &node_types[k];
	return NULL;
}

/* All kinds that are not read at once. */
static enum nasc_status check_nodes(const Onnx__Graph *graph, struct nasc_err *err)
{
	struct unread unread = { 0 };
	char known[480];
	int n = 0;

	for (size_t i = 0; i < graph->n_node; i++)
		if (!type_of(graph->node[i]))
			import_unread(&unread, i,
				      graph->node[i]->op_type ? graph->node[i]->op_type : "");
	for (size_t k = 0; k < N_NODE_TYPES; k++)
		n += snprintf(known + n, sizeof known - (size_t)n, "%s%s", n ? ", " : "",
			      node_types[k].name);
	return import_refuse(&unread, known, err);
}

static enum nasc_status read_node(struct onnx_reader *r, const Onnx__Node *node, size_t i,
				  struct nasc_err *err)
{
	const struct node_type *type = type_of(node);

	if (type->read(&(struct call){ r, node }, err))
		return nasc_wrap(err, "operator %zu (%s)", i, type->name);
	return NASC_OK;
}

/* ---- the file -------------------------------------------------------------------- */

/* The one input that is no initializer; a batch of unknown size is one of 1. */
static enum nasc_status read_input(struct onnx_reader *r, const Onnx__Graph *graph, struct arena *a,
				   struct nasc_err *err)
{
	const Onnx__ValueInfo *in = NULL;
	const Onnx__Shape *shape;
	int64_t dim[ONNX_RANK_MAX] = { 0 };
	struct tensor *t = NULL;
	struct extent e;
	struct value v;
	size_t n = 0;

	for (size_t i = 0; i < graph->n_input; i++) {
		struct tensor *hit = graph->input[i]->name
					     ? tensors_find(&r->tensors, graph->input[i]->name)
					     : NULL;

		if (!hit || hit->kind == TENSOR_CONSTANT)
			continue;
		in = graph->input[i];
		t = hit;
		n++;
	}
	if (n != 1)
		return nasc_fail(err, NASC_DATA, "%zu inputs, nasc reads networks of one", n);
	shape = in->type && in->type->tensor ? in->type->tensor->shape : NULL;
	if (!shape || shape->n_dim < 1 || shape->n_dim > ONNX_RANK_MAX)
		return nasc_fail(err, NASC_DATA, "it has %zu dimensions, they must be 1 to %d",
				 shape ? shape->n_dim : 0, ONNX_RANK_MAX);
	for (size_t i = 0; i < shape->n_dim; i++)
		dim[i] = shape->dim[i]->value;
	if (shape->n_dim > 1 && dim[0] < 1)
		dim[0] = 1;
	if (tensor_extent(shape->n_dim, dim, &e, err) || import_start(&r->net, a, e, &v, err))
		return err->code;
	tensor_set_value(t, v, shape->n_dim);
	return NASC_OK;
}

static enum nasc_status read_graph(struct onnx_reader *r, const Onnx__Graph *graph, struct arena *a,
				   struct network *out, struct nasc_err *err)
{
	struct value output = { 0 };

	if (check_nodes(graph, err) || tensors_init(&r->tensors, graph, r->scratch, err))
		return err->code;
	if (read_input(r, graph, a, err))
		return nasc_wrap(err, "input");
	for (size_t i = 0; i < graph->n_node; i++)
		if (read_node(r, graph->node[i], i, err))
			return err->code;
	for (size_t i = 0; i < graph->n_output; i++) {
		const struct tensor *t = graph->output[i]->name
						 ? tensors_find(&r->tensors, graph->output[i]->name)
						 : NULL;

		if (t && t->kind == TENSOR_VALUE && t->value.op >= output.op)
			output = t->value;
	}
	if (!output.known)
		return nasc_fail(err, NASC_DATA, "no operator makes its output");
	return import_finish(&r->net, &output, out, err);
}

enum nasc_status network_from_onnx(const void *bytes, size_t n, struct arena *a,
				   struct network *out, struct nasc_err *err)
{
	struct arena scratch = { 0 };
	struct onnx_reader r = { .scratch = &scratch };
	struct arena_mark m = arena_mark(a);
	struct network net;
	Onnx__Model *model = onnx__model__unpack(NULL, n, bytes);
	enum nasc_status st;

	if (!model)
		return nasc_fail(err, NASC_DATA, "it is no ONNX model, or a damaged one");
	st = model->graph ? read_graph(&r, model->graph, a, &net, err)
			  : nasc_fail(err, NASC_DATA, "it is no ONNX model: it has no graph");
	onnx__model__free_unpacked(model, NULL);
	arena_free(&scratch);
	if (st) {
		arena_rewind(a, m);
		err->code = NASC_DATA;
		return NASC_DATA;
	}
	*out = net;
	return NASC_OK;
}
