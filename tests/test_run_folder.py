"""A run's folder: atomic writes, the lock, logs cut back to the checkpoint, damaged files."""
import fcntl
import hashlib
import json
import os
import random
import time
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from small_runs import snapshot
from zo_numpy.app.plots import draw_curves
from zo_numpy.errors import UserError
from zo_numpy.files import write_atomically
from zo_numpy.run.checkpoint import digest, read_checkpoint, write_checkpoint
from zo_numpy.run.folder import RunFolder, read_description
from zo_numpy.run.metrics import read_metrics

ARRAYS = {"b": np.arange(-6, 6, dtype=np.int8).reshape(3, 4), "a": np.array([[1, -127]], np.int8)}
NUMBERS = {"step": 7, "loss_sum": -2**40, "b.exponent": -9, "a.exponent": 3}
DATASET = {"source": "s", "complete": True, "digest": "d", "training_samples": 5, "classes": ["zero", "one"]}
DESCRIPTION = {"format_version": 0, "dataset": DATASET}


def refusal(call, *arguments):
    with pytest.raises(UserError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Atomic writes

def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file"
    for content in (b"first", b"", b"second" * 10_000):
        write_atomically(path, content)
        assert snapshot(tmp_path) == {"file": content}


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()],
                         ids=["full", "Ctrl-C"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, function, error):
    def fail(*_):
        raise error

    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr(os, function, fail)
    with pytest.raises(type(error)):
        write_atomically(tmp_path / "file", b"new")
    assert snapshot(tmp_path) == {"file": b"old"}


# Digest

def test_digest_is_of_the_bytes_in_order():
    expected = hashlib.sha256(bytes([250, 251, 252, 253, 254, 255, 0, 1, 2, 3, 4, 5]) + bytes([1, 256 - 127]))
    assert digest(ARRAYS) == expected.hexdigest()
    columns_first = ARRAYS["b"].T.copy().T
    assert digest({"x": columns_first, "y": ARRAYS["a"]}) == expected.hexdigest()   # names do not count
    assert digest(dict(reversed(ARRAYS.items()))) != expected.hexdigest()


def test_digest_does_not_depend_on_byte_order():
    expected = hashlib.sha256(bytes([1, 0, 0, 0, 3, 2, 0, 0]))
    assert digest({"x": np.array([1, 2 * 256 + 3], ">i4")}) == expected.hexdigest()


# The folder

def test_a_folder_left_before_it_is_started_is_removed_with_the_parents_it_made(tmp_path):
    (tmp_path / "mine").mkdir()
    for path in (tmp_path / "mine" / "a" / "b", tmp_path / "c"):
        with RunFolder(path):
            assert path.is_dir()
    assert snapshot(tmp_path) == {"mine": None}


def test_a_folder_that_was_there_or_was_started_stays(tmp_path):
    (tmp_path / "mine").mkdir()
    with RunFolder(tmp_path / "mine"):
        pass
    with RunFolder(tmp_path / "started") as folder:
        assert not folder.exists()
        folder.start(DESCRIPTION)
        assert folder.exists()
    assert set(snapshot(tmp_path)) == {"mine", "started", "started/config.json"}
    assert read_description(tmp_path / "started") == DESCRIPTION


def test_the_lock_is_of_one_holder_at_a_time(tmp_path):
    with RunFolder(tmp_path / "run") as first:
        assert "another process" in refusal(RunFolder(tmp_path / "run").__enter__)
        first.start(DESCRIPTION)
    with RunFolder(tmp_path / "run"):
        pass
    with pytest.raises(ZeroDivisionError):
        with RunFolder(tmp_path / "run"):
            1 / 0
    with RunFolder(tmp_path / "run"):
        pass


def test_a_lock_file_that_was_removed_meanwhile_is_no_lock(tmp_path, monkeypatch):
    """Its holder gave up and removed the folder it had made, between our opening the file and locking it."""
    real = fcntl.flock

    def flock(file, how):
        (tmp_path / "run" / ".lock").unlink()
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert "another process" in refusal(RunFolder(tmp_path / "run").__enter__)


