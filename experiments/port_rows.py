"""Rows of the results that say so in `trained_with`, trained anew from their first step by the port in C99.

    python -m experiments.port_rows [accuracy_mnist_int8/k2 ...]

takes a row's configuration from its result, writes its data as a flat file, runs `port train`, and compares the digest
of the weights and every accuracy with what the row has. A row that starts from another one's weights has that one
repeated before it. Where all agrees, `trained_with` of the row names the port's folder and this commit; what was
repeated goes into results/port_rows.json, a row at a time. Without names it is a row of each table.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from experiments import port
from experiments.common import RESULTS, as_text, changing, commit, read_result, save_result
from zo_numpy.app import flat_data
from zo_numpy.app.data import load_data
from zo_numpy.app.progress import say
from zo_numpy.errors import UserError
from zo_numpy.files import write_atomically
from zo_numpy.run.config import describe, make_config, read_config
from zo_numpy.run.fitting import fitted
from zo_numpy.run.trainer import percent

RESULT = "port_rows"
ROWS = ("accuracy_tail_passes/int8-k2-both", "accuracy_mnist_int8/k2", "accuracy_fashion_mnist_int8/k2",
        "accuracy_fine_tuning/mnist-int8-45-k2", "accuracy_longer/k2-frozen", "pointnet_full_p256/int8-k2-frozen",
        "accuracy_running_scale/k3", "batch_size/mnist-int8-running-k2-b8-s1", "zo_small_batch/k1-b8 frozen, seed 1")


def row_of(name):
    """(the result's name, the row's, the row) of TABLE/ROW.  Raises UserError if there is none."""
    table, _, key = name.partition("/")
    row = read_result(table).get("rows", {}).get(key)
    if row is None or "trained_with" not in row:
        raise UserError(f"{name} is no row that has a `trained_with`; name a row as accuracy_mnist_int8/k2")
    return table, key, row


def configured(table, row, folder):
    """(Config, Dataset) of a row, whose config.json is written into `folder`.  Raises UserError."""
    if isinstance(row.get("config"), dict):
        (folder / "config.json").write_text(json.dumps(row["config"]))
        config = read_config(folder)
        dataset = load_data(config, announce=lambda text: None)
        if dataset.digest != row["config"]["dataset"]["digest"]:
            raise UserError(f"{table} was trained on other data than {dataset.source}; put its data into "
                            "datasets/cache")
        return config, dataset
    config = make_config({**read_result(table).get("common", {}), **row["options"]})
    dataset = load_data(config, announce=lambda text: None)
    config = fitted(config, dataset)
    (folder / "config.json").write_text(json.dumps(describe(config, dataset)))
    return config, dataset


def repeat(program, name, folder, made_at):
    """Trains a row; returns (whether all agrees, the digest, seconds). The weights stay in `folder` for others."""
    table, _, row = row_of(name)
    folder = folder / name
    folder.mkdir(parents=True)
    config, dataset = configured(table, row, folder)
    words = [str(program), "train", str(folder / "config.json"), str(folder / "data.flat"), "--out", str(folder),
             "--save", str(folder / "weights.flat")]
    if config.init_from:   # runs/experiments/TABLE/ROW
        source = pathlib.PurePath(config.init_from)
        first = f"accuracy_{source.parent.name.replace('-', '_')}/{source.name}"
        if not (folder.parents[1] / first / "weights.flat").exists():
            repeat_and_save(program, first, folder.parents[1], made_at)
        words += ["--from", str(folder.parents[1] / first / "weights.flat")]
    flat_data.export_data(config, dataset, folder / "data.flat")
    start = time.monotonic()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    seconds = round(time.monotonic() - start)
    (folder / "data.flat").unlink()
    digest = (folder / "steps.txt").read_text().split()[-1]
    epochs = [line.split() for line in (folder / "evaluation.txt").read_text().splitlines()]
    curve = [float(percent(int(right), int(count))) for _, right, count in epochs]
    return digest == row["weights_sha256"] and curve == row["curve"], digest, seconds


def repeat_and_save(program, name, folder, made_at):
    """Repeats a row and adds it to results/port_rows.json.  made_at: the commit, before anything was saved."""
    agrees, digest, seconds = repeat(program, name, folder, made_at)
    say(f"{name}: {'agrees' if agrees else 'DIFFERS'}, {digest}, {seconds} s")
    with changing(RESULT):
        rows = read_result(RESULT).get("rows", {})
        rows[name] = {"agrees": agrees, "weights_sha256": digest, "seconds": seconds, "commit": made_at}
        save_result(RESULT, {"experiment": "port_rows", "rows": rows})


def name_the_port():
    """In the tables: every row that was repeated and agrees says with which commit's port. Nothing else changes."""
    for name, found in read_result(RESULT)["rows"].items():
        table, key, _ = row_of(name)
        with changing(table):
            result = read_result(table)
            if found["agrees"]:
                row = result["rows"][key]
                also = "; the last epoch by zo_numpy too" if "by zo_numpy" in row["trained_with"] else ""
                row["trained_with"] = f"experiments/port_c99 at commit {found['commit']}, bit for bit the same{also}"
            write_atomically(RESULTS / f"{table}.json", (as_text(result) + "\n").encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="TABLE/ROW", help=f"default: {', '.join(ROWS)}")
    names = parser.parse_args().rows or ROWS
    if not port.found_compiler():
        print(f"error: there is no {port.CC}; install a C compiler, or name one: CC=/path/to/cc", file=sys.stderr)
        return 2
    try:
        program, made_at = port.build(port.BUILD / "native", port.NATIVE), commit()
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                repeat_and_save(program, name, pathlib.Path(folder), made_at)
        name_the_port()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return int(not all(row["agrees"] for row in read_result(RESULT)["rows"].values()))


if __name__ == "__main__":
    sys.exit(main())
