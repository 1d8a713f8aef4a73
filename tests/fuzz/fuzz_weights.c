/* A weights file as `nasc export` reads it: what is taken runs, in f32 and, where it can be
 * quantised, in int8. */
#define _GNU_SOURCE
#include "fuzz.h"

#include "export.h"

#define WORK_MAX 100000

static void run(const struct trained *t, struct arena *a)
{
	uint64_t elements = net_elements(t->net.input);
	float *image = ARENA_NEW(a, float, elements), *logits;
	const struct images images = { 1, image, NULL };
	struct nasc_err err = { 0 };
	struct quantised q;

	for (uint64_t i = 0; i < elements; i++)
		image[i] = (float)(i % 7) - 3;
	logits = ARENA_NEW(a, float, t->net.classes);
	MUST(trained_run(t, &images, 1, logits, &err) == NASC_OK);
	if (quantise(t, &images, 1, a, &q, &err) == NASC_OK)
		MUST(quantised_run(&q, &images, 1, ARENA_NEW(a, int8_t, t->net.classes), &err) ==
		     NASC_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct trained t;

	if (trained_read(data, size, NULL, &a, &t, &err) == NASC_OK) {
		uint64_t work = network_macs(&t.net);

		for (size_t i = 0; i < t.net.n_ops && work < WORK_MAX; i++)
			work += net_elements(t.net.op[i].out) *
				(t.net.op[i].kernel_h * (uint64_t)t.net.op[i].kernel_w + 1);
		if (work < WORK_MAX)
			run(&t, &a);
	} else {
		MUST(err.code != NASC_OK && err.msg[0]);
	}
	arena_free(&a);
	return 0;
}
