#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "leak.h"
#include "points.h"
#include "search.h"

TestSuite(archive, .fini = no_leaks);

/* What somebody keeps of the members, by slot: here the number of the point. */
#define POINTS 3000
struct kept {
	size_t point[POINTS];
};

static size_t list(const struct search_archive *s, double *f, uint32_t *slot)
{
	search_archive_members(s, f, slot);
	return s->n;
}

static bool covered(const double *f, size_t i, size_t j, size_t m)
{
	int c = search_compare(f + j * m, f + i * m, m);

	return c == -1 || (j < i && !memcmp(f + j * m, f + i * m, m * sizeof *f));
}

/* Against comparing each with every other; ties and equal points are frequent. */
Test(archive, is_the_non_dominated_set)
{
	static const uint64_t values[] = { 3, 30, 1000000 };
	struct rng rng;

	rng_seed(&rng, 3, 1);
	for (size_t m = 1; m <= 5; m++)
		for (size_t v = 0; v < 3; v++) {
			struct arena a = { 0 };
			size_t n = POINTS, expected = 0;
			double *f = lattice(&a, &rng, n, m, values[v]);
			double *g = ARENA_NEW(&a, double, n *m);
			uint32_t *slot = ARENA_NEW(&a, uint32_t, n), at;
			struct kept kept;
			struct search_archive s;

			search_archive_init(&s, m, n, &a);
			for (size_t i = 0; i < n; i++) {
				bool in = true;

				for (size_t j = 0; j < i; j++)
					in &= !covered(f, i, j, m);
				cr_assert_eq(search_archive_add(&s, f + i * m, &at), in,
					     "%zu objectives, %zu values, point %zu", m,
					     (size_t)values[v], i);
				if (in)
					kept.point[at] = i;
			}
			for (size_t i = 0; i < n; i++) {
				bool in = true;

				for (size_t j = 0; j < n; j++)
					in &= !covered(f, i, j, m);
				expected += in;
			}
			cr_assert_eq(list(&s, g, slot), expected);
			for (size_t i = 0; i < s.n; i++) {
				cr_assert_lt(slot[i], n);
				cr_assert_arr_eq(g + i * m, f + kept.point[slot[i]] * m,
						 m * sizeof *f);
			}
			arena_free(&a);
		}
}

/* The least or greatest of objective @k. */
static double end(const double *f, size_t n, size_t m, size_t k, bool greatest)
{
	double v = f[k];

	for (size_t i = 1; i < n; i++)
		v = greatest ? fmax(v, f[i * m + k]) : fmin(v, f[i * m + k]);
	return v;
}

static void check_bound(size_t m, size_t most, bool some_are_worse)
{
	struct arena a = { 0 };
	double *f = cloud(&a, POINTS, m, true);
	double *g = ARENA_NEW(&a, double, most *m);
	uint32_t *slot = ARENA_NEW(&a, uint32_t, most), at;
	struct kept kept;
	struct search_archive s;

	search_archive_init(&s, m, most, &a);
	for (size_t i = 0; i < POINTS; i++) {
		for (size_t k = 0; some_are_worse && i % 2 && k < m; k++)
			f[i * m + k] *= 1.3;
		if (search_archive_add(&s, f + i * m, &at))
			kept.point[at] = i;
		cr_assert(at < most && s.n <= most);
	}
	list(&s, g, slot);
	cr_assert(s.n >= most - most / 10 - 1, "%zu of %zu", s.n, most);
	for (size_t i = 0; i < s.n; i++) {
		cr_assert_arr_eq(g + i * m, f + kept.point[slot[i]] * m, m * sizeof *f);
		for (size_t j = 0; j < i; j++)
			cr_assert(search_compare(g + i * m, g + j * m, m) == 0 &&
				  slot[i] != slot[j]);
	}
	for (size_t k = 0; k < m; k++) {
		cr_assert(most <= m || end(g, s.n, m, k, false) == end(f, POINTS, m, k, false),
			  "%zu objectives, at most %zu: least of %zu", m, most, k);
		cr_assert(most <= 2 * m || some_are_worse ||
				  end(g, s.n, m, k, true) == end(f, POINTS, m, k, true),
			  "%zu objectives, at most %zu: greatest of %zu", m, most, k);
	}
	arena_free(&a);
}

