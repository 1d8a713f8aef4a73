#include "strategies.h"

#include <math.h>
#include <string.h>

#include "cluster.h"
#include "contribution.h"
#include "variation.h"

struct amosa_cfg {
	int64_t archive, soft_limit, truncation, starts, burn_in, temperatures, return_every;
	int64_t integer_mutation, batch;
	double initial_temperature, final_temperature, first_step, last_step, step_decay;
	double differential, differential_weight, differential_rate;
};

/* Beyond the published: truncation by hypervolume (contribution.h), moves along
 * differences (Storn, Price, J. Global Optimization 11(4) 1997), returns. */
enum amosa_truncation { CLUSTERING, HYPERVOLUME };
static const char *const truncation_names[] = { "clustering", "hypervolume", NULL };

static const struct cfg_field amosa_fields[] = {
	CFG_INT_FIELD(struct amosa_cfg, archive, "100", 10, 1e5, "candidates",
		      "size the archive is clustered to (hard limit)"),
	CFG_INT_FIELD(struct amosa_cfg, soft_limit, "105", 10, 2e5, "candidates",
		      "size above which the archive is clustered"),
	CFG_CHOICE_FIELD(struct amosa_cfg, truncation, "clustering", truncation_names,
			 "who leaves the archive: by clusters as published, or the least volume"),
	CFG_INT_FIELD(struct amosa_cfg, starts, "200", 1, 1e6, "candidates",
		      "random candidates to begin with, at most a tenth of the budget"),
	CFG_INT_FIELD(struct amosa_cfg, burn_in, "20", 0, 1e6, "moves",
		      "moves that measure the initial temperature, at most a tenth of the budget"),
	CFG_INT_FIELD(struct amosa_cfg, temperatures, "500", 1, 1e6, "temperatures",
		      "steps of the geometric cooling"),
	CFG_REAL_FIELD(struct amosa_cfg, initial_temperature, "1", 1e-12, 1e6, UNIT_NONE, "",
		       "in units of the mean worsening in the burn-in over ln 2"),
	CFG_REAL_FIELD(struct amosa_cfg, final_temperature, "1e-6", 1e-12, 1, UNIT_NONE, "",
		       "in units of the initial temperature"),
	CFG_REAL_FIELD(struct amosa_cfg, first_step, "0.1", 1e-6, 1, UNIT_NONE, "ranges",
		       "scale of the moves of real variables at the beginning"),
	CFG_REAL_FIELD(struct amosa_cfg, last_step, "0.05", 1e-6, 1, UNIT_NONE, "ranges",
		       "the same at the end"),
	CFG_REAL_FIELD(struct amosa_cfg, step_decay, "1", 1e-3, 10, UNIT_NONE, "",
		       "power of the progress that the scale falls with; below 1: early"),
	CFG_REAL_FIELD(struct amosa_cfg, differential, "0", 0, 1, UNIT_NONE, "probability",
		       "chance of a move along the difference of two archive members"),
	CFG_REAL_FIELD(struct amosa_cfg, differential_weight, "0.8", 0, 2, UNIT_NONE, "",
		       "part of the difference that is added"),
	CFG_REAL_FIELD(struct amosa_cfg, differential_rate, "0.1", 0, 1, UNIT_NONE, "probability",
		       "chance that a variable takes part in it; one always does"),
	CFG_INT_FIELD(struct amosa_cfg, return_every, "0", 0, 1e9, "moves",
		      "moves after which a random archive member becomes the current point; "
		      "0: never"),
	CFG_CHOICE_FIELD(struct amosa_cfg, integer_mutation, "any", variation_step_names,
			 "where an integer variable moves to: any other value, or one step off"),
	CFG_INT_FIELD(struct amosa_cfg, batch, "1", 1, 1e5, "moves",
		      "moves proposed at once from one point; 1: as published"),
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
	/* the archive: feasible, mutually non-dominated, all f different */
	size_t n;
	double *x, *f;						     /* soft_limit + 1 */
	double lo[SEARCH_MAX_OBJECTIVES], hi[SEARCH_MAX_OBJECTIVES]; /* of f */
	bool have;						     /* a current point */
	struct amosa_point now;
	double worse_sum; /* amounts of domination met in the burn-in */
	uint64_t worse_n;
	double temperature;
	uint32_t *kept;		   /* soft_limit + 1 */
	struct contribution front; /* room to truncate by volume */
	bool *stays;		   /* soft_limit + 1 */
	/* the archive cut to its hard limit */
	bool cut_valid;
	double *cut_x, *cut_f, *zero;
};

