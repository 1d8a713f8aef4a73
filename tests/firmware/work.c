/* For each row of counts on stdin (tests/firmware/kernels.c): the kernel, its instructions, and its
 * work as firmware/instructions.c sees it. */
#include <stdio.h>
#include <string.h>

#include "instructions.c"

/* Returns how many entries of @f, which is all 0. */
static size_t work_of(const char *kernel, const uint32_t *row, double *f)
{
	uint32_t h = row[0], w = row[1], c = row[2], size = row[3], stride = row[4], out_h = row[5];
	uint64_t elements = (uint64_t)h * w * c;
	struct arena a = { 0 };
	struct network net;
	struct nasc_err err = { 0 };
	size_t n;

	network_init(&net, &a, (struct net_shape){ h, w, c });
	if (!strcmp(kernel, "conv"))
		network_conv2d(&net, 0, row[7], size, stride, 1, NET_SAME, true);
	else if (!strcmp(kernel, "depthwise"))
		network_depthwise(&net, 0, size, stride, NET_SAME, true);
	else if (!strcmp(kernel, "dense"))
		network_dense(&net, 0, row[7], true);
	else if (!strcmp(kernel, "pad"))
		network_pad(&net, 0, stride, stride, stride, stride);
	else if (strstr(kernel, "_pool") && stride == h)
		network_unary(&net, NET_GLOBAL_POOL, 0);
	else
		network_pool(&net, NET_MAX_POOL, 0, size, stride, NET_SAME);
	if (network_infer(&net, &err))
		return 0;
	if (!strcmp(kernel, "conv")) {
		n = conv_work(&net.op[1], net.op[0].out, f);
	} else if (!strcmp(kernel, "depthwise")) {
		n = depthwise_work(&net.op[1], net.op[0].out, f);
	} else if (!strcmp(kernel, "dense")) {
		n = dense_work(&net.op[1], net.op[0].out, f);
	} else if (strstr(kernel, "_pool")) {
		n = pool_work(&net.op[1], net.op[0].out, f);
	} else if (!strcmp(kernel, "scale")) {
		n = channel_work((double)h * w, c, scale_sizes, f);
	} else if (!strcmp(kernel, "place")) {
		n = channel_work((double)h * w, c, place_sizes, f);
	} else if (!strcmp(kernel, "pad")) {
		n = pad_work(&net.op[1], net.op[0].out, f);
	} else if (!strcmp(kernel, "upsample")) {
		n = element_work((double)out_h * row[6], c, f);
		f[n++] = out_h;
	} else {
		n = element_work(1, elements, f);
		if (!strcmp(kernel, "add") && size > 3) { /* so many inputs, each the same again */
			for (size_t i = 0; i < n; i++)
				f[n + i] = size * f[i];
			n *= 2;
		}
	}
	arena_free(&a);
	return n;
}

int main(void)
{
	char line[256], kernel[32];

	while (fgets(line, sizeof line, stdin)) {
		uint32_t row[8];
		double counted, f[MAX_WORK] = { 0 };
		size_t n;

		if (sscanf(line, "%31[^,],%u,%u,%u,%u,%u,%u,%u,%u,%lf", kernel, &row[0], &row[1],
			   &row[2], &row[3], &row[4], &row[5], &row[6], &row[7], &counted) != 10)
			return 1;
		n = work_of(kernel, row, f);
		printf("%s%s %.0f", kernel,
		       strcmp(kernel, "add") ? ""
		       : row[3] == 2	     ? "_two"
		       : row[3] == 3	     ? "_three"
					     : "",
		       counted);
		for (size_t i = 0; i < n; i++)
			printf(" %.17g", f[i]);
		putchar('\n');
	}
	return 0;
}
