/* The layers of layers.c and points.c, made fast: in a form that vectorises without any licence to reorder sums.
 *
 * One loop does nearly all of it: neighbours side by side (pixels, points, samples, inputs), four rows of input into
 * four of output, so that each number that is loaded is used four times. Batch norm is a scale of the weights and a
 * shift, its statistics being those of the layer's input seen through its weights; so the widest layer of PointNet
 * never stands in memory. Between blocks of points a sample lies as (C, P), each channel together. */
#include "fp32.h"

#include <stddef.h>
#include <string.h>

#define LANES 16    /* partial sums of a dot product, where a batch is too small to be side by side */
#define POINTS 256  /* of a cloud, in a tile */

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Adds to four rows of `count` numbers what four rows of x give: y[j] += sum over i of w[j][i] * x[i]. */
static void add_four(const float *const x[4], float w[4][4], int32_t count, float *restrict y0, float *restrict y1,
                     float *restrict y2, float *restrict y3)
{
    const float *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
    const float a0 = w[0][0], a1 = w[0][1], a2 = w[0][2], a3 = w[0][3], b0 = w[1][0], b1 = w[1][1], b2 = w[1][2],
                b3 = w[1][3], c0 = w[2][0], c1 = w[2][1], c2 = w[2][2], c3 = w[2][3], d0 = w[3][0], d1 = w[3][1],
                d2 = w[3][2], d3 = w[3][3];
    for (int32_t p = 0; p < count; p++) {
        y0[p] += a0 * x0[p] + a1 * x1[p] + a2 * x2[p] + a3 * x3[p];
        y1[p] += b0 * x0[p] + b1 * x1[p] + b2 * x2[p] + b3 * x3[p];
        y2[p] += c0 * x0[p] + c1 * x1[p] + c2 * x2[p] + c3 * x3[p];
        y3[p] += d0 * x0[p] + d1 * x1[p] + d2 * x2[p] + d3 * x3[p];
    }
}

/* Where rows lie: row number k begins at k * apart, or where a table says. */
struct rows {
    const float *at;
    int32_t apart;
    const int32_t *places;
};

static const float *row_of(const struct rows *rows, int32_t k)
{
    return rows->at + (rows->places ? rows->places[k] : k * rows->apart);
}

/* y[o][p] = start[o] + sum over k of w[o * w_row + k * w_step] * x[k][p].  y: rows of `count`, with room for outputs
 * rounded up to a multiple of four.  start: NULL for what stands in y. */
static void side_by_side(const struct rows *x, int32_t length, const float *w, int32_t w_row, int32_t w_step,
                         int32_t outputs, const float *start, int32_t count, float *y)
{
    for (int32_t o = 0; o < outputs; o += 4) {
        float *to = y + o * count;
        for (int32_t j = 0; j < 4; j++)
            for (int32_t p = 0; p < count && (start || o + j >= outputs); p++)
                to[j * count + p] = o + j < outputs ? start[o + j] : 0;
        for (int32_t k = 0; k < length; k += 4) {
            const float *four[4];
            float weights[4][4];
            for (int32_t i = 0; i < 4; i++) {
                four[i] = row_of(x, k + i < length ? k + i : k);
                for (int32_t j = 0; j < 4; j++)
                    weights[j][i] = o + j < outputs && k + i < length ? w[(o + j) * w_row + (k + i) * w_step] : 0;
            }
            add_four((const float *const *)four, weights, count, to, to + count, to + 2 * count, to + 3 * count);
        }
    }
}

/* One image: (C, H, W) -> rows of y[o * plane + i * width + j], whose width and plane are returned: neighbours are
 * computed side by side also over the frame between two rows. */
static void conv2d_sample(const struct block *block, const float *x, const float *weight, const float *bias,
                          const int32_t *taps, float *framed, float *y, int32_t *width, int32_t *plane)
{
    const struct layer *layer = block->layers;
    const int32_t pad = layer->pad, rows = block->input.at[1] + 2 * pad, columns = block->input.at[2] + 2 * pad;
    const struct rows of = {framed, 0, taps};
    *width = columns;
    *plane = (block->product.at[1] - 1) * columns + block->product.at[2];
    memset(framed, 0, (size_t)(layer->in * rows * columns) * sizeof *framed);
    for (int32_t c = 0; c < layer->in; c++)
        for (int32_t i = 0; i < block->input.at[1]; i++)
            memcpy(framed + (c * rows + i + pad) * columns + pad, x + (c * block->input.at[1] + i) * block->input.at[2],
                   (size_t)block->input.at[2] * sizeof *x);
    side_by_side(&of, fan_in(layer), weight, fan_in(layer), 1, layer->out, bias, *plane, y);
}

