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

COLORS = {0: "tab:gray", 1: "tab:blue", 2: "tab:orange", 3: "tab:green", BP: "black"}
TITLES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "int8": "INT8, integers only", "fp32": "FP32"}
TICKS = (0, 20, 40, 60, 70, 75, 80, 85, 88, 90, 93, 95, 97, 98, 99, 99.5)


def curves_of(table, k, frozen):
    """(seeds, epochs) array of accuracies of one row, only of the seeds whose run was as long as that of the first."""
    found = [result for _, result in sorted(results(table).items()) if result["config"]["bp_tail"] == k
             and result["config"]["zo_frozen"] == frozen and "curve" in result]
    found.sort(key=lambda result: result["config"]["seed"])
    return np.array([result["curve"] for result in found if len(result["curve"]) == len(found[0]["curve"])])


def scale_by_error(axes):
    """Makes the axis of accuracies logarithmic in 100 - accuracy."""
    low, high = axes.get_ylim()
    low -= 0.1 * (100 - low)
    axes.set_yscale("function", functions=(lambda right: -np.log(np.maximum(100 - right, 1e-3)),
                                           lambda scaled: 100 - np.exp(-scaled)))
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylim(max(low, 0), min(high, 99.6))


def draw(data, path):
    """Draws one data set.  Returns whether there was anything to draw."""
    drawn = 0
    with panels(len(PRECISIONS), (12, 6), sharey=True) as (figure, all_axes):
        for axes, precision in zip(all_axes, PRECISIONS):
            for k, color in COLORS.items():
                for frozen in (False, True):
                    curves = curves_of(f"{data}-{precision}", k, frozen)
                    if not curves.size:
                        continue
                    drawn += 1
                    epochs = np.arange(1, curves.shape[1] + 1)
                    name = "full BP" if k == BP else f"K = {k}" + (", frozen" if frozen else "")
                    axes.plot(epochs, curves.mean(axis=0), color=color, linestyle="--" if frozen else "-",
                              linewidth=1.5, marker="." if len(epochs) <= 8 else None, label=(
                                  f"{name}: {curves[:, -1].mean():.2f} % ({len(curves)} seed{'s' * (len(curves) > 1)})"))
                    if len(curves) > 1:
                        axes.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color=color, alpha=0.15)
            axes.set(title=TITLES[precision], xlabel="epoch")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            if axes.lines:
                axes.legend(fontsize=8, columnspacing=1.0, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
                axes.xaxis.get_major_locator().set_params(integer=True)
            else:
                axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center")
                axes.set_xticks([])
        if drawn:
            scale_by_error(all_axes[0])
        all_axes[0].set_ylabel("test accuracy, %")
        figure.suptitle(TITLES[data])
        if drawn:
            figure.savefig(path, dpi=110)
    return drawn > 0


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
