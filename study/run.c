/* The loop: ask, score, tell, until a stop rule holds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "private.h"

#define FAILED_LISTED 20
#define HV_ROWS_MAX   1000
/* Evaluations after which none that worked means that none will. */
#define FAILED_ENOUGH 10
/* Proposals in a row that were all seen before, after which the space counts as searched through:
 * so many of the strategy's rounds, or so many in all where it proposes one at a time. */
#define STALE_ROUNDS 50
#define STALE_LEAST  5000
/* Work of one exact hypervolume beyond which it is left out (five objectives and more). */
#define HV_WORK_MAX 1e8

struct loop {
	struct study *study;
	const struct study_options *options;
	struct search search;
	struct search_domain domain;
	struct rng rng;
	struct scorer *scorer;
	struct arena round; /* rewound every round */
	size_t n_vars, n_obj, cap;

	struct candidate **all; /* every different candidate, by id; networks only */
	size_t n_all, cap_all;
	uint32_t *slot; /* hash table of ids + 1 */
	size_t n_slots;

	struct search_archive archive;
	const struct candidate **front;
	double *front_f;
	double scale[SEARCH_MAX_OBJECTIVES], best[SEARCH_MAX_OBJECTIVES];
	bool reference_known;
	uint64_t replaced; /* evaluations in the results file that is there already */
	struct hv_row *hv;
	size_t n_hv, cap_hv, stale;
	uint64_t n_broken; /* evaluations that failed; sum.failed has unknown costs too */
	double evaluator_s, start_s, last_progress_s;
	struct study_summary sum;
};

/* ---- candidates ------------------------------------------------------------------- */

static void canonical_genes(double *x, void *ctx)
{
	struct loop *l = ctx;
	const struct space *space = &l->study->space;
	struct arena_mark mark = arena_mark(&l->round);
	uint32_t *gene = ARENA_NEW(&l->round, uint32_t, space->n_genes);

	for (size_t i = 0; i < space->n_genes; i++)
		gene[i] = (uint32_t)x[i];
	space->ops->canonical(space, gene);
	for (size_t i = 0; i < space->n_genes; i++)
		x[i] = gene[i];
	arena_rewind(&l->round, mark);
}

static uint64_t vector_hash(const double *x, size_t n)
{
	uint64_t h = 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < n; i++) {
		uint64_t bits;

		memcpy(&bits, &x[i], sizeof bits);
		h = (h ^ bits) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	return h;
}

static void grow_table(struct loop *l)
{
	size_t n = l->n_slots ? 2 * l->n_slots : 1024;

	free(l->slot);
	l->slot = calloc(n, sizeof *l->slot);
	if (!l->slot)
		abort();
	l->n_slots = n;
	for (size_t i = 0; i < l->n_all; i++) {
		size_t at = vector_hash(l->all[i]->x, l->n_vars) & (n - 1);

		while (l->slot[at])
			at = (at + 1) & (n - 1);
		l->slot[at] = (uint32_t)i + 1;
	}
}

static struct candidate *new_candidate(struct loop *l, struct arena *a, const double *x,
				       uint64_t id)
{
	struct candidate *c = ARENA_NEW(a, struct candidate, 1);
	double *copy = ARENA_NEW(a, double, l->n_vars);

	memcpy(copy, x, l->n_vars * sizeof *x);
	*c = (struct candidate){ .id = id,
				 .x = copy,
				 .value = ARENA_NEW(a, double, l->study->n_metrics),
				 .violation = INFINITY };
	return c;
}

/* The candidate with these genes; *fresh: it was not seen before. */
static struct candidate *intern(struct loop *l, const double *x, bool *fresh)
{
	size_t at;

	if (2 * (l->n_all + 1) > l->n_slots)
		grow_table(l);
	at = vector_hash(x, l->n_vars) & (l->n_slots - 1);
	for (; l->slot[at]; at = (at + 1) & (l->n_slots - 1)) {
		struct candidate *c = l->all[l->slot[at] - 1];

		if (!memcmp(c->x, x, l->n_vars * sizeof *x)) {
			*fresh = false;
			return c;
		}
	}
	if (l->n_all == l->cap_all) {
		l->cap_all = l->cap_all ? 2 * l->cap_all : 256;
		l->all = realloc(l->all, l->cap_all * sizeof(*l->all));
		if (!l->all)
			abort();
	}
	l->slot[at] = (uint32_t)l->n_all + 1;
	l->all[l->n_all] = new_candidate(l, l->study->arena, x, l->n_all);
	*fresh = true;
	return l->all[l->n_all++];
}

