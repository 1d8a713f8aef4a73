#ifndef NASC_COSTMODELS_H
#define NASC_COSTMODELS_H
#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "err.h"
#include "firmware.h"
#include "metric.h"
#include "network.h"
#include "schema.h"

/* A cost model turns a network and a target into figures: no weights, no data,
 * no state, microseconds. A target is one YAML file: `model:` names the cost
 * model, the other keys are that model's rows. */
struct costmodel;

/* The figures of one network. value[i] belongs to ops->metric[i]; NAN where the
 * target's file lacks the numbers for it. */
#define COST_MAX_METRICS 16
struct cost {
	double value[COST_MAX_METRICS];
	/* value[i] is an upper bound: the search for the exact figure was cut short. */
	bool bound[COST_MAX_METRICS];
	/* When not NULL on entry: n_ops * n_metrics of the network handed in, row
	 * per operator, zero where folded away, NAN where a metric is not per_op.
	 * Rows add up to the value, but for SRAM (bytes live while that operator runs),
	 * flash (a runtime's code belongs to no operator) and times on an FPGA, where
	 * engines work at once (of that engine). */
	double *per_op;
};

/* Bytes of SRAM in use from one step of the order to another, both included. */
struct cost_buffer {
	uint32_t op; /* of the network handed in: whose output it is, or whose scratch */
	uint32_t from, to;
	uint64_t size, offset;
	uint32_t host; /* index of the buffer that it lies in; its own: it lies alone */
	uint64_t at;   /* from the host's beginning */
};

/* Where everything lies, and when. */
struct cost_memory {
	uint64_t peak_bytes;	 /* what the cost of the network says */
	uint64_t arena_bytes;	 /* to the end of the highest buffer: more where gaps are left */
	uint64_t beside_bytes;	 /* buffers of the runtime behind the arena */
	uint32_t n_steps, *step; /* the operator of the network handed in that runs */
	uint32_t n_buffers;
	struct cost_buffer *buffer;
	uint32_t grid, n_patched; /* the first n_patched steps run grid x grid times, shown once */
};

/* One way to run a network. */
struct cost_schedule {
	uint32_t op, grid; /* up to operator @op in grid x grid parts; 0 and 1: layer by layer */
	uint64_t sram_bytes;
	/* What parts have in common is computed again; NAN: not known. */
	double macs, latency_s, instructions;
};

/* What a target can hold: value[metric] <= max. */
struct cost_limit {
	size_t metric; /* index into ops->metric */
	double max;
};

struct costmodel_ops {
	const char *name, *summary, *source;
	const struct metric *metric;
	size_t n_metrics;
	const struct cfg_field *fields; /* of a target file; NULL: needs no target */
	size_t cfg_size;
	/* Check the target's numbers against each other. May be NULL. */
	enum nasc_status (*open)(struct costmodel *m, struct nasc_err *err);
	/* Pure; any thread. @scratch is rewound by the caller. NASC_INFEASIBLE
	 * where no implementation exists (one engine exceeds the device). */
	enum nasc_status (*cost)(const struct costmodel *m, const struct network *net,
				 struct arena *scratch, struct cost *out, struct nasc_err *err);
	/* A picture of the SRAM that cost() counts; lists in @a. NULL: it has none. */
	void (*memory)(const struct costmodel *m, const struct network *net, struct arena *a,
		       struct cost_memory *out);
	/* Layer by layer, and every other schedule of a network that needs less SRAM and for which
	 * no other needs less SRAM and no more time; by SRAM, the most first; list in @a. NULL, or
	 * 0: the target has but one. */
	uint32_t (*schedules)(const struct costmodel *m, const struct network *net, struct arena *a,
			      struct cost_schedule **list);
	/* "predicted: …": where the figure of metric @i comes from and how far to
	 * trust it; static or in the model's arena. NULL: the target has no such figure. */
	const char *(*provenance)(const struct costmodel *m, size_t i);
	/* The target's memories or resources: default constraints of a search for
	 * it. Fills at most COST_MAX_METRICS, returns how many. NULL: it has none. */
	size_t (*limits)(const struct costmodel *m, struct cost_limit *out);
};
struct costmodel {
	const struct costmodel_ops *ops;
	const char *target;  /* "stm32f746"; "" when the model needs none */
	const char *model;   /* "mcu/x-cube-ai": model and its variant, for provenance */
	const char *summary; /* one line about the target, from its file */
	void *cfg;
	struct arena *arena;
	/* Upper bounds that a user set besides the target's own, 0 where there is none: a model
	 * that can choose how a network is run chooses within them. */
	double within[COST_MAX_METRICS];
};

extern const struct costmodel_ops *const costmodel_registry[]; /* NULL-terminated */
const struct costmodel_ops *costmodel_find(const char *name);  /* NULL: not found */

/* `size` and every other model without target keys. */
enum nasc_status costmodel_open(struct costmodel *m, const struct costmodel_ops *ops,
				struct arena *arena, struct nasc_err *err);
/* @name: a path (it has a '/' or ends in .yaml) or the name of a file in @dir.
 * An unknown name is NASC_CONFIG and lists near ones. */
enum nasc_status target_open(struct costmodel *m, const char *dir, const char *name,
			     struct arena *arena, struct nasc_err *err);
/* Names in @dir, sorted, without .yaml; NULL behind the last. */
enum nasc_status target_list(const char *dir, struct arena *arena, const char ***names, size_t *n,
			     struct nasc_err *err);

/* Whether the target runs nasc's own firmware. */
bool mcu_is_firmware(const struct costmodel *m);
/* Where that keeps the maps of @net, of which operators are those as deployed (network_fold() of
 * network_used()); lists in @a. By the schedule that @m's costs are of; NULL: layer by layer. */
void mcu_firmware_plan(const struct costmodel *m, const struct network *net, struct arena *a,
		       struct firmware_plan *out);

/* NID, network information density: accuracy (fraction) per parameter [1]. */
double size_nid(double accuracy, double params);
#endif
