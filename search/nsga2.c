#include "strategies.h"

#include <math.h>
#include <string.h>

#include "distinct.h"
#include "order.h"
#include "rank.h"
#include "variation.h"

struct nsga2_cfg {
	struct variation_cfg vary;
	int64_t population;
};

static const struct cfg_field nsga2_fields[] = {
	CFG_INT_FIELD(struct nsga2_cfg, population, "100", 4, 1e6, "individuals",
		      "size of the population and of a generation"),
	VARIATION_FIELDS("0.9", "15"),
	CFG_END,
};

/* Redraws of an offspring that is already in the population. */
#define REDRAWS_MAX 16

/* Columns for the population and one generation of offspring behind it. */
struct nsga2_rows {
	double *x, *f, *violation, *crowding;
	uint32_t *rank;
};

struct nsga2_state {
	size_t size, n;		     /* of the population: wanted, there */
	struct nsga2_rows row, next; /* 2 * size; next is where survivors are copied */
	uint32_t *pool;		     /* size: parents of the coming tournaments, each once ... */
	size_t pool_used;	     /* ... until the pool is used up and shuffled again */
	double *second;		     /* n_vars: the other child of the last pair */
	bool distinct;		     /* all variables are integers: offspring must be new */
	struct distinct seen;
};

static struct nsga2_rows new_rows(struct search *s, size_t n)
{
	return (struct nsga2_rows){
		.x = ARENA_NEW(s->arena, double, n * s->domain->n_vars),
		.f = ARENA_NEW(s->arena, double, n * s->domain->n_objectives),
		.violation = ARENA_NEW(s->arena, double, n),
		.crowding = ARENA_NEW(s->arena, double, n),
		.rank = ARENA_NEW(s->arena, uint32_t, n),
	};
}

static enum nasc_status nsga2_open(struct search *s, struct nasc_err *err)
{
	const struct nsga2_cfg *cfg = s->cfg;
	struct nsga2_state *st = s->state;

	(void)err;
	st->size = (size_t)cfg->population;
	st->row = new_rows(s, 2 * st->size);
	st->next = new_rows(s, 2 * st->size);
	st->pool = ARENA_NEW(s->arena, uint32_t, st->size);
	st->pool_used = st->size;
	for (size_t i = 0; i < st->size; i++)
		st->pool[i] = (uint32_t)i;
	st->second = ARENA_NEW(s->arena, double, s->domain->n_vars);
	st->distinct = variation_all_integer(s->domain);
	if (st->distinct)
		distinct_init(&st->seen, s->domain->n_vars, 2 * st->size, s->arena);
	return NASC_OK;
}

static size_t nsga2_batch(const struct search *s)
{
	const struct nsga2_state *st = s->state;

	return st->n < st->size ? st->size - st->n : st->size;
}

static uint32_t draw(struct search *s)
{
	struct nsga2_state *st = s->state;

	if (st->pool_used == st->size) {
		rng_shuffle_u32(s->rng, st->pool, st->size);
		st->pool_used = 0;
	}
	return st->pool[st->pool_used++];
}

/* Binary tournament; with the pool everybody is in as many as everybody else. */
static const double *parent(struct search *s)
{
	const struct nsga2_state *st = s->state;
	uint32_t a = draw(s), b = draw(s);

	if (st->row.rank[b] < st->row.rank[a] ||
	    (st->row.rank[b] == st->row.rank[a] && st->row.crowding[b] > st->row.crowding[a]))
		a = b;
	return st->row.x + a * s->domain->n_vars;
}

static void make_pair(struct search *s, double *a, double *b)
{
	const struct nsga2_cfg *cfg = s->cfg;
	size_t bytes = s->domain->n_vars * sizeof *a;

	memcpy(a, parent(s), bytes);
	memcpy(b, parent(s), bytes);
	variation_cross(s->domain, &cfg->vary, s->rng, a, b);
	variation_mutate(s->domain, &cfg->vary, s->rng, a);
	variation_mutate(s->domain, &cfg->vary, s->rng, b);
}

