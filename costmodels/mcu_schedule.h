#ifndef NASC_MCU_SCHEDULE_H
#define NASC_MCU_SCHEDULE_H
#include "mcu_memory.h"

/*
 * Patch-based inference: the first operators, up to one through which all later ones read, run on
 * one of @grid x @grid parts of that operator's output after the other, each with the halo that
 * its windows need; only that output is ever whole. The halo is computed again in every part
 * that needs it, and is cut off at the borders of each operator's output. The image: with
 * rules->count_input it lies in SRAM as long as parts are made of it, and these read it there;
 * without, each part of it, halo included, is fetched into SRAM.
 * Source: Lin et al., MCUNetV2, NeurIPS 2021.
 */
#define MCU_GRID_MAX 16

struct mcu_schedule {
	uint32_t end;	     /* the operator whose output is made of parts; 0: layer by layer */
	uint32_t grid;	     /* parts along each side; 1: layer by layer */
	uint64_t peak_bytes; /* with im2col and kernel buffers */
	double extra;	     /* more work than layer by layer, in what struct mcu_effort counts */
};

/* What one operator takes: for its whole output, and in each call of its kernel besides. */
struct mcu_effort {
	double output, call;
};

/* Which schedules come into question. */
struct mcu_schedule_limits {
	uint32_t grid;	 /* parts along a side at most, 1..MCU_GRID_MAX */
	uint32_t end;	 /* the last operator that may run in parts, at most */
	uint64_t enough; /* bytes; the list ends with the schedule of least work that needs no more.
			    0: the list is complete */
};

/*
 * mcu_schedules() - layer by layer, and every way in parts that needs less SRAM and is beaten by
 *                   no other in both SRAM and work
 * @net:    inferred, as deployed
 * @rules:  not MCU_TFLM, which has no parts; MCU_NASC cuts neither pads nor upsamplings
 * @effort: n_ops
 * @a:      holds the list
 *
 * Sorted by extra work, and so by SRAM, the most first. Returns how many, at least 1.
 */
uint32_t mcu_schedules(const struct network *net, const struct mcu_memory_rules *rules,
		       const struct mcu_schedule_limits *limits, const struct mcu_effort *effort,
		       struct arena *a, struct mcu_schedule **list);

/* The parts of a network under one schedule. */
struct mcu_parts {
	struct network patch; /* operators 0..end on the largest part; the output takes no bytes */
	struct network rest;  /* operator 0 is the whole output of @end; all, layer by layer */
	struct mcu_memory patch_memory, rest_memory;
	uint64_t whole, image; /* bytes beside the patch's: the output of @end, the image or 0 */
	double *area;	       /* per operator of the whole: elements computed over its output's */
	struct mcu_memory_rules patch_rules, rest_rules;
	/* MCU_NASC in parts: both in one arena; of the patch, of the rest, the image. Else NULL. */
	struct cost_buffer *buffer;
	uint32_t n_buffers;
	uint64_t arena_bytes;
};
void mcu_parts_init(struct mcu_parts *p, const struct network *net,
		    const struct mcu_memory_rules *rules, uint32_t end, uint32_t grid,
		    struct arena *a);
/* Peak of both, with buffers; MCU_NASC: of the addresses. */
uint64_t mcu_parts_peak(const struct mcu_parts *p);
/* Addresses for both: fills steps, buffers and bytes of @out, operators as in the whole network. */
void mcu_parts_place(struct mcu_parts *p, uint32_t end, struct cost_memory *out, struct arena *a);

/* Along one side, of each operator's output up to @end in each part, what is held of it,
 * [end + 1][grid]; the image is there whole. Every operator up to @end is read by one up to it,
 * and no side is above 65535. */
void mcu_parts_spans(const struct network *net, uint32_t end, uint32_t grid, bool vertical,
		     struct nasc_span *span, struct arena *scratch);
#endif
