#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "leak.h"
#include "search_run.h"

TestSuite(strategies, .fini = no_leaks);

/* ---- quality ------------------------------------------------------------------ */

static void evaluate_problem(const struct search_domain *d, const double *x, double *f,
			     double *violation)
{
	const struct search_problem *problem = d->ctx;

	*violation = problem->evaluate(x, d->n_vars, f, d->n_objectives);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median hypervolumes of 11 seeds at 25,000 evaluations and 100 points, reference 1.1.
 * nsga2: what Deb's C program, pagmo, pymoo and MOEA Framework reach (ZDT1 .8692, ZDT2
 * .5360, ZDT3 1.3272, DTLZ2 .690 to .705). amosa: what a trial of the published method
 * reached, less the scatter of its medians (.8714, .5381, 1.3282, .739). sms_emoa and
 * amosa by volume: likewise (.8719, .5385, 1.3292, .7579 and .8720, .5388, 1.3296,
 * .7571); 100 points can reach .87214 on ZDT1 and .53888 on ZDT2. */
struct bar {
	char strategy[16], problem[8];
	size_t n_objectives;
	double hypervolume;
	char settings[64];
};

ParameterizedTestParameters(strategies, medians)
{
#define BY_VOLUME "truncation: hypervolume\ndifferential: 0.9\nreturn_every: 1\n"
	static struct bar bars[] = {
		{ "nsga2", "zdt1", 2, 0.8691, "{}" },
		{ "nsga2", "zdt2", 2, 0.5357, "{}" },
		{ "nsga2", "zdt3", 2, 1.3272, "{}" },
		{ "nsga2", "dtlz2", 3, 0.698, "{}" },
		{ "sms_emoa", "zdt1", 2, 0.8719, "{}" },
		{ "sms_emoa", "zdt2", 2, 0.5385, "{}" },
		{ "sms_emoa", "zdt3", 2, 1.3291, "{}" },
		{ "sms_emoa", "dtlz2", 3, 0.7575, "{}" },
		{ "amosa", "zdt1", 2, 0.8710, "{}" },
		{ "amosa", "zdt2", 2, 0.5376, "{}" },
		{ "amosa", "zdt3", 2, 1.3278, "{}" },
		{ "amosa", "dtlz2", 3, 0.735, "{}" },
		{ "amosa", "zdt1", 2, 0.8719, BY_VOLUME },
		{ "amosa", "zdt2", 2, 0.5386, BY_VOLUME },
		{ "amosa", "zdt3", 2, 1.3291, BY_VOLUME },
		{ "amosa", "dtlz2", 3, 0.7575, BY_VOLUME },
	};

	return cr_make_param_array(struct bar, bars, sizeof bars / sizeof *bars);
}

ParameterizedTest(struct bar *bar, strategies, medians)
{
	static const double ref[] = { 1.1, 1.1, 1.1 };
	const struct search_problem *problem = search_problem_find(bar->problem);
	struct search_var var[30];
	struct search_domain d = { problem->default_vars,     bar->n_objectives, var, NULL, NULL,
				   (void *)(uintptr_t)problem };
	const struct search_ops *ops = search_find(bar->strategy);
	struct arena a = { 0 };
	const void *cfg = settings(ops, bar->settings, &a);
	double v[11];

	problem->domain(var, d.n_vars, d.n_objectives);
	for (uint64_t seed = 1; seed <= 11; seed++) {
		struct search_points answer;
		struct run r;

		run_open(&r, ops, cfg, &d, 25000, seed);
		answer = run_to(&r, evaluate_problem, 25000);
		cr_assert_leq(answer.n, 100);
		v[seed - 1] = search_hypervolume(answer.f, answer.n, d.n_objectives, ref, &r.arena);
		run_close(&r);
	}
	qsort(v, 11, sizeof *v, by_value);
	cr_assert_geq(v[5], bar->hypervolume, "%s on %s: median %.5f\n%s", bar->strategy,
		      bar->problem, v[5], bar->settings);
	arena_free(&a);
}

/* ---- constraints --------------------------------------------------------------------- */

/* The feasible region, all of ten variables above 0.8, is met by one random vector in
 * 10^7; the front is where their sum over two halves is traded. */
