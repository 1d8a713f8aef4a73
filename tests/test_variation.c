#include <criterion/criterion.h>
#include <math.h>

#include "leak.h"
#include "variation.h"

TestSuite(variation, .fini = no_leaks);

#define DRAWS 40000

static const struct variation_cfg always = {
	.crossover_probability = 1, .eta_crossover = 3, .eta_mutation = 20, .mutation_rate = 0.25
};

/* Laws of the published operators where the bounds are far: SBX children lie
 * symmetrically about their parents' middle and their spread factor is below 1 in
 * half the crossings, below b < 1 in b^(eta + 1) / 2 of them and above b > 1 in
 * b^-(eta + 1) / 2; half the reals are crossed, and half of those the other way round. */
Test(variation, sbx_spread)
{
	const struct search_var var = { -1e6, 1e6, false };
	const struct search_domain d = { .n_vars = 1, .n_objectives = 1, .var = &var };
	size_t crossed = 0, turned = 0, below_1 = 0, below_b = 0, below_c = 0, above = 0;
	struct rng rng;

	rng_seed(&rng, 4, 1);
	for (int i = 0; i < DRAWS; i++) {
		double a = 2, b = 3, spread;

		variation_cross(&d, &always, &rng, &a, &b);
		cr_assert_float_eq(a + b, 5, 1e-9);
		if (a == 2 && b == 3)
			continue;
		spread = fabs(a - b);
		crossed++;
		turned += a > b;
		below_1 += spread < 1;
		below_b += spread < 0.8;
		below_c += spread < 0.95;
		above += spread > 1.1;
	}
	cr_assert_float_eq((double)crossed / DRAWS, 0.5, 0.01);
	cr_assert_float_eq((double)turned / (double)crossed, 0.5, 0.015);
	cr_assert_float_eq((double)below_1 / (double)crossed, 0.5, 0.015);
	cr_assert_float_eq((double)below_b / (double)crossed, 0.2048, 0.015); /* 0.8^4 / 2 */
	cr_assert_float_eq((double)below_c / (double)crossed, 0.4073, 0.015); /* 0.95^4 / 2 */
	cr_assert_float_eq((double)above / (double)crossed, 0.3415, 0.015);   /* 1.1^-4 / 2 */
}

/* Near a bound the law is cut off where the child meets it and scaled up: parents 0.25
 * and 0.75 in [0, 2] have room for a factor of 2 below and 6 above. */
static void check_bounded(double eta)
{
	const struct search_var var = { 0, 2, false };
	const struct search_domain d = { .n_vars = 1, .n_objectives = 1, .var = &var };
	struct variation_cfg cfg = always;
	double k = eta + 1, mass_lo = 1 - pow(2, -k) / 2, mass_hi = 1 - pow(6, -k) / 2;
	size_t crossed = 0, lo_08 = 0, lo_1 = 0, lo_12 = 0, hi_08 = 0, hi_2 = 0;
	struct rng rng;

	cfg.eta_crossover = eta;
	rng_seed(&rng, 8, 1);
	for (int i = 0; i < 2 * DRAWS; i++) {
		double a = 0.25, b = 0.75, lo, hi;

		variation_cross(&d, &cfg, &rng, &a, &b);
		if (a == 0.25 && b == 0.75)
			continue;
		lo = (0.5 - fmin(a, b)) / 0.25; /* spread factors of the two children */
		hi = (fmax(a, b) - 0.5) / 0.25;
		cr_assert(lo >= 0 && lo <= 2 && hi >= 0 && hi <= 6);
		crossed++;
		lo_08 += lo < 0.8;
		lo_1 += lo < 1;
		lo_12 += lo < 1.2;
		hi_08 += hi < 0.8;
		hi_2 += hi < 2;
	}
	cr_assert_float_eq((double)lo_08 / (double)crossed, pow(0.8, k) / 2 / mass_lo, 0.01);
	cr_assert_float_eq((double)lo_1 / (double)crossed, 0.5 / mass_lo, 0.01);
	cr_assert_float_eq((double)lo_12 / (double)crossed, (1 - pow(1.2, -k) / 2) / mass_lo, 0.01);
	cr_assert_float_eq((double)hi_08 / (double)crossed, pow(0.8, k) / 2 / mass_hi, 0.01);
	cr_assert_float_eq((double)hi_2 / (double)crossed, (1 - pow(2, -k) / 2) / mass_hi, 0.01);
}

