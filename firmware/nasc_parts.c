#include "nasc_kernels.h"

struct nasc_window nasc_part_window(const struct nasc_window *whole, struct nasc_part in,
				    struct nasc_part out, struct nasc_part to)
{
	struct nasc_window w = *whole;

	w.in_h = in.rows.cells;
	w.in_w = in.columns.cells;
	w.out_h = out.rows.cells;
	w.out_w = out.columns.cells;
	w.out_line = to.columns.cells;
	w.pad_top = (int16_t)(w.pad_top + in.rows.first - out.rows.first * w.stride);
	w.pad_left = (int16_t)(w.pad_left + in.columns.first - out.columns.first * w.stride);
	return w;
}

uint32_t nasc_part_row(struct nasc_part held, struct nasc_part of, uint32_t row, uint32_t channels)
{
	const uint32_t above = (uint32_t)(of.rows.first - held.rows.first) + row;
	const uint32_t before = (uint32_t)(of.columns.first - held.columns.first);

	return (above * held.columns.cells + before) * channels;
}
