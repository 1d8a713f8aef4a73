#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "json.h"
#include "rng.h"

enum format { C, ONNX, ONNX_INT8, JSON };
static const char *const formats[] = {
	[C] = "c", [ONNX] = "onnx", [ONNX_INT8] = "onnx-int8", [JSON] = "json", NULL
};

/* Of the self-test, in its source: so many, or fewer of large ones. */
#define SELF_TESTS	 100
#define SELF_TEST_VALUES ((size_t)1 << 19)

struct request {
	struct cmd_job job;
	const char *weights, *out, *name;
	enum format format;
	long n_ranges, n_test;
	unsigned jobs;
	struct costmodel target; /* that the firmware is for; ops NULL: none in particular */
};

/* What was made and what it is worth. */
struct report {
	struct trained trained;
	struct quantised quantised;
	struct firmware_plan plan;
	size_t n_ranges, n_test, right_float, right_int8, equal;
	uint64_t constant_bytes;
};

/* ---- images ------------------------------------------------------------------------- */

static struct images fetch(const struct dataset *data, const struct dataset *norm,
			   struct net_shape shape, struct rng *choose, size_t first, size_t n,
			   struct arena *a)
{
	float *image = ARENA_NEW(a, float, n *net_elements(shape));
	uint8_t *label = ARENA_NEW(a, uint8_t, n);

	dataset_fetch(data, norm, shape, choose, first, n, image, label);
	return (struct images){ n, image, label };
}

static size_t smaller(size_t a, long b)
{
	return b > 0 && (size_t)b < a ? (size_t)b : a;
}

static enum nasc_status make(const struct request *q, const struct dataset *train, struct report *r,
			     struct arena *a, struct nasc_err *err)
{
	struct rng choose;
	struct images ranges;

	if (trained_load(q->weights, &q->job.net, a, &r->trained, err))
		return err->code;
	if (q->format == ONNX)
		return NASC_OK;
	rng_stream(&choose, q->job.config.seed, RNG_RANGES, q->job.id);
	r->n_ranges = smaller(train->n, q->n_ranges);
	ranges = fetch(train, train, r->trained.net.input, &choose, 0, r->n_ranges, a);
	if (quantise(&r->trained, &ranges, q->jobs, a, &r->quantised, err))
		return err->code;
	mcu_firmware_plan(q->target.ops ? &q->target : NULL, &q->job.net, a, &r->plan);
	for (size_t i = 0; i < r->trained.net.n_ops; i++)
		r->constant_bytes += firmware_constant_bytes(&r->trained.net, i);
	return NASC_OK;
}

static size_t largest_f32(const float *v, size_t n)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++)
		best = v[i] > v[best] ? i : best;
	return best;
}

static size_t largest_i8(const int8_t *v, size_t n)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++)
		best = v[i] > v[best] ? i : best;
	return best;
}

/* As many at a time: in f32 they are four times as large as their bytes. */
#define COMPARED 500

static enum nasc_status compare_some(const struct request *q, const struct images *test,
				     struct report *r, struct arena *a, struct nasc_err *err)
{
	size_t classes = r->trained.net.classes;
	float *logits = ARENA_NEW(a, float, test->n *classes);
	int8_t *out = ARENA_NEW(a, int8_t, test->n * classes);

	if (trained_run(&r->trained, test, q->jobs, logits, err) ||
	    (q->format != ONNX && quantised_run(&r->quantised, test, q->jobs, out, err)))
		return err->code;
	r->n_test += test->n;
	for (size_t i = 0; i < test->n; i++) {
		size_t f = largest_f32(logits + i * classes, classes);
		size_t k = largest_i8(out + i * classes, classes);

		r->right_float += f == test->label[i];
		r->right_int8 += k == test->label[i];
		r->equal += f == k;
	}
	return NASC_OK;
}

static enum nasc_status compare(const struct request *q, const struct dataset *test,
				const struct dataset *norm, struct report *r, struct arena *a,
				struct nasc_err *err)
{
	size_t n = smaller(test->n, q->n_test);

