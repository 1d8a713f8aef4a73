#include "rank.h"

#include <math.h>
#include <string.h>

#include "order.h"

/*
 * The points are sorted lexicographically and equal ones merged, so that a point can
 * only be dominated by one before it, and is if it is nowhere larger in objectives
 * 1 .. m-1. Two and three objectives: a sweep that finds each point's front by
 * bisection. More, and three where that would be slow: divide and conquer. Every
 * objective is replaced by its level, 0 .. n-1 in ascending order; splitting a set
 * at the middle of its levels takes at most log2(n) splits an objective, and the
 * last two objectives are swept with a tree of prefix maxima: O(n log^(m-1) n)
 * time, O(n m) memory.
 * Source: Jensen, IEEE TEVC 7(5) 2003; Fortin et al., GECCO 2013 (ties).
 */
struct sorter {
	size_t n;	       /* distinct points, in lexicographic order */
	const uint32_t *level; /* objective k: level[k * n .. ); objective 0 unused */
	uint32_t *rank;	       /* n; final for a point once all before it are worked off */
	uint32_t *tree;	       /* n + 1; Fenwick tree: greatest rank + 1 up to a level */
	uint32_t *tmp;	       /* n */
};

/* Up to this many comparisons are made one by one. */
#define PAIRS_MAX 256
/* Up to this many moves a point staircases are kept in arrays. */
#define MOVES_MAX 100

static void tree_raise(struct sorter *s, uint32_t level, uint32_t value)
{
	for (size_t i = (size_t)level + 1; i <= s->n && s->tree[i] < value; i += i & -i)
		s->tree[i] = value;
}

static uint32_t tree_max(const struct sorter *s, uint32_t level)
{
	uint32_t best = 0;

	for (size_t i = (size_t)level + 1; i > 0; i &= i - 1)
		if (s->tree[i] > best)
			best = s->tree[i];
	return best;
}

static void tree_clear(struct sorter *s, uint32_t level)
{
	for (size_t i = (size_t)level + 1; i <= s->n && s->tree[i] > 0; i += i & -i)
		s->tree[i] = 0;
}

static void raise_rank(struct sorter *s, uint32_t point, uint32_t rank)
{
	if (s->rank[point] < rank)
		s->rank[point] = rank;
}

/* @a, which comes before @b, dominates it if it does in objectives 1 .. k. */
static void compare_pair(struct sorter *s, uint32_t a, uint32_t b, size_t k)
{
	if (s->rank[b] > s->rank[a])
		return;
	for (; k > 0; k--)
		if (s->level[k * s->n + a] > s->level[k * s->n + b])
			return;
	s->rank[b] = s->rank[a] + 1;
}

/* Stable split of set[0..n) into levels of objective k up to @mid and above. */
static size_t split(struct sorter *s, uint32_t *set, size_t n, size_t k, uint32_t mid)
{
	const uint32_t *level = s->level + k * s->n;
	size_t low = 0, high = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t point = set[i];
		bool up = level[point] > mid;

		s->tmp[high] = point;
		set[low] = point;
		high += up;
		low += !up;
	}
	memcpy(set + low, s->tmp, high * sizeof *set);
	return low;
}

/* Undo split(): ascending again. */
static void join(struct sorter *s, uint32_t *set, size_t low, size_t n)
{
	size_t i = 0, j = low;

	memcpy(s->tmp, set, low * sizeof *set);
	for (size_t at = 0; i < low; at++)
		set[at] = j < n && set[j] < s->tmp[i] ? set[j++] : s->tmp[i++];
}

struct span {
	uint32_t lo, hi;
};

static struct span level_span(const struct sorter *s, const uint32_t *set, size_t n, size_t k)
{
	const uint32_t *level = s->level + k * s->n;
	struct span r = { UINT32_MAX, 0 };

	for (size_t i = 0; i < n; i++) {
		uint32_t v = level[set[i]];

		r.lo = v < r.lo ? v : r.lo;
		r.hi = v > r.hi ? v : r.hi;
	}
	return r;
}

/* Let points a[] with final ranks raise those of b[], given that every a[] is
 * no larger than every b[] behind objective k, and smaller somewhere there. */
