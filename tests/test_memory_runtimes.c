#include <criterion/criterion.h>

#include "buffers.h"
#include "cost_fixture.h"
#include "rng.h"

TestSuite(memory_runtimes, .fini = no_leaks);

static void plan(const struct network *net, enum mcu_memory_model model, struct arena *a,
		 struct network *folded, struct mcu_memory *out)
{
	const struct mcu_memory_rules rules = { model, 8, true, true, false, false };

	network_fold(net, a, folded, NULL);
	mcu_memory_plan(folded, &rules, a, out);
}

static uint64_t bytes(const struct network *net, enum mcu_memory_model model)
{
	struct arena a = { 0 };
	struct network folded;
	struct mcu_memory m;

	plan(net, model, &a, &folded, &m);
	arena_free(&a);
	return m.peak_bytes + m.column_bytes + m.kernel_bytes;
}

/* TinyEngine's README, STM32H743: 49, 215 and 416 KiB; from its sources 48.9, 214.6 and 416.1. */
Test(memory_runtimes, tinyengine_published)
{
	static const double published[] = { 48.9, 214.6, 416.1 };
	struct arena a = { 0 };

	for (size_t i = 0; i < 3; i++) {
		struct network net;

		mcunet(&net, &mcunets[i], &a);
		cr_expect_float_eq((double)bytes(&net, MCU_TINYENGINE) / 1024, published[i], 0.05,
				   "%s", mcunets[i].name);
	}
	arena_free(&a);
}

/* Column tflm_greedy_bytes_from_file of measured models, computed from the .tflite files by
 * another implementation of the planner. */
Test(memory_runtimes, tflm_published)
{
	struct arena a = { 0 };
	struct network net;

	mobilenet_v1(&net, &a);
	cr_expect_eq(bytes(&net, MCU_TFLM), 73728);
	ds_cnn(&net, &a);
	cr_expect_eq(bytes(&net, MCU_TFLM), 16000);
	resnet8(&net, &a);
	cr_expect_eq(bytes(&net, MCU_TFLM), 49152);
	autoencoder(&net, &a);
	cr_expect_eq(bytes(&net, MCU_TFLM), 768);
	arena_free(&a);
}

/* A pad in front of a convolution: TFLM writes the padded map, 10x10x4, beside the 8x8x4 one that
 * it copies; TinyEngine's convolution pads by itself, 8x8x4 beside its output of 4x4x8, an
 * im2col buffer of two columns of 9 x 4 and a kernel, in 16 bits. */
