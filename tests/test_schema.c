#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "leak.h"
#include "schema.h"

static struct arena arena;

static void finish(void)
{
	arena_free(&arena);
	no_leaks();
}

TestSuite(schema, .fini = finish);

static enum nasc_status parse(const char *text, struct yaml_doc *doc, struct nasc_err *err)
{
	return yaml_parse("t.yaml", text, strlen(text), &arena, doc, err);
}

/* ---- rows -------------------------------------------------------------------- */

static const char *const colours[] = { "red", "green", "blue", NULL };

struct all {
	bool flip;
	int64_t population;
	uint64_t seed;
	double rate, budget, memory, share;
	int64_t colour;
	const char *name;
	struct cfg_range layers;
	struct cfg_ints kernels, sizes;
	uint64_t paints;
	struct cfg_strings files;
};
static const struct cfg_field rows[] = {
	CFG_BOOL_FIELD(struct all, flip, "true", "mirror images"),
	CFG_INT_FIELD(struct all, population, "64", 4, 65536, "individuals", "size of it"),
	CFG_U64_FIELD(struct all, seed, "1", "seed of the run"),
	CFG_REAL_FIELD(struct all, rate, "0.1", 0, 1, UNIT_NONE, "", "learning rate"),
	CFG_REAL_FIELD(struct all, budget, "2 min", 0, INFINITY, UNIT_SECOND, "", "time to spend"),
	CFG_REAL_FIELD(struct all, memory, "256 KiB", 1024, 1048576, UNIT_BYTE, "", "memory"),
	CFG_REAL_FIELD(struct all, share, "10 %", 0, 1, UNIT_FRACTION, "of the images", "part"),
	CFG_CHOICE_FIELD(struct all, colour, "green", colours, "what it looks like"),
	CFG_STRING_FIELD(struct all, name, "", "what it is called"),
	CFG_RANGE_FIELD(struct all, layers, "[2, 8]", 1, 16, "layers", "depth"),
	CFG_INTS_FIELD(struct all, kernels, "[1, 3, 5]", 1, 11, "pixels", "kernel sizes"),
	CFG_LIST_FIELD(struct all, sizes, "[]", 0, 64, "pixels", "of the images"),
	CFG_CHOICES_FIELD(struct all, paints, "[red, blue]", colours, "what there is"),
	CFG_STRINGS_FIELD(struct all, files, "[]", "files to read"),
	CFG_END
};
static const char *const skipped[] = { "type", NULL };

static enum nasc_status load(const char *text, struct all *out, struct nasc_err *err)
{
	struct yaml_doc doc;

	if (parse(text, &doc, err))
		return err->code;
	return cfg_load(rows, &doc, doc.root, skipped, &arena, out, sizeof *out, err);
}

Test(schema, defaults_are_the_rows)
{
	struct all a, b;
	struct nasc_err err = { 0 };

	memset(&a, 0xff, sizeof a);
	cfg_defaults(rows, &arena, &a, sizeof a);
	cr_assert(a.flip);
	cr_assert_eq(a.population, 64);
	cr_assert_eq(a.seed, 1);
	cr_assert_eq(a.rate, 0.1);
	cr_assert_eq(a.budget, 120);
	cr_assert_eq(a.memory, 262144);
	cr_assert_eq(a.share, 0.1);
	cr_assert_eq(a.colour, 1);
	cr_assert_str_eq(a.name, "");
	cr_assert(a.layers.lo == 2 && a.layers.hi == 8);
	cr_assert(a.kernels.n == 3 && a.kernels.v[2] == 5);
	cr_assert_eq(a.sizes.n, 0);
	cr_assert_eq(a.paints, 5);
	cr_assert_eq(a.files.n, 0);
	cr_assert_eq(cfg_load(rows, NULL, NULL, NULL, &arena, &b, sizeof b, &err), NASC_OK);
	cr_assert_eq(b.population, 64);
	cr_assert_eq(b.paints, 5);
}

