#include "mcu_schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mcu_place.h"

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* ---- parts ---------------------------------------------------------------------------- */

/* Rows or columns first..last of an operator's output. */
struct span {
	uint32_t first, last;
};

static struct span join(struct span a, struct span b)
{
	return (struct span){ a.first < b.first ? a.first : b.first,
			      a.last > b.last ? a.last : b.last };
}

/* What a window reads of an input of @in cells to compute @out, the padding left out. */
static struct span reads(struct span out, uint32_t in, uint32_t kernel, uint32_t stride,
			 uint32_t before)
{
	uint64_t first = (uint64_t)out.first * stride, last = (uint64_t)out.last * stride + kernel;

	first = first > before ? first - before : 0;
	last = last > before + 1 ? last - before - 1 : 0;
	if (first >= in)
		first = in - 1;
	if (last >= in)
		last = in - 1;
	return (struct span){ (uint32_t)first, (uint32_t)last };
}

/* Along one axis: what of each operator's output up to @end the part @out of @end's needs. Those
 * that it does not need have first > last. */
static void trace(const struct network *net, uint32_t end, struct span out, bool vertical,
		  struct span *need)
{
	for (uint32_t i = 0; i < end; i++)
		need[i] = (struct span){ UINT32_MAX, 0 };
	need[end] = out;
	for (uint32_t i = end; i > 0; i--) {
		const struct net_op *o = &net->op[i];
		const uint32_t *in = network_inputs(net, i);

		if (need[i].first > need[i].last)
			continue;
		for (uint32_t k = 0; k < o->n_inputs; k++) {
			struct net_shape s = net->op[in[k]].out;
			struct span part = need[i];
			uint32_t before = vertical ? o->pad_top : o->pad_left;
			uint32_t cells = vertical ? s.h : s.w;

			if (o->kind == NET_PAD)
				part = reads(part, cells, 1, 1, before);
			else if (o->kind == NET_UPSAMPLE)
				part = (struct span){ part.first / o->stride,
						      part.last / o->stride };
			else if (o->kernel_h)
				part = reads(part, cells, vertical ? o->kernel_h : o->kernel_w,
					     o->stride, before);
			need[in[k]] = join(need[in[k]], part);
		}
	}
}

static struct span part_of(uint32_t whole, uint32_t grid, uint32_t g)
{
	return (struct span){ (uint32_t)((uint64_t)g * whole / grid),
			      (uint32_t)((g + 1ull) * whole / grid - 1) };
}

void mcu_parts_spans(const struct network *net, uint32_t end, uint32_t grid, bool vertical,
		     struct nasc_span *span, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	struct span *need = ARENA_NEW(scratch, struct span, end + 1);
	uint32_t whole = vertical ? net->op[end].out.h : net->op[end].out.w;

	for (uint32_t g = 0; g < grid; g++) {
		trace(net, end, part_of(whole, grid, g), vertical, need);
		need[0] = (struct span){ 0, (vertical ? net->input.h : net->input.w) - 1 };
		for (uint32_t i = 0; i <= end; i++)
			span[(size_t)i * grid + g] =
				(struct nasc_span){ (uint16_t)need[i].first,
						    (uint16_t)(need[i].last - need[i].first + 1) };
	}
	arena_rewind(scratch, mark);
}

/* Over the parts along one axis: the longest and the sum of the lengths, per operator. */
static void measure(const struct network *net, uint32_t end, uint32_t grid, bool vertical,
		    uint32_t *longest, uint64_t *sum, struct arena *scratch)
{
	struct span *need = ARENA_NEW(scratch, struct span, end + 1);
	uint32_t whole = vertical ? net->op[end].out.h : net->op[end].out.w;

	for (uint32_t g = 0; g < grid; g++) {
		trace(net, end, part_of(whole, grid, g), vertical, need);
		for (uint32_t i = 0; i <= end; i++) {
			uint32_t n =
				need[i].first > need[i].last ? 0 : need[i].last - need[i].first + 1;

			longest[i] = max_u32(longest[i], n);
			sum[i] += n;
		}
	}
}

