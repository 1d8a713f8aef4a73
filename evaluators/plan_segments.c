#include <string.h>

#include "lower.h"

/* Phases -> segments: stretches in which no phase needs a sum over all images that the same
 * stretch takes, so that each may be run to its end for a few images, then for the next few. What
 * passes from phase to phase stays in the cache that way, and a buffer that lives in one segment
 * alone is as large as those few images. */

/* Of activations at once: they and the weights fit a core's cache. */
#define CACHE_BYTES (1u << 20)
/* A convolution of a few images reads all its weights, and adds to all their gradients: at least
 * for so many pixels. */
#define WEIGHT_USES 1024u

struct channels {
	uint32_t first, n;
};

/* The norm in front of a convolution of our own; n 0: none. */
static struct channels norm_of(const struct plan *p, const struct phase *ph)
{
	const struct plan_conv *c = &p->conv[ph->index];

	if (!c->own || c->norm == PLAN_NONE)
		return (struct channels){ 0, 0 };
	return (struct channels){ p->norm[c->norm].channel, p->norm[c->norm].c };
}

/* The channels whose sums a phase needs. */
static struct channels waits_for(const struct plan *p, const struct phase *ph)
{
	if (ph->kind == PHASE_CONV)
		return norm_of(p, ph);
	if (ph->kind == PHASE_NORM || ph->kind == PHASE_SETTLE ||
	    (ph->kind == PHASE_CONV_BACK && ph->y.buffer != PLAN_NONE))
		return (struct channels){ ph->channel, ph->c };
	return (struct channels){ 0, 0 };
}

/* The channels whose sums a phase takes. */
static struct channels leaves(const struct plan *p, const struct phase *ph)
{
	if (ph->kind == PHASE_CONV_BACK)
		return norm_of(p, ph);
	if (ph->kind == PHASE_STATS || ph->kind == PHASE_NORM_BACK)
		return (struct channels){ ph->channel, ph->c };
	return (struct channels){ 0, 0 };
}

/* @since: of each channel, 1 + the segment that took its sums last. */
static bool begins_segment(const struct plan *p, size_t i, uint32_t *since)
{
	struct channels need = waits_for(p, &p->phase[i]);

	if (i == 0 || i == p->n_forward || i == p->n_forward + 1)
		return true;
	for (uint32_t c = need.first; c < need.first + need.n; c++)
		if (since[c] == (uint32_t)p->n_segments)
			return true;
	return false;
}

static void segments_cut(struct plan *p)
{
	uint32_t *since = ARENA_NEW(p->arena, uint32_t, p->n_channels);

	p->segment = ARENA_NEW(p->arena, struct plan_segment, p->n_phases);
	for (size_t i = 0; i < p->n_phases; i++) {
		struct channels left = leaves(p, &p->phase[i]);

		if (begins_segment(p, i, since))
			p->segment[p->n_segments++].first = (uint32_t)i;
		p->segment[p->n_segments - 1].end = (uint32_t)i + 1;
		for (uint32_t c = left.first; c < left.first + left.n; c++)
			since[c] = (uint32_t)p->n_segments;
	}
}

/* ---- images at once --------------------------------------------------------------- */

static bool is_conv(enum phase_kind kind)
{
	return kind == PHASE_CONV || kind == PHASE_CONV_BACK_DATA ||
	       kind == PHASE_CONV_BACK_WEIGHTS || kind == PHASE_CONV_BACK;
}

/* Channels of @o that a phase touches are counted once, by the widest. */
static size_t width_add(const struct plan *p, struct plan_operand o, uint32_t c, uint32_t *widest)
{
	uint32_t w = o.whole || c > o.stride ? o.stride : c, old;

	if (o.buffer == PLAN_NONE)
		return 0;
	old = widest[o.buffer];
	if (w <= old)
		return 0;
	widest[o.buffer] = w;
	return (size_t)(w - old) * p->buffer[o.buffer].pixels;
}

/* The least divisor of @images from @n on. */
static uint32_t divisor_from(uint32_t images, size_t n)
{
	uint32_t d = n < images ? (uint32_t)n : images;

	while (images % d)
		d++;
	return d;
}

