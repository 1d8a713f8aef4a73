#include "evaluators.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "process.h"

/* Any program as evaluator. Each worker keeps one process and gives it candidate
 * after candidate: one line of JSON to its standard input,
 *   {"id":7,"network":{…},"budget":1,"seed":42}
 * and one line back on its standard output, one of
 *   {"id":7,"accuracy":0.91}   {"id":7,"error":0.09}   {"id":7,"failure":"why"}
 * Other members of the answer are ignored. What the program writes to standard
 * error is not shown; its last line goes into the reason where the program ends
 * without an answer. Not where it goes on: what has come by then is chance. */

#define EXIT_GRACE_MS 1000

struct external_cfg {
	struct cfg_strings command;
	double timeout, budget;
};

struct external_worker {
	struct arena arena; /* holds this */
	struct process process;
};

static const struct cfg_field external_fields[] = {
	CFG_STRINGS_FIELD(struct external_cfg, command, NULL,
			  "program and its arguments, run without a shell: [python3, train.py]"),
	CFG_UNSCORED_REAL_FIELD(struct external_cfg, timeout, "10 min", 0.1, 2.6e6, UNIT_SECOND,
				"per candidate",
				"time after which the program is killed, its start included"),
	CFG_REAL_FIELD(
		struct external_cfg, budget, "1", 0, 1e12, UNIT_NONE, "as the program takes it",
		"passed on with every candidate: epochs, steps, whatever the program counts"),
	CFG_END
};

static const struct metric external_metrics[] = {
	{ "accuracy", "accuracy", UNIT_FRACTION, true, false,
	  "fraction of images classified right, as the program reports it" },
	{ "error", "error", UNIT_FRACTION, false, false, "1 - accuracy" },
};

/* ---- the command --------------------------------------------------------------- */

static bool runnable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* As execvp() looks for it. */
static bool in_search_path(const char *name)
{
	const char *dir = getenv("PATH");
	char path[4096];

	if (!dir)
		dir = "/bin:/usr/bin";
	for (;;) {
		size_t n = strcspn(dir, ":");

		if (n < sizeof path) {
			int len = snprintf(path, sizeof path, "%.*s%s%s", (int)n, dir,
					   n ? "/" : "./", name);

			if (len > 0 && (size_t)len < sizeof path && runnable(path))
				return true;
		}
		if (!dir[n])
			return false;
		dir += n + 1;
	}
}

static enum nasc_status external_check(const void *config, struct nasc_err *err)
{
	const struct external_cfg *cfg = config;
	const struct cfg_strings *command = &cfg->command;
	bool path;

	if (command->n == 0 || !command->v[0][0])
		return nasc_fail(err, NASC_CONFIG,
				 "command: empty; it must name a program: [python3, train.py]");
	path = strchr(command->v[0], '/') != NULL;
	if (path ? !runnable(command->v[0]) : !in_search_path(command->v[0]))
		return nasc_fail(err, NASC_CONFIG, "command: no program '%s' that can be run%s%s",
				 command->v[0], path ? "" : " in any directory of PATH",
				 command->n == 1 && strchr(command->v[0], ' ')
					 ? "; give its words as a list: [python3, train.py]"
					 : "");
	return NASC_OK;
}

static enum nasc_status external_open(struct evaluator *e, struct nasc_err *err)
{
	const struct external_cfg *cfg = e->cfg;
	const struct cfg_strings *command = &cfg->command;
	char **argv;

	if (external_check(cfg, err))
		return err->code;
	argv = ARENA_NEW(e->arena, char *, command->n + 1);
	for (size_t i = 0; i < command->n; i++)
		argv[i] = arena_strdup(e->arena, command->v[i]);
	e->state = argv;
	return NASC_OK;
}

