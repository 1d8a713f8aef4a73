#ifndef NASC_DIRECT_FILL_H
#define NASC_DIRECT_FILL_H
#include "direct.h"
#include "rows.h"

/* From tensors into the scratch: the part of direct.c that fills. */
#define BF16 true /* of what vectors are read from and written to */

enum fill_kind { FILL_PLAIN, FILL_NORM, FILL_SETTLE };
struct fill {
	struct rows x, g;   /* settle: g + a * x + b; norm: act(a * x + b); else x */
	const float *a, *b; /* a channel */
	enum kernel_act act;
	size_t c, step;	    /* pixels of x from one value to the next */
	size_t pool, width; /* mean of pool * pool cells; cells a row */
	size_t twice;	    /* channels from here on belong to the pixel before too */
	size_t pairs;	    /* pairs of a group of 16 channels; 0: pixels of `pitch` */
	size_t pitch;	    /* channels */
	uint16_t *out;
};

/* A run of pixels, for one vector of channels: everything that its loop needs. */
struct cursor {
	const uint16_t *x, *g;
	size_t x_step, g_step; /* elements from one value to the next */
	size_t pool, down, right;
	size_t ahead; /* values: as far in front memory is fetched */
	vf a, b;
	vi mask;
};

INLINE struct cursor cursor_at(const struct fill *f, size_t from, size_t n, size_t at,
			       enum fill_kind kind)
{
	struct cursor k = { .x = (const uint16_t *)f->x.at + from * f->x.stride + at,
			    .x_step = f->step * f->x.stride,
			    .pool = f->pool,
			    .down = f->width * f->x.stride,
			    .right = f->x.stride,
			    .ahead = n,
			    .mask = vector_mask(at, f->c) };

	if (kind == FILL_SETTLE) {
		k.g = (const uint16_t *)f->g.at + from * f->g.stride + at;
		k.g_step = f->step * f->g.stride;
	}
	if (kind != FILL_PLAIN) {
		k.a = vector_get(f->a, at, false);
		k.b = vector_get(f->b, at, false);
	}
	return k;
}

INLINE vf fill_cell(const struct cursor *k, size_t i, size_t cell, enum fill_kind kind,
		    enum kernel_act act)
{
	const uint16_t *p = k->x + i * k->x_step + cell;
	vf x = vector_get(p, 0, BF16);

	__builtin_prefetch(p + k->ahead * k->x_step);
	if (kind == FILL_SETTLE) {
		const uint16_t *g = k->g + i * k->g_step;

		__builtin_prefetch(g + k->ahead * k->g_step);
		return vector_get(g, 0, BF16) + vector_fma(k->a, x, k->b);
	}
	return kind == FILL_NORM ? act_apply(vector_fma(k->a, x, k->b), act) : x;
}

INLINE vf fill_value(const struct cursor *k, size_t i, bool pooled, bool part, enum fill_kind kind,
		     enum kernel_act act)
{
	vf v = vector_splat(0);

	if (!pooled) {
		v = fill_cell(k, i, 0, kind, act);
	} else {
		for (size_t y = 0; y < k->pool; y++)
			for (size_t x = 0; x < k->pool; x++)
				v += fill_cell(k, i, y * k->down + x * k->right, kind, act);
		v *= vector_splat(1 / (float)(k->pool * k->pool));
	}
	return part ? vector_select(k->mask, v, vector_splat(0)) : v;
}

/* Pixels [to, to + n) of the scratch, from pixel @from on. */
INLINE void fill_pixels(const struct fill *f, size_t from, size_t to, size_t n, size_t at,
			bool pooled, bool part, enum fill_kind kind, enum kernel_act act)
{
	struct cursor k = cursor_at(f, from, n, at, kind);
	size_t pitch = f->pitch;
	uint16_t *out = f->out + to * pitch + at;
	bool twice = at >= f->twice;

	for (size_t i = 0; i < n; i++, out += pitch) {
		vf v = fill_value(&k, i, pooled, part, kind, act);

		vector_put(out, 0, v, BF16);
		if (twice)
			vector_put(out - pitch + 16, 0, v, BF16);
	}
}

