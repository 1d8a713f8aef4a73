#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "batch.h"
#include "engine.h"
#include "evaluators.h"
#include "file.h"
#include "json.h"
#include "leak.h"
#include "rng.h"
#include "train_fixture.h"

/* Training as a whole: bits, learning, failures, the weights file. */

TestSuite(train, .fini = no_leaks);

extern const struct evaluator_ops evaluator_train;

Test(train, any_number_of_threads_gives_the_same_bits)
{
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	struct train_report report[4];
	struct dataset data;
	struct network net;
	char *weights[4];
	size_t n[4];

	quarters(&a, 300, 1, &data); /* does not divide by the batch */
	densenet(&a, data.shape, 6, 2, 5, 4, &net);
	cfg.batch = 80;
	cfg.shard = 16;
	cfg.epochs = 2;
	cfg.shift = 1;
	cfg.flip = true;
	for (unsigned precision = 1; precision <= (plan_has_bf16() ? 2 : 1); precision++) {
		cfg.precision = precision;
		for (unsigned t = 0; t < 4; t++) {
			unsigned threads = t == 3 ? 1 : t + 1; /* the last: the first again */

			weights[t] =
				weights_after(&a, &cfg, &net, &data, threads, &n[t], &report[t]);
			cr_assert_eq(n[t], n[0]);
			cr_assert(memcmp(weights[t], weights[0], n[0]) == 0,
				  "precision %u, %u threads", precision, threads);
			cr_assert_eq(report[t].loss, report[0].loss);
			cr_assert_eq(report[t].test_accuracy, report[0].test_accuracy);
			for (size_t i = 0; i < 16; i++)
				cr_assert_eq(report[t].confusion[i], report[0].confusion[i]);
		}
	}
	arena_free(&a);
}

struct worker_run {
	struct evaluator *e;
	const struct network *net;
	uint64_t id;
	struct eval_result result;
	enum eval_outcome outcome;
};

static void *worker_main(void *arg)
{
	struct worker_run *w = arg;
	const struct evaluator_ops *ops = w->e->ops;
	struct eval_request request = { .id = w->id, .seed = 77, .net = w->net };

	w->outcome = ops->run(w->e, NULL, &request, &w->result);
	return NULL;
}

Test(train, two_workers_at_once_answer_as_one_alone)
{
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	struct dataset train, validation;
	struct evaluator e = { .ops = &evaluator_train,
			       .cfg = &cfg,
			       .train = &train,
			       .validation = &validation,
			       .arena = &a };
	struct nasc_err err = { 0 };
	struct worker_run alone, both[2];
	struct network net;
	pthread_t thread[2];

	quarters(&a, 256, 1, &train);
	quarters(&a, 333, 2, &validation);
	densenet(&a, train.shape, 6, 2, 5, 4, &net);
	cr_assert_eq(evaluator_train.open(&e, &err), NASC_OK, "%s", err.msg);
	alone = (struct worker_run){ .e = &e, .net = &net, .id = 3 };
	worker_main(&alone);
	cr_assert_eq(alone.outcome, EVAL_OK);
	for (int i = 0; i < 2; i++) {
		both[i] = (struct worker_run){ .e = &e, .net = &net, .id = 3 + (uint64_t)i };
		pthread_create(&thread[i], NULL, worker_main, &both[i]);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	cr_assert_eq(both[0].result.value[0], alone.result.value[0]);
	cr_assert_eq(both[0].result.value[1], alone.result.value[1]);
	cr_assert_float_eq(alone.result.value[0] + alone.result.value[1], 1, 1e-12);
	arena_free(&a);
}

Test(train, learns_what_can_be_learned)
{
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	struct dataset train, validation, test;
	struct train_report report;
	struct nasc_err err = { 0 };
	struct network net;
	uint64_t trace = 0, all = 0;

	quarters(&a, 2000, 1, &train);
	quarters(&a, 400, 2, &validation);
	quarters(&a, 500, 3, &test);
	densenet(&a, train.shape, 6, 2, 5, 4, &net);
	cfg.epochs = 3;
	cfg.batch = 64;
	cr_assert_eq(TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &train,
			   .validation = &validation, .test = &test, .threads = 1),
		     NASC_OK, "%s", err.msg);
	cr_assert_gt(report.validation_accuracy, 0.95);
	cr_assert_gt(report.test_accuracy, 0.95);
	for (size_t i = 0; i < 16; i++) {
		all += report.confusion[i];
		trace += i % 5 == 0 ? report.confusion[i] : 0;
	}
	cr_assert_eq(all, 500);
	cr_assert_float_eq((double)trace / 500, report.test_accuracy, 1e-12);
	arena_free(&a);
}

