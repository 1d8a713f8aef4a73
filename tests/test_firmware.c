#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "firmware.h"
#include "leak.h"
#include "rng.h"

TestSuite(firmware, .fini = no_leaks);

/* Every kernel against loops over what its header says, on random values. Buffers lie between
 * canaries, which nobody may touch. */
#define CANARY 64

static int8_t *buffer(size_t n)
{
	uint8_t *all = malloc(n + 2 * CANARY);

	cr_assert_not_null(all);
	memset(all, 0xa5, n + 2 * CANARY);
	return (int8_t *)all + CANARY;
}

static int8_t *random_buffer(struct rng *r, size_t n)
{
	int8_t *b = buffer(n);

	for (size_t i = 0; i < n; i++)
		b[i] = (int8_t)rng_between(r, -128, 127);
	return b;
}

static void release(int8_t *b, size_t n)
{
	const uint8_t *all = (const uint8_t *)b - CANARY;

	for (size_t i = 0; i < CANARY; i++)
		cr_assert(all[i] == 0xa5 && all[CANARY + n + i] == 0xa5,
			  "written outside of %zu bytes", n);
	free(b - CANARY);
}

static int8_t sat(int64_t v)
{
	return (int8_t)(v < -128 ? -128 : v > 127 ? 127 : v);
}

static int8_t requant(int64_t sum, struct nasc_requant q)
{
	return sat(((sum + q.offset) * q.multiplier + (INT64_C(1) << 31)) >> 32);
}

static struct nasc_requant *random_requants(struct rng *r, size_t n, double scale)
{
	struct nasc_requant *q = malloc(n * sizeof *q);

	for (size_t i = 0; i < n; i++) {
		q[i].multiplier = (int32_t)(scale * (0.5 + rng_unit(r)) * 4294967296.0);
		q[i].offset = (int32_t)rng_between(r, -4000, 4000);
	}
	return q;
}

struct layer {
	struct arena arena;
	struct network net;
	struct nasc_window window;
	int8_t *x, *y, *scratch, *packed;
	size_t n_x, n_y, n_scratch, n_packed;
	int8_t *weights; /* as firmware_pack() takes them */
	size_t inputs;
};

/* Operator 1 of the network on random inputs, with a kernel for it. */
static void prepare(struct layer *l, struct rng *r)
{
	struct nasc_err err = { 0 };
	const struct net_op *o;
	struct net_shape in;

	cr_assert_eq(network_infer(&l->net, &err), NASC_OK, "%s", err.msg);
	cr_assert_null(firmware_refusal(&l->net, 1));
	o = &l->net.op[1];
	in = network_in_shape(&l->net, 1);
	l->n_x = net_elements(in);
	l->n_y = net_elements(o->out);
	l->n_scratch = firmware_scratch_bytes(&l->net, 1);
	l->n_packed = firmware_weight_bytes(&l->net, 1);
	cr_assert(l->n_scratch % 4 == 0 && l->n_packed % 4 == 0);
	l->x = random_buffer(r, l->n_x);
	l->y = buffer(l->n_y);
	l->scratch = buffer(l->n_scratch);
	l->packed = buffer(l->n_packed);
	l->inputs = o->kind == NET_DEPTHWISE ? (size_t)o->kernel_h * o->kernel_w
		    : o->kind == NET_DENSE   ? l->n_x
					     : (size_t)o->kernel_h * o->kernel_w * in.c;
	l->weights = random_buffer(r, l->inputs * o->out.c);
	firmware_pack(&l->net, 1, l->weights, l->packed);
	l->window = (struct nasc_window){ (uint16_t)in.h,
					  (uint16_t)in.w,
					  (uint16_t)in.c,
					  (uint16_t)o->out.h,
					  (uint16_t)o->out.w,
					  (uint16_t)o->out.c,
					  (uint16_t)o->kernel_h,
					  (uint16_t)o->kernel_w,
					  (uint16_t)o->stride,
					  (int16_t)o->pad_top,
					  (int16_t)o->pad_left,
					  (uint16_t)o->out.w,
					  (int8_t)rng_between(r, -128, 127),
					  l->packed,
					  random_requants(r, o->out.c,
							  0.007 / sqrt((double)l->inputs + 1)) };
}

static void finish(struct layer *l)
{
	size_t n = l->net.op[1].out.c;

	release(l->x, l->n_x);
	release(l->y, l->n_y);
	release(l->scratch, l->n_scratch);
	release(l->packed, l->n_packed);
	release(l->weights, l->inputs * n);
	free((void *)l->window.requant);
	arena_free(&l->arena);
}

