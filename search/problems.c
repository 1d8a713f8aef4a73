#include "search.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

/* ZDT: f1 = x1, f2 = g h(f1, g); g = 1 on the front, where x2 .. xn are 0. */
static double zdt_g(const double *x, size_t n)
{
	double sum = 0;

	for (size_t i = 1; i < n; i++)
		sum += x[i];
	return 1 + 9 * sum / (double)(n - 1);
}

static void zdt1(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = zdt_g(x, n_vars);

	(void)n_objectives;
	f[0] = x[0];
	f[1] = g * (1 - sqrt(x[0] / g));
}

static void zdt2(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = zdt_g(x, n_vars);

	(void)n_objectives;
	f[0] = x[0];
	f[1] = g * (1 - x[0] / g * (x[0] / g));
}

static void zdt3(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = zdt_g(x, n_vars);

	(void)n_objectives;
	f[0] = x[0];
	f[1] = g * (1 - sqrt(x[0] / g) - x[0] / g * sin(10 * pi * x[0]));
}

/* A sphere: the first m - 1 variables are angles, the others the distance. */
static void dtlz2(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double r = 1;

	for (size_t i = n_objectives - 1; i < n_vars; i++)
		r += (x[i] - 0.5) * (x[i] - 0.5);
	for (size_t k = n_objectives - 1; k > 0; k--) {
		double angle = x[n_objectives - 1 - k] * pi / 2;

		f[k] = r * sin(angle);
		r *= cos(angle);
	}
	f[0] = r;
}

#define ZDT_SOURCE "Zitzler, Deb, Thiele, Evolutionary Computation 8(2) 2000"

static const struct search_problem
	problem_zdt1 = { "zdt1", "convex front", ZDT_SOURCE, 2, 30, 2, 2, 0, 1, zdt1 },
	problem_zdt2 = { "zdt2", "concave front", ZDT_SOURCE, 2, 30, 2, 2, 0, 1, zdt2 },
	problem_zdt3 = { "zdt3", "front in five pieces", ZDT_SOURCE, 2, 30, 2, 2, 0, 1, zdt3 },
	/* 10 distance variables with three objectives; SEARCH_MAX_OBJECTIVES leave one */
	problem_dtlz2 = { "dtlz2",
			  "front on a sphere, any number of objectives",
			  "Deb, Thiele, Laumanns, Zitzler, CEC 2002",
			  SEARCH_MAX_OBJECTIVES,
			  12,
			  2,
			  SEARCH_MAX_OBJECTIVES,
			  0,
			  1,
			  dtlz2 };

const struct search_problem *const search_problems[] = {
	&problem_dtlz2, &problem_zdt1, &problem_zdt2, &problem_zdt3, NULL,
};

const struct search_problem *search_problem_find(const char *name)
{
	for (const struct search_problem *const *row = search_problems; *row; row++)
		if (strcmp((*row)->name, name) == 0)
			return *row;
	return NULL;
}
