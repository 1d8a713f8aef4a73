#include "strategies.h"

#include <math.h>
#include <string.h>

#include "amosa_archive.h"
#include "variation.h"

struct amosa_cfg {
	int64_t archive, soft_limit, truncation, starts, burn_in, temperatures, return_every;
	int64_t integer_mutation, batch;
	double initial_temperature, final_temperature, step;
	double differential, differential_weight, differential_rate, move_rate;
};

/* Beyond the published: returns to the archive, without which the walk can stay in one part
 * of an integer space; and, not by default, truncation by hypervolume and moves along
 * differences (Storn, Price, J. Global Optimization 11(4) 1997). */
static const char *const truncation_names[] = { "clustering", "hypervolume", NULL };

static const struct cfg_field amosa_fields[] = {
	CFG_INT_FIELD(struct amosa_cfg, archive, "100", 10, 1e5, "candidates",
		      "size the archive is cut to (hard limit)"),
	CFG_INT_FIELD(struct amosa_cfg, soft_limit, "0", 0, 2e5, "candidates",
		      "size above which the archive is clustered; 0: a twentieth above 'archive'"),
	CFG_CHOICE_FIELD(
		struct amosa_cfg, truncation, "clustering", truncation_names,
		"who leaves the archive: by clusters, as published, or the least volume at once; "
		"the latter finds the best fronts with differential 0.9 and return_every 1"),
	CFG_INT_FIELD(struct amosa_cfg, starts, "100", 1, 1e6, "candidates",
		      "random candidates to begin with, at most a tenth of the budget"),
	CFG_INT_FIELD(struct amosa_cfg, burn_in, "20", 0, 1e6, "moves",
		      "moves that measure the initial temperature, at most a tenth of the budget"),
	CFG_INT_FIELD(struct amosa_cfg, temperatures, "500", 1, 1e6, "temperatures",
		      "steps of the geometric cooling"),
	CFG_REAL_FIELD(struct amosa_cfg, initial_temperature, "1", 1e-12, 1e6, UNIT_NONE, "",
		       "in units of the mean worsening in the burn-in over ln 2"),
	CFG_REAL_FIELD(struct amosa_cfg, final_temperature, "1e-8", 1e-12, 1, UNIT_NONE, "",
		       "in units of the initial temperature"),
	CFG_REAL_FIELD(struct amosa_cfg, step, "0.1", 1e-6, 1, UNIT_NONE, "ranges",
		       "mean length of the moves of real variables"),
	CFG_REAL_FIELD(struct amosa_cfg, differential, "0", 0, 1, UNIT_NONE, "probability",
		       "chance of a move along the difference of two archive members"),
	CFG_REAL_FIELD(struct amosa_cfg, differential_weight, "0.8", 0, 2, UNIT_NONE, "",
		       "part of the difference that is added"),
	CFG_REAL_FIELD(struct amosa_cfg, differential_rate, "0.1", 0, 1, UNIT_NONE, "probability",
		       "chance that a variable takes part in it; one always does"),
	CFG_INT_FIELD(struct amosa_cfg, return_every, "100", 0, 1e9, "moves",
		      "moves after which a random archive member becomes the current point, an "
		      "addition to the paper; 0: never, as published"),
	CFG_CHOICE_FIELD(struct amosa_cfg, integer_mutation, "any", variation_step_names,
			 "where an integer variable moves to: any other value, or one step off "
			 "(either end half as often as the rest)"),
	VARIATION_MOVE_FIELD(struct amosa_cfg),
	CFG_INT_FIELD(struct amosa_cfg, batch, "1", 1, 1e5, "moves",
		      "moves proposed at once; 1: as published"),
	CFG_END,
};

/* Moves planned where the budget is not known. */
#define MOVES_UNKNOWN 25000
/* Objectives that differ by less than this part of their range count as equal:
 * rounding noise would make the product of the differences vanish. */
#define SAME 1e-9
/* Attempts to move off the current point; a bound or canonical() may undo one. */
#define REDRAWS_MAX 64

struct amosa_point {
	double *x, *f, violation;
};

struct amosa_state {
	uint64_t told, starts, burn_in, moves;
	struct amosa_archive archive;
	bool have; /* a current point */
	struct amosa_point now;
	double worse_sum; /* amounts of domination met in the burn-in */
	uint64_t worse_n;
	double temperature;
	struct amosa_point *from; /* batch: what each proposal returned to ... */
	bool *returned;		  /* ... if it did */
};

