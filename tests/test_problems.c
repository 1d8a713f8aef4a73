#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <string.h>

#include "attain.h"
#include "leak.h"
#include "search_run.h"

TestSuite(problems, .fini = no_leaks);

#define VARS_MAX 100

/* ---- values ------------------------------------------------------------------- */

struct value {
	char name[12];
	size_t n_vars, n_objectives;
	double x[12], f[3], violation;
};

/* From the definitions, by hand. x stops at the first 99, then all are like the last. */
#define LIKE_LAST 99
ParameterizedTestParameters(problems, values_by_hand)
{
	static struct value values[] = {
		/* g = 10 */
		{ "zdt1", 30, 2, { 1, 1, LIKE_LAST }, { 1, 6.837722339831621 }, 0 },
		{ "zdt2", 30, 2, { 1, 1, LIKE_LAST }, { 1, 9.9 }, 0 },
		{ "zdt3", 30, 2, { 0.25, 1, LIKE_LAST }, { 0.25, 8.168861169915811 }, 0 },
		/* each 5 adds 25: g = 226 */
		{ "zdt4", 10, 2, { 1, 5, LIKE_LAST }, { 1, 210.96670362172453 }, 0 },
		/* 31 ones and groups of 5; all zeros, groups of 2 */
		{ "zdt5", 80, 2, { 1, LIKE_LAST }, { 31, 10.0 / 31 }, 0 },
		{ "zdt5", 80, 2, { 0, LIKE_LAST }, { 1, 20 }, 0 },
		/* a sixth power of sin(pi / 2) */
		{ "zdt6", 10, 2, { 1.0 / 12, 0, LIKE_LAST }, { 0.2834686894262107, 0.9196455 }, 0 },
		{ "zdt6", 10, 2, { 0, 1, LIKE_LAST }, { 1, 9.9 }, 0 },
		/* five distances of 1/2: g = 100 (5 + 5/4 - 5) */
		{ "dtlz1", 7, 3, { 1, 1, 0, LIKE_LAST }, { 63, 0, 0 }, 0 },
		{ "dtlz1", 7, 3, { 0, 1, 0, LIKE_LAST }, { 0, 0, 63 }, 0 },
		/* ten distances of 1/2: g = 10 / 4; the first angle turns to the last one */
		{ "dtlz2", 12, 3, { 0, 0, 1, LIKE_LAST }, { 3.5, 0, 0 }, 0 },
		{ "dtlz2", 12, 3, { 1, 0, 1, LIKE_LAST }, { 0, 0, 3.5 }, 0 },
		/* (r, r, 0), r^2 = 1/2: to (1,1,1)/sqrt(3) it is 2 - 2 sqrt(2/3) squared */
		{ "c2dtlz2",
		  12,
		  3,
		  { 0, 0.5, LIKE_LAST },
		  { 0.7071067811865476, 0.7071067811865476, 0 },
		  1.293792738403 },
		/* 4 / (1e6 10) times the sum of 1e6^(i/9), a geometric one */
		{ "elli1", 10, 2, { 0, LIKE_LAST }, { 0, 0.5098420547 }, 0 },
		{ "ihr1", 10, 2, { 0, LIKE_LAST }, { 0, 0.2928932188134524 }, 0 },
		/* x3 should be sin(pi), x2 sin(2 pi / 3) */
		{ "uf1", 3, 2, { 0, 0, 0 }, { 0, 2.5 }, 0 },
		/* x1 = 1, cos(24 pi + 4 pi) = 1: radius 0.9; x3: 0.9 cos(pi); x2: 4 * 2 pi / 3
		 * has cosine -1/2, radius 0.45 of sin(2 pi / 3) */
		{ "uf2", 3, 2, { 1, 0, 0 }, { 2.62, 0.30375 }, 0 },
		{ "lotz", 5, 2, { 1, 1, 0, 1, 0 }, { 0.6, 0.8 }, 0 },
		{ "lotz", 4, 2, { 0, 0, 1, 1 }, { 1, 1 }, 0 },
		{ "chain", 3, 2, { 20, 18, 18 }, { 404 / 400.0, 4 / 400.0 }, 0 },
		{ "constr", 2, 2, { 0.1, 0 }, { 0.1, 10 }, 0.95 },
		{ "constr", 2, 2, { 0.5, 2 }, { 0.5, 6 }, 0 },
		{ "constr", 2, 2, { 0.5, 4 }, { 0.5, 10 }, 0.5 },
		{ "bnh", 2, 2, { 5, 0 }, { 100, 25 }, 0 },
		{ "bnh", 2, 2, { 5, 3 }, { 136, 4 }, 0 },
		{ "bnh", 2, 2, { 0, 3 }, { 36, 29 }, 9.0 / 25 },
		{ "srn", 2, 2, { -2.5, 2.5 }, { 24.5, -24.75 }, 0 },
		{ "srn", 2, 2, { 20, 20 }, { 687, -181 }, 575 / 225.0 },
		{ "tnk", 2, 2, { 1, 1 }, { 1, 1 }, 0 },
		{ "tnk", 2, 2, { 0, 0 }, { 0, 0 }, 1.1 },
		{ "osy", 6, 2, { 5, 1, 5, 0, 5, 0 }, { -274, 76 }, 0 },
		{ "osy", 6, 2, { 1, 1, 1, 0, 1, 0 }, { -42, 4 }, 0 },
		{ "osy", 6, 2, { 0, 0, 1, 0, 1, 0 }, { -120, 2 }, 1 },
	};

	return cr_make_param_array(struct value, values, sizeof values / sizeof *values);
}

