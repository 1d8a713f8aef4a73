#define _XOPEN_SOURCE 700 /* nftw() */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "file.h"
#include "scratch.h"
#include "study.h"

TestSuite(results, .init = begin, .fini = finish);

#define SCORE(key, value, unit)                                                                    \
	"\"" key "\": {\"value\": " value ", \"unit\": \"" unit                                    \
	"\", \"model\": \"m\", \"provenance\": \"p\"}"
#define ROW(id, error, sram, latency)                                                              \
	"{\"id\": " id                                                                             \
	", \"genes\": {}, \"network\": null, \"scores\": {" SCORE("error", error, "1") ", " SCORE( \
		"sram_bytes", sram, "byte") ", " SCORE("latency_s", latency, "s") "}}"
#define FILE_OF(rows)                                                                              \
	"{\"version\": 1, \"config\": {}, \"objectives\": [{\"name\": \"error\", \"direction\": "  \
	"\"min\"}, {\"name\": \"sram_bytes\", \"direction\": \"min\"}], \"front\": [" rows "]}"

/* error, sram: a corner at each end and the bend at 3 */
#define FRONT                                                                                      \
	FILE_OF(ROW("1", "0.40", "10240", "0.001") ", " ROW(                                       \
		"2", "0.30", "16384",                                                              \
		"0.002") ", " ROW("3", "0.12", "20480",                                            \
				  "0.004") ", " ROW("4", "0.11", "65536",                          \
						    "0.020") ", " ROW("5", "0.10", "262144",       \
								      "0.100"))

static void load_text(const char *text, struct results *r)
{
	const char *path = "r.json";
	struct nasc_err err = { 0 };

	write_file(path, text);
	cr_assert_eq(results_load(&path, 1, &arena, r, &err), NASC_OK, "%s", err.msg);
}

/* Ids of the rows, as "1 2 3". */
static const char *ids(const struct results *r)
{
	char *text = ARENA_NEW(&arena, char, 12 * r->n + 1);
	size_t at = 0;

	for (size_t i = 0; i < r->n; i++)
		at += (size_t)snprintf(text + at, 12, "%s%lld", i ? " " : "",
				       (long long)r->row[i].id);
	return text;
}

/* A search's upper bounds on a board's figures: of one target on any board, of several on those. */
static const struct metric board_metric[] = {
	{ "sram_bytes", "sram", UNIT_BYTE, false, true, "" },
	{ "flash_bytes", "flash", UNIT_BYTE, false, true, "" },
	{ "latency_s", "latency", UNIT_SECOND, false, true, "" },
	{ "patch_grid", "patch_grid", UNIT_NONE, false, false, "" },
};
static const struct costmodel_ops board_ops = { .metric = board_metric, .n_metrics = 4 };

static const struct {
	const char *targets, *constraints;
	double a[4], b[4]; /* on boards "a" and "b" */
} bounds[] = {
	{ "\"x\"",
	  "\"sram\": \"<= 2 KiB\", \"sram_bytes\": \"<= 1000\", \"latency\": \">= 3\", "
	  "\"a.flash\": \"<= 7\", \"error\": \"<= junk\", \"patch_grid\": [\">= 2\", \"<= 4\", "
	  "\"<=3\"]",
	  { 1000, 0, 0, 3 },
	  { 1000, 0, 0, 3 } },
	{ "\"a\", \"b\"",
	  "\"sram\": \"<= 1 KiB\", \"a.sram\": \"<= 2 KiB\", \"b.latency_s\": \"<= 20 ms\"",
	  { 2048, 0, 0, 0 },
	  { 0, 0, 0.02, 0 } },
	{ "\"a\"", "\"sram\": 5, \"flash\": [[\"<= 1\"], 7]", { 0 }, { 0 } },
};

