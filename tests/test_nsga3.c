#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "directions.h"
#include "leak.h"
#include "search_run.h"

TestSuite(nsga3, .fini = no_leaks);

/* ---- directions ------------------------------------------------------------------ */

/* Numbers of directions as the papers give them, C(m - 1 + p, p) for each layer. */
Test(nsga3, directions_are_as_many_as_published)
{
	static const size_t want[][4] = { { 3, 12, 0, 91 }, { 5, 6, 0, 210 },  { 8, 3, 2, 156 },
					  { 3, 4, 0, 15 },  { 2, 99, 0, 100 }, { 1, 7, 0, 1 } };
	struct arena a = { 0 };

	for (size_t c = 0; c < sizeof want / sizeof *want; c++) {
		size_t m = want[c][0], outer = want[c][1], inner = want[c][2], n = want[c][3];
		double *w = ARENA_NEW(&a, double, n *m);

		cr_assert_eq(directions_count(m, outer, inner), n);
		directions_fill(w, m, outer, inner);
		for (size_t i = 0; i < n; i++) {
			double sum = 0, least = 1;

			for (size_t k = 0; k < m; k++) {
				sum += w[i * m + k];
				least = fmin(least, w[i * m + k]);
			}
			cr_assert_float_eq(sum, 1, 1e-14);
			/* The inner layer, drawn half way to the centre. */
			cr_assert(least >= 0 && (i < 120 || m != 8 || least >= 0.5 / 8 - 1e-15));
			for (size_t k = 0; k < m && (m != 8 || i < 120); k++)
				cr_assert_float_eq(w[i * m + k] * (double)outer,
						   round(w[i * m + k] * (double)outer), 1e-12);
			for (size_t j = 0; j < i; j++)
				cr_assert_neq(memcmp(w + i * m, w + j * m, m * sizeof *w), 0);
		}
	}
	cr_assert_gt(directions_count(8, 1000, 0), DIRECTIONS_MAX);
	arena_free(&a);
}

/* The populations of the papers get the layers of the papers. */
Test(nsga3, directions_that_fit_a_population)
{
	static const size_t want[][4] = { { 3, 92, 12, 0 },  { 5, 212, 6, 0 }, { 8, 156, 3, 2 },
					  { 2, 100, 99, 0 }, { 8, 4, 1, 0 },   { 1, 100, 1, 0 } };

	for (size_t c = 0; c < sizeof want / sizeof *want; c++) {
		size_t outer, inner;

		directions_choose(want[c][0], want[c][1], &outer, &inner);
		cr_assert_eq(outer, want[c][2], "%zu objectives: %zu", want[c][0], outer);
		cr_assert_eq(inner, want[c][3], "%zu objectives: %zu", want[c][0], inner);
	}
}

/* ---- niches by hand ---------------------------------------------------------------- */

static const struct search_var one_real = { 0, 1, false };

/* The strategy with keys of YAML text. */
static enum nasc_status read_cfg(const char *text, struct arena *a, void **cfg,
				 struct nasc_err *err)
{
	const struct search_ops *ops = search_find("nsga3");
	struct yaml_doc doc;

	*cfg = arena_alloc(a, 1, ops->cfg_size, alignof(max_align_t));
	cr_assert_eq(yaml_parse("t.yaml", text, strlen(text), a, &doc, err), NASC_OK);
	return cfg_load(ops->fields, &doc, doc.root, NULL, a, *cfg, ops->cfg_size, err);
}

/* Told generations of @size rows, the strategy has those of want[0..size) in the end. */
struct by_hand {
	const char *cfg;
	size_t m, size, n;	     /* objectives, population, rows in all: n * m are f */
	const double *f, *violation; /* NULL: none */
	const size_t *want;
};

static bool is_row(const struct by_hand *c, const double *f, size_t row)
{
	return !memcmp(f, c->f + row * c->m, c->m * sizeof *f);
}

/* The population after all has been told. */
static struct search_points tell_all(const struct by_hand *c, struct run *r)
{
	static const double none[12] = { 0 };
	struct search_points p;

	for (size_t at = 0; at < c->n; at += c->size) {
		cr_assert_eq(r->s.ops->ask(&r->s, r->x, 100), c->size);
		r->s.ops->tell(&r->s, r->x, c->f + at * c->m,
			       c->violation ? c->violation + at : none, c->size);
	}
	r->s.ops->answer(&r->s, &p);
	cr_assert_eq(p.n, c->size);
	return p;
}

