"""Bad files: each class of damage that a reader has to find, and a small run of the harness that damages everything."""
import ast
import io
import os
import signal
import struct
import zipfile
import zlib

import numpy as np
import pytest

from datasets import DataError, hdf5, mirrors, modelnet_archive, rotate
from small_runs import ROOT, python
from zo_numpy import npy
from zo_numpy.app.inputs import read_clouds, read_image
from zo_numpy.errors import UserError
from zo_numpy.files import strict_json
from zo_numpy.golden import ops
from zo_numpy.run.checkpoint import read_checkpoint
from zo_numpy.run.folder import RunFolder
from zo_numpy.run.metrics import read_metrics

SOURCES = [path for folder in ("zo_numpy", "datasets", "experiments", "tests/trust")
           for path in sorted((ROOT / folder).rglob("*.py"))]
ARRAYS = {"b": np.arange(12, dtype=np.int8).reshape(3, 4), "a": np.ones((1, 2), np.int8)}
NUMBERS = {"step": 2, "loss_sum": 5}


def npy_bytes(shape, data, descr="|u1"):
    """An .npy file with the header one asks for, whatever follows."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


# The source

def calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


def unsafe(name, whole, words):
    """Whether a call could unpickle, or unpack an archive wherever it says."""
    if whole.startswith("np.") and name in ("load", "read_array", "write_array"):
        return words.get("allow_pickle") != "False"
    return name in ("extractall", "extract", "unpack_archive") or whole.startswith(("pickle.", "marshal.", "shelve."))


def test_nothing_is_unpickled_or_unpacked_wholesale():
    seen = [(path.name, call) for path in SOURCES for call in calls(path)]
    assert [where for where in seen if unsafe(*where[1])] == []
    assert any(call[0] == "write_array" for _, call in seen)   # the rule meets calls at all


@pytest.mark.parametrize("code", ["np.load(x)", "np.load(x, allow_pickle=True)", "pickle.load(x)", "tar.extractall(x)"])
def test_the_rule_finds_what_is_unsafe(tmp_path, code):
    (tmp_path / "x.py").write_text(code)
    assert [unsafe(*call) for call in calls(tmp_path / "x.py")] == [True]


def test_libhdf5_is_used_in_the_child_alone():
    users = {path.name for path in SOURCES if "import h5py" in path.read_text()}
    assert users == {"hdf5.py", "formats.py"}   # the second writes the harness's own file


# .npy and .npz

@pytest.mark.parametrize("shape, data", [("(2**40,)", b""), ("(1099511627776,)", bytes(9)), ("(28, 28)", bytes(785)),
                                         ("(28, 28)", bytes(783)), ("(-28, -28)", bytes(784)), ("(28, 28", bytes(784))])
def test_a_header_is_believed_as_far_as_the_file_goes(tmp_path, shape, data):
    (tmp_path / "x.npy").write_bytes(npy_bytes(shape, data))
    with pytest.raises(UserError, match="x.npy"):
        read_image(tmp_path / "x.npy", (1, 28, 28))
    (tmp_path / "y.npy").write_bytes(npy_bytes("(28, 28)", bytes(784)))
    assert not read_image(tmp_path / "y.npy", (1, 28, 28)).any()


def test_numbers_beyond_float32_are_refused_without_a_warning(tmp_path, recwarn):
    np.save(tmp_path / "c.npy", np.full((16, 3), 1e300))
    with pytest.raises(UserError, match="unit sphere"):
        read_clouds(tmp_path / "c.npy", 16)
    assert not recwarn.list


def test_a_compressed_archive_is_refused_before_it_is_inflated(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(10**6, np.uint8))
    with pytest.raises(ValueError, match="compressed"):
        npy.read_npz(tmp_path / "x.npz")
    assert rotate._cached(tmp_path / "x.npz", ((1,), (1,))) is None


# PNG

def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(pixels=bytes(28 * 29), after=b"", wrong=0):
    packed = chunk(b"IDAT", zlib.compress(pixels))
    packed = packed[:-1] + bytes([packed[-1] ^ wrong])
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", 28, 28, 8, 0, 0, 0, 0)) + packed
            + chunk(b"IEND", b"") + after)


@pytest.mark.parametrize("content, says", [
    (png(wrong=1), "checksum"), (png(after=b"x"), "after its end"), (png(bytes(10**7)), "too many"),
    (png()[:-5], "cut off"), (png(bytes(100)), "cannot be read")])
def test_a_picture_is_compared_with_its_checksums(tmp_path, content, says):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(UserError, match=says):
        read_image(tmp_path / "x.png", (1, 28, 28))
    (tmp_path / "x.png").write_bytes(png())
    assert not read_image(tmp_path / "x.png", (1, 28, 28)).any()


# Run folders

@pytest.fixture
def run(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": 0}')
    with RunFolder(tmp_path) as folder:
        folder.open_logs(0, 0)
        folder.append("steps.txt", "0 5 6 -1")
        folder.append("steps.txt", "1 5 4 1")
        folder.save(ARRAYS, NUMBERS)
    return tmp_path


def test_a_checkpoint_is_sealed_with_its_configuration(run):
    assert read_checkpoint(run / "checkpoint.npz")[1] == NUMBERS
    (run / "config.json").write_text('{"seed": 1}')
    with pytest.raises(UserError, match="config.json beside it is damaged"):
        read_checkpoint(run / "checkpoint.npz")


def test_arrays_that_change_places_are_found(run):
    arrays = dict(np.load(run / "checkpoint.npz", allow_pickle=False))
    arrays["step"], arrays["loss_sum"] = arrays["loss_sum"], arrays["step"]
    np.savez(run / "checkpoint.npz", **arrays)
    with pytest.raises(UserError, match="damaged"):
        read_checkpoint(run / "checkpoint.npz")


def test_a_checkpoint_without_a_seal_is_read(run):
    np.savez(run / "checkpoint.npz", **{"weight." + name: array for name, array in ARRAYS.items()}, **NUMBERS)
    assert read_checkpoint(run / "checkpoint.npz")[1] == NUMBERS


def test_a_step_log_that_changed_is_not_resumed(run):
    with RunFolder(run) as folder:
        folder.open_logs(2, 0)
    (run / "steps.txt").write_text("0 5 6 -1\n1 5 4 0\n")
    with RunFolder(run) as folder, pytest.raises(UserError, match="it has changed"):
        folder.open_logs(2, 0)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e999}', '{"a": -Infinity}'])
def test_json_that_python_would_take(text):
    with pytest.raises(ValueError):
        strict_json(text.encode())
    assert strict_json(b'{"a": 1e9, "b": [2]}') == {"a": 1e9, "b": [2]}


@pytest.mark.parametrize("old, new", [
    ('"epoch": 1', '"epoch": 2'), (" 9,", " 8,"), ("90.0", "90.01"), ("seconds", "second"), ('"step"', '"stop"'),
    ("1.25", "1e400"), ("1.5", "-1.5")])
def test_metrics_that_contradict_themselves(tmp_path, old, new):
    line = ('{"epoch": 1, "step": 10, "train_loss": 1.25, "test_correct": 9, "test_images": 10, "test_accuracy": 90.0, '
            '"seconds": 1.5, "images_per_second": 7}\n')
    (tmp_path / "metrics.jsonl").write_text(line)
    assert len(read_metrics(tmp_path)) == 1
    (tmp_path / "metrics.jsonl").write_text(line.replace(old, new, 1))
    with pytest.raises(UserError, match="metrics.jsonl"):
        read_metrics(tmp_path)


# HDF5

class Ended:
    """A child that has written something and is gone."""

    def __init__(self, content, status):
        self.stdout, self.status = io.BytesIO(content), status

    def kill(self):
        pass

    def wait(self):
        return self.status


@pytest.mark.parametrize("content", [
    b"", b'{"bytes": 8}\n12', b"no JSON\n", b'{"bytes": 1099511627776}\n', b"[]\n", b"{}\n",
    b'{"bytes": 8}\n' + bytes(8), b'{"bytes": 8}\n' + b"\xff" * 7 + b"\x7f"])
def test_a_child_that_crashes_or_lies_is_a_bad_file(tmp_path, monkeypatch, content):
    monkeypatch.setattr(hdf5, "start", lambda paths, points: Ended(content, -signal.SIGSEGV))
    with pytest.raises(DataError, match="x.h5 is not a sound HDF5 file"):
        list(hdf5.read_files([tmp_path / "x.h5"], 4))


def test_the_child_has_limits(tmp_path):
    code = ("import resource; from datasets import hdf5; hdf5.limit_memory(); hdf5.limit_seconds()\n"
            "try: bytearray(1 << 30)\n"
            "except MemoryError: print('bounded', resource.getrlimit(resource.RLIMIT_CPU)[0])")
    assert python("-c", code).stdout.split()[0] == "bounded"


# Archives and downloads

@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_archive_packed_in_another_way_is_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as archive:
        archive.writestr("shape_names.txt", "a\nb\n")
    (tmp_path / "to").mkdir()
    with pytest.raises(DataError, match="unknown way"):
        modelnet_archive.unpack(tmp_path / "x.zip", tmp_path / "to")


def test_a_symbolic_link_in_an_archive_becomes_a_file(tmp_path):
    link = zipfile.ZipInfo("../../shape_names.txt")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    (tmp_path / "to").mkdir()
    modelnet_archive.unpack(tmp_path / "x.zip", tmp_path / "to")
    assert not os.path.islink(tmp_path / "to" / "shape_names.txt")
    assert {path.name for path in tmp_path.iterdir()} == {"x.zip", "to"}


def test_a_download_is_bounded(tmp_path):
    (tmp_path / "big").write_bytes(bytes(2000))
    url = (tmp_path / "big").as_uri()
    with pytest.raises(DataError, match="too large"):
        mirrors.fetch(url, 1999, lambda text: None)
    assert len(mirrors.fetch(url, 2000, lambda text: None)) == 2000


# The harness

HARNESS = """
import sys
from tests.trust import fuzz
{plant}
table, failures = fuzz.run(400, {seed}, {only!r}, lambda *_, **__: None)
assert sum(map(len, table.values())) >= len(table) > 0
print(len(failures), sum(sum(counts.values()) for counts in table.values()), failures[:1])
"""


def harness(plant="", only="", seed=0):
    done = python("-c", HARNESS.format(plant=plant, only=only, seed=seed))
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_few_hundred_damaged_inputs_are_refused_or_right():
    failures, inputs, *first = harness(seed=7)
    assert (failures, int(inputs) >= 400) == ("0", True), first


LATER = ("from tests.trust import formats; real = formats.{name}; seen = []\n"
         "formats.{name} = lambda *given: seen.append(1) or (real(*given) if len(seen) < 3 else {bug})")


@pytest.mark.parametrize("only, plant", [
    ("checkpoint", LATER.format(name="of_run", bug="1 / 0")),   # from the third call on: the first are the sound file's
    ("npy image", LATER.format(name="read_image", bug="bytearray(1 << 40)")),
    ("idx with", "from datasets import image_set; image_set.ImageSet.verified = lambda self, file, data, where: data")])
def test_the_harness_finds_a_planted_bug(only, plant):
    assert int(harness(plant, only)[0]) > 0


def test_a_shift_that_would_fill_the_memory_is_refused(tmp_path):
    vectors = (ROOT / "tests" / "golden" / "ops" / "round_shift.json").read_text()
    assert '"shift": 1}' in vectors
    (tmp_path / "round_shift.json").write_text(vectors.replace('"shift": 1}', '"shift": 1099511627776}', 1))
    with pytest.raises(UserError, match="asks for more than"):
        ops.check_file(tmp_path / "round_shift.json")
