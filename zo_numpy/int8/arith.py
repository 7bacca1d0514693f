"""Integer arithmetic: quantised tensors, shifts that round, requantisation, and the one integer matmul.

As in NITI (Wang et al., arXiv 2009.13108), a tensor is int8 data and one power-of-two exponent; products are summed
in int32 and brought back to int8 by a bit shift. Every shift works on magnitudes and restores the sign afterwards
(sign-magnitude): NumPy's own >> rounds towards minus infinity, so -1 >> 1 is -1 where C division and NITI give 0.
"""
from typing import NamedTuple

import numpy as np

INT8_MAX = 127  # data is symmetric: -128 never occurs (CHOICE 1)
# A sum of this many products of two int8 values fits an int32 with room for rounding: terms * 127^2 < 2^31 - 2^23.
MAX_TERMS = (2**31 - 2**23 - 1) // INT8_MAX**2
INPUT_EXPONENT = -7   # of a network's input, images or clouds
COLUMN_BLOCK = 2048     # columns the matmul works on at a time, so that a row of them and of their sums stays in L1
WIDENED_BYTES = 65_536  # of int32 that the matmul makes of an int8 matrix at a time
MANY_ROWS = 32          # of the left matrix, where the right one is transposed
CHUNK = 8192            # elements that requantisation works on at a time, so that it stays in the cache


class QTensor(NamedTuple):
    """A quantised tensor: value = data * 2^exponent."""
    data: np.ndarray  # int8 in [-127, 127]; int32 or int64 of a gradient
    exponent: int


def from_pixels(images):
    """(N, C, H, W) uint8 in 0..255 -> the network's input, data in 0..127, exponent -7 (CHOICE 11)."""
    return QTensor((images >> 1).astype(np.int8), INPUT_EXPONENT)


def bit_width(magnitude):
    """The bits a non-negative integer needs: 0 -> 0, 1 -> 1, 127 -> 7, 128 -> 8.  Never a float log2."""
    return int(magnitude).bit_length()


def max_abs(values):
    """The largest magnitude in an array of int8, int32 or int64, as a Python int; 0 for an empty one."""
    return max(int(values.max()), -int(values.min())) if values.size else 0


def round_shift(values, shift):
    """values / 2^shift, rounded to nearest, half away from zero.  int32 or int64 in and out, same shape.

    shift: 0..30.  round_shift(6, 2) is 2, round_shift(-6, 2) is -2 (floor would give -1), round_shift(-5, 2) is -1.
    int32 values: |values| + 2^(shift - 1) must stay below 2^31, as MAX_TERMS guarantees for accumulators.
    """
    if shift == 0:
        return values
    magnitude = np.abs(values)
    magnitude += 1 << (shift - 1)
    magnitude >>= shift
    magnitude *= np.sign(values)
    return magnitude


def pseudo_stochastic_shift(values, shift):
    """values / 2^shift, rounded up or down by its own dropped bits instead of by a random number (NITI).

    The shift leaves q of the magnitude and drops r, its `shift` lowest bits. r is cut in two: its high part
    r >> (shift // 2) and its low part r mod 2^(shift // 2), doubled if shift is odd. The low part takes the
    place of a random number. The result is q + 1 where high > low, else q, with the sign restored (CHOICE 4).
    int8 (shift 0..6), int32 (0..30) or int64 (0..62) in and out, same shape.
    pseudo_stochastic_shift(-6, 2): q = 1, r = 0b10, high 1 > low 0, so -2; of -5: r = 0b01, high 0, so -1.
    """
    if shift == 0:
        return values
    magnitude = np.abs(values)
    low_bits = shift // 2
    dropped = magnitude & ((1 << shift) - 1)
    low = dropped & ((1 << low_bits) - 1)
    magnitude >>= shift
    # dropped = high * 2^low_bits + low, so high > low * 2^odd says low * (2^(low_bits + odd) + 1) - dropped < 0.
    low *= (1 << (shift - low_bits)) + 1
    low -= dropped
    low >>= 8 * low.itemsize - 1             # -1 where that is negative, else 0
    magnitude -= low
    magnitude *= np.sign(values, out=low)
    return magnitude


