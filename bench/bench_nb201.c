/* What a search and its surrogate reach on NAS-Bench-201, CIFAR-10: nb201 TABLE.csv [--runs N]
 * [--repeats N] [--json], in the root of the sources. The table's columns: configs/nb201.yaml. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"
#include "pool.h"
#include "study.h"

#define CONFIG "configs/nb201.yaml"
#define CELLS  15625
#define EDGES  6

struct options {
	const char *table;
	unsigned runs, repeats;
	bool json;
};

static void check(const struct nasc_err *err)
{
	if (err->code) {
		fprintf(stderr, "nb201: %s\n", err->msg);
		exit(1);
	}
}

/* ---- how well unseen cells are ranked ------------------------------------------------- */

struct cells {
	size_t size[SURROGATE_GROUPS], width;
	double *x, *first, *mean; /* errors */
};

static double look_up(struct study *s, const uint32_t *gene)
{
	struct eval_gene told[EDGES];
	struct eval_request request = { .gene = told, .n_genes = EDGES };
	struct eval_result r;

	for (size_t i = 0; i < EDGES; i++)
		told[i] = (struct eval_gene){ gene[i], s->space.gene[i].choice[gene[i]] };
	if (s->evaluator.ops->run(&s->evaluator, NULL, &request, &r) != EVAL_OK) {
		fprintf(stderr, "nb201: %s\n", r.why);
		exit(1);
	}
	return r.value[1];
}

static void open_study(const struct options *o, const char *seeds, const char *strategy,
		       const char *surrogate, unsigned evaluations, unsigned seed, struct arena *a,
		       struct study_config *c, struct study *s)
{
	struct nasc_err err = { 0 };
	char text[5][512];
	const char *set[5];

	snprintf(text[0], sizeof text[0], "evaluator.file=%s", o->table);
	snprintf(text[1], sizeof text[1], "evaluator.seeds=%s", seeds);
	snprintf(text[2], sizeof text[2], "strategy=%s", strategy);
	snprintf(text[3], sizeof text[3], "surrogate=%s", surrogate);
	snprintf(text[4], sizeof text[4], "stop={evaluations: %u}", evaluations);
	for (size_t i = 0; i < 5; i++)
		set[i] = text[i];
	if (!config_load(CONFIG, set, 5, a, c, &err)) {
		c->seed = seed;
		study_open(s, c, "configs/targets", true, a, &err);
	}
	check(&err);
}

static void fill_cells(struct study *first, struct study *mean, struct arena *a, struct cells *out)
{
	study_feature_sizes(first, out->size);
	out->width = out->size[0] + out->size[1];
	out->x = ARENA_NEW(a, double, CELLS * out->width);
	out->first = ARENA_NEW(a, double, CELLS);
	out->mean = ARENA_NEW(a, double, CELLS);
	for (uint32_t cell = 0; cell < CELLS; cell++) {
		struct arena_mark mark = arena_mark(a);
		uint32_t gene[EDGES], left = cell;
		double genes[EDGES], value[STUDY_MAX_METRICS];
		struct nasc_err err = { 0 };
		struct network net;
		uint64_t bounds;

		for (size_t i = EDGES; i-- > 0; left /= 5)
			genes[i] = gene[i] = left % 5;
		space_decode(&first->space, gene, a, &net);
		study_costs(first, &net, a, value, &bounds, &err);
		check(&err);
		study_features(first, genes, &net, value, a, out->x + cell * out->width);
		out->first[cell] = look_up(first, gene);
		out->mean[cell] = look_up(mean, gene);
		arena_rewind(a, mark);
	}
}

