#define _GNU_SOURCE /* pipe2(), NSIG */
#include "clock.h"
#include "evaluators.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "json.h"

/* Any program as evaluator. Each worker keeps one process and gives it candidate
 * after candidate: one line of JSON to its standard input,
 *   {"id":7,"network":{…},"budget":1,"seed":42}
 * and one line back on its standard output, one of
 *   {"id":7,"accuracy":0.91}   {"id":7,"error":0.09}   {"id":7,"failure":"why"}
 * Other members of the answer are ignored. What the program writes to standard
 * error is not shown; its last line goes into the reason where the program ends
 * without an answer. Not where it goes on: what has come by then is chance. */

#define LINE_MAX_BYTES ((size_t)1 << 20)
#define SLICE_MS       200 /* between two looks at request->cancel */
#define EXIT_GRACE_MS  1000

struct external_cfg {
	struct cfg_strings command;
	double timeout, budget;
};

struct external_worker {
	struct arena arena; /* holds this */
	pid_t pid;	    /* leader of its process group; 0: none runs */
	int in, out, err;   /* our ends of its pipes; -1: closed */
	size_t len;	    /* of line[]: what it has answered so far */
	char *line;	    /* LINE_MAX_BYTES */
	bool tail_ended;
	size_t tail_len;
	char tail[128]; /* last line of its standard error so far */
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

	if (command->n == 0 || !command->v[0][0])
		return nasc_fail(err, NASC_CONFIG,
				 "command: empty; it must name a program: [python3, train.py]");
	if (strchr(command->v[0], '/') ? !runnable(command->v[0]) : !in_search_path(command->v[0]))
		return nasc_fail(err, NASC_CONFIG, "command: no program '%s' that can be run%s",
				 command->v[0],
				 strchr(command->v[0], '/') ? "" : " in any directory of PATH");
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

/* ---- the process ----------------------------------------------------------------- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void sleep_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* Has it ended within @ms? It stays a zombie, so its pid and group stay its own. */
static bool process_ended(pid_t pid, long ms, siginfo_t *info)
{
	for (long waited = 0;; waited += 2) {
		memset(info, 0, sizeof *info);
		if (waitid(P_PID, (id_t)pid, info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info->si_pid == pid)
			return true;
		if (waited >= ms)
			return false;
		sleep_ms(2);
	}
}

/* Kill it with all its children and forget it. */
static void process_kill(struct external_worker *w)
{
	close_fd(&w->in);
	close_fd(&w->out);
	close_fd(&w->err);
	if (w->pid == 0)
		return;
	kill(-w->pid, SIGKILL);
	while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
		;
	w->pid = 0;
}

/* The child, from fork() to exec(): nothing here that could wait for another thread. Default
 * signals, none blocked, a process group of its own: Ctrl-C in the terminal reaches nasc
 * alone, which then decides. Were nasc itself killed, the kernel ends the program, which
 * may not heed the end of its input; the signal comes when the thread ends that is @parent's.
 * It does not reach the program's own children, as process_kill() does. */
static void become(char *const *argv, const int fd[3], int report, pid_t parent)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;
	int why;

	sigemptyset(&none);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 1; i < NSIG; i++)
		sigaction(i, &standard, NULL);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	if (getppid() == parent && dup2(fd[0], STDIN_FILENO) >= 0 &&
	    dup2(fd[1], STDOUT_FILENO) >= 0 && dup2(fd[2], STDERR_FILENO) >= 0)
		execvp(argv[0], argv);
	why = errno;
	if (write(report, &why, sizeof why) < 0)
		_exit(126);
	_exit(127);
}

/* Returns an errno: the child tells its own through a pipe that a successful exec() closes. */
static int spawn(char *const *argv, const int fd[3], pid_t *pid)
{
	sigset_t all, before;
	pid_t self = getpid();
	int report[2], why = 0;

	if (pipe2(report, O_CLOEXEC))
		return errno;
	sigfillset(&all); /* no handler of ours may run in the child */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	*pid = fork();
	if (*pid == 0)
		become(argv, fd, report[1], self);
	if (*pid < 0)
		why = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(report[1]);
	while (*pid > 0 && read(report[0], &why, sizeof why) < 0 && errno == EINTR)
		;
	close(report[0]);
	if (*pid > 0 && why)
		while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
			;
	return why;
}

/* All ends close on exec, so that one worker's process holds no other's pipes
 * open. Returns an errno. */
static int process_start(struct external_worker *w, char *const *argv)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 }, rc;

	w->tail_len = 0;
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) ||
	    fcntl(in[1], F_SETFL, O_NONBLOCK) || fcntl(out[0], F_SETFL, O_NONBLOCK) ||
	    fcntl(err[0], F_SETFL, O_NONBLOCK))
		rc = errno;
	else
		rc = spawn(argv, (int[]){ in[0], out[1], err[1] }, &w->pid);
	close_fd(&in[0]);
	close_fd(&out[1]);
	close_fd(&err[1]);
	w->in = in[1];
	w->out = out[0];
	w->err = err[0];
	if (rc) {
		w->pid = 0;
		process_kill(w);
	}
	return rc;
}

