"""`--model FILE.json`: a user's own network, in every command that takes a run, and the mistakes in such a file."""
import json

import numpy as np
import pytest

from small_runs import golden_said, metrics, refused, train, write_digits
from zo_numpy.__main__ import main
from zo_numpy.models import MODELS
from zo_numpy.run.checkpoint import digest, read_checkpoint
from zo_numpy.run.folder import CHECKPOINT, CONFIG, STEPS

# Blocks as unlike LeNet-5's as they may be: no pool, no ReLU, a rest at the pool, five linear layers.
DEEP = [{"type": "Conv2d", "name": "a", "out_channels": 3, "kernel": 3, "pad": 0},
        {"type": "Conv2d", "name": "b", "out_channels": 4, "kernel": 4, "pad": 1}, {"type": "MaxPool2d", "size": 3},
        {"type": "Conv2d", "name": "c", "out_channels": 2, "kernel": 1, "pad": 0}, {"type": "ReLU"},
        {"type": "Flatten"},
        {"type": "Linear", "name": "l1", "out_features": 20}, {"type": "ReLU"},
        {"type": "Linear", "name": "l2", "out_features": 18},
        {"type": "Linear", "name": "l3", "out_features": 16}, {"type": "ReLU"},
        {"type": "Linear", "name": "l4", "out_features": 14}, {"type": "ReLU"}, {"type": "Linear", "name": "l5"}]
CLOUDS = [{"type": "PointLinear", "name": "p1", "out_channels": 8}, {"type": "BatchNorm", "name": "n1"},
          {"type": "ReLU"},
          {"type": "PointLinear", "name": "p2", "out_channels": 12}, {"type": "BatchNorm", "name": "n2"},
          {"type": "MaxOverPoints"}, {"type": "ReLU"},
          *({"type": kind, **({"name": f"l{i}", "out_features": 16} if kind == "Linear" else {})}
            for i in range(1, 4) for kind in ("Linear", "ReLU")), {"type": "Linear", "name": "l4"}]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits") / "data")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZO_NUMPY_DATA", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def written(path, layers):
    path.write_text(json.dumps(layers))
    return path


def weights_of(run):
    return digest(read_checkpoint(run / CHECKPOINT)[0])


def printed(capsys, *words):
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", MODELS)
def test_a_printed_network_is_the_network(tmp_path, digits, capsys, name):
    mine = tmp_path / "mine.json"
    mine.write_text(printed(capsys, "model", name))
    if name.endswith("pointnet"):
        options = ("--data", "synthetic-solids", "--points", 16, "--limit", 8, "--batch-size", 4, "--epochs", 1)
        runs = [tmp_path / "named", tmp_path / "own"]
        if name == "narrow-pointnet":   # the wide one takes its time
            for run, model in zip(runs, (name, mine)):
                printed(capsys, "train", "--model", model, *options, "--out", run)
            assert weights_of(runs[0]) == weights_of(runs[1])
        return
    for precision in ("int8", "fp32"):
        for k in (1, 2, "all"):
            runs = [train(digits, tmp_path / f"{precision}{k}{kind}", "--limit", 16, "--precision", precision,
                          "--bp-tail", k, "--model", model, epochs=1)
                    for kind, model in (("named", name), ("own", mine))]
            assert (runs[0] / STEPS).read_bytes() == (runs[1] / STEPS).read_bytes()
            assert weights_of(runs[0]) == weights_of(runs[1])


def test_a_named_run_says_nothing_of_layers(tmp_path, digits):
    assert "layers" not in json.loads((train(digits, tmp_path / "run", epochs=1) / CONFIG).read_text())


