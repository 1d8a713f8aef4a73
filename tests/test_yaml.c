#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

#include "leak.h"
#include "schema.h"

static struct arena arena;

static void finish(void)
{
	arena_free(&arena);
	no_leaks();
}

TestSuite(yaml, .fini = finish);

static enum nasc_status parse(const char *text, size_t n, struct yaml_doc *doc,
			      struct nasc_err *err)
{
	/* a copy without NUL behind it, so that a read beyond the end is seen */
	char *copy = malloc(n ? n : 1);
	enum nasc_status status;

	memcpy(copy, text, n);
	status = yaml_parse("t.yaml", copy, n, &arena, doc, err);
	free(copy);
	return status;
}

Test(yaml, reads_maps_lists_and_scalars)
{
	const char text[] = "# comment\n"
			    "plain: 3 # three\n"
			    "quoted: \"3\"\n"
			    "list:\n"
			    "  - one\n"
			    "  - 'two'\n"
			    "map: {a: [1, 2], b: }\n"
			    "text: |\n"
			    "  two\n"
			    "  lines\n";
	const struct yaml_node *node;
	struct nasc_err err = { 0 };
	struct yaml_doc doc;

	cr_assert_eq(parse(text, strlen(text), &doc, &err), NASC_OK, "%s", err.msg);
	cr_assert_str_eq(doc.file, "t.yaml");
	cr_assert_eq(doc.root->n, 5);
	cr_assert_str_eq(yaml_get(doc.root, "plain")->scalar, "3");
	cr_assert_str_eq(yaml_get(doc.root, "quoted")->scalar, "3");
	node = yaml_get(doc.root, "list");
	cr_assert_eq(node->kind, YAML_LIST);
	cr_assert_eq(node->n, 2);
	cr_assert_str_eq(node->item[1]->scalar, "two");
	cr_assert_eq(node->item[1]->line, 6);
	cr_assert_eq(doc.root->key_line[3], 7);
	node = yaml_get(doc.root, "map");
	cr_assert_eq(node->kind, YAML_MAP);
	cr_assert_str_eq(yaml_get(node, "a")->item[1]->scalar, "2");
	cr_assert_str_eq(yaml_get(node, "b")->scalar, "");
	cr_assert_str_eq(yaml_get(doc.root, "text")->scalar, "two\nlines\n");
	cr_assert_null(yaml_get(doc.root, "lis"));
	cr_assert_null(yaml_get(doc.root, "listing"));
}

struct bad_yaml {
	char text[64], want[128]; /* want: beginning of the message */
};

ParameterizedTestParameters(yaml, refuses)
{
	static struct bad_yaml cases[] = {
		{ "", "t.yaml: empty file" },
		{ "# nothing\n", "t.yaml: empty file" },
		{ "---\n", "t.yaml: empty file" },
		{ "- a\n- b\n", "t.yaml:1: a list at the top; a config is lines of 'key: value'" },
		{ "\nhello\n", "t.yaml:2: a single value at the top" },
		{ "a: 1\nb: 2\na: 3\n", "t.yaml:3: key 'a' is given twice, first in line 1" },
		{ "m:\n  x: 1\n  \"x\": 2\n", "t.yaml:3: key 'x' is given twice, first in line 2" },
		{ "a: &x 1\nb: 2\n", "t.yaml:1: anchors ('&name') are not supported" },
		{ "a: 1\nb: *x\n", "t.yaml:2: aliases ('*name') are not supported" },
		{ "b: &l [1]\n", "t.yaml:1: anchors" },
		{ "b: &m {a: 1}\n", "t.yaml:1: anchors" },
		{ "&k b: 1\n", "t.yaml:1: anchors" },
		{ "a: !!int 3\n", "t.yaml:1: tags ('!name') are not supported" },
		{ "a: 1\n---\nb: 2\n", "t.yaml:2: a second document; one file is one config" },
		{ "a: 1\nsram: >= 4\n",
		  "t.yaml:2: a value that begins with '>' or '|' wants quotes" },
		{ "sram: > 4\n", "t.yaml:1: a value that begins with '>' or '|' wants quotes" },
		{ "sram: >4\nb: 1\n",
		  "t.yaml:1: a value that begins with '>' or '|' wants quotes" },
		{ "a: 1\n\tb: 2\n", "t.yaml:2: not valid YAML: found a tab character" },
		{ "a: %x\n", "t.yaml:1: not valid YAML" },
		{ "a: [1, 2\n", "t.yaml:2: not valid YAML: did not find expected ',' or ']'" },
		{ "a: b: c\n", "t.yaml:1: not valid YAML: mapping values are not allowed" },
		{ "a: 'open\n", "t.yaml:2: not valid YAML: found unexpected end of stream" },
		{ "a: \"\\0\"\n", "t.yaml:1: a NUL character in a value" },
		{ "a: \"\\q\"\n", "t.yaml:1: not valid YAML: found unknown escape character" },
		{ "? [1, 2]\n: 3\n", "t.yaml:1: a key must be a word, not a list or a map" },
		{ "a: 1\nb: \x01\n", "t.yaml:2: not a text file in UTF-8: control characters" },
		{ "a: 1\nb: \xff\n", "t.yaml:2: not a text file in UTF-8: invalid" },
		{ "a:\n  [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]\n",
		  "t.yaml:2: nested deeper than 16 levels" },
	};

	return cr_make_param_array(struct bad_yaml, cases, sizeof cases / sizeof *cases);
}
ParameterizedTest(struct bad_yaml *c, yaml, refuses)
{
	struct nasc_err err = { 0 };
	struct yaml_doc doc = { 0 };

	cr_assert_eq(parse(c->text, strlen(c->text), &doc, &err), NASC_CONFIG, "%s", c->text);
	cr_assert_eq(strncmp(err.msg, c->want, strlen(c->want)), 0, "'%s': %s", c->text, err.msg);
	cr_assert_null(strchr(err.msg, '\n'));
	cr_assert_null(doc.root);
	finish();
}

