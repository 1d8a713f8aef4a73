#include <criterion/criterion.h>
#include <math.h>

#include "leak.h"
#include "network_fixture.h"
#include "rng.h"

TestSuite(padding, .fini = no_leaks);

static void expect_pads(const struct network *net, uint32_t op, uint32_t top, uint32_t left,
			uint32_t bottom, uint32_t right)
{
	const struct net_op *o = &net->op[op];

	cr_assert(o->pad_top == top && o->pad_left == left && o->pad_bottom == bottom &&
			  o->pad_right == right,
		  "operator %u has %u, %u, %u, %u", op, o->pad_top, o->pad_left, o->pad_bottom,
		  o->pad_right);
}

static void explicit(struct network *net, uint32_t op, uint32_t top, uint32_t left, uint32_t bottom,
		     uint32_t right)
{
	struct net_op *o = &net->op[op];

	o->padding = NET_EXPLICIT;
	o->pad_top = top;
	o->pad_left = left;
	o->pad_bottom = bottom;
	o->pad_right = right;
}

/* Shapes, and the cells that network_infer() fills in, by hand. */
Test(padding, by_hand)
{
	struct arena a = { 0 };
	struct network net;

	network_init(&net, &a, (struct net_shape){ 8, 6, 4 });
	network_pad(&net, 0, 1, 2, 3, 0);
	network_conv2d(&net, 0, 2, 3, 2, 1, NET_VALID, true);
	explicit(&net, 2, 1, 1, 1, 1);
	network_depthwise(&net, 0, 3, 2, NET_SAME, true); /* 3 * 2 + 3 = 9: a cell more, below */
	network_pool(&net, NET_MAX_POOL, 0, 2, 2, NET_VALID);
	explicit(&net, 4, 1, 0, 1, 1);
	network_depthwise(&net, 0, 3, 1, NET_VALID, true);
	explicit(&net, 5, 4, 0, 0, 7); /* the first windows see padding alone */
	network_append(&net, &(struct net_op){ .kind = NET_UPSAMPLE, .stride = 3 },
		       (const uint32_t[]){ 4 }, 1);
	infer(&net);
	expect_shape(&net, 6, 15, 9, 4);
	expect_shape(&net, 1, 12, 8, 4);
	cr_assert_eq(network_op_params(&net, 1) + network_op_macs(&net, 1), 0);
	expect_shape(&net, 2, 4, 3, 2);
	cr_assert_eq(network_op_macs(&net, 2), 9 * 4 * 2 * 4 * 3);
	expect_pads(&net, 3, 0, 0, 1, 1);
	expect_shape(&net, 4, 5, 3, 4);
	expect_pads(&net, 4, 1, 0, 1, 1);
	expect_shape(&net, 5, 10, 11, 4);
	arena_free(&a);
}

/* ---- folding ------------------------------------------------------------------- */

