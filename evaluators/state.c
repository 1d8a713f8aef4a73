#include "state.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "file.h"
#include "json.h"
#include "trainer.h"

#define MAGIC "nasc-st2"
#define SOME  1024 /* values that are moved at a time */

struct header {
	char magic[8];
	uint64_t identity, done, n_order, n_params, n_channels;
	int64_t stuck;
	double loss_sum;
	uint64_t shuffle[2], augment[2];
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
	json_string(w, "origin", r->origin ? r->origin : "");
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

static void put_halves(uint64_t half[2], const struct rng *r)
{
	half[0] = (uint64_t)r->state;
	half[1] = (uint64_t)(r->state >> 64);
}

static void take_halves(const uint64_t half[2], struct rng *r)
{
	r->state = (rng_u128)half[1] << 64 | half[0];
}

/* ---- writing --------------------------------------------------------------------- */

/* Bytes in order, and the sum of all so far. */
struct summed {
	FILE *fp;
	uint64_t sum;
};

static void put(struct summed *c, const void *from, size_t bytes)
{
	c->sum = crc32_z(c->sum, from, bytes);
	fwrite(from, 1, bytes, c->fp);
}

static void put_values(struct summed *c, const struct param *q, const float *v)
{
	size_t n = param_count(q), at = 0;
	float some[SOME];

	while (at < n) {
		size_t k = 0;

		while (k < SOME && at < n)
			some[k++] = v[param_at(q, at++)];
		put(c, some, k * sizeof *some);
	}
}

void state_write(const struct train_state *s, uint64_t identity, FILE *fp)
{
	const struct model *m = s->model;
	struct header h = { .magic = MAGIC,
			    .identity = identity,
			    .done = s->done,
			    .n_order = s->batch->data->n,
			    .n_params = m->plan->n_params,
			    .n_channels = m->plan->n_channels,
			    .stuck = s->stuck,
			    .loss_sum = s->loss_sum };
	struct summed c = { .fp = fp };
	float *v[MAX_VECTORS];
	size_t n_vectors = channel_vectors(m, v);

	_Static_assert(sizeof MAGIC == sizeof h.magic + 1, "the end of the text is left out");
	put_halves(h.shuffle, s->shuffle);
	put_halves(h.augment, s->augment);
	put(&c, &h, sizeof h);
	put(&c, s->batch->order, h.n_order * sizeof *s->batch->order);
	for (size_t i = 0; i < n_vectors; i++)
		put(&c, v[i], h.n_channels * sizeof *v[i]);
	n_vectors = weight_vectors(m, v);
	for (size_t k = 0; k < h.n_params; k++) {
		const struct param *q = &m->plan->param[k];
		struct entry e = { q->op, (uint64_t)q->role, param_count(q) };

		put(&c, &e, sizeof e);
		for (size_t i = 0; i < n_vectors; i++)
			put_values(&c, q, v[i]);
	}
	fwrite(&c.sum, sizeof c.sum, 1, fp);
}

/* ---- reading --------------------------------------------------------------------- */

static bool take(struct summed *c, void *to, size_t bytes)
{
	if (fread(to, 1, bytes, c->fp) != bytes)
		return false;
	c->sum = crc32_z(c->sum, to, bytes);
	return true;
}

uint64_t state_done(FILE *fp, uint64_t identity)
{
	struct summed c = { .fp = fp };
	struct header h;

	rewind(fp);
	if (!take(&c, &h, sizeof h) || memcmp(h.magic, MAGIC, sizeof h.magic) != 0 ||
	    h.identity != identity)
		return 0;
	return h.done;
}

/* @v NULL: @n values of a parameter of another shape are passed over. */
static bool take_values(struct summed *c, const struct param *q, uint64_t n, float *v)
{
	float some[SOME];

	for (uint64_t at = 0; at < n;) {
		size_t k = n - at < SOME ? (size_t)(n - at) : SOME;

		if (!take(c, some, k * sizeof *some))
			return false;
		for (size_t i = 0; v && i < k; i++)
			v[param_at(q, at + i)] = some[i];
		at += k;
	}
	return true;
}

static bool take_param(struct summed *c, const struct param *q, float *const v[], size_t n_vectors)
{
	struct entry e;
	bool same;

	if (!take(c, &e, sizeof e) || e.op != q->op || e.role != (uint64_t)q->role)
		return false;
	same = e.n == param_count(q);
	if (!same && !q->dense)
		return false;
	for (size_t i = 0; i < n_vectors; i++)
		if (!take_values(c, q, e.n, same ? v[i] : NULL))
			return false;
	return true;
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

static bool take_header(struct summed *c, const struct train_state *s, struct header *h)
{
	const struct plan *p = s->model->plan;

	/* a negative number of epochs is a large one of those */
	return take(c, h, sizeof *h) && h->n_order == s->batch->data->n &&
	       h->n_channels == p->n_channels && h->n_params == p->n_params &&
	       (uint64_t)h->stuck <= h->done && isfinite(h->loss_sum);
}

/* The sum, and nothing behind it. */
static bool take_end(struct summed *c)
{
	uint64_t sum = c->sum, told;

	return take(c, &told, sizeof told) && told == sum && fgetc(c->fp) == EOF;
}

bool state_read(FILE *fp, struct train_state *s)
{
	struct summed c = { .fp = fp };
	struct model *m = s->model;
	float *v[MAX_VECTORS];
	size_t n_vectors = channel_vectors(m, v);
	struct header h;

	rewind(fp);
	if (!take_header(&c, s, &h) ||
	    !take(&c, s->batch->order, h.n_order * sizeof *s->batch->order) ||
	    !is_order(s->batch->order, h.n_order))
		return false;
	for (size_t i = 0; i < n_vectors; i++)
		if (!take(&c, v[i], h.n_channels * sizeof *v[i]))
			return false;
	n_vectors = weight_vectors(m, v);
	for (size_t k = 0; k < h.n_params; k++)
		if (!take_param(&c, &m->plan->param[k], v, n_vectors))
			return false;
	if (!take_end(&c))
		return false;
	m->steps = h.done;
	m->started = true;
	take_halves(h.shuffle, s->shuffle);
	take_halves(h.augment, s->augment);
	s->done = h.done;
	s->stuck = h.stuck;
	s->loss_sum = h.loss_sum;
	return true;
}

/* ---- files ------------------------------------------------------------------------- */

FILE *state_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
	struct stat st;
	FILE *fp = NULL;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		fp = fdopen(fd, "r");
	if (!fp && fd >= 0)
		close(fd);
	return fp;
}

void state_save(const struct train_state *s, uint64_t identity, const char *path)
{
	struct nasc_err ignored = { 0 };
	struct file_out f = { 0 };

	if (file_begin(&f, path, &ignored))
		return;
	state_write(s, identity, f.fp);
	file_commit(&f, &ignored);
}
