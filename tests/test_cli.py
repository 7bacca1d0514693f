"""The command line as a user meets it: refusals, progress, and the commands that use a run."""
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest

from datasets import idx
from datasets.image_set import TEST_IMAGES, TEST_LABELS
from small_runs import (ROOT, environment, main, metrics, one_line, python, refused, snapshot, start, train,
                        train_options, write_digits)
from zo_numpy.app.progress import Progress, duration
from zo_numpy.run.checkpoint import read_checkpoint, write_checkpoint
from zo_numpy.run.config import SCHEDULES


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, digits):
    """A finished run that classifies the digits well, not to be changed."""
    return train(digits, tmp_path_factory.mktemp("finished") / "run", epochs=15)


# What is refused

@pytest.mark.parametrize("arguments, named", [
    ([], "COMMAND"), (["trian"], "trian"), (["--epochs", "3"], ""),
    (["train", "--bp-tail", "7"], "--bp-tail 7"), (["train", "--bp-tail", "-1"], "--bp-tail -1"),
    (["train", "--bp-tail", "two"], "two"), (["train", "--bp-tail", "1.5"], "1.5"),
    (["train", "--bp-tail"], "--bp-tail"),
    (["train", "--batch-size", "0"], "--batch-size 0"), (["train", "--batch-size", "5000"], "4096"),
    (["train", "--epochs", "0"], "--epochs 0"), (["train", "--epochs", "1e3"], "1e3"),
    (["train", "--epochs", "9" * 5000], "--epochs"), (["train", "--seed", "two"], "'two' is not a whole number"),
    (["predict", "run", "x.png", "--top", "1.5"], "'1.5' is not a whole number"),
    (["train", "--seed", "-1"], "--seed -1"), (["train", "--seed", str(2**64)], "--seed"),
    (["train", "--validate", "-5"], "--validate -5"), (["train", "--validate", "200"], "nothing to train on"),
    (["train", "--model", "resnet"], "lenet5"), (["train", "--model", ""], "lenet5"),
    (["train", "--data", "imagenet"], "fashion-mnist"), (["train", "--precision", "fp16"], "int8"),
    (["train", "--loss", "mse"], "integer, coarse"), (["train", "--tail-passes", "first"], "second, both"),
    (["train", "--r-max", "6"], "2^k - 1"), (["train", "--r-max", "7,8"], "2^k - 1"),
    (["train", "--r-max", "7,"], "7,"), (["train", "--r-max", "-7,7"], "--r-max"),
    (["train", "--r-max", "seven"], "seven"), (["train", "--r-max", ""], "''"),
    (["train", "--p-zero", "256"], "0 to 255"), (["train", "--p-zero", "0.5"], "0.5"),
    (["train", "--b-zo", "0"], "1 to 6"),
    (["train", "--b-bp", "8"], "1 to 7"), (["train", "--headroom", "1"], "5 numbers"),
    (["train", "--headroom", "0,0,0,0,9"], "0 to 6"),
    (["train", "--zo-frozen", "--bp-tail", "0"], "--zo-frozen"),
    (["train", "--epoch", "3"], "--epoch"),   # no abbreviations: a later option might mean another thing
    (["train", "--no-such"], "--no-such"), (["train", "surplus"], "surplus"),
    (["train", "--model", "two\nlines"], "two lines"), (["train", "--data-dir", "/nowhere"], "/nowhere"),
    (["evaluate"], "run"), (["predict", "run"], "IMAGE"), (["export", "run", "--format", "onnx"], "onnx"),
    (["evaluate", "/nowhere"], "/nowhere"), (["predict", "/nowhere", "x.png"], "/nowhere"),
    (["export", "/"], "config.json"),
], ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "")
def test_a_mistake_is_one_line_and_makes_nothing(tmp_path, digits, capsys, monkeypatch, arguments, named):
    monkeypatch.chdir(tmp_path)
    if arguments[:1] == ["train"]:
        for option, value in (("--data-dir", digits), ("--out", tmp_path / "new" / "run")):
            if option not in arguments:
                arguments = arguments + [option, value]
    assert named in refused(capsys, *arguments)
    assert snapshot(tmp_path) == {}


