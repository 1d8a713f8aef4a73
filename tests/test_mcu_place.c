#include <criterion/criterion.h>

#include "leak.h"
#include "mcu_place.h"
#include "rng.h"

TestSuite(mcu_place, .fini = no_leaks);

#define BUFFERS_MAX 40

static uint64_t padded(const struct cost_buffer *b, uint32_t align)
{
	return (b->size + align - 1) / align * align;
}

static uint32_t root(const struct cost_buffer *b, uint32_t i)
{
	while (b[i].host != i)
		i = b[i].host;
	return i;
}

static uint64_t within_root(const struct cost_buffer *b, uint32_t i)
{
	uint64_t at = 0;

	for (; b[i].host != i; i = b[i].host)
		at += b[i].at;
	return at;
}

/* Steps in common, bytes in common. */
static bool collide(const struct cost_buffer *p, uint64_t p_at, const struct cost_buffer *q,
		    uint64_t q_at, uint32_t align)
{
	return p->size && q->size && p->from <= q->to && q->from <= p->to &&
	       p_at < q_at + padded(q, align) && q_at < p_at + padded(p, align);
}

/* The rule, byte by byte: hosts by the bytes to the end of all that lies inside, each at the first
 * offset where nothing in it meets what was placed before. */
static void place_again(const struct cost_buffer *b, uint32_t n, uint32_t align,
			enum mcu_place_order order, uint64_t *offset)
{
	uint64_t extent[BUFFERS_MAX] = { 0 }, first[BUFFERS_MAX], rank[BUFFERS_MAX];
	bool placed[BUFFERS_MAX] = { false };

	memset(first, 0xff, sizeof first);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t end = within_root(b, i) + b[i].size;

		if (end > extent[root(b, i)])
			extent[root(b, i)] = end;
		if (b[i].from < first[root(b, i)])
			first[root(b, i)] = b[i].from;
	}
	for (uint32_t i = 0; i < n; i++) {
		rank[i] = extent[i];
		for (uint32_t k = 0; k < n && order == MCU_LONGER; k++)
			if (root(b, k) == i && ((b[k].to - first[i]) << 32) + extent[i] > rank[i])
				rank[i] = ((b[k].to - first[i]) << 32) + extent[i];
	}
	for (;;) {
		uint32_t next = n;
		bool free = false;

		for (uint32_t i = 0; i < n; i++)
			if (b[i].host == i && !placed[i] &&
			    (next == n || rank[i] > rank[next] ||
			     (order == MCU_LARGER_LATER && rank[i] == rank[next])))
				next = i;
		if (next == n)
			return;
		for (uint64_t x = 0; !free; x++) {
			free = true;
			for (uint32_t i = 0; i < n; i++) {
				if (root(b, i) != next)
					continue;
				offset[i] = x + within_root(b, i);
				for (uint32_t k = 0; k < n; k++)
					if (placed[root(b, k)] &&
					    collide(&b[i], offset[i], &b[k], offset[k], align))
						free = false;
			}
		}
		placed[next] = true;
	}
}

/* Some alike in size, some empty, some that lie in others. */
static uint32_t random_buffers(struct cost_buffer *b, struct rng *r)
{
	uint32_t n = (uint32_t)rng_between(r, 1, BUFFERS_MAX), span = rng_below(r, 2) ? 4 : 20;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t from = (uint32_t)rng_below(r, 40), host = (uint32_t)rng_below(r, n);

		b[i] = (struct cost_buffer){ .op = i,
					     .from = from,
					     .to = from + (uint32_t)rng_below(r, span),
					     .size = rng_below(r, 12) ? rng_below(r, 30) + 1 : 0,
					     .host = i };
		if (host < i && rng_below(r, 4) == 0) {
			b[i].host = host;
			b[i].at = rng_below(r, 10);
		}
	}
	return n;
}

Test(mcu_place, equals_the_rule)
{
	struct rng r;
	int hosted = 0;

	rng_seed(&r, 31, 32);
	for (int k = 0; k < 3000; k++) {
		struct arena a = { 0 };
		struct cost_buffer b[BUFFERS_MAX];
		uint64_t offset[BUFFERS_MAX], top = 0, bytes;
		uint32_t n = random_buffers(b, &r), align = rng_below(&r, 2) ? 1 : 16;
		enum mcu_place_order order = (enum mcu_place_order)rng_below(&r, 3);

		place_again(b, n, align, order, offset);
		bytes = mcu_place(b, n, align, order, &a);
		for (uint32_t i = 0; i < n; i++) {
			cr_assert_eq(b[i].offset, offset[i], "case %d, buffer %u: %llu, not %llu",
				     k, i, (unsigned long long)b[i].offset,
				     (unsigned long long)offset[i]);
			if (offset[i] + padded(&b[i], align) > top)
				top = offset[i] + padded(&b[i], align);
			hosted += b[i].host != i;
		}
		cr_assert_eq(bytes, top);
		arena_free(&a);
	}
	cr_assert_gt(hosted, 1000, "%d", hosted);
}

/* Operators in a row, of which one is read to the end; to compare all pairs takes seconds. */
Test(mcu_place, a_long_chain, .timeout = 3)
{
	const uint32_t n = 60000;
	struct arena a = { 0 };
	struct cost_buffer *b = ARENA_NEW(&a, struct cost_buffer, n);

	for (uint32_t i = 0; i < n; i++)
		b[i] = (struct cost_buffer){
			.op = i, .from = i, .to = i + 1, .size = 100 + i % 7, .host = i
		};
	b[0].to = n;
	/* By hand: 106 at 0, 105 behind it; 0 behind both; the other hundreds, between 106 at 0 and
	 * 101 at 102, behind that. */
	cr_assert_eq(mcu_place(b, n, 1, MCU_LARGER_EARLIER, &a), 106 + 105 + 100 + 100);
	cr_assert_eq(b[0].offset, 106 + 105);
	arena_free(&a);
}