Test(variation, sbx_at_a_bound)
{
	check_bounded(0);
	check_bounded(0.5);
	check_bounded(3);
}

/* Every variable of a long vector is crossed in half the draws, and in a quarter
 * together with its neighbour. */
Test(variation, sbx_takes_each_variable_by_itself)
{
	enum { N = 130 };
	struct search_var var[N];
	const struct search_domain d = { .n_vars = N, .n_objectives = 1, .var = var };
	size_t single[N] = { 0 }, both[N] = { 0 };
	struct rng rng;

	for (size_t i = 0; i < N; i++)
		var[i] = (struct search_var){ 0, 1, false };
	rng_seed(&rng, 9, 1);
	for (int t = 0; t < 4000; t++) {
		double a[N], b[N];

		for (size_t i = 0; i < N; i++) {
			a[i] = 0.4;
			b[i] = 0.6;
		}
		variation_cross(&d, &always, &rng, a, b);
		for (size_t i = 0; i < N; i++) {
			single[i] += a[i] != 0.4;
			both[i] += a[i] != 0.4 && a[(i + 1) % N] != 0.4;
		}
	}
	for (size_t i = 0; i < N; i++) {
		cr_assert_float_eq((double)single[i] / 4000, 0.5, 0.04, "%zu", i);
		cr_assert_float_eq((double)both[i] / 4000, 0.25, 0.04, "%zu", i);
	}
}

/* Polynomial mutation moves by less than d ranges with probability 1 - (1 - d)^(eta + 1):
 * for eta 20 by less than 1 - 2^(-1/21) in half the draws. */
Test(variation, polynomial_step)
{
	const struct search_var var = { 10, 30, false };
	const struct search_domain d = { .n_vars = 1, .n_objectives = 1, .var = &var };
	size_t moved = 0, near = 0, up = 0;
	struct rng rng;

	rng_seed(&rng, 5, 1);
	for (int i = 0; i < DRAWS; i++) {
		double x = 20;

		variation_mutate(&d, &always, &rng, &x);
		moved += x != 20;
		up += x > 20;
		near += x != 20 && fabs(x - 20) < 20 * (1 - pow(2, -1 / 21.0));
	}
	cr_assert_float_eq((double)moved / DRAWS, 0.25, 0.01);
	cr_assert_float_eq((double)near / (double)moved, 0.5, 0.02);
	cr_assert_float_eq((double)up / (double)moved, 0.5, 0.02);
}

/* With q = (1 - room)^(eta + 1) of a bound @room ranges away, a move of more than d ranges
 * towards it has probability ((1 - d)^(eta + 1) - q) / (2 - 2 q). */
Test(variation, polynomial_step_at_a_bound)
{
	const struct search_var var = { 0, 1, false };
	const struct search_domain d = { .n_vars = 1, .n_objectives = 1, .var = &var };
	double q_lo = pow(0.95, 21), q_hi = pow(0.05, 21), down, up;
	size_t far_down = 0, far_up = 0, lower = 0;
	struct variation_cfg cfg = always;
	struct rng rng;

	cfg.mutation_rate = 1;
	rng_seed(&rng, 10, 1);
	for (int i = 0; i < DRAWS; i++) {
		double x = 0.05;

		variation_mutate(&d, &cfg, &rng, &x);
		cr_assert(x >= 0 && x <= 1 && x != 0.05);
		lower += x < 0.05;
		far_down += x < 0.02;
		far_up += x > 0.15;
	}
	down = (pow(0.97, 21) - q_lo) / (2 - 2 * q_lo);
	up = (pow(0.9, 21) - q_hi) / (2 - 2 * q_hi);
	cr_assert_float_eq((double)lower / DRAWS, 0.5, 0.01);
	cr_assert_float_eq((double)far_down / DRAWS, down, 0.01, "%g", down);
	cr_assert_float_eq((double)far_up / DRAWS, up, 0.01, "%g", up);
}

