"""Accuracy of full training: every row is a run of the command line's `train`, resumable, its result committed.

    python -m experiments.accuracy int8 [--only k2]     the defaults on the test set: K = 0..3, the frozen controls
    python -m experiments.accuracy --list

A row is trained in runs/experiments/TABLE/ROW; interrupted, it goes on where it stopped. Results are those of the last
epoch, added to results/accuracy_TABLE.json as rows finish. Rows that have a result are not run again.
"""
import argparse
import json
import pathlib
import subprocess
import sys

from experiments.common import RESULTS, provenance, save_result

RUNS = pathlib.Path("runs/experiments")


def row(**options):
    return {"--" + name.replace("_", "-"): value for name, value in options.items()}


def int8_rows():
    """Every K with its control at seed 0, and K = 2 at two more seeds: random features differ from seed to seed."""
    rows = {}
    for k, seed in (*((k, 0) for k in range(4)), (2, 1), (2, 2)):
        name = f"k{k}" + (f"-seed{seed}" if seed else "")
        rows[name] = row(bp_tail=k, seed=seed)
        if k:
            rows[f"{name}-frozen"] = row(bp_tail=k, seed=seed, zo_frozen=True)
    return rows


TABLES = {"int8": int8_rows}


def finished(table):
    """The rows of a table that have a result."""
    path = RESULTS / f"accuracy_{table}.json"
    return json.loads(path.read_text())["rows"] if path.exists() else {}


def run_row(table, name, options):
    """Trains one row to its end; returns its result."""
    folder = RUNS / table / name
    words = [str(word) for option, value in options.items()
             for word in ([option] if value is True else [option, value])]
    subprocess.run([sys.executable, "-m", "zo_numpy", "train", "--out", str(folder), "--resume", *words], check=True)
    config = json.loads((folder / "config.json").read_text())
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    digest = (folder / "steps.txt").read_text().split()[-1]
    return {"config": config, "last_epoch": metrics[-1], "seconds": round(sum(m["seconds"] for m in metrics), 1),
            "curve": [m.get("test_accuracy", m.get("validation_accuracy")) for m in metrics],
            "weights_sha256": digest, "made_with": provenance()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", choices=TABLES)
    parser.add_argument("--only", help="rows whose name contains this")
    parser.add_argument("--list", action="store_true", help="name the rows and whether they have a result")
    options = parser.parse_args()
    for table in [options.table] if options.table else TABLES:
        for name, words in TABLES[table]().items():
            done = finished(table)
            if options.list or not options.table:
                state = done[name]["last_epoch"] if name in done else "not run"
                print(f"{table} {name}: {state}")
            elif name not in done and (options.only or "") in name:
                result = run_row(table, name, words)
                save_result(f"accuracy_{table}", {"experiment": "accuracy", "table": table,
                                                  "rows": {**finished(table), name: result}})


if __name__ == "__main__":
    main()
