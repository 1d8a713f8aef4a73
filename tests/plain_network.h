#ifndef TESTS_PLAIN_NETWORK_H
#define TESTS_PLAIN_NETWORK_H
/* The mean loss of a network in training, in f64 and plain loops over operators: no plan, no
 * fusion, no slices. Weights lie as in the engine's plan; activations are [image][h][w][c]. */
#include <math.h>
#include <stdlib.h>

#include "engine_fixture.h"

struct plain {
	const struct bench *b;
	double **value;	      /* of each operator */
	double *(*weight)[4]; /* of each operator, by role, in the order of param_at(); or NULL */
};

static inline int64_t pad_before(const struct net_op *o, uint32_t in, uint32_t out, uint32_t kernel,
				 uint32_t given)
{
	int64_t all = ((int64_t)out - 1) * o->stride + kernel - in;

	return o->padding == NET_EXPLICIT	    ? given
	       : o->padding == NET_VALID || all < 0 ? 0
						    : all / 2;
}

/* Convolutions and pools: what the window of output cell (y, x, c) of image @n makes of @in. */
static inline double window_value(const struct plain *r, size_t op, const double *in, size_t n,
				  int64_t y, int64_t x, uint32_t c)
{
	const struct net_op *o = &r->b->net.op[op];
	const struct net_shape s = r->b->net.op[network_inputs(&r->b->net, op)[0]].out;
	const double *w = r->weight[op][PARAM_WEIGHTS], *bias = r->weight[op][PARAM_BIAS];
	bool conv = o->kind == NET_CONV2D, deep = o->kind == NET_DEPTHWISE;
	uint32_t per_group = conv ? s.c / o->groups : 1;
	uint32_t from = conv ? c / (o->out.c / o->groups) * per_group : c;
	int64_t y0 = y * o->stride - pad_before(o, s.h, o->out.h, o->kernel_h, o->pad_top);
	int64_t x0 = x * o->stride - pad_before(o, s.w, o->out.w, o->kernel_w, o->pad_left);
	double sum = 0, most = -INFINITY, cells = 0;

	for (int64_t ky = 0; ky < o->kernel_h; ky++)
		for (int64_t kx = 0; kx < o->kernel_w; kx++)
			for (uint32_t i = 0; i < per_group; i++) {
				int64_t iy = y0 + ky, ix = x0 + kx;
				size_t tap = (size_t)(ky * o->kernel_w + kx);
				double v;

				if (iy < 0 || ix < 0 || iy >= s.h || ix >= s.w)
					continue;
				v = in[((n * s.h + (size_t)iy) * s.w + (size_t)ix) * s.c + from +
				       i];
				cells++;
				most = v > most ? v : most;
				sum += conv || deep ? v * w[(tap * per_group + i) * o->out.c + c]
						    : v;
			}
	if (conv || deep)
		return sum + (bias ? bias[c] : 0);
	return o->kind == NET_MAX_POOL ? most : sum / cells;
}

static inline void windows_run(const struct plain *r, size_t op, const double *in, double *out)
{
	const struct net_shape s = r->b->net.op[op].out;

	for (size_t n = 0; n < IMAGES; n++)
		for (uint32_t y = 0; y < s.h; y++)
			for (uint32_t x = 0; x < s.w; x++)
				for (uint32_t c = 0; c < s.c; c++)
					*out++ = window_value(r, op, in, n, y, x, c);
}

static inline void dense_run(const struct plain *r, size_t op, const double *in, double *out)
{
	const double *w = r->weight[op][PARAM_WEIGHTS], *bias = r->weight[op][PARAM_BIAS];
	size_t n_in = net_elements(r->b->net.op[network_inputs(&r->b->net, op)[0]].out);
	uint32_t n_out = r->b->net.op[op].out.c;

	for (size_t n = 0; n < IMAGES; n++)
		for (uint32_t o = 0; o < n_out; o++) {
			double sum = bias ? bias[o] : 0;

			for (size_t i = 0; i < n_in; i++)
				sum += in[n * n_in + i] * w[i * n_out + o];
			out[n * n_out + o] = sum;
		}
}

static inline void norm_run(const struct plain *r, size_t op, const double *in, double *out)
{
	const struct net_shape s = r->b->net.op[op].out;
	size_t rows = (size_t)IMAGES * s.h * s.w;

	for (uint32_t c = 0; c < s.c; c++) {
		double mean = 0, var = 0, scale;

		for (size_t i = 0; i < rows; i++)
			mean += in[i * s.c + c] / (double)rows;
		for (size_t i = 0; i < rows; i++)
			var += (in[i * s.c + c] - mean) * (in[i * s.c + c] - mean) / (double)rows;
		scale = r->weight[op][PARAM_GAMMA][c] / sqrt(var + 1e-5);
		for (size_t i = 0; i < rows; i++)
			out[i * s.c + c] =
				scale * (in[i * s.c + c] - mean) + r->weight[op][PARAM_BETA][c];
	}
}

