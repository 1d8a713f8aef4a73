#ifndef NASC_WORDS_H
#define NASC_WORDS_H
#include <stdint.h>

/* What the kernels are made of: four bytes of a map in a word, two 16-bit halves in a word. */

#if defined(__GNUC__) && !defined(__clang__)
/* gcc for ARM orders these loops before it has registers for them, and then spills; and it would
 * make calls of a C library out of loops that copy some bytes. */
#pragma GCC optimize("no-schedule-insns", "no-tree-loop-distribute-patterns")
#define ALONE static __attribute__((noinline, noclone))
#elif defined(__GNUC__)
#define ALONE static __attribute__((noinline))
#else
#define ALONE static
#endif
#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")
#else
#define INLINE static inline
#define UNROLL
#endif

#ifdef __ARM_FEATURE_DSP
#include <arm_acle.h>

/* From any address: these processors read words wherever they begin. */
INLINE uint32_t load(const int8_t *p)
{
	struct word {
		uint32_t value;
	} __attribute__((packed, may_alias));

	return ((const struct word *)(const void *)p)->value;
}

INLINE void store(int8_t *p, uint32_t value)
{
	struct word {
		uint32_t value;
	} __attribute__((packed, may_alias));

	((struct word *)(void *)p)->value = value;
}

INLINE void store_two(uint32_t *p, uint32_t a, uint32_t b)
{
	__asm__("strd %1, %2, %0" : "=m"(*(uint32_t(*)[2])p) : "r"(a), "r"(b));
}

/* Bytes 0 and 2 as halves. */
INLINE uint32_t even_bytes(uint32_t bytes)
{
	return (uint32_t)__sxtb16((int8x4_t)bytes);
}

/* Bytes 1 and 3. */
INLINE uint32_t odd_bytes(uint32_t bytes)
{
	uint32_t halves;

	__asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(bytes));
	return halves;
}

/* The low halves of both. */
INLINE uint32_t low_halves(uint32_t low, uint32_t high)
{
	uint32_t halves;

	__asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(halves) : "r"(low), "r"(high));
	return halves;
}

INLINE uint32_t high_halves(uint32_t low, uint32_t high)
{
	uint32_t halves;

	__asm__("pkhtb %0, %1, %2, asr #16" : "=r"(halves) : "r"(high), "r"(low));
	return halves;
}

INLINE int32_t multiply_add(uint32_t a, uint32_t b, int32_t sum)
{
	/* In its own register: gcc, with a choice, moves sums about until it has none left. */
	__asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
	return sum;
}

INLINE int8_t saturate(int32_t value)
{
	int32_t limited;

	__asm__("ssat %0, #8, %1" : "=r"(limited) : "r"(value));
	return (int8_t)limited;
}

INLINE int8_t requantise(int32_t sum, int32_t multiplier)
{
	int32_t value;

	__asm__("smmulr %0, %1, %2" : "=r"(value) : "r"(sum), "r"(multiplier));
	return saturate(value);
}

/* The larger of each byte. */
INLINE uint32_t larger(uint32_t a, uint32_t b)
{
	uint32_t bytes;

	__asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(bytes) : "r"(a), "r"(b));
	return bytes;
}

INLINE uint32_t smaller(uint32_t a, uint32_t b)
{
	uint32_t bytes;

	__asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(bytes) : "r"(a), "r"(b));
	return bytes;
}
#else
INLINE uint32_t load(const int8_t *p)
{
	return (uint32_t)(uint8_t)p[0] | (uint32_t)(uint8_t)p[1] << 8 |
	       (uint32_t)(uint8_t)p[2] << 16 | (uint32_t)(uint8_t)p[3] << 24;
}

INLINE void store(int8_t *p, uint32_t value)
{
	p[0] = (int8_t)value;
	p[1] = (int8_t)(value >> 8);
	p[2] = (int8_t)(value >> 16);
	p[3] = (int8_t)(value >> 24);
}

INLINE uint32_t low_halves(uint32_t low, uint32_t high)
{
	return (low & 0xffff) | high << 16;
}

INLINE int8_t saturate(int32_t value)
{
#ifdef __ARM_FEATURE_SAT
	__asm__("ssat %0, #8, %0" : "+r"(value));
	return (int8_t)value;
#else
	return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
#endif
}

INLINE int8_t requantise(int32_t sum, int32_t multiplier)
{
	return saturate((int32_t)(((int64_t)sum * multiplier + ((int64_t)1 << 31)) >> 32));
}

INLINE uint32_t larger(uint32_t a, uint32_t b)
{
	uint32_t bytes = 0;

	UNROLL
	for (uint32_t shift = 0; shift < 32; shift += 8) {
		int8_t of_a = (int8_t)(a >> shift), of_b = (int8_t)(b >> shift);

		bytes |= (uint32_t)(uint8_t)(of_a > of_b ? of_a : of_b) << shift;
	}
	return bytes;
}
#endif

/* The first @n bytes alone, the others 0. */
INLINE uint32_t load_some(const int8_t *p, uint32_t n)
{
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < n; i++)
		bytes |= (uint32_t)(uint8_t)p[i] << 8 * i;
	return bytes;
}

/* A byte of each of four channels. */
INLINE uint32_t repeat(int8_t value)
{
	return (uint32_t)(uint8_t)value * 0x01010101;
}

/* Both return what lies behind the @n bytes that they wrote. */
INLINE int8_t *copy(const int8_t *from, uint32_t n, int8_t *to)
{
	for (; n >= 4; n -= 4, from += 4, to += 4)
		store(to, load(from));
	for (; n; n--)
		*to++ = *from++;
	return to;
}

INLINE int8_t *fill(int8_t value, uint32_t n, int8_t *to)
{
	for (; n >= 4; n -= 4, to += 4)
		store(to, repeat(value));
	for (; n; n--)
		*to++ = value;
	return to;
}
#endif
