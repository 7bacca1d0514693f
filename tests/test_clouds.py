"""Point clouds turned, shaken and decoded; the synthetic solids; variants of the training clouds; runs on clouds."""
import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import datasets
from datasets import solids
from datasets.disturb import changed
from small_clouds import CLASSES, clouds, train, train_options, write_modelnet
from small_runs import assert_same_run, metrics, refused
from zo_numpy import rng
from zo_numpy.__main__ import main
from zo_numpy.app.data import load_data
from zo_numpy.clouds import Variants, chosen, quantised_clouds, shaken, turned
from zo_numpy.run.checkpoint import read_checkpoint
from zo_numpy.run.config import make_config
from zo_numpy.run.steps import parts

SOME, _ = clouds(6, 20)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_modelnet(tmp_path_factory.mktemp("clouds") / "data")


# Turning and shaking

@pytest.mark.parametrize("axis, start, end", [
    (1, (0, 0, 1), (1, 0, 0)), (0, (0, 1, 0), (0, 0, 1)), (2, (1, 0, 0), (0, 1, 0))])
def test_a_quarter_turn_is_counter_clockwise(axis, start, end):
    assert_allclose(turned(np.float32([[start]]), 90, axis), [[end]], atol=1e-6)
    assert_allclose(turned(np.float32([[start]]), -90, axis), -np.float32([[end]]), atol=1e-6)


def test_a_turn_keeps_lengths_and_the_axis_and_is_each_clouds_own():
    angles = np.arange(6) * 50.0
    out = turned(SOME, angles, 1)
    assert_array_equal(out[:, :, 1], SOME[:, :, 1])
    assert_allclose(np.linalg.norm(out, axis=2), np.linalg.norm(SOME, axis=2), atol=1e-5)
    for i, angle in enumerate(angles):
        assert_array_equal(out[i:i + 1], turned(SOME[i:i + 1], angle, 1))
    assert_array_equal(turned(SOME, 0, 0), SOME)


def test_noise_is_as_large_as_it_says_and_never_leaves_the_cube():
    still = np.zeros((40, 500, 3), np.float32)
    noise = shaken(still, 20, 5, 0, 3)
    assert_allclose(noise.std(), 0.020, rtol=0.02)
    assert abs(noise.mean()) < 0.0005 and np.abs(noise).max() <= 0.020 * 2 * 65535 / 37837.227 + 1e-6
    assert_array_equal(noise[7:8], shaken(still[7:8].repeat(8, 0), 20, 5, 0, 3)[7:8])      # of cloud 7 alone
    assert not np.array_equal(noise[0], noise[1])
    assert np.abs(shaken(np.ones((1, 9, 3), np.float32), 200, 0, 0, 3)).max() == 1


def test_noise_by_hand():
    halves = rng.half_words(5, rng.DATA, 2, 4, 1, 24).astype(int).reshape(2, 3, 4)
    expected = np.float32([[0.1, 0.2, -0.3], [0, 0.5, 0.5]]) + (halves.sum(axis=2) - 131070) * (0.03 / 37837.227)
    cloud = np.float32([[[0] * 3] * 2, [[0.1, 0.2, -0.3], [0, 0.5, 0.5]]])
    assert_array_equal(shaken(cloud, 30, 5, 2, 4)[1], expected.astype(np.float32))


def test_the_deviation_of_four_half_words():
    assert_allclose((4 * (65536**2 - 1) / 12) ** 0.5, 37837.227, atol=5e-4)


def test_even_steps():
    assert chosen(10, 4).tolist() == [0, 2, 5, 7] and chosen(3, 3).tolist() == [0, 1, 2]


# Variants

def variants(ahead, count=3, **changes):
    options = {"count": count, "spin": 180, "noise": 10, "seed": 7, "decode": quantised_clouds, **changes}
    return Variants(SOME, **options, ahead=ahead)


def test_variants_follow_the_epochs_and_are_the_same_made_ahead_or_when_needed():
    ahead, lazy = variants(True), variants(False)
    for epoch in (4, 0, 1, 2, 3, 5):
        assert_array_equal(ahead.of(epoch), lazy.of(epoch))
        assert_array_equal(lazy.of(epoch), lazy.of(epoch % 3))
        assert len(lazy.made) == 1 and len(ahead.made) == 3
    assert len({lazy.of(epoch).tobytes() for epoch in range(3)}) == 3
    assert not np.array_equal(variants(False, seed=8).of(0), lazy.of(0))