/* ---- answers ------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static enum eval_outcome fail(struct eval_result *result,
								    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(result->why, sizeof result->why, fmt, ap);
	va_end(ap);
	for (char *s = result->why; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
	return EVAL_FAILED;
}

/* @in_step: the answer was to the question, be it a failure. */
static enum eval_outcome take_answer(const cJSON *json, uint64_t id, struct eval_result *result,
				     bool *in_step)
{
	struct nasc_err err = { 0 };
	const char *failure;
	int64_t answered;
	double v;
	bool accuracy = cJSON_GetObjectItemCaseSensitive(json, "accuracy");
	bool error = cJSON_GetObjectItemCaseSensitive(json, "error");

	if (!cJSON_IsObject(json))
		return fail(result, "answer: not a JSON object");
	if (json_get_int(json, "id", 0, INT64_MAX, &answered, &err))
		return fail(result, "answer: %s", err.msg);
	if ((uint64_t)answered != id)
		return fail(result, "answer: id %lld, must be %llu", (long long)answered,
			    (unsigned long long)id);
	if (cJSON_GetObjectItemCaseSensitive(json, "failure")) {
		if (json_get_string(json, "failure", &failure, &err))
			return fail(result, "answer: %s", err.msg);
		*in_step = true;
		return fail(result, "the program reports: %s", failure);
	}
	if (accuracy == error)
		return fail(result, "answer: must have one of 'accuracy', 'error' and 'failure'");
	if (json_get_real(json, accuracy ? "accuracy" : "error", &v, &err))
		return fail(result, "answer: %s", err.msg);
	if (v < 0 || v > 1)
		return fail(result, "answer: %s: %g is outside [0, 1]",
			    accuracy ? "accuracy" : "error", v);
	*in_step = true;
	result->value[0] = accuracy ? v : 1 - v;
	result->value[1] = accuracy ? 1 - v : v;
	return EVAL_OK;
}

