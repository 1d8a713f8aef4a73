#ifndef NASC_DIRECT_FILL_H
#define NASC_DIRECT_FILL_H
#include "direct.h"
#include "rows.h"

/* From tensors into the scratch: the part of direct.c that fills. */
#ifdef DIRECT_TILES
#define BF16 true
typedef uint16_t stored;
#else
#define BF16 false
typedef float stored;
#endif

enum fill_kind { FILL_PLAIN, FILL_NORM, FILL_SETTLE };
struct fill {
	struct rows x, g;   /* settle: g + a * x + b; norm: act(a * x + b); else x */
	const float *a, *b; /* a channel */
	enum kernel_act act;
	size_t c, step;	    /* pixels of x from one value to the next */
	size_t pool, width; /* mean of pool * pool cells; cells a row */
	size_t twice;	    /* bf16: channels from here on belong to the pixel before too */
	size_t pairs;	    /* bf16: pairs of a group of 16 channels; 0: pixels of `pitch` */
	size_t pitch;	    /* channels */
	stored *out;
};

INLINE vf fill_cell(const struct fill *f, size_t p, size_t at, vf a, vf b, enum fill_kind kind,
		    enum kernel_act act)
{
	vf x = rows_get(f->x, p, at, BF16);

	if (kind == FILL_SETTLE)
		return rows_get(f->g, p, at, BF16) + vector_fma(a, x, b);
	return kind == FILL_NORM ? act_apply(vector_fma(a, x, b), act) : x;
}

INLINE vf fill_value(const struct fill *f, size_t p, size_t at, vf a, vf b, vi mask, bool part,
		     enum fill_kind kind, enum kernel_act act)
{
	vf v = vector_splat(0);

	if (f->pool == 1) {
		v = fill_cell(f, p, at, a, b, kind, act);
	} else {
		for (size_t y = 0; y < f->pool; y++)
			for (size_t x = 0; x < f->pool; x++)
				v += fill_cell(f, p + y * f->width + x, at, a, b, kind, act);
		v *= vector_splat(1 / (float)(f->pool * f->pool));
	}
	return part ? vector_select(mask, v, vector_splat(0)) : v;
}

INLINE vu bf16_round(vf v)
{
	vu u = (vu)v;

	return u + 0x7fff + ((u >> 16) & 1);
}

/* Pixels [to, to + n) of the scratch, from pixel @from on. */
INLINE void fill_pixels(const struct fill *f, size_t from, size_t to, size_t n, size_t at,
			bool part, enum fill_kind kind, enum kernel_act act)
{
	vf a = vector_splat(0), b = a;
	vi mask = vector_mask(at, f->c);
	stored *out = f->out + to * f->pitch + at;

	if (kind != FILL_PLAIN) {
		a = vector_get(f->a, at, false);
		b = vector_get(f->b, at, false);
	}
	for (size_t i = 0; i < n; i++) {
		vf v = fill_value(f, from + i * f->step, at, a, b, mask, part, kind, act);

		vector_put(out, i * f->pitch, v, BF16);
#ifdef DIRECT_TILES
		if (at >= f->twice)
			bf16_narrow(out + i * f->pitch - f->pitch + 16, v);
#endif
	}
}

#ifdef DIRECT_TILES
/* The same as pairs of pixels: [16 channels] of (even, odd). */
INLINE void fill_pairs(const struct fill *f, size_t from, size_t to, size_t n, size_t at, bool part,
		       enum fill_kind kind, enum kernel_act act)
{
	vf a = vector_splat(0), b = a;
	vi mask = vector_mask(at, f->c);
	uint32_t *out = (uint32_t *)(void *)f->out + (at / 16 * f->pairs + to / 2) * 16 + at % 16;
	size_t i = 0;
	vu low, high;

	if (kind != FILL_PLAIN) {
		a = vector_get(f->a, at, false);
		b = vector_get(f->b, at, false);
	}
#define VALUE(k) bf16_round(fill_value(f, from + (k)*f->step, at, a, b, mask, part, kind, act))
	if (to % 2 == 1) {
		high = VALUE(i++) & 0xffff0000u;
		memcpy(out, &high, sizeof high);
		out += 16;
	}
	for (; i + 2 <= n; i += 2, out += 16) {
		low = VALUE(i) >> 16;
		high = VALUE(i + 1) & 0xffff0000u;
		low |= high;
		memcpy(out, &low, sizeof low);
	}
	if (i < n) {
		low = VALUE(i) >> 16;
		memcpy(out, &low, sizeof low);
	}
#undef VALUE
}
#else
#define fill_pairs fill_pixels
#endif

INLINE void fill_run_as(const struct fill *f, size_t from, size_t to, size_t n, enum fill_kind kind,
			enum kernel_act act)
{
	for (size_t at = 0; at < f->c; at += LANES) {
		bool part = at + LANES > f->c;

		if (f->pairs && part)
			fill_pairs(f, from, to, n, at, true, kind, act);
		else if (f->pairs)
			fill_pairs(f, from, to, n, at, false, kind, act);
		else if (part)
			fill_pixels(f, from, to, n, at, true, kind, act);
		else
			fill_pixels(f, from, to, n, at, false, kind, act);
	}
}