static void objectives_of(const struct loop *l, const struct candidate *c, double *f)
{
	for (size_t i = 0; i < l->n_obj; i++) {
		double v = c->value[l->study->objective[i]];

		f[i] = l->study->maximise[i] ? -v : v;
	}
}

/* ---- hypervolume -------------------------------------------------------------------- */

/* Where the config names no worst corner: the worst of the first feasible round. */
static void find_reference(struct loop *l, const double *f, const double *violation, size_t n)
{
	double *ref = l->study->reference;
	bool any = false;

	for (size_t i = 0; i < n; i++)
		any |= violation[i] == 0;
	if (!any)
		return;
	for (size_t k = 0; k < l->n_obj; k++) {
		double worst = -INFINITY;

		for (size_t i = 0; i < n; i++)
			if (violation[i] == 0)
				worst = fmax(worst, f[i * l->n_obj + k]);
		if (isnan(ref[k]))
			ref[k] = worst;
		l->scale[k] = l->study->config->problem || ref[k] == 0 ? 1 : fabs(ref[k]);
	}
	l->reference_known = true;
}

static double hypervolume(struct loop *l)
{
	struct search_points p = { .n = l->archive.n };
	double ref[SEARCH_MAX_OBJECTIVES], *f;
	size_t n = 0;

	if (!l->reference_known)
		return 0;
	if (l->study->config->problem)
		l->search.ops->answer(&l->search, &p);
	else
		search_archive_members(&l->archive, l->front_f, NULL), p.f = l->front_f;
	if (l->n_obj > 4 && pow((double)p.n, (double)l->n_obj - 2) > HV_WORK_MAX)
		return NAN;
	f = ARENA_NEW(&l->round, double, p.n * l->n_obj);
	for (size_t i = 0; i < p.n; i++) {
		if (p.violation && p.violation[i] != 0)
			continue;
		for (size_t k = 0; k < l->n_obj; k++)
			f[n * l->n_obj + k] = p.f[i * l->n_obj + k] / l->scale[k];
		n++;
	}
	for (size_t k = 0; k < l->n_obj; k++)
		ref[k] = l->study->reference[k] / l->scale[k];
	return search_hypervolume(f, n, l->n_obj, ref, &l->round);
}

/* A row a generation, but no more than HV_ROWS_MAX over the planned run: a
 * strategy may ask for one candidate at a time. */
static bool hv_row_due(const struct loop *l)
{
	uint64_t every = (uint64_t)l->study->config->stop.evaluations / HV_ROWS_MAX;

	return l->n_hv == 0 || l->sum.evaluations >= l->hv[l->n_hv - 1].evaluations + every + 1;
}

static void add_hv_row(struct loop *l)
{
	if (l->n_hv == l->cap_hv) {
		l->cap_hv = l->cap_hv ? 2 * l->cap_hv : 64;
		l->hv = realloc(l->hv, l->cap_hv * sizeof *l->hv);
		if (!l->hv)
			abort();
	}
	l->sum.hypervolume = hypervolume(l);
	l->hv[l->n_hv++] = (struct hv_row){ l->sum.evaluations, l->sum.hypervolume };
}

/* ---- one round ------------------------------------------------------------------------ */

static void report(struct loop *l, bool last)
{
	double now = clock_s(), done = (double)l->sum.evaluations, todo;
	const struct study_config *c = l->study->config;
	struct study_progress p;

	if (!l->options->progress || (!last && now - l->last_progress_s < 0.1))
		return;
	l->last_progress_s = now;
	todo = (double)c->stop.evaluations - done;
	if (c->stop.trained && l->sum.trained) /* whichever comes first */
		todo = fmin(todo, done * ((double)c->stop.trained / (double)l->sum.trained - 1));
	p = (struct study_progress){ .evaluations = l->sum.evaluations,
				     .planned = (uint64_t)c->stop.evaluations,
				     .trained = l->sum.trained,
				     .failed = l->sum.failed,
				     .front = l->archive.n,
				     .hypervolume = l->reference_known ? l->sum.hypervolume : NAN,
				     .elapsed_s = now - l->start_s,
				     .left_s = done > 0 ? fmax(0, (now - l->start_s) * todo / done)
							: NAN,
				     .study = l->study,
				     .best = l->best };
	l->options->progress(&p, l->options->ctx);
}

