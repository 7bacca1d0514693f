"""ModelNet's layout: what is read, every way in which it may be wrong, and the archive of ModelNet40."""
import io
import os
import zipfile

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import datasets
from datasets import DataError, at_hand, mirrors, modelnet, modelnet_archive
from small_clouds import CLASSES, clouds, write_hdf5, write_modelnet
from small_runs import refused

WHOLE = dict(modelnet.COMPLETE)
TRAIN0 = "ply_data_train0.h5"


@pytest.fixture
def folder(tmp_path):
    return write_modelnet(tmp_path / "clouds")


def read(folder, points=16, name="modelnet"):
    said = []
    return datasets.load(name, data_dir=folder, announce=said.append, points=points)


def error(folder, points=16, name="modelnet"):
    with pytest.raises(DataError) as caught:
        read(folder, points, name)
    message = str(caught.value)
    assert "\n" not in message and ": " in message
    return message


def test_a_data_set_is_read_whole_and_in_order(folder):
    dataset = read(folder, 32)
    for part, count in (("train", 60), ("test", 30)):
        data, label = clouds(count, 32, seed=count)
        assert_array_equal(getattr(dataset, part + "_images"), data)
        assert_array_equal(getattr(dataset, part + "_labels"), label)
    assert dataset.train_images.dtype == np.float32 and dataset.train_labels.dtype == np.uint8
    assert dataset.classes == CLASSES and dataset.complete and not dataset.train_images.flags.writeable
    assert str(folder) in dataset.source


