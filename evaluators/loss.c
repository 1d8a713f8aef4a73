#include "loss.h"

#include <math.h>
#include <string.h>

void loss_run(struct runner *r, const struct phase *ph, enum runner_mode mode)
{
	const struct plan *p = r->plan;
	size_t rows = (size_t)p->images * ph->pixels, classes = (size_t)ph->pixels * ph->c;

	p->kernels->to_f32(runner_rows(r, ph->x), r->logits, rows, ph->c);
	r->loss = 0;
	r->correct = 0;
	for (size_t i = 0; i < p->images; i++) {
		const float *z = r->logits + i * classes;
		float *g = r->logits_gradient + i * classes;
		double total = 0;
		size_t best = 0;

		memset(g, 0, classes * sizeof *g);
		if (i >= r->n_labels)
			continue;
		for (size_t k = 1; k < classes; k++)
			best = z[k] > z[best] ? k : best;
		for (size_t k = 0; k < classes; k++)
			total += exp((double)z[k] - (double)z[best]);
		r->loss += log(total) - ((double)z[r->label[i]] - (double)z[best]);
		r->answer[i] = (uint32_t)best;
		r->correct += best == r->label[i];
		for (size_t k = 0; k < classes; k++) {
			double q = exp((double)z[k] - (double)z[best]) / total;

			g[k] = (float)((q - (k == r->label[i])) * r->loss_scale);
		}
	}
	if (mode == RUN_TRAIN)
		p->kernels->from_f32(r->logits_gradient, runner_rows(r, ph->g), rows, ph->c);
}
