/* Problems with constraints c(x) <= 0; the violation is the sum of what is above 0, each
 * relative to the constant of its constraint. Fronts are images of the vectors stated. */
#include <math.h>

#include "problems.h"

static double square(double v)
{
	return v * v;
}

static double excess(const double *c, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += fmax(c[i], 0);
	return sum;
}

/* ---- bnh --------------------------------------------------------------------- */

static double bnh(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	const double c[] = { (square(x[0] - 5) + square(x[1])) / 25 - 1,
			     1 - (square(x[0] - 8) + square(x[1] + 3)) / 7.7 };

	(void)n_vars, (void)n_objectives;
	f[0] = 4 * square(x[0]) + 4 * square(x[1]);
	f[1] = square(x[0] - 5) + square(x[1] - 5);
	return excess(c, 2);
}

static void bnh_domain(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	(void)n_vars, (void)n_objectives;
	var[0] = (struct search_var){ 0, 5, false };
	var[1] = (struct search_var){ 0, 3, false };
}

static void bnh_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	double x1 = 5 * problem_spread(i, n);
	const double x[] = { x1, fmin(x1, 3) };

	bnh(x, n_vars, f, n_objectives);
}

const struct search_problem problem_bnh = {
	.name = "bnh",
	.summary = "two constraints, convex front",
	.source = "Binh, Korn, MENDEL 1997; Deb 2001",
	VARIABLES(2),
	TWO_OBJECTIVES,
	.reference = { 150, 55 },
	.domain = bnh_domain,
	.evaluate = bnh,
	.front = bnh_front,
};

/* ---- constr ------------------------------------------------------------------ */

static double constr(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	const double c[] = { 1 - (x[1] + 9 * x[0]) / 6, 1 - (9 * x[0] - x[1]) };

	(void)n_vars, (void)n_objectives;
	f[0] = x[0];
	f[1] = (1 + x[1]) / x[0];
	return excess(c, 2);
}

static void constr_domain(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	(void)n_vars, (void)n_objectives;
	var[0] = (struct search_var){ 0.1, 1, false };
	var[1] = (struct search_var){ 0, 5, false };
}

/* On the first constraint from where it meets the second one to x2 = 0, then on that. */
static void constr_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	double x1 = (7 + 11 * problem_spread(i, n)) / 18;
	const double x[] = { x1, fmax(6 - 9 * x1, 0) };

	constr(x, n_vars, f, n_objectives);
}

const struct search_problem problem_constr = {
	.name = "constr",
	.summary = "two constraints, the front in part on one of them",
	.source = "Deb, Pratap, Agarwal, Meyarivan, IEEE TEVC 6(2) 2002",
	VARIABLES(2),
	TWO_OBJECTIVES,
	.reference = { 1.06, 9.8 },
	.domain = constr_domain,
	.evaluate = constr,
	.front = constr_front,
};

/* ---- srn --------------------------------------------------------------------- */

static double srn(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	const double c[] = { (square(x[0]) + square(x[1])) / 225 - 1, (x[0] - 3 * x[1]) / 10 + 1 };

	(void)n_vars, (void)n_objectives;
	f[0] = square(x[0] - 2) + square(x[1] - 1) + 2;
	f[1] = 9 * x[0] - square(x[1] - 1);
	return excess(c, 2);
}

static void srn_domain(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	(void)n_vars, (void)n_objectives;
	var[0] = (struct search_var){ -20, 20, false };
	var[1] = (struct search_var){ -20, 20, false };
}

/* On the second constraint x2 goes down from the least f1 to 2.5, then up where
 * x1 = -2.5 to the circle, then along it to the least f2. */
static void srn_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	static const double piece[][2] = { { -3.7, -2.5 },
					   { 2.5, 14.790199457749 },
					   { 1.738244406015, 1.899410666831 } };
	size_t which;
	double at = problem_along(i, n, piece, 3, &which), x[2];

	x[0] = which == 0 ? -3 * at - 10 : which == 1 ? -2.5 : 15 * cos(at);
	x[1] = which == 0 ? -at : which == 1 ? at : 15 * sin(at);
	srn(x, n_vars, f, n_objectives);
}

const struct search_problem problem_srn = {
	.name = "srn",
	.summary = "two constraints, most of the front inside",
	.source = "Srinivas, Deb, Evolutionary Computation 2(3) 1994",
	VARIABLES(2),
	TWO_OBJECTIVES,
	.reference = { 245, 25 },
	.domain = srn_domain,
	.evaluate = srn,
	.front = srn_front,
};

