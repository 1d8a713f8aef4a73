#include <dirent.h>

#include "cost_fixture.h"
#include "space.h"

/* The contract of costmodels.h, for every model of the registry and every target file. */
TestSuite(conformance_costmodels, .fini = no_leaks);

#define NETWORKS_MAX 96
struct networks {
	struct arena arena;
	size_t n;
	struct network net[NETWORKS_MAX];
};

static struct network *next(struct networks *all)
{
	cr_assert_lt(all->n, NETWORKS_MAX);
	return &all->net[all->n++];
}

static void add_samples(struct networks *all, const struct space_ops *ops, struct net_shape input)
{
	void *cfg = arena_alloc(&all->arena, 1, ops->cfg_size, alignof(max_align_t));
	struct nasc_err err = { 0 };
	struct space s;
	struct rng rng;
	uint32_t *gene;

	cfg_defaults(ops->fields, &all->arena, cfg, ops->cfg_size);
	cr_assert_eq(space_open(&s, ops, cfg, input, 10, &all->arena, &err), NASC_OK, "%s",
		     err.msg);
	gene = ARENA_NEW(&all->arena, uint32_t, s.n_genes);
	rng_seed(&rng, 3, 4);
	for (size_t i = 0; i < 12; i++) {
		space_sample(&s, &rng, gene);
		space_decode(&s, gene, &all->arena, next(all));
	}
}

static void add_files(struct networks *all)
{
	char dir[1024], path[2048];
	DIR *d = opendir(source_path("configs/networks", dir, sizeof dir));
	const struct dirent *entry;
	struct nasc_err err = { 0 };
	size_t before = all->n;

	cr_assert_not_null(d);
	while ((entry = readdir(d)) != NULL) {
		if (!strstr(entry->d_name, ".json"))
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
		cr_assert_eq(network_load(path, &all->arena, next(all), &err), NASC_OK, "%s",
			     err.msg);
	}
	closedir(d);
	cr_assert_gt(all->n, before);
}

/* What is published, what is shipped, samples of every space, and two that are extreme:
 * nothing to compute, and the same tensor read twice. */
static void add_all(struct networks *all)
{
	struct network *net;

	*all = (struct networks){ .n = 0 };
	resnet8(next(all), &all->arena);
	ds_cnn(next(all), &all->arena);
	mobilenet_v1(next(all), &all->arena);
	mobilenet_v2(next(all), &all->arena);
	autoencoder(next(all), &all->arena);
	add_files(all);
	for (size_t i = 0; space_registry[i]; i++) {
		add_samples(all, space_registry[i], (struct net_shape){ 28, 28, 1 });
		add_samples(all, space_registry[i], (struct net_shape){ 33, 47, 3 });
	}
	net = next(all);
	network_init(net, &all->arena, (struct net_shape){ 5, 5, 2 });
	network_unary(net, NET_SOFTMAX, 0);
	infer(net);
	net = next(all);
	network_init(net, &all->arena, (struct net_shape){ 5, 5, 2 });
	network_dense(net, network_merge(net, NET_ADD, (uint32_t[]){ 0, 0 }, 2), 3, false);
	infer(net);
}

/* ---- one network ------------------------------------------------------------------------ */

/* Rows add up, but for what costmodels.h excepts. */
static void check_rows(const struct costmodel *m, const struct network *net, const struct cost *c)
{
	bool fpga = strcmp(m->ops->name, "fpga") == 0;

	for (size_t k = 0; k < m->ops->n_metrics; k++) {
		const struct metric *metric = &m->ops->metric[k];
		bool memory = strncmp(metric->name, "sram", 4) == 0;
		const char *from = m->ops->provenance(m, k);
		bool at_once =
			fpga && (metric->dim == UNIT_SECOND || strcmp(metric->name, "cycles") == 0);
		double value = c->value[k], sum = 0, most = 0;

		for (size_t op = 0; op < net->n_ops; op++) {
			double row = c->per_op[op * m->ops->n_metrics + k];

			if (!metric->per_op)
				cr_assert(isnan(row), "%s: %s", m->model, metric->key);
			else if (isnan(value)) /* zero where folded away */
				cr_assert(isnan(row) || row == 0, "%s: %s", m->model, metric->key);
			else
				cr_assert_geq(row, 0, "%s: %s", m->model, metric->key);
			sum += row;
			most = fmax(most, row);
		}
		if (!metric->per_op || isnan(value))
			continue;
		if (memory && strstr(from, "least peak"))
			cr_assert_eq(most, value, "%s: %s", m->model, metric->key);
		else if (memory) /* gaps, and buffers beside */
			cr_assert_leq(most, value, "%s: %s", m->model, metric->key);
		else if (at_once)
			cr_assert_leq(most, value * (1 + 1e-12), "%s: %s", m->model, metric->key);
		else if (strcmp(metric->name, "flash") == 0)
			cr_assert_leq(sum, value, "%s: %s", m->model, metric->key);
		else
			cr_assert_float_eq(sum, value, 1e-9 * value, "%s: %s: %.17g, not %.17g",
					   m->model, metric->key, sum, value);
	}
}

