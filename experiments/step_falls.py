"""By how much the loss of a batch falls in one ZO step, beside a step of the same length along its gradient.

    python -m experiments.step_falls --data-dir DIR      (DIR: ModelNet40; without it LeNet-5 alone)

writes experiments/results/step_falls.json and .png. The tail stays as it is in both. In FP32 a step is measured at
FACTORS times the eta of ModelNet10, and for PointNet at K = 2 also where ZO trains a part of the parameters only
(zo_on_clouds.PARTS). In INT8 it is the step that `train` makes, and the one beside it is 1 off as many integer weights
as the length allows, those with the largest gradients. Falls are shares of the loss before the step; below zero it
rises. Measured at the initial weights, and after EPOCHS epochs at K = 2 (not PointNet in INT8), at batch 32.
"""
import argparse
import math

import numpy as np

from experiments.cells import errors_to_either_side
from experiments.cloud_candidates import of_modelnet10
from experiments.common import QUICK, RESULTS, save_result
from experiments.gradient_agreement import FULL_BP, TITLES, copied, gradient
from experiments.zo_on_clouds import PARTS, method_of
from zo_numpy import models
from zo_numpy.app.data import load_data
from zo_numpy.app.drawing import panels
from zo_numpy.app.progress import say
from zo_numpy.fp32 import loss as fp32_loss
from zo_numpy.int8 import loss as int8_loss
from zo_numpy.int8.arith import INT8_MAX, QTensor
from zo_numpy.run.config import make_config
from zo_numpy.run.fitting import fitted
from zo_numpy.run.steps import PRECISIONS, one_step, own_method, parts, settings_of, steps_in_epoch

NAME = "step_falls"
LOSSES = {"fp32": fp32_loss, "int8": int8_loss}
BATCH, BATCHES, DRAWS = (8, 2, 4) if QUICK else (32, 4, 16)     # samples; batches, z of all together for a row
EPOCHS = 1 if QUICK else 2
FACTORS = {"fp32": (0.01, 0.1, 1, 10, 100), "int8": (1,)}             # of eta
NETWORKS = {"lenet5": dict(model="lenet5", data="mnist-subset" if QUICK else "mnist", limit=100 if QUICK else 6000),
            "pointnet": dict(model="pointnet", data="synthetic-solids" if QUICK else "modelnet40",
                             points=32 if QUICK else 128, limit=100 if QUICK else 1640)}


def cases_of(name, precision):
    """[(K, one of PARTS or None)] of a network in a precision."""
    if (name, precision) == ("pointnet", "int8"):
        return [(2, None)]
    return [(2, None), (0, None)] + [(2, part) for part in PARTS if name == "pointnet"]


def flat(arrays, names):
    """One vector of float64 of some arrays or QTensors, in INT8 of their integers."""
    found = (arrays[name] for name in names)
    return np.concatenate([np.ravel(value.data if isinstance(value, QTensor) else value) for value in found],
                          dtype=np.float64)


def lessened(weights, names, vector):
    """A copy of the weights in which those of `names` are less by a vector."""
    made, start = copied(weights), 0
    for name in names:
        array = made[name].data if isinstance(made[name], QTensor) else made[name]
        moved = array - vector[start:start + array.size].reshape(array.shape)
        array[...] = np.clip(moved, -INT8_MAX, INT8_MAX) if array.dtype == np.int8 else moved
        start += array.size
    return made


def loss_of(config, weights, samples, labels):
    """The loss of a batch, in the precision's own units; batch norm has the batch's statistics."""
    (module, layers), losses = FULL_BP[config.precision], LOSSES[config.precision]
    more = (None, {}) if config.precision == "fp32" else ()
    logits, _ = module.forward_kept(models.of_run(config), weights, layers.network_input(samples), *more)
    return float(losses.cross_entropy(logits, labels))


def along_gradient(step, slope, precision):
    """A step along the gradient, of the length of a ZO step."""
    squares = float(step @ step)
    if precision == "fp32":
        return slope * math.sqrt(squares / float(slope @ slope))
    made, order = np.zeros_like(slope), np.argsort(np.abs(slope))[::-1][:round(squares)]
    made[order] = np.sign(slope[order])
    return made


def mean_and_error(values):
    return [float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))]


