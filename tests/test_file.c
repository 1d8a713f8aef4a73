#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <dirent.h>

#include "file.h"
#include "leak.h"

/* Every test works in an empty directory of its own. */
static char start[4096], room[] = "/tmp/nasc-file-XXXXXX";

static void enter(void)
{
	cr_assert_not_null(getcwd(start, sizeof start));
	cr_assert_not_null(mkdtemp(room));
	cr_assert_eq(chdir(room), 0);
}

static void leave(void)
{
	DIR *dir = opendir(".");
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && unlink(entry->d_name) != 0)
			rmdir(entry->d_name);
	}
	closedir(dir);
	cr_assert_eq(chdir(start), 0);
	rmdir(room);
	no_leaks();
}

TestSuite(file, .init = enter, .fini = leave);

/* These two of the C library's give way to the program's own. */
static int fsync_errno, fsync_directory_errno, rename_errno;

int fsync(int fd)
{
	struct stat st;
	int why = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? fsync_directory_errno : fsync_errno;

	errno = why;
	return why ? -1 : fdatasync(fd);
}

int rename(const char *old, const char *new)
{
	errno = rename_errno;
	return rename_errno ? -1 : renameat(AT_FDCWD, old, AT_FDCWD, new);
}

static void put(const char *path, const char *text)
{
	FILE *fp = fopen(path, "w");

	cr_assert_not_null(fp);
	fputs(text, fp);
	fclose(fp);
}

