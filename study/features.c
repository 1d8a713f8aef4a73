/* What a surrogate goes by: genes, the figures that cost next to nothing, and what the network's
 * graph is like. */
#include <math.h>

#include "study.h"

static size_t gene_features(const struct space_gene *gene)
{
	return gene->choice ? gene->n_values : 1;
}

void study_feature_sizes(const struct study *s, size_t size[SURROGATE_GROUPS])
{
	size[0] = 0;
	size[1] = NETWORK_STRUCTURE;
	for (size_t i = 0; i < s->space.n_genes; i++)
		size[0] += gene_features(&s->space.gene[i]);
	for (size_t i = 0; i < s->n_metrics; i++)
		size[1] += !s->metric[i].dear;
}

void study_features(const struct study *s, const double *genes, const struct network *net,
		    const double *value, struct arena *scratch, double *out)
{
	for (size_t i = 0; i < s->space.n_genes; i++) {
		const struct space_gene *gene = &s->space.gene[i];
		size_t n = gene_features(gene);

		/* Two choices are as far apart as the ends of a range of numbers. */
		for (size_t k = 0; gene->choice && k < n; k++)
			out[k] = (double)k == genes[i] ? sqrt(0.5) : 0;
		if (!gene->choice)
			*out = gene->n_values > 1 ? genes[i] / (gene->n_values - 1.0) : 0;
		out += n;
	}
	for (size_t i = 0; i < s->n_metrics; i++)
		if (!s->metric[i].dear)
			*out++ = isnan(value[i]) ? 0 : log1p(fmax(value[i], 0));
	network_structure(net, scratch, out);
}
