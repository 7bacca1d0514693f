/* An image for a Cortex-M without an operating system: it tests itself, makes one training step, and tells what the
 * step took: instructions, flash, RAM.
 *
 *     make cortex-m         in an exported folder: builds it with arm-none-eabi-gcc and newlib, for a Cortex-M3
 *     make cortex-m-test    runs it in qemu-system-arm, on the board MPS2 AN385
 *
 * For another chip change MEMORY in mps2.ld, timer_value below, and CORTEX_M in the Makefile. */
#include "../device.h"
#include "board.h"
#include "memory.h"
#include "model.h"

/* Of the board: a timer of 32 bits that counts down, 25 times a microsecond. qemu gives each instruction 2^ICOUNT_SHIFT
 * nanoseconds, 3.2 ticks: so the ticks tell the number of instructions exactly, up to 1,300 million. */
#define TIMER ((volatile uint32_t *)0x40000000)
enum { TIMER_CONTROL = 0, TIMER_VALUE = 1, TIMER_RELOAD = 2, NANOSECONDS_A_TICK = 40, ICOUNT_SHIFT = 7 };

#define LOOPS 1000000u

extern unsigned char flash_begin[], constants_begin[], flash_end[], static_begin[], static_end[];   /* mps2.ld */

static union {
    int64_t aligned;
    unsigned char bytes[MODEL_MEMORY];
} memory;
static struct device device;
static struct outcome outcome;
static uint32_t loops;

static void write_number(int64_t number)
{
    char digits[21], *at = digits + sizeof digits - 1;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    *at = 0;
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0)
        *--at = '-';
    board_write(at);
}

static void write_line(const char *before, int64_t number, const char *after)
{
    board_write(before);
    write_number(number);
    board_write(after);
    board_write("\n");
}

static void nothing(void)
{
}

static void count_down(void)   /* two instructions a loop */
{
    __asm__ volatile("1: subs %0, %0, #1\n\tbne 1b" : "+r"(loops) : : "cc");
}

static void step(void)
{
    device_train(&device, MODEL.test.x, MODEL.test.labels, 1, &outcome);
}

static uint32_t ticks_of(void (*volatile work)(void))
{
    const uint32_t before = TIMER[TIMER_VALUE];
    work();
    return before - TIMER[TIMER_VALUE];
}

/* Instructions of a function, from its first to its return. */
static int64_t instructions_of(void (*work)(void))
{
    const int64_t nanoseconds = ((int64_t)ticks_of(work) - ticks_of(nothing)) * NANOSECONDS_A_TICK;
    return (nanoseconds + (1 << ICOUNT_SHIFT >> 1)) >> ICOUNT_SHIFT;
}

/* Whether the timer counts instructions here: a loop a million times is two million of them more than one. */
static bool counts_instructions(void)
{
    loops = 1;
    const int64_t once = instructions_of(count_down);
    loops = 1 + LOOPS;
    return instructions_of(count_down) - once == 2 * LOOPS;
}

int main(void)
{
    char hex[65];
    TIMER[TIMER_RELOAD] = UINT32_MAX;
    TIMER[TIMER_CONTROL] = 1;
    if (!device_begin(&device, &MODEL, memory.bytes, sizeof memory)) {
        board_write("error: memory.h is of another model; make clean, then make cortex-m\n");
        return 2;
    }
    const char *wrong = device_self_test(&device);
    board_write(wrong ? "self-test FAILED: other than zo_numpy's are " : "self-test passed");
    board_write(wrong ? wrong : "");
    const int64_t taken = instructions_of(step);
    digest_of(&device.trainer, hex);
    board_write("\nweights sha256 ");
    board_write(hex);
    write_line(" after a training step on one sample\nloss+ ", outcome.loss_plus, "");
    write_line("loss- ", outcome.loss_minus, "");
    if (counts_instructions())
        write_line("instructions ", taken, " of that step");
    else
        board_write("instructions cannot be counted here: run it in qemu with -icount shift=7\n");
    write_line("flash  ", flash_end - flash_begin, " bytes, of these");
    write_line("code   ", constants_begin - flash_begin, "");
    write_line("static ", static_end - static_begin, " bytes of RAM");
    write_line("stack  ", board_stack(), " bytes of RAM, at the deepest");
    return wrong ? 1 : 0;
}