	while (r->n_test < n) {
		struct arena_mark mark = arena_mark(a);
		struct images images = fetch(test, norm, r->trained.net.input, NULL, r->n_test,
					     smaller(n - r->n_test, COMPARED), a);

		if (compare_some(q, &images, r, a, err))
			return err->code;
		arena_rewind(a, mark);
	}
	return NASC_OK;
}

/* ---- the target ------------------------------------------------------------------------ */

/* --target, else the first of the config's that runs nasc's firmware: its SRAM, and the bounds of
 * the search that it was found in, decide on the schedule. */
static enum nasc_status find_target(const struct cmd_args *a, struct request *q,
				    struct arena *arena, struct nasc_err *err)
{
	const char *name = cmd_value(a, "target");
	const char **given = ARENA_NEW(arena, const char *, (size_t)a->argc);
	size_t n = cmd_values(a, "target", given, (size_t)a->argc);
	struct cfg_strings names = q->job.config.targets;
	struct costmodel m;

	if (n > 1)
		return nasc_fail(err, NASC_USAGE, "--target: an export is for one, not %zu", n);
	if (name)
		names = (struct cfg_strings){ .v = given, .n = 1 };
	for (size_t i = 0; i < names.n && !q->target.ops; i++) {
		if (target_open(&m, targets_dir(), names.v[i], arena, err))
			return err->code;
		if (results_bounds(&q->job.results, &m, err))
			return nasc_wrap(err, "%s", a->positional[0]);
		if (mcu_is_firmware(&m))
			q->target = m;
	}
	if (name && !q->target.ops)
		return nasc_fail(err, NASC_USAGE,
				 "--target: %s does not run nasc's firmware, a target with "
				 "'memory: nasc' does, as stm32f746-nasc",
				 name);
	return NASC_OK;
}

/* ---- the report ------------------------------------------------------------------------ */

static double part(size_t some, size_t all)
{
	return (double)some / (double)all;
}

static void about(const struct request *q, const struct report *r, char *text, size_t n)
{
	char parts[64] = "";

	if (r->plan.grid > 1)
		snprintf(parts, sizeof parts, ", operators 1 to %u in %u x %u parts",
			 r->plan.patched, r->plan.grid, r->plan.grid);
	snprintf(text, n,
		 "version " NASC_VERSION
		 ", test accuracy %.2f %% in f32, %.2f %% in int8 (%zu images)%s, network %s",
		 100 * part(r->right_float, r->n_test), 100 * part(r->right_int8, r->n_test),
		 r->n_test, parts, q->job.what);
}

/* What the target has of it. */
static double sram_of(const struct costmodel *m)
{
	struct cost_limit limit[COST_MAX_METRICS];
	size_t n = m->ops->limits(m, limit);

	for (size_t i = 0; i < n; i++)
		if (strcmp(m->ops->metric[limit[i].metric].key, "sram_bytes") == 0)
			return limit[i].max;
	return INFINITY;
}

static bool fits(const struct request *q, const struct report *r)
{
	return !q->target.ops || (double)r->plan.arena_bytes <= sram_of(&q->target);
}

static void print_report(const struct request *q, const struct report *r)
{
	char params[32], macs[32], arena[32], constants[32];

	printf("network %s: %s parameters, %s MACs\n", q->job.what,
	       unit_format((double)network_params(&q->job.net), UNIT_NONE, params, sizeof params),
	       unit_format((double)network_macs(&q->job.net), UNIT_NONE, macs, sizeof macs));
	printf("test accuracy %.2f %% in f32", 100 * part(r->right_float, r->n_test));
	if (q->format == ONNX)
		printf(" (%zu images)\n", r->n_test);
	else
		printf(", %.2f %% in int8 (%zu images; the same answer on %.2f %%; ranges of %zu "
		       "training images)\n",
		       100 * part(r->right_int8, r->n_test), r->n_test,
		       100 * part(r->equal, r->n_test), r->n_ranges);
	if (q->format != C) {
		printf("wrote %s\n", q->out);
		return;
	}
	if (r->plan.grid > 1)
		printf("%s: operators 1 to %u run in %u x %u parts\n", q->target.target,
		       r->plan.patched, r->plan.grid, r->plan.grid);
	printf("arena %s of RAM, constants %s of flash\n",
	       unit_format((double)r->plan.arena_bytes, UNIT_BYTE, arena, sizeof arena),
	       unit_format((double)r->constant_bytes, UNIT_BYTE, constants, sizeof constants));
	if (!fits(q, r))
		printf("does not fit %s: sram %s of %s\n", q->target.target, arena,
		       unit_format(sram_of(&q->target), UNIT_BYTE, constants, sizeof constants));
	printf("wrote %s; its self-test: make -C %s check\n", q->out, q->out);
}

