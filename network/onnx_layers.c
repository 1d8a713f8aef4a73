#include <math.h>

#include "onnx_call.h"

/* Operators that compute: convolutions, pools, dense layers, sums, activations. */

/* ---- windows --------------------------------------------------------------------- */

/* SAME_LOWER: the odd cell before. */
static void pad_lower(int64_t in, int64_t kernel, int64_t stride, int64_t *before, int64_t *after)
{
	int64_t span = (in - 1) / stride * stride + kernel;
	int64_t all = span > in ? span - in : 0;

	*after = all / 2;
	*before = all - all / 2;
}

/* ceil_mode: one more window where cells are left over, unless it would begin behind them. */
static int64_t ceil_cells(int64_t in, int64_t kernel, int64_t stride, int64_t before, int64_t after)
{
	int64_t rest = in + before + after - kernel, more;

	if (rest < 0 || rest % stride == 0)
		return 0;
	more = stride - rest % stride;
	return rest + more >= in + before ? 0 : more;
}

static bool in_bounds(int64_t v)
{
	return v >= 1 && v <= NETWORK_MAX_DIM;
}

/* Attributes of what slides over @x; kernel @kernel of two, or of a single axis the second. */
static enum nasc_status window_of(const struct call *c, const struct tensor *x,
				  const int64_t kernel[2], struct window *out, struct nasc_err *err)
{
	size_t axes = x->rank == 4 ? 2 : 1;
	int64_t stride[2], dilation[2], pad[4];
	enum nasc_status st;
	struct window w = { .kernel_h = axes == 2 ? kernel[0] : 1, .kernel_w = kernel[axes - 1] };

	if ((st = node_ints(c->node, "strides", axes, 1, stride, err)) != NASC_OK ||
	    (st = node_ints(c->node, "dilations", axes, 1, dilation, err)) != NASC_OK ||
	    (st = node_ints(c->node, "pads", 2 * axes, 0, pad, err)) != NASC_OK)
		return st;
	w.stride_h = axes == 2 ? stride[0] : 1;
	w.stride_w = stride[axes - 1];
	w.dilation_h = axes == 2 ? dilation[0] : 1;
	w.dilation_w = dilation[axes - 1];
	if (!in_bounds(w.kernel_h) || !in_bounds(w.kernel_w) || !in_bounds(w.stride_h) ||
	    !in_bounds(w.stride_w))
		return nasc_fail(err, NASC_DATA,
				 "kernel %lldx%lld or stride %lldx%lld is out of bounds",
				 (long long)w.kernel_h, (long long)w.kernel_w,
				 (long long)w.stride_h, (long long)w.stride_w);
	w.padding = NET_EXPLICIT;
	if (node_text_is(c->node, "auto_pad", "SAME_UPPER")) {
		w.padding = NET_SAME;
	} else if (node_text_is(c->node, "auto_pad", "SAME_LOWER")) {
		pad_lower(x->value.view.h, w.kernel_h, w.stride_h, &w.top, &w.bottom);
		pad_lower(x->value.view.w, w.kernel_w, w.stride_w, &w.left, &w.right);
	} else if (!node_text_is(c->node, "auto_pad", "VALID")) {
		w.top = axes == 2 ? pad[0] : 0;
		w.left = pad[axes - 1];
		w.bottom = axes == 2 ? pad[axes] : 0;
		w.right = pad[2 * axes - 1];
	}
	*out = w;
	return NASC_OK;
}

static enum nasc_status spatial(const struct tensor *x, struct nasc_err *err)
{
	if (x->rank != 3 && x->rank != 4)
		return nasc_fail(err, NASC_DATA,
				 "its input has %zu dimensions, it must have 3 or 4", x->rank);
	return NASC_OK;
}

/* Weights [out][in of a group][h][w]. */
enum nasc_status onnx_conv(const struct call *c, struct nasc_err *err)
{
	int64_t groups = node_int(c->node, "group", 1), k[2];
	struct net_op op = { .kind = NET_CONV2D, .bias = call_has_input(c, 2) };
	const struct tensor *x, *w;
	struct window win;
	struct value y;

