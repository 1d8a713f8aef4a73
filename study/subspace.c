/* TinyNAS's first stage: which part of a space suits the bounds best, before anything is
 * searched. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "private.h"

/* Part of the networks. Where fewer fit, a search would spend itself on those that do not, and the
 * mean is of few: such sub-spaces stand behind the others. */
#define FIT_LEAST 0.02

struct ranking {
	const struct study *study;
	size_t networks;
	struct subspaces *out;
	struct arena *scratch; /* of each worker */
};

static const struct cfg_ints *axis_values(const struct study *s, const struct cfg_field *axis)
{
	return (const void *)((const char *)s->config->space_cfg + axis->offset);
}

static enum nasc_status find_axes(const struct study *s, struct subspaces *out,
				  struct nasc_err *err)
{
	const struct space_ops *ops = s->space.ops;
	const struct yaml_doc *doc = &s->config->doc;
	char keys[128] = "";

	*out = (struct subspaces){ .n = 1 };
	for (size_t i = 0; i < SPACE_MAX_AXES && ops->axis[i]; i++) {
		const struct cfg_field *axis = ops->fields;
		size_t at = strlen(keys);

		while (strcmp(axis->key, ops->axis[i]) != 0)
			axis++;
		snprintf(keys + at, sizeof keys - at, "%s'%s'", at ? " nor " : "", axis->key);
		if (axis_values(s, axis)->n == 1)
			continue;
		out->axis[out->n_axes++] = axis;
		out->n *= axis_values(s, axis)->n;
	}
	if (out->n_axes)
		return NASC_OK;
	if (!*keys)
		return config_fail(doc, yaml_get(doc->root, "space")->line, err,
				   "space: '%s' has no sub-spaces to rank", ops->name);
	return config_fail(doc, yaml_get(doc->root, "space")->line, err,
			   "space: neither %s has more than one value: there is one sub-space only",
			   keys);
}

/* The space with the values of @row alone, in @a. NASC_CONFIG: it has no network. */
static enum nasc_status subspace_open(const struct study *s, const struct subspaces *all,
				      const struct subspace *row, struct arena *a,
				      struct space *space)
{
	const struct space_ops *ops = s->space.ops;
	char *cfg = arena_alloc(a, 1, ops->cfg_size, 16);
	struct nasc_err ignored = { 0 };

	memcpy(cfg, s->config->space_cfg, ops->cfg_size);
	for (size_t i = 0; i < all->n_axes; i++)
		*(struct cfg_ints *)(void *)(cfg + all->axis[i]->offset) =
			(struct cfg_ints){ .n = 1, .v = { row->value[i] } };
	return space_open(space, ops, cfg, s->input, s->classes, a, &ignored);
}

static bool fits(const struct study *s, const struct network *net, struct arena *a)
{
	double value[STUDY_MAX_METRICS];
	uint64_t bounds;
	struct nasc_err ignored = { 0 };

	return !study_costs(s, net, a, value, &bounds, &ignored) &&
	       !study_unknown(s, value, false) && study_violation(s, value, false, NULL) == 0;
}

static void sample_one(void *ctx, unsigned worker, size_t i)
{
	const struct ranking *r = ctx;
	const struct study *s = r->study;
	struct subspace *row = &r->out->row[i];
	struct arena *a = &r->scratch[worker];
	struct arena_mark all = arena_mark(a), mark;
	struct space space;
	struct rng rng;
	uint32_t *gene;

	if (subspace_open(s, r->out, row, a, &space)) {
		arena_rewind(a, all);
		return;
	}
	rng_stream(&rng, s->config->seed, RNG_SUBSPACE, i);
	gene = ARENA_NEW(a, uint32_t, space.n_genes);
	mark = arena_mark(a);
	for (size_t k = 0; k < r->networks; k++) {
		struct network net;

		space_sample(&space, &rng, gene);
		space_decode(&space, gene, a, &net);
		if (fits(s, &net, a))
			row->macs[row->n_fit++] = (double)network_macs(&net);
		arena_rewind(a, mark);
	}
	arena_rewind(a, all);
}

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Equal ones by the values of their axes. */
static int best_first(const void *a, const void *b)
{
	const struct subspace *p = a, *q = b;

	if (p->standing != q->standing)
		return p->standing < q->standing ? 1 : -1;
	if (p->mean < q->mean || p->mean > q->mean)
		return p->mean < q->mean ? 1 : -1;
	for (size_t i = 0; i < SPACE_MAX_AXES; i++)
		if (p->value[i] != q->value[i])
			return p->value[i] < q->value[i] ? -1 : 1;
	return 0;
}

static void summarise(struct subspace *row, size_t networks)
{
	double sum = 0;

	qsort(row->macs, row->n_fit, sizeof *row->macs, by_number);
	for (size_t i = 0; i < row->n_fit; i++)
		sum += row->macs[i];
	row->standing = (row->n_fit > 0) + ((double)row->n_fit >= FIT_LEAST * (double)networks);
	row->mean = row->n_fit ? sum / (double)row->n_fit : (double)NAN;
}

/* The last axis runs fastest. */
static void set_values(const struct study *s, const struct subspaces *all, size_t at,
		       struct subspace *row)
{
	for (size_t i = all->n_axes; i-- > 0;) {
		const struct cfg_ints *values = axis_values(s, all->axis[i]);

		row->value[i] = values->v[at % values->n];
		at /= values->n;
	}
}

enum nasc_status study_rank_subspaces(const struct study *s, size_t networks, unsigned jobs,
				      struct arena *a, struct subspaces *out, struct nasc_err *err)
{
	struct ranking r = { .study = s, .networks = networks, .out = out };
	struct pool *pool;

	if (find_axes(s, out, err) || pool_open(&pool, jobs, err))
		return err->code;
	out->row = ARENA_NEW(a, struct subspace, out->n);
	for (size_t i = 0; i < out->n; i++) {
		out->row[i].macs = ARENA_NEW(a, double, networks);
		set_values(s, out, i, &out->row[i]);
	}
	r.scratch = ARENA_NEW(a, struct arena, jobs);
	pool_run(pool, out->n, sample_one, &r);
	pool_close(pool);
	for (unsigned i = 0; i < jobs; i++)
		arena_free(&r.scratch[i]);
	for (size_t i = 0; i < out->n; i++)
		summarise(&out->row[i], networks);
	qsort(out->row, out->n, sizeof *out->row, best_first);
	if (out->row[0].n_fit == 0)
		return nasc_fail(err, NASC_INFEASIBLE,
				 "none of %zu networks of each of %zu sub-spaces kept every "
				 "constraint; see what they break: nasc space %s --sample 20",
				 networks, out->n, s->config->doc.file);
	return NASC_OK;
}

double subspace_quantile(const struct subspace *row, double p)
{
	if (row->n_fit == 0)
		return NAN;
	return row->macs[(size_t)ceil(p * (double)row->n_fit) - 1];
}
