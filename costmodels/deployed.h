#ifndef NASC_DEPLOYED_H
#define NASC_DEPLOYED_H
#include <stdint.h>

#include "arena.h"
#include "network.h"

/* A network as a device runs it, and the way back to the one handed in. */
struct deployed {
	struct network net;
	uint32_t *row; /* per operator of net: the operator it was made of, the first of them */
};
void deployed_init(struct deployed *d, const struct network *net, struct arena *a);
/* By nasc's firmware: the operators that the output depends on, without a softmax at the end. */
void deployed_as_firmware(struct deployed *d, const struct network *net, struct arena *a);
/* By a runtime that runs pads as operators of their own. */
void deployed_with_pads(struct deployed *d, const struct network *net, struct arena *a);

/* Constants of one operator of a deployed network, in bytes: weights at
 * @weight_bits each, biases as int32. A batch norm that could not be folded
 * keeps a factor and an offset a channel, 4 bytes each. */
uint64_t deployed_constants(const struct network *net, size_t op, uint32_t weight_bits);
#endif
