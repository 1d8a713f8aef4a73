/* Successive halving: who goes on, what is told, what a kill or a lost checkpoint changes. */
#define _XOPEN_SOURCE 700 /* nftw() */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "private.h"
#include "rng.h"
#include "scratch.h"

TestSuite(fidelity, .init = begin, .fini = finish);

/* ---- who goes on -------------------------------------------------------------------- */

#define MANY 200

/* All results of a rung so far: a cost and the signal. */
struct history {
	size_t n, promoted;
	double f[MANY][2];
};

static bool dominates(const double *a, const double *b)
{
	return a[0] <= b[0] && a[1] <= b[1] && (a[0] < b[0] || a[1] < b[1]);
}

/* Front after front is taken off what is left, in each the point farthest from all that were
 * taken before; the very first is the one with the best signal. */
static void order_by_hand(const struct history *h, size_t *order)
{
	double lo[2] = { INFINITY, INFINITY }, hi[2] = { -INFINITY, -INFINITY };
	size_t front[MANY], n_taken = 0;
	bool taken[MANY] = { false };

	for (size_t i = 0; i < h->n; i++)
		for (int k = 0; k < 2; k++) {
			lo[k] = fmin(lo[k], h->f[i][k]);
			hi[k] = fmax(hi[k], h->f[i][k]);
		}
	while (n_taken < h->n) {
		size_t n_front = 0, before = n_taken;

		for (size_t i = 0; i < h->n; i++) {
			bool best = !taken[i];

			for (size_t j = 0; j < h->n && best; j++)
				best = taken[j] || !dominates(h->f[j], h->f[i]);
			if (best)
				front[n_front++] = i;
		}
		while (n_taken < before + n_front) {
			size_t pick = SIZE_MAX;
			double most = -1;

			for (size_t a = 0; a < n_front; a++) {
				double near = n_taken ? INFINITY : -h->f[front[a]][1] + 1e9;

				for (size_t b = 0; b < n_taken; b++) {
					double sum = 0;

					for (int k = 0; k < 2; k++)
						sum += hi[k] > lo[k]
							       ? pow((h->f[front[a]][k] -
								      h->f[order[b]][k]) *
									     (1 / (hi[k] - lo[k])),
								     2)
							       : 0;
					near = fmin(near, sum);
				}
				if (!taken[front[a]] && near > most) {
					most = near;
					pick = front[a];
				}
			}
			taken[pick] = true;
			order[n_taken++] = pick;
		}
	}
}

/* Of everything that ever came one in three, and only if among the best third. */
static size_t promote_by_hand(struct history *h, size_t n_new, bool *goes)
{
	size_t order[MANY], first = h->n - n_new, room = h->n / 3 - h->promoted, n = 0;

	memset(goes, 0, n_new);
	order_by_hand(h, order);
	for (size_t i = 0; i < h->n / 3 && n < room; i++)
		if (order[i] >= first) {
			goes[order[i] - first] = true;
			n++;
		}
	h->promoted += n;
	return n;
}

static void init_study(struct study *s, struct study_config *c)
{
	static const struct metric sram = { "sram_bytes", "sram", UNIT_BYTE, false, false, "" },
				   accuracy = { "accuracy", "accuracy", UNIT_FRACTION,
						true,	    false,	"" };

	*c = (struct study_config){
		.fidelity = { .reduction = 3, .brackets = 1, .signal = SIGNAL_ERROR }
	};
	*s = (struct study){ .config = c,
			     .n_metrics = 2,
			     .n_objectives = 2,
			     .objective = { 1, 0 },
			     .maximise = { true, false },
			     .rungs = { .n = 2 } };
	s->metric[0].metric = &sram;
	s->metric[1].metric = &accuracy;
	s->metric[1].dear = true;
}

