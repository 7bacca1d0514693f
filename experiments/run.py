"""Makes all results: what is measured, then every row of every table that has no result yet, then the figures.

    python -m experiments.run [--modelnet DIR] [--modelnet40 DIR] [--jobs 2]          (make results)
    python -m experiments.run --estimate                           what there is to do, and how long it takes
    python -m experiments.run --commands [--port]                  the rows that are missing, for several machines
    ZO_NUMPY_QUICK=1 python -m experiments.run                     (make results-quick)

Says first what there is to do and about how long it takes. Each experiment is a process of its own. Measurements run
one at a time, as others would disturb them; rows of tables two at a time, on one thread each. What is finished is kept
and not made again: interrupt it when you like, the same command goes on. PointNet runs where --modelnet names a copy of
ModelNet10 or --modelnet40 one of ModelNet40 (quick: on synthetic solids).
"""
import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys

from datasets.modelnet import TITLES
from experiments import accuracy, batch_rows, pointnet
from experiments.common import COMMITTED, QUICK, RESULTS, ROOT, read_result
from experiments.pointnet_rows import CHANGES, PLANNED
from experiments.rows import QUICK_IMAGES, TABLES, rows_of
from zo_numpy.app.progress import say

# {result: (the experiment that makes it, seconds on two cores)}
MEASUREMENTS = {"step_bytes": (("step_bytes",), 10), "memory": (("memory",), 20), "speed": (("speed",), 180),
                "memory_pointnet": (("memory", "--model", "pointnet"), 60),
                "speed_pointnet": (("speed", "--model", "pointnet"), 60), "loss_sign": (("loss_sign",), 300)}
TRAINING_IMAGES, TEST_IMAGES = 60_000, 10_000
INFERENCE = 0.4             # of the time of a step, for an image of the test set
STARTING = 5                # seconds of a process: reading data, the last evaluation one image at a time
QUICK_POINTS = 64
PYTHON = os.path.relpath(sys.executable, ROOT) if sys.executable.startswith(str(ROOT)) else "python3"
QUICK_SECONDS = 5           # of a row or a measurement
# Of a row of ModelNet10 at 256 points:
POINTNET_SECONDS = {"full": 10 * 3600 / 16, "earlier": 600, "equal": 600, "tilt": 150, "jitter": 150}
MODELNET40 = 2.5            # times the clouds of ModelNet10


def microseconds():
    """{(precision, K): microseconds an image of a step at batch 32}, as the committed bench measured them."""
    path = COMMITTED / "speed.json"
    steps = json.loads(path.read_text())["steps"] if path.exists() else []
    return {(step["precision"], step["bp_tail"]): step["microseconds_an_image"] for step in steps
            if step["batch"] == 32}


def seconds_of(row, speeds):
    """About how long a row of a table trains and evaluates."""
    if QUICK or not row.trained:
        return QUICK_SECONDS
    config = row.config
    an_image = speeds.get((config.precision, config.bp_tail), 300) / 1e6
    an_epoch = an_image * ((config.limit or TRAINING_IMAGES) + INFERENCE * TEST_IMAGES)
    return STARTING + config.epochs * an_epoch


def duration(seconds):
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{max(1, round(seconds / 60))} minutes"


def missing_measurements():
    return [name for name in MEASUREMENTS if not read_result(name)]


def missing_rows():
    return [row for table in TABLES for row in rows_of(table) if not accuracy.is_finished(row)]


def pointnet_tables(folders):
    """The tables of PointNet that can run here: [pointnet.Table].  folders: {data set: its folder}."""
    if QUICK:
        return [pointnet.Table("full", "synthetic-solids", None, QUICK_POINTS)]
    return [pointnet.Table(name, data, folders[data], points) for name, data, points in PLANNED
            if data in folders]


def cloud_seconds(table):
    """About how long each row of a table of PointNet takes that has no result."""
    a_row = QUICK_SECONDS if QUICK else POINTNET_SECONDS[table.name] * table.points / 256 * (
        MODELNET40 if table.data == "modelnet40" else 1)
    return [a_row for _ in table.missing()]