static void evaluate_corner(const struct search_domain *d, const double *x, double *f,
			    double *violation)
{
	*violation = 0;
	f[0] = f[1] = 0;
	for (size_t i = 0; i < d->n_vars; i++) {
		*violation += fmax(0.8 - x[i], 0);
		f[0] += x[i] * x[i];
		f[1] += (1 - x[i]) * (1 - x[i]);
	}
	if (*violation > 0)
		f[0] = f[1] = NAN;
}

static bool is(const struct search_ops *ops, const char *name)
{
	return strcmp(ops->name, name) == 0;
}

Test(strategies, small_feasible_region_is_found)
{
	struct search_var var[10];
	struct search_domain d = { .n_vars = 10, .n_objectives = 2, .var = var };

	fill(var, 10, 0, 1, false);
	for (size_t row = 0; search_registry[row]; row++) {
		const struct search_ops *ops = search_registry[row];
		struct search_points answer;
		struct run r;

		if (is(ops, "random"))
			continue;
		run_open(&r, ops, NULL, &d, 10000, 1);
		answer = run_to(&r, evaluate_corner, 10000);
		for (size_t j = 0; j < answer.n; j++) {
			/* the front has all variables equal, t: f = (10 t^2, 10 (1-t)^2) */
			double t = sqrt(answer.f[2 * j] / 10);

			cr_assert_eq(answer.violation[j], 0, "%s", ops->name);
			cr_assert_float_eq(answer.f[2 * j + 1], 10 * (1 - t) * (1 - t), 0.05,
					   "%s: %g %g", ops->name, answer.f[2 * j],
					   answer.f[2 * j + 1]);
		}
		run_close(&r);
	}
}

/* ---- integers -------------------------------------------------------------------- */

/* Eight values 0 .. 3 (65,536 vectors): a price and a coupled loss, small enough to be
 * enumerated. Neighbouring variables that agree are rewarded, so they do not separate. */
#define GENES 8
static void evaluate_genes(const struct search_domain *d, const double *x, double *f,
			   double *violation)
{
	static const double price[GENES] = { 3, 5, 2, 7, 4, 6, 1, 8 };

	f[0] = 0;
	f[1] = 60;
	for (size_t i = 0; i < d->n_vars; i++) {
		f[0] += price[i] * x[i];
		f[1] -= x[i] * (1 + (double)(i * 5 % 7)) / 2;
		f[1] -= i > 0 && x[i] == x[i - 1] ? 2 : 0;
	}
	*violation = f[0] > 60 ? f[0] - 60 : 0;
}

static void enumerate(const struct search_domain *d, struct search_archive *front)
{
	for (unsigned code = 0; code < 1u << 2 * GENES; code++) {
		double x[GENES], f[2], violation;
		uint32_t slot;

		for (size_t i = 0; i < GENES; i++)
			x[i] = code >> 2 * i & 3;
		evaluate_genes(d, x, f, &violation);
		if (violation == 0)
			search_archive_add(front, f, &slot);
	}
}

static double *members(const struct search_archive *front, struct arena *a)
{
	double *f = ARENA_NEW(a, double, front->n * front->m);

	search_archive_members(front, f, NULL);
	return f;
}

/* 5,000 of the 65,536 vectors show nearly all of the front, whatever the seed, but not if
 * drawn at random; and to the one that crosses nothing only as a rule. */
Test(strategies, integer_front_is_found)
{
	static const double ref[] = { 61, 61 };
	struct search_var var[GENES];
	struct search_domain d = { .n_vars = GENES, .n_objectives = 2, .var = var };
	struct search_archive front;
	struct arena a = { 0 };
	double best;

	fill(var, GENES, 0, 3, true);
	search_archive_init(&front, 2, 1 << 2 * GENES, &a);
	enumerate(&d, &front);
	best = search_hypervolume(members(&front, &a), front.n, 2, ref, &a);
	for (size_t row = 0; search_registry[row]; row++) {
		const struct search_ops *ops = search_registry[row];
		size_t good = 0;

		for (uint64_t seed = 1; seed <= 40; seed++) {
			struct search_points answer;
			struct run r;
			double v;

			run_open(&r, ops, NULL, &d, 5000, seed);
			answer = run_to(&r, evaluate_genes, 5000);
			v = search_hypervolume(answer.f, answer.n, 2, ref, &a);
			good += v >= 0.98 * best;
			cr_assert_leq(v, best * (1 + 1e-12));
			run_close(&r);
		}
		if (is(ops, "random"))
			cr_assert_eq(good, 0);
		else
			cr_assert_geq(good, is(ops, "regularized_evolution") ? 20 : 40,
				      "%s: %zu of 40", ops->name, good);
	}
	arena_free(&a);
}

