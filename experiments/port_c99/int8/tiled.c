/* The layers of layers.c and points.c, made fast and in little memory; bit for bit the same.
 *
 * Three things make it so. (1) Dot products are of int16, two products a lane: what compilers turn into instructions
 * like pmaddwd. (2) Where few products make a sum (the first layers), neighbours are computed side by side instead,
 * two products at a time: |a|, |b| <= 127, so a * b + c * d always fits 16 bits. (3) A block that ends in ReLU never
 * holds accumulators of the whole batch. Rounding half up by S bits is ((v >> (S - 1)) + 1) >> 1 for v >= 0, and a
 * tile's own shift s is at most S: so each tile keeps v >> max(0, s - 1) in 8 bits, and is finished in place once the
 * shift of all, the largest of s, is known. */
#include "int8.h"

#include <stddef.h>
#include <string.h>

#define LANES 32        /* rows of a dot product are padded to a multiple of it */
#define FEW 64          /* products a sum, below which neighbours are computed side by side */
#define POINTS 64       /* of a cloud, in a tile */

static int32_t padded(int32_t count)
{
    return (count + LANES - 1) / LANES * LANES;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Dot products of two rows of x with four of w, into sums[r * row_step + o * step].  length: a multiple of LANES. */
static void dots_of_two(const int16_t *x0, const int16_t *x1, const int16_t *w, int32_t length, int32_t *sums,
                 int32_t row_step, int32_t step)
{
    const int16_t *w0 = w, *w1 = w + length, *w2 = w1 + length, *w3 = w2 + length;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    for (int32_t k = 0; k < length / LANES * LANES; k++) {
        s00 += (int32_t)x0[k] * w0[k];
        s01 += (int32_t)x0[k] * w1[k];
        s02 += (int32_t)x0[k] * w2[k];
        s03 += (int32_t)x0[k] * w3[k];
        s10 += (int32_t)x1[k] * w0[k];
        s11 += (int32_t)x1[k] * w1[k];
        s12 += (int32_t)x1[k] * w2[k];
        s13 += (int32_t)x1[k] * w3[k];
    }
    sums[0] = s00;
    sums[step] = s01;
    sums[2 * step] = s02;
    sums[3 * step] = s03;
    sums += row_step;
    sums[0] = s10;
    sums[step] = s11;
    sums[2 * step] = s12;
    sums[3 * step] = s13;
}

/* The same of four rows of x, `stride` apart. */
static void dots_of_four(const int16_t *x0, int32_t stride, const int16_t *w, int32_t length, int32_t *sums,
                         int32_t row_step, int32_t step)
{
    const int16_t *x1 = x0 + stride, *x2 = x1 + stride, *x3 = x2 + stride;
    const int16_t *w0 = w, *w1 = w + length, *w2 = w1 + length, *w3 = w2 + length;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    int32_t s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
    for (int32_t k = 0; k < length / LANES * LANES; k++) {
        s00 += (int32_t)x0[k] * w0[k];
        s01 += (int32_t)x0[k] * w1[k];
        s02 += (int32_t)x0[k] * w2[k];
        s03 += (int32_t)x0[k] * w3[k];
        s10 += (int32_t)x1[k] * w0[k];
        s11 += (int32_t)x1[k] * w1[k];
        s12 += (int32_t)x1[k] * w2[k];
        s13 += (int32_t)x1[k] * w3[k];
        s20 += (int32_t)x2[k] * w0[k];
        s21 += (int32_t)x2[k] * w1[k];
        s22 += (int32_t)x2[k] * w2[k];
        s23 += (int32_t)x2[k] * w3[k];
        s30 += (int32_t)x3[k] * w0[k];
        s31 += (int32_t)x3[k] * w1[k];
        s32 += (int32_t)x3[k] * w2[k];
        s33 += (int32_t)x3[k] * w3[k];
    }
    sums[0 * row_step + 0 * step] = s00;
    sums[0 * row_step + 1 * step] = s01;
    sums[0 * row_step + 2 * step] = s02;
    sums[0 * row_step + 3 * step] = s03;
    sums[1 * row_step + 0 * step] = s10;
    sums[1 * row_step + 1 * step] = s11;
    sums[1 * row_step + 2 * step] = s12;
    sums[1 * row_step + 3 * step] = s13;
    sums[2 * row_step + 0 * step] = s20;
    sums[2 * row_step + 1 * step] = s21;
    sums[2 * row_step + 2 * step] = s22;
    sums[2 * row_step + 3 * step] = s23;
    sums[3 * row_step + 0 * step] = s30;
    sums[3 * row_step + 1 * step] = s31;
    sums[3 * row_step + 2 * step] = s32;
    sums[3 * row_step + 3 * step] = s33;
}

/* Rows of weights as int16, padded with zeros, and as many rows of zeros as make the number a multiple of four. */
static void widen(const int8_t *weight, int32_t rows, int32_t length, int16_t *wide)
{
    const int32_t stride = padded(length), all = (rows + 3) / 4 * 4;
    for (int32_t r = 0; r < all; r++, wide += stride) {
        const int32_t some = r < rows ? length : 0;
        for (int32_t k = 0; k < some; k++)
            wide[k] = weight[r * length + k];
        for (int32_t k = some; k < stride; k++)
            wide[k] = 0;
    }
}

/* sums[r * row_step + o * step] = x[r] . wide[o].  x: rows of int16, `stride` apart; what is read beyond the end of
 * a row meets zeros.  wide: the weights of these outputs, from `widen`. */
static void products(const int16_t *x, int32_t stride, int32_t rows, const int16_t *wide, int32_t length,
                     int32_t outputs, int32_t *sums, int32_t row_step, int32_t step)
{
    for (int32_t o = 0; o < outputs; o += 4) {
        const int32_t some = outputs - o < 4 ? outputs - o : 4;
        const int16_t *w = wide + o * padded(length);
        for (int32_t r = 0; r < rows; r += 2) {
            const int16_t *first = x + r * stride;
            int32_t found[8], *to = sums + r * row_step + o * step;
            if (r + 3 < rows && some == 4) {
                dots_of_four(first, stride, w, padded(length), to, row_step, step);
                r += 2;
                continue;
            }
            if (r + 1 < rows && some == 4) {
                dots_of_two(first, first + stride, w, padded(length), to, row_step, step);
                continue;
            }
            dots_of_two(first, r + 1 < rows ? first + stride : first, w, padded(length), found, 4, 1);
            for (int32_t i = 0; i < 2 && r + i < rows; i++)
                for (int32_t j = 0; j < some; j++)
                    to[i * row_step + j * step] = found[4 * i + j];
        }
    }
}

#if defined INTRINSICS && defined __AVX512VNNI__
#include "tiled_avx512.h"
#endif

/* Adds to the sums of two outputs, at `count` neighbours, what four rows of x give. */
static void add_four(const int16_t *const x[4], int16_t w[2][4], int32_t count, int32_t *restrict first,
                     int32_t *restrict second)
{
    const int16_t *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
    const int16_t a0 = w[0][0], a1 = w[0][1], a2 = w[0][2], a3 = w[0][3];
    const int16_t b0 = w[1][0], b1 = w[1][1], b2 = w[1][2], b3 = w[1][3];
    for (int32_t p = 0; p < count; p++) {
        first[p] += (int16_t)((int16_t)(a0 * x0[p]) + (int16_t)(a1 * x1[p])) +
                    (int16_t)((int16_t)(a2 * x2[p]) + (int16_t)(a3 * x3[p]));
        second[p] += (int16_t)((int16_t)(b0 * x0[p]) + (int16_t)(b1 * x1[p])) +
                     (int16_t)((int16_t)(b2 * x2[p]) + (int16_t)(b3 * x3[p]));
    }
}

/* The same where the weights are so small that four products fit 16 bits, and are widened once: |x| <= 127, so if the
 * magnitudes of an output's four weights sum to 258 at most. */
static void add_small_four(const int16_t *const x[4], int16_t w[2][4], int32_t count, int32_t *restrict first,
                           int32_t *restrict second)
{
    const int16_t *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
    const int16_t a0 = w[0][0], a1 = w[0][1], a2 = w[0][2], a3 = w[0][3];
    const int16_t b0 = w[1][0], b1 = w[1][1], b2 = w[1][2], b3 = w[1][3];
    for (int32_t p = 0; p < count; p++) {
        first[p] += (int16_t)((int16_t)((int16_t)(a0 * x0[p]) + (int16_t)(a1 * x1[p])) +
                              (int16_t)((int16_t)(a2 * x2[p]) + (int16_t)(a3 * x3[p])));
        second[p] += (int16_t)((int16_t)((int16_t)(b0 * x0[p]) + (int16_t)(b1 * x1[p])) +
                               (int16_t)((int16_t)(b2 * x2[p]) + (int16_t)(b3 * x3[p])));
    }
}

static bool small_four(const int16_t w[4])
{
    int32_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum += w[i] < 0 ? -w[i] : w[i];
    return sum <= 258;
}

/* Where tap number k of a sum begins in the planes of a tile. */
static int32_t tap_place(const struct layer *layer, int32_t k, int32_t plane, int32_t width)
{
    const int32_t side = layer->type == CONV2D ? layer->kernel : 1;
    return k / (side * side) * plane + k / side % side * width + k % side;
}

/* Sums of all outputs at `count` neighbours: sums[o * count + p].  planes: one for each channel, `plane` numbers and
 * rows of `width`; there is room for one output more than the layer has. */
static void side_by_side(const struct layer *layer, const int8_t *weight, const int16_t *planes, int32_t plane,
                         int32_t width, int32_t count, int32_t *sums)
{
    const int32_t length = fan_in(layer);
    for (int32_t o = 0; o < layer->out; o += 2) {
        const bool pair = o + 1 < layer->out;
        int32_t *first = sums + o * count, *second = first + count;
        for (int32_t p = 0; p < 2 * count; p++)
            first[p] = 0;
        for (int32_t k = 0; k < length; k += 4) {
            const int16_t *x[4] = {planes, planes, planes, planes};
            int16_t w[2][4];
            for (int32_t i = 0; i < 4; i++) {
                const bool there = k + i < length;
                x[i] += there ? tap_place(layer, k + i, plane, width) : 0;
                w[0][i] = there ? weight[o * length + k + i] : 0;
                w[1][i] = there && pair ? weight[(o + 1) * length + k + i] : 0;
            }
            if (small_four(w[0]) && small_four(w[1]))
                add_small_four(x, w, count, first, second);
            else
                add_four(x, w, count, first, second);
        }
    }
}

/* One image with a frame of zeros, as int16: (C, H, W) -> planes (C, H + 2 pad, W + 2 pad), or, if `across`, the
 * columns one after the other with all channels of a pixel together: (W + 2 pad, H + 2 pad, C). */
static void framed(const struct layer *layer, const struct shape *input, const int8_t *x, bool across, int16_t *out)
{
    const int32_t channels = input->at[0], height = input->at[1], width = input->at[2], pad = layer->pad;
    const int32_t rows = height + 2 * pad, columns = width + 2 * pad;
    for (int32_t i = 0; i < channels * rows * columns; i++)
        out[i] = 0;
    for (int32_t c = 0; c < channels; c++)
        for (int32_t i = 0; i < height; i++) {
            int16_t *to = across ? out + (pad * rows + i + pad) * channels + c
                                 : out + (c * rows + i + pad) * columns + pad;
            const int32_t step = across ? rows * channels : 1;
            for (int32_t j = 0; j < width; j++)
                to[j * step] = x[(c * height + i) * width + j];
        }
}

/* The product of one image: rows of sums[o * plane + i * width + j], whose width and plane are returned: where
 * neighbours were computed side by side, also over the frame between two rows, they are not those of the product.
 * wide: the weights from `turn`, if fan-in is not FEW. */
static void conv2d_sample(const struct block *block, const int8_t *x, const int8_t *weight, const int16_t *wide,
                          int16_t *scratch, int32_t *sums, int32_t *width, int32_t *plane)
{
    const struct layer *layer = block->layers;
    const int32_t height = block->product.at[1], k = layer->kernel, tall = k * layer->in;
    const int32_t rows = block->input.at[1] + 2 * layer->pad, columns = block->input.at[2] + 2 * layer->pad;
    *width = block->product.at[2];
    *plane = height * *width;
    if (fan_in(layer) < FEW) {
        *plane = (height - 1) * columns + *width;
        *width = columns;
        framed(layer, &block->input, x, false, scratch);
        side_by_side(layer, weight, scratch, rows * columns, columns, *plane, sums);
        return;
    }
    /* A column of a patch is `tall` numbers together, and the columns of a row of patches follow each other. */
    int16_t *strip = scratch + rows * columns * layer->in;
    framed(layer, &block->input, x, true, scratch);
    for (int32_t i = 0; i < height; i++) {
        int16_t *to = strip;
        for (int32_t j = 0; j < columns; j++, to += tall)
            memcpy(to, scratch + (j * rows + i) * layer->in, (size_t)tall * sizeof *to);
        memset(to, 0, LANES * sizeof *to);
        products(strip, tall, *width, wide, fan_in(layer), layer->out, sums + i * *width, 1, *plane);
    }
}

/* (C_out, C, k, k) -> (C_out, column, row, C), the order of a strip, widened. */
static void turn(const struct layer *layer, const int8_t *weight, int16_t *wide)
{
    const int32_t k = layer->kernel, stride = padded(fan_in(layer));
    memset(wide, 0, (size_t)((layer->out + 3) / 4 * 4 * stride) * sizeof *wide);
    for (int32_t o = 0; o < layer->out; o++)
        for (int32_t c = 0; c < layer->in; c++)
            for (int32_t i = 0; i < k; i++)
                for (int32_t j = 0; j < k; j++)
                    wide[o * stride + (j * k + i) * layer->in + c] = *weight++;
}

/* Maxima of windows of 2 x 2 of one image, whose rows and channels lie `width` and `plane` apart, together. */
static void pool_pairs(const struct shape *shape, const int32_t *x, int32_t width, int32_t plane, int32_t *out)
{
    const int32_t columns = shape->at[2];
    for (int32_t c = 0; c < shape->at[0]; c++)
        for (int32_t row = 0; row + 1 < shape->at[1]; row += 2, out += columns / 2) {
            const int32_t *upper = x + c * plane + row * width, *lower = upper + width;
            for (int32_t j = 0; j < columns / 2; j++) {
                const int32_t above = upper[2 * j] > upper[2 * j + 1] ? upper[2 * j] : upper[2 * j + 1];
                const int32_t below = lower[2 * j] > lower[2 * j + 1] ? lower[2 * j] : lower[2 * j + 1];
                out[j] = above > below ? above : below;
            }
        }
}

/* Rows and channels that lie apart, together. */
static void gather(const struct shape *shape, const int32_t *x, int32_t width, int32_t plane, int32_t *out)
{
    for (int32_t c = 0; c < shape->at[0]; c++)
        for (int32_t row = 0; row < shape->at[1]; row++, out += shape->at[2])
            memcpy(out, x + c * plane + row * width, (size_t)shape->at[2] * sizeof *out);
}

/* The product of `count` points: sums (count, C_out).  wide: the weights, if fan-in is not FEW. */
static void point_linear_tile(const struct layer *layer, const int8_t *x, const int8_t *weight, const int16_t *wide,
                              int32_t count, int16_t *scratch, int32_t *sums)
{
    const int32_t in = layer->in, stride = padded(in);
    if (in < FEW) {
        int32_t *beside = sums + (POINTS * (layer->out + 1) + 15) / 16 * 16;   /* (C_out, count) */
        for (int32_t c = 0; c < in; c++)
            for (int32_t p = 0; p < count; p++)
                scratch[c * count + p] = x[p * in + c];
        side_by_side(layer, weight, scratch, count, count, count, beside);
        for (int32_t p = 0; p < count; p++)
            for (int32_t o = 0; o < layer->out; o++)
                sums[p * layer->out + o] = beside[o * count + p];
        return;
    }
    widen(x, count, in, scratch);
#ifdef TILED_AVX512_H
    if (layer->out % OUTPUTS == 0) {
        interleaved_products(scratch, stride, count, wide, in, layer->out, sums);
        return;
    }
#endif
    products(scratch, stride, count, wide, in, layer->out, sums, layer->out, 1);
}

/* The product of a linear layer, all samples: sums (N, out). */
static void linear_batch(const struct layer *layer, int32_t n, const int8_t *x, const int8_t *weight, int16_t *scratch,
                         int32_t *sums)
{
    const int32_t in = layer->in, stride = padded(in);
    int16_t *wide = scratch + (n + 3) / 4 * 4 * stride;
    widen(x, n, in, scratch);
    for (int32_t o = 0; o < layer->out; o += 4) {
        const int32_t some = layer->out - o < 4 ? layer->out - o : 4;
        widen(weight + o * in, some, in, wide);
        products(scratch, stride, n, wide, in, some, sums + o, layer->out, 1);
    }
}

/* Keeps of accumulators, none below zero, the eight bits that can decide the result. Returns the tile's own shift. */
static uint8_t hold(const int32_t *sums, int32_t count, int8_t *held)
{
    const int32_t shift = requantise_shift(max_abs(sums, count)), less = shift ? shift - 1 : 0;
    for (int32_t i = 0; i < count; i++)
        held[i] = (int8_t)(uint8_t)(sums[i] >> less);
    return (uint8_t)shift;
}

/* Rounds what `hold` kept, by the shift of all tiles, in place. */
static void finish(int8_t *held, int32_t count, int32_t own, int32_t shift)
{
    const int32_t wanted = shift ? shift - 1 : 0, already = own ? own - 1 : 0;
    const int32_t more = wanted - already > 9 ? 9 : wanted - already;
    if (!shift)
        return;
    for (int32_t i = 0; i < count; i++) {
        const uint16_t rounded = (uint16_t)((((uint16_t)(uint8_t)held[i] >> more) + 1) >> 1);
        held[i] = (int8_t)(rounded > LARGEST ? LARGEST : rounded);
    }
}

/* How the scratch of a block of images or points is divided, in int16 numbers: sums of a tile, these again (pooled, or
 * turned), the widened weights, then the tile's input. */
struct division {
    int32_t sums, again, wide, input, all;
};

static struct division division_of(const struct block *block)
{
    const struct layer *layer = block->layers;
    const bool image = layer->type == CONV2D;
    const int32_t rows = block->input.at[1] + 2 * layer->pad, columns = block->input.at[2] + 2 * layer->pad;
    const int32_t stride = padded(fan_in(layer)), weights = (layer->out + 3) / 4 * 4 * stride;
    struct division division;
    division.sums = 2 * (layer->out + 1) * (image ? rows * columns : POINTS);
    division.again = image ? 2 * shape_size(&block->product) : 2 * (layer->out + 1) * POINTS;
    division.wide = fan_in(layer) < FEW ? 0 : weights;
    division.input = image ? rows * columns * layer->in + columns * layer->kernel * layer->in + LANES : POINTS * stride;
    division.sums = (division.sums + 31) / 32 * 32;
    division.again = (division.again + 31) / 32 * 32;
    division.all = division.sums + division.again + division.wide + division.input;
    return division;
}

/* Of int16 numbers: what a batch needs beside activations, for any block of a model. */
int32_t tiled_scratch(const struct model *model, int32_t max_batch)
{
    int32_t most = 0;
    for (int32_t b = 0; b < model->block_count; b++) {
        const struct block *block = &model->blocks[b];
        const bool linear_layer = block->layers->type == LINEAR;
        most = larger(most, linear_layer ? (max_batch + 8) * padded(block->layers->in) : division_of(block).all);
    }
    return most;
}

/* Where in its window each maximum lies, row * size + column, of equals the first: what full BP keeps. */
static void note_places(const struct shape *shape, int32_t size, const int32_t *x, uint8_t *places)
{
    const int32_t width = shape->at[2];
    for (int32_t c = 0; c < shape->at[0]; c++, x += shape->at[1] * width)
        for (int32_t row = 0; row + size <= shape->at[1]; row += size)
            for (int32_t column = 0; column + size <= width; column += size) {
                int32_t best = 0;
                for (int32_t place = 1; place < size * size; place++)
                    if (x[(row + place / size) * width + column + place % size] >
                        x[(row + best / size) * width + column + best % size])
                        best = place;
                *places++ = (uint8_t)best;
            }
}

/* The largest of each channel so far, and, for full BP, at which point it is: of equals the first. */
static void most_of_points(int32_t count, int32_t channels, int32_t start, const int32_t *x, int32_t *most,
                           int32_t *points)
{
    for (int32_t p = 0; p < count; p++, x += channels) {
        if (points) {
            for (int32_t c = 0; c < channels; c++)
                points[c] = start + p && x[c] <= most[c] ? points[c] : start + p;
        }
        for (int32_t c = 0; c < channels; c++)
            most[c] = start + p && x[c] <= most[c] ? most[c] : x[c];
    }
}

/* The tiles of a block of images or points: makes each, keeps it, finishes all. Returns the shift. */
static int32_t tiles(struct trainer *trainer, int32_t b, int32_t n)
{
    const struct block *block = &trainer->model->blocks[b];
    const struct layer *layer = block->layers;
    const bool image = layer->type == CONV2D;
    const int32_t points = image ? 1 : block->input.at[0], size = image ? 1 : POINTS;
    const int32_t in = shape_size(&block->input) / points, out = shape_size(&block->output);
    const int8_t *weight = trainer->weights[b].data;
    const struct division division = division_of(block);
    int32_t *const made = (int32_t *)(void *)trainer->scratch;   /* the arena aligns it */
    int32_t *const again = (int32_t *)(void *)(trainer->scratch + division.sums);
    int16_t *wide = trainer->scratch + division.sums + division.again, *input = wide + division.wide;
    int32_t tile = 0, shift = 0;
    bool pooled = false;
    for (int32_t i = 1; i < block->count; i++)
        pooled = pooled || block->layers[i].type == MAX_OVER_POINTS;
    if (image && division.wide)
        turn(layer, weight, wide);
#ifdef TILED_AVX512_H
    else if (division.wide && layer->out % OUTPUTS == 0)
        interleave(weight, layer->out, layer->in, wide);
#endif
    else if (division.wide)
        widen(weight, layer->out, layer->in, wide);
    for (int32_t sample = 0; sample < n; sample++)
        for (int32_t start = 0; start < points; start += size, tile++) {
            const int32_t count = points - start < size ? points - start : size;
            const int8_t *x = trainer->x[b] + (sample * points + start) * in;
            struct shape shape = block->product;
            int32_t i = 1, width, plane, *sums = made;
            if (image) {
                conv2d_sample(block, x, weight, wide, input, made, &width, &plane);
                sums = again;
                if (block->count > 1 && block->layers[1].type == MAX_POOL2D && block->layers[1].size == 2 &&
                    !trainer->places) {
                    pool_pairs(&shape, made, width, plane, again);
                    output_shape(&block->layers[i++], &shape);
                } else {
                    gather(&shape, made, width, plane, again);
                }
            } else {
                shape.at[0] = count;
                point_linear_tile(layer, x, weight, wide, count, input, made);
            }
            for (; i < block->count && block->layers[i].type != MAX_OVER_POINTS; i++) {
                if (block->layers[i].type == MAX_POOL2D && trainer->places)
                    note_places(&shape, block->layers[i].size, sums, trainer->places + trainer->place_of[b] +
                                sample * shape.at[0] * (shape.at[1] / block->layers[i].size)
                                       * (shape.at[2] / block->layers[i].size));
                apply_layer(&block->layers[i], 1, &shape, sums);
            }
            if (pooled) {
                most_of_points(count, out, start, sums, trainer->sums + sample * out,
                               trainer->points ? trainer->points + sample * out : NULL);
            } else if (block->relu) {
                int8_t *held = trainer->x[b + 1] + sample * out + start * (out / points);
                trainer->shifts[tile] = hold(sums, shape_size(&shape), held);
                shift = larger(shift, trainer->shifts[tile]);
            } else {
                for (int32_t k = 0; k < shape_size(&shape); k++)
                    trainer->sums[sample * out + start * (out / points) + k] = sums[k];
            }
        }
    if (pooled || !block->relu) {
        if (block->relu)
            relu(n * out, trainer->sums);
        return requantise(trainer->sums, n * out, trainer->x[b + 1]);
    }
    tile = 0;
    for (int32_t sample = 0; sample < n; sample++)
        for (int32_t start = 0; start < points; start += size, tile++) {
            const int32_t count = points - start < size ? points - start : size;
            finish(trainer->x[b + 1] + sample * out + start * (out / points), image ? out : count * (out / points),
                   trainer->shifts[tile], shift);
        }
    return shift;
}

/* One block on the batch, from trainer->x[b] to trainer->x[b + 1]. */
void tiled_block(struct trainer *trainer, int32_t b, int32_t n)
{
    const struct block *block = &trainer->model->blocks[b];
    int32_t shift;
    if (block->layers->type == LINEAR) {
        linear_batch(block->layers, n, trainer->x[b], trainer->weights[b].data, trainer->scratch, trainer->sums);
        if (block->relu)
            relu(n * block->layers->out, trainer->sums);
        shift = requantise(trainer->sums, n * block->layers->out, trainer->x[b + 1]);
    } else {
        shift = tiles(trainer, b, n);
    }
    trainer->exponents[b + 1] = trainer->exponents[b] + trainer->weights[b].exponent + shift;
}

/* `linear_backward` of tail.c, two outputs at a time. */
void tiled_backward(int32_t n, int32_t in, int32_t out, const int8_t *error, const int8_t *weight, int32_t *sums)
{
    for (int32_t i = 0; i < n * in; i++)
        sums[i] = 0;
    for (int32_t sample = 0; sample < n; sample++)
        for (int32_t o = 0; o < out; o += 2) {
            const bool pair = o + 1 < out;
            const int16_t a = error[sample * out + o], b = pair ? error[sample * out + o + 1] : 0;
            const int8_t *first = weight + o * in, *second = pair ? first + in : first;
            int32_t *row = sums + sample * in;
            for (int32_t i = 0; i < in; i++)
                row[i] += (int16_t)((int16_t)(a * first[i]) + (int16_t)(b * second[i]));
        }
}
