#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct member {
	struct pool *pool;
	unsigned worker;
	pthread_t thread;
};
struct pool {
	unsigned workers, started; /* the caller included */
	struct member *member;	   /* [0] is the caller, which has no thread here */
	pthread_mutex_t lock;
	pthread_cond_t begin, end;
	bool open, quit; /* open: there are indices that nobody has taken */
	unsigned busy;	 /* threads that joined the round */
	size_t n;
	atomic_size_t next;
	pool_fn *fn;
	void *ctx;
};

static void take_indices(struct pool *p, unsigned worker)
{
	size_t i;

	while ((i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->n)
		p->fn(p->ctx, worker, i);
}

static void *member_main(void *arg)
{
	const struct member *m = arg;
	struct pool *p = m->pool;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->open && !p->quit)
			pthread_cond_wait(&p->begin, &p->lock);
		if (p->quit)
			break;
		p->busy++;
		pthread_mutex_unlock(&p->lock);
		take_indices(p, m->worker);
		pthread_mutex_lock(&p->lock);
		p->open = false;
		if (--p->busy == 0)
			pthread_cond_signal(&p->end);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

enum nasc_status pool_open(struct pool **out, unsigned workers, struct nasc_err *err)
{
	struct pool *p = calloc(1, sizeof *p);
	struct member *member = calloc(workers, sizeof *member);

	if (!p || !member) {
		free(p);
		free(member);
		return nasc_fail(err, NASC_FAIL, "out of memory for %u workers", workers);
	}
	p->workers = workers;
	p->member = member;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->begin, NULL);
	pthread_cond_init(&p->end, NULL);
	for (p->started = 1; p->started < workers; p->started++) {
		struct member *m = &member[p->started];
		int code;

		m->pool = p;
		m->worker = p->started;
		code = pthread_create(&m->thread, NULL, member_main, m);
		if (code) {
			nasc_fail(err, NASC_FAIL, "cannot start worker %u of %u: %s",
				  p->started + 1, workers, strerror(code));
			pool_close(p);
			return err->code;
		}
	}
	*out = p;
	return NASC_OK;
}

/* A thread that wakes up too late finds the round over and is not waited for. */
void pool_run(struct pool *p, size_t n, pool_fn *fn, void *ctx)
{
	if (n <= 1 || p->workers == 1) { /* waking a thread costs more than a cheap index */
		for (size_t i = 0; i < n; i++)
			fn(ctx, 0, i);
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->n = n;
	p->fn = fn;
	p->ctx = ctx;
	atomic_store_explicit(&p->next, 0, memory_order_relaxed);
	p->open = true;
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 1; i < n && i < p->workers; i++)
		pthread_cond_signal(&p->begin);
	take_indices(p, 0);
	pthread_mutex_lock(&p->lock);
	p->open = false;
	while (p->busy)
		pthread_cond_wait(&p->end, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void pool_close(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->quit = true;
	pthread_cond_broadcast(&p->begin);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 1; i < p->started; i++)
		pthread_join(p->member[i].thread, NULL);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->begin);
	pthread_cond_destroy(&p->end);
	free(p->member);
	free(p);
}
