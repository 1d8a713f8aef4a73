/*
 * Which strategy is the better default: every one of the registry on every test problem
 * and on networks for a microcontroller, all at the same number of evaluations, with
 * several seeds.
 *
 * The figure of a run is the hypervolume of what the strategy holds in the end, up to the
 * problem's reference, as a part of that of the whole front: of 10,000 points of the known one
 * (2,000 in three objectives), and for the networks of all that any run of this
 * program found together. Every proposal counts, one that was made before too.
 *
 * What a strategy holds is a hundred points, or all that it found: that helps those which
 * keep all, most where the front is easy to reach. --archive measures the front of all that
 * was evaluated instead, which is what a study of networks reports; in three objectives
 * that can be more than the 2,000 points have.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "costmodels.h"
#include "json.h"
#include "search.h"
#include "space.h"

#define BATCH_MAX	 1000
#define STRATEGIES_MAX	 32
#define NETWORKS	 "densenet-stm32f746"
#define NETWORKS_DEFAULT 20000 /* evaluations */
#define EVALUATIONS	 25000
#define SEEDS_MAX	 1000
#define SETS_MAX	 32

struct options {
	size_t seeds;
	uint64_t evaluations; /* 0: the defaults */
	const char *strategy, *problem;
	const char *set[SETS_MAX]; /* key=value, of the one strategy */
	size_t n_sets;
	bool archive; /* measure the front of all evaluated */
	bool json;
};

static void must(enum nasc_status status, const struct nasc_err *err)
{
	if (status == NASC_OK)
		return;
	fprintf(stderr, "error: %s\n", err->msg);
	exit(nasc_exit_code(status));
}

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what is searched ------------------------------------------------------------- */

struct task {
	const char *name;
	struct search_domain domain;
	double reference[SEARCH_MAX_OBJECTIVES];
	const struct search_problem *problem; /* NULL: networks */
	struct networks *networks;
	double whole; /* hypervolume of the front that all are measured by; 0: not known */
};

/* Networks of the densenet space at its defaults for 32 x 32 x 3 images of 10 classes. */
struct networks {
	struct space space;
	struct costmodel size, mcu;
	size_t params, macs, sram, latency; /* indices of their metrics */
	uint32_t *gene;
	struct arena scratch;
};

static size_t metric_of(const struct costmodel *m, const char *key)
{
	for (size_t i = 0; i < m->ops->n_metrics; i++)
		if (strcmp(m->ops->metric[i].key, key) == 0)
			return i;
	abort();
}

/*
 * A stand-in for the error of a trained network. Power laws in parameters and in
 * MACs, as Rosenfeld et al. (ICLR 2020) found for width and depth, on a floor of 5 %;
 * what is deep for its width, or wide for its depth, does worse (Tan, Le, ICML 2019:
 * they are to grow together), which couples the genes; all saturates at chance, 90 %. The
 * constants are not fitted: they put 1,000 parameters near 50 % and 1,000,000 near 8 %.
 */
static double stand_in_error(double params, double macs, double depth)
{
	double width = sqrt(params / (9 * depth)), balance = log(width / depth);
	double raw =
		0.05 + 4 * pow(params, -0.33) + 12 * pow(macs, -0.35) + 0.01 * balance * balance;

	return 0.9 * (1 - exp(-raw / 0.9));
}

static void networks_canonical(double *x, void *ctx)
{
	struct networks *w = ctx;

	for (size_t i = 0; i < w->space.n_genes; i++)
		w->gene[i] = (uint32_t)x[i];
	w->space.ops->canonical(&w->space, w->gene);
	for (size_t i = 0; i < w->space.n_genes; i++)
		x[i] = w->gene[i];
}

/* Error, logarithms of SRAM and latency: networks come in all orders of magnitude, and
 * in their own units all but the largest would make up nearly the same volume. The
 * violation is the sum of relative excesses over the chip's memories, as in a study. */
