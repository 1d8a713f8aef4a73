#include "kernels.h"

#include <math.h>

#include "rows.h"

/* Compiled once per instruction set, with KERNELS naming the table.
 *
 * Every kernel walks tiles of pixels, in a tile the vectors of channels, in a
 * vector the pixels: coefficients and sums stay in registers, the tile in L1.
 * A vector that reaches beyond the last channel takes the `part` path. */
#define TILE	       64
#define DEPTHWISE_MOST 5 /* side of the largest kernel whose sums stay in registers */

/* Run BODY(part) for the vector at channel @at of @c. */
#define EITHER(at, c, BODY)                                                                        \
	do {                                                                                       \
		if ((at) + LANES <= (c))                                                           \
			BODY(false);                                                               \
		else                                                                               \
			BODY(true);                                                                \
	} while (0)

INLINE void stats(struct rows x, size_t n, size_t c, double *sum, double *sum_sq, bool bf16)
{
	for (size_t p0 = 0; p0 < n; p0 += TILE) {
		size_t p1 = min_size(p0 + TILE, n);

		for (size_t at = 0; at < c; at += LANES) {
			vf s = vector_splat(0), q = s, s2 = s, q2 = s;
			size_t p = p0;

			for (; p + 2 <= p1; p += 2) {
				vf a = rows_get(x, p, at, bf16), b = rows_get(x, p + 1, at, bf16);

				s += a;
				q += a * a;
				s2 += b;
				q2 += b * b;
			}
			for (; p < p1; p++) {
				vf a = rows_get(x, p, at, bf16);

				s += a;
				q += a * a;
			}
			fold(sum, s + s2, at, c);
			fold(sum_sq, q + q2, at, c);
		}
	}
}

INLINE void norm_tile(struct rows x, struct rows y, size_t p0, size_t p1, size_t at, size_t c,
		      const float *scale, const float *shift, enum kernel_act act, bool part,
		      bool bf16)
{
	vf a = vector_get(scale, at, false), b = vector_get(shift, at, false);
	vi mask = vector_mask(at, c);

	for (size_t p = p0; p < p1; p++)
		rows_put(y, p, at, act_apply(a * rows_get(x, p, at, bf16) + b, act), mask, part,
			 bf16);
}

INLINE void norm(struct rows x, struct rows y, size_t n, size_t c, const float *scale,
		 const float *shift, enum kernel_act act, bool bf16)
{
	for (size_t p0 = 0; p0 < n; p0 += TILE)
		for (size_t at = 0; at < width(y, c); at += LANES) {
			size_t p1 = min_size(p0 + TILE, n);
#define BODY(part) norm_tile(x, y, p0, p1, at, c, scale, shift, act, part, bf16)
			EITHER(at, c, BODY);
#undef BODY
		}
}

enum destination { DST_NONE, DST_STORE, DST_ADD };

INLINE void norm_back_tile(struct norm_back b, size_t p0, size_t p1, size_t at, size_t c,
			   enum kernel_act act, enum destination to, bool part, bool bf16)
{
	vf scale = vector_get(b.scale, at, false), mean = vector_get(b.mean, at, false);
	vf shift = vector_get(b.shift, at, false);
	vf sg = vector_splat(0), sgx = sg;
	vi mask = vector_mask(at, c);

	for (size_t p = p0; p < p1; p++) {
		vf x = rows_get(b.x, p, at, bf16);
		vf g = act_gradient(rows_get(b.g, p, at, bf16), scale * x + shift, act);

		sg += g;
		sgx += g * (x - mean);
		if (to == DST_ADD)
			rows_put(b.dst, p, at, rows_get(b.dst, p, at, bf16) + scale * g, mask, part,
				 bf16);
		if (to == DST_STORE)
			rows_put(b.dst, p, at, scale * g, mask, part, bf16);
	}
	fold(b.sum_g, sg, at, c);
	fold(b.sum_gx, sgx, at, c);
}

INLINE void norm_back_rows(const struct norm_back *b, size_t n, size_t c, enum kernel_act act,
			   enum destination to, bool bf16)
{
	for (size_t p0 = 0; p0 < n; p0 += TILE)
		for (size_t at = 0; at < c; at += LANES) {
			size_t p1 = min_size(p0 + TILE, n);
#define BODY(part) norm_back_tile(*b, p0, p1, at, c, act, to, part, bf16)
			EITHER(at, c, BODY);
#undef BODY
		}
}

