/* Time to plan the SRAM of one network, by planner, and to list the schedules in patches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "mcu_schedule.h"

#define REPEATS 200

static double wall_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Inverted residuals as MobileNetV2 has them: 19 blocks, 62 operators. */
static void mobile(struct network *net, struct arena *a)
{
	uint32_t c = 16, x;

	network_init(net, a, (struct net_shape){ 160, 160, 3 });
	x = network_conv2d(net, 0, c, 3, 2, 1, NET_SAME, true);
	for (uint32_t block = 0; block < 15; block++) {
		uint32_t stride = block % 4 == 0 ? 2 : 1, out = stride == 2 ? 2 * c : c, y;

		y = network_conv2d(net, x, 6 * c, 1, 1, 1, NET_SAME, true);
		y = network_depthwise(net, y, 3, stride, NET_SAME, true);
		y = network_conv2d(net, y, out, 1, 1, 1, NET_SAME, true);
		x = stride == 1 ? network_merge(net, NET_ADD, (uint32_t[]){ x, y }, 2) : y;
		c = out;
	}
	network_dense(net, network_unary(net, NET_GLOBAL_POOL, x), 10, true);
}

/* Two blocks of 50 layers, each layer a convolution and a concatenation. */
static void dense(struct network *net, struct arena *a)
{
	uint32_t x;

	network_init(net, a, (struct net_shape){ 32, 32, 3 });
	x = network_conv2d(net, 0, 16, 3, 1, 1, NET_SAME, true);
	for (uint32_t layer = 0; layer < 100; layer++) {
		uint32_t y;

		if (layer == 50)
			x = network_pool(net, NET_AVG_POOL, x, 2, 2, NET_VALID);
		y = network_conv2d(net, x, 4, 3, 1, 1, NET_SAME, true);
		x = network_merge(net, NET_CONCAT, (uint32_t[]){ x, y }, 2);
	}
	network_dense(net, network_unary(net, NET_GLOBAL_POOL, x), 10, true);
}

/* A chain of convolutions. */
static void deep(struct network *net, struct arena *a)
{
	uint32_t x = 0;

	network_init(net, a, (struct net_shape){ 8, 8, 4 });
	for (uint32_t i = 0; i < 10000; i++)
		x = network_conv2d(net, x, 4 + i % 13, 1, 1, 1, NET_SAME, true);
}

static const struct {
	const char *name;
	void (*make)(struct network *, struct arena *);
} nets[] = { { "inverted residuals", mobile },
	     { "100 concatenations", dense },
	     { "10,000 operators", deep } };

/* Seconds: the best of some, as everything else only adds. */
static double plan(const struct network *net, enum mcu_memory_model model, struct arena *a)
{
	const struct mcu_memory_rules rules = { model, 8, true, true, false, false };
	double best = 1e9;

	for (int i = 0; i < REPEATS && best * i < 2; i++) {
		struct arena_mark mark = arena_mark(a);
		double t = wall_s();
		struct mcu_memory m;

		mcu_memory_plan(net, &rules, a, &m);
		t = wall_s() - t;
		best = t < best ? t : best;
		arena_rewind(a, mark);
	}
	return best;
}

static double schedules(const struct network *net, struct arena *a, uint32_t *n)
{
	const struct mcu_memory_rules rules = { MCU_TINYENGINE, 8, true, true, false, false };
	const struct mcu_schedule_limits limits = { .grid = 4, .end = UINT32_MAX };
	struct mcu_effort *effort = ARENA_NEW(a, struct mcu_effort, net->n_ops);
	double best = 1e9;

	for (size_t i = 0; i < net->n_ops; i++)
		effort[i].output = (double)network_op_macs(net, i);
	for (int i = 0; i < REPEATS; i++) {
		struct arena_mark mark = arena_mark(a);
		struct mcu_schedule *list;
		double t = wall_s();

		*n = mcu_schedules(net, &rules, &limits, effort, a, &list);
		t = wall_s() - t;
		best = t < best ? t : best;
		arena_rewind(a, mark);
	}
	return best;
}

int main(int argc, char **argv)
{
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
	struct json_writer w;

	if (argc > 1 && !json) {
		fprintf(stderr, "usage: %s [--json]\n", argv[0]);
		return 2;
	}
	json_init(&w, stdout, false);
	if (json)
		json_list(&w, NULL);
	for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
		struct arena a = { 0 };
		struct network net, folded;
		struct nasc_err err = { 0 };
		uint32_t n = 0;

		nets[i].make(&net, &a);
		if (network_infer(&net, &err))
			abort();
		network_fold(&net, &a, &folded, NULL);
		if (json) {
			json_object(&w, NULL);
			json_string(&w, "name", nets[i].name);
			json_u64(&w, "operators", folded.n_ops);
		} else {
			printf("%-20s %5zu operators", nets[i].name, folded.n_ops);
		}
		for (size_t k = 0; mcu_memory_names[k]; k++) {
			double t = plan(&folded, (enum mcu_memory_model)k, &a);

			if (json)
				json_real(&w, mcu_memory_names[k], t);
			else
				printf("  %s %.1f us", mcu_memory_names[k], 1e6 * t);
		}
		if (i == 0) {
			double t = schedules(&folded, &a, &n);

			if (json) {
				json_u64(&w, "schedules", n);
				json_real(&w, "schedules_s", t);
			} else {
				printf("  %u schedules %.0f us", n, 1e6 * t);
			}
		}
		if (json)
			json_end(&w);
		else
			putchar('\n');
		arena_free(&a);
	}
	if (json)
		json_end(&w);
	return 0;
}
