#ifndef NASC_BATCH_H
#define NASC_BATCH_H
#include "arena.h"
#include "evaluators.h"

/* Images on their way into a network: chosen, shuffled, resized by area
 * averaging, shifted, flipped, normalised. All draws are made by the epoch, so
 * that any thread may fetch any image. */
struct batch_axis { /* one output cell: the inputs it covers, weights sum to 1 */
	uint32_t first, n;
	float *weight;
};
struct batch_view {
	int8_t dx, dy;
	bool flip;
};
struct batch {
	const struct dataset *data;
	struct net_shape shape;
	float scale[4], offset[4]; /* normalised = scale * byte + offset */
	uint32_t *order;	   /* data->n; the first `n` are used */
	struct batch_view *view;   /* of each position of the order */
	size_t n;
	struct batch_axis *row, *column; /* NULL: same size */
};

/* @norm gives mean and standard deviation. Without shuffling the order is 0 … n-1. */
void batch_open(struct batch *b, const struct dataset *data, const struct dataset *norm,
		struct net_shape shape, struct arena *a);
/* Use a random @n of the images. */
struct rng;
void batch_choose(struct batch *b, size_t n, struct rng *shuffle);
void batch_shuffle(struct batch *b, struct rng *shuffle, struct rng *augment, int64_t shift,
		   bool flip);
/* Images @first … @first + @n - 1 of the order as f32 [n][h][w][c], and labels. */
void batch_fetch(const struct batch *b, size_t first, size_t n, float *image, uint8_t *label);
#endif