/* Every rule once; the result is written down by hand. */
Test(padding, fold_by_hand)
{
	static const uint32_t want_source[] = { 0, 1, 1, 2, 3, 4,  4,  4,  5,
						6, 7, 8, 8, 9, 10, 11, 12, 13 };
	struct arena a = { 0 };
	struct network net, want, got;
	uint32_t source[18];

	network_init(&net, &a, (struct net_shape){ 16, 16, 4 });
	network_pad(&net, 0, 0, 0, 1, 1); /* as Keras writes same */
	network_conv2d(&net, 1, 4, 3, 2, 1, NET_VALID, true);
	network_pad(&net, 2, 1, 1, 1, 1); /* stays: two readers */
	network_pool(&net, NET_AVG_POOL, 3, 3, 1, NET_VALID);
	network_pad(&net, 3, 1, 0, 0, 0); /* into the next */
	network_pad(&net, 5, 1, 0, 0, 3); /* and with it into the convolution */
	network_depthwise(&net, 6, 3, 1, NET_SAME, true);
	network_pad(&net, 7, 1, 1, 1, 1); /* stays: its input may be negative */
	network_pool(&net, NET_MAX_POOL, 8, 3, 2, NET_VALID);
	network_unary(&net, NET_RELU, 9);
	network_pad(&net, 10, 1, 0, 2, 1); /* into the pool */
	network_pool(&net, NET_MAX_POOL, 11, 3, 2, NET_VALID);
	network_unary(&net, NET_RELU6, 12);
	network_pad(&net, 13, 3, 3, 3, 3); /* stays: windows would lie in it alone */
	network_pool(&net, NET_MAX_POOL, 14, 3, 1, NET_VALID);
	network_conv2d(&net, 15, 4, 3, 1, 1, NET_VALID, true);
	explicit(&net, 16, 0, 0, 0, 0);
	network_unary(&net, NET_SOFTMAX, 16);
	infer(&net);

	network_init(&want, &a, (struct net_shape){ 16, 16, 4 });
	network_conv2d(&want, 0, 4, 3, 2, 1, NET_SAME, true);
	network_pad(&want, 1, 1, 1, 1, 1);
	network_pool(&want, NET_AVG_POOL, 2, 3, 1, NET_VALID);
	network_depthwise(&want, 2, 3, 1, NET_SAME, true);
	explicit(&want, 4, 3, 1, 1, 4);
	network_pad(&want, 4, 1, 1, 1, 1);
	network_pool(&want, NET_MAX_POOL, 5, 3, 2, NET_VALID);
	network_unary(&want, NET_RELU, 6);
	network_pool(&want, NET_MAX_POOL, 7, 3, 2, NET_VALID);
	explicit(&want, 8, 1, 0, 2, 1);
	network_unary(&want, NET_RELU6, 8);
	network_pad(&want, 9, 3, 3, 3, 3);
	network_pool(&want, NET_MAX_POOL, 10, 3, 1, NET_VALID);
	network_conv2d(&want, 11, 4, 3, 1, 1, NET_VALID, true);
	network_unary(&want, NET_SOFTMAX, 12);
	infer(&want);

	network_fold_pads(&net, &a, &got);
	cr_assert(network_equal(&got, &want));
	network_fold(&net, &a, &got, source);
	cr_assert(network_equal(&got, &want));
	for (uint32_t i = 0; i < want.n_ops; i++) {
		struct net_shape s = want.op[i].out;

		expect_shape(&got, i, s.h, s.w, s.c);
		expect_pads(&got, i, want.op[i].pad_top, want.op[i].pad_left, want.op[i].pad_bottom,
			    want.op[i].pad_right);
	}
	for (size_t i = 0; i < net.n_ops; i++)
		cr_assert_eq(source[i], want_source[i], "source[%zu] = %u", i, source[i]);
	arena_free(&a);
}

/* What a window makes of the cells (y, x) on of @in; a filter of distinct taps. */
static double window_value(const struct net_op *o, struct net_shape s, const double *in, int64_t y,
			   int64_t x)
{
	double sum = 0, most = -INFINITY, cells = 0;

	for (int64_t ky = 0; ky < o->kernel_h; ky++)
		for (int64_t kx = 0; kx < o->kernel_w; kx++) {
			bool inside = y + ky >= 0 && x + kx >= 0 && y + ky < s.h && x + kx < s.w;
			double v = inside ? in[(y + ky) * s.w + x + kx] : 0;

			cells += inside;
			most = inside ? fmax(most, v) : most;
			sum += o->kind == NET_DEPTHWISE ? v * (double)(1 + ky * 7 + kx) : v;
		}
	if (o->kind == NET_DEPTHWISE)
		return sum - 9;
	return o->kind == NET_MAX_POOL ? most : sum / cells;
}

/* A chain of pads, windows and ReLUs over one channel; the last operator's output. */
static double *chain_run(const struct network *net, struct arena *a)
{
	double *in = ARENA_NEW(a, double, net_elements(net->input));

	for (size_t i = 0; i < net_elements(net->input); i++)
		in[i] = (double)(i * 37 % 17) - 8;
	for (size_t i = 1; i < net->n_ops; i++) {
		const struct net_op *o = &net->op[i];
		struct net_shape s = network_in_shape(net, i);
		double *out = ARENA_NEW(a, double, net_elements(o->out));

		for (int64_t y = 0; y < o->out.h; y++)
			for (int64_t x = 0; x < o->out.w; x++) {
				int64_t iy = y * (o->stride ? o->stride : 1) - o->pad_top;
				int64_t ix = x * (o->stride ? o->stride : 1) - o->pad_left;
				bool inside = iy >= 0 && ix >= 0 && iy < s.h && ix < s.w;

				out[y * o->out.w + x] = o->kernel_h ? window_value(o, s, in, iy, ix)
							: !inside   ? 0
							: o->kind == NET_RELU
								? fmax(in[iy * s.w + ix], 0)
								: in[iy * s.w + ix];
			}
		in = out;
	}
	return in;
}