Test(yaml, tells_tabs)
{
	struct nasc_err err = { 0 };
	struct yaml_doc doc;

	cr_assert_eq(parse("a:\n\tb: 2\n", 9, &doc, &err), NASC_CONFIG);
	cr_assert_not_null(strstr(err.msg, "; indent with blanks, not with tabs"), "%s", err.msg);
}

Test(yaml, refuses_nul_and_size)
{
	struct nasc_err err = { 0 };
	struct yaml_doc doc;
	char *big = malloc(YAML_MAX_BYTES + 1);

	cr_assert_eq(parse("a: 1\nb: \0\n", 10, &doc, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "t.yaml:2: a NUL byte; not a text file");
	memset(big, '#', YAML_MAX_BYTES + 1);
	cr_assert_eq(parse(big, YAML_MAX_BYTES + 1, &doc, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "t.yaml: 1048577 bytes are more than the 1048576 allowed");
	free(big);
	cr_assert_eq(yaml_load("/no/such.yaml", &arena, &doc, &err), NASC_DATA);
	cr_assert_str_eq(err.msg, "/no/such.yaml: cannot open: No such file or directory");
}

/* A hundred thousand keys take as long as they are many. */
Test(yaml, many_keys, .timeout = 20)
{
	struct nasc_err err = { 0 };
	struct yaml_doc doc;
	char *text, *at;

	text = at = malloc(1 << 20);
	for (int i = 0; i < 100000; i++)
		at += snprintf(at, 16, "%d:\n", i);
	cr_assert_eq(parse(text, (size_t)(at - text), &doc, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(doc.root->n, 100000);
	cr_assert_eq(doc.root->key_line[99999], 100000);
	free(text);
}

Test(yaml, set_makes_and_replaces)
{
	const char text[] = "seed: 1\nstrategy:\n  type: nsga2\nempty:\n";
	struct nasc_err err = { 0 };
	struct yaml_node *node;
	struct yaml_doc doc;

	cr_assert_eq(parse(text, strlen(text), &doc, &err), NASC_OK);
	cr_assert_eq(yaml_set(&doc, &arena, "seed", "7", &err), NASC_OK);
	cr_assert_str_eq(yaml_get(doc.root, "seed")->scalar, "7");
	cr_assert_eq(yaml_get(doc.root, "seed")->line, 0);
	cr_assert_eq(yaml_set(&doc, &arena, "strategy.population", "[8, 16]", &err), NASC_OK);
	node = yaml_get(doc.root, "strategy");
	cr_assert_str_eq(yaml_get(node, "type")->scalar, "nsga2");
	cr_assert_str_eq(yaml_get(node, "population")->item[1]->scalar, "16");
	cr_assert_eq(yaml_set(&doc, &arena, "a.b.c", ">= 4", &err), NASC_OK);
	node = yaml_get(yaml_get(yaml_get(doc.root, "a"), "b"), "c");
	cr_assert_str_eq(node->scalar, ">= 4");
	cr_assert_eq(yaml_set(&doc, &arena, "empty.x", "'q'", &err), NASC_OK);
	cr_assert_str_eq(yaml_get(yaml_get(doc.root, "empty"), "x")->scalar, "q");
	cr_assert_eq(yaml_set(&doc, &arena, "strategy", "random", &err), NASC_OK);
	cr_assert_eq(doc.root->n, 4);

	cr_assert_eq(yaml_set(&doc, &arena, "seed.x", "1", &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "--set seed.x: 'seed' holds a value, not keys");
	cr_assert_eq(yaml_set(&doc, &arena, "seed", "[1", &err), NASC_CONFIG);
	cr_assert_eq(strncmp(err.msg, "--set seed: not valid YAML", 26), 0, "%s", err.msg);
	cr_assert_eq(yaml_set(&doc, &arena, "seed", "{a: 1, a: 2}", &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "--set seed: key 'a' is given twice");
	cr_assert_eq(yaml_set(&doc, &arena, "a..b", "1", &err), NASC_USAGE);
	cr_assert_eq(yaml_set(&doc, &arena, "", "1", &err), NASC_USAGE);
	cr_assert_eq(yaml_set(&doc, &arena, "a.b.", "1", &err), NASC_USAGE);
	cr_assert_eq(yaml_set(&doc, &arena, "z.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", "1", &err),
		     NASC_USAGE);
}
