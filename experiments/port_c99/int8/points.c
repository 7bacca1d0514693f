/* What PointNet has besides (SPEC 15). Its shared linear layer is `linear` of layers.c with a row for each point. */
#include "int8.h"

/* The largest of each channel over the points, in place: (N, P, C) -> (N, C). */
void max_over_points(int32_t n, int32_t points, int32_t channels, int32_t *x)
{
    for (int32_t sample = 0; sample < n; sample++)
        for (int32_t c = 0; c < channels; c++) {
            const int32_t *cloud = x + sample * points * channels;
            int32_t largest = cloud[c];
            for (int32_t p = 1; p < points; p++)
                largest = cloud[p * channels + c] > largest ? cloud[p * channels + c] : largest;
            x[sample * channels + c] = largest;
        }
}
