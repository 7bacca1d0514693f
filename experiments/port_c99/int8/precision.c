/* The memory of a training run, handed out once before its first step; and what is told to who watches. */
#include "int8.h"

#include <stddef.h>

static void *take(struct arena *arena, uint64_t bytes)
{
    unsigned char *place = arena->base ? arena->base + arena->used : NULL;
    arena->used += (bytes + 63) / 64 * 64;
    return place;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Accumulators: of whole layers if watched, else what the tail, full BP and the last block need. */
static int32_t sums_count(const struct model *model, int32_t bp_tail, int32_t max_batch, bool watched)
{
    const int32_t first = head_blocks(model, bp_tail);
    int32_t most = 0;
    for (int32_t b = 0; b < model->block_count; b++) {
        const struct block *block = &model->blocks[b];
        const bool whole = watched || block->layers->type == LINEAR;
        if (whole)
            most = larger(most, max_batch * shape_size(&block->product));
        if (!whole && (!block->relu || block->output.dims == 1))
            most = larger(most, max_batch * shape_size(&block->output));
        if (b >= first)
            most = larger(most, weight_count(block->layers));
        if (b > first)
            most = larger(most, max_batch * shape_size(&block->input));
    }
    return most;
}

/* Hands out what a trainer of these settings needs; call it with a base of NULL first to learn how much that is. The
 * base is aligned for any type.  both: whether both passes give the tail steps.  watched: whether there will be a
 * recorder. False if the model does not end in so many linear layers. */
bool lay_out(struct trainer *trainer, const struct model *model, int32_t bp_tail, int32_t max_batch, bool both,
             bool watched, struct arena *arena)
{
    const int32_t first = head_blocks(model, bp_tail), last = model->block_count;
    int32_t room[2] = {0, 0}, error = 0, places = 0, wide = 0, tiles = 0;
    const uint64_t batch = (uint64_t)max_batch;
    if (bp_tail != FULL_BP && (bp_tail < 0 || bp_tail > longest_tail(model)))
        return false;
    trainer->model = model;
    trainer->bp_tail = bp_tail;
    trainer->max_batch = max_batch;
    trainer->recorder = NULL;
    begin_scales(trainer, false);
    trainer->exponents[0] = -7;   /* pixels and points (SPEC 3, 15.1) */
    for (int32_t b = 0; b <= last; b++) {
        const struct shape *shape = b < last ? &model->blocks[b].input : &model->blocks[last - 1].output;
        if (b > 0 && b < first)   /* below the tail nothing is kept: two places serve in turn */
            room[b % 2] = larger(room[b % 2], shape_size(shape));
        if (b < last)
            tiles = larger(tiles, max_batch * (shape->dims == 2 ? shape->at[0] / 64 + 1 : 1));
    }
    int8_t *turns[2] = {take(arena, batch * (uint64_t)room[0]), take(arena, batch * (uint64_t)room[1])};
    for (int32_t b = 0; b <= last; b++) {
        const struct shape *shape = b < last ? &model->blocks[b].input : &model->blocks[last - 1].output;
        trainer->x[b] = b > 0 && b < first ? turns[b % 2] : take(arena, batch * (uint64_t)shape_size(shape));
    }
    for (int32_t b = 0; b < last; b++) {
        const struct block *block = &model->blocks[b];
        struct tensor *weight = &trainer->weights[b];
        const uint64_t count = (uint64_t)weight_count(block->layers);
        weight->size = weight_count(block->layers);
        weight->data = take(arena, count);
        trainer->steps[b] = b < first ? NULL : take(arena, 2 * count);
        trainer->first_steps[b] = b < first || !both ? NULL : take(arena, 2 * count);
        trainer->place_of[b] = places;
        if (b >= first) {
            error = larger(error, max_batch * larger(shape_size(&block->output), b > 0 ? shape_size(&block->input) : 0));
            wide = larger(wide, weight->size);
            places += block->layers->type == CONV2D ? max_batch * shape_size(&block->output) : 0;
        }
    }
    trainer->errors[0] = take(arena, (uint64_t)error);
    trainer->errors[1] = bp_tail == FULL_BP ? NULL : take(arena, (uint64_t)error);
    trainer->sums = take(arena, 4 * (uint64_t)sums_count(model, bp_tail, max_batch, watched));
    trainer->scratch = take(arena, 2 * (uint64_t)tiled_scratch(model, max_batch));
    trainer->shifts = take(arena, (uint64_t)tiles);
    trainer->wide = NULL;
    trainer->places = NULL;
    trainer->points = NULL;
    if (bp_tail == FULL_BP) {
        int32_t channels = 0;
        for (int32_t b = 0; b < last; b++)
            if (model->blocks[b].layers->type == POINT_LINEAR && model->blocks[b].output.dims == 1)
                channels = model->blocks[b].layers->out;
        trainer->wide = take(arena, 8 * (uint64_t)wide);
        trainer->places = places ? take(arena, (uint64_t)places) : NULL;
        trainer->points = channels ? take(arena, 4 * batch * (uint64_t)channels) : NULL;
    }
    return true;
}

/* Running scales as they are before the first step of a run; or none. */
void begin_scales(struct trainer *trainer, bool running)
{
    const struct scale first = {FIRST_REFERENCE, 0};
    trainer->running = running;
    for (int32_t b = 0; b < MAX_BLOCKS; b++)
        trainer->scales[b] = first;
}

/* The running scale of a layer that learns by BP, or NULL. */
struct scale *scale_of(struct trainer *trainer, int32_t block)
{
    return trainer->running && block >= head_blocks(trainer->model, trainer->bp_tail) ? &trainer->scales[block] : NULL;
}

/* Tells of an array, if somebody watches.  shape: of one sample of n; NULL for that of the tensor called `name`. */
void note(struct trainer *trainer, const char *phase, int32_t query, const char *op, const char *name, int32_t bytes,
          const void *array, int32_t n, const struct shape *shape)
{
    const struct note told = {phase, op, name, query, bytes, array, n, shape, 0, -7, 0, 0};
    if (trainer->recorder)
        trainer->recorder->note(trainer->recorder, &told);
}

/* The result of a requantisation. */
void note_made(struct trainer *trainer, const char *phase, int32_t query, const char *op, const char *name,
               const int8_t *array, int32_t n, const struct shape *shape, int32_t exponent, int32_t maximum,
               int32_t shift)
{
    const struct note told = {phase, op, name, query, 1, array, n, shape, 0, exponent, maximum, shift};
    if (trainer->recorder)
        trainer->recorder->note(trainer->recorder, &told);
}

void note_loss(struct trainer *trainer, const char *phase, int32_t query, int64_t loss)
{
    const struct note told = {phase, "loss", "batch", query, 0, NULL, 0, NULL, loss, 0, 0, 0};
    if (trainer->recorder)
        trainer->recorder->note(trainer->recorder, &told);
}

/* The weights, then the running scales as int32 (reference, age), under their layers' names. */
void note_weights(struct trainer *trainer, const char *phase, int32_t query)
{
    for (int32_t b = 0; trainer->recorder && b < trainer->model->block_count; b++) {
        const struct note told = {phase, "weights", trainer->model->blocks[b].layers->name, query, 1,
                                  trainer->weights[b].data, 0, NULL, 0, trainer->weights[b].exponent, 0, 0};
        trainer->recorder->note(trainer->recorder, &told);
    }
    for (int32_t b = 0; trainer->recorder && b < trainer->model->block_count; b++) {
        const struct scale *scale = scale_of(trainer, b);
        const int32_t pair[2] = {scale ? scale->reference : 0, scale ? scale->age : 0};
        if (scale)
            note(trainer, phase, query, "weights", trainer->model->blocks[b].layers->name, 4, pair, 0, NULL);
    }
}
