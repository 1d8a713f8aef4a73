#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "direct.h"
#include "leak.h"
#include "rng.h"

/* Our convolutions against plain loops in f64, each table on every shape: in emulated tiles
 * (compiled for the oldest and the newest instruction set) and in the CPU's own where it has
 * them. */

TestSuite(direct, .fini = no_leaks);

extern const struct direct_kernels direct_emulated_v2, direct_emulated_v4;

struct shape_case {
	uint32_t h, w, c, n, k, stride;
	bool valid;
	uint32_t images, pool;
};
static const struct shape_case cases[] = {
	{ 28, 28, 24, 12, 3, 1, false, 2, 1 }, { 14, 14, 36, 12, 3, 1, false, 5, 1 },
	{ 7, 7, 70, 12, 3, 1, false, 20, 1 },  { 7, 7, 42, 32, 3, 1, false, 3, 1 },
	{ 5, 5, 1, 8, 3, 1, false, 3, 1 },     { 9, 8, 3, 24, 3, 2, false, 3, 1 },
	{ 33, 5, 16, 16, 3, 1, false, 2, 1 },  { 8, 9, 20, 17, 5, 2, true, 3, 1 },
	{ 11, 13, 33, 4, 5, 1, false, 3, 1 },  { 13, 11, 17, 31, 7, 1, false, 2, 1 },
	{ 15, 15, 48, 5, 7, 2, false, 2, 1 },  { 9, 9, 32, 64, 1, 1, false, 4, 1 },
	{ 8, 8, 64, 33, 1, 2, false, 4, 1 },   { 9, 7, 12, 16, 1, 2, true, 4, 1 },
	{ 7, 7, 72, 36, 1, 1, false, 6, 2 },   { 5, 6, 20, 10, 1, 1, false, 7, 2 },
	{ 6, 6, 9, 9, 3, 2, true, 3, 2 },      { 1, 1, 70, 10, 1, 1, false, 20, 1 },
	{ 6, 10, 5, 7, 2, 2, true, 3, 1 },     { 9, 9, 8, 8, 2, 2, true, 3, 1 },
	{ 9, 9, 40, 20, 4, 3, false, 3, 1 },   { 32, 32, 3, 16, 3, 1, false, 2, 1 },
	{ 10, 10, 2, 6, 5, 2, false, 3, 1 },   { 8, 8, 16, 16, 3, 2, false, 17, 1 },
	{ 5, 9, 15, 15, 3, 1, true, 4, 1 },    { 3, 3, 6, 6, 7, 1, false, 4, 1 },
};

/* What a case needs, in f64 and as stored; bf16 values are exact in both. */
struct data {
	struct arena arena;
	struct direct_shape s;
	size_t in, out, weights; /* elements of dense tensors */
	double *x, *g, *y, *w, *bias, *scale, *shift, *mean, *slope, *offset, *d;
	double *h, *dh, *want_y, *want_dw, *want_d; /* by hand */
	bool norm, back;
};

static double exact_bf16(double v)
{
	float f = (float)v;
	uint32_t u;

	memcpy(&u, &f, sizeof u);
	u = (u + 0x7fff + ((u >> 16) & 1)) & 0xffff0000u;
	memcpy(&f, &u, sizeof f);
	return (double)f;
}

static double *numbers(struct data *t, size_t n, struct rng *rng, double mean, double std)
{
	double *v = ARENA_NEW(&t->arena, double, n + 1);

	for (size_t i = 0; i < n; i++)
		v[i] = exact_bf16(mean + std * rng_normal(rng));
	return v;
}

