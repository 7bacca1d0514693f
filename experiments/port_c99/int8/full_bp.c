/* Full BP, the baseline: backpropagation through the whole network (SPEC 16). */
#include "int8.h"

#include <stddef.h>
#include <string.h>

/* Back through a convolution and its max-pool: an error meets only the place where its maximum was.
 * error: (C_out, ..) of one sample.  x: (C, H, W).  Adds to gradient (C_out, C, k, k) and, if there is one, to
 * below (C, H, W). */
static void conv2d_sample_backward(const struct block *block, const int8_t *error, const uint8_t *places,
                                   const int8_t *x, const int8_t *weight, int64_t *gradient, int32_t *below)
{
    const struct layer *layer = block->layers;
    const int32_t height = block->input.at[1], width = block->input.at[2], k = layer->kernel;
    int32_t size = 1;
    for (int32_t i = 1; i < block->count; i++)
        size = block->layers[i].type == MAX_POOL2D ? block->layers[i].size : size;
    const int32_t rows = block->product.at[1] / size, columns = block->product.at[2] / size;
    for (int32_t at = 0; at < layer->out * rows * columns; at++) {
        if (!error[at])
            continue;
        const int32_t o = at / (rows * columns), place = size > 1 ? places[at] : 0;
        const int32_t top = at / columns % rows * size + place / size - layer->pad;
        const int32_t left = at % columns * size + place % size - layer->pad;
        const int32_t from = left < 0 ? -left : 0, to = left + k > width ? width - left : k;
        for (int32_t c = 0; c < layer->in; c++)
            for (int32_t i = 0; i < k; i++) {
                if (top + i < 0 || top + i >= height)
                    continue;
                const int32_t tap = ((o * layer->in + c) * k + i) * k, pixel = (c * height + top + i) * width + left;
                for (int32_t j = from; j < to; j++)
                    gradient[tap + j] += (int32_t)error[at] * x[pixel + j];
                if (below) {
                    for (int32_t j = from; j < to; j++)
                        below[pixel + j] += (int32_t)error[at] * weight[tap + j];
                }
            }
    }
}

/* Back through a shared layer whose maximum over the points was taken: one point a channel learns. */
static void pooled_points_backward(const struct layer *layer, const int8_t *error, const int32_t *points,
                                   const int8_t *x, const int8_t *weight, int64_t *gradient, int32_t *below)
{
    const int32_t in = layer->in;
    for (int32_t o = 0; o < layer->out; o++)
        for (int32_t i = 0; error[o] && i < in; i++) {
            gradient[o * in + i] += (int32_t)error[o] * x[points[o] * in + i];
            if (below)
                below[points[o] * in + i] += (int32_t)error[o] * weight[o * in + i];
        }
}

/* The step of a tensor from its sum in 64 bits. */
static void wide_step(const int64_t *gradient, int32_t count, int32_t exponent, int32_t b_bp, struct scale *scale,
                      int16_t *step)
{
    int64_t most = 0;
    for (int32_t i = 0; i < count; i++) {
        most = gradient[i] > most ? gradient[i] : most;
        most = -gradient[i] > most ? -gradient[i] : most;
    }
    const int32_t shift = gradient_shift((uint64_t)most, exponent, b_bp, scale);
    for (int32_t i = 0; i < count; i++)
        step[i] = (int16_t)pseudo_stochastic_shift(gradient[i], shift);
}

/* The gradient of a linear or shared layer over any number of rows, in 64 bits; `sums` is room for it in 32. */
static void rows_gradient(const struct layer *layer, int32_t rows, const int8_t *error, const int8_t *x, int32_t *sums,
                          int64_t *gradient)
{
    for (int32_t start = 0; start < rows; start += MAX_TERMS) {
        const int32_t count = rows - start < MAX_TERMS ? rows - start : MAX_TERMS;
        linear_gradient(count, layer->in, layer->out, error + start * layer->out, x + start * layer->in, sums);
        for (int32_t i = 0; i < weight_count(layer); i++)
            gradient[i] += sums[i];
    }
}

/* Tells a recorder the sum that wide_step has used, as int32, as which it is written over itself. */
static void note_gradient(struct trainer *trainer, const struct layer *layer, const char *op)
{
    for (int32_t i = 0; trainer->recorder && i < weight_count(layer); i++) {
        const int32_t narrow = (int32_t)trainer->wide[i];
        memcpy((char *)trainer->wide + (size_t)i * sizeof narrow, &narrow, sizeof narrow);
    }
    note(trainer, "minus", 0, op, layer->name, 4, trainer->wide, 0, NULL);
}

