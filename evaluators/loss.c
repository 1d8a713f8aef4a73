#include "loss.h"

#include <math.h>
#include <string.h>

void loss_target(const struct loss_rule *rule, uint32_t classes, uint8_t label, uint8_t other,
		 double mix, float *target)
{
	for (uint32_t k = 0; k < classes; k++) {
		double hard = (k == label ? 1 - mix : 0) + (k == other ? mix : 0);
		double soft = (1 - rule->smoothing) * hard + rule->smoothing / classes;

		target[k] = (float)(rule->weight ? rule->weight[k] * soft : soft);
	}
}

double loss_of_chance(const struct loss_rule *rule, uint32_t classes, const size_t *count)
{
	double images = 0, total = 0, loss = 0;

	for (uint32_t k = 0; k < classes; k++)
		images += (double)count[k];
	for (int pass = 0; pass < 2; pass++)
		for (uint32_t k = 0; k < classes; k++) {
			double share = (double)count[k] / images, t;

			t = (1 - rule->smoothing) * share + rule->smoothing / classes;
			t *= rule->weight ? rule->weight[k] : 1;
			if (pass == 0)
				total += t;
			else if (t > 0)
				loss -= t * log(t / total);
		}
	return loss;
}

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
		double total = 0, weight;
		size_t best = 0;

		memset(g, 0, classes * sizeof *g);
		if (i >= r->n_labels)
			continue;
		for (size_t k = 1; k < classes; k++)
			best = z[k] > z[best] ? k : best;
		for (size_t k = 0; k < classes; k++)
			total += exp((double)z[k] - (double)z[best]);
		r->answer[i] = (uint32_t)best;
		r->correct += best == r->label[i];
		weight = r->target ? 0 : 1;
		for (size_t k = 0; k < classes && r->target; k++)
			weight += (double)r->target[i * classes + k];
		for (size_t k = 0; k < classes; k++) {
			double off = (double)z[k] - (double)z[best], q = exp(off) / total;
			double t =
				r->target ? (double)r->target[i * classes + k] : k == r->label[i];

			r->loss += t != 0 ? t * (log(total) - off) : 0;
			g[k] = (float)((weight * q - t) * r->loss_scale);
		}
	}
	if (mode == RUN_TRAIN)
		p->kernels->from_f32(r->logits_gradient, runner_rows(r, ph->g), rows, ph->c);
}
