#include <string.h>

#include "onnx_call.h"

/* Arithmetic of shapes and paddings, which exporters leave in a model: short lists of integers,
 * known as soon as the shapes are. */
#define INTS_MAX 64

struct ints {
	size_t n;
	int64_t v[INTS_MAX];
};

static enum nasc_status ints_at(const struct call *c, size_t i, struct ints *out,
				struct nasc_err *err)
{
	const struct tensor *t;
	enum nasc_status st = call_constant(c, i, &t, err);

	if (st)
		return st;
	out->n = (size_t)tensor_elements(t);
	for (size_t k = 0; k < out->n; k++)
		if (out->n > INTS_MAX || !tensor_int(t, k, &out->v[k]))
			return nasc_fail(err, NASC_DATA, "input %zu is no short list of integers",
					 i);
	return NASC_OK;
}

/* The one integer that input @i is, @absent without such an input. */
static enum nasc_status int_at(const struct call *c, size_t i, int64_t absent, int64_t *out,
			       struct nasc_err *err)
{
	struct ints one;

	*out = absent;
	if (!call_has_input(c, i))
		return NASC_OK;
	if (ints_at(c, i, &one, err))
		return err->code;
	if (one.n != 1)
		return nasc_fail(err, NASC_DATA, "input %zu has %zu integers, not 1", i, one.n);
	*out = one.v[0];
	return NASC_OK;
}

static enum nasc_status makes(const struct call *c, size_t rank, const int64_t *dim,
			      const struct ints *made, struct nasc_err *err)
{
	struct tensor *t = call_output(c);
	int64_t *v = ARENA_NEW(c->r->scratch, int64_t, made->n + 1);

	if (!t)
		return nasc_fail(err, NASC_DATA, "it has no output");
	memcpy(v, made->v, made->n * sizeof *v);
	*t = (struct tensor){ .name = t->name, .kind = TENSOR_CONSTANT, .rank = rank, .ints = v };
	t->n_ints = made->n;
	memcpy(t->dim, dim, rank * sizeof *dim);
	return NASC_OK;
}

static enum nasc_status makes_list(const struct call *c, const struct ints *made,
				   struct nasc_err *err)
{
	return makes(c, 1, (const int64_t[]){ (int64_t)made->n }, made, err);
}

enum nasc_status onnx_shape(const struct call *c, struct nasc_err *err)
{
	const struct tensor *x = call_input(c, 0);
	struct ints dims = { 0 };

	if (!x || x->kind == TENSOR_UNMADE || node_attribute(c->node, "start") ||
	    node_attribute(c->node, "end"))
		return nasc_fail(err, NASC_DATA, "its input is missing, or it wants a part alone");
	for (; dims.n < x->rank; dims.n++)
		dims.v[dims.n] = x->dim[dims.n];
	return makes_list(c, &dims, err);
}

enum nasc_status onnx_fill(const struct call *c, struct nasc_err *err)
{
	const Onnx__Attribute *a = node_attribute(c->node, "value");
	struct tensor value = { 0 };
	struct ints made = { 0 };
	int64_t n, v = 0;

	if (int_at(c, 0, 0, &n, err) || (a && a->t && tensor_constant(a->t, &value, err)))
		return err->code;
	if (n < 0 || n > INTS_MAX)
		return nasc_fail(err, NASC_DATA, "%lld items, at most %d", (long long)n, INTS_MAX);
	if (value.stored && !tensor_int(&value, 0, &v))
		return nasc_fail(err, NASC_DATA, "its value is no integer");
	for (; made.n < (size_t)n; made.n++)
		made.v[made.n] = v;
	return makes_list(c, &made, err);
}

enum nasc_status onnx_gather(const struct call *c, struct nasc_err *err)
{
	const struct tensor *index;
	struct ints from, at, made = { 0 };

	if (ints_at(c, 0, &from, err) || ints_at(c, 1, &at, err) ||
	    call_constant(c, 1, &index, err))
		return err->code;
	for (; made.n < at.n; made.n++) {
		int64_t k = onnx_axis(at.v[made.n], from.n);

		if (k < 0 || (uint64_t)k >= from.n)
			return nasc_fail(err, NASC_DATA, "index %lld of %zu items",
					 (long long)at.v[made.n], from.n);
		made.v[made.n] = from.v[k];
	}
	return makes(c, index->rank, index->dim, &made, err);
}

