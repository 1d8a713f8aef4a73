#include <string.h>

#include "tflite_call.h"

#define SCHEMA_VERSION 3

enum model_field { MODEL_VERSION, MODEL_CODES, MODEL_GRAPHS, MODEL_DESCRIPTION, MODEL_BUFFERS };
enum code_field { CODE_OLD, CODE_CUSTOM, CODE_BUILTIN = 3 };
enum graph_field { GRAPH_TENSORS, GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_OPERATORS };
enum operator_field { OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, OPERATOR_OPTIONS = 4 };

/* ---- operators ------------------------------------------------------------------ */

/* By BuiltinOperator's number; the lower half is refused by name alone. */
static const struct builtin {
	int64_t code;
	const char *name;
	lite_read *read;
} builtins[] = {
	{ 0, "add", lite_add },
	{ 1, "average_pool_2d", lite_avg_pool },
	{ 2, "concatenation", lite_concat },
	{ 3, "conv_2d", lite_conv },
	{ 4, "depthwise_conv_2d", lite_depthwise },
	{ 6, "dequantize", lite_view },
	{ 9, "fully_connected", lite_dense },
	{ 17, "max_pool_2d", lite_max_pool },
	{ 19, "relu", lite_relu },
	{ 21, "relu6", lite_relu6 },
	{ 22, "reshape", lite_view },
	{ 25, "softmax", lite_softmax },
	{ 34, "pad", lite_pad },
	{ 39, "transpose", lite_transpose },
	{ 40, "mean", lite_mean },
	{ 43, "squeeze", lite_view },
	{ 70, "expand_dims", lite_view },
	{ 97, "resize_nearest_neighbor", lite_upsample },
	{ 114, "quantize", lite_view },
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
static const struct builtin *builtin_of(const struct lite_reader *r, size_t i, int64_t *code)
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
static enum nasc_status check_operators(const struct lite_reader *r, struct nasc_err *err)
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

static enum nasc_status read_operator(struct lite_reader *r, size_t i, struct nasc_err *err)
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

/* Of the network's input, where the signature has the sizes that are not fixed: 0 for these. */
static enum nasc_status input_extent(const struct lite_reader *r, int64_t tensor,
				     struct extent *out, struct nasc_err *err)
{
	int64_t *const side[] = { &out->c, &out->w, &out->h };
	struct fb_vector signature;
	enum nasc_status st = lite_extent(r, tensor, out, err);

	if (st)
		return st;
	signature = fb_vector(fb_item_table(r->tensors, (size_t)tensor), TENSOR_SIGNATURE, 4);
	for (size_t k = 0; k < 3 && k + 1 < signature.n; k++)
		if (fb_item(signature, signature.n - 1 - k, 4) < 0)
			*side[k] = 0;
	return NASC_OK;
}

static enum nasc_status read_graph(struct lite_reader *r, struct fb_table graph, struct arena *a,
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
	first = lite_tensor(r, in, 0);
	if (in.n != 1)
		return nasc_fail(err, NASC_DATA, "%zu inputs, nasc reads networks of one", in.n);
	if (check_operators(r, err))
		return err->code;
	if (input_extent(r, first, &e, err) || lite_check_type(r, first, err) ||
	    import_start(&r->net, a, e, &r->value[first], err))
		return nasc_wrap(err, "input");
	for (size_t i = 0; i < r->operators.n; i++)
		if (read_operator(r, i, err))
			return err->code;
	for (size_t i = 0; i < outputs.n; i++) {
		int64_t t = lite_tensor(r, outputs, i);

		if (t >= 0 && r->value[t].known && r->value[t].op >= output.op)
			output = r->value[t];
	}
	if (!output.known)
		return nasc_fail(err, NASC_DATA, "no operator makes its output");
	return import_finish(&r->net, &output, out, err);
}

static enum nasc_status read_model(struct lite_reader *r, struct arena *a, struct arena *scratch,
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
	struct lite_reader r = { .file = { bytes, n, false } };
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
