#include "amosa_archive.h"

#include <math.h>
#include <string.h>

#include "cluster.h"
#include "front.h"

void amosa_archive_init(struct amosa_archive *a, const struct search_domain *d,
			enum amosa_truncation truncation, size_t hard, size_t soft,
			struct arena *arena)
{
	size_t m = d->n_objectives, most = (truncation == AMOSA_CLUSTERING ? soft : hard) + 1;

	*a = (struct amosa_archive){ .n_vars = d->n_vars,
				     .m = m,
				     .hard = hard,
				     .soft = soft,
				     .truncation = truncation,
				     .scratch = arena };
	a->x = ARENA_NEW(arena, double, most * d->n_vars);
	a->f = ARENA_NEW(arena, double, most *m);
	a->zero = ARENA_NEW(arena, double, most);
	if (truncation == AMOSA_HYPERVOLUME) {
		contribution_init(&a->volume, m, most, arena);
		return;
	}
	a->kept = ARENA_NEW(arena, uint32_t, most);
	a->cut_x = ARENA_NEW(arena, double, hard * d->n_vars);
	a->cut_f = ARENA_NEW(arena, double, hard *m);
}

static void copy_row(const struct amosa_archive *a, size_t from, double *x, double *f)
{
	memmove(x, a->x + from * a->n_vars, a->n_vars * sizeof *x);
	memmove(f, a->f + from * a->m, a->m * sizeof *f);
}

/* The last member takes the place of the one that leaves. */
static void drop(struct amosa_archive *a, size_t at)
{
	size_t last = --a->n;

	if (a->truncation == AMOSA_HYPERVOLUME) {
		contribution_drop(&a->volume, (uint32_t)at);
		contribution_rename(&a->volume, (uint32_t)last, (uint32_t)at);
	}
	copy_row(a, last, a->x + at * a->n_vars, a->f + at * a->m);
}

/* Those that clustering leaves of all, into room that may be the archive's own. */
static void cut(struct amosa_archive *a, double *x, double *f)
{
	cluster_choose(a->f, a->n, a->m, a->hard, a->kept, a->scratch);
	for (size_t i = 0; i < a->hard; i++)
		copy_row(a, a->kept[i], x + i * a->n_vars, f + i * a->m);
}

static void truncate(struct amosa_archive *a)
{
	if (a->truncation == AMOSA_HYPERVOLUME) {
		contribution_add(&a->volume, a->f + (a->n - 1) * a->m, (uint32_t)(a->n - 1));
		if (a->n > a->hard)
			drop(a, contribution_least(&a->volume));
	} else if (a->n > a->soft) {
		cut(a, a->x, a->f);
		a->n = a->hard;
	}
}

void amosa_archive_add(struct amosa_archive *a, const double *x, const double *f)
{
	size_t m = a->m;

	for (size_t i = 0; i < a->n;) {
		struct front_relation r = front_relate(f, a->f + i * m, m);

		if (!r.better)
			return;
		if (r.worse)
			i++;
		else
			drop(a, i);
	}
	memcpy(a->x + a->n * a->n_vars, x, a->n_vars * sizeof *x);
	memcpy(a->f + a->n * m, f, m * sizeof *f);
	a->n++;
	truncate(a);
	for (size_t k = 0; k < m; k++) {
		a->lo[k] = INFINITY;
		a->hi[k] = -INFINITY;
		for (size_t i = 0; i < a->n; i++) {
			a->lo[k] = fmin(a->lo[k], a->f[i * m + k]);
			a->hi[k] = fmax(a->hi[k], a->f[i * m + k]);
		}
	}
	a->cut_valid = false;
}

struct search_points amosa_archive_answer(struct amosa_archive *a)
{
	if (a->n <= a->hard)
		return (struct search_points){ a->n, a->x, a->f, a->zero };
	if (!a->cut_valid)
		cut(a, a->cut_x, a->cut_f);
	a->cut_valid = true;
	return (struct search_points){ a->hard, a->cut_x, a->cut_f, a->zero };
}
