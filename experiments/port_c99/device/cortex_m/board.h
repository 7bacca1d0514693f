/* What the start-up code has for main, and main for it. */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stdint.h>

void board_write(const char *text);
void board_exit(bool right);
int64_t board_stack(void);
void reset(void);
int main(void);

#endif
