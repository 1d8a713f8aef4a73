#ifndef NASC_STUDY_H
#define NASC_STUDY_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "arena.h"
#include "costmodels.h"
#include "err.h"
#include "evaluators.h"
#include "export.h"
#include "metric.h"
#include "schema.h"
#include "search.h"
#include "space.h"

/* One study: a config becomes parts, parts become a loop, the loop leaves
 * scores in a journal and a front in results.json. */

/* ---- config ---------------------------------------------------------------- */

struct problem_cfg {
	int64_t variables, objectives; /* 0: the problem's own number */
	double reference;	       /* of the hypervolume, every objective; 0: the problem's */
};
struct input_cfg {
	int64_t height, width, channels, classes;
};
/* 0: no limit, where not said otherwise. */
struct stop_cfg {
	int64_t evaluations; /* candidates scored; always given */
	int64_t generations; /* a generation: what the strategy asks for first */
	int64_t trained;     /* candidates that reached the evaluator */
	double time_s;	     /* wall time of one call; no candidate is begun later */
	double hypervolume;  /* reached */
	int64_t stalled;     /* generations in which the hypervolume gained less than ... */
	double stalled_gain; /* ... this part of itself */
};
struct failures_cfg {
	int64_t retries; /* how often an evaluation that failed is asked again */
	int64_t enough;	 /* stop when this many were tried and none worked */
};
struct memory_cfg {
	int64_t front;	 /* networks kept of the front */
	int64_t seen;	 /* candidates remembered, so as not to score them twice */
	int64_t journal; /* rows of the journal; 0: all */
};

enum { SURROGATE_NONE, SURROGATE_GP };
struct surrogate_cfg {
	int64_t type, after, candidates, batch, rows;
	double optimism;
};

/* Successive halving and Hyperband: in parts that are compared before the next. */
struct fidelity_cfg {
	struct cfg_ints epochs;	    /* at the end of each rung below the whole; none: off */
	struct cfg_ints image_size; /* of each rung; one: of all; none: the evaluator's own */
	int64_t reduction;	    /* one of so many goes on */
	int64_t brackets;	    /* of Hyperband; 1: successive halving alone */
	int64_t signal;		    /* what is compared beside the other objectives */
	double disk;		    /* bytes of checkpoints at most */
};
enum fidelity_signal { SIGNAL_AUTO, SIGNAL_LOSS, SIGNAL_ERROR };
extern const struct cfg_field fidelity_fields[];

/* Everything a config says, defaults filled in. Either `problem` or `space` is set. */
struct study_config {
	struct yaml_doc doc;
	uint64_t seed;
	bool fit_targets;
	struct cfg_strings targets, objectives;
	const struct search_problem *problem;
	struct problem_cfg problem_cfg;
	const struct space_ops *space;
	void *space_cfg;
	bool has_data; /* else `input` gives the shape */
	struct data_cfg data;
	struct input_cfg input;
	const struct evaluator_ops *evaluator; /* NULL: costs only */
	void *evaluator_cfg;
	const struct search_ops *strategy;
	void *strategy_cfg;
	struct stop_cfg stop;
	struct failures_cfg failures;
	struct memory_cfg memory;
	struct surrogate_cfg surrogate;
	struct fidelity_cfg fidelity;
	struct train_cfg train;		     /* of `nasc train` */
	const struct yaml_node *constraints; /* metric: bound(s); NULL: none */
	const struct yaml_node *goal;	     /* the same; stop at a candidate that keeps them */
	const struct yaml_node *reference;   /* metric: value; NULL: none */
};

/* @set: n_set texts "key=value" put over the file. */
enum nasc_status config_load(const char *path, const char *const *set, size_t n_set,
			     struct arena *a, struct study_config *out, struct nasc_err *err);
/* From the resolved config inside a results file. */
struct cJSON;
enum nasc_status config_from_json(const char *file, const struct cJSON *json,
				  const char *const *set, size_t n_set, struct arena *a,
				  struct study_config *out, struct nasc_err *err);
/* The resolved config, as a member @key of the open object. */
enum config_extent {
	CONFIG_SCORES, /* what the dear scores depend on: the identity of a journal */
	CONFIG_ORDER,  /* and the order of the candidates */
	CONFIG_WHOLE
};
void config_write(const struct study_config *c, struct json_writer *w, const char *key,
		  enum config_extent extent);
/* Every key of every part at its default: configs/reference.yaml. */
void config_reference(FILE *fp);

/* ---- parts ----------------------------------------------------------------- */

#define STUDY_MAX_METRICS 64
#define STUDY_MAX_TARGETS 4
#define STUDY_MAX_BOUNDS  32

