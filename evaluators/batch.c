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
	size_t row = (size_t)shape.w * shape.c;

	*b = (struct batch){ .data = data, .shape = shape, .n = data->n };
	b->mean = ARENA_NEW(a, float, row);
	b->scale = ARENA_NEW(a, float, row);
	b->offset = ARENA_NEW(a, float, row);
	for (size_t i = 0; i < row; i++) {
		size_t c = i % shape.c;
		double std = norm->std[c] > 0 ? (double)norm->std[c] : 1;

		b->mean[i] = norm->mean[c];
		b->scale[i] = (float)(1 / (data->pixel == PIXEL_U8 ? 255 * std : std));
		b->offset[i] = (float)(-(double)norm->mean[c] / std);
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

/* ---- draws ------------------------------------------------------------------- */

static bool warps(const struct augment *g)
{
	return g->rotate > 0 || g->shear > 0 || g->scale > 0;
}

static double either_way(struct rng *r, double most)
{
	return most * (2 * rng_unit(r) - 1);
}

/* The inverse of: scale, then shear along x, then rotate. */
static void draw_warp(const struct batch *b, struct rng *r, float back[4])
{
	const double degree = 3.14159265358979323846 / 180;
	double angle = either_way(r, b->augment.rotate) * degree;
	double shear = tan(either_way(r, b->augment.shear) * degree);
	double inverse = 1 / (1 + either_way(r, b->augment.scale));
	double cosine = cos(angle), sine = sin(angle);

	back[0] = (float)(inverse * (cosine + shear * sine));
	back[1] = (float)(inverse * (sine - shear * cosine));
	back[2] = (float)(inverse * -sine);
	back[3] = (float)(inverse * cosine);
	if (b->shape.h == 1)
		back[3] = 1;
}

static void draw_view(const struct batch *b, struct rng *r, struct batch_view *v)
{
	const struct augment *g = &b->augment;
	int64_t dy = b->shape.h > 1 ? g->shift : 0;

	v->dx = (int8_t)rng_between(r, -g->shift, g->shift);
	v->dy = (int8_t)rng_between(r, -dy, dy);
	v->flip = g->flip && rng_below(r, 2);
	if (warps(g))
		draw_warp(b, r, v->back);
	if (g->cutout) {
		v->cut_x = (uint16_t)rng_below(r, b->shape.w);
		v->cut_y = (uint16_t)rng_below(r, b->shape.h);
	}
}

void batch_shuffle(struct batch *b, struct rng *shuffle, struct rng *augment)
{
	const struct augment *g = &b->augment;
	float mix = 0;

	rng_shuffle_u32(shuffle, b->order, b->n);
	for (size_t i = 0; i < b->n; i++) {
		draw_view(b, augment, &b->view[i]);
		if (g->mixup > 0 && i % g->step == 0)
			mix = (float)rng_beta(augment, g->mixup);
		b->view[i].mix = mix;
	}
}

/* ---- one image --------------------------------------------------------------- */

static inline float value(const struct dataset *d, size_t i)
{
	return d->pixel == PIXEL_F32 ? ((const float *)d->image)[i]
				     : (float)((const uint8_t *)d->image)[i];
}

/* The mean of the cells that one output cell covers, @row: its first value. */
static float column_mean(const struct dataset *d, const struct batch_axis *column, size_t row,
			 uint32_t c)
{
	size_t cell = row + (size_t)column->first * d->shape.c + c;
	float sum = 0;

	for (uint32_t k = 0; k < column->n; k++)
		sum += column->weight[k] * value(d, cell + (size_t)k * d->shape.c);
	return sum;
}

static void row_resized(const struct batch *b, size_t image, uint32_t y, float *to)
{
	const struct net_shape *s = &b->data->shape;

	memset(to, 0, (size_t)b->shape.w * s->c * sizeof *to);
	for (uint32_t i = 0; i < b->row[y].n; i++) {
		size_t row = image + (size_t)(b->row[y].first + i) * s->w * s->c;
		float weight = b->row[y].weight[i];

		for (uint32_t x = 0; x < b->shape.w; x++)
			for (uint32_t c = 0; c < s->c; c++)
				to[x * s->c + c] +=
					weight * column_mean(b->data, &b->column[x], row, c);
	}
}

/* Row @y of image @k, resized and normalised. */
static void row_fetch(const struct batch *b, uint32_t k, uint32_t y, float *to)
{
	const struct dataset *d = b->data;
	size_t image = k * net_elements(d->shape), n = (size_t)b->shape.w * b->shape.c;
	size_t row = image + y * n; /* where nothing is resized */

	if (b->row)
		row_resized(b, image, y, to);
	else if (d->pixel == PIXEL_F32)
		memcpy(to, (const float *)d->image + row, n * sizeof *to);
	else
		for (size_t i = 0; i < n; i++)
			to[i] = (float)((const uint8_t *)d->image)[row + i];
	if (d->pixel == PIXEL_F32)
		for (size_t i = 0; i < n; i++)
			to[i] = b->scale[i] * (to[i] - b->mean[i]);
	else
		for (size_t i = 0; i < n; i++)
			to[i] = b->scale[i] * to[i] + b->offset[i];
}

static void black(const struct batch *b, float *to, size_t n)
{
	memcpy(to, b->offset, n * sizeof *to);
}

static void row_shift(const struct batch *b, int64_t dx, float *row)
{
	int64_t c = b->shape.c, n = (int64_t)b->shape.w * c, by = dx * c;

	if (by == 0)
		return;
	if (by <= -n || by >= n) {
		black(b, row, (size_t)n);
	} else if (by > 0) {
		memmove(row, row + by, (size_t)(n - by) * sizeof *row);
		black(b, row + n - by, (size_t)by);
	} else {
		memmove(row - by, row, (size_t)(n + by) * sizeof *row);
		black(b, row, (size_t)-by);
	}
}

static void row_flip(const struct batch *b, float *row)
{
	size_t c = b->shape.c;

	for (size_t i = 0, k = b->shape.w - 1; i < k; i++, k--)
		for (size_t j = 0; j < c; j++) {
			float t = row[i * c + j];

			row[i * c + j] = row[k * c + j];
			row[k * c + j] = t;
		}
}

/* Image @k shifted and flipped. */
static void moved(const struct batch *b, uint32_t k, const struct batch_view *v, float *out)
{
	size_t n = (size_t)b->shape.w * b->shape.c;

	for (uint32_t y = 0; y < b->shape.h; y++, out += n) {
		int64_t from = (int64_t)y + v->dy;

		if (from < 0 || from >= b->shape.h) {
			black(b, out, n);
			continue;
		}
		row_fetch(b, k, (uint32_t)from, out);
		row_shift(b, v->dx, out);
		if (v->flip)
			row_flip(b, out);
	}
}

/* The pixel at a place between four of @image; outside it is black. */
static void between(const struct batch *b, const float *image, float x, float y, float *out)
{
	int64_t w = b->shape.w, h = b->shape.h, c = b->shape.c;
	int64_t x0 = (int64_t)floorf(x), y0 = (int64_t)floorf(y);
	float right = x - (float)x0, down = y - (float)y0;
	const float part[4] = { (1 - down) * (1 - right), (1 - down) * right, down * (1 - right),
				down * right };
	const float *at[4];

	if (x0 >= 0 && x0 + 1 < w && y0 >= 0 && y0 + 1 < h) {
		at[0] = image + (y0 * w + x0) * c;
		at[1] = at[0] + c;
		at[2] = at[0] + w * c;
		at[3] = at[2] + c;
	} else {
		for (int64_t k = 0; k < 4; k++) {
			int64_t at_x = x0 + k % 2, at_y = y0 + k / 2;

			at[k] = at_x >= 0 && at_x < w && at_y >= 0 && at_y < h
					? image + (at_y * w + at_x) * c
					: b->offset;
		}
	}
	for (int64_t i = 0; i < c; i++)
		out[i] = part[0] * at[0][i] + part[1] * at[1][i] + part[2] * at[2][i] +
			 part[3] * at[3][i];
}

/* @image turned, sheared and scaled about its centre. */
static void warped(const struct batch *b, const struct batch_view *v, const float *image,
		   float *out)
{
	float middle_x = (float)(b->shape.w - 1) / 2, middle_y = (float)(b->shape.h - 1) / 2;

	for (uint32_t y = 0; y < b->shape.h; y++)
		for (uint32_t x = 0; x < b->shape.w; x++) {
			float off_x = (float)x - middle_x, off_y = (float)y - middle_y;
			float from_x = v->back[0] * off_x + v->back[1] * off_y + middle_x;
			float from_y = v->back[2] * off_x + v->back[3] * off_y + middle_y;

			between(b, image, from_x, from_y, out);
			out += b->shape.c;
		}
}

static void cut_out(const struct batch *b, const struct batch_view *v, float *out)
{
	int64_t side = b->augment.cutout, left = v->cut_x - side / 2, top = v->cut_y - side / 2;
	int64_t right = left + side, bottom = top + side;

	if (b->shape.h == 1)
		top = 0, bottom = 1;
	left = left > 0 ? left : 0;
	top = top > 0 ? top : 0;
	right = right < b->shape.w ? right : b->shape.w;
	bottom = bottom < b->shape.h ? bottom : b->shape.h;
	for (int64_t y = top; y < bottom; y++)
		memset(out + (y * b->shape.w + left) * b->shape.c, 0,
		       (size_t)(right - left) * b->shape.c * sizeof *out);
}

/* Position @i of the order; @spare: one image. */
static void fetch_one(const struct batch *b, size_t i, float *out, float *spare)
{
	const struct batch_view *v = &b->view[i];
	bool warp = warps(&b->augment);

	moved(b, b->order[i], v, warp ? spare : out);
	if (warp)
		warped(b, v, spare, out);
	if (b->augment.cutout)
		cut_out(b, v, out);
}

/* Position that is mixed into @i; itself in the middle of a step. */
static size_t mirror(const struct batch *b, size_t i)
{
	size_t step = b->augment.step, first = i / step * step;

	return first + step - 1 - (i - first);
}

float batch_mixed(const struct batch *b, size_t i, uint8_t *label)
{
	*label = b->data->label[b->order[mirror(b, i)]];
	return b->view[i].mix;
}

void batch_fetch(const struct batch *b, size_t first, size_t n, float *image, uint8_t *label)
{
	size_t out = net_elements(b->shape);
	float *other = image + n * out, *spare = other + out;

	for (size_t i = 0; i < n; i++, image += out) {
		float mix = b->view[first + i].mix;

		label[i] = b->data->label[b->order[first + i]];
		fetch_one(b, first + i, image, spare);
		if (mix <= 0)
			continue;
		fetch_one(b, mirror(b, first + i), other, spare);
		for (size_t k = 0; k < out; k++)
			image[k] += mix * (other[k] - image[k]);
	}
}

void dataset_fetch(const struct dataset *data, const struct dataset *norm, struct net_shape shape,
		   struct rng *choose, size_t first, size_t n, float *image, uint8_t *label)
{
	struct arena a = { 0 };
	struct batch b;

	batch_open(&b, data, norm, shape, &a);
	if (choose)
		batch_choose(&b, first + n, choose);
	for (size_t i = 0; i < n; i++, image += net_elements(shape)) {
		label[i] = data->label[b.order[first + i]];
		moved(&b, b.order[first + i], &b.view[first + i], image); /* by nothing */
	}
	arena_free(&a);
}