static void fill_run(const struct fill *f, size_t from, size_t to, size_t n, enum fill_kind kind)
{
	if (kind == FILL_PLAIN)
		fill_run_as(f, from, to, n, FILL_PLAIN, KERNEL_LINEAR);
	else if (kind == FILL_SETTLE)
		fill_run_as(f, from, to, n, FILL_SETTLE, KERNEL_LINEAR);
	else if (f->act == KERNEL_RELU)
		fill_run_as(f, from, to, n, FILL_NORM, KERNEL_RELU);
	else
		fill_run_as(f, from, to, n, FILL_NORM, f->act);
}

static size_t twice_from(size_t c)
{
	return c % 32 >= 1 && c % 32 <= 16 ? c / 32 * 32 : SIZE_MAX;
}

/* A row of an image whose cells under the kernel become the channels of one pixel. */
static void fill_patch_row(const struct direct *d, const struct fill *f, size_t image, size_t oy,
			   size_t to)
{
	const struct direct_shape *s = &d->shape;
	const stored *x = f->x.at;

	for (size_t t = 0; t < d->patch_kh * d->patch_kw; t++) {
		size_t iy = oy * d->patch_stride + t / d->patch_kw - s->top;

		for (size_t ox = 0; ox < s->ow && iy < d->patch_h; ox++) {
			size_t ix = ox * d->patch_stride + t % d->patch_kw - s->left, m = to + ox;
			const stored *cell =
				x + ((image * d->patch_h + iy) * d->patch_w + ix) * f->x.stride;

			for (size_t c = 0, k = t * d->patch; c < d->patch && ix < d->patch_w;
			     c++, k++)
				if (f->pairs)
					f->out[(k / 16 * f->pairs + m / 2) * 32 + k % 16 * 2 +
					       m % 2] = cell[c];
				else
					f->out[m * f->pitch + k] = cell[c];
		}
	}
}

/* Rows of plane (@py, @px) of image @image of the tensor, the @nth of the stack. */
static void fill_plane(const struct direct *d, const struct fill *f, enum fill_kind kind,
		       size_t image, size_t nth, size_t py, size_t px)
{
	const struct direct_shape *s = &d->shape;
	size_t st = s->stride, x0 = s->left > px ? (s->left - px + st - 1) / st : 0;
	size_t x1 = (s->w + s->left - px + st - 1) / st, pool = s->pool;

	for (size_t y = 0; y < d->rows; y++) {
		size_t iy = y * st + py - s->top, ix = x0 * st + px - s->left;

		if (iy < s->h) /* a row above is far beyond */
			fill_run(f, ((image * s->h + iy) * pool * s->w + ix) * pool,
				 nth * d->span + y * d->pitch + x0, x1 - x0, kind);
	}
}

static void fill_input(const struct direct *d, const struct direct_source *source, size_t first,
		       size_t images, bool paired, stored *out)
{
	const struct direct_shape *s = &d->shape;
	struct fill f = { .x = source->x,
			  .a = source->scale,
			  .b = source->shift,
			  .act = source->act,
			  .c = s->c,
			  .step = (size_t)s->stride * s->pool,
			  .pool = s->pool,
			  .width = (size_t)s->w * s->pool,
			  .twice = twice_from(s->c),
			  .pairs = BF16 && paired ? d->pairs : 0,
			  .pitch = d->cp };

	for (size_t i = 0; i < images; i++) {
		f.out = out;
		for (size_t oy = 0; d->patch && oy < s->oh; oy++)
			fill_patch_row(d, &f, first + i, oy, i * d->span + oy * d->pitch);
		for (size_t p = 0; !d->patch && p < d->planes; p++) {
			size_t py = p / s->stride, px = p % s->stride;

			if (py < s->kh && px < s->kw)
				fill_plane(d, &f, source->scale ? FILL_NORM : FILL_PLAIN, first + i,
					   i, py, px);
			f.out += f.pairs ? d->c_groups * d->pairs * 32 : d->plane_pixels * d->cp;
		}
	}
}

static void fill_gradient(const struct direct *d, const struct direct_backward *b, size_t first,
			  size_t images, stored *out)
{
	const struct direct_shape *s = &d->shape;
	struct fill f = { .x = b->slope ? b->y : b->g,
			  .g = b->g,
			  .a = b->slope,
			  .b = b->offset,
			  .c = s->n,
			  .step = 1,
			  .pool = 1,
			  .twice = twice_from(s->n),
			  .pitch = d->np,
			  .out = out };

	for (size_t i = 0; i < images; i++)
		for (size_t y = 0; y < s->oh; y++)
			fill_run(&f, ((first + i) * s->oh + y) * s->ow,
				 d->reach + i * d->span + y * d->pitch, s->ow,
				 b->slope ? FILL_SETTLE : FILL_PLAIN);
}
#endif
