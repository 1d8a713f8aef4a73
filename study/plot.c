/* Two scores of a front as SVG: axes with round ticks, units, the knee marked. */
#include <math.h>
#include <string.h>

#include "plot.h"

#include "file.h"
#include "private.h"

/* Beyond these the steps of an axis are no doubles of full precision. */
#define LEAST_SPAN 1e-290
#define LEAST_PART 1e-12 /* of the larger end */
#define FARTHEST   1e290

double axis_place(const struct axis *a, double v)
{
	return a->from + (a->to - a->from) * (v - a->lo) / (a->hi - a->lo);
}

/* Ends and step so that 4 to 9 ticks fall on 1, 2 or 5 times a power of ten
 * (of two for bytes: KiB read round there). */
static void scale_axis(struct axis *a, double lo, double hi)
{
	double least = fmax(LEAST_PART * fmax(fabs(lo), fabs(hi)), LEAST_SPAN);
	double span = hi > lo ? fmax(hi - lo, least) : fmax(fabs(hi), 1e-9);
	double raw = span / 5, unit = 1, mag;

	if (a->dim == UNIT_BYTE)
		unit = hi >= 1048576 ? 1048576 : hi >= 1024 ? 1024 : 1;
	mag = pow(10, floor(log10(raw / unit)));
	raw /= unit * mag;
	a->step = unit * mag * (raw <= 1 ? 1 : raw <= 2 ? 2 : raw <= 5 ? 5 : 10);
	a->lo = a->step * floor(lo / a->step);
	a->hi = a->step * ceil(hi / a->step);
	if (a->hi <= a->lo)
		a->hi = a->lo + a->step;
}

void axis_init(struct axis *a, const char *name, enum unit_dim dim, double lo, double hi,
	       bool vertical)
{
	*a = (struct axis){ .name = name,
			    .dim = dim,
			    .from = vertical ? PLOT_HEIGHT - PLOT_BOTTOM : PLOT_LEFT,
			    .to = vertical ? PLOT_TOP : PLOT_WIDTH - PLOT_RIGHT };
	scale_axis(a, lo, hi);
}

void plot_text(FILE *fp, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<':
			fputs("&lt;", fp);
			break;
		case '>':
			fputs("&gt;", fp);
			break;
		case '&':
			fputs("&amp;", fp);
			break;
		default:
			fputc(*text, fp);
		}
}

static void draw_axis(FILE *fp, const struct axis *a, bool vertical)
{
	int n = (int)lround((a->hi - a->lo) / a->step);
	char label[40];

	for (int i = 0; i <= n; i++) {
		double v = a->lo + i * a->step, p = axis_place(a, v);

		if (fabs(v) < 1e-9 * a->step)
			v = 0;
		unit_format(v, a->dim, label, sizeof label);
		if (vertical)
			fprintf(fp,
				"<path class=\"grid\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" "
				"text-anchor=\"end\">%s</text>\n",
				PLOT_LEFT, p, PLOT_WIDTH - PLOT_RIGHT, PLOT_LEFT - 8, p + 4, label);
		else
			fprintf(fp,
				"<path class=\"grid\" d=\"M%.1f %dV%d\"/><text x=\"%.1f\" y=\"%d\" "
				"text-anchor=\"middle\">%s</text>\n",
				p, PLOT_TOP, PLOT_HEIGHT - PLOT_BOTTOM, p,
				PLOT_HEIGHT - PLOT_BOTTOM + 20, label);
	}
	if (vertical)
		fprintf(fp,
			"<text class=\"name\" transform=\"translate(20 %d) rotate(-90)\" "
			"text-anchor=\"middle\">",
			(PLOT_TOP + PLOT_HEIGHT - PLOT_BOTTOM) / 2);
	else
		fprintf(fp, "<text class=\"name\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">",
			(PLOT_LEFT + PLOT_WIDTH - PLOT_RIGHT) / 2, PLOT_HEIGHT - 22);
	plot_text(fp, a->name);
	fputs("</text>\n", fp);
}

void plot_begin(FILE *fp, const char *style, const struct axis *x, const struct axis *y)
{
	fprintf(fp,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\">\n"
		"<style>text{font:12px sans-serif;fill:#444}.name{font-size:14px;fill:#000}"
		".grid{stroke:#ddd;fill:none}%s</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		PLOT_WIDTH, PLOT_HEIGHT, PLOT_WIDTH, PLOT_HEIGHT, style);
	draw_axis(fp, x, false);
	draw_axis(fp, y, true);
}

static enum nasc_status measure(const struct results *r, const char *name, bool vertical,
				struct axis *a, struct nasc_err *err)
{
	double lo = INFINITY, hi = -INFINITY;

	a->name = name;
	for (size_t i = 0; i < r->n; i++) {
		/* Every row's score is the first row's, so a short name cannot mean two. */
		const struct result_score *s = result_score(&r->row[i], a->name);

		if (!s) {
			no_score(&r->row[i], a->name, err);
			return nasc_wrap(err, "--plot");
		}
		a->name = s->key;
		a->dim = result_dim(s);
		lo = fmin(lo, s->value);
		hi = fmax(hi, s->value);
	}
	if (fmax(fabs(lo), fabs(hi)) > FARTHEST)
		return nasc_fail(err, NASC_USAGE, "--plot: '%s' goes beyond %g, too far to draw",
				 a->name, FARTHEST);
	axis_init(a, a->name, a->dim, lo, hi, vertical);
	return NASC_OK;
}

static void draw_point(FILE *fp, const struct result *row, const struct axis *x,
		       const struct axis *y)
{
	const struct result_score *sx = result_score(row, x->name),
				  *sy = result_score(row, y->name);
	double px = axis_place(x, sx->value), py = axis_place(y, sy->value);
	char tx[40], ty[40];

	fprintf(fp,
		"<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%d\"><title>%lld: %s, "
		"%s</title></circle>\n",
		row->knee ? "knee" : "point", px, py, row->knee ? 7 : 4, (long long)row->id,
		unit_format(sx->value, x->dim, tx, sizeof tx),
		unit_format(sy->value, y->dim, ty, sizeof ty));
	if (row->knee)
		fprintf(fp, "<text class=\"mark\" x=\"%.1f\" y=\"%.1f\">knee: %lld</text>\n",
			px + 11, py - 9, (long long)row->id);
}

enum nasc_status results_plot(const struct results *r, const char *x_name, const char *y_name,
			      const char *path, struct nasc_err *err)
{
	struct axis x = { 0 }, y = { 0 };
	struct file_out f = { 0 };

	if (r->n == 0)
		return nasc_fail(err, NASC_USAGE, "--plot: nothing to draw, no row is left");
	if (measure(r, x_name, false, &x, err) || measure(r, y_name, true, &y, err))
		return err->code;
	if (file_begin(&f, path, err))
		return err->code;
	plot_begin(f.fp,
		   ".point{fill:#2166ac;fill-opacity:.8}.knee{fill:#d6604d;stroke:#000}"
		   ".mark{font-weight:bold;fill:#000}",
		   &x, &y);
	for (size_t i = 0; i < r->n; i++)
		if (!r->row[i].knee)
			draw_point(f.fp, &r->row[i], &x, &y);
	for (size_t i = 0; i < r->n; i++)
		if (r->row[i].knee)
			draw_point(f.fp, &r->row[i], &x, &y);
	fputs("</svg>\n", f.fp);
	return file_commit(&f, err);
}
