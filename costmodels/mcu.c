#include <math.h>
#include <stdio.h>
#include <string.h>

#include "deployed.h"
#include "mcu_memory.h"
#include "models.h"

enum { SRAM, FLASH, LATENCY, ENERGY, N_METRICS };

static const struct metric metrics[N_METRICS] = {
	[SRAM] = { "sram_bytes", "sram", UNIT_BYTE, false, true,
		   "largest set of activations that are live at once, in the best order" },
	[FLASH] = { "flash_bytes", "flash", UNIT_BYTE, false, true,
		    "weights, biases and the runtime's code" },
	[LATENCY] = { "latency_s", "latency", UNIT_SECOND, false, true, "time of one inference" },
	[ENERGY] = { "energy_j", "energy", UNIT_JOULE, false, true, "energy of one inference" },
};

struct mcu_cfg {
	const char *runtime;
	double clock, sram, flash;
	double code;
	int64_t weight_bits, activation_bits, channel_bytes;
	bool count_input, inplace_depthwise;
	double cycles_conv, cycles_pointwise, cycles_depthwise, cycles_dense;
	double cycles_output, cycles_elementwise, cycles_layer;
	double energy_per_mac;
	const char *latency_source, *energy_source;
};

struct mcu {
	struct mcu_cfg cfg; /* first: costmodel.cfg points here */
	bool has_latency;
	char model[64], provenance[N_METRICS][256];
};

#define RATE(m, h) CFG_REAL_FIELD(struct mcu_cfg, m, "0", 0, 1e6, UNIT_NONE, "cycles", h)

static const struct cfg_field fields[] = {
	CFG_STRING_FIELD(struct mcu_cfg, runtime, NULL, "inference runtime the rates belong to"),
	CFG_REAL_FIELD(struct mcu_cfg, clock, NULL, 1e3, 1e11, UNIT_HERTZ, "Hz", "core clock"),
	CFG_REAL_FIELD(struct mcu_cfg, sram, NULL, 1, 1e12, UNIT_BYTE, "bytes",
		       "SRAM that activations may use, in one piece"),
	CFG_REAL_FIELD(struct mcu_cfg, flash, NULL, 1, 1e12, UNIT_BYTE, "bytes",
		       "flash for weights and code"),
	CFG_REAL_FIELD(struct mcu_cfg, code, "0", 0, 1e12, UNIT_BYTE, "bytes",
		       "code and tables of the runtime, in flash"),
	CFG_INT_FIELD(struct mcu_cfg, weight_bits, "8", 1, 32, "bits", "width of a weight"),
	CFG_INT_FIELD(struct mcu_cfg, activation_bits, "8", 1, 32, "bits",
		      "width of an activation"),
	CFG_INT_FIELD(struct mcu_cfg, channel_bytes, "0", 0, 64, "bytes",
		      "what the runtime keeps in flash per output channel besides the bias"),
	CFG_BOOL_FIELD(struct mcu_cfg, count_input, "true", "the input image lies in SRAM"),
	CFG_BOOL_FIELD(struct mcu_cfg, inplace_depthwise, "false",
		       "depthwise convolutions overwrite their input"),
	RATE(cycles_conv, "per MAC of other convolutions; 0: not known"),
	RATE(cycles_pointwise, "per MAC of 1x1 convolutions; 0: not known"),
	RATE(cycles_depthwise, "per MAC of depthwise convolutions; 0: not known"),
	RATE(cycles_dense, "per MAC of dense layers; 0: not known"),
	RATE(cycles_output, "per output element of convolutions and dense layers"),
	RATE(cycles_elementwise, "per element of add, concat, pool, batch norm, softmax"),
	RATE(cycles_layer, "per operator"),
	CFG_REAL_FIELD(struct mcu_cfg, energy_per_mac, "0", 0, 1, UNIT_JOULE, "J",
		       "energy per MAC; 0: not known"),
	CFG_STRING_FIELD(struct mcu_cfg, latency_source, "", "where the rates come from"),
	CFG_STRING_FIELD(struct mcu_cfg, energy_source, "", "where the energy comes from"),
	CFG_END,
};

/* ---- cost --------------------------------------------------------------------- */

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

static double op_cycles(const struct mcu_cfg *cfg, const struct network *net, size_t i, double macs)
{
	const struct net_op *o = &net->op[i];
	double per_mac;

	switch (o->kind) {
	case NET_INPUT:
		return 0;
	case NET_CONV2D:
		if (o->groups > 1 && o->groups == network_in_shape(net, i).c)
			per_mac = cfg->cycles_depthwise; /* one input channel a filter */
		else if (o->groups == 1 && o->kernel_h == 1 && o->kernel_w == 1)
			per_mac = cfg->cycles_pointwise;
		else
			per_mac = cfg->cycles_conv;
		break;
	case NET_DEPTHWISE:
		per_mac = cfg->cycles_depthwise;
		break;
	case NET_DENSE:
		per_mac = cfg->cycles_dense;
		break;
	default:
		return cfg->cycles_layer + cfg->cycles_elementwise * elements_touched(net, i);
	}
	return cfg->cycles_layer + per_mac * macs +
	       cfg->cycles_output * (double)net_elements(o->out);
}

static uint64_t op_flash(const struct mcu_cfg *cfg, const struct network *net, size_t i)
{
	uint64_t bytes = deployed_constants(net, i, (uint32_t)cfg->weight_bits);

	if (network_op_weights(net, i))
		bytes += (uint64_t)cfg->channel_bytes * net->op[i].out.c;
	return bytes;
}

