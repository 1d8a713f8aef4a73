/* The input is a TensorFlow Lite file. */
#define _GNU_SOURCE
#include "model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_model(network_from_tflite, data, size);
	return 0;
}
