#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "engine_fixture.h"
#include "leak.h"
#include "loss.h"
#include "space.h"
#include "train_fixture.h"
#include "trainer.h"

/* The training recipe: optimizers, averages, schedule, loss, augmentation. Numbers of PyTorch
 * are from `/usr/bin/python3 tests/recipe_torch.py`. */

TestSuite(recipe, .fini = no_leaks);

/* ---- schedule ------------------------------------------------------------------- */

Test(recipe, warm_up_and_cosine_are_those_of_pytorch)
{
	static const double want[] = { 0.066666667, 0.133333333, 0.200000000, 0.200000000,
				       0.193969262, 0.176604444, 0.150000000, 0.117364818,
				       0.082635182, 0.050000000, 0.023395556, 0.006030738 };
	const struct train_cfg cfg = { .epochs = 3, .rate = 0.2, .warmup = 0.75 };

	for (size_t k = 0; k < 12; k++)
		near("step", k, trainer_rate(&cfg, k, 12, 4), want[k], 1e-9);
}

/* ---- optimizers ------------------------------------------------------------------- */

static void two_inputs(struct bench *b)
{
	start(b, 1, 1, 2);
	network_dense(&b->net, 0, 3, true);
	bench_open(b, false);
}

static double initial(size_t i)
{
	return 0.3 * sin(1 + 2 * (double)i);
}

/* Value @i of weights, then biases, in @vector. */
static float *value(const struct bench *b, float *vector, size_t i)
{
	return vector + (i < 6 ? param_at(&b->plan.param[0], i) : b->plan.param[1].at + i - 6);
}

static void five_steps(const struct update *u, const double *want, const double *want_average)
{
	struct bench b;

	two_inputs(&b);
	model_extend(&b.model, u->adamw, true, &b.arena);
	for (size_t i = 0; i < 9; i++)
		*value(&b, b.model.weights, i) = *value(&b, b.model.average, i) = (float)initial(i);
	for (size_t t = 0; t < 5; t++) {
		for (size_t i = 0; i < 9; i++)
			*value(&b, b.model.gradient, i) =
				(float)(0.5 * cos((double)i + 1.7 * (double)t));
		model_step(&b.model, u);
	}
	for (size_t i = 0; i < 9; i++) {
		near("weight", i, (double)*value(&b, b.model.weights, i), want[i], 1e-6);
		near("average", i, (double)*value(&b, b.model.average, i), want_average[i], 1e-6);
	}
	model_swap_average(&b.model);
	for (size_t i = 0; i < 9; i++) {
		near("swapped", i, (double)*value(&b, b.model.weights, i), want_average[i], 1e-6);
		near("kept", i, (double)*value(&b, b.model.average, i), want[i], 1e-6);
	}
	bench_close(&b);
}

Test(recipe, sgd_is_that_of_pytorch)
{
	static const double want[] = { 0.146724383, 0.025397233, -0.193587330,
				       0.270336885, 0.139775647, -0.336297342,
				       0.030551043, 0.155421203, -0.235782522 };
	static const double average[] = { 0.167741350, 0.033365679, -0.207029936,
					  0.254884585, 0.131695552, -0.332603005,
					  0.048935245, 0.167262343, -0.241371133 };
	const struct update u = { .rate = 0.05, .momentum = 0.9, .decay = 0.1, .average = 0.9 };

	five_steps(&u, want, average);
}

Test(recipe, adamw_is_that_of_pytorch)
{
	static const double want[] = { 0.234418679, 0.036284164, -0.264898694,
				       0.214109946, 0.130497178, -0.319428517,
				       0.106898760, 0.185922859, -0.268041772 };
	static const double average[] = { 0.235984064, 0.037107002, -0.265737639,
					  0.212836005, 0.129595974, -0.319114965,
					  0.108255183, 0.187050705, -0.268355715 };
	const struct update u = { .adamw = true,
				  .rate = 0.01,
				  .beta1 = 0.8,
				  .beta2 = 0.95,
				  .epsilon = 1e-6,
				  .decay = 0.1,
				  .average = 0.9 };

	five_steps(&u, want, average);
}

