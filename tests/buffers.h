#ifndef TESTS_BUFFERS_H
#define TESTS_BUFFERS_H
/* Where the buffers of a memory plan may lie. */
#include <criterion/criterion.h>

#include "mcu_memory.h"

static inline bool at_once(const struct cost_buffer *p, const struct cost_buffer *q)
{
	return p->from <= q->to && q->from <= p->to;
}

static inline bool meet(const struct cost_buffer *p, const struct cost_buffer *q)
{
	return p->offset < q->offset + q->size && q->offset < p->offset + p->size;
}

static inline bool inside(const struct mcu_memory *m, uint32_t i, uint32_t host)
{
	while (m->buffer[i].host != i && i != host)
		i = m->buffer[i].host;
	return i == host;
}

/* No two buffers share a byte while both are in use, but for the step at which one takes over
 * the other's place; and no step holds more than the peak. */
static inline void check_addresses(const struct mcu_memory *m, uint64_t arena)
{
	for (uint32_t i = 0; i < m->n_buffers; i++) {
		const struct cost_buffer *p = &m->buffer[i];

		cr_assert_leq(p->offset + p->size, arena);
		for (uint32_t k = 0; k < i; k++) {
			const struct cost_buffer *q = &m->buffer[k];
			bool related = inside(m, i, k) || inside(m, k, i);

			if (!p->size || !q->size || !at_once(p, q) || !meet(p, q))
				continue;
			cr_assert(related && (p->from == q->to || q->from == p->to),
				  "buffers %u and %u of %u", i, k, m->n_buffers);
		}
	}
}
#endif