Test(train, learns_fashion_mnist)
{
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	const struct data_cfg data = { .directory = "/usr/share/datasets/fashion-mnist",
				       .validation = 0.1 };
	struct dataset train, validation;
	struct train_report report;
	struct nasc_err err = { 0 };
	struct network net;

	if (access("/usr/share/datasets/fashion-mnist", R_OK) != 0)
		cr_skip("needs Debian's dataset-fashion-mnist");
	cr_assert_eq(dataset_open_train(&data, 1, &a, &train, &validation, &err), NASC_OK, "%s",
		     err.msg);
	densenet(&a, train.shape, 12, 3, 8, 10, &net);
	cr_assert_lt(network_params(&net), 12000);
	cfg.image_size = 14;
	cfg.fraction = 0.4;
	cr_assert_eq(TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &train,
			   .validation = &validation, .threads = 1),
		     NASC_OK, "%s", err.msg);
	printf("# %llu parameters: %.2f %%\n", (unsigned long long)network_params(&net),
	       100 * report.validation_accuracy);
	cr_assert_gt(report.validation_accuracy, 0.76);
	cr_assert(isnan(report.test_accuracy));
	arena_free(&a);
}

/* ---- what can go wrong ---------------------------------------------------------- */

static enum eval_outcome evaluate(const struct train_cfg *cfg, const struct network *net,
				  const struct dataset *data, const atomic_bool *cancel,
				  struct eval_result *result)
{
	struct evaluator e = {
		.ops = &evaluator_train, .cfg = cfg, .train = data, .validation = data
	};
	struct eval_request request = { .id = 1, .seed = 2, .net = net, .cancel = cancel };

	return evaluator_train.run(&e, NULL, &request, result);
}

Test(train, failures_say_why)
{
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	struct eval_result result;
	atomic_bool stop = true;
	struct dataset data;
	struct network net;
	const char *want;

	quarters(&a, 256, 1, &data);
	densenet(&a, data.shape, 6, 1, 5, 5, &net);
	cr_assert_eq(evaluate(&cfg, &net, &data, NULL, &result), EVAL_FAILED);
	cr_assert_str_eq(result.why, "the network tells 5 classes apart, the labels are of 4");
	densenet(&a, (struct net_shape){ 8, 8, 3 }, 6, 1, 5, 4, &net);
	cr_assert_eq(evaluate(&cfg, &net, &data, NULL, &result), EVAL_FAILED);
	cr_assert_str_eq(result.why, "the network reads 3 channels, the images have 1");
	densenet(&a, data.shape, 6, 1, 5, 4, &net);
	cfg.image_size = 1; /* the transition's pool does not fit */
	cr_assert_eq(evaluate(&cfg, &net, &data, NULL, &result), EVAL_FAILED);
	cr_assert_neq(strlen(result.why), 0);
	cfg.image_size = 0;
	cr_assert_eq(evaluate(&cfg, &net, &data, &stop, &result), EVAL_CANCELLED);
	for (cfg.precision = 1; cfg.precision <= (plan_has_bf16() ? 2 : 1); cfg.precision++) {
		/* Without norms to hold it, steps as large as this end in infinity. */
		network_init(&net, &a, data.shape);
		network_dense(&net, network_dense(&net, 0, 30, true), 4, true);
		cr_assert_eq(network_infer(&net, &(struct nasc_err){ 0 }), NASC_OK);
		cfg.rate = 100;
		cfg.epochs = 50;
		cr_assert_eq(evaluate(&cfg, &net, &data, NULL, &result), EVAL_FAILED);
		want = "training diverged: the loss is not finite after ";
		cr_assert_eq(strncmp(result.why, want, strlen(want)), 0, "%s", result.why);
	}
	arena_free(&a);
}

