"""Make the MNIST subset that this repository carries, from the verified originals.

    python -m datasets.embedded.make_subset [--out DIR]

The rule: of each part, the first images of each digit in file order (1,000 a digit of the training part,
200 a digit of the test part), kept in file order. Written as gzipped IDX files, the format of the originals,
which any reader of MNIST takes. No random choice, no time stamp: every run makes the same IDX bytes (the gzip
around them may depend on the zlib release, which is why the digests are those of the uncompressed files).
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from datasets import DataError, idx, load
from datasets.image_set import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, combined_digest, digest
from datasets.mnist import MNIST, SUBSET
from datasets.store import write

HERE = Path(__file__).resolve().parent


def first_of_each_class(labels, per_class):
    """Return the indices, ascending, of the first `per_class` samples of each class.

    labels: (N,) uint8. Returns (per_class * number of classes,) int64. Raises ValueError if one has fewer.
    """
    chosen = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        if len(places) < per_class:
            raise ValueError(f"class {label} has {len(places)} samples where {per_class} are wanted")
        chosen.append(places[:per_class])
    return np.sort(np.concatenate(chosen))


def subset_files(dataset, train_per_class, test_per_class):
    """Return the four uncompressed IDX files of the subset of a `Dataset`: file name -> bytes."""
    train = first_of_each_class(dataset.train_labels, train_per_class)
    test = first_of_each_class(dataset.test_labels, test_per_class)
    return {
        TRAIN_IMAGES: idx.encode(dataset.train_images[train, 0]),   # (N, 28, 28): IDX has no channel axis
        TRAIN_LABELS: idx.encode(dataset.train_labels[train]),
        TEST_IMAGES: idx.encode(dataset.test_images[test, 0]),
        TEST_LABELS: idx.encode(dataset.test_labels[test]),
    }


def main(arguments=None):
    """Write the four files and print their digests. Returns 0 only if they are those in datasets/mnist.py."""
    parser = argparse.ArgumentParser(prog="python -m datasets.embedded.make_subset", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="DIR", type=Path, default=HERE, help="where to write")
    out = parser.parse_args(arguments).out
    try:
        mnist = load("mnist")
        if mnist.digest != combined_digest(MNIST.sha256):
            raise DataError("the subset is made from the whole of MNIST only: fetch that first (make data)")
        classes = len(SUBSET.classes)
        files = subset_files(mnist, SUBSET.train_count // classes, SUBSET.test_count // classes)
        for file, data in files.items():
            write(out / f"{file}.gz", idx.compress(data))
            print(f"{digest(data)}  {file}")
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if {file: digest(data) for file, data in files.items()} != SUBSET.sha256:
        print("error: datasets/mnist.py states other digests: correct SUBSET there", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
