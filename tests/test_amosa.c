#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <string.h>

#include "cluster.h"
#include "leak.h"
#include "search_run.h"

TestSuite(amosa, .fini = no_leaks);

/* ---- where the moves start from -------------------------------------------------- */

#define VARS  8
#define MOVES 16

/* A walk over reals of 0 .. 1 in two objectives, told its first candidates; where it stands
 * shows in the moves it proposes. */
struct walk {
	struct arena arena;
	struct run run;
	struct search_var var[VARS];
	struct search_domain domain;
	double member[4][VARS]; /* the first candidates */
	double x[MOVES][VARS];	/* the last proposals */
};

/* Without a burn-in the mean worsening counts as 1. */
#define PLAIN "burn_in: 0\nreturn_every: 0\nbatch: 16\n"

static void walk_begin(struct walk *w, const char *text, double temperature, uint64_t seed,
		       const double *f, const double *violation, size_t starts)
{
	const struct search_ops *ops = search_find("amosa");
	char all[256];

	*w = (struct walk){ 0 };
	w->domain = (struct search_domain){ .n_vars = VARS, .n_objectives = 2, .var = w->var };
	fill(w->var, VARS, 0, 1, false);
	snprintf(all, sizeof all, "%sstarts: %zu\ninitial_temperature: %.17g\n", text, starts,
		 temperature * log(2));
	run_open(&w->run, ops, settings(ops, all, &w->arena), &w->domain, 1000, seed);
	cr_assert_eq(ops->ask(&w->run.s, w->member[0], starts), starts);
	ops->tell(&w->run.s, w->member[0], f, violation, starts);
}

static void walk_end(struct walk *w)
{
	run_close(&w->run);
	arena_free(&w->arena);
}

static void propose(struct walk *w, size_t n)
{
	cr_assert_eq(w->run.s.ops->ask(&w->run.s, w->x[0], n), n);
}

/* The first of @n moves is told f; the others are infeasible, so that they are not taken
 * where the walk is feasible. */
static void answer(struct walk *w, const double f[2], double violation, size_t n)
{
	double all[2 * MOVES] = { f[0], f[1] }, lost[MOVES] = { violation };

	for (size_t i = 1; i < n; i++)
		lost[i] = 1;
	w->run.s.ops->tell(&w->run.s, w->x[0], all, lost, n);
}

/* True if all @n moves go from @from: one variable of each is changed. */
static bool go_from(double moves[][VARS], size_t n, const double *from)
{
	for (size_t j = 0; j < n; j++) {
		size_t changes = 0;

		for (size_t i = 0; i < VARS; i++)
			changes += moves[j][i] != from[i];
		if (changes != 1)
			return false;
	}
	return true;
}

/* Which of the two members a move goes from. */
static size_t member_from(struct walk *w, size_t move)
{
	size_t which = go_from(w->x + move, 1, w->member[1]);

	cr_assert(go_from(w->x + move, 1, w->member[which]));
	return which;
}

static bool stands_at(struct walk *w, const double *x)
{
	propose(w, MOVES);
	return go_from(w->x, MOVES, x);
}

static const double front[] = { 0, 1, 1, 0 }, feasible[4] = { 0 };

/* ---- what becomes of a move ------------------------------------------------------- */

/* The archive holds (0, 1) and (1, 0), and one of them is the current point. A move is
 * told f where that is (1, 0), f with its objectives swapped where it is (0, 1). It is
 * taken with probability 1 / (1 + exp(D / T)), where D is the mean amount of domination
 * over the archive members that dominate it, and over the current point if that does. */
struct acceptance {
	double f[2], temperature, probability;
	uint64_t before, repeats; /* moves told before, and how many of them cost nothing */
};

static bool is_accepted(const struct acceptance *c, uint64_t seed)
{
	double swapped[] = { c->f[1], c->f[0] }, x[VARS];
	struct walk w;
	bool taken;

	walk_begin(&w, PLAIN, c->temperature, seed, front, feasible, 2);
	for (uint64_t i = 0; i < c->before; i++) {
		propose(&w, 1);
		answer(&w, front, 1, 1);
	}
	w.run.s.repeats = c->repeats;
	propose(&w, 1);
	memcpy(x, w.x[0], sizeof x);
	answer(&w, member_from(&w, 0) == 1 ? c->f : swapped, 0, 1);
	taken = stands_at(&w, x);
	walk_end(&w);
	return taken;
}

