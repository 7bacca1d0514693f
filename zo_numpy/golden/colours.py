"""Made-up pictures in colour with odd sides, for a trace of networks that fit themselves to a user's own data.

No file holds them: they are drawn from the DATA stream at the address in clouds.py.
"""
import hashlib

import numpy as np

from .. import rng
from ..clouds import COLOURS
from ..samples import Dataset

NAME = "odd-colours.npz"   # as if they were a user's file
TRAIN, TEST, SHAPE, CLASSES = 8, 4, (3, 13, 11), 5


def odd_colours():
    """The Dataset: 12 pictures of 3 x 13 x 11 bytes in 5 classes, sample i of class i mod 5."""
    count = (TRAIN + TEST) * int(np.prod(SHAPE))
    pixels = (rng.half_words(0, rng.DATA, 0, COLOURS, 0, count) & 255).astype(np.uint8).reshape(-1, *SHAPE)
    labels = (np.arange(TRAIN + TEST) % CLASSES).astype(np.uint8)
    return Dataset(NAME, pixels[:TRAIN], labels[:TRAIN], pixels[TRAIN:], labels[TRAIN:],
                   tuple(map(str, range(CLASSES))), source="made up", complete=True,
                   digest=hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest())
