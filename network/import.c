#include "import.h"

#include <string.h>

/* More elements than a network may have: 0. */
static uint64_t elements(struct extent e)
{
	uint64_t n;

	if (e.h < 1 || e.w < 1 || e.c < 1 ||
	    __builtin_mul_overflow((uint64_t)e.h, (uint64_t)e.w, &n) ||
	    __builtin_mul_overflow(n, (uint64_t)e.c, &n) || n > NETWORK_MAX_COUNT)
		return 0;
	return n;
}

static struct extent extent_of(struct net_shape s)
{
	return (struct extent){ s.h, s.w, s.c };
}

static bool same(struct extent a, struct extent b)
{
	return a.h == b.h && a.w == b.w && a.c == b.c;
}

static enum nasc_status shape_of(struct extent e, struct net_shape *out, struct nasc_err *err)
{
	if (e.h < 1 || e.w < 1 || e.c < 1 || e.h > NETWORK_MAX_DIM || e.w > NETWORK_MAX_DIM ||
	    e.c > NETWORK_MAX_DIM)
		return nasc_fail(err, NASC_DATA,
				 "its input is %lldx%lldx%lld, each must be in [1, %u]",
				 (long long)e.h, (long long)e.w, (long long)e.c, NETWORK_MAX_DIM);
	*out = (struct net_shape){ (uint32_t)e.h, (uint32_t)e.w, (uint32_t)e.c };
	return NASC_OK;
}

/* "?" for a side that is not known. */
static const char *side_text(int64_t side, char text[24])
{
	snprintf(text, 24, side < 1 ? "?" : "%lld", (long long)side);
	return text;
}

enum nasc_status import_start(struct network *net, struct arena *a, struct extent input,
			      struct value *out, struct nasc_err *err)
{
	bool open = input.h < 1 || input.w < 1 || input.c < 1;
	char h[24], w[24], c[24];

	if (!elements(input))
		return nasc_fail(err, NASC_DATA, "its input is %sx%sx%s, %s", side_text(input.h, h),
				 side_text(input.w, w), side_text(input.c, c),
				 open ? "where ? is a size that the file leaves open: export the "
					"model with fixed ones"
				      : "more than a network can have");
	network_init(net, a, (struct net_shape){ 0 });
	*out = (struct value){ true, 0, input };
	return NASC_OK;
}

/* The shape that @v is seen in is that of its operator. The input's own is the one in which it is
 * read first. */
static enum nasc_status settle(struct network *net, const struct value *v, struct nasc_err *err)
{
	struct net_shape has = net->op[v->op].out;

	if (v->op == 0 && net->n_ops == 1) {
		if (shape_of(v->view, &has, err))
			return err->code;
		net->input = net->op[0].out = has;
	}
	if (same(extent_of(has), v->view))
		return NASC_OK;
	return nasc_fail(
		err, NASC_DATA,
		"it reads %ux%ux%u reshaped to %lldx%lldx%lld, which only a dense layer can", has.h,
		has.w, has.c, (long long)v->view.h, (long long)v->view.w, (long long)v->view.c);
}

static bool takes_views(enum net_kind kind)
{
	return kind == NET_DENSE || kind == NET_RELU || kind == NET_RELU6 || kind == NET_SOFTMAX;
}

enum nasc_status import_append(struct network *net, const struct net_op *op, const struct value *in,
			       size_t n, struct value *out, struct nasc_err *err)
{
	struct arena scratch = { 0 };
	uint32_t *from = ARENA_NEW(&scratch, uint32_t, n), made = 0;
	enum nasc_status st = NASC_OK;

	if (net->n_ops == NETWORK_MAX_OPS || n > NETWORK_MAX_EDGES - net->n_edges)
		st = nasc_fail(err, NASC_DATA, "more than %u operators or %u inputs of operators",
			       NETWORK_MAX_OPS, NETWORK_MAX_EDGES);
	for (size_t i = 0; !st && i < n; i++) {
		if ((in[i].op == 0 && net->n_ops == 1) || !takes_views(op->kind))
			st = settle(net, &in[i], err);
		from[i] = in[i].op;
	}
	if (!st) {
		made = network_append(net, op, from, n);
		st = network_infer_op(net, made, err);
	}
	arena_free(&scratch);
	if (st)
		return st;
	*out = (struct value){ true, made, extent_of(net->op[made].out) };
	if (takes_views(op->kind) && op->kind != NET_DENSE)
		out->view = in[0].view;
	return NASC_OK;
}

/* The step along an axis on which the window fits once does not matter: 0. */
static int64_t step(int64_t stride, int64_t in, int64_t kernel, int64_t pads, enum net_padding p)
{
	return p == NET_SAME ? (in == 1 ? 0 : stride) : kernel == in + pads ? 0 : stride;
}

