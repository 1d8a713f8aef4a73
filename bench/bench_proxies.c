/* Zero-cost proxies against trained accuracy, and how fast they are.
 *
 * The cells of NAS-Bench-201 of a table (NASLib's, with the validation accuracy of
 * each trained cell) are built as the space nb201 does; every proxy scores them on
 * images of CIFAR-10's first training file. Printed: Spearman's and Kendall's (tau-b)
 * correlation with the accuracy, over all, over the best fifth and over the best tenth
 * by accuracy; networks a second of processor time, by one thread.
 *
 * usage: proxies --table nb201_zc_725.csv --images DIR [--json] [--cells N] [--seed N]
 *                [--values FILE] [--set NAME=YAML ...] [NAME ...]
 * DIR holds data_batch_1.bin ... of CIFAR-10. --seed: of weights, images and reference
 * networks (1). --values: every cell's scores as rows "proxy,cell,accuracy,score". --set
 * gives an evaluator other keys: --set "naswot={repeats: 1}". NAME: these only. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "evaluators.h"
#include "rng.h"
#include "space.h"

#define CELLS_MAX    1024
#define SETTINGS_MAX 16

struct bench {
	uint64_t seed;
	FILE *values; /* or NULL */
	struct arena arena;
	struct dataset train, validation;
	struct space space;
	size_t n;
	uint32_t gene[CELLS_MAX][6];
	double accuracy[CELLS_MAX];
	size_t n_settings;
	const char *setting[SETTINGS_MAX];
	bool json;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "proxies: %s: %s\n", what, why);
	exit(1);
}

/* Other programs on the machine do not count. */
static double processor_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- cells and their accuracies ------------------------------------------------- */

/* Rows "cifar10,133220,"(0, 2, ...)",params,flops,val_accuracy,..." */
static void table_read(struct bench *b, const char *path, size_t most)
{
	FILE *fp = fopen(path, "r");
	char line[2048];

	if (!fp)
		die(path, "cannot be opened");
	while (b->n < most && fgets(line, sizeof line, fp)) {
		char *at = strstr(line, ")\",");

		if (strncmp(line, "cifar10,", 8) != 0 || !at)
			continue;
		for (int i = 0; i < 6; i++) {
			if (line[8 + i] < '0' || line[8 + i] > '4')
				die(path, "a cell is not six digits from 0 to 4");
			b->gene[b->n][i] = (uint32_t)(line[8 + i] - '0');
		}
		strtod(at + 3, &at); /* parameters */
		strtod(at + 1, &at); /* operations */
		b->accuracy[b->n++] = strtod(at + 1, NULL);
	}
	fclose(fp);
	if (b->n < 3)
		die(path, "holds no cells for cifar10");
}

static void data_open(struct bench *b, const char *directory)
{
	struct data_cfg *cfg = ARENA_NEW(&b->arena, struct data_cfg, 1);
	char text[4096];
	struct yaml_doc doc;
	struct nasc_err err = { 0 };

	snprintf(text, sizeof text, "{format: cifar10, directory: %s}", directory);
	if (yaml_parse("--images", text, strlen(text), &b->arena, &doc, &err) ||
	    cfg_load(data_fields, &doc, doc.root, NULL, &b->arena, cfg, sizeof *cfg, &err) ||
	    dataset_open_train(cfg, b->seed, &b->arena, &b->train, &b->validation, &err))
		die(directory, err.msg);
}

static void space_make(struct bench *b)
{
	const struct space_ops *ops = space_find("nb201");
	void *cfg = arena_alloc(&b->arena, 1, ops->cfg_size, alignof(max_align_t));
	struct nasc_err err = { 0 };

	cfg_defaults(ops->fields, &b->arena, cfg, ops->cfg_size);
	if (space_open(&b->space, ops, cfg, b->train.shape, b->train.classes, &b->arena, &err))
		die("nb201", err.msg);
}

/* ---- rank correlation --------------------------------------------------------------- */

struct ranks {
	double rho, tau;
};

static int sign_of(double x)
{
	return (x > 0) - (x < 0);
}

