#ifndef NASC_METRIC_H
#define NASC_METRIC_H
#include <stdbool.h>
#include <stddef.h>

#include "units.h"

/* One figure that a cost model or an evaluator gives a network. `key` is the
 * name in every JSON ("sram_bytes": the unit is part of it, always SI); `name`
 * is the short name a user may write in YAML and in --where ("sram"). */
struct metric {
	const char *key, *name;
	enum unit_dim dim;
	bool maximise;	  /* the better direction: more is better */
	bool per_op;	  /* also given per operator; need not add up (SRAM is a peak) */
	const char *help; /* one line */
};
#endif
