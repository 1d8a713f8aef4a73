#include "rungs.h"

size_t rungs_last(const struct train_request *q)
{
	return q->rungs ? q->rung : 0;
}

static bool is_whole(const struct train_request *q, size_t rung)
{
	return !q->rungs || rung == q->rungs->n;
}

bool rungs_leaves(const struct train_request *q)
{
	return q->state_path && !is_whole(q, rungs_last(q));
}

int64_t rungs_size(const struct train_request *q, size_t rung)
{
	int64_t size = is_whole(q, rung) ? 0 : q->rungs->image_size[rung];

	return size ? size : q->cfg->image_size;
}

size_t rungs_epochs(const struct train_request *q, size_t rung)
{
	return (size_t)(is_whole(q, rung) ? q->cfg->epochs : q->rungs->epochs[rung]);
}

size_t rungs_begin(const struct train_request *q, size_t steps, uint64_t identity, FILE **from)
{
	uint64_t done;
	size_t rung = 0;

	*from = q->state_path ? state_open(q->state_path) : NULL;
	done = *from ? state_done(*from, identity) : 0;
	while (rung < q->rung && steps * rungs_epochs(q, rung) <= done)
		rung++;
	if (rung && steps * rungs_epochs(q, rung - 1) == done)
		return rung;
	if (*from)
		fclose(*from);
	*from = NULL;
	return 0;
}
