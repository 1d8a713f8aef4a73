#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "contribution.h"
#include "leak.h"
#include "points.h"
#include "search.h"

TestSuite(hypervolume, .fini = no_leaks);

/* Values on which moocore, pagmo 2.18 and DEAP agree to all digits given. */
Test(hypervolume, agrees_with_other_programs)
{
	static const double want[] = { 0.423456046, 0.778824744, 1.059609460 };
	static const double ref[] = { 1.1, 1.1, 1.1, 1.1 };
	struct arena a = { 0 };

	for (size_t m = 2; m <= 4; m++) {
		double v = search_hypervolume(cloud(&a, 1000, m, true), 1000, m, ref, &a);

		cr_assert_float_eq(v, want[m - 2], 5.1e-10, "m %zu: %.12f", m, v);
	}
	arena_free(&a);
}

/* Volume of the union of boxes by inclusion and exclusion over all subsets. */
static double union_of_boxes(const double *f, size_t n, size_t m, const double *ref)
{
	double sum = 0;

	for (unsigned set = 1; set < 1u << n; set++) {
		double box = -1;

		for (size_t i = 0; i < n; i++)
			box = set >> i & 1 ? -box : box;
		for (size_t k = 0; k < m; k++) {
			double corner = -INFINITY;

			for (size_t i = 0; i < n; i++)
				if (set >> i & 1)
					corner = fmax(corner, f[i * m + k]);
			box *= fmax(ref[k] - corner, 0);
		}
		sum += box;
	}
	return sum;
}

Test(hypervolume, is_the_volume_of_the_union)
{
	static const uint64_t values[] = { 3, 8, 1000 };
	double ref[SEARCH_MAX_OBJECTIVES];
	struct arena a = { 0 };
	struct rng rng;

	rng_seed(&rng, 2, 1);
	cr_assert_eq(search_hypervolume(NULL, 0, 4, ref, &a), 0);
	for (size_t m = 1; m <= 6; m++)
		for (size_t n = 1; n <= 10; n++)
			for (size_t v = 0; v < 3; v++) {
				double top = (double)values[v], want, got;
				double *f = lattice(&a, &rng, n, m, values[v]);

				for (size_t k = 0; k < m; k++) /* some points outside */
					ref[k] = top * (0.8 + 0.1 * (double)k);
				want = union_of_boxes(f, n, m, ref);
				got = search_hypervolume(f, n, m, ref, &a);
				cr_assert_float_eq(got, want, 1e-9 * pow(top, (double)m),
						   "m %zu n %zu: %.12g, not %.12g", m, n, got,
						   want);
			}
	arena_free(&a);
}

/* Four objectives in slices: between two values of the last one the volume of those in
 * front of them in the first three. */
static double in_slices(const double *f, size_t n, const double *ref, struct arena *a)
{
	struct arena_mark mark = arena_mark(a);
	double *part = ARENA_NEW(a, double, 3 * n), sum = 0;

	for (size_t i = 0; i < n; i++) {
		double from = f[4 * i + 3], to = ref[3];
		bool again = false;
		size_t k = 0;

		for (size_t j = 0; j < n; j++) {
			double w = f[4 * j + 3];

			again |= j < i && w == from;
			to = w > from ? fmin(to, w) : to;
			if (w <= from)
				memcpy(part + 3 * k++, f + 4 * j, 3 * sizeof *f);
		}
		if (!again && from < ref[3])
			sum += (to - from) * search_hypervolume(part, k, 3, ref, a);
	}
	arena_rewind(a, mark);
	return sum;
}

Test(hypervolume, of_four_is_that_of_its_slices)
{
	enum { UNIFORM, SPHERE, LATTICE, CLUSTERED, FLAT, SETS };
	static const double ref[] = { 0.95, 1.1, 1.1, 1 };
	const size_t n = 250;
	struct arena a = { 0 };
	struct rng rng;

	rng_seed(&rng, 5, 1);
	for (int set = UNIFORM; set < SETS; set++) {
		double *f = cloud(&a, n, 4, set == SPHERE), want;

		for (size_t i = 0; i < 4 * n; i++) {
			if (set == LATTICE)
				f[i] = (double)rng_below(&rng, 5) / 4;
			else if (set == CLUSTERED)
				f[i] = 0.2 * (double)(i / 4 % 3) + 1e-3 * f[i];
			else if (set == FLAT && i % 4 == i / 400)
				f[i] = 0.5;
		}
		want = in_slices(f, n, ref, &a);
		cr_assert_float_eq(search_hypervolume(f, n, 4, ref, &a), want, 1e-12 * want,
				   "set %d", set);
	}
	arena_free(&a);
}

/* What each point adds is what the volume of all is more than that of the others. */
static void check_contributions(const struct contribution *c, struct arena *a)
{
	size_t m = c->m;
	struct arena_mark mark = arena_mark(a);
	double *rest = ARENA_NEW(a, double, (c->n + 1) * m);
	double all = search_hypervolume(c->f, c->n, m, c->ref, a);

	for (size_t k = 0; k < m; k++) {
		double lo = INFINITY, hi = -INFINITY, range;

		for (size_t i = 0; i < c->n; i++) {
			lo = fmin(lo, c->f[i * m + k]);
			hi = fmax(hi, c->f[i * m + k]);
		}
		range = hi > lo ? hi - lo : 1;
		cr_assert(c->ref[k] >= hi + 0.08 * range && c->ref[k] <= hi + 0.15 * range,
			  "%g for %g .. %g", c->ref[k], lo, hi);
	}
	for (size_t i = 0; i < c->n; i++) {
		double want;

		memcpy(rest, c->f, i * m * sizeof *rest);
		memcpy(rest + i * m, c->f + (i + 1) * m, (c->n - i - 1) * m * sizeof *rest);
		want = all - search_hypervolume(rest, c->n - 1, m, c->ref, a);
		cr_assert_float_eq(c->own[i], want, 1e-9 * all, "m %zu, %zu of %zu: %g, not %g", m,
				   i, c->n, c->own[i], want);
	}
	arena_rewind(a, mark);
}

