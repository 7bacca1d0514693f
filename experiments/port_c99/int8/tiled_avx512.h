/* Products of tiled.c with the instructions of x86 that multiply int16 in pairs (AVX-512 VNNI), bit for bit the same.
 *
 * The only file here that is not plain C99. It is used where INTRINSICS is defined and the compiler may use these
 * instructions: the rows of long experiments are trained so, while the port's own time is measured without it. In
 * tiled.c a vector holds parts of one sum, which must be added up at its end. Here it holds 16 outputs of one row. */
#ifndef TILED_AVX512_H
#define TILED_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define OUTPUTS 16   /* int32 lanes of a vector */
#define ROWS 8       /* of a tile, at a time */

/* Weights (outputs, length) as int16 (outputs / OUTPUTS, length / 2, OUTPUTS, 2).  outputs: a multiple of OUTPUTS;
 * length: made even by a zero. */
static void interleave(const int8_t *weight, int32_t outputs, int32_t length, int16_t *wide)
{
    for (int32_t first = 0; first < outputs; first += OUTPUTS)
        for (int32_t k = 0; k < length; k += 2)
            for (int32_t o = first; o < first + OUTPUTS; o++) {
                *wide++ = weight[o * length + k];
                *wide++ = k + 1 < length ? weight[o * length + k + 1] : 0;
            }
}

/* sums[r * outputs + o] = x[r] . (weights of output o).  x: rows of int16, `stride` apart; a row may be read up to an
 * even length.  wide: from `interleave`. */
static void interleaved_products(const int16_t *x, int32_t stride, int32_t rows, const int16_t *wide, int32_t length,
                                 int32_t outputs, int32_t *sums)
{
    const int32_t pairs = (length + 1) / 2;
    for (int32_t o = 0; o < outputs; o += OUTPUTS, wide += 2 * OUTPUTS * pairs)
        for (int32_t r = 0; r < rows; r += ROWS) {
            const int16_t *row[ROWS];
            __m512i sum[ROWS];
            for (int32_t i = 0; i < ROWS; i++) {
                row[i] = x + (r + i < rows ? r + i : rows - 1) * stride;
                sum[i] = _mm512_setzero_si512();
            }
            for (int32_t k = 0; k < pairs; k++) {
                const __m512i weights = _mm512_loadu_si512(wide + 2 * OUTPUTS * k);
                for (int32_t i = 0; i < ROWS; i++) {
                    int32_t pair;
                    memcpy(&pair, row[i] + 2 * k, sizeof pair);
                    sum[i] = _mm512_dpwssd_epi32(sum[i], weights, _mm512_set1_epi32(pair));
                }
            }
            for (int32_t i = 0; i < ROWS && r + i < rows; i++)
                _mm512_storeu_si512(sums + (r + i) * outputs + o, sum[i]);
        }
}

#endif
