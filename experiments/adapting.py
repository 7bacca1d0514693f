"""Fine-tuning by samples seen: accuracy of every method on rotated images, and the gain at a budget of samples.

    python -m experiments.adapting            chooses the budgets, then draws; needs the networks that are adapted

The curves are those of the rows of `experiments.accuracy fine-tuning`, 45 degrees. The gain of K = 2 over vanilla ZO
shrinks as both see more samples, so it is stated at a budget. That is chosen on the validation split alone: K = 2 is
trained on it once for each data set and precision, and the budget is where it first comes within a point of what it
ends with. Writes results/adapting.json and, as python -m experiments.figures does too, results/adapting.png.
"""
import argparse
import sys

import numpy as np

from experiments.accuracy import has_weights, run_row
from experiments.cells import Cell, cell
from experiments.common import RESULTS, read_result
from experiments.curves import BY_ERROR, COLORS, MARKERS, TITLES, draw_curves, finish, scale_by_error
from experiments.findings import wrapped
from experiments.merge import add_row
from experiments.port_training import built_port
from experiments.rows import ADAPTED_TO, DATA_SETS, PRECISIONS, Row, upright
from zo_numpy.app.drawing import panels
from zo_numpy.app.progress import say

NAME, DEGREES, VALIDATED, WITHIN = "adapting", 45, 5000, 1.0
METHODS = {"k0": (0, False), "k1": (1, False), "k1-frozen": (1, True), "k2": (2, False), "frozen": (2, True)}
TOLD = ("k0", "k2", "frozen")   # of METHODS {name of a row: (K, whether a control)}, those whose numbers are told


def stem_of(data, precision):
    return f"{data}-{precision}-{DEGREES}"


def budget_row(data, precision):
    """The row by which the budget is chosen."""
    options = dict(data=data, precision=precision, rotate=DEGREES, limit=ADAPTED_TO, bp_tail=2, validate=VALIDATED)
    return Row(NAME, f"{stem_of(data, precision)}-k2", options, upright(data, precision))


def chosen(data, precision):
    """What that row has given, or None."""
    return read_result(NAME).get("rows", {}).get(budget_row(data, precision).name)


def choose_budgets():
    """Trains what has not been, and adds it to the result.  Returns 1 if a network to start from is missing."""
    todo = [budget_row(data, precision) for data in DATA_SETS for precision in PRECISIONS
            if not chosen(data, precision)]
    port, status = built_port() if todo else None, 0
    for row in todo:
        if not has_weights(row.source):
            print(f"error: {row.source.table} {row.source.name} has no weights here: run `python -m "
                  "experiments.accuracy fine-tuning`, which trains it", file=sys.stderr)
            status = 1
            continue
        made = run_row(row, shown=False, threads=1, port=port)
        add_row(NAME, {"experiment": NAME}, row.name, made)
        say(f"{row.name}: a budget of {budget(made):,} epochs")
    return status


def budget(result):
    """Epochs until the curve of a row first comes within WITHIN points of its last epoch."""
    curve = result["curve"]
    return next(epoch for epoch, accuracy in enumerate(curve, 1) if accuracy >= curve[-1] - WITHIN)


def at_epoch(row_cell, epoch):
    """The Cell of the accuracies after an epoch, over the seeds."""
    return Cell({seed: row["curve"][epoch - 1] for seed, row in row_cell.rows.items() if len(row["curve"]) >= epoch})


def told():
    """The gains at the budgets and at the end, a sentence for each data set and precision."""
    sentences = []
    for data in DATA_SETS:
        for precision in PRECISIONS:
            validated = chosen(data, precision)
            cells = {name: cell("fine-tuning", f"{stem_of(data, precision)}-{name}") for name in TOLD}
            if not validated or not all(one.by_seed for one in cells.values()):
                continue
            epoch = budget(validated)
            then = {name: at_epoch(one, epoch) for name, one in cells.items()}
            sentences.append(
                f"{TITLES[data]}, {precision.upper()}, {epoch * ADAPTED_TO:,} samples: K = 2 {then['k2'].short()} %, "
                f"{then['k2'].difference(then['k0'])} over vanilla ZO and {then['k2'].difference(then['frozen'])} over "
                f"its control; at the end of their schedules {cells['k2'].difference(cells['k0'])} and "
                f"{cells['k2'].difference(cells['frozen'])}.")
    return "\n".join(wrapped(f"- {sentence}", indent="  ") for sentence in sentences)


def draw(path):
    """A row of panels a data set, a panel a precision.  Returns whether there was anything to draw."""
    shown = {(data, precision): found for data in DATA_SETS for precision in PRECISIONS if (found := {
        name: curves for name in METHODS if (curves := curves_of(data, precision, name)).size})}
    if not shown:
        return False
    with panels(len(PRECISIONS), (8.8, 9.8), rows=len(DATA_SETS)) as (figure, all_axes):
        for axes, (data, precision) in zip(all_axes, [(data, one) for data in DATA_SETS for one in PRECISIONS]):
            for name, curves in shown.get((data, precision), {}).items():
                k, frozen = METHODS[name]
                draw_curves(axes, curves, COLORS[k], MARKERS[k], frozen,
                            f"K = {k}{', control' * frozen}: {curves[:, -1].mean():.2f} % ({len(curves)})", ADAPTED_TO)
            if validated := chosen(data, precision):
                axes.axvline(budget(validated) * ADAPTED_TO, color="0.5", linestyle=":", label="the budget")
            axes.set_xscale("log")
            finish(axes, f"{TITLES[data]}, {precision.upper()}", "samples seen")
            scale_by_error(axes)
        for axes in all_axes[::len(PRECISIONS)]:
            axes.set_ylabel(BY_ERROR)
        figure.suptitle(f"Adapted to {ADAPTED_TO:,} images turned by {DEGREES} degrees; numbers: the last epoch,\n"
                        "means over the seeds (how many), shaded from the worst to the best", fontsize=11)
        figure.savefig(path, dpi=110)
    return True


def curves_of(data, precision, name):
    """(seeds, epochs) array of a row's accuracies of all test images, of the seeds as long as the first."""
    found = cell("fine-tuning", f"{stem_of(data, precision)}-{name}").rows
    curves = [row["curve"] for _, row in sorted(found.items()) if row.get("curve")]
    return np.array([curve for curve in curves if len(curve) == len(curves[0])])


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    status = choose_budgets()
    if draw(RESULTS / f"{NAME}.png"):
        say(f"wrote {RESULTS / NAME}.png")
    return status


if __name__ == "__main__":
    sys.exit(main())
