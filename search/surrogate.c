#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "order.h"
#include "search.h"

/*
 * Gaussian process (Rasmussen & Williams, MIT Press 2006): Matern kernel of smoothness
 * 5/2 over the distance sqrt(sum of d_g^2 / l_g^2) of the groups g of features, lengths l_g
 * and noise by the marginal likelihood with the amplitude maximised out, under a normal
 * prior of deviation 1 on the logarithms. It learns the normal score of a figure's rank:
 * only order counts to a search, and one bad figure does not stretch the scale.
 */
#define TUNE_ROWS   200	 /* lengths and noise are fitted to so many rows at most ... */
#define TUNE_GROWTH 1.25 /* ... and again when there are so many times more rows */
#define STEP_FIRST  0.7	 /* of the logarithms, in the search for the best */
#define STEP_LEAST  0.1
#define JITTER	    1e-6
#define THETA	    (SURROGATE_GROUPS + 1) /* logarithms of the lengths and the noise's deviation */

/* Squared distances of n rows, for each group n * n of which the lower half is filled. */
struct distances {
	size_t n;
	double *d[SURROGATE_GROUPS];
};

static size_t row_length(const struct surrogate *s)
{
	size_t n = 0;

	for (size_t g = 0; g < SURROGATE_GROUPS; g++)
		n += s->size[g];
	return n;
}

static double squared(const double *a, const double *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (a[i] - b[i]) * (a[i] - b[i]);
	return sum;
}

static double kernel(double squares)
{
	double r = sqrt(5 * squares);

	return (1 + r + r * r / 3) * exp(-r);
}

/* Rows @pick[0..n) of x. */
static void distances_fill(const struct surrogate *s, const double *x, const size_t *pick, size_t n,
			   struct distances *out, struct arena *a)
{
	size_t width = row_length(s), at = 0;

	out->n = n;
	for (size_t g = 0; g < SURROGATE_GROUPS; at += s->size[g++]) {
		out->d[g] = ARENA_NEW(a, double, n *n);
		for (size_t i = 0; i < n; i++)
			for (size_t j = 0; j < i; j++)
				out->d[g][i * n + j] =
					squared(x + pick[i] * width + at, x + pick[j] * width + at,
						s->size[g]);
	}
}

/* Cholesky factor of the rows' correlations, row-major lower half. False: not positive. */
static bool factor(const struct distances *d, const double theta[THETA], double *k)
{
	size_t n = d->n;
	double scale[SURROGATE_GROUPS], noise = exp(2 * theta[THETA - 1]);

	for (size_t g = 0; g < SURROGATE_GROUPS; g++)
		scale[g] = exp(-2 * theta[g]);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++) {
			double squares = 0;

			for (size_t g = 0; g < SURROGATE_GROUPS; g++)
				squares += scale[g] * d->d[g][i * n + j];
			k[i * n + j] = kernel(squares);
		}
		k[i * n + i] = 1 + noise + JITTER;
	}
	return LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n, k, (lapack_int)n) == 0;
}

/* b = L^-1 b for @m columns b, each n long. */
static void solve_lower(const double *l, size_t n, double *b, size_t m)
{
	LAPACKE_dtrtrs_work(LAPACK_COL_MAJOR, 'U', 'T', 'N', (lapack_int)n, (lapack_int)m, l,
			    (lapack_int)n, b, (lapack_int)n);
}

/* What is to be minimised: minus the logarithm of the posterior, up to a constant. */
static double misfit(const struct distances *d, const double *y, const double theta[THETA],
		     const double prior[THETA], double *k, double *work)
{
	size_t n = d->n;
	double squares = 0, log_det = 0, off = 0;

	if (!factor(d, theta, k))
		return INFINITY;
	memcpy(work, y, n * sizeof *y);
	solve_lower(k, n, work, 1);
	for (size_t i = 0; i < n; i++) {
		squares += work[i] * work[i];
		log_det += log(k[i * n + i]);
	}
	for (size_t i = 0; i < THETA; i++)
		off += (theta[i] - prior[i]) * (theta[i] - prior[i]);
	return (double)n / 2 * log(squares / (double)n) + log_det + off / 2;
}

