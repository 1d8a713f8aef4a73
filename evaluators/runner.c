#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"
#include "engine.h"
#include "loss.h"

#define NORM_EPSILON 1e-5

/* Zeroed memory of the tensors: huge pages for training, where the system gives them,
 * as rows of one tensor lie far apart; else of the arena, which the next network of the
 * same worker can have again, and which ends the program when there is no memory at all. */
static void tensors_alloc(struct runner *r, struct arena *a)
{
	size_t page = (size_t)2 << 20, bytes = (r->plan->bytes + page - 1) / page * page;

	if (r->plan->use == PLAN_TRAIN)
		r->pages = aligned_alloc(page, bytes);
	if (!r->pages) {
		r->mem = engine_memory(a, r->plan->bytes);
		return;
	}
	madvise(r->pages, bytes, MADV_HUGEPAGE);
	r->mem = memset(r->pages, 0, bytes);
}

static void *at_operand(const struct runner *r, struct plan_operand o)
{
	return o.buffer == PLAN_NONE ? NULL : runner_rows(r, o).at;
}

static void convs_bind(struct runner *r, struct arena *a)
{
	const struct plan *p = r->plan;
	char *gradient = engine_memory(a, p->gradient_bytes), *packed = r->model->packed;
	void *scratch = engine_memory(a, p->scratch_bytes);

	r->conv = ARENA_NEW(a, struct conv_run, p->n_convs);
	for (size_t i = 0; i < p->n_convs; i++) {
		const struct plan_conv *c = &p->conv[i];
		size_t w = p->param[c->weights].at;
		struct conv_memory m = { .src = at_operand(r, c->src),
					 .dst = at_operand(r, c->dst),
					 .diff_dst = at_operand(r, c->diff_dst),
					 .diff_src = at_operand(r, c->diff_src),
					 .weights = r->model->weights + w,
					 .diff_weights = r->gradient + w,
					 .scratch = scratch };

		if (c->bias != PLAN_NONE) {
			m.bias = r->model->weights + p->param[c->bias].at;
			m.diff_bias = r->gradient + p->param[c->bias].at;
		}
		for (int k = 0; k < 2; k++)
			m.packed[k] = packed + c->packed_at[k];
		m.packed[CONV_BACK_WEIGHTS] = gradient + c->gradient_at;
		conv_bind(&r->conv[i], &c->conv, &m);
	}
}

void runner_create(struct runner *r, const struct plan *p, const struct model *m, struct arena *a)
{
	size_t n = p->n_channels;
	size_t logits = (size_t)p->images * p->logit_pixels * p->logit_channels;

	*r = (struct runner){ .plan = p, .model = m };
	tensors_alloc(r, a);
	r->gradient = engine_memory(a, p->use == PLAN_FORWARD ? 0 : p->n_weights * sizeof(float));
	r->mean = ARENA_NEW(a, float, n);
	r->var = ARENA_NEW(a, float, n);
	r->inv_std = ARENA_NEW(a, float, n);
	r->slope = ARENA_NEW(a, float, n);
	r->offset = ARENA_NEW(a, float, n);
	r->scale = ARENA_NEW(a, float, p->n_slots);
	r->shift = ARENA_NEW(a, float, p->n_slots);
	r->sum = ARENA_NEW(a, double, n);
	r->sum2 = ARENA_NEW(a, double, n);
	r->logits = ARENA_NEW(a, float, logits);
	r->logits_gradient = ARENA_NEW(a, float, logits);
	r->answer = ARENA_NEW(a, uint32_t, p->images);
	dnnl_stream_create(&r->stream, p->engine, dnnl_stream_in_order);
	convs_bind(r, a);
}

void runner_release(struct runner *r)
{
	if (r->conv)
		for (size_t i = 0; i < r->plan->n_convs; i++)
			conv_unbind(&r->conv[i]);
	if (r->stream)
		dnnl_stream_destroy(r->stream);
	free(r->pages);
	*r = (struct runner){ 0 };
}

void runner_load(struct runner *r, const float *image)
{
	const struct plan *p = r->plan;

	p->kernels->from_f32(image, runner_rows(r, p->in),
			     (size_t)p->images * p->input.h * p->input.w, p->input.c);
}

void runner_pack(struct runner *r)
{
	for (size_t i = 0; i < r->plan->n_convs; i++)
		conv_pack(&r->conv[i], r->stream);
}