ParameterizedTest(struct value *v, problems, values_by_hand)
{
	const struct search_problem *p = search_problem_find(v->name);
	double x[VARS_MAX], f[3], violation;
	size_t given = 0;

	cr_assert_not_null(p, "%s", v->name);
	while (given < v->n_vars && given < 12 && v->x[given] < LIKE_LAST)
		given++;
	for (size_t i = 0; i < v->n_vars; i++)
		x[i] = v->x[i < given ? i : given - 1];
	violation = p->evaluate(x, v->n_vars, f, v->n_objectives);
	for (size_t k = 0; k < v->n_objectives; k++)
		cr_assert_float_eq(f[k], v->f[k], 1e-6, "%s: f%zu is %.10g, not %.10g", v->name,
				   k + 1, f[k], v->f[k]);
	cr_assert_float_eq(violation, v->violation, 1e-9, "%s: violation %.12g", v->name,
			   violation);
}

/* ---- fronts ----------------------------------------------------------------------- */

/* A rotation keeps the sum of the eigenvalues 1e6^(i/9) / 1e7 and that of their squares, and
 * couples every variable with several others; ihr1's row is a unit vector. */
Test(problems, rotations_keep_eigenvalues)
{
	double a[ROTATED][ROTATED], row[ROTATED], trace = 0, squares = 0, want = 0, want2 = 0;
	double length = 0;

	elli1_matrix(a);
	ihr1_row(row);
	for (size_t i = 0; i < ROTATED; i++) {
		double v = pow(1e6, (double)i / 9) / 1e7;
		size_t coupled = 0;

		trace += a[i][i];
		want += v;
		want2 += v * v;
		for (size_t j = 0; j < ROTATED; j++) {
			squares += a[i][j] * a[i][j];
			coupled += i != j && fabs(a[i][j]) > 0.05 * sqrt(a[i][i] * a[j][j]);
		}
		cr_assert_geq(coupled, 5, "variable %zu", i);
		length += row[i] * row[i];
	}
	cr_assert_float_eq(trace, want, 1e-12);
	cr_assert_float_eq(squares, want2, 1e-12);
	cr_assert_float_eq(length, 1, 1e-12);
}

static size_t every_row[64];

static size_t rows(void)
{
	size_t n = 0;

	for (; search_problems[n]; n++)
		every_row[n] = n;
	return n;
}

ParameterizedTestParameters(problems, fronts_are_attained)
{
	return cr_make_param_array(size_t, every_row, rows());
}

ParameterizedTest(size_t *row, problems, fronts_are_attained)
{
	const struct search_problem *p = search_problems[*row];

	for (size_t m = p->min_objectives; m <= p->max_objectives; m++) {
		size_t n = p->default_vars > m ? p->default_vars : m;
		struct search_var var[VARS_MAX];

		p->domain(var, n, m);
		for (size_t i = 0; i < 500; i++) {
			double x[VARS_MAX], want[8], f[8], violation;

			p->front(i, 500, n, want, m);
			attain(p, want, n, m, x);
			violation = p->evaluate(x, n, f, m);
			cr_assert_leq(violation, 1e-9, "%s point %zu: %g", p->name, i, violation);
			for (size_t k = 0; k < m; k++)
				cr_assert_float_eq(f[k], want[k], 1e-9 * (1 + fabs(want[k])),
						   "%s point %zu: f%zu is %.12g, not %.12g",
						   p->name, i, k + 1, f[k], want[k]);
			for (size_t k = 0; k < n; k++) {
				cr_assert(x[k] >= var[k].lo - 1e-9 && x[k] <= var[k].hi + 1e-9,
					  "%s point %zu: x%zu is %g", p->name, i, k + 1, x[k]);
				cr_assert(!var[k].integer || x[k] == floor(x[k]), "%s", p->name);
			}
		}
	}
}