INLINE void norm_back_to(const struct norm_back *b, size_t n, size_t c, enum destination to,
			 bool bf16)
{
	if (b->act == KERNEL_RELU)
		norm_back_rows(b, n, c, KERNEL_RELU, to, bf16);
	else
		norm_back_rows(b, n, c, b->act, to, bf16);
}

INLINE void norm_back(const struct norm_back *b, size_t n, size_t c, bool bf16)
{
	if (!b->want_dst) {
		norm_back_to(b, n, c, DST_NONE, bf16);
		return;
	}
	if (b->accumulate) {
		norm_back_to(b, n, c, DST_ADD, bf16);
		return;
	}
	norm_back_to(b, n, c, DST_STORE, bf16);
	for (size_t at = (c + LANES - 1) / LANES * LANES; at < width(b->dst, c); at += LANES)
		for (size_t p = 0; p < n; p++)
			vector_put(b->dst.at, p * b->dst.stride + at, vector_splat(0), bf16);
}

INLINE void affine_tile(struct rows g, struct rows x, struct rows dst, size_t p0, size_t p1,
			size_t at, size_t c, const float *slope, const float *offset,
			bool accumulate, bool part, bool bf16)
{
	vf a = vector_get(slope, at, false), b = vector_get(offset, at, false);
	vi mask = vector_mask(at, c);

	for (size_t p = p0; p < p1; p++) {
		vf v = rows_get(g, p, at, bf16) + (a * rows_get(x, p, at, bf16) + b);

		if (accumulate)
			v += rows_get(dst, p, at, bf16);
		rows_put(dst, p, at, v, mask, part, bf16);
	}
}

INLINE void affine(struct rows g, struct rows x, struct rows dst, size_t n, size_t c,
		   const float *slope, const float *offset, bool accumulate, bool bf16)
{
	for (size_t p0 = 0; p0 < n; p0 += TILE)
		for (size_t at = 0; at < width(dst, c); at += LANES) {
			size_t p1 = min_size(p0 + TILE, n);
#define BODY(part) affine_tile(g, x, dst, p0, p1, at, c, slope, offset, accumulate, part, bf16)
			EITHER(at, c, BODY);
#undef BODY
		}
}

/* dst (+)= f(a, b): what copy, act, act_back, add and zero have in common. */
enum map { MAP_COPY, MAP_ADD, MAP_ACT, MAP_ACT_BACK, MAP_ZERO };

INLINE void map_tile(enum map map, struct rows a, struct rows b, struct rows dst, size_t p0,
		     size_t p1, size_t at, size_t c, enum kernel_act act, bool accumulate,
		     bool part, bool bf16)
{
	vi mask = vector_mask(at, c);

	for (size_t p = p0; p < p1; p++) {
		vf v = vector_splat(0);

		if (map != MAP_ZERO)
			v = rows_get(a, p, at, bf16);
		if (map == MAP_ADD)
			v += rows_get(b, p, at, bf16);
		if (map == MAP_ACT)
			v = act_apply(v, act);
		if (map == MAP_ACT_BACK) /* a: gradient, b: output */
			v = act_gradient(v, rows_get(b, p, at, bf16), act);
		if (accumulate)
			v += rows_get(dst, p, at, bf16);
		rows_put(dst, p, at, v, mask, part, bf16);
	}
}

INLINE void map_rows(enum map map, struct rows a, struct rows b, struct rows dst, size_t n,
		     size_t c, enum kernel_act act, bool accumulate, bool bf16)
{
	for (size_t p0 = 0; p0 < n; p0 += TILE)
		for (size_t at = 0; at < width(dst, c); at += LANES) {
			size_t p1 = min_size(p0 + TILE, n);
#define BODY(part) map_tile(map, a, b, dst, p0, p1, at, c, act, accumulate, part, bf16)
			EITHER(at, c, BODY);
#undef BODY
		}
}

INLINE void copy(struct rows src, struct rows dst, size_t n, size_t c, bool accumulate, bool bf16)
{
	map_rows(MAP_COPY, src, src, dst, n, c, KERNEL_LINEAR, accumulate, bf16);
}

INLINE void zero(struct rows dst, size_t n, size_t c, bool bf16)
{
	map_rows(MAP_ZERO, dst, dst, dst, n, c, KERNEL_LINEAR, false, bf16);
}

