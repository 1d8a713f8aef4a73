#include <criterion/criterion.h>

#include "buffers.h"
#include "cost_fixture.h"
#include "mcu_schedule.h"
#include "rng.h"

TestSuite(memory_patches, .fini = no_leaks);

static uint64_t in_parts(const struct network *net, const struct mcu_memory_rules *rules,
			 uint32_t end, uint32_t grid, double *macs)
{
	struct arena a = { 0 };
	struct network folded;
	struct mcu_parts p;
	uint64_t peak;

	network_fold(net, &a, &folded, NULL);
	mcu_parts_init(&p, &folded, rules, end, grid, &a);
	peak = mcu_parts_peak(&p);
	*macs = 0;
	for (size_t i = 0; i < folded.n_ops; i++)
		*macs += p.area[i] * (double)network_op_macs(&folded, i);
	arena_free(&a);
	return peak;
}

/* MCUNetV2's 1372 -> 172 kB. By hand: behind the block that first has 28x28 outputs (operator 13)
 * the rest needs 28^2 * (32 + 192) bytes, 171.5 KiB, and a spare plane of 28^2; its 4x4 parts of
 * 7x7 reach back to 35x35 in front of the depthwise convolution of stride 2, so 35^2 * (16 + 96)
 * and a plane less, and 24.5 KiB of whole output. 2x2 parts: 61^2 * (16 + 96) and 24.5 KiB. MACs of
 * convolutions with halos cut off at the borders: +2.9 %, +6.0 % and +9.3 %; a block later +26.4 %.
 */
Test(memory_patches, mobilenet_v2_in_patches)
{
	const struct mcu_memory_rules rules = { MCU_IDEAL, 8, false, true, true, false };
	struct arena a = { 0 };
	struct network net;
	const double conv = 299494272;
	double base, macs;

	mobilenet_v2(&net, &a);
	cr_expect_eq(in_parts(&net, &rules, 0, 1, &base), 1372 * 1024);
	cr_expect_eq(in_parts(&net, &rules, 13, 2, &macs), 61 * 61 * (16 + 96) + 28 * 28 * 32);
	cr_expect_float_eq((macs - base) / conv, 0.029, 0.0005);
	in_parts(&net, &rules, 13, 3, &macs);
	cr_expect_float_eq((macs - base) / conv, 0.060, 0.0005);
	cr_expect_eq(in_parts(&net, &rules, 13, 4, &macs), 28 * 28 * (32 + 192 + 1));
	cr_expect_float_eq((macs - base) / conv, 0.093, 0.0005);
	in_parts(&net, &rules, 17, 4, &macs);
	cr_expect_float_eq((macs - base) / conv, 0.264, 0.0005);
	arena_free(&a);
}

/* Cells of each output that a part needs, found cell by cell. */
struct cells {
	bool need[8][24][24];
};

static void mark(const struct network *net, uint32_t op, uint32_t y, uint32_t x, struct cells *c)
{
	const struct net_op *o = &net->op[op];

	if (c->need[op][y][x])
		return;
	c->need[op][y][x] = true;
	if (o->kind == NET_UPSAMPLE) {
		mark(net, network_inputs(net, op)[0], y / o->stride, x / o->stride, c);
		return;
	}
	for (uint32_t k = 0; k < o->n_inputs; k++) {
		uint32_t in = network_inputs(net, op)[k];
		struct net_shape s = net->op[in].out;
		uint32_t kernel = o->kernel_h ? o->kernel_h : 1, stride = o->stride ? o->stride : 1;
		uint32_t all = (o->out.h - 1) * stride + kernel;
		uint32_t before = o->padding == NET_SAME && all > s.h ? (all - s.h) / 2 : 0;

		for (uint32_t i = 0; i < kernel * kernel; i++) {
			uint32_t v = y * stride + i / kernel, u = x * stride + i % kernel;

			if (v >= before && u >= before && v - before < s.h && u - before < s.w)
				mark(net, in, v - before, u - before, c);
		}
	}
}

/* A random prefix with a residual and with or without a larger map in between, in random parts:
 * the cells that are computed. */
