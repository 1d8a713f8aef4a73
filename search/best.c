#include "best.h"

#include <string.h>

void best_init(struct best *b, const struct search_domain *d, struct arena *arena)
{
	*b = (struct best){ .n_vars = d->n_vars };
	search_archive_init(&b->front, d->n_objectives, BEST_MOST, arena);
	b->least_x = ARENA_NEW(arena, double, d->n_vars);
	b->least_f = ARENA_NEW(arena, double, d->n_objectives);
}

static void keep(struct best *b, size_t slot, const double *x)
{
	if (slot >= b->cap) {
		size_t cap = b->cap ? 2 * b->cap : 64;
		double *more = ARENA_NEW(b->front.arena, double, cap * b->n_vars);

		if (b->cap > 0)
			memcpy(more, b->x, b->cap * b->n_vars * sizeof *more);
		b->x = more;
		b->cap = cap;
	}
	memcpy(b->x + slot * b->n_vars, x, b->n_vars * sizeof *x);
}

void best_tell(struct best *b, const double *x, const double *f, const double *violation, size_t n)
{
	size_t n_vars = b->n_vars, m = b->front.m;
	uint32_t slot;

	for (size_t i = 0; i < n; i++) {
		if (violation[i] > 0) {
			if (b->told && !(violation[i] < b->least_violation))
				continue;
			memcpy(b->least_x, x + i * n_vars, n_vars * sizeof *x);
			memcpy(b->least_f, f + i * m, m * sizeof *f);
			b->least_violation = violation[i];
			b->told = true;
		} else if (search_archive_add(&b->front, f + i * m, &slot)) {
			keep(b, slot, x + i * n_vars);
		}
	}
}

void best_answer(struct best *b, struct search_points *out)
{
	struct arena *a = b->front.arena;
	size_t n = b->front.n;

	if (n == 0) {
		*out = (struct search_points){ b->told, b->least_x, b->least_f,
					       &b->least_violation };
		return;
	}
	if (n > b->room) {
		b->room = b->cap;
		b->answer_x = ARENA_NEW(a, double, b->room * b->n_vars);
		b->answer_f = ARENA_NEW(a, double, b->room * b->front.m);
		b->none = ARENA_NEW(a, double, b->room);
		b->slot = ARENA_NEW(a, uint32_t, b->room);
	}
	search_archive_members(&b->front, b->answer_f, b->slot);
	for (size_t i = 0; i < n; i++)
		memcpy(b->answer_x + i * b->n_vars, b->x + b->slot[i] * b->n_vars,
		       b->n_vars * sizeof *b->x);
	*out = (struct search_points){ n, b->answer_x, b->answer_f, b->none };
}
