#ifndef NASC_SEARCH_AMOSA_ARCHIVE_H
#define NASC_SEARCH_AMOSA_ARCHIVE_H
#include "contribution.h"
#include "search.h"

/*
 * Feasible, mutually non-dominated points of different objectives, of bounded number.
 * By clusters: grows to the soft limit and is then cut to the hard one (cluster.h), as
 * published. By volume: never beyond the hard limit, who adds least leaves
 * (contribution.h).
 */
enum amosa_truncation { AMOSA_CLUSTERING, AMOSA_HYPERVOLUME };
struct amosa_archive {
	size_t n, n_vars, m, hard, soft;
	enum amosa_truncation truncation;
	double *x, *f;						     /* soft + 1 rows */
	double lo[SEARCH_MAX_OBJECTIVES], hi[SEARCH_MAX_OBJECTIVES]; /* of f; n > 0 */
	uint32_t *kept;						     /* of a cut */
	struct contribution volume;
	struct arena *scratch;
	/* what answers while more than the hard limit are there */
	bool cut_valid;
	double *cut_x, *cut_f, *zero;
};
/* @hard <= @soft; the latter counts for clustering only. */
void amosa_archive_init(struct amosa_archive *a, const struct search_domain *d,
			enum amosa_truncation truncation, size_t hard, size_t soft,
			struct arena *arena);
/* Put a point in unless a member dominates or equals it; members it dominates leave. */
void amosa_archive_add(struct amosa_archive *a, const double *x, const double *f);
/* At most the hard limit of them; valid until the next add. */
struct search_points amosa_archive_answer(struct amosa_archive *a);
#endif