Test(memory_patches, halo_equals_brute_force)
{
	const struct mcu_memory_rules rules = { MCU_IDEAL, 8, false, true, false, false };
	struct rng r;
	int more = 0;

	rng_seed(&r, 11, 12);
	for (int k = 0; k < 300; k++) {
		struct arena a = { 0 };
		uint32_t side = (uint32_t)rng_between(&r, 8, 24), x = 0, grid, end;
		uint64_t count[8] = { 0 };
		const struct net_op larger = { .kind = NET_UPSAMPLE, .stride = 2 };
		struct network net;
		struct mcu_parts p;

		network_init(&net, &a, (struct net_shape){ side, side, 3 });
		for (int i = 0; i < 3; i++) {
			x = network_conv2d(&net, x, 4, 3 + 2 * (uint32_t)rng_below(&r, 2),
					   1 + (uint32_t)rng_below(&r, 2), 1, NET_SAME, true);
			if (i == 1) {
				infer(&net);
				if (net.op[x].out.h <= 12 && rng_below(&r, 2))
					x = network_append(&net, &larger, &x, 1);
			}
		}
		x = network_merge(
			&net, NET_ADD,
			(uint32_t[]){ x, network_depthwise(&net, x, 3, 1, NET_SAME, true) }, 2);
		end = x;
		network_unary(&net, NET_GLOBAL_POOL, x);
		infer(&net);
		grid = (uint32_t)rng_between(&r, 2, 4);
		if (grid > net.op[end].out.h)
			grid = net.op[end].out.h;
		for (uint32_t part = 0; part < grid * grid && grid > 1; part++) {
			uint32_t h = net.op[end].out.h, gy = part / grid, gx = part % grid;
			struct cells c = { 0 };

			for (uint32_t y = gy * h / grid; y < (gy + 1) * h / grid; y++)
				for (uint32_t u = gx * h / grid; u < (gx + 1) * h / grid; u++)
					mark(&net, end, y, u, &c);
			for (uint32_t op = 0; op <= end; op++)
				for (uint32_t cell = 0; cell < 24 * 24; cell++)
					count[op] += c.need[op][cell / 24][cell % 24];
		}
		mcu_parts_init(&p, &net, &rules, end, grid, &a);
		for (uint32_t op = 1; op <= end && grid > 1; op++) {
			struct net_shape s = net.op[op].out;

			cr_assert_float_eq(p.area[op] * s.h * s.w, (double)count[op], 1e-6,
					   "case %d, operator %u", k, op);
			more += count[op] > (uint64_t)s.h * s.w;
		}
		arena_free(&a);
	}
	cr_assert_gt(more, 100);
}

/* Shrinking and growing maps, one after the other, as deployed. */
static void random_chain(struct network *net, struct arena *a, struct rng *r)
{
	uint32_t x = 0, n = (uint32_t)rng_between(r, 2, 8);

	network_init(net, a, (struct net_shape){ 24, 24, 3 });
	for (uint32_t i = 0; i < n; i++) {
		uint32_t kernel = 1 + 2 * (uint32_t)rng_below(r, 3);

		if (rng_below(r, 3))
			x = network_conv2d(net, x, (uint32_t)rng_between(r, 1, 12), kernel,
					   1 + (rng_below(r, 3) == 0), 1, NET_SAME, true);
		else
			x = network_depthwise(net, x, kernel, 1, NET_SAME, true);
	}
	network_unary(net, NET_GLOBAL_POOL, x);
	infer(net);
}

static double extra(const struct mcu_parts *p, uint32_t end, uint32_t grid,
		    const struct mcu_effort *effort)
{
	double sum = 0;

	for (uint32_t i = 1; i <= end; i++)
		sum += effort[i].output * (p->area[i] - 1) + effort[i].call * (grid * grid - 1);
	return sum;
}

/* Of every end and grid of a chain that saves SRAM one at least as good is listed, and none that is
 * listed is beaten; the list is cut short behind the first that is enough. */
