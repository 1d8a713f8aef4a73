/* Genes to scores: cheap figures first, the evaluator only for candidates that
 * keep every hard bound, and the journal before a score is used. */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "pool.h"
#include "private.h"

struct worker {
	struct arena arena;
	void *state; /* of the evaluator */
	bool open;
};
struct scorer {
	const struct study *study;
	const struct study_options *options;
	struct pool *pool;
	struct journal *journal; /* NULL without evaluator */
	struct states *states;	 /* NULL unless trained in parts */
	struct eval_rungs rungs; /* the study's, of the journal's origin */
	double deadline_s;	 /* by clock_s(): no candidate is begun after it */
	atomic_bool skipped;	 /* some of the batch were not begun */
	atomic_size_t n_scored, n_trained, n_resumed; /* since the last tick */
	unsigned n_workers;
	struct worker *worker;
	pthread_mutex_t lock; /* journal, arena, status */
	struct arena arena;   /* reasons, from the mark on */
	struct arena_mark reasons;
	struct candidate *const *batch;
	size_t rung; /* of the batch */
	scorer_tick *tick;
	void *ctx; /* of tick */
	enum nasc_status status;
	struct nasc_err err;
};

size_t problem_vars(const struct study_config *c)
{
	return c->problem_cfg.variables ? (size_t)c->problem_cfg.variables
					: c->problem->default_vars;
}

size_t study_vars(const struct study *s)
{
	return s->config->problem ? problem_vars(s->config) : s->space.n_genes;
}

/* ---- figures ------------------------------------------------------------------- */

enum nasc_status study_costs(const struct study *s, const struct network *net,
			     struct arena *scratch, double *value, uint64_t *bounds,
			     struct nasc_err *err)
{
	size_t at = 0;

	_Static_assert(STUDY_MAX_METRICS <= 64, "one bit a metric");
	*bounds = 0;
	for (size_t i = 0; i < s->n_metrics; i++)
		value[i] = NAN;
	for (size_t i = 0; i < s->n_models; i++) {
		const struct costmodel *m = &s->model[i];
		struct arena_mark mark = arena_mark(scratch);
		struct cost cost = { .per_op = NULL };
		enum nasc_status st = m->ops->cost(m, net, scratch, &cost, err);

		arena_rewind(scratch, mark);
		if (st)
			return nasc_wrap(err, "%s", *m->target ? m->target : m->ops->name);
		memcpy(value + at, cost.value, m->ops->n_metrics * sizeof *value);
		for (size_t k = 0; k < m->ops->n_metrics; k++)
			*bounds |= (uint64_t)cost.bound[k] << (at + k);
		at += m->ops->n_metrics;
	}
	return NASC_OK;
}

double study_violation(const struct study *s, const double *value, bool dear,
		       const struct study_bound **worst)
{
	double sum = 0, most = 0;

	for (size_t i = 0; i < s->n_bounds; i++) {
		const struct study_bound *b = &s->bound[i];
		double over = b->upper ? value[b->metric] - b->value : b->value - value[b->metric];

		if (s->metric[b->metric].dear && !dear)
			continue;
		over /= fabs(b->value) > 1e-12 ? fabs(b->value) : 1;
		if (!(over > 0))
			continue;
		sum += over;
		if (over > most && worst)
			*worst = b;
		most = fmax(most, over);
	}
	return sum;
}

const struct study_metric *study_unknown(const struct study *s, const double *value, bool dear)
{
	for (size_t i = 0; i < s->n_objectives; i++)
		if (isnan(value[s->objective[i]]) && (dear || !s->metric[s->objective[i]].dear))
			return &s->metric[s->objective[i]];
	for (size_t i = 0; i < s->n_bounds; i++)
		if (isnan(value[s->bound[i].metric]) &&
		    (dear || !s->metric[s->bound[i].metric].dear))
			return &s->metric[s->bound[i].metric];
	return NULL;
}

static void candidate_fail(struct scorer *sc, struct candidate *c, const char *why)
{
	c->violation = INFINITY;
	pthread_mutex_lock(&sc->lock);
	c->why = arena_strdup(&sc->arena, why);
	pthread_mutex_unlock(&sc->lock);
}

static void scorer_fail(struct scorer *sc, const struct nasc_err *err)
{
	pthread_mutex_lock(&sc->lock);
	if (!sc->status) {
		sc->status = err->code;
		sc->err = *err;
	}
	pthread_mutex_unlock(&sc->lock);
}

