#ifndef NASC_SEARCH_FRONT_H
#define NASC_SEARCH_FRONT_H
#include <stdbool.h>
#include <stddef.h>

/* Whether @p beats @q in any of m objectives, all minimised, and is beaten in any. Not better: q
 * covers p, it is nowhere worse. Not worse: p covers q. Neither: they are equal. */
struct front_relation {
	bool better, worse;
};
static inline struct front_relation front_relate(const double *p, const double *q, size_t m)
{
	struct front_relation r = { false, false };

	for (size_t k = 0; k < m; k++) {
		r.better |= p[k] < q[k];
		r.worse |= p[k] > q[k];
	}
	return r;
}

/* Add @p to the n points of @set (room for one more) unless one of them covers it; those
 * that it covers leave. Returns the new n. O(n m). */
size_t front_keep(double *set, size_t n, size_t m, const double *p);
#endif
