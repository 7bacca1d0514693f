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
import functools
import json
import pathlib
import re
import subprocess
import sys

import numpy as np

from experiments import curves
from experiments.cells import title_of
from experiments.cloud_candidates import CANDIDATES, SPLIT, of_modelnet10
from experiments.common import QUICK, RESULTS, as_words, provenance, read_result
from experiments.merge import add_row
from experiments.port_training import built_port, write_run
from experiments.rows import make_room, seeded
from zo_numpy import models
from zo_numpy.app.data import load_data
from zo_numpy.app.drawing import panels
from zo_numpy.app.evaluation import confusion
from zo_numpy.run.checkpoint import CHECKPOINT
from zo_numpy.run.config import make_config
from zo_numpy.run.config_json import read_config
from zo_numpy.run.fitting import fitted
from zo_numpy.run.steps import PRECISIONS, parts
from zo_numpy.run.trainer import count_correct, load_weights, percent

RUNS = pathlib.Path("runs/quick" if QUICK else "runs/experiments")
QUICK_RUN = {"limit": 100, "epochs": 1} if QUICK else {}
CHANGES = {"tilt": {"tilt": 20}, "jitter": {"jitter": 40}}   # of the shapes that a trained network is adapted to
CHANGED = {"tilt": "shapes tilted by {tilt} degrees", "jitter": "shapes with noise, {jitter} thousandths of the radius"}
COLORS = {**{f"k{k}": colour for k, colour in curves.COLORS.items()}, "upright": "#56B4E9", "as-it-is": "#D55E00"}
MARKERS = {**{f"k{k}": marker for k, marker in curves.MARKERS.items()}, "upright": "v"}
LABELS = {**{f"k{k}": f"K = {k}" for k in range(4)}, "kall": "full BP", "upright": "full BP, upright shapes",
          "as-it-is": "not adapted"}
ACROSS = ("upright", "as-it-is")                            # what adapts nothing: a line across the picture
LONG, OVER = 40, 5                                          # curves of more epochs than LONG are means of so many
ADAPTED_ON = 1024                                           # training shapes that fine-tuning sees


def full_rows(seeds):
    """Every K in both precisions, the frozen controls, and full BP.  {name: options}."""
    rows = {}
    for seed in range(seeds):
        for precision in ("fp32", "int8"):
            for k in (0, 1, 2, 3, "all"):
                options = dict(precision=precision, bp_tail=k, seed=seed)
                rows[seeded(f"{precision}-k{k}", seed)] = options
                if k not in (0, "all"):
                    rows[seeded(f"{precision}-k{k}-frozen", seed)] = {**options, "zo_frozen": True}
    return rows


def earlier_rows(seeds):
    """ModelNet40 with the z (INT8) and the eta (FP32) of ModelNet10: its defaults until it had candidates of these."""
    return {name: {**options, **of_modelnet10("modelnet40", options["precision"], options["bp_tail"])}
            for name, options in full_rows(seeds).items() if options["bp_tail"] in (0, 1, 2) and "frozen" not in name}


def equal_rows(seeds):
    """INT8 as long as FP32: the same samples seen."""
    return {name.replace("fp32", "int8"): {**options, "precision": "int8", "epochs": make_config(
        dict(options, model="pointnet", data="modelnet10")).epochs}
        for name, options in full_rows(seeds).items() if name.startswith("fp32") and "frozen" not in name}


def candidate_rows(seeds):
    """Schedules to choose from, on a part of the training clouds and a validation split of them."""
    return {name: {**SPLIT, **options} for name, options in CANDIDATES.items()}


def adapted_rows(change, seeds):
    """Networks trained by full BP on upright shapes, then adapted; `source` is the row that one starts from, the same
    for all seeds.
    """
    rows = {}
    for precision in ("fp32", "int8"):
        source = f"{precision}-upright"
        rows[source] = dict(precision=precision, bp_tail="all")
        rows[f"{precision}-as-it-is"] = dict(precision=precision, bp_tail="all", source=source, untrained=True,
                                             **change)
        for seed in range(seeds):
            for name, more in (("k0", dict(bp_tail=0)), ("k2", dict(bp_tail=2)),
                               ("k2-frozen", dict(bp_tail=2, zo_frozen=True)), ("kall", dict(bp_tail="all"))):
                rows[seeded(f"{precision}-{name}", seed)] = dict(precision=precision, seed=seed, source=source,
                                                                 limit=ADAPTED_ON, **more, **change)
    return rows


TABLES = {"full": full_rows, "earlier": earlier_rows, "equal": equal_rows, "tuning": candidate_rows,
          **{name: functools.partial(adapted_rows, change) for name, change in CHANGES.items()}}
PLANNED = {   # {(table, data, points): the names of the rows that are to run, of seeds 0 to 2}; others: all at seed 0
    ("full", "modelnet10", 256): ".*", ("equal", "modelnet10", 256): ".*",
    ("full", "modelnet40", 256): r".*-k(0|2|2-frozen|all)(-seed\d)?|.*-k[13](-frozen)?",
    ("full", "modelnet40", 1024): "fp32-k(2|2-frozen|all)",
    ("earlier", "modelnet40", 256): r"int8-k[02](-seed\d)?|fp32-k1|fp32-k2(-seed\d)?",
    ("tilt", "modelnet10", 256): ".*", ("jitter", "modelnet10", 256): ".*",
}


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


def draw(result, path):
    """Test accuracy by epoch, a panel for each precision that has run; means over the seeds, with their range.

    Controls are dashed, what adapts nothing is a line across. Returns whether there was anything to draw: one row
    alone is no picture.
    """
    by_label = {}
    for name, row in sorted(result.get("rows", {}).items()):
        precision, _, label = re.sub(r"-seed\d+", "", name).partition("-")
        by_label.setdefault(precision, {}).setdefault(label, []).append(row)
    if sum(map(len, by_label.values())) < 2:
        return False
    shown = [precision for precision in ("int8", "fp32") if precision in by_label]
    longest = max(len(row["curve"]) for found in by_label.values() for rows in found.values() for row in rows)
    with panels(len(shown), (4.4 * max(len(shown), 1.4), 5.8), sharey=True) as (figure, all_axes):
        for axes, precision in zip(all_axes, shown):
            for label, found in by_label[precision].items():
                stem, frozen = label.removesuffix("-frozen"), label.endswith("-frozen")
                ended = [100 * row["last_epoch"]["test_correct"] / row["last_epoch"]["test_images"] for row in found]
                text = f"{LABELS[stem]}{', control' * frozen}: {np.mean(ended):.2f} % ({len(found)})"
                if stem in ACROSS:
                    axes.axhline(np.mean(ended), color=COLORS[stem], linestyle=":", label=text)
                else:
                    same = [row["curve"] for row in found if len(row["curve"]) == len(found[0]["curve"])]
                    curves.draw_curves(axes, np.array(same), COLORS[stem], MARKERS[stem], frozen, text,
                                       over=OVER if len(same[0]) > LONG else 1)
            curves.finish(axes, precision.upper())
        curves.scale_by_error(all_axes[0])
        all_axes[0].set_ylabel(curves.BY_ERROR)
        title = [f"PointNet, {title_of(result)}"]
        title += [words.format(**CHANGES[change]) for change, words in CHANGED.items() if f"_{change}_" in path.stem]
        title.append("means over the seeds (how many), shaded from the worst to the best")
        if longest > LONG:
            title.append(f"lines of over {LONG} epochs: each point the mean of {OVER} epochs, the mark the last one")
        figure.suptitle("\n".join(title), fontsize=11)
        figure.savefig(path, dpi=110)
    return True


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
