"""How well a ZO step agrees with the gradient: the cosine between g z and what backpropagation gives.

    python -m experiments.gradient_agreement --data-dir DIR     (DIR: ModelNet40; without it LeNet-5 alone)

writes results/gradient_agreement.json and .png, and gradient_sizes.png of the sizes of z. g z is what a step of
zo_numpy does to the weights of ZO: those before it less those after it. In FP32 that is g z itself; in INT8 it is z
shifted to b_zo bits, with the sign of g. The gradient is that of experiments/full_bp at the same weights and on the
same batch, and on a large batch too, as one of a few samples says little about all. In INT8 both are of the integer
weights, in whose units z is drawn.

The mean of a cosine is taken with its sign: were the sign of g wrong, it would be negative. Along a random z of d
parameters, a slope without any error gives sqrt(2 / (pi d)) on average.

Varied one at a time: K, the batch, the length of z (eps or r_max), and its share of zeros. Measured at the initial
weights, and after EPOCHS epochs of ElasticZO at K = 2.
"""
import argparse
import math

import numpy as np

from experiments.cells import errors_to_either_side
from experiments.cloud_candidates import of_modelnet10
from experiments.common import QUICK, RESULTS, save_result
from experiments.full_bp import fp32 as full_bp_fp32, int8 as full_bp_int8
from zo_numpy import models
from zo_numpy.app.data import load_data
from zo_numpy.app.drawing import panels
from zo_numpy.app.progress import say
from zo_numpy.fp32 import layers as fp32_layers
from zo_numpy.int8 import layers as int8_layers
from zo_numpy.int8.arith import QTensor
from zo_numpy.int8.elastic_zo import zo_tensors
from zo_numpy.int8.precision import clip_for_zo
from zo_numpy.run.config import make_config
from zo_numpy.run.fitting import fitted
from zo_numpy.run.steps import PRECISIONS, one_step, own_method, parts, settings_of, steps_in_epoch

BATCHES, DRAWS = (1, 2) if QUICK else (4, 15)       # that are drawn for each point, and z of each
LARGE = 64 if QUICK else 1024                       # samples of the large batch
EPOCHS, LIMIT, POINTS = (1, 100, 32) if QUICK else (4, 4000, 128)
USUAL = {"bp_tail": 2, "batch": 32}
LENGTHS = {"fp32": ("eps", (1e-4, 1e-3, 1e-2, 1e-1)), "int8": ("r_max", (1, 3, 15, 63))}
VARIED = [{"bp_tail": k} for k in (0, 1, 2, 3)] + [{"batch": batch} for batch in (1, 8, 128)]
TITLES = {"lenet5": "LeNet-5", "pointnet": "PointNet"}
LOOKS = {("lenet5", "int8"): ("o", "#0072B2"), ("lenet5", "fp32"): ("s", "#D55E00"),   # marker, colour
         ("pointnet", "int8"): ("v", "#56B4E9"), ("pointnet", "fp32"): ("^", "#E69F00")}
SIZES = (("FP32", "eps", "log", "eps"), ("INT8", "r_max", "log", "r_max"),   # of z: precision, name, axis
         ("INT8", "p_zero", "linear", "p_zero, zeros in 256"))
FULL_BP = {"fp32": (full_bp_fp32, fp32_layers), "int8": (full_bp_int8, int8_layers)}


def cases(precision):
    """The points of a network: what differs from the usual."""
    name, values = LENGTHS[precision]
    zeros = [{"p_zero": share} for share in (0, 128, 252)] if precision == "int8" else []
    return VARIED + [{name: value} for value in values] + zeros


def numbers_of(weights):
    """{name: array of float64} of weights or gradients: in INT8 of the integers."""
    return {name: (value.data if isinstance(value, QTensor) else value).astype(np.float64)
            for name, value in weights.items() if isinstance(value, (QTensor, np.ndarray))}


def gradient(config, model, weights, samples, labels):
    """{name: dL / dweight} by backpropagation, in float64 and in units of what is stored."""
    module, layers = FULL_BP[config.precision]
    x = layers.network_input(samples)
    if config.precision == "int8":
        found = module.gradients_of(model, weights, *module.forward_kept(model, weights, x), labels)
        return {name: np.ldexp(value.data.astype(np.float64), value.exponent + weights[name].exponent)
                for name, value in found.items()}
    statistics = {}
    kept = module.forward_kept(model, weights, x, None, statistics)
    return numbers_of(module.gradients_of(model, weights, *kept, labels, None, statistics))


