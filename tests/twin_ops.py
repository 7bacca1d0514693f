"""The ops of the golden vectors by the loop twins: a second implementation of every file of tests/golden/ops.

TWINS[op](inputs, parameters) gives what the file of that op expects.
"""
import hashlib
import math
import struct
import types
from fractions import Fraction

import twin_runs
import twins
import twins_training
from twins import (base2_logit, bit_width, clip, coarse_cross_entropy, conv2d, cross_entropy, exp2_negative,
                   flat, flatten, forward, half_words, linear, log2_of, mapped, matmul, max_abs, max_pool2d,
                   perturbation, philox4x64_10, pseudo_stochastic_shift, relu, requantise, round_shift,
                   sample_terms, shaped, shuffled, uniform_int8, words)
from twins_training import (gradient_step, init_exponent, linear_backward, linear_gradient, relu_backward,
                            softmax_error, tail_gradients, train_step, update, zo_update)
from zo_numpy import models
from zo_numpy.golden.cases.common import layers_from
from zo_numpy.int8.variants import Variant


def as_pair(tensor):
    return tensor["data"], tensor["exponent"]


def as_dict(pair):
    return {"data": pair[0], "exponent": pair[1]}


def requantised(accumulator, exponent):
    """The four fields of a requantisation."""
    data, new_exponent = requantise(accumulator, exponent)
    return {"maximum": max_abs(accumulator), "shift": new_exponent - exponent, "data": data,
            "exponent": new_exponent}


# Random numbers.

def address(p):
    return p["seed"], p["stream"], p["step"], p["tensor"], p["query"]


def philox_op(i, p):
    return {"block": list(philox4x64_10(tuple(i["counter"]), tuple(i["key"])))}


def words_op(i, p):
    return {"words": words(*address(p), p["count"])}