/* With one value in every running statistic the average is 1 - the product of its decays. */
Test(recipe, running_statistics_are_averaged_too)
{
	const struct update u = { .rate = 0, .average = 0.15 };
	struct bench b;

	start(&b, 2, 2, 1);
	network_dense(&b.net, norm(&b.net, 0), 2, true);
	bench_open(&b, false);
	model_extend(&b.model, false, true, &b.arena);
	b.model.average_mean[0] = b.model.average_var[0] = 0;
	b.model.running_mean[0] = 3;
	b.model.running_var[0] = 5;
	for (int t = 0; t < 3; t++)
		model_step(&b.model, &u);
	/* d = min(.15, 2/11), min(.15, 3/12), …: .15 each time */
	near("mean", 0, (double)b.model.average_mean[0], 3 * (1 - .15 * .15 * .15), 1e-6);
	near("variance", 0, (double)b.model.average_var[0], 5 * (1 - .15 * .15 * .15), 1e-6);
	model_swap_average(&b.model);
	cr_assert_eq(b.model.average_mean[0], 3);
	cr_assert_eq(b.model.average_var[0], 5);
	bench_close(&b);
}

/* ---- loss ------------------------------------------------------------------------ */

/* Loss of three images, then its gradient in the logits. */
static const struct loss_case {
	double smoothing;
	bool weighted;
	double mix;
	double want[13];
} loss_cases[] = {
	{ 0,
	  false,
	  0,
	  { 2.990034677, -0.257812251, 0.016851031, 0.035673633, 0.205287586, 0.014428679,
	    -0.043525564, 0.005308014, 0.023788870, 0.011516314, 0.140297420, 0.096424913,
	    -0.248238646 } },
	{ 0,
	  false,
	  0.3,
	  { 3.815034677, -0.157812251, 0.016851031, -0.064326367, 0.205287586, 0.014428679,
	    -0.043525564, 0.005308014, 0.023788870, -0.088483686, 0.140297420, 0.096424913,
	    -0.148238646 } },
	{ 0,
	  true,
	  0,
	  { 3.070283457, -0.128906125, 0.008425516, 0.017836817, 0.102643793, 0.028857358,
	    -0.087051128, 0.010616029, 0.047577741, 0.017274470, 0.210446130, 0.144637369,
	    -0.372357970 } },
	{ 0,
	  true,
	  0.3,
	  { 3.408379610, -0.067577963, 0.010953170, -0.076812138, 0.133436931, 0.028857358,
	    -0.087051128, 0.010616029, 0.047577741, -0.036180424, 0.168356904, 0.115709895,
	    -0.247886376 } },
	{ 0.1,
	  false,
	  0,
	  { 3.293159677, -0.232812251, 0.008517698, 0.027340300, 0.196954253, 0.006095346,
	    -0.018525564, -0.003025319, 0.015455537, 0.003182980, 0.131964087, 0.088091579,
	    -0.223238646 } },
	{ 0.1,
	  false,
	  0.3,
	  { 4.035659677, -0.142812251, 0.008517698, -0.062659700, 0.196954253, 0.006095346,
	    -0.018525564, -0.003025319, 0.015455537, -0.086817020, 0.131964087, 0.088091579,
	    -0.133238646 } },
	{ 0.1,
	  true,
	  0,
	  { 3.421384446, -0.110742044, -0.006977324, 0.012179006, 0.105540362, 0.023608541,
	    -0.058786711, 0.001884594, 0.033293575, 0.012819896, 0.190272028, 0.133893413,
	    -0.336985337 } },
	{ 0.1,
	  true,
	  0.3,
	  { 3.725670984, -0.055546698, -0.004702434, -0.073005054, 0.133254186, 0.023608541,
	    -0.058786711, 0.001884594, 0.033293575, -0.035289509, 0.152391725, 0.107858687,
	    -0.224960902 } },
};

/* A dense layer that passes its input on, so that the images are the logits. */
static void pass_on(struct bench *b)
{
	static const float z[3][4] = { { 1.0f, -0.5f, 0.25f, 2.0f },
				       { 0.0f, 3.0f, -1.0f, 0.5f },
				       { -2.0f, 0.5f, 0.125f, 0.0f } };

	start(b, 1, 1, 4);
	network_dense(&b->net, 0, 4, false);
	bench_open(b, false);
	for (size_t i = 0; i < 16; i++)
		b->model.weights[param_at(&b->plan.param[0], i)] = i % 5 == 0;
	memcpy(b->image, z, sizeof z);
	b->run.n_labels = 3;
	b->run.loss_scale = 1.0 / 3;
}

