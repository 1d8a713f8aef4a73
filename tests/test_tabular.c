/* The evaluator that looks accuracies up. Expected figures are worked out by hand from the tables
 * written here. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "evaluators.h"

struct desk {
	struct arena arena;
	char path[64];
	void *cfg;
	struct evaluator e;
};

static const char plain[] = "name,a,b,acc,other\n"
			    "01,max,4,93 94,10\n"
			    "10,avg,4,50,20 30 40\n"
			    "11,avg,8,,5\n";

static void desk_fill(struct desk *d, const char *text, size_t n)
{
	const struct evaluator_ops *ops = evaluator_find("tabular");
	FILE *fp;
	int fd;

	*d = (struct desk){ .cfg = NULL };
	snprintf(d->path, sizeof d->path, "/tmp/nasc_tabular_XXXXXX");
	fd = mkstemp(d->path);
	cr_assert_geq(fd, 0);
	fp = fdopen(fd, "w");
	cr_assert_eq(fwrite(text, 1, n, fp), n);
	cr_assert_eq(fclose(fp), 0);
	d->cfg = arena_alloc(&d->arena, 1, ops->cfg_size, 16);
	d->e = (struct evaluator){ .ops = ops, .cfg = d->cfg, .arena = &d->arena };
}

static enum nasc_status desk_open(struct desk *d, const char *keys, struct nasc_err *err)
{
	struct yaml_doc doc;
	char text[512];

	snprintf(text, sizeof text, "{file: %s, %s}", d->path, keys);
	cr_assert_eq(yaml_parse("t.yaml", text, strlen(text), &d->arena, &doc, err), NASC_OK);
	cr_assert_eq(cfg_load(d->e.ops->fields, &doc, doc.root, NULL, &d->arena, d->cfg,
			      d->e.ops->cfg_size, err),
		     NASC_OK, "%s", err->msg);
	return d->e.ops->open(&d->e, err);
}

static void desk_close(struct desk *d)
{
	unlink(d->path);
	arena_free(&d->arena);
}

static enum eval_outcome ask(struct desk *d, const struct eval_gene *gene, size_t n, uint64_t seed,
			     struct eval_result *r)
{
	struct eval_request request = { .id = 3, .seed = seed, .gene = gene, .n_genes = n };

	memset(r, 0, sizeof *r);
	return d->e.ops->run(&d->e, NULL, &request, r);
}

static const struct eval_gene g01[] = { { 0, "max" }, { 1, "4" } };
static const struct eval_gene g10[] = { { 1, "avg" }, { 0, "4" } };
static const struct eval_gene g11[] = { { 1, "avg" }, { 1, "8" } };
static const struct eval_gene g00[] = { { 0, "max" }, { 0, "8" } };

Test(tabular, finds_by_one_column_of_places)
{
	struct desk d;
	struct nasc_err err = { 0 };
	struct eval_result r;

	desk_fill(&d, plain, sizeof plain - 1);
	cr_assert_eq(desk_open(&d, "key: name, accuracy: acc, scale: 0.01", &err), NASC_OK, "%s",
		     err.msg);
	cr_assert_eq(ask(&d, g01, 2, 1, &r), EVAL_OK, "%s", r.why);
	cr_assert_float_eq(r.value[0], 0.935, 1e-12);
	cr_assert_float_eq(r.value[1], 0.065, 1e-12);
	cr_assert_eq(ask(&d, g10, 2, 1, &r), EVAL_OK);
	cr_assert_float_eq(r.value[0], 0.5, 1e-12);
	cr_assert_eq(ask(&d, g11, 2, 1, &r), EVAL_FAILED);
	cr_assert_str_eq(r.why, "the table has no accuracy in the row of '11'");
	cr_assert_eq(ask(&d, g00, 2, 1, &r), EVAL_FAILED);
	cr_assert_str_eq(r.why, "the table has no row '00'");
	desk_close(&d);
}

Test(tabular, finds_by_a_column_a_gene_and_by_values)
{
	struct desk d;
	struct nasc_err err = { 0 };
	struct eval_result r;

	desk_fill(&d, plain, sizeof plain - 1);
	cr_assert_eq(desk_open(&d, "key: [a, b], genes: value, accuracy: [acc, other], scale: 0.01",
			       &err),
		     NASC_OK, "%s", err.msg);
	cr_assert_eq(ask(&d, g10, 2, 1, &r), EVAL_OK, "%s", r.why);
	cr_assert_float_eq(r.value[0], (0.5 + 0.2 + 0.3 + 0.4) / 4, 1e-12);
	cr_assert_eq(ask(&d, g00, 2, 1, &r), EVAL_FAILED);
	cr_assert_str_eq(r.why, "the table has no row 'max 8'");
	cr_assert_eq(ask(&d, g00, 1, 1, &r), EVAL_BROKEN);
	desk_close(&d);
}

Test(tabular, separator_stands_between_genes)
{
	static const char text[] = "k,accuracy\r\n\"max,4\",1\r\n\"a\"\"b\",0.25";
	static const struct eval_gene quoted[] = { { 0, "a\"b" } };
	struct desk d;
	struct nasc_err err = { 0 };
	struct eval_result r;

	desk_fill(&d, text, sizeof text - 1);
	cr_assert_eq(desk_open(&d, "key: k, genes: value, separator: ','", &err), NASC_OK, "%s",
		     err.msg);
	cr_assert_eq(ask(&d, g01, 2, 1, &r), EVAL_OK, "%s", r.why);
	cr_assert_eq(r.value[0], 1);
	cr_assert_eq(ask(&d, quoted, 1, 1, &r), EVAL_OK, "%s", r.why);
	cr_assert_eq(r.value[0], 0.25);
	desk_close(&d);
}

Test(tabular, takes_the_first_seed)
{
	struct desk d;
	struct nasc_err err = { 0 };
	struct eval_result r;

	desk_fill(&d, plain, sizeof plain - 1);
	cr_assert_eq(
		desk_open(&d, "key: name, accuracy: [other, acc], scale: 0.01, seeds: first", &err),
		NASC_OK, "%s", err.msg);
	cr_assert_eq(ask(&d, g10, 2, 1, &r), EVAL_OK);
	cr_assert_float_eq(r.value[0], 0.2, 1e-12);
	desk_close(&d);
}

/* One of the two figures, the same for the same seed, either for some seeds. */
Test(tabular, draws_one_seed)
{
	struct desk d;
	struct nasc_err err = { 0 };
	struct eval_result r, again;
	int low = 0;

	desk_fill(&d, plain, sizeof plain - 1);
	cr_assert_eq(desk_open(&d, "key: name, accuracy: acc, scale: 0.01, seeds: draw", &err),
		     NASC_OK, "%s", err.msg);
	for (uint64_t seed = 0; seed < 200; seed++) {
		cr_assert_eq(ask(&d, g01, 2, seed, &r), EVAL_OK);
		cr_assert_eq(ask(&d, g01, 2, seed, &again), EVAL_OK);
		cr_assert_eq(r.value[0], again.value[0]);
		cr_assert(r.value[0] == 93 * 0.01 || r.value[0] == 94 * 0.01, "%.17g", r.value[0]);
		low += r.value[0] < 0.935;
	}
	/* Binomial, n 200, p 1/2: outside with a probability of 2e-8. */
	cr_assert(low > 60 && low < 140, "%d of 200", low);
	desk_close(&d);
}

