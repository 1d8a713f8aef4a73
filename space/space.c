#include "space.h"
#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct space_ops space_densenet;
extern const struct space_ops space_mobilenet;
extern const struct space_ops space_nb201;

const struct space_ops *const space_registry[] = { &space_densenet, &space_mobilenet, &space_nb201,
						   NULL };

const struct space_ops *space_find(const char *name)
{
	for (const struct space_ops *const *ops = space_registry; *ops; ops++)
		if (strcmp((*ops)->name, name) == 0)
			return *ops;
	return NULL;
}

enum nasc_status space_open(struct space *s, const struct space_ops *ops, const void *cfg,
			    struct net_shape input, uint32_t classes, struct arena *arena,
			    struct nasc_err *err)
{
	*s = (struct space){
		.ops = ops, .cfg = cfg, .input = input, .classes = classes, .arena = arena
	};
	if (ops->open(s, err))
		return nasc_wrap(err, "%s", ops->name);
	return NASC_OK;
}

void space_decode(const struct space *s, const uint32_t *gene, struct arena *a, struct network *out)
{
	struct nasc_err err;

	if (s->ops->build(s, gene, a, out, &err))
		abort();
}

void space_sample(const struct space *s, struct rng *rng, uint32_t *gene)
{
	for (size_t i = 0; i < s->n_genes; i++)
		gene[i] = (uint32_t)rng_below(rng, s->gene[i].n_values);
	s->ops->canonical(s, gene);
}

char *space_gene_text(const struct space *s, size_t i, uint32_t v, char *buf, size_t n)
{
	if (s->gene[i].choice)
		snprintf(buf, n, "%s", s->gene[i].choice[v]);
	else
		snprintf(buf, n, "%" PRId64, s->gene[i].value[v]);
	return buf;
}

void space_write_genes(const struct space *s, const uint32_t *gene, struct json_writer *w,
		       const char *key)
{
	json_object(w, key);
	for (size_t i = 0; i < s->n_genes; i++)
		if (s->gene[i].choice)
			json_string(w, s->gene[i].name, s->gene[i].choice[gene[i]]);
		else
			json_int(w, s->gene[i].name, s->gene[i].value[gene[i]]);
	json_end(w);
}
