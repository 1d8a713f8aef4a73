#include "evaluators.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "rng.h"

/* Accuracies that somebody else has measured, looked up by genes in a file of
 * comma-separated values: a benchmark's table makes a search a matter of seconds. */

#define KEYS_MAX 256
#define TEXT_MAX 4096 /* of a key, its end included */
#define BETWEEN	 '\n' /* fields of a key in several columns: in no field */

enum { BY_INDEX, BY_VALUE };
enum { SEEDS_MEAN, SEEDS_FIRST, SEEDS_DRAW };
static const char *const by_names[] = { "index", "value", NULL };
static const char *const seeds_names[] = { "mean", "first", "draw", NULL };

struct tabular_cfg {
	const char *file, *separator;
	struct cfg_strings key, accuracy;
	int64_t genes, seeds;
	double scale;
};
static const struct cfg_field tabular_fields[] = {
	CFG_STRING_FIELD(struct tabular_cfg, file, NULL,
			 "comma-separated values, the columns' names in the first line"),
	CFG_STRINGS_FIELD(struct tabular_cfg, key, NULL,
			  "column that tells a candidate by all its genes, or one column a gene, "
			  "in the space's order"),
	CFG_CHOICE_FIELD(struct tabular_cfg, genes, "index", by_names,
			 "how the table gives a gene: its place among the values it can take, "
			 "from 0, or its value, as results have it"),
	CFG_STRING_FIELD(struct tabular_cfg, separator, "\"\"",
			 "between the genes, where one column has them all"),
	CFG_STRINGS_FIELD(struct tabular_cfg, accuracy, "[accuracy]",
			  "columns with the accuracies of the seeds; a field may hold several, "
			  "blanks between"),
	CFG_REAL_FIELD(struct tabular_cfg, scale, "1", 1e-9, 1, UNIT_NONE, "",
		       "what the accuracies are multiplied by: 0.01 where they are percent"),
	CFG_CHOICE_FIELD(
		struct tabular_cfg, seeds, "mean", seeds_names,
		"of several: their mean, the first, or one drawn by the run's seed and the genes"),
	CFG_END
};

static const struct metric tabular_metrics[] = {
	{ "accuracy", "accuracy", UNIT_FRACTION, true, false,
	  "fraction of images classified right, as the table has it" },
	{ "error", "error", UNIT_FRACTION, false, false, "1 - accuracy" },
};

struct row {
	char *key;
	size_t line, first;
	uint32_t n; /* accuracies: table.value[first ...] */
};
struct table {
	size_t n, cap, n_values, cap_values;
	struct row *row; /* by key */
	double *value;
	uint64_t contents;
};

/* ---- reading ------------------------------------------------------------------- */

static enum nasc_status find_columns(const struct csv *c, const char *key,
				     const struct cfg_strings *names, size_t *column,
				     struct nasc_err *err)
{
	for (size_t i = 0; i < names->n; i++) {
		size_t found = 0;

		for (size_t k = 0; k < c->n; k++)
			if (strcmp(c->field[k], names->v[i]) == 0) {
				column[i] = k;
				found++;
			}
		if (found != 1)
			return nasc_fail(err, NASC_CONFIG, "%s: %s has %s called '%s'", key,
					 c->path, found ? "several columns" : "no column",
					 names->v[i]);
	}
	return NASC_OK;
}

static void *grown(struct arena *a, const void *old, size_t n, size_t *cap, size_t size)
{
	void *more;

	*cap = *cap ? 2 * *cap : 1024;
	more = arena_alloc(a, *cap, size, 16);
	if (n)
		memcpy(more, old, n * size);
	return more;
}

static enum nasc_status add_value(struct table *t, const char *text, double scale, struct arena *a,
				  struct nasc_err *err)
{
	double v;

	if (unit_parse(text, UNIT_NONE, &v, err))
		return err->code;
	v *= scale;
	if (v < 0 || v > 1)
		return nasc_fail(err, NASC_DATA, "%s times 'scale' %g is outside [0, 1]", text,
				 scale);
	if (t->n_values == t->cap_values)
		t->value = grown(a, t->value, t->n_values, &t->cap_values, sizeof *t->value);
	t->value[t->n_values++] = v;
	return NASC_OK;
}

