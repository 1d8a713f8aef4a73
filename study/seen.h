#ifndef NASC_STUDY_SEEN_H
#define NASC_STUDY_SEEN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

/*
 * The candidates that were scored last, so as not to score them twice: a hash table
 * over a ring, in which the newest takes the place of the oldest. A candidate goes by
 * its number in the order of adding, from 0. All memory is taken at the start.
 */
struct seen {
	size_t n_genes, n_obj, cap;
	uint64_t n;	  /* added so far; the last cap of them are there */
	uint16_t *gene;	  /* cap * n_genes, number i at i % cap */
	double *score;	  /* cap * (n_obj + 1): objectives, violation */
	uint32_t *older;  /* cap: place + 1 of the next in its bucket; 0: none */
	uint32_t *bucket; /* place + 1 of the newest in it */
	size_t n_buckets; /* a power of two */
};
/* @cap: 1 .. UINT32_MAX - 1. */
void seen_init(struct seen *s, size_t n_genes, size_t n_obj, size_t cap, struct arena *a);
/* @x: genes 0 .. UINT16_MAX. True: *number is the candidate's. */
bool seen_find(const struct seen *s, const double *x, uint64_t *number);
/* The number of one that is not there. Until it is scored it has no objectives. */
uint64_t seen_add(struct seen *s, const double *x);
/* Of one of the last s->cap that were added. */
void seen_score(struct seen *s, uint64_t number, const double *f, double violation);
/* Of one that was found and scored. */
double seen_recall(const struct seen *s, uint64_t number, double *f); /* violation */
#endif
