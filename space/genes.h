#ifndef NASC_GENES_H
#define NASC_GENES_H
/* What the genes of a template are made of: names, values and what they mean. */
#include "space.h"

extern const char *const gene_act_names[]; /* "relu", "relu6", NULL */
extern const int64_t gene_act_kinds[];	   /* enum net_kind */

/* What these return lives as long as the run: the meanings of the gene's values, by index. */

/* Gene @i of @s takes the @n numbers @v, which live as long as the run. Returns @v. */
const int64_t *gene_numbers(struct space *s, size_t i, const char *name, const int64_t *v,
			    size_t n);
/* The @meanings whose bit is set in @mask, as long as @names (NULL-terminated) has entries;
 * shown as @names if @as_names, otherwise as numbers. */
const int64_t *gene_choices(struct space *s, size_t i, const char *name, const int64_t *meanings,
			    const char *const *names, bool as_names, uint64_t mask);
/* lo, lo + 1, ... hi. */
const int64_t *gene_range(struct space *s, size_t i, const char *name, struct cfg_range range);
/* Sides of the input; 0 becomes the data set's own when it has one, so that none is there
 * twice. */
const int64_t *gene_resolutions(struct space *s, size_t i, const struct cfg_ints *sides);
/* The network's input at a value of gene_resolutions(). */
struct net_shape gene_input(const struct space *s, int64_t side);
#endif