def zo_direction(config, model, weights, samples, labels, step, settings):
    """{name: array} of the weights of ZO: what a step takes from them.  The weights stay as they are."""
    copy = copied(weights)
    own_method(config).train_step(model, config.bp_tail, copy, samples, labels, config.seed, step, settings)
    before, after = numbers_of(weights), numbers_of(copy)
    tail = {layer.name for layer in models.split_tail(model.layers, config.bp_tail)[1] if hasattr(layer, "name")}
    return {name: before[name] - after[name] for name in before if name.split(".")[0] not in tail}


def copied(weights):
    return {name: QTensor(value.data.copy(), value.exponent) if isinstance(value, QTensor) else value.copy()
            for name, value in weights.items()}


def cosine(direction, found):
    """Of two mappings, over the names of the first that both have."""
    a, b = (np.concatenate([part[name].ravel() for name in direction if name in found]) for part in (direction, found))
    length = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / length if length else 0.0


def measured(config, model, weights, data, case):
    """One point: mean cosines with the gradient of the batch and of a large batch, and their standard errors."""
    samples, labels = data
    settings = settings_of(config, own_method(config), 0)._replace(
        **{name: value for name, value in case.items() if name not in USUAL})
    if config.precision == "fp32":
        settings = settings._replace(eta=1.0, clip=1e9, eta_tail=0.0)     # the step is g z
    else:
        settings, weights = settings._replace(r_limit=max(settings.r_limit, settings.r_max)), copied(weights)
        clip_for_zo(weights, zo_tensors(model, config.bp_tail), settings.r_limit)
    batch = {**USUAL, **case}["batch"]
    large = gradient(config, model, weights, samples[-LARGE:], labels[-LARGE:])
    near, far = [], []
    for number in range(BATCHES):
        part = slice(number * batch, (number + 1) * batch)
        own = gradient(config, model, weights, samples[part], labels[part])
        for draw in range(DRAWS):
            direction = zo_direction(config, model, weights, samples[part], labels[part], number * DRAWS + draw,
                                     settings)
            near.append(cosine(direction, own))
            far.append(cosine(direction, large))
    count = sum(value.size for value in direction.values())
    row = {**USUAL, **case, "zo_parameters": count, "draws": len(near), "theory": math.sqrt(2 / (math.pi * count))}
    for name, found in (("batch", near), ("large", far)):
        row[f"cosine_{name}"] = float(np.mean(found))
        row[f"cosine_{name}_error"] = float(np.std(found, ddof=1) / math.sqrt(len(found)))
    return row


def network(model_name, precision, data, data_dir):
    """Yields the rows of a network in a precision: at its initial weights, then after some epochs at K = 2."""
    options = dict(model=model_name, data=data, precision=precision, limit=LIMIT, **(
        {"points": POINTS} if model_name == "pointnet" else {}))
    first = make_config({**options, "bp_tail": cases(precision)[0]["bp_tail"]})
    dataset = load_data(first, data_dir, announce=lambda text: None)
    first = fitted(first, dataset)
    model, training, weights = models.of_run(first), parts(first, dataset)[0], PRECISIONS[precision].initialise(first)
    for state in ("initial", "trained"):
        for case in cases(precision):
            k = case.get("bp_tail", USUAL["bp_tail"])
            config = fitted(make_config({**options, "bp_tail": k, **of_modelnet10(data, precision, k)}), dataset)
            row = measured(config, model, weights, training, case)
            say(f"{model_name} {precision}, {state}, {case}: cosine {row['cosine_batch']:.5f} +- "
                f"{row['cosine_batch_error']:.5f} with the batch, {row['cosine_large']:.5f} with many samples, theory "
                f"{row['theory']:.5f}")
            yield {"model": model_name, "precision": precision, "state": state, **row}
        config = fitted(make_config({**options, **of_modelnet10(data, precision, USUAL["bp_tail"]),
                                     "bp_tail": USUAL["bp_tail"], "epochs": EPOCHS}), dataset)
        for step in range(EPOCHS * steps_in_epoch(config, len(training[1])) if state == "initial" else 0):
            one_step(config, own_method(config), weights, *training, step)


