#ifndef NASC_EXPORT_H
#define NASC_EXPORT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "firmware.h"
#include "network.h"

/* A trained network leaves nasc: quantised to int8, as C, as ONNX, as JSON. */

/* ---- trained: a network with its weights, in f32 ----------------------------- */

/* Of an operator as deployed (network_fold()): batch norms and biases are in here. NULL where the
 * operator has none. */
struct trained_op {
	/* conv2d [h][w][in / groups][out], depthwise [h][w][c], dense [elements of the input][out],
	 * batch norm that could not be folded [c]: its factor */
	float *weights;
	float *bias; /* [out]; of a batch norm [c] */
};
struct trained {
	struct network net; /* folded, inferred; without a softmax at its end */
	struct trained_op *op;
	/* [n_ops] operator of the network that was trained, for messages; NULL: the same */
	const uint32_t *origin;
};
/* Read the @n bytes of a weights file of train_network(), the format described there, and fold.
 * @net: the network that it must be of; NULL: whichever it is of. NASC_DATA: not such a file, cut
 * short, of another network, or a value that is not finite. */
enum nasc_status trained_read(const void *bytes, size_t n, const struct network *net,
			      struct arena *a, struct trained *out, struct nasc_err *err);
/* The same of a file; messages name it. */
enum nasc_status trained_load(const char *path, const struct network *net, struct arena *a,
			      struct trained *out, struct nasc_err *err);

/* ---- images ------------------------------------------------------------------- */

/* Images as the network was trained on them: f32 [n][h][w][c], (pixel / 255 - mean) / std. */
struct images {
	size_t n;
	const float *image;
	const uint8_t *label; /* NULL: not known */
};

/* Outputs of all images, [n][classes], by plain loops in f32, on @threads threads. */
enum nasc_status trained_run(const struct trained *t, const struct images *images, unsigned threads,
			     float *logits, struct nasc_err *err);

/* ---- quantised: the same network in int8 ---------------------------------------- */

/* The output of an operator: a value q stands for scale * (q - zero), q in [-128, 127].
 * Weights are symmetric, one scale a channel, q in [-127, 127].
 * Source: Jacob et al., CVPR 2018; Krishnamoorthi, arXiv:1806.08342 (per channel). */
struct quantised_op {
	float scale;
	int32_t zero;
	int8_t *weights;     /* as firmware_pack() takes them; NULL: none */
	float *weight_scale; /* [out] */
	int32_t *bias;	     /* [out], in units of input scale * weight scale */
	/* What firmware/nasc_kernels.h calculates with. conv2d, depthwise, dense: [out]; mean: one
	 * per cell that can lie outside the map, and one. */
	struct nasc_requant *requant;
	uint32_t n_requant;
	/* add: one an input, all constants but the first 0; concat: one an input; batch norm: one a
	 * channel. */
	struct nasc_affine *affine;
	uint32_t shift;
};
struct quantised {
	struct network net; /* trained's */
	struct quantised_op *op;
};
/* Post-training quantisation: ranges of activations from @images. NASC_FAIL: an operator that int8
 * kernels cannot run (a grouped convolution). */
enum nasc_status quantise(const struct trained *t, const struct images *images, unsigned threads,
			  struct arena *a, struct quantised *out, struct nasc_err *err);
/* The most that a relu6 or relu by itself lets through; its least is the zero. */
int32_t quantised_high(const struct quantised *q, size_t op);
/* An image in int8: [h][w][c]. */
void quantised_input(const struct quantised *q, const float *image, int8_t *out);
/* Outputs of all images, [n][classes], bit for bit what the kernels make. */
enum nasc_status quantised_run(const struct quantised *q, const struct images *images,
			       unsigned threads, int8_t *out, struct nasc_err *err);

/* How images became what the network reads: (x - mean) / std by channel, x of bytes the byte
 * divided by 255. */
struct normalisation {
	const float *mean, *std;
	bool bytes;
};

/* ---- writers -------------------------------------------------------------------- */

/* C99 without allocation, in a folder: NAME.h and NAME.c, nasc's kernels, a self-test with images
 * and what becomes of them, and a Makefile. */
struct export_c {
	const struct quantised *network;
	const struct firmware_plan *plan; /* of network->net */
	struct normalisation norm;
	const char *name;	/* a C identifier, at most 64 bytes; export_c_name() */
	const char *about;	/* a line for the head of the header */
	const float *test;	/* images of the self-test, as struct images has them */
	const int8_t *expected; /* and what quantised_run() makes of them */
	size_t n_tests;
};
/* Whether @name can be a network's in C: none that the kernels' files or the boards' have. */
bool export_c_name(const char *name);
/* Whether an export named @name may go to @folder: it is not there, empty, or has an export of that
 * name, which is replaced. NASC_USAGE: it holds something else. */
enum nasc_status export_c_folder(const char *folder, const char *name, struct nasc_err *err);
/* @folder is made where it is missing; files of these names in it are replaced. */
enum nasc_status export_c(const struct export_c *e, const char *folder, struct nasc_err *err);

/* ONNX, opset 13: images in, f32 [1][c][h][w], logits out, f32 [1][classes]. */
enum nasc_status export_onnx_float(const struct trained *t, const char *path, struct nasc_err *err);
/* The same with a QuantizeLinear and DequantizeLinear behind every operator, and int8 weights. */
enum nasc_status export_onnx_int8(const struct quantised *q, const char *path,
				  struct nasc_err *err);

/* Network, normalisation, scales, weights and biases as JSON, "version": 1: docs/export.md. */
enum nasc_status export_json(const struct quantised *q, const struct normalisation *norm,
			     const char *path, struct nasc_err *err);
#endif
