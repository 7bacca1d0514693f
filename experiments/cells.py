"""What the tables are made of: the results of a row over its seeds, and a table as text or as Markdown."""
import textwrap
from typing import NamedTuple

from experiments.accuracy import results
from experiments.common import RESULTS, read_result
from experiments.rows import BP, is_current, rows_of, seeded

NOT_RUN = "not run"
MOST_SEEDS = 100


class Cell:
    """The results of one row over its seeds: {seed: percent}, and whether all were made with today's settings."""

    def __init__(self, by_seed, current=True):
        self.by_seed, self.current = by_seed, current

    def __str__(self):
        if not self.by_seed:
            return NOT_RUN
        values = self.by_seed.values()
        spread = f" ({min(values):.2f} to {max(values):.2f}, {len(values)} seeds)" if len(values) > 1 else " (1 seed)"
        return f"{self.mean():.2f}{spread}{'' if self.current else ' *'}"

    def mean(self):
        return sum(self.by_seed.values()) / len(self.by_seed)

    def short(self):
        """The mean alone."""
        return f"{self.mean():.2f}" if self.by_seed else NOT_RUN

    def difference(self, other, one_for_all=False):
        """The mean of the differences to another cell, over the seeds that both have; None if there is none.

        one_for_all: the other's seed 0 stands beside every seed, as of what is not trained.
        """
        base = other.by_seed
        if one_for_all and base:
            base = dict.fromkeys(self.by_seed, base[0])
        both = self.by_seed.keys() & base.keys()
        return sum(self.by_seed[seed] - base[seed] for seed in both) / len(both) if both else None

    def gain(self, other, one_for_all=False):
        """The difference with its sign, as text."""
        value = self.difference(other, one_for_all)
        return NOT_RUN if value is None else f"{value:+.2f}"


def accuracy_of(result, part=None):
    """Percent right, of the last epoch, or of a part of the test images where a result has parts."""
    if part:
        return 100 * result["right"][part]["correct"] / result["right"][part]["images"]
    last = result["last_epoch"]
    return 100 * last["test_correct"] / last["test_images"]


def cell(table, name, part=None):
    """The Cell of a row of a table and of the same row at other seeds.  name: that of seed 0."""
    found, by_seed, current = results(table), {}, True
    stem, frozen = name.removesuffix("-frozen"), name.endswith("-frozen") and table != "fine-tuning"
    stem = stem if frozen else name
    for seed in range(MOST_SEEDS):
        key = seeded(stem, seed) + ("-frozen" if frozen else "")
        if key in found:
            by_seed[seed] = accuracy_of(found[key], part)
            row = next((row for row in rows_of(table, seed + 1) if row.name == key), None)
            current = current and row is not None and is_current(row, found[key]["config"])
    return Cell(by_seed, current)


def training_cells(table):
    """A function of K ("all" for full BP) and whether frozen that gives the Cell of a table of full training."""
    return lambda k, frozen=False: cell(table, ("all" if k == BP else f"k{k}") + "-frozen" * frozen)


def pointnet_results():
    """The results of PointNet's full training that are there, one for each data set and number of points."""
    return [read_result(path.stem) for path in sorted(RESULTS.glob("pointnet_full_*.json"))]


def pointnet_cells(result, precision):
    """The same of a result of experiments/pointnet.py, seed 0 alone."""
    def found(k, frozen=False):
        row = result.get("rows", {}).get(f"{precision}-k{k}" + "-frozen" * frozen)
        return Cell({0: accuracy_of(row)} if row else {})
    return found


class Table(NamedTuple):
    """A title, the heads of the columns, lines of cells that are shown as they print, and what is said below."""
    title: str
    head: list
    lines: list
    note: str = ""


def note_lines(table):
    return textwrap.wrap(table.note, 118) + [""] if table.note else []


def markdown_rows(head, lines):
    """The rows of a Markdown table, without a title."""
    return ["| " + " | ".join(map(str, line)) + " |" for line in (head, ["---"] * len(head), *lines)]


def as_markdown(table):
    return "\n".join([f"### {table.title}", "", *markdown_rows(table.head, table.lines), "", *note_lines(table)])


def as_text(table):
    """Columns side by side, as wide as they need to be."""
    lines = [[str(value) for value in line] for line in (table.head, *table.lines)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    rows = ["  ".join(value.ljust(width) for value, width in zip(line, widths)).rstrip() for line in lines]
    rows.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([table.title, "", *rows, "", *note_lines(table)])
