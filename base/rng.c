#include "rng.h"

#include <math.h>

#define U128(hi, lo) ((rng_u128)(hi) << 64 | (lo))

static void step(struct rng *r)
{
	r->state = r->state * U128(0x2360ed051fc65da4u, 0x4385df649fccf645u) + r->inc;
}

void rng_seed(struct rng *r, rng_u128 state, rng_u128 stream)
{
	r->inc = stream << 1 | 1;
	r->state = state + r->inc;
	step(r);
}

/* Finaliser of SplitMix64, a bijection that turns any one changed bit into about
 * 32. Source: Steele, Lea, Flood, OOPSLA 2014, with Stafford's constants mix13. */
static uint64_t mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

void rng_stream(struct rng *r, uint64_t run_seed, enum rng_purpose purpose, uint64_t id)
{
	uint64_t hi = mix(run_seed);

	/* Streams of one state are shifted copies of each other, so the state must
	 * differ as well. */
	rng_seed(r, U128(hi, mix(hi ^ mix(id ^ mix(purpose)))), U128(purpose, id));
}

uint64_t rng_u64(struct rng *r)
{
	uint64_t x;
	unsigned rot;

	step(r);
	x = (uint64_t)(r->state >> 64) ^ (uint64_t)r->state;
	rot = (unsigned)(r->state >> 122);
	return x >> rot | x << (-rot & 63);
}

/* Lemire, ACM TOMACS 29(1) 2019, algorithm 5. */
uint64_t rng_below(struct rng *r, uint64_t n)
{
	rng_u128 m = (rng_u128)rng_u64(r) * n;

	if ((uint64_t)m < n) {
		uint64_t reject = -n % n;

		while ((uint64_t)m < reject)
			m = (rng_u128)rng_u64(r) * n;
	}
	return (uint64_t)(m >> 64);
}

int64_t rng_between(struct rng *r, int64_t lo, int64_t hi)
{
	uint64_t span = (uint64_t)hi - (uint64_t)lo;
	uint64_t v = span == UINT64_MAX ? rng_u64(r) : rng_below(r, span + 1);

	return (int64_t)((uint64_t)lo + v);
}

double rng_unit(struct rng *r)
{
	return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

/* Marsaglia's polar method; the second number of the pair is not kept, so that
 * the generator's state is all the state there is. */
double rng_normal(struct rng *r)
{
	double u, v, s;

	do {
		u = 2 * rng_unit(r) - 1;
		v = 2 * rng_unit(r) - 1;
		s = u * u + v * v;
	} while (s >= 1 || s == 0);
	return u * sqrt(-2 * log(s) / s);
}

/* Jöhnk, Metrika 8, 1964. */
double rng_beta(struct rng *r, double a)
{
	double x, y;

	do {
		x = pow(rng_unit(r), 1 / a);
		y = pow(rng_unit(r), 1 / a);
	} while (x + y > 1 || x + y == 0);
	return x / (x + y);
}

void rng_shuffle_u32(struct rng *r, uint32_t *v, uint64_t n)
{
	for (uint64_t i = n; i > 1; i--) {
		uint64_t j = rng_below(r, i);
		uint32_t t = v[i - 1];

		v[i - 1] = v[j];
		v[j] = t;
	}
}
