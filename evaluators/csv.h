#ifndef NASC_CSV_H
#define NASC_CSV_H
#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "err.h"

/* Comma-separated values (RFC 4180), one record a line: a field in double quotes may
 * hold commas and doubled quotes, but no end of line. Lines end in LF or CRLF, the last
 * one's end may be missing; a byte order mark in front is skipped. Refused are control
 * characters, a quote inside an unquoted field, text behind a closing quote, an empty
 * line, and a record with another number of fields than the first. */
#define CSV_MAX_BYTES  ((size_t)1 << 30)
#define CSV_MAX_FIELDS 4096

struct csv {
	const char *path;
	char *at, *end; /* what is not read yet; fields are unquoted where they stand */
	size_t line;	/* of the record read last, 1-based */
	size_t n;	/* fields of a record; 0 before the first */
	char **field;	/* NUL-terminated, each as long as the arena */
};

/* NASC_DATA: cannot be read, or holds more than CSV_MAX_BYTES. */
enum nasc_status csv_open(struct csv *c, const char *path, struct arena *a, struct nasc_err *err);
/* The next record into c->field; *more false: there is none. NASC_DATA: "path:line: fault". */
enum nasc_status csv_read(struct csv *c, bool *more, struct nasc_err *err);
#endif