/* How many of @seeds runs keep each row. */
static void count_survivors(const struct by_hand *c, uint64_t seeds, size_t kept[12])
{
	const struct search_domain d = { .n_vars = 1, .n_objectives = c->m, .var = &one_real };
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct run r;
	void *cfg;

	cr_assert_eq(read_cfg(c->cfg, &a, &cfg, &err), NASC_OK, "%s", err.msg);
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		struct search_points p;

		run_open(&r, search_find("nsga3"), cfg, &d, 0, seed);
		p = tell_all(c, &r);
		for (size_t i = 0; i < c->n; i++)
			for (size_t j = 0; j < p.n; j++)
				kept[i] += is_row(c, p.f + j * c->m, i);
		run_close(&r);
	}
	arena_free(&a);
}

static void check_all(const struct by_hand *c)
{
	size_t kept[12] = { 0 };

	count_survivors(c, 20, kept);
	for (size_t i = 0; i < c->size; i++)
		cr_assert_eq(kept[c->want[i]], 20, "row %zu: %zu of 20", c->want[i],
			     kept[c->want[i]]);
}

/* Four individuals, directions (1,0) (2/3,1/3) (1/3,2/3) (0,1) and eight rows. */
#define FOUR "population: 4\ndivisions: 3\n"
static void check_survivors(const double f[8][2], const double violation[8], const size_t want[4])
{
	check_all(&(struct by_hand){ FOUR, 2, 4, 8, f[0], violation, want });
}

/* All on the line f1 + f2 = 1, which is its own normalisation; two rows a direction, of
 * which the one nearer to f1 = 0, 1/3, 2/3, 1 stays. */
Test(nsga3, empty_niches_take_the_nearest)
{
	static const double f[8][2] = { { 0, 1 },	{ 0.05, 0.95 }, { 0.3, 0.7 },
					{ 0.36, 0.64 }, { 0.7, 0.3 },	{ 0.62, 0.38 },
					{ 0.95, 0.05 }, { 1, 0 } };

	check_survivors(f, NULL, (const size_t[]){ 0, 3, 4, 7 });
}

/* The same with objectives of other sizes and away from zero. */
Test(nsga3, objectives_are_normalised)
{
	static const double f[8][2] = { { 7, 1e-6 },	   { 7.05, 0.95e-6 }, { 7.3, 0.7e-6 },
					{ 7.36, 0.64e-6 }, { 7.7, 0.3e-6 },   { 7.62, 0.38e-6 },
					{ 7.95, 0.05e-6 }, { 8, 0 } };

	check_survivors(f, NULL, (const size_t[]){ 0, 3, 4, 7 });
}

/* (0,1) and (1,0) dominate the others, which are a front of their own. Its ends and
 * their neighbours lie in the niches that these two have taken, so its inner two stay,
 * whichever is nearer to its direction. */
Test(nsga3, niches_count_earlier_fronts)
{
	static const double f[8][2] = {
		{ 0.01, 1.75 }, { 0, 1 },      { 0.02, 1.7 }, { 0.8, 1.6 },
		{ 1.6, 0.8 },	{ 1.7, 0.02 }, { 1, 0 },      { 1.75, 0.01 }
	};

	check_survivors(f, NULL, (const size_t[]){ 1, 6, 3, 4 });
}

/* Three are feasible and stay, dominated or not; the fourth violates least. */
Test(nsga3, feasible_rows_come_first)
{
	static const double f[8][2] = { { 5, 5 },     { 0, 1 },	    { 0.1, 0.1 }, { 0.2, 0 },
					{ 0.3, 0.3 }, { 0.4, 0.4 }, { 1, 0 },	  { 0.6, 0 } };
	static const double violation[8] = { 0, 0, 2, 0.5, 0.7, 3, 0, INFINITY };

	check_survivors(f, violation, (const size_t[]){ 0, 1, 6, 3 });
}

/* The second row, nearest to the second axis as 10^6 f1 and f2 go, is not nearest to
 * direction (0,1): it leaves, yet the scale of f2 stays its 1. By the 10 of the first row,
 * f2 would shrink so that the eighth and ninth were alone in the inner niches. */
Test(nsga3, extremes_are_remembered)
{
	static const double f[12][2] = {
		{ 0, 10 }, { 1e-8, 1 },	 { 1, 0 },	 { 1.0 / 3, 2.0 / 3 },
		{ 5, 11 }, { 6, 12 },	 { 7, 13 },	 { 2.0 / 3, 1.0 / 3 },
		{ 8, 14 }, { 0.1, 0.9 }, { 0.05, 0.95 }, { 9, 15 }
	};

	check_all(&(struct by_hand){ FOUR, 2, 4, 12, f[0], NULL, (const size_t[]){ 0, 2, 3, 7 } });
}