Test(memory_patches, schedules_equal_brute_force)
{
	struct rng r;
	int several = 0;

	rng_seed(&r, 21, 22);
	for (int k = 0; k < 300; k++) {
		const enum mcu_memory_model models[] = { MCU_IDEAL, MCU_TINYENGINE, MCU_NASC };
		const struct mcu_memory_rules rules = {
			models[rng_below(&r, 3)], 8, rng_below(&r, 2) != 0, true, false, false
		};
		struct mcu_schedule_limits limits = { .grid = 5, .end = UINT32_MAX };
		double call = rng_below(&r, 2) ? 5000 : 0;
		struct arena a = { 0 };
		struct network net;
		struct mcu_schedule *list, *some;
		struct mcu_effort *effort;
		uint32_t n, at;

		random_chain(&net, &a, &r);
		if (rng_below(&r, 2))
			limits.end = (uint32_t)rng_below(&r, net.n_ops);
		effort = ARENA_NEW(&a, struct mcu_effort, net.n_ops);
		for (size_t i = 0; i < net.n_ops; i++)
			effort[i] = (struct mcu_effort){ (double)network_op_macs(&net, i), call };
		n = mcu_schedules(&net, &rules, &limits, effort, &a, &list);
		for (uint32_t i = 1; i < n; i++) {
			cr_assert_lt(list[i].peak_bytes, list[i - 1].peak_bytes);
			cr_assert_leq(list[i].end, limits.end);
			cr_assert(i == 1 || list[i].extra > list[i - 1].extra);
		}
		for (uint32_t end = 1; end + 1 < net.n_ops && end <= limits.end; end++)
			for (uint32_t g = 2; g <= 5 && g <= net.op[end].out.h; g++) {
				struct mcu_parts p;
				bool listed;
				double more;

				mcu_parts_init(&p, &net, &rules, end, g, &a);
				listed = mcu_parts_peak(&p) >= list[0].peak_bytes;
				more = extra(&p, end, g, effort);
				for (uint32_t i = 0; i < n; i++) {
					listed |= list[i].peak_bytes <= mcu_parts_peak(&p) &&
						  list[i].extra <= more + 1e-6;
					if (list[i].end == end && list[i].grid == g) {
						cr_assert_eq(list[i].peak_bytes,
							     mcu_parts_peak(&p));
						cr_assert_float_eq(list[i].extra, more, 1e-6);
					}
				}
				cr_assert(listed, "chain %d: %u x %u up to %u", k, g, g, end);
			}
		several += n > 2;
		at = (uint32_t)rng_below(&r, n);
		limits.enough = list[at].peak_bytes;
		cr_assert_eq(mcu_schedules(&net, &rules, &limits, effort, &a, &some), at + 1);
		cr_assert_eq(some[at].end, list[at].end);
		cr_assert_eq(some[at].grid, list[at].grid);
		arena_free(&a);
	}
	cr_assert_gt(several, 100, "%d", several);
}

/* 1,000 operators that could each end 15 grids, none of which helps; and where each helps. */
Test(memory_patches, long_networks_take_no_minute, .timeout = 30)
{
	const struct mcu_memory_rules rules = { MCU_TINYENGINE, 8, true, true, false, false };
	const struct mcu_schedule_limits limits = { .grid = 16, .end = UINT32_MAX };

	for (uint32_t shrink = 0; shrink < 2; shrink++) {
		struct arena a = { 0 };
		struct network net;
		struct mcu_schedule *list;
		struct mcu_effort *effort;
		uint32_t x = 0;

		network_init(&net, &a, (struct net_shape){ 64, 64, 4 });
		for (uint32_t i = 0; i < 1000; i++)
			x = network_conv2d(&net, x, shrink ? 1004 - i : 4, 3, 1, 1, NET_SAME, true);
		network_unary(&net, NET_GLOBAL_POOL, x);
		infer(&net);
		effort = ARENA_NEW(&a, struct mcu_effort, net.n_ops);
		for (size_t i = 0; i < net.n_ops; i++)
			effort[i].output = (double)network_op_macs(&net, i);
		cr_expect_eq(mcu_schedules(&net, &rules, &limits, effort, &a, &list) > 1, shrink);
		arena_free(&a);
	}
}

#define TARGET(sram, patches)                                                                      \
	"model: mcu\nsummary: test\nruntime: test\nclock: 100 MHz\nsram: " sram                    \
	"\nflash: 8 MiB\ninplace_depthwise: true\nfused_add: true\ncount_input: false\n"           \
	"cycles_conv: 1\ncycles_pointwise: 1\ncycles_depthwise: 1\ncycles_dense: "                 \
	"1\npatches: " patches "\n"

