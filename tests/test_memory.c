#include <criterion/criterion.h>

#include "cost_fixture.h"
#include "rng.h"

TestSuite(memory, .fini = no_leaks);

/* Lin et al., MCUNetV2: 1372 KiB layer by layer, which is 112^2 * (16 + 96) with
 * depthwise in place; without, 112^2 * 96 + 56^2 * 96 = 1470 KiB. */
Test(memory, mobilenet_v2_published)
{
	struct arena a = { 0 };
	struct network net;

	mobilenet_v2(&net, &a);
	cr_assert_eq(peak(&net, true, true, NULL), 1372 * 1024);
	cr_assert_eq(peak(&net, true, false, NULL), 1470 * 1024);
	arena_free(&a);
}

/* ResNet8: three 32x32x16 maps, of which the sum shares one: the first block's
 * second convolution reads one, writes one and keeps the block's input. The
 * published live set of the .tflite is the same 49,152 bytes.
 * MobileNetV1: the first pointwise writes 48x48x16 from 48x48x8. */
Test(memory, mlperf_tiny_published)
{
	struct arena a = { 0 };
	struct network net;

	resnet8(&net, &a);
	cr_assert_eq(peak(&net, true, false, NULL), 49152);
	mobilenet_v1(&net, &a);
	cr_assert_eq(peak(&net, true, false, NULL), 55296);
	ds_cnn(&net, &a);
	cr_assert_eq(peak(&net, true, false, NULL), 16000);
	autoencoder(&net, &a);
	cr_assert_eq(peak(&net, true, false, NULL), 768);
	arena_free(&a);
}

/* The other implementation: every order, tried one after the other. */
struct brute {
	const struct network *net;
	bool inplace, counted;
	uint64_t size[16], best;
	uint32_t n;
};

static bool reads(const struct network *net, uint32_t op, uint32_t t)
{
	for (uint32_t k = 0; k < net->op[op].n_inputs; k++)
		if (network_inputs(net, op)[k] == t)
			return true;
	return false;
}

static bool needed(const struct brute *b, uint32_t t, uint32_t done)
{
	if (t == b->n - 1)
		return true;
	for (uint32_t op = 0; op < b->n; op++)
		if (!(done >> op & 1) && reads(b->net, op, t))
			return true;
	return false;
}

static uint64_t brute_step(const struct brute *b, uint32_t op, uint32_t done)
{
	const struct net_op *o = &b->net->op[op];
	uint64_t bytes = b->size[op], dead = 0, saved = 0;

	for (uint32_t t = 0; t < b->n; t++) {
		if (!(done >> t & 1) || !needed(b, t, done))
			continue;
		bytes += b->size[t];
		if (needed(b, t, done | 1u << op))
			continue;
		dead += b->size[t];
		switch (o->kind) {
		case NET_ADD:
		case NET_BATCH_NORM:
		case NET_RELU:
		case NET_SOFTMAX:
			if (b->size[t])
				saved = b->size[op];
			break;
		case NET_CONCAT:
			saved = dead;
			break;
		case NET_DEPTHWISE:
			if (b->inplace && b->size[t] >= b->size[op])
				saved = b->size[op] - (uint64_t)o->out.h * o->out.w;
			break;
		default:
			break;
		}
	}
	return bytes - saved;
}

static void brute_force(struct brute *b, uint32_t done, uint64_t so_far)
{
	if (done == (1u << b->n) - 1) {
		if (so_far < b->best)
			b->best = so_far;
		return;
	}
	for (uint32_t op = 0; op < b->n; op++) {
		uint64_t bytes;
		bool ready = !(done >> op & 1);

		for (uint32_t t = 0; ready && t < b->n; t++)
			ready = !reads(b->net, op, t) || done >> t & 1;
		if (!ready)
			continue;
		bytes = brute_step(b, op, done);
		brute_force(b, done | 1u << op, bytes > so_far ? bytes : so_far);
	}
}

/* Random operators over random earlier ones; all maps 4x4 so that any two can
 * be merged, widths differ. */