Test(memory_runtimes, pads_are_tensors_where_they_run)
{
	static const char *const text[] = { "tflm", "tinyengine" };
	static const double bytes[] = { 400 + 256, 256 + 128 + 4 * 9 * 4 + 2 * 9 * 4 * 8 };
	struct arena a = { 0 };
	struct network net;
	uint32_t x;

	network_init(&net, &a, (struct net_shape){ 8, 8, 4 });
	x = network_append(&net,
			   &(struct net_op){ .kind = NET_PAD,
					     .pad_top = 1,
					     .pad_left = 1,
					     .pad_bottom = 1,
					     .pad_right = 1 },
			   (uint32_t[]){ 0 }, 1);
	network_conv2d(&net, x, 8, 3, 2, 1, NET_VALID, true);
	infer(&net);
	for (size_t i = 0; i < 2; i++) {
		char target[256];
		struct costmodel m;
		struct cost c = { .per_op = NULL };

		snprintf(target, sizeof target,
			 "model: mcu\nsummary: s\nruntime: r\nclock: 1 MHz\nsram: 1 MiB\nflash: 1 "
			 "MiB\nmemory: %s\n",
			 text[i]);
		open_text(&m, target, &a);
		cost_of(&m, &net, &a, &c);
		cr_expect_eq(c.value[0], bytes[i], "%s: %g", text[i], c.value[0]);
	}
	arena_free(&a);
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* Operators over maps of @side x @side, of random width, each reading one or two of the five before
 * it. */
static void random_network(struct network *net, struct arena *a, struct rng *r, uint32_t side)
{
	uint32_t n = (uint32_t)rng_between(r, 3, 24);

	network_init(net, a, (struct net_shape){ side, side, (uint32_t)rng_between(r, 1, 8) });
	for (uint32_t i = 1; i < n; i++) {
		uint32_t back = i < 5 ? i : 5;
		uint32_t in[2] = { i - 1 - (uint32_t)rng_below(r, back),
				   i - 1 - (uint32_t)rng_below(r, back) };

		switch (rng_below(r, 5)) {
		case 0:
			network_depthwise(net, in[0], 3, 1, NET_SAME, true);
			break;
		case 1:
			network_merge(net, NET_CONCAT, in, 2);
			break;
		case 2:
			if (i > 1)
				infer(net);
			if (net->op[in[1]].out.c != net->op[in[0]].out.c)
				in[1] = in[0];
			network_merge(net, NET_ADD, in, 2);
			break;
		default:
			network_conv2d(net, in[0], (uint32_t)rng_between(r, 1, 12), 1, 1, 1,
				       NET_SAME, true);
		}
		net->op[0].out = net->input;
	}
	infer(net);
}

/* The rule of the planner, written down again: by size, of equal sizes the later one first, each
 * at the lowest multiple of 16 where no byte is taken while it lives. */
static uint64_t greedy_again(const struct cost_buffer *b, uint32_t n)
{
	uint64_t offset[32], top = 0;
	bool placed[32] = { false };

	for (uint32_t round = 0; round < n; round++) {
		uint32_t next = n;
		bool free = false;

		for (uint32_t i = 0; i < n; i++)
			if (!placed[i] && (next == n || b[i].size >= b[next].size))
				next = i;
		for (offset[next] = 0; !free; offset[next] += free ? 0 : 16) {
			uint64_t size = (b[next].size + 15) / 16 * 16;

			free = true;
			for (uint32_t i = 0; i < n; i++)
				if (placed[i] && at_once(&b[i], &b[next]) &&
				    offset[next] < offset[i] + (b[i].size + 15) / 16 * 16 &&
				    offset[i] < offset[next] + size)
					free = false;
		}
		placed[next] = true;
		cr_assert_eq(b[next].offset, offset[next]);
		if (offset[next] + (b[next].size + 15) / 16 * 16 > top)
			top = offset[next] + (b[next].size + 15) / 16 * 16;
	}
	return top;
}

Test(memory_runtimes, tflm_equals_the_rule_on_random_graphs)
{
	struct arena a = { 0 };
	struct rng r;

	rng_seed(&r, 5, 6);
	for (int k = 0; k < 500; k++) {
		struct arena_mark mark = arena_mark(&a);
		struct network net, folded;
		struct mcu_memory m;

		random_network(&net, &a, &r, 4);
		plan(&net, MCU_TFLM, &a, &folded, &m);
		cr_assert_eq(m.peak_bytes, greedy_again(m.buffer, m.n_buffers), "graph %d", k);
		arena_rewind(&a, mark);
	}
	arena_free(&a);
}

Test(memory_runtimes, addresses_do_not_collide)
{
	struct arena a = { 0 };
	struct rng r;
	int exact = 0;

	rng_seed(&r, 7, 9);
	for (int k = 0; k < 1000; k++) {
		struct arena_mark mark = arena_mark(&a);
		const struct mcu_memory_rules rules = {
			MCU_IDEAL, 8, true, rng_below(&r, 2) != 0, rng_below(&r, 2) != 0, false
		};
		struct network net, folded;
		struct mcu_memory m;
		uint64_t arena;

		random_network(&net, &a, &r, 4);
		network_fold(&net, &a, &folded, NULL);
		mcu_memory_plan(&folded, &rules, &a, &m);
		arena = mcu_memory_place(&folded, &rules, &m, &a);
		cr_assert_geq(arena, m.peak_bytes);
		check_addresses(&m, arena);
		exact += arena == m.peak_bytes;
		plan(&net, MCU_TINYENGINE, &a, &folded, &m);
		check_addresses(&m, m.peak_bytes);
		arena_rewind(&a, mark);
	}
	cr_assert_gt(exact, 600, "without a gap in %d cases only", exact);
	arena_free(&a);
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static uint64_t map_bytes(const struct network *net, uint32_t i)
{
	return (net_elements(net->op[i].out) + 3) / 4 * 4;
}

/* Step by step: what an operator writes and works in touches nothing that is read now or later,
 * but an input that dies there and that its kernel may overwrite. */
static void check_firmware(const struct network *net, const struct firmware_plan *p)
{
	uint32_t step[64], last[64];

	for (uint32_t k = 0; k < net->n_ops; k++)
		step[p->order[k]] = last[p->order[k]] = k;
	for (uint32_t i = 0; i < net->n_ops; i++)
		for (uint32_t e = 0; e < net->op[i].n_inputs; e++) {
			uint32_t in = network_inputs(net, i)[e];

			cr_assert_lt(step[in], step[i]);
			last[in] = step[i] > last[in] ? step[i] : last[in];
		}
	last[net->n_ops - 1] = (uint32_t)net->n_ops;
	for (uint32_t k = 0; k < net->n_ops; k++) {
		uint32_t op = p->order[k];
		uint64_t size = map_bytes(net, op), scratch = firmware_scratch_bytes(net, op);
		enum net_kind kind = net->op[op].kind;
		bool may = kind == NET_ADD || kind == NET_BATCH_NORM || kind == NET_RELU ||
			   kind == NET_RELU6 || kind == NET_SOFTMAX ||
			   (kind == NET_DEPTHWISE && firmware_in_place(net, op));

		cr_assert_eq(p->output[op] % 4 + p->scratch[op] % 4, 0);
		cr_assert_leq(p->output[op] + size, p->arena_bytes);
		cr_assert_leq(p->scratch[op] + scratch, p->arena_bytes);
		cr_assert(!scratch || !overlap(p->output[op], size, p->scratch[op], scratch));
		for (uint32_t t = 0; t < net->n_ops; t++) {
			bool alive = t != op && step[t] < k && last[t] >= k;
			bool dies = alive && last[t] == k;

			if (!alive)
				continue;
			cr_assert(!scratch || !overlap(p->output[t], map_bytes(net, t),
						       p->scratch[op], scratch));
			cr_assert(!overlap(p->output[t], map_bytes(net, t), p->output[op], size) ||
				  (may && dies && p->output[t] == p->output[op]));
		}
	}
}

Test(memory_runtimes, firmware_overwrites_nothing_that_is_needed)
{
	struct arena a = { 0 };
	struct rng r;
	int unread = 0;

	rng_seed(&r, 17, 3);
	for (int k = 0; k < 1000; k++) {
		struct arena_mark mark = arena_mark(&a);
		struct network net, used, folded;
		struct firmware_plan p;
		struct mcu_memory m;

		random_network(&net, &a, &r, 3); /* not in words */
		network_used(&net, &a, &used, ARENA_NEW(&a, uint32_t, net.n_ops));
		network_fold(&used, &a, &folded, NULL);
		unread += used.n_ops < net.n_ops;
		mcu_firmware_plan(NULL, &net, &a, &p);
		cr_assert_eq(p.n_ops, folded.n_ops);
		check_firmware(&folded, &p);
		plan(&used, MCU_NASC, &a, &folded, &m);
		cr_assert_eq(m.peak_bytes, p.arena_bytes);
		arena_rewind(&a, mark);
	}
	cr_assert_gt(unread, 100);
	arena_free(&a);
}

/* By hand: 16x16x4 in, a 1x1 convolution to 8 channels (16 bytes of work), a 3x3 depthwise
 * convolution in place. */
Test(memory_runtimes, firmware_by_hand)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct firmware_plan p;
	struct network net;

	network_init(&net, &a, (struct net_shape){ 16, 16, 4 });
	network_conv2d(&net, 0, 8, 1, 1, 1, NET_SAME, true);
	network_depthwise(&net, 1, 3, 1, NET_SAME, true);
	cr_assert_eq(network_infer(&net, &err), NASC_OK);
	mcu_firmware_plan(NULL, &net, &a, &p);
	cr_expect_eq(p.arena_bytes, 16 * 16 * (4 + 8) + 16);
	cr_expect_eq(p.output[1], p.output[2]);

	/* of stride 2 it has a place of its own */
	network_init(&net, &a, (struct net_shape){ 8, 8, 4 });
	network_depthwise(&net, 0, 3, 2, NET_SAME, true);
	cr_assert_eq(network_infer(&net, &err), NASC_OK);
	mcu_firmware_plan(NULL, &net, &a, &p);
	cr_expect_eq(p.arena_bytes, (8 * 8 + 4 * 4) * 4 + firmware_scratch_bytes(&net, 1));
	arena_free(&a);
}
