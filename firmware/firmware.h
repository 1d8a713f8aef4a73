#ifndef NASC_FIRMWARE_H
#define NASC_FIRMWARE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nasc_kernels.h"
#include "network.h"

/* The runtime `nasc`: int8 kernels (nasc_kernels.h, nasc_kernels.c) that an exported network
 * carries with it, and what must be known of them to plan, to pack and to cost a network that they
 * run. Networks are as deployed: network_fold() of network_used(). */

/* What no kernel runs about the operator, "a grouped convolution"; NULL: there is one for it. */
const char *firmware_refusal(const struct network *net, size_t op);
/* The same of a whole network: of the first such operator, *@op. */
const char *firmware_refusal_of(const struct network *net, size_t *op);

/* Whether a struct nasc_window goes with the operator's kernel. */
bool firmware_has_window(enum net_kind kind);

/* Whether a depthwise convolution's output may take the place of its input; of additions, batch
 * norms and ReLUs it always may, of others never. */
bool firmware_in_place(const struct network *net, size_t op);

/* Cells of a whole window of an average or global pool, and the fewest that one has in the map. */
uint32_t firmware_mean_cells(const struct network *net, size_t op, uint32_t *fewest);

/* Bytes that the operator's kernel works in besides input and output; a multiple of 4. */
uint64_t firmware_scratch_bytes(const struct network *net, size_t op);

/* Bytes of its weights as the kernel reads them, a multiple of 4; 0: it has none. */
uint64_t firmware_weight_bytes(const struct network *net, size_t op);
/* Bytes of all its constants: weights, and what becomes of sums or elements. */
uint64_t firmware_constant_bytes(const struct network *net, size_t op);
/* Its weights in that order: @weights is [out][h][w][in], of a depthwise convolution [h][w][c], of
 * a dense layer [out][elements of the input]; @packed takes firmware_weight_bytes(). */
void firmware_pack(const struct network *net, size_t op, const int8_t *weights, int8_t *packed);

/* Bytes of what else of the network lies in flash: kernels, calls, tables, start. As gcc 12.2.1 -O2
 * makes them for a Cortex-M4, within 2 % of an image; other compilers and flags differ.
 * @end, @grid: of struct firmware_plan. */
uint64_t firmware_code_bytes(const struct network *net, uint32_t end, uint32_t grid);

/* Where an exported network keeps its maps: what runs when, and where. */
struct firmware_plan {
	uint64_t arena_bytes;
	uint32_t n_ops;
	uint32_t *order;   /* [n_ops] operators, the input first */
	uint64_t *output;  /* [n_ops] offset in the arena of each one's output */
	uint64_t *scratch; /* and of what its kernel works in */
	/* The first @n_patched of order, the last of which is @end, run on one of @grid x @grid
	 * parts after the other; only the output of @end is whole, and the image. Layer by layer:
	 * 0, 0 and 1. */
	uint32_t n_patched, end, grid;
	/* [n_ops] which operator of the network as it was each one is made of, the first of them;
	 * of @end. */
	uint32_t *origin, patched;
	/* [end + 1][grid]: of each output, what is held of it in a part, along each side. */
	struct nasc_span *rows, *columns;
};

/* Instructions of the operator's kernel, from the first to the last: exact to about 1 % on
 * Cortex-M4, M7 and M33, which differ less from each other, where gcc 12.2 -O2 made it and it takes
 * some thousands. Not cycles: a memory that waits is not in it. 0: there is nothing to run. */
double firmware_instructions(const struct network *net, size_t op);
/* The same of the call that makes part @out of its output of what is held of its input, @in. */
double firmware_part_instructions(const struct network *net, size_t op, struct nasc_part in,
				  struct nasc_part out);

/* Sources that an exported network takes along, by name: the kernels, nasc_*.c and nasc_*.h; and
 * what starts them on a board: board.h, board.c, sections.ld, and of each board its linker script.
 * n_firmware_files of them. */
struct firmware_file {
	const char *name, *text;
};
extern const struct firmware_file firmware_files[];
extern const size_t n_firmware_files;
#endif