	if (call_value(c, 0, &x, err) || call_constant(c, 1, &w, err) || spatial(x, err))
		return err->code;
	if (w->rank != x->rank || tensor_elements(w) == 0)
		return nasc_fail(err, NASC_DATA, "its weights have %zu dimensions, its input %zu",
				 w->rank, x->rank);
	k[0] = w->dim[2];
	k[1] = w->dim[w->rank - 1];
	if (x->rank == 3)
		k[0] = k[1];
	if (groups < 1 || groups > NETWORK_MAX_DIM || w->dim[0] > NETWORK_MAX_DIM ||
	    w->dim[1] > NETWORK_MAX_DIM || w->dim[1] * groups != x->value.view.c)
		return nasc_fail(
			err, NASC_DATA, "%lld groups of %lld channels do not make the input's %lld",
			(long long)groups, (long long)w->dim[1], (long long)x->value.view.c);
	if (groups > 1 && w->dim[1] == 1 && w->dim[0] == groups) {
		op.kind = NET_DEPTHWISE;
	} else {
		op.groups = (uint32_t)groups;
		op.out_channels = (uint32_t)w->dim[0];
	}
	if (window_of(c, x, k, &win, err) ||
	    import_window(&c->r->net, &op, &win, &x->value, &y, err))
		return err->code;
	return call_makes(c, y, x->rank, err);
}

static enum nasc_status pad_before_pool(const struct call *c, struct window *w, struct value *x,
					struct nasc_err *err)
{
	struct net_op op = { .kind = NET_PAD };
	const int64_t pad[] = { w->top, w->left, w->bottom, w->right };

	for (int i = 0; i < 4; i++)
		if (pad[i] < 0 || pad[i] > NETWORK_MAX_DIM)
			return nasc_fail(err, NASC_DATA, "%lld cells of padding",
					 (long long)pad[i]);
	op.pad_top = (uint32_t)w->top;
	op.pad_left = (uint32_t)w->left;
	op.pad_bottom = (uint32_t)w->bottom;
	op.pad_right = (uint32_t)w->right;
	w->top = w->left = w->bottom = w->right = 0;
	return import_append(&c->r->net, &op, x, 1, x, err);
}

static enum nasc_status pool(const struct call *c, enum net_kind kind, struct nasc_err *err)
{
	const struct tensor *x;
	struct window w;
	struct value v;
	int64_t k[2] = { 0 };

	if (call_value(c, 0, &x, err) || spatial(x, err) ||
	    node_ints(c->node, "kernel_shape", x->rank - 2, 0, k, err) ||
	    window_of(c, x, k, &w, err))
		return err->code;
	v = x->value;
	if (w.padding == NET_EXPLICIT && kind == NET_AVG_POOL &&
	    node_int(c->node, "count_include_pad", 0) && (w.top || w.left || w.bottom || w.right) &&
	    pad_before_pool(c, &w, &v, err))
		return err->code;
	if (w.padding == NET_EXPLICIT && node_int(c->node, "ceil_mode", 0) && w.top >= 0 &&
	    w.left >= 0 && w.bottom >= 0 && w.right >= 0 && w.top + w.bottom < NETWORK_MAX_DIM &&
	    w.left + w.right < NETWORK_MAX_DIM) {
		w.bottom += ceil_cells(v.view.h, w.kernel_h, w.stride_h, w.top, w.bottom);
		w.right += ceil_cells(v.view.w, w.kernel_w, w.stride_w, w.left, w.right);
	}
	if (import_window(&c->r->net, &(struct net_op){ .kind = kind }, &w, &v, &v, err))
		return err->code;
	return call_makes(c, v, x->rank, err);
}

enum nasc_status onnx_max_pool(const struct call *c, struct nasc_err *err)
{
	return pool(c, NET_MAX_POOL, err);
}

enum nasc_status onnx_avg_pool(const struct call *c, struct nasc_err *err)
{
	return pool(c, NET_AVG_POOL, err);
}

/* ---- dense layers ---------------------------------------------------------------- */

static enum nasc_status dense(const struct call *c, int64_t in, int64_t units, bool bias,
			      struct nasc_err *err)
{
	struct net_op op = { .kind = NET_DENSE, .bias = bias };
	const struct tensor *x;
	struct value v;

