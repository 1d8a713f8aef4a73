#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "study.h"

/* Columns: the objectives, then every other score of the first row. */
static size_t pick_columns(const struct results *r, const char **key, size_t cap)
{
	size_t n = 0;

	for (; n < r->n_objectives; n++)
		key[n] = r->objective[n].key;
	for (size_t i = 0; r->n && i < r->row[0].n_scores && n < cap; i++) {
		bool have = false;

		for (size_t j = 0; j < r->n_objectives; j++)
			have |= !strcmp(key[j], r->row[0].score[i].key);
		if (!have)
			key[n++] = r->row[0].score[i].key;
	}
	return n;
}

/* What stands under the table; @front: rows before --where. */
static void print_count(const struct results *r, size_t front)
{
	bool knee = false;

	for (size_t i = 0; i < r->n; i++)
		knee |= r->row[i].knee;
	printf("%zu ", r->n);
	if (r->n < front)
		printf("of %zu ", front);
	printf("on the front%s%s\n", r->n < front ? " are shown" : "",
	       knee ? "; * is the knee" : "");
}

static void print_table(const struct results *r)
{
	const char *key[TABLE_MAX_COLUMNS];
	size_t n = pick_columns(r, key, TABLE_MAX_COLUMNS - 3);
	bool files = r->n_files > 1;
	struct table *t = table_new(n + 2 + files);
	char text[64];

	table_cell(t, false, "");
	table_cell(t, true, "id");
	for (size_t c = 0; c < n; c++)
		table_cell(t, true, key[c]);
	if (files)
		table_cell(t, false, "file");
	for (size_t i = 0; i < r->n; i++) {
		table_cell(t, false, r->row[i].knee ? "*" : " ");
		snprintf(text, sizeof text, "%lld", (long long)r->row[i].id);
		table_cell(t, true, text);
		for (size_t c = 0; c < n; c++) {
			const struct result_score *s = result_score(&r->row[i], key[c]);

			table_cell(t, true,
				   s ? unit_format(s->value, result_dim(s), text, sizeof text)
				     : "-");
		}
		if (files)
			table_cell(t, false, r->row[i].file);
	}
	table_print(t, stdout);
	table_free(t);
}

static void print_objectives(const struct results *r)
{
	for (size_t c = 0; c < r->n_objectives; c++) {
		const struct result_score *s = result_score(&r->row[0], r->objective[c].key);

		printf("  %s %s: %s, %s\n", r->objective[c].maximise ? "max" : "min", s->key,
		       s->model, s->provenance);
	}
}

static void print_front(const struct results *r, size_t front)
{
	if (r->n)
		print_table(r);
	print_count(r, front);
	if (r->n)
		print_objectives(r);
}

static void print_csv(const struct results *r)
{
	const char *key[TABLE_MAX_COLUMNS];
	size_t n = pick_columns(r, key, TABLE_MAX_COLUMNS);
	char text[32];

	fputs("file,id,knee", stdout);
	for (size_t c = 0; c < n; c++)
		printf(",%s", key[c]);
	putchar('\n');
	for (size_t i = 0; i < r->n; i++) {
		putchar('"');
		for (const char *f = r->row[i].file; *f; f++)
			fputs(*f == '"' ? "\"\"" : (char[]){ *f, '\0' }, stdout);
		printf("\",%lld,%d", (long long)r->row[i].id, r->row[i].knee);
		for (size_t c = 0; c < n; c++) {
			const struct result_score *s = result_score(&r->row[i], key[c]);

			printf(",%s", s ? json_real_text(s->value, text) : "");
		}
		putchar('\n');
	}
}

/* A tree of cJSON through our writer: one way of writing numbers. */
static void write_tree(struct json_writer *w, const char *key, const struct cJSON *j)
{
	const struct cJSON *child;

	if (cJSON_IsObject(j) || cJSON_IsArray(j)) {
		if (cJSON_IsObject(j))
			json_object(w, key);
		else
			json_list(w, key);
		cJSON_ArrayForEach(child, j)
			write_tree(w, cJSON_IsObject(j) ? child->string : NULL, child);
		json_end(w);
	} else if (cJSON_IsString(j)) {
		json_string(w, key, j->valuestring);
	} else if (cJSON_IsNumber(j)) {
		json_real(w, key, j->valuedouble);
	} else if (cJSON_IsBool(j)) {
		json_bool(w, key, cJSON_IsTrue(j));
	} else {
		json_null(w, key);
	}
}