/* ---- conformance of every row of the registry ---------------------------------------- */

ParameterizedTestParameters(problems, rows_are_whole)
{
	return cr_make_param_array(size_t, every_row, rows());
}

/* Anywhere in the domain, or with @corners at its bounds. */
static void draw(struct rng *rng, const struct search_var *var, size_t n, bool corners, double *x)
{
	for (size_t i = 0; i < n; i++) {
		if (corners)
			x[i] = rng_below(rng, 2) ? var[i].lo : var[i].hi;
		else if (var[i].integer)
			x[i] = (double)rng_between(rng, (int64_t)var[i].lo, (int64_t)var[i].hi);
		else
			x[i] = var[i].lo + rng_unit(rng) * (var[i].hi - var[i].lo);
	}
}

static void check_values(const struct search_problem *p, size_t n, size_t m)
{
	struct search_var var[VARS_MAX];
	struct rng rng;

	p->domain(var, n, m);
	for (size_t i = 0; i < n; i++) {
		cr_assert_lt(var[i].lo, var[i].hi, "%s", p->name);
		cr_assert(isfinite(var[i].lo) && isfinite(var[i].hi), "%s", p->name);
	}
	rng_seed(&rng, n, m);
	for (int t = 0; t < 5000; t++) {
		double x[VARS_MAX], f[8], again[8], violation;

		draw(&rng, var, n, t % 2, x);
		violation = p->evaluate(x, n, f, m);
		cr_assert(isfinite(violation) && violation >= 0, "%s", p->name);
		for (size_t k = 0; k < m; k++)
			cr_assert(isfinite(f[k]), "%s", p->name);
		cr_assert_eq(p->evaluate(x, n, again, m), violation, "%s", p->name);
		cr_assert_arr_eq(f, again, m * sizeof *f, "%s", p->name);
	}
}

ParameterizedTest(size_t *row, problems, rows_are_whole)
{
	const struct search_problem *p = search_problems[*row];
	static double f[2000 * 8];
	uint32_t rank[2000];
	struct arena a = { 0 };

	cr_assert(p->summary && p->source && search_problem_find(p->name) == p);
	cr_assert(p->min_vars <= p->default_vars && p->default_vars <= p->max_vars);
	cr_assert(*row == 0 || strcmp(search_problems[*row - 1]->name, p->name) < 0);
	for (size_t m = p->min_objectives; m <= p->max_objectives; m++) {
		size_t n = p->default_vars > m ? p->default_vars : m;

		check_values(p, n, m);
		check_values(p, p->min_vars > m ? p->min_vars : m, m);
		for (size_t i = 0; i < 2000; i++) {
			p->front(i, 2000, n, f + i * m, m);
			for (size_t k = 0; k < m; k++)
				cr_assert_lt(f[i * m + k], p->reference[k], "%s", p->name);
		}
		search_rank(f, 2000, m, rank, &a);
		for (size_t i = 0; i < 2000; i++)
			cr_assert_eq(rank[i], 0, "%s %zu", p->name, i);
	}
	cr_assert_null(search_problem_find("zdt9"));
	arena_free(&a);
}

/* ---- nothing lies before a front, or beside it --------------------------------------------------
 */

static void evaluate_problem(const struct search_domain *d, const double *x, double *f,
			     double *violation)
{
	const struct search_problem *p = d->ctx;

	*violation = p->evaluate(x, d->n_vars, f, d->n_objectives);
}

struct stated {
	const struct search_problem *p;
	size_t n, m;
	double *f;	/* n * m */
	double near[3]; /* more than two neighbours differ by, in some of the objectives */
};

/* That @f dominates no point of the front by more than 1e-9, and that one of them
 * is near or before it: nothing of the front is left out. */
static void check_behind(const struct stated *front, const double *f)
{
	const char *name = front->p->name;
	bool reached = false;

	for (size_t i = 0; i < front->n; i++) {
		const double *at = front->f + i * front->m;
		size_t better = 0, no_worse = 0, near = 0;

		for (size_t k = 0; k < front->m; k++) {
			better += f[k] < at[k] - 1e-9;
			no_worse += f[k] <= at[k];
			near += at[k] <= f[k] + front->near[k];
		}
		cr_assert(no_worse < front->m || better == 0,
			  "%s: (%.12g, %.12g) is before (%.12g, %.12g)", name, f[0], f[1], at[0],
			  at[1]);
		reached |= near == front->m;
	}
	cr_assert(reached, "%s: the front does not reach (%.12g, %.12g)", name, f[0], f[1]);
}