@pytest.mark.parametrize("k", [0, 1, 4, 5, "all"])
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_any_list_of_layers_trains_with_every_tail(tmp_path, digits, capsys, precision, k):
    """What the trace, which computes plainly, ends in is what training, tile by tile, ends in."""
    mine = written(tmp_path / "deep.json", DEEP)
    run = train(digits, tmp_path / "run", "--model", mine, "--precision", precision, "--bp-tail", k, "--limit", 40,
                epochs=1)
    if k == "all":
        return
    said = golden_said(capsys, "export", tmp_path / "trace", "--run", run)
    assert said[0] == 0, said
    manifest = json.loads((tmp_path / "trace" / "manifest.json").read_text())
    last = [record for record in manifest["records"] if record["phase"] == "update" and record["op"] == "weights"
            and record["step"] == 2]
    weights = read_checkpoint(run / CHECKPOINT)[0]
    for record in last:
        found = np.load(tmp_path / "trace" / record["file"])
        np.testing.assert_allclose(found, weights[record["name"]], rtol=0, atol=0 if precision == "int8" else 1e-5)
    assert len(last) == len(weights)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_networks_of_clouds_too(tmp_path, capsys, precision):
    mine = written(tmp_path / "cloud.json", CLOUDS)
    options = ("--model", mine, "--data", "synthetic-solids", "--points", 16, "--limit", 20, "--batch-size", 8,
               "--epochs", 1, "--precision", precision)
    for k in (0, 4, "all"):
        printed(capsys, "train", *options, "--bp-tail", k, "--out", tmp_path / f"run{k}")
    assert "(" in printed(capsys, "evaluate", tmp_path / "run4")
    layers = json.loads((tmp_path / "run4" / CONFIG).read_text())["layers"]
    assert layers[0]["in_channels"] == 3 and layers[1]["channels"] == 8 and layers[-1]["out_features"] == 10


def test_a_run_holds_its_network(tmp_path, digits, capsys):
    """The file is gone, and every command still knows the network."""
    mine = written(tmp_path / "deep.json", DEEP)
    run = train(digits, tmp_path / "run", "--model", mine, "--bp-tail", 0, "--limit", 40)
    whole = weights_of(run)
    mine.unlink()
    assert f"test accuracy {metrics(run)[-1]['test_accuracy']:.2f} %" in printed(capsys, "evaluate", run)
    np.save(tmp_path / "picture.npy", np.zeros((28, 28), np.uint8))
    assert "(next: " in printed(capsys, "predict", run, tmp_path / "picture.npy")
    assert whole in printed(capsys, "replay", run)
    assert "l5_weight[140]" in printed(capsys, "export", run, "--format", "c") + (run / "weights.h").read_text()
    assert "#ifndef ZO_NUMPY_RUN_" in (run / "weights.h").read_text()
    assert "deep.json" in printed(capsys, "runs", tmp_path)
    assert whole in printed(capsys, "train", "--resume", "--out", run)
    tuned = tmp_path / "tuned"   # the manifest of a trace is a network too, and so is a run's config.json
    train(digits, tuned, "--model", run / CONFIG, "--init-from", run, "--bp-tail", 4, "--limit", 16, epochs=1)
    assert "l2 l3 l4 l5 by BP" in printed(capsys, "train", "--resume", "--out", tuned)
    assert golden_said(capsys, "export", tmp_path / "a", "--run", run)[0] == 0
    assert golden_said(capsys, "diff", tmp_path / "a", tmp_path / "a")[1][-1].endswith(" 0 differ")


def test_memory_and_bench_take_a_network(tmp_path, capsys):
    mine = written(tmp_path / "deep.json", DEEP)
    text = printed(capsys, "memory", "--model", mine, "--bp-tail", 5, "--batch-size", 8, "--measure")
    assert text.startswith("deep.json, int8, K = 5") and abs(float(text.split("prediction is ")[1].split(" %")[0])) < 10
    timed = json.loads(printed(capsys, "bench", "--model", mine, "--batch-size", 2, "--rounds", 1, "--json"))
    assert {step["bp_tail"] for step in timed["steps"]} == {0, 1, 2, 3, 4, 5, "all"}