/* Cuts the field at its blanks. */
static enum nasc_status add_values(struct table *t, const struct csv *c, size_t column,
				   double scale, struct arena *a, struct nasc_err *err)
{
	for (char *at = c->field[column]; *(at += strspn(at, " "));) {
		size_t n = strcspn(at, " ");
		bool last = !at[n];

		at[n] = '\0';
		if (add_value(t, at, scale, a, err)) {
			err->code = NASC_DATA;
			nasc_wrap(err, "%s:%zu: field %zu", c->path, c->line, column + 1);
			return NASC_DATA;
		}
		at += n + !last;
	}
	return NASC_OK;
}

static enum nasc_status add_row(struct table *t, const struct csv *c, const size_t *key_column,
				const struct tabular_cfg *cfg, struct arena *a,
				struct nasc_err *err)
{
	char text[TEXT_MAX];
	size_t at = 0;

	for (size_t i = 0; i < cfg->key.n; i++) {
		const char *field = c->field[key_column[i]];
		size_t n = strlen(field);

		if (n + 2 > sizeof text - at)
			return nasc_fail(err, NASC_DATA,
					 "%s:%zu: field %zu: a key of over %d bytes", c->path,
					 c->line, key_column[i] + 1, TEXT_MAX - 2);
		if (i)
			text[at++] = BETWEEN;
		memcpy(text + at, field, n);
		at += n;
	}
	text[at] = '\0';
	if (t->n == t->cap)
		t->row = grown(a, t->row, t->n, &t->cap, sizeof *t->row);
	t->row[t->n++] =
		(struct row){ .key = arena_strdup(a, text), .line = c->line, .first = t->n_values };
	return NASC_OK;
}

static void make_readable(char *key)
{
	for (char *p = strchr(key, BETWEEN); p; p = strchr(p, BETWEEN))
		*p = ' ';
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->key, ((const struct row *)b)->key);
}

static int by_key_and_line(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = by_key(a, b);

	return order ? order : (x->line > y->line) - (x->line < y->line);
}

static enum nasc_status sort_rows(struct table *t, const char *path, struct nasc_err *err)
{
	/* Sorted, not hashed: no table can be made up that is slow to look up. */
	if (t->n)
		qsort(t->row, t->n, sizeof *t->row, by_key_and_line);
	for (size_t i = 1; i < t->n; i++) {
		const struct row *r = &t->row[i];

		if (strcmp(r->key, r[-1].key) != 0)
			continue;
		make_readable(r->key);
		return nasc_fail(err, NASC_DATA,
				 "%s:%zu: the genes '%.200s' stand in line %zu as well", path,
				 r->line, r->key, r[-1].line);
	}
	return NASC_OK;
}

static uint64_t hash_of(const char *at, const char *end)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	for (; at < end; at++)
		h = (h ^ (unsigned char)*at) * 0x100000001b3u;
	return h;
}

static enum nasc_status read_rows(struct table *t, struct csv *c, const struct tabular_cfg *cfg,
				  struct arena *a, struct nasc_err *err)
{
	size_t key[KEYS_MAX], value[KEYS_MAX];
	bool more;

	if (csv_read(c, &more, err))
		return err->code;
	if (!more)
		return nasc_fail(err, NASC_DATA, "%s: empty", c->path);
	if (find_columns(c, "key", &cfg->key, key, err) ||
	    find_columns(c, "accuracy", &cfg->accuracy, value, err))
		return err->code;
	while (!csv_read(c, &more, err) && more) {
		if (add_row(t, c, key, cfg, a, err))
			return err->code;
		for (size_t i = 0; i < cfg->accuracy.n; i++)
			if (add_values(t, c, value[i], cfg->scale, a, err))
				return err->code;
		t->row[t->n - 1].n = (uint32_t)(t->n_values - t->row[t->n - 1].first);
	}
	return err->code;
}

static enum nasc_status table_read(struct table *t, const struct tabular_cfg *cfg, struct arena *a,
				   struct nasc_err *err)
{
	const struct cfg_strings *list[] = { &cfg->key, &cfg->accuracy };
	struct arena scratch = { 0 };
	enum nasc_status st;
	struct csv c;

