#ifndef NASC_NETWORK_H
#define NASC_NETWORK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "arena.h"
#include "err.h"

/* The one description of a network: a list of operators in an order in which
 * they can run; each reads earlier operators' outputs. One input (operator 0),
 * one output (the last operator). Batch is 1, layouts are NHWC.
 *
 * A space, a file or a test builds it with the network_*() calls below, which
 * only record; network_infer() then checks the whole and fills every shape.
 * Nothing downstream looks at a network that network_infer() refused. */
enum net_kind {
	NET_INPUT,
	NET_CONV2D,    /* also 1x1 and grouped */
	NET_DEPTHWISE, /* multiplier 1: one filter per channel */
	NET_DENSE,     /* flattens its input */
	NET_MAX_POOL,
	NET_AVG_POOL,	 /* padded cells do not count in the mean */
	NET_GLOBAL_POOL, /* average over h and w, output 1x1xc */
	NET_ADD,	 /* two or more inputs of one shape */
	NET_CONCAT,	 /* along channels, two or more inputs of one h and w */
	NET_BATCH_NORM,
	NET_RELU,
	NET_RELU6,
	NET_SOFTMAX,
	NET_PAD,      /* zeros around h and w */
	NET_UPSAMPLE, /* each cell stride times in h and w: nearest neighbour */
	NET_KIND_COUNT
};

/* Cells around the input of a window, which count nothing. */
enum net_padding {
	NET_SAME,    /* out = ceil(in / stride), the odd cell after */
	NET_VALID,   /* none */
	NET_EXPLICIT /* so many on each side; around a pool fewer than the kernel's */
};
enum net_act { NET_LINEAR, NET_ACT_RELU, NET_ACT_RELU6 };

struct net_shape {
	uint32_t h, w, c;
};

/* What an operator is made of. Members its kind does not use are zero. */
struct net_op {
	enum net_kind kind;
	uint32_t first_input, n_inputs; /* slice of network.edge: operator indices */
	uint32_t out_channels;		/* conv2d, dense */
	uint32_t kernel_h, kernel_w;	/* conv2d, depthwise, pools */
	uint32_t stride;		/* conv2d, depthwise, pools, upsample; both directions */
	uint32_t groups;		/* conv2d; 1 elsewhere dense convolution */
	enum net_padding padding;	/* conv2d, depthwise, pools */
	/* pad, explicit padding; of other windows filled by network_infer() */
	uint32_t pad_top, pad_left, pad_bottom, pad_right;
	enum net_act act;     /* fused behind conv2d, depthwise, dense, add, batch_norm */
	bool bias;	      /* conv2d, depthwise, dense */
	struct net_shape out; /* filled by network_infer() */
};

struct network {
	struct arena *arena; /* holds op and edge */
	size_t n_ops, cap_ops, n_edges, cap_edges;
	struct net_op *op;
	uint32_t *edge;
	struct net_shape input;
	uint32_t classes; /* elements of the output; filled by network_infer() */
	char name[64];	  /* "" when it has none */
};

#define NETWORK_MAX_OPS	  65536u
#define NETWORK_MAX_EDGES (1u << 20)
#define NETWORK_MAX_DIM	  65536u /* each of h, w (also padded), c, kernel, stride */
/* Sum of all activations, of all parameters, of all MACs: exact in a double. */
#define NETWORK_MAX_COUNT (UINT64_C(1) << 53)

/* ---- building: index of the new operator is returned --------------------- */
void network_init(struct network *net, struct arena *a, struct net_shape input);
uint32_t network_conv2d(struct network *net, uint32_t in, uint32_t out_channels, uint32_t kernel,
			uint32_t stride, uint32_t groups, enum net_padding padding, bool bias);
uint32_t network_depthwise(struct network *net, uint32_t in, uint32_t kernel, uint32_t stride,
			   enum net_padding padding, bool bias);
uint32_t network_dense(struct network *net, uint32_t in, uint32_t units, bool bias);
uint32_t network_pool(struct network *net, enum net_kind max_or_avg, uint32_t in, uint32_t kernel,
		      uint32_t stride, enum net_padding padding);
uint32_t network_pad(struct network *net, uint32_t in, uint32_t top, uint32_t left, uint32_t bottom,
		     uint32_t right);
/* global pool, batch norm, relu, relu6, softmax */
uint32_t network_unary(struct network *net, enum net_kind kind, uint32_t in);
/* add, concat */
uint32_t network_merge(struct network *net, enum net_kind kind, const uint32_t *in, size_t n);
/* Any operator: the members of @op that its kind uses, others zero; inputs @in. */
uint32_t network_append(struct network *net, const struct net_op *op, const uint32_t *in, size_t n);

/* Over an input of height 1, a series, every kernel becomes 1 x k: its other rows would
 * only ever read padding. For spaces, before network_infer(). */
void network_flatten(struct network *net);

/* Check every operator and fill shapes. NASC_CONFIG names the operator:
 * "operator 7 (conv2d): 24 input channels are not divisible by 5 groups". */
enum nasc_status network_infer(struct network *net, struct nasc_err *err);

