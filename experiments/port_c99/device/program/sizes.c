/* Prints memory.h: how many bytes of memory the model wants. It is run where the program is built. */
#include <inttypes.h>
#include <stdio.h>

#include "../device.h"
#include "model.h"

int main(void)
{
    static struct device device;
    const uint64_t bytes = device_memory(&device, &MODEL);
    printf("#define MODEL_MEMORY %" PRIu64 "u\n", bytes);
    return !bytes;
}
