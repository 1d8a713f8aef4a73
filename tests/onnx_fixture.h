#ifndef TESTS_ONNX_FIXTURE_H
#define TESTS_ONNX_FIXTURE_H
/* Small ONNX models, packed by protobuf-c. */
#include <string.h>

#include "onnx.pb-c.h"

#define ONNX_MAX 8192

/* Lists end with a NULL name. Attributes: integers, or a text. */
struct onnx_attribute {
	const char *name;
	int n;
	int64_t ints[4]; /* n 0: a single integer, ints[0] */
	const char *text;
};
struct onnx_node {
	const char *type, *in[3], *out;
	struct onnx_attribute attribute[5];
};
/* A constant: of floats without their numbers, or of up to eight integers. */
struct onnx_constant {
	const char *name;
	int rank;
	int64_t dim[4], ints[8];
	int n_ints;
};

static inline size_t onnx_pack(const struct onnx_node *node, const struct onnx_constant *constant,
			       const int64_t *input, size_t rank, const char *output, uint8_t *to)
{
	static Onnx__Node nodes[32], *node_list[32];
	static Onnx__Attribute attributes[32][5], *attribute_list[32][5];
	static Onnx__Tensor tensors[32], *tensor_list[32];
	static Onnx__Dimension dims[4], *dim_list[4];
	Onnx__Shape shape = ONNX__SHAPE__INIT;
	Onnx__TensorType tensor = ONNX__TENSOR_TYPE__INIT;
	Onnx__Type type = ONNX__TYPE__INIT;
	Onnx__ValueInfo in = ONNX__VALUE_INFO__INIT, out = ONNX__VALUE_INFO__INIT, *ins[] = { &in },
			*outs[] = { &out };
	Onnx__Graph graph = ONNX__GRAPH__INIT;
	Onnx__Model model = ONNX__MODEL__INIT;

	for (; node[graph.n_node].type; graph.n_node++) {
		const struct onnx_node *s = &node[graph.n_node];
		Onnx__Node *n = &nodes[graph.n_node];

		onnx__node__init(n);
		n->op_type = (char *)s->type;
		n->input = (char **)s->in;
		while (n->n_input < 3 && s->in[n->n_input])
			n->n_input++;
		n->output = (char **)&s->out;
		n->n_output = 1;
		n->attribute = attribute_list[graph.n_node];
		for (; s->attribute[n->n_attribute].name; n->n_attribute++) {
			const struct onnx_attribute *from = &s->attribute[n->n_attribute];
			Onnx__Attribute *a = &attributes[graph.n_node][n->n_attribute];

			onnx__attribute__init(a);
			a->name = (char *)from->name;
			a->has_i = from->n == 0 && !from->text;
			a->i = from->ints[0];
			a->n_ints = (size_t)from->n;
			a->ints = (int64_t *)from->ints;
			a->has_s = from->text != NULL;
			if (from->text)
				a->s = (ProtobufCBinaryData){ strlen(from->text),
							      (uint8_t *)from->text };
			n->attribute[n->n_attribute] = a;
		}
		node_list[graph.n_node] = n;
	}
	for (; constant[graph.n_initializer].name; graph.n_initializer++) {
		const struct onnx_constant *s = &constant[graph.n_initializer];
		Onnx__Tensor *t = &tensors[graph.n_initializer];

		onnx__tensor__init(t);
		t->name = (char *)s->name;
		t->n_dims = (size_t)s->rank;
		t->dims = (int64_t *)s->dim;
		t->has_data_type = 1;
		t->data_type = s->n_ints ? 7 : 1;
		t->n_int64_data = (size_t)s->n_ints;
		t->int64_data = (int64_t *)s->ints;
		tensor_list[graph.n_initializer] = t;
	}
	for (; shape.n_dim < rank; shape.n_dim++) {
		onnx__dimension__init(&dims[shape.n_dim]);
		dims[shape.n_dim].has_value = 1;
		dims[shape.n_dim].value = input[shape.n_dim];
		dim_list[shape.n_dim] = &dims[shape.n_dim];
	}
	shape.dim = dim_list;
	tensor.shape = &shape;
	type.tensor = &tensor;
	in.name = (char *)"x";
	in.type = &type;
	out.name = (char *)output;
	graph.node = node_list;
	graph.initializer = tensor_list;
	graph.n_input = graph.n_output = 1;
	graph.input = ins;
	graph.output = outs;
	model.graph = &graph;
	return onnx__model__pack(&model, to);
}
#endif