static enum nasc_status check_window(const struct window *w, struct nasc_err *err)
{
	const int64_t of[] = { w->kernel_h, w->kernel_w, w->stride_h, w->stride_w };
	const int64_t pad[] = { w->top, w->left, w->bottom, w->right };

	for (int i = 0; i < 4; i++)
		if (of[i] < 1 || of[i] > NETWORK_MAX_DIM || pad[i] < 0 || pad[i] > NETWORK_MAX_DIM)
			return nasc_fail(err, NASC_DATA,
					 "kernel %lldx%lld, stride %lldx%lld or its padding is out "
					 "of bounds",
					 (long long)of[0], (long long)of[1], (long long)of[2],
					 (long long)of[3]);
	if ((w->dilation_h != 1 && w->kernel_h > 1) || (w->dilation_w != 1 && w->kernel_w > 1))
		return nasc_fail(err, NASC_DATA, "dilation %lldx%lld, nasc knows 1x1 alone",
				 (long long)w->dilation_h, (long long)w->dilation_w);
	return NASC_OK;
}

enum nasc_status import_window(struct network *net, const struct net_op *op, const struct window *w,
			       const struct value *in, struct value *out, struct nasc_err *err)
{
	struct net_op o = *op;
	int64_t h, v;

	if (check_window(w, err))
		return err->code;
	h = step(w->stride_h, in->view.h, w->kernel_h, w->top + w->bottom, w->padding);
	v = step(w->stride_w, in->view.w, w->kernel_w, w->left + w->right, w->padding);
	if (h && v && h != v)
		return nasc_fail(err, NASC_DATA, "stride %lldx%lld, nasc knows one for both axes",
				 (long long)h, (long long)v);
	o.kernel_h = (uint32_t)w->kernel_h;
	o.kernel_w = (uint32_t)w->kernel_w;
	o.stride = (uint32_t)(h ? h : v ? v : 1);
	o.padding = w->padding;
	if (o.padding == NET_EXPLICIT) {
		o.pad_top = (uint32_t)w->top;
		o.pad_left = (uint32_t)w->left;
		o.pad_bottom = (uint32_t)w->bottom;
		o.pad_right = (uint32_t)w->right;
	}
	return import_append(net, &o, in, 1, out, err);
}

enum nasc_status import_view(const struct value *v, struct extent view, struct value *out,
			     struct nasc_err *err)
{
	if (!elements(view) || elements(view) != elements(v->view))
		return nasc_fail(err, NASC_DATA, "%lldx%lldx%lld cannot be seen as %lldx%lldx%lld",
				 (long long)v->view.h, (long long)v->view.w, (long long)v->view.c,
				 (long long)view.h, (long long)view.w, (long long)view.c);
	*out = (struct value){ true, v->op, view };
	return NASC_OK;
}

enum nasc_status import_finish(struct network *net, const struct value *output, struct network *out,
			       struct nasc_err *err)
{
	if (net->n_ops < 2)
		return nasc_fail(err, NASC_DATA, "it has no operator");
	if (output->op + 1 != net->n_ops)
		return nasc_fail(err, NASC_DATA, "its last operator does not make its last output");
	if (network_infer(net, err))
		return err->code;
	network_fold_pads(net, net->arena, out);
	return NASC_OK;
}

void import_unread(struct unread *u, size_t op, const char *kind)
{
	for (size_t i = 0; i < u->n; i++)
		if (strncmp(u->v[i].kind, kind, sizeof u->v[i].kind - 1) == 0)
			return;
	u->more |= u->n == UNREAD_MAX;
	if (u->more)
		return;
	snprintf(u->v[u->n].kind, sizeof u->v[u->n].kind, "%s", kind);
	u->v[u->n++].op = op;
}

enum nasc_status import_refuse(const struct unread *u, const char *known, struct nasc_err *err)
{
	char list[UNREAD_MAX * 64] = "";
	size_t at = 0;

	if (!u->n)
		return NASC_OK;
	for (size_t i = 0; i < u->n; i++)
		at += (size_t)snprintf(list + at, sizeof list - at, "%s%zu (%s)", i ? ", " : "",
				       u->v[i].op, u->v[i].kind);
	return nasc_fail(err, NASC_DATA,
			 "operator%s %s%s: %s not among the operators that nasc reads: %s",
			 u->n > 1 ? "s" : "", list, u->more ? " and others" : "",
			 u->n > 1 ? "they are" : "it is", known);
}

void import_name(struct network *net, const char *text, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n && k + 1 < sizeof net->name; i++)
		if (text[i] >= 0x20 && text[i] <= 0x7e)
			net->name[k++] = text[i];
	net->name[k] = '\0';
}
