#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "leak.h"
#include "search_run.h"

/* The contract of search.h, for every row of the registry. */
TestSuite(conformance_search, .fini = no_leaks);

#define VARS_MAX 6

/* The first variable says whether the last one matters: where it is below 0, all its
 * values mean the same. */
static void last_may_be_idle(double *x, void *ctx)
{
	const struct search_domain *d = ctx;

	if (d->n_vars > 1 && x[0] < 0)
		x[d->n_vars - 1] = d->var[d->n_vars - 1].lo;
}

enum { MIXED, REAL, INTEGER, KINDS };

/* Real and integer variables in turns, or of one kind, one of them without a choice. */
static void make_domain(size_t kind, struct search_var var[VARS_MAX], size_t n_vars,
			size_t n_objectives, struct search_domain *d)
{
	for (size_t i = 0; i < n_vars; i++)
		var[i] = (struct search_var){ -3, 3 + (double)i,
					      kind == INTEGER || (kind == MIXED && i % 2) };
	if (n_vars > 2)
		var[2].lo = var[2].hi = kind == INTEGER ? 1 : 1.25;
	*d = (struct search_domain){ n_vars, n_objectives, var, last_may_be_idle, NULL, d };
}

/* What stands where an infeasible candidate has no objectives. */
static double garbage = NAN;

/* Squared distances to 0, 1, 2 ...; a third of the domain violates and a corner fails. */
static void distances(const struct search_domain *d, const double *x, double *f, double *violation)
{
	double first = x[0], second = d->n_vars > 1 ? x[1] : 0;

	*violation = first + second > 4 ? INFINITY : fmax(-1 - first, 0);
	for (size_t k = 0; k < d->n_objectives; k++) {
		f[k] = 0;
		for (size_t i = 0; i < d->n_vars; i++)
			f[k] += (x[i] - (double)k) * (x[i] - (double)k);
		if (*violation > 0)
			f[k] = garbage;
	}
}

static void all_fail(const struct search_domain *d, const double *x, double *f, double *violation)
{
	(void)x;
	*violation = INFINITY;
	for (size_t k = 0; k < d->n_objectives; k++)
		f[k] = garbage;
}

static void none_feasible(const struct search_domain *d, const double *x, double *f,
			  double *violation)
{
	distances(d, x, f, violation);
	*violation = 1 + x[0] * x[0];
	for (size_t k = 0; k < d->n_objectives; k++)
		f[k] = garbage;
}

/* ---- what is checked in every run ------------------------------------------------- */

static void check_vector(const struct run *r, const double *x)
{
	const struct search_domain *d = r->s.domain;
	double settled[VARS_MAX];

	memcpy(settled, x, d->n_vars * sizeof *x);
	d->canonical(settled, d->ctx);
	cr_assert_arr_eq(x, settled, d->n_vars * sizeof *x, "%s: not canonical", r->s.ops->name);
	for (size_t i = 0; i < d->n_vars; i++) {
		cr_assert(x[i] >= d->var[i].lo && x[i] <= d->var[i].hi, "%s: x[%zu] %g",
			  r->s.ops->name, i, x[i]);
		cr_assert(!d->var[i].integer || x[i] == floor(x[i]), "%s: x[%zu] %g is no integer",
			  r->s.ops->name, i, x[i]);
	}
}

/* What a run was told so far. */
struct seen {
	bool feasible;		/* one at least */
	double best, violation; /* the least first objective of the feasible; the least of all */
};

/* The answer is made of vectors as they were told, a feasible one among them as soon as
 * there was one, and of a single objective the best; before that the least violating one,
 * but for amosa, whose walk goes uphill. */