Test(recipe, loss_and_gradient_are_those_of_pytorch)
{
	static const uint8_t label[] = { 0, 1, 3, 0 }, other[] = { 2, 1, 0 };
	static const double weight[] = { 0.5, 2.0, 1.0, 1.5 };
	struct bench b;
	float target[12];

	pass_on(&b);
	memcpy(b.label, label, sizeof b.label);
	for (size_t k = 0; k < sizeof loss_cases / sizeof *loss_cases; k++) {
		const struct loss_case *c = &loss_cases[k];
		const struct loss_rule rule = { c->smoothing, c->weighted ? weight : NULL };

		for (size_t i = 0; i < 3; i++)
			loss_target(&rule, 4, label[i], other[i], c->mix, target + 4 * i);
		b.run.target = target;
		forward(&b);
		near("loss", k, b.run.loss, c->want[0], 2e-6);
		for (size_t i = 0; i < 12; i++)
			near("gradient", 100 * k + i, (double)b.run.logits_gradient[i],
			     c->want[1 + i], 1e-6);
		cr_assert_eq(b.run.correct, 1); /* of the labels, whatever is mixed in */
	}
	b.run.target = NULL;
	forward(&b);
	near("labels alone", 0, b.run.loss, loss_cases[0].want[0], 2e-6);
	bench_close(&b);
}

static struct cfg_strings words(struct arena *a, const char *const *word, size_t n)
{
	struct cfg_strings s = { n, ARENA_NEW(a, const char *, n) };

	memcpy(s.v, word, n * sizeof *word);
	return s;
}
#define WORDS(arena, ...)                                                                          \
	words(arena, (const char *[]){ __VA_ARGS__ },                                              \
	      sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *))

/* Nine images of three classes. Balanced: 9 / (3 * count); a list: over its mean of 14 / 9. */
Test(recipe, class_weights_by_hand)
{
	static const size_t count[] = { 6, 2, 1 };
	static const double balanced[] = { 0.5, 1.5, 3 }, list[] = { 9 / 14., 18 / 14., 36 / 14. };
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	const double *weight;

	cr_assert_null(trainer_class_weights(&cfg, 3, count, &a));
	cfg.class_weights = WORDS(&a, "balanced");
	weight = trainer_class_weights(&cfg, 3, count, &a);
	for (size_t k = 0; k < 3; k++)
		near("balanced", k, weight[k], balanced[k], 1e-12);
	cfg.class_weights = WORDS(&a, "1", "2", "4");
	weight = trainer_class_weights(&cfg, 3, count, &a);
	for (size_t k = 0; k < 3; k++)
		near("list", k, weight[k], list[k], 1e-12);
	arena_free(&a);
}

/* Entropy of the labels; of balanced classes log 3 whatever their number. */
Test(recipe, loss_of_chance_by_hand)
{
	static const size_t count[] = { 6, 2, 1 }, two[] = { 3, 1 };
	static const double weight[] = { 0.5, 1.5, 3 };
	struct loss_rule rule = { 0, NULL };

	near("entropy", 0, loss_of_chance(&rule, 2, two), -.75 * log(.75) - .25 * log(.25), 1e-12);
	rule.smoothing = 0.5; /* .75 becomes .375 + .25 */
	near("smoothed", 0, loss_of_chance(&rule, 2, two), -.625 * log(.625) - .375 * log(.375),
	     1e-12);
	rule = (struct loss_rule){ 0, weight };
	near("balanced", 0, loss_of_chance(&rule, 3, count), log(3), 1e-12);
}

/* ---- whole trainings --------------------------------------------------------------- */

static struct train_cfg everything(struct arena *a)
{
	struct train_cfg cfg = defaults(a);

	cfg.optimizer = OPTIMIZER_ADAMW;
	cfg.rate = 0.005;
	cfg.weight_decay = 0.01;
	cfg.warmup = 0.5;
	cfg.ema = 0.95;
	cfg.label_smoothing = 0.05;
	cfg.class_weights = WORDS(a, "balanced");
	cfg.shift = 1;
	cfg.cutout = 2;
	cfg.rotate = cfg.shear = 5;
	cfg.scale = 0.1;
	cfg.mixup = 0.2;
	cfg.patience = 2;
	return cfg;
}

