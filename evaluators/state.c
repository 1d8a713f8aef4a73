#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "file.h"
#include "json.h"
#include "trainer.h"

#define MAGIC	  "nasc-st1"
#define MAX_BYTES ((size_t)1 << 32)

struct header {
	char magic[8];
	uint64_t identity, done, n_order, n_params, n_channels, steps, started;
	int64_t stuck;
	double loss, loss_sum;
	struct stream {
		uint64_t state[2], inc[2];
	} shuffle, augment;
};
struct entry { /* of a parameter, before its values */
	uint64_t op, role, n;
};

/* ---- identity ------------------------------------------------------------------- */

static void write_rungs(struct json_writer *w, const struct eval_rungs *r)
{
	json_list(w, "rungs");
	for (size_t i = 0; i < r->n; i++) {
		json_int(w, NULL, r->epochs[i]);
		json_int(w, NULL, r->image_size[i]);
	}
	json_end(w);
}

uint64_t state_identity(const struct train_request *q)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
	char machine[128] = "", *text = NULL;
	struct json_writer w;
	size_t n = 0;
	FILE *fp = open_memstream(&text, &n);

	if (!fp)
		abort();
	plan_machine(trainer_bf16(q->cfg), machine);
	json_init(&w, fp, true);
	json_object(&w, NULL);
	cfg_write_json(train_fields, q->cfg, true, &w);
	network_write_json(q->net, &w, "network");
	json_string(&w, "machine", machine);
	json_u64(&w, "seed", q->seed);
	json_u64(&w, "id", q->id);
	json_u64(&w, "images", q->train->n);
	write_rungs(&w, q->rungs);
	json_end(&w);
	fclose(fp);
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
	free(text);
	return h;
}

/* ---- vectors of a model ---------------------------------------------------------- */

#define MAX_VECTORS 4
static size_t those_there(float *const all[MAX_VECTORS], float *v[MAX_VECTORS])
{
	size_t n = 0;

	for (size_t i = 0; i < MAX_VECTORS; i++)
		if (all[i])
			v[n++] = all[i];
	return n;
}

/* What there is once a weight. */
static size_t weight_vectors(const struct model *m, float *v[MAX_VECTORS])
{
	float *all[MAX_VECTORS] = { m->weights, m->velocity, m->second, m->average };

	return those_there(all, v);
}

/* What there is once a channel. */
static size_t channel_vectors(const struct model *m, float *v[MAX_VECTORS])
{
	float *all[MAX_VECTORS] = { m->running_mean, m->running_var, m->average_mean,
				    m->average_var };

	return those_there(all, v);
}

/* ---- random streams ---------------------------------------------------------------- */

static struct stream halves(const struct rng *r)
{
	return (struct stream){ { (uint64_t)r->state, (uint64_t)(r->state >> 64) },
				{ (uint64_t)r->inc, (uint64_t)(r->inc >> 64) } };
}

static struct rng whole(const struct stream *s)
{
	return (struct rng){ (rng_u128)s->state[1] << 64 | s->state[0],
			     (rng_u128)s->inc[1] << 64 | s->inc[0] };
}

/* ---- bytes ----------------------------------------------------------------------- */

static void write_params(const struct model *m, FILE *fp)
{
	float *v[MAX_VECTORS];
	size_t n_vectors = weight_vectors(m, v);

	for (size_t k = 0; k < m->plan->n_params; k++) {
		const struct param *q = &m->plan->param[k];
		struct entry e = { q->op, (uint64_t)q->role, param_count(q) };

		fwrite(&e, sizeof e, 1, fp);
		for (size_t i = 0; i < n_vectors; i++)
			for (size_t at = 0; at < e.n; at++)
				fwrite(v[i] + param_at(q, at), sizeof(float), 1, fp);
	}
}

struct state_bytes state_write(const struct train_state *s, uint64_t identity)
{
	const struct model *m = s->model;
	struct header h = { .magic = MAGIC,
			    .identity = identity,
			    .done = s->done,
			    .n_order = s->batch->data->n,
			    .n_params = m->plan->n_params,
			    .n_channels = m->plan->n_channels,
			    .steps = m->steps,
			    .started = m->started,
			    .stuck = s->stuck,
			    .loss = s->loss,
			    .loss_sum = s->loss_sum,
			    .shuffle = halves(s->shuffle),
			    .augment = halves(s->augment) };
	struct state_bytes b = { 0 };
	float *v[MAX_VECTORS];
	size_t n_vectors = channel_vectors(m, v);
	uint64_t sum;
	FILE *fp = open_memstream(&b.p, &b.n);