def half_words_op(i, p):
    return {"words": words(*address(p), -(-p["count"] // 4)),
            "half_words": half_words(*address(p), p["count"])}


def uniform_op(i, p):
    return {"half_words": half_words(p["seed"], 0, 0, p["tensor"], 0, p["count"]),
            "data": uniform_int8(p["seed"], p["tensor"], p["count"], p["bound"])}


def init_exponent_op(i, p):
    exponent = init_exponent(p["fan_in"], p["headroom"])
    return {"bound": 127 >> p["headroom"], "k": p["headroom"] - exponent, "exponent": exponent}


def init_weights_op(i, p):
    weights = []
    for tensor, (shape, headroom) in enumerate(zip(p["shapes"], p["headroom"])):
        out, *rest = shape
        fan_in = 1
        for size in rest:
            fan_in *= size
        data = uniform_int8(p["seed"], tensor, out * fan_in, 127 >> headroom)
        weights.append({"data": shaped(data, shape), "exponent": init_exponent(fan_in, headroom)})
    return {"weights": weights}


def perturbation_op(i, p):
    return {"half_words": half_words(p["seed"], 1, p["step"], p["tensor"], p["query"], p["count"]),
            "z": perturbation(p["seed"], p["step"], p["tensor"], p["query"], p["count"], p["r_max"],
                              p["p_zero"])}


def argsort_op(i, p):
    return {"order": sorted(range(len(i["words"])), key=lambda k: (i["words"][k], k))}


def shuffled_op(i, p):
    return {"words": words(p["seed"], 2, p["epoch"], 0, 0, p["count"]),
            "order": shuffled(p["seed"], p["epoch"], p["count"])}


def batch_op(i, p):
    samples, size = p["samples"], p["batch_size"]
    steps = len(range(0, samples, size))
    epoch = p["step"] // steps
    first = (p["step"] - epoch * steps) * size
    return {"steps_per_epoch": steps, "epoch": epoch,
            "indices": shuffled(p["seed"], epoch, samples)[first:first + size]}


def schedule_op(i, p):
    return {"value": p["values"][p["epoch"] * len(p["values"]) // p["epochs"]]}


# Arithmetic and layers.

def pixels_op(i, p):
    return {"data": mapped(lambda v: v // 2, i["pixels"]), "exponent": -7}


def coordinate(bits):
    """The exact value of a float32 given by its bit pattern."""
    return Fraction(struct.unpack("<f", struct.pack("<I", bits))[0])


def decode_points_op(i, p):
    values = [coordinate(bits) for bits in i["bits"]]
    magnitudes = [min(127, math.floor(127 * abs(x) + Fraction(1, 2))) for x in values]
    return {"data": [m if x >= 0 else -m for m, x in zip(magnitudes, values)]}


def bit_width_op(i, p):
    return {"width": bit_width(p["magnitude"])}


def round_shift_op(i, p):
    return {"result": [round_shift(v, p["shift"]) for v in i["values"]]}


def pseudo_shift_op(i, p):
    return {"result": [pseudo_stochastic_shift(v, p["shift"]) for v in i["values"]]}


def requantise_op(i, p):
    return requantised(i["accumulator"], p["exponent"])


def forward_block_op(i, p):
    first, *others = layers_from(p["layers"])
    x, weight = i["x"], i["weight"]
    stages = [twins.apply_layer(first, weight["data"], x["data"])]
    for layer in others:
        stages.append(twins.apply_layer(layer, None, stages[-1]))
    return {"accumulator": stages[0], "after": stages[1:],
            **requantised(stages[-1], x["exponent"] + weight["exponent"])}


def classify_op(i, p):
    return {"classes": [row.index(max(row)) for row in i["logits"]]}


# Loss.

def u_of(logits):
    return mapped(lambda v: base2_logit(v, logits["exponent"]), logits["data"])


def exp2_op(i, p):
    distance = [[max(row) - v for v in row] for row in i["u"]]
    return {"distance": distance, "terms": mapped(exp2_negative, distance)}


def log2_op(i, p):
    return {"log2": [log2_of(total) for total in i["totals"]]}


def per_sample(loss, logits, labels):
    return [loss(([row], logits["exponent"]), [label])
            for row, label in zip(logits["data"], labels, strict=True)]


def cross_entropy_op(i, p):
    logits = i["logits"]
    terms = [sample_terms(row, logits["exponent"])[1] for row in logits["data"]]
    totals = [sum(row) for row in terms]
    return {"u": u_of(logits), "terms": terms, "totals": totals, "log2": [log2_of(total) for total in totals],
            "per_sample": per_sample(cross_entropy, logits, i["labels"]),
            "loss": cross_entropy(as_pair(logits), i["labels"])}


def coarse_op(i, p):
    return {"u": u_of(i["logits"]), "per_sample": per_sample(coarse_cross_entropy, i["logits"], i["labels"]),
            "loss": coarse_cross_entropy(as_pair(i["logits"]), i["labels"])}


def sign(plus, minus):
    return (plus > minus) - (plus < minus)


def loss_sign_op(i, p):
    plus, minus = (cross_entropy(as_pair(i[side]), i["labels"]) for side in ("plus", "minus"))
    return {"loss_plus": plus, "loss_minus": minus, "g": sign(plus, minus)}


# Tail.

def softmax_error_op(i, p):
    terms = [sample_terms(row, i["logits"]["exponent"])[1] for row in i["logits"]["data"]]
    softmax = [[(term << 15) // sum(row) for term in row] for row in terms]
    accumulator = [[v - (2**15 if j == label else 0) for j, v in enumerate(row)]
                   for row, label in zip(softmax, i["labels"], strict=True)]
    data, exponent = softmax_error(as_pair(i["logits"]), i["labels"])
    return {"terms": terms, "totals": [sum(row) for row in terms], "softmax": softmax,
            "accumulator": accumulator,
            "maximum": max_abs(accumulator), "shift": exponent + 15, "data": data, "exponent": exponent}


def gradient_step_op(i, p):
    maximum = max_abs(i["gradient"])
    return {"maximum": maximum, "shift": max(0, bit_width(maximum) - p["b_bp"]),
            "step": gradient_step(i["gradient"], p["b_bp"])}


def running_step_op(i, p):
    data, exponent = as_pair(i["gradient"])
    largest = max_abs(data)
    size = twins_training.size_of(largest, exponent)
    step, reference, age = twins_training.running_step(data, exponent, p["b_bp"], p["reference"], p["age"])
    return {"maximum": largest, **({} if size is None else {"size": size}), "reference": reference, "age": age,
            "shift": twins_training.running_shift(exponent, p["b_bp"], reference), "step": step}


def update_tail_op(i, p):
    steps = [gradient_step(gradient, p["b_bp"]) for gradient in i["gradients"]]
    return {"steps": steps, "weight": update(i["weight"], mapped(lambda *parts: sum(parts), *steps))}


def tail_step_op(i, p):
    layers = layers_from(p["layers"])
    names = [layer.name for layer in models.weight_layers(layers)]
    weights = dict(zip(names, map(as_pair, i["weights"]), strict=True))
    logits, xs = forward(layers, weights, as_pair(i["x"]))
    bare = {layer.name for before, layer in zip(layers, layers[1:]) if before.__class__ is layer.__class__}
    gradients, errors = tail_gradients_and_errors(names, weights, logits, xs, i["labels"], bare)
    steps = {name: gradient_step(gradient, p["b_bp"]) for name, gradient in gradients.items()}
    return {"xs": [as_dict(xs[name]) for name in names], "logits": as_dict(logits), "errors": errors,
            "gradients": list(gradients.values()), "steps": list(steps.values()),
            "weights": [update(weights[name][0], steps[name]) for name in names]}


def tail_gradients_and_errors(names, weights, logits, xs, labels, bare):
    """What tail_gradients gives, and the errors on its way: its requantisations, in their order."""
    errors = []

    def noted(accumulator, exponent):
        errors.append(as_dict(requantise(accumulator, exponent)))
        return as_pair(errors[-1])

    original = twins_training.requantise
    twins_training.requantise = noted
    try:
        return tail_gradients(names, weights, logits, xs, labels, bare=bare), errors
    finally:
        twins_training.requantise = original


# Zeroth-order weights.

def clip_for_zo_op(i, p):
    return {"weight": mapped(lambda v: clip(v, 127 - p["r_limit"]), i["weight"])}


def draws(i, p):
    return [perturbation(p["seed"], p["step"], tensor, 0, len(weight), p["r_max"], p["p_zero"])
            for tensor, weight in zip(p["tensors"], i["weights"], strict=True)]


def perturb_op(i, p):
    z = draws(i, p)
    return {"z": z, "weights": mapped(lambda w, d: w + p["times"] * d, i["weights"], z)}


def restore_op(i, p):
    z = draws(i, p)
    shift = max(0, bit_width(p["r_max"]) - p["b_zo"])
    restored = mapped(lambda w, d: w + d, i["weights"], z)
    return {"z": z, "shift": shift, "restored": restored,
            "steps": mapped(lambda d: pseudo_stochastic_shift(d, shift), z),
            "weights": [zo_update(w, d, p["g"], p["r_max"], p["b_zo"], p["r_limit"]) for w, d in zip(restored, z)]}


# Steps and digests.

def train_step_op(i, p):
    model = types.SimpleNamespace(layers=layers_from(p["layers"]))
    names = [layer.name for layer in models.weight_layers(model.layers)]
    weights = dict(zip(names, map(as_pair, i["weights"]), strict=True))
    new, plus, minus, g = train_step(model, p["bp_tail"], weights, i["images"], i["labels"], p["seed"],
                                     p["step"], types.SimpleNamespace(**p), Variant(p["frozen"], p["tail_passes"]))
    return {"loss_plus": plus, "loss_minus": minus, "g": g, "weights": [new[name][0] for name in names]}


def digest_op(i, p):
    content = bytes(v % 256 for weight in i["weights"] for v in flat(weight["data"]))
    return {"bytes": content.hex(), "digest": hashlib.sha256(content).hexdigest()}


TWINS = {
    "philox4x64_10": philox_op, "words": words_op, "half_words": half_words_op, "uniform_int8": uniform_op,
    "init_exponent": init_exponent_op, "init_weights": init_weights_op, "perturbation": perturbation_op,
    "stable_argsort": argsort_op, "shuffled": shuffled_op, "batch_indices": batch_op, "schedule": schedule_op,
    "from_pixels": pixels_op, "bit_width": bit_width_op, "round_shift": round_shift_op,
    "pseudo_stochastic_shift": pseudo_shift_op, "requantise": requantise_op,
    "matmul": lambda i, p: {"accumulator": matmul(i["a"], i["b"])},
    "linear": lambda i, p: {"accumulator": linear(i["x"], i["weight"])},
    "conv2d": lambda i, p: {"accumulator": conv2d(i["x"], i["weight"], p["pad"])},
    "max_pool2d": lambda i, p: {"result": max_pool2d(i["x"], p["size"])},
    "max_pool2d_rest": lambda i, p: {"result": max_pool2d(i["x"], p["size"])},
    "relu": lambda i, p: {"result": relu(i["x"])},
    "flatten": lambda i, p: {"result": flatten(i["x"])},
    "decode_points": decode_points_op,
    "point_linear": lambda i, p: {"accumulator": twins.point_linear(i["x"], i["weight"])},
    "max_over_points": lambda i, p: {"result": twins.max_over_points(i["x"])},
    "point_block": forward_block_op, "forward_block": forward_block_op, "classify": classify_op,
    "base2_logits": lambda i, p: {"u": u_of(i["logits"])}, "exp2_terms": exp2_op, "log2_sum": log2_op,
    "cross_entropy": cross_entropy_op, "coarse_cross_entropy": coarse_op, "loss_sign": loss_sign_op,
    "softmax_error": softmax_error_op,
    "linear_gradient": lambda i, p: {"accumulator": linear_gradient(i["error"], i["x"])},
    "linear_backward": lambda i, p: {"accumulator": linear_backward(i["error"], i["weight"])},
    "relu_backward": lambda i, p: {"result": relu_backward(i["error"], i["x"])},
    "gradient_step": gradient_step_op, "running_step": running_step_op, "update_tail": update_tail_op,
    "tail_step": tail_step_op,
    "clip_for_zo": clip_for_zo_op, "perturb": perturb_op, "restore_and_update": restore_op,
    "train_step": train_step_op, "digest": digest_op, "short_run": twin_runs.short_run_op,
    "initial_digest": twin_runs.initial_digest_op, "point_block_ends": forward_block_op,
    "tail_step_128": tail_step_op, "tail_step_bare": tail_step_op}
