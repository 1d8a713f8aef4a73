/* Successive halving (Jamieson & Talwalkar, AISTATS 2016) between a strategy's ask and tell: a
 * batch is trained to the first rung, the best of it to the next, and so on. Who goes on is
 * decided batch by batch, out of scores that are all in the journal. With brackets (Hyperband)
 * some candidates pass the first rungs without being compared. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"

/* Results of a rung that a new one is compared with: the latest. */
#define RESULTS_KEPT 300

static const char *const signal_names[] = { "auto", "loss", "error", NULL };

const struct cfg_field fidelity_fields[] = {
	CFG_LIST_FIELD(
		struct fidelity_cfg, epochs, "[]", 1, 10000, "epochs",
		"at which candidates are compared on the way to the evaluator's own; []: all "
		"are trained in one go"),
	CFG_LIST_FIELD(struct fidelity_cfg, image_size, "[]", 0, 4096, "pixels",
		       "height and width until then, one for all or one each; 0: as the "
		       "evaluator has it"),
	CFG_INT_FIELD(struct fidelity_cfg, reduction, "3", 2, 1000, "candidates",
		      "of which one goes on to the next rung"),
	CFG_INT_FIELD(struct fidelity_cfg, brackets, "1", 1, EVAL_MAX_RUNGS + 1, "brackets",
		      "Hyperband's: a candidate of bracket k is not compared before rung k; 1: all "
		      "are compared at every rung they reach"),
	CFG_CHOICE_FIELD(struct fidelity_cfg, signal, "auto", signal_names,
			 "compared beside the other objectives: sum of the training losses, or "
			 "validation error; auto: loss where the evaluator tells it"),
	CFG_UNSCORED_REAL_FIELD(struct fidelity_cfg, disk, "1 GiB", 0, 1099511627776.0, UNIT_BYTE,
				"",
				"of checkpoints beside the results; candidates without one begin "
				"anew"),
	CFG_END
};

/* ---- the plan ---------------------------------------------------------------- */

static enum nasc_status fault(const struct study *s, const char *key, const char *text,
			      struct nasc_err *err)
{
	const struct yaml_node *section = yaml_get(s->config->doc.root, "fidelity");
	const struct yaml_node *node = yaml_get(section, key);

	return config_fail(&s->config->doc, node ? node->line : section->line, err,
			   "fidelity: %s: %s", key, text);
}

static enum nasc_status check_evaluator(const struct study *s, struct nasc_err *err)
{
	const struct study_config *c = s->config;
	const struct evaluator_ops *e = c->evaluator;
	char text[256], *at = text, *end = text + sizeof text;

	if (!e)
		return fault(s, "epochs", "there is no 'evaluator' that trains", err);
	if (!e->epochs) {
		at += snprintf(at, (size_t)(end - at), "evaluator '%s' trains nothing in parts;",
			       e->name);
		for (size_t i = 0; evaluator_registry[i]; i++)
			if (evaluator_registry[i]->epochs && at < end)
				at += snprintf(at, (size_t)(end - at), " %s",
					       evaluator_registry[i]->name);
		if (at < end)
			snprintf(at, (size_t)(end - at), " can");
		return fault(s, "epochs", text, err);
	}
	if (!e->in_parts && c->fidelity.image_size.n) {
		snprintf(text, sizeof text, "evaluator '%s' is told no image size; leave it out",
			 e->name);
		return fault(s, "image_size", text, err);
	}
	if (!e->in_parts && c->fidelity.signal == SIGNAL_LOSS) {
		snprintf(text, sizeof text,
			 "evaluator '%s' does not tell its losses; 'auto' "
			 "and 'error' are right",
			 e->name);
		return fault(s, "signal", text, err);
	}
	return NASC_OK;
}

static enum nasc_status check_epochs(const struct study *s, struct nasc_err *err)
{
	const struct cfg_ints *epochs = &s->config->fidelity.epochs;
	double whole = s->config->evaluator->epochs(s->config->evaluator_cfg);
	char text[160] = "";

	if (epochs->n > EVAL_MAX_RUNGS)
		snprintf(text, sizeof text, "%zu rungs, at most %d are right", epochs->n,
			 EVAL_MAX_RUNGS);
	for (size_t i = 1; i < epochs->n && !*text; i++)
		if (epochs->v[i] <= epochs->v[i - 1])
			snprintf(text, sizeof text, "%lld behind %lld; they must rise",
				 (long long)epochs->v[i], (long long)epochs->v[i - 1]);
	if (!*text && (double)epochs->v[epochs->n - 1] >= whole)
		snprintf(text, sizeof text,
			 "%lld is not below the evaluator's own %g, which come behind them by "
			 "themselves",
			 (long long)epochs->v[epochs->n - 1], whole);
	return *text ? fault(s, "epochs", text, err) : NASC_OK;
}

