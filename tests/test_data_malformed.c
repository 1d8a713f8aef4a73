#define _XOPEN_SOURCE 700 /* nftw() */
#include <criterion/criterion.h>

#include "data_fixture.h"
#include "leak.h"

TestSuite(data_malformed, .init = make_dir, .fini = no_leaks);

/* ---- malformed idx files ------------------------------------------------------ */

enum edit {
	SET,	/* byte at @at (from the end when negative) becomes @value */
	CUT,	/* @value bytes off the end */
	APPEND, /* @value bytes */
	ZERO,	/* all bytes from @at on */
	REMOVE,
	MAKE_DIRECTORY,
	MAKE_FIFO,
};
enum when { PLAIN, BEFORE_GZIP, AFTER_GZIP };

/* images: 16 bytes of header, 72 of pixels. labels: 8 and 12. */
static const struct bad {
	const char *name;
	enum when when;
	enum edit edit;
	int at;
	size_t value;
	const char *want;
} bad[] = {
	{ TRAIN_IMAGES, PLAIN, SET, 0, 1, "not an idx file: begins with 01 00" },
	{ TRAIN_IMAGES, PLAIN, SET, 1, 7, "not an idx file: begins with 00 07" },
	{ TRAIN_IMAGES, PLAIN, SET, 2, 0x0d, "element type 0x0d, must be 0x08" },
	{ TRAIN_IMAGES, PLAIN, SET, 3, 1, "1 dimensions, must be 3 or 4" },
	{ TRAIN_IMAGES, PLAIN, SET, 3, 255, "255 dimensions, must be 3 or 4" },
	{ TRAIN_IMAGES, PLAIN, SET, 3, 4, "dimension 3 is 66051, at most 4" }, /* pixels 0 1 2 3 */
	{ TRAIN_IMAGES, PLAIN, SET, 7, 0, "dimension 0 is 0" },
	{ TRAIN_IMAGES, PLAIN, SET, 11, 0, "dimension 1 is 0" },
	{ TRAIN_IMAGES, PLAIN, SET, 15, 0, "dimension 2 is 0" },
	{ TRAIN_IMAGES, PLAIN, SET, 8, 0xff, "dimension 1 is 4278190082, at most 4096" },
	{ TRAIN_IMAGES, PLAIN, SET, 14, 0x11, "dimension 2 is 4355, at most 4096" },
	{ TRAIN_IMAGES, PLAIN, SET, 4, 0xff, "25669140552 bytes of data, at most 2147483648" },
	{ TRAIN_IMAGES, PLAIN, SET, 4, 1, "truncated: the header announces 100663368 bytes" },
	{ TRAIN_IMAGES, BEFORE_GZIP, SET, 4, 1, "truncated: the header announces 100663368 bytes" },
	{ TRAIN_IMAGES, PLAIN, SET, 7, 13, "truncated: the header announces 78 bytes" },
	{ TRAIN_IMAGES, PLAIN, SET, 7, 11, "12 labels, but" },
	{ TRAIN_IMAGES, PLAIN, CUT, 0, 1, "truncated: the header announces 72 bytes, the file" },
	{ TRAIN_IMAGES, PLAIN, CUT, 0, 80, "truncated: the data end 4 bytes early" },
	{ TRAIN_IMAGES, PLAIN, CUT, 0, 88, "truncated: the data end 4 bytes early" },
	{ TRAIN_IMAGES, PLAIN, APPEND, 0, 1, "bytes behind the end of the data" },
	{ TRAIN_IMAGES, PLAIN, REMOVE, 0, 0, "plain or .gz" },
	{ TRAIN_IMAGES, PLAIN, MAKE_DIRECTORY, 0, 0, "not a regular file" },
	{ TRAIN_IMAGES, PLAIN, MAKE_FIFO, 0, 0, "not a regular file" },
	{ TRAIN_IMAGES, BEFORE_GZIP, CUT, 0, 5, "truncated: the data end 5 bytes early" },
	{ TRAIN_IMAGES, BEFORE_GZIP, APPEND, 0, 5, "bytes behind the end of the data" },
	{ TRAIN_IMAGES, AFTER_GZIP, CUT, 0, 1, "truncated gzip data" },
	{ TRAIN_IMAGES, AFTER_GZIP, CUT, 0, 40, "truncated gzip data" },
	{ TRAIN_IMAGES, AFTER_GZIP, SET, 2, 9, "damaged gzip data: unknown compression method" },
	{ TRAIN_IMAGES, AFTER_GZIP, SET, 10, 0xff, "damaged gzip data: invalid block type" },
	{ TRAIN_IMAGES, AFTER_GZIP, SET, -5, 0, "damaged gzip data: incorrect data check" },
	{ TRAIN_IMAGES, AFTER_GZIP, SET, -1, 9, "damaged gzip data: incorrect length check" },
	{ TRAIN_IMAGES, AFTER_GZIP, APPEND, 0, 3, "bytes behind the end of the gzip data" },
	{ TRAIN_LABELS, PLAIN, SET, 0, 0x20, "not an idx file" },
	{ TRAIN_LABELS, PLAIN, SET, 3, 3, "3 dimensions, must be 1" },
	{ TRAIN_LABELS, PLAIN, SET, 7, 11, "11 labels, but" },
	{ TRAIN_LABELS, PLAIN, SET, 7, 0, "dimension 0 is 0" },
	{ TRAIN_LABELS, PLAIN, CUT, 0, 1, "truncated: the header announces 12 bytes" },
	{ TRAIN_LABELS, PLAIN, CUT, 0, 20, "truncated" },
	{ TRAIN_LABELS, PLAIN, APPEND, 0, 2, "bytes behind the end of the data" },
	{ TRAIN_LABELS, PLAIN, ZERO, 8, 0, "every label is 0" },
	{ TRAIN_LABELS, PLAIN, REMOVE, 0, 0, "plain or .gz" },
	{ TRAIN_LABELS, AFTER_GZIP, CUT, 0, 9, "truncated gzip data" },
	{ TRAIN_LABELS, AFTER_GZIP, SET, -5, 0, "damaged gzip data: incorrect data check" },
};

