#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "leak.h"
#include "rng.h"

TestSuite(json, .fini = no_leaks);

/* ---- writing --------------------------------------------------------------- */

struct page {
	struct json_writer w;
	FILE *fp;
	char *text;
	size_t n;
};

static void open_page(struct page *p, bool compact)
{
	p->fp = open_memstream(&p->text, &p->n);
	json_init(&p->w, p->fp, compact);
}

static void assert_page(struct page *p, const char *want)
{
	fclose(p->fp);
	cr_assert_str_eq(p->text, want, "%s", p->text);
	free(p->text);
}

static void write_all(struct json_writer *w)
{
	json_object(w, NULL);
	json_string(w, "s", "text");
	json_string(w, "none", NULL);
	json_list(w, "list");
	json_int(w, NULL, INT64_MIN);
	json_u64(w, NULL, UINT64_MAX);
	json_real(w, NULL, 0.1);
	json_end(w);
	json_object(w, "empty");
	json_end(w);
	json_list(w, "bare");
	json_end(w);
	json_bool(w, "yes", true);
	json_bool(w, "no", false);
	json_null(w, "nil");
	json_real(w, "nan", NAN);
	json_real(w, "inf", -INFINITY);
	json_end(w);
}

Test(json, writes_indented)
{
	struct page p;

	open_page(&p, false);
	write_all(&p.w);
	assert_page(&p, "{\n"
			"  \"s\": \"text\",\n"
			"  \"none\": null,\n"
			"  \"list\": [\n"
			"    -9223372036854775808,\n"
			"    18446744073709551615,\n"
			"    0.1\n"
			"  ],\n"
			"  \"empty\": {},\n"
			"  \"bare\": [],\n"
			"  \"yes\": true,\n"
			"  \"no\": false,\n"
			"  \"nil\": null,\n"
			"  \"nan\": null,\n"
			"  \"inf\": null\n"
			"}\n");
}

Test(json, writes_one_line)
{
	struct page p;

	open_page(&p, true);
	write_all(&p.w);
	assert_page(&p, "{\"s\":\"text\",\"none\":null,\"list\":[-9223372036854775808,"
			"18446744073709551615,0.1],\"empty\":{},\"bare\":[],\"yes\":true,"
			"\"no\":false,\"nil\":null,\"nan\":null,\"inf\":null}\n");
}

