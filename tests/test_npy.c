#define _XOPEN_SOURCE 700 /* nftw() */
#include <criterion/criterion.h>
#include <math.h>

#include "data_fixture.h"
#include "leak.h"

/* NumPy's files. `npy_written_by_numpy` reads NumPy's own, the others are made by hand. */

TestSuite(npy, .init = make_dir, .fini = no_leaks);

#define IMAGES "train_images.npy"
#define LABELS "train_labels.npy"

/* Version 1, as numpy.save() writes it: padded to a multiple of 64 bytes. */
static size_t npy_header(uint8_t *p, const char *dictionary)
{
	static const uint8_t magic[] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0 };
	size_t n = strlen(dictionary), all = (10 + n + 1 + 63) / 64 * 64;

	memset(p, ' ', all - 1);
	memcpy(p, magic, sizeof magic);
	p[8] = (uint8_t)((all - 10) & 0xff);
	p[9] = (uint8_t)((all - 10) >> 8);
	for (size_t i = 0; i < n; i++)
		p[10 + i] = (uint8_t)dictionary[i];
	p[all - 1] = '\n';
	return all;
}

static void put_npy(const char *name, const char *descr, const char *shape, const void *values,
		    size_t n)
{
	uint8_t buf[1024];
	char text[256];
	size_t at;

	snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr,
		 shape);
	at = npy_header(buf, text);
	memcpy(buf + at, values, n);
	put_file(name, buf, at + n);
}

static const uint8_t six_labels[] = { 0, 1, 0, 1, 2, 2 };
static const uint8_t six_bytes[24] = { 0, 51, 102, 255 };

static void put_six(void)
{
	put_npy(IMAGES, "|u1", "(6, 2, 2)", six_bytes, 24);
	put_npy(LABELS, "|u1", "(6,)", six_labels, 6);
}

static enum nasc_status open_all(int64_t inputs, struct arena *a, struct dataset *d,
				 struct nasc_err *err)
{
	struct data_cfg cfg = config(NPY, 0.25);

	cfg.inputs = inputs;
	*err = (struct nasc_err){ .code = NASC_OK };
	return dataset_open_train(&cfg, 1, a, d, NULL, err);
}

static void check_shape(const struct dataset *d, uint32_t h, uint32_t w, uint32_t c)
{
	cr_assert(d->shape.h == h && d->shape.w == w && d->shape.c == c, "%ux%ux%u", d->shape.h,
		  d->shape.w, d->shape.c);
}

Test(npy, shapes_of_images_and_series)
{
	static const struct {
		const char *shape;
		int64_t inputs;
		uint32_t h, w, c;
	} row[] = { { "(6, 2, 2)", 0, 2, 2, 1 }, { "(6, 1, 2, 2)", 0, 1, 2, 2 },
		    { "(6, 4)", 1, 1, 4, 1 },	 { "(6, 2, 2)", 1, 1, 2, 2 },
		    { "(6,1,4)", 1, 1, 1, 4 },	 { "(6, 4,1, )", 0, 4, 1, 1 } };
	struct arena a = { 0 };
	struct nasc_err err;
	struct dataset d;

	put_six();
	for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
		put_npy(IMAGES, "|u1", row[i].shape, six_bytes, 24);
		cr_assert_eq(open_all(row[i].inputs, &a, &d, &err), NASC_OK, "%s", err.msg);
		check_shape(&d, row[i].h, row[i].w, row[i].c);
		cr_assert(d.n == 6 && d.classes == 3 && d.pixel == PIXEL_U8);
		cr_assert_eq(memcmp(d.image, six_bytes, 24), 0);
		cr_assert_eq(memcmp(d.label, six_labels, 6), 0);
	}
	arena_free(&a);
}

/* Two channels: 1, 2, 3, 4 of mean 2.5 and variance 1.25; and one that is constant. */
Test(npy, floats_and_their_statistics)
{
	static const float values[] = { 1, 7, 2, 7, 3, 7, 4, 7 };
	static const uint8_t labels[] = { 0, 1 };
	struct arena a = { 0 };
	struct nasc_err err;
	struct dataset d;

	put_npy(IMAGES, "<f4", "(2, 2, 2)", values, sizeof values);
	put_npy(LABELS, "|u1", "(2,)", labels, 2);
	cr_assert_eq(open_all(1, &a, &d, &err), NASC_OK, "%s", err.msg);
	check_shape(&d, 1, 2, 2);
	cr_assert_eq(d.pixel, PIXEL_F32);
	for (size_t i = 0; i < 8; i++)
		cr_assert_eq(((const float *)d.image)[i], values[i]);
	cr_assert_float_eq((double)d.mean[0], 2.5, 1e-6);
	cr_assert_float_eq((double)d.std[0], sqrt(1.25), 1e-6);
	cr_assert_float_eq((double)d.mean[1], 7, 1e-6);
	cr_assert_eq(d.std[1], 1);
	arena_free(&a);
}

