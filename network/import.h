#ifndef NASC_IMPORT_H
#define NASC_IMPORT_H
#include "network.h"

/* What the readers of other programs' model files share: a network grows operator by operator,
 * each with its shape at once. Layouts that such files change between operators (reshape,
 * flatten, squeeze) stay out of it, as long as they move no data. */
struct extent {
	int64_t h, w, c;
};

/* A tensor of a file: the output of operator @op of the network, seen as @view. */
struct value {
	bool known;
	uint32_t op;
	struct extent view;
};

/* A window as files have it. */
struct window {
	int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
	enum net_padding padding;
	int64_t top, left, bottom, right; /* NET_EXPLICIT */
};

/* Failures are NASC_DATA or NASC_CONFIG and do not name the operator; *out stays as it was. */

/* A network with the input @input, which is *out. A side below 1 is one that the file leaves open.
 */
enum nasc_status import_start(struct network *net, struct arena *a, struct extent input,
			      struct value *out, struct nasc_err *err);
/* Operator @op on @in. A dense layer, an activation and a softmax take any view; the others
 * need the shapes that their inputs' operators have. */
enum nasc_status import_append(struct network *net, const struct net_op *op, const struct value *in,
			       size_t n, struct value *out, struct nasc_err *err);
/* The same for an operator with a window. */
enum nasc_status import_window(struct network *net, const struct net_op *op, const struct window *w,
			       const struct value *in, struct value *out, struct nasc_err *err);
/* @v as @view, of as many elements. */
enum nasc_status import_view(const struct value *v, struct extent view, struct value *out,
			     struct nasc_err *err);
/* The whole network, pads folded. @output: the last of the file's outputs, which the last
 * operator has to make. */
enum nasc_status import_finish(struct network *net, const struct value *output, struct network *out,
			       struct nasc_err *err);
/* Kinds of operators in a file that its reader does not know, each by the first of them. */
#define UNREAD_MAX 8
struct unread {
	size_t n;
	bool more;
	struct {
		char kind[32];
		size_t op;
	} v[UNREAD_MAX];
};
void import_unread(struct unread *u, size_t op, const char *kind);
/* NASC_DATA where there are any, with the list of @known ones; else NASC_OK. */
enum nasc_status import_refuse(const struct unread *u, const char *known, struct nasc_err *err);
/* What of @text is printable ASCII, as its name. */
void import_name(struct network *net, const char *text, size_t n);

/* ---- tflite.c ---------------------------------------------------------------- */
bool tflite_is(const void *bytes, size_t n);

/* ---- blocks.c ---------------------------------------------------------------- */
/* Whether @json is a list of inverted residuals, and its network; NASC_DATA names the block. */
bool blocks_are(const struct cJSON *json);
enum nasc_status blocks_read(const struct cJSON *json, struct arena *a, struct network *out,
			     struct nasc_err *err);

/* ---- network.c --------------------------------------------------------------- */
/* The shape of operator @i alone, whose inputs have theirs. */
enum nasc_status network_infer_op(struct network *net, size_t i, struct nasc_err *err);
#endif