static void chain_make(struct network *net, struct arena *a, struct rng *r)
{
	uint32_t x = 0;

	network_init(net, a, (struct net_shape){ 9, 11, 1 });
	for (int i = 0; i < 6; i++) {
		uint32_t p[4], k = (uint32_t)rng_between(r, 1, 3),
			       s = (uint32_t)rng_between(r, 1, 2);
		enum net_padding padding = (enum net_padding)rng_between(r, NET_SAME, NET_VALID);

		for (int d = 0; d < 4; d++)
			p[d] = (uint32_t)rng_between(r, 0, 2);
		switch (rng_between(r, 0, 4)) {
		case 0:
			x = network_unary(net, NET_RELU, x);
			break;
		case 1:
			x = network_depthwise(net, x, k, s, padding, true);
			break;
		case 2:
			x = network_pool(net, rng_between(r, 0, 1) ? NET_MAX_POOL : NET_AVG_POOL, x,
					 k, s, padding);
			break;
		default:
			x = network_pad(net, x, p[0], p[1], p[2], p[3]);
		}
	}
}

/* Folded networks compute the same, and pads go: 2,000 random chains in plain loops. */
Test(padding, folding_changes_no_output)
{
	struct rng r;
	size_t folded = 0, named = 0;

	rng_seed(&r, 3, 0);
	for (int i = 0; i < 2000; i++) {
		struct arena a = { 0 };
		struct network net, got, again;
		struct nasc_err err = { 0 };
		const double *want, *have;

		chain_make(&net, &a, &r);
		if (network_infer(&net, &err) == NASC_OK) {
			network_fold_pads(&net, &a, &got);
			folded += net.n_ops - got.n_ops;
			for (size_t k = 1; k < got.n_ops; k++)
				named += got.op[k].kernel_h && got.op[k].padding == NET_EXPLICIT;
			want = chain_run(&net, &a);
			have = chain_run(&got, &a);
			cr_assert_eq(net.classes, got.classes);
			for (size_t k = 0; k < net.classes; k++)
				cr_assert_eq(want[k], have[k], "chain %d, cell %zu: %g, not %g", i,
					     k, have[k], want[k]);
			cr_assert_eq(network_infer(&got, &err), NASC_OK, "%s", err.msg);
			network_fold_pads(&got, &a, &again);
			cr_assert(network_equal(&got, &again), "chain %d", i);
		}
		arena_free(&a);
	}
	cr_assert_gt(folded, 1000);
	cr_assert_gt(named, 500);
}

/* ---- refusals ------------------------------------------------------------------ */

Test(padding, refusals)
{
	static const struct {
		uint32_t kind, kernel, top, left, bottom, right;
		const char *want;
	} cases[] = {
		{ NET_PAD, 0, 65535, 0, 2, 0,
		  "operator 1 (pad): padded height 65545 is outside [1, 65536]" },
		{ NET_PAD, 0, 0, UINT32_MAX, 0, UINT32_MAX,
		  "operator 1 (pad): padded width 8589934596 is outside [1, 65536]" },
		{ NET_DEPTHWISE, 3, 0, 0, UINT32_MAX, 0,
		  "operator 1 (depthwise): padded height 4294967303 is outside [1, 65536]" },
		{ NET_DEPTHWISE, 11, 1, 1, 1, 1,
		  "operator 1 (depthwise): kernel height 11 is larger than its input's 10 under "
		  "explicit padding" },
		{ NET_MAX_POOL, 2, 0, 0, 0, 2,
		  "operator 1 (max_pool): padding 2 is not below its kernel's width 2: windows of "
		  "a pool would lie in padding alone" },
		{ NET_AVG_POOL, 2, 3, 0, 0, 0,
		  "operator 1 (avg_pool): padding 3 is not below its kernel's height 2: windows of "
		  "a pool would lie in padding alone" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena a = { 0 };
		struct nasc_err err = { 0 };
		struct network net;

		network_init(&net, &a, (struct net_shape){ 8, 6, 4 });
		network_append(&net,
			       &(struct net_op){ .kind = (enum net_kind)cases[i].kind,
						 .kernel_h = cases[i].kernel,
						 .kernel_w = cases[i].kernel,
						 .stride = cases[i].kernel ? 1 : 0 },
			       (const uint32_t[]){ 0 }, 1);
		explicit(&net, 1, cases[i].top, cases[i].left, cases[i].bottom, cases[i].right);
		cr_assert_eq(network_infer(&net, &err), NASC_CONFIG);
		cr_assert_str_eq(err.msg, cases[i].want);
		arena_free(&a);
	}
}
