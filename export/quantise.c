#include <float.h>
#include <math.h>
#include <string.h>

#include "execute.h"

/* ---- ranges ---------------------------------------------------------------------- */

struct range {
	float low, high;
};
struct ranges {
	const struct network *net;
	struct range *range; /* [worker][op] */
};

static void observe(void *ctx, unsigned worker, size_t image, size_t op, const float *map)
{
	const struct ranges *r = ctx;
	struct range *range = &r->range[worker * r->net->n_ops + op];

	(void)image;
	for (uint64_t i = 0; i < net_elements(r->net->op[op].out); i++) {
		range->low = map[i] < range->low ? map[i] : range->low;
		range->high = map[i] > range->high ? map[i] : range->high;
		if (isnan(map[i]))
			range->high = INFINITY; /* a comparison passes it over */
	}
}

/* Of each operator's output, 0 among them. */
static enum nasc_status find_ranges(const struct trained *t, const struct images *images,
				    unsigned threads, struct arena *a, struct range **out,
				    struct nasc_err *err)
{
	struct arithmetic arithmetic = trained_arithmetic(t, a);
	size_t n = t->net.n_ops;
	struct ranges r = { &t->net, ARENA_NEW(a, struct range, threads * n) };
	enum nasc_status st = execute(&(struct execution){ .net = &t->net,
							   .arithmetic = &arithmetic,
							   .image = images->image,
							   .n = images->n,
							   .threads = threads,
							   .see = observe,
							   .see_ctx = &r },
				      err);

	for (size_t i = n; i < threads * n; i++) {
		struct range *all = &r.range[i % n];

		all->low = r.range[i].low < all->low ? r.range[i].low : all->low;
		all->high = r.range[i].high > all->high ? r.range[i].high : all->high;
	}
	*out = r.range;
	return st;
}

/* ---- one operator ------------------------------------------------------------------ */

/* What an operator is made of, while it is quantised. */
struct making {
	const struct trained *t;
	struct quantised *q;
	struct arena *arena;
	struct range range;
	size_t op;
};

/* The operator's number for messages. */
static size_t number(const struct making *m)
{
	return m->t->origin ? m->t->origin[m->op] : m->op;
}

static const struct quantised_op *input(const struct making *m, uint32_t k)
{
	return &m->q->op[network_inputs(&m->t->net, m->op)[k]];
}

/* The unit of the output, @least at least. Where nothing but 0 comes out, the input's. */
static void set_scale(const struct making *m, double least)
{
	struct quantised_op *q = &m->q->op[m->op];
	double scale = fmax(((double)m->range.high - (double)m->range.low) / 255, least);

	q->scale = scale >= (double)FLT_MIN ? (float)scale : m->op ? input(m, 0)->scale : 1.0f;
	q->zero = (int32_t)lround(-128 - (double)m->range.low / (double)q->scale);
}

/* Sums of an int32 that are left to the offset; the rest is for products of weights. */
#define OFFSET_MAX 0x1p29
/* Ratio of two units that a requantisation can multiply with: below a half, also after the units
 * are rounded to f32. */
#define RATIO_MIN 0x1p-22
#define RATIO_MAX 0.499999

/* False where that would not fit: sums of the products reach @most. */
static bool requant(double ratio, double offset, int32_t zero, double most,
		    struct nasc_requant *out)
{
	double multiplier = round(ratio * 0x1p32);
	double all = round(offset + zero * 0x1p32 / multiplier);

	if (!(multiplier >= 1 && multiplier < 0x1p31 && most + fabs(all) < 0x1p31))
		return false;
	*out = (struct nasc_requant){ (int32_t)all, (int32_t)multiplier };
	return true;
}

static double largest(const struct making *m, uint64_t n, uint32_t channels, uint32_t c)
{
	const float *w = m->t->op[m->op].weights;
	double most = 0;

	for (uint64_t k = 0; k < n; k++)
		most = fmax(most, fabs((double)w[k * channels + c]));
	return most;
}

/* The place of weight @k of channel @c, which trained has at k * channels + c. */
static uint64_t place(const struct net_op *o, uint64_t n, uint32_t channels, uint64_t k, uint32_t c)
{
	return o->kind == NET_DEPTHWISE ? k * channels + c : c * n + k;
}

/* A convolution, depthwise convolution or dense layer. */
static enum nasc_status quantise_products(const struct making *m, struct nasc_err *err)
{
	const struct network *net = &m->t->net;
	const struct net_op *o = &net->op[m->op];
	const struct trained_op *t = &m->t->op[m->op];
	struct quantised_op *q = &m->q->op[m->op];
	const struct quantised_op *x = input(m, 0);
	uint32_t channels = o->out.c;
	uint64_t n = network_op_weights(net, m->op) / channels;
	double most = 0;

