#ifndef NASC_CMD_H
#define NASC_CMD_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "arena.h"
#include "err.h"

/* A verb is one file with one `const struct cmd` and one row in commands[] of
 * main.c; parsing, -h, `nasc help` and the tests walk the rows. */
struct cmd_option {
	const char *name; /* "out" for --out */
	const char *arg;  /* "FILE"; NULL: a flag */
	const char *help;
};
struct cmd_args {
	const struct cmd *cmd;
	int n, argc;
	char **positional, **argv;
};
struct cmd {
	const char *name, *args, *summary;
	const char *details; /* more text of `nasc help VERB`, or NULL */
	int min_args, max_args;
	const struct cmd_option *option; /* ends with a NULL name */
	enum nasc_status (*run)(const struct cmd_args *a, struct nasc_err *err);
};

extern const struct cmd cmd_check, cmd_cost, cmd_export, cmd_help, cmd_pareto, cmd_search,
	cmd_space, cmd_targets, cmd_train;
extern const struct cmd *const commands[]; /* sorted, NULL-terminated */
const struct cmd *cmd_find(const char *name);
void cmd_usage(const struct cmd *c, FILE *fp);
void cmd_list(FILE *fp); /* usage of the whole: all verbs */

/* ---- options.c ------------------------------------------------------------- */
/* Check argv against the verb's rows and gather positional arguments to the
 * front. NASC_USAGE names what is wrong. */
enum nasc_status cmd_parse(const struct cmd *c, int argc, char **argv, struct cmd_args *out,
			   struct nasc_err *err);
bool cmd_flag(const struct cmd_args *a, const char *name);
const char *cmd_value(const struct cmd_args *a, const char *name); /* the last one; NULL: none */
/* All values of a repeatable option into list[cap]; how many. */
size_t cmd_values(const struct cmd_args *a, const char *name, const char **list, size_t cap);
/* Integer option within [min, max], @def where absent. */
enum nasc_status cmd_integer(const struct cmd_args *a, const char *name, long min, long max,
			     long def, long *out, struct nasc_err *err);
/* Keys of a config from the command line: --set, and --seed as "seed=N". */
struct cmd_keys {
	const char **set;
	size_t n;
};
enum nasc_status cmd_keys(const struct cmd_args *a, struct arena *arena, struct cmd_keys *out,
			  struct nasc_err *err);
#define CMD_SET_OPTION                                                                             \
	{                                                                                          \
		"set", "KEY=VALUE", "change one key of the config, as train.epochs=3; repeatable"  \
	}
/* Worker threads: --jobs, or one per processor. */
enum nasc_status cmd_jobs(const struct cmd_args *a, unsigned *out, struct nasc_err *err);

/* ---- network.c --------------------------------------------------------------- */
struct network;
struct result;
struct results;
/* The network of the one argument: of a network file, or of row --id of a results file. For that
 * *r is the file, which the caller closes, and *row its row; else empty and NULL. NASC_USAGE: no
 * such row. NASC_DATA: neither kind of file. */
enum nasc_status cmd_network(const struct cmd_args *a, struct arena *arena, struct network *net,
			     struct results *r, const struct result **row, struct nasc_err *err);

/* ---- terminal.c -------------------------------------------------------------- */
/* Text table: columns as wide as their widest cell, numbers to the right. */
#define TABLE_MAX_COLUMNS 40
struct table;
struct table *table_new(size_t columns);
void table_cell(struct table *t, bool right, const char *text); /* row by row */
void table_print(const struct table *t, FILE *fp);		/* first row: heads */
void table_free(struct table *t);

/* One line on standard error that rewrites itself; where that is no terminal, lines at least a
 * minute apart, the first after one. */
bool progress_rewrites(void);
void progress_line(const char *text);
void progress_end(void);

/* True once the user asked to stop (SIGINT, SIGTERM); a second signal ends the process. */
const atomic_bool *cancel_on_signal(void);

/* Where the target files of this installation are. */
const char *targets_dir(void);
#endif