Test(results, bounds_of_the_search)
{
	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
		struct costmodel a = { .ops = &board_ops, .target = "a" };
		struct costmodel b = { .ops = &board_ops, .target = "b" };
		struct nasc_err err = { 0 };
		struct results r;
		char text[1000];

		snprintf(text, sizeof text,
			 "{\"version\": 1, \"config\": {\"targets\": [%s], \"constraints\": {%s}}, "
			 "\"objectives\": [{\"name\": \"error\", \"direction\": \"min\"}], "
			 "\"constraints\": [\"flash_bytes <= 9\"], \"front\": []}",
			 bounds[i].targets, bounds[i].constraints);
		load_text(text, &r);
		cr_assert_eq(results_bounds(&r, &a, &err), NASC_OK, "%s", err.msg);
		cr_assert_eq(results_bounds(&r, &b, &err), NASC_OK, "%s", err.msg);
		for (size_t k = 0; k < 4; k++) {
			cr_expect_eq(a.within[k], bounds[i].a[k], "%zu, a: %zu", i, k);
			cr_expect_eq(b.within[k], bounds[i].b[k], "%zu, b: %zu", i, k);
		}
		results_close(&r);
	}
}

Test(results, bounds_that_are_none)
{
	struct costmodel a = { .ops = &board_ops, .target = "a" };
	struct nasc_err err = { 0 };
	struct results r;

	load_text("{\"version\": 1, \"config\": {\"constraints\": {\"sram\": \"<= big\"}}, "
		  "\"objectives\": [{\"name\": \"error\", \"direction\": \"min\"}], "
		  "\"front\": []}",
		  &r);
	cr_assert_eq(results_bounds(&r, &a, &err), NASC_DATA);
	cr_expect_not_null(strstr(err.msg, "config: constraints: sram: "), "%s", err.msg);
	results_close(&r);
}

/* ---- where ---------------------------------------------------------------------- */

static const struct {
	const char *text, *kept;
} where[] = {
	{ "sram <= 20 KiB", "1 2 3" }, /* 20 KiB = 20480 bytes: row 3 is at the bound */
	{ "sram < 20 KiB", "1 2" },
	{ "sram<=20480", "1 2 3" },
	{ "sram_bytes >= 64KiB", "4 5" },
	{ "sram > 64 KiB", "5" },
	{ "sram <= 20.48 kB", "1 2 3" },
	{ "error == 0.3", "2" },
	{ "error == 30 %", "2" },
	{ "error != 30 %", "1 3 4 5" },
	{ "error < 0.2 && sram < 100 KiB", "3 4" },
	{ "error < 0.11 || sram < 16 KiB", "1 5" },
	{ "latency < 3 ms", "1 2" },
	{ "latency <= 0.004", "1 2 3" },
	{ "latency_s>2ms&&latency_s<=20ms", "3 4" },
	{ "id == 4", "4" },
	{ "id >= 2 && id != 3", "2 4 5" },
	/* && binds closer than ||: 1 || (5 && not 5) */
	{ "id == 1 || id == 5 && id != 5", "1" },
	{ "(id == 1 || id == 5) && id != 5", "1" },
	{ "(id == 1 || id == 5) && id != 1", "5" },
	{ "id == 5 && id != 5 || id == 1", "1" },
	/* ! binds closest */
	{ "!id == 1 && error > 0.2", "2" },
	{ "!(id == 1 && error > 0.2)", "2 3 4 5" },
	{ "!!id == 1", "1" },
	{ "!(id == 1) && !(id == 2)", "3 4 5" },
	{ "((((id < 3))))", "1 2" },
	{ "  id   <  3  ", "1 2" },
	{ "sram < 1e5", "1 2 3 4" },
	{ "sram > -1", "1 2 3 4 5" },
	{ "sram < 1 B", "" },
};

Test(results, where)
{
	for (size_t i = 0; i < sizeof where / sizeof *where; i++) {
		struct nasc_err err = { 0 };
		struct results r;

		load_text(FRONT, &r);
		cr_expect_eq(results_where(&r, where[i].text, &err), NASC_OK, "%s: %s",
			     where[i].text, err.msg);
		cr_expect_str_eq(ids(&r), where[i].kept, "%s keeps %s", where[i].text, ids(&r));
		results_close(&r);
	}
}

