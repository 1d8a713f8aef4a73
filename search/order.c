#include "order.h"

#include <stdbool.h>
#include <string.h>

#define RUN	   12	/* keys sorted by insertion before merging */
#define RADIX_MIN  2000 /* keys from which on counting digits is quicker than merging */
#define DIGIT_BITS 11
#define DIGIT_MAX  ((1u << DIGIT_BITS) - 1)
#define DIGITS	   6 /* of DIGIT_BITS, 64 in all */

static void insertion_sort(struct order_key *key, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct order_key k = key[i];
		size_t j = i;

		for (; j > 0 && key[j - 1].v > k.v; j--)
			key[j] = key[j - 1];
		key[j] = k;
	}
}

static void merge(const struct order_key *a, size_t na, const struct order_key *b, size_t nb,
		  struct order_key *out)
{
	const struct order_key *a_end = a + na, *b_end = b + nb;

	while (a < a_end && b < b_end) {
		bool right = b->v < a->v;

		*out++ = *(right ? b : a);
		b += right;
		a += !right;
	}
	memcpy(out, a, (size_t)(a_end - a) * sizeof *out);
	out += a_end - a;
	memcpy(out, b, (size_t)(b_end - b) * sizeof *out);
}

static void merge_sort(struct order_key *key, struct order_key *tmp, size_t n)
{
	struct order_key *from = key, *to = tmp;

	for (size_t i = 0; i < n; i += RUN)
		insertion_sort(key + i, n - i < RUN ? n - i : RUN);
	for (size_t width = RUN; width < n; width *= 2) {
		struct order_key *swap = from;

		for (size_t i = 0; i < n; i += 2 * width) {
			size_t na = n - i < width ? n - i : width;
			size_t nb = n - i - na < width ? n - i - na : width;

			merge(from + i, na, from + i + na, nb, to + i);
		}
		from = to;
		to = swap;
	}
	if (from != key)
		memcpy(key, from, n * sizeof *key);
}

/* Integer that orders as the double does; both zeros give the same. */
static uint64_t ordered_bits(double v)
{
	uint64_t bits;

	v += 0.0;
	memcpy(&bits, &v, sizeof bits);
	return bits ^ (bits >> 63 ? UINT64_MAX : UINT64_C(1) << 63);
}

/* Digit by digit from the lowest; a digit that all share is passed over. */
static void radix_sort(struct order_key *key, struct order_key *tmp, size_t n)
{
	uint32_t count[DIGITS][1 << DIGIT_BITS] = { { 0 } };
	struct order_key *from = key, *to = tmp;

	for (size_t i = 0; i < n; i++) {
		uint64_t bits = ordered_bits(key[i].v);

		for (size_t d = 0; d < DIGITS; d++)
			count[d][bits >> d * DIGIT_BITS & DIGIT_MAX]++;
	}
	for (size_t d = 0; d < DIGITS; d++) {
		size_t shift = d * DIGIT_BITS;
		struct order_key *swap = from;
		uint32_t start = 0;

		if (count[d][ordered_bits(key[0].v) >> shift & DIGIT_MAX] == n)
			continue;
		for (size_t v = 0; v <= DIGIT_MAX; v++) {
			uint32_t here = count[d][v];

			count[d][v] = start;
			start += here;
		}
		for (size_t i = 0; i < n; i++)
			to[count[d][ordered_bits(from[i].v) >> shift & DIGIT_MAX]++] = from[i];
		from = to;
		to = swap;
	}
	if (from != key)
		memcpy(key, from, n * sizeof *key);
}

/* Keys that ascend already, or descend without ties and are turned round: the columns
 * of a front in lexicographic order do where there are two objectives. */
static bool one_run(struct order_key *key, size_t n)
{
	size_t run = 1;

	while (run < n && key[run - 1].v <= key[run].v)
		run++;
	if (run >= n)
		return true;
	for (run = 1; run < n && key[run - 1].v > key[run].v; run++)
		;
	if (run < n)
		return false;
	for (size_t i = 0, j = n - 1; i < j; i++, j--) {
		struct order_key k = key[i];

		key[i] = key[j];
		key[j] = k;
	}
	return true;
}

void order_sort(struct order_key *key, struct order_key *tmp, size_t n)
{
	if (one_run(key, n))
		return;
	if (n < RADIX_MIN)
		merge_sort(key, tmp, n);
	else
		radix_sort(key, tmp, n);
}

/* Sort key[0..n) by column k of the rows they stand for, ties by the columns
 * behind it. */
static void sort_column(const double *f, size_t m, size_t k, struct order_key *key,
			struct order_key *tmp, size_t n)
{
	for (size_t i = 0; i < n; i++)
		key[i].v = f[key[i].at * m + k];
	order_sort(key, tmp, n);
	if (k + 1 == m)
		return;
	for (size_t i = 0, j; i < n; i = j) {
		for (j = i + 1; j < n && key[j].v == key[i].v; j++)
			;
		if (j - i > 1)
			sort_column(f, m, k + 1, key + i, tmp, j - i);
	}
}

void order_rows(const double *f, size_t n, size_t m, uint32_t *order, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	struct order_key *key = ARENA_NEW(scratch, struct order_key, n);
	struct order_key *tmp = ARENA_NEW(scratch, struct order_key, n);

	for (size_t i = 0; i < n; i++)
		key[i].at = (uint32_t)i;
	sort_column(f, m, 0, key, tmp, n);
	for (size_t i = 0; i < n; i++)
		order[i] = key[i].at;
	arena_rewind(scratch, mark);
}
