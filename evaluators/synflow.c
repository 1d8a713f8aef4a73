#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proxy.h"

/* SynFlow, Tanaka et al., NeurIPS 2020 (arXiv 2006.05467): all weights taken as
 * their magnitudes, batch norms left out, an image of ones; R = sum of the
 * logits; the score is the sum of theta * dR/dtheta over the weights of
 * convolutions and dense layers.
 *
 * Everything is non-negative, so every ReLU (and ReLU6, whose ceiling would only
 * say how deep the network is) is open and the network linear. For one linear
 * layer y = theta * x the sum of theta * dR/dtheta is the sum of y * dR/dy, so no
 * weight gradient is needed. In f64, as the values grow with depth; the metric is
 * the score's logarithm. */

static const struct cfg_field synflow_fields[] = { PROXY_REPEATS_FIELD("3"), PROXY_SIZE_FIELD,
						   CFG_END };

struct flow {
	const struct network *net;
	double **y, **g, **w; /* of each operator: output, its gradient, weights */
};

/* What a window operator reads: @n channels in from @in for @n channels out. */
struct window {
	const struct net_op *op;
	struct net_shape in;
};

static bool is_layer(enum net_kind kind)
{
	return kind == NET_CONV2D || kind == NET_DEPTHWISE || kind == NET_DENSE;
}

static struct window window_of(const struct network *net, size_t i)
{
	const struct net_op *o = &net->op[i];

	return (struct window){ o, network_in_shape(net, i) };
}

/* Input pixel under tap @tap of output pixel (oy, ox), or -1 outside. */
static int64_t pixel_under(const struct window *w, uint32_t oy, uint32_t ox, uint32_t tap)
{
	int64_t y = (int64_t)oy * w->op->stride + tap / w->op->kernel_w - w->op->pad_top;
	int64_t x = (int64_t)ox * w->op->stride + tap % w->op->kernel_w - w->op->pad_left;

	return y < 0 || x < 0 || y >= w->in.h || x >= w->in.w ? -1 : y * w->in.w + x;
}

/* y[o] += x[i] * w[i][o], or back: x[i] += y[o] * w[i][o]. */
static void product(double *x, double *y, const double *w, size_t in, size_t out, size_t pitch,
		    bool back)
{
	for (size_t i = 0; i < in; i++) {
		const double *row = w + i * pitch;
		double sum = 0;

		if (back)
			for (size_t o = 0; o < out; o++)
				sum += y[o] * row[o];
		else
			for (size_t o = 0; o < out; o++)
				y[o] += x[i] * row[o];
		x[i] += sum;
	}
}

static void tap_run(const struct window *w, double *x, double *y, const double *weights, bool back)
{
	uint32_t groups = w->op->groups ? w->op->groups : 1;
	size_t in = w->in.c / groups, out = w->op->out.c / groups;

	if (w->op->kind == NET_DEPTHWISE) {
		for (size_t c = 0; c < w->in.c; c++)
			*(back ? &x[c] : &y[c]) += (back ? y[c] : x[c]) * weights[c];
		return;
	}
	for (size_t k = 0; k < groups; k++)
		product(x + k * in, y + k * out, weights + k * out, in, out, w->op->out.c, back);
}

static void conv_run(const struct network *net, size_t i, double *x, double *y, const double *w,
		     bool back)
{
	const struct net_op *o = &net->op[i];
	struct window win = window_of(net, i);
	size_t per_tap = o->kind == NET_DEPTHWISE
				 ? o->out.c
				 : (size_t)win.in.c / (o->groups ? o->groups : 1) * o->out.c;

	for (uint32_t oy = 0; oy < o->out.h; oy++)
		for (uint32_t ox = 0; ox < o->out.w; ox++)
			for (uint32_t tap = 0; tap < o->kernel_h * o->kernel_w; tap++) {
				int64_t p = pixel_under(&win, oy, ox, tap);

				if (p >= 0)
					tap_run(&win, x + (size_t)p * win.in.c,
						y + ((size_t)oy * o->out.w + ox) * o->out.c,
						w + tap * per_tap, back);
			}
}

static size_t cells_inside(const struct window *w, uint32_t oy, uint32_t ox)
{
	size_t n = 0;

	for (uint32_t tap = 0; tap < w->op->kernel_h * w->op->kernel_w; tap++)
		n += pixel_under(w, oy, ox, tap) >= 0;
	return n;
}

