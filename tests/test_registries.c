#include <criterion/criterion.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "costmodels.h"
#include "evaluators.h"
#include "json.h"
#include "leak.h"
#include "search.h"
#include "space.h"

/* What holds for every row of every registry: names, sources, and keys whose defaults and
 * bounds can be written in a config. */
TestSuite(registries, .fini = no_leaks);

struct part {
	const char *registry, *name, *summary, *source;
	const struct cfg_field *fields; /* NULL: no keys */
	size_t cfg_size;
};

#define PARTS_MAX 64
static size_t all_parts(struct part *part)
{
	size_t n = 0;

	for (size_t i = 0; search_registry[i]; i++) {
		const struct search_ops *o = search_registry[i];

		part[n++] = (struct part){ "strategies", o->name,   o->summary,
					   o->source,	 o->fields, o->cfg_size };
	}
	for (size_t i = 0; space_registry[i]; i++) {
		const struct space_ops *o = space_registry[i];

		part[n++] = (struct part){ "spaces",  o->name,	 o->summary,
					   o->source, o->fields, o->cfg_size };
	}
	for (size_t i = 0; evaluator_registry[i]; i++) {
		const struct evaluator_ops *o = evaluator_registry[i];

		part[n++] = (struct part){ "evaluators", o->name,   o->summary,
					   o->source,	 o->fields, o->cfg_size };
	}
	for (size_t i = 0; costmodel_registry[i]; i++) {
		const struct costmodel_ops *o = costmodel_registry[i];

		part[n++] = (struct part){ "cost models", o->name,   o->summary,
					   o->source,	  o->fields, o->cfg_size };
	}
	for (size_t i = 0; search_problems[i]; i++) {
		const struct search_problem *o = search_problems[i];

		part[n++] = (struct part){ "problems", o->name, o->summary, o->source, NULL, 0 };
	}
	cr_assert_lt(n, PARTS_MAX);
	return n;
}

static void check_word(const char *word, const char *of)
{
	cr_assert(islower((unsigned char)*word), "%s: '%s'", of, word);
	for (const char *c = word; *c; c++)
		cr_assert(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_',
			  "%s: '%s'", of, word);
}

static void check_line(const char *text, const char *of)
{
	cr_assert(text && strlen(text) >= 5, "%s: no text", of);
	cr_assert_null(strchr(text, '\n'), "%s: '%s' is one line", of, text);
	cr_assert_neq(text[strlen(text) - 1], '.', "%s: '%s' ends in a full stop", of, text);
}

Test(registries, names_and_sources)
{
	struct part part[PARTS_MAX];
	size_t n = all_parts(part);

	for (size_t i = 0; i < n; i++) {
		check_word(part[i].name, part[i].registry);
		check_line(part[i].summary, part[i].name);
		check_line(part[i].source, part[i].name);
		for (size_t k = 0; k < i; k++)
			cr_assert(strcmp(part[k].registry, part[i].registry) != 0 ||
					  strcmp(part[k].name, part[i].name) != 0,
				  "two %s are called '%s'", part[i].registry, part[i].name);
	}
	for (size_t i = 0; search_registry[i]; i++)
		cr_assert_eq(search_find(search_registry[i]->name), search_registry[i]);
	for (size_t i = 0; space_registry[i]; i++)
		cr_assert_eq(space_find(space_registry[i]->name), space_registry[i]);
	for (size_t i = 0; evaluator_registry[i]; i++)
		cr_assert_eq(evaluator_find(evaluator_registry[i]->name), evaluator_registry[i]);
	for (size_t i = 0; costmodel_registry[i]; i++)
		cr_assert_eq(costmodel_find(costmodel_registry[i]->name), costmodel_registry[i]);
	for (size_t i = 0; search_problems[i]; i++)
		cr_assert_eq(search_problem_find(search_problems[i]->name), search_problems[i]);
	cr_assert(!search_find("") && !space_find("") && !evaluator_find("") &&
		  !costmodel_find(""));
}

/* ---- metrics ---------------------------------------------------------------------- */

