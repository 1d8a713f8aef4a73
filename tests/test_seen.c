#include <criterion/criterion.h>
#include <string.h>

#include "leak.h"
#include "rng.h"
#include "seen.h"

TestSuite(seen, .fini = no_leaks);

#define GENES	5
#define OBJ	3
#define STEPS	20000
#define CAP_MAX 700

/* Everything ever added, newest last: what is remembered is the tail of it. */
struct model {
	size_t n;
	double x[STEPS][GENES], f[STEPS][OBJ], violation[STEPS];
};

static bool model_find(const struct model *m, size_t cap, const double *x, size_t *number)
{
	for (size_t i = m->n; i-- > (m->n > cap ? m->n - cap : 0);)
		if (!memcmp(m->x[i], x, sizeof m->x[i])) {
			*number = i;
			return true;
		}
	return false;
}

/* Random vectors out of 1024, 4^5, which is more than is remembered, or all of it. */
Test(seen, against_a_list)
{
	static const size_t caps[] = { 1, 2, 3, 64, 100, CAP_MAX, 5000 };

	for (size_t c = 0; c < sizeof caps / sizeof *caps; c++) {
		struct arena a = { 0 };
		struct model *m = ARENA_NEW(&a, struct model, 1);
		size_t found = 0;
		struct seen s;
		struct rng rng;

		rng_seed(&rng, 7, c);
		seen_init(&s, GENES, OBJ, caps[c], &a);
		for (size_t step = 0; step < STEPS; step++) {
			double x[GENES], f[OBJ];
			uint64_t number = 99999999;
			size_t want = 0;
			bool there;

			for (size_t i = 0; i < GENES; i++)
				x[i] = (double)rng_below(&rng, 4) * (i == 2 ? 21845 : 1);
			there = model_find(m, caps[c], x, &want);
			cr_assert_eq(seen_find(&s, x, &number), there, "%zu, step %zu", caps[c],
				     step);
			if (there) {
				found++;
				cr_assert_eq(number, want);
				cr_assert_eq(seen_recall(&s, number, f), m->violation[want]);
				cr_assert_arr_eq(f, m->f[want], sizeof f);
				continue;
			}
			for (size_t k = 0; k < OBJ; k++)
				m->f[m->n][k] = rng_unit(&rng);
			m->violation[m->n] = rng_unit(&rng);
			memcpy(m->x[m->n], x, sizeof x);
			cr_assert_eq(seen_add(&s, x), m->n);
			seen_score(&s, m->n, m->f[m->n], m->violation[m->n]);
			m->n++;
		}
		cr_assert_eq(found, STEPS - m->n);
		cr_assert(caps[c] < 1024 ? m->n > 1024 : m->n == 1024, "%zu of %zu", m->n, caps[c]);
		arena_free(&a);
	}
}
