"""Data sets: what each loader returns, and `load`, which finds a data set by name.

    from datasets import load
    mnist = load("mnist")          # fetched once, verified, then read from the cache

Reading order: `idx.py` (the file format), `image_set.py` (what is known of a data set before it is read),
`mnist.py` and `fashion_mnist.py` (those facts), `download.py` (where the bytes come from, in which order),
`store.py`, `mirrors.py` and `registries.py` (those places), `embedded/` (the MNIST subset carried here).

Images stay bytes here: scaling them is the business of the precision that trains on them.

Changed copies, to adapt a trained network to: `rotate.py` (images), `disturb.py` (clouds).

Point clouds: `modelnet.py` (the layout of ModelNet40's clouds), `hdf5.py` (its files, read by a child process),
`modelnet_archive.py` (where they come from), `solids.py` (a synthetic set).
"""

from importlib import import_module
from typing import NamedTuple

import numpy as np

# Name -> module with `load(data_dir, offline, announce) -> Dataset`. Imported only when asked for, so
# that one data set's packages are not needed for another.
LOADERS = {
    "mnist": "datasets.mnist",
    "mnist-subset": "datasets.mnist_subset",
    "fashion-mnist": "datasets.fashion_mnist",
}
# The same of point clouds: `load(name, points, data_dir, offline, announce)`.
POINT_LOADERS = {
    "modelnet10": "datasets.modelnet",
    "modelnet40": "datasets.modelnet",
    "modelnet": "datasets.modelnet",
    "synthetic-solids": "datasets.solids",
}
POINTS = 1024       # of a cloud, where nobody says how many


class DataError(ValueError):
    """Data that cannot be had or used. The message is one line: which file, what is wrong, how to mend it."""


class Dataset(NamedTuple):
    """A classification data set in memory; its arrays are read-only views of the bytes that were verified.

    Samples are images, or point clouds: then `train_images` and `test_images` are (N, P, 3) float32, coordinates in
    [-1, 1], and `digest` is of the arrays and the classes' names.
    """

    name: str                   # the name `load` knows it by
    train_images: np.ndarray    # (N, 1, 28, 28) uint8, 0 = background .. 255 = ink
    train_labels: np.ndarray    # (N,) uint8, below len(classes)
    test_images: np.ndarray     # (N', 1, 28, 28) uint8
    test_labels: np.ndarray     # (N',) uint8
    classes: tuple              # name of each class, by label
    source: str                 # where the bytes came from, one line: which cache, mirror, package or subset
    complete: bool              # all of the data set's images are here; False for the embedded subset
    digest: str                 # SHA-256 (hex) over the SHA-256 (32 bytes each) of the four uncompressed IDX
                                # files: training images, training labels, test images, test labels


def load(name, data_dir=None, offline=False, announce=print, points=POINTS):
    """Return the `Dataset` called `name` (a key of LOADERS or POINT_LOADERS; `_` may stand for `-`).

    data_dir: a folder that already holds the data set, or has a sub-folder of its name that does. Then only
        it is read, and nothing is fetched or written. Files that are well formed but not the official ones
        (another data set in MNIST's layout) are accepted, and `source` and `announce` say "unverified copy".
    offline: use no network: the cache, else what is embedded.
    announce: is called with one-line strings: what is tried, and which source was used.
    points: of each cloud, at most as many as the data set has; no matter to images.

    Raises DataError if the name is unknown, or the data cannot be had or is not well formed.
    """
    key = name.replace("_", "-").lower()
    if key in POINT_LOADERS:
        return import_module(POINT_LOADERS[key]).load(key, points, data_dir, offline, announce)
    if key not in LOADERS:
        raise DataError(f"no data set is called {name!r}: choose one of {', '.join((*LOADERS, *POINT_LOADERS))}")
    return import_module(LOADERS[key]).load(data_dir, offline, announce)
