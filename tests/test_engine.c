#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine_fixture.h"
#include "leak.h"

/* The engine against plain loops and hand-computed values. */

TestSuite(engine, .fini = no_leaks);

/* ---- gradients in bf16; in f32: test_gradients.c ------------------------------- */

Test(engine, bf16_gradients_point_the_same_way)
{
	struct bench full, half;
	double ff = 0, hh = 0, fh = 0;

	if (!plan_has_bf16())
		cr_skip("needs AVX-512");
	start(&full, 16, 16, 3);
	start(&half, 16, 16, 3);
	make_real(&full.net);
	make_real(&half.net);
	bench_open(&full, false);
	bench_open(&half, true);
	forward(&full);
	forward(&half);
	runner_backward(&full.run);
	runner_backward(&half.run);
	for (size_t k = 0; k < full.plan.n_params; k++)
		for (size_t i = 0; i < param_count(&full.plan.param[k]); i++) {
			double f = (double)full.run.gradient[param_at(&full.plan.param[k], i)];
			double h = (double)half.run.gradient[param_at(&half.plan.param[k], i)];

			ff += f * f;
			hh += h * h;
			fh += f * h;
		}
	cr_assert_gt(fh / sqrt(ff * hh), 0.98, "cosine %g", fh / sqrt(ff * hh));
	cr_assert_float_eq(hh / ff, 1, 0.1);
	bench_close(&full);
	bench_close(&half);
}

/* ---- convolutions against plain loops ------------------------------------------ */

struct conv_case {
	uint32_t h, w, in, out, kernel, stride, groups;
	bool valid, bias, depthwise;
};
static const struct conv_case conv_cases[] = {
	{ 8, 7, 3, 5, 3, 1, 1, false, true, false },
	{ 8, 7, 1, 24, 3, 1, 1, false, false, false },
	{ 9, 8, 20, 7, 3, 2, 1, false, false, false },
	{ 8, 9, 20, 17, 5, 2, 1, true, true, false },
	{ 6, 6, 33, 12, 1, 1, 1, false, true, false },
	{ 7, 7, 6, 9, 3, 1, 3, false, true, false },
	{ 7, 8, 32, 64, 3, 2, 4, false, false, false },
	{ 7, 7, 19, 19, 3, 1, 1, false, true, true },
	{ 8, 8, 16, 16, 5, 2, 1, false, false, true },
	{ 9, 9, 40, 40, 3, 2, 1, true, false, true },
	{ 5, 5, 4, 3, 5, 1, 1, true, false, false },
};

/* y at image n, pixel (oy, ox), channel o; weights as stored [ky][kx][in/groups][out]. */
static double conv_by_hand(const struct bench *b, const struct conv_case *c, size_t n, int64_t oy,
			   int64_t ox, uint32_t o)
{
	const struct param *w = &b->plan.param[0];
	uint32_t groups = c->depthwise ? c->in : c->groups, in = c->in / groups;
	int64_t oh = b->net.op[1].out.h, ow = b->net.op[1].out.w, k = c->kernel, s = c->stride;
	int64_t top = ((oh - 1) * s + k - c->h) / 2, left = ((ow - 1) * s + k - c->w) / 2;
	double sum = c->bias ? (double)b->model.weights[b->plan.param[1].at + o] : 0;

	top = c->valid || top < 0 ? 0 : top;
	left = c->valid || left < 0 ? 0 : left;
	for (int64_t ky = 0; ky < k; ky++)
		for (int64_t kx = 0; kx < k; kx++)
			for (uint32_t i = 0; i < in; i++) {
				int64_t y = oy * s + ky - top, x = ox * s + kx - left;
				uint32_t from = o / (c->out / groups) * in + i;
				size_t at = ((size_t)(ky * k + kx) * in + i) * c->out + o;

				if (y >= 0 && x >= 0 && y < c->h && x < c->w)
					sum += (double)b->model.weights[param_at(w, at)] *
					       (double)b->image[((n * c->h + (size_t)y) * c->w +
								 (size_t)x) *
									c->in +
								from];
			}
	return sum;
}