/* Over all parts: the longest side each way and the elements computed over those of the whole
 * output, per operator. */
static void measure_parts(const struct network *net, uint32_t end, uint32_t grid, uint32_t *h,
			  uint32_t *w, double *area, struct arena *scratch)
{
	uint64_t *rows = ARENA_NEW(scratch, uint64_t, end + 1);
	uint64_t *columns = ARENA_NEW(scratch, uint64_t, end + 1);

	measure(net, end, grid, true, h, rows, scratch);
	measure(net, end, grid, false, w, columns, scratch);
	for (uint32_t i = 1; i <= end; i++)
		area[i] = (double)rows[i] * (double)columns[i] /
			  ((double)net->op[i].out.h * net->op[i].out.w);
}

/* Operators 0..end on the largest part. */
static void cut_patch(const struct network *net, uint32_t end, const uint32_t *h, const uint32_t *w,
		      bool image, struct arena *a, struct network *out)
{
	*out = *net;
	out->arena = a;
	out->n_ops = end + 1;
	out->op = ARENA_NEW(a, struct net_op, end + 1);
	memcpy(out->op, net->op, (end + 1) * sizeof *out->op);
	for (uint32_t i = 0; i <= end; i++) {
		out->op[i].out.h = h[i];
		out->op[i].out.w = w[i];
	}
	if (!image)
		out->op[0].out.h = 0;
	out->op[end].out.h = 0; /* goes where the whole output is put together */
}

/* Operators behind @end, whose output is their input. */
static void cut_rest(const struct network *net, uint32_t end, struct arena *a, struct network *out)
{
	uint32_t n = (uint32_t)net->n_ops - end;

	*out = *net;
	out->arena = a;
	out->n_ops = n;
	out->n_edges = 0;
	out->op = ARENA_NEW(a, struct net_op, n);
	out->edge = ARENA_NEW(a, uint32_t, net->n_edges + 1);
	memcpy(out->op, net->op + end, n * sizeof *out->op);
	out->op[0] = (struct net_op){ .kind = NET_INPUT, .out = net->op[end].out };
	out->input = net->op[end].out;
	for (uint32_t i = 1; i < n; i++) {
		out->op[i].first_input = (uint32_t)out->n_edges;
		for (uint32_t k = 0; k < out->op[i].n_inputs; k++)
			out->edge[out->n_edges++] = network_inputs(net, end + i)[k] - end;
	}
}

/* Of operators 0..end; leaves the rest of the network aside. */
static void plan_patch(struct mcu_parts *p, const struct network *net,
		       const struct mcu_memory_rules *rules, uint32_t end, uint32_t grid,
		       struct arena *a)
{
	uint32_t *h, *w;

	*p = (struct mcu_parts){ .area = ARENA_NEW(a, double, net->n_ops),
				 .patch_rules = *rules,
				 .rest_rules = *rules };
	for (size_t i = 0; i < net->n_ops; i++)
		p->area[i] = 1;
	if (grid == 1)
		return;
	h = ARENA_NEW(a, uint32_t, end + 1);
	w = ARENA_NEW(a, uint32_t, end + 1);
	measure_parts(net, end, grid, h, w, p->area, a);
	p->patch_rules.count_input = p->rest_rules.count_input = true;
	p->patch_rules.parts = true;
	p->image = rules->count_input ? mcu_memory_bytes(net->op[0].out, rules) : 0;
	p->whole = mcu_memory_bytes(net->op[end].out, rules);
	cut_patch(net, end, h, w, !rules->count_input, a, &p->patch);
	mcu_memory_plan(&p->patch, &p->patch_rules, a, &p->patch_memory);
}

