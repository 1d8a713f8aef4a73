#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "evaluators.h"
#include "leak.h"
#include "pool.h"
#include "rng.h"
#include "space.h"

/* The contract of evaluators.h, for every row of the registry. */
TestSuite(conformance_evaluators, .fini = no_leaks);

/* A program whose answer is a function of the id. */
#define ANSWERS                                                                                    \
	"{command: [/bin/sh, -c, 'while IFS= read -r line; do id=${line#*:}; id=${id%%,*}; "       \
	"echo \"{\\\"id\\\":$id,\\\"accuracy\\\":0.$id}\"; done']}"

/* Two configs of each: quick, and work for minutes at least (NULL: it answers at once). */
static const struct {
	const char *name, *quick, *endless;
} configs[] = {
	{ "az_nas", "{images: 4, reference: 3}", "{images: 256, repeats: 1000}" },
	{ "ensemble", "{reference: 3}", "{repeats: 1000}" },
	{ "grad_norm", "{images: 16, repeats: 2}", "{images: 256, repeats: 1000}" },
	{ "jacob_cov", "{images: 16, repeats: 2}", "{images: 256, repeats: 1000}" },
	{ "macs", "{}", NULL },
	{ "params", "{}", NULL },
	{ "snip", "{images: 16, repeats: 2}", "{images: 256, repeats: 1000}" },
	{ "swap", "{images: 8, repeats: 2}", "{images: 24, repeats: 1000}" },
	{ "zen", "{images: 8, repeats: 2}", "{images: 256, repeats: 1000}" },
	{ "zico", "{images: 16, repeats: 2}", "{images: 256, repeats: 1000}" },
	{ "external", ANSWERS, "{command: [/bin/sh, -c, 'read -r line; exec sleep 600']}" },
	{ "naswot", "{images: 16, repeats: 2}", "{images: 256, repeats: 1000}" },
	{ "synflow", "{repeats: 2}", "{repeats: 1000}" },
	{ "tabular", "{file: tests/cli/base/table.csv, key: genes, separator: '-', scale: 0.01}",
	  NULL },
	{ "train", "{batch: 32, shard: 16, fraction: 0.1}", "{epochs: 10000}" },
};

static const char *config_of(const struct evaluator_ops *ops, bool endless)
{
	for (size_t i = 0; i < sizeof configs / sizeof *configs; i++)
		if (strcmp(configs[i].name, ops->name) == 0)
			return endless ? configs[i].endless : configs[i].quick;
	cr_assert_fail("%s: give this suite two configs to run it with", ops->name);
	return NULL;
}

/* ---- images, networks, an evaluator --------------------------------------------------- */

static void make_images(struct arena *a, size_t n, uint64_t seed, struct dataset *d)
{
	const struct net_shape shape = { 12, 12, 3 };
	size_t bytes = net_elements(shape);
	uint8_t *image = ARENA_NEW(a, uint8_t, n * bytes), *label = ARENA_NEW(a, uint8_t, n);
	struct rng rng;

	rng_stream(&rng, seed, RNG_SAMPLE, 0);
	for (size_t i = 0; i < n; i++) {
		label[i] = (uint8_t)(i % 5);
		for (size_t p = 0; p < bytes; p++)
			image[i * bytes + p] = (uint8_t)(rng_below(&rng, 200) + 10 * label[i]);
	}
	*d = (struct dataset){ .n = n,
			       .shape = shape,
			       .classes = 5,
			       .image = image,
			       .label = label,
			       .mean = { .45f, .45f, .45f },
			       .std = { .23f, .23f, .23f } };
}

struct bench {
	struct arena arena;
	struct dataset train, validation;
	void *cfg;
	struct space space;
	struct evaluator e;
};

static void open_space(struct bench *b)
{
	const struct space_ops *ops = space_registry[0];
	void *cfg = arena_alloc(&b->arena, 1, ops->cfg_size, alignof(max_align_t));
	struct nasc_err err = { 0 };

	cfg_defaults(ops->fields, &b->arena, cfg, ops->cfg_size);
	cr_assert_eq(
		space_open(&b->space, ops, cfg, b->train.shape, b->train.classes, &b->arena, &err),
		NASC_OK, "%s", err.msg);
}

