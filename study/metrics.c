/* Parts are opened and their figures named; objectives and bounds are tied to them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"
#include "study.h"

/* Longer ones would cut the keys, the unit with them. */
#define TARGET_NAME_MAX 40

#define F(i)                                                                                       \
	{                                                                                          \
		"f" #i, "f" #i, UNIT_NONE, false, false, "objective " #i " of the problem"         \
	}
static const struct metric problem_metric[SEARCH_MAX_OBJECTIVES] = { F(1), F(2), F(3), F(4),
								     F(5), F(6), F(7), F(8) };
#undef F
static const struct metric nid_metric = {
	"nid", "nid", UNIT_NONE, true, false, "network information density: accuracy per parameter"
};

static const struct metric *among(const struct metric *list, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i].key, key))
			return &list[i];
	return NULL;
}

const struct metric *metric_of_key(const char *key)
{
	const char *dot = strrchr(key, '.');
	const struct metric *m = among(&nid_metric, 1, key);

	key = dot ? dot + 1 : key;
	for (size_t i = 0; !m && costmodel_registry[i]; i++)
		m = among(costmodel_registry[i]->metric, costmodel_registry[i]->n_metrics, key);
	for (size_t i = 0; !m && evaluator_registry[i]; i++)
		m = among(evaluator_registry[i]->metric, evaluator_registry[i]->n_metrics, key);
	return m;
}

static void add_metric(struct study *s, const char *prefix, const struct metric *m,
		       const char *model, const char *provenance, bool dear)
{
	struct study_metric *out = &s->metric[s->n_metrics++];
	const char *dot = *prefix ? "." : "";

	if (s->n_metrics > STUDY_MAX_METRICS)
		abort();
	snprintf(out->key, sizeof out->key, "%s%s%s", prefix, dot, m->key);
	snprintf(out->name, sizeof out->name, "%s%s%s", prefix, dot, m->name);
	out->metric = m;
	out->model = model;
	out->provenance = provenance;
	out->dear = dear;
}

static bool find_metric(const struct study *s, const char *name, size_t *out)
{
	for (size_t i = 0; i < s->n_metrics; i++)
		if (s->metric[i].provenance &&
		    (!strcmp(s->metric[i].key, name) || !strcmp(s->metric[i].name, name))) {
			*out = i;
			return true;
		}
	return false;
}

/* What the evaluator's figure @name is measured only with; NULL: it has no such figure. */
static const char *only_with(const struct study *s, const char *name)
{
	const struct evaluator_ops *e = s->config->evaluator;

	for (size_t i = 0; e && e->only_with && i < e->n_metrics; i++)
		if (!strcmp(e->metric[i].key, name) || !strcmp(e->metric[i].name, name))
			return e->only_with(s->config->evaluator_cfg, i);
	return NULL;
}

static enum nasc_status no_metric(const struct study *s, size_t line, const char *section,
				  const char *name, struct nasc_err *err)
{
	const char *with = only_with(s, name);
	char known[320] = "";

	if (with)
		return config_fail(&s->config->doc, line, err,
				   "%s: evaluator '%s' measures '%s' only with %s", section,
				   s->config->evaluator->name, name, with);
	for (size_t i = 0; i < s->n_metrics; i++) {
		size_t at = strlen(known);

		if (s->metric[i].provenance)
			snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "",
				 s->metric[i].name);
	}
	return config_fail(&s->config->doc, line, err,
			   "%s: no figure is called '%s'; this config has %s", section, name,
			   known);
}

/* ---- models, objectives, bounds ----------------------------------------------- */

static enum nasc_status open_models(struct study *s, struct nasc_err *err)
{
	const struct study_config *c = s->config;
	const struct yaml_node *list = yaml_get(c->doc.root, "targets");

