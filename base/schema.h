#ifndef NASC_SCHEMA_H
#define NASC_SCHEMA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "arena.h"
#include "err.h"
#include "units.h"

/* YAML in. One row per key: the row is the only place that knows a key's type,
 * default, bounds, unit and help. Loading, checking, `nasc help`, the resolved
 * config in results.json and configs/reference.yaml all walk the rows.
 *
 * A default is YAML text read by the same code as the user's text, so it can
 * neither be out of bounds nor drift from what is printed. */

/* ---- documents ---------------------------------------------------------- */

/* A parsed YAML file; nodes live in its arena. Anchors and aliases are
 * refused: a config has no use for them, and they multiply (billion laughs). */
enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };
struct yaml_node {
	enum yaml_kind kind;
	size_t line;		 /* 1-based */
	const char *scalar;	 /* YAML_SCALAR; no NUL inside */
	size_t n;		 /* items of a list, pairs of a map */
	struct yaml_node **item; /* list items, or the values of a map */
	const char **key;	 /* keys of a map, all scalars, all different */
	size_t *key_line;
};
struct yaml_doc {
	const char *file;	/* name for messages */
	struct yaml_node *root; /* a map */
};

#define YAML_MAX_BYTES ((size_t)1 << 20)

/* NASC_DATA: cannot be read; NASC_CONFIG: not YAML, not a map at the top,
 * repeated key, alias, deeper than 16. */
enum nasc_status yaml_load(const char *path, struct arena *a, struct yaml_doc *out,
			   struct nasc_err *err);
enum nasc_status yaml_parse(const char *file, const char *text, size_t n, struct arena *a,
			    struct yaml_doc *out, struct nasc_err *err);
/* The same map out of a JSON object: one loader for both. Numbers become text that reads back to
 * the same bits; all lines are 1. NASC_CONFIG: no object, repeated key, deeper than 16. */
struct cJSON;
enum nasc_status yaml_from_json(const char *file, const struct cJSON *json, struct arena *a,
				struct yaml_doc *out, struct nasc_err *err);
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key); /* NULL: absent */

/* One value without a file around it: text that begins with [ { " or ' is YAML,
 * anything else stands for itself (">= 4"). All its lines are 0. */
enum nasc_status yaml_value(const char *text, struct arena *a, struct yaml_node **out,
			    struct nasc_err *err);

/* Set @path ("strategy.population") to yaml_value(@value), making maps on the
 * way: `--set key=value`. The line of what it makes is 0, messages say "--set". NASC_USAGE: not
 * a path or not UTF-8; NASC_CONFIG: not YAML. */
enum nasc_status yaml_set(struct yaml_doc *doc, struct arena *a, const char *path,
			  const char *value, struct nasc_err *err);

/* ---- rows --------------------------------------------------------------- */

/* The one of @names (NULL-terminated) that @name is a likely misspelling of: for
 * "did you mean". NULL: none is near. */
const char *cfg_nearest(const char *name, const char *const *names);

enum cfg_type {
	CFG_BOOL,    /* bool */
	CFG_INT,     /* int64_t */
	CFG_U64,     /* uint64_t */
	CFG_REAL,    /* double, in SI; `dim` says which units the text may carry */
	CFG_CHOICE,  /* int64_t: index into `choices` */
	CFG_STRING,  /* const char *, in the arena; "" when empty */
	CFG_RANGE,   /* struct cfg_range: `[lo, hi]` or one number */
	CFG_INTS,    /* struct cfg_ints: list of different integers, or one */
	CFG_LIST,    /* struct cfg_ints: integers in the order given, or none */
	CFG_CHOICES, /* uint64_t bit mask: list of names from `choices`, or one */
	CFG_STRINGS, /* struct cfg_strings */
};
struct cfg_range {
	int64_t lo, hi; /* min <= lo <= hi <= max */
};
#define CFG_INTS_MAX 32
struct cfg_ints {
	size_t n;		 /* CFG_INTS: at least 1 */
	int64_t v[CFG_INTS_MAX]; /* CFG_INTS: ascending, all different */
};
struct cfg_strings {
	size_t n;
	const char **v; /* in the arena */
};

struct cfg_field {
	const char *key;
	enum cfg_type type;
	size_t offset;
	const char *def;	    /* YAML text; NULL: the key must be given */
	double min, max;	    /* inclusive, for numbers; for lists: of each item */
	const char *const *choices; /* CFG_CHOICE, CFG_CHOICES; NULL-terminated */
	enum unit_dim dim;	    /* CFG_REAL */
	const char *unit, *help;    /* unit in words: "individuals" */
	bool unscored;		    /* no candidate's score depends on it, as on a time limit */
};

/* offsetof that does not compile when member m of S is not of type T. */
#define CFG_AT(S, m, T) (offsetof(S, m) + 0 * sizeof((T *)0 == &((S *)0)->m))

