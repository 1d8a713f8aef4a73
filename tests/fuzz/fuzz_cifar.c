/* The input makes the six files of CIFAR-10's binary version, three bytes each: records (two bits)
 * with how the file is written, label, bytes too many. Behind them stand bytes that lie over the
 * first file. What is accepted must hold the pixels of the files, channels last. */
#define _GNU_SOURCE
#include "fuzz.h"

#include "data_set.h"

#define FILES	6
#define PLANE	1024u
#define RECORD	(1 + 3 * PLANE)
#define RECORDS 4
#define ZIPPED	4 /* flag: in gzip */
#define RAW	8 /* flag: the rest of the input and nothing else */
#define LONGEST (RECORDS * RECORD + 255)

static const char *const names[FILES] = { "data_batch_1.bin", "data_batch_2.bin",
					  "data_batch_3.bin", "data_batch_4.bin",
					  "data_batch_5.bin", "test_batch.bin" };

/* Records of file @i: labels from @label on, pixels that differ from place to place. */
static void make_file(uint8_t *file, size_t i, size_t n, uint8_t label)
{
	static uint8_t pixels[LONGEST + FILES];

	for (size_t at = 0; !pixels[1] && at < sizeof pixels; at++)
		pixels[at] = (uint8_t)(37 * at + (at >> 8));
	memcpy(file, pixels + i, n);
	for (size_t k = 0; k < RECORDS && k * RECORD < n; k++)
		file[k * RECORD] = (uint8_t)(label + k);
}

static void check_pixels(const struct dataset *all, const uint8_t (*file)[LONGEST])
{
	size_t per_file = all->n / 5;

	MUST(all->n % 5 == 0 && all->shape.h == 32 && all->shape.w == 32 && all->shape.c == 3);
	for (size_t i = 0; i < all->n; i++) {
		const uint8_t *record = file[i / per_file] + i % per_file * RECORD;

		MUST(all->label[i] == record[0]);
		for (size_t p = 0; p < PLANE; p += 93)
			for (size_t c = 0; c < 3; c++)
				MUST(((const uint8_t *)all->image)[(i * PLANE + p) * 3 + c] ==
				     record[1 + c * PLANE + p]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena arena;
	static uint8_t file[FILES][LONGEST], zipped[LONGEST + LONGEST / 8 + GZIP_EXTRA];
	const struct data_cfg cfg = { .format = 1,
				      .directory = scratch_directory(),
				      .validation = 0.25 };
	struct arena_mark start = arena_mark(&arena);
	uint8_t way[FILES][3] = { { 0 } };
	size_t head = size < sizeof way ? size : sizeof way;
	size_t rest = size - head < LONGEST ? size - head : LONGEST;
	struct dataset all;
	bool told = true;

	if (head)
		memcpy(way, data, head);
	for (size_t i = 0; i < FILES; i++) {
		size_t n = way[i][0] % RECORDS * RECORD + way[i][2];

		make_file(file[i], i, n, way[i][1]);
		if (way[i][0] & RAW)
			n = rest;
		if (rest && (i == 0 || way[i][0] & RAW))
			memcpy(file[i], data + head, rest < n ? rest : n);
		told &= file[i][0] != 0x1f;
		if (way[i][0] & ZIPPED)
			data_file_fill(i, names[i], zipped, gzip(file[i], n, zipped));
		else
			data_file_fill(i, names[i], file[i], n);
	}
	if (open_all(&cfg, &arena, &all) && told)
		check_pixels(&all, (const uint8_t(*)[LONGEST])file);
	arena_rewind(&arena, start);
	return 0;
}
