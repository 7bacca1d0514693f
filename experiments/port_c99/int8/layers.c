/* What a layer is, plainly, on a whole batch (SPEC 7). tiled.c does the same faster; both give the same bits. */
#include "int8.h"

#include <stddef.h>

/* (N, C, H, W) by (C_out, C, k, k) -> (N, C_out, H', W'); zeros around the image, stride 1. */
void conv2d(const struct layer *layer, const struct shape *input, int32_t n, const int8_t *x, const int8_t *weight,
            int32_t *sums)
{
    const int32_t height = input->at[1], width = input->at[2], k = layer->kernel, pad = layer->pad;
    const int32_t out_height = height + 2 * pad - k + 1, out_width = width + 2 * pad - k + 1;
    for (int32_t sample = 0; sample < n; sample++)
        for (int32_t o = 0; o < layer->out; o++)
            for (int32_t row = 0; row < out_height; row++)
                for (int32_t column = 0; column < out_width; column++) {
                    int32_t sum = 0;
                    for (int32_t c = 0; c < layer->in; c++)
                        for (int32_t i = 0; i < k; i++)
                            for (int32_t j = 0; j < k; j++) {
                                const int32_t from_row = row + i - pad, from = column + j - pad;
                                if (from_row >= 0 && from_row < height && from >= 0 && from < width)
                                    sum += (int32_t)weight[((o * layer->in + c) * k + i) * k + j] *
                                           x[((sample * layer->in + c) * height + from_row) * width + from];
                            }
                    sums[((sample * layer->out + o) * out_height + row) * out_width + column] = sum;
                }
}

/* (N, in) by (out, in) -> (N, out). A shared layer of points is the same with N P rows (points.c). */
void linear(int32_t n, int32_t in, int32_t out, const int8_t *x, const int8_t *weight, int32_t *sums)
{
    for (int32_t sample = 0; sample < n; sample++)
        for (int32_t o = 0; o < out; o++) {
            int32_t sum = 0;
            for (int32_t i = 0; i < in; i++)
                sum += (int32_t)x[sample * in + i] * weight[o * in + i];
            sums[sample * out + o] = sum;
        }
}

/* Maxima of windows of size x size, in place: (images, H, W) -> (images, H / size, W / size).
 * What is beyond the last whole window is dropped (CHOICE 37). */
void max_pool2d(int32_t images, int32_t height, int32_t width, int32_t size, int32_t *x)
{
    int32_t *out = x;
    for (int32_t image = 0; image < images; image++)
        for (int32_t row = 0; row + size <= height; row += size)
            for (int32_t column = 0; column + size <= width; column += size) {
                const int32_t *window = x + (image * height + row) * width + column;
                int32_t largest = *window;
                for (int32_t i = 0; i < size; i++)
                    for (int32_t j = 0; j < size; j++)
                        largest = window[i * width + j] > largest ? window[i * width + j] : largest;
                *out++ = largest;
            }
}

void relu(int32_t count, int32_t *x)
{
    for (int32_t i = 0; i < count; i++)
        x[i] = x[i] > 0 ? x[i] : 0;
}

/* A block's layer with weights. */
void product(const struct block *block, int32_t n, const int8_t *x, const int8_t *weight, int32_t *sums)
{
    const struct layer *layer = block->layers;
    if (layer->type == CONV2D)
        conv2d(layer, &block->input, n, x, weight, sums);
    else
        linear(layer->type == LINEAR ? n : n * block->input.at[0], layer->in, layer->out, x, weight, sums);
}

/* A layer without weights on int32, in place.  shape: of one sample, which becomes that of the output. */
void apply_layer(const struct layer *layer, int32_t n, struct shape *shape, int32_t *x)
{
    if (layer->type == MAX_POOL2D)
        max_pool2d(n * shape->at[0], shape->at[1], shape->at[2], layer->size, x);
    else if (layer->type == MAX_OVER_POINTS)
        max_over_points(n, shape->at[0], shape->at[1], x);
    else if (layer->type == RELU)
        relu(n * shape_size(shape), x);
    output_shape(layer, shape);   /* flattening moves nothing (CHOICE 15) */
}

static const char *const NAMES[] = {"Conv2d", "Linear", "PointLinear", "", "MaxPool2d", "MaxOverPoints", "ReLU",
                                    "Flatten"};

/* One block, layer by layer on the whole batch, so that each can be watched (CHOICE 2). */
static void plain_block(struct trainer *trainer, int32_t b, int32_t n, const char *phase, int32_t query)
{
    const struct block *block = &trainer->model->blocks[b];
    const char *name = block->layers->name;
    struct shape shape = block->product;
    product(block, n, trainer->x[b], trainer->weights[b].data, trainer->sums);
    note(trainer, phase, query, NAMES[block->layers->type], name, 4, trainer->sums, n, &shape);
    for (int32_t i = 1; i < block->count; i++) {
        apply_layer(&block->layers[i], n, &shape, trainer->sums);
        note(trainer, phase, query, NAMES[block->layers[i].type], name, 4, trainer->sums, n, &shape);
    }
    const int32_t maximum = max_abs(trainer->sums, n * shape_size(&shape));
    const int32_t shift = requantise(trainer->sums, n * shape_size(&shape), trainer->x[b + 1]);
    trainer->exponents[b + 1] = trainer->exponents[b] + trainer->weights[b].exponent + shift;
    note_made(trainer, phase, query, "requantise", name, trainer->x[b + 1], n, &block->output,
              trainer->exponents[b + 1], maximum, shift);
}

/* The forward pass, from trainer->x[0] to the logits, trainer->x[block_count]. */
void forward(struct trainer *trainer, int32_t n, const char *phase, int32_t query)
{
    for (int32_t b = 0; b < trainer->model->block_count; b++) {
        if (trainer->recorder)
            plain_block(trainer, b, n, phase, query);
        if (!trainer->recorder || trainer->bp_tail == FULL_BP)   /* of which full BP learns where the maxima are */
            tiled_block(trainer, b, n);
    }
}