static uint64_t at_most(uint64_t n, uint64_t limit)
{
	return n < limit ? n : limit;
}

static enum nasc_status amosa_open(struct search *s, struct nasc_err *err)
{
	const struct amosa_cfg *cfg = s->cfg;
	struct amosa_state *st = s->state;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives;
	size_t most = (size_t)cfg->soft_limit + 1, hard = (size_t)cfg->archive;
	uint64_t budget = s->budget ? s->budget : MOVES_UNKNOWN;

	if (cfg->soft_limit < cfg->archive)
		return nasc_fail(err, NASC_CONFIG,
				 "soft_limit: %lld is below 'archive', which is %lld",
				 (long long)cfg->soft_limit, (long long)cfg->archive);
	st->starts = at_most((uint64_t)cfg->starts, budget / 10 + 1);
	st->burn_in = at_most((uint64_t)cfg->burn_in, budget / 10);
	st->moves = budget - at_most(budget, st->starts + st->burn_in);
	st->x = ARENA_NEW(s->arena, double, most *n_vars);
	st->f = ARENA_NEW(s->arena, double, most *m);
	st->kept = ARENA_NEW(s->arena, uint32_t, most);
	st->cut_x = ARENA_NEW(s->arena, double, hard *n_vars);
	st->cut_f = ARENA_NEW(s->arena, double, hard *m);
	st->zero = ARENA_NEW(s->arena, double, hard);
	st->now.x = ARENA_NEW(s->arena, double, n_vars);
	st->now.f = ARENA_NEW(s->arena, double, m);
	st->temperature = INFINITY;
	if (cfg->truncation == HYPERVOLUME) {
		contribution_init(&st->front, m, most, s->arena);
		st->stays = ARENA_NEW(s->arena, bool, most);
	}
	return NASC_OK;
}

/* Part of the annealing that is over, 0 .. 1. */
static double progress(const struct amosa_state *st)
{
	uint64_t before = st->starts + st->burn_in;

	if (st->told <= before)
		return 0;
	return st->told - before < st->moves ? (double)(st->told - before) / (double)st->moves : 1;
}

/* How many can be proposed before any is told. */
static size_t proposals(const struct search *s)
{
	const struct amosa_cfg *cfg = s->cfg;
	const struct amosa_state *st = s->state;

	return st->told < st->starts ? (size_t)(st->starts - st->told) : (size_t)cfg->batch;
}

/* Room for the larger of starts and batch, so that it suffices to ask for it once. */
static size_t amosa_batch(const struct search *s)
{
	const struct amosa_cfg *cfg = s->cfg;
	size_t n = proposals(s);

	return n > (size_t)cfg->batch ? n : (size_t)cfg->batch;
}

/* Change one variable: reals by a step of the Laplace distribution, cut off at
 * the bounds. */
static void change_one(struct search *s, double scale, double *x)
{
	const struct amosa_cfg *cfg = s->cfg;
	size_t i = (size_t)rng_below(s->rng, s->domain->n_vars);
	const struct search_var *var = &s->domain->var[i];

	if (!(var->lo < var->hi))
		return;
	if (var->integer) {
		x[i] = variation_another(var, (enum variation_step)cfg->integer_mutation, s->rng,
					 x[i]);
	} else {
		double step = -log(1 - rng_unit(s->rng)) * scale * (var->hi - var->lo);

		x[i] += rng_u64(s->rng) >> 63 ? step : -step;
		x[i] = fmin(fmax(x[i], var->lo), var->hi);
	}
}

/* Add the difference of two members of the archive; an integer takes the first one's
 * value instead. */
