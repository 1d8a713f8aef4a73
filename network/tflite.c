#include <string.h>

#include "flatbuffer.h"
#include "import.h"

/* TensorFlow Lite's files, schema version 3: numbers of members and operators are those of
 * tensorflow/lite/schema/schema.fbs. */
#define SCHEMA_VERSION 3
#define RANK_MAX       4

enum model_field { MODEL_VERSION, MODEL_CODES, MODEL_GRAPHS, MODEL_DESCRIPTION, MODEL_BUFFERS };
enum code_field { CODE_OLD, CODE_CUSTOM, CODE_BUILTIN = 3 };
enum graph_field { GRAPH_TENSORS, GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_OPERATORS };
enum tensor_field { TENSOR_SHAPE, TENSOR_TYPE, TENSOR_BUFFER, TENSOR_SIGNATURE = 7 };
enum operator_field { OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, OPERATOR_OPTIONS = 4 };
enum buffer_field { BUFFER_DATA, BUFFER_OFFSET };
enum type { FLOAT32 = 0, INT32 = 2, UINT8 = 3, INT64 = 4, INT8 = 9 };

struct reader {
	struct flatbuffer file;
	struct fb_vector buffers, codes, tensors, operators;
	struct value *value; /* of each tensor */
	struct network net;
};

/* One operator of the file. */
struct call {
	struct reader *r;
	struct fb_vector in, out;
	struct fb_table options;
};

/* ---- tensors ------------------------------------------------------------------- */

struct dims {
	size_t rank;
	int64_t of[RANK_MAX];
};

/* Tensor that input or output @i of a call is; -1: none. */
static int64_t tensor_of(const struct reader *r, struct fb_vector list, size_t i)
{
	int64_t t = i < list.n ? fb_item(list, i, 4) : -1;

	return t >= 0 && (uint64_t)t < r->tensors.n ? t : -1;
}

static enum nasc_status dims_of(const struct reader *r, int64_t tensor, struct dims *out,
				struct nasc_err *err)
{
	struct fb_vector shape;

	if (tensor < 0)
		return nasc_fail(err, NASC_DATA, "an input or output is missing");
	shape = fb_vector(fb_item_table(r->tensors, (size_t)tensor), TENSOR_SHAPE, 4);
	if (shape.n > RANK_MAX)
		return nasc_fail(err, NASC_DATA, "tensor %lld has %zu dimensions, at most %d",
				 (long long)tensor, shape.n, RANK_MAX);
	out->rank = shape.n;
	for (size_t i = 0; i < shape.n; i++)
		out->of[i] = fb_item(shape, i, 4);
	return NASC_OK;
}

/* Height, width and channels of an activation: its dimensions behind the batch, of 1. */
static enum nasc_status extent_of(const struct reader *r, int64_t tensor, struct extent *out,
				  struct nasc_err *err)
{
	struct extent e = { 1, 1, 1 };
	struct dims d;
	enum nasc_status st = dims_of(r, tensor, &d, err);

	if (st)
		return st;
	if (d.rank > 1 && d.of[0] != 1)
		return nasc_fail(err, NASC_DATA, "tensor %lld is a batch of %lld, it must be 1",
				 (long long)tensor, (long long)d.of[0]);
	if (d.rank > 0)
		e.c = d.of[d.rank - 1];
	if (d.rank > 2)
		e.w = d.of[d.rank - 2];
	if (d.rank > 3)
		e.h = d.of[d.rank - 3];
	*out = e;
	return NASC_OK;
}

/* Of the network's input, where the signature has the sizes that are not fixed: 0 for these. */
static enum nasc_status input_extent(const struct reader *r, int64_t tensor, struct extent *out,
				     struct nasc_err *err)
{
	int64_t *const side[] = { &out->c, &out->w, &out->h };
	struct fb_vector signature;
	enum nasc_status st = extent_of(r, tensor, out, err);

	if (st)
		return st;
	signature = fb_vector(fb_item_table(r->tensors, (size_t)tensor), TENSOR_SIGNATURE, 4);
	for (size_t k = 0; k < 3 && k + 1 < signature.n; k++)
		if (fb_item(signature, signature.n - 1 - k, 4) < 0)
			*side[k] = 0;
	return NASC_OK;
}

