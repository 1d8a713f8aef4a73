#define _XOPEN_SOURCE 700 /* nftw() */
#include <criterion/criterion.h>

#include <errno.h>
#include <math.h>
#include <sys/inotify.h>
#include <time.h>

#include "data_fixture.h"
#include "leak.h"
#include "rng.h"

#define FASHION "/usr/share/datasets/fashion-mnist"

TestSuite(data, .init = make_dir, .fini = no_leaks);

/* ---- idx -------------------------------------------------------------------- */

/* Every image once, whole, with its own label. */
static void check_small(const struct dataset *a, const struct dataset *b)
{
	const struct dataset *set[] = { a, b };
	int seen[N] = { 0 };

	for (int k = 0; k < 2; k++)
		for (size_t j = 0; set[k] && j < set[k]->n; j++) {
			const uint8_t *p = bytes(set[k]) + j * PIXELS;
			unsigned i = p[0] / 20;

			cr_assert(i < N && !seen[i]);
			seen[i] = 1;
			cr_assert_eq(set[k]->label[j], i % 3);
			for (unsigned q = 0; q < PIXELS; q++)
				cr_assert_eq(p[q], 20 * i + q);
		}
	for (unsigned i = 0; i < N; i++)
		cr_assert(seen[i]);
}

static void check_small_opens(void)
{
	struct data_cfg cfg = config(IDX, 0.25);
	struct dataset train, validation;
	struct net_shape shape;
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	uint32_t classes;

	cr_assert_eq(dataset_open_train(&cfg, 1, &a, &train, &validation, &err), NASC_OK, "%s",
		     err.msg);
	cr_assert_eq(train.n, 9);
	cr_assert_eq(validation.n, 3);
	cr_assert_eq(train.classes, 3);
	cr_assert(train.shape.h == 2 && train.shape.w == 3 && train.shape.c == 1);
	check_small(&train, &validation);
	cr_assert_eq(dataset_peek(&cfg, &shape, &classes, &err), NASC_OK, "%s", err.msg);
	cr_assert(shape.h == 2 && shape.w == 3 && shape.c == 1 && classes == 3);
	arena_free(&a);
}

Test(data, idx_plain)
{
	put_small(TRAIN_IMAGES, TRAIN_LABELS);
	check_small_opens();
	remove_dir();
}

Test(data, idx_gzip)
{
	uint8_t raw[256], gz[512];

	put_file(TRAIN_IMAGES ".gz", gz, gzip(raw, small_images(raw), gz, sizeof gz));
	put_file(TRAIN_LABELS ".gz", gz, gzip(raw, small_labels(raw), gz, sizeof gz));
	check_small_opens();
	remove_dir();
}

/* RFC 1952, 2.2: a file may be several members, one behind the other. */
Test(data, idx_gzip_of_several_members)
{
	uint8_t raw[256], gz[1024];
	size_t n = small_images(raw), at = 0;

	for (size_t i = 0; i < n; i += 17)
		at += gzip(raw + i, n - i < 17 ? n - i : 17, gz + at, sizeof gz - at);
	put_file(TRAIN_IMAGES ".gz", gz, at);
	put_file(TRAIN_LABELS, raw, small_labels(raw));
	check_small_opens();
	remove_dir();
}

/* Three channels: 51 everywhere (51 / 255 = 0.2, no spread: 1), 0 and 255 by turns
 * (mean and deviation 0.5), and one pixel in four 255 (mean 1/4, deviation
 * sqrt(1/4 * 3/4)); in each image alike, so that the split does not matter. */
