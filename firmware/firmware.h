#ifndef NASC_FIRMWARE_H
#define NASC_FIRMWARE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nasc_kernels.h"
#include "network.h"

/* The runtime `nasc`: int8 kernels (nasc_kernels.h, nasc_kernels.c) that an exported network
 * carries with it, and what must be known of them to plan, to pack and to cost a network that they
 * run. Networks are as deployed: see network_fold(). */

/* Whether there is a kernel for the operator: there is none for grouped convolutions. */
bool firmware_runs(const struct network *net, size_t op);

/* Bytes that the operator's kernel works in besides input and output; a multiple of 4. */
uint64_t firmware_scratch_bytes(const struct network *net, size_t op);

/* Bytes of its weights as the kernel reads them, a multiple of 4; 0: it has none. */
uint64_t firmware_weight_bytes(const struct network *net, size_t op);
/* Its weights in that order: @weights is [out][h][w][in], of a depthwise convolution [h][w][c], of
 * a dense layer [out][elements of the input]; @packed takes firmware_weight_bytes(). */
void firmware_pack(const struct network *net, size_t op, const int8_t *weights, int8_t *packed);

/* Sources that an exported network takes along, by name: nasc_kernels.h, nasc_kernels.c, and what
 * starts a board. n_firmware_files of them. */
struct firmware_file {
	const char *name, *text;
};
extern const struct firmware_file firmware_files[];
extern const size_t n_firmware_files;
#endif