static double networks_evaluate(struct networks *w, const double *x, double *f)
{
	struct arena_mark mark = arena_mark(&w->scratch);
	struct cost size = { .per_op = NULL }, mcu = { .per_op = NULL };
	struct cost_limit limit[COST_MAX_METRICS];
	size_t n_limits = w->mcu.ops->limits(&w->mcu, limit);
	double depth = 0, violation = 0;
	struct network net;
	struct nasc_err err = { 0 };

	for (size_t i = 0; i < w->space.n_genes; i++)
		w->gene[i] = (uint32_t)x[i];
	space_decode(&w->space, w->gene, &w->scratch, &net);
	must(w->size.ops->cost(&w->size, &net, &w->scratch, &size, &err), &err);
	must(w->mcu.ops->cost(&w->mcu, &net, &w->scratch, &mcu, &err), &err);
	for (size_t i = 0; i < net.n_ops; i++)
		depth += network_op_weights(&net, i) > 0;
	f[0] = stand_in_error(size.value[w->params], size.value[w->macs], depth);
	f[1] = log10(mcu.value[w->sram]);
	f[2] = log10(mcu.value[w->latency]);
	for (size_t i = 0; i < n_limits; i++)
		violation += fmax(mcu.value[limit[i].metric] / limit[i].max - 1, 0);
	arena_rewind(&w->scratch, mark);
	return violation;
}

static void networks_open(struct networks *w, struct task *t, struct arena *a)
{
	/* chance, the chip's SRAM, a second */
	const double reference[] = { 0.9, log10(327680), 0 };
	const struct space_ops *ops = space_find("densenet");
	void *cfg = arena_alloc(a, 1, ops->cfg_size, alignof(max_align_t));
	struct search_var *var;
	struct nasc_err err = { 0 };

	cfg_defaults(ops->fields, a, cfg, ops->cfg_size);
	must(space_open(&w->space, ops, cfg, (struct net_shape){ 32, 32, 3 }, 10, a, &err), &err);
	must(costmodel_open(&w->size, costmodel_find("size"), a, &err), &err);
	must(target_open(&w->mcu, "configs/targets", "stm32f746", a, &err), &err);
	w->params = metric_of(&w->size, "params");
	w->macs = metric_of(&w->size, "macs");
	w->sram = metric_of(&w->mcu, "sram_bytes");
	w->latency = metric_of(&w->mcu, "latency_s");
	w->gene = ARENA_NEW(a, uint32_t, w->space.n_genes);
	ARENA_NEW(&w->scratch, char, 1); /* its first block, kept when rewound */
	var = ARENA_NEW(a, struct search_var, w->space.n_genes);
	for (size_t i = 0; i < w->space.n_genes; i++)
		var[i] = (struct search_var){ 0, w->space.gene[i].n_values - 1, true };
	*t = (struct task){
		.name = NETWORKS,
		.domain = { .n_vars = w->space.n_genes,
			    .n_objectives = 3,
			    .var = var,
			    .canonical = networks_canonical,
			    .ctx = w },
		.networks = w,
	};
	memcpy(t->reference, reference, sizeof reference);
}

static void problem_open(const struct search_problem *p, struct task *t, struct arena *a)
{
	size_t m = p->max_objectives < 3 ? p->max_objectives : 3, n = m == 3 ? 2000 : 10000;
	struct search_var *var = ARENA_NEW(a, struct search_var, p->default_vars);
	double *f = ARENA_NEW(a, double, n *m);

	p->domain(var, p->default_vars, m);
	for (size_t i = 0; i < n; i++)
		p->front(i, n, p->default_vars, f + i * m, m);
	*t = (struct task){
		.name = p->name,
		.domain = { .n_vars = p->default_vars, .n_objectives = m, .var = var },
		.problem = p,
		.whole = search_hypervolume(f, n, m, p->reference, a),
	};
	memcpy(t->reference, p->reference, sizeof t->reference);
}

static double evaluate(const struct task *t, const double *x, double *f)
{
	if (!t->problem)
		return networks_evaluate(t->networks, x, f);
	return t->problem->evaluate(x, t->domain.n_vars, f, t->domain.n_objectives);
}

/* ---- one run --------------------------------------------------------------------- */

struct contender {
	const struct search_ops *ops;
	void *cfg;
	double rank_sum;
};

#define ARCHIVE_MOST 10000 /* as a study keeps */

struct front {
	size_t n;
	double *f;
};

