#ifndef NASC_DIRECT_H
#define NASC_DIRECT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "kernels.h"

/* Convolutions of our own in bf16, fused with the work around them: they read and write slices of
 * wide tensors where they lie, so that nothing is copied for them.
 *
 *   forward   x -> norm, activation, mean of pool * pool cells -> convolution -> y, and y's sums
 *   backward  g, settled (+ slope * y + offset) -> weight gradient -> input gradient -> through
 *             pool, activation and norm -> d, and the sums a norm needs
 *
 * A few images at a time, as many as the second-level cache holds, are brought into a scratch
 * with a border of zeros, in which a tap of the kernel is a constant distance:
 *
 *   plane     stride 1: the padded image, rows `pitch` pixels apart. Neighbouring rows and images
 *             share their border. Stride s: s * s planes, one for each remainder of y and x, in
 *             each of which the convolution has stride 1
 *   product   DIRECT_BLOCK pixels in a row of a plane by 16 channels: the sum over steps (a tap and
 *             a few channels) of pixels x channels times channels x 16
 *
 * Products have f32 sums, in AMX tiles (Intel 64 and IA-32 Architectures Software Developer's
 * Manual, volume 2, TDPBF16PS). The order of every sum is fixed by the sizes alone. */
#define DIRECT_GROUP	  16 /* channels of a product */
#define DIRECT_BLOCK	  64 /* pixels of a product */
#define DIRECT_FRONT	  64 /* bytes of zeros in front of a region of the scratch */
#define DIRECT_NONE	  UINT16_MAX
#define DIRECT_STEP_BYTES 1024 /* a step's weights for a group: one tile */

struct direct_shape {
	uint32_t images, h, w, c, oh, ow, n; /* c in, n out */
	uint32_t kh, kw, stride, top, left;
	uint32_t pool;	    /* input cell = mean of pool * pool cells of the source; 1: itself */
	uint32_t in_stored; /* weights: [kh][kw][in_stored][out_stored] */
	uint32_t out_stored;
	bool back_data;
};

/* Pixels `pixel` behind those of the block, from their channel 32 * group on: two halves of 16
 * channels, first[] on, each of a tap. A pixel with at most 16 channels left has the next pixel's
 * behind them. */
struct direct_step {
	int32_t pixel;
	uint16_t group, tap[2], first[2];
};

struct direct {
	struct direct_shape shape;
	uint32_t patch; /* channels of the source when its kh * kw cells were made the channels */
	uint32_t patch_kh, patch_kw, patch_stride, patch_h, patch_w;
	uint32_t pitch, rows, span; /* pixels a row, rows and pixels an image */
	uint32_t planes, stack;	    /* images at a time */
	uint32_t reach;		    /* furthest tap, in pixels of a plane */
	uint32_t cp, np;	    /* channels a pixel of the scratch: input, gradient */
	uint32_t c_groups, n_groups;
	uint32_t n_forward, *n_back; /* steps; back: of each plane */
	struct direct_step *forward, **back;
	ptrdiff_t *forward_at, **back_at;	 /* steps in elements of the scratch */
	size_t plane_pixels, pairs;		 /* backward: pixel pairs of a plane */
	size_t turned_pitch;			 /* pixels a row of the transposed gradient */
	size_t gradient_at, turned_at, patch_at; /* bytes into the scratch */
	size_t scratch_bytes, forward_bytes, back_bytes, sums_bytes;
};

/* Can it be done so? Then everything about it into @d, arrays in @a. */
bool direct_plan(struct direct *d, const struct direct_shape *s, struct arena *a);
/* Master weights to the two layouts of the products; @back NULL without back_data. */
void direct_pack(const struct direct *d, const float *weights, void *forward, void *back);

struct direct_source {
	struct rows x;
	const float *scale, *shift; /* of a norm in front; NULL: none */
	enum kernel_act act;	    /* behind it */
};
struct direct_forward {
	struct direct_source source;
	struct rows y;
	const void *packed;
	const float *bias;    /* NULL: none */
	double *sum, *sum_sq; /* n: of y and y * y; NULL: not wanted */
	bool first;	      /* images: sums begin at 0; else they are added to */
	void *scratch;
};
struct direct_backward {
	struct direct_source source;
	struct rows g, y;	     /* of the output; y for slope and offset */
	const float *slope, *offset; /* NULL: g is complete */
	struct rows d;		     /* of source.x; at NULL: not wanted */
	bool accumulate;
	bool first;		/* images: sums, gradients of weights begin at 0 */
	const float *mean;	/* of source.x, with a norm */
	double *sum_g, *sum_gx; /* as struct norm_back, with a norm */
	const void *packed;	/* NULL without back_data */
	float *weights, *bias;	/* gradients; bias NULL: none */
	void *scratch;
	float *sums; /* sums_bytes */
};

struct direct_kernels {
	void (*forward)(const struct direct *d, const struct direct_forward *f);
	void (*backward)(const struct direct *d, const struct direct_backward *b);
};
extern const struct direct_kernels direct_amx;

/* NULL: this CPU has no tiles, or the system or ONEDNN_MAX_CPU_ISA do not allow them. */
const struct direct_kernels *direct_choose(void);

/* Bytes into one memory of both, where the sums are behind the scratch. */
static inline size_t direct_sums_at(const struct direct *d)
{
	return (d->scratch_bytes + 63) / 64 * 64;
}

static inline size_t direct_weight(const struct direct *d, size_t tap, size_t c, size_t n)
{
	if (d->patch) {
		tap = c / d->patch;
		c = c % d->patch;
	}
	return (tap * d->shape.in_stored + c) * d->shape.out_stored + n;
}
#endif
