/* The stop rules. All but time go by what was scored, so a run ends at the same
 * evaluation at any --jobs and after any number of resumes. */
#include <math.h>

#include "clock.h"
#include "loop.h"

/* Proposals in a row that were all seen before, after which the space counts as searched through:
 * so many of the strategy's rounds, or so many in all where it proposes one at a time. */
#define STALE_ROUNDS 50
#define STALE_LEAST  5000

void stop_init(struct loop *l)
{
	const struct stop_cfg *stop = &l->study->config->stop;
	uint64_t generations = (uint64_t)stop->generations * l->cap;

	l->limit = (uint64_t)stop->evaluations;
	if (stop->generations && generations < l->limit)
		l->limit = generations;
}

size_t stop_room(const struct loop *l)
{
	uint64_t trained = (uint64_t)l->study->config->stop.trained;
	uint64_t room = l->limit - l->sum.evaluations;

	room = room < l->cap ? room : l->cap;
	/* All of them may reach the evaluator. */
	if (trained && trained - l->sum.trained < room)
		room = trained - l->sum.trained;
	return (size_t)room;
}

bool stop_asks_hypervolume(const struct loop *l)
{
	return l->study->config->stop.hypervolume > 0 || l->study->config->stop.stalled;
}

void stop_generation(struct loop *l, double hypervolume)
{
	l->last_hypervolume = hypervolume;
	/* Nothing is stalled that has not begun or is not known. */
	if (!(l->level > 0) ||
	    !(hypervolume - l->level <= l->study->config->stop.stalled_gain * hypervolume)) {
		l->level = hypervolume;
		l->level_since = l->generation;
	}
}

bool stop_keeps_goal(const struct study *s, const double *value)
{
	for (size_t i = 0; i < s->n_goals; i++) {
		const struct study_bound *b = &s->goal[i];
		double v = value[b->metric];

		if (!(b->upper ? v <= b->value : v >= b->value))
			return false;
	}
	return true;
}

static bool stalled(const struct loop *l)
{
	uint64_t generations = (uint64_t)l->study->config->stop.stalled;

	return generations && l->level > 0 && l->generation - l->level_since >= generations;
}

static const char reason_time[] = "time";

bool stop_is_time(const struct loop *l)
{
	return l->sum.stop_reason == reason_time;
}

const char *stop_reason(const struct loop *l)
{
	const struct study_config *c = l->study->config;
	const struct stop_cfg *stop = &c->stop;

	if (l->goal_reached)
		return "goal reached";
	if (stop->hypervolume > 0 && l->last_hypervolume >= stop->hypervolume)
		return "hypervolume reached";
	if (l->sum.evaluations >= (uint64_t)stop->evaluations)
		return "evaluations";
	if (l->sum.evaluations >= l->limit)
		return "generations";
	if (stop->trained && l->sum.trained >= (uint64_t)stop->trained)
		return "trained";
	if (stalled(l))
		return "hypervolume stalled";
	if (stop->time_s > 0 && clock_s() - l->start_s >= stop->time_s)
		return reason_time;
	if (l->stale >= STALE_LEAST && l->stale >= STALE_ROUNDS * l->cap)
		return "space exhausted";
	if (l->sum.trained >= (uint64_t)c->failures.enough && l->n_broken == l->sum.trained)
		return "every evaluation failed";
	return NULL;
}
