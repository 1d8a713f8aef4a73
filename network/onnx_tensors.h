#ifndef NASC_ONNX_TENSORS_H
#define NASC_ONNX_TENSORS_H
#include "import.h"
#include <onnx.pb-c.h>

/* The tensors of an ONNX graph by name, and the attributes of its nodes. */
#define ONNX_RANK_MAX 4

enum tensor_kind {
	TENSOR_UNMADE, /* no node has made it yet */
	TENSOR_VALUE,  /* what an operator computes: batch, channels, height, width */
	TENSOR_CONSTANT
};
struct tensor {
	const char *name;
	enum tensor_kind kind;
	size_t rank;
	int64_t dim[ONNX_RANK_MAX];
	struct value value; /* seen as dim */
	/* Numbers of a constant: integers that were worked out, or what the file has of its
	 * own, in whatever order; neither: they are elsewhere. */
	const int64_t *ints;
	size_t n_ints;
	const Onnx__Tensor *stored;
};
/* Sorted by name. */
struct tensors {
	struct tensor *v;
	size_t n;
};

/* Every name that the graph gives. NASC_DATA: one is given twice. */
enum nasc_status tensors_init(struct tensors *t, const Onnx__Graph *graph, struct arena *a,
			      struct nasc_err *err);
struct tensor *tensors_find(const struct tensors *t, const char *name); /* NULL: there is none */
/* @out->name stays. */
enum nasc_status tensor_constant(const Onnx__Tensor *stored, struct tensor *out,
				 struct nasc_err *err);
/* Item @i of a constant of integers, of floats; false where it has none. */
bool tensor_int(const struct tensor *t, size_t i, int64_t *out);
bool tensor_real(const struct tensor *t, size_t i, double *out);
uint64_t tensor_elements(const struct tensor *t);

/* Height, width and channels of what has these dimensions. NASC_DATA: it is a batch. */
enum nasc_status tensor_extent(size_t rank, const int64_t *dim, struct extent *out,
			       struct nasc_err *err);
/* As a value: what @v shows, in @rank dimensions. */
void tensor_set_value(struct tensor *t, struct value v, size_t rank);

/* ---- attributes; absent: what is given ------------------------------------------ */
const Onnx__Attribute *node_attribute(const Onnx__Node *node, const char *name);
int64_t node_int(const Onnx__Node *node, const char *name, int64_t absent);
double node_real(const Onnx__Node *node, const char *name, double absent);
bool node_text_is(const Onnx__Node *node, const char *name, const char *text);
/* As many integers as @n into @out, all @absent when there is no such attribute. NASC_DATA: it
 * has another number of them. */
enum nasc_status node_ints(const Onnx__Node *node, const char *name, size_t n, int64_t absent,
			   int64_t *out, struct nasc_err *err);
#endif
