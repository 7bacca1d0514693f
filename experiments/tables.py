"""Prints the results as tables, ours beside what the paper's abstract claims; trains nothing.

    python -m experiments.tables [NAME ...] [--markdown]

    1            full training: accuracy, gain over K = 0 and over the frozen control, INT8 beside FP32
    2            fine-tuning: a network trained upright, adapted to rotated images, to tilted and to noisy shapes
    3            memory of a step, measured and predicted
    4            time of a step and what it goes into
    batch-size   accuracy by batch at equal samples
    equal-samples  differences between rows of other lengths, at the same number of samples too
    tail-passes  the tail's gradient from both passes against the second alone
    missing      what has not run, and the command that runs it

Accuracies are of the last epoch on the test set. What the marks mean is said below the tables. A row that has not run
is in no table but `missing`; a cell without a result says "-".
"""
import argparse
import textwrap

from experiments import (
    accuracy, batch_picture, batch_rows, cost_tables, equal_samples, pointnet, zo_on_clouds)
from experiments.cells import (
    MARKS, NOT_RUN, SCHEDULE, TAILS, Table, as_markdown, as_text, cell, name_of, pointnet_cells, pointnet_results,
    times_the_samples, title_of, training_cells)
from experiments.common import QUICK, read_result
from experiments.curves import TITLES
from experiments.pointnet_rows import CHANGES, PLANNED
from experiments.rows import (
    BP, CONTROLS, DATA_SETS, DEGREES, LONGER, LONGER_FP32, METHODS, PRECISIONS, RUNNING, TABLES, rows_of)

METHOD_NAMES = {"none": "not adapted", "k1-frozen": "K = 1, frozen control", "frozen": "K = 2, frozen control",
                "k0": "K = 0", "k1": "K = 1", "k2": "K = 2", "all": "full BP"}
CLAIMED_GAIN = "5.2 to 9.5"             # points over vanilla ZO, by the abstract (arXiv 2501.04287)


def of_full_training():
    """{title: {precision: cells}} of every data set that has results."""
    found = {TITLES[data]: {precision: training_cells(f"{data}-{precision}") for precision in PRECISIONS}
             for data in DATA_SETS}
    return found | {title_of(result): {precision: pointnet_cells(result, precision) for precision in PRECISIONS}
                    for result in pointnet_results()}


def samples_note(cells, base, name):
    """In words, for which rows the samples seen are others than those of a row.  cells: [(name, Cell)]."""
    differing = [f"{here} {times}" for here, one in cells if (times := times_the_samples(one, base))]
    return f"Samples seen, beside those of {name}: {', '.join(differing)}." if differing else ""


def training_lines(cells):
    """Lines of Table 1, of the rows that have run.  cells: of `training_cells`."""
    lines = []
    for k in TAILS:
        here, frozen = cells(k), cells(k, True) if k in (1, 2, 3) else None
        if here.by_seed:
            lines.append([name_of(k), *here.schedule(), here, frozen or NOT_RUN,
                          here.difference(cells(0)) if k else NOT_RUN, CLAIMED_GAIN if frozen else NOT_RUN,
                          here.difference(frozen) if frozen else NOT_RUN, here.by_class(),
                          frozen.by_class() if frozen else NOT_RUN])
    return lines


TRAINING_HEAD = ["tail", *SCHEDULE, "accuracy, %", "its frozen control, %", "over K = 0", "claimed", "over the control"]


def full_training():
    """Table 1, one part for each data set and precision, then INT8 beside FP32, then other settings."""
    for title, by_precision in of_full_training().items():
        for precision, cells in by_precision.items():
            if lines := training_lines(cells):
                head = [*TRAINING_HEAD, "mean over classes, %", "of its control, %"]
                if all(line[-2] == NOT_RUN for line in lines):
                    head, lines = TRAINING_HEAD, [line[:-2] for line in lines]
                yield Table(f"Table 1, full training: {title}, {precision.upper()}", head, lines,
                            samples_note([(name_of(k), cells(k)) for k in TAILS], cells(0), "K = 0"))
    if lines := list(precision_lines()):
        yield Table("Table 1, INT8 less FP32", ["data", "tail", "INT8, %", "FP32, %", "INT8 less FP32", "samples seen"],
                    lines)
    for made in (changed("longer", LONGER, "Table 1, MNIST, INT8: longer training with larger batches"),
                 changed("longer-fp32", LONGER_FP32, "Table 1, MNIST, FP32: longer training", "mnist-fp32"),
                 changed("running-scale", RUNNING, "Table 1, MNIST, INT8: the running scale of the tail's steps"),
                 float_loss()):
        if made.lines:
            yield made


