#include "alone.h"

#include <string.h>

/* The rectangle above and right of u, and the staircase that has been cut out of it. */
struct cut {
	double right, top, area; /* bounds; area that is left */
	size_t n;		 /* steps, x ascending and y descending */
	double *x, *y;
};

static void climb(struct cut *c, double x, double y)
{
	size_t at = c->n, end;
	double left = x, top = c->top;

	while (at > 0 && c->x[at - 1] >= x)
		at--;
	if ((at > 0 && c->y[at - 1] <= y) || (at < c->n && c->x[at] == x && c->y[at] <= y))
		return;
	if (at > 0)
		top = c->y[at - 1];
	for (end = at; end < c->n && c->y[end] >= y; end++) {
		c->area -= (c->x[end] - left) * (top - y);
		left = c->x[end];
		top = c->y[end];
	}
	c->area -= ((end < c->n ? c->x[end] : c->right) - left) * (top - y);
	if (end != at + 1) {
		memmove(c->x + at + 1, c->x + end, (c->n - end) * sizeof *c->x);
		memmove(c->y + at + 1, c->y + end, (c->n - end) * sizeof *c->y);
	}
	c->x[at] = x;
	c->y[at] = y;
	c->n += at + 1 - end;
}

/* Bounds by the points from..to that are nowhere worse than u in one of the two. Odd and
 * even points have their own, so that a least seldom has to wait for the one before. */
static void bound(struct cut *c, const double *f, size_t from, size_t to, const double *u)
{
	double far = c->right, high = c->top, right[2] = { far, far }, top[2] = { high, high };
	size_t pairs = (to - from) / 2;
	const double *p = f + 3 * from;

	for (size_t i = 0; i < pairs; i++, p += 6)
		for (size_t l = 0; l < 2; l++) {
			double x = p[3 * l + 1] <= u[1] ? p[3 * l] : far;
			double y = p[3 * l] <= u[0] ? p[3 * l + 1] : high;

			right[l] = x < right[l] ? x : right[l];
			top[l] = y < top[l] ? y : top[l];
		}
	if ((to - from) % 2 > 0) {
		right[0] = p[1] <= u[1] && p[0] < right[0] ? p[0] : right[0];
		top[0] = p[0] <= u[0] && p[1] < top[0] ? p[1] : top[0];
	}
	c->right = right[0] < right[1] ? right[0] : right[1];
	c->top = top[0] < top[1] ? top[0] : top[1];
}

double alone_three(const double *f, size_t n, const double *u, size_t but, const double *ref,
		   double *x, double *y)
{
	struct cut c = { .right = ref[0], .top = ref[1], .x = x, .y = y };
	double right, top, level = u[2], sum = 0;
	size_t below = 0, hi = n;

	if (!(u[0] < ref[0] && u[1] < ref[1] && u[2] < ref[2]))
		return 0;
	while (below < hi) {
		size_t mid = (below + hi) / 2;

		if (f[3 * mid + 2] <= u[2])
			below = mid + 1;
		else
			hi = mid;
	}
	bound(&c, f, 0, but < below ? but : below, u);
	bound(&c, f, but < below ? but + 1 : below, below, u);
	if (c.right <= u[0] || c.top <= u[1])
		return 0;
	c.area = (c.right - u[0]) * (c.top - u[1]);
	for (size_t i = 0; i < below; i++)
		if ((f[3 * i] < c.right) & (f[3 * i + 1] < c.top) && i != but)
			climb(&c, f[3 * i], f[3 * i + 1]);
	right = c.right;
	top = c.top;
	for (size_t i = below; i < n && f[3 * i + 2] < ref[2]; i++) {
		double a = f[3 * i], b = f[3 * i + 1];

		if (!((a < right) & (b < top)) || i == but)
			continue;
		sum += c.area * (f[3 * i + 2] - level);
		level = f[3 * i + 2];
		if (a <= u[0] && b <= u[1])
			return sum;
		climb(&c, a > u[0] ? a : u[0], b > u[1] ? b : u[1]);
		top = a <= u[0] ? b : top;
		right = b <= u[1] ? a : right;
	}
	return sum + c.area * (ref[2] - level);
}