/* A figure that every candidate of the study gets. */
struct study_metric {
	char key[64], name[64]; /* with "target." in front when there are several targets */
	const struct metric *metric;
	const char *model, *provenance; /* provenance NULL: this target has no such figure */
	bool dear;			/* known only after the evaluator ran */
};
struct study_bound {
	size_t metric;
	bool upper;
	double value;
	char text[96]; /* "sram_bytes <= 327680", for messages and results */
};
struct study {
	const struct study_config *config;
	struct arena *arena; /* lives as long as the run */
	const char *targets_dir;
	struct net_shape input;
	uint32_t classes;
	struct space space;
	size_t n_models;
	struct costmodel model[1 + STUDY_MAX_TARGETS]; /* size, then the targets */
	size_t n_metrics;
	struct study_metric metric[STUDY_MAX_METRICS];
	size_t n_objectives, objective[SEARCH_MAX_OBJECTIVES]; /* metric indices */
	bool maximise[SEARCH_MAX_OBJECTIVES];
	size_t n_bounds, n_goals;
	struct study_bound bound[STUDY_MAX_BOUNDS], goal[STUDY_MAX_BOUNDS];
	double reference[SEARCH_MAX_OBJECTIVES]; /* minimised sense; NAN: from the first generation
						  */
	struct dataset train, validation;
	struct evaluator evaluator;
	struct eval_rungs rungs; /* n 0: every candidate is trained in one go */
};

/* Open every part and check them against each other. @with_data: read the images and open the
 * evaluator, for a search; else only the images' headers. */
enum nasc_status study_open(struct study *s, const struct study_config *c, const char *targets_dir,
			    bool with_data, struct arena *a, struct nasc_err *err);
/* What a search and `nasc train` would refuse of evaluator and recipe: no images are read. */
enum nasc_status study_check(const struct study_config *c, struct nasc_err *err);
void study_close(struct study *s);

/* Costs of one network into value[n_metrics]; what is not known stays NAN. Bit
 * i of *bounds: value[i] is an upper bound, the search for the exact one was cut
 * short. NASC_INFEASIBLE when a target cannot hold it at all. */
enum nasc_status study_costs(const struct study *s, const struct network *net,
			     struct arena *scratch, double *value, uint64_t *bounds,
			     struct nasc_err *err);
struct json_writer;
/* "scores" of the open object: all that are known. */
void study_write_scores(const struct study *s, const double *value, uint64_t bounds,
			struct json_writer *w);
/* Sum over the bounds of how far each is exceeded, relative to its value; 0
 * when all known figures are within. *worst, when not NULL: the bound exceeded most. */
double study_violation(const struct study *s, const double *value, bool dear,
		       const struct study_bound **worst);

/* ---- sub-spaces -------------------------------------------------------------- */

/* The space with one value of each axis. */
struct subspace {
	int64_t value[SPACE_MAX_AXES];
	size_t n_fit; /* of the sampled networks, those that keep every bound known without
		       * evaluator */
	double *macs; /* of these, ascending */
	double mean;  /* NAN: none fits */
	int standing; /* 2: enough of them fit to be searched; 1: fewer; 0: none */
};
struct subspaces {
	size_t n_axes, n;
	const struct cfg_field *axis[SPACE_MAX_AXES]; /* those with more than one value */
	struct subspace *row;
};
/* Sample @networks of each sub-space; rows by the mean MACs of those that fit, the most first: more
 * room to compute tends to mean more accurate networks (TinyNAS: Lin et al., MCUNet, NeurIPS 2020,
 * arXiv:2007.10319, section 3.1). Behind them those where fewer than 2 % fit, then those where none
 * does. The same at any @jobs. NASC_CONFIG: there is nothing to compare. NASC_INFEASIBLE: none
 * fits anywhere. */
enum nasc_status study_rank_subspaces(const struct study *s, size_t networks, unsigned jobs,
				      struct arena *a, struct subspaces *out, struct nasc_err *err);
/* The least MACs that a part @p, above 0, of those that fit does not exceed; NAN: none fits. */
double subspace_quantile(const struct subspace *row, double p);

/* How many features of each group a candidate has, and the features themselves. @genes:
 * their indices; @value: as study_costs() fills it. */
void study_feature_sizes(const struct study *s, size_t size[SURROGATE_GROUPS]);
void study_features(const struct study *s, const double *genes, const struct network *net,
		    const double *value, struct arena *scratch, double *out);

/* Of a study with rungs: how many of @n candidates reach @rung, at most; rung rungs.n is the
 * whole training. */
uint64_t fidelity_most(const struct study *s, uint64_t n, size_t rung);
/* Epochs at the end of @rung. */
double fidelity_epochs(const struct study *s, size_t rung);

/* ---- the run ---------------------------------------------------------------- */

