#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "cmd.h"
#include "file.h"
#include "json.h"
#include "study.h"

/* The bill of one network by one model. */
struct bill {
	struct costmodel model;
	struct cost cost;
	struct cost_schedule *schedule; /* with --schedules */
	uint32_t n_schedules;
};

/* "sram", of several targets "stm32f746.sram". */
static const char *figure_name(const struct bill *b, size_t metric, size_t n_bills, char *to,
			       size_t n)
{
	const char *target = n_bills > 2 ? b->model.target : ""; /* the sizes are the first bill */

	snprintf(to, n, "%s%s%s", target, *target ? "." : "", b->model.ops->metric[metric].name);
	return to;
}

static void print_figures(const struct bill *b, size_t n_bills, struct table *t)
{
	char name[128], figure[40], text[48];

	for (size_t i = 0; i < b->model.ops->n_metrics; i++) {
		const struct metric *m = &b->model.ops->metric[i];
		double v = b->cost.value[i];

		if (!b->model.ops->provenance(&b->model, i))
			continue;
		unit_format(v, m->dim, figure, sizeof figure);
		snprintf(text, sizeof text, "%s%s", b->cost.bound[i] ? "<= " : "", figure);
		table_cell(t, false, figure_name(b, i, n_bills, name, sizeof name));
		table_cell(t, true, isnan(v) ? "unknown" : text);
		table_cell(t, false, b->model.model);
		table_cell(t, false, b->model.ops->provenance(&b->model, i));
	}
}

/* What of a target's memories or resources the network exceeds, "sram 1.44 MiB of 320 KiB"; ""
 * where it fits. False: the target has no limits. */
static bool exceeds(const struct bill *b, char *text, size_t n)
{
	struct cost_limit limit[COST_MAX_METRICS];
	size_t n_limits = b->model.ops->limits ? b->model.ops->limits(&b->model, limit) : 0;
	size_t at = 0;

	*text = '\0';
	for (size_t i = 0; i < n_limits; i++) {
		const struct metric *m = &b->model.ops->metric[limit[i].metric];
		char figure[40], most[40];

		if (!(b->cost.value[limit[i].metric] > limit[i].max) || at >= n)
			continue;
		unit_format(b->cost.value[limit[i].metric], m->dim, figure, sizeof figure);
		unit_format(limit[i].max, m->dim, most, sizeof most);
		at += (size_t)snprintf(text + at, n - at, "%s%s %s of %s", at ? ", " : "", m->name,
				       figure, most);
	}
	return n_limits > 0;
}

static void print_fits(const struct bill *b, size_t n_bills)
{
	for (size_t k = 0; k < n_bills; k++) {
		char text[512];

		if (exceeds(&b[k], text, sizeof text))
			printf("%s %s%s%s\n", *text ? "does not fit" : "fits", b[k].model.target,
			       *text ? ": " : "", text);
	}
}

static void print_bills(const struct bill *b, size_t n_bills)
{
	struct table *t = table_new(4);

	table_cell(t, false, "figure");
	table_cell(t, true, "value");
	table_cell(t, false, "model");
	table_cell(t, false, "where it comes from");
	for (size_t k = 0; k < n_bills; k++)
		print_figures(&b[k], n_bills, t);
	table_print(t, stdout);
	table_free(t);
	print_fits(b, n_bills);
}

/* A figure an operator that the target has. */
static bool is_by_layer(const struct bill *b, size_t metric)
{
	return b->model.ops->metric[metric].per_op && b->model.ops->provenance(&b->model, metric);
}

/* #, operator and output, then the figures an operator of every model. */
static size_t layer_columns(const struct bill *b, size_t n_bills)
{
	size_t columns = 3;

	for (size_t k = 0; k < n_bills; k++)
		for (size_t i = 0; i < b[k].model.ops->n_metrics; i++)
			columns += is_by_layer(&b[k], i);
	return columns;
}

static void print_layer_heads(const struct bill *b, size_t n_bills, struct table *t)
{
	char head[128];

	table_cell(t, true, "#");
	table_cell(t, false, "operator");
	table_cell(t, false, "output");
	for (size_t k = 0; k < n_bills; k++)
		for (size_t i = 0; i < b[k].model.ops->n_metrics; i++)
			if (is_by_layer(&b[k], i))
				table_cell(t, true,
					   figure_name(&b[k], i, n_bills, head, sizeof head));
}

