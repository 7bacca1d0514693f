"""A user's own .npz file: every form it may have, what is said of it, and every mistake in it."""
import hashlib
import json
import re
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from small_runs import ROOT, peak_memory, python
from test_bad_files import npy_bytes
from zo_numpy.run.own_data import load_own_data
from zo_numpy.samples import DataError

RANDOM = np.random.default_rng(3)
TRAIN, TEST = RANDOM.integers(0, 256, (12, 3, 9, 8), np.uint8), RANDOM.integers(0, 256, (6, 3, 9, 8), np.uint8)
LABELS, TEST_LABELS = np.arange(12) % 4, np.arange(6) % 4
CLOUDS = RANDOM.uniform(-0.5, 0.5, (18, 16, 3)).astype(np.float32)
IMAGES = {"x_train": TRAIN, "y_train": LABELS, "x_test": TEST, "y_test": TEST_LABELS}
SHAPES = {"x_train": CLOUDS[:12], "y_train": LABELS, "x_test": CLOUDS[12:], "y_test": TEST_LABELS}


@pytest.fixture
def file(tmp_path):
    """file(**members) writes them and returns the path."""
    def write(save=np.savez, **members):
        save(tmp_path / "mine.npz", **members)
        return tmp_path / "mine.npz"
    return write


def read(path, points=0):
    """The data set, and what was said but for its last line."""
    said = []
    dataset = load_own_data(path, points, said.append)
    assert not any("\n" in line for line in said) and str(path) in said[-1]
    return dataset, said[:-1]


def error(path, points=0):
    with pytest.raises(DataError) as caught:
        load_own_data(path, points, lambda line: None)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(str(path)) and "dtype(" not in message and "(," not in message
    return message


# What a file may look like

