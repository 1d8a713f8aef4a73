#include "population.h"

#include <string.h>

#include "rank.h"

void population_init(struct search *s, population_select_fn *select)
{
	const struct population_cfg *cfg = s->cfg;
	struct population *p = s->state;
	size_t size = (size_t)cfg->population, n_vars = s->domain->n_vars;

	*p = (struct population){
		.size = size,
		.x = ARENA_NEW(s->arena, double, 2 * size * n_vars),
		.f = ARENA_NEW(s->arena, double, 2 * size * s->domain->n_objectives),
		.violation = ARENA_NEW(s->arena, double, 2 * size),
		.rank = ARENA_NEW(s->arena, uint32_t, 2 * size),
		.merit = ARENA_NEW(s->arena, double, 2 * size),
		.pool = ARENA_NEW(s->arena, uint32_t, size),
		.pool_used = size,
		.second = ARENA_NEW(s->arena, double, n_vars),
		.select = select,
	};
	for (size_t i = 0; i < size; i++)
		p->pool[i] = (uint32_t)i;
	distinct_init(&p->seen, s->domain, 2 * size, s->arena);
}

size_t population_batch(const struct search *s)
{
	const struct population *p = s->state;

	return p->n < p->size ? p->size - p->n : p->size;
}

static uint32_t draw(struct search *s)
{
	struct population *p = s->state;

	if (p->pool_used == p->size) {
		rng_shuffle_u32(s->rng, p->pool, p->size);
		p->pool_used = 0;
	}
	return p->pool[p->pool_used++];
}

/* Binary tournament; with the pool everybody is in as many as everybody else. */
static const double *parent(struct search *s)
{
	const struct population *p = s->state;
	uint32_t a = draw(s), b = draw(s);

	if (p->rank[b] < p->rank[a] || (p->rank[b] == p->rank[a] && p->merit[b] > p->merit[a]))
		a = b;
	return p->x + a * s->domain->n_vars;
}

static void make_pair(struct search *s, double *a, double *b)
{
	const struct population_cfg *cfg = s->cfg;
	size_t bytes = s->domain->n_vars * sizeof *a;

	memcpy(a, parent(s), bytes);
	memcpy(b, parent(s), bytes);
	variation_cross(s->domain, &cfg->vary, s->rng, a, b);
	variation_mutate(s->domain, &cfg->vary, s->rng, a);
	variation_mutate(s->domain, &cfg->vary, s->rng, b);
}

size_t population_ask(struct search *s, double *x, size_t cap)
{
	const struct population_cfg *cfg = s->cfg;
	struct population *p = s->state;
	size_t n_vars = s->domain->n_vars, n = population_batch(s);
	bool first = p->n < p->size;

	n = n < cap ? n : cap;
	distinct_reset(&p->seen, p->x, p->n);
	for (size_t i = 0; i < n; i++) {
		double *child = x + i * n_vars;

		if (first)
			variation_sample(s->domain, s->rng, child);
		else if (i % 2 == 0)
			make_pair(s, child, i + 1 < n ? child + n_vars : p->second);
		distinct_add_new(&p->seen, first ? NULL : &cfg->vary, s->rng, child);
	}
	return n;
}

static void move_row(struct search *s, size_t to, size_t from)
{
	struct population *p = s->state;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives;

	memcpy(p->x + to * n_vars, p->x + from * n_vars, n_vars * sizeof *p->x);
	memcpy(p->f + to * m, p->f + from * m, m * sizeof *p->f);
	p->violation[to] = p->violation[from];
	p->rank[to] = p->rank[from];
	p->merit[to] = p->merit[from];
}

size_t population_front_end(const struct population *p, const uint32_t *order, size_t n,
			    size_t from)
{
	size_t end = from + 1;

	while (end < n && p->rank[order[end]] == p->rank[order[from]])
		end++;
	return end;
}

/* Leave the best p->size of all rows; those that survive close up. */
static void survive(struct search *s)
{
	struct population *p = s->state;
	struct arena_mark mark = arena_mark(s->arena);
	struct search_points all = { p->n, p->x, p->f, p->violation };
	uint32_t *order = ARENA_NEW(s->arena, uint32_t, p->n);
	bool *stays = ARENA_NEW(s->arena, bool, p->n);
	size_t from = p->size;

	rank_constrained(&all, s->domain->n_objectives, p->rank, order, s->arena);
	p->select(s, order, p->n, p->size);
	for (size_t i = 0; i < p->size; i++)
		stays[order[i]] = true;
	for (size_t to = 0; to < p->size; to++) {
		if (stays[to])
			continue;
		while (!stays[from])
			from++;
		move_row(s, to, from++);
	}
	p->n = p->size;
	arena_rewind(s->arena, mark);
}

void population_tell(struct search *s, const double *x, const double *f, const double *violation,
		     size_t n)
{
	struct population *p = s->state;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives;

	memcpy(p->x + p->n * n_vars, x, n * n_vars * sizeof *x);
	memcpy(p->f + p->n * m, f, n * m * sizeof *f);
	memcpy(p->violation + p->n, violation, n * sizeof *violation);
	p->n += n;
	if (p->n >= p->size)
		survive(s);
}

void population_answer(const struct search *s, struct search_points *out)
{
	const struct population *p = s->state;

	*out = (struct search_points){ p->n, p->x, p->f, p->violation };
}
