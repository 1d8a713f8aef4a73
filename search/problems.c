#include "problems.h"

#include <math.h>
#include <string.h>

const struct search_problem *const search_problems[] = {
	&problem_bnh,	&problem_c2dtlz2, &problem_chain, &problem_constr, &problem_dtlz1,
	&problem_dtlz2, &problem_elli1,	  &problem_ihr1,  &problem_lotz,   &problem_osy,
	&problem_srn,	&problem_tnk,	  &problem_uf1,	  &problem_uf2,	   &problem_zdt1,
	&problem_zdt2,	&problem_zdt3,	  &problem_zdt4,  &problem_zdt5,   &problem_zdt6,
	NULL,
};

const struct search_problem *search_problem_find(const char *name)
{
	for (const struct search_problem *const *row = search_problems; *row; row++)
		if (strcmp((*row)->name, name) == 0)
			return *row;
	return NULL;
}

void problem_unit_box(struct search_var *var, size_t n_vars, size_t n_objectives)
{
	(void)n_objectives;
	for (size_t i = 0; i < n_vars; i++)
		var[i] = (struct search_var){ 0, 1, false };
}

double problem_spread(size_t i, size_t n)
{
	return n > 1 ? (double)i / (double)(n - 1) : 0;
}

double problem_along(size_t i, size_t n, const double (*piece)[2], size_t pieces, size_t *which)
{
	double length = 0, at;
	size_t k = 0;

	for (size_t p = 0; p < pieces; p++)
		length += piece[p][1] - piece[p][0];
	at = problem_spread(i, n) * length;
	while (k + 1 < pieces && at > piece[k][1] - piece[k][0]) {
		at -= piece[k][1] - piece[k][0];
		k++;
	}
	*which = k;
	return fmin(piece[k][0] + at, piece[k][1]);
}

double problem_halton(size_t i, size_t base)
{
	double v = 0, digit = 1;

	for (; i > 0; i /= base)
		v += (double)(i % base) * (digit /= (double)base);
	return v;
}

void problem_sqrt_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives)
{
	(void)n_vars, (void)n_objectives;
	f[0] = problem_spread(i, n);
	f[1] = 1 - sqrt(f[0]);
}
