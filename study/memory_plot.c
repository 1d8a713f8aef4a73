/* Who lies where in SRAM, and when: operators to the right, addresses up. */
#include <math.h>
#include <string.h>

#include "file.h"
#include "plot.h"
#include "private.h"
#include "study.h"

#define BESIDE	      "#f0e0c0" /* buffers of the runtime */
#define ROOM_TO_BOARD 2		/* more times the bytes would leave the picture empty */

static const char *colour(enum net_kind kind)
{
	switch (kind) {
	case NET_INPUT:
		return "#8c8c8c";
	case NET_CONV2D:
	case NET_DENSE:
		return "#4393c3";
	case NET_DEPTHWISE:
		return "#5aae61";
	case NET_ADD:
	case NET_CONCAT:
		return "#f4a582";
	default:
		return "#c2a5cf";
	}
}

static void rectangle(FILE *fp, const struct axis *x, const struct axis *y, double from, double to,
		      double low, double high, const char *fill)
{
	double left = axis_place(x, from), top = axis_place(y, high);

	fprintf(fp, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"", left,
		top, axis_place(x, to) - left, axis_place(y, low) - top, fill);
}

static void draw_buffer(FILE *fp, const struct network *net, const struct cost_buffer *b,
			const struct axis *x, const struct axis *y)
{
	double low = (double)b->offset, high = (double)(b->offset + b->size);
	char size[40];

	if (!b->size)
		return;
	rectangle(fp, x, y, b->from, b->to + 1.0, low, high, colour(net->op[b->op].kind));
	fprintf(fp, " class=\"buffer\"><title>operator %u (%s): %s</title></rect>\n", b->op,
		net_kind_name(net->op[b->op].kind),
		unit_format((double)b->size, UNIT_BYTE, size, sizeof size));
	if (axis_place(y, low) - axis_place(y, high) >= 12 &&
	    axis_place(x, b->to + 1.0) - axis_place(x, b->from) >= 16)
		fprintf(fp, "<text class=\"op\" x=\"%.1f\" y=\"%.1f\">%u</text>\n",
			(axis_place(x, b->from) + axis_place(x, b->to + 1.0)) / 2,
			(axis_place(y, low) + axis_place(y, high)) / 2 + 4, b->op);
}

/* What the board has; 0: it does not say. */
static double board_bytes(const struct costmodel *m)
{
	struct cost_limit limit[COST_MAX_METRICS];
	size_t n = m->ops->limits ? m->ops->limits(m, limit) : 0;

	for (size_t i = 0; i < n; i++)
		if (strcmp(m->ops->metric[limit[i].metric].key, "sram_bytes") == 0)
			return limit[i].max;
	return 0;
}

/* A line, or where that is out of the picture a word. */
static void draw_board(FILE *fp, const struct costmodel *m, double bytes, const struct axis *x,
		       const struct axis *y)
{
	bool inside = bytes <= y->hi;
	double at = inside ? axis_place(y, bytes) : PLOT_TOP;
	char size[40];

	if (inside)
		fprintf(fp, "<path class=\"board\" d=\"M%d %.1fH%.1f\"/>\n", PLOT_LEFT, at,
			axis_place(x, x->hi));
	fprintf(fp, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
		axis_place(x, x->hi) - 4, at + 13);
	plot_text(fp, m->target);
	fprintf(fp, ": %s%s</text>\n", unit_format(bytes, UNIT_BYTE, size, sizeof size),
		inside ? "" : ", higher up");
}

static void draw_frame(FILE *fp, const struct cost_memory *m, const struct axis *x,
		       const struct axis *y)
{
	double top = (double)m->arena_bytes, end = m->n_steps;
	char text[40];

	if (m->beside_bytes) {
		rectangle(fp, x, y, 0, end, top, top + (double)m->beside_bytes, BESIDE);
		fprintf(fp, " class=\"buffer\"><title>buffers of the runtime: %s</title></rect>\n",
			unit_format((double)m->beside_bytes, UNIT_BYTE, text, sizeof text));
	}
	fprintf(fp, "<path class=\"peak\" d=\"M%d %.1fH%.1f\"/>\n", PLOT_LEFT,
		axis_place(y, top + (double)m->beside_bytes), axis_place(x, end));
	if (m->grid > 1)
		fprintf(fp,
			"<path class=\"parts\" d=\"M%.1f %dV%d\"/><text class=\"name\" x=\"%d\" "
			"y=\"%d\">%u x %u times</text>\n",
			axis_place(x, m->n_patched), PLOT_TOP, PLOT_HEIGHT - PLOT_BOTTOM,
			PLOT_LEFT + 4, PLOT_TOP + 11, m->grid, m->grid);
}

static void draw_legend(FILE *fp)
{
	const struct {
		const char *fill, *text;
	} entry[] = { { colour(NET_INPUT), "image" },
		      { colour(NET_CONV2D), "convolution, dense" },
		      { colour(NET_DEPTHWISE), "depthwise" },
		      { colour(NET_ADD), "add, concat" },
		      { colour(NET_SOFTMAX), "other" },
		      { BESIDE, "the runtime's" } };
	int x = PLOT_LEFT;

	for (size_t i = 0; i < sizeof entry / sizeof *entry; i++) {
		fprintf(fp,
			"<rect x=\"%d\" y=\"10\" width=\"12\" height=\"12\" fill=\"%s\"/>"
			"<text x=\"%d\" y=\"20\">%s</text>\n",
			x, entry[i].fill, x + 16, entry[i].text);
		x += 34 + 7 * (int)strlen(entry[i].text);
	}
}

enum nasc_status memory_plot(const struct network *net, const struct costmodel *m,
			     const struct cost_memory *memory, const char *path,
			     struct nasc_err *err)
{
	double bytes = (double)(memory->arena_bytes + memory->beside_bytes);
	double board = board_bytes(m);
	struct file_out f = { 0 };
	struct axis x = { 0 }, y = { 0 };
	char title[200], size[40];

	axis_init(&x, "position in the order of execution; in the boxes, the operator", UNIT_NONE,
		  0, memory->n_steps, false);
	unit_format(bytes, UNIT_BYTE, size, sizeof size);
	snprintf(title, sizeof title, "SRAM, %.60s on %.60s: %s", m->model, m->target, size);
	axis_init(&y, title, UNIT_BYTE, 0,
		  board <= ROOM_TO_BOARD * bytes ? fmax(board, bytes) : bytes, true);
	if (file_begin(&f, path, err))
		return err->code;
	plot_begin(f.fp,
		   ".buffer{stroke:#fff;stroke-width:.5}.op{fill:#fff;text-anchor:middle}"
		   ".peak{stroke:#b2182b;stroke-dasharray:4 3;fill:none}"
		   ".parts{stroke:#000;stroke-dasharray:2 3;fill:none}"
		   ".board{stroke:#b2182b;fill:none}",
		   &x, &y);
	for (uint32_t i = 0; i < memory->n_buffers; i++)
		draw_buffer(f.fp, net, &memory->buffer[i], &x, &y);
	draw_frame(f.fp, memory, &x, &y);
	if (board > 0)
		draw_board(f.fp, m, board, &x, &y);
	draw_legend(f.fp);
	fputs("</svg>\n", f.fp);
	return file_commit(&f, err);
}
