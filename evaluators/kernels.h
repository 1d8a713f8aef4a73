#ifndef NASC_KERNELS_H
#define NASC_KERNELS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Elementwise work of training, over pixels and channels. Storage is f32 or
 * bf16 (bfloat16, rounded to nearest even), arithmetic is f32, sums over pixels
 * are folded into f64. The order of every sum is fixed by the sizes alone.
 *
 * Tensors are rows of pixels: n rows of c channels, `stride` elements apart.
 * A row's memory may be read, and written back unchanged, up to KERNEL_SLACK
 * bytes behind its last channel. `whole`: the row is padded with channels up to
 * a multiple of KERNEL_BLOCK that belong to it; writing it writes zeros there. */
#define KERNEL_BLOCK 16
#define KERNEL_SLACK 64
struct rows {
	void *at;
	size_t stride;
	bool whole;
};

enum kernel_act { KERNEL_LINEAR, KERNEL_RELU, KERNEL_RELU6 };

struct kernel_window { /* of a pool or depthwise convolution, from ih * iw to oh * ow pixels an
			  image */
	size_t images, ih, iw, oh, ow, kh, kw, stride, top, left;
	bool average; /* else maximum; padded cells do not count */
};

/* Every input cell belongs to exactly one window. */
static inline bool kernel_window_tiles(const struct kernel_window *w)
{
	return w->kh == w->stride && w->kw == w->stride && w->top == 0 && w->left == 0 &&
	       w->oh * w->stride == w->ih && w->ow * w->stride == w->iw;
}

struct norm_back {
	struct rows g, x, dst; /* gradient of the output; input and its gradient */
	const float *scale, *shift, *mean;
	enum kernel_act act;
	bool want_dst, accumulate;
	double *sum_g, *sum_gx; /* c: added to, sums of g' and g' * (x - mean), g' = g behind act */
};

static inline size_t kernel_signs_words(size_t n, size_t c) /* an even number */
{
	return (n * ((c + KERNEL_BLOCK - 1) / KERNEL_BLOCK * KERNEL_BLOCK) / 64 + KERNEL_BLOCK) * 2;
}

struct kernel_adamw {
	float beta1, beta2, epsilon;
	float rate, root; /* 1 / (1 - beta1^t) of the rate, 1 / sqrt(1 - beta2^t) */
	float shrink;	  /* 1 - rate * decay */
};

struct kernels {
	/* Adds the sums of x and x * x of each channel. */
	void (*stats)(struct rows x, size_t n, size_t c, double *sum, double *sum_sq);
	/* y = act(scale * x + shift); scale, shift: c rounded up to the block. */
	void (*norm)(struct rows x, struct rows y, size_t n, size_t c, const float *scale,
		     const float *shift, enum kernel_act act);
	/* dst (+)= scale * g', and adds the sums. */
	void (*norm_back)(const struct norm_back *b, size_t n, size_t c);
	/* dst (+)= g + slope * x + offset; slope, offset: readable to the block. */
	void (*affine)(struct rows g, struct rows x, struct rows dst, size_t n, size_t c,
		       const float *slope, const float *offset, bool accumulate);
	void (*copy)(struct rows src, struct rows dst, size_t n, size_t c, bool accumulate);
	void (*zero)(struct rows dst, size_t n, size_t c);
	void (*act)(struct rows x, struct rows y, size_t n, size_t c, enum kernel_act act);
	void (*act_back)(struct rows y, struct rows g, struct rows dst, size_t n, size_t c,
			 enum kernel_act act, bool accumulate);
	void (*add)(struct rows a, struct rows b, struct rows dst, size_t n, size_t c);
	void (*pool)(const struct kernel_window *w, struct rows x, struct rows y, size_t c);
	/* Adds to dst, except where kernel_window_tiles(): there it may store. */
	void (*pool_back)(const struct kernel_window *w, struct rows x, struct rows y,
			  struct rows g, struct rows dst, size_t c, bool accumulate);
	/* Mean over the pixels of each image, and back. */
	void (*mean)(struct rows x, struct rows y, size_t images, size_t pixels, size_t c);
	void (*mean_back)(struct rows g, struct rows dst, size_t images, size_t pixels, size_t c,
			  bool accumulate);
	/* Adds the weight gradient of a depthwise convolution: dw [kh][kw][pitch]. */
	void (*depthwise_back)(const struct kernel_window *w, struct rows x, struct rows g,
			       size_t c, float *dw, size_t pitch);
	/* Bit by bit, is it above 0? In an order that n, c and the table decide; bits of no
	 * value are 0. @code: kernel_signs_words(), zero at first. */
	void (*signs)(struct rows y, size_t n, size_t c, uint32_t *code);
	/* Between storage and dense f32 [n][c]. */
	void (*from_f32)(const float *src, struct rows dst, size_t n, size_t c);
	void (*to_f32)(struct rows src, float *dst, size_t n, size_t c);

	/* f32 vectors, the same in both tables. */
	void (*sum)(float *dst, const float *src, size_t n); /* dst += src */
	/* Nesterov: v = momentum * v + (g + decay * w); w -= rate * (g + decay * w + momentum * v).
	 * Source: Sutskever et al., ICML 2013, in the form of PyTorch's SGD. */
	void (*sgd)(float *w, float *v, const float *g, size_t n, float rate, float momentum,
		    float decay);
	/* m, v: means of g and g * g; w *= shrink; w -= rate * m / (sqrt(v) * root + epsilon).
	 * Source: Loshchilov & Hutter, ICLR 2019, in the form of PyTorch's AdamW. */
	void (*adamw)(float *w, float *m, float *v, const float *g, size_t n,
		      const struct kernel_adamw *a);
	void (*average)(float *dst, const float *src, size_t n,
			float part); /* += part of the way */
};

/* The fastest table this CPU can run. */
const struct kernels *kernels_choose(bool bf16);

extern const struct kernels kernels_v2[2], kernels_v3[2], kernels_v4[2]; /* [bf16] */
#endif
