#ifndef BENCH_CALIBRATE_TARGET_H
#define BENCH_CALIBRATE_TARGET_H
#include "costmodels.h"
#include "mcu_cycles.h"

/* Rates and clock [Hz] of an opened target of the model mcu. */
void target_rates(const struct costmodel *target, double rate[MCU_N_RATES], double *clock);

/* What a fit puts into a target's file. Errors are fractions. */
struct target_fit {
	double rate[MCU_N_RATES], latency_error;
	double power, energy_error; /* W; power 0: what the file says of energy stays */
	char latency_source[256], energy_source[256];
};
/* Every other line stays. NASC_DATA: no such file or no line of a rate in it; NASC_FAIL: cannot
 * be written. */
enum nasc_status target_write(const char *path, const struct target_fit *fit, struct arena *scratch,
			      struct nasc_err *err);
#endif
