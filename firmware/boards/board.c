#include "board.h"

#include <stddef.h>
#include <string.h>

int main(void);
void board_start(void);
void board_fault(void);

/* Of the linker script: their addresses are what they say. */
extern uint32_t board_stack_guard[], board_stack_low[], board_stack_top[];
extern uint32_t board_data[], board_data_end[], board_data_load[], board_bss[], board_bss_end[];
extern char board_timer[], board_timer_hz[];

#define PAINT 0xdeadbeefu

/* ---- start ------------------------------------------------------------------------ */

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
	(void (*)(void))(uintptr_t)board_stack_top,
	board_start,
	board_fault, /* non-maskable */
	board_fault, /* hard */
	board_fault, /* memory */
	board_fault, /* bus */
	board_fault, /* usage */
	board_fault, /* secure */
};

static void set_timer(void)
{
	volatile uint32_t *timer = (volatile uint32_t *)(uintptr_t)board_timer;

	timer[2] = UINT32_MAX; /* reload */
	timer[1] = UINT32_MAX; /* value, down from here */
	timer[0] = 1;	       /* on */
}

__attribute__((noreturn)) static void leave(int code);

/* From the last byte of the stack to the first that this function itself needs. */
static void paint(void)
{
	uint32_t *to = board_stack_low, *here;

	__asm__("mov %0, sp" : "=r"(here));
	while (to < here)
		*(volatile uint32_t *)to++ = PAINT;
}

/* Nobody may touch what lies below the stack. The M33 board has nothing there, and faults. */
static void guard_stack(void)
{
#if __ARM_ARCH == 7
	volatile uint32_t *mpu = (volatile uint32_t *)0xe000ed94;

	mpu[1] = 0; /* region */
	mpu[2] = (uint32_t)(uintptr_t)board_stack_guard;
	mpu[3] = 1u << 28 | 7u << 1 | 1; /* no access, 2^(7 + 1) bytes, on */
	mpu[0] = 5;			 /* on; all else as without it */
	__asm__ volatile("dsb\n\tisb");
#endif
}

void board_start(void)
{
#ifdef __ARM_FP
	*(volatile uint32_t *)0xe000ed88 |= 0xfu << 20; /* CPACR: the floating-point unit */
	__asm__ volatile("dsb\n\tisb");
#endif
	memcpy(board_data, board_data_load, (size_t)((char *)board_data_end - (char *)board_data));
	memset(board_bss, 0, (size_t)((char *)board_bss_end - (char *)board_bss));
	guard_stack();
	paint();
	set_timer();
	leave(main());
}

/* ---- semihosting ------------------------------------------------------------------- */

enum { OPEN = 0x01, WRITEC = 0x03, WRITE0 = 0x04, WRITE = 0x05, READ = 0x06, EXIT_EXTENDED = 0x20 };
enum { MODE_RB = 1, MODE_WB = 5 };

static int ask(int operation, const void *arguments)
{
	register int r0 __asm__("r0") = operation;
	register const void *r1 __asm__("r1") = arguments;

	__asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
	return r0;
}

static void leave(int code)
{
	const uint32_t arguments[2] = { 0x20026, (uint32_t)code }; /* the application's own exit */

	for (;;)
		ask(EXIT_EXTENDED, arguments);
}

__attribute__((used, noreturn)) static void leave_faulty(void)
{
	leave(125);
}

/* The stack may be what is at fault. */
__attribute__((naked)) void board_fault(void)
{
	__asm__ volatile("ldr r0, =board_stack_top\n\tmov sp, r0\n\tb leave_faulty");
}

void board_print(const char *text)
{
	ask(WRITE0, text);
}

static int open_file(const char *path, uint32_t mode)
{
	const uint32_t arguments[3] = { (uint32_t)(uintptr_t)path, mode, (uint32_t)strlen(path) };

	return ask(OPEN, arguments);
}

int board_open_input(const char *path)
{
	return open_file(path, MODE_RB);
}

int board_open_output(const char *path)
{
	return open_file(path, MODE_WB);
}

uint32_t board_read(int file, void *to, uint32_t bytes)
{
	const uint32_t arguments[3] = { (uint32_t)file, (uint32_t)(uintptr_t)to, bytes };

	return (uint32_t)ask(READ, arguments);
}

uint32_t board_write(int file, const void *from, uint32_t bytes)
{
	const uint32_t arguments[3] = { (uint32_t)file, (uint32_t)(uintptr_t)from, bytes };

	return (uint32_t)ask(WRITE, arguments);
}

/* ---- what newlib's printf() asks for ------------------------------------------------- */

int _write(int file, const char *text, int n);
int _read(int file, char *to, int n);
int _close(int file);
int _isatty(int file);
int _lseek(int file, int to, int from);
int _fstat(int file, void *status);
void *_sbrk(ptrdiff_t bytes);

int _write(int file, const char *text, int n)
{
	(void)file;
	for (int i = 0; i < n; i++)
		ask(WRITEC, text + i);
	return n;
}

int _read(int file, char *to, int n)
{
	(void)file, (void)to, (void)n;
	return 0;
}

int _close(int file)
{
	(void)file;
	return 0;
}

int _isatty(int file)
{
	(void)file;
	return 1;
}

int _lseek(int file, int to, int from)
{
	(void)file, (void)to, (void)from;
	return 0;
}

int _fstat(int file, void *status)
{
	(void)file, (void)status;
	return -1;
}

/* Its streams alone have a heap, and are written to address 0 without one. For buffers there is
 * none: printf() then writes byte by byte. */
void *_sbrk(ptrdiff_t bytes)
{
	static uint64_t heap[64];
	static size_t used;
	char *block = (char *)heap + used;

	if ((size_t)bytes > sizeof heap - used)
		return (void *)-1;
	used += (size_t)bytes;
	return block;
}

/* ---- measuring ----------------------------------------------------------------------- */

uint32_t board_ticks(void)
{
	return UINT32_MAX - ((volatile uint32_t *)(uintptr_t)board_timer)[1];
}

/* An instruction lasts 1,024 ns. */
uint32_t board_instructions(uint32_t ticks)
{
	const uint64_t hz = (uint64_t)(uintptr_t)board_timer_hz;

	return (uint32_t)(((uint64_t)ticks * 1953125 + hz) / (2 * hz));
}

uint32_t board_stack_bytes(void)
{
	const uint32_t *p = board_stack_low;

	while (p < board_stack_top && *(const volatile uint32_t *)p == PAINT)
		p++;
	return (uint32_t)((const char *)board_stack_top - (const char *)p);
}

uint32_t board_stack_used(void)
{
	const uint32_t *here;

	__asm__ volatile("mov %0, sp" : "=r"(here));
	return (uint32_t)((const char *)board_stack_top - (const char *)here);
}
