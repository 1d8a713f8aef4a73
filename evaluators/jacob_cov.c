#include <math.h>
#include <string.h>

#include "proxy.h"

/* Jacobian covariance, Mellor et al., 2020 (arXiv 2006.04647v1): J_i the gradient of the
 * summed logits for image i, S the correlations of the J_i, v the eigenvalues of S; the
 * score is -sum of log(v + k) + 1 / (v + k), k = 1e-5. With A = S + k I that is
 * -log det A - trace of A^-1: one Cholesky factorisation, no eigenvalue. */
#define SHIFT 1e-5

static const struct cfg_field jacob_cov_fields[] = {
	PROXY_IMAGES_FIELD("32", "training images compared, the same for all candidates"),
	PROXY_REPEATS_FIELD("3"), PROXY_SIZE_FIELD, CFG_END
};

struct jacobian {
	float *image;	      /* images * elements */
	double *a, *diagonal; /* images * images; images */
};

static enum nasc_status begin(struct proxy *p, struct nasc_err *err)
{
	struct jacobian *s = p->state = ARENA_NEW(&p->arena, struct jacobian, 1);
	size_t n = p->plan.images;

	(void)err;
	s->image = ARENA_NEW(&p->arena, float, n *net_elements(p->plan.input));
	s->a = ARENA_NEW(&p->arena, double, n *n);
	s->diagonal = ARENA_NEW(&p->arena, double, n);
	return NASC_OK;
}

static double row_dot(const float *a, const float *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

/* Lower triangle of S + k I. */
static void correlate(const struct proxy *p, const struct jacobian *s)
{
	size_t n = p->plan.images, m = net_elements(p->plan.input);

	for (size_t i = 0; i < n && !proxy_cancelled(p); i++) {
		float *row = s->image + i * m;
		double mean = 0;

		for (size_t k = 0; k < m; k++)
			mean += (double)row[k];
		for (size_t k = 0; k < m; k++)
			row[k] = (float)((double)row[k] - mean / (double)m);
		s->diagonal[i] = sqrt(row_dot(row, row, m));
		for (size_t j = 0; j < i; j++)
			s->a[i * n + j] = row_dot(row, s->image + j * m, m) /
					  (s->diagonal[i] * s->diagonal[j]);
		s->a[i * n + i] = s->diagonal[i] > 0 ? 1 + SHIFT : (double)NAN;
	}
}

/* @a to its Cholesky factor L; the trace of (L L^T)^-1 is the sum of the squares of
 * L^-1. Returns -log det - trace. */
static double score_of(const struct proxy *p, double *a, double *column)
{
	size_t n = p->plan.images;
	double score = 0;

	for (size_t i = 0; i < n && !proxy_cancelled(p); i++)
		for (size_t j = 0; j <= i; j++) {
			double sum = a[i * n + j];

			for (size_t k = 0; k < j; k++)
				sum -= a[i * n + k] * a[j * n + k];
			a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
		}
	for (size_t c = 0; c < n && !proxy_cancelled(p); c++) {
		score -= 2 * log(a[c * n + c]);
		for (size_t i = c; i < n; i++) { /* L x = e_c */
			double sum = i == c;

			for (size_t k = c; k < i; k++)
				sum -= a[i * n + k] * column[k];
			column[i] = sum / a[i * n + i];
			score -= column[i] * column[i];
		}
	}
	return score;
}

static double score(struct proxy *p, struct rng *rng)
{
	struct jacobian *s = p->state;

	(void)rng;
	runner_forward(&p->runner, RUN_TRAIN);
	if (proxy_cancelled(p))
		return 0;
	for (size_t i = 0, n = p->plan.images; i < n * p->plan.classes; i++)
		p->runner.logits_gradient[i] = 1; /* the forward cleared it */
	proxy_backward(p);
	proxy_input_gradient(p, s->image);
	correlate(p, s);
	return score_of(p, s->a, s->diagonal);
}

static const struct proxy_method jacob_cov_method = {
	.use = PLAN_INPUT_GRADIENT,
	.batches = 1,
	.begin = begin,
	.score = score,
	.degenerate = "an image does not change the logits",
};

static const struct metric jacob_cov_metrics[] = {
	{ "jacob_cov", "jacob_cov", UNIT_NONE, true, false,
	  "proxy: how uncorrelated the Jacobians of different images are, untrained" },
};

const struct evaluator_ops evaluator_jacob_cov = {
	.name = "jacob_cov",
	.summary = "proxy: how differently the untrained network reacts to different images",
	.source = "Mellor et al., arXiv 2006.04647v1",
	.metric = jacob_cov_metrics,
	.n_metrics = 1,
	.provenance = "proxy: Jacobian covariance of the untrained network",
	.needs_data = true,
	.fields = jacob_cov_fields,
	.cfg_size = sizeof(struct proxy_cfg),
	.machine = proxy_machine,
	.worker_open = proxy_open,
	.run = proxy_run,
	.worker_close = proxy_close,
	.method = &jacob_cov_method,
};