/* One objective, ten values a variable: the one best of 10^8 vectors is found. */
static void evaluate_target(const struct search_domain *d, const double *x, double *f,
			    double *violation)
{
	*f = *violation = 0;
	for (size_t i = 0; i < d->n_vars; i++)
		*f += fabs(x[i] - (double)(i * 7 % 10));
}

Test(strategies, integer_optimum_is_found)
{
	struct search_var var[GENES];
	struct search_domain d = { .n_vars = GENES, .n_objectives = 1, .var = var };

	fill(var, GENES, 0, 9, true);
	for (size_t row = 0; search_registry[row]; row++) {
		const struct search_ops *ops = search_registry[row];
		struct search_points answer;
		double least = INFINITY;
		struct run r;

		run_open(&r, ops, NULL, &d, 5000, 1);
		answer = run_to(&r, evaluate_target, 5000);
		for (size_t j = 0; j < answer.n; j++)
			least = fmin(least, answer.f[j]);
		cr_assert_eq(least == 0, !is(ops, "random"), "%s: %g", ops->name, least);
		run_close(&r);
	}
}

/* While new vectors are plenty no two of a generation are alike, nor like a member of
 * the population. */
Test(strategies, offspring_are_new)
{
	static const char *const name[] = { "nsga2", "nsga3", "sms_emoa" };
	static const char *const text[] = { "population: 100\n", "population: 100\n",
					    "batch: 100\n" };
	struct search_var var[GENES];
	struct search_domain d = { .n_vars = GENES, .n_objectives = 2, .var = var };
	const size_t size = GENES * sizeof(double);

	fill(var, GENES, 0, 3, true);
	for (size_t s = 0; s < sizeof name / sizeof *name; s++) {
		const struct search_ops *ops = search_find(name[s]);
		struct arena a = { 0 };
		struct run r;

		run_open(&r, ops, settings(ops, text[s], &a), &d, 0, 3);
		for (int g = 0; g < 50; g++) {
			struct search_points p;
			double *all; /* the population, and behind it the generation */

			ops->answer(&r.s, &p);
			all = ARENA_NEW(&a, double, (p.n + 100) * GENES);
			memcpy(all, p.x, p.n * size);
			run_batch(&r, evaluate_genes, 100);
			cr_assert_eq(r.n, 100);
			memcpy(all + p.n * GENES, r.x, 100 * size);
			for (size_t i = p.n; i < p.n + 100; i++)
				for (size_t j = 0; j < i; j++)
					cr_assert_neq(
						memcmp(all + i * GENES, all + j * GENES, size), 0,
						"%s, generation %d", name[s], g);
		}
		run_close(&r);
		arena_free(&a);
	}
}

/* Each of a population is in two tournaments a generation, against others drawn anew. Of
 * four that dominate each other in turn the best always wins half of them; the next one
 * wins unless it meets the best, 2/3 of the rest; the third where those two meet. */
