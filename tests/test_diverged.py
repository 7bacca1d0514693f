"""A run that leaves the finite numbers ends in one line: the step, the checkpoint that is left, and the remedy."""
import re

import numpy as np
import pytest

from small_runs import python, refused, train, train_options, write_digits
from zo_numpy.__main__ import main
from zo_numpy.run import trainer
from zo_numpy.run.checkpoint import read_checkpoint, write_checkpoint
from zo_numpy.run.folder import CHECKPOINT


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits") / "data")


WILD = ("--precision", "fp32", "--clip", "50,1e9", "--eta", "1e-4,10", "--eta-tail", "0.1,10")   # from epoch 2 on


def weights_of(run):
    return read_checkpoint(run / CHECKPOINT)[0]


@pytest.mark.parametrize("bp_tail, options", [
    (0, WILD[:-2]), (2, WILD), ("all", ("--precision", "fp32", "--eta-tail", "0.1,10"))])
def test_the_last_good_checkpoint_is_kept_and_named(tmp_path, digits, capsys, monkeypatch, bp_tail, options):
    """Full BP tends to end in dead units instead, so its second epoch begins with a weight that no unit outlives."""
    out = tmp_path / "run"
    if bp_tail == "all":
        right = trainer.one_step

        def explodes(config, precision, weights, images, labels, step):
            if step == 15:
                weights["conv1.weight"][:] = 3e38
            return right(config, precision, weights, images, labels, step)
        monkeypatch.setattr(trainer, "one_step", explodes)
    arguments = train_options(digits, out, *options, "--bp-tail", bp_tail)
    message = refused(capsys, *arguments)
    step = int(re.search(r"the loss of step (\d+) is (?:nan|inf): the run has diverged; lower --eta", message)[1])
    assert 13 <= step < 26 and "in another --out" in message
    assert f"{out / CHECKPOINT} keeps the last good weights, those after 13 steps (--init-from {out} " in message
    assert all(np.isfinite(array).all() for array in weights_of(out).values())
    assert not list(out.glob(".*.part"))

    before = (out / CHECKPOINT).read_bytes()
    assert message == refused(capsys, *arguments, "--resume")       # it goes the same way again, and loses nothing
    assert (out / CHECKPOINT).read_bytes() == before
    monkeypatch.undo()
    assert main(["evaluate", str(out), "--data-dir", str(digits)]) == 0
    tuned = train(digits, tmp_path / "tuned", "--precision", "fp32", "--bp-tail", 1, "--init-from", out, epochs=1)
    assert all(np.isfinite(array).all() for array in weights_of(tuned).values())


def test_before_the_first_checkpoint(tmp_path, digits, capsys):
    arguments = train_options(digits, tmp_path / "run", "--precision", "fp32", "--eta", 10, "--clip", 1e9)
    assert "it had no checkpoint yet" in refused(capsys, *arguments)
    assert not (tmp_path / "run" / CHECKPOINT).exists()


@pytest.mark.parametrize("threads", ["1", "2"])
def test_stderr_has_one_line_and_no_warning(tmp_path, digits, threads):
    options = train_options(digits, tmp_path / "run", *WILD)
    result = python("-m", "zo_numpy", *options, env={"ZO_NUMPY_THREADS": threads})
    assert result.returncode == 2 and result.stderr.startswith("error: the loss of step ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("often", [False, True], ids=["at the end of an epoch", "at the next checkpoint"])
def test_weights_that_no_loss_shows_are_not_saved(tmp_path, digits, capsys, monkeypatch, often):
    """A bias of -inf is a zero after its ReLU: the loss stays finite."""
    right = trainer.one_step

    def hides(config, precision, weights, images, labels, step):
        outcome = right(config, precision, weights, images, labels, step)
        if step == 15:
            weights["fc1.bias"][0] = -np.inf
        return outcome
    monkeypatch.setattr(trainer, "one_step", hides)
    if often:
        monkeypatch.setattr(trainer, "SAVE_EVERY_SECONDS", 0)
    out = tmp_path / "run"
    message = refused(capsys, *train_options(digits, out, "--precision", "fp32", "--bp-tail", 1))
    assert f"fc1.bias is not finite after step {15 if often else 25}: the run has diverged; lower --eta" in message
    assert f"those after {15 if often else 13} steps" in message
    assert all(np.isfinite(array).all() for array in weights_of(out).values())
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 1     # the epoch is not reported as made


def test_a_checkpoint_that_is_not_finite_is_refused_by_every_command(tmp_path, digits, capsys):
    out = train(digits, tmp_path / "run", "--precision", "fp32", epochs=1)
    arrays, numbers = read_checkpoint(out / CHECKPOINT)
    arrays["fc2.weight"][1, 1] = np.nan
    write_checkpoint(out / CHECKPOINT, arrays, numbers)
    for arguments in (["evaluate", out, "--data-dir", digits], ["export", out], ["train", "--resume", "--out", out,
                      "--data-dir", digits], ["train", "--model", "narrow-lenet", "--precision", "int8", "--epochs", 1,
                      "--data-dir", digits, "--init-from", out, "--out", tmp_path / "other"]):
        message = refused(capsys, *arguments)
        assert str(out / CHECKPOINT) in message and "fc2.weight is not finite" in message
    assert not (tmp_path / "other").exists()
