#ifndef NASC_MCU_MEMORY_H
#define NASC_MCU_MEMORY_H
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "costmodels.h"
#include "network.h"

/* Who plans the memory. All take the network as deployed: see network_fold(), for MCU_TFLM
 * network_fold_layers(). */
enum mcu_memory_model {
	/* The smallest peak of live activations over all execution orders. The working set while
	 * an operator runs is every tensor written and still needed, plus its output, less what
	 * the two may share:
	 *  - add accumulates into an input that dies there;
	 *  - concat lays its output over the inputs that die there;
	 *  - batch norm, ReLU and softmax overwrite an input that dies there;
	 *  - with inplace_depthwise, depthwise computes a channel into one spare plane
	 *    of its output and copies it over the input's channel: in + one plane;
	 *  - with fused_add, the convolution that ends a residual block adds its output
	 *    onto the block's input, as the published figures of MCUNetV2 have it.
	 * No stack, scratch buffers or fragmentation.
	 * Source: Liberis et al., uNAS, EuroMLSys 2021 (definition); Lin et al., MCUNet,
	 * NeurIPS 2020 (in-place depthwise). */
	MCU_IDEAL,
	/* TensorFlow Lite Micro: the listed order, nothing in place, sizes in multiples of 16
	 * bytes, the greedy planner; of equal sizes the later tensor first. Neither the kernels'
	 * scratch buffers nor the persistent part of the arena.
	 * Source: tensorflow/tflite-micro, greedy_memory_planner. */
	MCU_TFLM,
	/* TinyEngine: the listed order, depthwise in place where its input dies there, first fit
	 * by size, and behind it the largest im2col buffer and the largest kernel buffer.
	 * Source: mit-han-lab/tinyengine, code_generator (GeneralMemoryScheduler, conv2d,
	 * depthwiseConv2d). */
	MCU_TINYENGINE,
	/* nasc's own firmware: the order with the smallest peak, as MCU_IDEAL; add, batch norm and
	 * ReLU overwrite an input that dies there, and so does a depthwise convolution whose output
	 * has its input's shape; with the buffer that each kernel works in; sizes in multiples of 4
	 * bytes. The peak is that of the addresses, gaps included: what an export takes.
	 * Source: firmware/firmware.h. */
	MCU_NASC,
};
extern const char *const mcu_memory_names[];	  /* of the models; NULL behind the last */
extern const char *const mcu_memory_provenance[]; /* of their peaks */

struct mcu_memory_rules {
	enum mcu_memory_model model;
	uint32_t activation_bits;
	bool count_input;		   /* the input image lies in SRAM; uNAS leaves it out */
	bool inplace_depthwise, fused_add; /* of MCU_IDEAL */
	bool parts; /* of MCU_NASC: maps are the largest parts of maps, so that
		       alike ones are not of one shape every time */
};

struct mcu_memory {
	uint64_t peak_bytes;   /* of the activations */
	uint64_t column_bytes; /* beside them, MCU_TINYENGINE: of the largest im2col buffer */
	uint64_t kernel_bytes; /* and of the largest kernel buffer */
	bool exact;	       /* false: the search for an order was cut short, another may need
				  less */
	uint32_t *order;       /* n_ops operator indices, order[0] is the input */
	uint64_t *live;	       /* live[k]: bytes of activations while order[k] runs */
	struct cost_buffer *buffer; /* who lies where; NULL: see mcu_memory_place(). MCU_NASC:
				       b[op] of each operator, behind them buffers of kernels */
	uint32_t n_buffers;
};

/*
 * mcu_memory_plan() - peak SRAM of a network
 * @net:   inferred, as deployed: see network_fold()
 * @a:     holds @out's lists
 *
 * Time: MCU_IDEAL is linear in operators and edges where the graph leaves no choice of order;
 * hostile graphs stop at a fixed amount of work, the same on every machine. The others: see
 * mcu_place().
 */
void mcu_memory_plan(const struct network *net, const struct mcu_memory_rules *rules,
		     struct arena *a, struct mcu_memory *out);

/* Whether operator @op, a depthwise convolution, may overwrite its input. */
bool mcu_memory_in_place(const struct network *net, const struct mcu_memory_rules *rules,
			 uint32_t op);

/* Bytes of a map by the rules. */
uint64_t mcu_memory_bytes(struct net_shape map, const struct mcu_memory_rules *rules);
/* Bytes of each operator's output by the rules, into @size[n_ops]. */
void mcu_memory_sizes(const struct network *net, const struct mcu_memory_rules *rules,
		      uint64_t *size, struct arena *scratch);

/* Give a plan of MCU_IDEAL addresses: buffer by buffer, each as low as it can be. That may
 * take more than the peak; returns the bytes that it takes. Of others' plans: their peak. */
uint64_t mcu_memory_place(const struct network *net, const struct mcu_memory_rules *rules,
			  struct mcu_memory *plan, struct arena *a);
#endif