def measured(config, weights, samples, labels, trains=None):
    """One row: means over DRAWS of z and standard errors.  weights: those before the steps, not changed."""
    precision, model, method = PRECISIONS[config.precision], models.of_run(config), method_of(config, trains)
    weights, settings = precision.fit_for_zo(copied(weights), config), settings_of(config, method, 0)
    names = [name for _, name in precision.zo_tensors(model, config.bp_tail) if trains is None or PARTS[trains](name)]
    before, factors = flat(weights, names), FACTORS[config.precision]
    cosines, lengths, falls, beside = [], [], [[] for _ in factors], [[] for _ in factors]
    for draw in range(DRAWS):
        part = slice(draw % BATCHES * BATCH, (draw % BATCHES + 1) * BATCH)
        here, after = (samples[part], labels[part]), copied(weights)
        method.train_step(model, config.bp_tail, after, *here, config.seed, draw, settings)
        step, slope = before - flat(after, names), flat(gradient(config, model, weights, *here), names)
        loss, length = loss_of(config, weights, *here), math.sqrt(float(step @ step))
        cosines.append(float(step @ slope) / (length * math.sqrt(float(slope @ slope)) or 1))
        lengths.append(length)
        for i, factor in enumerate(factors):
            ways = [(falls, step)] + [(beside, along_gradient(step, slope, config.precision))] * (draw < BATCHES)
            for found, taken in ways:
                found[i].append(1 - loss_of(config, lessened(weights, names, factor * taken), *here) / loss)
    return {"zo_parameters": before.size, "draws": DRAWS, "theory": math.sqrt(2 / (math.pi * before.size)),
            "cosine": mean_and_error(cosines), "length": float(np.mean(lengths)), "factors": list(factors),
            "fall": [mean_and_error(values) for values in falls],
            "fall_along_gradient": [mean_and_error(values) for values in beside]}


def rows_of(name, precision, data_dir):
    """Yields the rows of a network in a precision: at its initial weights, then after some epochs at K = 2."""
    options = {"precision": precision, **NETWORKS[name]}
    first = of_modelnet10(options["data"], precision, 2)
    config = make_config({**options, **first, "bp_tail": 2, "epochs": EPOCHS, "batch_size": BATCH})
    dataset = load_data(config, data_dir if name == "pointnet" else None, announce=lambda text: None)
    config = fitted(config, dataset)
    training, weights = parts(config, dataset)[0], PRECISIONS[precision].initialise(config)
    for state in ("initial",) if (name, precision) == ("pointnet", "int8") else ("initial", "trained"):
        if state == "trained":
            for step in range(EPOCHS * steps_in_epoch(config, len(training[1]))):
                one_step(config, own_method(config), weights, *training, step)
        for k, trains in cases_of(name, precision):
            first = of_modelnet10(options["data"], precision, k)
            row = measured(fitted(make_config({**options, **first, "bp_tail": k}), dataset), weights, *training, trains)
            row = {"model": name, "precision": precision, "state": state, "bp_tail": k, "trains": trains, **row}
            say(f"{row}")
            yield row


def draw(result, path):
    """Falls by the length of the step, FP32 at K = 2: solid along the gradient, dashed by ZO; rises have no point.

    Bars are 95 % intervals; one that reaches zero or below ends at the frame, as the axis is logarithmic.
    """
    looks = {None: ("o", "#0072B2"), "norms": ("s", "#D55E00"), "nearest": ("^", "#009E73"), "first": ("v", "#000000")}
    rows = [row for row in result["rows"]
            if (row["precision"], row["state"], row["bp_tail"]) == ("fp32", "trained", 2)]
    names = [name for name in NETWORKS if any(row["model"] == name for row in rows)]
    shown = []   # every fall in %
    with panels(len(names), (8.8, 5.2), sharey=True) as (figure, all_axes):
        for axes, name in zip(all_axes, names):
            for row in (row for row in rows if row["model"] == name):
                marker, colour = looks[row["trains"]]
                label = f"{row['trains'] or 'all'}: {row['zo_parameters']:,}"
                for key, line, count in (("fall", "--", row["draws"]),
                                         ("fall_along_gradient", "-", min(row["draws"], BATCHES))):
                    falls = [(row["length"] * factor, 100 * mean, 100 * errors_to_either_side(count) * error)
                             for factor, (mean, error) in zip(row["factors"], row[key]) if mean > 0]
                    if falls:
                        shown += [mean for _, mean, _ in falls]
                        axes.errorbar(*zip(*falls), linestyle=line, marker=marker, color=colour, capsize=2,
                                      markersize=5, elinewidth=0.7, label=label if line == "-" else None)
            axes.set(xscale="log", xlabel="length of the step",
                     title=f"{TITLES[name]}, FP32, K = 2, after {result['epochs']} epochs")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False, ncols=2,
                        title="parameters that step", title_fontsize=9)
        if shown:
            all_axes[0].set_yscale("log", nonpositive="clip")
            all_axes[0].set_ylim(min(shown) / 2, 100)
        all_axes[0].set_ylabel("fall of the batch's loss, % (no point where it rises)")
        draws = max((row["draws"] for row in rows), default=0)
        figure.suptitle("Solid: along the gradient; dashed: by ZO. Bars: 95 % intervals by Student's t, over\n"
                        f"{min(draws, BATCHES)} batches and over {draws} z of ZO; those that end at the frame hold "
                        "zero", fontsize=11)
        figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="a folder that holds ModelNet40")
    options = parser.parse_args()
    names = list(NETWORKS) if options.data_dir or QUICK else ["lenet5"]
    rows = [row for name in names for precision in LOSSES for row in rows_of(name, precision, options.data_dir)]
    result = {"experiment": NAME, "batch": BATCH, "epochs": EPOCHS, "networks": NETWORKS, "rows": rows}
    say(f"wrote {save_result(NAME, result)}")
    draw(result, RESULTS / f"{NAME}.png")


if __name__ == "__main__":
    main()
