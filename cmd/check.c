#include "cmd.h"
#include "study.h"

static void print_bound(const struct study *s, const struct study_bound *b)
{
	const struct study_metric *m = &s->metric[b->metric];
	char value[32];

	printf("  constraint  %s %s %s\n", m->name,
	       b->upper ? "<=" : ">=", unit_format(b->value, m->metric->dim, value, sizeof value));
}

static void print_plan(const struct study *s)
{
	const struct study_config *c = s->config;
	char time[32];

	printf("%s: ok\n", c->doc.file);
	if (c->problem) {
		printf("  problem     %s, %zu objectives\n", c->problem->name, s->n_objectives);
	} else {
		printf("  space       %s, %zu genes, input %ux%ux%u, %u classes\n", c->space->name,
		       s->space.n_genes, s->input.h, s->input.w, s->input.c, s->classes);
		printf("  evaluator   %s\n",
		       c->evaluator ? c->evaluator->name : "none: costs only");
		for (size_t i = 1; i < s->n_models; i++)
			printf("  target      %s: %s\n", s->model[i].target, s->model[i].summary);
		for (size_t i = 0; i < s->n_objectives; i++)
			printf("  objective   %s %s\n", s->maximise[i] ? "max" : "min",
			       s->metric[s->objective[i]].key);
		for (size_t i = 0; i < s->n_bounds; i++)
			print_bound(s, &s->bound[i]);
	}
	printf("  strategy    %s\n  stop        after %lld candidates", c->strategy->name,
	       (long long)c->stop.evaluations);
	if (c->stop.trained)
		printf(", or %lld that reached the evaluator", (long long)c->stop.trained);
	if (c->stop.time_s > 0)
		printf(", or %s", unit_format(c->stop.time_s, UNIT_SECOND, time, sizeof time));
	putchar('\n');
}

static enum nasc_status run(const struct cmd_args *a, struct nasc_err *err)
{
	struct arena arena = { 0 };
	struct study_config config;
	struct study study;
	enum nasc_status st = config_load(a->positional[0], NULL, 0, &arena, &config, err);

	if (!st) {
		st = study_open(&study, &config, targets_dir(), false, &arena, err);
		if (!st)
			print_plan(&study);
		study_close(&study);
	}
	arena_free(&arena);
	return st;
}

static const struct cmd_option options[] = { { .name = NULL } };
const struct cmd cmd_check = { .name = "check",
			       .args = "CONFIG.yaml",
			       .summary = "say whether a config is right and what it would do",
			       .min_args = 1,
			       .max_args = 1,
			       .option = options,
			       .run = run };
