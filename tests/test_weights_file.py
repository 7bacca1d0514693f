"""`--init-from FILE.npz`: weights that another program trained, in PyTorch's layout and in Keras's.

The other program is written here in its own manner: NCHW with (out, in, k, k) kernels, and NHWC with (k, k, in, out)
kernels and a flatten of (H, W, C).
"""
import json

import numpy as np
import pytest

import small_clouds
from small_runs import refused, train, write_digits
from zo_numpy import system
from zo_numpy.__main__ import main
from zo_numpy.fp32 import precision as fp32
from zo_numpy.int8 import precision as int8
from zo_numpy.models import MODELS, weight_layers
from zo_numpy.run import config as configs
from zo_numpy.run.network import own_model
from zo_numpy.run.trainer import first_weights

LENET = MODELS["narrow-lenet"]
CONVS, LINEARS = (("conv1", 1, 2), ("conv2", 2, 3)), (("fc1", 147, 16), ("fc2", 16, 12), ("fc3", 12, 10))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZO_NUMPY_DATA", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (40, 1, 28, 28), dtype=np.uint8)


def torch_net(seed=3):
    """What a state_dict of narrow-lenet holds."""
    draw, state = np.random.default_rng(seed), {}
    for name, into, out in CONVS:
        state[name + ".weight"] = draw.normal(0, 0.3, (out, into, 5, 5)).astype(np.float32)
        state[name + ".bias"] = draw.normal(0, 0.3, out).astype(np.float32)
    for name, into, out in LINEARS:
        state[name + ".weight"] = draw.normal(0, 0.3, (out, into)).astype(np.float32)
        state[name + ".bias"] = draw.normal(0, 0.3, out).astype(np.float32)
    return state


def keras_net(seed=4):
    """What get_weights() of the same network holds there."""
    draw, arrays = np.random.default_rng(seed), []
    for _, into, out in CONVS:
        arrays += [draw.normal(0, 0.3, (5, 5, into, out)), draw.normal(0, 0.3, out)]
    for _, into, out in LINEARS:
        arrays += [draw.normal(0, 0.3, (into, out)), draw.normal(0, 0.3, out)]
    return [array.astype(np.float32) for array in arrays]