/* Of output (row, column, channel) the input at (i, j) of the window, and whether it lies in the
 * map. */
static bool cell(const struct nasc_window *w, const int8_t *x, uint32_t row, uint32_t column,
		 uint32_t i, uint32_t j, uint32_t channel, int32_t *value)
{
	int64_t r = (int64_t)row * w->stride + i - w->pad_top;
	int64_t c = (int64_t)column * w->stride + j - w->pad_left;
	bool inside = r >= 0 && r < w->in_h && c >= 0 && c < w->in_w;

	*value = inside ? x[((size_t)r * w->in_w + (size_t)c) * w->in_c + channel] : w->zero;
	return inside;
}

static int8_t expected(const struct layer *l, const int8_t *x, uint32_t row, uint32_t column,
		       uint32_t channel)
{
	const struct nasc_window *w = &l->window;
	bool deep = l->net.op[1].kind == NET_DEPTHWISE;
	int64_t sum = 0;

	for (uint32_t i = 0; i < w->kernel_h; i++)
		for (uint32_t j = 0; j < w->kernel_w; j++)
			for (uint32_t k = deep ? channel : 0; k < (deep ? channel + 1 : w->in_c);
			     k++) {
				size_t at = (size_t)i * w->kernel_w + j;
				int32_t value;

				cell(w, x, row, column, i, j, k, &value);
				sum += value * l->weights[deep ? at * w->in_c + channel
							       : (channel * (size_t)w->kernel_h *
									  w->kernel_w +
								  at) * w->in_c +
									  k];
			}
	return requant(sum, w->requant[channel]);
}

static void compare(const struct layer *l, const int8_t *x, const int8_t *y)
{
	const struct nasc_window *w = &l->window;
	size_t limits = 0;

	for (uint32_t row = 0; row < w->out_h; row++)
		for (uint32_t column = 0; column < w->out_w; column++)
			for (uint32_t c = 0; c < w->out_c; c++, y++) {
				int8_t want = expected(l, x, row, column, c);

				limits += want == -128 || want == 127;
				cr_assert_eq(*y, want,
					     "%ux%ux%u, %ux%u/%u to %ux%ux%u, padding %u %u: "
					     "%d at (%u, %u, %u), not %d",
					     w->in_h, w->in_w, w->in_c, w->kernel_h, w->kernel_w,
					     w->stride, w->out_h, w->out_w, w->out_c, w->pad_top,
					     w->pad_left, *y, row, column, c, want);
			}
	cr_assert(l->n_y < 200 || limits < l->n_y / 2, "nearly all outputs are limits");
}

static const uint32_t sizes[][2] = { { 1, 1 }, { 2, 3 }, { 5, 4 },  { 8, 8 },
				     { 7, 9 }, { 1, 6 }, { 13, 2 }, { 9, 3 } };
static const uint32_t kernels[][2] = { { 1, 1 }, { 3, 3 }, { 5, 5 }, { 7, 7 },
				       { 2, 2 }, { 1, 3 }, { 5, 2 }, { 4, 3 } };

/* All of sizes, kernels, strides, paddings that make a layer. */
static void over_windows(enum net_kind kind, uint32_t in_c, uint32_t out_c,
			 void (*check)(struct layer *, struct rng *))
{
	struct rng r;

	rng_seed(&r, in_c, out_c);
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
		for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++)
			for (uint32_t stride = 1; stride <= 4; stride++)
				for (int padding = NET_SAME; padding <= NET_EXPLICIT; padding++) {
					struct layer l = { 0 };
					struct net_op op = { .kind = kind,
							     .out_channels = out_c,
							     .kernel_h = kernels[k][0],
							     .kernel_w = kernels[k][1],
							     .stride = stride,
							     .groups = 1,
							     .padding = (enum net_padding)padding };
					bool pool = kind == NET_MAX_POOL || kind == NET_AVG_POOL;

					if (kind != NET_CONV2D)
						op.out_channels = op.groups = 0;
					if (padding ==
					    NET_EXPLICIT) { /* more than the kernel, too */
						op.pad_top = (uint32_t)rng_below(
							&r, pool ? op.kernel_h : 9);
						op.pad_left = (uint32_t)rng_below(
							&r, pool ? op.kernel_w : 9);
						op.pad_bottom =
							(uint32_t)rng_below(&r, op.kernel_h);
						op.pad_right = (uint32_t)rng_below(&r, op.kernel_w);
					}
					if ((padding == NET_VALID || padding == NET_EXPLICIT) &&
					    (sizes[s][0] + op.pad_top + op.pad_bottom <
						     op.kernel_h ||
					     sizes[s][1] + op.pad_left + op.pad_right <
						     op.kernel_w))
						continue;
					network_init(&l.net, &l.arena,
						     (struct net_shape){ sizes[s][0], sizes[s][1],
									 in_c });
					network_append(&l.net, &op, &(uint32_t){ 0 }, 1);
					prepare(&l, &r);
					check(&l, &r);
					finish(&l);
				}
}