static uint64_t at_most(uint64_t n, uint64_t limit)
{
	return n < limit ? n : limit;
}

static struct amosa_point new_point(const struct search *s)
{
	return (struct amosa_point){ .x = ARENA_NEW(s->arena, double, s->domain->n_vars),
				     .f = ARENA_NEW(s->arena, double, s->domain->n_objectives) };
}

static enum nasc_status amosa_open(struct search *s, struct nasc_err *err)
{
	const struct amosa_cfg *cfg = s->cfg;
	struct amosa_state *st = s->state;
	size_t hard = (size_t)cfg->archive, batch = (size_t)cfg->batch;
	size_t soft = cfg->soft_limit > 0 ? (size_t)cfg->soft_limit : hard + hard / 20;
	uint64_t budget = s->budget ? s->budget : MOVES_UNKNOWN;

	if (soft < hard)
		return nasc_fail(err, NASC_CONFIG,
				 "soft_limit: %lld is below 'archive', which is %lld",
				 (long long)cfg->soft_limit, (long long)cfg->archive);
	amosa_archive_init(&st->archive, s->domain, (enum amosa_truncation)cfg->truncation, hard,
			   soft, s->arena);
	st->starts = at_most((uint64_t)cfg->starts, budget / 10 + 1);
	st->burn_in = at_most((uint64_t)cfg->burn_in, budget / 10);
	st->moves = budget - at_most(budget, st->starts + st->burn_in);
	st->now = new_point(s);
	st->temperature = INFINITY;
	st->returned = ARENA_NEW(s->arena, bool, batch);
	st->from = ARENA_NEW(s->arena, struct amosa_point, batch);
	for (size_t i = 0; i < batch && cfg->return_every > 0; i++)
		st->from[i] = new_point(s);
	return NASC_OK;
}

/* Part of the annealing that is over, 0 .. 1. What cost none of the budget does not count. */
static double progress(const struct search *s)
{
	const struct amosa_state *st = s->state;
	uint64_t before = st->starts + st->burn_in + s->repeats;

	if (st->told <= before)
		return 0;
	return st->told - before < st->moves ? (double)(st->told - before) / (double)st->moves : 1;
}

static size_t amosa_batch(const struct search *s)
{
	const struct amosa_cfg *cfg = s->cfg;
	const struct amosa_state *st = s->state;

	return search_room(st->starts, st->told, cfg->batch);
}

/* Change one variable that has a choice: reals by a step of the Laplace distribution, cut
 * off at the bounds. */
static void change_one(struct search *s, double *x)
{
	const struct amosa_cfg *cfg = s->cfg;
	size_t i = variation_pick(s->domain, s->rng);
	const struct search_var *var;

	if (i == s->domain->n_vars)
		return;
	var = &s->domain->var[i];
	if (var->integer) {
		x[i] = variation_another(var, (enum variation_step)cfg->integer_mutation, s->rng,
					 x[i]);
	} else {
		double step = -log(1 - rng_unit(s->rng)) * cfg->step * (var->hi - var->lo);

		x[i] += rng_u64(s->rng) >> 63 ? step : -step;
		x[i] = fmin(fmax(x[i], var->lo), var->hi);
	}
}

/* Add the difference of two members of the archive; an integer takes the first one's
 * value instead. */
static void change_along(struct search *s, double *x)
{
	const struct amosa_cfg *cfg = s->cfg;
	const struct amosa_archive *all = &((const struct amosa_state *)s->state)->archive;
	size_t n_vars = s->domain->n_vars;
	size_t one = (size_t)rng_below(s->rng, n_vars), a = (size_t)rng_below(s->rng, all->n);
	size_t b = (size_t)rng_below(s->rng, all->n - 1);
	const double *to = all->x + a * n_vars, *from = all->x + (b + (b >= a)) * n_vars;

	for (size_t i = 0; i < n_vars; i++) {
		const struct search_var *var = &s->domain->var[i];

		if (i != one && rng_unit(s->rng) >= cfg->differential_rate)
			continue;
		if (var->integer)
			x[i] = to[i];
		else
			x[i] = fmin(
				fmax(x[i] + cfg->differential_weight * (to[i] - from[i]), var->lo),
				var->hi);
	}
}