static void prior_of(const struct distances *d, double prior[THETA])
{
	for (size_t g = 0; g < SURROGATE_GROUPS; g++) {
		double sum = 0, pairs = (double)d->n * ((double)d->n - 1) / 2;

		for (size_t i = 0; i < d->n; i++)
			for (size_t j = 0; j < i; j++)
				sum += d->d[g][i * d->n + j];
		/* A length at which the mean pair still has much in common. */
		prior[g] = sum > 0 ? log(SURROGATE_GROUPS * sum / pairs) / 2 + 0.5 : 0;
	}
	prior[THETA - 1] = log(0.3);
}

/* Coordinate search from where the last one ended. */
static void tune(struct surrogate *s, const double *x, const double *y, size_t n, struct arena *a)
{
	size_t m = n < TUNE_ROWS ? n : TUNE_ROWS, *pick = ARENA_NEW(a, size_t, m);
	double *k = ARENA_NEW(a, double, m *m), *work = ARENA_NEW(a, double, m);
	double *some = ARENA_NEW(a, double, m), prior[THETA], step[THETA], best, largest;
	struct distances d;

	for (size_t i = 0; i < m; i++) {
		pick[i] = i * n / m;
		some[i] = y[pick[i]];
	}
	distances_fill(s, x, pick, m, &d, a);
	prior_of(&d, prior);
	if (!s->tuned)
		memcpy(s->theta, prior, sizeof prior);
	for (size_t i = 0; i < THETA; i++)
		step[i] = s->tuned ? STEP_FIRST / 2 : STEP_FIRST;
	best = misfit(&d, some, s->theta, prior, k, work);
	do {
		largest = 0;
		for (size_t i = 0; i < THETA; i++) {
			double from = s->theta[i], sign = 1, now = INFINITY;

			for (int t = 0; t < 2 && !(now < best); t++, sign = -sign) {
				s->theta[i] = from + sign * step[i];
				now = misfit(&d, some, s->theta, prior, k, work);
			}
			if (now < best) {
				best = now;
			} else {
				s->theta[i] = from;
				step[i] /= 2;
			}
			largest = fmax(largest, step[i]);
		}
	} while (largest >= STEP_LEAST);
	s->tuned = n;
}

/* ---- figures and their scores ----------------------------------------------------- */

/* Quantile of the normal distribution, by halving. */
static double normal_quantile(double p)
{
	double lo = -9, hi = 9;

	for (int i = 0; i < 60; i++) {
		double mid = (lo + hi) / 2;

		if (erfc(-mid / sqrt(2)) / 2 < p)
			lo = mid;
		else
			hi = mid;
	}
	return (lo + hi) / 2;
}

/* Ascending figures, each with the score of its mean rank, into s->figure and s->score;
 * score[i] of the figure i as well. */
static void score_all(struct surrogate *s, const double *y, size_t n, double *score,
		      struct arena *a)
{
	struct order_key *key = ARENA_NEW(a, struct order_key, 2 * n);
	double squares = 0;

	for (size_t i = 0; i < n; i++)
		key[i] = (struct order_key){ y[i], (uint32_t)i };
	order_sort(key, key + n, n);
	s->figure = ARENA_NEW(a, double, n);
	s->score = ARENA_NEW(a, double, n);
	s->n_scores = 0;
	for (size_t from = 0, end; from < n; from = end) {
		double z;

		for (end = from + 1; end < n && key[end].v == key[from].v;)
			end++;
		z = normal_quantile((double)(from + end) / 2 / (double)n);
		for (size_t i = from; i < end; i++)
			score[key[i].at] = z;
		squares += (double)(end - from) * z * z;
		s->figure[s->n_scores] = key[from].v;
		s->score[s->n_scores++] = z;
	}
	s->amplitude = sqrt(squares / (double)n);
}

/* @to at @v of the line through (from, to), both ascending; the ends where it is outside. */
static double between(const double *from, const double *to, size_t n, double v)
{
	size_t lo = 0, hi = n - 1;

	if (!(v > from[0]))
		return to[0];
	if (v >= from[hi])
		return to[hi];
	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;

		if (from[mid] <= v)
			lo = mid;
		else
			hi = mid;
	}
	if (isinf(from[hi]) || isinf(to[hi]))
		return to[lo];
	return to[lo] + (to[hi] - to[lo]) * (v - from[lo]) / (from[hi] - from[lo]);
}

double surrogate_score(const struct surrogate *s, double figure)
{
	return between(s->figure, s->score, s->n_scores, figure);
}

double surrogate_figure(const struct surrogate *s, double score)
{
	return between(s->score, s->figure, s->n_scores, score);
}

