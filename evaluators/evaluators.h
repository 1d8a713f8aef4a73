#ifndef NASC_EVALUATORS_H
#define NASC_EVALUATORS_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "metric.h"
#include "network.h"
#include "schema.h"

/* ---- images ----------------------------------------------------------------
 * Labelled images in memory: n * h * w * c values NHWC, labels 0 .. classes-1. A
 * series is an image of height 1. Read-only once opened, shared by all workers. */
#define DATA_CHANNELS 128
enum pixel { PIXEL_U8, PIXEL_F32 };
struct dataset {
	size_t n;
	struct net_shape shape; /* at most DATA_CHANNELS channels */
	uint32_t classes;
	enum pixel pixel;
	const void *image; /* uint8_t or float */
	const uint8_t *label;
	/* Of each channel over the training part, bytes taken for [0, 1]; std of a
	 * constant channel: 1. */
	float mean[DATA_CHANNELS], std[DATA_CHANNELS];
};
static inline size_t pixel_bytes(enum pixel p)
{
	return p == PIXEL_F32 ? sizeof(float) : 1;
}
struct data_cfg {
	int64_t format; /* idx, cifar10, npy */
	const char *directory;
	double validation; /* fraction of the training set */
	int64_t inputs;	   /* images, series */
};
extern const struct cfg_field data_fields[];

/* The files of a search: training files only, split by the run's seed into
 * training and validation part (all of them for training where @validation is
 * NULL). Truncated, oversized or inconsistent files are
 * NASC_DATA and say which file and what. */
enum nasc_status dataset_open_train(const struct data_cfg *cfg, uint64_t seed, struct arena *a,
				    struct dataset *train, struct dataset *validation,
				    struct nasc_err *err);
/* The test files: opened by `nasc train` and `nasc export` alone. @train gives the mean and
 * standard deviation to use. */
enum nasc_status dataset_open_test(const struct data_cfg *cfg, const struct dataset *train,
				   struct arena *a, struct dataset *test, struct nasc_err *err);
/* NASC_CONFIG: @net reads images of other channels, and, the second, tells other classes apart. */
enum nasc_status dataset_check_channels(const struct dataset *data, const struct network *net,
					struct nasc_err *err);
enum nasc_status dataset_check_network(const struct dataset *data, const struct network *net,
				       struct nasc_err *err);
/* @n of its images as networks are trained on them: resized to @shape, normalised by @norm, f32
 * [n][h][w][c]. Of all of them in the order that @choose draws (NULL: as they lie) those from
 * @first on. */
struct rng;
void dataset_fetch(const struct dataset *data, const struct dataset *norm, struct net_shape shape,
		   struct rng *choose, size_t first, size_t n, float *image, uint8_t *label);
/* Shape and classes only, from the headers: for `nasc space` and `nasc check`. */
enum nasc_status dataset_peek(const struct data_cfg *cfg, struct net_shape *shape,
			      uint32_t *classes, struct nasc_err *err);

/* ---- evaluators ------------------------------------------------------------ */
enum eval_outcome {
	EVAL_OK,
	EVAL_FAILED,	/* this candidate's fault; `why` says what, the search goes on */
	EVAL_CANCELLED, /* *cancel became true: no answer, nothing to record */
	EVAL_BROKEN,	/* nobody's candidate can be evaluated; `why` says what, the run ends */
};
struct eval_gene {
	uint32_t index;	  /* place among the values that the gene can take */
	const char *text; /* the value: "12" or "max" */
};
/* Rungs of a training that is done in parts, for successive halving. Behind the last of them
 * comes the whole training, as the evaluator's config has it. */