static void take_stats(struct runner *r, const struct phase *ph, size_t n)
{
	r->plan->kernels->stats(runner_rows(r, ph->x), n, ph->c, r->sum, r->sum2);
	for (uint32_t c = 0; c < ph->c; c++) {
		double mean = r->sum[c] / (double)n;
		double var = r->sum2[c] / (double)n - mean * mean;

		var = var < 0 ? 0 : var; /* not fmax: a NaN has to stay one */
		r->mean[ph->channel + c] = (float)mean;
		r->var[ph->channel + c] = (float)var;
		r->inv_std[ph->channel + c] = (float)(1 / sqrt(var + NORM_EPSILON));
	}
}

/* scale, shift so that norm(x) = scale * x + shift. */
static void norm_scale(struct runner *r, const struct plan_norm *q, enum runner_mode mode)
{
	const struct plan *p = r->plan;
	const float *gamma = r->model->weights + p->param[q->gamma].at;
	const float *beta = r->model->weights + p->param[q->beta].at;

	for (uint32_t c = 0; c < q->c; c++) {
		uint32_t k = q->channel + c;
		double mean = r->mean[k], inv_std = r->inv_std[k];
		double scale;

		if (mode == RUN_INFER) {
			mean = r->model->running_mean[k];
			inv_std = 1 / sqrt((double)r->model->running_var[k] + NORM_EPSILON);
		}
		scale = (double)gamma[c] * inv_std;
		r->scale[q->slot + c] = (float)scale;
		r->shift[q->slot + c] = (float)((double)beta[c] - mean * scale);
	}
}

/* dx = scale * (g - mean(g) - xhat * mean(g * xhat)), Ioffe & Szegedy 2015: the
 * first term at once, the rest into slope and offset of x's channels. */
static void norm_back(struct runner *r, const struct phase *ph, size_t n)
{
	const struct plan *p = r->plan;
	const struct plan_norm *q = &p->norm[ph->index];
	float *d_gamma = r->gradient + p->param[q->gamma].at;
	float *d_beta = r->gradient + p->param[q->beta].at;
	struct norm_back b = { .g = runner_rows(r, ph->g),
			       .x = runner_rows(r, ph->x),
			       .scale = r->scale + q->slot,
			       .shift = r->shift + q->slot,
			       .mean = r->mean + q->channel,
			       .act = ph->act,
			       .want_dst = ph->d.buffer != PLAN_NONE,
			       .accumulate = ph->accumulate,
			       .sum_g = r->sum,
			       .sum_gx = r->sum2 };

	if (b.want_dst)
		b.dst = runner_rows(r, ph->d);
	p->kernels->norm_back(&b, n, ph->c);
	for (uint32_t c = 0; c < q->c; c++) {
		uint32_t k = q->channel + c;
		double inv_std = r->inv_std[k], scale = r->scale[q->slot + c];
		double slope = -scale * inv_std * inv_std * r->sum2[c] / (double)n;

		d_gamma[c] = (float)(r->sum2[c] * inv_std);
		d_beta[c] = (float)r->sum[c];
		r->slope[k] += (float)slope;
		r->offset[k] += (float)(-scale * r->sum[c] / (double)n - slope * r->mean[k]);
	}
}

/* A grouped convolution runs as a full one whose other weights are zero: oneDNN
 * is slower at few channels a group than at all of them at once. */
static void groups_mask(const struct param *q, float *g)
{
	uint32_t in = q->in / q->groups, out = q->out / q->groups;

	for (size_t tap = 0; tap < q->taps; tap++)
		for (uint32_t i = 0; i < q->in; i++) {
			float *row = g + (tap * q->in_stored + i) * q->out_stored;
			uint32_t own = i / in * out;

			memset(row, 0, own * sizeof *row);
			memset(row + own + out, 0, (q->out_stored - own - out) * sizeof *row);
		}
}

static void depthwise_back_weights(struct runner *r, const struct phase *ph)
{
	const struct plan *p = r->plan;
	const struct plan_conv *c = &p->conv[ph->index];
	const struct param *q = &p->param[c->weights];
	struct rows g = runner_rows(r, ph->g);
	size_t outputs = ph->window.images * ph->window.oh * ph->window.ow;

	p->kernels->depthwise_back(&ph->window, runner_rows(r, ph->x), g, q->out,
				   r->gradient + q->at, q->out_stored);
	if (c->bias == PLAN_NONE)
		return;
	p->kernels->stats(g, outputs, q->out, r->sum, r->sum2);
	for (uint32_t k = 0; k < q->out; k++)
		r->gradient[p->param[c->bias].at + k] = (float)r->sum[k];
}

static void conv_back_weights(struct runner *r, const struct phase *ph)
{
	const struct param *q = &r->plan->param[r->plan->conv[ph->index].weights];

	if (r->plan->conv[ph->index].conv.shape.kind == CONV_DEPTHWISE) {
		depthwise_back_weights(r, ph);
		return;
	}
	conv_execute(&r->conv[ph->index], CONV_BACK_WEIGHTS, r->stream);
	if (q->groups > 1)
		groups_mask(q, r->gradient + q->at);
}