/* ---- one exchange ------------------------------------------------------------------ */

enum exchange {
	GOT_LINE, /* in line[], len bytes, without its newline */
	ENDED,	  /* closed its output, mostly by exiting */
	TIMED_OUT,
	CANCELLED,
	TOO_LONG, /* no newline within LINE_MAX_BYTES */
	TOO_MUCH, /* bytes behind the newline, or an answer before it had read all */
};

/* Write what fits without waiting. A process that is gone gives EPIPE and not
 * the signal, whatever this program does with SIGPIPE elsewhere. False: gone. */
static bool send_some(struct external_worker *w, const char *text, size_t n, size_t *sent)
{
	sigset_t pipe_only, before, pending;
	bool was_pending, gone = false;
	ssize_t put;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
	put = write(w->in, text + *sent, n - *sent);
	if (put >= 0) {
		*sent += (size_t)put;
	} else if (errno != EAGAIN && errno != EINTR) {
		gone = true;
		if (errno == EPIPE && !was_pending)
			while (sigtimedwait(&pipe_only, NULL, &(struct timespec){ 0 }) < 0 &&
			       errno == EINTR)
				;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return !gone;
}

/* Keep the last line that has anything in it. Bounded: a program may write faster
 * than we read. */
static void drain_stderr(struct external_worker *w)
{
	char buf[4096];
	ssize_t got = 0;

	for (int reads = 0; reads < 64 && (got = read(w->err, buf, sizeof buf)) > 0; reads++) {
		for (ssize_t i = 0; i < got; i++) {
			unsigned char c = (unsigned char)buf[i];

			if (c == '\n' || c == '\r') {
				w->tail_ended = true;
				continue;
			}
			if (w->tail_ended)
				w->tail_len = 0;
			w->tail_ended = false;
			if (w->tail_len < sizeof w->tail - 1)
				w->tail[w->tail_len++] = (char)(c < 0x20 || c == 0x7f ? ' ' : c);
		}
	}
	w->tail[w->tail_len] = '\0';
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(&w->err);
}

/* Read to the end, which a child that outlives the program may put off. False: not within @ms. */
static bool stderr_ended(struct external_worker *w, long ms)
{
	for (long waited = 0; w->err >= 0 && waited <= ms; waited += 2) {
		drain_stderr(w);
		if (w->err >= 0)
			sleep_ms(2);
	}
	return w->err < 0;
}

/* True when the exchange is over, with @end. */
static bool receive_some(struct external_worker *w, bool all_sent, enum exchange *end)
{
	ssize_t got = read(w->out, w->line + w->len, LINE_MAX_BYTES - w->len);
	char *newline;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	*end = ENDED;
	if (got <= 0)
		return true;
	newline = memchr(w->line + w->len, '\n', (size_t)got);
	w->len += (size_t)got;
	*end = TOO_LONG;
	if (!newline)
		return w->len == LINE_MAX_BYTES;
	*newline = '\0';
	*end = newline + 1 == w->line + w->len && all_sent ? GOT_LINE : TOO_MUCH;
	w->len = (size_t)(newline - w->line);
	return true;
}

static enum exchange exchange(struct external_worker *w, const char *text, size_t n, double timeout,
			      const atomic_bool *cancel)
{
	double deadline = clock_s() + timeout, left;
	enum exchange end = ENDED;
	bool dead = false;
	siginfo_t info;
	size_t sent = 0;
	int ready;

	w->len = 0;
	while (!cancel || !atomic_load_explicit(cancel, memory_order_relaxed)) {
		struct pollfd p[] = { { .fd = w->out, .events = POLLIN },
				      { .fd = w->err, .events = POLLIN },
				      { .fd = sent < n ? w->in : -1, .events = POLLOUT } };

		left = deadline - clock_s();
		if (left <= 0)
			return TIMED_OUT;
		ready = poll(p, 3, left * 1e3 < SLICE_MS ? (int)(left * 1e3) + 1 : SLICE_MS);
		if (ready == 0) { /* it may be gone, and a child of its hold the pipe open */
			if (dead)
				return ENDED;
			dead = process_ended(w->pid, 0, &info);
		}
		if (ready <= 0)
			continue;
		if (p[1].revents)
			drain_stderr(w);
		if (p[0].revents && receive_some(w, sent == n, &end))
			return end;
		if (p[2].revents && !send_some(w, text, n, &sent))
			close_fd(&w->in);
	}
	return CANCELLED;
}

/* Between two candidates it must neither have ended nor said anything. */
static bool process_idle(const struct external_worker *w)
{
	struct pollfd p = { .fd = w->out, .events = POLLIN };

	return w->pid && poll(&p, 1, 0) == 0;
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

/* Why it gave no line; the process is gone afterwards. */
static enum eval_outcome take_silence(struct external_worker *w, enum exchange end, double timeout,
				      struct eval_result *result)
{
	siginfo_t info = { 0 };
	bool gone = end == ENDED && process_ended(w->pid, EXIT_GRACE_MS, &info);
	bool quote = gone && stderr_ended(w, EXIT_GRACE_MS) && w->tail_len > 0;
	char what[80];

	if (end == TIMED_OUT)
		snprintf(what, sizeof what, "no answer within %g s", timeout);
	else if (end == TOO_LONG)
		snprintf(what, sizeof what, "answer: more than %zu bytes without a newline",
			 LINE_MAX_BYTES);
	else if (end == TOO_MUCH)
		snprintf(what, sizeof what,
			 "answer: more than one line, or before the request was read");
	else if (!gone)
		snprintf(what, sizeof what, "the program closed its output without an answer");
	else if (info.si_code == CLD_EXITED)
		snprintf(what, sizeof what, "the program exited with status %d without an answer",
			 info.si_status);
	else
		snprintf(what, sizeof what, "the program was killed by signal %d", info.si_status);
	process_kill(w);
	return fail(result, "%s%s%s", what, quote ? ": " : "", quote ? w->tail : "");
}

/* One line, in malloc()ed memory. */
static char *request_text(const struct eval_request *request, double budget, size_t *n)
{
	struct json_writer w;
	char *text = NULL;
	FILE *fp = open_memstream(&text, n);

	if (!fp)
		return NULL;
	json_init(&w, fp, true);
	json_object(&w, NULL);
	json_u64(&w, "id", request->id);
	network_write_json(request->net, &w, "network");
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
static enum exchange converse(struct external_worker *w, char *const *argv, const char *text,
			      size_t n, const struct external_cfg *cfg, const atomic_bool *cancel,
			      int *start_errno)
{
	enum exchange end;

	if (process_idle(w)) {
		end = exchange(w, text, n, cfg->timeout, cancel);
		if (end != ENDED)
			return end;
	}
	process_kill(w);
	*start_errno = process_start(w, argv);
	return *start_errno ? ENDED : exchange(w, text, n, cfg->timeout, cancel);
}

static enum eval_outcome external_run(struct evaluator *e, void *worker,
				      const struct eval_request *request,
				      struct eval_result *result)
{
	const struct external_cfg *cfg = e->cfg;
	struct external_worker *w = worker;
	enum eval_outcome outcome;
	struct nasc_err err = { 0 };
	cJSON *json;
	size_t n;
	char *text = request_text(request, cfg->budget, &n);
	bool in_step = false;
	int start_errno = 0;
	enum exchange end;

	if (!text)
		return fail(result, "out of memory for the request");
	end = converse(w, e->state, text, n, cfg, request->cancel, &start_errno);
	free(text);
	if (start_errno)
		return fail(result, "cannot start '%s': %s", cfg->command.v[0],
			    strerror(start_errno));
	if (end == CANCELLED) {
		process_kill(w);
		return EVAL_CANCELLED;
	}
	if (end != GOT_LINE)
		return take_silence(w, end, cfg->timeout, result);
	if (json_parse("answer", w->line, w->len, &json, &err)) {
		outcome = fail(result, "%s", err.msg);
	} else {
		outcome = take_answer(json, request->id, result, &in_step);
		cJSON_Delete(json);
	}
	if (!in_step)
		process_kill(w);
	return outcome;
}

/* ---- workers -------------------------------------------------------------------------- */

static enum nasc_status external_worker_open(struct evaluator *e, void **worker,
					     struct nasc_err *err)
{
	struct arena a = { 0 };
	struct external_worker *w = ARENA_NEW(&a, struct external_worker, 1);

	(void)e;
	(void)err;
	*w = (struct external_worker){ .in = -1, .out = -1, .err = -1 };
	w->line = ARENA_NEW(&a, char, LINE_MAX_BYTES);
	w->arena = a;
	*worker = w;
	return NASC_OK;
}

/* The end of its input asks it to leave; it has a second to. */
static void external_worker_close(struct evaluator *e, void *worker)
{
	struct external_worker *w = worker;
	struct arena a = w->arena;
	siginfo_t info;

	(void)e;
	close_fd(&w->in);
	if (w->pid)
		process_ended(w->pid, EXIT_GRACE_MS, &info);
	process_kill(w);
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
	.check = external_check,
	.open = external_open,
	.worker_open = external_worker_open,
	.run = external_run,
	.worker_close = external_worker_close,
};
