#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "c_source.h"
#include "file.h"

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
		c_write_bytes(fp, in, n_in);
		fputs(" },", fp);
	}
	fprintf(fp, "\n};\nstatic const int8_t expected[IMAGES][%zu] = {", n_out);
	for (size_t i = 0; i < e->n_tests; i++) {
		fputs("\n\t{", fp);
		c_write_bytes(fp, e->expected + i * n_out, n_out);
		fputs(" },", fp);
	}
	fprintf(fp,
		"\n};\n\nint main(void)\n{\n\tint8_t out[%zu];\n\tint equal = 0;\n\n"
		"#ifdef NASC_BOARD\n"
		"\tconst uint32_t stack = board_stack_used(), start = board_ticks();\n\n"
		"\t%s_run(image[0], out);\n\n"
		"\tconst uint32_t ticks = board_ticks() - start;\n\n"
		"\tprintf(\"%s: %%lu instructions an image, %%lu bytes of stack\\n\",\n"
		"\t       (unsigned long)board_instructions(ticks),\n"
		"\t       (unsigned long)(board_stack_bytes() - stack));\n"
		"#endif\n"
		"\tfor (int i = 0; i < IMAGES; i++) {\n"
		"\t\t%s_run(image[i], out);\n"
		"\t\tequal += memcmp(out, expected[i], sizeof out) == 0;\n\t}\n"
		"\tprintf(\"%s: %%d of %%d images as expected\\n\", equal, IMAGES);\n"
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
		"check-m4 check-m7 check-m33: check-%%: tools $(NAME)-%%.elf\n"
		"\ttimeout 600 qemu-system-arm -M $(firstword $($*)) -nographic -monitor none "
		"-serial none \\\n"
		"\t\t-semihosting-config enable=on,target=native -icount shift=10 \\\n"
		"\t\t-kernel $(NAME)-$*.elf </dev/null\n\n"
		"tools:\n\t@set --; command -v arm-none-eabi-gcc >/dev/null || \\\n"
		"\t\tset -- gcc-arm-none-eabi libnewlib-arm-none-eabi; \\\n"
		"\tcommand -v qemu-system-arm >/dev/null || set -- $$* qemu-system-arm; \\\n"
		"\t[ $$# = 0 ] || { echo \"missing Debian packages: $$*\" >&2; exit 1; }\n\n"
		"$(NAME)-%%.elf: $(SOURCES) $(HEADERS) board.c\n"
		"\tarm-none-eabi-gcc -mthumb -mfloat-abi=hard $(wordlist 2,3,$($*)) -O2 "
		"-DNASC_BOARD -nostartfiles \\\n"
		"\t\t--specs=nano.specs -ffunction-sections -fdata-sections -Wl,--gc-sections "
		"$(LDFLAGS) \\\n"
		"\t\t-Wl,--no-warn-rwx-segments -T $(firstword $($*)).ld -o $@ $(SOURCES) "
		"board.c\n\n"
		"clean:\n\trm -f $(NAME)_test $(NAME)-*.elf\n\n"
		".PHONY: check check-m4 check-m7 check-m33 clean tools\n",
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
		st = write_file(e, folder, e->name, ".c", c_write_source, &a, err);
	if (!st)
		st = write_file(e, folder, e->name, "_test.c", write_test, &a, err);
	if (!st)
		st = write_file(e, folder, "Makefile", "", write_makefile, &a, err);
	if (!st)
		st = copy_sources(folder, err);
	arena_free(&a);
	return st;
}
