#ifndef NASC_ENGINE_H
#define NASC_ENGINE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "conv.h"
#include "direct.h"
#include "err.h"
#include "kernels.h"
#include "network.h"

/* The engine that trains: any inferred network is lowered once into a plan, and
 * a plan is run without allocation, look-up or decision by name.
 *
 *   plan    what to do: phases, buffers, oneDNN primitives; read-only, shared
 *   model   what is learned: parameters, running statistics, packed weights
 *   runner  what one thread works on: all tensors of one shard, in one block
 *
 * Tensors are NHWC rows of pixels (kernels.h). A concatenation owns a wide
 * buffer in which its inputs are slices, so that it costs nothing. Our own
 * convolutions (direct.h) read and write slices; oneDNN's operands are copied
 * into dense memory, because its channel-strided NHWC falls back to the
 * reference code (hundreds of times slower).
 *
 * Statistics of a batch norm belong to the channels of the tensor it reads:
 * they are taken once however many norms read it. Its backward pass adds
 * scale * g at once, and the rest, which is affine in x per channel
 * (slope * x + offset), only when the tensor's producer needs the gradient:
 * one pass over memory a norm instead of two.
 *
 * Between two such sums over all images of a shard, phases are run for as many
 * images at a time as a core's cache holds. */

#define PLAN_NONE UINT32_MAX

struct plan_operand {
	uint32_t buffer, offset, stride; /* offset, stride in channels */
	bool whole;			 /* as struct rows */
};

enum phase_kind {
	PHASE_COPY, /* y (+)= x */
	PHASE_CONV,
	PHASE_STATS, /* of x, or of what the phase before summed up; training only */
	PHASE_NORM,  /* y = act(norm(x)) */
	PHASE_ACT,
	PHASE_POOL,
	PHASE_MEAN,
	PHASE_ADD,    /* y = x + g */
	PHASE_LOSS,   /* x: logits, g: their gradient */
	PHASE_ZERO,   /* y */
	PHASE_SETTLE, /* y (+)= g + slope * x + offset */
	PHASE_CONV_BACK_DATA,
	PHASE_CONV_BACK_WEIGHTS,
	PHASE_CONV_BACK, /* our own, all of it. x: source, g: gradient of the output, y: output,
			    when g is to be settled, d: gradient of the source */
	PHASE_NORM_BACK, /* x: input, g: gradient of the output, d: of the input */
	PHASE_ACT_BACK,	 /* y, g, d */
	PHASE_POOL_BACK, /* x, y, g, d */
	PHASE_MEAN_BACK, /* g, d */
	PHASE_KINDS,
};

struct phase {
	enum phase_kind kind;
	enum kernel_act act;
	bool accumulate;
	struct plan_operand x, y, g, d;
	uint32_t pixels;  /* of an image: of x, or of g and y */
	uint32_t c;	  /* channels */
	uint32_t channel; /* first entry in the arrays a channel, of x */
	uint32_t index;	  /* conv, norm */
	struct kernel_window window;
};

/* One parameter tensor: a stretch of the model's f32 vector. Stored with the
 * padding the convolutions want; the padding is zero and stays so. */
enum param_role { PARAM_WEIGHTS, PARAM_BIAS, PARAM_GAMMA, PARAM_BETA };
struct param {
	uint32_t op; /* of the network */
	enum param_role role;
	size_t at, n;
	bool decay;
	/* Weights: [taps][in_stored][out_stored], of which [.][in][out] are real
	 * (depthwise: in = in_stored = 1); vectors: [out]. */
	uint32_t taps, kh, kw, in, in_stored, out, out_stored, groups;
	uint32_t in_channels; /* dense: `in` is per tap */
	double fan_in;
	bool dense;
};

struct plan_norm {
	uint32_t op, c, channel, slot, gamma, beta; /* gamma, beta: indices of params */
};
struct plan_conv {
	bool own;  /* `direct`, not `conv` */
	bool flat; /* a dense layer of our own: pixels and channels of its input are channels */
	struct direct direct;
	uint32_t norm; /* in front, part of it; PLAN_NONE: none */
	enum kernel_act act;
	uint32_t cells; /* means of cells * cells behind it are the input */
	bool sums;	/* of the output are wanted */
	struct conv conv;
	uint32_t op, weights, bias; /* params; bias PLAN_NONE */
	bool in_parts; /* by a few images at a time, whose weight gradients are summed */
	size_t packed_at[2], gradient_at; /* in the model's and runner's packed memory */
};
struct plan_code { /* the output of a ReLU, for proxies */
	struct plan_operand y;
	uint32_t pixels, c;
	uint32_t phase; /* that writes it */
	uint32_t times; /* ReLUs of the network that have this very output */
};
struct plan_buffer {
	size_t bytes, at;
	uint32_t first, last; /* phases: of the first and last segment with a use */
	uint32_t pixels, stride;
	uint32_t images; /* of the shard, or of a segment: then each few images lie there in turn */
};
/* Phases that are run for @images images of the shard at a time. */
struct plan_segment {
	uint32_t first, end, images;
};

