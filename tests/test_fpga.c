#include <criterion/criterion.h>

#include "cost_fixture.h"
#include "fpga_fold.h"
#include "fpga_stage.h"
#include "rng.h"

TestSuite(fpga, .fini = no_leaks);

static const struct fpga_arithmetic int8 = { 8, 8, false, false };

/* RAMB18 that yosys 0.23 (xcup) infers for seven memories; RAMB36 counts twice. */
Test(fpga, memories_equal_synthesis)
{
	static const struct {
		uint64_t depth, width, bram;
	} made[] = { { 512, 8, 1 },  { 1024, 18, 1 }, { 1024, 36, 2 }, { 512, 72, 2 },
		     { 4096, 8, 2 }, { 32, 8, 0 },    { 100, 16, 0 } };

	for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
		struct fpga_use u = fpga_memory_use(made[i].width, made[i].depth);

		cr_assert_eq(u.of[FPGA_BRAM], made[i].bram, "%d x %d", (int)made[i].depth,
			     (int)made[i].width);
		cr_assert_eq(u.of[FPGA_LUT] > 0, made[i].bram == 0);
	}
	/* UG573: 16k x 1, 8k x 2, 4k x 4, 2k x 9, 1k x 18, 512 x 36 */
	cr_assert_eq(fpga_bram18(1, 16384), 1);
	cr_assert_eq(fpga_bram18(1, 16385), 2);
	cr_assert_eq(fpga_bram18(2, 8193), 2);
	cr_assert_eq(fpga_bram18(3, 4096), 1);
	cr_assert_eq(fpga_bram18(9, 2049), 2);
	cr_assert_eq(fpga_bram18(36, 512), 1);
	cr_assert_eq(fpga_bram18(36, 513), 2);
	cr_assert_eq(fpga_bram18(72, 600), 4);
}

/* 1x1, 16 -> 8 channels with bias on 4x4, PE 2, SIMD 4:
 * cycles (8/2)(16/4)16. Sum: alpha = 4 + 16 - 2 = 18, ceil(18 + 1 + tiny) = 20 bits.
 * LUT 300 + 1.1 * 2 * (adders 16 * 7 + sum 20 + scaling 28) = 652, weights 64 bits x 16
 * words = 64, factors and biases 2 * (24 + 20) bits x 4 words = 88. DSP 8 + 2.
 * FF 300 + 2 * (4 * 32 + 20 + 4). */
Test(fpga, matrix_unit_by_hand)
{
	struct arena a = { 0 };
	struct network net;
	struct fpga_stage s;
	struct fpga_use u;
	const struct fpga_folding f = { 2, 4 };

	network_init(&net, &a, (struct net_shape){ 4, 4, 16 });
	network_conv2d(&net, 0, 8, 1, 1, 1, NET_SAME, true);
	infer(&net);
	s = fpga_stage_of(&net, 1);
	cr_assert_eq(fpga_stage_cycles(&s, f), 256);
	cr_assert_eq(fpga_accumulator_bits(16, &int8), 20);
	u = fpga_stage_use(&s, f, &int8);
	cr_assert_eq(u.of[FPGA_LUT], 804);
	cr_assert_eq(u.of[FPGA_DSP], 10);
	cr_assert_eq(u.of[FPGA_BRAM], 0);
	cr_assert_eq(u.of[FPGA_FF], 604);
	arena_free(&a);
}

/* All of FINN's terms, 4 bits, no bias: multiply 4 * (2 * 2 - 1) * 8 = 96, adders 8 * 7,
 * sum ceil(10 + 1 + tiny) = 12, thresholds 15 * 12 twice; int(300 + 1.1 * 2 * 524) = 1452 and
 * weights 2 * 4 * 4 bits x 16 words = 32. */
Test(fpga, matrix_unit_with_thresholds_by_hand)
{
	const struct fpga_arithmetic int4 = { 4, 4, true, true };
	struct arena a = { 0 };
	struct network net;
	struct fpga_stage s;
	struct fpga_use u;

	network_init(&net, &a, (struct net_shape){ 4, 4, 16 });
	network_conv2d(&net, 0, 8, 1, 1, 1, NET_SAME, false);
	infer(&net);
	s = fpga_stage_of(&net, 1);
	u = fpga_stage_use(&s, (struct fpga_folding){ 2, 4 }, &int4);
	cr_assert_eq(u.of[FPGA_LUT], 1484);
	cr_assert_eq(u.of[FPGA_DSP], 0);
	arena_free(&a);
}

