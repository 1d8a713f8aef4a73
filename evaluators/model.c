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

void model_extend(struct model *m, bool adamw, bool average, struct arena *a)
{
	const struct plan *p = m->plan;
	size_t bytes = p->n_weights * sizeof(float);

	if (adamw)
		m->second = engine_memory(a, bytes);
	if (average) {
		m->average = engine_memory(a, bytes);
		m->average_mean = ARENA_NEW(a, float, p->n_channels);
		m->average_var = ARENA_NEW(a, float, p->n_channels);
	}
}

void model_init(struct model *m, struct rng *rng)
{
	const struct plan *p = m->plan;

	memset(m->weights, 0, p->n_weights * sizeof *m->weights);
	memset(m->velocity, 0, p->n_weights * sizeof *m->velocity);
	if (m->second)
		memset(m->second, 0, p->n_weights * sizeof *m->second);
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
	if (m->average) {
		memcpy(m->average, m->weights, p->n_weights * sizeof *m->average);
		memcpy(m->average_mean, m->running_mean, p->n_channels * sizeof(float));
		memcpy(m->average_var, m->running_var, p->n_channels * sizeof(float));
	}
	m->steps = 0;
	m->started = false;
}

/* The averages go along with the weights, at first nearly all the way. */
static void average_step(struct model *m, double decay)
{
	const struct plan *p = m->plan;
	double t = (double)m->steps, early = (1 + t) / (10 + t);
	float part = (float)(1 - (decay < early ? decay : early));

	p->kernels->average(m->average, m->weights, p->n_weights, part);
	p->kernels->average(m->average_mean, m->running_mean, p->n_channels, part);
	p->kernels->average(m->average_var, m->running_var, p->n_channels, part);
}

void model_step(struct model *m, const struct update *u)
{
	const struct plan *p = m->plan;
	double t = (double)++m->steps;
	struct kernel_adamw adamw = {
		.beta1 = (float)u->beta1,
		.beta2 = (float)u->beta2,
		.epsilon = (float)u->epsilon,
		.rate = (float)(u->rate / (1 - pow(u->beta1, t))),
		.root = (float)(1 / sqrt(1 - pow(u->beta2, t))),
	};

	for (size_t k = 0; k < p->n_params; k++) {
		const struct param *q = &p->param[k];
		double decay = q->decay ? u->decay : 0;
		float *w = m->weights + q->at, *g = m->gradient + q->at;

		adamw.shrink = (float)(1 - u->rate * decay);
		if (u->adamw)
			p->kernels->adamw(w, m->velocity + q->at, m->second + q->at, g, q->n,
					  &adamw);
		else
			p->kernels->sgd(w, m->velocity + q->at, g, q->n, (float)u->rate,
					(float)u->momentum, (float)decay);
	}
	if (m->average)
		average_step(m, u->average);
}

static void swap(float *a, float *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float t = a[i];

		a[i] = b[i];
		b[i] = t;
	}
}

void model_swap_average(struct model *m)
{
	if (!m->average)
		return;
	swap(m->weights, m->average, m->plan->n_weights);
	swap(m->running_mean, m->average_mean, m->plan->n_channels);
	swap(m->running_var, m->average_var, m->plan->n_channels);
}
