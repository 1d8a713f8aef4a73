#include "search.h"

#include <math.h>
#include <string.h>

#include "front.h"
#include "order.h"

#define FIRST_CAP  64
#define LEAF	   16 /* rows that are quicker looked at one by one than by boxes */
#define NEW_LEAST  64 /* rows outside the tree, this many and a part of all, ... */
#define NEW_PART   16 /* ... before it is built anew */
#define CROWD_PART 10 /* of a full archive the part that makes room */
#define GONE	   UINT32_MAX

void search_archive_init(struct search_archive *s, size_t m, size_t most, struct arena *arena)
{
	*s = (struct search_archive){ .m = m, .most = most, .arena = arena };
}

void search_archive_members(const struct search_archive *s, double *f, uint32_t *slot)
{
	size_t m = s->m, n = 0;

	for (size_t i = 0; i < s->end; i++) {
		if (s->slot[i] == GONE)
			continue;
		if (f)
			memcpy(f + n * m, s->f + i * m, m * sizeof *f);
		if (slot)
			slot[n] = s->slot[i];
		n++;
	}
}

static void leave(struct search_archive *s, size_t row)
{
	s->spare[s->n_spare++] = s->slot[row];
	s->slot[row] = GONE;
	s->n--;
}

static void grow(struct search_archive *s)
{
	size_t old = s->cap, cap = old ? 2 * old : FIRST_CAP;
	double *f = ARENA_NEW(s->arena, double, cap * s->m);
	uint32_t *slot = ARENA_NEW(s->arena, uint32_t, cap);
	uint32_t *spare = ARENA_NEW(s->arena, uint32_t, cap);

	if (old > 0) {
		memcpy(f, s->f, s->end * s->m * sizeof *f);
		memcpy(slot, s->slot, s->end * sizeof *slot);
		memcpy(spare, s->spare, s->n_spare * sizeof *spare);
	}
	/* Halved until at most LEAF are left, cap rows make less than cap / 8 nodes. */
	s->box = ARENA_NEW(s->arena, double, cap / 4 * s->m);
	s->cap = cap;
	s->f = f;
	s->slot = slot;
	s->spare = spare;
}

/* ---- a tree of boxes around rows that lie together -------------------------------- */

struct builder {
	struct search_archive *s;
	uint32_t *row; /* by the tree's order */
	struct order_key *key, *tmp;
};

/* Rows lo .. hi-1 of the new order become node @node, split by one objective after another. */
static void build(struct builder *b, size_t node, size_t axis, size_t lo, size_t hi)
{
	size_t m = b->s->m, next = axis + 1 < m ? axis + 1 : 0, mid = (lo + hi) / 2;
	double *least = b->s->box + 2 * node * m, *most = least + m;

	for (size_t k = 0; k < m; k++) {
		least[k] = INFINITY;
		most[k] = -INFINITY;
		for (size_t i = lo; i < hi; i++) {
			double v = b->s->f[b->row[i] * m + k];

			least[k] = v < least[k] ? v : least[k];
			most[k] = v > most[k] ? v : most[k];
		}
	}
	if (hi - lo <= LEAF)
		return;
	for (size_t i = lo; i < hi; i++)
		b->key[i] = (struct order_key){ b->s->f[b->row[i] * m + axis], b->row[i] };
	order_sort(b->key + lo, b->tmp, hi - lo);
	for (size_t i = lo; i < hi; i++)
		b->row[i] = b->key[i].at;
	build(b, 2 * node + 1, next, lo, mid);
	build(b, 2 * node + 2, next, mid, hi);
}

/* Close the gaps and put all rows into the tree. */
static void settle(struct search_archive *s)
{
	size_t m = s->m, n = s->n;
	struct arena_mark mark = arena_mark(s->arena);
	double *f = ARENA_NEW(s->arena, double, n *m);
	uint32_t *slot = ARENA_NEW(s->arena, uint32_t, n);
	struct builder b = { .s = s,
			     .row = ARENA_NEW(s->arena, uint32_t, n),
			     .key = ARENA_NEW(s->arena, struct order_key, n),
			     .tmp = ARENA_NEW(s->arena, struct order_key, n) };

	for (size_t i = 0, at = 0; i < s->end; i++)
		if (s->slot[i] != GONE)
			b.row[at++] = (uint32_t)i;
	build(&b, 0, 0, 0, n);
	for (size_t i = 0; i < n; i++) {
		memcpy(f + i * m, s->f + b.row[i] * m, m * sizeof *f);
		slot[i] = s->slot[b.row[i]];
	}
	memcpy(s->f, f, n * m * sizeof *f);
	memcpy(s->slot, slot, n * sizeof *slot);
	s->end = s->tree = n;
	arena_rewind(s->arena, mark);
}

/* ---- domination --------------------------------------------------------------------- */

/* False: a row covers f. Rows that f dominates leave. */
static bool pass_rows(struct search_archive *s, const double *f, size_t lo, size_t hi)
{
	size_t m = s->m;

	for (size_t i = lo; i < hi; i++) {
		struct front_relation r;

		if (s->slot[i] == GONE)
			continue;
		r = front_relate(f, s->f + i * m, m);
		if (!r.better)
			return false;
		if (!r.worse)
			leave(s, i);
	}
	return true;
}

