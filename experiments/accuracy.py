"""Accuracy of every method: every row is a run of the command line's `train`, resumable, its result committed.

    python -m experiments.accuracy mnist-int8 [fine-tuning ...] [--jobs 2] [--seeds N] [--only k2]
    python -m experiments.accuracy mnist-int8 --port           INT8 rows by the port in C99, several times faster
    python -m experiments.accuracy --list

rows.py says what the tables are; `python -m experiments.tables` prints them. A row is trained in a process of its own
in runs/experiments/TABLE/ROW; interrupted, it goes on where it stopped. Its result, that of the last epoch, is added to
results/accuracy_TABLE.json as it finishes. Rows that have one are not run again, unless the defaults have changed.
"""
import argparse
import concurrent.futures
import contextlib
import functools
import json
import os
import subprocess
import sys
import threading

from experiments.common import as_words, provenance, read_result
from experiments.merge import add_row
from experiments.port_training import built_port
from experiments.rows import ADAPTED_TO, TABLES, as_json, is_current, make_room, rows_of
from zo_numpy.app.data import load_data
from zo_numpy.app.progress import say
from zo_numpy.models import MODELS
from zo_numpy.run.config import make_config
from zo_numpy.run.config_json import read_config
from zo_numpy.run.steps import PRECISIONS
from zo_numpy.run.trainer import count_correct, load_weights

loading = threading.Lock()


class RowFailed(Exception):
    """A row's process did not end well; it has said why."""


def result_name(table):
    return "accuracy_" + table.replace("-", "_")


def results(table):
    """{row's name: result} of a table."""
    return read_result(result_name(table)).get("rows", {})


def is_finished(row):
    found = results(row.table).get(row.name)
    return found is not None and is_current(row, found["config"])


def add_result(row, result, apart=False):
    """Adds a row to its table's file, or writes it into a file of its own."""
    add_row(result_name(row.table), {"experiment": "accuracy", "table": row.table}, row.name, result, apart)


def words_of(row):
    """The options of a row as `train` takes them."""
    return as_words({**row.options, **({"init_from": row.source.folder} if row.source else {})})


def train_row(row, shown, threads):
    """Trains a row to its end in a process of its own.  shown: whether its output is; else it is kept beside the run.

    A run of a row that meant something else, before the defaults changed, makes room: it is renamed.
    """
    make_room(row.folder, row.config)
    row.folder.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **({"ZO_NUMPY_THREADS": str(threads)} if threads else {})}
    command = [sys.executable, "-m", "zo_numpy", "train", "--out", str(row.folder), "--resume", *words_of(row)]
    with contextlib.ExitStack() as stack:
        output = None if shown else stack.enter_context(open(row.folder.with_name(f"{row.name}.log"), "a"))
        status = subprocess.run(command, stdout=output, stderr=output, env=environment).returncode
    if status:
        raise RowFailed(f"{row.table} {row.name} ended with status {status}"
                        + ("" if shown else f", see {row.folder.with_name(row.name + '.log')}"))


@functools.lru_cache(maxsize=2)
def data_of(name, degrees):
    return load_data(make_config({"data": name, "rotate": degrees}), announce=lambda text: None)


def right_of(source, weights, config):
    """How many of the test images of `config` a network has right, of all and of the first 1,024.

    source: the Config that its weights belong to.
    """
    with loading:
        dataset = data_of(config.data, config.rotate)
    given = PRECISIONS[source.precision], MODELS[source.model], weights
    right = {}
    for name, part in (("all", slice(None)), ("first", slice(ADAPTED_TO))):
        images, labels = dataset.test_images[part], dataset.test_labels[part]
        right[name] = {"correct": count_correct(*given, images, labels), "images": len(labels)}
    return right