/* A target that has room runs layer by layer; one that has not, in the parts that take least time;
 * a tighter bound of the user counts as well; and recomputed MACs take time. */
Test(memory_patches, a_target_chooses_what_fits)
{
	static const char *const text[] = { TARGET("2 MiB", "4"), TARGET("440 KiB", "4"),
					    TARGET("100 KiB", "4"), TARGET("440 KiB", "1") };
	static const double grid[] = { 1, 2, 4, NAN },
			    kib[] = { 1372, 431.484375, 172.265625, 1372 };
	struct arena a = { 0 };
	struct network net;
	double latency[4];

	mobilenet_v2(&net, &a);
	for (size_t i = 0; i < 4; i++) {
		struct costmodel m;
		struct cost c = { .per_op = NULL };

		open_text(&m, text[i], &a);
		cost_of(&m, &net, &a, &c);
		cr_expect_eq(c.value[0], kib[i] * 1024, "%zu: %g KiB", i, c.value[0] / 1024);
		cr_expect(isnan(grid[i]) ? isnan(c.value[4]) : c.value[4] == grid[i]);
		latency[i] = c.value[2];
		if (i == 0) {
			m.within[0] = 440 * 1024;
			cost_of(&m, &net, &a, &c);
			cr_expect_eq(c.value[4], 2);
			m.within[5] = c.value[5] - 1;
			cost_of(&m, &net, &a, &c); /* an earlier end: more parts, more overlap */
			cr_expect(c.value[5] > 0 && c.value[5] <= m.within[5] && c.value[4] > 2);
			cr_expect_leq(c.value[0], 440 * 1024);
			m.within[4] = 1;
			cost_of(&m, &net, &a, &c);
			cr_expect_eq(c.value[4], 1);
		}
	}
	cr_expect_float_eq(latency[1] / latency[0], 1.029, 0.001);
	cr_expect_float_eq(latency[2] / latency[0], 1.093, 0.001);
	cr_expect_eq(latency[3], latency[0]);
	arena_free(&a);
}

/* Calls that take long: by overlap alone others would be first. */
Test(memory_patches, calls_count_in_the_choice)
{
	struct arena a = { 0 };
	struct cost_schedule *list;
	struct network net;
	struct costmodel m;
	uint32_t n;

	mobilenet_v2(&net, &a);
	open_text(&m, TARGET("100 KiB", "4") "cycles_layer: 1000000\n", &a);
	n = m.ops->schedules(&m, &net, &a, &list);
	cr_assert_gt(n, 3);
	for (uint32_t i = 1; i < n; i++) {
		cr_expect_gt(list[i].latency_s, list[i - 1].latency_s);
		cr_expect_lt(list[i].sram_bytes, list[i - 1].sram_bytes);
	}
	arena_free(&a);
}

/* The picture has every byte of the peak, and the whole output of the patched part from the
 * beginning to its last reader. */
Test(memory_patches, picture_of_patches)
{
	struct arena a = { 0 };
	struct network net;
	struct costmodel m;
	struct cost_memory memory;
	struct mcu_memory as_plan = { 0 };
	bool whole = false;

	mobilenet_v2(&net, &a);
	open_text(&m, TARGET("100 KiB", "4"), &a);
	m.ops->memory(&m, &net, &a, &memory);
	cr_assert_eq(memory.grid, 4);
	cr_assert_eq(memory.n_patched, 14);
	cr_assert_eq(memory.peak_bytes, 28 * 28 * (32 + 192 + 1));
	cr_assert_eq(memory.arena_bytes, memory.peak_bytes);
	as_plan.buffer = memory.buffer;
	as_plan.n_buffers = memory.n_buffers;
	check_addresses(&as_plan, memory.arena_bytes);
	for (uint32_t i = 0; i < memory.n_buffers; i++)
		whole |= memory.buffer[i].from == 0 && memory.buffer[i].size == 28 * 28 * 32 &&
			 memory.buffer[i].to > 14;
	cr_assert(whole);
	arena_free(&a);
}
