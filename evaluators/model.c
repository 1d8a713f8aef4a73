#include <math.h>
#include <string.h>

#include "engine.h"
#include "rng.h"

void model_create(struct model *m, const struct plan *p, struct arena *a)
{
	size_t bytes = p->n_weights * sizeof(float);

	*m = (struct model){ .plan = p,
			     .weights = engine_memory(a, bytes),
			     .velocity = engine_memory(a, bytes),
			     .gradient = engine_memory(a, bytes),
			     .packed = engine_memory(a, p->packed_bytes),
			     .running_mean = ARENA_NEW(a, float, p->n_channels),
			     .running_var = ARENA_NEW(a, float, p->n_channels) };
}

void model_init(struct model *m, struct rng *rng)
{
	const struct plan *p = m->plan;

	memset(m->weights, 0, p->n_weights * sizeof *m->weights);
	memset(m->velocity, 0, p->n_weights * sizeof *m->velocity);
	for (size_t k = 0; k < p->n_params; k++) {
		const struct param *q = &p->param[k];
		size_t n = param_count(q);
		double std = sqrt((q->dense ? 1 : 2) / q->fan_in);

		for (size_t i = 0; i < n && q->role == PARAM_WEIGHTS; i++)
			m->weights[param_at(q, i)] = (float)(std * rng_normal(rng));
		for (size_t i = 0; i < n && q->role == PARAM_GAMMA; i++)
			m->weights[q->at + i] = 1;
	}
	for (size_t c = 0; c < p->n_channels; c++) {
		m->running_mean[c] = 0;
		m->running_var[c] = 1;
	}
	m->started = false;
}

void model_step(struct model *m, double rate, double momentum, double decay)
{
	const struct plan *p = m->plan;

	for (size_t k = 0; k < p->n_params; k++) {
		const struct param *q = &p->param[k];

		p->kernels->sgd(m->weights + q->at, m->velocity + q->at, m->gradient + q->at, q->n,
				(float)rate, (float)momentum, q->decay ? (float)decay : 0);
	}
}
