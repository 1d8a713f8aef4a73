#include "kernels.h"

/* One table an x86-64 level (psABI); level 2 is what the whole program needs. */
const struct kernels *kernels_choose(bool bf16)
{
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
	    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2"))
		return &kernels_v4[bf16];
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
		return &kernels_v3[bf16];
	return &kernels_v2[bf16];
}
