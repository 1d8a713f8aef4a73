#include "tflite_call.h"

static enum nasc_status fused_act(const struct call *c, unsigned field, int64_t *out,
				  struct nasc_err *err)
{
	*out = fb_int(c->options, field, 1, 0);
	if (*out != 0 && *out != 1 && *out != 3)
		return nasc_fail(err, NASC_DATA,
				 "fused activation %lld, nasc reads none (0), relu (1) and "
				 "relu6 (3)",
				 (long long)*out);
	return NASC_OK;
}

static enum net_act act_of(int64_t fused)
{
	return fused == 0 ? NET_LINEAR : fused == 1 ? NET_ACT_RELU : NET_ACT_RELU6;
}

/* Members 0, 1 and 2 of the options of every window: padding and strides, width first. */
static struct window window_of(const struct call *c, int64_t kernel_h, int64_t kernel_w)
{
	return (struct window){ .kernel_h = kernel_h,
				.kernel_w = kernel_w,
				.stride_h = fb_int(c->options, 2, 4, 0),
				.stride_w = fb_int(c->options, 1, 4, 0),
				.dilation_h = 1,
				.dilation_w = 1,
				.padding = fb_int(c->options, 0, 1, 0) ? NET_VALID : NET_SAME };
}

/* Dimensions of the weights, input 1. */
static enum nasc_status weights_of(const struct call *c, size_t rank, struct dims *out,
				   struct nasc_err *err)
{
	int64_t t = lite_tensor(c->r, c->in, 1);

	if (lite_dims(c->r, t, out, err))
		return err->code;
	if (out->rank != rank || !lite_is_constant(c->r, t))
		return nasc_fail(err, NASC_DATA, "its weights are no constant of %zu dimensions",
				 rank);
	for (size_t i = 0; i < rank; i++)
		if (out->of[i] < 1 || out->of[i] > NETWORK_MAX_DIM)
			return nasc_fail(err, NASC_DATA,
					 "a dimension of its weights is %lld, outside [1, %u]",
					 (long long)out->of[i], NETWORK_MAX_DIM);
	return NASC_OK;
}

static enum nasc_status convolution(const struct call *c, bool depthwise, struct nasc_err *err)
{
	unsigned first = depthwise ? 4 : 3; /* member: fused activation, then dilations */
	struct net_op op = { .kind = NET_CONV2D, .bias = lite_tensor(c->r, c->in, 2) >= 0 };
	struct window w;
	struct value x;
	struct dims d; /* [out][h][w][in of a group], [1][h][w][out] */
	int64_t act;

	if (lite_input(c, 0, &x, err) || weights_of(c, 4, &d, err) ||
	    fused_act(c, first, &act, err))
		return err->code;
	w = window_of(c, d.of[1], d.of[2]);
	w.dilation_w = fb_int(c->options, first + 1, 4, 1);
	w.dilation_h = fb_int(c->options, first + 2, 4, 1);
	op.act = act_of(act);
	op.out_channels = (uint32_t)d.of[depthwise ? 3 : 0];
	if (!depthwise && x.view.c % d.of[3])
		return nasc_fail(err, NASC_DATA,
				 "%lld input channels are not divisible by its weights' %lld",
				 (long long)x.view.c, (long long)d.of[3]);
	if (depthwise && d.of[3] == x.view.c && x.view.c > 1) {
		op.kind = NET_DEPTHWISE;
		op.out_channels = 0;
	} else {
		op.groups = (uint32_t)(depthwise ? x.view.c : x.view.c / d.of[3]);
	}
	if (import_window(&c->r->net, &op, &w, &x, &x, err))
		return err->code;
	return lite_makes(c, x, 0, err);
}

enum nasc_status lite_conv(const struct call *c, struct nasc_err *err)
{
	return convolution(c, false, err);
}

enum nasc_status lite_depthwise(const struct call *c, struct nasc_err *err)
{
	return convolution(c, true, err);
}

/* Weights [out][in]; over each position where the input keeps more than one dimension. */
enum nasc_status lite_dense(const struct call *c, struct nasc_err *err)
{
	struct net_op op = { .kind = NET_DENSE, .bias = lite_tensor(c->r, c->in, 2) >= 0 };
	struct value x;
	struct dims d;
	int64_t act;

