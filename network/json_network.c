#include "import.h"
#include "json.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_VERSION 1
#define INPUT_NAME     "input"
#define NAME_MAX_BYTES 63

static const char *const padding_names[] = { "same", "valid" }; /* or a list: explicit */
static const char *const act_names[] = { "linear", "relu", "relu6" };

/* Which members an operator of each kind may have besides name, kind, inputs. */
static const struct members {
	bool channels, window, groups, bias, act, pads, factor;
} members[NET_KIND_COUNT] = {
	[NET_CONV2D] = { .channels = true,
			 .window = true,
			 .groups = true,
			 .bias = true,
			 .act = true },
	[NET_DEPTHWISE] = { .window = true, .bias = true, .act = true },
	[NET_DENSE] = { .channels = true, .bias = true, .act = true },
	[NET_MAX_POOL] = { .window = true },
	[NET_AVG_POOL] = { .window = true },
	[NET_ADD] = { .act = true },
	[NET_BATCH_NORM] = { .act = true },
	[NET_PAD] = { .pads = true },
	[NET_UPSAMPLE] = { .factor = true },
};

/* ---- writing ----------------------------------------------------------------- */

static const char *op_name(size_t i, char buf[24])
{
	if (i == 0)
		return INPUT_NAME;
	snprintf(buf, 24, "op%zu", i);
	return buf;
}

static void write_pads(const struct net_op *o, struct json_writer *w)
{
	json_list(w, "padding");
	json_u64(w, NULL, o->pad_top);
	json_u64(w, NULL, o->pad_left);
	json_u64(w, NULL, o->pad_bottom);
	json_u64(w, NULL, o->pad_right);
	json_end(w);
}

static void write_op(const struct network *net, size_t i, struct json_writer *w)
{
	const struct net_op *o = &net->op[i];
	const struct members *m = &members[o->kind];
	char buf[24];

	json_object(w, NULL);
	json_string(w, "name", op_name(i, buf));
	json_string(w, "kind", net_kind_name(o->kind));
	json_list(w, "inputs");
	for (uint32_t e = 0; e < o->n_inputs; e++)
		json_string(w, NULL, op_name(network_inputs(net, i)[e], buf));
	json_end(w);
	if (m->channels)
		json_u64(w, "channels", o->out_channels);
	if (m->window) {
		json_list(w, "kernel");
		json_u64(w, NULL, o->kernel_h);
		json_u64(w, NULL, o->kernel_w);
		json_end(w);
		json_u64(w, "stride", o->stride);
	}
	if (m->pads || (m->window && o->padding == NET_EXPLICIT))
		write_pads(o, w);
	else if (m->window)
		json_string(w, "padding", padding_names[o->padding]);
	if (m->factor)
		json_u64(w, "factor", o->stride);
	if (m->groups)
		json_u64(w, "groups", o->groups);
	if (m->bias)
		json_bool(w, "bias", o->bias);
	if (m->act)
		json_string(w, "act", act_names[o->act]);
	json_end(w);
}

void network_write_json(const struct network *net, struct json_writer *w, const char *key)
{
	json_object(w, key);
	json_int(w, "version", FORMAT_VERSION);
	if (net->name[0])
		json_string(w, "name", net->name);
	json_list(w, "input");
	json_u64(w, NULL, net->input.h);
	json_u64(w, NULL, net->input.w);
	json_u64(w, NULL, net->input.c);
	json_end(w);
	json_list(w, "operators");
	for (size_t i = 1; i < net->n_ops; i++)
		write_op(net, i, w);
	json_end(w);
	json_end(w);
}

/* ---- reading ------------------------------------------------------------------ */

struct name {
	const char *text;
	uint32_t op;
};
/* Names of all operators, sorted by text then by operator. */
struct names {
	struct name *v;
	size_t n;
};

static int compare_names(const void *a, const void *b)
{
	const struct name *p = a, *q = b;
	int c = strcmp(p->text, q->text);

	return c ? c : (p->op > q->op) - (p->op < q->op);
}

static int compare_text(const void *text, const void *name)
{
	return strcmp(text, ((const struct name *)name)->text);
}

/* Names go into messages, terminals and file names: printable ASCII only. */
static enum nasc_status check_name(const char *s, struct nasc_err *err)
{
	size_t n = strlen(s);

	if (n < 1 || n > NAME_MAX_BYTES)
		return nasc_fail(err, NASC_DATA, "name: is %zu bytes long, it must be 1 to %d", n,
				 NAME_MAX_BYTES);
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
			return nasc_fail(err, NASC_DATA,
					 "name: has byte 0x%02x in it, it must be printable ASCII",
					 (unsigned char)*s);
	return NASC_OK;
}

