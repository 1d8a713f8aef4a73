#ifndef NASC_SEARCH_ORDER_H
#define NASC_SEARCH_ORDER_H
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

/* Sorting whose result depends on the input alone: equal keys stay in the order
 * they came in. O(n log n) or better; no NAN. */
struct order_key {
	double v;
	uint32_t at;
};
void order_sort(struct order_key *key, struct order_key *tmp, size_t n);

/* Positions of the n rows of f (n * m) in lexicographic order, equal rows by
 * position. */
void order_rows(const double *f, size_t n, size_t m, uint32_t *order, struct arena *scratch);
#endif