/* Spearman's correlation with the mean accuracy over the cells that were not learned. */
static double held_out(const struct cells *c, const double *label, size_t n, unsigned repeat)
{
	struct arena a = { 0 };
	uint32_t *order = ARENA_NEW(&a, uint32_t, CELLS);
	double *x = ARENA_NEW(&a, double, CELLS * c->width), *y = ARENA_NEW(&a, double, CELLS);
	double *guess = ARENA_NEW(&a, double, CELLS), *off = ARENA_NEW(&a, double, CELLS), rho;
	struct surrogate model;
	struct rng rng;

	rng_seed(&rng, repeat, n);
	for (uint32_t i = 0; i < CELLS; i++)
		order[i] = i;
	rng_shuffle_u32(&rng, order, CELLS);
	for (size_t i = 0; i < CELLS; i++) {
		memcpy(x + i * c->width, c->x + order[i] * c->width, c->width * sizeof *x);
		y[i] = i < n ? label[order[i]] : c->mean[order[i]];
	}
	surrogate_init(&model, c->size);
	if (!surrogate_fit(&model, x, y, n, &a))
		abort();
	surrogate_predict(&model, x + n * c->width, CELLS - n, guess, off, &a);
	rho = search_rank_correlation(guess, y + n, CELLS - n, &a);
	arena_free(&a);
	return rho;
}

static void print_held_out(const struct options *o, struct json_writer *w)
{
	static const size_t sizes[] = { 20, 50, 100, 200, 400 };
	struct arena a = { 0 };
	struct study_config c[2];
	struct study s[2];
	struct cells cells;

	open_study(o, "first", "{type: random}", "{type: none}", 1, 1, &a, &c[0], &s[0]);
	open_study(o, "mean", "{type: random}", "{type: none}", 1, 1, &a, &c[1], &s[1]);
	fill_cells(&s[0], &s[1], &a, &cells);
	if (w)
		json_list(w, "held_out");
	else
		printf("Spearman on the cells not learned, mean of %u repeats\n%8s %12s %12s %9s\n",
		       o->repeats, "learned", "mean of seeds", "one seed", "s a fit");
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		double mean = 0, first = 0, start = clock_s(), time;

		for (unsigned r = 0; r < o->repeats; r++)
			mean += held_out(&cells, cells.mean, sizes[i], r) / o->repeats;
		time = (clock_s() - start) / o->repeats;
		for (unsigned r = 0; r < o->repeats; r++)
			first += held_out(&cells, cells.first, sizes[i], r) / o->repeats;
		if (w) {
			json_object(w, NULL);
			json_u64(w, "learned", sizes[i]);
			json_real(w, "mean_of_seeds", mean);
			json_real(w, "one_seed", first);
			json_real(w, "fit_and_predict_s", time);
			json_end(w);
		} else {
			printf("%8zu %12.3f %12.3f %9.3f\n", sizes[i], mean, first, time);
		}
	}
	if (w)
		json_end(w);
	study_close(&s[0]);
	study_close(&s[1]);
	arena_free(&a);
}

/* ---- what a search finds ------------------------------------------------------------------ */

static const struct contender {
	const char *name, *strategy, *surrogate;
} contenders[] = {
	{ "random", "{type: random}", "{type: none}" },
	{ "nsga2", "{type: nsga2}", "{type: none}" },
	{ "sms_emoa", "{type: sms_emoa}", "{type: none}" },
	{ "amosa", "{type: amosa}", "{type: none}" },
	{ "regularized_evolution", "{type: regularized_evolution}", "{type: none}" },
	{ "regularized_evolution, 50", "{type: regularized_evolution, population: 50}",
	  "{type: none}" },
	{ "random, surrogate", "{type: random}", "{type: gp}" },
	{ "nsga2, surrogate", "{type: nsga2}", "{type: gp}" },
	{ "regularized_evolution, surrogate", "{type: regularized_evolution}", "{type: gp}" },
	{ "configs/nb201.yaml", "{type: regularized_evolution, population: 50}", "{type: gp}" },
};

struct runs {
	const struct options *o;
	const struct contender *who;
	unsigned evaluations;
	struct study *mean; /* of the seeds */
	double *accuracy;
};

/* True accuracy of the best by what was seen. */
static double accuracy_of_best(const char *path, struct study *mean)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	const struct cJSON *gene;
	uint32_t genes[EDGES] = { 0 };
	struct results r;
	size_t i = 0;

	results_load(&path, 1, &a, &r, &err);
	check(&err);
	cJSON_ArrayForEach(gene, r.row[0].genes)
	{
		const struct space_gene *g = &mean->space.gene[i];

		while (strcmp(g->choice[genes[i]], gene->valuestring) != 0)
			genes[i]++;
		i++;
	}
	results_close(&r);
	arena_free(&a);
	return 1 - look_up(mean, genes);
}

