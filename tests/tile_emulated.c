#include "tile_emulated.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

_Thread_local struct tile_counts tile_counts;
static _Thread_local unsigned char tile[8][16][64];
static _Thread_local bool open;

static void must_be_open(void)
{
	if (!open)
		abort();
}

void tile_open(void)
{
	open = true;
	memset(tile, 0, sizeof tile);
}

void tile_close(void)
{
	open = false;
}

void tile_zero(int t)
{
	must_be_open();
	memset(tile[t], 0, sizeof tile[t]);
}

void tile_load(int t, const void *at, size_t pitch)
{
	must_be_open();
	for (size_t r = 0; r < 16; r++)
		memcpy(tile[t][r], (const char *)at + r * pitch, 64);
	if ((uintptr_t)at % 64 || pitch % 64)
		tile_counts.split_loads++;
	else
		tile_counts.aligned_loads++;
}

void tile_store(int t, void *at, size_t pitch)
{
	must_be_open();
	for (size_t r = 0; r < 16; r++)
		memcpy((char *)at + r * pitch, tile[t][r], 64);
	tile_counts.stores++;
}

/* Denormals are zeros of their sign. */
static inline float flush(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof u);
	u &= (u & 0x7f800000u) ? 0xffffffffu : 0x80000000u;
	memcpy(&x, &u, sizeof x);
	return x;
}

static inline float widen(const unsigned char *p)
{
	uint16_t h;
	uint32_t u;
	float x;

	memcpy(&h, p, sizeof h);
	u = (uint32_t)h << 16;
	memcpy(&x, &u, sizeof x);
	return flush(x);
}

static inline __attribute__((always_inline)) void multiply(float (*c)[16], unsigned char (*a)[64],
							   unsigned char (*b)[64])
{
	float w[16][32];

	for (int k = 0; k < 16; k++)
		for (size_t n = 0; n < 32; n++)
			w[k][n] = widen(b[k] + 2 * n);
	for (int m = 0; m < 16; m++) {
		float t[32] = { 0 };

		for (size_t k = 0; k < 16; k++) {
			float even = widen(a[m] + 4 * k), odd = widen(a[m] + 4 * k + 2);

			for (int n = 0; n < 32; n++)
				t[n] = flush(fmaf(n % 2 ? odd : even, w[k][n], t[n]));
		}
		for (size_t n = 0; n < 16; n++)
			c[m][n] = flush(flush(c[m][n]) + flush(t[2 * n] + t[2 * n + 1]));
	}
}

__attribute__((target("avx2,fma"))) static void
multiply_fast(float (*c)[16], unsigned char (*a)[64], unsigned char (*b)[64])
{
	multiply(c, a, b);
}

void tile_multiply(int sum, int a, int b)
{
	float c[16][16];

	must_be_open();
	memcpy(c, tile[sum], sizeof c);
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		multiply_fast(c, tile[a], tile[b]);
	else
		multiply(c, tile[a], tile[b]);
	memcpy(tile[sum], c, sizeof c);
	tile_counts.multiplies++;
}