static const struct {
	const char *text, *want;
} bad_where[] = {
	{ "", "--where: column 1 of '': expected the name of a score" },
	{ "   ", "--where: column 4 of '   ': expected the name of a score" },
	{ "sram", "--where: column 5 of 'sram': expected one of < <= > >= == !=" },
	{ "sram <", "--where: column 7 of 'sram <': expected a number, with or without unit" },
	{ "sram 5", "--where: column 6 of 'sram 5': expected one of < <= > >= == !=" },
	{ "sram = 5", "--where: column 6 of 'sram = 5': expected one of < <= > >= == !=" },
	{ "sram <= x", "--where: column 9 of 'sram <= x': 'x' is not a size; use a number with B, "
		       "kB, MB, GB (1000) or KiB, MiB, GiB (1024)" },
	{ "sram <= 5 ms", "--where: column 9 of 'sram <= 5 ms': '5 ms' is not a size; use B, kB, "
			  "MB, GB (1000) or KiB, MiB, GiB (1024)" },
	{ "sram <= 5 KiB KiB", "--where: column 9 of 'sram <= 5 KiB KiB': '5 KiB KiB' is not a "
			       "size; use B, kB, MB, GB (1000) or KiB, MiB, GiB (1024)" },
	{ "speed > 3",
	  "--where: column 1 of 'speed > 3': no score is called 'speed'; row 1 has error, "
	  "sram_bytes, latency_s" },
	{ "5 < sram", "--where: column 1 of '5 < sram': no score is called '5'; row 1 has "
		      "error, sram_bytes, latency_s" },
	{ "sram < 5 &&", "--where: column 12 of 'sram < 5 &&': expected the name of a score" },
	{ "sram < 5 & error < 1",
	  "--where: column 10 of 'sram < 5 & error < 1': expected &&, || or the end" },
	{ "sram < 5 && && error < 1",
	  "--where: column 13 of 'sram < 5 && && error < 1': expected the name of a score" },
	{ "|| sram < 5", "--where: column 1 of '|| sram < 5': expected the name of a score" },
	{ "(sram < 5", "--where: column 10 of '(sram < 5': expected ')'" },
	{ "sram < 5)", "--where: column 9 of 'sram < 5)': expected &&, || or the end" },
	{ "()", "--where: column 2 of '()': expected the name of a score" },
	{ "!", "--where: column 2 of '!': expected the name of a score" },
	{ "sram < 5 error < 1", "--where: column 8 of 'sram < 5 error < 1': '5 error < 1' is not a "
				"size; use B, kB, MB, GB (1000) or KiB, MiB, GiB (1024)" },
	{ "id < 0x10", "--where: column 6 of 'id < 0x10': '0x10' is not a number; use k, M, G or "
		       "nothing behind it" },
	{ "sram < inf", "--where: column 8 of 'sram < inf': 'inf' is not a size; use a number with "
			"B, kB, MB, GB (1000) or KiB, MiB, GiB (1024)" },
};

Test(results, where_says_the_column)
{
	for (size_t i = 0; i < sizeof bad_where / sizeof *bad_where; i++) {
		struct nasc_err err = { 0 };
		struct results r;

		load_text(FRONT, &r);
		cr_expect_eq(results_where(&r, bad_where[i].text, &err), NASC_USAGE);
		cr_expect_eq(err.code, NASC_USAGE);
		cr_expect_str_eq(err.msg, bad_where[i].want, "%s\n%s\n", bad_where[i].text,
				 err.msg);
		cr_expect_str_eq(ids(&r), "1 2 3 4 5");
		results_close(&r);
	}
}

/* Names and units are checked although there is nothing to keep. */
Test(results, where_and_sort_without_rows)
{
	static const struct {
		const char *text, *want; /* NULL: accepted */
	} cases[] = {
		{ "error < 10 % && sram <= 64 KiB", NULL },
		{ "stm32f746.latency < 5 ms || !(energy_j >= 1 mJ) || nid > 0 || id == 3", NULL },
		{ "nonsense",
		  "--where: column 1 of 'nonsense': no score is called 'nonsense'; there are "
		  "no rows" },
		{ "error < 1 && speed > 3",
		  "--where: column 14 of 'error < 1 && speed > 3': no score is called 'speed'; "
		  "there are no rows" },
		{ "sram < 5 ms", "--where: column 8 of 'sram < 5 ms': '5 ms' is not a size; use B, "
				 "kB, MB, GB (1000) or KiB, MiB, GiB (1024)" },
		{ "(error < 1", "--where: column 11 of '(error < 1': expected ')'" },
	};
	struct results r;

	load_text(FILE_OF(""), &r);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct nasc_err err = { 0 };

		cr_expect_eq(results_where(&r, cases[i].text, &err),
			     cases[i].want ? NASC_USAGE : NASC_OK, "%s", cases[i].text);
		cr_expect_str_eq(err.msg, cases[i].want ? cases[i].want : "", "%s", err.msg);
	}
	for (size_t i = 0; i < 3; i++) {
		static const char *const known[] = { "error", "-sram", "latency" };
		struct nasc_err err = { 0 };

		cr_expect_eq(results_sort(&r, known[i], &err), NASC_OK, "%s", err.msg);
		cr_expect_eq(results_sort(&r, "nope", &err), NASC_USAGE);
		cr_expect_str_eq(err.msg, "--sort: no score is called 'nope'; there are no rows");
	}
	results_close(&r);
}

