#ifndef NASC_TRAINER_H
#define NASC_TRAINER_H
#include "evaluators.h"

/* What the evaluator `train` and the job that trains share. */
enum train_optimizer { OPTIMIZER_SGD, OPTIMIZER_ADAMW };
enum train_precision { PRECISION_AUTO, PRECISION_F32, PRECISION_BF16 };
/* Are activations kept in bf16? */
bool trainer_bf16(const struct train_cfg *cfg);
/* Learning rate of step @k of @steps, @epoch_steps of them an epoch: (k + 1) / warm-up
 * of cfg->rate, then half a cosine (Loshchilov & Hutter, ICLR 2017). */
double trainer_rate(const struct train_cfg *cfg, size_t k, size_t steps, size_t epoch_steps);
/* Weight of each class, of which the training images have the mean 1: @weight, NULL where all
 * are alike. */
double *trainer_class_weights(const struct train_cfg *cfg, uint32_t classes, const size_t *count,
			      struct arena *a);
#endif