	if (lite_input(c, 0, &x, err) || weights_of(c, 2, &d, err) || fused_act(c, 0, &act, err))
		return err->code;
	op.act = act_of(act);
	op.out_channels = (uint32_t)d.of[0];
	if (x.view.c == d.of[1] && (x.view.h > 1 || x.view.w > 1)) {
		op.kind = NET_CONV2D;
		op.kernel_h = op.kernel_w = op.stride = op.groups = 1;
	} else if (import_view(&x, (struct extent){ 1, 1, d.of[1] }, &x, err)) {
		return err->code;
	}
	if (import_append(&c->r->net, &op, &x, 1, &x, err))
		return err->code;
	return lite_makes(c, x, 0, err);
}

static enum nasc_status pool(const struct call *c, enum net_kind kind, struct nasc_err *err)
{
	struct window w = window_of(c, fb_int(c->options, 4, 4, 0), fb_int(c->options, 3, 4, 0));
	struct value x;
	int64_t act;

	if (lite_input(c, 0, &x, err) || fused_act(c, 5, &act, err) ||
	    import_window(&c->r->net, &(struct net_op){ .kind = kind }, &w, &x, &x, err))
		return err->code;
	return lite_makes(c, x, act, err);
}

enum nasc_status lite_max_pool(const struct call *c, struct nasc_err *err)
{
	return pool(c, NET_MAX_POOL, err);
}

enum nasc_status lite_avg_pool(const struct call *c, struct nasc_err *err)
{
	return pool(c, NET_AVG_POOL, err);
}

enum nasc_status lite_add(const struct call *c, struct nasc_err *err)
{
	struct value x[2];
	int64_t act;

	if (lite_input(c, 0, &x[0], err) || lite_input(c, 1, &x[1], err) ||
	    fused_act(c, 0, &act, err) ||
	    import_append(&c->r->net, &(struct net_op){ .kind = NET_ADD, .act = act_of(act) }, x, 2,
			  &x[0], err))
		return err->code;
	return lite_makes(c, x[0], 0, err);
}

enum nasc_status lite_concat(const struct call *c, struct nasc_err *err)
{
	int64_t axis = fb_int(c->options, 0, 4, 0), act;
	struct arena scratch = { 0 };
	struct value *x = ARENA_NEW(&scratch, struct value, c->in.n + 1);
	enum nasc_status st;
	struct dims d;

	if ((st = lite_dims(c->r, lite_tensor(c->r, c->out, 0), &d, err)) == NASC_OK &&
	    axis != -1 && axis != (int64_t)d.rank - 1)
		st = nasc_fail(err, NASC_DATA, "axis %lld, nasc joins along channels alone",
			       (long long)axis);
	if (!st)
		st = fused_act(c, 1, &act, err);
	for (size_t i = 0; !st && i < c->in.n; i++)
		st = lite_input(c, i, &x[i], err);
	if (!st && c->in.n > 1)
		st = import_append(&c->r->net, &(struct net_op){ .kind = NET_CONCAT }, x, c->in.n,
				   &x[0], err);
	if (!st)
		st = lite_makes(c, x[0], act, err);
	arena_free(&scratch);
	return st;
}

/* Input 1: cells before and behind each dimension. */
enum nasc_status lite_pad(const struct call *c, struct nasc_err *err)
{
	struct net_op op = { .kind = NET_PAD };
	uint32_t *const to[LITE_RANK_MAX][2] = { { NULL, NULL },
						 { &op.pad_top, &op.pad_bottom },
						 { &op.pad_left, &op.pad_right },
						 { NULL, NULL } };
	int64_t t = lite_tensor(c->r, c->in, 0);
	struct value x;
	struct fb_vector cells;
	struct dims d;
	unsigned bytes;

	cells = lite_constant(c->r, lite_tensor(c->r, c->in, 1), &bytes);
	if (lite_input(c, 0, &x, err) || lite_dims(c->r, t, &d, err))
		return err->code;
	if (cells.n != 2 * d.rank)
		return nasc_fail(err, NASC_DATA, "its padding is no constant of 2 x %zu integers",
				 d.rank);
	for (size_t i = 0; i < cells.n; i++) {
		uint32_t *cell = to[i > 1 ? LITE_RANK_MAX - d.rank + i / 2 : 0][i % 2];
		int64_t v = fb_item(cells, i, bytes);

		if (v < 0 || v > NETWORK_MAX_DIM || (v && !cell))
			return nasc_fail(err, NASC_DATA,
					 "%lld cells of padding along dimension %zu, nasc pads "
					 "height and width alone",
					 (long long)v, i / 2);
		if (cell)
			*cell = (uint32_t)v;
	}
	if ((op.pad_top || op.pad_left || op.pad_bottom || op.pad_right) &&
	    import_append(&c->r->net, &op, &x, 1, &x, err))
		return err->code;
	return lite_makes(c, x, 0, err);
}