struct study_progress {
	uint64_t evaluations, planned, trained, failed;
	double hypervolume, elapsed_s, left_s; /* NAN: not known */
	const struct study *study;
	const double *best; /* per objective, as the user counts it; NAN: none yet */
};
struct study_options {
	const char *out; /* results file; the journal is out.journal */
	unsigned jobs;
	bool resume;
	bool retry_failed; /* with resume: ask again for what the journal has as failed */
	const atomic_bool *cancel;
	void (*progress)(const struct study_progress *, void *); /* NULL: none */
	void *ctx;
};
/* How a surrogate did. */
struct surrogate_report {
	uint64_t fits, proposed, evaluated; /* candidates it chose from, and those it chose */
	size_t n, objective[SEARCH_MAX_OBJECTIVES];
	/* Of @pairs figures as they were predicted and then measured, the last ones: among what it
	 * let pass, where they differ least. NAN: not known. */
	uint64_t pairs;
	double rank_correlation[SEARCH_MAX_OBJECTIVES];
};
struct study_summary {
	const char *stop_reason;   /* NULL: no results were written */
	const char *first_failure; /* its reason, in the study's arena; NULL: none failed */
	uint64_t evaluations, trained, failed, duplicates, resumed;
	uint64_t reached[EVAL_MAX_RUNGS + 1]; /* candidates at the end of each rung */
	uint64_t state_bytes;		      /* of checkpoints, the most at a time */
	size_t front;
	double hypervolume, wall_s;
	const struct surrogate_report *surrogate; /* NULL: none was asked */
};
/* Is there something that --resume would go on from? */
bool study_has_run(const char *out);
/* NASC_INTERRUPTED: cancelled, state saved, results of the finished part
 * written. NASC_INFEASIBLE: results written, front empty. */
enum nasc_status study_run(struct study *s, const struct study_options *o,
			   struct study_summary *out, struct nasc_err *err);

/* ---- results ----------------------------------------------------------------- */

struct result_score {
	const char *key, *unit, *model, *provenance;
	double value;
	bool upper_bound; /* the exact figure may be lower: its search was cut short */
};
/* {"value": ..., "unit": ..., "model": ..., "provenance": ...} under its key: the
 * one form of a score in every file and verb. */
void result_score_write(const struct result_score *s, struct json_writer *w);
struct result {
	const char *file; /* it came from */
	int64_t id;
	size_t n_scores;
	struct result_score *score;
	const struct cJSON *network, *genes; /* in the file's tree */
	double f[SEARCH_MAX_OBJECTIVES];     /* objectives of the first file, minimised */
	bool knee;
};
struct result_objective {
	const char *key;
	bool maximise;
};
struct results {
	size_t n_files, n, n_objectives;
	struct result_objective objective[SEARCH_MAX_OBJECTIVES]; /* of the first file */
	struct result *row;
	const struct cJSON *config; /* of the first file */
	uint64_t evaluations;	    /* of the first file */
	struct cJSON **tree;	    /* one per file: results_close() */
};
/* Is it of the kind that `nasc search` writes? What is inside may still be wrong. */
bool results_are(const struct cJSON *root);
enum nasc_status results_load(const char *const *path, size_t n, struct arena *a,
			      struct results *out, struct nasc_err *err);
void results_close(struct results *r);
/* Tell @m the upper bounds on its figures that the first file's search was asked to keep: bare
 * names where that had at most one target, whichever board @m is, else those with @m's target in
 * front. The board's own limits are not among them. NASC_DATA: a bound is no quantity. */
enum nasc_status results_bounds(const struct results *r, struct costmodel *m, struct nasc_err *err);

/* Short or full name of a score ("sram", "sram_bytes") to its key in @row, or NULL. */
const struct result_score *result_score(const struct result *row, const char *name);
/* The figure that key @key of a score stands for, a target's name in front left
 * out; NULL: none that this program knows. */
const struct metric *metric_of_key(const char *key);
enum unit_dim result_dim(const struct result_score *s); /* of its value */

/* Drop dominated rows and equal ones (merging files), in place. */
void results_front(struct results *r, struct arena *scratch);
/* Keep rows for which the text holds: comparisons of scores with quantities
 * joined by && || ! and brackets. NASC_USAGE, naming the column. */
enum nasc_status results_where(struct results *r, const char *text, struct nasc_err *err);
/* By a score, better first; "-sram": worse first. */
enum nasc_status results_sort(struct results *r, const char *name, struct nasc_err *err);
/* Mark the row with the largest distance below the plane through the extremes:
 * least sum of objectives normalised to the front's box (Das 1999). */
void results_knee(struct results *r);
/* "17", "knee", or an objective ("error"): the first row that is best in it. NULL: none. */
const struct result *results_find(const struct results *r, const char *id);

/* SVG of two scores over all rows, the knee marked. */
enum nasc_status results_plot(const struct results *r, const char *x, const char *y,
			      const char *path, struct nasc_err *err);

/* Addresses over the operators in the order they run, as SVG. */
enum nasc_status memory_plot(const struct network *net, const struct costmodel *m,
			     const struct cost_memory *memory, const char *path,
			     struct nasc_err *err);
#endif
