#ifndef NASC_FPGA_FOLD_H
#define NASC_FPGA_FOLD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "fpga_stage.h"

/* How far each engine of a pipeline is unrolled. */
struct fpga_plan {
	struct fpga_folding *folding; /* n_stages */
	uint64_t interval_cycles;     /* of the slowest stage: one image leaves every so often */
	struct fpga_use use;	      /* of all stages and @fixed */
	bool exact;		      /* false: a faster folding may fit */
};

/*
 * fpga_fold() - the foldings of smallest interval that fit a device together
 * @fixed:  used whatever the foldings are
 * @device: how much there is
 * @a:      holds plan->folding
 *
 * Bisects the interval over the cycles that foldings can have. An interval is
 * feasible when each stage has a folding that meets it and their sum fits: tried
 * first with the folding of each stage that takes the smallest share of the
 * device, then exactly, by the Pareto fronts of partial sums. Fronts are cut
 * at a fixed length: then a faster folding may exist and plan->exact is false. Of
 * several plans of one interval the one of smallest share is taken.
 *
 * Returns false when nothing fits, with plan->use what the stages take without any
 * unrolling.
 */
bool fpga_fold(const struct fpga_stage *stage, size_t n_stages, const struct fpga_use *fixed,
	       const struct fpga_use *device, const struct fpga_arithmetic *arithmetic,
	       struct arena *a, struct fpga_plan *plan);
#endif