/* Input 1: the axes; height and width, or those of more than one cell. */
enum nasc_status lite_mean(const struct call *c, struct nasc_err *err)
{
	int64_t t = lite_tensor(c->r, c->in, 0);
	struct fb_vector axes;
	struct value x;
	struct dims d;
	unsigned bytes, seen = 0;

	axes = lite_constant(c->r, lite_tensor(c->r, c->in, 1), &bytes);
	if (lite_input(c, 0, &x, err) || lite_dims(c->r, t, &d, err))
		return err->code;
	for (size_t i = 0; i < axes.n && i < LITE_RANK_MAX; i++) {
		int64_t axis = fb_item(axes, i, bytes);

		axis += axis < 0 ? (int64_t)d.rank : 0;
		if (axis < 1 || axis + 1 >= (int64_t)d.rank)
			return nasc_fail(err, NASC_DATA,
					 "axis %lld, nasc takes means over height and width alone",
					 (long long)axis);
		seen |= 1u << ((size_t)axis + LITE_RANK_MAX - d.rank);
	}
	if ((!(seen & 2) && x.view.h > 1) || (!(seen & 4) && x.view.w > 1))
		return nasc_fail(err, NASC_DATA, "a mean over one of height and width");
	if (import_append(&c->r->net, &(struct net_op){ .kind = NET_GLOBAL_POOL }, &x, 1, &x, err))
		return err->code;
	return lite_makes(c, x, 0, err);
}

/* Nothing of it is left in the network but the shape that the file gives its output. */
enum nasc_status lite_view(const struct call *c, struct nasc_err *err)
{
	struct extent e;
	struct value x;

	if (lite_input(c, 0, &x, err) || lite_extent(c->r, lite_tensor(c->r, c->out, 0), &e, err) ||
	    import_view(&x, e, &x, err))
		return err->code;
	return lite_makes(c, x, 0, err);
}

/* Dimensions of one cell may go anywhere: the others have to stay in their order. */
enum nasc_status lite_transpose(const struct call *c, struct nasc_err *err)
{
	int64_t t = lite_tensor(c->r, c->in, 0), last = -1;
	unsigned bytes;
	struct fb_vector order = lite_constant(c->r, lite_tensor(c->r, c->in, 1), &bytes);
	struct dims d;

	if (lite_dims(c->r, t, &d, err))
		return err->code;
	for (size_t i = 0; i < d.rank; i++) {
		int64_t from = i < order.n ? fb_item(order, i, bytes) : -1;

		if (from < 0 || from >= (int64_t)d.rank || (d.of[from] > 1 && from < last))
			return nasc_fail(err, NASC_DATA, "it moves data, nasc has no transpose");
		last = d.of[from] > 1 ? from : last;
	}
	return lite_view(c, err);
}

static enum nasc_status unary(const struct call *c, enum net_kind kind, struct nasc_err *err)
{
	struct value x;

	if (lite_input(c, 0, &x, err) ||
	    import_append(&c->r->net, &(struct net_op){ .kind = kind }, &x, 1, &x, err))
		return err->code;
	return lite_makes(c, x, 0, err);
}

enum nasc_status lite_relu(const struct call *c, struct nasc_err *err)
{
	return unary(c, NET_RELU, err);
}

enum nasc_status lite_relu6(const struct call *c, struct nasc_err *err)
{
	return unary(c, NET_RELU6, err);
}

enum nasc_status lite_softmax(const struct call *c, struct nasc_err *err)
{
	return unary(c, NET_SOFTMAX, err);
}

/* Nearest neighbour, by the same whole number in height and width. */
enum nasc_status lite_upsample(const struct call *c, struct nasc_err *err)
{
	struct net_op op = { .kind = NET_UPSAMPLE };
	struct extent to;
	struct value x;

	if (lite_input(c, 0, &x, err) || lite_extent(c->r, lite_tensor(c->r, c->out, 0), &to, err))
		return err->code;
	if (to.h < 1 || to.h % x.view.h || to.h / x.view.h > NETWORK_MAX_DIM || to.w % x.view.w ||
	    to.w / x.view.w != to.h / x.view.h)
		return nasc_fail(
			err, NASC_DATA, "%lldx%lld to %lldx%lld, nasc resizes by one whole number",
			(long long)x.view.h, (long long)x.view.w, (long long)to.h, (long long)to.w);
	op.stride = (uint32_t)(to.h / x.view.h);
	if (import_append(&c->r->net, &op, &x, 1, &x, err))
		return err->code;
	return lite_makes(c, x, 0, err);
}
