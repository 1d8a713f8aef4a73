/*
 * Screening: of more proposals than are evaluated a surrogate picks those that are. Costs
 * are computed exactly; what only the evaluator knows stands as its lower confidence bound
 * (Cox, John, SMC 1992): the score that is expected, less some of its uncertainty. Picked is
 * who is not dominated, as NSGA-II picks, by other proposals or the front so far.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"

/* Pairs of predicted and measured figures that are kept, the newest. */
#define PAIRS_MAX 10000
/* Proposals that are looked at for one that is new and keeps the bounds, on the mean. */
#define LOOKS 4

static const char *const type_names[] = { "none", "gp", NULL };
const struct cfg_field surrogate_fields[] = {
	CFG_CHOICE_FIELD(struct surrogate_cfg, type, "none", type_names,
			 "gp: a Gaussian process learns the evaluator's figures and picks which of "
			 "the strategy's proposals are worth an evaluation"),
	CFG_INT_FIELD(struct surrogate_cfg, after, "20", 4, 1e6, "candidates",
		      "evaluated before it is asked"),
	CFG_INT_FIELD(struct surrogate_cfg, candidates, "16", 1, 1e4, "proposals",
		      "for each that is evaluated; the others are dropped and do not count"),
	CFG_INT_FIELD(struct surrogate_cfg, batch, "8", 1, 1e4, "candidates",
		      "picked at once; then it learns again"),
	CFG_INT_FIELD(struct surrogate_cfg, rows, "500", 10, 4000, "candidates",
		      "that it learns from, the newest: its time grows with their cube"),
	CFG_REAL_FIELD(struct surrogate_cfg, optimism, "1", 0, 100, UNIT_NONE,
		       "standard deviations",
		       "that an uncertain figure is taken for better than expected"),
	CFG_END
};

struct screen {
	const struct surrogate_cfg *cfg;
	size_t width, cap;			       /* features, rows */
	size_t n_dear, dear[SEARCH_MAX_OBJECTIVES];    /* objectives of the evaluator */
	struct surrogate model[SEARCH_MAX_OBJECTIVES]; /* of each of these */
	double *x, *y;				       /* a ring of cap rows: width; n_dear */
	uint64_t learned;			       /* rows so far */
	size_t n_pending;			       /* predictions of the round under way */
	double *pending;			       /* n_pending * n_dear figures */
	double *predicted[SEARCH_MAX_OBJECTIVES], *measured[SEARCH_MAX_OBJECTIVES];
	uint64_t n_pairs;
	struct surrogate_report report;
};

enum nasc_status screen_check(const struct study *s, struct nasc_err *err)
{
	const struct study_config *c = s->config;
	const char *fault = NULL;
	bool dear = false;

	if (c->surrogate.type == SURROGATE_NONE)
		return NASC_OK;
	for (size_t i = 0; i < s->n_objectives; i++)
		dear |= s->metric[s->objective[i]].dear;
	if (!dear)
		fault = "no objective comes from an evaluator: there is nothing to learn";
	else if (c->strategy->walks)
		fault = "goes from each candidate to the next and cannot leave any out: take "
			"another strategy";
	if (!fault)
		return NASC_OK;
	return config_fail(&c->doc, yaml_get(c->doc.root, "surrogate")->line, err,
			   "surrogate: %s%s%s", dear ? c->strategy->name : "", dear ? " " : "",
			   fault);
}

void screen_open(struct loop *l)
{
	const struct study *s = l->study;
	const struct surrogate_cfg *cfg = &s->config->surrogate;
	struct arena *a = s->arena;
	size_t size[SURROGATE_GROUPS];
	struct screen *sc;

	if (cfg->type == SURROGATE_NONE)
		return;
	l->screen = sc = ARENA_NEW(a, struct screen, 1);
	sc->cfg = cfg;
	sc->cap = (size_t)cfg->rows;
	study_feature_sizes(s, size);
	sc->width = size[0] + size[1];
	for (size_t i = 0; i < s->n_objectives; i++)
		if (s->metric[s->objective[i]].dear) {
			surrogate_init(&sc->model[sc->n_dear], size);
			sc->predicted[sc->n_dear] = ARENA_NEW(a, double, PAIRS_MAX);
			sc->measured[sc->n_dear] = ARENA_NEW(a, double, PAIRS_MAX);
			sc->dear[sc->n_dear++] = i;
		}
	sc->x = ARENA_NEW(a, double, sc->cap * sc->width);
	sc->y = ARENA_NEW(a, double, sc->cap * sc->n_dear);
}

