#include "export.h"
#include "file.h"
#include "json.h"

static void write_reals(struct json_writer *w, const char *key, const float *v, size_t n)
{
	json_list(w, key);
	for (size_t i = 0; i < n; i++)
		json_real(w, NULL, (double)v[i]);
	json_end(w);
}

static void write_op(const struct quantised *q, size_t op, struct json_writer *w)
{
	const struct quantised_op *o = &q->op[op];
	uint32_t channels = q->net.op[op].out.c;

	json_object(w, NULL);
	json_string(w, "kind", net_kind_name(q->net.op[op].kind));
	json_real(w, "scale", (double)o->scale);
	json_int(w, "zero", o->zero);
	if (o->weights) {
		write_reals(w, "weight_scale", o->weight_scale, channels);
		json_list(w, "weights");
		for (uint64_t i = 0; i < network_op_weights(&q->net, op); i++)
			json_int(w, NULL, o->weights[i]);
		json_end(w);
		json_list(w, "bias");
		for (uint32_t c = 0; c < channels; c++)
			json_int(w, NULL, o->bias[c]);
		json_end(w);
	}
	if (o->affine && q->net.op[op].kind == NET_BATCH_NORM) {
		json_int(w, "shift", o->shift);
		json_list(w, "affine");
		for (uint32_t c = 0; c < channels; c++) {
			json_int(w, NULL, o->affine[c].constant);
			json_int(w, NULL, o->affine[c].factor);
		}
		json_end(w);
	}
	json_end(w);
}

static void write_normalisation(const struct normalisation *norm, size_t channels,
				struct json_writer *w)
{
	json_object(w, "normalisation");
	json_real(w, "divide_by", norm->bytes ? 255 : 1);
	write_reals(w, "mean", norm->mean, channels);
	write_reals(w, "std", norm->std, channels);
	json_end(w);
}

enum nasc_status export_json(const struct quantised *q, const struct normalisation *norm,
			     const char *path, struct nasc_err *err)
{
	struct file_out f = { 0 };
	struct json_writer w;

	if (file_begin(&f, path, err))
		return err->code;
	json_init(&w, f.fp, true);
	json_object(&w, NULL);
	json_int(&w, "version", 1);
	network_write_json(&q->net, &w, "network");
	write_normalisation(norm, q->net.input.c, &w);
	json_list(&w, "int8");
	for (size_t i = 0; i < q->net.n_ops; i++)
		write_op(q, i, &w);
	json_end(&w);
	json_end(&w);
	return file_commit(&f, err);
}
