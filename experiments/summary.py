"""Draws the summary of the README: accuracy by the bytes of a training step, from the results; trains nothing.

    python -m experiments.summary

writes results/summary.png, a panel for MNIST and one for Fashion-MNIST: K = 0..3 and full BP in both precisions, means
over the seeds with their 95 % intervals where there are several seeds. Bytes are those measured at batch 32
(results/memory.json). Steps of K = 0..3 and of their frozen controls hold the same, so that a precision's points stand
above each other. A control is hollow, and drawn to the right of its K, to which a line joins it, so that both intervals
can be seen.
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
BATCH = 32                                                      # of the measurement
SHIFT = {1: 0.08, 2: 0.14, 3: 0.20}                             # of the control of a K, in MB
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
        half, shift = half_width(list(cell.by_seed.values())), SHIFT[k] if frozen else 0
        axes.errorbar(place + shift, cell.mean(), half, color=colour, marker=marker, markersize=6 if frozen else 7,
                      capsize=3, markerfacecolor="white" if frozen else colour, linestyle="none", zorder=3,
                      elinewidth=0.8 if frozen else 1.4)
        if frozen and (k, False) in found:
            with_zo = found[k, False]
            axes.plot([with_zo[0], place + shift], [with_zo[1].mean(), cell.mean()], color=colour, linewidth=0.8,
                      linestyle=":", zorder=2)
        if not frozen:
            right = (k, precision) == (BP, "fp32")   # of the point, for the full BP of INT8 is to the left
            axes.annotate(name_of(k), (place, cell.mean()), (8 if right else -8, 0), textcoords="offset points",
                          ha="left" if right else "right", va="center", fontsize=9, color=colour)


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
            axes.set(title=f"LeNet-5 on {TITLES[data]}", xlabel=f"MB at the peak of a step, batch {BATCH}")
            axes.set_xlim(0, 1.22 * axes.get_xlim()[1])
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            scale_by_error(axes)
        all_axes[0].set_ylabel("test accuracy, %")
        draw_legend(figure, seeds_of(shown))
        figure.savefig(path, dpi=110)
    return True


def seeds_of(shown):
    """' over 3 to 5 seeds', of the points that have a bar."""
    counts = {len(cell.by_seed) for by_precision in shown.values() for found in by_precision.values()
              for _, cell in found.values()} - {1}
    return f" over {' to '.join(map(str, sorted({min(counts), max(counts)})))} seeds" if counts else ""


def draw_legend(figure, seeds):
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.lines import Line2D
    full, hollow = ([Line2D([], [], color=colour, marker=marker, linestyle="none", markerfacecolor=inside or colour)
                     for colour, marker in STYLES.values()] for inside in (None, "white"))
    control = "frozen control: the tail of that K alone, in as much memory (set to its right)"
    figure.legend([*full, tuple(hollow)], [*map(str.upper, STYLES), control],
                  handler_map={tuple: HandlerTuple(ndivide=None)}, loc="outside lower center", ncols=3, frameon=False,
                  fontsize=9, title="What ZO adds is the distance from a control to its K. "
                  f"Bars: 95 % intervals{seeds}; no bar: one seed", title_fontsize=9)


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    path = RESULTS / "summary.png"
    say(f"wrote {path}" if draw(path) else "nothing has run yet")


if __name__ == "__main__":
    main()
