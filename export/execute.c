#include "execute.h"

#include <string.h>

#include "pool.h"

enum {
	PIXELS = 4,    /* outputs at a time */
	CHANNELS = 16, /* and channels */
	LANES = 8,
	EXACT = 1024 /* products of int8 values whose sum is exact in f32: 2^24 / 2^14 */
};

typedef void products_fn(const float *restrict column, const float *restrict weights, size_t n,
			 size_t out, double *restrict sum);

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

struct worker {
	products_fn *products;
	float **map;   /* [op] */
	float *column; /* [values of a window][PIXELS] */
	double *sum;   /* [PIXELS][channels] */
};

struct run {
	const struct execution *e;
	struct worker *worker;
};

/* ---- windows ---------------------------------------------------------------------- */

/* Cell (y, x) of the input, if there is one. */
static const float *cell(struct net_shape in, const float *x, int64_t iy, int64_t ix)
{
	if (iy < 0 || ix < 0 || iy >= in.h || ix >= in.w)
		return NULL;
	return x + ((size_t)iy * in.w + (size_t)ix) * in.c;
}

/* The window of output pixel @at into every PIXELS-th place of @column. */
static void gather(const struct net_op *o, struct net_shape in, const float *x, size_t at,
		   float padding, float *column)
{
	int64_t top = (int64_t)(at / o->out.w * o->stride) - o->pad_top;
	int64_t left = (int64_t)(at % o->out.w * o->stride) - o->pad_left;

	for (uint32_t ky = 0; ky < o->kernel_h; ky++)
		for (uint32_t kx = 0; kx < o->kernel_w; kx++, column += (size_t)in.c * PIXELS) {
			const float *p = cell(in, x, top + ky, left + kx);

			for (uint32_t c = 0; c < in.c; c++)
				column[c * PIXELS] = p ? p[c] : padding;
		}
}

/* sum[p][o] += column[k][p] * weights[k][o], @n of k, at most EXACT. */
__attribute__((always_inline)) static inline void sum_products(const float *restrict column,
							       const float *restrict weights,
							       size_t n, size_t out,
							       double *restrict sum)
{
	size_t o = 0;

	for (; o + CHANNELS <= out; o += CHANNELS) {
		lanes part[PIXELS][CHANNELS / LANES] = { 0 };
		float whole[CHANNELS];

		for (size_t k = 0; k < n; k++) {
#pragma GCC unroll 2
			for (size_t j = 0; j < CHANNELS / LANES; j++) {
				lanes w;

				memcpy(&w, weights + k * out + o + j * LANES, sizeof w);
#pragma GCC unroll 4
				for (size_t p = 0; p < PIXELS; p++)
					part[p][j] += column[k * PIXELS + p] * w;
			}
		}
		for (size_t p = 0; p < PIXELS; p++) {
			memcpy(whole, part[p], sizeof whole);
			for (size_t j = 0; j < CHANNELS; j++)
				sum[p * out + o + j] += (double)whole[j];
		}
	}
	for (; o < out; o++)
		for (size_t p = 0; p < PIXELS; p++) {
			float part = 0;

			for (size_t k = 0; k < n; k++)
				part += column[k * PIXELS + p] * weights[k * out + o];
			sum[p * out + o] += (double)part;
		}
}

static void add_products(const float *restrict column, const float *restrict weights, size_t n,
			 size_t out, double *restrict sum)
{
	sum_products(column, weights, n, out, sum);
}

/* The same bits: no sum is split otherwise, and nothing is contracted. */
__attribute__((target("avx2"))) static void add_products_avx2(const float *restrict column,
							      const float *restrict weights,
							      size_t n, size_t out,
							      double *restrict sum)
{
	sum_products(column, weights, n, out, sum);
}

