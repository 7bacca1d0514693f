"""The worked example of SPEC.md, one training step of a tiny network, computed twice: by zo_numpy and by the twins.

Each function returns {name as it is printed: int, nested list of ints, or text}. `python tests/spec_example.py`
(with the project's root on PYTHONPATH) prints them as SPEC.md does, with `--json`
as tests/golden/example.json.
"""
import hashlib
import json
import sys

import numpy as np

import twins
import twins_training
from twins import flat, shaped
from zo_numpy import models, rng
from zo_numpy.app.tour import BP_TAIL, HEADROOM, IMAGES, INPUT, LABELS, SEED, SETTINGS, STEP, TINY, plain, written
from zo_numpy.golden import FORMAT_VERSION
from zo_numpy.int8 import draws, elastic_zo, loss, precision, tail
from zo_numpy.int8.arith import QTensor, bit_width, max_abs, pseudo_stochastic_shift
from zo_numpy.run import steps
from zo_numpy.run.checkpoint import digest

ZO_SHIFT = max(0, bit_width(SETTINGS.r_max) - SETTINGS.b_zo)
ACCUMULATOR = {"Conv2d": "accumulator", "Linear": "accumulator", "MaxPool2d": "pooled", "ReLU": "relu"}
LAYERS = models.weight_layers(TINY.layers)
BLOCKS = {block[0].name: block for block in models.blocks(TINY.layers)}
TAIL = [layer.name for layer in LAYERS][-BP_TAIL:]


