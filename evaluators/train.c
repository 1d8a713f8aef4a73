#include "engine.h"
#include "trainer.h"

#include <math.h>
#include <string.h>

static const char *const optimizer_names[] = { "sgd", "adamw", NULL };
static const char *const precision_names[] = { "auto", "f32", "bf16", NULL };

const struct cfg_field train_fields[] = {
	CFG_INT_FIELD(struct train_cfg, epochs, "1", 1, 10000, "epochs",
		      "passes over the images of a candidate"),
	CFG_REAL_FIELD(struct train_cfg, fraction, "1", 1e-6, 1, UNIT_FRACTION, "",
		       "part of the training images used, chosen by the seed"),
	CFG_INT_FIELD(struct train_cfg, image_size, "0", 0, 4096, "pixels",
		      "height and width, or length, to train at; 0: the network's own input"),
	CFG_INT_FIELD(struct train_cfg, batch, "64", 1, 65536, "images",
		      "images of one step; a multiple of shard"),
	CFG_INT_FIELD(struct train_cfg, shard, "32", 1, 4096, "images",
		      "images whose batch norm statistics are taken together"),
	CFG_CHOICE_FIELD(struct train_cfg, optimizer, "sgd", optimizer_names,
			 "sgd: with Nesterov's momentum; adamw wants a rate of about 0.003"),
	CFG_REAL_FIELD(struct train_cfg, rate, "0.1", 0, 100, UNIT_NONE, "",
		       "learning rate behind the warm-up; a cosine takes it to 0"),
	CFG_REAL_FIELD(struct train_cfg, warmup, "0", 0, 10000, UNIT_NONE, "epochs",
		       "over which the rate rises in a straight line"),
	CFG_REAL_FIELD(struct train_cfg, momentum, "0.9", 0, 1, UNIT_NONE, "",
		       "of sgd, by Nesterov's method"),
	CFG_REAL_FIELD(struct train_cfg, beta1, "0.9", 0, 0.999999, UNIT_NONE, "",
		       "of adamw: decay of the mean of the gradients"),
	CFG_REAL_FIELD(struct train_cfg, beta2, "0.999", 0, 0.999999, UNIT_NONE, "",
		       "of adamw: decay of the mean of their squares"),
	CFG_REAL_FIELD(struct train_cfg, epsilon, "1e-8", 1e-12, 1, UNIT_NONE, "",
		       "of adamw: keeps it from dividing by 0"),
	CFG_REAL_FIELD(struct train_cfg, weight_decay, "1e-4", 0, 1, UNIT_NONE, "",
		       "pull of the weights to 0; not on biases and batch norms"),
	CFG_REAL_FIELD(struct train_cfg, ema, "0", 0, 0.999999, UNIT_NONE, "",
		       "decay of a running average of the weights, which is what is kept in the "
		       "end, as 0.999; 0: the last weights"),
	CFG_REAL_FIELD(struct train_cfg, label_smoothing, "0", 0, 0.99, UNIT_FRACTION, "",
		       "part of each label that is spread over all classes"),
	CFG_STRINGS_FIELD(struct train_cfg, class_weights, "none",
			  "of the loss: none, balanced (by rarity), or a list of numbers, one a "
			  "class, of which the ratios count"),
	CFG_INT_FIELD(struct train_cfg, shift, "0", 0, 64, "pixels",
		      "images are moved by up to so much in both directions, as random crops of "
		      "padded ones"),
	CFG_INT_FIELD(struct train_cfg, cutout, "0", 0, 4096, "pixels",
		      "side of a square that is blanked, anywhere"),
	CFG_BOOL_FIELD(struct train_cfg, flip, "false", "mirror images left to right at random"),
	CFG_REAL_FIELD(struct train_cfg, rotate, "0", 0, 180, UNIT_NONE, "degrees",
		       "images are turned by up to so much either way"),
	CFG_REAL_FIELD(struct train_cfg, shear, "0", 0, 60, UNIT_NONE, "degrees",
		       "images are sheared by up to so much either way"),
	CFG_REAL_FIELD(struct train_cfg, scale, "0", 0, 0.9, UNIT_FRACTION, "",
		       "images are made larger or smaller by up to so much"),
	CFG_REAL_FIELD(struct train_cfg, mixup, "0", 0, 4, UNIT_NONE, "",
		       "alpha of mixup, which trains on mixtures of two images; 0: none"),
	CFG_INT_FIELD(struct train_cfg, patience, "0", 0, 10000, "epochs",
		      "behind the warm-up with a loss no better than chance, after which training "
		      "fails as diverged; 0: any number"),
	CFG_CHOICE_FIELD(struct train_cfg, precision, "auto", precision_names,
			 "storage of activations; auto: bf16 on a CPU with AMX, else f32"),
	CFG_REAL_FIELD(struct train_cfg, flips, "0", 0, 1, UNIT_FRACTION, "",
		       "bits of the weights, in int8, that are flipped at random for error_flips; "
		       "0: it is not measured"),
	CFG_REAL_FIELD(struct train_cfg, noise, "0", 0, 1e6, UNIT_NONE, "of a pixel in [0, 1]",
		       "standard deviation of the noise on the images for error_noise, on float "
		       "data in its units; 0: it is not measured"),
	CFG_INT_FIELD(
		struct train_cfg, draws, "32", 1, 100000, "draws",
		"of flips, to which the images are dealt out: more cost little and tell more"),
	CFG_END
};

