"""Rows of the results in INT8, trained anew from their first step by the port in C99.

    python -m experiments.port_rows [accuracy_mnist_int8/k2 ...]
    python -m experiments.port_rows accuracy_mnist_int8      all rows of a table that the port here has not trained yet

takes a row's configuration from its result, trains it, and compares the digest of the weights and every accuracy with
what the row has. A row that starts from another one's weights has that one repeated before it. Where all agrees,
`trained_with` of the row names the port's folder and this commit, if another port stands there; what was repeated goes
into results/port_rows.json, a row at a time. Without names it is a row of each table.
"""
import argparse
import pathlib
import sys
import time

from experiments.common import RESULTS, as_text, changing, read_result, save_result
from experiments.port import CC
from experiments.port_training import Port, built_port
from zo_numpy.app.data import load_data
from zo_numpy.app.progress import say
from zo_numpy.errors import UserError
from zo_numpy.files import write_atomically
from zo_numpy.run.config import make_config
from zo_numpy.run.config_json import BESIDE_CONFIG, config_from_json
from zo_numpy.run.fitting import fitted

RESULT, HERE = "port_rows", "experiments/port_c99"
ROWS = ("accuracy_tail_passes/int8-k2-both", "accuracy_mnist_int8/k2", "accuracy_fashion_mnist_int8/k2",
        "accuracy_fine_tuning/mnist-int8-45-k2", "accuracy_longer/k2-frozen", "pointnet_full_p256/int8-k2-frozen",
        "accuracy_running_scale/k3", "batch_size/mnist-int8-running-k2-b8-s1", "zo_small_batch/k1-b8 frozen, seed 1")


def row_of(name):
    """(the result's name, the row's, the row) of TABLE/ROW.  Raises UserError if a port can train none such."""
    table, _, key = name.partition("/")
    row = read_result(table).get("rows", {}).get(key)
    if row is None or not is_of_integers(row):
        raise UserError(f"{name} is no row that was trained in integers alone; name a row as accuracy_mnist_int8/k2")
    return table, key, row


def is_of_integers(row):
    """Whether a row of a result was trained, and so that a port can train it."""
    config = {**row.get("options", {}), **(row["config"] if isinstance(row.get("config"), dict) else {})}
    return "weights_sha256" in row and Port.trains(make_config({name: config[name] for name in ("precision", "loss")
                                                                if name in config}))


def rows_left(table):
    """[TABLE/ROW] that the port here has not trained.  Raises UserError if there is no such table."""
    rows, repeated = read_result(table).get("rows"), read_result(RESULT).get("rows", {})
    if not isinstance(rows, dict):
        raise UserError(f"there is no table {table}; name one as accuracy_mnist_int8")
    return [f"{table}/{name}" for name, row in rows.items()
            if is_of_integers(row) and HERE not in row.get("trained_with", "") and f"{table}/{name}" not in repeated]


def configured(table, row):
    """(Config, Dataset) of a row.  Raises UserError."""
    if not isinstance(row.get("config"), dict):
        config = make_config({**read_result(table).get("common", {}), **row["options"]})
        dataset = load_data(config, announce=lambda text: None)
        return fitted(config, dataset), dataset
    known = {name: value for name, value in row["config"].items() if name not in BESIDE_CONFIG}
    config = config_from_json(known, table)
    dataset = load_data(config, announce=lambda text: None)
    if dataset.digest != row["config"]["dataset"]["digest"]:
        raise UserError(f"{table} was trained on other data than {dataset.source}; put its data into datasets/cache")
    return config, dataset


def repeat(trainer, name, weights):
    """Trains a row and adds it to results/port_rows.json.

    trainer: a port_training.Port.  weights: {name: weights} of the rows repeated before, which is added to.
    """
    table, _, row = row_of(name)
    config, dataset = configured(table, row)
    first = None
    if config.init_from:   # runs/experiments/TABLE/ROW
        source = pathlib.PurePath(config.init_from)
        first = f"accuracy_{source.parent.name.replace('-', '_')}/{source.name}"
        if first not in weights:
            repeat(trainer, first, weights)
    start = time.monotonic()
    trained = trainer.train(config, dataset, weights.get(first))
    seconds, weights[name] = round(time.monotonic() - start), trained.weights
    agrees = trained.digest == row["weights_sha256"] and trained.curve == row["curve"]
    say(f"{name}: {'agrees' if agrees else 'DIFFERS'}, {trained.digest}, {seconds} s")
    with changing(RESULT):
        rows = read_result(RESULT).get("rows", {})
        rows[name] = {"agrees": agrees, "weights_sha256": trained.digest, "seconds": seconds, "commit": trainer.commit}
        save_result(RESULT, {"experiment": "port_rows", "rows": rows})


def name_the_port():
    """In the tables: every row that was repeated and agrees says with which commit's port. Nothing else changes."""
    for name, found in read_result(RESULT)["rows"].items():
        table, key, row = row_of(name)
        if not found["agrees"] or "trained_with" not in row:
            continue
        with changing(table):
            result = read_result(table)
            row = result["rows"][key]
            also = "; the last epoch by zo_numpy too" if "by zo_numpy" in row["trained_with"] else ""
            row["trained_with"] = f"{HERE} at commit {found['commit']}, bit for bit the same{also}"
            write_atomically(RESULTS / f"{table}.json", (as_text(result) + "\n").encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="TABLE[/ROW]", help=f"default: {', '.join(ROWS)}")
    trainer, weights = built_port(), {}
    names = parser.parse_args().rows or ROWS
    if not trainer:
        print(f"error: there is no {CC}; install a C compiler, or name one: CC=/path/to/cc", file=sys.stderr)
        return 2
    try:
        for name in (row for name in names for row in ([name] if "/" in name else rows_left(name))):
            repeat(trainer, name, weights)
        name_the_port()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return int(not all(row["agrees"] for row in read_result(RESULT)["rows"].values()))


if __name__ == "__main__":
    sys.exit(main())
