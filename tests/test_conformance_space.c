#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "costmodels.h"
#include "json.h"
#include "leak.h"
#include "search_run.h"
#include "space.h"

/* The contract of space.h, for every row of the registry at its defaults. */
TestSuite(conformance_space, .fini = no_leaks);

#define GENES_MAX 256

static const struct net_shape inputs[] = {
	{ 28, 28, 1 }, { 32, 32, 3 }, { 96, 64, 3 }, { 1, 128, 9 }
};
#define N_INPUTS (sizeof inputs / sizeof *inputs)

static void open_space(struct space *s, size_t row, struct net_shape input, struct arena *a)
{
	const struct space_ops *ops = space_registry[row];
	void *cfg = arena_alloc(a, 1, ops->cfg_size, alignof(max_align_t));
	struct nasc_err err = { 0 };

	cfg_defaults(ops->fields, a, cfg, ops->cfg_size);
	cr_assert_eq(space_open(s, ops, cfg, input, 10, a, &err), NASC_OK, "%s: %s", ops->name,
		     err.msg);
	cr_assert(s->n_genes >= 1 && s->n_genes <= GENES_MAX);
}

typedef void check_fn(const struct space *s, struct rng *rng, struct arena *a);

static void each_space(check_fn *check)
{
	for (size_t row = 0; space_registry[row]; row++)
		for (size_t i = 0; i < N_INPUTS; i++) {
			struct arena a = { 0 };
			struct space s;
			struct rng rng;

			open_space(&s, row, inputs[i], &a);
			rng_seed(&rng, 11 + i, 2);
			check(&s, &rng, &a);
			arena_free(&a);
		}
}

static bool same_genes(const struct space *s, const uint32_t *a, const uint32_t *b)
{
	return memcmp(a, b, s->n_genes * sizeof *a) == 0;
}

/* Any index vector within bounds. */
static void any_vector(const struct space *s, struct rng *rng, uint32_t *gene)
{
	for (size_t i = 0; i < s->n_genes; i++)
		gene[i] = (uint32_t)rng_below(rng, s->gene[i].n_values);
}

/* ---- genes ------------------------------------------------------------------------------ */

static void check_genes(const struct space *s, struct rng *rng, struct arena *a)
{
	double count = 0, vectors = 1;
	bool exact;

	(void)rng, (void)a;
	for (size_t i = 0; i < s->n_genes; i++) {
		const struct space_gene *g = &s->gene[i];

		cr_assert(*g->name && memchr(g->name, '\0', sizeof g->name));
		cr_assert_geq(g->n_values, 1, "%s", g->name);
		cr_assert_neq(g->value == NULL, g->choice == NULL, "%s", g->name);
		vectors *= g->n_values;
		for (size_t k = 0; k < i; k++)
			cr_assert_str_neq(s->gene[k].name, g->name);
		for (uint32_t v = 0; v < g->n_values; v++)
			for (uint32_t w = 0; w < v; w++) {
				char p[64], q[64];

				cr_assert_str_neq(space_gene_text(s, i, v, p, sizeof p),
						  space_gene_text(s, i, w, q, sizeof q), "%s",
						  g->name);
			}
	}
	s->ops->count(s, &count, &exact);
	cr_assert(count >= 1 && count <= vectors, "%g networks of %g vectors", count, vectors);
}

Test(conformance_space, genes)
{
	each_space(check_genes);
}

/* Axes of sub-spaces are different keys of its own that hold numbers. */
Test(conformance_space, axes)
{
	for (size_t row = 0; space_registry[row]; row++) {
		const struct space_ops *ops = space_registry[row];

		for (size_t i = 0; i < SPACE_MAX_AXES && ops->axis[i]; i++) {
			const struct cfg_field *field = ops->fields;

			while (field->key && strcmp(field->key, ops->axis[i]) != 0)
				field++;
			cr_assert(field->key && field->type == CFG_INTS, "%s: %s", ops->name,
				  ops->axis[i]);
			for (size_t k = 0; k < i; k++)
				cr_assert_str_neq(ops->axis[i], ops->axis[k], "%s", ops->name);
		}
	}
}

/* ---- canonical genes and networks ------------------------------------------------------- */

