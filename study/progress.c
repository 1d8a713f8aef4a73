#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "loop.h"

#define HV_ROWS_MAX 1000
/* Work of one exact hypervolume beyond which it is left out (five objectives and more). */
#define HV_WORK_MAX 1e8

void find_reference(struct loop *l, const double *f, const double *violation, size_t n)
{
	double *ref = l->study->reference;
	bool any = false;

	for (size_t i = 0; i < n; i++)
		any |= violation[i] == 0;
	if (!any)
		return;
	for (size_t k = 0; k < l->n_obj; k++) {
		double worst = -INFINITY;

		for (size_t i = 0; i < n; i++)
			if (violation[i] == 0)
				worst = fmax(worst, f[i * l->n_obj + k]);
		if (isnan(ref[k]))
			ref[k] = worst;
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
	if (l->n_hv && l->hv[l->n_hv - 1].evaluations < l->sum.evaluations)
		add_row(l, hypervolume(l));
}

void report(struct loop *l, bool last)
{
	double now = clock_s(), done = (double)l->sum.evaluations, todo;
	const struct study_config *c = l->study->config;
	struct study_progress p;

	if (!l->options->progress || (!last && now - l->last_progress_s < 0.1))
		return;
	l->last_progress_s = now;
	todo = (double)l->limit - done;
	if (c->stop.trained && l->sum.trained) /* whichever comes first */
		todo = fmin(todo, done * ((double)c->stop.trained / (double)l->sum.trained - 1));
	p = (struct study_progress){ .evaluations = l->sum.evaluations,
				     .planned = l->limit,
				     .trained = l->sum.trained,
				     .failed = l->sum.failed,
				     .front = l->archive.n,
				     .hypervolume = l->reference_known ? l->sum.hypervolume : NAN,
				     .elapsed_s = now - l->start_s,
				     .left_s = done > 0 ? fmax(0, (now - l->start_s) * todo / done)
							: NAN,
				     .study = l->study,
				     .best = l->best };
	l->options->progress(&p, l->options->ctx);
}