def shift_for(maximum):
    """The smallest shift that brings a magnitude to 7 bits."""
    return max(0, bit_width(maximum) - 7)


def requantise_shift(accumulator):
    """The shift of `requantise`; golden vectors hold it next to the result."""
    return shift_for(max_abs(accumulator))


def requantise(accumulator, exponent):
    """Brings an int32 accumulator back to int8 by the smallest shift that fits its largest magnitude (NITI;
    CHOICE 10).

    shift = max(0, bit_width(max |accumulator|) - 7); data = round_shift(accumulator, shift) clipped to +-127 (a
    magnitude just below a power of two rounds up to 128); exponent grows by shift.
    accumulator: int32, any shape.  Returns a QTensor of the same shape.
    """
    shift = requantise_shift(accumulator)
    flat = accumulator.reshape(-1)
    data = np.empty(flat.shape, np.int8)
    for start in range(0, flat.size, CHUNK):   # rounding needs arrays wider than its result
        part = slice(start, start + CHUNK)
        data[part] = np.clip(round_shift(flat[part], shift), -INT8_MAX, INT8_MAX)
    return QTensor(data.reshape(accumulator.shape), exponent + shift)


def check_terms(terms):
    """Refuses a sum of `terms` int8 products that an int32 accumulator could not hold.  Raises ValueError."""
    if terms > MAX_TERMS:
        raise ValueError(f"a sum of {terms} int8 products can exceed int32: at most {MAX_TERMS} (split the sum)")


def matmul(a, b):
    """Integer matrix product: (n, k) @ (k, m) -> (n, m) int32, exact.

    With a second axis to sum over, as for patches of a convolution: (n, i, k) @ (i, k, m).
    NumPy has no BLAS for integers: `a @ b` is a plain triple loop. einsum's inner kernel multiplies a scalar of `a`
    into a run of `b`'s columns. If b is a transposed matrix, k is contiguous in memory and it multiplies two runs
    along k. The processor's vector unit does both several times as fast if the runs stay in cache.
    a, b: int8 values in int8 or int32 arrays; b is widened block by block, a whole or in step with b. If b is a
    transposed matrix, the rows of a decide how: one row of int8, as in a linear layer at batch 1, is left to einsum's
    own widening, which is 1.5 to 2.4 times as fast; a few rows go along k, many along b's columns.
    The caller must make sure by `check_terms` that k (or i * k) products fit an int32.
    """
    if b.dtype == np.int8:
        if len(a) >= MANY_ROWS or not b.T.flags.c_contiguous:
            return _matmul_by_terms(a, b)
        if len(a) == 1 and a.dtype == np.int8:
            return np.einsum("nk,km->nm", a, b, dtype=np.int32)
    m = b.shape[-1]
    out = np.empty((a.shape[0], m), np.int32)
    a = a.astype(np.int32, copy=False)
    block = COLUMN_BLOCK if b.dtype == np.int32 else max(1, WIDENED_BYTES // (4 * len(b)))
    subscripts = "nk,km->nm" if b.ndim == 2 else "nik,ikm->nm"
    for start in range(0, m, block):
        columns = slice(start, start + block)
        np.einsum(subscripts, a, b[..., columns].astype(np.int32, copy=False), out=out[:, columns])
    return out


def _matmul_by_terms(a, b):
    """The same for (n, k) @ (k, m) int8, summed over part of k at a time, so that little of b is widened at once."""
    terms = max(1, WIDENED_BYTES // (4 * b.shape[1]))

    def product(start):
        some = slice(start, start + terms)
        return np.einsum("nk,km->nm", a[:, some].astype(np.int32), b[some].astype(np.int32, order="C"))

    total = product(0)
    for start in range(terms, len(b), terms):
        total += product(start)
    return total