def from_library():
    values = dict(INPUT)
    weights = draws.init_weights(TINY, SEED, HEADROOM)
    for tensor, layer in enumerate(LAYERS):
        name, weight = layer.name, weights[layer.name]
        values |= {f"init.{name}.words": plain(rng.words(SEED, rng.INIT, 0, tensor, 0, -(-weight.data.size // 4))),
                   f"init.{name}.data": plain(weight.data), f"init.{name}.exponent": weight.exponent}
    zo_names = elastic_zo.zo_tensors(TINY, BP_TAIL)
    precision.clip_for_zo(weights, zo_names, SETTINGS.r_limit)
    (tensor, name), = zo_names
    z = precision.draw(SETTINGS, SEED, STEP, tensor, 0, weights[name].data.size)
    values |= {"theta.conv1": plain(weights[name].data),
               "z.words": plain(rng.words(SEED, rng.PERTURB, STEP, tensor, 0, -(-z.size // 4))),
               "z.half_words": plain(rng.half_words(SEED, rng.PERTURB, STEP, tensor, 0, z.size)),
               "z.data": plain(z.reshape(weights[name].data.shape)),
               "zo_shift": ZO_SHIFT,
               "zo_step.conv1": plain(pseudo_stochastic_shift(z, ZO_SHIFT).reshape(weights[name].data.shape))}

    before = {}   # what the last requantisation was given and returned

    def record(phase, op, name, value):
        match op, value:
            case "weights", _:
                values[f"{phase}.conv1.weight"] = plain(value["conv1"].data)
            case "input", QTensor(data, exponent):
                values["input.data"], values["input.exponent"] = plain(data), exponent
                before["exponent"] = exponent
            case ("Conv2d" | "Linear" | "MaxPool2d" | "ReLU"), _:
                values[f"{phase}.{name}.{ACCUMULATOR[op]}"] = plain(value)
                before["values"] = value
            case "requantise", QTensor(data, exponent):
                came_with = before["exponent"] + weights[name].exponent
                requantised(f"{phase}.{name}.", data, exponent, came_with)
                before["exponent"] = exponent
                if name == "fc2":
                    values.update(loss_from_library(f"{phase}.", QTensor(data, exponent)))
            case "softmax_error", QTensor(data, exponent):
                terms = loss.exp2_terms(loss.base2_logits(before["output"]))
                softmax = (terms << tail.SOFTMAX_BITS) // terms.sum(axis=1, keepdims=True)
                values["tail.softmax"] = plain(softmax)
                one_hot = np.arange(TINY.classes) == np.array(LABELS)[:, None]
                before["values"] = softmax - (one_hot << tail.SOFTMAX_BITS)
                values["tail.softmax_error"] = plain(before["values"])
                requantised("tail.fc2.error_", data, exponent, -tail.SOFTMAX_BITS)
                before["exponent"] = exponent
            case "linear_backward", _:
                values["tail.fc1.passed"] = plain(value)
            case "relu_backward", _:
                values["tail.fc1.masked"] = plain(value)
                before["values"] = value
            case "requantise_error", QTensor(data, exponent):
                requantised("tail.fc1.error_", data, exponent, before["exponent"] + weights[name].exponent)
            case "linear_gradient", _:
                values[f"tail.{name}.gradient"] = plain(value)
                values[f"tail.{name}.gradient_max"] = max_abs(value)
                values[f"tail.{name}.gradient_shift"] = max(0, bit_width(max_abs(value)) - SETTINGS.b_bp)
            case "gradient_step", _:
                values.update({f"tail.{name}.step": plain(step) for name, step in value.items()})
            case "loss", _:
                values[f"{phase}.L"] = value

    def requantised(prefix, data, exponent, came_with):
        values.update({prefix + "max": max_abs(before["values"]), prefix + "shift": exponent - came_with,
                       prefix + "data": plain(data), prefix + "exponent": exponent})
        before["output"] = QTensor(data, exponent)

    images, labels = np.array(IMAGES, np.uint8), np.array(LABELS, np.uint8)
    outcome = elastic_zo.train_step(TINY, BP_TAIL, weights, images, labels, SEED, STEP, SETTINGS, record)
    values["g"] = outcome[2]
    values |= {f"end.{name}": plain(weight.data) for name, weight in weights.items()}
    values["end.logits"] = plain(precision.scores(TINY, weights, images))
    values["end.classes"] = plain(precision.classify(TINY, weights, images))
    values["steps.txt"] = steps.log_line(1, 1, outcome, lambda: digest(precision.to_arrays(weights)[0]))
    return values


def loss_from_library(prefix, logits):
    u = loss.base2_logits(logits)
    terms = loss.exp2_terms(u)
    log2 = loss.log2_sum(terms.sum(axis=1))
    one_by_one = [loss.cross_entropy(QTensor(logits.data[i:i + 1], logits.exponent), LABELS[i:i + 1]) for i in (0, 1)]
    return {prefix + "u": plain(u), prefix + "terms": plain(terms), prefix + "T": plain(terms.sum(axis=1)),
            prefix + "log2T": plain(log2), prefix + "losses": one_by_one}


def from_twins():
    values = dict(INPUT)
    weights = twins_training.init_weights(TINY, SEED, HEADROOM)
    for tensor, layer in enumerate(LAYERS):
        name, (data, exponent) = layer.name, weights[layer.name]
        count = -(-len(flat(data)) // 4)
        values |= {f"init.{name}.words": twins.words(SEED, twins.INIT, 0, tensor, 0, count),
                   f"init.{name}.data": data, f"init.{name}.exponent": exponent}
    theta, theta_exponent = weights["conv1"]
    theta = twins.mapped(lambda w: twins.clip(w, 127 - SETTINGS.r_limit), theta)
    weights["conv1"] = theta, theta_exponent
    z = twins.perturbation(SEED, STEP, 0, 0, 18, SETTINGS.r_max, SETTINGS.p_zero)
    z = shaped(z, LAYERS[0].weight_shape)
    x = twins.mapped(lambda pixel: pixel >> 1, IMAGES), -7
    values |= {"theta.conv1": theta, "z.words": twins.words(SEED, twins.PERTURB, STEP, 0, 0, 5),
               "z.half_words": twins.half_words(SEED, twins.PERTURB, STEP, 0, 0, 18), "z.data": z,
               "zo_shift": twins.bit_width(SETTINGS.r_max) - SETTINGS.b_zo,
               "zo_step.conv1": twins.mapped(lambda d: twins.pseudo_stochastic_shift(d, ZO_SHIFT), z),
               "input.data": x[0], "input.exponent": x[1]}
    for phase, sign in (("plus", 1), ("minus", -1)):
        moved = twins.mapped(lambda w, d: w + sign * d, theta, z), theta_exponent
        values[f"{phase}.conv1.weight"] = moved[0]
        of_pass, inputs = forward_from_twins(f"{phase}.", weights | {"conv1": moved}, x)
        values |= of_pass
    values |= tail_from_twins(weights, inputs)
    new, *outcome = twins_training.train_step(TINY, BP_TAIL, weights, IMAGES, LABELS, SEED, STEP, SETTINGS)
    values["g"] = outcome[2]
    values |= {f"end.{name}": data for name, (data, _) in new.items()}
    (logits, _), _ = twins.forward(TINY.layers, new, x)
    values["end.logits"], values["end.classes"] = logits, [row.index(max(row)) for row in logits]
    sha = hashlib.sha256(b"".join(bytes(v & 0xFF for v in flat(data)) for data, _ in new.values())).hexdigest()
    values["steps.txt"] = " ".join(map(str, (STEP, *outcome, sha)))
    return values


def requantised(prefix, accumulator, exponent):
    """What a requantisation of the twins leaves in the example, and its pair."""
    data, after = twins.requantise(accumulator, exponent)
    return {prefix + "max": twins.max_abs(accumulator), prefix + "shift": after - exponent,
            prefix + "data": data, prefix + "exponent": after}, (data, after)


def forward_from_twins(prefix, weights, x):
    """Returns the example's lines of one pass, and {layer: its input}, the logits as input of None."""
    values, inputs = {}, {}
    for name, block in BLOCKS.items():
        inputs[name] = x
        (data, exponent), (weight, weight_exponent) = x, weights[name]
        for layer in block:
            data = twins.apply_layer(layer, weight, data)
            op = ACCUMULATOR.get(type(layer).__name__)
            if op:
                values[f"{prefix}{name}.{op}"] = data
        noted, x = requantised(f"{prefix}{name}.", data, exponent + weight_exponent)
        values |= noted
    u, terms = zip(*(twins.sample_terms(row, x[1]) for row in x[0]))
    inputs[None] = x
    values |= {prefix + "u": list(u), prefix + "terms": list(terms), prefix + "T": list(map(sum, terms)),
               prefix + "log2T": [twins.log2_of(sum(row)) for row in terms],
               prefix + "losses": [twins.cross_entropy(([x[0][i]], x[1]), [LABELS[i]]) for i in (0, 1)],
               prefix + "L": twins.cross_entropy(x, LABELS)}
    return values, inputs


def tail_from_twins(weights, inputs):
    logits, exponent = inputs[None]
    softmax = [[term * 2**15 // sum(terms) for term in terms]
               for _, terms in (twins.sample_terms(row, exponent) for row in logits)]
    raw = [[p - 2**15 * (j == y) for j, p in enumerate(row)] for row, y in zip(softmax, LABELS)]
    values = {"tail.softmax": softmax, "tail.softmax_error": raw}
    noted, (error, error_exponent) = requantised("tail.fc2.error_", raw, -15)
    values |= noted
    for name in reversed(TAIL):
        gradient = twins_training.linear_gradient(error, inputs[name][0])
        largest = twins.max_abs(gradient)
        values |= {f"tail.{name}.gradient": gradient, f"tail.{name}.gradient_max": largest,
                   f"tail.{name}.gradient_shift": max(0, twins.bit_width(largest) - SETTINGS.b_bp),
                   f"tail.{name}.step": twins_training.gradient_step(gradient, SETTINGS.b_bp)}
        if name == "fc2":
            weight, weight_exponent = weights[name]
            passed = twins_training.linear_backward(error, weight)
            masked = twins_training.relu_backward(passed, inputs[name][0])
            values |= {"tail.fc1.passed": passed, "tail.fc1.masked": masked}
            noted, (error, error_exponent) = requantised("tail.fc1.error_", masked, error_exponent + weight_exponent)
            values |= noted
    return values


def as_json(values):
    """The example as tests/golden/example.json holds it: a line a value."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in values.items())
    return f'{{\n "format_version": {FORMAT_VERSION},\n "values": {{\n{lines}\n }}\n}}\n'


if __name__ == "__main__":
    if "--json" in sys.argv:
        print(as_json(from_library()), end="")
    else:
        for entry in from_library().items():
            print(written(*entry))
