#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H
/* What the fuzz targets share. A target is one fuzz_NAME.c with one LLVMFuzzerTestOneInput(); the
 * including file defines _GNU_SOURCE first, for memfd_create(). See docs/fuzzing.md. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold of every input; stays in every build. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* A refusal says why, in one line. */
static inline void must_say_why(const struct nasc_err *err, enum nasc_status returned)
{
	MUST(returned != NASC_OK && err->code == returned);
	MUST(err->msg[0] && memchr(err->msg, '\0', sizeof err->msg));
	MUST(!strpbrk(err->msg, "\n\r"));
}

/* A file in memory, for what is read by path. Zero-initialised, it is made at its first use and
 * then filled anew. */
struct memory_file {
	bool open;
	int fd;
	char path[40];
};

static inline const char *memory_file_fill(struct memory_file *f, const void *data, size_t n)
{
	if (!f->open) {
		f->fd = memfd_create("fuzz", MFD_CLOEXEC);
		MUST(f->fd >= 0);
		snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
		f->open = true;
	}
	MUST(ftruncate(f->fd, (off_t)n) == 0);
	MUST(pwrite(f->fd, data, n, 0) == (ssize_t)n);
	return f->path;
}

static char scratch_path[64];

static inline void scratch_remove(void)
{
	DIR *d = opendir(scratch_path);
	const struct dirent *entry;
	char path[sizeof scratch_path + 300];

	while (d && (entry = readdir(d))) {
		snprintf(path, sizeof path, "%s/%s", scratch_path, entry->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(scratch_path);
}

/* A folder, in memory where there is one, that is removed at exit. */
static inline const char *scratch_directory(void)
{
	if (scratch_path[0])
		return scratch_path;
	snprintf(scratch_path, sizeof scratch_path, "%s/nasc-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	MUST(mkdtemp(scratch_path) && atexit(scratch_remove) == 0);
	return scratch_path;
}

/* The input as text: up to its first NUL, in the arena. */
static inline char *text_of(struct arena *a, const uint8_t *data, size_t size)
{
	char *text = ARENA_NEW(a, char, size + 1);

	if (size)
		memcpy(text, data, size);
	return text;
}
#endif