FORMS = {
    "channels first": lambda a: a,
    "channels last": lambda a: a.transpose(0, 2, 3, 1),
    "contiguous channels last": lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)),
    "Fortran order": np.asfortranarray,
    "wide whole numbers": lambda a: a.astype(np.int64),
    "big-endian": lambda a: a.astype(">i2"),
    "whole floats": lambda a: a.astype(np.float32),
    "floats to 1": lambda a: a / 255,
    "float32 to 1": lambda a: (a / np.float32(255)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_pictures_in_any_form_are_the_same_data_set(file, form, save):
    plain, _ = read(file(**IMAGES))
    dataset, said = read(file(save, **{**IMAGES, "x_train": form(TRAIN), "x_test": form(TEST)}))
    assert_array_equal(dataset.train_images, TRAIN)
    assert_array_equal(dataset.test_images, TEST)
    assert dataset.train_images.dtype == np.uint8 and dataset.digest == plain.digest
    assert any("converted to bytes" in line for line in said) == (form(TRAIN).dtype != np.uint8)
    assert not dataset.train_images.flags.writeable and not dataset.test_labels.flags.writeable


def test_one_channel_needs_no_axis_and_truth_values_are_black_and_white(file):
    dataset, _ = read(file(**{**IMAGES, "x_train": TRAIN[:, 0], "x_test": TEST[:, 0]}))
    assert_array_equal(dataset.train_images, TRAIN[:, :1])
    dataset, said = read(file(**{**IMAGES, "x_train": TRAIN > 99, "x_test": TEST > 99}))
    assert_array_equal(dataset.train_images, np.where(TRAIN > 99, 255, 0))
    assert "bool" in said[0] and "times 255" in said[0]


def test_other_names_and_columns_of_labels(file):
    dataset, _ = read(file(train_images=TRAIN, train_labels=LABELS[:, None], test_images=TEST,
                           test_labels=TEST_LABELS.astype(float)))
    assert_array_equal(dataset.train_labels, LABELS)
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == np.uint8
    assert dataset.name == "mine.npz" and dataset.complete and dataset.preparation is None
    assert dataset.classes == ("0", "1", "2", "3")


@pytest.mark.parametrize("count, kind", [(2, np.uint8), (256, np.uint8), (257, np.uint16), (1000, np.uint16)])
def test_labels_are_as_wide_as_the_classes_need(file, count, kind):
    images = RANDOM.integers(0, 256, (count, 8, 8), np.uint8)
    dataset, said = read(file(x_train=images, y_train=np.arange(count), x_test=255 - images[:2], y_test=[0, count - 1]))
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == kind and len(dataset.classes) == count
    assert_array_equal(dataset.train_labels, np.arange(count))
    assert said == [] if count == 2 else "no test samples of" in said[0]


@pytest.mark.parametrize("side", [8, 256])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sizes(file, side, channels):
    images = RANDOM.integers(0, 256, (2, side, side + 1, channels), np.uint8)
    dataset, _ = read(file(x_train=images, y_train=[0, 1], x_test=255 - images, y_test=[0, 1]))
    assert_array_equal(dataset.train_images, images.transpose(0, 3, 1, 2))


def test_bytes_beside_floats_to_1_and_what_is_not_known(file):
    dataset, said = read(file(**{**IMAGES, "x_train": TRAIN / 255, "x_val": TEST, "names": [1]}))
    assert_array_equal(dataset.train_images, TRAIN)
    assert len(said) == 2 and "left out: names, x_val" in said[0]


def test_names_and_preparation_are_read(file):
    prepared = {"size": [9, 8], "grey": False, "invert": True}
    path = file(**IMAGES, classes=["cat", "dög", "a b", "x"], preparation=json.dumps(prepared))
    dataset, _ = read(path)
    assert dataset.classes == ("cat", "dög", "a b", "x") and dataset.preparation == prepared
    dataset, _ = read(file(**IMAGES, classes=np.array([b"a", b"b", b"c", b"d"])))
    assert dataset.classes == ("a", "b", "c", "d")


def test_clouds(file):
    dataset, _ = read(file(**SHAPES))
    assert_array_equal(dataset.train_images, CLOUDS[:12])
    some, _ = read(file(**{**SHAPES, "x_train": CLOUDS[:12].astype(np.float64)}), points=5)
    assert_array_equal(some.train_images, CLOUDS[:12][:, [i * 16 // 5 for i in range(5)]])
    assert some.test_images.shape == (6, 5, 3) and some.test_images.dtype == np.float32
    assert some.digest != dataset.digest


def test_the_digest_is_as_documented_and_of_all_that_is_read(file):
    dataset, _ = read(file(**IMAGES, classes=["a", "b", "c", "d"]))
    total = (b"a\nb\nc\nd" + b"\ntrain_images |u1 12 3 9 8\n" + TRAIN.tobytes() + b"\ntrain_labels |u1 12\n"
             + LABELS.astype(np.uint8).tobytes() + b"\ntest_images |u1 6 3 9 8\n" + TEST.tobytes()
             + b"\ntest_labels |u1 6\n" + TEST_LABELS.astype(np.uint8).tobytes())
    assert dataset.digest == hashlib.sha256(total).hexdigest()
    changed = TRAIN.copy()
    changed[11, 2, 8, 7] ^= 1
    digests = set()
    for members in ({}, {"x_train": changed}, {"y_test": TEST_LABELS[::-1]}, {
            "x_train": TRAIN.reshape(12, 3, 8, 9), "x_test": TEST.reshape(6, 3, 8, 9)}):
        digests.add(read(file(**{**IMAGES, **members}))[0].digest)
    assert len(digests | {dataset.digest}) == 5


# A mapped file

def test_what_is_stored_is_mapped_and_behaves_as_an_array(file):
    dataset, _ = read(file(**{**IMAGES, "x_train": TRAIN.transpose(0, 2, 3, 1).copy()}))
    images = dataset.train_images
    assert isinstance(images, np.memmap) and isinstance(images[2:9], np.memmap)
    for index in (np.array([3, 1, 3]), np.array([], int), np.array([-1]), slice(2, 9, 3), 4, (slice(None), 1),
                  np.arange(12) > 5, [5, 2], (np.array([1, 2]), 0), Ellipsis):
        assert_array_equal(images[index], TRAIN[index])
    assert_array_equal(images[2:9][np.array([1, 0])], TRAIN[2:9][[1, 0]])
    for plain in (images >> 1, images[np.array([1])], images.max(axis=0), np.concatenate([images[:2], images[3:]])):
        assert not isinstance(plain, np.memmap)
    assert type(images.max()) is np.uint8 and images[np.array([1, 2])].flags.c_contiguous
    with pytest.raises(IndexError):
        images[np.array([12])]
    with pytest.raises(ValueError):
        images[0, 0, 0, 0] = 1


MEMORY = """
import pathlib, sys
import numpy as np
from small_runs import peak_memory
from zo_numpy.run.own_data import load_own_data
before = peak_memory()
dataset = load_own_data(pathlib.Path(sys.argv[1]), announce=lambda line: None)
images = dataset.train_images[:-10]
for i in range(0, len(images), 32):
    images[np.random.default_rng(i).permutation(len(images))[:32]].sum()
    images[i:i + 32].sum()
print(peak_memory() - before)
"""


@pytest.mark.skipif(peak_memory() is None, reason="the system does not say how much memory was used")
def test_a_file_larger_than_what_may_be_in_memory(tmp_path):
    count, size = 6400, (1, 180, 180)   # 207 MB
    images = np.broadcast_to(RANDOM.integers(0, 256, (64, *size), np.uint8), (count // 64, 64, *size))
    np.savez(tmp_path / "x.npz", x_train=images.reshape(count, *size), y_train=np.arange(count) % 2, x_test=images[0],
             y_test=np.arange(64) % 2)
    done = python("-c", MEMORY, tmp_path / "x.npz", env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"})
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 130_000   # KB


# Mistakes

def put(array, *places_and_values):
    array = array.copy()
    for place, value in places_and_values:
        array[place] = value
    return array


def images(**changed):
    return {**IMAGES, **changed}


def clouds(**changed):
    return {**SHAPES, **changed}


FLOATS = TRAIN / 255
MANY = np.zeros((2000, 1, 8, 8), np.float32)
MISTAKES = {
    "no labels": ({key: array for key, array in IMAGES.items() if key != "y_test"}, "neither y_test and test_labels"),
    "both names": (images(train_images=TRAIN), "both x_train and train_images"),
    "pictures of several sizes": (images(x_train=np.array([{}, None])), "Python objects"),
    "labels are words": (images(y_train=np.array(list("abcd") * 3)), "y_train holds text"),
    "labels one-hot": (images(y_train=np.eye(4)[LABELS]), "np.argmax"),
    "labels of other samples": (images(y_train=LABELS[1:]), "y_train holds 11 labels of 12 samples"),
    "a negative label": (images(y_train=put(LABELS, (5, -1))), "such as -1 in row 5"),
    "a fractional label": (images(y_test=put(TEST_LABELS * 1.0, (3, 0.5))), "such as 0.5 in row 3"),
    "a label that is NaN": (images(y_test=put(TEST_LABELS * 1.0, (3, np.nan))), "such as nan in row 3"),
    "a huge label": (images(y_train=put(LABELS, (4, 10**6))), "such as 1000000 in row 4: labels are 0 to 999"),
    "a label without a name": (images(classes=["a", "b", "c"]), "such as 3 in row 3: labels are 0 to 2"),
    "labels that are complex": (images(y_train=LABELS * 1j), "save whole numbers"),
    "an empty class": (images(y_train=put(LABELS, (LABELS == 2, 3)), y_test=TEST_LABELS % 2), "are empty: 2: add"),
    "labels from 1": (images(y_train=LABELS + 1, y_test=TEST_LABELS + 1), "are empty: 0: add"),
    "a class in the test part only": (images(y_train=LABELS % 3), "are in the test part only: 3: add"),
    "one class": (images(y_train=LABELS * 0, y_test=TEST_LABELS * 0), "1 classes"),
    "a name twice": (images(classes=["a", "b", "a", "c"]), "several classes are called a"),
    "a name of nothing": (images(classes=["a", "b", " ", "c"]), "class 2 has no name"),
    "names that are numbers": (images(classes=[1, 2, 3, 4]), "has a classes that is no text"),
    "no training samples": (images(x_train=TRAIN[:0], y_train=LABELS[:0]), "no training samples"),
    "no test samples": (images(x_test=TEST[:0], y_test=TEST_LABELS[:0]), "no test samples"),
    "flat pictures": (images(x_train=TRAIN.reshape(12, -1)), "x_train holds uint8 of the shape 12 x 216: images are"),
    "five channels": (images(x_train=np.zeros((12, 9, 8, 5), np.uint8)), "12 x 9 x 8 x 5: images are"),
    "tiny pictures": (images(x_train=TRAIN[:, :, :4]), "sides from 5"),
    "other test pictures": (images(x_test=TEST[:, :, 1:]), "samples of 3 x 9 x 8 and x_test of 3 x 8 x 8"),
    "complex pictures": (images(x_train=TRAIN * 1j), "holds complex128"),
    "all black": (images(x_train=TRAIN * 0, x_test=TEST * 0), "largest value of all pictures is 0"),
    "0 and 1 as bytes": (images(x_train=TRAIN // 128, x_test=TEST // 128), "is 1 where white is 255, .* multiply"),
    "NaN": (images(x_train=put(FLOATS, ((2, 0, 0, 0), np.nan), ((7, 0, 0, 0), np.inf))), "x_train: 2 of 12 samples "
            "hold NaN or an infinity: row 2, 7:"),
    "negative": (images(x_train=put(FLOATS, ((4, 2, 1, 1), -0.1)), x_test=TEST / 255),
                 "1 of 12 samples hold values that are neither"),
    "fractions above 1": (images(x_train=put(FLOATS, ((4, 2, 1, 1), 1.5))), "12 of 12 samples hold values that are n"),
    "beyond bytes": (images(x_test=put(TEST.astype(int), ((3, 2, 1, 1), 256))), "x_test: 1 of 6 samples .*: row 3:"),
    "many bad rows": (images(x_train=put(MANY, (slice(5, 1505), np.nan)), y_train=np.arange(2000) % 4), "1,500 of "
                      "2,000 samples hold NaN or an infinity: row 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 and 1,490 more: "),
    "a cloud that is NaN": (clouds(x_test=put(CLOUDS[12:], ((3, 4, 1), np.nan))), "x_test: 1 of 6 .*NaN.*: row 3"),
    "clouds in millimetres": (clouds(x_train=CLOUDS[:12] * 1000), "12 of 12 samples reach out of the unit .*--scale"),
    "a cloud in one point": (clouds(x_train=put(CLOUDS[:12], (8, 0))), "1 of 12 samples have all their .*row 8"),
    "too large for float32": (clouds(x_train=CLOUDS[:12].astype(float) * 1e300), "NaN or an infinity"),
    "pictures beside clouds": (clouds(x_test=TEST), "x_test holds uint8 of the shape 6 x 3 x 9 x 8 where clouds are"),
    "a preparation of nothing": (images(preparation="{}"), "preparation"),
    "a preparation of another size": (images(preparation='{"size": [8, 8], "grey": false, "invert": false}'), "size"),
    "a preparation of clouds": (images(preparation='{"points": 8, "scale": true}'), "size, grey, invert"),
    "a preparation that is no JSON": (images(preparation="size 8"), "preparation"),
}


@pytest.mark.parametrize("members, says", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_named_with_file_member_and_row(file, members, says):
    message = error(file(**members))
    assert re.search(says, message), message


def test_more_points_than_there_are(file):
    assert "--points 16" in error(file(**SHAPES), points=17)


def test_the_same_picture_in_both_parts_is_counted(file):
    dataset, said = read(file(**images(x_test=put(TEST, (2, TRAIN[7]), (4, TRAIN[1]), (5, TRAIN[1])))))
    assert len(said) == 1 and "WARNING: 3 of 6 test samples" in said[0] and "test row 2 and training row 7" in said[0]


# Files that are damaged or none

def damaged(path, place, content=b"\xff\xff"):
    data = bytearray(path.read_bytes())
    data[place:place + len(content)] = content
    path.write_bytes(data)


def test_files_that_are_none(tmp_path):
    assert "No such file" in error(tmp_path / "x.npz")
    assert "directory" in error(tmp_path)
    (tmp_path / "x.npz").write_bytes(b"PK no archive")
    assert "holds no arrays" in error(tmp_path / "x.npz")
    np.save(tmp_path / "x.npy", TRAIN)
    assert "holds no arrays" in error(tmp_path / "x.npy")
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        archive.writestr("readme.txt", "x")
    assert "neither x_train" in error(tmp_path / "y.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_part_of_a_file_is_protected(file, save):
    path = file(save, **images(x_train=np.tile(TRAIN, (1, 1, 2, 1)), x_test=np.tile(TEST, (1, 1, 2, 1))),
                classes=["a", "b", "c", "d"])   # of more bytes than zipfile reads to see a header
    sound = path.read_bytes()
    plain, _ = read(path)
    refused = 0
    for place in range(0, len(sound), 23):
        path.write_bytes(sound)
        damaged(path, place, bytes([sound[place] ^ 0x41]))
        try:
            dataset, said = read(path)   # of a time stamp, or of the name of an optional member
            assert dataset.digest == plain.digest or "left out" in said[0]
        except DataError as failed:
            refused += 1
            assert "\n" not in str(failed)
    assert refused > len(sound) // 23 // 2
    for length in (0, 10, len(sound) // 2, len(sound) - 1):
        path.write_bytes(sound[:length])
        error(path)


def test_a_header_that_promises_too_much_is_not_believed(tmp_path):
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "x.npz", "w", method) as archive:
            archive.writestr("x_train.npy", npy_bytes("(1099511627776, 8, 8)", bytes(640)))
            for name in ("y_train", "x_test", "y_test"):
                archive.writestr(name + ".npy", npy_bytes("(10,)", bytes(10)))
        assert "damaged x_train" in error(tmp_path / "x.npz")


def test_a_package_without_a_clone_reads_it(file):
    code = ("import pathlib, sys; from zo_numpy.run.own_data import load_own_data\n"
            "load_own_data(pathlib.Path(sys.argv[1])); assert 'datasets' not in sys.modules")
    done = python("-c", code, file(**IMAGES))
    assert done.returncode == 0 and "12 training and 6 test images of 3 x 9 x 8, 4 classes" in done.stdout, done.stderr
