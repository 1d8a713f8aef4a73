#ifndef BENCH_TILE_NONE_H
#define BENCH_TILE_NONE_H
#include <string.h>

/* Tiles that do nothing, for evaluators/tile.h: what is left to be timed is the work around them.
 * A store leaves small numbers, so that no denormal or NaN slows what reads them. */
#define tile_open()
#define tile_close()
#define tile_fence() __asm__ volatile("" ::: "memory")
#define tile_zero(t)
#define tile_load(t, at, pitch) ((void)(at), (void)(pitch))
#define tile_store(t, at, pitch)                                                                   \
	do {                                                                                       \
		memset((void *)(at), 0x3a, 1024);                                                  \
		tile_fence();                                                                      \
	} while (0)
#define tile_multiply(sum, a, b)
#endif
