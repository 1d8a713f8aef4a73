#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "cost_fixture.h"
#include "mcu_cycles.h"

/* ---- size ------------------------------------------------------------------------ */

TestSuite(costs, .fini = no_leaks);

/* Conv 3x3, 2 -> 4 channels, no bias, batch norm, ReLU, dense 3 on 5x5x4:
 * parameters 72 + 8 + 303, MACs 25 * 72 + 300; deployed: 72 + 4 * 4 + 300 + 4 * 3. */
Test(costs, size_by_hand)
{
	struct arena a = { 0 };
	struct network net;
	struct costmodel m;
	struct nasc_err err = { 0 };
	double row[5 * 3];
	struct cost c = { .per_op = row };
	uint32_t x;

	network_init(&net, &a, (struct net_shape){ 5, 5, 2 });
	x = network_conv2d(&net, 0, 4, 3, 1, 1, NET_SAME, false);
	x = network_unary(&net, NET_RELU, network_unary(&net, NET_BATCH_NORM, x));
	network_dense(&net, x, 3, true);
	infer(&net);
	cr_assert_eq(costmodel_open(&m, costmodel_find("size"), &a, &err), NASC_OK);
	cr_assert_eq(m.ops->n_metrics, 3);
	cost_of(&m, &net, &a, &c);
	cr_assert_eq(c.value[0], 383);
	cr_assert_eq(c.value[1], 2100);
	cr_assert_eq(c.value[2], 400);
	for (size_t i = 0; i < 3; i++) {
		double sum = 0;

		for (size_t op = 0; op < 5; op++)
			sum += row[op * 3 + i];
		cr_assert_eq(sum, c.value[i], "metric %zu", i);
	}
	cr_assert_eq(row[1 * 3 + 2], 88, "the convolution holds what was folded into it");
	cr_assert_eq(row[2 * 3 + 2], 0);
	cr_assert_float_eq(size_nid(0.9, 383), 0.9 / 383, 1e-15);
	arena_free(&a);
}

/* ---- microcontroller ------------------------------------------------------------- */

#define MCU_METRICS 7

/* The network above at 1 cycle a MAC, 10 an output, 100 an operator and 1 kHz, by hand:
 * (1800 + 1000 + 100) + (300 + 30 + 100) cycles; SRAM 50 + 100 bytes. */
Test(costs, mcu_by_hand)
{
	struct arena a = { 0 };
	struct network net;
	struct costmodel m;
	double row[5 * MCU_METRICS];
	struct cost c = { .per_op = row };
	struct cost_limit limit[COST_MAX_METRICS];
	uint32_t x;

	network_init(&net, &a, (struct net_shape){ 5, 5, 2 });
	x = network_conv2d(&net, 0, 4, 3, 1, 1, NET_SAME, false);
	x = network_unary(&net, NET_RELU, network_unary(&net, NET_BATCH_NORM, x));
	network_dense(&net, x, 3, true);
	infer(&net);
	open_text(&m,
		  "model: mcu\nsummary: s\nruntime: hand\nclock: 1 kHz\nsram: 1 KiB\nflash: 2 KiB\n"
		  "code: 100\nchannel_bytes: 8\ncycles_conv: 1\ncycles_pointwise: 1\n"
		  "cycles_depthwise: 1\ncycles_dense: 1\ncycles_output: 10\ncycles_layer: 100\n"
		  "power: 2 mW\n",
		  &a);
	cr_assert_str_eq(m.model, "mcu/hand");
	cost_of(&m, &net, &a, &c);
	cr_assert_eq(m.ops->n_metrics, MCU_METRICS);
	cr_assert_eq(c.value[0], 150);
	cr_assert_eq(c.value[1], 400 + 7 * 8 + 100);
	cr_assert_float_eq(c.value[2], 3.33, 1e-12);
	cr_assert_float_eq(c.value[3], 3.33 * 2e-3, 1e-15);
	cr_assert_eq(row[1 * MCU_METRICS], 150);
	cr_assert_eq(row[4 * MCU_METRICS], 103);
	cr_assert_float_eq(row[1 * MCU_METRICS + 2], 2.9, 1e-12);
	cr_assert_eq(m.ops->limits(&m, limit), 2);
	cr_assert_eq(limit[0].metric, 0);
	cr_assert_eq(limit[0].max, 1024);
	cr_assert_eq(limit[1].max, 2048);
	arena_free(&a);
}

/* Work of a depthwise convolution, 3x3 with stride 2 on 5x5x4, and of adding its output to a 1x1
 * convolution's: by hand 9 places of 4 channels of 9 MACs; 36 elements; the pool reads 4 for each.
 */