def precision_lines():
    for title, cells in of_full_training().items():
        for k in TAILS:
            one, other = cells["int8"](k), cells["fp32"](k)
            if one.by_seed and other.by_seed:
                times = times_the_samples(one, other)
                yield [title, name_of(k), one, other, one.difference(other),
                       f"INT8 {times} as many as FP32" if times else "the same"]


def changed(table, changes, title, base="mnist-int8"):
    """What other options than the defaults bring.  changes: {K: options} of the table, as rows.py has them.

    base: the table with the defaults.
    """
    lines, notes, cells, defaults = [], [], training_cells(table), training_cells(base)
    for k in changes:
        here, frozen = cells(k), cells(k, True) if k in (1, 2, 3) else None
        if here.by_seed:
            lines.append([name_of(k), *here.schedule(), here, here.difference(defaults(k)),
                          here.difference(cells(0)) if k and 0 in changes else NOT_RUN, frozen or NOT_RUN,
                          here.difference(frozen) if frozen else NOT_RUN])
            if times := times_the_samples(here, defaults(k)):
                notes.append(f"{name_of(k)} {times}")
    note = f"Samples seen, beside those of the defaults: {', '.join(notes)}." if notes else ""
    return Table(title, ["tail", *SCHEDULE, "accuracy, %", "over the defaults", "over K = 0 here",
                         "its frozen control, %", "over the control"], lines, note)


def float_loss():
    lines = []
    for k in range(4):
        integer, exact = cell("mnist-int8", f"k{k}"), cell("float-loss", f"k{k}")
        if exact.by_seed:
            lines.append([f"K = {k}", *exact.schedule(), integer, exact, integer.difference(exact)])
    return Table("Table 1, MNIST, INT8: what an integer loss costs",
                 ["tail", *SCHEDULE, "integers only, %", "sign of g by float64, %", "integers less float64"], lines)


def tail_passes():
    sizes, lines = read_result("step_bytes").get("rows", {}), []
    for precision in PRECISIONS:
        for k in (1, 2):
            second, both = (cell("tail-passes", f"{precision}-k{k}-{passes}") for passes in ("second", "both"))
            size = {passes: sizes.get(f"{precision}-k{k}-{passes}", {}) for passes in ("second", "both")}
            if both.by_seed:
                lines.append([f"{precision.upper()}, K = {k}", *both.schedule(), second, both, both.difference(second),
                              *(f"{size[passes][name]:,}" if size[passes] else NOT_RUN
                                for name in ("held", "peak") for passes in ("second", "both"))])
    if lines:
        yield Table("MNIST, ten epochs of 10,000 images: the tail's gradient, both passes or the second",
                    ["", *SCHEDULE, "second pass, %", "both passes, %", "both less second",
                     "bytes held from the first pass: second", "both", "peak bytes of a step: second", "both"], lines)


def fine_tuning():
    """Table 2, one part for each data set, precision and change of the data."""
    for data in DATA_SETS:
        for precision in PRECISIONS:
            for degrees in DEGREES:
                stem = f"{data}-{precision}-{degrees}-"
                yield from adapted(
                    f"{TITLES[data]}, {precision.upper()}, rotated by {degrees} degrees",
                    {method: cell("fine-tuning", stem + method, "all") for method in METHODS},
                    cell(f"{data}-{precision}", BP).by_seed.get(0),
                    {method: cell("fine-tuning", stem + method, "first") for method in METHODS})
    for table, words in CHANGES.items():
        (name, amount), = words.items()
        result = read_result(f"pointnet_{table}_p256")
        for precision in PRECISIONS:
            yield from adapted(f"ModelNet10, 256 points, {precision.upper()}, {name} {amount}",
                               clouds_adapted(result, precision),
                               pointnet_cells(result, precision)("upright").by_seed.get(0))


