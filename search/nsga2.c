#include "strategies.h"

#include "order.h"
#include "population.h"
#include "rank.h"

static const struct cfg_field nsga2_fields[] = {
	POPULATION_FIELDS("0.9", "15"),
	CFG_END,
};

/* Of the front that does not fit, those in the least crowded places stay. */
static void select_by_crowding(struct search *s, uint32_t *order, size_t n, size_t want)
{
	struct population *p = s->state;

	for (size_t from = 0, end; from < want; from = end) {
		uint32_t *front = order + from;
		size_t size;

		end = population_front_end(p, order, n, from);
		size = end - from;
		if (p->violation[front[0]] > 0)
			for (size_t i = 0; i < size; i++)
				p->merit[front[i]] = 0;
		else
			rank_crowding(p->f, s->domain->n_objectives, front, size, p->merit,
				      s->arena);
		if (end > want) {
			struct order_key *key = ARENA_NEW(s->arena, struct order_key, 2 * size);

			for (size_t i = 0; i < size; i++)
				key[i] = (struct order_key){ -p->merit[front[i]], front[i] };
			order_sort(key, key + size, size);
			for (size_t i = 0; i < size; i++)
				front[i] = key[i].at;
		}
	}
}

static enum nasc_status nsga2_open(struct search *s, struct nasc_err *err)
{
	(void)err;
	population_init(s, select_by_crowding);
	return NASC_OK;
}

const struct search_ops search_nsga2 = {
	.name = "nsga2",
	.summary = "genetic algorithm: non-dominated sorting, crowding, constraint domination",
	.source = "Deb, Pratap, Agarwal, Meyarivan, IEEE TEVC 6(2) 2002",
	.fields = nsga2_fields,
	.cfg_size = sizeof(struct population_cfg),
	.state_size = sizeof(struct population),
	.open = nsga2_open,
	.batch = population_batch,
	.ask = population_ask,
	.tell = population_tell,
	.answer = population_answer,
};