static void check_answer(const struct run *r, evaluate_fn *evaluate, const struct seen *seen)
{
	const struct search_domain *d = r->s.domain;
	struct search_points p;
	bool feasible = false;
	double least = INFINITY, violates = INFINITY;

	r->s.ops->answer(&r->s, &p);
	cr_assert_geq(p.n, 1, "%s: no answer", r->s.ops->name);
	for (size_t i = 0; i < p.n; i++) {
		double f[SEARCH_MAX_OBJECTIVES], violation;

		check_vector(r, p.x + i * d->n_vars);
		evaluate(d, p.x + i * d->n_vars, f, &violation);
		cr_assert_eq(p.violation[i], violation, "%s", r->s.ops->name);
		violates = fmin(violates, violation);
		if (violation > 0)
			continue;
		cr_assert_arr_eq(p.f + i * d->n_objectives, f, d->n_objectives * sizeof *f);
		feasible = true;
		least = fmin(least, f[0]);
	}
	cr_assert_eq(feasible, seen->feasible, "%s: feasible ones lost after %llu", r->s.ops->name,
		     (unsigned long long)r->told);
	if (feasible && d->n_objectives == 1)
		cr_assert_eq(least, seen->best, "%s: the best is lost", r->s.ops->name);
	if (r->s.ops != search_find("amosa"))
		cr_assert_eq(violates, seen->violation, "%s: the least violating one is lost",
			     r->s.ops->name);
}

#define CANARY 12345.5

/* How a run is driven. */
struct drive {
	size_t row, kind, cap, n_vars, n_objectives, tells;
	const char *settings;
	uint64_t seed, budget;
	evaluate_fn *evaluate;
	bool scribble; /* over what was told, once it is told */
	bool varied;   /* the cap changes from batch to batch, up to that */
	bool beside;   /* another search of another seed goes on in between */
	bool (*move)(double *x, struct rng *rng, void *ctx);
};

static uint64_t hash(uint64_t h, const double *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t bits;

		memcpy(&bits, &v[i], sizeof bits);
		h = (h ^ bits) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	return h;
}

static void drive_once(struct run *r, const struct drive *how, struct seen *seen)
{
	const struct search_domain *d = r->s.domain;
	size_t cap = how->varied ? 1 + (size_t)(r->told * 7 % how->cap) : how->cap;

	cr_assert_geq(r->s.ops->batch(&r->s), 1);
	r->x[cap * d->n_vars] = CANARY;
	run_batch(r, how->evaluate, cap);
	cr_assert_eq(r->x[cap * d->n_vars], CANARY, "%s: writes beyond cap", r->s.ops->name);
	for (size_t i = 0; i < r->n; i++) {
		check_vector(r, r->x + i * d->n_vars);
		seen->violation = fmin(seen->violation, r->violation[i]);
		if (r->violation[i] > 0)
			continue;
		seen->feasible = true;
		seen->best = fmin(seen->best, r->f[i * d->n_objectives]);
	}
}

/* Run; returns a hash of all that was proposed and answered. */
static uint64_t trace(const struct drive *how)
{
	const struct search_ops *ops = search_registry[how->row];
	struct search_var var[VARS_MAX];
	struct search_domain d;
	struct arena a = { 0 };
	const void *cfg = settings(ops, how->settings, &a);
	struct run r, other;
	uint64_t h = 1;
	struct seen seen = { false, INFINITY, INFINITY };
	struct search_points p;

	make_domain(how->kind, var, how->n_vars, how->n_objectives, &d);
	d.move = how->move;
	run_open(&r, ops, cfg, &d, how->budget, how->seed);
	if (how->beside)
		run_open(&other, ops, cfg, &d, how->budget, how->seed + 100);
	while (r.told < how->tells) {
		drive_once(&r, how, &seen);
		h = hash(h, r.x, r.n * d.n_vars);
		if (how->scribble) {
			memset(r.x, 0xff, r.n * d.n_vars * sizeof *r.x);
			memset(r.f, 0xff, r.n * d.n_objectives * sizeof *r.f);
			memset(r.violation, 0xff, r.n * sizeof *r.violation);
		}
		if (how->beside)
			run_batch(&other, how->evaluate, 3);
		check_answer(&r, how->evaluate, &seen);
	}
	ops->answer(&r.s, &p);
	h = hash(hash(h, p.x, p.n * d.n_vars), p.violation, p.n);
	run_close(&r);
	if (how->beside)
		run_close(&other);
	arena_free(&a);
	return h;
}

