#include "calibrate_csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

#define CSV_MAX_BYTES ((size_t)16 << 20)

/* Take the field at *@at apart in place; *@at: the next one, NULL behind the line's last. */
static char *next_field(char **at)
{
	char *field = *at, *from = *at, *to = *at;
	bool quoted = *from == '"';

	from += quoted;
	while (*from && (quoted || *from != ',')) {
		if (quoted && *from == '"') {
			if (from[1] != '"') {
				quoted = false;
				from++;
				continue;
			}
			from++;
		}
		*to++ = *from++;
	}
	*at = *from == ',' ? from + 1 : NULL;
	*to = '\0';
	return field;
}

static size_t split(char *line, char **field, size_t most)
{
	size_t n = 0;

	while (line && n < most)
		field[n++] = next_field(&line);
	return line ? most + 1 : n;
}

/* The line at *@text, cut off; *@text: the next one. */
static char *next_line(char **text)
{
	char *line = *text, *end = line + strcspn(line, "\n");

	*text = *end ? end + 1 : end;
	if (end > line && end[-1] == '\r')
		end[-1] = '\0';
	*end = '\0';
	return line;
}

enum nasc_status csv_load(const char *path, struct arena *a, struct csv *out, struct nasc_err *err)
{
	struct csv c = { .path = arena_strdup(a, path) };
	char *text, *line;
	size_t size, lines = 1, number = 1;
	enum nasc_status status = file_read(path, CSV_MAX_BYTES, a, &text, &size, err);

	if (status)
		return status;
	line = next_line(&text);
	for (const char *p = line; *p; p++)
		c.n_columns += *p == ',';
	c.n_columns++;
	c.name = ARENA_NEW(a, char *, c.n_columns);
	c.n_columns = split(line, c.name, c.n_columns);
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	c.cell = ARENA_NEW(a, char *, lines *c.n_columns);
	c.line = ARENA_NEW(a, size_t, lines);
	while (*text) {
		char **row = c.cell + c.n_rows * c.n_columns;

		line = next_line(&text);
		number++;
		if (!*line)
			continue;
		if (split(line, row, c.n_columns) != c.n_columns)
			return nasc_fail(err, NASC_DATA,
					 "%s:%zu: %zu columns are right, as in line 1", path,
					 number, c.n_columns);
		c.line[c.n_rows++] = number;
	}
	*out = c;
	return NASC_OK;
}

static size_t column_of(const struct csv *c, const char *column)
{
	size_t k = 0;

	while (k < c->n_columns && strcmp(c->name[k], column) != 0)
		k++;
	return k;
}

bool csv_has(const struct csv *c, const char *column)
{
	return column_of(c, column) < c->n_columns;
}

const char *csv_text(const struct csv *c, size_t row, const char *column)
{
	size_t k = column_of(c, column);

	return k < c->n_columns ? c->cell[row * c->n_columns + k] : "";
}

enum nasc_status csv_positive(const struct csv *c, size_t row, const char *column, double *out,
			      struct nasc_err *err)
{
	const char *text = csv_text(c, row, column);
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !isfinite(v) || v <= 0)
		return nasc_fail(err, NASC_DATA, "%s:%zu: %s: '%.40s' is not a number above 0",
				 c->path, c->line[row], column, text);
	*out = v;
	return NASC_OK;
}
