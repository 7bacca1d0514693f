"""The IDX format, how four files become a Dataset, and the MNIST subset in this repository."""

import gzip
import hashlib
import shutil
import socket
import struct
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from datasets import IMAGES as NAMES, DataError, idx, load, store
from datasets.embedded import make_subset
from datasets.fashion_mnist import FASHION_MNIST
from datasets.image_set import FILES, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, assemble
from datasets.mnist import MNIST, SUBSET

IMAGES = np.random.default_rng(1).integers(0, 256, (3, 28, 28), np.uint8)
LABELS = np.array([9, 0, 4], np.uint8)


def refused(call, *arguments, match):
    """Check that a call fails with a DataError of one line that `match` describes."""
    with pytest.raises(DataError, match=match) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)


def quiet(line):
    """An `announce` that says nothing."""


# The file format

def test_encode_writes_the_published_layout():
    pixels = np.array([[[1, 2, 3], [4, 5, 255]]], np.uint8)         # one image of 2 rows, 3 columns
    assert idx.encode(pixels) == bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255])
    assert idx.encode(np.zeros(1 * 256 + 2, np.uint8))[:8] == bytes([0, 0, 8, 1, 0, 0, 1, 2])


@pytest.mark.parametrize("array", [IMAGES, LABELS, IMAGES[:, ::2, ::-1], LABELS[:0]],
                         ids=["images", "labels", "strided", "empty"])
@pytest.mark.parametrize("pack", [bytes, idx.compress, gzip.compress])
def test_round_trip(array, pack):
    plain = idx.unpack(pack(idx.encode(array)), array.ndim, "file")
    decoded = idx.decode(plain, array.ndim, "file")
    assert_array_equal(decoded, array)
    assert decoded.dtype == np.uint8 and not decoded.flags.writeable


def test_compress_has_no_time_stamp_and_no_name():
    packed = idx.compress(idx.encode(IMAGES))
    assert packed[3] == 0                                           # flags: no name, no comment
    assert packed[4:8] == bytes(4)                                  # modification time


def test_encode_refuses_other_types():
    with pytest.raises(ValueError, match="uint8"):
        idx.encode(LABELS.astype(np.int16))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("spoil, problem", [
    (lambda data: data[:-1], "truncated"),
    (lambda data: data[:16], "truncated"),
    (lambda data: data[:7], "truncated"),
    (lambda data: b"", "truncated"),
    (lambda data: data + b"\0", "bytes after its end"),
    (lambda data: b"\0\0\x08\x01" + data[4:], "starts with 00000801"),      # labels where images belong
    (lambda data: b"\0\0\x0d\x03" + data[4:], "starts with 00000d03"),      # floats
    (lambda data: b"\0\1\x08\x03" + data[4:], "starts with 00010803"),
    (lambda data: b"<html>Please log in", "starts with 3c68746d"),
])
def test_malformed_file(pack, spoil, problem):
    refused(idx.unpack, pack(spoil(idx.encode(IMAGES))), 3, "dir/name", match=f"^dir/name .*{problem}")


def test_every_damaged_byte_of_a_gzip_stream_is_noticed():
    plain = idx.encode(LABELS)
    packed = idx.compress(plain)
    unnoticed = []
    for position in range(10, len(packed)):                         # after the gzip header
        damaged = bytearray(packed)
        damaged[position] ^= 0x10
        try:
            assert idx.unpack(bytes(damaged), 1, "f") == plain
            unnoticed.append(position)
        except DataError as error:
            assert "\n" not in str(error)
    assert unnoticed in ([], [len(packed) - 9])                     # the last deflate byte may end in padding


@pytest.mark.parametrize("kept", [11, 100, -9, -8, -1])
def test_truncated_gzip(kept):
    refused(idx.unpack, idx.compress(idx.encode(IMAGES))[:kept], 3, "f", match="^f is (a )?truncated")


