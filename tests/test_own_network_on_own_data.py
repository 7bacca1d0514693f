"""A user's own network on a user's own pictures: in colour, not square, with a rest at the pool, from the first step to
the export, and against a forward pass that is written here as another program would write it."""
import json
import re

import numpy as np
import pytest
from PIL import Image

from own_runs import CLASSES, pictures, train, write_pictures
from small_runs import assert_same_run, metrics, refused
from zo_numpy.__main__ import main
from zo_numpy.run import trainer
from zo_numpy.run.checkpoint import digest, read_checkpoint
from zo_numpy.run.folder import RunFolder

# Of 3 x 9 x 11 the pool leaves 4 x 5, the second kernel 3 x 4.
LAYERS = [{"type": "Conv2d", "name": "edges", "out_channels": 4, "kernel": 3, "pad": 1},
          {"type": "MaxPool2d", "size": 2}, {"type": "ReLU"},
          {"type": "Conv2d", "name": "parts", "out_channels": 5, "kernel": 2, "pad": 0}, {"type": "ReLU"},
          {"type": "Flatten"}, {"type": "Linear", "name": "hidden", "out_features": 12}, {"type": "ReLU"},
          {"type": "Linear", "name": "out"}]
SHAPES = {"edges": (4, 3, 3, 3), "parts": (5, 4, 2, 2), "hidden": (12, 5 * 3 * 4), "out": (3, 12)}
EVERY = [(precision, tail) for precision in ("int8", "fp32") for tail in (0, 1, 2, "all")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the pictures and the network."""
    place = tmp_path_factory.mktemp("mine")
    write_pictures(place / "mine.npz")
    (place / "own.json").write_text(json.dumps(LAYERS))
    return place


@pytest.fixture(scope="module")
def runs(place):
    """A run of each method: {(precision, tail): its folder}."""
    return {key: trained(place, place / "-".join(map(str, key)), key) for key in EVERY}


def trained(place, out, key, *more):
    return train(place / "mine.npz", out, *options(place, key), *more, epochs=4)


def options(place, key):
    return ["--model", place / "own.json", "--precision", key[0], "--bp-tail", key[1], "--batch-size", 10]


def weights_of(run):
    return read_checkpoint(run / "checkpoint.npz")[0]


def said(capsys, *words):
    capsys.readouterr()
    assert main(list(map(str, words))) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("key", EVERY)
def test_shapes_are_those_of_the_pictures_and_evaluate_knows_them(runs, capsys, key):
    names = [name for name in weights_of(runs[key]) if not name.endswith(("bias", "exponent"))]
    assert {name.removesuffix(".weight"): weights_of(runs[key])[name].shape for name in names} == SHAPES
    assert f"test accuracy {metrics(runs[key])[-1]['test_accuracy']:.2f} %" in said(capsys, "evaluate", runs[key])


@pytest.mark.parametrize("key", EVERY)
def test_it_goes_on_where_it_was_cut_off(runs, place, tmp_path, monkeypatch, key):
    saves, real = [], RunFolder.save

    def save(self, arrays, numbers):
        real(self, arrays, numbers)
        saves.append(numbers["step"])
        if len(saves) == 9:   # in the middle of the second epoch
            raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(trainer, "SAVE_EVERY_SECONDS", -1)
        context.setattr(RunFolder, "save", save)
        assert main(["train", "--data", str(place / "mine.npz"), "--epochs", "4", "--out", str(tmp_path / "run"),
                     *map(str, options(place, key))]) == 130
    assert saves[-1] == 9
    assert_same_run(trained(place, tmp_path / "run", key, "--resume"), runs[key])


def plainly(weights, image):
    """The logits of a picture (H, W, 3) of 0..255, in float64, one number after the other."""
    def convolved(x, name, pad):
        kernel, x = weights[name + ".weight"].astype(float), np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
        side = kernel.shape[2]
        return np.array([[[sum(kernel[o, c, i, j] * x[row + i, column + j, c] for c in range(x.shape[2])
                               for i in range(side) for j in range(side)) + weights.get(name + ".bias", np.zeros(9))[o]
                           for o in range(len(kernel))] for column in range(x.shape[1] - side + 1)]
                         for row in range(x.shape[0] - side + 1)])

    x = convolved(image / 255, "edges", 1)
    x = np.array([[x[row:row + 2, column:column + 2].max(axis=(0, 1)) for column in range(0, 10, 2)]
                  for row in range(0, 8, 2)])
    x = np.maximum(convolved(np.maximum(x, 0), "parts", 0), 0)
    x = np.array([x[row, column, channel] for channel in range(5) for row in range(3) for column in range(4)])
    for name in ("hidden", "out"):
        x = weights[name + ".weight"].astype(float) @ (np.maximum(x, 0)) + weights.get(name + ".bias", np.zeros(1))
    return x


@pytest.mark.parametrize("key", [("fp32", 2), ("fp32", "all"), ("int8", 2)])
def test_predict_is_what_another_program_computes_from_the_export(runs, tmp_path, capsys, key):
    said(capsys, "export", runs[key], "--out", tmp_path / "weights.npz")
    with np.load(tmp_path / "weights.npz") as exported:
        weights = dict(exported)
    if key[0] == "int8":
        weights = {name + ".weight": weights[name] * 2.0**weights[name + ".exponent"] for name in SHAPES}
    images, _ = pictures(6, seed=9)
    images = images.transpose(0, 2, 3, 1)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    lines = said(capsys, "predict", runs[key], *(tmp_path / f"{i}.png" for i in range(6)), "--top", 3).splitlines()
    assert len(lines) == 6
    for line, image in zip(lines, images):
        logits = plainly(weights, image)
        first, *others = re.findall(r"(red|green|blue)(?: ([\d.]+) behind)?", line.split(": ")[1])
        behind = {first[0]: 0, **{name: float(number) for name, number in others}}
        found = np.array([behind[name] for name in CLASSES])
        close = 0.006 if key[0] == "fp32" else 0.1 * np.ptp(logits) + 0.006
        np.testing.assert_allclose(found, logits.max() - logits, rtol=0, atol=close)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_its_export_is_a_start_for_another_run(runs, place, tmp_path, capsys, precision):
    run = runs[precision, 2]
    said(capsys, "export", run, "--out", tmp_path / "weights.npz")
    if precision == "int8":
        said(capsys, "export", run, "--format", "c", "--out", tmp_path / "weights.h")
        assert "out_weight[36] = {" in (tmp_path / "weights.h").read_text()
    made = {}
    for source in (run, tmp_path / "weights.npz"):
        out = train(place / "mine.npz", tmp_path / source.stem, *options(place, (precision, 1)), "--init-from", source)
        assert metrics(out)[0]["test_accuracy"] > 95
        made[source] = digest(weights_of(out))
    assert precision == "int8" or len(set(made.values())) == 1   # in INT8 a file's weights are rounded anew
    wrong = [dict(layer) for layer in LAYERS]
    wrong[6]["out_features"] = 13
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    for source in (run, tmp_path / "weights.npz"):
        text = refused(capsys, "train", "--data", place / "mine.npz", "--model", tmp_path / "wrong.json", "--precision",
                       precision, "--init-from", source, "--out", tmp_path / "no")
        assert "hidden" in text and not (tmp_path / "no").exists()


def test_pictures_it_does_not_fit_are_refused_by_the_layer(place, tmp_path, capsys):
    write_pictures(tmp_path / "other.npz")
    with np.load(tmp_path / "other.npz") as data:
        parts = {name: data[name] for name in data.files}
    fixed = [dict(layer) for layer in LAYERS]
    fixed[0]["in_channels"], fixed[6]["in_features"] = 3, 60
    (tmp_path / "fixed.json").write_text(json.dumps(fixed))
    for rows, wanted in ((np.s_[:, :, :, :9], "layer 7 (Linear hidden)"), (np.s_[:, :1], "layer 1 (Conv2d edges)")):
        np.savez(tmp_path / "cut.npz", **{name: parts[name][rows] if name.startswith("x") else parts[name]
                                          for name in parts})
        said(capsys, "train", "--data", tmp_path / "cut.npz", "--model", place / "own.json", "--epochs", 1, "--out",
             tmp_path / wanted[6])   # what is not fixed fits itself
        assert wanted in refused(capsys, "train", "--data", tmp_path / "cut.npz", "--model", tmp_path / "fixed.json")
    for command in (["train", "--data", place / "mine.npz"], ["memory", "--data", place / "mine.npz"]):
        assert "from 0 to 2, or all" in refused(capsys, *command, "--model", place / "own.json", "--bp-tail", 3)
