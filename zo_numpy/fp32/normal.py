"""Standard normal random numbers for the FP32 perturbation, from the same words as everything else (rng.py).

Box-Muller: word i of the draw gives elements 2 i and 2 i + 1. With a and b its low and high 32-bit halves,
    u = ((a >> 8) + 1) / 2^24 in (0, 1],  v = ((b >> 8) + 1) / 2^24,
    z[2 i] = sqrt(-2 ln u) cos(2 pi v),   z[2 i + 1] = sqrt(-2 ln u) sin(2 pi v),
computed in float32. The largest magnitude is sqrt(48 ln 2) = 5.77.
"""
import numpy as np

from .. import rng

CHUNK = 16_384   # words at a time, so that scratch memory does not grow with the tensor; even boundaries change no bit


def normal(seed, step, tensor, query, count):
    """z of one tensor.  Returns (count,) float32; any element depends on its own word alone."""
    words = rng.words(seed, rng.PERTURB, step, tensor, query, -(-count // 2))
    z = np.empty(2 * len(words), np.float32)
    for start in range(0, len(words), CHUNK):
        halves = words[start:start + CHUNK].astype("<u8", copy=False).view("<u4").reshape(-1, 2)
        uniform = ((halves >> 8) + 1).astype(np.float32) * np.float32(2.0**-24)   # exact
        radius = np.sqrt(np.float32(-2) * np.log(uniform[:, 0]))
        angle = np.float32(2 * np.pi) * uniform[:, 1]
        pairs = z[2 * start:2 * (start + len(halves))].reshape(-1, 2)
        np.multiply(radius, np.cos(angle), out=pairs[:, 0])
        np.multiply(radius, np.sin(angle), out=pairs[:, 1])
    return z[:count]
