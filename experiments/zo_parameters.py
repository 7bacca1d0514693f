"""Draws accuracy against the number of parameters that ZO trains, from the results; trains nothing.

    python -m experiments.zo_parameters

writes results/zo_parameters.png: a panel for each data set, a line for each precision, the frozen control hollow below
its row. Every K leaves so many parameters to ZO; means over the seeds, with 95 % intervals where there are several.
"""
import argparse

from experiments.cells import half_width, name_of
from experiments.common import RESULTS
from experiments.curves import BY_ERROR, scale_by_error
from experiments.rows import BP
from experiments.summary import STYLES
from experiments.tables import of_full_training
from zo_numpy import models
from zo_numpy.app.drawing import panels
from zo_numpy.app.progress import say
from zo_numpy.run.steps import PRECISIONS as MODULES

TAILS = (BP, 3, 2, 1, 0)     # from no ZO parameter to all


def zo_parameters(model, precision, k):
    """How many parameters of a model ZO trains."""
    head, _ = models.split_tail(model.layers, k)
    return sum(map(MODULES[precision].parameter_count, head))


def points_of(cells, tails, frozen):
    """[(place on the axis, accuracy, half of its interval or 0)] of one line, of what has run."""
    found = [(place, cells(k, frozen)) for place, k in enumerate(tails) if not frozen or k in (1, 2, 3)]
    return [(place, here.mean(), half_width(list(here.by_seed.values())) or 0) for place, here in found if here.by_seed]


def draw(path):
    """Draws all data sets of which several rows have run, the K that have.  Returns whether there was anything."""
    shown = {title: found for title, found in of_full_training().items()
             if max(sum(bool(cells(k).by_seed) for k in TAILS) for cells in found.values()) > 1}
    if not shown:
        return False
    rows = -(-len(shown) // 2)
    with panels(min(len(shown), 2), (8.8, 3.9 * rows), rows=rows) as (figure, all_axes):
        for axes in all_axes[len(shown):]:
            axes.set_visible(False)
        for axes, (title, by_precision) in zip(all_axes, shown.items()):
            tails = [k for k in TAILS if any(cells(k).by_seed for cells in by_precision.values())]
            for precision, cells in by_precision.items():
                color, marker = STYLES[precision]
                for frozen in (False, True):
                    if found := points_of(cells, tails, frozen):
                        places, means, halves = zip(*found)
                        aside = -0.05 if precision == "int8" else 0.05   # so that no bar hides another
                        axes.errorbar([place + aside for place in places], means, halves, color=color, marker=marker,
                                      linestyle=":" if frozen else "-",
                                      markerfacecolor="white" if frozen else color, capsize=3, elinewidth=1,
                                      label=precision.upper() + ", control" * frozen)
            model = models.POINTNET if "points" in title else models.LENET5
            axes.set_xticks(range(len(tails)), [f"{name_of(k)}\n{zo_parameters(model, 'int8', k):,}" for k in tails],
                            fontsize=9)
            axes.set(title=title, xlabel="parameters that ZO trains, INT8 (not to scale)", ylabel=BY_ERROR)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            scale_by_error(axes)
            axes.legend(fontsize=9)
        figure.suptitle("Bars: 95 % intervals of three seeds or more, hidden where the mark is larger")
        figure.savefig(path, dpi=110)
    return True


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    path = RESULTS / "zo_parameters.png"
    say(f"wrote {path}" if draw(path) else "nothing has run yet")


if __name__ == "__main__":
    main()
