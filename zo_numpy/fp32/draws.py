"""How random words (rng.py) become FP32 numbers: the perturbation z, and the weights that a run starts from."""
import math

import numpy as np

from .. import models, rng
from .layers import parameters

# Elements of z in memory at a time: so many that a step at batch 1 takes about 8 % more than inference.
PIECE = 14_336


def perturbation_in_turn(seed, step, tensor, query, count):
    """The perturbation z of one tensor, at most PIECE elements at a time, so that no z of a whole layer exists.

    Keeps no piece while the next is made.  Yields (slice, z), standard normal float32.
    """
    in_turn = rng.words_in_turn(seed, rng.PERTURB, step, tensor, query, -(-count // 2), PIECE // 2)
    for start in range(0, count, PIECE):
        piece = slice(start, min(start + PIECE, count))
        yield piece, box_muller(next(in_turn))[:piece.stop - start]


def perturbation(seed, step, tensor, query, count):
    """The same z at once, for golden vectors.  Returns (count,) float32."""
    return box_muller(rng.words(seed, rng.PERTURB, step, tensor, query, -(-count // 2)))[:count]


def box_muller(words):
    """Standard normal numbers, two of each word.  (count,) uint64 -> (2 count,) float32, the largest below 5.78.

    With a and b a word's low and high 32-bit halves, u = ((a >> 8) + 1) / 2^24 in (0, 1] and v = ((b >> 8) + 1) / 2^24:
        z[2 i] = sqrt(-2 ln u) cos(2 pi v),   z[2 i + 1] = sqrt(-2 ln u) sin(2 pi v),
    computed in float32.
    """
    count = len(words)
    numerators = words.astype("<u8", copy=False).view("<u4") >> 8
    del words
    numerators += 1                                  # of u and v, in 1 .. 2^24
    radius, angle = (half.astype(np.float32) for half in (numerators[0::2], numerators[1::2]))
    del numerators
    radius *= np.float32(2.0**-24)                   # exact: u
    np.log(radius, out=radius)
    radius *= np.float32(-2)
    np.sqrt(radius, out=radius)
    angle *= np.float32(2 * np.pi * 2.0**-24)        # 2 pi v
    z = np.empty((count, 2), np.float32)
    for column, part in zip(z.T, (np.cos, np.sin)):
        part(angle, out=column)
        column *= radius
    return z.reshape(-1)


def init_weights(model, seed):
    """Kaiming-uniform weights in +-sqrt(3 / fan_in) * gain, gain sqrt(2) (float32, Philox); biases and beta 0, gamma 1.

    Returns an ordered {"layer.weight": array, "layer.bias": array, ..}. A parameter's place in it is its index in the
    model, the `tensor` of rng.py. After all parameters stands what is no parameter, the running statistics of batch
    norm: "norm.mean", 0 at first, and "norm.var", 1.
    """
    weights = {}
    for layer in model.layers:
        for part, shape in parameters(layer).items():
            if part == "weight":
                bound = math.sqrt(6 / models.fan_in(layer))
                words = rng.words(seed, rng.INIT, 0, len(weights), 0, models.weight_count(layer))
                uniform = (words >> 40).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)   # [-1, 1), 24 bits
                value = (np.float32(bound) * uniform).reshape(shape)
            else:
                value = np.full(shape, part == "gamma", np.float32)
            weights[f"{layer.name}.{part}"] = value
    for layer in model.layers:
        if isinstance(layer, models.BatchNorm):
            weights[layer.name + ".mean"] = np.zeros(layer.channels, np.float32)
            weights[layer.name + ".var"] = np.ones(layer.channels, np.float32)
    return weights