static void data_make(struct data *t, const struct shape_case *c, bool norm, bool back,
		      uint64_t seed)
{
	struct rng rng;
	uint32_t pad_h, pad_w;
	struct direct_shape *s = &t->s;

	rng_stream(&rng, seed, RNG_SAMPLE, 0);
	*t = (struct data){ .norm = norm, .back = back };
	*s = (struct direct_shape){ .images = c->images,
				    .h = c->h,
				    .w = c->w,
				    .c = c->c,
				    .n = c->n,
				    .kh = c->k,
				    .kw = c->k,
				    .stride = c->stride,
				    .pool = c->pool,
				    .in_stored = (c->c + 15) / 16 * 16,
				    .out_stored = (c->n + 15) / 16 * 16,
				    .back_data = back };
	s->oh = c->valid ? (c->h - c->k) / c->stride + 1 : (c->h + c->stride - 1) / c->stride;
	s->ow = c->valid ? (c->w - c->k) / c->stride + 1 : (c->w + c->stride - 1) / c->stride;
	pad_h = (s->oh - 1) * c->stride + c->k;
	pad_w = (s->ow - 1) * c->stride + c->k;
	s->top = pad_h > c->h ? (pad_h - c->h) / 2 : 0;
	s->left = pad_w > c->w ? (pad_w - c->w) / 2 : 0;
	t->in = (size_t)c->images * c->h * c->w * c->pool * c->pool * c->c;
	t->out = (size_t)c->images * s->oh * s->ow * c->n;
	t->weights = (size_t)c->k * c->k * c->c * c->n;
	t->x = numbers(t, t->in, &rng, 0.5, 1);
	t->g = numbers(t, t->out, &rng, 0, 1);
	t->y = numbers(t, t->out, &rng, 0, 1);
	t->w = numbers(t, t->weights, &rng, 0, 1 / sqrt(c->k * c->k * c->c));
	t->bias = numbers(t, c->n, &rng, 0, 1);
	t->scale = numbers(t, c->c, &rng, 1, 0.3);
	t->shift = numbers(t, c->c, &rng, 0, 0.5);
	t->mean = numbers(t, c->c, &rng, 0.5, 0.1);
	t->slope = numbers(t, c->n, &rng, 0, 0.3);
	t->offset = numbers(t, c->n, &rng, 0, 0.3);
	t->d = numbers(t, t->in, &rng, 0, 1);
}

static double behind(const struct data *t, size_t i)
{
	size_t c = i % t->s.c;

	return t->norm ? fmax(0, t->scale[c] * t->x[i] + t->shift[c]) : t->x[i];
}

/* Cell (y, x) of the pooled input, as index of its first source pixel's channel 0. */
static size_t cell(const struct data *t, size_t image, size_t y, size_t x, size_t sub)
{
	const struct direct_shape *s = &t->s;
	size_t row = (image * s->h + y) * s->pool + sub / s->pool;

	return (row * s->w * s->pool + x * s->pool + sub % s->pool) * s->c;
}

#define EACH_TAP(t, image, oy, ox, y, x, tap)                                                      \
	for (size_t tap = 0, y, x; y = (oy) * (t)->s.stride + tap / (t)->s.kw - (t)->s.top,        \
		    x = (ox) * (t)->s.stride + tap % (t)->s.kw - (t)->s.left,                      \
		    tap < (t)->s.kh * (t)->s.kw;                                                   \
	     tap++)                                                                                \
		if (y < (t)->s.h && x < (t)->s.w)

static void by_hand(struct data *t)
{
	const struct direct_shape *s = &t->s;
	size_t cells = (size_t)s->images * s->h * s->w, subs = (size_t)s->pool * s->pool;

	t->h = ARENA_NEW(&t->arena, double, cells * s->c);
	t->dh = ARENA_NEW(&t->arena, double, cells * s->c);
	t->want_y = ARENA_NEW(&t->arena, double, t->out);
	t->want_dw = ARENA_NEW(&t->arena, double, t->weights);
	t->want_d = ARENA_NEW(&t->arena, double, t->in);
	for (size_t p = 0; p < cells; p++)
		for (size_t c = 0; c < s->c; c++) {
			size_t image = p / (s->h * s->w), at = p % (s->h * s->w);
			double v = 0;

			for (size_t k = 0; k < subs; k++)
				v += behind(t, cell(t, image, at / s->w, at % s->w, k) + c);
			t->h[p * s->c + c] = exact_bf16(v / (double)subs);
		}
	for (size_t o = 0; o < t->out / s->n; o++) {
		size_t image = o / (s->oh * s->ow), oy = o / s->ow % s->oh, ox = o % s->ow;

		for (size_t n = 0; n < s->n; n++) {
			size_t i = o * s->n + n;
			double g = exact_bf16(t->g[i] + t->slope[n] * t->y[i] + t->offset[n]);

			t->want_y[i] = t->bias[n];
			EACH_TAP(t, image, oy, ox, y, x, tap)
			for (size_t c = 0; c < s->c; c++) {
				size_t at = ((image * s->h + y) * s->w + x) * s->c + c;
				size_t w = (tap * s->c + c) * s->n + n;

				t->want_y[i] += t->h[at] * t->w[w];
				t->want_dw[w] += t->h[at] * g;
				t->dh[at] += g * t->w[w];
			}
		}
	}
}

