/* The input says what to do to a checkpoint that a training has left, for a file of its own would
 * be another processor's: one byte of flags, two of the length (0: as it was), then edits: the
 * place, two bytes, and what is XORed there. What is taken must be what the file says, written
 * again to the same bytes, and train on. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <math.h>
#include <zlib.h>

#include "batch.h"
#include "data_set.h"
#include "engine.h"
#include "rungs.h"
#include "trainer.h"

enum { SETTING = 3, OTHER_SIZE = 2, MENDED = 4, LAST_RUNG = 8 }; /* flags */

#define N_SETTINGS  3 /* SGD; AdamW with averages; SGD, going on with larger images */
#define IMAGES	    8
#define SIDE	    4
#define SHARD	    4
#define EPOCH_STEPS (IMAGES / SHARD)
#define FILE_MAX    8192

static const struct eval_rungs rungs = { .n = 2, .epochs = { 1, 2 }, .origin = "fuzz" };
static uint8_t pixels[IMAGES * SIDE * SIDE], labels[IMAGES];
static const struct dataset images = { .n = IMAGES,
				       .shape = { SIDE, SIDE, 1 },
				       .classes = 2,
				       .image = pixels,
				       .label = labels,
				       .mean = { 0.5f },
				       .std = { 0.25f } };

/* What is trained, and the training that goes on from its file. */
struct training {
	struct arena arena;
	struct network net;
	struct plan plan;
	struct model model;
	struct runner runner;
	struct batch batch;
	struct rng shuffle, augment;
	float *image;
	uint8_t label[SHARD];
};
static struct setting {
	struct train_cfg cfg;
	struct training first, next;
	struct train_request request;
	uint64_t identity;
	size_t n;
	char *file;
} setting[N_SETTINGS];

static void make_network(struct network *net, struct arena *a, uint32_t side)
{
	struct nasc_err err = { 0 };
	uint32_t x;

	network_init(net, a, (struct net_shape){ side, side, 1 });
	x = network_conv2d(net, 0, 2, 3, 1, 1, NET_SAME, true);
	x = network_unary(net, NET_RELU, network_unary(net, NET_BATCH_NORM, x));
	network_dense(net, x, images.classes, true);
	MUST(network_infer(net, &err) == NASC_OK);
}

static void training_begin(struct training *t)
{
	struct rng init;

	rng_stream(&init, 1, RNG_INIT, 2);
	rng_stream(&t->shuffle, 1, RNG_SHUFFLE, 2);
	rng_stream(&t->augment, 1, RNG_AUGMENT, 2);
	model_init(&t->model, &init);
}

static void training_open(struct training *t, const struct train_cfg *cfg, uint32_t side)
{
	struct nasc_err err = { 0 };
	struct arena *a = &t->arena;

	make_network(&t->net, a, side);
	MUST(plan_create(&t->net, SHARD, false, PLAN_TRAIN, a, &t->plan, &err) == NASC_OK);
	model_create(&t->model, &t->plan, a);
	model_extend(&t->model, cfg->optimizer == OPTIMIZER_ADAMW, cfg->ema > 0, a);
	runner_create(&t->runner, &t->plan, &t->model, a);
	batch_open(&t->batch, &images, &images, t->plan.input, a);
	t->batch.augment = (struct augment){ .shift = 1, .mixup = 0.5, .step = SHARD };
	t->image = ARENA_NEW(a, float, (SHARD + BATCH_SPARE) * side * side);
	training_begin(t);
}

static void training_step(struct training *t, const struct train_cfg *cfg)
{
	struct update u = { .adamw = cfg->optimizer == OPTIMIZER_ADAMW,
			    .rate = 0.1,
			    .momentum = cfg->momentum,
			    .beta1 = cfg->beta1,
			    .beta2 = cfg->beta2,
			    .epsilon = cfg->epsilon,
			    .average = cfg->ema };
	struct runner *r = &t->runner;

	runner_pack(r);
	batch_shuffle(&t->batch, &t->shuffle, &t->augment);
	batch_fetch(&t->batch, 0, SHARD, t->image, t->label);
	r->label = t->label;
	r->n_labels = SHARD;
	r->loss_scale = 1.0 / SHARD;
	runner_load(r, t->image);
	runner_forward(r, RUN_TRAIN);
	runner_backward(r);
	memcpy(t->model.gradient, r->gradient, t->plan.n_weights * sizeof(float));
	model_step(&t->model, &u);
}

static struct train_state state_of(struct training *t, uint64_t done)
{
	return (struct train_state){ .model = &t->model,
				     .batch = &t->batch,
				     .shuffle = &t->shuffle,
				     .augment = &t->augment,
				     .done = done,
				     .stuck = 1,
				     .loss_sum = 3.5 };
}