static void convolve(const struct execution *e, struct worker *w, size_t op, const float *x)
{
	const struct arithmetic *a = e->arithmetic;
	const struct net_op *o = &e->net->op[op];
	struct net_shape in = network_in_shape(e->net, op);
	size_t values = (size_t)o->kernel_h * o->kernel_w * in.c, out = o->out.c;
	size_t pixels = (size_t)o->out.h * o->out.w;

	for (size_t at = 0; at < pixels; at += PIXELS) {
		size_t n = pixels - at < PIXELS ? pixels - at : PIXELS;

		for (size_t p = 0; p < n; p++)
			gather(o, in, x, at + p, a->padding(a->ctx, op), w->column + p);
		memset(w->sum, 0, PIXELS * out * sizeof *w->sum);
		for (size_t k = 0; k < values; k += EXACT)
			w->products(w->column + k * PIXELS, a->weights[op] + k * out,
				    values - k < EXACT ? values - k : EXACT, out, w->sum);
		for (size_t p = 0; p < n; p++)
			a->finish(a->ctx, op, w->sum + p * out, 0, w->map[op] + (at + p) * out);
	}
}

/* Its input is one pixel of as many channels. */
static void dense(const struct execution *e, struct worker *w, size_t op, const float *x)
{
	const struct arithmetic *a = e->arithmetic;
	size_t values = net_elements(network_in_shape(e->net, op)), out = e->net->op[op].out.c;

	for (size_t k = 0; k < values; k++)
		w->column[k * PIXELS] = x[k];
	memset(w->sum, 0, PIXELS * out * sizeof *w->sum);
	for (size_t k = 0; k < values; k += EXACT)
		w->products(w->column + k * PIXELS, a->weights[op] + k * out,
			    values - k < EXACT ? values - k : EXACT, out, w->sum);
	a->finish(a->ctx, op, w->sum, 0, w->map[op]);
}

/* A depthwise convolution; a mean, which has no weights and no padding. */
static void by_channel(const struct execution *e, struct worker *w, size_t op,
		       const struct net_op *o, const float *x)
{
	const struct arithmetic *a = e->arithmetic;
	struct net_shape in = network_in_shape(e->net, op);
	const float *weights = a->weights[op];
	double padding = weights ? (double)a->padding(a->ctx, op) : 0;

	for (size_t at = 0; at < (size_t)o->out.h * o->out.w; at++) {
		int64_t top = (int64_t)(at / o->out.w * o->stride) - o->pad_top;
		int64_t left = (int64_t)(at % o->out.w * o->stride) - o->pad_left;
		uint32_t cells = 0;

		memset(w->sum, 0, in.c * sizeof *w->sum);
		for (uint32_t k = 0; k < o->kernel_h * o->kernel_w; k++) {
			const float *p = cell(in, x, top + k / o->kernel_w, left + k % o->kernel_w);

			cells += p != NULL;
			if (p && !weights)
				for (uint32_t c = 0; c < in.c; c++)
					w->sum[c] += (double)p[c];
			for (uint32_t c = 0; c < in.c && weights; c++)
				w->sum[c] += (p ? (double)p[c] : padding) *
					     (double)weights[(size_t)k * in.c + c];
		}
		a->finish(a->ctx, op, w->sum, cells, w->map[op] + at * in.c);
	}
}

static void max_pool(const struct net_op *o, struct net_shape in, const float *x, float *y)
{
	for (size_t at = 0; at < (size_t)o->out.h * o->out.w; at++, y += in.c) {
		int64_t top = (int64_t)(at / o->out.w * o->stride) - o->pad_top;
		int64_t left = (int64_t)(at % o->out.w * o->stride) - o->pad_left;
		bool any = false;

		for (uint32_t k = 0; k < o->kernel_h * o->kernel_w; k++) {
			const float *p = cell(in, x, top + k / o->kernel_w, left + k % o->kernel_w);

			for (uint32_t c = 0; c < in.c && p; c++)
				y[c] = any && y[c] > p[c] ? y[c] : p[c];
			any |= p != NULL;
		}
	}
}

/* ---- copies ------------------------------------------------------------------------- */

static void pad(const struct net_op *o, struct net_shape in, const float *x, float padding,
		float *y)
{
	for (uint32_t oy = 0; oy < o->out.h; oy++)
		for (uint32_t ox = 0; ox < o->out.w; ox++, y += in.c) {
			const float *p =
				cell(in, x, (int64_t)oy - o->pad_top, (int64_t)ox - o->pad_left);

			for (uint32_t c = 0; c < in.c; c++)
				y[c] = p ? p[c] : padding;
		}
}

