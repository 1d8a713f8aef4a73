/* Problems whose variables cannot be improved one by one: seen through a rotation
 * y = O x, or tied to the first by sines. */
#include <math.h>
#include <string.h>

#include "problems.h"

#define ROTATED_MAX 256 /* variables */

/* Reflect @y at the hyperplane whose normal is drawn from stream @which. */
static void reflect(double *y, size_t n, size_t which)
{
	double normal[ROTATED_MAX], square = 0, product = 0;
	struct rng rng;

	rng_seed(&rng, n, which);
	for (size_t i = 0; i < n; i++) {
		normal[i] = 2 * rng_unit(&rng) - 1;
		square += normal[i] * normal[i];
		product += normal[i] * y[i];
	}
	for (size_t i = 0; i < n; i++)
		y[i] -= 2 * product / square * normal[i];
}

/* y = O x; O, the same for all that ask for n variables, is a product of n reflections. */
static void rotate(const double *x, size_t n, double *y)
{
	memcpy(y, x, n * sizeof *y);
	for (size_t k = 0; k < n; k++)
		reflect(y, n, k);
}

/* ---- rotated ------------------------------------------------------------------ */

/* a^2 of ELLI1: the ratio of the ellipsoids' longest axis to their shortest one, squared. */
#define ELLI1_RATIO 1e6

static double elli1(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double y[ROTATED_MAX], weight = 1 / (ELLI1_RATIO * (double)n_vars);
	double step = pow(ELLI1_RATIO, 1 / (double)(n_vars - 1));

	(void)n_objectives;
	rotate(x, n_vars, y);
	f[0] = f[1] = 0;
	for (size_t i = 0; i < n_vars; i++, weight *= step) {
		f[0] += weight * y[i] * y[i];
		f[1] += weight * (y[i] - 2) * (y[i] - 2);
	}
	return 0;
}

static void elli1_domain(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	(void)n_objectives;
	for (size_t i = 0; i < n_vars; i++)
		var[i] = (struct search_var){ -10, 10, false };
}

/* From the one middle to the other all y are equal: weights add up. */
static void elli1_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	double step = pow(ELLI1_RATIO, 1 / (double)(n_vars - 1)), y = 2 * problem_spread(i, n);
	double weights = (ELLI1_RATIO * step - 1) / (step - 1) / (ELLI1_RATIO * (double)n_vars);

	(void)n_objectives;
	f[0] = weights * y * y;
	f[1] = weights * (2 - y) * (2 - y);
}

/* Largest y1 that is in the box while the other y are 0. */
static double ihr1_longest(size_t n)
{
	double row[ROTATED_MAX] = { 1 }, most = 0;

	/* the first row of O is its transpose, the reflections in reverse, times (1, 0 ..) */
	for (size_t k = n; k-- > 0;)
		reflect(row, n, k);
	for (size_t i = 0; i < n; i++)
		most = fmax(most, fabs(row[i]));
	return 1 / most;
}

static double logistic(double y, size_t n)
{
	return 1 / (1 + exp(-y / sqrt((double)n)));
}

static double ihr1(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double y[ROTATED_MAX], g = 0;

	(void)n_objectives;
	rotate(x, n_vars, y);
	for (size_t i = 1; i < n_vars; i++)
		g += y[i] * y[i] / (fabs(y[i]) + 0.1);
	g = 1 + 9 * g / (double)(n_vars - 1);
	f[0] = fabs(y[0]);
	f[1] = g * (f[0] <= ihr1_longest(n_vars) ? 1 - sqrt(logistic(y[0], n_vars) / g) : 1 + f[0]);
	return 0;
}

static void ihr1_domain(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	(void)n_objectives;
	for (size_t i = 0; i < n_vars; i++)
		var[i] = (struct search_var){ -1, 1, false };
}

static void ihr1_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	(void)n_objectives;
	f[0] = ihr1_longest(n_vars) * problem_spread(i, n);
	f[1] = 1 - sqrt(logistic(f[0], n_vars));
}

/* ---- tied by sines -------------------------------------------------------------- */

/* Mean squared deviation of the odd x3, x5 .. and of the even x2, x4 .. from curves
 * over x1; twice each is added to ZDT1's front. */
static double uf(const double *x, size_t n, double *f,
		 double (*curve)(double x1, size_t j, double phase))
{
	double sum[2] = { 0 };
	size_t count[2] = { 0 };

	for (size_t j = 2; j <= n; j++) {
		double d = x[j - 1] - curve(x[0], j, (double)j * PI / (double)n);

		sum[j % 2] += d * d;
		count[j % 2]++;
	}
	f[0] = x[0] + 2 * sum[1] / (double)count[1];
	f[1] = 1 - sqrt(x[0]) + 2 * sum[0] / (double)count[0];
	return 0;
}

static double uf1_curve(double x1, size_t j, double phase)
{
	(void)j;
	return sin(6 * PI * x1 + phase);
}

static double uf1(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	(void)n_objectives;
	return uf(x, n_vars, f, uf1_curve);
}

static double uf2_curve(double x1, size_t j, double phase)
{
	double radius = 0.3 * x1 * x1 * cos(24 * PI * x1 + 4 * phase) + 0.6 * x1;
	double angle = 6 * PI * x1 + phase;

	return radius * (j % 2 ? cos(angle) : sin(angle));
}

static double uf2(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	(void)n_objectives;
	return uf(x, n_vars, f, uf2_curve);
}

static void uf_domain(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	(void)n_objectives;
	var[0] = (struct search_var){ 0, 1, false };
	for (size_t i = 1; i < n_vars; i++)
		var[i] = (struct search_var){ -1, 1, false };
}

/* ---- rows -------------------------------------------------------------------- */

#define ROTATED_ROW                                                                                \
	.source = "Igel, Hansen, Roth, Evolutionary Computation 15(1) 2007", .min_vars = 10,       \
	.max_vars = ROTATED_MAX, .default_vars = 10, TWO_OBJECTIVES

const struct search_problem problem_elli1 = {
	.name = "elli1",
	.summary = "two rotated ellipsoids, axes 1 : 1000",
	ROTATED_ROW,
	.reference = { 0.56, 0.56 },
	.domain = elli1_domain,
	.evaluate = elli1,
	.front = elli1_front,
};

const struct search_problem problem_ihr1 = {
	.name = "ihr1",
	.summary = "rotated variant of zdt1",
	ROTATED_ROW,
	.reference = { 2.2, 0.31 },
	.domain = ihr1_domain,
	.evaluate = ihr1,
	.front = ihr1_front,
};

#define UF_ROW                                                                                     \
	.source = "Zhang et al., Univ. of Essex CES-487 (CEC 2009)", .min_vars = 3,                \
	.max_vars = 100000, .default_vars = 30, TWO_OBJECTIVES, .reference = { 1.1, 1.1 },         \
	.domain = uf_domain, .front = problem_sqrt_front

const struct search_problem problem_uf1 = {
	.name = "uf1",
	.summary = "front on a curve of sines through all variables",
	UF_ROW,
	.evaluate = uf1,
};

const struct search_problem problem_uf2 = {
	.name = "uf2",
	.summary = "front on a curve of modulated sines through all variables",
	UF_ROW,
	.evaluate = uf2,
};
