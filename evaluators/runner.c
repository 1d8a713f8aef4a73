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

static void convs_bind(struct runner *r, struct arena *a)
{
	const struct plan *p = r->plan;
	char *gradient = engine_memory(a, p->gradient_bytes), *packed = r->model->packed;

	r->scratch = engine_memory(a, p->scratch_bytes);
	r->conv = ARENA_NEW(a, struct conv_run, p->n_convs);
	for (size_t i = 0; i < p->n_convs; i++) {
		const struct plan_conv *c = &p->conv[i];
		size_t w = p->param[c->weights].at;
		struct conv_memory m = { .weights = r->model->weights + w,
					 .diff_weights = c->in_parts ? r->part : r->gradient + w,
					 .scratch = r->scratch };

		if (c->own)
			continue;
		if (c->bias != PLAN_NONE) {
			m.bias = r->model->weights + p->param[c->bias].at;
			m.diff_bias =
				c->in_parts ? r->part_bias : r->gradient + p->param[c->bias].at;
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

	*r = (struct runner){ .plan = p, .model = m, .count = p->images };
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
	r->sum_g = ARENA_NEW(a, double, p->n_slots);
	r->sum_gx = ARENA_NEW(a, double, p->n_slots);
	r->part = engine_memory(a, p->n_part * sizeof(float));
	r->part_bias = engine_memory(a, p->n_part * sizeof(float));
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
	const struct plan *p = r->plan;
	char *packed = r->model->packed;

	for (size_t i = 0; i < p->n_convs; i++) {
		const struct plan_conv *c = &p->conv[i];

		if (c->own)
			direct_pack(&c->direct, r->model->weights + p->param[c->weights].at,
				    packed + c->packed_at[0],
				    c->direct.shape.back_data ? packed + c->packed_at[1] : NULL);
		else
			conv_pack(&r->conv[i], r->stream);
	}
}

static bool is_first(const struct runner *r)
{
	return r->first == 0;
}

static bool is_last(const struct runner *r)
{
	return r->first + r->count == r->plan->images;
}

static void take_stats(struct runner *r, const struct phase *ph)
{
	double *sum = r->sum + ph->channel, *sum2 = r->sum2 + ph->channel;
	double n = (double)r->plan->images * ph->pixels;

	if (ph->x.buffer != PLAN_NONE) {
		for (uint32_t c = 0; is_first(r) && c < ph->c; c++)
			sum[c] = sum2[c] = 0;
		r->plan->kernels->stats(runner_rows(r, ph->x), (size_t)r->count * ph->pixels, ph->c,
					sum, sum2);
	}
	for (uint32_t c = 0; is_last(r) && c < ph->c; c++) {
		double mean = sum[c] / n;
		double var = sum2[c] / n - mean * mean;

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

/* What is left of a norm when all images are through: gradients of its parameters, and of
 * its input what is affine in it. */
static void norm_back_end(struct runner *r, const struct plan_norm *q, double n)
{
	const struct plan *p = r->plan;
	float *d_gamma = r->gradient + p->param[q->gamma].at;
	float *d_beta = r->gradient + p->param[q->beta].at;

	for (uint32_t c = 0; c < q->c; c++) {
		uint32_t k = q->channel + c;
		double inv_std = r->inv_std[k], scale = r->scale[q->slot + c];
		double sum_g = r->sum_g[q->slot + c], sum_gx = r->sum_gx[q->slot + c];
		double slope = -scale * inv_std * inv_std * sum_gx / n;

		d_gamma[c] = (float)(sum_gx * inv_std);
		d_beta[c] = (float)sum_g;
		r->slope[k] += (float)slope;
		r->offset[k] += (float)(-scale * sum_g / n - slope * r->mean[k]);
	}
}

/* dx = scale * (g - mean(g) - xhat * mean(g * xhat)), Ioffe & Szegedy 2015: the
 * first term at once, the rest into slope and offset of x's channels. */
static void norm_back(struct runner *r, const struct phase *ph)
{
	const struct plan *p = r->plan;
	const struct plan_norm *q = &p->norm[ph->index];
	struct norm_back b = { .g = runner_rows(r, ph->g),
			       .x = runner_rows(r, ph->x),
			       .scale = r->scale + q->slot,
			       .shift = r->shift + q->slot,
			       .mean = r->mean + q->channel,
			       .act = ph->act,
			       .want_dst = ph->d.buffer != PLAN_NONE,
			       .accumulate = ph->accumulate,
			       .sum_g = r->sum_g + q->slot,
			       .sum_gx = r->sum_gx + q->slot };

	if (b.want_dst)
		b.dst = runner_rows(r, ph->d);
	for (uint32_t c = 0; is_first(r) && c < q->c; c++)
		b.sum_g[c] = b.sum_gx[c] = 0;
	p->kernels->norm_back(&b, (size_t)r->count * ph->pixels, ph->c);
	if (is_last(r))
		norm_back_end(r, q, (double)p->images * ph->pixels);
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
	float *dw = r->gradient + q->at;

	if (is_first(r))
		memset(dw, 0, q->n * sizeof *dw);
	p->kernels->depthwise_back(&ph->window, runner_rows(r, ph->x), g, q->out, dw,
				   q->out_stored);
	if (c->bias == PLAN_NONE)
		return;
	for (uint32_t k = 0; k < q->out; k++)
		r->sum[k] = r->sum2[k] = 0;
	p->kernels->stats(g, ph->window.images * ph->window.oh * ph->window.ow, q->out, r->sum,
			  r->sum2);
	for (uint32_t k = 0; k < q->out; k++) {
		float *d = &r->gradient[p->param[c->bias].at + k];

		*d = (is_first(r) ? 0 : *d) + (float)r->sum[k];
	}
}

static void part_add(const struct runner *r, const struct param *q, const float *part)
{
	float *d = r->gradient + q->at;

	if (is_first(r))
		memcpy(d, part, q->n * sizeof *d);
	else
		r->plan->kernels->sum(d, part, q->n);
}

static void conv_back_weights(struct runner *r, const struct phase *ph)
{
	const struct plan *p = r->plan;
	const struct plan_conv *c = &p->conv[ph->index];
	const struct param *q = &p->param[c->weights];

	if (c->conv.shape.kind == CONV_DEPTHWISE) {
		depthwise_back_weights(r, ph);
		return;
	}
	conv_execute(&r->conv[ph->index], CONV_BACK_WEIGHTS, runner_rows(r, ph->x).at,
		     runner_rows(r, ph->g).at, r->stream);
	if (c->in_parts)
		part_add(r, q, r->part);
	if (c->in_parts && c->bias != PLAN_NONE)
		part_add(r, &p->param[c->bias], r->part_bias);
	if (q->groups > 1 && is_last(r))
		groups_mask(q, r->gradient + q->at);
}

static struct rows rows_or_none(const struct runner *r, struct plan_operand o)
{
	return o.buffer == PLAN_NONE ? (struct rows){ 0 } : runner_rows(r, o);
}

/* ---- convolutions of our own --------------------------------------------------- */

/* The source of @c or its gradient; the pixels of a dense layer are channels of one. */
static struct rows own_rows(const struct runner *r, const struct plan_conv *c,
			    struct plan_operand o)
{
	struct rows rows = runner_rows(r, o);

	if (c->flat) {
		rows.stride *= r->plan->param[c->weights].taps;
		rows.whole = false;
	}
	return rows;
}

static struct direct_source own_source(const struct runner *r, const struct phase *ph)
{
	const struct plan_conv *c = &r->plan->conv[ph->index];
	struct direct_source s = { .x = own_rows(r, c, ph->x), .act = c->act };

	if (c->norm != PLAN_NONE) {
		s.scale = r->scale + r->plan->norm[c->norm].slot;
		s.shift = r->shift + r->plan->norm[c->norm].slot;
	}
	return s;
}

static void own_forward(struct runner *r, const struct phase *ph, enum runner_mode mode)
{
	const struct plan *p = r->plan;
	const struct plan_conv *c = &p->conv[ph->index];
	struct direct_forward f = { .source = own_source(r, ph),
				    .y = runner_rows(r, ph->y),
				    .packed = (const char *)r->model->packed + c->packed_at[0],
				    .first = is_first(r),
				    .scratch = r->scratch };

	if (c->norm != PLAN_NONE && is_first(r))
		norm_scale(r, &p->norm[c->norm], mode);
	if (c->bias != PLAN_NONE)
		f.bias = r->model->weights + p->param[c->bias].at;
	if (c->sums && mode == RUN_TRAIN) {
		f.sum = r->sum + ph->channel;
		f.sum_sq = r->sum2 + ph->channel;
	}
	p->direct->forward(&c->direct, &f);
}

static void own_backward(struct runner *r, const struct phase *ph)
{
	const struct plan *p = r->plan;
	const struct plan_conv *c = &p->conv[ph->index];
	const struct param *q = &p->param[c->weights];
	const struct direct_shape *s = &c->direct.shape;
	struct direct_backward b = { .source = own_source(r, ph),
				     .g = runner_rows(r, ph->g),
				     .accumulate = ph->accumulate,
				     .first = is_first(r),
				     .weights = r->gradient + q->at,
				     .scratch = r->scratch,
				     .sums = (void *)((char *)r->scratch +
						      direct_sums_at(&c->direct)) };

	if (ph->y.buffer != PLAN_NONE) {
		b.y = runner_rows(r, ph->y);
		b.slope = r->slope + ph->channel;
		b.offset = r->offset + ph->channel;
	}
	if (ph->d.buffer != PLAN_NONE)
		b.d = own_rows(r, c, ph->d);
	if (s->back_data)
		b.packed = (const char *)r->model->packed + c->packed_at[1];
	if (c->norm != PLAN_NONE) {
		b.mean = r->mean + p->norm[c->norm].channel;
		b.sum_g = r->sum_g + p->norm[c->norm].slot;
		b.sum_gx = r->sum_gx + p->norm[c->norm].slot;
	}
	if (c->bias != PLAN_NONE)
		b.bias = r->gradient + p->param[c->bias].at;
	p->direct->backward(&c->direct, &b);
	if (q->groups > 1 && is_last(r))
		groups_mask(q, r->gradient + q->at);
	if (c->norm != PLAN_NONE && is_last(r))
		norm_back_end(r, &p->norm[c->norm],
			      (double)p->images * s->h * s->w * s->pool * s->pool);
}

static void phase_forward(struct runner *r, const struct phase *ph, enum runner_mode mode)
{
	const struct kernels *k = r->plan->kernels;
	size_t n = (size_t)r->count * ph->pixels;
	struct rows x = rows_or_none(r, ph->x), y = rows_or_none(r, ph->y);

	switch (ph->kind) {
	case PHASE_COPY:
		k->copy(x, y, n, ph->c, ph->accumulate);
		break;
	case PHASE_CONV:
		if (r->plan->conv[ph->index].own)
			own_forward(r, ph, mode);
		else
			conv_execute(&r->conv[ph->index], CONV_FORWARD, x.at, y.at, r->stream);
		break;
	case PHASE_STATS:
		if (mode == RUN_TRAIN)
			take_stats(r, ph);
		break;
	case PHASE_NORM:
		if (is_first(r))
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
		k->mean(x, y, r->count, ph->pixels, ph->c);
		break;
	case PHASE_ADD:
		k->add(x, runner_rows(r, ph->g), y, n, ph->c);
		break;
	default:
		break;
	}
}

static void phase_backward(struct runner *r, const struct phase *ph, enum runner_mode mode)
{
	const struct kernels *k = r->plan->kernels;
	size_t n = (size_t)r->count * ph->pixels;
	struct rows x = rows_or_none(r, ph->x), y = rows_or_none(r, ph->y);
	struct rows g = rows_or_none(r, ph->g), d = rows_or_none(r, ph->d);

	(void)mode;
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
		conv_execute(&r->conv[ph->index], CONV_BACK_DATA, g.at, d.at, r->stream);
		break;
	case PHASE_CONV_BACK:
		own_backward(r, ph);
		break;
	case PHASE_CONV_BACK_WEIGHTS:
		conv_back_weights(r, ph);
		break;
	case PHASE_NORM_BACK:
		norm_back(r, ph);
		break;
	case PHASE_ACT_BACK:
		k->act_back(y, g, d, n, ph->c, ph->act, ph->accumulate);
		break;
	case PHASE_POOL_BACK:
		k->pool_back(&ph->window, x, y, g, d, ph->c, ph->accumulate);
		break;
	case PHASE_MEAN_BACK:
		k->mean_back(g, d, r->count, ph->pixels, ph->c, ph->accumulate);
		break;
	default:
		break;
	}
}

typedef void phase_fn(struct runner *r, const struct phase *ph, enum runner_mode mode);

static void phase_run(struct runner *r, size_t i, enum runner_mode mode, phase_fn *run)
{
	const struct plan *p = r->plan;
	double start = r->phase_s ? clock_s() : 0;

	run(r, &p->phase[i], mode);
	if (r->phase_s)
		r->phase_s[i] += clock_s() - start;
	for (; r->see_code && r->code < p->n_codes && p->code[r->code].phase == i; r->code++)
		r->see_code(r->see_ctx, &p->code[r->code]);
}

/* The segments of the phases @from to @end - 1. */
static void phases_run(struct runner *r, size_t from, size_t end, enum runner_mode mode,
		       phase_fn *run)
{
	const struct plan *p = r->plan;

	for (size_t s = 0; s < p->n_segments; s++) {
		const struct plan_segment *seg = &p->segment[s];
		size_t code = r->code;

		if (seg->first < from || seg->first >= end)
			continue;
		r->count = seg->images;
		for (r->first = 0; r->first < p->images; r->first += seg->images, r->code = code)
			for (size_t i = seg->first; i < seg->end && !runner_cancelled(r); i++)
				phase_run(r, i, mode, run);
		while (r->code < p->n_codes && p->code[r->code].phase < seg->end)
			r->code++;
	}
	r->first = 0;
	r->count = p->images;
}

void runner_forward(struct runner *r, enum runner_mode mode)
{
	const struct plan *p = r->plan;

	r->code = 0;
	phases_run(r, 0, p->n_forward, mode, phase_forward);
	phases_run(r, p->n_forward, p->n_forward + 1, mode, loss_run);
}

void runner_backward(struct runner *r)
{
	const struct plan *p = r->plan;

	memset(r->slope, 0, p->n_channels * sizeof *r->slope);
	memset(r->offset, 0, p->n_channels * sizeof *r->offset);
	phases_run(r, p->n_forward + 1, p->n_phases, RUN_TRAIN, phase_backward);
}
