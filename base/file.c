#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TMP_NAMES 16 /* as many can write a file at once */

/* What to do where the reason alone does not say it. */
static const char *remedy(int why)
{
	switch (why) {
	case ENOSPC:
	case EDQUOT:
		return "; make space there, then try again";
	case EFBIG:
		return "; raise the limit on the size of files (ulimit -f), then try again";
	case EACCES:
	case EPERM:
	case EROFS:
		return "; allow writing there, or give another path";
	default:
		return "";
	}
}

enum nasc_status file_fail(struct nasc_err *err, const char *path, const char *what, int why)
{
	return nasc_fail(err, NASC_FAIL, "%s: %s: %s%s", path, what, strerror(why), remedy(why));
}

static enum nasc_status fail_read(struct nasc_err *err, const char *path, const char *what)
{
	return nasc_fail(err, NASC_DATA, "%s: %s: %s", path, what, strerror(errno));
}

static enum nasc_status read_all(int fd, const char *path, size_t max, struct arena *a, char **text,
				 size_t *n, struct nasc_err *err)
{
	struct stat st;
	size_t size, have = 0;
	char *buf;

	if (fstat(fd, &st) != 0)
		return fail_read(err, path, "cannot read");
	if (S_ISDIR(st.st_mode))
		return nasc_fail(err, NASC_DATA, "%s: is a directory, not a file", path);
	if (!S_ISREG(st.st_mode))
		return nasc_fail(err, NASC_DATA, "%s: is not a regular file", path);
	if ((uintmax_t)st.st_size > max)
		return nasc_fail(err, NASC_DATA, "%s: %jd bytes are more than the %zu allowed",
				 path, (intmax_t)st.st_size, max);
	size = (size_t)st.st_size;
	buf = ARENA_NEW(a, char, size + 1);
	while (have < size) {
		ssize_t got = read(fd, buf + have, size - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_read(err, path, "cannot read");
		if (got == 0)
			return nasc_fail(err, NASC_DATA, "%s: became shorter while it was read",
					 path);
		have += (size_t)got;
	}
	*text = buf;
	*n = size;
	return NASC_OK;
}

enum nasc_status file_read(const char *path, size_t max, struct arena *a, char **text, size_t *n,
			   struct nasc_err *err)
{
	enum nasc_status status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */

	if (fd < 0)
		return fail_read(err, path, "cannot open");
	status = read_all(fd, path, max, a, text, n, err);
	close(fd);
	return status;
}

/* Where a link points, so that the file is replaced and not the link. */
static enum nasc_status set_path(struct file_out *f, const char *path, struct nasc_err *err)
{
	char *real = realpath(path, NULL);
	const char *to = real ? real : path;
	bool fits = strlen(to) < sizeof f->path;

	if (fits)
		memcpy(f->path, to, strlen(to) + 1);
	free(real);
	return fits ? NASC_OK : nasc_fail(err, NASC_FAIL, "%.100s...: the path is too long", path);
}

bool file_named(int fd, const char *path)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 && stat(path, &named) == 0 &&
	       opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* A writer holds a lock on its temporary file until the file has its name, and a lock ends with
 * its process: what nobody has locked, a killed one left. */
static void remove_stale(const char *tmp)
{
	int fd = open(tmp, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && file_named(fd, tmp))
		unlink(tmp);
	close(fd);
}

/* -1 with errno EEXIST: it is another's. */
static int create_locked(const char *tmp)
{
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	if (fd < 0)
		return -1;
	/* Another process may take it for stale in the moment before it is locked. Where there are
	 * no locks nobody finds one stale. */
	if ((flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) && file_named(fd, tmp))
		return fd;
	close(fd);
	errno = EEXIST;
	return -1;
}

static const char *name_tmp(struct file_out *f, int i)
{
	snprintf(f->tmp, sizeof f->tmp, "%s.%d.tmp", f->path, i);
	return f->tmp;
}

/* Under the first free name, the stale ones removed; -1 with errno. */
static int create_tmp(struct file_out *f)
{
	int fd = -1;

	for (int i = 0; i < TMP_NAMES; i++)
		remove_stale(name_tmp(f, i));
	errno = EEXIST;
	for (int i = 0; i < TMP_NAMES && fd < 0 && errno == EEXIST; i++)
		fd = create_locked(name_tmp(f, i));
	return fd;
}

enum nasc_status file_begin(struct file_out *f, const char *path, struct nasc_err *err)
{
	struct stat st;
	int fd;

	f->fp = NULL;
	f->name = path;
	if (path[0] == '\0')
		return nasc_fail(err, NASC_FAIL, "cannot write to a file without a name");
	if (set_path(f, path, err))
		return err->code;
	if (stat(f->path, &st) == 0 && !S_ISREG(st.st_mode))
		return nasc_fail(err, NASC_FAIL, "%s: is not a regular file, cannot replace it",
				 path);
	fd = create_tmp(f);
	if (fd < 0)
		return file_fail(err, path, "cannot create", errno);
	f->fp = fdopen(fd, "w");
	if (!f->fp) {
		file_fail(err, path, "cannot create", errno);
		unlink(f->tmp);
		close(fd);
		return err->code;
	}
	return NASC_OK;
}

/* A file system without fsync() has nothing to sync. */
static bool sync_fd(int fd)
{
	return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;
}

/* The rename is durable only when the directory is. */
static bool sync_directory(const char *path)
{
	char dir[sizeof((struct file_out *)0)->path];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	bool ok;
	int fd;

	memcpy(dir, path, n);
	dir[n] = '\0';
	fd = open(n ? dir : slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES; /* a directory may be writable and not readable */
	ok = sync_fd(fd);
	close(fd);
	return ok;
}

enum nasc_status file_commit(struct file_out *f, struct nasc_err *err)
{
	FILE *fp = f->fp;
	bool ok;

	f->fp = NULL;
	errno = 0;
	ok = fflush(fp) == 0 && !ferror(fp) && sync_fd(fileno(fp));
	if (!ok && errno == 0)
		errno = EIO; /* an earlier write failed and took its reason along */
	if (!ok) {
		file_fail(err, f->name, "cannot write", errno);
	} else if (rename(f->tmp, f->path) != 0) { /* before its lock ends */
		file_fail(err, f->name, "cannot replace", errno);
		ok = false;
	}
	if (!ok)
		unlink(f->tmp);
	fclose(fp); /* all of it is on the disk, or it is gone */
	if (!ok)
		return err->code;
	if (!sync_directory(f->path))
		return nasc_fail(err, NASC_FAIL,
				 "%s: written, but a power cut may undo that: cannot sync its "
				 "directory: %s",
				 f->name, strerror(errno));
	return NASC_OK;
}

void file_abandon(struct file_out *f)
{
	if (!f->fp)
		return;
	unlink(f->tmp); /* before its lock ends */
	fclose(f->fp);
	f->fp = NULL;
}