/* Points of one sum do not dominate each other; few values make ties and equal points. */
Test(hypervolume, contributions_follow_what_comes_and_goes)
{
	static const uint64_t values[] = { 4, 12, 1000000 };
	struct arena a = { 0 };
	struct rng rng;

	rng_seed(&rng, 4, 1);
	for (size_t m = 3; m <= 5; m++)
		for (size_t v = 0; v < 3; v++) {
			struct contribution c;
			uint32_t id = 0, there[40];

			contribution_init(&c, m, 40, &a);
			for (int round = 0; round < 300; round++) {
				size_t pick = (size_t)rng_below(&rng, 40);
				double f[5], sum = 0;

				if (pick < c.n) {
					memcpy(there, c.id, sizeof there);
					contribution_drop(&c, there[pick]);
				} else {
					for (size_t k = 0; k + 1 < m; k++)
						sum += f[k] = (double)rng_below(&rng, values[v]);
					f[m - 1] = -sum;
					contribution_add(&c, f, id++);
				}
				if (c.n > 0 && round % 10 == 0) {
					contribution_least(&c);
					check_contributions(&c, &a);
				}
			}
		}
	arena_free(&a);
}

/* The reference by hand: a tenth of the range behind the worst, left there while that is 0.08
 * to 0.15 of it, and put there anew where it is less or more. */
Test(hypervolume, reference_follows_the_range)
{
	static const struct {
		double worst, ref; /* of the last objective, whose least is 0 */
	} step[] = { { 10, 11 }, { 9.7, 11 }, { 9.5, 10.45 }, { 9.6, 10.45 }, { 9.8, 10.78 } };
	struct arena a = { 0 };
	struct contribution c;

	contribution_init(&c, 3, 3, &a);
	contribution_add(&c, (double[]){ 0, 1, 1 }, 0);
	contribution_add(&c, (double[]){ 1, 1, 0 }, 1);
	for (size_t i = 0; i < sizeof step / sizeof *step; i++) {
		contribution_drop(&c, 2);
		contribution_add(&c, (double[]){ 1, 0, step[i].worst }, 2);
		contribution_least(&c);
		cr_assert_float_eq(c.ref[0], 1.1, 1e-15);
		cr_assert_float_eq(c.ref[2], step[i].ref, 1e-14, "%zu: %.17g", i, c.ref[2]);
	}
	arena_free(&a);
}

/* An objective in which all points are alike to within its rounding changes nothing of how
 * the others compare: (0, 4), (1, 1), (3, 0) dominate alone 1 x 0.4, 2 x 3 and 0.3 x 1 up to
 * the reference (3.3, 4.4), the last one leaves. */
Test(hypervolume, contributions_beside_a_great_value)
{
	static const double f[3][2] = { { 3, 0 }, { 0, 4 }, { 1, 1 } };
	static const double area[] = { 0.3, 0.4, 6 };
	static const double great[] = { 1e16, -1e16, 1e100, 0.1 };
	struct arena a = { 0 };

	for (size_t m = 3; m <= 5; m++)
		for (size_t v = 0; v < sizeof great / sizeof *great; v++)
			for (int differ = 0; differ < 2; differ++) {
				double p[5] = { great[v], great[v], great[v], 0, 0 };
				struct contribution c;
				double depth = 0;

				contribution_init(&c, m, 3, &a);
				for (uint32_t i = 0; i < 3; i++) {
					memcpy(p + m - 2, f[(i + 1) % 3], sizeof f[0]);
					contribution_add(&c, p, (i + 1) % 3);
					if (differ)
						p[0] = nextafter(p[0], INFINITY);
				}
				cr_assert_eq(contribution_least(&c), 0, "%zu objectives, %g", m,
					     great[v]);
				for (size_t i = 0; i < 3; i++)
					depth = fmax(depth, c.own[i] / area[c.id[i]]);
				for (size_t i = 0; i < 3; i++)
					cr_assert_float_eq(c.own[i] / area[c.id[i]], depth,
							   0.1 * depth, "%zu: %g, not %g", i,
							   c.own[i], area[c.id[i]] * depth);
			}
	arena_free(&a);
}

/* Two objectives: areas between neighbours by hand; the ends are kept. */
Test(hypervolume, contributions_of_a_line)
{
	static const double f[][2] = { { 0, 9 }, { 2, 5 }, { 3, 4 }, { 7, 0 }, { 2, 5 } };
	struct contribution c;
	struct arena a = { 0 };

	contribution_init(&c, 2, 5, &a);
	for (uint32_t i = 0; i < 4; i++)
		contribution_add(&c, f[i], i);
	cr_assert_eq(contribution_least(&c), 2); /* (7 - 3)(5 - 4) as (3 - 2)(9 - 5): the lower */
	cr_assert_eq(c.own[1], 4);
	cr_assert_eq(c.own[2], 4);
	cr_assert(isinf(c.own[0]) && isinf(c.own[3]));
	contribution_add(&c, f[4], 4); /* one of the two that are equal */
	cr_assert_eq(f[contribution_least(&c)][0], 2);
	contribution_drop(&c, 4);
	contribution_drop(&c, 1);
	contribution_rename(&c, 2, 1);
	cr_assert_eq(contribution_least(&c), 1);
	cr_assert_eq(c.own[1], (7 - 3) * (9 - 4));
	arena_free(&a);
}
