#define _XOPEN_SOURCE 700 /* nftw() */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "private.h"
#include "scratch.h"

TestSuite(study, .init = begin, .fini = finish);

/* ---- bounds ---------------------------------------------------------------------- */

static const struct metric cheap = { "sram_bytes", "sram", UNIT_BYTE, false, false, "" },
			   dear = { "accuracy", "accuracy", UNIT_FRACTION, true, false, "" };

/* Excess over the bound in parts of the bound, summed; over a bound of 0 as it is. */
Test(study, violation)
{
	struct study s = { .n_metrics = 3, .n_bounds = 4 };
	const struct study_bound *worst = NULL;

	s.metric[0].metric = s.metric[1].metric = &cheap;
	s.metric[2].metric = &dear;
	s.metric[2].dear = true;
	s.bound[0] = (struct study_bound){ .metric = 0, .upper = true, .value = 100 };
	s.bound[1] = (struct study_bound){ .metric = 0, .upper = false, .value = 10 };
	s.bound[2] = (struct study_bound){ .metric = 1, .upper = true, .value = 0 };
	s.bound[3] = (struct study_bound){ .metric = 2, .upper = false, .value = 0.8 };
	/* at the bounds is within them */
	cr_expect_eq(study_violation(&s, (double[]){ 100, 0, 0.8 }, true, &worst), 0);
	cr_expect_eq(study_violation(&s, (double[]){ 10, -5, 1 }, true, &worst), 0);
	cr_expect_null(worst);
	/* 150 for at most 100: 1/2. 3 for at most 0: 3. 0.6 for at least 0.8: 1/4 */
	cr_expect_float_eq(study_violation(&s, (double[]){ 150, 0, 0.6 }, true, NULL), 0.75, 1e-12);
	cr_expect_float_eq(study_violation(&s, (double[]){ 150, 3, 0.6 }, true, &worst), 3.75,
			   1e-12);
	cr_expect_eq(worst, &s.bound[2]);
	/* 5 for at least 10: 1/2 */
	cr_expect_float_eq(study_violation(&s, (double[]){ 5, 0, 0.6 }, true, &worst), 0.75, 1e-12);
	cr_expect_eq(worst, &s.bound[1]);
	/* the evaluator has not run: its figure does not count */
	cr_expect_float_eq(study_violation(&s, (double[]){ 150, 0, NAN }, false, &worst), 0.5,
			   1e-12);
	cr_expect_eq(worst, &s.bound[0]);
	cr_expect_eq(study_violation(&s, (double[]){ NAN, NAN, NAN }, true, NULL), 0);
}

/* ---- a whole run ------------------------------------------------------------------ */

/* 64 networks on 8x8 images; two that would be on the front need one byte more than
 * allowed. */
#define TINY_SPACE                                                                                 \
	"space: {type: densenet, blocks: 1, layers: [1, 2], growth: [4, 8], kernel: [1, 3],\n"     \
	"  bottleneck: off, bottleneck_factor: 2, compression: 50, stem_width: [8, 12, 16, 24],\n" \
	"  stem_kernel: 3, stem_stride: [1, 2], activation: relu, transition_pool: avg}\n"         \
	"input: {height: 8, width: 8, channels: 1, classes: 4}\ntargets: [stm32f746]\n"
#define TINY	       TINY_SPACE "objectives: [sram, max params, macs]\nconstraints: {sram: \"<= 959\"}\n"
#define TINY_SIZE      64
#define TINY_OBJECTIVE 3

struct points {
	size_t n;
	double f[TINY_SIZE][TINY_OBJECTIVE];
};