/* Item @i of the constant integers that tensor @tensor holds; how many there are. */
static struct fb_vector constant(const struct reader *r, int64_t tensor, unsigned *bytes)
{
	struct fb_table t = tensor < 0 ? (struct fb_table){ .file = r->operators.file }
				       : fb_item_table(r->tensors, (size_t)tensor);
	int64_t buffer = fb_int(t, TENSOR_BUFFER, 4, 0);
	struct fb_vector v;

	*bytes = fb_int(t, TENSOR_TYPE, 1, 0) == INT64 ? 8 : 4;
	v = fb_vector(fb_item_table(r->buffers, buffer < 0 ? r->buffers.n : (size_t)buffer),
		      BUFFER_DATA, 1);
	v.n /= *bytes;
	return v;
}

static bool is_constant(const struct reader *r, int64_t tensor)
{
	struct fb_table t, buffer;
	int64_t i;

	if (tensor < 0)
		return false;
	t = fb_item_table(r->tensors, (size_t)tensor);
	i = fb_int(t, TENSOR_BUFFER, 4, 0);
	buffer = fb_item_table(r->buffers, i < 0 ? r->buffers.n : (size_t)i);
	return fb_vector(buffer, BUFFER_DATA, 1).n > 0 || fb_int(buffer, BUFFER_OFFSET, 8, 0) > 1;
}

static enum nasc_status check_type(const struct reader *r, int64_t tensor, struct nasc_err *err)
{
	int64_t type = fb_int(fb_item_table(r->tensors, (size_t)tensor), TENSOR_TYPE, 1, FLOAT32);

	if (type != FLOAT32 && type != UINT8 && type != INT8)
		return nasc_fail(err, NASC_DATA,
				 "tensor %lld is of type %lld, nasc reads activations of float32 "
				 "(0), uint8 (3) and int8 (9)",
				 (long long)tensor, (long long)type);
	return NASC_OK;
}

/* ---- calls --------------------------------------------------------------------- */

static enum nasc_status input_of(const struct call *c, size_t i, struct value *out,
				 struct nasc_err *err)
{
	int64_t t = tensor_of(c->r, c->in, i);

	if (t >= 0 && c->r->value[t].known) {
		*out = c->r->value[t];
		return NASC_OK;
	}
	if (t >= 0 && is_constant(c->r, t))
		return nasc_fail(err, NASC_DATA, "input %zu is a constant", i);
	return nasc_fail(err, NASC_DATA, "input %zu is no tensor that an earlier operator made", i);
}

/* Its first output is @v, with fused activation @act behind it. */
static enum nasc_status output_is(const struct call *c, struct value v, int64_t act,
				  struct nasc_err *err)
{
	int64_t t = tensor_of(c->r, c->out, 0);
	struct extent declared;

	if (act &&
	    import_append(&c->r->net, &(struct net_op){ .kind = act == 1 ? NET_RELU : NET_RELU6 },
			  &v, 1, &v, err))
		return err->code;
	if (extent_of(c->r, t, &declared, err) || check_type(c->r, t, err))
		return err->code;
	if (v.view.h != declared.h || v.view.w != declared.w || v.view.c != declared.c)
		return nasc_fail(err, NASC_DATA,
				 "it makes %lldx%lldx%lld, but tensor %lld is %lldx%lldx%lld",
				 (long long)v.view.h, (long long)v.view.w, (long long)v.view.c,
				 (long long)t, (long long)declared.h, (long long)declared.w,
				 (long long)declared.c);
	c->r->value[t] = v;
	return NASC_OK;
}

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
	int64_t t = tensor_of(c->r, c->in, 1);

	if (dims_of(c->r, t, out, err))
		return err->code;
	if (out->rank != rank || !is_constant(c->r, t))
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
	struct net_op op = { .kind = NET_CONV2D, .bias = tensor_of(c->r, c->in, 2) >= 0 };
	struct window w;
	struct value x;
	struct dims d; /* [out][h][w][in of a group], [1][h][w][out] */
	int64_t act;

	if (input_of(c, 0, &x, err) || weights_of(c, 4, &d, err) || fused_act(c, first, &act, err))
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
	return output_is(c, x, 0, err);
}

