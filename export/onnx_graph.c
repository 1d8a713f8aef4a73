#include "onnx_graph.h"

#include <stdarg.h>
#include <string.h>

#include "file.h"

#define IR_VERSION    8
#define OPSET_VERSION 13

void graph_begin(struct onnx_graph *g, struct arena *a, const char *name)
{
	g->arena = a;
	onnx__graph__init(&g->graph);
	g->graph.name = arena_strdup(a, name);
}

const char *graph_name(struct onnx_graph *g, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return arena_strdup(g->arena, text);
}

/* @list of @n pointers with room for another one: it grows at powers of two. */
static void *longer(struct arena *a, void *list, size_t n)
{
	void **grown;

	if (n & (n - 1))
		return list;
	grown = ARENA_NEW(a, void *, n ? 2 * n : 1);
	if (n)
		memcpy(grown, list, n * sizeof *grown);
	return grown;
}

/* ---- tensors ---------------------------------------------------------------------- */

void graph_value(struct onnx_graph *g, enum graph_end end, const char *name, size_t rank,
		 const int64_t *dim)
{
	Onnx__ValueInfo *value = ARENA_NEW(g->arena, Onnx__ValueInfo, 1);
	Onnx__TensorType *tensor = ARENA_NEW(g->arena, Onnx__TensorType, 1);
	Onnx__Dimension *dims = ARENA_NEW(g->arena, Onnx__Dimension, rank);

	onnx__value_info__init(value);
	onnx__tensor_type__init(tensor);
	value->name = arena_strdup(g->arena, name);
	value->type = ARENA_NEW(g->arena, Onnx__Type, 1);
	onnx__type__init(value->type);
	value->type->tensor = tensor;
	tensor->has_elem_type = 1;
	tensor->elem_type = ONNX__TENSOR__DATA_TYPE__FLOAT;
	tensor->shape = ARENA_NEW(g->arena, Onnx__Shape, 1);
	onnx__shape__init(tensor->shape);
	tensor->shape->dim = ARENA_NEW(g->arena, Onnx__Dimension *, rank);
	tensor->shape->n_dim = rank;
	for (size_t i = 0; i < rank; i++) {
		onnx__dimension__init(&dims[i]);
		dims[i].has_value = 1;
		dims[i].value = dim[i];
		tensor->shape->dim[i] = &dims[i];
	}
	if (end == GRAPH_INPUT) {
		g->graph.input = longer(g->arena, g->graph.input, g->graph.n_input);
		g->graph.input[g->graph.n_input++] = value;
	} else {
		g->graph.output = longer(g->arena, g->graph.output, g->graph.n_output);
		g->graph.output[g->graph.n_output++] = value;
	}
}

static size_t bytes_of(Onnx__Tensor__DataType type)
{
	return type == ONNX__TENSOR__DATA_TYPE__INT8	? 1
	       : type == ONNX__TENSOR__DATA_TYPE__INT64 ? 8
							: 4;
}

void *graph_constant(struct onnx_graph *g, const char *name, Onnx__Tensor__DataType type,
		     size_t rank, const int64_t *dim)
{
	Onnx__Tensor *t = ARENA_NEW(g->arena, Onnx__Tensor, 1);
	size_t bytes = bytes_of(type);

	onnx__tensor__init(t);
	t->name = arena_strdup(g->arena, name);
	t->has_data_type = 1;
	t->data_type = (int32_t)type;
	t->n_dims = rank;
	t->dims = ARENA_NEW(g->arena, int64_t, rank + 1);
	for (size_t i = 0; i < rank; i++) {
		t->dims[i] = dim[i];
		bytes *= (size_t)dim[i];
	}
	t->has_raw_data = 1; /* little-endian, as it lies in memory */
	t->raw_data.len = bytes;
	t->raw_data.data = arena_alloc(g->arena, bytes, 1, sizeof(int64_t));
	g->graph.initializer = longer(g->arena, g->graph.initializer, g->graph.n_initializer);
	g->graph.initializer[g->graph.n_initializer++] = t;
	return t->raw_data.data;
}

