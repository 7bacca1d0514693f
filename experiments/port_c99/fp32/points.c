/* What PointNet has besides: a shared linear layer, batch norm, the maximum over the points. */
#include "fp32.h"

#include <math.h>

/* (rows, in) by (out, in) -> (rows, out), without a bias. */
void point_linear_fp32(int32_t rows, int32_t in, int32_t out, const float *x, const float *weight, float *y)
{
    for (int32_t row = 0; row < rows; row++)
        for (int32_t o = 0; o < out; o++) {
            float sum = 0;
            for (int32_t i = 0; i < in; i++)
                sum += x[row * in + i] * weight[o * in + i];
            y[row * out + o] = sum;
        }
}

/* Mean, and mean square of what differs from it, of each channel.  x: (rows, channels). */
void batch_statistics(int32_t rows, int32_t channels, const float *x, float *mean, float *variance)
{
    for (int32_t c = 0; c < channels; c++) {
        double sum = 0, squares = 0;
        for (int32_t row = 0; row < rows; row++)
            sum += (double)x[row * channels + c];
        mean[c] = (float)(sum / rows);
        for (int32_t row = 0; row < rows; row++) {
            const float centred = x[row * channels + c] - mean[c];
            squares += (double)(centred * centred);
        }
        variance[c] = (float)(squares / rows);
    }
}

/* Batch norm as a line in each channel: scale * x + shift. */
void scale_and_shift(int32_t channels, const float *gamma, const float *beta, const float *mean, const float *variance,
                     float *scale, float *shift)
{
    for (int32_t c = 0; c < channels; c++) {
        scale[c] = gamma[c] / sqrtf(variance[c] + EPSILON);
        shift[c] = beta[c] - mean[c] * scale[c];
    }
}

/* The largest of each channel over the points, in place: (N, P, C) -> (N, C). */
void max_over_points_fp32(int32_t n, int32_t points, int32_t channels, float *x)
{
    for (int32_t sample = 0; sample < n; sample++)
        for (int32_t c = 0; c < channels; c++) {
            const float *cloud = x + sample * points * channels;
            float largest = cloud[c];
            for (int32_t p = 1; p < points; p++)
                largest = cloud[p * channels + c] > largest ? cloud[p * channels + c] : largest;
            x[sample * channels + c] = largest;
        }
}

/* What a block's batch norm goes by: mean, then variance. In evaluation the running ones, else the batch's. */
const float *statistics_of(struct trainer_fp32 *trainer, int32_t b)
{
    return trainer->evaluating ? trainer->parameters[trainer->mean_of[b]].data : trainer->statistics[b];
}

/* Moves the running statistics towards those of the latest batch, once a step. */
void update_running(struct trainer_fp32 *trainer)
{
    for (int32_t b = 0; b < trainer->model->block_count; b++) {
        if (trainer->mean_of[b] < 0)
            continue;
        struct parameter *mean = &trainer->parameters[trainer->mean_of[b]];   /* the variance follows it in memory */
        for (int32_t i = 0; i < 2 * mean->size; i++)
            mean->data[i] += MOMENTUM * (trainer->statistics[b][i] - mean->data[i]);
    }
}
