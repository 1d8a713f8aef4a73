#include "cmd.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cmd_option *find_option(const struct cmd *c, const char *name, size_t n)
{
	for (const struct cmd_option *o = c->option; o->name; o++)
		if (strlen(o->name) == n && !strncmp(o->name, name, n))
			return o;
	return NULL;
}

enum nasc_status cmd_parse(const struct cmd *c, int argc, char **argv, struct cmd_args *out,
			   struct nasc_err *err)
{
	struct cmd_args a = { .cmd = c, .argc = argc, .argv = argv, .positional = argv };
	static char long_out[] = "--out"; /* the one that has a short name as well */
	char **left = calloc((size_t)argc + 1, sizeof *left), **opts = left;
	int n_opts = 0;
	bool only_names = false;
	enum nasc_status st = NASC_OK;

	if (!left)
		abort();
	for (int i = 0; i < argc && !st; i++) {
		const char *name, *eq;
		const struct cmd_option *o;

		if (!only_names && !strcmp(argv[i], "-o"))
			argv[i] = long_out;
		name = argv[i] + 2;
		if (only_names || strncmp(argv[i], "-", 1) != 0 || !argv[i][1]) {
			argv[a.n++] = argv[i];
			continue;
		}
		if (!strcmp(argv[i], "--")) {
			only_names = true;
			continue;
		}
		eq = strchr(argv[i], '=');
		o = strncmp(argv[i], "--", 2)
			    ? NULL
			    : find_option(c, name, eq ? (size_t)(eq - name) : strlen(name));
		if (!o)
			st = nasc_fail(err, NASC_USAGE, "unknown option '%s', see: nasc help %s",
				       argv[i], c->name);
		else if (o->arg && !eq && i + 1 == argc)
			st = nasc_fail(err, NASC_USAGE, "--%s: %s is missing", o->name, o->arg);
		else if (!o->arg && eq)
			st = nasc_fail(err, NASC_USAGE, "--%s takes no value", o->name);
		else {
			opts[n_opts++] = argv[i];
			if (o->arg && !eq)
				opts[n_opts++] = argv[++i];
		}
	}
	/* Names first, then the options in their order. */
	for (int i = 0; i < n_opts && !st; i++)
		argv[a.n + i] = opts[i];
	a.argc = a.n + n_opts;
	free(left);
	if (st)
		return st;
	if (a.n < c->min_args || a.n > c->max_args)
		return nasc_fail(err, NASC_USAGE, "%s; usage: nasc %s%s%s",
				 a.n < c->min_args ? "an argument is missing"
						   : "too many arguments",
				 c->name, *c->args ? " " : "", c->args);
	*out = a;
	return NASC_OK;
}

/* In the order given; a flag's value is "". */
size_t cmd_values(const struct cmd_args *a, const char *name, const char **list, size_t cap)
{
	size_t n = 0, len = strlen(name);

	for (int i = a->n; i < a->argc; i++) {
		const char *text = a->argv[i] + 2, *eq = strchr(text, '=');
		size_t m = eq ? (size_t)(eq - text) : strlen(text);
		const struct cmd_option *o = find_option(a->cmd, text, m);
		const char *value = !o->arg ? "" : eq ? eq + 1 : a->argv[++i];

		if (m == len && !strncmp(text, name, m) && n < cap)
			list[n++] = value;
	}
	return n;
}

const char *cmd_value(const struct cmd_args *a, const char *name)
{
	const char *list[256];
	size_t n = cmd_values(a, name, list, sizeof list / sizeof *list);

	return n ? list[n - 1] : NULL;
}

bool cmd_flag(const struct cmd_args *a, const char *name)
{
	return cmd_value(a, name) != NULL;
}

enum nasc_status cmd_integer(const struct cmd_args *a, const char *name, long min, long max,
			     long def, long *out, struct nasc_err *err)
{
	const char *text = cmd_value(a, name);
	char *end;
	long v;

	if (!text) {
		*out = def;
		return NASC_OK;
	}
	errno = 0;
	v = strtol(text, &end, 10);
	if (end == text || *end || errno || v < min || v > max)
		return nasc_fail(err, NASC_USAGE, "--%s: '%s' is no integer in [%ld, %ld]", name,
				 text, min, max);
	*out = v;
	return NASC_OK;
}

static enum nasc_status seed_key(const char *text, struct arena *arena, const char **key,
				 struct nasc_err *err)
{
	char *end, *pair;
	size_t n;

	errno = 0;
	(void)strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno)
		return nasc_fail(err, NASC_USAGE, "--seed: '%s' is no integer in [0, %llu]", text,
				 (unsigned long long)UINT64_MAX);
	n = strlen(text) + sizeof "seed=";
	pair = ARENA_NEW(arena, char, n);
	snprintf(pair, n, "seed=%s", text);
	*key = pair;
	return NASC_OK;
}

enum nasc_status cmd_keys(const struct cmd_args *a, struct arena *arena, struct cmd_keys *out,
			  struct nasc_err *err)
{
	const char *seed = cmd_value(a, "seed");

	out->set = ARENA_NEW(arena, const char *, (size_t)a->argc + 1);
	out->n = cmd_values(a, "set", out->set, (size_t)a->argc);
	return seed ? seed_key(seed, arena, &out->set[out->n++], err) : NASC_OK;
}

enum nasc_status cmd_jobs(const struct cmd_args *a, unsigned *out, struct nasc_err *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), jobs;

	if (cmd_integer(a, "jobs", 1, 1024, cpus > 0 ? cpus : 1, &jobs, err))
		return err->code;
	*out = (unsigned)jobs;
	return NASC_OK;
}
