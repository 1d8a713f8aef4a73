#ifndef TESTS_EXTERNAL_FIXTURE_H
#define TESTS_EXTERNAL_FIXTURE_H
/* Workers of `evaluator: {type: external}` and shell scripts to answer them. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "evaluators.h"
#include "leak.h"

/* As the rows of the evaluator lay it out. */
struct config {
	struct cfg_strings command;
	double timeout, budget;
};

/* Reads candidates; $id is the id of the present one, $n counts them. Holds
 * %%, so it is no format of printf(). */
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

static inline int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	cr_assert(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static inline void make_network(struct network *net, struct arena *a, int layers)
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

static inline void start_command(struct bench *b, double timeout)
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

static inline void start(struct bench *b, const char *script, double timeout)
{
	*b = (struct bench){ .argv = { "/bin/sh", "-c", script } };
	b->cfg.command = (struct cfg_strings){ 3, b->argv };
	start_command(b, timeout);
}

static inline enum eval_outcome ask_of(struct bench *b, void *worker, uint64_t id,
				       struct eval_result *r)
{
	struct eval_request request = {
		.id = id, .seed = 42, .net = &b->net, .cancel = &b->cancel
	};

	*r = (struct eval_result){ .value = { -1, -1 } };
	return b->e.ops->run(&b->e, worker, &request, r);
}

static inline enum eval_outcome ask(struct bench *b, uint64_t id, struct eval_result *r)
{
	return ask_of(b, b->worker, id, r);
}

/* Neither processes nor files are left. */
static inline void stop(struct bench *b)
{
	b->e.ops->worker_close(&b->e, b->worker);
	arena_free(&b->arena);
	cr_assert_eq(open_files(), b->files, "files leak");
	cr_assert(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "processes leak");
}

static inline double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
#endif
