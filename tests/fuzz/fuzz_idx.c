/* The input is four IDX files: images and labels of the training and the test set. It begins with
 * flags (bit i: wrap file i in gzip) and the lengths of the first three, two bytes each. What is
 * accepted must hold the pixels and labels of the files. */
#define _GNU_SOURCE
#include "fuzz.h"

#include "data_set.h"

static const char *const names[SET_FILES] = { "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
					      "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte" };

/* The elements of an IDX file of bytes stand behind its magic and sizes. */
static const uint8_t *elements(const uint8_t *file)
{
	return file + 4 + 4 * file[3];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena arena;
	const struct data_cfg cfg = { .directory = scratch_directory(), .validation = 0.25 };
	struct arena_mark start = arena_mark(&arena);
	struct input in = { data, data + size };
	const uint8_t *file[SET_FILES];
	size_t length[SET_FILES];
	struct dataset all;

	set_fill(&in, input_byte(&in), names, file, length);
	/* A plain file that is itself gzip holds what this target cannot tell. */
	if (open_all(&cfg, &arena, &all) && file[0][0] == 0 && file[1][0] == 0) {
		MUST(memcmp(all.image, elements(file[0]), all.n * net_elements(all.shape)) == 0);
		MUST(memcmp(all.label, elements(file[1]), all.n) == 0);
	}
	arena_rewind(&arena, start);
	return 0;
}