/* One row is best in all, both extremes in one: no plane goes through them. The others are
 * divided by what they reach, 20 and 1/1000. */
Test(nsga3, extremes_in_one_point)
{
	static const double f[8][2] = { { 0, 0.001 },	  { 1, 0.00095 }, { 6, 0.0007 },
					{ 7.2, 0.00064 }, { 0, 0 },	  { 12.4, 0.00038 },
					{ 14, 0.0003 },	  { 20, 0 } };

	check_survivors(f, NULL, (const size_t[]){ 0, 3, 4, 6 });
}

/* Of the first three, a front, the plane meets the third axis at 10, where no row is beyond
 * 3: by 3 the third row is nearest to the first axis, and the fourth alone near the third
 * one. By 10 it would be near the first axis as well, where there are two. */
Test(nsga3, intercepts_end_where_the_rows_do)
{
	static const double f[8][3] = { { 1, 0, 0.2 },	  { 0, 1, 0 },	     { 0.46, 0.45, 1 },
					{ 0.55, 0.5, 3 }, { 0.1, 1.1, 0.5 }, { 5, 5, 5 },
					{ 6, 6, 6 },	  { 7, 7, 7 } };

	check_all(&(struct by_hand){ "population: 4\ndivisions: 1\n", 3, 4, 8, f[0], NULL,
				     (const size_t[]){ 0, 1, 2, 3 } });
}

/* The first three are the extremes, and the first two are proportional in f1 and f2: after
 * one step of the elimination the diagonal is 0. a + .3 b = 1, .5 a + .15 b + .6 c = 1,
 * .1 b + c = 1 have the solution (1/2, 5/3, 5/6), so f2 is divided by 3/5: the sixth row
 * then is near the second axis, where only the fourth is. Undivided it is near the third. */
Test(nsga3, intercepts_whose_elimination_needs_another_row)
{
	static const double f[12][3] = { { 1, 0.3, 0 },	   { 0.5, 0.15, 0.6 }, { 0, 0.1, 1 },
					 { 0, 1, 0.8 },	   { 0.95, 0, 0.9 },   { 0.6, 0.5, 0.65 },
					 { 1, 0.35, 0.1 }, { 5, 5, 5 },	       { 6, 6, 6 },
					 { 7, 7, 7 },	   { 8, 8, 8 },	       { 9, 9, 9 } };

	check_all(&(struct by_hand){ "population: 6\ndivisions: 1\n", 3, 6, 12, f[0], NULL,
				     (const size_t[]){ 0, 1, 2, 3, 4, 5 } });
}

/* The same with .02 b + c = 1: a is -3/2, so there is no such plane and each objective is
 * divided by what the front reaches, 1. The sixth row is alone with the fourth. */
Test(nsga3, intercepts_below_zero)
{
	static const double f[12][3] = { { 1, 0.3, 0 },	   { 0.5, 0.15, 0.6 }, { 0, 0.02, 1 },
					 { 0, 1, 0.8 },	   { 0.95, 0, 0.9 },   { 0.55, 0.9, 0.65 },
					 { 1, 0.35, 0.1 }, { 5, 5, 5 },	       { 6, 6, 6 },
					 { 7, 7, 7 },	   { 8, 8, 8 },	       { 9, 9, 9 } };

	check_all(&(struct by_hand){ "population: 6\ndivisions: 1\n", 3, 6, 12, f[0], NULL,
				     (const size_t[]){ 0, 1, 2, 3, 4, 5 } });
}

/* (0,1) and (1,0) stay; of the next three, all in the niche of (0,1), two do. */
Test(nsga3, filled_niches_take_any)
{
	static const double f[8][2] = { { 0, 1 },	{ 1, 0 }, { 0.01, 1.75 }, { 0.02, 1.7 },
					{ 0.03, 1.65 }, { 5, 5 }, { 6, 6 },	  { 7, 7 } };
	size_t kept[12] = { 0 };

	count_survivors(&(struct by_hand){ FOUR, 2, 4, 8, f[0], NULL, NULL }, 300, kept);
	cr_assert(kept[0] == 300 && kept[1] == 300);
	for (size_t i = 2; i < 5; i++) /* 200 expected, standard deviation 8 */
		cr_assert(kept[i] > 160 && kept[i] < 240, "%zu: %zu", i, kept[i]);
}