static void edit(const struct bad *b, uint8_t *p, size_t *n)
{
	size_t at = b->at < 0 ? *n - (size_t)-b->at : (size_t)b->at;

	if (b->edit == SET) {
		cr_assert_neq(p[at], b->value, "%s: '%s' changes nothing", b->name, b->want);
		p[at] = (uint8_t)b->value;
	} else if (b->edit == CUT) {
		*n -= b->value;
	} else if (b->edit == APPEND) {
		memset(p + *n, 0x55, b->value);
		*n += b->value;
	} else if (b->edit == ZERO) {
		memset(p + at, 0, *n - at);
	}
}

static void put_bad(const struct bad *b)
{
	uint8_t raw[512], gz[512];
	size_t n = strcmp(b->name, TRAIN_IMAGES) == 0 ? small_images(raw) : small_labels(raw);
	char name[64];

	put_small(TRAIN_IMAGES, TRAIN_LABELS);
	remove(path_of(b->name));
	if (b->edit == REMOVE)
		return;
	if (b->edit == MAKE_DIRECTORY) {
		cr_assert_eq(mkdir(path_of(b->name), 0700), 0);
		return;
	}
	if (b->edit == MAKE_FIFO) {
		cr_assert_eq(mkfifo(path_of(b->name), 0600), 0);
		return;
	}
	if (b->when != AFTER_GZIP)
		edit(b, raw, &n);
	if (b->when == PLAIN) {
		put_file(b->name, raw, n);
		return;
	}
	n = gzip(raw, n, gz, sizeof gz);
	if (b->when == AFTER_GZIP)
		edit(b, gz, &n);
	snprintf(name, sizeof name, "%s.gz", b->name);
	put_file(name, gz, n);
}

Test(data_malformed, malformed_idx)
{
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct data_cfg cfg = config(IDX, 0.25);
		struct dataset train = { .n = 77 }, validation = { .n = 77 };
		struct nasc_err err = { 0 };
		struct net_shape shape;
		struct arena a = { 0 };
		uint32_t classes;

		put_bad(&bad[i]);
		cr_assert_eq(dataset_open_train(&cfg, 1, &a, &train, &validation, &err), NASC_DATA,
			     "row %zu: %s", i, bad[i].want);
		cr_assert(strstr(err.msg, bad[i].want), "row %zu: '%s', not '%s'", i, err.msg,
			  bad[i].want);
		cr_assert(strstr(err.msg, bad[i].name), "row %zu: '%s'", i, err.msg);
		cr_assert(train.n == 77 && validation.n == 77);
		dataset_peek(&cfg, &shape, &classes, &err); /* reads less, but must not crash */
		arena_free(&a);
		remove_dir();
		cr_assert_eq(mkdir(dir, 0700), 0);
	}
	remove_dir();
}

