#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H
/* A folder of its own for every test: `TestSuite(name, .init = begin, .fini = finish);`. The
 * including file defines _XOPEN_SOURCE 700 first, for nftw(). */
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "arena.h"
#include "leak.h"

static struct arena arena;
static char dir[] = "/tmp/nasc-study-XXXXXX";

static inline void begin(void)
{
	cr_assert(mkdtemp(dir) && chdir(dir) == 0);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void finish(void)
{
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	arena_free(&arena);
	no_leaks();
}

static inline void write_file(const char *path, const char *text)
{
	FILE *fp = fopen(path, "w");

	cr_assert(fp && fputs(text, fp) >= 0 && fclose(fp) == 0);
}

static inline const char *source(const char *name)
{
	char *path = ARENA_NEW(&arena, char, 4096);

	snprintf(path, 4096, "%s/%s", getenv("NASC_SOURCE"), name);
	return path;
}
#endif
