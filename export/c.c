#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export.h"
#include "file.h"

/* ---- constants ---------------------------------------------------------------------- */

static void write_bytes(FILE *fp, const int8_t *byte, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(fp, "%s%d,", i % 24 ? "" : "\n\t", byte[i]);
}

static bool has_weights(const struct quantised *q, size_t op)
{
	return q->op[op].weights != NULL;
}

/* The union begins on a multiple of 4 bytes in any C. */
static void write_weights(const struct quantised *q, size_t op, FILE *fp, struct arena *a)
{
	struct arena_mark mark = arena_mark(a);
	uint64_t n = firmware_weight_bytes(&q->net, op);
	int8_t *packed = ARENA_NEW(a, int8_t, n);

	firmware_pack(&q->net, op, q->op[op].weights, packed);
	fprintf(fp,
		"static const union {\n\tint8_t byte[%" PRIu64
		"];\n\tint32_t align;\n} weights_%zu = {{",
		n, op);
	write_bytes(fp, packed, n);
	fputs("\n} };\n", fp);
	arena_rewind(a, mark);
}

/* Number @i of an array of pairs. */
static void write_pair(FILE *fp, uint32_t i, int32_t a, int32_t b)
{
	fprintf(fp, "%s{ %" PRId32 ", %" PRId32 " },", i % 4 ? " " : "\n\t", a, b);
}

static void write_requant(const struct quantised_op *o, size_t op, FILE *fp)
{
	fprintf(fp, "static const struct nasc_requant requant_%zu[] = {", op);
	for (uint32_t i = 0; i < o->n_requant; i++)
		write_pair(fp, i, o->requant[i].offset, o->requant[i].multiplier);
	fputs("\n};\n", fp);
}

static void write_affine(const struct quantised_op *o, size_t op, uint32_t n, FILE *fp)
{
	fprintf(fp, "static const struct nasc_affine affine_%zu[] = {", op);
	for (uint32_t i = 0; i < n; i++)
		write_pair(fp, i, o->affine[i].constant, o->affine[i].factor);
	fputs("\n};\n", fp);
}

static void write_factors(const struct quantised_op *o, size_t op, uint32_t n, FILE *fp)
{
	fprintf(fp, "static const int32_t factor_%zu[] = {", op);
	for (uint32_t i = 0; i < n; i++)
		fprintf(fp, " %" PRId32 ",", o->affine[i].factor);
	fputs(" };\n", fp);
}

static void write_window(const struct quantised *q, size_t op, FILE *fp)
{
	const struct net_op *o = &q->net.op[op];
	struct net_shape in = network_in_shape(&q->net, op);
	uint32_t h = o->kernel_h, w = o->kernel_w, stride = o->stride;

	if (o->kind == NET_GLOBAL_POOL) {
		h = in.h;
		w = in.w;
		stride = 1;
	}
	fprintf(fp,
		"static const struct nasc_window window_%zu = {\n"
		"\t.in_h = %u, .in_w = %u, .in_c = %u, .out_h = %u, .out_w = %u, .out_c = %u,\n"
		"\t.kernel_h = %u, .kernel_w = %u, .stride = %u, .pad_top = %u, .pad_left = %u,\n"
		"\t.out_line = %u, .zero = %" PRId32 ",\n",
		op, in.h, in.w, in.c, o->out.h, o->out.w, o->out.c, h, w, stride, o->pad_top,
		o->pad_left, o->out.w, q->op[network_inputs(&q->net, op)[0]].zero);
	if (has_weights(q, op))
		fprintf(fp, "\t.weights = weights_%zu.byte,\n", op);
	if (q->op[op].n_requant)
		fprintf(fp, "\t.requant = requant_%zu,\n", op);
	fputs("};\n", fp);
}

static void write_constants(const struct quantised *q, size_t op, FILE *fp, struct arena *a)
{
	const struct net_op *o = &q->net.op[op];

	fprintf(fp, "\n/* operator %zu: %s, %ux%ux%u */\n", op, net_kind_name(o->kind), o->out.h,
		o->out.w, o->out.c);
	if (has_weights(q, op))
		write_weights(q, op, fp, a);
	if (q->op[op].n_requant)
		write_requant(&q->op[op], op, fp);
	if (o->kind == NET_BATCH_NORM)
		write_affine(&q->op[op], op, o->out.c, fp);
	if (o->kind == NET_ADD)
		write_factors(&q->op[op], op, o->n_inputs, fp);
	if (firmware_has_window(o->kind))
		write_window(q, op, fp);
}

