"""Runs in FP32, runs that start from other runs, on fewer or turned images, with several queries."""
import json

import numpy as np
import pytest

from datasets import load
from datasets.rotate import rotated, turn
from small_runs import refused, train, write_digits
from zo_numpy import rng
from zo_numpy.run.checkpoint import read_checkpoint
from zo_numpy.run.config import make_config
from zo_numpy.run.folder import CHECKPOINT
from zo_numpy.run.steps import batch_of, parts


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits") / "data")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZO_NUMPY_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def weights_of(run):
    return read_checkpoint(run / CHECKPOINT)[0]


def test_an_fp32_run_resumes_to_the_same_bytes(tmp_path, digits):
    whole = train(digits, tmp_path / "whole", "--precision", "fp32")
    cut = train(digits, tmp_path / "cut", "--precision", "fp32")
    steps = (cut / "steps.txt").read_bytes()
    (cut / CHECKPOINT).unlink()          # as if it had been killed before its first checkpoint
    train(digits, cut, "--resume")
    assert (cut / "steps.txt").read_bytes() == steps == (whole / "steps.txt").read_bytes()
    assert (cut / CHECKPOINT).read_bytes() == (whole / CHECKPOINT).read_bytes()


def test_fp32_learns_the_bars(tmp_path, digits):
    run = train(digits, tmp_path / "run", "--precision", "fp32", "--eta-tail", "0.5", epochs=20)
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"] - 0.5
    assert metrics[-1]["test_accuracy"] > 50


@pytest.mark.parametrize("first, second", [("int8", "int8"), ("fp32", "fp32"), ("fp32", "int8"), ("int8", "fp32")])
def test_a_run_starts_from_the_weights_of_another(tmp_path, digits, first, second):
    faster = ("--eta-tail", "0.5") if first == "fp32" else ()
    source = train(digits, tmp_path / "source", "--precision", first, *faster, epochs=20)
    tuned = train(digits, tmp_path / "tuned", "--precision", second, "--init-from", source, epochs=1)
    fresh = train(digits, tmp_path / "fresh", "--precision", second, epochs=1)

    def first_loss(run):
        return float((run / "steps.txt").read_text().split()[1])

    assert first_loss(tuned) < 0.8 * first_loss(fresh)


def test_int8_weights_that_start_a_run_are_clipped_for_zo(tmp_path, digits):
    source = train(digits, tmp_path / "source", "--r-max", "1", epochs=1)
    tuned = train(digits, tmp_path / "tuned", "--r-max", "63", "--init-from", source, epochs=1)
    assert max(np.abs(weights_of(source)[name]).max() for name in ("conv1", "fc1")) > 127 - 63
    assert max(np.abs(weights_of(tuned)[name]).max() for name in ("conv1", "conv2", "fc1")) <= 127 - 63


def test_unusable_sources_are_refused(tmp_path, digits, capsys):
    source = train(digits, tmp_path / "source", epochs=1)
    options = ("train", "--data-dir", digits, "--epochs", 1, "--out", tmp_path / "out", "--init-from")
    assert "narrow-lenet" in refused(capsys, *options, source)                  # --model is lenet5 here
    assert "config.json" in refused(capsys, *options, tmp_path / "nowhere")
    (source / CHECKPOINT).unlink()
    assert "no checkpoint yet" in refused(capsys, *options, source, "--model", "narrow-lenet")
    assert not (tmp_path / "out").exists()


def test_limit_trains_on_the_first_samples_only(tmp_path, digits):
    dataset = load("mnist", data_dir=digits, announce=lambda text: None)
    config = make_config({"limit": 50, "validate": 20, "batch_size": 16})
    (images, labels), (held, _), name = parts(config, dataset)
    np.testing.assert_array_equal(images, dataset.train_images[:50])
    np.testing.assert_array_equal(held, dataset.train_images[-20:])
    assert len(labels) == 50 and name == "validation"
    assert len(parts(make_config({"limit": 500}), dataset)[0][1]) == 200
    visited = np.concatenate([batch_of(config, 50, step)[1] for step in range(4)])
    assert sorted(visited) == list(range(50)) and visited.tolist() == rng.shuffled(0, 0, 50).tolist()


def test_turning_by_a_right_angle_is_numpys():
    image = np.random.default_rng(0).integers(0, 256, (3, 1, 28, 28), np.uint8)
    np.testing.assert_array_equal(turn(image, 90), np.rot90(image, axes=(2, 3)))
    np.testing.assert_array_equal(turn(image, 180), image[:, :, ::-1, ::-1])


def test_turned_images_are_cached_and_a_damaged_cache_is_made_anew(digits, cache):
    dataset = load("mnist", data_dir=digits, announce=lambda text: None)
    once = rotated(dataset, 45)
    (file,) = (cache / "rotated").iterdir()
    assert once.digest not in (dataset.digest, rotated(dataset, 30).digest)
    assert "rotated by 45 degrees" in once.source
    np.testing.assert_array_equal(once.train_images, turn(dataset.train_images, 45))
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    for content in (bytes(damaged), damaged[:1000], b""):
        file.write_bytes(content)
        np.testing.assert_array_equal(rotated(dataset, 45).test_images, once.test_images)
        assert file.read_bytes() not in (bytes(damaged), b"")


def test_a_run_on_turned_images_is_another_run(tmp_path, digits, capsys):
    run = train(digits, tmp_path / "run", "--rotate", "45", epochs=1)
    assert "rotate" in refused(capsys, "train", "--resume", "--out", run, "--data-dir", digits, "--rotate", 30)
    assert json.loads((run / "config.json").read_text())["dataset"]["source"].endswith("rotated by 45 degrees")
