"""The program that `export RUN --format c` writes, on machines that are not at hand: what port_machines measures of it.

It starts from the weights of a short run on a part of the MNIST subset, and trains for an epoch on all of it, a sample
a step, with the running scale of the tail's steps. What it must give is what zo_numpy's own run gives that starts from
the same weights (`--init-from`): every line of its log, the digest, and how many test images are right one at a time.
"""
import pathlib
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

from experiments.common import QUICK, as_words
from zo_numpy import rng
from zo_numpy.app.data import load_data
from zo_numpy.app.report import load_run
from zo_numpy.errors import UserError
from zo_numpy.run.config_json import read_config
from zo_numpy.run.steps import parts
from zo_numpy.run.trainer import count_correct

OPTIONS = dict(data="mnist-subset", bp_tail=2, batch_size=1, tail_scale="running", epochs=1, seed=0)
FIRST, ALL, TESTED = (50, 100, 100) if QUICK else (1000, 10000, 2000)   # images of the first run, the epoch, the test
NAME = "lenet5"          # of the exported folder, and what it is called in C
FACTS = ("instructions", "flash", "code", "static", "stack")   # what the image for a Cortex-M tells, a line each


class Program(NamedTuple):
    """An exported folder, and what zo_numpy makes of the same."""
    folder: pathlib.Path
    records: bytes           # of the epoch, in the order of its steps, then of the test: a label and its pixels
    lines: list[str]         # of the steps: step L+ L- g
    digest: str              # after the epoch
    right: int               # of the test images, one at a time
    images: int
    step_digest: str         # after a training step on the sample of the self-test
    config: dict             # what the epoch was trained with


def zo_numpy(*words):
    """Runs a command of the command line.  Raises UserError with what it said last."""
    done = subprocess.run([sys.executable, "-m", "zo_numpy", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"`zo_numpy {words[0]}` failed: {(done.stderr or done.stdout).splitlines()[-1]}")


def write_program(folder):
    """Trains twice and exports the first run; returns the Program.  folder: it is emptied."""
    shutil.rmtree(folder, ignore_errors=True)
    first, epoch = folder / "first", folder / "epoch"
    zo_numpy("train", *as_words({**OPTIONS, "limit": FIRST}), "--offline", "--out", first)
    begun = read_config(first)
    values = {name: begun.at(name, begun.epochs - 1) for name in begun.schedules}   # as the exported program has them
    zo_numpy("train", *as_words({**OPTIONS, **values, "limit": ALL, "init_from": first}), "--offline", "--out", epoch)
    zo_numpy("export", first, "--format", "c", "--out", folder / NAME)
    config, model, precision, weights = load_run(epoch)
    (samples, labels), (images, classes), _ = parts(config, load_data(config, offline=True, announce=lambda text: None))
    order, images, classes = rng.shuffled(config.seed, 0, len(labels)), images[:TESTED], classes[:TESTED]
    records = [*zip(samples[order], labels[order]), *zip(images, classes)]
    log = [line.split() for line in (epoch / "steps.txt").read_text().splitlines()]
    digests = re.findall(r'"([0-9a-f]{64})"', (folder / NAME / f"{NAME}_model.c").read_text())
    return Program(folder / NAME, b"".join(bytes([label]) + sample.tobytes() for sample, label in records),
                   [" ".join(words[:4]) for words in log], log[-1][-1],
                   count_correct(precision, model, weights, images, classes, batch=1), len(classes), digests[-1],
                   {**OPTIONS, "limit": ALL, **values, "first": {"limit": FIRST}})


def built(program, place, goal, *words):
    """A copy of the exported folder in which `make GOAL` has run.  words: of make.  Raises UserError."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(program.folder, place)
    made = subprocess.run(["make", "-s", "-C", str(place), goal, *words], capture_output=True, text=True)
    if made.returncode or made.stderr:
        raise UserError(f"the exported program does not build ({goal} {' '.join(words)}):\n"
                        + "\n".join(made.stderr.splitlines()[:12]))
    return place


def checked(program, place, compiler, flags, emulator=None):
    """The self-test, and an epoch of training, on one machine.  emulator: a command, or None for this machine.

    Returns {"self_test": whether it passed, "epoch": {...}}.  Raises UserError if it does not build or stops.
    """
    path = built(program, place, NAME, f"CC={compiler}", f"CFLAGS={' '.join(flags)}") / NAME
    words = [*filter(None, [emulator]), str(path)]
    tested = subprocess.run([*words, "test"], capture_output=True, text=True)
    trained = subprocess.run([*words, "train", str(len(program.lines))], input=program.records, capture_output=True)
    if trained.returncode:
        raise UserError(f"the program stops on {place.name}: {trained.stderr.decode(errors='replace').strip()}")
    *lines, digest, right = trained.stdout.decode().splitlines()
    agree = sum(line == other for line, other in zip(lines, program.lines))
    _, right, _, images = right.split()
    return {"self_test": tested.returncode == 0 and "passed" in tested.stdout,
            "epoch": {"steps_agree": agree, "steps_differ": max(len(lines), len(program.lines)) - agree,
                      "weights_sha256": digest.split()[-1], "right": int(right), "images": int(images)}}


def agrees(program, row):
    """Whether a machine's result is zo_numpy's own."""
    epoch = row["epoch"]
    return row["self_test"] and not epoch["steps_differ"] and (
        epoch["weights_sha256"], epoch["right"], epoch["images"]) == (program.digest, program.right, program.images)


def bare_metal(program, place):
    """What the image for a Cortex-M without an operating system says of itself.  Raises UserError.

    It runs twice: `alike` is whether both said the same, the number of instructions included.
    """
    built(program, place, "cortex-m")
    said = [subprocess.run(["make", "-s", "-C", str(place), "cortex-m-test"], capture_output=True, text=True)
            for _ in range(2)]
    text = said[0].stdout
    facts = dict(re.findall(rf"^({'|'.join(FACTS)}) +(\d+)", text, re.M))
    digest = re.search(r"^weights sha256 ([0-9a-f]{64})", text, re.M)
    if len(facts) != len(FACTS) or not digest:
        raise UserError(f"the image for a Cortex-M does not run to its end: {(text + said[0].stderr).strip()}")
    return {"self_test": said[0].returncode == 0 and "self-test passed" in text, "weights_sha256": digest[1],
            "alike": said[0].stdout == said[1].stdout, **{name: int(facts[name]) for name in FACTS}}
