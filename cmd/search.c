#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "study.h"

struct announcement {
	const char *out;
	bool made;
};

/* Once, where a line stays: a terminal shows that it runs. */
static void announce(const struct study_progress *p, struct announcement *a)
{
	const struct study_config *c = p->study->config;

	if (a->made || progress_rewrites())
		return;
	a->made = true;
	fprintf(stderr, "searching %s by %s, %llu candidates at most; results go to %s\n",
		c->problem ? c->problem->name : c->space->name, c->strategy->name,
		(unsigned long long)p->planned, a->out);
}

static void show_progress(const struct study_progress *p, void *ctx)
{
	char line[512], text[32];
	size_t at;

	announce(p, ctx);
	at = (size_t)snprintf(line, sizeof line, "%llu/%llu", (unsigned long long)p->evaluations,
			      (unsigned long long)p->planned);
	if (p->study->config->stop.trained)
		at += (size_t)snprintf(line + at, sizeof line - at, " (%llu/%lld trained)",
				       (unsigned long long)p->trained,
				       (long long)p->study->config->stop.trained);
	else if (p->trained)
		at += (size_t)snprintf(line + at, sizeof line - at, " (%llu trained)",
				       (unsigned long long)p->trained);
	if (p->failed)
		at += (size_t)snprintf(line + at, sizeof line - at, " %llu failed",
				       (unsigned long long)p->failed);
	/* What a narrow window cuts off comes last. */
	if (!isnan(p->left_s))
		at += (size_t)snprintf(
			line + at, sizeof line - at, "  %s left",
			unit_format(round(p->left_s), UNIT_SECOND, text, sizeof text));
	for (size_t i = 0; i < p->study->n_objectives && at < sizeof line; i++) {
		const struct study_metric *m = &p->study->metric[p->study->objective[i]];

		if (!isnan(p->best[i]))
			at += (size_t)snprintf(
				line + at, sizeof line - at, "  %s %s", m->name,
				unit_format(p->best[i], m->metric->dim, text, sizeof text));
	}
	if (!isnan(p->hypervolume) && at < sizeof line)
		snprintf(line + at, sizeof line - at, "  hv %.4f", p->hypervolume);
	progress_line(line);
}

/* On standard error like all that a run says. */
static void report_surrogate(const struct surrogate_report *r, const struct study *study)
{
	fprintf(stderr, "surrogate: chose %llu of %llu proposals", (unsigned long long)r->evaluated,
		(unsigned long long)r->proposed);
	for (size_t i = 0; i < r->n; i++)
		if (!isnan(r->rank_correlation[i]))
			fprintf(stderr, "; %s as predicted and as measured: rank correlation %.2f",
				study->metric[study->objective[r->objective[i]]].name,
				r->rank_correlation[i]);
	fputc('\n', stderr);
}

static void report(const struct study_summary *s, size_t rungs, const char *out)
{
	char wall[32], disk[32];

	fprintf(stderr, "%s: %zu on the front of %llu candidates", out, s->front,
		(unsigned long long)s->evaluations);
	if (s->trained)
		fprintf(stderr, ", %llu reached the evaluator", (unsigned long long)s->trained);
	if (s->resumed)
		fprintf(stderr, " (%llu of them in the journal)", (unsigned long long)s->resumed);
	if (rungs) {
		fprintf(stderr, ", %llu", (unsigned long long)s->reached[0]);
		for (size_t i = 1; i <= rungs; i++)
			fprintf(stderr, " > %llu", (unsigned long long)s->reached[i]);
		fprintf(stderr, " up the rungs");
	}
	if (s->state_bytes)
		fprintf(stderr, " (checkpoints took %s)",
			unit_format((double)s->state_bytes, UNIT_BYTE, disk, sizeof disk));
	if (s->failed)
		fprintf(stderr, ", %llu failed (the first: %s)", (unsigned long long)s->failed,
			s->first_failure);
	if (!isnan(s->hypervolume))
		fprintf(stderr, "; hypervolume %.6g", s->hypervolume);
	fprintf(stderr, "; %s; stopped: %s\n",
		unit_format(s->wall_s, UNIT_SECOND, wall, sizeof wall), s->stop_reason);
	if (s->front)
		fprintf(stderr, "look at it: nasc pareto %s\n", out);
}

static enum nasc_status search(const struct cmd_args *a, struct arena *arena, struct nasc_err *err)
{
	const char *out = cmd_value(a, "out");
	struct cmd_keys keys;
	struct study_options o = { .out = out ? out : "results.json",
				   .resume = cmd_flag(a, "resume"),
				   .retry_failed = cmd_flag(a, "retry-failed"),
				   .progress = show_progress };
	struct announcement start = { .out = o.out };
	struct study_config config;
	struct study_summary summary = { 0 };
	struct study study;
	enum nasc_status st;

	if (o.retry_failed && !o.resume)
		return nasc_fail(err, NASC_USAGE, "--retry-failed goes with --resume only");
	if (cmd_jobs(a, &o.jobs, err) || cmd_keys(a, arena, &keys, err) ||
	    config_load(a->positional[0], keys.set, keys.n, arena, &config, err))
		return err->code;
	if (o.resume && !study_has_run(o.out))
		fprintf(stderr, "nasc: nothing to go on from at %s, starting anew\n", o.out);
	o.cancel = cancel_on_signal();
	o.ctx = &start;
	st = study_open(&study, &config, targets_dir(), true, arena, err);
	if (!st)
		st = study_run(&study, &o, &summary, err);
	study_close(&study);
	progress_end();
	if (summary.stop_reason)
		report(&summary, study.rungs.n, o.out);
	if (summary.stop_reason && summary.surrogate)
		report_surrogate(summary.surrogate, &study);
	return st;
}

static enum nasc_status run(const struct cmd_args *a, struct nasc_err *err)
{
	struct arena arena = { 0 };
	enum nasc_status st = search(a, &arena, err);

	arena_free(&arena);
	return st;
}

static const struct cmd_option options[] = {
	{ "out", "FILE", "results file; the journal stands beside it [results.json]" },
	{ "seed", "N", "seed of the run, instead of the config's" },
	{ "jobs", "N", "candidates worked on at once [one per processor]" },
	{ "resume", NULL, "go on with an earlier run of the same config" },
	{ "retry-failed", NULL, "with --resume: ask the evaluator again where it failed" },
	CMD_SET_OPTION,
	{ .name = NULL }
};
const struct cmd cmd_search = {
	.name = "search",
	.args = "CONFIG.yaml [--out FILE] [--resume]",
	.summary = "search networks, write the Pareto front as JSON",
	.details =
		"Every finished evaluation is in the journal before it is used: after Ctrl-C, a "
		"kill or\n"
		"a crash the same command with --resume goes on where it was, and ends with the\n"
		"same results, at any --jobs. A failure is a finished evaluation too: "
		"--retry-failed "
		"asks\n"
		"again for these alone, after the evaluator was mended.\n",
	.min_args = 1,
	.max_args = 1,
	.option = options,
	.run = run
};
