#include <math.h>
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "study.h"

static void print_genes(const struct space *s)
{
	struct table *t = table_new(3);
	double count;
	bool exact;
	char text[256], one[40];

	table_cell(t, false, "gene");
	table_cell(t, true, "values");
	table_cell(t, false, "");
	for (size_t i = 0; i < s->n_genes; i++) {
		size_t at = 0;

		text[0] = '\0';
		for (uint32_t v = 0; v < s->gene[i].n_values && at < sizeof text - 48; v++)
			at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", v ? " " : "",
					       space_gene_text(s, i, v, one, sizeof one));
		if (at >= sizeof text - 48)
			snprintf(text + at, sizeof text - at, " ... %s",
				 space_gene_text(s, i, s->gene[i].n_values - 1, one, sizeof one));
		table_cell(t, false, s->gene[i].name);
		snprintf(one, sizeof one, "%u", s->gene[i].n_values);
		table_cell(t, true, one);
		table_cell(t, false, text);
	}
	table_print(t, stdout);
	table_free(t);
	s->ops->count(s, &count, &exact);
	printf("\n%s%.0f different networks\n", exact ? "" : "at most ", count);
}

static void sample_json(const struct study *s, const uint32_t *gene, const struct network *net,
			const double *value, uint64_t bounds, struct json_writer *w)
{
	json_object(w, NULL);
	space_write_genes(&s->space, gene, w, "genes");
	network_write_json(net, w, "network");
	study_write_scores(s, value, bounds, w);
	json_end(w);
}

/* A cost that this target has. */
static bool shown(const struct study_metric *m)
{
	return m->provenance && !m->dear;
}

static void sample_heads(const struct study *s, struct table *t)
{
	table_cell(t, true, "#");
	for (size_t m = 0; m < s->n_metrics; m++)
		if (shown(&s->metric[m]))
			table_cell(t, true, s->metric[m].name);
	table_cell(t, false, "fits, or what it breaks");
}

static void sample_row(const struct study *s, size_t i, const double *value, const char *why,
		       struct table *t)
{
	const struct study_bound *worst = NULL;
	char text[64];

	snprintf(text, sizeof text, "%zu", i);
	table_cell(t, true, text);
	for (size_t m = 0; m < s->n_metrics; m++)
		if (shown(&s->metric[m]))
			table_cell(t, true,
				   isnan(value[m]) ? "-"
						   : unit_format(value[m], s->metric[m].metric->dim,
								 text, sizeof text));
	if (!why)
		study_violation(s, value, false, &worst);
	table_cell(t, false, why ? why : worst ? worst->text : "yes");
}

static enum nasc_status sample(const struct study *s, long n, bool json, struct nasc_err *err)
{
	struct arena a = { 0 };
	struct json_writer w;
	struct table *t = NULL;
	size_t columns = 2;
	struct rng rng;
	enum nasc_status st = NASC_OK;

	for (size_t m = 0; m < s->n_metrics; m++)
		columns += shown(&s->metric[m]);
	rng_stream(&rng, s->config->seed, RNG_SAMPLE, 0);
	if (json) {
		json_init(&w, stdout, false);
		json_list(&w, NULL);
	} else {
		t = table_new(columns);
		sample_heads(s, t);
	}
	for (long i = 0; i < n && !st; i++) {
		struct arena_mark mark = arena_mark(&a);
		uint32_t *gene = ARENA_NEW(&a, uint32_t, s->space.n_genes);
		double value[STUDY_MAX_METRICS];
		uint64_t bounds;
		struct network net;
		const char *why = NULL;

		space_sample(&s->space, &rng, gene);
		s->space.ops->decode(&s->space, gene, &a, &net);
		st = study_costs(s, &net, &a, value, &bounds, err);
		if (st == NASC_INFEASIBLE) {
			why = arena_strdup(&a, err->msg);
			*err = (struct nasc_err){ 0 };
			st = NASC_OK;
		}
		if (json)
			sample_json(s, gene, &net, value, bounds, &w);
		else
			sample_row(s, (size_t)i, value, why, t);
		arena_rewind(&a, mark);
	}
	if (json)
		json_end(&w);
	else
		table_print(t, stdout);
	table_free(t);
	arena_free(&a);
	return st;
}

static enum nasc_status space(const struct cmd_args *a, struct arena *arena, struct nasc_err *err)
{
	struct study_config config;
	struct cmd_keys keys;
	struct study study;
	enum nasc_status st;
	long n;

	if (cmd_integer(a, "sample", 0, 1000000, 0, &n, err) || cmd_keys(a, arena, &keys, err) ||
	    config_load(a->positional[0], keys.set, keys.n, arena, &config, err))
		return err->code;
	if (config.problem)
		return nasc_fail(err, NASC_CONFIG, "%s: has a test problem, no space",
				 config.doc.file);
	st = study_open(&study, &config, targets_dir(), false, arena, err);
	if (!st && n == 0)
		print_genes(&study.space);
	else if (!st)
		st = sample(&study, n, cmd_flag(a, "json"), err);
	study_close(&study);
	return st;
}

static enum nasc_status run(const struct cmd_args *a, struct nasc_err *err)
{
	struct arena arena = { 0 };
	enum nasc_status st = space(a, &arena, err);

	arena_free(&arena);
	return st;
}

static const struct cmd_option options[] = {
	{ "sample", "N", "N random networks with their costs, instead of the genes" },
	{ "seed", "N", "seed of the sample, instead of the config's" },
	CMD_SET_OPTION,
	{ "json", NULL, "the sample as JSON, networks included" },
	{ .name = NULL }
};
const struct cmd cmd_space = { .name = "space",
			       .args = "CONFIG.yaml [--sample N]",
			       .summary = "show the genes of a space, its size, or a sample of it",
			       .min_args = 1,
			       .max_args = 1,
			       .option = options,
			       .run = run };