def draw(result, path):
    """Cosine by the number of ZO parameters, with theory's line, and by batch, for each network and precision."""
    rows = result["rows"]
    with panels(2, (8.8, 5.2)) as (figure, (by_count, by_batch)):
        for axes, x, y, varied in ((by_count, "zo_parameters", "cosine_batch", "bp_tail"),
                                   (by_batch, "batch", "cosine_large", "batch")):
            draw_lines(axes, [row for row in rows if usual(row, varied)], x, y)
        counts = np.geomspace(min(row["zo_parameters"] for row in rows), max(row["zo_parameters"] for row in rows), 50)
        by_count.plot(counts, np.sqrt(2 / (math.pi * counts)), color="black", label="an exact slope: sqrt(2 / (pi d))")
        by_count.set(xscale="log", yscale="log", xlabel="d, parameters trained by ZO (K = 3 to 0)",
                     ylabel="mean cosine of g z and the gradient", title="gradient of the same batch of 32")
        by_batch.axhline(0, color="black", linewidth=0.8)
        by_batch.set(xscale="log", xlabel="batch size", title=f"gradient of {result['large']:,} samples, K = 2")
        by_batch.set_xticks([1, 8, 32, 128], ["1", "8", "32", "128"])
        by_batch.set_xticks([], minor=True)
        finish(figure, rows)
        figure.savefig(path, dpi=110)


def draw_sizes(result, path):
    """Cosine by the length of z and by its share of zeros, as a share of that of an exact slope."""
    with panels(len(SIZES), (8.8, 4.8), sharey=True) as (figure, all_axes):
        for axes, (precision, name, scale, words) in zip(all_axes, SIZES):
            found = [row for row in result["rows"] if name in row]
            draw_lines(axes, found, name, "cosine_batch", of_theory=True)
            values = sorted({row[name] for row in found})
            axes.set_xscale(scale)
            axes.set_xticks(values, [f"{value:g}" for value in values])
            axes.set_xticks([], minor=True)
            axes.set(title=precision, xlabel=words)
            axes.axhline(0, color="black", linewidth=0.8)
            axes.axhline(1, color="black", label="an exact slope")
        all_axes[0].set_ylabel("cosine of g z and the gradient of its batch,\nas a share of that of an exact slope")
        figure.suptitle("By the size of z, at K = {bp_tail} and a batch of {batch}".format(**USUAL))
        finish(figure, result["rows"])
        figure.savefig(path, dpi=110)


def draw_lines(axes, rows, x, y, of_theory=False):
    """A line for each network, precision and state: y by x with 95 % intervals, perhaps as a share of theory."""
    for (model, precision), (marker, colour) in LOOKS.items():
        for state, inside in (("initial", "white"), ("trained", colour)):
            points = sorted({(row[x], *(interval(row, y, of_theory))) for row in rows
                             if (row["model"], row["precision"], row["state"]) == (model, precision, state)})
            if points:
                axes.errorbar(*zip(*points), label=f"{TITLES[model]}, {precision.upper()}, {state}", marker=marker,
                              color=colour, markerfacecolor=inside, linestyle=":", capsize=2, elinewidth=0.9)


def interval(row, name="cosine_batch", of_theory=False):
    """(mean, half of its 95 % interval) of a cosine over the z of a row, perhaps as shares of theory's."""
    unit = row["theory"] if of_theory else 1
    return row[name] / unit, errors_to_either_side(row["draws"]) * row[f"{name}_error"] / unit


def finish(figure, rows):
    """What both pictures have: grids, and one legend that says what the bars are."""
    named = {}
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        named |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels())}
    draws = max(row["draws"] for row in rows)
    figure.legend(named.values(), named, loc="outside lower center", ncols=3, fontsize=9, frameon=False,
                  title=f"Bars: 95 % intervals by Student's t over {draws} z, drawn in {BATCHES} batches",
                  title_fontsize=9)


def usual(row, varied):
    """Whether a row differs from the usual in nothing but one thing."""
    return set(row) <= {*USUAL, "zo_parameters", "draws", "theory", "model", "precision", "state", "cosine_batch",
                        "cosine_batch_error", "cosine_large", "cosine_large_error"} and all(
        row[name] == value for name, value in USUAL.items() if name != varied)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="a folder that holds ModelNet40")
    options = parser.parse_args()
    networks = [("lenet5", "mnist", None)]
    if options.data_dir or QUICK:
        networks.append(("pointnet", "synthetic-solids" if QUICK else "modelnet40", options.data_dir))
    rows = [row for name, data, place in networks for precision in ("fp32", "int8")
            for row in network(name, precision, data, place)]
    result = {"experiment": "gradient_agreement", "large": LARGE, "points": POINTS, "epochs": EPOCHS, "limit": LIMIT,
              "rows": rows}
    say(f"wrote {save_result('gradient_agreement', result)}")
    draw(result, RESULTS / "gradient_agreement.png")
    draw_sizes(result, RESULTS / "gradient_sizes.png")


if __name__ == "__main__":
    main()
