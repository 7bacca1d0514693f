"""Rotated copies of an image data set, for fine-tuning a trained network to data that changed.

Every image, training and test, is turned by the same angle about its centre with bilinear interpolation
(scipy.ndimage) and rounded back to bytes. This happens once, before training; the result is cached.
"""

import hashlib
import io
from pathlib import Path

import numpy as np
import scipy.ndimage

from datasets.store import default_parent, write
from zo_numpy.npy import read_npz

BATCH = 4096    # images turned at a time


def rotated(dataset, degrees, folder=None):
    """Return a `Dataset` whose images are turned counter-clockwise by `degrees`, 1..359.

    folder: where the turned images are cached (default: beside the caches of the originals, in `rotated/`).
    """
    folder = folder or default_parent() / "rotated"
    digest = hashlib.sha256(f"{dataset.digest} rotated by {degrees}".encode()).hexdigest()
    path = Path(folder) / f"{dataset.name}-{degrees}-{digest[:12]}.npz"
    shapes = dataset.train_images.shape, dataset.test_images.shape
    images = _cached(path, shapes)
    if images is None:
        images = turn(dataset.train_images, degrees), turn(dataset.test_images, degrees)
        content = io.BytesIO()
        np.savez(content, train=images[0], test=images[1],
                 sha256=np.frombuffer(_checksum(images), np.uint8))
        try:
            write(path, content.getvalue())
        except OSError:
            pass    # a cache that cannot be written only costs time
    return dataset._replace(train_images=images[0], test_images=images[1], digest=digest,
                            source=f"{dataset.source}, rotated by {degrees} degrees")


def turn(images, degrees):
    """(N, C, H, W) uint8 turned counter-clockwise by `degrees`; what comes from outside is background."""
    out = np.empty(images.shape, np.uint8)   # in memory, where the images are in a file
    for start in range(0, len(images), BATCH):
        for channel in range(images.shape[1]):
            part = images[start:start + BATCH, channel].astype(np.float64)
            turned = scipy.ndimage.rotate(part, degrees, axes=(2, 1), reshape=False, order=1)
            out[start:start + BATCH, channel] = np.clip(np.rint(turned), 0, 255).astype(np.uint8)
    return out


def _checksum(images):
    total = hashlib.sha256()
    for part in images:
        total.update(np.ascontiguousarray(part))
    return total.digest()


def _cached(path, shapes):
    """The two arrays of a cache file; None if there is none, or it is damaged or of something else."""
    try:
        arrays = read_npz(path)
        images = arrays["train"], arrays["test"]
        sound = arrays["sha256"].tobytes() == _checksum(images)
    except Exception:   # missing, cut short, damaged: made anew
        return None
    return images if sound and tuple((part.shape, part.dtype) for part in images) == tuple(
        (shape, np.uint8) for shape in shapes) else None