	if (c->targets.n > STUDY_MAX_TARGETS)
		return config_fail(&c->doc, list->line, err,
				   "targets: %zu of them, at most %d are costed", c->targets.n,
				   STUDY_MAX_TARGETS);
	if (costmodel_open(&s->model[0], costmodel_find("size"), s->arena, err))
		return err->code;
	s->n_models = 1;
	for (size_t i = 0; i < c->targets.n; i++, s->n_models++) {
		struct costmodel *m = &s->model[s->n_models];

		if (target_open(m, s->targets_dir, c->targets.v[i], s->arena, err))
			return config_wrap(&c->doc, list->line, err, "targets");
		if (strlen(m->target) > TARGET_NAME_MAX)
			return config_fail(&c->doc, list->line, err,
					   "targets: '%s' is longer than %d letters", m->target,
					   TARGET_NAME_MAX);
		for (size_t j = 1; j < s->n_models; j++)
			if (!strcmp(s->model[j].target, m->target))
				return config_fail(&c->doc, list->line, err,
						   "targets: '%s' given twice", m->target);
	}
	for (size_t i = 0; i < s->n_models; i++) {
		const struct costmodel *m = &s->model[i];

		for (size_t j = 0; j < m->ops->n_metrics; j++)
			add_metric(s, c->targets.n > 1 ? m->target : "", &m->ops->metric[j],
				   m->model, m->ops->provenance(m, j), false);
	}
	return NASC_OK;
}

static void evaluator_metrics(struct study *s)
{
	const struct evaluator_ops *e = s->config->evaluator;
	size_t accuracy;

	if (!e)
		return;
	for (size_t i = 0; i < e->n_metrics; i++)
		if (evaluator_measures(e, s->config->evaluator_cfg, i))
			add_metric(s, "", &e->metric[i], e->name,
				   fidelity_provenance(s, e->provenance), true);
	if (find_metric(s, "accuracy", &accuracy))
		add_metric(s, "", &nid_metric, "size", "derived: accuracy / params", true);
}

static enum nasc_status resolve_objectives(struct study *s, struct nasc_err *err)
{
	const struct study_config *c = s->config;
	const struct yaml_node *list = yaml_get(c->doc.root, "objectives");

	if (c->objectives.n == 0)
		return nasc_fail(err, NASC_CONFIG,
				 "%s: objectives: none given, expected 1 to %d names", c->doc.file,
				 SEARCH_MAX_OBJECTIVES);
	if (c->objectives.n > SEARCH_MAX_OBJECTIVES)
		return config_fail(&c->doc, list->line, err, "objectives: %zu of them, at most %d",
				   c->objectives.n, SEARCH_MAX_OBJECTIVES);
	for (size_t i = 0; i < c->objectives.n; i++) {
		const char *text = c->objectives.v[i];
		int forced = !strncmp(text, "min ", 4) ? -1 : !strncmp(text, "max ", 4) ? 1 : 0;
		const char *name = text + (forced ? 4 : 0);
		size_t m;

		if (!find_metric(s, name, &m))
			return no_metric(s, list->line, "objectives", name, err);
		for (size_t j = 0; j < i; j++)
			if (s->objective[j] == m)
				return config_fail(&c->doc, list->line, err,
						   "objectives: '%s' given twice", text);
		s->objective[i] = m;
		s->maximise[i] = forced ? forced > 0 : s->metric[m].metric->maximise;
	}
	s->n_objectives = c->objectives.n;
	return NASC_OK;
}

/* Where the bounds of a section go. */
struct bounds {
	const char *section;
	struct study_bound *bound;
	size_t *n;
};

static enum nasc_status add_bound(const struct study *s, const struct bounds *to, size_t metric,
				  bool upper, double value, struct nasc_err *err)
{
	struct study_bound *b = &to->bound[*to->n];
	char text[sizeof b->text];

	if (*to->n == STUDY_MAX_BOUNDS)
		return nasc_fail(err, NASC_CONFIG, "%s: %s: more than %d bounds",
				 s->config->doc.file, to->section, STUDY_MAX_BOUNDS);
	++*to->n;
	*b = (struct study_bound){ .metric = metric, .upper = upper, .value = value };
	snprintf(text, sizeof text, "%s %s %.10g", s->metric[metric].key,
		 upper ? "<=" : ">=", value);
	memcpy(b->text, text, sizeof text);
	return NASC_OK;
}