/* The outputs in four parts, of windows that begin outside the map or in it. */
static void check_parts(struct layer *l, struct rng *r,
			void (*kernel)(const struct nasc_window *, const int8_t *, int8_t *,
				       void *))
{
	const struct nasc_window *w = &l->window;
	uint16_t rows[3] = { 0, (uint16_t)rng_between(r, 0, w->out_h), w->out_h };
	uint16_t columns[3] = { 0, (uint16_t)rng_between(r, 0, w->out_w), w->out_w };

	memset(l->y, 0, l->n_y);
	for (size_t i = 0; i < 4; i++) {
		uint16_t row = rows[i / 2], column = columns[i % 2];
		struct nasc_window part = *w;

		part.out_h = (uint16_t)(rows[i / 2 + 1] - row);
		part.out_w = (uint16_t)(columns[i % 2 + 1] - column);
		part.pad_top = (int16_t)(w->pad_top - row * w->stride);
		part.pad_left = (int16_t)(w->pad_left - column * w->stride);
		if (part.out_h == 0 || part.out_w == 0)
			continue;
		kernel(&part, l->x, l->y + ((size_t)row * w->out_w + column) * w->out_c,
		       l->scratch);
	}
	compare(l, l->x, l->y);
}

static void check_conv(struct layer *l, struct rng *r)
{
	nasc_conv(&l->window, l->x, l->y, l->scratch);
	compare(l, l->x, l->y);
	check_parts(l, r, nasc_conv);
}

Test(firmware, convolution)
{
	static const uint32_t channels[] = { 1, 2, 3, 4, 5, 8, 13, 16 };

	for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
		over_windows(NET_CONV2D, channels[i], channels[7 - i], check_conv);
		over_windows(NET_CONV2D, channels[i], 7, check_conv);
	}
}

/* Also in place where that is allowed. */
static void check_depthwise(struct layer *l, struct rng *r)
{
	nasc_depthwise(&l->window, l->x, l->y, l->scratch);
	compare(l, l->x, l->y);
	check_parts(l, r, nasc_depthwise);
	if (l->window.stride == 1 && l->window.out_h == l->window.in_h &&
	    l->window.out_w == l->window.in_w) {
		int8_t *before = buffer(l->n_x);

		memcpy(before, l->x, l->n_x);
		memset(l->scratch, 0x55, l->n_scratch);
		nasc_depthwise(&l->window, l->x, l->x, l->scratch);
		compare(l, before, l->x);
		release(before, l->n_x);
	}
}

Test(firmware, depthwise)
{
	static const uint32_t channels[] = { 1, 2, 3, 4, 5, 13, 16 };

	for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
		over_windows(NET_DEPTHWISE, channels[i], channels[i], check_depthwise);
}

Test(firmware, dense)
{
	struct rng r;

	rng_seed(&r, 1, 1);
	for (uint32_t h = 1; h <= 3; h++)
		for (uint32_t c = 1; c <= 33; c += 1 + c / 4)
			for (uint32_t units = 1; units <= 13; units++) {
				struct layer l = { 0 };

				network_init(&l.net, &l.arena,
					     (struct net_shape){ h, 2 * h - 1, c });
				network_dense(&l.net, 0, units, true);
				prepare(&l, &r);
				nasc_dense(&l.window, l.x, l.y);
				for (uint32_t u = 0; u < units; u++) {
					int64_t sum = 0;

					for (size_t i = 0; i < l.n_x; i++)
						sum += l.x[i] * l.weights[u * l.n_x + i];
					cr_assert_eq(l.y[u], requant(sum, l.window.requant[u]));
				}
				finish(&l);
			}
}

