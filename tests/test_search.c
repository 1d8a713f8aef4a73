#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "distinct.h"
#include "leak.h"
#include "points.h"
#include "rank.h"
#include "search.h"

TestSuite(sets, .fini = no_leaks);

/* ---- sets of points --------------------------------------------------------- */

Test(sets, compare_is_pareto_dominance)
{
	cr_assert_eq(search_compare((double[]){ 1, 2 }, (double[]){ 1, 3 }, 2), -1);
	cr_assert_eq(search_compare((double[]){ 4, 2 }, (double[]){ 1, 2 }, 2), 1);
	cr_assert_eq(search_compare((double[]){ 1, 2 }, (double[]){ 2, 1 }, 2), 0);
	cr_assert_eq(search_compare((double[]){ 1, 2 }, (double[]){ 1, 2 }, 2), 0);
	cr_assert_eq(search_compare((double[]){ 0.0 }, (double[]){ -0.0 }, 1), 0);
}

/* Rank by its definition: one more than the greatest rank of a dominator. */
static uint32_t rank_of(const double *f, size_t n, size_t m, size_t i, uint32_t *memo)
{
	uint32_t best = 1;

	if (memo[i])
		return memo[i];
	for (size_t j = 0; j < n; j++)
		if (search_compare(f + j * m, f + i * m, m) == -1) {
			uint32_t r = rank_of(f, n, m, j, memo) + 1;

			best = r > best ? r : best;
		}
	return memo[i] = best;
}

static void check_rank(const double *f, size_t n, size_t m, struct arena *a)
{
	uint32_t *rank = ARENA_NEW(a, uint32_t, n), *memo = ARENA_NEW(a, uint32_t, n);
	size_t fronts = search_rank(f, n, m, rank, a);
	uint32_t most = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t want = rank_of(f, n, m, i, memo);

		cr_assert_eq(rank[i] + 1, want, "n %zu m %zu point %zu: %u, not %u", n, m, i,
			     rank[i], want - 1);
		most = want > most ? want : most;
	}
	cr_assert_eq(fronts, most);
}

Test(sets, rank_agrees_with_definition)
{
	static const size_t size[] = { 1, 2, 3, 10, 30, 31, 64, 100, 300, 700 };
	static const uint64_t values[] = { 2, 4, 20, 1000000 };
	struct arena a = { 0 };
	struct rng rng;

	rng_seed(&rng, 1, 1);
	cr_assert_eq(search_rank(NULL, 0, 3, NULL, &a), 0);
	for (size_t m = 1; m <= 6; m++)
		for (size_t i = 0; i < sizeof size / sizeof *size; i++)
			for (size_t v = 0; v < 4; v++)
				check_rank(lattice(&a, &rng, size[i], m, values[v]), size[i], m,
					   &a);
	arena_free(&a);
}

/* Three objectives, the second and third of each layer traded one for the other: what a
 * front dominates in these two has a thousand corners. */
Test(sets, rank_of_long_staircases)
{
	const size_t n = 3000;
	struct arena a = { 0 };
	double *f = cloud(&a, n, 3, false);

	for (size_t i = 0; i < n; i++)
		f[3 * i + 2] = (double)(i % 3) / 4 - f[3 * i + 1];
	check_rank(f, n, 3, &a);
	arena_free(&a);
}

Test(sets, rank_takes_signed_zeros_as_equal)
{
	const double f[] = { 0.0, 1, -0.0, 1, 0.0, 2, -0.0, 3 };
	uint32_t rank[4];
	struct arena a = { 0 };

	cr_assert_eq(search_rank(f, 4, 2, rank, &a), 3);
	cr_assert_eq(rank[0], 0);
	cr_assert_eq(rank[1], 0);
	cr_assert_eq(rank[2], 1);
	cr_assert_eq(rank[3], 2);
	arena_free(&a);
}