static void sample(const void *space, uint64_t seed, uint64_t i, struct arena *a,
		   struct network *out)
{
	const struct space *s = space;
	uint32_t gene[256];
	struct rng rng;

	rng_stream(&rng, seed, RNG_REFERENCE, i);
	space_sample(s, &rng, gene);
	space_decode(s, gene, a, out);
}

static enum nasc_status load(struct bench *b, const struct evaluator_ops *ops, const char *text,
			     struct nasc_err *err)
{
	struct yaml_doc doc;

	if (getenv("NASC_SOURCE")) /* where the files lie that configs name */
		cr_assert_eq(chdir(getenv("NASC_SOURCE")), 0);
	b->cfg = arena_alloc(&b->arena, 1, ops->cfg_size, alignof(max_align_t));
	if (yaml_parse("t.yaml", text, strlen(text), &b->arena, &doc, err))
		return err->code;
	return cfg_load(ops->fields, &doc, doc.root, NULL, &b->arena, b->cfg, ops->cfg_size, err);
}

static enum nasc_status open_with(struct bench *b, const struct evaluator_ops *ops,
				  const char *text, struct nasc_err *err)
{
	*b = (struct bench){ .cfg = NULL };
	cr_assert_eq(load(b, ops, text, err), NASC_OK, "%s", err->msg);
	make_images(&b->arena, 1000, 1, &b->train);
	make_images(&b->arena, 75, 2, &b->validation);
	open_space(b);
	b->e = (struct evaluator){
		.ops = ops, .cfg = b->cfg, .arena = &b->arena, .sample = sample, .space = &b->space
	};
	if (ops->needs_data) {
		b->e.train = &b->train;
		b->e.validation = &b->validation;
	}
	return ops->open ? ops->open(&b->e, err) : NASC_OK;
}

static void open_bench(struct bench *b, const struct evaluator_ops *ops, bool endless)
{
	struct nasc_err err = { 0 };

	cr_assert_eq(open_with(b, ops, config_of(ops, endless), &err), NASC_OK, "%s: %s", ops->name,
		     err.msg);
}

static void close_bench(struct bench *b)
{
	if (b->e.ops->close)
		b->e.ops->close(&b->e);
	arena_free(&b->arena);
}

static void *open_worker(struct bench *b)
{
	struct nasc_err err = { 0 };
	void *worker = NULL;

	if (b->e.ops->worker_open)
		cr_assert_eq(b->e.ops->worker_open(&b->e, &worker, &err), NASC_OK, "%s", err.msg);
	return worker;
}

static void close_worker(struct bench *b, void *worker)
{
	if (b->e.ops->worker_close)
		b->e.ops->worker_close(&b->e, worker);
}

#define REQUESTS 6
/* Other genes than those of the networks: in tests/cli/base/table.csv. */
static const struct eval_gene genes[REQUESTS][2] = {
	{ { 0, "0" }, { 0, "0" } }, { { 0, "0" }, { 1, "1" } }, { { 1, "1" }, { 0, "0" } },
	{ { 0, "0" }, { 0, "0" } }, { { 0, "0" }, { 1, "1" } }, { { 1, "1" }, { 0, "0" } },
};

static void make_networks(struct bench *b, struct network net[REQUESTS])
{
	uint32_t gene[256];
	struct rng rng;

	rng_seed(&rng, 5, 6);
	for (size_t i = 0; i < REQUESTS; i++) {
		space_sample(&b->space, &rng, gene);
		space_decode(&b->space, gene, &b->arena, &net[i]);
	}
}

/* ---- answers ---------------------------------------------------------------------------- */

struct round {
	struct bench *b;
	const struct network *net;
	void *worker[3];
	const size_t *order;
	struct eval_result result[REQUESTS];
	enum eval_outcome outcome[REQUESTS];
};

static void ask(void *ctx, unsigned worker, size_t i)
{
	struct round *r = ctx;
	size_t k = r->order[i];
	struct eval_request request = {
		.id = 10 + k, .seed = 77, .net = &r->net[k], .gene = genes[k], .n_genes = 2
	};

	memset(&r->result[k], 0xff, sizeof r->result[k]); /* NANs */
	r->outcome[k] = r->b->e.ops->run(&r->b->e, r->worker[worker], &request, &r->result[k]);
}

