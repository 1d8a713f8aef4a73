#ifndef TESTS_TILE_EMULATED_H
#define TESTS_TILE_EMULATED_H
#include <stddef.h>
#include <stdint.h>

/* The AMX instructions of evaluators/tile.h in software, bit for bit, so that the kernels that use
 * them are tested on any machine. A thread that uses a tile without having opened them is aborted,
 * as the CPU would. Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2,
 * TDPBF16PS: even and odd products are summed apart by FMA, denormals are zero going in and out,
 * rounding is to nearest even; then both are added, and the sum to the tile. */
struct tile_counts {
	uint64_t multiplies, aligned_loads, split_loads, stores;
};
extern _Thread_local struct tile_counts tile_counts;

void tile_open(void);
void tile_close(void);
#define tile_fence()
void tile_zero(int t);
void tile_load(int t, const void *at, size_t pitch);
void tile_store(int t, void *at, size_t pitch);
void tile_multiply(int sum, int a, int b);
#endif