/* Number of fronts of the same clouds in pagmo 2.18, moocore and DEAP. */
Test(sets, rank_agrees_with_other_programs)
{
	static const size_t want[][3] = { { 1000, 58, 21 },
					  { 10000, 186, 47 },
					  { 100000, 624, 108 } };
	struct arena a = { 0 };

	for (size_t i = 0; i < 3; i++)
		for (size_t m = 2; m <= 3; m++) {
			size_t n = want[i][0];
			uint32_t *rank = ARENA_NEW(&a, uint32_t, n);

			cr_assert_eq(search_rank(cloud(&a, n, m, false), n, m, rank, &a),
				     want[i][m - 1]);
		}
	arena_free(&a);
}

/* Deb's rules on a case small enough to see: the feasible (1,4) and (2,2) before
 * (3,3), which (2,2) dominates; then violations 1, 1, 2 and infinity. */
Test(sets, constrained_rank_orders_by_violation)
{
	const double f[] = { NAN, NAN, 3, 3, 0, 0, 1, 4, NAN, NAN, 2, 2, NAN, NAN };
	const double violation[] = { 2, 0, 1, 0, INFINITY, 0, 1 };
	const uint32_t want[] = { 3, 1, 2, 0, 4, 0, 2 };
	struct search_points p = { 7, NULL, f, violation };
	const uint32_t want_order[] = { 3, 5, 1, 2, 6, 0, 4 };
	uint32_t rank[7], order[7];
	struct arena a = { 0 };

	cr_assert_eq(rank_constrained(&p, 2, rank, order, &a), 5);
	cr_assert_arr_eq(rank, want, sizeof want);
	cr_assert_arr_eq(order, want_order, sizeof want_order);
	arena_free(&a);
}

/* Front (0,10) (1,6) (3,5) (10,0), ranges 10 and 10: the inner two get
 * (3-0)/10 + (10-5)/10 = 0.8 and (10-1)/10 + (6-0)/10 = 1.5. */
Test(sets, crowding_by_hand)
{
	const double f[] = { 3, 5, 0, 10, 10, 0, 1, 6 };
	const uint32_t member[] = { 0, 1, 2, 3 };
	double crowding[4];
	struct arena a = { 0 };

	rank_crowding(f, 2, member, 4, crowding, &a);
	cr_assert_float_eq(crowding[0], 1.5, 1e-12);
	cr_assert_float_eq(crowding[3], 0.8, 1e-12);
	cr_assert(isinf(crowding[1]) && isinf(crowding[2]));
	arena_free(&a);
}

/* In three objectives an end need not be one of another objective: (1,2,10) and (8,5,1) are
 * upper ends alone. Of all, only (2,3,4) is no end: (3-1)/8 + (4-2)/8 + (5-3)/10. */
Test(sets, crowding_in_three_objectives)
{
	const double f[] = { 0, 4, 5, 1, 2, 10, 2, 3, 4, 3, 8, 0, 4, 0, 3, 8, 5, 1 };
	const uint32_t member[] = { 0, 1, 2, 3, 4, 5 };
	double crowding[6];
	struct arena a = { 0 };

	rank_crowding(f, 3, member, 6, crowding, &a);
	for (size_t i = 0; i < 6; i++)
		cr_assert(i == 2 ? fabs(crowding[i] - 0.7) < 1e-12 : isinf(crowding[i]), "%zu: %g",
			  i, crowding[i]);
	arena_free(&a);
}

/* On a line: 0 and 10 are the extremes; of the others, to be cut to two, 1 2 3 form
 * one cluster, whose middle is 2, and 7 another. */
/* By hand. The first front is a (0, 9), b (1, 4), c (2, 3) and d (9, 0); e (9, 10) is behind it.
 * Squared distances in parts of the ranges 9 and 10: from d, the best in the last objective, a
 * is 1.81 away, b .95, c .70; then from a, b is .26 away and c .41. */
