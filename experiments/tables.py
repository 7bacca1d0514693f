"""Prints the committed results as Markdown tables; trains nothing.

    python -m experiments.tables [TABLE ...]

Accuracies are of the last epoch on the test set, means over seeds with the range from the worst seed to the best. A gain
is the mean over the seeds that both have. A cell without a result says "not run"; a * says that its settings are not
today's defaults.
"""
import argparse
import json

from experiments.accuracy import results
from experiments.common import RESULTS
from experiments.rows import BP, DATA_SETS, DEGREES, METHODS, PRECISIONS, TABLES, is_current, rows_of, seeded

NOT_RUN = "not run"
MOST_SEEDS = 100
METHOD_NAMES = {"none": "not adapted", "frozen": "K = 2, frozen control", "k0": "K = 0", "k1": "K = 1", "k2": "K = 2",
                "all": "full BP"}


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

    def gain(self, other, one_for_all=False):
        """The mean of the differences to another cell, over the seeds that both have.

        one_for_all: the other's seed 0 stands beside every seed, as of what is not trained.
        """
        base = other.by_seed
        if one_for_all and base:
            base = dict.fromkeys(self.by_seed, base[0])
        both = self.by_seed.keys() & base.keys()
        if not both:
            return NOT_RUN
        return f"{sum(self.by_seed[seed] - base[seed] for seed in both) / len(both):+.2f}"


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


def markdown(title, head, lines):
    rows = ["| " + " | ".join(map(str, line)) + " |" for line in (head, ["---"] * len(head), *lines)]
    return "\n".join([f"### {title}", "", *rows, ""])


def full_training(table):
    vanilla, lines = cell(table, "k0"), []
    for k in (0, 1, 2, 3, BP):
        here = cell(table, k if k == BP else f"k{k}")
        frozen = cell(table, f"k{k}-frozen") if k in (1, 2, 3) else None
        lines.append(["full BP" if k == BP else f"K = {k}", here, frozen or "-", "-" if k == 0 else here.gain(vanilla),
                      here.gain(frozen) if frozen else "-"])
    return markdown(f"{table}: full training", ["tail", "accuracy, %", "its frozen control, %", "gain over K = 0",
                                                "gain over the control"], lines)


def float_loss(table):
    lines = []
    for k in range(4):
        integer, exact = cell("mnist-int8", f"k{k}"), cell(table, f"k{k}")
        lines.append([f"K = {k}", integer, exact, integer.gain(exact)])
    return markdown("MNIST, INT8: what an integer loss costs", ["tail", "integers only, %", "sign of g by float64, %",
                                                                "gain of integers only"], lines)


def tail_passes(table):
    path = RESULTS / "step_bytes.json"
    sizes = json.loads(path.read_text())["rows"] if path.exists() else {}
    lines = []
    for precision in PRECISIONS:
        for k in (1, 2):
            second, both = (cell(table, f"{precision}-k{k}-{passes}") for passes in ("second", "both"))
            size = {passes: sizes.get(f"{precision}-k{k}-{passes}", {}) for passes in ("second", "both")}
            lines.append([f"{precision}, K = {k}", second, both, both.gain(second),
                          *(f"{size[passes][name]:,}" if size[passes] else NOT_RUN
                            for name in ("held", "peak") for passes in ("second", "both"))])
    return markdown("MNIST, ten epochs of 10,000 images: the tail's gradient from both passes against the second alone", [
        "", "second pass, %", "both passes, %", "gain of both", "bytes held from the first pass: second", "both",
        "peak bytes of a step: second", "both"], lines)


def fine_tuning(table):
    parts = []
    for data in DATA_SETS:
        for precision in PRECISIONS:
            upright = cell(f"{data}-{precision}", BP).by_seed.get(0)
            for degrees in DEGREES:
                stem = f"{data}-{precision}-{degrees}-"
                cells = {method: cell(table, stem + method, "all") for method in METHODS}
                lost = upright - cells["none"].mean() if upright and cells["none"].by_seed else 0
                lines = []
                for method, here in cells.items():
                    share = (f"{100 * (here.mean() - cells['none'].mean()) / lost:.0f} %"
                             if lost > 0 and here.by_seed and method != "none" else "-" if method == "none" else NOT_RUN)
                    gains = ["-" if method == other else here.gain(cells[other], one_for_all=other == "none")
                             for other in ("none", "k0", "frozen")]
                    lines.append([METHOD_NAMES[method], here, cell(table, stem + method, "first"), *gains, share])
                upright_text = f"{upright:.2f} % upright" if upright else f"upright {NOT_RUN}"
                parts.append(markdown(
                    f"{data}, {precision}, rotated by {degrees} degrees ({upright_text})",
                    ["", "all test images, %", "first 1,024, %", "gain over not adapted", "over K = 0",
                     "over the control", "share of the loss recovered"], lines))
    return "\n".join(parts)


PRINTERS = {"float-loss": float_loss, "tail-passes": tail_passes, "fine-tuning": fine_tuning}


def printed(table):
    """One table as Markdown."""
    return PRINTERS.get(table, full_training)(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    tables = parser.parse_args().tables
    unknown = set(tables) - set(TABLES)
    if unknown:
        parser.error(f"{sorted(unknown)[0]} is no table; choose of {', '.join(TABLES)}")
    for table in tables or TABLES:
        print(printed(table))


if __name__ == "__main__":
    main()
