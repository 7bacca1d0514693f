"""Packing folders of pictures: how they are laid out, what becomes of the pictures, every mistake; the packed file."""
import io
import re
import sys
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from datasets import pack, progress
from small_pictures import PIXELS, picture, rows_of


def test_a_folder_of_classes_is_split_and_shuffled(folder, packed):
    dataset, said = packed(folder, "--split", "0.25")
    assert dataset.classes == ("2", "10", "cat") and dataset.train_images.shape == (9, 3, 12, 10)
    assert dataset.preparation == {"size": [12, 10], "grey": False, "invert": False}
    both = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    assert_array_equal(labels[rows_of(both, PIXELS[:12])], np.arange(12) % 3)
    assert sorted(dataset.test_labels) == [0, 1, 2] and list(dataset.train_labels) != sorted(dataset.train_labels)
    assert "those of train" in said and "9 training and 3 test samples of 3 x 12 x 10, 3 classes" in said


@pytest.mark.parametrize("seed, same", [(0, True), (1, False)])
def test_the_split_is_seeded_and_the_file_the_same_each_time(folder, packed, tmp_path, seed, same):
    def tested(dataset):
        return set(map(bytes, dataset.test_images))

    dataset, _ = packed(folder, "--split", "0.5")
    before, first = tested(dataset), (tmp_path / "out" / "mine.npz").read_bytes()
    again, _ = packed(folder, "--split", "0.5", "--seed", seed)
    assert ((tmp_path / "out" / "mine.npz").read_bytes() == first) == (tested(again) == before) == same


@pytest.mark.parametrize("share, tested", [("0.01", 1), ("0.25", 1), ("0.5", 2), (".7", 3), ("0.99", 3)])
def test_each_class_is_split_alike_and_never_whole(folder, packed, share, tested):
    dataset, _ = packed(folder, "--split", share)
    assert_array_equal(np.bincount(dataset.test_labels), [tested] * 3)
    assert_array_equal(np.bincount(dataset.train_labels), [4 - tested] * 3)


@pytest.mark.parametrize("layout", ["train/a", "Training/A", "a/TRAIN", "set/set/train/a"])
def test_train_and_test_may_stand_above_or_below_the_classes(tmp_path, packed, layout):
    for i in range(12):
        place = layout if i % 3 else re.sub("train(ing)?", "test", layout.lower())
        place = place if i % 2 else re.sub("(?i)a$|^a(?=/)", "b", place)
        picture(tmp_path / "mine" / place / f"{i}.png", PIXELS[i])
    dataset, _ = packed(tmp_path / "mine")
    assert [name.lower() for name in dataset.classes] == ["a", "b"]
    assert_array_equal(dataset.train_labels[rows_of(dataset.train_images, [PIXELS[1], PIXELS[2]])], [0, 1])
    assert_array_equal(dataset.test_labels[rows_of(dataset.test_images, [PIXELS[3], PIXELS[0]])], [0, 1])


def test_what_is_no_sample_is_left_out_and_said(folder, packed):
    (folder / "cat" / "notes.txt").write_text("x")
    (folder / "cat" / ".DS_Store").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    (folder / "list.txt").write_text("x")
    picture(folder / "cat" / "more" / "deep.png", PIXELS[12])
    dataset, said = packed(folder, "--split", "0.25")
    assert len(dataset.train_labels) + len(dataset.test_labels) == 13 and "1 files of other kinds" in said


def test_a_validation_folder_is_left_out_and_said(tmp_path, packed):
    for i in range(12):
        picture(tmp_path / "mine" / ("train", "test", "valid")[i % 3] / "ab"[i % 2] / f"{i}.png", PIXELS[i])
    dataset, said = packed(tmp_path / "mine")
    assert len(dataset.train_labels) == len(dataset.test_labels) == 4 and "left out: valid" in said