static void check_decodes(const struct space *s, const uint32_t *gene, struct arena *a)
{
	struct network once, twice;
	uint32_t kept[GENES_MAX];
	struct nasc_err err = { 0 };

	memcpy(kept, gene, s->n_genes * sizeof *gene);
	space_decode(s, gene, a, &once);
	space_decode(s, gene, a, &twice);
	cr_assert(same_genes(s, kept, gene), "decode changed its genes");
	cr_assert(network_equal(&once, &twice), "decode is not deterministic");
	cr_assert_eq(once.classes, s->classes);
	cr_assert_eq(once.input.c, s->input.c);
	cr_assert_eq(network_infer(&twice, &err), NASC_OK, "%s", err.msg);
	cr_assert(network_equal(&once, &twice), "was not inferred");
}

static void check_canonical(const struct space *s, struct rng *rng, struct arena *a)
{
	for (int i = 0; i < 500; i++) {
		struct arena_mark mark = arena_mark(a);
		uint32_t gene[GENES_MAX], again[GENES_MAX], other[GENES_MAX];
		struct rng p = *rng, q = *rng;

		any_vector(s, rng, gene);
		s->ops->canonical(s, gene);
		for (size_t k = 0; k < s->n_genes; k++)
			cr_assert_lt(gene[k], s->gene[k].n_values, "%s", s->gene[k].name);
		memcpy(again, gene, sizeof gene);
		s->ops->canonical(s, again);
		cr_assert(same_genes(s, gene, again), "%s: not idempotent", s->ops->name);
		check_decodes(s, gene, a);
		space_sample(s, &p, again);
		space_sample(s, &q, other);
		cr_assert(same_genes(s, again, other), "%s: same stream, other sample",
			  s->ops->name);
		s->ops->canonical(s, other);
		cr_assert(same_genes(s, again, other), "%s: sample is not canonical", s->ops->name);
		arena_rewind(a, mark);
	}
}

Test(conformance_space, canonical_and_decode)
{
	each_space(check_canonical);
}

static void check_move(const struct space *s, struct rng *rng, struct arena *a)
{
	for (int i = 0; i < 200 && s->ops->move; i++) {
		struct arena_mark mark = arena_mark(a);
		uint32_t gene[GENES_MAX], to[GENES_MAX], again[GENES_MAX];
		struct network net, other;
		struct rng p, q;
		bool moved;

		space_sample(s, rng, gene);
		p = q = *rng;
		memcpy(to, gene, sizeof to);
		memcpy(again, gene, sizeof again);
		moved = s->ops->move(s, to, &p);
		cr_assert_eq(s->ops->move(s, again, &q), moved);
		cr_assert(same_genes(s, to, again), "%s: same stream, other move", s->ops->name);
		cr_assert(moved || same_genes(s, to, gene), "%s: no move, other genes",
			  s->ops->name);
		for (size_t k = 0; k < s->n_genes; k++)
			cr_assert_lt(to[k], s->gene[k].n_values, "%s", s->gene[k].name);
		s->ops->canonical(s, to);
		space_decode(s, gene, a, &net);
		space_decode(s, to, a, &other);
		cr_assert_eq(moved, !network_equal(&net, &other), "%s: moved to where it was",
			     s->ops->name);
		rng_u64(rng);
		arena_rewind(a, mark);
	}
}

Test(conformance_space, moves)
{
	each_space(check_move);
}

/* Two canonical genomes are equal exactly if their networks are: among neighbours, where
 * genes without effect show. */
static void check_equality(const struct space *s, struct rng *rng, struct arena *a)
{
	size_t equal = 0;

	for (int i = 0; i < 60; i++) {
		struct arena_mark mark = arena_mark(a);
		uint32_t gene[GENES_MAX], near[GENES_MAX];
		struct network net, other;

		space_sample(s, rng, gene);
		space_decode(s, gene, a, &net);
		for (size_t k = 0; k < s->n_genes; k++)
			for (uint32_t v = 0; v < s->gene[k].n_values; v++) {
				struct arena_mark inner = arena_mark(a);

				memcpy(near, gene, sizeof near);
				near[k] = v;
				s->ops->canonical(s, near);
				space_decode(s, near, a, &other);
				cr_assert_eq(same_genes(s, gene, near), network_equal(&net, &other),
					     "%s: %s", s->ops->name, s->gene[k].name);
				equal += same_genes(s, gene, near) && v != gene[k];
				arena_rewind(a, inner);
			}
		arena_rewind(a, mark);
	}
	cr_log_info("%s: %zu neighbours mean the same", s->ops->name, equal);
}

