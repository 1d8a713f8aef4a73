#ifndef TESTS_FUZZ_DATA_SET_H
#define TESTS_FUZZ_DATA_SET_H
/* What the targets of the image formats share: files of one folder that are filled from the
 * input, plain or wrapped in gzip, and the reference to compare with. */
#include <fcntl.h>
#include <math.h>
#include <zlib.h>

#include "evaluators.h"

#define FILES_MAX 6

/* Bytes of the input, front to back; 0 behind its end. */
struct input {
	const uint8_t *at, *end;
};

static inline uint8_t input_byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* File @i of the folder, made at its first use, gets @bytes. */
static inline void data_file_fill(size_t i, const char *name, const uint8_t *bytes, size_t n)
{
	static int fd[FILES_MAX];
	char path[128];

	if (!fd[i]) {
		snprintf(path, sizeof path, "%s/%s", scratch_directory(), name);
		fd[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		MUST(fd[i] > 0);
	}
	MUST(ftruncate(fd[i], (off_t)n) == 0 && pwrite(fd[i], bytes, n, 0) == (ssize_t)n);
}

/* One gzip member, of at most n + n / 8 + GZIP_EXTRA bytes. */
#define GZIP_EXTRA 64
static inline size_t gzip(const uint8_t *bytes, size_t n, uint8_t *out)
{
	static z_stream z;

	if (!z.state)
		MUST(deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 1, Z_DEFAULT_STRATEGY) ==
		     Z_OK);
	MUST(deflateReset(&z) == Z_OK);
	z.next_in = (z_const uint8_t *)bytes;
	z.avail_in = (unsigned)n;
	z.next_out = out;
	z.avail_out = (unsigned)(n + n / 8 + GZIP_EXTRA);
	MUST(deflate(&z, Z_FINISH) == Z_STREAM_END);
	return z.total_out;
}

/* Images and labels of the training and the test set, out of one input: the lengths of the first
 * three, two bytes each, and the files. Bit i of @flags: file i is wrapped in gzip. */
#define SET_FILES 4
static inline void set_fill(struct input *in, uint8_t flags, const char *const names[SET_FILES],
			    const uint8_t *file[SET_FILES], size_t length[SET_FILES])
{
	static uint8_t zipped[UINT16_MAX + UINT16_MAX / 8 + GZIP_EXTRA];

	for (size_t i = 0; i < SET_FILES - 1; i++) {
		length[i] = input_byte(in);
		length[i] |= (size_t)input_byte(in) << 8;
	}
	length[SET_FILES - 1] = UINT16_MAX;
	for (size_t i = 0; i < SET_FILES; i++) {
		size_t left = (size_t)(in->end - in->at);

		file[i] = in->at;
		length[i] = length[i] < left ? length[i] : left;
		in->at += length[i];
		if (flags >> i & 1)
			data_file_fill(i, names[i], zipped, gzip(file[i], length[i], zipped));
		else
			data_file_fill(i, names[i], file[i], length[i]);
	}
}

static inline void check_set(const struct dataset *d)
{
	MUST(d->n > 0 && d->classes >= 2 && d->classes <= 256);
	MUST(d->shape.h > 0 && d->shape.w > 0 && d->shape.c > 0 && d->shape.c <= DATA_CHANNELS);
	for (size_t i = 0; i < d->n; i++)
		MUST(d->label[i] < d->classes);
	for (size_t k = 0; k < d->shape.c; k++)
		if (d->pixel == PIXEL_F32)
			MUST(isfinite(d->mean[k]) && isnormal(d->std[k]) && d->std[k] > 0);
		else
			MUST(d->mean[k] >= 0 && d->mean[k] <= 1 && d->std[k] > 0 && d->std[k] <= 1);
}

/* Open the folder in every way. True: it was accepted, and @all holds all training images. */
static inline bool open_all(const struct data_cfg *cfg, struct arena *a, struct dataset *all)
{
	struct dataset train, validation, test;
	struct net_shape shape;
	uint32_t classes;
	struct nasc_err err = { 0 };
	bool peeked = dataset_peek(cfg, &shape, &classes, &err) == NASC_OK;

	if (!peeked)
		must_say_why(&err, NASC_DATA);
	err = (struct nasc_err){ .code = NASC_OK };
	if (dataset_open_train(cfg, 1, a, all, NULL, &err)) {
		must_say_why(&err, NASC_DATA);
		return false;
	}
	check_set(all);
	MUST(peeked && shape.h == all->shape.h && shape.w == all->shape.w &&
	     shape.c == all->shape.c && classes == all->classes);
	if (dataset_open_train(cfg, 1, a, &train, &validation, &err) == NASC_OK) {
		check_set(&train);
		check_set(&validation);
		MUST(train.n + validation.n == all->n);
		MUST(validation.n == (size_t)floor((double)all->n * cfg->validation + 0.5));
	} else {
		must_say_why(&err, NASC_DATA);
	}
	err = (struct nasc_err){ .code = NASC_OK };
	if (dataset_open_test(cfg, all, a, &test, &err) == NASC_OK)
		check_set(&test);
	else
		must_say_why(&err, NASC_DATA);
	return true;
}
#endif