static void state(const struct search_problem *p, size_t m, struct stated *front, struct arena *a)
{
	front->p = p;
	front->n = 4000;
	front->m = m;
	front->f = ARENA_NEW(a, double, front->n *m);
	for (size_t i = 0; i < front->n; i++)
		p->front(i, front->n, p->default_vars, front->f + i * m, m);
	for (size_t k = 0; k < m; k++) {
		double least = INFINITY;

		for (size_t i = 0; i < front->n; i++)
			least = fmin(least, front->f[i * m + k]);
		front->near[k] = (m == 2 ? 0.002 : 0.03) * (p->reference[k] - least);
	}
}

ParameterizedTestParameters(problems, fronts_are_the_limit)
{
	return cr_make_param_array(size_t, every_row, rows());
}

/* Neither one of 100,000 vectors drawn anywhere nor one that a search comes to. */
ParameterizedTest(size_t *row, problems, fronts_are_the_limit)
{
	enum { DRAWS = 100000 };
	const struct search_problem *p = search_problems[*row];
	size_t m = p->max_objectives < 3 ? p->max_objectives : 3, n = p->default_vars, feasible = 0;
	struct search_var var[VARS_MAX];
	struct search_domain d = { n, m, var, NULL, NULL, (void *)(uintptr_t)p };
	struct search_points answer;
	struct stated front;
	struct arena a = { 0 };
	double *f = ARENA_NEW(&a, double, DRAWS *m);
	uint32_t *rank = ARENA_NEW(&a, uint32_t, DRAWS);
	struct rng rng;
	struct run r;

	p->domain(var, n, m);
	state(p, m, &front, &a);
	rng_seed(&rng, 1, *row);
	for (int t = 0; t < DRAWS; t++) {
		double x[VARS_MAX];

		draw(&rng, var, n, false, x);
		feasible += p->evaluate(x, n, f + feasible * m, m) == 0;
	}
	search_rank(f, feasible, m, rank, &a);
	for (size_t i = 0; i < feasible; i++)
		if (rank[i] == 0)
			check_behind(&front, f + i * m);
	run_open(&r, search_find("nsga2"), NULL, &d, 10000, 1);
	answer = run_to(&r, evaluate_problem, 10000);
	for (size_t i = 0; i < answer.n; i++)
		if (answer.violation[i] == 0)
			check_behind(&front, answer.f + i * m);
	run_close(&r);
	arena_free(&a);
}

/* ---- whole fronts ------------------------------------------------------------------ */

struct ends {
	char name[12];
	double least[2];
};

/* The least feasible value of either objective: by hand, but for srn's f2 and tnk, which are
 * from fine grids over the circle 15 (cos, sin) and over the wave. */
ParameterizedTestParameters(problems, ends_of_fronts)
{
	static struct ends ends[] = {
		{ "bnh", { 0, 4 } },
		{ "constr", { 7.0 / 18, 1 } },
		{ "srn", { 10.1, -217.7390 } },
		{ "tnk", { 0.041664, 0.041664 } },
		{ "osy", { -274, 4 } },
	};

	return cr_make_param_array(struct ends, ends, sizeof ends / sizeof *ends);
}

ParameterizedTest(struct ends *e, problems, ends_of_fronts)
{
	const struct search_problem *p = search_problem_find(e->name);
	double least[2] = { INFINITY, INFINITY };

	for (size_t i = 0; i < 1000; i++) {
		double f[2];

		p->front(i, 1000, p->default_vars, f, 2);
		least[0] = fmin(least[0], f[0]);
		least[1] = fmin(least[1], f[1]);
	}
	cr_assert_float_eq(least[0], e->least[0], 1e-3, "%s: %.6f", e->name, least[0]);
	cr_assert_float_eq(least[1], e->least[1], 1e-3, "%s: %.6f", e->name, least[1]);
}

