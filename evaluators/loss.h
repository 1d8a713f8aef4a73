#ifndef NASC_LOSS_H
#define NASC_LOSS_H
#include "engine.h"

/* Softmax and cross-entropy of each labelled image of @r, into its loss, correct and
 * answer; in RUN_TRAIN the gradient too, zero for images without a label. @ph: PHASE_LOSS. */
void loss_run(struct runner *r, const struct phase *ph, enum runner_mode mode);
#endif