/* Tensors as stored: rows of `stride` channels, the tensor a slice from channel `offset`. */
struct slice {
	char *memory;
	size_t bytes, n, c, stride, offset;
	struct rows rows;
};

static void put(struct slice *s, size_t i, double v)
{
	size_t at = i / s->c * s->stride + s->offset + i % s->c;
	float f = (float)v;
	uint32_t u;

	memcpy(&u, &f, sizeof u);
	((uint16_t *)(void *)s->memory)[at] = (uint16_t)(u >> 16);
}

static double get(const struct slice *s, size_t i)
{
	size_t at = i / s->c * s->stride + s->offset + i % s->c;
	uint32_t u;
	float f;

	u = (uint32_t)((const uint16_t *)(const void *)s->memory)[at] << 16;
	memcpy(&f, &u, sizeof f);
	return (double)f;
}

/* Around the slice are NaNs that must neither matter nor change. */
static struct slice slice_make(struct arena *a, const double *v, size_t n, size_t c, bool narrow)
{
	struct slice s = { .n = n, .c = c, .offset = narrow ? 0 : 16 };

	s.stride = narrow ? c : (c + 31 + s.offset) / 16 * 16;
	s.bytes = n / c * s.stride * 2 + KERNEL_SLACK;
	s.memory = arena_alloc(a, s.bytes, 1, 64);
	memset(s.memory, 0xff, s.bytes);
	for (size_t i = 0; i < n; i++)
		put(&s, i, v[i]);
	s.rows = (struct rows){ s.memory + s.offset * 2, s.stride, false };
	return s;
}

static bool outside_untouched(const struct slice *s)
{
	for (size_t i = 0; i < s->n / s->c * s->stride * 2; i++) {
		size_t c = i / 2 % s->stride;

		if ((c < s->offset || c >= s->offset + s->c) && s->memory[i] != (char)0xff)
			return false;
	}
	return true;
}

static float *vector(struct arena *a, const double *v, size_t n)
{
	float *f = ARENA_NEW(a, float, n + 32);

	for (size_t i = 0; i < n; i++)
		f[i] = (float)v[i];
	return f;
}

static double distance(const double *want, const double *got, size_t n)
{
	double diff = 0, norm = 0;

	for (size_t i = 0; i < n; i++) {
		diff += (want[i] - got[i]) * (want[i] - got[i]);
		norm += want[i] * want[i];
	}
	return norm > 0 ? sqrt(diff / norm) : sqrt(diff);
}

static double slice_distance(struct data *t, const struct slice *s, const double *want)
{
	double *got = ARENA_NEW(&t->arena, double, s->n);

	for (size_t i = 0; i < s->n; i++)
		got[i] = get(s, i);
	return distance(want, got, s->n);
}

/* ---- one case ------------------------------------------------------------------ */

struct placed { /* what a table is given */
	struct direct d;
	void *forward, *back, *scratch;
	float *weights, *scale, *shift, *mean, *slope, *offset, *bias, *dw, *dbias, *sums;
	double *sum[2];
};

static void *memory(struct arena *a, size_t bytes)
{
	char *at = arena_alloc(a, bytes + 64, 1, 64);

	return memset(at, 0x7f, bytes + 64); /* finite, but of consequence where it is used */
}

