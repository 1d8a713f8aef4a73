#include "direct.h"

#include "direct_fill.h"
#include "direct_tile.h"

/* Compiled with DIRECT naming the table; once more for each stand-in for the tiles (tile.h). */

/* f(pixel of a plane, pixels, ...) for each run of a block's pixels within one row. */
struct run {
	size_t m, end; /* the block */
	size_t n;      /* of this run; image, row and column of its first pixel */
	size_t image, y, x;
};

INLINE bool run_next(const struct direct *d, struct run *r)
{
	size_t row;

	r->m += r->n;
	if (r->m >= r->end)
		return false;
	row = r->m / d->pitch;
	r->x = r->m % d->pitch;
	r->image = row / d->rows;
	r->y = row % d->rows;
	r->n = min_size(r->end - r->m, d->pitch - r->x);
	return true;
}

static void fold_group(double *total, const float *part, size_t at, size_t c)
{
	for (size_t i = 0; i < DIRECT_GROUP && at + i < c; i++)
		total[at + i] += (double)part[i];
}

/* ---- forward ----------------------------------------------------------------- */

INLINE void put_pixels(const struct direct_forward *f, const float *sum, size_t pixel, size_t n,
		       size_t at, size_t c, bool part, vf *total, vf *total_sq)
{
	vf bias = f->bias ? vector_get(f->bias, at, false) : vector_splat(0), s = *total;
	vf q = *total_sq;
	vi mask = vector_mask(at, c);
	struct rows y = f->y;

	for (size_t i = 0; i < n; i++) {
		vf v = vector_get(sum, i * DIRECT_GROUP, false) + bias;

		s += v;
		q = vector_fma(v, v, q);
		rows_put(y, pixel + i, at, v, mask, part, BF16);
	}
	*total = s;
	*total_sq = q;
}

static void put_block(const struct direct *d, const struct direct_forward *f, size_t first,
		      struct run r, const float *sum, size_t at)
{
	const struct direct_shape *s = &d->shape;
	size_t begin = r.m, wide = min_size(at + DIRECT_GROUP, width(f->y, s->n));
	vf total[DIRECT_GROUP / LANES] = { { 0 } }, total_sq[DIRECT_GROUP / LANES] = { { 0 } };

	while (run_next(d, &r)) {
		const float *from = sum + (r.m - begin) * DIRECT_GROUP;
		size_t pixel = ((first + r.image) * s->oh + r.y) * s->ow + r.x, n;

		if (r.y >= s->oh || r.x >= s->ow)
			continue;
		n = min_size(r.n, s->ow - r.x);
		for (size_t v = 0; at + v * LANES < wide; v++)
			if (at + (v + 1) * LANES <= s->n)
				put_pixels(f, from + v * LANES, pixel, n, at + v * LANES, s->n,
					   false, &total[v], &total_sq[v]);
			else
				put_pixels(f, from + v * LANES, pixel, n, at + v * LANES, s->n,
					   true, &total[v], &total_sq[v]);
	}
	if (f->sum) {
		fold_group(f->sum, (const float *)total, at, s->n);
		fold_group(f->sum_sq, (const float *)total_sq, at, s->n);
	}
}

static void forward(const struct direct *d, const struct direct_forward *f)
{
	const struct direct_shape *s = &d->shape;
	uint16_t *input = (void *)((char *)f->scratch + DIRECT_FRONT);
	_Alignas(64) float sum[DIRECT_BLOCK * DIRECT_GROUP];

	for (size_t i = 0; f->sum && f->first && i < s->n; i++)
		f->sum[i] = f->sum_sq[i] = 0;
	memset(f->scratch, 0, d->gradient_at);
	tile_open();
	for (size_t first = 0; first < s->images; first += d->stack) {
		size_t images = min_size(d->stack, s->images - first), end = images * d->span;

		fill_input(d, &f->source, first, images, false, f->scratch);
		for (size_t m = 0; m < end; m += DIRECT_BLOCK)
			for (size_t g = 0; g < d->n_groups; g++) {
				struct run r = { .m = m, .end = min_size(m + DIRECT_BLOCK, end) };
				const char *w = f->packed;

				block_product(input + m * d->cp, d->cp, d->forward_at, d->n_forward,
					      w + g * (d->forward_bytes / d->n_groups), r.end - m,
					      sum);
				put_block(d, f, first, r, sum, g * DIRECT_GROUP);
			}
	}
	tile_close();
}

