#include "calibrate_fit.h"

#include <lapacke.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SWEEPS	    20	 /* rates and factors in turn; further ones change the fourth digit */
#define RIDGE	    0.03 /* squared ratio of a measurement's error to a rate's spread over runtimes */
#define FACTOR_PULL 0.03 /* the same of factors towards 1 */
#define DENSE_MACS  2.0
#define LAYER_MACS  1000.0

/* ---- least squares ------------------------------------------------------------------ */

/* The columns of @a that are in @in, solved without bounds; 0 elsewhere. */
static void solve_some(size_t rows, size_t n, const double *a, const double *b, const bool *in,
		       double *x, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	double *part = ARENA_NEW(scratch, double, rows *n);
	double *right = ARENA_NEW(scratch, double, rows);
	size_t used = 0;

	for (size_t k = 0; k < n; k++) {
		if (!in[k])
			continue;
		for (size_t i = 0; i < rows; i++)
			part[used * rows + i] = a[i * n + k];
		used++;
	}
	memcpy(right, b, rows * sizeof *b);
	LAPACKE_dgels(LAPACK_COL_MAJOR, 'N', (lapack_int)rows, (lapack_int)used, 1, part,
		      (lapack_int)rows, right, (lapack_int)rows);
	used = 0;
	for (size_t k = 0; k < n; k++)
		x[k] = in[k] ? right[used++] : 0;
	arena_rewind(scratch, mark);
}

/* The column outside @in along which the error falls fastest, n where it falls along none. */
static size_t steepest(size_t rows, size_t n, const double *a, const double *b, const bool *in,
		       const double *x)
{
	double best = 1e-9;
	size_t found = n;

	for (size_t k = 0; k < n; k++) {
		double slope = 0, norm = 0;

		for (size_t i = 0; i < rows && !in[k]; i++) {
			double left = b[i];

			for (size_t j = 0; j < n; j++)
				left -= a[i * n + j] * x[j];
			slope += a[i * n + k] * left;
			norm += a[i * n + k] * a[i * n + k];
		}
		if (norm > 0 && slope / sqrt(norm) > best) {
			best = slope / sqrt(norm);
			found = k;
		}
	}
	return found;
}

void nnls(size_t rows, size_t n, const double *a, const double *b, double *x, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	bool *in = ARENA_NEW(scratch, bool, n);
	double *z = ARENA_NEW(scratch, double, n);
	size_t next;

	memset(x, 0, n * sizeof *x);
	for (size_t turn = 0; turn < 10 * n; turn++) {
		next = steepest(rows, n, a, b, in, x);
		if (next == n)
			break;
		in[next] = true;
		for (;;) {
			double step = 1;

			solve_some(rows, n, a, b, in, z, scratch);
			for (size_t k = 0; k < n; k++)
				if (in[k] && z[k] <= 0)
					step = fmin(step, x[k] / (x[k] - z[k]));
			for (size_t k = 0; k < n; k++) {
				if (!in[k])
					continue;
				x[k] += step * (z[k] - x[k]);
				in[k] = x[k] > 1e-14;
				if (!in[k])
					x[k] = 0;
			}
			if (step == 1)
				break;
		}
	}
	arena_rewind(scratch, mark);
}

/* ---- rows ---------------------------------------------------------------------------- */

double fit_cycles(const double rate[MCU_N_RATES], const double work[MCU_N_RATES])
{
	double cycles = 0;

	for (size_t r = 0; r < MCU_N_RATES; r++)
		cycles += rate[r] * work[r];
	return cycles;
}

/* @weight[i]: square root of one over the rows of row i's network in its group. */
static void weigh(const struct fit_row *row, size_t n, double *weight)
{
	for (size_t i = 0; i < n; i++) {
		double same = 0;

		for (size_t j = 0; j < n; j++)
			same += row[j].group == row[i].group && row[j].network == row[i].network;
		weight[i] = 1 / sqrt(same);
	}
}

/* The factor of each setting that fits its rows best, @cycles[i] being predicted without it;
 * drawn to 1 by @pull. 1 where a setting has no row. */