/* What is feasible of what the strategy holds in the end. */
static struct front held(const struct search *s, struct arena *keep)
{
	struct front front = { 0, NULL };
	struct search_points answer;
	size_t m = s->domain->n_objectives;

	s->ops->answer(s, &answer);
	front.f = ARENA_NEW(keep, double, answer.n *m);
	for (size_t i = 0; i < answer.n; i++)
		if (answer.violation[i] == 0)
			memcpy(front.f + front.n++ * m, answer.f + i * m, m * sizeof *front.f);
	return front;
}

static struct front members(const struct search_archive *archive, struct arena *keep)
{
	struct front front = { archive->n, ARENA_NEW(keep, double, archive->n * archive->m) };

	search_archive_members(archive, front.f, NULL);
	return front;
}

static struct front run(const struct task *t, const struct contender *c, const struct options *o,
			uint64_t evaluations, uint64_t seed, struct arena *keep)
{
	const struct search_ops *ops = c->ops;
	struct arena a = { 0 };
	size_t n_vars = t->domain.n_vars, m = t->domain.n_objectives;
	double *x = ARENA_NEW(&a, double, BATCH_MAX *n_vars);
	double *f = ARENA_NEW(&a, double, BATCH_MAX *m),
	       *violation = ARENA_NEW(&a, double, BATCH_MAX);
	struct search_archive archive;
	struct front front;
	struct nasc_err err = { 0 };
	struct search s;
	struct rng rng;

	rng_stream(&rng, seed, RNG_STRATEGY, 0);
	must(search_open(&s, ops, c->cfg, &t->domain, &a, &rng, evaluations, &err), &err);
	search_archive_init(&archive, m, ARCHIVE_MOST, &a);
	for (uint64_t told = 0; told < evaluations;) {
		size_t cap = ops->batch(&s), n;

		cap = cap < BATCH_MAX ? cap : BATCH_MAX;
		cap = cap < evaluations - told ? cap : (size_t)(evaluations - told);
		n = ops->ask(&s, x, cap);
		for (size_t i = 0; i < n; i++) {
			uint32_t slot;

			violation[i] = evaluate(t, x + i * n_vars, f + i * m);
			if (o->archive && violation[i] == 0)
				search_archive_add(&archive, f + i * m, &slot);
		}
		ops->tell(&s, x, f, violation, n);
		told += n;
	}
	front = o->archive ? members(&archive, keep) : held(&s, keep);
	arena_free(&a);
	return front;
}

static double volume(const struct task *t, const struct front *front)
{
	struct arena a = { 0 };
	double v = search_hypervolume(front->f, front->n, t->domain.n_objectives, t->reference, &a);

	arena_free(&a);
	return v;
}

/* ---- all of them ------------------------------------------------------------------- */