ParameterizedTestParameters(amosa, accepts)
{
	/* Temperatures at which 1/6 and (0.9 + 2 * 0.01 / 1.01) / 3 (amount over ln 3) are taken
	 * one time in four. */
	static const double sixth = 0.151707, mean = 0.279080;
	static struct acceptance cases[8];
	size_t n = 0;

	/* dominated by the current point, (0.5 / 1.5) (0.5 / 1): never when it is cold */
	cases[n++] = (struct acceptance){ { 1.5, 0.5 }, sixth, 0.25, 0, 0 };
	cases[n++] = (struct acceptance){ { 1.5, 0.5 }, 1e-6, 0, 0, 0 };
	/* by the other member alone */
	cases[n++] = (struct acceptance){ { 0.5, 1.5 }, sixth, 0.25, 0, 0 };
	/* by both: the mean of 1 (9 / 10), of (0.01 / 1.01) 1 and of this again, as the
	 * current point counts once more */
	cases[n++] = (struct acceptance){ { 1.01, 10 }, mean, 0.25, 0, 0 };
	/* by none */
	cases[n++] = (struct acceptance){ { 0.5, 0.5 }, 1e-6, 1, 0, 0 };
	/* worse by 1/3 in one objective, and in the other by rounding noise, which is no
	 * factor of the amount */
	cases[n++] = (struct acceptance){ { 1.5, 6e-17 }, 1e-6, 0, 0, 0 };
	/* the last of 1,000: cold, unless the 900 before were for free */
	cases[n++] = (struct acceptance){ { 1.5, 0.5 }, sixth, 0, 900, 0 };
	cases[n++] = (struct acceptance){ { 1.5, 0.5 }, sixth, 0.25, 900, 900 };
	return cr_make_param_array(struct acceptance, cases, n);
}

ParameterizedTest(struct acceptance *c, amosa, accepts)
{
	const int runs = 2000; /* 0.25 then scatters by 0.0097 */
	int taken = 0;

	for (int seed = 1; seed <= runs; seed++)
		taken += is_accepted(c, (uint64_t)seed);
	cr_assert_float_eq((double)taken / runs, c->probability,
			   c->probability > 0 && c->probability < 1 ? 0.045 : 0,
			   "told (%g, %g) at %g, %zu before: %d of %d", c->f[0], c->f[1],
			   c->temperature, (size_t)c->before, taken, runs);
}

/* Case 3a of the paper: the walk has left the archive of (0, 1) and (1, 0) for (10, 10), and a
 * move dominates it, but is dominated by both members. The walk returns to the one that
 * dominates it least, by dmin, with probability 1 / (1 + exp(-dmin)). To (9, 8) that is the
 * first, by 9/10 7/10 (the second: 8/10 8/10), so 0.6525 of the times; to (8, 9) the second. */
Test(amosa, returns_to_the_nearest_dominator)
{
	static const double away[] = { 10, 10 }, near[2][2] = { { 9, 8 }, { 8, 9 } };

	for (size_t nearest = 0; nearest < 2; nearest++) {
		int met = 0, back = 0;

		for (uint64_t seed = 1; seed <= 3000; seed++) {
			double left[VARS], x[VARS];
			struct walk w;

			walk_begin(&w, PLAIN, 1e6, seed, front, feasible, 2);
			propose(&w, 1);
			memcpy(left, w.x[0], sizeof left);
			answer(&w, away, 0, 1); /* every second one is taken, it is hot */
			if (stands_at(&w, left)) {
				met++;
				memcpy(x, w.x[0], sizeof x);
				answer(&w, near[nearest], 0, MOVES);
				propose(&w, MOVES);
				if (!go_from(w.x, MOVES, x)) {
					cr_assert(go_from(w.x, MOVES, w.member[nearest]));
					back++;
				}
			}
			walk_end(&w);
		}
		cr_assert_geq(met, 1300);
		cr_assert_float_eq((double)back / met, 0.6525, 0.05, "%d of %d", back, met);
	}
}

/* From a violation of 1 to one of 2: by 1 - 1/2, taken with probability
 * 1 / (1 + exp(0.5 / T)); where T is 0.5 / ln 3 that is 1/4. A lesser one is always taken. */
