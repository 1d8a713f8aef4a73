/* Main of a fuzz target without a fuzzer: every file of the folders named as arguments, once. The
 * name of a file is printed before it is tried. No file at all is a failure. */
#define _GNU_SOURCE
#include "fuzz.h"

#include "file.h"

#define INPUT_MAX_BYTES ((size_t)1 << 20)

/* In memory of exactly its size, so that AddressSanitizer sees a read behind it. */
static void replay(const char *path)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	uint8_t *exact;
	char *text;
	size_t n;

	printf("%s\n", path);
	fflush(stdout);
	if (file_read(path, INPUT_MAX_BYTES, &a, &text, &n, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	exact = malloc(n ? n : 1);
	MUST(exact);
	memcpy(exact, text, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	arena_free(&a);
}

static int is_input(const struct dirent *entry)
{
	return entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN;
}

int main(int argc, char **argv)
{
	int replayed = 0;

	for (int i = 1; i < argc; i++) {
		struct dirent **list;
		int n = scandir(argv[i], &list, is_input, alphasort);

		for (int k = 0; k < n; k++) {
			char path[4096];

			snprintf(path, sizeof path, "%s/%s", argv[i], list[k]->d_name);
			replay(path);
			free(list[k]);
			replayed++;
		}
		if (n >= 0)
			free(list);
	}
	printf("%d inputs\n", replayed);
	return replayed > 0 ? 0 : 1;
}
