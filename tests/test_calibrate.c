#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calibrate_csv.h"
#include "calibrate_fit.h"
#include "leak.h"
#include "rng.h"

TestSuite(calibrate, .fini = no_leaks);

/* ---- least squares -------------------------------------------------------------------- */

/* By hand. Free minimum (3, -1) of a 2 x 2 system: on the edge x2 = 0 it is (1 + 2) / 2. Free
 * minimum (1, -1) of the identity: (1, 0). All gradients downhill from 0: (0, 0). */
Test(calibrate, least_squares_by_hand)
{
	static const struct {
		double a[4], b[2], x[2];
	} row[] = {
		{ { 1, 2, 1, 1 }, { 1, 2 }, { 1.5, 0 } },
		{ { 1, 0, 0, 1 }, { 1, -1 }, { 1, 0 } },
		{ { 1, 2, 3, 4 }, { -1, -1 }, { 0, 0 } },
		{ { 2, 0, 0, 4 }, { 6, 8 }, { 3, 2 } },
	};
	struct arena a = { 0 };

	for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
		double x[2];

		nnls(2, 2, row[i].a, row[i].b, x, &a);
		for (size_t k = 0; k < 2; k++)
			cr_expect_float_eq(x[k], row[i].x[k], 1e-12, "row %zu: x%zu = %g", i, k,
					   x[k]);
	}
	arena_free(&a);
}

/* The problem is convex: x is the minimum where x >= 0, no gradient points down on the edge, and
 * none is left inside (Karush, Kuhn and Tucker). */
Test(calibrate, least_squares_end_in_the_minimum)
{
	enum { ROWS = 14, N = 6 };
	struct arena arena = { 0 };
	struct rng rng;
	int inside = 0, edge = 0;

	rng_seed(&rng, 7, 0);
	for (int turn = 0; turn < 200; turn++) {
		double a[ROWS * N], b[ROWS], x[N];

		for (size_t i = 0; i < ROWS * N; i++)
			a[i] = rng_unit(&rng) - 0.3;
		for (size_t i = 0; i < ROWS; i++)
			b[i] = rng_unit(&rng) - 0.4;
		nnls(ROWS, N, a, b, x, &arena);
		for (size_t k = 0; k < N; k++) {
			double down = 0;

			for (size_t i = 0; i < ROWS; i++) {
				double left = b[i];

				for (size_t j = 0; j < N; j++)
					left -= a[i * N + j] * x[j];
				down += a[i * N + k] * left;
			}
			cr_assert_geq(x[k], 0);
			cr_assert_leq(down, 1e-8, "turn %d", turn);
			if (x[k] > 0)
				cr_assert_geq(down, -1e-8, "turn %d", turn);
			inside += x[k] > 0;
			edge += x[k] == 0;
		}
	}
	cr_assert_gt(inside, 100);
	cr_assert_gt(edge, 100);
	arena_free(&arena);
}

/* ---- rates ------------------------------------------------------------------------------ */

#define NETWORKS 12
#define GROUPS	 3
#define SETTINGS 4

/* A runtime's cycles, relative to a MAC of a 1x1 convolution, as fit_shape() supposes dense layers
 * and operators to be. */
static const double shape_true[MCU_N_RATES] = {
	[MCU_CONV] = 1.5,  [MCU_POINTWISE] = 1, [MCU_DEPTHWISE] = 4,	[MCU_DENSE] = 2,
	[MCU_OUTPUT] = 20, [MCU_CHANNEL] = 300, [MCU_ELEMENTWISE] = 10, [MCU_LAYER] = 1000,
};
static const double group_scale[GROUPS] = { 1, 1.75, 6 };
/* Settings 0 and 1 are of group 0. */
static const size_t setting_group[SETTINGS] = { 0, 0, 1, 2 };