/* What a round's new candidates add to the counts and the archive. */
static void take_stock(struct loop *l, struct candidate *const *fresh, size_t n)
{
	double f[SEARCH_MAX_OBJECTIVES];
	uint32_t slot;

	for (size_t i = 0; i < n; i++) {
		const struct candidate *c = fresh[i];

		l->sum.trained += c->trained;
		l->sum.resumed += c->resumed;
		l->sum.failed += c->why != NULL;
		l->n_broken += c->why && c->trained;
		l->evaluator_s += c->evaluator_s;
		if (c->violation != 0)
			continue;
		objectives_of(l, c, f);
		for (size_t k = 0; k < l->n_obj; k++) {
			double v = c->value[l->study->objective[k]], *b = &l->best[k];

			if (isnan(*b) || (l->study->maximise[k] ? v > *b : v < *b))
				*b = v;
		}
		if (!l->study->config->problem && search_archive_add(&l->archive, f, &slot))
			l->front[slot] = c;
	}
}

/* Of a round that was interrupted: what was scored all the same. */
static void take_scored(struct loop *l, struct candidate **fresh, size_t n)
{
	bool dear = l->study->evaluator.ops != NULL;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		const struct candidate *c = fresh[i];

		if (c->why || c->trained || (isfinite(c->violation) && (c->violation > 0 || !dear)))
			fresh[kept++] = fresh[i];
	}
	l->sum.evaluations += kept;
	take_stock(l, fresh, kept);
}

static enum nasc_status run_round(struct loop *l, struct nasc_err *err)
{
	struct arena *a = &l->round;
	uint64_t left = (uint64_t)l->study->config->stop.evaluations - l->sum.evaluations;
	size_t cap = left < l->cap ? (size_t)left : l->cap, n, n_fresh = 0;
	double *x = ARENA_NEW(a, double, cap * l->n_vars);
	double *f = ARENA_NEW(a, double, cap * l->n_obj), *violation = ARENA_NEW(a, double, cap);
	struct candidate **c = ARENA_NEW(a, struct candidate *, cap);
	struct candidate **fresh = ARENA_NEW(a, struct candidate *, cap);

	n = l->search.ops->ask(&l->search, x, cap);
	for (size_t i = 0; i < n; i++) {
		bool is_new = true;

		c[i] = l->study->config->problem
			       ? new_candidate(l, a, x + i * l->n_vars, l->sum.evaluations + i)
			       : intern(l, x + i * l->n_vars, &is_new);
		if (is_new)
			fresh[n_fresh++] = c[i];
	}
	if (scorer_run(l->scorer, fresh, n_fresh, err)) {
		if (err->code == NASC_INTERRUPTED)
			take_scored(l, fresh, n_fresh);
		return err->code;
	}
	for (size_t i = 0; i < n; i++) {
		objectives_of(l, c[i], f + i * l->n_obj);
		violation[i] = c[i]->violation;
	}
	l->search.ops->tell(&l->search, x, f, violation, n);
	l->sum.evaluations += n_fresh;
	l->sum.duplicates += n - n_fresh;
	l->search.repeats = l->sum.duplicates;
	l->stale = n_fresh ? 0 : l->stale + n;
	take_stock(l, fresh, n_fresh);
	if (!l->reference_known)
		find_reference(l, f, violation, n);
	if (hv_row_due(l))
		add_hv_row(l);
	report(l, false);
	return NASC_OK;
}

static const char *stop_reason(const struct loop *l)
{
	const struct stop_cfg *stop = &l->study->config->stop;

	if (l->sum.evaluations >= (uint64_t)stop->evaluations)
		return "evaluations";
	if (stop->trained && l->sum.trained >= (uint64_t)stop->trained)
		return "trained";
	if (stop->time_s > 0 && clock_s() - l->start_s >= stop->time_s)
		return "time";
	if (l->stale >= STALE_LEAST && l->stale >= STALE_ROUNDS * l->cap)
		return "space exhausted";
	if (l->sum.trained >= FAILED_ENOUGH && l->n_broken == l->sum.trained)
		return "every evaluation failed";
	return NULL;
}

