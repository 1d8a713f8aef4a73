#include <cjson/cJSON.h>

#include "cmd.h"
#include "json.h"
#include "study.h"

static enum nasc_status pick_row(const char *path, const char *id, struct results *r,
				 const struct result **row, struct nasc_err *err)
{
	const struct result *found;

	if (!id)
		return nasc_fail(err, NASC_USAGE,
				 "%s: which network? give --id N, --id knee or --id OBJECTIVE",
				 path);
	results_knee(r);
	found = results_find(r, id);
	if (!found)
		return nasc_fail(err, NASC_USAGE,
				 "%s: no row with id '%s' and no such objective, see: nasc pareto "
				 "%s",
				 path, id, path);
	if (cJSON_IsNull(found->network))
		return nasc_fail(err, NASC_USAGE, "%s: a test problem has no networks", path);
	*row = found;
	return NASC_OK;
}

static enum nasc_status from_results(const char *path, const char *id, struct arena *arena,
				     struct network *net, struct results *r,
				     const struct result **row, struct nasc_err *err)
{
	enum nasc_status st;

	if (results_load(&path, 1, arena, r, err))
		return err->code;
	st = pick_row(path, id, r, row, err);
	if (!st && (st = network_from_json((*row)->network, arena, net, err)) != NASC_OK)
		nasc_wrap(err, "%s: id %s: network", path, id);
	if (st)
		results_close(r);
	return st;
}

static enum nasc_status read_network(const char *path, const char *id, struct arena *arena,
				     struct network *net, struct results *r,
				     const struct result **row, struct nasc_err *err)
{
	struct cJSON *root;
	enum nasc_status st = NASC_OK;
	bool of_results;

	if (!id && network_is_foreign(path))
		return network_load(path, arena, net, err);
	if (json_load(path, JSON_MAX_BYTES, &root, err))
		return err->code;
	of_results = id || results_are(root);
	if (!of_results && !network_is_json(root))
		st = nasc_fail(err, NASC_DATA,
			       "%s: neither a network nor a results file of nasc search", path);
	else if (!of_results && (st = network_from_json(root, arena, net, err)) != NASC_OK)
		nasc_wrap(err, "%s", path);
	cJSON_Delete(root);
	return of_results ? from_results(path, id, arena, net, r, row, err) : st;
}

enum nasc_status cmd_network(const struct cmd_args *a, struct arena *arena, struct network *net,
			     struct results *r, const struct result **row, struct nasc_err *err)
{
	struct network read;

	*r = (struct results){ 0 };
	*row = NULL;
	if (read_network(a->positional[0], cmd_value(a, "id"), arena, &read, r, row, err))
		return err->code;
	network_fold_pads(&read, arena, net);
	return NASC_OK;
}