/* ---- backward ---------------------------------------------------------------- */

enum into { INTO_NONE, INTO_STORE, INTO_ADD };
struct back_sums {
	_Alignas(64) float g[DIRECT_GROUP], gx[DIRECT_GROUP];
};

/* @n cells of the source, @step pixels apart. */
INLINE void back_cells(const struct direct_backward *b, const float *sum, size_t pixel, size_t n,
		       size_t step, size_t at, size_t c, float share, bool part, bool norm,
		       enum kernel_act act, enum into into, struct back_sums *total, size_t lane)
{
	vf scale = vector_splat(0), shift = scale, mean = scale, sg = scale, sgx = scale;
	struct rows source = b->source.x, d = b->d;
	vi mask = vector_mask(at, c);

	if (norm) {
		scale = vector_get(b->source.scale, at, false);
		shift = vector_get(b->source.shift, at, false);
		mean = vector_get(b->mean, at, false);
		sg = vector_get(total->g, lane, false);
		sgx = vector_get(total->gx, lane, false);
	}
	for (size_t i = 0; i < n; i++) {
		vf g = vector_get(sum, i * DIRECT_GROUP, false) * vector_splat(share);
		size_t p = pixel + i * step;

		if (norm) {
			vf x = rows_get(source, p, at, BF16);

			__builtin_prefetch((uint16_t *)source.at + (p + 64) * source.stride + at);

			g = act_gradient(g, vector_fma(scale, x, shift), act);
			sg += g;
			sgx = vector_fma(g, x - mean, sgx);
			g *= scale;
		}
		if (into == INTO_ADD)
			g += rows_get(d, p, at, BF16);
		if (into != INTO_NONE) {
			__builtin_prefetch((uint16_t *)d.at + (p + 64) * d.stride + at);
			rows_put(d, p, at, g, mask, part, BF16);
		}
	}
	if (norm) {
		vector_put(total->g, lane, sg, false);
		vector_put(total->gx, lane, sgx, false);
	}
}

INLINE void back_cells_into(const struct direct_backward *b, const float *sum, size_t pixel,
			    size_t n, size_t step, size_t at, size_t c, float share, bool part,
			    enum into into, struct back_sums *total, size_t lane)
{
	if (!b->source.scale)
		back_cells(b, sum, pixel, n, step, at, c, share, part, false, KERNEL_LINEAR, into,
			   total, lane);
	else if (b->source.act == KERNEL_RELU)
		back_cells(b, sum, pixel, n, step, at, c, share, part, true, KERNEL_RELU, into,
			   total, lane);
	else
		back_cells(b, sum, pixel, n, step, at, c, share, part, true, b->source.act, into,
			   total, lane);
}

static void back_run(const struct direct_backward *b, const float *sum, size_t pixel, size_t n,
		     size_t step, size_t at, size_t c, float share, struct back_sums *total)
{
	enum into into = !b->d.at ? INTO_NONE : b->accumulate ? INTO_ADD : INTO_STORE;
	size_t wide = min_size(at + DIRECT_GROUP, b->d.at ? width(b->d, c) : c);

	for (size_t v = 0; at + v < wide; v += LANES) {
		bool part = at + v + LANES > c;

#define INTO(part, into)                                                                           \
	back_cells_into(b, sum + v, pixel, n, step, at + v, c, share, part, into, total, v)
		if (into == INTO_NONE)
			INTO(false, INTO_NONE);
		else if (into == INTO_ADD && !part)
			INTO(false, INTO_ADD);
		else if (into == INTO_ADD)
			INTO(true, INTO_ADD);
		else if (!part)
			INTO(false, INTO_STORE);
		else
			INTO(true, INTO_STORE);
#undef INTO
	}
}

/* A block of plane (@py, @px) by the input channels from @at on. */
static void back_block(const struct direct *d, const struct direct_backward *b, size_t first,
		       size_t py, size_t px, struct run r, const float *sum, size_t at)
{
	const struct direct_shape *s = &d->shape;
	size_t begin = r.m, st = s->stride, pool = s->pool;
	struct back_sums total = { { 0 }, { 0 } };

	while (run_next(d, &r)) {
		size_t iy = r.y * st + py - s->top, skip, ix, n;
		const float *from;

		/* Columns in front of the image. */
		skip = r.x * st + px < s->left ? (s->left - px - r.x * st + st - 1) / st : 0;
		ix = (r.x + skip) * st + px - s->left;
		if (iy >= s->h || ix >= s->w || skip >= r.n)
			continue;
		n = min_size(r.n - skip, (s->w - ix + st - 1) / st);
		from = sum + (r.m + skip - begin) * DIRECT_GROUP;
		for (size_t c = 0; c < pool * pool; c++) {
			size_t y = ((first + r.image) * s->h + iy) * pool + c / pool;

			back_run(b, from, y * s->w * pool + ix * pool + c % pool, n, st * pool, at,
				 s->c, 1 / (float)(pool * pool), &total);
		}
	}
	if (b->source.scale) {
		fold_group(b->sum_g, total.g, at, s->c);
		fold_group(b->sum_gx, total.gx, at, s->c);
	}
}

