#ifndef NASC_MCU_GREEDY_H
#define NASC_MCU_GREEDY_H
#include "mcu_memory.h"

/* MCU_TFLM and MCU_TINYENGINE of mcu_memory_plan(). */
void mcu_greedy_plan(const struct network *net, const struct mcu_memory_rules *rules,
		     struct arena *a, struct mcu_memory *out);
#endif
