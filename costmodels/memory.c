#include <math.h>

#include "deployed.h"
#include "mcu_memory.h"
#include "models.h"

/* Peak SRAM of a network as each kind of runtime would need it, 8 bits an activation. */

static const struct metric metrics[] = {
	[MCU_IDEAL] = { "sram_ideal_bytes", "sram_ideal", UNIT_BYTE, false, true,
			"least peak of activations over all orders" },
	[MCU_TFLM] = { "sram_tflm_bytes", "sram_tflm", UNIT_BYTE, false, true,
		       "activations as TensorFlow Lite Micro lays them out" },
	[MCU_TINYENGINE] = { "sram_tinyengine_bytes", "sram_tinyengine", UNIT_BYTE, false, true,
			     "activations and buffers as TinyEngine lays them out" },
	[MCU_NASC] = { "sram_nasc_bytes", "sram_nasc", UNIT_BYTE, false, true,
		       "arena of nasc's own exported firmware" },
};
enum { N_METRICS = sizeof metrics / sizeof *metrics };

static enum nasc_status cost(const struct costmodel *m, const struct network *net,
			     struct arena *scratch, struct cost *out, struct nasc_err *err)
{
	(void)m;
	(void)err;
	for (size_t i = 0; out->per_op && i < net->n_ops * N_METRICS; i++)
		out->per_op[i] = 0;
	for (size_t i = 0; i < N_METRICS; i++) {
		const struct mcu_memory_rules rules = { .model = (enum mcu_memory_model)i,
							.activation_bits = 8,
							.count_input = true,
							.inplace_depthwise = true };
		struct mcu_memory memory;
		struct deployed d;
		size_t refused;

		if (i == MCU_TFLM)
			deployed_with_pads(&d, net, scratch);
		else if (i == MCU_NASC)
			deployed_as_firmware(&d, net, scratch);
		else
			deployed_init(&d, net, scratch);
		mcu_memory_plan(&d.net, &rules, scratch, &memory);
		out->value[i] = i == MCU_NASC && firmware_refusal_of(&d.net, &refused)
					? NAN
					: (double)(memory.peak_bytes + memory.column_bytes +
						   memory.kernel_bytes);
		out->bound[i] = !memory.exact;
		for (size_t k = 0; out->per_op && k < d.net.n_ops; k++)
			out->per_op[d.row[memory.order[k]] * N_METRICS + i] =
				(double)memory.live[k];
	}
	return NASC_OK;
}

static const char *provenance(const struct costmodel *m, size_t i)
{
	(void)m;
	return mcu_memory_provenance[i];
}

const struct costmodel_ops costmodel_memory = {
	.name = "memory",
	.summary = "peak SRAM by the runtime that would need it: ideal, tflm, tinyengine",
	.source = "Liberis et al., uNAS, EuroMLSys 2021; David et al., TensorFlow Lite Micro, "
		  "MLSys 2021; Lin et al., MCUNet, NeurIPS 2020",
	.metric = metrics,
	.n_metrics = N_METRICS,
	.cost = cost,
	.provenance = provenance,
};
