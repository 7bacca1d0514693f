"""How often the integer cross-entropy gives the sign that float64 gives, on the logits of real training runs.

Trains LeNet-5 on MNIST in integers, once with K = 0 and once with K = 3, and on every step compares the sign of
L+ - L- with that of float64 cross-entropy of the same integer logits. The floats stand beside the run and do not
enter it. A step where the integer losses are equal counts as a disagreement, unless the float losses differ by less
than 0.01 %. The coarse loss, which has no fraction bits, is compared on the same logits.

    python -m experiments.loss_sign

measures every step of two epochs with K = 0 and of the last of five with K = 3, and writes
experiments/results/loss_sign.json and .png.
"""
import argparse

import numpy as np

from experiments.common import QUICK, RESULTS, save_result
from experiments.float_loss import float_cross_entropy
from zo_numpy import models
from zo_numpy.app.data import load_data
from zo_numpy.app.drawing import panels
from zo_numpy.app.methods import method_of
from zo_numpy.app.progress import say
from zo_numpy.int8 import precision
from zo_numpy.int8.loss import coarse_cross_entropy, cross_entropy
from zo_numpy.run.config import make_config
from zo_numpy.run.steps import batch_of, one_step, steps_in_epoch

RUNS = ((0, 1, 1), (3, 2, 1)) if QUICK else ((0, 2, 2), (3, 5, 1))   # K, epochs, how many of the last are measured
IMAGES = 2000 if QUICK else None   # training images, None for all
GAPS = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, np.inf)   # of |L+ - L-| / mean, in float64


class Watcher:
    """Sees every tensor of a step and keeps both passes' logits, and the labels it is told."""

    def __init__(self, last_layer):
        self.last_layer, self.logits = last_layer, {}

    def __call__(self, phase, op, name, value):
        if op == "requantise" and name == self.last_layer:
            self.logits[phase] = value

    def compare(self, labels):
        """(relative gap of the float losses, float sign, integer sign, coarse sign) of the step just made."""
        plus, minus = self.logits["plus"], self.logits["minus"]
        exact = float_cross_entropy(plus, labels), float_cross_entropy(minus, labels)
        gap = abs(exact[0] - exact[1]) / max((exact[0] + exact[1]) / 2, 1e-300)
        signs = [np.sign(exact[0] - exact[1])]
        for loss in (cross_entropy, coarse_cross_entropy):
            signs.append(np.sign(loss(plus, labels) - loss(minus, labels)))
        return gap, *(int(sign) for sign in signs)


def agrees(gap, exact, integer):
    return integer == exact or (integer == 0 and gap < 1e-4)


def measure(bp_tail, epochs, measured, dataset, seed=0):
    """The table of one run: steps and agreements by gap, over its last `measured` epochs."""
    config = make_config(dict(bp_tail=bp_tail, epochs=epochs, seed=seed))
    weights, method = precision.initialise(config), method_of(config)
    images, labels = dataset.train_images[:IMAGES], dataset.train_labels[:IMAGES]
    watcher = Watcher(models.weight_layers(models.LENET5.layers)[-1].name)
    per_epoch = steps_in_epoch(config, len(labels))
    rows = []
    for step in range(epochs * per_epoch):
        watched = step >= (epochs - measured) * per_epoch
        one_step(config, method, weights, images, labels, step, watcher if watched else None)
        if watched:
            rows.append(watcher.compare(labels[batch_of(config, len(labels), step)[1]]))
        if (step + 1) % per_epoch == 0:
            say(f"K = {bp_tail}: epoch {(step + 1) // per_epoch} of {epochs}")
    return config, rows


def table(rows):
    """Steps and agreements of both losses, in all and by gap."""
    def counts(chosen):
        return {"steps": len(chosen), "integer_agrees": sum(agrees(gap, exact, fine) for gap, exact, fine, _ in chosen),
                "coarse_agrees": sum(agrees(gap, exact, coarse) for gap, exact, _, coarse in chosen)}

    by_gap = [{"gap_from": low, "gap_below": None if high == np.inf else high,
               **counts([row for row in rows if low <= row[0] < high])} for low, high in zip(GAPS, GAPS[1:])]
    return {**counts(rows), "by_gap": by_gap}


def draw(result, path):
    """Agreement of both losses by the gap of the float losses, a panel for each run."""
    with panels(len(result["runs"]), (9, 4), sharey=True) as (figure, all_axes):
        for axes, run in zip(all_axes, result["runs"]):
            rows = [row for row in run["by_gap"] if row["steps"]]
            labels = [f"{100 * row['gap_from']:g} %\nor more" if row["gap_below"] is None else
                      f"{100 * row['gap_from']:g} to\n{100 * row['gap_below']:g} %" for row in rows]
            for name, color, shift in (("integer", "#0072B2", -0.2), ("coarse", "#E69F00", 0.2)):
                shares = [100 * row[name + "_agrees"] / row["steps"] for row in rows]
                bars = axes.bar(np.arange(len(rows)) + shift, shares, 0.4, color=color, label=f"{name} loss")
                axes.bar_label(bars, [f"{share:.3g}" for share in shares], fontsize=8)
            axes.set_xticks(range(len(rows)), [f"{label}\n{row['steps']:,} steps" for label, row in zip(labels, rows)],
                            fontsize=8)
            axes.set(title=run["title"], xlabel="|L+ - L-| / mean, in float64", ylim=(0, 109))
            axes.set_yticks(range(0, 101, 20))
            axes.spines[["top", "right"]].set_visible(False)
        all_axes[0].set_ylabel("sign of L+ - L- agrees with float64, %")
        figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        figure.savefig(path, dpi=110)


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    dataset = load_data(make_config({"data": "mnist"}))
    runs = []
    for bp_tail, epochs, measured in RUNS:
        which = "every step" if measured == epochs else "last epoch"
        config, rows = measure(bp_tail, epochs, measured, dataset)
        runs.append({"title": f"K = {bp_tail}, {which} of {epochs} epochs", "bp_tail": bp_tail, "epochs": epochs,
                     "measured_epochs": measured, "seed": config.seed, "batch_size": config.batch_size,
                     "schedules": config.schedules, **table(rows)})
        say(f"{runs[-1]['title']}: integer {runs[-1]['integer_agrees']:,}, coarse {runs[-1]['coarse_agrees']:,} of "
            f"{runs[-1]['steps']:,} agree")
    result = {"experiment": "loss_sign", "data": dataset.name, "complete": dataset.complete, "runs": runs}
    say(f"wrote {save_result('loss_sign', result)}")
    draw(result, RESULTS / "loss_sign.png")


if __name__ == "__main__":
    main()
