#include "archive.h"

/* LeCun, Cortes, Burges, "The MNIST database of handwritten digits": big-endian
 * magic 0, 0, type, dimensions; one 32-bit size a dimension; the bytes, last
 * dimension fastest. Images n, h, w, or n, h, w, c. */
#define IDX_UBYTE    0x08
#define CHANNELS_MAX 4u

/* Header of @s: number of dimensions and their sizes. */
static enum nasc_status idx_header(struct source *s, unsigned min_dims, unsigned max_dims,
				   unsigned *n_dims, uint32_t dim[4], struct nasc_err *err)
{
	uint8_t magic[4], size[4];
	uint64_t bytes = 1;

	if (source_read(s, magic, sizeof magic, err))
		return err->code;
	if (magic[0] != 0 || magic[1] != 0)
		return nasc_fail(err, NASC_DATA,
				 "%s: not an idx file: begins with %02x %02x, not 00 00", s->path,
				 magic[0], magic[1]);
	if (magic[2] != IDX_UBYTE)
		return nasc_fail(err, NASC_DATA,
				 "%s: element type 0x%02x, must be 0x08 (unsigned byte)", s->path,
				 magic[2]);
	if (magic[3] < min_dims || magic[3] > max_dims)
		return nasc_fail(err, NASC_DATA, "%s: %u dimensions, must be %u%s", s->path,
				 magic[3], min_dims, max_dims > min_dims ? " or 4" : "");
	for (unsigned i = 0; i < magic[3]; i++) {
		if (source_read(s, size, sizeof size, err))
			return err->code;
		dim[i] = (uint32_t)size[0] << 24 | (uint32_t)size[1] << 16 |
			 (uint32_t)size[2] << 8 | size[3];
		if (dim[i] == 0)
			return nasc_fail(err, NASC_DATA, "%s: dimension %u is 0", s->path, i);
		if (i > 0 && dim[i] > (i < 3 ? SIDE_MAX : CHANNELS_MAX))
			return nasc_fail(err, NASC_DATA, "%s: dimension %u is %u, at most %u",
					 s->path, i, dim[i], i < 3 ? SIDE_MAX : CHANNELS_MAX);
		bytes *= dim[i]; /* at most 2^32 * 2^12 * 2^12 * 2^2 */
	}
	*n_dims = magic[3];
	return archive_room(s, 4 + 4 * (size_t)magic[3], bytes, err);
}

static enum nasc_status idx_labels(struct archive *ar, const char *directory, enum part part,
				   struct arena *scratch, struct nasc_err *err)
{
	static const char *const names[][2] = { { "train-labels-idx1-ubyte", NULL },
						{ "t10k-labels-idx1-ubyte", NULL } };
	struct source s;
	unsigned n_dims = 0;
	uint32_t dim[4] = { 0 };

	if (source_open(&s, directory, names[part == PART_TEST], scratch, err))
		return err->code;
	if (idx_header(&s, 1, 1, &n_dims, dim, err))
		goto out;
	if (dim[0] != ar->n) {
		nasc_fail(err, NASC_DATA, "%s: %u labels, but '%s' has %zu images", s.path, dim[0],
			  ar->images.path, ar->n);
		goto out;
	}
	ar->label = ARENA_NEW(scratch, uint8_t, ar->n);
	ar->label_path = s.path;
	if (source_read(&s, ar->label, ar->n, err) || source_end(&s, err))
		goto out;
	for (size_t i = 0; i < ar->n; i++)
		if (ar->label[i] >= ar->classes)
			ar->classes = ar->label[i] + 1u;
out:
	source_close(&s);
	return err->code;
}

enum nasc_status idx_open(struct archive *ar, const char *directory, enum part part,
			  struct arena *scratch, struct nasc_err *err)
{
	static const char *const names[][3] = {
		{ "train-images-idx3-ubyte", "train-images-idx4-ubyte", NULL },
		{ "t10k-images-idx3-ubyte", "t10k-images-idx4-ubyte", NULL }
	};
	unsigned n_dims = 0;
	uint32_t dim[4] = { 0 };

	if (source_open(&ar->images, directory, names[part == PART_TEST], scratch, err))
		return err->code;
	if (idx_header(&ar->images, 3, 4, &n_dims, dim, err))
		return err->code;
	ar->n = dim[0];
	ar->shape = (struct net_shape){ dim[1], dim[2], n_dims == 4 ? dim[3] : 1 };
	return idx_labels(ar, directory, part, scratch, err);
}