	_Static_assert(sizeof MAGIC == sizeof h.magic + 1, "the end of the text is left out");
	if (!fp)
		abort();
	fwrite(&h, sizeof h, 1, fp);
	fwrite(s->batch->order, sizeof *s->batch->order, h.n_order, fp);
	for (size_t i = 0; i < n_vectors; i++)
		fwrite(v[i], sizeof(float), h.n_channels, fp);
	write_params(m, fp);
	fflush(fp);
	sum = crc32_z(0, (const unsigned char *)b.p, b.n);
	fwrite(&sum, sizeof sum, 1, fp);
	fclose(fp);
	return b;
}

/* Bytes in order, never beyond the end. */
struct cursor {
	const char *p;
	size_t left;
};

static bool take(struct cursor *c, void *to, uint64_t n, size_t size)
{
	if (size == 0 || n > c->left / size)
		return false;
	if (to)
		memcpy(to, c->p, n * size);
	c->p += n * size;
	c->left -= n * size;
	return true;
}

bool state_check(const struct state_bytes *b, uint64_t identity, uint64_t *done)
{
	struct header h;
	uint64_t sum;

	if (b->n < sizeof h + sizeof sum)
		return false;
	memcpy(&h, b->p, sizeof h);
	memcpy(&sum, b->p + b->n - sizeof sum, sizeof sum);
	*done = h.done;
	return !memcmp(h.magic, MAGIC, sizeof h.magic) && h.identity == identity &&
	       sum == crc32_z(0, (const unsigned char *)b->p, b->n - sizeof sum);
}

static bool read_params(struct cursor *c, uint64_t n_params, struct model *m)
{
	const struct plan *p = m->plan;
	float *v[MAX_VECTORS];
	size_t n_vectors = weight_vectors(m, v);

	if (n_params != p->n_params)
		return false;
	for (size_t k = 0; k < p->n_params; k++) {
		const struct param *q = &p->param[k];
		struct entry e;
		bool same;

		if (!take(c, &e, 1, sizeof e) || e.op != q->op || e.role != (uint64_t)q->role)
			return false;
		same = e.n == param_count(q);
		if (!same && !take(c, NULL, e.n, n_vectors * sizeof(float)))
			return false;
		for (size_t i = 0; same && i < n_vectors; i++)
			for (size_t at = 0; at < e.n; at++)
				if (!take(c, v[i] + param_at(q, at), 1, sizeof(float)))
					return false;
	}
	return c->left == 0;
}

/* A permutation of the images, and nothing else. */
static bool is_order(const uint32_t *order, size_t n)
{
	bool *there = calloc(n, sizeof *there), once = true;

	if (!there)
		abort();
	for (size_t i = 0; i < n && once; i++) {
		once = order[i] < n && !there[order[i]];
		if (once)
			there[order[i]] = true;
	}
	free(there);
	return once;
}

bool state_read(const struct state_bytes *b, struct train_state *s)
{
	struct cursor c = { b->p, b->n - sizeof(uint64_t) };
	struct model *m = s->model;
	float *v[MAX_VECTORS];
	size_t n_vectors = channel_vectors(m, v);
	struct header h;

	if (!take(&c, &h, 1, sizeof h) || h.n_order != s->batch->data->n ||
	    h.n_channels != m->plan->n_channels ||
	    !take(&c, s->batch->order, h.n_order, sizeof *s->batch->order) ||
	    !is_order(s->batch->order, h.n_order))
		return false;
	for (size_t i = 0; i < n_vectors; i++)
		if (!take(&c, v[i], h.n_channels, sizeof(float)))
			return false;
	if (!read_params(&c, h.n_params, m))
		return false;
	m->steps = h.steps;
	m->started = h.started;
	s->stuck = h.stuck;
	*s->shuffle = whole(&h.shuffle);
	*s->augment = whole(&h.augment);
	s->done = h.done;
	s->loss = h.loss;
	s->loss_sum = h.loss_sum;
	return true;
}

/* ---- files ------------------------------------------------------------------------- */

struct state_bytes state_load(const char *path)
{
	struct state_bytes b = { 0 };
	struct nasc_err ignored = { 0 };
	struct arena a = { 0 };
	char *text;
	size_t n;

	if (file_read(path, MAX_BYTES, &a, &text, &n, &ignored) == NASC_OK && n) {
		b = (struct state_bytes){ malloc(n), n };
		if (!b.p)
			abort();
		memcpy(b.p, text, n);
	}
	arena_free(&a);
	return b;
}

void state_save(const struct state_bytes *b, const char *path)
{
	struct nasc_err ignored = { 0 };
	struct file_out f = { 0 };

	if (file_begin(&f, path, &ignored))
		return;
	fwrite(b->p, 1, b->n, f.fp);
	file_commit(&f, &ignored);
}

void state_free(struct state_bytes *b)
{
	free(b->p);
	*b = (struct state_bytes){ 0 };
}
