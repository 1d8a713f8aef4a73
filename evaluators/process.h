#ifndef NASC_PROCESS_H
#define NASC_PROCESS_H
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Another program that is asked in lines, one after another. */

#define PROCESS_LINE_MAX ((size_t)1 << 20) /* bytes of an answer, its newline included */

struct process {
	pid_t pid;	  /* leader of its process group; 0: none runs */
	int in, out, err; /* our ends of its pipes; -1: closed */
	size_t len;	  /* of line[]: what it has answered so far */
	char *line;	  /* PROCESS_LINE_MAX, the caller's */
	bool tail_ended;
	size_t tail_len;
	char tail[128]; /* last line of its standard error so far */
};

enum process_end {
	PROCESS_GOT_LINE, /* in line[], len bytes, without its newline */
	PROCESS_ENDED,	  /* closed its output, mostly by exiting */
	PROCESS_TIMED_OUT,
	PROCESS_CANCELLED,
	PROCESS_TOO_LONG, /* no newline within PROCESS_LINE_MAX */
	PROCESS_TOO_MUCH, /* bytes behind the newline, or an answer before it had read all */
};

void process_init(struct process *p, char line[PROCESS_LINE_MAX]);
/* None may run. Returns an errno, 0 when @argv runs, without a shell. */
int process_start(struct process *p, char *const *argv);
/* It has neither ended nor said anything since the last answer. */
bool process_idle(const struct process *p);
/* Write @n bytes of @text to its input, read a line of its output. */
enum process_end process_ask(struct process *p, const char *text, size_t n, double timeout_s,
			     const atomic_bool *cancel);
/* Has it ended within @ms? Then *info is as waitid() fills it. */
bool process_ended(const struct process *p, long ms, siginfo_t *info);
/* The last line of its standard error, read to the end, which a child that outlives the
 * program may put off; "" where there is none, or no end within @ms. */
const char *process_last_words(struct process *p, long ms);
/* With all its children that are still of its group; nothing where none runs. */
void process_kill(struct process *p);
/* The end of its input asks it to leave; after @ms it is killed. */
void process_leave(struct process *p, long ms);
#endif
