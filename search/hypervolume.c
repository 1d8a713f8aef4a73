#include "search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alone.h"
#include "front.h"
#include "order.h"

/*
 * Two objectives: one sweep, O(n log n). Three: a sweep in the third objective
 * over the staircase of the first two, O(n log n) as each point enters and leaves
 * it once. Four: a sweep in the fourth over the front of the first three, to which
 * each point adds what it dominates alone, O(n^2). More: inclusive volume of a point minus the
 * volume its predecessors share with it, one objective less each time. Sources: Fonseca, Paquete,
 * Lopez-Ibanez, CEC 2006 (three objectives); Guerreiro, Fonseca, Emmerich, CCCG 2012 (four: by what
 * a point adds in three); While, Bradstreet, Barone, IEEE TEVC 16(1) 2012 (WFG, more).
 */

/* Set of positions 0 .. n-1: a bit each, and above every 64 words of a row a bit
 * in the next that says some of it is set. */
#define ROWS_MAX 6
struct positions {
	size_t rows;
	uint64_t *row[ROWS_MAX];
};

static void positions_init(struct positions *p, size_t n, struct arena *a)
{
	p->rows = 0;
	do {
		n = (n + 63) / 64;
		p->row[p->rows++] = ARENA_NEW(a, uint64_t, n);
	} while (n > 1);
}

static void positions_add(struct positions *p, size_t i)
{
	for (size_t r = 0; r < p->rows; r++, i /= 64)
		p->row[r][i / 64] |= UINT64_C(1) << i % 64;
}

static void positions_drop(struct positions *p, size_t i)
{
	for (size_t r = 0; r < p->rows; r++, i /= 64)
		if (p->row[r][i / 64] &= ~(UINT64_C(1) << i % 64))
			return;
}

/* First position >= i, or SIZE_MAX. */
static size_t positions_next(const struct positions *p, size_t n, size_t i)
{
	if (i >= n)
		return SIZE_MAX;
	for (size_t r = 0; r < p->rows; r++) {
		uint64_t w = p->row[r][i / 64] & ~UINT64_C(0) << i % 64;

		if (w) {
			i = i / 64 * 64 + (size_t)__builtin_ctzll(w);
			while (r-- > 0)
				i = i * 64 + (size_t)__builtin_ctzll(p->row[r][i]);
			return i;
		}
		i = i / 64 + 1;
		n = (n + 63) / 64;
		if (i >= n)
			return SIZE_MAX;
	}
	return SIZE_MAX;
}

/* Last position <= i, or SIZE_MAX. */
static size_t positions_last(const struct positions *p, size_t i)
{
	for (size_t r = 0; r < p->rows; r++) {
		uint64_t w = p->row[r][i / 64] & ~UINT64_C(0) >> (63 - i % 64);

		if (w) {
			i = i / 64 * 64 + 63 - (size_t)__builtin_clzll(w);
			while (r-- > 0)
				i = i * 64 + 63 - (size_t)__builtin_clzll(p->row[r][i]);
			return i;
		}
		if (i < 64)
			return SIZE_MAX;
		i = i / 64 - 1;
	}
	return SIZE_MAX;
}

/* Room for one volume of at most n points, and of the sets it comes down to. */
struct volume {
	const double *ref;
	struct order_key *key, *tmp;		    /* n */
	double *set[SEARCH_MAX_OBJECTIVES + 1];	    /* [m]: n * m, the points */
	uint32_t *order[SEARCH_MAX_OBJECTIVES + 1]; /* [m]: n, by the last objective */
	/* three objectives */
	uint32_t *slot; /* n: position of a point among the different x */
	double *x, *y;	/* n, by slot: the staircase, y descending with x */
	struct positions on;
	double *front; /* four objectives: n * 3, ascending in the third */
};

static void sort_by(struct volume *v, const double *f, size_t n, size_t m, size_t k)
{
	for (size_t i = 0; i < n; i++)
		v->key[i] = (struct order_key){ f[i * m + k], (uint32_t)i };
	order_sort(v->key, v->tmp, n);
}

static double volume_two(struct volume *v, const double *f, size_t n)
{
	double top = v->ref[1], sum = 0;

	sort_by(v, f, n, 2, 0);
	for (size_t i = 0; i < n; i++) {
		double y = f[2 * (size_t)v->key[i].at + 1];

		if (y < top) {
			sum += (v->ref[0] - v->key[i].v) * (top - y);
			top = y;
		}
	}
	return sum;
}

/* Area that a point at slot @s of height @y adds to the staircase, which it joins. */
static double climb(struct volume *v, size_t n, size_t s, double y)
{
	size_t at = positions_last(&v->on, s);
	double top = v->ref[1], left = v->x[s], area = 0;

	if (at != SIZE_MAX) {
		if (v->y[at] <= y)
			return 0;
		top = v->y[at];
	}
	for (at = positions_next(&v->on, n, s); at != SIZE_MAX && v->y[at] >= y;
	     at = positions_next(&v->on, n, at + 1)) {
		area += (v->x[at] - left) * (top - y);
		left = v->x[at];
		top = v->y[at];
		positions_drop(&v->on, at);
	}
	area += ((at == SIZE_MAX ? v->ref[0] : v->x[at]) - left) * (top - y);
	v->y[s] = y;
	positions_add(&v->on, s);
	return area;
}