static void random_network(struct network *net, struct arena *a, struct rng *r)
{
	uint32_t n = (uint32_t)rng_between(r, 3, 9);

	network_init(net, a, (struct net_shape){ 4, 4, (uint32_t)rng_between(r, 1, 8) });
	for (uint32_t i = 1; i < n; i++) {
		uint32_t x = (uint32_t)rng_below(r, i);
		uint32_t in[3] = { x, (uint32_t)rng_below(r, i), (uint32_t)rng_below(r, i) };
		uint32_t c = (uint32_t)rng_between(r, 1, 12);

		switch (rng_below(r, 6)) {
		case 0:
			network_unary(net, NET_BATCH_NORM, x);
			break;
		case 1:
			network_depthwise(net, x, 3, 1, NET_SAME, false);
			break;
		case 2:
			network_merge(net, NET_CONCAT, in, (size_t)rng_between(r, 2, 3));
			break;
		case 3:
			if (i > 1)
				infer(net);
			for (int k = 1; k < 3; k++)
				if (net->op[in[k]].out.c != net->op[x].out.c)
					in[k] = x;
			network_merge(net, NET_ADD, in, 3);
			break;
		default:
			network_conv2d(net, x, c, 1, 1, 1, NET_SAME, false);
		}
	}
	infer(net);
}

Test(memory, equals_brute_force_on_random_graphs)
{
	struct arena a = { 0 };
	struct rng r;
	int shared = 0;

	rng_seed(&r, 1, 2);
	for (int k = 0; k < 3000; k++) {
		struct arena_mark mark = arena_mark(&a);
		struct network net;
		struct mcu_memory memory;
		struct mcu_memory_rules rules = {
			MCU_IDEAL, 8, rng_below(&r, 2) != 0, rng_below(&r, 2) != 0, false, false
		};
		struct brute b = { .net = &net,
				   .inplace = rules.inplace_depthwise,
				   .best = UINT64_MAX };
		uint64_t listed = 0;

		random_network(&net, &a, &r);
		b.n = (uint32_t)net.n_ops;
		for (uint32_t i = 0; i < b.n; i++) {
			b.size[i] = i || rules.count_input ? net_elements(net.op[i].out) : 0;
		}
		brute_force(&b, 1, b.size[0]);
		for (uint32_t i = 1; i < b.n; i++) {
			uint64_t bytes = brute_step(&b, i, (1u << i) - 1);

			listed = bytes > listed ? bytes : listed;
		}
		mcu_memory_plan(&net, &rules, &a, &memory);
		cr_assert(memory.exact);
		cr_assert_eq(memory.peak_bytes, b.best, "graph %d: %llu, brute force %llu", k,
			     (unsigned long long)memory.peak_bytes, (unsigned long long)b.best);
		/* the order is one, and its bytes are what the other code counts */
		for (uint32_t i = 0, done = 0; i < b.n; i++) {
			uint32_t op = memory.order[i];

			cr_assert_not(done >> op & 1);
			for (uint32_t t = 0; t < b.n; t++)
				cr_assert(!reads(&net, op, t) || done >> t & 1);
			cr_assert_eq(memory.live[i], brute_step(&b, op, done));
			done |= 1u << op;
		}
		shared += listed != b.best;
		arena_rewind(&a, mark);
	}
	cr_assert_gt(shared, 100, "the order mattered in %d graphs only", shared);
	arena_free(&a);
}

/* 400 branches of three operators, all of one input: 4^400 sets of executed operators.
 * The plan ends; and whatever it finds holds all branches' ends and no more than one
 * branch's inner maps (at most 64 + 16 channels) besides, as the order one branch
 * after the other does. The cost says when that is an upper bound. */
