#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cjson/cJSON.h>

#include "json.h"
#include "leak.h"
#include "network_fixture.h"
#include "rng.h"

TestSuite(network_json, .fini = no_leaks);

/* The file as text, in @a. */
static char *write_text(const struct network *net, struct arena *a)
{
	struct json_writer w;
	char *buf = NULL, *text;
	size_t n = 0;
	FILE *fp = open_memstream(&buf, &n);

	json_init(&w, fp, false);
	network_write_json(net, &w, NULL);
	fclose(fp);
	text = arena_strdup(a, buf);
	free(buf);
	return text;
}

/* Every kind, every member away from its default. */
static void every_kind(struct network *net, struct arena *a)
{
	network_init(net, a, (struct net_shape){ 9, 7, 4 });
	network_conv2d(net, 0, 6, 3, 2, 2, NET_VALID, true);
	net->op[1].kernel_w = 2;
	net->op[1].act = NET_ACT_RELU6;
	network_depthwise(net, 1, 3, 1, NET_SAME, false);
	network_unary(net, NET_BATCH_NORM, 2);
	net->op[3].act = NET_ACT_RELU;
	network_unary(net, NET_RELU, 2);
	network_unary(net, NET_RELU6, 3);
	network_merge(net, NET_ADD, (uint32_t[]){ 3, 4, 5 }, 3);
	network_pool(net, NET_MAX_POOL, 6, 3, 1, NET_SAME);
	network_pool(net, NET_AVG_POOL, 6, 3, 1, NET_SAME);
	network_merge(net, NET_CONCAT, (uint32_t[]){ 8, 7 }, 2);
	network_unary(net, NET_GLOBAL_POOL, 9);
	network_dense(net, 10, 3, true);
	network_pad(net, 9, 1, 0, 2, 65000);
	network_depthwise(net, 12, 3, 1, NET_EXPLICIT, true);
	net->op[13].pad_bottom = 1;
	network_append(net, &(struct net_op){ .kind = NET_UPSAMPLE, .stride = 3 },
		       (const uint32_t[]){ 9 }, 1);
	network_unary(net, NET_SOFTMAX, 11);
	snprintf(net->name, sizeof net->name, "all \"kinds\"");
	infer(net);
}

Test(network_json, round_trip)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net, back;
	const char *text;

	every_kind(&net, &a);
	text = write_text(&net, &a);
	cr_assert_eq(read_text(text, &a, &back, &err), NASC_OK, "%s", err.msg);
	cr_assert(network_equal(&net, &back));
	cr_assert_str_eq(back.name, net.name);
	cr_assert_eq(back.classes, net.classes);
	cr_assert_str_eq(write_text(&back, &a), text);
	arena_free(&a);
}

/* What a person may leave out. */
static const char by_hand[] =
	"{\"version\": 1, \"input\": [8, 8, 3], \"operators\": [\n"
	"  {\"kind\": \"conv2d\", \"channels\": 4, \"kernel\": 3, \"act\": \"relu\"},\n"
	"  {\"kind\": \"conv2d\", \"channels\": 4, \"kernel\": [1, 3], \"bias\": false},\n"
	"  {\"name\": \"sum\", \"kind\": \"add\", \"inputs\": [\"op1\", \"op2\"]},\n"
	"  {\"kind\": \"max_pool\", \"kernel\": 2, \"stride\": 2},\n"
	"  {\"kind\": \"concat\", \"inputs\": [\"op4\", \"op4\"]},\n"
	"  {\"kind\": \"dense\", \"channels\": 10}]}";