static void change_along(struct search *s, double *x)
{
	const struct amosa_cfg *cfg = s->cfg;
	const struct amosa_state *st = s->state;
	size_t n_vars = s->domain->n_vars;
	size_t one = (size_t)rng_below(s->rng, n_vars), a = (size_t)rng_below(s->rng, st->n);
	size_t b = (size_t)rng_below(s->rng, st->n - 1);
	const double *to = st->x + a * n_vars, *from = st->x + (b + (b >= a)) * n_vars;

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

static void move(struct search *s, double scale, double *x)
{
	const struct amosa_cfg *cfg = s->cfg;
	const struct amosa_state *st = s->state;
	size_t n_vars = s->domain->n_vars;

	for (int t = 0; t < REDRAWS_MAX; t++) {
		memcpy(x, st->now.x, n_vars * sizeof *x);
		if (st->n > 1 && cfg->differential > 0 && rng_unit(s->rng) < cfg->differential)
			change_along(s, x);
		else
			change_one(s, scale, x);
		variation_settle(s->domain, x);
		for (size_t i = 0; i < n_vars; i++)
			if (x[i] != st->now.x[i])
				return;
	}
}

static size_t amosa_ask(struct search *s, double *x, size_t cap)
{
	const struct amosa_cfg *cfg = s->cfg;
	const struct amosa_state *st = s->state;
	size_t n = proposals(s);
	double scale = cfg->first_step *
		       pow(cfg->last_step / cfg->first_step, pow(progress(st), cfg->step_decay));

	n = n < cap ? n : cap;
	for (size_t i = 0; i < n; i++) {
		if (st->told < st->starts)
			variation_sample(s->domain, s->rng, x + i * s->domain->n_vars);
		else
			move(s, scale, x + i * s->domain->n_vars);
	}
	return n;
}

static void set_current(struct search *s, const double *x, const double *f, double violation)
{
	struct amosa_state *st = s->state;

	memcpy(st->now.x, x, s->domain->n_vars * sizeof *x);
	memcpy(st->now.f, f, s->domain->n_objectives * sizeof *f);
	st->now.violation = violation;
	st->have = true;
}

static void copy_kept(const struct search *s, size_t n, double *x, double *f)
{
	const struct amosa_state *st = s->state;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives;

	for (size_t i = 0; i < n; i++) {
		memmove(x + i * n_vars, st->x + st->kept[i] * n_vars, n_vars * sizeof *x);
		memmove(f + i * m, st->f + st->kept[i] * m, m * sizeof *f);
	}
}

/* The members that stay when the archive is cut to its hard limit, into kept. */
static void choose(const struct search *s)
{
	const struct amosa_cfg *cfg = s->cfg;
	struct amosa_state *st = s->state;
	size_t m = s->domain->n_objectives, hard = (size_t)cfg->archive, n = 0;

	if (cfg->truncation == CLUSTERING) {
		cluster_choose(st->f, st->n, m, hard, st->kept, s->arena);
		return;
	}
	contribution_clear(&st->front);
	for (size_t i = 0; i < st->n; i++) {
		contribution_add(&st->front, st->f + i * m, (uint32_t)i);
		st->stays[i] = true;
	}
	while (st->front.n > hard) {
		uint32_t least = contribution_least(&st->front);

		contribution_drop(&st->front, least);
		st->stays[least] = false;
	}
	for (size_t i = 0; i < st->n; i++)
		if (st->stays[i])
			st->kept[n++] = (uint32_t)i;
}

/* Put a feasible point into the archive unless a member dominates or equals it;
 * members it dominates leave. */
static void archive_add(struct search *s, const double *x, const double *f)
{
	const struct amosa_cfg *cfg = s->cfg;
	struct amosa_state *st = s->state;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives, left = 0;

	for (size_t i = 0; i < st->n; i++) {
		bool better = false, worse = false;

		for (size_t k = 0; k < m; k++) {
			better |= f[k] < st->f[i * m + k];
			worse |= f[k] > st->f[i * m + k];
		}
		if (!better)
			return;
		if (worse)
			st->kept[left++] = (uint32_t)i;
	}
	if (left < st->n)
		copy_kept(s, left, st->x, st->f);
	memcpy(st->x + left * n_vars, x, n_vars * sizeof *x);
	memcpy(st->f + left * m, f, m * sizeof *f);
	st->n = left + 1;
	if (st->n > (size_t)cfg->soft_limit) {
		choose(s);
		st->n = (size_t)cfg->archive;
		copy_kept(s, st->n, st->x, st->f);
	}
	for (size_t k = 0; k < m; k++) {
		st->lo[k] = INFINITY;
		st->hi[k] = -INFINITY;
		for (size_t i = 0; i < st->n; i++) {
			st->lo[k] = fmin(st->lo[k], st->f[i * m + k]);
			st->hi[k] = fmax(st->hi[k], st->f[i * m + k]);
		}
	}
	st->cut_valid = false;
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
	const struct amosa_state *st = s->state;
	size_t m = s->domain->n_objectives;
	struct dominators d = { .least = INFINITY };

	for (size_t i = 0; i < st->n; i++) {
		double a;

		if (search_compare(st->f + i * m, f, m) != -1)
			continue;
		a = amount(st->f + i * m, f, range, m);
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
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives;
	double range[SEARCH_MAX_OBJECTIVES];
	int order = search_compare(st->now.f, f, m);
	struct dominators d;
	bool take = true;

	for (size_t k = 0; k < m; k++)
		range[k] = fmax(fmax(st->hi[k], st->now.f[k]), f[k]) -
			   fmin(fmin(st->lo[k], st->now.f[k]), f[k]);
	d = find_dominators(s, f, range);
	if (order == -1) {
		double own = amount(st->now.f, f, range, m);

		if (st->told < st->starts + st->burn_in) {
			st->worse_sum += own;
			st->worse_n++;
		}
		take = accept(s, (d.sum + own) / (double)(d.n + 1));
	} else if (d.n == 0) {
		archive_add(s, x, f);
	} else if (order == 0) {
		take = accept(s, d.sum / (double)d.n);
	} else if (rng_unit(s->rng) < 1 / (1 + exp(-d.least))) {
		set_current(s, st->x + d.nearest * n_vars, st->f + d.nearest * m, 0);
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
		archive_add(s, x, f);
		set_current(s, x, f, violation);
	} else if (!(violation > 0)) {
		step_feasible(s, x, f);
	} else if (now > 0 && (violation <= now || accept(s, 1 - now / violation))) {
		set_current(s, x, f, violation);
	}
}

static void go_to_member(struct search *s)
{
	const struct amosa_state *st = s->state;
	size_t pick;

	if (st->n == 0)
		return;
	pick = (size_t)rng_below(s->rng, st->n);
	set_current(s, st->x + pick * s->domain->n_vars, st->f + pick * s->domain->n_objectives, 0);
}

static void start(struct search *s, const double *x, const double *f, double violation)
{
	struct amosa_state *st = s->state;

	if (!(violation > 0))
		archive_add(s, x, f);
	if (!st->have || violation < st->now.violation)
		set_current(s, x, f, violation);
	if (st->told + 1 == st->starts)
		go_to_member(s);
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
	level = fmin(floor(progress(st) * levels), levels - 1);
	st->temperature = cfg->initial_temperature * mean / log(2) *
			  pow(cfg->final_temperature, level / fmax(levels - 1, 1));
}

static void amosa_tell(struct search *s, const double *x, const double *f, const double *violation,
		       size_t n)
{
	const struct amosa_cfg *cfg = s->cfg;
	struct amosa_state *st = s->state;
	uint64_t every = (uint64_t)cfg->return_every;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives;

	for (size_t i = 0; i < n; i++) {
		cool(s);
		if (st->told < st->starts)
			start(s, x + i * n_vars, f + i * m, violation[i]);
		else
			step(s, x + i * n_vars, f + i * m, violation[i]);
		st->told++;
		if (every > 0 && st->told > st->starts && (st->told - st->starts) % every == 0)
			go_to_member(s);
	}
}

static void amosa_answer(const struct search *s, struct search_points *out)
{
	const struct amosa_cfg *cfg = s->cfg;
	struct amosa_state *st = s->state;
	size_t hard = (size_t)cfg->archive;

	if (st->n == 0) {
		*out = (struct search_points){ st->have, st->now.x, st->now.f, &st->now.violation };
	} else if (st->n <= hard) {
		*out = (struct search_points){ st->n, st->x, st->f, st->zero };
	} else {
		if (!st->cut_valid) {
			choose(s);
			copy_kept(s, hard, st->cut_x, st->cut_f);
			st->cut_valid = true;
		}
		*out = (struct search_points){ hard, st->cut_x, st->cut_f, st->zero };
	}
}

const struct search_ops search_amosa = {
	.name = "amosa",
	.summary = "archived multi-objective simulated annealing",
	.source = "Bandyopadhyay, Saha, Maulik, Deb, IEEE TEVC 12(3) 2008",
	.fields = amosa_fields,
	.cfg_size = sizeof(struct amosa_cfg),
	.state_size = sizeof(struct amosa_state),
	.open = amosa_open,
	.batch = amosa_batch,
	.ask = amosa_ask,
	.tell = amosa_tell,
	.answer = amosa_answer,
};
