#ifndef NASC_RUNGS_H
#define NASC_RUNGS_H
#include "state.h"

/* The rungs of a request; of one without any the whole training is rung 0. */
size_t rungs_last(const struct train_request *q);
/* Is there something to leave for the rung behind the last? */
bool rungs_leaves(const struct train_request *q);
int64_t rungs_size(const struct train_request *q, size_t rung);	 /* pixels; 0: the network's own */
size_t rungs_epochs(const struct train_request *q, size_t rung); /* at its end */
/* The rung to begin with: the first, or the one behind that whose end is in the file, which
 * then is open in *from; else that is NULL. @steps: of an epoch. */
size_t rungs_begin(const struct train_request *q, size_t steps, uint64_t identity, FILE **from);
#endif
