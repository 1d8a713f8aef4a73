#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "export.h"
#include "file.h"
#include "json.h"

#define BATCH_NORM_EPSILON 1e-5
#define HEADER_MAX_BYTES   ((uint64_t)1 << 26)
#define FILE_MAX_BYTES	   ((size_t)1 << 31)

/* ---- the file -------------------------------------------------------------------- */

/* A safetensors file in memory. */
struct tensors {
	const cJSON *header;
	const unsigned char *data;
	uint64_t n_data;
};

static uint64_t read_u64(const unsigned char *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static float read_f32(const unsigned char *p)
{
	uint32_t v =
		(uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
	float f;

	memcpy(&f, &v, sizeof f);
	return f;
}

static enum nasc_status get_range(const cJSON *entry, const struct tensors *t, uint64_t n,
				  uint64_t *at, struct nasc_err *err)
{
	const cJSON *list;
	double from, to;

	if (json_get_list(entry, "data_offsets", &list, err))
		return err->code;
	if (cJSON_GetArraySize(list) != 2 || !cJSON_IsNumber(list->child) ||
	    !cJSON_IsNumber(list->child->next))
		return nasc_fail(err, NASC_DATA, "data_offsets: not two numbers");
	from = list->child->valuedouble;
	to = list->child->next->valuedouble;
	if (!(from >= 0 && to >= from && to <= (double)t->n_data) || from != floor(from) ||
	    to != floor(to))
		return nasc_fail(err, NASC_DATA,
				 "data_offsets: %g to %g is not within the file's %" PRIu64
				 " bytes of data",
				 from, to, t->n_data);
	if (to - from != 4.0 * (double)n)
		return nasc_fail(err, NASC_DATA,
				 "data_offsets: %g bytes, the network has %" PRIu64
				 " values of 4 here",
				 to - from, n);
	*at = (uint64_t)from;
	return NASC_OK;
}

/* The @n values of "@op.@role"; they must be finite. */
static enum nasc_status get_tensor(const struct tensors *t, uint32_t op, const char *role,
				   uint64_t n, float *out, struct nasc_err *err)
{
	char name[64];
	const cJSON *entry;
	const char *type;
	uint64_t at = 0;

	snprintf(name, sizeof name, "%" PRIu32 ".%s", op, role);
	entry = cJSON_GetObjectItemCaseSensitive(t->header, name);
	if (!entry)
		return nasc_fail(err, NASC_DATA, "no tensor \"%s\"", name);
	if (json_get_string(entry, "dtype", &type, err) || get_range(entry, t, n, &at, err))
		return nasc_wrap(err, "%s", name);
	if (strcmp(type, "F32") != 0)
		return nasc_fail(err, NASC_DATA, "%s: dtype: %.20s, F32 is known", name, type);
	for (uint64_t i = 0; i < n; i++) {
		out[i] = read_f32(t->data + at + 4 * i);
		if (!isfinite(out[i]))
			return nasc_fail(err, NASC_DATA, "%s: value %" PRIu64 " is not finite",
					 name, i);
	}
	return NASC_OK;
}

static enum nasc_status get_network(const cJSON *header, struct arena *a, struct network *net,
				    struct nasc_err *err)
{
	const cJSON *meta;
	const char *format, *version, *text;
	cJSON *json;
	enum nasc_status st;

	st = json_get(header, "__metadata__", &meta, err);
	if (st)
		return st;
	st = json_get_string(meta, "format", &format, err);
	if (!st)
		st = json_get_string(meta, "version", &version, err);
	if (!st)
		st = json_get_string(meta, "network", &text, err);
	if (st)
		return nasc_status_of(st, nasc_wrap(err, "__metadata__"));
	if (strcmp(format, "nasc weights") != 0 || strcmp(version, "1") != 0)
		return nasc_fail(err, NASC_DATA,
				 "format \"%.40s\", version \"%.20s\": nasc train writes \"nasc "
				 "weights\", \"1\"",
				 format, version);
	st = json_parse("network", text, strlen(text), &json, err);
	if (st)
		return st;
	st = network_from_json(json, a, net, err);
	cJSON_Delete(json);
	if (st)
		nasc_wrap(err, "network");
	return st;
}

/* ---- folding --------------------------------------------------------------------- */

/* Behind @t, which has @n weights a channel, comes y = factor * x + offset. */
static void fold_affine(struct trained_op *t, uint64_t n, uint32_t channels, const float *factor,
			const float *offset)
{
	for (uint64_t k = 0; k < n; k++)
		for (uint32_t c = 0; c < channels; c++)
			t->weights[k * channels + c] *= factor[c];
	for (uint32_t c = 0; c < channels; c++)
		t->bias[c] = t->bias[c] * factor[c] + offset[c];
}

static enum nasc_status read_norm(const struct tensors *t, uint32_t index, uint32_t channels,
				  float *factor, float *offset, struct arena *a,
				  struct nasc_err *err)
{
	float *gamma = ARENA_NEW(a, float, channels), *beta = ARENA_NEW(a, float, channels),
	      *mean = ARENA_NEW(a, float, channels), *variance = ARENA_NEW(a, float, channels);

	if (get_tensor(t, index, "gamma", channels, gamma, err) ||
	    get_tensor(t, index, "beta", channels, beta, err) ||
	    get_tensor(t, index, "mean", channels, mean, err) ||
	    get_tensor(t, index, "variance", channels, variance, err))
		return err->code;
	for (uint32_t c = 0; c < channels; c++) {
		double f = gamma[c] / sqrt(variance[c] + BATCH_NORM_EPSILON);

		if (variance[c] < 0)
			return nasc_fail(err, NASC_DATA, "%" PRIu32 ".variance: below 0", index);
		factor[c] = (float)f;
		offset[c] = (float)(beta[c] - mean[c] * f);
	}
	return NASC_OK;
}

/* Operator @i of @net, which has the tensors of @index, into operator @to of @out. */
static enum nasc_status take(const struct tensors *t, const struct network *net, uint32_t i,
			     uint32_t index, struct trained *out, uint32_t to, struct arena *a,
			     struct nasc_err *err)
{
	const struct net_op *into = &out->net.op[to];
	struct trained_op *op = &out->op[to];
	uint32_t channels = net->op[i].out.c;
	uint64_t n = network_op_weights(net, i);
	float *factor, *offset;

	switch (net->op[i].kind) {
	case NET_CONV2D:
	case NET_DEPTHWISE:
	case NET_DENSE:
		op->weights = ARENA_NEW(a, float, n);
		op->bias = into->bias ? ARENA_NEW(a, float, channels) : NULL;
		if (net->op[i].bias && get_tensor(t, index, "bias", channels, op->bias, err))
			return err->code;
		return get_tensor(t, index, "weights", n, op->weights, err);
	case NET_BATCH_NORM:
		factor = ARENA_NEW(a, float, channels);
		offset = ARENA_NEW(a, float, channels);
		if (read_norm(t, index, channels, factor, offset, a, err))
			return err->code;
		if (into->kind == NET_BATCH_NORM)
			*op = (struct trained_op){ factor, offset };
		else
			fold_affine(op, network_op_weights(&out->net, to) / channels, channels,
				    factor, offset);
		return NASC_OK;
	default:
		return NASC_OK;
	}
}

static bool all_finite(const float *v, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (!isfinite(v[i]))
			return false;
	return true;
}

static enum nasc_status fold(const struct tensors *t, const struct network *net, struct arena *a,
			     struct trained *out, struct nasc_err *err)
{
	uint32_t *index = ARENA_NEW(a, uint32_t, net->n_ops), *source, *origin;
	struct network used;

	network_used(net, a, &used, index);
	if (used.n_ops == 1)
		return nasc_fail(err, NASC_DATA, "the network is a softmax alone");
	if (network_params(&used) > t->n_data / 4)
		return nasc_fail(err, NASC_DATA,
				 "%" PRIu64 " bytes of data, the network has %" PRIu64
				 " parameters of 4 bytes",
				 t->n_data, network_params(&used));
	source = ARENA_NEW(a, uint32_t, used.n_ops);
	network_fold(&used, a, &out->net, source);
	out->op = ARENA_NEW(a, struct trained_op, out->net.n_ops);
	out->origin = origin = ARENA_NEW(a, uint32_t, out->net.n_ops);
	for (uint32_t i = (uint32_t)used.n_ops; i-- > 0;) /* of those folded together the first */
		origin[source[i]] = index[i];
	for (uint32_t i = 1; i < used.n_ops; i++)
		if (take(t, &used, i, index[i], out, source[i], a, err))
			return err->code;
	for (uint32_t i = 0; i < out->net.n_ops; i++) {
		const struct trained_op *op = &out->op[i];
		uint32_t channels = out->net.op[i].out.c;
		uint64_t n = network_op_weights(&out->net, i);

		if ((op->weights && !all_finite(op->weights, n ? n : channels)) ||
		    (op->bias && !all_finite(op->bias, channels)))
			return nasc_fail(err, NASC_DATA,
					 "operator %" PRIu32
					 ": with its batch norm folded in, not finite",
					 origin[i]);
	}
	return NASC_OK;
}

static enum nasc_status load(const cJSON *header, struct tensors *t, const struct network *net,
			     struct arena *a, struct trained *out, struct nasc_err *err)
{
	struct network own;
	enum nasc_status st;

	t->header = header;
	if (!cJSON_IsObject(header))
		return nasc_fail(err, NASC_DATA, "header: no object");
	st = get_network(header, a, &own, err);
	if (st)
		return st;
	if (net && !network_equal(net, &own))
		return nasc_fail(err, NASC_DATA, "weights of another network");
	return fold(t, &own, a, out, err);
}

enum nasc_status trained_read(const void *bytes, size_t n, const struct network *net,
			      struct arena *a, struct trained *out, struct nasc_err *err)
{
	uint64_t n_header = n < 8 ? 0 : read_u64(bytes);
	struct tensors t;
	enum nasc_status st;
	cJSON *header;

	if (n < 8 || n_header > n - 8 || n_header > HEADER_MAX_BYTES)
		return nasc_fail(err, NASC_DATA,
				 "not a weights file, as nasc train --save writes it");
	t.data = (const unsigned char *)bytes + 8 + n_header;
	t.n_data = n - 8 - n_header;
	if (json_parse("header", (const char *)bytes + 8, n_header, &header, err))
		return err->code;
	st = load(header, &t, net, a, out, err);
	cJSON_Delete(header);
	return st;
}

enum nasc_status trained_load(const char *path, const struct network *net, struct arena *a,
			      struct trained *out, struct nasc_err *err)
{
	char *text;
	size_t n;

	if (file_read(path, FILE_MAX_BYTES, a, &text, &n, err))
		return err->code;
	return trained_read(text, n, net, a, out, err) ? nasc_wrap(err, "%s", path) : NASC_OK;
}
