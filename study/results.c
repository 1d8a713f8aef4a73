/* results.json out and in: docs/results.schema.json. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "json.h"
#include "private.h"

#define RESULTS_VERSION 1

/* ---- writing ------------------------------------------------------------------- */

void result_score_write(const struct result_score *s, struct json_writer *w)
{
	json_object(w, s->key);
	json_real(w, "value", s->value);
	json_string(w, "unit", s->unit);
	json_string(w, "model", s->model);
	json_string(w, "provenance", s->provenance);
	if (s->upper_bound)
		json_bool(w, "upper_bound", true);
	json_end(w);
}

void study_write_scores(const struct study *s, const double *value, uint64_t bounds,
			struct json_writer *w)
{
	json_object(w, "scores");
	for (size_t i = 0; i < s->n_metrics; i++) {
		const struct study_metric *m = &s->metric[i];
		struct result_score score = { .key = m->key,
					      .unit = unit_symbol(m->metric->dim),
					      .model = m->model,
					      .provenance = m->provenance,
					      .value = value[i],
					      .upper_bound = bounds >> i & 1 };

		if (!isnan(value[i]))
			result_score_write(&score, w);
	}
	json_end(w);
}

static void write_objectives(const struct study *s, const struct run_record *r,
			     struct json_writer *w)
{
	json_list(w, "objectives");
	for (size_t i = 0; i < s->n_objectives; i++) {
		json_object(w, NULL);
		json_string(w, "name", s->metric[s->objective[i]].key);
		json_string(w, "direction", s->maximise[i] ? "max" : "min");
		if (r->reference)
			json_real(w, "reference",
				  s->maximise[i] ? -r->reference[i] : r->reference[i]);
		json_real(w, "scale", r->hv_scale[i]);
		json_end(w);
	}
	json_end(w);
	json_list(w, "constraints");
	for (size_t i = 0; i < s->n_bounds; i++)
		json_string(w, NULL, s->bound[i].text);
	json_end(w);
}

static void write_candidate(const struct study *s, const struct candidate *c, struct arena *a,
			    struct json_writer *w)
{
	struct network net;
	uint32_t *gene;

	json_object(w, NULL);
	json_u64(w, "id", c->id);
	if (s->config->problem) {
		json_list(w, "genes");
		for (size_t i = 0; i < study_vars(s); i++)
			json_real(w, NULL, c->x[i]);
		json_end(w);
		json_null(w, "network");
	} else {
		gene = ARENA_NEW(a, uint32_t, s->space.n_genes);
		for (size_t i = 0; i < s->space.n_genes; i++)
			gene[i] = (uint32_t)c->x[i];
		space_write_genes(&s->space, gene, w, "genes");
		space_decode(&s->space, gene, a, &net);
		network_write_json(&net, w, "network");
	}
	study_write_scores(s, c->value, c->bounds, w);
	json_end(w);
}

static void write_surrogate(const struct study *s, const struct surrogate_report *r,
			    struct json_writer *w)
{
	json_object(w, "surrogate");
	json_u64(w, "fits", r->fits);
	json_u64(w, "proposed", r->proposed);
	json_u64(w, "evaluated", r->evaluated);
	json_u64(w, "compared", r->pairs);
	json_object(w, "rank_correlation");
	for (size_t i = 0; i < r->n; i++)
		if (!isnan(r->rank_correlation[i]))
			json_real(w, s->metric[s->objective[r->objective[i]]].key,
				  r->rank_correlation[i]);
	json_end(w);
	json_end(w);
}

static void write_rungs(const struct study *s, const struct study_summary *sum,
			struct json_writer *w)
{
	json_list(w, "rungs");
	for (size_t i = 0; i <= s->rungs.n; i++) {
		json_object(w, NULL);
		json_real(w, "epochs", fidelity_epochs(s, i));
		if (s->rungs.image_size[i] && i < s->rungs.n)
			json_int(w, "image_size", s->rungs.image_size[i]);
		json_u64(w, "reached", sum->reached[i]);
		json_end(w);
	}
	json_end(w);
}

