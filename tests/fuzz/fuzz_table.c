/* The input is a table of the evaluator tabular, by genes in one column or in two. Every gene that
 * the table may hold is looked up: what is found lies in [0, 1]. */
#define _GNU_SOURCE
#include "fuzz.h"

#include "evaluators.h"

static const char *const configs[] = {
	"key: k, accuracy: [a], separator: '-', scale: 0.01",
	"key: [k, a], genes: value, accuracy: [b, c], seeds: draw",
};
static const char *const texts[] = { "0", "1", "max" };

static void look_up_all(struct evaluator *e)
{
	for (uint32_t i = 0; i < 9; i++) {
		const struct eval_gene gene[2] = { { i / 3, texts[i / 3] },
						   { i % 3, texts[i % 3] } };
		struct eval_request request = { .id = i, .seed = 1, .gene = gene, .n_genes = 2 };
		struct eval_result r = { .why = "" };
		enum eval_outcome outcome = e->ops->run(e, NULL, &request, &r);

		MUST(outcome == EVAL_OK || outcome == EVAL_FAILED);
		if (outcome == EVAL_OK)
			MUST(r.value[0] >= 0 && r.value[0] <= 1 && r.value[1] == 1 - r.value[0]);
		else
			MUST(strstr(r.why, "the table has no "));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory_file f;
	const struct evaluator_ops *ops = evaluator_find("tabular");
	const char *path = memory_file_fill(&f, data, size);

	for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
		struct arena a = { 0 };
		struct nasc_err err = { 0 }, checked = { 0 };
		void *cfg = arena_alloc(&a, 1, ops->cfg_size, 16);
		struct evaluator e = { .ops = ops, .cfg = cfg, .arena = &a };
		struct yaml_doc doc;
		enum nasc_status st;
		char text[256];

		snprintf(text, sizeof text, "{file: %s, %s}", path, configs[i]);
		MUST(yaml_parse("t.yaml", text, strlen(text), &a, &doc, &err) == NASC_OK);
		MUST(cfg_load(ops->fields, &doc, doc.root, NULL, &a, cfg, ops->cfg_size, &err) ==
		     NASC_OK);
		st = ops->open(&e, &err);
		MUST(ops->check(cfg, &checked) == st);
		if (st)
			must_say_why(&err, st);
		else
			look_up_all(&e);
		arena_free(&a);
	}
	return 0;
}
