/* A whole search in several threads, for ThreadSanitizer; a program of its own that writes TAP,
 * as Criterion's sandbox cannot map its memory under that. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "leak.h"
#include "private.h"

static const char yaml[] =
	"space: {type: densenet, blocks: 1, layers: [1, 2], growth: [4, 8], kernel: [1, 3],\n"
	"  stem_width: [8, 12, 16, 24]}\n"
	"input: {height: 8, width: 8, channels: 1, classes: 4}\ntargets: [stm32f746]\n"
	"objectives: [error, sram]\nevaluator: {type: external, command: sh}\n"
	"strategy: {type: nsga2, population: 8}\nstop: {evaluations: 40}\n";

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	printf("not ok - %s\n", what);
	exit(1);
}

static atomic_uint asked;

/* Takes its time as the candidate does, so that they end in another order than they began. */
static enum eval_outcome answer(struct evaluator *e, void *worker,
				const struct eval_request *request, struct eval_result *r)
{
	(void)e;
	(void)worker;
	atomic_fetch_add(&asked, 1);
	nanosleep(&(struct timespec){ .tv_nsec = (long)(request->id % 5) * 200000 }, NULL);
	if (request->id % 7 == 0) {
		snprintf(r->why, sizeof r->why, "no luck with %llu",
			 (unsigned long long)request->id);
		return EVAL_FAILED;
	}
	r->value[0] = (double)(request->id % 1000) / 1000;
	r->value[1] = 1 - r->value[0];
	return EVAL_OK;
}

/* Plain memory on purpose: it is called from this thread alone. */
static void count_progress(const struct study_progress *p, void *ctx)
{
	uint64_t *most = ctx;

	*most = p->evaluations > *most ? p->evaluations : *most;
}

static void search(const char *out, unsigned jobs, bool resume, struct arena *a, struct results *r)
{
	uint64_t most = 0;
	struct study_options o = {
		.out = out, .jobs = jobs, .resume = resume, .progress = count_progress, .ctx = &most
	};
	struct study_summary sum = { 0 };
	struct study_config c;
	struct evaluator_ops ops;
	struct study s;
	struct nasc_err err = { 0 };
	char targets[4096];

	snprintf(targets, sizeof targets, "%s/configs/targets", getenv("NASC_SOURCE"));
	check(!config_load("c.yaml", NULL, 0, a, &c, &err), err.msg);
	check(!study_open(&s, &c, targets, true, a, &err), err.msg);
	ops = *s.evaluator.ops;
	ops.worker_open = NULL;
	ops.worker_close = NULL;
	ops.run = answer;
	s.evaluator.ops = &ops;
	atomic_store(&asked, 0);
	check(!study_run(&s, &o, &sum, &err), err.msg);
	study_close(&s);
	check(sum.evaluations == 40 && most == 40, "40 candidates");
	check(sum.failed > 0 && sum.failed < 20, "some of them failed");
	check(atomic_load(&asked) == (resume ? 0 : sum.trained), "each is asked for once");
	check(!results_load(&out, 1, a, r, &err), err.msg);
}

int main(void)
{
	static const struct {
		const char *name, *out;
		unsigned jobs;
		bool resume;
	} runs[] = { { "one job", "one.json", 1, false },
		     { "three jobs give the front that one gives", "three.json", 3, false },
		     { "and so does their journal", "three.json", 3, true } };
	static const char *const left[] = { "c.yaml", "one.json", "one.json.journal", "three.json",
					    "three.json.journal" };
	size_t n = sizeof runs / sizeof *runs;
	char dir[] = "/tmp/nasc-jobs-XXXXXX";
	struct results r[3];
	struct arena a = { 0 };
	FILE *fp;

	check(mkdtemp(dir) && chdir(dir) == 0, "a folder of its own");
	fp = fopen("c.yaml", "w");
	check(fp && fputs(yaml, fp) >= 0 && fclose(fp) == 0, "c.yaml");
	printf("1..%zu\n", n);
	for (size_t i = 0; i < n; i++) {
		search(runs[i].out, runs[i].jobs, runs[i].resume, &a, &r[i]);
		check(r[i].n > 1 && r[i].n == r[0].n, runs[i].name);
		for (size_t k = 0; k < r[i].n; k++)
			check(r[i].row[k].id == r[0].row[k].id &&
				      !memcmp(r[i].row[k].f, r[0].row[k].f, 2 * sizeof(double)),
			      runs[i].name);
		printf("ok %zu - %s\n", i + 1, runs[i].name);
	}
	for (size_t i = 0; i < n; i++)
		results_close(&r[i]);
	for (size_t i = 0; i < sizeof left / sizeof *left; i++)
		unlink(left[i]);
	rmdir(dir);
	arena_free(&a);
	no_leaks();
	return 0;
}