static void between(struct sorter *s, uint32_t *a, size_t na, uint32_t *b, size_t nb, size_t k)
{
	struct span ra, rb;
	uint32_t mid;
	size_t low_a, low_b;

	if (na == 0 || nb == 0)
		return;
	if (na * nb <= PAIRS_MAX) {
		for (size_t j = 0; j < nb; j++)
			for (size_t i = 0; i < na && a[i] < b[j]; i++)
				compare_pair(s, a[i], b[j], k);
		return;
	}
	if (k == 1) {
		size_t i = 0;

		for (size_t j = 0; j < nb; j++) {
			for (; i < na && a[i] < b[j]; i++)
				tree_raise(s, s->level[s->n + a[i]], s->rank[a[i]] + 1);
			raise_rank(s, b[j], tree_max(s, s->level[s->n + b[j]]));
		}
		while (i-- > 0)
			tree_clear(s, s->level[s->n + a[i]]);
		return;
	}
	ra = level_span(s, a, na, k);
	rb = level_span(s, b, nb, k);
	if (ra.hi <= rb.lo) {
		between(s, a, na, b, nb, k - 1);
		return;
	}
	if (ra.lo > rb.hi)
		return;
	ra.lo = ra.lo < rb.lo ? ra.lo : rb.lo;
	ra.hi = ra.hi > rb.hi ? ra.hi : rb.hi;
	mid = ra.lo + (ra.hi - ra.lo) / 2;
	low_a = split(s, a, na, k, mid);
	low_b = split(s, b, nb, k, mid);
	between(s, a, low_a, b, low_b, k);
	between(s, a, low_a, b + low_b, nb - low_b, k - 1);
	between(s, a + low_a, na - low_a, b + low_b, nb - low_b, k);
	join(s, a, low_a, na);
	join(s, b, low_b, nb);
}

/* Make the ranks of set[] final, given that all points outside it that dominate
 * some of it have been heard and that it is equal behind objective k. */
static void within(struct sorter *s, uint32_t *set, size_t n, size_t k)
{
	struct span r;
	size_t low;

	if (n * n / 2 <= PAIRS_MAX) {
		for (size_t j = 1; j < n; j++)
			for (size_t i = 0; i < j; i++)
				compare_pair(s, set[i], set[j], k);
		return;
	}
	if (k == 1) {
		for (size_t i = 0; i < n; i++) {
			uint32_t level = s->level[s->n + set[i]];

			raise_rank(s, set[i], tree_max(s, level));
			tree_raise(s, level, s->rank[set[i]] + 1);
		}
		for (size_t i = 0; i < n; i++)
			tree_clear(s, s->level[s->n + set[i]]);
		return;
	}
	r = level_span(s, set, n, k);
	if (r.lo == r.hi) {
		within(s, set, n, k - 1);
		return;
	}
	low = split(s, set, n, k, r.lo + (r.hi - r.lo) / 2);
	within(s, set, low, k);
	between(s, set, low, set + low, n - low, k - 1);
	within(s, set + low, n - low, k);
	join(s, set, low, n);
}

/* Levels of column k of the n points first[0..n) of f. */
static void find_levels(const double *f, size_t m, size_t k, const uint32_t *first, size_t n,
			struct order_key *key, struct order_key *tmp, uint32_t *level)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++)
		key[i] = (struct order_key){ f[first[i] * m + k], (uint32_t)i };
	order_sort(key, tmp, n);
	for (size_t i = 0; i < n; i++) {
		v += i > 0 && key[i].v > key[i - 1].v;
		level[key[i].at] = v;
	}
}

/* Ranks of n different points; first[] are their positions in f, ascending
 * lexicographically. */
static void rank_many(const double *f, size_t m, const uint32_t *first, size_t n, uint32_t *rank,
		      struct arena *scratch)
{
	struct order_key *key = ARENA_NEW(scratch, struct order_key, n);
	struct order_key *tmp = ARENA_NEW(scratch, struct order_key, n);
	uint32_t *level = ARENA_NEW(scratch, uint32_t, n * m);
	uint32_t *all = ARENA_NEW(scratch, uint32_t, n);
	struct sorter s = { n, level, rank, ARENA_NEW(scratch, uint32_t, n + 1),
			    ARENA_NEW(scratch, uint32_t, n) };