Test(tabular, refuses_what_is_no_table)
{
	static const struct {
		const char *text, *keys, *why;
		enum nasc_status status;
	} bad[] = {
		{ "", "key: a", ": empty", NASC_DATA },
		{ "a,b\n", "key: c, accuracy: b", " has no column called 'c'", NASC_CONFIG },
		{ "a,a,b\n", "key: a, accuracy: b", " has several columns called 'a'",
		  NASC_CONFIG },
		{ "a,b\n1,.5\n1,.6\n", "key: a, accuracy: b",
		  ":3: the genes '1' stand in line 2 as well", NASC_DATA },
		{ "a,b\n1,.5,3\n", "key: a, accuracy: b", ":2: 3 fields, the first line has 2",
		  NASC_DATA },
		{ "a,b\n\n1,.5\n", "key: a, accuracy: b", ":2: an empty line", NASC_DATA },
		{ "a,b\n1,x\n", "key: a, accuracy: b", ":2: field 2: ", NASC_DATA },
		{ "a,b\n1,nan\n", "key: a, accuracy: b", ":2: field 2: ", NASC_DATA },
		{ "a,b\n1,93\n", "key: a, accuracy: b",
		  ":2: field 2: 93 times 'scale' 1 is outside [0, 1]", NASC_DATA },
		{ "a,b\n1,-.1\n", "key: a, accuracy: b", "outside [0, 1]", NASC_DATA },
		{ "a,b\n\"1,.5\n", "key: a, accuracy: b",
		  ":2: field 1: its quote is not closed on this line", NASC_DATA },
		{ "a,b\n\"1\"2,.5\n", "key: a, accuracy: b",
		  ":2: field 1: text behind the closing quote", NASC_DATA },
		{ "a,b\n1\"2,.5\n", "key: a, accuracy: b", ":2: field 1: a quote inside",
		  NASC_DATA },
		{ "a,b\n1\t,.5\n", "key: a, accuracy: b", ":2: control character 0x09", NASC_DATA },
		{ "a,b\n", "key: [], accuracy: b", "key: 0 columns, expected 1 to 256",
		  NASC_CONFIG },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct nasc_err err = { 0 }, checked = { 0 };
		struct desk d;

		desk_fill(&d, bad[i].text, strlen(bad[i].text));
		cr_expect_eq(desk_open(&d, bad[i].keys, &err), bad[i].status, "%s: %s", bad[i].text,
			     err.msg);
		cr_expect(strstr(err.msg, bad[i].why), "%s", err.msg);
		cr_expect_eq(d.e.ops->check(d.cfg, &checked), bad[i].status);
		cr_expect_str_eq(checked.msg, err.msg);
		desk_close(&d);
	}
}