Test(network_json, written_by_hand)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network want, got;

	network_init(&want, &a, (struct net_shape){ 8, 8, 3 });
	network_conv2d(&want, 0, 4, 3, 1, 1, NET_SAME, true);
	want.op[1].act = NET_ACT_RELU;
	network_conv2d(&want, 1, 4, 3, 1, 1, NET_SAME, false);
	want.op[2].kernel_h = 1;
	network_merge(&want, NET_ADD, (uint32_t[]){ 1, 2 }, 2);
	network_pool(&want, NET_MAX_POOL, 3, 2, 2, NET_SAME);
	network_merge(&want, NET_CONCAT, (uint32_t[]){ 4, 4 }, 2);
	network_dense(&want, 5, 10, true);
	infer(&want);
	cr_assert_eq(read_text(by_hand, &a, &got, &err), NASC_OK, "%s", err.msg);
	cr_assert(network_equal(&want, &got));
	arena_free(&a);
}

/* A chain of the most operators there may be: minutes if any step were quadratic. */
Test(network_json, largest)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net, back;

	network_init(&net, &a, (struct net_shape){ 4, 4, 2 });
	for (uint32_t i = 1; i < NETWORK_MAX_OPS; i++)
		network_merge(&net, NET_ADD, (uint32_t[]){ i - 1, i > 9 ? i - 9 : 0 }, 2);
	infer(&net);
	cr_assert_eq(read_text(write_text(&net, &a), &a, &back, &err), NASC_OK, "%s", err.msg);
	cr_assert(network_equal(&net, &back));
	arena_free(&a);
}

struct bad_case {
	char ops[224], want[192];
	char valid; /* 's': the schema allows it, as it takes shapes or names into account */
};