static enum nasc_status read_conv(const struct call *c, struct nasc_err *err)
{
	return convolution(c, false, err);
}

static enum nasc_status read_depthwise(const struct call *c, struct nasc_err *err)
{
	return convolution(c, true, err);
}

/* Weights [out][in]; over each position where the input keeps more than one dimension. */
static enum nasc_status read_dense(const struct call *c, struct nasc_err *err)
{
	struct net_op op = { .kind = NET_DENSE, .bias = tensor_of(c->r, c->in, 2) >= 0 };
	struct value x;
	struct dims d;
	int64_t act;

	if (input_of(c, 0, &x, err) || weights_of(c, 2, &d, err) || fused_act(c, 0, &act, err))
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
	return output_is(c, x, 0, err);
}

static enum nasc_status pool(const struct call *c, enum net_kind kind, struct nasc_err *err)
{
	struct window w = window_of(c, fb_int(c->options, 4, 4, 0), fb_int(c->options, 3, 4, 0));
	struct value x;
	int64_t act;

	if (input_of(c, 0, &x, err) || fused_act(c, 5, &act, err) ||
	    import_window(&c->r->net, &(struct net_op){ .kind = kind }, &w, &x, &x, err))
		return err->code;
	return output_is(c, x, act, err);
}

static enum nasc_status read_max_pool(const struct call *c, struct nasc_err *err)
{
	return pool(c, NET_MAX_POOL, err);
}

static enum nasc_status read_avg_pool(const struct call *c, struct nasc_err *err)
{
	return pool(c, NET_AVG_POOL, err);
}

static enum nasc_status read_add(const struct call *c, struct nasc_err *err)
{
	struct value x[2];
	int64_t act;

	if (input_of(c, 0, &x[0], err) || input_of(c, 1, &x[1], err) ||
	    fused_act(c, 0, &act, err) ||
	    import_append(&c->r->net, &(struct net_op){ .kind = NET_ADD, .act = act_of(act) }, x, 2,
			  &x[0], err))
		return err->code;
	return output_is(c, x[0], 0, err);
}

static enum nasc_status read_concat(const struct call *c, struct nasc_err *err)
{
	int64_t axis = fb_int(c->options, 0, 4, 0), act;
	struct arena scratch = { 0 };
	struct value *x = ARENA_NEW(&scratch, struct value, c->in.n + 1);
	enum nasc_status st;
	struct dims d;

	if ((st = dims_of(c->r, tensor_of(c->r, c->out, 0), &d, err)) == NASC_OK && axis != -1 &&
	    axis != (int64_t)d.rank - 1)
		st = nasc_fail(err, NASC_DATA, "axis %lld, nasc joins along channels alone",
			       (long long)axis);
	if (!st)
		st = fused_act(c, 1, &act, err);
	for (size_t i = 0; !st && i < c->in.n; i++)
		st = input_of(c, i, &x[i], err);
	if (!st && c->in.n > 1)
		st = import_append(&c->r->net, &(struct net_op){ .kind = NET_CONCAT }, x, c->in.n,
				   &x[0], err);
	if (!st)
		st = output_is(c, x[0], act, err);
	arena_free(&scratch);
	return st;
}

/* Input 1: cells before and behind each dimension. */
static enum nasc_status read_pad(const struct call *c, struct nasc_err *err)
{
	struct net_op op = { .kind = NET_PAD };
	uint32_t *const to[RANK_MAX][2] = { { NULL, NULL },
					    { &op.pad_top, &op.pad_bottom },
					    { &op.pad_left, &op.pad_right },
					    { NULL, NULL } };
	int64_t t = tensor_of(c->r, c->in, 0);
	struct value x;
	struct fb_vector cells;
	struct dims d;
	unsigned bytes;

