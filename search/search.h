#ifndef NASC_SEARCH_H
#define NASC_SEARCH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "rng.h"
#include "schema.h"

/* Strategies see vectors of bounded numbers and vectors of objectives; they
 * know no network and no board. Integers are doubles that hold integers. */
struct search_var {
	double lo, hi; /* inclusive; lo <= hi */
	bool integer;
};
struct search_domain {
	size_t n_vars, n_objectives; /* objectives: 1 .. SEARCH_MAX_OBJECTIVES */
	const struct search_var *var;
	/* Replace @x by the vector standing for all that mean the same; called on
	 * every vector before it is proposed. NULL: each means itself. */
	void (*canonical)(double *x, void *ctx);
	/* Change several variables of @x at once in a way that their meaning suggests; every value
	 * stays within its bounds. Draws from @rng alone. False: no such change is possible, @x is
	 * as it was. NULL: there are none. */
	bool (*move)(double *x, struct rng *rng, void *ctx);
	void *ctx;
};
#define SEARCH_MAX_OBJECTIVES 8

/* Candidates as columns of arrays. f: n * n_objectives, minimised; violation:
 * 0 feasible, more is worse, INFINITY failed. Objectives of an infeasible
 * candidate may be NAN and are never looked at: of two candidates the feasible
 * one wins, of two infeasible ones the smaller violation (Deb 2002). */
struct search_points {
	size_t n;
	const double *x, *f, *violation;
};

/*
 * Call order, checked for every registry row: open (ask+ tell)*. What a strategy holds lies
 * in s->arena, so there is nothing to close.
 * ask() writes 1..cap vectors; tell() gets exactly those, in order. One that does not walk
 * may be asked again before that, and tell() may get any of the proposals since the last
 * one, at most as many as batch() said at the start. A strategy takes any cap, so a run can
 * stop at any number of evaluations; what it proposes may depend on the caps, never on time or
 * threads. It draws only from s->rng, never evaluates, prints or reads a clock.
 */
struct search;
struct search_ops {
	const char *name, *summary, *source; /* source: paper or "baseline" */
	const struct cfg_field *fields;
	size_t cfg_size, state_size;
	bool plans; /* what it proposes depends on the budget, too */
	bool walks; /* each proposal goes from the one before: tell() must get all of them */
	enum nasc_status (*open)(struct search *s, struct nasc_err *err);
	/* What it likes to be asked for; at the start the size of a generation. */
	size_t (*batch)(const struct search *s);
	size_t (*ask)(struct search *s, double *x, size_t cap);
	void (*tell)(struct search *s, const double *x, const double *f, const double *violation,
		     size_t n);
	/* What the strategy holds as its answer: population or archive, dominated
	 * and infeasible members included. Valid until the next tell(). */
	void (*answer)(const struct search *s, struct search_points *out);
};
struct search {
	const struct search_ops *ops;
	const void *cfg; /* ops->cfg_size bytes, not owned */
	void *state;	 /* ops->state_size bytes, in arena */
	const struct search_domain *domain;
	struct arena *arena; /* lives as long as the run */
	struct rng *rng;
	uint64_t budget;  /* evaluations planned; 0: not known. For strategies that plan */
	uint64_t repeats; /* told without using up any of it, as the caller counts them */
};

/* NULL-terminated; the first is the default. */
extern const struct search_ops *const search_registry[];
const struct search_ops *search_find(const char *name); /* NULL: not found */
enum nasc_status search_open(struct search *s, const struct search_ops *ops, const void *cfg,
			     const struct search_domain *domain, struct arena *arena,
			     struct rng *rng, uint64_t budget, struct nasc_err *err);

/* ---- sets of points ------------------------------------------------------- */

/* -1: a dominates b, 1: b dominates a, 0: neither. All m minimised, no NAN. */
int search_compare(const double *a, const double *b, size_t m);

/* Non-domination rank (0 best) of n points; returns the number of fronts. */
size_t search_rank(const double *f, size_t n, size_t m, uint32_t *rank, struct arena *scratch);

/* The @most <= n best points, the best first, into @order: by non-domination rank, and within
 * one each time the point farthest from all before it, of which the first is the one that is
 * best in the last objective (Schmucker et al., arXiv:2106.12639). Distances are Euclidean,
 * each objective divided by its range; equal ones by position. O(n most m). */
void search_spread(const double *f, size_t n, size_t m, size_t most, uint32_t *order,
		   struct arena *scratch);

/* Volume dominated by n points and bounded by @ref, exact; points not better
 * than @ref in every objective add nothing. */
double search_hypervolume(const double *f, size_t n, size_t m, const double *ref,
			  struct arena *scratch);

