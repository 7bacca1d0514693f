/* From reset to main on a Cortex-M without an operating system. Output and exit go to the debugger, by semihosting:
 * that is qemu, or what holds a real board. */
#include "board.h"

#include <string.h>

#define PAINT 0xa5u

extern unsigned char stack_begin[], stack_end[], static_begin[], data_end[], data_image[], zero_begin[],
    static_end[];   /* mps2.ld */

enum { SYS_WRITE0 = 0x04, SYS_EXIT = 0x18, EXIT = 0x20026, FAILURE = 0x20023 };

static void semihosting(uintptr_t operation, uintptr_t argument)
{
    register uintptr_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void board_write(const char *text)
{
    semihosting(SYS_WRITE0, (uintptr_t)text);
}

void board_exit(bool right)
{
    semihosting(SYS_EXIT, right ? EXIT : FAILURE);
    for (;;)
        ;
}

static void fault(void)
{
    board_write("error: the processor met a fault; is STACK_SIZE in mps2.ld too small?\n");
    board_exit(false);
}

/* Bytes of the stack that were in use since the reset, from its end to the deepest one whose paint is gone. */
int64_t board_stack(void)
{
    const volatile unsigned char *at = stack_begin;
    while (at < stack_end && *at == PAINT)
        at++;
    return stack_end - at;
}

void reset(void)
{
    unsigned char *top;
    __asm__ volatile("mov %0, sp" : "=r"(top));
    for (volatile unsigned char *at = stack_begin; at < top; at++)
        *at = PAINT;
    memcpy(static_begin, data_image, (size_t)(data_end - static_begin));
    memset(zero_begin, 0, (size_t)(static_end - zero_begin));
    board_exit(main() == 0);
}

/* What the processor reads first: the stack's end, where it begins, and where it goes in 14 exceptions. No interrupt of
 * the board is ever let in. */
__attribute__((section(".vectors"), used)) static const struct {
    void *stack;
    void (*reset)(void), (*exceptions[14])(void);
} vectors = {stack_end, reset, {fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault,
                                fault, fault}};