	cells = constant(c->r, tensor_of(c->r, c->in, 1), &bytes);
	if (input_of(c, 0, &x, err) || dims_of(c->r, t, &d, err))
		return err->code;
	if (cells.n != 2 * d.rank)
		return nasc_fail(err, NASC_DATA, "its padding is no constant of 2 x %zu integers",
				 d.rank);
	for (size_t i = 0; i < cells.n; i++) {
		uint32_t *cell = to[i > 1 ? RANK_MAX - d.rank + i / 2 : 0][i % 2];
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
	return output_is(c, x, 0, err);
}

/* Input 1: the axes; height and width, or those of more than one cell. */
static enum nasc_status read_mean(const struct call *c, struct nasc_err *err)
{
	int64_t t = tensor_of(c->r, c->in, 0);
	struct fb_vector axes;
	struct value x;
	struct dims d;
	unsigned bytes, seen = 0;

	axes = constant(c->r, tensor_of(c->r, c->in, 1), &bytes);
	if (input_of(c, 0, &x, err) || dims_of(c->r, t, &d, err))
		return err->code;
	for (size_t i = 0; i < axes.n && i < RANK_MAX; i++) {
		int64_t axis = fb_item(axes, i, bytes);

		axis += axis < 0 ? (int64_t)d.rank : 0;
		if (axis < 1 || axis + 1 >= (int64_t)d.rank)
			return nasc_fail(err, NASC_DATA,
					 "axis %lld, nasc takes means over height and width alone",
					 (long long)axis);
		seen |= 1u << ((size_t)axis + RANK_MAX - d.rank);
	}
	if ((!(seen & 2) && x.view.h > 1) || (!(seen & 4) && x.view.w > 1))
		return nasc_fail(err, NASC_DATA, "a mean over one of height and width");
	if (import_append(&c->r->net, &(struct net_op){ .kind = NET_GLOBAL_POOL }, &x, 1, &x, err))
		return err->code;
	return output_is(c, x, 0, err);
}

/* Nothing of it is left in the network but the shape that the file gives its output. */
static enum nasc_status read_view(const struct call *c, struct nasc_err *err)
{
	struct extent e;
	struct value x;

	if (input_of(c, 0, &x, err) || extent_of(c->r, tensor_of(c->r, c->out, 0), &e, err) ||
	    import_view(&x, e, &x, err))
		return err->code;
	return output_is(c, x, 0, err);
}

/* Dimensions of one cell may go anywhere: the others have to stay in their order. */
static enum nasc_status read_transpose(const struct call *c, struct nasc_err *err)
{
	int64_t t = tensor_of(c->r, c->in, 0), last = -1;
	unsigned bytes;
	struct fb_vector order = constant(c->r, tensor_of(c->r, c->in, 1), &bytes);
	struct dims d;

	if (dims_of(c->r, t, &d, err))
		return err->code;
	for (size_t i = 0; i < d.rank; i++) {
		int64_t from = i < order.n ? fb_item(order, i, bytes) : -1;

		if (from < 0 || from >= (int64_t)d.rank || (d.of[from] > 1 && from < last))
			return nasc_fail(err, NASC_DATA, "it moves data, nasc has no transpose");
		last = d.of[from] > 1 ? from : last;
	}
	return read_view(c, err);
}

static enum nasc_status unary(const struct call *c, enum net_kind kind, struct nasc_err *err)
{
	struct value x;

	if (input_of(c, 0, &x, err) ||
	    import_append(&c->r->net, &(struct net_op){ .kind = kind }, &x, 1, &x, err))
		return err->code;
	return output_is(c, x, 0, err);
}

static enum nasc_status read_relu(const struct call *c, struct nasc_err *err)
{
	return unary(c, NET_RELU, err);
}

static enum nasc_status read_relu6(const struct call *c, struct nasc_err *err)
{
	return unary(c, NET_RELU6, err);
}

static enum nasc_status read_softmax(const struct call *c, struct nasc_err *err)
{
	return unary(c, NET_SOFTMAX, err);
}

/* Nearest neighbour, by the same whole number in height and width. */
static enum nasc_status read_upsample(const struct call *c, struct nasc_err *err)
{
	struct net_op op = { .kind = NET_UPSAMPLE };
	struct extent to;
	struct value x;

