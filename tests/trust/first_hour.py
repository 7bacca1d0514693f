"""A new user's first hour: pictures of one's own, packed, trained on, and taken elsewhere.

    python -m tests.trust.first_hour [--scratch DIR] [--no-result]

Draws 600 small JPEGs in 12 classes; packs them; trains LeNet-5 and a network of one's own in both precisions at K = 0, 2
and all, and the control of K = 2; kills a run and resumes it; evaluates, predicts, compares, exports; installs the
package elsewhere, which must predict the same. Writes experiments/results/trust_first_hour.json; exit status 1 if
anything was not as it must be. The schedules were chosen on a part of the training pictures held out, not on the test.
"""
import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import numpy as np
from PIL import Image

from datasets import pack
from experiments.common import as_words, save_result
from tests.trust import runs
from tests.trust.children import Child
from tests.trust.drawn_shapes import SHAPES, draw_folder, picture
from tests.trust.installed import install
from zo_numpy.__main__ import main as zo_numpy
from zo_numpy.run.checkpoint import digest, read_checkpoint
from zo_numpy.run.folder import CHECKPOINT

OWN = [{"type": "Conv2d", "name": "edges", "out_channels": 8, "kernel": 3, "pad": 1},
       {"type": "MaxPool2d", "size": 4}, {"type": "ReLU"}, {"type": "Flatten"},
       {"type": "Linear", "name": "hidden", "out_features": 32}, {"type": "ReLU"},
       {"type": "Linear", "name": "middle", "out_features": 24}, {"type": "ReLU"}, {"type": "Linear", "name": "out"}]
MOVES = dict(p_zero=(192, 224, 240))   # of ZO alone
OPTIONS = {   # what differs from the defaults, which are tuned for 60,000 pictures
    ("int8", "0"): dict(epochs=20),
    ("int8", "2"): dict(epochs=100, **MOVES),
    ("int8", "all"): dict(epochs=24),
    ("fp32", "0"): dict(epochs=20),
    ("fp32", "2"): dict(epochs=40),
    ("fp32", "all"): dict(epochs=30),
}
BATCH = 16
LINEAR_BELOW, K2_ABOVE, BP_ABOVE = 60, 60, 90   # % of the test pictures
PENALTIES = (1, 10, 100, 1000, 10000)           # of the linear classifier; the best one on the test counts


class Length(NamedTuple):
    """How much of it is done."""
    each: int          # pictures of a class
    models: tuple
    seeds: int         # of K = 2 and its control, for the first network
    epochs: int        # of every run; 0: as OPTIONS says
    whole: bool        # the accuracies are judged, and the package is installed, which needs a network


TAILS = ("0", "2", "all")
PATIENCE = 3600   # seconds, after which a command hangs
LONG = Length(50, ("lenet5", "own"), 3, 0, True)
SHORT = Length(6, ("narrow-lenet", "own"), 1, 3, False)