Test(sets, spread_by_hand)
{
	static const double f[] = { 2, 3, 9, 10, 0, 9, 9, 0, 1, 4 };
	struct arena a = { 0 };
	uint32_t order[5];

	search_spread(f, 5, 2, 5, order, &a);
	cr_assert_eq(order[0], 3);
	cr_assert_eq(order[1], 2);
	cr_assert_eq(order[2], 0);
	cr_assert_eq(order[3], 4);
	cr_assert_eq(order[4], 1);
	search_spread(f, 5, 2, 2, order + 3, &a);
	cr_assert_eq(order[3], 3);
	cr_assert_eq(order[4], 2);
	/* all alike: by position */
	search_spread((double[]){ 1, 1, 1, 1, 1, 1 }, 3, 2, 3, order, &a);
	cr_assert(order[0] == 0 && order[1] == 1 && order[2] == 2);
	search_spread(NULL, 0, 2, 0, order, &a);
	arena_free(&a);
}

Test(sets, clusters_leave_their_middle)
{
	const double f[] = { 3, 7, 10, 0, 1, 9, 7, 3, 0, 10, 2, 8 };
	const uint32_t want[] = { 1, 3, 4, 5 };
	uint32_t kept[4];
	struct arena a = { 0 };

	cluster_choose(f, 6, 2, 4, kept, &a);
	cr_assert_arr_eq(kept, want, sizeof want);
	arena_free(&a);
}

static const struct search_var binary[2] = { { .hi = 1, .integer = true },
					     { .hi = 1, .integer = true } };

Test(sets, distinct_goes_by_value)
{
	const double x[][2] = { { 0, 1 }, { 1, 0 }, { -0.0, 1 } };
	const struct search_domain domain = { .n_vars = 2, .var = binary };
	struct arena a = { 0 };
	struct distinct d;

	distinct_init(&d, &domain, 3, &a);
	cr_assert(distinct_add(&d, x[0]));
	cr_assert(distinct_add(&d, x[1]));
	cr_assert_not(distinct_add(&d, x[2]));
	distinct_reset(&d, x[1], 1);
	cr_assert(distinct_add(&d, x[2]));
	cr_assert_not(distinct_add(&d, x[1]));
	arena_free(&a);
}

static void count_one(double *x, void *ctx)
{
	(void)x;
	++*(int *)ctx;
}

/* Of the four vectors of two bits three are there, then all; reals are never told apart. */
Test(sets, offspring_are_redrawn_until_new)
{
	const double x[][2] = { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } };
	const struct search_var reals[2] = { { .hi = 1 }, { .hi = 1, .integer = true } };
	const struct variation_cfg vary = { .mutation_rate = 0.5 };
	int drawn = 0;
	struct search_domain domain = {
		.n_vars = 2, .var = binary, .canonical = count_one, .ctx = &drawn
	};
	struct arena a = { 0 };
	struct distinct d;
	struct rng rng;

	rng_seed(&rng, 1, 2);
	distinct_init(&d, &domain, 5, &a);
	for (int i = 0; i < 10; i++)
		for (int mutated = 0; mutated < 2; mutated++) {
			double child[2] = { 0, 1 };

			drawn = 0;
			distinct_reset(&d, x[0], 3);
			distinct_add_new(&d, mutated ? &vary : NULL, &rng, child);
			cr_assert(child[0] == 1 && child[1] == 1);
			cr_assert(drawn >= 1 && drawn <= 16);
			drawn = 0;
			distinct_add_new(&d, mutated ? &vary : NULL, &rng, child);
			cr_assert_eq(drawn, 16);
		}
	domain.var = reals;
	distinct_init(&d, &domain, 5, &a);
	drawn = 0;
	for (int i = 0; i < 2; i++) {
		double child[2] = { 0, 1 };

		distinct_reset(&d, x[0], 3);
		distinct_add_new(&d, &vary, &rng, child);
		cr_assert(drawn == 0 && child[0] == 0 && child[1] == 1);
	}
	arena_free(&a);
}
