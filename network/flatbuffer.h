#ifndef NASC_FLATBUFFER_H
#define NASC_FLATBUFFER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reading a FlatBuffers file (https://flatbuffers.dev/internals) where it lies. Whatever would lie
 * outside the file reads as absent, and `damaged` is set for good: a reader may look at it as late
 * as it likes. */
struct flatbuffer {
	const uint8_t *byte;
	size_t n;
	bool damaged;
};

/* A table with room for members [0, n_fields); none: 0 of them. */
struct fb_table {
	struct flatbuffer *file;
	size_t at, vtable, n_fields;
};
struct fb_vector {
	struct flatbuffer *file;
	size_t at, n; /* of its first item; items */
};

struct fb_table fb_root(struct flatbuffer *f);
bool fb_has(struct fb_table t, unsigned field);
/* A signed or unsigned integer of 1, 2, 4 or 8 bytes. */
int64_t fb_int(struct fb_table t, unsigned field, unsigned bytes, int64_t absent);
struct fb_table fb_table(struct fb_table t, unsigned field);
/* Items of @item_bytes each: 4 for tables. A string is a vector of bytes. */
struct fb_vector fb_vector(struct fb_table t, unsigned field, size_t item_bytes);
int64_t fb_item(struct fb_vector v, size_t i, unsigned bytes);
struct fb_table fb_item_table(struct fb_vector v, size_t i);
#endif
