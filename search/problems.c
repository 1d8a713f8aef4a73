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

static double zdt1(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = zdt_g(x, n_vars);

	(void)n_objectives;
	f[0] = x[0];
	f[1] = g * (1 - sqrt(x[0] / g));
	return 0;
}

static double zdt2(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = zdt_g(x, n_vars);

	(void)n_objectives;
	f[0] = x[0];
	f[1] = g * (1 - x[0] / g * (x[0] / g));
	return 0;
}

static double zdt3(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = zdt_g(x, n_vars);

	(void)n_objectives;
	f[0] = x[0];
	f[1] = g * (1 - sqrt(x[0] / g) - x[0] / g * sin(10 * pi * x[0]));
	return 0;
}

/* A sphere: the first m - 1 variables are angles, the others the distance. */
static double dtlz2(const double *x, size_t n_vars, double *f, size_t n_objectives)
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
	return 0;
}

static void unit_box(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	(void)n_objectives;
	for (size_t i = 0; i < n_vars; i++)
		var[i] = (struct search_var){ 0, 1, false };
}

/* ---- fronts ------------------------------------------------------------------ */

static double spread(size_t i, size_t n)
{
	return n > 1 ? (double)i / (double)(n - 1) : 0;
}

static void zdt1_front(size_t i, size_t n, double *f, size_t n_objectives)
{
	(void)n_objectives;
	f[0] = spread(i, n);
	f[1] = 1 - sqrt(f[0]);
}

static void zdt2_front(size_t i, size_t n, double *f, size_t n_objectives)
{
	(void)n_objectives;
	f[0] = spread(i, n);
	f[1] = 1 - f[0] * f[0];
}

/* Where 1 - sqrt(f1) - f1 sin(10 pi f1) falls below all that it was before. */
static void zdt3_front(size_t i, size_t n, double *f, size_t n_objectives)
{
	static const double piece[][2] = { { 0, 0.0830015349 },
					   { 0.1822287280, 0.2577623634 },
					   { 0.4093136748, 0.4538821041 },
					   { 0.6183967944, 0.6525117038 },
					   { 0.8233317983, 0.8518328654 } };
	double length = 0, at;
	size_t k = 0;

	(void)n_objectives;
	for (size_t p = 0; p < 5; p++)
		length += piece[p][1] - piece[p][0];
	at = spread(i, n) * length;
	while (k < 4 && at > piece[k][1] - piece[k][0]) {
		at -= piece[k][1] - piece[k][0];
		k++;
	}
	f[0] = piece[k][0] + at;
	f[1] = 1 - sqrt(f[0]) - f[0] * sin(10 * pi * f[0]);
}

/* Halton's sequence: digit reversal of i in @base. */
static double halton(size_t i, size_t base)
{
	double v = 0, digit = 1;

	for (; i > 0; i /= base)
		v += (double)(i % base) * (digit /= (double)base);
	return v;
}

static void dtlz2_front(size_t i, size_t n, double *f, size_t n_objectives)
{
	static const size_t prime[] = { 2, 3, 5, 7, 11, 13, 17 };
	double r = 1;

	for (size_t k = n_objectives - 1; k > 0; k--) {
		double angle =
			(k == n_objectives - 1 ? spread(i, n) : halton(i, prime[k - 1])) * pi / 2;

		f[k] = r * sin(angle);
		r *= cos(angle);
	}
	f[0] = r;
}

/* ---- registry ---------------------------------------------------------------- */

#define ZDT_SOURCE "Zitzler, Deb, Thiele, Evolutionary Computation 8(2) 2000"
#define ZDT_ROW(id, about)                                                                         \
	.name = #id, .summary = about, .source = ZDT_SOURCE, .min_vars = 2, .max_vars = 100000,    \
	.default_vars = 30, .min_objectives = 2, .max_objectives = 2, .reference = { 1.1, 1.1 },   \
	.domain = unit_box, .evaluate = id, .front = id##_front

static const struct search_problem problem_zdt1 = { ZDT_ROW(zdt1, "convex front") },
				   problem_zdt2 = { ZDT_ROW(zdt2, "concave front") },
				   problem_zdt3 = { ZDT_ROW(zdt3, "front in five pieces") };

static const struct search_problem problem_dtlz2 = {
	.name = "dtlz2",
	.summary = "front on a sphere, any number of objectives",
	.source = "Deb, Thiele, Laumanns, Zitzler, CEC 2002",
	.min_vars = SEARCH_MAX_OBJECTIVES,
	.max_vars = 100000,
	.default_vars = 12, /* 10 of them distances where there are three objectives */
	.min_objectives = 2,
	.max_objectives = SEARCH_MAX_OBJECTIVES,
	.reference = { 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1 },
	.domain = unit_box,
	.evaluate = dtlz2,
	.front = dtlz2_front,
};

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
