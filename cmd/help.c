#include <string.h>

#include "cmd.h"
#include "study.h"

void cmd_usage(const struct cmd *c, FILE *fp)
{
	fprintf(fp, "usage: nasc %s%s%s\n\n%s.\n", c->name, *c->args ? " " : "", c->args,
		c->summary);
	if (c->option->name)
		fputc('\n', fp);
	for (const struct cmd_option *o = c->option; o->name; o++) {
		char head[64];

		snprintf(head, sizeof head, "--%s%s%s", o->name, o->arg ? " " : "",
			 o->arg ? o->arg : "");
		fprintf(fp, "  %-22s %s\n", head, o->help);
	}
	if (c->details)
		fprintf(fp, "\n%s", c->details);
}

void cmd_list(FILE *fp)
{
	fputs("usage: nasc VERB ...\n\n"
	      "Finds neural networks that fit a given chip.\n\n",
	      fp);
	for (size_t i = 0; commands[i]; i++)
		fprintf(fp, "  %-8s %-49s %s\n", commands[i]->name, commands[i]->args,
			commands[i]->summary);
	fputs("\nnasc help VERB tells more, nasc help config prints every key of a config,\n"
	      "nasc help target every key of a target file.\n\n"
	      "Exit codes: 0 done, 1 failed, 2 bad command line, 3 bad config, 4 bad input file,\n"
	      "5 nothing met the constraints, 130 interrupted (state is saved).\n",
	      fp);
}

/* Keys of a target file, a table for each cost model that takes one. */
static void print_target_keys(void)
{
	for (size_t i = 0; costmodel_registry[i]; i++) {
		const struct costmodel_ops *m = costmodel_registry[i];

		if (!m->fields)
			continue;
		printf("# %s (%s)\nmodel: %s\nsummary: one line about the board or device\n",
		       m->summary, m->source, m->name);
		cfg_print(m->fields, NULL, 0, stdout);
		putchar('\n');
	}
}

static enum nasc_status run(const struct cmd_args *a, struct nasc_err *err)
{
	const struct cmd *c;

	if (a->n == 0) {
		cmd_list(stdout);
		return NASC_OK;
	}
	if (!strcmp(a->positional[0], "config")) {
		config_reference(stdout);
		return NASC_OK;
	}
	if (!strcmp(a->positional[0], "target")) {
		print_target_keys();
		return NASC_OK;
	}
	c = cmd_find(a->positional[0]);
	if (!c)
		return nasc_fail(err, NASC_USAGE, "no verb '%s', see: nasc help", a->positional[0]);
	cmd_usage(c, stdout);
	return NASC_OK;
}

static const struct cmd_option options[] = { { .name = NULL } };
const struct cmd cmd_help = {
	.name = "help",
	.args = "[VERB | config | target]",
	.summary = "say what a verb does, or print the keys of a config or target file",
	.max_args = 1,
	.option = options,
	.run = run
};
