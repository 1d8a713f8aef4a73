#ifndef TESTS_TFLITE_FIXTURE_H
#define TESTS_TFLITE_FIXTURE_H
/* Small TensorFlow Lite files, written member by member. Every table has eight bytes a member, so
 * that a test can change any of them. */
#include <stdint.h>
#include <string.h>

#define LITE_MAX 16384

struct lite {
	uint8_t byte[LITE_MAX];
	size_t n;
};

static inline void lite_put(struct lite *f, size_t at, int64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		f->byte[at + i] = (uint8_t)((uint64_t)v >> 8 * i);
}

static inline size_t lite_take(struct lite *f, size_t bytes)
{
	size_t at = f->n;

	f->n += bytes;
	return at;
}

/* A table without members, of at most @n. */
static inline size_t lite_table(struct lite *f, size_t n)
{
	size_t vtable = lite_take(f, 4 + 2 * n), table = lite_take(f, 4 + 8 * n);

	lite_put(f, vtable, (int64_t)(4 + 2 * n), 2);
	lite_put(f, vtable + 2, (int64_t)(4 + 8 * n), 2);
	lite_put(f, table, (int64_t)(table - vtable), 4);
	return table;
}

static inline size_t lite_slot(struct lite *f, size_t table, size_t field)
{
	size_t back = f->byte[table] | (size_t)f->byte[table + 1] << 8;

	lite_put(f, table - back + 4 + 2 * field, (int64_t)(4 + 8 * field), 2);
	return table + 4 + 8 * field;
}

static inline void lite_int(struct lite *f, size_t table, size_t field, int64_t v)
{
	lite_put(f, lite_slot(f, table, field), v, 8);
}

/* A vector of @n items, whose place is returned. */
static inline size_t lite_vector(struct lite *f, size_t table, size_t field, size_t n, size_t bytes)
{
	size_t slot = lite_slot(f, table, field), at = lite_take(f, 4 + n * bytes);

	lite_put(f, slot, (int64_t)(at - slot), 4);
	lite_put(f, at, (int64_t)n, 4);
	return at + 4;
}

static inline void lite_ints(struct lite *f, size_t table, size_t field, const int *v, size_t n)
{
	size_t at = lite_vector(f, table, field, n, 4);

	for (size_t i = 0; i < n; i++)
		lite_put(f, at + 4 * i, v[i], 4);
}

/* Item @i of a vector of tables: a new one. */
static inline size_t lite_item(struct lite *f, size_t vector, size_t i, size_t n)
{
	size_t table = lite_table(f, n);

	lite_put(f, vector + 4 * i, (int64_t)(table - (vector + 4 * i)), 4);
	return table;
}

static inline size_t lite_child(struct lite *f, size_t parent, size_t field, size_t n)
{
	size_t slot = lite_slot(f, parent, field), table = lite_table(f, n);

	lite_put(f, slot, (int64_t)(table - slot), 4);
	return table;
}

/* Ends with rank 0. Dimensions of an activation, -1 for one that is left open (1 in the shape, -1
 * in the signature), or of a constant: ints of @data, or as many bytes as it says when they do not
 * matter. */
struct lite_tensor {
	int type, rank, dim[4];
	int bytes, data[8];
};
/* Ends with n_in 0. Options: member and value. */
struct lite_op {
	int code, n_in, in[3], out;
	int n_options, option[6][2];
};

static inline void lite_tensors(struct lite *f, size_t model, size_t graph,
				const struct lite_tensor *t, size_t n)
{
	size_t list = lite_vector(f, graph, 0, n, 4), buffers;

	for (size_t i = 0; i < n; i++) {
		size_t table = lite_item(f, list, i, 8);
		size_t rank = (size_t)t[i].rank < 4 ? (size_t)t[i].rank : 4;
		int shape[4];

		for (size_t k = 0; k < 4; k++)
			shape[k] = t[i].dim[k] < 0 ? 1 : t[i].dim[k];
		lite_ints(f, table, 0, shape, rank);
		lite_ints(f, table, 7, t[i].dim, rank);
		lite_int(f, table, 1, t[i].type);
		lite_int(f, table, 2, t[i].bytes ? (int)i + 1 : 0);
	}
	buffers = lite_vector(f, model, 4, n + 1, 4);
	for (size_t i = 0; i <= n; i++) {
		size_t table = lite_item(f, buffers, i, 1), at;

		if (i == 0 || !t[i - 1].bytes)
			continue;
		at = lite_vector(f, table, 0, (size_t)t[i - 1].bytes, 1);
		for (size_t k = 0; k < 8 && 4 * k < (size_t)t[i - 1].bytes; k++)
			lite_put(f, at + 4 * k, t[i - 1].data[k], 4);
	}
}

/* Input: tensor 0. Output: that of the last operator. */
static inline void lite_model(struct lite *f, const struct lite_tensor *t, const struct lite_op *o)
{
	size_t n_ops = 0, n_tensors = 0, model, codes, graph, list;

	*f = (struct lite){ .n = 8 };
	memcpy(f->byte + 4, "TFL3", 4);
	while (o[n_ops].n_in)
		n_ops++;
	while (t[n_tensors].rank)
		n_tensors++;
	model = lite_table(f, 5);
	lite_put(f, 0, (int64_t)model, 4);
	lite_int(f, model, 0, 3);
	codes = lite_vector(f, model, 1, n_ops, 4);
	for (size_t i = 0; i < n_ops; i++) {
		size_t table = lite_item(f, codes, i, 4);

		lite_int(f, table, 0, o[i].code > 127 ? 127 : o[i].code);
		lite_int(f, table, 3, o[i].code);
	}
	graph = lite_item(f, lite_vector(f, model, 2, 1, 4), 0, 4);
	lite_ints(f, graph, 1, (const int[]){ 0 }, 1);
	lite_ints(f, graph, 2, &o[n_ops - 1].out, 1);
	list = lite_vector(f, graph, 3, n_ops, 4);
	for (size_t i = 0; i < n_ops; i++) {
		size_t table = lite_item(f, list, i, 5), options;

		lite_int(f, table, 0, (int64_t)i);
		lite_ints(f, table, 1, o[i].in, (size_t)o[i].n_in);
		lite_ints(f, table, 2, &o[i].out, 1);
		options = lite_child(f, table, 4, 7);
		for (int k = 0; k < o[i].n_options; k++)
			lite_int(f, options, (size_t)o[i].option[k][0], o[i].option[k][1]);
	}
	lite_tensors(f, model, graph, t, n_tensors);
}

enum lite_code {
	LITE_ADD = 0,
	LITE_AVERAGE_POOL = 1,
	LITE_CONCATENATION = 2,
	LITE_CONV = 3,
	LITE_DEPTHWISE = 4,
	LITE_FULLY_CONNECTED = 9,
	LITE_LSTM = 16,
	LITE_MAX_POOL = 17,
	LITE_RESHAPE = 22,
	LITE_SOFTMAX = 25,
	LITE_PAD = 34,
	LITE_TRANSPOSE = 39,
	LITE_MEAN = 40,
	LITE_NEAREST = 97,
	LITE_QUANTIZE = 114
};
enum { LITE_FLOAT32 = 0, LITE_INT32 = 2, LITE_INT16 = 7, LITE_INT8 = 9 };
#endif