/* ---- front, knee, order --------------------------------------------------------------- */

Test(results, knee_of_two_objectives)
{
	struct results r;

	/* Sums of (error - 0.10) / 0.30 and (sram - 10240) / 251904:
	 * 1: 1 + 0, 2: 0.667 + 0.024, 3: 0.067 + 0.041, 4: 0.033 + 0.220, 5: 0 + 1 */
	load_text(FRONT, &r);
	results_knee(&r);
	for (size_t i = 0; i < r.n; i++)
		cr_expect_eq(r.row[i].knee, r.row[i].id == 3, "%lld", (long long)r.row[i].id);
	cr_expect_eq(results_find(&r, "knee")->id, 3);
	cr_expect_eq(results_find(&r, "4")->id, 4);
	cr_expect_null(results_find(&r, "6"));
	cr_expect_null(results_find(&r, "4x"));
	cr_expect_eq(results_find(&r, "error")->id, 5);
	cr_expect_eq(results_find(&r, "sram")->id, 1);
	cr_expect_eq(results_find(&r, "sram_bytes")->id, 1);
	cr_expect_null(results_find(&r, "latency"), "a score, but no objective");
	cr_expect_null(results_find(&r, "nothing"));
	cr_expect_null(results_find(&r, ""));
	results_close(&r);
}

#define FILE3(direction, rows)                                                                     \
	"{\"version\": 1, \"config\": {}, \"objectives\": [{\"name\": \"error\", \"direction\": "  \
	"\"" direction "\"}, {\"name\": \"sram_bytes\", \"direction\": \"min\"}, "                 \
	"{\"name\": \"latency_s\", \"direction\": \"min\"}], \"front\": [" rows "]}"

Test(results, knee_of_three_objectives)
{
	struct results r;

	/* Scaled to the box [0, 1] x [0, 100] x [0, 10]:
	 * 1: 0 + 1 + 1, 2: 1 + 0 + 1, 3: 1 + 1 + 0, 4: 0.5 + 0.5 + 0.4, 5: 0.4 + 0.6 + 0.3 */
	load_text(FILE3("min", ROW("1", "0", "100", "10") ", " ROW("2", "1", "0", "10") ", " ROW(
				       "3", "1", "100", "0") ", " ROW("4", "0.5", "50",
								      "4") ", " ROW("5", "0.4",
										    "60", "3")),
		  &r);
	results_knee(&r);
	cr_expect_eq(results_find(&r, "knee")->id, 5);
	results_close(&r);
	/* The first one maximised: 1: 1 + 1 + 1, 2: 0 + 0 + 1, 3: 0 + 0.9 + 0, 4: 0.5 + 0.5 + 0.4
	 */
	load_text(FILE3("max", ROW("1", "0", "100", "10") ", " ROW("2", "1", "0", "10") ", " ROW(
				       "3", "1", "90", "0") ", " ROW("4", "0.5", "50", "4")),
		  &r);
	results_knee(&r);
	cr_expect_eq(results_find(&r, "knee")->id, 3);
	cr_expect_eq(results_find(&r, "error")->id, 2, "of 2 and 3 the first");
	results_close(&r);
}

/* An objective that is the same in all rows has no range to scale to. */
Test(results, knee_of_degenerate_fronts)
{
	struct results r;

	load_text(FILE_OF(ROW("7", "0.5", "100", "1")), &r);
	results_knee(&r);
	cr_expect_eq(results_find(&r, "knee")->id, 7);
	results_close(&r);
	load_text(FILE_OF(ROW("7", "0.5", "100", "1") ", " ROW("8", "0.5", "100", "2")), &r);
	results_knee(&r);
	cr_expect_eq(results_find(&r, "knee")->id, 7);
	results_close(&r);
	load_text(FILE_OF(""), &r);
	results_knee(&r);
	cr_expect_null(results_find(&r, "knee"));
	results_close(&r);
}

