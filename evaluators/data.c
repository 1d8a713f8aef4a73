#include "evaluators.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rng.h"
#include "source.h"

/* Two archive formats, from their public descriptions:
 * idx     LeCun, Cortes, Burges, "The MNIST database of handwritten digits":
 *         big-endian magic 0, 0, type, dimensions; one 32-bit size a dimension;
 *         the bytes, last dimension fastest. Images n, h, w, or n, h, w, c.
 * cifar10 Krizhevsky, "Learning multiple layers of features from tiny images",
 *         binary version: records of one label and three planes of 32 x 32. */
enum data_format { DATA_IDX, DATA_CIFAR10 };
static const char *const format_names[] = { "idx", "cifar10", NULL };

const struct cfg_field data_fields[] = {
	CFG_CHOICE_FIELD(
		struct data_cfg, format, "idx", format_names,
		"idx: as MNIST and Fashion-MNIST ship; cifar10: CIFAR-10's binary batches"),
	CFG_STRING_FIELD(struct data_cfg, directory, NULL,
			 "directory of the files, plain or .gz, under their published names"),
	CFG_REAL_FIELD(struct data_cfg, validation, "0.1", 0.01, 0.5, UNIT_FRACTION,
		       "of the training images", "part that is kept out of training to score on"),
	CFG_END
};

#define IMAGES_MAX_BYTES ((uint64_t)2 << 30)
#define SIDE_MAX	 4096u
#define CHANNELS_MAX	 4u
#define IDX_UBYTE	 0x08
#define CIFAR_SIDE	 32u
#define CIFAR_PLANE	 (CIFAR_SIDE * CIFAR_SIDE)
#define CIFAR_RECORD	 (1u + 3u * CIFAR_PLANE)
#define CIFAR_BATCH	 10000u /* images in a published batch: the most that one may hold */
#define CIFAR_CLASSES	 10u
#define CIFAR_BATCHES	 5u
#define READ_CHUNK	 ((size_t)64 << 10)

/* ---- idx ---------------------------------------------------------------------- */

/* Header of @s: number of dimensions and their sizes. */
static enum nasc_status idx_header(struct source *s, unsigned min_dims, unsigned max_dims,
				   unsigned *n_dims, uint32_t dim[4], struct nasc_err *err)
{
	uint8_t magic[4], size[4];
	uint64_t bytes = 1, held;

	if (source_read(s, magic, sizeof magic, err))
		return err->code;
	if (magic[0] != 0 || magic[1] != 0)
		return nasc_fail(err, NASC_DATA,
				 "%s: not an idx file: begins with %02x %02x, not 00 00", s->path,
				 magic[0], magic[1]);
	if (magic[2] != IDX_UBYTE)
		return nasc_fail(err, NASC_DATA,
				 "%s: element type 0x%02x, must be 0x08 (unsigned byte)", s->path,
				 magic[2]);
	if (magic[3] < min_dims || magic[3] > max_dims)
		return nasc_fail(err, NASC_DATA, "%s: %u dimensions, must be %u%s", s->path,
				 magic[3], min_dims, max_dims > min_dims ? " or 4" : "");
	for (unsigned i = 0; i < magic[3]; i++) {
		if (source_read(s, size, sizeof size, err))
			return err->code;
		dim[i] = (uint32_t)size[0] << 24 | (uint32_t)size[1] << 16 |
			 (uint32_t)size[2] << 8 | size[3];
		if (dim[i] == 0)
			return nasc_fail(err, NASC_DATA, "%s: dimension %u is 0", s->path, i);
		if (i > 0 && dim[i] > (i < 3 ? SIDE_MAX : CHANNELS_MAX))
			return nasc_fail(err, NASC_DATA, "%s: dimension %u is %u, at most %u",
					 s->path, i, dim[i], i < 3 ? SIDE_MAX : CHANNELS_MAX);
		bytes *= dim[i]; /* at most 2^32 * 2^12 * 2^12 * 2^2 */
	}
	if (bytes > IMAGES_MAX_BYTES)
		return nasc_fail(err, NASC_DATA, "%s: %llu bytes of data, at most %llu", s->path,
				 (unsigned long long)bytes, (unsigned long long)IMAGES_MAX_BYTES);
	held = source_bound(s);
	if (!s->gz)
		held -= 4 + 4 * (uint64_t)magic[3];
	if (held < bytes)
		return nasc_fail(err, NASC_DATA,
				 "%s: truncated: the header announces %llu bytes, the file has "
				 "room for %llu",
				 s->path, (unsigned long long)bytes, (unsigned long long)held);
	*n_dims = magic[3];
	return NASC_OK;
}