def test_a_variant_is_turned_about_the_vertical_axis_within_its_spin():
    for spin in (0, 30, 180):
        out = variants(False, count=50, noise=0, spin=spin, decode=lambda part: part)
        angles = []
        for epoch in range(50):
            assert_array_equal(out.of(epoch)[:, :, 1], SOME[:, :, 1])
            a, b = (part[:, 0, 2] + 1j * part[:, 0, 0] for part in (SOME, out.of(epoch)))
            angles += np.degrees(np.angle(b / a)).tolist()
        assert np.abs(angles).max() <= spin + 1e-3 and np.abs(angles).max() >= 0.9 * spin


# Decoding

def test_decoding_is_to_the_nearest_integer():
    values = np.float32([[0, 1, -1, 0.5, -0.5, 1.0009, -1.0009, 0.0039, -0.0039, 0.00394, -0.00394]])
    assert quantised_clouds(values).tolist() == [[0, 127, -127, 64, -64, 127, -127, 0, 0, 1, -1]]
    assert quantised_clouds(values).dtype == np.int8


# The synthetic solids

def test_the_solids_are_the_same_on_every_machine():
    dataset = datasets.load("synthetic-solids", announce=lambda text: None, points=64)
    assert dataset.digest == "724eb40e9ffae2cc63a8821bea95a8f3e905e3d6fab17306c12a168c0da76065"


def test_the_solids_fill_the_unit_sphere_and_say_what_they_are():
    said = []
    dataset = datasets.load("synthetic-solids", announce=said.append, points=128)
    radius = np.linalg.norm(dataset.train_images, axis=2)
    assert dataset.train_images.shape == (1000, 128, 3) and dataset.test_images.shape == (300, 128, 3)
    assert np.bincount(dataset.train_labels).tolist() == [100] * 10 == (np.bincount(dataset.test_labels) + 70).tolist()
    assert radius.max() <= 1 + 1e-6 and radius.max(axis=1).min() > 0.99
    assert "NOT real" in said[0] and "synthetic" in dataset.source


@pytest.mark.parametrize("solid, holds", [
    ("sphere", lambda x, y, z: np.abs(x**2 + y**2 + z**2 - 1) < 1e-12),
    ("cube", lambda x, y, z: np.abs(np.max(np.abs([x, y, z]), axis=0) - 1) < 1e-12),
    ("octahedron", lambda x, y, z: np.abs(np.abs(x) + np.abs(y) + np.abs(z) - 1) < 1e-12),
    ("slab", lambda x, y, z: np.abs(np.max(np.abs([x, y / 0.2, z / 0.7]), axis=0) - 1) < 1e-12),
    ("cylinder", lambda x, y, z: (np.abs(y) == 1) | (np.abs(np.hypot(x, z) - 0.55) < 1e-12)),
    ("cone", lambda x, y, z: (y == -1) | (np.abs(np.hypot(x, z) - 0.8 * (1 - y) / 2) < 1e-12)),
    ("torus", lambda x, y, z: np.abs((np.hypot(x, z) - 1) ** 2 + y**2 - 0.275**2) < 1e-12),
    ("pyramid", lambda x, y, z: (y + 1 < 1e-12) | (np.abs(np.maximum(np.abs(x), np.abs(z)) - (1 - y) / 2) < 1e-12)),
    ("tetrahedron", lambda x, y, z: np.abs(np.min([x + y + z, x - y - z, y - x - z, z - x - y], axis=0) + 1) < 1e-12),
    ("spindle", lambda x, y, z: np.abs((x**2 + z**2) / 0.4**2 + y**2 - 1) < 1e-12),
])
def test_points_lie_on_their_surface_everywhere(solid, holds):
    u = np.random.default_rng(0).uniform(size=(4000, 4))
    points = solids.surface(solid, np.full(8, 0.5), u)
    assert holds(*points.T).all()
    octants = np.unique((points > 0) @ [1, 2, 4], return_counts=True)
    assert len(octants[0]) == 8 and octants[1].min() > 100