/* ---- calls --------------------------------------------------------------------------- */

static void write_add(const struct export_c *e, size_t op, FILE *fp)
{
	const struct network *net = &e->network->net;
	const struct net_op *o = &net->op[op];

	fprintf(fp,
		"\tnasc_add(%" PRId32 ", factor_%zu, %u, %u, %" PRIu64 ", (const int8_t *const[]){",
		e->network->op[op].affine[0].constant, op, e->network->op[op].shift, o->n_inputs,
		net_elements(o->out));
	for (uint32_t k = 0; k < o->n_inputs; k++)
		fprintf(fp, "%s arena.byte + %" PRIu64, k ? "," : "",
			e->plan->output[network_inputs(net, op)[k]]);
	fprintf(fp, " },\n\t\t arena.byte + %" PRIu64 ");\n", e->plan->output[op]);
}

static void write_concat(const struct export_c *e, size_t op, FILE *fp)
{
	const struct network *net = &e->network->net;
	const struct net_op *o = &net->op[op];
	uint64_t at = e->plan->output[op];

	for (uint32_t k = 0; k < o->n_inputs; k++) {
		uint32_t in = network_inputs(net, op)[k], c = net->op[in].out.c;
		struct nasc_affine affine = e->network->op[op].affine[k];

		fprintf(fp,
			"\tnasc_place((struct nasc_affine){ %" PRId32 ", %" PRId32
			" }, %u, %u, %u, %u, arena.byte + %" PRIu64
			",\n\t\t   arena.byte + %" PRIu64 ");\n",
			affine.constant, affine.factor, e->network->op[op].shift,
			o->out.h * o->out.w, c, o->out.c, e->plan->output[in], at);
		at += c;
	}
}

static void write_call(const struct export_c *e, size_t op, FILE *fp)
{
	static const char *const window_call[NET_KIND_COUNT] = { [NET_CONV2D] = "conv",
								 [NET_DEPTHWISE] = "depthwise",
								 [NET_DENSE] = "dense",
								 [NET_MAX_POOL] = "max_pool",
								 [NET_AVG_POOL] = "mean_pool",
								 [NET_GLOBAL_POOL] = "mean_pool",
								 [NET_PAD] = "pad",
								 [NET_UPSAMPLE] = "upsample" };
	const struct quantised *q = e->network;
	const struct net_op *o = &q->net.op[op];
	uint64_t x = e->plan->output[network_inputs(&q->net, op)[0]], y = e->plan->output[op];

	switch (o->kind) {
	case NET_ADD:
		write_add(e, op, fp);
		break;
	case NET_CONCAT:
		write_concat(e, op, fp);
		break;
	case NET_BATCH_NORM:
		fprintf(fp,
			"\tnasc_scale(affine_%zu, %u, %u, %u, arena.byte + %" PRIu64
			", arena.byte + %" PRIu64 ");\n",
			op, q->op[op].shift, o->out.h * o->out.w, o->out.c, x, y);
		break;
	case NET_RELU:
	case NET_RELU6:
		fprintf(fp,
			"\tnasc_clamp(%" PRId32 ", %" PRId32 ", %" PRIu64 ", arena.byte + %" PRIu64
			", arena.byte + %" PRIu64 ");\n",
			q->op[op].zero, quantised_high(q, op), net_elements(o->out), x, y);
		break;
	default:
		fprintf(fp,
			"\tnasc_%s(&window_%zu, arena.byte + %" PRIu64 ", arena.byte + %" PRIu64,
			window_call[o->kind], op, x, y);
		if (o->kind == NET_CONV2D || o->kind == NET_DEPTHWISE)
			fprintf(fp, ", arena.byte + %" PRIu64, e->plan->scratch[op]);
		fputs(");\n", fp);
	}
}

/* ---- files ----------------------------------------------------------------------------- */

static void write_upper(FILE *fp, const char *name)
{
	for (; *name; name++)
		putc(toupper((unsigned char)*name), fp);
}

/* Its value is the caller's. */
static void define(FILE *fp, const char *name, const char *what)
{
	fputs("#define ", fp);
	write_upper(fp, name);
	fprintf(fp, "_%s ", what);
}

static void define_u64(FILE *fp, const char *name, const char *what, uint64_t value)
{
	define(fp, name, what);
	fprintf(fp, "%" PRIu64 "\n", value);
}