/* What the runners of a plan can do: nothing is prepared for the rest. */
enum plan_use {
	PLAN_TRAIN,	     /* forward; backward to the parameters */
	PLAN_FORWARD,	     /* forward */
	PLAN_INPUT_GRADIENT, /* forward; backward to the images, not to weights and biases */
};

struct plan {
	struct arena *arena;
	enum plan_use use;
	dnnl_engine_t engine;
	const struct kernels *kernels;
	const struct direct_kernels *direct; /* NULL: all convolutions are oneDNN's */
	bool bf16;
	uint32_t images; /* of a shard */
	struct net_shape input;
	uint32_t classes;
	size_t n_phases, cap_phases, n_forward;
	struct phase *phase;
	size_t n_segments;
	struct plan_segment *segment; /* the loss is one of its own */
	size_t n_buffers, cap_buffers;
	struct plan_buffer *buffer;
	size_t n_convs, n_norms, n_params, n_codes;
	struct plan_conv *conv;
	struct plan_norm *norm;
	struct param *param;
	struct plan_code *code;
	struct plan_operand in, logits;
	struct plan_operand in_gradient; /* PLAN_INPUT_GRADIENT: after a backward */
	uint32_t logit_pixels, logit_channels;
	size_t n_weights;  /* f32 in the parameter vector */
	size_t n_channels; /* entries of the arrays a channel */
	size_t n_slots;	   /* entries of the scale and shift vectors */
	size_t bytes;	   /* of a runner's tensors */
	size_t packed_bytes, gradient_bytes, scratch_bytes;
	size_t n_part; /* f32 in the largest weight gradient that is summed from parts */
};

/* @net as it reads images of @size pixels, or series of that length; 0: of its own input.
 * NASC_CONFIG: an operator does not fit. */
enum nasc_status plan_resize(const struct network *net, int64_t size, struct arena *a,
			     struct network *out, struct nasc_err *err);
/* Lower @net for shards of @images images. Everything but oneDNN's objects is in
 * @a. NASC_CONFIG: the network cannot be trained (a softmax before its end);
 * NASC_FAIL: oneDNN cannot run it well. */
enum nasc_status plan_create(const struct network *net, uint32_t images, bool bf16,
			     enum plan_use use, struct arena *a, struct plan *out,
			     struct nasc_err *err);
void plan_release(struct plan *p); /* fine on {0} */
/* NASC_FAIL: more than this machine has; asked before the arena, which would end the
 * program for the sake of one candidate. */
enum nasc_status memory_fits(double bytes, struct nasc_err *err);
/* What a model and one runner take [bytes]. */
struct plan_memory {
	size_t tensors, weights, packed, gradients, scratch;
};
struct plan_memory plan_memory(const struct plan *p);
/* Of a model, @runners runners and @gradients gradients beside them [bytes]. */
double plan_bytes(const struct plan *p, size_t runners, size_t gradients);
/* memory_fits() of a model, @runners runners and @gradients gradients beside them. */
enum nasc_status plan_fits(const struct plan *p, size_t runners, size_t gradients,
			   struct nasc_err *err);
/* Bits of bf16 are worth it here: the CPU has AMX. */
bool plan_prefers_bf16(void);
/* oneDNN has bf16 convolutions for this CPU: with AVX-512. */
bool plan_has_bf16(void);
/* What the last bits of every result depend on: precision, oneDNN, instruction set. */
void plan_machine(bool bf16, char text[128]);

/* plan_segments.c: cut the phases into segments, and say how many images run at a time. */
void plan_segments(struct plan *p);
/* plan_place.c: give every buffer its place, so that none overlaps another that
 * is alive at the same time. */
void plan_place(struct plan *p);

/* How a step changes the weights. */
struct update {
	bool adamw; /* else SGD with Nesterov's momentum */
	double rate, momentum, decay;
	double beta1, beta2, epsilon; /* adamw */
	double average;		      /* decay of the averages, when the model has some */
};

