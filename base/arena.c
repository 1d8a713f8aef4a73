#include "arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(ARENA_POISONS)
#include <sanitizer/asan_interface.h>
#define REDZONE	       ((size_t)16)
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define REDZONE	       ((size_t)0)
#define POISON(p, n)   ((void)(p))
#define UNPOISON(p, n) ((void)(p))
#endif

#define BLOCK_MIN ((size_t)64 << 10)

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	max_align_t data[];
};

static _Noreturn void die_oom(size_t n)
{
	fprintf(stderr, "nasc: out of memory (%zu bytes)\n", n);
	exit(1);
}

/* Offset of the first free byte whose address is a multiple of @align: blocks
 * themselves are aligned for max_align_t only. */
static size_t aligned_end(const struct arena_block *b, size_t align)
{
	uintptr_t base = (uintptr_t)b->data;

	return (size_t)(((base + b->used + align - 1) & ~(uintptr_t)(align - 1)) - base);
}

/* Put a block with room for @want bytes in front. A spare block that is too small is given back,
 * so an arena never holds more than one lifetime's worth and the newest request. */
static void add_block(struct arena *a, size_t want)
{
	struct arena_block *b;
	size_t cap = want > BLOCK_MIN ? want : BLOCK_MIN;

	while ((b = a->spare) && b->cap < want) {
		a->spare = b->next;
		a->bytes -= b->cap;
		free(b);
	}
	if (b) {
		a->spare = b->next;
	} else {
		b = malloc(sizeof *b + cap);
		if (!b)
			die_oom(cap);
		b->cap = cap;
		a->bytes += cap;
		POISON(b->data, cap);
	}
	b->next = a->head;
	b->used = 0;
	a->head = b;
}

void *arena_alloc(struct arena *a, size_t n, size_t size, size_t align)
{
	struct arena_block *b = a->head;
	size_t want, at;

	if (size != 0 && n > (SIZE_MAX / 4) / size)
		die_oom(SIZE_MAX);
	want = n * size + REDZONE;
	at = b ? aligned_end(b, align) : 0;
	if (!b || at > b->cap || b->cap - at < want) {
		add_block(a, want + (align > alignof(max_align_t) ? align : 0));
		b = a->head;
		at = aligned_end(b, align);
	}
	b->used = at + want;
	UNPOISON((char *)b->data + at, n * size);
	return memset((char *)b->data + at, 0, n * size);
}

char *arena_strdup(struct arena *a, const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(ARENA_NEW(a, char, n), s, n);
}

struct arena_mark arena_mark(const struct arena *a)
{
	return (struct arena_mark){ a->head, a->head ? a->head->used : 0 };
}

void arena_rewind(struct arena *a, struct arena_mark m)
{
	while (a->head != m.block) {
		struct arena_block *b = a->head;

		a->head = b->next;
		b->next = a->spare;
		a->spare = b;
		POISON(b->data, b->used);
	}
	if (a->head) {
		POISON((char *)a->head->data + m.used, a->head->used - m.used);
		a->head->used = m.used;
	}
}

void arena_free(struct arena *a)
{
	arena_rewind(a, (struct arena_mark){ NULL, 0 });
	while (a->spare) {
		struct arena_block *b = a->spare;

		a->spare = b->next;
		free(b);
	}
	a->bytes = 0;
}