/* ---- the end ---------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
	const struct candidate *const *x = a, *const *y = b;

	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

/* The strategy's own answer on a test problem (as the literature counts it), of
 * a network search the non-dominated set of everything that was scored. */
static const struct candidate **final_front(struct loop *l, size_t *n_out)
{
	struct search_points p;
	const struct candidate **front;
	size_t n = 0;

	if (!l->study->config->problem) {
		n = l->archive.n;
		front = ARENA_NEW(&l->round, const struct candidate *, n);
		uint32_t *slot = ARENA_NEW(&l->round, uint32_t, n);
		search_archive_members(&l->archive, NULL, slot);
		for (size_t i = 0; i < n; i++)
			front[i] = l->front[slot[i]];
		qsort(front, n, sizeof *front, by_id);
	} else {
		uint32_t *rank;

		l->search.ops->answer(&l->search, &p);
		front = ARENA_NEW(&l->round, const struct candidate *, p.n);
		rank = ARENA_NEW(&l->round, uint32_t, p.n);
		search_rank(p.f, p.n, l->n_obj, rank, &l->round);
		for (size_t i = 0; i < p.n; i++) {
			struct candidate *c;

			if (rank[i] || p.violation[i] != 0)
				continue;
			c = new_candidate(l, &l->round, p.x + i * l->n_vars, n);
			memcpy(c->value, p.f + i * l->n_obj, l->n_obj * sizeof *p.f);
			front[n++] = c;
		}
	}
	*n_out = n;
	return front;
}

static enum nasc_status write_results(struct loop *l, struct nasc_err *err)
{
	const struct candidate **failed =
		ARENA_NEW(&l->round, const struct candidate *, FAILED_LISTED);
	struct run_record r = { .summary = &l->sum,
				.reference = l->reference_known ? l->study->reference : NULL,
				.hv_scale = l->scale,
				.evaluator_s = l->evaluator_s };

	if (l->n_hv && l->hv[l->n_hv - 1].evaluations < l->sum.evaluations)
		add_hv_row(l);
	l->sum.wall_s = clock_s() - l->start_s;
	r.n_hv = l->n_hv;
	r.hv = l->hv;
	r.front = final_front(l, &l->sum.front);
	for (size_t i = 0; i < l->n_all && r.n_failed_listed < FAILED_LISTED; i++)
		if (l->all[i]->why)
			failed[r.n_failed_listed++] = l->all[i];
	r.failed = failed;
	return results_write(l->study, &r, l->options->out, err);
}

/* ---- study_run ---------------------------------------------------------------------------- */

static enum nasc_status loop_open(struct loop *l, struct nasc_err *err)
{
	struct study *s = l->study;
	const struct study_config *c = s->config;
	struct search_var *var;

	l->n_vars = study_vars(s);
	l->n_obj = s->n_objectives;
	var = ARENA_NEW(s->arena, struct search_var, l->n_vars);
	if (c->problem)
		c->problem->domain(var, l->n_vars, l->n_obj);
	for (size_t i = 0; !c->problem && i < l->n_vars; i++)
		var[i] = (struct search_var){ 0, s->space.gene[i].n_values - 1.0, true };
	l->domain = (struct search_domain){ .n_vars = l->n_vars,
					    .n_objectives = l->n_obj,
					    .var = var,
					    .canonical = c->problem ? NULL : canonical_genes,
					    .ctx = l };
	for (size_t k = 0; k < SEARCH_MAX_OBJECTIVES; k++) {
		l->best[k] = NAN;
		l->scale[k] = 1;
	}
	search_archive_init(&l->archive, l->n_obj, (size_t)c->memory.front, s->arena);
	l->front = ARENA_NEW(s->arena, const struct candidate *, (size_t)c->memory.front);
	l->front_f = ARENA_NEW(s->arena, double, (size_t)c->memory.front * l->n_obj);
	rng_stream(&l->rng, c->seed, RNG_STRATEGY, 0);
	if (search_open(&l->search, c->strategy, c->strategy_cfg, &l->domain, s->arena, &l->rng,
			(uint64_t)c->stop.evaluations, err))
		return nasc_wrap(err, "%s: strategy", c->doc.file);
	l->cap = l->search.ops->batch(&l->search);
	return scorer_open(&l->scorer, s, l->options, err);
}