/* Operators of a file with input 8x8x6, and the message. */
static struct bad_case bad_cases[] = {
	{ "{}", "operator 1: kind: is missing", 0 },
	{ "7", "operator 1: it must be an object", 0 },
	{ "{'kind': 'conv3d'}",
	  "operator 1: kind: unknown 'conv3d', it must be one of conv2d, depthwise, dense, "
	  "max_pool, "
	  "avg_pool, global_pool, add, concat, batch_norm, relu, relu6, softmax, pad, upsample",
	  0 },
	{ "{'kind': 'input'}",
	  "operator 1: kind: unknown 'input', it must be one of conv2d, depthwise, dense, "
	  "max_pool, "
	  "avg_pool, global_pool, add, concat, batch_norm, relu, relu6, softmax, pad, upsample",
	  0 },
	{ "{'kind': 7}", "operator 1: kind: is a number, not a string", 0 },
	{ "{'kind': 'conv2d', 'kernel': 3}", "operator 1 (conv2d): channels: is missing", 0 },
	{ "{'kind': 'conv2d', 'channels': 4}", "operator 1 (conv2d): kernel: is missing", 0 },
	{ "{'kind': 'conv2d', 'channels': 0, 'kernel': 3}",
	  "operator 1 (conv2d): channels: 0 is outside [1, 65536]", 0 },
	{ "{'kind': 'conv2d', 'channels': 2.5, 'kernel': 3}",
	  "operator 1 (conv2d): channels: 2.5 is not a whole number below 2^53", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': [3]}",
	  "operator 1 (conv2d): kernel: 1 numbers in the list, it must have 2", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': [3, 0]}",
	  "operator 1 (conv2d): kernel: item 2 is not an integer in [1, 65536]", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': [3, 1e300]}",
	  "operator 1 (conv2d): kernel: item 2 is not an integer in [1, 65536]", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': 3, 'stride': 0}",
	  "operator 1 (conv2d): stride: 0 is outside [1, 65536]", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': 3, 'padding': 'full'}",
	  "operator 1 (conv2d): padding: unknown 'full'; 'same', 'valid' are known", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': 3, 'padding': [1, 1]}",
	  "operator 1 (conv2d): padding: 2 numbers in the list, it must have 4", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': 3, 'padding': [1, 1, -1, 1]}",
	  "operator 1 (conv2d): padding: item 3 is not an integer in [0, 65536]", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': 3, 'padding': [0, 65536, 0, 0]}",
	  "operator 1 (conv2d): padded width 65544 is outside [1, 65536]", 's' },
	{ "{'kind': 'upsample', 'factor': 9000}",
	  "operator 1 (upsample): height 72000 is outside [1, 65536]", 's' },
	{ "{'kind': 'pad'}", "operator 1 (pad): padding: is missing", 0 },
	{ "{'kind': 'pad', 'padding': 'same'}",
	  "operator 1 (pad): padding: is a string, not a list", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': 3, 'act': 'gelu'}",
	  "operator 1 (conv2d): act: unknown 'gelu'; 'linear', 'relu', 'relu6' are known", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': 3, 'bias': 1}",
	  "operator 1 (conv2d): bias: it must be true or false", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': 3, 'dilation': 2}",
	  "operator 1 (conv2d): dilation: unknown key", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': 3, 'kernel': 5}",
	  "operator 1 (conv2d): kernel: is given twice", 's' },
	{ "{'kind': 'relu', 'bias': true}", "operator 1 (relu): bias: unknown key", 0 },
	{ "{'kind': 'max_pool', 'kernel': 2}", "operator 1 (max_pool): stride: is missing", 0 },
	{ "{'name': '', 'kind': 'relu'}", "operator 1: name: is 0 bytes long, it must be 1 to 63",
	  0 },
	{ "{'name': 'a\\u001bb', 'kind': 'relu'}",
	  "operator 1: name: has byte 0x1b in it, it must be printable ASCII", 0 },
	{ "{'name': 'caf\xc3\xa9', 'kind': 'relu'}",
	  "operator 1: name: has byte 0xc3 in it, it must be printable ASCII", 0 },
	{ "{'name': 'a', 'kind': 'relu'}, {'name': 'a', 'kind': 'relu'}",
	  "operator 2: name 'a' is taken by operator 1", 's' },
	{ "{'kind': 'relu'}, {'name': 'op1', 'kind': 'relu'}",
	  "operator 2: name 'op1' is taken by operator 1", 's' },
	{ "{'name': 'input', 'kind': 'relu'}", "operator 1: name 'input' is taken by operator 0",
	  's' },
	{ "{'kind': 'relu', 'inputs': 'input'}",
	  "operator 1 (relu): inputs: is a string, not a list", 0 },
	{ "{'kind': 'relu', 'inputs': [0]}",
	  "operator 1 (relu): inputs: it must be a list of names of operators", 0 },
	{ "{'kind': 'relu', 'inputs': []}", "operator 1 (relu): 0 inputs, it takes 1", 0 },
	{ "{'kind': 'relu', 'inputs': ['input', 'input']}",
	  "operator 1 (relu): 2 inputs, it takes 1", 0 },
	{ "{'kind': 'relu', 'inputs': ['stem']}",
	  "operator 1 (relu): inputs: no operator is named 'stem'", 's' },
	{ "{'kind': 'relu', 'inputs': ['op1']}",
	  "operator 1 (relu): inputs: 'op1' is operator 1, it must be an earlier one", 's' },
	{ "{'kind': 'relu', 'inputs': ['last']}, {'name': 'last', 'kind': 'relu'}",
	  "operator 1 (relu): inputs: 'last' is operator 2, it must be an earlier one", 's' },
	{ "{'kind': 'add'}", "operator 1 (add): 1 inputs, it takes at least 2", 0 },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': 9, 'padding': 'valid'}",
	  "operator 1 (conv2d): kernel height 9 is larger than its input's 8 under valid padding",
	  's' },
	{ "{'kind': 'max_pool', 'kernel': [1, 9], 'stride': 1, 'padding': 'valid'}",
	  "operator 1 (max_pool): kernel width 9 is larger than its input's 8 under valid padding",
	  's' },
	{ "{'kind': 'conv2d', 'channels': 8, 'kernel': 3, 'groups': 4}",
	  "operator 1 (conv2d): 6 input channels are not divisible by 4 groups", 's' },
	{ "{'kind': 'conv2d', 'channels': 8, 'kernel': 3, 'groups': 3}",
	  "operator 1 (conv2d): 8 output channels are not divisible by 3 groups", 's' },
	{ "{'kind': 'max_pool', 'kernel': 2, 'stride': 2}, {'kind': 'concat', 'inputs': ['op1', "
	  "'input']}",
	  "operator 2 (concat): input 1 is 8x8x6, which does not match the first, 4x4x6", 's' },
	{ "{'kind': 'conv2d', 'channels': 4, 'kernel': 1}, {'kind': 'add', 'inputs': ['input', "
	  "'op1']}",
	  "operator 2 (add): input 1 is 8x8x4, which does not match the first, 8x8x6", 's' },
	{ "{'kind': 'dense', 'channels': 65536}, {'kind': 'conv2d', 'channels': 65536, 'kernel': "
	  "65536}",
	  "operator 2 (conv2d): more than 2^53 multiply-accumulates in the network up to here",
	  's' },
};
#define N_BAD (sizeof bad_cases / sizeof *bad_cases)

