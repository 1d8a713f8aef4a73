#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware.h"
#include "leak.h"

TestSuite(instructions, .fini = no_leaks);

/* The network of a row of bench/firmware_counts.csv: its kernel is operator 1, and of a placing
 * one of two equal parts. */
static void network_of_row(struct network *net, const char *kernel, const uint32_t *row)
{
	uint32_t size = row[3], stride = row[4], out_c = row[7];

	if (!strcmp(kernel, "conv"))
		network_conv2d(net, 0, out_c, size, stride, 1, NET_SAME, true);
	else if (!strcmp(kernel, "depthwise"))
		network_depthwise(net, 0, size, stride, NET_SAME, true);
	else if (!strcmp(kernel, "dense"))
		network_dense(net, 0, out_c, true);
	else if (!strcmp(kernel, "mean_pool") && row[5] == 1)
		network_unary(net, NET_GLOBAL_POOL, 0);
	else if (!strcmp(kernel, "mean_pool"))
		network_pool(net, NET_AVG_POOL, 0, size, stride, NET_SAME);
	else if (!strcmp(kernel, "max_pool"))
		network_pool(net, NET_MAX_POOL, 0, size, stride, NET_SAME);
	else if (!strcmp(kernel, "scale"))
		network_unary(net, NET_BATCH_NORM, 0);
	else if (!strcmp(kernel, "place"))
		network_merge(net, NET_CONCAT, (const uint32_t[]){ 0, 0 }, 2);
	else if (!strcmp(kernel, "add"))
		network_merge(net, NET_ADD, (const uint32_t[]){ 0, 0, 0 }, size);
	else if (!strcmp(kernel, "clamp"))
		network_unary(net, NET_RELU, 0);
	else if (!strcmp(kernel, "pad"))
		network_pad(net, 0, stride, stride, stride, stride);
	else
		network_append(net, &(struct net_op){ .kind = NET_UPSAMPLE, .stride = stride },
			       &(uint32_t){ 0 }, 1);
}

/* Against counts in QEMU, of shapes that the formulas were not fitted to. */
Test(instructions, counted)
{
	char path[4096], line[256], kernel[32];
	double squares = 0, worst = 0;
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof path, "%s/bench/firmware_counts.csv", getenv("NASC_SOURCE"));
	f = fopen(path, "r");
	cr_assert_not_null(f, "%s", path);
	cr_assert_not_null(fgets(line, sizeof line, f));
	while (fgets(line, sizeof line, f)) {
		struct arena a = { 0 };
		struct network net;
		struct nasc_err err = { 0 };
		uint32_t row[8];
		double counted, off;

		cr_assert_eq(sscanf(line, "%31[^,],%u,%u,%u,%u,%u,%u,%u,%u,%*[^,],%*[^,],%lf",
				    kernel, &row[0], &row[1], &row[2], &row[3], &row[4], &row[5],
				    &row[6], &row[7], &counted),
			     10, "%s", line);
		network_init(&net, &a, (struct net_shape){ row[0], row[1], row[2] });
		network_of_row(&net, kernel, row);
		cr_assert_eq(network_infer(&net, &err), NASC_OK, "%s", err.msg);
		if (!strcmp(kernel, "place"))
			counted *= 2;
		off = (firmware_instructions(&net, 1) - counted) / counted;
		cr_assert_lt(fabs(off), counted < 3000 ? 0.05 : 0.02, "%.4f: %s", off, line);
		if (counted >= 3000) {
			squares += off * off;
			worst = fmax(worst, fabs(off));
			n++;
		}
		arena_free(&a);
	}
	fclose(f);
	cr_assert_gt(n, 150);
	cr_log_info("root mean square %.4f, worst %.4f", sqrt(squares / (double)n), worst);
	cr_assert_lt(sqrt(squares / (double)n), 0.003);
}