enum nasc_status fidelity_open(struct study *s, struct nasc_err *err)
{
	const struct fidelity_cfg *c = &s->config->fidelity;
	char text[96];

	if (c->epochs.n == 0 && c->image_size.n)
		return fault(s, "image_size", "there are no 'epochs' at which to change it", err);
	if (c->epochs.n == 0 && c->brackets > 1)
		return fault(s, "brackets", "there are no 'epochs' that some could pass", err);
	if (c->epochs.n == 0)
		return NASC_OK;
	if (check_evaluator(s, err) || check_epochs(s, err))
		return err->code;
	if (c->image_size.n > 1 && c->image_size.n != c->epochs.n) {
		snprintf(text, sizeof text,
			 "%zu numbers for %zu rungs; one for all or one each is right",
			 c->image_size.n, c->epochs.n);
		return fault(s, "image_size", text, err);
	}
	if ((size_t)c->brackets > c->epochs.n + 1) {
		snprintf(text, sizeof text, "%lld for %zu rungs; one more than these at most",
			 (long long)c->brackets, c->epochs.n);
		return fault(s, "brackets", text, err);
	}
	s->rungs.n = c->epochs.n;
	for (size_t i = 0; i < c->epochs.n; i++) {
		s->rungs.epochs[i] = c->epochs.v[i];
		if (c->image_size.n)
			s->rungs.image_size[i] = c->image_size.v[c->image_size.n > 1 ? i : 0];
	}
	return NASC_OK;
}

/* Of all candidates, how many belong to @bracket. */
static double bracket_share(const struct study *s, size_t bracket)
{
	const struct fidelity_cfg *c = &s->config->fidelity;
	double sum = 0, share = 0;

	for (size_t b = 0; b < (size_t)c->brackets; b++) {
		double halvings = (double)(s->rungs.n - b);
		double weight = pow((double)c->reduction, halvings) / (halvings + 1);

		sum += weight;
		share = b == bracket ? weight : share;
	}
	return share / sum;
}

size_t fidelity_bracket(struct fidelity *f)
{
	double most = 0;
	size_t next = 0;

	f->begun++;
	for (size_t b = 0; b < (size_t)f->study->config->fidelity.brackets; b++) {
		double missing =
			bracket_share(f->study, b) * (double)f->begun - (double)f->in_bracket[b];

		if (missing > most) {
			most = missing;
			next = b;
		}
	}
	f->in_bracket[next]++;
	return next;
}

uint64_t fidelity_most(const struct study *s, uint64_t n, size_t rung)
{
	const struct fidelity_cfg *c = &s->config->fidelity;
	uint64_t compared = 0, most = 0; /* at a rung; that and those who pass it */

	for (size_t i = 0; i <= rung; i++) {
		compared /= (uint64_t)c->reduction;
		most = compared;
		for (size_t b = i; b < (size_t)c->brackets; b++) {
			uint64_t begin =
				c->brackets == 1
					? n
					: (uint64_t)ceil(bracket_share(s, b) * (double)n - 1e-6);

			most += begin;
			compared += b == i ? begin : 0;
		}
	}
	return most < n ? most : n;
}

double fidelity_epochs(const struct study *s, size_t rung)
{
	return rung < s->rungs.n ? (double)s->rungs.epochs[rung]
				 : s->config->evaluator->epochs(s->config->evaluator_cfg);
}

const char *fidelity_provenance(const struct study *s, const char *provenance)
{
	char rungs[EVAL_MAX_RUNGS * 24] = "", *text;
	size_t n = strlen(provenance) + sizeof rungs + 64;

	if (s->rungs.n == 0)
		return provenance;
	for (size_t i = 0, at = 0; i < s->rungs.n; i++)
		at += (size_t)snprintf(rungs + at, sizeof rungs - at, "%s%lld",
				       i == 0		     ? ""
				       : i + 1 == s->rungs.n ? " and "
							     : ", ",
				       (long long)s->rungs.epochs[i]);
	text = ARENA_NEW(s->arena, char, n);
	snprintf(text, n, "%s; rung %zu of %zu, all %g epochs, behind rungs of %s", provenance,
		 s->rungs.n + 1, s->rungs.n + 1, fidelity_epochs(s, s->rungs.n), rungs);
	return text;
}

/* ---- who goes on --------------------------------------------------------------- */

static bool goes_by_loss(const struct study *s)
{
	int64_t signal = s->config->fidelity.signal;

	return signal == SIGNAL_LOSS || (signal == SIGNAL_AUTO && s->config->evaluator->in_parts);
}

/* The signal stands for these. */
static bool is_error(const struct study_metric *m)
{
	return m->dear && (!strcmp(m->metric->key, "error") || !strcmp(m->metric->key, "accuracy"));
}