struct bench {
	struct options options;
	size_t n_contenders, n_tasks;
	struct contender contender[STRATEGIES_MAX];
	struct task *task;
	double *median; /* n_tasks * n_contenders */
	struct json_writer w;
	struct arena arena;
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of sorted values, linear between them. */
static double quantile(const double *v, size_t n, double q)
{
	double at = q * (double)(n - 1);
	size_t i = (size_t)at;

	return i + 1 < n ? v[i] + (at - (double)i) * (v[i + 1] - v[i]) : v[n - 1];
}

/* @v: the volumes of all seeds, sorted. */
static void report(struct bench *b, const struct task *t, const struct contender *c,
		   uint64_t evaluations, const double *v, double run_cpu_s)
{
	size_t n = b->options.seeds;

	if (!b->options.json) {
		printf("%-20s %-22s %.5f [%.5f %.5f] %8.3f s\n", t->name, c->ops->name,
		       quantile(v, n, 0.5), quantile(v, n, 0.25), quantile(v, n, 0.75), run_cpu_s);
		fflush(stdout);
		return;
	}
	json_object(&b->w, NULL);
	json_string(&b->w, "problem", t->name);
	json_string(&b->w, "strategy", c->ops->name);
	json_u64(&b->w, "variables", t->domain.n_vars);
	json_u64(&b->w, "objectives", t->domain.n_objectives);
	json_u64(&b->w, "evaluations", evaluations);
	json_u64(&b->w, "seeds", n);
	json_real(&b->w, "median", quantile(v, n, 0.5));
	json_real(&b->w, "lower_quartile", quantile(v, n, 0.25));
	json_real(&b->w, "upper_quartile", quantile(v, n, 0.75));
	json_real(&b->w, "cpu_s", run_cpu_s);
	json_end(&b->w);
}

/* The fronts of all runs in one. */
static double union_volume(const struct task *t, const struct front *front, size_t n)
{
	size_t m = t->domain.n_objectives;
	struct arena a = { 0 };
	struct front all = { 0, NULL };
	double v;

	for (size_t i = 0; i < n; i++)
		all.n += front[i].n;
	all.f = ARENA_NEW(&a, double, all.n *m);
	all.n = 0;
	for (size_t i = 0; i < n; i++) {
		if (front[i].n)
			memcpy(all.f + all.n * m, front[i].f, front[i].n * m * sizeof *all.f);
		all.n += front[i].n;
	}
	v = volume(t, &all);
	arena_free(&a);
	return v;
}

static void run_task(struct bench *b, struct task *t, double *median)
{
	size_t seeds = b->options.seeds, runs = seeds * b->n_contenders;
	uint64_t evaluations = t->problem ? EVALUATIONS : NETWORKS_DEFAULT;
	struct arena a = { 0 };
	struct front *front = ARENA_NEW(&a, struct front, runs);
	double *v = ARENA_NEW(&a, double, runs), *took = ARENA_NEW(&a, double, b->n_contenders);

	if (b->options.evaluations)
		evaluations = b->options.evaluations;
	for (size_t c = 0; c < b->n_contenders; c++) {
		double began = cpu_s();

		for (size_t s = 0; s < seeds; s++)
			front[c * seeds + s] =
				run(t, &b->contender[c], &b->options, evaluations, s + 1, &a);
		took[c] = (cpu_s() - began) / (double)seeds;
	}
	if (!t->problem)
		t->whole = union_volume(t, front, runs);
	for (size_t c = 0; c < b->n_contenders; c++) {
		double *of = v + c * seeds;

		for (size_t s = 0; s < seeds; s++)
			of[s] = volume(t, &front[c * seeds + s]) / t->whole;
		qsort(of, seeds, sizeof *of, by_value);
		median[c] = quantile(of, seeds, 0.5);
		report(b, t, &b->contender[c], evaluations, of, took[c]);
	}
	arena_free(&a);
}

/* 1 for the best; equal ones share the mean of their places. */
static double rank_among(const double *median, size_t n, size_t c)
{
	double rank = 1;

	for (size_t i = 0; i < n; i++)
		rank += i == c ? 0 : median[i] > median[c] ? 1 : median[i] == median[c] ? 0.5 : 0;
	return rank;
}

static void summarise(struct bench *b)
{
	size_t n = b->n_contenders;

	for (size_t t = 0; t < b->n_tasks; t++)
		for (size_t c = 0; c < n; c++)
			b->contender[c].rank_sum += rank_among(b->median + t * n, n, c);
	if (b->options.json) {
		json_end(&b->w);
		json_object(&b->w, "mean_rank");
		for (size_t c = 0; c < n; c++)
			json_real(&b->w, b->contender[c].ops->name,
				  b->contender[c].rank_sum / (double)b->n_tasks);
		json_end(&b->w);
		json_end(&b->w);
		return;
	}
	printf("\n%-20s", "median");
	for (size_t c = 0; c < n; c++)
		printf(" %*s", (int)fmax(7, (double)strlen(b->contender[c].ops->name)),
		       b->contender[c].ops->name);
	for (size_t t = 0; t < b->n_tasks; t++) {
		printf("\n%-20s", b->task[t].name);
		for (size_t c = 0; c < n; c++)
			printf(" %*.5f", (int)fmax(7, (double)strlen(b->contender[c].ops->name)),
			       b->median[t * n + c]);
	}
	printf("\n%-20s", "mean rank");
	for (size_t c = 0; c < n; c++)
		printf(" %*.2f", (int)fmax(7, (double)strlen(b->contender[c].ops->name)),
		       b->contender[c].rank_sum / (double)b->n_tasks);
	puts("");
}

/* ---- the command line -------------------------------------------------------------- */

static _Noreturn void usage(const char *fault)
{
	fprintf(stderr,
		"error: %s\n"
		"usage: strategies [--seeds N] [--evaluations N] [--strategy NAME [--set "
		"KEY=VALUE]..]\n"
		"                  [--problem NAME] [--archive] [--json], in the root of the "
		"source\n",
		fault);
	exit(2);
}

static uint64_t number(const char *text, uint64_t most)
{
	char *end;
	unsigned long long v = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || v == 0 || v > most)
		usage("a number is out of range");
	return v;
}

