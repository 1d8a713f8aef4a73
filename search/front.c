#include "front.h"

#include <string.h>

size_t front_keep(double *set, size_t n, size_t m, const double *p)
{
	for (size_t i = 0; i < n;) {
		struct front_relation r = front_relate(p, set + i * m, m);

		if (!r.better)
			return n;
		if (r.worse)
			i++;
		else
			memmove(set + i * m, set + --n * m, m * sizeof *set);
	}
	memcpy(set + n * m, p, m * sizeof *set);
	return n + 1;
}