/* Rows of the first dimension from @start towards @end, which is not among them. */
enum nasc_status onnx_slice(const struct call *c, struct nasc_err *err)
{
	const struct tensor *x = call_input(c, 0);
	int64_t start, end, axis, step, rows, dim[ONNX_RANK_MAX];
	struct ints from, made = { 0 };
	size_t width;

	if (ints_at(c, 0, &from, err) || int_at(c, 1, 0, &start, err) ||
	    int_at(c, 2, INT64_MAX, &end, err) || int_at(c, 3, 0, &axis, err) ||
	    int_at(c, 4, 1, &step, err))
		return err->code;
	if (!x || x->rank < 1 || axis != 0 || (step != 1 && step != -1) || x->dim[0] < 1 ||
	    x->dim[0] > INTS_MAX)
		return nasc_fail(err, NASC_DATA, "nasc slices the first dimension, by 1 or -1");
	rows = x->dim[0];
	width = from.n / (size_t)rows;
	start = onnx_axis(start, (size_t)rows);
	end = onnx_axis(end, (size_t)rows);
	start = start < 0 ? 0 : start >= rows ? (step < 0 ? rows - 1 : rows) : start;
	end = end > rows ? rows : end < -1 || (end < 0 && step > 0) ? (step < 0 ? -1 : 0) : end;
	memcpy(dim, x->dim, sizeof dim);
	for (dim[0] = 0; step > 0 ? start < end : start > end; start += step, dim[0]++)
		for (size_t k = 0; k < width; k++)
			made.v[made.n++] = from.v[(size_t)start * width + k];
	return makes(c, x->rank, dim, &made, err);
}

enum nasc_status onnx_join(const struct call *c, struct nasc_err *err)
{
	struct ints part, made = { 0 };

	for (size_t i = 0; i < c->node->n_input; i++) {
		if (ints_at(c, i, &part, err))
			return err->code;
		if (part.n > INTS_MAX - made.n)
			return nasc_fail(err, NASC_DATA, "more than %d integers", INTS_MAX);
		memcpy(made.v + made.n, part.v, part.n * sizeof *part.v);
		made.n += part.n;
	}
	return makes_list(c, &made, err);
}

/* Rows and columns change places. */
enum nasc_status onnx_turn(const struct call *c, struct nasc_err *err)
{
	const struct tensor *x = call_input(c, 0);
	struct ints from, made = { 0 };

	if (ints_at(c, 0, &from, err))
		return err->code;
	for (; made.n < from.n; made.n++) {
		size_t rows = (size_t)x->dim[0], columns = (size_t)x->dim[1];

		made.v[made.n] = from.v[made.n % rows * columns + made.n / rows];
	}
	return makes(c, 2, (const int64_t[]){ x->dim[1], x->dim[0] }, &made, err);
}

/* Item by item, or one number with each of a list. */
static enum nasc_status combine(const struct call *c, char how, struct nasc_err *err)
{
	const struct tensor *t[2];
	struct ints a, b, made = { 0 };
	bool fault = false;

	if (ints_at(c, 0, &a, err) || ints_at(c, 1, &b, err) || call_constant(c, 0, &t[0], err) ||
	    call_constant(c, 1, &t[1], err))
		return err->code;
	if (a.n < 1 || b.n < 1 || (a.n != b.n && a.n > 1 && b.n > 1))
		return nasc_fail(err, NASC_DATA, "%zu and %zu integers", a.n, b.n);
	for (; made.n < (a.n > b.n ? a.n : b.n); made.n++) {
		int64_t p = a.v[a.n > 1 ? made.n : 0], q = b.v[b.n > 1 ? made.n : 0];
		int64_t *to = &made.v[made.n];

		fault |= how == '*'   ? __builtin_mul_overflow(p, q, to)
			 : how == '-' ? __builtin_sub_overflow(p, q, to)
				      : __builtin_add_overflow(p, q, to);
	}
	if (fault)
		return nasc_fail(err, NASC_DATA, "integers beyond 64 bits");
	return makes(c, t[a.n < b.n]->rank, t[a.n < b.n]->dim, &made, err);
}

enum nasc_status onnx_multiply(const struct call *c, struct nasc_err *err)
{
	return combine(c, '*', err);
}

enum nasc_status onnx_subtract(const struct call *c, struct nasc_err *err)
{
	return combine(c, '-', err);
}

enum nasc_status onnx_sum(const struct call *c, struct nasc_err *err)
{
	return combine(c, '+', err);
}
