#ifndef BOARD_H
#define BOARD_H
#include <stdint.h>

/* A board without an operating system, as QEMU has it: mps2-an386 (Cortex-M4), mps2-an500 (M7),
 * mps2-an505 (M33). board.c starts it, calls main() and leaves with what that returns; a fault, or
 * a stack that is full, leaves with 125. The machine under it is asked for files and text
 * ("semihosting": Arm IHI 0099), so that a debugger or QEMU must be there. printf() works, malloc()
 * has nothing left for others. */

void board_print(const char *text);

/* Files of that machine. -1: cannot be opened. */
int board_open_input(const char *path);
int board_open_output(const char *path);
/* Bytes that were not read or written: 0, unless the file ends or the disk is full. */
uint32_t board_read(int file, void *to, uint32_t bytes);
uint32_t board_write(int file, const void *from, uint32_t bytes);

/* Of a timer that counts up and around; a difference of two, up to 2^32 - 1, in instructions.
 * Exact to the instruction where QEMU runs with `-icount shift=10`, which makes each last
 * 1,024 ns; of no use elsewhere. */
uint32_t board_ticks(void);
uint32_t board_instructions(uint32_t ticks);

/* The most bytes of stack that main() and what it called have written so far. */
uint32_t board_stack_bytes(void);
/* Bytes of stack in use where it is called. */
uint32_t board_stack_used(void);
#endif
