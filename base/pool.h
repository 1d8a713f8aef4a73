#ifndef NASC_POOL_H
#define NASC_POOL_H
#include <stddef.h>

#include "err.h"

/* Threads that share out the indices of a loop, round after round. The caller is
 * worker 0: a pool of one worker starts no thread and takes no lock. Which worker
 * gets which index is left to chance, so results must not depend on it. */
struct pool;
typedef void pool_fn(void *ctx, unsigned worker, size_t i);

/* @workers: 1 or more, the caller included. NASC_FAIL when a thread cannot be started. */
enum nasc_status pool_open(struct pool **p, unsigned workers, struct nasc_err *err);
/* fn(ctx, worker, i) for every i < n, each once, by any worker in any order. When it
 * returns all are done and the caller sees what they wrote. One caller at a time; a
 * single index is worked on by the caller itself. */
void pool_run(struct pool *p, size_t n, pool_fn *fn, void *ctx);
void pool_close(struct pool *p); /* NULL is fine */
#endif
