/* Config file to struct study_config and back. Each section is one row of
 * `sections` or one part out of a registry; nothing else knows their names. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "private.h"

#define CONFIG_VERSION 1

struct top_cfg {
	int64_t version;
	uint64_t seed;
	bool fit_targets;
	struct cfg_strings targets, objectives;
};
static const struct cfg_field top_fields[] = {
	CFG_INT_FIELD(struct top_cfg, version, "1", 1, CONFIG_VERSION, "", "format of this file"),
	CFG_U64_FIELD(struct top_cfg, seed, "1", "seed of the whole run"),
	CFG_STRINGS_FIELD(struct top_cfg, targets, "[]",
			  "boards and devices to cost for: names of `nasc targets`, or paths"),
	CFG_BOOL_FIELD(struct top_cfg, fit_targets, "true",
		       "a candidate must fit the memories and resources of every target"),
	CFG_STRINGS_FIELD(
		struct top_cfg, objectives, "[]",
		"figures to trade against each other: a name, or 'min name' / 'max name'"),
	CFG_END
};
static const struct cfg_field problem_fields[] = {
	CFG_INT_FIELD(struct problem_cfg, variables, "0", 0, 100000, "variables",
		      "length of x; 0: the problem's own"),
	CFG_INT_FIELD(struct problem_cfg, objectives, "0", 0, SEARCH_MAX_OBJECTIVES, "objectives",
		      "where the problem leaves it open; 0: the problem's own"),
	CFG_REAL_FIELD(struct problem_cfg, reference, "0", -1e9, 1e9, UNIT_NONE, "",
		       "reference of the hypervolume in every objective; 0: the problem's own"),
	CFG_END
};
static const struct cfg_field input_fields[] = {
	CFG_INT_FIELD(struct input_cfg, height, "28", 1, 4096, "pixels", "of the input"),
	CFG_INT_FIELD(struct input_cfg, width, "28", 1, 4096, "pixels", "of the input"),
	CFG_INT_FIELD(struct input_cfg, channels, "1", 1, 4096, "channels", "of the input"),
	CFG_INT_FIELD(struct input_cfg, classes, "10", 2, 65536, "classes", "of the output"),
	CFG_END
};
static const struct cfg_field stop_fields[] = {
	CFG_INT_FIELD(struct stop_cfg, evaluations, "1000", 1, 1000000000, "candidates",
		      "stop after this many candidates; repeats that are remembered do not count"),
	CFG_INT_FIELD(struct stop_cfg, generations, "0", 0, 1000000000, "generations",
		      "stop after these, each as long as the strategy's first; 0: no limit"),
	CFG_INT_FIELD(struct stop_cfg, trained, "0", 0, 1000000000, "candidates",
		      "stop after this many that reached the evaluator; 0: no limit"),
	CFG_REAL_FIELD(struct stop_cfg, time_s, "0", 0, 3.6e7, UNIT_SECOND, "",
		       "begin no candidate after this wall time of one call; 0: no limit"),
	CFG_REAL_FIELD(struct stop_cfg, hypervolume, "0", 0, 1e300, UNIT_NONE, "",
		       "stop when the hypervolume, taken once a generation, has reached this; 0: "
		       "no limit; "
		       "with 5 and more objectives not known of a large front"),
	CFG_INT_FIELD(struct stop_cfg, stalled, "0", 0, 1000000000, "generations",
		      "stop when the hypervolume gained too little over these; 0: no limit"),
	CFG_REAL_FIELD(struct stop_cfg, stalled_gain, "1e-4", 0, 1, UNIT_NONE, "",
		       "what is too little, as a part of the hypervolume"),
	CFG_END
};
static const struct cfg_field failures_fields[] = {
	CFG_INT_FIELD(struct failures_cfg, retries, "0", 0, 100, "attempts",
		      "how often an evaluation that failed is asked again before it counts"),
	CFG_INT_FIELD(struct failures_cfg, enough, "10", 1, 1000000000, "candidates",
		      "stop when this many reached the evaluator and every one failed"),
	CFG_END
};
static const struct cfg_field memory_fields[] = {
	CFG_INT_FIELD(struct memory_cfg, front, "10000", 10, 10000000, "networks",
		      "of the front; of more those in the most crowded places are dropped"),
	CFG_INT_FIELD(struct memory_cfg, seen, "262144", 1, 100000000, "candidates",
		      "remembered, so as not to score them twice, a round at least; the oldest are "
		      "forgotten"),
	CFG_INT_FIELD(struct memory_cfg, journal, "0", 0, 1000000000, "rows",
		      "of the journal; the oldest are dropped and asked again; 0: keep all"),
	CFG_END
};

/* Sections that are one fixed table of rows. */
static const struct section {
	const char *key, *help;
	const struct cfg_field *fields;
	size_t offset, size;
	bool scores; /* the dear scores depend on it */
} sections[] = {
	{ "data", "images to train on", data_fields, offsetof(struct study_config, data),
	  sizeof(struct data_cfg), true },
	{ "input", "shape of the input where there are no images", input_fields,
	  offsetof(struct study_config, input), sizeof(struct input_cfg), true },
	{ "stop", "whichever comes first", stop_fields, offsetof(struct study_config, stop),
	  sizeof(struct stop_cfg), false },
	{ "failures", "of the evaluator", failures_fields, offsetof(struct study_config, failures),
	  sizeof(struct failures_cfg), false },
	{ "memory", "what a run keeps at most", memory_fields,
	  offsetof(struct study_config, memory), sizeof(struct memory_cfg), false },
	{ "surrogate", "a model of the evaluator that decides what is worth evaluating",
	  surrogate_fields, offsetof(struct study_config, surrogate), sizeof(struct surrogate_cfg),
	  false },
	{ "fidelity", "training in parts, of which the better go on (successive halving)",
	  fidelity_fields, offsetof(struct study_config, fidelity), sizeof(struct fidelity_cfg),
	  true },
	{ "train", "recipe of `nasc train`, for the network that is chosen in the end",
	  train_fields, offsetof(struct study_config, train), sizeof(struct train_cfg), false },
};
#define N_SECTIONS (sizeof sections / sizeof *sections)

