#ifndef NASC_DEPTHWISE_H
#define NASC_DEPTHWISE_H
#include "nasc_kernels.h"
#include "nasc_words.h"

/* Of nasc_depthwise.c: what its parts work on, and 3x3 with the DSP extension. */

#ifdef __ARM_FEATURE_DSP
typedef int16_t __attribute__((may_alias)) half; /* also read two by two, as a word */
#else
typedef int16_t half;
#endif

/* Up to four channels of a map. The first fields, up to y, lie on the stack of group_3x3() too. */
struct group {
	uint32_t lower;		  /* from an upper row of outputs to the lower; 0: there is none */
	uint32_t step;		  /* from a column to the next, of inputs and of outputs */
	uint32_t twos, odd;	  /* bytes of a row of outputs two by two; whether one is left */
	uint32_t row;		  /* of inputs, the first that is seen: 0 is the map's */
	const int8_t *x;	  /* what is seen of it, from the first channel on */
	uint32_t columns, height; /* of inputs: seen of a row; all rows of the map */
	uint32_t line;		  /* from a row of inputs to the next */
	half *first;		  /* where the first of these columns is gathered */
	uint32_t rows, out_line;  /* of outputs; from one to the next */
	int8_t outside[4];	  /* an input outside the map */
	const int8_t *weights;
	const struct nasc_requant *requant, *requant_end;
	const half *cells; /* gathered, from the window's first column on */
	int8_t *y;
	uint32_t kernel_h, kernel_w, stride;
	uint32_t channels;  /* that are gathered: 4, or all */
	uint32_t *laid_out; /* room for weights */
};

#ifdef __ARM_FEATURE_DSP
/* 3x3 without a loop over the kernel: all weights of a channel are in registers, where gcc does not
 * keep them: of the kernel's columns in r5, r6 and r7 rows 0 and 1, in r8, r9 and r10 rows 1 and 2.
 * A column of cells has two pairs of rows, which come to r0 and r1, the upper first. The next pair
 * takes the upper one's place in memory, so that there are two versions of the loop.
 *
 * sp points to five words of the next channel, as from weights to y in struct group; then there are
 * the struct's fields, up to y, of these rows of outputs, and behind step the end of y, the offset
 * and the multiplier of this channel. */
#define REQUANT	   "4"
#define LOWER	   "20"
#define STEP	   "24"
#define END	   "28"
#define OFFSET	   "32"
#define MULTIPLIER "36"
#define TWOS	   "40"
#define ODD	   "44"
#define ROW	   "48"
#define FIRST	   "68"
#define ROWS	   "72"
#define OUTSIDE	   "80"
#define GROUP	   "84"
#define Y	   "100"

/* clang-format off */

/* A pixel at A, of an upper row, and the one at B below it, to a column of cells at r4. */
#define GATHER(A, B, AT, LAST) \
	"ldr r9, [" A "]\n\t" \
	"ldr r10, [" B "]\n\t" \
	"sxtb16 r11, r9\n\t" \
	"sxtb16 r12, r10\n\t" \
	"sxtb16 r9, r9, ror #8\n\t" \
	"sxtb16 r10, r10, ror #8\n\t" \
	"pkhbt r0, r11, r12, lsl #16\n\t" \
	"pkhtb r12, r12, r11, asr #16\n\t" \
	"pkhbt r11, r9, r10, lsl #16\n\t" \
	"pkhtb r10, r10, r9, asr #16\n\t" \
	"str r11, [r4, #" AT " + 8]\n\t" \
	"str r12, [r4, #" AT " + 16]\n\t" \
	"str r10, [r4, #" AT " + 24]\n\t" \
	"str r0, [r4" LAST "\n\t"

/* The next two rows of inputs, to pairs from r4 on. */
#define GATHER_ROWS \
	"add r12, sp, #" ROW "\n\t" \
	"ldm r12, {r0-r3, r5}\n\t" \
	"ldr r6, [sp, #" STEP "]\n\t" \
	"add r8, r1, r5\n\t" \
	"add r9, r0, #2\n\t" \
	"add r10, r8, r5\n\t" \
	"mov r7, r6\n\t" \
	"strd r9, r10, [r12]\n\t" \
	"cmp r0, r3\n\t" \
	"itt cs\n\t" \
	"addcs r1, sp, #" OUTSIDE "\n\t" \
	"movcs r6, #0\n\t" \
	"add r0, r0, #1\n\t" \
	"cmp r0, r3\n\t" \
	"itt cs\n\t" \
	"addcs r8, sp, #" OUTSIDE "\n\t" \
	"movcs r7, #0\n\t" \
	"lsrs r3, r2, #1\n\t" \
	"beq 2f\n" \
	"1:\n\t" \
	GATHER("r1", "r8", "0", "]") \
	GATHER("r1, r6", "r8, r7", "32", ", #32]") \
	"add r4, r4, #64\n\t" \
	"add r1, r1, r6, lsl #1\n\t" \
	"add r8, r8, r7, lsl #1\n\t" \
	"subs r3, r3, #1\n\t" \
	"bne 1b\n" \
	"2:\n\t" \
	"lsls r2, r2, #31\n\t" \
	"it eq\n\t" \
	"bxeq lr\n\t" \
	GATHER("r1", "r8", "0", "]") \
	"bx lr\n"

