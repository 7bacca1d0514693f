"""Networks drawn at random from all that `--model FILE.json` may hold: what must be true of every one of them."""
import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from experiments.full_bp import int8 as full_int8
from port_runs import same_steps
from zo_numpy import models
from zo_numpy.__main__ import main
from zo_numpy.fp32 import draws as fp32_draws, layers as fp32_layers, tail as fp32_tail
from zo_numpy.fp32.loss import cross_entropy
from zo_numpy.int8 import draws, elastic_zo, layers, precision, tail
from zo_numpy.run.config import make_config
from zo_numpy.run.network import BASE, FOLLOWS, described, own_model

SETTINGS = elastic_zo.Settings(r_max=3, p_zero=64, b_zo=1, b_bp=4, r_limit=3)
CLASSES, SIDE, POINTS, BATCH = 4, 9, 6, 5


def drawn(seed):
    """A Model: a walk through FOLLOWS that leaves out what would make a side too small, or go on for too long."""
    draw = np.random.default_rng(seed)
    clouds = seed % 3 == 2
    shape = (POINTS, 3) if clouds else (int(draw.integers(1, 4)), SIDE, SIDE)
    found, state, counts = [], "", {"PointLinear": 0, "Conv2d": 0, "Linear": 0}
    model = models.Model(f"drawn{seed}", shape, CLASSES, ())
    while not (counts["Linear"] >= 2 and draw.integers(0, 3) == 0 or counts["Linear"] == 5) or state != "Linear":
        side = shape[-1] if len(shape) == 3 else 0
        kinds = [kind for kind in FOLLOWS[state] if not (
            kind == "Conv2d" and (clouds or counts["Conv2d"] == 3) or kind == "MaxPool2d" and side < 3
            or kind == "PointLinear" and (not clouds or counts["PointLinear"] == 3))]
        kind = kinds[draw.integers(len(kinds))] if kinds else "Flatten"
        name, width, kernel = f"{kind[0].lower()}{len(found)}", int(draw.integers(2, 8)), int(draw.integers(1, 4))
        pad = kernel - 1 if side < 3 else kernel // 2
        layer = {"Conv2d": lambda: models.Conv2d(name, shape[0], width, kernel, pad),
                 "MaxPool2d": lambda: models.MaxPool2d(int(draw.integers(2, 4))), "ReLU": models.ReLU,
                 "Flatten": models.Flatten, "PointLinear": lambda: models.PointLinear(name, shape[-1], width),
                 "BatchNorm": lambda: models.BatchNorm(name, shape[-1]), "MaxOverPoints": models.MaxOverPoints,
                 "Linear": lambda: models.Linear(name, shape[0], width)}[kind]()
        found.append(layer)
        shape = models.output_shape([layer], shape)
        counts[kind] = counts.get(kind, 0) + 1
        state = f"ReLU of {BASE.get(state, state)}" if kind == "ReLU" else kind
        if state == "ReLU of PointLinear" and counts["PointLinear"] == 3:   # no way on to MaxOverPoints from here
            found.pop()
            state = "BatchNorm"
    return model._replace(layers=(*found[:-1], found[-1]._replace(out_features=CLASSES)))


def samples_of(model, seed, floats=False):
    draw = np.random.default_rng(seed)
    if models.takes_points(model):
        clouds = draw.uniform(-0.6, 0.6, (BATCH, *model.input_shape)).astype(np.float32)
        images = clouds if floats else np.round(clouds * 127).astype(np.int8)
    else:
        images = draw.integers(0, 256, (BATCH, *model.input_shape), dtype=np.uint8)
    return images, draw.integers(0, CLASSES, BATCH).astype(np.uint8)


def int8_weights(model, seed):
    headroom = {layer.name: seed % 2 for layer in models.weight_layers(model.layers)}
    return draws.init_weights(model, seed, headroom)


SEEDS = range(20, 44)


def test_the_walks_visit_what_may_follow_what():
    pairs = set()
    for seed in SEEDS:
        kinds = [type(layer).__name__ for layer in drawn(seed).layers]
        pairs |= set(zip(kinds, kinds[1:]))
    assert {("Linear", "Linear"), ("Linear", "ReLU"), ("Conv2d", "Conv2d"), ("Conv2d", "Flatten"),
            ("MaxPool2d", "ReLU"), ("MaxPool2d", "Flatten"), ("BatchNorm", "ReLU"),
            ("BatchNorm", "MaxOverPoints")} <= pairs


