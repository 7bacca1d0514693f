"""Runs: replay gives the weights of the log and refuses any other log; a committed run made again is compared in every
line."""
import json
import pathlib
import shutil

import numpy as np
import pytest

from small_runs import refused, snapshot, train, write_digits
from zo_numpy.__main__ import main
from zo_numpy.app.data import at_hand
from zo_numpy.golden import runs
from zo_numpy.int8 import arith, draws, elastic_zo, variants
from zo_numpy.int8.precision import to_arrays
from zo_numpy.run.checkpoint import digest, read_checkpoint, write_checkpoint
from zo_numpy.run.config_json import read_config
from zo_numpy.run.steps import own_method

GOLDEN = pathlib.Path(__file__).parent / "golden" / "runs"
SMALL = ("--bp-tail", "0", "--r-max", "7,3", "--p-zero", "128", "--batch-size", "4")   # 50 steps an epoch


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module", params=["1", "3"])
def made(data, tmp_path_factory, request):
    """A K = 0 run of 150 steps, with so many queries a step."""
    return train(data, tmp_path_factory.mktemp("run") / "k0", *SMALL, "--queries", request.param, epochs=3)


@pytest.fixture
def run(made, tmp_path):
    """What replay needs of it, and nothing else."""
    for name in ("config.json", "steps.txt"):
        shutil.copy(made / name, tmp_path)
    return tmp_path


def lines_of(run):
    return (run / "steps.txt").read_text().splitlines(keepends=True)


def write_lines(run, lines):
    (run / "steps.txt").write_text("".join(lines))


# Replay.

def test_replay_gives_the_weights_of_the_run(made, run, tmp_path, capsys):
    out = tmp_path / "weights.npz"
    assert main(["replay", str(run), "--out", str(out)]) == 0
    arrays, _ = read_checkpoint(made / "checkpoint.npz")
    assert "replayed 150 of 150 steps" in (said := capsys.readouterr().out)
    assert f"weights sha256 {digest(arrays)}" in said and digest(arrays) == lines_of(run)[-1].split()[-1]
    with np.load(out, allow_pickle=False) as written:
        for name, array in arrays.items():
            assert (written[name] == array).all()


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir() if "-int8-k0" in path.name))
def test_the_committed_runs_replay_to_their_last_digest(name):
    config = read_config(GOLDEN / name)
    samples = json.loads((GOLDEN / name / "config.json").read_text())["dataset"]["training_samples"]
    weights, made, total = runs.replay(GOLDEN / name, config, samples)
    assert made == total == len(lines_of(GOLDEN / name)) > 100
    assert digest(to_arrays(weights)[0]) == lines_of(GOLDEN / name)[-1].split()[-1]


@pytest.mark.parametrize("left", [149, 120, 100, 1])
def test_a_log_that_is_cut_off_is_refused(made, run, capsys, left):
    write_lines(run, lines_of(run)[:left])
    assert f"ends after {left} of 150 steps" in refused(capsys, "replay", run)
    shutil.copy(made / "checkpoint.npz", run)
    assert f"ends after {left} of 150 steps" in refused(capsys, "replay", run)


def test_a_run_that_is_not_finished_is_replayed_as_far_as_it_goes(made, run, capsys):
    """Its checkpoint says how far that is."""
    arrays, numbers = read_checkpoint(made / "checkpoint.npz")
    write_checkpoint(run / "checkpoint.npz", arrays, {**numbers, "step": 120})
    write_lines(run, lines_of(run)[:130])
    assert main(["replay", str(run)]) == 0
    assert "replayed 130 of 150 steps" in capsys.readouterr().out
    write_lines(run, lines_of(run)[:110])
    assert "ends after 110 of 120 steps" in refused(capsys, "replay", run)


