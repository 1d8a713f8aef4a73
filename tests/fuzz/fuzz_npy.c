/* The input is four NumPy files: images and labels of the training and the test set. It begins with
 * flags (bits 0-3: wrap file i in gzip; bit 4: series) and the lengths of the first three, two
 * bytes each. What is accepted must hold the values of the files, which are their last bytes. */
#define _GNU_SOURCE
#include "fuzz.h"

#include "data_set.h"

static const char *const names[SET_FILES] = { "train_images.npy", "train_labels.npy",
					      "test_images.npy", "test_labels.npy" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena arena;
	struct arena_mark start = arena_mark(&arena);
	struct input in = { data, data + size };
	uint8_t flags = input_byte(&in);
	const struct data_cfg cfg = { .format = 2, /* npy */
				      .directory = scratch_directory(),
				      .validation = 0.25,
				      .inputs = flags >> 4 & 1 };
	const uint8_t *file[SET_FILES];
	size_t length[SET_FILES];
	struct dataset all;

	set_fill(&in, flags, names, file, length);
	/* A plain file that is itself gzip holds what this target cannot tell. */
	if (open_all(&cfg, &arena, &all) && file[0][0] == 0x93 && file[1][0] == 0x93) {
		size_t bytes = all.n * net_elements(all.shape) * pixel_bytes(all.pixel);

		MUST(bytes < length[0]);
		MUST(memcmp(all.image, file[0] + length[0] - bytes, bytes) == 0);
		MUST(cfg.inputs == 0 || all.shape.h == 1);
	}
	arena_rewind(&arena, start);
	return 0;
}
