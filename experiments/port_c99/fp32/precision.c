/* The memory of an FP32 training run, handed out once before its first step; and what is told to who watches. */
#include "fp32.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static void *take(struct arena_fp32 *arena, int64_t floats)
{
    unsigned char *place = arena->base ? arena->base + arena->used : NULL;
    arena->used += ((uint64_t)floats * sizeof(float) + 63) / 64 * 64;
    return place;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static void add(struct trainer_fp32 *trainer, const char *layer, const char *part, int32_t dims, const int32_t *shape)
{
    struct parameter *parameter = &trainer->parameters[trainer->total++];
    snprintf(parameter->name, sizeof parameter->name, "%s.%s", layer, part);
    parameter->dims = dims;
    parameter->size = 1;
    for (int32_t i = 0; i < 4; i++) {
        parameter->shape[i] = i < dims ? shape[i] : 0;
        parameter->size *= i < dims ? shape[i] : 1;
    }
}

/* The parameters in the order of layers, then the running statistics. */
static void list_parameters(struct trainer_fp32 *trainer)
{
    const struct model *model = trainer->model;
    trainer->total = 0;
    for (int32_t b = 0; b < model->block_count; b++) {
        const struct layer *layer = model->blocks[b].layers;
        const int32_t shape[4] = {layer->out, layer->in, layer->kernel, layer->kernel};
        trainer->weight_of[b] = trainer->total;
        add(trainer, layer->name, "weight", layer->type == CONV2D ? 4 : 2, shape);
        if (layer->type != POINT_LINEAR)
            add(trainer, layer->name, "bias", 1, shape);
        for (int32_t i = 1; i < model->blocks[b].count; i++)
            if (layer[i].type == BATCH_NORM) {
                add(trainer, layer[i].name, "gamma", 1, shape);
                add(trainer, layer[i].name, "beta", 1, shape);
            }
    }
    trainer->learned = trainer->total;
    for (int32_t b = 0; b < model->block_count; b++) {
        const struct block *block = &model->blocks[b];
        trainer->mean_of[b] = -1;
        for (int32_t i = 1; i < block->count; i++)
            if (block->layers[i].type == BATCH_NORM) {
                trainer->mean_of[b] = trainer->total;
                add(trainer, block->layers[i].name, "mean", 1, &block->layers->out);
                add(trainer, block->layers[i].name, "var", 1, &block->layers->out);
            }
    }
}

/* The number of the first parameter that the tail has: those before it are ZO's. */
int32_t first_of_tail(const struct trainer_fp32 *trainer)
{
    const int32_t first = head_blocks(trainer->model, trainer->bp_tail);
    return first < trainer->model->block_count ? trainer->weight_of[first] : trainer->learned;
}

/* As `lay_out` of INT8. */
bool lay_out_fp32(struct trainer_fp32 *trainer, const struct model *model, int32_t bp_tail, int32_t max_batch,
                  bool both, bool watched, struct arena_fp32 *arena)
{
    const int32_t first = head_blocks(model, bp_tail), last = model->block_count;
    int32_t room[2] = {0, 0}, error = max_batch * model->classes, scratch = tiled_scratch_fp32(model, max_batch);
    if (bp_tail < 0 || bp_tail > longest_tail(model))
        return false;
    memset(trainer, 0, sizeof *trainer);
    trainer->model = model;
    trainer->bp_tail = bp_tail;
    trainer->max_batch = max_batch;
    list_parameters(trainer);
    for (int32_t b = 1; b < last; b++) {
        if (b < first)
            room[b % 2] = larger(room[b % 2], shape_size(&model->blocks[b].input));
        else
            error = larger(error, max_batch * shape_size(&model->blocks[b].input));
    }
    float *turns[2] = {take(arena, (int64_t)max_batch * room[0]), take(arena, (int64_t)max_batch * room[1])};
    for (int32_t b = 0; b <= last; b++) {
        const struct shape *shape = b < last ? &model->blocks[b].input : &model->blocks[last - 1].output;
        trainer->x[b] = b > 0 && b < first ? turns[b % 2] : take(arena, (int64_t)max_batch * shape_size(shape));
        if (b < last && watched)
            scratch = larger(scratch, 4096 + max_batch * shape_size(&model->blocks[b].product));
    }
    for (int32_t i = 0; i < trainer->learned; i++) {
        struct parameter *parameter = &trainer->parameters[i];
        parameter->data = take(arena, parameter->size);
        if (i >= first_of_tail(trainer)) {
            trainer->steps[i] = take(arena, parameter->size);
            trainer->first_steps[i] = both ? take(arena, parameter->size) : NULL;
        }
    }
    for (int32_t b = 0; b < last; b++) {
        if (trainer->mean_of[b] < 0)
            continue;
        struct parameter *mean = &trainer->parameters[trainer->mean_of[b]];
        mean[0].data = take(arena, 2 * mean->size);
        mean[1].data = arena->base ? mean[0].data + mean->size : NULL;
        trainer->statistics[b] = take(arena, 2 * mean->size);
    }
    trainer->errors[0] = take(arena, error);
    trainer->errors[1] = take(arena, error);
    trainer->scratch = take(arena, scratch);
    return true;
}

/* Tells of an array of n samples, if somebody watches. */
void note_fp32(struct trainer_fp32 *trainer, const char *phase, int32_t query, const char *op, const char *name,
               const float *array, int32_t n, const struct shape *shape)
{
    struct note_fp32 told = {phase, op, name, query, array, shape->dims + 1, {n, 0, 0, 0}, 0};
    for (int32_t i = 0; i < shape->dims; i++)
        told.shape[i + 1] = shape->at[i];
    if (trainer->recorder)
        trainer->recorder->note(trainer->recorder, &told);
}

/* Tells of an array of a parameter's shape. */
void note_parameter(struct trainer_fp32 *trainer, const char *phase, int32_t query, const char *op,
                    const struct parameter *of, const float *array)
{
    const struct note_fp32 told = {phase, op, of->name, query, array, of->dims,
                                   {of->shape[0], of->shape[1], of->shape[2], of->shape[3]}, 0};
    if (trainer->recorder)
        trainer->recorder->note(trainer->recorder, &told);
}
