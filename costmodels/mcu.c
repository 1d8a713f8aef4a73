#include <math.h>
#include <stdio.h>
#include <string.h>

#include "deployed.h"
#include "mcu_cycles.h"
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
	double cycles[MCU_N_RATES];
	double energy_per_mac;
	const char *latency_source, *energy_source;
};

struct mcu {
	struct mcu_cfg cfg; /* first: costmodel.cfg points here */
	bool has_latency;
	char model[64], provenance[N_METRICS][256];
};

#define RATE(id, name, help)                                                                       \
	{ "cycles_" #name,                                                                         \
	  CFG_REAL,                                                                                \
	  CFG_AT(struct mcu_cfg, cycles[MCU_##id], double),                                        \
	  "0",                                                                                     \
	  0,                                                                                       \
	  1e6,                                                                                     \
	  NULL,                                                                                    \
	  UNIT_NONE,                                                                               \
	  "cycles",                                                                                \
	  help,                                                                                    \
	  false },

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
	CFG_REAL_FIELD(struct mcu_cfg, energy_per_mac, "0", 0, 1, UNIT_JOULE, "J",
		       "energy per MAC; 0: not known"),
	CFG_STRING_FIELD(struct mcu_cfg, latency_source, "", "where the rates come from"),
	CFG_STRING_FIELD(struct mcu_cfg, energy_source, "", "where the energy comes from"),
	MCU_RATES(RATE) CFG_END,
};

/* ---- cost --------------------------------------------------------------------- */

static double op_cycles(const struct mcu_cfg *cfg, const struct network *net, size_t i)
{
	double work[MCU_N_RATES], cycles = 0;

	mcu_work(net, i, work);
	for (size_t r = 0; r < MCU_N_RATES; r++)
		cycles += cfg->cycles[r] * work[r];
	return cycles;
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
		double c = op_cycles(cfg, &d.net, i);
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
	int known = 0;

	for (size_t r = 0; r < MCU_PER_MAC; r++)
		known += cfg->cycles[r] > 0;
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
