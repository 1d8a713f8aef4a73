#ifndef NASC_EIGEN_H
#define NASC_EIGEN_H
#include <stddef.h>

/* Eigenvalues, in no order, of the symmetric @a (n * n, row by row, destroyed): by
 * Householder's reduction to three diagonals and the implicit QL iteration (Golub & Van
 * Loan, Matrix Computations, 4th ed., 8.3). @off: n, scratch. O(n^3). */
void symmetric_eigenvalues(double *a, size_t n, double *value, double *off);
#endif
