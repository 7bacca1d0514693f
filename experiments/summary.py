"""Draws the summary of the README: accuracy by the bytes of a training step, from the results; trains nothing.

    python -m experiments.summary

writes results/summary.png, a panel for MNIST and one for Fashion-MNIST: K = 0..3 and full BP in both precisions, means
over the seeds with their 95 % intervals where there are several seeds, the frozen controls hollow. Bytes are those
measured at batch 32 (results/memory.json). Steps of K = 0..3 hold the same, so that a precision's points stand above
each other; a control is shifted to the right of its K.
"""
import argparse

from experiments.cells import half_width, name_of, training_cells
from experiments.common import RESULTS
from experiments.cost_tables import memory_rows
from experiments.curves import TITLES, scale_by_error
from experiments.rows import BP, DATA_SETS, PRECISIONS
from zo_numpy.app.drawing import panels
from zo_numpy.app.progress import say

STYLES = {"int8": ("#0072B2", "o"), "fp32": ("#D55E00", "s")}   # told apart by shape, and without red or green
BATCH, SHIFT = 32, 0.11                                         # of the measurement; of a control, in MB
POINTS = ((0, False), *((k, frozen) for k in (1, 2, 3) for frozen in (False, True)), (BP, False))


def points_of(data, precision):
    """{(K, frozen): (MB of a step, Cell)} of what has run and was measured."""
    rows, cells = memory_rows(), training_cells(f"{data}-{precision}")
    found = {}
    for k, frozen in POINTS:
        row, cell = rows.get((precision, BATCH, k, frozen)), cells(k, frozen)
        if row and cell.by_seed:
            found[k, frozen] = row["measured"] / 1e6, cell
    return found


def draw_precision(axes, precision, found):
    colour, marker = STYLES[precision]
    for (k, frozen), (place, cell) in found.items():
        half = half_width(list(cell.by_seed.values()))
        axes.errorbar(place + SHIFT * frozen, cell.mean(), half, color=colour, marker=marker, markersize=7, capsize=3,
                      markerfacecolor="white" if frozen else colour, linestyle="none", elinewidth=1.2, zorder=3)
        right = frozen or (k, precision) == (BP, "fp32")   # of the point, for the full BP of INT8 is to the left
        axes.annotate(str(k) if frozen else name_of(k), (place + SHIFT * frozen, cell.mean()), (8 if right else -8, 0),
                      textcoords="offset points", ha="left" if right else "right", va="center", fontsize=9,
                      color=colour)


def draw(path):
    """Draws the data sets that have run.  Returns whether there was anything to draw."""
    shown = {data: found for data in DATA_SETS
             if any((found := {precision: points_of(data, precision) for precision in PRECISIONS}).values())}
    if not shown:
        return False
    with panels(len(shown), (8, 4.6)) as (figure, all_axes):
        for axes, (data, by_precision) in zip(all_axes, shown.items()):
            for precision, found in by_precision.items():
                draw_precision(axes, precision, found)
            axes.set(title=TITLES[data], xlabel=f"MB at the peak of a step, batch {BATCH}")
            axes.set_xlim(0, 1.22 * axes.get_xlim()[1])
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            scale_by_error(axes)
        all_axes[0].set_ylabel("test accuracy, %")
        draw_legend(figure)
        figure.savefig(path, dpi=110)
    return True


def draw_legend(figure):
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.lines import Line2D
    full, hollow = ([Line2D([], [], color=colour, marker=marker, linestyle="none", markerfacecolor=inside or colour)
                     for colour, marker in STYLES.values()] for inside in (None, "white"))
    control = "control: the tail of that K alone (it holds as much as its K; moved to the right to be seen)"
    figure.legend([*full, tuple(hollow)], [*map(str.upper, STYLES), control],
                  handler_map={tuple: HandlerTuple(ndivide=None)}, loc="outside lower center", ncols=3, frameon=False,
                  fontsize=9, title="bars: 95 % intervals over seeds; no bar: one seed", title_fontsize=9)


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    path = RESULTS / "summary.png"
    say(f"wrote {path}" if draw(path) else "nothing has run yet")


if __name__ == "__main__":
    main()