class Hour:
    """A user in a folder.  Keeps what was seen, and what was not as it must be."""

    def __init__(self, folder, length):
        self.folder, self.length = folder, length
        self.problems, self.result = [], {}

    def start(self, *words, command=zo_numpy, **variables):
        """A Child with the command line."""
        def work():
            os.environ.update(variables)
            os.chdir(self.folder)
            return command([str(word) for word in words])
        return Child(work)

    def call(self, *words, **more):
        """Runs a command to its end.  Returns what it said; a failure or a warning is a problem."""
        end = self.start(*words, **more).end(PATIENCE)
        self.must(not (end.status or end.err), f"{' '.join(map(str, words))}: status {end.status}: {end.err[-300:]}")
        return end.out

    def must(self, fact, text):
        if not fact:
            self.problems.append(text)

    def pack(self):
        """Draws and packs the pictures, and classifies them by their pixels alone."""
        draw_folder(self.folder / "pictures", self.length.each)
        said = self.call("pictures", "mine.npz", "--split", "0.2", command=pack.main)
        self.result["data"] = said.splitlines()[-1] if said else ""
        self.must("12 classes" in said, f"pack: {said!r}")
        (self.folder / "own.json").write_text(json.dumps(OWN))
        with np.load(self.folder / "mine.npz", allow_pickle=False) as data:
            self.result["linear"] = max(linear_accuracy(data, penalty) for penalty in PENALTIES)

    def options(self, model, precision, tail, control=False, seed=0):
        chosen = {name: value for name, value in OPTIONS[precision, tail].items() if not (control and name in MOVES)}
        if self.length.epochs:   # with schedules as they are by default, which may be longer
            chosen = {"epochs": self.length.epochs}
        return ["--data", "mine.npz", "--model", "own.json" if model == "own" else model, "--precision", precision,
                "--bp-tail", tail, "--seed", seed, "--batch-size", BATCH, *as_words(chosen),
                *(["--zo-frozen"] if control else [])]

    def train(self, *key, **more):
        """Trains.  Returns the test accuracy, %."""
        name = "-".join([*key, *(f"{name}{value}" for name, value in more.items())])
        self.call("train", *self.options(*key, **more), "--out", name)
        accuracy = runs.metrics(self.folder / name)[-1]["test_accuracy"]
        print(f"{name}: {accuracy} %", flush=True)
        return accuracy

    def train_all(self):
        """Trains everything.  Judges the accuracies, if that is wanted."""
        table = self.result["accuracy"] = {}
        for model in self.length.models:
            for precision in ("int8", "fp32"):
                row, seeds = {}, range(self.length.seeds if model == self.length.models[0] else 1)
                for tail in TAILS:
                    row[f"K = {tail}"] = [self.train(model, precision, tail, seed=seed)
                                          for seed in (seeds if tail == "2" else range(1))]
                row["control of K = 2"] = [self.train(model, precision, "2", control=True, seed=seed) for seed in seeds]
                table[f"{model} {precision}"] = row
        if self.length.whole:
            self.judge(table)

    def judge(self, table):
        """What the first network must reach; a user's own may be as good with a head that stays as it began."""
        self.must(self.result["linear"] < LINEAR_BELOW, f"the linear classifier has {self.result['linear']} %")
        for precision in ("int8", "fp32"):
            row = table[f"{self.length.models[0]} {precision}"]
            k2, control, bp = (np.mean(row[key]) for key in ("K = 2", "control of K = 2", "K = all"))
            self.must(k2 > control, f"{precision}: K = 2 has {k2:.2f} %, its control {control:.2f} %")
            self.must(k2 > K2_ABOVE, f"{precision}: K = 2 has {k2:.2f} %")
            self.must(bp > BP_ABOVE, f"{precision}: full BP has {bp:.2f} %")

    def kill_and_resume(self):
        """A run that is killed in the middle goes on to the bytes of the one that was not."""
        found = []
        for model in self.length.models:
            whole, words = f"{model}-int8-2-seed0", ["train", *self.options(model, "int8", "2"), "--out", "killed"]
            child = self.start(*words)
            log, lines = self.folder / "killed" / "steps.txt", 0
            wanted = (self.folder / whole / "steps.txt").read_bytes().count(b"\n") // 2
            while lines < wanted and not os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                time.sleep(0.005)
                lines = log.read_bytes().count(b"\n") if log.exists() else 0
            os.kill(child.pid, signal.SIGKILL)
            self.must(child.end().status == -signal.SIGKILL, f"{whole} ended before it could be killed")
            self.call(*words, "--resume")
            found += [f"{whole}, killed and resumed: {difference}"
                      for difference in runs.differences(self.folder / "killed", self.folder / whole)]
            shutil.rmtree(self.folder / "killed")
        self.problems += found
        self.result["killed and resumed"] = found or "the same bytes"

    def threads(self):
        """INT8 digests on one thread and on two."""
        same = self.result["weights_sha256 on one and two threads"] = {}
        for model in self.length.models:
            for threads in ("1", "2"):
                out = f"{model}-threads{threads}"
                self.call("train", *self.options(model, "int8", "2"), "--epochs", 5, "--out", out,
                          ZO_NUMPY_THREADS=threads)
                found = digest(read_checkpoint(self.folder / out / CHECKPOINT)[0])
                self.must(found == same.setdefault(model, found), f"{model}: another digest on {threads} threads")

    def use(self):
        """Evaluates without options, predicts, compares, exports.  Returns what was predicted."""
        draw = np.random.default_rng(1)
        names = [f"{name}.jpg" for name in SHAPES]
        for name in SHAPES:
            Image.fromarray(picture(draw, name, size=72)).save(self.folder / f"{name}.jpg")
        predicted = {}
        every = [f"{model}-{precision}-2-seed0" for model in self.length.models for precision in ("int8", "fp32")]
        for run in every:
            accuracy = runs.metrics(self.folder / run)[-1]["test_accuracy"]
            self.must(f"test accuracy {accuracy:.2f} %" in self.call("evaluate", run), f"evaluate {run} says otherwise")
            predicted[run] = predictions(self.call("predict", run, *names))
            self.must(len(predicted[run]) == len(SHAPES), f"predict {run}: {predicted[run]}")
            self.call("export", run)
            with np.load(self.folder / run / "weights.npz", allow_pickle=False) as exported:
                weights = read_checkpoint(self.folder / run / CHECKPOINT)[0]
                self.must(all(np.array_equal(exported[name], weights[name]) for name in weights),
                          f"export {run}: other weights")
            if "int8" in run:
                self.call("export", run, "--format", "c")
                self.must((self.folder / run / "weights.h").stat().st_size > 0, f"export {run}: no header")
        self.call("compare", *every)
        self.must((self.folder / "compare.png").read_bytes().startswith(b"\x89PNG"), "compare: no picture")
        right = [sum(name[:-4] == chosen.split()[0] for name, chosen in found.items()) for found in predicted.values()]
        self.result["right of 12 JPEGs of 72 x 72"] = dict(zip(every, right))
        return predicted

    def elsewhere(self, predicted):
        """The package installed in an empty environment, and the runs moved: the same predictions."""
        place = self.folder / "elsewhere"
        place.mkdir()
        command, others = install(place), []
        for run, wanted in predicted.items():
            shutil.copytree(self.folder / run, place / run)
            words = [command, "predict", run, *(self.folder / name for name in wanted)]
            done = subprocess.run(words, cwd=place, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True)
            found = list(predictions(done.stdout).values())
            if found != list(wanted.values()):
                others.append(f"{run} predicts otherwise elsewhere: {found} {done.stderr}")
        self.problems += others
        self.result["predictions where it is installed"] = others or "the same"


