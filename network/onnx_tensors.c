#include "onnx_tensors.h"

#include <stdlib.h>
#include <string.h>

/* ---- names ---------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int compare_text(const void *text, const void *tensor)
{
	return strcmp(text, ((const struct tensor *)tensor)->name);
}

struct tensor *tensors_find(const struct tensors *t, const char *name)
{
	return bsearch(name, t->v, t->n, sizeof *t->v, compare_text);
}

static void name_add(struct tensors *t, const char *name)
{
	if (name && name[0])
		t->v[t->n++].name = name;
}

static bool has_initializer(const struct tensors *t, const char *name)
{
	const struct tensor *hit = tensors_find(t, name);

	return hit && hit->kind == TENSOR_CONSTANT;
}

/* Initializers may be among the inputs too, as they were before 2019. */
enum nasc_status tensors_init(struct tensors *t, const Onnx__Graph *graph, struct arena *a,
			      struct nasc_err *err)
{
	size_t cap = graph->n_initializer + graph->n_input, n_stored;

	for (size_t i = 0; i < graph->n_node; i++)
		cap += graph->node[i]->n_output;
	t->v = ARENA_NEW(a, struct tensor, cap + 1);
	t->n = 0;
	for (size_t i = 0; i < graph->n_initializer; i++) {
		name_add(t, graph->initializer[i]->name);
		if (t->n > 0 && t->v[t->n - 1].name == graph->initializer[i]->name &&
		    tensor_constant(graph->initializer[i], &t->v[t->n - 1], err))
			return nasc_wrap(err, "initializer %zu", i);
	}
	qsort(t->v, t->n, sizeof *t->v, compare_names);
	n_stored = t->n;
	for (size_t i = 0; i < graph->n_input; i++)
		if (graph->input[i]->name &&
		    !has_initializer(&(struct tensors){ t->v, n_stored }, graph->input[i]->name))
			name_add(t, graph->input[i]->name);
	for (size_t i = 0; i < graph->n_node; i++)
		for (size_t k = 0; k < graph->node[i]->n_output; k++)
			name_add(t, graph->node[i]->output[k]);
	qsort(t->v, t->n, sizeof *t->v, compare_names);
	for (size_t i = 1; i < t->n; i++)
		if (strcmp(t->v[i - 1].name, t->v[i].name) == 0)
			return nasc_fail(err, NASC_DATA, "tensor '%.80s' is given twice",
					 t->v[i].name);
	return NASC_OK;
}

/* ---- constants ------------------------------------------------------------------ */

enum nasc_status tensor_constant(const Onnx__Tensor *stored, struct tensor *out,
				 struct nasc_err *err)
{
	uint64_t n = 1;

	if (stored->n_dims > ONNX_RANK_MAX)
		return nasc_fail(err, NASC_DATA, "a constant of %zu dimensions, at most %d",
				 stored->n_dims, ONNX_RANK_MAX);
	for (size_t i = 0; i < stored->n_dims; i++)
		if (stored->dims[i] < 0 ||
		    __builtin_mul_overflow(n, (uint64_t)stored->dims[i], &n) ||
		    n > NETWORK_MAX_COUNT)
			return nasc_fail(err, NASC_DATA, "a constant's dimension is %lld",
					 (long long)stored->dims[i]);
	out->kind = TENSOR_CONSTANT;
	out->rank = stored->n_dims;
	for (size_t i = 0; i < stored->n_dims; i++)
		out->dim[i] = stored->dims[i];
	out->stored = stored;
	return NASC_OK;
}

uint64_t tensor_elements(const struct tensor *t)
{
	uint64_t n = 1;

	for (size_t i = 0; i < t->rank; i++)
		n *= (uint64_t)t->dim[i];
	return n;
}

/* @bytes bytes of item @i as they lie in the file, little-endian. */
static bool raw(const Onnx__Tensor *s, size_t i, void *out, size_t bytes)
{
	if (!s->has_raw_data || i >= s->raw_data.len / bytes)
		return false;
	memcpy(out, s->raw_data.data + i * bytes, bytes);
	return true;
}