static void read_options(int argc, char **argv, struct options *o)
{
	*o = (struct options){ .seeds = 5 };
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--json") == 0) {
			o->json = true;
			continue;
		}
		if (strcmp(argv[i], "--archive") == 0) {
			o->archive = true;
			continue;
		}
		if (strcmp(argv[i], "--seeds") == 0)
			o->seeds = (size_t)number(value, SEEDS_MAX);
		else if (strcmp(argv[i], "--evaluations") == 0)
			o->evaluations = number(value, 1000000000);
		else if (strcmp(argv[i], "--strategy") == 0)
			o->strategy = value;
		else if (strcmp(argv[i], "--problem") == 0)
			o->problem = value;
		else if (strcmp(argv[i], "--set") == 0 && o->n_sets < SETS_MAX)
			o->set[o->n_sets++] = value;
		else
			usage("unknown option");
		i++;
	}
	if (o->n_sets && !o->strategy)
		usage("--set needs --strategy");
}

static void *strategy_cfg(struct bench *b, const struct search_ops *ops)
{
	void *cfg = arena_alloc(&b->arena, 1, ops->cfg_size, alignof(max_align_t));
	struct nasc_err err = { 0 };
	struct yaml_doc doc;

	must(yaml_parse("--set", "{}", 2, &b->arena, &doc, &err), &err);
	for (size_t i = 0; i < b->options.n_sets; i++) {
		char *key = arena_strdup(&b->arena, b->options.set[i]), *eq = strchr(key, '=');

		if (!eq)
			usage("--set expects KEY=VALUE");
		*eq = '\0';
		must(yaml_set(&doc, &b->arena, key, eq + 1, &err), &err);
	}
	must(cfg_load(ops->fields, &doc, doc.root, NULL, &b->arena, cfg, ops->cfg_size, &err),
	     &err);
	return cfg;
}

static void open_all(struct bench *b)
{
	const struct options *o = &b->options;
	size_t n = 0;

	for (size_t i = 0; search_registry[i]; i++)
		if (!o->strategy || strcmp(o->strategy, search_registry[i]->name) == 0) {
			if (b->n_contenders == STRATEGIES_MAX)
				abort();
			b->contender[b->n_contenders++] =
				(struct contender){ .ops = search_registry[i],
						    .cfg = strategy_cfg(b, search_registry[i]) };
		}
	while (search_problems[n])
		n++;
	b->task = ARENA_NEW(&b->arena, struct task, n + 1);
	for (size_t i = 0; i < n; i++)
		if (!o->problem || strcmp(o->problem, search_problems[i]->name) == 0)
			problem_open(search_problems[i], &b->task[b->n_tasks++], &b->arena);
	if (!o->problem || strcmp(o->problem, NETWORKS) == 0)
		networks_open(ARENA_NEW(&b->arena, struct networks, 1), &b->task[b->n_tasks++],
			      &b->arena);
	if (!b->n_contenders)
		usage("unknown strategy");
	if (!b->n_tasks)
		usage("unknown problem");
	b->median = ARENA_NEW(&b->arena, double, b->n_tasks * b->n_contenders);
}

int main(int argc, char **argv)
{
	static struct bench b;

	read_options(argc, argv, &b.options);
	open_all(&b);
	json_init(&b.w, stdout, false);
	if (b.options.json) {
		json_object(&b.w, NULL);
		json_list(&b.w, "results");
	}
	for (size_t t = 0; t < b.n_tasks; t++)
		run_task(&b, &b.task[t], b.median + t * b.n_contenders);
	summarise(&b);
	for (size_t t = 0; t < b.n_tasks; t++)
		if (b.task[t].networks)
			arena_free(&b.task[t].networks->scratch);
	arena_free(&b.arena);
	return 0;
}