def run_row(row, shown=True, threads=None, port=None):
    """A row's result, after training it.  port: the port_training.Port that trains it, if it can."""
    if not row.trained:
        source = read_config(row.source.folder)
        weights, _ = load_weights(source, row.source.folder)
        return {"config": as_json(row.config), "trained": False, "right": right_of(source, weights, row.config),
                "made_with": provenance()}
    if port and port.trains(row.config):
        return result_by(port, row)
    train_row(row, shown, threads)
    config = json.loads((row.folder / "config.json").read_text())
    metrics = [json.loads(line) for line in (row.folder / "metrics.jsonl").read_text().splitlines()]
    result = {"config": config, "last_epoch": metrics[-1], "seconds": round(sum(m["seconds"] for m in metrics), 1),
              "curve": [m.get("test_accuracy", m.get("validation_accuracy")) for m in metrics],
              "losses": [m["train_loss"] for m in metrics],
              "weights_sha256": (row.folder / "steps.txt").read_text().split()[-1], "made_with": provenance()}
    if row.source:
        config = read_config(row.folder)
        result["right"] = right_of(config, load_weights(config, row.folder)[0], config)
    return result


def result_by(port, row):
    """A row's result as the port trains it, which logs no losses and no seconds."""
    with loading:
        dataset = data_of(row.config.data, row.config.rotate)
    try:
        result, weights = port.result(row.config, dataset, row.source and row.source.folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RowFailed(f"{row.table} {row.name}: {error}") from None
    return {**result, "right": right_of(row.config, weights, row.config)} if row.source else result


def has_weights(row):
    """Whether a row that others start from is there to the end, as it is today."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        last = json.loads((row.folder / "metrics.jsonl").read_text().splitlines()[-1])
        return is_current(row, json.loads((row.folder / "config.json").read_text())) and (
            last["epoch"] == row.config.epochs)
    return False


def run_all(rows, jobs, port=None, apart=False):
    """Runs rows, `jobs` at a time, by the port if one is given and can, adding results as they finish.

    Returns (table, name) of those that failed.
    """
    failed = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(run_row, row, jobs == 1, 1 if jobs > 1 else None, port): row for row in rows}
        try:
            for future in concurrent.futures.as_completed(running):
                row = running[future]
                try:
                    result = future.result()
                    if not is_finished(row):   # else it was trained for its weights alone
                        add_result(row, result, apart)
                    say(f"{row.table} {row.name}: {told(result)}")
                except RowFailed as error:
                    failed.append((row.table, row.name))
                    print(f"error: {error}", file=sys.stderr)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failed


def told(result):
    """A result in a few words."""
    if "last_epoch" in result:
        last = result["last_epoch"]
        return f"{last.get('test_accuracy', last.get('validation_accuracy'))} % after epoch {last['epoch']}"
    return "{correct:,} of {images:,} right, not adapted".format(**result["right"]["all"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--row", nargs="+", metavar="NAME", help="these rows alone, by their names")
    parser.add_argument("--apart", action="store_true", help="a file for each row, for `python -m experiments.merge`")
    parser.add_argument("--seeds", type=int, help="of each row, from 0 (default 3, or 5 of some)")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time, each on one thread if several (default 1)")
    parser.add_argument("--port", action="store_true", help="let the port in C99 train what it can")
    parser.add_argument("--list", action="store_true", help="name the rows and whether they have a result")
    options = parser.parse_args()
    unknown = set(options.tables) - set(TABLES)
    if unknown:
        parser.error(f"{sorted(unknown)[0]} is no table; choose of {', '.join(TABLES)}")
    if (options.seeds is not None and options.seeds < 1) or options.jobs < 1:
        parser.error("--seeds and --jobs are at least 1")
    rows = [row for table in options.tables or TABLES for row in rows_of(table, options.seeds)
            if options.only in row.name and (options.row is None or row.name in options.row)]
    if options.list or not options.tables:
        for row in rows:
            found = results(row.table).get(row.name)
            state = "not run" if found is None else told(found) + ("" if is_finished(row) else " (with other settings)")
            print(f"{row.table} {row.name}: {state}")
        return 0
    todo = [row for row in rows if not is_finished(row)]
    sources = {(row.source.table, row.source.name): row.source for row in todo if row.source}
    first = [source for source in sources.values() if not has_weights(source)]
    port = built_port() if options.port and todo else None
    try:
        failed = run_all(first, options.jobs, apart=options.apart)   # whose weights others need
        done = {(row.table, row.name) for row in first}
        failed += run_all([row for row in todo if (row.table, row.name) not in done
                           and not (row.source and (row.source.table, row.source.name) in failed)], options.jobs, port,
                          options.apart)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where it stopped", file=sys.stderr)
        return 130
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
