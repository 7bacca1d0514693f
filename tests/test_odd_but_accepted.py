"""What every command makes of runs, files and names that are unusual, and accepted."""
import json

import numpy as np
import pytest

from small_runs import golden_said, refused, train, write_digits
from test_own_network import written
from test_program import built as built_program, builds, said as program_said
from zo_numpy.__main__ import main

DRAW = np.random.default_rng(0)


def own_data(path, shape, classes):
    """Two pictures of every class to train on, and one to test on."""
    labels = np.arange(classes, dtype=np.uint16)
    np.savez(path, x_train=DRAW.integers(0, 256, (2 * classes, *shape), np.uint8), y_train=np.tile(labels, 2),
             x_test=DRAW.integers(0, 256, (classes, *shape), np.uint8), y_test=labels)
    return path


def trained(data, run, *words):
    assert main(["train", "--data", str(data), "--epochs", "1", "--bp-tail", "1", "--out", str(run),
                 *map(str, words)]) == 0
    return run


def with_last(name):
    """A network that ends in one linear layer, of that name."""
    return [{"type": "Conv2d", "name": "samples", "out_channels": 2, "kernel": 3, "pad": 1},
            {"type": "MaxPool2d", "size": 2}, {"type": "ReLU"}, {"type": "Flatten"}, {"type": "Linear", "name": name}]


@builds
@pytest.mark.parametrize("folder, last", [("mine", "logits"), ("model", "exponents"), ("test", "weights"),
                                          ("clean", "layers"), ("port_c99", "labels")])
def test_a_program_compiles_whatever_layers_and_folder_are_called(tmp_path, folder, last):
    mine = written(tmp_path / "net.json", with_last(last))
    run = train(write_digits(tmp_path / "digits"), tmp_path / "run", "--model", mine, "--bp-tail", 1, epochs=1)
    out = tmp_path / folder
    assert main(["export", str(run), "--format", "c", "--out", str(out)]) == 0
    assert "pass" in program_said(built_program(out), "test").lower()


def test_more_classes_than_a_byte_has(tmp_path, capsys):
    data = own_data(tmp_path / "many.npz", (1, 8, 8), 257)
    mine = written(tmp_path / "net.json", with_last("out"))
    run = trained(data, tmp_path / "run", "--model", mine, "--batch-size", 100)
    assert main(["golden", "export", str(tmp_path / "trace"), "--run", str(run), "--steps", "1"]) == 0
    assert golden_said(capsys, "diff", tmp_path / "trace", tmp_path / "trace")[0] == 0
    line = refused(capsys, "export", run, "--format", "c", "--out", tmp_path / "program")
    assert "257 classes" in line and "256 at most" in line and not (tmp_path / "program").exists()


def test_one_picture_with_channels_first_is_one(tmp_path, capsys):
    for channels in (2, 3):
        data = own_data(tmp_path / f"c{channels}.npz", (channels, 10, 8), 3)
        run = trained(data, tmp_path / f"run{channels}", "--batch-size", 4)
        picture = DRAW.integers(0, 256, (channels, 20, 16), np.uint8)
        said = []
        for name, array in (("first", picture), ("last", picture.transpose(1, 2, 0)), ("stack", picture[None])):
            np.save(tmp_path / f"{name}.npy", array)
            capsys.readouterr()
            assert main(["predict", str(run), str(tmp_path / f"{name}.npy")]) == 0
            said.append(capsys.readouterr().out.replace(name, "name"))
        assert said[0] == said[1] == said[2] and said[0].count("(next: ") == 1


def test_bench_takes_a_network_that_ends_in_one_linear_layer(tmp_path, capsys):
    mine = written(tmp_path / "net.json", with_last("out"))
    assert main(["bench", "--model", str(mine), "--rounds", "1", "--batch-size", "2"]) == 0
    assert "peak_fp32_over_int8" in capsys.readouterr().out


def test_clouds_are_not_rotated(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", "--model", "narrow-pointnet", "--data", "synthetic-solids", "--offline", "--limit", "16",
                 "--epochs", "1", "--points", "16", "--batch-size", "8", "--out", str(run)]) == 0
    assert "--rotate 45: it has no meaning for the point clouds" in refused(capsys, "evaluate", run, "--rotate", 45)


@pytest.mark.parametrize("extra, words", [
    ({"p1.bias": np.zeros(7, np.float32)}, "p1.bias, the bias of p1, has the shape (7): it would be (4)"),
    ({"teacher.l1.weight": np.zeros((10, 4), np.float32)},
     "two arrays for l1.weight, l1.weight and teacher.l1.weight")])
def test_weights_that_do_not_fit_or_are_there_twice(tmp_path, capsys, extra, words):
    mine = written(tmp_path / "net.json", [
        {"type": "PointLinear", "name": "p1", "out_channels": 4}, {"type": "BatchNorm", "name": "n1"},
        {"type": "MaxOverPoints"}, {"type": "ReLU"}, {"type": "Linear", "name": "l1"}])
    weights = {"p1.weight": np.ones((4, 3), np.float32), "l1.weight": np.ones((10, 4), np.float32),
               "l1.bias": np.zeros(10, np.float32), **{f"n1.{part}": np.ones(4, np.float32) for part in (
                   "weight", "bias", "running_mean", "running_var")}}
    np.savez(tmp_path / "weights.npz", **weights, **extra)
    assert words in refused(capsys, "train", "--model", mine, "--data", "synthetic-solids", "--offline", "--points", 8,
                            "--limit", 8, "--bp-tail", 1, "--init-from", tmp_path / "weights.npz", "--out",
                            tmp_path / "run")


@pytest.mark.parametrize("head, samples", [(None, 12), ("label," + ",".join(f"p{i}" for i in range(25)), 12),
                                           ("y," + ",".join(map(str, range(25))), 12)])
def test_a_first_row_is_names_only_if_it_is(tmp_path, packed, head, samples):
    """A label may be called y; columns may be called by their numbers."""
    rows = [",".join(["yxz"[i % 3], *map(str, DRAW.integers(0, 256, 25))]) for i in range(12)]
    (tmp_path / "table.csv").write_text("\n".join([head] * bool(head) + rows) + "\n")
    dataset, _ = packed(tmp_path / "table.csv", "--shape", "5,5", "--split", "0.25")
    assert len(dataset.train_labels) + len(dataset.test_labels) == samples


def test_a_record_without_a_file_is_compared_by_shape_and_type_too(tmp_path, capsys):
    first, second = tmp_path / "one", tmp_path / "two"
    for folder in (first, second):
        assert main(["golden", "export", str(folder), "--model", "narrow-lenet", "--data", "mnist-subset", "--bp-tail",
                     "1", "--batch-size", "2", "--steps", "1", "--compact"]) == 0
    path = second / "manifest.json"
    manifest = json.loads(path.read_text())
    record = next(one for one in manifest["records"] if "file" not in one and one.get("shape"))
    record["shape"] = [1]
    path.write_text(json.dumps(manifest))
    capsys.readouterr()
    assert main(["golden", "diff", str(first), str(second)]) == 1
    assert "shape: expected" in capsys.readouterr().out
