#include "import.h"
#include "json.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/*
 * Lists of inverted residuals, as networks of MCUNet's family are handed on: a square image of
 * three channels, a first convolution, blocks, global average pool, classifier.
 *   block       [conv 1x1 to mid, ReLU6,] depthwise kernel x kernel, ReLU6, conv 1x1 to cout;
 *               added to what went in where the block is residual
 * Batch norms are folded into the convolutions, which have biases.
 * Source: Lin et al., "MCUNet", NeurIPS 2020, arXiv:2007.10319.
 */
#define IMAGE_CHANNELS 3
#define BLOCK_OPS_MAX  4
#define BLOCKS_MAX     ((NETWORK_MAX_OPS - 4) / BLOCK_OPS_MAX)
#define DIVISOR	       8 /* of mid, to a multiple of which expand * cin is rounded */

bool blocks_are(const struct cJSON *json)
{
	return cJSON_GetObjectItemCaseSensitive(json, "first_conv") &&
	       cJSON_GetObjectItemCaseSensitive(json, "blocks") &&
	       !cJSON_GetObjectItemCaseSensitive(json, "operators");
}

static enum nasc_status get_dim(const struct cJSON *obj, const char *key, uint32_t *out,
				struct nasc_err *err)
{
	int64_t v = 0;
	enum nasc_status st = json_get_int(obj, key, 1, NETWORK_MAX_DIM, &v, err);

	if (!st)
		*out = (uint32_t)v;
	return st;
}

/* Channels that @obj says it reads: those of the operator in front. */
static enum nasc_status check_cin(const struct cJSON *obj, uint32_t in_front, struct nasc_err *err)
{
	uint32_t cin = 0;

	if (get_dim(obj, "cin", &cin, err))
		return err->code;
	if (cin != in_front)
		return nasc_fail(err, NASC_DATA, "cin: %u, but what is in front has %u channels",
				 cin, in_front);
	return NASC_OK;
}

static uint32_t activated(struct network *net, uint32_t op)
{
	net->op[op].act = NET_ACT_RELU6;
	return op;
}

static uint32_t pointwise(struct network *net, uint32_t in, uint32_t channels)
{
	return network_conv2d(net, in, channels, 1, 1, 1, NET_SAME, true);
}

struct block {
	uint32_t cin, expand, mid, kernel, stride, cout;
	bool residual;
};

static enum nasc_status read_block(const struct cJSON *obj, struct block *b, struct nasc_err *err)
{
	const struct cJSON *residual;

	if (check_cin(obj, b->cin, err) || get_dim(obj, "expand", &b->expand, err) ||
	    get_dim(obj, "mid", &b->mid, err) || get_dim(obj, "kernel", &b->kernel, err) ||
	    get_dim(obj, "stride", &b->stride, err) || get_dim(obj, "cout", &b->cout, err) ||
	    json_get(obj, "residual", &residual, err))
		return err->code;
	if (!cJSON_IsBool(residual))
		return nasc_fail(err, NASC_DATA, "residual: it must be true or false");
	b->residual = cJSON_IsTrue(residual);
	if (llabs((int64_t)b->mid - (int64_t)b->expand * b->cin) > (b->expand > 1 ? DIVISOR : 0))
		return nasc_fail(err, NASC_DATA, "mid: %u, but %u times cin %u is %llu", b->mid,
				 b->expand, b->cin, (unsigned long long)b->expand * b->cin);
	if (b->residual && (b->stride > 1 || b->cin != b->cout))
		return nasc_fail(err, NASC_DATA,
				 "residual: true, but with stride %u from %u to %u channels what "
				 "goes in and what comes out differ in shape",
				 b->stride, b->cin, b->cout);
	return NASC_OK;
}

static uint32_t add_block(struct network *net, uint32_t x, const struct block *b)
{
	uint32_t y = x;

	if (b->expand > 1)
		y = activated(net, pointwise(net, y, b->mid));
	y = activated(net, network_depthwise(net, y, b->kernel, b->stride, NET_SAME, true));
	y = pointwise(net, y, b->cout);
	return b->residual ? network_merge(net, NET_ADD, (const uint32_t[]){ x, y }, 2) : y;
}

/* The first convolution; its channels are *@channels. */
static enum nasc_status read_first(const struct cJSON *json, struct network *net,
				   uint32_t *channels, struct nasc_err *err)
{
	const struct cJSON *first;
	uint32_t kernel = 1, stride = 1;

	if (json_get(json, "first_conv", &first, err))
		return err->code;
	if (get_dim(first, "cout", channels, err) || get_dim(first, "kernel", &kernel, err) ||
	    get_dim(first, "stride", &stride, err))
		return nasc_wrap(err, "first_conv");
	activated(net, network_conv2d(net, 0, *channels, kernel, stride, 1, NET_SAME, true));
	return NASC_OK;
}

static enum nasc_status read_blocks(const struct cJSON *json, struct network *net,
				    uint32_t *channels, struct nasc_err *err)
{
	const struct cJSON *list, *obj;
	uint32_t x = (uint32_t)net->n_ops - 1, i = 0;

	if (json_get_list(json, "blocks", &list, err))
		return err->code;
	if (cJSON_GetArraySize(list) > (int)BLOCKS_MAX)
		return nasc_fail(err, NASC_DATA, "blocks: %d of them, at most %u",
				 cJSON_GetArraySize(list), BLOCKS_MAX);
	cJSON_ArrayForEach(obj, list)
	{
		struct block b = { .cin = *channels };

		if (read_block(obj, &b, err))
			return nasc_wrap(err, "blocks[%u]", i);
		x = add_block(net, x, &b);
		*channels = b.cout;
		i++;
	}
	return NASC_OK;
}

enum nasc_status blocks_read(const struct cJSON *json, struct arena *a, struct network *out,
			     struct nasc_err *err)
{
	const struct cJSON *name = cJSON_GetObjectItemCaseSensitive(json, "name"), *classifier;
	uint32_t resolution = 0, channels = 0, classes = 0;
	struct network net;
	struct nasc_err fault;

	if (get_dim(json, "resolution", &resolution, err))
		return err->code;
	network_init(&net, a, (struct net_shape){ resolution, resolution, IMAGE_CHANNELS });
	if (cJSON_IsString(name))
		import_name(&net, name->valuestring, strlen(name->valuestring));
	if (read_first(json, &net, &channels, err) || read_blocks(json, &net, &channels, err) ||
	    json_get(json, "classifier", &classifier, err))
		return err->code;
	if (check_cin(classifier, channels, err) || get_dim(classifier, "cout", &classes, err))
		return nasc_wrap(err, "classifier");
	network_dense(&net, network_unary(&net, NET_GLOBAL_POOL, (uint32_t)net.n_ops - 1), classes,
		      true);
	if (network_infer(&net, &fault))
		return nasc_fail(err, NASC_DATA, "%s", fault.msg);
	*out = net;
	return NASC_OK;
}
