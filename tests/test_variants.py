"""Whole steps, of the algorithm and of its variants: INT8 against loops over Python integers, FP32 against the same
steps written out in float64. Bugs planted in a copy of the package are noticed.
"""
import functools
import importlib
import pathlib

import numpy as np
import pytest

import twins_training
import zo_numpy
from planted import planted
from zo_numpy import models
from zo_numpy.fp32 import draws as fp32_draws, layers as fp32_layers, tail as fp32_tail
from zo_numpy.fp32.elastic_zo import Settings as Fp32Settings, zo_tensors
from zo_numpy.int8.elastic_zo import Settings as Int8Settings
from zo_numpy.int8.variants import Variant

PACKAGE = pathlib.Path(zo_numpy.__file__).parent
INT8 = Int8Settings(r_max=15, p_zero=64, b_zo=2, b_bp=4, r_limit=31)
FP32 = Fp32Settings(eps=0.05, eta=0.02, clip=0.9, eta_tail=0.3)


def tiny(models):
    """A small network of the classes of zo_numpy.models, or of a copy."""
    return models.Model("tiny", (1, 6, 6), 4, (
        models.Conv2d("conv1", 1, 2, kernel=3, pad=1), models.MaxPool2d(2), models.ReLU(),
        models.Conv2d("conv2", 2, 3, kernel=2, pad=1), models.MaxPool2d(2), models.ReLU(), models.Flatten(),
        models.Linear("fc1", 12, 8), models.ReLU(), models.Linear("fc2", 8, 6), models.ReLU(),
        models.Linear("fc3", 6, 4)))


TINY = tiny(models)
VARIANTS = [   # K, the variant
    *((bp_tail, Variant()) for bp_tail in range(4)), *((bp_tail, Variant(tail_passes="both")) for bp_tail in range(4)),
    *((bp_tail, Variant(frozen=True)) for bp_tail in (1, 2)), (3, Variant(frozen=True, tail_passes="both")),
    (0, Variant(queries=3)), (2, Variant(queries=2)), (3, Variant(queries=2, tail_passes="both"))]
INT8_STEPS = [   # K, the variant, changes of the settings
    *((*case, {}) for case in VARIANTS), *((bp_tail, Variant(), {"loss": "coarse"}) for bp_tail in (0, 2)),
    (1, Variant(queries=5), {"r_max": 63, "b_zo": 6, "r_limit": 63, "p_zero": 0}),   # they sum to more than 8 bits
    (2, Variant(), {"r_max": 1, "b_zo": 1}), (1, Variant(), {"r_max": 63, "b_zo": 3, "r_limit": 63}),
    (3, Variant(), {"b_bp": 1}), (2, Variant(), {"b_bp": 7}), (3, Variant(tail_passes="both"), {"b_bp": 7}),
    (2, Variant(), {"p_zero": 255})]


def original(module):
    return importlib.import_module(f"zo_numpy.{module}")


def batch(step):
    """(images, labels): 1, 2, 3, 4 of them as steps go on."""
    draw = np.random.default_rng(step)
    return (draw.integers(0, 256, (1 + step, *TINY.input_shape), dtype=np.uint8),
            draw.integers(0, TINY.classes, 1 + step).astype(np.uint8))


def step_of(module, precision, variant):
    """train_step of the algorithm where there is no variant, else of variants.py."""
    variants = module(f"{precision}.variants")
    if variant == Variant():
        return module(f"{precision}.elastic_zo").train_step
    return functools.partial(variants.train_step, variant=variants.Variant(*variant))


# INT8

def as_pairs(weights):
    return {name: (weight.data.tolist(), weight.exponent) for name, weight in weights.items()}