/* On the sphere nothing dominates anything, so every point wants to stay; others that are
 * worse must be turned away, or leave. */
Test(archive, keeps_its_bound_and_its_ends)
{
	static const size_t most[] = { 2, 8, 9, 10, 17, 100, 999 };

	for (size_t m = 2; m <= 8; m++)
		for (size_t b = 0; b < sizeof most / sizeof *most; b++) {
			check_bound(m, most[b], false);
			check_bound(m, most[b], true);
		}
}

/* Crowding of the points that are left by looking at all others for each objective. */
static double crowding(const double *f, const bool *left, size_t n, size_t m, size_t i)
{
	double sum = 0;

	for (size_t k = 0; k < m; k++) {
		double below = -INFINITY, above = INFINITY, v = f[i * m + k];

		for (size_t j = 0; j < n; j++) {
			double w = f[j * m + k];

			below = left[j] && w < v ? fmax(below, w) : below;
			above = left[j] && w > v ? fmin(above, w) : above;
		}
		sum += (above - below) / (end(f, n, m, k, true) - end(f, n, m, k, false));
	}
	return sum;
}

/* The tenth that leaves is that which leaves if all is measured anew after each. */
Test(archive, drops_what_plain_crowding_drops)
{
	for (size_t m = 2; m <= 6; m++) {
		const size_t n = 120;
		struct arena a = { 0 };
		double *f = cloud(&a, n + 1, m, true), *g = ARENA_NEW(&a, double, n *m);
		bool *left = ARENA_NEW(&a, bool, n + 1);
		struct search_archive s;
		uint32_t at;

		search_archive_init(&s, m, n, &a);
		for (size_t i = 0; i <= n; i++) {
			cr_assert(search_archive_add(&s, f + i * m, &at));
			left[i] = true;
		}
		for (size_t gone = 0; gone < 1 + n / 10; gone++) {
			size_t least = 0;

			for (size_t i = 1; i < n; i++)
				if (left[i] &&
				    (!left[least] ||
				     crowding(f, left, n, m, i) < crowding(f, left, n, m, least)))
					least = i;
			left[least] = false;
		}
		cr_assert_eq(list(&s, g, NULL), n - n / 10);
		for (size_t i = 0; i <= n; i++) {
			bool there = false;

			for (size_t j = 0; j < s.n; j++)
				there |= !memcmp(f + i * m, g + j * m, m * sizeof *f);
			cr_assert_eq(there, left[i], "%zu objectives, point %zu", m, i);
		}
		arena_free(&a);
	}
}

/* Ten on a line, where the eleventh, 8, wants in. Between its neighbours 5 has 5.1 - 4.2 = 0.9 and
 * leaves; 5.1 had 1.2 but now has 2.0, and the next least is 4.2 with 5.1 - 3.2 = 1.9. */
Test(archive, drops_the_most_crowded_by_hand)
{
	static const double x[] = { 0, 1, 2.1, 3.2, 4.2, 5, 5.1, 6.2, 9, 10, 8 };
	static const double left[] = { 0, 1, 2.1, 3.2, 5.1, 6.2, 8, 9, 10 };
	struct arena a = { 0 };
	struct search_archive s;
	double f[20];
	uint32_t at;

	search_archive_init(&s, 2, 10, &a);
	for (size_t i = 0; i < 11; i++)
		cr_assert(search_archive_add(&s, (double[]){ x[i], 10 - x[i] }, &at));
	cr_assert_eq(s.n, 9);
	search_archive_members(&s, f, NULL);
	for (size_t i = 0; i < 9; i++) {
		bool there = false;

		for (size_t j = 0; j < 9; j++)
			there |= f[2 * j] == left[i];
		cr_expect(there, "%g", left[i]);
	}
	arena_free(&a);
}
