#include "archive.h"

/* Krizhevsky, "Learning multiple layers of features from tiny images", binary
 * version: records of one label and three planes of 32 x 32. */
#define CIFAR_RECORD  (1u + 3u * CIFAR_PLANE)
#define CIFAR_BATCH   10000u /* images in a published batch: the most that one may hold */
#define CIFAR_CLASSES 10u
#define CIFAR_BATCHES 5u

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
enum nasc_status cifar_open(struct archive *ar, const char *directory, enum part part,
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
