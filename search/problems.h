#ifndef NASC_SEARCH_PROBLEMS_H
#define NASC_SEARCH_PROBLEMS_H
#include "search.h"

/* Rows of the registry in problems.c. */
extern const struct search_problem problem_bnh, problem_c2dtlz2, problem_chain, problem_constr,
	problem_dtlz1, problem_dtlz2, problem_elli1, problem_ihr1, problem_lotz, problem_osy,
	problem_srn, problem_tnk, problem_uf1, problem_uf2, problem_zdt1, problem_zdt2,
	problem_zdt3, problem_zdt4, problem_zdt5, problem_zdt6;

#define PI 3.14159265358979323846

#define TWO_OBJECTIVES	 .min_objectives = 2, .max_objectives = 2
#define VARIABLES(count) .min_vars = (count), .max_vars = (count), .default_vars = (count)

/* All variables real in [0, 1]. */
void problem_unit_box(struct search_var *var, size_t n_vars, size_t n_objectives);

/* ---- what fronts share ------------------------------------------------------- */

/* @i of @n, evenly from 0 to 1. */
double problem_spread(size_t i, size_t n);
/* @i of @n, evenly along @pieces intervals laid end to end; *@which: the interval. */
double problem_along(size_t i, size_t n, const double (*piece)[2], size_t pieces, size_t *which);
/* Halton's sequence in [0, 1): the digits of @i in @base, reversed. */
double problem_halton(size_t i, size_t base);
/* ZDT1's, which many borrowed: f2 = 1 - sqrt(f1). */
void problem_sqrt_front(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives);
#endif
