#include <math.h>
#include <stdio.h>

#include "deployed.h"
#include "fpga_fold.h"
#include "models.h"

enum { CYCLES, LATENCY, INTERVAL, DSP, BRAM, LUT, FF, N_METRICS };

static const struct metric metrics[N_METRICS] = {
	[CYCLES] = { "cycles", "cycles", UNIT_NONE, false, true,
		     "clock cycles of one image through the empty pipeline" },
	[LATENCY] = { "latency_s", "latency", UNIT_SECOND, false, true,
		      "time of one image through the empty pipeline" },
	[INTERVAL] = { "interval_s", "interval", UNIT_SECOND, false, true,
		       "time between images: 1 / throughput, set by the slowest engine" },
	[DSP] = { "dsp", "dsp", UNIT_NONE, false, true, "DSP blocks" },
	[BRAM] = { "bram_18k", "bram", UNIT_NONE, false, true, "block RAMs of 18 kbit" },
	[LUT] = { "lut", "lut", UNIT_NONE, false, true, "look-up tables" },
	[FF] = { "ff", "ff", UNIT_NONE, false, true, "flip-flops" },
};

static const int resource_metric[FPGA_RESOURCES] = {
	[FPGA_DSP] = DSP, [FPGA_BRAM] = BRAM, [FPGA_LUT] = LUT, [FPGA_FF] = FF
};

struct fpga_cfg {
	double clock;
	int64_t dsp, bram_18k, lut, ff;
	int64_t weight_bits, activation_bits;
	int64_t multipliers, requantise;
};

struct fpga {
	struct fpga_cfg cfg; /* first: costmodel.cfg points here */
	struct fpga_use device;
	struct fpga_arithmetic arithmetic;
	char model[64];
};

static const char *const multiplier_names[] = { "dsp", "lut", NULL };
static const char *const requantise_names[] = { "multiply", "thresholds", NULL };

#define AMOUNT(m, h) CFG_INT_FIELD(struct fpga_cfg, m, NULL, 0, 1e9, "blocks", h)

static const struct cfg_field fields[] = {
	CFG_REAL_FIELD(struct fpga_cfg, clock, NULL, 1e3, 1e11, UNIT_HERTZ, "Hz",
		       "clock of the accelerator"),
	AMOUNT(dsp, "DSP blocks the accelerator may use"),
	AMOUNT(bram_18k, "block RAMs of 18 kbit it may use"),
	AMOUNT(lut, "look-up tables it may use"),
	AMOUNT(ff, "flip-flops it may use"),
	CFG_INT_FIELD(struct fpga_cfg, weight_bits, "8", 1, 16, "bits", "width of a weight"),
	CFG_INT_FIELD(struct fpga_cfg, activation_bits, "8", 1, 16, "bits",
		      "width of an activation"),
	CFG_CHOICE_FIELD(struct fpga_cfg, multipliers, "dsp", multiplier_names,
			 "what weights are multiplied in"),
	CFG_CHOICE_FIELD(struct fpga_cfg, requantise, "multiply", requantise_names,
			 "how sums become activations"),
	CFG_END,
};

/* ---- queues ------------------------------------------------------------------------ */

/* Where branches meet, the one that comes early waits in a queue. Every stream
 * takes one interval in a running pipeline, so a branch lags by the parts of an
 * image that its windows wait for, whatever the foldings are; a lag above one image
 * holds one image. */
static struct fpga_use queues(const struct network *net, const struct fpga_stage *stage,
			      const struct fpga_arithmetic *arithmetic, struct arena *scratch,
			      struct fpga_use *queue)
{
	double *lag = ARENA_NEW(scratch, double, net->n_ops);
	struct fpga_use sum = { { 0 } };

