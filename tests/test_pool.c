/* A program of its own that writes TAP: Criterion's sandbox cannot map its memory
 * under ThreadSanitizer, and this test is there for it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "leak.h"
#include "pool.h"

static void check(bool ok, const char *what, unsigned workers, size_t n, size_t i)
{
	if (ok)
		return;
	printf("not ok - %s: %u workers, n %zu, index %zu\n", what, workers, n, i);
	exit(1);
}

#define N_MAX	    1000
#define WORKERS_MAX 16

/* Plain memory on purpose: ThreadSanitizer sees whether two workers got the same index, and
 * whether pool_run() returns before the last one has written. */
struct job {
	unsigned workers;
	pthread_t caller;
	size_t n;
	unsigned count[N_MAX + 1];
	struct {
		unsigned long calls;
		char pad[56];
	} of_worker[WORKERS_MAX];
};

static void count_one(void *ctx, unsigned worker, size_t i)
{
	struct job *job = ctx;

	if (worker >= job->workers || i >= job->n)
		abort();
	if ((worker == 0) != (bool)pthread_equal(pthread_self(), job->caller))
		abort();
	if (job->n == 1 && worker != 0)
		abort();
	job->count[i]++;
	job->of_worker[worker].calls++;
}

static struct pool *start(unsigned workers)
{
	struct nasc_err err = { 0 };
	struct pool *p;

	check(pool_open(&p, workers, &err) == NASC_OK, err.msg, workers, 0, 0);
	return p;
}

static void run_once(struct pool *p, struct job *job, size_t n)
{
	unsigned long calls = 0;

	memset(job->count, 0, sizeof job->count);
	memset(job->of_worker, 0, sizeof job->of_worker);
	job->n = n;
	job->caller = pthread_self();
	pool_run(p, n, count_one, job);
	for (size_t i = 0; i <= N_MAX; i++)
		check(job->count[i] == (i < n), "runs of an index", job->workers, n, i);
	for (unsigned w = 0; w < job->workers; w++)
		calls += job->of_worker[w].calls;
	check(calls == n, "number of calls", job->workers, n, 0);
}

static void every_index_once_at_any_number_of_workers(void)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 15, 16, 17, 100, N_MAX };

	for (unsigned workers = 1; workers <= WORKERS_MAX; workers++) {
		struct pool *p = start(workers);
		struct job job = { .workers = workers };

		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
			run_once(p, &job, sizes[i]);
		pool_close(p);
	}
}

/* Rounds so short that a worker may sleep through one and wake in the next. */
static void thousands_of_short_rounds(void)
{
	static const unsigned workers[] = { 1, 2, 3, 8 };

	for (size_t k = 0; k < sizeof workers / sizeof *workers; k++) {
		struct pool *p = start(workers[k]);
		struct job job = { .workers = workers[k] };

		for (size_t round = 0; round < 2000; round++)
			run_once(p, &job, round * 7 % 11);
		pool_close(p);
	}
}

static void opens_and_closes_without_work(void)
{
	for (unsigned round = 0; round < 200; round++)
		pool_close(start(1 + round % WORKERS_MAX));
	pool_close(NULL);
}

static void wait_for_all(void *ctx, unsigned worker, size_t i)
{
	atomic_uint *here = ctx;

	(void)worker;
	(void)i;
	atomic_fetch_add(here, 1);
	while (atomic_load(here) < 4)
		;
}

/* Four calls that wait for each other end only if four workers run at once, the caller
 * among them. */
static void works_at_the_same_time(void)
{
	struct pool *p = start(4);
	atomic_uint here = 0;

	pool_run(p, 4, wait_for_all, &here);
	check(atomic_load(&here) == 4, "four at once", 4, 4, 0);
	pool_close(p);
}

struct late {
	atomic_uint here;
	bool written;
};

static void write_late(void *ctx, unsigned worker, size_t i)
{
	struct late *late = ctx;

	(void)i;
	atomic_fetch_add(&late->here, 1);
	while (atomic_load(&late->here) < 2)
		;
	if (worker == 0)
		return;
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	late->written = true;
}

/* The caller has nothing left to do while the other one still works. */
static void waits_for_the_last(void)
{
	struct pool *p = start(2);
	struct late late = { .written = false };

	pool_run(p, 2, write_late, &late);
	check(late.written, "waits for the other worker", 2, 2, 1);
	pool_close(p);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} tests[] = {
		{ "every index once at any number of workers",
		  every_index_once_at_any_number_of_workers },
		{ "thousands of short rounds", thousands_of_short_rounds },
		{ "opens and closes without work", opens_and_closes_without_work },
		{ "works at the same time", works_at_the_same_time },
		{ "waits for the last", waits_for_the_last },
	};
	size_t n = sizeof tests / sizeof *tests;

	printf("1..%zu\n", n);
	for (size_t i = 0; i < n; i++) {
		tests[i].run();
		printf("ok %zu - %s\n", i + 1, tests[i].name);
	}
	no_leaks();
	return 0;
}