/* As a constant of type float. */
static void write_float(FILE *fp, float v)
{
	char text[40];

	snprintf(text, sizeof text, "%.9g", (double)v);
	fprintf(fp, "%s%s", text, strpbrk(text, ".e") ? "f" : ".0f");
}

static void define_floats(FILE *fp, const char *name, const char *what, const float *v, size_t n)
{
	define(fp, name, what);
	putc('{', fp);
	for (size_t i = 0; i < n; i++) {
		fputs(i ? "," : "", fp);
		fputs(i % 6 || n <= 6 ? " " : " \\\n\t", fp);
		write_float(fp, v[i]);
	}
	fputs(" }\n", fp);
}

static void define_unit(FILE *fp, const char *name, const char *scale, const char *zero,
			const struct quantised_op *o)
{
	define(fp, name, scale);
	write_float(fp, o->scale);
	putc('\n', fp);
	define(fp, name, zero);
	fprintf(fp, "(%" PRId32 ")\n", o->zero);
}

/* In a comment: nothing in it can end it. */
static void write_comment(FILE *fp, const char *text)
{
	for (; *text; text++)
		putc(*text == '*' || iscntrl((unsigned char)*text) ? '?' : *text, fp);
}

static uint64_t constant_bytes(const struct network *net)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < net->n_ops; i++)
		bytes += firmware_constant_bytes(net, i);
	return bytes;
}

static void write_header(const struct export_c *e, FILE *fp, struct arena *a)
{
	const struct network *net = &e->network->net;
	const char *name = e->name;

	(void)a;
	fputs("#ifndef ", fp);
	write_upper(fp, name);
	fputs("_H\n#define ", fp);
	write_upper(fp, name);
	fputs("_H\n#include <stdint.h>\n\n/* Made by nasc: ", fp);
	write_comment(fp, e->about);
	fputs(". */\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n", fp);
	define_u64(fp, name, "INPUT_HEIGHT", net->input.h);
	define_u64(fp, name, "INPUT_WIDTH", net->input.w);
	define_u64(fp, name, "INPUT_CHANNELS", net->input.c);
	define_u64(fp, name, "INPUTS", net_elements(net->input));
	define_u64(fp, name, "OUTPUTS", net->classes);
	fprintf(fp,
		"\n/* A value v of channel c that the network reads is (x - INPUT_MEAN[c]) / "
		"INPUT_STD[c],\n * x %s. */\n",
		e->norm.bytes ? "a byte of the image divided by 255"
			      : "a number as in the training images");
	define_floats(fp, name, "INPUT_MEAN", e->norm.mean, net->input.c);
	define_floats(fp, name, "INPUT_STD", e->norm.std, net->input.c);
	fputs("\n/* A value v is stored as round(v / SCALE) + ZERO, within [-128, 127]. */\n", fp);
	define_unit(fp, name, "INPUT_SCALE", "INPUT_ZERO", &e->network->op[0]);
	define_unit(fp, name, "OUTPUT_SCALE", "OUTPUT_ZERO", &e->network->op[net->n_ops - 1]);
	fputs("\n/* Bytes of RAM for all maps, and of constants in flash, without code and stack. "
	      "*/\n",
	      fp);
	define_u64(fp, name, "ARENA_BYTES", e->plan->arena_bytes);
	define_u64(fp, name, "CONSTANT_BYTES", constant_bytes(net));
	fprintf(fp,
		"\n/* Where the input lies in RAM, [height][width][channels]: filled here it is "
		"not\n * copied. Other maps take its place while the network runs. */\n"
		"int8_t *%s_input(void);\n\n"
		"/* Outputs of one input. Returns the index of the largest. One call at a time: "
		"maps\n * are static. */\n"
		"int %s_run(const int8_t *in, int8_t *out);\n\n"
		"#ifdef __cplusplus\n}\n#endif\n#endif\n",
		name, name);
}

