#ifndef NASC_VECTOR_H
#define NASC_VECTOR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

/* f32 vectors as wide as the instruction set this file is compiled for, and
 * their storage as f32 or bf16. Only files compiled once per instruction set
 * include this. */
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));
typedef uint32_t vu __attribute__((vector_size(LANES * 4)));
typedef uint16_t vh __attribute__((vector_size(LANES * 2)));

#define INLINE static inline __attribute__((always_inline))

INLINE vf vector_splat(float x)
{
#if defined(__AVX512F__)
	return (vf)_mm512_set1_ps(x);
#elif defined(__AVX2__)
	return (vf)_mm256_set1_ps(x);
#else
	return (vf){ x, x, x, x };
#endif
}

/* Lanes of @a where @mask is all ones, of @b where it is zero. */
INLINE vf vector_select(vi mask, vf a, vf b)
{
	return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

INLINE vf vector_max(vf a, vf b)
{
#ifdef __AVX512F__
	return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#else
	return vector_select(a > b, a, b);
#endif
}

INLINE vf vector_min(vf a, vf b)
{
#ifdef __AVX512F__
	return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#else
	return vector_select(a < b, a, b);
#endif
}

/* a * b + c; rounded once where the instruction set can. */
INLINE vf vector_fma(vf a, vf b, vf c)
{
#if defined(__AVX512F__)
	return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
	return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
	return a * b + c;
#endif
}

/* @a where lo < @x < hi, else 0. */
INLINE vf vector_between(vf a, vf x, float lo, float hi)
{
#ifdef __AVX512F__
	__mmask16 m = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(lo), _CMP_GT_OQ);

	m = _mm512_mask_cmp_ps_mask(m, (__m512)x, _mm512_set1_ps(hi), _CMP_LT_OQ);
	return (vf)_mm512_maskz_mov_ps(m, (__m512)a);
#else
	return (vf)(((x > lo) & (x < hi)) & (vi)a);
#endif
}

/* Ones in the lanes whose channel is below @c, the first lane being channel @at. */
INLINE vi vector_mask(size_t at, size_t c)
{
	vi lane;

	for (int i = 0; i < LANES; i++)
		lane[i] = at + (size_t)i < c ? -1 : 0;
	return lane;
}

/* bf16 is the upper half of f32; rounded to nearest, ties to even. */
INLINE vf bf16_widen(const uint16_t *p)
{
#if defined(__AVX512F__)
	return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)),
				     16);
#elif defined(__AVX2__)
	return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16);
#else
	vh h;

	memcpy(&h, p, sizeof h);
	return (vf)(__builtin_convertvector(h, vu) << 16);
#endif
}

INLINE void bf16_narrow(uint16_t *p, vf v)
{
#ifdef __AVX512BF16__
	_mm256_storeu_si256((void *)p, (__m256i)_mm512_cvtneps_pbh((__m512)v));
#else
	vu u = (vu)v;

	u += 0x7fff + ((u >> 16) & 1);
#if defined(__AVX512F__)
	_mm256_storeu_si256((void *)p, _mm512_cvtepi32_epi16((__m512i)(u >> 16)));
#elif defined(__AVX2__)
	{
		__m256i w = (__m256i)(u >> 16);

		w = _mm256_permute4x64_epi64(_mm256_packus_epi32(w, w), 0x08);
		_mm_storeu_si128((void *)p, _mm256_castsi256_si128(w));
	}
#else
	{
		vh h = __builtin_convertvector(u >> 16, vh);

		memcpy(p, &h, sizeof h);
	}
#endif
#endif
}

INLINE vf vector_get(const void *p, size_t i, bool bf16)
{
	vf v;

	if (bf16)
		return bf16_widen((const uint16_t *)p + i);
	memcpy(&v, (const float *)p + i, sizeof v);
	return v;
}

INLINE void vector_put(void *p, size_t i, vf v, bool bf16)
{
	if (bf16)
		bf16_narrow((uint16_t *)p + i, v);
	else
		memcpy((float *)p + i, &v, sizeof v);
}
#endif