static void print_layers(const struct network *net, const struct bill *b, size_t n_bills)
{
	struct table *t = table_new(layer_columns(b, n_bills));
	char text[64];

	print_layer_heads(b, n_bills, t);
	for (size_t op = 0; op < net->n_ops; op++) {
		struct net_shape s = net->op[op].out;

		snprintf(text, sizeof text, "%zu", op);
		table_cell(t, true, text);
		table_cell(t, false, net_kind_name(net->op[op].kind));
		snprintf(text, sizeof text, "%ux%ux%u", s.h, s.w, s.c);
		table_cell(t, false, text);
		for (size_t k = 0; k < n_bills; k++)
			for (size_t i = 0; i < b[k].model.ops->n_metrics; i++) {
				const struct metric *m = &b[k].model.ops->metric[i];
				double v = b[k].cost.per_op[op * b[k].model.ops->n_metrics + i];

				if (is_by_layer(&b[k], i))
					table_cell(
						t, true,
						v == 0 ? "-"
						       : unit_format(v, m->dim, text, sizeof text));
			}
	}
	table_print(t, stdout);
	table_free(t);
}

static void write_scores(const struct bill *b, struct json_writer *w)
{
	json_object(w, "scores");
	for (size_t i = 0; i < b->model.ops->n_metrics; i++) {
		const struct metric *m = &b->model.ops->metric[i];

		struct result_score score = { .key = m->key,
					      .unit = unit_symbol(m->dim),
					      .model = b->model.model,
					      .provenance = b->model.ops->provenance(&b->model, i),
					      .value = b->cost.value[i],
					      .upper_bound = b->cost.bound[i] };

		if (score.provenance)
			result_score_write(&score, w);
	}
	json_end(w);
}

static void write_layers(const struct network *net, const struct bill *b, struct json_writer *w)
{
	size_t n = b->model.ops->n_metrics;

	json_list(w, "operators");
	for (size_t op = 0; op < net->n_ops; op++) {
		json_object(w, NULL);
		json_string(w, "kind", net_kind_name(net->op[op].kind));
		for (size_t i = 0; i < n; i++)
			if (is_by_layer(b, i))
				json_real(w, b->model.ops->metric[i].key,
					  b->cost.per_op[op * n + i]);
		json_end(w);
	}
	json_end(w);
}

static void write_schedules(const struct bill *b, struct json_writer *w)
{
	json_list(w, "schedules");
	for (uint32_t i = 0; i < b->n_schedules; i++) {
		const struct cost_schedule *s = &b->schedule[i];

		json_object(w, NULL);
		json_u64(w, "patch_grid", s->grid);
		json_u64(w, "patched", s->op);
		json_u64(w, "sram_bytes", s->sram_bytes);
		json_real(w, "macs", s->macs);
		json_real(w, "latency_s", s->latency_s);
		json_real(w, "instructions", s->instructions);
		json_end(w);
	}
	json_end(w);
}

static void write_json(const struct network *net, const struct bill *b, size_t n_bills, bool layers)
{
	struct json_writer w;
	char text[512];

	json_init(&w, stdout, false);
	json_object(&w, NULL);
	json_int(&w, "version", 1);
	json_string(&w, "network", net->name);
	json_list(&w, "costs");
	for (size_t k = 0; k < n_bills; k++) {
		json_object(&w, NULL);
		json_string(&w, "target", *b[k].model.target ? b[k].model.target : NULL);
		write_scores(&b[k], &w);
		if (exceeds(&b[k], text, sizeof text))
			json_bool(&w, "fits", !*text);
		if (layers)
			write_layers(net, &b[k], &w);
		if (b[k].n_schedules)
			write_schedules(&b[k], &w);
		json_end(&w);
	}
	json_end(&w);
	json_end(&w);
}

static enum nasc_status cost_one(struct bill *b, const struct network *net, bool layers,
				 struct arena *a, struct nasc_err *err)
{
	if (layers)
		b->cost.per_op = ARENA_NEW(a, double, net->n_ops * b->model.ops->n_metrics);
	if (b->model.ops->cost(&b->model, net, a, &b->cost, err))
		return nasc_wrap(err, "%s",
				 *b->model.target ? b->model.target : b->model.ops->name);
	return NASC_OK;
}

/* The network alone, for the verbs and programs that read one. */
static enum nasc_status save(const struct network *net, const char *path, struct nasc_err *err)
{
	struct file_out f = { 0 };
	struct json_writer w;

