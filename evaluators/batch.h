#ifndef NASC_BATCH_H
#define NASC_BATCH_H
#include "arena.h"
#include "evaluators.h"

/* Images on their way into a network: chosen, shuffled, resized by area
 * averaging, normalised, augmented. All draws are made by the epoch, so that any
 * thread may fetch any image.
 *
 * Outside of an image lie zeros: black, silence. Angles are in degrees, lengths
 * in pixels of the network's input; an image of height 1 moves along its width
 * alone. */
struct augment {
	int64_t shift; /* moved by up to so much in both directions */
	bool flip;
	double rotate, shear; /* up to so much either way */
	double scale;	      /* larger or smaller by up to this fraction, in [0, 1) */
	int64_t cutout;	      /* side of the square of zeros, centred anywhere; after
			       * normalising: DeVries & Taylor, arXiv:1708.04552 */
	double mixup;	      /* alpha of the Beta distribution: Zhang et al., ICLR 2018 */
	size_t step;	      /* images that are mixed among each other, in order */
};
struct batch_axis { /* one output cell: the inputs it covers, weights sum to 1 */
	uint32_t first, n;
	float *weight;
};
struct batch_view {
	int8_t dx, dy;
	bool flip;
	uint16_t cut_x, cut_y;
	float back[4]; /* from a place in the output, off the centre, to one in the image */
	float mix;     /* share of the other image, [0, 1] */
};
struct batch {
	const struct dataset *data;
	struct net_shape shape;
	struct augment augment;	      /* none unless set before batch_shuffle() */
	float *mean, *scale, *offset; /* of a row's values: scale * x + offset, or, of
				       * floats, scale * (x - mean) */
	uint32_t *order;	      /* data->n; the first `n` are used */
	struct batch_view *view;      /* of each position of the order */
	size_t n;
	struct batch_axis *row, *column; /* NULL: same size */
};

/* @norm gives mean and standard deviation. Without shuffling the order is 0 … n-1. */
void batch_open(struct batch *b, const struct dataset *data, const struct dataset *norm,
		struct net_shape shape, struct arena *a);
/* Use a random @n of the images. */
struct rng;
void batch_choose(struct batch *b, size_t n, struct rng *shuffle);
/* A new order, and a new view of each image as b->augment asks for. */
void batch_shuffle(struct batch *b, struct rng *shuffle, struct rng *augment);
/* Images @first … @first + @n - 1 of the order as f32 [n][h][w][c], and labels.
 * With rotate, shear, scale or mixup @image has room for BATCH_SPARE more. */
#define BATCH_SPARE 2
void batch_fetch(const struct batch *b, size_t first, size_t n, float *image, uint8_t *label);
/* Label and share of the image that is mixed into the one at @i of the order: its mirror
 * image within the step. */
float batch_mixed(const struct batch *b, size_t i, uint8_t *label);
#endif