static size_t nsga2_ask(struct search *s, double *x, size_t cap)
{
	const struct nsga2_cfg *cfg = s->cfg;
	struct nsga2_state *st = s->state;
	size_t n_vars = s->domain->n_vars, n = nsga2_batch(s);
	bool first = st->n < st->size;

	n = n < cap ? n : cap;
	if (st->distinct) {
		distinct_clear(&st->seen);
		for (size_t i = 0; i < st->n; i++)
			distinct_add(&st->seen, st->row.x + i * n_vars);
	}
	for (size_t i = 0; i < n; i++) {
		double *child = x + i * n_vars;

		if (first)
			variation_sample(s->domain, s->rng, child);
		else if (i % 2 == 0)
			make_pair(s, child, i + 1 < n ? child + n_vars : st->second);
		for (int t = 0; st->distinct && !distinct_add(&st->seen, child); t++) {
			if (t == REDRAWS_MAX)
				break;
			if (first)
				variation_sample(s->domain, s->rng, child);
			else
				variation_mutate(s->domain, &cfg->vary, s->rng, child);
		}
	}
	return n;
}

static void copy_row(struct search *s, struct nsga2_rows *to, size_t i,
		     const struct nsga2_rows *from, size_t j)
{
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives;

	memcpy(to->x + i * n_vars, from->x + j * n_vars, n_vars * sizeof *to->x);
	memcpy(to->f + i * m, from->f + j * m, m * sizeof *to->f);
	to->violation[i] = from->violation[j];
	to->crowding[i] = from->crowding[j];
	to->rank[i] = from->rank[j];
}

/* Leave the best @want of the @n rows, by rank and then crowding. */
static void survive(struct search *s, size_t n, size_t want)
{
	struct nsga2_state *st = s->state;
	struct nsga2_rows *row = &st->row, swap;
	struct arena_mark mark = arena_mark(s->arena);
	struct search_points all = { n, row->x, row->f, row->violation };
	size_t m = s->domain->n_objectives, feasible, kept = 0;
	size_t fronts = rank_constrained(&all, m, row->rank, &feasible, s->arena);
	size_t *start = ARENA_NEW(s->arena, size_t, fronts + 2);
	uint32_t *member = ARENA_NEW(s->arena, uint32_t, n);

	for (size_t i = 0; i < n; i++)
		start[row->rank[i] + 2]++;
	for (size_t r = 2; r < fronts + 2; r++)
		start[r] += start[r - 1];
	for (size_t i = 0; i < n; i++)
		member[start[row->rank[i] + 1]++] = (uint32_t)i;
	for (size_t r = 0; kept < want; r++) {
		uint32_t *front = member + start[r];
		size_t size = start[r + 1] - start[r], take = want - kept;

		if (r < feasible)
			rank_crowding(row->f, m, front, size, row->crowding, s->arena);
		else
			for (size_t i = 0; i < size; i++)
				row->crowding[front[i]] = 0;
		if (size > take) {
			struct order_key *key = ARENA_NEW(s->arena, struct order_key, 2 * size);

			for (size_t i = 0; i < size; i++)
				key[i] = (struct order_key){ -row->crowding[front[i]], front[i] };
			order_sort(key, key + size, size);
			for (size_t i = 0; i < take; i++)
				front[i] = key[i].at;
			size = take;
		}
		for (size_t i = 0; i < size; i++)
			copy_row(s, &st->next, kept++, row, front[i]);
	}
	st->n = want;
	swap = st->row;
	st->row = st->next;
	st->next = swap;
	arena_rewind(s->arena, mark);
}

static void nsga2_tell(struct search *s, const double *x, const double *f, const double *violation,
		       size_t n)
{
	struct nsga2_state *st = s->state;
	size_t n_vars = s->domain->n_vars, m = s->domain->n_objectives, all = st->n + n;

	memcpy(st->row.x + st->n * n_vars, x, n * n_vars * sizeof *x);
	memcpy(st->row.f + st->n * m, f, n * m * sizeof *f);
	memcpy(st->row.violation + st->n, violation, n * sizeof *violation);
	survive(s, all, all < st->size ? all : st->size);
}

static void nsga2_answer(const struct search *s, struct search_points *out)
{
	const struct nsga2_state *st = s->state;

	*out = (struct search_points){ st->n, st->row.x, st->row.f, st->row.violation };
}

const struct search_ops search_nsga2 = {
	.name = "nsga2",
	.summary = "genetic algorithm: non-dominated sorting, crowding, constraint domination",
	.source = "Deb, Pratap, Agarwal, Meyarivan, IEEE TEVC 6(2) 2002",
	.fields = nsga2_fields,
	.cfg_size = sizeof(struct nsga2_cfg),
	.state_size = sizeof(struct nsga2_state),
	.open = nsga2_open,
	.batch = nsga2_batch,
	.ask = nsga2_ask,
	.tell = nsga2_tell,
	.answer = nsga2_answer,
};