Test(amosa, walks_uphill_among_the_infeasible)
{
	static const struct {
		double violation, temperature, probability;
	} cases[] = { { 2, 0.455120, 0.25 }, { 2, 1e-6, 0 }, { 0.5, 1e-6, 1 } };
	static const double one = 1;
	enum { RUNS = 2000 };

	for (size_t i = 0; i < 3; i++) {
		int taken = 0;

		for (uint64_t seed = 1; seed <= RUNS; seed++) {
			double x[VARS];
			struct walk w;

			walk_begin(&w, PLAIN, cases[i].temperature, seed, front, &one, 1);
			propose(&w, 1);
			memcpy(x, w.x[0], sizeof x);
			answer(&w, front, cases[i].violation, 1);
			taken += stands_at(&w, x);
			walk_end(&w);
		}
		cr_assert_float_eq((double)taken / RUNS, cases[i].probability, i == 0 ? 0.045 : 0,
				   "case %zu: %d", i, taken);
	}
}

/* ---- where the walk begins, and returns ---------------------------------------------- */

/* At any member of the archive, as likely; the first candidate is dominated. */
Test(amosa, begins_at_a_member)
{
	static const double f[] = { 5, 5, 0, 1, 1, 0 };
	size_t begun[3] = { 0 };

	for (uint64_t seed = 1; seed <= 1000; seed++) {
		struct walk w;

		walk_begin(&w, PLAIN, 1, seed, f, feasible, 3);
		propose(&w, MOVES);
		for (size_t k = 0; k < 3; k++)
			begun[k] += go_from(w.x, MOVES, w.member[k]);
		walk_end(&w);
	}
	cr_assert_eq(begun[0], 0);
	cr_assert_eq(begun[1] + begun[2], 1000);
	cr_assert_float_eq((double)begun[1], 500, 65); /* scatters by 16 */
}

/* Every third move goes from a member drawn anew, and those behind it from there, also
 * in the next batch. Nothing is taken. */
Test(amosa, returns)
{
	size_t same = 0, runs = 0;

	for (uint64_t seed = 1; seed <= 100; seed++) {
		size_t from[12];
		struct walk w;

		walk_begin(&w, "burn_in: 0\nreturn_every: 3\nbatch: 4\n", 1, seed, front, feasible,
			   2);
		for (size_t i = 0; i < 12; i += 4) {
			propose(&w, 4);
			for (size_t j = 0; j < 4; j++)
				from[i + j] = member_from(&w, j);
			answer(&w, front, 1, 4);
		}
		for (size_t i = 0; i < 12; i++)
			cr_assert_eq(from[i], from[i - i % 3], "seed %zu: move %zu", (size_t)seed,
				     i);
		for (size_t i = 3; i < 12; i += 3, runs++)
			same += from[i] == from[i - 3];
		walk_end(&w);
	}
	cr_assert_float_eq((double)same / (double)runs, 0.5, 0.12); /* scatters by 0.03 */
}

/* ---- moves --------------------------------------------------------------------------- */

/* Along the difference of two members, here of one variable: a real moves by 0.8 of it one
 * way or the other, up to the bound; an integer becomes that of the other member. */
