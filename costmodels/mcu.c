#include <math.h>
#include <stdio.h>
#include <string.h>

#include "deployed.h"
#include "mcu_cycles.h"
#include "mcu_schedule.h"
#include "models.h"

enum { SRAM, FLASH, LATENCY, ENERGY, GRID, PATCHED, INSTRUCTIONS, N_METRICS };

static const struct metric metrics[N_METRICS] = {
	[SRAM] = { "sram_bytes", "sram", UNIT_BYTE, false, true,
		   "peak memory of activations, and of the runtime's buffers where it says so" },
	[FLASH] = { "flash_bytes", "flash", UNIT_BYTE, false, true,
		    "weights, biases and the runtime's code" },
	[LATENCY] = { "latency_s", "latency", UNIT_SECOND, false, true, "time of one inference" },
	[ENERGY] = { "energy_j", "energy", UNIT_JOULE, false, true, "energy of one inference" },
	[GRID] = { "patch_grid", "patch_grid", UNIT_NONE, false, false,
		   "parts along each side in which the first operators run; 1: layer by layer" },
	[PATCHED] = { "patched", "patched", UNIT_NONE, false, false,
		      "the last operator that runs in parts; 0: layer by layer" },
	[INSTRUCTIONS] = { "instructions", "instructions", UNIT_NONE, false, true,
			   "instructions of one inference by nasc's firmware" },
};

struct mcu_cfg {
	const char *runtime;
	double clock, sram, flash;
	double code;
	int64_t weight_bits, activation_bits, channel_bytes;
	int64_t memory, patches;
	bool count_input, inplace_depthwise, fused_add;
	double cycles[MCU_N_RATES];
	double latency_error, power, energy_error;
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
	CFG_CHOICE_FIELD(struct mcu_cfg, memory, "ideal", mcu_memory_names,
			 "who plans the memory of activations"),
	CFG_INT_FIELD(struct mcu_cfg, patches, "1", 1, MCU_GRID_MAX, "",
		      "parts along each side in which the runtime can run the first operators, at "
		      "most; it does where the network fits no other way"),
	CFG_BOOL_FIELD(struct mcu_cfg, count_input, "true",
		       "the input image lies in SRAM; with parts, as long as these run"),
	CFG_BOOL_FIELD(struct mcu_cfg, inplace_depthwise, "false",
		       "depthwise convolutions overwrite their input; of memory: ideal"),
	CFG_BOOL_FIELD(struct mcu_cfg, fused_add, "false",
		       "a convolution that ends a residual block adds onto the block's input; of "
		       "memory: ideal"),
	CFG_REAL_FIELD(struct mcu_cfg, latency_error, "0", 0, 10, UNIT_FRACTION, "fraction",
		       "mean relative error of the latency on a network that the rates were not "
		       "fitted to; 0: not known"),
	CFG_STRING_FIELD(struct mcu_cfg, latency_source, "", "where the rates come from"),
	CFG_REAL_FIELD(struct mcu_cfg, power, "0", 0, 1e3, UNIT_WATT, "W",
		       "power while a network runs; 0: not known"),
	CFG_REAL_FIELD(struct mcu_cfg, energy_error, "0", 0, 10, UNIT_FRACTION, "fraction",
		       "as latency_error, of the energy"),
	CFG_STRING_FIELD(struct mcu_cfg, energy_source, "", "where the energy comes from"),
	MCU_RATES(RATE) CFG_END,
};

/* ---- cost --------------------------------------------------------------------- */

/* Of @area times its output, in @calls calls of its kernel. */
static double op_cycles(const struct mcu_cfg *cfg, const struct network *net, size_t i, double area,
			double calls)
{
	double work[MCU_N_RATES], cycles = 0;

	mcu_work(net, i, work);
	for (size_t r = 0; r < MCU_N_RATES; r++)
		cycles += cfg->cycles[r] * work[r] *
			  (r == MCU_LAYER || r == MCU_CHANNEL ? calls : area);
	return cycles;
}