Test(engine, convolutions_equal_plain_loops)
{
	for (size_t k = 0; k < 2 * (sizeof conv_cases / sizeof *conv_cases); k++) {
		const struct conv_case *c = &conv_cases[k / 2];
		bool bf16 = k % 2 && plan_has_bf16();
		enum net_padding padding = c->valid ? NET_VALID : NET_SAME;
		struct bench b;
		size_t at = 0;

		start(&b, c->h, c->w, c->in);
		if (c->depthwise)
			network_depthwise(&b.net, 0, c->kernel, c->stride, padding, c->bias);
		else
			network_conv2d(&b.net, 0, c->out, c->kernel, c->stride, c->groups, padding,
				       c->bias);
		bench_open(&b, bf16);
		forward(&b);
		for (size_t n = 0; n < IMAGES; n++)
			for (uint32_t y = 0; y < b.net.op[1].out.h; y++)
				for (uint32_t x = 0; x < b.net.op[1].out.w; x++)
					for (uint32_t o = 0; o < c->out; o++) {
						double want = conv_by_hand(&b, c, n, y, x, o);
						double got = (double)b.run.logits[at++];

						cr_assert_float_eq(got, want, bf16 ? 0.05 : 1e-4,
								   "case %zu, image %zu (%u, %u) "
								   "channel %u: %g, not %g",
								   k / 2, n, y, x, o, got, want);
					}
		bench_close(&b);
	}
}

Test(engine, no_convolution_runs_on_reference_code)
{
	for (size_t k = 0; k < 2 * (N_MADE + 1); k++) {
		struct bench b;

		start(&b, 12, 12, 3);
		if (k / 2 < N_MADE)
			made[k / 2].make(&b.net);
		else
			make_real(&b.net);
		bench_open(&b, k % 2 && plan_has_bf16());
		for (size_t i = 0; i < b.plan.n_convs; i++)
			for (int p = 0; p < CONV_PASSES; p++)
				cr_assert_neq(strncmp(b.plan.conv[i].conv.names[p], "ref", 3), 0,
					      "network %zu, convolution %zu", k / 2, i);
		bench_close(&b);
	}
}

/* ---- norms, loss and steps by hand --------------------------------------------- */

/* Four images of one pixel with 1, 2, 3, 6: mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5. */
Test(engine, norm_by_hand)
{
	static const double x[] = { 1, 2, 3, 6 };
	struct bench b;
	float *gamma, *beta;

	start(&b, 1, 1, 1);
	norm(&b.net, 0);
	bench_open(&b, false);
	gamma = &b.model.weights[b.plan.param[0].at];
	beta = &b.model.weights[b.plan.param[1].at];
	*gamma = 2;
	*beta = 10;
	for (int i = 0; i < 4; i++)
		b.image[i] = (float)x[i];
	forward(&b);
	for (int i = 0; i < 4; i++)
		cr_assert_float_eq((double)b.run.logits[i], 10 + 2 * (x[i] - 3) / sqrt(3.5 + 1e-5),
				   1e-5);
	cr_assert_float_eq((double)b.run.mean[0], 3, 1e-6);
	cr_assert_float_eq((double)b.run.var[0], 3.5, 1e-6);
	/* Inference: mean 1 and variance 4 remembered. */
	b.model.running_mean[0] = 1;
	b.model.running_var[0] = 4;
	runner_forward(&b.run, RUN_INFER);
	for (int i = 0; i < 4; i++)
		cr_assert_float_eq((double)b.run.logits[i], 10 + 2 * (x[i] - 1) / sqrt(4 + 1e-5),
				   1e-5);
	bench_close(&b);
}

/* One image, logits 1 and 3 (dense 2 -> 2 with weights one and bias 0, 2 on input 0, 1):
 * loss of class 0 = log(1 + e^2); its gradient at the logits is (q - 1, 1 - q),
 * q = 1 / (1 + e^2). Weight [i][o]: x_i * gradient_o, summed over IMAGES equal images. */
