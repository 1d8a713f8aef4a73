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
		space_decode(&s->space, gene, &a, &net);
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

/* ---- sub-spaces -------------------------------------------------------------- */

static const struct {
	const char *name;
	double p;
} quantile[] = { { "p50", 0.5 }, { "p80", 0.8 }, { "p95", 0.95 } };
#define N_QUANTILES (sizeof quantile / sizeof *quantile)

static void rank_json(const struct subspaces *all, long n)
{
	struct json_writer w;

	json_init(&w, stdout, false);
	json_object(&w, NULL);
	json_int(&w, "networks", n);
	json_list(&w, "subspaces");
	for (const struct subspace *row = all->row; row < all->row + all->n; row++) {
		json_object(&w, NULL);
		json_object(&w, "space");
		for (size_t i = 0; i < all->n_axes; i++)
			json_int(&w, all->axis[i]->key, row->value[i]);
		json_end(&w);
		json_u64(&w, "fit", row->n_fit);
		json_object(&w, "macs");
		json_real(&w, "mean", row->mean);
		for (size_t i = 0; i < N_QUANTILES; i++)
			json_real(&w, quantile[i].name, subspace_quantile(row, quantile[i].p));
		json_end(&w);
		json_end(&w);
	}
	json_end(&w);
	json_end(&w);
}

static void rank_figure(struct table *t, double value, enum unit_dim dim)
{
	char text[40];

	table_cell(t, true, unit_format(value, dim, text, sizeof text));
}

static void rank_table(const struct subspaces *all, long n)
{
	struct table *t = table_new(all->n_axes + 2 + N_QUANTILES);
	size_t n_fit = 0;
	char text[32];

	for (size_t i = 0; i < all->n_axes; i++)
		table_cell(t, true, all->axis[i]->key);
	table_cell(t, true, "fit");
	table_cell(t, true, "mean macs");
	for (size_t i = 0; i < N_QUANTILES; i++)
		table_cell(t, true, quantile[i].name);
	for (; n_fit < all->n && all->row[n_fit].n_fit; n_fit++) {
		const struct subspace *row = &all->row[n_fit];

		for (size_t i = 0; i < all->n_axes; i++) {
			snprintf(text, sizeof text, "%lld", (long long)row->value[i]);
			table_cell(t, true, text);
		}
		rank_figure(t, (double)row->n_fit / (double)n, UNIT_FRACTION);
		rank_figure(t, row->mean, UNIT_NONE);
		for (size_t i = 0; i < N_QUANTILES; i++)
			rank_figure(t, subspace_quantile(row, quantile[i].p), UNIT_NONE);
	}
	table_print(t, stdout);
	table_free(t);
	putchar('\n');
	if (n_fit < all->n)
		printf("in %zu more sub-spaces none of %ld networks fits\n", all->n - n_fit, n);
	printf("proposed:");
	for (size_t i = 0; i < all->n_axes; i++)
		printf(" --set space.%s=%lld", all->axis[i]->key, (long long)all->row[0].value[i]);
	puts(" behind a command, or the same keys in the config");
}

static enum nasc_status rank(const struct study *s, const struct cmd_args *a, long n,
			     struct arena *arena, struct nasc_err *err)
{
	struct subspaces all;
	unsigned jobs;

	if (cmd_jobs(a, &jobs, err) || study_rank_subspaces(s, (size_t)n, jobs, arena, &all, err))
		return err->code;
	if (cmd_flag(a, "json"))
		rank_json(&all, n);
	else
		rank_table(&all, n);
	return NASC_OK;
}

static enum nasc_status space(const struct cmd_args *a, struct arena *arena, struct nasc_err *err)
{
	struct study_config config;
	struct cmd_keys keys;
	struct study study;
	enum nasc_status st;
	bool ranks = cmd_flag(a, "rank");
	long n;

	if (cmd_integer(a, "sample", ranks, ranks ? 100000 : 1000000, ranks ? 500 : 0, &n, err) ||
	    cmd_keys(a, arena, &keys, err) ||
	    config_load(a->positional[0], keys.set, keys.n, arena, &config, err))
		return err->code;
	if (config.problem)
		return nasc_fail(err, NASC_CONFIG, "%s: has a test problem, no space",
				 config.doc.file);
	st = study_open(&study, &config, targets_dir(), false, arena, err);
	if (!st && ranks)
		st = rank(&study, a, n, arena, err);
	else if (!st && n == 0)
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
	{ "rank", NULL,
	  "which part of the space suits the bounds best, by --sample [500] of each" },
	{ "jobs", "N", "sub-spaces worked on at once [one per processor]" },
	{ "seed", "N", "seed of the sample, instead of the config's" },
	CMD_SET_OPTION,
	{ "json", NULL, "the sample as JSON, networks included, or the sub-spaces" },
	{ .name = NULL }
};
const struct cmd cmd_space = { .name = "space",
			       .args = "CONFIG.yaml [--sample N] [--rank]",
			       .summary = "show the genes of a space, its size, a sample of it, or "
					  "its best part",
			       .details =
				       "--rank is the first stage of TinyNAS (Lin et al., MCUNet, "
				       "NeurIPS 2020): the space\n"
				       "is cut into parts, as of one width and one resolution, and "
				       "networks are sampled of\n"
				       "each. Of those that keep every bound on costs and fit the "
				       "targets it shows how many\n"
				       "there are, the mean of their MACs and what 50, 80 and 95 % "
				       "of them do not exceed.\n"
				       "First comes the part with the largest mean, behind them "
				       "those where fewer than 2 % fit.\n",
			       .min_args = 1,
			       .max_args = 1,
			       .option = options,
			       .run = run };
