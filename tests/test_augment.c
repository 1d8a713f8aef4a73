#include <criterion/criterion.h>
#include <math.h>

#include "batch.h"
#include "leak.h"
#include "train_fixture.h"

/* Augmentation: views made by hand, and the draws of them. */

TestSuite(augment, .fini = no_leaks);

static const uint8_t nine[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };

static void open_nine(struct batch *b, struct dataset *data, const uint8_t *label,
		      struct net_shape shape, size_t n, struct arena *a)
{
	*data = (struct dataset){ .n = n,
				  .shape = shape,
				  .classes = 2,
				  .image = nine,
				  .label = label,
				  .mean = { 0 },
				  .std = { 1 / 255.0f } };
	batch_open(b, data, data, shape, a);
}

static void check(const char *what, const float *got, const double *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		near(what, i, (double)got[i], want[i], 1e-4);
}

Test(augment, images_turned_and_scaled)
{
	/* A quarter turn; twice as large: halfway between the middle and its neighbours; a
	 * shear by one pixel a row, what lies outside is black. */
	static const double turned[] = { 7, 4, 1, 8, 5, 2, 9, 6, 3 };
	static const double larger[] = { 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7 };
	static const double sheared[] = { 0, 1, 2, 4, 5, 6, 8, 9, 0 };
	static const double line[] = { 1.5, 2, 2.5 };
	static const uint8_t label[3] = { 0 };
	struct arena a = { 0 };
	struct dataset data;
	struct batch b;
	float out[9 * (1 + BATCH_SPARE)];
	uint8_t got;

	open_nine(&b, &data, label, (struct net_shape){ 3, 3, 1 }, 1, &a);
	b.augment.rotate = 1;
	b.view[0] = (struct batch_view){ .back = { 0, 1, -1, 0 } };
	batch_fetch(&b, 0, 1, out, &got);
	check("turned", out, turned, 9);
	b.view[0] = (struct batch_view){ .back = { .5f, 0, 0, .5f } };
	batch_fetch(&b, 0, 1, out, &got);
	check("larger", out, larger, 9);
	b.view[0] = (struct batch_view){ .back = { 1, 1, 0, 1 } };
	batch_fetch(&b, 0, 1, out, &got);
	check("sheared", out, sheared, 9);
	open_nine(&b, &data, label, (struct net_shape){ 1, 3, 1 }, 3, &a);
	b.augment.rotate = 1;
	b.view[0] = (struct batch_view){ .back = { .5f, 0, 0, 1 } };
	batch_fetch(&b, 0, 1, out, &got);
	check("a line", out, line, 3);
	arena_free(&a);
}

Test(augment, a_square_is_cut_out)
{
	static const double middle[] = { 0, 0, 3, 0, 0, 6, 7, 8, 9 }; /* 2x2 from 1 - 2/2 on */
	static const double corner[] = { 1, 2, 3, 4, 0, 0, 7, 0, 0 };
	static const double line[] = { 1, 0, 0, 4, 5, 6, 7, 8, 9 };
	static const uint8_t label[1] = { 0 };
	struct arena a = { 0 };
	struct dataset data;
	struct batch b;
	float out[9];
	uint8_t got;

	open_nine(&b, &data, label, (struct net_shape){ 3, 3, 1 }, 1, &a);
	b.augment.cutout = 2;
	b.view[0] = (struct batch_view){ .cut_x = 1, .cut_y = 1 };
	batch_fetch(&b, 0, 1, out, &got);
	check("middle", out, middle, 9);
	b.view[0] = (struct batch_view){ .cut_x = 2, .cut_y = 2 };
	batch_fetch(&b, 0, 1, out, &got);
	check("corner", out, corner, 9);
	open_nine(&b, &data, label, (struct net_shape){ 1, 9, 1 }, 1, &a);
	b.augment.cutout = 2;
	b.view[0] = (struct batch_view){ .cut_x = 2 };
	batch_fetch(&b, 0, 1, out, &got);
	check("a line", out, line, 9);
	arena_free(&a);
}

/* Three images of three values; a step of all: the first and the last are mixed. */
Test(augment, two_images_are_mixed)
{
	static const uint8_t label[] = { 0, 1, 1 };
	static const double want[] = { 2.5, 3.5, 4.5, 4, 5, 6, 5.5, 6.5, 7.5 };
	struct arena a = { 0 };
	struct dataset data;
	struct batch b;
	float out[9 + 3 * BATCH_SPARE];
	uint8_t got[3], other;

	open_nine(&b, &data, label, (struct net_shape){ 1, 3, 1 }, 3, &a);
	b.augment = (struct augment){ .mixup = 1, .step = 3 };
	for (int i = 0; i < 3; i++)
		b.view[i].mix = .25f;
	batch_fetch(&b, 0, 3, out, got);
	check("mixed", out, want, 9);
	cr_assert(got[0] == 0 && got[1] == 1 && got[2] == 1);
	cr_assert_eq(batch_mixed(&b, 0, &other), .25f);
	cr_assert_eq(other, 1);
	batch_mixed(&b, 2, &other);
	cr_assert_eq(other, 0);
	arena_free(&a);
}

/* Draws stay within their bounds and reach near them; parts have the moments of Beta(a, a):
 * mean 1/2, variance 1 / (4 (2 a + 1)). */
Test(augment, draws_of_views)
{
	static const uint8_t label[1] = { 0 };
	struct arena a = { 0 };
	struct dataset data;
	struct rng shuffle, augment;
	struct batch b;
	double most_angle = 0, most_scale = 0, sum = 0, squares = 0;
	unsigned seen_x = 0;
	const int n = 4000;

	open_nine(&b, &data, label, (struct net_shape){ 3, 3, 1 }, 1, &a);
	b.augment =
		(struct augment){ .rotate = 30, .scale = .5, .cutout = 1, .mixup = .4, .step = 1 };
	rng_stream(&shuffle, 1, RNG_SHUFFLE, 1);
	rng_stream(&augment, 1, RNG_AUGMENT, 1);
	for (int i = 0; i < n; i++) {
		const float *m = b.view[0].back;
		double scale, angle;

		batch_shuffle(&b, &shuffle, &augment);
		scale = 1 / sqrt((double)(m[0] * m[3] - m[1] * m[2]));
		angle = fabs(atan2((double)m[1], (double)m[0])) * 180 / 3.14159265358979323846;
		cr_assert(scale > .4999 && scale < 1.5001 && angle < 30.001);
		most_angle = fmax(most_angle, angle);
		most_scale = fmax(most_scale, scale);
		cr_assert(b.view[0].cut_x < 3 && b.view[0].cut_y < 3);
		seen_x |= 1u << b.view[0].cut_x;
		sum += (double)b.view[0].mix;
		squares += (double)b.view[0].mix * (double)b.view[0].mix;
	}
	cr_assert(most_angle > 29 && most_scale > 1.49 && seen_x == 7);
	near("mean", 0, sum / n, 0.5, 0.02);
	near("variance", 0, squares / n - sum / n * sum / n, 1 / (4 * 1.8), 0.01);
	arena_free(&a);
}