INLINE void act(struct rows x, struct rows y, size_t n, size_t c, enum kernel_act a, bool bf16)
{
	map_rows(MAP_ACT, x, x, y, n, c, a, false, bf16);
}

INLINE void act_back(struct rows y, struct rows g, struct rows dst, size_t n, size_t c,
		     enum kernel_act a, bool accumulate, bool bf16)
{
	map_rows(MAP_ACT_BACK, g, y, dst, n, c, a, accumulate, bf16);
}

INLINE void add(struct rows a, struct rows b, struct rows dst, size_t n, size_t c, bool bf16)
{
	map_rows(MAP_ADD, a, b, dst, n, c, KERNEL_LINEAR, false, bf16);
}

/* The input cells under output (oy, ox), clipped to the image. */
struct cells {
	size_t y0, y1, x0, x1;
};

INLINE struct cells cells_under(const struct kernel_window *w, size_t oy, size_t ox)
{
	size_t y = oy * w->stride, x = ox * w->stride;

	return (struct cells){ y > w->top ? y - w->top : 0, min_size(y + w->kh - w->top, w->ih),
			       x > w->left ? x - w->left : 0,
			       min_size(x + w->kw - w->left, w->iw) };
}

INLINE void pool_pixel(const struct kernel_window *w, struct rows x, struct rows y, size_t image,
		       size_t out, struct cells k, size_t c, bool bf16)
{
	float share = 1 / (float)((k.y1 - k.y0) * (k.x1 - k.x0));

	for (size_t at = 0; at < width(y, c); at += LANES) {
		vf v = vector_splat(w->average ? 0 : -__builtin_inff());

		for (size_t iy = k.y0; iy < k.y1; iy++)
			for (size_t ix = k.x0; ix < k.x1; ix++) {
				size_t p = (image * w->ih + iy) * w->iw + ix;
				vf a = rows_get(x, p, at, bf16);

				v = w->average ? v + a : vector_max(v, a);
			}
		if (w->average)
			v *= vector_splat(share);
		rows_put(y, out, at, v, vector_mask(at, c), at + LANES > c, bf16);
	}
}

INLINE void pool_back_pixel(const struct kernel_window *w, struct rows x, struct rows y,
			    struct rows g, struct rows dst, size_t image, size_t out,
			    struct cells k, size_t c, bool accumulate, bool bf16)
{
	float share = 1 / (float)((k.y1 - k.y0) * (k.x1 - k.x0));

	for (size_t at = 0; at < width(dst, c); at += LANES) {
		vf v = rows_get(g, out, at, bf16), top = v;
		vi mask = vector_mask(at, c), open = ~(vi){ 0 };

		if (!w->average)
			top = rows_get(y, out, at, bf16);

		if (w->average)
			v *= vector_splat(share);
		for (size_t iy = k.y0; iy < k.y1; iy++)
			for (size_t ix = k.x0; ix < k.x1; ix++) {
				size_t p = (image * w->ih + iy) * w->iw + ix;
				vf add_here = v;

				if (!w->average) { /* to the first of equal maxima */
					vi hit = open & (rows_get(x, p, at, bf16) == top);

					add_here = (vf)(hit & (vi)v);
					open &= ~hit;
				}
				if (accumulate)
					add_here += rows_get(dst, p, at, bf16);
				rows_put(dst, p, at, add_here, mask, at + LANES > c, bf16);
			}
	}
}

INLINE void pool(const struct kernel_window *w, struct rows x, struct rows y, size_t c, bool bf16)
{
	size_t out = 0;

	for (size_t i = 0; i < w->images; i++)
		for (size_t oy = 0; oy < w->oh; oy++)
			for (size_t ox = 0; ox < w->ow; ox++)
				pool_pixel(w, x, y, i, out++, cells_under(w, oy, ox), c, bf16);
}

INLINE void pool_back(const struct kernel_window *w, struct rows x, struct rows y, struct rows g,
		      struct rows dst, size_t c, bool accumulate, bool bf16)
{
	size_t out = 0;

	for (size_t i = 0; i < w->images; i++)
		for (size_t oy = 0; oy < w->oh; oy++)
			for (size_t ox = 0; ox < w->ow; ox++)
				pool_back_pixel(w, x, y, g, dst, i, out++, cells_under(w, oy, ox),
						c, accumulate, bf16);
}

