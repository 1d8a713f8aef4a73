/* nasc: the table of verbs. Nothing outside cmd/ prints. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

const struct cmd *const commands[] = { &cmd_check,  &cmd_cost,	 &cmd_export, &cmd_help,
				       &cmd_pareto, &cmd_search, &cmd_space,  &cmd_targets,
				       &cmd_train,  NULL };

const struct cmd *cmd_find(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static int fail(const struct nasc_err *err)
{
	fprintf(stderr, "nasc: %s\n", err->msg);
	return nasc_exit_code(err->code);
}

/* A full disk behind standard output is an error like any other. */
static int finish(int code)
{
	if (fflush(stdout) || ferror(stdout)) {
		fputs("nasc: standard output could not be written\n", stderr);
		return code ? code : nasc_exit_code(NASC_FAIL);
	}
	return code;
}

/* A standard stream that is closed would lend its number to the next file that is opened, and
 * messages would be written into that: the journal, say. Writing to these fails as it should. */
static void hold_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct nasc_err err = { 0 };
	struct cmd_args args = { 0 };
	const struct cmd *c;

	hold_standard_streams();
	signal(SIGXFSZ,
	       SIG_IGN); /* a limit on file sizes is an error of the write, as a full disk */
	if (argc < 2) {
		cmd_list(stderr);
		return nasc_exit_code(NASC_USAGE);
	}
	if (!strcmp(argv[1], "--version")) {
		puts("nasc " NASC_VERSION);
		return finish(0);
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		cmd_help.run(&args, &err);
		return finish(0);
	}
	c = cmd_find(argv[1]);
	if (!c) {
		nasc_fail(&err, NASC_USAGE, "unknown verb '%s', see: nasc help", argv[1]);
		return fail(&err);
	}
	for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help")) {
			cmd_usage(c, stdout);
			return finish(0);
		}
	if (cmd_parse(c, argc - 2, argv + 2, &args, &err) || c->run(&args, &err))
		return finish(fail(&err));
	return finish(0);
}