/* Of the pairs with accuracy of at least @least. Ties by their mean rank (rho), tau-b. */
static struct ranks correlate(const double *a, const double *b, const double *accuracy,
			      double least, size_t n)
{
	double xy = 0, xx = 0, yy = 0, agree = 0, untied_a = 0, untied_b = 0;

	for (size_t i = 0; i < n; i++) {
		double x = 0, y = 0;

		if (accuracy[i] < least)
			continue;
		for (size_t j = 0; j < n; j++) {
			int p = sign_of(a[i] - a[j]), q = sign_of(b[i] - b[j]);

			if (accuracy[j] < least)
				continue;
			x += p;
			y += q;
			agree += p * q;
			untied_a += p != 0;
			untied_b += q != 0;
		}
		xy += x * y;
		xx += x * x;
		yy += y * y;
	}
	return (struct ranks){ xy / sqrt(xx * yy), agree / sqrt(untied_a * untied_b) };
}

static int compare_down(const void *a, const void *b)
{
	double p = *(const double *)a, q = *(const double *)b;

	return (p < q) - (p > q);
}

/* The accuracy that @part of the cells reach. */
static double accuracy_of_best(const struct bench *b, double part)
{
	double sorted[CELLS_MAX];

	memcpy(sorted, b->accuracy, b->n * sizeof *sorted);
	qsort(sorted, b->n, sizeof *sorted, compare_down);
	return sorted[(size_t)(part * (double)b->n) - 1];
}

static void report(const struct bench *b, const char *name, const double *value, size_t failed,
		   double seconds)
{
	const double part[3] = { 1, 0.2, 0.1 };
	struct ranks r[3];

	for (int i = 0; i < 3; i++)
		r[i] = correlate(value, b->accuracy, b->accuracy, accuracy_of_best(b, part[i]),
				 b->n);
	for (size_t i = 0; i < b->n && b->values; i++) {
		const uint32_t *g = b->gene[i];

		fprintf(b->values, "%s,%u%u%u%u%u%u,%g,%.17g\n", name, g[0], g[1], g[2], g[3], g[4],
			g[5], b->accuracy[i], value[i]);
	}
	if (b->json)
		printf("{\"proxy\": \"%s\", \"cells\": %zu, \"failed\": %zu, \"rho\": %.3f, "
		       "\"tau\": %.3f, \"rho_best_20\": %.3f, \"tau_best_20\": %.3f, "
		       "\"rho_best_10\": %.3f, \"tau_best_10\": %.3f, \"networks_per_s\": %.1f}\n",
		       name, b->n, failed, r[0].rho, r[0].tau, r[1].rho, r[1].tau, r[2].rho,
		       r[2].tau, (double)b->n / seconds);
	else
		printf("%-22s rho %6.3f tau %6.3f   best 20 %%: %6.3f %6.3f   best 10 %%: %6.3f "
		       "%6.3f   %9.1f networks/s%s\n",
		       name, r[0].rho, r[0].tau, r[1].rho, r[1].tau, r[2].rho, r[2].tau,
		       (double)b->n / seconds, failed ? "  (some failed)" : "");
	fflush(stdout);
}

/* ---- one evaluator --------------------------------------------------------------------- */

static const char *setting_of(const struct bench *b, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < b->n_settings; i++)
		if (strncmp(b->setting[i], name, length) == 0 && b->setting[i][length] == '=')
			return b->setting[i] + length + 1;
	return "{}";
}

static void sample(const void *space, uint64_t seed, uint64_t i, struct arena *a,
		   struct network *out)
{
	const struct space *s = space;
	uint32_t gene[6];
	struct rng rng;

	rng_stream(&rng, seed, RNG_REFERENCE, i);
	space_sample(s, &rng, gene);
	space_decode(s, gene, a, out);
}

static void evaluator_make(struct bench *b, const struct evaluator_ops *ops, struct evaluator *e)
{
	const char *text = setting_of(b, ops->name);
	void *cfg = arena_alloc(&b->arena, 1, ops->cfg_size, alignof(max_align_t));
	struct nasc_err err = { 0 };
	struct yaml_doc doc;

	*e = (struct evaluator){
		.ops = ops, .cfg = cfg, .arena = &b->arena, .sample = sample, .space = &b->space
	};
	if (ops->needs_data) {
		e->train = &b->train;
		e->validation = &b->validation;
	}
	if (yaml_parse("--set", text, strlen(text), &b->arena, &doc, &err) ||
	    cfg_load(ops->fields, &doc, doc.root, NULL, &b->arena, cfg, ops->cfg_size, &err) ||
	    (ops->open && ops->open(e, &err)))
		die(ops->name, err.msg);
}