/* A factor for each number of cells outside the map. */
static void check_mean(struct layer *l, struct rng *r)
{
	struct nasc_window *w = &l->window;
	size_t n = (size_t)w->kernel_h * w->kernel_w;
	uint32_t fewest;

	cr_assert_eq(firmware_mean_cells(&l->net, 1, &fewest), n);
	free((void *)w->requant);
	w->requant = random_requants(r, n - fewest + 1, 0.3);
	nasc_mean_pool(w, l->x, l->y);
	for (size_t i = 0; i < l->n_y; i++) {
		uint32_t c = (uint32_t)(i % w->out_c), at = (uint32_t)(i / w->out_c), cells = 0;
		int64_t sum = 0;

		for (uint32_t k = 0; k < n; k++) {
			int32_t value;

			if (cell(w, l->x, at / w->out_w, at % w->out_w, k / w->kernel_w,
				 k % w->kernel_w, c, &value)) {
				sum += value;
				cells++;
			}
		}
		cr_assert_eq(l->y[i], requant(16 * sum, w->requant[n - cells]));
	}
}

static void check_max(struct layer *l, struct rng *r)
{
	const struct nasc_window *w = &l->window;

	(void)r;
	nasc_max_pool(w, l->x, l->y);
	for (size_t i = 0; i < l->n_y; i++) {
		uint32_t c = (uint32_t)(i % w->out_c), at = (uint32_t)(i / w->out_c);
		int32_t most = -128, value;

		for (uint32_t k = 0; k < (uint32_t)w->kernel_h * w->kernel_w; k++)
			if (cell(w, l->x, at / w->out_w, at % w->out_w, k / w->kernel_w,
				 k % w->kernel_w, c, &value) &&
			    value > most)
				most = value;
		cr_assert_eq(l->y[i], most);
	}
}

Test(firmware, pools)
{
	for (uint32_t c = 1; c < 12; c += 3) {
		over_windows(NET_AVG_POOL, c, c, check_mean);
		over_windows(NET_MAX_POOL, c, c, check_max);
	}
}

Test(firmware, global_pool)
{
	struct rng r;
	struct layer l = { 0 };

	rng_seed(&r, 2, 2);
	network_init(&l.net, &l.arena, (struct net_shape){ 5, 7, 6 });
	network_unary(&l.net, NET_GLOBAL_POOL, 0);
	prepare(&l, &r);
	l.window.kernel_h = 5;
	l.window.kernel_w = 7;
	l.window.stride = 1;
	nasc_mean_pool(&l.window, l.x, l.y);
	for (size_t c = 0; c < 6; c++) {
		int64_t sum = 0;

		for (size_t i = 0; i < 35; i++)
			sum += l.x[6 * i + c];
		cr_assert_eq(l.y[c], requant(16 * sum, l.window.requant[0]));
	}
	finish(&l);
}

static struct nasc_affine random_affine(struct rng *r)
{
	return (struct nasc_affine){ (int32_t)rng_between(r, -40000, 40000),
				     (int32_t)rng_between(r, -3000, 3000) };
}

