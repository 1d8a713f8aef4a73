#include <string.h>

#include "direct.h"

/* What does not depend on the instruction set: sizes, steps and packing. */

#define SCRATCH_BYTES ((size_t)512 << 10) /* leaves room for the tensors in 2 MiB of cache */
#define PATCH_MAX     4			  /* channels of a source whose cells become channels */
#define STRIDE_MAX    4

static uint32_t up(uint32_t x, uint32_t to)
{
	return (x + to - 1) / to * to;
}

static uint32_t more(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static size_t round_up(size_t bytes)
{
	return (bytes + 63) / 64 * 64;
}

/* Few channels and no gradient of them wanted: the cells under the kernel become the channels of a
 * 1x1 convolution. */
static void patch_make(struct direct *d)
{
	struct direct_shape *s = &d->shape;

	if (s->c > PATCH_MAX || s->back_data || s->kh * s->kw == 1 || s->pool > 1)
		return;
	d->patch = s->c;
	d->patch_kh = s->kh;
	d->patch_kw = s->kw;
	d->patch_stride = s->stride;
	d->patch_h = s->h;
	d->patch_w = s->w;
	s->c *= s->kh * s->kw;
	s->kh = s->kw = s->stride = 1;
	s->h = s->oh;
	s->w = s->ow;
}

static void plane_make(struct direct *d)
{
	const struct direct_shape *s = &d->shape;
	uint32_t st = s->stride, far_y = (s->kh - 1) / st, far_x = (s->kw - 1) / st;
	uint32_t top = d->patch ? 0 : s->top, left = d->patch ? 0 : s->left;

	d->planes = st * st;
	d->pitch = more(s->ow + far_x, (s->w - 1 + left) / st + 1);
	d->rows = more(s->oh + far_y, (s->h - 1 + top) / st + 1);
	if (st == 1) { /* borders shared: only the wider one of two */
		uint32_t right = s->ow + s->kw - 1 - left - s->w;
		uint32_t bottom = s->oh + s->kh - 1 - top - s->h;

		d->pitch = s->w + more(left, right);
		d->rows = s->h + more(top, bottom);
	}
	d->pitch = up(d->pitch, 2); /* pairs of pixels do not reach over rows */
	d->span = d->pitch * d->rows;
	d->reach = far_y * d->pitch + far_x;
}

static void sizes_make(struct direct *d)
{
	const struct direct_shape *s = &d->shape;
	uint32_t far_x = (s->kw - 1) / s->stride;
	size_t pixels = (size_t)d->stack * d->span, input, paired;

	d->plane_pixels = pixels + d->reach + DIRECT_BLOCK + 2;
	d->pairs = (pixels + d->reach + DIRECT_BLOCK + 2) / 2;
	input = d->planes * d->plane_pixels * d->cp * 2;
	paired = (size_t)d->planes * d->c_groups * d->pairs * 64;
	d->gradient_at = DIRECT_FRONT + round_up(paired > input ? paired : input) + DIRECT_FRONT;
	d->turned_at =
		d->gradient_at + round_up((pixels + d->reach + DIRECT_BLOCK + 2) * d->np * 2);
	/* 32 pixels of zeros in front; an odd number of cache lines a row. */
	d->turned_pitch = (pixels + far_x + 2 * 32 + 31) / 32 * 32;
	d->turned_pitch += d->turned_pitch % 64 == 0 ? 32 : 0;
	d->scratch_bytes = d->turned_at +
			   (size_t)(far_x + 1) * d->n_groups * DIRECT_GROUP * d->turned_pitch * 2;
	d->patch_at = d->scratch_bytes; /* a row, a pixel of zeros, and what is copied beyond */
	if (d->patch)
		d->scratch_bytes += (size_t)(s->ow + 2) * d->cp * 2;
	d->scratch_bytes += 64;
}

static void stack_make(struct direct *d)
{
	d->stack = 1;
	sizes_make(d);
	while (d->stack < d->shape.images) {
		uint32_t old = d->stack++;

		sizes_make(d);
		if (d->scratch_bytes > SCRATCH_BYTES && d->stack > 1) {
			d->stack = old;
			break;
		}
	}
	/* As many each time, as nearly as can be. */
	d->stack = (d->shape.images + d->stack - 1) / d->stack;
	d->stack = (d->shape.images + d->stack - 1) / d->stack;
	sizes_make(d);
}

/* ---- steps ------------------------------------------------------------------- */

struct walk {
	const struct direct *d;
	bool back;
	uint32_t plane, channels; /* channels: that are summed over */
	struct direct_step *step; /* NULL: count only */
	uint32_t n;
};

static void step_add(struct walk *w, uint32_t ky, uint32_t kx, uint32_t group, bool paired)
{
	const struct direct *d = w->d;
	const struct direct_shape *s = &d->shape;
	uint32_t st = s->stride, plane = ky % st * st + kx % st, tap = ky * s->kw + kx;
	int32_t far = (int32_t)(ky / st * d->pitch + kx / st);
	/* The pixel behind one is a tap further on, backward a tap before. */
	bool has = w->back ? kx >= st : kx + st < s->kw;
	uint32_t other = w->back ? tap - st : tap + st;

	if (w->step)
		w->step[w->n] = (struct direct_step){
			.pixel = w->back ? -far : (int32_t)(plane * d->plane_pixels) + far,
			.group = (uint16_t)group,
			.tap = { (uint16_t)tap, (uint16_t)(!paired ? tap
							   : has   ? other
								   : DIRECT_NONE) },
			.first = { (uint16_t)(32 * group),
				   (uint16_t)(32 * group + (paired ? 0 : 16)) }
		};
	w->n++;
}

static void steps_of_group(struct walk *w, uint32_t group, bool paired)
{
	const struct direct_shape *s = &w->d->shape;
	uint32_t st = s->stride;

	for (uint32_t ky = 0; ky < s->kh; ky++)
		for (uint32_t i = 0; i < s->kw; i++) {
			uint32_t kx = w->back ? s->kw - 1 - i : i;
			/* Of its phase: every other one is the second half of a pair. */
			uint32_t nth = w->back ? (s->kw - 1 - kx) / st : kx / st;

			if (w->back && ky % st * st + kx % st != w->plane)
				continue;
			if (!paired || nth % 2 == 0)
				step_add(w, ky, kx, group, paired);
		}
}

static void steps_walk(struct walk *w)
{
	uint32_t groups = (w->channels + 31) / 32;

	w->n = 0;
	for (uint32_t g = 0; g < groups; g++)
		steps_of_group(w, g, w->channels - 32 * g <= 16);
}

static struct direct_step *steps_make(struct walk w, uint32_t cp, struct arena *a, uint32_t *n,
				      ptrdiff_t **at)
{
	steps_walk(&w);
	w.step = ARENA_NEW(a, struct direct_step, w.n + 1);
	*at = ARENA_NEW(a, ptrdiff_t, w.n + 1);
	steps_walk(&w);
	for (uint32_t i = 0; i < w.n; i++)
		(*at)[i] = (ptrdiff_t)w.step[i].pixel * (ptrdiff_t)cp + 32 * w.step[i].group;
	*n = w.n;
	return w.step;
}

static void steps_all(struct direct *d, struct arena *a)
{
	struct walk w = { .d = d, .channels = d->shape.c };

	d->forward = steps_make(w, d->cp, a, &d->n_forward, &d->forward_at);
	d->n_back = ARENA_NEW(a, uint32_t, d->planes);
	d->back = ARENA_NEW(a, struct direct_step *, d->planes);
	d->back_at = ARENA_NEW(a, ptrdiff_t *, d->planes);
	w.back = true;
	w.channels = d->shape.n;
	for (w.plane = 0; w.plane < d->planes; w.plane++)
		d->back[w.plane] =
			steps_make(w, d->np, a, &d->n_back[w.plane], &d->back_at[w.plane]);
}

bool direct_plan(struct direct *d, const struct direct_shape *s, struct arena *a)
{
	size_t taps;

	*d = (struct direct){ .shape = *s };
	patch_make(d);
	s = &d->shape;
	taps = (size_t)s->kh * s->kw;
	if (s->stride > STRIDE_MAX || taps > 225 || s->c > 16384 || s->n > 16384)
		return false;
	d->c_groups = (s->c + DIRECT_GROUP - 1) / DIRECT_GROUP;
	d->n_groups = (s->n + DIRECT_GROUP - 1) / DIRECT_GROUP;
	d->cp = up(s->c, 32);
	d->np = up(s->n, 32);
	plane_make(d);
	stack_make(d);
	if (d->planes * d->plane_pixels > INT32_MAX)
		return false;
	steps_all(d, a);
	d->forward_bytes = d->n_groups * d->n_forward * DIRECT_STEP_BYTES;
	for (uint32_t i = 0; i < d->planes && s->back_data; i++)
		d->back_bytes += d->c_groups * d->n_back[i] * DIRECT_STEP_BYTES;
	d->sums_bytes = taps * d->c_groups * d->n_groups * DIRECT_GROUP * DIRECT_GROUP * 4;
	return true;
}

/* ---- packing ----------------------------------------------------------------- */

static uint16_t bf16_of(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof u);
	return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

struct pack {
	const struct direct *d;
	const float *weights;
	bool back;
	uint32_t k, n; /* channels summed over, and of the result */
};

static float weight_of(const struct pack *p, uint16_t tap, uint32_t k, uint32_t n)
{
	if (tap == DIRECT_NONE || k >= p->k || n >= p->n)
		return 0;
	return p->weights[direct_weight(p->d, tap, p->back ? n : k, p->back ? k : n)];
}

/* A tile: 16 pairs of channels x 16 channels of the result x 2. */
static uint16_t *pack_tile(const struct pack *p, const struct direct_step *s, uint32_t n,
			   uint16_t *out)
{
	for (uint32_t i = 0; i < 16; i++)
		for (uint32_t j = 0; j < DIRECT_GROUP; j++)
			for (uint32_t k = 2 * i; k < 2 * i + 2; k++)
				*out++ = bf16_of(weight_of(p, s->tap[k / 16],
							   s->first[k / 16] + k % 16, n + j));
	return out;
}

static void *pack_steps(const struct pack *p, const struct direct_step *s, uint32_t n_steps,
			void *out)
{
	for (uint32_t n = 0; n < p->n; n += DIRECT_GROUP)
		for (uint32_t i = 0; i < n_steps; i++)
			out = pack_tile(p, &s[i], n, out);
	return out;
}

void direct_pack(const struct direct *d, const float *weights, void *forward, void *back)
{
	struct pack p = { d, weights, false, d->shape.c, d->shape.n };

	pack_steps(&p, d->forward, d->n_forward, forward);
	if (!back)
		return;
	p = (struct pack){ d, weights, true, d->shape.n, d->shape.c };
	for (uint32_t i = 0; i < d->planes; i++)
		back = pack_steps(&p, d->back[i], d->n_back[i], back);
}