/* Behind plan_patch(). */
static void plan_rest(struct mcu_parts *p, const struct network *net, uint32_t end, struct arena *a)
{
	if (end)
		cut_rest(net, end, a, &p->rest);
	else
		p->rest = *net;
	mcu_memory_plan(&p->rest, &p->rest_rules, a, &p->rest_memory);
}

/* Peak of both where nothing lies between buffers. */
static uint64_t peak_of_both(const struct mcu_parts *p)
{
	const struct mcu_memory *m = &p->patch_memory, *r = &p->rest_memory;

	return max_u64(p->image + p->whole + m->peak_bytes, r->peak_bytes);
}

/* Buffers of the operators from @end on; the output of @end itself is there from the start. */
static void take_buffers(struct mcu_parts *p, const struct mcu_memory *from, uint32_t end)
{
	uint32_t base = p->n_buffers;

	for (uint32_t i = 0; i < from->n_buffers; i++) {
		struct cost_buffer b = from->buffer[i];

		b.op += end;
		b.host += base;
		b.from += b.from ? end : 0;
		b.to += end;
		p->buffer[p->n_buffers++] = b;
	}
}

/* Both in one arena. */
static void place_both(struct mcu_parts *p, uint32_t end, struct arena *a)
{
	mcu_memory_place(&p->patch, &p->patch_rules, &p->patch_memory, a);
	mcu_memory_place(&p->rest, &p->rest_rules, &p->rest_memory, a);
	p->buffer = ARENA_NEW(a, struct cost_buffer,
			      p->patch_memory.n_buffers + p->rest_memory.n_buffers + 1);
	take_buffers(p, &p->patch_memory, 0);
	take_buffers(p, &p->rest_memory, end);
	if (!net_elements(p->patch.op[0].out)) {
		p->buffer[p->n_buffers] =
			(struct cost_buffer){ .to = end, .size = p->image, .host = p->n_buffers };
		p->n_buffers++;
	}
	p->arena_bytes = mcu_place_tight(&p->buffer, p->n_buffers, peak_of_both(p), a);
}

void mcu_parts_init(struct mcu_parts *p, const struct network *net,
		    const struct mcu_memory_rules *rules, uint32_t end, uint32_t grid,
		    struct arena *a)
{
	plan_patch(p, net, rules, end, grid, a);
	plan_rest(p, net, end, a);
	if (rules->model == MCU_NASC && grid > 1)
		place_both(p, end, a);
}

uint64_t mcu_parts_peak(const struct mcu_parts *p)
{
	const struct mcu_memory *m = &p->patch_memory, *r = &p->rest_memory;

	if (p->buffer)
		return p->arena_bytes;
	return peak_of_both(p) + max_u64(m->column_bytes, r->column_bytes) +
	       max_u64(m->kernel_bytes, r->kernel_bytes);
}

void mcu_parts_place(struct mcu_parts *p, uint32_t end, struct cost_memory *out, struct arena *a)
{
	const struct mcu_memory *patch = &p->patch_memory, *rest = &p->rest_memory;
	uint32_t n_patch = (uint32_t)p->patch.n_ops, n_rest = (uint32_t)p->rest.n_ops;

	out->peak_bytes = mcu_parts_peak(p);
	out->beside_bytes = max_u64(patch->column_bytes, rest->column_bytes) +
			    max_u64(patch->kernel_bytes, rest->kernel_bytes);
	out->n_patched = n_patch;
	out->n_steps = n_patch ? n_patch + n_rest - 1 : n_rest;
	out->step = ARENA_NEW(a, uint32_t, out->n_steps);
	for (uint32_t k = 0; k < n_patch; k++)
		out->step[k] = patch->order[k];
	for (uint32_t k = n_patch ? 1 : 0; k < n_rest; k++)
		out->step[end + k] = end + rest->order[k];
	if (!n_patch) {
		out->arena_bytes = mcu_memory_place(&p->rest, &p->rest_rules, &p->rest_memory, a);
		out->buffer = rest->buffer;
		out->n_buffers = rest->n_buffers;
		return;
	}
	if (!p->buffer)
		place_both(p, end, a);
	out->buffer = p->buffer;
	out->n_buffers = p->n_buffers;
	out->arena_bytes = p->arena_bytes;
}

