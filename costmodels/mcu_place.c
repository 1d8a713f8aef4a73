#include "mcu_place.h"

#include <stdlib.h>
#include <string.h>

/* A buffer that lies in no other, and those inside it: list[first] .. list[first + n]. */
struct group {
	uint64_t size; /* to the end of its last part */
	uint32_t index, first, n;
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

/* Groups of the buffers, their members in @list with @at from the group's beginning. */
static uint32_t find_groups(const struct cost_buffer *b, uint32_t n, struct group *group,
			    uint32_t *list, uint64_t *at, struct arena *scratch)
{
	uint32_t *of = ARENA_NEW(scratch, uint32_t, n), *fill = ARENA_NEW(scratch, uint32_t, n);
	uint32_t n_groups = 0, first = 0;

	for (uint32_t i = 0; i < n; i++)
		if (b[i].host == i) {
			group[n_groups] = (struct group){ .index = i };
			of[i] = n_groups++;
		}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t host = i;

		for (at[i] = 0; b[host].host != host; host = b[host].host)
			at[i] += b[host].at;
		of[i] = of[host];
		group[of[i]].n++;
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

static uint64_t round_up(uint64_t size, uint32_t align)
{
	return (size + align - 1) / align * align;
}

static bool at_once(const struct cost_buffer *p, const struct cost_buffer *q)
{
	return p->size && q->size && p->from <= q->to && q->from <= p->to;
}

/* Where @placed buffers, by ascending offset, leave room for all of the group's. */
static uint64_t lowest(const struct cost_buffer *b, const uint32_t *placed, uint32_t n_placed,
		       const struct group *g, const uint32_t *list, const uint64_t *at,
		       uint32_t align)
{
	uint64_t x = 0;
	bool moved;

	do {
		moved = false;
		for (uint32_t k = 0; k < n_placed; k++) {
			const struct cost_buffer *p = &b[placed[k]];
			uint64_t end = p->offset + round_up(p->size, align);

			for (uint32_t m = 0; m < g->n; m++) {
				uint32_t i = list[g->first + m];

				if (at_once(p, &b[i]) && x + at[i] < end &&
				    p->offset < x + at[i] + round_up(b[i].size, align)) {
					x = end - at[i];
					moved = true;
				}
			}
		}
	} while (moved && g->n > 1);
	return x;
}

uint64_t mcu_place(struct cost_buffer *b, uint32_t n, uint32_t align, bool later_first,
		   struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	struct group *group = ARENA_NEW(scratch, struct group, n);
	uint32_t *list = ARENA_NEW(scratch, uint32_t, n), *placed = ARENA_NEW(scratch, uint32_t, n);
	uint64_t *at = ARENA_NEW(scratch, uint64_t, n), top = 0;
	uint32_t n_groups = find_groups(b, n, group, list, at, scratch), n_placed = 0;

	qsort(group, n_groups, sizeof *group,
	      later_first ? larger_then_later : larger_then_earlier);
	for (uint32_t g = 0; g < n_groups; g++) {
		uint64_t x = lowest(b, placed, n_placed, &group[g], list, at, align);

		for (uint32_t m = 0; m < group[g].n; m++) {
			uint32_t i = list[group[g].first + m], k = n_placed++;

			b[i].offset = x + at[i];
			for (; k > 0 && b[placed[k - 1]].offset > b[i].offset; k--)
				placed[k] = placed[k - 1];
			placed[k] = i;
			if (b[i].offset + round_up(b[i].size, align) > top)
				top = b[i].offset + round_up(b[i].size, align);
		}
	}
	arena_rewind(scratch, mark);
	return top;
}

uint64_t mcu_place_tight(struct cost_buffer **b, uint32_t n, uint64_t enough, struct arena *a)
{
	uint64_t bytes = mcu_place(*b, n, 1, false, a), otherwise;
	struct cost_buffer *other;

	if (bytes <= enough)
		return bytes;
	other = ARENA_NEW(a, struct cost_buffer, n);
	memcpy(other, *b, n * sizeof *other);
	otherwise = mcu_place(other, n, 1, true, a);
	if (otherwise >= bytes)
		return bytes;
	*b = other;
	return otherwise;
}