/* 3x3, 32 -> 64 channels on 32x32, PE 1, SIMD 1: weights 18,432 words of 8 bits = 9 blocks,
 * three line memories of 1,024 x 8 bits = 1 block each, factors 64 words of 24 bits in
 * LUTs. Depthwise, PE 4: 288 / 4 = 72 words of 32 bits in LUTs. */
Test(fpga, memories_of_engines_by_hand)
{
	struct arena a = { 0 };
	struct network net;
	struct fpga_stage s;
	struct fpga_use u;

	network_init(&net, &a, (struct net_shape){ 32, 32, 32 });
	network_conv2d(&net, 0, 64, 3, 1, 1, NET_SAME, false);
	network_depthwise(&net, 0, 3, 1, NET_SAME, false);
	network_merge(&net, NET_CONCAT, (uint32_t[]){ 1, 2 }, 2);
	infer(&net);
	s = fpga_stage_of(&net, 1);
	u = fpga_stage_use(&s, (struct fpga_folding){ 1, 1 }, &int8);
	cr_assert_eq(u.of[FPGA_BRAM], 12);
	cr_assert_eq(fpga_stage_cycles(&s, (struct fpga_folding){ 1, 1 }), 18432u * 1024);
	s = fpga_stage_of(&net, 2);
	cr_assert_eq(fpga_stage_cycles(&s, (struct fpga_folding){ 4, 3 }), 8 * 3 * 1024);
	u = fpga_stage_use(&s, (struct fpga_folding){ 4, 1 }, &int8);
	cr_assert_eq(u.of[FPGA_BRAM], 3, "line memories of 256 x 32 bits only");
	arena_free(&a);
}

/* Every folding of three stages, in three loops. */
static uint64_t best_interval(const struct fpga_stage *s, size_t i, struct fpga_use used,
			      uint64_t slowest, const struct fpga_use *device,
			      const struct fpga_arithmetic *arithmetic)
{
	uint64_t best = UINT64_MAX;

	for (int r = 0; r < FPGA_RESOURCES; r++)
		if (used.of[r] > device->of[r])
			return UINT64_MAX;
	if (i == 3)
		return slowest;
	for (uint64_t pe = 1; pe <= s[i].mh; pe++)
		for (uint64_t simd = 1; simd <= s[i].mw; simd++) {
			struct fpga_folding f = { pe, simd };
			struct fpga_use sum = used, u;
			uint64_t cycles, interval;

			if (s[i].mh % pe || s[i].mw % simd)
				continue;
			u = fpga_stage_use(&s[i], f, arithmetic);
			fpga_use_add(&sum, &u);
			cycles = fpga_stage_cycles(&s[i], f);
			interval = best_interval(s, i + 1, sum, cycles > slowest ? cycles : slowest,
						 device, arithmetic);
			if (interval < best)
				best = interval;
		}
	return best;
}

Test(fpga, folding_equals_brute_force)
{
	struct arena a = { 0 };
	struct rng r;
	int feasible = 0;

	rng_seed(&r, 5, 6);
	for (int k = 0; k < 300; k++) {
		struct arena_mark mark = arena_mark(&a);
		struct fpga_arithmetic arithmetic = { (uint32_t)rng_between(&r, 2, 8),
						      (uint32_t)rng_between(&r, 2, 8),
						      rng_below(&r, 2) != 0,
						      rng_below(&r, 2) != 0 };
		struct fpga_use none = { { 0 } };
		struct fpga_use device = { { (uint64_t)rng_between(&r, 3, 150),
					     (uint64_t)rng_between(&r, 4, 40),
					     (uint64_t)rng_between(&r, 1500, 20000),
					     (uint64_t)rng_between(&r, 1500, 20000) } };
		struct fpga_stage s[3];
		struct fpga_plan plan;
		struct network net;
		uint64_t best;
		uint32_t x;

		network_init(&net, &a, (struct net_shape){ 12, 12, 4 });
		x = network_conv2d(&net, 0, (uint32_t)rng_between(&r, 2, 24), 3, 1, 1, NET_SAME,
				   true);
		x = network_depthwise(&net, x, 3, 2, NET_SAME, true);
		network_conv2d(&net, x, (uint32_t)rng_between(&r, 2, 48), 1, 1, 1, NET_SAME, true);
		infer(&net);
		for (size_t i = 0; i < 3; i++)
			s[i] = fpga_stage_of(&net, i + 1);
		best = best_interval(s, 0, none, 0, &device, &arithmetic);
		if (fpga_fold(s, 3, &none, &device, &arithmetic, &a, &plan)) {
			cr_assert(plan.exact);
			cr_assert_eq(plan.interval_cycles, best, "case %d: %d, brute force %d", k,
				     (int)plan.interval_cycles, (int)best);
			feasible++;
		} else {
			cr_assert_eq(best, UINT64_MAX, "case %d", k);
		}
		arena_rewind(&a, mark);
	}
	cr_assert(feasible > 100 && feasible < 300, "%d of 300 fit", feasible);
	arena_free(&a);
}