/* The next channel: its weights, cells in r3, y in r4, offset in lr, multiplier in r11; "equal"
 * where no columns come two by two. */
#define CHANNEL \
	"ldm sp, {r0-r4}\n\t" \
	"ldr r5, [sp, #" TWOS "]\n\t" \
	"ldrd lr, r11, [r1], #8\n\t" \
	"add r6, r3, #8\n\t" \
	"add r7, r4, #1\n\t" \
	"add r5, r4, r5\n\t" \
	"cmp r4, r5\n\t" \
	"str r5, [sp, #" END "]\n\t" \
	"strd lr, r11, [sp, #" OFFSET "]\n\t" \
	"ldr r8, [r0], #2\n\t" \
	"ldr r9, [r0], #3\n\t" \
	"ldr r10, [r0], #4\n\t" \
	"stm sp, {r0-r2, r6, r7}\n\t" \
	"sxtb16 r5, r8\n\t" \
	"sxtb16 r6, r8, ror #8\n\t" \
	"sxtb16 r8, r9\n\t" \
	"sxtb16 r9, r9, ror #8\n\t" \
	"sxtb16 r0, r10\n\t" \
	"sxtb16 r1, r10, ror #8\n\t" \
	"pkhbt r7, r1, r0\n\t" \
	"pkhtb r10, r1, r0, asr #16\n\t"

/* What a column adds to the sum of an upper output, which was FROM. */
#define ADD(SUM, FROM, W01, W12) \
	"smlad " SUM ", r0, " W01 ", " FROM "\n\t" \
	"smlabt " SUM ", r1, " W12 ", " SUM "\n\t"
/* And to that of a lower one. */
#define ADD_LOWER(SUM, FROM, W01, W12) \
	"smlatb " SUM ", r0, " W01 ", " FROM "\n\t" \
	"smlad " SUM ", r1, " W12 ", " SUM "\n\t"
#define REQUANTISE(SUM, BY) \
	"smmulr " SUM ", " SUM ", " BY "\n\t" \
	"ssat " SUM ", #8, " SUM "\n\t"

/* Two rows of outputs, two by two and an odd column. PAIRS: where the two pairs of a column go. */
#define CONVOLVE(PAIRS) \
	"1:\n\t" \
	CHANNEL \
	"beq 3f\n" \
	"2:\n\t" \
	"ldrd " PAIRS ", [r3], #32\n\t" \
	ADD("r11", "lr", "r5", "r8") \
	ADD_LOWER("r12", "lr", "r5", "r8") \
	"ldrd " PAIRS ", [r3], #32\n\t" \
	ADD("r11", "r11", "r6", "r9") \
	ADD_LOWER("r12", "r12", "r6", "r9") \
	ADD("r2", "lr", "r5", "r8") \
	ADD_LOWER("lr", "lr", "r5", "r8") \
	"ldrd " PAIRS ", [r3]\n\t" \
	ADD("r11", "r11", "r7", "r10") \
	ADD_LOWER("r12", "r12", "r7", "r10") \
	ADD("r2", "r2", "r6", "r9") \
	ADD_LOWER("lr", "lr", "r6", "r9") \
	"ldrd " PAIRS ", [r3, #32]\n\t" \
	ADD("r2", "r2", "r7", "r10") \
	ADD_LOWER("lr", "lr", "r7", "r10") \
	"ldr r0, [sp, #" MULTIPLIER "]\n\t" \
	REQUANTISE("r12", "r0") \
	REQUANTISE("lr", "r0") \
	REQUANTISE("r11", "r0") \
	REQUANTISE("r2", "r0") \
	"ldrd r0, r1, [sp, #" LOWER "]\n\t" \
	"strb r12, [r4, r0]\n\t" \
	"add r0, r0, r1\n\t" \
	"strb lr, [r4, r0]\n\t" \
	"strb r11, [r4]\n\t" \
	"strb r2, [r4, r1]\n\t" \
	"add r4, r4, r1, lsl #1\n\t" \
	"ldrd r0, lr, [sp, #" END "]\n\t" \
	"cmp r4, r0\n\t" \
	"bne 2b\n" \
	"3:\n\t" \
	"ldr r0, [sp, #" ODD "]\n\t" \
	"cbz r0, 4f\n\t" \
	"ldrd " PAIRS ", [r3]\n\t" \
	ADD("r11", "lr", "r5", "r8") \
	ADD_LOWER("r12", "lr", "r5", "r8") \
	"ldrd " PAIRS ", [r3, #32]\n\t" \
	ADD("r11", "r11", "r6", "r9") \
	ADD_LOWER("r12", "r12", "r6", "r9") \
	"ldrd " PAIRS ", [r3, #64]\n\t" \
	ADD("r11", "r11", "r7", "r10") \
	ADD_LOWER("r12", "r12", "r7", "r10") \
	"ldrd r0, r1, [sp, #" OFFSET "]\n\t" \
	REQUANTISE("r12", "r1") \
	REQUANTISE("r11", "r1") \
	"ldr r0, [sp, #" LOWER "]\n\t" \
	"strb r12, [r4, r0]\n\t" \
	"strb r11, [r4]\n" \
	"4:\n\t"