def windows(x, k):
    """(N, H, W, C) padded by 2 -> (N, H, W, C, k, k)."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))), (k, k), (1, 2))


def pooled(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def torch_logits(state, images):
    x = images.transpose(0, 2, 3, 1) / 255
    for name, *_ in CONVS:
        x = pooled(np.maximum(np.einsum("nhwcij,ocij->nhwo", windows(x, 5), state[name + ".weight"].astype(np.float64))
                              + state[name + ".bias"], 0))
    x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)   # (C, H, W)
    for name, *_ in LINEARS:
        x = (x if name == "fc1" else np.maximum(x, 0)) @ state[name + ".weight"].T + state[name + ".bias"]
    return x


def keras_logits(arrays, images):
    x, pairs = images.transpose(0, 2, 3, 1) / 255, list(zip(arrays[::2], arrays[1::2]))
    for kernel, bias in pairs[:2]:
        x = pooled(np.maximum(np.einsum("nhwcij,ijco->nhwo", windows(x, 5), kernel.astype(np.float64)) + bias, 0))
    x = x.reshape(len(x), -1)                         # (H, W, C)
    for i, (kernel, bias) in enumerate(pairs[2:]):
        x = (np.maximum(x, 0) if i else x) @ kernel + bias
    return x


def renamed(state):
    """A state_dict of nn.Sequential: numbers for names."""
    return {f"{3 * i + (part == 'bias')}.{part}": state[f"{name}.{part}"]
            for i, (name, *_) in enumerate((*CONVS, *LINEARS)) for part in ("weight", "bias")}


def keras_named(arrays):
    return {f"net/{name}/{part}:0": arrays[2 * i + (part == "bias")]
            for i, (name, *_) in enumerate((*CONVS, *LINEARS)) for part in ("kernel", "bias")}


FILES = {
    "torch by name": (lambda: torch_net(), torch_logits, lambda net: net),
    "torch by order": (lambda: torch_net(), torch_logits, renamed),
    "torch below a module": (lambda: torch_net(), torch_logits, lambda net: {f"net.{k}": v for k, v in net.items()}),
    "keras by order": (keras_net, keras_logits, lambda net: {f"arr_{i}": array for i, array in enumerate(net)}),
    "keras by name": (keras_net, keras_logits, keras_named),
    "float64": (lambda: torch_net(), torch_logits, lambda net: {k: v.astype(np.float64) for k, v in net.items()}),
}


def started(path, arrays, said=None, **options):
    """(Config, weights) of a run that starts from a file of arrays."""
    np.savez(path, **arrays)
    config = configs.make_config({"model": "narrow-lenet", "init_from": str(path), "bp_tail": 2, **options})
    return config, first_weights(config, (said if said is not None else []).append)


@pytest.mark.parametrize("name", FILES)
def test_a_network_from_elsewhere_classifies_the_same(tmp_path, images, name):
    make, logits, saved = FILES[name]
    net = make()
    _, weights = started(tmp_path / "net.npz", saved(net), precision="fp32")
    expected = logits(net, images)
    np.testing.assert_allclose(fp32.scores(LENET, weights, images), expected, rtol=1e-3, atol=1e-3)
    assert (fp32.classify(LENET, weights, images) == expected.argmax(axis=1)).all()
    assert len(set(expected.argmax(axis=1))) > 1


def without_biases(net):
    return {key: value for key, value in net.items() if "bias" not in key}


@pytest.mark.parametrize("layout", ["torch", "keras"])
def test_int8_takes_it_too(tmp_path, images, layout):
    """Without biases, which INT8 has not, nearly all pictures keep their class."""
    if layout == "torch":
        net = torch_net()
        state, logits = without_biases(net), lambda: torch_logits({k: v * ("bias" not in k) for k, v in net.items()}, images)
    else:
        arrays = [array * (i % 2 == 0) for i, array in enumerate(keras_net())]
        state, logits = without_biases(keras_named(arrays)), lambda: keras_logits(arrays, images)
    said = []
    _, weights = started(tmp_path / "net.npz", state, said, precision="int8", r_max=(1,))
    assert (int8.classify(LENET, weights, images) == logits().argmax(axis=1)).mean() > 0.9
    assert len(said) == 1 and layout in said[0].lower()


def test_biases_are_said_to_be_dropped_in_int8_alone(tmp_path):
    said = {}
    for precision in ("int8", "fp32"):
        said[precision] = []
        started(tmp_path / f"{precision}.npz", torch_net(), said[precision], precision=precision)
    assert "biases of conv1, conv2, fc1, fc2, fc3 are dropped" in said["int8"][1] and len(said["fp32"]) == 1


def points_net(tmp_path, precision):
    layers = [{"type": "PointLinear", "name": "mlp", "out_channels": 8}, {"type": "BatchNorm", "name": "norm"},
              {"type": "MaxOverPoints"}, {"type": "ReLU"}, {"type": "Linear", "name": "fc", "out_features": 10}]
    (tmp_path / "cloud.json").write_text(json.dumps(layers))
    return {**own_model({"model": str(tmp_path / "cloud.json")}), "data": "modelnet10", "points": 16, "bp_tail": 1,
            "precision": precision, "classes": 10}


@pytest.mark.parametrize("layout", ["torch", "keras"])
def test_batch_norm_and_the_bias_before_it_are_taken(tmp_path, layout):
    draw = np.random.default_rng(1)
    weight, bias, out = draw.normal(size=(8, 3)), draw.normal(size=8), draw.normal(size=(10, 8))
    gamma, beta, mean, var = draw.normal(size=8), draw.normal(size=8), draw.normal(size=8), draw.uniform(0.001, 1, 8)
    norm = {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": var}
    if layout == "torch":
        arrays = {"mlp.weight": weight[:, :, None], "mlp.bias": bias, **{f"norm.{k}": v for k, v in norm.items()},
                  "norm.num_batches_tracked": np.int64(7), "fc.weight": out}
    else:
        arrays = {f"arr_{i}": array for i, array in enumerate([weight.T, bias, *norm.values(), out.T])}
    config = points_net(tmp_path, "fp32")
    config, weights = started(tmp_path / "net.npz", arrays, **config)
    clouds = draw.uniform(-0.5, 0.5, (20, 16, 3))
    eps = 1e-5 if layout == "torch" else 1e-3
    normed = gamma * (clouds @ weight.T + bias - mean) / np.sqrt(var + eps) + beta
    expected = np.maximum(normed.max(axis=1), 0) @ out.T
    found = fp32.scores(configs.models.of_run(config), weights, clouds.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def broken(**changes):
    return {key: value for key, value in {**torch_net(), **changes}.items() if value is not None}


def exported(**changes):
    """What `export` writes of an INT8 narrow-lenet, changed."""
    arrays = {}
    for layer in weight_layers(LENET.layers):
        arrays |= {layer.name: np.ones(layer.weight_shape, np.int8), layer.name + ".exponent": np.int32(-7)}
    return {key: value for key, value in {**arrays, **changes}.items() if value is not None}


WRONG = {
    "shape": (broken(**{"fc2.weight": np.ones((12, 15))}), ("fc2.weight", "(12, 15)", "(12, 16)", "(16, 12)")),
    "bias": (broken(**{"fc2.bias": np.ones(11)}), ("fc2.bias", "(11)", "(12)")),
    "missing": (broken(**{"fc2.weight": None}), ("weight of fc2", "fc2.weight")),
    "NaN": (broken(**{"fc2.bias": np.full(12, np.nan)}), ("fc2.bias", "not finite")),
    "too large": (broken(**{"fc2.bias": np.full(12, 1e300)}), ("fc2.bias", "not finite")),
    "integers": (broken(**{"fc2.weight": np.ones((12, 16), int)}), ("fc2.weight", "int64", "floats")),
    "both layouts": (broken(**{"fc2.weight": np.ones((16, 12))}), ("fc2", "Keras", "PyTorch")),
    "too few": ({"arr_0": np.ones((2, 1, 5, 5))}, ("1 arrays of weights", "5 layers", "conv1, conv2, fc1")),
    "a bias first": ({"arr_0": np.ones(3)}, ("arr_0", "(3)")),
    "two biases": ({f"arr_{i}": a for i, a in enumerate([*keras_net()[:2], np.ones(2), *keras_net()[2:]])},
                   ("2 arrays of one axis", "conv1")),
    "empty": ({}, ("0 arrays",)),
    "an INT8 layer missing": (exported(fc2=None), ("no fc2;", "fc2.exponent")),
    "an exponent missing": (exported(**{"fc2.exponent": None}), ("no fc2.exponent",)),
    "an INT8 shape": (exported(fc2=np.ones((12, 15), np.int8)), ("fc2", "(12, 15)", "(12, 16)")),
    "int16 beside an exponent": (exported(fc2=np.ones((12, 16), np.int16)), ("fc2", "int16", "int8")),
    "-128": (exported(fc2=np.full((12, 16), -128, np.int8)), ("fc2", "-128")),
    "an exponent too large": (exported(**{"fc2.exponent": np.int32(101)}), ("fc2.exponent", "100")),
    "two exponents": (exported(**{"fc2.exponent": np.ones(2, np.int32)}), ("fc2.exponent", "one whole number")),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named(tmp_path, capsys, name):
    arrays, words = WRONG[name]
    np.savez(tmp_path / "net.npz", **arrays)
    data = write_digits(tmp_path / "data", 20, 5)
    text = refused(capsys, "train", "--model", "narrow-lenet", "--data-dir", data, "--init-from", tmp_path / "net.npz",
                   "--out", tmp_path / "run")
    assert "net.npz" in text and all(word in text for word in words), text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", None])
def test_a_file_that_is_none_is_refused(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "net.npz").write_bytes(content)
    data = write_digits(tmp_path / "data", 20, 5)
    text = refused(capsys, "train", "--data-dir", data, "--init-from", tmp_path / "net.npz", "--out", tmp_path / "run")
    assert ("does not exist" if content is None else "is damaged") in text and "np.savez" in text


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_run_starts_from_a_file_and_from_what_export_wrote(tmp_path, capsys, precision):
    data = write_digits(tmp_path / "data")
    np.savez(tmp_path / "net.npz", **torch_net())
    run = train(data, tmp_path / "run", "--init-from", tmp_path / "net.npz", "--precision", precision, epochs=1)
    assert main(["export", str(run), "--out", str(tmp_path / "mine.npz")]) == 0
    train(data, tmp_path / "again", "--init-from", tmp_path / "mine.npz", "--precision", precision, epochs=1)
    assert "by the names of the layers" in capsys.readouterr().out
    assert main(["train", "--data-dir", str(data), "--resume", "--out", str(run)]) == 0


@pytest.mark.parametrize("into", ["int8", "fp32"])
@pytest.mark.parametrize("data", ["pictures", "clouds"])
def test_int8_weights_that_export_wrote_start_a_run_as_the_run_itself_does(tmp_path, data, into):
    if data == "pictures":
        run = train(write_digits(tmp_path / "data"), tmp_path / "run", "--tail-scale", "running", epochs=1)
        options = {"model": "narrow-lenet"}
    else:
        run = small_clouds.train(small_clouds.write_modelnet(tmp_path / "data"), tmp_path / "run", epochs=1)
        options = {"model": "narrow-pointnet", "data": "modelnet", "points": 16, "classes": len(small_clouds.CLASSES)}
    assert main(["export", str(run), "--out", str(tmp_path / "mine.npz")]) == 0
    starts = []
    for source in (run, tmp_path / "mine.npz"):
        config = configs.make_config({**options, "precision": into, "bp_tail": 1, "init_from": str(source)})
        starts.append({"int8": int8, "fp32": fp32}[into].to_arrays(first_weights(config)))
    (arrays, numbers), (others, other_numbers) = starts
    assert numbers == other_numbers and arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name])


def test_headroom_is_said_to_have_no_effect_on_integers(tmp_path, capfd):
    """Of INT8 weights, from a run or a file; those of FP32 are brought to it."""
    data, runs = write_digits(tmp_path / "data", 40, 20), {}
    for precision in ("int8", "fp32"):
        runs[precision] = train(data, tmp_path / precision, "--precision", precision, epochs=1)
    assert main(["export", str(runs["int8"]), "--out", str(tmp_path / "mine.npz")]) == 0
    for source, idle in ((runs["int8"], True), (tmp_path / "mine.npz", True), (runs["fp32"], False)):
        system.say_once.cache_clear()
        capfd.readouterr()
        train(data, tmp_path / f"from-{source.name}", "--init-from", source, "--headroom", "1,1,1,1,1", epochs=1)
        said = capfd.readouterr().err
        assert ("--headroom has no effect with INT8 weights from --init-from" in said) == idle
