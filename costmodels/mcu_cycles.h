#ifndef NASC_MCU_CYCLES_H
#define NASC_MCU_CYCLES_H
#include "network.h"

/* Cycles of one operator of a deployed network on a microcontroller: how much of each kind
 * of work it is, times what one unit of that work takes. The first MCU_PER_MAC rates are
 * per MAC by type of operator; a target has all of these or none. */
#define MCU_RATES(X)                                                                               \
	X(CONV, conv, "per MAC of other convolutions; 0: not known")                               \
	X(POINTWISE, pointwise, "per MAC of 1x1 convolutions; 0: not known")                       \
	X(DEPTHWISE, depthwise, "per MAC of depthwise convolutions; 0: not known")                 \
	X(DENSE, dense, "per MAC of dense layers; 0: not known")                                   \
	X(OUTPUT, output, "per output element of convolutions and dense layers")                   \
	X(CHANNEL, channel, "per channel of depthwise convolutions")                               \
	X(ELEMENTWISE, elementwise, "per element of add, concat, pool, batch norm, softmax")       \
	X(LAYER, layer, "per operator")

enum mcu_rate {
#define X(id, name, help) MCU_##id,
	MCU_RATES(X)
#undef X
		MCU_N_RATES
};
#define MCU_PER_MAC 4

/* @work[r]: how many units of kind r operator @op of @net is; @net as it is deployed. */
void mcu_work(const struct network *net, size_t op, double work[MCU_N_RATES]);
#endif
