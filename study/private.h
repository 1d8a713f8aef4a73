#ifndef NASC_STUDY_PRIVATE_H
#define NASC_STUDY_PRIVATE_H
#include <stdatomic.h>
#include <stdint.h>

#include "json.h"
#include "study.h"

/* ---- screen.c ------------------------------------------------------------------- */
extern const struct cfg_field surrogate_fields[];
/* Can the strategy be screened, and for what? NASC_CONFIG: no. */
enum nasc_status screen_check(const struct study *s, struct nasc_err *err);

/* ---- config.c ------------------------------------------------------------------- */
/* Put "file:line: " in front of a message, "--set: " where the line is 0. */
enum nasc_status config_at(const struct yaml_doc *doc, size_t line, struct nasc_err *err);
#define config_fail(doc, line, err, ...)                                                           \
	nasc_status_of(NASC_CONFIG, (nasc_record((err), NASC_CONFIG, __VA_ARGS__),                 \
				     config_at((doc), (line), (err))))
#define config_wrap(doc, line, err, ...)                                                           \
	(nasc_wrap((err), __VA_ARGS__), config_at((doc), (line), (err)))
/* What the scores of a run depend on, or more, as text. */
char *config_identity(const struct study_config *c, enum config_extent extent, struct arena *a);
/* Member "seed"; as text above 2^53, where readers of JSON numbers lose digits. */
void config_write_seed(struct json_writer *w, uint64_t seed);

#define OF_ANOTHER_RUN                                                                             \
	"belongs to a run with another seed, space, data or evaluator; give that config, or "      \
	"another --out"

/* ---- journal.c: SQLite file of dear scores, one row per candidate ---------------- */
struct journal;
struct journal_options {
	const char *identity; /* of the run: what of its config and images the scores depend on */
	const char *origin;   /* what of this program and processor they depend on */
	const char *run;      /* what of its config the order of its candidates depends on */
	const struct metric *metric; /* of each value of a row */
	size_t n_values;
	int64_t rows;	   /* at most; 0: no limit */
	bool resume;	   /* go on with what is there */
	bool retry_failed; /* but for the failures in it, which are dropped */
};
/* NASC_CONFIG: made by another identity or origin. NASC_USAGE: there is one already,
 * and no resume. NASC_DATA: not a journal, damaged, or with rows that no run has written.
 * NASC_FAIL: another process has it open, which the message names; or it cannot be
 * written. An empty file is a new journal. */
enum nasc_status journal_open(struct journal **j, const char *path, const struct journal_options *o,
			      struct nasc_err *err);
/* Durable against a kill when it returns. Callers take turns. @place: of the
 * candidate in the run, below 2^61; beyond the limit the rows of earlier runs are dropped,
 * the earliest first, then those with the lowest places. */
enum nasc_status journal_put(struct journal *j, const char *genes, uint64_t place,
			     enum eval_outcome outcome, const struct eval_result *r,
			     struct nasc_err *err);
/* True: found, *outcome and *r filled. */
bool journal_get(struct journal *j, const char *genes, enum eval_outcome *outcome,
		 struct eval_result *r);
/* Before results are written that rest on it. NASC_FAIL: another file stands in its place,
 * of another run perhaps. */
enum nasc_status journal_in_place(const struct journal *j, struct nasc_err *err);
void journal_close(struct journal *j);

/* ---- score.c ------------------------------------------------------------------- */
struct candidate {
	uint64_t id;	    /* its place among those scored: order of proposal */
	double *x;	    /* genes or variables */
	double *value;	    /* n_metrics; NAN: not known */
	uint64_t bounds;    /* as study_costs() */
	double violation;   /* of known figures; INFINITY: failed */
	bool trained;	    /* reached the evaluator */
	size_t rungs;	    /* it has finished; 0: not trained in parts */
	size_t bracket;	    /* the first rung at which it is compared */
	double loss;	    /* sum over the training so far; NAN: not told */
	uint64_t hash;	    /* of the genes; once it has reached the evaluator */
	bool resumed;	    /* its dear scores were in the journal */
	const char *why;    /* failed: the reason */
	double evaluator_s; /* wall time in the evaluator */
};
/* The first objective or bound whose figure is NAN; @dear: those of the evaluator too. */
const struct study_metric *study_unknown(const struct study *s, const double *value, bool dear);
size_t problem_vars(const struct study_config *c);
size_t study_vars(const struct study *s);

struct scorer; /* pool, workers' scratch, journal: everything between genes and scores */
struct tally { /* of candidates */
	uint64_t scored, trained, resumed;
};
/* In the thread of scorer_run(), which an evaluator keeps long: how many more there are. */
typedef void scorer_tick(void *ctx, const struct tally *more);
enum nasc_status scorer_open(struct scorer **out, const struct study *s,
			     const struct study_options *o, scorer_tick *tick, void *ctx,
			     struct nasc_err *err);
