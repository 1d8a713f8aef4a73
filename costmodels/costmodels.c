#include "costmodels.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deployed.h"
#include "models.h"

const struct costmodel_ops *const costmodel_registry[] = { &costmodel_size, &costmodel_memory,
							   &costmodel_mcu, &costmodel_fpga, NULL };

#define MODEL_KEY   "model"
#define SUMMARY_KEY "summary"
#define EXTENSION   ".yaml"

static const char *const common_keys[] = { MODEL_KEY, SUMMARY_KEY, NULL };

const struct costmodel_ops *costmodel_find(const char *name)
{
	for (size_t i = 0; costmodel_registry[i]; i++)
		if (strcmp(costmodel_registry[i]->name, name) == 0)
			return costmodel_registry[i];
	return NULL;
}

double size_nid(double accuracy, double params)
{
	return accuracy / params;
}

/* ---- as deployed -------------------------------------------------------------- */

static void number_rows(struct deployed *d, const uint32_t *source, size_t n, struct arena *a)
{
	d->row = ARENA_NEW(a, uint32_t, d->net.n_ops);
	for (size_t i = n; i-- > 0;)
		d->row[source[i]] = (uint32_t)i;
}

void deployed_init(struct deployed *d, const struct network *net, struct arena *a)
{
	uint32_t *source = ARENA_NEW(a, uint32_t, net->n_ops);

	network_fold(net, a, &d->net, source);
	number_rows(d, source, net->n_ops, a);
}

void deployed_as_firmware(struct deployed *d, const struct network *net, struct arena *a)
{
	uint32_t *index = ARENA_NEW(a, uint32_t, net->n_ops);
	struct network used;

	network_used(net, a, &used, index);
	deployed_init(d, &used, a);
	for (size_t i = 0; i < d->net.n_ops; i++)
		d->row[i] = index[d->row[i]];
}

void deployed_with_pads(struct deployed *d, const struct network *net, struct arena *a)
{
	uint32_t *source = ARENA_NEW(a, uint32_t, net->n_ops);

	network_fold_layers(net, a, &d->net, source);
	number_rows(d, source, net->n_ops, a);
}

uint64_t deployed_constants(const struct network *net, size_t op, uint32_t weight_bits)
{
	if (net->op[op].kind == NET_BATCH_NORM)
		return 8 * (uint64_t)net->op[op].out.c;
	return (network_op_weights(net, op) * weight_bits + 7) / 8 + 4 * network_op_biases(net, op);
}

/* ---- opening ------------------------------------------------------------------ */

enum nasc_status costmodel_open(struct costmodel *m, const struct costmodel_ops *ops,
				struct arena *arena, struct nasc_err *err)
{
	struct costmodel made = { .ops = ops, .target = "", .model = ops->name, .arena = arena };

	if (ops->fields)
		return nasc_fail(err, NASC_CONFIG,
				 "cost model '%s' needs a target: a file that says 'model: %s'",
				 ops->name, ops->name);
	made.summary = ops->summary;
	if (ops->open && ops->open(&made, err))
		return err->code;
	*m = made;
	return NASC_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool has_extension(const char *name)
{
	size_t n = strlen(name), e = strlen(EXTENSION);

	return n > e && strcmp(name + n - e, EXTENSION) == 0;
}

enum nasc_status target_list(const char *dir, struct arena *arena, const char ***names, size_t *n,
			     struct nasc_err *err)
{
	const char **list = ARENA_NEW(arena, const char *, 1);
	size_t count = 0, cap = 1;
	const struct dirent *entry;
	DIR *d = opendir(dir);

	if (!d)
		return nasc_fail(err, NASC_DATA, "cannot read the directory of targets '%s': %s",
				 dir, strerror(errno));
	while ((entry = readdir(d))) {
		char *name;

		if (entry->d_name[0] == '.' || !has_extension(entry->d_name))
			continue;
		if (count + 1 >= cap) {
			const char **larger = ARENA_NEW(arena, const char *, 4 * cap + 32);

			memcpy(larger, list, count * sizeof *list);
			list = larger;
			cap = 4 * cap + 32;
		}
		name = arena_strdup(arena, entry->d_name);
		name[strlen(name) - strlen(EXTENSION)] = '\0';
		list[count++] = name;
	}
	closedir(d);
	qsort(list, count, sizeof *list, by_name);
	*names = list;
	*n = count;
	return NASC_OK;
}

static void append(char *text, size_t size, const char *word)
{
	size_t at = strlen(text);

	snprintf(text + at, size - at, "%s%s", at ? ", " : "", word);
}

static enum nasc_status unknown_target(const char *dir, const char *name, const char *const *list,
				       struct nasc_err *err)
{
	const char *near = *list ? cfg_nearest(name, list) : NULL;
	char known[360] = "";