/* ---- reading ------------------------------------------------------------- */
const char *net_kind_name(enum net_kind kind); /* "conv2d", as in JSON */
static inline const uint32_t *network_inputs(const struct network *net, size_t op)
{
	return net->edge + net->op[op].first_input;
}
static inline struct net_shape network_in_shape(const struct network *net, size_t op)
{
	return net->op[net->edge[net->op[op].first_input]].out;
}
uint64_t net_elements(struct net_shape s); /* h * w * c */

/* Trainable parameters: weights, biases, and 2 per batch norm channel. MACs:
 * multiply-accumulates of conv2d, depthwise and dense for one input image. */
uint64_t network_op_weights(const struct network *net, size_t op); /* without bias and norm */
uint64_t network_op_biases(const struct network *net, size_t op);
uint64_t network_op_params(const struct network *net, size_t op);
uint64_t network_op_macs(const struct network *net, size_t op);
uint64_t network_params(const struct network *net);
uint64_t network_macs(const struct network *net);

/* Lifetime of each operator's output in the listed order: it is written by
 * operator i and last read by operator last[i] (n_ops for the network's
 * output, i when nobody reads it). @last has n_ops entries. */
void network_lifetimes(const struct network *net, uint32_t *last);
/* @count[i]: how many operators read i; an operator that reads it twice counts once. */
void network_consumers(const struct network *net, uint32_t *count);

/* What a network is like, in numbers by which networks can be compared; operators that the
 * output does not depend on are left out. Natural logarithm of the number of ways from the
 * input to the output; over these ways the most, the least and the mean number of
 * convolutions over more than one position, of max and average pools, and of layers with
 * weights; how many there are of such convolutions, of other layers with weights, and of
 * such pools; inputs of additions and concatenations behind their first. */
#define NETWORK_STRUCTURE 14
void network_structure(const struct network *net, struct arena *scratch,
		       double out[NETWORK_STRUCTURE]);

/* ---- making one network of another ---------------------------------------- */

/* The operators that the output depends on, without a softmax at the end, which moves no maximum.
 * @net and @out are inferred. @index: n_ops of @net entries, of which those of @out are filled:
 * where each one was. */
void network_used(const struct network *net, struct arena *a, struct network *out, uint32_t *index);

/* Padding where it is cheapest: a pad that nothing but a convolution or another pad
 * reads becomes that one's padding, as does one between a ReLU and a max pool, where
 * zeros change no maximum. Explicit padding that moves no cell against same or valid
 * is called so. @out is inferred. Cannot fail on an inferred network. */
void network_fold_pads(const struct network *net, struct arena *a, struct network *out);

/* As it is deployed: besides, a batch norm behind a convolution or dense layer that
 * nobody else reads is folded into it (which then has a bias); a ReLU that is
 * the only reader of an operator that can carry it becomes that operator's act.
 * Softmax stays. @source, when not NULL: n_ops of @net entries, the operator of @out
 * that took each one in. */
void network_fold(const struct network *net, struct arena *a, struct network *out,
		  uint32_t *source);
/* The same where pads stay operators, as in runtimes that run what the file has. */
void network_fold_layers(const struct network *net, struct arena *a, struct network *out,
			 uint32_t *source);

/* The same operators on another input height and width. NASC_CONFIG where an
 * operator no longer fits (a pool larger than its input). */
enum nasc_status network_resize(const struct network *net, uint32_t h, uint32_t w, struct arena *a,
				struct network *out, struct nasc_err *err);

/* Equal operator by operator; names do not count. */
bool network_equal(const struct network *a, const struct network *b);

/* ---- JSON: docs/network.schema.json, "version": 1 -------------------------- */
struct json_writer;
struct cJSON;
/* As a member @key of the open object, or at the top with @key NULL. */
void network_write_json(const struct network *net, struct json_writer *w, const char *key);
/* Read and infer. NASC_DATA; messages name the operator. Operators are told by
 * "name", "op<index>" when they have none, and read "inputs", the operator
 * before them when they do not say. Their names are not kept. A list of inverted residuals
 * with the keys of MCUNet's ("resolution", "first_conv", "blocks", "classifier") is read too;
 * messages name the block. */
enum nasc_status network_from_json(const struct cJSON *json, struct arena *a, struct network *out,
				   struct nasc_err *err);

/* Is @json of either kind? What is inside may still be wrong. */
bool network_is_json(const struct cJSON *json);

/* ---- files of other programs -------------------------------------------------- */
/* A TensorFlow Lite file, schema version 3: one graph of float32, uint8 or int8 with one input
 * and a batch of 1. Layers that only move or convert what others compute are left out; of
 * several outputs the network's is the one that is made last. Pads are folded. NASC_DATA names
 * the file's operator. */
enum nasc_status network_from_tflite(const void *bytes, size_t n, struct arena *a,
				     struct network *out, struct nasc_err *err);

/* An ONNX model, with the same bounds; a batch of unknown size is one of 1. */
enum nasc_status network_from_onnx(const void *bytes, size_t n, struct arena *a,
				   struct network *out, struct nasc_err *err);

/* A network of whichever format: TensorFlow Lite by its identifier; ONNX by the ending .onnx;
 * else JSON. NASC_DATA names the file. */
enum nasc_status network_load(const char *path, struct arena *a, struct network *out,
			      struct nasc_err *err);
/* Whether @path is another program's file, by its beginning or its ending. */
bool network_is_foreign(const char *path);
#endif
