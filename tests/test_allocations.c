#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "evaluators.h"
#include "rng.h"

/* Training allocates nothing from its second step on. Every way to get memory goes through the
 * functions below, which count the calls that come from this program's own code; libraries, among
 * them oneDNN, lie outside of it. */

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define CAN_COUNT 0
static atomic_size_t allocations;
static atomic_bool counting;
#else
#define CAN_COUNT 1
extern char __executable_start, etext;
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static atomic_size_t allocations;
static atomic_bool counting;

static void count(const void *caller)
{
	if (atomic_load(&counting) && (const char *)caller >= &__executable_start &&
	    (const char *)caller < &etext)
		atomic_fetch_add(&allocations, 1);
}

void *malloc(size_t n)
{
	count(__builtin_return_address(0));
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	count(__builtin_return_address(0));
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	count(__builtin_return_address(0));
	return __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	count(__builtin_return_address(0));
	return __libc_memalign(align, n);
}
#endif

#define SIZE   12
#define N      64
#define EPOCHS 12

static void step_done(const struct train_progress *p, void *ctx)
{
	size_t *steps = ctx;

	if (++*steps == 1)
		atomic_store(&counting, true);
	if (p->done >= 1)
		atomic_store(&counting, false);
}

Test(allocations, none_in_the_training_loop)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct train_report report;
	struct train_cfg cfg;
	struct network net;
	struct rng rng;
	uint8_t *image = ARENA_NEW(&a, uint8_t, N * SIZE * SIZE),
		*label = ARENA_NEW(&a, uint8_t, N);
	struct dataset data = { .n = N, .shape = { SIZE, SIZE, 1 }, .classes = 3, .mean = { .5f } };
	size_t steps = 0;
	void *(*volatile get)(size_t) = malloc, *probe; /* or the compiler leaves it out */
	uint32_t x;

	if (!CAN_COUNT)
		cr_skip("needs glibc without a sanitizer");
	atomic_store(&counting, true); /* the counter counts */
	probe = get(1);
	atomic_store(&counting, false);
	cr_assert(probe && atomic_exchange(&allocations, 0) == 1);
	free(probe);

	rng_stream(&rng, 1, RNG_SAMPLE, 0);
	for (size_t i = 0; i < (size_t)N * SIZE * SIZE; i++)
		image[i] = (uint8_t)rng_below(&rng, 256);
	for (size_t i = 0; i < N; i++)
		label[i] = (uint8_t)rng_below(&rng, 3);
	data.std[0] = .29f;
	data.image = image;
	data.label = label;
	network_init(&net, &a, data.shape);
	x = network_conv2d(&net, 0, 8, 3, 1, 1, NET_SAME, true);
	x = network_unary(&net, NET_RELU, network_unary(&net, NET_BATCH_NORM, x));
	x = network_depthwise(&net, x, 3, 2, NET_SAME, true);
	x = network_merge(&net, NET_CONCAT, (uint32_t[]){ x, x }, 2);
	x = network_pool(&net, NET_MAX_POOL, x, 3, 2, NET_SAME);
	network_dense(&net, network_unary(&net, NET_GLOBAL_POOL, x), 3, true);
	cr_assert_eq(network_infer(&net, &err), NASC_OK, "%s", err.msg);
	cfg_defaults(train_fields, &a, &cfg, sizeof cfg);
	cfg.epochs = EPOCHS;
	cfg.batch = 16;
	cfg.shard = 8;
	cr_assert_eq(train_network(&(struct train_request){ .cfg = &cfg,
							    .net = &net,
							    .train = &data,
							    .threads = 2,
							    .progress = step_done,
							    .ctx = &steps },
				   &a, &report, &err),
		     NASC_OK, "%s", err.msg);
	cr_assert_eq(steps, EPOCHS * N / 16);
	cr_assert_eq(atomic_load(&allocations), 0, "%zu allocations in %zu steps",
		     atomic_load(&allocations), steps);
	arena_free(&a);
}
