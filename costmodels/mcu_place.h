#ifndef NASC_MCU_PLACE_H
#define NASC_MCU_PLACE_H
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "costmodels.h"

/* Which buffer is placed before which. */
enum mcu_place_order {
	MCU_LARGER_EARLIER, /* the larger; of equal ones the earlier in the list */
	MCU_LARGER_LATER,   /* of equal ones the later */
	MCU_LONGER	    /* the one in use for more steps; of such the larger, the earlier */
};

/*
 * mcu_place() - an address for each buffer, one after the other
 * @b:    offset is filled; a buffer whose host is not itself lies b[host].offset + at
 * @n:    how many
 * @align: sizes are rounded up to multiples of it, so offsets are ones [bytes]
 *
 * A host goes, with all that lie inside, to the lowest offset where it meets none that is placed
 * and in use at the same time. Returns the bytes from 0 to the end of the highest. Time grows
 * with @n and, as the logarithm of @n, with the pairs in use at the same time.
 * Source: tensorflow/tflite-micro, greedy_memory_planner (the rule).
 */
uint64_t mcu_place(struct cost_buffer *b, uint32_t n, uint32_t align, enum mcu_place_order order,
		   struct arena *scratch);

/* The same where any order will do: the others are tried where the first takes more than @enough
 * bytes. *@b may become another list, in @a. */
uint64_t mcu_place_tight(struct cost_buffer **b, uint32_t n, uint64_t enough, struct arena *a);
#endif