static size_t written(const struct train_state *state, uint64_t identity, char **bytes)
{
	size_t n = 0;
	FILE *fp = open_memstream(bytes, &n);

	MUST(fp);
	state_write(state, identity, fp);
	MUST(fclose(fp) == 0 && n > sizeof(uint64_t) && n <= FILE_MAX);
	return n;
}

static void setting_open(struct setting *s, size_t i)
{
	static char path[128];
	static struct arena arena;
	struct train_state left;

	cfg_defaults(train_fields, &arena, &s->cfg, sizeof s->cfg);
	s->cfg.epochs = 3;
	s->cfg.optimizer = i == 1 ? OPTIMIZER_ADAMW : OPTIMIZER_SGD;
	s->cfg.ema = i == 1 ? 0.9 : 0;
	training_open(&s->first, &s->cfg, SIDE);
	training_open(&s->next, &s->cfg, i == OTHER_SIZE ? SIDE + 2 : SIDE);
	snprintf(path, sizeof path, "%s/state", scratch_directory());
	s->request = (struct train_request){ .cfg = &s->cfg,
					     .net = &s->first.net,
					     .train = &images,
					     .seed = 1,
					     .id = 2,
					     .rungs = &rungs,
					     .state_path = path };
	s->identity = state_identity(&s->request);
	training_step(&s->first, &s->cfg);
	left = state_of(&s->first, EPOCH_STEPS);
	s->n = written(&left, s->identity, &s->file);
}

static struct setting *setting_of(size_t i)
{
	if (!setting[0].file) {
		for (size_t k = 0; k < sizeof pixels; k++)
			pixels[k] = (uint8_t)(k * 37);
		for (size_t k = 0; k < IMAGES; k++)
			labels[k] = k % 2;
		conv_use_one_thread();
		for (size_t k = 0; k < N_SETTINGS; k++)
			setting_open(&setting[k], k);
	}
	return &setting[i];
}

/* Its length. */
static size_t edit(const struct setting *s, struct input *in, bool mended, uint8_t *file)
{
	size_t n = input_byte(in);

	n |= (size_t)input_byte(in) << 8;
	n = n == 0 ? s->n : n % (FILE_MAX + 1);
	memset(file, 0, FILE_MAX);
	memcpy(file, s->file, s->n);
	while (in->at < in->end) {
		size_t at = input_byte(in);

		at |= (size_t)input_byte(in) << 8;
		file[at % FILE_MAX] ^= input_byte(in);
	}
	if (mended && n > sizeof(uint64_t)) {
		uint64_t sum = crc32_z(0, file, n - sizeof sum);

		memcpy(file + n - sizeof sum, &sum, sizeof sum);
	}
	return n;
}

static void check_state(const struct train_state *s, size_t rung)
{
	bool there[IMAGES] = { false };

	MUST(s->done == EPOCH_STEPS * (uint64_t)rungs.epochs[rung - 1]);
	MUST(s->stuck >= 0 && (uint64_t)s->stuck <= s->done && isfinite(s->loss_sum));
	MUST(s->model->steps == s->done && s->model->started);
	for (size_t i = 0; i < IMAGES; i++) {
		MUST(s->batch->order[i] < IMAGES && !there[s->batch->order[i]]);
		there[s->batch->order[i]] = true;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[FILE_MAX];
	struct input in = { data, data + size };
	unsigned flags = input_byte(&in);
	struct setting *s = setting_of((flags & SETTING) % N_SETTINGS);
	size_t n = edit(s, &in, flags & MENDED, file), rung;
	struct train_state state = state_of(&s->next, 0);
	bool good = n == s->n && memcmp(file, s->file, n) == 0, taken;
	char *bytes = NULL;
	FILE *from;

	data_file_fill(0, "state", file, n);
	s->request.rung = flags & LAST_RUNG ? 2 : 1;
	rung = rungs_begin(&s->request, EPOCH_STEPS, s->identity, &from);
	MUST((rung > 0) == (from != NULL) && rung <= s->request.rung && (rung || !good));
	if (!from)
		return 0;
	training_begin(&s->next);
	taken = state_read(from, &state);
	MUST(fclose(from) == 0 && (taken || !good));
	if (!taken)
		return 0;
	check_state(&state, rung);
	if (s != &setting[OTHER_SIZE]) {
		MUST(written(&state, s->identity, &bytes) == n && memcmp(bytes, file, n) == 0);
		free(bytes);
	}
	training_step(&s->next, &s->cfg);
	return 0;
}