# Changed data

def test_a_changed_data_set_is_another_one():
    dataset = datasets.load("synthetic-solids", announce=lambda text: None, points=16)
    tilted, both = changed(dataset, 90, 0), changed(dataset, 30, 20)
    assert_array_equal(tilted.train_images, turned(dataset.train_images, 90, 0))
    assert_array_equal(tilted.train_labels, dataset.train_labels)
    assert len({dataset.digest, tilted.digest, both.digest}) == 3
    assert "tilted by 30 degrees and with jitter of 20 thousandths" in both.source
    assert not np.array_equal(both.test_images, changed(dataset, 30, 0).test_images)


# Runs

@pytest.mark.parametrize("precision, options", [
    ("fp32", ("--bp-tail", 2, "--eta", 3e-4, "--eta-tail", 0.05)), ("int8", ("--bp-tail", 2)),
    ("int8", ("--bp-tail", 1, "--augment", 2, "--queries", 2)),
    ("fp32", ("--bp-tail", 0, "--augment", 3, "--tilt", 20))])
def test_a_run_is_reproduced_and_resumed(tmp_path, data, precision, options):
    run = train(data, tmp_path / "run", "--precision", precision, *options, epochs=3)
    config = json.loads((run / "config.json").read_text())
    assert config["classes"] == 3 and config["points"] == 16 and config["dataset"]["classes"] == list(CLASSES)
    again = train(data, tmp_path / "again", "--precision", precision, *options, epochs=3)
    (again / "checkpoint.npz").unlink()
    train(data, again, "--precision", precision, *options, "--resume", epochs=3)
    assert_same_run(again, run)


def test_a_tail_learns(tmp_path, data):
    options = ("--precision", "fp32", "--bp-tail", 3, "--eta", 1e-4, "--eta-tail", 0.1)
    run = train(data, tmp_path / "run", *options, epochs=20)
    losses = [line["train_loss"] for line in metrics(run)]
    assert losses[-1] < 0.7 * losses[0] and metrics(run)[-1]["test_accuracy"] > 50


