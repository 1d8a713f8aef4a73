#define _XOPEN_SOURCE 700 /* nanosleep(), kill() */
#include "external_fixture.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

TestSuite(external_process, .fini = no_leaks);

/* ---- ends ------------------------------------------------------------------------------ */

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

Test(external_process, grandchildren_die_too)
{
	char path[] = "/tmp/nasc-external-XXXXXX", script[512], state = '?';
	FILE *fp = fdopen(mkstemp(path), "r");
	struct eval_result r;
	struct bench b;
	long pid;

	snprintf(script, sizeof script, "%ssleep 100 & echo $! >%s; wait%s", EACH, path, DONE);
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
Test(external_process, dies_with_its_parent)
{
	char path[] = "/tmp/nasc-external-XXXXXX", script[512], state = '?';
	FILE *fp = fdopen(mkstemp(path), "r");
	int ready[2], status;
	pid_t parent;
	char c;
	long pid;

	snprintf(script, sizeof script, "echo $$ >%s; %s; while :; do sleep 0.1; done", path,
		 EACH GOOD DONE);
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

/* What exec() refuses is no candidate's failure, and comes back with the reason. */
Test(external_process, cannot_be_started)
{
	char path[] = "/tmp/nasc-external-XXXXXX";
	const char *argv[] = { path };
	int fd = mkstemp(path), before = open_files();
	struct eval_result r;
	struct bench b = { .cfg.command = { 1, argv } };

	cr_assert_eq(write(fd, "#!/no/such\n", 11), 11);
	cr_assert(fchmod(fd, 0700) == 0 && close(fd) == 0);
	start_command(&b, 10);
	cr_assert_eq(ask(&b, 1, &r), EVAL_BROKEN);
	cr_assert(strstr(r.why, "No such file or directory"), "%s", r.why);
	stop(&b);
	cr_assert_eq(open_files(), before - 1);
	unlink(path);
}

/* A request of 200 kB is more than a pipe holds; SIGPIPE has its default action. */
Test(external_process, request_is_not_read)
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

Test(external_process, cancel)
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

/* What asks a whole job to end may reach the program before this process: no failure then. */
Test(external_process, ended_with_the_run)
{
	struct eval_result r;
	pthread_t thread;
	struct bench b;

	start(&b, WRONG("kill -TERM $$"), 60);
	cr_assert_eq(pthread_create(&thread, NULL, cancel_soon, &b.cancel), 0);
	cr_assert_eq(ask(&b, 1, &r), EVAL_CANCELLED);
	pthread_join(thread, NULL);
	atomic_store(&b.cancel, false);
	cr_assert_eq(ask(&b, 1, &r), EVAL_FAILED);
	cr_assert_str_eq(r.why, "the program was killed by signal 15");
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
Test(external_process, workers_at_once)
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
Test(external_process, end_of_input_reaches_the_process)
{
	char path[] = "/tmp/nasc-external-XXXXXX", script[512];
	FILE *fp = fdopen(mkstemp(path), "r");
	struct eval_result r;
	struct nasc_err err;
	struct bench b;
	void *first;

	snprintf(script, sizeof script, "%s; sleep 0.2; echo bye >>%s", EACH GOOD DONE, path);
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