static void write_all(const struct study *s, const struct run_record *r, struct arena *a,
		      struct json_writer *w)
{
	json_object(w, NULL);
	json_int(w, "version", RESULTS_VERSION);
	json_string(w, "nasc", NASC_VERSION);
	config_write(s->config, w, "config", CONFIG_WHOLE);
	config_write_seed(w, s->config->seed);
	json_string(w, "stop_reason", r->summary->stop_reason);
	json_u64(w, "evaluations", r->summary->evaluations);
	json_u64(w, "duplicates", r->summary->duplicates);
	json_u64(w, "trained", r->summary->trained);
	if (s->rungs.n)
		write_rungs(s, r->summary, w);
	write_objectives(s, r, w);
	json_list(w, "hypervolume");
	for (size_t i = 0; i < r->n_hv; i++) {
		json_object(w, NULL);
		json_u64(w, "evaluations", r->hv[i].evaluations);
		json_real(w, "value", r->hv[i].value);
		json_end(w);
	}
	json_end(w);
	json_list(w, "front");
	for (size_t i = 0; i < r->summary->front; i++) {
		struct arena_mark mark = arena_mark(a);

		write_candidate(s, r->front[i], a, w);
		arena_rewind(a, mark);
	}
	json_end(w);
	json_object(w, "failed");
	json_u64(w, "count", r->summary->failed);
	json_list(w, "first");
	for (size_t i = 0; i < r->n_failed_listed; i++) {
		json_object(w, NULL);
		json_u64(w, "id", r->failed[i]->id);
		json_string(w, "why", r->failed[i]->why);
		json_end(w);
	}
	json_end(w);
	json_end(w);
	if (r->summary->surrogate)
		write_surrogate(s, r->summary->surrogate, w);
	json_object(w, "timing");
	json_real(w, "wall_s", r->summary->wall_s);
	json_real(w, "evaluator_s", r->evaluator_s);
	json_u64(w, "resumed", r->summary->resumed);
	json_end(w);
	json_end(w);
}

enum nasc_status results_write(const struct study *s, const struct run_record *r, const char *path,
			       struct nasc_err *err)
{
	struct file_out f = { 0 };
	struct arena a = { 0 };
	struct json_writer w;

	if (file_begin(&f, path, err))
		return err->code;
	json_init(&w, f.fp, false);
	write_all(s, r, &a, &w);
	arena_free(&a);
	return file_commit(&f, err);
}

/* ---- reading -------------------------------------------------------------------- */

static enum nasc_status read_objectives(const struct cJSON *root, struct results *r,
					struct nasc_err *err)
{
	const struct cJSON *list, *o;

	if (json_get_list(root, "objectives", &list, err))
		return err->code;
	cJSON_ArrayForEach(o, list)
	{
		struct result_objective *out = &r->objective[r->n_objectives];
		const char *direction;

		if (r->n_objectives == SEARCH_MAX_OBJECTIVES)
			return nasc_fail(err, NASC_DATA, "objectives: more than %d",
					 SEARCH_MAX_OBJECTIVES);
		if (json_get_string(o, "name", &out->key, err) ||
		    json_get_string(o, "direction", &direction, err))
			return nasc_wrap(err, "objectives");
		if (*out->key == '-') /* to --sort it would be another's, the other way round */
			return nasc_fail(err, NASC_DATA, "objectives: name: '%s' begins with '-'",
					 out->key);
		if (strcmp(direction, "min") != 0 && strcmp(direction, "max") != 0)
			return nasc_fail(err, NASC_DATA,
					 "objectives: direction: '%s' is neither 'min' nor 'max'",
					 direction);
		out->maximise = direction[1] == 'a';
		r->n_objectives++;
	}
	if (r->n_objectives == 0)
		return nasc_fail(err, NASC_DATA, "objectives: empty");
	return NASC_OK;
}

static enum nasc_status read_scores(const struct cJSON *entry, struct arena *a, struct result *row,
				    struct nasc_err *err)
{
	const struct cJSON *scores, *s;

	if (json_get(entry, "scores", &scores, err))
		return err->code;
	if (!cJSON_IsObject(scores))
		return nasc_fail(err, NASC_DATA, "scores: expected an object");
	row->score = ARENA_NEW(a, struct result_score, (size_t)cJSON_GetArraySize(scores));
	cJSON_ArrayForEach(s, scores)
	{
		struct result_score *out = &row->score[row->n_scores++];

		out->key = s->string;
		if (json_get_real(s, "value", &out->value, err) ||
		    json_get_string(s, "unit", &out->unit, err) ||
		    json_get_string(s, "model", &out->model, err) ||
		    json_get_string(s, "provenance", &out->provenance, err))
			return nasc_wrap(err, "scores: %s", s->string);
		out->upper_bound = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(s, "upper_bound"));
	}
	return NASC_OK;
}

/* A network that stands here can be trained and exported: nothing else gets in. */
static enum nasc_status check_network(const struct cJSON *json, struct nasc_err *err)
{
	struct arena a = { 0 };
	struct network net;
	enum nasc_status st = cJSON_IsNull(json) ? NASC_OK : network_from_json(json, &a, &net, err);

