#ifndef NASC_MCU_PLACE_H
#define NASC_MCU_PLACE_H
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "costmodels.h"

/*
 * mcu_place() - an address for each buffer, largest first
 * @b:    offset is filled; a buffer whose host is not itself lies b[host].offset + at
 * @n:    how many
 * @align: sizes are rounded up to multiples of it, so offsets are ones [bytes]
 * @later_first: of equal sizes the later in the list is placed first, else the earlier
 *
 * A host goes, with all that lie inside, to the lowest offset where it meets none that is placed
 * and in use at the same time. Returns the bytes from 0 to the end of the highest. Time grows
 * with @n and, as the logarithm of @n, with the pairs in use at the same time.
 * Source: tensorflow/tflite-micro, greedy_memory_planner (the rule).
 */
uint64_t mcu_place(struct cost_buffer *b, uint32_t n, uint32_t align, bool later_first,
		   struct arena *scratch);

/* The same where any order of equal sizes will do: the other one is tried where the first takes
 * more than @enough bytes. *@b may become another list, in @a. */
uint64_t mcu_place_tight(struct cost_buffer **b, uint32_t n, uint64_t enough, struct arena *a);
#endif