bool tensor_int(const struct tensor *t, size_t i, int64_t *out)
{
	const Onnx__Tensor *s = t->stored;
	int32_t half;

	if (t->ints && i < t->n_ints)
		*out = t->ints[i];
	if (t->ints || !s)
		return t->ints && i < t->n_ints;
	if (s->data_type == ONNX__TENSOR__DATA_TYPE__INT64 && i < s->n_int64_data)
		*out = s->int64_data[i];
	else if (s->data_type == ONNX__TENSOR__DATA_TYPE__INT32 && i < s->n_int32_data)
		*out = s->int32_data[i];
	else if (s->data_type == ONNX__TENSOR__DATA_TYPE__INT32 && raw(s, i, &half, sizeof half))
		*out = half;
	else
		return s->data_type == ONNX__TENSOR__DATA_TYPE__INT64 &&
		       raw(s, i, out, sizeof *out);
	return true;
}

bool tensor_real(const struct tensor *t, size_t i, double *out)
{
	const Onnx__Tensor *s = t->stored;
	float v;

	if (!s || s->data_type != ONNX__TENSOR__DATA_TYPE__FLOAT)
		return false;
	if (i < s->n_float_data)
		v = s->float_data[i];
	else if (!raw(s, i, &v, sizeof v))
		return false;
	*out = (double)v;
	return true;
}

/* ---- values --------------------------------------------------------------------- */

enum nasc_status tensor_extent(size_t rank, const int64_t *dim, struct extent *out,
			       struct nasc_err *err)
{
	if (rank > 1 && dim[0] != 1)
		return nasc_fail(err, NASC_DATA, "a batch of %lld, it must be 1",
				 (long long)dim[0]);
	out->c = rank > 1 ? dim[1] : rank ? dim[0] : 1;
	out->w = rank > 2 ? dim[rank - 1] : 1;
	out->h = rank > 3 ? dim[2] : 1;
	return NASC_OK;
}

void tensor_set_value(struct tensor *t, struct value v, size_t rank)
{
	const int64_t dim[] = { 1, v.view.c, rank > 3 ? v.view.h : v.view.w, v.view.w };

	t->kind = TENSOR_VALUE;
	t->value = v;
	t->rank = rank;
	if (rank == 1)
		t->dim[0] = v.view.c;
	else
		memcpy(t->dim, dim, sizeof dim);
}

/* ---- attributes ------------------------------------------------------------------ */

const Onnx__Attribute *node_attribute(const Onnx__Node *node, const char *name)
{
	for (size_t i = 0; i < node->n_attribute; i++)
		if (node->attribute[i]->name && strcmp(node->attribute[i]->name, name) == 0)
			return node->attribute[i];
	return NULL;
}

int64_t node_int(const Onnx__Node *node, const char *name, int64_t absent)
{
	const Onnx__Attribute *a = node_attribute(node, name);

	return a ? a->i : absent;
}

double node_real(const Onnx__Node *node, const char *name, double absent)
{
	const Onnx__Attribute *a = node_attribute(node, name);

	return a ? (double)a->f : absent;
}

bool node_text_is(const Onnx__Node *node, const char *name, const char *text)
{
	const Onnx__Attribute *a = node_attribute(node, name);

	return a && a->s.len == strlen(text) && memcmp(a->s.data, text, a->s.len) == 0;
}

enum nasc_status node_ints(const Onnx__Node *node, const char *name, size_t n, int64_t absent,
			   int64_t *out, struct nasc_err *err)
{
	const Onnx__Attribute *a = node_attribute(node, name);

	if (a && a->n_ints != n)
		return nasc_fail(err, NASC_DATA, "%s has %zu integers, it must have %zu", name,
				 a->n_ints, n);
	for (size_t i = 0; i < n; i++)
		out[i] = a ? a->ints[i] : absent;
	return NASC_OK;
}