Test(schema, reads_every_type)
{
	struct nasc_err err = { 0 };
	struct all a;

	cr_assert_eq(load("type: whatever\n"
			  "flip: false\n"
			  "population: 65536\n"
			  "seed: 18446744073709551615\n"
			  "rate: 1e-3\n"
			  "budget: 1.5 h\n"
			  "memory: 320 kB\n"
			  "share: 0.25\n"
			  "colour: 'blue'\n"
			  "name: a b # comment\n"
			  "layers: 3\n"
			  "kernels: [5, 1]\n"
			  "sizes: [14, 28, 14]\n"
			  "paints: green\n"
			  "files: [x, 'y z']\n",
			  &a, &err),
		     NASC_OK, "%s", err.msg);
	cr_assert(!a.flip);
	cr_assert_eq(a.population, 65536);
	cr_assert_eq(a.seed, UINT64_MAX);
	cr_assert_eq(a.rate, 0.001);
	cr_assert_eq(a.budget, 5400);
	cr_assert_eq(a.memory, 320000);
	cr_assert_eq(a.share, 0.25);
	cr_assert_eq(a.colour, 2);
	cr_assert_str_eq(a.name, "a b");
	cr_assert(a.layers.lo == 3 && a.layers.hi == 3);
	cr_assert(a.kernels.n == 2 && a.kernels.v[0] == 1 && a.kernels.v[1] == 5);
	cr_assert(a.sizes.n == 3 && a.sizes.v[0] == 14 && a.sizes.v[1] == 28 && a.sizes.v[2] == 14);
	cr_assert_eq(a.paints, 2);
	cr_assert_eq(a.files.n, 2);
	cr_assert_str_eq(a.files.v[1], "y z");
}

struct bad_cfg {
	char text[64], want[160];
};

ParameterizedTestParameters(schema, refuses)
{
	static struct bad_cfg cases[] = {
		{ "popluation: 8\n",
		  "t.yaml:1: unknown key 'popluation'; did you mean 'population'?" },
		{ "typ: 8\n", "t.yaml:1: unknown key 'typ'; did you mean 'type'?" },
		{ "zebra: 8\n", "t.yaml:1: unknown key 'zebra'" },
		{ "\n\npopulation: 3\n",
		  "t.yaml:3: population: 3 is outside [4, 65536] individuals" },
		{ "population: 65537\n",
		  "t.yaml:1: population: 65537 is outside [4, 65536] individuals" },
		{ "population: 99999999999999999999\n",
		  "t.yaml:1: population: 99999999999999999999 is outside [4, 65536] individuals" },
		{ "population: 8.5\n", "t.yaml:1: population: '8.5' is not a whole number" },
		{ "population: 010\n", "t.yaml:1: population: '010' is not a whole number" },
		{ "population: 8 9\n", "t.yaml:1: population: '8 9' is not a whole number" },
		{ "population: many\n", "t.yaml:1: population: 'many' is not a whole number" },
		{ "population:\n", "t.yaml:1: population: has no value" },
		{ "population: [8]\n", "t.yaml:1: population: holds a list; one value is right" },
		{ "population: {a: 8}\n", "t.yaml:1: population: holds keys; one value is right" },
		{ "seed: -1\n", "t.yaml:1: seed: -1 is outside [0, 18446744073709551615]" },
		{ "seed: 18446744073709551616\n", "t.yaml:1: seed: 18446744073709551616 is outside "
						  "[0, 18446744073709551615]" },
		{ "flip: yes\n", "t.yaml:1: flip: 'yes' is neither true nor false" },
		{ "flip: on\n", "t.yaml:1: flip: 'on' is neither true nor false" },
		{ "flip: True\n", "t.yaml:1: flip: 'True' is neither true nor false" },
		{ "rate: 1.5\n", "t.yaml:1: rate: 1.5 is outside [0, 1]" },
		{ "rate: .nan\n", "t.yaml:1: rate: '.nan' is not a number; use a number with k, M, "
				  "G or nothing behind it" },
		{ "budget: -1 s\n", "t.yaml:1: budget: -1 s is not at least 0 s" },
		{ "budget: 3 KiB\n",
		  "t.yaml:1: budget: '3 KiB' is not a time; use ns, us, ms, s, min "
		  "or h" },
		{ "memory: 2 MiB\n", "t.yaml:1: memory: 2 MiB is outside [1 KiB, 1 MiB]" },
		{ "share: 120 %\n", "t.yaml:1: share: 120 % is outside [0, 1] of the images" },
		{ "colour: gren\n",
		  "t.yaml:1: colour: 'gren' is not one of red, green, blue; did you "
		  "mean 'green'?" },
		{ "colour: puce\n", "t.yaml:1: colour: 'puce' is not one of red, green, blue" },
		{ "layers: [8, 2]\n",
		  "t.yaml:1: layers: [8, 2] is empty; the lower end comes first" },
		{ "layers: [1, 17]\n", "t.yaml:1: layers: 17 is outside [1, 16] layers" },
		{ "layers: [1, 2, 3]\n",
		  "t.yaml:1: layers: a list of 3; a range is [lowest, highest] "
		  "or one number" },
		{ "layers: []\n",
		  "t.yaml:1: layers: a list of 0; a range is [lowest, highest] or one "
		  "number" },
		{ "kernels: []\n", "t.yaml:1: kernels: a list of 0 numbers; 1 to 32 are right" },
		{ "sizes: [1, 65]\n", "t.yaml:1: sizes: 65 is outside [0, 64] pixels" },
		{ "kernels: [3, 3]\n", "t.yaml:1: kernels: 3 is given twice" },
		{ "kernels: [3, [5]]\n",
		  "t.yaml:1: kernels: a list within the list; plain values are right" },
		{ "paints: []\n", "t.yaml:1: paints: an empty list; at least one name is right" },
		{ "paints: [red, red]\n", "t.yaml:1: paints: 'red' is given twice" },
		{ "files: {a: b}\n", "t.yaml:1: files: holds keys; a value or a list is right" },
	};

	return cr_make_param_array(struct bad_cfg, cases, sizeof cases / sizeof *cases);
}
ParameterizedTest(struct bad_cfg *c, schema, refuses)
{
	struct nasc_err err = { 0 };
	struct all out, before;

	memset(&before, 0x5a, sizeof before);
	out = before;
	cr_assert_eq(load(c->text, &out, &err), NASC_CONFIG, "%s", c->text);
	cr_assert_str_eq(err.msg, c->want, "%s", err.msg);
	cr_assert_eq(memcmp(&out, &before, sizeof out), 0, "%s touched the output", c->text);
	finish();
}

