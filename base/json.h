#ifndef NASC_JSON_H
#define NASC_JSON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"

/* ---- writing ------------------------------------------------------------
 * Streams to a FILE; two blanks of indentation, or one line when `compact`.
 * Doubles are written with the fewest digits (15 to 17) that read back to the
 * same bits; NaN and infinity as null. Misnesting aborts. */
#define JSON_DEPTH_MAX 32
struct json_writer {
	FILE *fp;
	bool compact;
	size_t depth;
	bool object[JSON_DEPTH_MAX], some[JSON_DEPTH_MAX];
};

void json_init(struct json_writer *w, FILE *fp, bool compact);
/* @key: name in the open object, NULL inside a list or at the top. */
void json_object(struct json_writer *w, const char *key);
void json_list(struct json_writer *w, const char *key);
void json_end(struct json_writer *w); /* closes the innermost; the top one ends the line */
void json_string(struct json_writer *w, const char *key, const char *v); /* v NULL: null */
void json_int(struct json_writer *w, const char *key, int64_t v);
void json_u64(struct json_writer *w, const char *key, uint64_t v);
void json_real(struct json_writer *w, const char *key, double v);
void json_bool(struct json_writer *w, const char *key, bool v);
void json_null(struct json_writer *w, const char *key);
/* The text json_real() writes, without file: @buf of at least 32 bytes. */
char *json_real_text(double v, char buf[static 32]);
/* Length of the well-formed UTF-8 character at @s (Unicode 15, table 3-7), 0 if there is none:
 * json_string() writes U+FFFD for each byte of that sort. */
size_t utf8_length(const char *s);

/* ---- reading: cJSON, with bounds and messages -----------------------------
 * cJSON trees are owned by the caller: cJSON_Delete(). */
struct cJSON;
#define JSON_MAX_BYTES ((size_t)1 << 30)

/* NASC_DATA: unreadable, too large, not JSON (with line and column). */
enum nasc_status json_load(const char *path, size_t max_bytes, struct cJSON **out,
			   struct nasc_err *err);
enum nasc_status json_parse(const char *name, const char *text, size_t n, struct cJSON **out,
			    struct nasc_err *err);

/* Members of an object. Messages start with "key: "; wrap them with where the
 * object is. All NASC_DATA; @out untouched on failure. */
enum nasc_status json_get(const struct cJSON *obj, const char *key, const struct cJSON **out,
			  struct nasc_err *err); /* must be there */
enum nasc_status json_get_int(const struct cJSON *obj, const char *key, int64_t min, int64_t max,
			      int64_t *out, struct nasc_err *err); /* integral, |v| <= 2^53 */
enum nasc_status json_get_real(const struct cJSON *obj, const char *key, double *out,
			       struct nasc_err *err); /* finite */
enum nasc_status json_get_string(const struct cJSON *obj, const char *key, const char **out,
				 struct nasc_err *err); /* valid as long as the tree */
enum nasc_status json_get_list(const struct cJSON *obj, const char *key, const struct cJSON **out,
			       struct nasc_err *err);
/* Any member whose name is not in @known (NULL-terminated) is an error. */
enum nasc_status json_only(const struct cJSON *obj, const char *const *known, struct nasc_err *err);
#endif
