"""Standard normal random numbers for the FP32 perturbation, from the same words as everything else (rng.py).

Box-Muller: word i of the draw gives elements 2 i and 2 i + 1. With a and b its low and high 32-bit halves,
    u = ((a >> 8) + 1) / 2^24 in (0, 1],  v = ((b >> 8) + 1) / 2^24,
    z[2 i] = sqrt(-2 ln u) cos(2 pi v),   z[2 i + 1] = sqrt(-2 ln u) sin(2 pi v),
computed in float32. The largest magnitude is sqrt(48 ln 2) = 5.77.
"""
import numpy as np

from .. import rng


def normal(seed, step, tensor, query, count):
    """z of one tensor.  Returns (count,) float32; any element depends on its own word alone."""
    return box_muller(rng.words(seed, rng.PERTURB, step, tensor, query, -(-count // 2)))[:count]


def box_muller(words):
    """(count,) uint64 -> (2 count,) float32, two elements of each word."""
    numerators = words.astype("<u8", copy=False).view("<u4") >> 8
    numerators += 1                                  # of u and v, in 1 .. 2^24
    radius, angle = (half.astype(np.float32) for half in (numerators[0::2], numerators[1::2]))
    del numerators
    radius *= np.float32(2.0**-24)                   # exact: u
    np.log(radius, out=radius)
    radius *= np.float32(-2)
    np.sqrt(radius, out=radius)
    angle *= np.float32(2 * np.pi * 2.0**-24)        # 2 pi v
    z = np.empty((len(words), 2), np.float32)
    np.multiply(radius, np.cos(angle), out=z[:, 0])
    np.multiply(radius, np.sin(angle, out=angle), out=z[:, 1])
    return z.reshape(-1)
