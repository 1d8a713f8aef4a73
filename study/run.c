/* The loop: ask, score, tell, until a stop rule holds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "loop.h"

/* ---- one round ------------------------------------------------------------------------ */

static uint32_t *genes_of(struct loop *l, const double *x)
{
	uint32_t *gene = ARENA_NEW(&l->round, uint32_t, l->n_vars);

	for (size_t i = 0; i < l->n_vars; i++)
		gene[i] = (uint32_t)x[i];
	return gene;
}

static void canonical_genes(double *x, void *ctx)
{
	struct loop *l = ctx;
	const struct space *space = &l->study->space;
	struct arena_mark mark = arena_mark(&l->round);
	uint32_t *gene = genes_of(l, x);

	space->ops->canonical(space, gene);
	for (size_t i = 0; i < space->n_genes; i++)
		x[i] = gene[i];
	arena_rewind(&l->round, mark);
}

static bool move_genes(double *x, struct rng *rng, void *ctx)
{
	struct loop *l = ctx;
	const struct space *space = &l->study->space;
	struct arena_mark mark = arena_mark(&l->round);
	uint32_t *gene = genes_of(l, x);
	bool moved;

	space->ops->canonical(space, gene);
	moved = space->ops->move(space, gene, rng);
	for (size_t i = 0; i < space->n_genes && moved; i++)
		x[i] = gene[i];
	arena_rewind(&l->round, mark);
	return moved;
}

/* What a round proposed: n rows for tell(), and those of them that are to be scored. */
struct proposals {
	size_t n, n_fresh, n_scored;
	double *x, *f, *violation;
	size_t *of; /* each row's place in fresh; SIZE_MAX: f and violation were remembered */
	struct candidate **fresh;
	bool whole; /* all are scored, as far as they are trained */
};

/* Row @i is new, or the same as one of this round, or one that was scored before. */
static void look_up(struct loop *l, struct proposals *p, size_t i)
{
	const double *x = p->x + i * l->n_vars;
	uint64_t id = l->sum.evaluations + p->n_fresh, first = l->sum.evaluations, seen;

	p->of[i] = p->n_fresh;
	if (!l->study->config->problem) {
		if (seen_find(&l->seen, x, &seen)) {
			p->of[i] = seen >= first ? (size_t)(seen - first) : SIZE_MAX;
			if (seen < first)
				p->violation[i] = seen_recall(&l->seen, seen, p->f + i * l->n_obj);
			return;
		}
		seen_add(&l->seen, x);
	}
	p->fresh[p->n_fresh++] = new_candidate(l, &l->round, x, id);
}

static void propose(struct loop *l, struct proposals *p)
{
	struct arena *a = &l->round;
	size_t cap = screen_room(l, stop_room(l));

	p->x = ARENA_NEW(a, double, cap * l->n_vars);
	p->f = ARENA_NEW(a, double, cap * l->n_obj);
	p->violation = ARENA_NEW(a, double, cap);
	p->of = ARENA_NEW(a, size_t, cap);
	p->fresh = ARENA_NEW(a, struct candidate *, cap);
	p->n_fresh = 0;
	p->n = l->screen ? screen_propose(l, p->x, cap) : 0;
	if (p->n == 0)
		p->n = l->search.ops->ask(&l->search, p->x, cap);
	for (size_t i = 0; i < p->n; i++)
		look_up(l, p, i);
}

static void tell(struct loop *l, struct proposals *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct candidate *c;

		if (p->of[i] == SIZE_MAX)
			continue;
		c = p->fresh[p->of[i]];
		objectives_of(l, c, p->f + i * l->n_obj);
		p->violation[i] = c->violation;
		if (!l->study->config->problem)
			seen_score(&l->seen, c->id, p->f + i * l->n_obj, c->violation);
	}
	l->search.ops->tell(&l->search, p->x, p->f, p->violation, p->n);
}

