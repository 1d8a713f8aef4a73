#include "mcu_graph.h"

#include <string.h>

/* Best-first search for the order of smallest peak. A node is the set of
 * operators that have run; its value the smallest peak of an order that reaches
 * it. Values only grow along an order, so the first complete node taken from the
 * queue is a smallest one (Dijkstra with max for +). */

#define NO_NODE UINT32_MAX

struct node {
	uint64_t peak;
	uint32_t parent; /* node */
	uint32_t op;	 /* operator chosen there; forced ones follow by themselves */
	uint32_t n_done;
	bool expanded;
};

struct entry {
	uint64_t peak;
	uint32_t n_done, node;
};

struct search {
	const struct mcu_graph *g;
	struct mcu_state *s;
	struct mcu_segment *seg;
	uint64_t *visits;
	struct arena *arena;

	/* Where the machine stands: ready[0..n_ready) may run next. */
	uint32_t n_ready, *ready, n_done;
	uint32_t *missing;		 /* per operator of the segment: inputs not yet written */
	uint32_t *reader_first, *reader; /* readers within the segment, per tensor */
	uint64_t *done;			 /* bit set */
	uint32_t words;
	uint64_t start_live;
	uint32_t *start_missing;
	uint32_t *choice, *trial; /* scratch of expand() and greedy() */
	uint64_t *from;

	struct node *node;
	uint64_t *bits; /* words of each node */
	uint32_t n_nodes, cap_nodes;
	uint32_t *slot, n_slots; /* hash of nodes by bits; NO_NODE: free */
	struct entry *heap;
	size_t n_heap, cap_heap;
};

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- machine ----------------------------------------------------------------- */

/* Tensors of a segment: index 0 is what stands before it, k its operator k - 1.
 * Operators outside never matter: nothing written earlier is read inside. */
static uint32_t tensor(const struct search *x, uint32_t op)
{
	return op + 1 - x->seg->begin;
}

static void machine_init(struct search *x)
{
	const struct mcu_graph *g = x->g;
	uint32_t begin = x->seg->begin, n = x->seg->end - begin, *fill;

	x->words = (n + 63) / 64;
	x->ready = ARENA_NEW(x->arena, uint32_t, n);
	x->missing = ARENA_NEW(x->arena, uint32_t, n);
	x->start_missing = ARENA_NEW(x->arena, uint32_t, n);
	x->choice = ARENA_NEW(x->arena, uint32_t, n);
	x->trial = ARENA_NEW(x->arena, uint32_t, n);
	x->from = ARENA_NEW(x->arena, uint64_t, x->words);
	x->done = ARENA_NEW(x->arena, uint64_t, x->words);
	x->reader_first = ARENA_NEW(x->arena, uint32_t, n + 2);
	x->reader = ARENA_NEW(x->arena, uint32_t, g->first[x->seg->end] - g->first[begin] + 1);
	fill = ARENA_NEW(x->arena, uint32_t, n + 2);
	for (uint32_t k = g->first[begin]; k < g->first[x->seg->end]; k++)
		x->reader_first[tensor(x, g->input[k]) + 1]++;
	for (uint32_t t = 0; t <= n; t++)
		fill[t + 1] = x->reader_first[t + 1] += x->reader_first[t];
	for (uint32_t op = begin; op < x->seg->end; op++)
		for (uint32_t k = g->first[op]; k < g->first[op + 1]; k++) {
			uint32_t t = tensor(x, g->input[k]);

			x->reader[fill[t]++] = op;
			x->start_missing[op - begin] += g->input[k] >= begin;
		}
	x->start_live = x->s->live;
}

static void machine_run(struct search *x, uint32_t op, struct mcu_step step)
{
	uint32_t begin = x->seg->begin, t = tensor(x, op), i = 0;

	while (x->ready[i] != op)
		i++;
	x->ready[i] = x->ready[--x->n_ready];
	mcu_graph_run(x->g, x->s, op, step);
	x->done[(op - begin) / 64] |= (uint64_t)1 << ((op - begin) % 64);
	x->n_done++;
	for (uint32_t k = x->reader_first[t]; k < x->reader_first[t + 1]; k++)
		if (--x->missing[x->reader[k] - begin] == 0)
			x->ready[x->n_ready++] = x->reader[k];
}

/* Stand where exactly the operators of @done (NULL: none) have run. */
static void machine_set(struct search *x, const uint64_t *done)
{
	const struct mcu_graph *g = x->g;
	uint32_t begin = x->seg->begin, n = x->seg->end - begin;

	*x->visits -= *x->visits < n ? *x->visits : n;
	for (uint32_t op = begin; op < x->seg->end; op++)
		for (uint32_t k = g->first[op]; k < g->first[op + 1]; k++)
			x->s->unread[g->input[k]] = g->readers[g->input[k]];
	x->s->live = x->start_live;
	memcpy(x->missing, x->start_missing, n * sizeof *x->missing);
	memset(x->done, 0, x->words * sizeof *x->done);
	x->n_ready = x->n_done = 0;
	for (uint32_t i = 0; i < n; i++)
		if (!x->missing[i])
			x->ready[x->n_ready++] = begin + i;
	for (uint32_t i = 0; done && i < n; i++)
		if (done[i / 64] >> (i % 64) & 1)
			machine_run(x, begin + i, mcu_graph_step(g, x->s, begin + i));
}

