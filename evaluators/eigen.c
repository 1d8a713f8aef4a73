#include "eigen.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

/* Row @i to zero left of its last two columns: a = H a H, H = I - v v^T / half, v left
 * in the row; off[i] is what stays beside the diagonal. Lower triangle only. */
static void row_reduce(double *a, size_t n, size_t i, double *off)
{
	double *v = a + i * n, scale = 0, norm = 0, half, dot = 0;

	for (size_t k = 0; k < i; k++)
		scale += fabs(v[k]);
	off[i] = v[i - 1];
	if (i == 1 || scale == 0)
		return;
	for (size_t k = 0; k < i; k++) {
		v[k] /= scale;
		norm += v[k] * v[k];
	}
	norm = v[i - 1] > 0 ? -sqrt(norm) : sqrt(norm);
	half = norm * norm - v[i - 1] * norm;
	off[i] = scale * norm;
	v[i - 1] -= norm;
	for (size_t j = 0; j < i; j++) { /* p = a v / half, in off */
		double sum = 0;

		for (size_t k = 0; k <= j; k++)
			sum += a[j * n + k] * v[k];
		for (size_t k = j + 1; k < i; k++)
			sum += a[k * n + j] * v[k];
		off[j] = sum / half;
		dot += off[j] * v[j];
	}
	for (size_t j = 0; j < i; j++) { /* q = p - v (v.p) / (2 half); a -= v q^T + q v^T */
		off[j] -= v[j] * dot / (2 * half);
		for (size_t k = 0; k <= j; k++)
			a[j * n + k] -= v[j] * off[k] + off[j] * v[k];
	}
}

/* One sweep over rows first .. last, whose couplings are not zero. */
static void ql_sweep(double *d, double *e, size_t first, size_t last)
{
	double g = (d[first + 1] - d[first]) / (2 * e[first]), r = hypot(g, 1), s = 1, c = 1, p = 0;

	g = d[last] - d[first] + e[first] / (g + copysign(r, g));
	for (size_t i = last; i-- > first;) {
		double f = s * e[i], b = c * e[i];

		e[i + 1] = r = hypot(f, g);
		if (r == 0) { /* it falls apart here */
			d[i + 1] -= p;
			e[last] = 0;
			return;
		}
		s = f / r;
		c = g / r;
		g = d[i + 1] - p;
		r = (d[i] - g) * s + 2 * c * b;
		p = s * r;
		d[i + 1] = g + p;
		g = c * r - b;
	}
	d[first] -= p;
	e[first] = g;
	e[last] = 0;
}

static bool is_small(const double *d, const double *e, size_t i)
{
	return fabs(e[i]) <= DBL_EPSILON * (fabs(d[i]) + fabs(d[i + 1]));
}

#define SWEEPS_MAX 60 /* two or three are usual */

void symmetric_eigenvalues(double *a, size_t n, double *value, double *off)
{
	for (size_t i = n; i-- > 1;)
		row_reduce(a, n, i, off);
	for (size_t i = 0; i < n; i++)
		value[i] = a[i * n + i];
	for (size_t i = 0; i + 1 < n; i++)
		off[i] = off[i + 1];
	if (n)
		off[n - 1] = 0;
	for (size_t first = 0; first < n; first++)
		for (int sweep = 0; sweep < SWEEPS_MAX; sweep++) {
			size_t last = first;

			while (last + 1 < n && !is_small(value, off, last))
				last++;
			if (last == first)
				break;
			ql_sweep(value, off, first, last);
		}
}
