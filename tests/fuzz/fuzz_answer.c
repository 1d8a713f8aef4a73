/* The input is the line that an external program answers with. What reads it is private to its
 * file, and a process a line would be too slow: hence the source itself. */
#define _GNU_SOURCE /* of fuzz.h */
#include "external.c"

#include <math.h>

#include "fuzz.h"

#define ID 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct eval_result result = { .why = "" };
	struct nasc_err err = { 0 };
	enum eval_outcome outcome;
	cJSON *json = NULL;
	bool in_step = false;

	if (json_parse("answer", (const char *)data, size, &json, &err)) {
		must_say_why(&err, NASC_DATA);
		return 0;
	}
	outcome = take_answer(json, ID, &result, &in_step);
	cJSON_Delete(json);
	if (outcome == EVAL_OK) {
		MUST(in_step && result.value[0] >= 0 && result.value[0] <= 1);
		MUST(result.value[1] >= 0 && result.value[1] <= 1);
		MUST(fabs(result.value[0] + result.value[1] - 1) < 1e-15);
		return 0;
	}
	MUST(outcome == EVAL_FAILED && result.why[0]);
	MUST(memchr(result.why, '\0', sizeof result.why));
	for (const char *s = result.why; *s; s++)
		MUST((unsigned char)*s >= 0x20 && *s != 0x7f);
	return 0;
}