	if (file_begin(&f, path, err))
		return nasc_wrap(err, "--save");
	json_init(&w, f.fp, false);
	network_write_json(net, &w, NULL);
	if (file_commit(&f, err))
		return nasc_wrap(err, "--save");
	fprintf(stderr, "wrote %s\n", path);
	return NASC_OK;
}

/* The network and what it is costed on: --target, else the targets of its run. */
static enum nasc_status load(const struct cmd_args *a, struct arena *arena, struct network *net,
			     struct results *r, struct cfg_strings *targets, struct nasc_err *err)
{
	const struct result *row;
	const struct cJSON *of_run, *t;

	if (cmd_network(a, arena, net, r, &row, err))
		return err->code;
	of_run = cJSON_GetObjectItemCaseSensitive(r->config, "targets");
	targets->v = ARENA_NEW(arena, const char *,
			       (size_t)a->argc + (size_t)cJSON_GetArraySize(of_run));
	targets->n = cmd_values(a, "target", targets->v, (size_t)a->argc);
	if (!targets->n)
		cJSON_ArrayForEach(t, of_run)
		{
			if (cJSON_IsString(t))
				targets->v[targets->n++] = arena_strdup(arena, t->valuestring);
		}
	return NASC_OK;
}

/* The sizes; of memory, where no target says who plans it, all; the targets. */
static enum nasc_status open_bills(const struct cmd_args *a, const struct results *r,
				   const struct cfg_strings *targets, struct arena *arena,
				   struct bill **bill, size_t *n, struct nasc_err *err)
{
	struct bill *b = *bill = ARENA_NEW(arena, struct bill, 2 + targets->n);

	if (costmodel_open(&b++->model, costmodel_find("size"), arena, err))
		return err->code;
	if (!targets->n && costmodel_open(&b++->model, costmodel_find("memory"), arena, err))
		return err->code;
	for (size_t i = 0; i < targets->n; i++, b++) {
		if (target_open(&b->model, targets_dir(), targets->v[i], arena, err))
			return err->code;
		if (results_bounds(r, &b->model, err))
			return nasc_wrap(err, "%s", a->positional[0]);
	}
	*n = (size_t)(b - *bill);
	return NASC_OK;
}

/* Of options whose answer is about one target. */
static enum nasc_status one_target(const char *option, const struct cfg_strings *targets,
				   struct nasc_err *err)
{
	if (targets->n != 1)
		return nasc_fail(err, NASC_USAGE, "--%s: it takes one --target, not %zu", option,
				 targets->n);
	return NASC_OK;
}

static enum nasc_status draw_memory(const struct network *net, const struct costmodel *m,
				    const char *path, struct arena *arena, struct nasc_err *err)
{
	struct cost_memory memory;

	m->ops->memory(m, net, arena, &memory);
	if (memory_plot(net, m, &memory, path, err))
		return nasc_wrap(err, "--memory-plan");
	fprintf(stderr, "wrote %s\n", path);
	return NASC_OK;
}

static double figure(const struct bill *b, const char *key)
{
	for (size_t i = 0; i < b->model.ops->n_metrics; i++)
		if (strcmp(b->model.ops->metric[i].key, key) == 0)
			return b->cost.value[i];
	return NAN;
}

/* The schedule that the bill is by. */
static bool is_taken(const struct bill *b, const struct cost_schedule *s)
{
	return figure(b, "patch_grid") == s->grid && figure(b, "patched") == s->op;
}

static void print_schedules(const struct bill *b)
{
	struct table *t = table_new(7);
	const struct cost_schedule *first = b->schedule;
	bool counted = isnan(first->latency_s) && !isnan(first->instructions);
	const char *const head[] = { "",     "parts", "up to operator",
				     "sram", "macs",  counted ? "instructions" : "latency",
				     "" };
	char text[64];

	for (size_t i = 0; i < 7; i++)
		table_cell(t, true, head[i]);
	for (uint32_t i = 0; i < b->n_schedules; i++) {
		const struct cost_schedule *s = &b->schedule[i];
		double time = counted ? s->instructions : s->latency_s;
		double of_first = counted ? first->instructions : first->latency_s;

		table_cell(t, false, is_taken(b, s) ? "*" : "");
		snprintf(text, sizeof text, "%u x %u", s->grid, s->grid);
		table_cell(t, true, s->op ? text : "none");
		snprintf(text, sizeof text, "%u", s->op);
		table_cell(t, true, s->op ? text : "-");
		table_cell(t, true,
			   unit_format((double)s->sram_bytes, UNIT_BYTE, text, sizeof text));
		snprintf(text, sizeof text, "%+.1f %%",
			 100 * (s->macs - first->macs) / fmax(first->macs, 1));
		table_cell(t, true, text);
		if (isnan(time)) {
			table_cell(t, true, "unknown");
			table_cell(t, true, "");
			continue;
		}
		table_cell(t, true,
			   unit_format(time, counted ? UNIT_NONE : UNIT_SECOND, text, sizeof text));
		snprintf(text, sizeof text, "%+.1f %%", 100 * (time / of_first - 1));
		table_cell(t, true, text);
	}
	putchar('\n');
	table_print(t, stdout);
	table_free(t);
	puts("* is the one that the figures above are by");
	if (b->n_schedules == 1)
		puts("In parts it needs no less SRAM than layer by layer.");
}