enum nasc_status score_batch(struct loop *l, struct candidate *const *batch, size_t n, size_t rung,
			     struct nasc_err *err)
{
	if (scorer_run(l->scorer, batch, n, rung, err))
		return err->code;
	for (size_t i = 0; i < n; i++)
		if (batch[i]->why) /* the scorer's, until it is called again */
			batch[i]->why = arena_strdup(&l->round, batch[i]->why);
	return NASC_OK;
}

/* Score what is new. While no evaluation has worked, no more are begun at once than it
 * takes to give up: a broken evaluator costs no whole round. */
static enum nasc_status score(struct loop *l, struct proposals *p, struct nasc_err *err)
{
	uint64_t enough = (uint64_t)l->study->config->failures.enough;
	uint64_t trained = l->sum.trained, broken = l->n_broken;

	p->n_scored = 0;
	p->whole = false;
	while (p->n_scored < p->n_fresh) {
		struct candidate **from = p->fresh + p->n_scored;
		size_t n = p->n_fresh - p->n_scored;
		bool doubtful = l->study->evaluator.ops && trained == broken;

		if (doubtful && broken >= enough)
			return NASC_OK;
		if (doubtful && enough - broken < n)
			n = (size_t)(enough - broken);
		if (score_batch(l, from, n, 0, err))
			return err->code;
		for (size_t i = 0; i < n; i++) {
			trained += from[i]->trained;
			broken += from[i]->trained && from[i]->why;
		}
		p->n_scored += n;
	}
	p->whole = !fidelity_climb(l, p->fresh, p->n_fresh, err);
	return p->whole ? NASC_OK : err->code;
}

/* Of a round that was not finished: what was scored all the same. */
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
	l->round_so_far = (struct tally){ 0 };
	take_stock(l, fresh, kept);
}

static enum nasc_status run_round(struct loop *l, struct nasc_err *err)
{
	struct proposals p;

	propose(l, &p);
	l->round_so_far = (struct tally){ 0 };
	if (score(l, &p, err) && err->code != NASC_INTERRUPTED)
		return err->code;
	if (!p.whole) {
		bool cancelled = l->options->cancel && atomic_load(l->options->cancel);

		take_scored(l, p.fresh, p.n_fresh);
		return cancelled ? err->code : NASC_OK; /* else a stop rule holds now */
	}
	tell(l, &p);
	screen_learn(l, p.fresh, p.n_fresh);
	l->sum.evaluations += p.n_fresh;
	l->sum.duplicates += p.n - p.n_fresh;
	l->search.repeats = l->sum.duplicates;
	l->stale = p.n_fresh ? 0 : l->stale + p.n;
	take_stock(l, p.fresh, p.n_fresh);
	l->round_so_far = (struct tally){ 0 };
	measure(l);
	report(l, false);
	return NASC_OK;
}

/* ---- study_run ---------------------------------------------------------------------------- */

static enum nasc_status write_results(struct loop *l, struct nasc_err *err)
{
	struct run_record r = { .summary = &l->sum,
				.failed = l->failed,
				.n_failed_listed = l->n_failed,
				.reference = l->reference_known ? l->study->reference : NULL,
				.hv_scale = l->scale,
				.evaluator_s = l->evaluator_s };

	measure_end(l);
	l->sum.state_bytes = scorer_state_bytes(l->scorer);
	l->sum.wall_s = clock_s() - l->start_s;
	l->sum.surrogate = screen_report(l);
	r.n_hv = l->n_hv;
	r.hv = l->hv;
	r.front = final_front(l, &l->sum.front);
	return results_write(l->study, &r, l->options->out, err);
}

static enum nasc_status open_strategy(struct loop *l, uint64_t budget, struct nasc_err *err)
{
	const struct study_config *c = l->study->config;

	rng_stream(&l->rng, c->seed, RNG_STRATEGY, 0);
	if (search_open(&l->search, c->strategy, c->strategy_cfg, &l->domain, l->study->arena,
			&l->rng, budget, err))
		return nasc_wrap(err, "%s: strategy", c->doc.file);
	return NASC_OK;
}

