"""Small data sets, short runs on them and the commands that make them, for the tests of whole runs."""
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np

from datasets import idx
from datasets.image_set import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from tests.trust.runs import differences, metrics  # noqa: F401 (tests take metrics from here)
from zo_numpy.__main__ import main

ROOT = pathlib.Path(__file__).resolve().parent.parent

# `train` with another pause between checkpoints: python -c DRIVER SECONDS train ...
DRIVER = """
import sys
from zo_numpy import __main__
from zo_numpy.run import trainer
trainer.SAVE_EVERY_SECONDS = float(sys.argv[1])
sys.exit(__main__.main(sys.argv[2:]))
"""


def write_digits(folder, train=200, test=60, seed=0):
    """A data set in MNIST's four files: noise and a bar as high as its class.  Returns the folder."""
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for images_file, labels_file, count in ((TRAIN_IMAGES, TRAIN_LABELS, train),
                                            (TEST_IMAGES, TEST_LABELS, test)):
        labels = draw.integers(0, 10, count, np.uint8)
        images = draw.integers(0, 60, (count, 28, 28), np.uint8)
        for image, label in zip(images, labels):
            image[2 * label:2 * label + 6, 4:24] = 230
        (folder / images_file).write_bytes(idx.encode(images))
        (folder / labels_file).write_bytes(idx.encode(labels))
    return folder


def train_options(data, out, *more, epochs=2):
    """The options of a short run of the smallest network: 13 steps an epoch on 200 images, the last of 8."""
    return ["train", "--model", "narrow-lenet", "--data-dir", str(data), "--batch-size", "16",
            "--epochs", str(epochs), "--out", str(out), *map(str, more)]


def train(data, out, *more, epochs=2):
    """Trains in this process.  Returns the run's folder."""
    assert main(train_options(data, out, *more, epochs=epochs)) == 0
    return out


def environment(**changes):
    """The environment of a child that finds this project; changes: variables to set."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "ZO_NUMPY_THREADS": "1", **changes}


def at_default_signals():
    """For a child's preexec_fn: a test run in the background may have been told to ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def python(*arguments, env=None, timeout=120, **options):
    """Runs Python on `arguments` to its end.  Returns a CompletedProcess with text."""
    return subprocess.run([sys.executable, *map(str, arguments)], env=environment(**(env or {})), text=True,
                          capture_output=True, timeout=timeout, **options)


def peak_memory():
    """The most memory that this process has had, resident, in KB; None where the system does not say.

    Not `ru_maxrss`, which a child takes over from its parent.
    """
    status = pathlib.Path("/proc/self/status")
    peak = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")] \
        if status.exists() else []
    return int(peak[0]) if peak else None


def start(*arguments, save_every=1000, **options):
    """Starts a command with `save_every` seconds between checkpoints.  Returns a Popen with text pipes."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment(),
               "preexec_fn": at_default_signals, **options}
    return subprocess.Popen([sys.executable, "-c", DRIVER, str(save_every), *map(str, arguments)], **options)


def one_line(stderr):
    """The text after `error: ` of a refusal, which must be one line and no traceback."""
    assert stderr.startswith("error: ") and stderr.endswith("\n") and stderr.count("\n") == 1, stderr
    return stderr[len("error: "):-1]


def refused(capsys, *arguments):
    """Checks that a command, run in this process, is refused in one line.  Returns the line."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    return one_line(capsys.readouterr().err)


def snapshot(folder):
    """{relative path: bytes, None for a folder} of all there is below a folder, but for the lock file."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*")) if path.name != ".lock"}


def assert_same_run(mine, undisturbed):
    """Checks that two runs ended in the same bytes, clocks excepted, and nothing half-written is left."""
    assert differences(mine, undisturbed) == []


def golden_said(capsys, *words):
    """(exit status, lines printed) of a `golden` command that says nothing on stderr."""
    capsys.readouterr()
    status = main(["golden", *map(str, words)])
    printed = capsys.readouterr()
    assert printed.err == ""
    return status, printed.out.splitlines()