/* A changed copy of @from into @x. */
static void move(struct search *s, const double *from, double *x)
{
	const struct amosa_cfg *cfg = s->cfg;
	const struct amosa_state *st = s->state;
	size_t n_vars = s->domain->n_vars;

	for (int t = 0; t < REDRAWS_MAX; t++) {
		memcpy(x, from, n_vars * sizeof *x);
		if (!variation_move(s->domain, cfg->move_rate, s->rng, x)) {
			if (st->archive.n > 1 && cfg->differential > 0 &&
			    rng_unit(s->rng) < cfg->differential)
				change_along(s, x);
			else
				change_one(s, x);
		}
		variation_settle(s->domain, x);
		for (size_t i = 0; i < n_vars; i++)
			if (x[i] != from[i])
				return;
	}
}

static void copy_point(const struct search *s, struct amosa_point *to, const double *x,
		       const double *f, double violation)
{
	memcpy(to->x, x, s->domain->n_vars * sizeof *x);
	memcpy(to->f, f, s->domain->n_objectives * sizeof *f);
	to->violation = violation;
}

static void copy_any_member(struct search *s, struct amosa_point *to)
{
	const struct amosa_archive *a = &((const struct amosa_state *)s->state)->archive;
	size_t pick = (size_t)rng_below(s->rng, a->n);

	copy_point(s, to, a->x + pick * a->n_vars, a->f + pick * a->m, 0);
}

/* Up to @n moves; a return is made known to the moves behind it and to tell(). */
static void move_many(struct search *s, double *x, size_t n)
{
	const struct amosa_cfg *cfg = s->cfg;
	struct amosa_state *st = s->state;
	uint64_t every = (uint64_t)cfg->return_every, made = st->told - st->starts;
	const double *from = st->now.x;

	for (size_t i = 0; i < n; i++) {
		st->returned[i] = every > 0 && (made + i) % every == 0 && st->archive.n > 0;
		if (st->returned[i]) {
			copy_any_member(s, &st->from[i]);
			from = st->from[i].x;
		}
		move(s, from, x + i * s->domain->n_vars);
	}
}

static size_t amosa_ask(struct search *s, double *x, size_t cap)
{
	const struct amosa_cfg *cfg = s->cfg;
	const struct amosa_state *st = s->state;
	size_t n = search_proposals(st->starts, st->told, cfg->batch);

	n = n < cap ? n : cap;
	if (st->told >= st->starts)
		move_many(s, x, n);
	else
		for (size_t i = 0; i < n; i++)
			variation_sample(s->domain, s->rng, x + i * s->domain->n_vars);
	return n;
}

static void set_current(struct search *s, const double *x, const double *f, double violation)
{
	struct amosa_state *st = s->state;

	copy_point(s, &st->now, x, f, violation);
	st->have = true;
}

/* Amount of domination: product of the differences, in ranges, of the objectives
 * that differ; 0 where none does. */
static double amount(const double *a, const double *b, const double *range, size_t m)
{
	double product = 1;
	bool differ = false;

	for (size_t k = 0; k < m; k++) {
		double d = fabs(a[k] - b[k]);

		if (d > SAME * range[k]) {
			product *= d / range[k];
			differ = true;
		}
	}
	return differ ? product : 0;
}

static bool accept(struct search *s, double worsening)
{
	const struct amosa_state *st = s->state;

	return rng_unit(s->rng) < 1 / (1 + exp(worsening / st->temperature));
}

/* The members of the archive that dominate a point. */
struct dominators {
	size_t n, nearest;
	double sum, least; /* of the amounts; least is the nearest's */
};

static struct dominators find_dominators(const struct search *s, const double *f,
					 const double *range)
{
	const struct amosa_archive *all = &((const struct amosa_state *)s->state)->archive;
	size_t m = s->domain->n_objectives;
	struct dominators d = { .least = INFINITY };

	for (size_t i = 0; i < all->n; i++) {
		double a;

		if (search_compare(all->f + i * m, f, m) != -1)
			continue;
		a = amount(all->f + i * m, f, range, m);
		d.n++;
		d.sum += a;
		if (a < d.least) {
			d.least = a;
			d.nearest = i;
		}
	}
	return d;
}

