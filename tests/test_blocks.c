#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "leak.h"
#include "network_fixture.h"

TestSuite(blocks, .fini = no_leaks);

/* A block without expansion; one that halves; one that is added to what goes into it, its mid
 * rounded to a multiple of 8. */
static const char by_hand[] =
	"{\"name\": \"small\", \"resolution\": 8, \"note\": 1,\n"
	" \"first_conv\": {\"cout\": 6, \"kernel\": 3, \"stride\": 2},\n"
	" \"blocks\": [\n"
	"  {\"expand\": 1, \"mid\": 6, \"cin\": 6, \"cout\": 4, \"kernel\": 5, \"stride\": 1, "
	"\"residual\": false},\n"
	"  {\"expand\": 2, \"mid\": 8, \"cin\": 4, \"cout\": 5, \"kernel\": 7, \"stride\": 2, "
	"\"residual\": false},\n"
	"  {\"expand\": 3, \"mid\": 16, \"cin\": 5, \"cout\": 5, \"kernel\": 3, \"stride\": 1, "
	"\"residual\": true}],\n"
	" \"classifier\": {\"cin\": 5, \"cout\": 10}}";

static uint32_t relu6(struct network *net, uint32_t op)
{
	net->op[op].act = NET_ACT_RELU6;
	return op;
}

Test(blocks, by_hand)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network want, got;
	uint32_t x, y;

	network_init(&want, &a, (struct net_shape){ 8, 8, 3 });
	x = relu6(&want, network_conv2d(&want, 0, 6, 3, 2, 1, NET_SAME, true));
	x = relu6(&want, network_depthwise(&want, x, 5, 1, NET_SAME, true));
	x = network_conv2d(&want, x, 4, 1, 1, 1, NET_SAME, true);
	x = relu6(&want, network_conv2d(&want, x, 8, 1, 1, 1, NET_SAME, true));
	x = relu6(&want, network_depthwise(&want, x, 7, 2, NET_SAME, true));
	x = network_conv2d(&want, x, 5, 1, 1, 1, NET_SAME, true);
	y = relu6(&want, network_conv2d(&want, x, 16, 1, 1, 1, NET_SAME, true));
	y = relu6(&want, network_depthwise(&want, y, 3, 1, NET_SAME, true));
	y = network_conv2d(&want, y, 5, 1, 1, 1, NET_SAME, true);
	x = network_merge(&want, NET_ADD, (const uint32_t[]){ x, y }, 2);
	network_dense(&want, network_unary(&want, NET_GLOBAL_POOL, x), 10, true);
	infer(&want);

	cr_assert_eq(read_text(by_hand, &a, &got, &err), NASC_OK, "%s", err.msg);
	cr_assert(network_equal(&got, &want));
	cr_assert_str_eq(got.name, "small");
	cr_assert_eq(got.classes, 10);
	arena_free(&a);
}

/* by_hand with its first @from replaced by @to. */
struct bad_case {
	char from[48], to[48], want[160];
};

ParameterizedTestParameters(blocks, rejects)
{
	static struct bad_case cases[] = {
		{ "\"resolution\": 8, ", "", "resolution: is missing" },
		{ "\"resolution\": 8", "\"resolution\": 0", "resolution: 0 is outside [1, 65536]" },
		{ "{\"cout\": 6, \"kernel\": 3, \"stride\": 2}", "3",
		  "first_conv: cout: is missing, there is no object around it" },
		{ "\"kernel\": 3, ", "", "first_conv: kernel: is missing" },
		{ "\"cin\": 6", "\"cin\": 8",
		  "blocks[0]: cin: 8, but what is in front has 6 channels" },
		{ "\"cout\": 4, ", "", "blocks[0]: cout: is missing" },
		{ "\"kernel\": 5", "\"kernel\": 1e9",
		  "blocks[0]: kernel: 1000000000 is outside [1, 65536]" },
		{ "\"mid\": 6", "\"mid\": 12", "blocks[0]: mid: 12, but 1 times cin 6 is 6" },
		{ "\"mid\": 8", "\"mid\": 24", "blocks[1]: mid: 24, but 2 times cin 4 is 8" },
		{ "\"expand\": 2", "\"expand\": 65536",
		  "blocks[1]: mid: 8, but 65536 times cin 4 is 262144" },
		{ "\"stride\": 2, \"residual\": false", "\"stride\": 2, \"residual\": true",
		  "blocks[1]: residual: true, but with stride 2 from 4 to 5 channels what goes in "
		  "and what comes out differ in shape" },
		{ "\"residual\": true", "\"residual\": 1",
		  "blocks[2]: residual: it must be true or false" },
		{ "\"blocks\": [", "\"blocks\": [7, ",
		  "blocks[0]: cin: is missing, there is no object around it" },
		{ "\"blocks\": [", "\"blocks\": 7, \"b\": [", "blocks: is a number, not a list" },
		{ "\"classifier\"", "\"head\"", "classifier: is missing" },
		{ "\"cin\": 5, \"cout\": 10", "\"cin\": 6, \"cout\": 10",
		  "classifier: cin: 6, but what is in front has 5 channels" },
		{ "\"cout\": 10", "\"cout\": \"ten\"",
		  "classifier: cout: is a string, not a whole number" },
	};

	return cr_make_param_array(struct bad_case, cases, sizeof cases / sizeof *cases);
}

ParameterizedTest(struct bad_case *c, blocks, rejects)
{
	const char *at = strstr(by_hand, c->from);
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net = { .n_ops = 0 };
	char text[sizeof by_hand + sizeof c->to];

	cr_assert_not_null(at, "%s", c->from);
	snprintf(text, sizeof text, "%.*s%s%s", (int)(at - by_hand), by_hand, c->to,
		 at + strlen(c->from));
	cr_assert_eq(read_text(text, &a, &net, &err), NASC_DATA, "%s", c->to);
	cr_assert_str_eq(err.msg, c->want);
	cr_assert_eq(net.n_ops, 0);
	arena_free(&a);
}

/* MCUNet's lists, with the MACs that their files have, are its networks in configs. */
static const struct {
	const char *name;
	uint64_t macs;
} mcunet[] = {
	{ "mcunet-in0", 6364224 },
	{ "mcunet-in2", 67287200 },
	{ "mcunet-in4", 125874400 },
};

static void load(const char *folder, const char *name, struct arena *a, struct network *net)
{
	const char *source = getenv("NASC_SOURCE");
	struct nasc_err err = { 0 };
	char path[1000];

	snprintf(path, sizeof path, "%s/%s/%s.json", source ? source : ".", folder, name);
	cr_assert_eq(network_load(path, a, net, &err), NASC_OK, "%s", err.msg);
}

Test(blocks, mcunet)
{
	const char *source = getenv("NASC_SOURCE");
	char folder[1000];

	snprintf(folder, sizeof folder, "%s/../shared/models/mcunet", source ? source : ".");
	if (access(folder, R_OK))
		cr_skip("no models at ../shared/models");
	for (size_t i = 0; i < sizeof mcunet / sizeof *mcunet; i++) {
		struct arena a = { 0 };
		struct network list, published;

		load("../shared/models/mcunet", mcunet[i].name, &a, &list);
		load("configs/networks/published", mcunet[i].name, &a, &published);
		cr_assert(network_equal(&list, &published), "%s", mcunet[i].name);
		cr_assert_str_eq(list.name, mcunet[i].name);
		cr_assert_eq(network_macs(&list), mcunet[i].macs, "%s: %llu", mcunet[i].name,
			     (unsigned long long)network_macs(&list));
		arena_free(&a);
	}
}