/* Three stay, each in its niche, and one of the three behind them. */
Test(nsga3, niches_of_equal_count_take_turns_by_chance)
{
	static const double f[8][2] = { { 0, 1 },	{ 1, 0 },      { 0.6, 0.3 }, { 0.01, 1.75 },
					{ 1.75, 0.01 }, { 0.7, 0.35 }, { 6, 6 },     { 7, 7 } };
	size_t kept[12] = { 0 };

	count_survivors(&(struct by_hand){ FOUR, 2, 4, 8, f[0], NULL, NULL }, 300, kept);
	cr_assert(kept[0] == 300 && kept[1] == 300 && kept[2] == 300);
	for (size_t i = 3; i < 6; i++) /* 100 expected, standard deviation 8 */
		cr_assert(kept[i] > 60 && kept[i] < 140, "%zu: %zu", i, kept[i]);
}

/* Each of four dominates the next, and all become parents alike. Neither crossed nor
 * mutated, a child is its parent; it fails and so leaves the population as it is. */
Test(nsga3, feasible_parents_are_equal)
{
	static const double f[4] = { 1, 2, 3, 4 }, none[4] = { 0 };
	static const double failed[4] = { INFINITY, INFINITY, INFINITY, INFINITY };
	const struct search_domain d = { .n_vars = 1, .n_objectives = 1, .var = &one_real };
	double parent[4];
	size_t children[4] = { 0 };
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct run r;
	void *cfg;

	cr_assert_eq(read_cfg("population: 4\ncrossover_probability: 0\nmutation_rate: 1e-12\n", &a,
			      &cfg, &err),
		     NASC_OK, "%s", err.msg);
	run_open(&r, search_find("nsga3"), cfg, &d, 0, 1);
	cr_assert_eq(r.s.ops->ask(&r.s, r.x, 4), 4);
	memcpy(parent, r.x, sizeof parent);
	r.s.ops->tell(&r.s, r.x, f, none, 4);
	for (int g = 0; g < 100; g++) {
		cr_assert_eq(r.s.ops->ask(&r.s, r.x, 4), 4);
		for (size_t i = 0; i < 4; i++)
			for (size_t j = 0; j < 4; j++)
				children[j] += r.x[i] == parent[j];
		r.s.ops->tell(&r.s, r.x, f, failed, 4);
	}
	cr_assert_eq(children[0] + children[1] + children[2] + children[3], 400);
	for (size_t j = 0; j < 4; j++) /* 100 expected */
		cr_assert(children[j] > 70 && children[j] < 130, "%zu: %zu", j, children[j]);
	run_close(&r);
	arena_free(&a);
}

Test(nsga3, refuses_layers_it_cannot_make)
{
	static const char *const text[] = { "inner_divisions: 2\n", "divisions: 1000000\n" };
	static const char *const want[] = {
		"inner_divisions: needs 'divisions' above 0",
		"divisions: more than 10000000 directions for 8 objectives",
	};
	const struct search_domain d = { .n_vars = 1, .n_objectives = 8, .var = &one_real };

	for (size_t i = 0; i < 2; i++) {
		struct nasc_err err = { 0 };
		struct arena a = { 0 };
		struct rng rng = { 0 };
		struct search s;
		void *cfg;

		cr_assert_eq(read_cfg(text[i], &a, &cfg, &err), NASC_OK, "%s", err.msg);
		cr_assert_eq(search_open(&s, search_find("nsga3"), cfg, &d, &a, &rng, 0, &err),
			     NASC_CONFIG);
		cr_assert_str_eq(err.msg, want[i]);
		arena_free(&a);
	}
}

/* ---- fronts ------------------------------------------------------------------------ */

static void dtlz2(const struct search_domain *d, const double *x, double *f, double *violation)
{
	*violation = search_problem_find("dtlz2")->evaluate(x, d->n_vars, f, d->n_objectives);
}

/* The upper half of the first objective is out of bounds. */
static void dtlz2_half(const struct search_domain *d, const double *x, double *f, double *violation)
{
	dtlz2(d, x, f, violation);
	*violation = fmax(f[0] - 0.5, 0);
}

