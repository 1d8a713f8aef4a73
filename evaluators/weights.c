#include "weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "json.h"

static const char *const role_name[] = { [PARAM_WEIGHTS] = "weights",
					 [PARAM_BIAS] = "bias",
					 [PARAM_GAMMA] = "gamma",
					 [PARAM_BETA] = "beta" };

static void entry(struct json_writer *w, const char *name, const struct param *q, size_t n,
		  size_t *at)
{
	json_object(w, name);
	json_string(w, "dtype", "F32");
	json_list(w, "shape");
	if (q && q->role == PARAM_WEIGHTS) {
		json_int(w, NULL, q->kh);
		json_int(w, NULL, q->kw);
		json_int(w, NULL, q->in / q->groups);
		json_int(w, NULL, q->out);
	} else {
		json_int(w, NULL, (int64_t)n);
	}
	json_end(w);
	json_list(w, "data_offsets");
	json_u64(w, NULL, *at);
	*at += n * 4;
	json_u64(w, NULL, *at);
	json_end(w);
	json_end(w);
}

static void header(const struct model *m, const char *network, FILE *fp)
{
	const struct plan *p = m->plan;
	struct json_writer w;
	char name[64];
	size_t at = 0;

	json_init(&w, fp, true);
	json_object(&w, NULL);
	json_object(&w, "__metadata__");
	json_string(&w, "format", "nasc weights");
	json_string(&w, "version", "1");
	json_string(&w, "network", network);
	json_end(&w);
	for (size_t i = 0; i < p->n_params; i++) {
		const struct param *q = &p->param[i];

		snprintf(name, sizeof name, "%" PRIu32 ".%s", q->op, role_name[q->role]);
		entry(&w, name, q, param_count(q), &at);
	}
	for (size_t i = 0; i < p->n_norms; i++) {
		snprintf(name, sizeof name, "%" PRIu32 ".mean", p->norm[i].op);
		entry(&w, name, NULL, p->norm[i].c, &at);
		snprintf(name, sizeof name, "%" PRIu32 ".variance", p->norm[i].op);
		entry(&w, name, NULL, p->norm[i].c, &at);
	}
	json_end(&w);
}

static void write_u64(FILE *fp, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		putc((int)(v >> (8 * i) & 0xff), fp);
}

static void write_f32(FILE *fp, float f)
{
	uint32_t v;

	memcpy(&v, &f, sizeof v);
	for (int i = 0; i < 4; i++)
		putc((int)(v >> (8 * i) & 0xff), fp);
}

static void tensors(const struct model *m, FILE *fp)
{
	const struct plan *p = m->plan;

	for (size_t i = 0; i < p->n_params; i++) {
		const struct param *q = &p->param[i];

		for (size_t k = 0; k < param_count(q); k++)
			write_f32(fp, m->weights[param_at(q, k)]);
	}
	for (size_t i = 0; i < p->n_norms; i++) {
		const struct plan_norm *q = &p->norm[i];

		for (uint32_t c = 0; c < q->c; c++)
			write_f32(fp, m->running_mean[q->channel + c]);
		for (uint32_t c = 0; c < q->c; c++)
			write_f32(fp, m->running_var[q->channel + c]);
	}
}

/* Text that @write puts on a FILE, in memory; the caller frees it. */
static char *network_text(const struct network *net)
{
	char *text = NULL;
	size_t n = 0;
	FILE *fp = open_memstream(&text, &n);
	struct json_writer w;

	if (!fp)
		return NULL;
	json_init(&w, fp, true);
	network_write_json(net, &w, NULL);
	fclose(fp);
	if (n && text[n - 1] == '\n')
		text[n - 1] = '\0';
	return text;
}

static char *header_text(const struct model *m, const struct network *net, size_t *n)
{
	char *network = network_text(net), *text = NULL;
	FILE *fp = network ? open_memstream(&text, n) : NULL;

	if (fp) {
		header(m, network, fp);
		for (long at = ftell(fp); at % 8 != 0; at++) /* tensors start aligned */
			putc(' ', fp);
		fclose(fp);
	}
	free(network);
	return text;
}

enum nasc_status weights_save(const struct model *m, const struct network *net, const char *path,
			      struct nasc_err *err)
{
	struct file_out f = { 0 };
	size_t n = 0;
	char *text = header_text(m, net, &n);
	enum nasc_status st;

	if (!text)
		return nasc_fail(err, NASC_FAIL, "out of memory for the header of '%s'", path);
	st = file_begin(&f, path, err);
	if (!st) {
		write_u64(f.fp, n);
		fwrite(text, 1, n, f.fp);
		tensors(m, f.fp);
		st = file_commit(&f, err);
	}
	free(text);
	return st;
}