/* Of each lane, (even, odd) as bf16, the even one low. */
INLINE vu bf16_pair(vf even, vf odd)
{
#ifdef __AVX512BF16__
	__m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
	__m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
					 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);

	return (vu)_mm512_permutexvar_epi16(order, both);
#else
	vu low = (vu)even, high = (vu)odd;

	low += 0x7fff + ((low >> 16) & 1);
	high += 0x7fff + ((high >> 16) & 1);
	return (low >> 16) | (high & 0xffff0000u);
#endif
}

/* The same as pairs of pixels: [16 channels] of (even, odd). */
INLINE void fill_pairs(const struct fill *f, size_t from, size_t to, size_t n, size_t at,
		       bool pooled, bool part, enum fill_kind kind, enum kernel_act act)
{
	struct cursor k = cursor_at(f, from, n, at, kind);
	uint32_t *out = (uint32_t *)(void *)f->out + (at / 16 * f->pairs + to / 2) * 16 + at % 16;
	vf none = vector_splat(0);
	size_t i = 0;
	vu pair;

	if (to % 2 == 1) {
		pair = bf16_pair(none, fill_value(&k, i++, pooled, part, kind, act));
		memcpy(out, &pair, sizeof pair);
		out += 16;
	}
	for (; i + 2 <= n; i += 2, out += 16) {
		pair = bf16_pair(fill_value(&k, i, pooled, part, kind, act),
				 fill_value(&k, i + 1, pooled, part, kind, act));
		memcpy(out, &pair, sizeof pair);
	}
	if (i < n) {
		pair = bf16_pair(fill_value(&k, i, pooled, part, kind, act), none);
		memcpy(out, &pair, sizeof pair);
	}
}

INLINE void fill_vector(const struct fill *f, size_t from, size_t to, size_t n, size_t at,
			bool pooled, bool part, enum fill_kind kind, enum kernel_act act)
{
	if (kind != FILL_SETTLE && f->pairs)
		fill_pairs(f, from, to, n, at, pooled, part, kind, act);
	else
		fill_pixels(f, from, to, n, at, pooled, part, kind, act);
}

