#ifndef TESTS_NETWORK_FIXTURE_H
#define TESTS_NETWORK_FIXTURE_H
/* Networks made by hand, or read from a text or a model's bytes. */
#include <criterion/criterion.h>
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "network.h"

static inline void infer(struct network *net)
{
	struct nasc_err err = { 0 };

	cr_assert_eq(network_infer(net, &err), NASC_OK, "%s", err.msg);
}

static inline void expect_shape(const struct network *net, uint32_t op, uint32_t h, uint32_t w,
				uint32_t c)
{
	struct net_shape s = net->op[op].out;

	cr_assert(s.h == h && s.w == w && s.c == c, "operator %u is %ux%ux%u, not %ux%ux%u", op,
		  s.h, s.w, s.c, h, w, c);
}

static inline enum nasc_status read_text(const char *text, struct arena *a, struct network *net,
					 struct nasc_err *err)
{
	enum nasc_status status;
	struct cJSON *json;

	if (json_parse("t.json", text, strlen(text), &json, err))
		return err->code;
	status = network_from_json(json, a, net, err);
	cJSON_Delete(json);
	return status;
}

/* network_from_tflite() or network_from_onnx() */
typedef enum nasc_status read_model(const void *bytes, size_t n, struct arena *a,
				    struct network *out, struct nasc_err *err);

/* From memory of its own size, so that a sanitizer sees what is read behind it. */
static inline enum nasc_status read_bytes(read_model *read, const void *bytes, size_t n,
					  struct arena *a, struct network *net,
					  struct nasc_err *err)
{
	uint8_t *copy = malloc(n ? n : 1);
	enum nasc_status st;

	cr_assert_not_null(copy);
	memcpy(copy, bytes, n);
	st = read(copy, n, a, net, err);
	free(copy);
	return st;
}

/* Of a damaged file: whether it is refused; if so with a reason. */
static inline bool is_refused(read_model *read, const uint8_t *bytes, size_t n)
{
	struct arena a = { 0 };
	struct nasc_err err = { 0 };
	struct network net;
	enum nasc_status st = read_bytes(read, bytes, n, &a, &net, &err);

	cr_assert(st == NASC_OK || (st == NASC_DATA && err.code == NASC_DATA && err.msg[0]));
	arena_free(&a);
	return st != NASC_OK;
}
#endif
