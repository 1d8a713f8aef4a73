#ifndef NASC_TRAINER_H
#define NASC_TRAINER_H
#include "evaluators.h"

/* What the evaluator `train` and the job that trains share. */
enum train_precision { PRECISION_AUTO, PRECISION_F32, PRECISION_BF16 };
/* Are activations kept in bf16? */
bool trainer_bf16(const struct train_cfg *cfg);
#endif
