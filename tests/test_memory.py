"""Bytes of a step: the prediction against what tracemalloc sees, by hand, and what must not grow."""
import json
import re

import numpy as np
import pytest

from small_runs import ROOT
from zo_numpy.__main__ import main
from zo_numpy.app.methods import method_of
from zo_numpy.int8 import tiled as int8_tiled
from zo_numpy.measure import memory, peak
from zo_numpy.run.config import make_config

CLOUDS = {"model": "pointnet", "data": "modelnet40"}


def config(precision, bp_tail, batch_size=32, **given):
    return make_config({"precision": precision, "bp_tail": bp_tail, "batch_size": batch_size, **given})


def predicted(asked):
    return memory.peak(memory.moments(asked)).total


def measured(asked, steps=4, infer=False):
    return peak.measure(asked, method_of(asked), steps, infer)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("ZO_NUMPY_THREADS", "1")


@pytest.mark.parametrize("given", [
    *(dict(bp_tail=k, batch_size=batch) for batch in (1, 2, 8, 32, 150) for k in (0, 1, 3)),
    dict(bp_tail=2, batch_size=1), dict(bp_tail=1, zo_frozen=True), dict(bp_tail=3, zo_frozen=True),
    *(dict(bp_tail=3, tail_passes="both", batch_size=batch) for batch in (1, 50)),
    dict(bp_tail=1, batch_size=64, tail_passes="both"),
    *(dict(CLOUDS, bp_tail=k, batch_size=batch, points=points)
      for batch, points, k in ((32, 256, 0), (32, 256, 3), (8, 500, 1), (1, 1000, 2), (1, 64, 3)))], ids=str)
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_prediction_and_measurement_agree_within_3_percent(precision, given):
    asked = config(precision, **given)
    seen = measured(asked)
    assert abs(predicted(asked) - seen) <= 0.03 * seen


@pytest.mark.parametrize("given", [dict(batch_size=1), dict(batch_size=32), dict(CLOUDS, batch_size=8, points=100)])
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_inference_is_predicted_and_a_step_takes_hardly_more(precision, given):
    asked = config(precision, 3, **given)
    idle = measured(asked, infer=True)
    assert abs(memory.peak(memory.inference(asked)).total - idle) <= 0.03 * idle
    for bp_tail in (0, 1, 2, 3):
        assert measured(config(precision, bp_tail, **given)) <= (1.1 if given["batch_size"] == 1 else 1.02) * idle


@pytest.mark.parametrize("bp_tail", [0, 3])
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_two_threads_need_no_more_than_predicted(monkeypatch, precision, bp_tail):
    """They may need less, as they are not all at their largest at once, and a few objects more to meet.

    On a busy machine one thread now and then runs far ahead of the other: the best of three counts.
    """
    monkeypatch.setenv("ZO_NUMPY_THREADS", "2")
    for asked in (config(precision, bp_tail), config(precision, bp_tail, points=256, **CLOUDS)):
        assert any(measured(asked) <= 1.05 * predicted(asked) for _ in range(3))


def test_int32_sums_that_stand_whole_would_be_noticed(monkeypatch):
    right, kept = int8_tiled.keep, []
    monkeypatch.setattr(int8_tiled, "keep", lambda tile, out: right(kept.append(tile) or tile.copy(), out))
    asked = config("int8", 0)
    assert measured(asked) > 1.2 * predicted(asked)


def test_bytes_by_hand():
    at = {moment.name: moment.held for moment in memory.moments(config("int8", 1))}
    assert {held["parameters"] for held in at.values()} == {107_550}
    assert at["forward, conv1"]["activations"] == 32 * 28 * 28 + 32 * 6 * 14 * 14            # uint8, and int8
    assert at["forward, conv2"]["activations"] == 32 * (28 * 28 + 6 * 14 * 14 + 16 * 7 * 7)
    assert at["z"]["perturbation"] == 4 * 19_200
    assert at["update, fc3"]["tail"] == 32 * 10 + 4 * 4 * 840
    assert {moment.held["parameters"] for moment in memory.moments(config("fp32", 1))} == {4 * 107_786}


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_scratch_does_not_grow_with_the_batch(precision):
    scratch = [max(moment.held["scratch"] for moment in memory.moments(config(precision, 0, batch)))
               for batch in (64, 512, 1024)]   # but for the int32 logits
    assert max(scratch) <= 1.2 * min(scratch)


@pytest.mark.parametrize("batch", [1, 32])
def test_full_bp_is_measured_and_needs_more(capsys, batch):
    assert main(["memory", "--bp-tail", "all", "--batch-size", str(batch)]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    assert "measured" in line and int(line.split()[1].replace(",", "")) > 1.4 * predicted(config("int8", 0, batch))


@pytest.mark.parametrize("model", ["lenet5", "pointnet"])
def test_command(capsys, model):
    assert main(["memory", "--model", model, "--bp-tail", "1", "--batch-size", "8", "--measure"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{model}, int8, K = 1, batch 8, 1 thread")
    figures = {found[1]: int(found[2].replace(",", "")) for found in (re.match(r" +(\w+) .*?([\d,]+)", line) for line in lines[2:])}
    assert list(figures)[:5] == list(memory.KINDS)
    assert figures["together"] == sum(figures[kind] for kind in memory.KINDS)
    assert abs(figures["measured"] - figures["together"]) <= 0.03 * figures["measured"]


def test_command_refuses_a_tail_that_is_too_long(capsys):
    assert main(["memory", "--bp-tail", "9"]) == 2
    assert "--bp-tail 9" in capsys.readouterr().err


def test_what_the_method_promises_is_in_the_committed_measurement():
    for name in ("memory", "memory_pointnet"):
        result = json.loads((ROOT / f"experiments/results/{name}.json").read_text())
        for row in result["rows"]:
            assert abs(row.get("predicted", row["measured"]) - row["measured"]) <= 0.03 * row["measured"]
        assert len(result["percent_over_k0"]) >= 12 and max(result["percent_over_k0"].values()) <= 1.7