/* Of cell @i: false where it has no score. */
static bool score(struct bench *b, struct evaluator *e, void *worker, size_t i,
		  struct eval_result *result)
{
	struct arena_mark mark = arena_mark(&b->arena);
	struct network net;
	struct eval_request request = { .id = i, .seed = b->seed, .net = &net };
	enum eval_outcome outcome;

	space_decode(&b->space, b->gene[i], &b->arena, &net);
	outcome = e->ops->run(e, worker, &request, result);
	arena_rewind(&b->arena, mark);
	return outcome == EVAL_OK;
}

static void evaluator_run(struct bench *b, const struct evaluator_ops *ops)
{
	static double value[EVAL_MAX_METRICS][CELLS_MAX];
	struct nasc_err err = { 0 };
	struct evaluator e;
	size_t failed = 0;
	void *worker = NULL;
	double start;

	evaluator_make(b, ops, &e);
	if (ops->worker_open && ops->worker_open(&e, &worker, &err))
		die(ops->name, err.msg);
	start = processor_s();
	for (size_t i = 0; i < b->n; i++) {
		struct eval_result result = { .value = { 0 } };
		bool scored = score(b, &e, worker, i, &result);

		failed += !scored;
		for (size_t k = 0; k < ops->n_metrics; k++)
			value[k][i] = !scored			? -(double)INFINITY
				      : ops->metric[k].maximise ? result.value[k]
								: -result.value[k];
	}
	for (size_t k = 0; k < ops->n_metrics; k++)
		if (evaluator_measures(ops, e.cfg, k))
			report(b, ops->metric[k].key, value[k], failed, processor_s() - start);
	if (ops->worker_close)
		ops->worker_close(&e, worker);
	if (ops->close)
		ops->close(&e);
}

static bool is_proxy(const struct evaluator_ops *ops)
{
	return strncmp(ops->provenance, "proxy", 5) == 0;
}

int main(int argc, char **argv)
{
	const char *table = NULL, *images = NULL, *values = NULL;
	static struct bench b = { .seed = 1 };
	size_t most = CELLS_MAX;
	bool named = false;

	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--json") == 0)
			b.json = true;
		else if (strcmp(argv[i], "--table") == 0)
			table = value, i++;
		else if (strcmp(argv[i], "--images") == 0)
			images = value, i++;
		else if (strcmp(argv[i], "--cells") == 0)
			most = strtoul(value, NULL, 10), i++;
		else if (strcmp(argv[i], "--seed") == 0)
			b.seed = strtoull(value, NULL, 10), i++;
		else if (strcmp(argv[i], "--values") == 0)
			values = value, i++;
		else if (strcmp(argv[i], "--set") == 0 && b.n_settings < SETTINGS_MAX)
			b.setting[b.n_settings++] = value, i++;
		else if (!evaluator_find(argv[i]))
			die(argv[i], "no evaluator of this name");
		else
			named = true;
	}
	if (!table || !images)
		die("usage", "proxies --table CSV --images DIR [--json] [--cells N] [NAME ...]");
	if (values && !(b.values = fopen(values, "w")))
		die(values, "cannot be written");
	table_read(&b, table, most < CELLS_MAX ? most : CELLS_MAX);
	data_open(&b, images);
	space_make(&b);
	for (size_t k = 0; evaluator_registry[k]; k++) {
		bool wanted = !named && is_proxy(evaluator_registry[k]);

		for (int i = 1; i < argc; i++)
			wanted |= strcmp(argv[i], evaluator_registry[k]->name) == 0;
		if (wanted)
			evaluator_run(&b, evaluator_registry[k]);
	}
	if (b.values && fclose(b.values))
		die(values, "cannot be written");
	arena_free(&b.arena);
	return 0;
}
