#ifndef NASC_TFLITE_CALL_H
#define NASC_TFLITE_CALL_H
#include "flatbuffer.h"
#include "import.h"

/* TensorFlow Lite's files, schema version 3: numbers of members and operators are those of
 * tensorflow/lite/schema/schema.fbs. */
#define LITE_RANK_MAX 4

enum tensor_field { TENSOR_SHAPE, TENSOR_TYPE, TENSOR_BUFFER, TENSOR_SIGNATURE = 7 };

struct lite_reader {
	struct flatbuffer file;
	struct fb_vector buffers, codes, tensors, operators;
	struct value *value; /* of each tensor */
	struct network net;
};
/* One operator of the file. All below fail with NASC_DATA or NASC_CONFIG and do not name it. */
struct call {
	struct lite_reader *r;
	struct fb_vector in, out;
	struct fb_table options;
};
struct dims {
	size_t rank;
	int64_t of[LITE_RANK_MAX];
};

/* Tensor that input or output @i of a call is; -1: none. */
int64_t lite_tensor(const struct lite_reader *r, struct fb_vector list, size_t i);
enum nasc_status lite_dims(const struct lite_reader *r, int64_t tensor, struct dims *out,
			   struct nasc_err *err);
/* Height, width and channels of an activation: its dimensions behind the batch, of 1. */
enum nasc_status lite_extent(const struct lite_reader *r, int64_t tensor, struct extent *out,
			     struct nasc_err *err);
/* The integers, of @bytes each, that a tensor holds; none where it is no constant. */
struct fb_vector lite_constant(const struct lite_reader *r, int64_t tensor, unsigned *bytes);
bool lite_is_constant(const struct lite_reader *r, int64_t tensor);
/* Whether activations may be of its type. */
enum nasc_status lite_check_type(const struct lite_reader *r, int64_t tensor, struct nasc_err *err);
enum nasc_status lite_input(const struct call *c, size_t i, struct value *out,
			    struct nasc_err *err);
/* Its first output is @v, with fused activation @act behind it. */
enum nasc_status lite_makes(const struct call *c, struct value v, int64_t act,
			    struct nasc_err *err);

/* ---- tflite_layers.c ---------------------------------------------------------------- */
typedef enum nasc_status lite_read(const struct call *c, struct nasc_err *err);
extern lite_read lite_add, lite_avg_pool, lite_concat, lite_conv, lite_dense, lite_depthwise,
	lite_max_pool, lite_mean, lite_pad, lite_relu, lite_relu6, lite_softmax, lite_transpose,
	lite_upsample, lite_view;
#endif