def test_bytes_after_a_gzip_stream():
    packed = idx.compress(idx.encode(IMAGES))
    refused(idx.unpack, packed + packed, 3, "f", match="^f has bytes after its end")
    refused(idx.unpack, packed + b"more", 3, "f", match="^f is a corrupt gzip file")


def test_a_gzip_file_may_have_several_members_and_padding():
    plain = idx.encode(IMAGES)
    members = [gzip.compress(plain[start:start + 700]) for start in range(0, len(plain), 700)]
    for packed in (b"".join(members), members[0] + gzip.compress(b"") + b"".join(members[1:]),
                   b"".join(members) + bytes(512)):
        assert idx.unpack(packed, 3, "f") == plain
    refused(idx.unpack, b"".join(members[:-1]), 3, "f", match="^f is a truncated gzip file: 2100 of 2368 bytes")


def test_gzip_bomb_is_not_inflated():
    bomb = gzip.compress(idx.encode(IMAGES) + bytes(50_000_000))
    tracemalloc.start()
    refused(idx.unpack, bomb, 3, "f", match="^f has bytes after its end")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_size_limit(pack):
    data = idx.encode(IMAGES)
    assert idx.unpack(pack(data), 3, "f", len(data)) == data
    refused(idx.unpack, pack(data), 3, "f", len(data) - 1, match="^f is too large")


def test_header_that_promises_too_much():
    hostile = struct.pack(">HBB3I", 0, 8, 3, 0xffffffff, 0xffffffff, 0xffffffff) + bytes(100)
    refused(idx.unpack, gzip.compress(hostile), 3, "f", match="^f is too large")
    refused(idx.unpack, hostile, 3, "f", match="^f is truncated")


# Four files

def four_files(train_images=IMAGES, train_labels=LABELS, test_images=IMAGES[:1], test_labels=LABELS[:1]):
    arrays = (train_images, train_labels, test_images, test_labels)
    return {file: idx.encode(array) for file, array in zip(FILES, arrays)}


def test_assemble():
    files = four_files()
    dataset = assemble(MNIST, files, "somewhere", "dir")
    assert_array_equal(dataset.train_images[2, 0], IMAGES[2])
    assert_array_equal(dataset.test_labels, [9])
    assert dataset.train_images.shape == (3, 1, 28, 28) and dataset.test_images.shape == (1, 1, 28, 28)
    assert {array.dtype for array in dataset[1:5]} == {np.dtype(np.uint8)}
    assert dataset.source == "somewhere" and not dataset.complete   # 3 of 60,000
    digests = [hashlib.sha256(files[file]).digest()
               for file in (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)]
    assert dataset.digest == hashlib.sha256(digests[0] + digests[1] + digests[2] + digests[3]).hexdigest()
    assert assemble(MNIST._replace(train_count=3, test_count=1), files, "", "dir").complete


@pytest.mark.parametrize("changes, problem", [
    ({"train_labels": LABELS[:2]}, f"^dir/{TRAIN_IMAGES} holds 3 images but dir/{TRAIN_LABELS} 2 labels"),
    ({"test_images": IMAGES}, f"^dir/{TEST_IMAGES} holds 3 images but dir/{TEST_LABELS} 1 labels"),
    ({"train_labels": np.array([9, 0, 10], np.uint8)}, f"^dir/{TRAIN_LABELS} has label 10 at index 2"),
    ({"test_labels": np.array([255], np.uint8)}, "^dir/t10k-labels-idx1-ubyte has label 255 at index 0"),
    ({"train_images": IMAGES[:, :27]}, "^dir/train-images-idx3-ubyte holds images of 27 by 28"),
    ({"test_images": IMAGES[:0], "test_labels": LABELS[:0]}, "^dir/t10k-images-idx3-ubyte holds no images"),
])
def test_files_that_do_not_fit(changes, problem):
    refused(assemble, MNIST, four_files(**changes), "", "dir", match=problem)