INLINE void fill_run_as(const struct fill *f, size_t from, size_t to, size_t n, enum fill_kind kind,
			enum kernel_act act)
{
	for (size_t at = 0; at < f->c; at += LANES) {
		bool part = at + LANES > f->c;

		if (kind != FILL_SETTLE && f->pool > 1)
			fill_vector(f, from, to, n, at, true, true, kind, act);
		else if (part)
			fill_vector(f, from, to, n, at, false, true, kind, act);
		else
			fill_vector(f, from, to, n, at, false, false, kind, act);
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

/* ---- patches: the cells under the kernel as channels of one pixel --------------- */

/* All channels of output (oy, ox), which may reach beyond the image. */
static void patch_edge(const struct direct *d, const struct rows *x, size_t image, size_t oy,
		       size_t ox, uint16_t *out)
{
	const struct direct_shape *s = &d->shape;

	for (size_t t = 0; t < d->patch_kh * d->patch_kw; t++) {
		size_t iy = oy * d->patch_stride + t / d->patch_kw - s->top;
		size_t ix = ox * d->patch_stride + t % d->patch_kw - s->left;
		const uint16_t *cell = (const uint16_t *)x->at +
				       ((image * d->patch_h + iy) * d->patch_w + ix) * x->stride;
		bool inside = iy < d->patch_h && ix < d->patch_w;

		for (size_t c = 0; c < d->patch; c++)
			*out++ = inside ? cell[c] : 0;
	}
}

/* A row of outputs. Inside the image, @wide channels (at least those of a row of the kernel) are
 * copied at once: what is too many is written over by what comes next, or meets no weight. */
INLINE void patch_row(const struct direct *d, const struct rows *x, size_t image, size_t oy,
		      size_t wide, uint16_t *out)
{
	const struct direct_shape *s = &d->shape;
	size_t row = (size_t)d->patch_w * d->patch, some = (size_t)d->patch_kw * d->patch;
	size_t iy = oy * d->patch_stride - s->top;
	size_t last = (d->patch_kh - 1) * some, bottom = (d->patch_kh - 1) * row;
	bool inside = iy < d->patch_h && iy + d->patch_kh <= d->patch_h && x->stride == d->patch &&
		      some <= wide;
	const uint16_t *in = (const uint16_t *)x->at + (image * d->patch_h + iy) * row;

	for (size_t ox = 0; ox < s->ow; ox++, out += d->cp) {
		size_t ix = ox * d->patch_stride - s->left;

		if (!inside || ix >= d->patch_w || ix + d->patch_kw > d->patch_w) {
			patch_edge(d, x, image, oy, ox, out);
			continue;
		}
		for (size_t ky = 0; ky + 1 < d->patch_kh; ky++)
			memcpy(out + ky * some, in + ky * row + ix * d->patch, wide * sizeof *in);
		for (size_t i = 0; i < some; i++) /* nothing from behind the tensor */
			out[last + i] = in[bottom + ix * d->patch + i];
	}
}

static void patch_row_any(const struct direct *d, const struct rows *x, size_t image, size_t oy,
			  uint16_t *out)
{
	if (d->patch_kw * d->patch <= 4)
		patch_row(d, x, image, oy, 4, out);
	else
		patch_row(d, x, image, oy, 16, out);
}

/* A row of pixels as pairs, from pixel @to on, which is even. */
static void row_pair(const struct direct *d, uint16_t *row, size_t to, uint16_t *out)
{
	memset(row + d->shape.ow * d->cp, 0, d->cp * sizeof *row);
	for (size_t p = 0; p < d->shape.ow; p += 2)
		for (size_t at = 0; at < d->shape.c; at += LANES) {
			vu even = (vu)bf16_widen(row + p * d->cp + at);
			vu odd = (vu)bf16_widen(row + (p + 1) * d->cp + at);
			vu pair = (even >> 16) | odd;

			memcpy(out + ((at / 16 * d->pairs + (to + p) / 2) * 16 + at % 16) * 2,
			       &pair, sizeof pair);
		}
}

static void fill_patches(const struct direct *d, const struct rows *x, size_t image, size_t nth,
			 bool paired, uint16_t *scratch, uint16_t *out)
{
	for (size_t oy = 0; oy < d->shape.oh; oy++) {
		size_t to = nth * d->span + oy * d->pitch;

		if (paired) {
			uint16_t *row = scratch + d->patch_at / sizeof *scratch;

			patch_row_any(d, x, image, oy, row);
			row_pair(d, row, to, out);
			continue;
		}
		patch_row_any(d, x, image, oy, out + to * d->cp);
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
		       size_t images, bool paired, void *scratch)
{
	const struct direct_shape *s = &d->shape;
	uint16_t *out = (void *)((char *)scratch + DIRECT_FRONT);
	struct fill f = { .x = source->x,
			  .a = source->scale,
			  .b = source->shift,
			  .act = source->act,
			  .c = s->c,
			  .step = (size_t)s->stride * s->pool,
			  .pool = s->pool,
			  .width = (size_t)s->w * s->pool,
			  .twice = twice_from(s->c),
			  .pairs = paired ? d->pairs : 0,
			  .pitch = d->cp };

	for (size_t i = 0; i < images; i++) {
		f.out = out;
		if (d->patch)
			fill_patches(d, &f.x, first + i, i, paired, scratch, out);
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
			  size_t images, uint16_t *out)
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
