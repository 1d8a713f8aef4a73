#include "fpga_fold.h"

#include <stdlib.h>
#include <string.h>

/* Unrolling beyond that fits no device. */
#define UNROLL_MAX 4096

/* Partial sums kept per stage in the exact check. */
#define FRONT_MAX 256

/* A folding worth having: no other of its stage is as fast and takes no more. */
struct option {
	uint64_t cycles;
	struct fpga_use use;
	double share; /* of the device, summed over resources */
	struct fpga_folding folding;
};

struct options {
	struct option *option; /* by cycles, ascending */
	size_t n;
};

struct fold {
	const struct fpga_stage *stage;
	size_t n_stages;
	struct fpga_use free; /* what is left for the stages */
	const struct fpga_arithmetic *arithmetic;
	struct arena *arena;
	struct options *stages;
	bool cut; /* no plan was found, but by a front that was cut */
};

static bool fits(const struct fpga_use *u, const struct fpga_use *room)
{
	for (int r = 0; r < FPGA_RESOURCES; r++)
		if (u->of[r] > room->of[r])
			return false;
	return true;
}

static double share_of(const struct fpga_use *u, const struct fpga_use *room)
{
	double share = 0;

	for (int r = 0; r < FPGA_RESOURCES; r++)
		share += (double)u->of[r] / ((double)room->of[r] + 1);
	return share;
}

/* ---- options of a stage ---------------------------------------------------------- */

/* Divisors up to UNROLL_MAX, in no order. */
static size_t divisors(uint64_t of, uint64_t *out)
{
	size_t n = 0;

	for (uint64_t d = 1; d <= UNROLL_MAX && d * d <= of; d++) {
		if (of % d)
			continue;
		out[n++] = d;
		if (d * d != of && of / d <= UNROLL_MAX)
			out[n++] = of / d;
	}
	return n;
}

static int by_cycles(const void *a, const void *b)
{
	const struct option *p = a, *q = b;

	if (p->cycles != q->cycles)
		return p->cycles < q->cycles ? -1 : 1;
	if (p->share != q->share)
		return p->share < q->share ? -1 : 1;
	return (p->folding.pe > q->folding.pe) - (p->folding.pe < q->folding.pe);
}

/* Sort, and drop what another option beats or equals in everything. */
static size_t prune(struct option *option, size_t n)
{
	size_t kept = 0;

	qsort(option, n, sizeof *option, by_cycles);
	for (size_t i = 0; i < n; i++) {
		bool beaten = false;

		for (size_t k = 0; k < kept && !beaten; k++)
			beaten = fits(&option[k].use, &option[i].use);
		if (!beaten)
			option[kept++] = option[i];
	}
	return kept;
}

static void list_options(struct fold *f, size_t i)
{
	const struct fpga_stage *s = &f->stage[i];
	uint64_t pe[UNROLL_MAX], simd[UNROLL_MAX];
	size_t n_pe = divisors(s->mh, pe), n_simd = divisors(s->mw, simd), n = 0;
	struct option *option = ARENA_NEW(f->arena, struct option, n_pe * n_simd);

	for (size_t p = 0; p < n_pe; p++)
		for (size_t q = 0; q < n_simd; q++) {
			struct option o = { .folding = { pe[p], simd[q] } };

			o.use = fpga_stage_use(s, o.folding, f->arithmetic);
			if (!fits(&o.use, &f->free))
				continue;
			o.cycles = fpga_stage_cycles(s, o.folding);
			o.share = share_of(&o.use, &f->free);
			option[n++] = o;
		}
	f->stages[i] = (struct options){ option, prune(option, n) };
}

/* How many options of a stage meet @interval. */
static size_t meeting(const struct options *s, uint64_t interval)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->option[mid].cycles <= interval)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* ---- one interval ---------------------------------------------------------------- */

/* The least of each resource that any choice takes, per stage and up to the end. */
static struct fpga_use least_of(const struct options *s, uint64_t interval)
{
	size_t n = meeting(s, interval);
	struct fpga_use least = s->option[0].use;

	for (size_t k = 1; k < n; k++)
		for (int r = 0; r < FPGA_RESOURCES; r++)
			if (s->option[k].use.of[r] < least.of[r])
				least.of[r] = s->option[k].use.of[r];
	return least;
}

/* Each stage by itself: the option of smallest share. */
static bool by_share(const struct fold *f, uint64_t interval, uint32_t *choice)
{
	struct fpga_use sum = { { 0 } };

	for (size_t i = 0; i < f->n_stages; i++) {
		const struct options *s = &f->stages[i];
		size_t n = meeting(s, interval), best = 0;

		for (size_t k = 1; k < n; k++)
			if (s->option[k].share < s->option[best].share)
				best = k;
		choice[i] = (uint32_t)best;
		fpga_use_add(&sum, &s->option[best].use);
	}
	return fits(&sum, &f->free);
}

struct partial {
	struct fpga_use sum;
	double share;
	uint32_t before, option; /* partial of the stage before; option of this one */
};

static int by_partial_share(const void *a, const void *b)
{
	const struct partial *p = a, *q = b;

	if (p->share != q->share)
		return p->share < q->share ? -1 : 1;
	if (p->before != q->before)
		return p->before < q->before ? -1 : 1;
	return (p->option > q->option) - (p->option < q->option);
}

/* Smallest shares first, none that another one beats, at most FRONT_MAX. */
static size_t front_of(struct partial *p, size_t n, bool *cut)
{
	size_t kept = 0;

	qsort(p, n, sizeof *p, by_partial_share);
	for (size_t i = 0; i < n; i++) {
		bool beaten = false;

		for (size_t k = 0; k < kept && !beaten; k++)
			beaten = fits(&p[k].sum, &p[i].sum);
		if (beaten)
			continue;
		if (kept == FRONT_MAX) {
			*cut = true;
			break;
		}
		p[kept++] = p[i];
	}
	return kept;
}