static uint32_t images_at_once(const struct plan *p, const struct plan_segment *s, uint32_t *widest)
{
	size_t elements = 1, least = 1, most;

	if (s->first == p->n_forward) /* the loss */
		return p->images;
	memset(widest, 0, p->n_buffers * sizeof *widest);
	for (uint32_t i = s->first; i < s->end; i++) {
		const struct phase *ph = &p->phase[i];

		elements += width_add(p, ph->x, ph->c, widest) +
			    width_add(p, ph->y, ph->c, widest) +
			    width_add(p, ph->g, ph->c, widest) + width_add(p, ph->d, ph->c, widest);
		if (is_conv(ph->kind)) {
			const struct conv_shape *c = &p->conv[ph->index].conv.shape;
			size_t uses = (size_t)c->oh * (size_t)c->ow;
			size_t need = (WEIGHT_USES + uses - 1) / uses;

			if (p->conv[ph->index].own) /* takes a few images at a time itself */
				return p->images;
			least = c->kind != CONV_DEPTHWISE && need > least ? need : least;
		}
	}
	most = CACHE_BYTES / (elements * (p->bf16 ? 2 : 4));
	return divisor_from(p->images, most > least ? most : least);
}

/* A convolution is made for one number of images, the same in all its phases. */
static void convs_agree(struct plan *p)
{
	bool changed = true;

	for (size_t k = 0; k < p->n_convs; k++)
		p->conv[k].conv.shape.images = p->images;
	while (changed) {
		changed = false;
		for (size_t s = 0; s < p->n_segments; s++) {
			struct plan_segment *seg = &p->segment[s];

			for (uint32_t i = seg->first; i < seg->end; i++) {
				int64_t *images = &p->conv[p->phase[i].index].conv.shape.images;

				if (!is_conv(p->phase[i].kind) || *images == seg->images)
					continue;
				changed = true;
				if (*images > seg->images)
					*images = seg->images;
				else
					seg->images = (uint32_t)*images;
			}
		}
	}
}

/* ---- buffers ---------------------------------------------------------------------- */

/* @o is used by phase @i of @s. Where images run in turn it lives for the whole segment: its
 * first images may be needed by the first phase when others are through with the last one. */
static void use(struct plan *p, struct plan_operand o, const struct plan_segment *s, uint32_t i)
{
	struct plan_buffer *b;
	bool in_turn = s->images < p->images;

	if (o.buffer == PLAN_NONE)
		return;
	b = &p->buffer[o.buffer];
	if (b->first == PLAN_NONE) {
		b->first = in_turn ? s->first : i;
		b->images = s->images;
	} else if (b->first < s->first) {
		b->images = p->images;
	}
	b->last = in_turn ? s->end - 1 : i;
}

static void lifetimes(struct plan *p)
{
	for (size_t i = 0; i < p->n_buffers; i++)
		p->buffer[i].first = PLAN_NONE;
	for (size_t s = 0; s < p->n_segments; s++)
		for (uint32_t i = p->segment[s].first; i < p->segment[s].end; i++) {
			use(p, p->phase[i].x, &p->segment[s], i);
			use(p, p->phase[i].y, &p->segment[s], i);
			use(p, p->phase[i].g, &p->segment[s], i);
			use(p, p->phase[i].d, &p->segment[s], i);
		}
	/* From before the first phase, till after the last one. */
	p->buffer[p->in.buffer].first = 0;
	p->buffer[p->in.buffer].images = p->images;
	if (p->in_gradient.buffer != PLAN_NONE) {
		p->buffer[p->in_gradient.buffer].last = (uint32_t)p->n_phases - 1;
		p->buffer[p->in_gradient.buffer].images = p->images;
	}
	for (size_t i = 0; i < p->n_buffers; i++) {
		struct plan_buffer *b = &p->buffer[i];
		size_t bytes = (size_t)b->images * b->pixels * b->stride * (p->bf16 ? 2 : 4);

		b->bytes = (bytes + KERNEL_SLACK + 63) / 64 * 64;
	}
}

void plan_segments(struct plan *p)
{
	uint32_t *widest = ARENA_NEW(p->arena, uint32_t, p->n_buffers);

	segments_cut(p);
	for (size_t s = 0; s < p->n_segments; s++)
		p->segment[s].images = images_at_once(p, &p->segment[s], widest);
	convs_agree(p);
	for (size_t s = 0; s < p->n_segments; s++)
		for (uint32_t i = p->segment[s].first; i < p->segment[s].end; i++)
			p->phase[i].window.images = p->segment[s].images;
	lifetimes(p);
}