	if (!*list)
		return nasc_fail(err, NASC_CONFIG,
				 "unknown target '%.60s', there are none in %.200s", name, dir);
	if (near)
		return nasc_fail(err, NASC_CONFIG, "unknown target '%.60s', did you mean '%.60s'?",
				 name, near);
	for (size_t i = 0; list[i]; i++)
		append(known, sizeof known, list[i]);
	return nasc_fail(err, NASC_CONFIG, "unknown target '%.60s', known are %s", name, known);
}

/* The text of a key that every target has. */
static enum nasc_status common_key(const struct yaml_doc *doc, const char *key, const char **text,
				   size_t *line, struct nasc_err *err)
{
	const struct yaml_node *node = yaml_get(doc->root, key);

	if (!node)
		return nasc_fail(err, NASC_CONFIG, "%s: key '%s' is missing", doc->file, key);
	if (node->kind != YAML_SCALAR || !*node->scalar)
		return nasc_fail(err, NASC_CONFIG, "%s:%zu: %s: it must be one text", doc->file,
				 node->line, key);
	*text = node->scalar;
	*line = node->line;
	return NASC_OK;
}

/* NULL: there is no such model, or it takes no target. */
static const struct costmodel_ops *target_model(const struct yaml_doc *doc, struct nasc_err *err)
{
	const struct costmodel_ops *ops;
	const char *name;
	char known[160] = "";
	size_t line;

	if (common_key(doc, MODEL_KEY, &name, &line, err))
		return NULL;
	ops = costmodel_find(name);
	if (ops && ops->fields)
		return ops;
	for (size_t i = 0; costmodel_registry[i]; i++)
		if (costmodel_registry[i]->fields)
			append(known, sizeof known, costmodel_registry[i]->name);
	nasc_fail(err, NASC_CONFIG, "%s:%zu: %s: '%.60s' is no cost model of targets, %s are",
		  doc->file, line, MODEL_KEY, name, known);
	return NULL;
}

/* "boards/mine.yaml" -> "mine". */
static const char *base_name(const char *path, struct arena *arena)
{
	const char *slash = strrchr(path, '/');
	char *name = arena_strdup(arena, slash ? slash + 1 : path);

	if (has_extension(name))
		name[strlen(name) - strlen(EXTENSION)] = '\0';
	return name;
}

static bool is_path(const char *name)
{
	return strchr(name, '/') || has_extension(name);
}

static enum nasc_status target_find(const char *dir, const char *name, struct arena *arena,
				    const char **path, struct nasc_err *err)
{
	const char **list;
	char *made;
	size_t n, size;

	if (target_list(dir, arena, &list, &n, err))
		return err->code;
	if (!n || !bsearch(&name, list, n, sizeof *list, by_name))
		return unknown_target(dir, name, list, err);
	size = strlen(dir) + strlen(name) + sizeof "/" EXTENSION;
	made = ARENA_NEW(arena, char, size);
	snprintf(made, size, "%s/%s%s", dir, name, EXTENSION);
	*path = made;
	return NASC_OK;
}

enum nasc_status target_open(struct costmodel *m, const char *dir, const char *name,
			     struct arena *arena, struct nasc_err *err)
{
	struct costmodel made = { .arena = arena };
	struct yaml_doc doc;
	const char *path = name;
	size_t line;

	if ((!is_path(name) && target_find(dir, name, arena, &path, err)) ||
	    yaml_load(path, arena, &doc, err))
		return err->code;
	made.ops = target_model(&doc, err);
	if (!made.ops || common_key(&doc, SUMMARY_KEY, &made.summary, &line, err))
		return err->code;
	made.cfg = arena_alloc(arena, 1, made.ops->cfg_size, alignof(max_align_t));
	if (cfg_load(made.ops->fields, &doc, doc.root, common_keys, arena, made.cfg,
		     made.ops->cfg_size, err))
		return err->code;
	made.target = base_name(path, arena);
	made.model = made.ops->name;
	if (made.ops->open && made.ops->open(&made, err))
		return nasc_wrap(err, "%s", path);
	*m = made;
	return NASC_OK;
}
