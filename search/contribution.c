#include "contribution.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "alone.h"
#include "front.h"

/* The reference in ranges behind the worst, and the least and most that it may drift
 * to before all volumes are measured anew. */
#define MARGIN	     0.1
#define MARGIN_LEAST 0.08
#define MARGIN_MOST  0.15
/* A range counts as this part of the values at least, or the margin would drown in their
 * rounding. */
#define RANGE_LEAST ((1 << 10) * DBL_EPSILON)
#define NOBODY	    SIZE_MAX

void contribution_init(struct contribution *c, size_t m, size_t most, struct arena *arena)
{
	*c = (struct contribution){ .m = m, .scratch = arena };
	c->f = ARENA_NEW(arena, double, most *m);
	c->own = ARENA_NEW(arena, double, most);
	c->id = ARENA_NEW(arena, uint32_t, most);
	c->x = ARENA_NEW(arena, double, most);
	c->y = ARENA_NEW(arena, double, most);
	c->rest = ARENA_NEW(arena, double, most *m);
	contribution_clear(c);
}

/* Without a reference nothing has a volume, until it is asked for. */
void contribution_clear(struct contribution *c)
{
	c->n = 0;
	for (size_t k = 0; k < c->m; k++)
		c->ref[k] = -INFINITY;
}

/* The box of u less what the others cut out of it. Most of these cuts lie within another,
 * so only the front of them is measured. */
static double alone_many(struct contribution *c, const double *u, size_t but)
{
	size_t m = c->m, n = 0;
	double box = 1, cut[SEARCH_MAX_OBJECTIVES];

	for (size_t k = 0; k < m; k++)
		box *= c->ref[k] - u[k];
	for (size_t i = 0; i < c->n; i++) {
		if (i == but)
			continue;
		for (size_t k = 0; k < m; k++)
			cut[k] = fmax(c->f[i * m + k], u[k]);
		n = front_keep(c->rest, n, m, cut);
	}
	return box - search_hypervolume(c->rest, n, m, c->ref, c->scratch);
}

/* Volume that u dominates and no point but @but does. */
static double alone(struct contribution *c, const double *u, size_t but)
{
	size_t m = c->m;

	for (size_t k = 0; k < m; k++)
		if (!(u[k] < c->ref[k]))
			return 0;
	for (size_t i = 0; i < c->n && c->f[i * m + m - 1] <= u[m - 1]; i++) {
		bool worse = i == but;

		for (size_t k = 0; k + 1 < m; k++)
			worse |= c->f[i * m + k] > u[k];
		if (!worse)
			return 0;
	}
	if (m == 3)
		return alone_three(c->f, c->n, u, but, c->ref, c->x, c->y);
	return alone_many(c, u, but);
}

static void measure_two(struct contribution *c, size_t at)
{
	const double *f = c->f + 2 * at;

	if (at == 0 || at + 1 == c->n)
		c->own[at] = INFINITY;
	else
		c->own[at] = (f[-2] - f[0]) * (f[3] - f[1]);
}

/* @sign times what every point shares with @f alone, which is not among them. */
static void share(struct contribution *c, const double *f, double sign)
{
	size_t m = c->m;
	double u[SEARCH_MAX_OBJECTIVES];

	for (size_t i = 0; i < c->n; i++) {
		for (size_t k = 0; k < m; k++)
			u[k] = f[k] > c->f[i * m + k] ? f[k] : c->f[i * m + k];
		c->own[i] += sign * alone(c, u, i);
	}
}

/* Move what is from position @at on by one place. */
static void make_room(struct contribution *c, size_t at)
{
	size_t m = c->m, tail = c->n++ - at;

	memmove(c->f + (at + 1) * m, c->f + at * m, tail * m * sizeof *c->f);
	memmove(c->own + at + 1, c->own + at, tail * sizeof *c->own);
	memmove(c->id + at + 1, c->id + at, tail * sizeof *c->id);
}

static void close_gap(struct contribution *c, size_t at)
{
	size_t m = c->m, tail = --c->n - at;

	memmove(c->f + at * m, c->f + (at + 1) * m, tail * m * sizeof *c->f);
	memmove(c->own + at, c->own + at + 1, tail * sizeof *c->own);
	memmove(c->id + at, c->id + at + 1, tail * sizeof *c->id);
}

void contribution_add(struct contribution *c, const double *f, uint32_t id)
{
	size_t m = c->m, lo = 0, hi = c->n;
	double own = 0;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c->f[mid * m + m - 1] <= f[m - 1])
			lo = mid + 1;
		else
			hi = mid;
	}
	if (m != 2) {
		own = alone(c, f, NOBODY);
		share(c, f, -1);
	}
	make_room(c, lo);
	memcpy(c->f + lo * m, f, m * sizeof *f);
	c->own[lo] = own;
	c->id[lo] = id;
	if (m == 2)
		for (size_t i = lo > 0 ? lo - 1 : 0; i < c->n && i <= lo + 1; i++)
			measure_two(c, i);
}

static size_t find(const struct contribution *c, uint32_t id)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->id[i] == id)
			return i;
	return NOBODY;
}

void contribution_drop(struct contribution *c, uint32_t id)
{
	size_t m = c->m, at = find(c, id);
	double f[SEARCH_MAX_OBJECTIVES];

	if (at == NOBODY)
		return;
	memcpy(f, c->f + at * m, m * sizeof *f);
	close_gap(c, at);
	if (m != 2)
		share(c, f, 1);
	else
		for (size_t i = at > 0 ? at - 1 : 0; i < c->n && i <= at; i++)
			measure_two(c, i);
}

void contribution_rename(struct contribution *c, uint32_t from, uint32_t to)
{
	size_t at = find(c, from);

	if (at != NOBODY)
		c->id[at] = to;
}

/* Let the reference follow the points. */
static void follow(struct contribution *c)
{
	size_t m = c->m;
	double far[SEARCH_MAX_OBJECTIVES];
	bool moved = false;

	for (size_t k = 0; k < m; k++) {
		double lo = INFINITY, hi = -INFINITY, range;

		for (size_t i = 0; i < c->n; i++) {
			lo = c->f[i * m + k] < lo ? c->f[i * m + k] : lo;
			hi = c->f[i * m + k] > hi ? c->f[i * m + k] : hi;
		}
		range = fmax(hi > lo ? hi - lo : 1, RANGE_LEAST * fmax(-lo, hi));
		far[k] = hi + MARGIN * range;
		moved |= !(c->ref[k] - hi >= MARGIN_LEAST * range &&
			   c->ref[k] - hi <= MARGIN_MOST * range);
	}
	if (!moved)
		return;
	memcpy(c->ref, far, m * sizeof *far);
	for (size_t i = 0; i < c->n; i++)
		c->own[i] = alone(c, c->f + i * m, i);
}

uint32_t contribution_least(struct contribution *c)
{
	size_t least = 0;

	if (c->m != 2)
		follow(c);
	for (size_t i = 1; i < c->n; i++)
		if (c->own[i] < c->own[least])
			least = i;
	return c->id[least];
}
