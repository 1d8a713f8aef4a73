/* The input is four IDX files: images and labels of the training and the test set. It begins with
 * flags (bit i: wrap file i in gzip) and the lengths of the first three, two bytes each. What is
 * accepted must hold the pixels and labels of the files. */
#define _GNU_SOURCE
#include "fuzz.h"

#include "data_set.h"

#define FILES 4

static const char *const names[FILES] = { "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
					  "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte" };

/* The elements of an IDX file of bytes stand behind its magic and sizes. */
static const uint8_t *elements(const uint8_t *file)
{
	return file + 4 + 4 * file[3];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena arena;
	static uint8_t zipped[UINT16_MAX + UINT16_MAX / 8 + GZIP_EXTRA];
	const struct data_cfg cfg = { .directory = scratch_directory(), .validation = 0.25 };
	struct arena_mark start = arena_mark(&arena);
	struct input in = { data, data + size };
	const uint8_t *file[FILES];
	size_t length[FILES];
	struct dataset all;
	uint8_t flags = input_byte(&in);

	for (size_t i = 0; i < FILES - 1; i++) {
		length[i] = input_byte(&in);
		length[i] |= (size_t)input_byte(&in) << 8;
	}
	length[FILES - 1] = UINT16_MAX;
	for (size_t i = 0; i < FILES; i++) {
		size_t left = (size_t)(in.end - in.at);

		file[i] = in.at;
		length[i] = length[i] < left ? length[i] : left;
		in.at += length[i];
		if (flags >> i & 1)
			data_file_fill(i, names[i], zipped, gzip(file[i], length[i], zipped));
		else
			data_file_fill(i, names[i], file[i], length[i]);
	}
	/* A plain file that is itself gzip holds what this target cannot tell. */
	if (open_all(&cfg, &arena, &all) && file[0][0] == 0 && file[1][0] == 0) {
		MUST(memcmp(all.image, elements(file[0]), all.n * net_elements(all.shape)) == 0);
		MUST(memcmp(all.label, elements(file[1]), all.n) == 0);
	}
	arena_rewind(&arena, start);
	return 0;
}