static bool pass_node(struct search_archive *s, const double *f, size_t node, size_t lo, size_t hi)
{
	size_t m = s->m, mid = (lo + hi) / 2;
	const double *least = s->box + 2 * node * m, *most = least + m;
	bool may_cover = true, may_leave = true;

	for (size_t k = 0; k < m; k++) {
		may_cover &= least[k] <= f[k];
		may_leave &= f[k] <= most[k];
	}
	if (!may_cover && !may_leave)
		return true;
	if (hi - lo <= LEAF)
		return pass_rows(s, f, lo, hi);
	return pass_node(s, f, 2 * node + 1, lo, mid) && pass_node(s, f, 2 * node + 2, mid, hi);
}

/* ---- the bound ------------------------------------------------------------------------ */

/* A list of the rows for each objective, by its value; END at both sides. */
#define END UINT32_MAX
struct crowd {
	const struct search_archive *s;
	uint32_t *before, *after; /* m lists of n */
	double span[SEARCH_MAX_OBJECTIVES];
};

/* Between the ends at most m; above that for the greatest of an objective, and most of all
 * for the least of one. */
static double distance(const struct crowd *c, size_t n, size_t i)
{
	size_t m = c->s->m;
	bool greatest = false;
	double sum = 0;

	for (size_t k = 0; k < m; k++) {
		uint32_t a = c->before[k * n + i], b = c->after[k * n + i];

		if (a == END)
			return INFINITY;
		if (b == END)
			greatest = true;
		else if (c->span[k] > 0)
			sum += (c->s->f[b * m + k] - c->s->f[a * m + k]) / c->span[k];
	}
	return greatest ? (double)m + 1 : sum;
}

static void link_rows(struct crowd *c, size_t n, size_t k, struct order_key *key,
		      struct order_key *tmp)
{
	size_t m = c->s->m;

	for (uint32_t i = 0; i < n; i++)
		key[i] = (struct order_key){ c->s->f[i * m + k], i };
	order_sort(key, tmp, n);
	c->span[k] = key[n - 1].v - key[0].v;
	for (size_t i = 0; i < n; i++) {
		c->before[k * n + key[i].at] = i > 0 ? key[i - 1].at : END;
		c->after[k * n + key[i].at] = i + 1 < n ? key[i + 1].at : END;
	}
}

static void unlink_row(struct crowd *c, size_t n, size_t row)
{
	size_t m = c->s->m;

	for (size_t k = 0; k < m; k++) {
		uint32_t a = c->before[k * n + row], b = c->after[k * n + row];

		if (a != END)
			c->after[k * n + a] = b;
		if (b != END)
			c->before[k * n + b] = a;
	}
}

static bool before(struct order_key a, struct order_key b)
{
	return a.v < b.v || (a.v == b.v && a.at < b.at);
}

/* The first of a heap has become greater. */
static void sift_down(struct order_key *heap, size_t n)
{
	struct order_key top = heap[0];
	size_t at = 0, child;

	for (; (child = 2 * at + 1) < n; at = child) {
		child += child + 1 < n && before(heap[child + 1], heap[child]);
		if (!before(heap[child], top))
			break;
		heap[at] = heap[child];
	}
	heap[at] = top;
}

/* Send away the most crowded one by one, each time by what its neighbours have become, of
 * equals the first row. A row's distance only grows as others leave, so a heap of what it
 * was is put right where it matters, at its top. An end leaves only where all are ends, and
 * then no second one. */
static void thin_out(struct search_archive *s)
{
	struct arena_mark mark = arena_mark(s->arena);
	size_t n = s->n, m = s->m, drop = 1 + s->most / CROWD_PART, in_heap = n;
	struct crowd c = { .s = s,
			   .before = ARENA_NEW(s->arena, uint32_t, m * n),
			   .after = ARENA_NEW(s->arena, uint32_t, m * n) };
	struct order_key *key = ARENA_NEW(s->arena, struct order_key, n);
	struct order_key *tmp = ARENA_NEW(s->arena, struct order_key, n);

	for (size_t k = 0; k < m; k++)
		link_rows(&c, n, k, key, tmp);
	for (uint32_t i = 0; i < n; i++)
		key[i] = (struct order_key){ distance(&c, n, i), i };
	order_sort(key, tmp, n); /* ascending, a heap */
	while (n - s->n < drop) {
		double now = distance(&c, n, key[0].at);

		if (now > key[0].v) {
			key[0].v = now;
		} else if (now > (double)m && s->n < n) {
			break;
		} else {
			leave(s, key[0].at);
			unlink_row(&c, n, key[0].at);
			key[0] = key[--in_heap];
		}
		sift_down(key, in_heap);
	}
	arena_rewind(s->arena, mark);
}

bool search_archive_add(struct search_archive *s, const double *f, uint32_t *slot)
{
	/* The newest first: they are what the next ones descend from and fail against. */
	if (!pass_rows(s, f, s->tree, s->end) || (s->tree > 0 && !pass_node(s, f, 0, 0, s->tree)))
		return false;
	if (s->n == s->most) {
		settle(s); /* no gaps: row numbers are members */
		thin_out(s);
	}
	if (s->end == s->cap || s->end - s->tree > NEW_LEAST + s->n / NEW_PART) {
		if (2 * s->n >= s->cap)
			grow(s);
		settle(s);
	}
	*slot = s->n_spare > 0 ? s->spare[--s->n_spare] : s->n_slots++;
	memcpy(s->f + s->end * s->m, f, s->m * sizeof *f);
	s->slot[s->end++] = *slot;
	s->n++;
	return true;
}
