#include "crew.h"

#include <string.h>

#include "conv.h"

struct crew_member {
	struct crew *crew;
	unsigned thread;
};

static void *member_main(void *arg)
{
	const struct crew_member *m = arg;
	struct crew *c = m->crew;
	unsigned seen = 0;

	conv_use_one_thread();
	for (;;) {
		crew_fn *fn;

		pthread_mutex_lock(&c->lock);
		while (c->round == seen)
			pthread_cond_wait(&c->begin, &c->lock);
		seen = c->round;
		fn = c->fn;
		pthread_mutex_unlock(&c->lock);
		if (!fn)
			return NULL;
		fn(c->ctx, m->thread);
		pthread_mutex_lock(&c->lock);
		if (--c->busy == 0)
			pthread_cond_signal(&c->end);
		pthread_mutex_unlock(&c->lock);
	}
}

enum nasc_status crew_start(struct crew *c, unsigned n, struct arena *a, struct nasc_err *err)
{
	*c = (struct crew){ .n = n, .n_started = 1 };
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->begin, NULL);
	pthread_cond_init(&c->end, NULL);
	c->thread = ARENA_NEW(a, pthread_t, n);
	c->member = ARENA_NEW(a, struct crew_member, n);
	for (; c->n_started < n; c->n_started++) {
		unsigned k = c->n_started;
		int code;

		c->member[k] = (struct crew_member){ c, k };
		code = pthread_create(&c->thread[k], NULL, member_main, &c->member[k]);
		if (code)
			return nasc_fail(err, NASC_FAIL, "cannot start thread %u of %u: %s", k + 1,
					 n, strerror(code));
	}
	return NASC_OK;
}

static void begin(struct crew *c, crew_fn *fn, void *ctx)
{
	pthread_mutex_lock(&c->lock);
	c->fn = fn;
	c->ctx = ctx;
	c->busy = c->n_started - 1;
	c->round++;
	pthread_cond_broadcast(&c->begin);
	pthread_mutex_unlock(&c->lock);
}

void crew_run(struct crew *c, crew_fn *fn, void *ctx)
{
	if (c->n == 1) {
		fn(ctx, 0);
		return;
	}
	begin(c, fn, ctx);
	fn(ctx, 0);
	pthread_mutex_lock(&c->lock);
	while (c->busy)
		pthread_cond_wait(&c->end, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

void crew_stop(struct crew *c)
{
	begin(c, NULL, NULL);
	for (unsigned k = 1; k < c->n_started; k++)
		pthread_join(c->thread[k], NULL);
	pthread_cond_destroy(&c->end);
	pthread_cond_destroy(&c->begin);
	pthread_mutex_destroy(&c->lock);
}
