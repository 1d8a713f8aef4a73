#include <math.h>

#include "cmd.h"
#include "study.h"

static void print_bound(const struct study *s, const char *what, const struct study_bound *b)
{
	const struct study_metric *m = &s->metric[b->metric];
	char value[32];

	printf("  %-11s %s %s %s\n", what, m->name,
	       b->upper ? "<=" : ">=", unit_format(b->value, m->metric->dim, value, sizeof value));
}

/* With the corner that hypervolumes are measured from, where it is known by now. */
static void print_objective(const struct study *s, size_t i)
{
	const struct study_metric *m = &s->metric[s->objective[i]];
	double corner = s->maximise[i] ? -s->reference[i] : s->reference[i];
	char value[32];

	printf("  objective   %s %s", s->maximise[i] ? "max" : "min", m->key);
	if (!isnan(corner))
		printf(", hypervolume from %s",
		       unit_format(corner, m->metric->dim, value, sizeof value));
	putchar('\n');
}

static void print_stop(const struct study *s)
{
	const struct stop_cfg *stop = &s->config->stop;
	char time[32];

	printf("  stop        after %lld candidates\n", (long long)stop->evaluations);
	if (stop->generations)
		printf("  or          after %lld generations\n", (long long)stop->generations);
	if (stop->trained)
		printf("  or          after %lld that reached the evaluator\n",
		       (long long)stop->trained);
	if (stop->time_s > 0)
		printf("  or          after %s\n",
		       unit_format(stop->time_s, UNIT_SECOND, time, sizeof time));
	if (stop->hypervolume > 0)
		printf("  or          at a hypervolume of %g\n", stop->hypervolume);
	if (stop->stalled)
		printf("  or          when the hypervolume gains less than %g of itself in %lld "
		       "generations\n",
		       stop->stalled_gain, (long long)stop->stalled);
	for (size_t i = 0; i < s->n_goals; i++)
		print_bound(s, "goal", &s->goal[i]);
}

/* Of as many candidates as may reach the evaluator. */
static void print_rungs(const struct study *s)
{
	const struct study_config *c = s->config;
	uint64_t n = (uint64_t)c->stop.evaluations;
	double epochs = 0, before = 0;
	char disk[32];

	if (c->stop.trained && (uint64_t)c->stop.trained < n)
		n = (uint64_t)c->stop.trained;
	for (size_t i = 0; i <= s->rungs.n; i++) {
		uint64_t reach = fidelity_most(s, n, i);

		printf("  %-11s %g epochs", i ? "" : "fidelity", fidelity_epochs(s, i));
		if (i < s->rungs.n && s->rungs.image_size[i])
			printf(" at %lld pixels", (long long)s->rungs.image_size[i]);
		printf("%s: at most %llu candidates\n", i == s->rungs.n ? ", the whole" : "",
		       (unsigned long long)reach);
		epochs += (double)reach * (fidelity_epochs(s, i) - before);
		before = fidelity_epochs(s, i);
	}
	printf("  %-11s at most %.10g epochs in all, in place of %.10g\n", "", epochs,
	       (double)n * before);
	if (c->evaluator && c->evaluator->in_parts)
		printf("  %-11s about %s of checkpoints at most, during the run\n", "",
		       unit_format(c->fidelity.disk, UNIT_BYTE, disk, sizeof disk));
}

static void print_keeping(const struct study_config *c)
{
	if (c->failures.retries)
		printf("  failures    asked again up to %lld times\n",
		       (long long)c->failures.retries);
	if (c->evaluator)
		printf("  failures    the run ends when the first %lld all failed\n",
		       (long long)c->failures.enough);
	printf("  memory      %lld networks of the front, %lld candidates",
	       (long long)c->memory.front, (long long)c->memory.seen);
	if (c->memory.journal)
		printf(", %lld rows of the journal", (long long)c->memory.journal);
	putchar('\n');
}

/* What it takes to train with several --jobs. Only a candidate that keeps the bounds gets a
 * worker, so the largest network of the space would say too much. */
