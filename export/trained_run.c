#include <math.h>
#include <string.h>

#include "execute.h"

/* The arithmetic of f32. */

static float activate(enum net_act act, float v)
{
	if (act != NET_LINEAR && v < 0)
		return 0;
	return act == NET_ACT_RELU6 && v > 6 ? 6 : v;
}

static float zero(const void *ctx, size_t op)
{
	(void)ctx;
	(void)op;
	return 0;
}

static void finish(const void *ctx, size_t op, const double *sum, uint32_t cells, float *y)
{
	const struct trained *t = ctx;
	const struct net_op *o = &t->net.op[op];
	const float *bias = t->op[op].bias;

	for (uint32_t c = 0; c < o->out.c; c++) {
		double v = cells && !t->op[op].weights ? sum[c] / cells : sum[c];

		y[c] = activate(o->act, (float)(v + (double)(bias ? bias[c] : 0)));
	}
}

static void add(const struct net_op *o, const float *const *x, float *y)
{
	for (size_t i = 0; i < net_elements(o->out); i++) {
		float v = x[0][i];

		for (uint32_t k = 1; k < o->n_inputs; k++)
			v += x[k][i];
		y[i] = activate(o->act, v);
	}
}

static void concat(const struct network *net, size_t op, const float *const *x, float *y)
{
	const struct net_op *o = &net->op[op];

	for (size_t p = 0; p < (size_t)o->out.h * o->out.w; p++)
		for (uint32_t k = 0; k < o->n_inputs; k++) {
			uint32_t c = net->op[network_inputs(net, op)[k]].out.c;

			memcpy(y, x[k] + p * c, c * sizeof *y);
			y += c;
		}
}

static void softmax(uint32_t n, const float *x, float *y)
{
	float most = x[0];
	double sum = 0;

	for (uint32_t i = 1; i < n; i++)
		most = x[i] > most ? x[i] : most;
	for (uint32_t i = 0; i < n; i++)
		sum += exp((double)(x[i] - most));
	for (uint32_t i = 0; i < n; i++)
		y[i] = (float)(exp((double)(x[i] - most)) / sum);
}

static void combine(const void *ctx, size_t op, const float *const *x, float *y)
{
	const struct trained *t = ctx;
	const struct net_op *o = &t->net.op[op];
	size_t n = net_elements(o->out);
	enum net_act act = o->kind == NET_RELU ? NET_ACT_RELU : NET_ACT_RELU6;

	switch (o->kind) {
	case NET_ADD:
		add(o, x, y);
		break;
	case NET_CONCAT:
		concat(&t->net, op, x, y);
		break;
	case NET_BATCH_NORM:
		for (size_t i = 0; i < n; i++)
			y[i] = activate(o->act, x[0][i] * t->op[op].weights[i % o->out.c] +
							t->op[op].bias[i % o->out.c]);
		break;
	case NET_SOFTMAX:
		for (size_t i = 0; i < n; i += o->out.c)
			softmax(o->out.c, x[0] + i, y + i);
		break;
	default:
		for (size_t i = 0; i < n; i++)
			y[i] = activate(act, x[0][i]);
	}
}

/* Weights of a grouped convolution as those of one over all channels, with zeros. */
static const float *ungroup(const struct network *net, size_t op, const float *weights,
			    struct arena *a)
{
	const struct net_op *o = &net->op[op];
	uint32_t in = network_in_shape(net, op).c, part = in / o->groups;
	uint32_t filters = o->out_channels / o->groups;
	size_t cells = (size_t)o->kernel_h * o->kernel_w;
	float *all = ARENA_NEW(a, float, cells *in * o->out_channels);

	for (size_t k = 0; k < cells; k++)
		for (uint32_t c = 0; c < part; c++)
			for (uint32_t f = 0; f < o->out_channels; f++)
				all[(k * in + f / filters * part + c) * o->out_channels + f] =
					weights[(k * part + c) * o->out_channels + f];
	return all;
}

struct arithmetic trained_arithmetic(const struct trained *t, struct arena *a)
{
	const float **weights = ARENA_NEW(a, const float *, t->net.n_ops);

	for (size_t i = 0; i < t->net.n_ops; i++)
		weights[i] = t->net.op[i].groups > 1 ? ungroup(&t->net, i, t->op[i].weights, a)
						     : t->op[i].weights;
	return (struct arithmetic){
		.ctx = t, .weights = weights, .padding = zero, .finish = finish, .combine = combine
	};
}

struct logits {
	const struct network *net;
	float *out;
};

static void keep_logits(void *ctx, unsigned worker, size_t image, size_t op, const float *map)
{
	const struct logits *l = ctx;

	(void)worker;
	if (op == l->net->n_ops - 1)
		memcpy(l->out + image * l->net->classes, map, l->net->classes * sizeof *map);
}

enum nasc_status trained_run(const struct trained *t, const struct images *images, unsigned threads,
			     float *logits, struct nasc_err *err)
{
	struct arena a = { 0 };
	struct arithmetic arithmetic = trained_arithmetic(t, &a);
	struct logits l = { &t->net, logits };
	enum nasc_status st = execute(&(struct execution){ .net = &t->net,
							   .arithmetic = &arithmetic,
							   .image = images->image,
							   .n = images->n,
							   .threads = threads,
							   .see = keep_logits,
							   .see_ctx = &l },
				      err);

	arena_free(&a);
	return st;
}
