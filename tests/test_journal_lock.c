#define _XOPEN_SOURCE 700 /* nftw() */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "private.h"
#include "scratch.h"

/* Moments in which another process may come between. */

TestSuite(journal_lock, .init = begin, .fini = finish);

static const struct metric any = { "a", "a", UNIT_NONE, false, false, "" };
static const struct journal_options options = {
	.identity = "me", .origin = "here", .run = "one", .metric = &any, .n_values = 1
};

/* These two of the C library's give way to the program's own. */
static int replacements;   /* locks before which another process replaces the file */
static bool ask, was_held; /* at the removal of the journal: is its lock held? */

int fcntl(int fd, int cmd, ...)
{
	struct stat st;
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (cmd == F_SETLK && replacements > 0) {
		replacements--;
		cr_assert_eq(rename("r.journal", "old"), 0);
		if (replacements % 2)
			write_file("r.journal", "");
		cr_assert(replacements % 2 == (stat("r.journal", &st) == 0));
	}
	return (int)syscall(SYS_fcntl, fd, cmd, arg);
}

static bool lock_is_held(void)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open("r.journal", O_RDWR);

		_exit(fd >= 0 && fcntl(fd, F_SETLK, &l) != 0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

int unlink(const char *path)
{
	if (ask && !strcmp(path, "r.journal"))
		was_held = lock_is_held();
	return unlinkat(AT_FDCWD, path, 0);
}

/* Between opening and locking: what was locked is not the journal any more. */
Test(journal_lock, locks_the_file_that_is_there)
{
	for (int n = 0; n <= 4; n++) {
		struct nasc_err err = { 0 };
		struct journal *j = NULL;

		replacements = n;
		cr_assert_eq(journal_open(&j, "r.journal", &options, &err), NASC_OK, "%s", err.msg);
		cr_expect_eq(replacements, 0);
		cr_expect_eq(access("r.journal", F_OK), 0, "%d replacements", n);
		cr_expect_eq(journal_in_place(j, &err), NASC_OK, "%d: %s", n, err.msg);
		cr_expect(lock_is_held(), "%d replacements", n);
		journal_close(j);
		unlink("r.journal");
	}
}

Test(journal_lock, gives_up_where_the_file_never_stays)
{
	struct nasc_err err = { 0 };
	struct journal *j = NULL;

	replacements = 1000;
	cr_expect_eq(journal_open(&j, "r.journal", &options, &err), NASC_FAIL);
	cr_expect_str_eq(err.msg, "r.journal: removed or replaced again and again");
	cr_expect_null(j);
}

/* Else the next one's journal would be removed. */
Test(journal_lock, removes_what_it_could_not_begin_under_its_lock)
{
	struct nasc_err err = { 0 };
	struct journal *j = NULL;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1000, 1000 }), 0);
	ask = true;
	cr_expect_eq(journal_open(&j, "r.journal", &options, &err), NASC_FAIL);
	ask = false;
	cr_expect_eq(access("r.journal", F_OK), -1);
	cr_expect(was_held);
}