static void ask_all(struct round *r, unsigned workers, const size_t order[REQUESTS])
{
	struct nasc_err err = { 0 };
	struct pool *pool;

	r->order = order;
	cr_assert_eq(pool_open(&pool, workers, &err), NASC_OK, "%s", err.msg);
	for (unsigned w = 0; w < workers; w++)
		r->worker[w] = open_worker(r->b);
	pool_run(pool, REQUESTS, ask, r);
	for (unsigned w = 0; w < workers; w++)
		close_worker(r->b, r->worker[w]);
	pool_close(pool);
}

/* The answer depends on the request and the config: not on the worker, on what it was asked
 * before, nor on how many are at work. */
Test(conformance_evaluators, same_request_same_answer, .timeout = 120)
{
	static const size_t forth[REQUESTS] = { 0, 1, 2, 3, 4, 5 };
	static const size_t back[REQUESTS] = { 5, 4, 3, 2, 1, 0 };
	static const size_t twice[REQUESTS] = { 3, 3, 1, 1, 5, 5 };

	for (size_t row = 0; evaluator_registry[row]; row++) {
		const struct evaluator_ops *ops = evaluator_registry[row];
		struct network net[REQUESTS];
		struct round want, got;
		struct bench b;

		open_bench(&b, ops, false);
		make_networks(&b, net);
		want = got = (struct round){ .b = &b, .net = net };
		ask_all(&want, 1, forth);
		for (size_t i = 0; i < REQUESTS; i++) {
			cr_assert_eq(want.outcome[i], EVAL_OK, "%s: %s", ops->name,
				     want.result[i].why);
			for (size_t k = 0; k < ops->n_metrics; k++)
				cr_assert_eq(isfinite(want.result[i].value[k]) != 0,
					     evaluator_measures(ops, b.cfg, k), "%s: %s %g",
					     ops->name, ops->metric[k].key,
					     want.result[i].value[k]);
		}
		for (unsigned workers = 1; workers <= 3; workers++) {
			got = want;
			ask_all(&got, workers, workers == 1 ? twice : back);
			for (size_t i = 0; i < REQUESTS; i++)
				cr_assert_arr_eq(got.result[i].value, want.result[i].value,
						 ops->n_metrics * sizeof(double),
						 "%s: %u workers, request %zu", ops->name, workers,
						 i);
		}
		close_bench(&b);
	}
}

/* ---- cancelling ------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(NASC_HAS_LSAN)
#define SECOND_OF_WORK 10.0
#else
#define SECOND_OF_WORK 1.0
#endif

struct canceller {
	atomic_bool cancel;
	double when, work; /* wall and processor time */
};