static void place(struct data *t, struct placed *p)
{
	struct arena *a = &t->arena;
	const struct direct_shape *s = &t->s;
	size_t stored = (size_t)s->kh * s->kw * s->in_stored * s->out_stored;

	cr_assert(direct_plan(&p->d, s, a));
	p->forward = memory(a, p->d.forward_bytes);
	p->back = s->back_data ? memory(a, p->d.back_bytes) : NULL;
	p->scratch = memory(a, p->d.scratch_bytes);
	p->sums = memory(a, p->d.sums_bytes);
	p->weights = ARENA_NEW(a, float, stored);
	p->dw = ARENA_NEW(a, float, stored);
	for (size_t i = 0; i < t->weights; i++)
		p->weights[(i / s->n / s->c * s->in_stored + i / s->n % s->c) * s->out_stored +
			   i % s->n] = (float)t->w[i];
	direct_pack(&p->d, p->weights, p->forward, p->back);
	p->scale = vector(a, t->scale, s->c);
	p->shift = vector(a, t->shift, s->c);
	p->mean = vector(a, t->mean, s->c);
	p->slope = vector(a, t->slope, s->n);
	p->offset = vector(a, t->offset, s->n);
	p->bias = vector(a, t->bias, s->n);
	p->dbias = ARENA_NEW(a, float, s->n + 32);
	for (int i = 0; i < 2; i++)
		p->sum[i] = ARENA_NEW(a, double, s->c + s->n + 32);
}

static void check_forward(struct data *t, struct placed *p, const struct direct_kernels *k,
			  const struct direct_source *source, size_t row)
{
	const struct direct_shape *s = &t->s;
	struct slice y = slice_make(&t->arena, t->y, t->out, s->n, false);
	struct direct_forward f = { .source = *source,
				    .y = y.rows,
				    .packed = p->forward,
				    .bias = p->bias,
				    .sum = p->sum[0],
				    .sum_sq = p->sum[1],
				    .first = true,
				    .scratch = p->scratch };
	double far;

	k->forward(&p->d, &f);
	far = slice_distance(t, &y, t->want_y);
	cr_assert_lt(far, 4e-3, "case %zu: forward is %g away", row, far);
	cr_assert(outside_untouched(&y), "case %zu: forward", row);
	for (size_t n = 0; n < s->n; n++) {
		double sum = 0, sum_sq = 0, size = 0;

		for (size_t i = n; i < t->out; i += s->n) {
			sum += t->want_y[i];
			sum_sq += t->want_y[i] * t->want_y[i];
			size += fabs(t->want_y[i]);
		}
		cr_assert_float_eq(p->sum[0][n], sum, 1e-5 * size + 1e-6, "case %zu", row);
		cr_assert_float_eq(p->sum[1][n], sum_sq, 1e-5 * sum_sq, "case %zu", row);
	}
}

/* The gradient of the source by hand from dh; the sums a norm needs. */
static void source_gradient(struct data *t, bool add, double *sum_g, double *sum_gx)
{
	const struct direct_shape *s = &t->s;
	size_t subs = (size_t)s->pool * s->pool;

	for (size_t c = 0; c < s->c; c++)
		sum_g[c] = sum_gx[c] = 0;
	for (size_t p = 0; p < (size_t)s->images * s->h * s->w; p++)
		for (size_t k = 0; k < subs; k++)
			for (size_t c = 0; c < s->c; c++) {
				size_t image = p / (s->h * s->w), at = p % (s->h * s->w);
				size_t i = cell(t, image, at / s->w, at % s->w, k) + c;
				double g = t->dh[p * s->c + c] / (double)subs;

				if (t->norm && t->scale[c] * t->x[i] + t->shift[c] <= 0)
					g = 0;
				sum_g[c] += g;
				sum_gx[c] += g * (t->x[i] - t->mean[c]);
				g *= t->norm ? t->scale[c] : 1;
				t->want_d[i] = g + (add ? t->d[i] : 0);
			}
}

/* More images, here the same again, are added to the gradients. */
static void check_again(struct data *t, struct placed *p, const struct direct_kernels *k,
			struct direct_backward b, size_t row)
{
	const struct direct_shape *s = &t->s;

