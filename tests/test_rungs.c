/* Training in parts: whatever it goes on from, the answer is that of one go. */
#define _XOPEN_SOURCE 700 /* nftw() */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <zlib.h>

#include "evaluators.h"
#include "file.h"
#include "rng.h"
#include "scratch.h"
#include "trainer.h"

TestSuite(rungs, .init = begin, .fini = finish);

extern const struct evaluator_ops evaluator_train;

#define STATE  "s.state"
#define IMAGES 160

static const struct eval_rungs plain = { .n = 2, .epochs = { 1, 2 } };
static const struct eval_rungs sizes = { .n = 2, .epochs = { 1, 3 }, .image_size = { 5, 8 } };

/* Four classes told apart by the quarter of the image that is bright. */
static void quarters(size_t n, uint64_t seed, struct dataset *d)
{
	uint8_t *image = ARENA_NEW(&arena, uint8_t, n * 64), *label = ARENA_NEW(&arena, uint8_t, n);
	struct rng rng;

	rng_stream(&rng, seed, RNG_SAMPLE, 0);
	for (size_t i = 0; i < n; i++) {
		label[i] = (uint8_t)rng_below(&rng, 4);
		for (size_t p = 0; p < 64; p++)
			image[i * 64 + p] =
				(uint8_t)(rng_below(&rng, 190) +
					  (p / 32 * 2 + p % 8 / 4 == label[i] ? 60 : 0));
	}
	*d = (struct dataset){ .n = n,
			       .shape = { 8, 8, 1 },
			       .classes = 4,
			       .image = image,
			       .label = label,
			       .mean = { .4f },
			       .std = { .22f } };
}

/* The dense layer's weights are of another shape at every size of the images. */
static void make_network(uint32_t width, struct network *net)
{
	struct nasc_err err = { 0 };
	uint32_t x;

	network_init(net, &arena, (struct net_shape){ 8, 8, 1 });
	x = network_conv2d(net, 0, width, 3, 1, 1, NET_SAME, false);
	x = network_unary(net, NET_RELU, network_unary(net, NET_BATCH_NORM, x));
	x = network_depthwise(net, x, 3, 2, NET_SAME, true);
	x = network_unary(net, NET_RELU, network_unary(net, NET_BATCH_NORM, x));
	network_dense(net, x, 4, true);
	cr_assert_eq(network_infer(net, &err), NASC_OK, "%s", err.msg);
}

struct setting {
	struct train_cfg cfg;
	struct dataset train, validation;
	struct network net;
	uint64_t seed, id;
};

static struct setting setting(void)
{
	struct setting s = { .seed = 5, .id = 9 };

	cfg_defaults(train_fields, &arena, &s.cfg, sizeof s.cfg);
	s.cfg.epochs = 4;
	s.cfg.fraction = 0.9;
	s.cfg.shift = 1;
	s.cfg.flip = true;
	quarters(IMAGES, 1, &s.train);
	quarters(100, 2, &s.validation);
	make_network(6, &s.net);
	return s;
}

struct answer {
	struct train_report report;
	char *weights;
	size_t n;
};

