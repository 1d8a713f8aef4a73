// Melissa O'Neill's own implementation of PCG64 (Debian: libpcg-cpp-dev), behind a C interface.
#include <cstddef>
#include <cstdint>

#include <pcg_random.hpp>

extern "C" void pcg_oracle(const uint64_t state[2], const uint64_t stream[2], uint64_t *out,
			   size_t n)
{
	using pcg_extras::pcg128_t; // the macro names it bare
	pcg64 generator(PCG_128BIT_CONSTANT(state[0], state[1]),
			PCG_128BIT_CONSTANT(stream[0], stream[1]));

	for (size_t i = 0; i < n; i++)
		out[i] = generator();
}