Test(recipe, any_number_of_threads_gives_the_same_bits)
{
	struct arena a = { 0 };
	struct train_cfg cfg = everything(&a);
	struct train_report report[2];
	struct dataset data;
	struct network net;
	char *weights[2];
	size_t n[2];

	quarters(&a, 300, 1, &data);
	densenet(&a, data.shape, 6, 2, 5, 4, &net);
	cfg.batch = 80;
	cfg.shard = 16;
	cfg.epochs = 2;
	cfg.flip = true;
	for (unsigned i = 0; i < 2; i++)
		weights[i] = weights_after(&a, &cfg, &net, &data, 1 + i, &n[i], &report[i]);
	cr_assert_eq(n[0], n[1]);
	cr_assert_eq(memcmp(weights[0], weights[1], n[0]), 0);
	cr_assert_eq(report[0].loss, report[1].loss);
	cr_assert_eq(report[0].loss_sum, report[1].loss_sum);
	arena_free(&a);
}

Test(recipe, all_together_learn)
{
	struct arena a = { 0 };
	struct train_cfg cfg = everything(&a);
	struct dataset train, validation;
	struct train_report report;
	struct nasc_err err = { 0 };
	struct network net;

	quarters(&a, 2000, 1, &train);
	quarters(&a, 400, 2, &validation);
	densenet(&a, train.shape, 6, 2, 5, 4, &net);
	cfg.epochs = 8;
	cr_assert_eq(TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &train,
			   .validation = &validation, .threads = 1),
		     NASC_OK, "%s", err.msg);
	cr_assert_gt(report.validation_accuracy, 0.95);
	arena_free(&a);
}

/* An average without memory is the weights themselves; with some it is not. */
Test(recipe, the_average_is_what_is_kept)
{
	static const double ema[] = { 0, 1e-30, 0.9 };
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	struct train_report report[3];
	struct dataset data;
	struct network net;
	char *weights[3];
	size_t n[3];

	quarters(&a, 256, 1, &data);
	densenet(&a, data.shape, 6, 1, 5, 4, &net);
	for (size_t i = 0; i < 3; i++) {
		cfg.ema = ema[i];
		weights[i] = weights_after(&a, &cfg, &net, &data, 1, &n[i], &report[i]);
	}
	cr_assert_eq(memcmp(weights[0], weights[1], n[0]), 0);
	cr_assert_neq(memcmp(weights[0], weights[2], n[0]), 0);
	cr_assert_eq(report[0].loss, report[2].loss); /* training is the same */
	arena_free(&a);
}

Test(recipe, a_loss_no_better_than_chance_ends_the_training)
{
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	struct train_report report;
	struct nasc_err err = { 0 };
	struct dataset data;
	struct network net;

	quarters(&a, 256, 1, &data);
	densenet(&a, data.shape, 6, 1, 5, 4, &net);
	cfg.rate = 0; /* learns nothing */
	cfg.epochs = 9;
	cfg.warmup = 3;
	cfg.patience = 2;
	cr_assert_eq(
		TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &data, .threads = 1),
		NASC_FAIL);
	cr_assert(strstr(err.msg, "training diverged: over 2 epochs the loss, now ") &&
			  strstr(err.msg, ", is no better than that of chance, 1.38"),
		  "%s", err.msg);
	cfg.patience = 7; /* after three of warm-up six are left */
	cr_assert_eq(
		TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &data, .threads = 1),
		NASC_OK);
	cfg.rate = 0.1;
	cfg.patience = 1;
	cr_assert_eq(
		TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &data, .threads = 1),
		NASC_OK);
	arena_free(&a);
}

