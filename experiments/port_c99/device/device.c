/* See device.h. */
#include "device.h"

#include <string.h>

#include "../harness/sha256.h"

/* SHA-256 of the weights, and of running scales where there are any (SPEC 12). */
void digest_of(struct trainer *trainer, char hex[65])
{
    struct sha256 hash;
    sha256_begin(&hash);
    for (int32_t b = 0; b < trainer->model->block_count; b++)
        sha256_add(&hash, trainer->weights[b].data, (size_t)trainer->weights[b].size);
    for (int32_t b = 0; b < trainer->model->block_count; b++) {
        const struct scale *scale = scale_of(trainer, b);
        const int32_t pair[2] = {scale ? scale->reference : 0, scale ? scale->age : 0};
        unsigned char bytes[8];
        for (int i = 0; i < 8; i++)
            bytes[i] = (unsigned char)((uint32_t)pair[i / 4] >> 8 * (i % 4) & 0xffu);
        if (scale)
            sha256_add(&hash, bytes, sizeof bytes);
    }
    sha256_end(&hash, hex);
}

static bool make_model(const struct device_model *of, struct model *model)
{
    if (of->layer_count > MAX_LAYERS)
        return false;
    model->layer_count = of->layer_count;
    memcpy(model->layers, of->layers, (size_t)of->layer_count * sizeof *of->layers);
    model->input = of->input;
    return cut_into_blocks(model);
}

static void give_weights(struct device *device)
{
    for (int32_t b = 0; b < device->model.block_count; b++) {
        struct tensor *weight = &device->trainer.weights[b];
        memcpy(weight->data, device->of->weights[b], (size_t)weight->size);
        weight->exponent = device->of->exponents[b];
    }
    device->step = 0;
}

static bool lay_out_device(struct device *device, struct arena *arena)
{
    const struct device_model *of = device->of;
    return lay_out(&device->trainer, &device->model, of->bp_tail, of->batch, of->settings.both, false, arena);
}

/* The bytes that `device_begin` wants of a model; the same on every machine. 0 if its layers do not fit each other. */
uint64_t device_memory(struct device *device, const struct device_model *of)
{
    struct arena arena = {NULL, 0};
    device->of = of;
    return make_model(of, &device->model) && lay_out_device(device, &arena) ? arena.used : 0;
}

/* A model with the weights that it was exported with.  memory: aligned for any type; the device's as long as it is
 * used. False if it is too small. */
bool device_begin(struct device *device, const struct device_model *of, unsigned char *memory, uint64_t size)
{
    const uint64_t wanted = device_memory(device, of);
    struct arena arena = {memory, 0};
    if (!wanted || size < wanted)
        return false;
    lay_out_device(device, &arena);
    give_weights(device);
    return true;
}

/* Bytes of the model's weights and of its test. */
uint64_t device_constants(const struct device *device)
{
    const struct device_test *test = &device->of->test;
    uint64_t bytes = (uint64_t)(test->samples * (shape_size(&device->model.input) + 1 + device->model.classes));
    for (int32_t b = 0; b < device->model.block_count; b++)
        bytes += (uint64_t)device->trainer.weights[b].size;
    return bytes;
}

static void take_samples(struct device *device, const unsigned char *samples, int32_t n)
{
    const int32_t count = n * shape_size(&device->model.input);
    if (device->model.input.dims == 3)
        from_pixels(samples, count, device->trainer.x[0]);
    else
        memcpy(device->trainer.x[0], samples, (size_t)count);
}

/* The class of one sample, by its logits alone. */
int32_t device_classify(struct device *device, const unsigned char *sample)
{
    take_samples(device, sample, 1);
    forward(&device->trainer, 1, "", 0);
    return class_of(device->trainer.x[device->model.block_count], device->model.classes);
}

/* One training step on n samples, 1 to the model's batch; before the first, weights and scales are made ready as those
 * of a run that starts from another's (`--init-from`). */
void device_train(struct device *device, const unsigned char *samples, const uint8_t *labels, int32_t n,
                  struct outcome *outcome)
{
    const struct device_model *of = device->of;
    if (!device->step) {
        clip_for_zo(device->trainer.weights, head_blocks(&device->model, of->bp_tail), of->settings.r_limit);
        begin_scales(&device->trainer, of->running);
    }
    take_samples(device, samples, n);
    any_step(&device->trainer, labels, n, of->seed, (uint64_t)device->step++, &of->settings, outcome);
}

/* NULL if this machine computes what zo_numpy did, else what differs. The weights are the exported ones afterwards. */
const char *device_self_test(struct device *device)
{
    const struct device_test *test = &device->of->test;
    const int32_t last = device->model.block_count;
    struct outcome outcome;
    char hex[65];
    give_weights(device);
    begin_scales(&device->trainer, false);
    digest_of(&device->trainer, hex);
    if (strcmp(hex, device->of->digest))
        return "the weights";
    take_samples(device, test->x, test->samples);
    forward(&device->trainer, test->samples, "", 0);
    if (device->trainer.exponents[last] != test->exponent ||
        memcmp(device->trainer.x[last], test->logits, (size_t)(test->samples * device->model.classes)))
        return "the logits";
    device_train(device, test->x, test->labels, test->samples, &outcome);
    digest_of(&device->trainer, hex);
    give_weights(device);
    begin_scales(&device->trainer, false);
    return strcmp(hex, test->digest) ? "the weights after one training step" : NULL;
}