static void fit_factors(const struct fit_row *row, const double *weight, const double *cycles,
			size_t n, double pull, double *factor, size_t n_settings,
			struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	double *under = ARENA_NEW(scratch, double, n_settings);

	for (size_t s = 0; s < n_settings; s++)
		factor[s] = under[s] = pull;
	for (size_t i = 0; i < n; i++) {
		double p = cycles[i] / row[i].cycles, w = weight[i] * weight[i];

		factor[row[i].setting] += w * p;
		under[row[i].setting] += w * p * p;
	}
	for (size_t s = 0; s < n_settings; s++)
		factor[s] = under[s] > 0 ? factor[s] / under[s] : 1;
	arena_rewind(scratch, mark);
}

/* ---- the shape of all groups --------------------------------------------------------- */

/* What is fitted over all groups: every rate but those that go with 1x1 convolutions. */
static const enum mcu_rate shaped[] = { MCU_POINTWISE, MCU_CONV,    MCU_DEPTHWISE,
					MCU_OUTPUT,    MCU_CHANNEL, MCU_ELEMENTWISE };
#define N_SHAPED (sizeof shaped / sizeof *shaped)

void fit_shape(const struct fit_row *row, size_t n, size_t n_settings, double shape[MCU_N_RATES],
	       struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	double *a = ARENA_NEW(scratch, double, n *N_SHAPED), *b = ARENA_NEW(scratch, double, n);
	double *weight = ARENA_NEW(scratch, double, n), *cycles = ARENA_NEW(scratch, double, n);
	double *factor = ARENA_NEW(scratch, double, n_settings), x[N_SHAPED];

	weigh(row, n, weight);
	for (size_t s = 0; s < n_settings; s++)
		factor[s] = 1;
	for (size_t sweep = 0; sweep < SWEEPS; sweep++) {
		for (size_t i = 0; i < n; i++) {
			double scale = weight[i] * factor[row[i].setting] / row[i].cycles;

			for (size_t k = 0; k < N_SHAPED; k++)
				a[i * N_SHAPED + k] = scale * row[i].work[shaped[k]];
			a[i * N_SHAPED] += scale * (DENSE_MACS * row[i].work[MCU_DENSE] +
						    LAYER_MACS * row[i].work[MCU_LAYER]);
			b[i] = weight[i];
		}
		nnls(n, N_SHAPED, a, b, x, scratch);
		for (size_t k = 0; k < N_SHAPED; k++)
			shape[shaped[k]] = x[k] / x[0];
		shape[MCU_DENSE] = DENSE_MACS;
		shape[MCU_LAYER] = LAYER_MACS;
		for (size_t i = 0; i < n; i++)
			cycles[i] = fit_cycles(shape, row[i].work);
		fit_factors(row, weight, cycles, n, 0, factor, n_settings, scratch);
	}
	arena_rewind(scratch, mark);
}

/* ---- the rates of one group ----------------------------------------------------------- */

/* The multiple of @shape that fits the rows best, under the factors. */
static double fit_scale(const struct fit_row *row, const double *weight, size_t n,
			const double shape[MCU_N_RATES], const double *factor)
{
	double over = 0, under = 0;

	for (size_t i = 0; i < n; i++) {
		double p = fit_cycles(shape, row[i].work) * factor[row[i].setting] / row[i].cycles;

		over += weight[i] * weight[i] * p;
		under += weight[i] * weight[i] * p * p;
	}
	return over / under;
}

/* Rates under the factors, each held to its part of @scale times @shape. */
static void fit_rates(const struct fit_row *row, const double *weight, size_t n,
		      const double shape[MCU_N_RATES], double scale, const double *factor,
		      double rate[MCU_N_RATES], struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	size_t rows = n + MCU_N_RATES;
	double *a = ARENA_NEW(scratch, double, rows *MCU_N_RATES);
	double *b = ARENA_NEW(scratch, double, rows), x[MCU_N_RATES];

	for (size_t i = 0; i < n; i++) {
		double per_cycle = weight[i] * factor[row[i].setting] * scale / row[i].cycles;

		for (size_t r = 0; r < MCU_N_RATES; r++)
			a[i * MCU_N_RATES + r] = per_cycle * shape[r] * row[i].work[r];
		b[i] = weight[i];
	}
	for (size_t r = 0; r < MCU_N_RATES; r++)
		a[(n + r) * MCU_N_RATES + r] = b[n + r] = sqrt(RIDGE);
	nnls(rows, MCU_N_RATES, a, b, x, scratch);
	for (size_t r = 0; r < MCU_N_RATES; r++)
		rate[r] = x[r] * scale * shape[r];
	arena_rewind(scratch, mark);
}