/* ---- tnk --------------------------------------------------------------------- */

static double tnk(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	const double c[] = { 1 + 0.1 * cos(16 * atan2(x[0], x[1])) - square(x[0]) - square(x[1]),
			     (square(x[0] - 0.5) + square(x[1] - 0.5)) / 0.5 - 1 };

	(void)n_vars, (void)n_objectives;
	f[0] = x[0];
	f[1] = x[1];
	return excess(c, 2);
}

static void tnk_domain(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	(void)n_vars, (void)n_objectives;
	var[0] = (struct search_var){ 0, PI, false };
	var[1] = (struct search_var){ 0, PI, false };
}

/* What is not dominated of the wave that is the first constraint's bound, from the
 * second constraint's circle to where it meets that again; by the angle to x2. */
static void tnk_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	static const double piece[][2] = { { 0.0400999557, 0.2116610907 },
					   { 0.4483780409, 0.6717972670 },
					   { 0.6760670932, 0.8947292335 },
					   { 0.8989990598, 1.1224182859 },
					   { 1.3591352361, 1.5306963711 } };
	size_t which;
	double at = problem_along(i, n, piece, 5, &which), r = sqrt(1 + 0.1 * cos(16 * at));

	(void)n_vars, (void)n_objectives;
	f[0] = r * sin(at);
	f[1] = r * cos(at);
}

const struct search_problem problem_tnk = {
	.name = "tnk",
	.summary = "two constraints, front in five pieces on one of them",
	.source = "Tanaka, Watanabe, Furukawa, Tanino, IEEE SMC 1995",
	VARIABLES(2),
	TWO_OBJECTIVES,
	.reference = { 1.15, 1.15 },
	.domain = tnk_domain,
	.evaluate = tnk,
	.front = tnk_front,
};

/* ---- osy --------------------------------------------------------------------- */

static double osy(const double *x, size_t n_vars, double *f, size_t n_objectives)
{
	const double c[] = { 1 - (x[0] + x[1]) / 2,
			     (x[0] + x[1]) / 6 - 1,
			     (x[1] - x[0]) / 2 - 1,
			     (x[0] - 3 * x[1]) / 2 - 1,
			     (square(x[2] - 3) + x[3]) / 4 - 1,
			     1 - (square(x[4] - 3) + x[5]) / 4 };

	(void)n_objectives;
	f[0] = -(25 * square(x[0] - 2) + square(x[1] - 2) + square(x[2] - 1) + square(x[3] - 4) +
		 square(x[4] - 1));
	f[1] = 0;
	for (size_t i = 0; i < n_vars; i++)
		f[1] += square(x[i]);
	return excess(c, 6);
}

static void osy_domain(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	static const double lo[] = { 0, 0, 1, 0, 1, 0 }, hi[] = { 10, 10, 5, 6, 5, 10 };

	(void)n_objectives;
	for (size_t i = 0; i < n_vars; i++)
		var[i] = (struct search_var){ lo[i], hi[i], false };
}

/* Five regions, each on other constraints; x4 and x6 are 0 in all of them. The one
 * where x1 falls ends where that where x1 is 0 reaches the same objectives. */
static void osy_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	static const double piece[][2] = {
		{ -5, -1 }, { -5, -1 }, { -5, -4.056543012434 }, { -3.731684756056, -1 }, { 0, 1 }
	};
	size_t which;
	double at = problem_along(i, n, piece, 5, &which);
	const double x[][6] = {
		{ 5, 1, -at, 0, 5, 0 },
		{ 5, 1, -at, 0, 1, 0 },
		{ -at, (-at - 2) / 3, 1, 0, 1, 0 },
		{ 0, 2, -at, 0, 1, 0 },
		{ at, 2 - at, 1, 0, 1, 0 },
	};

	osy(x[which], n_vars, f, n_objectives);
}

const struct search_problem problem_osy = {
	.name = "osy",
	.summary = "six constraints, front in five regions on different ones",
	.source = "Osyczka, Kundu, Structural Optimization 10(2) 1995; front: Deb 2001",
	VARIABLES(6),
	TWO_OBJECTIVES,
	.reference = { -15, 84 },
	.domain = osy_domain,
	.evaluate = osy,
	.front = osy_front,
};