#define EVAL_MAX_RUNGS 8
struct eval_rungs {
	size_t n;
	int64_t epochs[EVAL_MAX_RUNGS];	    /* at the end of each; rising, below the whole */
	int64_t image_size[EVAL_MAX_RUNGS]; /* pixels; 0: as the evaluator's config has it */
	/* What else a state depends on, in words: images, program. NULL: nothing. */
	const char *origin;
};
struct eval_request {
	uint64_t id;   /* candidate; names its random streams */
	uint64_t seed; /* of the run */
	const struct network *net;
	const atomic_bool *cancel;    /* polled at least once a second of work; NULL: never */
	const struct eval_gene *gene; /* what the space made the network of, in its order */
	size_t n_genes;
	/* NULL: the whole training in one go. Else to the end of rung @rung, of the whole where
	 * that is rungs->n; the answer is the same wherever it begins. */
	const struct eval_rungs *rungs;
	size_t rung;
	/* File to go on from where it holds what the rung before has left, and for what this one
	 * leaves but for the last. NULL: from the beginning, and nothing is left. */
	const char *state_path;
};
#define EVAL_MAX_METRICS 16
struct eval_result {
	/* Of ops->metric[i], when EVAL_OK; never NAN where it is measured. Behind them, where
	 * ops->in_parts and rungs were asked for, the sum of the training losses so far. */
	double value[EVAL_MAX_METRICS + 1];
	char why[256];
};

struct evaluator;
struct proxy_method;
struct evaluator_ops {
	const char *name, *summary, *source;
	const struct metric *metric;
	size_t n_metrics;
	/* What metric[@metric] is measured only with, where @cfg is without: "flips above 0".
	 * NULL, like the answer NULL: it is measured. */
	const char *(*only_with)(const void *cfg, size_t metric);
	const char *provenance; /* "measured: …", "proxy: …" */
	bool needs_data;
	const struct cfg_field *fields;
	size_t cfg_size;
	/* Epochs of the whole training, of an evaluator that takes rungs. NULL: it trains in one
	 * go only. */
	double (*epochs)(const void *cfg);
	bool in_parts; /* with rungs: goes on from a state, takes image_size, tells the losses */
	/* What the fields' ranges cannot say, from the config, the files it names and this
	 * machine, no images read: for `nasc check`, and called by open. NULL: nothing to check. */
	enum nasc_status (*check)(const void *cfg, struct nasc_err *err);
	/* What of this machine and its libraries the answers depend on, in a few words: a
	 * journal keeps to it. NULL: nothing. */
	void (*machine)(const void *cfg, char text[128]);
	/* Bytes that a worker takes for tensors, weights and gradients while it evaluates @net,
	 * planned, nothing run; NAN: it cannot. NULL: not known. */
	double (*worker_bytes)(const void *cfg, const struct network *net);
	enum nasc_status (*open)(struct evaluator *e, struct nasc_err *err); /* NULL: no state */
	/* Hash of the files that open has read: a journal keeps to it. NULL: none. */
	uint64_t (*contents)(const struct evaluator *e);
	/* One per worker thread; owns its buffers. NASC_FAIL if it cannot start. NULL,
	 * like worker_close: run takes NULL as its worker. */
	enum nasc_status (*worker_open)(struct evaluator *e, void **worker, struct nasc_err *err);
	/* Any worker, any order, any number at once: the answer depends only on the
	 * request and the config. */
	enum eval_outcome (*run)(struct evaluator *e, void *worker,
				 const struct eval_request *request, struct eval_result *result);
	/* Before the thread ends that run was called on: a process it started ends then. */
	void (*worker_close)(struct evaluator *e, void *worker);
	void (*close)(struct evaluator *e); /* NULL when the arena suffices */
	const struct proxy_method *method;  /* that run goes by, where it is proxy_run() */
};
struct evaluator {
	const struct evaluator_ops *ops;
	const void *cfg;
	const struct dataset *train, *validation; /* NULL unless needs_data */
	struct arena *arena;
	void *state;
	/* Network @i of a sample of the run's space that @seed draws, in @a. Any thread. NULL
	 * where there is no space. */
	void (*sample)(const void *space, uint64_t seed, uint64_t i, struct arena *a,
		       struct network *out);
	const void *space;
};
extern const struct evaluator_ops *const evaluator_registry[];
const struct evaluator_ops *evaluator_find(const char *name);
static inline bool evaluator_measures(const struct evaluator_ops *ops, const void *cfg,
				      size_t metric)
{
	return !ops->only_with || !ops->only_with(cfg, metric);
}

