#ifndef NASC_PLOT_H
#define NASC_PLOT_H
#include <stdbool.h>
#include <stdio.h>

#include "units.h"

/* What the program's pictures have in common: SVG of one size with two axes. */
enum {
	PLOT_WIDTH = 720,
	PLOT_HEIGHT = 480,
	PLOT_LEFT = 90,
	PLOT_RIGHT = 30,
	PLOT_TOP = 30,
	PLOT_BOTTOM = 70
};

struct axis {
	const char *name;
	enum unit_dim dim;
	double lo, hi, step; /* of the axis; both ends on a tick */
	double from, to;     /* pixels of lo and hi */
};

/* Ends on round numbers around lo..hi; from and to are the horizontal or vertical ones. */
void axis_init(struct axis *a, const char *name, enum unit_dim dim, double lo, double hi,
	       bool vertical);
double axis_place(const struct axis *a, double v); /* pixel */

/* Header, @style (CSS), background and both axes; the picture's end is "</svg>\n". */
void plot_begin(FILE *fp, const char *style, const struct axis *x, const struct axis *y);
void plot_text(FILE *fp, const char *text); /* escaped */
#endif