static void write_report(const struct request *q, const struct report *r)
{
	struct json_writer w;

	json_init(&w, stdout, false);
	json_object(&w, NULL);
	json_int(&w, "version", 1);
	json_string(&w, "network", q->job.what);
	json_string(&w, "format", formats[q->format]);
	json_string(&w, "out", q->out);
	json_u64(&w, "params", network_params(&q->job.net));
	json_u64(&w, "macs", network_macs(&q->job.net));
	json_u64(&w, "test_images", r->n_test);
	json_real(&w, "test_accuracy", part(r->right_float, r->n_test));
	if (q->format != ONNX) {
		json_u64(&w, "range_images", r->n_ranges);
		json_real(&w, "test_accuracy_int8", part(r->right_int8, r->n_test));
		json_real(&w, "same_answer", part(r->equal, r->n_test));
	}
	if (q->format == C) {
		json_string(&w, "target", q->target.target);
		json_bool(&w, "fits", fits(q, r));
		json_u64(&w, "patch_grid", r->plan.grid);
		json_u64(&w, "patched", r->plan.patched);
		json_u64(&w, "arena_bytes", r->plan.arena_bytes);
		json_u64(&w, "constant_bytes", r->constant_bytes);
	}
	json_end(&w);
}

/* ---- the verb --------------------------------------------------------------------------- */

static enum nasc_status leave_c(const struct request *q, const struct report *r,
				const struct dataset *test, const struct dataset *norm,
				const struct normalisation *normalisation, struct arena *a,
				struct nasc_err *err)
{
	const struct network *net = &r->trained.net;
	size_t most = SELF_TEST_VALUES / net_elements(net->input);
	struct images images;
	char text[256];
	int8_t *out;

	most = most < 1 ? 1 : most > SELF_TESTS ? SELF_TESTS : most;
	images = fetch(test, norm, net->input, NULL, 0, smaller(r->n_test, (long)most), a);
	out = ARENA_NEW(a, int8_t, images.n * net->classes);
	if (quantised_run(&r->quantised, &images, q->jobs, out, err))
		return err->code;
	about(q, r, text, sizeof text);
	return export_c(&(struct export_c){ .network = &r->quantised,
					    .plan = &r->plan,
					    .norm = *normalisation,
					    .name = q->name,
					    .about = text,
					    .test = images.image,
					    .expected = out,
					    .n_tests = images.n },
			q->out, err);
}

static enum nasc_status leave(const struct request *q, const struct report *r,
			      const struct dataset *test, const struct dataset *train,
			      struct arena *a, struct nasc_err *err)
{
	const struct normalisation norm = { train->mean, train->std, train->pixel == PIXEL_U8 };

	switch (q->format) {
	case ONNX:
		return export_onnx_float(&r->trained, q->out, err);
	case ONNX_INT8:
		return export_onnx_int8(&r->quantised, q->out, err);
	case JSON:
		return export_json(&r->quantised, &norm, q->out, err);
	default:
		return leave_c(q, r, test, train, &norm, a, err);
	}
}

static enum nasc_status read_options(const struct cmd_args *a, struct request *q,
				     struct nasc_err *err)
{
	const char *format = cmd_value(a, "format"), *name = cmd_value(a, "name");
	size_t i = 0;

