#include "directions.h"

static size_t layer_count(size_t m, size_t p)
{
	size_t n = 1;

	for (size_t i = 1; i < m; i++) {
		n = n * (p + i) / i; /* C(p + i, i) */
		if (n > DIRECTIONS_MAX)
			return DIRECTIONS_MAX + 1;
	}
	return n;
}

size_t directions_count(size_t m, size_t outer, size_t inner)
{
	return layer_count(m, outer) + (inner > 0 ? layer_count(m, inner) : 0);
}

/* From (p, 0 .. 0) / p to (0 .. 0, p) / p. In each next row the last coordinate that is not
 * 0, the final one apart, gives one part to its neighbour, which also takes what the final
 * one held. @scale draws all towards the centre. Returns the end. */
static double *fill_layer(double *w, size_t m, size_t p, double scale)
{
	size_t part[SEARCH_MAX_OBJECTIVES] = { p };

	for (;; w += m) {
		size_t last = part[m - 1], k = m - 1;

		for (size_t i = 0; i < m; i++)
			w[i] = scale * (double)part[i] / (double)p + (1 - scale) / (double)m;
		while (k > 0 && part[k - 1] == 0)
			k--;
		if (k == 0)
			return w + m;
		part[m - 1] = 0;
		part[k - 1]--;
		part[k] = last + 1;
	}
}

void directions_fill(double *w, size_t m, size_t outer, size_t inner)
{
	w = fill_layer(w, m, outer, 1);
	if (inner > 0)
		fill_layer(w, m, inner, 0.5);
}

void directions_choose(size_t m, size_t most, size_t *outer, size_t *inner)
{
	*outer = 1;
	*inner = 0;
	while (m > 1 && directions_count(m, *outer + 1, 0) <= most)
		++*outer;
	if (*outer >= m)
		return;
	while (*inner < *outer && directions_count(m, *outer, *inner + 1) <= most)
		++*inner;
}
