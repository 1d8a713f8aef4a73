#include "archive.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rng.h"

enum data_format { DATA_IDX, DATA_CIFAR10, DATA_NPY };
static const char *const format_names[] = { "idx", "cifar10", "npy", NULL };
enum data_inputs { INPUTS_IMAGES, INPUTS_SERIES };
static const char *const inputs_names[] = { "images", "series", NULL };

const struct cfg_field data_fields[] = {
	CFG_CHOICE_FIELD(struct data_cfg, format, "idx", format_names,
			 "idx: as MNIST and Fashion-MNIST ship; cifar10: CIFAR-10's binary "
			 "batches; npy: NumPy's train_images.npy, train_labels.npy, "
			 "test_images.npy, test_labels.npy"),
	CFG_STRING_FIELD(struct data_cfg, directory, NULL,
			 "directory of the files, plain or .gz, under their published names"),
	CFG_REAL_FIELD(struct data_cfg, validation, "0.1", 0.01, 0.5, UNIT_FRACTION,
		       "of the training images",
		       "part that is kept out of training to score on, the same of each class"),
	CFG_CHOICE_FIELD(struct data_cfg, inputs, "images", inputs_names,
			 "of npy: images [n][h][w] or [n][h][w][c], or series [n][length] or "
			 "[n][length][channels]"),
	CFG_END
};

#define READ_CHUNK  ((size_t)64 << 10)
#define LARGEST	    1e30f /* of a value, so that no difference overflows */
#define CLASSES_MAX 256

/* ---- what the formats share -------------------------------------------------- */

enum nasc_status archive_room(const struct source *s, size_t header, uint64_t bytes,
			      struct nasc_err *err)
{
	uint64_t held = source_bound(s);

	if (bytes > IMAGES_MAX_BYTES)
		return nasc_fail(err, NASC_DATA, "%s: %llu bytes of data, at most %llu", s->path,
				 (unsigned long long)bytes, (unsigned long long)IMAGES_MAX_BYTES);
	if (!s->gz)
		held -= header;
	if (held < bytes)
		return nasc_fail(err, NASC_DATA,
				 "%s: truncated: the header announces %llu bytes, the file has "
				 "room for %llu",
				 s->path, (unsigned long long)bytes, (unsigned long long)held);
	return NASC_OK;
}

static void archive_close(struct archive *ar)
{
	source_close(&ar->images);
}

static enum nasc_status archive_open(struct archive *ar, const struct data_cfg *cfg, enum part part,
				     struct arena *scratch, struct nasc_err *err)
{
	bool series = cfg->inputs == INPUTS_SERIES;

	*ar = (struct archive){ .images.fd = -1 };
	err->code = NASC_OK;
	if (series && cfg->format != DATA_NPY)
		nasc_fail(err, NASC_CONFIG, "inputs: series are read from format npy alone");
	else if (cfg->format == DATA_NPY)
		npy_open(ar, cfg->directory, part, series, scratch, err);
	else if (cfg->format == DATA_CIFAR10)
		cifar_open(ar, cfg->directory, part, scratch, err);
	else
		idx_open(ar, cfg->directory, part, scratch, err);
	if (!err->code && part != PART_TEST && ar->classes < 2)
		nasc_fail(err, NASC_DATA, "%s: every label is 0, but there must be two classes",
			  ar->label_path);
	if (err->code)
		archive_close(ar);
	return err->code;
}

/* ---- into memory -------------------------------------------------------------- */

/* Sets that are being filled: image i goes to set[to[i]], or all to set[0]. */
struct filling {
	const uint8_t *to;
	size_t at[2];
	uint8_t *image[2], *label[2]; /* image: bytes of the values */
};

static void *values_new(struct arena *a, enum pixel pixel, size_t n)
{
	return pixel == PIXEL_F32 ? (void *)ARENA_NEW(a, float, n) : ARENA_NEW(a, uint8_t, n);
}

static void filling_start(struct filling *f, const struct archive *ar, const uint8_t *to,
			  const size_t n[2], struct arena *a)
{
	*f = (struct filling){ .to = to };
	for (int k = 0; k < 2; k++) {
		f->image[k] = values_new(a, ar->pixel, n[k] * net_elements(ar->shape));
		f->label[k] = ARENA_NEW(a, uint8_t, n[k]);
	}
}

/* Where the pixels of image @i belong. */
static uint8_t *filling_next(struct filling *f, size_t i, uint8_t label, size_t image_bytes)
{
	int k = f->to ? f->to[i] : 0;

	f->label[k][f->at[k]] = label;
	return f->image[k] + f->at[k]++ * image_bytes;
}