static void open_study(const char *yaml, struct study_config *c, struct study *s)
{
	struct nasc_err err = { 0 };

	write_file("c.yaml", yaml);
	cr_assert_eq(config_load("c.yaml", NULL, 0, &arena, c, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(study_open(s, c, source("configs/targets"), true, &arena, &err), NASC_OK, "%s",
		     err.msg);
}

/* Scores of every genome there is, what breaks a bound left out. */
static size_t enumerate(const struct study *s, struct points *out)
{
	const struct space *space = &s->space;
	uint32_t *gene = ARENA_NEW(&arena, uint32_t, space->n_genes),
		 *same = ARENA_NEW(&arena, uint32_t, space->n_genes);
	size_t networks = 0, i;

	out->n = 0;
	do {
		double value[STUDY_MAX_METRICS];
		uint64_t bounds;
		struct network net;
		struct nasc_err err = { 0 };

		memcpy(same, gene, space->n_genes * sizeof *gene);
		space->ops->canonical(space, same);
		if (!memcmp(same, gene, space->n_genes * sizeof *gene)) {
			networks++;
			space_decode(space, gene, &arena, &net);
			cr_assert_eq(study_costs(s, &net, &arena, value, &bounds, &err), NASC_OK);
			if (study_violation(s, value, false, NULL) == 0) {
				for (size_t k = 0; k < s->n_objectives; k++)
					out->f[out->n][k] =
						(s->maximise[k] ? -1 : 1) * value[s->objective[k]];
				out->n++;
			}
		}
		for (i = 0; i < space->n_genes && ++gene[i] == space->gene[i].n_values; i++)
			gene[i] = 0;
	} while (i < space->n_genes);
	return networks;
}

static bool dominated(const struct points *p, const double *f)
{
	for (size_t j = 0; j < p->n; j++) {
		bool no_worse = true, better = false;

		for (size_t k = 0; k < TINY_OBJECTIVE; k++) {
			no_worse &= p->f[j][k] <= f[k];
			better |= p->f[j][k] < f[k];
		}
		if (no_worse && better)
			return true;
	}
	return false;
}

static bool among(const struct results *r, const double *f)
{
	for (size_t i = 0; i < r->n; i++)
		if (!memcmp(r->row[i].f, f, TINY_OBJECTIVE * sizeof *f))
			return true;
	return false;
}

static struct study_summary run(struct study *s, const char *out, unsigned jobs,
				enum nasc_status want)
{
	struct study_options o = { .out = out, .jobs = jobs };
	struct study_summary sum = { 0 };
	struct nasc_err err = { 0 };

	cr_assert_eq(study_run(s, &o, &sum, &err), want, "%s", err.msg);
	return sum;
}

static void load(const char *path, struct results *r)
{
	struct nasc_err err = { 0 };

	cr_assert_eq(results_load(&path, 1, &arena, r, &err), NASC_OK, "%s", err.msg);
}

/* Asked for all candidates or for more, every strategy ends with the true front. */
Test(study, exhausts_a_tiny_space)
{
	static const char *const ends[] = {
		"strategy: {type: random, batch: 7}\nstop: {evaluations: 64}\n",
		"strategy: {type: random, batch: 50}\nstop: {evaluations: 1000}\n",
		"strategy: {type: nsga2, population: 70}\nstop: {evaluations: 1000}\n",
	};

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		char yaml[1024], out[32];
		struct study_config c;
		struct study s;
		struct points all;
		struct results r;
		struct study_summary sum;
		size_t n_front = 0;

		snprintf(yaml, sizeof yaml, "%s%s", TINY, ends[i]);
		snprintf(out, sizeof out, "r%zu.json", i);
		open_study(yaml, &c, &s);
		cr_assert_eq(enumerate(&s, &all), TINY_SIZE);
		cr_assert(all.n > 5 && all.n < TINY_SIZE, "%zu keep the bound", all.n);
		sum = run(&s, out, 2, NASC_OK);
		cr_expect_eq(sum.evaluations, TINY_SIZE, "%s", ends[i]);
		cr_expect_str_eq(sum.stop_reason, i ? "space exhausted" : "evaluations");
		load(out, &r);
		cr_expect_eq(r.n, sum.front);
		for (size_t k = 0; k < r.n; k++)
			cr_expect_not(dominated(&all, r.row[k].f));
		for (size_t k = 0; k < all.n; k++)
			if (!dominated(&all, all.f[k])) {
				n_front++;
				cr_expect(among(&r, all.f[k]), "%s: misses %g %g %g", ends[i],
					  all.f[k][0], all.f[k][1], all.f[k][2]);
			}
		cr_expect(n_front > 2);
		cr_expect_eq(r.n, n_front, "%s: %zu rows, not %zu", ends[i], r.n, n_front);
		results_close(&r);
		study_close(&s);
	}
}

static int by_first(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (x[0] > y[0]) - (x[0] < y[0]);
}

/* Strips from left to right, each from its point's level up to the best so far. */
static double area(struct points *p, const double *ref)
{
	double level = ref[1], sum = 0;

	qsort(p->f, p->n, sizeof *p->f, by_first);
	for (size_t i = 0; i < p->n; i++)
		if (p->f[i][0] < ref[0] && p->f[i][1] < level) {
			sum += (ref[0] - p->f[i][0]) * (level - p->f[i][1]);
			level = p->f[i][1];
		}
	return sum / fabs(ref[0] * ref[1]);
}

/* The worst corner is the config's, else the bound, else the worst of the first round, here of
 * everything; both objectives are scaled by it. */
Test(study, hypervolume_against_enumeration)
{
	static const struct {
		const char *yaml;
		double ref[2]; /* NAN: the worst there is */
	} cases[] = {
		{ "constraints: {params: \">= 300\", sram: \"<= 2 KiB\"}\n", { 2048, -300 } },
		{ "constraints: {params: \">= 300\", sram: \"<= 2 KiB\"}\n"
		  "reference: {params: 100, sram: 1 KiB}\n",
		  { 1024, -100 } },
		{ "", { 320 * 1024, NAN } }, /* the board's SRAM */
		{ "fit_targets: false\n", { NAN, NAN } },
		{ "reference: {sram: 1000}\n", { 1000, NAN } },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char yaml[1024], out[32];
		struct study_config c;
		struct study s;
		struct points all;
		struct study_summary sum;
		double ref[2];

		snprintf(yaml, sizeof yaml,
			 TINY_SPACE "objectives: [sram, max params]\nstrategy: {type: random, "
				    "batch: 1000}\nstop: {evaluations: 1000}\n%s",
			 cases[i].yaml);
		snprintf(out, sizeof out, "h%zu.json", i);
		open_study(yaml, &c, &s);
		enumerate(&s, &all);
		for (size_t k = 0; k < 2; k++) {
			ref[k] = cases[i].ref[k];
			for (size_t j = 0; isnan(cases[i].ref[k]) && j < all.n; j++)
				ref[k] = fmax(ref[k], all.f[j][k]);
		}
		sum = run(&s, out, 2, NASC_OK);
		cr_expect_float_eq(sum.hypervolume, area(&all, ref), 1e-12, "%s%.15g %.15g",
				   cases[i].yaml, sum.hypervolume, area(&all, ref));
		cr_expect(sum.hypervolume > 0.01);
		study_close(&s);
	}
}

Test(study, nothing_feasible)
{
	struct study_config c;
	struct study s;
	struct study_summary sum;
	struct results r;

	open_study(TINY "strategy: {type: random, batch: 7}\nstop: {evaluations: 30}\n"
			"reference: {sram: 1}\n",
		   &c, &s);
	s.bound[0].value = 1; /* one byte */
	sum = run(&s, "r.json", 1, NASC_INFEASIBLE);
	cr_expect_eq(sum.evaluations, 30u);
	cr_expect_eq(sum.front, 0u);
	load("r.json", &r);
	cr_expect_eq(r.n, 0u);
	results_close(&r);
	study_close(&s);
}

Test(study, results_in_the_way_and_unwritable)
{
	struct study_options o = { .out = "r.json", .jobs = 1 };
	struct study_summary sum;
	struct study_config c;
	struct study s;
	struct nasc_err err = { 0 };

	open_study(TINY "stop: {evaluations: 5}\n", &c, &s);
	write_file("r.json", "old");
	cr_expect_eq(study_run(&s, &o, &sum, &err), NASC_USAGE);
	cr_expect_str_eq(err.msg, "r.json:1:1: not valid JSON; give another --out");
	err = (struct nasc_err){ 0 };
	o.resume = true; /* no results at all are not replaced */
	cr_expect_eq(study_run(&s, &o, &sum, &err), NASC_DATA);
	cr_expect_str_eq(err.msg, "r.json:1:1: not valid JSON");
	err = (struct nasc_err){ 0 };
	o.out = "missing/r.json";
	cr_expect_eq(study_run(&s, &o, &sum, &err), NASC_FAIL);
	cr_expect_str_eq(err.msg, "missing/r.json: cannot create: No such file or directory");
	study_close(&s);
}

/* Costs are computed anew in microseconds, but another run's results stay. */
Test(study, resume_replaces_only_its_own_results)
{
	struct study_options o = { .out = "r.json", .jobs = 1, .resume = true };
	struct study_summary sum;
	struct study_config c;
	struct study s;
	struct nasc_err err = { 0 };

	open_study(TINY "stop: {evaluations: 5}\n", &c, &s);
	run(&s, "r.json", 1, NASC_OK);
	study_close(&s);
	open_study(TINY "seed: 2\nstop: {evaluations: 5}\n", &c, &s);
	cr_expect_eq(study_run(&s, &o, &sum, &err), NASC_CONFIG);
	cr_expect_str_eq(err.msg, "r.json: belongs to a run with another seed, space, data or "
				  "evaluator; give that config, or another --out");
	study_close(&s);
	err = (struct nasc_err){ 0 };
	open_study(TINY "strategy: {type: nsga2}\nstop: {evaluations: 9}\n", &c, &s);
	cr_expect_eq(study_run(&s, &o, &sum, &err), NASC_OK, "%s", err.msg);
	cr_expect_eq(sum.evaluations, 9u);
	study_close(&s);
}