@pytest.mark.parametrize("points", [1, 5, 16, 31])
def test_points_are_taken_at_even_steps(folder, points):
    whole, some = read(folder, 32), read(folder, points)
    taken = [i * 32 // points for i in range(points)]
    assert len(set(taken)) == points
    assert_array_equal(some.train_images, whole.train_images[:, taken])
    assert some.digest != whole.digest and read(folder, points).digest == some.digest


def test_the_digest_is_of_all_that_is_read(folder):
    before = read(folder).digest
    data, label = clouds(60, 32, seed=60)
    write_hdf5(folder / TRAIN0, data[:30], (label[:30, None] + 1) % 3)
    swapped = read(folder).digest
    (folder / "shape_names.txt").write_text("a\nb\nc\n")
    assert len({before, swapped, read(folder).digest}) == 3


def test_labels_may_lie_flat_and_be_of_any_integer_type_and_data_of_any_float(folder):
    data, label = clouds(30, 40, seed=1)
    write_hdf5(folder / "ply_data_test0.h5", data.astype(np.float64), label.astype(np.int64))
    dataset = read(folder)
    assert_array_equal(dataset.test_labels, label)
    assert dataset.test_images.dtype == np.float32 and dataset.test_labels.dtype == np.uint8


def test_a_folder_of_its_name_inside_the_named_one_will_do(tmp_path):
    write_modelnet(tmp_path / "modelnet")
    assert len(read(tmp_path).train_labels) == 60


def rewrite(**changed):
    """Rewrites the first training file with other arrays, made from its own."""
    def change(folder):
        data, label = clouds(30, 32, seed=3)
        arrays = {"data": data, "label": label[:, None]}
        for name, make in changed.items():
            arrays[name] = make(arrays[name].copy())
        with h5py.File(folder / TRAIN0, "w") as file:
            for name, array in arrays.items():
                if array is not None:
                    file[name] = array
    return change


def put(place, value):
    def make(array):
        array[place] = value
        return array
    return make


def lists(name, text):
    return lambda folder: (folder / name).write_text(text)


def cut(folder):
    content = (folder / TRAIN0).read_bytes()
    (folder / TRAIN0).write_bytes(content[:len(content) // 2])


def elsewhere(folder):
    os.replace(folder / TRAIN0, folder / "elsewhere.h5")
    with h5py.File(folder / TRAIN0, "w") as file:
        file["label"] = np.zeros(30, np.uint8)
        file["data"] = h5py.ExternalLink("elsewhere.h5", "data")


BAD = {
    "truncated": (cut, TRAIN0, "get it anew"),
    "a pointer": (lambda folder: (folder / TRAIN0).write_text("version https://git-lfs.github.com/spec/v1"), TRAIN0,
                  "git lfs pull"),
    "a page": (lists(TRAIN0, "<html>please log in</html>"), TRAIN0, "as it starts with 3c68746d"),
    "a folder": (lambda folder: ((folder / TRAIN0).unlink(), (folder / TRAIN0).mkdir()), "train_files.txt", "not there"),
    "empty": (lambda folder: (folder / TRAIN0).write_bytes(b""), TRAIN0, "not a sound HDF5 file"),
    "no HDF5": (lists(TRAIN0, "data"), TRAIN0, "not a sound HDF5 file"),
    "no data": (rewrite(data=lambda a: None), TRAIN0, "no `data`, it holds label:"),
    "no label": (rewrite(label=lambda a: None), TRAIN0, "no `label`"),
    "data in another file": (elsewhere, TRAIN0, "another file"),
    "NaN": (rewrite(data=put((7, 0, 1), np.nan)), TRAIN0, "cloud 7 "),
    "infinity": (rewrite(data=put((3, 2, 0), np.inf)), TRAIN0, "cloud 3 "),
    "outside the sphere": (rewrite(data=put((9, 4, 2), 1.5)), TRAIN0, "cloud 9 reaches"),
    "a corner of the cube": (rewrite(data=put((9, 4), 0.9)), TRAIN0, "--scale brings them there"),
    "too few points": (rewrite(data=lambda a: a[:, :15]), TRAIN0, "--points 15"),
    "two coordinates": (rewrite(data=lambda a: a[:, :, :2]), TRAIN0, "(30, 32, 2)"),
    "integers": (rewrite(data=lambda a: a.astype(np.int32)), TRAIN0, "int32"),
    "no clouds": (rewrite(data=lambda a: a[:0], label=lambda a: a[:0]), TRAIN0, "(0, 32, 3)"),
    "label beyond the classes": (rewrite(label=put(5, 3)), TRAIN0, "cloud 5 has label 3"),
    "negative label": (rewrite(label=lambda a: put(4, -1)(a.astype(np.int32))), TRAIN0, "cloud 4 has label -1"),
    "fractional labels": (rewrite(label=lambda a: a.astype(np.float32)), TRAIN0, "`label` of float32"),
    "labels of other clouds": (rewrite(label=lambda a: a[1:]), TRAIN0, "30 integers"),
    "a list names a missing file": (lambda folder: (folder / TRAIN0).unlink(), "train_files.txt", "is not there"),
    "a list names a file twice": (lists("test_files.txt", "ply_data_test0.h5\nx/ply_data_test0.h5\n"), "test_files.txt",
                                  "twice"),
    "an empty list": (lists("test_files.txt", "\n \n"), "test_files.txt", "not a list"),
    "a list that is no text": (lambda folder: (folder / "train_files.txt").write_bytes(b"\xff\xfe\0"),
                               "train_files.txt", "not a list"),
    "no list": (lambda folder: (folder / "test_files.txt").unlink(), "test_files.txt", "cannot be read"),
    "no names": (lambda folder: (folder / "shape_names.txt").unlink(), "shape_names.txt", "train_files.txt"),
    "a name twice": (lists("shape_names.txt", "a\nb\na\n"), "shape_names.txt", "'a' twice"),
    "one class": (lists("shape_names.txt", "a\n"), "shape_names.txt", "1 classes"),
}


@pytest.mark.parametrize("change, file, says", BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_said_with_the_file_and_the_mend(folder, change, file, says):
    change(folder)
    message = error(folder)
    assert file in message and says in message


def test_a_file_that_is_being_written_is_locked(folder):
    with h5py.File(folder / TRAIN0, "r+"):
        message = error(folder)
    assert TRAIN0 in message and "is locked, as another program is writing to it" in message
    assert read(folder).complete


@pytest.mark.skipif(os.getuid() == 0 if hasattr(os, "getuid") else True, reason="root may read everything")
def test_a_file_that_may_not_be_read(folder):
    (folder / TRAIN0).chmod(0)
    assert "cannot be read (Permission denied)" in error(folder)


@pytest.mark.parametrize("encoding, end", [("utf-8-sig", "\r\n"), ("utf-16", "\n"), ("utf-8", "\r")])
def test_lists_as_editors_write_them(folder, encoding, end):
    before = read(folder).digest
    for name in ("shape_names.txt", "train_files.txt", "test_files.txt"):
        lines = (folder / name).read_text().split("\n")
        (folder / name).write_bytes(end.join(lines).encode(encoding))
    assert read(folder).digest == before


def test_folders_within_folders_and_names_in_another_case(folder, tmp_path):
    before = read(folder).digest
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.upper())
    for place in ("mine/modelnet40_ply_hdf5_2048", "mine/ModelNet/data"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        folder = folder.rename(tmp_path / place)
        assert read(tmp_path / "mine").digest == before


def test_the_command_line_says_it_in_one_line(folder, tmp_path, capsys):
    cut(folder)
    line = refused(capsys, "train", "--model", "pointnet", "--data", "modelnet", "--data-dir", folder, "--points", 16,
                   "--out", tmp_path / "out")
    assert TRAIN0 in line and not (tmp_path / "out").exists()


def test_a_folder_that_is_none_or_holds_nothing(tmp_path):
    assert "not a folder" in error(tmp_path / "nowhere")
    assert "shape_names.txt" in error(tmp_path)


@pytest.mark.parametrize("name", ["modelnet10", "modelnet40"])
def test_a_name_stands_for_its_counts(folder, name):
    assert "it has 3 classes, 60 training and 30 test clouds" in error(folder, name=name)


@pytest.mark.parametrize("train", [60, 62, 61])
def test_a_set_of_which_two_copies_go_round_is_whole_in_both(tmp_path, monkeypatch, train):
    monkeypatch.setattr(modelnet, "COMPLETE", {"modelnet40": ((3, 60, 30), (3, 62, 30))})
    folder = write_modelnet(tmp_path / "clouds", train=train)
    if train == 61:
        assert "where 3, 60 and 30 are expected" in error(folder, name="modelnet40")
    else:
        assert read(folder, name="modelnet40").complete
    assert {counts[1] for counts in WHOLE["modelnet40"]} == {9840, 9843}


def test_what_nothing_serves_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("ZO_NUMPY_DATA", str(tmp_path))
    with pytest.raises(DataError, match="modelnet10 does not hold.*--data-dir.*synthetic-solids"):
        datasets.load("modelnet10", announce=lambda text: None)
    with pytest.raises(DataError, match="nothing is fetched when offline.*--data-dir"):
        datasets.load("modelnet40", offline=True, announce=lambda text: None)


# The archive.

def packed(folder, prefix="modelnet40_ply_hdf5_2048/", more=()):
    """A zip archive of a folder's files, in memory."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, prefix + path.name)
        for name, text in more:
            archive.writestr(name, text)
    return content.getvalue()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """mirror(bytes) makes them the archive that the first mirror serves; the counts are those of the small set."""
    monkeypatch.setenv("ZO_NUMPY_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(modelnet, "COMPLETE", {"modelnet40": ((3, 60, 30),)})

    def serve(content):
        def fetch(url, max_bytes, announce, file):
            assert url == f"{modelnet_archive.MIRRORS[0]}/{modelnet_archive.ARCHIVE}" and len(content) <= max_bytes
            file.write(content)
        monkeypatch.setattr(mirrors, "answering", lambda all_of_them, file, suffix: ([all_of_them[0]], {}))
        monkeypatch.setattr(mirrors, "fetch", fetch)
    return serve


def fetched():
    return datasets.load("modelnet40", announce=lambda text: None, points=16)


def test_the_archive_becomes_the_cache_and_is_read_from_there(folder, tmp_path, mirror, monkeypatch):
    mirror(packed(folder, more=[("modelnet40_ply_hdf5_2048/ply_data_train_0_id2file.json", "[]")]))
    first = fetched()
    assert first.digest == read(folder).digest
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"modelnet40"}
    assert "ply_data_train_0_id2file.json" not in os.listdir(tmp_path / "cache" / "modelnet40")
    monkeypatch.setattr(mirrors, "fetch", None)
    assert fetched().digest == first.digest


def test_nothing_is_written_outside_the_cache(folder, tmp_path, mirror):
    evil = [("../../evil.txt", "x"), ("/tmp/evil-of-a-test.h5", "x"), ("a/../../../shape_names2.txt", "x")]
    mirror(packed(folder, prefix="../../../", more=evil))
    before = {path.name for path in tmp_path.iterdir()} | {"cache"}
    fetched()
    assert {path.name for path in tmp_path.iterdir()} == before
    assert not os.path.exists("/tmp/evil-of-a-test.h5")


def without(folder, name):
    (folder / name).unlink()
    return packed(folder)


REFUSED = {
    "no archive": (lambda folder: b"PK no zip", "corrupt archive"),
    "cut off": (lambda folder: packed(folder)[:-100], "corrupt archive"),
    "other files": (lambda folder: packed(folder, prefix="x-"), "none of the files"),
    "a file is missing": (lambda folder: without(folder, TRAIN0), "train_files.txt names"),
    "a file twice": (lambda folder: packed(folder, more=[("other/shape_names.txt", "a\nb\nc\n")]), "twice"),
    "damaged inside": (lambda folder: (cut(folder), packed(folder))[1], "not a sound HDF5 file"),
}


@pytest.mark.parametrize("make, says", REFUSED.values(), ids=REFUSED.keys())
def test_an_archive_that_is_not_sound_leaves_nothing_behind(folder, tmp_path, mirror, make, says):
    mirror(make(folder))
    with pytest.raises(DataError) as caught:
        fetched()
    assert says in str(caught.value) and "--data-dir" in str(caught.value) and "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("limit, value", [("MAX_MEMBER", 100), ("MAX_UNPACKED", 2000), ("MAX_MEMBERS", 2)])
def test_an_archive_that_unpacks_to_too_much_is_refused(folder, tmp_path, mirror, monkeypatch, limit, value):
    mirror(packed(folder))
    monkeypatch.setattr(modelnet_archive, limit, value)
    with pytest.raises(DataError, match="larger than it may be|too many files"):
        fetched()
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_wrong_counts_are_refused(folder, tmp_path, mirror, monkeypatch):
    mirror(packed(folder))
    monkeypatch.setattr(modelnet, "COMPLETE", {"modelnet40": ((3, 61, 30),)})
    with pytest.raises(DataError, match="where 3, 61 and 30 are expected"):
        fetched()
    assert list((tmp_path / "cache").iterdir()) == []


# What `make pointnet-int8` trains on.

def test_the_clouds_at_hand_are_chosen_and_said(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ZO_NUMPY_DATA", str(tmp_path))
    assert at_hand.main([""]) == 0
    said = capsys.readouterr()
    assert said.out == "--data synthetic-solids\n" and "SYNTHETIC" in said.err and "MODELNET=" in said.err
    assert at_hand.main(["/a copy"]) == 0
    said = capsys.readouterr()
    assert said.out == "--data modelnet --data-dir '/a copy'\n" and "/a copy" in said.err
    write_modelnet(tmp_path / "modelnet10")
    assert at_hand.main([]) == 0
    said = capsys.readouterr()
    assert said.out == "--data modelnet10\n" and "ModelNet10" in said.err
