#ifndef NASC_PROXY_H
#define NASC_PROXY_H
#include "engine.h"
#include "evaluators.h"
#include "rng.h"

/* What zero-cost proxies share: a score of a network that has not been trained, from
 * one batch run through it. A proxy is a struct proxy_method, the `method` of an
 * evaluator whose run is proxy_run(). */

struct proxy_cfg {
	int64_t images, repeats, image_size;
	int64_t reference; /* az_nas alone */
};
#define PROXY_IMAGES_FIELD(count, help)                                                            \
	CFG_INT_FIELD(struct proxy_cfg, images, count, 2, 1024, "images", help)
#define PROXY_REPEATS_FIELD(count)                                                                 \
	CFG_INT_FIELD(struct proxy_cfg, repeats, count, 1, 1000, "times",                          \
		      "initial weights averaged over")
#define PROXY_SIZE_FIELD                                                                           \
	CFG_INT_FIELD(struct proxy_cfg, image_size, "0", 0, 4096, "pixels",                        \
		      "height and width to run at; 0: the network's own input")

/* Initial weights of convolutions and dense layers; batch norms start as they do in
 * training, biases at 0. */
enum proxy_weights {
	PROXY_UNIFORM, /* within 1 / sqrt(fan_in): PyTorch's default, which the published
			* values of most proxies come from */
	PROXY_NORMAL,  /* He et al. 2015: N(0, 2 / fan_in), dense N(0, 1 / fan_in) */
	PROXY_UNIT,    /* N(0, 1) */
};

struct proxy { /* of one worker: its memory serves every network */
	const struct proxy_cfg *cfg;
	const struct eval_request *request;
	struct arena arena; /* of one network */
	struct plan plan;
	struct model model;
	struct runner runner;
	struct arena kept; /* what comes back for every candidate: */
	float *image;	   /* [n_kept][h][w][c] */
	uint8_t *label;
	struct net_shape kept_shape;
	uint64_t kept_seed;
	size_t n_kept;
	void *state; /* the method's, in arena */
};

struct proxy_method {
	enum plan_use use;
	enum proxy_weights weights;
	bool features;	/* up to the last global average pool, not to the logits */
	bool bf16;	/* where the CPU is faster with it */
	size_t batches; /* of training images; 0: none, the input is left to score() */
	/* Once for each network. May be NULL. */
	enum nasc_status (*begin)(struct proxy *p, struct nasc_err *err);
	/* The score of one draw of weights, packed; batch 0 is loaded. Of no meaning once
	 * the runner is cancelled. */
	double (*score)(struct proxy *p, struct rng *rng);
	const char *degenerate; /* why a score may be infinite or NAN */
};

enum nasc_status proxy_open(struct evaluator *e, void **worker, struct nasc_err *err);
void proxy_close(struct evaluator *e, void *worker);
/* value[0]: mean of the scores over the repeats. */
enum eval_outcome proxy_run(struct evaluator *e, void *worker, const struct eval_request *request,
			    struct eval_result *result);
/* The outcome of @err for a candidate that cannot be scored. */
enum eval_outcome proxy_failed(const struct nasc_err *err, struct eval_result *result);
void proxy_machine(const void *cfg, char text[128]);	  /* in f32 */
void proxy_machine_bf16(const void *cfg, char text[128]); /* with method->bf16 */

/* @net up to what its last global average pool reads. */
enum nasc_status proxy_features(struct arena *a, struct network *net, struct nasc_err *err);
/* Plan, model and runner of @net in @p->arena. */
enum nasc_status proxy_prepare(struct proxy *p, const struct network *net, uint32_t images,
			       const struct proxy_method *method, struct nasc_err *err);
/* And back. Fine where there are none. */
void proxy_release(struct proxy *p);
void proxy_draw(struct proxy *p, enum proxy_weights weights, struct rng *rng);
/* Labelled images @batch of the run's own order, the same for all candidates. */
void proxy_load(struct proxy *p, size_t batch);
/* Forward in training mode, and backward from the cross-entropy averaged over the batch. */
void proxy_gradients(struct proxy *p);
/* Backward with gradient @r->logits_gradient at the output, behind a forward without labels. */
void proxy_backward(struct proxy *p);
/* Gradient of the loaded images, f32 [images][h][w][c]. */
void proxy_input_gradient(struct proxy *p, float *out);
static inline bool proxy_cancelled(const struct proxy *p)
{
	return p->request->cancel && atomic_load_explicit(p->request->cancel, memory_order_relaxed);
}
#endif
