"""A classification data set as a run takes it, wherever it comes from: a named set, a user's file, numbers made up."""
from typing import NamedTuple

import numpy as np

from .errors import UserError


class DataError(UserError):
    """Data that cannot be had or used. The message is one line: which file, what is wrong, how to mend it."""


class Dataset(NamedTuple):
    """Samples and labels of two parts, the training and the test part. The arrays are read-only.

    Images are (N, C, H, W) uint8, 0 = background .. 255 = ink; point clouds are (N, P, 3) float32, in the unit sphere.
    """
    name: str                   # that the user gave
    train_images: np.ndarray    # the samples, images or clouds
    train_labels: np.ndarray    # (N,) unsigned integers, below len(classes)
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple              # name of each class, by label
    source: str                 # where the bytes came from, one line
    complete: bool              # the whole set is here; False for the MNIST subset that the repository carries
    digest: str                 # SHA-256 (hex) of all of it; who makes the Dataset says how
