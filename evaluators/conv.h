#ifndef NASC_CONV_H
#define NASC_CONV_H
#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Convolutions, depthwise convolutions and dense layers by oneDNN: dense NHWC
 * in and out, f32 master weights in the plain layouts
 *   conv, dense  [kh][kw][in][out]   (dense: kh, kw = the input's h, w)
 *   depthwise    [kh][kw][channel]
 * that are packed into whatever layout oneDNN prefers, one for forward and one
 * for backward data. */
enum conv_kind { CONV_FULL, CONV_DEPTHWISE, CONV_DENSE };
struct conv_shape {
	enum conv_kind kind;
	bool bf16, bias, want_back_data, want_back_weights;
	int64_t images, h, w, in, out; /* channels as stored, padding included */
	int64_t oh, ow, kh, kw, stride, top, left, bottom, right;
};

enum conv_pass { CONV_FORWARD, CONV_BACK_DATA, CONV_BACK_WEIGHTS, CONV_PASSES };
struct conv {
	struct conv_shape shape;
	size_t n_weights;
	dnnl_engine_t engine; /* of the plan */
	dnnl_primitive_t pass[CONV_PASSES];
	dnnl_primitive_t pack[2]; /* master -> forward, backward data */
	dnnl_primitive_t unpack;  /* weight gradient -> plain f32 */
	dnnl_memory_desc_t src, dst, plain, bias_md, packed[CONV_PASSES], scratch[CONV_PASSES];
	const char *implementation[CONV_PASSES]; /* oneDNN's name of it; in `names` */
	char names[CONV_PASSES][64];
};

/* The calling thread's calls of oneDNN stay on it: before its first one. With more
 * threads the sums would depend on their number. */
void conv_use_one_thread(void);

/* Threads: a conv is read-only after conv_create() and any number may run it.
 * NASC_FAIL: oneDNN cannot, or only by its reference code, which is hundreds of
 * times slower than anything a search may wait for. */
enum nasc_status conv_create(struct conv *c, const struct conv_shape *shape, dnnl_engine_t engine,
			     struct nasc_err *err);
void conv_release(struct conv *c); /* fine on {0} */

size_t conv_packed_bytes(const struct conv *c, enum conv_pass pass);
size_t conv_scratch_bytes(const struct conv *c);

/* What oneDNN does not do: the weight gradient of a depthwise convolution, whose
 * code for kernels above 3x3 is up to 40 times slower than for 3x3. */
static inline bool conv_has_pass(const struct conv_shape *s, enum conv_pass pass)
{
	return pass == CONV_BACK_DATA	   ? s->want_back_data
	       : pass == CONV_BACK_WEIGHTS ? s->want_back_weights && s->kind != CONV_DEPTHWISE
					   : true;
}

/* The memory one thread runs a convolution on, but for what it reads and writes. */
struct conv_memory {
	float *weights, *bias, *diff_weights, *diff_bias; /* plain f32 */
	void *packed[CONV_PASSES]; /* forward and back data shared, gradient its own */
	void *scratch;
};
struct conv_run {
	const struct conv *conv;
	dnnl_memory_t memory[24];
	size_t n_memory;
	dnnl_exec_arg_t arg[CONV_PASSES][6], pack_arg[2][2], unpack_arg[2];
	int n_arg[CONV_PASSES];
};
void conv_bind(struct conv_run *r, const struct conv *c, const struct conv_memory *m);
void conv_unbind(struct conv_run *r); /* fine on {0} */

void conv_pack(const struct conv_run *r, dnnl_stream_t stream); /* weights changed */
/* CONV_FORWARD: @a input, @b output; CONV_BACK_DATA: gradients of the output, of the input;
 * CONV_BACK_WEIGHTS: input, gradient of the output; it leaves the gradients in diff_weights and
 * diff_bias. */
void conv_execute(const struct conv_run *r, enum conv_pass pass, void *a, void *b,
		  dnnl_stream_t stream);
#endif