size_t screen_room(const struct loop *l, size_t room)
{
	const struct screen *sc = l->screen;
	uint64_t most;

	if (!sc)
		return room;
	most = sc->learned < (uint64_t)sc->cfg->after ? (uint64_t)sc->cfg->after - sc->learned
						      : (uint64_t)sc->cfg->batch;
	return room < most ? room : (size_t)most;
}

/* ---- what is known of a candidate without evaluating it --------------------------------- */

/* False: it breaks a bound, or has no figures. @features and @f (objectives, NAN where the
 * evaluator gives them) are filled otherwise. */
static bool look_at(struct loop *l, const double *x, double *features, double *f)
{
	const struct study *s = l->study;
	struct arena_mark mark = arena_mark(&l->round);
	uint32_t *gene = ARENA_NEW(&l->round, uint32_t, s->space.n_genes);
	double *value = ARENA_NEW(&l->round, double, s->n_metrics);
	struct nasc_err err = { 0 };
	struct network net;
	uint64_t bounds;
	bool fits;

	for (size_t i = 0; i < s->space.n_genes; i++)
		gene[i] = (uint32_t)x[i];
	space_decode(&s->space, gene, &l->round, &net);
	fits = !study_costs(s, &net, &l->round, value, &bounds, &err) &&
	       !study_unknown(s, value, false) && !(study_violation(s, value, false, NULL) > 0);
	if (fits) {
		struct candidate c = { .value = value };

		study_features(s, x, &net, value, &l->round, features);
		objectives_of(l, &c, f);
	}
	arena_rewind(&l->round, mark);
	return fits;
}

/* ---- learning ------------------------------------------------------------------------------ */

static void learn(struct loop *l, const struct candidate *c)
{
	struct screen *sc = l->screen;
	size_t at = (size_t)(sc->learned % sc->cap);
	double f[SEARCH_MAX_OBJECTIVES], cheap[SEARCH_MAX_OBJECTIVES];

	if (!look_at(l, c->x, sc->x + at * sc->width, cheap))
		return;
	objectives_of(l, c, f);
	for (size_t k = 0; k < sc->n_dear; k++)
		sc->y[at * sc->n_dear + k] = c->violation > 0 ? INFINITY : f[sc->dear[k]];
	sc->learned++;
}

static void compare(struct loop *l, const struct candidate *c, const double *predicted)
{
	struct screen *sc = l->screen;
	size_t at = (size_t)(sc->n_pairs++ % PAIRS_MAX);
	double f[SEARCH_MAX_OBJECTIVES];

	objectives_of(l, c, f);
	for (size_t k = 0; k < sc->n_dear; k++) {
		sc->predicted[k][at] = predicted[k];
		sc->measured[k][at] = f[sc->dear[k]];
	}
}

void screen_learn(struct loop *l, struct candidate *const *fresh, size_t n)
{
	struct screen *sc = l->screen;

	for (size_t i = 0; sc && i < n; i++) {
		if (!fresh[i]->trained || candidate_partial(l->study, fresh[i]))
			continue;
		learn(l, fresh[i]);
		if (i < sc->n_pending && fresh[i]->violation == 0)
			compare(l, fresh[i], sc->pending + i * sc->n_dear);
	}
	if (sc)
		sc->n_pending = 0;
}

static bool fit(struct loop *l)
{
	struct screen *sc = l->screen;
	size_t n = sc->learned < sc->cap ? (size_t)sc->learned : sc->cap;
	double *y = ARENA_NEW(&l->round, double, n);

	for (size_t k = 0; k < sc->n_dear; k++) {
		for (size_t i = 0; i < n; i++)
			y[i] = sc->y[i * sc->n_dear + k];
		if (!surrogate_fit(&sc->model[k], sc->x, y, n, &l->round))
			return false;
	}
	sc->report.fits++;
	return true;
}

/* ---- proposals ------------------------------------------------------------------------------ */

struct pool {
	size_t n, cap;
	double *x, *features, *f;
};

static bool in_pool(const struct pool *p, const double *x, size_t n_vars)
{
	for (size_t i = 0; i < p->n; i++)
		if (memcmp(p->x + i * n_vars, x, n_vars * sizeof *x) == 0)
			return true;
	return false;
}

