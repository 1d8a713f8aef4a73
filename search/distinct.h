#ifndef NASC_SEARCH_DISTINCT_H
#define NASC_SEARCH_DISTINCT_H
#include <stdbool.h>
#include <stddef.h>

#include "arena.h"

/* Set of vectors by value, held as pointers to the caller's rows. */
struct distinct {
	size_t n_vars, mask;
	const double **slot;
};
void distinct_init(struct distinct *d, size_t n_vars, size_t most, struct arena *arena);
void distinct_clear(struct distinct *d);
/* False if one of the same values is there. @x must stay until distinct_clear(). */
bool distinct_add(struct distinct *d, const double *x);
#endif
