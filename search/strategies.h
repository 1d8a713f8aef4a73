#ifndef NASC_SEARCH_STRATEGIES_H
#define NASC_SEARCH_STRATEGIES_H
#include "search.h"

/* The rows of search_registry, one a file. */
extern const struct search_ops search_amosa, search_nsga2, search_nsga3, search_random,
	search_regularized_evolution, search_sms_emoa;

/* A strategy that begins with @start candidates and goes on by @batch of them, when it was told
 * @told: how many it can propose before it is told the next. */
static inline size_t search_proposals(uint64_t start, uint64_t told, int64_t batch)
{
	return told < start ? (size_t)(start - told) : (size_t)batch;
}

/* Room for the larger of @start and @batch, so that it suffices to ask for it once. */
static inline size_t search_room(uint64_t start, uint64_t told, int64_t batch)
{
	size_t n = search_proposals(start, told, batch);

	return n > (size_t)batch ? n : (size_t)batch;
}
#endif