static uint64_t op_flash(const struct mcu_cfg *cfg, const struct network *net, size_t i)
{
	uint64_t bytes = deployed_constants(net, i, (uint32_t)cfg->weight_bits);

	if (cfg->memory == MCU_NASC)
		return firmware_constant_bytes(net, i);
	if (network_op_weights(net, i))
		bytes += (uint64_t)cfg->channel_bytes * net->op[i].out.c;
	return bytes;
}

/* How a network runs: as it is deployed, in parts where it has to. */
struct plan {
	struct deployed d;
	struct mcu_schedule schedule;
	struct mcu_parts parts;
	struct nasc_span *rows, *columns; /* mcu_parts_spans() of nasc's firmware in parts */
};

static struct mcu_memory_rules memory_rules(const struct mcu_cfg *cfg)
{
	return (struct mcu_memory_rules){ .model = (enum mcu_memory_model)cfg->memory,
					  .activation_bits = (uint32_t)cfg->activation_bits,
					  .count_input = cfg->count_input,
					  .inplace_depthwise = cfg->inplace_depthwise,
					  .fused_add = cfg->fused_add };
}

static double smaller(double a, double b)
{
	return b > 0 && b < a ? b : a;
}

/* In nasc's firmware: instructions of the whole output and of a quarter of it, and what is on a
 * line with these. */
static struct mcu_effort firmware_effort(const struct network *net, size_t i)
{
	const struct net_op *o = &net->op[i];
	struct net_shape in = o->n_inputs ? network_in_shape(net, i) : o->out;
	uint32_t h = (o->out.h + 1) / 2, w = (o->out.w + 1) / 2;
	double whole = firmware_instructions(net, i), quarter, part;

	if (i == 0 || h == o->out.h || w == o->out.w)
		return (struct mcu_effort){ whole, 0 };
	quarter = (double)h * w / ((double)o->out.h * o->out.w);
	if (o->kernel_h) {
		in.h = (uint32_t)fmin(in.h, (h - 1.) * o->stride + o->kernel_h);
		in.w = (uint32_t)fmin(in.w, (w - 1.) * o->stride + o->kernel_w);
	}
	part = firmware_part_instructions(
		net, i, (struct nasc_part){ { 0, (uint16_t)in.h }, { 0, (uint16_t)in.w } },
		(struct nasc_part){ { 0, (uint16_t)h }, { 0, (uint16_t)w } });
	part = fmax((part - quarter * whole) / (1 - quarter), 0);
	return (struct mcu_effort){ fmax(whole - part, 0), part };
}

/* @enough: as in struct mcu_schedule_limits. */
static uint32_t list_schedules(const struct costmodel *m, const struct deployed *d, double enough,
			       struct arena *a, struct mcu_schedule **list)
{
	const struct mcu *mcu = m->cfg;
	const struct mcu_memory_rules rules = memory_rules(&mcu->cfg);
	struct mcu_schedule_limits limits = {
		.grid = (uint32_t)fmax(smaller((double)mcu->cfg.patches, m->within[GRID]), 1),
		.end = (uint32_t)d->net.n_ops - 1,
		.enough = (uint64_t)enough,
	};
	struct mcu_effort *effort = ARENA_NEW(a, struct mcu_effort, d->net.n_ops);

	while (m->within[PATCHED] > 0 && (double)d->row[limits.end] > m->within[PATCHED])
		limits.end--; /* to the input at most, of row 0 */
	for (size_t i = 0; i < d->net.n_ops; i++)
		effort[i] = mcu->has_latency
				    ? (struct mcu_effort){ op_cycles(&mcu->cfg, &d->net, i, 1, 0),
							   op_cycles(&mcu->cfg, &d->net, i, 0, 1) }
			    : rules.model == MCU_NASC
				    ? firmware_effort(&d->net, i)
				    : (struct mcu_effort){ (double)network_op_macs(&d->net, i), 0 };
	return mcu_schedules(&d->net, &rules, &limits, effort, a, list);
}