static enum nasc_status loop_open(struct loop *l, struct nasc_err *err)
{
	struct study *s = l->study;
	const struct study_config *c = s->config;
	struct search_var *var;
	struct arena_mark mark;

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
					    .move = c->space && c->space->move ? move_genes : NULL,
					    .ctx = l };
	mark = arena_mark(s->arena);
	if (open_strategy(l, (uint64_t)c->stop.evaluations, err))
		return err->code;
	l->cap = l->search.ops->batch(&l->search);
	stop_init(l);
	/* A strategy that plans ahead must know the real end, which a limit in generations
	 * gives only when their size is known. */
	if (l->limit < (uint64_t)c->stop.evaluations) {
		arena_rewind(s->arena, mark);
		if (open_strategy(l, l->limit, err))
			return err->code;
	}
	kept_init(l);
	screen_open(l);
	fidelity_init(&l->fidelity, s, l->cap, s->arena);
	return scorer_open(&l->scorer, s, l->options, report_scored, l, err);
}

static const char *how_to_go_on(const struct loop *l)
{
	return l->study->evaluator.ops ? "the same command with --resume goes on, no finished "
					 "evaluation is lost"
				       : "the same command with --resume costs all of them again";
}

static bool all_broken(const struct loop *l)
{
	return l->sum.trained && l->n_broken == l->sum.trained;
}

/* A run that was cut short, or whose evaluator is down, says less than what is there. */
static bool keeps_results(const struct loop *l, enum nasc_status st)
{
	return l->sum.evaluations < l->replaced && (st || stop_is_time(l) || all_broken(l));
}

static enum nasc_status keep_results(struct loop *l, enum nasc_status st, struct nasc_err *err)
{
	const char *reason = l->sum.stop_reason;

	l->sum.stop_reason = NULL;
	return nasc_fail(err, st,
			 "stopped (%s) after %llu candidates%s%s; %s; %s is left as it was, with "
			 "%llu",
			 reason, (unsigned long long)l->sum.evaluations,
			 all_broken(l) ? ", the first with: " : "",
			 all_broken(l) ? l->first_broken : "", how_to_go_on(l), l->options->out,
			 (unsigned long long)l->replaced);
}

static enum nasc_status loop_run(struct loop *l, struct nasc_err *err)
{
	struct arena_mark mark = arena_mark(&l->round);
	enum nasc_status st = NASC_OK;

	report(l, false);
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
	if (keeps_results(l, st))
		return keep_results(l, st ? st : NASC_FAIL, err);
	if (scorer_may_write(l->scorer, err) || write_results(l, err)) {
		l->sum.stop_reason = NULL;
		return err->code;
	}
	if (st)
		return nasc_fail(err, st, "interrupted; %s; %s holds %llu candidates",
				 how_to_go_on(l), l->options->out,
				 (unsigned long long)l->sum.evaluations);
	if (all_broken(l))
		return nasc_fail(err, NASC_FAIL,
				 "all %llu evaluations failed (--resume --retry-failed asks "
				 "again), the first with: %s",
				 (unsigned long long)l->sum.trained, l->first_broken);
	if (l->sum.evaluations == 0)
		return nasc_fail(err, NASC_FAIL, "stopped (%s) before any candidate was scored",
				 l->sum.stop_reason);
	if (l->sum.front == 0)
		return nasc_fail(err, NASC_INFEASIBLE,
				 "none of %llu candidates kept every constraint%s%s; see %s",
				 (unsigned long long)l->sum.evaluations,
				 l->hardest ? ", most broke " : "",
				 l->hardest ? l->hardest->text : "", l->options->out);
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
		st = config_from_json(out, r.config, NULL, 0, &a, &old, err);
		if (!st && strcmp(config_identity(&old, CONFIG_SCORES, &a),
				  config_identity(s->config, CONFIG_SCORES, &a)) != 0)
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
			return results_in_the_way(o->out, err);
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
	scorer_close(l.scorer, st && st != NASC_INFEASIBLE);
	arena_free(&l.round);
	free(l.kept);
	free(l.hv);
	return st;
}