static void assert_holds(const char *path, const char *want)
{
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	char *text;
	size_t n;

	cr_assert_eq(file_read(path, 1000, &a, &text, &n, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(n, strlen(want));
	cr_assert_str_eq(text, want);
	arena_free(&a);
}

static size_t count_files(void)
{
	DIR *dir = opendir(".");
	struct dirent *entry;
	size_t n = 0;

	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void assert_refused(const char *path, size_t max, const char *want)
{
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	char *text = NULL;
	size_t n;

	cr_assert_eq(file_read(path, max, &a, &text, &n, &err), NASC_DATA, "%s", path);
	cr_assert_str_eq(err.msg, want);
	cr_assert_null(text);
	arena_free(&a);
}

Test(file, reads_whole_files)
{
	put("a", "one\ntwo");
	assert_holds("a", "one\ntwo");
	put("empty", "");
	assert_holds("empty", "");
	assert_refused("a", 6, "a: 7 bytes are more than the 6 allowed");
}

/* A FIFO without a writer would block the program for ever. */
Test(file, refuses_what_is_no_file, .timeout = 60)
{
	cr_assert_eq(mkfifo("pipe", 0666), 0);
	assert_refused("pipe", 100, "pipe: is not a regular file");
	assert_refused("/dev/zero", 100, "/dev/zero: is not a regular file");
	assert_refused(".", 100, ".: is a directory, not a file");
	assert_refused("gone", 100, "gone: cannot open: No such file or directory");
	assert_refused("", 100, ": cannot open: No such file or directory");
}

Test(file, commit_replaces_at_once)
{
	struct nasc_err err = { 0 };
	struct file_out f = { 0 };
	struct stat st;

	umask(022);
	put("r.json", "old");
	cr_assert_eq(file_begin(&f, "r.json", &err), NASC_OK, "%s", err.msg);
	fputs("new", f.fp);
	fflush(f.fp);
	assert_holds("r.json", "old");
	cr_assert_eq(file_commit(&f, &err), NASC_OK, "%s", err.msg);
	assert_holds("r.json", "new");
	cr_assert_eq(stat("r.json", &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0644);
	file_abandon(&f);
	cr_assert_eq(count_files(), 1);
}

Test(file, abandon_leaves_no_trace)
{
	struct nasc_err err = { 0 };
	struct file_out f = { 0 };

	file_abandon(&f);
	put("r.json", "old");
	cr_assert_eq(file_begin(&f, "r.json", &err), NASC_OK);
	fputs("new", f.fp);
	file_abandon(&f);
	file_abandon(&f);
	assert_holds("r.json", "old");
	cr_assert_eq(count_files(), 1);
}

/* A file size limit stands for a full disk: write() fails in the same place. */
Test(file, full_disk_keeps_the_old_file)
{
	const struct rlimit limit = { 8192, 8192 };
	struct nasc_err err = { 0 };
	struct file_out f = { 0 };

	put("r.json", "old");
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(file_begin(&f, "r.json", &err), NASC_OK);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (size_t i = 0; i < 100000; i++)
		putc('x', f.fp);
	cr_assert_eq(file_commit(&f, &err), NASC_FAIL);
	cr_assert_not_null(strstr(err.msg, "r.json: cannot write: "), "%s", err.msg);
	assert_holds("r.json", "old");
	cr_assert_eq(count_files(), 1);
	file_abandon(&f);
}

Test(file, error_of_the_last_byte_is_seen)
{
	const struct rlimit limit = { 3, 3 };
	struct nasc_err err = { 0 };
	struct file_out f = { 0 };

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(file_begin(&f, "r.json", &err), NASC_OK);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	fputs("four", f.fp);
	cr_assert_eq(file_commit(&f, &err), NASC_FAIL);
	cr_assert_not_null(strstr(err.msg, strerror(EFBIG)), "%s", err.msg);
	cr_assert_eq(count_files(), 0);
}

/* The disk may be full only when the blocks are really asked for, or the folder read-only at the
 * last moment. */
Test(file, failed_sync_or_rename_keeps_the_old_file)
{
	static const char *const wants[] = {
		"r.json: cannot write: No space left on device; make space there, then try again",
		"r.json: cannot write: Input/output error",
		("r.json: cannot replace: Read-only file system; "
		 "allow writing there, or give another path"),
	};

	for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
		struct nasc_err err = { 0 };
		struct file_out f = { 0 };

		put("r.json", "old");
		fsync_errno = i == 0 ? ENOSPC : i == 1 ? EIO : 0;
		rename_errno = i == 2 ? EROFS : 0;
		cr_assert_eq(file_begin(&f, "r.json", &err), NASC_OK);
		fputs("new", f.fp);
		cr_assert_eq(file_commit(&f, &err), NASC_FAIL);
		cr_assert_str_eq(err.msg, wants[i]);
		assert_holds("r.json", "old");
		cr_assert_eq(count_files(), 1);
		fsync_errno = rename_errno = 0;
		cr_assert_eq(file_begin(&f, "r.json", &err), NASC_OK);
		fputs("new", f.fp);
		cr_assert_eq(file_commit(&f, &err), NASC_OK);
		assert_holds("r.json", "new");
	}
}

Test(file, unsynced_directory_is_told_of_the_new_file)
{
	struct nasc_err err = { 0 };
	struct file_out f = { 0 };

	put("r.json", "old");
	fsync_directory_errno = EIO;
	cr_assert_eq(file_begin(&f, "r.json", &err), NASC_OK);
	fputs("new", f.fp);
	cr_assert_eq(file_commit(&f, &err), NASC_FAIL);
	cr_assert_str_eq(err.msg, "r.json: written, but a power cut may undo that: cannot sync its "
				  "directory: Input/output error");
	assert_holds("r.json", "new");
	cr_assert_eq(count_files(), 1);
}

/* Writes half a file, until it is killed. */
static pid_t write_half(const char *path)
{
	int ready[2];
	char c;
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct nasc_err err = { 0 };
		struct file_out f = { 0 };

		if (file_begin(&f, path, &err) || fputs("half", f.fp) < 0 || fflush(f.fp) ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static void kill_and_wait(pid_t pid)
{
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

/* Killed writers leave their files; the next one takes them away, but none that is in use. */
Test(file, next_writer_removes_what_killed_ones_left, .timeout = 60)
{
	struct nasc_err err = { 0 };
	struct file_out f = { 0 }, g = { 0 };
	pid_t pid[3];

	for (int i = 0; i < 3; i++)
		pid[i] = write_half("r.json");
	cr_assert_eq(count_files(), 3);
	kill_and_wait(pid[0]);
	kill_and_wait(pid[1]);
	cr_assert_eq(count_files(), 3);
	cr_assert_eq(file_begin(&f, "r.json", &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(count_files(), 2, "the living one's and this one's");
	cr_assert_eq(file_begin(&g, "r.json", &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(count_files(), 3);
	fputs("one", f.fp);
	fputs("two", g.fp);
	cr_assert_eq(file_commit(&f, &err), NASC_OK, "%s", err.msg);
	assert_holds("r.json", "one");
	cr_assert_eq(file_commit(&g, &err), NASC_OK, "%s", err.msg);
	assert_holds("r.json", "two");
	cr_assert_eq(count_files(), 2);
	kill_and_wait(pid[2]);
	cr_assert_eq(file_begin(&f, "r.json", &err), NASC_OK, "%s", err.msg);
	file_abandon(&f);
	assert_holds("r.json", "two");
	cr_assert_eq(count_files(), 1);
}

/* Many at once, the temporary files of killed ones among theirs: each commit is whole. */
Test(file, many_writers_at_once, .timeout = 60)
{
	pid_t pid[4];
	int status;

	kill_and_wait(write_half("r.json"));
	for (int k = 0; k < 4; k++) {
		pid[k] = fork();
		for (int i = 0; pid[k] == 0; i++) {
			struct nasc_err err = { 0 };
			struct file_out f = { 0 };

			if (i == 200)
				_exit(0);
			if (file_begin(&f, "r.json", &err) || fputs("whole", f.fp) < 0 ||
			    file_commit(&f, &err)) {
				fprintf(stderr, "# %s\n", err.msg);
				_exit(1);
			}
		}
	}
	for (int k = 0; k < 4; k++) {
		cr_assert_eq(waitpid(pid[k], &status, 0), pid[k]);
		cr_expect_eq(status, 0);
	}
	assert_holds("r.json", "whole");
	cr_assert_eq(count_files(), 1);
}

/* What has such a name and is no file of ours stays. */
Test(file, takes_another_name_where_one_is_taken)
{
	struct nasc_err err = { 0 };
	struct file_out f = { 0 };

	put("mine", "mine");
	cr_assert_eq(symlink("mine", "r.json.0.tmp"), 0);
	cr_assert_eq(mkdir("r.json.1.tmp", 0777), 0);
	cr_assert_eq(mkfifo("r.json.2.tmp", 0666), 0);
	cr_assert_eq(file_begin(&f, "r.json", &err), NASC_OK, "%s", err.msg);
	fputs("new", f.fp);
	cr_assert_eq(file_commit(&f, &err), NASC_OK, "%s", err.msg);
	assert_holds("r.json", "new");
	assert_holds("mine", "mine");
	cr_assert_eq(count_files(), 5);
}

Test(file, writes_through_links)
{
	struct nasc_err err = { 0 };
	struct file_out f = { 0 };
	struct stat st;

	put("real", "old");
	cr_assert_eq(symlink("real", "link"), 0);
	cr_assert_eq(file_begin(&f, "link", &err), NASC_OK);
	fputs("new", f.fp);
	cr_assert_eq(file_commit(&f, &err), NASC_OK);
	assert_holds("real", "new");
	cr_assert_eq(lstat("link", &st), 0);
	cr_assert(S_ISLNK(st.st_mode));
}

Test(file, begin_refuses_what_cannot_be_written)
{
	struct nasc_err err = { 0 };
	struct file_out f = { 0 };

	cr_assert_eq(file_begin(&f, "no/such/r.json", &err), NASC_FAIL);
	cr_assert_str_eq(err.msg, "no/such/r.json: cannot create: No such file or directory");
	cr_assert_eq(file_begin(&f, ".", &err), NASC_FAIL);
	cr_assert_str_eq(err.msg, ".: is not a regular file, cannot replace it");
	cr_assert_eq(file_begin(&f, "/dev/full", &err), NASC_FAIL);
	cr_assert_eq(file_begin(&f, "", &err), NASC_FAIL);
	cr_assert_eq(file_begin(&f, "r.json/", &err), NASC_FAIL);
	file_abandon(&f);
	cr_assert_eq(count_files(), 0);
}
