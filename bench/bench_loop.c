/* Rate and memory of the study loop by the number of evaluations, without the writing
 * of results: loop CONFIG [--json] [EVALUATIONS...], in the root of the sources. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "study.h"

#define JOBS 2

struct figures {
	uint64_t evaluations;
	double cpu_s, wall_s;
	long peak_kib; /* of the process */
};

static double clock_of(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The last call comes when the loop is over, before results are written. */
static void take_figures(const struct study_progress *p, void *ctx)
{
	struct figures *out = ctx;
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	*out = (struct figures){ .evaluations = p->evaluations,
				 .cpu_s = clock_of(CLOCK_PROCESS_CPUTIME_ID),
				 .wall_s = p->elapsed_s,
				 .peak_kib = use.ru_maxrss };
}

static enum nasc_status run(const char *config, const char *evaluations, struct figures *out)
{
	struct arena arena = { 0 };
	struct nasc_err err = { 0 };
	struct study_config c;
	struct study s;
	struct study_summary sum;
	char set[64], file[] = "/tmp/bench-loop-XXXXXX";
	const char *const sets[] = { set };
	struct study_options o = {
		.out = file, .jobs = JOBS, .progress = take_figures, .ctx = out
	};
	int fd = mkstemp(file);

	if (fd < 0)
		return NASC_FAIL;
	close(fd);
	unlink(file);
	snprintf(set, sizeof set, "stop.evaluations=%.20s", evaluations);
	if (config_load(config, sets, 1, &arena, &c, &err) ||
	    study_open(&s, &c, "configs/targets", true, &arena, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		return err.code;
	}
	if (study_run(&s, &o, &sum, &err))
		fprintf(stderr, "%s\n", err.msg);
	unlink(file);
	study_close(&s);
	arena_free(&arena);
	return err.code;
}

/* A process for each run: the peak of memory is its own. */
static bool run_apart(const char *config, const char *evaluations, struct figures *out)
{
	int pipes[2], status;
	pid_t pid;
	bool ok;

	if (pipe(pipes) || (pid = fork()) < 0)
		return false;
	if (pid == 0) {
		struct figures f = { 0 };

		ok = run(config, evaluations, &f) == NASC_OK &&
		     write(pipes[1], &f, sizeof f) == (ssize_t)sizeof f;
		_exit(!ok);
	}
	close(pipes[1]);
	ok = read(pipes[0], out, sizeof *out) == (ssize_t)sizeof *out;
	close(pipes[0]);
	return waitpid(pid, &status, 0) == pid && ok;
}

static void report(struct json_writer *w, bool json, const struct figures *f)
{
	double n = (double)f->evaluations;

	if (!json) {
		printf("%10.0f evaluations  %8.0f/s  %.2f us of CPU each  %ld KiB\n", n,
		       n / f->wall_s, 1e6 * f->cpu_s / n, f->peak_kib);
		fflush(stdout);
		return;
	}
	json_object(w, NULL);
	json_u64(w, "evaluations", f->evaluations);
	json_real(w, "wall_s", f->wall_s);
	json_real(w, "cpu_s", f->cpu_s);
	json_int(w, "peak_kib", f->peak_kib);
	json_end(w);
}

int main(int argc, char **argv)
{
	static const char *const usual[] = { "10000", "100000", "1000000" };
	bool json = argc > 2 && !strcmp(argv[2], "--json");
	int first = json ? 3 : 2, n = argc > first ? argc - first : 3;
	struct json_writer w;

	if (argc < 2) {
		fputs("usage: loop CONFIG [--json] [EVALUATIONS...]\n", stderr);
		return 2;
	}
	json_init(&w, stdout, false);
	if (json)
		json_list(&w, NULL);
	for (int i = 0; i < n; i++) {
		struct figures f;

		if (!run_apart(argv[1], argc > first ? argv[first + i] : usual[i], &f))
			return 1;
		report(&w, json, &f);
	}
	if (json)
		json_end(&w);
	return 0;
}
