#ifndef NASC_STATE_H
#define NASC_STATE_H
#include <stdio.h>

#include "batch.h"
#include "engine.h"
#include "rng.h"

/* What one step of a training leaves to the next: on disk between the rungs of successive
 * halving, in memory where the size of the images changes. Only a cache: this machine's byte
 * order, and whatever is not whole and of the same training is refused. What follows from the
 * request (the increments of the streams) or from the steps is not in it. */
struct train_state {
	struct model *model;
	struct batch *batch;
	struct rng *shuffle, *augment; /* initialised: their increments stay */
	uint64_t done;		       /* steps, at the end of an epoch */
	int64_t stuck;		       /* this and the sum as struct job's */
	double loss_sum;
};
/* Of all that the state at a step depends on. */
uint64_t state_identity(const struct train_request *q);
void state_write(const struct train_state *s, uint64_t identity, FILE *fp);
/* Steps in the state in @fp as it says itself, if it says to be this training's; else 0. */
uint64_t state_done(FILE *fp, uint64_t identity);
/* Of one for which state_done() is not 0, into a model that is initialised, for images of another
 * size perhaps: a dense layer whose shape differs keeps what it has. False: damaged, cut short,
 * or it does not fit; model, batch and streams then hold anything. */
bool state_read(FILE *fp, struct train_state *s);

/* A file that cannot be read or written is one that is not there: NULL. No more of it is in memory
 * at a time than a few KiB, whatever it says and however long it is. */
FILE *state_open(const char *path);
void state_save(const struct train_state *s, uint64_t identity, const char *path);
#endif
