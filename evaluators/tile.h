#ifndef NASC_TILE_H
#define NASC_TILE_H
/* The AMX instructions, all eight tiles of 16 rows of 64 bytes. Their configuration belongs to the
 * thread and to whoever holds it: tile_open() takes it, tile_close() gives it up, within one call
 * of a kernel, as oneDNN does around each of its own. */
#ifdef TILE_STAND_IN /* a header that has them in software */
#include TILE_STAND_IN
#else
#include <immintrin.h>
#include <stdint.h>

struct tile_config {
	uint8_t palette, start_row, reserved[14];
	uint16_t bytes[16];
	uint8_t rows[16];
} __attribute__((aligned(64)));

/* Constant, as GCC's intrinsic does not tell the compiler that it reads all of it. */
#define TILE_EACH(x)                                                                               \
	{                                                                                          \
		x, x, x, x, x, x, x, x                                                             \
	}
static const struct tile_config tile_config = { .palette = 1,
						.bytes = TILE_EACH(64),
						.rows = TILE_EACH(16) };

static inline void tile_open(void)
{
	_tile_loadconfig(&tile_config);
}
/* Before tiles are loaded from memory that was written: GCC's intrinsic does not say that it
 * reads. */
#define tile_fence()		 __asm__ volatile("" ::: "memory")
#define tile_close()		 _tile_release()
#define tile_zero(t)		 _tile_zero(t)
#define tile_load(t, at, pitch)	 _tile_loadd(t, at, pitch)
#define tile_store(t, at, pitch) _tile_stored(t, at, pitch)
#define tile_multiply(sum, a, b) _tile_dpbf16ps(sum, a, b)
#endif
#endif