INLINE void mean(struct rows x, struct rows y, size_t images, size_t pixels, size_t c, bool bf16)
{
	for (size_t i = 0; i < images; i++)
		for (size_t at = 0; at < width(y, c); at += LANES) {
			vf v = vector_splat(0);

			for (size_t p = i * pixels; p < (i + 1) * pixels; p++)
				v += rows_get(x, p, at, bf16);
			rows_put(y, i, at, v * vector_splat(1 / (float)pixels), vector_mask(at, c),
				 at + LANES > c, bf16);
		}
}

INLINE void mean_back(struct rows g, struct rows dst, size_t images, size_t pixels, size_t c,
		      bool accumulate, bool bf16)
{
	for (size_t i = 0; i < images; i++)
		for (size_t at = 0; at < width(dst, c); at += LANES) {
			vf v = rows_get(g, i, at, bf16) * vector_splat(1 / (float)pixels);
			vi mask = vector_mask(at, c);

			for (size_t p = i * pixels; p < (i + 1) * pixels; p++) {
				vf d = accumulate ? v + rows_get(dst, p, at, bf16) : v;

				rows_put(dst, p, at, d, mask, at + LANES > c, bf16);
			}
		}
}

/* Outputs o of @out whose input o * stride + k - before lies in [0, in): [*o0, *o1). */
INLINE void reach(size_t k, size_t before, size_t stride, size_t in, size_t out, size_t *o0,
		  size_t *o1)
{
	*o0 = before > k ? (before - k + stride - 1) / stride : 0;
	*o1 = in + before > k ? min_size((in + before - k - 1) / stride + 1, out) : 0;
}

INLINE vf depthwise_tap(const struct kernel_window *w, struct rows x, struct rows g, size_t image,
			size_t ky, size_t kx, size_t at, bool bf16)
{
	size_t y0, y1, x0, x1;
	vf sum = vector_splat(0), sum2 = sum;

	reach(ky, w->top, w->stride, w->ih, w->oh, &y0, &y1);
	reach(kx, w->left, w->stride, w->iw, w->ow, &x0, &x1);
	for (size_t oy = y0; oy < y1; oy++) {
		size_t in = (image * w->ih + oy * w->stride + ky - w->top) * w->iw;
		size_t out = (image * w->oh + oy) * w->ow, ox = x0;

		for (; ox + 2 <= x1; ox += 2) {
			size_t p = in + ox * w->stride + kx - w->left;

			sum += rows_get(x, p, at, bf16) * rows_get(g, out + ox, at, bf16);
			sum2 += rows_get(x, p + w->stride, at, bf16) *
				rows_get(g, out + ox + 1, at, bf16);
		}
		if (ox < x1)
			sum += rows_get(x, in + ox * w->stride + kx - w->left, at, bf16) *
			       rows_get(g, out + ox, at, bf16);
	}
	return sum + sum2;
}

/* Output (oy, ox) of a k x k kernel, some of whose taps may lie outside. */
INLINE void depthwise_edge(const struct kernel_window *w, size_t k, struct rows x, vf g,
			   size_t image, size_t oy, size_t ox, size_t at, vf *sum, bool bf16)
{
	for (size_t ky = 0; ky < k; ky++)
		for (size_t kx = 0; kx < k; kx++) {
			size_t iy = oy * w->stride + ky - w->top; /* huge when it is negative */
			size_t ix = ox * w->stride + kx - w->left;
			size_t p = (image * w->ih + iy) * w->iw + ix;

			if (iy < w->ih && ix < w->iw)
				sum[ky * k + kx] += rows_get(x, p, at, bf16) * g;
		}
}

/* Outputs [x0, x1) of row @oy of a k x k kernel, whose taps all lie inside. */
INLINE void depthwise_run(const struct kernel_window *w, size_t k, struct rows x, struct rows g,
			  size_t image, size_t oy, size_t x0, size_t x1, size_t at, vf *sum,
			  bool bf16)
{
	size_t in = (image * w->ih + oy * w->stride - w->top) * w->iw + x0 * w->stride - w->left;
	size_t out = (image * w->oh + oy) * w->ow;

	for (size_t ox = x0; ox < x1; ox++, in += w->stride) {
		vf d = rows_get(g, out + ox, at, bf16);

		for (size_t ky = 0; ky < k; ky++)
			for (size_t kx = 0; kx < k; kx++)
				sum[ky * k + kx] += rows_get(x, in + ky * w->iw + kx, at, bf16) * d;
	}
}