static const char *const top_skip[] = { "problem",     "space",	    "data",	"input",
					"evaluator",   "strategy",  "stop",	"train",
					"constraints", "reference", "goal",	"failures",
					"memory",      "surrogate", "fidelity", NULL };
static const char *const type_key[] = { "type", NULL };

enum nasc_status config_at(const struct yaml_doc *doc, size_t line, struct nasc_err *err)
{
	return line ? nasc_wrap(err, "%s:%zu", doc->file, line) : nasc_wrap(err, "--set");
}

static enum nasc_status section_map(const struct yaml_doc *doc, const char *key,
				    const struct yaml_node **out, struct nasc_err *err)
{
	const struct yaml_node *n = yaml_get(doc->root, key);

	if (n && n->kind != YAML_MAP)
		return config_fail(doc, n->line, err, "%s: expected a map of keys", key);
	*out = n;
	return NASC_OK;
}

/* Sections whose `type:` names a part: one view over the registries. */
enum part_kind { PART_SPACE, PART_PROBLEM, PART_EVALUATOR, PART_STRATEGY };
static const char *const part_key[] = { "space", "problem", "evaluator", "strategy" };

struct part {
	const char *name, *summary, *source;
	const struct cfg_field *fields;
	size_t cfg_size;
	const void *ops;
};

/* Row @i of a registry; false behind the last. */
static bool part_at(enum part_kind kind, size_t i, struct part *out)
{
	const struct space_ops *space;
	const struct search_problem *problem;
	const struct evaluator_ops *evaluator;
	const struct search_ops *strategy;

	switch (kind) {
	case PART_SPACE:
		if ((space = space_registry[i]) != NULL)
			*out = (struct part){ space->name,   space->summary,  space->source,
					      space->fields, space->cfg_size, space };
		return space != NULL;
	case PART_PROBLEM:
		if ((problem = search_problems[i]) != NULL)
			*out = (struct part){
				problem->name,	problem->summary,	    problem->source,
				problem_fields, sizeof(struct problem_cfg), problem
			};
		return problem != NULL;
	case PART_EVALUATOR:
		if ((evaluator = evaluator_registry[i]) != NULL)
			*out = (struct part){ evaluator->name,	   evaluator->summary,
					      evaluator->source,   evaluator->fields,
					      evaluator->cfg_size, evaluator };
		return evaluator != NULL;
	case PART_STRATEGY:
		if ((strategy = search_registry[i]) != NULL)
			*out = (struct part){ strategy->name,	  strategy->summary,
					      strategy->source,	  strategy->fields,
					      strategy->cfg_size, strategy };
		return strategy != NULL;
	}
	abort();
}

