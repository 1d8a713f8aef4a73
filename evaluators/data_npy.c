#include "archive.h"

#include <string.h>

/* NumPy's format: 93 "NUMPY", version, length of the header (two bytes in
 * version 1, else four), the header, the values. The header is a Python
 * dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }.
 * Source: NumPy Enhancement Proposal 1, and numpy.lib.format. */
#define HEADER_MAX 65536u
#define DIMS_MAX   4
#define LENGTH_MAX 65536u /* of a series: as of any network */

enum npy_type { NPY_U1, NPY_F4, NPY_I4, NPY_I8, NPY_TYPES };
static const struct {
	const char *descr;
	size_t bytes;
} types[NPY_TYPES] = { { "|u1", 1 }, { "<f4", 4 }, { "<i4", 4 }, { "<i8", 8 } };

struct npy {
	enum npy_type type;
	unsigned n_dims;
	uint64_t dim[DIMS_MAX]; /* at most 2^32 each */
	size_t header;		/* bytes before the values */
};

/* ---- the header's text ------------------------------------------------------- */

struct text {
	const char *path, *start, *at, *end;
	struct nasc_err *err;
};

static enum nasc_status text_fail(const struct text *t, const char *expected)
{
	return nasc_fail(t->err, NASC_DATA, "%s: header: expected %s at byte %zu", t->path,
			 expected, (size_t)(t->at - t->start));
}

/* Is @c next? Then it is taken, blanks before it as well. */
static bool take(struct text *t, char c)
{
	while (t->at < t->end && (*t->at == ' ' || *t->at == '\n'))
		t->at++;
	if (t->at == t->end || *t->at != c)
		return false;
	t->at++;
	return true;
}

static bool take_word(struct text *t, const char *word)
{
	size_t n = strlen(word);

	while (t->at < t->end && *t->at == ' ')
		t->at++;
	if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0)
		return false;
	t->at += n;
	return true;
}

/* A string between quotes, of at most 15 printable characters. */
static enum nasc_status take_string(struct text *t, const char *what, char out[16])
{
	char quote = take(t, '\'') ? '\'' : take(t, '"') ? '"' : '\0';
	size_t n = 0;

	if (!quote)
		return text_fail(t, what);
	while (t->at < t->end && n < 15 && *t->at >= ' ' && *t->at <= '~' && *t->at != quote)
		out[n++] = *t->at++;
	out[n] = '\0';
	return t->at < t->end && *t->at++ == quote ? NASC_OK : text_fail(t, what);
}

static enum nasc_status take_shape(struct text *t, struct npy *out)
{
	if (!take(t, '('))
		return text_fail(t, "'(' of the shape");
	while (!take(t, ')')) {
		uint64_t v = 0;

		if (t->at == t->end || *t->at < '0' || *t->at > '9')
			return text_fail(t, "a size or ')'");
		for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++) {
			v = 10 * v + (uint64_t)(*t->at - '0');
			if (v > UINT32_MAX)
				return nasc_fail(t->err, NASC_DATA,
						 "%s: header: dimension %u is above %u", t->path,
						 out->n_dims, UINT32_MAX);
		}
		if (out->n_dims == DIMS_MAX)
			return nasc_fail(t->err, NASC_DATA, "%s: header: more than %d dimensions",
					 t->path, DIMS_MAX);
		out->dim[out->n_dims++] = v;
		if (!take(t, ',')) {
			if (!take(t, ')'))
				return text_fail(t, "',' or ')'");
			break;
		}
	}
	return NASC_OK;
}

static enum nasc_status take_type(struct text *t, struct npy *out)
{
	char descr[16];

	if (take_string(t, "the type as a string", descr))
		return t->err->code;
	for (out->type = 0; out->type < NPY_TYPES; out->type++)
		if (strcmp(descr, types[out->type].descr) == 0)
			return NASC_OK;
	return nasc_fail(t->err, NASC_DATA,
			 "%s: values of type '%s', must be uint8 '|u1', float32 '<f4', int32 '<i4' "
			 "or int64 '<i8'",
			 t->path, descr);
}

static enum nasc_status take_order(struct text *t)
{
	if (take_word(t, "False"))
		return NASC_OK;
	if (!take_word(t, "True"))
		return text_fail(t, "True or False");
	return nasc_fail(t->err, NASC_DATA,
			 "%s: in Fortran's order, must be in C's: numpy.ascontiguousarray()",
			 t->path);
}