/* Maxima of windows of 2 x 2 of one image, whose rows and channels lie `width` and `plane` apart, together. */
static void pool_pairs(const struct shape *shape, const float *x, int32_t width, int32_t plane, float *out)
{
    const int32_t columns = shape->at[2];
    for (int32_t c = 0; c < shape->at[0]; c++)
        for (int32_t row = 0; row < shape->at[1]; row += 2, out += columns / 2) {
            const float *upper = x + c * plane + row * width, *lower = upper + width;
            for (int32_t j = 0; j < columns / 2; j++) {
                const float above = upper[2 * j] > upper[2 * j + 1] ? upper[2 * j] : upper[2 * j + 1];
                const float below = lower[2 * j] > lower[2 * j + 1] ? lower[2 * j] : lower[2 * j + 1];
                out[j] = above > below ? above : below;
            }
        }
}

/* Rows and channels that lie apart, together. */
static void gather(const struct shape *shape, const float *x, int32_t width, int32_t plane, float *out)
{
    for (int32_t c = 0; c < shape->at[0]; c++)
        for (int32_t row = 0; row < shape->at[1]; row++, out += shape->at[2])
            memcpy(out, x + c * plane + row * width, (size_t)shape->at[2] * sizeof *out);
}

/* A dot product in LANES partial sums. */
static float dot(const float *a, const float *b, int32_t length)
{
    float parts[LANES] = {0}, sum = 0;
    int32_t k = 0;
    for (; k + LANES <= length; k += LANES)
        for (int32_t lane = 0; lane < LANES; lane++)
            parts[lane] += a[k + lane] * b[k + lane];
    for (; k < length; k++)
        sum += a[k] * b[k];
    for (int32_t lane = 0; lane < LANES; lane++)
        sum += parts[lane];
    return sum;
}

/* (rows, columns) -> (columns, rows), some rows at a time, so that what is written lies together. */
static void transpose(const float *x, int32_t rows, int32_t columns, float *out)
{
    for (int32_t start = 0; start < rows; start += LANES) {
        const int32_t end = start + LANES < rows ? start + LANES : rows;
        for (int32_t j = 0; j < columns; j++)
            for (int32_t i = start; i < end; i++)
                out[j * rows + i] = x[i * columns + j];
    }
}

/* A linear layer, all samples: samples side by side, or dot products where they are few. */
static void linear_batch(const struct layer *layer, int32_t n, const float *x, const float *weight, const float *bias,
                         float *scratch, float *y)
{
    if (n < LANES) {
        for (int32_t sample = 0; sample < n; sample++)
            for (int32_t o = 0; o < layer->out; o++)
                y[sample * layer->out + o] = bias[o] + dot(x + sample * layer->in, weight + o * layer->in, layer->in);
        return;
    }
    float *beside = scratch + layer->in * n;
    const struct rows rows = {scratch, n, NULL};
    transpose(x, n, layer->in, scratch);
    side_by_side(&rows, layer->in, weight, layer->in, 1, layer->out, bias, n, beside);
    transpose(beside, layer->out, n, y);
}

/* Mean and variance of W x over batch and points, from mean m and covariance S of x: W m, and the diagonal of W S W^T.
 * x: n clouds of (C, P).  scratch: C + C C + 4 C + C P numbers, and the same again rounded up. */
static void product_statistics(const struct layer *layer, int32_t n, int32_t points, const float *x,
                               const float *weight, float *scratch, float *statistics)
{
    const int32_t in = layer->in, total = n * points;
    float *mean = scratch, *covariance = mean + in, *tile = covariance + (in + 4) * in, *turned = tile + in * POINTS;
    memset(mean, 0, (size_t)(in + (in + 4) * in) * sizeof *mean);
    for (int32_t c = 0; c < in; c++) {
        double sum = 0;
        for (int32_t sample = 0; sample < n; sample++) {
            float parts[LANES] = {0};
            const float *row = x + (sample * in + c) * points;
            for (int32_t p = 0; p < points; p++)
                parts[p % LANES] += row[p];
            for (int32_t lane = 0; lane < LANES; lane++)
                sum += (double)parts[lane];
        }
        mean[c] = (float)(sum / total);
    }
    for (int32_t sample = 0; sample < n; sample++)
        for (int32_t start = 0; start < points; start += POINTS) {
            const int32_t count = points - start < POINTS ? points - start : POINTS;
            const struct rows rows = {turned, in, NULL};
            for (int32_t c = 0; c < in; c++)
                for (int32_t p = 0; p < count; p++)
                    tile[c * count + p] = x[(sample * in + c) * points + start + p] - mean[c];
            transpose(tile, in, count, turned);
            side_by_side(&rows, count, tile, count, 1, in, NULL, in, covariance);
        }
    for (int32_t o = 0; o < layer->out; o++) {
        const float *row = weight + o * in;
        float variance = 0;
        statistics[o] = dot(row, mean, in);
        for (int32_t c = 0; c < in; c++)
            variance += row[c] * dot(covariance + c * in, row, in);
        statistics[layer->out + o] = variance > 0 ? variance / (float)total : 0;
    }
}

