#ifndef NASC_DIRECT_TILE_H
#define NASC_DIRECT_TILE_H
#include "direct.h"
#include "rows.h"
#include "tile.h"

/* Products in AMX tiles. A tile of pixels is 16 pixels of 32 channels straight from the scratch,
 * every row of it in one cache line: a load across lines takes three times as long. */

INLINE void tiles_multiply(const uint16_t *a, size_t pitch, const ptrdiff_t *at, size_t steps,
			   const char *w, int tiles)
{
	size_t down = pitch * 2;

	for (size_t i = 0; i < steps; i++, w += 1024) {
		const uint16_t *from = a + at[i];

		tile_load(4, w, 64);
		tile_load(5, from, down);
		tile_multiply(0, 5, 4);
		if (tiles > 1) {
			tile_load(6, from + 16 * pitch, down);
			tile_multiply(1, 6, 4);
		}
		if (tiles > 2) {
			tile_load(7, from + 32 * pitch, down);
			tile_multiply(2, 7, 4);
		}
		if (tiles > 3) {
			tile_load(5, from + 48 * pitch, down);
			tile_multiply(3, 5, 4);
		}
	}
}

static void block_product(const uint16_t *a, size_t pitch, const ptrdiff_t *at, size_t steps,
			  const void *packed, size_t pixels, float *sum)
{
	tile_fence();
	tile_zero(0);
	tile_zero(1);
	tile_zero(2);
	tile_zero(3);
	if (pixels > 48)
		tiles_multiply(a, pitch, at, steps, packed, 4);
	else if (pixels > 32)
		tiles_multiply(a, pitch, at, steps, packed, 3);
	else if (pixels > 16)
		tiles_multiply(a, pitch, at, steps, packed, 2);
	else
		tiles_multiply(a, pitch, at, steps, packed, 1);
	tile_store(0, sum, 64);
	if (pixels > 16)
		tile_store(1, sum + 256, 64);
	if (pixels > 32)
		tile_store(2, sum + 512, 64);
	if (pixels > 48)
		tile_store(3, sum + 768, 64);
}

/* ---- the gradient, transposed: rows of one channel --------------------------- */

#ifdef __AVX512F__
/* 16 rows of 16 32-bit words, transposed. */
INLINE void words_transpose(__m512i *r)
{
	__m512i t[16];

	for (int i = 0; i < 16; i += 2) {
		t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
		t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
	}
	for (int i = 0; i < 16; i += 4)
		for (int k = 0; k < 2; k++) {
			r[i + 2 * k] = _mm512_unpacklo_epi64(t[i + k], t[i + k + 2]);
			r[i + 2 * k + 1] = _mm512_unpackhi_epi64(t[i + k], t[i + k + 2]);
		}
	for (int i = 0; i < 16; i += 8)
		for (int k = 0; k < 4; k++) {
			t[i + k] = _mm512_shuffle_i32x4(r[i + k], r[i + k + 4], 0x88);
			t[i + k + 4] = _mm512_shuffle_i32x4(r[i + k], r[i + k + 4], 0xdd);
		}
	for (int k = 0; k < 8; k++) {
		r[k] = _mm512_shuffle_i32x4(t[k], t[k + 8], 0x88);
		r[k + 8] = _mm512_shuffle_i32x4(t[k], t[k + 8], 0xdd);
	}
}

/* 32 pixels of 16 channels to 16 rows of 32 pixels. */
INLINE void turn_block(const uint16_t *from, size_t pitch, uint16_t *to, size_t to_pitch)
{
	__m512i r[16];

	for (size_t i = 0; i < 16; i++) {
		const uint16_t *p = from + 2 * i * pitch;
		__m512i even = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p));
		__m512i odd = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(p + pitch)));

		r[i] = _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
	}
	words_transpose(r);
	for (size_t i = 0; i < 16; i++)
		_mm512_store_si512((void *)(to + i * to_pitch), r[i]);
}
#else
INLINE void turn_block(const uint16_t *from, size_t pitch, uint16_t *to, size_t to_pitch)
{
	for (size_t c = 0; c < 16; c++)
		for (size_t p = 0; p < 32; p++)
			to[c * to_pitch + p] = from[p * pitch + c];
}
#endif

/* Copy x of the transposed gradient is moved by x pixels, so that every tile of it begins on a
 * cache line: [x][group of 16][16 rows][32 zeros, pixels]. */
