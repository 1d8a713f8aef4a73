#include "batch.h"

#include <math.h>
#include <string.h>

#include "rng.h"

static struct batch_axis *axis_make(uint32_t in, uint32_t out, struct arena *a)
{
	struct batch_axis *axis = ARENA_NEW(a, struct batch_axis, out);

	for (uint32_t i = 0; i < out; i++) {
		double lo = (double)i * in / out, hi = (double)(i + 1) * in / out;
		uint32_t first = (uint32_t)lo, end = (uint32_t)ceil(hi - 1e-9);

		axis[i] =
			(struct batch_axis){ first, end - first, ARENA_NEW(a, float, end - first) };
		for (uint32_t k = first; k < end; k++)
			axis[i].weight[k - first] =
				(float)((fmin(hi, k + 1) - fmax(lo, k)) / (hi - lo));
	}
	return axis;
}

void batch_open(struct batch *b, const struct dataset *data, const struct dataset *norm,
		struct net_shape shape, struct arena *a)
{
	*b = (struct batch){ .data = data, .shape = shape, .n = data->n };
	for (uint32_t c = 0; c < shape.c && c < 4; c++) {
		double std = norm->std[c] > 1e-6f ? (double)norm->std[c] : 1;

		b->scale[c] = (float)(1 / (255 * std));
		b->offset[c] = (float)(-(double)norm->mean[c] / std);
	}
	b->order = ARENA_NEW(a, uint32_t, data->n);
	b->view = ARENA_NEW(a, struct batch_view, data->n);
	for (size_t i = 0; i < data->n; i++)
		b->order[i] = (uint32_t)i;
	if (data->shape.h != shape.h || data->shape.w != shape.w) {
		b->row = axis_make(data->shape.h, shape.h, a);
		b->column = axis_make(data->shape.w, shape.w, a);
	}
}

void batch_choose(struct batch *b, size_t n, struct rng *shuffle)
{
	rng_shuffle_u32(shuffle, b->order, b->data->n);
	b->n = n;
}

void batch_shuffle(struct batch *b, struct rng *shuffle, struct rng *augment, int64_t shift,
		   bool flip)
{
	rng_shuffle_u32(shuffle, b->order, b->n);
	for (size_t i = 0; i < b->n; i++) {
		struct batch_view *v = &b->view[i];

		v->dx = (int8_t)rng_between(augment, -shift, shift);
		v->dy = (int8_t)rng_between(augment, -shift, shift);
		v->flip = flip && rng_below(augment, 2);
	}
}

static float pixel(const struct batch *b, const uint8_t *image, uint32_t y, uint32_t x, uint32_t c)
{
	const struct net_shape *s = &b->data->shape;
	float sum = 0;

	if (!b->row)
		return image[((size_t)y * s->w + x) * s->c + c];
	for (uint32_t i = 0; i < b->row[y].n; i++) {
		const uint8_t *row = image + (size_t)(b->row[y].first + i) * s->w * s->c;
		float line = 0;

		for (uint32_t k = 0; k < b->column[x].n; k++)
			line += b->column[x].weight[k] *
				(float)row[(b->column[x].first + k) * s->c + c];
		sum += b->row[y].weight[i] * line;
	}
	return sum;
}

/* Cells shifted in from outside are black. */
static void fetch_one(const struct batch *b, const uint8_t *image, struct batch_view v, float *out)
{
	const struct net_shape s = b->shape;

	for (uint32_t y = 0; y < s.h; y++)
		for (uint32_t x = 0; x < s.w; x++)
			for (uint32_t c = 0; c < s.c; c++) {
				int64_t fy = (int64_t)y + v.dy;
				int64_t fx = (int64_t)(v.flip ? s.w - 1 - x : x) + v.dx;
				bool inside = fy >= 0 && fy < s.h && fx >= 0 && fx < s.w;
				float byte =
					inside ? pixel(b, image, (uint32_t)fy, (uint32_t)fx, c) : 0;

				*out++ = b->scale[c] * byte + b->offset[c];
			}
}

void batch_fetch(const struct batch *b, size_t first, size_t n, float *image, uint8_t *label)
{
	size_t in = net_elements(b->data->shape), out = net_elements(b->shape);

	for (size_t i = 0; i < n; i++) {
		uint32_t k = b->order[first + i];

		fetch_one(b, b->data->image + k * in, b->view[first + i], image + i * out);
		label[i] = b->data->label[k];
	}
}
