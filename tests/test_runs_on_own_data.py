"""Runs on a user's own file: networks that fit themselves, and runs that know their data."""
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from datasets import rotate
from own_runs import CLASSES, PREPARED, options, pictures, train, write_pictures, write_shapes
from small_clouds import write_modelnet
from small_runs import ROOT, assert_same_run, golden_said, metrics, peak_memory, python, refused, write_digits
from small_runs import train as train_digits
from zo_numpy.__main__ import main
from zo_numpy.run.checkpoint import read_checkpoint


LEARNS = ("--model", "lenet5", "--bp-tail", 3, "--batch-size", 10)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("data") / "mine.npz", preparation=PREPARED)


@pytest.fixture(scope="module")
def run(file, tmp_path_factory):
    """A run that tells the colours apart."""
    return train(file, tmp_path_factory.mktemp("runs") / "run", *LEARNS, epochs=6)


def said(capsys, *arguments):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


# Networks that fit themselves

@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize("bp_tail", [0, 1, 2, 3, "all"])
def test_every_method_trains_on_odd_sides_and_colours(file, tmp_path, capsys, precision, bp_tail):
    out = train(file, tmp_path / "run", "--precision", precision, "--bp-tail", bp_tail)
    shapes = {name: array.shape for name, array in read_checkpoint(out / "checkpoint.npz")[0].items()}
    suffix = ".weight" if precision == "fp32" else ""
    assert shapes["conv1" + suffix] == (2, 3, 5, 5) and shapes["fc1" + suffix] == (16, 3 * 2 * 2)
    assert shapes["fc3" + suffix][0] == 3
    assert f"{metrics(out)[-1]['test_accuracy']:.2f} %" in said(capsys, "evaluate", out)


def test_the_full_networks_learn_it(file, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", "--data", str(file), "--epochs", "4", "--batch-size", "10", "--bp-tail", "3", "--out",
                 str(out)]) == 0
    assert metrics(out)[-1]["test_accuracy"] > 90
    line = said(capsys, "memory", "--data", file, "--bp-tail", 1, "--batch-size", 8, "--measure").splitlines()
    predicted, measured = (int(next(row for row in line if row.startswith(f"    {name} ")).split()[1].replace(",", ""))
                           for name in ("together", "measured"))
    assert abs(predicted - measured) < 0.1 * measured


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_clouds_of_any_number_of_points(tmp_path, capsys, precision):
    path = write_shapes(tmp_path / "shapes.npz")
    out = tmp_path / "run"
    assert main(["train", "--model", "narrow-pointnet", "--data", str(path), "--epochs", "2", "--batch-size", "5",
                 "--precision", precision, "--out", str(out)]) == 0
    config = json.loads((out / "config.json").read_text())
    assert (config["points"], config["classes"]) == (24, 3) and "input_shape" not in config
    assert f"{metrics(out)[-1]['test_accuracy']:.2f} %" in said(capsys, "evaluate", out)
    np.save(tmp_path / "cloud.npy", np.load(path)["x_test"][0])
    assert "cloud.npy: " in said(capsys, "predict", out, tmp_path / "cloud.npy")


def test_more_than_256_classes_have_labels_of_two_bytes(tmp_path, capsys):
    count = 300
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8), np.uint8)
    np.savez(tmp_path / "many.npz", x_train=images, y_train=np.arange(count), x_test=255 - images[:5],
             y_test=np.arange(295, 300))
    golden_said(capsys, "export", tmp_path / "trace", "--model", "narrow-lenet", "--data", tmp_path / "many.npz",
                "--steps", 1, "--batch-size", 64)
    records = json.loads((tmp_path / "trace" / "manifest.json").read_text())["records"]
    labels = next(record for record in records if record["op"] == "labels")
    order = [file for file in (tmp_path / "trace").iterdir() if file.name == labels["file"]]
    assert labels["dtype"] == "uint16" and np.load(order[0]).max() > 255


