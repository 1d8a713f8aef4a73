/* Cost and answers of the search engine: every strategy on known problems, sorting of
 * uniform clouds, hypervolume of points on a sphere. With --json a list of objects of
 * name, n, objectives, value, cpu_s; the programs in bench/peers/ print the same.
 *
 *   "STRATEGY PROBLEM"  n evaluations: median hypervolume of SEEDS runs at reference 1.1
 *   "rank"              n points: number of fronts
 *   "rank memory"       n points: bytes of memory a point while they are sorted
 *   "hypervolume"       n points: their hypervolume at reference 1.1
 *
 * cpu_s: median CPU time of a run [s], null where none was measured. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "points.h"
#include "search.h"

#define EVALUATIONS 25000
#define SEEDS	    11
#define REPEATS_MAX 11
#define REPEATS_S   0.4 /* no further repeat after that much CPU time */
#define VOLUME_N    1000
#define MOST_SORTED 100000

static const double ref[] = { 1.1, 1.1, 1.1, 1.1, 1.1 };

struct output {
	bool json;
	struct json_writer w;
};

static void report(struct output *o, const char *name, size_t n, size_t m, double value,
		   double cpu_s)
{
	if (!o->json) {
		printf("%-28s n=%-7zu m=%zu  %-12.9g", name, n, m, value);
		if (isnan(cpu_s))
			puts("");
		else
			printf("  %9.3f ms\n", 1e3 * cpu_s);
		return;
	}
	json_object(&o->w, NULL);
	json_string(&o->w, "name", name);
	json_u64(&o->w, "n", n);
	json_u64(&o->w, "objectives", m);
	json_real(&o->w, "value", value);
	json_real(&o->w, "cpu_s", cpu_s);
	json_end(&o->w);
}

static double now_cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof *v, ascending);
	return v[n / 2];
}

/* ---- repeats ---------------------------------------------------------------- */

struct repeats {
	size_t n;
	double cpu_s[REPEATS_MAX], began_s, all_s;
};

/* True while one more is due, which begins now. */
static bool again(struct repeats *r)
{
	double now = now_cpu_s();

	if (r->n > 0 && (r->n == REPEATS_MAX || r->all_s >= REPEATS_S))
		return false;
	r->began_s = now;
	return true;
}

static void done(struct repeats *r)
{
	r->cpu_s[r->n] = now_cpu_s() - r->began_s;
	r->all_s += r->cpu_s[r->n++];
}

/* ---- strategies ------------------------------------------------------------- */

/* The loop of a study, without its books. Returns its CPU time, problem included. */
static double run(const struct search_ops *ops, const struct search_problem *problem, size_t m,
		  uint64_t seed, double *hypervolume)
{
	size_t n_vars = problem->default_vars, cap;
	struct arena a = { 0 };
	struct search_var *var = ARENA_NEW(&a, struct search_var, n_vars);
	struct search_domain domain = { .n_vars = n_vars, .n_objectives = m, .var = var };
	void *cfg = arena_alloc(&a, 1, ops->cfg_size, alignof(max_align_t));
	double began = now_cpu_s(), took, *x, *f, *violation;
	struct search_points answer;
	struct search s;
	struct rng rng;
	struct nasc_err err = { 0 };

	problem->domain(var, n_vars, m);
	cfg_defaults(ops->fields, &a, cfg, ops->cfg_size);
	rng_stream(&rng, seed, RNG_STRATEGY, 0);
	if (search_open(&s, ops, cfg, &domain, &a, &rng, EVALUATIONS, &err)) {
		fprintf(stderr, "%s: %s\n", ops->name, err.msg);
		exit(EXIT_FAILURE);
	}
	cap = ops->batch(&s);
	x = ARENA_NEW(&a, double, cap *n_vars);
	f = ARENA_NEW(&a, double, cap *m);
	violation = ARENA_NEW(&a, double, cap);
	for (size_t told = 0; told < EVALUATIONS;) {
		size_t left = EVALUATIONS - told, n = ops->ask(&s, x, left < cap ? left : cap);

		for (size_t i = 0; i < n; i++)
			violation[i] = problem->evaluate(x + i * n_vars, n_vars, f + i * m, m);
		ops->tell(&s, x, f, violation, n);
		told += n;
	}
	took = now_cpu_s() - began;
	ops->answer(&s, &answer);
	*hypervolume = search_hypervolume(answer.f, answer.n, m, ref, &a);
	arena_free(&a);
	return took;
}

static void run_strategies(struct output *o)
{
	static const struct {
		const char *problem;
		size_t objectives;
	} row[] = { { "zdt1", 2 }, { "zdt2", 2 }, { "zdt3", 2 }, { "dtlz2", 3 } };

	for (const struct search_ops *const *ops = search_registry; *ops; ops++)
		for (size_t p = 0; p < sizeof row / sizeof *row; p++) {
			double cpu_s[SEEDS], value[SEEDS];
			char name[64];

			for (size_t k = 0; k < SEEDS; k++)
				cpu_s[k] = run(*ops, search_problem_find(row[p].problem),
					       row[p].objectives, k + 1, &value[k]);
			snprintf(name, sizeof name, "%s %s", (*ops)->name, row[p].problem);
			report(o, name, EVALUATIONS, row[p].objectives, median(value, SEEDS),
			       median(cpu_s, SEEDS));
		}
}

/* ---- sets of points --------------------------------------------------------- */

static void sort_points(struct output *o, size_t n, size_t m)
{
	struct arena a = { 0 }, scratch = { 0 };
	double *f = cloud(&a, n, m, false);
	uint32_t *rank = ARENA_NEW(&a, uint32_t, n);
	struct repeats r = { 0 };
	size_t fronts = 0;

	while (again(&r)) {
		fronts = search_rank(f, n, m, rank, &scratch);
		done(&r);
	}
	report(o, "rank", n, m, (double)fronts, median(r.cpu_s, r.n));
	report(o, "rank memory", n, m, (double)scratch.bytes / (double)n, NAN);
	arena_free(&scratch);
	arena_free(&a);
}

static void measure_volume(struct output *o, size_t m)
{
	struct arena a = { 0 };
	double *f = cloud(&a, VOLUME_N, m, true), value = 0;
	struct repeats r = { 0 };

	while (again(&r)) {
		value = search_hypervolume(f, VOLUME_N, m, ref, &a);
		done(&r);
	}
	report(o, "hypervolume", VOLUME_N, m, value, median(r.cpu_s, r.n));
	arena_free(&a);
}

int main(int argc, char **argv)
{
	struct output o = { .json = argc == 2 && strcmp(argv[1], "--json") == 0 };

	if (argc > 1 && !o.json) {
		fprintf(stderr, "usage: %s [--json]\n", argv[0]);
		return 2;
	}
	json_init(&o.w, stdout, false);
	if (o.json)
		json_list(&o.w, NULL);
	for (size_t m = 2; m <= 5; m++)
		measure_volume(&o, m);
	for (size_t n = 1000; n <= MOST_SORTED; n *= 10)
		for (size_t m = 2; m <= 5; m++)
			sort_points(&o, n, m);
	run_strategies(&o);
	if (o.json)
		json_end(&o.w);
	return 0;
}