Test(strategies, nsga2_tournaments_are_drawn)
{
	const struct search_ops *ops = search_find("nsga2");
	struct search_var var[GENES];
	struct search_domain d = { .n_vars = GENES, .n_objectives = 1, .var = var };
	static const double f[] = { 0, 1, 2, 3 }, none[4] = { 0 };
	enum { RUNS = 2000 };
	size_t won[4] = { 0 };

	fill(var, GENES, 0, 1, false);
	for (uint64_t seed = 1; seed <= RUNS; seed++) {
		double x[4 * GENES], child[4 * GENES];
		struct arena a = { 0 };
		struct run r;

		run_open(&r, ops,
			 settings(ops,
				  "population: 4\ncrossover_probability: 0\n"
				  "mutation_rate: 1e-300\n",
				  &a),
			 &d, 0, seed);
		cr_assert_eq(ops->ask(&r.s, x, 4), 4);
		ops->tell(&r.s, x, f, none, 4);
		cr_assert_eq(ops->ask(&r.s, child, 4), 4);
		for (size_t i = 0; i < 16; i++)
			won[i % 4] += !memcmp(child + i / 4 * GENES, x + i % 4 * GENES,
					      GENES * sizeof *x);
		run_close(&r);
		arena_free(&a);
	}
	cr_assert_eq(won[0], 2 * RUNS);
	cr_assert_float_eq((double)won[1] / RUNS, 4.0 / 3, 0.06); /* scatters by 0.015 */
	cr_assert_float_eq((double)won[2] / RUNS, 2.0 / 3, 0.06);
	cr_assert_eq(won[3], 0);
}

/* Three vectors in all: redraws are bounded and the search goes on. */
Test(strategies, tiny_domain)
{
	struct search_var var = { 0, 2, true };
	struct search_domain d = { .n_vars = 1, .n_objectives = 2, .var = &var };

	for (size_t row = 0; search_registry[row]; row++) {
		struct search_points answer;
		struct run r;
		double least = INFINITY;

		run_open(&r, search_registry[row], NULL, &d, 500, 1);
		answer = run_to(&r, evaluate_genes, 500);
		for (size_t i = 0; i < answer.n; i++)
			least = fmin(least, answer.f[2 * i]);
		cr_assert_eq(least, 0);
		run_close(&r);
	}
}

/* ---- single strategies ----------------------------------------------------------- */

/* A batch gives workers something to do at once; the front stays good. */
Test(strategies, batches)
{
	static const char *const name[] = { "amosa", "sms_emoa" };
	static const double ref[] = { 1.1, 1.1 };
	const struct search_problem *problem = search_problem_find("zdt1");
	struct search_var var[30];
	struct search_domain d = { 30, 2, var, NULL, NULL, (void *)(uintptr_t)problem };

	fill(var, 30, 0, 1, false);
	for (size_t i = 0; i < 2; i++) {
		const struct search_ops *ops = search_find(name[i]);
		struct arena a = { 0 };
		struct search_points answer;
		struct run r;

		run_open(&r, ops, settings(ops, "batch: 16\n", &a), &d, 25000, 1);
		run_to(&r, evaluate_problem, 1000);
		cr_assert_eq(ops->batch(&r.s), 16);
		run_batch(&r, evaluate_problem, 100);
		cr_assert_eq(r.n, 16);
		answer = run_to(&r, evaluate_problem, 25000);
		cr_assert_geq(search_hypervolume(answer.f, answer.n, 2, ref, &a), 0.86);
		run_close(&r);
		arena_free(&a);
	}
}

/* Random sampling answers with the non-dominated set of all it was told, here so many
 * that its room has to grow and be cleared of those that left. */
Test(strategies, random_keeps_all_that_is_not_dominated)
{
	const struct search_problem *problem = search_problem_find("dtlz2");
	struct search_var var[12];
	struct search_domain d = { 12, 4, var, NULL, NULL, (void *)(uintptr_t)problem };
	struct search_archive all;
	struct search_points p;
	struct run r;
	uint32_t slot;

	fill(var, 12, 0, 1, false);
	run_open(&r, search_find("random"), NULL, &d, 0, 1);
	search_archive_init(&all, 4, 10000, &r.arena);
	while (r.told < 20000) {
		run_batch(&r, evaluate_problem, 100);
		for (size_t i = 0; i < r.n; i++)
			search_archive_add(&all, r.f + 4 * i, &slot);
	}
	r.s.ops->answer(&r.s, &p);
	cr_assert_gt(p.n, 300);
	cr_assert_eq(p.n, all.n);
	cr_assert_arr_eq(p.f, members(&all, &r.arena), p.n * 4 * sizeof *p.f);
	for (size_t i = 0; i < p.n; i++) {
		double f[4];

		problem->evaluate(p.x + 12 * i, 12, f, 4);
		cr_assert_arr_eq(p.f + 4 * i, f, sizeof f);
		cr_assert_eq(p.violation[i], 0);
	}
	run_close(&r);
}