static void print_worker(const struct study *s)
{
	enum { ASKED = 16, DRAWN = 1000 };
	const struct evaluator_ops *e = s->config->evaluator;
	struct arena a = { 0 };
	double most = 0;
	char bytes[32];
	struct rng rng;
	int n = 0;

	rng_stream(&rng, s->config->seed, RNG_SAMPLE, 0);
	for (int i = 0; i < DRAWN && n < ASKED; i++) {
		struct arena_mark mark = arena_mark(&a);
		uint32_t *gene = ARENA_NEW(&a, uint32_t, s->space.n_genes);
		double value[STUDY_MAX_METRICS];
		struct nasc_err err = { 0 };
		struct network net;
		uint64_t bounds;

		space_sample(&s->space, &rng, gene);
		space_decode(&s->space, gene, &a, &net);
		if (!study_costs(s, &net, &a, value, &bounds, &err) &&
		    study_violation(s, value, false, NULL) == 0) {
			most = fmax(most, e->worker_bytes(s->config->evaluator_cfg, &net));
			n++;
		}
		arena_rewind(&a, mark);
	}
	arena_free(&a);
	if (n)
		printf("  worker      %s of tensors, weights and gradients for the largest of %d "
		       "random networks within the bounds\n",
		       unit_format(most, UNIT_BYTE, bytes, sizeof bytes), n);
	else
		printf("  worker      none of %d random networks is within the bounds\n", DRAWN);
}

static void print_plan(const struct study *s)
{
	const struct study_config *c = s->config;

	printf("%s: ok\n", c->doc.file);
	if (c->problem) {
		printf("  problem     %s, %zu objectives\n", c->problem->name, s->n_objectives);
	} else {
		printf("  space       %s, %zu genes, input %ux%ux%u, %u classes\n", c->space->name,
		       s->space.n_genes, s->input.h, s->input.w, s->input.c, s->classes);
		if (c->has_data)
			printf("  data        %s\n", c->data.directory);
		printf("  evaluator   %s\n",
		       c->evaluator ? c->evaluator->name : "none: costs only");
		if (c->evaluator && c->evaluator->worker_bytes)
			print_worker(s);
		if (s->rungs.n)
			print_rungs(s);
		for (size_t i = 1; i < s->n_models; i++)
			printf("  target      %s: %s\n", s->model[i].target, s->model[i].summary);
		for (size_t i = 0; i < s->n_objectives; i++)
			print_objective(s, i);
		for (size_t i = 0; i < s->n_bounds; i++)
			print_bound(s, "constraint", &s->bound[i]);
	}
	printf("  strategy    %s, seed %llu\n", c->strategy->name, (unsigned long long)c->seed);
	if (c->surrogate.type != SURROGATE_NONE)
		printf("  surrogate   Gaussian process: after %lld evaluations it picks 1 of %lld "
		       "proposals, %lld at once\n",
		       (long long)c->surrogate.after, (long long)c->surrogate.candidates,
		       (long long)c->surrogate.batch);
	print_stop(s);
	if (!c->problem)
		print_keeping(c);
}

static enum nasc_status run(const struct cmd_args *a, struct nasc_err *err)
{
	struct arena arena = { 0 };
	struct study_config config;
	struct cmd_keys keys;
	struct study study;
	enum nasc_status st = cmd_keys(a, &arena, &keys, err);

	if (!st)
		st = config_load(a->positional[0], keys.set, keys.n, &arena, &config, err);
	if (!st) {
		st = study_open(&study, &config, targets_dir(), false, &arena, err);
		if (!st)
			st = study_check(&config, err);
		if (!st)
			print_plan(&study);
		study_close(&study);
	}
	arena_free(&arena);
	return st;
}

static const struct cmd_option options[] = { CMD_SET_OPTION, { .name = NULL } };
const struct cmd cmd_check = { .name = "check",
			       .args = "CONFIG.yaml",
			       .summary = "say whether a config is right and what it would do",
			       .min_args = 1,
			       .max_args = 1,
			       .option = options,
			       .run = run };
