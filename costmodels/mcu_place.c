#include "mcu_place.h"

#include <stdlib.h>
#include <string.h>

/* A buffer that lies in no other, and those inside it: list[first] .. list[first + n]. */
struct group {
	uint64_t size; /* to the end of its last part */
	uint32_t index, first, n;
	uint32_t from, to; /* steps at which any of them is used */
};

static int larger_then_earlier(const void *a, const void *b)
{
	const struct group *p = a, *q = b;

	if (p->size != q->size)
		return p->size > q->size ? -1 : 1;
	return p->index < q->index ? -1 : p->index > q->index;
}

static int larger_then_later(const void *a, const void *b)
{
	const struct group *p = a, *q = b;

	if (p->size != q->size)
		return p->size > q->size ? -1 : 1;
	return p->index > q->index ? -1 : p->index < q->index;
}

static int longer_then_larger(const void *a, const void *b)
{
	const struct group *p = a, *q = b;
	uint32_t p_steps = p->to - p->from, q_steps = q->to - q->from;

	if (p_steps != q_steps)
		return p_steps > q_steps ? -1 : 1;
	return larger_then_earlier(a, b);
}

/* Groups of the buffers, their members in @list with @at from the group's beginning. */
static uint32_t find_groups(const struct cost_buffer *b, uint32_t n, struct group *group,
			    uint32_t *list, uint64_t *at, struct arena *scratch)
{
	uint32_t *of = ARENA_NEW(scratch, uint32_t, n), *fill = ARENA_NEW(scratch, uint32_t, n);
	uint32_t n_groups = 0, first = 0;

	for (uint32_t i = 0; i < n; i++)
		if (b[i].host == i) {
			group[n_groups] =
				(struct group){ .index = i, .from = b[i].from, .to = b[i].to };
			of[i] = n_groups++;
		}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t host = i;

		for (at[i] = 0; b[host].host != host; host = b[host].host)
			at[i] += b[host].at;
		of[i] = of[host];
		group[of[i]].n++;
		if (b[i].from < group[of[i]].from)
			group[of[i]].from = b[i].from;
		if (b[i].to > group[of[i]].to)
			group[of[i]].to = b[i].to;
		if (at[i] + b[i].size > group[of[i]].size)
			group[of[i]].size = at[i] + b[i].size;
	}
	for (uint32_t g = 0; g < n_groups; g++) {
		group[g].first = fill[g] = first;
		first += group[g].n;
	}
	for (uint32_t i = 0; i < n; i++)
		list[fill[of[i]]++] = i;
	return n_groups;
}

/* ---- what is placed, by time --------------------------------------------------------------- */

/* Buffers by the step from which they are in use, and over those that are placed a tree of their
 * last steps: the ones in use with another are found without looking at the rest. */
struct timeline {
	const struct cost_buffer *b;
	uint32_t *index, *rank; /* buffers by their first step; the place of each among them */
	uint32_t width;		/* of the tree's lowest row, a power of two */
	uint64_t *until;	/* node k, over 2k and 2k + 1: behind its last step; 0: none */
	struct span *met;	/* see meet() */
	uint32_t n_met, align;
};

/* Bytes that are taken. */
struct span {
	uint64_t begin, end;
};

struct start {
	uint32_t from, index;
};

static int by_start(const void *a, const void *b)
{
	const struct start *p = a, *q = b;

	if (p->from != q->from)
		return p->from < q->from ? -1 : 1;
	return p->index < q->index ? -1 : p->index > q->index;
}

static void timeline_init(struct timeline *t, const struct cost_buffer *b, uint32_t n,
			  uint32_t align, struct arena *scratch)
{
	struct start *start = ARENA_NEW(scratch, struct start, n);

	*t = (struct timeline){ .b = b,
				.index = ARENA_NEW(scratch, uint32_t, n),
				.rank = ARENA_NEW(scratch, uint32_t, n),
				.width = 1,
				.met = ARENA_NEW(scratch, struct span, n),
				.align = align };
	for (uint32_t i = 0; i < n; i++)
		start[i] = (struct start){ b[i].from, i };
	qsort(start, n, sizeof *start, by_start);
	for (uint32_t k = 0; k < n; k++) {
		t->index[k] = start[k].index;
		t->rank[start[k].index] = k;
	}
	while (t->width < n)
		t->width *= 2;
	t->until = ARENA_NEW(scratch, uint64_t, 2 * (size_t)t->width);
}

static uint64_t round_up(uint64_t size, uint32_t align)
{
	return (size + align - 1) / align * align;
}

