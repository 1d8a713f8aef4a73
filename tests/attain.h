#ifndef NASC_TESTS_ATTAIN_H
#define NASC_TESTS_ATTAIN_H
#include <math.h>
#include <string.h>

#include "search.h"

/* From a point of a test problem's front back to a vector that maps to it, worked out
 * apart from the problems themselves; rotations are recovered from values. */

static inline bool is(const struct search_problem *p, const char *name)
{
	return strcmp(p->name, name) == 0;
}

/* ---- rotations ------------------------------------------------------------------ */

#define ROTATED 10

/* Values at the vector of zeros with ones at @i and @j; ROTATED: nowhere. */
static inline void at_units(const char *name, size_t i, size_t j, double f[2])
{
	double x[ROTATED + 1] = { 0 };

	x[i] = x[j] = 1;
	search_problem_find(name)->evaluate(x, ROTATED, f, 2);
}

/* f1 of elli1 is x'Ax: A from its values at unit vectors and their sums. */
static inline void elli1_matrix(double a[ROTATED][ROTATED])
{
	double f[2], fi[2], fj[2];

	for (size_t i = 0; i < ROTATED; i++)
		for (size_t j = 0; j < ROTATED; j++) {
			at_units("elli1", i, j, f);
			at_units("elli1", i, i, fi);
			at_units("elli1", j, j, fj);
			a[i][j] = i == j ? f[0] : (f[0] - fi[0] - fj[0]) / 2;
		}
}

/* x where f2 of elli1 is 0: A x = b, f2(e_i) - f2(0) = a_ii - 2 b_i. */
static inline void elli1_second_middle(double x[ROTATED])
{
	double a[ROTATED][ROTATED], f[2], at_0[2];

	elli1_matrix(a);
	at_units("elli1", ROTATED, ROTATED, at_0);
	for (size_t i = 0; i < ROTATED; i++) {
		at_units("elli1", i, i, f);
		x[i] = (a[i][i] - (f[1] - at_0[1])) / 2;
	}
	for (size_t k = 0; k < ROTATED; k++)
		for (size_t i = k + 1; i < ROTATED; i++) {
			double by = a[i][k] / a[k][k];

			for (size_t j = k; j < ROTATED; j++)
				a[i][j] -= by * a[k][j];
			x[i] -= by * x[k];
		}
	for (size_t i = ROTATED; i-- > 0;) {
		for (size_t j = i + 1; j < ROTATED; j++)
			x[i] -= a[i][j] * x[j];
		x[i] /= a[i][i];
	}
}

/* First row of ihr1's rotation: f1 is |y1|, and of y1 and -y1 the one above 0 has the
 * smaller f2. */
static inline void ihr1_row(double row[ROTATED])
{
	double f[2], sign;

	for (size_t i = 0; i < ROTATED; i++) {
		at_units("ihr1", i, i, f);
		row[i] = f[0];
	}
	for (size_t i = 1; i < ROTATED; i++) {
		at_units("ihr1", 0, i, f);
		if (fabs(f[0] - fabs(row[0] - row[i])) < fabs(f[0] - row[0] - row[i]))
			row[i] = -row[i];
	}
	search_problem_find("ihr1")->evaluate(row, ROTATED, f, 2);
	sign = f[1] > 1 - sqrt(0.5) ? -1 : 1;
	for (size_t i = 0; i < ROTATED; i++)
		row[i] *= sign;
}

/* ---- front to vector ------------------------------------------------------- */

static inline void dtlz_vector(bool plane, const double *f, size_t n, size_t m, double *x)
{
	double left = plane ? 0.5 : 1;

	for (size_t i = m - 1; i < n; i++)
		x[i] = 0.5;
	for (size_t k = m - 1; k > 0; k--) {
		double rest = 0;

		if (plane) {
			x[m - 1 - k] = left > 1e-12 ? 1 - f[k] / left : 0;
			left -= f[k];
			continue;
		}
		for (size_t j = 0; j < k; j++)
			rest += f[j] * f[j];
		x[m - 1 - k] = atan2(f[k], sqrt(rest)) * 2 / M_PI;
	}
}

/* f1 of zdt6 falls from 1 to its least between 0 and 1/12. */
static inline void zdt6_vector(const double *f, size_t n, double *x)
{
	double lo = 0, hi = atan(9 * M_PI) / (6 * M_PI);

	memset(x, 0, n * sizeof *x);
	for (int t = 0; t < 100; t++) {
		double mid = (lo + hi) / 2;

		if (1 - exp(-4 * mid) * pow(sin(6 * M_PI * mid), 6) > f[0])
			lo = mid;
		else
			hi = mid;
	}
	x[0] = lo;
}