/* ---- schedules ------------------------------------------------------------------------- */

/* In a network of more than 362 operators only so many of the ends are tried, the first, that
 * their number times that of the operators stays below this. */
#define ENDS_TIMES_OPERATORS (1u << 17)

/* A part of the output can be computed from a part of each input. */
static bool is_local(enum net_kind kind, enum mcu_memory_model model)
{
	if (model == MCU_NASC && (kind == NET_PAD || kind == NET_UPSAMPLE))
		return false;
	return kind != NET_DENSE && kind != NET_GLOBAL_POOL && kind != NET_SOFTMAX;
}

/* Operators that can end the patched part: local as all before them, and nothing written
 * before them is read after them. */
static uint32_t find_ends(const struct network *net, enum mcu_memory_model model, uint32_t *end,
			  struct arena *scratch)
{
	uint32_t *last = ARENA_NEW(scratch, uint32_t, net->n_ops), n = 0, reach = 0;

	network_lifetimes(net, last);
	for (uint32_t i = 0; i + 1 < net->n_ops && is_local(net->op[i].kind, model); i++) {
		if (i > 0 && reach <= i)
			end[n++] = i;
		reach = max_u32(reach, last[i]);
		if (last[i] == i)
			break; /* nobody reads it: it may run at any time */
	}
	return n;
}

static int by_extra(const void *a, const void *b)
{
	const struct mcu_schedule *p = a, *q = b;

	if (p->extra != q->extra)
		return p->extra < q->extra ? -1 : 1;
	if (p->grid != q->grid)
		return p->grid < q->grid ? -1 : 1;
	return p->end < q->end ? -1 : p->end > q->end;
}

static double extra_work(const struct network *net, const struct mcu_effort *effort, uint32_t end,
			 uint32_t grid, struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	uint32_t *longest = ARENA_NEW(scratch, uint32_t, end + 1);
	double *area = ARENA_NEW(scratch, double, end + 1), sum = 0;

	measure_parts(net, end, grid, longest, longest, area, scratch);
	for (uint32_t i = 1; i <= end; i++)
		sum += effort[i].output * (area[i] - 1) +
		       effort[i].call * ((double)grid * grid - 1);
	arena_rewind(scratch, mark);
	return sum;
}

/* Behind an end, whatever the grid. */
struct rest {
	/* No schedule that ends there needs less; at first not known exactly. Of MCU_NASC but for
	 * gaps, that another grid may have less of. */
	uint64_t least;
	bool planned;
	struct mcu_memory memory; /* its bytes; the lists are gone */
};

/* Operators of which no planner lets the output lie over the input. */
static bool is_apart(enum net_kind kind)
{
	return kind == NET_CONV2D || kind == NET_DENSE || kind == NET_MAX_POOL ||
	       kind == NET_AVG_POOL || kind == NET_GLOBAL_POOL;
}

/* By end. It needs its whole output, and what the operators behind it read and write. */
static struct rest *list_rests(const struct network *net, const struct mcu_memory_rules *rules,
			       struct arena *a)
{
	struct rest *rest = ARENA_NEW(a, struct rest, net->n_ops);
	uint64_t *size = ARENA_NEW(a, uint64_t, net->n_ops), behind = 0;

	mcu_memory_sizes(net, rules, size, a);
	for (size_t i = net->n_ops; i-- > 1;) {
		rest[i].least = max_u64(behind, size[0] + mcu_memory_bytes(net->op[i].out, rules));
		if (is_apart(net->op[i].kind))
			behind = max_u64(behind, size[network_inputs(net, i)[0]] + size[i]);
	}
	return rest;
}