Test(results, merge_drops_dominated_and_equal_rows)
{
	const char *paths[] = { "a.json", "b.json" };
	struct nasc_err err = { 0 };
	struct arena scratch = { 0 };
	struct results r;

	/* b's 11 equals a's 1; b's 12 dominates a's 2; b's 13 is dominated by a's 3; a's 4 has a
	 * twin in its own file, another network with the same figures: both stay. */
	write_file("a.json",
		   FILE_OF(ROW("1", "0.4", "100", "1") ", " ROW("2", "0.3", "200", "1") ", " ROW(
			   "3", "0.2", "300", "1") ", " ROW("4", "0.1", "400",
							    "1") ", " ROW("5", "0.1", "400", "2")));
	write_file("b.json",
		   FILE_OF(ROW("11", "0.4", "100", "1") ", " ROW("12", "0.3", "150", "1") ", " ROW(
			   "13", "0.2", "301", "0") ", " ROW("14", "0.05", "900", "1")));
	cr_assert_eq(results_load(paths, 2, &arena, &r, &err), NASC_OK, "%s", err.msg);
	results_front(&r, &scratch);
	cr_expect_str_eq(ids(&r), "1 3 4 5 12 14");
	cr_expect_str_eq(r.row[0].file, "a.json");
	cr_expect_str_eq(r.row[5].file, "b.json");
	results_close(&r);
	arena_free(&scratch);
}

Test(results, sort)
{
	static const struct {
		const char *name, *ids;
	} orders[] = {
		{ "error", "3 4 2 1" },	     { "-error", "1 2 3 4" }, { "sram", "1 2 3 4" },
		{ "sram_bytes", "1 2 3 4" }, { "-sram", "4 3 2 1" },  { "latency", "4 3 1 2" },
	};
	struct nasc_err err = { 0 };
	struct results r;

	load_text(FILE_OF(ROW("1", "0.4", "100", "3") ", " ROW("2", "0.3", "200", "4") ", " ROW(
			  "3", "0.1", "300", "2") ", " ROW("4", "0.1", "400", "1")),
		  &r);
	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
		results_sort(&r, "sram", &err);
		cr_expect_eq(results_sort(&r, orders[i].name, &err), NASC_OK);
		cr_expect_str_eq(ids(&r), orders[i].ids, "%s: %s", orders[i].name, ids(&r));
	}
	cr_expect_eq(results_sort(&r, "speed", &err), NASC_USAGE);
	cr_expect_str_eq(
		err.msg,
		"--sort: no score is called 'speed'; row 4 has error, sram_bytes, latency_s");
	results_close(&r);
}

/* Better first: an objective goes by its own direction, accuracy is better when larger. */
Test(results, sort_by_the_better_direction)
{
	struct nasc_err err = { 0 };
	struct results r;

	load_text("{\"version\": 1, \"config\": {}, \"objectives\": [{\"name\": \"params\", "
		  "\"direction\": \"max\"}], \"front\": [{\"id\": 1, \"genes\": {}, \"network\": "
		  "null, \"scores\": {" SCORE("params", "5", "1") ", " SCORE(
			  "accuracy", "0.5",
			  "1") "}}, {\"id\": 2, \"genes\": {}, \"network\": null, \"scores\": "
			       "{" SCORE("params", "4", "1") ", " SCORE("accuracy", "0.9",
									"1") "}}]}",
		  &r);
	cr_expect_eq(results_sort(&r, "params", &err), NASC_OK);
	cr_expect_str_eq(ids(&r), "1 2");
	cr_expect_eq(results_sort(&r, "accuracy", &err), NASC_OK);
	cr_expect_str_eq(ids(&r), "2 1");
	cr_expect_eq(results_sort(&r, "-accuracy", &err), NASC_OK);
	cr_expect_str_eq(ids(&r), "1 2");
	results_close(&r);
}