static void timeline_add(struct timeline *t, uint32_t i)
{
	uint64_t until = (uint64_t)t->b[i].to + 1;

	for (uint32_t k = t->width + t->rank[i]; k > 0 && t->until[k] < until; k /= 2)
		t->until[k] = until;
}

/* Of those below node @k, the @width from rank @first on, what is in use with @b joins t->met. */
static void meet(struct timeline *t, uint32_t k, uint32_t first, uint32_t width,
		 const struct cost_buffer *b)
{
	const struct cost_buffer *p;

	if (t->until[k] <= b->from || t->b[t->index[first]].from > b->to)
		return;
	if (width > 1) {
		meet(t, 2 * k, first, width / 2, b);
		meet(t, 2 * k + 1, first + width / 2, width / 2, b);
		return;
	}
	p = &t->b[t->index[first]];
	t->met[t->n_met++] = (struct span){ p->offset, p->offset + round_up(p->size, t->align) };
}

static int by_begin(const void *a, const void *b)
{
	const struct span *p = a, *q = b;

	return p->begin < q->begin ? -1 : p->begin > q->begin;
}

/* The lowest offset, @x at least, where the placed ones leave room for @b as long as it is used. */
static uint64_t lowest(struct timeline *t, const struct cost_buffer *b, uint64_t x)
{
	uint64_t size = round_up(b->size, t->align);

	if (!size)
		return x;
	t->n_met = 0;
	meet(t, 1, 0, t->width, b);
	qsort(t->met, t->n_met, sizeof *t->met, by_begin);
	for (uint32_t k = 0; k < t->n_met && t->met[k].begin < x + size; k++)
		if (t->met[k].end > x)
			x = t->met[k].end;
	return x;
}

/* ---- placing --------------------------------------------------------------------------------- */

/* The same for all of a group's at once. */
static uint64_t lowest_of_all(struct timeline *t, const struct group *g, const uint32_t *list,
			      const uint64_t *at)
{
	uint64_t x = 0, before;

	do {
		before = x;
		for (uint32_t m = 0; m < g->n; m++) {
			uint32_t i = list[g->first + m];

			x = lowest(t, &t->b[i], x + at[i]) - at[i];
		}
	} while (x > before && g->n > 1);
	return x;
}

uint64_t mcu_place(struct cost_buffer *b, uint32_t n, uint32_t align, enum mcu_place_order order,
		   struct arena *scratch)
{
	static int (*const compare[])(const void *, const void *) = {
		[MCU_LARGER_EARLIER] = larger_then_earlier,
		[MCU_LARGER_LATER] = larger_then_later,
		[MCU_LONGER] = longer_then_larger,
	};
	struct arena_mark mark = arena_mark(scratch);
	struct group *group = ARENA_NEW(scratch, struct group, n);
	uint32_t *list = ARENA_NEW(scratch, uint32_t, n), n_groups;
	uint64_t *at = ARENA_NEW(scratch, uint64_t, n), top = 0;
	struct timeline t;

	n_groups = find_groups(b, n, group, list, at, scratch);
	timeline_init(&t, b, n, align, scratch);
	qsort(group, n_groups, sizeof *group, compare[order]);
	for (uint32_t g = 0; g < n_groups; g++) {
		uint64_t x = lowest_of_all(&t, &group[g], list, at);

		for (uint32_t m = 0; m < group[g].n; m++) {
			uint32_t i = list[group[g].first + m];

			b[i].offset = x + at[i];
			if (b[i].size)
				timeline_add(&t, i);
			if (b[i].offset + round_up(b[i].size, align) > top)
				top = b[i].offset + round_up(b[i].size, align);
		}
	}
	arena_rewind(scratch, mark);
	return top;
}

uint64_t mcu_place_tight(struct cost_buffer **b, uint32_t n, uint64_t enough, struct arena *a)
{
	uint64_t least = mcu_place(*b, n, 1, MCU_LARGER_EARLIER, a);
	struct cost_buffer *other = NULL;

	for (enum mcu_place_order order = MCU_LARGER_LATER; order <= MCU_LONGER && least > enough;
	     order++) {
		struct cost_buffer *best = *b;
		uint64_t bytes;

		if (!other)
			other = ARENA_NEW(a, struct cost_buffer, n);
		memcpy(other, best, n * sizeof *other);
		bytes = mcu_place(other, n, 1, order, a);
		if (bytes < least) {
			least = bytes;
			*b = other;
			other = best;
		}
	}
	return least;
}
