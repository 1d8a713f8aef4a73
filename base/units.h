#ifndef NASC_UNITS_H
#define NASC_UNITS_H
#include <stddef.h>

#include "err.h"

/* SI inside, human units only where a person reads or writes. */
enum unit_dim {
	UNIT_NONE,     /* plain number: counts, scores; suffixes k, M, G (10^3, 10^6, 10^9) */
	UNIT_FRACTION, /* 0.1 or 10 % */
	UNIT_BYTE,     /* B, kB MB GB (1000), KiB MiB GiB (1024) */
	UNIT_SECOND,   /* s, ms, us, ns, min, h */
	UNIT_JOULE,    /* J, mJ, uJ, nJ */
	UNIT_HERTZ,    /* Hz, kHz, MHz, GHz */
	UNIT_WATT,     /* W, mW, uW */
	UNIT_DIM_COUNT
};

/* "256 KiB", "20ms", "0.35", "12 %" -> SI. A bare number is already SI. The
 * whole text must be one quantity; NaN and infinity are refused. NASC_CONFIG
 * names the units that would be right. @out is untouched on failure. */
enum nasc_status unit_parse(const char *text, enum unit_dim dim, double *out, struct nasc_err *err);

const char *unit_symbol(enum unit_dim dim); /* SI unit as JSON says it: "byte", "s", "J", "1" */

/* For people: "214.6 KiB", "12.3 ms", "93.50 %", "1.02 M". Writes at most @n
 * bytes, always terminated, and returns @buf. */
char *unit_format(double value, enum unit_dim dim, char *buf, size_t n);
#endif