	if (call_value(c, 0, &x, err))
		return err->code;
	if (x->rank > 2)
		return nasc_fail(err, NASC_DATA, "its input has %zu dimensions, it must have 2",
				 x->rank);
	if (units < 1 || units > NETWORK_MAX_DIM)
		return nasc_fail(err, NASC_DATA, "%lld units, they must be in [1, %u]",
				 (long long)units, NETWORK_MAX_DIM);
	op.out_channels = (uint32_t)units;
	if (import_view(&x->value, (struct extent){ 1, 1, in }, &v, err) ||
	    import_append(&c->r->net, &op, &v, 1, &v, err))
		return err->code;
	return call_makes(c, v, 2, err);
}

enum nasc_status onnx_gemm(const struct call *c, struct nasc_err *err)
{
	bool across = node_int(c->node, "transB", 0);
	const struct tensor *w;

	if (call_constant(c, 1, &w, err))
		return err->code;
	if (w->rank != 2 || node_int(c->node, "transA", 0))
		return nasc_fail(err, NASC_DATA,
				 "its weights have %zu dimensions, not 2, or its input is "
				 "transposed",
				 w->rank);
	return dense(c, w->dim[across], w->dim[!across], call_has_input(c, 2), err);
}

enum nasc_status onnx_matmul(const struct call *c, struct nasc_err *err)
{
	const struct tensor *w;

	if (call_constant(c, 1, &w, err))
		return err->code;
	if (w->rank != 2)
		return nasc_fail(err, NASC_DATA, "its weights have %zu dimensions, not 2", w->rank);
	return dense(c, w->dim[0], w->dim[1], false, err);
}

/* ---- sums, norms, activations ------------------------------------------------------ */

/* A constant, one number a channel, behind a layer that has no bias yet. */
static enum nasc_status add_bias(const struct call *c, const struct tensor *x,
				 const struct tensor *constant, struct nasc_err *err)
{
	struct net_op *o = &c->r->net.op[x->value.op];
	bool layer = o->kind == NET_CONV2D || o->kind == NET_DEPTHWISE || o->kind == NET_DENSE;

	if (!layer || o->bias || x->value.op + 1 != c->r->net.n_ops ||
	    tensor_elements(constant) != o->out.c)
		return nasc_fail(err, NASC_DATA, "it adds a constant that is no layer's bias");
	o->bias = true;
	return call_makes(c, x->value, x->rank, err);
}

static enum nasc_status merge(const struct call *c, enum net_kind kind, struct nasc_err *err)
{
	struct arena scratch = { 0 };
	struct value *x = ARENA_NEW(&scratch, struct value, c->node->n_input + 1);
	const struct tensor *t = NULL;
	enum nasc_status st = NASC_OK;

	for (size_t i = 0; !st && i < c->node->n_input; i++)
		if ((st = call_value(c, i, &t, err)) == NASC_OK)
			x[i] = t->value;
	if (!st)
		st = import_append(&c->r->net, &(struct net_op){ .kind = kind }, x,
				   c->node->n_input, &x[0], err);
	if (!st)
		st = call_makes(c, x[0], t ? t->rank : 0, err);
	arena_free(&scratch);
	return st;
}

enum nasc_status onnx_add(const struct call *c, struct nasc_err *err)
{
	const struct tensor *a = call_input(c, 0), *b = call_input(c, 1);

	if (a && b && a->kind == TENSOR_CONSTANT && b->kind == TENSOR_CONSTANT)
		return onnx_sum(c, err);
	if (a && b && a->kind == TENSOR_VALUE && b->kind == TENSOR_CONSTANT)
		return add_bias(c, a, b, err);
	if (a && b && b->kind == TENSOR_VALUE && a->kind == TENSOR_CONSTANT)
		return add_bias(c, b, a, err);
	return merge(c, NET_ADD, err);
}

enum nasc_status onnx_concat(const struct call *c, struct nasc_err *err)
{
	int64_t axis = node_int(c->node, "axis", 1);
	const struct tensor *x = call_input(c, 0);

	if (x && x->kind == TENSOR_CONSTANT)
		return onnx_join(c, err);
	if (call_value(c, 0, &x, err))
		return err->code;
	if (onnx_axis(axis, x->rank) != 1)
		return nasc_fail(err, NASC_DATA, "axis %lld, nasc joins along channels alone",
				 (long long)axis);
	return c->node->n_input == 1 ? onnx_same(c, err) : merge(c, NET_CONCAT, err);
}

static enum nasc_status unary(const struct call *c, enum net_kind kind, size_t rank,
			      struct nasc_err *err)
{
	const struct tensor *x;
	struct value y;

