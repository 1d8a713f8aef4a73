/* Problems on integers, with fronts of a few points. */
#include "problems.h"

/* Point @i of @n over a front of @points: as @n is more or less, some come twice or
 * some are left out. */
static double step_of(size_t i, size_t n, size_t points)
{
	return (double)(size_t)(problem_spread(i, n) * (double)(points - 1) + 0.5);
}

static void bits(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	(void)n_objectives;
	for (size_t i = 0; i < n_vars; i++)
		var[i] = (struct search_var){ 0, 1, true };
}

/* ---- zdt5 -------------------------------------------------------------------- */

#define ZDT5_FIRST  30 /* bits of x1 */
#define ZDT5_OTHERS 10 /* other variables, of ... */
#define ZDT5_BITS   5  /* ... so many bits */

static double ones(const double *x, size_t n)
{
	double count = 0;

	for (size_t i = 0; i < n; i++)
		count += x[i];
	return count;
}

/* Deceptive: each group is best at all ones and else the better the fewer there are. */
static double zdt5(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = 0;

	(void)n_vars, (void)n_objectives;
	for (size_t i = 0; i < ZDT5_OTHERS; i++) {
		double u = ones(x + ZDT5_FIRST + i * ZDT5_BITS, ZDT5_BITS);

		g += u < ZDT5_BITS ? 2 + u : 1;
	}
	f[0] = 1 + ones(x, ZDT5_FIRST);
	f[1] = g / f[0];
	return 0;
}

static void zdt5_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	(void)n_vars, (void)n_objectives;
	f[0] = 1 + step_of(i, n, ZDT5_FIRST + 1);
	f[1] = ZDT5_OTHERS / f[0];
}

const struct search_problem problem_zdt5 = {
	.name = "zdt5",
	.summary = "80 bits, deceptive distance",
	.source = "Zitzler, Deb, Thiele, Evolutionary Computation 8(2) 2000",
	VARIABLES(ZDT5_FIRST + ZDT5_OTHERS * ZDT5_BITS),
	TWO_OBJECTIVES,
	.reference = { 34, 11 },
	.domain = bits,
	.evaluate = zdt5,
	.front = zdt5_front,
};

/* ---- lotz -------------------------------------------------------------------- */

/* Share of the bits that are not among the leading ones, and not among the trailing
 * zeros: a bit counts only where those before it, or behind it, are right. */
static double lotz(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	size_t ones_ahead = 0, zeros_behind = 0;

	(void)n_objectives;
	while (ones_ahead < n_vars && x[ones_ahead] > 0)
		ones_ahead++;
	while (zeros_behind < n_vars && !(x[n_vars - 1 - zeros_behind] > 0))
		zeros_behind++;
	f[0] = (double)(n_vars - ones_ahead) / (double)n_vars;
	f[1] = (double)(n_vars - zeros_behind) / (double)n_vars;
	return 0;
}

static void lotz_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	double zeros_behind = step_of(i, n, n_vars + 1);

	(void)n_objectives;
	f[0] = zeros_behind / (double)n_vars;
	f[1] = ((double)n_vars - zeros_behind) / (double)n_vars;
}

const struct search_problem problem_lotz = {
	.name = "lotz",
	.summary = "leading ones against trailing zeros, as shares of the bits still missing",
	.source = "Laumanns, Thiele, Zitzler, Welzl, Deb, PPSN 2002",
	.min_vars = 1,
	.max_vars = 100000,
	.default_vars = 30,
	TWO_OBJECTIVES,
	.reference = { 1.1, 1.1 },
	.domain = bits,
	.evaluate = lotz,
	.front = lotz_front,
};

/* ---- chain ------------------------------------------------------------------- */

#define CHAIN_LENGTH 20

/* y1 = x1, yi = xi - x(i-1): two integer spheres about (0, 0 ..) and (20, 0 ..) in y. On
 * the front all x are equal, so that all must move to get from one point to the next. */
static double chain(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double bends = 0, to_far = CHAIN_LENGTH - x[0];

	(void)n_objectives;
	for (size_t i = 1; i < n_vars; i++)
		bends += (x[i] - x[i - 1]) * (x[i] - x[i - 1]);
	f[0] = (x[0] * x[0] + bends) / (CHAIN_LENGTH * CHAIN_LENGTH);
	f[1] = (to_far * to_far + bends) / (CHAIN_LENGTH * CHAIN_LENGTH);
	return 0;
}

static void chain_domain(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	(void)n_objectives;
	for (size_t i = 0; i < n_vars; i++)
		var[i] = (struct search_var){ 0, CHAIN_LENGTH, true };
}

static void chain_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	double x = step_of(i, n, CHAIN_LENGTH + 1), to_far = CHAIN_LENGTH - x;

	(void)n_vars, (void)n_objectives;
	f[0] = x * x / (CHAIN_LENGTH * CHAIN_LENGTH);
	f[1] = to_far * to_far / (CHAIN_LENGTH * CHAIN_LENGTH);
}

const struct search_problem problem_chain = {
	.name = "chain",
	.summary = "integers 0 .. 20 coupled by their differences, front where all are equal",
	.source = "on integers after elli1, a unimodular map for its rotation",
	.min_vars = 2,
	.max_vars = 100000,
	.default_vars = 10,
	TWO_OBJECTIVES,
	.reference = { 1.1, 1.1 },
	.domain = chain_domain,
	.evaluate = chain,
	.front = chain_front,
};
