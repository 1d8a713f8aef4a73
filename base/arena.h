#ifndef NASC_ARENA_H
#define NASC_ARENA_H
#include <stdalign.h>
#include <stddef.h>

/* Memory with one owner and one lifetime. Nothing taken from an arena is
 * freed by itself; arena_free() frees all of it. Allocation does not fail:
 * out of memory is reported and the process exits, so callers have no error
 * path. Check user-given sizes against the config bounds *before* coming here.
 *
 * arena_rewind() keeps its blocks for the next turn of the same loop, so a loop
 * that marks and rewinds does not reach malloc() after its first turns. In an
 * AddressSanitizer build what was rewound is poisoned, and so are the gaps between
 * neighbours.
 *
 * `struct arena a = {0};` is a valid empty arena. Not thread-safe: one arena
 * per worker. */
struct arena_block;
struct arena {
	struct arena_block *head, *spare;
	size_t bytes; /* held in blocks, spare ones included */
};
struct arena_mark {
	struct arena_block *block;
	size_t used;
};

/* @n * @size zeroed bytes at a multiple of @align (a power of two). */
void *arena_alloc(struct arena *a, size_t n, size_t size, size_t align);
char *arena_strdup(struct arena *a, const char *s);
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m); /* drop all since m */
void arena_free(struct arena *a);			 /* ok on {0}, twice */

/* Zeroed array of n T. */
#define ARENA_NEW(a, T, n) ((T *)arena_alloc((a), (n), sizeof(T), alignof(T)))
#endif
