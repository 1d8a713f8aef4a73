#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "private.h"

#define SUFFIX ".state"

struct states {
	char *dir;
	double limit;
	uint64_t bytes, most; /* of files that nobody is at */
};

static const char *path_of(const struct states *s, uint64_t hash, struct arena *a)
{
	size_t n = strlen(s->dir) + 32;
	char *path = ARENA_NEW(a, char, n);

	snprintf(path, n, "%s/%016" PRIx64 SUFFIX, s->dir, hash);
	return path;
}

/* 0: there is none. */
static uint64_t size_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

#define N_HASH 16 /* digits */
/* A name of states.c, or one that a killed writer has left of it. */
static bool is_ours(const char *name)
{
	return strspn(name, "0123456789abcdef") == N_HASH &&
	       !strncmp(name + N_HASH, SUFFIX, sizeof SUFFIX - 1);
}

/* Count the files and remove what is none to go on from: what a killed writer has left, links,
 * through which another file would be written. @all: remove everything. */
static void each_file(struct states *s, bool all)
{
	DIR *dir = opendir(s->dir);
	struct dirent *entry;
	struct stat st;

	s->bytes = 0;
	while (dir && (entry = readdir(dir)) != NULL) {
		const char *name = entry->d_name;

		if (!is_ours(name) || fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (all || name[N_HASH + sizeof SUFFIX - 1] || !S_ISREG(st.st_mode))
			unlinkat(dirfd(dir), name, 0);
		else
			s->bytes += (uint64_t)st.st_size;
	}
	if (dir)
		closedir(dir);
}

enum nasc_status states_open(struct states **out, const char *results, double most_bytes,
			     bool go_on, struct nasc_err *err)
{
	struct states *s = calloc(1, sizeof *s);
	size_t n = strlen(results) + sizeof ".states";
	struct stat st;

	if (!s || !(s->dir = malloc(n)))
		abort();
	snprintf(s->dir, n, "%s.states", results);
	s->limit = most_bytes;
	if (mkdir(s->dir, 0777) != 0 &&
	    (errno != EEXIST || stat(s->dir, &st) != 0 || !S_ISDIR(st.st_mode))) {
		if (errno == EEXIST)
			nasc_fail(err, NASC_FAIL,
				  "%s: in the way of the folder of checkpoints; remove it, or give "
				  "another --out",
				  s->dir);
		else
			file_fail(err, s->dir, "cannot make the folder", errno);
		free(s->dir);
		free(s);
		return err->code;
	}
	each_file(s, !go_on);
	*out = s;
	return NASC_OK;
}

const char *states_take(struct states *s, uint64_t hash, struct arena *a)
{
	const char *path = path_of(s, hash, a);
	uint64_t size = size_of(path);

	if (size == 0 && (double)s->bytes >= s->limit)
		return NULL;
	s->bytes -= size < s->bytes ? size : s->bytes;
	return path;
}

void states_give(struct states *s, uint64_t hash)
{
	struct arena a = { 0 };

	s->bytes += size_of(path_of(s, hash, &a));
	s->most = s->bytes > s->most ? s->bytes : s->most;
	arena_free(&a);
}

void states_drop(struct states *s, uint64_t hash)
{
	struct arena a = { 0 };
	const char *path = path_of(s, hash, &a);
	uint64_t size = size_of(path);

	if (unlink(path) == 0)
		s->bytes -= size < s->bytes ? size : s->bytes;
	arena_free(&a);
}

uint64_t states_most(const struct states *s)
{
	return s->most;
}

void states_close(struct states *s, bool go_on)
{
	if (!s)
		return;
	if (!go_on) {
		each_file(s, true);
		rmdir(s->dir); /* what others have put there stays */
	}
	free(s->dir);
	free(s);
}