def test_a_flipped_sign_is_found_at_the_next_digest(run, capsys):
    for step, found in ((0, 99), (98, 99), (99, 99), (100, 149), (149, 149)):
        lines = lines_of(run)
        words = lines[step].rstrip("\n").split(" ")
        signs = words[3].split(",")
        signs[-1] = {"1": "-1", "-1": "1", "0": "1"}[signs[-1]]
        write_lines(run, [*lines[:step], " ".join([*words[:3], ",".join(signs), *words[4:]]) + "\n", *lines[step + 1:]])
        assert f"after step {found} the weights do not have the digest" in refused(capsys, "replay", run)
        write_lines(run, lines)


def changed(number, change):
    """The log with one line changed."""
    def damage(lines):
        return [*lines[:number], change(lines[number]), *lines[number + 1:]]
    return damage


LOGS = {   # damage of the lines, a part of the message
    "a line missing": (lambda lines: lines[:40] + lines[41:], "line 41 is not the log of step 40"),
    "the first line missing": (lambda lines: lines[1:], "line 1 is not the log of step 0"),
    "a line twice": (lambda lines: lines[:41] + lines[40:], "line 42 is not the log of step 41"),
    "a line more": (lambda lines: lines + ["150 1 1 0\n"], "line 151 is not the log of step 150 of 150"),
    "an empty line": (lambda lines: lines[:7] + ["\n"] + lines[7:], "line 8 is not the log"),
    "nothing": (lambda lines: [], "is empty"),
    "another digest": (changed(99, lambda line: line[:-65] + "0" * 64 + "\n"), "after step 99"),
    "half a digest": (changed(99, lambda line: line[:-33] + "\n"), "line 100 is not the log"),
    "no digest after 100 steps": (changed(99, lambda line: line[:-66] + "\n"), "line 100: the digest is missing"),
    "no digest at the last step": (changed(149, lambda line: line[:-66] + "\n"), "line 150: the digest is missing"),
    "a sign of 2": (changed(3, lambda line: line[:-2] + "2\n"), "line 4 is not the log"),
    "a sign more": (changed(3, lambda line: line[:-1] + ",1\n"), "line 4 is not the log"),
    "a comma more": (changed(3, lambda line: line[:-1] + ",\n"), "line 4 is not the log"),
    "Windows line ends": (changed(3, lambda line: line[:-1] + "\r\n"), "line 4 is not the log"),
    "a very long line": (changed(3, lambda line: line[:-1] + ",1" * 10**5 + "\n"), "line 4 is not the log"),
}


@pytest.mark.parametrize("damage", LOGS)
def test_a_damaged_log_is_named_in_one_line(run, capsys, damage):
    change, words = LOGS[damage]
    write_lines(run, change(lines_of(run)))
    message = refused(capsys, "replay", run, "--out", run / "weights.npz")
    assert words in message and str(run / "steps.txt") in message
    assert not (run / "weights.npz").exists()


def test_a_missing_log_and_an_unreadable_one(run, capsys):
    (run / "steps.txt").unlink()
    assert "steps.txt cannot be read (No such file or directory)" in refused(capsys, "replay", run)
    (run / "steps.txt").mkdir()
    assert "steps.txt cannot be read (Is a directory)" in refused(capsys, "replay", run)


@pytest.mark.parametrize("field, value, words", [
    ("seed", 1, "after step 99 the weights do not have the digest"), ("queries", 2, "line 1 is not the log"),
    ("precision", "fp32", "not the configuration of a run"),
    ("bp_tail", 1, "only INT8 runs with --bp-tail 0")])
def test_another_configuration_is_refused(run, capsys, field, value, words):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, field: value}))
    assert words in refused(capsys, "replay", run)


@pytest.mark.parametrize("samples", [0, -5])
def test_a_configuration_without_samples_is_refused(run, capsys, samples):
    config = json.loads((run / "config.json").read_text())
    config["dataset"]["training_samples"] = samples
    (run / "config.json").write_text(json.dumps(config))
    assert f"has {samples} training samples" in refused(capsys, "replay", run)


