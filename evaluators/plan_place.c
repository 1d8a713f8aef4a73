#include <stdlib.h>
#include <string.h>

#include "engine.h"

/* First fit in time order: when a buffer's first phase comes, those that ended
 * before have given their place back. Free stretches are kept sorted by address
 * and merged, so a chain of layers keeps the list short. */
struct stretch {
	size_t at, bytes;
};
struct space {
	struct stretch *free;
	size_t n, end; /* end: bytes in use at most so far */
};

static size_t stretch_take(struct space *s, size_t bytes)
{
	size_t at;

	for (size_t i = 0; i < s->n; i++) {
		struct stretch *f = &s->free[i];

		if (f->bytes < bytes)
			continue;
		at = f->at;
		f->at += bytes;
		f->bytes -= bytes;
		if (f->bytes == 0)
			memmove(f, f + 1, (--s->n - i) * sizeof *f);
		return at;
	}
	if (s->n && s->free[s->n - 1].at + s->free[s->n - 1].bytes == s->end)
		at = s->free[--s->n].at;
	else
		at = s->end;
	s->end = at + bytes;
	return at;
}

static void stretch_give(struct space *s, size_t at, size_t bytes)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->free[mid].at < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo > 0 && s->free[lo - 1].at + s->free[lo - 1].bytes == at) {
		s->free[--lo].bytes += bytes;
	} else {
		memmove(&s->free[lo + 1], &s->free[lo], (s->n++ - lo) * sizeof *s->free);
		s->free[lo] = (struct stretch){ at, bytes };
	}
	if (lo + 1 < s->n && s->free[lo].at + s->free[lo].bytes == s->free[lo + 1].at) {
		s->free[lo].bytes += s->free[lo + 1].bytes;
		memmove(&s->free[lo + 1], &s->free[lo + 2], (--s->n - lo - 1) * sizeof *s->free);
	}
}

/* Buffers in lists by phase: head[phase], next[buffer]. */
static uint32_t *lists_by(const struct plan *p, struct arena *a, bool last, uint32_t *next)
{
	uint32_t *head = ARENA_NEW(a, uint32_t, p->n_phases);

	memset(head, 0xff, p->n_phases * sizeof *head);
	for (size_t i = p->n_buffers; i-- > 0;) {
		const struct plan_buffer *b = &p->buffer[i];
		uint32_t phase = last ? b->last : b->first;

		if (b->first == PLAN_NONE)
			continue;
		next[i] = head[phase];
		head[phase] = (uint32_t)i;
	}
	return head;
}

void plan_place(struct plan *p)
{
	struct arena tmp = { 0 };
	struct space s = { ARENA_NEW(&tmp, struct stretch, p->n_buffers + 1), 0, 0 };
	uint32_t *next_first = ARENA_NEW(&tmp, uint32_t, p->n_buffers);
	uint32_t *next_last = ARENA_NEW(&tmp, uint32_t, p->n_buffers);
	uint32_t *first = lists_by(p, &tmp, false, next_first);
	uint32_t *last = lists_by(p, &tmp, true, next_last);

	for (size_t t = 0; t < p->n_phases; t++) {
		for (uint32_t i = first[t]; i != PLAN_NONE; i = next_first[i])
			p->buffer[i].at = stretch_take(&s, p->buffer[i].bytes);
		for (uint32_t i = last[t]; i != PLAN_NONE; i = next_last[i])
			stretch_give(&s, p->buffer[i].at, p->buffer[i].bytes);
	}
	p->bytes = s.end + KERNEL_SLACK;
	arena_free(&tmp);
}
