"""--loss float in INT8, the comparison: float64 decides the sign of g, and the rest of a run is as ever."""
import math

import numpy as np
import pytest

from experiments import float_loss
from small_runs import assert_same_run, metrics, refused, train, write_digits
from zo_numpy.__main__ import main
from zo_numpy.app import beside, methods
from zo_numpy.int8 import loss
from zo_numpy.int8.arith import QTensor
from zo_numpy.run import steps
from zo_numpy.run.config import make_config
from zo_numpy.run.folder import CHECKPOINT


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits") / "data")


def lines(run):
    return [line.split() for line in (run / "steps.txt").read_text().splitlines()]


def test_by_hand():
    logits = QTensor(np.int8([[0, 0], [0, 2]]), -1)           # 0 and 1 in the second row
    nats = math.log(2) + math.log(1 + math.exp(-1))
    assert float_loss.float_cross_entropy(logits, np.array([0, 1])) == pytest.approx(nats, rel=1e-14)
    assert float_loss.cross_entropy(logits, np.array([0, 1])) == pytest.approx(nats / math.log(2) * 2**22, rel=1e-14)


def test_it_is_the_integer_loss_in_the_same_unit():
    draw = np.random.default_rng(0)
    for exponent in (-9, -5, -2):
        logits = QTensor(draw.integers(-127, 128, (64, 10)).astype(np.int8), exponent)
        labels = draw.integers(0, 10, 64)
        exact, integer = float_loss.cross_entropy(logits, labels), loss.cross_entropy(logits, labels)
        assert math.isfinite(exact) and abs(exact - integer) <= 64 * 64 + 1e-5 * exact


@pytest.mark.parametrize("bp_tail", [0, 2])
def test_a_run_logs_the_losses_whose_difference_is_g(tmp_path, digits, bp_tail):
    run = train(digits, tmp_path / "run", "--loss", "float", "--bp-tail", bp_tail)
    logged = lines(run)
    assert len(logged) == 26
    for _, plus, minus, g, *_ in logged:
        assert int(g) == np.sign(float(plus) - float(minus)) and float(plus) != int(float(plus))
    other = lines(train(digits, tmp_path / "integer", "--bp-tail", bp_tail))
    assert float(logged[0][1]) == pytest.approx(int(other[0][1]), rel=1e-4)
    assert metrics(run)[0]["train_loss"] == pytest.approx(
        sum(float(value) for line in logged[:13] for value in line[1:3]) * math.log(2) / 2**22 / 400, abs=5e-4)


def test_several_queries_log_whole_means(tmp_path, digits):
    run = train(digits, tmp_path / "run", "--loss", "float", "--bp-tail", 0, "--queries", 2, epochs=1)
    assert all(float(plus).is_integer() and set(g.split(",")) <= {"-1", "0", "1"} for _, plus, _, g, *_ in lines(run))


def test_a_resumed_run_ends_in_the_same_bytes(tmp_path, digits, monkeypatch):
    """Cut off in the middle of an epoch, whose sum of losses goes through the checkpoint as a float."""
    whole = train(digits, tmp_path / "whole", "--loss", "float")
    one_step, made = steps.one_step, []

    def dies(*given):
        made.append(given)
        if len(made) == 20:
            raise KeyboardInterrupt
        return one_step(*given)

    monkeypatch.setattr("zo_numpy.run.trainer.SAVE_EVERY_SECONDS", 0)
    monkeypatch.setattr("zo_numpy.run.trainer.one_step", dies)
    options = ["train", "--model", "narrow-lenet", "--data-dir", str(digits), "--batch-size", "16", "--epochs", "2",
               "--out", str(tmp_path / "cut"), "--loss", "float"]
    assert main(options) == 130
    cut = train(digits, tmp_path / "cut", "--loss", "float", "--resume")
    assert len(made) > 26 and (cut / CHECKPOINT).exists()
    assert_same_run(cut, whole)


def test_it_says_that_it_is_a_comparison_and_the_default_does_not(tmp_path, digits, capsys):
    train(digits, tmp_path / "float", "--loss", "float", epochs=1)
    assert "A COMPARISON, NOT INTEGERS ONLY" in capsys.readouterr().out
    train(digits, tmp_path / "integer", epochs=1)
    train(digits, tmp_path / "fp32", "--precision", "fp32", epochs=1)
    assert "COMPARISON" not in capsys.readouterr().out


def test_a_vanilla_run_replays_from_its_signs(tmp_path, digits, capsys):
    run = train(digits, tmp_path / "run", "--loss", "float", "--bp-tail", 0)
    assert main(["replay", str(run)]) == 0
    assert lines(run)[-1][4] in capsys.readouterr().out


def test_the_default_needs_no_float_loss(tmp_path, digits, monkeypatch):
    def refuse(name, what):
        raise AssertionError(name)
    monkeypatch.setattr(methods, "module_beside", refuse)
    train(digits, tmp_path / "run", epochs=1)
    assert make_config({}).loss == "integer"


def test_full_bp_trains_the_same_weights_whatever_the_loss(tmp_path, digits):
    one, other = (train(digits, tmp_path / name, "--bp-tail", "all", "--loss", name, epochs=1)
                  for name in ("integer", "float"))
    assert lines(one)[-1][4] == lines(other)[-1][4]


def test_outside_a_clone_it_is_refused_in_one_line(tmp_path, digits, capsys, monkeypatch):
    monkeypatch.setattr(beside, "IS_CLONE", False)
    out = tmp_path / "run"
    message = refused(capsys, "train", "--data-dir", digits, "--epochs", 1, "--out", out, "--loss", "float")
    assert message.startswith("--loss float needs experiments/")