	for (size_t k = 1; k < m; k++)
		find_levels(f, m, k, first, n, key, tmp, level + k * n);
	for (size_t i = 0; i < n; i++)
		all[i] = (uint32_t)i;
	within(&s, all, n, m - 1);
}

/* Two objectives: the least second objective of each front so far ascends with
 * the rank, so a point joins the first front it lies below. */
static void rank_two(const double *f, const uint32_t *first, size_t n, uint32_t *rank,
		     struct arena *scratch)
{
	double *tail = ARENA_NEW(scratch, double, n);
	size_t fronts = 0;

	for (size_t i = 0; i < n; i++) {
		double v = f[2 * (size_t)first[i] + 1];
		size_t lo = 0;

		for (size_t left = fronts; left > 0;) { /* without a branch to guess */
			size_t half = (left + 1) / 2;

			lo += tail[lo + half - 1] <= v ? half : 0;
			left -= half;
		}
		tail[lo] = v;
		fronts += lo == fronts;
		rank[i] = (uint32_t)lo;
	}
}

/* What a front dominates in the second and third of three objectives: the corners, the
 * second ascending and the third descending. */
struct staircase {
	size_t n, cap;
	struct corner {
		double y, z;
	} * corner;
};

/* The corners that are not above y. */
static size_t corners_up_to(const struct staircase *s, double y)
{
	size_t lo = 0;

	for (size_t left = s->n; left > 0;) { /* without a branch to guess */
		size_t half = (left + 1) / 2;

		lo += s->corner[lo + half - 1].y <= y ? half : 0;
		left -= half;
	}
	return lo;
}

static bool is_under(const struct staircase *s, const double *p)
{
	size_t at = corners_up_to(s, p[1]);

	return at > 0 && s->corner[at - 1].z <= p[2];
}

/* Put in a point that is not under the staircase. Returns how many corners moved. */
static size_t add_corner(struct staircase *s, const double *p, struct arena *scratch)
{
	size_t at = corners_up_to(s, p[1]), end = at;

	while (end < s->n && s->corner[end].z >= p[2])
		end++;
	at -= at > 0 && s->corner[at - 1].y == p[1];
	if (at == end && s->n == s->cap) {
		struct corner *more = ARENA_NEW(scratch, struct corner, 2 * s->cap + 4);

		if (s->n > 0)
			memcpy(more, s->corner, s->n * sizeof *more);
		s->corner = more;
		s->cap = 2 * s->cap + 4;
	}
	if (end != at + 1)
		memmove(s->corner + at + 1, s->corner + end, (s->n - end) * sizeof *s->corner);
	s->corner[at] = (struct corner){ p[1], p[2] };
	s->n += at + 1 - end;
	return s->n - at;
}

/* Three objectives: a point, which can be dominated by those before it only, joins the
 * first front whose staircase it is not under. As a front is dominated by the one before
 * it, that is found by bisection. Returns false where the staircases are so long that
 * to keep them takes longer than to divide and conquer. */
static bool rank_three(const double *f, const uint32_t *first, size_t n, uint32_t *rank,
		       struct arena *scratch)
{
	struct staircase *front = ARENA_NEW(scratch, struct staircase, n);
	size_t fronts = 0, moved = 0;

	for (size_t i = 0; i < n; i++) {
		const double *p = f + 3 * (size_t)first[i];
		size_t lo = 0, hi = fronts;

		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (is_under(&front[mid], p))
				lo = mid + 1;
			else
				hi = mid;
		}
		moved += add_corner(&front[lo], p, scratch);
		if (moved > MOVES_MAX * n)
			return false;
		fronts += lo == fronts;
		rank[i] = (uint32_t)lo;
	}
	return true;
}

static bool equal_rows(const double *a, const double *b, size_t m)
{
	for (size_t k = 0; k < m; k++)
		if (a[k] != b[k])
			return false;
	return true;
}