/* What hours of training found is not lost with the file. */
Test(train, reports_where_the_weights_cannot_be_written)
{
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	struct train_report report = { 0 };
	struct nasc_err err = { 0 };
	struct dataset data;
	struct network net;

	quarters(&a, 64, 1, &data);
	densenet(&a, data.shape, 6, 1, 5, 4, &net);
	cr_assert_eq(TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &data,
			   .test = &data, .threads = 1, .weights_path = "/nonexistent/k.w"),
		     NASC_FAIL);
	cr_assert(strstr(err.msg, "/nonexistent/k.w"), "%s", err.msg);
	cr_assert_not_null(report.precision);
	cr_assert(report.loss > 0 && report.test_accuracy >= 0);
	report = (struct train_report){ 0 };
	cfg.batch = 100; /* no multiple of shard: nothing was trained */
	cr_assert_eq(TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &data,
			   .test = &data, .threads = 1),
		     NASC_CONFIG);
	cr_assert_null(report.precision);
	arena_free(&a);
}

Test(train, config_is_checked)
{
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	struct dataset data;
	struct evaluator e = { .ops = &evaluator_train, .cfg = &cfg, .train = &data, .arena = &a };
	struct nasc_err err = { 0 };

	quarters(&a, 8, 1, &data);
	cr_assert_eq(evaluator_train.open(&e, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "evaluator 'train' needs validation images: data.validation must "
				  "be above 0");
	e.validation = &data;
	cr_assert_eq(evaluator_train.open(&e, &err), NASC_OK);
	cfg.batch = 100;
	cr_assert_eq(evaluator_train.open(&e, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "batch: 100 images are not a multiple of shard: 32");
	err = (struct nasc_err){ 0 };
	cr_assert_eq(evaluator_train.check(&cfg, &err), NASC_CONFIG); /* without images */
	cr_assert_str_eq(err.msg, "batch: 100 images are not a multiple of shard: 32");
	cfg.batch = 96;
	cr_assert_eq(evaluator_train.check(&cfg, &err), NASC_OK);
	cfg.precision = 2; /* bf16 */
	cr_assert_eq(train_check(&cfg, &err), plan_has_bf16() ? NASC_OK : NASC_CONFIG);
	arena_free(&a);
}

/* Fewer images than a batch, than a shard, one alone: still trains. */
Test(train, few_images)
{
	static const size_t n[] = { 1, 2, 31, 33, 65 };
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	struct train_report report;
	struct nasc_err err = { 0 };
	struct dataset data;
	struct network net;

	for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
		quarters(&a, n[i], 1, &data);
		densenet(&a, data.shape, 6, 1, 5, 4, &net);
		cr_assert_eq(TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &data,
				   .validation = &data, .threads = 2),
			     NASC_OK, "%zu images: %s", n[i], err.msg);
		cr_assert(isfinite(report.loss));
	}
	arena_free(&a);
}

/* ---- progress ------------------------------------------------------------------- */

struct seen {
	size_t calls;
	struct train_progress last;
};

static void see(const struct train_progress *p, void *ctx)
{
	struct seen *s = ctx;

	cr_assert_gt(p->done, s->last.done);
	cr_assert_gt(p->images_per_s, 0);
	s->last = *p;
	s->calls++;
}

/* ---- the weights file: safetensors ------------------------------------------------ */

static uint64_t u64_at(const char *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | (unsigned char)p[i];
	return v;
}

/* One step on all four images of one pixel, bytes 0, 51, 102 and 255, not normalised:
 * x = 0, .2, .4, 1, mean .4, variance (.16 + .04 + 0 + .36) / 3 with Bessel's correction. */