/* Single quotes become double ones. */
static void bad_text(const struct bad_case *c, char *buf, size_t n)
{
	snprintf(buf, n, "{'version': 1, 'input': [8, 8, 6], 'operators': [%.224s]}", c->ops);
	for (char *s = buf; *s; s++)
		if (*s == '\'')
			*s = '"';
}

ParameterizedTestParameters(network_json, rejects)
{
	return cr_make_param_array(struct bad_case, bad_cases, N_BAD);
}
ParameterizedTest(struct bad_case *c, network_json, rejects)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net = { .n_ops = 77 };
	char text[512];

	bad_text(c, text, sizeof text);
	cr_assert_eq(read_text(text, &a, &net, &err), NASC_DATA, "%s", text);
	cr_assert_str_eq(err.msg, c->want);
	cr_assert_eq(net.n_ops, 77, "%s: out must stay as it was", text);
	arena_free(&a);
}

struct head_case {
	char text[128], want[128];
};
ParameterizedTestParameters(network_json, rejects_heads)
{
	static struct head_case cases[] = {
		{ "[]", "a network must be an object" },
		{ "{}", "version: is missing" },
		{ "{\"version\": 2}", "version: 2 is outside [1, 1]" },
		{ "{\"version\": 1, \"layers\": []}", "layers: unknown key" },
		{ "{\"version\": 1, \"name\": \"\"}", "name: is 0 bytes long, it must be 1 to 63" },
		{ "{\"version\": 1}", "input: is missing" },
		{ "{\"version\": 1, \"input\": [8, 8]}",
		  "input: 2 numbers in the list, it must have 3" },
		{ "{\"version\": 1, \"input\": [8, 8, null]}",
		  "input: item 3 is not an integer in [1, 65536]" },
		{ "{\"version\": 1, \"input\": [8, 8, 65537]}",
		  "input: item 3 is not an integer in [1, 65536]" },
		{ "{\"version\": 1, \"input\": [8, 8, 1]}", "operators: is missing" },
		{ "{\"version\": 1, \"input\": [8, 8, 1], \"operators\": {}}",
		  "operators: is an object, not a list" },
		{ "{\"version\": 1, \"input\": [8, 8, 1], \"operators\": []}",
		  "operators: 0 of them, it must be 1 to 65535" },
	};
	return cr_make_param_array(struct head_case, cases, sizeof cases / sizeof *cases);
}
ParameterizedTest(struct head_case *c, network_json, rejects_heads)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net;

	cr_assert_eq(read_text(c->text, &a, &net, &err), NASC_DATA, "%s", c->text);
	cr_assert_str_eq(err.msg, c->want);
	arena_free(&a);
}

/* Damaged files: any byte changed or the end cut off. What is accepted must be
 * sound, the rest refused with a message; ASan and UBSan watch. */