	*t = (struct table){ .n = 0 };
	for (size_t i = 0; i < 2; i++)
		if (list[i]->n == 0 || list[i]->n > KEYS_MAX)
			return nasc_fail(err, NASC_CONFIG, "%s: %zu columns, expected 1 to %d",
					 i ? "accuracy" : "key", list[i]->n, KEYS_MAX);
	st = csv_open(&c, cfg->file, &scratch, err);
	if (!st) {
		t->contents = hash_of(c.at, c.end);
		st = read_rows(t, &c, cfg, a, err);
	}
	if (!st)
		st = sort_rows(t, cfg->file, err);
	arena_free(&scratch);
	return st;
}

static enum nasc_status tabular_check(const void *cfg, struct nasc_err *err)
{
	struct arena a = { 0 };
	struct table t;
	enum nasc_status st = table_read(&t, cfg, &a, err);

	arena_free(&a);
	return st;
}

static enum nasc_status tabular_open(struct evaluator *e, struct nasc_err *err)
{
	struct table *t = ARENA_NEW(e->arena, struct table, 1);

	e->state = t;
	return table_read(t, e->cfg, e->arena, err);
}

static uint64_t tabular_contents(const struct evaluator *e)
{
	return ((const struct table *)e->state)->contents;
}

/* ---- looking up ------------------------------------------------------------------ */

/* False: longer than any key. */
static bool key_text(const struct tabular_cfg *cfg, const struct eval_request *request,
		     char text[TEXT_MAX])
{
	const char between[] = { BETWEEN, '\0' };
	const char *separator = cfg->key.n > 1 ? between : cfg->separator;
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < request->n_genes && at < TEXT_MAX; i++) {
		const struct eval_gene *g = &request->gene[i];
		const char *apart = i ? separator : "";
		int n = cfg->genes == BY_INDEX
				? snprintf(text + at, TEXT_MAX - at, "%s%" PRIu32, apart, g->index)
				: snprintf(text + at, TEXT_MAX - at, "%s%s", apart, g->text);

		at += (size_t)n;
	}
	return at < TEXT_MAX;
}

static enum eval_outcome tabular_run(struct evaluator *e, void *worker,
				     const struct eval_request *request, struct eval_result *r)
{
	const struct tabular_cfg *cfg = e->cfg;
	const struct table *t = e->state;
	char text[TEXT_MAX];
	const struct row *row = NULL;
	const double *v;
	double accuracy = 0;

	(void)worker;
	if (request->cancel && atomic_load(request->cancel))
		return EVAL_CANCELLED;
	if (cfg->key.n > 1 && cfg->key.n != request->n_genes) {
		snprintf(r->why, sizeof r->why, "key: %zu columns, a candidate has %zu genes",
			 cfg->key.n, request->n_genes);
		return EVAL_BROKEN;
	}
	if (key_text(cfg, request, text) && t->n)
		row = bsearch(&(struct row){ .key = text }, t->row, t->n, sizeof *t->row, by_key);
	make_readable(text);
	if (!row || row->n == 0) {
		snprintf(r->why, sizeof r->why,
			 row ? "the table has no accuracy in the row of '%.180s'"
			     : "the table has no row '%.180s'",
			 text);
		return EVAL_FAILED;
	}
	v = t->value + row->first;
	if (cfg->seeds == SEEDS_DRAW) {
		struct rng rng;

		rng_stream(&rng, request->seed, RNG_TABLE, request->id);
		accuracy = v[rng_below(&rng, row->n)];
	} else if (cfg->seeds == SEEDS_FIRST) {
		accuracy = v[0];
	} else {
		for (uint32_t i = 0; i < row->n; i++)
			accuracy += v[i] / row->n;
	}
	r->value[0] = fmin(accuracy, 1);
	r->value[1] = 1 - r->value[0];
	return EVAL_OK;
}

const struct evaluator_ops evaluator_tabular = {
	.name = "tabular",
	.summary = "looks accuracies up in a table of genes, as of a benchmark",
	.source = "interface of its own; such tables: Dong, Yang, ICLR 2020, arXiv:2001.00326",
	.metric = tabular_metrics,
	.n_metrics = sizeof tabular_metrics / sizeof *tabular_metrics,
	.provenance = "measured: looked up in a table",
	.fields = tabular_fields,
	.cfg_size = sizeof(struct tabular_cfg),
	.check = tabular_check,
	.open = tabular_open,
	.contents = tabular_contents,
	.run = tabular_run,
};
