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
	return v < var->lo ? var->lo : v > var->hi ? var->hi : v;
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

/* x >= 0. Twice as fast as pow(), and exact to more digits than chance needs. */
static double power(double x, double exponent)
{
	return exp(exponent * log(x));
}

/* x^k, by squaring where k is whole, as it is for most distribution indices. */
static double power_up(double x, double k)
{
	double y = 1;

	if (k != floor(k))
		return power(x, k);
	for (unsigned n = (unsigned)k; n > 0; n >>= 1) {
		y = n & 1 ? y * x : y;
		x *= x;
	}
	return y;
}

/* The law of the spread factor, b^(eta + 1) / 2 up to 1 and 1 - b^-(eta + 1) / 2 from there
 * on, is cut off at the bound; what is left of it, doubled. @room is how far the bound
 * is, in halves of the parents' distance. */
static double spread_mass(double eta, double room)
{
	return 2 - 1 / power_up(1 + room, eta + 1);
}

/* Its quantile @u of @mass. */
static double spread(double eta, double mass, double u)
{
	double v = u * mass;

	return v <= 1 ? power(v, 1 / (eta + 1)) : power(2 - v, -1 / (eta + 1));
}

static void swap(double *a, double *b)
{
	double v = *a;

	*a = *b;
	*b = v;
}

/* Simulated binary crossover of one real. */
static void cross_real(const struct search_var *var, double eta, struct rng *rng, double *a,
		       double *b)
{
	double lo = *a < *b ? *a : *b, hi = *a < *b ? *b : *a, gap = hi - lo;
	double mass_lo, mass_hi, spread_lo, u;

	if (!(gap > 1e-14))
		return;
	mass_lo = spread_mass(eta, 2 * (lo - var->lo) / gap);
	mass_hi = spread_mass(eta, 2 * (var->hi - hi) / gap);
	u = rng_unit(rng);
	spread_lo = spread(eta, mass_lo, u);
	*a = within(var, (lo + hi - spread_lo * gap) / 2);
	*b = mass_hi == mass_lo ? spread_lo : spread(eta, mass_hi, u);
	*b = within(var, (lo + hi + *b * gap) / 2);
}

void variation_cross(const struct search_domain *d, const struct variation_cfg *cfg,
		     struct rng *rng, double *a, double *b)
{
	bool two_point = cfg->crossover == VARIATION_TWO_POINT;

	if (rng_unit(rng) >= cfg->crossover_probability)
		return;
	if (two_point) {
		size_t from = (size_t)rng_below(rng, d->n_vars + 1);
		size_t to = (size_t)rng_below(rng, d->n_vars + 1);

		for (size_t i = from < to ? from : to; i < from || i < to; i++)
			if (d->var[i].integer)
				swap(&a[i], &b[i]);
	}
	for (size_t base = 0; base < d->n_vars; base += 64) {
		/* One bit a variable: whether it is crossed, and which child gets which. */
		uint64_t picked = rng_u64(rng), swapped = rng_u64(rng);

		if (d->n_vars - base < 64)
			picked &= (UINT64_C(1) << (d->n_vars - base)) - 1;
		for (; picked; picked &= picked - 1) {
			unsigned bit = (unsigned)__builtin_ctzll(picked);
			size_t i = base + bit;

			if (!d->var[i].integer)
				cross_real(&d->var[i], cfg->eta_crossover, rng, &a[i], &b[i]);
			if (d->var[i].integer ? !two_point : swapped >> bit & 1)
				swap(&a[i], &b[i]);
		}
	}
}

/* Relative change; @below and @above are the distances to the bounds, relative to
 * the range. */
static double polynomial(double eta, double below, double above, double u)
{
	if (u < 0.5)
		return power(2 * u + (1 - 2 * u) * power_up(1 - below, eta + 1), 1 / (eta + 1)) - 1;
	return 1 - power(2 * (1 - u) + (2 * u - 1) * power_up(1 - above, eta + 1), 1 / (eta + 1));
}

static double mutate_real(const struct search_var *var, double eta, struct rng *rng, double v)
{
	double range = var->hi - var->lo;

	v += range * polynomial(eta, (v - var->lo) / range, (var->hi - v) / range, rng_unit(rng));
	return within(var, v);
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

size_t variation_pick(const struct search_domain *d, struct rng *rng)
{
	size_t choices = 0, i = 0;

	for (size_t k = 0; k < d->n_vars; k++)
		choices += d->var[k].lo < d->var[k].hi;
	if (choices == 0)
		return d->n_vars;
	for (size_t before = (size_t)rng_below(rng, choices);; i++)
		if (d->var[i].lo < d->var[i].hi && before-- == 0)
			return i;
}

/* How many of independent trials fail before one succeeds, if that is below @most:
 * k or more with probability exp(k @log_miss). */
static size_t misses(struct rng *rng, double log_miss, size_t most)
{
	double k = log(1 - rng_unit(rng)) / log_miss;

	return k < (double)most ? (size_t)k : most; /* NAN, 0 / 0, where none ever succeeds */
}

bool variation_move(const struct search_domain *d, double rate, struct rng *rng, double *x)
{
	return d->move && rate > 0 && rng_unit(rng) < rate && d->move(x, rng, d->ctx);
}

static void mutate_each(const struct search_domain *d, const struct variation_cfg *cfg,
			struct rng *rng, double *x)
{
	enum variation_step step = (enum variation_step)cfg->integer_mutation;
	double rate = cfg->mutation_rate > 0 ? cfg->mutation_rate : 1 / (double)d->n_vars;
	double log_miss = log1p(-rate);
	bool changed = false;

	/* From one variable that is mutated straight to the next. */
	for (size_t i = misses(rng, log_miss, d->n_vars); i < d->n_vars;
	     i += 1 + misses(rng, log_miss, d->n_vars)) {
		const struct search_var *var = &d->var[i];

		if (!(var->lo < var->hi))
			continue;
		if (var->integer)
			x[i] = variation_another(var, step, rng, x[i]);
		else
			x[i] = mutate_real(var, cfg->eta_mutation, rng, x[i]);
		changed = true;
	}
	if (!changed && variation_all_integer(d)) {
		size_t i = variation_pick(d, rng);

		if (i < d->n_vars)
			x[i] = variation_another(&d->var[i], step, rng, x[i]);
	}
}

void variation_mutate(const struct search_domain *d, const struct variation_cfg *cfg,
		      struct rng *rng, double *x)
{
	if (!variation_move(d, cfg->move_rate, rng, x))
		mutate_each(d, cfg, rng, x);
	variation_settle(d, x);
}
