"""How random words (rng.py) become INT8 numbers: the perturbation z, and the weights that a run starts from."""
import numpy as np

from .. import models, rng
from .arith import INT8_MAX, QTensor

# Elements of z in memory at a time: so many that a step at batch 1 takes 5 to 6 % more than inference.
PIECE = 19_200


def perturbation_in_turn(seed, step, tensor, query, count, settings):
    """The perturbation z of one tensor, at most PIECE elements at a time, so that no z of a whole layer exists.

    Keeps no piece while the next is made.  Yields (slice, its z as int8).  settings: elastic_zo.Settings.
    """
    in_turn = rng.words_in_turn(seed, rng.PERTURB, step, tensor, query, -(-count // 4), PIECE // 4)
    for start in range(0, count, PIECE):
        piece = slice(start, min(start + PIECE, count))
        yield piece, z_of(rng.as_half_words(next(in_turn)), settings.r_max, settings.p_zero)[:piece.stop - start]


def perturbation(seed, step, tensor, query, count, r_max, p_zero):
    """The same z at once, for golden vectors.  r_max, p_zero: see `z_of`.  Returns (count,) int8."""
    return z_of(rng.half_words(seed, rng.PERTURB, step, tensor, query, count), r_max, p_zero)


def z_of(h, r_max, p_zero):
    """Turns half-words into elements of z: symmetric, with an expectation of exactly zero (CHOICE 5).

    Magnitude h & r_max, negative if bit 7 of h is set, kept if (h >> 8) < 256 - p_zero, else 0.
    h: uint16, any shape.  r_max: 2^k - 1 with 1 <= k <= 6.  p_zero: 0..255; p_zero / 256 is the probability
    of being dropped.  Returns int8 in [-r_max, r_max], same shape.
    """
    kept = (h < (256 - p_zero << 8)).view(np.int8)
    low = h.astype(np.int8)                # bits 0 to 7: negative where bit 7 is set
    del h                                  # twice as large as all that the rest needs
    z = low & np.int8(r_max)               # the magnitude
    z *= kept                              # times 1 where it is kept, else 0
    z *= np.sign(low, out=low)             # the sign is 0 only if low is 0, and then z is 0 too
    return z


def perturbation_table(r_max, p_zero):
    """The element of z that each of the 65,536 half-words gives, indexed by the half-word.  Returns (65536,) int8."""
    return z_of(np.arange(1 << 16, dtype=np.uint16), r_max, p_zero)


def init_weights(model, seed, headroom):
    """Kaiming-scaled int8 weights, uniform in +-(127 >> h) with exponent h - k (CHOICE 3).

    k is the smallest integer with 12 * 4^k >= 127^2 * fan_in, so that +-127 * 2^-k is the power of two nearest to
    Kaiming's uniform bound; h bits of headroom let weights grow, as exponents never change.
    headroom: {layer name: h}, 0 <= h <= 6.  Returns an ordered {layer name: QTensor}.
    """
    weights = {}
    for tensor, layer in enumerate(models.weight_layers(model.layers)):
        k = 0
        while 12 * 4**k < INT8_MAX**2 * models.fan_in(layer):
            k += 1
        h = headroom[layer.name]
        data = uniform_int8(seed, tensor, models.weight_count(layer), INT8_MAX >> h)
        weights[layer.name] = QTensor(data.reshape(layer.weight_shape), h - k)
    return weights


def uniform_int8(seed, tensor, count, bound):
    """Initial INT8 weights: uniform integers in [-bound, bound], ((h * (2 bound + 1)) >> 16) - bound of half-word h.

    There is no rejection, so element j needs half-word j alone. The bias is below 1 / 256 of a value's probability
    (CHOICE 13).
    bound: 0..127.  Returns (count,) int8.
    """
    h = rng.half_words(seed, rng.INIT, 0, tensor, 0, count).astype(np.int32)
    return (((h * (2 * bound + 1)) >> 16) - bound).astype(np.int8)