Test(fidelity, promotions_against_brute_force)
{
	static const size_t batches[] = { 1, 2, 3, 7, 16, 40 };

	for (size_t b = 0; b < sizeof batches / sizeof *batches; b++)
		for (unsigned grid = 3; grid < 1000000; grid *= 90) { /* many ties, or none */
			struct history *h = ARENA_NEW(&arena, struct history, 1);
			struct study_config c;
			struct study s;
			struct fidelity f;
			struct rng rng;

			init_study(&s, &c);
			fidelity_init(&f, &s, batches[b], &arena);
			rng_stream(&rng, grid, RNG_SAMPLE, b);
			while (h->n + batches[b] < MANY / 2) {
				struct candidate one[40], *batch[40], *up[40];
				double value[40][2];
				bool goes[40];
				size_t n_new = 0, want, got, at = 0, row = 0;

				for (size_t i = 0; i < batches[b]; i++) {
					bool failed = rng_below(&rng, 10) == 0;

					value[i][0] = (double)rng_below(&rng, grid);
					value[i][1] = (double)rng_below(&rng, grid) / grid;
					one[i] = (struct candidate){ .value = value[i],
								     .why = failed ? "no" : NULL };
					batch[i] = &one[i];
					if (failed)
						continue;
					h->f[h->n][0] = value[i][0];
					h->f[h->n++][1] = -value[i][1];
					n_new++;
				}
				want = promote_by_hand(h, n_new, goes);
				got = fidelity_promote(&f, 1, batch, batches[b], up, &arena);
				cr_assert_eq(got, want, "batches of %zu at %zu: %zu go on, not %zu",
					     batches[b], h->n, got, want);
				for (size_t i = 0; i < batches[b]; i++) {
					if (batch[i]->why)
						continue;
					if (goes[row++])
						cr_assert_eq(up[at++], batch[i]);
				}
				cr_assert_eq(f.rung[1].promoted, h->promoted);
				cr_assert(h->promoted <= h->n / 3);
			}
			cr_assert(h->promoted > h->n / 12, "%zu of %zu", h->promoted, h->n);
		}
}

/* More results than are kept: the latest count, the numbers of all do. */
Test(fidelity, long_runs_go_by_the_latest)
{
	struct study_config c;
	struct study s;
	struct fidelity f;
	size_t early = 0, late = 0;

	init_study(&s, &c);
	fidelity_init(&f, &s, 1, &arena);
	for (size_t i = 0; i < 2000; i++) {
		/* once all are good, then all are worse, in the order of a bad hash */
		double value[2] = { 0, (i < 1000 ? 0.9 : 0.5) + (double)(i * 7919 % 1009) * 1e-5 };
		struct candidate one = { .value = value }, *batch = &one, *up;
		size_t n = fidelity_promote(&f, 0, &batch, 1, &up, &arena);

		early += i < 1000 ? n : 0;
		late += i >= 1500 ? n : 0;
	}
	cr_assert(early > 250 && early <= 333, "%zu", early);
	cr_assert(late > 120, "%zu of the last 500", late);
	cr_assert(f.rung[0].promoted <= 2000 / 3);
	cr_assert_eq(f.rung[0].n, 2000);
}

/* ---- whole runs on a made-up evaluator ------------------------------------------------ */

#define SPACE                                                                                      \
	"space: {type: densenet, blocks: 1, layers: [1, 2], growth: [4, 8], kernel: [1, 3],\n"     \
	"  stem_width: [8, 12, 16, 24], resolution: [6, 8]}\n"                                     \
	"input: {height: 8, width: 8, channels: 1, classes: 4}\ntargets: [stm32f746]\n"            \
	"objectives: [error, sram]\nevaluator: {type: external, command: sh, budget: 9}\n"
#define RUNGS "fidelity: {epochs: [1, 3], image_size: [4, 0]}\n"

static atomic_uint asked, anew, files_most;
static atomic_int stop_after; /* calls left; below 0: no end */
static atomic_bool cancel;

/* Starts badly and gets better, a different way each. */
static double error_at(uint64_t id, size_t rung)
{
	double whole = 0.05 + (double)(id % 1009) / 3000;

	return whole + (0.3 + (double)(id / 1009 % 97) / 700) / (double)(1 << 2 * rung) *
			       (rung < 2 ? 1 : 0);
}

static unsigned count_files(const char *path)
{
	DIR *folder = opendir(path);
	unsigned n = 0;

	for (struct dirent *e; folder && (e = readdir(folder)) != NULL;)
		n += e->d_name[0] != '.';
	if (folder)
		closedir(folder);
	return n;
}

static void note_most(void)
{
	unsigned n = count_files("r.json.states"), most = atomic_load(&files_most);

	while (n > most && !atomic_compare_exchange_weak(&files_most, &most, n))
		;
}