static const struct candidate *first_broken(const struct loop *l)
{
	size_t i = 0;

	while (!l->all[i]->why || !l->all[i]->trained)
		i++;
	return l->all[i];
}

/* The bound that most candidates exceed more than any other; NULL: none is. */
static const struct study_bound *hardest_bound(const struct loop *l)
{
	const struct study_bound *hardest = NULL;
	size_t broken[STUDY_MAX_BOUNDS] = { 0 }, most = 0;

	for (size_t i = 0; i < l->n_all; i++) {
		const struct study_bound *worst = NULL;

		study_violation(l->study, l->all[i]->value, l->all[i]->trained, &worst);
		if (worst && ++broken[worst - l->study->bound] > most) {
			most = broken[worst - l->study->bound];
			hardest = worst;
		}
	}
	return hardest;
}

static enum nasc_status loop_run(struct loop *l, struct nasc_err *err)
{
	struct arena_mark mark = arena_mark(&l->round);
	enum nasc_status st = NASC_OK;

	while (!st && !(l->sum.stop_reason = stop_reason(l))) {
		st = run_round(l, err);
		if (!st)
			arena_rewind(&l->round, mark);
	}
	if (st && st != NASC_INTERRUPTED)
		return st;
	if (st)
		l->sum.stop_reason = "interrupted";
	report(l, true);
	if (st && l->sum.evaluations < l->replaced)
		return nasc_fail(err, st,
				 "interrupted; the same command with --resume goes on, no finished "
				 "evaluation is lost; %s is left as it was, with %llu candidates",
				 l->options->out, (unsigned long long)l->replaced);
	if (write_results(l, err))
		return err->code;
	if (st)
		return nasc_fail(err, st,
				 "interrupted; the same command with --resume goes on, no finished "
				 "evaluation is lost; %s holds the first %llu candidates",
				 l->options->out, (unsigned long long)l->sum.evaluations);
	if (l->sum.trained && l->n_broken == l->sum.trained)
		return nasc_fail(err, NASC_FAIL,
				 "all %llu evaluations failed (--resume asks again), the first "
				 "with: %s",
				 (unsigned long long)l->sum.trained, first_broken(l)->why);
	if (l->sum.front == 0)
		return nasc_fail(err, NASC_INFEASIBLE,
				 "none of %llu candidates kept every constraint%s%s; see %s",
				 (unsigned long long)l->sum.evaluations,
				 hardest_bound(l) ? ", most broke " : "",
				 hardest_bound(l) ? hardest_bound(l)->text : "", l->options->out);
	return NASC_OK;
}

/* Results that are to be replaced must come from the same run, as far as scores go. */
static enum nasc_status check_replaced(const struct study *s, const char *out,
				       uint64_t *evaluations, struct nasc_err *err)
{
	struct arena a = { 0 };
	struct study_config old;
	struct results r;
	enum nasc_status st = results_load(&out, 1, &a, &r, err);

	if (!st) {
		st = config_from_json(out, r.config, &a, &old, err);
		if (!st && strcmp(config_identity(&old, &a), config_identity(s->config, &a)) != 0)
			st = nasc_fail(err, NASC_CONFIG, "%s: " OF_ANOTHER_RUN, out);
		*evaluations = r.evaluations;
		results_close(&r);
	}
	arena_free(&a);
	return st;
}

enum nasc_status study_run(struct study *s, const struct study_options *o,
			   struct study_summary *out, struct nasc_err *err)
{
	struct loop l = { .study = s, .options = o };
	struct file_out probe = { 0 };
	enum nasc_status st;

	if (access(o->out, F_OK) == 0) {
		if (!o->resume)
			return nasc_fail(err, NASC_USAGE,
					 "%s: results of an earlier run; go on with --resume, or "
					 "give another --out",
					 o->out);
		if (check_replaced(s, o->out, &l.replaced, err))
			return err->code;
	}
	/* Hours later would be too late to find the folder missing or read-only. */
	if (file_begin(&probe, o->out, err))
		return err->code;
	file_abandon(&probe);
	l.start_s = clock_s();
	st = loop_open(&l, err);
	if (!st)
		st = loop_run(&l, err);
	*out = l.sum;
	if (l.search.ops && l.search.ops->close)
		l.search.ops->close(&l.search);
	scorer_close(l.scorer);
	arena_free(&l.round);
	free(l.all);
	free(l.slot);
	free(l.hv);
	return st;
}