/* "<= 256 KiB" */
static enum nasc_status read_bound(const struct study *s, const struct bounds *to, const char *key,
				   const struct yaml_node *n, size_t metric, struct nasc_err *err)
{
	bool upper;
	double value;

	if (n->kind != YAML_SCALAR ||
	    (strncmp(n->scalar, "<=", 2) != 0 && strncmp(n->scalar, ">=", 2) != 0))
		return config_fail(&s->config->doc, n->line, err,
				   "%s: %s: expected \"<= value\" or \">= value\"%s%s%s",
				   to->section, key, n->kind == YAML_SCALAR ? ", got '" : "",
				   n->kind == YAML_SCALAR ? n->scalar : "",
				   n->kind == YAML_SCALAR ? "'" : "");
	upper = n->scalar[0] == '<';
	if (unit_parse(n->scalar + 2 + strspn(n->scalar + 2, " "), s->metric[metric].metric->dim,
		       &value, err))
		return config_wrap(&s->config->doc, n->line, err, "%s: %s", to->section, key);
	return add_bound(s, to, metric, upper, value, err);
}

static enum nasc_status read_bounds(const struct study *s, const struct bounds *to,
				    const struct yaml_node *map, struct nasc_err *err)
{
	for (size_t i = 0; map && i < map->n; i++) {
		const struct yaml_node *v = map->item[i];
		size_t m;

		if (!find_metric(s, map->key[i], &m))
			return no_metric(s, map->key_line[i], to->section, map->key[i], err);
		if (v->kind == YAML_LIST) {
			for (size_t j = 0; j < v->n; j++)
				if (read_bound(s, to, map->key[i], v->item[j], m, err))
					return err->code;
		} else if (read_bound(s, to, map->key[i], v, m, err)) {
			return err->code;
		}
	}
	return NASC_OK;
}

static enum nasc_status resolve_bounds(struct study *s, struct nasc_err *err)
{
	const struct yaml_node *goal = s->config->goal;
	const struct bounds bounds = { "constraints", s->bound, &s->n_bounds };
	const struct bounds goals = { "goal", s->goal, &s->n_goals };

	if (goal && goal->n == 0)
		return config_fail(
			&s->config->doc, goal->line, err,
			"goal: empty, expected figures with bounds: {params: \"<= 10 k\"}");
	if (read_bounds(s, &bounds, s->config->constraints, err) ||
	    read_bounds(s, &goals, goal, err))
		return err->code;
	for (size_t i = 1, at = s->model[0].ops->n_metrics;
	     s->config->fit_targets && i < s->n_models; at += s->model[i++].ops->n_metrics) {
		struct cost_limit limit[COST_MAX_METRICS];
		const struct costmodel *m = &s->model[i];
		size_t n = m->ops->limits ? m->ops->limits(m, limit) : 0;

		for (size_t j = 0; j < n; j++)
			if (add_bound(s, &bounds, at + limit[j].metric, true, limit[j].max, err))
				return err->code;
	}
	return NASC_OK;
}

/* Models that can choose how a network runs choose within the bounds. */
static void tell_models(struct study *s)
{
	for (size_t i = 0, at = 0; i < s->n_models; at += s->model[i++].ops->n_metrics)
		for (size_t j = 0; j < s->n_bounds; j++) {
			const struct study_bound *b = &s->bound[j];
			double *within = s->model[i].within;
			size_t k = b->metric - at;

			if (b->upper && b->metric >= at && k < s->model[i].ops->n_metrics &&
			    (within[k] == 0 || b->value < within[k]))
				within[k] = b->value;
		}
}

/* The hypervolume's worst corner, in the minimised sense: of several bounds the tightest. */
static enum nasc_status resolve_reference(struct study *s, struct nasc_err *err)
{
	const struct study_config *c = s->config;

