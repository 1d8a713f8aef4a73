#ifndef NASC_LOSS_H
#define NASC_LOSS_H
#include "engine.h"

/* What an image should be answered with: one row of @target, an entry a class. Its
 * loss is the sum of -target[k] * log(softmax(logits)[k]). */
struct loss_rule {
	double smoothing;     /* of the labels: Szegedy et al., CVPR 2016 */
	const double *weight; /* of each class; NULL: all 1 */
};
/* @label and, to the part @mix, @other; both smoothed; each class times its weight. */
void loss_target(const struct loss_rule *rule, uint32_t classes, uint8_t label, uint8_t other,
		 double mix, float *target);
/* Mean loss of the best answer that is the same for every image, @count[k] of them of class k. */
double loss_of_chance(const struct loss_rule *rule, uint32_t classes, const size_t *count);

/* Softmax and cross-entropy of each labelled image of @r, into its loss, correct and
 * answer; in RUN_TRAIN the gradient too, zero for images without a label. @ph: PHASE_LOSS. */
void loss_run(struct runner *r, const struct phase *ph, enum runner_mode mode);
#endif
