#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	int exit_code;
	const char *text;
} status_info[] = {
#define X(id, exit_code, text) [NASC_##id] = { exit_code, text },
	NASC_STATUS_LIST(X)
#undef X
};

enum nasc_status nasc_record(struct nasc_err *err, enum nasc_status code, const char *fmt, ...)
{
	char msg[sizeof err->msg]; /* an argument may be err->msg itself */
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	err->code = code;
	memcpy(err->msg, msg, strlen(msg) + 1);
	return code;
}

enum nasc_status nasc_wrap(struct nasc_err *err, const char *fmt, ...)
{
	char context[256];
	size_t n;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(context, sizeof context - 2, fmt, ap);
	va_end(ap);
	n = strlen(context);
	context[n++] = ':';
	context[n++] = ' ';
	memmove(err->msg + n, err->msg,
		sizeof err->msg - n - 1); /* the tail is cut, never the context */
	memcpy(err->msg, context, n);
	err->msg[sizeof err->msg - 1] = '\0';
	return err->code;
}

const char *nasc_status_text(enum nasc_status code)
{
	return status_info[code].text;
}

int nasc_exit_code(enum nasc_status code)
{
	return status_info[code].exit_code;
}
