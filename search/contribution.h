#ifndef NASC_SEARCH_CONTRIBUTION_H
#define NASC_SEARCH_CONTRIBUTION_H
#include "search.h"

/*
 * Mutually non-dominated points (equal ones may be among them) and the volume that
 * each dominates alone, kept up to date as points come and go. Two objectives: by
 * the neighbours on the front; its two ends count as INFINITY. Otherwise a point p
 * that comes or goes changes what q has by the volume that max(p, q) dominates
 * alone. Most of these n volumes are settled at zero by one point that is nowhere worse.
 * Of the others each takes a sweep over the n points with three objectives, and with more
 * a search_hypervolume() of the front of the max(r, max(p, q)) over all other points r.
 * The reference lies a tenth of the range behind the worst of each objective, 0.08 to 0.15
 * of it while points come and go; a range below 2^-42 of the values counts as that.
 * Sources: Beume, Naujoks, Emmerich, EJOR 181(3) 2007; Guerreiro, Fonseca, IEEE TEVC
 * 22(3) 2018 (updates).
 */
struct contribution {
	size_t n, m;
	double *f;    /* n * m, ascending in the last objective */
	double *own;  /* n */
	uint32_t *id; /* n: the caller's */
	double ref[SEARCH_MAX_OBJECTIVES];
	double *x, *y; /* staircase of a sweep, x ascending */
	double *rest;  /* the front of the cuts into a box */
	struct arena *scratch;
};
/* Room for @most points. */
void contribution_init(struct contribution *c, size_t m, size_t most, struct arena *arena);
void contribution_clear(struct contribution *c);
/* @f: dominated by none there and dominating none. */
void contribution_add(struct contribution *c, const double *f, uint32_t id);
/* Nothing happens where @id is not there. */
void contribution_drop(struct contribution *c, uint32_t id);
void contribution_rename(struct contribution *c, uint32_t from, uint32_t to);
/* The id of the least; of equals the one with the least last objective. n > 0. */
uint32_t contribution_least(struct contribution *c);
#endif
