#ifndef TESTS_DATA_FIXTURE_H
#define TESTS_DATA_FIXTURE_H
/* Small image files made by hand, in a directory of the test's own. */
#include <criterion/criterion.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "evaluators.h"

#define TRAIN_IMAGES "train-images-idx3-ubyte"
#define TRAIN_LABELS "train-labels-idx1-ubyte"
#define TEST_IMAGES  "t10k-images-idx3-ubyte"
#define TEST_LABELS  "t10k-labels-idx1-ubyte"

enum { IDX, CIFAR10, NPY };

static char dir[64];

static inline void make_dir(void)
{
	snprintf(dir, sizeof dir, "/tmp/nasc-data-XXXXXX");
	cr_assert(mkdtemp(dir));
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline void remove_dir(void)
{
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static inline void put_file(const char *name, const uint8_t *p, size_t n)
{
	FILE *fp = fopen(path_of(name), "wb");

	cr_assert(fp && fwrite(p, 1, n, fp) == n);
	cr_assert_eq(fclose(fp), 0);
}

static inline size_t put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
	return 4;
}

/* One gzip member. */
static inline size_t gzip(const uint8_t *in, size_t n, uint8_t *out, size_t room)
{
	z_stream z = { 0 };

	cr_assert_eq(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (uint8_t *)in;
	z.avail_in = (unsigned)n;
	z.next_out = out;
	z.avail_out = (unsigned)room;
	cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

/* Header of @n images; c 0: three dimensions. */
static inline size_t idx_images(uint8_t *p, uint32_t n, uint32_t h, uint32_t w, uint32_t c)
{
	size_t at = put_u32(p, c ? 0x0804 : 0x0803);

	at += put_u32(p + at, n);
	at += put_u32(p + at, h);
	at += put_u32(p + at, w);
	return c ? at + put_u32(p + at, c) : at;
}

static inline size_t idx_labels(uint8_t *p, uint32_t n)
{
	size_t at = put_u32(p, 0x0801);

	return at + put_u32(p + at, n);
}

static inline struct data_cfg config(int64_t format, double validation)
{
	return (struct data_cfg){ .format = format, .directory = dir, .validation = validation };
}

static inline const uint8_t *bytes(const struct dataset *d)
{
	return d->image;
}

#define N      12u
#define PIXELS 6u

/* N images of 2 x 3 whose pixels are 20 i + p; labels i mod 3. */
static inline size_t small_images(uint8_t *p)
{
	size_t at = idx_images(p, N, 2, 3, 0);

	for (uint32_t i = 0; i < N * PIXELS; i++)
		p[at++] = (uint8_t)(20 * (i / PIXELS) + i % PIXELS);
	return at;
}

static inline size_t small_labels(uint8_t *p)
{
	size_t at = idx_labels(p, N);

	for (uint32_t i = 0; i < N; i++)
		p[at++] = (uint8_t)(i % 3);
	return at;
}

static inline void put_small(const char *images, const char *labels)
{
	uint8_t buf[256];

	put_file(images, buf, small_images(buf));
	put_file(labels, buf, small_labels(buf));
}

#define RECORD	3073u
#define RECORDS 4u

/* Image @i of all: label i mod 10, red i, green 100 + i, blue the column. */
static inline size_t cifar_batch(uint8_t *p, unsigned first)
{
	size_t at = 0;

	for (unsigned i = first; i < first + RECORDS; i++) {
		p[at++] = (uint8_t)(i % 10);
		for (unsigned q = 0; q < 3 * 1024; q++)
			p[at++] = (uint8_t)(q < 1024 ? i : q < 2048 ? 100 + i : q % 32);
	}
	return at;
}

static inline void put_cifar(void)
{
	static uint8_t buf[RECORD * RECORDS];

	for (unsigned b = 0; b < 5; b++) {
		char name[32];

		snprintf(name, sizeof name, "data_batch_%u.bin", b + 1);
		put_file(name, buf, cifar_batch(buf, b * RECORDS));
	}
}

#endif
