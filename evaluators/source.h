#ifndef NASC_SOURCE_H
#define NASC_SOURCE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include "arena.h"
#include "err.h"

/* The bytes of one data file, plain or gzip, front to back. All failures are
 * NASC_DATA and begin with the path. */
struct source {
	const char *path;
	int fd; /* -1: closed */
	bool gz, member_ended;
	uint64_t size; /* of the file, compressed or not */
	z_stream z;    /* a plain file uses its next_in and avail_in alone */
	uint8_t *in;
};

/* The first of @names (one or two, NULL-terminated), each plain or with .gz, that
 * is in @directory. Buffers live in @scratch, as does the path; close it first. */
enum nasc_status source_open(struct source *s, const char *directory, const char *const *names,
			     struct arena *scratch, struct nasc_err *err);
void source_close(struct source *s); /* fine twice */

/* Up to @want bytes; less at the end of the data alone. */
enum nasc_status source_take(struct source *s, uint8_t *to, size_t want, size_t *got,
			     struct nasc_err *err);
/* Exactly @n bytes. */
enum nasc_status source_read(struct source *s, uint8_t *to, size_t n, struct nasc_err *err);
/* Nothing may follow; a gzip trailer is checked on the way. */
enum nasc_status source_end(struct source *s, struct nasc_err *err);

/* Most bytes that the file can hold, so that no header makes us allocate more. */
uint64_t source_bound(const struct source *s);
#endif