	for (size_t i = 1; i < net->n_ops; i++) {
		const struct net_op *o = &net->op[i];
		const uint32_t *in = network_inputs(net, i);
		double late = 0;

		for (uint32_t k = 0; k < o->n_inputs; k++)
			late = fmax(late, lag[in[k]]);
		lag[i] = late + stage[i].fill;
		for (uint32_t k = 0; o->n_inputs > 1 && k < o->n_inputs; k++) {
			double part = fmin(late - lag[in[k]], 1);
			double words = ceil(part * (double)net_elements(net->op[in[k]].out));
			struct fpga_use u;

			if (words < 1)
				continue;
			u = fpga_memory_use(arithmetic->activation_bits, (uint64_t)words);
			fpga_use_add(&queue[i], &u);
		}
		fpga_use_add(&sum, &queue[i]);
	}
	return sum;
}

/* ---- time -------------------------------------------------------------------------- */

/* When the last output of one image leaves the last stage, in cycles from the
 * moment the image is there. A stage starts when its first window is complete, and
 * ends neither before its own work is done nor before its input has ended. */
static double pass_through(const struct network *net, const struct fpga_stage *stage,
			   const struct fpga_folding *folding, struct arena *scratch)
{
	double *first = ARENA_NEW(scratch, double, net->n_ops);
	double *last = ARENA_NEW(scratch, double, net->n_ops);

	for (size_t i = 1; i < net->n_ops; i++) {
		const uint32_t *in = network_inputs(net, i);
		double cycles = (double)fpga_stage_cycles(&stage[i], folding[i]);
		double each = cycles / fmax((double)stage[i].vectors, 1);
		double start = 0, input_end = 0;

		for (uint32_t k = 0; k < net->op[i].n_inputs; k++) {
			double f = first[in[k]], l = last[in[k]];

			start = fmax(start, f + stage[i].fill * (l - f));
			input_end = fmax(input_end, l);
		}
		last[i] = fmax(start + cycles, input_end + each);
		first[i] = fmin(start + each, last[i]);
		if (net_elements(net->op[i].out) == net->op[i].out.c)
			first[i] = last[i]; /* one pixel: it comes when all is summed */
	}
	return ceil(last[net->n_ops - 1]);
}

/* ---- cost -------------------------------------------------------------------------- */

static enum nasc_status too_large(const struct fpga *fpga, const struct fpga_use *use, size_t n,
				  struct nasc_err *err)
{
	int r = 0;

	while (r < FPGA_FF && use->of[r] <= fpga->device.of[r])
		r++;
	return nasc_fail(err, NASC_INFEASIBLE,
			 "%zu engines need %llu %s without any unrolling, the device has %llu", n,
			 (unsigned long long)use->of[r], metrics[resource_metric[r]].key,
			 (unsigned long long)fpga->device.of[r]);
}

static void write_row(const struct fpga *fpga, const struct fpga_stage *stage,
		      struct fpga_folding folding, const struct fpga_use *queue, double *row)
{
	struct fpga_use use = fpga_stage_use(stage, folding, &fpga->arithmetic);

	fpga_use_add(&use, queue);
	row[CYCLES] = (double)fpga_stage_cycles(stage, folding);
	row[LATENCY] = row[INTERVAL] = row[CYCLES] / fpga->cfg.clock;
	for (int r = 0; r < FPGA_RESOURCES; r++)
		row[resource_metric[r]] = (double)use.of[r];
}

static enum nasc_status cost(const struct costmodel *m, const struct network *net,
			     struct arena *scratch, struct cost *out, struct nasc_err *err)
{
	const struct fpga *fpga = m->cfg;
	struct fpga_stage *stage;
	struct fpga_use fixed, *queue;
	struct fpga_plan plan;
	struct deployed d;
	size_t n;