static bool stopped(struct scorer *sc)
{
	bool bad;

	pthread_mutex_lock(&sc->lock);
	bad = sc->status != NASC_OK;
	pthread_mutex_unlock(&sc->lock);
	return bad || (sc->options->cancel && atomic_load(sc->options->cancel)) ||
	       clock_s() >= sc->deadline_s;
}

/* ---- the evaluator --------------------------------------------------------------- */

/* Names a candidate wherever it comes up again: its random streams depend on its
 * genes alone, not on when it was proposed. 53 bits: the number goes through JSON,
 * whose readers keep no more. */
static uint64_t genes_hash(const uint32_t *gene, size_t n)
{
	uint64_t h = 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < n; i++) {
		h = (h ^ gene[i]) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	return h >> 11;
}

/* Of one that is trained in part, the epochs behind an @. */
static char *journal_key(const struct scorer *sc, const uint32_t *gene, size_t n, struct arena *a)
{
	const struct eval_rungs *rungs = &sc->study->rungs;
	size_t cap = 12 * n + 32, at = 0;
	char *text = ARENA_NEW(a, char, cap);

	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, cap - at, "%s%u", i ? " " : "", gene[i]);
	if (sc->rung < rungs->n)
		snprintf(text + at, cap - at, " @%lld", (long long)rungs->epochs[sc->rung]);
	return text;
}

static const struct eval_gene *genes_told(const struct space *space, const uint32_t *gene,
					  struct arena *a)
{
	struct eval_gene *out = ARENA_NEW(a, struct eval_gene, space->n_genes);
	char text[64];

	for (size_t i = 0; i < space->n_genes; i++)
		out[i] = (struct eval_gene){
			gene[i],
			arena_strdup(a, space_gene_text(space, i, gene[i], text, sizeof text)),
		};
	return out;
}

/* The evaluator's figures, behind them the loss of a training in parts. */
static size_t n_answers(const struct study *s)
{
	return s->evaluator.ops->n_metrics + (s->rungs.n && s->evaluator.ops->in_parts);
}

/* Numbers all of them, as a row of the journal wants: 0 where nothing is measured. */
static enum eval_outcome check_answers(const struct study *s, struct eval_result *r)
{
	const struct evaluator_ops *ops = s->evaluator.ops;

	for (size_t k = 0; k < n_answers(s); k++)
		if (k < ops->n_metrics && !evaluator_measures(ops, s->evaluator.cfg, k)) {
			r->value[k] = 0;
		} else if (!isfinite(r->value[k])) {
			snprintf(r->why, sizeof r->why, "%s is not a finite number",
				 k < ops->n_metrics ? ops->metric[k].key : "loss");
			return EVAL_FAILED;
		}
	return EVAL_OK;
}

/* Until it works or has failed as often as it may. */
static enum eval_outcome attempt(const struct study *s, struct worker *w,
				 const struct eval_request *request, struct eval_result *r)
{
	int64_t most = 1 + s->config->failures.retries;
	struct evaluator e = s->evaluator;
	enum eval_outcome outcome = EVAL_FAILED;

	for (int64_t i = 0; i < most && outcome == EVAL_FAILED; i++) {
		outcome = e.ops->run(&e, w->state, request, r);
		/* A signal to a whole group of processes reaches an external program too. */
		if (outcome == EVAL_FAILED && request->cancel && atomic_load(request->cancel))
			return EVAL_CANCELLED;
		if (outcome == EVAL_OK)
			outcome = check_answers(s, r);
	}
	if (outcome == EVAL_FAILED && most > 1) {
		char last[sizeof r->why];

		memcpy(last, r->why, sizeof last);
		snprintf(r->why, sizeof r->why, "%lld attempts, the last: %.200s", (long long)most,
			 last);
	}
	return outcome;
}

/* With the file to go on from, where there may be one. */
static enum eval_outcome attempt_rung(struct scorer *sc, struct worker *w,
				      struct eval_request *request, struct eval_result *r)
{
	const struct study *s = sc->study;
	enum eval_outcome outcome;

	if (s->rungs.n) {
		request->rungs = &sc->rungs;
		request->rung = sc->rung;
	}
	if (!sc->states)
		return attempt(s, w, request, r);
	pthread_mutex_lock(&sc->lock);
	request->state_path = states_take(sc->states, request->id, &w->arena);
	pthread_mutex_unlock(&sc->lock);
	outcome = attempt(s, w, request, r);
	pthread_mutex_lock(&sc->lock);
	if (request->state_path)
		states_give(sc->states, request->id);
	pthread_mutex_unlock(&sc->lock);
	return outcome;
}