static inline void uf_vector(bool second, const double *f, size_t n, double *x)
{
	double x1 = x[0] = f[0];

	for (size_t j = 2; j <= n; j++) {
		double t = 6 * M_PI * x1 + (double)j * M_PI / (double)n;
		double r = 0.3 * x1 * x1 * cos(24 * M_PI * x1 + 4 * (double)j * M_PI / (double)n) +
			   0.6 * x1;

		x[j - 1] = !second ? sin(t) : r * (j % 2 ? cos(t) : sin(t));
	}
}

static inline void srn_vector(const double *f, double *x)
{
	double c;

	if (f[0] < 24.5) { /* x1 = 3 x2 - 10 */
		x[1] = (74 - sqrt(74 * 74 - 40 * (147 - f[0]))) / 20;
		x[0] = 3 * x[1] - 10;
	} else if (f[0] < 22.25 + 13.790199457749 * 13.790199457749) {
		x[0] = -2.5;
		x[1] = 1 + sqrt(f[0] - 22.25);
	} else { /* on the circle f1 = 232 - 4 x1 - 2 x2 */
		c = (232 - f[0]) / 2;
		x[0] = (2 * c - sqrt(5 * 225 - c * c)) / 5;
		x[1] = c - 2 * x[0];
	}
}

static inline void osy_vector(const double *f, double *x)
{
	double f2 = f[1];

	memset(x, 0, 6 * sizeof *x);
	x[2] = x[4] = 1;
	if (f2 > 28) {
		x[0] = 5;
		x[1] = 1;
		x[4] = f2 > 52 ? 5 : 1;
		x[2] = sqrt(f2 - 26 - x[4] * x[4]);
	} else if (f2 > 18.9254711186) { /* 10 x1^2 - 4 x1 + 4 = 9 (f2 - 2) */
		x[0] = (4 + sqrt(16 - 40 * (4 - 9 * (f2 - 2)))) / 20;
		x[1] = (x[0] - 2) / 3;
	} else if (f2 > 6) {
		x[1] = 2;
		x[2] = sqrt(f2 - 5);
	} else { /* 2 x1^2 - 4 x1 + 6 = f2 */
		x[0] = 1 - sqrt(fmax(f2 - 4, 0) / 2);
		x[1] = 2 - x[0];
	}
}

static inline void integer_vector(const struct search_problem *p, const double *f, size_t n,
				  double *x)
{
	for (size_t i = 0; i < n; i++)
		if (is(p, "zdt5"))
			x[i] = (double)i < f[0] - 1 || i >= 30;
		else if (is(p, "lotz"))
			x[i] = (double)i + 0.5 < (1 - f[0]) * (double)n;
		else
			x[i] = round(20 * sqrt(f[0]));
}

/* A vector that maps to point @f of the front. */
static inline void attain(const struct search_problem *p, const double *f, size_t n, size_t m,
			  double *x)
{
	if (is(p, "dtlz1") || is(p, "dtlz2") || is(p, "c2dtlz2")) {
		dtlz_vector(is(p, "dtlz1"), f, n, m, x);
	} else if (is(p, "zdt6")) {
		zdt6_vector(f, n, x);
	} else if (is(p, "zdt5") || is(p, "lotz") || is(p, "chain")) {
		integer_vector(p, f, n, x);
	} else if (is(p, "uf1") || is(p, "uf2")) {
		uf_vector(is(p, "uf2"), f, n, x);
	} else if (is(p, "elli1")) {
		elli1_second_middle(x);
		for (size_t i = 0; i < n; i++)
			x[i] *= sqrt(f[0]) / (sqrt(f[0]) + sqrt(f[1]));
	} else if (is(p, "ihr1")) {
		ihr1_row(x);
		for (size_t i = 0; i < n; i++)
			x[i] *= f[0];
	} else if (is(p, "bnh")) {
		x[1] = fmin(sqrt(f[0] / 8), 3);
		x[0] = sqrt(f[0] / 4 - x[1] * x[1]);
	} else if (is(p, "constr")) {
		x[0] = f[0];
		x[1] = f[0] * f[1] - 1;
	} else if (is(p, "srn")) {
		srn_vector(f, x);
	} else if (is(p, "tnk")) {
		memcpy(x, f, 2 * sizeof *x);
	} else if (is(p, "osy")) {
		osy_vector(f, x);
	} else { /* zdt1 .. zdt4 */
		memset(x, 0, n * sizeof *x);
		x[0] = f[0];
	}
}
#endif