Test(npy, labels_of_every_type)
{
	static const int32_t four[] = { 0, 1, 0, 1, 2, 255 };
	static const int64_t eight[] = { 3, 1, 0, 1, 2, 2 };
	struct arena a = { 0 };
	struct nasc_err err;
	struct dataset d;

	put_six();
	put_npy(LABELS, "<i4", "(6,)", four, sizeof four);
	cr_assert_eq(open_all(0, &a, &d, &err), NASC_OK, "%s", err.msg);
	cr_assert(d.classes == 256 && d.label[5] == 255 && d.label[4] == 2);
	put_npy(LABELS, "<i8", "(6, 1)", eight, sizeof eight);
	cr_assert_eq(open_all(0, &a, &d, &err), NASC_OK, "%s", err.msg);
	cr_assert(d.classes == 4 && d.label[0] == 3 && d.label[4] == 2);
	arena_free(&a);
}

Test(npy, numbers_that_cannot_be)
{
	static const int32_t four[] = { 0, 1, 0, 1, 2, 256 };
	static const int64_t eight[] = { 0, 1, 0, 1, INT64_MIN, 2 };
	static const float values[6] = { 0, 1, 0, NAN, 1, 2 }, large[6] = { 1, 2, 3, 4, 5, -2e30f };
	struct arena a = { 0 };
	struct nasc_err err;
	struct dataset d;

	put_six();
	put_npy(LABELS, "<i4", "(6,)", four, sizeof four);
	cr_assert_eq(open_all(0, &a, &d, &err), NASC_DATA);
	cr_assert(strstr(err.msg, LABELS ": label 256 of image 5 is outside [0, 255]"), "%s",
		  err.msg);
	put_npy(LABELS, "<i8", "(6,)", eight, sizeof eight);
	cr_assert_eq(open_all(0, &a, &d, &err), NASC_DATA);
	cr_assert(strstr(err.msg, "label -9223372036854775808 of image 4"), "%s", err.msg);
	put_npy(LABELS, "<f4", "(6,)", values, sizeof values);
	cr_assert_eq(open_all(0, &a, &d, &err), NASC_DATA);
	cr_assert(strstr(err.msg, "labels of type float32, must be uint8, int32 or int64"), "%s",
		  err.msg);
	put_six();
	put_npy(IMAGES, "<f4", "(6, 1)", values, sizeof values);
	cr_assert_eq(open_all(1, &a, &d, &err), NASC_DATA);
	cr_assert(strstr(err.msg, IMAGES ": value nan in image 3, must be within"), "%s", err.msg);
	put_npy(IMAGES, "<f4", "(6, 1)", large, sizeof large);
	cr_assert_eq(open_all(1, &a, &d, &err), NASC_DATA);
	cr_assert(strstr(err.msg, "value -2e+30 in image 5"), "%s", err.msg);
	put_npy(IMAGES, "<i4", "(6, 1)", four, sizeof four);
	cr_assert_eq(open_all(1, &a, &d, &err), NASC_DATA);
	cr_assert(strstr(err.msg, "images of integers, must be uint8 or float32"), "%s", err.msg);
	arena_free(&a);
}

/* ---- malformed headers -------------------------------------------------------- */

#define OK_DESCR "'descr': '|u1', "
#define OK_ORDER "'fortran_order': False, "
#define OK_SHAPE "'shape': (6, 2, 2), "