Test(costs, mcu_work_by_hand)
{
	static const double depthwise[MCU_N_RATES] = {
		[MCU_DEPTHWISE] = 324, [MCU_OUTPUT] = 36, [MCU_CHANNEL] = 4, [MCU_LAYER] = 1
	};
	static const double pointwise[MCU_N_RATES] = {
		[MCU_POINTWISE] = 144, [MCU_OUTPUT] = 36, [MCU_LAYER] = 1
	};
	static const double add[MCU_N_RATES] = { [MCU_ELEMENTWISE] = 36, [MCU_LAYER] = 1 };
	static const double pool[MCU_N_RATES] = { [MCU_ELEMENTWISE] = 144, [MCU_LAYER] = 1 };
	struct arena a = { 0 };
	struct network net;
	double work[MCU_N_RATES];
	uint32_t both[2], x;

	network_init(&net, &a, (struct net_shape){ 5, 5, 4 });
	both[0] = network_depthwise(&net, 0, 3, 2, NET_SAME, true);
	both[1] = network_conv2d(&net, both[0], 4, 1, 1, 1, NET_SAME, true);
	x = network_merge(&net, NET_ADD, both, 2);
	network_pool(&net, NET_MAX_POOL, x, 2, 1, NET_SAME);
	infer(&net);
	mcu_work(&net, 1, work);
	cr_expect_arr_eq(work, depthwise, sizeof work);
	mcu_work(&net, 2, work);
	cr_expect_arr_eq(work, pointwise, sizeof work);
	mcu_work(&net, 3, work);
	cr_expect_arr_eq(work, add, sizeof work);
	mcu_work(&net, 4, work);
	cr_expect_arr_eq(work, pool, sizeof work);
	arena_free(&a);
}

/* Batch norm behind a concat stays: two 4-byte constants a channel, one pass over
 * the map; overwrites the concat's output in place. Rates are not given: no time. */
Test(costs, mcu_pre_activation)
{
	struct arena a = { 0 };
	struct network net;
	struct costmodel m;
	struct cost c = { .per_op = NULL };
	uint32_t x, both[2] = { 0, 0 };

	network_init(&net, &a, (struct net_shape){ 4, 4, 3 });
	both[1] = network_conv2d(&net, 0, 5, 1, 1, 1, NET_SAME, true);
	x = network_merge(&net, NET_CONCAT, both, 2);
	network_unary(&net, NET_RELU, network_unary(&net, NET_BATCH_NORM, x));
	infer(&net);
	open_text(&m,
		  "model: mcu\nsummary: s\nruntime: r\nclock: 1 MHz\nsram: 1 KiB\nflash: 1 KiB\n",
		  &a);
	cost_of(&m, &net, &a, &c);
	cr_assert_eq(c.value[0], 16 * 8);
	cr_assert_eq(c.value[1], 15 + 20 + 64);
	cr_assert(isnan(c.value[2]));
	cr_assert(isnan(c.value[3]));
	arena_free(&a);
}

/* ---- published measurements ------------------------------------------------------- */

#define CSV_FIELDS 32

/* Split one CSV line (no quotes in the columns read) in place. */
static size_t split(char *line, char **field)
{
	size_t n = 0;
	bool quoted = false;

	field[n++] = line;
	for (char *p = line; *p && n < CSV_FIELDS; p++) {
		if (*p == '"')
			quoted = !quoted;
		if (*p == ',' && !quoted) {
			*p = '\0';
			field[n++] = p + 1;
		}
	}
	return n;
}

enum {
	MODEL = 4,
	LATENCY = 15,
	BOARD = 17,
	CLOCK = 19,
	RUNTIME = 20,
	MACS_FILE = 24,
	PARAMS_FILE = 25,
	CONSTANTS_FILE = 26,
	LIVE_FILE = 27,
	FLAGS = 29
};

static FILE *open_measurements(void)
{
	char path[1024];
	FILE *fp = fopen(source_path("../shared/data/mcu_measured.csv", path, sizeof path), "r");

	if (!fp)
		cr_skip("no published measurements at ../shared/data/mcu_measured.csv");
	return fp;
}

static bool build_named(const char *name, struct network *net, struct arena *a)
{
	if (strncmp(name, "ResNet8", 7) == 0)
		resnet8(net, a);
	else if (strncmp(name, "DS-CNN", 6) == 0)
		ds_cnn(net, a);
	else if (strncmp(name, "MobileNetV1-0.25-96", 19) == 0)
		mobilenet_v1(net, a);
	else if (strncmp(name, "ad01", 4) == 0)
		autoencoder(net, a);
	else
		return false;
	return true;
}

/* MACs and constants of the four networks equal what is in the published .tflite
 * files: constants within 160 bytes, which hold shapes of reshape operators. */
