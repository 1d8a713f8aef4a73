#include "robustness.h"

#include <math.h>
#include <string.h>

#include "rng.h"

/* ---- flips in the weights ------------------------------------------------------ */

/* Bits between flips are geometric: one draw a flip, not one a bit. */
struct flips {
	struct rng *rng;
	double log_stay; /* log(1 - p) */
	double next;	 /* bits from the next byte's first one to the next flip */
	uint64_t count;
};

static double bits_passed(struct flips *f)
{
	return floor(log1p(-rng_unit(f->rng)) / f->log_stay);
}

static uint8_t next_byte(struct flips *f)
{
	uint8_t byte = 0;

	for (; f->next < 8; f->next += 1 + bits_passed(f)) {
		byte |= (uint8_t)(1u << (unsigned)f->next);
		f->count++;
	}
	f->next -= 8;
	return byte;
}

static void flip_channel(struct flips *f, float *weights, const struct param *q, size_t channel)
{
	size_t n = param_count(q);
	float most = 0, scale;

	for (size_t i = channel; i < n; i += q->out)
		most = fmaxf(most, fabsf(weights[param_at(q, i)]));
	scale = most / 127;
	for (size_t i = channel; i < n; i += q->out) {
		float *w = &weights[param_at(q, i)];
		int v = scale > 0 ? (int)lrintf(*w / scale) : 0;

		*w = (float)(int8_t)(uint8_t)((unsigned)v ^ next_byte(f)) * scale;
	}
}

uint64_t robustness_flip(struct model *m, double p, struct rng *rng)
{
	struct flips f = { .rng = rng, .log_stay = log1p(-p), .next = (double)INFINITY };

	if (p > 0)
		f.next = bits_passed(&f);
	for (size_t k = 0; k < m->plan->n_params; k++) {
		const struct param *q = &m->plan->param[k];

		for (size_t c = 0; q->role == PARAM_WEIGHTS && c < q->out; c++)
			flip_channel(&f, m->weights, q, c);
	}
	return f.count;
}

/* ---- noise on the input -------------------------------------------------------- */

void robustness_noise(const struct robustness *r, const struct dataset *norm, size_t first,
		      size_t n, struct net_shape shape, float *image)
{
	size_t size = (size_t)net_elements(shape);

	for (size_t i = 0; i < n; i++) {
		struct rng rng;

		rng_stream(&rng, r->noise, RNG_NOISE, first + i);
		for (size_t k = 0; k < size; k++, image++) {
			double mean = norm->mean[k % shape.c], std = norm->std[k % shape.c];
			double unit = std > 0 ? 1 / std : 1;
			double low = -mean * unit, high = (1 - mean) * unit;
			double x = *image + r->cfg->noise * unit * rng_normal(&rng);

			if (norm->pixel == PIXEL_U8)
				x = x < low ? low : x > high ? high : x;
			*image = (float)x;
		}
	}
}

/* ---- the measures ---------------------------------------------------------------- */

/* Each pattern of flips meets its share of the images: one that hits where it hurts costs so much
 * more than most that many patterns on few images each tell more than few on all. */
static enum nasc_status under_flips(struct robustness *r, robustness_test *test, void *ctx,
				    double *error, struct nasc_err *err)
{
	struct model *m = r->model;
	size_t bytes = m->plan->n_weights * sizeof *m->weights;
	size_t draws = (size_t)r->cfg->draws < r->images ? (size_t)r->cfg->draws : r->images;
	double accuracy, wrong = 0;
	enum nasc_status st = NASC_OK;
	struct rng rng;

	rng_stream(&rng, r->seed, RNG_FLIPS, r->id);
	memcpy(m->gradient, m->weights, bytes);
	for (size_t i = 0; !st && i < draws; i++) {
		size_t first = r->images * i / draws, n = r->images * (i + 1) / draws - first;

		robustness_flip(m, r->cfg->flips, &rng);
		runner_pack(r->runner);
		st = test(ctx, first, n, &accuracy, err);
		memcpy(m->weights, m->gradient, bytes);
		if (!st)
			wrong += (1 - accuracy) * (double)n;
	}
	runner_pack(r->runner);
	if (!st)
		*error = wrong / (double)r->images;
	return st;
}

static enum nasc_status under_noise(struct robustness *r, robustness_test *test, void *ctx,
				    double *error, struct nasc_err *err)
{
	double accuracy;
	enum nasc_status st;
	struct rng rng;

	rng_stream(&rng, r->seed, RNG_NOISE, r->id);
	r->noise = rng_u64(&rng);
	r->noisy = true;
	st = test(ctx, 0, r->images, &accuracy, err);
	r->noisy = false;
	if (!st)
		*error = 1 - accuracy;
	return st;
}

enum nasc_status robustness_measure(struct robustness *r, robustness_test *test, void *ctx,
				    struct train_robustness *out, struct nasc_err *err)
{
	struct train_robustness got = { (double)NAN, (double)NAN };
	enum nasc_status st = NASC_OK;

	if (r->images > 0 && r->cfg->flips > 0)
		st = under_flips(r, test, ctx, &got.error_flips, err);
	if (!st && r->images > 0 && r->cfg->noise > 0)
		st = under_noise(r, test, ctx, &got.error_noise, err);
	if (!st)
		*out = got;
	return st;
}