/* ---- an archive: labelled images as they lie in the files --------------------- */

enum part {
	PART_TRAIN,
	PART_TEST,
	PART_PEEK, /* of the training files, as much as shape and classes take */
};

struct archive {
	size_t n;
	struct net_shape shape;
	uint32_t classes;
	uint8_t *label; /* n, in the scratch arena */
	const char *label_path;
	struct source images;	/* idx: behind the header */
	const uint8_t **record; /* cifar10: n */
};

static void archive_close(struct archive *ar)
{
	source_close(&ar->images);
}

static enum nasc_status idx_labels(struct archive *ar, const char *directory, enum part part,
				   struct arena *scratch, struct nasc_err *err)
{
	static const char *const names[][2] = { { "train-labels-idx1-ubyte", NULL },
						{ "t10k-labels-idx1-ubyte", NULL } };
	struct source s;
	unsigned n_dims = 0;
	uint32_t dim[4] = { 0 };

	if (source_open(&s, directory, names[part == PART_TEST], scratch, err))
		return err->code;
	if (idx_header(&s, 1, 1, &n_dims, dim, err))
		goto out;
	if (dim[0] != ar->n) {
		nasc_fail(err, NASC_DATA, "%s: %u labels, but '%s' has %zu images", s.path, dim[0],
			  ar->images.path, ar->n);
		goto out;
	}
	ar->label = ARENA_NEW(scratch, uint8_t, ar->n);
	ar->label_path = s.path;
	if (source_read(&s, ar->label, ar->n, err) || source_end(&s, err))
		goto out;
	for (size_t i = 0; i < ar->n; i++)
		if (ar->label[i] >= ar->classes)
			ar->classes = ar->label[i] + 1u;
out:
	source_close(&s);
	return err->code;
}

static enum nasc_status idx_open(struct archive *ar, const char *directory, enum part part,
				 struct arena *scratch, struct nasc_err *err)
{
	static const char *const names[][3] = {
		{ "train-images-idx3-ubyte", "train-images-idx4-ubyte", NULL },
		{ "t10k-images-idx3-ubyte", "t10k-images-idx4-ubyte", NULL }
	};
	unsigned n_dims = 0;
	uint32_t dim[4] = { 0 };

	if (source_open(&ar->images, directory, names[part == PART_TEST], scratch, err))
		return err->code;
	if (idx_header(&ar->images, 3, 4, &n_dims, dim, err))
		return err->code;
	ar->n = dim[0];
	ar->shape = (struct net_shape){ dim[1], dim[2], n_dims == 4 ? dim[3] : 1 };
	return idx_labels(ar, directory, part, scratch, err);
}

/* All of one batch: its @n records. */
static enum nasc_status cifar_batch(const char *directory, const char *name, struct arena *scratch,
				    const uint8_t **records, size_t *n, const char **path,
				    struct nasc_err *err)
{
	const char *const names[] = { name, NULL };
	struct source s;
	uint64_t most = (uint64_t)CIFAR_BATCH * CIFAR_RECORD;
	uint8_t *bytes;
	size_t got = 0;

	if (source_open(&s, directory, names, scratch, err))
		return err->code;
	*path = s.path;
	if (source_bound(&s) < most)
		most = source_bound(&s);
	bytes = ARENA_NEW(scratch, uint8_t, most);
	if (source_take(&s, bytes, most, &got, err) || source_end(&s, err))
		goto out;
	if (got == 0 || got % CIFAR_RECORD != 0) {
		nasc_fail(err, NASC_DATA, "%s: %zu bytes are not a whole number of %u-byte records",
			  s.path, got, CIFAR_RECORD);
		goto out;
	}
	*records = bytes;
	*n = got / CIFAR_RECORD;
	for (size_t i = 0; i < *n; i++)
		if (bytes[i * CIFAR_RECORD] >= CIFAR_CLASSES) {
			nasc_fail(err, NASC_DATA, "%s: label %u of image %zu, at most %u", s.path,
				  bytes[i * CIFAR_RECORD], i, CIFAR_CLASSES - 1);
			break;
		}
out:
	source_close(&s);
	return err->code;
}

/* The files carry no count, so a batch cut at a record's end shows only in that
 * the five differ. */