static struct mcu_step look(struct search *x, uint32_t op)
{
	if (*x->visits)
		--*x->visits;
	return mcu_graph_step(x->g, x->s, op);
}

/* Run what needs no decision, noting it in @order when not NULL, and return the
 * peak so far: a lone ready operator, and any operator o that neither exceeds
 * the peak nor leaves more live than it found. The latter is exact: take an
 * order that runs o later. With o moved here, every set in between holds o's
 * output instead of inputs that die at o; those only get more as the set grows,
 * so no set is larger, and tensors die no later, so no operator shares less. */
static uint64_t forced(struct search *x, uint64_t peak, uint32_t *order)
{
	uint32_t i = 0;

	while (i < x->n_ready && *x->visits) {
		uint32_t op = x->ready[i];
		struct mcu_step step = look(x, op);

		if (x->n_ready > 1 && (step.during > peak || step.after > x->s->live)) {
			i++;
			continue;
		}
		peak = max_u64(peak, step.during);
		if (order)
			order[x->n_done] = op;
		machine_run(x, op, step);
		i = 0;
	}
	return peak;
}

/* ---- nodes ------------------------------------------------------------------- */

static void *grown(struct arena *a, const void *old, size_t n, size_t cap, size_t size)
{
	void *p = arena_alloc(a, cap, size, alignof(uint64_t));

	if (n)
		memcpy(p, old, n * size);
	return p;
}

