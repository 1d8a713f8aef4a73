#include "strategies.h"

#include <math.h>
#include <string.h>

#include "directions.h"
#include "population.h"

struct nsga3_cfg {
	struct population_cfg base;
	int64_t divisions, inner_divisions;
};

static const struct cfg_field nsga3_fields[] = {
	POPULATION_FIELDS("1", "30"),
	CFG_INT_FIELD(struct nsga3_cfg, divisions, "0", 0, 1e6, "divisions",
		      "of the edges of the simplex of reference directions; 0: with an inner "
		      "layer if it takes one, as many directions as individuals at most"),
	CFG_INT_FIELD(struct nsga3_cfg, inner_divisions, "0", 0, 1e6, "divisions",
		      "of the inner layer of directions, where 'divisions' is given; 0: none"),
	CFG_END,
};

#define M_MAX SEARCH_MAX_OBJECTIVES

struct nsga3_state {
	struct population p;
	size_t n_directions, n_extremes; /* extremes: 0 before the first feasible row, then m */
	double *direction;		 /* n_directions * m, of length 1 */
	double ideal[M_MAX];		 /* least of each objective so far */
	double extreme[M_MAX][M_MAX]; /* [k]: the objectives of the row nearest to axis k so far */
};

/* ---- normalisation ---------------------------------------------------------- */

/* Achievement of row @f along axis @k, in units of @range: the other objectives weigh
 * 10^6 times as much. */
static double achievement(const struct nsga3_state *st, const double *f, size_t m, size_t k,
			  const double *range)
{
	double worst = 0;

	for (size_t j = 0; j < m; j++)
		worst = fmax(worst, (f[j] - st->ideal[j]) / range[j] * (j == k ? 1 : 1e6));
	return worst;
}

static void update_extremes(struct nsga3_state *st, size_t m, const uint32_t *front, size_t n,
			    const double *range)
{
	double next[M_MAX][M_MAX];

	for (size_t k = 0; k < m; k++) {
		double least = INFINITY;
		const double *best = st->p.f + front[0] * m;

		for (size_t i = 0; i < n + st->n_extremes; i++) {
			const double *f = i < n ? st->p.f + front[i] * m : st->extreme[i - n];
			double v = achievement(st, f, m, k, range);

			if (v < least) {
				least = v;
				best = f;
			}
		}
		memcpy(next[k], best, m * sizeof *best);
	}
	memcpy(st->extreme, next, sizeof next);
	st->n_extremes = m;
}

/* Where the plane through the extreme points meets the axes, in units of @range: solves
 * sum over j of extreme[i][j] / intercept[j] = 1 by elimination. False if there is no
 * such plane, or an intercept is not above 0. */
static bool intercepts(const struct nsga3_state *st, size_t m, const double *range,
		       double *intercept)
{
	double a[M_MAX][M_MAX + 1];

	for (size_t i = 0; i < m; i++) {
		for (size_t j = 0; j < m; j++)
			a[i][j] = (st->extreme[i][j] - st->ideal[j]) / range[j];
		a[i][m] = 1;
	}
	for (size_t k = 0; k < m; k++) {
		size_t pivot = k;
		double row[M_MAX + 1];

		for (size_t i = k + 1; i < m; i++)
			if (fabs(a[i][k]) > fabs(a[pivot][k]))
				pivot = i;
		if (fabs(a[pivot][k]) < 1e-10)
			return false;
		memcpy(row, a[pivot], sizeof row);
		memcpy(a[pivot], a[k], sizeof row);
		memcpy(a[k], row, sizeof row);
		for (size_t i = 0; i < m; i++)
			for (size_t j = m + 1; i != k && j-- > k;)
				a[i][j] -= row[j] * a[i][k] / row[k];
	}
	for (size_t k = 0; k < m; k++) {
		intercept[k] = a[k][k] / a[k][m];
		if (!(intercept[k] >= 1e-6))
			return false;
	}
	return true;
}

/* Greatest objective @k of some rows above the ideal point. */
static double extent(const struct nsga3_state *st, size_t m, const uint32_t *row, size_t n,
		     size_t k)
{
	double most = 0;

	for (size_t i = 0; i < n; i++)
		most = fmax(most, st->p.f[row[i] * m + k] - st->ideal[k]);
	return most;
}