Test(firmware, elements)
{
	struct rng r;

	rng_seed(&r, 3, 3);
	for (uint32_t channels = 1; channels < 20; channels++) {
		uint32_t pixels = 1 + channels % 5, n = pixels * channels;
		int8_t *x[3], *y = buffer(n), *wide = buffer(pixels * (channels + 3));
		int8_t low = (int8_t)rng_between(&r, -128, 0),
		       high = (int8_t)rng_between(&r, 1, 127);
		struct nasc_affine *a = malloc(channels * sizeof *a), one = random_affine(&r);

		for (size_t i = 0; i < 3; i++)
			x[i] = random_buffer(&r, n);
		for (size_t i = 0; i < channels; i++)
			a[i] = random_affine(&r);

		nasc_scale(a, 11, pixels, channels, x[0], y);
		for (size_t i = 0; i < n; i++)
			cr_assert_eq(y[i], sat(((int64_t)a[i % channels].constant +
						a[i % channels].factor * x[0][i]) >>
					       11));

		memset(wide, 99, pixels * (channels + 3));
		nasc_place(one, 10, pixels, channels, channels + 3, x[1], wide + 2);
		for (size_t i = 0; i < pixels * (channels + 3); i++) {
			size_t pixel = i / (channels + 3), c = i % (channels + 3) - 2;

			cr_assert_eq(wide[i],
				     c < channels ? sat(((int64_t)one.constant +
							 one.factor * x[1][pixel * channels + c]) >>
							10)
						  : 99);
		}

		for (uint32_t inputs = 1; inputs <= 5; inputs++) {
			const int8_t *from[5] = { x[0], x[1], x[2], x[1], x[2] };
			int32_t factor[5] = { 32767, -20000,
					      (int32_t)rng_between(&r, -32767, 32767), -32767,
					      (int32_t)rng_between(&r, -32767, 32767) };

			nasc_add(one.constant, factor, 15, inputs, n, from, y);
			for (size_t i = 0; i < n; i++) {
				int64_t sum = one.constant;

				for (uint32_t k = 0; k < inputs; k++)
					sum += factor[k] * from[k][i];
				cr_assert_eq(y[i], sat(sum >> 15));
			}
			memcpy(wide, x[0], n);
			from[0] = wide;
			nasc_add(one.constant, factor, 15, inputs, n, from, wide);
			cr_assert_arr_eq(wide, y, n);
		}

		nasc_clamp(low, high, n, x[2], y);
		for (size_t i = 0; i < n; i++)
			cr_assert_eq(y[i], x[2][i] < low ? low : x[2][i] > high ? high : x[2][i]);
		nasc_clamp(low, high, n, x[2], x[2]);
		cr_assert_arr_eq(x[2], y, n);

		nasc_scale(a, 11, pixels, channels, x[0], y);
		nasc_scale(a, 11, pixels, channels, x[0], x[0]);
		cr_assert_arr_eq(x[0], y, n);
		for (size_t i = 0; i < 3; i++)
			release(x[i], n);
		release(y, n);
		release(wide, pixels * (channels + 3));
		free(a);
	}
}

/* What is kept of a larger map moves to its beginning, whole pixels forward. */
Test(firmware, elements_before_themselves)
{
	struct rng r;

	rng_seed(&r, 4, 3);
	for (uint32_t channels = 1; channels < 20; channels++)
		for (uint32_t before = channels; before < 4 * channels; before += channels) {
			uint32_t n = 5 * channels, all = n + before;
			struct nasc_affine *a = malloc(channels * sizeof *a);
			int8_t *x = random_buffer(&r, n), *other = random_buffer(&r, n);
			int8_t *y = buffer(n), *map = buffer(all);
			const int32_t factor[] = { 20000, -7000 };

			for (size_t i = 0; i < channels; i++)
				a[i] = random_affine(&r);
			nasc_scale(a, 11, 5, channels, x, y);
			memcpy(map + before, x, n);
			nasc_scale(a, 11, 5, channels, map + before, map);
			cr_assert_arr_eq(map, y, n);
			nasc_add(1 << 14, factor, 15, 2, n, (const int8_t *const[]){ x, other }, y);
			memcpy(map + before, x, n);
			nasc_add(1 << 14, factor, 15, 2, n,
				 (const int8_t *const[]){ map + before, other }, map);
			cr_assert_arr_eq(map, y, n);
			nasc_clamp(-50, 40, n, x, y);
			memcpy(map + before, x, n);
			nasc_clamp(-50, 40, n, map + before, map);
			cr_assert_arr_eq(map, y, n);
			release(x, n);
			release(other, n);
			release(y, n);
			release(map, all);
			free(a);
		}
}

Test(firmware, pad_and_upsample)
{
	struct rng r;

	rng_seed(&r, 4, 4);
	for (uint32_t c = 1; c < 7; c++)
		for (uint32_t top = 0; top < 3; top++)
			for (uint32_t left = 0; left < 3; left++) {
				struct nasc_window w = { .in_h = 3,
							 .in_w = 4,
							 .in_c = (uint16_t)c,
							 .out_h = (uint16_t)(3 + top + left),
							 .out_w = (uint16_t)(4 + left + c % 3),
							 .out_c = (uint16_t)c,
							 .stride = 1,
							 .pad_top = (int16_t)top,
							 .pad_left = (int16_t)left,
							 .zero = 17 };
				size_t n_y = (size_t)w.out_h * w.out_w * c;
				int8_t *x = random_buffer(&r, 12 * c), *y = buffer(n_y);

				nasc_pad(&w, x, y);
				for (size_t i = 0; i < n_y; i++) {
					int32_t value;

					cell(&w, x, (uint32_t)(i / c / w.out_w),
					     (uint32_t)(i / c % w.out_w), 0, 0, (uint32_t)(i % c),
					     &value);
					cr_assert_eq(y[i], value);
				}
				release(y, n_y);

				w.stride = (uint16_t)(1 + left);
				w.out_h = (uint16_t)(3 * w.stride);
				w.out_w = (uint16_t)(4 * w.stride);
				n_y = (size_t)w.out_h * w.out_w * c;
				y = buffer(n_y);
				nasc_upsample(&w, x, y);
				for (size_t i = 0; i < n_y; i++)
					cr_assert_eq(y[i], x[(i / c / w.out_w / w.stride * 4 +
							      i / c % w.out_w / w.stride) *
								     c +
							     i % c]);
				release(y, n_y);
				release(x, 12 * c);
			}
}