Test(costs, counts_equal_the_published_files)
{
	struct arena a = { 0 };
	struct costmodel size;
	struct nasc_err err = { 0 };
	FILE *fp = open_measurements();
	char line[4096], *field[CSV_FIELDS];
	int rows = 0;

	costmodel_open(&size, costmodel_find("size"), &a, &err);
	while (fgets(line, sizeof line, fp)) {
		struct arena_mark mark = arena_mark(&a);
		struct cost c = { .per_op = NULL };
		struct network net;

		if (split(line, field) > FLAGS && *field[MACS_FILE] &&
		    build_named(field[MODEL], &net, &a)) {
			cost_of(&size, &net, &a, &c);
			cr_assert_eq(c.value[1], strtod(field[MACS_FILE], NULL), "%s",
				     field[MODEL]);
			cr_assert_eq(c.value[0], strtod(field[PARAMS_FILE], NULL), "%s",
				     field[MODEL]);
			cr_assert_float_eq(c.value[2], strtod(field[CONSTANTS_FILE], NULL), 160,
					   "%s", field[MODEL]);
			cr_assert_eq(peak(&net, true, false, NULL), strtod(field[LIVE_FILE], NULL),
				     "%s", field[MODEL]);
			rows++;
		}
		arena_rewind(&a, mark);
	}
	fclose(fp);
	arena_free(&a);
	cr_assert_gt(rows, 100);
}

/* Published latencies of the four MLPerf Tiny networks, in cycles. The targets' rates are fitted to
 * these rows among others: they say that a target's file, as it is read, gives what was fitted.
 * What the model is worth on networks it has not seen: tests/cli/calibrate.sh. */
static const struct {
	char target[16], board[20], runtime[24];
	double target_clock, tolerance;
} published[] = {
	{ "stm32h747", "NUCLEO-H7A3ZI-Q", "X-CUBE-AI v7.3", 400e6, 0.10 },
	{ "stm32l4r5", "NUCLEO-L4R5ZI", "X-CUBE-AI v8.1", 120e6, 0.10 },
	{ "stm32u575", "NUCLEO-U575ZI-Q", "X-CUBE-AI v8.1", 160e6, 0.10 },
	{ "nrf52840", "NUCLEO-L4R5ZI", "microtvm_cmsis_nn", 64e6, 0.10 },
	{ "ra6m4", "EK-RA6M4", "tflite-micro", 200e6, 0.10 },
	{ "rp2040", "NUCLEO-G0B1RE", "bosch", 133e6, 0.10 },
};

Test(costs, latency_meets_published_measurements)
{
	struct arena a = { 0 };
	FILE *fp = open_measurements();
	char line[4096], *field[CSV_FIELDS];
	int rows = 0;

	while (fgets(line, sizeof line, fp)) {
		if (split(line, field) <= FLAGS || !*field[LATENCY] ||
		    strstr(field[FLAGS], "dead_channels"))
			continue;
		for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
			struct arena_mark mark = arena_mark(&a);
			struct cost c = { .per_op = NULL };
			struct costmodel m;
			struct network net;

			if (strcmp(field[BOARD], published[i].board) == 0 &&
			    strstr(field[RUNTIME], published[i].runtime) &&
			    build_named(field[MODEL], &net, &a)) {
				double measured = strtod(field[LATENCY], NULL) / 1e3 *
						  strtod(field[CLOCK], NULL) * 1e6;
				double predicted;

				open_target(&m, published[i].target, &a);
				cost_of(&m, &net, &a, &c);
				predicted = c.value[2] * published[i].target_clock;
				cr_assert_float_eq(predicted / measured, 1, published[i].tolerance,
						   "%s, %s, %s: %.2f", published[i].target,
						   field[MODEL], field[RUNTIME],
						   predicted / measured);
				rows++;
			}
			arena_rewind(&a, mark);
		}
	}
	fclose(fp);
	arena_free(&a);
	cr_assert_eq(rows, 22);
}

/* ---- targets ---------------------------------------------------------------------- */

TestSuite(targets, .fini = no_leaks);

/* The boards and devices the manual names; what holds for each: test_conformance_costmodels.c. */
Test(targets, are_listed)
{
	static const char *const wanted[] = { "nrf52840",  "ra6m4",	"rp2040",    "stm32f412",
					      "stm32f746", "stm32h743", "stm32h747", "stm32l4r5",
					      "stm32u575", "zu3eg",	"zu7ev",     "zynq7020" };
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	const char **name;
	char dir[1024];
	size_t n, found = 0;

	cr_assert_eq(
		target_list(source_path("configs/targets", dir, sizeof dir), &a, &name, &n, &err),
		NASC_OK);
	for (size_t i = 0; i < n; i++) {
		cr_assert(i == 0 || strcmp(name[i - 1], name[i]) < 0);
		if (found < sizeof wanted / sizeof *wanted)
			found += strcmp(wanted[found], name[i]) == 0;
	}
	cr_assert_eq(found, sizeof wanted / sizeof *wanted, "%s is missing", wanted[found]);
	arena_free(&a);
}

