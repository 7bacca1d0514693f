"""PointNet on ModelNet: accuracy of every K in both precisions beside its frozen control, and fine-tuning.

    python -m experiments.pointnet --data-dir DIR [--data modelnet40] [--points 256] [--only fp32-k2] [--port]
    python -m experiments.pointnet --data-dir DIR --table tilt         a trained network on shapes that are tipped over
    python -m experiments.pointnet --data-dir DIR --table jitter       the same with noise
    python -m experiments.pointnet --data-dir DIR --table tuning       candidates of schedules, on a validation split
    python -m experiments.pointnet --data-dir DIR --list

DIR holds ModelNet10 or ModelNet40 in the layout that datasets/modelnet.py describes. A row is a run of the command
line's `train` with the tuned defaults, in runs/experiments/pointnet-TABLE-pPOINTS/ROW; interrupted, it goes on where it
stopped. With --port the port in C99 trains the rows in INT8, bit for bit the same. Results are those of the last epoch
on the test set, of all clouds and as the mean over classes. They are added to results/pointnet_TABLE_pPOINTS.json as
rows finish, with curves beside it. Rows that have a result are not run again; several may run at once.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

import numpy as np

from experiments.common import QUICK, RESULTS, as_words, provenance, read_result
from experiments.merge import add_row
from experiments.pointnet_picture import draw
from experiments.pointnet_rows import PLANNED, TABLES
from experiments.port_training import built_port, write_run
from experiments.rows import make_room
from zo_numpy import models
from zo_numpy.app.data import load_data
from zo_numpy.app.evaluation import confusion
from zo_numpy.run.checkpoint import CHECKPOINT
from zo_numpy.run.config import make_config
from zo_numpy.run.config_json import read_config
from zo_numpy.run.fitting import fitted
from zo_numpy.run.steps import PRECISIONS, parts
from zo_numpy.run.trainer import count_correct, load_weights, percent

RUNS = pathlib.Path("runs/quick" if QUICK else "runs/experiments")
QUICK_RUN = {"limit": 100, "epochs": 1} if QUICK else {}


class Table:
    """One table for one number of points: its rows, runs and results."""

    def __init__(self, name, data, data_dir, points, seeds=None, port=None):
        """seeds: how many of each row, from 0; None for the rows that are planned."""
        self.name, self.data, self.data_dir, self.points = name, data, data_dir, points
        planned = None if seeds else PLANNED.get((name, data, points))
        self.rows = {row: options for row, options in TABLES[name](seeds or (3 if planned else 1)).items()
                     if not planned or re.fullmatch(planned, row)}
        suffix = f"{name}_p{points}" if data == "modelnet10" else f"{name}_{data}_p{points}"
        self.result_name, self.runs = f"pointnet_{suffix}", RUNS / f"pointnet-{suffix.replace('_', '-')}"
        self.port = port

    def results(self):
        return read_result(self.result_name).get("rows", {})

    def missing(self):
        """The names of the rows that have no result."""
        done = self.results()
        return [name for name in self.rows if name not in done]

    def options(self, name):
        """The options of `train` for a row."""
        options = {name: value for name, value in self.rows[name].items() if name not in ("source", "untrained")}
        return {"model": "pointnet", "data": self.data, "points": self.points, "seed": 0, **options, **QUICK_RUN}

    def source(self, name):
        """The folder of the row that a row starts from, or None."""
        return self.runs / self.rows[name]["source"] if "source" in self.rows[name] else None

    def run(self, name):
        """The result of a row."""
        if self.rows[name].get("untrained"):
            return self.as_it_is(name)
        source = {"init_from": str(self.source(name))} if self.source(name) else {}
        config = make_config({**self.options(name), **source})
        if self.port and self.port.trains(config):
            return self.run_by_port(name, config)
        folder, place = self.runs / name, {"data_dir": self.data_dir} if self.data_dir else {}
        make_room(folder, config)
        subprocess.run([sys.executable, "-m", "zo_numpy", "train", "--out", str(folder), "--resume",
                        *as_words({**self.options(name), **source, **place})], check=True)
        config = read_config(folder)
        metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        accuracy, last = [key for key in metrics[-1] if key.endswith("_accuracy")][-1], metrics[-1]
        by_class = mean_class_accuracy(config, load_data(config, self.data_dir, announce=lambda text: None),
                                       load_weights(config, folder)[0], last[accuracy.replace("accuracy", "correct")])
        return {"config": self.without_place(json.loads((folder / "config.json").read_text())),
                "last_epoch": {**last, "mean_class_accuracy": by_class},
                "seconds": round(sum(line["seconds"] for line in metrics), 1),
                "curve": [line[accuracy] for line in metrics],
                "weights_sha256": (folder / "steps.txt").read_text().split()[-1], "made_with": provenance()}

    def without_place(self, config):
        """A run's config.json without the folder that its data lay in."""
        return {**config, "dataset": {**config["dataset"], "source":
                                      f"copy at hand, {self.points} points of each cloud"}}

    def run_by_port(self, name, config):
        """The same, by the port."""
        dataset = load_data(config, self.data_dir, announce=lambda text: None)
        config = fitted(config, dataset)
        result, weights = self.port.result(config, dataset, self.source(name))
        last = result["last_epoch"]
        correct = next(value for name, value in last.items() if name.endswith("_correct"))
        last["mean_class_accuracy"] = mean_class_accuracy(config, dataset, weights, correct)
        if any(options.get("source") == name for options in self.rows.values()):   # others start from it
            write_run(self.runs / name, result["config"], weights)
        return {**result, "config": self.without_place(result["config"])}

    def as_it_is(self, name):
        """The accuracy of another row's network on this row's shapes, without adaptation."""
        source, config = self.source(name), make_config(self.options(name))
        dataset = load_data(config, self.data_dir, announce=lambda text: None)
        config, precision = fitted(config, dataset), PRECISIONS[config.precision]
        weights, _ = load_weights(read_config(source), source)
        correct = count_correct(precision, models.of_run(config), weights, precision.decode_clouds(dataset.test_images),
                                dataset.test_labels)
        total = len(dataset.test_labels)
        last = {"test_correct": correct, "test_images": total, "test_accuracy": float(percent(correct, total))}
        return {"last_epoch": last, "curve": [], "made_with": provenance()}

    def run_all(self, only, apart=False):
        """Makes the rows that have no result.  only: a row, or what the names of those contain."""
        wanted = [only] if only in self.rows else [name for name in self.rows if only in name]
        for name in wanted:
            if name in self.results():
                continue
            source = self.source(name)
            if source and not (source / CHECKPOINT).exists():   # of another machine, or not asked for
                print(f"{name} starts from {source.name}, which is trained first", flush=True)
                self.run(source.name)
            head = {"experiment": "pointnet", "data": self.data, "points": self.points}
            add_row(self.result_name, head, name, self.run(name), apart)
            if self.name != "tuning" and not apart:
                draw(read_result(self.result_name), RESULTS / f"{self.result_name}.png")

    def list(self):
        done = self.results()
        for name in self.rows:
            print(f"{name}: " + (f"{done[name]['last_epoch']}" if name in done else "not run"))


