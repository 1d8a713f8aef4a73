#ifndef NASC_STUDY_LOOP_H
#define NASC_STUDY_LOOP_H
#include "private.h"
#include "seen.h"

/* The loop of one run, shared by the files it is made of. */

#define FAILED_LISTED 20

struct loop {
	struct study *study;
	const struct study_options *options;
	struct search search;
	struct search_domain domain;
	struct rng rng;
	struct scorer *scorer;
	struct screen *screen; /* NULL: every proposal is scored */
	struct arena round;    /* rewound every round */
	size_t n_vars, n_obj;
	size_t cap;	/* candidates of a round at most, and of a generation */
	uint64_t limit; /* evaluations planned */
	size_t stale;	/* proposals in a row that were all seen before */

	/* Of a network search: what is remembered of candidates. */
	struct seen seen;
	struct search_archive archive;
	struct fidelity fidelity;
	size_t n_kept;
	struct candidate **kept; /* the archive's members, by slot */
	size_t n_failed;
	const struct candidate *failed[FAILED_LISTED]; /* the first ones */
	const char *first_broken; /* reason of the first evaluation that failed */
	uint64_t n_broken;	  /* evaluations that failed; sum.failed has unknown costs too */
	uint64_t exceeded[STUDY_MAX_BOUNDS]; /* candidates that exceed this bound the most */
	const struct study_bound *hardest;   /* the bound with most of these; NULL: none yet */

	double scale[SEARCH_MAX_OBJECTIVES], best[SEARCH_MAX_OBJECTIVES];
	bool reference_known;
	struct hv_row *hv;
	size_t n_hv, cap_hv;

	uint64_t generation;	 /* whole ones so far */
	bool goal_reached;	 /* some network on the front keeps every goal */
	double level;		 /* hypervolume that the next ones are measured by; 0: none */
	uint64_t level_since;	 /* generation */
	double last_hypervolume; /* at the end of the last generation */

	struct tally round_so_far; /* of a round under way */

	uint64_t replaced; /* evaluations in the results file that is there already */
	double evaluator_s, start_s, last_progress_s;
	struct study_summary sum;
};

/* ---- run.c ------------------------------------------------------------------------ */
/* scorer_run(), with reasons that last as long as the round. */
enum nasc_status score_batch(struct loop *l, struct candidate *const *batch, size_t n, size_t rung,
			     struct nasc_err *err);

/* ---- fidelity.c -------------------------------------------------------------------- */
/* The best of n candidates that have finished the first rung up the others, before the
 * strategy is told. NASC_INTERRUPTED: some are on the way. */
enum nasc_status fidelity_climb(struct loop *l, struct candidate *const *fresh, size_t n,
				struct nasc_err *err);

/* ---- kept.c: what stays of candidates when their round is over -------------------- */
void kept_init(struct loop *l);
void objectives_of(const struct loop *l, const struct candidate *c, double *f);
struct candidate *new_candidate(const struct loop *l, struct arena *a, const double *x,
				uint64_t id);
/* What a round's new candidates add to the counts and the archive. */
void take_stock(struct loop *l, struct candidate *const *fresh, size_t n);
/* The run's answer, by id; in l->round. */
const struct candidate **final_front(struct loop *l, size_t *n_out);

/* ---- progress.c: hypervolume by and by, and what the user hears ------------------- */
/* Where the config names no worst corner: the worst of the first feasible round. */
void find_reference(struct loop *l, struct candidate *const *fresh, size_t n);
/* 0 without reference; NAN where it would take too long. */
double hypervolume(struct loop *l);
/* At the end of a round: a row where one is due, and the hypervolume for the stop rules
 * that ask for it at the end of a generation. */
void measure(struct loop *l);
/* The last row, where rounds came after the one before. */
void measure_end(struct loop *l);
void report(struct loop *l, bool last);
scorer_tick report_scored; /* of the struct loop */

/* ---- screen.c: a surrogate picks what is evaluated -------------------------------- */
void screen_open(struct loop *l); /* l->screen */
/* How many of @room candidates the next round takes. */
size_t screen_room(const struct loop *l, size_t room);
/* Up to @room candidates that are worth it, into @x; 0: it cannot say yet. */
size_t screen_propose(struct loop *l, double *x, size_t room);
/* From the candidates of a round, in the order in which they were proposed. */
void screen_learn(struct loop *l, struct candidate *const *fresh, size_t n);
const struct surrogate_report *screen_report(struct loop *l); /* NULL: none */

/* ---- stop.c: when it ends --------------------------------------------------------- */
/* l->limit, once l->cap is known. */
void stop_init(struct loop *l);
/* Candidates that may be proposed now. */
size_t stop_room(const struct loop *l);
/* At the end of a generation. */
void stop_generation(struct loop *l, double hypervolume);
bool stop_asks_hypervolume(const struct loop *l);
bool stop_keeps_goal(const struct study *s, const double *value);
const char *stop_reason(const struct loop *l); /* NULL: go on */
bool stop_is_time(const struct loop *l);       /* the reason, if there is one */
#endif