Test(data, idx_colour_and_statistics)
{
	static const float mean[] = { 0.2f, 0.5f, 0.25f };
	static const float std[] = { 1, 0.5f, 0.433012702f };
	struct data_cfg cfg = config(IDX, 0.3);
	struct dataset train, validation;
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	uint8_t buf[1024];
	size_t at = idx_images(buf, 10, 2, 4, 3);

	for (unsigned p = 0; p < 10 * 8; p++) {
		buf[at++] = 51;
		buf[at++] = p % 2 ? 255 : 0;
		buf[at++] = p % 4 ? 0 : 255;
	}
	put_file(TRAIN_IMAGES, buf, at);
	at = idx_labels(buf, 10);
	for (unsigned i = 0; i < 10; i++)
		buf[at++] = (uint8_t)(i % 2);
	put_file(TRAIN_LABELS, buf, at);
	cr_assert_eq(dataset_open_train(&cfg, 1, &a, &train, &validation, &err), NASC_OK, "%s",
		     err.msg);
	cr_assert(train.shape.h == 2 && train.shape.w == 4 && train.shape.c == 3);
	cr_assert_eq(train.n, 7);
	for (int k = 0; k < 3; k++) {
		cr_assert_float_eq(train.mean[k], mean[k], 1e-7, "mean of %d", k);
		cr_assert_float_eq(train.std[k], std[k], 1e-7, "std of %d", k);
		cr_assert_eq(validation.mean[k], train.mean[k]);
		cr_assert_eq(validation.std[k], train.std[k]);
	}
	arena_free(&a);
	remove_dir();
}

/* ---- split ---------------------------------------------------------------------- */

#define MANY 1000u

/* 1 x 2 images that spell their number. Labels: 500 of 0, 300 of 1, 150 of 2, 49 of
 * 3, one of 4, mixed by the stride 7, which is prime to 1000. */
static uint8_t many_label(unsigned i)
{
	unsigned r = i * 7 % MANY;

	return r < 500 ? 0 : r < 800 ? 1 : r < 950 ? 2 : r < 999 ? 3 : 4;
}

static void put_many(void)
{
	static uint8_t buf[4096];
	size_t at = idx_images(buf, MANY, 1, 2, 0);

	for (unsigned i = 0; i < MANY; i++) {
		buf[at++] = (uint8_t)(i >> 8);
		buf[at++] = (uint8_t)i;
	}
	put_file(TRAIN_IMAGES, buf, at);
	at = idx_labels(buf, MANY);
	for (unsigned i = 0; i < MANY; i++)
		buf[at++] = many_label(i);
	put_file(TRAIN_LABELS, buf, at);
}

/* @in_validation[i]: where image i went. */
static void open_many(uint64_t seed, double fraction, int in_validation[MANY], size_t count[2][5])
{
	struct data_cfg cfg = config(IDX, fraction);
	struct dataset set[2];
	struct nasc_err err = { 0 };
	struct arena a = { 0 };

	memset(count, 0, 2 * sizeof count[0]);
	for (unsigned i = 0; i < MANY; i++)
		in_validation[i] = -1;
	cr_assert_eq(dataset_open_train(&cfg, seed, &a, &set[0], &set[1], &err), NASC_OK, "%s",
		     err.msg);
	for (int k = 0; k < 2; k++) {
		int last = -1;

		for (size_t j = 0; j < set[k].n; j++) {
			int i = bytes(&set[k])[2 * j] << 8 | bytes(&set[k])[2 * j + 1];

			cr_assert(i > last, "out of order: %d behind %d", i, last);
			cr_assert_eq(in_validation[i], -1, "%d twice", i);
			cr_assert_eq(set[k].label[j], many_label((unsigned)i));
			in_validation[i] = k;
			count[k][set[k].label[j]]++;
			last = i;
		}
	}
	cr_assert_eq(set[0].n + set[1].n, MANY);
	arena_free(&a);
}

/* Shares by hand: a tenth of the running totals 500, 800, 950, 999, 1000 is 50, 80,
 * 95, 99.9, 100, rounded 50, 80, 95, 100, 100. */
Test(data, split_is_stratified_seeded_and_whole)
{
	static const size_t want[] = { 50, 30, 15, 5, 0 };
	int one[MANY], again[MANY], other[MANY];
	size_t count[2][5];

	put_many();
	open_many(1, 0.1, one, count);
	for (int k = 0; k < 5; k++)
		cr_assert_eq(count[1][k], want[k], "class %d: %zu", k, count[1][k]);
	open_many(1, 0.1, again, count);
	cr_assert_arr_eq(one, again, sizeof one);
	open_many(2, 0.1, other, count);
	for (int k = 0; k < 5; k++)
		cr_assert_eq(count[1][k], want[k], "class %d: %zu", k, count[1][k]);
	cr_assert_arr_neq(one, other, sizeof one);
	open_many(1, 0.5, one, count);
	cr_assert(count[1][0] == 250 && count[1][1] == 150 && count[1][2] == 75);
	remove_dir();
}