	q->weights = cmd_value(a, "weights");
	q->out = cmd_value(a, "out");
	q->name = name ? name : "network";
	if (!q->weights)
		return nasc_fail(err, NASC_USAGE,
				 "--weights FILE is missing: nasc train %s --save FILE writes it",
				 a->positional[0]);
	if (!q->out || !q->out[0])
		return nasc_fail(err, NASC_USAGE,
				 "--out is missing: a folder for --format c, else a file");
	while (format && formats[i] && strcmp(format, formats[i]) != 0)
		i++;
	if (!formats[i])
		return nasc_fail(err, NASC_USAGE,
				 "--format: '%.40s' is none, known are c, onnx, onnx-int8, json",
				 format);
	q->format = (enum format)i;
	if (!export_c_name(q->name))
		return nasc_fail(err, NASC_USAGE,
				 "--name: '%.80s' is no name in C of at most 64 letters, digits "
				 "and _, or one of nasc's own (nasc_..., board)",
				 q->name);
	if (q->format != C && cmd_value(a, "target"))
		return nasc_fail(err, NASC_USAGE, "--target: it plans memory, of --format c alone");
	if (q->format == C ? export_c_folder(q->out, q->name, err)
			   : cmd_probe_file("out", q->out, err))
		return err->code;
	return cmd_jobs(a, &q->jobs, err) ||
			       cmd_integer(a, "ranges", 1, 1000000, 512, &q->n_ranges, err) ||
			       cmd_integer(a, "images", 1, 100000000, 0, &q->n_test, err)
		       ? err->code
		       : NASC_OK;
}

static enum nasc_status run_export(const struct cmd_args *a, struct arena *arena,
				   struct nasc_err *err)
{
	struct request q = { 0 };
	struct report r = { 0 };
	struct dataset train, test;
	enum nasc_status st;

	if (read_options(a, &q, err) || cmd_find_job(a, arena, &q.job, err))
		return err->code;
	st = q.format == C ? find_target(a, &q, arena, err) : NASC_OK;
	results_close(&q.job.results);
	if (st)
		return st;
	if (dataset_open_train(&q.job.config.data, q.job.config.seed, arena, &train, NULL, err) ||
	    dataset_open_test(&q.job.config.data, &train, arena, &test, err))
		return nasc_wrap(err, "data");
	if (dataset_check_network(&train, &q.job.net, err) || make(&q, &train, &r, arena, err))
		return err->code;
	if (compare(&q, &test, &train, &r, arena, err) || leave(&q, &r, &test, &train, arena, err))
		return err->code;
	if (cmd_flag(a, "json"))
		write_report(&q, &r);
	else
		print_report(&q, &r);
	return NASC_OK;
}

static enum nasc_status run(const struct cmd_args *a, struct nasc_err *err)
{
	struct arena arena = { 0 };
	enum nasc_status st = run_export(a, &arena, err);

	arena_free(&arena);
	return st;
}

static const struct cmd_option options[] = {
	{ "id", "N", "row of the results; 'knee', or the objective it is best in" },
	{ "config", "FILE", "data, instead of those the results carry" },
	{ "weights", "FILE", "as nasc train --save wrote them" },
	{ "target", "NAME",
	  "board, or its file, whose SRAM decides on patches [of the config's the first that "
	  "runs nasc's firmware; none: layer by layer]" },
	{ "format", "NAME", "c, onnx, onnx-int8 or json [c]" },
	{ "out", "PATH", "folder for c, file for the others; -o does as well" },
	{ "name", "NAME", "of the network in C [network]" },
	{ "ranges", "N", "training images that the ranges of activations are taken from [512]" },
	{ "images", "N", "test images that accuracy is measured on [all]" },
	CMD_SET_OPTION,
	{ "jobs", "N", "threads; the same bits at any number [one per processor]" },
	{ "json", NULL, "machine-readable report" },
	{ .name = NULL }
};
const struct cmd cmd_export = {
	.name = "export",
	.args = "RESULTS.json --id N --weights FILE --out PATH",
	.summary = "a trained network as firmware in C, as ONNX or as JSON",
	.details =
		"Quantises the trained network to int8 (but for onnx; weights by channel,\n"
		"activations by the ranges they have on some training images), measures it on the\n"
		"test images beside the original, and writes it:\n"
		"  c          C99 without allocation, with nasc's kernels and a self-test\n"
		"  onnx       as trained, in f32\n"
		"  onnx-int8  quantised, with QuantizeLinear and DequantizeLinear\n"
		"  json       quantised: scales, weights and biases as numbers\n",
	.min_args = 1,
	.max_args = 1,
	.option = options,
	.run = run
};
