#include "tflite_call.h"

enum buffer_field { BUFFER_DATA, BUFFER_OFFSET };
enum type { FLOAT32 = 0, UINT8 = 3, INT64 = 4, INT8 = 9 };

/* ---- tensors ------------------------------------------------------------------- */

int64_t lite_tensor(const struct lite_reader *r, struct fb_vector list, size_t i)
{
	int64_t t = i < list.n ? fb_item(list, i, 4) : -1;

	return t >= 0 && (uint64_t)t < r->tensors.n ? t : -1;
}

enum nasc_status lite_dims(const struct lite_reader *r, int64_t tensor, struct dims *out,
			   struct nasc_err *err)
{
	struct fb_vector shape;

	if (tensor < 0)
		return nasc_fail(err, NASC_DATA, "an input or output is missing");
	shape = fb_vector(fb_item_table(r->tensors, (size_t)tensor), TENSOR_SHAPE, 4);
	if (shape.n > LITE_RANK_MAX)
		return nasc_fail(err, NASC_DATA, "tensor %lld has %zu dimensions, at most %d",
				 (long long)tensor, shape.n, LITE_RANK_MAX);
	out->rank = shape.n;
	for (size_t i = 0; i < shape.n; i++)
		out->of[i] = fb_item(shape, i, 4);
	return NASC_OK;
}

enum nasc_status lite_extent(const struct lite_reader *r, int64_t tensor, struct extent *out,
			     struct nasc_err *err)
{
	struct extent e = { 1, 1, 1 };
	struct dims d;
	enum nasc_status st = lite_dims(r, tensor, &d, err);

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

struct fb_vector lite_constant(const struct lite_reader *r, int64_t tensor, unsigned *bytes)
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

bool lite_is_constant(const struct lite_reader *r, int64_t tensor)
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

enum nasc_status lite_check_type(const struct lite_reader *r, int64_t tensor, struct nasc_err *err)
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

enum nasc_status lite_input(const struct call *c, size_t i, struct value *out, struct nasc_err *err)
{
	int64_t t = lite_tensor(c->r, c->in, i);

	if (t >= 0 && c->r->value[t].known) {
		*out = c->r->value[t];
		return NASC_OK;
	}
	if (t >= 0 && lite_is_constant(c->r, t))
		return nasc_fail(err, NASC_DATA, "input %zu is a constant", i);
	return nasc_fail(err, NASC_DATA, "input %zu is no tensor that an earlier operator made", i);
}

enum nasc_status lite_makes(const struct call *c, struct value v, int64_t act, struct nasc_err *err)
{
	int64_t t = lite_tensor(c->r, c->out, 0);
	struct extent declared;

	if (act &&
	    import_append(&c->r->net, &(struct net_op){ .kind = act == 1 ? NET_RELU : NET_RELU6 },
			  &v, 1, &v, err))
		return err->code;
	if (lite_extent(c->r, t, &declared, err) || lite_check_type(c->r, t, err))
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