/* Every vector of a small instance: what is not dominated is the stated front. */
static void check_enumerated(const char *name, size_t n, size_t values, size_t points)
{
	const struct search_problem *p = search_problem_find(name);
	size_t all = 1, found = 0;
	struct arena a = { 0 };
	double *f;
	uint32_t *rank;

	for (size_t i = 0; i < n; i++)
		all *= values;
	f = ARENA_NEW(&a, double, 2 * all);
	rank = ARENA_NEW(&a, uint32_t, all);
	for (size_t code = 0; code < all; code++) {
		double x[VARS_MAX];
		size_t rest = code;

		for (size_t i = 0; i < n; i++, rest /= values)
			x[i] = (double)(rest % values);
		p->evaluate(x, n, f + 2 * code, 2);
	}
	search_rank(f, all, 2, rank, &a);
	for (size_t i = 0; i < points; i++) {
		double want[2];
		bool there = false;

		p->front(i, points, n, want, 2);
		for (size_t code = 0; code < all; code++)
			there |= rank[code] == 0 && fabs(f[2 * code] - want[0]) < 1e-12 &&
				 fabs(f[2 * code + 1] - want[1]) < 1e-12;
		cr_assert(there, "%s: no vector maps to front point %zu", name, i);
	}
	for (size_t code = 0; code < all; code++) {
		bool stated = false;

		for (size_t i = 0; rank[code] == 0 && i < points; i++) {
			double want[2];

			p->front(i, points, n, want, 2);
			stated |= fabs(f[2 * code] - want[0]) < 1e-12 &&
				  fabs(f[2 * code + 1] - want[1]) < 1e-12;
		}
		cr_assert(rank[code] > 0 || stated, "%s: vector %zu is not on the front", name,
			  code);
		found += rank[code] == 0;
	}
	cr_assert_geq(found, points);
	arena_free(&a);
}

Test(problems, integer_fronts_by_enumeration)
{
	check_enumerated("lotz", 8, 2, 9);
	check_enumerated("chain", 3, 21, 21);
}

struct volume {
	char name[12];
	size_t n_objectives;
	double integral, within;
};

/* The volume up to the reference, integrated by hand but for zdt3, whose is published. */
ParameterizedTestParameters(problems, volumes)
{
	const double least = 0.2807753191, end = 0.5098420547;
	static struct volume volumes[16];
	const struct volume all[] = {
		{ "zdt1", 2, 1.21 - 1.0 / 3, 1e-4 },
		{ "zdt2", 2, 1.21 - 2.0 / 3, 1e-4 },
		{ "zdt3", 2, 1.331763, 5e-4 },
		{ "zdt4", 2, 1.21 - 1.0 / 3, 1e-4 },
		{ "zdt6", 2, 0.1 * (1 - least) + (1 - pow(least, 3)) / 3 + 0.11, 1e-4 },
		{ "uf1", 2, 1.21 - 1.0 / 3, 1e-4 },
		{ "uf2", 2, 1.21 - 1.0 / 3, 1e-4 },
		{ "elli1", 2, 0.56 * 0.56 - end * end / 6, 1e-4 },
		{ "dtlz1", 2, 0.3025 - 0.125, 1e-4 },
		{ "dtlz1", 3, 0.166375 - 0.125 / 6, 1e-3 },
		{ "dtlz2", 2, 1.21 - M_PI / 4, 1e-4 },
		{ "dtlz2", 3, 1.331 - M_PI / 6, 1e-2 },
		/* 7/x - 9 from 7/18 to 2/3, 1/x to 1 */
		{ "constr", 2,
		  (1.06 - 7.0 / 18) * 9.8 - (7 * log(12.0 / 7) - 2.5 + log(1.5)) - 0.06, 1e-3 },
		/* 2(x - 5)^2 d(8 x^2) from 0 to 3, ((x - 5)^2 + 4) d(4 x^2 + 36) to 5 */
		{ "bnh", 2, 150 * 55 - 1368 - 992.0 / 3 - 14 * 4, 1 },
	};

	memcpy(volumes, all, sizeof all);
	return cr_make_param_array(struct volume, volumes, sizeof all / sizeof *all);
}

ParameterizedTest(struct volume *v, problems, volumes)
{
	enum { POINTS = 10000 };
	const struct search_problem *p = search_problem_find(v->name);
	size_t m = v->n_objectives;
	struct arena a = { 0 };
	double *f = ARENA_NEW(&a, double, POINTS *m), volume;

	for (size_t i = 0; i < POINTS; i++)
		p->front(i, POINTS, p->default_vars, f + i * m, m);
	volume = search_hypervolume(f, POINTS, m, p->reference, &a);
	cr_assert_float_eq(volume, v->integral, v->within, "%s: %.8f, not %.8f", v->name, volume,
			   v->integral);
	arena_free(&a);
}