/* Work of networks that have little in common; @conv: what group 2 takes of convolutions. */
static size_t synthetic(struct fit_row *row, double conv, double second_board)
{
	struct rng rng;
	size_t n = 0;

	rng_seed(&rng, 11, 0);
	for (size_t k = 0; k < NETWORKS; k++) {
		double work[MCU_N_RATES];

		for (size_t r = 0; r < MCU_N_RATES; r++)
			work[r] = 1e6 / shape_true[r] * pow(rng_unit(&rng), 2);
		for (size_t s = 0; s < SETTINGS; s++) {
			double cycles = 0;

			for (size_t r = 0; r < MCU_N_RATES; r++)
				cycles += work[r] * shape_true[r] *
					  (setting_group[s] == 2 && r == MCU_CONV ? conv : 1);
			row[n] =
				(struct fit_row){ .group = setting_group[s],
						  .setting = s,
						  .network = k,
						  .cycles = cycles * group_scale[setting_group[s]] *
							    (s == 1 ? second_board : 1) };
			memcpy(row[n++].work, work, sizeof work);
		}
	}
	return n;
}

Test(calibrate, known_rates_are_found)
{
	struct arena a = { 0 };
	struct fit_row row[NETWORKS * SETTINGS];
	double shape[MCU_N_RATES], rate[MCU_N_RATES], factor[SETTINGS], error[NETWORKS * SETTINGS];
	size_t n = synthetic(row, 1, 1);

	fit_shape(row, n, SETTINGS, shape, &a);
	for (size_t r = 0; r < MCU_N_RATES; r++)
		cr_expect_float_eq(shape[r] / shape_true[r], 1, 1e-6, "shape %zu: %g", r, shape[r]);
	for (size_t g = 0; g < GROUPS; g++) {
		fit_group(row, n, g, SETTINGS, shape, rate, factor, &a);
		for (size_t r = 0; r < MCU_N_RATES; r++)
			cr_expect_float_eq(rate[r] / shape_true[r], group_scale[g], 1e-5,
					   "group %zu, rate %zu: %g", g, r, rate[r]);
	}
	fit_leave_one_out(row, n, SETTINGS, NULL, error, &a);
	for (size_t i = 0; i < n; i++)
		cr_expect_float_eq(error[i], 0, 1e-5, "row %zu: %g", i, error[i]);
	arena_free(&a);
}

/* A board that takes 1.4 times as long, and a runtime whose convolutions take twice as long as its
 * other rates would have: neither is in the shape, which holds some of the second back. */
Test(calibrate, what_differs_is_found)
{
	struct arena a = { 0 };
	struct fit_row row[NETWORKS * SETTINGS];
	double shape[MCU_N_RATES], rate[MCU_N_RATES], factor[SETTINGS], worst = 0;
	double error[NETWORKS * SETTINGS];
	size_t n = synthetic(row, 2, 1.4);

	fit_shape(row, n, SETTINGS, shape, &a);
	fit_group(row, n, 0, SETTINGS, shape, rate, factor, &a);
	cr_expect_float_eq(factor[1] / factor[0], 1.4, 0.02, "%g", factor[1] / factor[0]);
	cr_expect_eq(factor[2], 1);
	fit_group(row, n, 2, SETTINGS, shape, rate, factor, &a);
	cr_expect_float_eq(rate[MCU_CONV] / (6 * 2 * 1.5), 1, 0.1, "%g", rate[MCU_CONV]);
	fit_leave_one_out(row, n, SETTINGS, NULL, error, &a);
	for (size_t i = 0; i < n; i++)
		worst = fmax(worst, fabs(error[i]));
	cr_expect_lt(worst, 0.1, "%g", worst);
	cr_expect_gt(worst, 1e-4, "the shape is not the group's: %g", worst);
	arena_free(&a);
}

/* A network that no other row is like is predicted by fits that did not see it: with its work
 * measured ten times too slow, its error is -0.9, which a fit that saw it would lessen. */
