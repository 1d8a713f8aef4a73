#include "variation.h"

#include <math.h>

const char *const variation_crossover_names[] = { "uniform", "two_point", NULL };
const char *const variation_step_names[] = { "any", "step", NULL };

void variation_settle(const struct search_domain *d, double *x)
{
	if (d->canonical)
		d->canonical(x, d->ctx);
}

bool variation_all_integer(const struct search_domain *d)
{
	for (size_t i = 0; i < d->n_vars; i++)
		if (!d->var[i].integer)
			return false;
	return true;
}

static double within(const struct search_var *var, double v)
{
	return fmin(fmax(v, var->lo), var->hi);
}

void variation_sample(const struct search_domain *d, struct rng *rng, double *x)
{
	for (size_t i = 0; i < d->n_vars; i++) {
		const struct search_var *var = &d->var[i];

		if (var->integer)
			x[i] = (double)rng_between(rng, (int64_t)var->lo, (int64_t)var->hi);
		else
			x[i] = within(var, var->lo + rng_unit(rng) * (var->hi - var->lo));
	}
	variation_settle(d, x);
}

/* Spread factor of one child; @room is how far the bound on its side is, in
 * halves of the parents' distance. */
static double spread(double eta, double room, double u)
{
	double alpha = 2 - pow(1 + room, -(eta + 1));

	if (u <= 1 / alpha)
		return pow(u * alpha, 1 / (eta + 1));
	return pow(1 / (2 - u * alpha), 1 / (eta + 1));
}

void variation_sbx(const struct search_domain *d, double eta, struct rng *rng, double *a, double *b)
{
	for (size_t i = 0; i < d->n_vars; i++) {
		const struct search_var *var = &d->var[i];
		double lo = fmin(a[i], b[i]), hi = fmax(a[i], b[i]), gap = hi - lo, u, c1, c2;

		if (var->integer || rng_u64(rng) >> 63 || !(gap > 1e-14))
			continue;
		u = rng_unit(rng);
		c1 = (lo + hi - spread(eta, 2 * (lo - var->lo) / gap, u) * gap) / 2;
		c2 = (lo + hi + spread(eta, 2 * (var->hi - hi) / gap, u) * gap) / 2;
		if (rng_u64(rng) >> 63) {
			a[i] = within(var, c1);
			b[i] = within(var, c2);
		} else {
			a[i] = within(var, c2);
			b[i] = within(var, c1);
		}
	}
}

void variation_swap(const struct search_domain *d, enum variation_crossover kind, struct rng *rng,
		    double *a, double *b)
{
	size_t from = 0, to = d->n_vars;

	if (kind == VARIATION_TWO_POINT) {
		size_t c1 = (size_t)rng_below(rng, d->n_vars + 1);
		size_t c2 = (size_t)rng_below(rng, d->n_vars + 1);

		from = c1 < c2 ? c1 : c2;
		to = c1 < c2 ? c2 : c1;
	}
	for (size_t i = from; i < to; i++) {
		double v = a[i];

		if (!d->var[i].integer || (kind == VARIATION_UNIFORM && rng_u64(rng) >> 63))
			continue;
		a[i] = b[i];
		b[i] = v;
	}
}

/* Relative change; @below and @above are the distances to the bounds, relative to
 * the range. */
static double polynomial(double eta, double below, double above, double u)
{
	if (u < 0.5)
		return pow(2 * u + (1 - 2 * u) * pow(1 - below, eta + 1), 1 / (eta + 1)) - 1;
	return 1 - pow(2 * (1 - u) + (2 * u - 1) * pow(1 - above, eta + 1), 1 / (eta + 1));
}

void variation_polynomial(const struct search_domain *d, double eta, double rate, struct rng *rng,
			  double *x)
{
	for (size_t i = 0; i < d->n_vars; i++) {
		const struct search_var *var = &d->var[i];
		double range = var->hi - var->lo;

		if (var->integer || !(range > 0) || rng_unit(rng) >= rate)
			continue;
		x[i] += range * polynomial(eta, (x[i] - var->lo) / range, (var->hi - x[i]) / range,
					   rng_unit(rng));
		x[i] = within(var, x[i]);
	}
}

double variation_another(const struct search_var *var, enum variation_step step, struct rng *rng,
			 double v)
{
	double w;

	if (step == VARIATION_STEP) {
		w = v + (rng_u64(rng) >> 63 ? 1 : -1);
		return w < var->lo ? v + 1 : w > var->hi ? v - 1 : w;
	}
	w = (double)rng_between(rng, (int64_t)var->lo, (int64_t)var->hi - 1);
	return w < v ? w : w + 1;
}

void variation_integers(const struct search_domain *d, enum variation_step step, double rate,
			struct rng *rng, double *x)
{
	size_t choices = 0, reals = 0, pick;
	bool changed = false;

	for (size_t i = 0; i < d->n_vars; i++) {
		const struct search_var *var = &d->var[i];

		reals += !var->integer;
		if (!var->integer || !(var->lo < var->hi))
			continue;
		choices++;
		if (rng_unit(rng) < rate) {
			x[i] = variation_another(var, step, rng, x[i]);
			changed = true;
		}
	}
	if (changed || reals > 0 || choices == 0)
		return;
	pick = (size_t)rng_below(rng, choices);
	for (size_t i = 0;; i++) {
		if (!(d->var[i].lo < d->var[i].hi))
			continue;
		if (pick-- == 0) {
			x[i] = variation_another(&d->var[i], step, rng, x[i]);
			return;
		}
	}
}

void variation_cross(const struct search_domain *d, const struct variation_cfg *cfg,
		     struct rng *rng, double *a, double *b)
{
	if (rng_unit(rng) >= cfg->crossover_probability)
		return;
	variation_sbx(d, cfg->eta_crossover, rng, a, b);
	variation_swap(d, (enum variation_crossover)cfg->crossover, rng, a, b);
}

void variation_mutate(const struct search_domain *d, const struct variation_cfg *cfg,
		      struct rng *rng, double *x)
{
	double rate = cfg->mutation_rate > 0 ? cfg->mutation_rate : 1 / (double)d->n_vars;

	variation_polynomial(d, cfg->eta_mutation, rate, rng, x);
	variation_integers(d, (enum variation_step)cfg->integer_mutation, rate, rng, x);
	variation_settle(d, x);
}