/* Another file behind the same path is another table. */
Test(tabular, contents_tell_tables_apart)
{
	static const char other[] = "name,a,b,acc,other\n01,max,4,93 95,10\n";
	struct nasc_err err = { 0 };
	struct desk d, same, changed;

	desk_fill(&d, plain, sizeof plain - 1);
	desk_fill(&same, plain, sizeof plain - 1);
	desk_fill(&changed, other, sizeof other - 1);
	cr_assert_eq(desk_open(&d, "key: name, accuracy: acc, scale: 0.01", &err), NASC_OK);
	cr_assert_eq(desk_open(&same, "key: name, accuracy: acc, scale: 0.01", &err), NASC_OK);
	cr_assert_eq(desk_open(&changed, "key: name, accuracy: acc, scale: 0.01", &err), NASC_OK);
	cr_assert_eq(d.e.ops->contents(&d.e), same.e.ops->contents(&same.e));
	cr_assert_neq(d.e.ops->contents(&d.e), changed.e.ops->contents(&changed.e));
	desk_close(&d);
	desk_close(&same);
	desk_close(&changed);
}

/* 300,000 rows in an order that is not that of their keys. */
Test(tabular, large_tables_are_quick)
{
	enum { ROWS = 300000 };
	size_t cap = (size_t)ROWS * 24, at = 0;
	char *text = malloc(cap), number[16];
	struct nasc_err err = { 0 };
	struct eval_result r;
	struct desk d;
	double start;

	cr_assert(text);
	at += (size_t)snprintf(text, cap, "k,accuracy\n");
	for (uint32_t i = 0; i < ROWS; i++) {
		uint32_t k = (uint32_t)((uint64_t)i * 7919 % ROWS);

		at += (size_t)snprintf(text + at, cap - at, "%u,0.%06u\n", k, k);
	}
	desk_fill(&d, text, at);
	free(text);
	start = clock_s();
	cr_assert_eq(desk_open(&d, "key: k, genes: value", &err), NASC_OK, "%s", err.msg);
	for (uint32_t i = 0; i < ROWS; i += 7) {
		struct eval_gene gene = { 0, number };

		snprintf(number, sizeof number, "%u", i);
		cr_assert_eq(ask(&d, &gene, 1, 1, &r), EVAL_OK, "%s", r.why);
		cr_assert_float_eq(r.value[0], i * 1e-6, 1e-12);
	}
	cr_assert_lt(clock_s() - start, 20); /* some 0.2 s; a linear search takes minutes */
	desk_close(&d);
}