/* What it has learned lies in the file; without it, it begins anew. */
static enum eval_outcome answer(struct evaluator *e, void *worker, const struct eval_request *q,
				struct eval_result *r)
{
	char text[64] = "", want[64];
	FILE *fp;

	(void)e;
	(void)worker;
	cr_assert_not_null(q->rungs);
	cr_assert(q->rungs->n == 2 && q->rungs->epochs[0] == 1 && q->rungs->epochs[1] == 3 &&
		  q->rungs->image_size[0] == 4 && q->rungs->image_size[1] == 0 && q->rung <= 2);
	if (atomic_fetch_sub(&stop_after, 1) == 0)
		atomic_store(&cancel, true);
	if (atomic_load(&cancel))
		return EVAL_CANCELLED;
	atomic_fetch_add(&asked, 1);
	snprintf(want, sizeof want, "%" PRIx64 " %zu", q->id, q->rung);
	fp = q->state_path && q->rung ? fopen(q->state_path, "r") : NULL;
	if (fp) {
		cr_assert_not_null(fgets(text, sizeof text, fp));
		fclose(fp);
	}
	if (q->rung && strcmp(text, want) != 0)
		atomic_fetch_add(&anew, 1);
	if (q->state_path && q->rung < 2) {
		fp = fopen(q->state_path, "w");
		cr_assert(fp && fprintf(fp, "%" PRIx64 " %zu", q->id, q->rung + 1) > 0);
		fclose(fp);
	}
	note_most();
	if (q->id % 11 == q->rung) {
		snprintf(r->why, sizeof r->why, "no luck at %zu", q->rung);
		return EVAL_FAILED;
	}
	r->value[1] = error_at(q->id, q->rung);
	r->value[0] = 1 - r->value[1];
	r->value[2] = 100 * r->value[1] + (double)(q->id % 7);
	return EVAL_OK;
}

static struct study_summary search(const char *yaml, const char *out, unsigned jobs, bool resume,
				   enum nasc_status expect)
{
	struct study_options o = { .out = out, .jobs = jobs, .resume = resume, .cancel = &cancel };
	struct study_summary sum = { 0 };
	struct evaluator_ops ops = *evaluator_find("external");
	struct study_config c;
	struct study s;
	struct nasc_err err = { 0 };

	write_file("c.yaml", yaml);
	cr_assert_eq(config_load("c.yaml", NULL, 0, &arena, &c, &err), NASC_OK, "%s", err.msg);
	ops.in_parts = true;
	ops.check = NULL;
	ops.open = NULL;
	ops.worker_open = NULL;
	ops.worker_close = NULL;
	ops.run = answer;
	c.evaluator = &ops;
	cr_assert_eq(study_open(&s, &c, source("configs/targets"), true, &arena, &err), NASC_OK,
		     "%s", err.msg);
	cr_assert_eq(study_run(&s, &o, &sum, &err), expect, "%s", err.msg);
	study_close(&s);
	return sum;
}

static void reset(int stop)
{
	atomic_store(&asked, 0);
	atomic_store(&anew, 0);
	atomic_store(&files_most, 0);
	atomic_store(&stop_after, stop);
	atomic_store(&cancel, false);
}

/* But for the times. */
static char *text_of(const char *path)
{
	struct nasc_err err = { 0 };
	char *text, *end;
	size_t n;

	cr_assert_eq(file_read(path, 1 << 26, &arena, &text, &n, &err), NASC_OK, "%s", err.msg);
	end = strstr(text, "\"timing\"");
	cr_assert_not_null(end);
	*end = '\0';
	return text;
}

static const char *const strategies[] = {
	"strategy: {type: nsga2, population: 8}\nstop: {evaluations: 60}\n",
	"strategy: {type: random, batch: 5}\nstop: {evaluations: 60}\n",
	"strategy: {type: regularized_evolution, population: 8, sample: 3}\nstop: {trained: 57}\n",
	"strategy: {type: sms_emoa, population: 8}\nstop: {trained: 41}\n",
};
#define N_STRATEGIES (sizeof strategies / sizeof *strategies)
#define N_RUNS	     (N_STRATEGIES + 1)
#define HYPERBAND    N_STRATEGIES