static enum nasc_status list_schedules(const struct network *net, struct bill *b,
				       struct arena *arena, struct nasc_err *err)
{
	b->n_schedules = b->model.ops->schedules
				 ? b->model.ops->schedules(&b->model, net, arena, &b->schedule)
				 : 0;
	if (!b->n_schedules)
		return nasc_fail(err, NASC_USAGE,
				 "--schedules: %s has but one way to run a network; 'patches' of a "
				 "target gives it more",
				 b->model.target);
	return NASC_OK;
}

static enum nasc_status cost(const struct cmd_args *a, struct arena *arena, struct results *r,
			     struct nasc_err *err)
{
	const char *file = cmd_value(a, "save"), *picture = cmd_value(a, "memory-plan");
	bool layers = cmd_flag(a, "layers"), ways = cmd_flag(a, "schedules");
	struct network net;
	struct cfg_strings targets = { 0 };
	struct bill *bill;
	size_t n = 0;

	if (load(a, arena, &net, r, &targets, err) ||
	    (picture && one_target("memory-plan", &targets, err)) ||
	    (ways && one_target("schedules", &targets, err)) ||
	    open_bills(a, r, &targets, arena, &bill, &n, err))
		return err->code;
	if (layers && !cmd_flag(a, "json") && layer_columns(bill, n) > TABLE_MAX_COLUMNS)
		return nasc_fail(err, NASC_USAGE,
				 "--layers: %zu columns, at most %d fit a table: fewer targets at "
				 "once, or --json",
				 layer_columns(bill, n), TABLE_MAX_COLUMNS);
	if (picture && !bill[n - 1].model.ops->memory)
		return nasc_fail(err, NASC_USAGE, "--memory-plan: %s has no memory of activations",
				 bill[n - 1].model.target);
	if (file && save(&net, file, err))
		return err->code;
	for (size_t i = 0; i < n; i++)
		if (cost_one(&bill[i], &net, layers, arena, err))
			return err->code;
	if (ways && list_schedules(&net, &bill[n - 1], arena, err))
		return err->code;
	if (picture && draw_memory(&net, &bill[n - 1].model, picture, arena, err))
		return err->code;
	if (cmd_flag(a, "json")) {
		write_json(&net, bill, n, layers);
	} else {
		print_bills(bill, n);
		if (layers) {
			putchar('\n');
			print_layers(&net, bill, n);
		}
		if (ways)
			print_schedules(&bill[n - 1]);
	}
	return NASC_OK;
}

static enum nasc_status run(const struct cmd_args *a, struct nasc_err *err)
{
	struct arena arena = { 0 };
	struct results r = { 0 };
	enum nasc_status st = cost(a, &arena, &r, err);

	results_close(&r);
	arena_free(&arena);
	return st;
}

static const struct cmd_option options[] = {
	{ "id", "N", "row of the results to cost; 'knee', or the objective it is best in" },
	{ "target", "NAME", "board, device or target file; repeatable [those of the results]" },
	{ "layers", NULL, "a line an operator" },
	{ "schedules", NULL, "the ways to run it in parts, on a target with patches" },
	{ "memory-plan", "FILE", "draw as SVG where each tensor lies in SRAM, and when" },
	{ "save", "FILE", "write the network alone, as JSON" },
	{ "json", NULL, "machine-readable, SI units" },
	{ .name = NULL }
};
const struct cmd cmd_cost = {
	.name = "cost",
	.args = "NETWORK.json | MODEL.tflite | MODEL.onnx | RESULTS.json --id N",
	.summary = "say what one network costs on a board or device",
	.min_args = 1,
	.max_args = 1,
	.option = options,
	.run = run
};
