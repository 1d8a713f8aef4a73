#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy.h"
#include "ranked.h"

/* Several proxies as one, by the sum of the logarithms of their ranks (ranked.h).
 * Which ones go together well: Abdelfattah et al., ICLR 2021 (arXiv 2101.08134) vote
 * with synflow, jacob_cov and snip; naswot in the place of snip ranks NAS-Bench-201
 * better. */

/* The proxies that there are, and the figure of each. */
#define PROXY_LIST(X)                                                                              \
	X(grad_norm, "grad_norm")                                                                  \
	X(jacob_cov, "jacob_cov")                                                                  \
	X(macs, "macs_proxy")                                                                      \
	X(naswot, "naswot")                                                                        \
	X(params, "params_proxy")                                                                  \
	X(snip, "snip")                                                                            \
	X(swap, "swap")                                                                            \
	X(synflow, "synflow")                                                                      \
	X(zen, "zen")                                                                              \
	X(zico, "zico")

#define X(name, figure) extern const struct evaluator_ops evaluator_##name;
PROXY_LIST(X)
#undef X

static const struct evaluator_ops *const all[] = {
#define X(name, figure) &evaluator_##name,
	PROXY_LIST(X)
#undef X
};
#define N_ALL (sizeof all / sizeof *all)

static const char *const names[N_ALL + 1] = {
#define X(name, figure) #name,
	PROXY_LIST(X)
#undef X
		NULL
};

static const struct metric ensemble_metrics[1 + N_ALL] = {
	{ "ensemble", "ensemble", UNIT_NONE, true, false,
	  "proxy: summed log-ranks of the members in a sample of the space" },
#define X(name, figure) { figure, figure, UNIT_NONE, true, false, "proxy: as " #name " alone" },
	PROXY_LIST(X)
#undef X
};

struct ensemble_cfg {
	uint64_t members;
	int64_t repeats, image_size, reference;
};
static const struct cfg_field ensemble_fields[] = {
	CFG_CHOICES_FIELD(struct ensemble_cfg, members, "[synflow, naswot, jacob_cov]", names,
			  "proxies, each with its own defaults"),
	CFG_INT_FIELD(struct ensemble_cfg, repeats, "1", 1, 1000, "times",
		      "initial weights that each member averages over"),
	CFG_INT_FIELD(struct ensemble_cfg, image_size, "0", 0, 4096, "pixels",
		      "height and width to run at; 0: the network's own input"),
	CFG_INT_FIELD(struct ensemble_cfg, reference, "64", 2, 100000, "networks",
		      "sample of the space that ranks are taken in"),
	CFG_END
};

struct ensemble { /* the evaluator's state */
	struct ranked *reference;
	struct proxy_cfg cfg[N_ALL];
};
struct team { /* a worker: one of each member */
	void *worker[N_ALL];
};

static bool is_member(const struct ensemble_cfg *cfg, size_t i)
{
	return cfg->members >> i & 1;
}

static const char *only_with(const void *cfg, size_t metric)
{
	static const char *const member[N_ALL] = {
#define X(name, figure) #name " among its members",
		PROXY_LIST(X)
#undef X
	};

	return metric == 0 || is_member(cfg, metric - 1) ? NULL : member[metric - 1];
}

static struct evaluator member_of(const struct evaluator *e, size_t i)
{
	struct evaluator m = *e;

	m.ops = all[i];
	m.cfg = &((struct ensemble *)e->state)->cfg[i];
	return m;
}

/* More is better in each. */
static enum eval_outcome values(struct evaluator *e, void *worker,
				const struct eval_request *request, struct eval_result *result,
				double *value)
{
	struct team *team = worker;
	size_t n = 0;

	for (size_t i = 0; i < N_ALL; i++) {
		struct evaluator m = member_of(e, i);
		struct eval_result own = { .value = { 0 } };
		enum eval_outcome outcome;

		if (!is_member(e->cfg, i))
			continue;
		outcome = m.ops->run(&m, team->worker[i], request, &own);
		if (outcome != EVAL_OK) {
			snprintf(result->why, sizeof result->why, "%s: %.200s", m.ops->name,
				 own.why);
			return outcome;
		}
		result->value[1 + i] = value[n++] = own.value[0];
	}
	return EVAL_OK;
}

static enum eval_outcome run(struct evaluator *e, void *worker, const struct eval_request *request,
			     struct eval_result *result)
{
	double value[N_ALL];

	return ranked_score(((struct ensemble *)e->state)->reference, e, worker, request, result,
			    value);
}

static enum nasc_status ensemble_open(struct evaluator *e, struct nasc_err *err)
{
	const struct ensemble_cfg *cfg = e->cfg;
	struct ensemble *s = ARENA_NEW(e->arena, struct ensemble, 1);

	if (!e->sample)
		return nasc_fail(err, NASC_CONFIG,
				 "an ensemble ranks within a space: there is none");
	for (size_t i = 0; i < N_ALL; i++) {
		cfg_defaults(all[i]->fields, e->arena, &s->cfg[i], sizeof s->cfg[i]);
		s->cfg[i].repeats = cfg->repeats;
		s->cfg[i].image_size = cfg->image_size;
	}
	e->state = s;
	s->reference = ranked_open((size_t)cfg->reference,
				   (size_t)__builtin_popcountll(cfg->members), values);
	return s->reference ? NASC_OK : nasc_fail(err, NASC_FAIL, "out of memory");
}

static void ensemble_close(struct evaluator *e)
{
	ranked_close(((struct ensemble *)e->state)->reference);
}

static void worker_close(struct evaluator *e, void *worker)
{
	struct team *team = worker;

	for (size_t i = 0; i < N_ALL; i++) {
		struct evaluator m = member_of(e, i);

		if (team->worker[i])
			m.ops->worker_close(&m, team->worker[i]);
	}
	free(team);
}

static enum nasc_status worker_open(struct evaluator *e, void **worker, struct nasc_err *err)
{
	struct team *team = *worker = calloc(1, sizeof *team);

	if (!team)
		return nasc_fail(err, NASC_FAIL, "out of memory");
	for (size_t i = 0; i < N_ALL; i++) {
		struct evaluator m = member_of(e, i);

		if (is_member(e->cfg, i) && m.ops->worker_open &&
		    m.ops->worker_open(&m, &team->worker[i], err)) {
			worker_close(e, team);
			return err->code;
		}
	}
	return NASC_OK;
}

const struct evaluator_ops evaluator_ensemble = {
	.name = "ensemble",
	.summary = "proxy: several proxies as one, by their ranks in a sample of the space",
	.source = "Lee & Ham, CVPR 2024, arXiv 2403.19232",
	.metric = ensemble_metrics,
	.n_metrics = 1 + N_ALL,
	.only_with = only_with,
	.provenance = "proxy: log-rank sum of proxies of the untrained network",
	.needs_data = true,
	.fields = ensemble_fields,
	.cfg_size = sizeof(struct ensemble_cfg),
	.machine = proxy_machine_bf16,
	.open = ensemble_open,
	.worker_open = worker_open,
	.run = run,
	.worker_close = worker_close,
	.close = ensemble_close,
};