/* Each variable is mutated by itself: all as often, neighbours together as the square of
 * it, none of a vector of n in (1 - rate)^n of the draws. */
Test(variation, mutation_takes_each_variable_by_itself)
{
	enum { N = 40 };
	struct search_var var[N];
	const struct search_domain d = { .n_vars = N, .n_objectives = 1, .var = var };
	size_t single[N] = { 0 }, both = 0, none = 0;
	struct variation_cfg cfg = always;
	struct rng rng;

	for (size_t i = 0; i < N; i++)
		var[i] = (struct search_var){ 0, 9, i % 3 == 0 };
	cfg.mutation_rate = 0.1;
	rng_seed(&rng, 11, 1);
	for (int t = 0; t < DRAWS; t++) {
		double x[N];
		size_t changes = 0;

		for (size_t i = 0; i < N; i++)
			x[i] = 4;
		variation_mutate(&d, &cfg, &rng, x);
		for (size_t i = 0; i < N; i++) {
			single[i] += x[i] != 4;
			changes += x[i] != 4;
			both += i > 0 && x[i] != 4 && x[i - 1] != 4;
		}
		none += changes == 0;
	}
	for (size_t i = 0; i < N; i++)
		cr_assert_float_eq((double)single[i] / DRAWS, 0.1, 0.01, "%zu", i);
	cr_assert_float_eq((double)both / DRAWS / (N - 1), 0.01, 0.001);
	cr_assert_float_eq((double)none / DRAWS, pow(0.9, N), 0.002);
}

Test(variation, integers_take_every_other_value)
{
	const struct search_var var = { -2, 2, true };
	size_t count[5] = { 0 };
	struct rng rng;

	rng_seed(&rng, 6, 1);
	for (int i = 0; i < DRAWS; i++)
		count[(int)variation_another(&var, VARIATION_ANY, &rng, 1) + 2]++;
	cr_assert_eq(count[3], 0);
	for (int i = 0; i < 5; i++)
		if (i != 3)
			cr_assert_float_eq((double)count[i] / DRAWS, 0.25, 0.01);
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(variation_another(&var, VARIATION_STEP, &rng, 2), 1);
		cr_assert_eq(variation_another(&var, VARIATION_STEP, &rng, -2), -1);
		cr_assert_eq(fabs(variation_another(&var, VARIATION_STEP, &rng, 0)), 1);
	}
}

/* Every value of an integer as often as every other, both ends included; a real is as often
 * in each tenth of its range. */
Test(variation, samples_are_uniform)
{
	static const struct search_var var[] = { { -2, 2, true },
						 { 0, 1, true },
						 { -1, 1, false } };
	const struct search_domain d = { .n_vars = 3, .n_objectives = 1, .var = var };
	size_t five[5] = { 0 }, two[2] = { 0 }, tenth[10] = { 0 };
	struct rng rng;

	rng_seed(&rng, 12, 1);
	for (int i = 0; i < DRAWS; i++) {
		double x[3];

		variation_sample(&d, &rng, x);
		cr_assert(x[0] >= -2 && x[0] <= 2 && x[1] >= 0 && x[1] <= 1);
		cr_assert(x[2] >= -1 && x[2] < 1);
		five[(int)x[0] + 2]++;
		two[(int)x[1]]++;
		tenth[(int)floor(5 * (x[2] + 1))]++;
	}
	/* bounds of 4.5 deviations, sqrt(n p (1 - p)) = 80, 100, 60 */
	for (int i = 0; i < 5; i++)
		cr_assert_float_eq((double)five[i], DRAWS / 5.0, 360, "%d: %zu", i, five[i]);
	for (int i = 0; i < 2; i++)
		cr_assert_float_eq((double)two[i], DRAWS / 2.0, 450, "%d: %zu", i, two[i]);
	for (int i = 0; i < 10; i++)
		cr_assert_float_eq((double)tenth[i], DRAWS / 10.0, 270, "%d: %zu", i, tenth[i]);
}

