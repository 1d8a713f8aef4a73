#ifndef TESTS_FUZZ_MODEL_H
#define TESTS_FUZZ_MODEL_H
/* What must hold of another program's model file, read by @read: a network that can be folded and
 * written, or a reason. */
#include "fuzz.h"

#include "network.h"

typedef enum nasc_status read_model(const void *bytes, size_t n, struct arena *a,
				    struct network *out, struct nasc_err *err);

static inline void check_model(read_model *read, const uint8_t *data, size_t size)
{
	static struct arena arena;
	struct arena_mark start = arena_mark(&arena);
	struct nasc_err err = { 0 };
	struct network net, again;
	enum nasc_status st = read(data, size, &arena, &net, &err);

	if (st) {
		MUST(st == NASC_DATA);
		must_say_why(&err, st);
	} else {
		MUST(net.n_ops >= 2 && net.op[0].kind == NET_INPUT);
		for (size_t i = 1; i < net.n_ops; i++)
			for (uint32_t e = 0; e < net.op[i].n_inputs; e++)
				MUST(network_inputs(&net, i)[e] < i);
		network_fold_pads(&net, &arena, &again);
		MUST(network_equal(&net, &again));
		MUST(network_infer(&again, &err) == NASC_OK);
		MUST(network_equal(&net, &again) && net.classes == again.classes);
		MUST(network_macs(&net) == network_macs(&again));
		network_fold(&net, &arena, &again, NULL);
		MUST(again.n_ops >= 2 && network_macs(&net) == network_macs(&again));
	}
	arena_rewind(&arena, start);
}
#endif
