/* The Gaussian process against numbers from outside, and against what it must do whatever its
 * settings are. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"
#include "search.h"

static const size_t line[SURROGATE_GROUPS] = { 1, 0 };

/* Normal scores of ranks, (i - 1/2) / n: z of 1/6, 1/2, 5/6 is -0.9674216, 0, 0.9674216 (tables of
 * the normal distribution), divided by their root mean square 0.7898964. */
Test(surrogate, scores_are_normal_scores)
{
	static const double x[] = { 0, 0.5, 1 }, y[] = { 10, INFINITY, 3 };
	const double end = 0.9674215661 / sqrt(2 * 0.9674215661 * 0.9674215661 / 3);
	struct arena a = { 0 };
	struct surrogate s;

	surrogate_init(&s, line);
	cr_assert(surrogate_fit(&s, x, y, 3, &a));
	cr_assert_float_eq(surrogate_score(&s, 3), -end, 1e-6);
	cr_assert_float_eq(surrogate_score(&s, 10), 0, 1e-6);
	cr_assert_float_eq(surrogate_score(&s, 6.5), -end / 2, 1e-6);
	cr_assert_float_eq(surrogate_score(&s, 1), -end, 1e-6);
	cr_assert_float_eq(surrogate_figure(&s, -end / 2), 6.5, 1e-6);
	cr_assert_eq(surrogate_figure(&s, end / 2), 10); /* between a figure and a failure */
	arena_free(&a);
}

/* Posterior of two points, by hand: K = [1+v r; r 1+v], y = (-1, 1), k = (a, b):
 * mean = (b - a) / (1 + v - r), variance = s (1 - [(1+v)(a^2+b^2) - 2 r a b] / ((1+v)^2 - r^2)),
 * s = y' K^-1 y / 2 = 1 / (1 + v - r). */
static double matern(double distance, double length)
{
	double r = sqrt(5) * distance / length;

	return (1 + r + r * r / 3) * exp(-r);
}

Test(surrogate, posterior_of_two_points)
{
	static const double x[] = { 0, 1 }, y[] = { 1, 2 };
	struct arena arena = { 0 };
	struct surrogate s;

	surrogate_init(&s, line);
	cr_assert(surrogate_fit(&s, x, y, 2, &arena));
	for (double at = -0.5; at < 2; at += 0.25) {
		double l = exp(s.theta[0]), v = exp(2 * s.theta[2]) + 1e-6, mean, deviation;
		double r = matern(1, l), a = matern(fabs(at), l), b = matern(fabs(at - 1), l);
		double left = 1 - ((1 + v) * (a * a + b * b) - 2 * r * a * b) /
					  ((1 + v) * (1 + v) - r * r);

		surrogate_predict(&s, &at, 1, &mean, &deviation, &arena);
		cr_assert_float_eq(mean, (b - a) / (1 + v - r), 1e-9);
		cr_assert_float_eq(deviation, sqrt(left / (1 + v - r)), 1e-9);
	}
	arena_free(&arena);
}

/* A smooth function of two of three features: ranks of unseen points, and errors that the
 * deviations announce. */
Test(surrogate, ranks_what_it_has_not_seen)
{
	enum { LEARNED = 60, UNSEEN = 200, ALL = LEARNED + UNSEEN };
	static const size_t size[] = { 1, 2 };
	double x[ALL * 3], y[ALL], mean[UNSEEN], deviation[UNSEEN];
	struct arena a = { 0 };
	struct surrogate s;
	struct rng rng;
	size_t within = 0;

	rng_seed(&rng, 1, 2);
	for (size_t i = 0; i < ALL; i++) {
		double *p = x + 3 * i;

		p[0] = rng_unit(&rng);
		p[1] = 1000 + 300 * rng_unit(&rng); /* its scale is not to matter */
		p[2] = 1e-6 * rng_unit(&rng);
		y[i] = sin(4 * p[0]) + p[1] / 300;
	}
	surrogate_init(&s, size);
	cr_assert(surrogate_fit(&s, x, y, LEARNED, &a));
	surrogate_predict(&s, x + 3 * LEARNED, UNSEEN, mean, deviation, &a);
	cr_assert_gt(search_rank_correlation(mean, y + LEARNED, UNSEEN, &a), 0.97);
	for (size_t i = 0; i < UNSEEN; i++)
		within += fabs(mean[i] - surrogate_score(&s, y[LEARNED + i])) <
			  3 * deviation[i] + 3 * exp(s.theta[2]) * s.amplitude;
	cr_assert_gt(within, UNSEEN * 95 / 100);
	/* Far from everything it knows nothing. */
	x[0] = 50;
	surrogate_predict(&s, x, 1, mean, deviation, &a);
	cr_assert_float_eq(deviation[0], s.amplitude, 1e-3);
	arena_free(&a);
}