static struct answer train(const struct setting *s, const struct eval_rungs *rungs, size_t rung,
			   const char *state_path)
{
	struct train_request q = { .cfg = &s->cfg,
				   .net = &s->net,
				   .train = &s->train,
				   .validation = &s->validation,
				   .seed = s->seed,
				   .id = s->id,
				   .threads = 1,
				   .rungs = rungs,
				   .rung = rung,
				   .state_path = state_path,
				   .weights_path = "w.safetensors" };
	struct nasc_err err = { 0 };
	struct answer a;

	cr_assert_eq(train_network(&q, &arena, &a.report, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(file_read("w.safetensors", 1 << 20, &arena, &a.weights, &a.n, &err), NASC_OK);
	return a;
}

static void check_equal(struct answer a, struct answer b, const char *what)
{
	cr_assert_eq(a.n, b.n, "%s", what);
	cr_assert_eq(memcmp(a.weights, b.weights, a.n), 0, "%s: other weights", what);
	cr_assert_eq(a.report.loss_sum, b.report.loss_sum, "%s", what);
	cr_assert_eq(a.report.loss, b.report.loss, "%s", what);
	cr_assert_eq(a.report.validation_accuracy, b.report.validation_accuracy, "%s", what);
}

/* Where the size stays, the whole training is the one that there is without rungs. */
Test(rungs, the_whole_is_that_of_one_go)
{
	struct setting s = setting();

	check_equal(train(&s, &plain, 2, NULL), train(&s, NULL, 0, NULL), "whole");
	for (size_t rung = 0; rung <= 2; rung++)
		check_equal(train(&s, &plain, rung, STATE), train(&s, &plain, rung, NULL), "plain");
	check_equal(train(&s, &plain, 2, NULL), train(&s, NULL, 0, NULL), "whole");
}

static void goes_on(bool all_options)
{
	struct setting s = setting();
	struct answer one = { 0 }, whole;
	struct stat st;

	if (all_options) {
		s.cfg.optimizer = OPTIMIZER_ADAMW;
		s.cfg.rate = 0.01;
		s.cfg.ema = 0.9;
		s.cfg.mixup = 0.4;
		s.cfg.warmup = 1.5;
		s.cfg.label_smoothing = 0.1;
		s.cfg.cutout = 3;
		s.cfg.patience = 3;
	}
	whole = train(&s, &sizes, 2, NULL);
	for (size_t rung = 0; rung <= 2; rung++) {
		unlink(STATE);
		for (size_t r = 0; r <= rung; r++)
			one = train(&s, &sizes, r, STATE);
		check_equal(one, train(&s, &sizes, rung, NULL), "step by step");
		cr_assert_eq(stat(STATE, &st), 0);
	}
	check_equal(one, whole, "whole");
	cr_assert(one.report.loss_sum > one.report.loss);
	/* past a rung for which nothing was kept */
	unlink(STATE);
	train(&s, &sizes, 0, STATE);
	check_equal(train(&s, &sizes, 2, STATE), whole, "from the first");
	/* a file of a later rung is of no use to an earlier one */
	unlink(STATE);
	train(&s, &sizes, 1, STATE);
	check_equal(train(&s, &sizes, 0, STATE), train(&s, &sizes, 0, NULL), "back");
}

Test(rungs, goes_on_from_each_rung_at_other_sizes)
{
	goes_on(false);
}

/* With everything that the recipe carries from step to step. */
Test(rungs, goes_on_with_averages_and_moments)
{
	goes_on(true);
}

static void put(const char *p, size_t n)
{
	FILE *fp = fopen(STATE, "wb");

	cr_assert(fp && fwrite(p, 1, n, fp) == n && fclose(fp) == 0);
}

/* The sum at the end made right again. */
static void forge(char *p, size_t n)
{
	uint64_t sum = crc32_z(0, (unsigned char *)p, n - sizeof sum);

	memcpy(p + n - sizeof sum, &sum, sizeof sum);
	put(p, n);
}

Test(rungs, damaged_files_are_as_good_as_none)
{
	struct setting s = setting();
	struct answer want = train(&s, &sizes, 1, NULL);
	struct nasc_err err = { 0 };
	char *good, *bad;
	size_t n;

	train(&s, &sizes, 0, STATE);
	cr_assert_eq(file_read(STATE, 1 << 20, &arena, &good, &n, &err), NASC_OK);
	bad = ARENA_NEW(&arena, char, n + 1);
	for (size_t cut = 0; cut < n; cut += n / 7 + 1) {
		put(good, cut);
		check_equal(train(&s, &sizes, 1, STATE), want, "cut short");
	}
	memcpy(bad, good, n);
	put(bad, n + 1);
	check_equal(train(&s, &sizes, 1, STATE), want, "longer");
	for (size_t at = 0; at < n; at += n / 13 + 1) {
		memcpy(bad, good, n);
		bad[at] ^= 0x10;
		put(bad, n);
		check_equal(train(&s, &sizes, 1, STATE), want, "one bit");
	}
	unlink(STATE);
	cr_assert_eq(mkdir(STATE, 0777), 0);
	check_equal(train(&s, &sizes, 1, STATE), want, "a folder in its place");
	rmdir(STATE);
	check_equal(train(&s, &sizes, 1, "no/such/folder"), want, "no folder");
	put(good, n);
	check_equal(train(&s, &sizes, 1, STATE), want, "as it was");
}

/* Byte by byte through header, order of the images and shapes, with the right sum: nothing
 * crashes, and counts that do not fit are refused. */
Test(rungs, forged_files)
{
	struct setting s = setting();
	struct answer want = train(&s, &sizes, 1, NULL), got;
	struct nasc_err err = { 0 };
	size_t n, header = 8 + 5 * 8 + 2 * 8 + 4 * 8, counts = 8 + 2 * 8, order = header, entry;
	size_t loss_sum = counts + 4 * 8;
	uint64_t channels, values;
	char *good, *bad;

	train(&s, &sizes, 0, STATE);
	cr_assert_eq(file_read(STATE, 1 << 20, &arena, &good, &n, &err), NASC_OK);
	bad = ARENA_NEW(&arena, char, n);
	for (size_t field = 0; field < 3; field++)
		for (size_t byte = 0; byte < 8; byte++) {
			memcpy(bad, good, n);
			bad[counts + 8 * field + byte] ^= (char)0xff;
			forge(bad, n);
			check_equal(train(&s, &sizes, 1, STATE), want, "a count");
		}
	memcpy(bad, good, n);
	memcpy(bad + order, bad + order + 4, 4); /* one image twice */
	forge(bad, n);
	check_equal(train(&s, &sizes, 1, STATE), want, "no permutation");
	memcpy(bad, good, n);
	memset(bad + order, 0xff, 4);
	forge(bad, n);
	check_equal(train(&s, &sizes, 1, STATE), want, "no image");
	for (size_t cut = n - 8; cut > header + n / 9; cut -= n / 9) {
		memcpy(bad, good, cut);
		forge(bad, cut);
		check_equal(train(&s, &sizes, 1, STATE), want, "cut short");
	}
	memcpy(bad, good, n);
	memset(bad + loss_sum, 0xff, 8); /* not a number */
	forge(bad, n);
	check_equal(train(&s, &sizes, 1, STATE), want, "no sum of losses");
	memcpy(&channels, good + counts + 16, sizeof channels);
	entry = order + 4 * IMAGES + 2 * 4 * channels; /* of the first convolution's weights */
	memcpy(&values, good + entry + 16, sizeof values);
	cr_assert_eq(values, 3 * 3 * 6);
	memcpy(bad, good, n); /* one fewer, in the weights and in their velocity */
	bad[entry + 16]--;
	memmove(bad + entry + 24, bad + entry + 32, n - entry - 32);
	forge(bad, n - 8);
	check_equal(train(&s, &sizes, 1, STATE), want, "a convolution of another shape");
	/* Weights that were changed are taken: the sum is no signature. */
	memcpy(bad, good, n);
	bad[n - 20] ^= 1;
	forge(bad, n);
	got = train(&s, &sizes, 1, STATE);
	cr_assert(memcmp(got.weights, want.weights, want.n) != 0);
}

static long most_kib(void)
{
	struct rusage u;

	cr_assert_eq(getrusage(RUSAGE_SELF, &u), 0);
	return u.ru_maxrss;
}

/* However long a file is, it is not taken into memory. */
Test(rungs, endless_file)
{
	struct setting s = setting();
	struct answer want = train(&s, &sizes, 1, NULL);
	long before;

	train(&s, &sizes, 0, STATE);
	cr_assert_eq(truncate(STATE, (off_t)1 << 30), 0);
	before = most_kib();
	check_equal(train(&s, &sizes, 1, STATE), want, "endless");
	cr_expect(most_kib() - before < 1 << 18);
}

/* A file that another training has left is not gone on from. */
Test(rungs, of_another_training)
{
	struct setting s = setting(), other;
	struct answer want = train(&s, &sizes, 1, NULL);
	struct eval_rungs longer = sizes;

	for (int i = 0; i < 7; i++) {
		other = s;
		unlink(STATE);
		other.seed += i == 0;
		other.id += i == 1;
		other.cfg.rate *= i == 2 ? 2 : 1;
		if (i == 3)
			make_network(7, &other.net);
		if (i == 4)
			other.train.n--;
		if (i == 6)
			quarters(IMAGES, 3, &other.train);
		longer.image_size[1] = i == 5 ? 7 : 8;
		longer.origin = i == 6 ? "other images" : NULL;
		train(&other, &longer, 0, STATE);
		check_equal(train(&s, &sizes, 1, STATE), want, "another training");
	}
}

/* What the evaluator adds to its figures. */
Test(rungs, tells_the_losses)
{
	struct setting s = setting();
	struct evaluator e = { .ops = &evaluator_train,
			       .cfg = &s.cfg,
			       .train = &s.train,
			       .validation = &s.validation };
	struct eval_request q = {
		.id = s.id, .seed = s.seed, .net = &s.net, .rungs = &sizes, .rung = 1
	};
	struct answer want = train(&s, &sizes, 1, NULL);
	struct eval_result r;

	cr_assert_eq(evaluator_train.run(&e, NULL, &q, &r), EVAL_OK);
	cr_assert_eq(r.value[evaluator_train.n_metrics], want.report.loss_sum);
	cr_assert_eq(r.value[0], 1 - want.report.validation_accuracy);
	cr_assert_eq(evaluator_train.epochs(&s.cfg), 4);
}
