#ifndef NASC_ONNX_CALL_H
#define NASC_ONNX_CALL_H
#include "onnx_tensors.h"

/* Operators as https://onnx.ai/onnx/operators has them. Weights count, their numbers do not: a
 * dense layer may read its input in any order. */
struct onnx_reader {
	struct tensors tensors;
	struct network net;
	struct arena *scratch;
};
/* One node. All below fail with NASC_DATA or NASC_CONFIG and do not name it. */
struct call {
	struct onnx_reader *r;
	const Onnx__Node *node;
};

const struct tensor *call_input(const struct call *c, size_t i); /* NULL: there is none */
bool call_has_input(const struct call *c, size_t i);
enum nasc_status call_value(const struct call *c, size_t i, const struct tensor **out,
			    struct nasc_err *err);
enum nasc_status call_constant(const struct call *c, size_t i, const struct tensor **out,
			       struct nasc_err *err);
/* At most @cap integers of attribute @name, or, as in later versions, of input @i. */
enum nasc_status call_ints(const struct call *c, const char *name, size_t i, int64_t *out,
			   size_t cap, size_t *n, struct nasc_err *err);
int64_t onnx_axis(int64_t axis, size_t rank); /* counted from the first */

struct tensor *call_output(const struct call *c); /* NULL: there is none */
/* Its output is @v, in @rank dimensions. */
enum nasc_status call_makes(const struct call *c, struct value v, size_t rank,
			    struct nasc_err *err);
/* Its output is input 0 with these dimensions. */
enum nasc_status call_views(const struct call *c, size_t rank, const int64_t *dim,
			    struct nasc_err *err);

typedef enum nasc_status onnx_read(const struct call *c, struct nasc_err *err);
/* ---- onnx_layers.c, onnx_shapes.c ------------------------------------------------- */
extern onnx_read onnx_conv, onnx_max_pool, onnx_avg_pool, onnx_gemm, onnx_matmul, onnx_add,
	onnx_concat, onnx_norm, onnx_relu, onnx_softmax, onnx_global_pool, onnx_clip, onnx_mean,
	onnx_pad, onnx_same, onnx_constant, onnx_flatten, onnx_reshape, onnx_squeeze,
	onnx_unsqueeze, onnx_transpose;
/* ---- onnx_integers.c: of constants -------------------------------------------------- */
extern onnx_read onnx_shape, onnx_fill, onnx_gather, onnx_slice, onnx_join, onnx_turn,
	onnx_multiply, onnx_subtract, onnx_sum;
#endif
