#define _GNU_SOURCE /* pipe2(), NSIG */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define SLICE_MS 200 /* between two looks at @cancel */

void process_init(struct process *p, char line[PROCESS_LINE_MAX])
{
	*p = (struct process){ .in = -1, .out = -1, .err = -1, .line = line };
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void sleep_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* It stays a zombie, so its pid and group stay its own. */
bool process_ended(const struct process *p, long ms, siginfo_t *info)
{
	for (long waited = 0;; waited += 2) {
		memset(info, 0, sizeof *info);
		if (waitid(P_PID, (id_t)p->pid, info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info->si_pid == p->pid)
			return true;
		if (waited >= ms)
			return false;
		sleep_ms(2);
	}
}

void process_kill(struct process *p)
{
	close_fd(&p->in);
	close_fd(&p->out);
	close_fd(&p->err);
	if (p->pid == 0)
		return;
	kill(-p->pid, SIGKILL);
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
}

/* The child, from fork() to exec(): nothing here that could wait for another thread. Default
 * signals, none blocked, a process group of its own: Ctrl-C in the terminal reaches nasc
 * alone, which then decides. Were nasc itself killed, the kernel ends the program, which
 * may not heed the end of its input; the signal comes when the thread ends that is @parent's.
 * It does not reach the program's own children, as process_kill() does. */
static void become(char *const *argv, const int fd[3], int report, pid_t parent)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;
	int why;

	sigemptyset(&none);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 1; i < NSIG; i++)
		sigaction(i, &standard, NULL);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	if (getppid() == parent && dup2(fd[0], STDIN_FILENO) >= 0 &&
	    dup2(fd[1], STDOUT_FILENO) >= 0 && dup2(fd[2], STDERR_FILENO) >= 0)
		execvp(argv[0], argv);
	why = errno;
	if (write(report, &why, sizeof why) < 0)
		_exit(126);
	_exit(127);
}

/* Returns an errno: the child tells its own through a pipe that a successful exec() closes. */
static int spawn(char *const *argv, const int fd[3], pid_t *pid)
{
	sigset_t all, before;
	pid_t self = getpid();
	int report[2], why = 0;

	if (pipe2(report, O_CLOEXEC))
		return errno;
	sigfillset(&all); /* no handler of ours may run in the child */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	*pid = fork();
	if (*pid == 0)
		become(argv, fd, report[1], self);
	if (*pid < 0)
		why = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(report[1]);
	while (*pid > 0 && read(report[0], &why, sizeof why) < 0 && errno == EINTR)
		;
	close(report[0]);
	if (*pid > 0 && why)
		while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
			;
	return why;
}

/* All ends close on exec, so that one worker's process holds no other's pipes
 * open. */
int process_start(struct process *p, char *const *argv)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 }, rc;

	p->tail_len = 0;
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) ||
	    fcntl(in[1], F_SETFL, O_NONBLOCK) || fcntl(out[0], F_SETFL, O_NONBLOCK) ||
	    fcntl(err[0], F_SETFL, O_NONBLOCK))
		rc = errno;
	else
		rc = spawn(argv, (int[]){ in[0], out[1], err[1] }, &p->pid);
	close_fd(&in[0]);
	close_fd(&out[1]);
	close_fd(&err[1]);
	p->in = in[1];
	p->out = out[0];
	p->err = err[0];
	if (rc) {
		p->pid = 0;
		process_kill(p);
	}
	return rc;
}

/* Write what fits without waiting. A process that is gone gives EPIPE and not
 * the signal, whatever this program does with SIGPIPE elsewhere. False: gone. */