/* Bytes at random places of gzip and plain files: any answer but a crash. */
Test(data_malformed, survives_damage)
{
	uint32_t lcg = 1;

	for (int round = 0; round < 600; round++) {
		struct data_cfg cfg = config(IDX, 0.25);
		struct dataset train, validation;
		struct nasc_err err = { 0 };
		struct arena a = { 0 };
		uint8_t raw[256], gz[512];
		size_t n = small_images(raw);

		if (round % 2)
			n = gzip(raw, n, gz, sizeof gz);
		else
			memcpy(gz, raw, n);
		for (int k = 0; k < 1 + round % 3; k++) {
			lcg = lcg * 1664525u + 1013904223u;
			gz[(lcg >> 8) % (round % 2 ? n : 16)] ^= (uint8_t)(1u << (lcg >> 29));
		}
		put_file(TRAIN_IMAGES, gz, n);
		put_file(TRAIN_LABELS, raw, small_labels(raw));
		if (dataset_open_train(&cfg, 1, &a, &train, &validation, &err))
			cr_assert(err.code == NASC_DATA && strstr(err.msg, dir), "%s", err.msg);
		else
			cr_assert_eq(train.n + validation.n, N);
		arena_free(&a);
	}
	remove_dir();
}

Test(data_malformed, directory_is_missing_empty_or_a_file)
{
	struct data_cfg cfg = config(IDX, 0.1);
	struct dataset train, validation;
	struct nasc_err err = { 0 };
	struct arena a = { 0 };

	cr_assert_eq(dataset_open_train(&cfg, 1, &a, &train, &validation, &err), NASC_DATA);
	cr_assert(strstr(err.msg, dir) && strstr(err.msg, "'" TRAIN_IMAGES "'"), "%s", err.msg);
	cfg.format = CIFAR10;
	cr_assert_eq(dataset_open_train(&cfg, 1, &a, &train, &validation, &err), NASC_DATA);
	cr_assert(strstr(err.msg, "'data_batch_1.bin', plain or .gz"), "%s", err.msg);
	cfg.directory = "/nonexistent/images";
	cr_assert_eq(dataset_open_train(&cfg, 1, &a, &train, &validation, &err), NASC_DATA);
	cr_assert(strstr(err.msg, "/nonexistent/images: cannot open data directory"), "%s",
		  err.msg);
	cfg.directory = "/dev/null";
	cr_assert_eq(dataset_open_train(&cfg, 1, &a, &train, &validation, &err), NASC_DATA);
	cr_assert(strstr(err.msg, "/dev/null: not a directory"), "%s", err.msg);
	arena_free(&a);
	remove_dir();
}

/* ---- malformed CIFAR-10 batches ------------------------------------------------- */

static void check_bad_cifar(const char *want)
{
	struct data_cfg cfg = config(CIFAR10, 0.1);
	struct dataset train, validation;
	struct nasc_err err = { 0 };
	struct arena a = { 0 };

	cr_assert_eq(dataset_open_train(&cfg, 1, &a, &train, &validation, &err), NASC_DATA, "%s",
		     want);
	cr_assert(strstr(err.msg, want), "'%s', not '%s'", err.msg, want);
	arena_free(&a);
	put_cifar();
}

Test(data_malformed, malformed_cifar10)
{
	static uint8_t buf[RECORD * RECORDS + 1];
	size_t n;

	put_cifar();
	n = cifar_batch(buf, 8);
	put_file("data_batch_3.bin", buf, n - 1);
	check_bad_cifar(
		"data_batch_3.bin: 12291 bytes are not a whole number of 3073-byte records");
	put_file("data_batch_3.bin", buf, n + 1);
	check_bad_cifar(
		"data_batch_3.bin: 12293 bytes are not a whole number of 3073-byte records");
	put_file("data_batch_3.bin", buf, n - RECORD);
	check_bad_cifar("data_batch_3.bin: 3 images, but");
	put_file("data_batch_3.bin", buf, 0);
	check_bad_cifar("data_batch_3.bin: 0 bytes are not a whole number of 3073-byte records");
	buf[RECORD] = 10;
	put_file("data_batch_3.bin", buf, n);
	check_bad_cifar("data_batch_3.bin: label 10 of image 1, at most 9");
	cr_assert_eq(truncate(path_of("data_batch_5.bin"), 10001 * (off_t)RECORD), 0);
	check_bad_cifar("data_batch_5.bin: bytes behind the end of the data");
	remove(path_of("data_batch_2.bin"));
	check_bad_cifar("no file 'data_batch_2.bin', plain or .gz");
	remove_dir();
}