static struct drive usual(size_t row)
{
	return (struct drive){ .row = row,
			       .cap = 100,
			       .n_vars = 6,
			       .n_objectives = 2,
			       .tells = 600,
			       .seed = 5,
			       .budget = 600,
			       .evaluate = distances,
			       .settings = "{}" };
}

ParameterizedTestParameters(conformance_search, rows)
{
	static size_t row[64];
	size_t n = 0;

	for (; search_registry[n]; n++)
		row[n] = n;
	return cr_make_param_array(size_t, row, n);
}

/* ---- the sentences of the contract --------------------------------------------------- */

/* Objectives of an infeasible candidate are never looked at; what was told may be
 * overwritten; randomness comes from the stream handed in alone. */
ParameterizedTest(size_t *row, conformance_search, rows)
{
	struct drive how = usual(*row);
	static const double instead[] = { -1e300, 1e300, INFINITY, -INFINITY, 0 };
	uint64_t alone = trace(&how);

	cr_assert_eq(trace(&how), alone, "%s: same seed", search_registry[*row]->name);
	for (size_t i = 0; i < sizeof instead / sizeof *instead; i++) {
		garbage = instead[i];
		cr_assert_eq(trace(&how), alone, "%s: looks at objectives of infeasible ones",
			     search_registry[*row]->name);
	}
	garbage = NAN;
	how.scribble = true;
	cr_assert_eq(trace(&how), alone, "%s: keeps the caller's memory",
		     search_registry[*row]->name);
	how.scribble = false;
	how.beside = true;
	cr_assert_eq(trace(&how), alone, "%s: searches share a state", search_registry[*row]->name);
	how.beside = false;
	how.seed++;
	cr_assert_neq(trace(&how), alone, "%s: the seed does not matter",
		      search_registry[*row]->name);
}

static size_t moves;

/* The second variable, an integer, to where it is not. */
static bool to_an_end(double *x, struct rng *rng, void *ctx)
{
	const struct search_domain *d = ctx;

	(void)rng;
	moves++;
	x[1] = x[1] < d->var[1].hi ? d->var[1].hi : d->var[1].lo;
	return true;
}

/* Every strategy but random search makes the domain's moves at the rate of its key, and as if
 * there were none by default. */
Test(conformance_search, moves_of_the_domain)
{
	for (size_t row = 0; search_registry[row]; row++) {
		struct drive how = usual(row);
		uint64_t without = trace(&how), half;
		const char *name = search_registry[row]->name;

		how.move = to_an_end;
		moves = 0;
		cr_expect_eq(trace(&how), without, "%s: another search by default", name);
		cr_expect_eq(moves, 0, "%s", name);
		if (search_registry[row] == search_find("random"))
			continue;
		how.settings = "move_rate: 0.5\n";
		half = trace(&how);
		cr_expect_neq(half, without, "%s", name);
		cr_expect_gt(moves, 0, "%s", name);
		moves = 0;
		cr_expect_eq(trace(&how), half, "%s: same seed", name);
		cr_expect_gt(moves, 0, "%s", name);
		how.move = NULL;
		cr_expect_eq(trace(&how), without, "%s: there are no moves", name);
	}
}

Test(conformance_search, any_cap_and_number_of_objectives)
{
	static const size_t caps[] = { 1, 2, 3, 7, BATCH_MAX - 1 };

	for (size_t row = 0; search_registry[row]; row++)
		for (size_t m = 1; m <= SEARCH_MAX_OBJECTIVES; m++) {
			struct drive how = usual(row);

			how.cap = caps[m % 5];
			how.n_objectives = m;
			trace(&how);
			how.cap = caps[(m + 2) % 5];
			how.tells = 250;
			trace(&how);
			how.cap = 250;
			how.varied = true;
			trace(&how);
		}
}

