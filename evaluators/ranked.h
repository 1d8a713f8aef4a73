#ifndef NASC_RANKED_H
#define NASC_RANKED_H
#include "evaluators.h"

/* Several figures of a network as one score: the sum over the figures of
 * log(rank / N), as AZ-NAS does it (Lee & Ham, CVPR 2024, arXiv 2403.19232).
 *
 * AZ-NAS ranks within the archive of a search. Then a score depends on when it is
 * asked for, on the number of jobs and on what else was found, and two scores of one
 * journal do not compare. Here ranks are those within a fixed sample of the space
 * (struct evaluator, sample) that the run's seed draws: same seed, same score, always.
 * Between two networks of the sample a rank is interpolated; beyond the best it goes on
 * as steep as between the median and the best, beyond the worst it falls towards 0; so
 * the score keeps telling candidates apart that are better than any of the sample.
 * A network of the sample that has no figures ranks last. */
struct ranked;

#define RANKED_VALUES_MAX 16
/* The figures of one network, more is better, in value[]. */
typedef enum eval_outcome ranked_values(struct evaluator *e, void *worker,
					const struct eval_request *request,
					struct eval_result *result, double *value);

/* @networks in the sample, @n figures of each. NULL: out of memory. */
struct ranked *ranked_open(size_t networks, size_t n, ranked_values *values);
void ranked_close(struct ranked *r); /* NULL is fine */
/* The request's own figures into @value and their score into result->value[0]. The first
 * calls share the work on the sample among their threads and wait until it is done. */
enum eval_outcome ranked_score(struct ranked *r, struct evaluator *e, void *worker,
			       const struct eval_request *request, struct eval_result *result,
			       double *value);
/* Rank of @x among the @n ascending @sorted: 1 to n within them. */
double ranked_rank(const double *sorted, size_t n, double x);
#endif
