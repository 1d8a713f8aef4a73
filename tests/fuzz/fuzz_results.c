/* The input is a results file. What is accepted goes the way of `nasc pareto`: front, knee, order,
 * filter, plot, and the verb itself in its three formats; its config must load again as written. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "cmd.h"
#include "file.h"
#include "private.h"

static struct arena arena;

static bool dominates(const struct result *a, const struct result *b, size_t m)
{
	bool better = false;

	for (size_t k = 0; k < m; k++) {
		if (a->f[k] > b->f[k])
			return false;
		better |= a->f[k] < b->f[k];
	}
	return better;
}

static void check_front(const struct results *r)
{
	for (size_t i = 0; i < r->n; i++)
		for (size_t j = 0; j < r->n; j++)
			MUST(!dominates(&r->row[i], &r->row[j], r->n_objectives));
}

static void check_knee(const struct results *r)
{
	size_t knees = 0;

	for (size_t i = 0; i < r->n; i++)
		knees += r->row[i].knee;
	MUST(knees == (r->n > 0));
	MUST(!r->n || results_find(r, "knee")->knee);
}

static void check_order(struct results *r)
{
	const struct result_objective *o = &r->objective[0];
	struct nasc_err err = { 0 };

	MUST(results_sort(r, o->key, &err) == NASC_OK);
	for (size_t i = 1; i < r->n; i++) {
		double a = result_score(&r->row[i - 1], o->key)->value;
		double b = result_score(&r->row[i], o->key)->value;

		MUST(o->maximise ? a >= b : a <= b);
	}
}

/* No figure may have become a NaN or an infinity on the way to a picture. */
static void check_plot(const struct results *r)
{
	const char *y = r->objective[0].key, *x = r->objective[r->n_objectives - 1].key;
	struct nasc_err err = { 0 };
	char path[128], *text, *at;
	size_t n;

	snprintf(path, sizeof path, "%s/plot.svg", scratch_directory());
	if (results_plot(r, x, y, path, &err)) {
		must_say_why(&err, err.code);
		MUST(err.code == NASC_USAGE);
		return;
	}
	MUST(file_read(path, (size_t)1 << 20, &arena, &text, &n, &err) == NASC_OK);
	for (at = text; (at = strstr(at, "=\"")); at += 2)
		MUST(strncmp(at + 2 + (at[2] == '-'), "nan", 3) != 0 &&
		     strncmp(at + 2 + (at[2] == '-'), "inf", 3) != 0);
	unlink(path);
}

static void check_config(const struct results *r)
{
	struct nasc_err err = { 0 };
	struct study_config c;

	if (config_from_json("input", r->config, NULL, 0, &arena, &c, &err))
		must_say_why(&err, err.code);
	else
		MUST(*config_identity(&c, CONFIG_SCORES, &arena));
}

/* Its table, CSV and JSON go nowhere. */
static void run_verb(const char *path)
{
	static const char *const format[] = { "--", "--csv", "--json" };
	static bool silent;

	if (!silent)
		MUST(freopen("/dev/null", "w", stdout));
	silent = true;
	for (size_t i = 0; i < 3; i++) {
		struct nasc_err err = { 0 };
		struct cmd_args args;
		char *argv[] = { arena_strdup(&arena, format[i]), arena_strdup(&arena, path) };

		if (i)
			memcpy(argv, (char *[]){ argv[1], argv[0] }, sizeof argv);
		MUST(cmd_parse(&cmd_pareto, 2, argv, &args, &err) == NASC_OK);
		MUST(cmd_pareto.run(&args, &err) == NASC_OK);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory_file file;
	struct arena_mark start = arena_mark(&arena);
	const char *path = memory_file_fill(&file, data, size);
	struct nasc_err err = { 0 };
	struct results r;

	if (results_load(&path, 1, &arena, &r, &err)) {
		must_say_why(&err, err.code);
		MUST(err.code == NASC_DATA);
	} else {
		results_front(&r, &arena);
		check_front(&r);
		results_knee(&r);
		check_knee(&r);
		check_order(&r);
		check_plot(&r);
		check_config(&r);
		results_close(&r);
		run_verb(path);
	}
	arena_rewind(&arena, start);
	return 0;
}
