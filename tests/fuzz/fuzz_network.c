/* The input is a network's JSON. What is accepted must read back equal from what is written, keep
 * its invariants when it is folded and resized, and be costed. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "costmodels.h"
#include "json.h"
#include "network.h"

/* The order of execution and the folding are searched for, which takes its time. */
#define COSTED_OPS 16

static enum nasc_status parse(const char *text, size_t n, struct arena *a, struct network *out)
{
	struct nasc_err err = { 0 };
	struct cJSON *json = NULL;
	enum nasc_status status = json_parse("input", text, n, &json, &err);

	if (!status)
		status = network_from_json(json, a, out, &err);
	cJSON_Delete(json);
	if (status)
		must_say_why(&err, status);
	MUST(status == NASC_OK || status == NASC_DATA);
	return status;
}

static void check_shapes(const struct network *net)
{
	MUST(net->n_ops >= 2 && net->n_ops <= NETWORK_MAX_OPS && net->op[0].kind == NET_INPUT);
	MUST(network_macs(net) <= NETWORK_MAX_COUNT && network_params(net) <= NETWORK_MAX_COUNT);
	for (size_t i = 0; i < net->n_ops; i++) {
		MUST(net_elements(net->op[i].out) > 0);
		for (uint32_t e = 0; e < net->op[i].n_inputs; e++)
			MUST(network_inputs(net, i)[e] < i);
	}
	MUST(net_elements(net->op[net->n_ops - 1].out) == net->classes);
}

static void check_round_trip(const struct network *net, struct arena *a)
{
	struct json_writer w;
	struct network again;
	char *text = NULL;
	size_t n = 0;
	FILE *mem = open_memstream(&text, &n);

	MUST(mem);
	json_init(&w, mem, true);
	network_write_json(net, &w, NULL);
	fclose(mem);
	MUST(parse(text, n, a, &again) == NASC_OK);
	MUST(network_equal(net, &again) && strcmp(net->name, again.name) == 0);
	MUST(network_params(net) == network_params(&again));
	free(text);
}

static void check_derived(const struct network *net, struct arena *a)
{
	struct network folded, twice, resized;
	struct nasc_err err = { 0 };
	uint32_t *source = ARENA_NEW(a, uint32_t, net->n_ops);
	enum nasc_status status;

	network_fold(net, a, &folded, source);
	check_shapes(&folded);
	MUST(folded.classes == net->classes && network_macs(&folded) == network_macs(net));
	for (size_t i = 0; i < net->n_ops; i++)
		MUST(source[i] < folded.n_ops);
	network_fold(&folded, a, &twice, NULL);
	MUST(network_equal(&folded, &twice));
	status = network_resize(net, net->input.h, net->input.w, a, &resized, &err);
	MUST(status == NASC_OK && network_equal(net, &resized));
	status = network_resize(net, 9, 5, a, &resized, &err);
	if (status)
		must_say_why(&err, status);
	else
		check_shapes(&resized);
}

static void check_cost(const struct costmodel *m, const struct network *net, struct arena *a)
{
	struct cost cost = { .per_op = ARENA_NEW(a, double, net->n_ops * m->ops->n_metrics) };
	struct nasc_err err = { 0 };
	enum nasc_status status = m->ops->cost(m, net, a, &cost, &err);

	if (status) {
		must_say_why(&err, status);
		MUST(status == NASC_INFEASIBLE);
		return;
	}
	for (size_t i = 0; i < m->ops->n_metrics; i++)
		MUST(isnan(cost.value[i]) || (cost.value[i] >= 0 && isfinite(cost.value[i])));
	for (size_t i = 0; i < net->n_ops * m->ops->n_metrics; i++)
		MUST(isnan(cost.per_op[i]) || cost.per_op[i] >= 0);
}

/* By every model: sizes, a board and a device. */
static void check_costs(const struct network *net, struct arena *a)
{
	static const char *const target[] = { "stm32f746", "zu3eg" };
	static struct arena forever;
	static struct costmodel model[3];
	struct nasc_err err = { 0 };

	if (!model[0].ops) {
		MUST(costmodel_open(&model[0], costmodel_find("size"), &forever, &err) == NASC_OK);
		for (size_t i = 0; i < 2; i++)
			MUST(target_open(&model[1 + i], SOURCE "/configs/targets", target[i],
					 &forever, &err) == NASC_OK);
	}
	for (size_t i = 0; i < 3; i++)
		check_cost(&model[i], net, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena arena;
	struct arena_mark start = arena_mark(&arena);
	struct network net;

	if (parse((const char *)data, size, &arena, &net) == NASC_OK) {
		check_shapes(&net);
		check_round_trip(&net, &arena);
		check_derived(&net, &arena);
		if (net.n_ops <= COSTED_OPS)
			check_costs(&net, &arena);
	}
	arena_rewind(&arena, start);
	return 0;
}
