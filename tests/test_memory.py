"""Bytes of a step: the prediction against what tracemalloc sees, by hand, and what must not grow."""
import numpy as np
import pytest

from zo_numpy.__main__ import main
from zo_numpy.int8 import elastic_zo as int8, layers as int8_layers
from zo_numpy.measure import memory
from zo_numpy.run.config import make_config

KINDS_OF_STEP = [(0, False), (1, False), (2, False), (3, False), (1, True), (3, True), ("all", False)]


def config(precision, bp_tail, batch_size=32, **given):
    return make_config({"precision": precision, "bp_tail": bp_tail, "batch_size": batch_size, **given})


def predicted(*args, **given):
    return memory.peak(memory.moments(config(*args, **given)))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("ZO_NUMPY_THREADS", "1")


@pytest.mark.parametrize("bp_tail, frozen", KINDS_OF_STEP)
@pytest.mark.parametrize("batch", [2, 8, 32, 150])
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_prediction_and_measurement_agree_within_5_percent(precision, batch, bp_tail, frozen):
    measured = memory.measure(config(precision, bp_tail, batch, zo_frozen=frozen), steps=6)
    assert abs(predicted(precision, bp_tail, batch, zo_frozen=frozen).total - measured) <= 0.05 * measured


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_prediction_and_measurement_of_both_passes_and_of_inference(precision):
    both = config(precision, 3, 32, tail_passes="both")
    measured = memory.measure(both, steps=6)
    assert abs(memory.peak(memory.moments(both)).total - measured) <= 0.05 * measured
    measured = memory.measure(both, infer=True)
    assert abs(memory.peak(memory.inference(both)).total - measured) <= 0.05 * measured


@pytest.mark.parametrize("bp_tail", [0, 2, "all"])
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_two_threads_need_no_more_than_predicted(monkeypatch, precision, bp_tail):
    """They may need less, as they are not all at their largest at once."""
    monkeypatch.setenv("ZO_NUMPY_THREADS", "2")
    measured = memory.measure(config(precision, bp_tail), steps=6)
    assert measured <= 1.05 * predicted(precision, bp_tail).total


def test_a_step_that_needs_more_is_noticed(monkeypatch):
    """The 5 % are narrow enough to show one more array of the size of the batch."""
    right = int8_layers.from_pixels

    def wide(images):
        x = right(images)
        wide.kept = x.data.astype(np.int32)
        return x

    monkeypatch.setattr(int8, "from_pixels", wide)
    measured = memory.measure(config("int8", 0), steps=6)
    assert measured > 1.05 * predicted("int8", 0).total


def test_bytes_by_hand():
    step = memory.moments(config("int8", 1))
    assert {moment.held["parameters"] for moment in step} == {107_550}
    at = {moment.name: moment.held for moment in step}
    conv1 = at["forward, conv1"]
    assert conv1["activations"] == 32 * 28 * 28 + 32 * 28 * 28             # uint8 and int8
    assert conv1["accumulators"] == 4 * 32 * 6 * 14 * 14
    assert at["forward, conv2, requantise"]["activations"] == 32 * (28 * 28 + 6 * 14 * 14 + 16 * 7 * 7)
    assert at["+z and update"]["gradients"] == 4 * 840
    assert at["gradient, fc3"]["errors"] == 32 * 10
    assert {moment.held["parameters"] for moment in memory.moments(config("fp32", 1))} == {4 * 107_786}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_method_promises(monkeypatch, workers):
    monkeypatch.setenv("ZO_NUMPY_THREADS", str(workers))
    for precision, most in (("int8", 600_000), ("fp32", 1_100_000)):
        zo = predicted(precision, 0).total
        assert zo <= most
        for bp_tail in (1, 2):
            assert predicted(precision, bp_tail).total <= 1.017 * zo
        assert zo <= 1.05 * memory.peak(memory.inference(config(precision, 0))).total


def test_scratch_does_not_grow_with_the_batch():
    scratch = [max(moment.held["scratch"] for moment in memory.moments(config("int8", 0, batch)))
               for batch in (64, 1024, 4096)]
    assert max(scratch) <= 1.1 * min(scratch)


def test_command(capsys):
    assert main(["memory", "--bp-tail", "1", "--batch-size", "32", "--measure"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("lenet5, int8, K = 1, batch 32, 1 thread")
    assert [line.split()[0] for line in lines[2:9]] == list(memory.KINDS)
    together = int(lines[9].split()[1].replace(",", ""))
    assert together == sum(int(line.split()[1].replace(",", "")) for line in lines[2:9])
    assert any("measured" in line for line in lines) and "resident set" in lines[-1]


def test_command_refuses_a_tail_that_is_too_long(capsys):
    assert main(["memory", "--bp-tail", "9"]) == 2
    assert "--bp-tail 9" in capsys.readouterr().err
