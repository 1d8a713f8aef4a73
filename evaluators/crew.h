#ifndef NASC_CREW_H
#define NASC_CREW_H
#include <pthread.h>

#include "arena.h"
#include "err.h"

/* Threads that do one piece of work together, again and again: the caller is
 * thread 0. With one thread there are no others and nothing is locked. */
typedef void crew_fn(void *ctx, unsigned thread);
struct crew {
	unsigned n, n_started; /* threads, the caller included */
	pthread_t *thread;
	struct crew_member *member;
	pthread_mutex_t lock;
	pthread_cond_t begin, end;
	unsigned round, busy;
	crew_fn *fn; /* NULL: leave */
	void *ctx;
};
/* Also after a failure crew_stop() must be called. */
enum nasc_status crew_start(struct crew *c, unsigned n, struct arena *a, struct nasc_err *err);
void crew_run(struct crew *c, crew_fn *fn, void *ctx); /* returns when all are done */
void crew_stop(struct crew *c);
#endif