	for (size_t i = 0; i < s->n_objectives; i++) {
		s->reference[i] = NAN;
		for (size_t j = 0; j < s->n_bounds; j++)
			if (s->bound[j].metric == s->objective[i] &&
			    s->bound[j].upper == !s->maximise[i])
				s->reference[i] =
					fmin(s->reference[i], s->maximise[i] ? -s->bound[j].value
									     : s->bound[j].value);
	}
	for (size_t i = 0; c->reference && i < c->reference->n; i++) {
		const struct yaml_node *v = c->reference->item[i];
		const char *key = c->reference->key[i];
		size_t m, o;
		double value;

		if (!find_metric(s, key, &m))
			return no_metric(s, c->reference->key_line[i], "reference", key, err);
		for (o = 0; o < s->n_objectives && s->objective[o] != m; o++)
			;
		if (o == s->n_objectives)
			return config_fail(&c->doc, c->reference->key_line[i], err,
					   "reference: '%s' is no objective", key);
		if (v->kind != YAML_SCALAR)
			return config_fail(&c->doc, v->line, err,
					   "reference: %s: expected one value", key);
		if (unit_parse(v->scalar, s->metric[m].metric->dim, &value, err))
			return config_wrap(&c->doc, v->line, err, "reference: %s", key);
		s->reference[o] = s->maximise[o] ? -value : value;
	}
	return NASC_OK;
}

/* ---- open ---------------------------------------------------------------------- */

static enum nasc_status open_problem(struct study *s, struct nasc_err *err)
{
	const struct study_config *c = s->config;
	const struct search_problem *p = c->problem;
	size_t m =
		c->problem_cfg.objectives ? (size_t)c->problem_cfg.objectives : p->min_objectives;
	size_t vars = problem_vars(c), line = yaml_get(c->doc.root, "problem")->line;

	if (m < p->min_objectives || m > p->max_objectives)
		return config_fail(&c->doc, line, err,
				   "problem: %s has %zu to %zu objectives, not %zu", p->name,
				   p->min_objectives, p->max_objectives, m);
	if (vars < p->min_vars || vars < m)
		return config_fail(&c->doc, line, err,
				   "problem: %zu variables are too few, %s has at least %zu", vars,
				   p->name, p->min_vars > m ? p->min_vars : m);
	if (vars > p->max_vars)
		return config_fail(&c->doc, line, err,
				   "problem: %zu variables are too many, %s has at most %zu", vars,
				   p->name, p->max_vars);
	for (size_t i = 0; i < m; i++) {
		add_metric(s, "", &problem_metric[i], p->name, p->source, false);
		s->objective[i] = i;
		s->reference[i] =
			c->problem_cfg.reference != 0 ? c->problem_cfg.reference : p->reference[i];
	}
	s->n_objectives = m;
	return NASC_OK;
}

static enum nasc_status open_images(struct study *s, bool with_data, struct nasc_err *err)
{
	const struct study_config *c = s->config;

	if (!c->has_data) {
		s->input = (struct net_shape){ (uint32_t)c->input.height, (uint32_t)c->input.width,
					       (uint32_t)c->input.channels };
		s->classes = (uint32_t)c->input.classes;
		return NASC_OK;
	}
	if (with_data && c->evaluator && c->evaluator->needs_data) {
		if (dataset_open_train(&c->data, c->seed, s->arena, &s->train, &s->validation, err))
			return config_wrap(&c->doc, yaml_get(c->doc.root, "data")->line, err,
					   "data");
		s->input = s->train.shape;
		s->classes = s->train.classes;
		return NASC_OK;
	}
	if (dataset_peek(&c->data, &s->input, &s->classes, err))
		return config_wrap(&c->doc, yaml_get(c->doc.root, "data")->line, err, "data");
	return NASC_OK;
}

enum nasc_status study_check(const struct study_config *c, struct nasc_err *err)
{
	const struct yaml_node *train = yaml_get(c->doc.root, "train");

	if (c->evaluator && c->evaluator->check && c->evaluator->check(c->evaluator_cfg, err))
		return config_wrap(&c->doc, yaml_get(c->doc.root, "evaluator")->line, err,
				   "evaluator");
	if (train && train_check(&c->train, err))
		return config_wrap(&c->doc, train->line, err, "train");
	return NASC_OK;
}