def estimate(folders, jobs):
    """Says what there is to do."""
    measurements, rows, speeds = missing_measurements(), missing_rows(), microseconds()
    clouds = [seconds for table in pointnet_tables(folders) for seconds in cloud_seconds(table)]
    training = sum(seconds_of(row, speeds) for row in rows) / jobs
    parts = [("measurements", len(measurements), sum(QUICK_SECONDS if QUICK else MEASUREMENTS[name][1]
                                                     for name in measurements)),
             ("rows of LeNet-5", len(rows), training),
             ("rows of PointNet", len(clouds), sum(clouds))]
    for name, count, seconds in parts:
        say(f"{count:4} {name}" + (f", about {duration(seconds)}" if count else " to make"))
    if not QUICK and not folders:
        say("     PointNet is left out: name copies of ModelNet10 and ModelNet40 with --modelnet and --modelnet40 DIR")
    say(f"about {duration(sum(seconds for *_, seconds in parts))} in all, {jobs} rows at a time, into {RESULTS}")
    if QUICK:
        say(f"QUICK: two epochs of {QUICK_IMAGES:,} images, to see that everything runs: no measure of anything")


def commands(folders):
    """What makes the missing rows: (module, *words), in any order, on any machine; each row becomes a file of its own.

    Rows that start from another one's weights are one command, so that those are trained once. Those of batch sizes
    come last, as they are hundreds.
    """
    adapted = {}   # {(table, source): names of rows}
    for row in missing_rows():
        if row.source:
            adapted.setdefault((row.table, row.source.name, row.source.table), []).append(row.name)
        else:
            yield ("accuracy", row.table, "--apart", "--row", row.name)
    for (table, *_), names in adapted.items():
        yield ("accuracy", table, "--apart", "--row", *names)
    for table in pointnet_tables(folders):
        missing = table.missing()
        yield from (("pointnet", *words_of(table), "--apart", "--only", name) for name in (
            sorted({name.split("-")[0] + "-" for name in missing}) if table.name in CHANGES else missing))
    for row in batch_rows.all_rows():
        if not batch_rows.is_finished(row):
            yield ("batch_size", "--row", row.name, "--apart")


def words_of(table):
    """The options of experiments.pointnet for one of its tables."""
    return ["--data", table.data, "--points", str(table.points), "--table", table.name,
            *(["--data-dir", str(table.data_dir)] if table.data_dir else [])]


def run(*words):
    """One experiment in a process of its own.  Returns its exit status."""
    say(f"--- python -m experiments.{' '.join(words)}")
    return subprocess.run([sys.executable, "-m", f"experiments.{words[0]}", *words[1:]], cwd=ROOT).returncode


def make(folders, jobs):
    """Makes what is missing.  Returns the names of the experiments that failed."""
    failed = [name for name in missing_measurements() if run(*MEASUREMENTS[name][0])]
    if run("accuracy", *TABLES, "--jobs", str(jobs)):
        failed.append("accuracy")
    for table in pointnet_tables(folders):
        if run("pointnet", *words_of(table)):
            failed.append(f"pointnet {table.name}")
    if run("figures"):
        failed.append("figures")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modelnet", type=pathlib.Path, metavar="DIR", help="a folder that holds ModelNet10")
    parser.add_argument("--modelnet40", type=pathlib.Path, metavar="DIR", help="a folder that holds ModelNet40")
    parser.add_argument("--jobs", type=int, default=2, help="rows of LeNet-5 at a time (default 2)")
    parser.add_argument("--commands", action="store_true", help="print a command for each row that is missing, and end")
    parser.add_argument("--port", action="store_true", help="let the port in C99 train what it can of those commands")
    parser.add_argument("--estimate", action="store_true", help="say what there is to do, and end")
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error("--jobs is at least 1")
    folders = {}
    for data, folder in (("modelnet10", options.modelnet), ("modelnet40", options.modelnet40)):
        if folder and not folder.is_dir():
            parser.error(f"{folder} is no folder; name one that holds {TITLES[data]}")
        if folder:
            folders[data] = folder.resolve()
    os.chdir(ROOT)
    if options.commands:
        for module, *words in commands(folders):
            port = ["--port"] if options.port and module in ("accuracy", "pointnet") else []
            print(shlex.join([PYTHON, "-m", f"experiments.{module}", *port, *words]))
        return 0
    estimate(folders, options.jobs)
    if options.estimate:
        return 0
    try:
        failed = make(folders, options.jobs)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where it stopped", file=sys.stderr)
        return 130
    for name in failed:
        print(f"error: {name} did not end well; what was made is kept, and the same command tries again",
              file=sys.stderr)
    say("python -m experiments.tables prints the tables; python -m experiments.readme writes them into the README"
        if not QUICK else f"ZO_NUMPY_QUICK=1 {sys.executable} -m experiments.tables prints what this made")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