Test(train, weights_file_and_running_statistics)
{
	static const uint8_t image[] = { 0, 51, 102, 255 }, label[] = { 0, 1, 0, 1 };
	struct dataset data = { .n = 4,
				.shape = { 1, 1, 1 },
				.classes = 2,
				.image = image,
				.label = label,
				.mean = { 0 },
				.std = { 1 } };
	struct arena a = { 0 };
	struct train_cfg cfg = defaults(&a);
	struct nasc_err err = { 0 };
	struct train_report report;
	struct seen seen = { 0 };
	struct network net, back;
	struct cJSON *header;
	const struct cJSON *tensor, *list, *meta;
	const char *network;
	char path[64], *text;
	float value[2];
	size_t n;
	int64_t at;

	network_init(&net, &a, data.shape);
	network_dense(&net, network_unary(&net, NET_BATCH_NORM, 0), 2, true);
	cr_assert_eq(network_infer(&net, &err), NASC_OK);
	cfg.precision = 1;
	temporary(path);
	cr_assert_eq(TRAIN(&a, &report, &err, .cfg = &cfg, .net = &net, .train = &data,
			   .threads = 1, .weights_path = path, .progress = see, .ctx = &seen),
		     NASC_OK, "%s", err.msg);
	cr_assert_str_eq(report.precision, "f32");
	cr_assert_eq(seen.calls, 1);
	cr_assert_eq(seen.last.done, 1);
	cr_assert_float_eq(seen.last.loss, report.loss, 1e-12);
	cr_assert(isnan(report.validation_accuracy) && isnan(report.test_accuracy));
	cr_assert_eq(file_read(path, 1 << 20, &a, &text, &n, &err), NASC_OK, "%s", err.msg);
	unlink(path);
	cr_assert_eq(u64_at(text) % 8, 0);
	cr_assert_eq(json_parse(path, text + 8, u64_at(text), &header, &err), NASC_OK, "%s",
		     err.msg);
	cr_assert_eq(json_get(header, "1.mean", &tensor, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(json_get_list(tensor, "data_offsets", &list, &err), NASC_OK);
	at = (int64_t)list->child->valuedouble;
	cr_assert_eq(list->child->next->valuedouble, at + 4);
	memcpy(value, text + 8 + u64_at(text) + at, 8); /* mean, then variance */
	cr_assert_float_eq((double)value[0], 0.4, 1e-6);
	cr_assert_float_eq((double)value[1], 0.56 / 3, 1e-6);
	/* 2 gammas and betas, dense 1 x 2 and its 2 biases, mean and variance: 8 floats */
	cr_assert_eq(n, 8 + u64_at(text) + 8 * 4);
	cr_assert_eq(json_get(header, "2.weights", &tensor, &err), NASC_OK);
	cr_assert_eq(json_get(header, "__metadata__", &meta, &err), NASC_OK);
	cr_assert_eq(json_get_string(meta, "network", &network, &err), NASC_OK);
	{
		struct cJSON *json;

		cr_assert_eq(json_parse("network", network, strlen(network), &json, &err), NASC_OK);
		cr_assert_eq(network_from_json(json, &a, &back, &err), NASC_OK, "%s", err.msg);
		cr_assert(network_equal(&net, &back));
		cJSON_Delete(json);
	}
	cJSON_Delete(header);
	arena_free(&a);
}

/* ---- images ---------------------------------------------------------------------- */

static void check_image(const char *what, const float *got, const double *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cr_assert_float_eq((double)got[i], want[i], 1e-4, "%s, %zu: %g, not %g", what, i,
				   (double)got[i], want[i]);
}

/* A 2x3 image, mean 100 / 255 and deviation 1 / 255: normalised = byte - 100. */
Test(train, images_resized_and_normalised)
{
	static const uint8_t image[] = { 10, 20, 30, 40, 50, 60 }, label[] = { 7 };
	struct dataset data = { .n = 1,
				.shape = { 2, 3, 1 },
				.classes = 10,
				.image = image,
				.label = label,
				.mean = { 100 / 255.0f },
				.std = { 1 / 255.0f } };
	/* One cell: the mean. 1x2: columns of 1.5 pixels, (10 + .5 * 20) / 1.5 and so on. */
	static const double same[] = { -90, -80, -70, -60, -50, -40 }, one[] = { 35 - 100.0 };
	static const double two[] = { (20 / 1.5 + 65 / 1.5) / 2 - 100,
				      (40 / 1.5 + 85 / 1.5) / 2 - 100 };
	static const double larger[] = {
		-90, -80, -70, -90, -80, -70, -60, -50, -40, -60, -50, -40
	};
	struct arena a = { 0 };
	struct batch b;
	float out[12];
	uint8_t got;

	batch_open(&b, &data, &data, (struct net_shape){ 2, 3, 1 }, &a);
	batch_fetch(&b, 0, 1, out, &got);
	cr_assert_eq(got, 7);
	check_image("same size", out, same, 6);
	batch_open(&b, &data, &data, (struct net_shape){ 1, 1, 1 }, &a);
	batch_fetch(&b, 0, 1, out, &got);
	check_image("1x1", out, one, 1);
	batch_open(&b, &data, &data, (struct net_shape){ 1, 2, 1 }, &a);
	batch_fetch(&b, 0, 1, out, &got);
	check_image("1x2", out, two, 2);
	batch_open(&b, &data, &data, (struct net_shape){ 4, 3, 1 }, &a);
	batch_fetch(&b, 0, 1, out, &got);
	check_image("4x3", out, larger, 12);
	arena_free(&a);
}

Test(train, images_shifted_and_flipped)
{
	static const uint8_t image[] = { 1, 2, 3, 4, 5, 6 }, label[] = { 0 };
	struct dataset data = { .n = 1,
				.shape = { 2, 3, 1 },
				.classes = 1,
				.image = image,
				.label = label,
				.mean = { 0 },
				.std = { 1 / 255.0f } };
	static const double right[] = { 0, 1, 2, 0, 4, 5 }, down[] = { 0, 0, 0, 1, 2, 3 };
	static const double flipped[] = { 3, 2, 1, 6, 5, 4 };
	struct arena a = { 0 };
	struct batch b;
	struct rng shuffle, augment;
	unsigned seen_dx = 0, seen_flip = 0;
	float out[6];
	uint8_t got;

	batch_open(&b, &data, &data, data.shape, &a);
	b.view[0] = (struct batch_view){ .dx = -1 };
	batch_fetch(&b, 0, 1, out, &got);
	check_image("one to the right", out, right, 6);
	b.view[0] = (struct batch_view){ .dy = -1 };
	batch_fetch(&b, 0, 1, out, &got);
	check_image("one down", out, down, 6);
	b.view[0] = (struct batch_view){ .flip = true };
	batch_fetch(&b, 0, 1, out, &got);
	check_image("flipped", out, flipped, 6);
	rng_stream(&shuffle, 1, RNG_SHUFFLE, 1);
	rng_stream(&augment, 1, RNG_AUGMENT, 1);
	b.augment = (struct augment){ .shift = 2, .flip = true };
	for (int i = 0; i < 200; i++) {
		batch_shuffle(&b, &shuffle, &augment);
		cr_assert(abs(b.view[0].dx) <= 2 && abs(b.view[0].dy) <= 2);
		seen_dx |= 1u << (b.view[0].dx + 2);
		seen_flip |= 1u << b.view[0].flip;
	}
	cr_assert_eq(seen_dx, 31);
	cr_assert_eq(seen_flip, 3);
	arena_free(&a);
}

Test(train, an_epoch_shows_every_chosen_image_once)
{
	struct arena a = { 0 };
	struct rng shuffle, augment;
	unsigned count[100] = { 0 };
	struct dataset data;
	struct batch b;

	quarters(&a, 100, 1, &data);
	batch_open(&b, &data, &data, data.shape, &a);
	rng_stream(&shuffle, 1, RNG_SHUFFLE, 1);
	rng_stream(&augment, 1, RNG_AUGMENT, 1);
	batch_choose(&b, 40, &shuffle);
	for (int epoch = 0; epoch < 3; epoch++) {
		batch_shuffle(&b, &shuffle, &augment);
		for (size_t i = 0; i < b.n; i++)
			count[b.order[i]]++;
	}
	for (size_t i = 0, all = 0; i < 100; i++) {
		cr_assert(count[i] == 0 || count[i] == 3);
		all += count[i];
		cr_assert(i < 99 || all == 120);
	}
	arena_free(&a);
}