/* The promise behind "same seed, same results": per class in order of labels, the
 * images in file order, shuffled by the stream (seed, RNG_SPLIT, 0), the first ones. */
Test(data, split_is_the_same_for_ever)
{
	static const unsigned share[] = { 50, 30, 15, 5, 0 };
	int where[MANY], want[MANY] = { 0 };
	size_t count[2][5];
	struct rng r;

	put_many();
	open_many(9, 0.1, where, count);
	rng_stream(&r, 9, RNG_SPLIT, 0);
	for (unsigned k = 0; k < 5; k++) {
		uint32_t image[MANY], n = 0;

		for (uint32_t i = 0; i < MANY; i++)
			if (many_label(i) == k)
				image[n++] = i;
		rng_shuffle_u32(&r, image, n);
		for (unsigned j = 0; j < share[k]; j++)
			want[image[j]] = 1;
	}
	cr_assert_arr_eq(where, want, sizeof want);
	remove_dir();
}

/* The chosen are spread over the class: of 500 images of class 0, the first and
 * the second half each give about 25 (hypergeometric, deviation 3.4: 6 of them). */
Test(data, split_is_spread)
{
	int where[MANY];
	size_t count[2][5];
	int early = 0, seen = 0;

	put_many();
	open_many(3, 0.1, where, count);
	for (unsigned i = 0; i < MANY; i++)
		if (many_label(i) == 0 && seen++ < 250)
			early += where[i];
	cr_assert(early > 5 && early < 45, "%d", early);
	remove_dir();
}

Test(data, both_parts_have_images)
{
	struct data_cfg cfg = config(IDX, 0.01);
	struct dataset train, validation;
	struct nasc_err err = { 0 };
	struct arena a = { 0 };

	put_small(TRAIN_IMAGES, TRAIN_LABELS);
	cr_assert_eq(dataset_open_train(&cfg, 1, &a, &train, &validation, &err), NASC_DATA);
	cr_assert(strstr(err.msg, "12 images leave 12 to train on and 0 to validate on"), "%s",
		  err.msg);
	arena_free(&a);
	remove_dir();
}

/* ---- test files -------------------------------------------------------------------- */

static struct dataset open_small_train(struct arena *a)
{
	struct data_cfg cfg = config(IDX, 0.25);
	struct dataset train, validation;
	struct nasc_err err = { 0 };

	put_small(TRAIN_IMAGES, TRAIN_LABELS);
	cr_assert_eq(dataset_open_train(&cfg, 1, a, &train, &validation, &err), NASC_OK, "%s",
		     err.msg);
	return train;
}

Test(data, search_does_not_open_the_test_files)
{
	struct data_cfg cfg = config(IDX, 0.25);
	struct net_shape shape;
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct dataset train, test;
	char event[4096];
	uint32_t classes;
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	put_file(TEST_IMAGES, (const uint8_t *)"garbage", 7);
	put_file(TEST_LABELS, (const uint8_t *)"garbage", 7);
	cr_assert(inotify_add_watch(watch, path_of(TEST_IMAGES), IN_OPEN) >= 0);
	cr_assert(inotify_add_watch(watch, path_of(TEST_LABELS), IN_OPEN) >= 0);
	train = open_small_train(&a);
	cr_assert_eq(dataset_peek(&cfg, &shape, &classes, &err), NASC_OK);
	cr_assert(read(watch, event, sizeof event) < 0 && errno == EAGAIN);
	cr_assert_eq(dataset_open_test(&cfg, &train, &a, &test, &err), NASC_DATA);
	cr_assert(strstr(err.msg, TEST_IMAGES ": not an idx file"), "%s", err.msg);
	cr_assert(read(watch, event, sizeof event) > 0, "the watch sees nothing at all");
	close(watch);
	arena_free(&a);
	remove_dir();
}

