#ifndef NASC_FILE_H
#define NASC_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "arena.h"
#include "err.h"

/* Whole file into @a, NUL-terminated behind its @n bytes. Directories, devices
 * that never end and files above @max are NASC_DATA. */
enum nasc_status file_read(const char *path, size_t max, struct arena *a, char **text, size_t *n,
			   struct nasc_err *err);

/* Write a file as a whole or not at all: file_begin() opens a temporary name
 * beside @path, file_commit() syncs and renames it over @path, file_abandon()
 * removes it. What stood at @path stays until the rename; where @path is a link, the
 * file it points to is replaced. What a killed writer left under such a name is removed by
 * the next one. NASC_FAIL: cannot be written; a failed commit (full disk) has removed the
 * temporary file, or it says that the file is in place and only its directory not synced. */
struct file_out {
	FILE *fp;
	const char *name; /* as it was given, for messages; the caller's */
	char path[4096], tmp[4096 + 32];
};
enum nasc_status file_begin(struct file_out *f, const char *path, struct nasc_err *err);
enum nasc_status file_commit(struct file_out *f, struct nasc_err *err);
void file_abandon(struct file_out *f); /* fine after commit, and on {0} */

/* Does @path still name the file that @fd is open on? */
bool file_named(int fd, const char *path);

/* NASC_FAIL with "path: what: reason" and the remedy; @why: the errno of a failed
 * write. */
enum nasc_status file_fail(struct nasc_err *err, const char *path, const char *what, int why);
#endif