static const struct {
	const char *dictionary, *want;
} bad[] = {
	{ "", "header: expected '{' at byte 54" },
	{ "[1]", "header: expected '{' at byte 0" },
	{ "{", "header: expected a key" },
	{ "{}", "header: no key 'descr'" },
	{ "{" OK_DESCR OK_ORDER "}", "header: no key 'shape'" },
	{ "{" OK_DESCR OK_SHAPE "}", "header: no key 'fortran_order'" },
	{ "{" OK_DESCR OK_DESCR OK_ORDER OK_SHAPE "}", "key 'descr' is there twice" },
	{ "{" OK_DESCR OK_ORDER OK_SHAPE "'more': 1}", "key 'more' is unknown" },
	{ "{" OK_DESCR OK_ORDER OK_SHAPE "'much_too_long_a_key': 1}", "expected a key at byte" },
	{ "{descr: 1}", "header: expected a key at byte 1" },
	{ "{'descr' '|u1'}", "header: expected ':' at byte 9" },
	{ "{'descr': 1}", "header: expected the type as a string at byte 10" },
	{ "{'descr': [('a', '<f4')]}", "header: expected the type as a string at byte 10" },
	{ "{'descr': '|u1' " OK_ORDER, "header: expected ',' or '}' at byte 16" },
	{ "{'descr': '|u1", "header: expected the type as a string" },
	{ "{'descr': '>f4'}", "values of type '>f4', must be uint8 '|u1', float32 '<f4'" },
	{ "{'descr': '<f8'}", "values of type '<f8', must be" },
	{ "{'fortran_order': true}", "header: expected True or False at byte 18" },
	{ "{'fortran_order': True}", "in Fortran's order, must be in C's" },
	{ "{'shape': 6}", "header: expected '(' of the shape at byte 10" },
	{ "{'shape': (6 2)}", "header: expected ',' or ')' at byte 13" },
	{ "{'shape': (-6,)}", "header: expected a size or ')' at byte 11" },
	{ "{'shape': (0x6,)}", "header: expected ',' or ')' at byte 12" },
	{ "{'shape': (6,,)}", "header: expected a size or ')' at byte 13" },
	{ "{'shape': (6, 4294967296)}", "header: dimension 1 is above 4294967295" },
	{ "{'shape': (6, 99999999999999999999999)}", "header: dimension 1 is above 4294967295" },
	{ "{'shape': (1, 2, 3, 4, 5)}", "header: more than 4 dimensions" },
	{ "{" OK_DESCR OK_ORDER OK_SHAPE "} x", "header: expected the end" },
	{ "{" OK_DESCR OK_ORDER "'shape': ()}", "0 dimensions, inputs: images have 3 or 4" },
	{ "{" OK_DESCR OK_ORDER "'shape': (24,)}", "1 dimensions, inputs: images have 3 or 4" },
	{ "{" OK_DESCR OK_ORDER "'shape': (6, 4)}", "2 dimensions, inputs: images have 3 or 4" },
	{ "{" OK_DESCR OK_ORDER "'shape': (0, 2, 2)}", "dimension 0 is 0" },
	{ "{" OK_DESCR OK_ORDER "'shape': (6, 2, 0)}", "dimension 2 is 0" },
	{ "{" OK_DESCR OK_ORDER "'shape': (6, 5000, 2)}", "images of 5000, at most 4096" },
	{ "{" OK_DESCR OK_ORDER "'shape': (6, 1, 1, 200)}", "200 channels, at most 128" },
	{ "{" OK_DESCR OK_ORDER "'shape': (7, 2, 2)}",
	  "truncated: the header announces 28 bytes, the file has room for 24" },
	{ "{" OK_DESCR OK_ORDER "'shape': (5, 2, 2)}", "6 labels, but" },
	{ "{" OK_DESCR OK_ORDER "'shape': (4294967295, 4096, 4096, 128)}",
	  "9223372034707292160 bytes of data, at most 2147483648" },
	{ "{'descr': '<f4', " OK_ORDER "'shape': (4294967295, 4096, 4096, 128)}",
	  "18446744073709551615 bytes of data, at most 2147483648" },
};

Test(npy, malformed_headers)
{
	struct arena a = { 0 };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct dataset d = { .n = 77 };
		struct nasc_err err;
		uint8_t buf[512];
		size_t at;

		put_six();
		at = npy_header(buf, bad[i].dictionary);
		memcpy(buf + at, six_bytes, 24);
		put_file(IMAGES, buf, at + 24);
		cr_assert_eq(open_all(0, &a, &d, &err), NASC_DATA, "row %zu: %s", i, bad[i].want);
		cr_assert(strstr(err.msg, bad[i].want), "row %zu: '%s', not '%s'", i, err.msg,
			  bad[i].want);
		cr_assert(strstr(err.msg, "_labels.npy: ") || strstr(err.msg, IMAGES ": "), "%s",
			  err.msg);
		cr_assert_eq(d.n, 77);
	}
	arena_free(&a);
}

