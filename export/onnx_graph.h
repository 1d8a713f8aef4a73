#ifndef NASC_ONNX_GRAPH_H
#define NASC_ONNX_GRAPH_H
#include <onnx.pb-c.h>

#include "arena.h"
#include "err.h"

/* An ONNX model that is being put together, in one arena: operator set 13, whose nodes have one
 * output each here. All texts that it is given are copied, a tensor's name that it returns is the
 * graph's. Source: https://onnx.ai/onnx/repo-docs/IR.html */
struct onnx_graph {
	struct arena *arena;
	Onnx__Graph graph;
};
void graph_begin(struct onnx_graph *g, struct arena *a, const char *name);
/* A name for a tensor. */
__attribute__((format(printf, 2, 3))) const char *graph_name(struct onnx_graph *g, const char *fmt,
							     ...);

/* Input or output of the model: f32. */
enum graph_end { GRAPH_INPUT, GRAPH_OUTPUT };
void graph_value(struct onnx_graph *g, enum graph_end end, const char *name, size_t rank,
		 const int64_t *dim);
/* A constant's numbers, zeros that the caller overwrites. */
void *graph_constant(struct onnx_graph *g, const char *name, Onnx__Tensor__DataType type,
		     size_t rank, const int64_t *dim);

/* A node behind the others, whose output is called as it is: @name, which is returned. */
const char *graph_node(struct onnx_graph *g, const char *type, const char *name, size_t n,
		       const char *const *input);
/* Attributes of the last node. */
void graph_int(struct onnx_graph *g, const char *name, int64_t v);
void graph_ints(struct onnx_graph *g, const char *name, size_t n, const int64_t *v);
void graph_real(struct onnx_graph *g, const char *name, float v);
void graph_text(struct onnx_graph *g, const char *name, const char *text);

/* NASC_FAIL: it cannot be written, or it has 2 GiB or more, which no reader takes. */
enum nasc_status graph_save(const struct onnx_graph *g, const char *path, struct nasc_err *err);
#endif
