/* Cost of the search engine itself: CPU time of one nsga2 run on ZDT1, of sorting
 * uniform clouds and of the hypervolume of points on a sphere. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "search.h"

#define EVALUATIONS 25000
#define REPEATS	    5

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void report(struct json_writer *w, bool json, const char *name, size_t n, size_t m,
		   double value, double seconds)
{
	if (!json) {
		printf("%-16s n=%-6zu m=%zu  %.9g  %.6f s\n", name, n, m, value, seconds);
		return;
	}
	json_object(w, NULL);
	json_string(w, "name", name);
	json_u64(w, "n", n);
	json_u64(w, "objectives", m);
	json_real(w, "value", value);
	json_real(w, "cpu_s", seconds);
	json_end(w);
}

static double run_zdt1(double *hypervolume)
{
	const struct search_ops *ops = search_find("nsga2");
	const struct search_problem *zdt1 = search_problem_find("zdt1");
	const double ref[2] = { 1.1, 1.1 };
	size_t n_vars = zdt1->default_vars;
	struct arena a = { 0 };
	struct search_var *var = ARENA_NEW(&a, struct search_var, n_vars);
	struct search_domain domain = { .n_vars = n_vars, .n_objectives = 2, .var = var };
	void *cfg = arena_alloc(&a, 1, ops->cfg_size, alignof(max_align_t));
	double *x = ARENA_NEW(&a, double, 100 * n_vars), f[200], violation[100] = { 0 };
	double began = cpu_s(), took;
	struct search_points answer;
	struct search s;
	struct rng rng;
	struct nasc_err err;

	zdt1->domain(var, n_vars, 2);
	cfg_defaults(ops->fields, &a, cfg, ops->cfg_size);
	rng_stream(&rng, 1, RNG_STRATEGY, 0);
	if (search_open(&s, ops, cfg, &domain, &a, &rng, EVALUATIONS, &err))
		return NAN;
	for (size_t told = 0; told < EVALUATIONS;) {
		size_t left = EVALUATIONS - told, n = ops->ask(&s, x, left < 100 ? left : 100);

		for (size_t i = 0; i < n; i++)
			zdt1->evaluate(x + i * n_vars, n_vars, f + 2 * i, 2);
		ops->tell(&s, x, f, violation, n);
		told += n;
	}
	took = cpu_s() - began;
	ops->answer(&s, &answer);
	*hypervolume = search_hypervolume(answer.f, answer.n, 2, ref, &a);
	arena_free(&a);
	return took;
}

static double unit(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return (double)(*s >> 11) * 0x1p-53;
}

/* Uniform in the unit cube, or on the positive part of the unit sphere. */
static double *points(struct arena *a, size_t n, size_t m, bool sphere)
{
	uint64_t s = 88172645463325252u;
	double *f = ARENA_NEW(a, double, n *m);

	for (size_t i = 0; i < n; i++) {
		double r = 0;

		for (size_t k = 0; k < m; k++) {
			double u = unit(&s);

			if (sphere)
				u = fabs(sqrt(-2 * log(u + 1e-300)) *
					 cos(2 * 3.14159265358979323846 * unit(&s)));
			f[i * m + k] = u;
			r += u * u;
		}
		for (size_t k = 0; sphere && k < m; k++)
			f[i * m + k] /= sqrt(r);
	}
	return f;
}

int main(int argc, char **argv)
{
	static const size_t size[] = { 1000, 10000, 100000 };
	const double ref[SEARCH_MAX_OBJECTIVES] = { 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1 };
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	struct json_writer w;
	struct arena a = { 0 };
	double value = 0, took;

	json_init(&w, stdout, false);
	if (json)
		json_list(&w, NULL);
	took = run_zdt1(&value);
	report(&w, json, "nsga2 zdt1", EVALUATIONS, 2, value, took);
	for (size_t i = 0; i < 3; i++)
		for (size_t m = 2; m <= 5; m++) {
			double *f = points(&a, size[i], m, false);
			uint32_t *rank = ARENA_NEW(&a, uint32_t, size[i]);
			double began = cpu_s();

			for (int r = 0; r < REPEATS; r++)
				value = (double)search_rank(f, size[i], m, rank, &a);
			report(&w, json, "rank", size[i], m, value, (cpu_s() - began) / REPEATS);
		}
	for (size_t m = 2; m <= 5; m++) {
		double *f = points(&a, 1000, m, true), began = cpu_s();

		for (int r = 0; r < REPEATS; r++)
			value = search_hypervolume(f, 1000, m, ref, &a);
		report(&w, json, "hypervolume", 1000, m, value, (cpu_s() - began) / REPEATS);
	}
	if (json)
		json_end(&w);
	arena_free(&a);
	return 0;
}
