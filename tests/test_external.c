#define _XOPEN_SOURCE 700 /* nftw() */
#include <criterion/criterion.h>

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "evaluators.h"
#include "json.h"
#include "leak.h"

/* As the rows of the evaluator lay it out. */
struct config {
	struct cfg_strings command;
	double timeout, budget;
};

/* Reads candidates; $id is the id of the present one, $n counts them. */
#define EACH		"n=0; while IFS= read -r line; do n=$((n+1)); id=${line#*:}; id=${id%%,*}; "
#define DONE		"; done"
#define GOOD		"echo \"{\\\"id\\\":$id,\\\"accuracy\\\":0.25}\""
#define ANSWER(members) "echo \"{\\\"id\\\":$id," members "}\""
/* Candidate 1 goes wrong, all others well. */
#define WRONG(commands) EACH "if [ $id = 1 ]; then " commands "; else " GOOD "; fi" DONE

/* ---- a worker of the evaluator, and its candidates ---------------------------- */

struct bench {
	struct arena arena;
	struct config cfg;
	const char *argv[4];
	struct evaluator e;
	struct network net;
	void *worker;
	atomic_bool cancel;
	int files; /* open before */
};

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	cr_assert(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void make_network(struct network *net, struct arena *a, int layers)
{
	struct nasc_err err = { 0 };
	uint32_t at;

	network_init(net, a, (struct net_shape){ 8, 8, 3 });
	at = network_conv2d(net, 0, 4, 3, 1, 1, NET_SAME, true);
	for (int i = 0; i < layers; i++)
		at = network_unary(net, NET_RELU, at);
	at = network_dense(net, at, 10, true);
	cr_assert_eq(network_infer(net, &err), NASC_OK, "%s", err.msg);
}

static void start_command(struct bench *b, double timeout)
{
	struct nasc_err err = { 0 };

	b->files = open_files();
	b->cfg.timeout = timeout;
	b->cfg.budget = 1.5;
	make_network(&b->net, &b->arena, 1);
	b->e = (struct evaluator){ .ops = evaluator_find("external"),
				   .cfg = &b->cfg,
				   .arena = &b->arena };
	cr_assert_not_null(b->e.ops);
	cr_assert_eq(b->e.ops->cfg_size, sizeof b->cfg);
	cr_assert_eq(b->e.ops->open(&b->e, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(b->e.ops->worker_open(&b->e, &b->worker, &err), NASC_OK, "%s", err.msg);
}

static void start(struct bench *b, const char *script, double timeout)
{
	*b = (struct bench){ .argv = { "/bin/sh", "-c", script } };
	b->cfg.command = (struct cfg_strings){ 3, b->argv };
	start_command(b, timeout);
}

static enum eval_outcome ask_of(struct bench *b, void *worker, uint64_t id, struct eval_result *r)
{
	struct eval_request request = { id, 42, &b->net, &b->cancel };

	*r = (struct eval_result){ .value = { -1, -1 } };
	return b->e.ops->run(&b->e, worker, &request, r);
}

static enum eval_outcome ask(struct bench *b, uint64_t id, struct eval_result *r)
{
	return ask_of(b, b->worker, id, r);
}

/* Neither processes nor files are left. */
static void stop(struct bench *b)
{
	b->e.ops->worker_close(&b->e, b->worker);
	arena_free(&b->arena);
	cr_assert_eq(open_files(), b->files, "files leak");
	cr_assert(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "processes leak");
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

TestSuite(external, .fini = no_leaks);

/* ---- answers --------------------------------------------------------------------- */

Test(external, metrics)
{
	const struct evaluator_ops *ops = evaluator_find("external");

	cr_assert_eq(ops->n_metrics, 2);
	cr_assert(!strcmp(ops->metric[0].key, "accuracy") && ops->metric[0].maximise);
	cr_assert(!strcmp(ops->metric[1].key, "error") && !ops->metric[1].maximise);
	cr_assert_null(evaluator_find("nonesuch"));
}

Test(external, accuracy_or_error)
{
	struct bench b;
	struct eval_result r;

	start(&b,
	      EACH "if [ $id = 1 ]; then " ANSWER(
		      "\\\"accuracy\\\":0.25, \\\"seconds\\\":3") "; else " ANSWER("\\\"error\\\":"
										   "0.125") "; "
											    "f"
											    "i" DONE,
	      10);
	cr_assert_eq(ask(&b, 1, &r), EVAL_OK, "%s", r.why);
	cr_assert(r.value[0] == 0.25 && r.value[1] == 0.75);
	cr_assert_eq(ask(&b, 2, &r), EVAL_OK, "%s", r.why);
	cr_assert(r.value[0] == 0.875 && r.value[1] == 0.125);
	stop(&b);
}

/* The count goes on from candidate to candidate: one process answers them all. */
Test(external, process_is_kept)
{
	struct bench b;
	struct eval_result r;

	start(&b, EACH ANSWER("\\\"accuracy\\\":0.00$n") DONE, 10);
	for (unsigned i = 1; i < 9; i++) {
		cr_assert_eq(ask(&b, 100 + i, &r), EVAL_OK, "%s", r.why);
		cr_assert_float_eq(r.value[0], i / 1000.0, 1e-12);
	}
	/* Nobody to cancel it. */
	cr_assert_eq(
		b.e.ops->run(&b.e, b.worker, &(struct eval_request){ 200, 42, &b.net, NULL }, &r),
		EVAL_OK, "%s", r.why);
	cr_assert_float_eq(r.value[0], 0.009, 1e-12);
	stop(&b);
}

Test(external, request)
{
	char path[] = "/tmp/nasc-external-XXXXXX", script[512], line[8192];
	struct nasc_err err = { 0 };
	struct network read;
	struct eval_result r;
	struct bench b;
	cJSON *json;
	FILE *fp = fdopen(mkstemp(path), "r");

	snprintf(script, sizeof script, EACH "printf '%%s\\n' \"$line\" >%s; " GOOD DONE, path);
	start(&b, script, 10);
	cr_assert_eq(ask(&b, 7, &r), EVAL_OK, "%s", r.why);
	cr_assert(fgets(line, sizeof line, fp));
	cr_assert_eq(fgetc(fp), EOF, "more than one line");
	unlink(path);
	cr_assert_eq(json_parse("line", line, strlen(line), &json, &err), NASC_OK, "%s", err.msg);
	cr_assert_str_eq(cJSON_GetArrayItem(json, 0)->string, "id");
	cr_assert_eq(cJSON_GetObjectItem(json, "id")->valuedouble, 7);
	cr_assert_eq(cJSON_GetObjectItem(json, "budget")->valuedouble, 1.5);
	cr_assert_eq(cJSON_GetObjectItem(json, "seed")->valuedouble, 42);
	cr_assert_eq(cJSON_GetArraySize(json), 4);
	cr_assert_eq(network_from_json(cJSON_GetObjectItem(json, "network"), &b.arena, &read, &err),
		     NASC_OK, "%s", err.msg);
	cr_assert(network_equal(&read, &b.net));
	cJSON_Delete(json);
	stop(&b);
	fclose(fp);
}

Test(external, slow_start)
{
	struct bench b;
	struct eval_result r;

	start(&b, "sleep 0.6; " EACH GOOD DONE, 10);
	cr_assert_eq(ask(&b, 1, &r), EVAL_OK, "%s", r.why);
	stop(&b);
}

/* 300 kB on standard error, which nobody reads unless the evaluator does. */
Test(external, much_standard_error)
{
	struct bench b;
	struct eval_result r;

	start(&b, EACH "head -c 300000 /dev/zero | tr '\\000' '\\n' >&2; " GOOD DONE, 10);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(ask(&b, i, &r), EVAL_OK, "%s", r.why);
	stop(&b);
}

/* ---- failures ------------------------------------------------------------------------ */

static const struct fault {
	const char *what, *script, *want;
} faults[] = {
	{ "hangs", WRONG("sleep 100"), "no answer within 1 s" },
	{ "hangs deaf to SIGTERM", "trap '' TERM; " WRONG("sleep 100"), "no answer within 1 s" },
	{ "spams standard error", WRONG("yes >&2"), "no answer within 1 s: y" },
	{ "exits", WRONG("exit 3"), "the program exited with status 3 without an answer" },
	{ "exits with a reason", WRONG("printf 'Traceback\\nImportError: torch\\n\\n' >&2; exit 1"),
	  "exited with status 1 without an answer: ImportError: torch" },
	{ "exits, a child keeps the pipe", WRONG("sleep 100 & exit 4"), "exited with status 4" },
	{ "exits half way", WRONG("printf '{\"id\":1,'; exit 5"), "exited with status 5" },
	{ "crashes", WRONG("kill -SEGV $$"), "the program was killed by signal 11" },
	{ "closes its output", WRONG("exec >&-; sleep 100"),
	  "closed its output without an answer" },
	{ "garbage", WRONG("echo Epoch 1 of 5"), "answer:1:1: not valid JSON" },
	{ "empty line", WRONG("echo"), "not JSON" },
	{ "NUL bytes", WRONG("printf '{\"id\":1\\000}\\n'"), "a NUL byte" },
	{ "huge line", WRONG("head -c 2000000 /dev/zero | tr '\\000' x; echo"),
	  "answer: more than 1048576 bytes without a newline" },
	{ "two lines", WRONG("printf '{\"id\":1,\"accuracy\":1}\\n{}\\n'"),
	  "answer: more than one line" },
	{ "list", WRONG("echo '[1]'"), "answer: not a JSON object" },
	{ "no id", WRONG("echo '{\"accuracy\":0.9}'"), "answer: id: is missing" },
	{ "wrong id", WRONG("echo '{\"id\":2,\"accuracy\":0.9}'"), "answer: id 2, must be 1" },
	{ "no figure", WRONG("echo '{\"id\":1}'"),
	  "must have one of 'accuracy', 'error' and 'failure'" },
	{ "two figures", WRONG("echo '{\"id\":1,\"accuracy\":0.5,\"error\":0.5}'"),
	  "must have one of 'accuracy', 'error' and 'failure'" },
	{ "NaN", WRONG("echo '{\"id\":1,\"accuracy\":NaN}'"), "not valid JSON" },
	{ "null", WRONG("echo '{\"id\":1,\"accuracy\":null}'"), "answer: accuracy: is null" },
	{ "infinite", WRONG("echo '{\"id\":1,\"error\":1e999}'"), "answer: error: " },
	{ "per cent", WRONG("echo '{\"id\":1,\"accuracy\":91.5}'"),
	  "answer: accuracy: 91.5 is outside [0, 1]" },
	{ "negative", WRONG("echo '{\"id\":1,\"error\":-0.1}'"),
	  "answer: error: -0.1 is outside [0, 1]" },
	{ "text", WRONG("echo '{\"id\":1,\"accuracy\":\"0.9\"}'"),
	  "answer: accuracy: is a string" },
	{ "reports", WRONG("echo '{\"id\":1,\"failure\":\"out of \\u001bmemory\"}'"),
	  "the program reports: out of  memory" },
	{ "reports a number", WRONG("echo '{\"id\":1,\"failure\":3}'"),
	  "answer: failure: is a number" },
};

/* Each fails its candidate alone; the next is answered well, as are those before. */
Test(external, faults, .timeout = 120)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		const struct fault *f = &faults[i];
		struct eval_result r;
		struct bench b;

		start(&b, f->script, 1);
		for (int round = 0; round < 2; round++) {
			cr_assert_eq(ask(&b, 1, &r), EVAL_FAILED, "%s", f->what);
			cr_assert(strstr(r.why, f->want), "%s: '%s', not '%s'", f->what, r.why,
				  f->want);
			cr_assert_eq(ask(&b, 2, &r), EVAL_OK, "%s: then: %s", f->what, r.why);
			cr_assert_eq(r.value[0], 0.25, "%s", f->what);
		}
		stop(&b);
	}
}

/* A report of failure is an answer: the process goes on, but not behind garbage. */
Test(external, reported_failure_keeps_the_process)
{
	struct bench b;
	struct eval_result r;

	start(&b,
	      EACH "case $n in 2) echo '{\"id\":2,\"failure\":\"no memory\"}';; 4) echo x;; "
		   "*) " ANSWER("\\\"accuracy\\\":0.$n") ";; esac" DONE,
	      10);
	cr_assert_eq(ask(&b, 1, &r), EVAL_OK, "%s", r.why);
	cr_assert_eq(ask(&b, 2, &r), EVAL_FAILED);
	cr_assert_str_eq(r.why, "the program reports: no memory");
	cr_assert_eq(ask(&b, 3, &r), EVAL_OK, "%s", r.why);
	cr_assert_eq(r.value[0], 0.3);
	cr_assert_eq(ask(&b, 4, &r), EVAL_FAILED);
	cr_assert_eq(ask(&b, 5, &r), EVAL_OK, "%s", r.why);
	cr_assert_eq(r.value[0], 0.1);
	stop(&b);
}

/* One answer a process is a way to write such a program, and no fault. */
Test(external, one_answer_a_process)
{
	struct bench b;
	struct eval_result r;

	start(&b, "IFS= read -r line; id=${line#*:}; id=${id%%,*}; " GOOD, 10);
	for (unsigned i = 0; i < 30; i++)
		cr_assert_eq(ask(&b, i, &r), EVAL_OK, "%u: %s", i, r.why);
	stop(&b);
}

/* What it says unasked does not become the next candidate's answer. */
Test(external, late_line_is_dropped)
{
	struct bench b;
	struct eval_result r;

	start(&b, EACH GOOD "; sleep 0.1; echo '{\"id\":2,\"accuracy\":1}'" DONE, 10);
	cr_assert_eq(ask(&b, 1, &r), EVAL_OK, "%s", r.why);
	nanosleep(&(struct timespec){ .tv_nsec = 400000000 }, NULL);
	cr_assert_eq(ask(&b, 2, &r), EVAL_OK, "%s", r.why);
	cr_assert_eq(r.value[0], 0.25);
	stop(&b);
}

/* The state letter of /proc/PID/stat; '-' when there is no such process. */
static char process_state(long pid)
{
	char path[64], state = '-';
	FILE *fp;

	snprintf(path, sizeof path, "/proc/%ld/stat", pid);
	fp = fopen(path, "r");
	if (fp) {
		cr_assert_eq(fscanf(fp, "%*d (%*[^)]) %c", &state), 1);
		fclose(fp);
	}
	return state;
}

Test(external, grandchildren_die_too)
{
	char path[] = "/tmp/nasc-external-XXXXXX", script[512], state = '?';
	FILE *fp = fdopen(mkstemp(path), "r");
	struct eval_result r;
	struct bench b;
	long pid;

	snprintf(script, sizeof script, EACH "sleep 100 & echo $! >%s; wait" DONE, path);
	start(&b, script, 0.5);
	cr_assert_eq(ask(&b, 1, &r), EVAL_FAILED);
	cr_assert_eq(fscanf(fp, "%ld", &pid), 1);
	for (int i = 0; i < 200 && !strchr("-Z", state); i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		state = process_state(pid);
	}
	cr_assert(strchr("-Z", state), "process %ld is in state %c", pid, state);
	stop(&b);
	fclose(fp);
	unlink(path);
}

/* The end of its input is nothing to it; that of the thread, and so of the process, that started
 * it is. */
Test(external, dies_with_its_parent)
{
	char path[] = "/tmp/nasc-external-XXXXXX", script[512], state = '?';
	FILE *fp = fdopen(mkstemp(path), "r");
	int ready[2], status;
	pid_t parent;
	char c;
	long pid;

	snprintf(script, sizeof script,
		 "echo $$ >%s; " EACH GOOD DONE "; while :; do sleep 0.1; done", path);
	cr_assert_eq(pipe(ready), 0);
	parent = fork();
	if (parent == 0) {
		struct eval_result r;
		struct bench b;

		start(&b, script, 10);
		if (ask(&b, 1, &r) != EVAL_OK || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	cr_assert_eq(read(ready[0], &c, 1), 1);
	cr_assert_eq(fscanf(fp, "%ld", &pid), 1);
	cr_assert_neq(process_state(pid), '-');
	kill(parent, SIGKILL);
	cr_assert_eq(waitpid(parent, &status, 0), parent);
	for (int i = 0; i < 500 && !strchr("-Z", state); i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		state = process_state(pid);
	}
	cr_assert(strchr("-Z", state), "process %ld is in state %c", pid, state);
	fclose(fp);
	unlink(path);
	close(ready[0]);
	close(ready[1]);
}

/* What exec() refuses comes back as this candidate's failure, with the reason. */
Test(external, cannot_be_started)
{
	char path[] = "/tmp/nasc-external-XXXXXX";
	const char *argv[] = { path };
	int fd = mkstemp(path), before = open_files();
	struct eval_result r;
	struct bench b = { .cfg.command = { 1, argv } };

	cr_assert_eq(write(fd, "#!/no/such\n", 11), 11);
	cr_assert(fchmod(fd, 0700) == 0 && close(fd) == 0);
	start_command(&b, 10);
	cr_assert_eq(ask(&b, 1, &r), EVAL_FAILED);
	cr_assert(strstr(r.why, "No such file or directory"), "%s", r.why);
	stop(&b);
	cr_assert_eq(open_files(), before - 1);
	unlink(path);
}

/* A request of 200 kB is more than a pipe holds; SIGPIPE has its default action. */
Test(external, request_is_not_read)
{
	static const char *const scripts[] = { "exec <&-; sleep 0.2; exit 6", "exit 6",
					       "sleep 0.2; exit 6", "exec <&-; sleep 100",
					       "echo '{\"id\":1,\"accuracy\":1}'; sleep 100" };
	static const char *const wants[] = { "status 6", "status 6", "status 6",
					     "no answer within 1 s",
					     "before the request was read" };
	struct eval_result r;
	struct bench b;

	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		start(&b, scripts[i], 1);
		make_network(&b.net, &b.arena, 4000);
		cr_assert_eq(ask(&b, 1, &r), EVAL_FAILED, "%s", scripts[i]);
		cr_assert(strstr(r.why, wants[i]), "%s: %s", scripts[i], r.why);
		stop(&b);
	}
	start(&b, EACH GOOD DONE, 20);
	make_network(&b.net, &b.arena, 4000);
	cr_assert_eq(ask(&b, 1, &r), EVAL_OK, "%s", r.why);
	stop(&b);
}

/* ---- cancelling, several workers ------------------------------------------------------- */

static void *cancel_soon(void *cancel)
{
	nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
	atomic_store((atomic_bool *)cancel, true);
	return NULL;
}

Test(external, cancel)
{
	struct eval_result r;
	pthread_t thread;
	struct bench b;
	double t0;

	start(&b, WRONG("sleep 100"), 60);
	t0 = now_s();
	cr_assert_eq(pthread_create(&thread, NULL, cancel_soon, &b.cancel), 0);
	cr_assert_eq(ask(&b, 1, &r), EVAL_CANCELLED);
	cr_assert(now_s() - t0 < 1.5, "%g s", now_s() - t0);
	pthread_join(thread, NULL);
	atomic_store(&b.cancel, false);
	cr_assert_eq(ask(&b, 2, &r), EVAL_OK, "%s", r.why);
	stop(&b);
}

struct asker {
	struct bench *b;
	void *worker;
	unsigned first, right;
};

static void *ask_many(void *arg)
{
	struct asker *k = arg;
	struct eval_result r;

	for (unsigned i = k->first; i < k->first + 60; i++)
		if (ask_of(k->b, k->worker, i, &r) == EVAL_OK &&
		    fabs(r.value[0] - i / 1000.0) < 1e-12)
			k->right++;
	return NULL;
}

/* Each gets the answers to its own questions: id / 1000. */
Test(external, workers_at_once)
{
	struct asker k[4];
	pthread_t thread[4];
	struct nasc_err err;
	struct bench b;

	start(&b, EACH ANSWER("\\\"accuracy\\\":0.$id") DONE, 20);
	for (unsigned i = 0; i < 4; i++) {
		k[i] = (struct asker){ .b = &b, .first = 100 + 100 * i };
		cr_assert_eq(b.e.ops->worker_open(&b.e, &k[i].worker, &err), NASC_OK);
		cr_assert_eq(pthread_create(&thread[i], NULL, ask_many, &k[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		cr_assert_eq(k[i].right, 60, "worker %u: %u of 60", i, k[i].right);
		b.e.ops->worker_close(&b.e, k[i].worker);
	}
	stop(&b);
}

/* The first process sees the end of its input although the second, started later,
 * still runs: no process holds another's pipes. */
Test(external, end_of_input_reaches_the_process)
{
	char path[] = "/tmp/nasc-external-XXXXXX", script[512];
	FILE *fp = fdopen(mkstemp(path), "r");
	struct eval_result r;
	struct nasc_err err;
	struct bench b;
	void *first;

	snprintf(script, sizeof script, EACH GOOD DONE "; sleep 0.2; echo bye >>%s", path);
	start(&b, script, 10);
	cr_assert_eq(ask(&b, 1, &r), EVAL_OK);
	first = b.worker;
	cr_assert(!b.e.ops->worker_open(&b.e, &b.worker, &err) && ask(&b, 2, &r) == EVAL_OK);
	b.e.ops->worker_close(&b.e, first);
	cr_assert(fgetc(fp) == 'b' && fgetc(fp) == 'y', "it was killed before it could leave");
	stop(&b);
	fclose(fp);
	unlink(path);
}

/* ---- opening ----------------------------------------------------------------------------- */

static enum nasc_status open_command(const char *name, struct nasc_err *err)
{
	struct arena a = { 0 };
	struct config cfg = { .command = { name ? 1 : 0, &name }, .timeout = 1 };
	struct evaluator e = { .ops = evaluator_find("external"), .cfg = &cfg, .arena = &a };
	struct nasc_err checked = { 0 };
	enum nasc_status status = e.ops->open(&e, err);

	cr_assert_eq(e.ops->check(&cfg, &checked), status); /* without an evaluator */
	cr_assert(!status || !strcmp(checked.msg, err->msg), "%s", checked.msg);
	arena_free(&a);
	return status;
}

Test(external, command_is_checked)
{
	char path[] = "/tmp/nasc-external-XXXXXX";
	struct nasc_err err = { 0 };

	close(mkstemp(path));
	cr_assert_eq(open_command("sh", &err), NASC_OK);
	cr_assert_eq(open_command(NULL, &err), NASC_CONFIG);
	cr_assert_eq(open_command("", &err), NASC_CONFIG);
	cr_assert(strstr(err.msg, "command: empty"), "%s", err.msg);
	cr_assert_eq(open_command("no-such-program-of-ours", &err), NASC_CONFIG);
	cr_assert(strstr(err.msg, "command: no program 'no-such-program-of-ours'"), "%s", err.msg);
	cr_assert_eq(open_command("./no/such/program", &err), NASC_CONFIG);
	cr_assert_eq(open_command("/tmp", &err), NASC_CONFIG);
	cr_assert_eq(open_command(path, &err), NASC_CONFIG, "no permission to run it");
	cr_assert_eq(chmod(path, 0700), 0);
	cr_assert_eq(open_command(path, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(open_command("sh", &err), NASC_OK, "%s", err.msg);
	unlink(path);
}

static enum nasc_status load_keys(const char *text, struct arena *a, struct config *cfg,
				  struct nasc_err *err)
{
	struct yaml_doc doc;

	cr_assert_eq(yaml_parse("t.yaml", text, strlen(text), a, &doc, err), NASC_OK, "%s",
		     err->msg);
	return cfg_load(evaluator_find("external")->fields, &doc, doc.root, NULL, a, cfg,
			sizeof *cfg, err);
}

Test(external, keys)
{
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct config cfg;

	cr_assert_eq(load_keys("command: [python3, train.py]\n", &a, &cfg, &err), NASC_OK, "%s",
		     err.msg);
	cr_assert(cfg.command.n == 2 && cfg.timeout == 600 && cfg.budget == 1);
	cr_assert_str_eq(cfg.command.v[1], "train.py");
	cr_assert_eq(load_keys("{command: [x], timeout: 2 h, budget: 0.5}", &a, &cfg, &err),
		     NASC_OK, "%s", err.msg);
	cr_assert(cfg.timeout == 7200 && cfg.budget == 0.5);
	cr_assert_eq(load_keys("{timeout: 2 h}", &a, &cfg, &err), NASC_CONFIG);
	cr_assert_eq(load_keys("{command: [x], timeout: 0}", &a, &cfg, &err), NASC_CONFIG);
	arena_free(&a);
}

/* ---- the worked example -------------------------------------------------------------------- */

/* It counts parameters and MACs from the JSON on its own; here they come from
 * network.h and go through the formula that it states. */
Test(external, example)
{
	const char *source = getenv("NASC_SOURCE");
	char path[4096];
	struct nasc_err err = { 0 };
	struct eval_result r;
	struct bench b = { 0 };
	uint32_t at, both[2];
	double params, macs, want;

	if (!source)
		cr_skip("NASC_SOURCE does not say where configs/ is");
	if (system("python3 -c 'import json' >/dev/null 2>&1"))
		cr_skip("no python3");
	snprintf(path, sizeof path, "%s/configs/external_example.py", source);
	b.argv[0] = "python3";
	b.argv[1] = path;
	b.cfg.command = (struct cfg_strings){ 2, b.argv };
	start_command(&b, 30);
	network_init(&b.net, &b.arena, (struct net_shape){ 31, 29, 3 });
	at = network_conv2d(&b.net, 0, 8, 3, 2, 1, NET_SAME, false);
	at = network_unary(&b.net, NET_BATCH_NORM, at);
	at = network_unary(&b.net, NET_RELU6, at);
	both[0] = network_depthwise(&b.net, at, 5, 1, NET_SAME, true);
	both[1] = at;
	both[1] = network_merge(&b.net, NET_ADD, both, 2);
	at = network_merge(&b.net, NET_CONCAT, both, 2);
	at = network_pool(&b.net, NET_MAX_POOL, at, 3, 2, NET_VALID);
	at = network_conv2d(&b.net, at, 24, 3, 1, 4, NET_VALID, true);
	at = network_pool(&b.net, NET_AVG_POOL, at, 2, 2, NET_SAME);
	at = network_dense(&b.net, at, 12, false);
	at = network_dense(&b.net, at, 5, true);
	network_unary(&b.net, NET_SOFTMAX, at);
	cr_assert_eq(network_infer(&b.net, &err), NASC_OK, "%s", err.msg);
	params = (double)network_params(&b.net);
	macs = (double)network_macs(&b.net);
	want = 0.2 + (0.97 - 0.2) * (1 - exp(-sqrt(params / 5e3))) * (1 - exp(-sqrt(macs / 2e5))) *
			     (1 - 0.3 * exp(-1.5));
	for (unsigned i = 3; i < 5; i++) {
		cr_assert_eq(ask(&b, i, &r), EVAL_OK, "%s", r.why);
		cr_assert_float_eq(r.value[0], want, 1e-12, "%.17g", r.value[0]);
	}
	stop(&b);
}