/* Parts and addresses under p->schedule. */
static void plan_schedule(struct plan *p, const struct mcu_memory_rules *rules, struct arena *a)
{
	const struct mcu_schedule *s = &p->schedule;
	size_t n = ((size_t)s->end + 1) * s->grid;

	mcu_parts_init(&p->parts, &p->d.net, rules, s->end, s->grid, a);
	if (s->grid == 1 || rules->model != MCU_NASC)
		return;
	p->rows = ARENA_NEW(a, struct nasc_span, n);
	p->columns = ARENA_NEW(a, struct nasc_span, n);
	mcu_parts_spans(&p->d.net, s->end, s->grid, true, p->rows, a);
	mcu_parts_spans(&p->d.net, s->end, s->grid, false, p->columns, a);
}

/* Layer by layer where that fits, else the schedule of least time that does, else the one of least
 * SRAM. */
static void plan_parts(struct plan *p, const struct costmodel *m, struct arena *a)
{
	const struct mcu *mcu = m->cfg;
	const struct mcu_memory_rules rules = memory_rules(&mcu->cfg);
	double enough = smaller(mcu->cfg.sram, m->within[SRAM]);
	struct mcu_schedule *list;
	uint32_t n;

	p->schedule = (struct mcu_schedule){ .grid = 1 };
	plan_schedule(p, &rules, a);
	if (mcu->cfg.patches == 1 || (double)mcu_parts_peak(&p->parts) <= enough)
		return;
	n = list_schedules(m, &p->d, enough, a, &list);
	p->schedule = list[n - 1];
	if (p->schedule.grid > 1)
		plan_schedule(p, &rules, a);
}

static void deploy(struct plan *p, const struct costmodel *m, const struct network *net,
		   struct arena *a)
{
	const struct mcu *mcu = m->cfg;

	if (mcu->cfg.memory == MCU_TFLM)
		deployed_with_pads(&p->d, net, a);
	else if (mcu->cfg.memory == MCU_NASC)
		deployed_as_firmware(&p->d, net, a);
	else
		deployed_init(&p->d, net, a);
}

static void plan_init(struct plan *p, const struct costmodel *m, const struct network *net,
		      struct arena *a)
{
	deploy(p, m, net, a);
	plan_parts(p, m, a);
}

bool mcu_is_firmware(const struct costmodel *m)
{
	return m->ops == &costmodel_mcu && ((const struct mcu *)m->cfg)->cfg.memory == MCU_NASC;
}

/* Offsets of the buffers of @memory's network of @n_ops operators: their outputs, and then what
 * kernels work in. Those of no bytes are elsewhere. */
static void take_offsets(const struct cost_buffer *buffer, const struct mcu_memory *memory,
			 uint32_t n_ops, struct firmware_plan *out)
{
	for (uint32_t i = 0; i < memory->n_buffers; i++)
		if (buffer[i].size)
			(i < n_ops ? out->output : out->scratch)[buffer[i].op] = buffer[i].offset;
}

void mcu_firmware_plan(const struct costmodel *m, const struct network *net, struct arena *a,
		       struct firmware_plan *out)
{
	const struct mcu_memory_rules rules = { .model = MCU_NASC,
						.activation_bits = 8,
						.count_input = true };
	struct plan p = { .schedule = { .grid = 1 } };
	const struct mcu_parts *parts = &p.parts;
	struct cost_memory memory = { 0 };
	uint32_t n, n_patched;

