#include "flatbuffer.h"

#include <string.h>

/* Whether @n bytes from @at on are there. */
static bool inside(struct flatbuffer *f, size_t at, size_t n)
{
	if (at <= f->n && n <= f->n - at)
		return true;
	f->damaged = true;
	return false;
}

/* Little-endian, sign extended. */
static int64_t read_int(struct flatbuffer *f, size_t at, unsigned bytes)
{
	uint64_t v = 0;
	unsigned unused = 64 - 8 * bytes;

	if (!inside(f, at, bytes))
		return 0;
	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)f->byte[at + i] << 8 * i;
	return (int64_t)(v << unused) >> unused;
}

static size_t read_offset(struct flatbuffer *f, size_t at, unsigned bytes)
{
	return (size_t)(uint64_t)read_int(f, at, bytes) & (bytes == 2 ? 0xffff : 0xffffffff);
}

static struct fb_table table_at(struct flatbuffer *f, size_t at)
{
	int64_t vtable = (int64_t)at - read_int(f, at, 4);
	size_t bytes;

	if (vtable < 0 || !inside(f, (size_t)vtable, 4)) {
		f->damaged = true;
		return (struct fb_table){ .file = f };
	}
	bytes = read_offset(f, (size_t)vtable, 2);
	if (bytes < 4 || !inside(f, (size_t)vtable, bytes)) {
		f->damaged = true;
		return (struct fb_table){ .file = f };
	}
	return (struct fb_table){ f, at, (size_t)vtable, (bytes - 4) / 2 };
}

struct fb_table fb_root(struct flatbuffer *f)
{
	return table_at(f, read_offset(f, 0, 4));
}

/* Where member @field is; 0: nowhere. */
static size_t place(struct fb_table t, unsigned field)
{
	size_t offset;

	if (field >= t.n_fields)
		return 0;
	offset = read_offset(t.file, t.vtable + 4 + 2 * (size_t)field, 2);
	return offset ? t.at + offset : 0;
}

bool fb_has(struct fb_table t, unsigned field)
{
	return place(t, field) != 0;
}

int64_t fb_int(struct fb_table t, unsigned field, unsigned bytes, int64_t absent)
{
	size_t at = place(t, field);

	return at ? read_int(t.file, at, bytes) : absent;
}

struct fb_table fb_table(struct fb_table t, unsigned field)
{
	size_t at = place(t, field);

	return at ? table_at(t.file, at + read_offset(t.file, at, 4))
		  : (struct fb_table){ .file = t.file };
}

struct fb_vector fb_vector(struct fb_table t, unsigned field, size_t item_bytes)
{
	size_t at = place(t, field), n;

	if (!at)
		return (struct fb_vector){ .file = t.file };
	at += read_offset(t.file, at, 4);
	n = read_offset(t.file, at, 4);
	if (!inside(t.file, at, 4) || !inside(t.file, at + 4, n * item_bytes))
		return (struct fb_vector){ .file = t.file };
	return (struct fb_vector){ t.file, at + 4, n };
}

int64_t fb_item(struct fb_vector v, size_t i, unsigned bytes)
{
	return i < v.n ? read_int(v.file, v.at + i * bytes, bytes) : 0;
}

struct fb_table fb_item_table(struct fb_vector v, size_t i)
{
	size_t at = v.at + 4 * i;

	return i < v.n ? table_at(v.file, at + read_offset(v.file, at, 4))
		       : (struct fb_table){ .file = v.file };
}