static void upsample(const struct net_op *o, struct net_shape in, const float *x, float *y)
{
	for (uint32_t oy = 0; oy < o->out.h; oy++)
		for (uint32_t ox = 0; ox < o->out.w; ox++, y += in.c)
			memcpy(y, cell(in, x, oy / o->stride, ox / o->stride), in.c * sizeof *y);
}

/* ---- running -------------------------------------------------------------------------- */

static void run_op(const struct execution *e, struct worker *w, size_t op)
{
	const struct arithmetic *a = e->arithmetic;
	const struct net_op *o = &e->net->op[op];
	const uint32_t *in = network_inputs(e->net, op);
	struct net_shape shape = network_in_shape(e->net, op);
	const float *x = w->map[in[0]], **inputs = (const float **)w->column;
	struct net_op whole = { .kernel_h = shape.h, .kernel_w = shape.w, .out = o->out };

	switch (o->kind) {
	case NET_CONV2D:
		convolve(e, w, op, x);
		break;
	case NET_DENSE:
		dense(e, w, op, x);
		break;
	case NET_DEPTHWISE:
	case NET_AVG_POOL:
		by_channel(e, w, op, o, x);
		break;
	case NET_GLOBAL_POOL:
		by_channel(e, w, op, &whole, x);
		break;
	case NET_MAX_POOL:
		max_pool(o, shape, x, w->map[op]);
		break;
	case NET_PAD:
		pad(o, shape, x, a->padding(a->ctx, op), w->map[op]);
		break;
	case NET_UPSAMPLE:
		upsample(o, shape, x, w->map[op]);
		break;
	default:
		for (uint32_t i = 0; i < o->n_inputs; i++)
			inputs[i] = w->map[in[i]];
		a->combine(a->ctx, op, inputs, w->map[op]);
	}
}

static void run_image(void *ctx, unsigned worker, size_t image)
{
	struct run *r = ctx;
	const struct execution *e = r->e;
	struct worker *w = &r->worker[worker];
	size_t elements = net_elements(e->net->input);

	if (e->enter)
		e->enter(e->arithmetic->ctx, e->image + image * elements, w->map[0]);
	else
		memcpy(w->map[0], e->image + image * elements, elements * sizeof(float));
	for (size_t op = 0; op < e->net->n_ops; op++) {
		if (op)
			run_op(e, w, op);
		e->see(e->see_ctx, worker, image, op, w->map[op]);
	}
}

static void worker_init(struct worker *w, const struct network *net, struct arena *a)
{
	size_t column = 0, channels = net->input.c;

	w->products = __builtin_cpu_supports("avx2") ? add_products_avx2 : add_products;
	w->map = ARENA_NEW(a, float *, net->n_ops);
	for (size_t i = 0; i < net->n_ops; i++) {
		const struct net_op *o = &net->op[i];
		size_t n = o->n_inputs * sizeof(float *) / (PIXELS * sizeof(float)) + 1;

		w->map[i] = ARENA_NEW(a, float, net_elements(o->out));
		if (o->kind == NET_CONV2D)
			n = (size_t)o->kernel_h * o->kernel_w * network_in_shape(net, i).c;
		if (o->kind == NET_DENSE)
			n = net_elements(network_in_shape(net, i));
		column = n > column ? n : column;
		channels = o->out.c > channels ? o->out.c : channels;
	}
	w->column = arena_alloc(a, column * PIXELS, sizeof *w->column, sizeof(float *));
	w->sum = ARENA_NEW(a, double, PIXELS *channels);
}

enum nasc_status execute(const struct execution *e, struct nasc_err *err)
{
	struct arena a = { 0 };
	struct run r = { e, ARENA_NEW(&a, struct worker, e->threads) };
	struct pool *pool;
	enum nasc_status st = pool_open(&pool, e->threads, err);

	for (unsigned i = 0; i < e->threads && !st; i++)
		worker_init(&r.worker[i], e->net, &a);
	if (!st)
		pool_run(pool, e->n, run_image, &r);
	if (!st)
		pool_close(pool);
	arena_free(&a);
	return st;
}