	q->weights = ARENA_NEW(m->arena, int8_t, n * channels);
	q->weight_scale = ARENA_NEW(m->arena, float, channels);
	q->bias = ARENA_NEW(m->arena, int32_t, channels);
	q->requant = ARENA_NEW(m->arena, struct nasc_requant, channels);
	q->n_requant = channels;
	for (uint32_t c = 0; c < channels; c++)
		most = fmax(most, largest(m, n, channels, c) / 127);
	set_scale(m, most * (double)x->scale / RATIO_MAX);
	for (uint32_t c = 0; c < channels; c++) {
		double bias = t->bias ? (double)t->bias[c] : 0, sum = 0, size = 0, scale;

		scale = fmax(largest(m, n, channels, c) / 127,
			     RATIO_MIN * (double)q->scale / (double)x->scale);
		scale = fmax(scale, fabs(bias) / ((double)x->scale * OFFSET_MAX));
		q->weight_scale[c] = (float)scale;
		if (!isnormal(q->weight_scale[c]))
			return nasc_fail(err, NASC_FAIL,
					 "operator %zu (%s): weights or outputs of channel %u are "
					 "beyond what f32 holds",
					 number(m), net_kind_name(o->kind), c);
		scale = (double)q->weight_scale[c];
		for (uint64_t k = 0; k < n; k++) {
			double w = round((double)t->weights[k * channels + c] / scale);

			q->weights[place(o, n, channels, k, c)] = (int8_t)w;
			sum += w;
			size += fabs(w);
		}
		q->bias[c] = (int32_t)lround(bias / ((double)x->scale * scale));
		if (!requant((double)x->scale * scale / (double)q->scale,
			     q->bias[c] - x->zero * sum, q->zero, 128 * size, &q->requant[c]))
			return nasc_fail(err, NASC_FAIL,
					 "operator %zu (%s): channel %u cannot be calculated in 32 "
					 "bits: its bias is too large for its outputs, or it has "
					 "too many inputs",
					 number(m), net_kind_name(o->kind), c);
	}
	return NASC_OK;
}

static enum nasc_status quantise_mean(const struct making *m, struct nasc_err *err)
{
	struct quantised_op *q = &m->q->op[m->op];
	const struct quantised_op *x = input(m, 0);
	uint32_t fewest, most = firmware_mean_cells(&m->t->net, m->op, &fewest);

	set_scale(m, (double)x->scale / (fewest * NASC_MEAN_PARTS * RATIO_MAX));
	q->n_requant = most - fewest + 1;
	q->requant = ARENA_NEW(m->arena, struct nasc_requant, q->n_requant);
	for (uint32_t i = 0; i < q->n_requant; i++) {
		double parts = (double)(most - i) * NASC_MEAN_PARTS;

		if (!requant((double)x->scale / ((double)q->scale * parts), -x->zero * parts,
			     q->zero, 128 * parts, &q->requant[i]))
			return nasc_fail(err, NASC_FAIL,
					 "operator %zu (%s): too many cells for 32 bits", number(m),
					 net_kind_name(m->t->net.op[m->op].kind));
	}
	return NASC_OK;
}

/* The output in the input's units. */
static void keep_scale(const struct making *m)
{
	struct quantised_op *q = &m->q->op[m->op];

	q->scale = input(m, 0)->scale;
	q->zero = input(m, 0)->zero;
}

/* The largest shift at which no factor of @ratio reaches @limit. */
static uint32_t shift_below(double ratio, double limit)
{
	int shift = ratio > 0 ? (int)floor(log2(limit / ratio)) : 0;

	shift = ldexp(ratio, shift) >= limit - 0.5 ? shift - 1 : shift;
	return shift < 1 ? 1 : shift > 30 ? 30 : (uint32_t)shift;
}

static int32_t to_unit(double v, uint32_t shift)
{
	return (int32_t)lround(ldexp(v, (int)shift));
}

/* Of the units of an input and of the output, where single elements are scaled. */
#define RATIO_LARGE 0x1p14

static enum nasc_status too_large(const struct making *m, double ratio, struct nasc_err *err)
{
	return nasc_fail(err, NASC_FAIL,
			 "operator %zu (%s): a unit of all its inputs is %g units of its output, "
			 "int8 is too coarse for it",
			 number(m), net_kind_name(m->t->net.op[m->op].kind), ratio);
}

/* Of an addition: one constant for all inputs. */
static enum nasc_status quantise_add(const struct making *m, struct nasc_err *err)
{
	const struct net_op *o = &m->t->net.op[m->op];
	struct quantised_op *q = &m->q->op[m->op];
	double most = 0, sum = 0, constant;