static void run_one(void *ctx, unsigned worker, size_t i)
{
	const struct runs *r = ctx;
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct study_summary sum;
	struct study_config c;
	struct study s;
	char out[] = "/tmp/bench-nb201-XXXXXX", journal[sizeof out + 8];
	struct study_options options = { .out = out, .jobs = 1 };
	int fd = mkstemp(out);

	(void)worker;
	if (fd < 0)
		abort();
	close(fd);
	unlink(out);
	open_study(r->o, "first", r->who->strategy, r->who->surrogate, r->evaluations,
		   (unsigned)i + 1, &a, &c, &s);
	study_run(&s, &options, &sum, &err);
	check(&err);
	r->accuracy[i] = accuracy_of_best(out, r->mean);
	snprintf(journal, sizeof journal, "%s.journal", out);
	unlink(out);
	unlink(journal);
	study_close(&s);
	arena_free(&a);
}

static double mean_accuracy(struct runs *r, struct pool *pool)
{
	double sum = 0;

	pool_run(pool, r->o->runs, run_one, r);
	for (unsigned i = 0; i < r->o->runs; i++)
		sum += r->accuracy[i];
	return sum / r->o->runs;
}

static void print_searches(const struct options *o, struct json_writer *w)
{
	static const unsigned evaluations[] = { 100, 200, 500 };
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct study_config c;
	struct study mean;
	struct pool *pool;
	struct runs r = { .o = o, .mean = &mean, .accuracy = ARENA_NEW(&a, double, o->runs) };

	open_study(o, "mean", "{type: random}", "{type: none}", 1, 1, &a, &c, &mean);
	pool_open(&pool, (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &err);
	check(&err);
	if (w)
		json_list(w, "searches");
	else
		printf("True accuracy of the best by one seed, mean of %u runs, after\n%-34s",
		       o->runs, "");
	for (size_t k = 0; !w && k < 3; k++)
		printf(" %9u", evaluations[k]);
	for (size_t i = 0; i < sizeof contenders / sizeof *contenders; i++) {
		double start = clock_s();

		r.who = &contenders[i];
		if (w) {
			json_object(w, NULL);
			json_string(w, "name", r.who->name);
			json_list(w, "accuracy");
		} else {
			printf("\n%-34s", r.who->name);
		}
		for (size_t k = 0; k < 3; k++) {
			double accuracy;

			r.evaluations = evaluations[k];
			accuracy = mean_accuracy(&r, pool);
			if (w)
				json_real(w, NULL, accuracy);
			else
				printf(" %8.3f%%", 100 * accuracy);
			fflush(stdout);
		}
		if (w) {
			json_end(w);
			json_real(w, "wall_s", clock_s() - start);
			json_end(w);
		} else {
			printf("   %.1f s", clock_s() - start);
		}
	}
	if (w)
		json_end(w);
	else
		putchar('\n');
	pool_close(pool);
	study_close(&mean);
	arena_free(&a);
}

int main(int argc, char **argv)
{
	struct options o = { .runs = 200, .repeats = 10 };
	struct json_writer w;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			o.json = true;
		else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc)
			o.runs = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--repeats") == 0 && i + 1 < argc)
			o.repeats = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (!o.table && argv[i][0] != '-')
			o.table = argv[i];
		else
			o.runs = 0;
	}
	if (!o.table || !o.runs || !o.repeats) {
		fprintf(stderr, "usage: nb201 TABLE.csv [--runs N] [--repeats N] [--json], in the "
				"root of the sources\n");
		return 2;
	}
	json_init(&w, stdout, false);
	if (o.json)
		json_object(&w, NULL);
	print_held_out(&o, o.json ? &w : NULL);
	print_searches(&o, o.json ? &w : NULL);
	if (o.json)
		json_end(&w);
	return 0;
}
