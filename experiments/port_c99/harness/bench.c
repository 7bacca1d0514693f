/* Time of a training step, INT8 and FP32 in turn: `port time MODEL POINTS K BATCH ROUNDS`. */
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Milliseconds: the median, and the first and third quarter. */
static void tell(const char *name, double *times, int32_t rounds)
{
    qsort(times, (size_t)rounds, sizeof *times, by_size);
    printf("%s %.4f %.4f %.4f\n", name, times[rounds / 2], times[rounds / 4], times[3 * rounds / 4]);
}

static double since(clock_t start)
{
    return 1000 * (double)(clock() - start) / CLOCKS_PER_SEC;
}

/* Random samples: pixels, or points of a cloud, in both precisions. */
static void fill(const struct model *model, int32_t batch, struct trainer *int8, struct trainer_fp32 *fp32,
                 uint8_t *labels)
{
    const int32_t size = shape_size(&model->input);
    uint64_t drawn;
    for (int32_t i = 0; i < batch * size; i++) {
        const struct address address = {1, DATA, 0, 0, (uint64_t)i};
        words(&address, 0, 1, &drawn);
        int8->x[0][i] = (int8_t)(model->input.dims == 3 ? (int32_t)(drawn & 127u) : (int32_t)(drawn % 147u) - 73);
        fp32->x[0][i] = (float)int8->x[0][i] / 127;
    }
    for (int32_t i = 0; i < batch; i++)
        labels[i] = (uint8_t)(i % model->classes);
}

int time_steps(const char *name, int32_t points, int32_t bp_tail, int32_t batch, int32_t rounds)
{
    static const struct settings settings = {7, 128, 1, 4, 7, 1, false, false, false};
    static const struct settings_fp32 settings_fp32 = {1e-2, 1e-3, 5, 1e-2, 1, false, false};
    const int32_t headroom[MAX_BLOCKS] = {1, 1, 1, 1, 1, 1, 1, 2};
    struct model *integer = allocate(sizeof *integer), *real_model = allocate(sizeof *real_model);
    struct trainer int8;
    struct trainer_fp32 fp32;
    struct arena_fp32 arena = {NULL, 0};
    struct outcome outcome;
    struct outcome_fp32 outcome_fp32;
    double *times = allocate(2 * (size_t)rounds * sizeof *times);
    uint8_t *labels = allocate((size_t)batch);
    if (!named_model(name, real_model))
        fail("the model %s is not known", name);
    if (real_model->input.dims == 2)
        real_model->input.at[0] = points;
    *integer = *real_model;
    drop_batch_norm(integer);
    cut_into_blocks(integer);
    cut_into_blocks(real_model);
    lay_out_int8(&int8, integer, bp_tail, batch, false, false);
    if (!lay_out_fp32(&fp32, real_model, bp_tail, batch, false, false, &arena))
        fail("a tail of %ld layers", (long)bp_tail);
    arena.base = allocate((size_t)arena.used);
    arena.used = 0;
    lay_out_fp32(&fp32, real_model, bp_tail, batch, false, false, &arena);
    init_weights(integer, 0, headroom, int8.weights);
    clip_for_zo(int8.weights, head_blocks(integer, bp_tail), settings.r_limit);
    init_weights_fp32(&fp32, 0);
    fill(integer, batch, &int8, &fp32, labels);
    for (int32_t round = -1; round < rounds; round++) {   /* the first is not counted */
        clock_t start = clock();
        train_step(&int8, labels, batch, 0, (uint64_t)(round + 1), &settings, &outcome);
        if (round >= 0)
            times[round] = since(start);
        start = clock();
        train_step_fp32(&fp32, labels, batch, 0, (uint64_t)(round + 1), &settings_fp32, &outcome_fp32);
        if (round >= 0)
            times[rounds + round] = since(start);
    }
    tell("int8", times, rounds);
    tell("fp32", times + rounds, rounds);
    return 0;
}