	deployed_as_firmware(&p.d, net, a);
	if (m)
		plan_parts(&p, m, a);
	else
		plan_schedule(&p, &rules, a);
	mcu_parts_place(&p.parts, p.schedule.end, &memory, a);
	n = (uint32_t)p.d.net.n_ops;
	n_patched = memory.n_patched;
	*out = (struct firmware_plan){ .arena_bytes = memory.peak_bytes,
				       .n_ops = n,
				       .order = memory.step,
				       .output = ARENA_NEW(a, uint64_t, n),
				       .scratch = ARENA_NEW(a, uint64_t, n),
				       .n_patched = n_patched,
				       .end = p.schedule.end,
				       .origin = p.d.row,
				       .patched = p.d.row[p.schedule.end],
				       .grid = p.schedule.grid };
	take_offsets(memory.buffer, &parts->patch_memory, n_patched, out);
	take_offsets(memory.buffer + parts->patch_memory.n_buffers, &parts->rest_memory,
		     (uint32_t)parts->rest.n_ops, out);
	if (!n_patched)
		return;
	out->output[0] = memory.buffer[memory.n_buffers - 1].offset;
	out->rows = p.rows;
	out->columns = p.columns;
}

/* Bytes of activations while each operator runs. */
static void live_rows(const struct plan *p, double *per_op)
{
	const struct mcu_parts *parts = &p->parts;

	for (size_t k = 0; k < parts->rest.n_ops; k++)
		per_op[p->d.row[p->schedule.end + parts->rest_memory.order[k]] * N_METRICS + SRAM] =
			(double)parts->rest_memory.live[k];
	for (size_t k = 0; k < parts->patch.n_ops; k++)
		per_op[p->d.row[parts->patch_memory.order[k]] * N_METRICS + SRAM] =
			(double)(parts->image + parts->whole + parts->patch_memory.live[k]);
}

/* Cycles and MACs of one operator under a plan. */
static double plan_cycles(const struct plan *p, const struct mcu_cfg *cfg, size_t i)
{
	double calls = i <= p->schedule.end ? (double)p->schedule.grid * p->schedule.grid : 1;

	return op_cycles(cfg, &p->d.net, i, p->parts.area[i], calls);
}

/* Of nasc's firmware: all calls of the operator's kernel. */
static double plan_instructions(const struct plan *p, size_t i)
{
	uint32_t grid = p->schedule.grid, in;
	double sum = 0;

	if (i > p->schedule.end || grid == 1)
		return firmware_instructions(&p->d.net, i);
	if (i == 0)
		return 0;
	in = network_inputs(&p->d.net, i)[0];
	for (uint32_t y = 0; y < grid; y++)
		for (uint32_t x = 0; x < grid; x++)
			sum += firmware_part_instructions(
				&p->d.net, i,
				(struct nasc_part){ p->rows[in * grid + y],
						    p->columns[in * grid + x] },
				(struct nasc_part){ p->rows[i * grid + y],
						    p->columns[i * grid + x] });
	return sum;
}

static double plan_macs(const struct plan *p, size_t i)
{
	return (double)network_op_macs(&p->d.net, i) * p->parts.area[i];
}

static enum nasc_status cost(const struct costmodel *m, const struct network *net,
			     struct arena *scratch, struct cost *out, struct nasc_err *err)
{
	const struct mcu *mcu = m->cfg;
	const struct mcu_cfg *cfg = &mcu->cfg;
	double s_per_cycle = mcu->has_latency ? 1 / cfg->clock : NAN;
	double joule_per_cycle = cfg->power > 0 ? cfg->power * s_per_cycle : NAN;
	double cycles = 0, instructions = 0;
	bool firmware = cfg->memory == MCU_NASC;
	const char *refusal;
	uint64_t flash = 0;
	size_t refused;
	struct plan p;

