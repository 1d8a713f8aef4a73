#ifndef NASC_EXECUTE_H
#define NASC_EXECUTE_H
#include "export.h"

/* A network run image by image. Maps are f32, [h][w][c]; values of int8 and sums of their products
 * are exact in what sums are kept in, so one executor serves both arithmetics. */
struct arithmetic {
	const void *ctx;
	/* [op]: weights as struct trained_op has them, none grouped; NULL: none */
	const float *const *weights;
	/* Value of cells around operator @op's input. */
	float (*padding)(const void *ctx, size_t op);
	/* One pixel of a convolution, dense layer or mean out of sums of products, for each
	 * channel;
	 * @cells: that were in the window, of a mean. */
	void (*finish)(const void *ctx, size_t op, const double *sum, uint32_t cells, float *y);
	/* A whole map of: add, concat, batch norm, relu, relu6, softmax. */
	void (*combine)(const void *ctx, size_t op, const float *const *x, float *y);
};

/* Run @net on @n images, [h][w][c] of @net's input each, on @threads threads; see(ctx, image, op,
 * map) for every operator, in order within an image. */
struct execution {
	const struct network *net;
	const struct arithmetic *arithmetic;
	const float *image;
	size_t n;
	unsigned threads;
	/* Makes of an image what the first operator reads. NULL: as it is. */
	void (*enter)(const void *ctx, const float *image, float *x);
	void (*see)(void *ctx, unsigned worker, size_t image, size_t op, const float *map);
	void *see_ctx;
};
enum nasc_status execute(const struct execution *e, struct nasc_err *err);

/* Of trained_run(); lists in @a. */
struct arithmetic trained_arithmetic(const struct trained *t, struct arena *a);
#endif
