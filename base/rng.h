#ifndef NASC_RNG_H
#define NASC_RNG_H
#include <stdint.h>

/* PCG64 (XSL-RR 128/64, setseq): 128-bit state, 2^127 streams, 64-bit output.
 * Source: O'Neill, HMC-CS-2014-0905; equal, stream for stream, to pcg64 of
 * Debian's libpcg-cpp-dev (tests/pcg_oracle.cpp).
 *
 * Randomness is a parameter everywhere: no function of nasc draws from a
 * generator it was not handed. */
__extension__ typedef unsigned __int128 rng_u128;

struct rng {
	rng_u128 state, inc;
};

/* What a stream is for. One run seed gives independent streams per (purpose, id),
 * so the order in which candidates are worked on changes nothing. The numbers are
 * part of the results' reproducibility: append, never renumber. */
enum rng_purpose {
	RNG_STRATEGY = 1,   /* the search strategy; id 0 */
	RNG_SPLIT = 2,	    /* training / validation split; id 0 */
	RNG_INIT = 3,	    /* initial weights; id = candidate */
	RNG_SHUFFLE = 4,    /* order of the images; id = candidate */
	RNG_AUGMENT = 5,    /* shifts and flips; id = candidate */
	RNG_PROXY = 6,	    /* minibatch and noise of a proxy; id = candidate */
	RNG_SAMPLE = 7,	    /* `nasc space --sample`; id 0 */
	RNG_TABLE = 8,	    /* one of the seeds in a table; id = candidate */
	RNG_FLIPS = 9,	    /* bit flips in trained weights; id = candidate */
	RNG_NOISE = 10,	    /* noise on the images of a test; id = candidate, image */
	RNG_REFERENCE = 11, /* networks that proxies are ranked among; id = network */
	RNG_SUBSPACE = 12,  /* `nasc space --rank`; id = sub-space */
	RNG_RANGES = 13,    /* images that a quantisation takes its ranges from; id = candidate */
};

void rng_seed(struct rng *r, rng_u128 state, rng_u128 stream); /* as pcg64(state, stream) */
void rng_stream(struct rng *r, uint64_t run_seed, enum rng_purpose purpose, uint64_t id);

uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n);		    /* unbiased, [0, n), n > 0 */
int64_t rng_between(struct rng *r, int64_t lo, int64_t hi); /* both ends included */
double rng_unit(struct rng *r);				    /* [0, 1), 53 bits */
double rng_normal(struct rng *r);			    /* N(0, 1) */
double rng_beta(struct rng *r, double a);		    /* Beta(a, a); slow for a above 4 */
void rng_shuffle_u32(struct rng *r, uint32_t *v, uint64_t n);
#endif
