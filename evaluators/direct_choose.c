#include <cpuid.h>
#include <oneapi/dnnl/dnnl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "direct.h"

#define REQUEST_PERMISSION 0x1023 /* ARCH_REQ_XCOMP_PERM, Linux 5.16 */
#define TILE_DATA	   18	  /* the state component of the tiles */
#define EDX_AMX_BF16	   (1u << 22)
#define EDX_AMX_TILE	   (1u << 24)

/* The CPU has tiles, and the system lets this process, all its threads, use them: asking again
 * changes nothing. */
static bool tiles_permitted(void)
{
	unsigned a, b, c, d, want = EDX_AMX_BF16 | EDX_AMX_TILE;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & want) == want &&
	       syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

const struct direct_kernels *direct_choose(void)
{
	unsigned amx = dnnl_cpu_isa_avx512_core_amx;

	return (dnnl_get_effective_cpu_isa() & amx) == amx && tiles_permitted() ? &direct_amx
										: NULL;
}