def test_a_mistake_ends_a_real_process_the_same_way(tmp_path):
    result = python("-m", "zo_numpy", "train", "--batch-size", "0", "--out", tmp_path / "run")
    assert result.returncode == 2 and "--batch-size 0" in one_line(result.stderr) and not result.stdout
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize("command", [[], ["train"], ["evaluate"], ["predict"], ["export"]], ids=str)
def test_help_is_complete(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    if command == ["train"]:
        for option in [*SCHEDULES["int8"], "bp_tail", "zo_frozen", "resume", "validate", "seed", "out"]:
            assert "--" + option.replace("_", "-") in text


def test_a_python_without_the_packages_is_told_where_they_are(tmp_path):
    result = python("-S", "-m", "zo_numpy", "--help", cwd=ROOT)   # -S: no site-packages
    assert result.returncode == 2
    assert "no numpy" in one_line(result.stderr) and ".venv/bin/python" in result.stderr


@pytest.mark.parametrize("numpy, named", [("raise ImportError('of another\\nPython')", "of another Python"),
                                          ("__version__ = '1.21.0'", "NumPy 1.21.0"), ("x = 1", "__version__")])
def test_packages_of_another_python_are_named(tmp_path, numpy, named):
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text(numpy)
    result = python("-m", "zo_numpy", "tour", cwd=ROOT, env={"PYTHONPATH": str(tmp_path)})
    assert result.returncode == 2
    assert named in (line := one_line(result.stderr)) and str(tmp_path) in line and "PYTHONPATH" in line


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_a_name_that_is_no_text_is_printed_all_the_same(tmp_path, digits):
    out = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    result = python("-m", "zo_numpy", *train_options(digits, out, epochs=1))
    assert result.returncode == 0, result.stderr
    assert "caf\\udce9" in result.stdout
    result = python("-m", "zo_numpy", "export", out, "--format", "c")
    assert result.returncode == 0, result.stderr


def test_closed_output_is_no_obstacle(tmp_path, digits):
    command = [sys.executable, "-m", "zo_numpy", *train_options(digits, tmp_path / "run", epochs=1)]
    result = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], env=environment(), capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stderr
    assert metrics(tmp_path / "run")