/* @fault: what is wrong with the type. */
static enum nasc_status bad_type(const struct yaml_doc *doc, size_t line, enum part_kind kind,
				 const char *fault, struct nasc_err *err)
{
	char known[256] = "";
	struct part p;

	for (size_t i = 0; part_at(kind, i, &p); i++) {
		size_t at = strlen(known);

		snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", p.name);
	}
	return config_fail(doc, line, err, "%s: %s, known are %s", part_key[kind], fault, known);
}

/* *ops stays NULL where the section is absent. A strategy without type is the default one. */
static enum nasc_status load_part(const struct yaml_doc *doc, enum part_kind kind, struct arena *a,
				  const void **ops, void **cfg, struct nasc_err *err)
{
	const struct yaml_node *node = NULL, *type;
	struct part p = { 0 };
	char fault[128];
	size_t i = 0;

	*ops = NULL;
	if (section_map(doc, part_key[kind], &node, err))
		return err->code;
	if (!node)
		return NASC_OK;
	type = yaml_get(node, "type");
	if (type ? type->kind != YAML_SCALAR : kind != PART_STRATEGY)
		return bad_type(doc, type ? type->line : node->line, kind,
				type ? "'type' must be one name" : "'type' is missing", err);
	while (part_at(kind, i, &p) && type && strcmp(p.name, type->scalar) != 0)
		i++;
	if (type && !part_at(kind, i, &p)) {
		snprintf(fault, sizeof fault, "unknown type '%.100s'", type->scalar);
		return bad_type(doc, type->line, kind, fault, err);
	}
	*cfg = arena_alloc(a, 1, p.cfg_size, 16);
	if (cfg_load(p.fields, doc, node, type_key, a, *cfg, p.cfg_size, err))
		return err->code;
	*ops = p.ops;
	return NASC_OK;
}

static enum nasc_status load_parts(struct study_config *c, struct arena *a, struct nasc_err *err)
{
	const void *space, *problem, *evaluator, *strategy;
	void *problem_cfg;

	if (load_part(&c->doc, PART_SPACE, a, &space, &c->space_cfg, err) ||
	    load_part(&c->doc, PART_PROBLEM, a, &problem, &problem_cfg, err) ||
	    load_part(&c->doc, PART_EVALUATOR, a, &evaluator, &c->evaluator_cfg, err) ||
	    load_part(&c->doc, PART_STRATEGY, a, &strategy, &c->strategy_cfg, err))
		return err->code;
	c->space = space;
	c->evaluator = evaluator;
	c->problem = problem;
	if (problem)
		c->problem_cfg = *(struct problem_cfg *)problem_cfg;
	c->strategy = strategy ? strategy : search_registry[0];
	if (!strategy) {
		c->strategy_cfg = arena_alloc(a, 1, c->strategy->cfg_size, 16);
		cfg_defaults(c->strategy->fields, a, c->strategy_cfg, c->strategy->cfg_size);
	}
	return NASC_OK;
}

/* What would never act. The resolved config has these at 0. */
static enum nasc_status check_unevaluated(const struct study_config *c, struct nasc_err *err)
{
	const struct {
		const char *section, *key;
		int64_t value;
	} idle[] = { { "stop", "trained", c->stop.trained },
		     { "failures", "retries", c->failures.retries },
		     { "memory", "journal", c->memory.journal } };

	for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
		if (idle[i].value) {
			const struct yaml_node *section = yaml_get(c->doc.root, idle[i].section);

			return config_fail(&c->doc, yaml_get(section, idle[i].key)->line, err,
					   "%s.%s: there is no 'evaluator' for it to act on: "
					   "add one, or leave it out",
					   idle[i].section, idle[i].key);
		}
	return NASC_OK;
}