	arena_free(&a);
	return st ? nasc_wrap(err, "network") : NASC_OK;
}

/* Names to numbers and words, or a list of numbers: no deeper. */
static enum nasc_status check_genes(const struct cJSON *json, struct nasc_err *err)
{
	const struct cJSON *gene;

	if (!cJSON_IsObject(json) && !cJSON_IsArray(json))
		return nasc_fail(err, NASC_DATA, "genes: expected an object or a list");
	cJSON_ArrayForEach(gene, json)
	{
		if (!cJSON_IsNumber(gene) && !cJSON_IsString(gene))
			return nasc_fail(err, NASC_DATA, "genes: expected numbers and names");
	}
	return NASC_OK;
}

static enum nasc_status read_row(const struct results *r, const struct cJSON *entry,
				 const char *file, struct arena *a, struct result *row,
				 struct nasc_err *err)
{
	row->file = file;
	if (json_get_int(entry, "id", 0, (int64_t)1 << 53, &row->id, err) ||
	    read_scores(entry, a, row, err) || json_get(entry, "network", &row->network, err) ||
	    json_get(entry, "genes", &row->genes, err) || check_network(row->network, err) ||
	    check_genes(row->genes, err))
		return err->code;
	for (size_t i = 0; i < r->n_objectives; i++) {
		const struct result_score *s = result_score(row, r->objective[i].key);

		if (!s)
			return nasc_fail(err, NASC_DATA, "scores: objective '%s' is missing",
					 r->objective[i].key);
		row->f[i] = r->objective[i].maximise ? -s->value : s->value;
	}
	return NASC_OK;
}

bool results_are(const struct cJSON *root)
{
	/* What `nasc pareto --json` prints has a front as well, but no config. */
	return cJSON_IsObject(root) && cJSON_GetObjectItemCaseSensitive(root, "config") &&
	       cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(root, "front"));
}

enum nasc_status results_in_the_way(const char *path, struct nasc_err *err)
{
	struct nasc_err why = { 0 };
	struct cJSON *root;
	bool results;

	if (json_load(path, JSON_MAX_BYTES, &root, &why))
		return nasc_fail(err, NASC_USAGE, "%s; give another --out", why.msg);
	results = results_are(root);
	cJSON_Delete(root);
	return nasc_fail(err, NASC_USAGE,
			 results ? "%s: results of an earlier run; go on with --resume, or give "
				   "another --out"
				 : "%s: not a results file of nasc search; give another --out",
			 path);
}

static enum nasc_status load_one(const char *path, struct arena *a, struct results *r, size_t *cap,
				 struct nasc_err *err)
{
	const struct cJSON *front, *entry;
	struct cJSON *root;
	int64_t version, evaluations = 0, index = 0;

	if (json_load(path, JSON_MAX_BYTES, &root, err))
		return err->code;
	r->tree[r->n_files++] = root;
	if (!results_are(root))
		return nasc_fail(err, NASC_DATA, "%s: not a results file of nasc search", path);
	if (json_get_int(root, "version", 1, RESULTS_VERSION, &version, err) ||
	    (r->n_files == 1 && read_objectives(root, r, err)) ||
	    (r->n_files == 1 && json_get(root, "config", &r->config, err)) ||
	    (cJSON_GetObjectItemCaseSensitive(root, "evaluations") &&
	     json_get_int(root, "evaluations", 0, (int64_t)1 << 53, &evaluations, err)) ||
	    json_get_list(root, "front", &front, err))
		return nasc_wrap(err, "%s", path);
	if (r->n_files == 1)
		r->evaluations = (uint64_t)evaluations;
	cJSON_ArrayForEach(entry, front)
	{
		struct result row = { 0 };

		if (read_row(r, entry, path, a, &row, err))
			return nasc_wrap(err, "%s: front[%lld]", path, (long long)index);
		if (r->n == *cap) {
			struct result *more = ARENA_NEW(a, struct result, *cap ? 2 * *cap : 64);

			if (r->n)
				memcpy(more, r->row, r->n * sizeof *more);
			r->row = more;
			*cap = *cap ? 2 * *cap : 64;
		}
		r->row[r->n++] = row;
		index++;
	}
	return NASC_OK;
}

enum nasc_status results_load(const char *const *path, size_t n, struct arena *a,
			      struct results *out, struct nasc_err *err)
{
	struct results r = { .tree = ARENA_NEW(a, struct cJSON *, n) };
	size_t cap = 0;

