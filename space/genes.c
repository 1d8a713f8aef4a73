#include "genes.h"

#include <stdio.h>

const char *const gene_act_names[] = { "relu", "relu6", NULL };
const int64_t gene_act_kinds[] = { NET_RELU, NET_RELU6 };

const int64_t *gene_numbers(struct space *s, size_t i, const char *name, const int64_t *v, size_t n)
{
	struct space_gene *gene = &s->gene[i];

	snprintf(gene->name, sizeof gene->name, "%s", name);
	gene->n_values = (uint32_t)n;
	gene->value = v;
	return v;
}

const int64_t *gene_choices(struct space *s, size_t i, const char *name, const int64_t *meanings,
			    const char *const *names, bool as_names, uint64_t mask)
{
	size_t most = 0, n = 0;
	const char **choice;
	int64_t *v;

	while (names[most])
		most++;
	v = ARENA_NEW(s->arena, int64_t, most);
	choice = ARENA_NEW(s->arena, const char *, most);
	for (size_t k = 0; k < most; k++)
		if (mask >> k & 1) {
			v[n] = meanings[k];
			choice[n++] = names[k];
		}
	gene_numbers(s, i, name, v, n);
	if (as_names) {
		s->gene[i].value = NULL;
		s->gene[i].choice = choice;
	}
	return v;
}

const int64_t *gene_range(struct space *s, size_t i, const char *name, struct cfg_range range)
{
	size_t n = (size_t)(range.hi - range.lo + 1);
	int64_t *v = ARENA_NEW(s->arena, int64_t, n);

	for (size_t k = 0; k < n; k++)
		v[k] = range.lo + (int64_t)k;
	return gene_numbers(s, i, name, v, n);
}

const int64_t *gene_resolutions(struct space *s, size_t i, const struct cfg_ints *sides)
{
	int64_t *v = ARENA_NEW(s->arena, int64_t, CFG_INTS_MAX);
	int64_t own = s->input.h == s->input.w || s->input.h == 1 ? s->input.w : 0;
	size_t n = 0;

	for (size_t j = 0; j < sides->n; j++) {
		int64_t side = sides->v[j] ? sides->v[j] : own;
		size_t k = 0;

		while (k < n && v[k] < side)
			k++;
		if (k < n && v[k] == side)
			continue;
		for (size_t m = n++; m > k; m--)
			v[m] = v[m - 1];
		v[k] = side;
	}
	return gene_numbers(s, i, "resolution", v, n);
}

struct net_shape gene_input(const struct space *s, int64_t side)
{
	if (side == 0)
		return s->input;
	return (struct net_shape){ s->input.h == 1 ? 1 : (uint32_t)side, (uint32_t)side,
				   s->input.c };
}