/* The end of a batch job is a signal to each of its processes: nasc's own may be on the way. */
static bool ended_with_the_run(const siginfo_t *info, const atomic_bool *cancel)
{
	bool asked = info->si_code == CLD_KILLED &&
		     (info->si_status == SIGTERM || info->si_status == SIGINT ||
		      info->si_status == SIGHUP);

	for (int ms = 0; asked && cancel && ms < EXIT_GRACE_MS; ms += 10) {
		if (atomic_load(cancel))
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return false;
}

/* Why it gave no line; the process is gone afterwards. */
static enum eval_outcome take_silence(struct process *p, enum process_end end, double timeout,
				      const atomic_bool *cancel, struct eval_result *result)
{
	siginfo_t info = { 0 };
	bool gone = end == PROCESS_ENDED && process_ended(p, EXIT_GRACE_MS, &info);
	const char *quote = gone ? process_last_words(p, EXIT_GRACE_MS) : "";
	char what[80];

	if (end == PROCESS_TIMED_OUT)
		snprintf(what, sizeof what, "no answer within %g s", timeout);
	else if (end == PROCESS_TOO_LONG)
		snprintf(what, sizeof what, "answer: more than %zu bytes without a newline",
			 PROCESS_LINE_MAX);
	else if (end == PROCESS_TOO_MUCH)
		snprintf(what, sizeof what,
			 "answer: more than one line, or before the request was read");
	else if (!gone)
		snprintf(what, sizeof what, "the program closed its output without an answer");
	else if (info.si_code == CLD_EXITED)
		snprintf(what, sizeof what, "the program exited with status %d without an answer",
			 info.si_status);
	else
		snprintf(what, sizeof what, "the program was killed by signal %d", info.si_status);
	process_kill(p);
	if (gone && ended_with_the_run(&info, cancel))
		return EVAL_CANCELLED;
	return fail(result, "%s%s%s", what, *quote ? ": " : "", quote);
}

/* One line, in malloc()ed memory. */
static char *request_text(const struct eval_request *request, double budget, size_t *n)
{
	const struct eval_rungs *rungs = request->rungs;
	struct json_writer w;
	char *text = NULL;
	FILE *fp = open_memstream(&text, n);

	if (!fp)
		return NULL;
	json_init(&w, fp, true);
	json_object(&w, NULL);
	json_u64(&w, "id", request->id);
	network_write_json(request->net, &w, "network");
	if (rungs && request->rung < rungs->n)
		budget = (double)rungs->epochs[request->rung];
	json_real(&w, "budget", budget);
	json_u64(&w, "seed", request->seed);
	json_end(&w);
	if (fclose(fp) == 0)
		return text;
	free(text);
	return NULL;
}

/* A process that had answered before and now ends may have ended on its own account (one answer
 * a process, a limit of its own), so the candidate is asked again of a fresh one. Only that
 * one's end counts against it, and whatever it has written to standard error is about it. */
static enum process_end converse(struct process *p, char *const *argv, const char *text, size_t n,
				 const struct external_cfg *cfg, const atomic_bool *cancel,
				 int *start_errno)
{
	enum process_end end;

	if (process_idle(p)) {
		end = process_ask(p, text, n, cfg->timeout, cancel);
		if (end != PROCESS_ENDED)
			return end;
	}
	process_kill(p);
	*start_errno = process_start(p, argv);
	return *start_errno ? PROCESS_ENDED : process_ask(p, text, n, cfg->timeout, cancel);
}

static enum eval_outcome external_run(struct evaluator *e, void *worker,
				      const struct eval_request *request,
				      struct eval_result *result)
{
	const struct external_cfg *cfg = e->cfg;
	struct process *p = &((struct external_worker *)worker)->process;
	enum eval_outcome outcome;
	struct nasc_err err = { 0 };
	cJSON *json;
	size_t n;
	char *text = request_text(request, cfg->budget, &n);
	bool in_step = false;
	int start_errno = 0;
	enum process_end end;

	if (!text)
		return fail(result, "out of memory for the request");
	end = converse(p, e->state, text, n, cfg, request->cancel, &start_errno);
	free(text);
	if (start_errno) {
		fail(result, "cannot start '%s': %s", cfg->command.v[0], strerror(start_errno));
		return EVAL_BROKEN;
	}
	if (end == PROCESS_CANCELLED) {
		process_kill(p);
		return EVAL_CANCELLED;
	}
	if (end != PROCESS_GOT_LINE)
		return take_silence(p, end, cfg->timeout, request->cancel, result);
	if (json_parse("answer", p->line, p->len, &json, &err)) {
		outcome = fail(result, "%s", err.msg);
	} else {
		outcome = take_answer(json, request->id, result, &in_step);
		cJSON_Delete(json);
	}
	if (!in_step)
		process_kill(p);
	return outcome;
}

static double external_epochs(const void *cfg)
{
	return ((const struct external_cfg *)cfg)->budget;
}

/* ---- workers -------------------------------------------------------------------------- */

static enum nasc_status external_worker_open(struct evaluator *e, void **worker,
					     struct nasc_err *err)
{
	struct arena a = { 0 };
	struct external_worker *w = ARENA_NEW(&a, struct external_worker, 1);

	(void)e;
	(void)err;
	process_init(&w->process, ARENA_NEW(&a, char, PROCESS_LINE_MAX));
	w->arena = a;
	*worker = w;
	return NASC_OK;
}

static void external_worker_close(struct evaluator *e, void *worker)
{
	struct external_worker *w = worker;
	struct arena a = w->arena;

	(void)e;
	process_leave(&w->process, EXIT_GRACE_MS);
	arena_free(&a);
}

const struct evaluator_ops evaluator_external = {
	.name = "external",
	.summary = "any program: one JSON line a candidate in, one JSON line back",
	.source = "interface of its own: configs/external_example.py",
	.metric = external_metrics,
	.n_metrics = sizeof external_metrics / sizeof *external_metrics,
	.provenance = "measured: reported by an external program",
	.needs_data = false,
	.fields = external_fields,
	.cfg_size = sizeof(struct external_cfg),
	.epochs = external_epochs,
	.check = external_check,
	.open = external_open,
	.worker_open = external_worker_open,
	.run = external_run,
	.worker_close = external_worker_close,
};