/* Powers of two apart: not a bit of what happens is to change. */
static void dtlz2_scaled(const struct search_domain *d, const double *x, double *f,
			 double *violation)
{
	dtlz2(d, x, f, violation);
	f[0] *= 0x1p20;
	f[2] *= 0x1p-30;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* 91 directions, 92 individuals, 250 generations: pymoo's median is .74407, with
 * quartiles .0002 apart. */
Test(nsga3, front_of_three_objectives)
{
	static const double ref[] = { 1.1, 1.1, 1.1 };
	struct search_var var[12];
	const struct search_domain d = { .n_vars = 12, .n_objectives = 3, .var = var };
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	double v[11];
	void *cfg;

	fill(var, 12, 0, 1, false);
	cr_assert_eq(read_cfg("population: 92\n", &a, &cfg, &err), NASC_OK, "%s", err.msg);
	for (uint64_t seed = 1; seed <= 11; seed++) {
		struct search_points p;
		struct run r;

		run_open(&r, search_find("nsga3"), cfg, &d, 0, seed);
		p = run_to(&r, dtlz2, 92 * 250);
		cr_assert_eq(p.n, 92);
		v[seed - 1] = search_hypervolume(p.f, p.n, 3, ref, &a);
		run_close(&r);
	}
	qsort(v, 11, sizeof *v, by_value);
	cr_assert(v[5] >= 0.743 && v[5] < 0.7455, "%.5f", v[5]);
	arena_free(&a);
}

Test(nsga3, units_do_not_matter)
{
	struct search_var var[12];
	const struct search_domain d = { .n_vars = 12, .n_objectives = 3, .var = var };
	struct run a, b;

	fill(var, 12, 0, 1, false);
	run_open(&a, search_find("nsga3"), NULL, &d, 0, 3);
	run_open(&b, search_find("nsga3"), NULL, &d, 0, 3);
	for (int g = 0; g < 100; g++) {
		run_batch(&a, dtlz2, 100);
		run_batch(&b, dtlz2_scaled, 100);
		cr_assert_arr_eq(a.x, b.x, a.n * 12 * sizeof *a.x, "generation %d", g);
	}
	run_close(&a);
	run_close(&b);
}

/* Eight objectives, 120 + 36 directions: nearly all of the population on the sphere, and
 * every objective is the greatest one of some. */
Test(nsga3, front_of_eight_objectives)
{
	struct search_var var[17];
	const struct search_domain d = { .n_vars = 17, .n_objectives = 8, .var = var };
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct search_points p;
	double radius[156];
	size_t greatest[8] = { 0 };
	struct run r;
	void *cfg;

	fill(var, 17, 0, 1, false);
	cr_assert_eq(
		read_cfg("population: 156\ndivisions: 3\ninner_divisions: 2\n", &a, &cfg, &err),
		NASC_OK, "%s", err.msg);
	run_open(&r, search_find("nsga3"), cfg, &d, 0, 1);
	p = run_to(&r, dtlz2, 156 * 300);
	cr_assert_eq(p.n, 156);
	for (size_t i = 0; i < p.n; i++) {
		size_t most = 0;

		radius[i] = 0;
		for (size_t k = 0; k < 8; k++) {
			radius[i] += p.f[8 * i + k] * p.f[8 * i + k];
			most = p.f[8 * i + k] > p.f[8 * i + most] ? k : most;
		}
		greatest[most]++;
	}
	qsort(radius, 156, sizeof *radius, by_value);
	cr_assert_lt(radius[78], 1.05, "median %g", radius[78]);
	for (size_t k = 0; k < 8; k++)
		cr_assert_geq(greatest[k], 8, "objective %zu: %zu", k, greatest[k]);
	run_close(&r);
	arena_free(&a);
}

/* What is left of the sphere below f1 = 1/2 is met, up to its edge and to the other axes. */
Test(nsga3, front_under_a_constraint)
{
	struct search_var var[12];
	const struct search_domain d = { .n_vars = 12, .n_objectives = 3, .var = var };
	double far[3] = { 0 };
	struct search_points p;
	struct run r;

	fill(var, 12, 0, 1, false);
	run_open(&r, search_find("nsga3"), NULL, &d, 0, 1);
	p = run_to(&r, dtlz2_half, 25000);
	for (size_t i = 0; i < p.n; i++) {
		double radius = 0;

		cr_assert_eq(p.violation[i], 0);
		for (size_t k = 0; k < 3; k++) {
			radius += p.f[3 * i + k] * p.f[3 * i + k];
			far[k] = fmax(far[k], p.f[3 * i + k]);
		}
		cr_assert(radius >= 1 - 1e-12 && radius < 1.1, "%g", radius);
	}
	cr_assert(far[0] > 0.48 && far[0] <= 0.5, "%g", far[0]);
	cr_assert(far[1] > 0.98 && far[2] > 0.98, "%g %g", far[1], far[2]);
	run_close(&r);
}