static enum nasc_status check_values(const struct archive *ar, size_t first, const void *values,
				     size_t n, struct nasc_err *err)
{
	const float *v = values;

	for (size_t i = 0; i < n * net_elements(ar->shape) && ar->pixel == PIXEL_F32; i++)
		if (!(fabsf(v[i]) <= LARGEST))
			return nasc_fail(err, NASC_DATA,
					 "%s: value %g in image %zu, must be within [%g, %g]",
					 ar->images.path, (double)v[i],
					 first + i / net_elements(ar->shape), -(double)LARGEST,
					 (double)LARGEST);
	return NASC_OK;
}

static enum nasc_status archive_read(struct archive *ar, struct filling *f, struct arena *scratch,
				     struct nasc_err *err)
{
	size_t values = net_elements(ar->shape), bytes = values * pixel_bytes(ar->pixel);
	size_t chunk = READ_CHUNK / bytes + 1;
	uint8_t *rows;

	if (ar->record) {
		for (size_t i = 0; i < ar->n; i++) {
			uint8_t *to = filling_next(f, i, ar->label[i], bytes);

			for (size_t p = 0; p < CIFAR_PLANE; p++)
				for (size_t c = 0; c < 3; c++)
					to[p * 3 + c] = ar->record[i][1 + c * CIFAR_PLANE + p];
		}
		return NASC_OK;
	}
	rows = values_new(scratch, ar->pixel, chunk * values);
	for (size_t i = 0; i < ar->n; i += chunk) {
		size_t n = ar->n - i < chunk ? ar->n - i : chunk;

		if (source_read(&ar->images, rows, n * bytes, err) ||
		    check_values(ar, i, rows, n, err))
			return err->code;
		for (size_t j = 0; j < n; j++)
			memcpy(filling_next(f, i + j, ar->label[i + j], bytes), rows + j * bytes,
			       bytes);
	}
	return source_end(&ar->images, err);
}

static struct dataset dataset_of(const struct archive *ar, const struct filling *f, int k)
{
	return (struct dataset){ .n = f->at[k],
				 .shape = ar->shape,
				 .classes = ar->classes,
				 .pixel = ar->pixel,
				 .image = f->image[k],
				 .label = f->label[k] };
}

/* Marks the validation images with 1 and returns their number, round(n * fraction).
 * Each class gives its share to within one image: the cumulated share over the
 * classes is rounded, not each one, so that many small classes do not all round
 * to nothing. */
static size_t split(const struct archive *ar, double fraction, uint64_t seed, uint8_t *mark,
		    struct arena *scratch)
{
	size_t first[CLASSES_MAX + 1] = { 0 }, next[CLASSES_MAX], total = 0;
	uint32_t *order = ARENA_NEW(scratch, uint32_t, ar->n);
	struct rng r;

	for (size_t i = 0; i < ar->n; i++)
		first[ar->label[i] + 1]++;
	for (size_t k = 0; k < CLASSES_MAX; k++) {
		first[k + 1] += first[k];
		next[k] = first[k];
	}
	for (size_t i = 0; i < ar->n; i++)
		order[next[ar->label[i]]++] = (uint32_t)i;
	rng_stream(&r, seed, RNG_SPLIT, 0);
	for (size_t k = 0; k < CLASSES_MAX; k++) {
		size_t upto = (size_t)floor((double)first[k + 1] * fraction + 0.5);

		rng_shuffle_u32(&r, order + first[k], first[k + 1] - first[k]);
		for (size_t j = first[k]; total < upto; j++, total++)
			mark[order[j]] = 1;
	}
	return total;
}

/* A channel that is the same everywhere gets 1, as there is nothing to scale. */
static float deviation(double mean, double variance)
{
	double std = variance > 1e-14 * mean * mean ? sqrt(variance) : 0;

	return std > (double)FLT_MIN ? (float)std : 1;
}

static void channel_of_bytes(struct dataset *d, size_t k)
{
	size_t c = d->shape.c, pixels = d->n * d->shape.h * d->shape.w;
	const uint8_t *image = d->image;
	uint64_t sum = 0, squares = 0; /* exact: 2^31 values of at most 2^16 */
	double mean, variance;

	for (size_t i = 0; i < pixels; i++) {
		uint32_t v = image[i * c + k];

		sum += v;
		squares += v * v;
	}
	mean = (double)sum / (double)pixels;
	variance = (double)squares / (double)pixels - mean * mean;
	d->mean[k] = (float)(mean / 255);
	d->std[k] = variance > 0 ? (float)(sqrt(variance) / 255) : 1;
}

static void channel_of_floats(struct dataset *d, size_t k)
{
	size_t c = d->shape.c, pixels = d->n * d->shape.h * d->shape.w;
	const float *image = d->image;
	double mean = 0, variance = 0;

	for (size_t i = 0; i < pixels; i++)
		mean += (double)image[i * c + k];
	mean /= (double)pixels;
	for (size_t i = 0; i < pixels; i++)
		variance += ((double)image[i * c + k] - mean) * ((double)image[i * c + k] - mean);
	d->mean[k] = (float)mean;
	d->std[k] = deviation(mean, variance / (double)pixels);
}