Test(conformance_space, equal_genes_are_equal_networks)
{
	each_space(check_equality);
}

/* ---- as JSON ---------------------------------------------------------------------------- */

/* What is written names each gene with its value: the genome can be read back. */
static void check_json(const struct space *s, struct rng *rng, struct arena *a)
{
	static char text[1 << 16];
	struct nasc_err err = { 0 };

	(void)a;
	for (int i = 0; i < 50; i++) {
		uint32_t gene[GENES_MAX];
		struct json_writer w;
		FILE *fp = fmemopen(text, sizeof text, "w");
		struct cJSON *json = NULL;

		space_sample(s, rng, gene);
		json_init(&w, fp, true);
		space_write_genes(s, gene, &w, NULL);
		fclose(fp);
		cr_assert_eq(json_parse("genes", text, strlen(text), &json, &err), NASC_OK, "%s",
			     err.msg);
		cr_assert_eq((size_t)cJSON_GetArraySize(json), s->n_genes);
		for (size_t k = 0; k < s->n_genes; k++) {
			const struct space_gene *g = &s->gene[k];
			const cJSON *v = cJSON_GetObjectItemCaseSensitive(json, g->name);

			cr_assert_not_null(v, "%s", g->name);
			if (g->choice)
				cr_assert_str_eq(v->valuestring, g->choice[gene[k]]);
			else
				cr_assert_eq((int64_t)v->valuedouble, g->value[gene[k]]);
		}
		cJSON_Delete(json);
	}
}

Test(conformance_space, json_names_every_gene)
{
	each_space(check_json);
}

/* ---- behind a strategy ---------------------------------------------------------------------- */

static void canonical_vector(double *x, void *ctx)
{
	const struct space *s = ctx;
	uint32_t gene[GENES_MAX];

	for (size_t i = 0; i < s->n_genes; i++)
		gene[i] = (uint32_t)x[i];
	s->ops->canonical(s, gene);
	for (size_t i = 0; i < s->n_genes; i++)
		x[i] = gene[i];
}

/* Parameters against multiply-accumulates: every network has both. */
static void size_of(const struct search_domain *d, const double *x, double *f, double *violation)
{
	const struct space *s = d->ctx;
	struct arena a = { 0 };
	uint32_t gene[GENES_MAX], again[GENES_MAX];
	struct cost c = { .per_op = NULL };
	struct nasc_err err = { 0 };
	struct costmodel m;
	struct network net;

	for (size_t i = 0; i < s->n_genes; i++) {
		cr_assert(x[i] >= 0 && x[i] < s->gene[i].n_values && x[i] == floor(x[i]));
		gene[i] = again[i] = (uint32_t)x[i];
	}
	s->ops->canonical(s, again);
	cr_assert(same_genes(s, gene, again));
	space_decode(s, gene, &a, &net);
	cr_assert_eq(costmodel_open(&m, costmodel_find("size"), &a, &err), NASC_OK);
	cr_assert_eq(m.ops->cost(&m, &net, &a, &c, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(c.value[0], (double)network_params(&net));
	cr_assert_eq(c.value[1], (double)network_macs(&net));
	f[0] = c.value[0];
	f[1] = -c.value[1];
	*violation = 0;
	arena_free(&a);
}

/* What every strategy's operators make of genes is legal. */
static void check_strategies(const struct space *s, struct rng *rng, struct arena *a)
{
	struct search_var *var = ARENA_NEW(a, struct search_var, s->n_genes);
	struct search_domain d = {
		s->n_genes, 2, var, canonical_vector, NULL, (void *)(uintptr_t)s
	};

	(void)rng;
	for (size_t i = 0; i < s->n_genes; i++)
		var[i] = (struct search_var){ 0, s->gene[i].n_values - 1.0, true };
	for (size_t row = 0; search_registry[row]; row++) {
		struct run r;

		run_open(&r, search_registry[row], NULL, &d, 600, 1);
		run_to(&r, size_of, 600);
		run_close(&r);
	}
}

Test(conformance_space, strategies_propose_legal_networks)
{
	each_space(check_strategies);
}