static enum nasc_status read_dictionary(struct text *t, struct npy *out)
{
	static const char *const keys[] = { "descr", "fortran_order", "shape" };
	unsigned seen = 0;
	char key[16];

	if (!take(t, '{'))
		return text_fail(t, "'{'");
	while (!take(t, '}')) {
		unsigned k = 0;

		if (take_string(t, "a key", key))
			return t->err->code;
		while (k < 3 && strcmp(key, keys[k]) != 0)
			k++;
		if (k == 3 || seen >> k & 1)
			return nasc_fail(t->err, NASC_DATA, "%s: header: key '%s' is %s", t->path,
					 key, k == 3 ? "unknown" : "there twice");
		seen |= 1u << k;
		if (!take(t, ':'))
			return text_fail(t, "':'");
		if (k == 0 ? take_type(t, out) : k == 1 ? take_order(t) : take_shape(t, out))
			return t->err->code;
		if (!take(t, ',')) {
			if (!take(t, '}'))
				return text_fail(t, "',' or '}'");
			break;
		}
	}
	for (unsigned k = 0; k < 3; k++)
		if (!(seen >> k & 1))
			return nasc_fail(t->err, NASC_DATA, "%s: header: no key '%s'", t->path,
					 keys[k]);
	take(t, '\n'); /* blanks up to the end are padding */
	return t->at == t->end ? NASC_OK : text_fail(t, "the end");
}

/* ---- files ------------------------------------------------------------------- */

static enum nasc_status npy_header(struct source *s, struct npy *out, struct arena *scratch,
				   struct nasc_err *err)
{
	static const uint8_t magic[] = { 0x93, 'N', 'U', 'M', 'P', 'Y' };
	uint8_t head[8], size[4] = { 0 };
	uint32_t n;
	struct text t = { .path = s->path, .err = err };
	char *text;

	*out = (struct npy){ 0 };
	if (source_read(s, head, sizeof head, err))
		return err->code;
	if (memcmp(head, magic, sizeof magic) != 0)
		return nasc_fail(err, NASC_DATA,
				 "%s: not an npy file: begins with %02x %02x, not 93 4e", s->path,
				 head[0], head[1]);
	if (head[6] < 1 || head[6] > 3 || head[7] != 0)
		return nasc_fail(err, NASC_DATA, "%s: npy version %u.%u, must be 1.0, 2.0 or 3.0",
				 s->path, head[6], head[7]);
	if (source_read(s, size, head[6] == 1 ? 2 : 4, err))
		return err->code;
	n = (uint32_t)size[0] | (uint32_t)size[1] << 8 | (uint32_t)size[2] << 16 |
	    (uint32_t)size[3] << 24;
	if (n > HEADER_MAX)
		return nasc_fail(err, NASC_DATA, "%s: a header of %u bytes, at most %u", s->path, n,
				 HEADER_MAX);
	text = ARENA_NEW(scratch, char, n + 1);
	if (source_read(s, (uint8_t *)text, n, err))
		return err->code;
	t.start = t.at = text;
	t.end = text + n;
	out->header = sizeof head + (head[6] == 1 ? 2 : 4) + n;
	return read_dictionary(&t, out);
}

static enum nasc_status set_label(struct archive *ar, size_t i, int64_t value, struct nasc_err *err)
{
	if (value < 0 || value > UINT8_MAX)
		return nasc_fail(err, NASC_DATA, "%s: label %lld of image %zu is outside [0, %d]",
				 ar->label_path, (long long)value, i, UINT8_MAX);
	ar->label[i] = (uint8_t)value;
	if (value >= ar->classes)
		ar->classes = (uint32_t)value + 1;
	return NASC_OK;
}

static enum nasc_status npy_labels(struct archive *ar, const char *directory, enum part part,
				   struct arena *scratch, struct nasc_err *err)
{
	static const char *const names[][2] = { { "train_labels.npy", NULL },
						{ "test_labels.npy", NULL } };
	struct source s;
	struct npy npy;
	size_t bytes;
	uint8_t value[8];