/* Member @key if it is there: a string among @choice, else *@out stays. */
static enum nasc_status get_choice(const cJSON *obj, const char *key, const char *const *choice,
				   size_t n, size_t *out, struct nasc_err *err)
{
	const char *text;

	if (!cJSON_GetObjectItemCaseSensitive(obj, key))
		return NASC_OK;
	if (json_get_string(obj, key, &text, err))
		return err->code;
	for (size_t i = 0; i < n; i++)
		if (strcmp(choice[i], text) == 0) {
			*out = i;
			return NASC_OK;
		}
	return nasc_fail(err, NASC_DATA, "%s: unknown '%.40s'; '%s', '%s'%s%s%s are known", key,
			 text, choice[0], choice[1], n > 2 ? ", '" : "", n > 2 ? choice[2] : "",
			 n > 2 ? "'" : "");
}

/* As get_choice(), for integers 1 .. NETWORK_MAX_DIM. */
static enum nasc_status get_dim(const cJSON *obj, const char *key, bool must, uint32_t *out,
				struct nasc_err *err)
{
	int64_t v;

	if (!must && !cJSON_GetObjectItemCaseSensitive(obj, key))
		return NASC_OK;
	if (json_get_int(obj, key, 1, NETWORK_MAX_DIM, &v, err))
		return err->code;
	*out = (uint32_t)v;
	return NASC_OK;
}

/* @list: @n integers @least .. NETWORK_MAX_DIM. */
static enum nasc_status list_dims(const cJSON *list, const char *key, uint32_t least, uint32_t *out,
				  int n, struct nasc_err *err)
{
	const cJSON *item = list->child;

	if (cJSON_GetArraySize(list) != n)
		return nasc_fail(err, NASC_DATA, "%s: %d numbers in the list, it must have %d", key,
				 cJSON_GetArraySize(list), n);
	for (int i = 0; i < n; i++, item = item->next) {
		double v = cJSON_IsNumber(item) ? item->valuedouble : -1;

		if (!(v >= least && v <= NETWORK_MAX_DIM) || v != (double)(uint32_t)v)
			return nasc_fail(err, NASC_DATA,
					 "%s: item %d is not an integer in [%u, %u]", key, i + 1,
					 least, NETWORK_MAX_DIM);
		out[i] = (uint32_t)v;
	}
	return NASC_OK;
}

static enum nasc_status read_kernel(const cJSON *obj, struct net_op *o, struct nasc_err *err)
{
	const cJSON *v;
	uint32_t d[2] = { 0 };

	if (json_get(obj, "kernel", &v, err))
		return err->code;
	if (cJSON_IsArray(v) ? list_dims(v, "kernel", 1, d, 2, err)
			     : get_dim(obj, "kernel", true, &d[0], err))
		return err->code;
	o->kernel_h = d[0];
	o->kernel_w = cJSON_IsArray(v) ? d[1] : d[0];
	return NASC_OK;
}

/* "same", "valid" or cells above, left, below and right; a pad has only the last. */
static enum nasc_status read_padding(const cJSON *obj, bool only_cells, struct net_op *o,
				     struct nasc_err *err)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, "padding");
	size_t padding = NET_SAME;
	uint32_t d[4];

	if (only_cells && json_get_list(obj, "padding", &v, err))
		return err->code;
	if (!cJSON_IsArray(v)) {
		if (get_choice(obj, "padding", padding_names, 2, &padding, err))
			return err->code;
		o->padding = (enum net_padding)padding;
		return NASC_OK;
	}
	if (list_dims(v, "padding", 0, d, 4, err))
		return err->code;
	o->padding = only_cells ? NET_SAME : NET_EXPLICIT;
	o->pad_top = d[0];
	o->pad_left = d[1];
	o->pad_bottom = d[2];
	o->pad_right = d[3];
	return NASC_OK;
}

/* Members of one operator but its name, kind and inputs. */
static enum nasc_status read_members(const cJSON *obj, struct net_op *o, struct nasc_err *err)
{
	const struct members *m = &members[o->kind];
	bool pool = o->kind == NET_MAX_POOL || o->kind == NET_AVG_POOL;
	const char *known[16] = { "name", "kind", "inputs" };
	const cJSON *bias;
	size_t n = 3, act = NET_LINEAR;