Test(recipe, config_is_checked)
{
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	struct train_report report;
	struct nasc_err err = { 0 };
	struct dataset data;
	struct network net;

	cfg.epochs = 3;
	cfg.warmup = 3;
	cr_assert_eq(train_check(&cfg, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "warmup: 3 epochs are not less than epochs: 3");
	cfg.warmup = 2.5;
	cr_assert_eq(train_check(&cfg, &err), NASC_OK);
	cfg.class_weights = WORDS(&a, "balance");
	cr_assert_eq(train_check(&cfg, &err), NASC_CONFIG);
	cr_assert_eq(strncmp(err.msg, "class_weights: ", 15), 0, "%s", err.msg);
	cfg.class_weights = WORDS(&a, "1");
	cr_assert_eq(train_check(&cfg, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "class_weights: must be none, balanced or a list of numbers, one "
				  "a class");
	cfg.class_weights = WORDS(&a, "0", "0");
	cr_assert_eq(train_check(&cfg, &err), NASC_CONFIG);
	cfg.class_weights = WORDS(&a, "1", "-2");
	cr_assert_eq(train_check(&cfg, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "class_weights: -2 is negative");
	cfg.class_weights = WORDS(&a, "1", "2", "3");
	cr_assert_eq(train_check(&cfg, &err), NASC_OK);
	quarters(&a, 64, 1, &data);
	densenet(&a, data.shape, 6, 1, 5, 4, &net);
	cr_assert_eq(
		TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &data, .threads = 1),
		NASC_CONFIG);
	cr_assert_str_eq(err.msg, "class_weights: 3 numbers for 4 classes");
	arena_free(&a);
}

/* ---- series ------------------------------------------------------------------------- */

/* Four classes of the same energy, told apart by the period of a wave of random phase in
 * noise, in floats: 1 x 64 x 2, where the second channel is noise alone. */
static void waves(struct arena *a, size_t n, uint64_t seed, struct dataset *d)
{
	static const double period[] = { 4, 6, 9, 14 };
	float *image = ARENA_NEW(a, float, n * 128);
	uint8_t *label = ARENA_NEW(a, uint8_t, n);
	struct rng rng;

	rng_stream(&rng, seed, RNG_SAMPLE, 0);
	for (size_t i = 0; i < n; i++) {
		double phase = rng_unit(&rng) * 6.28;

		label[i] = (uint8_t)rng_below(&rng, 4);
		for (size_t t = 0; t < 64; t++) {
			double wave = sin(phase + 6.28318530718 * (double)t / period[label[i]]);

			image[(i * 64 + t) * 2] = (float)(1e3 + 5 * (2 * wave + rng_normal(&rng)));
			image[(i * 64 + t) * 2 + 1] = (float)(1e-3 * rng_normal(&rng));
		}
	}
	*d = (struct dataset){ .n = n,
			       .shape = { 1, 64, 2 },
			       .classes = 4,
			       .pixel = PIXEL_F32,
			       .image = image,
			       .label = label,
			       .mean = { 1e3f, 0 },
			       .std = { 8.66f, 1e-3f } };
}

/* A network of the searched space, trained for real: 25 % is chance. */
Test(recipe, learns_series)
{
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	struct dataset train, test;
	struct train_report report;
	struct nasc_err err = { 0 };
	uint32_t gene[64];
	const struct space_ops *ops = space_find("densenet");
	struct space space;
	struct network net;
	struct rng rng;
	void *space_cfg = arena_alloc(&a, 1, ops->cfg_size, alignof(max_align_t));

	waves(&a, 1500, 1, &train);
	waves(&a, 500, 2, &test);
	cfg_defaults(ops->fields, &a, space_cfg, ops->cfg_size);
	cr_assert_eq(space_open(&space, ops, space_cfg, train.shape, 4, &a, &err), NASC_OK, "%s",
		     err.msg);
	rng_seed(&rng, 5, 5);
	do {
		space_sample(&space, &rng, gene);
		space_decode(&space, gene, &a, &net);
	} while (network_params(&net) < 2000 || network_params(&net) > 8000);
	for (size_t i = 0; i < net.n_ops; i++)
		cr_assert(net.op[i].out.h == 1 && net.op[i].kernel_h <= 1);
	cfg.epochs = 8;
	cfg.shift = 8;
	cfg.scale = 0.02;
	cfg.cutout = 6;
	cfg.flip = true;
	cr_assert_eq(TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &train,
			   .test = &test, .threads = 2),
		     NASC_OK, "%s", err.msg);
	printf("# %llu parameters: %.1f %%\n", (unsigned long long)network_params(&net),
	       100 * report.test_accuracy);
	cr_assert_gt(report.test_accuracy, 0.85, "%g", report.test_accuracy);
	cfg.image_size = 48; /* the length */
	cr_assert_eq(TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &train,
			   .test = &test, .threads = 1),
		     NASC_OK, "%s", err.msg);
	cr_assert_gt(report.test_accuracy, 0.6, "%g", report.test_accuracy);
	cfg.rotate = 5;
	cr_assert_eq(
		TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &train, .threads = 1),
		NASC_CONFIG);
	cr_assert_str_eq(err.msg, "rotate: a series cannot be");
	arena_free(&a);
}