/* Of the variables that have a choice each is as likely; there may be none. */
Test(variation, picks_what_has_a_choice)
{
	struct search_var var[] = {
		{ 1, 1, true },	 { 0, 1, false }, { 0, 3, true },
		{ 2, 2, false }, { 0, 9, true },  { 5, 5, true },
	};
	struct search_domain d = { .n_vars = 6, .n_objectives = 1, .var = var };
	size_t count[7] = { 0 };
	struct rng rng;

	rng_seed(&rng, 13, 1);
	for (int i = 0; i < DRAWS; i++)
		count[variation_pick(&d, &rng)]++;
	for (int i = 0; i < 7; i++) {
		bool free = i == 1 || i == 2 || i == 4;

		cr_assert_float_eq((double)count[i], free ? DRAWS / 3.0 : 0, free ? 425 : 0,
				   "%d: %zu", i, count[i]);
	}
	d.n_vars = 1;
	cr_assert_eq(variation_pick(&d, &rng), 1);
}

/* Steps to a neighbour visit an end half as often as a value between: of 0 .. 4 an eighth of
 * the time each end, a quarter each other. */
Test(variation, steps_visit_ends_half_as_often)
{
	const struct search_var var = { 0, 4, true };
	size_t count[5] = { 0 };
	double v = 2;
	struct rng rng;

	rng_seed(&rng, 14, 1);
	for (int i = 0; i < DRAWS; i++) {
		v = variation_another(&var, VARIATION_STEP, &rng, v);
		count[(int)v]++;
	}
	for (int i = 0; i < 5; i++)
		cr_assert_float_eq((double)count[i] / DRAWS, i % 4 ? 0.25 : 0.125, 0.02, "%d", i);
}

/* Crossover moves genes between two children and never makes one up; at a rate next to 0
 * the mutation of an all-integer vector still changes exactly one, each as often. */
Test(variation, integer_vectors)
{
	struct search_var var[8];
	const struct search_domain d = { .n_vars = 8, .n_objectives = 1, .var = var };
	size_t mutated = 0, crossed = 0, which[8] = { 0 };
	struct rng rng;

	for (size_t i = 0; i < 8; i++)
		var[i] = (struct search_var){ 0, i == 3 ? 0 : 20, true };
	rng_seed(&rng, 7, 1);
	for (int t = 0; t < 2000; t++) {
		struct variation_cfg cfg = always;
		double a[8], b[8];
		size_t changes = 0, turns = 0;

		for (size_t i = 0; i < 8; i++) {
			a[i] = i == 3 ? 0 : 1;
			b[i] = i == 3 ? 0 : 2;
		}
		cfg.crossover = t % 2 ? VARIATION_TWO_POINT : VARIATION_UNIFORM;
		cfg.mutation_rate = 1e-300;
		variation_cross(&d, &cfg, &rng, a, b);
		for (size_t i = 0; i < 8; i++) {
			cr_assert(i == 3 || a[i] + b[i] == 3);
			crossed += a[i] == 2;
		}
		for (size_t i = 1; i < 8; i++)
			turns += i != 3 && a[i] != a[i == 4 ? 2 : i - 1];
		cr_assert(t % 2 == 0 || turns <= 2);
		variation_mutate(&d, &cfg, &rng, a);
		for (size_t i = 0; i < 8; i++) {
			which[i] += i != 3 && a[i] + b[i] != 3;
			changes += i != 3 && a[i] + b[i] != 3;
			cr_assert(a[i] >= var[i].lo && a[i] <= var[i].hi);
		}
		cr_assert_eq(changes, 1);
		for (size_t i = 0; i < 8; i++)
			b[i] = i == 3 ? 0 : 5;
		cfg.mutation_rate = 0.5;
		cfg.integer_mutation = VARIATION_STEP;
		variation_mutate(&d, &cfg, &rng, b);
		for (size_t i = 0; i < 8; i++)
			mutated += i != 3 && b[i] != 5;
	}
	for (size_t i = 0; i < 8; i++) /* any of the seven; scatters by 16 */
		cr_assert_float_eq((double)which[i], i == 3 ? 0 : 2000 / 7.0, i == 3 ? 0 : 70,
				   "%zu: %zu", i, which[i]);
	/* One of the seven changes where none would have: (0.5 + 2^-7 / 7). */
	cr_assert_float_eq((double)mutated / 14000, 0.5011, 0.02);
	/* Half of them, and the cuts of 0 .. 8 leave (8 * 10 / 3) / 9 / 8 = 0.37 between. */
	cr_assert_float_eq((double)crossed / 14000, (0.5 + 0.37) / 2, 0.02);
}