static bool send_some(struct process *p, const char *text, size_t n, size_t *sent)
{
	sigset_t pipe_only, before, pending;
	bool was_pending, gone = false;
	ssize_t put;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
	put = write(p->in, text + *sent, n - *sent);
	if (put >= 0) {
		*sent += (size_t)put;
	} else if (errno != EAGAIN && errno != EINTR) {
		gone = true;
		if (errno == EPIPE && !was_pending)
			while (sigtimedwait(&pipe_only, NULL, &(struct timespec){ 0 }) < 0 &&
			       errno == EINTR)
				;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return !gone;
}

/* Keep the last line that has anything in it. Bounded: a program may write faster
 * than we read. */
static void drain_stderr(struct process *p)
{
	char buf[4096];
	ssize_t got = 0;

	for (int reads = 0; reads < 64 && (got = read(p->err, buf, sizeof buf)) > 0; reads++) {
		for (ssize_t i = 0; i < got; i++) {
			unsigned char c = (unsigned char)buf[i];

			if (c == '\n' || c == '\r') {
				p->tail_ended = true;
				continue;
			}
			if (p->tail_ended)
				p->tail_len = 0;
			p->tail_ended = false;
			if (p->tail_len < sizeof p->tail - 1)
				p->tail[p->tail_len++] = (char)(c < 0x20 || c == 0x7f ? ' ' : c);
		}
	}
	p->tail[p->tail_len] = '\0';
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(&p->err);
}

const char *process_last_words(struct process *p, long ms)
{
	for (long waited = 0; p->err >= 0 && waited <= ms; waited += 2) {
		drain_stderr(p);
		if (p->err >= 0)
			sleep_ms(2);
	}
	return p->err < 0 ? p->tail : "";
}

/* True when the exchange is over, with @end. */
static bool receive_some(struct process *p, bool all_sent, enum process_end *end)
{
	ssize_t got = read(p->out, p->line + p->len, PROCESS_LINE_MAX - p->len);
	char *newline;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	*end = PROCESS_ENDED;
	if (got <= 0)
		return true;
	newline = memchr(p->line + p->len, '\n', (size_t)got);
	p->len += (size_t)got;
	*end = PROCESS_TOO_LONG;
	if (!newline)
		return p->len == PROCESS_LINE_MAX;
	*newline = '\0';
	*end = newline + 1 == p->line + p->len && all_sent ? PROCESS_GOT_LINE : PROCESS_TOO_MUCH;
	p->len = (size_t)(newline - p->line);
	return true;
}

enum process_end process_ask(struct process *p, const char *text, size_t n, double timeout_s,
			     const atomic_bool *cancel)
{
	double deadline = clock_s() + timeout_s, left;
	enum process_end end = PROCESS_ENDED;
	bool dead = false;
	siginfo_t info;
	size_t sent = 0;
	int ready;

	p->len = 0;
	while (!cancel || !atomic_load_explicit(cancel, memory_order_relaxed)) {
		struct pollfd fd[] = { { .fd = p->out, .events = POLLIN },
				       { .fd = p->err, .events = POLLIN },
				       { .fd = sent < n ? p->in : -1, .events = POLLOUT } };

		left = deadline - clock_s();
		if (left <= 0)
			return PROCESS_TIMED_OUT;
		ready = poll(fd, 3, left * 1e3 < SLICE_MS ? (int)(left * 1e3) + 1 : SLICE_MS);
		if (ready == 0) { /* it may be gone, and a child of its hold the pipe open */
			if (dead)
				return PROCESS_ENDED;
			dead = process_ended(p, 0, &info);
		}
		if (ready <= 0)
			continue;
		if (fd[1].revents)
			drain_stderr(p);
		if (fd[0].revents && receive_some(p, sent == n, &end))
			return end;
		if (fd[2].revents && !send_some(p, text, n, &sent))
			close_fd(&p->in);
	}
	return PROCESS_CANCELLED;
}

bool process_idle(const struct process *p)
{
	struct pollfd fd = { .fd = p->out, .events = POLLIN };

	return p->pid && poll(&fd, 1, 0) == 0;
}

void process_leave(struct process *p, long ms)
{
	siginfo_t info;

	close_fd(&p->in);
	if (p->pid)
		process_ended(p, ms, &info);
	process_kill(p);
}
