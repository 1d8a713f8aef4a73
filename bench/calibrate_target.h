#ifndef BENCH_CALIBRATE_TARGET_H
#define BENCH_CALIBRATE_TARGET_H
#include "costmodels.h"
#include "mcu_cycles.h"

/* Rates and clock [Hz] of an opened target of the model mcu. */
void target_rates(const struct costmodel *target, double rate[MCU_N_RATES], double *clock);

/* Put rates, error (a fraction) and source into the target's file; every other line stays.
 * NASC_DATA: no such file or no line of a rate in it; NASC_FAIL: cannot be written. */
enum nasc_status target_write_rates(const char *path, const double rate[MCU_N_RATES], double error,
				    const char *source, struct arena *scratch,
				    struct nasc_err *err);
#endif