static void channel_statistics(struct dataset *d)
{
	for (size_t k = 0; k < d->shape.c; k++)
		if (d->pixel == PIXEL_F32)
			channel_of_floats(d, k);
		else
			channel_of_bytes(d, k);
}

enum nasc_status dataset_open_train(const struct data_cfg *cfg, uint64_t seed, struct arena *a,
				    struct dataset *train, struct dataset *validation,
				    struct nasc_err *err)
{
	struct arena scratch = { 0 };
	struct archive ar;
	struct filling f;
	struct dataset t, v;
	uint8_t *mark;
	size_t n[2];

	if (archive_open(&ar, cfg, PART_TRAIN, &scratch, err))
		goto out;
	mark = ARENA_NEW(&scratch, uint8_t, ar.n);
	n[1] = validation ? split(&ar, cfg->validation, seed, mark, &scratch) : 0;
	n[0] = ar.n - n[1];
	if (validation && (n[0] == 0 || n[1] == 0)) {
		nasc_fail(err, NASC_DATA,
			  "%s: %zu images leave %zu to train on and %zu to validate on at "
			  "validation %g",
			  ar.label_path, ar.n, n[0], n[1], cfg->validation);
		goto out;
	}
	filling_start(&f, &ar, mark, n, a);
	if (archive_read(&ar, &f, &scratch, err))
		goto out;
	t = dataset_of(&ar, &f, 0);
	channel_statistics(&t);
	*train = t;
	if (validation) {
		v = dataset_of(&ar, &f, 1);
		memcpy(v.mean, t.mean, sizeof v.mean);
		memcpy(v.std, t.std, sizeof v.std);
		*validation = v;
	}
out:
	archive_close(&ar);
	arena_free(&scratch);
	return err->code;
}

static enum nasc_status check_test(const struct archive *ar, const struct dataset *train,
				   struct nasc_err *err)
{
	if (ar->shape.h != train->shape.h || ar->shape.w != train->shape.w ||
	    ar->shape.c != train->shape.c)
		return nasc_fail(err, NASC_DATA,
				 "%s: images of %ux%ux%u, but the training images are %ux%ux%u",
				 ar->images.path ? ar->images.path : ar->label_path, ar->shape.h,
				 ar->shape.w, ar->shape.c, train->shape.h, train->shape.w,
				 train->shape.c);
	if (ar->pixel != train->pixel)
		return nasc_fail(err, NASC_DATA,
				 "%s: values of %zu bytes, but the training "
				 "images have %zu",
				 ar->images.path, pixel_bytes(ar->pixel),
				 pixel_bytes(train->pixel));
	for (size_t i = 0; i < ar->n; i++)
		if (ar->label[i] >= train->classes)
			return nasc_fail(
				err, NASC_DATA,
				"%s: label %u of image %zu, but the training labels end at %u",
				ar->label_path, ar->label[i], i, train->classes - 1);
	return NASC_OK;
}

enum nasc_status dataset_open_test(const struct data_cfg *cfg, const struct dataset *train,
				   struct arena *a, struct dataset *test, struct nasc_err *err)
{
	struct arena scratch = { 0 };
	struct archive ar;
	struct filling f;

	if (archive_open(&ar, cfg, PART_TEST, &scratch, err) || check_test(&ar, train, err))
		goto out;
	filling_start(&f, &ar, NULL, (size_t[2]){ ar.n, 0 }, a);
	if (archive_read(&ar, &f, &scratch, err))
		goto out;
	*test = dataset_of(&ar, &f, 0);
	test->classes = train->classes;
	memcpy(test->mean, train->mean, sizeof test->mean);
	memcpy(test->std, train->std, sizeof test->std);
out:
	archive_close(&ar);
	arena_free(&scratch);
	return err->code;
}

enum nasc_status dataset_check_channels(const struct dataset *data, const struct network *net,
					struct nasc_err *err)
{
	if (net->input.c != data->shape.c)
		return nasc_fail(err, NASC_CONFIG,
				 "the network reads %u channels, the images have %u", net->input.c,
				 data->shape.c);
	return NASC_OK;
}

enum nasc_status dataset_check_network(const struct dataset *data, const struct network *net,
				       struct nasc_err *err)
{
	if (dataset_check_channels(data, net, err))
		return err->code;
	if (net->classes != data->classes)
		return nasc_fail(err, NASC_CONFIG,
				 "the network tells %u classes apart, the labels are of %u",
				 net->classes, data->classes);
	return NASC_OK;
}

enum nasc_status dataset_peek(const struct data_cfg *cfg, struct net_shape *shape,
			      uint32_t *classes, struct nasc_err *err)
{
	struct arena scratch = { 0 };
	struct archive ar;

	if (!archive_open(&ar, cfg, PART_PEEK, &scratch, err)) {
		*shape = ar.shape;
		*classes = ar.classes;
		archive_close(&ar);
	}
	arena_free(&scratch);
	return err->code;
}