	if (source_open(&s, directory, names[part == PART_TEST], scratch, err))
		return err->code;
	ar->label_path = s.path;
	if (npy_header(&s, &npy, scratch, err))
		goto out;
	bytes = types[npy.type].bytes;
	if (npy.type == NPY_F4)
		nasc_fail(err, NASC_DATA,
			  "%s: labels of type float32, must be uint8, int32 or int64", s.path);
	else if (npy.n_dims != 1 && !(npy.n_dims == 2 && npy.dim[1] == 1))
		nasc_fail(err, NASC_DATA, "%s: %u dimensions, labels have one", s.path, npy.n_dims);
	else if (npy.dim[0] != ar->n)
		nasc_fail(err, NASC_DATA, "%s: %llu labels, but '%s' has %zu images", s.path,
			  (unsigned long long)npy.dim[0], ar->images.path, ar->n);
	else
		archive_room(&s, npy.header, ar->n * bytes, err);
	if (err->code)
		goto out;
	ar->label = ARENA_NEW(scratch, uint8_t, ar->n);
	for (size_t i = 0; i < ar->n; i++) {
		uint64_t v = 0;

		if (source_read(&s, value, bytes, err))
			goto out;
		for (size_t k = bytes; k-- > 0;)
			v = v << 8 | value[k];
		if (set_label(ar, i, npy.type == NPY_I4 ? (int32_t)v : (int64_t)v, err))
			goto out;
	}
	source_end(&s, err);
out:
	source_close(&s);
	return err->code;
}

/* The sizes as height, width, channels. */
static enum nasc_status npy_shape(const struct source *s, const struct npy *npy, bool series,
				  struct net_shape *out, struct nasc_err *err)
{
	unsigned least = series ? 2 : 3;
	const uint64_t one = 1, *side = npy->dim + 1;
	uint64_t h = series ? one : side[0], w = series ? side[0] : side[1];
	uint64_t c = npy->n_dims == least ? one : npy->dim[npy->n_dims ? npy->n_dims - 1 : 0];
	uint64_t longest = series ? LENGTH_MAX : SIDE_MAX;

	if (npy->n_dims != least && npy->n_dims != least + 1)
		return nasc_fail(err, NASC_DATA, "%s: %u dimensions, inputs: %s have %u or %u",
				 s->path, npy->n_dims, series ? "series" : "images", least,
				 least + 1);
	for (unsigned i = 0; i < npy->n_dims; i++)
		if (npy->dim[i] == 0)
			return nasc_fail(err, NASC_DATA, "%s: dimension %u is 0", s->path, i);
	if (h > longest || w > longest)
		return nasc_fail(err, NASC_DATA, "%s: %s of %llu, at most %llu", s->path,
				 series ? "series" : "images", (unsigned long long)(h > w ? h : w),
				 (unsigned long long)longest);
	if (c > DATA_CHANNELS)
		return nasc_fail(err, NASC_DATA, "%s: %llu channels, at most %d", s->path,
				 (unsigned long long)c, DATA_CHANNELS);
	*out = (struct net_shape){ (uint32_t)h, (uint32_t)w, (uint32_t)c };
	return NASC_OK;
}

enum nasc_status npy_open(struct archive *ar, const char *directory, enum part part, bool series,
			  struct arena *scratch, struct nasc_err *err)
{
	static const char *const names[][2] = { { "train_images.npy", NULL },
						{ "test_images.npy", NULL } };
	uint64_t per_image; /* bytes */
	struct npy npy;

	if (source_open(&ar->images, directory, names[part == PART_TEST], scratch, err) ||
	    npy_header(&ar->images, &npy, scratch, err) ||
	    npy_shape(&ar->images, &npy, series, &ar->shape, err))
		return err->code;
	if (npy.type != NPY_U1 && npy.type != NPY_F4)
		return nasc_fail(err, NASC_DATA, "%s: images of integers, must be uint8 or float32",
				 ar->images.path);
	per_image = net_elements(ar->shape) * types[npy.type].bytes;
	if (archive_room(&ar->images, npy.header,
			 npy.dim[0] > UINT64_MAX / per_image ? UINT64_MAX : npy.dim[0] * per_image,
			 err))
		return err->code;
	ar->n = npy.dim[0];
	ar->pixel = npy.type == NPY_F4 ? PIXEL_F32 : PIXEL_U8;
	return npy_labels(ar, directory, part, scratch, err);
}