void fit_group(const struct fit_row *row, size_t n, size_t group, size_t n_settings,
	       const double shape[MCU_N_RATES], double rate[MCU_N_RATES], double *factor,
	       struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	struct fit_row *own = ARENA_NEW(scratch, struct fit_row, n);
	double *weight = ARENA_NEW(scratch, double, n), *cycles = ARENA_NEW(scratch, double, n);
	size_t n_own = 0;

	for (size_t i = 0; i < n; i++)
		if (row[i].group == group)
			own[n_own++] = row[i];
	weigh(own, n_own, weight);
	for (size_t s = 0; s < n_settings; s++)
		factor[s] = 1;
	for (size_t sweep = 0; sweep < SWEEPS; sweep++) {
		double scale = fit_scale(own, weight, n_own, shape, factor);

		fit_rates(own, weight, n_own, shape, scale, factor, rate, scratch);
		for (size_t i = 0; i < n_own; i++)
			cycles[i] = fit_cycles(rate, own[i].work);
		fit_factors(own, weight, cycles, n_own, FACTOR_PULL, factor, n_settings, scratch);
	}
	arena_rewind(scratch, mark);
}

/* ---- errors ----------------------------------------------------------------------------- */

/* Errors of network @out by fits that did not see it; @given as in fit_leave_one_out(). */
static void leave_out(const struct fit_row *row, size_t n, size_t n_settings, size_t out,
		      const double *given, double *error, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	struct fit_row *seen = ARENA_NEW(scratch, struct fit_row, n);
	double *factor = ARENA_NEW(scratch, double, n_settings);
	double shape[MCU_N_RATES], rate[MCU_N_RATES];
	size_t n_seen = 0;

	for (size_t i = 0; i < n; i++)
		if (row[i].network != out)
			seen[n_seen++] = row[i];
	if (given)
		memcpy(shape, given, sizeof shape);
	else if (n_seen > 0)
		fit_shape(seen, n_seen, n_settings, shape, scratch);
	for (size_t i = 0; i < n; i++) {
		bool others = false;

		if (row[i].network != out)
			continue;
		for (size_t j = 0; j < n_seen; j++)
			others |= seen[j].group == row[i].group;
		error[i] = NAN;
		if (!others)
			continue;
		fit_group(seen, n_seen, row[i].group, n_settings, shape, rate, factor, scratch);
		error[i] =
			fit_cycles(rate, row[i].work) * factor[row[i].setting] / row[i].cycles - 1;
	}
	arena_rewind(scratch, mark);
}

void fit_leave_one_out(const struct fit_row *row, size_t n, size_t n_settings, const double *shape,
		       double *error, struct arena *scratch)
{
	for (size_t i = 0; i < n; i++) {
		bool first = true;

		for (size_t j = 0; j < i; j++)
			first &= row[j].network != row[i].network;
		if (first)
			leave_out(row, n, n_settings, row[i].network, shape, error, scratch);
	}
}

static int ascending(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

double fit_power(const struct fit_row *row, size_t n, size_t setting, size_t out,
		 struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	double *power = ARENA_NEW(scratch, double, n + 1), median = NAN;
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		if (row[i].setting == setting && row[i].network != out && row[i].power > 0)
			power[k++] = row[i].power;
	qsort(power, k, sizeof *power, ascending);
	if (k > 0)
		median = (power[(k - 1) / 2] + power[k / 2]) / 2;
	arena_rewind(scratch, mark);
	return median;
}

static void ranks(const double *x, size_t n, double *rank)
{
	for (size_t i = 0; i < n; i++) {
		double below = 0, same = 0;

		for (size_t j = 0; j < n; j++) {
			below += x[j] < x[i];
			same += x[j] == x[i];
		}
		rank[i] = below + (same - 1) / 2;
	}
}

double rank_correlation(const double *x, const double *y, size_t n, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	double *rx = ARENA_NEW(scratch, double, n), *ry = ARENA_NEW(scratch, double, n);
	double mean = ((double)n - 1) / 2, xy = 0, xx = 0, yy = 0;

	ranks(x, n, rx);
	ranks(y, n, ry);
	for (size_t i = 0; i < n; i++) {
		xy += (rx[i] - mean) * (ry[i] - mean);
		xx += (rx[i] - mean) * (rx[i] - mean);
		yy += (ry[i] - mean) * (ry[i] - mean);
	}
	arena_rewind(scratch, mark);
	return xy / sqrt(xx * yy);
}