	if (input_of(c, 0, &x, err) || extent_of(c->r, tensor_of(c->r, c->out, 0), &to, err))
		return err->code;
	if (to.h < 1 || to.h % x.view.h || to.h / x.view.h > NETWORK_MAX_DIM || to.w % x.view.w ||
	    to.w / x.view.w != to.h / x.view.h)
		return nasc_fail(
			err, NASC_DATA, "%lldx%lld to %lldx%lld, nasc resizes by one whole number",
			(long long)x.view.h, (long long)x.view.w, (long long)to.h, (long long)to.w);
	op.stride = (uint32_t)(to.h / x.view.h);
	if (import_append(&c->r->net, &op, &x, 1, &x, err))
		return err->code;
	return output_is(c, x, 0, err);
}

/* ---- operators ------------------------------------------------------------------ */

/* By BuiltinOperator's number; the lower half is refused by name alone. */
static const struct builtin {
	int64_t code;
	const char *name;
	enum nasc_status (*read)(const struct call *c, struct nasc_err *err);
} builtins[] = {
	{ 0, "add", read_add },
	{ 1, "average_pool_2d", read_avg_pool },
	{ 2, "concatenation", read_concat },
	{ 3, "conv_2d", read_conv },
	{ 4, "depthwise_conv_2d", read_depthwise },
	{ 6, "dequantize", read_view },
	{ 9, "fully_connected", read_dense },
	{ 17, "max_pool_2d", read_max_pool },
	{ 19, "relu", read_relu },
	{ 21, "relu6", read_relu6 },
	{ 22, "reshape", read_view },
	{ 25, "softmax", read_softmax },
	{ 34, "pad", read_pad },
	{ 39, "transpose", read_transpose },
	{ 40, "mean", read_mean },
	{ 43, "squeeze", read_view },
	{ 70, "expand_dims", read_view },
	{ 97, "resize_nearest_neighbor", read_upsample },
	{ 114, "quantize", read_view },
	{ 14, "logistic", NULL },
	{ 16, "lstm", NULL },
	{ 18, "mul", NULL },
	{ 23, "resize_bilinear", NULL },
	{ 28, "tanh", NULL },
	{ 32, "custom", NULL },
	{ 41, "sub", NULL },
	{ 44, "unidirectional_sequence_lstm", NULL },
	{ 45, "strided_slice", NULL },
	{ 49, "split", NULL },
	{ 54, "prelu", NULL },
	{ 67, "transpose_conv", NULL },
	{ 77, "shape", NULL },
	{ 83, "pack", NULL },
	{ 98, "leaky_relu", NULL },
	{ 117, "hard_swish", NULL },
};
#define N_BUILTINS (sizeof builtins / sizeof *builtins)

/* NULL: nasc has not heard of it. */
static const struct builtin *builtin_of(const struct reader *r, size_t i, int64_t *code)
{
	int64_t index = fb_int(fb_item_table(r->operators, i), OPERATOR_CODE, 4, 0), old;
	struct fb_table entry = fb_item_table(r->codes, index < 0 ? r->codes.n : (size_t)index);

	*code = fb_int(entry, CODE_BUILTIN, 4, 0);
	old = fb_int(entry, CODE_OLD, 1, 0); /* files of before 2020 have that alone */
	if (*code < old)
		*code = old;
	for (size_t k = 0; k < N_BUILTINS; k++)
		if (builtins[k].code == *code)
			return &builtins[k];
	return NULL;
}

/* All kinds that are not read at once. */
static enum nasc_status check_operators(const struct reader *r, struct nasc_err *err)
{
	struct unread unread = { 0 };
	char known[400];
	int n = 0;

	for (size_t i = 0; i < r->operators.n; i++) {
		int64_t code;
		const struct builtin *b = builtin_of(r, i, &code);
		char number[40];

		snprintf(number, sizeof number, "builtin operator %lld", (long long)code);
		if (!b || !b->read)
			import_unread(&unread, i, b ? b->name : number);
	}
	for (size_t i = 0; i < N_BUILTINS; i++)
		if (builtins[i].read)
			n += snprintf(known + n, sizeof known - (size_t)n, "%s%s", n ? ", " : "",
				      builtins[i].name);
	return import_refuse(&unread, known, err);
}

static enum nasc_status read_operator(struct reader *r, size_t i, struct nasc_err *err)
{
	struct fb_table op = fb_item_table(r->operators, i);
	struct call c = { .r = r,
			  .in = fb_vector(op, OPERATOR_INPUTS, 4),
			  .out = fb_vector(op, OPERATOR_OUTPUTS, 4),
			  .options = fb_table(op, OPERATOR_OPTIONS) };
	int64_t code;
	const struct builtin *b = builtin_of(r, i, &code);

