#include "job.h"

#include "file.h"

enum nasc_status cmd_find_job(const struct cmd_args *a, struct arena *arena, struct cmd_job *job,
			      struct nasc_err *err)
{
	const char *path = a->positional[0], *config = cmd_value(a, "config");
	const struct result *row;
	struct cmd_keys keys;
	enum nasc_status st;

	if (cmd_keys(a, arena, &keys, err) ||
	    cmd_network(a, arena, &job->net, &job->results, &row, err))
		return err->code;
	job->what = path;
	job->id = row ? (uint64_t)row->id : 0;
	if (row) {
		char *number = ARENA_NEW(arena, char, 24);

		snprintf(number, 24, "%lld", (long long)row->id);
		job->what = number;
	}
	if (config)
		st = config_load(config, keys.set, keys.n, arena, &job->config, err);
	else if (row)
		st = config_from_json(path, job->results.config, keys.set, keys.n, arena,
				      &job->config, err);
	else
		st = nasc_fail(err, NASC_USAGE,
			       "%s: a network alone: give --config FILE for its data and recipe",
			       path);
	if (!st && !job->config.has_data)
		st = nasc_fail(err, NASC_CONFIG, "%s: no 'data' section with images",
			       job->config.doc.file);
	if (st)
		results_close(&job->results);
	return st;
}

enum nasc_status cmd_probe_file(const char *name, const char *path, struct nasc_err *err)
{
	struct file_out f = { 0 };

	if (path && file_begin(&f, path, err))
		return nasc_wrap(err, "--%s", name);
	file_abandon(&f);
	return NASC_OK;
}