/* A small k x k kernel, all its sums in registers. */
INLINE void depthwise_image(const struct kernel_window *w, size_t k, struct rows x, struct rows g,
			    size_t image, size_t at, size_t c, float *dw, size_t pitch, bool bf16)
{
	vf sum[DEPTHWISE_MOST * DEPTHWISE_MOST] = { 0 };
	size_t y0 = (w->top + w->stride - 1) / w->stride,
	       x0 = (w->left + w->stride - 1) / w->stride;
	size_t y1 = w->ih + w->top >= k ? (w->ih + w->top - k) / w->stride + 1 : 0;
	size_t x1 = w->iw + w->left >= k ? (w->iw + w->left - k) / w->stride + 1 : 0;

	x1 = min_size(x1, w->ow);
	for (size_t oy = 0; oy < w->oh; oy++) {
		bool inside = oy >= y0 && oy < y1 && x0 < x1;

		if (inside)
			depthwise_run(w, k, x, g, image, oy, x0, x1, at, sum, bf16);
		for (size_t ox = 0; ox < w->ow; ox++) {
			size_t p = (image * w->oh + oy) * w->ow + ox;

			if (inside && ox == x0)
				ox = x1 - 1;
			else
				depthwise_edge(w, k, x, rows_get(g, p, at, bf16), image, oy, ox, at,
					       sum, bf16);
		}
	}
	for (size_t tap = 0; tap < k * k; tap++)
		for (size_t i = 0; i < LANES && at + i < c; i++)
			dw[tap * pitch + at + i] += sum[tap][i];
}

INLINE void depthwise_back(const struct kernel_window *w, struct rows x, struct rows g, size_t c,
			   float *dw, size_t pitch, bool bf16)
{
	for (size_t image = 0; image < w->images; image++)
		for (size_t at = 0; at < c; at += LANES) {
			if (w->kh == 3 && w->kw == 3) {
				depthwise_image(w, 3, x, g, image, at, c, dw, pitch, bf16);
				continue;
			}
			if (w->kh == DEPTHWISE_MOST && w->kw == DEPTHWISE_MOST) {
				depthwise_image(w, DEPTHWISE_MOST, x, g, image, at, c, dw, pitch,
						bf16);
				continue;
			}
			for (size_t tap = 0; tap < w->kh * w->kw; tap++) {
				float *d = dw + tap * pitch + at;
				vf sum = depthwise_tap(w, x, g, image, tap / w->kw, tap % w->kw, at,
						       bf16);

				for (size_t i = 0; i < LANES && at + i < c; i++)
					d[i] += sum[i];
			}
		}
}

/* Each lane gathers its own bits: 32 vectors become one. */
INLINE void signs(struct rows y, size_t n, size_t c, uint32_t *code, bool bf16)
{
	vu word = { 0 };
	unsigned bit = 0;

	for (size_t p = 0; p < n; p++)
		for (size_t at = 0; at < c; at += LANES) {
			vi above = rows_get(y, p, at, bf16) > 0;

			if (at + LANES > c)
				above &= vector_mask(at, c);
			word |= (vu)above & (1u << bit);
			if (++bit == 32) {
				memcpy(code, &word, sizeof word);
				code += LANES;
				word = (vu){ 0 };
				bit = 0;
			}
		}
	if (bit)
		memcpy(code, &word, sizeof word);
}

INLINE void from_f32(const float *src, struct rows dst, size_t n, size_t c, bool bf16)
{
	for (size_t p = 0; p < n; p++)
		for (size_t at = 0; at < width(dst, c); at += LANES) {
			vf v = vector_splat(0);

			if (at < c)
				memcpy(&v, src + p * c + at, min_size(LANES, c - at) * 4);
			rows_put(dst, p, at, v, vector_mask(at, c), at + LANES > c, bf16);
		}
}

INLINE void to_f32(struct rows src, float *dst, size_t n, size_t c, bool bf16)
{
	for (size_t p = 0; p < n; p++)
		for (size_t at = 0; at < c; at += LANES) {
			vf v = rows_get(src, p, at, bf16);

			memcpy(dst + p * c + at, &v, min_size(LANES, c - at) * 4);
		}
}

