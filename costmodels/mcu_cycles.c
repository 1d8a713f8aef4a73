#include "mcu_cycles.h"

#include <string.h>

/* Elements that an operator without weights touches. */
static double elements_touched(const struct network *net, size_t i)
{
	const struct net_op *o = &net->op[i];
	double out = (double)net_elements(o->out);

	switch (o->kind) {
	case NET_MAX_POOL:
	case NET_AVG_POOL:
		return out * o->kernel_h * o->kernel_w;
	case NET_GLOBAL_POOL:
		return (double)net_elements(network_in_shape(net, i));
	case NET_ADD:
		return out * (o->n_inputs - 1);
	default:
		return out;
	}
}

/* The rate per MAC that holds for operator @i, MCU_N_RATES where it has no MACs. */
static enum mcu_rate per_mac(const struct network *net, size_t i)
{
	const struct net_op *o = &net->op[i];

	switch (o->kind) {
	case NET_CONV2D:
		if (o->groups > 1 && o->groups == network_in_shape(net, i).c)
			return MCU_DEPTHWISE; /* one input channel a filter */
		return o->groups == 1 && o->kernel_h == 1 && o->kernel_w == 1 ? MCU_POINTWISE
									      : MCU_CONV;
	case NET_DEPTHWISE:
		return MCU_DEPTHWISE;
	case NET_DENSE:
		return MCU_DENSE;
	default:
		return MCU_N_RATES;
	}
}

void mcu_work(const struct network *net, size_t op, double work[MCU_N_RATES])
{
	enum mcu_rate rate = per_mac(net, op);

	memset(work, 0, MCU_N_RATES * sizeof *work);
	if (net->op[op].kind == NET_INPUT)
		return;
	work[MCU_LAYER] = 1;
	if (rate == MCU_N_RATES) {
		work[MCU_ELEMENTWISE] = elements_touched(net, op);
		return;
	}
	work[rate] = (double)network_op_macs(net, op);
	work[MCU_OUTPUT] = (double)net_elements(net->op[op].out);
	if (rate == MCU_DEPTHWISE)
		work[MCU_CHANNEL] = net->op[op].out.c;
}
