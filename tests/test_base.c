#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "err.h"
#include "leak.h"
#include "rng.h"
#include "units.h"

#if defined(__SANITIZE_ADDRESS__) || defined(NASC_HAS_LSAN)
#include <sanitizer/asan_interface.h>
#define POISONED(p) __asan_address_is_poisoned(p)
#else
#define POISONED(p) 1
#endif

TestSuite(rng, .fini = no_leaks);
TestSuite(arena, .fini = no_leaks);
TestSuite(err, .fini = no_leaks);
TestSuite(units, .fini = no_leaks);

/* ---- random numbers -------------------------------------------------------- */

/* tests/pcg_oracle.cpp; numbers of 128 bits as high and low half */
void pcg_oracle(const uint64_t state[2], const uint64_t stream[2], uint64_t *out, size_t n);

static rng_u128 joined(const uint64_t half[2])
{
	return (rng_u128)half[0] << 64 | half[1];
}

/* The published generator SplitMix64 (Vigna, prng.di.unimi.it/splitmix64.c). */
static uint64_t splitmix64(uint64_t *x)
{
	uint64_t z = (*x += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t mixed(uint64_t x)
{
	return splitmix64(&x);
}

static void assert_as_pcg64(const uint64_t state[2], const uint64_t stream[2])
{
	enum { N = 1000 };
	uint64_t want[N];
	struct rng r;

	pcg_oracle(state, stream, want, N);
	rng_seed(&r, joined(state), joined(stream));
	for (size_t i = 0; i < N; i++)
		cr_assert_eq(rng_u64(&r), want[i], "output %zu", i);
}

Test(rng, equals_pcg64_stream_for_stream)
{
	static const uint64_t edge[] = { 0, 1, 42, UINT64_MAX, (uint64_t)1 << 63 };
	uint64_t x = 2026;

	for (size_t i = 0; i < 5 * 5 * 5 * 5; i++) {
		const uint64_t state[] = { edge[i % 5], edge[i / 5 % 5] };
		const uint64_t stream[] = { edge[i / 25 % 5], edge[i / 125] };

		assert_as_pcg64(state, stream);
	}
	for (size_t i = 0; i < 500; i++) {
		const uint64_t state[] = { splitmix64(&x), splitmix64(&x) };
		const uint64_t stream[] = { splitmix64(&x), splitmix64(&x) };

		assert_as_pcg64(state, stream);
	}
}

/* Results are repeatable only while a stream stays what it is: the derivation
 * spelled out with the published parts. */
Test(rng, derives_streams_as_recorded)
{
	const uint64_t seed = 7, purpose = RNG_SHUFFLE, id = 123456789;
	const uint64_t state[] = { mixed(seed), mixed(mixed(seed) ^ mixed(id ^ mixed(purpose))) };
	const uint64_t stream[] = { purpose, id };
	uint64_t want[10], zero = 0;
	struct rng r;

	cr_assert_eq(splitmix64(&zero), 0xe220a8397b1dcdafu); /* published first output of seed 0 */
	cr_assert_eq(RNG_SHUFFLE, 4);
	pcg_oracle(state, stream, want, 10);
	rng_stream(&r, seed, RNG_SHUFFLE, id);
	for (size_t i = 0; i < 10; i++)
		cr_assert_eq(rng_u64(&r), want[i]);
}

/* Neighbouring seeds, purposes and candidates: the outputs of two unrelated
 * streams differ in 32 of 64 bits, standard deviation 4 / sqrt(outputs). */
Test(rng, neighbouring_streams_are_unrelated)
{
	enum { N = 4096 };
	static const struct {
		uint64_t seed, id;
		enum rng_purpose purpose;
	} other[] = { { 8, 0, RNG_INIT }, { 7, 1, RNG_INIT }, { 7, 0, RNG_SHUFFLE } };

	for (size_t k = 0; k < 3; k++) {
		struct rng a, b;
		double bits = 0;

		rng_stream(&a, 7, RNG_INIT, 0);
		rng_stream(&b, other[k].seed, other[k].purpose, other[k].id);
		for (size_t i = 0; i < N; i++)
			bits += __builtin_popcountll(rng_u64(&a) ^ rng_u64(&b));
		cr_assert_float_eq(bits / N, 32, 5 * 4 / sqrt(N), "pair %zu: %g bits", k, bits / N);
	}
}

/* Sum of (observed - expected)^2 / expected over @n equally likely cells. */
static double chi_square(const size_t *count, size_t n, double draws)
{
	double expected = draws / (double)n, sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += ((double)count[i] - expected) * ((double)count[i] - expected) / expected;
	return sum;
}

/* Bounds: the chi-square distribution's upper 10^-4 quantile at n - 1 degrees of
 * freedom (tables: 18.42 at 2, 25.74 at 5). */
Test(rng, below_is_uniform)
{
	enum { DRAWS = 60000 };
	size_t die[6] = { 0 }, third[3] = { 0 };
	struct rng r;

	rng_seed(&r, 1, 2);
	for (size_t i = 0; i < DRAWS; i++) {
		uint64_t v = rng_below(&r, 6);

		cr_assert_lt(v, 6);
		die[v]++;
		/* without rejection the multiples of three would be half of all */
		third[rng_below(&r, (uint64_t)3 << 62) % 3]++;
		cr_assert_eq(rng_below(&r, 1), 0);
	}
	cr_assert_lt(chi_square(die, 6, DRAWS), 25.74);
	cr_assert_lt(chi_square(third, 3, DRAWS), 18.42);
}

Test(rng, between_reaches_both_ends)
{
	bool low = false, high = false;
	size_t negative = 0;
	struct rng r;

	rng_seed(&r, 3, 4);
	for (size_t i = 0; i < 1000; i++) {
		int64_t v = rng_between(&r, -1, 2);

		cr_assert(v >= -1 && v <= 2);
		low = low || v == -1;
		high = high || v == 2;
		cr_assert_eq(rng_between(&r, INT64_MIN, INT64_MIN), INT64_MIN);
		negative += rng_between(&r, INT64_MIN, INT64_MAX) < 0;
	}
	cr_assert(low && high);
	cr_assert(negative > 420 && negative < 580); /* 500, 5 standard deviations of 16 */
}

/* Moments of U(0, 1) and N(0, 1), each within five standard errors at 10^6 draws. */
Test(rng, unit_and_normal_have_their_moments)
{
	enum { N = 1000000 };
	double u1 = 0, u2 = 0, z1 = 0, z2 = 0, z4 = 0, inside = 0;
	struct rng r;

	rng_seed(&r, 5, 6);
	for (size_t i = 0; i < N; i++) {
		double u = rng_unit(&r), z = rng_normal(&r);

		cr_assert(u >= 0 && u < 1);
		u1 += u / N;
		u2 += u * u / N;
		z1 += z / N;
		z2 += z * z / N;
		z4 += z * z * z * z / N;
		inside += fabs(z) < 1 ? 1.0 / N : 0;
	}
	cr_assert_float_eq(u1, 0.5, 5 * sqrt(1.0 / 12 / N));
	cr_assert_float_eq(u2, 1.0 / 3, 5 * sqrt(4.0 / 45 / N));
	cr_assert_float_eq(z1, 0, 5 * sqrt(1.0 / N));
	cr_assert_float_eq(z2, 1, 5 * sqrt(2.0 / N));
	cr_assert_float_eq(z4, 3, 5 * sqrt(96.0 / N));
	cr_assert_float_eq(inside, 0.6826895, 5 * sqrt(0.2166 / N));
}

Test(rng, shuffle_gives_every_order_alike)
{
	enum { DRAWS = 60000 };
	size_t count[6] = { 0 };
	struct rng r;

	rng_seed(&r, 7, 8);
	for (size_t i = 0; i < DRAWS; i++) {
		uint32_t v[3] = { 0, 1, 2 };

		rng_shuffle_u32(&r, v, 3);
		cr_assert_eq(1u << v[0] | 1u << v[1] | 1u << v[2], 7);
		count[2 * v[0] + (v[1] > v[2])]++;
	}
	cr_assert_lt(chi_square(count, 6, DRAWS), 25.74);
	rng_shuffle_u32(&r, NULL, 0);
}

/* ---- arena ------------------------------------------------------------------ */

Test(arena, gives_aligned_zeroed_memory_of_its_own)
{
	struct arena a = { 0 };
	struct {
		unsigned char *p;
		size_t n;
	} got[2000];
	struct rng r;

	rng_seed(&r, 9, 10);
	for (size_t i = 0; i < 2000; i++) {
		size_t align = (size_t)1 << rng_below(&r, 9);
		size_t n = rng_below(&r, i % 100 ? 300 : 200000);

		got[i].p = arena_alloc(&a, n, 1, align);
		got[i].n = n;
		cr_assert_eq((uintptr_t)got[i].p % align, 0, "alignment %zu", align);
		for (size_t k = 0; k < n; k++)
			cr_assert_eq(got[i].p[k], 0);
		memset(got[i].p, (int)(i % 255 + 1), n);
	}
	for (size_t i = 0; i < 2000; i++) {
		for (size_t k = 0; k < got[i].n; k++)
			cr_assert_eq(got[i].p[k], i % 255 + 1, "overlap at %zu", i);
	}
	arena_free(&a);
	arena_free(&a);
	cr_assert_eq(a.bytes, 0);
}

/* The second and every later turn of a loop lives in the first turn's blocks. */
Test(arena, rewind_reuses_its_blocks)
{
	struct arena a = { 0 };
	char *kept = arena_strdup(&a, "kept");
	void *first[3] = { NULL };
	size_t bytes = 0;

	for (size_t turn = 0; turn < 10; turn++) {
		struct arena_mark m = arena_mark(&a);
		void *p[3] = { ARENA_NEW(&a, char, 60000), ARENA_NEW(&a, double, 100000),
			       ARENA_NEW(&a, char, 50000) };

		cr_assert_eq(*(char *)p[0], 0);
		memset(p[0], 0xff, 60000);
		if (turn == 0) {
			memcpy(first, p, sizeof first);
			bytes = a.bytes;
		}
		cr_assert_arr_eq(p, first, sizeof first);
		cr_assert_eq(a.bytes, bytes);
		arena_rewind(&a, m);
		cr_assert(POISONED((char *)p[0]) && POISONED((char *)p[0] + 59999) &&
			  POISONED((char *)p[1]));
	}
	cr_assert_str_eq(kept, "kept");
	arena_free(&a);
}

/* Requests that grow from turn to turn do not add up. */
Test(arena, rewind_does_not_hoard)
{
	struct arena a = { 0 };

	for (size_t turn = 1; turn <= 100; turn++) {
		struct arena_mark m = arena_mark(&a);

		arena_alloc(&a, turn, 100000, 1);
		arena_rewind(&a, m);
	}
	cr_assert_lt(a.bytes, 2 * 100 * 100000);
	arena_free(&a);
}

Test(arena, impossible_size_exits, .exit_code = 1)
{
	struct arena a = { 0 };

	arena_alloc(&a, SIZE_MAX / 2, 4, 1);
}

/* ---- errors ------------------------------------------------------------------ */

Test(err, codes_are_the_documented_ones)
{
	static const int want[] = { 0, 1, 2, 3, 4, 5, 130 };

	for (enum nasc_status s = NASC_OK; s < NASC_STATUS_COUNT; s++) {
		cr_assert_eq(nasc_exit_code(s), want[s]);
		cr_assert_gt(strlen(nasc_status_text(s)), 0);
	}
}

Test(err, wrap_puts_context_in_front)
{
	struct nasc_err err = { 0 };

	cr_assert_eq(nasc_fail(&err, NASC_DATA, "%d is odd", 3), NASC_DATA);
	cr_assert_eq(nasc_wrap(&err, "%s:%d", "a.yaml", 7), NASC_DATA);
	cr_assert_str_eq(err.msg, "a.yaml:7: 3 is odd");
	cr_assert_eq(err.code, NASC_DATA);
	cr_assert_eq(nasc_fail(&err, NASC_CONFIG, "<%s>", err.msg), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "<a.yaml:7: 3 is odd>");
}

/* A path of 1,000 bytes leaves the reason behind it whole, whoever put it in front. */
Test(err, too_long_messages_lose_their_middle)
{
	static const char reason[] = "cannot open: No such file or directory";
	struct nasc_err err = { 0 };
	char path[1001], tail[64];

	memset(path, 'x', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	memcpy(path, "begin", 5);
	memcpy(path + sizeof path - 1 - 5, "/last", 5);
	snprintf(tail, sizeof tail, "xx/last: %s", reason);
	nasc_fail(&err, NASC_DATA, "%s: %s", path, reason);
	cr_assert_lt(strlen(err.msg), sizeof err.msg);
	cr_assert_gt(strlen(err.msg), sizeof err.msg - 4);
	cr_assert_eq(strncmp(err.msg, "beginxxx", 8), 0, "%s", err.msg);
	cr_assert_not_null(strstr(err.msg, "x...x"), "%s", err.msg);
	cr_assert_str_eq(strstr(err.msg, "xx/last"), tail);
	nasc_wrap(&err, "a.yaml:7: data");
	cr_assert_eq(strncmp(err.msg, "a.yaml:7: data: beginxxx", 24), 0, "%s", err.msg);
	cr_assert_str_eq(strstr(err.msg, "xx/last"), tail);

	nasc_fail(&err, NASC_DATA, "%s", reason);
	nasc_wrap(&err, "%s", path);
	cr_assert_gt(strlen(err.msg), sizeof err.msg - 4);
	cr_assert_eq(strncmp(err.msg, "beginxxx", 8), 0, "%s", err.msg);
	cr_assert_str_eq(strstr(err.msg, "xx/last"), tail);
	nasc_fail(&err, NASC_DATA, "%s: %s", path, reason);
	nasc_wrap(&err, "%s", path);
	cr_assert_lt(strlen(err.msg), sizeof err.msg);
	cr_assert_not_null(strstr(err.msg, "xx/last: beginxx"), "%s", err.msg);
	cr_assert_str_eq(strrchr(err.msg, '/'), strchr(tail, '/'));
}

/* Up to 511 bytes are left as they are; two-byte characters are not cut in two. */
Test(err, length_of_messages)
{
	struct nasc_err err = { 0 };
	char text[600];

	memset(text, 'x', sizeof text);
	for (size_t n = 505; n < 520; n++) {
		text[n] = '\0';
		nasc_fail(&err, NASC_DATA, "%s", text);
		cr_assert_eq(strlen(err.msg) == n, n <= 511, "%zu", n);
		cr_assert_eq(!strstr(err.msg, "..."), n <= 511, "%zu", n);
		text[n] = 'x';
	}
	for (size_t i = 0; i + 2 < sizeof text; i += 2)
		memcpy(text + i, "\xc3\xa9", 3);
	for (size_t i = 0; i < 2; i++) {
		const char *dots;

		nasc_fail(&err, NASC_DATA, "%s%s", i ? "x" : "", text);
		dots = strstr(err.msg, "...");
		cr_assert_not_null(dots);
		cr_assert_eq(memcmp(dots - 2, "\xc3\xa9...\xc3\xa9", 7), 0, "%s", err.msg);
	}
}

Test(err, messages_are_one_line)
{
	struct nasc_err err = { 0 };

	nasc_fail(&err, NASC_DATA, "'a\nb\r\x7f\033[1m'");
	cr_assert_str_eq(err.msg, "'a?b???[1m'");
	nasc_wrap(&err, "x\ty\n");
	cr_assert_str_eq(err.msg, "x?y?: 'a?b???[1m'");
}

/* ---- units ------------------------------------------------------------------- */

struct unit_case {
	char text[32];
	enum unit_dim dim;
	double want; /* by hand; NAN: refused */
};

ParameterizedTestParameters(units, parse)
{
	static struct unit_case cases[] = {
		{ "256 KiB", UNIT_BYTE, 262144 },
		{ "256KiB", UNIT_BYTE, 262144 },
		{ "  320 kB  ", UNIT_BYTE, 320000 },
		{ "1 MiB", UNIT_BYTE, 1048576 },
		{ "1MB", UNIT_BYTE, 1000000 },
		{ "2 GiB", UNIT_BYTE, 2147483648.0 },
		{ "2 GB", UNIT_BYTE, 2e9 },
		{ "17 B", UNIT_BYTE, 17 },
		{ "17", UNIT_BYTE, 17 },
		{ "20ms", UNIT_SECOND, 0.02 },
		{ "35 ms", UNIT_SECOND, 0.035 },
		{ "7 us", UNIT_SECOND, 7e-6 },
		{ "9 ns", UNIT_SECOND, 9e-9 },
		{ "1.5 min", UNIT_SECOND, 90 },
		{ "2h", UNIT_SECOND, 7200 },
		{ "-3 s", UNIT_SECOND, -3 },
		{ "3 nJ", UNIT_JOULE, 3e-9 },
		{ "12 mJ", UNIT_JOULE, 0.012 },
		{ "216 MHz", UNIT_HERTZ, 216e6 },
		{ "1.2GHz", UNIT_HERTZ, 1.2e9 },
		{ "45 mW", UNIT_WATT, 0.045 },
		{ "0.35", UNIT_FRACTION, 0.35 },
		{ "35 %", UNIT_FRACTION, 0.35 },
		{ "12%", UNIT_FRACTION, 0.12 },
		{ "1e-3", UNIT_NONE, 0.001 },
		{ "+.5", UNIT_NONE, 0.5 },
		{ "5.", UNIT_NONE, 5 },
		{ "60k", UNIT_NONE, 60000 },
		{ "1.02 M", UNIT_NONE, 1020000 },
		{ "2E3 k", UNIT_NONE, 2e6 },
		{ "", UNIT_NONE, NAN },
		{ "k", UNIT_NONE, NAN },
		{ "nan", UNIT_NONE, NAN },
		{ "inf", UNIT_NONE, NAN },
		{ "-Infinity", UNIT_NONE, NAN },
		{ "0x10", UNIT_NONE, NAN },
		{ "1e999", UNIT_NONE, NAN },
		{ "1e308 G", UNIT_NONE, NAN },
		{ "3 4", UNIT_NONE, NAN },
		{ "1,5", UNIT_NONE, NAN },
		{ "1.2.3", UNIT_NONE, NAN },
		{ "--1", UNIT_NONE, NAN },
		{ ".", UNIT_NONE, NAN },
		{ "12 %", UNIT_NONE, NAN },
		{ "320 KB", UNIT_BYTE, NAN },
		{ "3 kb", UNIT_BYTE, NAN },
		{ "3 ms", UNIT_BYTE, NAN },
		{ "3 Ms", UNIT_SECOND, NAN },
		{ "3 ms 4 us", UNIT_SECOND, NAN },
		{ "3 mhz", UNIT_HERTZ, NAN },
	};

	return cr_make_param_array(struct unit_case, cases, sizeof cases / sizeof *cases);
}
ParameterizedTest(struct unit_case *c, units, parse)
{
	struct nasc_err err = { 0 };
	double v = 4711;
	enum nasc_status status = unit_parse(c->text, c->dim, &v, &err);

	if (isnan(c->want)) {
		cr_assert_eq(status, NASC_CONFIG, "'%s' was taken for %g", c->text, v);
		cr_assert_eq(v, 4711, "'%s'", c->text);
		cr_assert_not_null(strstr(err.msg, c->text));
	} else {
		cr_assert_eq(status, NASC_OK, "'%s': %s", c->text, err.msg);
		cr_assert_eq(v, c->want, "'%s' was taken for %.17g", c->text, v);
	}
}

Test(units, messages_say_what_is_right)
{
	struct nasc_err err = { 0 };
	double v;

	unit_parse("320 KB", UNIT_BYTE, &v, &err);
	cr_assert_str_eq(err.msg, "'320 KB' is not a size; use B, kB, MB, GB (1000) or KiB, MiB, "
				  "GiB (1024)");
	unit_parse("fast", UNIT_SECOND, &v, &err);
	cr_assert_str_eq(err.msg,
			 "'fast' is not a time; use a number with ns, us, ms, s, min or h");
}

struct format_case {
	double v;
	enum unit_dim dim;
	char want[32];
};

ParameterizedTestParameters(units, format)
{
	static struct format_case cases[] = {
		{ 0, UNIT_BYTE, "0 B" },
		{ 1023, UNIT_BYTE, "1023 B" },
		{ 1024, UNIT_BYTE, "1 KiB" },
		{ 219750, UNIT_BYTE, "214.6 KiB" }, /* 214.599... */
		{ 320 * 1024, UNIT_BYTE, "320 KiB" },
		{ 1048570, UNIT_BYTE, "1.00 MiB" }, /* 1023.99 KiB */
		{ 1572864, UNIT_BYTE, "1.50 MiB" },
		{ 0, UNIT_SECOND, "0 s" },
		{ 0.0123, UNIT_SECOND, "12.3 ms" },
		{ 0.99999, UNIT_SECOND, "1.00 s" },
		{ 4.56e-7, UNIT_SECOND, "456 ns" },
		{ 4.5678e-5, UNIT_SECOND, "45.7 us" },
		{ 59, UNIT_SECOND, "59 s" },
		{ 90, UNIT_SECOND, "1.50 min" },
		{ 9000, UNIT_SECOND, "2.50 h" },
		{ -0.02, UNIT_SECOND, "-20 ms" },
		{ 0.00334, UNIT_JOULE, "3.34 mJ" },
		{ 216e6, UNIT_HERTZ, "216 MHz" },
		{ 0.045, UNIT_WATT, "45 mW" },
		{ 0.935, UNIT_FRACTION, "93.50 %" },
		{ 1, UNIT_FRACTION, "100.00 %" },
		{ 0.00071, UNIT_FRACTION, "0.07 %" },
		{ 64, UNIT_NONE, "64" },
		{ 9999, UNIT_NONE, "9999" },
		{ 10000, UNIT_NONE, "10 k" },
		{ 12345, UNIT_NONE, "12.3 k" },
		{ 1019722, UNIT_NONE, "1.02 M" },
		{ 264812928, UNIT_NONE, "264.8 M" },
		{ 5418785724, UNIT_NONE, "5.42 G" },
		{ 0.012345678, UNIT_NONE, "0.012346" },
		{ -35.71, UNIT_NONE, "-35.71" },
		{ 1e20, UNIT_NONE, "1e+11 G" },
		{ NAN, UNIT_SECOND, "-" },
		{ INFINITY, UNIT_BYTE, "inf" },
	};

	return cr_make_param_array(struct format_case, cases, sizeof cases / sizeof *cases);
}
ParameterizedTest(struct format_case *c, units, format)
{
	char buf[64], small[4];

	cr_assert_str_eq(unit_format(c->v, c->dim, buf, sizeof buf), c->want, "%s, not %s", buf,
			 c->want);
	cr_assert_lt(strlen(unit_format(c->v, c->dim, small, sizeof small)), sizeof small);
}

Test(units, symbols)
{
	static const char *const want[] = { "1", "1", "byte", "s", "J", "Hz", "W" };

	for (enum unit_dim d = UNIT_NONE; d < UNIT_DIM_COUNT; d++)
		cr_assert_str_eq(unit_symbol(d), want[d]);
}
