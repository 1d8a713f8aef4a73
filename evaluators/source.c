#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK	      ((size_t)64 << 10)
#define DEFLATE_RATIO 1032u /* most bytes that one byte of deflate can stand for: zlib.net */

static void *z_arena_alloc(void *arena, unsigned n, unsigned size)
{
	return arena_alloc(arena, n, size, alignof(max_align_t));
}

static void z_arena_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

static enum nasc_status source_refill(struct source *s, struct nasc_err *err)
{
	ssize_t got;

	do
		got = read(s->fd, s->in, CHUNK);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return nasc_fail(err, NASC_DATA, "%s: cannot read: %s", s->path, strerror(errno));
	s->z.next_in = s->in;
	s->z.avail_in = (unsigned)got;
	return NASC_OK;
}

void source_close(struct source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* gzip is told by its magic, which no idx file, CIFAR-10 batch or npy file begins with. */
static enum nasc_status source_start(struct source *s, struct arena *scratch, struct nasc_err *err)
{
	struct stat st;

	if (fstat(s->fd, &st))
		return nasc_fail(err, NASC_DATA, "%s: cannot read: %s", s->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return nasc_fail(err, NASC_DATA, "%s: not a regular file", s->path);
	s->size = (uint64_t)st.st_size;
	s->in = ARENA_NEW(scratch, uint8_t, CHUNK);
	if (source_refill(s, err))
		return err->code;
	if (s->z.avail_in < 2 || s->in[0] != 0x1f || s->in[1] != 0x8b)
		return NASC_OK;
	s->gz = true;
	s->z.zalloc = z_arena_alloc;
	s->z.zfree = z_arena_free;
	s->z.opaque = scratch;
	if (inflateInit2(&s->z, 16 + MAX_WBITS) != Z_OK)
		return nasc_fail(err, NASC_FAIL, "%s: cannot start zlib", s->path);
	return NASC_OK;
}

enum nasc_status source_open(struct source *s, const char *directory, const char *const *names,
			     struct arena *scratch, struct nasc_err *err)
{
	size_t room = strlen(directory) + 64;
	char *path = ARENA_NEW(scratch, char, room);
	struct stat st;

	*s = (struct source){ .path = path, .fd = -1 };
	for (size_t i = 0; names[i]; i++)
		for (int gz = 0; gz < 2; gz++) {
			snprintf(path, room, "%s/%s%s", directory, names[i], gz ? ".gz" : "");
			s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
			if (s->fd >= 0) {
				if (source_start(s, scratch, err))
					source_close(s);
				else
					return NASC_OK;
				return err->code;
			}
			if (errno != ENOENT && errno != ENOTDIR)
				return nasc_fail(err, NASC_DATA, "%s: cannot open: %s", path,
						 strerror(errno));
		}
	if (stat(directory, &st))
		return nasc_fail(err, NASC_DATA, "%s: cannot open data directory: %s", directory,
				 strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return nasc_fail(err, NASC_DATA, "%s: not a directory", directory);
	return nasc_fail(err, NASC_DATA, "%s: no file '%s'%s%s%s, plain or .gz", directory,
			 names[0], names[1] ? " or '" : "", names[1] ? names[1] : "",
			 names[1] ? "'" : "");
}

/* Inflate until the output is full, the input runs out or a member ends. */
static enum nasc_status source_inflate(struct source *s, struct nasc_err *err)
{
	int rc;

	if (s->member_ended) {
		if (s->z.next_in[0] != 0x1f)
			return nasc_fail(err, NASC_DATA,
					 "%s: bytes behind the end of the gzip data", s->path);
		inflateReset(&s->z);
		s->member_ended = false;
	}
	rc = inflate(&s->z, Z_NO_FLUSH);
	if (rc == Z_STREAM_END)
		s->member_ended = true;
	else if (rc != Z_OK)
		return nasc_fail(err, NASC_DATA, "%s: damaged gzip data: %s", s->path,
				 s->z.msg ? s->z.msg : zError(rc));
	return NASC_OK;
}

enum nasc_status source_take(struct source *s, uint8_t *to, size_t want, size_t *got,
			     struct nasc_err *err)
{
	size_t done = 0;

	while (done < want) {
		size_t n = want - done < CHUNK ? want - done : CHUNK;

		if (s->z.avail_in == 0 && source_refill(s, err))
			return err->code;
		if (s->z.avail_in == 0) {
			if (s->gz && !s->member_ended)
				return nasc_fail(err, NASC_DATA, "%s: truncated gzip data",
						 s->path);
			break;
		}
		if (s->gz) {
			s->z.next_out = to + done;
			s->z.avail_out = (unsigned)n;
			if (source_inflate(s, err))
				return err->code;
			done += n - s->z.avail_out;
			continue;
		}
		n = n < s->z.avail_in ? n : s->z.avail_in;
		memcpy(to + done, s->z.next_in, n);
		s->z.next_in += n;
		s->z.avail_in -= (unsigned)n;
		done += n;
	}
	*got = done;
	return NASC_OK;
}

enum nasc_status source_read(struct source *s, uint8_t *to, size_t n, struct nasc_err *err)
{
	size_t got;

	if (source_take(s, to, n, &got, err))
		return err->code;
	if (got < n)
		return nasc_fail(err, NASC_DATA, "%s: truncated: the data end %zu bytes early",
				 s->path, n - got);
	return NASC_OK;
}

enum nasc_status source_end(struct source *s, struct nasc_err *err)
{
	uint8_t byte;
	size_t got = 0;

	if (source_take(s, &byte, 1, &got, err))
		return err->code;
	return got == 0
		       ? NASC_OK
		       : nasc_fail(err, NASC_DATA, "%s: bytes behind the end of the data", s->path);
}

uint64_t source_bound(const struct source *s)
{
	return s->gz ? s->size * DEFLATE_RATIO : s->size;
}
