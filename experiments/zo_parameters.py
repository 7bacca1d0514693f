"""Draws accuracy against the number of parameters that ZO trains, from the results; trains nothing.

    python -m experiments.zo_parameters

writes results/zo_parameters.png: a panel for each data set, a line for each precision, the frozen control hollow below
its row. Every K leaves so many parameters to ZO; means over the seeds.
"""
import argparse

from experiments.cells import pointnet_cells, pointnet_results, training_cells
from experiments.common import RESULTS
from experiments.curves import TITLES, scale_by_error
from experiments.rows import BP, DATA_SETS, PRECISIONS
from zo_numpy import models
from zo_numpy.app.drawing import panels
from zo_numpy.app.progress import say
from zo_numpy.run.steps import PRECISIONS as MODULES

TAILS = (BP, 3, 2, 1, 0)     # from no ZO parameter to all
STYLES = {"int8": ("tab:blue", "o"), "fp32": ("tab:orange", "s")}


def zo_parameters(model, precision, k):
    """How many parameters of a model ZO trains."""
    head, _ = models.split_tail(model.layers, k)
    return sum(map(MODULES[precision].parameter_count, head))


def sources():
    """(title, model, {precision: cells}) of every panel; ModelNet has one where several rows have run."""
    for data in DATA_SETS:
        yield TITLES[data], models.LENET5, {name: training_cells(f"{data}-{name}") for name in PRECISIONS}
    for result in pointnet_results():
        if len(result["rows"]) > 1:
            yield (f"{result['data']}, {result['points']} points", models.POINTNET,
                   {name: pointnet_cells(result, name) for name in PRECISIONS})


def points_of(cells, frozen):
    """[(place on the axis, accuracy)] of one line."""
    found = [(place, cells(k, frozen)) for place, k in enumerate(TAILS) if not frozen or k in (1, 2, 3)]
    return [(place, here.mean()) for place, here in found if here.by_seed]


def draw(path):
    """Draws all data sets.  Returns whether there was anything to draw."""
    drawn, shown = 0, list(sources())
    with panels(len(shown), (5.5 * len(shown), 4.8)) as (figure, all_axes):
        for axes, (title, model, by_precision) in zip(all_axes, shown):
            for precision, cells in by_precision.items():
                color, marker = STYLES[precision]
                for frozen in (False, True):
                    if found := points_of(cells, frozen):
                        axes.plot(*zip(*found), color=color, marker=marker, linestyle=":" if frozen else "-",
                                  markerfacecolor="white" if frozen else color,
                                  label=f"{precision.upper()}" + ", frozen control" * frozen)
                        drawn += 1
            names = ["full BP" if k == BP else f"K = {k}" for k in TAILS]
            axes.set_xticks(range(len(TAILS)), [f"{name}\n{zo_parameters(model, 'int8', k):,}"
                                                for name, k in zip(names, TAILS)])
            axes.set(title=title, xlabel="parameters that ZO trains, INT8 (not to scale)")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            if axes.lines:
                scale_by_error(axes)
                axes.legend(fontsize=9)
        all_axes[0].set_ylabel("test accuracy, %")
        if drawn:
            figure.savefig(path, dpi=110)
    return drawn > 0


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    path = RESULTS / "zo_parameters.png"
    say(f"wrote {path}" if draw(path) else "nothing has run yet")


if __name__ == "__main__":
    main()