/*
 * Non-dominated set under insertion, of at most @most members. A member has a slot,
 * a number below @most that is its own until it leaves, for what the caller keeps of
 * it. When a new member finds the archive full, a tenth of the members leaves, one
 * after another the one in the most crowded place (Deb 2002; measured anew each time,
 * as Kukkonen, Deb, CEC 2006), in O(n log n) for all. The member with the least of an
 * objective stays where @most is above m, that with the greatest where it is above 2 m.
 * Members never dominate each other; a point that a dropped one dominated may get in later.
 * Boxes around members that lie together (a k-d tree, Bentley, CACM 18(9) 1975) spare
 * looking at most of them: about log n in few objectives. The newest are outside the tree
 * until they are a sixteenth of all, and are looked at one by one: with three objectives
 * some 4 us for a point at 10^3 members, 12 at 10^4, 30 at 10^5.
 */
struct search_archive {
	size_t n, m, most; /* members, objectives, bound >= 2 */
	size_t cap, end;   /* rows there are, and in use; gaps among them */
	size_t tree;	   /* the first rows, in the order of the tree */
	double *f;	   /* cap * m */
	uint32_t *slot;	   /* cap */
	uint32_t *spare;   /* n_spare slots to be given again, of n_slots given */
	size_t n_spare;
	uint32_t n_slots;
	double *box; /* a node's least and most of each objective */
	struct arena *arena;
};
/* @most < UINT32_MAX. */
void search_archive_init(struct search_archive *s, size_t m, size_t most, struct arena *arena);
/* True if the point went in (nothing there dominates or equals it), into *slot, which
 * may be that of a member that has left. */
bool search_archive_add(struct search_archive *s, const double *f, uint32_t *slot);
/* All members: n * m objectives, n slots; either may be NULL. */
void search_archive_members(const struct search_archive *s, double *f, uint32_t *slot);

/* ---- surrogate ------------------------------------------------------------ */

/*
 * A Gaussian process that learns one figure, lower is better, from features in two
 * groups: those that are on one scale as they are (genes: one-hot, or numbers from 0 to
 * 1) and those that it scales itself. INFINITY: failed, worse than any other. A score is
 * the normal score of a figure's rank among those learned. The same rows give the same
 * model; n rows cost n^3 / 3 multiplications, some 20 ms at 500.
 */
#define SURROGATE_GROUPS 2
struct surrogate {
	size_t size[SURROGATE_GROUPS];	    /* features of each group */
	double theta[SURROGATE_GROUPS + 1]; /* logarithms of lengths and noise, kept between fits */
	size_t tuned;			    /* rows when they were last fitted; 0: never */
	/* Of the last fit, in its arena. */
	size_t n, n_scores;
	double *x, *mean, *factor, *lower, *alpha;
	double *figure, *score; /* ascending */
	double amplitude;
};
void surrogate_init(struct surrogate *s, const size_t size[SURROGATE_GROUPS]);
/* @n rows of features @x and figures @y. False: all figures are equal, nothing is learned. */
bool surrogate_fit(struct surrogate *s, const double *x, const double *y, size_t n,
		   struct arena *arena);
/* Scores of @n rows, and how uncertain each is (standard deviation, noise left out). */
void surrogate_predict(const struct surrogate *s, const double *x, size_t n, double *mean,
		       double *deviation, struct arena *scratch);
/* One as the other, linear between neighbours, the end's beyond them. */
double surrogate_score(const struct surrogate *s, double figure);
double surrogate_figure(const struct surrogate *s, double score);

/* The @want best of @n points in @m minimised objectives, when the points @rival are there
 * too: by rank, then by crowding (Deb 2002). Their positions, ascending, into @picked. */
void search_pick(const double *f, size_t n, const double *rival, size_t n_rivals, size_t m,
		 size_t want, size_t *picked, struct arena *scratch);
/* Spearman's rank correlation, ties at their mean rank; NAN where one of both is constant. */
double search_rank_correlation(const double *a, const double *b, size_t n, struct arena *scratch);

/* ---- test problems -------------------------------------------------------- */
/* A problem is pure: the same x gives the same values in any thread. For every x in
 * the domain values and violation are finite. Callers keep n_vars within min_vars ..
 * max_vars and at least n_objectives. */
struct search_problem {
	const char *name, *summary, *source;
	size_t min_vars, max_vars, default_vars; /* equal where fixed */
	size_t min_objectives, max_objectives;	 /* equal where fixed */
	/* Of the hypervolume, as usual for the problem; it bounds the whole front at
	 * default_vars. */
	double reference[SEARCH_MAX_OBJECTIVES];
	void (*domain)(struct search_var *var, size_t n_vars, size_t n_objectives);
	/* Returns the violation: 0 feasible. */
	double (*evaluate)(const double *x, size_t n_vars, double *f, size_t n_objectives);
	/* Point @i of @n on the Pareto front, spread over all of it, in closed form;
	 * a front of fewer than n points has some of them more than once. */
	void (*front)(size_t i, size_t n, size_t n_vars, double *f, size_t n_objectives);
};
extern const struct search_problem *const search_problems[];
const struct search_problem *search_problem_find(const char *name);
#endif