Test(surrogate, nothing_is_learned_of_equal_figures)
{
	static const double x[] = { 0, 0.5, 1 }, y[] = { 3, 3, 3 };
	struct arena a = { 0 };
	struct surrogate s;

	surrogate_init(&s, line);
	cr_assert_not(surrogate_fit(&s, x, y, 3, &a));
	arena_free(&a);
}

/* Twins with different figures: noise, not a matrix that cannot be factored. */
Test(surrogate, equal_rows_may_differ)
{
	static const double x[] = { 0, 0, 0, 1, 1, 1 }, y[] = { 1, 2, 3, 3, 4, 5 };
	struct arena a = { 0 };
	struct surrogate s;
	double mean[2], deviation[2];
	static const double at[] = { 0, 1 };

	surrogate_init(&s, line);
	cr_assert(surrogate_fit(&s, x, y, 6, &a));
	surrogate_predict(&s, at, 2, mean, deviation, &a);
	cr_assert(mean[0] < 0 && mean[1] > 0 && isfinite(deviation[0]));
	arena_free(&a);
}

/* Spearman (1904) with mean ranks for ties: ranks 1 2.5 2.5 4 and 1 3 2 4 have
 * 1 - 6 * 0.5 / 60 only without ties; by Pearson's formula on the ranks it is 0.9486833. */
Test(surrogate, rank_correlation)
{
	static const double a[] = { 1, 5, 5, 9 }, b[] = { 10, 30, 20, 40 };
	static const double up[] = { 1, 2, 3, 4 }, down[] = { 9, 7, 0, -3 },
			    flat[] = { 2, 2, 2, 2 };
	struct arena s = { 0 };

	cr_assert_float_eq(search_rank_correlation(a, b, 4, &s), 0.9486832981, 1e-9);
	cr_assert_float_eq(search_rank_correlation(up, down, 4, &s), -1, 1e-12);
	cr_assert(isnan(search_rank_correlation(up, flat, 4, &s)));
	arena_free(&s);
}

Test(surrogate, picks_the_front_then_the_least_crowded)
{
	/* Of the front (0 to 4) the ends, then the widest gaps; 5 is dominated by all. */
	static const double f[] = { 0, 10, 1, 9, 2, 8, 6, 2, 10, 0, 11, 11 };
	static const double rival[] = { 5, 1 }; /* dominates 3 and 5 */
	static const size_t ends[] = { 0, 4 }, more[] = { 0, 2, 4 }, four[] = { 0, 1, 2, 4 };
	struct arena a = { 0 };
	size_t picked[6];

	search_pick(f, 6, NULL, 0, 2, 2, picked, &a);
	cr_assert_arr_eq(picked, ends, sizeof ends);
	search_pick(f, 6, rival, 1, 2, 3, picked, &a);
	cr_assert_arr_eq(picked, more, sizeof more);
	search_pick(f, 6, rival, 1, 2, 4, picked, &a);
	cr_assert_arr_eq(picked, four, sizeof four);
	search_pick(f, 6, rival, 1, 2, 6, picked, &a);
	for (size_t i = 0; i < 6; i++)
		cr_assert_eq(picked[i], i);
	arena_free(&a);
}