void fidelity_init(struct fidelity *f, const struct study *s, size_t batch, struct arena *a)
{
	*f = (struct fidelity){ .study = s, .n_columns = 1 };
	for (size_t k = 0; k < s->n_objectives; k++)
		f->n_columns += !is_error(&s->metric[s->objective[k]]);
	for (size_t i = 0; i < s->rungs.n; i++) {
		struct rung_results *r = &f->rung[i];

		r->most = batch > RESULTS_KEPT ? batch : RESULTS_KEPT;
		r->f = ARENA_NEW(a, double, r->most * f->n_columns);
	}
}

static double signal_of(const struct study *s, const struct candidate *c)
{
	size_t i = 0;

	if (goes_by_loss(s))
		return c->loss;
	while (!is_error(&s->metric[i]))
		i++;
	return s->metric[i].metric->maximise ? -c->value[i] : c->value[i];
}

static void add_result(struct fidelity *f, struct rung_results *r, const struct candidate *c)
{
	const struct study *s = f->study;
	double *row = r->f + r->n++ % r->most * f->n_columns;

	for (size_t k = 0; k < s->n_objectives; k++) {
		double v = c->value[s->objective[k]];

		if (!is_error(&s->metric[s->objective[k]]))
			*row++ = s->maximise[k] ? -v : v;
	}
	*row = signal_of(s, c);
}

size_t fidelity_promote(struct fidelity *f, size_t rung, struct candidate *const *batch, size_t n,
			struct candidate **up, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	struct rung_results *r = &f->rung[rung];
	uint64_t reduction = (uint64_t)f->study->config->fidelity.reduction, first = r->n, room;
	size_t kept, most, n_up = 0;
	bool *goes = ARENA_NEW(scratch, bool, n);
	size_t *at = ARENA_NEW(scratch, size_t, n); /* in batch, of each new result */
	uint32_t *order;

	for (size_t i = 0; i < n; i++)
		if (!batch[i]->why) {
			at[r->n - first] = i;
			add_result(f, r, batch[i]);
		}
	kept = r->n < r->most ? (size_t)r->n : r->most;
	most = kept / (size_t)reduction;
	order = ARENA_NEW(scratch, uint32_t, most);
	search_spread(r->f, kept, f->n_columns, most, order, scratch);
	room = r->n / reduction - r->promoted;
	for (size_t i = 0; i < most && room; i++) {
		/* the last number that has this place */
		uint64_t number = r->n - 1 - (r->n - 1 - order[i]) % r->most;

		if (number < first)
			continue;
		goes[at[number - first]] = true;
		room--;
	}
	for (size_t i = 0; i < n; i++)
		if (goes[i])
			up[n_up++] = batch[i];
	r->promoted += n_up;
	arena_rewind(scratch, mark);
	return n_up;
}

/* Who of the n of @at goes on from @rung, into @up: those of a later bracket, and the best of
 * those that are compared. */
static size_t go_on(struct loop *l, size_t rung, struct candidate *const *at, size_t n,
		    struct candidate **up)
{
	struct candidate **compared = ARENA_NEW(&l->round, struct candidate *, n);
	struct candidate **best = ARENA_NEW(&l->round, struct candidate *, n);
	size_t n_compared = 0, n_best, n_up = 0;

	for (size_t i = 0; i < n; i++)
		if (at[i]->bracket <= rung)
			compared[n_compared++] = at[i];
	n_best = fidelity_promote(&l->fidelity, rung, compared, n_compared, best, &l->round);
	for (size_t i = 0, k = 0; i < n; i++) {
		bool is_best = k < n_best && at[i] == best[k];

		k += is_best;
		if (is_best || (at[i]->bracket > rung && !at[i]->why))
			up[n_up++] = at[i];
	}
	return n_up;
}

enum nasc_status fidelity_climb(struct loop *l, struct candidate *const *fresh, size_t n,
				struct nasc_err *err)
{
	struct candidate **up = ARENA_NEW(&l->round, struct candidate *, n);
	struct candidate **at = ARENA_NEW(&l->round, struct candidate *, n);
	size_t rungs = l->study->rungs.n, n_at = 0;

	for (size_t i = 0; i < n && rungs; i++)
		if (fresh[i]->trained) {
			fresh[i]->bracket = fidelity_bracket(&l->fidelity);
			at[n_at++] = fresh[i];
		}
	for (size_t rung = 0; rung <= rungs && n_at; rung++) {
		struct candidate **was = at;
		size_t n_up = rung < rungs ? go_on(l, rung, at, n_at, up) : 0;

		for (size_t i = 0, k = 0; i < n_at; i++) {
			if (k < n_up && at[i] == up[k])
				k++;
			else
				scorer_drop_state(l->scorer, at[i]);
		}
		if (n_up && score_batch(l, up, n_up, rung + 1, err))
			return err->code;
		at = up;
		up = was;
		n_at = n_up;
	}
	return NASC_OK;
}