static void sum(float *dst, const float *src, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dst[i] += src[i];
}

static void sgd(float *w, float *v, const float *g, size_t n, float rate, float momentum,
		float decay)
{
	for (size_t i = 0; i < n; i++) {
		float d = g[i] + decay * w[i];

		v[i] = momentum * v[i] + d;
		w[i] -= rate * (d + momentum * v[i]);
	}
}

static void adamw(float *w, float *m, float *v, const float *g, size_t n,
		  const struct kernel_adamw *a)
{
	const struct kernel_adamw k = *a;

	for (size_t i = 0; i < n; i++) {
		m[i] = k.beta1 * m[i] + (1 - k.beta1) * g[i];
		v[i] = k.beta2 * v[i] + (1 - k.beta2) * g[i] * g[i];
		w[i] = k.shrink * w[i] - k.rate * m[i] / (sqrtf(v[i]) * k.root + k.epsilon);
	}
}

static void average(float *dst, const float *src, size_t n, float part)
{
	for (size_t i = 0; i < n; i++)
		dst[i] += part * (src[i] - dst[i]);
}

/* The two storages of each kernel. */
#define STORED(name, params, ...)                                                                  \
	static void name##_f32 params                                                              \
	{                                                                                          \
		name(__VA_ARGS__, false);                                                          \
	}                                                                                          \
	static void name##_bf16 params                                                             \
	{                                                                                          \
		name(__VA_ARGS__, true);                                                           \
	}
STORED(stats, (struct rows x, size_t n, size_t c, double *s, double *q), x, n, c, s, q)
STORED(norm,
       (struct rows x, struct rows y, size_t n, size_t c, const float *scale, const float *shift,
	enum kernel_act a),
       x, y, n, c, scale, shift, a)
STORED(norm_back, (const struct norm_back *b, size_t n, size_t c), b, n, c)
STORED(affine,
       (struct rows g, struct rows x, struct rows dst, size_t n, size_t c, const float *slope,
	const float *offset, bool accumulate),
       g, x, dst, n, c, slope, offset, accumulate)
STORED(copy, (struct rows src, struct rows dst, size_t n, size_t c, bool accumulate), src, dst, n,
       c, accumulate)
STORED(zero, (struct rows dst, size_t n, size_t c), dst, n, c)
STORED(act, (struct rows x, struct rows y, size_t n, size_t c, enum kernel_act a), x, y, n, c, a)
STORED(act_back,
       (struct rows y, struct rows g, struct rows dst, size_t n, size_t c, enum kernel_act a,
	bool accumulate),
       y, g, dst, n, c, a, accumulate)
STORED(add, (struct rows a, struct rows b, struct rows dst, size_t n, size_t c), a, b, dst, n, c)
STORED(pool, (const struct kernel_window *w, struct rows x, struct rows y, size_t c), w, x, y, c)
STORED(pool_back,
       (const struct kernel_window *w, struct rows x, struct rows y, struct rows g, struct rows dst,
	size_t c, bool accumulate),
       w, x, y, g, dst, c, accumulate)
STORED(mean, (struct rows x, struct rows y, size_t images, size_t pixels, size_t c), x, y, images,
       pixels, c)
STORED(mean_back,
       (struct rows g, struct rows dst, size_t images, size_t pixels, size_t c, bool accumulate), g,
       dst, images, pixels, c, accumulate)
STORED(depthwise_back,
       (const struct kernel_window *w, struct rows x, struct rows g, size_t c, float *dw,
	size_t pitch),
       w, x, g, c, dw, pitch)
STORED(signs, (struct rows y, size_t n, size_t c, uint32_t *code), y, n, c, code)
STORED(from_f32, (const float *src, struct rows dst, size_t n, size_t c), src, dst, n, c)
STORED(to_f32, (struct rows src, float *dst, size_t n, size_t c), src, dst, n, c)

#define TABLE(s)                                                                                   \
	{                                                                                          \
		stats##s, norm##s, norm_back##s, affine##s, copy##s, zero##s, act##s, act_back##s, \
			add##s, pool##s, pool_back##s, mean##s, mean_back##s, depthwise_back##s,   \
			signs##s, from_f32##s, to_f32##s, sum, sgd, adamw, average                 \
	}
const struct kernels KERNELS[2] = { TABLE(_f32), TABLE(_bf16) };