/* Update the ideal point and find what each objective is divided by: the intercepts, but no more
 * than the rows order[0..n) reach; where the plane degenerates, the extent of the first front,
 * order[0..first). Source of the fallbacks: Blank, Deb, Roy, EMO 2019. */
static void find_scale(struct nsga3_state *st, size_t m, const uint32_t *order, size_t first,
		       size_t n, double *scale)
{
	double range[M_MAX], most[M_MAX], intercept[M_MAX];

	for (size_t k = 0; k < m; k++) {
		for (size_t i = 0; i < first; i++)
			st->ideal[k] = fmin(st->ideal[k], st->p.f[order[i] * m + k]);
		most[k] = extent(st, m, order, n, k);
		range[k] = extent(st, m, order, first, k);
		if (!(range[k] > 0))
			range[k] = most[k] > 0 ? most[k] : 1;
		scale[k] = range[k];
	}
	update_extremes(st, m, order, first, range);
	if (!intercepts(st, m, range, intercept))
		return;
	for (size_t k = 0; k < m; k++)
		if (most[k] > 0)
			scale[k] = fmin(intercept[k] * range[k], most[k]);
}

/* ---- niches ------------------------------------------------------------------- */

/* Direction nearest to @g, and the square of the distance to it. */
static uint32_t associate(const struct nsga3_state *st, size_t m, const double *g, double *distance)
{
	double most = -1;
	uint32_t nearest = 0;

	for (size_t i = 0; i < st->n_directions; i++) {
		const double *w = st->direction + i * m;
		double along = 0;

		for (size_t k = 0; k < m; k++)
			along += w[k] * g[k];
		if (along > most) {
			most = along;
			nearest = (uint32_t)i;
		}
	}
	*distance = 0;
	for (size_t k = 0; k < m; k++) {
		double off = g[k] - most * st->direction[nearest * m + k];

		*distance += off * off;
	}
	return nearest;
}

/* The candidates of the front that does not fit, those of direction i at start[i] ..
 * end[i]; count[i] of the rows before that front, and of those taken, are its own. */
struct niches {
	uint32_t *candidate, *start, *end, *count, *open;
	double *distance; /* of each candidate */
};

/* An empty niche takes the candidate nearest to its direction, any other one by chance. */
static uint32_t take_candidate(struct niches *n, uint32_t niche, struct rng *rng)
{
	uint32_t first = n->start[niche]++, pick = first, taken;

	if (n->count[niche]++ == 0) {
		for (uint32_t i = first + 1; i < n->end[niche]; i++)
			if (n->distance[i] < n->distance[pick])
				pick = i;
	} else {
		pick += (uint32_t)rng_below(rng, n->end[niche] - first);
	}
	taken = n->candidate[pick];
	n->candidate[pick] = n->candidate[first];
	n->distance[pick] = n->distance[first];
	return taken;
}

/* Niche by niche, those that hold fewest first, in random order among equals. */
static void fill_niches(struct niches *n, size_t n_directions, struct rng *rng, uint32_t *taken,
			size_t want)
{
	while (want > 0) {
		uint32_t least = UINT32_MAX;
		size_t open = 0;

		for (uint32_t i = 0; i < n_directions; i++) {
			if (n->start[i] == n->end[i] || n->count[i] > least)
				continue;
			if (n->count[i] < least)
				open = 0;
			least = n->count[i];
			n->open[open++] = i;
		}
		rng_shuffle_u32(rng, n->open, open);
		for (size_t i = 0; i < open && want > 0; i++, want--)
			*taken++ = take_candidate(n, n->open[i], rng);
	}
}

/* Of order[from..end), a front, bring those to keep to order[from..want); the first front
 * is order[0..first). */
