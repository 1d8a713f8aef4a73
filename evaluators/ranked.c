#include "ranked.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum state { WAITING, BUSY, DONE };
struct ranked {
	size_t networks, n, n_done;
	ranked_values *values;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum state *state; /* of each network */
	double *value;	   /* [figure][network]; sorted when all are done */
};

struct ranked *ranked_open(size_t networks, size_t n, ranked_values *values)
{
	struct ranked *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	*r = (struct ranked){ .networks = networks, .n = n, .values = values };
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	r->state = calloc(networks, sizeof *r->state);
	r->value = calloc(networks * n, sizeof *r->value);
	if (!r->state || !r->value) {
		ranked_close(r);
		return NULL;
	}
	return r;
}

void ranked_close(struct ranked *r)
{
	if (!r)
		return;
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r->state);
	free(r->value);
	free(r);
}

/* ---- ranks ---------------------------------------------------------------------- */

/* Mean rank of the values equal to sorted[i]. */
static double rank_of(const double *sorted, size_t n, size_t i)
{
	size_t first = i, last = i;

	while (first > 0 && sorted[first - 1] >= sorted[i])
		first--;
	while (last + 1 < n && sorted[last + 1] <= sorted[i])
		last++;
	return 1 + 0.5 * (double)(first + last);
}

/* Value that one rank is worth at the better end: from the median to the best. */
static double value_of_rank(const double *sorted, size_t n)
{
	double best = sorted[n - 1], median = sorted[n / 2];
	double ranks = rank_of(sorted, n, n - 1) - rank_of(sorted, n, n / 2);

	if (isfinite(median) && best > median)
		return (best - median) / ranks;
	return fabs(best) > 1 ? fabs(best) : 1; /* nothing to go by */
}

double ranked_rank(const double *sorted, size_t n, double x)
{
	double worth, low, high;
	size_t above = 0;

	while (above < n && sorted[above] <= x)
		above++;
	if (!isfinite(sorted[n - 1])) /* nothing was scored */
		return (double)n;
	worth = value_of_rank(sorted, n);
	if (above == n)
		return rank_of(sorted, n, n - 1) + (x - sorted[n - 1]) / worth;
	high = rank_of(sorted, n, above);
	if (above == 0 || !isfinite(sorted[above - 1])) {
		low = above ? rank_of(sorted, n, above - 1) : 0;
		return low + (high - low) / (1 + (sorted[above] - x) / worth);
	}
	low = rank_of(sorted, n, above - 1);
	return low + (high - low) * (x - sorted[above - 1]) / (sorted[above] - sorted[above - 1]);
}

/* ---- the sample ------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	double p = *(const double *)a, q = *(const double *)b;

	return (p > q) - (p < q);
}

static enum eval_outcome network_measure(struct ranked *r, size_t i, struct evaluator *e,
					 void *worker, const struct eval_request *request,
					 struct eval_result *result)
{
	struct arena a = { 0 };
	struct network net;
	struct eval_request own = {
		.id = i, .seed = request->seed, .net = &net, .cancel = request->cancel
	};
	double value[RANKED_VALUES_MAX];
	enum eval_outcome outcome;

	e->sample(e->space, request->seed, i, &a, &net);
	outcome = r->values(e, worker, &own, result, value);
	for (size_t k = 0; k < r->n && outcome != EVAL_CANCELLED; k++)
		r->value[k * r->networks + i] =
			outcome == EVAL_OK && !isnan(value[k]) ? value[k] : -(double)INFINITY;
	arena_free(&a);
	return outcome;
}

/* With the lock held. */
static void network_done(struct ranked *r, size_t i)
{
	r->state[i] = DONE;
	if (++r->n_done == r->networks)
		for (size_t k = 0; k < r->n; k++)
			qsort(r->value + k * r->networks, r->networks, sizeof *r->value, compare);
	pthread_cond_broadcast(&r->changed);
}

/* Others are at the last networks: a moment, as a cancel has to be heard. */
static void wait_a_moment(struct ranked *r)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 50000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&r->changed, &r->lock, &until);
}

static enum eval_outcome sample_measure(struct ranked *r, struct evaluator *e, void *worker,
					const struct eval_request *request,
					struct eval_result *result)
{
	enum eval_outcome outcome = EVAL_OK;

	pthread_mutex_lock(&r->lock);
	while (r->n_done < r->networks && outcome != EVAL_CANCELLED) {
		size_t i = 0;

		while (i < r->networks && r->state[i] != WAITING)
			i++;
		if (request->cancel && atomic_load(request->cancel)) {
			outcome = EVAL_CANCELLED;
		} else if (i == r->networks) {
			wait_a_moment(r);
		} else {
			r->state[i] = BUSY;
			pthread_mutex_unlock(&r->lock);
			outcome = network_measure(r, i, e, worker, request, result);
			pthread_mutex_lock(&r->lock);
			if (outcome == EVAL_CANCELLED)
				r->state[i] = WAITING;
			else
				network_done(r, i);
		}
	}
	pthread_mutex_unlock(&r->lock);
	return outcome == EVAL_CANCELLED ? outcome : EVAL_OK;
}

enum eval_outcome ranked_score(struct ranked *r, struct evaluator *e, void *worker,
			       const struct eval_request *request, struct eval_result *result,
			       double *value)
{
	enum eval_outcome outcome = sample_measure(r, e, worker, request, result);
	double n = (double)r->networks, sum = 0;

	if (outcome == EVAL_OK)
		outcome = r->values(e, worker, request, result, value);
	if (outcome != EVAL_OK)
		return outcome;
	for (size_t k = 0; k < r->n; k++)
		sum += log(ranked_rank(r->value + k * r->networks, r->networks, value[k]) / n);
	result->value[0] = sum;
	return EVAL_OK;
}