/* Bytes of a small convolution, by hand. */
Test(firmware, packed_order)
{
	struct arena a = { 0 };
	struct network net;
	struct nasc_err err = { 0 };
	int8_t weights[5 * 5], packed[36];
	static const int8_t want[36] = {
		11 - 128, 21, 13 - 128, 23, 31 - 128, 41, 33 - 128, 43, /* inputs 0 and 2 */
		12 - 128, 22, 14 - 128, 24, 32 - 128, 42, 34 - 128, 44, /* 1 and 3 */
		15 - 128, 25, -128,	0,  35 - 128, 45, -128,	    0,	/* 4 */
		51 - 128, 51, 53 - 128, 53, /* the fifth channel, twice */
		52 - 128, 52, 54 - 128, 54, 55 - 128, 55, -128,	    0,
	};

	network_init(&net, &a, (struct net_shape){ 1, 1, 5 });
	network_conv2d(&net, 0, 5, 1, 1, 1, NET_SAME, true);
	cr_assert_eq(network_infer(&net, &err), NASC_OK, "%s", err.msg);
	for (size_t i = 0; i < 25; i++)
		weights[i] = (int8_t)(10 * (i / 5 + 1) + i % 5 + 1);
	cr_assert_eq(firmware_weight_bytes(&net, 1), 36);
	firmware_pack(&net, 1, weights, packed);
	cr_assert_arr_eq(packed, want, 36);
	arena_free(&a);
}

Test(firmware, says_what_no_kernel_runs)
{
	static const char *const want[] = {
		NULL,		"grouped", "65536 inputs",		  /* 360,000 */
		"65536 inputs",						  /* 90,000 */
		NULL,		"softmax", NULL,	   "above 65535", /* the stride */
		"above 65535",						  /* the kernel */
	};
	struct arena a = { 0 };
	struct network net;
	struct nasc_err err = { 0 };

	network_init(&net, &a, (struct net_shape){ 300, 300, 4 });
	network_conv2d(&net, 0, 4, 3, 1, 2, NET_SAME, true);
	network_dense(&net, 0, 4, true);
	network_unary(&net, NET_GLOBAL_POOL, 0);
	network_unary(&net, NET_RELU, 3);
	network_unary(&net, NET_SOFTMAX, 4);
	network_pool(&net, NET_MAX_POOL, 0, 1, 65535, NET_SAME);
	network_pool(&net, NET_MAX_POOL, 0, 1, 65536, NET_SAME);
	network_pool(&net, NET_MAX_POOL, 4, 65536, 1, NET_SAME);
	cr_assert_eq(network_infer(&net, &err), NASC_OK, "%s", err.msg);
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		const char *got = firmware_refusal(&net, i);

		cr_expect(want[i] ? got && strstr(got, want[i]) : !got, "operator %zu: %s", i, got);
	}
	arena_free(&a);
}

Test(firmware, files)
{
	for (size_t i = 0; i < n_firmware_files; i++) {
		const struct firmware_file *f = &firmware_files[i];
		char path[4096], *text = malloc(strlen(f->text) + 2);
		FILE *file;
		size_t n;

		snprintf(path, sizeof path, "%s/firmware/%s%s", getenv("NASC_SOURCE"),
			 strncmp(f->name, "nasc_", 5) ? "boards/" : "", f->name);
		file = fopen(path, "rb");
		cr_assert_not_null(file, "%s", path);
		n = fread(text, 1, strlen(f->text) + 2, file);
		fclose(file);
		cr_assert(n == strlen(f->text) && !memcmp(text, f->text, n), "%s", path);
		free(text);
	}
	cr_assert_str_eq(firmware_files[0].name, "nasc_kernels.h");
}
