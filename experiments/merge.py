"""Rows of results that were made at once, on one machine or many: each a file of its own, then all added to the tables.

    python -m experiments.run --commands [--modelnet DIR]     the rows that are missing, a command a line
    python -m experiments.run --commands | xargs -P 4 -d '\\n' -n 1 sh -c
    python -m experiments.merge [FILE ...]                    adds runs/rows/*.json, or these files, to the tables

Commands may run in any order and on any machine that has a clone of the same commit. Copy their files together, then
merge. A row that a table has already, with another value, is said and kept.
"""
import argparse
import json
import pathlib
import sys

from experiments.common import ROOT, as_text, changing, read_result, save_result
from zo_numpy.app.progress import say
from zo_numpy.files import write_atomically

APART = ROOT / "runs" / "rows"


def add_row(result, head, name, row, apart=False):
    """Adds a row to results/RESULT.json, whoever else is adding, or writes it into a file of its own.

    head: {name: value}, what the result says beside its rows.
    """
    if not apart:
        with changing(result):
            found = read_result(result)
            save_result(result, {**head, **{key: value for key, value in found.items() if key != "made_with"},
                                 "rows": {**found.get("rows", {}), name: row}})
        return
    APART.mkdir(parents=True, exist_ok=True)
    content = {"result": result, "head": head, "name": name, "row": row}
    write_atomically(APART / f"{result}--{name.replace('/', 'over')}.json", (as_text(content) + "\n").encode())


def merge(paths):
    """Adds the rows of files to their tables.  Returns how many differ from what a table has."""
    added = differing = 0
    for path in paths:
        try:
            content = json.loads(path.read_text())
            result, head, name, row = (content[key] for key in ("result", "head", "name", "row"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"error: {path} is no row of a result ({error}): make it again, with --apart", file=sys.stderr)
            differing += 1
            continue
        there = read_result(result).get("rows", {}).get(name)
        if there is None:
            add_row(result, head, name, row)
            added += 1
        elif what(there) != what(row):
            print(f"error: {path}: {result} has another {name}, which is kept; delete it there to replace it",
                  file=sys.stderr)
            differing += 1
    say(f"added {added} rows, {differing} differ or are damaged, {len(paths) - added - differing} were there already")
    return differing


def what(row):
    """What two trainings of a row agree in: all but when, by whom and how fast."""
    return {key: value for key, value in row.items() if key in ("config", "curve", "weights_sha256", "right")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=pathlib.Path, metavar="FILE", help="default: runs/rows/*.json")
    return int(merge(parser.parse_args().files or sorted(APART.glob("*.json"))) > 0)


if __name__ == "__main__":
    sys.exit(main())