/* EVAL_OK or EVAL_FAILED with *r filled, from the journal or by running it. */
static enum eval_outcome evaluate(struct scorer *sc, struct worker *w, struct candidate *c,
				  const uint32_t *gene, const struct network *net,
				  struct eval_result *r)
{
	const struct study *s = sc->study;
	struct evaluator e = s->evaluator;
	size_t n = s->space.n_genes;
	const char *key = journal_key(sc, gene, n, &w->arena);
	struct eval_request request = { .id = c->hash,
					.seed = s->config->seed,
					.net = net,
					.cancel = sc->options->cancel,
					.n_genes = n };
	struct nasc_err err = { 0 };
	enum eval_outcome outcome;
	double start;
	bool found;

	pthread_mutex_lock(&sc->lock);
	found = journal_get(sc->journal, key, &outcome, r);
	pthread_mutex_unlock(&sc->lock);
	/* What failed stays failed, so that a resume changes nothing. */
	if (found) {
		c->resumed = true;
		return outcome;
	}
	if (!w->open && e.ops->worker_open && e.ops->worker_open(&e, &w->state, &err)) {
		scorer_fail(sc, &err);
		return EVAL_CANCELLED;
	}
	w->open = true;
	request.gene = genes_told(&s->space, gene, &w->arena);
	start = clock_s();
	outcome = attempt_rung(sc, w, &request, r);
	c->evaluator_s += clock_s() - start;
	if (outcome == EVAL_BROKEN) {
		nasc_fail(&err, NASC_FAIL,
			  "evaluator: %s; once that is mended the same command with --resume goes "
			  "on, no finished evaluation is lost",
			  r->why);
		scorer_fail(sc, &err);
		return EVAL_CANCELLED;
	}
	if (outcome == EVAL_CANCELLED)
		return outcome;
	pthread_mutex_lock(&sc->lock);
	if (!sc->status)
		sc->status = journal_put(sc->journal, key, c->id, outcome, r, &sc->err);
	pthread_mutex_unlock(&sc->lock);
	return outcome;
}

static void dear_figures(struct scorer *sc, struct worker *w, struct candidate *c,
			 const uint32_t *gene, const struct network *net)
{
	const struct study *s = sc->study;
	const struct evaluator_ops *ops = s->evaluator.ops;
	size_t first = 0, next, n = ops->n_metrics;
	struct eval_result r = { 0 };

	while (!s->metric[first].dear)
		first++;
	next = first;
	c->hash = genes_hash(gene, s->space.n_genes);
	switch (evaluate(sc, w, c, gene, net, &r)) {
	case EVAL_CANCELLED:
	case EVAL_BROKEN:
		return;
	case EVAL_FAILED:
		c->trained = true;
		for (size_t i = first; i < s->n_metrics; i++) /* of the rung before */
			c->value[i] = (double)NAN;
		candidate_fail(sc, c, r.why);
		return;
	case EVAL_OK:
		break;
	}
	c->trained = true;
	c->rungs = s->rungs.n ? sc->rung + 1 : 0;
	c->loss = n_answers(s) > n ? r.value[n] : (double)NAN;
	for (size_t k = 0; k < n; k++)
		if (evaluator_measures(ops, s->evaluator.cfg, k))
			c->value[next++] = r.value[k];
	if (next < s->n_metrics) { /* network information density stands last */
		size_t accuracy = first, params = 0;

		while (strcmp(s->metric[accuracy].metric->key, "accuracy") != 0)
			accuracy++;
		while (strcmp(s->metric[params].metric->key, "params") != 0)
			params++;
		c->value[next] = size_nid(c->value[accuracy], c->value[params]);
	}
}

/* ---- one candidate ----------------------------------------------------------------- */