def int8_steps_equal_the_twin(module, bp_tail, variant, changes, h=0, record=None):
    settings, model = INT8._replace(**changes), tiny(module("models"))
    train_step, precision = step_of(module, "int8", variant), module("int8.precision")
    names = [layer.name for layer in models.weight_layers(TINY.layers)]
    weights = module("int8.draws").init_weights(model, bp_tail, dict.fromkeys(names, h))
    precision.clip_for_zo(weights, precision.zo_tensors(model, bp_tail), settings.r_limit)
    twin_weights, signs = as_pairs(weights), []
    for step in range(4):
        images, labels = batch(step)
        got = train_step(model, bp_tail, weights, images, labels, 2**40, 1000 + step, settings, record)
        twin_weights, *expected = twins_training.train_step(
            TINY, bp_tail, twin_weights, images.tolist(), labels.tolist(), 2**40, 1000 + step, settings, variant)
        assert list(got) == expected
        assert as_pairs(weights) == twin_weights
        signs += [got[2]] if variant.queries == 1 else got[2]
        assert {type(number) for number in (*got[:2], *signs)} == {int}
    assert any(signs) or variant.frozen or settings.loss == "coarse" or settings.p_zero == 255


@pytest.mark.parametrize("h", [0, 2])
@pytest.mark.parametrize("bp_tail, variant, changes", INT8_STEPS)
def test_int8_steps_equal_the_twin(monkeypatch, bp_tail, variant, changes, h):
    int8_steps_equal_the_twin(original, bp_tail, variant, changes, h)
    int8_steps_equal_the_twin(original, bp_tail, variant, changes, h, record=lambda *noted: None)
    monkeypatch.setattr(original("int8.draws"), "PIECE", 16)          # z of a tensor comes in several pieces
    int8_steps_equal_the_twin(original, bp_tail, variant, changes, h)


# FP32

def fp32_twin(bp_tail, weights, images, labels, seed, step, settings, variant):
    """One step in float64, a z at a time, from the plain layers.  Returns (new weights, L+, L-, [g])."""
    names = zo_tensors(TINY, bp_tail)
    head, end = models.split_tail(TINY.layers, bp_tail)
    zs = [{name: fp32_draws.perturbation(seed, step, tensor, query, weights[name].size).reshape(weights[name].shape)
           for tensor, name in names} for query in range(variant.queries)]

    def evaluate(times, z):
        theta = {**weights, **{name: weights[name] + times * settings.eps * z[name] for name in z}}
        inputs = []
        logits = fp32_layers.forward(end, theta, fp32_layers.forward(head, theta, images / 255), inputs)
        assert logits.dtype == np.float64
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return (-np.log(chances[np.arange(len(labels)), labels]).mean(),
                fp32_tail.tail_gradients(end, theta, logits, inputs, labels))

    plus, minus = ([evaluate(0 if variant.frozen else times, z) for z in zs] for times in (+1, -1))
    gs = [np.clip((high - low) / (2 * settings.eps), -settings.clip, settings.clip)
          for (high, _), (low, _) in zip(plus, minus)]
    new = {**weights, **{name: weights[name] - settings.eta * sum(g * z[name] for g, z in zip(gs, zs)) / len(zs)
                         for name in zs[0]}}
    for name, gradient in minus[-1][1].items():
        if variant.tail_passes == "both":
            gradient = (plus[-1][1][name] + gradient) / 2
        new[name] = weights[name] - settings.eta_tail * gradient
    return new, np.mean([loss for loss, _ in plus]), np.mean([loss for loss, _ in minus]), gs


def close(got, expected, tolerance):
    error = np.abs(np.asarray(got, np.float64) - expected).max()
    if not error <= tolerance:
        raise AssertionError(f"off by {error}")


def fp32_steps_equal_the_twin(module, bp_tail, variant, record=None):
    model, train_step, clipped = tiny(module("models")), step_of(module, "fp32", variant), 0
    weights = module("fp32.draws").init_weights(model, bp_tail)
    for step in range(4):
        images, labels = batch(step)
        before = {name: value.astype(np.float64) for name, value in weights.items()}
        plus, minus, g = train_step(model, bp_tail, weights, images, labels, 2**40, 1000 + step, FP32, record)
        expected, *losses, gs = fp32_twin(bp_tail, before, images, labels, 2**40, 1000 + step, FP32, variant)
        close([plus, minus], losses, 2e-6)
        close(g if variant.queries > 1 else [g], gs, 2e-6 / FP32.eps)
        for name, value in weights.items():
            assert value.dtype == np.float32
            close(value, expected[name], 5e-6)
        clipped += np.abs(gs).max() == FP32.clip
    assert 0 < clipped < 4 or variant.frozen or variant.queries > 1