def predictions(text):
    """{a picture: its class} of what `predict` says."""
    return dict(re.findall(r"^(\S+\.jpg): (.*)", text, re.M))


def linear_accuracy(data, penalty):
    """% of the test pictures that ridge regression on the pixels takes for what they are."""
    (x, y), (x_test, y_test) = ((data[f"x_{part}"].reshape(len(data[f"x_{part}"]), -1) / 127.5 - 1, data[f"y_{part}"])
                                for part in ("train", "test"))
    targets = np.eye(len(SHAPES))[y]
    weights = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), targets - targets.mean(0))
    return round(100 * float(np.mean(np.argmax(x_test @ weights + targets.mean(0), 1) == y_test)), 2)


def live(folder, length):
    """The whole hour in a folder.  Returns the Hour."""
    hour, started = Hour(folder, length), time.monotonic()
    hour.pack()
    hour.train_all()
    hour.kill_and_resume()
    hour.threads()
    predicted = hour.use()
    if length.whole:
        hour.elsewhere(predicted)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    hour.result["seconds"] = round(time.monotonic() - started)
    hour.result["processor_seconds"] = round(used.ru_utime + used.ru_stime)
    return hour


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.trust.first_hour", description=__doc__.split("\n\n")[0])
    parser.add_argument("--scratch", type=pathlib.Path, help="where a folder is made and removed (default: temporary)")
    parser.add_argument("--no-result", action="store_true", help="leave experiments/results as it is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        hour = live(pathlib.Path(scratch), LONG)
    print(*hour.problems, f"first hour: {len(hour.problems)} problems", sep="\n")
    if not options.no_result:
        options = {f"{precision} K = {tail}": chosen for (precision, tail), chosen in OPTIONS.items()}
        save_result("trust_first_hour", {**hour.result, "batch_size": BATCH, "options": options,
                                         "problems": hour.problems})
    return 1 if hour.problems else 0


if __name__ == "__main__":
    sys.exit(main())
