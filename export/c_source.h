#ifndef NASC_C_SOURCE_H
#define NASC_C_SOURCE_H
#include <stdio.h>

#include "export.h"

/* NAME.c: constants, arena and calls of an exported network. */
void c_write_source(const struct export_c *e, FILE *fp, struct arena *a);
/* Elements of an array. */
void c_write_bytes(FILE *fp, const int8_t *byte, size_t n);
#endif