static const char *yaml_of(size_t i)
{
	char *yaml = ARENA_NEW(&arena, char, 2048);

	if (i == HYPERBAND)
		snprintf(yaml, 2048,
			 "%sfidelity: {epochs: [1, 3], image_size: [4, 0], brackets: 3}\n"
			 "strategy: {type: nsga2, population: 8}\nstop: {trained: 66}\n",
			 SPACE);
	else
		snprintf(yaml, 2048, "%s%s%s", SPACE, RUNGS, strategies[i]);
	return yaml;
}

Test(fidelity, only_the_wholly_trained_are_results)
{
	for (size_t i = 0; i < N_STRATEGIES; i++) {
		char out[32];
		const char *path = out;
		struct study_summary sum;
		struct nasc_err err = { 0 };
		struct results r;
		size_t total;

		snprintf(out, sizeof out, "s%zu.json", i);
		reset(-1);
		sum = search(yaml_of(i), out, 1, false, NASC_OK);
		total = sum.reached[0] + sum.reached[1] + sum.reached[2];
		cr_expect(sum.reached[0] >= 30 && sum.reached[0] <= sum.trained);
		cr_expect(sum.reached[1] <= sum.trained / 3 && sum.reached[1] >= sum.trained / 5,
			  "%s: %" PRIu64 " of %" PRIu64, strategies[i], sum.reached[1],
			  sum.trained);
		cr_expect(sum.reached[2] <= sum.trained / 9 && sum.reached[2] >= 1, "%s: %" PRIu64,
			  strategies[i], sum.reached[2]);
		/* each rung of each once, the failed ones besides */
		cr_expect(atomic_load(&asked) >= total &&
			  atomic_load(&asked) <= total + sum.failed);
		cr_expect_eq(atomic_load(&anew), 0);
		cr_expect_eq(access("r.json.states", F_OK), -1);
		cr_assert_eq(results_load(&path, 1, &arena, &r, &err), NASC_OK, "%s", err.msg);
		cr_expect(r.n >= 1 && r.n <= sum.reached[2]);
		for (size_t k = 0; k < r.n; k++) {
			const struct result_score *s = result_score(&r.row[k], "error");

			/* what is not whole is above 0.07 higher than any of these */
			cr_expect(s->value >= 0.05 && s->value < 0.05 + 1009 / 3000.0);
			cr_expect_not_null(strstr(s->provenance,
						  "rung 3 of 3, all 9 epochs, behind "
						  "rungs of 1 and 3"),
					   "%s", s->provenance);
		}
		results_close(&r);
	}
}

/* By hand: of 2 rungs and a reduction of 3 the brackets' parts are as 9 / 3, 3 / 2 and 1. */
Test(fidelity, brackets_share_as_hyperband)
{
	static const char order[] = "01020102010"; /* always to whom most is missing */
	struct study_config c;
	struct study s;
	struct fidelity f;

	init_study(&s, &c);
	fidelity_init(&f, &s, 1, &arena);
	c.fidelity.brackets = 3;
	for (size_t i = 0; i < 1100; i++)
		cr_assert_eq(fidelity_bracket(&f), (size_t)(order[i % 11] - '0'), "%zu", i);
	cr_expect(f.in_bracket[0] == 600 && f.in_bracket[1] == 300 && f.in_bracket[2] == 200);
	/* of 110 begin 60, 30, 20; at the second rung 60 / 3 + 30 are compared */
	cr_expect_eq(fidelity_most(&s, 110, 0), 110);
	cr_expect_eq(fidelity_most(&s, 110, 1), 20 + 30 + 20);
	cr_expect_eq(fidelity_most(&s, 110, 2), 50 / 3 + 20);
	/* Never more than that are promised: with all ways to the top open, as reduction 3 lets
	 * one in three go on. */
	for (uint64_t n = 1; n < 200; n++) {
		uint64_t in[3] = { 0 };

		for (uint64_t i = 0; i < n; i++)
			in[order[i % 11] - '0']++;
		cr_expect_geq(fidelity_most(&s, n, 1), in[0] / 3 + in[1] + in[2]);
		cr_expect_geq(fidelity_most(&s, n, 2), (in[0] / 3 + in[1]) / 3 + in[2]);
		cr_expect_leq(fidelity_most(&s, n, 2), (in[0] / 3 + in[1]) / 3 + in[2] + 3);
	}
	c.fidelity.brackets = 1;
	for (size_t i = 0; i < 20; i++)
		cr_assert_eq(fidelity_bracket(&f), 0);
}

