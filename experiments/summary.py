"""Draws the summary of the README: accuracy by the bytes of a training step, from the results; trains nothing.

    python -m experiments.summary

writes results/summary.png, a panel for MNIST and one for Fashion-MNIST: K = 0..3 and full BP in both precisions, means
over the seeds with their 95 % intervals where there are enough seeds. Steps of K = 0..3 hold the same bytes, and so do
those of their frozen controls: they stand in one group, which is named by its bytes, each K in a place of its own with
its control, hollow, beside it. Bytes are those measured at batch 32 (results/memory.json).
"""
import argparse

from experiments.cells import FEWEST, half_width, training_cells
from experiments.common import RESULTS
from experiments.cost_tables import memory_rows
from experiments.curves import BY_ERROR, TITLES, scale_by_error
from experiments.rows import BP, DATA_SETS, PRECISIONS
from zo_numpy.app.drawing import panels
from zo_numpy.app.progress import say

STYLES = {"int8": ("#0072B2", "o"), "fp32": ("#D55E00", "s")}   # told apart by shape, and without red or green
BATCH = 32                                                      # of the measurement
PLACES = {("int8", k): k for k in range(4)} | {("fp32", k): 5 + k for k in range(4)} | {
    ("int8", BP): 10.2, ("fp32", BP): 12.6}                        # of a point on the axis, in the order of bytes
GROUPS = [("int8", 2, 1.5, "K, INT8"), ("fp32", 2, 6.5, "K, FP32"), ("int8", BP, 10.2, "INT8"),
          ("fp32", BP, 12.6, "FP32")]
BESIDE = 0.3                                                    # from a K to its control


def points_of(data, precision):
    """{(K, frozen): Cell} of what has run."""
    cells = training_cells(f"{data}-{precision}")
    wanted = [(k, frozen) for k in (0, 1, 2, 3, BP) for frozen in ((False, True) if k in (1, 2, 3) else (False,))]
    return {(k, frozen): cell for k, frozen in wanted if (cell := cells(k, frozen)).by_seed}


def draw_precision(axes, precision, found):
    colour, marker = STYLES[precision]
    for (k, frozen), cell in found.items():
        place = PLACES[precision, k] + BESIDE * frozen
        axes.errorbar(place, cell.mean(), half_width(list(cell.by_seed.values())), color=colour, marker=marker,
                      markersize=6, capsize=2.5, markerfacecolor="white" if frozen else colour, linestyle="none",
                      elinewidth=0.9 if frozen else 1.4, zorder=3)
        if frozen and (k, False) in found:
            axes.plot([place - BESIDE, place], [found[k, False].mean(), cell.mean()], color=colour, linewidth=0.8,
                      linestyle=":", zorder=2)


def name_groups(axes):
    """Below the axis: every K, and for each group the bytes of its steps."""
    rows = memory_rows()
    axes.set_xticks([place for (_, k), place in PLACES.items() if k != BP],
                    [str(k) for _, k in PLACES if k != BP], fontsize=9)
    for precision, k, middle, name in GROUPS:
        row = rows.get((precision, BATCH, k, False))
        held = f"{row['measured'] / 1000:,.0f} kB" if row else ""
        lines = ["", name] if k != BP else ["full BP,", name]
        axes.annotate("\n".join([*lines, held]), (middle, 0), (0, -6), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha="center", va="top", fontsize=9)
    axes.set_xlim(-0.7, 13.6)


def about_bars(shown):
    """What the bars are, in words: ' over 3 to 5 seeds, ..'."""
    counts = [len(cell.by_seed) for by_precision in shown.values() for found in by_precision.values()
              for cell in found.values()]
    barred = [count for count in counts if count >= FEWEST]
    seeds = f" over {' to '.join(map(str, sorted({min(barred), max(barred)})))} seeds" if barred else ""
    return (f"{seeds},\nhidden where the mark is larger" + "; no bar: one seed or two" * (len(barred) < len(counts)) +
            ". Differences are paired by seed, so they can be told where bars overlap.")


def draw(path):
    """Draws the data sets that have run.  Returns whether there was anything to draw."""
    shown = {data: found for data in DATA_SETS
             if any((found := {precision: points_of(data, precision) for precision in PRECISIONS}).values())}
    if not shown:
        return False
    with panels(len(shown), (8.8, 4.9)) as (figure, all_axes):
        for axes, (data, by_precision) in zip(all_axes, shown.items()):
            for precision, found in by_precision.items():
                draw_precision(axes, precision, found)
            name_groups(axes)
            axes.set_title(f"LeNet-5 on {TITLES[data]}")
            axes.grid(alpha=0.3, axis="y")
            axes.spines[["top", "right"]].set_visible(False)
            scale_by_error(axes)
            axes.set_xlabel(f"memory at the peak of a training step, batch {BATCH}", labelpad=36)
        all_axes[0].set_ylabel(BY_ERROR)
        draw_legend(figure, about_bars(shown))
        figure.savefig(path, dpi=110)
    return True


def draw_legend(figure, bars):
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.lines import Line2D
    full, hollow = (tuple(Line2D([], [], color=colour, marker=marker, linestyle="none",
                                 markerfacecolor=inside or colour) for colour, marker in STYLES.values())
                    for inside in (None, "white"))
    figure.legend([full, hollow], ["the last K layers by backpropagation, the others by ZO",
                                   "frozen control: the last K layers alone, the others untrained"],
                  handler_map={tuple: HandlerTuple(ndivide=None)}, loc="outside lower center", ncols=2, frameon=False,
                  fontsize=9, title_fontsize=9,
                  title="Circles: INT8; squares: FP32; dotted lines lead from a K to its control. Bars: 95 % intervals"
                        + bars)


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    path = RESULTS / "summary.png"
    say(f"wrote {path}" if draw(path) else "nothing has run yet")


if __name__ == "__main__":
    main()