/* ---- nodes ------------------------------------------------------------------------- */

const char *graph_node(struct onnx_graph *g, const char *type, const char *name, size_t n,
		       const char *const *input)
{
	Onnx__Node *node = ARENA_NEW(g->arena, Onnx__Node, 1);

	onnx__node__init(node);
	node->op_type = arena_strdup(g->arena, type);
	node->name = arena_strdup(g->arena, name);
	node->n_input = n;
	node->input = ARENA_NEW(g->arena, char *, n);
	for (size_t i = 0; i < n; i++)
		node->input[i] = arena_strdup(g->arena, input[i]);
	node->n_output = 1;
	node->output = ARENA_NEW(g->arena, char *, 1);
	node->output[0] = arena_strdup(g->arena, name);
	g->graph.node = longer(g->arena, g->graph.node, g->graph.n_node);
	g->graph.node[g->graph.n_node++] = node;
	return node->output[0];
}

static Onnx__Attribute *attribute(struct onnx_graph *g, const char *name,
				  Onnx__Attribute__Type type)
{
	Onnx__Node *node = g->graph.node[g->graph.n_node - 1];
	Onnx__Attribute *a = ARENA_NEW(g->arena, Onnx__Attribute, 1);

	onnx__attribute__init(a);
	a->name = arena_strdup(g->arena, name);
	a->has_type = 1;
	a->type = type;
	node->attribute = longer(g->arena, node->attribute, node->n_attribute);
	node->attribute[node->n_attribute++] = a;
	return a;
}

void graph_int(struct onnx_graph *g, const char *name, int64_t v)
{
	Onnx__Attribute *a = attribute(g, name, ONNX__ATTRIBUTE__TYPE__INT);

	a->has_i = 1;
	a->i = v;
}

void graph_ints(struct onnx_graph *g, const char *name, size_t n, const int64_t *v)
{
	Onnx__Attribute *a = attribute(g, name, ONNX__ATTRIBUTE__TYPE__INTS);

	a->n_ints = n;
	a->ints = ARENA_NEW(g->arena, int64_t, n);
	memcpy(a->ints, v, n * sizeof *v);
}

void graph_real(struct onnx_graph *g, const char *name, float v)
{
	Onnx__Attribute *a = attribute(g, name, ONNX__ATTRIBUTE__TYPE__FLOAT);

	a->has_f = 1;
	a->f = v;
}

void graph_text(struct onnx_graph *g, const char *name, const char *text)
{
	Onnx__Attribute *a = attribute(g, name, ONNX__ATTRIBUTE__TYPE__STRING);

	a->has_s = 1;
	a->s.len = strlen(text);
	a->s.data = (uint8_t *)arena_strdup(g->arena, text);
}

/* ---- the file ------------------------------------------------------------------------ */

enum nasc_status graph_save(const struct onnx_graph *g, const char *path, struct nasc_err *err)
{
	Onnx__Model model = ONNX__MODEL__INIT;
	Onnx__Opset opset = ONNX__OPSET__INIT, *opsets[] = { &opset };
	Onnx__Graph graph = g->graph;
	struct file_out f;
	uint8_t *bytes;
	size_t n;

	opset.has_version = model.has_ir_version = 1;
	opset.version = OPSET_VERSION;
	model.ir_version = IR_VERSION;
	model.producer_name = arena_strdup(g->arena, "nasc");
	model.n_opset = 1;
	model.opset = opsets;
	model.graph = &graph;
	n = onnx__model__get_packed_size(&model);
	if (n > INT32_MAX)
		return nasc_fail(err, NASC_FAIL,
				 "%s: %zu bytes, an ONNX file must have less than 2 GiB", path, n);
	bytes = ARENA_NEW(g->arena, uint8_t, n);
	onnx__model__pack(&model, bytes);
	if (file_begin(&f, path, err))
		return err->code;
	fwrite(bytes, 1, n, f.fp); /* file_commit() sees a failure */
	return file_commit(&f, err);
}