	if (call_value(c, 0, &x, err) ||
	    import_append(&c->r->net, &(struct net_op){ .kind = kind }, &x->value, 1, &y, err))
		return err->code;
	return call_makes(c, y, rank ? rank : x->rank, err);
}

enum nasc_status onnx_norm(const struct call *c, struct nasc_err *err)
{
	return unary(c, NET_BATCH_NORM, 0, err);
}

enum nasc_status onnx_relu(const struct call *c, struct nasc_err *err)
{
	return unary(c, NET_RELU, 0, err);
}

enum nasc_status onnx_softmax(const struct call *c, struct nasc_err *err)
{
	return unary(c, NET_SOFTMAX, 0, err);
}

enum nasc_status onnx_global_pool(const struct call *c, struct nasc_err *err)
{
	return unary(c, NET_GLOBAL_POOL, 0, err);
}

/* Attribute @name, since later versions input @i; NAN where that is no constant. */
static double real_of(const struct call *c, const char *name, size_t i, double none)
{
	const struct tensor *t = call_input(c, i);
	double v = NAN;

	if (!call_has_input(c, i))
		return node_real(c->node, name, none);
	return t && t->kind == TENSOR_CONSTANT && tensor_real(t, 0, &v) ? v : NAN;
}

enum nasc_status onnx_clip(const struct call *c, struct nasc_err *err)
{
	double low = real_of(c, "min", 1, -INFINITY), high = real_of(c, "max", 2, INFINITY);

	if (low != 0 || (high != 6 && high < 1e30) || isnan(high))
		return nasc_fail(err, NASC_DATA, "it clips to [%g, %g], nasc knows 0 and 6 alone",
				 low, high);
	return unary(c, high == 6 ? NET_RELU6 : NET_RELU, 0, err);
}

enum nasc_status onnx_mean(const struct call *c, struct nasc_err *err)
{
	const struct tensor *x;
	int64_t axis[ONNX_RANK_MAX];
	size_t n;

	if (call_value(c, 0, &x, err) || spatial(x, err) ||
	    call_ints(c, "axes", 1, axis, ONNX_RANK_MAX, &n, err))
		return err->code;
	for (size_t i = 0; i < n; i++)
		if (onnx_axis(axis[i], x->rank) < 2)
			n = 0;
	if (n != x->rank - 2)
		return nasc_fail(err, NASC_DATA, "nasc takes means over height and width alone");
	return unary(c, NET_GLOBAL_POOL, node_int(c->node, "keepdims", 1) ? 0 : 2, err);
}

/* Cells before each dimension, then behind each. */
enum nasc_status onnx_pad(const struct call *c, struct nasc_err *err)
{
	struct net_op op = { .kind = NET_PAD };
	int64_t cells[2 * ONNX_RANK_MAX];
	const struct tensor *x;
	double value = real_of(c, "value", 2, 0);
	struct value y;
	size_t n;

	if (call_value(c, 0, &x, err) || spatial(x, err) ||
	    call_ints(c, "pads", 1, cells, 2 * ONNX_RANK_MAX, &n, err))
		return err->code;
	if ((node_attribute(c->node, "mode") && !node_text_is(c->node, "mode", "constant")) ||
	    value != 0 || n != 2 * x->rank)
		return nasc_fail(err, NASC_DATA,
				 "nasc pads with zeros alone, by 2 x %zu constant numbers",
				 x->rank);
	for (size_t i = 0; i < n; i++)
		if (cells[i] < 0 || cells[i] > NETWORK_MAX_DIM || (cells[i] && i % x->rank < 2))
			return nasc_fail(err, NASC_DATA,
					 "%lld cells along dimension %zu, nasc pads height and "
					 "width alone",
					 (long long)cells[i], i % x->rank);
	op.pad_top = x->rank == 4 ? (uint32_t)cells[2] : 0;
	op.pad_left = (uint32_t)cells[x->rank - 1];
	op.pad_bottom = x->rank == 4 ? (uint32_t)cells[x->rank + 2] : 0;
	op.pad_right = (uint32_t)cells[2 * x->rank - 1];
	if (!op.pad_top && !op.pad_left && !op.pad_bottom && !op.pad_right)
		return call_makes(c, x->value, x->rank, err);
	if (import_append(&c->r->net, &op, &x->value, 1, &y, err))
		return err->code;
	return call_makes(c, y, x->rank, err);
}