	if (m->channels)
		known[n++] = "channels";
	if (m->window) {
		known[n++] = "kernel";
		known[n++] = "stride";
	}
	if (m->window || m->pads)
		known[n++] = "padding";
	if (m->groups)
		known[n++] = "groups";
	if (m->factor)
		known[n++] = "factor";
	if (m->bias)
		known[n++] = "bias";
	if (m->act)
		known[n++] = "act";
	if (json_only(obj, known, err))
		return err->code;
	if (m->channels && get_dim(obj, "channels", true, &o->out_channels, err))
		return err->code;
	if (m->window) {
		o->stride = 1;
		if (read_kernel(obj, o, err) || get_dim(obj, "stride", pool, &o->stride, err))
			return err->code;
	}
	if ((m->window || m->pads) && read_padding(obj, m->pads, o, err))
		return err->code;
	if (m->factor && get_dim(obj, "factor", true, &o->stride, err))
		return err->code;
	o->groups = m->groups;
	if (m->groups && get_dim(obj, "groups", false, &o->groups, err))
		return err->code;
	if (m->act && get_choice(obj, "act", act_names, 3, &act, err))
		return err->code;
	bias = cJSON_GetObjectItemCaseSensitive(obj, "bias");
	if (bias && !cJSON_IsBool(bias))
		return nasc_fail(err, NASC_DATA, "bias: it must be true or false");
	o->bias = m->bias && (!bias || cJSON_IsTrue(bias));
	o->act = (enum net_act)act;
	return NASC_OK;
}

static enum nasc_status read_kind(const cJSON *obj, enum net_kind *out, struct nasc_err *err)
{
	const char *text;

	if (json_get_string(obj, "kind", &text, err))
		return err->code;
	for (int k = NET_INPUT + 1; k < NET_KIND_COUNT; k++)
		if (strcmp(net_kind_name((enum net_kind)k), text) == 0) {
			*out = (enum net_kind)k;
			return NASC_OK;
		}
	return nasc_fail(err, NASC_DATA,
			 "kind: unknown '%.40s', it must be one of conv2d, "
			 "depthwise, dense, max_pool, avg_pool, global_pool, add, "
			 "concat, batch_norm, relu, relu6, softmax, pad, upsample",
			 text);
}

static enum nasc_status find_input(const struct names *names, const cJSON *item, uint32_t op,
				   uint32_t *out, struct nasc_err *err)
{
	const struct name *hit;

	if (!cJSON_IsString(item))
		return nasc_fail(err, NASC_DATA, "inputs: it must be a list of names of operators");
	hit = bsearch(item->valuestring, names->v, names->n, sizeof *names->v, compare_text);
	if (!hit)
		return nasc_fail(err, NASC_DATA, "inputs: no operator is named '%.63s'",
				 item->valuestring);
	if (hit->op >= op)
		return nasc_fail(err, NASC_DATA,
				 "inputs: '%.63s' is operator %u, it must be an earlier one",
				 item->valuestring, hit->op);
	*out = hit->op;
	return NASC_OK;
}

/* Operators that @obj, operator @op, reads; the one before it when it does not say. */
static enum nasc_status read_inputs(const cJSON *obj, uint32_t op, const struct names *names,
				    struct arena *scratch, uint32_t **in, size_t *n,
				    struct nasc_err *err)
{
	const cJSON *list, *item;
	size_t k = 0;

	if (!cJSON_GetObjectItemCaseSensitive(obj, "inputs")) {
		*n = 1;
		*in = ARENA_NEW(scratch, uint32_t, 1);
		(*in)[0] = op - 1;
		return NASC_OK;
	}
	if (json_get_list(obj, "inputs", &list, err))
		return err->code;
	*n = (size_t)cJSON_GetArraySize(list);
	if (*n > NETWORK_MAX_EDGES)
		return nasc_fail(err, NASC_DATA, "inputs: %zu of them, at most %u", *n,
				 NETWORK_MAX_EDGES);
	*in = ARENA_NEW(scratch, uint32_t, *n);
	cJSON_ArrayForEach(item, list)
	{
		if (find_input(names, item, op, &(*in)[k++], err))
			return err->code;
	}
	return NASC_OK;
}

/* Operator @i (from 1) into @net. */
static enum nasc_status read_op(const cJSON *obj, uint32_t i, const struct names *names,
				struct arena *scratch, struct network *net, struct nasc_err *err)
{
	struct net_op o = { .kind = NET_INPUT };
	uint32_t *in = NULL;
	size_t n = 0;