/* Forward: @y from @x. Back: the gradient @gy of y added to @gx. */
static void pool_pixel(const struct window *w, uint32_t oy, uint32_t ox, const double *x, double *y,
		       double *gx, const double *gy)
{
	uint32_t taps = w->op->kernel_h * w->op->kernel_w, c = w->in.c;
	double share = 1 / (double)cells_inside(w, oy, ox);

	for (uint32_t k = 0; k < c; k++) {
		int64_t top = -1;
		double sum = 0;

		for (uint32_t tap = 0; tap < taps; tap++) {
			int64_t p = pixel_under(w, oy, ox, tap);

			if (p < 0)
				continue;
			sum += x[(size_t)p * c + k];
			if (top < 0 || x[(size_t)p * c + k] > x[(size_t)top * c + k])
				top = p;
			if (gx && w->op->kind == NET_AVG_POOL)
				gx[(size_t)p * c + k] += share * gy[k];
		}
		if (gx && w->op->kind == NET_MAX_POOL)
			gx[(size_t)top * c + k] += gy[k];
		if (!gx)
			y[k] = w->op->kind == NET_AVG_POOL ? share * sum : x[(size_t)top * c + k];
	}
}

static void pool_run(const struct network *net, size_t i, const double *x, double *y, double *gx,
		     const double *gy)
{
	struct window w = window_of(net, i);
	struct net_shape out = net->op[i].out;

	for (uint32_t oy = 0; oy < out.h; oy++)
		for (uint32_t ox = 0; ox < out.w; ox++) {
			size_t at = ((size_t)oy * out.w + ox) * out.c;

			pool_pixel(&w, oy, ox, x, y ? y + at : NULL, gx, gy ? gy + at : NULL);
		}
}

/* Copy (add) between @rows rows of @n elements, @from and @to elements apart. */
static void rows_add(double *dst, size_t to, const double *src, size_t from, size_t rows, size_t n,
		     double factor)
{
	for (size_t r = 0; r < rows; r++)
		for (size_t k = 0; k < n; k++)
			dst[r * to + k] += factor * src[r * from + k];
}

/* Operators that only move or add values, both ways. */
static void move_run(struct flow *f, size_t i, bool back)
{
	const struct network *net = f->net;
	const struct net_op *o = &net->op[i];
	const uint32_t *in = network_inputs(net, i);
	size_t at = 0;

	for (uint32_t k = 0; k < o->n_inputs; k++) {
		struct net_shape s = net->op[in[k]].out;
		size_t pixels = (size_t)s.h * s.w, to = o->kind == NET_CONCAT ? o->out.c : s.c;

		if (o->kind == NET_GLOBAL_POOL) { /* all pixels onto one row */
			double share = 1 / (double)pixels;

			if (back)
				rows_add(f->g[in[k]], s.c, f->g[i], 0, pixels, s.c, share);
			else
				rows_add(f->y[i], 0, f->y[in[k]], s.c, pixels, s.c, share);
		} else if (back) {
			rows_add(f->g[in[k]], s.c, f->g[i] + at, to, pixels, s.c, 1);
		} else {
			rows_add(f->y[i] + at, to, f->y[in[k]], s.c, pixels, s.c, 1);
		}
		at += o->kind == NET_CONCAT ? s.c : 0;
	}
}

static void op_run(struct flow *f, size_t i, bool back)
{
	const struct net_op *o = &f->net->op[i];
	size_t in = network_inputs(f->net, i)[0];
	double *x = back ? f->g[in] : f->y[in], *y = back ? f->g[i] : f->y[i];

	switch (o->kind) {
	case NET_INPUT:
	case NET_PAD: /* no space makes these two */
	case NET_UPSAMPLE:
	case NET_KIND_COUNT:
		break;
	case NET_CONV2D:
	case NET_DEPTHWISE:
		conv_run(f->net, i, x, y, f->w[i], back);
		break;
	case NET_DENSE:
		product(x, y, f->w[i], net_elements(f->net->op[in].out), o->out_channels,
			o->out_channels, back);
		break;
	case NET_MAX_POOL:
	case NET_AVG_POOL:
		pool_run(f->net, i, f->y[in], f->y[i], back ? f->g[in] : NULL,
			 back ? f->g[i] : NULL);
		break;
	case NET_GLOBAL_POOL:
	case NET_ADD:
	case NET_CONCAT:
	case NET_BATCH_NORM:
	case NET_RELU:
	case NET_RELU6:
	case NET_SOFTMAX:
		move_run(f, i, back);
		break;
	}
}