static void write_source(const struct export_c *e, FILE *fp, struct arena *a)
{
	const struct network *net = &e->network->net;
	size_t last = net->n_ops - 1;

	fprintf(fp, "#include \"%s.h\"\n\n#include <string.h>\n\n#include \"nasc_kernels.h\"\n",
		e->name);
	for (size_t i = 1; i < net->n_ops; i++)
		write_constants(e->network, i, fp, a);
	fprintf(fp,
		"\nstatic union {\n\tint8_t byte[%" PRIu64 "];\n\tint32_t align;\n} arena;\n\n"
		"int8_t *%s_input(void)\n{\n\treturn arena.byte + %" PRIu64 ";\n}\n\n",
		e->plan->arena_bytes, e->name, e->plan->output[0]);
	fprintf(fp,
		"int %s_run(const int8_t *in, int8_t *out)\n{\n\tint best = 0;\n\n"
		"\tif (in != arena.byte + %" PRIu64 ")\n\t\tmemcpy(arena.byte + %" PRIu64
		", in, %" PRIu64 ");\n",
		e->name, e->plan->output[0], e->plan->output[0], net_elements(net->input));
	for (size_t k = 1; k < net->n_ops; k++)
		write_call(e, e->plan->order[k], fp);
	fprintf(fp,
		"\tmemcpy(out, arena.byte + %" PRIu64
		", %u);\n\tfor (int i = 1; i < %u; i++)\n\t\tif (out[i] > out[best])\n"
		"\t\t\tbest = i;\n\treturn best;\n}\n",
		e->plan->output[last], net->classes, net->classes);
}

static void write_test(const struct export_c *e, FILE *fp, struct arena *a)
{
	size_t n_in = net_elements(e->network->net.input), n_out = e->network->net.classes;
	int8_t *in = ARENA_NEW(a, int8_t, n_in);

	fprintf(fp,
		"/* The network on %zu images, against what nasc calculated by other code. */\n"
		"#include <stdio.h>\n#include <string.h>\n\n#include \"%s.h\"\n"
		"#ifdef NASC_BOARD\n#include \"board.h\"\n#endif\n\n"
		"#define IMAGES %zu\n\nstatic const int8_t image[IMAGES][%zu] = {",
		e->n_tests, e->name, e->n_tests, n_in);
	for (size_t i = 0; i < e->n_tests; i++) {
		quantised_input(e->network, e->test + i * n_in, in);
		fputs("\n\t{", fp);
		write_bytes(fp, in, n_in);
		fputs(" },", fp);
	}
	fprintf(fp, "\n};\nstatic const int8_t expected[IMAGES][%zu] = {", n_out);
	for (size_t i = 0; i < e->n_tests; i++) {
		fputs("\n\t{", fp);
		write_bytes(fp, e->expected + i * n_out, n_out);
		fputs(" },", fp);
	}
	fprintf(fp,
		"\n};\n\nint main(void)\n{\n\tint8_t out[%zu];\n\tint equal = 0;\n\n"
		"\tfor (int i = 0; i < IMAGES; i++) {\n"
		"\t\t%s_run(image[i], out);\n"
		"\t\tequal += memcmp(out, expected[i], sizeof out) == 0;\n\t}\n"
		"\tprintf(\"%s: %%d of %%d images as expected\\n\", equal, IMAGES);\n"
		"#ifdef NASC_BOARD\n"
		"\tuint32_t start = board_ticks();\n\n"
		"\t%s_run(image[0], out);\n"
		"\tprintf(\"%s: %%lu instructions an image, %%lu bytes of stack\\n\",\n"
		"\t       (unsigned long)board_instructions(board_ticks() - start),\n"
		"\t       (unsigned long)board_stack_bytes());\n"
		"#endif\n"
		"\treturn equal != IMAGES;\n}\n",
		n_out, e->name, e->name, e->name, e->name);
}