/* Of MCU_NASC the addresses of the rest are those of both; it is planned again where both may need
 * less than @most. */
static void find_peak(const struct network *net, const struct mcu_memory_rules *rules,
		      struct rest *rest, uint64_t most, struct mcu_schedule *s,
		      struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	struct mcu_parts p;

	plan_patch(&p, net, rules, s->end, s->grid, scratch);
	p.rest_memory = rest->memory;
	if (!rest->planned || (rules->model == MCU_NASC && peak_of_both(&p) < most)) {
		plan_rest(&p, net, s->end, scratch);
		rest->memory = p.rest_memory;
		rest->planned = true;
	}
	if (rules->model == MCU_NASC && s->grid > 1 && peak_of_both(&p) < most)
		place_both(&p, s->end, scratch);
	s->peak_bytes = mcu_parts_peak(&p);
	rest->least = max_u64(rest->least, rest->memory.peak_bytes + rest->memory.column_bytes +
						   rest->memory.kernel_bytes);
	arena_rewind(scratch, mark);
}

/* Those in parts that may need less than @most bytes, by extra work. */
static uint32_t candidates(const struct network *net, const struct mcu_schedule_limits *limits,
			   enum mcu_memory_model model, const struct mcu_effort *effort,
			   const struct rest *rest, uint64_t most, struct arena *a,
			   struct mcu_schedule **list)
{
	uint32_t *end = ARENA_NEW(a, uint32_t, net->n_ops), n_ends, n = 0;
	struct mcu_schedule *s;

	n_ends = find_ends(net, model, end, a);
	if (n_ends > ENDS_TIMES_OPERATORS / net->n_ops)
		n_ends = (uint32_t)(ENDS_TIMES_OPERATORS / net->n_ops);
	*list = s = ARENA_NEW(a, struct mcu_schedule, (size_t)n_ends * (limits->grid - 1));
	for (uint32_t i = 0; i < n_ends && end[i] <= limits->end; i++) {
		struct net_shape out = net->op[end[i]].out;

		if (rest[end[i]].least >= most)
			continue;
		for (uint32_t g = 2; g <= limits->grid && g <= out.h && g <= out.w; g++)
			s[n++] = (struct mcu_schedule){ .end = end[i],
							.grid = g,
							.extra = extra_work(net, effort, end[i], g,
									    a) };
	}
	qsort(s, n, sizeof *s, by_extra);
	return n;
}

uint32_t mcu_schedules(const struct network *net, const struct mcu_memory_rules *rules,
		       const struct mcu_schedule_limits *limits, const struct mcu_effort *effort,
		       struct arena *a, struct mcu_schedule **list)
{
	struct mcu_schedule whole = { .grid = 1 }, *in_parts = NULL, *s;
	struct rest *rest = list_rests(net, rules, a);
	uint32_t n_in_parts = 0, n = 1;

	find_peak(net, rules, &rest[0], UINT64_MAX, &whole, a);
	if (limits->grid > 1 && whole.peak_bytes > limits->enough)
		n_in_parts = candidates(net, limits, rules->model, effort, rest, whole.peak_bytes,
					a, &in_parts);
	*list = s = ARENA_NEW(a, struct mcu_schedule, 1 + n_in_parts);
	s[0] = whole;
	for (uint32_t i = 0; i < n_in_parts && s[n - 1].peak_bytes > limits->enough; i++) {
		struct mcu_schedule next = in_parts[i];

		if (rest[next.end].least >= s[n - 1].peak_bytes)
			continue;
		find_peak(net, rules, &rest[next.end], s[n - 1].peak_bytes, &next, a);
		if (next.peak_bytes >= s[n - 1].peak_bytes)
			continue;
		if (n > 1 && s[n - 1].extra >= next.extra) /* as fast, and needs less */
			n--;
		s[n++] = next;
	}
	return n;
}