static void print_json(const struct results *r)
{
	struct json_writer w;

	json_init(&w, stdout, false);
	json_object(&w, NULL);
	json_int(&w, "version", 1);
	json_list(&w, "objectives");
	for (size_t i = 0; i < r->n_objectives; i++) {
		json_object(&w, NULL);
		json_string(&w, "name", r->objective[i].key);
		json_string(&w, "direction", r->objective[i].maximise ? "max" : "min");
		json_end(&w);
	}
	json_end(&w);
	json_list(&w, "front");
	for (size_t i = 0; i < r->n; i++) {
		const struct result *row = &r->row[i];

		json_object(&w, NULL);
		json_string(&w, "file", row->file);
		json_int(&w, "id", row->id);
		json_bool(&w, "knee", row->knee);
		write_tree(&w, "genes", row->genes);
		write_tree(&w, "network", row->network);
		json_object(&w, "scores");
		for (size_t k = 0; k < row->n_scores; k++)
			result_score_write(&row->score[k], &w);
		json_end(&w);
		json_end(&w);
	}
	json_end(&w);
	json_end(&w);
}

static enum nasc_status show(const struct cmd_args *a, struct results *r, struct arena *arena,
			     struct nasc_err *err)
{
	const char *where = cmd_value(a, "where"), *sort = cmd_value(a, "sort");
	const char *plot = cmd_value(a, "plot"), *x = cmd_value(a, "x"), *y = cmd_value(a, "y");
	size_t front;

	results_front(r, arena);
	front = r->n;
	results_knee(r);
	/* Sorted first: --sort is checked although no row may be left. */
	if (results_sort(r, sort ? sort : r->objective[0].key, err) ||
	    (where && results_where(r, where, err)))
		return err->code;
	if (plot) {
		if ((!x || !y) && r->n_objectives < 2)
			return nasc_fail(err, NASC_USAGE,
					 "--plot: one objective only: give --x and --y");
		if (results_plot(r, x ? x : r->objective[1].key, y ? y : r->objective[0].key, plot,
				 err))
			return err->code;
		fprintf(stderr, "wrote %s\n", plot);
	}
	if (cmd_flag(a, "json"))
		print_json(r);
	else if (cmd_flag(a, "csv"))
		print_csv(r);
	else
		print_front(r, front);
	return NASC_OK;
}

static enum nasc_status check_options(const struct cmd_args *a, struct nasc_err *err)
{
	const char *plot = cmd_value(a, "plot");
	size_t n = plot ? strlen(plot) : 0;

	if (cmd_flag(a, "json") && cmd_flag(a, "csv"))
		return nasc_fail(err, NASC_USAGE, "--json and --csv: give one of the two");
	if (plot && (n < 4 || strcmp(plot + n - 4, ".svg") != 0))
		return nasc_fail(err, NASC_USAGE, "--plot: '%s': the plot is SVG, give FILE.svg",
				 plot);
	if (!plot && (cmd_value(a, "x") || cmd_value(a, "y")))
		return nasc_fail(err, NASC_USAGE,
				 "--%s: names an axis of a plot: give --plot FILE.svg too",
				 cmd_value(a, "x") ? "x" : "y");
	return NASC_OK;
}

static enum nasc_status run(const struct cmd_args *a, struct nasc_err *err)
{
	struct arena arena = { 0 };
	struct results r;
	enum nasc_status st = check_options(a, err);

	if (st)
		return st;
	st = results_load((const char *const *)a->positional, (size_t)a->n, &arena, &r, err);
	if (!st) {
		st = show(a, &r, &arena, err);
		results_close(&r);
	}
	arena_free(&arena);
	return st;
}

static const struct cmd_option options[] = {
	{ "where", "CONDITION", "keep rows: 'sram <= 256 KiB && error < 0.1'" },
	{ "sort", "NAME", "better first by this score; -NAME: worse first [first objective]" },
	{ "json", NULL, "machine-readable, with genes and networks" },
	{ "csv", NULL, "one line a row, SI units" },
	{ "plot", "FILE.svg", "draw two scores of the rows" },
	{ "x", "NAME", "score on the plot's x axis [second objective]" },
	{ "y", "NAME", "score on the plot's y axis [first objective]" },
	{ .name = NULL }
};
const struct cmd cmd_pareto = {
	.name = "pareto",
	.args = "RESULTS.json [MORE.json ...]",
	.summary = "show, filter, merge and plot Pareto fronts",
	.details =
		"Several files become one front by the objectives of the first. The knee is the "
		"row\n"
		"with the least sum of objectives, each scaled to the range of the whole front.\n",
	.min_args = 1,
	.max_args = 10000,
	.option = options,
	.run = run
};