static void score_network(struct scorer *sc, struct worker *w, struct candidate *c)
{
	const struct study *s = sc->study;
	struct arena_mark mark = arena_mark(&w->arena);
	uint32_t *gene = ARENA_NEW(&w->arena, uint32_t, s->space.n_genes);
	const struct study_metric *unknown;
	struct network net;
	struct nasc_err err = { 0 };
	char why[256];

	for (size_t i = 0; i < s->space.n_genes; i++)
		gene[i] = (uint32_t)c->x[i];
	space_decode(&s->space, gene, &w->arena, &net);
	if (sc->rung) {
		dear_figures(sc, w, c, gene, &net);
		if (!c->why)
			c->violation = study_violation(s, c->value, true, NULL);
	} else if (study_costs(s, &net, &w->arena, c->value, &c->bounds, &err)) {
		candidate_fail(sc, c, err.msg);
	} else if ((unknown = study_unknown(s, c->value, false)) != NULL) {
		snprintf(why, sizeof why, "%s is not known for this target", unknown->key);
		candidate_fail(sc, c, why);
	} else {
		c->violation = study_violation(s, c->value, false, NULL);
		if (c->violation == 0 && s->evaluator.ops) {
			dear_figures(sc, w, c, gene, &net);
			if (c->trained && c->violation == 0)
				c->violation = study_violation(s, c->value, true, NULL);
		}
	}
	arena_rewind(&w->arena, mark);
}

static void score_one(void *ctx, unsigned worker, size_t i)
{
	struct scorer *sc = ctx;
	struct candidate *c = sc->batch[i];
	const struct study *s = sc->study;

	if (s->config->problem) {
		c->violation = s->config->problem->evaluate(c->x, study_vars(s), c->value,
							    s->n_objectives);
		return;
	}
	if (stopped(sc)) {
		atomic_store(&sc->skipped, true);
		return;
	}
	score_network(sc, &sc->worker[worker], c);
	if (sc->rung == 0) {
		atomic_fetch_add(&sc->n_scored, 1);
		atomic_fetch_add(&sc->n_trained, c->trained);
		atomic_fetch_add(&sc->n_resumed, c->resumed);
	}
	if (worker == 0 && s->evaluator.ops)
		sc->tick(sc->ctx, &(struct tally){ atomic_exchange(&sc->n_scored, 0),
						   atomic_exchange(&sc->n_trained, 0),
						   atomic_exchange(&sc->n_resumed, 0) });
}

/* ---- open, run, close ---------------------------------------------------------------- */

