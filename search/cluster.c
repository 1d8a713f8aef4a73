#include "cluster.h"

#include <math.h>
#include <string.h>

#include "order.h"

static double distance(const double *a, const double *b, size_t m)
{
	double sum = 0;

	for (size_t k = 0; k < m; k++)
		sum += (a[k] - b[k]) * (a[k] - b[k]);
	return sqrt(sum);
}

/* Objectives scaled to [0, 1]; one that does not differ becomes 0. The position
 * of the least of each objective is marked in @keep; returns how many were. */
static size_t scale(const double *f, size_t n, size_t m, double *g, bool *keep)
{
	size_t marked = 0;

	for (size_t k = 0; k < m; k++) {
		size_t least = 0;
		double hi = f[k], range;

		for (size_t i = 1; i < n; i++) {
			least = f[i * m + k] < f[least * m + k] ? i : least;
			hi = fmax(hi, f[i * m + k]);
		}
		range = hi - f[least * m + k];
		for (size_t i = 0; i < n; i++)
			g[i * m + k] = range > 0 ? (f[i * m + k] - f[least * m + k]) / range : 0;
		marked += !keep[least];
		keep[least] = true;
	}
	return marked;
}

/* Minimum spanning tree (Prim): edge i joins point i and link[i], and is as long
 * as edge[i - 1].v says; edges leave 0 < i < n. */
static void spanning_tree(const double *g, size_t n, size_t m, uint32_t *link,
			  struct order_key *edge, bool *in)
{
	size_t last = 0;

	for (size_t i = 1; i < n; i++)
		edge[i - 1] = (struct order_key){ INFINITY, (uint32_t)i };
	in[0] = true;
	for (size_t left = n - 1; left > 0; left--) {
		size_t best = 0;

		for (size_t i = 1; i < n; i++) {
			double d;

			if (in[i])
				continue;
			d = distance(g + i * m, g + last * m, m);
			if (d < edge[i - 1].v) {
				edge[i - 1].v = d;
				link[i] = (uint32_t)last;
			}
			if (best == 0 || edge[i - 1].v < edge[best - 1].v)
				best = i;
		}
		in[best] = true;
		last = best;
	}
}

static uint32_t root_of(uint32_t *up, uint32_t i)
{
	while (up[i] != i) {
		up[i] = up[up[i]];
		i = up[i];
	}
	return i;
}

/* Distance from point @i to the nearest of another cluster. */
static double isolation(const double *g, size_t n, size_t m, const uint32_t *up, size_t i)
{
	double least = INFINITY;

	for (size_t j = 0; j < n; j++)
		if (up[j] != up[i])
			least = fmin(least, distance(g + i * m, g + j * m, m));
	return least;
}

/* The member of a cluster with the least total distance to the others. Two members
 * always tie: then the one with more room around the cluster. */
static size_t central(const double *g, size_t n, size_t m, const uint32_t *up, size_t root)
{
	double least = INFINITY, room = 0;
	size_t best = root;

	for (size_t i = 0; i < n; i++) {
		double sum = 0, around;

		if (up[i] != root)
			continue;
		for (size_t j = 0; j < n; j++)
			if (up[j] == root)
				sum += distance(g + i * m, g + j * m, m);
		if (sum > least)
			continue;
		around = isolation(g, n, m, up, i);
		if (sum < least || around > room) {
			least = sum;
			room = around;
			best = i;
		}
	}
	return best;
}

/* One member of each cluster, marked in @chosen; up[] holds each point's root. */
static void choose_central(const double *g, size_t n, size_t m, const uint32_t *up, bool *chosen)
{
	for (size_t i = 0; i < n; i++)
		if (up[i] == i)
			chosen[central(g, n, m, up, i)] = true;
}

void cluster_choose(const double *f, size_t n, size_t m, size_t want, uint32_t *kept,
		    struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	double *g = ARENA_NEW(scratch, double, n *m);
	bool *keep = ARENA_NEW(scratch, bool, n), *in = ARENA_NEW(scratch, bool, n);
	bool *chosen = ARENA_NEW(scratch, bool, n);
	uint32_t *at = ARENA_NEW(scratch, uint32_t, n), *up = ARENA_NEW(scratch, uint32_t, n);
	uint32_t *link = ARENA_NEW(scratch, uint32_t, n);
	struct order_key *edge = ARENA_NEW(scratch, struct order_key, n);
	struct order_key *tmp = ARENA_NEW(scratch, struct order_key, n);
	size_t clusters = want - scale(f, n, m, g, keep), rest = 0, out = 0;

	for (size_t i = 0; i < n; i++) {
		if (keep[i])
			continue;
		memmove(g + rest * m, g + i * m, m * sizeof *g);
		at[rest++] = (uint32_t)i;
	}
	spanning_tree(g, rest, m, link, edge, in);
	order_sort(edge, tmp, rest - 1);
	for (size_t i = 0; i < rest; i++)
		up[i] = (uint32_t)i;
	for (size_t i = 0; i < rest - clusters; i++)
		up[root_of(up, edge[i].at)] = root_of(up, link[edge[i].at]);
	for (size_t i = 0; i < rest; i++)
		up[i] = root_of(up, (uint32_t)i);
	choose_central(g, rest, m, up, chosen);
	for (size_t i = 0; i < rest; i++)
		keep[at[i]] = chosen[i];
	for (size_t i = 0; i < n; i++)
		if (keep[i])
			kept[out++] = (uint32_t)i;
	arena_rewind(scratch, mark);
}
