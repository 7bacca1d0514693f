"""Bytes of a training step by kind of tensor, predicted and measured, for every K, the control and Full BP.

    python -m experiments.memory

writes experiments/results/memory.json and .png, on one thread, where what is measured is the same every time.

    python -m experiments.memory --model pointnet

writes memory_pointnet.json: batches of 32 clouds of 256 and of 1,024 points.
"""
import argparse

import numpy as np

from experiments.cells import name_of
from experiments.common import QUICK, RESULTS, save_result
from zo_numpy.app.drawing import panels
from zo_numpy.app.methods import method_of
from zo_numpy.app.progress import say
from zo_numpy.measure import memory, peak
from zo_numpy.measure.timing import threads
from zo_numpy.run.config import BP, make_config
from zo_numpy.run.steps import PRECISIONS

CASES = {"lenet5": [{"batch_size": batch} for batch in ((32,) if QUICK else (1, 32, 256))],
         "pointnet": [{"model": "pointnet", "data": "modelnet40", "batch_size": 32, "points": points}
                      for points in (256, 1024)]}
STEPS = {"lenet5": 12, "pointnet": 3}   # that are measured
TAILS = ((0, False), *((k, frozen) for k in (1, 2, 3) for frozen in (False, True)), (BP, False))   # K, frozen
COLOURS = dict(zip(memory.KINDS, ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "lightgrey", "#D55E00", "#CC79A7")))


def measured_row(precision, case, bp_tail, frozen):
    """Prediction and measurement of one configuration; beside vanilla ZO what inference on its batch holds, measured."""
    config = make_config({"precision": precision, "bp_tail": bp_tail, "zo_frozen": frozen, **case})
    measured = peak.measure(config, method_of(config), STEPS[config.model])
    row = {"precision": precision, "batch": config.batch_size, **({"points": config.points} if config.points else {}),
           "bp_tail": bp_tail, "frozen": frozen, "measured": measured}
    if bp_tail == BP:   # keeps whole gradients and every layer's input: measured alone
        return row
    highest = memory.peak(memory.moments(config))
    idle = {} if bp_tail else {"inference": peak.measure(config, method_of(config), STEPS[config.model], infer=True)}
    return {**row, "predicted": highest.total, "peak": highest.name, "held": highest.held, **idle}


def overheads(rows):
    """By how much a step of K = 1, 2 and 3 exceeds one of K = 0, measured, in percent: {"int8, 32 x 256, K = 1": ..}."""
    peaks = {(row["precision"], row["batch"], row.get("points"), row["bp_tail"]): row["measured"] for row in rows
             if not row["frozen"]}
    return {", ".join([precision, f"{batch} x {points}" if points else f"batch {batch}", f"K = {k}"]):
            round(100 * (held / peaks[precision, batch, points, 0] - 1), 3)
            for (precision, batch, points, k), held in peaks.items() if k in (1, 2, 3)}


def draw(result, path):
    """A stacked bar of the predicted peak for each configuration at batch 32, a dot for the measured one."""
    with panels(2, (9.4, 4.8), sharey=True) as (figure, all_axes):
        for axes, precision in zip(all_axes, ("int8", "fp32")):
            rows = [row for row in result["rows"] if row["precision"] == precision and row["batch"] == 32]
            names = [name_of(row["bp_tail"]) + "\ncontrol" * row["frozen"] for row in rows]
            bottom = [0.0] * len(rows)
            for kind, colour in COLOURS.items():
                heights = [row.get("held", {}).get(kind, 0) / 1000 for row in rows]
                if not any(row.get("held", {}).get(kind) for row in result["rows"] if row["batch"] == 32):
                    continue   # nothing of it is there at the peak
                axes.bar(names, heights, bottom=bottom, label=kind, color=colour)
                bottom = [low + height for low, height in zip(bottom, heights)]
            measured = [row["measured"] / 1000 for row in rows]
            axes.hlines(measured, np.arange(len(rows)) - 0.45, np.arange(len(rows)) + 0.45, color="black",
                        linewidth=1.5, label="measured")
            for place, value in enumerate(measured):
                axes.annotate(f"{value:,.0f}", (place, value), (0, 3), textcoords="offset points", ha="center",
                              fontsize=8)
            axes.tick_params(axis="x", labelsize=8)
            axes.yaxis.set_major_formatter("{x:,.0f}")
            axes.set_title({"int8": "INT8", "fp32": "FP32"}[precision])
            axes.spines[["top", "right"]].set_visible(False)
        all_axes[0].set_ylabel("kB at the peak of a step, batch 32")
        handles, labels = all_axes[0].get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=len(labels), frameon=False)
        figure.suptitle("LeNet-5: a step as predicted (bars) and as measured (lines); full BP is measured alone")
        figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=CASES, default="lenet5")
    model = parser.parse_args().model
    with threads(1):
        rows = [measured_row(precision, case, *tail) for precision in PRECISIONS for case in CASES[model]
                for tail in TAILS]
    for row in rows:
        points = f" of {row['points']} points" if "points" in row else ""
        say(f"{row['precision']}, batch {row['batch']:4}{points}, K = {row['bp_tail']}{', frozen' * row['frozen']}: "
            f"{row['measured']:11,} bytes measured"
            + (f", {row['predicted']:11,} predicted, {row['peak']}" if "peak" in row else ""))
    result = {"threads": 1, "rows": rows, "percent_over_k0": overheads(rows)}
    for name, percent in result["percent_over_k0"].items():
        say(f"{name}: {percent:+.3f} % of K = 0")
    say(f"wrote {save_result('memory' + f'_{model}' * (model != 'lenet5'), result)}")
    if model == "lenet5":
        draw(result, RESULTS / "memory.png")


if __name__ == "__main__":
    main()
