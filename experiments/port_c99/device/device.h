/* A network on a device: its weights from constant arrays, its memory given once, no file and no allocation.
 *
 * `python -m zo_numpy export RUN --format c --out DIR` writes a `struct device_model`, and copies what it needs of the
 * port beside it. Several models may stand in one program; each needs a `struct device` and memory of its own. */
#ifndef DEVICE_H
#define DEVICE_H

#include "../int8/int8.h"

struct device_test {   /* samples, and what becomes of them */
    int32_t samples;
    const unsigned char *x;
    const uint8_t *labels;
    const int8_t *logits;
    int32_t exponent;
    const char *digest;          /* of the weights after one training step on them, hex SHA-256 */
};

struct device_model {
    const char *name, *digest;   /* of the weights as they are here */
    const struct layer *layers;
    int32_t layer_count;
    struct shape input;          /* three axes: uint8 pixels; two: int8 coordinates of points (SPEC 15.1) */
    int32_t bp_tail, batch;      /* batch: the largest */
    bool running;                /* the scale of the tail's steps */
    uint64_t seed;
    struct settings settings;    /* of training: those of the run's last epoch */
    const int8_t *const *weights;
    const int32_t *exponents;
    uint64_t predicted;          /* bytes of a training step in NumPy, as `memory` says; 0 if it does not */
    struct device_test test;
};

struct device {
    const struct device_model *of;
    struct model model;
    struct trainer trainer;
    int32_t step;                /* how many training steps have been made */
};

uint64_t device_memory(struct device *device, const struct device_model *of);
bool device_begin(struct device *device, const struct device_model *of, unsigned char *memory, uint64_t size);
uint64_t device_constants(const struct device *device);
int32_t device_classify(struct device *device, const unsigned char *sample);
void device_train(struct device *device, const unsigned char *samples, const uint8_t *labels, int32_t n,
                  struct outcome *outcome);
const char *device_self_test(struct device *device);
void digest_of(struct trainer *trainer, char hex[65]);

#endif