def clouds_adapted(result, precision):
    """{method: Cell} of a table of experiments/pointnet.py that adapts a trained network."""
    cells = pointnet_cells(result, precision)
    return {"none": cells("as-it-is"), "frozen": cells(2, True), "k0": cells(0), "k2": cells(2), "all": cells(BP)}


def adapted(title, cells, upright, first=None):
    """A part of Table 2, if any of it has run.  cells, first: {method: Cell}, of all test samples and of the first."""
    lines = []
    for method, here in cells.items():
        if here.by_seed:
            control = CONTROLS.get(method)
            lines.append([METHOD_NAMES[method], *here.schedule(), here, *([first[method]] if first else []),
                          here.difference(cells["none"], one_for_all=True) if method != "none" else NOT_RUN,
                          here.difference(cells["k0"]) if method not in ("none", "k0") else NOT_RUN,
                          CLAIMED_GAIN if control else NOT_RUN,
                          here.difference(cells[control]) if control else NOT_RUN,
                          recovered(method, here, cells["none"], upright)])
    head = ["", *SCHEDULE, "all test samples, %", *(["first 1,024, %"] if first else []), "over not adapted",
            "over K = 0", "claimed", "over the control", "share of the loss recovered"]
    if lines:
        yield Table(f"Table 2, fine-tuning: {title}" + (f" ({upright:.2f} % before)" if upright else ""), head, lines,
                    samples_note([(METHOD_NAMES[name], here) for name, here in cells.items()], cells["k0"], "K = 0"))


def recovered(method, here, before, upright):
    """How much of what the change of the data lost is back."""
    if method == "none" or upright is None or not before.by_seed or upright <= before.mean():
        return NOT_RUN
    return f"{100 * (here.mean() - before.mean()) / (upright - before.mean()):.0f} %"


def missing():
    """Rows that have no result yet, with the command of each table."""
    lines = []
    for table in TABLES:
        if names := [row.name for row in rows_of(table) if not accuracy.is_finished(row)]:
            lines.append([table, len(names), listed_names(names), f"`python -m experiments.accuracy {table}`"])
    for name, data, points in PLANNED:
        if names := pointnet.Table(name, data, None, points).missing():
            command = f"python -m experiments.pointnet --data-dir DIR --data {data} --points {points} --table {name}"
            lines.append([f"PointNet {name}, {data}, {points:,} points", len(names), listed_names(names),
                          f"`{command}`"])
    candidates = [name for name in zo_on_clouds.CANDIDATES
                  if name not in read_result(zo_on_clouds.NAME).get("rows", {})]
    schedules = pointnet.Table("tuning", "modelnet40", None, 128).missing()
    batches = [row.name for row in batch_rows.all_rows() if not batch_rows.is_finished(row)]
    for what, names, command in (("batch size", batches, "batch_size"),
                                 ("candidates of ZO on clouds", candidates, "zo_on_clouds --data-dir DIR"),
                                 ("candidates of schedules, modelnet40", schedules, "pointnet --data-dir DIR --data "
                                  "modelnet40 --points 128 --table tuning")):
        if names:
            lines.append([what, len(names), listed_names(names), f"`python -m experiments.{command}`"])
    if lines:
        yield Table("What has not run", ["table", "rows", "which", "command"], lines)


def listed_names(names, most=6):
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


PRINTERS = {"1": full_training, "2": fine_tuning, "3": cost_tables.memory, "4": cost_tables.time,
            "batch-size": batch_picture.tables, "equal-samples": equal_samples.table,
            "tail-passes": tail_passes, "missing": missing}


def printed(name, form=as_text):
    """All parts of one table that have lines."""
    return "\n".join(form(table) for table in PRINTERS[name]() if table.lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="NAME", help=", ".join(PRINTERS))
    parser.add_argument("--markdown", action="store_true", help="for documents")
    options = parser.parse_args()
    unknown = set(options.tables) - set(PRINTERS)
    if unknown:
        parser.error(f"{sorted(unknown)[0]} is no table; choose of {', '.join(PRINTERS)}")
    if QUICK:
        print("QUICK: two epochs of a few images, no measure of anything\n")
    for name in options.tables or PRINTERS:
        print(printed(name, as_markdown if options.markdown else as_text))
    print("\n".join(textwrap.wrap(MARKS, 118)))


if __name__ == "__main__":
    main()