def test_resuming_with_another_network_is_refused(tmp_path, digits, capsys):
    run = train(digits, tmp_path / "run", "--model", written(tmp_path / "deep.json", DEEP), "--bp-tail", 4, epochs=1)
    again = ("train", "--data-dir", digits, "--resume", "--out", run, "--model")
    (tmp_path / "deep.json").rename(tmp_path / "moved.json")
    printed(capsys, *again, tmp_path / "moved.json")
    other = [dict(layer) for layer in DEEP]
    other[8]["out_features"] = 17
    text = refused(capsys, *again, written(tmp_path / "other.json", other))
    assert "layer 9 is Linear l2 (in_features 20, out_features 17) here" in text and "out_features 18) there" in text
    assert "another network" in refused(capsys, *again, "lenet5")
    text = refused(capsys, "train", "--data-dir", digits, "--init-from", run, "--out", tmp_path / "n")
    assert "layer 1 is Conv2d conv1" in text and not (tmp_path / "n").exists()


def test_networks_of_one_name_have_folders_of_their_own(tmp_path, digits, capsys):
    for width in (18, 17):
        mine = written(tmp_path / "my net.json", changed(9, out_features=width))
        printed(capsys, "train", "--data-dir", digits, "--model", mine, "--epochs", 1)
    folders = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(folders) == 2 and all("-my_net-" in name and name.endswith("-int8-k2-e1-s0") for name in folders)


def changed(place, **fields):
    """DEEP with a layer changed; a field that becomes ... is removed."""
    layers = [dict(layer) for layer in DEEP]
    layers[place - 1] = {key: value for key, value in {**layers[place - 1], **fields}.items() if value is not ...}
    return layers