	deployed_init(&d, net, scratch);
	n = d.net.n_ops;
	stage = ARENA_NEW(scratch, struct fpga_stage, n);
	queue = ARENA_NEW(scratch, struct fpga_use, n);
	for (size_t i = 0; i < n; i++)
		stage[i] = fpga_stage_of(&d.net, i);
	fixed = queues(&d.net, stage, &fpga->arithmetic, scratch, queue);
	if (!fpga_fold(stage, n, &fixed, &fpga->device, &fpga->arithmetic, scratch, &plan))
		return too_large(fpga, &plan.use, n, err);
	for (size_t i = 0; out->per_op && i < net->n_ops * N_METRICS; i++)
		out->per_op[i] = 0;
	for (size_t i = 0; out->per_op && i < n; i++)
		write_row(fpga, &stage[i], plan.folding[i], &queue[i],
			  out->per_op + d.row[i] * N_METRICS);
	out->value[CYCLES] = pass_through(&d.net, stage, plan.folding, scratch);
	out->value[LATENCY] = out->value[CYCLES] / fpga->cfg.clock;
	out->value[INTERVAL] = (double)plan.interval_cycles / fpga->cfg.clock;
	for (int r = 0; r < FPGA_RESOURCES; r++)
		out->value[resource_metric[r]] = (double)plan.use.of[r];
	for (size_t i = 0; i < N_METRICS; i++)
		out->bound[i] = i <= INTERVAL && !plan.exact;
	return NASC_OK;
}

/* ---- target ------------------------------------------------------------------------ */

static enum nasc_status open(struct costmodel *m, struct nasc_err *err)
{
	struct fpga *fpga = m->cfg;
	const struct fpga_cfg *cfg = &fpga->cfg;

	(void)err;
	fpga->device = (struct fpga_use){ { [FPGA_DSP] = (uint64_t)cfg->dsp,
					    [FPGA_BRAM] = (uint64_t)cfg->bram_18k,
					    [FPGA_LUT] = (uint64_t)cfg->lut,
					    [FPGA_FF] = (uint64_t)cfg->ff } };
	fpga->arithmetic =
		(struct fpga_arithmetic){ .weight_bits = (uint32_t)cfg->weight_bits,
					  .activation_bits = (uint32_t)cfg->activation_bits,
					  .lut_multipliers = cfg->multipliers == 1,
					  .thresholds = cfg->requantise == 1 };
	snprintf(fpga->model, sizeof fpga->model, "fpga/dataflow-w%da%d", (int)cfg->weight_bits,
		 (int)cfg->activation_bits);
	m->model = fpga->model;
	return NASC_OK;
}

static const char *provenance(const struct costmodel *m, size_t i)
{
	static const char *const text[N_METRICS] = {
		[CYCLES] = "predicted: HLS-stage estimate, engines by FINN-R formulas, the image "
			   "already on chip",
		[LATENCY] = "predicted: HLS-stage estimate, engines by FINN-R formulas, at the "
			    "target's clock, which routing may not reach",
		[INTERVAL] =
			"predicted: HLS-stage estimate, cycles of the slowest engine by FINN-R "
			"formulas, at the target's clock, which routing may not reach",
		[DSP] = "predicted: HLS-stage estimate by FINN-R formulas; synthesis agrees within "
			"1 % on hls4ml designs",
		[BRAM] = "predicted: HLS-stage estimate by the shapes of RAMB18; synthesis "
			 "typically "
			 "2.2x lower on hls4ml designs",
		[LUT] = "predicted: HLS-stage estimate by FINN-R formulas; LUT after synthesis "
			"typically 1.4-5.8x lower",
		[FF] = "predicted: HLS-stage estimate from one synthesised multiply-accumulate; "
		       "synthesis typically 1.2-2.1x lower",
	};

	(void)m;
	return text[i];
}

static size_t limits(const struct costmodel *m, struct cost_limit *out)
{
	const struct fpga *fpga = m->cfg;

	for (int r = 0; r < FPGA_RESOURCES; r++)
		out[r] = (struct cost_limit){ (size_t)resource_metric[r],
					      (double)fpga->device.of[r] };
	return FPGA_RESOURCES;
}

const struct costmodel_ops costmodel_fpga = {
	.name = "fpga",
	.summary = "dataflow accelerator, one engine a layer: cycles, DSP, BRAM, LUT, FF",
	.source = "Blott et al., FINN-R, ACM TRETS 11(3) 2018",
	.metric = metrics,
	.n_metrics = N_METRICS,
	.fields = fields,
	.cfg_size = sizeof(struct fpga),
	.open = open,
	.cost = cost,
	.provenance = provenance,
	.limits = limits,
};