Test(fidelity, later_brackets_are_not_compared_early)
{
	struct study_summary sum;

	reset(-1);
	sum = search(yaml_of(HYPERBAND), "r.json", 1, false, NASC_OK);
	/* 36, 18 and 12 begin; one in eleven fails at a rung */
	cr_expect_eq(sum.trained, 66);
	cr_expect(sum.reached[1] <= 12 + 18 + 12 && sum.reached[1] > 12 + 18 + 12 - 12, "%" PRIu64,
		  sum.reached[1]);
	cr_expect(sum.reached[2] <= 10 + 12 && sum.reached[2] > 10 + 12 - 8, "%" PRIu64,
		  sum.reached[2]);
}

Test(fidelity, jobs_change_nothing)
{
	for (size_t i = 0; i < N_RUNS; i++) {
		char *one;

		reset(-1);
		search(yaml_of(i), "one.json", 1, false, NASC_OK);
		one = text_of("one.json");
		search(yaml_of(i), "r.json", 3, false, NASC_OK);
		cr_expect_str_eq(text_of("r.json"), one, "%s", yaml_of(i));
		/* a rung below the whole is kept for as long as its round */
		cr_expect(atomic_load(&files_most) >= 1 && atomic_load(&files_most) <= 8 + 3);
		/* and all of it is in the journal */
		reset(-1);
		search(yaml_of(i), "r.json", 2, true, NASC_OK);
		cr_expect_eq(atomic_load(&asked), 0);
		cr_expect_str_eq(text_of("r.json"), one);
		cr_expect_eq(access("r.json.states", F_OK), -1);
		unlink("one.json");
		unlink("one.json.journal");
		unlink("r.json");
		unlink("r.json.journal");
	}
}

enum harm { NONE, LOST, CORRUPTED };

static void harm_files(enum harm harm)
{
	DIR *folder = opendir("r.json.states");
	char path[512];

	for (struct dirent *e; folder && (e = readdir(folder)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "r.json.states/%s", e->d_name);
		if (harm == LOST)
			unlink(path);
		else
			write_file(path, "nonsense");
	}
	if (folder)
		closedir(folder);
}

/* Stopped every few evaluations, with the checkpoints as they are, gone or spoiled. */
Test(fidelity, stopped_and_resumed)
{
	for (size_t i = 0; i < N_RUNS; i++) {
		char *want;
		unsigned total, began_anew[3];

		reset(-1);
		search(yaml_of(i), "one.json", 1, false, NASC_OK);
		want = text_of("one.json");
		total = atomic_load(&asked);
		for (enum harm harm = NONE; harm <= CORRUPTED; harm++) {
			unsigned sum = 0, runs = 0;

			began_anew[harm] = 0;
			for (bool over = false; !over; runs++) {
				unsigned every = 2 + (runs * 7 + i) % 6;

				reset((int)every);
				/* the last run asks for less than it may */
				over = sum + every >= total;
				search(yaml_of(i), "r.json", 1, runs > 0,
				       over ? NASC_OK : NASC_INTERRUPTED);
				sum += atomic_load(&asked);
				began_anew[harm] += atomic_load(&anew);
				if (harm && !over)
					harm_files(harm);
			}
			cr_expect(runs > 4);
			cr_expect_eq(sum, total, "%s: %u asked for, not %u", yaml_of(i), sum,
				     total);
			cr_expect_str_eq(text_of("r.json"), want, "%s", yaml_of(i));
			cr_expect_eq(access("r.json.states", F_OK), -1);
			unlink("r.json");
			unlink("r.json.journal");
		}
		cr_expect_eq(began_anew[NONE], 0);
		cr_expect(began_anew[LOST] > 0 && began_anew[CORRUPTED] == began_anew[LOST],
			  "%s: %u, %u", yaml_of(i), began_anew[LOST], began_anew[CORRUPTED]);
		unlink("one.json");
		unlink("one.json.journal");
	}
}