/* ---- moves of the domain --------------------------------------------------------------- */

/* From 5 it gets to 9, from elsewhere nowhere. */
static bool five_to_nine(double *x, struct rng *rng, void *ctx)
{
	(void)rng;
	++*(size_t *)ctx;
	if (*x != 5)
		return false;
	*x = 9;
	return true;
}

/* At a rate of 0.3 three tenths are moves and the others mutations to any of the 9 other values; a
 * move that is not possible leaves it to the mutation. */
Test(variation, moves)
{
	const struct search_var var = { 0, 9, true };
	size_t asked = 0, nines = 0;
	struct search_domain d = {
		.n_vars = 1, .n_objectives = 1, .var = &var, .move = five_to_nine, .ctx = &asked
	};
	struct variation_cfg cfg = { .mutation_rate = 1, .move_rate = 0.3 };
	struct rng rng;

	rng_seed(&rng, 3, 1);
	for (int i = 0; i < DRAWS; i++) {
		double x = 5;

		variation_mutate(&d, &cfg, &rng, &x);
		cr_assert_neq(x, 5);
		nines += x == 9;
	}
	cr_expect_float_eq((double)asked / DRAWS, 0.3, 0.01);
	cr_expect_float_eq((double)nines / DRAWS, 0.3 + 0.7 / 9, 0.01);
	cfg.move_rate = 1;
	for (int i = 0; i < 100; i++) {
		double x = 4;

		variation_mutate(&d, &cfg, &rng, &x);
		cr_assert_neq(x, 4, "neither moved nor mutated");
		cr_assert(x >= 0 && x <= 9);
	}
}

/* Without a rate, or without moves, the stream is what it was. */
Test(variation, no_moves)
{
	const struct search_var var = { 0, 9, true };
	size_t asked = 0;
	struct search_domain d = { .n_vars = 1, .n_objectives = 1, .var = &var, .ctx = &asked };
	struct variation_cfg cfg = { .mutation_rate = 0.5 };
	struct rng plain, other;
	double x = 5, y = 5;

	rng_seed(&plain, 3, 1);
	rng_seed(&other, 3, 1);
	for (int i = 0; i < 100; i++) {
		d.move = NULL;
		cfg.move_rate = i % 2;
		variation_mutate(&d, &cfg, &plain, &x);
		d.move = five_to_nine;
		cfg.move_rate = 0;
		variation_mutate(&d, &cfg, &other, &y);
		cr_assert_eq(x, y);
	}
	cr_expect_eq(rng_u64(&plain), rng_u64(&other));
	cr_expect_eq(asked, 0);
}