Test(amosa, moves_along_differences)
{
	const struct search_ops *ops = search_find("amosa");
	struct search_var var[VARS];
	struct search_domain d = { .n_vars = VARS, .n_objectives = 2, .var = var };
	size_t changed[VARS] = { 0 };

	for (size_t i = 0; i < VARS; i++)
		var[i] = (struct search_var){ 0, 1e6, i % 2 == 0 };
	for (uint64_t seed = 1; seed <= 500; seed++) {
		double start[2][VARS], x[VARS];
		size_t from, at = 0, changes[2] = { 0 };
		struct arena a = { 0 };
		struct run r;

		run_open(&r, ops,
			 settings(ops,
				  "starts: 2\nburn_in: 0\ndifferential: 1\n"
				  "differential_rate: 0\n",
				  &a),
			 &d, 1000, seed);
		cr_assert_eq(ops->ask(&r.s, start[0], 2), 2);
		ops->tell(&r.s, start[0], front, feasible, 2);
		cr_assert_eq(ops->ask(&r.s, x, 1), 1);
		for (size_t k = 0; k < 2; k++)
			for (size_t i = 0; i < VARS; i++)
				changes[k] += x[i] != start[k][i];
		from = changes[1] == 1;
		cr_assert_eq(changes[from], 1, "seed %zu", (size_t)seed);
		while (x[at] == start[from][at])
			at++;
		changed[at]++;
		if (var[at].integer) {
			cr_assert_eq(x[at], start[!from][at]);
		} else {
			double part = 0.8 * (start[1][at] - start[0][at]), v = start[from][at];
			double up = fmin(fmax(v + part, 0), 1e6);
			double down = fmin(fmax(v - part, 0), 1e6);

			cr_assert(fabs(x[at] - up) < 1e-6 || fabs(x[at] - down) < 1e-6,
				  "seed %zu: %.17g", (size_t)seed, x[at]);
		}
		run_close(&r);
		arena_free(&a);
	}
	/* An integer whose other member is drawn second stays, and another move is drawn: 1/12
	 * of the moves are of each integer, 1/6 of each real. */
	for (size_t i = 0; i < VARS; i++) /* scatters by 6 and 8 */
		cr_assert_float_eq((double)changed[i], var[i].integer ? 500 / 12.0 : 500 / 6.0, 30,
				   "%zu: %zu", i, changed[i]);
}

/* One variable of a thousand has a choice: it is the one that moves. */
Test(amosa, moves_what_has_a_choice)
{
	enum { MANY = 1000, FREE = 700 };
	const struct search_ops *ops = search_find("amosa");
	static struct search_var var[MANY];
	struct search_domain d = { .n_vars = MANY, .n_objectives = 2, .var = var };

	fill(var, MANY, 3, 3, false);
	for (int integer = 0; integer < 2; integer++) {
		struct arena a = { 0 };
		struct run r;
		double last;

		var[FREE] = (struct search_var){ 0, 9, integer };
		run_open(&r, ops, settings(ops, "starts: 1\nreturn_every: 0\n", &a), &d, 1000, 1);
		cr_assert_eq(ops->ask(&r.s, r.x, 1), 1);
		ops->tell(&r.s, r.x, front, feasible, 1);
		last = r.x[FREE];
		for (int i = 0; i < 100; i++) {
			cr_assert_eq(ops->ask(&r.s, r.x, 1), 1);
			cr_assert_neq(r.x[FREE], last);
			ops->tell(&r.s, r.x, front, &(double){ 1 }, 1);
		}
		run_close(&r);
		arena_free(&a);
	}
}

/* ---- the archive ------------------------------------------------------------------- */

Test(amosa, refuses_limits_that_cross)
{
	const struct search_ops *ops = search_find("amosa");
	struct search_var var = { 0, 1, false };
	struct search_domain d = { .n_vars = 1, .n_objectives = 2, .var = &var };
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	const void *cfg = settings(ops, "archive: 50\nsoft_limit: 40\n", &a);
	struct search s;
	struct rng rng;

	rng_stream(&rng, 1, RNG_STRATEGY, 0);
	cr_assert_eq(search_open(&s, ops, cfg, &d, &a, &rng, 100, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "soft_limit: 40 is below 'archive', which is 50");
	arena_free(&a);
}

/* Who stands for a cluster. On a line, the ends apart: two that are close, of which the
 * one with more room stays; three that are close, of which the middle one does. */
Test(amosa, clusters)
{
	static const double at[][6] = { { 0, 0.3, 0.5, 0.52, 0.6, 1 },
					{ 0, 0.4, 0.5, 0.52, 0.8, 1 },
					{ 0, 0.5, 0.51, 0.52, 0.8, 1 } };
	static const size_t n_kept[] = { 5, 5, 4 };
	static const uint32_t want[][5] = { { 0, 1, 2, 4, 5 }, { 0, 1, 3, 4, 5 }, { 0, 2, 4, 5 } };
	struct arena a = { 0 };

	for (size_t i = 0; i < 3; i++) {
		double f[12];
		uint32_t kept[5];

		for (size_t j = 0; j < 6; j++) {
			f[2 * j] = at[i][j];
			f[2 * j + 1] = 1 - at[i][j];
		}
		cluster_choose(f, 6, 2, n_kept[i], kept, &a);
		cr_assert_arr_eq(kept, want[i], n_kept[i] * sizeof *kept, "line %zu", i);
	}
	arena_free(&a);
}
