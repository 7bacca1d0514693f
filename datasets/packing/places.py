"""Where each sample of a source goes: training or test part, by a seeded split of each class, and in which order."""

import numpy as np

from datasets.packing import ORDER, SPLIT
from zo_numpy import rng
from zo_numpy.samples import DataError


def places(reader, options, where, announce):
    """(part of each sample, 0 training or 1 test, (N,) int64; its row in that part, (N,) int64).

    Samples that stand class after class are shuffled within their part. Raises DataError.
    """
    if reader.is_test is None and not options.split:
        raise DataError(f"{where} has no test part: set a part of each class aside, a fifth with --split 0.2")
    if reader.is_test is not None and options.split:
        raise DataError(f"{where} has a test part: leave --split out")
    part = split(reader, options) if options.split else reader.is_test.astype(np.int64)
    row, shuffled = np.zeros(len(part), np.int64), []
    for number, name in enumerate(("train", "test")):
        members = np.flatnonzero(part == number)
        if stand_in_classes(reader.labels[members]):
            words = rng.words(options.seed, rng.DATA, number, ORDER, 0, len(members))
            members = members[np.argsort(words, kind="stable")]
            shuffled.append(name)
        row[members] = np.arange(len(members))
    if shuffled:
        announce(f"samples stand class after class: those of {' and '.join(shuffled)} are shuffled "
                 f"(--seed {options.seed})")
    return part, row


def stand_in_classes(labels):
    """Whether far fewer neighbours are of two classes than in a random order."""
    if not len(labels):
        return False
    random = len(labels) - np.square(np.bincount(labels).astype(np.float64)).sum() / len(labels)
    return 2 * np.count_nonzero(np.diff(labels)) <= random


def split(reader, options):
    """The part of each sample, where the same share of each class becomes the test part.  Raises DataError."""
    words = rng.words(options.seed, rng.DATA, 0, SPLIT, 0, len(reader.labels))
    part = np.zeros(len(reader.labels), np.int64)
    for label, name in enumerate(reader.classes):
        members = np.flatnonzero(reader.labels == label)
        if len(members) < 2:
            raise DataError(f"class {name} has one sample, which cannot be both trained and tested on: add samples, or "
                            "remove the class")
        count = min(max(1, round(options.split * len(members))), len(members) - 1)
        part[members[np.argsort(words[members], kind="stable")[:count]]] = 1
    return part