@pytest.mark.parametrize("spec", [MNIST, FASHION_MNIST, SUBSET], ids=lambda spec: spec.title)
def test_facts_are_well_formed(spec):
    assert spec.name in NAMES and len(spec.classes) == 10
    assert tuple(spec.sha256) == FILES
    assert {len(bytes.fromhex(value)) for value in spec.sha256.values()} == {256 // 8}
    assert spec.size(TRAIN_IMAGES) == 16 + spec.train_count * 28 * 28
    assert spec.size(TEST_LABELS) == 8 + spec.test_count


def test_unknown_data_set():
    refused(load, "mnits", match="^no data set is called 'mnits': choose one of mnist, mnist-subset, fashion-mnist")


# The embedded subset

@pytest.fixture
def nothing_but_the_repository(tmp_path, monkeypatch):
    """An empty cache, and no network."""
    def refuse(*_, **__):
        raise AssertionError("the network was used")
    monkeypatch.setenv("ZO_NUMPY_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_embedded_subset(nothing_but_the_repository, tmp_path):
    said = []
    mnist = load("mnist", offline=True, announce=said.append)
    assert mnist.source == "embedded subset: 10,000 of 60,000 training and 2,000 of 10,000 test images"
    assert mnist.name == "mnist" and not mnist.complete
    assert_array_equal(np.bincount(mnist.train_labels), [1000] * 10)
    assert_array_equal(np.bincount(mnist.test_labels), [200] * 10)
    assert mnist.train_images.shape == (10 * 1000, 1, 28, 28)
    assert mnist.test_images.shape == (10 * 200, 1, 28, 28)
    # Known by anyone who has printed MNIST: how each part begins.
    assert_array_equal(mnist.train_labels[:10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    assert_array_equal(mnist.test_labels[:10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
    assert any("offline" in line for line in said) and mnist.source in said[-1]
    assert not (tmp_path / "data").exists()


def test_embedded_subset_is_small():
    assert sum((store.EMBEDDED / f"{file}.gz").stat().st_size for file in FILES) <= 2.5 * 2**20


@pytest.mark.parametrize("file", FILES)
def test_one_flipped_byte_in_the_subset(nothing_but_the_repository, monkeypatch, tmp_path, file):
    shutil.copytree(store.EMBEDDED, tmp_path / "embedded")
    monkeypatch.setattr(store, "EMBEDDED", tmp_path / "embedded")
    path = tmp_path / "embedded" / f"{file}.gz"
    plain = bytearray(gzip.decompress(path.read_bytes()))
    plain[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(plain), 1))
    refused(load, "mnist", None, True, quiet, match=f"{file}.gz is not the official .*: restore it")


def test_subset_rule_by_hand():
    labels = np.array([1, 0, 1, 1, 0, 2, 2, 0], np.uint8)
    # two of each: the 0s at 1, 4; the 1s at 0, 2; the 2s at 5, 6
    assert_array_equal(make_subset.first_of_each_class(labels, 2), [0, 1, 2, 4, 5, 6])
    with pytest.raises(ValueError, match="class 2 has 2 samples where 3 are wanted"):
        make_subset.first_of_each_class(labels, 3)


def test_subset_of_the_subset_is_the_subset(nothing_but_the_repository):
    mnist = load("mnist", offline=True, announce=quiet)
    files = make_subset.subset_files(mnist, 1000, 200)
    assert {file: hashlib.sha256(data).hexdigest() for file, data in files.items()} == SUBSET.sha256
    fewer = make_subset.subset_files(mnist, 999, 200)[TRAIN_LABELS]
    assert_array_equal(np.bincount(idx.decode(fewer, 1, "f")), [999] * 10)


def test_subset_is_made_from_the_whole_only(nothing_but_the_repository, monkeypatch, tmp_path, capsys):
    subset = load("mnist", offline=True, announce=quiet)
    monkeypatch.setattr(make_subset, "load", lambda name: subset)
    assert make_subset.main(["--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "out").exists()
