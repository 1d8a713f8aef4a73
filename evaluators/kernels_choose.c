#include <oneapi/dnnl/dnnl.h>

#include "kernels.h"

/* One table an x86-64 level (psABI); level 2 is what the whole program needs. oneDNN's limit,
 * ONEDNN_MAX_CPU_ISA, is ours too. */
const struct kernels *kernels_choose(bool bf16)
{
	unsigned isa = dnnl_get_effective_cpu_isa();

	__builtin_cpu_init();
	if ((isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core &&
	    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("bmi2"))
		return &kernels_v4[bf16];
	if ((isa & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2 && __builtin_cpu_supports("fma") &&
	    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
		return &kernels_v3[bf16];
	return &kernels_v2[bf16];
}
