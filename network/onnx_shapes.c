#include <string.h>

#include "onnx_call.h"

/* ---- what moves nothing ------------------------------------------------------------ */

enum nasc_status onnx_same(const struct call *c, struct nasc_err *err)
{
	const struct tensor *x = call_input(c, 0);

	if (!x)
		return nasc_fail(err, NASC_DATA, "its input is missing");
	return call_views(c, x->rank, x->dim, err);
}

enum nasc_status onnx_constant(const struct call *c, struct nasc_err *err)
{
	const Onnx__Attribute *a = node_attribute(c->node, "value");
	struct tensor *t = call_output(c);

	if (!t)
		return nasc_fail(err, NASC_DATA, "it has no output");
	if (a && a->t)
		return tensor_constant(a->t, t, err);
	t->kind = TENSOR_CONSTANT; /* another sort of value: a number that nothing here reads */
	t->rank = 0;
	return NASC_OK;
}

enum nasc_status onnx_flatten(const struct call *c, struct nasc_err *err)
{
	const struct tensor *x;
	int64_t axis = node_int(c->node, "axis", 1), dim[2] = { 1, 1 };

	if (call_value(c, 0, &x, err))
		return err->code;
	if (onnx_axis(axis, x->rank) != 1)
		return nasc_fail(err, NASC_DATA, "axis %lld, it must be 1", (long long)axis);
	dim[1] = (int64_t)tensor_elements(x);
	return call_views(c, 2, dim, err);
}

/* 0: as before; -1: what is left. */
enum nasc_status onnx_reshape(const struct call *c, struct nasc_err *err)
{
	const struct tensor *x = call_input(c, 0);
	int64_t dim[ONNX_RANK_MAX], rest;
	size_t n, open = ONNX_RANK_MAX;

	if (!x || x->kind == TENSOR_UNMADE)
		return nasc_fail(err, NASC_DATA, "its input is missing");
	if (call_ints(c, "shape", 1, dim, ONNX_RANK_MAX, &n, err))
		return err->code;
	rest = (int64_t)tensor_elements(x);
	for (size_t i = 0; i < n; i++) {
		if (dim[i] == 0 && i < x->rank)
			dim[i] = x->dim[i];
		if (dim[i] == -1 && open == ONNX_RANK_MAX) {
			open = i;
			continue;
		}
		if (dim[i] < 1)
			return nasc_fail(err, NASC_DATA, "a dimension of its shape is %lld",
					 (long long)dim[i]);
		rest /= dim[i];
	}
	if (open < ONNX_RANK_MAX)
		dim[open] = rest;
	return call_views(c, n, dim, err);
}

enum nasc_status onnx_squeeze(const struct call *c, struct nasc_err *err)
{
	const struct tensor *x = call_input(c, 0);
	int64_t axis[ONNX_RANK_MAX], dim[ONNX_RANK_MAX];
	size_t n, rank = 0;

	if (!x || x->kind == TENSOR_UNMADE)
		return nasc_fail(err, NASC_DATA, "its input is missing");
	if (call_ints(c, "axes", 1, axis, ONNX_RANK_MAX, &n, err))
		return err->code;
	for (size_t i = 0; i < x->rank; i++) {
		bool goes = n == 0 && i > 0 && x->dim[i] == 1;

		for (size_t k = 0; k < n; k++)
			goes |= onnx_axis(axis[k], x->rank) == (int64_t)i;
		if (!goes)
			dim[rank++] = x->dim[i];
		else if (x->dim[i] != 1)
			return nasc_fail(err, NASC_DATA, "dimension %zu is %lld, not 1", i,
					 (long long)x->dim[i]);
	}
	return call_views(c, rank, dim, err);
}

enum nasc_status onnx_unsqueeze(const struct call *c, struct nasc_err *err)
{
	const struct tensor *x = call_input(c, 0);
	int64_t axis[ONNX_RANK_MAX], dim[ONNX_RANK_MAX];
	size_t n, rank, from = 0;

	if (!x || x->kind == TENSOR_UNMADE)
		return nasc_fail(err, NASC_DATA, "its input is missing");
	if (call_ints(c, "axes", 1, axis, ONNX_RANK_MAX, &n, err))
		return err->code;
	rank = x->rank + n;
	if (rank > ONNX_RANK_MAX)
		return nasc_fail(err, NASC_DATA, "%zu dimensions, at most %d", rank, ONNX_RANK_MAX);
	for (size_t i = 0; i < rank; i++) {
		bool new = false;

		for (size_t k = 0; k < n; k++)
			new |= onnx_axis(axis[k], rank) == (int64_t)i;
		if (!new &&from == x->rank)
			return nasc_fail(err, NASC_DATA, "axes: one of them is given twice");
		dim[i] = new ? 1 : x->dim[from++];
	}
	return call_views(c, rank, dim, err);
}

/* Of weights, of an image before anything reads it, and in front of a dense layer. */
enum nasc_status onnx_transpose(const struct call *c, struct nasc_err *err)
{
	const struct tensor *x = call_input(c, 0);
	int64_t perm[ONNX_RANK_MAX], dim[ONNX_RANK_MAX];
	unsigned seen = 0;

	if (!x || x->kind == TENSOR_UNMADE)
		return nasc_fail(err, NASC_DATA, "its input is missing");
	if (node_ints(c->node, "perm", x->rank, -1, perm, err))
		return err->code;
	for (size_t i = 0; i < x->rank; i++) {
		int64_t from = perm[i] == -1 ? (int64_t)(x->rank - 1 - i) : perm[i];

		if (from < 0 || from >= (int64_t)x->rank || seen >> from & 1)
			return nasc_fail(err, NASC_DATA, "perm: it is no order of %zu dimensions",
					 x->rank);
		seen |= 1u << from;
		dim[i] = x->dim[from];
	}
	if (x->kind == TENSOR_CONSTANT && x->rank == 2 && x->ints && dim[0] != x->dim[0])
		return onnx_turn(c, err);
	return call_views(c, x->rank, dim, err);
}