	for (size_t i = 0; i < n; i++)
		if (load_one(path[i], a, &r, &cap, err)) {
			results_close(&r);
			return err->code;
		}
	*out = r;
	return NASC_OK;
}

/* Of "<= 256 KiB" or a list of such: the least upper bound to *@within, if it is tighter. */
static enum nasc_status read_bounds(const struct cJSON *bound, enum unit_dim dim, double *within,
				    struct nasc_err *err)
{
	const char *text = cJSON_IsString(bound) ? bound->valuestring : "";
	const struct cJSON *item;
	struct nasc_err fault;
	double value;

	if (cJSON_IsArray(bound)) {
		cJSON_ArrayForEach(item, bound)
		{
			if (!cJSON_IsArray(item) && read_bounds(item, dim, within, err))
				return err->code;
		}
		return NASC_OK;
	}
	if (strncmp(text, "<=", 2) != 0)
		return NASC_OK;
	if (unit_parse(text + 2 + strspn(text + 2, " "), dim, &value, &fault))
		return nasc_fail(err, NASC_DATA, "%s", fault.msg);
	if (*within == 0 || value < *within)
		*within = value;
	return NASC_OK;
}

enum nasc_status results_bounds(const struct results *r, struct costmodel *m, struct nasc_err *err)
{
	const struct cJSON *bounds = cJSON_GetObjectItemCaseSensitive(r->config, "constraints");
	const struct cJSON *targets = cJSON_GetObjectItemCaseSensitive(r->config, "targets");
	bool several = cJSON_GetArraySize(targets) > 1;

	for (size_t i = 0; i < m->ops->n_metrics; i++) {
		const struct metric *metric = &m->ops->metric[i];
		const char *const name[] = { metric->key, metric->name };

		for (size_t k = 0; k < (strcmp(metric->key, metric->name) ? 2 : 1); k++) {
			char key[128];

			snprintf(key, sizeof key, "%s%s%s", several ? m->target : "",
				 several ? "." : "", name[k]);
			if (read_bounds(cJSON_GetObjectItemCaseSensitive(bounds, key), metric->dim,
					&m->within[i], err))
				return nasc_wrap(err, "config: constraints: %s", key);
		}
	}
	return NASC_OK;
}

void results_close(struct results *r)
{
	for (size_t i = 0; i < r->n_files; i++)
		cJSON_Delete(r->tree[i]);
	*r = (struct results){ 0 };
}

/* What a name may leave out of a key: "sram" stands for "sram_bytes", "x.sram" for "x.sram_bytes".
 * The whole key comes first. */
static const char *const unit_suffix[] = { "", "_bytes", "_s", "_j", "_18k" };
#define N_SUFFIXES (sizeof unit_suffix / sizeof *unit_suffix)

static bool is_of(const char *key, const char *name, const char *suffix)
{
	size_t n = strlen(name);

	return !strncmp(key, name, n) && !strcmp(key + n, suffix);
}

const struct result_score *result_score(const struct result *row, const char *name)
{
	for (size_t k = 0; k < N_SUFFIXES; k++)
		for (size_t i = 0; i < row->n_scores; i++)
			if (is_of(row->score[i].key, name, unit_suffix[k]))
				return &row->score[i];
	return NULL;
}

enum unit_dim result_dim(const struct result_score *s)
{
	const struct metric *m = metric_of_key(s->key);

	for (int d = UNIT_NONE; !m && d < UNIT_DIM_COUNT; d++)
		if (!strcmp(unit_symbol((enum unit_dim)d), s->unit))
			return (enum unit_dim)d;
	return m && !strcmp(unit_symbol(m->dim), s->unit) ? m->dim : UNIT_NONE;
}

enum nasc_status results_dim(const struct results *r, const char *name, enum unit_dim *dim,
			     struct nasc_err *err)
{
	if (r->n) {
		const struct result_score *s = result_score(&r->row[0], name);

		if (!s)
			return no_score(&r->row[0], name, err);
		*dim = result_dim(s);
		return NASC_OK;
	}
	for (size_t k = 0; k < N_SUFFIXES; k++) {
		char key[128];
		const struct metric *m = NULL;
		bool known = false;

		if ((size_t)snprintf(key, sizeof key, "%s%s", name, unit_suffix[k]) < sizeof key)
			m = metric_of_key(key);
		for (size_t i = 0; i < r->n_objectives; i++)
			known |= is_of(r->objective[i].key, name, unit_suffix[k]);
		if (m || known) {
			*dim = m ? m->dim : UNIT_NONE;
			return NASC_OK;
		}
	}
	return nasc_fail(err, NASC_USAGE, "no score is called '%s'; there are no rows", name);
}
