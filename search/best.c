#include "best.h"

#include <string.h>

void best_init(struct best *b, const struct search_domain *d, struct arena *arena)
{
	*b = (struct best){ .n_vars = d->n_vars };
	search_archive_init(&b->front, d->n_objectives, arena);
	b->least_x = ARENA_NEW(arena, double, d->n_vars);
	b->least_f = ARENA_NEW(arena, double, d->n_objectives);
}

/* Rows of x in the order of the front, without holes. */
static void gather(struct best *b)
{
	size_t n_vars = b->n_vars;
	double *x = b->spare;

	for (size_t i = 0; i < b->front.n; i++) {
		memcpy(x + i * n_vars, b->x + b->front.tag[i] * n_vars, n_vars * sizeof *x);
		b->front.tag[i] = i;
	}
	b->used = b->front.n;
	b->spare = b->x;
	b->x = x;
}

static void make_room(struct best *b)
{
	size_t n_vars = b->n_vars, old = b->cap;

	if (b->used < b->cap)
		return;
	if (2 * b->front.n >= old) {
		b->cap = old ? 2 * old : 64;
		b->spare = ARENA_NEW(b->front.arena, double, b->cap *n_vars);
		b->violation = ARENA_NEW(b->front.arena, double, b->cap);
	}
	gather(b);
	if (b->cap > old)
		b->spare = ARENA_NEW(b->front.arena, double, b->cap *n_vars);
}

void best_tell(struct best *b, const double *x, const double *f, const double *violation, size_t n)
{
	size_t n_vars = b->n_vars, m = b->front.m;

	for (size_t i = 0; i < n; i++) {
		make_room(b);
		if (violation[i] > 0) {
			if (b->told && !(violation[i] < b->least_violation))
				continue;
			memcpy(b->least_x, x + i * n_vars, n_vars * sizeof *x);
			memcpy(b->least_f, f + i * m, m * sizeof *f);
			b->least_violation = violation[i];
			b->told = true;
		} else if (search_archive_add(&b->front, f + i * m, b->used)) {
			memcpy(b->x + b->used++ * n_vars, x + i * n_vars, n_vars * sizeof *x);
		}
	}
}

void best_answer(struct best *b, struct search_points *out)
{
	if (b->front.n > 0) {
		gather(b);
		*out = (struct search_points){ b->front.n, b->x, b->front.f, b->violation };
	} else {
		*out = (struct search_points){ b->told, b->least_x, b->least_f,
					       &b->least_violation };
	}
}
