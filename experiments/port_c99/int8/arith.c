/* The arithmetic that everything else is made of (SPEC 3 and 5). */
#include "int8.h"

int32_t bit_width(uint64_t magnitude)
{
    int32_t width = 0;
    for (; magnitude; magnitude >>= 1)
        width++;
    return width;
}

/* a / 2^shift, half away from zero, on the magnitude. */
int64_t round_shift(int64_t a, int32_t shift)
{
    if (!shift)
        return a;
    const int64_t magnitude = ((a < 0 ? -a : a) + ((int64_t)1 << (shift - 1))) >> shift;
    return a < 0 ? -magnitude : magnitude;
}

/* a / 2^shift, rounded by its own dropped bits in place of a random number, on the magnitude (CHOICE 4). */
int64_t pseudo_stochastic_shift(int64_t a, int32_t shift)
{
    if (!shift)
        return a;
    const int64_t magnitude = a < 0 ? -a : a, one = 1;
    const int64_t dropped = magnitude & ((one << shift) - 1);
    const int32_t half = shift / 2;
    const int64_t high = dropped >> half, low = (dropped & ((one << half) - 1)) << (shift % 2);
    const int64_t result = (magnitude >> shift) + (high > low);
    return a < 0 ? -result : result;
}

/* The same of many, of at most 31 bits each and shifts below 31, in a form that vectorises. */
void pseudo_stochastic_shifts(const int32_t *values, int32_t count, int32_t shift, int32_t *result)
{
    const int32_t half = shift / 2, odd = shift % 2;
    const int32_t dropped_bits = (int32_t)(((uint32_t)1 << shift) - 1), low_bits = (int32_t)(((uint32_t)1 << half) - 1);
    for (int32_t i = 0; i < count; i++) {
        const int32_t sign = values[i] < 0 ? -1 : 0;
        const int32_t magnitude = (values[i] ^ sign) - sign, dropped = magnitude & dropped_bits;
        const int32_t low = (dropped & low_bits) << odd;
        const int32_t rounded = (magnitude >> shift) + ((dropped >> half) > low);
        result[i] = (rounded ^ sign) - sign;
    }
}

int32_t clip(int32_t a, int32_t bound)
{
    return a > bound ? bound : a < -bound ? -bound : a;
}

int32_t max_abs(const int32_t *values, int32_t count)
{
    int32_t least = 0, most = 0;
    for (int32_t i = 0; i < count; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    return most > -least ? most : -least;
}

int32_t requantise_shift(int32_t maximum)
{
    const int32_t width = bit_width((uint64_t)maximum);
    return width > 7 ? width - 7 : 0;
}

/* Brings accumulators back to int8 (CHOICE 10). Returns the shift, which is added to the exponent. */
int32_t requantise(const int32_t *sums, int32_t count, int8_t *data)
{
    const int32_t shift = requantise_shift(max_abs(sums, count)), half = shift ? (int32_t)1 << (shift - 1) : 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t magnitude = ((sums[i] < 0 ? -sums[i] : sums[i]) + half) >> shift;
        magnitude = magnitude > LARGEST ? LARGEST : magnitude;
        data[i] = (int8_t)(sums[i] < 0 ? -magnitude : magnitude);
    }
    return shift;
}

/* The network's input, of exponent -7 (CHOICE 11). */
void from_pixels(const uint8_t *pixels, int32_t count, int8_t *data)
{
    for (int32_t i = 0; i < count; i++)
        data[i] = (int8_t)(pixels[i] >> 1);
}