/* ---- the model ------------------------------------------------------------------------ */

void surrogate_init(struct surrogate *s, const size_t size[SURROGATE_GROUPS])
{
	*s = (struct surrogate){ .n = 0 };
	memcpy(s->size, size, sizeof s->size);
}

/* Mean and deviation of the second group's features over the rows. */
static void find_scale(struct surrogate *s, const double *x, size_t n, struct arena *a)
{
	size_t width = row_length(s);

	s->mean = ARENA_NEW(a, double, width);
	s->factor = ARENA_NEW(a, double, width);
	for (size_t k = 0; k < width; k++) {
		double sum = 0, squares = 0;

		s->factor[k] = 1;
		if (k < s->size[0])
			continue;
		for (size_t i = 0; i < n; i++)
			sum += x[i * width + k];
		s->mean[k] = sum / (double)n;
		for (size_t i = 0; i < n; i++)
			squares +=
				(x[i * width + k] - s->mean[k]) * (x[i * width + k] - s->mean[k]);
		squares = sqrt(squares / (double)n);
		/* What was always the same says nothing, not even where it differs. */
		s->factor[k] = squares > 1e-9 * (1 + fabs(s->mean[k])) ? 1 / squares : 0;
	}
}

static double *scaled(const struct surrogate *s, const double *x, size_t n, struct arena *a)
{
	size_t width = row_length(s);
	double *out = ARENA_NEW(a, double, n *width);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < width; k++)
			out[i * width + k] = (x[i * width + k] - s->mean[k]) * s->factor[k];
	return out;
}

bool surrogate_fit(struct surrogate *s, const double *x, const double *y, size_t n, struct arena *a)
{
	double *score = ARENA_NEW(a, double, n), squares = 0;
	size_t *all = ARENA_NEW(a, size_t, n);
	struct distances d;

	score_all(s, y, n, score, a);
	if (s->n_scores < 2)
		return false;
	for (size_t i = 0; i < n; i++) {
		score[i] /= s->amplitude;
		all[i] = i;
	}
	for (size_t i = 0; i < s->n_scores; i++)
		s->score[i] /= s->amplitude;
	s->n = n;
	find_scale(s, x, n, a);
	s->x = scaled(s, x, n, a);
	if (!s->tuned || (double)n >= TUNE_GROWTH * (double)s->tuned)
		tune(s, s->x, score, n, a);
	distances_fill(s, s->x, all, n, &d, a);
	s->lower = ARENA_NEW(a, double, n *n);
	if (!factor(&d, s->theta, s->lower))
		return false;
	s->alpha = score;
	solve_lower(s->lower, n, s->alpha, 1);
	for (size_t i = 0; i < n; i++)
		squares += s->alpha[i] * s->alpha[i];
	s->amplitude = sqrt(squares / (double)n);
	LAPACKE_dtrtrs_work(LAPACK_COL_MAJOR, 'U', 'N', 'N', (lapack_int)n, 1, s->lower,
			    (lapack_int)n, s->alpha, (lapack_int)n);
	return true;
}

void surrogate_predict(const struct surrogate *s, const double *x, size_t n, double *mean,
		       double *deviation, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	size_t width = row_length(s);
	double *to = scaled(s, x, n, scratch), *k = ARENA_NEW(scratch, double, n * s->n);
	double scale[SURROGATE_GROUPS];

	for (size_t g = 0; g < SURROGATE_GROUPS; g++)
		scale[g] = exp(-2 * s->theta[g]);
	for (size_t i = 0; i < n; i++) {
		mean[i] = 0;
		for (size_t j = 0; j < s->n; j++) {
			const double *p = to + i * width, *q = s->x + j * width;
			double squares = 0;

			for (size_t g = 0; g < SURROGATE_GROUPS; g++) {
				squares += scale[g] * squared(p, q, s->size[g]);
				p += s->size[g];
				q += s->size[g];
			}
			k[i * s->n + j] = kernel(squares);
			mean[i] += k[i * s->n + j] * s->alpha[j];
		}
	}
	solve_lower(s->lower, s->n, k, n);
	for (size_t i = 0; i < n; i++) {
		double left = 1;

		for (size_t j = 0; j < s->n; j++)
			left -= k[i * s->n + j] * k[i * s->n + j];
		deviation[i] = s->amplitude * sqrt(fmax(left, 0));
	}
	arena_rewind(scratch, mark);
}