Test(schema, says_what_came_from_the_command_line)
{
	struct nasc_err err = { 0 };
	struct yaml_doc doc;
	struct all a;

	cr_assert_eq(parse("seed: 1\n", &doc, &err), NASC_OK);
	yaml_set(&doc, &arena, "population", "3", &err);
	cr_assert_eq(cfg_load(rows, &doc, doc.root, NULL, &arena, &a, sizeof a, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "--set: population: 3 is outside [4, 65536] individuals");
}

struct needed {
	double clock;
};
static const struct cfg_field needed_rows[] = { CFG_REAL_FIELD(struct needed, clock, NULL, 1, 1e10,
							       UNIT_HERTZ, "", "clock of the core"),
						CFG_END };

Test(schema, misses_keys_that_must_be_given)
{
	struct nasc_err err = { 0 };
	struct needed a = { 7 };
	struct yaml_doc doc;

	cr_assert_eq(parse("\ntype: x\n", &doc, &err), NASC_OK);
	cr_assert_eq(cfg_load(needed_rows, &doc, doc.root, skipped, &arena, &a, sizeof a, &err),
		     NASC_CONFIG);
	cr_assert_str_eq(err.msg, "t.yaml:2: key 'clock' is missing: clock of the core");
	cr_assert_eq(a.clock, 7);
	cfg_defaults(needed_rows, &arena, &a, sizeof a);
	cr_assert_eq(a.clock, 0);
}

static const struct cfg_field wrong_rows[] = { CFG_REAL_FIELD(struct needed, clock, "20 MHz", 0, 1,
							      UNIT_HERTZ, "", "out of bounds"),
					       CFG_END };

Test(schema, wrong_default_aborts, .signal = SIGABRT)
{
	struct needed a;

	cfg_defaults(wrong_rows, &arena, &a, sizeof a);
}

/* ---- printing ------------------------------------------------------------------ */

static char *printed(const struct all *in)
{
	char *text;
	size_t n;
	FILE *fp = open_memstream(&text, &n);

	cfg_print(rows, in, 0, fp);
	fclose(fp);
	return text;
}

static char *as_json(const struct all *in)
{
	struct json_writer w;
	char *text;
	size_t n;
	FILE *fp = open_memstream(&text, &n);

	json_init(&w, fp, true);
	json_object(&w, NULL);
	cfg_write_json(rows, in, false, &w);
	json_end(&w);
	fclose(fp);
	return text;
}

/* Print, load, and compare through JSON, which shows every member. */
static void assert_round_trip(const struct all *in)
{
	struct nasc_err err = { 0 };
	char *text = printed(in), *want = as_json(in), *got;
	struct all back;

	cr_assert_eq(load(text, &back, &err), NASC_OK, "%s in\n%s", err.msg, text);
	got = as_json(&back);
	cr_assert_str_eq(got, want);
	free(text);
	free(want);
	free(got);
}

Test(schema, what_is_printed_loads_to_the_same)
{
	static const char *const texts[] = {
		"",
		"plain",
		"a b",
		"#x",
		"- x",
		"a: b",
		"[x]",
		"'",
		"\"\\",
		"true",
		"&a",
		"*a",
		"!t",
		"> 4",
		"\t\n\r\x7f",
		"\xc3\xa9",
		"a \xe2\x80\xa8 b",
		"a \xc2\x85 b",
		"\xef\xbb\xbf",
		"\xf0\x9f\x98\x80",
		"\x01",
		"-",
		"...",
		"---",
		" lead",
		"trail ",
		"a,b",
		"~",
		"{",
		"%",
		"@",
		"`",
		"?",
		"\xef\xbf\xbe",
	};
	struct all a;

	cfg_defaults(rows, &arena, &a, sizeof a);
	assert_round_trip(&a);
	a.seed = UINT64_MAX;
	a.rate = 1.0 / 3;
	a.budget = 1e22;
	a.memory = 123456.78901234567;
	a.colour = 0;
	a.flip = false;
	a.layers = (struct cfg_range){ 5, 5 };
	a.kernels = (struct cfg_ints){ .n = 1, .v = { 7 } };
	a.sizes = (struct cfg_ints){ .n = 3, .v = { 9, 4, 9 } };
	a.paints = 4;
	a.files.n = sizeof texts / sizeof *texts;
	a.files.v = ARENA_NEW(&arena, const char *, a.files.n);
	memcpy(a.files.v, texts, sizeof texts);
	assert_round_trip(&a);
	for (size_t i = 0; i < a.files.n; i++) {
		a.name = texts[i];
		assert_round_trip(&a);
	}
}

Test(schema, prints_defaults_as_written)
{
	struct nasc_err err = { 0 };
	char *text = printed(NULL), *got, *want, line[64], small[8];
	struct all a, b;
	FILE *fp;
	size_t n;

	cr_assert_eq(strncmp(text,
			     "flip: true                        # mirror images; true or false\n"
			     "population: 64                    # size of it; [4, 65536] "
			     "individuals\n",
			     120),
		     0, "%s", text);
	cr_assert_not_null(
		strstr(text, "\nmemory: 256 KiB                   # memory; [1 KiB, 1 MiB]\n"));
	cr_assert_not_null(
		strstr(text, "\nname: \"\"                          # what it is called\n"));
	cr_assert_eq(load(text, &a, &err), NASC_OK, "%s", err.msg);
	cfg_defaults(rows, &arena, &b, sizeof b);
	got = as_json(&a);
	want = as_json(&b);
	cr_assert_str_eq(got, want);
	free(text);
	free(got);
	free(want);

	cfg_format(&rows[1], &b, line, sizeof line);
	cr_assert_str_eq(line, "population: 64");
	cfg_format(&rows[1], &b, small, sizeof small);
	cr_assert_str_eq(small, "populat");

	fp = open_memstream(&text, &n);
	cfg_print(needed_rows, NULL, 2, fp);
	fclose(fp);
	cr_assert_str_eq(text, "  # clock: must be given            # clock of the core; [1 Hz, 10 "
			       "GHz]\n");
	free(text);
}

Test(schema, writes_json)
{
	struct all a;
	char *text;

	cfg_defaults(rows, &arena, &a, sizeof a);
	text = as_json(&a);
	cr_assert_str_eq(
		text,
		"{\"flip\":true,\"population\":64,\"seed\":1,\"rate\":0.1,\"budget\":"
		"120,\"memory\":262144,\"share\":0.1,\"colour\":\"green\",\"name\":\"\","
		"\"layers\":[2,8],\"kernels\":[1,3,5],\"sizes\":[],\"paints\":[\"red\",\"blue\"],"
		"\"files\":[]}\n");
	free(text);
}

/* Distances by hand: a swap, a wrong, a missing and a surplus letter count one. */
Test(schema, nearest_name)
{
	static const char *const names[] = { "population", "generations", "stm32f746", "stm32f412",
					     "sram",	   "lat",	  NULL };

	cr_assert_str_eq(cfg_nearest("popluation", names), "population");
	cr_assert_str_eq(cfg_nearest("generation", names), "generations");
	cr_assert_str_eq(cfg_nearest("stm32f764", names), "stm32f746");
	cr_assert_str_eq(cfg_nearest("STRAM", names) ? "near" : "far", "far");
	cr_assert_str_eq(cfg_nearest("ram", names), "sram");
	cr_assert_str_eq(cfg_nearest("lta", names), "lat");
	cr_assert_null(cfg_nearest("", names));
	cr_assert_null(cfg_nearest("latency", names));
	cr_assert_null(cfg_nearest("an unusually long name that nobody would ever give to anything",
				   names));
}
