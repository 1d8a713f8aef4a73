#include "csv.h"

#include <string.h>

#include "file.h"

enum nasc_status csv_open(struct csv *c, const char *path, struct arena *a, struct nasc_err *err)
{
	static const char mark[] = "\xef\xbb\xbf";
	size_t n;

	*c = (struct csv){ .path = path, .field = ARENA_NEW(a, char *, CSV_MAX_FIELDS) };
	if (file_read(path, CSV_MAX_BYTES, a, &c->at, &n, err))
		return err->code;
	c->end = c->at + n;
	if (n >= sizeof mark - 1 && memcmp(c->at, mark, sizeof mark - 1) == 0)
		c->at += sizeof mark - 1;
	return NASC_OK;
}

static enum nasc_status csv_fail(const struct csv *c, size_t column, const char *fault,
				 struct nasc_err *err)
{
	return nasc_fail(err, NASC_DATA, "%s:%zu: field %zu: %s", c->path, c->line, column + 1,
			 fault);
}

/* Of a line that ends at @end: unquotes the field at *@from, and leaves that at its comma
 * or at @end. */
static const char *unquote(char **from, const char *end)
{
	char *at = *from + 1, *to = *from;

	for (; at < end; at++) {
		if (*at == '"' && (at + 1 == end || at[1] != '"'))
			break;
		at += *at == '"';
		*to++ = *at;
	}
	if (at == end)
		return "its quote is not closed on this line";
	*from = ++at;
	if (at < end && *at != ',')
		return "text behind the closing quote; a quote inside is written twice";
	*to = '\0';
	return NULL;
}

static const char *plain(char **from, char *end)
{
	char *at = *from;

	while (at < end && *at != ',') {
		if (*at == '"')
			return "a quote inside; the whole field must be quoted, and a quote in it "
			       "written twice";
		at++;
	}
	*from = at;
	return NULL;
}

/* Fields of the line that begins at c->at. */
static enum nasc_status split(struct csv *c, char *end, size_t *n, struct nasc_err *err)
{
	char *at = c->at;

	for (*n = 0;; at++) {
		const char *fault;

		if (*n == CSV_MAX_FIELDS)
			return csv_fail(c, *n, "more than are read", err);
		c->field[*n] = at;
		fault = at < end && *at == '"' ? unquote(&at, end) : plain(&at, end);
		if (fault)
			return csv_fail(c, *n, fault, err);
		++*n;
		if (at == end)
			break;
		*at = '\0';
	}
	*end = '\0';
	return NASC_OK;
}

enum nasc_status csv_read(struct csv *c, bool *more, struct nasc_err *err)
{
	char *newline, *end;
	size_t n;

	*more = c->at < c->end;
	if (!*more)
		return NASC_OK;
	c->line++;
	newline = memchr(c->at, '\n', (size_t)(c->end - c->at));
	end = newline ? newline : c->end;
	if (end > c->at && end[-1] == '\r')
		end--;
	if (end == c->at)
		return nasc_fail(err, NASC_DATA, "%s:%zu: an empty line", c->path, c->line);
	for (const char *p = c->at; p < end; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return nasc_fail(err, NASC_DATA, "%s:%zu: control character 0x%02x",
					 c->path, c->line, (unsigned)(unsigned char)*p);
	if (split(c, end, &n, err))
		return err->code;
	if (c->n && n != c->n)
		return nasc_fail(err, NASC_DATA, "%s:%zu: %zu fields, the first line has %zu",
				 c->path, c->line, n, c->n);
	c->n = n;
	c->at = newline ? newline + 1 : c->end;
	return NASC_OK;
}