/* ---- plot ------------------------------------------------------------------------------ */

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what)) != NULL) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* Tags closed in the order they were opened, nothing but &lt; &gt; &amp; as entity. */
static bool well_formed(const char *s)
{
	const char *open[32];
	size_t depth = 0, len[32];

	while ((s = strpbrk(s, "<&")) != NULL) {
		const char *end = strchr(s, *s == '<' ? '>' : ';');

		if (!end)
			return false;
		if (*s == '&') {
			if (strncmp(s, "&lt;", 4) != 0 && strncmp(s, "&gt;", 4) != 0 &&
			    strncmp(s, "&amp;", 5) != 0)
				return false;
		} else if (s[1] == '/') {
			size_t n = (size_t)(end - s) - 2;

			if (depth == 0 || len[depth - 1] != n ||
			    strncmp(open[depth - 1], s + 2, n) != 0)
				return false;
			depth--;
		} else if (end[-1] != '/') {
			if (depth == 32)
				return false;
			open[depth] = s + 1;
			len[depth++] = strcspn(s + 1, " >");
		}
		s = end;
	}
	return depth == 0;
}

static char *plot(const char *results, const char *x, const char *y)
{
	struct nasc_err err = { 0 };
	struct results r;
	char *text;
	size_t n;

	load_text(results, &r);
	results_knee(&r);
	cr_assert_eq(results_plot(&r, x, y, "p.svg", &err), NASC_OK, "%s", err.msg);
	results_close(&r);
	cr_assert_eq(file_read("p.svg", 1 << 20, &arena, &text, &n, &err), NASC_OK);
	return text;
}

Test(results, plot)
{
	char *svg = plot(FRONT, "sram", "error");

	cr_expect(well_formed(svg), "%s", svg);
	cr_expect_eq(count(svg, "<svg "), 1u);
	cr_expect_eq(count(svg, "<circle "), 5u);
	cr_expect_eq(count(svg, "class=\"knee\""), 1u);
	cr_expect_eq(count(svg, "knee: 3"), 1u);
	cr_expect_eq(count(svg, ">sram_bytes<"), 1u); /* the key, however it was asked for */
	cr_expect_eq(count(svg, ">error<"), 1u);
	/* Ticks of 50 KiB from 0 to 300 KiB and of 10 % from 10 to 40. */
	cr_expect_eq(count(svg, ">50 KiB<"), 1u, "%s", svg);
	cr_expect_eq(count(svg, ">300 KiB<"), 1u);
	cr_expect_eq(count(svg, ">20.00 %<"), 1u);
	cr_expect_eq(count(svg, "<title>2: 16 KiB, 30.00 %</title>"), 1u, "%s", svg);
}

Test(results, plot_of_one_row_and_of_odd_names)
{
	char *svg = plot(FILE_OF(ROW("7", "0.5", "100", "0")), "error", "latency");

	cr_expect(well_formed(svg), "%s", svg);
	cr_expect_eq(count(svg, "<circle "), 1u);
	cr_expect_eq(count(svg, "nan"), 0u, "%s", svg);
	svg = plot("{\"version\": 1, \"config\": {}, \"objectives\": [{\"name\": \"a<&>b\", "
		   "\"direction\": \"min\"}], \"front\": [{\"id\": 1, \"genes\": {}, \"network\": "
		   "null, \"scores\": {" SCORE("a<&>b", "-5", "1") "}}]}",
		   "a<&>b", "a<&>b");
	cr_expect(well_formed(svg), "%s", svg);
	cr_expect_eq(count(svg, ">a&lt;&amp;&gt;b<"), 2u);
}

Test(results, plot_refuses)
{
	struct nasc_err err = { 0 };
	struct results r;

	load_text(FRONT, &r);
	write_file("p.svg", "old");
	cr_expect_eq(results_plot(&r, "speed", "error", "p.svg", &err), NASC_USAGE);
	cr_expect_str_eq(
		err.msg,
		"--plot: no score is called 'speed'; row 1 has error, sram_bytes, latency_s");
	r.n = 0;
	cr_expect_eq(results_plot(&r, "sram", "error", "p.svg", &err), NASC_USAGE);
	cr_expect_str_eq(err.msg, "--plot: nothing to draw, no row is left");
	results_close(&r);
	char *text;
	size_t n;
	err = (struct nasc_err){ 0 };
	cr_assert_eq(file_read("p.svg", 10, &arena, &text, &n, &err), NASC_OK);
	cr_expect_str_eq(text, "old");
}