Test(data, test_set_is_as_the_training_set)
{
	struct data_cfg cfg = config(IDX, 0.25);
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct dataset train = open_small_train(&a), test;
	uint8_t buf[256];
	size_t n;

	put_small(TEST_IMAGES, TEST_LABELS);
	cr_assert_eq(dataset_open_test(&cfg, &train, &a, &test, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(test.n, N);
	cr_assert_eq(test.classes, 3);
	check_small(&test, NULL);
	cr_assert_eq(test.mean[0], train.mean[0]);
	cr_assert_eq(test.std[0], train.std[0]);

	n = small_labels(buf);
	buf[n - 1] = 3;
	put_file(TEST_LABELS, buf, n);
	cr_assert_eq(dataset_open_test(&cfg, &train, &a, &test, &err), NASC_DATA);
	cr_assert(strstr(err.msg, TEST_LABELS ": label 3 of image 11, but the training labels end "
					      "at 2"),
		  "%s", err.msg);

	memset(buf + 8, 0, N); /* a test set of one class is fine */
	put_file(TEST_LABELS, buf, n);
	cr_assert_eq(dataset_open_test(&cfg, &train, &a, &test, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(test.classes, 3);

	n = small_images(buf);
	put_u32(buf + 8, 3);
	put_u32(buf + 12, 2);
	put_file(TEST_IMAGES, buf, n);
	cr_assert_eq(dataset_open_test(&cfg, &train, &a, &test, &err), NASC_DATA);
	cr_assert(strstr(err.msg, TEST_IMAGES ": images of 3x2x1, but the training images are "
					      "2x3x1"),
		  "%s", err.msg);
	arena_free(&a);
	remove_dir();
}

/* ---- CIFAR-10 ------------------------------------------------------------------------ */

Test(data, cifar10)
{
	static uint8_t raw[RECORD * RECORDS], gz[RECORD * RECORDS];
	struct data_cfg cfg = config(CIFAR10, 0.1);
	struct dataset set[2], test;
	struct net_shape shape;
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	uint32_t classes;
	int seen[20] = { 0 };

	put_cifar();
	remove(path_of("data_batch_4.bin"));
	put_file("data_batch_4.bin.gz", gz, gzip(raw, cifar_batch(raw, 12), gz, sizeof gz));
	cr_assert_eq(dataset_open_train(&cfg, 1, &a, &set[0], &set[1], &err), NASC_OK, "%s",
		     err.msg);
	cr_assert(set[0].n == 18 && set[1].n == 2 && set[0].classes == 10);
	cr_assert(set[0].shape.h == 32 && set[0].shape.w == 32 && set[0].shape.c == 3);
	for (int k = 0; k < 2; k++)
		for (size_t j = 0; j < set[k].n; j++) {
			const uint8_t *p = bytes(&set[k]) + j * 3072;
			unsigned i = p[0];

			cr_assert(i < 20 && !seen[i]);
			seen[i] = 1;
			cr_assert_eq(set[k].label[j], i % 10);
			for (unsigned q = 0; q < 1024; q++)
				cr_assert(p[3 * q] == i && p[3 * q + 1] == 100 + i &&
					  p[3 * q + 2] == q % 32);
		}
	/* columns 0 .. 31: mean 15.5, variance (32^2 - 1) / 12 = 85.25 */
	cr_assert_float_eq(set[0].mean[2], 15.5 / 255, 1e-7);
	cr_assert_float_eq(set[0].std[2], sqrt(85.25) / 255, 1e-7);
	cr_assert_eq(dataset_peek(&cfg, &shape, &classes, &err), NASC_OK, "%s", err.msg);
	cr_assert(shape.h == 32 && shape.w == 32 && shape.c == 3 && classes == 10);

	put_file("test_batch.bin", raw, cifar_batch(raw, 50));
	cr_assert_eq(dataset_open_test(&cfg, &set[0], &a, &test, &err), NASC_OK, "%s", err.msg);
	cr_assert(test.n == 4 && bytes(&test)[0] == 50 && test.label[3] == 3);
	arena_free(&a);
	remove_dir();
}

/* ---- the real thing ------------------------------------------------------------------- */

/* Xiao, Rasul, Vollgraf, arXiv:1708.07747: 60,000 and 10,000 images of 28 x 28 in 10
 * classes, 6,000 and 1,000 of each. Mean 0.2860 and deviation 0.3530 of the training
 * images are the figures in common use; a tenth less moves them in the fourth digit.
 * The first labels are what the files' public descriptions show. */
Test(data, fashion_mnist)
{
	static const uint8_t first_test[] = { 9, 2, 1, 1, 6, 1, 4, 6, 5, 7 };
	struct data_cfg cfg = { .format = IDX, .directory = FASHION, .validation = 0.1 };
	struct dataset train, validation, test;
	struct timespec t0, t1;
	struct net_shape shape;
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	size_t count[3][10] = { 0 };
	uint32_t classes;

	remove_dir();
	if (access(FASHION, R_OK))
		cr_skip("no " FASHION " (Debian package dataset-fashion-mnist)");
	clock_gettime(CLOCK_MONOTONIC, &t0);
	cr_assert_eq(dataset_open_train(&cfg, 7, &a, &train, &validation, &err), NASC_OK, "%s",
		     err.msg);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	cr_log_info("read in %.3f s",
		    (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec));
	cr_assert_eq(dataset_open_test(&cfg, &train, &a, &test, &err), NASC_OK, "%s", err.msg);
	cr_assert(train.n == 54000 && validation.n == 6000 && test.n == 10000);
	cr_assert(train.shape.h == 28 && train.shape.w == 28 && train.shape.c == 1);
	for (size_t i = 0; i < train.n; i++)
		count[0][train.label[i]]++;
	for (size_t i = 0; i < validation.n; i++)
		count[1][validation.label[i]]++;
	for (size_t i = 0; i < test.n; i++)
		count[2][test.label[i]]++;
	for (int k = 0; k < 10; k++)
		cr_assert(count[0][k] == 5400 && count[1][k] == 600 && count[2][k] == 1000);
	cr_assert_float_eq(train.mean[0], 0.2860, 1e-3);
	cr_assert_float_eq(train.std[0], 0.3530, 1e-3);
	cr_assert_arr_eq(test.label, first_test, sizeof first_test);
	cr_assert_eq(dataset_peek(&cfg, &shape, &classes, &err), NASC_OK, "%s", err.msg);
	cr_assert(shape.h == 28 && shape.w == 28 && shape.c == 1 && classes == 10);
	arena_free(&a);
}

/* ---- keys --------------------------------------------------------------------------------- */

static enum nasc_status load_keys(const char *text, struct arena *a, struct data_cfg *cfg,
				  struct nasc_err *err)
{
	struct yaml_doc doc;

	cr_assert_eq(yaml_parse("t.yaml", text, strlen(text), a, &doc, err), NASC_OK, "%s",
		     err->msg);
	return cfg_load(data_fields, &doc, doc.root, NULL, a, cfg, sizeof *cfg, err);
}

Test(data, keys)
{
	struct data_cfg cfg;
	struct nasc_err err = { 0 };
	struct arena a = { 0 };

	cr_assert_eq(load_keys("directory: images\n", &a, &cfg, &err), NASC_OK, "%s", err.msg);
	cr_assert(cfg.format == IDX && cfg.validation == 0.1);
	cr_assert_str_eq(cfg.directory, "images");
	cr_assert_eq(load_keys("{directory: x, format: cifar10, validation: 20 %}", &a, &cfg, &err),
		     NASC_OK, "%s", err.msg);
	cr_assert(cfg.format == CIFAR10 && cfg.validation == 0.2);
	cr_assert_eq(load_keys("{format: idx}", &a, &cfg, &err), NASC_CONFIG);
	cr_assert_eq(load_keys("{directory: x, format: png}", &a, &cfg, &err), NASC_CONFIG);
	cr_assert_eq(load_keys("{directory: x, validation: 0.6}", &a, &cfg, &err), NASC_CONFIG);
	cr_assert_eq(load_keys("{directory: x, validation: 0}", &a, &cfg, &err), NASC_CONFIG);
	arena_free(&a);
	remove_dir();
}