	b.first = false;
	b.d = (struct rows){ 0 };
	b.sum_g = ARENA_NEW(&t->arena, double, s->c);
	b.sum_gx = ARENA_NEW(&t->arena, double, s->c);
	k->backward(&p->d, &b);
	for (size_t i = 0; i < t->weights; i++) {
		double got = (double)p->dw[(i / s->n / s->c * s->in_stored + i / s->n % s->c) *
						   s->out_stored +
					   i % s->n];

		cr_assert_float_eq(got, 2 * t->want_dw[i], 1e-4 + 1e-4 * fabs(got),
				   "case %zu: weight %zu", row, i);
	}
}

static void check_backward(struct data *t, struct placed *p, const struct direct_kernels *k,
			   const struct direct_source *source, bool add, size_t row)
{
	const struct direct_shape *s = &t->s;
	struct slice y = slice_make(&t->arena, t->y, t->out, s->n, false);
	struct slice g = slice_make(&t->arena, t->g, t->out, s->n, false);
	struct slice d = slice_make(&t->arena, t->d, t->in, s->c, false);
	struct direct_backward b = { .source = *source,
				     .g = g.rows,
				     .y = y.rows,
				     .slope = p->slope,
				     .offset = p->offset,
				     .d = d.rows,
				     .accumulate = add,
				     .first = true,
				     .mean = p->mean,
				     .sum_g = p->sum[0],
				     .sum_gx = p->sum[1],
				     .packed = p->back,
				     .weights = p->dw,
				     .bias = p->dbias,
				     .scratch = p->scratch,
				     .sums = p->sums };
	double *got = ARENA_NEW(&t->arena, double, t->weights), far;
	double *sum[2] = { ARENA_NEW(&t->arena, double, s->c), ARENA_NEW(&t->arena, double, s->c) };

	k->backward(&p->d, &b);
	for (size_t i = 0; i < t->weights; i++)
		got[i] = (double)p->dw[(i / s->n / s->c * s->in_stored + i / s->n % s->c) *
					       s->out_stored +
				       i % s->n];
	far = distance(t->want_dw, got, t->weights);
	cr_assert_lt(far, 2e-6, "case %zu: weight gradient is %g away", row, far);
	check_again(t, p, k, b, row);
	if (!t->back)
		return;
	source_gradient(t, add, sum[0], sum[1]);
	far = slice_distance(t, &d, t->want_d);
	cr_assert_lt(far, 5e-3, "case %zu: input gradient is %g away", row, far);
	cr_assert(outside_untouched(&d), "case %zu: backward", row);
	for (int i = 0; i < 2 && t->norm; i++)
		cr_assert_lt(distance(sum[i], p->sum[i], s->c), 1e-4, "case %zu: sums", row);
}

static void check_case(const struct direct_kernels *k, size_t row, bool norm, bool back, bool add)
{
	struct placed p;
	struct data t;
	struct slice x;
	struct direct_source source;

	data_make(&t, &cases[row], norm, back, row);
	by_hand(&t);
	place(&t, &p);
	x = slice_make(&t.arena, t.x, t.in, t.s.c, !back);
	source = (struct direct_source){ .x = x.rows, .act = KERNEL_RELU };
	if (norm) {
		source.scale = p.scale;
		source.shift = p.shift;
	}
	check_forward(&t, &p, k, &source, row);
	check_backward(&t, &p, k, &source, add, row);
	arena_free(&t.arena);
}

static void check_table(const struct direct_kernels *k)
{
	for (size_t row = 0; row < sizeof cases / sizeof *cases; row++) {
		check_case(k, row, true, true, true);
		check_case(k, row, true, true, false);
		check_case(k, row, false, true, row % 2);
		if (cases[row].pool == 1)
			check_case(k, row, false, false, false);
	}
}

Test(direct, emulated_tiles_equal_plain_loops)
{
	check_table(&direct_emulated_v2);
}

Test(direct, emulated_tiles_with_avx512_equal_plain_loops)
{
	if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl"))
		cr_skip("needs AVX-512");
	check_table(&direct_emulated_v4);
}

Test(direct, tiles_equal_plain_loops)
{
	const struct direct_kernels *k = direct_choose();

	if (!k)
		cr_skip("needs AMX");
	check_table(k);
}