	set_scale(m, 0);
	for (uint32_t k = 0; k < o->n_inputs; k++) {
		double ratio = (double)input(m, k)->scale / (double)q->scale;

		most = fmax(most, ratio);
		sum += ratio;
	}
	if (sum >= RATIO_LARGE)
		return too_large(m, sum, err);
	/* Factors below 2^15, and constant and products together within 256 * (sum + 1) << shift,
	 * which is 2^30 at most. */
	q->shift = shift_below(fmax(most, (sum + 1) / 128), 0x1p15);
	q->affine = ARENA_NEW(m->arena, struct nasc_affine, o->n_inputs);
	constant = ldexp(q->zero + 0.5, (int)q->shift);
	for (uint32_t k = 0; k < o->n_inputs; k++) {
		q->affine[k].factor =
			to_unit((double)input(m, k)->scale / (double)q->scale, q->shift);
		constant -= (double)q->affine[k].factor * input(m, k)->zero;
	}
	q->affine[0].constant = (int32_t)lround(constant);
	return NASC_OK;
}

static struct nasc_affine affine(double ratio, double offset, const struct quantised_op *x,
				 const struct quantised_op *q)
{
	int32_t factor = to_unit(ratio, q->shift);

	return (struct nasc_affine){
		.constant = (int32_t)lround(ldexp(q->zero + offset + 0.5, (int)q->shift) -
					    (double)factor * x->zero),
		.factor = factor,
	};
}

static enum nasc_status quantise_concat(const struct making *m, struct nasc_err *err)
{
	const struct net_op *o = &m->t->net.op[m->op];
	struct quantised_op *q = &m->q->op[m->op];
	double most = 0;

	set_scale(m, 0);
	for (uint32_t k = 0; k < o->n_inputs; k++)
		most = fmax(most, (double)input(m, k)->scale / (double)q->scale);
	if (most >= RATIO_LARGE)
		return too_large(m, most, err);
	q->shift = shift_below(fmax(most, 1), 0x1p21);
	q->affine = ARENA_NEW(m->arena, struct nasc_affine, o->n_inputs);
	for (uint32_t k = 0; k < o->n_inputs; k++)
		q->affine[k] =
			affine((double)input(m, k)->scale / (double)q->scale, 0, input(m, k), q);
	return NASC_OK;
}

static enum nasc_status quantise_norm(const struct making *m, struct nasc_err *err)
{
	const struct trained_op *t = &m->t->op[m->op];
	const struct net_op *o = &m->t->net.op[m->op];
	struct quantised_op *q = &m->q->op[m->op];
	const struct quantised_op *x = input(m, 0);
	double most = 1;

	set_scale(m, 0);
	for (uint32_t c = 0; c < o->out.c; c++) {
		double ratio = fabs((double)t->weights[c]) * (double)x->scale / (double)q->scale;

		most = fmax(most, ratio + fabs((double)t->bias[c]) / (double)q->scale / 256);
	}
	if (most >= RATIO_LARGE)
		return too_large(m, most, err);
	q->shift = shift_below(most, 0x1p21);
	q->affine = ARENA_NEW(m->arena, struct nasc_affine, o->out.c);
	for (uint32_t c = 0; c < o->out.c; c++)
		q->affine[c] = affine((double)t->weights[c] * (double)x->scale / (double)q->scale,
				      (double)t->bias[c] / (double)q->scale, x, q);
	return NASC_OK;
}

static enum nasc_status quantise_op(const struct making *m, struct nasc_err *err)
{
	const struct net_op *o = &m->t->net.op[m->op];
	const char *refusal = firmware_refusal(&m->t->net, m->op);

	if (!isfinite(m->range.low) || !isfinite(m->range.high))
		return nasc_fail(err, NASC_FAIL, "operator %zu (%s): its outputs are not finite",
				 number(m), net_kind_name(o->kind));
	if (refusal)
		return nasc_fail(err, NASC_FAIL,
				 "operator %zu (%s): %s: there is no int8 kernel for it", number(m),
				 net_kind_name(o->kind), refusal);
	switch (o->kind) {
	case NET_INPUT:
		set_scale(m, 0);
		return NASC_OK;
	case NET_CONV2D:
	case NET_DEPTHWISE:
	case NET_DENSE:
		return quantise_products(m, err);
	case NET_AVG_POOL:
	case NET_GLOBAL_POOL:
		return quantise_mean(m, err);
	case NET_ADD:
		return quantise_add(m, err);
	case NET_CONCAT:
		return quantise_concat(m, err);
	case NET_BATCH_NORM:
		return quantise_norm(m, err);
	default:
		keep_scale(m);
		return NASC_OK;
	}
}

enum nasc_status quantise(const struct trained *t, const struct images *images, unsigned threads,
			  struct arena *a, struct quantised *out, struct nasc_err *err)
{
	struct range *range;
	struct making m = { .t = t, .q = out, .arena = a };

	if (find_ranges(t, images, threads, a, &range, err))
		return err->code;
	*out = (struct quantised){ .net = t->net,
				   .op = ARENA_NEW(a, struct quantised_op, t->net.n_ops) };
	for (m.op = 0; m.op < t->net.n_ops; m.op++) {
		m.range = range[m.op];
		if (quantise_op(&m, err))
			return err->code;
	}
	return NASC_OK;
}