/* A rate of moves where there are none. */
static enum nasc_status check_moves(const struct study_config *c, struct nasc_err *err)
{
	const struct yaml_node *strategy = yaml_get(c->doc.root, "strategy");
	const struct yaml_node *rate = strategy ? yaml_get(strategy, "move_rate") : NULL;

	if (!rate || strtod(rate->scalar, NULL) == 0 || (c->space && c->space->move))
		return NASC_OK;
	return config_fail(&c->doc, rate->line, err,
			   "strategy.move_rate: %s '%s' has no moves for it to make: leave it out",
			   c->space ? "space" : "problem",
			   c->space ? c->space->name : c->problem->name);
}

/* What no single row can know. */
static enum nasc_status check_whole(const struct study_config *c, struct nasc_err *err)
{
	static const char *const of_space[] = { "evaluator",   "data",	      "input",
						"targets",     "fit_targets", "objectives",
						"constraints", "reference",   "goal",
						"failures",    "memory",      "surrogate",
						"fidelity" };
	const char *file = c->doc.file;

	if (!c->problem == !c->space)
		return nasc_fail(err, NASC_CONFIG,
				 c->space ? "%s: has both 'space' and 'problem': keep one"
					  : "%s: no 'space' to search in: add space: {type: "
					    "densenet} (or a 'problem')",
				 file);
	for (size_t i = 0; c->problem && i < sizeof of_space / sizeof *of_space; i++)
		if (yaml_get(c->doc.root, of_space[i]))
			return config_fail(&c->doc, yaml_get(c->doc.root, of_space[i])->line, err,
					   "%s: belongs to a space, a problem has its own",
					   of_space[i]);
	if (c->evaluator && c->evaluator->needs_data && !c->has_data)
		return config_fail(
			&c->doc, yaml_get(c->doc.root, "evaluator")->line, err,
			"evaluator: '%s' needs images: give 'data' a format and directory",
			c->evaluator->name);
	if ((!c->evaluator && check_unevaluated(c, err)) || check_moves(c, err))
		return err->code;
	if (c->has_data && yaml_get(c->doc.root, "input"))
		return config_fail(&c->doc, yaml_get(c->doc.root, "input")->line, err,
				   "input: 'data' already gives the shape");
	return NASC_OK;
}

static enum nasc_status config_read(struct study_config *c, struct arena *a, struct nasc_err *err)
{
	struct top_cfg top;

	if (cfg_load(top_fields, &c->doc, c->doc.root, top_skip, a, &top, sizeof top, err))
		return err->code;
	c->seed = top.seed;
	c->fit_targets = top.fit_targets;
	c->targets = top.targets;
	c->objectives = top.objectives;
	c->has_data = yaml_get(c->doc.root, "data") != NULL;
	for (size_t i = 0; i < N_SECTIONS; i++) {
		const struct section *s = &sections[i];
		const struct yaml_node *node;

		if (section_map(&c->doc, s->key, &node, err))
			return err->code;
		if (s->fields == data_fields && !node)
			continue;
		if (cfg_load(s->fields, &c->doc, node, NULL, a, (char *)c + s->offset, s->size,
			     err))
			return err->code;
	}
	if (section_map(&c->doc, "constraints", &c->constraints, err) ||
	    section_map(&c->doc, "reference", &c->reference, err) ||
	    section_map(&c->doc, "goal", &c->goal, err))
		return err->code;
	if (load_parts(c, a, err))
		return err->code;
	return check_whole(c, err);
}

static enum nasc_status set_keys(struct yaml_doc *doc, const char *const *set, size_t n_set,
				 struct arena *a, struct nasc_err *err)
{
	for (size_t i = 0; i < n_set; i++) {
		const char *eq = strchr(set[i], '=');
		char *key;

		if (!eq || eq == set[i])
			return nasc_fail(err, NASC_USAGE,
					 "--set %s: expected key=value, as strategy.population=64",
					 set[i]);
		key = arena_strdup(a, set[i]);
		key[eq - set[i]] = '\0';
		if (yaml_set(doc, a, key, eq + 1, err))
			return err->code;
	}
	return NASC_OK;
}

