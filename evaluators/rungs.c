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

size_t rungs_begin(const struct train_request *q, size_t steps, uint64_t identity,
		   struct state_bytes *from)
{
	uint64_t done = 0;
	size_t rung = 0;

	if (!q->state_path)
		return 0;
	*from = state_load(q->state_path);
	if (state_check(from, identity, &done))
		while (rung < q->rung && steps * rungs_epochs(q, rung) <= done)
			rung++;
	if (rung && steps * rungs_epochs(q, rung - 1) == done)
		return rung;
	state_free(from);
	return 0;
}