/* One row of outputs, of stride 2. */
#define CONVOLVE_STRIDE_2(PAIRS) \
	"1:\n\t" \
	CHANNEL \
	"mov r2, r11\n\t" \
	"beq 3f\n" \
	"2:\n\t" \
	"ldrd " PAIRS ", [r3], #32\n\t" \
	ADD("r11", "lr", "r5", "r8") \
	"ldrd " PAIRS ", [r3], #32\n\t" \
	ADD("r11", "r11", "r6", "r9") \
	"ldrd " PAIRS ", [r3], #32\n\t" \
	ADD("r11", "r11", "r7", "r10") \
	ADD("r12", "lr", "r5", "r8") \
	"ldrd " PAIRS ", [r3], #32\n\t" \
	ADD("r12", "r12", "r6", "r9") \
	"ldrd " PAIRS ", [r3]\n\t" \
	ADD("r12", "r12", "r7", "r10") \
	REQUANTISE("r11", "r2") \
	REQUANTISE("r12", "r2") \
	"ldrd r0, r1, [sp, #" STEP "]\n\t" \
	"strb r11, [r4]\n\t" \
	"strb r12, [r4, r0]\n\t" \
	"add r4, r4, r0, lsl #1\n\t" \
	"cmp r4, r1\n\t" \
	"bne 2b\n" \
	"3:\n\t" \
	"ldr r0, [sp, #" ODD "]\n\t" \
	"cbz r0, 4f\n\t" \
	"ldrd " PAIRS ", [r3]\n\t" \
	ADD("r11", "lr", "r5", "r8") \
	"ldrd " PAIRS ", [r3, #32]\n\t" \
	ADD("r11", "r11", "r6", "r9") \
	"ldrd " PAIRS ", [r3, #64]\n\t" \
	ADD("r11", "r11", "r7", "r10") \
	REQUANTISE("r11", "r2") \
	"strb " "r11, " "[r4]\n" \
	"4:\n\t"

/* N rows of outputs, and whether there are more. */
#define OUTPUTS(CONVOLVE_ROWS, N) \
	"add r5, sp, #" GROUP "\n\t" \
	"ldm r5, {r0-r4}\n\t" \
	"stm sp, {r0-r4}\n" \
	CONVOLVE_ROWS \
	"ldrd r0, r1, [sp, #" REQUANT "]\n\t" \
	"cmp r0, r1\n\t" \
	"bne 1b\n\t" \
	"ldrd r0, r1, [sp, #" ROWS "]\n\t" \
	"ldr r2, [sp, #" Y "]\n\t" \
	"subs r0, r0, #" N "\n\t" \
	"add r2, r2, r1, lsl #" N " - 1\n\t" \
	"str r2, [sp, #" Y "]\n\t" \
	"str r0, [sp, #" ROWS "]\n\t" \
	"bls 6f\n\t" \
	"cmp r0, #1\n\t" \
	"itt eq\n\t" \
	"moveq r1, #0\n\t" \
	"streq r1, [sp, #" LOWER "]\n\t"

#define CONVOLVE_GROUP(ROWS_OF, N) \
	__asm__ volatile( \
		"push {r4-r11, lr}\n\t" \
		"add r1, r0, #40\n\t" \
		"ldm r1, {r2-r9}\n\t" \
		"push {r2-r9}\n\t" \
		"ldm r0, {r0, r1, r5-r12}\n\t" \
		"push {r0-r12}\n\t" \
		"sub sp, #20\n\t" \
		"ldr r4, [sp, #" FIRST "]\n\t" \
		"bl 7f\n" \
		"5:\n\t" \
		"ldr r4, [sp, #" FIRST "]\n\t" \
		"add r4, r4, #4\n\t" \
		"bl 7f\n\t" \
		OUTPUTS(ROWS_OF("r0, r1"), N) \
		"ldr r4, [sp, #" FIRST "]\n\t" \
		"bl 7f\n\t" \
		OUTPUTS(ROWS_OF("r1, r0"), N) \
		"b 5b\n" \
		"6:\n\t" \
		"add sp, sp, #104\n\t" \
		"pop {r4-r11, pc}\n" \
		"7:\n\t" \
		GATHER_ROWS \
		::: "r0", "r1", "r2", "r3", "r12", "cc", "memory")
/* clang-format on */

ALONE __attribute__((naked)) void group_3x3(const struct group *g __attribute__((unused)))
{
	CONVOLVE_GROUP(CONVOLVE, "2");
}

ALONE __attribute__((naked)) void group_3x3_stride_2(const struct group *g __attribute__((unused)))
{
	CONVOLVE_GROUP(CONVOLVE_STRIDE_2, "1");
}
#endif
#endif
