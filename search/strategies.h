#ifndef NASC_SEARCH_STRATEGIES_H
#define NASC_SEARCH_STRATEGIES_H
#include "search.h"

/* The rows of search_registry, one a file. */
extern const struct search_ops search_amosa, search_nsga2, search_nsga3, search_random,
	search_regularized_evolution, search_sms_emoa;
#endif