/* |theta|, of theta uniform within 1 / sqrt(fan_in), as the published values have it. */
static void weights_draw(struct flow *f, struct rng *rng)
{
	for (size_t i = 1; i < f->net->n_ops; i++) {
		const struct net_op *o = &f->net->op[i];
		size_t n = network_op_weights(f->net, i);
		double bound = 1 / sqrt((double)n / o->out.c);

		if (is_layer(o->kind))
			for (size_t k = 0; k < n; k++)
				f->w[i][k] = bound * rng_unit(rng);
	}
}

static void clear(const struct flow *f)
{
	for (size_t i = 0; i < f->net->n_ops; i++) {
		size_t n = net_elements(f->net->op[i].out) * sizeof(double);

		memset(f->y[i], 0, n);
		memset(f->g[i], 0, n);
	}
}

/* log of the score; NAN when *cancel became true. */
static double score_once(struct flow *f, struct rng *init, const atomic_bool *cancel)
{
	const struct network *net = f->net;
	size_t last = net->n_ops - 1;
	double score = 0;

	weights_draw(f, init);
	clear(f);
	for (size_t k = 0; k < net_elements(net->input); k++)
		f->y[0][k] = 1;
	for (size_t i = 1; i < net->n_ops; i++) {
		if (cancel && atomic_load(cancel))
			return (double)NAN;
		op_run(f, i, false);
	}
	for (size_t k = 0; k < net_elements(net->op[last].out); k++)
		f->g[last][k] = 1;
	for (size_t i = last; i > 0; i--) {
		if (cancel && atomic_load(cancel))
			return (double)NAN;
		if (is_layer(net->op[i].kind))
			for (size_t k = 0; k < net_elements(net->op[i].out); k++)
				score += f->y[i][k] * f->g[i][k];
		op_run(f, i, true);
	}
	return log(score);
}

static void flow_make(struct flow *f, const struct network *net, struct arena *a)
{
	f->net = net;
	f->y = ARENA_NEW(a, double *, net->n_ops);
	f->g = ARENA_NEW(a, double *, net->n_ops);
	f->w = ARENA_NEW(a, double *, net->n_ops);
	for (size_t i = 0; i < net->n_ops; i++) {
		size_t n = net_elements(net->op[i].out);

		f->y[i] = ARENA_NEW(a, double, n);
		f->g[i] = ARENA_NEW(a, double, n);
		if (is_layer(net->op[i].kind))
			f->w[i] = ARENA_NEW(a, double, network_op_weights(net, i));
	}
}

/* Of flow_make()'s doubles. */
static double flow_bytes(const struct network *net)
{
	double n = 0;

	for (size_t i = 0; i < net->n_ops; i++) {
		n += 2 * (double)net_elements(net->op[i].out);
		if (is_layer(net->op[i].kind))
			n += (double)network_op_weights(net, i);
	}
	return n * sizeof(double);
}

static enum eval_outcome score(const struct proxy_cfg *cfg, const struct eval_request *request,
			       struct arena *a, double *out, struct nasc_err *err)
{
	struct network net;
	struct flow f;
	struct rng init;
	double sum = 0;

	if (plan_resize(request->net, cfg->image_size, a, &net, err) ||
	    memory_fits(flow_bytes(&net), err))
		return EVAL_FAILED;
	flow_make(&f, &net, a);
	rng_stream(&init, request->seed, RNG_INIT, request->id);
	for (int64_t i = 0; i < cfg->repeats; i++) {
		sum += score_once(&f, &init, request->cancel);
		if (request->cancel && atomic_load(request->cancel))
			return EVAL_CANCELLED;
	}
	*out = sum / (double)cfg->repeats;
	if (isfinite(*out))
		return EVAL_OK;
	nasc_fail(err, NASC_FAIL, "the score is not a finite number at this depth");
	return EVAL_FAILED;
}

static enum eval_outcome run(struct evaluator *e, void *worker, const struct eval_request *request,
			     struct eval_result *result)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	enum eval_outcome outcome = score(e->cfg, request, &a, &result->value[0], &err);

	(void)worker;
	arena_free(&a);
	return outcome == EVAL_FAILED ? proxy_failed(&err, result) : outcome;
}

static const struct metric synflow_metrics[] = {
	{ "synflow", "synflow", UNIT_NONE, true, false,
	  "proxy: logarithm of the synaptic flow of the untrained network" },
};

const struct evaluator_ops evaluator_synflow = {
	.name = "synflow",
	.summary = "proxy: how much the untrained network's weights pass on, without any data",
	.source = "Tanaka et al., NeurIPS 2020, arXiv 2006.05467",
	.metric = synflow_metrics,
	.n_metrics = 1,
	.provenance = "proxy: SynFlow of the untrained network",
	.fields = synflow_fields,
	.cfg_size = sizeof(struct proxy_cfg),
	.run = run,
};