static double volume_three(struct volume *v, const double *f, size_t n)
{
	size_t slots = 0;
	double sum = 0;

	sort_by(v, f, n, 3, 0);
	for (size_t i = 0; i < n; i++) {
		slots += i > 0 && v->key[i].v > v->key[i - 1].v;
		v->x[slots] = v->key[i].v;
		v->slot[v->key[i].at] = (uint32_t)slots;
	}
	slots += n > 0;
	sort_by(v, f, n, 3, 2);
	for (size_t i = 0; i < n; i++) {
		size_t at = v->key[i].at;

		sum += climb(v, slots, v->slot[at], f[3 * at + 1]) * (v->ref[2] - v->key[i].v);
	}
	for (size_t s = positions_next(&v->on, slots, 0); s != SIZE_MAX;
	     s = positions_next(&v->on, slots, s + 1))
		positions_drop(&v->on, s);
	return sum;
}

/* Put @p among the n points of the front, from which those leave that it is nowhere
 * worse than. Returns the new n. */
static size_t join_front(double *front, size_t n, const double *p)
{
	size_t lo = 0, hi = n, end, left;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (front[3 * mid + 2] < p[2])
			lo = mid + 1;
		else
			hi = mid;
	}
	/* the place of the first that leaves is what p needs */
	for (end = lo; end < n; end++)
		if ((front[3 * end] >= p[0]) & (front[3 * end + 1] >= p[1]))
			break;
	memmove(front + 3 * (lo + 1), front + 3 * lo, 3 * (end - lo) * sizeof *front);
	memcpy(front + 3 * lo, p, 3 * sizeof *front);
	left = end + 1;
	for (size_t i = end + 1; i < n; i++) {
		if ((front[3 * i] >= p[0]) & (front[3 * i + 1] >= p[1]))
			continue;
		if (left < i)
			memcpy(front + 3 * left, front + 3 * i, 3 * sizeof *front);
		left++;
	}
	return left;
}

static double volume_four(struct volume *v, const double *f, size_t n)
{
	size_t front = 0;
	double sum = 0;

	sort_by(v, f, n, 4, 3);
	for (size_t i = 0; i < n; i++) {
		const double *p = f + 4 * (size_t)v->key[i].at;
		double own = alone_three(v->front, front, p, SIZE_MAX, v->ref, v->x, v->y);

		if (own > 0)
			front = join_front(v->front, front, p);
		sum += own * (v->ref[3] - p[3]);
	}
	return sum;
}

/* Volume of the n points v->set[m]. */
static double volume_of(struct volume *v, size_t n, size_t m)
{
	const double *f = v->set[m];
	double sum = 0;

	if (m == 2)
		return volume_two(v, f, n);
	if (m == 3)
		return volume_three(v, f, n);
	if (m == 4)
		return volume_four(v, f, n);
	sort_by(v, f, n, m, m - 1);
	for (size_t i = 0; i < n; i++)
		v->order[m][i] = v->key[i].at;
	for (size_t i = 0; i < n; i++) {
		const double *p = f + v->order[m][i] * m;
		double own = 1, q[SEARCH_MAX_OBJECTIVES];
		size_t shared = 0;

		for (size_t k = 0; k + 1 < m; k++)
			own *= v->ref[k] - p[k];
		for (size_t j = i; j-- > 0;) {
			for (size_t k = 0; k + 1 < m; k++)
				q[k] = fmax(p[k], f[v->order[m][j] * m + k]);
			shared = front_keep(v->set[m - 1], shared, m - 1, q);
		}
		own -= volume_of(v, shared, m - 1);
		sum += own * (v->ref[m - 1] - p[m - 1]);
	}
	return sum;
}

double search_hypervolume(const double *f, size_t n, size_t m, const double *ref,
			  struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	struct volume v = { .ref = ref };
	size_t inside = 0;
	double sum = 0;

	if (m == 0 || m > SEARCH_MAX_OBJECTIVES)
		abort();
	v.key = ARENA_NEW(scratch, struct order_key, n);
	v.tmp = ARENA_NEW(scratch, struct order_key, n);
	for (size_t k = 3; k <= m; k++) {
		v.set[k] = ARENA_NEW(scratch, double, n *k);
		v.order[k] = ARENA_NEW(scratch, uint32_t, n);
	}
	if (m >= 3) {
		v.slot = ARENA_NEW(scratch, uint32_t, n);
		v.x = ARENA_NEW(scratch, double, n);
		v.y = ARENA_NEW(scratch, double, n);
		v.front = ARENA_NEW(scratch, double, 3 * n);
		positions_init(&v.on, n, scratch);
	} else {
		v.set[m] = ARENA_NEW(scratch, double, n *m);
	}
	for (size_t i = 0; i < n; i++) {
		bool in = true;

		for (size_t k = 0; k < m; k++)
			in &= f[i * m + k] < ref[k];
		if (in)
			memcpy(v.set[m] + inside++ * m, f + i * m, m * sizeof *f);
	}
	if (m == 1)
		for (size_t i = 0; i < inside; i++)
			sum = fmax(sum, ref[0] - v.set[1][i]);
	else
		sum = volume_of(&v, inside, m);
	arena_rewind(scratch, mark);
	return sum;
}