/* Back through block b: its step, and in trainer->sums the error of its input, where a layer lies below.
 * exponent: of the error. */
static void block_backward(struct trainer *trainer, int32_t b, int32_t n, int32_t b_bp, const int8_t *error,
                           int32_t exponent)
{
    static const char *const gradients[] = {"conv2d_gradient", "linear_gradient", "point_linear_gradient"};
    static const char *const backwards[] = {"conv2d_backward", "linear_backward", "point_linear_backward"};
    const struct block *block = &trainer->model->blocks[b];
    const struct layer *layer = block->layers;
    const int8_t *weight = trainer->weights[b].data, *x = trainer->x[b];
    const int32_t in = shape_size(&block->input), out = shape_size(&block->output);
    const bool pooled = layer->type == POINT_LINEAR && block->output.dims == 1;
    memset(trainer->wide, 0, (size_t)weight_count(layer) * sizeof *trainer->wide);
    if (layer->type == CONV2D || pooled) {
        memset(trainer->sums, 0, (size_t)n * (size_t)in * sizeof *trainer->sums);
        for (int32_t sample = 0; sample < n; sample++) {
            int32_t *below = b ? trainer->sums + sample * in : NULL;
            if (pooled)
                pooled_points_backward(layer, error + sample * out, trainer->points + sample * out, x + sample * in,
                                       weight, trainer->wide, below);
            else
                conv2d_sample_backward(block, error + sample * out, trainer->places + trainer->place_of[b] +
                                       sample * out, x + sample * in, weight, trainer->wide, below);
        }
    } else {
        const int32_t rows = layer->type == LINEAR ? n : n * block->input.at[0];
        rows_gradient(layer, rows, error, x, trainer->sums, trainer->wide);
        if (b)
            tiled_backward(rows, layer->in, layer->out, error, weight, trainer->sums);
    }
    wide_step(trainer->wide, weight_count(layer), exponent + trainer->exponents[b], b_bp, scale_of(trainer, b),
              trainer->steps[b]);
    note_gradient(trainer, layer, gradients[layer->type]);
    if (b)
        note(trainer, "minus", 0, backwards[layer->type], layer->name, 4, trainer->sums, n, &block->input);
}

/* One step of full BP on the batch in trainer->x[0]; changes the weights in place. Logged: L, L, 0. */
void full_bp_step(struct trainer *trainer, const uint8_t *labels, int32_t n, const struct settings *settings,
                  struct outcome *outcome)
{
    const struct model *model = trainer->model;
    const int32_t last = model->block_count;
    const char *name = model->blocks[last - 1].layers->name;
    int8_t *error = trainer->errors[0];
    note_weights(trainer, "minus", 0);
    note(trainer, "minus", 0, "input", "images", 1, trainer->x[0], n, &model->input);
    forward(trainer, n, "minus", 0);
    outcome->loss_plus = (settings->coarse ? coarse_cross_entropy : cross_entropy)(
        trainer->x[last], trainer->exponents[last], labels, n, model->classes);
    outcome->loss_minus = outcome->loss_plus;
    outcome->g[0] = 0;
    outcome->queries = 1;
    int32_t exponent = softmax_error(trainer->x[last], trainer->exponents[last], labels, n, model->classes,
                                     trainer->sums, error) - SOFTMAX_BITS;
    note_made(trainer, "minus", 0, "softmax_error", name, error, n, &model->blocks[last - 1].output, exponent, 0,
              0);
    for (int32_t b = last - 1; b >= 0; b--) {
        const struct shape *input = &model->blocks[b].input;
        const int32_t count = n * shape_size(input);
        block_backward(trainer, b, n, settings->b_bp, error, exponent);
        if (!b)
            break;
        name = model->blocks[b].layers->name;
        if (model->blocks[b - 1].relu) {
            relu_backward(count, trainer->x[b], trainer->sums);
            note(trainer, "minus", 0, "relu_backward", name, 4, trainer->sums, n, input);
        }
        const int32_t maximum = trainer->recorder ? max_abs(trainer->sums, count) : 0;
        const int32_t shift = requantise(trainer->sums, count, error);
        exponent += trainer->weights[b].exponent + shift;
        note_made(trainer, "minus", 0, "requantise_error", name, error, n, input, exponent, maximum,
                  shift);
    }
    for (int32_t b = last - 1; b >= 0; b--)
        note(trainer, "minus", 0, "gradient_step", model->blocks[b].layers->name, 2, trainer->steps[b], 0, NULL);
    note_loss(trainer, "minus", 0, outcome->loss_minus);
    update_all(trainer, 0, false);
}
