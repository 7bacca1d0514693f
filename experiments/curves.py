"""Draws test accuracy by epoch from the results, a panel for each precision; trains nothing.

    python -m experiments.curves [mnist] [fashion-mnist]

writes results/curves_mnist.png and so on: a line for every K, the mean over its seeds, with the range of the seeds in a
lighter shade and the frozen control dashed. Epochs differ in number, as schedules do; a row that has not run is left
out.
The axis is logarithmic in what is wrong, so that 97 and 99 % stand as far apart as 91 and 97 %.
"""
import argparse

import numpy as np

from experiments.accuracy import results
from experiments.common import RESULTS
from experiments.rows import BP, DATA_SETS, PRECISIONS
from zo_numpy.app.drawing import panels
from zo_numpy.app.progress import say

# Colours that the colour-blind tell apart (Okabe and Ito), and a shape for each.
COLORS = {0: "0.55", 1: "#0072B2", 2: "#E69F00", 3: "#009E73", BP: "black"}
MARKERS = {0: "o", 1: "s", 2: "^", 3: "D", BP: "*"}                           # of the last epoch, a shape for each
TITLES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "int8": "INT8, integers only", "fp32": "FP32"}
TICKS, ROOM = (0, 20, 40, 60, 70, 75, 80, 85, 88, 90, 93, 95, 97, 98, 99, 99.5), 0.05   # ROOM: of the axis, for each


def curves_of(table, k, frozen):
    """(seeds, epochs) array of accuracies of one row, only of the seeds whose run was as long as that of the first."""
    found = [result for _, result in sorted(results(table).items()) if result["config"]["bp_tail"] == k
             and result["config"]["zo_frozen"] == frozen and "curve" in result]
    found.sort(key=lambda result: result["config"]["seed"])
    return np.array([result["curve"] for result in found if len(result["curve"]) == len(found[0]["curve"])])


BY_ERROR = "test accuracy, % (log scale of the error)"   # the name of an axis that is


def scale_by_error(axes):
    """Makes the axis of accuracies logarithmic in 100 - accuracy, with as many ticks as have room."""
    def scaled(right):
        return -np.log(np.maximum(100 - right, 1e-3))

    low, high = axes.get_ylim()
    low, high, ticks = max(low - 0.1 * (100 - low), 0), min(high, 99.6), []
    axes.set_yscale("function", functions=(scaled, lambda value: 100 - np.exp(-value)))
    room = ROOM * (scaled(high) - scaled(low))
    for tick in reversed(TICKS):
        if low <= tick <= high and (not ticks or scaled(ticks[-1]) - scaled(tick) > room):
            ticks.append(tick)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylim(low, high)


def draw(data, path):
    """Draws one data set, a panel for each precision that has run.  Returns whether there was anything to draw."""
    shown = {precision: found for precision in PRECISIONS if (found := {
        (k, frozen): curves for k in COLORS for frozen in (False, True)
        if (curves := curves_of(f"{data}-{precision}", k, frozen)).size})}
    if not shown:
        return False
    with panels(len(shown), (8.8, 6), sharey=True) as (figure, all_axes):
        for axes, (precision, found) in zip(all_axes, shown.items()):
            for (k, frozen), curves in found.items():
                name = "full BP" if k == BP else f"K = {k}" + ", control" * frozen
                draw_curves(axes, curves, COLORS[k], MARKERS[k], frozen,
                            f"{name}: {curves[:, -1].mean():.2f} % ({len(curves)})")
            finish(axes, TITLES[precision])
        scale_by_error(all_axes[0])
        all_axes[0].set_ylabel(BY_ERROR)
        figure.suptitle(f"{TITLES[data]}: means over the seeds (how many), shaded from the worst to the best")
        figure.savefig(path, dpi=110)
    return True


def draw_curves(axes, curves, colour, marker, frozen, label, an_epoch=1, over=1):
    """The mean of some seeds' curves by epoch and their range; a mark at the last epoch's own value.

    curves: (seeds, epochs).  frozen: whether of a control.  an_epoch: how long an epoch is on the axis.  over: how many
    epochs a point of the line is the mean of, itself the last.
    """
    epochs, line = an_epoch * np.arange(1, curves.shape[1] + 1), "--" if frozen else "-"
    smooth = np.lib.stride_tricks.sliding_window_view(curves, over, axis=1).mean(axis=2)   # (seeds, epochs - over + 1)
    axes.plot(epochs[over - 1:], smooth.mean(axis=0), color=colour, linestyle=line, linewidth=1.5)
    axes.plot(epochs[-1:], curves[:, -1].mean(), color=colour, linestyle=line, linewidth=1.5, label=label,
              marker=marker, markerfacecolor="white" if frozen else colour)
    if len(curves) > 1:
        axes.fill_between(epochs[over - 1:], smooth.min(axis=0), smooth.max(axis=0), color=colour, alpha=0.15)


def finish(axes, title, across="epoch"):
    """What every panel of curves has: its title, axis, grid and legend."""
    axes.set(title=title, xlabel=across)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, handlelength=1.7, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2,
                columnspacing=0.8, frameon=False)
    if axes.get_xscale() == "linear":
        axes.xaxis.get_major_locator().set_params(integer=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", help=f"{', '.join(DATA_SETS)} (default all)")
    data_sets = parser.parse_args().data or DATA_SETS
    for data in data_sets:
        if data not in DATA_SETS:
            parser.error(f"{data}: choose of {', '.join(DATA_SETS)}")
        path = RESULTS / f"curves_{data.replace('-', '_')}.png"
        say(f"wrote {path}" if draw(data, path) else f"{data}: nothing has run yet")


if __name__ == "__main__":
    main()
