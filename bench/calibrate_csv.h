#ifndef BENCH_CALIBRATE_CSV_H
#define BENCH_CALIBRATE_CSV_H
#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "err.h"

/* A table with a line of column names: RFC 4180, without line breaks inside quotes. */
struct csv {
	const char *path;
	size_t n_columns, n_rows;
	char **name;  /* n_columns */
	char **cell;  /* n_rows x n_columns */
	size_t *line; /* of each row, for messages */
};
enum nasc_status csv_load(const char *path, struct arena *a, struct csv *out, struct nasc_err *err);
bool csv_has(const struct csv *c, const char *column);
/* "" where there is no such column. */
const char *csv_text(const struct csv *c, size_t row, const char *column);
/* NASC_DATA: not a finite number above 0. */
enum nasc_status csv_positive(const struct csv *c, size_t row, const char *column, double *out,
			      struct nasc_err *err);
#endif