	plan_init(&p, m, net, scratch);
	refusal = firmware ? firmware_refusal_of(&p.d.net, &refused) : NULL;
	if (refusal)
		return nasc_fail(err, NASC_INFEASIBLE,
				 "nasc's firmware has no kernel for %s (deployed operator %zu)",
				 refusal, refused);
	if (out->per_op)
		memset(out->per_op, 0, net->n_ops * N_METRICS * sizeof *out->per_op);
	for (size_t i = 0; i < p.d.net.n_ops; i++) {
		double c = plan_cycles(&p, cfg, i);
		uint64_t f = op_flash(cfg, &p.d.net, i);
		double n = firmware ? round(plan_instructions(&p, i)) : 0;

		instructions += n;
		cycles += c;
		flash += f;
		if (out->per_op) {
			double *row = out->per_op + p.d.row[i] * N_METRICS;

			row[FLASH] = (double)f;
			row[LATENCY] = c * s_per_cycle;
			row[ENERGY] = c * joule_per_cycle;
			row[INSTRUCTIONS] = firmware ? n : NAN;
		}
	}
	for (size_t i = 0; out->per_op && i < net->n_ops; i++)
		out->per_op[i * N_METRICS + GRID] = out->per_op[i * N_METRICS + PATCHED] = NAN;
	if (out->per_op)
		live_rows(&p, out->per_op);
	out->value[SRAM] = (double)mcu_parts_peak(&p.parts);
	if (firmware)
		flash += firmware_code_bytes(&p.d.net, p.schedule.end, p.schedule.grid);
	out->value[FLASH] = (double)flash + cfg->code;
	out->value[LATENCY] = cycles * s_per_cycle;
	out->value[ENERGY] = cycles * joule_per_cycle;
	out->value[INSTRUCTIONS] = firmware ? instructions : NAN;
	out->value[GRID] = out->value[PATCHED] = NAN;
	if (cfg->patches > 1) {
		out->value[GRID] = (double)p.schedule.grid;
		out->value[PATCHED] = (double)(p.schedule.end ? p.d.row[p.schedule.end] : 0);
	}
	for (size_t i = 0; i < N_METRICS; i++)
		out->bound[i] = false;
	out->bound[SRAM] =
		!p.parts.rest_memory.exact || (p.schedule.grid > 1 && !p.parts.patch_memory.exact);
	return NASC_OK;
}

static void memory(const struct costmodel *m, const struct network *net, struct arena *a,
		   struct cost_memory *out)
{
	struct plan p;

	plan_init(&p, m, net, a);
	*out = (struct cost_memory){ .grid = p.schedule.grid };
	mcu_parts_place(&p.parts, p.schedule.end, out, a);
	for (uint32_t k = 0; k < out->n_steps; k++)
		out->step[k] = p.d.row[out->step[k]];
	for (uint32_t i = 0; i < out->n_buffers; i++)
		out->buffer[i].op = p.d.row[out->buffer[i].op];
}

static uint32_t schedules(const struct costmodel *m, const struct network *net, struct arena *a,
			  struct cost_schedule **out)
{
	const struct mcu *mcu = m->cfg;
	const struct mcu_memory_rules rules = memory_rules(&mcu->cfg);
	struct mcu_schedule *list;
	struct plan p;
	uint32_t n;

	if (mcu->cfg.patches == 1)
		return 0;
	deploy(&p, m, net, a);
	n = list_schedules(m, &p.d, 0, a, &list);
	*out = ARENA_NEW(a, struct cost_schedule, n);
	for (uint32_t k = 0; k < n; k++) {
		struct cost_schedule *s = &(*out)[k];
		double cycles = 0;

		p.schedule = list[k];
		plan_schedule(&p, &rules, a);
		*s = (struct cost_schedule){ .op = list[k].end ? p.d.row[list[k].end] : 0,
					     .grid = list[k].grid,
					     .sram_bytes = list[k].peak_bytes };
		for (size_t i = 0; i < p.d.net.n_ops; i++) {
			s->macs += plan_macs(&p, i);
			cycles += plan_cycles(&p, &mcu->cfg, i);
			if (rules.model == MCU_NASC)
				s->instructions += round(plan_instructions(&p, i));
		}
		s->latency_s = mcu->has_latency ? cycles / mcu->cfg.clock : NAN;
		s->instructions = rules.model == MCU_NASC ? s->instructions : NAN;
	}
	return n;
}

/* ---- target ------------------------------------------------------------------- */

/* "" where the error is not known. */
static const char *plus_minus(double error, char *buf, size_t n)
{
	buf[0] = '\0';
	if (error > 0)
		snprintf(buf, n, ", +- %.2g %%", 100 * error);
	return buf;
}