Test(conformance_search, any_number_of_variables)
{
	for (size_t row = 0; search_registry[row]; row++)
		for (size_t n = 1; n <= VARS_MAX; n++) {
			struct drive how = usual(row);

			how.n_vars = n;
			trace(&how);
		}
}

static void any_kind(size_t row, const char *text)
{
	for (size_t kind = 0; kind < KINDS; kind++)
		for (size_t m = 1; m <= 4; m++) {
			struct drive how = usual(row);

			how.kind = kind;
			how.n_objectives = m;
			how.tells = how.budget = 2000;
			how.settings = text;
			trace(&how);
		}
}

Test(conformance_search, any_kind_of_variables)
{
	for (size_t row = 0; search_registry[row]; row++)
		any_kind(row, "{}");
}

/* Moves that are others' differences, and returns within a batch. */
Test(conformance_search, amosa_by_volume)
{
	size_t row = 0;

	while (search_registry[row] != search_find("amosa"))
		row++;
	any_kind(row, "truncation: hypervolume\ndifferential: 0.9\nreturn_every: 1\nbatch: 7\n");
}

static void sums(const struct search_domain *d, const double *x, double *f, double *violation)
{
	f[0] = f[1] = *violation = 0;
	for (size_t i = 0; i < d->n_vars; i++) {
		f[0] += x[i];
		f[1] += (4 - x[i]) * (4 - x[i]);
	}
}

/* What does not walk is asked again and again, and told a few of its proposals: its answer is made
 * of these, and no worse than the best of them. */
Test(conformance_search, some_of_the_proposals_are_told)
{
	enum { VARS = 6, ASKS = 3, CAP = 8, ROUNDS = 40 };
	struct search_var var[VARS];
	const struct search_domain domain = { .n_vars = VARS, .n_objectives = 2, .var = var };

	fill(var, VARS, 0, 4, true);
	for (size_t row = 0; search_registry[row]; row++) {
		const struct search_ops *ops = search_registry[row];
		double x[ASKS * CAP * VARS], least = INFINITY, answered = INFINITY;
		struct search_points answer;
		struct run r;

		if (ops->walks)
			continue;
		run_open(&r, ops, NULL, &domain, 0, 5);
		for (size_t round = 0; round < ROUNDS; round++) {
			size_t n = 0, told = 0;

			for (size_t k = 0; k < ASKS; k++)
				n += ops->ask(&r.s, x + n * VARS, CAP);
			for (size_t i = round % 2; i < n && told < CAP; i += 2, told++) {
				memcpy(r.x + told * VARS, x + i * VARS, VARS * sizeof *x);
				sums(&domain, x + i * VARS, r.f + 2 * told, &r.violation[told]);
				least = fmin(least, r.f[2 * told]);
			}
			ops->tell(&r.s, r.x, r.f, r.violation, told);
		}
		ops->answer(&r.s, &answer);
		cr_assert_gt(answer.n, 0);
		for (size_t i = 0; i < answer.n; i++) {
			double f[2], violation;

			sums(&domain, answer.x + i * VARS, f, &violation);
			cr_assert_arr_eq(f, answer.f + 2 * i, sizeof f, "%s", ops->name);
			answered = fmin(answered, f[0]);
		}
		cr_assert_leq(answered, least, "%s: lost the best", ops->name);
		run_close(&r);
	}
}

/* A plan of 0 evaluations is one that is not known; a plan may also be overrun. */
Test(conformance_search, any_budget)
{
	static const uint64_t budgets[] = { 0, 1, 7, 1000000000 };

	for (size_t row = 0; search_registry[row]; row++)
		for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
			struct drive how = usual(row);

			how.budget = budgets[i];
			how.cap = 1 + 30 * i;
			trace(&how);
		}
}

