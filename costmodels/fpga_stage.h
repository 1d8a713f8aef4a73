#ifndef NASC_FPGA_STAGE_H
#define NASC_FPGA_STAGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network.h"

/* One engine of a folded dataflow accelerator: one operator, its own hardware.
 * Formulas: Blott et al., FINN-R, ACM TRETS 11(3) 2018, as the public FINN
 * compiler (Xilinx/finn) estimates resources before HLS; what those do not
 * cover is marked assumed. */

enum fpga_resource { FPGA_DSP, FPGA_BRAM, FPGA_LUT, FPGA_FF, FPGA_RESOURCES };

struct fpga_use {
	uint64_t of[FPGA_RESOURCES]; /* BRAM in blocks of 18 kbit */
};

/* How numbers are held and multiplied, the same in all engines. */
struct fpga_arithmetic {
	uint32_t weight_bits, activation_bits;
	bool lut_multipliers; /* else one in DSP blocks per weight and cycle */
	bool thresholds;      /* FINN's comparison with 2^bits - 1 thresholds; else one
			       * multiplier a PE scales the sum */
};

enum fpga_engine {
	FPGA_NONE,   /* no hardware: the input; softmax, which is left to the host */
	FPGA_MATRIX, /* convolution, dense: matrix-vector-activation unit (MVAU) */
	FPGA_VECTOR, /* depthwise: each PE has its own channel */
	FPGA_STREAM  /* pool, add, concat, norm, activation: PE channels at a time */
};

/* MATRIX, VECTOR: a mw x mh matrix of weights times @vectors columns. STREAM:
 * mw = 1, mh channels, @vectors pixels. */
struct fpga_stage {
	enum fpga_engine engine;
	uint64_t mw, mh, vectors;
	bool bias;
	uint64_t operands; /* STREAM: adders or comparators per channel */
	bool scales;	   /* STREAM: a multiplier per PE: means, batch norm */
	uint32_t rows;	   /* line buffer: memories of one image row each; 0: none */
	uint64_t row_pixels, row_channels;
	double fill; /* part of the input, behind its first pixel, that the first output awaits */
};

/* PE: outputs at a time, divides mh; SIMD: inputs at a time, divides mw. */
struct fpga_folding {
	uint64_t pe, simd;
};

struct fpga_stage fpga_stage_of(const struct network *net, size_t op);
/* (mh / PE) * (mw / SIMD) * vectors. */
uint64_t fpga_stage_cycles(const struct fpga_stage *s, struct fpga_folding f);
struct fpga_use fpga_stage_use(const struct fpga_stage *s, struct fpga_folding f,
			       const struct fpga_arithmetic *a);

/* Bits of an accumulator over @mw products. */
uint32_t fpga_accumulator_bits(uint64_t mw, const struct fpga_arithmetic *a);
/* A memory @width bits wide and @depth words deep: RAMB18 by their shapes (UG573,
 * simple dual port), or 64-bit LUTs where it has at most 128 words or 1 kbit. */
struct fpga_use fpga_memory_use(uint64_t width, uint64_t depth);
uint64_t fpga_bram18(uint64_t width, uint64_t depth);
void fpga_use_add(struct fpga_use *sum, const struct fpga_use *u);
#endif
