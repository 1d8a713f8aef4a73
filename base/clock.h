#ifndef NASC_CLOCK_H
#define NASC_CLOCK_H
#include <time.h>

/* Seconds since some fixed moment, never going back [s]. For what a user sees or
 * limits in time; no score depends on it. */
static inline double clock_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
#endif