/* Room for nothing: everything begins anew, with the same results. */
Test(fidelity, no_room_on_disk)
{
	char yaml[2048], *want;
	struct study_summary sum;

	reset(-1);
	sum = search(yaml_of(0), "one.json", 1, false, NASC_OK);
	cr_expect(sum.state_bytes > 0);
	want = strstr(text_of("one.json"), "\"front\": [");
	reset(-1);
	snprintf(yaml, sizeof yaml, "%s%s", SPACE,
		 "fidelity: {epochs: [1, 3], image_size: [4, 0], disk: 0}\n");
	snprintf(yaml + strlen(yaml), sizeof yaml - strlen(yaml), "%s", strategies[0]);
	sum = search(yaml, "r.json", 1, false, NASC_OK);
	cr_expect_eq(sum.state_bytes, 0);
	cr_expect_eq(atomic_load(&files_most), 0);
	cr_expect(atomic_load(&anew) > 0);
	cr_expect_str_eq(strstr(text_of("r.json"), "\"front\": ["), want);
}

/* Of what a kill has left whole files alone are counted and gone on from. */
Test(fidelity, folder_after_a_kill)
{
	const uint64_t whole = 0x0123456789abcdef, linked = 0xff;
	struct nasc_err err = { 0 };
	struct states *s;
	char text[8];
	FILE *fp;

	cr_assert_eq(mkdir("r.json.states", 0777), 0);
	write_file("r.json.states/0123456789abcdef.state", "12345");
	write_file("r.json.states/0123456789abcdef.state.0.tmp", "12");
	write_file("r.json.states/notes", "mine");
	write_file("mine", "mine");
	cr_assert_eq(symlink("../mine", "r.json.states/00000000000000ff.state"), 0);
	cr_assert_eq(states_open(&s, "r.json", 6, true, &err), NASC_OK, "%s", err.msg);
	cr_expect_eq(count_files("r.json.states"), 2);
	cr_expect_not_null(states_take(s, whole, &arena)); /* so there is room for another one */
	cr_expect_not_null(states_take(s, linked, &arena));
	states_give(s, whole);
	cr_expect_eq(states_most(s), 5);
	states_close(s, true);
	cr_assert_eq(states_open(&s, "r.json", 5, true, &err), NASC_OK, "%s", err.msg);
	cr_expect_null(states_take(s, linked, &arena));
	states_drop(s, whole);
	cr_expect_not_null(states_take(s, linked, &arena));
	states_close(s, false);
	cr_expect_eq(count_files("r.json.states"), 1); /* another's */
	fp = fopen("mine", "r");
	cr_assert(fp && fgets(text, sizeof text, fp));
	cr_expect_str_eq(text, "mine");
	fclose(fp);
}

Test(fidelity, folder_in_the_way)
{
	struct study_options o = { .out = "r.json", .jobs = 1 };
	struct study_summary sum;
	struct study_config c;
	struct evaluator_ops ops = *evaluator_find("external");
	struct study s;
	struct nasc_err err = { 0 };

	write_file("c.yaml", yaml_of(0));
	write_file("r.json.states", "mine");
	cr_assert_eq(config_load("c.yaml", NULL, 0, &arena, &c, &err), NASC_OK, "%s", err.msg);
	ops.in_parts = true;
	c.evaluator = &ops;
	cr_assert_eq(study_open(&s, &c, source("configs/targets"), true, &arena, &err), NASC_OK);
	cr_expect_eq(study_run(&s, &o, &sum, &err), NASC_FAIL);
	cr_expect_str_eq(err.msg, "r.json.states: in the way of the folder of checkpoints; remove "
				  "it, or give another --out");
	study_close(&s);
}

/* ---- the config ------------------------------------------------------------------------ */

struct bad_cfg {
	char yaml[200], want[200];
};

#define TRAINED "evaluator: {type: external, command: sh, budget: 9}\n"

