/* DTLZ: the first m - 1 variables say where on the front, the others how far from it. */
#include <math.h>

#include "problems.h"

/* A plane behind 11^k - 1 local fronts, k the number of distances. */
static double dtlz1(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double g = 0, r;

	for (size_t i = n_objectives - 1; i < n_vars; i++) {
		double d = x[i] - 0.5;

		g += 1 + d * d - cos(20 * PI * d);
	}
	r = 0.5 * (1 + 100 * g);
	for (size_t k = n_objectives - 1; k > 0; k--) {
		double share = x[n_objectives - 1 - k];

		f[k] = r * (1 - share);
		r *= share;
	}
	f[0] = r;
	return 0;
}

/* A sphere: the first m - 1 variables are angles. */
static double dtlz2(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double r = 1;

	for (size_t i = n_objectives - 1; i < n_vars; i++)
		r += (x[i] - 0.5) * (x[i] - 0.5);
	for (size_t k = n_objectives - 1; k > 0; k--) {
		double angle = x[n_objectives - 1 - k] * PI / 2;

		f[k] = r * sin(angle);
		r *= cos(angle);
	}
	f[0] = r;
	return 0;
}

/* ---- fronts ------------------------------------------------------------------ */

/* Coordinate @k of point @i of @n of a Hammersley set in [0, 1]^(m - 1), k from 1. */
static double hammersley(size_t i, size_t n, size_t k, size_t n_objectives)
{
	static const size_t prime[] = { 2, 3, 5, 7, 11, 13 };

	return k == n_objectives - 1 ? problem_spread(i, n) : problem_halton(i, prime[k - 1]);
}

/* The sum of all is 1/2; the share of what is left of it makes the density even. */
static void dtlz1_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	double r = 0.5;

	(void)n_vars;
	for (size_t k = n_objectives - 1; k > 0; k--) {
		double share = pow(hammersley(i, n, k, n_objectives), 1 / (double)k);

		f[k] = r * (1 - share);
		r *= share;
	}
	f[0] = r;
}

static void dtlz2_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	double r = 1;

	(void)n_vars;
	for (size_t k = n_objectives - 1; k > 0; k--) {
		double angle = hammersley(i, n, k, n_objectives) * PI / 2;

		f[k] = r * sin(angle);
		r *= cos(angle);
	}
	f[0] = r;
}

/* ---- with a constraint --------------------------------------------------------- */

#define C2_RADIUS 0.4

/* DTLZ2 where only balls about (1, 0, 0), (0, 1, 0), (0, 0, 1) and the middle of
 * the sphere are feasible. Violation: squared radii beyond the nearest ball. */
static double c2dtlz2(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	double norm = 0, sum = 0, most = 0, nearest;

	dtlz2(x, n_vars, f, n_objectives);
	for (size_t k = 0; k < n_objectives; k++) {
		norm += f[k] * f[k];
		sum += f[k];
		most = fmax(most, f[k]);
	}
	/* |f - c|^2 = |f|^2 - 2 f.c + 1 */
	nearest = norm + 1 - 2 * fmax(most, sum / sqrt((double)n_objectives));
	return fmax(nearest / (C2_RADIUS * C2_RADIUS) - 1, 0);
}

/* On the sphere the balls cut out caps, whose area is proportional to 1 - cos: a
 * whole one in the middle, a quarter of one at each corner. */
static void c2dtlz2_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	static const double piece[][2] = { { 0, 1 }, { 0, 0.25 }, { 0, 0.25 }, { 0, 0.25 } };
	size_t cap;
	double at = problem_along(i, n, piece, 4, &cap), turn = problem_halton(i, 2);
	double along = 1 - C2_RADIUS * C2_RADIUS / 2 * (cap == 0 ? at : 4 * at);
	double across = sqrt(1 - along * along), angle = turn * PI * (cap == 0 ? 2 : 0.5);
	double u = across * cos(angle), v = across * sin(angle);

	(void)n_vars, (void)n_objectives;
	if (cap == 0) {
		/* on the axes (1, 1, 1), (1, -1, 0) and (1, 1, -2) */
		f[0] = along / sqrt(3) + u / sqrt(2) + v / sqrt(6);
		f[1] = along / sqrt(3) - u / sqrt(2) + v / sqrt(6);
		f[2] = along / sqrt(3) - 2 * v / sqrt(6);
		return;
	}
	f[cap - 1] = along;
	f[cap % 3] = u;
	f[(cap + 1) % 3] = v;
}

/* ---- rows -------------------------------------------------------------------- */

#define DTLZ_ROW                                                                                   \
	.source = "Deb, Thiele, Laumanns, Zitzler, CEC 2002", .min_vars = 2, .max_vars = 100000,   \
	.min_objectives = 2, .max_objectives = SEARCH_MAX_OBJECTIVES, .domain = problem_unit_box

const struct search_problem problem_dtlz1 = {
	.name = "dtlz1",
	.summary = "flat front behind many local ones, any number of objectives",
	DTLZ_ROW,
	.default_vars = 7, /* 5 of them distances where there are three objectives */
	.reference = { 0.55, 0.55, 0.55, 0.55, 0.55, 0.55, 0.55, 0.55 },
	.evaluate = dtlz1,
	.front = dtlz1_front,
};

const struct search_problem problem_dtlz2 = {
	.name = "dtlz2",
	.summary = "front on a sphere, any number of objectives",
	DTLZ_ROW,
	.default_vars = 12, /* 10 of them distances where there are three objectives */
	.reference = { 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1 },
	.evaluate = dtlz2,
	.front = dtlz2_front,
};

const struct search_problem problem_c2dtlz2 = {
	.name = "c2dtlz2",
	.summary = "dtlz2 with three objectives, of whose front four pieces are feasible",
	.source = "Jain, Deb, IEEE TEVC 18(4) 2014",
	.min_vars = 3,
	.max_vars = 100000,
	.default_vars = 12,
	.min_objectives = 3,
	.max_objectives = 3,
	.reference = { 1.1, 1.1, 1.1 },
	.domain = problem_unit_box,
	.evaluate = c2dtlz2,
	.front = c2dtlz2_front,
};