@pytest.mark.parametrize("bp_tail, variant", VARIANTS)
def test_fp32_steps_equal_the_twin(monkeypatch, bp_tail, variant):
    fp32_steps_equal_the_twin(original, bp_tail, variant)
    fp32_steps_equal_the_twin(original, bp_tail, variant, record=lambda *noted: None)
    monkeypatch.setattr(original("fp32.draws"), "PIECE", 16)
    fp32_steps_equal_the_twin(original, bp_tail, variant)


# Bugs put into a copy of the package

BUGS = [   # file, text, what replaces it
    ("elastic_zo.py", "perturb(weights, zo_names, +1,", "perturb(weights, zo_names, -1,"),
    ("elastic_zo.py", "perturb(weights, zo_names, -2,", "perturb(weights, zo_names, -1,"),
    ("int8/elastic_zo.py", "(loss_plus > loss_minus) - (loss_plus < loss_minus)",
     "(loss_plus < loss_minus) - (loss_plus > loss_minus)"),
    ("int8/elastic_zo.py", "z -= np.int8(g) *", "z += np.int8(g) *"),
    ("int8/elastic_zo.py", "z -= np.int8(g) *", "z = -np.int8(g) *"),                                # not restored
    ("fp32/elastic_zo.py", "(loss_plus - loss_minus)", "(loss_minus - loss_plus)"),
    ("fp32/elastic_zo.py", "settings.eps - settings.eta * g", "settings.eps + settings.eta * g"),
    ("fp32/elastic_zo.py", "settings.eps - settings.eta * g", "-settings.eta * g"),                  # not restored
    ("variants.py", "zo_names, +1, seed, step, settings, query)\n        loss_plus",
     "zo_names, -1, seed, step, settings, query)\n        loss_plus"),
    ("variants.py", "zo_names, -2, seed, step, settings, query)", "zo_names, -1, seed, step, settings, query)"),
    ("variants.py", "if not last:", "if False:"),                                                    # not restored
    ("variants.py", "both and last", "both and query == 0"),
    ("variants.py", "query == variant.queries - 1", "query == 0"),
    ("int8/variants.py", "moved -= np.int8(g)", "moved += np.int8(g)"),
    ("int8/variants.py", "theta[piece] + taken.astype(np.int16)", "theta[piece].astype(np.int16)"),  # not restored
    ("int8/variants.py", "taken.astype(np.int16)", "taken"),                                         # wraps
    ("int8/variants.py", "tensor, query, theta.size", "tensor, 0, theta.size"),
    ("int8/tiled.py", "step += earlier[name][place]", "step -= earlier[name][place]"),
    ("fp32/variants.py", "taken - settings.eta", "taken + settings.eta"),
    ("fp32/variants.py", "taken = settings.eps if query == last else 0.0", "taken = 0.0"),           # not restored
    ("fp32/variants.py", "settings.eta * g / len(gs)", "settings.eta * g"),
    ("fp32/variants.py", "taken - settings.eta * g / len(gs), seed, step, query)",
     "taken - settings.eta * g / len(gs), seed, step)"),
    ("fp32/tiled.py", "step /= 2", "pass"),
    ("int8/variants.py", "    train_tail(model, bp_tail, weights, *kept, labels, settings, record)\n    return",
     "    return"),
    ("fp32/variants.py", "    train_tail(model, bp_tail, weights, *kept, labels, settings, record)\n    update",
     "    update"),
]
PRECISIONS = {"int8": (int8_steps_equal_the_twin, INT8_STEPS), "fp32": (fp32_steps_equal_the_twin, VARIANTS)}


@pytest.mark.parametrize("precision, file, old, new", [
    (precision, file if "/" in file else f"{precision}/{file}", old, new)
    for file, old, new in BUGS for precision in PRECISIONS if "/" not in file or file.startswith(precision)])
def test_a_planted_bug_is_noticed(tmp_path, precision, file, old, new):
    check, cases = PRECISIONS[precision]
    with planted(tmp_path, PACKAGE, "zo_numpy_with_a_bug", file, old, new) as (module, _):
        with pytest.raises(AssertionError):
            for case in cases:
                check(module, *case)