@pytest.mark.parametrize("suffix, options", [("png", {}), ("bmp", {}), ("gif", {}), ("jpg", {"quality": 95}),
                                             ("JPEG", {"quality": 95}), ("PNG", {"compress_level": 0})])
def test_kinds_of_pictures(tmp_path, packed, suffix, options):
    for i in range(4):
        smooth = np.broadcast_to(np.linspace(60 * i, 60 * i + 40, 10).astype(np.uint8)[None, :, None], (12, 10, 3))
        picture(tmp_path / "mine" / "ab"[i % 2] / f"{i}.{suffix}", np.ascontiguousarray(smooth), **options)
    dataset, _ = packed(tmp_path / "mine", "--split", "0.5")
    both = np.concatenate([dataset.train_images, dataset.test_images]).astype(int)
    means = sorted(both.mean(axis=(1, 2, 3)))
    assert dataset.train_images.shape == (2, 3, 12, 10)
    np.testing.assert_allclose(means, [19.5, 79.5, 139.5, 199.5], atol=4)


def one_of(packed, path, pixels, *options, mode=None, **saved):
    """The one picture saved so, packed with another of its kind, as (C, H, W)."""
    other = Image.fromarray(np.full((3, 4), 90, np.uint8)).convert(mode or "L").resize((10, 12))
    for name in ("b/0.png", "b/1.png"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        other.save(path / name)
    for name in ("a/0.png", "a/1.png"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        pixels.save(path / name, **saved)
    dataset, _ = packed(path, "--split", "0.5", *options)
    return dataset.train_images[np.flatnonzero(dataset.train_labels == 0)[0]]


def test_grey_transparent_deep_and_palette_pictures(tmp_path, packed):
    colours, grey = PIXELS[0], PIXELS[1, :, :, 0]
    assert_array_equal(one_of(packed, tmp_path / "1", Image.fromarray(grey)), grey[None])
    deep = Image.fromarray(grey.astype(np.uint16) * 256 + 255)
    assert_array_equal(one_of(packed, tmp_path / "2", deep), grey[None])
    assert_array_equal(one_of(packed, tmp_path / "3", Image.fromarray(grey > 99)), np.where(grey > 99, 255, 0)[None])
    opacity = np.zeros((12, 10), np.uint8)
    opacity[:6] = 255
    clear = Image.fromarray(np.dstack([colours, opacity]))
    wanted = np.where(opacity[None] == 255, colours.transpose(2, 0, 1), 255)
    assert_array_equal(one_of(packed, tmp_path / "4", clear), wanted)
    assert_array_equal(one_of(packed, tmp_path / "5", Image.fromarray(np.dstack([grey, opacity]))),
                       np.where(opacity == 255, grey, 255)[None])
    few = colours // 128 * 255
    palette = Image.fromarray(few).quantize(8)
    assert_array_equal(one_of(packed, tmp_path / "6", palette), few.transpose(2, 0, 1))
    assert_array_equal(one_of(packed, tmp_path / "7", Image.fromarray(colours), "--grey", mode="RGB"),
                       np.rint(colours.mean(axis=2))[None])
    assert_array_equal(one_of(packed, tmp_path / "8", Image.fromarray(grey), "--invert"), 255 - grey[None])


def test_grey_pictures_among_coloured_ones_become_coloured(folder, packed):
    picture(folder / "cat" / "grey.png", PIXELS[12, :, :, 0])
    dataset, _ = packed(folder, "--split", "0.25")
    both = np.concatenate([dataset.train_images, dataset.test_images])
    assert rows_of(both, [np.repeat(PIXELS[12, :, :, :1], 3, axis=2)])


def test_pictures_are_turned_as_the_camera_says(tmp_path, packed):
    tall = np.zeros((12, 10, 3), np.uint8)
    tall[:3] = 255   # bright above
    notes = Image.Exif()
    notes[0x0112] = 6   # shown after a quarter turn clockwise
    for i in range(4):
        path = tmp_path / "mine" / "ab"[i % 2] / f"{i}.jpg"
        lying = np.rot90(tall) if i % 2 else tall
        picture(path, np.ascontiguousarray(lying), quality=95, **({"exif": notes} if i % 2 else {}))
    dataset, _ = packed(tmp_path / "mine", "--split", "0.5")
    for image in dataset.train_images:
        assert image.shape == (3, 12, 10) and image[:, :2].min() > 200 and image[:, 5:].max() < 60


def test_resizing(folder, packed):
    picture(folder / "cat" / "flat.png", np.full((40, 30, 3), 77, np.uint8))
    dataset, said = packed(folder, "--split", "0.25", "--size", "16")
    assert dataset.train_images.shape[1:] == (3, 16, 16) and dataset.preparation["size"] == [16, 16]
    both = np.concatenate([dataset.train_images, dataset.test_images])
    assert rows_of(both, [np.full((16, 16, 3), 77)]) and "13 of 13 pictures are resized to 16 x 16" in said
    assert packed(folder, "--split", "0.25", "--size", "8x20")[0].train_images.shape[1:] == (3, 8, 20)


def test_all_bad_pictures_are_counted_and_ten_named(folder, not_packed):
    for i in range(9):
        picture(folder / "cat" / f"x{i}.png", PIXELS[i, 1:])
    (folder / "cat" / "y.png").write_bytes(b"no picture")
    (folder / "2" / "empty.jpg").write_bytes(b"")
    content = picture(folder / "10" / "cut.png", PIXELS[12], compress_level=0).read_bytes()
    (folder / "10" / "cut.png").write_bytes(content[:-300])
    line = not_packed(folder, "--split", "0.25")
    assert "12 samples cannot be used" in line and "and 2 more" in line and line.count(".png (") == 9
    assert "x0.png (it has 10 x 11 pixels, most have 10 x 12)" in line and "empty.jpg (it is no picture" in line
    line = not_packed(folder, "--split", "0.25", "--size", "9")
    assert "3 samples cannot be used" in line and "cut.png (damaged" in line and "y.png (it is no picture" in line


FOLDERS = {
    "no split": ((), lambda f: None, "no test part: .* --split 0.2"),
    "split of a set that has a test part": (("--split", "0.2"), lambda f: [
        picture(f / part / "ab"[i] / "0.png", PIXELS[i]) for part in ("train", "test") for i in (0, 1)],
        "has a test part: leave --split out"),
    "an empty class": (("--split", "0.2"), lambda f: (f / "dog").mkdir(), "no samples of 1 classes: dog"),
    "a class of one": (("--split", "0.2"), lambda f: picture(f / "dog" / "0.png", PIXELS[0]), "dog has one sample"),
    "classes that differ in case": (("--split", "0.2"), lambda f: picture(f / "CAT" / "0.png", PIXELS[0]),
                                    "CAT and cat"),
    "parts in some classes": (("--split", "0.2"), lambda f: [
        picture(f / "dog" / part / "0.png", PIXELS[0]) for part in ("train", "test")], "lay all out alike"),
    "a class that cannot be printed": (("--split", "0.2"), lambda f: (f / "cat").rename(f / "ca\tt"), r"'ca\\tt'"),
    "points of pictures": (("--split", "0.2", "--points", "9"), lambda f: None, "--points is for clouds"),
    "label of pictures": (("--split", "0.2", "--label", "x"), lambda f: None, "--label is for tables"),
}


@pytest.mark.parametrize("options, change, says", FOLDERS.values(), ids=FOLDERS.keys())
def test_folders_that_cannot_be_packed(folder, not_packed, options, change, says):
    change(folder)
    assert re.search(says, not_packed(folder, *options))


def test_a_class_in_the_test_part_only(tmp_path, not_packed):
    for i, place in enumerate(("train/a", "train/b", "test/a", "test/c")):
        picture(tmp_path / "mine" / place / "0.png", PIXELS[i])
    assert "in the test part only: c" in not_packed(tmp_path / "mine")


def test_places_that_hold_nothing(tmp_path, not_packed):
    assert "does not exist" in not_packed(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no folders" in not_packed(tmp_path / "empty")
    (tmp_path / "empty" / "a").mkdir()
    (tmp_path / "empty" / "a" / "x.doc").write_text("x")
    assert "no pictures" in not_packed(tmp_path / "empty", "--split", ".2")
    assert "no folder, no IDX file and no table" in not_packed(tmp_path / "empty" / "a" / "x.doc")


def test_the_same_picture_in_both_parts_is_counted(tmp_path, packed):
    for i in range(8):
        picture(tmp_path / "mine" / ("train", "test")[i // 4] / "ab"[i % 2] / f"{i}.png", PIXELS[i % 6])
    _, said = packed(tmp_path / "mine")
    assert "WARNING: 2 of 4 test samples" in said and re.search("test/a/6.png and .*train/a/0.png", said)


def test_black_pictures_are_refused(tmp_path, not_packed):
    for i in range(4):
        picture(tmp_path / "mine" / "ab"[i % 2] / f"{i}.png", PIXELS[i] // 128)
    assert "largest value of all pictures is 1" in not_packed(tmp_path / "mine", "--split", "0.5")


@pytest.mark.parametrize("options", [[], ["--split"], ["--split", "1"], ["--split", "0"], ["--split", "x"],
                                     ["--size", "4"], ["--size", "5x"], ["--size", "5x6x7"], ["--points", "0"], ["--seed", "-1"],
                                     ["--shape", "8"], ["--gray"], ["--seed", str(2**64)]])
def test_bad_options(folder, not_packed, options):
    line = not_packed(folder, *options)
    assert "--" in line and "invalid" not in line


@pytest.mark.parametrize("out", ["mine.zip", "mine", "."])
def test_bad_outputs(folder, not_packed, out):
    assert ".npz" in not_packed(folder, "--split", "0.5", out=out)


def test_an_output_that_cannot_be_written(folder, not_packed, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file is a file and no folder, choose a place" in not_packed(folder, "--split", "0.5", out="file/a/mine.npz")


# The file that is written

def test_members_are_uncompressed_and_have_the_documented_names(folder, packed, tmp_path):
    packed(folder, "--split", "0.25")
    with zipfile.ZipFile(tmp_path / "out" / "mine.npz") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    arrays = dict(np.load(tmp_path / "out" / "mine.npz", allow_pickle=False))
    assert set(arrays) == {"x_train", "y_train", "x_test", "y_test", "classes", "preparation"}
    assert arrays["x_train"].shape == (9, 3, 12, 10) and arrays["y_train"].dtype == np.uint8


def test_a_full_disk_and_an_interrupt_leave_what_was_there(folder, packed, tmp_path, monkeypatch, capsys):
    packed(folder, "--split", "0.25")
    before = (tmp_path / "out" / "mine.npz").read_bytes()
    full = OSError(28, "No space left on device")
    for error, status, says in ((full, 2, "No space left"), (KeyboardInterrupt(), 130, "interrupted")):
        def fail(*_):
            raise error
        monkeypatch.setattr("os.fsync", fail)
        assert pack.main([str(folder), str(tmp_path / "out" / "mine.npz"), "--split", "0.5"]) == status
        line = capsys.readouterr().err
        assert line.startswith("error: ") and line.count("\n") == 1 and says in line
        assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {"mine.npz": before}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_progress_is_for_terminals(folder, tmp_path, monkeypatch, stream):
    monkeypatch.setattr(progress, "SHOW_SECONDS", 0)
    monkeypatch.setattr(sys, "stderr", stream())
    assert pack.main([str(folder), str(tmp_path / "mine.npz"), "--split", "0.5"]) == 0
    drawn = sys.stderr.getvalue()
    assert ("packing: 12 of 12 samples (100 %)" in drawn and "\n" not in drawn) == (stream is Terminal)
    assert drawn == "" or stream is Terminal