/* ---- training one network at full budget: `nasc train` --------------------- */

/* The recipe: keys of `evaluator: {type: train}` and, with more epochs, of
 * `nasc train`. */
struct train_cfg {
	int64_t epochs;
	double fraction;    /* of the training images, (0, 1] */
	int64_t image_size; /* pixels, 0: the network's own input */
	int64_t batch, shard;
	int64_t optimizer; /* sgd, adamw */
	double rate, warmup /* epochs */, momentum, beta1, beta2, epsilon, weight_decay;
	double ema; /* decay of the averages that are kept in the end; 0: none */
	double label_smoothing;
	struct cfg_strings class_weights; /* "none", "balanced" or a number a class */
	int64_t shift, cutout;		  /* augmentation: pixels */
	bool flip;
	double rotate, shear, scale; /* degrees, degrees, fraction */
	double mixup;		     /* alpha */
	int64_t patience;	     /* epochs no better than chance; 0: any number */
	int64_t precision;	     /* auto, f32, bf16 */
	double flips, noise;	     /* faults of robustness.h: probability a bit, std of a pixel */
	int64_t draws;		     /* of flips */
};
extern const struct cfg_field train_fields[];
/* NASC_CONFIG: a batch that is no multiple of its shard, a warm-up as long as the training,
 * class weights that are none, or bf16 on a CPU without it. */
enum nasc_status train_check(const struct train_cfg *cfg, struct nasc_err *err);

struct train_progress {
	int64_t epoch, epochs;
	double loss, images_per_s; /* mean loss of the epoch so far */
	double done;		   /* [0, 1] of the whole */
};
/* Part of the images classified wrongly under faults; NAN where cfg->flips or cfg->noise is 0. */
struct train_robustness {
	double error_flips, error_noise;
};
struct train_report {
	double loss;		    /* mean training loss of the last epoch */
	double loss_sum;	    /* of the mean loss of each step: Ru et al., NeurIPS 2021 */
	double validation_accuracy; /* NAN without validation set */
	double test_accuracy;	    /* NAN without test set */
	struct train_robustness validation_robustness, test_robustness; /* likewise */
	uint64_t *confusion;   /* classes * classes, [truth][answer], of the test set; in arena */
	const char *precision; /* "bf16" or "f32", as run */
	double memory_bytes;   /* tensors, weights and gradients of one thread's training */
};
struct train_request {
	const struct train_cfg *cfg;
	const struct network *net;
	const struct dataset *train, *validation, *test; /* the last two: NULL, not asked for */
	uint64_t seed, id;				 /* of the random streams */
	unsigned threads;
	const struct eval_rungs
		*rungs; /* with rung and state_path as struct eval_request has them */
	size_t rung;
	const char *state_path;
	const char *weights_path;				    /* NULL: not kept */
	const atomic_bool *cancel;				    /* NULL: never */
	void (*progress)(const struct train_progress *, void *ctx); /* NULL: not asked for */
	void *ctx;
};
/* Train on q->train with q->threads threads: the same bits at any number of them
 * (a batch is cut into fixed shards, whose gradients are summed in order).
 * q->weights_path is written in the format safetensors (huggingface/safetensors):
 * 8 bytes length of the header, the header in JSON, f32 tensors, all
 * little-endian. "I.weights" of operator I is [h][w][in / groups][out]
 * (depthwise [h][w][1][c], dense with the h and w of its input), "I.bias" [out],
 * "I.gamma", "I.beta", "I.mean", "I.variance" [c] of a batch norm (its epsilon is
 * 1e-5); operators that reach no output have none. "__metadata__" has format "nasc
 * weights", version "1" and the network as trained, in its own JSON.
 * @out is filled as soon as training and tests are done, so also where only the
 * weights could not be written, and left as it was by every other failure; its
 * confusion lies in @a. NASC_INTERRUPTED when *cancel became true. */
enum nasc_status train_network(const struct train_request *q, struct arena *a,
			       struct train_report *out, struct nasc_err *err);
#endif
