#include "onnx_call.h"

#include <string.h>

const struct tensor *call_input(const struct call *c, size_t i)
{
	return i < c->node->n_input ? tensors_find(&c->r->tensors, c->node->input[i]) : NULL;
}

enum nasc_status call_value(const struct call *c, size_t i, const struct tensor **out,
			    struct nasc_err *err)
{
	const struct tensor *t = call_input(c, i);

	if (!t || t->kind != TENSOR_VALUE)
		return nasc_fail(err, NASC_DATA, "input %zu is %s", i,
				 t && t->kind == TENSOR_CONSTANT
					 ? "a constant"
					 : "no tensor that an earlier node made");
	*out = t;
	return NASC_OK;
}

enum nasc_status call_constant(const struct call *c, size_t i, const struct tensor **out,
			       struct nasc_err *err)
{
	const struct tensor *t = call_input(c, i);

	if (!t || t->kind != TENSOR_CONSTANT)
		return nasc_fail(err, NASC_DATA, "input %zu is no constant of the model", i);
	*out = t;
	return NASC_OK;
}

bool call_has_input(const struct call *c, size_t i)
{
	return i < c->node->n_input && c->node->input[i][0];
}

struct tensor *call_output(const struct call *c)
{
	return c->node->n_output ? tensors_find(&c->r->tensors, c->node->output[0]) : NULL;
}

/* Its output is @v, in @rank dimensions. */
enum nasc_status call_makes(const struct call *c, struct value v, size_t rank, struct nasc_err *err)
{
	struct tensor *t = call_output(c);

	if (!t)
		return nasc_fail(err, NASC_DATA, "it has no output");
	tensor_set_value(t, v, rank);
	return NASC_OK;
}

/* UINT64_MAX: beyond 64 bits. */
static uint64_t elements_of(size_t rank, const int64_t *dim)
{
	uint64_t n = 1;

	for (size_t i = 0; i < rank; i++)
		if (__builtin_mul_overflow(n, (uint64_t)dim[i], &n))
			return UINT64_MAX;
	return n;
}

/* Its output is input 0 with these dimensions. */
enum nasc_status call_views(const struct call *c, size_t rank, const int64_t *dim,
			    struct nasc_err *err)
{
	const struct tensor *x = call_input(c, 0);
	struct tensor *y = call_output(c), made;
	struct extent e;

	if (!x || x->kind == TENSOR_UNMADE || !y)
		return nasc_fail(err, NASC_DATA, "its input or output is missing");
	if (x->kind == TENSOR_CONSTANT && elements_of(rank, dim) != tensor_elements(x))
		return nasc_fail(err, NASC_DATA, "a constant cannot change its number of items");
	made = *x;
	made.name = y->name;
	made.rank = rank;
	memcpy(made.dim, dim, rank * sizeof *dim);
	if (x->kind == TENSOR_VALUE &&
	    (tensor_extent(rank, dim, &e, err) || import_view(&x->value, e, &made.value, err)))
		return err->code;
	*y = made;
	return NASC_OK;
}

/* Integers of attribute @name, or, since later versions, of input @i. */
enum nasc_status call_ints(const struct call *c, const char *name, size_t i, int64_t *out,
			   size_t cap, size_t *n, struct nasc_err *err)
{
	const Onnx__Attribute *a = node_attribute(c->node, name);
	const struct tensor *t;

	*n = 0;
	if (!a && !call_has_input(c, i))
		return NASC_OK;
	if (!a && call_constant(c, i, &t, err))
		return err->code;
	*n = a ? a->n_ints : tensor_elements(t) > cap ? cap + 1 : (size_t)tensor_elements(t);
	if (*n > cap)
		return nasc_fail(err, NASC_DATA, "%s: more than %zu integers", name, cap);
	for (size_t k = 0; k < *n; k++)
		if (a)
			out[k] = a->ints[k];
		else if (!tensor_int(t, k, &out[k]))
			return nasc_fail(err, NASC_DATA, "%s: it is no list of integers", name);
	return NASC_OK;
}

/* An axis of @rank, counted from the first. */
int64_t onnx_axis(int64_t axis, size_t rank)
{
	return axis < 0 ? axis + (int64_t)rank : axis;
}