Test(memory, hostile_graphs_end)
{
	struct arena a = { 0 };
	struct rng r;
	struct network net;
	struct costmodel m;
	struct cost c = { .per_op = NULL };
	uint32_t leaf[400], x;
	uint64_t bytes, all = 0;
	bool exact;

	rng_seed(&r, 3, 4);
	network_init(&net, &a, (struct net_shape){ 8, 8, 4 });
	for (uint32_t i = 0; i < 400; i++) {
		x = network_conv2d(&net, 0, (uint32_t)rng_between(&r, 8, 64), 3, 1, 1, NET_SAME,
				   true);
		x = network_conv2d(&net, x, (uint32_t)rng_between(&r, 1, 16), 3, 1, 1, NET_SAME,
				   true);
		leaf[i] = network_conv2d(&net, x, (uint32_t)rng_between(&r, 8, 24), 3, 1, 1,
					 NET_SAME, true);
	}
	network_merge(&net, NET_CONCAT, leaf, 400);
	infer(&net);
	for (uint32_t i = 0; i < 400; i++)
		all += net_elements(net.op[leaf[i]].out);
	bytes = peak(&net, true, false, &exact);
	cr_assert_geq(bytes, all);
	cr_assert_leq(bytes, all + 64 * (64 + 16 + 4));
	open_target(&m, "stm32h743", &a);
	cost_of(&m, &net, &a, &c);
	cr_assert_eq(c.value[0], (double)bytes);
	cr_assert_eq(c.bound[0], !exact);
	arena_free(&a);
}

/* 10,000 operators in a row: the largest in + out, by hand. */
Test(memory, long_chains)
{
	struct arena a = { 0 };
	struct network net;
	uint32_t x = 0;
	bool exact;

	network_init(&net, &a, (struct net_shape){ 16, 16, 4 });
	for (uint32_t i = 0; i < 10000; i++)
		x = network_conv2d(&net, x,
				   i == 5000   ? 31
				   : i == 5001 ? 30
					       : 8,
				   1, 1, 1, NET_SAME, true);
	infer(&net);
	cr_assert_eq(peak(&net, true, false, &exact), 256 * (31 + 30));
	cr_assert(exact);
	arena_free(&a);
}

/* Two branches of 60 operators that meet in a concat: a table over how far each one
 * is gives the smallest peak; the concat lies over both, which die there. */
Test(memory, two_long_branches)
{
	enum { N = 60 };
	struct arena a = { 0 };
	struct rng r;
	int mattered = 0;

	rng_seed(&r, 7, 8);
	for (int k = 0; k < 40; k++) {
		struct arena_mark mark = arena_mark(&a);
		static uint64_t best[N + 1][N + 1];
		uint64_t size[2][N + 1], image = 16 * 4, one_by_one;
		struct network net;
		uint32_t end[2] = { 0, 0 };
		bool exact;

		network_init(&net, &a, (struct net_shape){ 4, 4, 4 });
		for (int b = 0; b < 2; b++)
			for (int i = 1; i <= N; i++) {
				uint32_t c = (uint32_t)rng_between(&r, 1, 40);

				end[b] = network_conv2d(&net, end[b], c, 1, 1, 1, NET_SAME, true);
				size[b][i] = 16 * (uint64_t)c;
			}
		network_merge(&net, NET_CONCAT, end, 2);
		infer(&net);
		size[0][0] = size[1][0] = 0;
		for (int i = 0; i <= N; i++)
			for (int j = 0; j <= N; j++) {
				uint64_t now = UINT64_MAX;

				for (int b = 0; b < 2; b++) {
					int p = i - (b == 0), q = j - (b == 1);
					uint64_t during;

					if (p < 0 || q < 0)
						continue;
					during = size[0][p] + size[1][q] +
						 (p == 0 || q == 0 ? image : 0) +
						 size[b][b == 0 ? i : j];
					during = during > best[p][q] ? during : best[p][q];
					now = during < now ? during : now;
				}
				best[i][j] = i + j ? now : image;
			}
		cr_assert_eq(peak(&net, true, false, &exact), best[N][N], "case %d", k);
		cr_assert(exact);
		one_by_one = 0;
		for (int i = 1; i <= N; i++) {
			uint64_t during =
				size[0][N] + size[1][i - 1] + size[1][i] + (i == 1 ? image : 0);

			one_by_one = during > one_by_one ? during : one_by_one;
		}
		mattered += one_by_one > best[N][N];
		arena_rewind(&a, mark);
	}
	cr_assert_gt(mattered, 10);
	arena_free(&a);
}
