/* A program with one model: it tests itself, classifies, trains, and tells what it takes. model.h names the model. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../device.h"
#include "memory.h"
#include "model.h"

#define STACK_ROOM 65536   /* bytes of stack that are watched; on a device with less: -DSTACK_ROOM in the Makefile */
#define PAINT 0xa5u

static union {
    int64_t aligned;
    unsigned char bytes[MODEL_MEMORY];
} memory;
static struct device device;
static uintptr_t painted;   /* where the watched part of the stack begins */

static void usage(void)
{
    fputs("test                 whether this machine computes what zo_numpy did\n"
          "classify < SAMPLES   a class a line; a sample is its pixels, or int8 coordinates of points, one byte each\n"
          "train < RECORDS      a training step a batch; a record is a byte, the label, and a sample\n"
          "train N < RECORDS    the same with the first N; then how many of the others are classified rightly\n"
          "memory               bytes of constants, static memory and stack\n", stderr);
}

/* Reads one sample, and before it its label if there is a place for that. False at the end. */
static bool read_sample(unsigned char *sample, uint8_t *label)
{
    const size_t size = (size_t)shape_size(&device.model.input);
    const int first = label ? getchar() : 0;
    if (first == EOF)
        return false;
    if (label)
        *label = (uint8_t)first;
    const size_t read = fread(sample, 1, size, stdin);
    if (read == size)
        return true;
    if (read || label)
        fputs("error: the last sample is not whole\n", stderr);
    return false;
}

static int classify(void)
{
    static unsigned char sample[MODEL_SAMPLE];
    while (read_sample(sample, NULL))
        printf("%ld\n", (long)device_classify(&device, sample));
    return ferror(stdin) ? 1 : 0;
}

/* A record whose label is a class of the network. 1 if there is one, 0 at the end, -1 for another label. */
static int read_record(unsigned char *sample, uint8_t *label)
{
    if (!read_sample(sample, label))
        return 0;
    if (*label < device.model.classes)
        return 1;
    fprintf(stderr, "error: the label %u is no class of the network\n", *label);
    return -1;
}

/* How many of the records that are left are classified rightly. */
static int count_right(void)
{
    static unsigned char sample[MODEL_SAMPLE];
    unsigned long right = 0, all = 0;
    uint8_t label;
    int found;
    for (; (found = read_record(sample, &label)) > 0; all++)
        right += device_classify(&device, sample) == label;
    printf("right %lu of %lu\n", right, all);
    return found < 0 || ferror(stdin);
}

/* most: records to train on; what follows them is classified. */
static int train(unsigned long most)
{
    static unsigned char samples[MODEL_BATCH * MODEL_SAMPLE];
    static uint8_t labels[MODEL_BATCH];
    unsigned long seen = 0;
    char hex[65];
    int32_t n;
    do {
        struct outcome outcome;
        int found = 1;
        for (n = 0; n < MODEL_BATCH && seen < most; n++, seen++)
            if ((found = read_record(samples + n * MODEL_SAMPLE, labels + n)) <= 0)
                break;
        if (found < 0)
            return 1;
        if (!n)
            break;
        device_train(&device, samples, labels, n, &outcome);
        printf("%ld %" PRId64 " %" PRId64, (long)device.step - 1, outcome.loss_plus, outcome.loss_minus);
        for (int32_t i = 0; i < outcome.queries; i++)
            printf("%c%d", i ? ',' : ' ', outcome.g[i]);
        putchar('\n');
    } while (n == MODEL_BATCH);
    digest_of(&device.trainer, hex);
    printf("weights sha256 %s\n", hex);
    if (seen == most)
        return count_right();
    return ferror(stdin) ? 1 : 0;
}

static int test(void)
{
    const char *wrong = device_self_test(&device);
    if (wrong)
        printf("self-test of %s FAILED: other than zo_numpy's are %s\n", MODEL.name, wrong);
    else
        printf("self-test of %s passed: logits of %ld samples, and the digest after a training step on them\n",
               MODEL.name, (long)MODEL.test.samples);
    return wrong ? 1 : 0;
}

/* Fills the stack below its caller's. What follows from the same caller leaves its traces in it. */
static void paint(void)
{
    volatile unsigned char room[STACK_ROOM];
    for (size_t i = 0; i < sizeof room; i++)
        room[i] = PAINT;
    painted = (uintptr_t)&room[0];
}

static void work(void)
{
    const struct device_test *sample = &MODEL.test;
    struct outcome outcome;
    device_classify(&device, sample->x);
    device_train(&device, sample->x, sample->labels, sample->samples, &outcome);
}

/* Bytes of the stack that a classification and a training step take; the paint is read where they have been. */
static unsigned long stack_taken(void)
{
    void (*volatile first)(void) = paint, (*volatile then)(void) = work;   /* so that neither is drawn in here */
    first();
    then();
    const volatile unsigned char *room = (const volatile unsigned char *)painted;
    unsigned long untouched = 0;
    while (untouched < STACK_ROOM && room[untouched] == PAINT)
        untouched++;
    return STACK_ROOM - untouched;
}

static int tell_memory(void)
{
    const unsigned long stack = stack_taken();
    printf("const  %10" PRIu64 " bytes: weights and self-test\n", device_constants(&device));
    printf("static %10lu bytes: weights that change, activations, errors, steps and the network, at a batch of %d\n",
           (unsigned long)(sizeof memory + sizeof device), MODEL_BATCH);
    printf("stack  %10lu bytes: of a classification and a training step\n", stack);
    if (MODEL.predicted)
        printf("`memory` predicts %" PRIu64 " bytes for the same step in NumPy\n", MODEL.predicted);
    else
        printf("`memory` does not predict full BP\n");
    return 0;
}

int main(int count, char **words)
{
    const char *what = count == 2 || count == 3 ? words[1] : "";
    char *end = NULL;
    const unsigned long most = count == 3 ? strtoul(words[2], &end, 10) : ULONG_MAX;
    int status = 2;
    if (!device_begin(&device, &MODEL, memory.bytes, sizeof memory)) {
        fputs("error: memory.h is of another model; make clean, then make\n", stderr);
        return 2;
    }
    if (count == 3 && (strcmp(what, "train") || !most || *end))
        usage();
    else if (!strcmp(what, "test"))
        status = test();
    else if (!strcmp(what, "classify"))
        status = classify();
    else if (!strcmp(what, "train"))
        status = train(most);
    else if (!strcmp(what, "memory"))
        status = tell_memory();
    else
        usage();
    return fflush(stdout) || ferror(stdout) ? 2 : status;
}