static enum nasc_status cost(const struct costmodel *m, const struct network *net,
			     struct arena *scratch, struct cost *out, struct nasc_err *err)
{
	const struct mcu *mcu = m->cfg;
	const struct mcu_cfg *cfg = &mcu->cfg;
	const struct mcu_memory_rules rules = { (uint32_t)cfg->activation_bits, cfg->count_input,
						cfg->inplace_depthwise };
	double s_per_cycle = mcu->has_latency ? 1 / cfg->clock : NAN;
	double joule_per_mac = cfg->energy_per_mac > 0 ? cfg->energy_per_mac : NAN;
	double cycles = 0, macs = 0;
	uint64_t flash = 0;
	struct deployed d;
	struct mcu_memory memory;

	(void)err;
	deployed_init(&d, net, scratch);
	mcu_memory_plan(&d.net, &rules, scratch, &memory);
	if (out->per_op)
		memset(out->per_op, 0, net->n_ops * N_METRICS * sizeof *out->per_op);
	for (size_t i = 0; i < d.net.n_ops; i++) {
		double op_macs = (double)network_op_macs(&d.net, i);
		double c = op_cycles(cfg, &d.net, i, op_macs);
		uint64_t f = op_flash(cfg, &d.net, i);

		cycles += c;
		macs += op_macs;
		flash += f;
		if (out->per_op) {
			double *row = out->per_op + d.row[i] * N_METRICS;

			row[FLASH] = (double)f;
			row[LATENCY] = c * s_per_cycle;
			row[ENERGY] = op_macs * joule_per_mac;
		}
	}
	for (size_t k = 0; out->per_op && k < d.net.n_ops; k++)
		out->per_op[d.row[memory.order[k]] * N_METRICS + SRAM] = (double)memory.live[k];
	out->value[SRAM] = (double)memory.peak_bytes;
	out->value[FLASH] = (double)flash + cfg->code;
	out->value[LATENCY] = cycles * s_per_cycle;
	out->value[ENERGY] = macs * joule_per_mac;
	for (size_t i = 0; i < N_METRICS; i++)
		out->bound[i] = false;
	out->bound[SRAM] = !memory.exact;
	return NASC_OK;
}

/* ---- target ------------------------------------------------------------------- */

static void write_provenance(struct mcu *mcu)
{
	const struct mcu_cfg *cfg = &mcu->cfg;
	size_t size = sizeof mcu->provenance[0];

	snprintf(mcu->provenance[SRAM], size,
		 "predicted: least peak of live %u-bit activations over all execution orders, "
		 "%s the input%s; no stack, scratch buffers or fragmentation",
		 (unsigned)cfg->activation_bits, cfg->count_input ? "with" : "without",
		 cfg->inplace_depthwise ? ", depthwise in place" : "");
	snprintf(mcu->provenance[FLASH], size,
		 "predicted: weights and biases counted, code of %.60s assumed constant",
		 cfg->runtime);
	snprintf(mcu->provenance[LATENCY], size, "predicted: cycles by operator type, %.180s",
		 mcu->has_latency ? *cfg->latency_source ? cfg->latency_source
							 : "source of the rates not stated"
				  : "rates not known for this target");
	snprintf(mcu->provenance[ENERGY], size, "predicted: energy per MAC, %.180s",
		 cfg->energy_per_mac > 0
			 ? *cfg->energy_source ? cfg->energy_source : "source not stated"
			 : "not known for this target");
}

static enum nasc_status open(struct costmodel *m, struct nasc_err *err)
{
	struct mcu *mcu = m->cfg;
	const struct mcu_cfg *cfg = &mcu->cfg;
	int known = (cfg->cycles_conv > 0) + (cfg->cycles_pointwise > 0) +
		    (cfg->cycles_depthwise > 0) + (cfg->cycles_dense > 0);

	if (known != 0 && known != 4)
		return nasc_fail(err, NASC_CONFIG,
				 "only %d of cycles_conv, cycles_pointwise, cycles_depthwise and "
				 "cycles_dense are given, it takes all four or none",
				 known);
	if (cfg->code >= cfg->flash)
		return nasc_fail(err, NASC_CONFIG,
				 "code of %.0f bytes leaves no room in flash of %.0f bytes",
				 cfg->code, cfg->flash);
	mcu->has_latency = known == 4;
	snprintf(mcu->model, sizeof mcu->model, "mcu/%.59s", cfg->runtime);
	m->model = mcu->model;
	write_provenance(mcu);
	return NASC_OK;
}

static const char *provenance(const struct costmodel *m, size_t i)
{
	const struct mcu *mcu = m->cfg;

	return mcu->provenance[i];
}

static size_t limits(const struct costmodel *m, struct cost_limit *out)
{
	const struct mcu *mcu = m->cfg;

	out[0] = (struct cost_limit){ SRAM, mcu->cfg.sram };
	out[1] = (struct cost_limit){ FLASH, mcu->cfg.flash };
	return 2;
}

const struct costmodel_ops costmodel_mcu = {
	.name = "mcu",
	.summary = "microcontroller: peak SRAM over all execution orders, flash, latency, energy",
	.source = "Liberis et al., uNAS, EuroMLSys 2021; rates fitted on published measurements",
	.metric = metrics,
	.n_metrics = N_METRICS,
	.fields = fields,
	.cfg_size = sizeof(struct mcu),
	.open = open,
	.cost = cost,
	.provenance = provenance,
	.limits = limits,
};