@pytest.mark.parametrize("seed", SEEDS)
def test_such_a_file_is_taken(tmp_path, seed):
    model = drawn(seed)
    (tmp_path / "mine.json").write_text(json.dumps(described(model.layers)))
    data = {"data": "synthetic-solids", "points": POINTS} if models.takes_points(model) else {"data": "mine.npz"}
    config = make_config(own_model({"model": str(tmp_path / "mine.json"), "bp_tail": 2, **data}))
    assert described(config.layers) == described(model.layers)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_has_the_same_bits_watched_and_not(seed):
    """Watched it is plain, on whole tensors; else it runs in tiles and pieces."""
    given = drawn(seed)
    model = given._replace(layers=models.integer_layers(given.layers))
    for k in range(models.longest_tail(model.layers) + 1):
        images, labels = samples_of(model, seed)
        both = []
        for record in (None, lambda *noted: None):
            weights = int8_weights(model, seed)
            precision.clip_for_zo(weights, elastic_zo.zo_tensors(model, k), SETTINGS.r_limit)
            both.append((weights, [elastic_zo.train_step(model, k, weights, images, labels, seed, step, SETTINGS,
                                                         record) for step in range(2)]))
        (one, said), (other, told) = both
        assert said == told
        for name, weight in one.items():
            assert_array_equal(weight.data, other[name].data)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tails_gradients_are_those_of_full_backpropagation(seed):
    given = drawn(seed)
    model = given._replace(layers=models.integer_layers(given.layers))
    k = models.longest_tail(model.layers)
    head, end = models.split_tail(model.layers, k)
    images, labels = samples_of(model, seed)
    weights, inputs = int8_weights(model, seed), []
    x = layers.network_input(images)
    logits = layers.forward(end, weights, layers.forward(head, weights, x), inputs)
    found = tail.tail_gradients(end, weights, logits, inputs, labels)
    expected = full_int8.gradients_of(model, weights, *full_int8.forward_kept(model, weights, x), labels)
    assert list(found) == list(expected)[:k] and len(found) == k
    for name, gradient in found.items():
        assert gradient.exponent == expected[name].exponent
        assert_array_equal(gradient.data, expected[name].data)


@pytest.mark.parametrize("seed", SEEDS)
def test_fp32_gradients_of_a_tail_are_central_differences(seed):
    model = drawn(seed)
    k = models.longest_tail(model.layers)
    head, end = models.split_tail(model.layers, k)
    images, labels = samples_of(model, seed, floats=True)
    weights = {name: value.astype(np.float64) for name, value in fp32_draws.init_weights(model, seed).items()}
    draw = np.random.default_rng(seed)
    for name, value in weights.items():
        if name.endswith((".bias", ".beta")):
            value += draw.normal(size=value.shape) / 10
    x = images.astype(np.float64) / (1 if models.takes_points(model) else 255)

    def loss():
        return cross_entropy(fp32_layers.forward(model.layers, weights, x), labels)

    inputs = []
    logits = fp32_layers.forward(end, weights, fp32_layers.forward(head, weights, x), inputs)
    found = fp32_tail.tail_gradients(end, weights, logits, inputs, labels)
    for name, gradient in found.items():
        places = [tuple(draw.integers(0, side) for side in gradient.shape) for _ in range(6)]
        for place in places:
            kept, ends = weights[name][place], []
            for h in (1e-6, -1e-6):
                weights[name][place] = kept + h
                ends.append(loss())
            weights[name][place] = kept
            assert_allclose(gradient[place], (ends[0] - ends[1]) / 2e-6, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("seed", SEEDS[::4])
def test_the_port_trains_it_to_the_same_weights(built, tmp_path, seed):
    model = drawn(seed)
    images, labels = samples_of(model, seed, floats=True)
    labels[:CLASSES] = range(CLASSES)   # every class is there
    np.savez(tmp_path / "mine.npz", x_train=np.concatenate([images] * 5), y_train=np.tile(labels, 5), x_test=images,
             y_test=labels)
    (tmp_path / "mine.json").write_text(json.dumps(described(model.layers)))
    for k in (1, models.longest_tail(model.layers), "all"):
        run = tmp_path / f"run{k}"
        assert main(["train", "--model", str(tmp_path / "mine.json"), "--data", str(tmp_path / "mine.npz"), "--bp-tail",
                     str(k), "--epochs", "2", "--batch-size", "6", "--out", str(run)]) == 0
        assert same_steps(built, run, tmp_path / f"port{k}")