static void check_metrics(const char *of, const struct metric *metric, size_t n, size_t most)
{
	/* A key says its unit: it is all that a reader of JSON sees. */
	static const char *const suffix[] = {
		[UNIT_BYTE] = "_bytes", [UNIT_SECOND] = "_s", [UNIT_JOULE] = "_j"
	};

	cr_assert(n >= 1 && n <= most, "%s: %zu metrics", of, n);
	for (size_t i = 0; i < n; i++) {
		size_t length = strlen(metric[i].key), dim = metric[i].dim;
		const char *end = dim < sizeof suffix / sizeof *suffix ? suffix[dim] : NULL;

		check_word(metric[i].key, of);
		check_word(metric[i].name, of);
		check_line(metric[i].help, metric[i].key);
		if (end)
			cr_assert(length > strlen(end) &&
					  strcmp(metric[i].key + length - strlen(end), end) == 0,
				  "%s: %s", of, metric[i].key);
		for (size_t k = 0; k < i; k++)
			cr_assert(strcmp(metric[k].key, metric[i].key) != 0 &&
					  strcmp(metric[k].name, metric[i].name) != 0,
				  "%s: two metrics '%s'", of, metric[i].key);
	}
}

Test(registries, metrics)
{
	for (size_t i = 0; evaluator_registry[i]; i++) {
		const struct evaluator_ops *o = evaluator_registry[i];

		check_metrics(o->name, o->metric, o->n_metrics, EVAL_MAX_METRICS);
		cr_assert(strncmp(o->provenance, "measured: ", 10) == 0 ||
				  strncmp(o->provenance, "proxy: ", 7) == 0,
			  "%s: '%s'", o->name, o->provenance);
	}
	for (size_t i = 0; costmodel_registry[i]; i++)
		check_metrics(costmodel_registry[i]->name, costmodel_registry[i]->metric,
			      costmodel_registry[i]->n_metrics, COST_MAX_METRICS);
}

/* ---- keys ------------------------------------------------------------------------------ */

static void check_row(const struct part *p, const struct cfg_field *row)
{
	bool number = row->type == CFG_INT || row->type == CFG_REAL || row->type == CFG_RANGE ||
		      row->type == CFG_INTS || row->type == CFG_LIST;

	check_word(row->key, p->name);
	check_line(row->help, row->key);
	cr_assert_not_null(row->unit, "%s: %s", p->name, row->key);
	if (number)
		cr_assert_lt(row->min, row->max, "%s: %s", p->name, row->key);
	if (row->type == CFG_INT || row->type == CFG_RANGE || row->type == CFG_INTS ||
	    row->type == CFG_LIST)
		cr_assert(row->min == floor(row->min) && row->max == floor(row->max) &&
				  fabs(row->min) <= 0x1p53 && fabs(row->max) <= 0x1p53,
			  "%s: %s", p->name, row->key);
	if (row->type == CFG_CHOICE || row->type == CFG_CHOICES) {
		cr_assert(row->choices[0] && row->choices[1], "%s: %s: no choice", p->name,
			  row->key);
		for (size_t i = 0; row->choices[i]; i++)
			for (size_t k = 0; k < i; k++)
				cr_assert_str_neq(row->choices[k], row->choices[i]);
	}
	for (const struct cfg_field *other = p->fields; other < row; other++)
		cr_assert_str_neq(other->key, row->key, "%s", p->name);
}

/* Text of the row's @which-th value: its least, its greatest, each name. NULL: no more. */
static const char *value_text(const struct cfg_field *row, size_t which, char *buf, size_t n)
{
	switch (row->type) {
	case CFG_BOOL:
		snprintf(buf, n, "%s", which ? "true" : "false");
		return which < 2 ? buf : NULL;
	case CFG_INT:
	case CFG_REAL:
	case CFG_RANGE:
	case CFG_INTS:
	case CFG_LIST:
		snprintf(buf, n, "%.17g", which ? row->max : row->min);
		return which < 2 ? buf : NULL;
	case CFG_U64:
		return which == 0 ? "0" : which == 1 ? "18446744073709551615" : NULL;
	case CFG_CHOICE:
	case CFG_CHOICES:
		if (!row->choices[which])
			return NULL;
		snprintf(buf, n, "%s", row->choices[which]);
		return buf;
	case CFG_STRING:
		return which == 0 ? "some text" : NULL;
	case CFG_STRINGS:
		return which == 0 ? "[some, text]" : NULL;
	}
	return NULL;
}

/* A config of all keys that must be given, and @row with @value. */
static void config_text(const struct part *p, const struct cfg_field *row, const char *value,
			char *text, size_t n)
{
	size_t at = (size_t)snprintf(text, n, "{");
	char buf[64];

	for (const struct cfg_field *f = p->fields; f && f->key; f++)
		if (f == row || !f->def)
			at += (size_t)snprintf(
				text + at, n - at, "%s%s: %s", at > 1 ? ", " : "", f->key,
				f == row ? value : value_text(f, 0, buf, sizeof buf));
	snprintf(text + at, n - at, "}");
}