/* Escapes by RFC 8259, section 7; ill-formed bytes as U+FFFD (EF BF BD). */
Test(json, escapes_strings)
{
	struct page p;

	open_page(&p, true);
	json_list(&p.w, NULL);
	json_string(&p.w, NULL, "a\"b\\c/\n\t\r\x01\x1f\x7f");
	json_string(&p.w, NULL, "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
	json_string(&p.w, NULL, "\x80|\xc3|\xc0\xaf|\xe2\x82|\xff");
	json_string(&p.w, NULL, "\xed\xa0\x80");     /* a surrogate */
	json_string(&p.w, NULL, "\xf4\x90\x80\x80"); /* beyond U+10FFFF */
	json_end(&p.w);
	assert_page(&p,
		    "[\"a\\\"b\\\\c/\\n\\t\\u000d\\u0001\\u001f\\u007f\","
		    "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\","
		    "\"\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|"
		    "\xef\xbf\xbd\","
		    "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\","
		    "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"]\n");
}

Test(json, key_in_a_list_aborts, .signal = SIGABRT)
{
	struct page p;

	open_page(&p, true);
	json_list(&p.w, NULL);
	json_int(&p.w, "key", 1);
}

Test(json, end_too_many_aborts, .signal = SIGABRT)
{
	struct page p;

	open_page(&p, true);
	json_list(&p.w, NULL);
	json_end(&p.w);
	json_end(&p.w);
}

/* Every finite double, drawn by its bits, reads back to the same bits. */
Test(json, doubles_round_trip)
{
	static const double edge[] = { 0.0,   -0.0,	1.0 / 3,   5e-324, 2.2250738585072014e-308,
				       1e308, 0x1p1023, 0.1 + 0.2, 1e21,   123456789012345678.0 };
	struct rng r;
	char buf[32];

	for (size_t i = 0; i < sizeof edge / sizeof *edge; i++) {
		double back = strtod(json_real_text(edge[i], buf), NULL);

		cr_assert_arr_eq(&back, &edge[i], sizeof back, "%s", buf);
	}
	rng_seed(&r, 11, 12);
	for (size_t i = 0; i < 200000; i++) {
		uint64_t bits = rng_u64(&r);
		double v, back;

		memcpy(&v, &bits, sizeof v);
		if (!isfinite(v))
			continue;
		back = strtod(json_real_text(v, buf), NULL);
		cr_assert_arr_eq(&back, &v, sizeof v, "%s", buf);
	}
	cr_assert_str_eq(json_real_text(0.1, buf), "0.1");
	cr_assert_str_eq(json_real_text(0.1 + 0.2, buf), "0.30000000000000004");
	cr_assert_str_eq(json_real_text(1e22, buf), "1e+22");
	cr_assert_str_eq(json_real_text(3, buf), "3");
	cr_assert_str_eq(json_real_text(-0.0, buf), "-0");
}

/* What is written is read back by cJSON. */
Test(json, is_read_back)
{
	struct nasc_err err = { 0 };
	const cJSON *list;
	const char *s;
	struct page p;
	cJSON *tree;
	double v;

	open_page(&p, false);
	json_object(&p.w, NULL);
	json_string(&p.w, "k\"\n", "\x01\xc3\xa9\x7f");
	json_list(&p.w, "list");
	json_end(&p.w);
	json_real(&p.w, "v", 1.0 / 3);
	json_end(&p.w);
	fclose(p.fp);
	cr_assert_eq(json_parse("t", p.text, p.n, &tree, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(json_get_string(tree, "k\"\n", &s, &err), NASC_OK, "%s", err.msg);
	cr_assert_str_eq(s, "\x01\xc3\xa9\x7f");
	cr_assert_eq(json_get_real(tree, "v", &v, &err), NASC_OK);
	cr_assert_eq(v, 1.0 / 3);
	cr_assert_eq(json_get_list(tree, "list", &list, &err), NASC_OK);
	cJSON_Delete(tree);
	free(p.text);
}

/* ---- reading --------------------------------------------------------------- */

/* Without the NUL that could hide a read beyond the end. */
static char *bare_copy(const char *text)
{
	size_t n = strlen(text);

	return memcpy(malloc(n ? n : 1), text, n);
}

struct bad_text {
	char text[48], want[80];
};

ParameterizedTestParameters(json, refuses_text)
{
	static struct bad_text cases[] = {
		{ "", "t.json:1:1: the file is empty, not JSON" },
		{ "  \n ", "t.json:2:1: not valid JSON" },
		{ "{", "t.json:1:1: not valid JSON" },
		{ "{\n  \"a\": 1,\n  \"b\": x\n}", "t.json:3:8: not valid JSON" },
		{ "[1, 2", "t.json:1:5: not valid JSON" },
		{ "{\"a\" 1}", "t.json:1:6: not valid JSON" },
		{ "{\"a\": \"open}", "t.json:1:8: not valid JSON" },
		{ "{} {}", "t.json:1:4: text behind the end of the JSON value" },
		{ "1\n2", "t.json:2:1: text behind the end of the JSON value" },
		{ "nul", "t.json:1:1: not valid JSON" },
		{ "[\"\\ud800\"]", "t.json:1:3: not valid JSON" },
		{ "{\"a\":\n\"\\\\\\u0000\"}",
		  "t.json:2:4: a NUL character ('\\u0000') in a string" },
		{ "NaN", "t.json:1:1: not valid JSON" },
	};

	return cr_make_param_array(struct bad_text, cases, sizeof cases / sizeof *cases);
}
ParameterizedTest(struct bad_text *c, json, refuses_text)
{
	struct nasc_err err = { 0 };
	cJSON *tree = NULL;
	char *text = bare_copy(c->text);

	cr_assert_eq(json_parse("t.json", text, strlen(c->text), &tree, &err), NASC_DATA, "%s",
		     c->text);
	cr_assert_str_eq(err.msg, c->want, "'%s': %s", c->text, err.msg);
	cr_assert_null(tree);
	free(text);
}

struct good_text {
	char text[24], want[16]; /* want: the string it stands for, "" for what is none */
};

ParameterizedTestParameters(json, takes_text)
{
	static struct good_text cases[] = {
		{ "\"\\\\u0000\"", "\\u0000" }, /* a backslash, then text */
		{ "\"\\u00e9\" \r\n\t", "\xc3\xa9" },
		{ "{\"a\": [1, 2e3]}", "" },
		{ "17", "" },
	};

	return cr_make_param_array(struct good_text, cases, sizeof cases / sizeof *cases);
}
ParameterizedTest(struct good_text *c, json, takes_text)
{
	struct nasc_err err = { 0 };
	char *text = bare_copy(c->text);
	cJSON *tree;

	cr_assert_eq(json_parse("t", text, strlen(c->text), &tree, &err), NASC_OK, "%s", err.msg);
	cr_assert_str_eq(cJSON_IsString(tree) ? tree->valuestring : "", c->want);
	cJSON_Delete(tree);
	free(text);
}

Test(json, refuses_nul_and_depth)
{
	static char deep[200001];
	struct nasc_err err = { 0 };
	cJSON *tree = NULL;

	cr_assert_eq(json_parse("t", "[1,\0 2]", 7, &tree, &err), NASC_DATA);
	cr_assert_str_eq(err.msg, "t:1:4: a NUL byte, not JSON");
	memset(deep, '[', 100000);
	memset(deep + 100000, ']', 100000);
	cr_assert_eq(json_parse("t", deep, 200000, &tree, &err), NASC_DATA);
	cr_assert_null(tree);
	cr_assert_eq(json_load("/no/such", 10, &tree, &err), NASC_DATA);
	cr_assert_str_eq(err.msg, "/no/such: cannot open: No such file or directory");
}

static const char sample[] = "{\"i\": 42, \"half\": 0.5, \"big\": 9007199254740994, \"s\": \"x\", "
			     "\"l\": [1], \"o\": {}, \"n\": null, \"t\": true, \"huge\": 1e999}";

struct bad_member {
	char kind; /* i, r, s, l: the json_get_ to try */
	char key[8], want[72];
};

ParameterizedTestParameters(json, refuses_member)
{
	static struct bad_member cases[] = {
		{ 'i', "gone", "gone: is missing" },
		{ 'i', "I", "I: is missing" },
		{ 'i', "half", "half: 0.5 is not a whole number below 2^53" },
		{ 'i', "big", "big: 9007199254740994 is not a whole number below 2^53" },
		{ 'i', "huge", "huge: the number is too large" },
		{ 'i', "i", "i: 42 is outside [0, 41]" },
		{ 'i', "s", "s: is a string, not a whole number" },
		{ 'r', "huge", "huge: the number is too large" },
		{ 'r', "n", "n: is null, not a number" },
		{ 'r', "t", "t: is true or false, not a number" },
		{ 's', "i", "i: is a number, not a string" },
		{ 's', "o", "o: is an object, not a string" },
		{ 'l', "o", "o: is an object, not a list" },
		{ 's', "l", "l: is a list, not a string" },
	};

	return cr_make_param_array(struct bad_member, cases, sizeof cases / sizeof *cases);
}
ParameterizedTest(struct bad_member *c, json, refuses_member)
{
	enum nasc_status status = NASC_OK;
	struct nasc_err err = { 0 };
	const char *s = NULL;
	const cJSON *l = NULL;
	int64_t i = 7;
	double r = 7;
	cJSON *tree;

	cr_assert_eq(json_parse("t", sample, strlen(sample), &tree, &err), NASC_OK);
	if (c->kind == 'i')
		status = json_get_int(tree, c->key, 0, 41, &i, &err);
	else if (c->kind == 'r')
		status = json_get_real(tree, c->key, &r, &err);
	else if (c->kind == 's')
		status = json_get_string(tree, c->key, &s, &err);
	else
		status = json_get_list(tree, c->key, &l, &err);
	cr_assert_eq(status, NASC_DATA, "%s", c->key);
	cr_assert_str_eq(err.msg, c->want, "%s", err.msg);
	cr_assert(i == 7 && r == 7 && !s && !l);
	cJSON_Delete(tree);
}

Test(json, members_are_found)
{
	static const char *const all[] = {
		"i", "half", "big", "s", "l", "o", "n", "t", "huge", NULL
	};
	static const char *const some[] = { "i", "half", NULL };
	const char twice[] = "{\"i\": 1, \"i\": 2}";
	struct nasc_err err = { 0 };
	const cJSON *item;
	cJSON *tree;
	int64_t i;
	double r;

	cr_assert_eq(json_parse("t", sample, strlen(sample), &tree, &err), NASC_OK);
	cr_assert_eq(json_get_int(tree, "i", 42, 42, &i, &err), NASC_OK);
	cr_assert_eq(i, 42);
	cr_assert_eq(json_get_real(tree, "half", &r, &err), NASC_OK);
	cr_assert_eq(r, 0.5);
	cr_assert_eq(json_get(tree, "n", &item, &err), NASC_OK);
	cr_assert_eq(json_only(tree, all, &err), NASC_OK);
	cr_assert_eq(json_only(tree, some, &err), NASC_DATA);
	cr_assert_str_eq(err.msg, "big: unknown key");
	cr_assert_eq(json_get(item, "x", &item, &err), NASC_DATA);
	cJSON_Delete(tree);
	cr_assert_eq(json_parse("t", twice, strlen(twice), &tree, &err), NASC_OK);
	cr_assert_eq(json_only(tree, some, &err), NASC_DATA);
	cr_assert_str_eq(err.msg, "i: is given twice");
	cJSON_Delete(tree);
}