Test(network_json, damaged)
{
	struct arena a = { 0 };
	struct network net, back;
	struct rng rng;
	char *text, *copy;
	size_t n, accepted = 0;

	every_kind(&net, &a);
	text = write_text(&net, &a);
	n = strlen(text);
	copy = arena_strdup(&a, text);
	rng_seed(&rng, 1, 1);
	for (int i = 0; i < 3000; i++) {
		struct arena_mark m = arena_mark(&a);
		struct nasc_err err = { 0 };

		memcpy(copy, text, n + 1);
		for (uint64_t k = rng_below(&rng, 3); k < 3; k++)
			copy[rng_below(&rng, n)] =
				"0123456789-.eE{}[]\",:truefalsnp"[rng_below(&rng, 31)];
		if (rng_below(&rng, 4) == 0)
			copy[rng_below(&rng, n)] = '\0';
		if (read_text(copy, &a, &back, &err)) {
			cr_assert_eq(err.code, NASC_DATA);
			cr_assert_neq(err.msg[0], '\0');
		} else {
			cr_assert_eq(network_infer(&back, &err), NASC_OK);
			accepted++;
		}
		arena_rewind(&a, m);
	}
	cr_assert_lt(accepted, 3000);
	arena_free(&a);
}

/* The published schema and the reader agree: what one refuses without looking at shapes and
 * names so does the other. Checked with Debian's python3-jsonschema, an implementation of its
 * own. */
Test(network_json, schema)
{
	static const char script[] =
		"import json, os, sys, jsonschema\n"
		"s = json.load(open(os.environ['NASC_SOURCE'] + '/docs/network.schema.json'))\n"
		"jsonschema.Draft202012Validator.check_schema(s)\n"
		"v = jsonschema.Draft202012Validator(s)\n"
		"for d in json.load(sys.stdin):\n"
		"    if v.is_valid(d['doc']) != d['ok']:\n"
		"        print('schema disagrees on', json.dumps(d))\n"
		"        sys.exit(1)\n";
	char path[] = "/tmp/nasc-schema-XXXXXX", command[2048], text[512];
	struct arena a = { 0 };
	struct network net;
	FILE *fp;
	int fd;

	if (!getenv("NASC_SOURCE") || system("python3 -c 'import jsonschema' 2>/dev/null"))
		cr_skip("python3-jsonschema or NASC_SOURCE is not there");
	fd = mkstemp(path);
	fp = fdopen(fd, "w");
	every_kind(&net, &a);
	fprintf(fp, "[{\"ok\": true, \"doc\": %s}\n", write_text(&net, &a));
	fprintf(fp, ", {\"ok\": true, \"doc\": %s}\n", by_hand);
	for (size_t i = 0; i < N_BAD; i++) {
		bad_text(&bad_cases[i], text, sizeof text);
		fprintf(fp, ", {\"ok\": %s, \"doc\": %s}\n", bad_cases[i].valid ? "true" : "false",
			text);
	}
	fprintf(fp, "]");
	fclose(fp);
	snprintf(command, sizeof command, "python3 -c \"%s\" < %s", script, path);
	cr_assert_eq(system(command), 0);
	remove(path);
	arena_free(&a);
}

Test(network_json, load_names_the_file)
{
	char path[] = "/tmp/nasc-network-XXXXXX", want[256];
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net;
	FILE *fp = fdopen(mkstemp(path), "w");

	fputs("{\"version\": 1, \"input\": [8, 8, 1], \"operators\": [{\"kind\": \"add\"}]}", fp);
	fclose(fp);
	cr_assert_eq(network_load(path, &a, &net, &err), NASC_DATA);
	snprintf(want, sizeof want, "%s: operator 1 (add): 1 inputs, it takes at least 2", path);
	cr_assert_str_eq(err.msg, want);
	remove(path);
	cr_assert_eq(network_load(path, &a, &net, &err), NASC_DATA);
	arena_free(&a);
}