static uint32_t hash(const uint64_t *bits, uint32_t words)
{
	uint64_t h = 0x9e3779b97f4a7c15u;

	for (uint32_t i = 0; i < words; i++) {
		h = (h ^ bits[i]) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	return (uint32_t)h;
}

/* Slot of the node with these bits, or the free slot where it belongs. */
static uint32_t *find_slot(const struct search *x, const uint64_t *bits)
{
	uint32_t at = hash(bits, x->words) & (x->n_slots - 1);

	while (x->slot[at] != NO_NODE &&
	       memcmp(x->bits + (size_t)x->slot[at] * x->words, bits, x->words * sizeof *bits) != 0)
		at = (at + 1) & (x->n_slots - 1);
	return &x->slot[at];
}

static void grow_nodes(struct search *x)
{
	uint32_t cap = x->cap_nodes ? 2 * x->cap_nodes : 64;

	x->node = grown(x->arena, x->node, x->n_nodes, cap, sizeof *x->node);
	x->bits = grown(x->arena, x->bits, (size_t)x->n_nodes * x->words, (size_t)cap * x->words,
			sizeof *x->bits);
	x->cap_nodes = cap;
	x->n_slots = 2 * cap;
	x->slot = ARENA_NEW(x->arena, uint32_t, x->n_slots);
	memset(x->slot, 0xff, x->n_slots * sizeof *x->slot);
	for (uint32_t i = 0; i < x->n_nodes; i++)
		*find_slot(x, x->bits + (size_t)i * x->words) = i;
}

static bool before(const struct entry *a, const struct entry *b)
{
	if (a->peak != b->peak)
		return a->peak < b->peak;
	if (a->n_done != b->n_done)
		return a->n_done > b->n_done;
	return a->node < b->node;
}

static void push(struct search *x, struct entry e)
{
	size_t i;

	if (x->n_heap == x->cap_heap) {
		size_t cap = x->cap_heap ? 2 * x->cap_heap : 64;

		x->heap = grown(x->arena, x->heap, x->n_heap, cap, sizeof *x->heap);
		x->cap_heap = cap;
	}
	for (i = x->n_heap++; i && before(&e, &x->heap[(i - 1) / 2]); i = (i - 1) / 2)
		x->heap[i] = x->heap[(i - 1) / 2];
	x->heap[i] = e;
}

static struct entry pop(struct search *x)
{
	struct entry top = x->heap[0], e = x->heap[--x->n_heap];
	size_t i = 0;

	for (;;) {
		size_t k = 2 * i + 1;

		if (k + 1 < x->n_heap && before(&x->heap[k + 1], &x->heap[k]))
			k++;
		if (k >= x->n_heap || !before(&x->heap[k], &e))
			break;
		x->heap[i] = x->heap[k];
		i = k;
	}
	x->heap[i] = e;
	return top;
}

/* The machine's set is reachable from @parent by @op with @peak. */
static void reach(struct search *x, uint32_t parent, uint32_t op, uint64_t peak)
{
	uint32_t *slot, i;

	if (x->n_nodes == x->cap_nodes)
		grow_nodes(x);
	slot = find_slot(x, x->done);
	i = *slot;
	if (i == NO_NODE) {
		i = *slot = x->n_nodes++;
		memcpy(x->bits + (size_t)i * x->words, x->done, x->words * sizeof *x->done);
	} else if (x->node[i].expanded || x->node[i].peak <= peak) {
		return;
	}
	x->node[i] = (struct node){ peak, parent, op, x->n_done, false };
	push(x, (struct entry){ peak, x->n_done, i });
}

/* ---- search ------------------------------------------------------------------ */

/* Write the order that reaches @goal. */
static void replay(struct search *x, uint32_t goal, uint64_t bound, uint32_t *order)
{
	uint32_t depth = 0, *path, i;
	uint64_t peak, enough = UINT64_MAX, *visits = x->visits;

	for (i = goal; x->node[i].parent != NO_NODE; i = x->node[i].parent)
		depth++;
	path = ARENA_NEW(x->arena, uint32_t, depth + 1);
	i = goal;
	for (uint32_t k = depth; k-- > 0; i = x->node[i].parent)
		path[k] = x->node[i].op;
	x->visits = &enough; /* what was found in time is told in full */
	machine_set(x, NULL);
	peak = forced(x, bound, order);
	for (i = 0; i < depth; i++) {
		struct mcu_step step = look(x, path[i]);

		peak = max_u64(peak, step.during);
		order[x->n_done] = path[i];
		machine_run(x, path[i], step);
		peak = forced(x, peak, order);
	}
	x->visits = visits;
}

/* Each operator that may run next in @at, and what is forced behind it. */
static void expand(struct search *x, uint32_t at)
{
	uint64_t limit = x->seg->peak;
	uint32_t n;

	memcpy(x->from, x->bits + (size_t)at * x->words, x->words * sizeof *x->from);
	machine_set(x, x->from);
	n = x->n_ready;
	memcpy(x->choice, x->ready, n * sizeof *x->choice);
	for (uint32_t i = 0; i < n && *x->visits; i++) {
		uint64_t peak = x->node[at].peak;
		struct mcu_step step;

		if (x->n_done != x->node[at].n_done)
			machine_set(x, x->from);
		step = look(x, x->choice[i]);
		peak = max_u64(peak, step.during);
		if (peak >= limit)
			continue;
		machine_run(x, x->choice[i], step);
		peak = forced(x, peak, NULL);
		if (peak < limit && *x->visits)
			reach(x, at, x->choice[i], peak);
	}
}

/* An order to start from: always the operator that raises the peak least, and
 * of those the one that leaves least live. Kept in @order when it is better. */
static void greedy(struct search *x, uint64_t bound, uint32_t *order)
{
	uint32_t n = x->seg->end - x->seg->begin;
	uint64_t peak;

	machine_set(x, NULL);
	peak = forced(x, bound, x->trial);
	while (x->n_done < n && *x->visits) {
		uint32_t best = x->ready[0];
		struct mcu_step step = look(x, best);

		for (uint32_t i = 1; i < x->n_ready; i++) {
			struct mcu_step other = look(x, x->ready[i]);
			uint64_t p = max_u64(peak, step.during), q = max_u64(peak, other.during);

			if (q < p || (q == p && other.after < step.after)) {
				best = x->ready[i];
				step = other;
			}
		}
		x->trial[x->n_done] = best;
		machine_run(x, best, step);
		peak = forced(x, max_u64(peak, step.during), x->trial);
	}
	if (x->n_done == n && peak < x->seg->peak) {
		memcpy(order, x->trial, n * sizeof *order);
		x->seg->peak = peak;
	}
}

bool mcu_order_search(const struct mcu_graph *g, struct mcu_state *s, struct mcu_segment *segment,
		      uint64_t bound, uint64_t *visits, uint32_t *order, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	uint32_t n = segment->end - segment->begin;
	struct search x = { .g = g, .s = s, .seg = segment, .visits = visits, .arena = scratch };
	uint64_t peak;
	bool found = false;

	machine_init(&x);
	greedy(&x, bound, order);
	machine_set(&x, NULL);
	peak = forced(&x, bound, NULL);
	if (peak < segment->peak && *visits)
		reach(&x, NO_NODE, 0, peak);
	while (x.n_heap && *visits && segment->peak > bound && !found) {
		struct entry e = pop(&x);
		struct node *node = &x.node[e.node];

		if (node->expanded || node->peak != e.peak)
			continue;
		node->expanded = true;
		found = node->n_done == n;
		if (found) {
			replay(&x, e.node, bound, order);
			segment->peak = e.peak;
		} else {
			expand(&x, e.node);
		}
	}
	machine_set(&x, NULL);
	arena_rewind(scratch, mark);
	return found || *visits;
}
