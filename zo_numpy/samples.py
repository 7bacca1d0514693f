"""A classification data set as a run takes it, wherever it comes from: a named set, a user's file, numbers made up.

What must hold of every such set stands here too, so that who writes a user's file and who reads it ask for the same.
"""
import hashlib
from typing import NamedTuple

import numpy as np

from .errors import UserError

MOST_CLASSES = 1000
SAID = 10   # of many rows or files that are wrong, so many are named


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
    preparation: dict | None = None   # what was done to a user's samples before they were stored: see preparation.py


def some(items):
    """Many items in few words: the first ten, and how many more there are."""
    items = list(items)
    more = f" and {len(items) - SAID:,} more" if len(items) > SAID else ""
    return ", ".join(map(str, items[:SAID])) + more


def label_type(classes):
    """The type that labels of so many classes are kept in (CHOICE 39)."""
    return np.uint8 if classes <= 256 else np.uint16


def check_classes(train_labels, test_labels, classes, where):
    """Refuses labels that nothing can be learned from; returns what is to be said of the others, one line or none.

    train_labels, test_labels: integers below len(classes).  classes: the names.  where: begins a message.
    Raises DataError: too few or too many classes, names that are no names, a class without training samples.
    """
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise DataError(f"{where}: {len(classes):,} classes, where 2 to {MOST_CLASSES:,} can be told apart: choose "
                        "other labels")
    twice = {name for i, name in enumerate(classes) if name in classes[:i]}
    if twice:
        raise DataError(f"{where}: several classes are called {some(sorted(twice))}: give each a name of its own")
    unnamed = [name for name in classes if not (name.strip() and name.isprintable())]
    if unnamed:
        raise DataError(f"{where}: class {classes.index(unnamed[0])} has no name, or one that cannot be printed "
                        f"({ascii(unnamed[0])}): name all of them")
    for labels, part in ((train_labels, "training"), (test_labels, "test")):
        if not len(labels):
            raise DataError(f"{where}: there are no {part} samples: add some")
    counts = [np.bincount(labels, minlength=len(classes)) for labels in (train_labels, test_labels)]
    untrained = [classes[i] for i in np.flatnonzero(counts[0] == 0)]
    if untrained:
        unseen = [name for name in untrained if counts[1][classes.index(name)]]
        why = f"in the test part only: {some(unseen)}" if unseen else f"empty: {some(untrained)}"
        raise DataError(f"{where}: {len(unseen or untrained)} of {len(classes)} classes are {why}: add training "
                        "samples of each, or take it out; labels count from 0")
    untested = [classes[i] for i in np.flatnonzero(counts[1] == 0)]
    return f"no test samples of {len(untested)} of {len(classes)} classes: {some(untested)}" if untested else ""


def fingerprints(samples):
    """A number of 64 bits for each sample, the same for equal ones.  samples: (N, ...).  Returns (N,) uint64."""
    found = [hashlib.blake2b(np.ascontiguousarray(sample), digest_size=8).digest() for sample in samples]
    return np.frombuffer(b"".join(found), "<u8")


def repeated(train, test):
    """Which test samples are training samples too.  train, test: fingerprints.

    Returns (indices in the test part, ascending, the first training sample that is equal to each).
    """
    places = np.flatnonzero(np.isin(test, train))
    values, first = np.unique(train, return_index=True)
    return places, first[np.searchsorted(values, test[places])]