/* Proposals that nobody has seen and that keep the bounds. */
static void fill(struct loop *l, struct pool *p, size_t room)
{
	struct screen *sc = l->screen;
	size_t looks = 0;
	struct arena_mark mark = arena_mark(&l->round);
	double *x = ARENA_NEW(&l->round, double, room * l->n_vars);

	while (p->n < p->cap && looks < LOOKS * p->cap) {
		size_t n = l->search.ops->ask(&l->search, x, room);

		looks += n;
		for (size_t i = 0; i < n && p->n < p->cap; i++) {
			const double *row = x + i * l->n_vars;
			uint64_t number;

			if (seen_find(&l->seen, row, &number) || in_pool(p, row, l->n_vars))
				continue;
			sc->report.proposed++;
			if (!look_at(l, row, p->features + p->n * sc->width,
				     p->f + p->n * l->n_obj))
				continue;
			memcpy(p->x + p->n++ * l->n_vars, row, l->n_vars * sizeof *x);
		}
	}
	arena_rewind(&l->round, mark);
}

/* The front so far, figures of the evaluator as scores. */
static double *rivals(struct loop *l)
{
	const struct screen *sc = l->screen;
	double *f = ARENA_NEW(&l->round, double, l->archive.n * l->n_obj + 1);

	search_archive_members(&l->archive, f, NULL);
	for (size_t i = 0; i < l->archive.n; i++)
		for (size_t k = 0; k < sc->n_dear; k++) {
			double *v = &f[i * l->n_obj + sc->dear[k]];

			*v = surrogate_score(&sc->model[k], *v);
		}
	return f;
}

static void predict(struct loop *l, struct pool *p, double *mean)
{
	struct screen *sc = l->screen;
	double *deviation = ARENA_NEW(&l->round, double, p->n);

	for (size_t k = 0; k < sc->n_dear; k++) {
		double *to = mean + k * p->n;

		surrogate_predict(&sc->model[k], p->features, p->n, to, deviation, &l->round);
		for (size_t i = 0; i < p->n; i++)
			p->f[i * l->n_obj + sc->dear[k]] = to[i] - sc->cfg->optimism * deviation[i];
	}
}

size_t screen_propose(struct loop *l, double *x, size_t room)
{
	struct screen *sc = l->screen;
	size_t cap = room * (size_t)sc->cfg->candidates, want, *picked;
	struct pool p = { .cap = cap };
	double *mean;

	if (sc->learned < (uint64_t)sc->cfg->after || !fit(l))
		return 0;
	p.x = ARENA_NEW(&l->round, double, cap * l->n_vars);
	p.features = ARENA_NEW(&l->round, double, cap * sc->width);
	p.f = ARENA_NEW(&l->round, double, cap * l->n_obj);
	fill(l, &p, room);
	want = p.n < room ? p.n : room;
	if (want == 0)
		return 0;
	mean = ARENA_NEW(&l->round, double, sc->n_dear *p.n);
	picked = ARENA_NEW(&l->round, size_t, want);
	predict(l, &p, mean);
	search_pick(p.f, p.n, rivals(l), l->archive.n, l->n_obj, want, picked, &l->round);
	sc->pending = ARENA_NEW(&l->round, double, want * sc->n_dear);
	for (size_t i = 0; i < want; i++) {
		memcpy(x + i * l->n_vars, p.x + picked[i] * l->n_vars, l->n_vars * sizeof *x);
		for (size_t k = 0; k < sc->n_dear; k++)
			sc->pending[i * sc->n_dear + k] =
				surrogate_figure(&sc->model[k], mean[k * p.n + picked[i]]);
	}
	sc->n_pending = want;
	sc->report.evaluated += want;
	return want;
}

const struct surrogate_report *screen_report(struct loop *l)
{
	struct screen *sc = l->screen;
	size_t n;

	if (!sc)
		return NULL;
	n = sc->n_pairs < PAIRS_MAX ? (size_t)sc->n_pairs : PAIRS_MAX;
	sc->report.n = sc->n_dear;
	sc->report.pairs = n;
	for (size_t k = 0; k < sc->n_dear; k++) {
		sc->report.objective[k] = sc->dear[k];
		sc->report.rank_correlation[k] =
			search_rank_correlation(sc->predicted[k], sc->measured[k], n, &l->round);
	}
	return &sc->report;
}
