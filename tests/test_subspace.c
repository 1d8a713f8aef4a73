#define _XOPEN_SOURCE 700 /* nftw() */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "scratch.h"
#include "space_fixture.h"
#include "study.h"

TestSuite(subspace, .init = begin, .fini = finish);

/* 6 sub-spaces of 32 vectors. */
#define AXES "growth: [4, 8, 12], resolution: [8, 12]"
#define TINY                                                                                       \
	"space: {type: densenet, blocks: 1, layers: [1, 2], kernel: [1, 3], bottleneck: off,\n"    \
	"  bottleneck_factor: 2, compression: 50, stem_width: [8, 12, 16, 24], stem_kernel: 3,\n"  \
	"  stem_stride: [1, 2], activation: relu, transition_pool: avg, " AXES "}\n"               \
	"input: {height: 8, width: 8, channels: 1, classes: 4}\ntargets: [stm32f746]\n"            \
	"objectives: [max macs, sram]\nconstraints: {sram: \"<= 1500\", params: \">= 500\"}\n"
#define VECTORS 32

static void open_study(const char *yaml, const char *const *set, size_t n_set,
		       struct study_config *c, struct study *s)
{
	struct nasc_err err = { 0 };

	write_file("c.yaml", yaml);
	cr_assert_eq(config_load("c.yaml", set, n_set, &arena, c, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(study_open(s, c, source("configs/targets"), true, &arena, &err), NASC_OK, "%s",
		     err.msg);
}

/* As a user would look at one sub-space: a config of its own. */
static void open_alone(const struct subspaces *all, const struct subspace *row,
		       struct study_config *c, struct study *s)
{
	char text[SPACE_MAX_AXES][64];
	const char *set[SPACE_MAX_AXES];

	for (size_t i = 0; i < all->n_axes; i++) {
		snprintf(text[i], sizeof text[i], "space.%s=%lld", all->axis[i]->key,
			 (long long)row->value[i]);
		set[i] = text[i];
	}
	open_study(TINY, set, all->n_axes, c, s);
}

/* MACs where the target's sizes are within the bounds of TINY and of the chip; else -1. */
static double macs_if_fit(const struct study *s, const uint32_t *gene)
{
	double value[STUDY_MAX_METRICS], sram = NAN, flash = NAN, params = NAN;
	uint64_t bounds;
	struct network net;
	struct nasc_err err = { 0 };

	space_decode(&s->space, gene, &arena, &net);
	cr_assert_eq(study_costs(s, &net, &arena, value, &bounds, &err), NASC_OK);
	for (size_t i = 0; i < s->n_metrics; i++) {
		sram = strcmp(s->metric[i].key, "sram_bytes") == 0 ? value[i] : sram;
		flash = strcmp(s->metric[i].key, "flash_bytes") == 0 ? value[i] : flash;
		params = strcmp(s->metric[i].key, "params") == 0 ? value[i] : params;
	}
	return sram <= 1500 && flash <= 1 << 20 && params >= 500 ? (double)network_macs(&net) : -1;
}

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* MACs of the vectors that fit, ascending; how many. */
static size_t enumerate(const struct subspaces *all, const struct subspace *row, double *macs)
{
	struct study_config c;
	struct study s;
	uint32_t *gene;
	size_t n = 0, vectors = 0;

	open_alone(all, row, &c, &s);
	gene = ARENA_NEW(&arena, uint32_t, s.space.n_genes);
	do {
		macs[n] = macs_if_fit(&s, gene);
		n += macs[n] >= 0;
		vectors++;
	} while (next_genome(&s.space, gene));
	cr_assert_eq(vectors, VECTORS);
	qsort(macs, n, sizeof *macs, by_number);
	study_close(&s);
	return n;
}

/* Part of the sorted @macs that is at most, or below, @limit. */
static double cdf(const double *macs, size_t n, double limit, bool below)
{
	size_t k = 0;

	while (k < n && (below ? macs[k] < limit : macs[k] <= limit))
		k++;
	return (double)k / (double)n;
}

/* Of a space that can be walked: share, mean and quantiles as they are, within what chance leaves
 * (four standard deviations; Dvoretzky-Kiefer-Wolfowitz at 1e-6 for the quantiles). */
Test(subspace, as_all_of_them_say)
{
	const size_t sampled = 20000;
	struct study_config c;
	struct study s;
	struct subspaces all;
	struct nasc_err err = { 0 };
	double before = INFINITY;

	open_study(TINY, NULL, 0, &c, &s);
	cr_assert_eq(study_rank_subspaces(&s, sampled, 2, &arena, &all, &err), NASC_OK, "%s",
		     err.msg);
	cr_assert_eq(all.n, 6);
	cr_assert_eq(all.n_axes, 2);
	for (const struct subspace *row = all.row; row < all.row + all.n; row++) {
		double macs[VECTORS + 1], mean = 0, square = 0, share, n_fit = (double)row->n_fit;
		size_t n = enumerate(&all, row, macs);

		for (size_t i = 0; i < n; i++) {
			mean += macs[i] / (double)n;
			square += macs[i] * macs[i] / (double)n;
		}
		share = (double)n / VECTORS;
		cr_assert(n > 1 && n < VECTORS, "%zu fit: the bounds tell nothing", n);
		cr_expect_float_eq(n_fit / (double)sampled, share,
				   4 * sqrt(share * (1 - share) / (double)sampled));
		cr_expect_float_eq(row->mean, mean, 4 * sqrt((square - mean * mean) / n_fit));
		cr_expect_lt(mean, before, "not by mean: %g behind %g", mean, before);
		before = mean;
		for (int percent = 5; percent < 100; percent += 5) {
			double p = percent / 100.0, at = subspace_quantile(row, p);
			double off = sqrt(log(2 / 1e-6) / (2 * n_fit));

			cr_expect_geq(cdf(macs, n, at, false), p - off, "p %g", p);
			cr_expect_leq(cdf(macs, n, at, true), p + off, "p %g", p);
		}
	}
	study_close(&s);
}

/* A sub-space is what the config with one value of each axis is: the same networks, drawn from the
 * stream of its place. */
Test(subspace, as_its_own_config_says)
{
	const size_t sampled = 100;
	struct study_config c;
	struct study s;
	struct subspaces all;
	struct nasc_err err = { 0 };

	open_study(TINY "seed: 5\n", NULL, 0, &c, &s);
	cr_assert_eq(study_rank_subspaces(&s, sampled, 1, &arena, &all, &err), NASC_OK);
	for (const struct subspace *row = all.row; row < all.row + all.n; row++) {
		size_t place = (size_t)(row->value[0] / 4 - 1) * 2 + (row->value[1] == 12), n = 0;
		double macs[101], sum = 0;
		struct study_config own_c;
		struct study own;
		struct rng rng;
		uint32_t gene[32];

		open_alone(&all, row, &own_c, &own);
		cr_assert_leq(own.space.n_genes, 32);
		rng_stream(&rng, 5, RNG_SUBSPACE, place);
		for (size_t i = 0; i < sampled; i++) {
			space_sample(&own.space, &rng, gene);
			macs[n] = macs_if_fit(&own, gene);
			n += macs[n] >= 0;
		}
		qsort(macs, n, sizeof *macs, by_number);
		cr_assert_eq(row->n_fit, n);
		cr_expect_arr_eq(row->macs, macs, n * sizeof *macs);
		for (size_t i = 0; i < n; i++)
			sum += macs[i];
		cr_expect_eq(row->mean, sum / (double)n);
		study_close(&own);
	}
	study_close(&s);
}

Test(subspace, same_at_any_jobs)
{
	static const unsigned jobs[] = { 1, 2, 7 };
	struct study_config c;
	struct study s;
	struct subspaces all[3];
	struct nasc_err err = { 0 };

	open_study(TINY, NULL, 0, &c, &s);
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(study_rank_subspaces(&s, 200, jobs[i], &arena, &all[i], &err),
			     NASC_OK);
	for (size_t k = 0; k < all[0].n; k++)
		for (size_t i = 1; i < 3; i++) {
			const struct subspace *a = &all[0].row[k], *b = &all[i].row[k];

			cr_assert_arr_eq(a->value, b->value, sizeof a->value);
			cr_assert_eq(a->n_fit, b->n_fit);
			cr_assert_eq(a->mean, b->mean);
			cr_assert_arr_eq(a->macs, b->macs, a->n_fit * sizeof *a->macs);
		}
	study_close(&s);
}

/* By hand: the least that half, four fifths ... of five numbers do not exceed. */
Test(subspace, quantiles)
{
	double macs[] = { 10, 20, 20, 40, 50 };
	struct subspace row = { .n_fit = 5, .macs = macs }, none = { .n_fit = 0 };

	cr_expect_eq(subspace_quantile(&row, 1e-9), 10);
	cr_expect_eq(subspace_quantile(&row, 0.2), 10);
	cr_expect_eq(subspace_quantile(&row, 0.21), 20);
	cr_expect_eq(subspace_quantile(&row, 0.5), 20);
	cr_expect_eq(subspace_quantile(&row, 0.8), 40);
	cr_expect_eq(subspace_quantile(&row, 0.95), 50);
	cr_expect_eq(subspace_quantile(&row, 1), 50);
	cr_expect(isnan(subspace_quantile(&none, 0.5)));
}

/* Images of 2 x 2 have no network of three blocks. Of those of 64 x 64, with more to compute
 * than of 16 x 16, only some with the narrowest of 16 stems fit. */
Test(subspace, few_and_none_stand_behind)
{
	const char *set[] = {
		"space.resolution=[2, 16, 32, 64]", "space.blocks=3", "space.growth=4",
		"space.stem_width=[8, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 44]",
		"constraints.sram=<= 20 KiB"
	};
	struct study_config c;
	struct study s;
	struct subspaces all;
	struct nasc_err err = { 0 };

	open_study(TINY, set, 5, &c, &s);
	cr_assert_eq(study_rank_subspaces(&s, 1000, 1, &arena, &all, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(all.n_axes, 1);
	cr_assert_eq(all.n, 4);
	cr_expect_str_eq(all.axis[0]->key, "resolution");
	for (size_t i = 0; i < all.n; i++)
		cr_expect_eq(all.row[i].value[0], ((int64_t[]){ 32, 16, 64, 2 })[i], "%zu: %zu", i,
			     all.row[i].n_fit);
	cr_expect_geq(all.row[1].n_fit, 20);
	cr_expect_gt(all.row[0].mean, all.row[1].mean);
	cr_expect(all.row[2].n_fit > 0 && all.row[2].n_fit < 20);
	cr_expect_gt(all.row[2].mean, all.row[1].mean);
	cr_expect(all.row[3].n_fit == 0 && isnan(all.row[3].mean));
	study_close(&s);
}

/* Mean MACs of sub-spaces as MCUNet's paper has them for this board (the CDFs of arXiv:2007.10319,
 * section 3.1), where the stem's width follows the others and the memory is their engine's; 50, 144
 * has the most. */
Test(subspace, as_published)
{
	static const struct {
		int64_t width, resolution;
		double macs;
	} published[] = { { 50, 144, 52.0e6 }, { 40, 144, 46.9e6 }, { 50, 128, 46.9e6 },
			  { 40, 128, 39.3e6 }, { 50, 112, 38.3e6 }, { 30, 160, 32.5e6 },
			  { 40, 112, 32.4e6 } };
	const char *set[] = { "space.width=[30, 40, 50]", "space.resolution=[112, 128, 144, 160]" };
	struct study_config c;
	struct study s;
	struct subspaces all;
	struct nasc_err err = { 0 };
	double most = 0;

	cr_assert_eq(config_load(source("configs/mcunet-space.yaml"), set, 2, &arena, &c, &err),
		     NASC_OK, "%s", err.msg);
	cr_assert_eq(study_open(&s, &c, source("configs/targets"), false, &arena, &err), NASC_OK,
		     "%s", err.msg);
	cr_assert_eq(study_rank_subspaces(&s, 500, 2, &arena, &all, &err), NASC_OK, "%s", err.msg);
	cr_expect_str_eq(all.axis[0]->key, "width");
	cr_expect_str_eq(all.axis[1]->key, "resolution");
	for (size_t i = 0; i < 7; i++) {
		const struct subspace *row = all.row;

		while (row->value[0] != published[i].width ||
		       row->value[1] != published[i].resolution)
			row++;
		cr_expect_float_eq(row->mean, published[i].macs, 0.2 * published[i].macs,
				   "%lld, %lld: %g", (long long)row->value[0],
				   (long long)row->value[1], row->mean);
		most = i == 0 ? row->mean : most;
		cr_expect_leq(row->mean, most);
	}
	study_close(&s);
}