Test(engine, loss_and_step_by_hand)
{
	double q = 1 / (1 + exp(2)), rate = 0.5, momentum = 0.9, decay = 0.1, v = 0, w = 1,
	       bias = 0;
	struct bench b;

	start(&b, 1, 1, 2);
	network_dense(&b.net, 0, 2, true);
	bench_open(&b, false);
	memset(b.model.weights, 0, b.plan.n_weights * sizeof(float));
	for (size_t i = 0; i < 4; i++)
		b.model.weights[param_at(&b.plan.param[0], i)] = 1;
	b.model.weights[b.plan.param[1].at + 1] = 2;
	for (int i = 0; i < IMAGES; i++) {
		b.image[2 * i] = 0;
		b.image[2 * i + 1] = 1;
		b.label[i] = 0;
	}
	cr_assert_float_eq(forward(&b), log(1 + exp(2)), 1e-6);
	cr_assert_eq(b.run.correct, 0);
	cr_assert_eq(b.run.answer[0], 1);
	runner_backward(&b.run);
	cr_assert_float_eq((double)b.run.gradient[param_at(&b.plan.param[0], 0)], 0, 1e-7);
	cr_assert_float_eq((double)b.run.gradient[param_at(&b.plan.param[0], 2)], q - 1, 1e-6);
	cr_assert_float_eq((double)b.run.gradient[param_at(&b.plan.param[0], 3)], 1 - q, 1e-6);
	cr_assert_float_eq((double)b.run.gradient[b.plan.param[1].at], q - 1, 1e-6);
	/* Two steps with the same gradient: v = .9 v + d, w -= .5 (d + .9 v); d has the
	 * decay for the weight, not for the bias. */
	memcpy(b.model.gradient, b.run.gradient, b.plan.n_weights * sizeof(float));
	for (int k = 0; k < 2; k++) {
		double d = q - 1 + decay * w;

		model_step(&b.model,
			   &(struct update){ .rate = rate, .momentum = momentum, .decay = decay });
		v = momentum * v + d;
		w -= rate * (d + momentum * v);
	}
	bias -= rate * (q - 1) * (1 + momentum);
	bias -= rate * (q - 1) * (1 + momentum * (1 + momentum));
	cr_assert_float_eq((double)b.model.weights[param_at(&b.plan.param[0], 2)], w, 1e-6);
	cr_assert_float_eq((double)b.model.weights[b.plan.param[1].at], bias, 1e-6);
	bench_close(&b);
}

/* ---- the plan ----------------------------------------------------------------- */

Test(engine, buffers_alive_together_do_not_overlap)
{
	for (size_t k = 0; k <= N_MADE; k++) {
		const struct plan_buffer *x, *y;
		size_t sum = 0;
		struct bench b;

		start(&b, 12, 12, 3);
		if (k < N_MADE)
			made[k].make(&b.net);
		else
			make_real(&b.net);
		bench_open(&b, false);
		for (size_t i = 0; i < b.plan.n_buffers; i++) {
			x = &b.plan.buffer[i];
			if (x->first == PLAN_NONE)
				continue;
			sum += x->bytes;
			cr_assert_leq(x->at + x->bytes, b.plan.bytes);
			for (size_t j = 0; j < i; j++) {
				y = &b.plan.buffer[j];
				if (y->first == PLAN_NONE || y->last < x->first ||
				    x->last < y->first)
					continue;
				cr_assert(y->at + y->bytes <= x->at || x->at + x->bytes <= y->at,
					  "network %zu, buffers %zu and %zu", k, i, j);
			}
		}
		cr_assert_lt(b.plan.bytes, sum + KERNEL_SLACK + 1);
		bench_close(&b);
	}
}

/* However a DenseNet's concatenations are written, no channel is copied for them:
 * the only copies are each convolution's output into its slice, and what its
 * gradient needs. */
