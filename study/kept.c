#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"

void kept_init(struct loop *l)
{
	const struct study_config *c = l->study->config;
	/* What a round proposes is not forgotten before it is scored. */
	uint64_t remembered = (uint64_t)c->memory.seen > l->cap ? (uint64_t)c->memory.seen : l->cap;

	for (size_t k = 0; k < l->n_obj; k++) {
		l->best[k] = NAN;
		l->scale[k] = 1;
	}
	if (c->problem)
		return;
	remembered = remembered < l->limit ? remembered : l->limit;
	seen_init(&l->seen, l->n_vars, l->n_obj, (size_t)remembered, l->study->arena);
	search_archive_init(&l->archive, l->n_obj, (size_t)c->memory.front, l->study->arena);
}

struct candidate *new_candidate(const struct loop *l, struct arena *a, const double *x, uint64_t id)
{
	struct candidate *c = ARENA_NEW(a, struct candidate, 1);
	double *copy = ARENA_NEW(a, double, l->n_vars);

	memcpy(copy, x, l->n_vars * sizeof *x);
	*c = (struct candidate){ .id = id,
				 .x = copy,
				 .value = ARENA_NEW(a, double, l->study->n_metrics),
				 .violation = INFINITY,
				 .loss = (double)NAN };
	return c;
}

void objectives_of(const struct loop *l, const struct candidate *c, double *f)
{
	for (size_t i = 0; i < l->n_obj; i++) {
		double v = c->value[l->study->objective[i]];

		f[i] = l->study->maximise[i] ? -v : v;
	}
}

/* A slot's memory is used again by the next candidate that gets it. */
static void keep(struct loop *l, size_t slot, const struct candidate *c)
{
	struct arena *a = l->study->arena;
	struct candidate *to;

	if (slot >= l->n_kept) {
		size_t n = l->n_kept ? 2 * l->n_kept : 64;

		l->kept = realloc(l->kept, n * sizeof(*l->kept));
		if (!l->kept)
			abort();
		for (size_t i = l->n_kept; i < n; i++)
			l->kept[i] = new_candidate(l, a, c->x, 0);
		l->n_kept = n;
	}
	to = l->kept[slot];
	to->id = c->id;
	to->bounds = c->bounds;
	memcpy(to->x, c->x, l->n_vars * sizeof *c->x);
	memcpy(to->value, c->value, l->study->n_metrics * sizeof *c->value);
}

static void note_failure(struct loop *l, const struct candidate *c)
{
	const char *why = NULL;

	l->n_broken += c->trained;
	if (l->n_failed < FAILED_LISTED || (c->trained && !l->first_broken))
		why = arena_strdup(l->study->arena, c->why);
	if (l->sum.failed++ == 0)
		l->sum.first_failure = why;
	if (c->trained && !l->first_broken)
		l->first_broken = why;
	if (l->n_failed < FAILED_LISTED) {
		struct candidate *to = ARENA_NEW(l->study->arena, struct candidate, 1);

		*to = (struct candidate){ .id = c->id, .why = why };
		l->failed[l->n_failed++] = to;
	}
}

static void note_exceeded(struct loop *l, const struct candidate *c)
{
	const struct study_bound *worst = NULL, *first = l->study->bound;

	study_violation(l->study, c->value, c->trained, &worst);
	if (worst &&
	    ++l->exceeded[worst - first] > (l->hardest ? l->exceeded[l->hardest - first] : 0))
		l->hardest = worst;
}

static void note_best(struct loop *l, const struct candidate *c)
{
	for (size_t k = 0; k < l->n_obj; k++) {
		double v = c->value[l->study->objective[k]], *b = &l->best[k];

		if (isnan(*b) || (l->study->maximise[k] ? v > *b : v < *b))
			*b = v;
	}
}

/* One of the same round may have driven it off again. */
static bool goal_on_front(struct loop *l)
{
	uint32_t *slot = ARENA_NEW(&l->round, uint32_t, l->archive.n);
	bool found = false;

	search_archive_members(&l->archive, NULL, slot);
	for (size_t i = 0; i < l->archive.n; i++)
		found |= stop_keeps_goal(l->study, l->kept[slot[i]]->value);
	return found;
}

void take_stock(struct loop *l, struct candidate *const *fresh, size_t n)
{
	const struct study *s = l->study;
	bool goal = false;

	if (!l->reference_known)
		find_reference(l, fresh, n);
	for (size_t i = 0; i < n; i++) {
		const struct candidate *c = fresh[i];
		double f[SEARCH_MAX_OBJECTIVES];
		uint32_t slot;

		l->sum.trained += c->trained;
		l->sum.resumed += c->resumed;
		l->evaluator_s += c->evaluator_s;
		for (size_t k = 0; k < c->rungs; k++)
			l->sum.reached[k]++;
		if (c->why)
			note_failure(l, c);
		else if (candidate_partial(s, c)) /* has no place beside what is trained */
			continue;
		if (c->violation != 0) {
			note_exceeded(l, c);
			continue;
		}
		note_best(l, c);
		objectives_of(l, c, f);
		if (s->config->problem || !search_archive_add(&l->archive, f, &slot))
			continue;
		keep(l, slot, c);
		goal |= s->n_goals && stop_keeps_goal(s, c->value);
	}
	if (goal)
		l->goal_reached = goal_on_front(l);
}

static int by_id(const void *a, const void *b)
{
	const struct candidate *const *x = a, *const *y = b;

	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

static const struct candidate **front_of_archive(struct loop *l, size_t *n_out)
{
	size_t n = l->archive.n;
	const struct candidate **front = ARENA_NEW(&l->round, const struct candidate *, n);
	uint32_t *slot = ARENA_NEW(&l->round, uint32_t, n);

	search_archive_members(&l->archive, NULL, slot);
	for (size_t i = 0; i < n; i++)
		front[i] = l->kept[slot[i]];
	qsort(front, n, sizeof *front, by_id);
	*n_out = n;
	return front;
}

static const struct candidate **front_of_strategy(struct loop *l, size_t *n_out)
{
	struct search_points p;
	const struct candidate **front;
	uint32_t *rank;
	size_t n = 0;

	l->search.ops->answer(&l->search, &p);
	front = ARENA_NEW(&l->round, const struct candidate *, p.n);
	rank = ARENA_NEW(&l->round, uint32_t, p.n);
	search_rank(p.f, p.n, l->n_obj, rank, &l->round);
	for (size_t i = 0; i < p.n; i++) {
		struct candidate *c;

		if (rank[i] || p.violation[i] != 0)
			continue;
		c = new_candidate(l, &l->round, p.x + i * l->n_vars, n);
		memcpy(c->value, p.f + i * l->n_obj, l->n_obj * sizeof *p.f);
		front[n++] = c;
	}
	*n_out = n;
	return front;
}

/* The strategy's own answer on a test problem (as the literature counts it), of a
 * network search the non-dominated set of everything that was scored. */
const struct candidate **final_front(struct loop *l, size_t *n_out)
{
	return l->study->config->problem ? front_of_strategy(l, n_out) : front_of_archive(l, n_out);
}