def test_a_folder_is_named_after_the_run(tmp_path, digits, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["train", "--model", "narrow-lenet", "--data-dir", str(digits), "--epochs", "1", "--seed", "3"]
    assert main(options) == 0
    out = pathlib.Path("runs/mnist-int8-k2-e1-s3")
    assert (out / "checkpoint.npz").exists()
    assert "add --resume" in refused(capsys, *options)
    # The name alone would not tell.
    assert str(out) in refused(capsys, *options, "--resume", "--batch-size", "32")
    assert main([*options, "--resume"]) == 0
    other = [*options[:-1], "4", "--zo-frozen", "--bp-tail", "1"]
    assert main([*other, "--batch-size", "32"]) == 0
    assert {path.name for path in pathlib.Path("runs").iterdir()} == {out.name, "mnist-int8-k1-frozen-e1-s4"}
    assert "--batch-size 32" in refused(capsys, *other, "--resume")   # nor may a default that is left out


def test_the_first_and_the_last_line_say_that_the_data_set_is_not_whole(tmp_path, digits, capsys):
    out = train(digits, tmp_path / "run")
    lines = capsys.readouterr().out.splitlines()
    assert any("NOT THE FULL DATA SET" in line for line in lines[:3]) and "NOT THE FULL DATA SET" in lines[-1]
    last = metrics(out)[-1]
    assert f"{last['test_accuracy']:.2f} %" in lines[-1] and f"({last['test_correct']} of 60" in lines[-1]
    digest = (out / "steps.txt").read_text().split()[-1]
    assert f"sha256 {digest}" in lines[-1] and str(out) in lines[-1]


def test_accuracy_one_at_a_time_is_that_of_single_images(tmp_path, digits, capsys):
    """Dim images beside bright ones are rounded away in a batch, and not alone."""
    dim = write_digits(tmp_path / "dim")
    images = idx.decode((dim / TEST_IMAGES).read_bytes(), 3, "images").copy()
    images[::2] //= 10
    (dim / TEST_IMAGES).write_bytes(idx.encode(images))
    out = train(dim, tmp_path / "run", epochs=15)
    printed = [capsys.readouterr().out]
    np.save(tmp_path / "images.npy", images)
    labels = idx.decode((dim / TEST_LABELS).read_bytes(), 1, "labels")
    alone = int((np.array(predictions(capsys, out, tmp_path / "images.npy")[0]) == labels).sum())
    assert alone != metrics(out)[-1]["test_correct"]
    assert main(["evaluate", str(out), "--data-dir", str(dim)]) == 0
    printed.append(capsys.readouterr().out)
    percent = f"{10_000 * alone // 60 / 100:.2f} %"
    assert f"; {percent} one at a time)" in printed[0].splitlines()[-1]
    assert f"; {percent} ({alone}) one at a time" in printed[1].splitlines()[-1]


# Progress

def test_in_a_pipe_progress_is_plain_lines(tmp_path, digits):
    result = python("-m", "zo_numpy", *train_options(digits, tmp_path / "run", epochs=12))
    assert result.returncode == 0 and result.stderr == ""
    assert "\r" not in result.stdout and "\033" not in result.stdout
    epochs = [line for line in result.stdout.splitlines() if line.startswith("epoch ")]
    assert len(epochs) == 12
    for number, line in enumerate(epochs, 1):
        assert re.fullmatch(rf"epoch {number:>2}/12  train loss \d+\.\d{{4}}  test accuracy \d+\.\d\d %  "
                            r"\d+\.\d s  [\d,]+ images/s  ETA \d+ s", line)
    assert epochs[-1].endswith("ETA 0 s")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_on_a_terminal_progress_is_a_moving_line(tmp_path, digits):
    ours, theirs = os.openpty()
    process = start(*train_options(digits, tmp_path / "run", epochs=30), stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:   # Linux reports the other side's leaving so
            part = b""
        if not part:
            break
        output += part
    os.close(ours)
    assert process.wait(timeout=60) == 0, output
    shown = output.decode().replace("\r\n", "\n")
    moving = re.findall(r"\r\033\[Kepoch (\d+)  step ([\d,]+) of 390  [\d,]+ images/s  ETA \d+ s", shown)
    assert len(moving) >= 2
    made = [int(step) for _, step in moving]
    assert made == sorted(set(made)) and 0 < made[0] and made[-1] < 390
    lines = ["\n" + line for line in shown.split("\n")]
    finished = [line for line in lines if re.search(r"(^\n|\033\[K)epoch +\d+/30  train loss", line)]
    assert len(finished) == 30
    assert shown.endswith("\n") and "sha256" in lines[-2] and "\r" not in lines[-2]


@pytest.mark.parametrize("seconds, text", [
    (0, "0 s"), (12.9, "12 s"), (59.99, "59 s"), (60, "1 min 0 s"), (4 * 60 + 12, "4 min 12 s"),
    (3599, "59 min 59 s"), (3600, "1 h 0 min"), (2 * 3600 + 5 * 60 + 59, "2 h 5 min"),
    (100 * 3600, "100 h 0 min")])
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_eta_counts_from_where_the_run_was_resumed(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("zo_numpy.app.progress.time.monotonic", lambda: clock[0])
    progress = Progress(sys.stdout, 50, 100, 8)
    clock[0] += 20                                # 10 steps in 20 s, 40 to come
    assert progress.eta(60) == duration(20 / 10 * 40)


# evaluate

def test_evaluate_says_what_training_said(run, digits, capsys):
    assert main(["evaluate", str(run), "--data-dir", str(digits)]) == 0
    last = metrics(run)[-1]
    expected = f"test accuracy {last['test_accuracy']:.2f} % ({last['test_correct']} of 60"
    assert expected in capsys.readouterr().out


def test_evaluate_on_turned_images(run, digits, capsys):
    for degrees in (0, 180):
        assert main(["evaluate", str(run), "--data-dir", str(digits), "--rotate", str(degrees)]) == 0
    upright, turned = (line for line in capsys.readouterr().out.splitlines() if line.startswith("test accuracy"))
    accuracy = [float(line.split()[2]) for line in (upright, turned)]
    assert accuracy[0] == metrics(run)[-1]["test_accuracy"] > accuracy[1] and "rotated by 180 degrees" in turned
    assert "--rotate 360" in refused(capsys, "evaluate", run, "--data-dir", digits, "--rotate", 360)


def test_evaluate_on_other_data(run, tmp_path, capsys):
    other = write_digits(tmp_path / "other", test=31, seed=9)
    assert main(["evaluate", str(run), "--data", "fashion-mnist", "--data-dir", str(other)]) == 0
    assert " of 31 in batches" in capsys.readouterr().out
    assert "cifar" in refused(capsys, "evaluate", run, "--data", "cifar")


def test_a_run_without_a_checkpoint_is_said_to_be_unfinished(run, tmp_path, capsys):
    started = shutil.copytree(run, tmp_path / "run")
    (started / "checkpoint.npz").unlink()
    for command in (["evaluate", started], ["predict", started, "x.png"], ["export", started]):
        assert "--resume" in refused(capsys, *command)


# predict

def a_digit(label):
    """An image of the class as `write_digits` draws it."""
    image = np.full((28, 28), 30, np.uint8)
    image[2 * label:2 * label + 6, 4:24] = 230
    return image


def png(path, pixels, colour_type, depth=8, palette=None):
    """Writes a PNG. pixels: (H, W * channels) uint8, or uint16 for 16 bits a sample."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    height, width = pixels.shape[0], pixels.shape[1] // channels
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in pixels)
    header = struct.pack(">2I5B", width, height, depth, colour_type, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
                     + (chunk(b"PLTE", palette) if palette else b"")
                     + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


def predictions(capsys, run, *arguments):
    """The classes that `predict` prints, and the lines themselves."""
    capsys.readouterr()
    assert main(["predict", str(run), *map(str, arguments)]) == 0
    lines = capsys.readouterr().out.splitlines()
    return [int(re.search(r": (\d)   \(next: (\d)\)", line).group(1)) for line in lines], lines


@pytest.fixture(scope="module")
def recognised(run):
    """Labels whose image the run classifies correctly."""
    import contextlib
    import io
    import tempfile
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out:
        np.save(pathlib.Path(folder) / "all.npy", np.stack([a_digit(label) for label in range(10)]))
        assert main(["predict", str(run), f"{folder}/all.npy"]) == 0
    found = [int(re.search(r": (\d) ", line).group(1)) for line in out.getvalue().splitlines()]
    labels = [label for label in range(10) if found[label] == label]
    assert len(labels) >= 6, found
    return labels


def repeated(image, *others):
    """(28, 28) channels side by side as a PNG has them: (28, 28 * channels)."""
    return np.stack([image, *others], axis=2).reshape(28, -1)


WAYS = {
    "npy": lambda path, image: np.save(path.with_suffix(".npy"), image),
    "npy stack of one": lambda path, image: np.save(path.with_suffix(".npy"), image[None]),
    "npy in Fortran's order": lambda path, image: np.save(path.with_suffix(".npy"), np.asfortranarray(image)),
    "grey": lambda path, image: png(path, image, 0),
    "grey, 16 bits": lambda path, image: png(path, image.astype(np.uint16) * 257, 0, depth=16),
    "grey and opaque": lambda path, image: png(path, repeated(image, np.full_like(image, 255)), 4),
    "RGB": lambda path, image: png(path, repeated(image, image, image), 2),
    "RGBA": lambda path, image: png(path, repeated(image, image, image, np.full_like(image, 255)), 6),
    "palette": lambda path, image: png(path, image, 3, palette=bytes(np.repeat(np.arange(256), 3).tolist())),
}


@pytest.mark.parametrize("way", WAYS)
def test_predict_reads_every_kind_of_image_alike(run, recognised, tmp_path, capsys, way):
    for label in recognised[:2]:
        WAYS[way](tmp_path / f"{label}.png", a_digit(label))
    files = sorted(tmp_path.iterdir())
    classes, lines = predictions(capsys, run, *files)
    assert classes == recognised[:2]
    assert [line.split(":")[0] for line in lines] == [str(path) for path in files]


@pytest.mark.parametrize("kind", ["ink on nothing", "ink on nothing, grey"])
def test_predict_lays_the_transparent_on_white(run, recognised, tmp_path, capsys, kind):
    """Black ink on a transparent ground: colours alone would be all black."""
    label = recognised[0]
    black, opacity = np.zeros((28, 28), np.uint8), a_digit(label)
    pixels = (repeated(black, opacity), 4) if "grey" in kind else (repeated(black, black, black, opacity), 6)
    path = png(tmp_path / "drawn.png", *pixels)
    _, (line,) = predictions(capsys, run, path)
    assert "--invert" in line
    assert predictions(capsys, run, path, "--invert")[0] == [label]


def test_predict_hints_at_dark_ink(run, recognised, tmp_path, capsys):
    label = recognised[-1]
    np.save(tmp_path / "dark.npy", 255 - a_digit(label))
    np.save(tmp_path / "bright.npy", a_digit(label))
    assert "--invert" in predictions(capsys, run, tmp_path / "dark.npy")[1][0]
    assert "--invert" not in predictions(capsys, run, tmp_path / "bright.npy")[1][0]
    assert predictions(capsys, run, "--invert", tmp_path / "dark.npy")[0] == [label]


def test_predict_numbers_the_images_of_a_stack(run, recognised, tmp_path, capsys):
    np.save(tmp_path / "stack.npy", np.stack([a_digit(label) for label in recognised]))
    classes, lines = predictions(capsys, run, tmp_path / "stack.npy")
    assert classes == recognised
    expected = [f"{tmp_path}/stack.npy[{i}]" for i in range(len(recognised))]
    assert [line.split(":")[0] for line in lines] == expected


def test_predict_does_not_depend_on_company(run, tmp_path, capsys):
    """Each image is scored alone: the batch's maximum decides how INT8 rounds."""
    images = np.stack([a_digit(label) // (1 + label % 3) for label in range(10)])
    np.save(tmp_path / "stack.npy", images)
    for i, image in enumerate(images):
        np.save(tmp_path / f"{i}.npy", image)
    together, _ = predictions(capsys, run, tmp_path / "stack.npy")
    alone, _ = predictions(capsys, run, *(tmp_path / f"{i}.npy" for i in range(10)))
    assert together == alone


def png_that_claims(path, width, height):
    """A PNG whose header says another size than its pixels, with the right checksum."""
    content = bytearray(png(path, np.zeros((28, 28), np.uint8), 0).read_bytes())
    content[16:24] = struct.pack(">2I", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)


def npy_that_claims(path, shape):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(784))


BAD_IMAGES = {
    "missing.png": lambda path: None,
    "missing.npy": lambda path: None,
    "folder.png": lambda path: path.mkdir(),
    "huge.png": lambda path: png_that_claims(path, 60_000, 60_000),
    "empty.png": lambda path: path.write_bytes(b""),
    "text.png": lambda path: path.write_text("no picture, but long enough for a header"),
    "cut.png": lambda path: png(path, a_digit(1), 0).write_bytes(png(path, a_digit(1), 0).read_bytes()[:60]),
    "jpeg.jpg": lambda path: path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(100)),
    "float.npy": lambda path: np.save(path, np.full((28, 28), 0.5) * 7),
    "nan.npy": lambda path: np.save(path, np.full((28, 28), np.nan)),
    "int.npy": lambda path: np.save(path, np.full((28, 28), 256)),
    "text.npy": lambda path: np.save(path, np.full((28, 28), "x")),
    "size.npy": lambda path: np.save(path, np.zeros((28, 2), np.uint8)),
    "flat.npy": lambda path: np.save(path, np.zeros(784, np.uint8)),
    "four.npy": lambda path: np.save(path, np.zeros((1, 28, 28, 4), np.uint8)),
    "five.npy": lambda path: np.save(path, np.zeros((1, 1, 1, 28, 28), np.uint8)),
    "none.npy": lambda path: np.save(path, np.zeros((0, 28, 28), np.uint8)),
    "cut.npy": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr'"),
    "short.npy": lambda path: (np.save(path, a_digit(1)), path.write_bytes(path.read_bytes()[:-1])),
    "archive.npy": lambda path: np.savez(open(path, "wb"), a_digit(1)),
    "empty.npy": lambda path: path.write_bytes(b""),
    "huge.npy": lambda path: npy_that_claims(path, (10**10, 28, 28)),
    "endless.npy": lambda path: npy_that_claims(path, (10**30, 28, 28)),
    "negative.npy": lambda path: npy_that_claims(path, (-1, 28, 28)),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_predict_refuses_what_is_no_image_before_it_prints_a_class(run, tmp_path, capsys, name):
    np.save(tmp_path / "good.npy", a_digit(1))
    BAD_IMAGES[name](tmp_path / name)
    message = refused(capsys, "predict", run, tmp_path / "good.npy", tmp_path / name)
    assert name in message and "28" in message
    assert capsys.readouterr().out == ""


def test_the_size_of_a_png_is_known_before_it_is_unpacked(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("a large PNG was unpacked"))
    png_that_claims(tmp_path / "large.png", 10_000, 20_000)
    assert "10000 x 20000" in refused(capsys, "predict", run, tmp_path / "large.png")


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_predict_never_unpickles(run, tmp_path, capsys):
    np.save(tmp_path / "trap.npy", np.array([Trap(tmp_path / "sprung")]), allow_pickle=True)
    assert "trap.npy" in refused(capsys, "predict", run, tmp_path / "trap.npy")
    assert not (tmp_path / "sprung").exists()


def test_predict_needs_a_name_for_every_class(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    config = tmp_path / "run" / "config.json"
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoint.npz")
    config.write_text(config.read_text().replace('"8",\n      "9"', '"8"'))
    write_checkpoint(tmp_path / "run" / "checkpoint.npz", *checkpoint)   # sealed together with what it is beside
    np.save(tmp_path / "image.npy", a_digit(1))
    assert "9 classes" in refused(capsys, "predict", tmp_path / "run", tmp_path / "image.npy")