static double work_s(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static void *cancel_soon(void *arg)
{
	struct canceller *c = arg;

	nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	c->when = clock_s();
	c->work = work_s();
	atomic_store(&c->cancel, true);
	return NULL;
}

/* Polled at least once a second of work; one that waits for others has no work to do. */
Test(conformance_evaluators, cancel_is_heard, .timeout = 120)
{
	for (size_t row = 0; evaluator_registry[row]; row++) {
		const struct evaluator_ops *ops = evaluator_registry[row];
		struct network net[REQUESTS];
		struct canceller c = { .when = 0 };
		struct eval_result result = { .value = { 0 } };
		struct eval_request request = { .id = 1,
						.seed = 1,
						.net = net,
						.cancel = &c.cancel,
						.gene = genes[0],
						.n_genes = 2 };
		enum eval_outcome outcome;
		pthread_t thread;
		struct bench b;
		void *worker;
		double work;
		bool works = config_of(ops, true) != NULL;

		open_bench(&b, ops, works);
		make_networks(&b, net);
		worker = open_worker(&b);
		cr_assert_eq(pthread_create(&thread, NULL, cancel_soon, &c), 0);
		outcome = works ? ops->run(&b.e, worker, &request, &result) : EVAL_CANCELLED;
		pthread_join(thread, NULL);
		work = works ? work_s() - c.work : 0;
		cr_assert_eq(outcome, EVAL_CANCELLED, "%s: %s", ops->name, result.why);
		cr_assert_lt(work, SECOND_OF_WORK, "%s: worked on for %g s", ops->name, work);
		cr_assert_lt(clock_s() - c.when, 30, "%s", ops->name);
		/* And at once where it is set before the work begins. */
		work = work_s();
		cr_assert_eq(ops->run(&b.e, worker, &request, &result), EVAL_CANCELLED, "%s",
			     ops->name);
		cr_assert_lt(work_s() - work, SECOND_OF_WORK, "%s", ops->name);
		close_worker(&b, worker);
		close_bench(&b);
	}
}

/* ---- configs ---------------------------------------------------------------------------- */

/* The config @text with one key more, set to an end of its range. */
static void with_key(const char *text, const struct cfg_field *row, double value, char *out,
		     size_t n)
{
	size_t length = strlen(text);

	snprintf(out, n, "%.*s%s%s: %.17g}", (int)length - 1, text, length > 2 ? ", " : "",
		 row->key, value);
}

/* open() refuses what check() refuses, and with data at hand nothing else. */
Test(conformance_evaluators, check_and_open_agree)
{
	for (size_t row = 0; evaluator_registry[row]; row++) {
		const struct evaluator_ops *ops = evaluator_registry[row];
		const char *text = config_of(ops, false);

		for (const struct cfg_field *f = ops->fields; f->key; f++)
			for (int end = 0; end < 2; end++) {
				struct nasc_err err = { 0 }, from_open = { 0 };
				enum nasc_status checked, opened;
				char changed[512];
				struct bench b;

				if ((f->type != CFG_INT && f->type != CFG_REAL) ||
				    strstr(text, f->key))
					continue;
				with_key(text, f, end ? f->max : f->min, changed, sizeof changed);
				opened = open_with(&b, ops, changed, &from_open);
				checked = ops->check ? ops->check(b.cfg, &err) : NASC_OK;
				cr_assert_eq(checked, opened, "%s: %s: %s, but %s", ops->name,
					     changed, err.msg, from_open.msg);
				cr_assert_str_eq(err.msg, from_open.msg, "%s", ops->name);
				if (opened == NASC_OK)
					close_bench(&b);
				else
					arena_free(&b.arena);
			}
	}
}

/* What train's rows cannot say: a batch that its shards do not fill. */
Test(conformance_evaluators, open_refuses_what_check_refuses)
{
	static const struct {
		const char *name, *text;
	} bad[] = {
		{ "train", "{batch: 48, shard: 32}" },
		{ "external", "{command: [/no/such/program]}" },
		{ "tabular", "{file: tests/cli/base/table.csv, key: no_such}" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const struct evaluator_ops *ops = evaluator_find(bad[i].name);
		struct nasc_err err = { 0 }, from_open = { 0 };
		struct bench b;

		cr_assert_eq(open_with(&b, ops, bad[i].text, &from_open), NASC_CONFIG, "%s",
			     bad[i].text);
		cr_assert_eq(ops->check(b.cfg, &err), NASC_CONFIG);
		cr_assert_str_eq(err.msg, from_open.msg);
		arena_free(&b.arena);
	}
}

/* One line that fits, the same whenever asked. */
Test(conformance_evaluators, machine_is_said_in_a_few_words)
{
	for (size_t row = 0; evaluator_registry[row]; row++) {
		const struct evaluator_ops *ops = evaluator_registry[row];
		char once[128 + 1], twice[128 + 1];
		struct bench b;

		if (!ops->machine)
			continue;
		open_bench(&b, ops, false);
		memset(once, 'x', sizeof once);
		memset(twice, 'y', sizeof twice);
		ops->machine(b.cfg, once);
		ops->machine(b.cfg, twice);
		cr_assert_eq(once[128], 'x');
		cr_assert(memchr(once, '\0', 128) && *once && !strchr(once, '\n'), "%s", ops->name);
		cr_assert_str_eq(once, twice, "%s", ops->name);
		close_bench(&b);
	}
}