static void back_data(const struct direct *d, const struct direct_backward *b, size_t first,
		      size_t images, const uint16_t *gradient)
{
	const struct direct_shape *s = &d->shape;
	size_t end = images * d->span, group;
	_Alignas(64) float sum[DIRECT_BLOCK * DIRECT_GROUP];
	const char *w = b->packed;

	for (size_t p = 0; p < d->planes; p++, w += group * d->c_groups) {
		group = d->n_back[p] * (size_t)DIRECT_STEP_BYTES;
		for (size_t m = 0; m < end; m += DIRECT_BLOCK)
			for (size_t g = 0; g < d->c_groups; g++) {
				struct run r = { .m = m, .end = min_size(m + DIRECT_BLOCK, end) };

				block_product(gradient + (d->reach + m) * d->np, d->np,
					      d->back_at[p], d->n_back[p], w + g * group, r.end - m,
					      sum);
				back_block(d, b, first, p / s->stride, p % s->stride, r, sum,
					   g * DIRECT_GROUP);
			}
	}
}

static void bias_back(const struct direct *d, const struct direct_backward *b, size_t images,
		      const uint16_t *gradient)
{
	struct rows g = { (void *)(uintptr_t)gradient, d->np, true };
	size_t pixels = images * d->span;

	for (size_t at = 0; at < d->shape.n; at += LANES) {
		vf sum = vector_splat(0);

		for (size_t m = 0; m < pixels; m++)
			sum += rows_get(g, d->reach + m, at, BF16);
		for (size_t i = 0; i < LANES && at + i < d->shape.n; i++)
			b->bias[at + i] += sum[i];
	}
}

static void weights_unpack(const struct direct *d, const struct direct_backward *b)
{
	const struct direct_shape *s = &d->shape;
	size_t taps = (size_t)s->kh * s->kw;

	for (size_t n = 0; n < s->n; n++)
		for (size_t c = 0; c < s->c; c++)
			for (size_t tap = 0; tap < taps; tap++) {
				size_t g = n / DIRECT_GROUP * d->c_groups + c / DIRECT_GROUP;
				const float *sums =
					b->sums + (g * taps + tap) * DIRECT_GROUP * DIRECT_GROUP;

				size_t at = direct_weight(d, tap, c, n);

				b->weights[at] = (b->first ? 0 : b->weights[at]) +
						 sums[sums_at(c % DIRECT_GROUP, n % DIRECT_GROUP)];
			}
}

static void backward(const struct direct *d, const struct direct_backward *b)
{
	const struct direct_shape *s = &d->shape;
	uint16_t *input = (void *)((char *)b->scratch + DIRECT_FRONT);
	uint16_t *gradient = (void *)((char *)b->scratch + d->gradient_at);

	for (size_t i = 0; b->source.scale && b->first && i < s->c; i++)
		b->sum_g[i] = b->sum_gx[i] = 0;
	for (size_t i = 0; b->bias && b->first && i < s->n; i++)
		b->bias[i] = 0;
	memset(b->sums, 0, d->sums_bytes);
	memset(b->scratch, 0, d->scratch_bytes);
	tile_open();
	for (size_t first = 0; first < s->images; first += d->stack) {
		size_t images = min_size(d->stack, s->images - first);

		if (images < d->stack) /* the images before are still there */
			memset(b->scratch, 0, d->scratch_bytes);
		fill_input(d, &b->source, first, images, true, b->scratch);
		fill_gradient(d, b, first, images, gradient);
		weights_product(d, b, input, gradient, images);
		if (b->bias)
			bias_back(d, b, images, gradient);
		if (b->packed)
			back_data(d, b, first, images, gradient);
	}
	tile_close();
	weights_unpack(d, b);
}

const struct direct_kernels DIRECT = { forward, backward };