static uint64_t images_hash(const struct dataset *d, uint64_t h)
{
	size_t bytes = d->n * net_elements(d->shape) * pixel_bytes(d->pixel);
	const uint8_t *image = d->image;
	uint64_t word;

	for (size_t i = 0; i + sizeof word <= bytes; i += sizeof word) {
		memcpy(&word, image + i, sizeof word);
		h = (h ^ word) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	for (size_t i = bytes - bytes % sizeof word; i < bytes; i++)
		h = (h ^ image[i]) * 0xff51afd7ed558ccdu;
	for (size_t i = 0; i < d->n; i++) {
		h = (h ^ d->label[i]) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	return h;
}

/* What the scores depend on: the config's part of it, and the images or tables themselves,
 * which may change behind the same path. */
static const char *scores_identity(const struct study *s, struct arena *a)
{
	const char *config = config_identity(s->config, CONFIG_SCORES, a);
	size_t n = strlen(config) + 32;
	char *text = ARENA_NEW(a, char, n);
	uint64_t read = 0;

	if (s->evaluator.train)
		read = images_hash(&s->validation, images_hash(&s->train, 1));
	if (s->evaluator.ops->contents)
		read ^= s->evaluator.ops->contents(&s->evaluator);
	snprintf(text, n, "%s %016" PRIx64, config, read);
	return text;
}

/* Raise it whenever the same genes, config and images get another score than before. */
#define SCORES_VERSION 3

static const char *scores_origin(const struct evaluator *e, struct arena *a)
{
	char *text = ARENA_NEW(a, char, 192), machine[128] = "";

	if (e->ops->machine)
		e->ops->machine(e->cfg, machine);
	snprintf(text, 192, "scores version %d%s%s", SCORES_VERSION, *machine ? ", " : "", machine);
	return text;
}

static const char *journal_path(const char *out, struct arena *a)
{
	size_t n = strlen(out) + sizeof ".journal";
	char *path = ARENA_NEW(a, char, n);

	snprintf(path, n, "%s.journal", out);
	return path;
}

bool study_has_run(const char *out)
{
	struct arena a = { 0 };
	bool has = access(out, F_OK) == 0 || access(journal_path(out, &a), F_OK) == 0;

	arena_free(&a);
	return has;
}

/* What a row of the journal holds. */
static const struct metric *answer_metrics(const struct study *s, struct arena *a)
{
	static const struct metric loss = { "loss", "loss", UNIT_NONE, false, false, "" };
	size_t n = s->evaluator.ops->n_metrics;
	struct metric *m = ARENA_NEW(a, struct metric, n + 1);

	memcpy(m, s->evaluator.ops->metric, n * sizeof *m);
	m[n] = loss;
	return m;
}

static enum nasc_status open_journal(struct scorer *sc, struct nasc_err *err)
{
	const struct study *s = sc->study;
	struct arena *a = &sc->arena;
	struct journal_options o = { .identity = scores_identity(s, a),
				     .origin = scores_origin(&s->evaluator, a),
				     .run = config_identity(s->config, CONFIG_ORDER, a),
				     .metric = answer_metrics(s, a),
				     .n_values = n_answers(s),
				     .rows = s->config->memory.journal,
				     .resume = sc->options->resume,
				     .retry_failed = sc->options->retry_failed };
	size_t n = strlen(o.identity) + strlen(o.origin) + 2;
	char *both = ARENA_NEW(a, char, n);

	snprintf(both, n, "%s %s", o.identity, o.origin);
	sc->rungs = s->rungs;
	sc->rungs.origin = both;
	return journal_open(&sc->journal, journal_path(sc->options->out, a), &o, err);
}

enum nasc_status scorer_open(struct scorer **out, const struct study *s,
			     const struct study_options *o, scorer_tick *tick, void *ctx,
			     struct nasc_err *err)
{
	struct scorer *sc = calloc(1, sizeof *sc);

	if (!sc)
		abort();
	sc->study = s;
	sc->options = o;
	sc->tick = tick;
	sc->ctx = ctx;
	pthread_mutex_init(&sc->lock, NULL);
	sc->deadline_s = s->config->stop.time_s > 0 ? clock_s() + s->config->stop.time_s : INFINITY;
	sc->n_workers = o->jobs;
	sc->worker = ARENA_NEW(&sc->arena, struct worker, o->jobs);
	if ((s->evaluator.ops && open_journal(sc, err)) ||
	    (s->rungs.n && s->evaluator.ops && s->evaluator.ops->in_parts &&
	     states_open(&sc->states, o->out, s->config->fidelity.disk, o->resume, err)) ||
	    pool_open(&sc->pool, o->jobs, err)) {
		scorer_close(sc, true);
		return err->code;
	}
	sc->reasons = arena_mark(&sc->arena);
	*out = sc;
	return NASC_OK;
}

enum nasc_status scorer_run(struct scorer *sc, struct candidate *const *batch, size_t n,
			    size_t rung, struct nasc_err *err)
{
	arena_rewind(&sc->arena, sc->reasons);
	sc->batch = batch;
	sc->rung = rung;
	atomic_store(&sc->skipped, false);
	atomic_store(&sc->n_scored, 0);
	atomic_store(&sc->n_trained, 0);
	atomic_store(&sc->n_resumed, 0);
	pool_run(sc->pool, n, score_one, sc);
	if (sc->status) { /* a journal that cannot be written comes before a wish to stop */
		*err = sc->err;
		return sc->status;
	}
	if (sc->options->cancel && atomic_load(sc->options->cancel))
		return nasc_fail(err, NASC_INTERRUPTED, "interrupted");
	if (atomic_load(&sc->skipped))
		return nasc_fail(err, NASC_INTERRUPTED, "out of time");
	return NASC_OK;
}

enum nasc_status scorer_may_write(const struct scorer *sc, struct nasc_err *err)
{
	return sc->journal ? journal_in_place(sc->journal, err) : NASC_OK;
}

void scorer_drop_state(struct scorer *sc, const struct candidate *c)
{
	if (sc->states)
		states_drop(sc->states, c->hash);
}

uint64_t scorer_state_bytes(const struct scorer *sc)
{
	return sc->states ? states_most(sc->states) : 0;
}

void scorer_close(struct scorer *sc, bool go_on)
{
	struct evaluator e;

	if (!sc)
		return;
	e = sc->study->evaluator;
	/* Before their threads end: what a thread started may end with it. */
	for (unsigned i = 0; i < sc->n_workers; i++) {
		if (sc->worker[i].open && e.ops->worker_close)
			e.ops->worker_close(&e, sc->worker[i].state);
		arena_free(&sc->worker[i].arena);
	}
	pool_close(sc->pool);
	states_close(sc->states, go_on);
	journal_close(sc->journal);
	pthread_mutex_destroy(&sc->lock);
	arena_free(&sc->arena);
	free(sc);
}