MISTAKES = {
    "wrong in_features": (changed(9, in_features=21), ("layer 9 (Linear l2)", "in_features 21", "has 20", "give 20")),
    "wrong in_channels": (changed(2, in_channels=1), ("layer 2 (Conv2d b)", "give 3")),
    "wrong classes": (changed(14, out_features=12), ("layer 14 (Linear l5)", "10 classes", "give 10")),
    "unknown kind": (changed(5, type="Dropout"), ("layer 5", "Dropout", "Conv2d", "MaxOverPoints")),
    "kind of another kind": (changed(5, type=["ReLU"]), ("layer 5", "choose one of")),
    "missing key": (changed(1, kernel=...), ("layer 1 (Conv2d a)", "lacks kernel", "from 1 to 255")),
    "no width": (changed(9, out_features=...), ("layer 9 (Linear l2)", "lacks out_features")),
    "unknown key": (changed(1, stride=2), ("layer 1 (Conv2d a)", "no stride", "kernel")),
    "no name": (changed(1, name=...), ("layer 1 (Conv2d)", "lacks name")),
    "one name": (changed(9, name="l1"), ("layer 9 (Linear l1)", "layer 7")),
    "case": (changed(9, name="L1"), ("layer 9 (Linear L1)", "layer 7", "capital")),
    "no identifier": (changed(1, name="conv-1"), ("layer 1", "C identifier")),
    "no ASCII": (changed(1, name="größe"), ("layer 1", "C identifier")),
    "a path": (changed(1, name="../x"), ("layer 1", "C identifier")),
    "a number": (changed(1, name=3), ("layer 1", "C identifier")),
    "keyword": (changed(1, name="Float"), ("layer 1 (Conv2d Float)", "Float_1")),
    "taken": (changed(1, name="file"), ("layer 1 (Conv2d file)", "file_1")),
    "text for a number": (changed(1, kernel="5"), ("layer 1 (Conv2d a)", "kernel 5", "from 1 to 255")),
    "true": (changed(1, out_channels=True), ("layer 1", "out_channels True")),
    "huge": (changed(7, out_features=10**30), ("layer 7 (Linear l1)", "from 1 to 65536")),
    "huge together": ([*DEEP[:8], *({"type": "Linear", "name": x, "out_features": 60000} for x in "xy"), DEEP[-1]],
                      ("layer 10 (Linear y)", "at most 100,000,000")),
    "pool": ([dict(DEEP[0], kernel=20), *DEEP[1:2], {"type": "MaxPool2d", "size": 9}, *DEEP[3:]],
             ("layer 3 (MaxPool2d)", "8 x 8", "at most 8")),
    "kernel": (changed(1, kernel=29), ("layer 1 (Conv2d a)", "28 x 28", "at most 28")),
    "pad": (changed(1, pad=3), ("layer 1 (Conv2d a)", "pad 3", "at most 2")),
    "pool first": (DEEP[2:], ("layer 1 (MaxPool2d)", "cannot stand first", "Conv2d or PointLinear")),
    "linear first": (DEEP[6:], ("layer 1 (Linear l1)", "fully-connected")),
    "ReLU last": ([*DEEP, {"type": "ReLU"}], ("layer 15 (ReLU)", "the last", "Linear")),
    "no Linear": (DEEP[:6], ("layer 6 (Flatten)", "the last")),
    "no Flatten": ([*DEEP[:5], *DEEP[6:]], ("layer 6 (Linear l1)", "Conv2d or Flatten fits")),
    "pool after ReLU": ([*DEEP[:5], {"type": "MaxPool2d", "size": 2}, *DEEP[5:]], ("layer 6", "before ReLU")),
    "clouds": (CLOUDS, ("takes point clouds", "choose another --model")),
    "empty": ([], ("list of 1 to 200 layers", "model lenet5")),
    "no list": ({"a": 1}, ("list of 1 to 200 layers",)),
    "too many": (DEEP * 20, ("list of 1 to 200 layers",)),
    "a text": (["ReLU"], ("layer 1", "no object")),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_by_its_layer_before_anything_runs(tmp_path, digits, capsys, name):
    layers, words = MISTAKES[name]
    file = written(tmp_path / "mine.json", layers)
    text = refused(capsys, "train", "--model", file, "--data-dir", digits, "--out", tmp_path / "run", "--epochs", 1)
    assert "mine.json" in text and all(word in text for word in words), text
    assert not (tmp_path / "run").exists()


def test_sums_beyond_int32_are_refused_in_int8_alone(tmp_path, digits, capsys):
    layers = [{"type": "Conv2d", "name": "a", "out_channels": 200, "kernel": 1, "pad": 0}, {"type": "Flatten"},
              {"type": "Linear", "name": "out"}]
    options = ("--model", written(tmp_path / "wide.json", layers), "--data-dir", digits, "--epochs", 1, "--limit", 4,
               "--bp-tail", 1, "--batch-size", 4, "--validate", 4)
    text = refused(capsys, "train", *options, "--out", tmp_path / "int8")
    assert "layer 3 (Linear out) sums 156,800 products" in text and "--precision fp32" in text
    printed(capsys, "train", *options, "--precision", "fp32", "--out", tmp_path / "fp32")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1e999]", b'[{"type": 1, "type": 1}]', b"[" * 99999])
def test_what_is_no_json_is_refused(tmp_path, capsys, content):
    (tmp_path / "mine.json").write_bytes(content)
    assert "is not JSON" in refused(capsys, "train", "--model", tmp_path / "mine.json")
    assert "cannot be read" in refused(capsys, "train", "--model", tmp_path / "none.json")
    assert "cannot be read" in refused(capsys, "memory", "--model", tmp_path / "x" / "none.json")


def test_a_tail_longer_than_the_linear_layers_is_refused(tmp_path, capsys):
    mine = written(tmp_path / "deep.json", DEEP)
    assert "from 0 to 5, or all" in refused(capsys, "train", "--model", mine, "--bp-tail", 6)
    assert "one for each of a, b, c, l1" in refused(capsys, "train", "--model", mine, "--headroom", "1,1")


def test_a_config_whose_network_is_damaged_is_refused(tmp_path, digits, capsys):
    run = train(digits, tmp_path / "run", "--model", written(tmp_path / "deep.json", DEEP), epochs=1)
    sound = json.loads((run / CONFIG).read_text())
    for change in ({"layers": []}, {"layers": 3}, {"layers": sound["layers"][1:]}, {"model": "lenet5"},
                   {"model": None}):
        (run / CONFIG).write_text(json.dumps({**sound, **change}))
        assert "is not the configuration of a run" in refused(capsys, "evaluate", run)


def test_model_of_no_name_is_refused(capsys):
    assert "choose one of lenet5" in refused(capsys, "model", "lenet")
