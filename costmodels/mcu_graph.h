#ifndef NASC_MCU_GRAPH_H
#define NASC_MCU_GRAPH_H
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "firmware.h"
#include "mcu_memory.h"
#include "network.h"

/* A network as memory sees it, and the machine that executes it one operator
 * at a time, in any order. Shared by mcu_memory.c and mcu_order.c. */
struct mcu_graph {
	const struct network *net;
	const struct mcu_memory_rules *rules;
	uint32_t n;
	uint64_t *size;		 /* bytes of each operator's output */
	uint64_t *scratch;	 /* and of what its kernel works in */
	uint32_t *readers;	 /* operators that read it; 1 more for the network's output */
	uint32_t *first, *input; /* first[i] .. first[i + 1]: inputs of i, each once */
};

/* What has run so far. */
struct mcu_state {
	uint64_t live;	  /* bytes written and still needed */
	uint32_t *unread; /* per operator: readers that have not run */
};

struct mcu_step {
	uint64_t during, after; /* bytes in use while the operator runs, and then */
};

void mcu_graph_init(struct mcu_graph *g, const struct network *net,
		    const struct mcu_memory_rules *rules, struct arena *a);
/* What running @op would do to @s. */
struct mcu_step mcu_graph_step(const struct mcu_graph *g, const struct mcu_state *s, uint32_t op);
/* Run it: @s changes. */
void mcu_graph_run(const struct mcu_graph *g, struct mcu_state *s, uint32_t op,
		   struct mcu_step step);

/* Operators [begin, end) of the listed order, before and after which every order
 * has executed the same set. */
struct mcu_segment {
	uint32_t begin, end;
	uint64_t peak; /* in: of the listed order; out: of the best order found */
};

/*
 * mcu_order_search() - the order of one segment with the smallest peak
 * @s:      the state before the segment; back to that on return
 * @bound:  peaks up to here do no harm: another part of the network needs as much
 * @visits: work left, counted in operators looked at; 0 when it ran out
 * @order:  segment's part of the order, changed when a better one was found
 *
 * Returns whether the segment's peak is known to be the smallest (or within @bound).
 */
bool mcu_order_search(const struct mcu_graph *g, struct mcu_state *s, struct mcu_segment *segment,
		      uint64_t bound, uint64_t *visits, uint32_t *order, struct arena *scratch);
#endif
