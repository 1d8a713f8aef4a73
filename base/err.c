#include "err.h"

#include <stdarg.h>
#include <stdbool.h>
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

#define TEXT_MAX    16384 /* several paths; nobody reads what goes beyond */
#define CONTEXT_MIN 254	  /* bytes for a context, however long the message behind it */

static bool within_character(char c) /* of UTF-8 */
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* @text into @n bytes, in one line. Too long, it keeps both ends: a long path comes first and the
 * reason last. */
static void fit(char *out, size_t n, const char *text)
{
	size_t len = strlen(text), head = (n - 4) / 2, tail = len - head;

	if (len < n) {
		memcpy(out, text, len + 1);
	} else {
		while (head > 0 && within_character(text[head]))
			head--;
		while (within_character(text[tail]))
			tail++;
		snprintf(out, n, "%.*s...%s", (int)head, text, text + tail);
	}
	for (; *out; out++)
		if ((unsigned char)*out < 0x20 || *out == 0x7f)
			*out = '?';
}

enum nasc_status nasc_record(struct nasc_err *err, enum nasc_status code, const char *fmt, ...)
{
	char text[TEXT_MAX]; /* an argument may be err->msg itself */
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	err->code = code;
	fit(err->msg, sizeof err->msg, text);
	return code;
}

enum nasc_status nasc_wrap(struct nasc_err *err, const char *fmt, ...)
{
	char text[TEXT_MAX], msg[sizeof err->msg];
	size_t n = strlen(err->msg), room = CONTEXT_MIN;
	va_list ap;

	memcpy(msg, err->msg, n + 1);
	if (n + 2 + room < sizeof msg)
		room = sizeof msg - 2 - n;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fit(err->msg, room, text);
	n = strlen(err->msg);
	err->msg[n++] = ':';
	err->msg[n++] = ' ';
	fit(err->msg + n, sizeof err->msg - n, msg);
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
