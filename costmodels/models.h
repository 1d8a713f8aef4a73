#ifndef NASC_MODELS_H
#define NASC_MODELS_H
#include "costmodels.h"

/* The rows of the registry. */
extern const struct costmodel_ops costmodel_size, costmodel_memory, costmodel_mcu, costmodel_fpga;
#endif