struct malformed {
	char yaml[160], want[120];
};

#define BOARD_TEXT "clock: 1 MHz\nsram: 9\nflash: 9\n"

ParameterizedTestParameters(targets, malformed)
{
	static struct malformed cases[] = {
		{ "summary: s\n", ": key 'model' is missing" },
		{ "model: mcu\n", ": key 'summary' is missing" },
		{ "model: [mcu]\nsummary: s\n", ":1: model: it must be one text" },
		{ "model: mcu\nsummary: {a: b}\n", ":2: summary: it must be one text" },
		{ "summary: s\nmodel: mcuu\n",
		  ":2: model: 'mcuu' is no cost model of targets, mcu, fpga are" },
		{ "model: size\nsummary: s\n",
		  ":1: model: 'size' is no cost model of targets, mcu, fpga are" },
		{ "model: mcu\nsummary: s\nruntime: r\n" BOARD_TEXT "sramm: 3\n", ":7: " },
		{ "model: mcu\nsummary: s\nruntime: r\nclock: 1 MiB\nsram: 9\nflash: 9\n",
		  ":4: clock: " },
		{ "model: mcu\nsummary: s\nruntime: r\nclock: 1 MHz\nsram: 9\n", "flash" },
		{ "model: mcu\nsummary: s\nruntime: r\n" BOARD_TEXT "cycles_conv: 1\n",
		  ": only 1 of cycles_conv, cycles_pointwise, cycles_depthwise and cycles_dense" },
		{ "model: mcu\nsummary: s\nruntime: r\n" BOARD_TEXT "code: 9\n",
		  ": code of 9 bytes leaves no room in flash of 9 bytes" },
		{ "model: mcu\nsummary: s\nruntime: r\n" BOARD_TEXT "weight_bits: 64\n",
		  ":7: weight_bits: " },
		{ "model: fpga\nsummary: s\nclock: 1\ndsp: 1\nbram_18k: 1\nlut: 1\nff: 1\n",
		  ":3: clock: " },
		{ "model: fpga\nsummary: s\nclock: 1 MHz\ndsp: 1\nbram_18k: 1\nlut: 1\n", "ff" },
		{ "model: fpga\nsummary: s\nsummary: t\n", ":3: key 'summary' is given twice" },
		{ "- a\n", "at the top" },
		{ "model: \"fpga\n", "not valid YAML" },
	};

	return cr_make_param_array(struct malformed, cases, sizeof cases / sizeof *cases);
}

ParameterizedTest(struct malformed *c, targets, malformed)
{
	char path[] = "/tmp/nasc-target-XXXXXX.yaml";
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct costmodel m = { .ops = NULL };
	int fd = mkstemps(path, 5);
	FILE *fp = fdopen(fd, "w");

	fputs(c->yaml, fp);
	fclose(fp);
	cr_assert_eq(target_open(&m, ".", path, &a, &err), NASC_CONFIG, "%s: %s", c->yaml, err.msg);
	remove(path);
	cr_assert_not_null(strstr(err.msg, path), "%s", err.msg);
	cr_assert_not_null(strstr(err.msg, c->want), "'%s' not in '%s'", c->want, err.msg);
	cr_assert_null(m.ops, "untouched on failure");
	arena_free(&a);
}

Test(targets, unknown_names)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct costmodel m;
	char dir[1024];

	source_path("configs/targets", dir, sizeof dir);
	cr_assert_eq(target_open(&m, dir, "stm32f764", &a, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "unknown target 'stm32f764', did you mean 'stm32f746'?");
	cr_assert_eq(target_open(&m, dir, "pentium", &a, &err), NASC_CONFIG);
	cr_assert_not_null(strstr(err.msg, "known are nrf52840, ra6m4, rp2040, stm32f412"), "%s",
			   err.msg);
	cr_assert_eq(target_open(&m, dir, "", &a, &err), NASC_CONFIG);
	cr_assert_eq(target_open(&m, dir, "./absent.yaml", &a, &err), NASC_DATA);
	cr_assert_eq(target_open(&m, "/absent", "stm32f746", &a, &err), NASC_DATA);
	cr_assert_eq(costmodel_open(&m, costmodel_find("mcu"), &a, &err), NASC_CONFIG);
	cr_assert_str_eq(err.msg, "cost model 'mcu' needs a target: a file that says 'model: mcu'");
	cr_assert_null(costmodel_find("gpu"));
	arena_free(&a);
}
