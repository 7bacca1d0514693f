"""Integer cross-entropy: the loss whose difference decides the sign of a ZO step, in fixed point.

    L = sum over the batch of  log2(sum_j 2^(u_j)) - u_y,      u = logit * 2^e * log2(E)

with e the exponent of the logits and E = 2.71828.. Euler's number, in units of 2^-22 bits (1 nat = 1.4427 bits). Shifts
and two short polynomials do it: u is one multiplication and a shift; 2^u splits into a shift and a polynomial on [0,
1); the logarithm is a bit width and a polynomial on [1, 2). No float exists anywhere. Right shifts act on numbers that
are not negative, but for one floor in the coarse form; a left shift of u is a multiplication by a power of two.

Ranges (all int64), for a batch of at most 4,096 and at most 1,000 classes:
    |u|              127 * 47274 * 2^27             < 2^49.6    the exponent saturates at +20
    distance         2 * |u|                        < 2^50.6
    Horner products  2^30 * 2^30 and 2^31.6 * 2^28.5 < 2^61
    sum of 2^u       1,000 * 2^30                   < 2^40
    L of a batch     4,096 * (2^50.6 + 10 * 2^22)   < 2^62.6
"""
import numpy as np

from .arith import round_shift

FRACTION_BITS = 22                  # of u and of the loss
LOG2_E, LOG2_E_BITS = 47274, 15     # log2(e) = 1.442695 ~ 47274 / 2^15 = 1.442688
MAX_EXPONENT = 20                   # of the logits: larger ones saturate (CHOICE 18)
TERM_BITS = 30                      # of 2^(u - max u), in [0, 1]
# 2^f = 1 + f * p(f) for f in [0, 1), |error| < 2^-26; coefficients of f^0, f^1, ... in units of 2^-30.
EXP2_COEFFICIENTS = (744261108, 257941996, 59588402, 10363966, 1362811, 223531)
# log2(x) = t * p(t^2) for x in [1, 2), t = (x - 1) / (x + 1), |error| < 2^-26; in units of 2^-30.
LOG2_COEFFICIENTS = (3098164021, 1032715992, 620013802, 433203226, 436187078)
COARSE_WINDOW = 10                  # bits below the maximum that the coarse form still sees
MAX_BATCH, MAX_CLASSES = 4096, 1000


def horner(coefficients, x):
    """sum_i coefficients[i] * x^i with x and the result in units of 2^-30, truncated after each product (CHOICE 17)."""
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = coefficient + ((value * x) >> TERM_BITS)
    return value


def base2_logits(logits):
    """u = logit * 2^e * log2(E) in units of 2^-22.  logits: QTensor (N, classes).  Returns (N, classes) int64."""
    shift = FRACTION_BITS - LOG2_E_BITS + min(logits.exponent, MAX_EXPONENT)
    product = logits.data.astype(np.int64) * LOG2_E                      # below 2^23: a shift of 24 or more leaves 0
    return product << shift if shift >= 0 else round_shift(product, min(-shift, 30))


def exp2_terms(u):
    """2^(u_j - max_j u_j) in units of 2^-30; the largest term of a row is exactly 2^30.

    u: (N, classes) int64 in units of 2^-22.  Returns (N, classes) int64 in [0, 2^30].
    """
    distance = u.max(axis=1, keepdims=True) - u                      # >= 0
    whole = (distance + (1 << FRACTION_BITS) - 1) >> FRACTION_BITS   # 2^-distance = 2^fraction >> whole
    fraction = ((whole << FRACTION_BITS) - distance) << (TERM_BITS - FRACTION_BITS)
    power = (1 << TERM_BITS) + ((fraction * horner(EXP2_COEFFICIENTS, fraction)) >> TERM_BITS)
    return power >> np.minimum(whole, TERM_BITS + 2)  # power is below 2^31: nothing is left beyond


def log2_sum(total):
    """log2(total / 2^30) in units of 2^-22, for total >= 2^30.  (N,) int64 in and out, not negative."""
    powers = 1 << np.arange(TERM_BITS + 1, TERM_BITS + 11, dtype=np.int64)   # 2^31 to 2^40
    whole = np.searchsorted(powers, total, side="right")         # bit_width(total) - 31
    x = total >> whole                                           # in [2^30, 2^31)
    one = 1 << TERM_BITS
    t = ((x - one) << TERM_BITS) // (x + one)                    # in [0, 1/3)
    fraction = (t * horner(LOG2_COEFFICIENTS, (t * t) >> TERM_BITS)) >> TERM_BITS
    return (whole << FRACTION_BITS) + (fraction >> (TERM_BITS - FRACTION_BITS))


def _check_limits(logits):
    """The number of samples.  Raises ValueError if the proof against overflow above does not cover the batch."""
    n, classes = logits.data.shape
    if n > MAX_BATCH or classes > MAX_CLASSES:
        raise ValueError(f"integer cross-entropy of {n} samples and {classes} classes: at most {MAX_BATCH} and "
                         f"{MAX_CLASSES} are proved not to overflow")
    return n


def cross_entropy(logits, labels):
    """The loss of a batch, summed over it (CHOICE 6).

    logits: QTensor (N, classes), N <= 4096, classes <= 1000.  labels: (N,) integers.
    Returns a Python int, >= 0, in units of 2^-22 bits.  Raises ValueError beyond these limits.
    """
    n = _check_limits(logits)
    u = base2_logits(logits)
    per_sample = log2_sum(exp2_terms(u).sum(axis=1)) + u.max(axis=1) - u[np.arange(n), labels]
    return int(per_sample.sum())


def coarse_cross_entropy(logits, labels):
    """Cross-entropy of powers of two alone, with no fraction bits: what precision buys is seen beside it.

    u is floored to an integer, terms 2^(u_j - max u) below 2^-10 vanish, and the logarithm is a bit width (CHOICE 19).
    Same arguments, limits and unit as `cross_entropy`; the result is a whole number of bits.
    """
    n = _check_limits(logits)
    u = base2_logits(logits)
    distance = (u.max(axis=1, keepdims=True) >> FRACTION_BITS) - (u >> FRACTION_BITS)
    terms = (1 << COARSE_WINDOW) >> np.minimum(distance, COARSE_WINDOW + 1)
    powers = 1 << np.arange(COARSE_WINDOW + 1, COARSE_WINDOW + 11, dtype=np.int64)
    log2_terms = np.searchsorted(powers, terms.sum(axis=1), side="right")
    per_sample = log2_terms + distance[np.arange(n), labels]
    return int(per_sample.sum()) << FRACTION_BITS


LOSSES = {"integer": cross_entropy, "coarse": coarse_cross_entropy}


def loss_named(loss):
    """The loss of that name, a function (logits, labels) -> number.  Such a function stands for itself: so does the
    float64 loss that experiments/float_loss.py compares with."""
    return loss if callable(loss) else LOSSES[loss]