static void write_makefile(const struct export_c *e, FILE *fp, struct arena *a)
{
	(void)a;
	fprintf(fp,
		"# make check: the self-test on this machine; make check-m4, check-m7, check-m33: "
		"on a "
		"board in QEMU.\n"
		"NAME = %s\n"
		"CFLAGS ?= -O2\n"
		"SOURCES = $(NAME)_test.c $(NAME).c $(wildcard nasc_*.c)\n"
		"HEADERS = $(NAME).h board.h $(wildcard nasc_*.h)\n"
		"m4 = mps2-an386 -mcpu=cortex-m4 -mfpu=fpv4-sp-d16\n"
		"m7 = mps2-an500 -mcpu=cortex-m7 -mfpu=fpv5-d16\n"
		"m33 = mps2-an505 -mcpu=cortex-m33 -mfpu=fpv5-sp-d16\n\n"
		"check: $(NAME)_test\n\t./$(NAME)_test\n\n"
		"$(NAME)_test: $(SOURCES) $(HEADERS)\n"
		"\t$(CC) -std=c99 $(CFLAGS) -o $@ $(SOURCES)\n\n"
		"check-m4 check-m7 check-m33: check-%%: $(NAME)-%%.elf\n"
		"\ttimeout 600 qemu-system-arm -M $(firstword $($*)) -nographic -monitor none "
		"-serial none \\\n"
		"\t\t-semihosting-config enable=on,target=native -icount shift=10 -kernel $< "
		"</dev/null\n\n"
		"$(NAME)-%%.elf: $(SOURCES) $(HEADERS) board.c\n"
		"\tarm-none-eabi-gcc -mthumb -mfloat-abi=hard $(wordlist 2,3,$($*)) -O2 "
		"-DNASC_BOARD -nostartfiles \\\n"
		"\t\t--specs=nano.specs -ffunction-sections -fdata-sections -Wl,--gc-sections \\\n"
		"\t\t-Wl,--no-warn-rwx-segments -T $(firstword $($*)).ld -o $@ $(SOURCES) "
		"board.c\n\n"
		"clean:\n\trm -f $(NAME)_test $(NAME)-*.elf\n\n"
		".PHONY: check check-m4 check-m7 check-m33 clean\n",
		e->name);
}

static enum nasc_status begin(struct file_out *f, const char *folder, const char *stem,
			      const char *suffix, struct nasc_err *err)
{
	char path[4096];

	if ((size_t)snprintf(path, sizeof path, "%s/%s%s", folder, stem, suffix) >= sizeof path)
		return nasc_fail(err, NASC_USAGE, "%.80s...: the path is too long", folder);
	return file_begin(f, path, err);
}

typedef void write_fn(const struct export_c *e, FILE *fp, struct arena *a);

static enum nasc_status write_file(const struct export_c *e, const char *folder, const char *stem,
				   const char *suffix, write_fn *write, struct arena *a,
				   struct nasc_err *err)
{
	struct file_out f = { 0 };

	if (begin(&f, folder, stem, suffix, err))
		return err->code;
	write(e, f.fp, a);
	return file_commit(&f, err);
}

static enum nasc_status copy_sources(const char *folder, struct nasc_err *err)
{
	for (size_t i = 0; i < n_firmware_files; i++) {
		struct file_out f = { 0 };

		if (begin(&f, folder, firmware_files[i].name, "", err))
			return err->code;
		fputs(firmware_files[i].text, f.fp);
		if (file_commit(&f, err))
			return err->code;
	}
	return NASC_OK;
}

bool export_c_name(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	return n > 0 && n <= 64 && !isdigit((unsigned char)name[0]) &&
	       strncmp(name, "nasc_", 5) != 0 && strcmp(name, "board") != 0;
}

static bool is_empty(DIR *dir)
{
	const struct dirent *entry;

	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return false;
	return true;
}

static bool has_export(const char *folder, const char *name)
{
	char path[4096];

	return (size_t)snprintf(path, sizeof path, "%s/%s_test.c", folder, name) < sizeof path &&
	       access(path, F_OK) == 0;
}

enum nasc_status export_c_folder(const char *folder, const char *name, struct nasc_err *err)
{
	DIR *dir = opendir(folder);
	bool fine;

	if (!dir)
		return errno == ENOENT ? NASC_OK : file_fail(err, folder, "cannot open", errno);
	fine = is_empty(dir) || has_export(folder, name);
	closedir(dir);
	if (!fine)
		return nasc_fail(
			err, NASC_USAGE,
			"%s: holds other files than an export named %s: give a folder that "
			"is new or empty",
			folder, name);
	return access(folder, W_OK) ? file_fail(err, folder, "cannot write", errno) : NASC_OK;
}

enum nasc_status export_c(const struct export_c *e, const char *folder, struct nasc_err *err)
{
	struct arena a = { 0 };
	enum nasc_status st;

	if (export_c_folder(folder, e->name, err))
		return err->code;
	if (mkdir(folder, 0777) && errno != EEXIST)
		return file_fail(err, folder, "cannot make the folder", errno);
	st = write_file(e, folder, e->name, ".h", write_header, &a, err);
	if (!st)
		st = write_file(e, folder, e->name, ".c", write_source, &a, err);
	if (!st)
		st = write_file(e, folder, e->name, "_test.c", write_test, &a, err);
	if (!st)
		st = write_file(e, folder, "Makefile", "", write_makefile, &a, err);
	if (!st)
		st = copy_sources(folder, err);
	arena_free(&a);
	return st;
}