/* All combinations, stage by stage, by the fronts of their sums. */
static bool by_fronts(struct fold *f, uint64_t interval, uint32_t *choice)
{
	struct partial **front = ARENA_NEW(f->arena, struct partial *, f->n_stages), zero = { 0 };
	struct fpga_use *rest = ARENA_NEW(f->arena, struct fpga_use, f->n_stages + 1);
	const struct partial *from = &zero;
	size_t n = 1;
	uint32_t at = 0;
	bool cut = false;

	for (size_t i = f->n_stages; i-- > 0;) {
		rest[i] = least_of(&f->stages[i], interval);
		fpga_use_add(&rest[i], &rest[i + 1]);
	}
	if (!fits(&rest[0], &f->free))
		return false;
	for (size_t i = 0; i < f->n_stages; i++) {
		const struct options *s = &f->stages[i];
		size_t m = meeting(s, interval), made = 0;

		front[i] = ARENA_NEW(f->arena, struct partial, n * m);
		for (size_t k = 0; k < n * m; k++) {
			const struct partial *p = &from[k / m];
			struct partial q = { p->sum, p->share, (uint32_t)(k / m),
					     (uint32_t)(k % m) };
			struct fpga_use all;

			fpga_use_add(&q.sum, &s->option[k % m].use);
			q.share += s->option[k % m].share;
			all = q.sum;
			fpga_use_add(&all, &rest[i + 1]);
			if (fits(&all, &f->free))
				front[i][made++] = q;
		}
		n = front_of(front[i], made, &cut);
		if (!n) {
			f->cut |= cut;
			return false;
		}
		from = front[i];
	}
	for (size_t i = f->n_stages; i-- > 0; at = front[i][at].before)
		choice[i] = front[i][at].option;
	return true;
}

static bool feasible(struct fold *f, uint64_t interval, uint32_t *choice)
{
	struct arena_mark mark = arena_mark(f->arena);
	bool ok = by_share(f, interval, choice) || by_fronts(f, interval, choice);

	arena_rewind(f->arena, mark);
	return ok;
}

/* ---- all intervals --------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	uint64_t p = *(const uint64_t *)a, q = *(const uint64_t *)b;

	return (p > q) - (p < q);
}

/* Intervals that some stage has exactly, ascending, from the slowest stage's
 * fastest folding on. */
static size_t list_intervals(struct fold *f, uint64_t **out)
{
	uint64_t floor = 0, *interval;
	size_t all = 0, n = 0;

	for (size_t i = 0; i < f->n_stages; i++) {
		all += f->stages[i].n;
		if (f->stages[i].option[0].cycles > floor)
			floor = f->stages[i].option[0].cycles;
	}
	interval = ARENA_NEW(f->arena, uint64_t, all);
	for (size_t i = 0; i < f->n_stages; i++)
		for (size_t k = 0; k < f->stages[i].n; k++)
			if (f->stages[i].option[k].cycles >= floor)
				interval[n++] = f->stages[i].option[k].cycles;
	qsort(interval, n, sizeof *interval, by_value);
	*out = interval;
	return n;
}

static bool bisect(struct fold *f, uint32_t *choice, uint64_t *interval)
{
	uint64_t *list;
	size_t n = list_intervals(f, &list), lo = 0, hi = n - 1;

	if (!feasible(f, list[hi], choice))
		return false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (feasible(f, list[mid], choice))
			hi = mid;
		else
			lo = mid + 1;
	}
	feasible(f, list[hi], choice);
	*interval = list[hi];
	return true;
}

bool fpga_fold(const struct fpga_stage *stage, size_t n_stages, const struct fpga_use *fixed,
	       const struct fpga_use *device, const struct fpga_arithmetic *arithmetic,
	       struct arena *a, struct fpga_plan *plan)
{
	struct fpga_folding *folding = ARENA_NEW(a, struct fpga_folding, n_stages);
	struct arena_mark mark = arena_mark(a);
	struct fold f = { .stage = stage,
			  .n_stages = n_stages,
			  .arithmetic = arithmetic,
			  .arena = a,
			  .stages = ARENA_NEW(a, struct options, n_stages) };
	uint32_t *choice = ARENA_NEW(a, uint32_t, n_stages);
	struct fpga_use minimum = *fixed;
	bool ok = true;

	*plan = (struct fpga_plan){ .folding = folding, .use = *fixed };
	for (size_t i = 0; i < n_stages; i++) {
		struct fpga_use one =
			fpga_stage_use(&stage[i], (struct fpga_folding){ 1, 1 }, arithmetic);

		fpga_use_add(&minimum, &one);
	}
	for (int r = 0; r < FPGA_RESOURCES; r++) {
		ok &= fixed->of[r] <= device->of[r];
		f.free.of[r] = ok ? device->of[r] - fixed->of[r] : 0;
	}
	for (size_t i = 0; ok && i < n_stages; i++) {
		list_options(&f, i);
		ok = f.stages[i].n > 0;
	}
	ok = ok && bisect(&f, choice, &plan->interval_cycles);
	for (size_t i = 0; ok && i < n_stages; i++) {
		const struct option *o = &f.stages[i].option[choice[i]];

		folding[i] = o->folding;
		fpga_use_add(&plan->use, &o->use);
	}
	plan->exact = !f.cut;
	if (!ok)
		plan->use = minimum;
	arena_rewind(a, mark);
	return ok;
}
