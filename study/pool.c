#include "private.h"

#include <pthread.h>
#include <stdlib.h>

struct pool {
	unsigned workers;
	pthread_t *thread;
	pthread_mutex_t lock;
	pthread_cond_t start, done;
	uint64_t round; /* one more for every pool_run() */
	unsigned busy;
	bool quit;
	size_t n;
	atomic_size_t next;
	void (*work)(void *ctx, unsigned worker, size_t i);
	void *ctx;
};
struct worker_arg {
	struct pool *pool;
	unsigned worker;
};

static void take_all(struct pool *p, unsigned worker)
{
	size_t i;

	while ((i = atomic_fetch_add(&p->next, 1)) < p->n)
		p->work(p->ctx, worker, i);
}

static void *worker_main(void *arg)
{
	struct worker_arg a = *(struct worker_arg *)arg;
	struct pool *p = a.pool;
	uint64_t seen = 0;

	free(arg);
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->round == seen && !p->quit)
			pthread_cond_wait(&p->start, &p->lock);
		if (p->quit)
			break;
		seen = p->round;
		pthread_mutex_unlock(&p->lock);
		take_all(p, a.worker);
		pthread_mutex_lock(&p->lock);
		if (--p->busy == 0)
			pthread_cond_signal(&p->done);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

enum nasc_status pool_open(struct pool **out, unsigned workers, struct nasc_err *err)
{
	struct pool *p = calloc(1, sizeof *p);
	pthread_t *thread = calloc(workers, sizeof *thread);

	if (!p || !thread) {
		free(p);
		free(thread);
		return nasc_fail(err, NASC_FAIL, "out of memory for %u workers", workers);
	}
	p->thread = thread;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->start, NULL);
	pthread_cond_init(&p->done, NULL);
	for (; p->workers < workers; p->workers++) {
		struct worker_arg *arg = malloc(sizeof *arg);

		if (arg)
			*arg = (struct worker_arg){ p, p->workers };
		if (!arg || pthread_create(&thread[p->workers], NULL, worker_main, arg)) {
			nasc_fail(err, NASC_FAIL, "cannot start worker %u of %u", p->workers + 1,
				  workers);
			free(arg);
			pool_close(p);
			return err->code;
		}
	}
	*out = p;
	return NASC_OK;
}

void pool_run(struct pool *p, size_t n, void (*work)(void *ctx, unsigned worker, size_t i),
	      void *ctx)
{
	if (n <= 1) { /* waking a thread costs more than most single candidates */
		if (n)
			work(ctx, 0, 0);
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->n = n;
	p->work = work;
	p->ctx = ctx;
	atomic_store(&p->next, 0);
	p->busy = p->workers;
	p->round++;
	pthread_cond_broadcast(&p->start);
	while (p->busy)
		pthread_cond_wait(&p->done, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void pool_close(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->quit = true;
	pthread_cond_broadcast(&p->start);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->workers; i++)
		pthread_join(p->thread[i], NULL);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->start);
	pthread_cond_destroy(&p->done);
	free(p->thread);
	free(p);
}
