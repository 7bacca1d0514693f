"""Point clouds before training and prediction: decoded to integers, turned and disturbed.

What is turned or disturbed is a pure function of its arguments: for training on variants of the shapes, and for fine-
tuning a trained network to shapes that changed. INT8 training begins after `quantised_clouds`, with no float from there on.

Coordinates are (x, y, z) inside the unit sphere, y upwards. Of floats only what IEEE 754 rounds exactly is used
(sums, products, quotients, square roots); the cosines and sines of angles, which libraries round differently, are cut
to multiples of 2^-20. So the same clouds arise on every machine. Random numbers are drawn from the DATA stream of
rng.py, at these addresses:

    what                          seed            step                     tensor   query
    a solid's proportions         0               its number in the set    0        0
    its points                    0               its number in the set    1        0
    spin of the variants          the run's       variant, from 0          2        0, word i for cloud i
    noise of a variant            the run's       variant, from 0          3        number of the cloud
    jitter                        0               0 training, 1 test       4        number of the cloud
    packing a user's own data     see datasets/packing                     5 to 7
    pictures of a golden trace    0               0                        8        0, see golden/colours.py
    self-test of a C program      the run's       0                        0        0, see app/program.py
"""

import math

import numpy as np

from . import rng
from .mapped import chunks

RADIUS = 1.001   # of a cloud that fits the unit sphere, what rounding did to it allowed for
FARTHEST = 1e30  # of a coordinate that may be scaled: its square is still a number
SOLID, SURFACE, SPIN, NOISE, JITTER = range(5)   # the tensor of each draw
# A word's four half-words, summed about their mean, have this standard deviation: a bell that ends at 3.5 of them.
HALF_WORDS_DEVIATION = 37837.227
COLOURS = 8   # the tensor of the pictures of a golden trace


def chosen(count, points):
    """The indices of `points` of a cloud's `count` points, spread evenly over their order: i * count // points.

    Returns (points,) int64.
    """
    return np.arange(points) * count // points


def turned(clouds, degrees, axis):
    """Clouds turned about an axis (0 x, 1 y: vertical, 2 z), counter-clockwise as seen from its tip.

    clouds: (N, P, 3) float32.  degrees: a number, or (N,).  Returns (N, P, 3) float32 in [-1, 1].
    """
    angles = np.broadcast_to(np.asarray(degrees, np.float64), len(clouds)) * (math.pi / 180)
    cosine, sine = (np.rint(part * 2.0**20)[:, None] * 2.0**-20 for part in (np.cos(angles), np.sin(angles)))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    u, v = (clouds[:, :, i].astype(np.float64) for i in (first, second))
    out = clouds.copy()
    out[:, :, first] = cosine * u - sine * v
    out[:, :, second] = sine * u + cosine * v
    return np.clip(out, -1, 1, out=out)


def shaken(clouds, thousandths, seed, step, tensor):
    """Clouds with noise added to every coordinate, cut to [-1, 1].

    clouds: (N, P, 3) float32.  thousandths: the noise's standard deviation.  seed, step, tensor: where it is drawn;
    query is the cloud's number.  Returns (N, P, 3) float32.
    """
    out = np.empty_like(clouds)
    for i, cloud in enumerate(clouds):
        halves = rng.half_words(seed, rng.DATA, step, tensor, i, 4 * cloud.size).reshape(*cloud.shape, 4)
        centred = halves.sum(axis=-1, dtype=np.int32) - 2 * 65535
        out[i] = np.clip(cloud + centred * (thousandths / 1000 / HALF_WORDS_DEVIATION), -1, 1)
    return out


def quantised_clouds(clouds):
    """127 x to the nearest integer, half away from zero, clipped to +-127.  (N, P, 3) float -> int8."""
    made = np.empty(clouds.shape, np.int8)
    for part in chunks(clouds):   # a file may be larger than memory
        # Of float32 the product is exact, in 31 bits; what the sum may round decides nothing.
        scaled = np.abs(clouds[part].astype(np.float64)) * 127 + 0.5
        magnitude = np.minimum(scaled, 127).astype(np.int8)
        made[part] = np.where(clouds[part] < 0, -magnitude, magnitude)
    return made


class Variants:
    """The training clouds of an augmented run: variant v is the same clouds, each turned about the vertical axis by its
    own angle and given its own noise. Epoch e trains on variant e mod `count`.

    clouds: (N, P, 3) float32.  spin: largest angle, degrees.  noise: thousandths.  decode: what a precision makes of
    clouds before training.  With `ahead` all variants are made at once, before the first step, as integers-only
    training needs; else each when its epoch comes, and only one is held.
    """

    def __init__(self, clouds, count, spin, noise, seed, decode, ahead):
        self.clouds, self.count, self.spin, self.noise, self.seed = clouds, count, spin, noise, seed
        self.decode = decode
        self.made = {v: self.make(v) for v in range(count)} if ahead else {}

    def make(self, variant):
        """The clouds of variant 0 .. count - 1, decoded."""
        words = rng.words(self.seed, rng.DATA, variant, SPIN, 0, len(self.clouds))
        angles = ((words >> 40).astype(np.float64) * 2.0**-23 - 1) * self.spin   # [-spin, spin), 24 bits
        clouds = turned(self.clouds, angles, axis=1)
        return self.decode(shaken(clouds, self.noise, self.seed, variant, NOISE) if self.noise else clouds)

    def of(self, epoch):
        """The clouds of an epoch, from 0, decoded."""
        variant = epoch % self.count
        if variant not in self.made:
            self.made = {variant: self.make(variant)}
        return self.made[variant]


def scaled(clouds):
    """Clouds about the mean of their points, the farthest of which gets the distance 1.  (N, P, 3) -> float32."""
    centred = clouds - clouds.mean(axis=1, keepdims=True, dtype=np.float64)
    farthest = np.sqrt(np.square(centred).sum(axis=2).max(axis=1))
    return (centred / np.where(farthest > 0, farthest, 1)[:, None, None]).astype(np.float32)
