/* What a layer is in FP32, plainly, on a whole batch. tiled.c does the same faster, to the last bits alike. */
#include "fp32.h"

#include <stddef.h>

/* (N, C, H, W) by (C_out, C, k, k) -> (N, C_out, H', W'); zeros around the image, stride 1. */
void conv2d_fp32(const struct layer *layer, const struct shape *input, int32_t n, const float *x, const float *weight,
                 const float *bias, float *out)
{
    const int32_t height = input->at[1], width = input->at[2], k = layer->kernel, pad = layer->pad;
    const int32_t out_height = height + 2 * pad - k + 1, out_width = width + 2 * pad - k + 1;
    for (int32_t sample = 0; sample < n; sample++)
        for (int32_t o = 0; o < layer->out; o++)
            for (int32_t row = 0; row < out_height; row++)
                for (int32_t column = 0; column < out_width; column++) {
                    float sum = bias[o];
                    for (int32_t c = 0; c < layer->in; c++)
                        for (int32_t i = 0; i < k; i++)
                            for (int32_t j = 0; j < k; j++) {
                                const int32_t from_row = row + i - pad, from = column + j - pad;
                                if (from_row >= 0 && from_row < height && from >= 0 && from < width)
                                    sum += weight[((o * layer->in + c) * k + i) * k + j] *
                                           x[((sample * layer->in + c) * height + from_row) * width + from];
                            }
                    out[((sample * layer->out + o) * out_height + row) * out_width + column] = sum;
                }
}

/* (N, in) by (out, in) -> (N, out). */
void linear_fp32(int32_t n, int32_t in, int32_t out, const float *x, const float *weight, const float *bias, float *y)
{
    point_linear_fp32(n, in, out, x, weight, y);
    for (int32_t sample = 0; sample < n; sample++)
        for (int32_t o = 0; o < out; o++)
            y[sample * out + o] += bias[o];
}

/* Maxima of windows of size x size, in place: (images, H, W) -> (images, H / size, W / size).
 * What is beyond the last whole window is dropped (CHOICE 37). */
void max_pool2d_fp32(int32_t images, int32_t height, int32_t width, int32_t size, float *x)
{
    float *out = x;
    for (int32_t image = 0; image < images; image++)
        for (int32_t row = 0; row + size <= height; row += size)
            for (int32_t column = 0; column + size <= width; column += size) {
                const float *window = x + (image * height + row) * width + column;
                float largest = *window;
                for (int32_t i = 0; i < size; i++)
                    for (int32_t j = 0; j < size; j++)
                        largest = window[i * width + j] > largest ? window[i * width + j] : largest;
                *out++ = largest;
            }
}

void relu_fp32(int32_t count, float *x)
{
    for (int32_t i = 0; i < count; i++)
        x[i] = x[i] > 0 ? x[i] : 0;
}

static const char *const NAMES[] = {"Conv2d", "Linear", "PointLinear", "BatchNorm", "MaxPool2d", "MaxOverPoints",
                                    "ReLU", "Flatten"};

/* Batch norm on (rows, channels), by the batch's own statistics, which are told, or by the running ones. */
static void normalise(struct trainer_fp32 *trainer, int32_t b, int32_t rows, float *x, const char *phase, int32_t query)
{
    const struct parameter *gamma = &trainer->parameters[trainer->weight_of[b] + 1];
    const int32_t channels = gamma->size;
    float *scale = trainer->scratch, *shift = scale + channels;
    if (!trainer->evaluating)
        batch_statistics(rows, channels, x, trainer->statistics[b], trainer->statistics[b] + channels);
    const float *used = statistics_of(trainer, b);
    for (int32_t part = 0; part < 2 && !trainer->evaluating; part++)
        note_parameter(trainer, phase, query, "batch_statistics", &trainer->parameters[trainer->mean_of[b] + part],
                       used + part * channels);
    scale_and_shift(channels, gamma->data, gamma[1].data, used, used + channels, scale, shift);
    for (int32_t row = 0; row < rows; row++)
        for (int32_t c = 0; c < channels; c++)
            x[row * channels + c] = x[row * channels + c] * scale[c] + shift[c];
}

/* One block, layer by layer on the whole batch, so that each can be watched. */
static void plain_block(struct trainer_fp32 *trainer, int32_t b, int32_t n, const char *phase, int32_t query)
{
    const struct block *block = &trainer->model->blocks[b];
    const struct layer *first = block->layers;
    const struct parameter *weight = &trainer->parameters[trainer->weight_of[b]];
    struct shape shape = block->input;
    float *y = trainer->scratch + 4096;   /* before it, room for a scale and a shift */
    for (int32_t i = 0; i < block->count; i++) {
        const struct layer *layer = &block->layers[i];
        if (layer->type == CONV2D)
            conv2d_fp32(layer, &shape, n, trainer->x[b], weight->data, weight[1].data, y);
        else if (layer->type == LINEAR)
            linear_fp32(n, layer->in, layer->out, trainer->x[b], weight->data, weight[1].data, y);
        else if (layer->type == POINT_LINEAR)
            point_linear_fp32(n * shape.at[0], layer->in, layer->out, trainer->x[b], weight->data, y);
        else if (layer->type == BATCH_NORM)
            normalise(trainer, b, n * shape.at[0], y, phase, query);
        else if (layer->type == MAX_POOL2D)
            max_pool2d_fp32(n * shape.at[0], shape.at[1], shape.at[2], layer->size, y);
        else if (layer->type == MAX_OVER_POINTS)
            max_over_points_fp32(n, shape.at[0], shape.at[1], y);
        else if (layer->type == RELU)
            relu_fp32(n * shape_size(&shape), y);
        output_shape(layer, &shape);
        note_fp32(trainer, phase, query, NAMES[layer->type], layer->type == BATCH_NORM ? layer->name : first->name, y, n,
                  &shape);
    }
    for (int32_t i = 0; i < n * shape_size(&shape); i++)
        trainer->x[b + 1][i] = y[i];
}

/* The forward pass, from trainer->x[0] to the logits, trainer->x[block_count]. */
void forward_fp32(struct trainer_fp32 *trainer, int32_t n, const char *phase, int32_t query)
{
    for (int32_t b = 0; b < trainer->model->block_count; b++)
        if (trainer->recorder)
            plain_block(trainer, b, n, phase, query);
        else
            tiled_block_fp32(trainer, b, n);
}
