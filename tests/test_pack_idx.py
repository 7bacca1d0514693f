"""Packing pairs of IDX files: plain, gzipped, EMNIST's, QMNIST's, and every mistake in them."""
import gzip
import re
import struct

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from datasets import idx
from small_runs import ROOT, peak_memory, python

RANDOM = np.random.default_rng(5)


def write_pair(folder, name, images, labels, pack_with=bytes, wide=False):
    folder.mkdir(parents=True, exist_ok=True)
    suffix = "" if pack_with is bytes else ".gz"
    (folder / f"{name}-images-idx3-ubyte{suffix}").write_bytes(pack_with(idx.encode(images)))
    content = idx.encode(labels.astype(np.uint8))
    if wide:   # QMNIST: eight big-endian integers a row
        rows = np.zeros((len(labels), 8), ">i4")
        rows[:, 0], rows[:, 1:] = labels, 300
        content = struct.pack(">HBB2I", 0, 0x0C, 2, *rows.shape) + rows.tobytes()
    (folder / f"{name}-labels-idx{'2-int' if wide else '1-ubyte'}{suffix}").write_bytes(pack_with(content))


DIGITS = RANDOM.integers(0, 256, (30, 9, 8), np.uint8)
DIGIT_LABELS = np.arange(30) * 7 % 4


def several_members(content):
    return gzip.compress(content[:20]) + gzip.compress(content[20:])


def padded(content):
    return gzip.compress(content) + bytes(9)


@pytest.mark.parametrize("pack_with", [bytes, gzip.compress, several_members, padded])
@pytest.mark.parametrize("first, wide", [(0, False), (1, False), (0, True)], ids=["MNIST", "EMNIST", "QMNIST"])
def test_idx_pairs_keep_their_order(tmp_path, packed, pack_with, first, wide):
    write_pair(tmp_path / "mine", "x-train", DIGITS[:20], DIGIT_LABELS[:20] + first, pack_with, wide)
    write_pair(tmp_path / "mine", "x-test", DIGITS[20:], DIGIT_LABELS[20:] + first, pack_with, wide)
    dataset, said = packed(tmp_path / "mine")
    assert_array_equal(dataset.train_images[:, 0], DIGITS[:20])
    assert_array_equal(dataset.test_images[:, 0], DIGITS[20:])
    assert_array_equal(dataset.train_labels, DIGIT_LABELS[:20])
    assert dataset.classes == tuple(str(first + i) for i in range(4))
    assert ("names of the classes" in said) == bool(first)


def test_one_pair_is_split_and_one_set_of_several_named(tmp_path, packed, not_packed):
    write_pair(tmp_path / "mine", "letters-train", DIGITS, DIGIT_LABELS)
    dataset, _ = packed(tmp_path / "mine", "--split", "0.2", "--size", "16")
    assert len(dataset.test_labels) == 6 and dataset.train_images.shape == (24, 1, 16, 16)
    write_pair(tmp_path / "mine", "digits-train", 255 - DIGITS, DIGIT_LABELS)
    (tmp_path / "out" / "mine.npz").unlink()
    assert "name one of their files" in not_packed(tmp_path / "mine", "--split", "0.2")
    dataset, _ = packed(tmp_path / "mine" / "digits-train-labels-idx1-ubyte", "--split", "0.2", "--invert")
    assert set(map(bytes, dataset.test_images)) < set(map(bytes, DIGITS))


def rewrite(name, change):
    def apply(folder):
        path = folder / name
        path.write_bytes(change(path.read_bytes()))
    return apply


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
IDX = {
    "cut off": (rewrite(TRAIN_IMAGES, lambda data: data[:-1]), f"{TRAIN_IMAGES} is cut off"),
    "too long": (rewrite(TRAIN_IMAGES, lambda data: data + b"x"), "bytes after its end"),
    "labels too short": (rewrite(TRAIN_LABELS, lambda data: data[:-1]), f"{TRAIN_LABELS} is cut off"),
    "damaged gzip": (rewrite(TRAIN_IMAGES, lambda data: gzip.compress(data)[:-5] + b"12345"), "damaged gzip"),
    "gzip cut off": (rewrite(TRAIN_IMAGES, lambda data: gzip.compress(data)[:-50]), "damaged gzip|cut off"),
    "floats": (rewrite(TRAIN_IMAGES, lambda data: b"\0\0\x0d\x03" + data[4:]), "is not an IDX file of whole numbers"),
    "other counts": (lambda folder: write_pair(folder, "train", DIGITS, DIGIT_LABELS[:-1]), "30 images and its labels"),
    "no labels": (lambda folder: (folder / TRAIN_LABELS).unlink(), "has no file of labels"),
    "no training part": (lambda folder: [(folder / name).unlink() for name in (TRAIN_IMAGES, TRAIN_LABELS)],
                         "no pair of IDX files to train on"),
    "test images of another size": (lambda folder: write_pair(folder, "t10k", DIGITS[:, 1:], DIGIT_LABELS),
                                    "two sizes"),
    "a class of the test part": (lambda folder: write_pair(folder, "t10k", DIGITS, DIGIT_LABELS + 9), "part only: 9,"),
    "black": (lambda folder: [write_pair(folder, part, DIGITS // 128, DIGIT_LABELS) for part in ("train", "t10k")],
              "largest value of all pictures is 1"),
}


@pytest.mark.parametrize("change, says", IDX.values(), ids=IDX.keys())
def test_idx_files_that_cannot_be_packed(tmp_path, not_packed, change, says):
    for part in ("train", "t10k"):
        write_pair(tmp_path / "mine", part, DIGITS, DIGIT_LABELS)
    change(tmp_path / "mine")
    assert re.search(says, not_packed(tmp_path / "mine"))


def memory_used(source, out):
    """KB by which a process grows that packs a source."""
    done = python("-c", MEMORY, source, out, "--split", "0.2",
                  env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"})
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


MEMORY = """
import sys
from datasets import pack
from small_runs import peak_memory
before = peak_memory()
assert pack.main(sys.argv[1:]) == 0
print(peak_memory() - before)
"""


@pytest.mark.skipif(peak_memory() is None, reason="the system does not say how much memory was used")
@pytest.mark.parametrize("opened", [open, gzip.open], ids=["plain", "gzip"])
def test_memory_does_not_grow_with_the_source(tmp_path, opened):
    count, side = 4000, 200   # 160 MB
    block = RANDOM.integers(100, 256, (50, side * side), np.uint8)
    block[:, 5000:] = 100   # so that it is packed fast
    with opened(tmp_path / "train-images-idx3-ubyte", "wb") as file:
        file.write(struct.pack(">HBB3I", 0, 8, 3, count, side, side))
        for _ in range(count // 50):
            file.write(block.tobytes())
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx.encode((np.arange(count) % 2).astype(np.uint8)))
    assert memory_used(tmp_path / "train-images-idx3-ubyte", tmp_path / "out.npz") < 60_000
    assert (tmp_path / "out.npz").stat().st_size > count * side * side
