#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "file.h"
#include "import.h"
#include "json.h"

#define MODEL_MAX_BYTES ((size_t)1 << 30)
#define HEAD_BYTES	8 /* enough to tell a format by */

enum format { FORMAT_JSON, FORMAT_TFLITE, FORMAT_ONNX, FORMAT_OTHER };

static bool is_text(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' && (s[i] < '\t' || s[i] > '\r'))
			return false;
	return true;
}

static enum format format_of(const char *path)
{
	const char *dot = strrchr(path, '.');
	FILE *fp = fopen(path, "rbe");
	char head[HEAD_BYTES];
	size_t n;

	if (!fp)
		return FORMAT_JSON; /* whose reader says why */
	n = fread(head, 1, sizeof head, fp);
	fclose(fp);
	if (tflite_is(head, n))
		return FORMAT_TFLITE;
	if (dot && strcmp(dot, ".onnx") == 0)
		return FORMAT_ONNX;
	return is_text(head, n) ? FORMAT_JSON : FORMAT_OTHER;
}

bool network_is_foreign(const char *path)
{
	return format_of(path) != FORMAT_JSON;
}

/* The file's name without folder and ending. */
static void name_by_path(struct network *net, const char *path)
{
	const char *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path;
	const char *dot = strrchr(stem, '.');

	import_name(net, stem, dot ? (size_t)(dot - stem) : strlen(stem));
}

static enum nasc_status load_foreign(const char *path, enum format format, struct arena *a,
				     struct network *out, struct nasc_err *err)
{
	struct arena scratch = { 0 };
	enum nasc_status st;
	char *bytes;
	size_t n;

	st = file_read(path, MODEL_MAX_BYTES, &scratch, &bytes, &n, err);
	if (!st) {
		st = format == FORMAT_TFLITE ? network_from_tflite(bytes, n, a, out, err)
					     : network_from_onnx(bytes, n, a, out, err);
		if (st)
			nasc_wrap(err, "%s", path);
		else
			name_by_path(out, path);
	}
	arena_free(&scratch);
	return st;
}

static enum nasc_status load_json(const char *path, struct arena *a, struct network *out,
				  struct nasc_err *err)
{
	enum nasc_status status;
	cJSON *json;

	if (json_load(path, JSON_MAX_BYTES, &json, err))
		return err->code;
	status = network_from_json(json, a, out, err);
	cJSON_Delete(json);
	return status ? nasc_wrap(err, "%s", path) : NASC_OK;
}

enum nasc_status network_load(const char *path, struct arena *a, struct network *out,
			      struct nasc_err *err)
{
	enum format format = format_of(path);

	if (format == FORMAT_OTHER)
		return nasc_fail(err, NASC_DATA,
				 "%s: not a network: no JSON but binary, without the identifier of "
				 "TensorFlow Lite; ONNX is told by the ending .onnx",
				 path);
	return format == FORMAT_JSON ? load_json(path, a, out, err)
				     : load_foreign(path, format, a, out, err);
}