def test_a_sum_that_an_int32_may_not_hold_is_refused_with_the_largest_size_that_fits(tmp_path, capsys):
    def of_side(side):
        images = np.zeros((2, side, side), np.uint8)
        images[1] = 255
        np.savez(tmp_path / "large.npz", x_train=images, y_train=[0, 1], x_test=images - 1, y_test=[0, 1])
        return options("--data", tmp_path / "large.npz", "--out", tmp_path / "run", "--bp-tail", 1)

    message = refused(capsys, *of_side(848))
    side = int(message.split("--size ")[1].split()[0])
    assert 3 * (side // 4)**2 <= 132624 < 3 * ((side + 1) // 4)**2 and "fc1" in message
    assert main(of_side(848) + ["--precision", "fp32"]) == 0
    shutil.rmtree(tmp_path / "run")
    assert main(of_side(side)) == 0


def test_the_trace_of_a_run_on_own_data_is_that_of_its_options(file, run, tmp_path, capsys):
    given = ["--epochs", 6, *LEARNS]
    golden_said(capsys, "export", tmp_path / "by-options", "--data", file, *given, "--steps", 2)
    golden_said(capsys, "export", tmp_path / "by-run", "--run", run, "--steps", 2)
    status, lines = golden_said(capsys, "diff", tmp_path / "by-options", tmp_path / "by-run")
    assert status == 0 and lines[-1].endswith("0 differ")
    manifests = [(tmp_path / name / "manifest.json").read_bytes() for name in ("by-options", "by-run")]
    assert manifests[0] == manifests[1] and json.loads(manifests[0])["config"]["input_shape"] == [3, 9, 11]


def test_replay_and_export_know_the_shapes(file, tmp_path, capsys):
    out = train(file, tmp_path / "run", "--bp-tail", 0)
    assert read_checkpoint(out / "checkpoint.npz")[0]["fc1"].shape == (16, 12)
    assert (out / "steps.txt").read_text().split()[-1] in said(capsys, "replay", out)
    said(capsys, "export", out, "--format", "c")
    assert "#define RUN_CONV1_DIM1 3\n" in (out / "weights.h").read_text()


@pytest.mark.parametrize("more, says", [
    (["--model", "pointnet"], "takes point clouds: choose --model lenet5 or narrow-lenet"),
    (["--data-dir", "x"], "--data-dir has no meaning"), (["--points", "3"], "--points"), (["--augment", "2"], "--augm"),
    (["--validate", "60"], "nothing to train on")])
def test_options_that_do_not_go_with_a_file(file, tmp_path, capsys, more, says):
    assert says in refused(capsys, "train", "--data", file, "--out", tmp_path / "run", *more)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("data, says", [
    ("nowhere.npz", "nowhere.npz cannot be read"), ("folder", "python -m datasets.pack"),
    ("table.csv", "datasets.pack"), ("nowhere.csv", "FILE.npz"), ("shapes.npz", "--model narrow-lenet takes images: choose --model pointnet")])
def test_data_that_are_no_file_of_pictures(tmp_path, capsys, data, says):
    (tmp_path / "folder").mkdir()
    (tmp_path / "table.csv").write_text("1,2\n")
    write_shapes(tmp_path / "shapes.npz")
    assert says in refused(capsys, *options("--data", tmp_path / data, "--out", tmp_path / "run"))


def test_all_channels_are_turned(file, tmp_path, capsys):
    out = train(file, tmp_path / "run", "--rotate", 180, *LEARNS, epochs=6)
    assert metrics(out)[-1]["test_accuracy"] > 80
    np.testing.assert_array_equal(rotate.turn(pictures(4, 0)[0], 180), pictures(4, 0)[0][:, :, ::-1, ::-1])
    assert f"{metrics(out)[-1]['test_accuracy']:.2f} %" in said(capsys, "evaluate", out)
    assert "test accuracy" in said(capsys, "evaluate", out, "--rotate", 0)


def test_an_installed_package_needs_no_clone(file, tmp_path):
    shutil.copytree(ROOT / "zo_numpy", tmp_path / "zo_numpy", ignore=shutil.ignore_patterns("__pycache__"))
    for arguments in (options("--data", file, "--out", tmp_path / "run"), ["evaluate", tmp_path / "run"],
                      ["runs", tmp_path]):
        done = python("-m", "zo_numpy", *arguments, env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


PEAK = """
import sys
from small_runs import peak_memory
from zo_numpy.__main__ import main
assert main(sys.argv[1:]) == 0
print(peak_memory())
"""


@pytest.mark.skipif(peak_memory() is None, reason="the system does not say how much memory was used")
def test_training_does_not_hold_the_file(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (64, 1, 180, 180), np.uint8)
    path = tmp_path / "large.npz"
    np.savez(path, x_train=np.concatenate([images] * 130), y_train=np.arange(64 * 130) % 2, x_test=255 - images,
             y_test=np.arange(64) % 2)
    assert path.stat().st_size > 260 * 10**6
    done = python("-c", PEAK, *options("--data", path, "--out", tmp_path / "run", "--bp-tail", 1, "--limit", 128),
                  env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"})
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 200_000   # KB


# Runs that know their data

def test_a_run_needs_no_option_to_find_its_data(file, run, capsys, tmp_path):
    kept = json.loads((run / "data.json").read_text())
    assert kept["name"] == "mine.npz" and kept["path"] == str(file) and kept["classes"] == list(CLASSES)
    assert kept["preparation"] == json.loads(PREPARED) and kept["digest"] in (run / "config.json").read_text()
    whole = train(file, tmp_path / "whole", epochs=2)
    shutil.copytree(whole, tmp_path / "cut")
    for name in ("checkpoint.npz", "curves.png", "data.json"):
        (tmp_path / "cut" / name).unlink()
    shutil.copy(whole / "data.json", tmp_path / "cut")
    said(capsys, "train", "--resume", "--out", tmp_path / "cut")
    assert_same_run(tmp_path / "cut", whole)


def test_a_file_that_has_moved_is_named_once(file, tmp_path, capsys):
    first = shutil.copy(file, tmp_path / "first.npz")
    out = train(first, tmp_path / "run")
    (tmp_path / "first.npz").rename(tmp_path / "second.npz")
    for command in (["evaluate", out], ["train", "--resume", "--out", out]):
        assert "first.npz, which" in refused(capsys, *command)
    assert "other data" not in said(capsys, "evaluate", out, "--data", tmp_path / "second.npz")
    said(capsys, "train", "--resume", "--out", out, "--data", tmp_path / "second.npz")
    said(capsys, "evaluate", out)


def test_a_file_that_has_changed_is_said_with_both_digests(tmp_path, capsys):
    path = write_pictures(tmp_path / "mine.npz")
    out = train(path, tmp_path / "run")
    old = json.loads((out / "data.json").read_text())["digest"][:12]
    write_pictures(path, seed=5)
    messages = [refused(capsys, *command) for command in (["evaluate", out], ["train", "--resume", "--out", out], [
        "train", "--resume", "--out", out, "--data", path], ["golden", "export", tmp_path / "x", "--run", out])]
    new = json.loads((train(path, tmp_path / "new") / "data.json").read_text())["digest"][:12]
    for message in messages:
        assert "has changed" in message and old in message and new in message
    line = next(line for line in said(capsys, "evaluate", out, "--data", path).splitlines() if "other data" in line)
    assert old in line and new in line


def test_a_run_on_a_folder_never_gets_the_official_data(tmp_path, capsys):
    digits = write_digits(tmp_path / "digits")
    out = train_digits(digits, tmp_path / "run", epochs=1)
    expected = f"test accuracy {metrics(out)[-1]['test_accuracy']:.2f} %"
    assert expected in said(capsys, "evaluate", out)
    said(capsys, "train", "--resume", "--out", out)
    (out / "data.json").unlink()   # as an older version left it
    for command in (["evaluate", out, "--offline"], ["train", "--resume", "--out", out, "--offline"]):
        message = refused(capsys, *command)
        assert "other data" in message and "--data-dir" in message and "delete" not in message
    assert expected in said(capsys, "evaluate", out, "--data-dir", digits)
    said(capsys, "train", "--resume", "--out", out, "--data-dir", digits)
    assert expected in said(capsys, "evaluate", out)   # it is known again


def test_a_run_begun_on_the_embedded_subset_is_told_apart(tmp_path, capsys, monkeypatch):
    import datasets
    monkeypatch.setenv("ZO_NUMPY_DATA", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    given = options("--data", "mnist", "--limit", "64", "--bp-tail", "1")
    assert main([*given, "--offline"]) == 0
    out = next((tmp_path / "runs").iterdir())
    real = datasets.load
    monkeypatch.setattr(datasets, "load", lambda name, **more: real(name, **more)._replace(
        complete=name == "mnist", digest="f" * 64 if name == "mnist" else real(name, **more).digest,
        source="mirror" if name == "mnist" else "the subset"))   # online, as it were
    message = refused(capsys, *given, "--resume")
    assert "begun on a part" in message and "another --out" in message and f"--resume --out {out.name}" not in message
    assert f"train --resume --out runs/{out.name}" in message
    assert "NOT THE FULL DATA SET" in said(capsys, "train", "--resume", "--out", f"runs/{out.name}")
    assert "NOT THE FULL DATA SET" in said(capsys, "evaluate", out)
    assert "other data" in said(capsys, "evaluate", out, "--data", "mnist")


def test_names_of_folders_never_collide(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place, seed in (("a", 0), ("b", 7)):
        write_pictures(tmp_path / place / "my data!.npz", seed)
        assert main(options("--data", f"{place}/my data!.npz", "--bp-tail", 1)) == 0
        write_modelnet(tmp_path / place / "clouds", train=12 if seed else 15)
        assert main(["train", "--model", "narrow-pointnet", "--data", "modelnet", "--points", "8", "--epochs", "1",
                     "--data-dir", f"{place}/clouds"]) == 0
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(names) == 4 and names[0].startswith("modelnet-p8-int8-k2-e1-s0") and names[2].startswith("my_data-")
    assert names[0] == "modelnet-p8-int8-k2-e1-s0" and names[1].startswith(names[0] + "-")
    for place in "ab":
        said(capsys, *options("--data", f"{place}/my data!.npz", "--bp-tail", 1, "--resume"))
        said(capsys, "train", "--model", "narrow-pointnet", "--data", "modelnet", "--points", "8", "--epochs", "1",
             "--data-dir", f"{place}/clouds", "--resume")
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == names


@pytest.mark.parametrize("change", [
    lambda kept: kept.pop("path"), lambda kept: kept.update(classes=["a"]), lambda kept: kept.update(name="mnist"),
    lambda kept: kept.update(preparation={"size": [8, 8], "grey": True, "invert": True}),
    lambda kept: kept.update(path=3)])
def test_a_damaged_data_json_is_refused(run, tmp_path, capsys, change):
    out = shutil.copytree(run, tmp_path / "run")
    kept = json.loads((out / "data.json").read_text())
    change(kept)
    (out / "data.json").write_text(json.dumps(kept))
    assert "data.json cannot be used" in refused(capsys, "evaluate", out)


def test_fine_tuning_needs_the_same_shape(file, run, tmp_path, capsys):
    train(file, tmp_path / "tuned", "--init-from", run, *LEARNS, "--precision", "fp32")
    rows = write_pictures(tmp_path / "other.npz")
    with np.load(rows) as other:
        np.savez(rows, **{name: other[name][:, :, 1:] if name.startswith("x") else other[name] for name in other.files})
    message = refused(capsys, *options("--data", rows, "--init-from", run, "--out", tmp_path / "x", *LEARNS))
    assert "3 x 9 x 11" in message and "3 x 8 x 11" in message


# What is said of runs

def test_evaluate_draws_and_says_confusions(file, run, tmp_path, capsys):
    assert "no class was taken for another" in said(capsys, "evaluate", run, "--picture")
    worse = train(file, tmp_path / "run", "--bp-tail", 1)
    lines = said(capsys, "evaluate", worse, "--picture").splitlines()
    with Image.open(worse / "confusion.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 300
    wrong = 30 - int(lines[1].split("(")[1].split()[0])
    found = [line.split(": ") for line in lines if " was taken for " in line]
    counts = [int(text.split()[0]) for _, text in found]
    assert 0 < sum(counts) <= wrong and counts == sorted(counts, reverse=True) and lines[-1].endswith("confusion.png")
    assert sum(counts) == wrong or len(found) == 5
    assert all(text.endswith(" of 10") for _, text in found)


def test_runs_and_compare(file, run, tmp_path, capsys):
    place = run.parent
    train(file, place / "deeper" / "half", epochs=2)
    cut = place / "deeper" / "half" / "metrics.jsonl"
    cut.write_text(cut.read_text().splitlines(keepends=True)[0])
    (place / "bad").mkdir(exist_ok=True)
    (place / "bad" / "config.json").write_text("{}")
    heading, *lines = said(capsys, "runs", place).splitlines()
    assert heading.split() == ["run", "data", "network", "precision", "K", "epochs", "accuracy", "state"]
    assert [line.split()[0] for line in lines] == [str(place / "deeper/half"), str(run), "unreadable:"]
    assert "1 of 2" in lines[0] and "not finished" in lines[0] and "mine.npz" in lines[1]
    assert f"6 of 6  {metrics(run)[-1]['test_accuracy']:.2f} %" in lines[1] and lines[1].endswith("finished")
    lines = said(capsys, "compare", run, place / "deeper" / "half", "--out", tmp_path / "both.png").splitlines()
    assert len(lines) == 4 and "not trained on the same data" not in lines[-1]
    with Image.open(tmp_path / "both.png") as picture:
        assert picture.size[0] > picture.size[1] > 300
    assert "not a run folder" in refused(capsys, "compare", run, tmp_path)
    assert "holds no run" in refused(capsys, "runs", tmp_path) and "is no folder" in refused(capsys, "runs", file)


def save_jpeg(path, pixels):
    Image.fromarray(pixels).resize((110, 90), Image.Resampling.NEAREST).save(path, quality=95)


WAYS = {   # of a picture (9, 11, 3) as it was before it was inverted
    "jpg": save_jpeg,
    "png": lambda path, pixels: Image.fromarray(pixels).save(path),
    "npy": np.save,
    "first.npy": lambda path, pixels: np.save(path, pixels.transpose(2, 0, 1)),
    "two.npy": lambda path, pixels: np.save(path, np.stack([pixels, pixels])),
    "large.npy": lambda path, pixels: np.save(path, np.repeat(np.repeat(pixels, 4, axis=0), 4, axis=1)),
    "floats.npy": lambda path, pixels: np.save(path, pixels / 255),
}


@pytest.mark.parametrize("way", WAYS)
def test_predict_prepares_pictures_as_the_data_were(run, tmp_path, capsys, way):
    images, labels = pictures(3, seed=9)
    for image, label in zip(images, labels):
        path = tmp_path / f"x.{way}"
        WAYS[way](path, 255 - image.transpose(1, 2, 0))
        lines = said(capsys, "predict", run, path).splitlines()
        assert len(lines) == 1 + (way == "two.npy")
        assert all(f": {CLASSES[label]}   (next: " in line and "inverted" in line for line in lines), lines
        assert ("made 11 x 9" in lines[0]) == (way in ("jpg", "large.npy"))
        assert ("times 255" in lines[0]) == (way == "floats.npy")


def test_predict_says_how_far_the_others_are_behind(run, tmp_path, capsys):
    images, _ = pictures(1, seed=9)
    np.save(tmp_path / "x.npy", 255 - images)
    line = said(capsys, "predict", run, tmp_path / "x.npy", "--top", 3)
    first, *others = line.split("   (")[0].split(": ")[1].split(", ")
    assert first == CLASSES[0] and {other.split()[0] for other in others} == set(CLASSES[1:])
    margins = [float(other.split()[1]) for other in others]
    assert 0 < margins[0] <= margins[1] and all(other.endswith(" behind") for other in others)
    message = refused(capsys, "predict", run, tmp_path / "x.npy", "--top", 4)
    assert "--top 4: choose a whole number from 1 to 3" in message


def test_predict_refuses_other_channels(run, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((2, 9, 11, 4), np.uint8))
    assert "4 channels where the run takes 3" in refused(capsys, "predict", run, tmp_path / "x.npy")


@pytest.mark.parametrize("channels", [2, 4])
def test_predict_says_that_pictures_have_1_or_3_channels(tmp_path, capsys, channels):
    images = np.repeat(pictures(60, seed=1)[0][:, :1], channels, axis=1)
    labels = np.arange(60) % 3
    np.savez(tmp_path / "mine.npz", x_train=images, x_test=images[:9], y_train=labels, y_test=labels[:9])
    out = tmp_path / "out"
    said(capsys, "train", "--data", tmp_path / "mine.npz", "--epochs", 1, "--out", out)
    Image.fromarray(images[0, 0]).save(tmp_path / "x.png")
    assert f"the run takes {channels} channels, and a picture is read as 1 or 3; give an .npy" in refused(
        capsys, "predict", out, tmp_path / "x.png")
    np.save(tmp_path / "x.npy", images[0].transpose(1, 2, 0))
    assert len(said(capsys, "predict", out, tmp_path / "x.npy").splitlines()) == 1