	if (read_kind(obj, &o.kind, err))
		return nasc_wrap(err, "operator %u", i);
	if (read_members(obj, &o, err) || read_inputs(obj, i, names, scratch, &in, &n, err))
		return nasc_wrap(err, "operator %u (%s)", i, net_kind_name(o.kind));
	network_append(net, &o, in, n);
	return NASC_OK;
}

static enum nasc_status read_names(const cJSON *list, size_t n_ops, struct arena *a,
				   struct names *out, struct nasc_err *err)
{
	const cJSON *obj;
	uint32_t i = 0;

	out->v = ARENA_NEW(a, struct name, n_ops + 1);
	out->n = n_ops + 1;
	out->v[i++] = (struct name){ INPUT_NAME, 0 };
	cJSON_ArrayForEach(obj, list)
	{
		const char *text;

		if (!cJSON_IsObject(obj))
			return nasc_fail(err, NASC_DATA, "operator %u: it must be an object", i);
		if (!cJSON_GetObjectItemCaseSensitive(obj, "name")) {
			char buf[24];

			text = arena_strdup(a, op_name(i, buf));
		} else if (json_get_string(obj, "name", &text, err) || check_name(text, err)) {
			return nasc_wrap(err, "operator %u", i);
		}
		out->v[i] = (struct name){ text, i };
		i++;
	}
	qsort(out->v, out->n, sizeof *out->v, compare_names);
	for (size_t k = 1; k < out->n; k++)
		if (strcmp(out->v[k - 1].text, out->v[k].text) == 0)
			return nasc_fail(err, NASC_DATA,
					 "operator %u: name '%.63s' is taken by operator %u",
					 out->v[k].op, out->v[k].text, out->v[k - 1].op);
	return NASC_OK;
}

/* Version, name and input. */
static enum nasc_status read_head(const cJSON *json, struct network *net, struct nasc_err *err)
{
	static const char *const known[] = { "version", "name", "input", "operators", NULL };
	const cJSON *input;
	const char *name = "";
	uint32_t d[3];
	int64_t version;

	if (!cJSON_IsObject(json))
		return nasc_fail(err, NASC_DATA, "a network must be an object");
	if (json_only(json, known, err) ||
	    json_get_int(json, "version", FORMAT_VERSION, FORMAT_VERSION, &version, err))
		return err->code;
	if (cJSON_GetObjectItemCaseSensitive(json, "name") &&
	    (json_get_string(json, "name", &name, err) || check_name(name, err)))
		return err->code;
	if (json_get_list(json, "input", &input, err) || list_dims(input, "input", 1, d, 3, err))
		return err->code;
	net->input = (struct net_shape){ d[0], d[1], d[2] };
	memcpy(net->name, name, strlen(name) + 1);
	return NASC_OK;
}

static enum nasc_status read_network(const cJSON *json, struct arena *a, struct arena *scratch,
				     struct network *out, struct nasc_err *err)
{
	struct network net, head = { .n_ops = 0 };
	const cJSON *list, *obj;
	struct names names;
	struct nasc_err fault;
	size_t n;
	uint32_t i = 1;

	if (read_head(json, &head, err) || json_get_list(json, "operators", &list, err))
		return err->code;
	n = (size_t)cJSON_GetArraySize(list);
	if (n < 1 || n >= NETWORK_MAX_OPS)
		return nasc_fail(err, NASC_DATA, "operators: %zu of them, it must be 1 to %u", n,
				 NETWORK_MAX_OPS - 1);
	if (read_names(list, n, scratch, &names, err))
		return err->code;
	network_init(&net, a, head.input);
	memcpy(net.name, head.name, sizeof net.name);
	cJSON_ArrayForEach(obj, list)
	{
		if (read_op(obj, i++, &names, scratch, &net, err))
			return err->code;
	}
	if (network_infer(&net, &fault))
		return nasc_fail(err, NASC_DATA, "%s", fault.msg);
	*out = net;
	return NASC_OK;
}

bool network_is_json(const struct cJSON *json)
{
	return cJSON_GetObjectItemCaseSensitive(json, "operators") || blocks_are(json);
}

enum nasc_status network_from_json(const struct cJSON *json, struct arena *a, struct network *out,
				   struct nasc_err *err)
{
	struct arena scratch = { 0 };
	struct arena_mark m = arena_mark(a);

	enum nasc_status status = blocks_are(json) ? blocks_read(json, a, out, err)
						   : read_network(json, a, &scratch, out, err);

	if (status)
		arena_rewind(a, m);
	arena_free(&scratch);
	return status;
}
