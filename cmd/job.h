#ifndef NASC_JOB_H
#define NASC_JOB_H
#include "cmd.h"
#include "study.h"

/* A network with the data and recipe that belong to it: a row of a results file has its config's, a
 * network alone those of --config. */
struct cmd_job {
	struct network net;
	struct study_config config;
	uint64_t id;		/* of the random streams */
	const char *what;	/* id of the row, or path of the network */
	struct results results; /* the row's file; results_close() */
};
enum nasc_status cmd_find_job(const struct cmd_args *a, struct arena *arena, struct cmd_job *job,
			      struct nasc_err *err);
/* Before hours of work, not after: can @path, value of option @name or NULL, be written? */
enum nasc_status cmd_probe_file(const char *name, const char *path, struct nasc_err *err);
#endif