def test_runs_that_cannot_be_replayed_are_refused(data, tmp_path, capsys):
    tail = train(data, tmp_path / "k1", "--bp-tail", "1", epochs=1)
    assert "only INT8 runs with --bp-tail 0 can be replayed" in refused(capsys, "replay", tail)
    fp32 = train(data, tmp_path / "fp32", "--bp-tail", "0", "--precision", "fp32", epochs=1)
    assert "is a run of fp32" in refused(capsys, "replay", fp32)
    before = snapshot(tmp_path)
    assert "not a run folder" in refused(capsys, "replay", tmp_path)
    assert snapshot(tmp_path) == before


def test_the_steps_of_several_queries_are_summed_beyond_eight_bits():
    """With r_max 63 and b_zo 6 nothing is shifted away: five queries move a weight by up to 315."""
    signs, settings = (1, -1, 1, 1, -1), elastic_zo.Settings(r_max=63, p_zero=0, b_zo=6, b_bp=1, r_limit=63)
    z = [draws.perturbation(9, 4, 2, query, 500, 63, 0).astype(int) for query in range(5)]
    expected = sum(sign * part for sign, part in zip(signs, z))
    assert np.abs(expected).max() > 127
    moved = runs.sum_of_steps(runs.update_table(63, 0, 6), signs, 9, 4, 2, 500)
    assert (moved == expected).all()
    weights = {"w": arith.QTensor((-z[-1]).astype(np.int8), 0)}           # theta - z of the last query, theta = 0
    variants.restore_and_update(weights, [(2, "w")], signs, 9, 4, settings)
    assert (weights["w"].data == np.clip(-expected, -64, 64)).all()


# Making a run again.

@pytest.fixture(scope="module")
def again():
    """first_difference(folder, steps): of a committed run, cut to its first steps to save time."""
    name = "subset-int8-k0-queries3"
    config = read_config(GOLDEN / name)
    made = [line for _, line in zip(range(20), runs.made_lines(config, own_method(config), at_hand(config)))]

    def compare(folder, monkeypatch):
        monkeypatch.setattr(runs, "made_lines", lambda *_: iter([*made, ("evaluation.txt", "0 5 9\n")]))
        return runs.first_difference(folder, config, None, None)
    return compare


@pytest.fixture
def committed(tmp_path):
    lines = lines_of(GOLDEN / "subset-int8-k0-queries3")[:20]
    write_lines(tmp_path, lines)
    (tmp_path / "evaluation.txt").write_text("0 5 9\n")
    return tmp_path


def test_a_run_made_again_is_equal(again, committed, monkeypatch):
    assert again(committed, monkeypatch) == (21, None)


@pytest.mark.parametrize("file, change, words", [
    ("steps.txt", changed(7, lambda line: line.replace(" ", " 9", 1)), "steps.txt, line 8: expected '7 9"),
    ("steps.txt", changed(7, lambda line: line[:-1] + "\r\n"), "steps.txt, line 8: expected '7 "),
    ("steps.txt", changed(7, lambda line: line[:-1] + "\u00e9\n"), "steps.txt, line 8: expected '7 "),
    ("steps.txt", changed(19, lambda line: line[:-1]), "steps.txt, line 20: expected '19 "),
    ("steps.txt", lambda lines: lines[:19], "steps.txt, line 20: expected '', got '19 "),
    ("steps.txt", lambda lines: [*lines, "x"], "steps.txt, line 21: the run has no more lines"),
    ("evaluation.txt", lambda lines: ["0 6 9\n"], "evaluation.txt, line 1: expected '0 6 9\\n', got '0 5 9\\n'"),
    ("evaluation.txt", lambda lines: [], "evaluation.txt, line 1: expected ''"),
    ("evaluation.txt", lambda lines: [*lines, "1 5 9\n"], "evaluation.txt, line 2: the run has no more lines")])
def test_the_first_line_that_differs_is_named(again, committed, monkeypatch, file, change, words):
    lines = change((committed / file).read_text().splitlines(keepends=True))
    (committed / file).write_bytes("".join(lines).encode())
    _, difference = again(committed, monkeypatch)
    assert words in difference and "\n" not in difference