enum nasc_status config_load(const char *path, const char *const *set, size_t n_set,
			     struct arena *a, struct study_config *out, struct nasc_err *err)
{
	struct study_config c = { 0 };

	if (yaml_load(path, a, &c.doc, err))
		return err->code;
	if (yaml_get(c.doc.root, "front") && yaml_get(c.doc.root, "config"))
		return nasc_fail(err, NASC_CONFIG, "%s: a results file of nasc search, no config",
				 path);
	if (set_keys(&c.doc, set, n_set, a, err) || config_read(&c, a, err))
		return err->code;
	*out = c;
	return NASC_OK;
}

enum nasc_status config_from_json(const char *file, const struct cJSON *json,
				  const char *const *set, size_t n_set, struct arena *a,
				  struct study_config *out, struct nasc_err *err)
{
	struct study_config c = { 0 };
	size_t n = strlen(file) + sizeof ": config";
	char *name = ARENA_NEW(a, char, n);

	snprintf(name, n, "%s: config", file);
	if (yaml_from_json(name, json, a, &c.doc, err) || set_keys(&c.doc, set, n_set, a, err) ||
	    config_read(&c, a, err))
		return err->code;
	*out = c;
	return NASC_OK;
}

/* ---- writing ---------------------------------------------------------------- */

static void write_strings(struct json_writer *w, const char *key, const struct cfg_strings *s)
{
	json_list(w, key);
	for (size_t i = 0; i < s->n; i++)
		json_string(w, NULL, s->v[i]);
	json_end(w);
}

static void write_part(struct json_writer *w, const char *key, const char *type,
		       const struct cfg_field *fields, const void *cfg, bool scores_only)
{
	json_object(w, key);
	json_string(w, "type", type);
	cfg_write_json(fields, cfg, scores_only, w);
	json_end(w);
}

/* Maps of scalars and lists of scalars, as the user wrote them. */
static void write_node(struct json_writer *w, const char *key, const struct yaml_node *n)
{
	if (n->kind == YAML_SCALAR) {
		json_string(w, key, n->scalar);
		return;
	}
	if (n->kind == YAML_LIST)
		json_list(w, key);
	else
		json_object(w, key);
	for (size_t i = 0; i < n->n; i++)
		write_node(w, n->kind == YAML_LIST ? NULL : n->key[i], n->item[i]);
	json_end(w);
}

void config_write_seed(struct json_writer *w, uint64_t seed)
{
	char text[24];

	snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
	if (seed <= (uint64_t)1 << 53)
		json_u64(w, "seed", seed);
	else
		json_string(w, "seed", text);
}

void config_write(const struct study_config *c, struct json_writer *w, const char *key,
		  enum config_extent extent)
{
	bool scores_only = extent < CONFIG_WHOLE;

	json_object(w, key);
	json_int(w, "version", CONFIG_VERSION);
	config_write_seed(w, c->seed);
	if (c->problem)
		write_part(w, "problem", c->problem->name, problem_fields, &c->problem_cfg,
			   scores_only);
	if (c->space)
		write_part(w, "space", c->space->name, c->space->fields, c->space_cfg, scores_only);
	if (c->evaluator)
		write_part(w, "evaluator", c->evaluator->name, c->evaluator->fields,
			   c->evaluator_cfg, scores_only);
	for (size_t i = 0; i < N_SECTIONS; i++) {
		const struct section *s = &sections[i];
		bool mine = s->fields == data_fields	? c->has_data
			    : s->fields == input_fields ? c->space && !c->has_data
			    : s->fields == train_fields ? c->has_data
			    : s->fields == failures_fields || s->fields == memory_fields
				    ? c->space != NULL
			    : s->fields == fidelity_fields
				    ? c->space && (c->fidelity.epochs.n || !scores_only)
				    : true;

		if (s->fields == surrogate_fields)
			mine = extent > CONFIG_SCORES && c->surrogate.type != SURROGATE_NONE;
		else if (scores_only && !s->scores)
			mine = false;
		if (!mine)
			continue;
		json_object(w, s->key);
		cfg_write_json(s->fields, (const char *)c + s->offset, scores_only, w);
		json_end(w);
	}
	if (extent > CONFIG_SCORES) {
		write_part(w, "strategy", c->strategy->name, c->strategy->fields, c->strategy_cfg,
			   scores_only);
		if (c->space) {
			write_strings(w, "targets", &c->targets);
			json_bool(w, "fit_targets", c->fit_targets);
			write_strings(w, "objectives", &c->objectives);
		}
		if (c->constraints)
			write_node(w, "constraints", c->constraints);
	}
	if (extent == CONFIG_ORDER && c->strategy->plans) {
		json_int(w, "evaluations", c->stop.evaluations);
		json_int(w, "generations", c->stop.generations);
	}
	if (extent == CONFIG_WHOLE && c->goal)
		write_node(w, "goal", c->goal);
	if (extent == CONFIG_WHOLE && c->reference)
		write_node(w, "reference", c->reference);
	json_end(w);
}