/* Ranks of the n rows of f, whose lexicographic order is @order. */
static size_t rank_ordered(const double *f, size_t n, size_t m, const uint32_t *order,
			   uint32_t *rank, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	uint32_t *first = ARENA_NEW(scratch, uint32_t, n);
	uint32_t *found = ARENA_NEW(scratch, uint32_t, n);
	size_t distinct = 0, fronts = 0;

	for (size_t i = 0; i < n; i++)
		if (i == 0 || !equal_rows(f + order[i - 1] * m, f + order[i] * m, m))
			first[distinct++] = order[i];
	if (m == 1)
		for (size_t i = 0; i < distinct; i++)
			found[i] = (uint32_t)i;
	else if (m == 2)
		rank_two(f, first, distinct, found, scratch);
	else if (n > 0 && !(m == 3 && rank_three(f, first, distinct, found, scratch)))
		rank_many(f, m, first, distinct, found, scratch);
	for (size_t i = 0, j = 0; i < n; i++) {
		j += j + 1 < distinct && first[j + 1] == order[i];
		rank[order[i]] = found[j];
		fronts = found[j] >= fronts ? found[j] + 1 : fronts;
	}
	arena_rewind(scratch, mark);
	return fronts;
}

size_t search_rank(const double *f, size_t n, size_t m, uint32_t *rank, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	uint32_t *order = ARENA_NEW(scratch, uint32_t, n);
	size_t fronts;

	order_rows(f, n, m, order, scratch);
	fronts = rank_ordered(f, n, m, order, rank, scratch);
	arena_rewind(scratch, mark);
	return fronts;
}

size_t rank_constrained(const struct search_points *p, size_t m, uint32_t *rank, uint32_t *order,
			struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	double *f = ARENA_NEW(scratch, double, p->n *m);
	uint32_t *at = ARENA_NEW(scratch, uint32_t, p->n);
	uint32_t *found = ARENA_NEW(scratch, uint32_t, p->n);
	uint32_t *sorted = ARENA_NEW(scratch, uint32_t, p->n);
	struct order_key *key = ARENA_NEW(scratch, struct order_key, p->n);
	struct order_key *tmp = ARENA_NEW(scratch, struct order_key, p->n);
	size_t good = 0, bad = 0, fronts, *start;

	for (size_t i = 0; i < p->n; i++) {
		if (p->violation[i] > 0) {
			key[bad++] = (struct order_key){ p->violation[i], (uint32_t)i };
		} else {
			memcpy(f + good * m, p->f + i * m, m * sizeof *f);
			at[good++] = (uint32_t)i;
		}
	}
	order_rows(f, good, m, sorted, scratch);
	fronts = rank_ordered(f, good, m, sorted, found, scratch);
	start = ARENA_NEW(scratch, size_t, fronts + 1);
	for (size_t i = 0; i < good; i++) {
		rank[at[i]] = found[i];
		start[found[i] + 1]++;
	}
	for (size_t r = 1; r <= fronts; r++)
		start[r] += start[r - 1];
	for (size_t i = 0; i < good; i++)
		order[start[found[sorted[i]]]++] = at[sorted[i]];
	order_sort(key, tmp, bad);
	for (size_t i = 0; i < bad; i++) {
		fronts += i == 0 || key[i].v > key[i - 1].v;
		rank[key[i].at] = (uint32_t)(fronts - 1);
		order[good + i] = key[i].at;
	}
	arena_rewind(scratch, mark);
	return fronts;
}

void rank_crowding(const double *f, size_t m, const uint32_t *member, size_t n, double *crowding,
		   struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	struct order_key *key = ARENA_NEW(scratch, struct order_key, n);
	struct order_key *tmp = ARENA_NEW(scratch, struct order_key, n);

	for (size_t i = 0; i < n; i++)
		crowding[member[i]] = 0;
	for (size_t k = 0; k < m && n > 0; k++) {
		double span;

		for (size_t i = 0; i < n; i++)
			key[i] = (struct order_key){ f[member[i] * m + k], member[i] };
		order_sort(key, tmp, n);
		crowding[key[0].at] = INFINITY;
		crowding[key[n - 1].at] = INFINITY;
		span = key[n - 1].v - key[0].v;
		for (size_t i = 1; i + 1 < n && span > 0; i++)
			crowding[key[i].at] += (key[i + 1].v - key[i - 1].v) / span;
	}
	arena_rewind(scratch, mark);
}