Test(engine, concatenations_are_slices)
{
	struct bench chain, flat;
	size_t copies = 0, in_forward = 0;

	start(&flat, 8, 8, 3);
	make_flat(&flat.net);
	bench_open(&flat, false);
	start(&chain, 8, 8, 3);
	{
		struct network *n = &chain.net;
		uint32_t x = conv(n, 0, 7, 3);

		for (int i = 0; i < 2; i++)
			x = merge(n, NET_CONCAT, x, conv(n, relu(n, norm(n, x)), 4, 3), NO);
		network_dense(n, relu(n, norm(n, x)), 5, true);
	}
	bench_open(&chain, false);
	cr_assert_eq(chain.plan.n_phases, flat.plan.n_phases);
	cr_assert_eq(chain.plan.bytes, flat.plan.bytes);
	for (size_t i = 0; i < flat.plan.n_forward; i++)
		in_forward += flat.plan.phase[i].kind == PHASE_COPY;
	for (size_t i = flat.plan.n_forward; i < flat.plan.n_phases; i++)
		copies += flat.plan.phase[i].kind == PHASE_COPY;
	cr_assert_eq(in_forward, 3);
	cr_assert_eq(copies, 0); /* all gradients are settled on the way to dense memory */
	cr_assert_eq(forward(&chain), forward(&flat));
	bench_close(&chain);
	bench_close(&flat);
}

Test(engine, softmax_only_at_the_end)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net;
	struct plan plan;

	network_init(&net, &a, (struct net_shape){ 4, 4, 3 });
	network_dense(&net, network_unary(&net, NET_SOFTMAX, network_dense(&net, 0, 3, true)), 2,
		      true);
	cr_assert_eq(network_infer(&net, &err), NASC_OK);
	cr_assert_eq(plan_create(&net, 4, false, PLAN_TRAIN, &a, &plan, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "operator 2 (softmax): only the last operator of a network to be "
				  "trained can be a softmax");
	arena_free(&a);
}

Test(engine, more_memory_than_there_is_is_said)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net;
	struct plan plan;

	network_init(&net, &a, (struct net_shape){ 4, 4, 3 });
	network_dense(&net, 0, 2, true);
	cr_assert_eq(network_infer(&net, &err), NASC_OK);
	cr_assert_eq(plan_create(&net, 4, false, PLAN_TRAIN, &a, &plan, &err), NASC_OK);
	cr_assert_eq(plan_fits(&plan, 1, 4, &err), NASC_OK);
	/* 2^50 gradients of at least 96 weights. */
	cr_assert_eq(plan_fits(&plan, 1, (size_t)1 << 50, &err), NASC_FAIL);
	cr_assert(strstr(err.msg, "GiB of memory, this machine has"), "%s", err.msg);
	plan_release(&plan);
	arena_free(&a);
}

/* ---- kernels ------------------------------------------------------------------- */

/* The same sums in the same order on every instruction set. */
static void check_table(const struct kernels *k, bool bf16)
{
	for (size_t i = 0; i < N_MADE; i++) {
		struct bench b, base;
		size_t bytes;

		start(&b, 9, 9, 3);
		start(&base, 9, 9, 3);
		made[i].make(&b.net);
		made[i].make(&base.net);
		bench_open(&b, bf16);
		bench_open(&base, bf16);
		bytes = b.plan.n_weights * sizeof(float);
		b.plan.kernels = k;
		base.plan.kernels = &kernels_v2[bf16];
		cr_assert_eq(forward(&b), forward(&base), "%s", made[i].name);
		runner_backward(&b.run);
		runner_backward(&base.run);
		cr_assert_eq(memcmp(b.run.gradient, base.run.gradient, bytes), 0, "%s",
			     made[i].name);
		bench_close(&b);
		bench_close(&base);
	}
}

Test(engine, every_instruction_set_gives_the_same_bits)
{
	for (int bf16 = 0; bf16 <= plan_has_bf16(); bf16++) {
		const struct kernels *best = kernels_choose(bf16);

		if (best != &kernels_v2[bf16])
			check_table(&kernels_v3[bf16], bf16);
		if (best == &kernels_v4[bf16])
			check_table(best, bf16);
	}
}