/* Runs of different length share the order of their candidates, unless the strategy plans. */
Test(conformance_search, plans_as_it_says)
{
	for (size_t row = 0; search_registry[row]; row++) {
		struct drive how = usual(row), longer = usual(row);

		longer.budget = 1200;
		cr_expect_eq(trace(&how) != trace(&longer), search_registry[row]->plans, "%s",
			     search_registry[row]->name);
	}
}

Test(conformance_search, nothing_feasible)
{
	for (size_t row = 0; search_registry[row]; row++)
		for (size_t cap = 1; cap <= 100; cap += 33) {
			struct drive how = usual(row);

			how.cap = cap;
			how.evaluate = all_fail;
			trace(&how);
			how.evaluate = none_feasible;
			trace(&how);
		}
}

/* One variable that can only be 7: everything proposed is the same vector. */
Test(conformance_search, no_choice_at_all)
{
	for (size_t row = 0; search_registry[row]; row++)
		for (int integer = 0; integer < 2; integer++) {
			struct search_var var = { 7, 7, integer };
			struct search_domain d = { .n_vars = 1, .n_objectives = 2, .var = &var };
			struct search_points answer;
			struct run r;

			run_open(&r, search_registry[row], NULL, &d, 500, 1);
			while (r.told < 500) {
				run_batch(&r, distances, 40);
				for (size_t i = 0; i < r.n; i++)
					cr_assert_eq(r.x[i], 7);
			}
			r.s.ops->answer(&r.s, &answer);
			cr_assert_geq(answer.n, 1);
			for (size_t i = 0; i < answer.n; i++)
				cr_assert_eq(answer.x[i], 7);
			run_close(&r);
		}
}

/* ---- memory ------------------------------------------------------------------------------ */

/* 4^4 vectors, each on the front or not: whatever is kept, it is finite. */
static void trade(const struct search_domain *d, const double *x, double *f, double *violation)
{
	f[0] = f[1] = 0;
	for (size_t i = 0; i < d->n_vars; i++) {
		f[0] += x[i] * (1 + (double)i);
		f[1] -= x[i] * (2 + (double)(3 * i % 4));
	}
	*violation = fmax(0, x[0] - 2);
}

static size_t bytes_after(struct run *r, evaluate_fn *evaluate, uint64_t tells)
{
	run_to(r, evaluate, tells);
	return r->arena.bytes;
}

Test(conformance_search, memory_is_flat_over_a_finite_space, .timeout = 120)
{
	for (size_t row = 0; search_registry[row]; row++) {
		struct search_var var[4];
		struct search_domain d = { .n_vars = 4, .n_objectives = 2, .var = var };
		struct run r;
		size_t early;

		fill(var, 4, 0, 3, true);
		run_open(&r, search_registry[row], NULL, &d, 100000, 1);
		early = bytes_after(&r, trade, 5000);
		cr_assert_eq(bytes_after(&r, trade, 100000), early, "%s grows",
			     search_registry[row]->name);
		run_close(&r);
	}
}

/* No vector dominates another. */
static void endless(const struct search_domain *d, const double *x, double *f, double *violation)
{
	f[0] = 0;
	for (size_t i = 0; i < d->n_vars; i++)
		f[0] += x[i];
	f[1] = -f[0];
	*violation = 0;
}

/* A population and an archive have a size, 10,000 the largest of them. The first answer takes
 * memory too. */
Test(conformance_search, memory_is_flat_over_an_endless_front, .timeout = 120)
{
	for (size_t row = 0; search_registry[row]; row++) {
		struct search_var var[4];
		struct search_domain d = { .n_vars = 4, .n_objectives = 2, .var = var };
		struct run r;
		size_t early;

		fill(var, 4, 0, 3, false);
		run_open(&r, search_registry[row], NULL, &d, 45000, 1);
		bytes_after(&r, endless, 15000);
		early = bytes_after(&r, endless, 30000);
		cr_assert_eq(bytes_after(&r, endless, 45000), early, "%s grows",
			     search_registry[row]->name);
		run_close(&r);
	}
}