static const struct {
	size_t at;
	uint8_t value;
	size_t cut;
	const char *want;
} bad_bytes[] = {
	{ 0, 0x50, 0, "not an npy file: begins with 50 4e, not 93 4e" },
	{ 5, 'X', 0, "not an npy file" },
	{ 6, 0, 0, "npy version 0.0, must be 1.0, 2.0 or 3.0" },
	{ 6, 4, 0, "npy version 4.0" },
	{ 7, 1, 0, "npy version 1.1" },
	{ 6, 2, 0, "a header of 662372470 bytes, at most 65536" }, /* 76 00 7b 27 */
	{ 9, 1, 0, "truncated: the data end" },
	{ 8, 0, 0, "header: expected '{' at byte 0" },
	{ 0, 0x93, 1, "truncated: the header announces 24 bytes, the file has room for 23" },
	{ 0, 0x93, 30, "truncated: the data end 6 bytes early" },
	{ 0, 0x93, 150, "truncated: the data end 6 bytes early" },
};

Test(npy, malformed_bytes)
{
	struct arena a = { 0 };

	for (size_t i = 0; i < sizeof bad_bytes / sizeof *bad_bytes; i++) {
		struct dataset d;
		struct nasc_err err;
		uint8_t buf[512];
		size_t n;

		put_six();
		n = npy_header(buf, "{" OK_DESCR OK_ORDER OK_SHAPE "}");
		cr_assert_eq(n, 128);
		memcpy(buf + n, six_bytes, 24);
		buf[bad_bytes[i].at] = bad_bytes[i].value;
		put_file(IMAGES, buf, n + 24 - bad_bytes[i].cut);
		cr_assert_eq(open_all(0, &a, &d, &err), NASC_DATA, "row %zu: %s", i,
			     bad_bytes[i].want);
		cr_assert(strstr(err.msg, bad_bytes[i].want), "row %zu: '%s', not '%s'", i, err.msg,
			  bad_bytes[i].want);
	}
	arena_free(&a);
}

Test(npy, test_files_must_match)
{
	static const float values[24] = { 1 };
	struct arena a = { 0 };
	struct data_cfg cfg = config(NPY, 0.25);
	struct nasc_err err;
	struct dataset d, test;

	put_six();
	cr_assert_eq(open_all(0, &a, &d, &err), NASC_OK);
	put_npy("test_images.npy", "<f4", "(6, 2, 2)", values, sizeof values);
	put_npy("test_labels.npy", "|u1", "(6,)", six_labels, 6);
	cr_assert_eq(dataset_open_test(&cfg, &d, &a, &test, &err), NASC_DATA);
	cr_assert(strstr(err.msg, "values of 4 bytes, but the training images have 1"), "%s",
		  err.msg);
	put_npy("test_images.npy", "|u1", "(6, 2, 2)", six_bytes, 24);
	err = (struct nasc_err){ .code = NASC_OK };
	cr_assert_eq(dataset_open_test(&cfg, &d, &a, &test, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(test.n, 6);
	cfg.format = IDX;
	cfg.inputs = 1;
	cr_assert_eq(dataset_open_train(&cfg, 1, &a, &d, NULL, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "inputs: series are read from format npy alone");
	arena_free(&a);
}

/* ---- NumPy's own --------------------------------------------------------------- */

static const char numpy_writes[] =
	"/usr/bin/python3 -c \"\n"
	"import gzip, sys, numpy as np\n"
	"from numpy.lib import format\n"
	"i = int(sys.argv[1]); d = sys.argv[2]\n"
	"x = np.arange(6 * 5 * 3).reshape(6, 5, 3)\n"
	"x = (x / 8).astype(np.float32) if i else x.astype(np.uint8)\n"
	"with gzip.open(d + '/train_images.npy.gz', 'wb') as f:\n"
	"    format.write_array(f, x, version=(i + 1, 0))\n"
	"np.save(d + '/train_labels.npy', np.arange(6).astype([np.uint8, np.int32, np.int64][i]))\n"
	"\" %d %s 2>/dev/null";

Test(npy, npy_written_by_numpy)
{
	struct arena a = { 0 };
	struct nasc_err err;
	struct dataset d;
	char command[1024];

	if (system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0)
		cr_skip("needs Debian's python3-numpy");
	for (int i = 0; i < 3; i++) {
		snprintf(command, sizeof command, numpy_writes, i, dir);
		cr_assert_eq(system(command), 0);
		cr_assert_eq(open_all(1, &a, &d, &err), NASC_OK, "version %d: %s", i + 1, err.msg);
		check_shape(&d, 1, 5, 3);
		cr_assert(d.n == 6 && d.classes == 6 && d.label[4] == 4);
		for (int k = 0; k < 90; k++)
			cr_assert_eq(i ? (double)((const float *)d.image)[k] * 8 : bytes(&d)[k], k);
	}
	arena_free(&a);
}