Test(calibrate, errors_are_of_networks_not_seen)
{
	struct arena a = { 0 };
	struct fit_row row[NETWORKS * SETTINGS];
	double error[NETWORKS * SETTINGS];
	size_t n = synthetic(row, 1, 1);

	for (size_t i = 0; i < n; i++)
		if (row[i].network == 3)
			row[i].cycles *= 10;
	fit_leave_one_out(row, n, SETTINGS, NULL, error, &a);
	for (size_t i = 0; i < n; i++)
		if (row[i].network == 3)
			cr_expect_float_eq(error[i], -0.9, 1e-5, "%g", error[i]);
	row[0].group = GROUPS;
	fit_leave_one_out(row, n, SETTINGS, NULL, error, &a);
	cr_expect(isnan(error[0]), "no other network in its group");
	arena_free(&a);
}

/* By hand: medians of 1 2 4, of 2 4 and of 3 alone; rows without a measured power do not count. */
Test(calibrate, power_by_hand)
{
	static const struct fit_row row[] = {
		{ .setting = 0, .network = 0, .power = 4 },
		{ .setting = 0, .network = 1, .power = 1 },
		{ .setting = 0, .network = 2, .power = 2 },
		{ .setting = 1, .network = 1, .power = 3 },
		{ .setting = 0, .network = 3, .power = 0 },
	};
	struct arena a = { 0 };

	cr_expect_eq(fit_power(row, 5, 0, 9, &a), 2);
	cr_expect_eq(fit_power(row, 5, 0, 1, &a), 3);
	cr_expect_eq(fit_power(row, 5, 1, 0, &a), 3);
	cr_expect(isnan(fit_power(row, 5, 1, 1, &a)));
	arena_free(&a);
}

/* By hand: sum of squared differences of ranks 2 of 4 rows, 1 - 6 * 2 / (4 * 15); with a tie,
 * covariance 1.5 over the root of 1.5 * 2. */
Test(calibrate, ranks_by_hand)
{
	static const double x[] = { 1, 2, 3, 4 }, y[] = { 10, 30, 20, 40 };
	static const double tie[] = { 1, 1, 2 }, up[] = { 1, 2, 3 };
	struct arena a = { 0 };

	cr_expect_float_eq(rank_correlation(x, y, 4, &a), 0.8, 1e-12);
	cr_expect_float_eq(rank_correlation(tie, up, 3, &a), 1.5 / sqrt(3), 1e-12);
	arena_free(&a);
}

/* ---- tables ------------------------------------------------------------------------------ */

static enum nasc_status load_text(const char *text, struct arena *a, struct csv *c,
				  struct nasc_err *err)
{
	char path[] = "/tmp/nasc-csv-XXXXXX";
	int fd = mkstemp(path);
	FILE *fp = fdopen(fd, "w");
	enum nasc_status status;

	fputs(text, fp);
	fclose(fp);
	status = csv_load(path, a, c, err);
	remove(path);
	return status;
}

Test(calibrate, tables_are_read)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct csv c;
	double v;

	cr_assert_eq(
		load_text("network,latency_ms\r\n\"a, \"\"b\"\"\",1.5\n\nc,-2\nd,x", &a, &c, &err),
		NASC_OK, "%s", err.msg);
	cr_assert_eq(c.n_rows, 3);
	cr_assert(csv_has(&c, "latency_ms"));
	cr_assert(!csv_has(&c, "latency"));
	cr_assert_str_eq(csv_text(&c, 0, "network"), "a, \"b\"");
	cr_assert_str_eq(csv_text(&c, 0, "board"), "");
	cr_assert_eq(csv_positive(&c, 0, "latency_ms", &v, &err), NASC_OK);
	cr_assert_eq(v, 1.5);
	cr_assert_eq(csv_positive(&c, 1, "latency_ms", &v, &err), NASC_DATA);
	cr_assert(strstr(err.msg, ":4: latency_ms: '-2' is not a number above 0"), "%s", err.msg);
	cr_assert_eq(csv_positive(&c, 2, "latency_ms", &v, &err), NASC_DATA);
	cr_assert_eq(load_text("a,b\n1,2\n1,2,3\n", &a, &c, &err), NASC_DATA);
	cr_assert(strstr(err.msg, ":3: 2 columns are right, as in line 1"), "%s", err.msg);
	cr_assert_eq(load_text("a,b\n1\n", &a, &c, &err), NASC_DATA);
	arena_free(&a);
}