static void cut_front(struct search *s, uint32_t *order, size_t first, size_t from, size_t end,
		      size_t want)
{
	struct nsga3_state *st = s->state;
	size_t m = s->domain->n_objectives, size = end - from;
	uint32_t *niche = ARENA_NEW(s->arena, uint32_t, end);
	double *distance = ARENA_NEW(s->arena, double, end);
	struct niches n = {
		.candidate = ARENA_NEW(s->arena, uint32_t, size),
		.start = ARENA_NEW(s->arena, uint32_t, st->n_directions + 1),
		.end = ARENA_NEW(s->arena, uint32_t, st->n_directions),
		.count = ARENA_NEW(s->arena, uint32_t, st->n_directions),
		.open = ARENA_NEW(s->arena, uint32_t, st->n_directions),
		.distance = ARENA_NEW(s->arena, double, size),
	};
	double scale[M_MAX];

	find_scale(st, m, order, first, end, scale);
	for (size_t i = 0; i < end; i++) {
		double g[M_MAX];

		for (size_t k = 0; k < m; k++)
			g[k] = (st->p.f[order[i] * m + k] - st->ideal[k]) / scale[k];
		niche[i] = associate(st, m, g, &distance[i]);
		if (i < from)
			n.count[niche[i]]++;
		else
			n.start[niche[i] + 1]++;
	}
	for (size_t i = 0; i < st->n_directions; i++) {
		n.start[i + 1] += n.start[i];
		n.end[i] = n.start[i];
	}
	for (size_t i = from; i < end; i++) {
		uint32_t at = n.end[niche[i]]++;

		n.candidate[at] = order[i];
		n.distance[at] = distance[i];
	}
	fill_niches(&n, st->n_directions, s->rng, order + from, want - from);
}

/* ---- the strategy --------------------------------------------------------------- */

static void select_by_niches(struct search *s, uint32_t *order, size_t n, size_t want)
{
	struct nsga3_state *st = s->state;
	struct population *p = &st->p;
	size_t first = population_front_end(p, order, n, 0), from = 0, end = first;

	while (end < want) {
		from = end;
		end = population_front_end(p, order, n, from);
	}
	if (end > want && !(p->violation[order[from]] > 0))
		cut_front(s, order, first, from, end, want);
	/* Parents: of two feasible ones either, else by violation. */
	for (size_t i = 0; i < want; i++)
		if (!(p->violation[order[i]] > 0))
			p->rank[order[i]] = 0;
}

static enum nasc_status nsga3_open(struct search *s, struct nasc_err *err)
{
	const struct nsga3_cfg *cfg = s->cfg;
	struct nsga3_state *st = s->state;
	size_t m = s->domain->n_objectives;
	size_t outer = (size_t)cfg->divisions, inner = (size_t)cfg->inner_divisions;

	if (outer == 0 && inner > 0)
		return nasc_fail(err, NASC_CONFIG, "inner_divisions: needs 'divisions' above 0");
	if (outer == 0)
		directions_choose(m, (size_t)cfg->base.population, &outer, &inner);
	st->n_directions = directions_count(m, outer, inner);
	if (st->n_directions > DIRECTIONS_MAX)
		return nasc_fail(err, NASC_CONFIG,
				 "divisions: more than %d directions for %zu objectives",
				 DIRECTIONS_MAX, m);
	population_init(s, select_by_niches);
	st->direction = ARENA_NEW(s->arena, double, st->n_directions *m);
	directions_fill(st->direction, m, outer, inner);
	for (size_t i = 0; i < st->n_directions; i++) {
		double *w = st->direction + i * m, length = 0;

		for (size_t k = 0; k < m; k++)
			length += w[k] * w[k];
		for (size_t k = 0; k < m; k++)
			w[k] /= sqrt(length);
	}
	for (size_t k = 0; k < m; k++)
		st->ideal[k] = INFINITY;
	return NASC_OK;
}

const struct search_ops search_nsga3 = {
	.name = "nsga3",
	.summary = "genetic algorithm: non-dominated sorting, niches about reference directions",
	.source = "Deb, Jain, IEEE TEVC 18(4) 2014; constraints: Jain, Deb, same issue",
	.fields = nsga3_fields,
	.cfg_size = sizeof(struct nsga3_cfg),
	.state_size = sizeof(struct nsga3_state),
	.open = nsga3_open,
	.batch = population_batch,
	.ask = population_ask,
	.tell = population_tell,
	.answer = population_answer,
};