static void gradient_turn(const struct direct *d, const uint16_t *gradient, size_t pixels,
			  uint16_t *turned)
{
	size_t copies = (d->shape.kw - 1) / d->shape.stride + 1, pitch = d->turned_pitch;
	size_t rows = (size_t)d->n_groups * DIRECT_GROUP;

	for (size_t g = 0; g < d->n_groups; g++)
		for (size_t p = 0; p < pixels; p += 32)
			turn_block(gradient + (d->reach + p) * d->np + g * DIRECT_GROUP, d->np,
				   turned + g * DIRECT_GROUP * pitch + 32 + p, pitch);
	for (size_t x = 1; x < copies; x++)
		for (size_t r = 0; r < rows; r++)
			memcpy(turned + (x * rows + r) * pitch + 32, turned + r * pitch + 32 - x,
			       (pitch - 32) * sizeof *turned);
}

/* ---- weight gradient: transposed gradient x pairs of pixels ------------------- */

#define AT_ONCE 6
struct chunk {
	const uint16_t *a[AT_ONCE], *b[AT_ONCE];
	float *sum[AT_ONCE];
	size_t n;
};

#define EACH(DO)                                                                                   \
	DO(0)                                                                                      \
	DO(1)                                                                                      \
	DO(2)                                                                                      \
	DO(3)                                                                                      \
	DO(4)                                                                                      \
	DO(5)
static void chunk_multiply(struct chunk *k, size_t pitch, size_t tiles)
{
	bool new_a[AT_ONCE] = { true }, new_b[AT_ONCE] = { true };

	for (size_t i = 1; i < k->n; i++) {
		new_a[i] = k->a[i] != k->a[i - 1];
		new_b[i] = k->b[i] != k->b[i - 1];
	}
#define LOAD(i)                                                                                    \
	if (k->n > (i))                                                                            \
		tile_load(i, k->sum[i], 64);
#define MULTIPLY(i)                                                                                \
	if (k->n > (i)) {                                                                          \
		if (new_a[i])                                                                      \
			tile_load(6, k->a[i] + 32 * t, pitch * 2);                                 \
		if (new_b[i])                                                                      \
			tile_load(7, k->b[i] + 512 * t, 64);                                       \
		tile_multiply(i, 6, 7);                                                            \
	}
#define STORE(i)                                                                                   \
	if (k->n > (i))                                                                            \
		tile_store(i, k->sum[i], 64);
	tile_fence();
	EACH(LOAD)
	for (size_t t = 0; t < tiles; t++) {
		EACH(MULTIPLY)
	}
	EACH(STORE)
#undef LOAD
#undef MULTIPLY
#undef STORE
	k->n = 0;
}
#undef EACH

static void weights_product(const struct direct *d, const struct direct_backward *b,
			    const uint16_t *input, const uint16_t *gradient, size_t images)
{
	const struct direct_shape *s = &d->shape;
	size_t st = s->stride, far_x = (s->kw - 1) / st, pixels = images * d->span;
	size_t tiles = (pixels + far_x + 31) / 32, pitch = d->turned_pitch;
	uint16_t *turned = (void *)((char *)b->scratch + d->turned_at);
	float *sum = b->sums;
	struct chunk k = { .n = 0 };

	gradient_turn(d, gradient, pixels, turned);
	for (size_t n = 0; n < d->n_groups; n++)
		for (size_t c = 0; c < d->c_groups; c++)
			for (size_t tap = 0; tap < (size_t)s->kh * s->kw; tap++) {
				size_t ky = tap / s->kw, kx = tap % s->kw;
				size_t plane = ky % st * st + kx % st;
				size_t row = (kx / st * d->n_groups + n) * DIRECT_GROUP;
				size_t pair = (plane * d->c_groups + c) * d->pairs +
					      ky / st * d->pitch / 2;

				k.a[k.n] = turned + row * pitch + 32;
				k.b[k.n] = input + pair * 32;
				k.sum[k.n++] = sum;
				sum += DIRECT_GROUP * DIRECT_GROUP;
				if (k.n == AT_ONCE)
					chunk_multiply(&k, pitch, tiles);
			}
	if (k.n)
		chunk_multiply(&k, pitch, tiles);
}

INLINE size_t sums_at(size_t c, size_t n)
{
	return n * DIRECT_GROUP + c;
}
#endif
