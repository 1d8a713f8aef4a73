/* The input is an ONNX model. */
#define _GNU_SOURCE
#include "model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_model(network_from_onnx, data, size);
	return 0;
}