static enum nasc_status cifar_open(struct archive *ar, const char *directory, enum part part,
				   struct arena *scratch, struct nasc_err *err)
{
	static const char *const names[] = { "data_batch_1.bin", "data_batch_2.bin",
					     "data_batch_3.bin", "data_batch_4.bin",
					     "data_batch_5.bin", "test_batch.bin" };
	const uint8_t *records[CIFAR_BATCHES];
	const char *path = NULL, *first_path = NULL;
	size_t n = 0, first = part == PART_TEST ? CIFAR_BATCHES : 0;
	size_t batches = part == PART_TRAIN ? CIFAR_BATCHES : 1;

	for (size_t b = 0; b < batches; b++) {
		if (cifar_batch(directory, names[first + b], scratch, &records[b], &n, &path, err))
			return err->code;
		if (b == 0) {
			first_path = path;
			ar->n = n;
		} else if (n != ar->n) {
			return nasc_fail(err, NASC_DATA, "%s: %zu images, but '%s' has %zu", path,
					 n, first_path, ar->n);
		}
	}
	ar->label_path = first_path;
	ar->shape = (struct net_shape){ CIFAR_SIDE, CIFAR_SIDE, 3 };
	ar->classes = CIFAR_CLASSES;
	ar->n = n * batches;
	ar->label = ARENA_NEW(scratch, uint8_t, ar->n);
	ar->record = ARENA_NEW(scratch, const uint8_t *, ar->n);
	for (size_t i = 0; i < ar->n; i++) {
		ar->record[i] = records[i / n] + i % n * CIFAR_RECORD;
		ar->label[i] = ar->record[i][0];
	}
	return NASC_OK;
}

static enum nasc_status archive_open(struct archive *ar, const struct data_cfg *cfg, enum part part,
				     struct arena *scratch, struct nasc_err *err)
{
	*ar = (struct archive){ .images.fd = -1 };
	err->code = NASC_OK;
	if (cfg->format == DATA_CIFAR10)
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
	uint8_t *image[2], *label[2];
};

static void filling_start(struct filling *f, const struct archive *ar, const uint8_t *to,
			  const size_t n[2], struct arena *a)
{
	*f = (struct filling){ .to = to };
	for (int k = 0; k < 2; k++) {
		f->image[k] = ARENA_NEW(a, uint8_t, n[k] * net_elements(ar->shape));
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

static enum nasc_status archive_read(struct archive *ar, struct filling *f, struct arena *scratch,
				     struct nasc_err *err)
{
	size_t bytes = net_elements(ar->shape), chunk = READ_CHUNK / bytes + 1;
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
	rows = ARENA_NEW(scratch, uint8_t, chunk * bytes);
	for (size_t i = 0; i < ar->n; i += chunk) {
		size_t n = ar->n - i < chunk ? ar->n - i : chunk;

		if (source_read(&ar->images, rows, n * bytes, err))
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
	size_t first[257] = { 0 }, next[256], total = 0;
	uint32_t *order = ARENA_NEW(scratch, uint32_t, ar->n);
	struct rng r;

	for (size_t i = 0; i < ar->n; i++)
		first[ar->label[i] + 1]++;
	for (size_t k = 0; k < 256; k++) {
		first[k + 1] += first[k];
		next[k] = first[k];
	}
	for (size_t i = 0; i < ar->n; i++)
		order[next[ar->label[i]]++] = (uint32_t)i;
	rng_stream(&r, seed, RNG_SPLIT, 0);
	for (size_t k = 0; k < 256; k++) {
		size_t upto = (size_t)floor((double)first[k + 1] * fraction + 0.5);

		rng_shuffle_u32(&r, order + first[k], first[k + 1] - first[k]);
		for (size_t j = first[k]; total < upto; j++, total++)
			mark[order[j]] = 1;
	}
	return total;
}

/* A channel that is the same everywhere gets 1, as there is nothing to scale. */
static void channel_statistics(struct dataset *d)
{
	size_t c = d->shape.c, pixels = d->n * d->shape.h * d->shape.w;

	for (size_t k = 0; k < c; k++) {
		uint64_t sum = 0, squares = 0; /* exact: 2^31 values of at most 2^16 */
		double mean, variance;

		for (size_t i = 0; i < pixels; i++) {
			uint32_t v = d->image[i * c + k];

			sum += v;
			squares += v * v;
		}
		mean = (double)sum / (double)pixels;
		variance = (double)squares / (double)pixels - mean * mean;
		d->mean[k] = (float)(mean / 255);
		d->std[k] = variance > 0 ? (float)(sqrt(variance) / 255) : 1;
	}
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