/* One feasible move from a feasible point. */
static void step_feasible(struct search *s, const double *x, const double *f)
{
	struct amosa_state *st = s->state;
	struct amosa_archive *a = &st->archive;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives;
	double range[SEARCH_MAX_OBJECTIVES];
	int order = search_compare(st->now.f, f, m);
	struct dominators d;
	bool take = true;

	for (size_t k = 0; k < m; k++)
		range[k] = fmax(fmax(a->hi[k], st->now.f[k]), f[k]) -
			   fmin(fmin(a->lo[k], st->now.f[k]), f[k]);
	d = find_dominators(s, f, range);
	if (order == -1) {
		double own = amount(st->now.f, f, range, m);

		if (st->told < st->starts + st->burn_in) {
			st->worse_sum += own;
			st->worse_n++;
		}
		take = accept(s, (d.sum + own) / (double)(d.n + 1));
	} else if (d.n == 0) {
		amosa_archive_add(&st->archive, x, f);
	} else if (order == 0) {
		take = accept(s, d.sum / (double)d.n);
	} else if (rng_unit(s->rng) < 1 / (1 + exp(-d.least))) {
		set_current(s, a->x + d.nearest * n_vars, a->f + d.nearest * m, 0);
		take = false;
	}
	if (take)
		set_current(s, x, f, 0);
}

/* The feasible before the infeasible, and of those the less violating one, but
 * for what the temperature lets pass. */
static void step(struct search *s, const double *x, const double *f, double violation)
{
	struct amosa_state *st = s->state;
	double now = st->now.violation;

	if (!(violation > 0) && now > 0) {
		amosa_archive_add(&st->archive, x, f);
		set_current(s, x, f, violation);
	} else if (!(violation > 0)) {
		step_feasible(s, x, f);
	} else if (now > 0 && (violation <= now || accept(s, 1 - now / violation))) {
		set_current(s, x, f, violation);
	}
}

static void start(struct search *s, const double *x, const double *f, double violation)
{
	struct amosa_state *st = s->state;

	if (!(violation > 0))
		amosa_archive_add(&st->archive, x, f);
	if (!st->have || violation < st->now.violation)
		set_current(s, x, f, violation);
	if (st->told + 1 == st->starts && st->archive.n > 0)
		copy_any_member(s, &st->now);
}

/* Temperatures stand still for a part of the moves each. */
static void cool(struct search *s)
{
	const struct amosa_cfg *cfg = s->cfg;
	struct amosa_state *st = s->state;
	double levels = (double)cfg->temperatures, level, mean = 1;

	if (st->told < st->starts + st->burn_in)
		return;
	if (st->worse_sum > 0)
		mean = st->worse_sum / (double)st->worse_n;
	level = fmin(floor(progress(s) * levels), levels - 1);
	st->temperature = cfg->initial_temperature * mean / log(2) *
			  pow(cfg->final_temperature, level / fmax(levels - 1, 1));
}

static void amosa_tell(struct search *s, const double *x, const double *f, const double *violation,
		       size_t n)
{
	struct amosa_state *st = s->state;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives;

	for (size_t i = 0; i < n; i++) {
		cool(s);
		if (st->told < st->starts) {
			start(s, x + i * n_vars, f + i * m, violation[i]);
		} else {
			if (st->returned[i])
				set_current(s, st->from[i].x, st->from[i].f, 0);
			step(s, x + i * n_vars, f + i * m, violation[i]);
		}
		st->told++;
	}
}

static void amosa_answer(const struct search *s, struct search_points *out)
{
	struct amosa_state *st = s->state;

	if (st->archive.n > 0)
		*out = amosa_archive_answer(&st->archive);
	else
		*out = (struct search_points){ st->have, st->now.x, st->now.f, &st->now.violation };
}

const struct search_ops search_amosa = {
	.name = "amosa",
	.summary = "archived multi-objective simulated annealing, with returns to the archive",
	.source = "Bandyopadhyay, Saha, Maulik, Deb, IEEE TEVC 12(3) 2008",
	.fields = amosa_fields,
	.cfg_size = sizeof(struct amosa_cfg),
	.state_size = sizeof(struct amosa_state),
	.plans = true,
	.walks = true,
	.open = amosa_open,
	.batch = amosa_batch,
	.ask = amosa_ask,
	.tell = amosa_tell,
	.answer = amosa_answer,
};
