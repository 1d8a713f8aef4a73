#ifndef TESTS_SPACE_FIXTURE_H
#define TESTS_SPACE_FIXTURE_H
#include <string.h>

#include "schema.h"
#include "space.h"

/* The space @type with the keys of a YAML text. */
static inline enum nasc_status open_text(const char *type, const char *text, struct net_shape input,
					 uint32_t classes, struct arena *a, struct space *s,
					 struct nasc_err *err)
{
	const struct space_ops *ops = space_find(type);
	struct yaml_doc doc;
	void *cfg = arena_alloc(a, 1, ops->cfg_size, 16);

	if (yaml_parse("t.yaml", text, strlen(text), a, &doc, err) ||
	    cfg_load(ops->fields, &doc, doc.root, NULL, a, cfg, ops->cfg_size, err))
		return err->code;
	return space_open(s, ops, cfg, input, classes, a, err);
}

/* Next index vector in counting order; false after the last. */
static inline bool next_genome(const struct space *s, uint32_t *gene)
{
	for (size_t i = 0; i < s->n_genes; i++) {
		if (++gene[i] < s->gene[i].n_values)
			return true;
		gene[i] = 0;
	}
	return false;
}
#endif
