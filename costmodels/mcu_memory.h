#ifndef NASC_MCU_MEMORY_H
#define NASC_MCU_MEMORY_H
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "network.h"

/* What counts as live and what may share memory. */
struct mcu_memory_rules {
	uint32_t activation_bits;
	bool count_input;	/* the input image lies in SRAM; uNAS leaves it out */
	bool inplace_depthwise; /* depthwise overwrites a dying input, one channel at a time */
};

/* An execution order whose largest working set is the smallest possible. */
struct mcu_memory {
	uint64_t peak_bytes;
	bool exact;	 /* false: the search was cut short, another order may need less */
	uint32_t *order; /* n_ops operator indices, order[0] is the input */
	uint64_t *live;	 /* live[k]: bytes in use while order[k] runs */
};

/*
 * mcu_memory_plan() - the smallest peak of live activations over all execution orders
 * @net:   inferred, as deployed: see network_fold()
 * @a:     holds @out's lists
 *
 * The working set while an operator runs is every tensor written and still
 * needed, plus its output, less what the two may share:
 *  - add accumulates into an input that dies there;
 *  - concat lays its output over the inputs that die there;
 *  - batch norm, ReLU and softmax overwrite an input that dies there;
 *  - with inplace_depthwise, depthwise computes a channel into one spare plane
 *    of its output and copies it over the input's channel: in + one plane.
 * The network's output stays to the end. Weights, stack, scratch buffers and
 * fragmentation are not in it. Time is linear in operators and edges where
 * the graph leaves no choice of order; hostile graphs stop at a fixed amount of
 * work, the same on every machine.
 * Source: Liberis et al., uNAS, EuroMLSys 2021 (definition); Lin et al., MCUNet,
 * NeurIPS 2020 (in-place depthwise).
 */
void mcu_memory_plan(const struct network *net, const struct mcu_memory_rules *rules,
		     struct arena *a, struct mcu_memory *out);
#endif
