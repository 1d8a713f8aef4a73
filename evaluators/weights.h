#ifndef NASC_WEIGHTS_H
#define NASC_WEIGHTS_H
#include "engine.h"

/* Write the file described at train_network(). */
enum nasc_status weights_save(const struct model *m, const struct network *net, const char *path,
			      struct nasc_err *err);
#endif