def test_a_file_system_without_locks_does_without(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with RunFolder(tmp_path / "run") as folder:
        folder.start(DESCRIPTION)


@pytest.mark.parametrize("name", ["steps.txt", "metrics.jsonl", "checkpoint.npz", "curves.png"])
def test_start_replaces_no_file_it_did_not_make(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with RunFolder(tmp_path) as folder:
        assert name in refusal(folder.start, DESCRIPTION)
    assert snapshot(tmp_path) == {name: b"mine"}


# Logs

def logs(path, steps, metrics):
    path.mkdir(exist_ok=True)
    (path / "steps.txt").write_bytes(steps)
    (path / "metrics.jsonl").write_bytes(metrics)


def test_logs_are_cut_back_and_grow_from_there(tmp_path):
    logs(tmp_path / "run", b"0 a\n1 b\n2 c\n3", b"{1}\n{2}\n")
    with RunFolder(tmp_path / "run") as folder:
        folder.open_logs(2, 1)
        folder.append("steps.txt", "2 d")
        folder.append("metrics.jsonl", "{3}")
        folder.save(ARRAYS, NUMBERS)
        assert (tmp_path / "run" / "steps.txt").read_bytes() == b"0 a\n1 b\n2 d\n"     # flushed by save
        assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == b"{1}\n{3}\n"
        assert folder.has_checkpoint()


@pytest.mark.parametrize("steps, epochs", [(0, 0), (3, 2)])
def test_logs_are_cut_to_nothing_or_not_at_all(tmp_path, steps, epochs):
    logs(tmp_path / "run", b"0 a\n1 b\n2 c\n", b"{1}\n{2}\n")
    with RunFolder(tmp_path / "run") as folder:
        folder.open_logs(steps, epochs)
        assert not folder.has_checkpoint()
    assert (tmp_path / "run" / "steps.txt").read_bytes() == b"0 a\n1 b\n2 c\n"[:4 * steps]
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == b"{1}\n{2}\n"[:4 * epochs]


@pytest.mark.parametrize("steps, epochs, named", [
    (4, 1, "steps.txt"), (3, 2, "metrics.jsonl"), (9, 9, "steps.txt")])
def test_logs_that_are_too_short_stay_as_they_are(tmp_path, steps, epochs, named):
    logs(tmp_path / "run", b"0 a\n1 b\n2 c\n3 torn", b"{1}\n{2")
    before = snapshot(tmp_path)
    with RunFolder(tmp_path / "run") as folder:
        assert named in refusal(folder.open_logs, steps, epochs)
    assert snapshot(tmp_path) == before


def test_logs_that_are_missing_are_not_made_where_a_checkpoint_counts_them(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        folder.start(DESCRIPTION)
        assert "steps.txt" in refusal(folder.open_logs, 1, 0)
    assert set(snapshot(tmp_path)) == {"run", "run/config.json"}


# Checkpoints

def test_checkpoint_and_back(tmp_path):
    write_checkpoint(tmp_path / "c.npz", ARRAYS, NUMBERS)
    arrays, numbers = read_checkpoint(tmp_path / "c.npz")
    assert list(arrays) == ["b", "a"] and numbers == NUMBERS and all(type(n) is int for n in numbers.values())
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == np.int8
        assert_array_equal(arrays[name], array)


def test_checkpoint_bytes_do_not_depend_on_when_or_where(tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "c.npz", ARRAYS, NUMBERS)
    real, real_local = time.time, time.localtime
    monkeypatch.setattr(time, "time", lambda: real() + 10**8)
    monkeypatch.setattr(time, "localtime", lambda *a: real_local(10**9))
    write_checkpoint(tmp_path / "other name.npz", ARRAYS, NUMBERS)
    assert (tmp_path / "c.npz").read_bytes() == (tmp_path / "other name.npz").read_bytes()


def test_every_truncation_of_a_checkpoint_is_refused(tmp_path):
    write_checkpoint(tmp_path / "c.npz", ARRAYS, NUMBERS)
    content = (tmp_path / "c.npz").read_bytes()
    for length in range(0, len(content), 13):
        (tmp_path / "cut.npz").write_bytes(content[:length])
        assert "cut.npz" in refusal(read_checkpoint, tmp_path / "cut.npz")


def test_a_flipped_bit_of_a_checkpoint_is_refused_or_without_effect(tmp_path):
    write_checkpoint(tmp_path / "c.npz", ARRAYS, NUMBERS)
    content = (tmp_path / "c.npz").read_bytes()
    refused, draw = 0, random.Random(2)
    for place in range(0, len(content), 5):
        flipped = bytearray(content)
        flipped[place] ^= 1 << draw.randrange(8)
        (tmp_path / "flipped.npz").write_bytes(flipped)
        try:
            arrays, numbers = read_checkpoint(tmp_path / "flipped.npz")
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
        else:   # a bit of a name or of how many there are, which the trainer compares, or an idle one
            assert set(numbers.values()) <= set(NUMBERS.values())
            contents = [expected.tobytes() for expected in ARRAYS.values()]
            assert all(array.dtype == np.int8 and array.tobytes() in contents for array in arrays.values())
    assert refused > len(content) // 5 * 2 // 3


@pytest.mark.parametrize("content", [
    {}, {"step": -1}, {"step": 1.0}, {"step": "1"}, {"step": [1]}, {"step": True},
    {"step": 1, "loss_sum": [1, 2]}, {"step": 1, "loss_sum": "x"}], ids=str)
def test_an_archive_that_is_no_checkpoint(tmp_path, content):
    np.savez(tmp_path / "c.npz", **content)
    says = "no numbers" if "1" in content.values() or "x" in content.values() else "not a checkpoint"
    assert says in refusal(read_checkpoint, tmp_path / "c.npz")


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("save", [lambda file, trap: np.savez(file, step=np.array([trap])),
                                  lambda file, trap: np.save(file, np.array([trap])),
                                  lambda file, trap: file.write(__import__("pickle").dumps(trap))],
                         ids=["npz", "npy", "pickle"])
def test_nothing_is_unpickled(tmp_path, save):
    with open(tmp_path / "c.npz", "wb") as file:
        save(file, Trap(tmp_path / "sprung"))
    refusal(read_checkpoint, tmp_path / "c.npz")
    assert not (tmp_path / "sprung").exists()


# config.json

@pytest.mark.parametrize("text", [
    "", "{", "[]", "3", "null", "{}", '{"format_version": 0}', '{"a": 1}', "[" * 10**5,
    '{"format_version": 0, "dataset": []}', '{"format_version": 0, "dataset": {}}'],
    ids=lambda text: text[:40])
def test_a_file_that_is_no_description(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    assert str(tmp_path / "config.json") in refusal(read_description, tmp_path)


@pytest.mark.parametrize("key, value", [
    ("source", 1), ("complete", "yes"), ("digest", None), ("training_samples", "5"), ("classes", "zero"),
    ("classes", []), ("classes", [1, 2]), ("classes", {})])
def test_a_description_of_wrong_types(tmp_path, key, value):
    (tmp_path / "config.json").write_text(json.dumps({**DESCRIPTION, "dataset": {**DATASET, key: value}}))
    assert "what data" in refusal(read_description, tmp_path)


def test_a_description_of_another_format_is_told_from_a_damaged_one(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**DESCRIPTION, "format_version": 7}))
    message = refusal(read_description, tmp_path)
    assert "format_version 7" in message and "damaged" not in message


def test_a_folder_that_is_no_run(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "file"):
        assert f"{path} is not a run folder" in refusal(read_description, path)


# metrics.jsonl and curves.png

LINE = {"epoch": 1, "step": 10, "train_loss": 1.25, "test_correct": 9, "test_images": 10,
        "test_accuracy": 90.0, "seconds": 1.5, "images_per_second": 7}


def write_metrics(folder, lines):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("text", [None, "", "{\n", "[]\n", "3\n", "{}\n", '{"epoch": 1}\n', "\x00\xff\n"])
def test_metrics_that_cannot_be_used(tmp_path, text):
    if text is not None:
        (tmp_path / "metrics.jsonl").write_bytes(text.encode("latin1"))
    assert "metrics.jsonl" in refusal(read_metrics, tmp_path)
    refusal(draw_curves, tmp_path, "title")
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("kind", ["test", "validation"])
@pytest.mark.parametrize("epochs", [1, 2, 200])
def test_curves_are_a_picture(tmp_path, epochs, kind):
    import matplotlib.image
    line = {key.replace("test", kind): value for key, value in LINE.items()}
    write_metrics(tmp_path, [
        {**line, "epoch": epoch, "train_loss": 2 / epoch, f"{kind}_images": 1000,
         f"{kind}_correct": 990 - 500 // epoch, f"{kind}_accuracy": (990 - 500 // epoch) / 10}
        for epoch in range(1, epochs + 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)   # of a glyph that the font lacks
        draw_curves(tmp_path, "a $\\frac{$ of a \udce9 folder, \u6570")
    picture = matplotlib.image.imread(tmp_path / "curves.png", format="png")
    height, width = picture.shape[:2]
    assert height >= 300 and width >= 800
    for half in (picture[:, :width // 2], picture[:, width // 2:]):   # something coloured is drawn in each
        assert (half[..., :3].max(axis=2) - half[..., :3].min(axis=2) > 0.3).sum() > 15
    assert set(snapshot(tmp_path)) == {"metrics.jsonl", "curves.png"}