static void write_provenance(struct mcu *mcu)
{
	const struct mcu_cfg *cfg = &mcu->cfg;
	size_t size = sizeof mcu->provenance[0];
	char error[32];

	snprintf(mcu->provenance[SRAM], size, "%s", mcu_memory_provenance[cfg->memory]);
	if (cfg->memory == MCU_IDEAL)
		snprintf(mcu->provenance[SRAM], size,
			 "predicted: least peak of live %u-bit activations over all execution "
			 "orders, "
			 "%s the input%s%s; no stack, scratch buffers or fragmentation",
			 (unsigned)cfg->activation_bits, cfg->count_input ? "with" : "without",
			 cfg->inplace_depthwise ? ", depthwise in place" : "",
			 cfg->fused_add ? ", residuals added in place" : "");
	snprintf(mcu->provenance[FLASH], size,
		 "predicted: weights and biases counted, code of %.60s assumed constant",
		 cfg->runtime);
	if (cfg->memory == MCU_NASC)
		snprintf(mcu->provenance[FLASH], size,
			 "predicted: constants of the export counted, code as gcc 12.2 -O2 makes "
			 "it, within 2 %%");
	snprintf(mcu->provenance[LATENCY], size, "predicted: cycles by operator type%s, %.180s",
		 plus_minus(cfg->latency_error, error, sizeof error),
		 mcu->has_latency ? *cfg->latency_source ? cfg->latency_source
							 : "source of the rates not stated"
				  : "rates not known for this target");
	snprintf(mcu->provenance[ENERGY], size, "predicted: latency times power%s, %.180s",
		 plus_minus(cfg->energy_error, error, sizeof error),
		 mcu->has_latency && cfg->power > 0
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
	if (cfg->memory == MCU_TFLM && cfg->patches > 1)
		return nasc_fail(err, NASC_CONFIG,
				 "patches: TensorFlow Lite Micro (memory: tflm) runs layer by "
				 "layer, it takes 1");
	if (!strcmp(cfg->runtime, "nasc") != (cfg->memory == MCU_NASC))
		return nasc_fail(err, NASC_CONFIG,
				 "runtime: nasc and memory: nasc go together, not runtime: %.60s "
				 "and memory: %s",
				 cfg->runtime, mcu_memory_names[cfg->memory]);
	if (cfg->memory == MCU_NASC &&
	    (cfg->weight_bits != 8 || cfg->activation_bits != 8 || !cfg->count_input ||
	     cfg->inplace_depthwise || cfg->fused_add || cfg->channel_bytes))
		return nasc_fail(err, NASC_CONFIG,
				 "memory: nasc's firmware has 8 bits a weight and activation, its "
				 "input in SRAM and its own kernels: weight_bits and "
				 "activation_bits are 8, count_input is true, inplace_depthwise, "
				 "fused_add and channel_bytes are left out");
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

	if (i == GRID || i == PATCHED)
		return mcu->cfg.patches > 1
			       ? "predicted: the schedule of least time that fits, else that of "
				 "least SRAM"
			       : NULL;
	if (i == INSTRUCTIONS)
		return mcu->cfg.memory == MCU_NASC ? "predicted: loops of the kernels by shape, "
						     "within 1 % of counts in "
						     "QEMU; gcc 12.2 -O2, Cortex-M4, M7 and M33"
						   : NULL;
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
	.summary = "microcontroller: peak SRAM by runtime and schedule, flash, latency, energy",
	.source = "Liberis et al., uNAS, EuroMLSys 2021; Lin et al., MCUNetV2, NeurIPS 2021; rates "
		  "fitted on published measurements",
	.metric = metrics,
	.n_metrics = N_METRICS,
	.fields = fields,
	.cfg_size = sizeof(struct mcu),
	.open = open,
	.cost = cost,
	.memory = memory,
	.schedules = schedules,
	.provenance = provenance,
	.limits = limits,
};
