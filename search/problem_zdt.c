/* ZDT: f1 depends on x1 alone, f2 = g h(f1, g); the other variables, all of them
 * separable, make up the distance g, which is 1 on the front. */
#include <math.h>

#include "problems.h"

static double sum(const double *x, size_t n)
{
	double v = 0;

	for (size_t i = 1; i < n; i++)
		v += x[i];
	return v;
}

static double mean_g(const double *x, size_t n)
{
	return 1 + 9 * sum(x, n) / (double)(n - 1);
}

static double zdt1(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = mean_g(x, n_vars);

	(void)n_objectives;
	f[0] = x[0];
	f[1] = g * (1 - sqrt(x[0] / g));
	return 0;
}

static double zdt2(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = mean_g(x, n_vars);

	(void)n_objectives;
	f[0] = x[0];
	f[1] = g * (1 - x[0] / g * (x[0] / g));
	return 0;
}

static double zdt3(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = mean_g(x, n_vars);

	(void)n_objectives;
	f[0] = x[0];
	f[1] = g * (1 - sqrt(x[0] / g) - x[0] / g * sin(10 * PI * x[0]));
	return 0;
}

/* Rastrigin's function as distance: 21^(n - 1) local fronts. */
static double zdt4(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = 1;

	(void)n_objectives;
	for (size_t i = 1; i < n_vars; i++)
		g += 10 + x[i] * x[i] - 10 * cos(4 * PI * x[i]);
	f[0] = x[0];
	f[1] = g * (1 - sqrt(x[0] / g));
	return 0;
}

static double zdt6_f1(double x1)
{
	double wave = sin(6 * PI * x1);

	return 1 - exp(-4 * x1) * (wave * wave * wave) * (wave * wave * wave);
}

static double zdt6(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = 1 + 9 * pow(sum(x, n_vars) / (double)(n_vars - 1), 0.25);

	(void)n_objectives;
	f[0] = zdt6_f1(x[0]);
	f[1] = g * (1 - f[0] / g * (f[0] / g));
	return 0;
}

static void zdt4_domain(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	(void)n_objectives;
	var[0] = (struct search_var){ 0, 1, false };
	for (size_t i = 1; i < n_vars; i++)
		var[i] = (struct search_var){ -5, 5, false };
}

/* ---- fronts ------------------------------------------------------------------ */

static void zdt2_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	(void)n_vars, (void)n_objectives;
	f[0] = problem_spread(i, n);
	f[1] = 1 - f[0] * f[0];
}

/* Where 1 - sqrt(f1) - f1 sin(10 pi f1) falls below all that it was before. */
static void zdt3_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	static const double piece[][2] = { { 0, 0.0830015349 },
					   { 0.1822287280, 0.2577623634 },
					   { 0.4093136748, 0.4538821041 },
					   { 0.6183967944, 0.6525117038 },
					   { 0.8233317983, 0.8518328654 } };
	size_t which;

	(void)n_vars, (void)n_objectives;
	f[0] = problem_along(i, n, piece, 5, &which);
	f[1] = 1 - sqrt(f[0]) - f[0] * sin(10 * PI * f[0]);
}

/* f1 is least where tan(6 pi x1) = 9 pi, at the first of these x1. */
static void zdt6_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	double least = zdt6_f1(atan(9 * PI) / (6 * PI));

	(void)n_vars, (void)n_objectives;
	f[0] = least + (1 - least) * problem_spread(i, n);
	f[1] = 1 - f[0] * f[0];
}

/* ---- rows -------------------------------------------------------------------- */

#define ZDT_ROW                                                                                    \
	.source = "Zitzler, Deb, Thiele, Evolutionary Computation 8(2) 2000", .min_vars = 2,       \
	.max_vars = 100000, TWO_OBJECTIVES, .reference = { 1.1, 1.1 }

const struct search_problem problem_zdt1 = {
	.name = "zdt1",
	.summary = "convex front",
	ZDT_ROW,
	.default_vars = 30,
	.domain = problem_unit_box,
	.evaluate = zdt1,
	.front = problem_sqrt_front,
};

const struct search_problem problem_zdt2 = {
	.name = "zdt2",
	.summary = "concave front",
	ZDT_ROW,
	.default_vars = 30,
	.domain = problem_unit_box,
	.evaluate = zdt2,
	.front = zdt2_front,
};

const struct search_problem problem_zdt3 = {
	.name = "zdt3",
	.summary = "front in five pieces",
	ZDT_ROW,
	.default_vars = 30,
	.domain = problem_unit_box,
	.evaluate = zdt3,
	.front = zdt3_front,
};

const struct search_problem problem_zdt4 = {
	.name = "zdt4",
	.summary = "many local fronts",
	ZDT_ROW,
	.default_vars = 10,
	.domain = zdt4_domain,
	.evaluate = zdt4,
	.front = problem_sqrt_front,
};

const struct search_problem problem_zdt6 = {
	.name = "zdt6",
	.summary = "concave front that few vectors map to",
	ZDT_ROW,
	.default_vars = 10,
	.domain = problem_unit_box,
	.evaluate = zdt6,
	.front = zdt6_front,
};