/* A block of points, normalised: n clouds of (C, P) -> (C_out, P), or (C_out) where the maximum is taken. */
static void point_block(struct trainer_fp32 *trainer, int32_t b, int32_t n)
{
    const struct block *block = &trainer->model->blocks[b];
    const struct layer *layer = block->layers;
    const struct parameter *weight = &trainer->parameters[trainer->weight_of[b]];
    const int32_t points = block->input.at[0], in = layer->in, out = layer->out;
    const bool pooled = block->output.dims == 1;
    float *scale = trainer->scratch, *shift = scale + out, *scaled = shift + out, *y = scaled + out * in;
    float *x = trainer->x[b];
    if (!b) {   /* the clouds of a batch come as (P, C) */
        for (int32_t sample = 0; sample < n; sample++) {
            transpose(x + sample * points * in, points, in, y);
            memcpy(x + sample * points * in, y, (size_t)(points * in) * sizeof *x);
        }
    }
    memcpy(scaled, weight->data, (size_t)(out * in) * sizeof *scaled);
    memset(shift, 0, (size_t)out * sizeof *shift);
    if (trainer->mean_of[b] >= 0) {
        if (!trainer->evaluating)
            product_statistics(layer, n, points, x, weight->data, y, trainer->statistics[b]);
        const float *used = statistics_of(trainer, b);
        scale_and_shift(out, weight[1].data, weight[2].data, used, used + out, scale, shift);
        for (int32_t o = 0; o < out; o++)
            for (int32_t i = 0; i < in; i++)
                scaled[o * in + i] *= scale[o];
    }
    for (int32_t sample = 0; sample < n; sample++)
        for (int32_t start = 0; start < points; start += POINTS) {
            const int32_t count = points - start < POINTS ? points - start : POINTS;
            const struct rows rows = {x + sample * in * points + start, points, NULL};
            side_by_side(&rows, in, scaled, in, 1, out, shift, count, y);
            for (int32_t o = 0; o < out; o++) {
                float *to = trainer->x[b + 1] + (sample * out + o) * (pooled ? 1 : points);
                const float *from = y + o * count;
                if (pooled) {
                    float parts[LANES], most = start ? *to : from[0];
                    for (int32_t lane = 0; lane < LANES; lane++)
                        parts[lane] = most;
                    for (int32_t p = 0; p + LANES <= count; p += LANES)
                        for (int32_t lane = 0; lane < LANES; lane++)
                            parts[lane] = from[p + lane] > parts[lane] ? from[p + lane] : parts[lane];
                    for (int32_t p = count / LANES * LANES; p < count; p++)
                        most = from[p] > most ? from[p] : most;
                    for (int32_t lane = 0; lane < LANES; lane++)
                        most = parts[lane] > most ? parts[lane] : most;
                    *to = most;
                } else {
                    for (int32_t p = 0; p < count; p++)
                        to[start + p] = !block->relu || from[p] > 0 ? from[p] : 0;
                }
            }
        }
    if (pooled && block->relu)
        relu_fp32(n * out, trainer->x[b + 1]);
    if (!b) {   /* and lie so again, for the next pass */
        for (int32_t sample = 0; sample < n; sample++) {
            transpose(x + sample * points * in, in, points, y);
            memcpy(x + sample * points * in, y, (size_t)(points * in) * sizeof *x);
        }
    }
}