def mean_class_accuracy(config, dataset, weights, correct):
    """The mean of the classes' accuracies in %, two decimals, of a network on what its run reports on.

    correct: how many samples it had right there, which must be so again, or ValueError.
    """
    model, (_, (samples, labels), _) = models.of_run(config), parts(config, dataset)
    matrix = confusion(PRECISIONS[config.precision], model, weights, samples, labels)
    if matrix.trace() != correct:
        raise ValueError(f"{matrix.trace()} samples are right, and {correct} were when the run ended")
    there = matrix.sum(axis=1) > 0
    return round(float(np.mean(100 * matrix.diagonal()[there] / matrix.sum(axis=1)[there])), 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=("modelnet10", "modelnet40", "synthetic-solids"), default="modelnet10")
    parser.add_argument("--data-dir", default=None, help="the folder that holds the data set")
    parser.add_argument("--points", type=int, default=256)
    parser.add_argument("--table", choices=TABLES, default="full")
    parser.add_argument("--only", default="", help="a row, or all rows whose name contains this")
    parser.add_argument("--seeds", type=int, help="of each row, from 0 (default: those that are planned)")
    parser.add_argument("--port", action="store_true", help="let the port in C99 train what it can")
    parser.add_argument("--apart", action="store_true", help="a file for each row, for `python -m experiments.merge`")
    parser.add_argument("--list", action="store_true", help="name the rows and their results")
    options = parser.parse_args()
    table = Table(options.table, options.data, options.data_dir, options.points, options.seeds,
                  built_port() if options.port and not options.list else None)
    if options.list:
        table.list()
    else:
        table.run_all(options.only, options.apart)


if __name__ == "__main__":
    main()