static void phase_forward(struct runner *r, const struct phase *ph, enum runner_mode mode)
{
	const struct kernels *k = r->plan->kernels;
	size_t n = (size_t)r->plan->images * ph->pixels;
	struct rows x = runner_rows(r, ph->x), y = { 0 };

	if (ph->y.buffer != PLAN_NONE)
		y = runner_rows(r, ph->y);
	switch (ph->kind) {
	case PHASE_COPY:
		k->copy(x, y, n, ph->c, ph->accumulate);
		break;
	case PHASE_CONV:
		conv_execute(&r->conv[ph->index], CONV_FORWARD, r->stream);
		break;
	case PHASE_STATS:
		if (mode == RUN_TRAIN)
			take_stats(r, ph, n);
		break;
	case PHASE_NORM:
		norm_scale(r, &r->plan->norm[ph->index], mode);
		k->norm(x, y, n, ph->c, r->scale + r->plan->norm[ph->index].slot,
			r->shift + r->plan->norm[ph->index].slot, ph->act);
		break;
	case PHASE_ACT:
		k->act(x, y, n, ph->c, ph->act);
		break;
	case PHASE_POOL:
		k->pool(&ph->window, x, y, ph->c);
		break;
	case PHASE_MEAN:
		k->mean(x, y, r->plan->images, ph->pixels, ph->c);
		break;
	case PHASE_ADD:
		k->add(x, runner_rows(r, ph->g), y, n, ph->c);
		break;
	default:
		break;
	}
}

static struct rows rows_or_none(const struct runner *r, struct plan_operand o)
{
	return o.buffer == PLAN_NONE ? (struct rows){ 0 } : runner_rows(r, o);
}

static void phase_backward(struct runner *r, const struct phase *ph)
{
	const struct kernels *k = r->plan->kernels;
	size_t n = (size_t)r->plan->images * ph->pixels;
	struct rows x = rows_or_none(r, ph->x), y = rows_or_none(r, ph->y);
	struct rows g = rows_or_none(r, ph->g), d = rows_or_none(r, ph->d);

	switch (ph->kind) {
	case PHASE_COPY:
		k->copy(x, y, n, ph->c, ph->accumulate);
		break;
	case PHASE_ZERO:
		k->zero(y, n, ph->c);
		break;
	case PHASE_SETTLE:
		k->affine(g, x, y, n, ph->c, r->slope + ph->channel, r->offset + ph->channel,
			  ph->accumulate);
		break;
	case PHASE_CONV_BACK_DATA:
		conv_execute(&r->conv[ph->index], CONV_BACK_DATA, r->stream);
		break;
	case PHASE_CONV_BACK_WEIGHTS:
		conv_back_weights(r, ph);
		break;
	case PHASE_NORM_BACK:
		norm_back(r, ph, n);
		break;
	case PHASE_ACT_BACK:
		k->act_back(y, g, d, n, ph->c, ph->act, ph->accumulate);
		break;
	case PHASE_POOL_BACK:
		k->pool_back(&ph->window, x, y, g, d, ph->c, ph->accumulate);
		break;
	case PHASE_MEAN_BACK:
		k->mean_back(g, d, r->plan->images, ph->pixels, ph->c, ph->accumulate);
		break;
	default:
		break;
	}
}

/* Before and behind a phase: the time between them is the phase's. */
static double timed(struct runner *r, size_t i, double since)
{
	double now = r->phase_s ? clock_s() : 0;

	if (r->phase_s && since > 0)
		r->phase_s[i] += now - since;
	return now;
}

void runner_forward(struct runner *r, enum runner_mode mode)
{
	const struct plan *p = r->plan;
	const struct plan_code *code = p->code, *end = p->code + p->n_codes;
	double t = timed(r, 0, 0);

	for (size_t i = 0; i < p->n_forward && !runner_cancelled(r); i++) {
		phase_forward(r, &p->phase[i], mode);
		for (; r->see_code && code < end && code->phase == i; code++)
			r->see_code(r->see_ctx, code);
		t = timed(r, i, t);
	}
	loss_run(r, &p->phase[p->n_forward], mode);
	timed(r, p->n_forward, t);
}

void runner_backward(struct runner *r)
{
	const struct plan *p = r->plan;
	double t = timed(r, 0, 0);

	memset(r->slope, 0, p->n_channels * sizeof *r->slope);
	memset(r->offset, 0, p->n_channels * sizeof *r->offset);
	for (size_t i = p->n_forward + 1; i < p->n_phases; i++) {
		phase_backward(r, &p->phase[i]);
		t = timed(r, i, t);
	}
}