/* Fill value, violation, trained, why of n candidates; reasons last until the next
 * call. @rung: how far they are trained; above 0 they have finished the one before.
 * NASC_INTERRUPTED: some are not scored. */
enum nasc_status scorer_run(struct scorer *sc, struct candidate *const *batch, size_t n,
			    size_t rung, struct nasc_err *err);
/* It is not trained any further: what it would have gone on from is removed. */
void scorer_drop_state(struct scorer *sc, const struct candidate *c);
uint64_t scorer_state_bytes(const struct scorer *sc); /* on disk, the most at a time */
/* As journal_in_place(); NASC_OK without journal. */
enum nasc_status scorer_may_write(const struct scorer *sc, struct nasc_err *err);
/* @go_on: there may be another run that goes on from the checkpoints. */
void scorer_close(struct scorer *sc, bool go_on);

/* ---- states.c: checkpoints of candidates that may be trained further ------------- */
/* Only a cache: what is missing is trained again from the beginning. Callers take turns. */
struct states;
/* In the folder @out.states, which is made. @go_on: the whole files in it are kept, as many
 * bytes of them as there are. NASC_FAIL: there can be no such folder. */
enum nasc_status states_open(struct states **s, const char *out, double most_bytes, bool go_on,
			     struct nasc_err *err);
/* Before and after training on: the path, in @a; NULL: it must do without. */
const char *states_take(struct states *s, uint64_t hash, struct arena *a);
void states_give(struct states *s, uint64_t hash);
void states_drop(struct states *s, uint64_t hash);
uint64_t states_most(const struct states *s);	 /* bytes at a time so far */
void states_close(struct states *s, bool go_on); /* NULL is fine */

/* ---- fidelity.c ------------------------------------------------------------------ */
/* s->rungs from the config; what is wrong with it. */
enum nasc_status fidelity_open(struct study *s, struct nasc_err *err);
/* "…; all 9 epochs, in rungs of 1 and 3", in the study's arena. */
const char *fidelity_provenance(const struct study *s, const char *provenance);
/* Trained in part only: its value is not that of the whole training. */
static inline bool candidate_partial(const struct study *s, const struct candidate *c)
{
	return c->rungs > 0 && c->rungs <= s->rungs.n;
}
/* What was found at one rung, by all candidates so far. */
struct rung_results {
	uint64_t n, promoted; /* of all */
	size_t most;	      /* rows kept, the latest */
	double *f;	      /* most * n_columns; number i at i % most */
};
struct fidelity {
	const struct study *study;
	size_t n_columns; /* the costs among the objectives, then the signal */
	struct rung_results rung[EVAL_MAX_RUNGS];
	uint64_t begun, in_bracket[EVAL_MAX_RUNGS + 1]; /* candidates so far */
};
void fidelity_init(struct fidelity *f, const struct study *s, size_t batch, struct arena *a);
/* The bracket of the next candidate: 0, 1, ... whose first rungs are 0, 1, ..., the whole
 * training behind the last of them. With r rungs and `reduction` e, bracket b gets a part
 * proportional to e^(r - b) / (r - b + 1), Hyperband's (Li et al., JMLR 18(185) 2018). */
size_t fidelity_bracket(struct fidelity *f);
/* Those of the n candidates of @batch that go on from @rung, into @up, in their order; how
 * many. Of all that ever finished the rung no more than one in `reduction` goes on, and only
 * one that is among as many best ones of the latest (Li et al., MLSys 2020); best: as
 * search_spread() has it (Schmucker et al., arXiv:2106.12639). Failed ones do not count. */
size_t fidelity_promote(struct fidelity *f, size_t rung, struct candidate *const *batch, size_t n,
			struct candidate **up, struct arena *scratch);

/* ---- select.c ------------------------------------------------------------------- */
/* NASC_USAGE, naming the scores that @row has. */
enum nasc_status no_score(const struct result *row, const char *name, struct nasc_err *err);

/* ---- results.c ------------------------------------------------------------------ */
/* What the score called @name is measured in. NASC_USAGE: the first row has no such score or,
 * where there are no rows, neither is it an objective nor a figure that this program knows. */
enum nasc_status results_dim(const struct results *r, const char *name, enum unit_dim *dim,
			     struct nasc_err *err);
/* NASC_USAGE, saying what @path is, over which no results are written. */
enum nasc_status results_in_the_way(const char *path, struct nasc_err *err);
struct hv_row {
	uint64_t evaluations;
	double value;
};
struct run_record {
	const struct study_summary *summary;
	const struct candidate *const *front;  /* by id */
	const struct candidate *const *failed; /* the first few */
	size_t n_failed_listed, n_hv;
	const struct hv_row *hv;
	const double *reference, *hv_scale;
	double evaluator_s;
};
enum nasc_status results_write(const struct study *s, const struct run_record *r, const char *path,
			       struct nasc_err *err);
#endif