static enum nasc_status class_weights_check(const struct cfg_strings *w, struct nasc_err *err)
{
	double v, sum = 0;

	if (w->n == 1 && (strcmp(w->v[0], "none") == 0 || strcmp(w->v[0], "balanced") == 0))
		return NASC_OK;
	for (size_t i = 0; i < w->n; i++) {
		if (unit_parse(w->v[i], UNIT_NONE, &v, err))
			return err->code;
		if (v < 0)
			return nasc_fail(err, NASC_CONFIG, "%g is negative", v);
		sum += v;
	}
	if (w->n < 2 || sum <= 0)
		return nasc_fail(err, NASC_CONFIG,
				 "must be none, balanced or a list of numbers, one a class");
	return NASC_OK;
}

enum nasc_status train_check(const struct train_cfg *cfg, struct nasc_err *err)
{
	if (cfg->batch % cfg->shard != 0)
		return nasc_fail(err, NASC_CONFIG,
				 "batch: %lld images are not a multiple of shard: %lld",
				 (long long)cfg->batch, (long long)cfg->shard);
	if (cfg->warmup > 0 && cfg->warmup >= (double)cfg->epochs)
		return nasc_fail(err, NASC_CONFIG,
				 "warmup: %g epochs are not less than epochs: %lld", cfg->warmup,
				 (long long)cfg->epochs);
	if (class_weights_check(&cfg->class_weights, err))
		return nasc_wrap(err, "class_weights");
	if (cfg->precision == PRECISION_BF16 && !plan_has_bf16())
		return nasc_fail(err, NASC_CONFIG,
				 "precision: bf16 needs a CPU with AVX-512; auto or f32 would run "
				 "here");
	return NASC_OK;
}

/* ---- the evaluator ----------------------------------------------------------- */

enum { ERROR, ACCURACY, ERROR_FLIPS, ERROR_NOISE, N_METRICS };
static const struct metric train_metrics[N_METRICS] = {
	[ERROR] = { "error", "error", UNIT_FRACTION, false, false,
		    "part of the validation images classified wrongly" },
	[ACCURACY] = { "accuracy", "accuracy", UNIT_FRACTION, true, false,
		       "part of the validation images classified rightly" },
	[ERROR_FLIPS] = { "error_flips", "error_flips", UNIT_FRACTION, false, false,
			  "error with weights in int8 of which `flips` of the bits are flipped, "
			  "over `draws`" },
	[ERROR_NOISE] = { "error_noise", "error_noise", UNIT_FRACTION, false, false,
			  "error on validation images with Gaussian `noise`" },
};