def test_runs_are_named_for_what_they_are(tmp_path, data, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = train_options(data, "out", "--augment", 2, "--tilt", 30, "--jitter", 5, epochs=1)
    assert main([word for word in options if word not in ("--out", "out")]) == 0
    made = [path.name for path in (tmp_path / "runs").iterdir()]
    assert made == ["modelnet-p16-int8-k2-augment2-tilt30-jitter5-e1-s0"]


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_evaluate_predict_and_export(tmp_path, data, capsys, precision):
    run = train(data, tmp_path / "run", "--precision", precision, epochs=1)
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data-dir", str(data)]) == 0
    assert f"test accuracy {metrics(run)[-1]['test_accuracy']:.2f} %" in capsys.readouterr().out
    some, _ = clouds(2, 40, seed=9)
    np.save(tmp_path / "some.npy", some)
    np.save(tmp_path / "one.npy", some[1])
    assert main(["predict", str(run), str(tmp_path / "some.npy"), str(tmp_path / "one.npy")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(any(name in line for name in CLASSES) for line in lines)
    assert lines[1].split(": ", 1)[1] == lines[2].split(": ", 1)[1]
    assert main(["export", str(run), "--format", "npz"]) == 0
    if precision == "int8":
        assert main(["export", str(run), "--format", "c"]) == 0
        assert "static const int8_t run_mlp5_weight[96] = {" in (run / "weights.h").read_text()


@pytest.mark.parametrize("array, says", [
    (np.zeros((8, 3), np.float32), "at least 16 points"), (np.zeros((20, 2), np.float32), "(20, 2)"),
    (np.zeros((20, 3), np.int32), "int32"), (np.full((20, 3), np.nan, np.float32), "no numbers"),
    (np.full((20, 3), 0.9, np.float32), "unit sphere"), (np.zeros((0, 20, 3), np.float32), "(0, 20, 3)")])
def test_what_predict_refuses(tmp_path, data, capsys, array, says):
    run = train(data, tmp_path / "run", epochs=1)
    np.save(tmp_path / "cloud.npy", array)
    assert says in refused(capsys, "predict", run, tmp_path / "cloud.npy")
    (tmp_path / "bad.npy").write_bytes(b"no numpy")
    assert "bad.npy" in refused(capsys, "predict", run, tmp_path / "bad.npy")
    assert "nowhere.npy" in refused(capsys, "predict", run, tmp_path / "nowhere.npy")
    assert "--invert" in refused(capsys, "predict", run, tmp_path / "cloud.npy", "--invert")


def test_other_data_is_refused(tmp_path, data, capsys):
    run = train(data, tmp_path / "run", epochs=1)
    assert "16" in refused(capsys, "evaluate", run, "--data", "mnist-subset")
    assert "in 10: choose another" in refused(capsys, "evaluate", run, "--data", "synthetic-solids")
    options = train_options(data, run, "--resume", "--points", 8, epochs=1)
    assert "--points 16, not 8" in refused(capsys, *options)
    options = ["train", "--model", "narrow-pointnet", "--data", "synthetic-solids", "--points", "16", "--init-from",
               str(run), "--out", str(tmp_path / "tuned")]
    assert "3 classes" in refused(capsys, *options)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_fine_tuning_to_tilted_clouds(tmp_path, data, precision):
    tuned = {"fp32": ("--eta-tail", 0.05), "int8": ()}[precision]
    source = train(data, tmp_path / "source", "--precision", precision, "--bp-tail", "all", *tuned, epochs=15)
    run = train(data, tmp_path / "run", "--precision", precision, "--init-from", source, "--tilt", 10, *tuned, epochs=1)
    fresh = train(data, tmp_path / "fresh", "--precision", precision, "--tilt", 10, *tuned, epochs=1)

    def first_loss(folder):
        return float((folder / "steps.txt").read_text().split()[1])

    assert first_loss(run) < 0.85 * first_loss(fresh)
    if precision == "int8":
        arrays, _ = read_checkpoint(run / "checkpoint.npz")
        assert np.abs(arrays["mlp1"]).max() <= 127 - 15                     # clipped for ZO


def test_batch_norm_between_the_precisions(tmp_path, data):
    """Its scale goes into the weights, its shift is lost; on the way back it is as at the start."""
    source = train(data, tmp_path / "source", "--precision", "fp32", "--bp-tail", "all", "--eta-tail", 0.05, epochs=4)
    there = train(data, tmp_path / "there", "--precision", "int8", "--init-from", source, "--bp-tail", 1, "--zo-frozen",
                  "--b-bp", 1, epochs=1)
    before, after = read_checkpoint(source / "checkpoint.npz")[0], read_checkpoint(there / "checkpoint.npz")
    for i in range(1, 6):
        scale = before[f"norm{i}.gamma"] / np.sqrt(before[f"norm{i}.var"] + 1e-5)
        weight, step = before[f"mlp{i}.weight"] * scale[:, None], 2.0 ** after[1][f"mlp{i}.exponent"]
        clipped = np.clip(weight, -112 * step, 112 * step)                    # for ZO, R = 15
        assert_allclose(after[0][f"mlp{i}"] * step, clipped, atol=step / 2 + 1e-6)
        assert not np.allclose(scale, 1)
    options = ("--precision", "fp32", "--init-from", there, "--bp-tail", 1, "--zo-frozen")
    back = train(data, tmp_path / "back", *options, epochs=1)
    again = read_checkpoint(back / "checkpoint.npz")[0]
    assert_array_equal(again["mlp3.weight"], after[0]["mlp3"] * np.float32(2.0 ** after[1]["mlp3.exponent"]))
    assert (again["norm3.gamma"] == 1).all() and not again["norm3.beta"].any()


@pytest.mark.parametrize("precision, held", [("int8", 3), ("fp32", 1)])
def test_integers_are_made_of_all_variants_before_the_first_step(data, precision, held):
    """INT8 training begins after the decoding of clouds; FP32 holds one variant at a time."""
    config = make_config(dict(model="narrow-pointnet", data="modelnet", points=16, precision=precision, augment=3,
                              bp_tail=1))
    dataset = load_data(config, str(data), announce=lambda text: None)
    (variants, _), _, _ = parts(config, dataset)
    variants.of(0)
    assert len(variants.made) == held