static enum nasc_status load(const struct part *p, const char *text, struct arena *a, void **cfg,
			     struct nasc_err *err)
{
	struct yaml_doc doc;

	if (yaml_parse("t.yaml", text, strlen(text), a, &doc, err))
		return err->code;
	*cfg = arena_alloc(a, 1, p->cfg_size + 1, alignof(max_align_t));
	return cfg_load(p->fields, &doc, doc.root, NULL, a, *cfg, p->cfg_size, err);
}

static char *resolved(const struct part *p, const void *cfg, struct arena *a)
{
	char *text = ARENA_NEW(a, char, 16384);
	FILE *fp = fmemopen(text, 16384, "w");
	struct json_writer w;

	json_init(&w, fp, true);
	json_object(&w, NULL);
	cfg_write_json(p->fields, cfg, false, &w);
	json_end(&w);
	fclose(fp);
	return text;
}

/* @text loads, and what is written of it loads to the same. */
static void check_loads(const struct part *p, const char *text, struct arena *a)
{
	struct nasc_err err = { 0 };
	void *cfg = NULL, *again = NULL;
	char *first;

	cr_assert_eq(load(p, text, a, &cfg, &err), NASC_OK, "%s: %s: %s", p->name, text, err.msg);
	first = resolved(p, cfg, a);
	cr_assert_eq(load(p, first, a, &again, &err), NASC_OK, "%s: %s: %s", p->name, first,
		     err.msg);
	cr_assert_str_eq(first, resolved(p, again, a), "%s", p->name);
	for (const struct cfg_field *f = p->fields; f->key; f++) {
		char member[64];

		snprintf(member, sizeof member, "\"%s\":", f->key);
		cr_assert(strstr(first, member), "%s: %s is not in %s", p->name, f->key, first);
	}
}

static void check_refused_beyond(const struct part *p, const struct cfg_field *row, double value,
				 struct arena *a)
{
	char text[2048], number[64];
	struct nasc_err err = { 0 };
	void *cfg = NULL;

	if (!isfinite(value))
		return;
	snprintf(number, sizeof number, "%.17g", value);
	config_text(p, row, number, text, sizeof text);
	cr_assert_eq(load(p, text, a, &cfg, &err), NASC_CONFIG, "%s: %s", p->name, text);
	cr_assert(strstr(err.msg, row->key), "%s: %s", text, err.msg);
}

static void check_row_values(const struct part *p, const struct cfg_field *row, struct arena *a)
{
	char text[2048], buf[64];
	const char *value;

	for (size_t i = 0; (value = value_text(row, i, buf, sizeof buf)) != NULL; i++) {
		config_text(p, row, value, text, sizeof text);
		check_loads(p, text, a);
	}
	if (row->type == CFG_REAL) {
		check_refused_beyond(p, row, nextafter(row->min, -INFINITY), a);
		check_refused_beyond(p, row, nextafter(row->max, INFINITY), a);
	} else if (row->type == CFG_INT || row->type == CFG_RANGE || row->type == CFG_INTS ||
		   row->type == CFG_LIST) {
		check_refused_beyond(p, row, row->min - 1, a);
		check_refused_beyond(p, row, row->max + 1, a);
	}
}

/* cfg_defaults() gives what a config that says nothing gives. */
static void check_defaults(const struct part *p, struct arena *a)
{
	void *defaults = arena_alloc(a, 1, p->cfg_size, alignof(max_align_t)), *loaded = NULL;
	struct nasc_err err = { 0 };
	bool whole = true;

	for (const struct cfg_field *f = p->fields; f->key; f++)
		whole &= f->def != NULL;
	cfg_defaults(p->fields, a, defaults, p->cfg_size);
	if (!whole) {
		cr_assert_eq(load(p, "{}", a, &loaded, &err), NASC_CONFIG, "%s", p->name);
		return;
	}
	cr_assert_eq(load(p, "{}", a, &loaded, &err), NASC_OK, "%s: %s", p->name, err.msg);
	cr_assert_str_eq(resolved(p, defaults, a), resolved(p, loaded, a), "%s", p->name);
}

Test(registries, keys)
{
	struct part part[PARTS_MAX];
	size_t n = all_parts(part), rows = 0;

	for (size_t i = 0; i < n; i++) {
		struct arena a = { 0 };

		if (!part[i].fields)
			continue;
		check_defaults(&part[i], &a);
		for (const struct cfg_field *row = part[i].fields; row->key; row++, rows++) {
			check_row(&part[i], row);
			check_row_values(&part[i], row, &a);
		}
		arena_free(&a);
	}
	cr_assert_gt(rows, 20);
}
