#ifndef NASC_STATE_H
#define NASC_STATE_H
#include "batch.h"
#include "engine.h"
#include "rng.h"

/* What one step of a training leaves to the next, as bytes: on disk between the rungs of
 * successive halving, in memory where the size of the images changes. Only a cache: this
 * machine's byte order, and whatever is not whole and of the same training is refused. */
struct train_state {
	struct model *model;
	struct batch *batch;
	struct rng *shuffle, *augment;
	uint64_t done; /* steps */
	int64_t stuck; /* this and the losses as struct job's */
	double loss, loss_sum;
};
struct state_bytes {
	char *p; /* malloc()ed; NULL: none */
	size_t n;
};
/* Of all that the state at a step depends on. */
uint64_t state_identity(const struct train_request *q);
struct state_bytes state_write(const struct train_state *s, uint64_t identity);
/* Are they those of this training? *done: steps. */
bool state_check(const struct state_bytes *b, uint64_t identity, uint64_t *done);
/* Of bytes that state_check() took, into a model that is initialised, for images of another
 * size perhaps: a parameter whose shape differs keeps what it has. False: they do not fit, and
 * the state is of no use. */
bool state_read(const struct state_bytes *b, struct train_state *s);

/* A file that cannot be read or written is one that is not there. */
struct state_bytes state_load(const char *path);
void state_save(const struct state_bytes *b, const char *path);
void state_free(struct state_bytes *b); /* fine on {0} */
#endif