ParameterizedTestParameters(fidelity, refuses)
{
	static struct bad_cfg cases[] = {
		{ TRAINED "fidelity: {epochs: [3, 1]}\n",
		  "c.yaml:5: fidelity: epochs: 1 behind 3; they must rise" },
		{ TRAINED "fidelity: {epochs: [3, 3]}\n",
		  "c.yaml:5: fidelity: epochs: 3 behind 3; they must rise" },
		{ TRAINED "fidelity: {epochs: [1, 9]}\n",
		  "c.yaml:5: fidelity: epochs: 9 is not below the evaluator's own 9, which come "
		  "behind them by themselves" },
		{ TRAINED "fidelity: {epochs: [1, 2, 3, 4, 5, 6, 7, 8, 8]}\n",
		  "c.yaml:5: fidelity: epochs: 9 rungs, at most 8 are right" },
		{ TRAINED "fidelity: {epochs: 0}\n",
		  "c.yaml:5: epochs: 0 is outside [1, 10000] epochs" },
		{ TRAINED "fidelity: {image_size: 14}\n",
		  "c.yaml:5: fidelity: image_size: there are no 'epochs' at which to change it" },
		{ TRAINED "fidelity: {epochs: 1, image_size: 14}\n",
		  "c.yaml:5: fidelity: image_size: evaluator 'external' is told no image size; "
		  "leave it out" },
		{ TRAINED "fidelity: {epochs: 1, signal: loss}\n",
		  "c.yaml:5: fidelity: signal: evaluator 'external' does not tell its losses; "
		  "'auto' and 'error' are right" },
		{ TRAINED "fidelity: {epochs: 1, reduction: 1}\n",
		  "c.yaml:5: reduction: 1 is outside [2, 1000] candidates" },
		{ TRAINED "fidelity: {epochs: [1, 3], brackets: 4}\n",
		  "c.yaml:5: fidelity: brackets: 4 for 2 rungs; one more than these at most" },
		{ TRAINED "fidelity: {brackets: 2}\n",
		  "c.yaml:5: fidelity: brackets: there are no 'epochs' that some could pass" },
		{ TRAINED "fidelity: {epoch: 1}\n",
		  "c.yaml:5: unknown key 'epoch'; did you mean 'epochs'?" },
		{ TRAINED "fidelity: [1, 3]\n", "c.yaml:5: fidelity: expected a map of keys" },
		{ "fidelity: {epochs: 1}\n", "c.yaml:4: fidelity: epochs: there is no 'evaluator' "
					     "that trains" },
		{ "evaluator: {type: synflow}\nfidelity: {epochs: 1}\n",
		  "c.yaml:5: fidelity: epochs: evaluator 'synflow' trains nothing in parts; "
		  "external "
		  "train can" },
	};

	return cr_make_param_array(struct bad_cfg, cases, sizeof cases / sizeof *cases);
}
ParameterizedTest(struct bad_cfg *b, fidelity, refuses)
{
	struct nasc_err err = { 0 };
	struct study_config c;
	struct study s;
	char yaml[1024];

	snprintf(yaml, sizeof yaml,
		 "space: {type: densenet}\ntargets: [stm32f746]\nobjectives: [sram]\n%s", b->yaml);
	write_file("c.yaml", yaml);
	if (config_load("c.yaml", NULL, 0, &arena, &c, &err) == NASC_OK)
		cr_expect_eq(study_open(&s, &c, source("configs/targets"), false, &arena, &err),
			     NASC_CONFIG);
	cr_expect_eq(err.code, NASC_CONFIG);
	cr_expect_str_eq(err.msg, b->want);
}

/* An evaluator that images are needed for gets one size for all rungs, or one each. */
Test(fidelity, sizes_of_rungs)
{
	static const char *const given[] = { "12", "[12, 20]", "[12, 16, 20]" };
	struct evaluator_ops ops = *evaluator_find("external");
	struct nasc_err err = { 0 };
	struct study_config c;
	struct study s;
	char yaml[1024];

	ops.in_parts = true;
	for (int i = 0; i < 3; i++) {
		snprintf(yaml, sizeof yaml, "%sfidelity: {epochs: [2, 4], image_size: %s}\n", SPACE,
			 given[i]);
		write_file("c.yaml", yaml);
		cr_assert_eq(config_load("c.yaml", NULL, 0, &arena, &c, &err), NASC_OK, "%s",
			     err.msg);
		c.evaluator = &ops;
		cr_expect_eq(study_open(&s, &c, source("configs/targets"), false, &arena, &err),
			     i < 2 ? NASC_OK : NASC_CONFIG, "%s", err.msg);
		if (i < 2)
			cr_expect(s.rungs.n == 2 && s.rungs.image_size[0] == 12 &&
				  s.rungs.image_size[1] == (i ? 20 : 12));
	}
	cr_expect_str_eq(err.msg, "c.yaml:7: fidelity: image_size: 3 numbers for 2 rungs; one for "
				  "all or one each is right");
	/* of 100: 33 and 11; epochs 2, 4 and the evaluator's 9 */
	cr_expect_eq(fidelity_most(&s, 100, 0), 100);
	cr_expect_eq(fidelity_most(&s, 100, 1), 33);
	cr_expect_eq(fidelity_most(&s, 100, 2), 11);
}
