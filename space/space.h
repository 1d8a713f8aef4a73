#ifndef NASC_SPACE_H
#define NASC_SPACE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "network.h"
#include "rng.h"
#include "schema.h"

/* A space is a template with genes: a gene is an index 0 .. n_values-1 into the
 * values it may take. A space turns genes into a network and knows neither
 * objectives nor boards. */
struct space_gene {
	char name[32];		   /* "growth_2": as in results.json */
	uint32_t n_values;	   /* at least 1; a gene of one value is fixed */
	const int64_t *value;	   /* n_values numbers (width, kernel ...); or */
	const char *const *choice; /* n_values names; exactly one of both is set */
};

#define SPACE_MAX_AXES 4

struct space;
struct space_ops {
	const char *name, *summary, *source;
	const struct cfg_field *fields;
	size_t cfg_size;
	/* Keys of type CFG_INTS that span its sub-spaces: one value of each is one. */
	const char *axis[SPACE_MAX_AXES];
	/* Fill s->gene and s->n_genes from s->cfg, s->input, s->classes.
	 * NASC_CONFIG where no network exists within the ranges. */
	enum nasc_status (*open)(struct space *s, struct nasc_err *err);
	/* Set genes without effect to the one standing for all their values and
	 * make the whole legal: two canonical genomes are equal exactly if their
	 * networks are. Idempotent. Any index vector within bounds is accepted. */
	void (*canonical)(const struct space *s, uint32_t *gene);
	/* Change canonical genes @gene as several of them together suggest, in place and within
	 * bounds, to those of another network. Draws from @rng alone. False: no such change is
	 * possible, @gene is as it was. NULL: there are none. */
	bool (*move)(const struct space *s, uint32_t *gene, struct rng *rng);
	/* Canonical genes to an inferred network in @a. Cannot fail once open() has succeeded. */
	enum nasc_status (*build)(const struct space *s, const uint32_t *gene, struct arena *a,
				  struct network *out, struct nasc_err *err);
	/* Distinct networks. @exact false: @count is an upper bound. As double:
	 * spaces exceed 2^64. */
	void (*count)(const struct space *s, double *count, bool *exact);
};

struct space {
	const struct space_ops *ops;
	const void *cfg;	/* ops->cfg_size bytes, not owned */
	struct net_shape input; /* of the data set */
	uint32_t classes;
	struct arena *arena; /* lives as long as the run */
	size_t n_genes;
	struct space_gene *gene;
	void *state; /* the space's own */
};

extern const struct space_ops *const space_registry[]; /* NULL-terminated */
const struct space_ops *space_find(const char *name);  /* NULL: not found */

enum nasc_status space_open(struct space *s, const struct space_ops *ops, const void *cfg,
			    struct net_shape input, uint32_t classes, struct arena *arena,
			    struct nasc_err *err);
/* The network of canonical genes, in @a. */
void space_decode(const struct space *s, const uint32_t *gene, struct arena *a,
		  struct network *out);
/* Uniform over index vectors, then canonical. */
void space_sample(const struct space *s, struct rng *rng, uint32_t *gene);
/* Text of gene @i at index @v: "12" or "max". Returns @buf. */
char *space_gene_text(const struct space *s, size_t i, uint32_t v, char *buf, size_t n);

struct json_writer;
struct cJSON;
/* {"blocks": 2, "growth_1": 12, "pool": "max"} */
void space_write_genes(const struct space *s, const uint32_t *gene, struct json_writer *w,
		       const char *key);
#endif