/* What proxies are ranked among: struct evaluator, sample. */
static void sample_network(const void *space, uint64_t seed, uint64_t i, struct arena *a,
			   struct network *out)
{
	const struct space *s = space;
	uint32_t *gene = ARENA_NEW(a, uint32_t, s->n_genes);
	struct rng rng;

	rng_stream(&rng, seed, RNG_REFERENCE, i);
	space_sample(s, &rng, gene);
	space_decode(s, gene, a, out);
}

static enum nasc_status open_evaluator(struct study *s, struct nasc_err *err)
{
	const struct evaluator_ops *ops = s->config->evaluator;

	if (!ops)
		return NASC_OK;
	s->evaluator = (struct evaluator){ .ops = ops,
					   .cfg = s->config->evaluator_cfg,
					   .train = ops->needs_data ? &s->train : NULL,
					   .validation = ops->needs_data ? &s->validation : NULL,
					   .arena = s->arena,
					   .sample = sample_network,
					   .space = &s->space };
	if (ops->open && ops->open(&s->evaluator, err)) {
		s->evaluator.ops = NULL;
		return config_wrap(&s->config->doc,
				   yaml_get(s->config->doc.root, "evaluator")->line, err,
				   "evaluator");
	}
	return NASC_OK;
}

/* What a target's file lacks numbers for is unknown for every network: better
 * said now than of each candidate. */
static enum nasc_status check_known(struct study *s, struct nasc_err *err)
{
	double value[STUDY_MAX_METRICS];
	const struct study_metric *unknown;
	const char *section;
	struct nasc_err ignored = { 0 };
	struct arena a = { 0 };
	struct network net;
	uint32_t *gene = ARENA_NEW(&a, uint32_t, s->space.n_genes);
	uint64_t bounds;
	bool fails;

	s->space.ops->canonical(&s->space, gene);
	space_decode(&s->space, gene, &a, &net);
	fails = study_costs(s, &net, &a, value, &bounds, &ignored) != NASC_OK;
	arena_free(&a);
	if (fails)
		return NASC_OK;
	unknown = study_unknown(s, value, false);
	section = s->config->constraints ? "constraints" : "targets";
	for (size_t i = 0; i < s->n_objectives; i++)
		if (unknown == &s->metric[s->objective[i]])
			section = "objectives";
	for (size_t i = 0; !unknown && i < s->n_goals; i++)
		if (isnan(value[s->goal[i].metric]) && !s->metric[s->goal[i].metric].dear) {
			unknown = &s->metric[s->goal[i].metric];
			section = "goal";
		}
	if (!unknown)
		return NASC_OK;
	return config_fail(&s->config->doc, yaml_get(s->config->doc.root, section)->line, err,
			   "%s: the target's file has no numbers for '%s'", section, unknown->name);
}

enum nasc_status study_open(struct study *s, const struct study_config *c, const char *targets_dir,
			    bool with_data, struct arena *a, struct nasc_err *err)
{
	*s = (struct study){ .config = c, .arena = a, .targets_dir = targets_dir };
	if (c->problem)
		return open_problem(s, err);
	if (open_models(s, err))
		return err->code;
	if ((with_data && study_check(c, err)) || fidelity_open(s, err))
		return err->code;
	evaluator_metrics(s);
	if (resolve_objectives(s, err) || screen_check(s, err) || resolve_bounds(s, err) ||
	    resolve_reference(s, err) || open_images(s, with_data, err))
		return err->code;
	tell_models(s);
	if (space_open(&s->space, c->space, c->space_cfg, s->input, s->classes, a, err))
		return config_wrap(&c->doc, yaml_get(c->doc.root, "space")->line, err, "space");
	if (check_known(s, err))
		return err->code;
	return with_data ? open_evaluator(s, err) : NASC_OK;
}

void study_close(struct study *s)
{
	if (s->evaluator.ops && s->evaluator.ops->close)
		s->evaluator.ops->close(&s->evaluator);
	s->evaluator.ops = NULL;
}
