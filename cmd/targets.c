#include "cmd.h"
#include "study.h"

static enum nasc_status list_targets(struct arena *arena, struct nasc_err *err)
{
	struct table *t;
	const char **names;
	size_t n;

	if (target_list(targets_dir(), arena, &names, &n, err))
		return err->code;
	t = table_new(3);
	table_cell(t, false, "target");
	table_cell(t, false, "model");
	table_cell(t, false, "what it is");
	for (size_t i = 0; i < n; i++) {
		struct costmodel m;

		if (target_open(&m, targets_dir(), names[i], arena, err)) {
			table_free(t);
			return err->code;
		}
		table_cell(t, false, m.target);
		table_cell(t, false, m.model);
		table_cell(t, false, m.summary);
	}
	table_print(t, stdout);
	table_free(t);
	return NASC_OK;
}

static enum nasc_status run(const struct cmd_args *a, struct nasc_err *err)
{
	struct arena arena = { 0 };
	enum nasc_status st;

	(void)a;
	st = list_targets(&arena, err);
	arena_free(&arena);
	return st;
}

static const struct cmd_option options[] = { { .name = NULL } };
const struct cmd cmd_targets = { .name = "targets",
				 .args = "",
				 .summary =
					 "list the boards and devices that networks are costed for",
				 .details = "A target is one YAML file. To add a board, copy the "
					    "nearest file, change its numbers\n"
					    "and name it by path: targets: [boards/mine.yaml].\n",
				 .option = options,
				 .run = run };