struct model {
	const struct plan *plan;
	float *weights, *gradient;	   /* n_weights each */
	float *velocity, *second;	   /* of the optimizer; second: adamw alone, else NULL */
	float *running_mean, *running_var; /* n_channels */
	/* Exponential averages of weights and running statistics; NULL: not kept. */
	float *average, *average_mean, *average_var;
	uint64_t steps; /* since model_init() */
	bool started;	/* running statistics hold something */
	void *packed;
};
void model_create(struct model *m, const struct plan *p, struct arena *a);
/* Before model_init(): memory for AdamW, for averages. */
void model_extend(struct model *m, bool adamw, bool average, struct arena *a);
/* He et al. 2015: N(0, 2 / fan_in), dense N(0, 1 / fan_in); gamma 1, rest 0. */
struct rng;
void model_init(struct model *m, struct rng *rng);
/* One step with the gradients in m->gradient. An average moves by 1 - d of the way,
 * d = min(u->average, (1 + t) / (10 + t)) after t steps, as TensorFlow's. */
void model_step(struct model *m, const struct update *u);
/* Exchange weights and running statistics with their averages; nothing where there are none. */
void model_swap_average(struct model *m);
/* Real (unpadded) weight @i of parameter @q, in the order of the weights file. */
size_t param_count(const struct param *q);
size_t param_at(const struct param *q, size_t i);

/* Zeroed memory at the start of a cache line. */
static inline void *engine_memory(struct arena *a, size_t bytes)
{
	return (void *)(((uintptr_t)arena_alloc(a, bytes + 64, 1, 1) + 63) & ~(uintptr_t)63);
}

enum runner_mode { RUN_TRAIN, RUN_INFER };
struct runner {
	const struct plan *plan;
	const struct model *model;
	const atomic_bool *cancel; /* looked at before each phase; NULL: never */
	/* Called in a forward with each of the plan's codes while it lasts: for the images
	 * first .. first + count - 1, in order, as many at a time as the segment runs. May be
	 * NULL. */
	void (*see_code)(void *ctx, const struct plan_code *c);
	void *see_ctx;
	size_t code; /* the next to be seen */
	char *mem;   /* plan->bytes: `pages`, or in the arena */
	void *pages;
	struct conv_run *conv;
	void *scratch; /* of one convolution at a time */
	dnnl_stream_t stream;
	float *gradient;			      /* n_weights, of the last shard */
	float *mean, *var, *inv_std, *slope, *offset; /* n_channels */
	float *scale, *shift;			      /* n_slots */
	double *sum, *sum2;		 /* n_channels: statistics of the forward pass */
	double *sum_g, *sum_gx;		 /* n_slots: of the norms' backward passes */
	float *part, *part_bias;	 /* n_part: gradient of a few images */
	uint32_t first, count;		 /* images of the shard that are being run */
	float *logits, *logits_gradient; /* images * classes, f32 */
	const uint8_t *label;
	const float *target; /* n_labels * classes, see loss.h; NULL: the labels alone */
	uint32_t n_labels;   /* images that count, the first ones */
	double loss_scale;   /* 1 / images of the batch */
	double loss;	     /* sum over the shard's images */
	uint64_t correct;
	uint32_t *answer; /* class of each image */
	double *phase_s;  /* [n_phases] seconds, added up; NULL: no clock is read */
};
void runner_create(struct runner *r, const struct plan *p, const struct model *m, struct arena *a);
void runner_release(struct runner *r); /* fine on {0} */
/* Images into the input: f32 [images][h][w][c]. */
void runner_load(struct runner *r, const float *image);
/* Master weights to the layouts of the convolutions: after each change, by one
 * thread while no other runs. */
void runner_pack(struct runner *r);
/* Forward and loss of the loaded images; r->label, n_labels, loss_scale set. Of no meaning once
 * *r->cancel is true. */
void runner_forward(struct runner *r, enum runner_mode mode);
void runner_backward(struct runner *r); /* after a forward in RUN_TRAIN */
static inline bool runner_cancelled(const struct runner *r)
{
	return r->cancel && atomic_load_explicit(r->cancel, memory_order_relaxed);
}
/* From the first image that is being run on. */
static inline struct rows runner_rows(const struct runner *r, struct plan_operand o)
{
	const struct plan_buffer *b = &r->plan->buffer[o.buffer];
	size_t size = r->plan->bf16 ? 2 : 4;
	size_t row = b->images < r->plan->images ? 0 : (size_t)r->first * b->pixels;

	return (struct rows){ r->mem + b->at + (row * o.stride + o.offset) * size, o.stride,
			      o.whole };
}
#endif