static inline void merge_run(const struct plain *r, size_t op, double *out)
{
	const struct net_op *o = &r->b->net.op[op];
	size_t rows = (size_t)IMAGES * o->out.h * o->out.w, at = 0;

	memset(out, 0, rows * o->out.c * sizeof *out);
	for (uint32_t k = 0; k < o->n_inputs; k++) {
		uint32_t from = network_inputs(&r->b->net, op)[k], c = r->b->net.op[from].out.c;

		for (size_t i = 0; i < rows; i++)
			for (uint32_t j = 0; j < c; j++)
				out[i * o->out.c + at + j] += r->value[from][i * c + j];
		at += o->kind == NET_CONCAT ? c : 0;
	}
}

static inline void mean_run(const struct plain *r, size_t op, const double *in, double *out)
{
	const struct net_shape s = r->b->net.op[network_inputs(&r->b->net, op)[0]].out;
	size_t pixels = (size_t)s.h * s.w;

	for (size_t n = 0; n < IMAGES; n++)
		for (uint32_t c = 0; c < s.c; c++) {
			double sum = 0;

			for (size_t p = n * pixels; p < (n + 1) * pixels; p++)
				sum += in[p * s.c + c];
			out[n * s.c + c] = sum / (double)pixels;
		}
}

static inline void act_run(bool positive, bool six, const double *in, double *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		double v = positive && in[i] < 0 ? 0 : in[i];

		out[i] = six && v > 6 ? 6 : v;
	}
}

static inline void operator_run(const struct plain *r, size_t op)
{
	const struct net_op *o = &r->b->net.op[op];
	const double *in = r->value[o->n_inputs ? network_inputs(&r->b->net, op)[0] : 0];
	double *out = r->value[op];
	size_t n = IMAGES * net_elements(o->out);

	switch (o->kind) {
	case NET_INPUT:
		for (size_t i = 0; i < n; i++)
			out[i] = (double)r->b->image[i];
		break;
	case NET_DENSE:
		dense_run(r, op, in, out);
		break;
	case NET_BATCH_NORM:
		norm_run(r, op, in, out);
		break;
	case NET_ADD:
	case NET_CONCAT:
		merge_run(r, op, out);
		break;
	case NET_GLOBAL_POOL:
		mean_run(r, op, in, out);
		break;
	case NET_RELU:
	case NET_RELU6:
	case NET_SOFTMAX: /* part of the loss */
		act_run(o->kind != NET_SOFTMAX, o->kind == NET_RELU6, in, out, n);
		break;
	default:
		windows_run(r, op, in, out);
		break;
	}
	act_run(o->act != NET_LINEAR, o->act == NET_ACT_RELU6, out, out, n);
}

static inline double plain_loss(const struct plain *r)
{
	size_t last = r->b->net.n_ops - 1, classes = r->b->net.classes;
	double loss = 0;

	for (size_t op = 0; op <= last; op++)
		operator_run(r, op);
	for (size_t n = 0; n < IMAGES; n++) {
		const double *z = r->value[last] + n * classes;
		double total = 0;

		for (size_t k = 0; k < classes; k++)
			total += exp(z[k] - z[r->b->label[n]]);
		loss += log(total) / IMAGES;
	}
	return loss;
}

static inline void plain_open(struct plain *r, struct bench *b)
{
	*r = (struct plain){ .b = b };
	r->value = ARENA_NEW(&b->arena, double *, b->net.n_ops);
	r->weight = arena_alloc(&b->arena, b->net.n_ops * sizeof *r->weight, 1, sizeof(void *));
	for (size_t i = 0; i < b->net.n_ops; i++)
		r->value[i] = ARENA_NEW(&b->arena, double, IMAGES *net_elements(b->net.op[i].out));
	for (size_t k = 0; k < b->plan.n_params; k++) {
		const struct param *q = &b->plan.param[k];
		double *w = ARENA_NEW(&b->arena, double, param_count(q));

		for (size_t i = 0; i < param_count(q); i++)
			w[i] = (double)b->model.weights[param_at(q, i)];
		r->weight[q->op][q->role] = w;
	}
}
#endif
