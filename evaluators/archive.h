#ifndef NASC_ARCHIVE_H
#define NASC_ARCHIVE_H
#include "evaluators.h"
#include "source.h"

/* Labelled inputs as they lie in the files of one format. A format opens the
 * archive and reads all labels; data.c then reads the values. */
enum part {
	PART_TRAIN,
	PART_TEST,
	PART_PEEK, /* of the training files, as much as shape and classes take */
};

struct archive {
	size_t n;
	struct net_shape shape;
	enum pixel pixel;
	uint32_t classes;
	uint8_t *label; /* n, in the scratch arena */
	const char *label_path;
	struct source images;	/* at the first value; or, with fd -1, */
	const uint8_t **record; /* n records: cifar10 */
};

#define IMAGES_MAX_BYTES ((uint64_t)2 << 30)
#define SIDE_MAX	 4096u
#define CIFAR_SIDE	 32u
#define CIFAR_PLANE	 (CIFAR_SIDE * CIFAR_SIDE)

/* Failures are NASC_DATA and leave the archive to be closed. */
enum nasc_status idx_open(struct archive *ar, const char *directory, enum part part,
			  struct arena *scratch, struct nasc_err *err);
enum nasc_status cifar_open(struct archive *ar, const char *directory, enum part part,
			    struct arena *scratch, struct nasc_err *err);
enum nasc_status npy_open(struct archive *ar, const char *directory, enum part part, bool series,
			  struct arena *scratch, struct nasc_err *err);

/* Can the file hold @bytes of data behind its header of @header bytes, and are
 * they not too many? Asked before they are allocated. */
enum nasc_status archive_room(const struct source *s, size_t header, uint64_t bytes,
			      struct nasc_err *err);
#endif