#define CFG_BOOL_FIELD(S, m, d, h)                                                                 \
	{                                                                                          \
#m, CFG_BOOL, CFG_AT(S, m, bool), d, 0, 0, NULL, UNIT_NONE, "", h, false           \
	}
#define CFG_INT_FIELD(S, m, d, lo, hi, u, h)                                                       \
	{                                                                                          \
#m, CFG_INT, CFG_AT(S, m, int64_t), d, lo, hi, NULL, UNIT_NONE, u, h, false        \
	}
#define CFG_U64_FIELD(S, m, d, h)                                                                  \
	{                                                                                          \
#m, CFG_U64, CFG_AT(S, m, uint64_t), d, 0, 0, NULL, UNIT_NONE, "", h, false        \
	}
#define CFG_REAL_FIELD(S, m, d, lo, hi, dim, u, h)                                                 \
	{                                                                                          \
#m, CFG_REAL, CFG_AT(S, m, double), d, lo, hi, NULL, dim, u, h, false              \
	}
#define CFG_UNSCORED_REAL_FIELD(S, m, d, lo, hi, dim, u, h)                                        \
	{                                                                                          \
#m, CFG_REAL, CFG_AT(S, m, double), d, lo, hi, NULL, dim, u, h, true               \
	}
#define CFG_CHOICE_FIELD(S, m, d, names, h)                                                        \
	{                                                                                          \
#m, CFG_CHOICE, CFG_AT(S, m, int64_t), d, 0, 0, names, UNIT_NONE, "", h, false     \
	}
#define CFG_STRING_FIELD(S, m, d, h)                                                               \
	{                                                                                          \
#m, CFG_STRING, CFG_AT(S, m, const char *), d, 0, 0, NULL, UNIT_NONE, "", h, false \
	}
#define CFG_RANGE_FIELD(S, m, d, lo, hi, u, h)                                                     \
	{                                                                                          \
#m, CFG_RANGE, CFG_AT(S, m, struct cfg_range), d, lo, hi, NULL, UNIT_NONE, u, h,   \
			false                                                                      \
	}
#define CFG_INTS_FIELD(S, m, d, lo, hi, u, h)                                                      \
	{                                                                                          \
#m, CFG_INTS, CFG_AT(S, m, struct cfg_ints), d, lo, hi, NULL, UNIT_NONE, u, h,     \
			false                                                                      \
	}
#define CFG_LIST_FIELD(S, m, d, lo, hi, u, h)                                                      \
	{                                                                                          \
#m, CFG_LIST, CFG_AT(S, m, struct cfg_ints), d, lo, hi, NULL, UNIT_NONE, u, h,     \
			false                                                                      \
	}
#define CFG_CHOICES_FIELD(S, m, d, names, h)                                                       \
	{                                                                                          \
#m, CFG_CHOICES, CFG_AT(S, m, uint64_t), d, 0, 0, names, UNIT_NONE, "", h, false   \
	}
#define CFG_STRINGS_FIELD(S, m, d, h)                                                              \
	{                                                                                          \
#m, CFG_STRINGS, CFG_AT(S, m, struct cfg_strings), d, 0, 0, NULL, UNIT_NONE, "",   \
			h, false                                                                   \
	}
#define CFG_END                                                                                    \
	{                                                                                          \
		.key = NULL                                                                        \
	}

/* Read map @node into @out; keys in @skip (NULL-terminated list, or NULL) belong
 * to somebody else. @node NULL gives the defaults. Unknown, mistyped, missing
 * and out-of-range keys are NASC_CONFIG: "file:line: key: fault; what is right".
 * @out is untouched on failure. */
enum nasc_status cfg_load(const struct cfg_field *rows, const struct yaml_doc *doc,
			  const struct yaml_node *node, const char *const *skip, struct arena *a,
			  void *out, size_t out_size, struct nasc_err *err);

/* All defaults; a row without one keeps zero. Aborts on a row whose default is
 * not legal: that is our fault. */
void cfg_defaults(const struct cfg_field *rows, struct arena *a, void *out, size_t out_size);

/* What is right for a row, for people: "[4, 65536] individuals", "at least 0 s",
 * "one of idx, cifar10", "true or false"; "" where anything is. Returns @buf. */
char *cfg_expects(const struct cfg_field *row, char *buf, size_t n);

/* `population: 64` with the value @in holds, as YAML text that loads to the same
 * unless @n cuts it. */
void cfg_format(const struct cfg_field *row, const void *in, char *buf, size_t n);

/* Commented YAML, one key a line, values from @in (NULL: defaults), @indent
 * blanks before each: what `nasc help` and reference.yaml show. Among the defaults
 * a key that must be given stands as a comment. */
void cfg_print(const struct cfg_field *rows, const void *in, int indent, FILE *fp);

struct json_writer;
/* The same values as members of the JSON object that is open in @w; @scores_only: without the
 * unscored ones. */
void cfg_write_json(const struct cfg_field *rows, const void *in, bool scores_only,
		    struct json_writer *w);
#endif