/* One engine: the image is through when it is done. Two: the second starts with the
 * first pixel, and ends one pixel's work after the first. */
Test(fpga, time_by_hand)
{
	struct arena a = { 0 };
	struct network net;
	struct costmodel m;
	struct cost c = { .per_op = NULL };

	network_init(&net, &a, (struct net_shape){ 4, 4, 2 });
	network_conv2d(&net, 0, 2, 1, 1, 1, NET_SAME, true);
	infer(&net);
	/* 3 DSP: one multiplier and one to scale, so PE 1, SIMD 2 would take 3 */
	open_text(
		&m,
		"model: fpga\nsummary: s\nclock: 1 kHz\ndsp: 2\nbram_18k: 9\nlut: 9999\nff: 9999\n",
		&a);
	cost_of(&m, &net, &a, &c);
	cr_assert_eq(c.value[0], 64);
	cr_assert_float_eq(c.value[1], 0.064, 1e-15);
	cr_assert_float_eq(c.value[2], 0.064, 1e-15);
	cr_assert_eq(c.value[3], 2);
	network_conv2d(&net, 1, 2, 1, 1, 1, NET_SAME, true);
	infer(&net);
	open_text(
		&m,
		"model: fpga\nsummary: s\nclock: 1 kHz\ndsp: 4\nbram_18k: 9\nlut: 9999\nff: 9999\n",
		&a);
	cost_of(&m, &net, &a, &c);
	cr_assert_eq(c.value[0], 64 + 4);
	cr_assert_float_eq(c.value[2], 0.064, 1e-15);
	arena_free(&a);
}

Test(fpga, larger_devices_are_never_slower)
{
	static const struct {
		char name[12];
		double clock;
	} device[] = { { "zynq7020", 100e6 }, { "zu3eg", 200e6 }, { "zu7ev", 200e6 } };
	struct arena a = { 0 };

	for (int k = 0; k < 4; k++) {
		struct network net;
		double before = INFINITY;

		(k == 0	  ? resnet8
		 : k == 1 ? ds_cnn
		 : k == 2 ? mobilenet_v1
			  : autoencoder)(&net, &a);
		for (size_t i = 0; i < 3; i++) {
			struct cost_limit limit[COST_MAX_METRICS];
			struct costmodel m;
			struct cost c = { .per_op = NULL };
			double cycles;

			open_target(&m, device[i].name, &a);
			cost_of(&m, &net, &a, &c);
			cycles = c.value[2] * device[i].clock;
			cr_assert_leq(cycles, before, "network %d on %s", k, device[i].name);
			before = cycles;
			for (size_t l = m.ops->limits(&m, limit); l-- > 0;)
				cr_assert_leq(c.value[limit[l].metric], limit[l].max);
			cr_assert_geq(c.value[0], cycles);
		}
	}
	arena_free(&a);
}

Test(fpga, too_small_a_device_is_infeasible)
{
	struct arena a = { 0 };
	struct network net;
	struct costmodel m;
	struct cost c = { .per_op = NULL };
	struct nasc_err err = { 0 };

	mobilenet_v2(&net, &a);
	open_target(&m, "zynq7020", &a);
	cr_assert_eq(m.ops->cost(&m, &net, &a, &c, &err), NASC_INFEASIBLE);
	cr_assert_not_null(strstr(err.msg, "engines need"), "%s", err.msg);
	arena_free(&a);
}