	if (b->read(&c, err))
		return nasc_wrap(err, "operator %zu (%s)", i, b->name);
	return NASC_OK;
}

/* ---- the file -------------------------------------------------------------------- */

static enum nasc_status read_graph(struct reader *r, struct fb_table graph, struct arena *a,
				   struct arena *scratch, struct network *out, struct nasc_err *err)
{
	struct fb_vector in = fb_vector(graph, GRAPH_INPUTS, 4);
	struct fb_vector outputs = fb_vector(graph, GRAPH_OUTPUTS, 4);
	struct value output = { 0 };
	struct extent e;
	int64_t first;

	r->tensors = fb_vector(graph, GRAPH_TENSORS, 4);
	r->operators = fb_vector(graph, GRAPH_OPERATORS, 4);
	r->value = ARENA_NEW(scratch, struct value, r->tensors.n + 1);
	first = tensor_of(r, in, 0);
	if (in.n != 1)
		return nasc_fail(err, NASC_DATA, "%zu inputs, nasc reads networks of one", in.n);
	if (check_operators(r, err))
		return err->code;
	if (input_extent(r, first, &e, err) || check_type(r, first, err) ||
	    import_start(&r->net, a, e, &r->value[first], err))
		return nasc_wrap(err, "input");
	for (size_t i = 0; i < r->operators.n; i++)
		if (read_operator(r, i, err))
			return err->code;
	for (size_t i = 0; i < outputs.n; i++) {
		int64_t t = tensor_of(r, outputs, i);

		if (t >= 0 && r->value[t].known && r->value[t].op >= output.op)
			output = r->value[t];
	}
	if (!output.known)
		return nasc_fail(err, NASC_DATA, "no operator makes its output");
	return import_finish(&r->net, &output, out, err);
}

static enum nasc_status read_model(struct reader *r, struct arena *a, struct arena *scratch,
				   struct network *out, struct nasc_err *err)
{
	struct fb_table model = fb_root(&r->file);
	struct fb_vector graphs = fb_vector(model, MODEL_GRAPHS, 4);
	int64_t version = fb_int(model, MODEL_VERSION, 4, 0);

	r->codes = fb_vector(model, MODEL_CODES, 4);
	r->buffers = fb_vector(model, MODEL_BUFFERS, 4);
	if (version != SCHEMA_VERSION)
		return nasc_fail(err, NASC_DATA,
				 "version %lld of the TensorFlow Lite schema, not %d",
				 (long long)version, SCHEMA_VERSION);
	if (graphs.n != 1)
		return nasc_fail(err, NASC_DATA, "%zu subgraphs, nasc reads networks of one",
				 graphs.n);
	return read_graph(r, fb_item_table(graphs, 0), a, scratch, out, err);
}

bool tflite_is(const void *bytes, size_t n)
{
	return n >= 8 && memcmp((const char *)bytes + 4, "TFL3", 4) == 0;
}

enum nasc_status network_from_tflite(const void *bytes, size_t n, struct arena *a,
				     struct network *out, struct nasc_err *err)
{
	struct reader r = { .file = { bytes, n, false } };
	struct arena scratch = { 0 };
	struct arena_mark m = arena_mark(a);
	struct network net;
	enum nasc_status st = read_model(&r, a, &scratch, &net, err);

	arena_free(&scratch);
	if (r.file.damaged) /* whatever else was found wrong follows from it */
		*err = (struct nasc_err){ 0 };
	if (r.file.damaged)
		st = nasc_fail(err, NASC_DATA,
			       "it is damaged: something in it points beyond its %zu bytes", n);
	if (st) {
		arena_rewind(a, m);
		err->code = NASC_DATA;
		return NASC_DATA;
	}
	*out = net;
	return NASC_OK;
}
