#include <math.h>
#include <string.h>

#include "execute.h"

/* The arithmetic of firmware/nasc_kernels.h, as it is specified there. */

static float saturate(int64_t v)
{
	return v < -128 ? -128 : v > 127 ? 127 : (float)v;
}

static float shifted(int64_t v, uint32_t shift)
{
	return saturate(v >> shift);
}

static float padding(const void *ctx, size_t op)
{
	const struct quantised *q = ctx;

	return (float)q->op[network_inputs(&q->net, op)[0]].zero;
}

static void finish(const void *ctx, size_t op, const double *sum, uint32_t cells, float *y)
{
	const struct quantised *q = ctx;
	const struct quantised_op *o = &q->op[op];
	uint32_t fewest, outside = 0;

	if (!o->weights)
		outside = firmware_mean_cells(&q->net, op, &fewest) - cells;
	for (uint32_t c = 0; c < q->net.op[op].out.c; c++) {
		uint32_t i = o->weights ? c : outside;
		int64_t parts = o->weights ? 1 : NASC_MEAN_PARTS;
		int64_t v = parts * (int64_t)sum[c] + o->requant[i].offset;

		y[c] = saturate((v * o->requant[i].multiplier + ((int64_t)1 << 31)) >> 32);
	}
}

static void add(const struct quantised *q, size_t op, const float *const *x, float *y)
{
	const struct quantised_op *o = &q->op[op];

	for (size_t i = 0; i < net_elements(q->net.op[op].out); i++) {
		int64_t v = o->affine[0].constant;

		for (uint32_t k = 0; k < q->net.op[op].n_inputs; k++)
			v += (int64_t)o->affine[k].factor * (int64_t)x[k][i];
		y[i] = shifted(v, o->shift);
	}
}

static void concat(const struct quantised *q, size_t op, const float *const *x, float *y)
{
	const struct net_op *o = &q->net.op[op];

	for (size_t p = 0; p < (size_t)o->out.h * o->out.w; p++)
		for (uint32_t k = 0; k < o->n_inputs; k++) {
			uint32_t n = q->net.op[network_inputs(&q->net, op)[k]].out.c;
			struct nasc_affine a = q->op[op].affine[k];

			for (uint32_t c = 0; c < n; c++)
				*y++ = shifted(a.constant +
						       (int64_t)a.factor * (int64_t)x[k][p * n + c],
					       q->op[op].shift);
		}
}

static void combine(const void *ctx, size_t op, const float *const *x, float *y)
{
	const struct quantised *q = ctx;
	const struct net_op *o = &q->net.op[op];
	const struct quantised_op *p = &q->op[op];
	float low = (float)p->zero, high = (float)quantised_high(q, op);

	switch (o->kind) {
	case NET_ADD:
		add(q, op, x, y);
		break;
	case NET_CONCAT:
		concat(q, op, x, y);
		break;
	case NET_BATCH_NORM:
		for (size_t i = 0; i < net_elements(o->out); i++) {
			struct nasc_affine a = p->affine[i % o->out.c];

			y[i] = shifted(a.constant + (int64_t)a.factor * (int64_t)x[0][i], p->shift);
		}
		break;
	default:
		for (size_t i = 0; i < net_elements(o->out); i++)
			y[i] = x[0][i] < low ? low : x[0][i] > high ? high : x[0][i];
	}
}

int32_t quantised_high(const struct quantised *q, size_t op)
{
	double six = round(6 / (double)q->op[op].scale) + q->op[op].zero;

	return q->net.op[op].kind == NET_RELU6 && six < 127 ? (int32_t)six : 127;
}

/* ---- running ------------------------------------------------------------------------ */

/* Weights as trained has them. */
static const float *as_trained(const struct quantised *q, size_t op, struct arena *a)
{
	const struct net_op *o = &q->net.op[op];
	uint64_t all = network_op_weights(&q->net, op), n = all / o->out.c;
	float *w = ARENA_NEW(a, float, all);

	for (uint64_t i = 0; i < all; i++)
		w[i] = q->op[op]
			       .weights[o->kind == NET_DEPTHWISE ? i
								 : i % o->out.c * n + i / o->out.c];
	return w;
}

static double input_value(const struct quantised *q, float v)
{
	double scaled = (double)v / (double)q->op[0].scale + q->op[0].zero;

	return round(fmin(fmax(scaled, -128), 127));
}

void quantised_input(const struct quantised *q, const float *image, int8_t *out)
{
	for (size_t i = 0; i < net_elements(q->net.input); i++)
		out[i] = (int8_t)input_value(q, image[i]);
}

static void enter(const void *ctx, const float *image, float *x)
{
	const struct quantised *q = ctx;

	for (size_t i = 0; i < net_elements(q->net.input); i++)
		x[i] = (float)input_value(q, image[i]);
}

struct outputs {
	const struct network *net;
	int8_t *out;
};

static void keep_output(void *ctx, unsigned worker, size_t image, size_t op, const float *map)
{
	const struct outputs *o = ctx;

	(void)worker;
	for (uint32_t i = 0; i < o->net->classes && op == o->net->n_ops - 1; i++)
		o->out[image * o->net->classes + i] = (int8_t)map[i];
}

enum nasc_status quantised_run(const struct quantised *q, const struct images *images,
			       unsigned threads, int8_t *out, struct nasc_err *err)
{
	struct arena a = { 0 };
	const float **weights = ARENA_NEW(&a, const float *, q->net.n_ops);
	struct arithmetic arithmetic = { .ctx = q,
					 .weights = weights,
					 .padding = padding,
					 .finish = finish,
					 .combine = combine };
	struct outputs o = { &q->net, out };
	enum nasc_status st;

	for (size_t i = 0; i < q->net.n_ops; i++)
		weights[i] = q->op[i].weights ? as_trained(q, i, &a) : NULL;
	st = execute(&(struct execution){ .net = &q->net,
					  .arithmetic = &arithmetic,
					  .image = images->image,
					  .n = images->n,
					  .threads = threads,
					  .enter = enter,
					  .see = keep_output,
					  .see_ctx = &o },
		     err);
	arena_free(&a);
	return st;
}