char *config_identity(const struct study_config *c, enum config_extent extent, struct arena *a)
{
	char *text = NULL, *copy;
	size_t n = 0;
	FILE *mem = open_memstream(&text, &n);
	struct json_writer w;

	if (!mem)
		abort();
	json_init(&w, mem, true);
	config_write(c, &w, NULL, extent);
	fclose(mem);
	copy = arena_strdup(a, text);
	free(text);
	return copy;
}

/* ---- reference.yaml ------------------------------------------------------------ */

/* What @print writes, each line behind @prefix. */
static void print_prefixed(FILE *fp, const char *prefix, const struct cfg_field *fields)
{
	char *text = NULL;
	size_t n = 0;
	FILE *mem = open_memstream(&text, &n);

	if (!mem)
		abort();
	cfg_print(fields, NULL, 2, mem);
	fclose(mem);
	for (char *line = text, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		fprintf(fp, "%s%.*s\n", prefix, (int)(end - line), line);
	}
	free(text);
}

/* The first part stands as it is, the others as comments. */
static void print_parts(FILE *fp, enum part_kind kind, bool active)
{
	struct part p;

	for (size_t i = 0; part_at(kind, i, &p); i++) {
		const char *prefix = active && i == 0 ? "" : "# ";

		fprintf(fp, "%s  type: %s  # %s (%s)\n", prefix, p.name, p.summary, p.source);
		print_prefixed(fp, prefix, p.fields);
	}
}

void config_reference(FILE *fp)
{
	fputs("# Every key of a config at its default, written by `nasc help config`. `space` and\n"
	      "# `objectives`, or `problem`, must be given. As comments stand the other parts of "
	      "a\n"
	      "# section with a `type`, and sections that ask for a choice.\n\n",
	      fp);
	cfg_print(top_fields, NULL, 0, fp);
	fputs("\n# Bounds with units: \"<= 256 KiB\" or \">= 0.9\" (in quotes), or a list of "
	      "both.\n"
	      "# constraints:\n#   params: \"<= 60 k\"\n"
	      "\n# Stop at a candidate that keeps all of these, written like constraints.\n"
	      "# goal:\n#   params: \"<= 10 k\"\n"
	      "\n# Hypervolume's worst corner by objective; otherwise the bound, otherwise the "
	      "worst\n"
	      "# of the first generation.\n# reference:\n#   error: 0.5\n\nspace:\n",
	      fp);
	print_parts(fp, PART_SPACE, true);
	fputs("\n# Instead of a space: a test problem with a known front.\n# problem:\n", fp);
	print_parts(fp, PART_PROBLEM, false);
	fputs("\n# Without an evaluator a search goes by costs alone.\n# evaluator:\n", fp);
	print_parts(fp, PART_EVALUATOR, false);
	fputs("\nstrategy:\n", fp);
	print_parts(fp, PART_STRATEGY, true);
	for (size_t i = 0; i < N_SECTIONS; i++) {
		bool comment = sections[i].fields == data_fields; /* `input` stands for it */

		fprintf(fp, "\n# %s\n%s%s:\n", sections[i].help, comment ? "# " : "",
			sections[i].key);
		print_prefixed(fp, comment ? "# " : "", sections[i].fields);
	}
}
