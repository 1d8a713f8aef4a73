#ifndef BENCH_CALIBRATE_FIT_H
#define BENCH_CALIBRATE_FIT_H
#include "arena.h"
#include "mcu_cycles.h"

/* Rates of the microcontroller's cycle model from measured latencies.
 *
 *     cycles of a row = factor[setting] * sum over r of rate[group][r] * work[r]
 *
 * A group is a core and a runtime; a setting is a board and a version of the runtime within a
 * group. Few networks are measured in a group, so rates are fitted in two steps. All groups
 * together give a shape, the rates relative to that of 1x1 convolutions; then each group's rates
 * are fitted and held to the shape by a ridge. All errors are relative to what was measured, all
 * rates and factors are >= 0, and a network weighs the same in a group whatever the number of its
 * rows. */
struct fit_row {
	size_t group, setting, network; /* network: what is left out together */
	double work[MCU_N_RATES];	/* of the whole network */
	double cycles;			/* measured, > 0 */
	double power;			/* energy over latency [W]; 0 where it was not measured */
};

/* min |A x - b| subject to x >= 0: Lawson and Hanson, Solving Least Squares Problems, 1974,
 * chapter 23. @a: @rows x @n, row after row. */
void nnls(size_t rows, size_t n, const double *a, const double *b, double *x,
	  struct arena *scratch);

/* What no group of networks tells apart is assumed here: a MAC of a dense layer costs two of a
 * 1x1 convolution (one column, so that a weight is loaded and widened for one product, where
 * kernels of convolutions take two columns at a time), an operator 1000. @shape[MCU_POINTWISE]
 * is 1. */
void fit_shape(const struct fit_row *row, size_t n, size_t n_settings, double shape[MCU_N_RATES],
	       struct arena *scratch);

/* @factor[setting]: those of the group's settings; 1 where the group has no row of it. At least
 * one row of @group. */
void fit_group(const struct fit_row *row, size_t n, size_t group, size_t n_settings,
	       const double shape[MCU_N_RATES], double rate[MCU_N_RATES], double *factor,
	       struct arena *scratch);

double fit_cycles(const double rate[MCU_N_RATES], const double work[MCU_N_RATES]);

/* @error[i]: predicted over measured cycles - 1 of row i by a fit, shape included, that saw
 * no row of its network; NAN where its group has no other network. @shape: NULL, or one that is
 * taken as given. */
void fit_leave_one_out(const struct fit_row *row, size_t n, size_t n_settings, const double *shape,
		       double *error, struct arena *scratch);

/* The median power [W] of @setting's rows but those of network @out; NAN where none is left whose
 * power was measured. */
double fit_power(const struct fit_row *row, size_t n, size_t setting, size_t out,
		 struct arena *scratch);

/* Spearman's, equal values at their mean rank. */
double rank_correlation(const double *x, const double *y, size_t n, struct arena *scratch);
#endif