static const char *only_with(const void *cfg, size_t metric)
{
	const struct train_cfg *c = cfg;

	if (metric == ERROR_FLIPS && c->flips <= 0)
		return "flips above 0";
	if (metric == ERROR_NOISE && c->noise <= 0)
		return "noise above 0";
	return NULL;
}

static double epochs(const void *cfg)
{
	return (double)((const struct train_cfg *)cfg)->epochs;
}

static enum nasc_status check(const void *cfg, struct nasc_err *err)
{
	return train_check(cfg, err);
}

static void machine(const void *cfg, char text[128])
{
	plan_machine(trainer_bf16(cfg), text);
}

/* Of the whole training, with images enough for a batch. */
static double worker_bytes(const void *cfg, const struct network *net)
{
	const struct train_cfg *c = cfg;
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network resized;
	struct plan plan = { 0 };
	double bytes = (double)NAN;

	conv_use_one_thread();
	if (!plan_resize(net, c->image_size, &a, &resized, &err) &&
	    !plan_create(&resized, (uint32_t)c->shard, trainer_bf16(c), PLAN_TRAIN, &a, &plan,
			 &err))
		bytes = plan_bytes(&plan, 1, (size_t)(c->batch / c->shard));
	plan_release(&plan);
	arena_free(&a);
	return bytes;
}

static enum nasc_status open(struct evaluator *e, struct nasc_err *err)
{
	if (!e->validation || e->validation->n == 0)
		return nasc_fail(err, NASC_CONFIG,
				 "evaluator 'train' needs validation images: data.validation must "
				 "be above 0");
	return check(e->cfg, err);
}

static enum eval_outcome run(struct evaluator *e, void *worker, const struct eval_request *request,
			     struct eval_result *result)
{
	const struct train_request q = { .cfg = e->cfg,
					 .net = request->net,
					 .train = e->train,
					 .validation = e->validation,
					 .seed = request->seed,
					 .id = request->id,
					 .threads = 1,
					 .rungs = request->rungs,
					 .rung = request->rung,
					 .state_path = request->state_path,
					 .cancel = request->cancel };
	struct arena a = { 0 };
	struct train_report report;
	struct nasc_err err = { 0 };
	enum nasc_status st;

	(void)worker;
	st = train_network(&q, &a, &report, &err);
	arena_free(&a);
	if (st == NASC_INTERRUPTED)
		return EVAL_CANCELLED;
	if (st) {
		snprintf(result->why, sizeof result->why, "%.*s", (int)sizeof result->why - 1,
			 err.msg);
		return EVAL_FAILED;
	}
	result->value[ERROR] = 1 - report.validation_accuracy;
	result->value[ACCURACY] = report.validation_accuracy;
	result->value[ERROR_FLIPS] = report.validation_robustness.error_flips;
	result->value[ERROR_NOISE] = report.validation_robustness.error_noise;
	result->value[N_METRICS] = report.loss_sum;
	return EVAL_OK;
}

const struct evaluator_ops evaluator_train = {
	.name = "train",
	.summary = "train on part of the training images, measure on the validation images",
	.source = "Sutskever et al., ICML 2013; Loshchilov & Hutter, ICLR 2017",
	.metric = train_metrics,
	.n_metrics = N_METRICS,
	.only_with = only_with,
	.provenance = "measured: trained briefly, accuracy on the validation images",
	.needs_data = true,
	.fields = train_fields,
	.cfg_size = sizeof(struct train_cfg),
	.epochs = epochs,
	.in_parts = true,
	.check = check,
	.machine = machine,
	.worker_bytes = worker_bytes,
	.open = open,
	.run = run,
};
