#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "loop.h"

#define HV_ROWS_MAX 1000
/* Work of one exact hypervolume beyond which it is left out (five objectives and more). */
#define HV_WORK_MAX 1e8

void find_reference(struct loop *l, struct candidate *const *fresh, size_t n)
{
	double *ref = l->study->reference, worst[SEARCH_MAX_OBJECTIVES], f[SEARCH_MAX_OBJECTIVES];
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (fresh[i]->violation != 0 || candidate_partial(l->study, fresh[i]))
			continue;
		objectives_of(l, fresh[i], f);
		for (size_t k = 0; k < l->n_obj; k++)
			worst[k] = any ? fmax(worst[k], f[k]) : f[k];
		any = true;
	}
	if (!any)
		return;
	for (size_t k = 0; k < l->n_obj; k++) {
		if (isnan(ref[k]))
			ref[k] = worst[k];
		l->scale[k] = l->study->config->problem || ref[k] == 0 ? 1 : fabs(ref[k]);
	}
	l->reference_known = true;
}

/* What the answer of a test problem's strategy, or the front of a network search has
 * that counts: n rows, *n_out of them feasible. */
static double *front_points(struct loop *l, size_t *n_out)
{
	struct search_points p;
	size_t m = l->n_obj;
	double *f;

	if (!l->study->config->problem) {
		f = ARENA_NEW(&l->round, double, l->archive.n *m);
		search_archive_members(&l->archive, f, NULL);
		*n_out = l->archive.n;
		return f;
	}
	l->search.ops->answer(&l->search, &p);
	f = ARENA_NEW(&l->round, double, p.n *m);
	*n_out = 0;
	for (size_t i = 0; i < p.n; i++)
		if (p.violation[i] == 0)
			memcpy(f + m * (*n_out)++, p.f + i * m, m * sizeof *f);
	return f;
}

double hypervolume(struct loop *l)
{
	double ref[SEARCH_MAX_OBJECTIVES], *f;
	size_t n, m = l->n_obj;

	if (!l->reference_known)
		return 0;
	f = front_points(l, &n);
	if (m > 4 && pow((double)n, (double)m - 2) > HV_WORK_MAX)
		return NAN;
	for (size_t k = 0; k < m; k++) {
		ref[k] = l->study->reference[k] / l->scale[k];
		for (size_t i = 0; i < n; i++)
			f[i * m + k] /= l->scale[k];
	}
	return search_hypervolume(f, n, m, ref, &l->round);
}

/* A row a generation, but no more than HV_ROWS_MAX over the planned run: a
 * strategy may ask for one candidate at a time. */
static bool row_due(const struct loop *l)
{
	return l->n_hv == 0 ||
	       l->sum.evaluations >= l->hv[l->n_hv - 1].evaluations + l->limit / HV_ROWS_MAX + 1;
}

static void add_row(struct loop *l, double hv)
{
	if (l->n_hv == l->cap_hv) {
		l->cap_hv = l->cap_hv ? 2 * l->cap_hv : 64;
		l->hv = realloc(l->hv, l->cap_hv * sizeof *l->hv);
		if (!l->hv)
			abort();
	}
	l->sum.hypervolume = hv;
	l->hv[l->n_hv++] = (struct hv_row){ l->sum.evaluations, hv };
}

void measure(struct loop *l)
{
	bool row = row_due(l), over = l->sum.evaluations / l->cap > l->generation;
	bool asked = over && stop_asks_hypervolume(l);
	double hv = row || asked ? hypervolume(l) : 0;

	if (row)
		add_row(l, hv);
	if (over)
		l->generation = l->sum.evaluations / l->cap;
	if (asked)
		stop_generation(l, hv);
}

void measure_end(struct loop *l)
{
	if ((l->n_hv ? l->hv[l->n_hv - 1].evaluations : 0) < l->sum.evaluations)
		add_row(l, hypervolume(l));
}

void report(struct loop *l, bool last)
{
	uint64_t evaluations = l->sum.evaluations + l->round_so_far.scored;
	uint64_t trained = l->sum.trained + l->round_so_far.trained;
	uint64_t resumed = l->sum.resumed + l->round_so_far.resumed;
	double now = clock_s(), elapsed = now - l->start_s, left = NAN;
	double done = (double)evaluations, todo = (double)l->limit - done;
	const struct study_config *c = l->study->config;
	struct study_progress p;

	if (!l->options->progress || (!last && now - l->last_progress_s < 0.1))
		return;
	l->last_progress_s = now;
	if (c->stop.trained && trained) /* whichever comes first */
		todo = fmin(todo, done * ((double)c->stop.trained / (double)trained - 1));
	if (evaluations > resumed) /* the journal's took no time */
		left = elapsed * todo / (double)(evaluations - resumed);
	if (c->stop.time_s > 0)
		left = fmin(left, c->stop.time_s - elapsed);
	p = (struct study_progress){ .evaluations = evaluations,
				     .planned = l->limit,
				     .trained = trained,
				     .failed = l->sum.failed,
				     .hypervolume = l->reference_known ? l->sum.hypervolume : NAN,
				     .elapsed_s = elapsed,
				     .left_s = left < 0 ? 0 : left,
				     .study = l->study,
				     .best = l->best };
	l->options->progress(&p, l->options->ctx);
}

void report_scored(void *ctx, const struct tally *more)
{
	struct loop *l = ctx;

	l->round_so_far.scored += more->scored;
	l->round_so_far.trained += more->trained;
	l->round_so_far.resumed += more->resumed;
	report(l, false);
}