/* Of floats: what a batch needs beside activations, for any block of a model. */
int32_t tiled_scratch_fp32(const struct model *model, int32_t max_batch)
{
    int32_t most = 4096;
    for (int32_t b = 0; b < model->block_count; b++) {
        const struct block *block = &model->blocks[b];
        const struct layer *layer = block->layers;
        const int32_t in = layer->in, out = layer->out + 4;
        int32_t need = (in + out + 8) * (max_batch + 4);   /* forwards; and one piece of the way back */
        if (layer->type == CONV2D) {
            const int32_t area = (block->input.at[1] + 2 * layer->pad) * (block->input.at[2] + 2 * layer->pad);
            need = fan_in(layer) + (in + out) * area + shape_size(&block->product);
        } else if (layer->type == POINT_LINEAR) {
            const int32_t statistics = in + (in + 4) * in + 2 * in * POINTS;
            need = 2 * out + out * in + larger(larger(out * POINTS, statistics), in * block->input.at[0]);
        }
        most = larger(most, need);
    }
    return most;
}

/* One block on the batch, from trainer->x[b] to trainer->x[b + 1]. */
void tiled_block_fp32(struct trainer_fp32 *trainer, int32_t b, int32_t n)
{
    const struct block *block = &trainer->model->blocks[b];
    const struct layer *layer = block->layers;
    const struct parameter *weight = &trainer->parameters[trainer->weight_of[b]];
    const int32_t in = shape_size(&block->input), out = shape_size(&block->output);
    if (layer->type == POINT_LINEAR) {
        point_block(trainer, b, n);
    } else if (layer->type == LINEAR) {
        linear_batch(layer, n, trainer->x[b], weight->data, weight[1].data, trainer->scratch, trainer->x[b + 1]);
        if (block->relu)
            relu_fp32(n * out, trainer->x[b + 1]);
    } else {
        const int32_t area = (block->input.at[1] + 2 * layer->pad) * (block->input.at[2] + 2 * layer->pad);
        int32_t *taps = (int32_t *)(void *)trainer->scratch;   /* as large as a float, where there is FP32 */
        float *framed = trainer->scratch + fan_in(layer), *made = framed + layer->in * area;
        float *y = made + (layer->out + 4) * area;
        for (int32_t k = 0, side = layer->kernel; k < fan_in(layer); k++)
            taps[k] = k / (side * side) * area + k / side % side * (block->input.at[2] + 2 * layer->pad) + k % side;
        for (int32_t sample = 0; sample < n; sample++) {
            struct shape shape = block->product;
            int32_t i = 1, width, plane;
            conv2d_sample(block, trainer->x[b] + sample * in, weight->data, weight[1].data, taps, framed, made,
                          &width, &plane);
            if (block->count > 1 && block->layers[1].type == MAX_POOL2D && block->layers[1].size == 2) {
                pool_pairs(&shape, made, width, plane, y);
                output_shape(&block->layers[i++], &shape);
            } else {
                gather(&shape, made, width, plane, y);
            }
            for (; i < block->count; i++) {
                if (block->layers[i].type == MAX_POOL2D)
                    max_pool2d_fp32(shape.at[0], shape.at[1], shape.at[2], block->layers[i].size, y);
                else if (block->layers[i].type == RELU)
                    relu_fp32(shape_size(&shape), y);
                output_shape(&block->layers[i], &shape);
            }
            memcpy(trainer->x[b + 1] + sample * out, y, (size_t)out * sizeof *y);
        }
    }
}

/* Of four rows at a time: y[j] += sum over i of w[j * w_row + i * w_step] * x[i], rows of `count`, any number of each;
 * what is beyond y's last row goes nowhere. */
static void add_rows(const float *x, int32_t rows, const float *w, int32_t w_row, int32_t w_step, int32_t outputs,
                     int32_t count, float *y)
{
    const struct rows of = {x, count, NULL};
    const int32_t fours = outputs / 4 * 4;
    side_by_side(&of, rows, w, w_row, w_step, fours, NULL, count, y);
    for (int32_t o = fours; o < outputs; o++)
        for (int32_t k = 0; k < rows; k++) {
            const float factor = w[o * w_row + k * w_step];
            for (int32_t p = 0; p < count; p++)
                y[o * count + p] += factor * x[k * count + p];
        }
}

/* G[o][i] = sum over the batch of error[n][o] * x[n][i]. */
void tiled_gradient_fp32(int32_t n, int32_t in, int32_t out, const float *error, const float *x, float *gradient)
{
    memset(gradient, 0, (size_t)(in * out) * sizeof *gradient);
    add_rows(x, n, error, 1, out, out, in, gradient);
}

/* The error passed back through the weights: (N, out) -> (N, in). */
void tiled_backward_fp32(int32_t n, int32_t in, int32_t out, const float *error, const float *weight, float *below)
{
    memset(below, 0, (size_t)(n * in) * sizeof *below);
    add_rows(weight, out, error, out, 1, n, in, below);
}