/* Figures or a reason why there are none; the same ones again, with rows or without. */
static bool check_cost(const struct costmodel *m, const struct network *net, struct arena *a)
{
	struct arena_mark mark = arena_mark(a);
	size_t rows = net->n_ops * m->ops->n_metrics;
	struct cost c = { .per_op = ARENA_NEW(a, double, rows) }, again;
	struct nasc_err err = { 0 };
	enum nasc_status st;

	memset(&again, 0x7f, sizeof again);
	again.per_op = NULL;
	for (size_t i = 0; i < rows; i++)
		c.per_op[i] = -1;
	st = m->ops->cost(m, net, a, &c, &err);
	cr_assert_eq(m->ops->cost(m, net, a, &again, &err), st);
	if (st) {
		cr_assert_eq(st, NASC_INFEASIBLE, "%s: %s", m->target, err.msg);
		cr_assert_gt(strlen(err.msg), 10);
		arena_rewind(a, mark);
		return false;
	}
	for (size_t k = 0; k < m->ops->n_metrics; k++) {
		cr_assert(isnan(c.value[k]) || (isfinite(c.value[k]) && c.value[k] >= 0),
			  "%s: %s %g", m->model, m->ops->metric[k].key, c.value[k]);
		cr_assert_arr_eq(&c.value[k], &again.value[k], sizeof(double), "%s: %s", m->model,
				 m->ops->metric[k].key);
		cr_assert_eq(c.bound[k], again.bound[k]);
	}
	check_rows(m, net, &c);
	arena_rewind(a, mark);
	return true;
}

/* Which figures a target knows does not depend on the network. */
static void check_unknown(const struct costmodel *m, const struct networks *all, struct arena *a)
{
	struct cost first = { .per_op = NULL };
	bool any = false;

	for (size_t i = 0; i < all->n; i++) {
		struct cost c = { .per_op = NULL };
		struct nasc_err err = { 0 };

		if (m->ops->cost(m, &all->net[i], a, &c, &err))
			continue;
		if (!any)
			first = c;
		any = true;
		for (size_t k = 0; k < m->ops->n_metrics; k++)
			cr_assert_eq(isnan(c.value[k]), isnan(first.value[k]), "%s: %s", m->target,
				     m->ops->metric[k].key);
	}
}

static void check_model(const struct costmodel *m, const struct networks *all, struct arena *a)
{
	struct cost_limit limit[COST_MAX_METRICS];
	size_t n_limits, costed = 0;

	for (size_t i = 0; i < all->n; i++)
		costed += check_cost(m, &all->net[i], a);
	cr_assert_gt(2 * costed, all->n, "%s: most networks have no figures", m->target);
	check_unknown(m, all, a);
	for (size_t k = 0; k < m->ops->n_metrics; k++) {
		const char *text = m->ops->provenance(m, k);

		if (!text) /* this target has no such figure */
			continue;
		cr_assert(strncmp(text, "predicted: ", 11) == 0 || strncmp(text, "counted", 7) == 0,
			  "%s: %s: %s", m->target, m->ops->metric[k].key, text);
	}
	n_limits = m->ops->limits ? m->ops->limits(m, limit) : 0;
	cr_assert_leq(n_limits, COST_MAX_METRICS);
	for (size_t i = 0; i < n_limits; i++) {
		cr_assert_lt(limit[i].metric, m->ops->n_metrics);
		cr_assert(limit[i].max > 0 && isfinite(limit[i].max), "%s", m->target);
		for (size_t k = 0; k < i; k++)
			cr_assert_neq(limit[k].metric, limit[i].metric);
	}
}

/* ---- every model and target ------------------------------------------------------------------ */

Test(conformance_costmodels, models_without_target)
{
	static struct networks all;
	size_t opened = 0;

	add_all(&all);
	for (size_t i = 0; costmodel_registry[i]; i++) {
		struct arena a = { 0 };
		struct nasc_err err = { 0 };
		struct costmodel m;
		bool needs_target = costmodel_registry[i]->fields != NULL;

		cr_assert_eq(costmodel_open(&m, costmodel_registry[i], &a, &err),
			     needs_target ? NASC_CONFIG : NASC_OK, "%s", err.msg);
		if (!needs_target) {
			cr_assert_str_eq(m.target, "");
			cr_assert_str_eq(m.model, costmodel_registry[i]->name);
			check_model(&m, &all, &a);
			opened++;
		}
		arena_free(&a);
	}
	cr_assert_gt(opened, 0);
	arena_free(&all.arena);
}

/* Of every model with keys there is a target that is tested. */
Test(conformance_costmodels, every_target)
{
	static struct networks all;
	struct arena names = { 0 };
	struct nasc_err err = { 0 };
	bool seen[16] = { false };
	const char **name;
	char dir[1024];
	size_t n;

	add_all(&all);
	cr_assert_eq(target_list(source_path("configs/targets", dir, sizeof dir), &names, &name, &n,
				 &err),
		     NASC_OK, "%s", err.msg);
	for (size_t i = 0; i < n; i++) {
		struct arena a = { 0 };
		struct costmodel m;

		open_target(&m, name[i], &a);
		cr_assert_str_eq(m.target, name[i]);
		cr_assert_gt(strlen(m.summary), 10);
		cr_assert_eq(strncmp(m.model, m.ops->name, strlen(m.ops->name)), 0, "%s", m.model);
		check_model(&m, &all, &a);
		for (size_t k = 0; costmodel_registry[k]; k++)
			seen[k] |= costmodel_registry[k] == m.ops;
		arena_free(&a);
	}
	for (size_t k = 0; costmodel_registry[k]; k++)
		cr_assert_eq(seen[k], costmodel_registry[k]->fields != NULL, "%s",
			     costmodel_registry[k]->name);
	arena_free(&names);
	arena_free(&all.arena);
}
