#ifndef NASC_ERR_H
#define NASC_ERR_H

/* One list: the enum, the text and the process exit code cannot drift. */
#define NASC_STATUS_LIST(X)                                                                        \
	X(OK, 0, "success")                                                                        \
	X(FAIL, 1, "the run failed")                                                               \
	X(USAGE, 2, "bad command line")                                                            \
	X(CONFIG, 3, "invalid configuration")                                                      \
	X(DATA, 4, "unreadable or malformed input file")                                           \
	X(INFEASIBLE, 5, "no candidate met the constraints")                                       \
	X(INTERRUPTED, 130, "stopped by signal; state was saved")

enum nasc_status {
#define X(id, exit_code, text) NASC_##id,
	NASC_STATUS_LIST(X)
#undef X
		NASC_STATUS_COUNT
};

/* Caller-owned, lives on the stack, never allocates. `msg` reads outermost
 * context first and is fit to print as is, "nasc: <msg>\n": it is one line, '?' in
 * place of control characters, and what is too long for it has lost its middle. */
struct nasc_err {
	enum nasc_status code;
	char msg[512];
};

/* Record the first failure and return `code`, so a failing function can say
 * `return nasc_fail(err, NASC_DATA, "...")`. `err` may not be NULL. A macro, so
 * that the compiler sees that what comes back is not NASC_OK. */
#define nasc_fail(err, code, ...) nasc_status_of((code), nasc_record((err), (code), __VA_ARGS__))

__attribute__((format(printf, 3, 4))) enum nasc_status
nasc_record(struct nasc_err *err, enum nasc_status code, const char *fmt, ...);
static inline enum nasc_status nasc_status_of(enum nasc_status code, enum nasc_status recorded)
{
	(void)recorded;
	return code;
}

/* Put "<context>: " in front of a recorded message; keeps and returns code. */
__attribute__((format(printf, 2, 3))) enum nasc_status nasc_wrap(struct nasc_err *err,
								 const char *fmt, ...);

const char *nasc_status_text(enum nasc_status code);
int nasc_exit_code(enum nasc_status code);

#endif
