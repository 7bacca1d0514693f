"""The benchmark: its ratios are all there and its arithmetic is right. Nothing here asserts how long anything takes."""
import json
import math

import numpy as np
import pytest

from zo_numpy import tiles
from zo_numpy.__main__ import main
from zo_numpy.int8 import elastic_zo as int8, layers, loss
from zo_numpy.measure import bench, in_words, kernels, peak, timing

BOTH = ("int8", "fp32")
PEAKS = {f"{prefix}{name}{suffix}" for prefix, suffix in (("", ""), ("", "_b1"), ("", "_b256"), ("pointnet_", ""))
         for name in ("peak_fp32_over_int8", *(f"{name}_{precision}" for precision in BOTH for name in (
             "overhead_k1", "overhead_k2", "overhead_k3", "zo_over_inference", "full_bp_over_k0")))}
RATIOS = PEAKS | {"matmul_1t", "matmul_2t", "int8_over_fp32_k1_b32", "step_a_us_int8", "step_b_us_int8",
                  "step_b_deviation_int8", "step_a_us_fp32", "step_b_us_fp32", "step_b_deviation_fp32",
                  "epoch_k2_b64_s_int8", "epoch_k2_b64_s_fp32",
                  *(f"pointnet_int8_over_fp32_k{k}_b2" for k in (0, 1, 2, 3, "all"))}


@pytest.fixture
def quick(monkeypatch):
    """Fewer shapes, batch sizes and steps, so that a run takes seconds."""
    monkeypatch.setattr(kernels, "MATMULS", {"lenet5": ((2, 3, 8), (10, 84, 4))})
    monkeypatch.setattr(bench, "FIT_BATCHES", (1, 2, 64))
    monkeypatch.setattr(bench, "CLOUDS", {"model": "narrow-pointnet", "data": "modelnet40", "points": 16})
    monkeypatch.setattr(bench, "CLOUDS_BATCH", 2)
    measure = peak.measure
    monkeypatch.setattr(peak, "measure", lambda config, method, steps, infer: measure(config, method, 2, infer))


def test_json_names_every_ratio(quick, capsys):
    assert main(["bench", "--json", "--rounds", "1", "--batch-size", "2,32"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert RATIOS <= result["ratios"].keys()
    assert all(math.isfinite(value) for value in result["ratios"].values())
    assert {(step["precision"], step["bp_tail"], step["batch"]) for step in result["steps"]} == {
        (precision, k, batch) for precision in ("int8", "fp32") for k in (0, 1, 2, 3, "all") for batch in (2, 32)}
    for step in result["steps"]:
        assert step["bp_tail"] == "all" or step["parts"].keys() == set(timing.PARTS)
        assert step["milliseconds"] > 0 and step["images_a_second"] > 0
    assert [(step["precision"], step["bp_tail"]) for step in result["pointnet_steps"]] == [
        (precision, k) for precision in ("fp32", "int8") for k in (0, 1, 2, 3, "all")]
    parts = {step["bp_tail"]: step["parts"] for step in result["steps"] if step["precision"] == "int8"}
    assert parts[0]["draws"] > 0 and parts[0]["requantise"] > 0 and parts[0]["matmul"] > 0
    assert parts[2]["tail"] > parts[0]["tail"]


def test_ten_lines_say_which_of_two_takes_more(quick, capsys, monkeypatch):
    """Each figure is that of --json, its direction is in words, and no ratio stands under its bare name."""
    results, whole = {}, {"images": bench.images, "clouds": bench.clouds}
    for name, function in whole.items():
        monkeypatch.setattr(bench, name, lambda *given, name=name, function=function:
                            results.setdefault(name, function(*given)))
    assert main(["bench", "--rounds", "1", "--batch-size", "2,32"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10 and max(map(len, lines)) < 160 and "_" not in "".join(lines)
    ratios = results["images"]["ratios"] | results["clouds"]["ratios"]
    for number, name, direction in (
            (2, "int8_over_fp32_k1_b32", "INT8 takes {:.2f} times as long as FP32 at K = 1, batch 32"),
            (3, "epoch_k2_b64_s_int8", "takes {:.1f} s in INT8"), (6, "peak_fp32_over_int8", "FP32 holds {:.2f} times"),
            (7, "full_bp_over_k0_int8", "full BP {:.2f} times as much"), (8, "matmul_1t", "{:.1f} times as fast as"),
            (9, "pointnet_int8_over_fp32_k1_b2", "INT8 takes {:.2f} times as long as FP32")):
        assert direction.format(ratios[name]) in lines[number]


@pytest.mark.parametrize("share, said", [(0.0123, "K = 1 holds 1.23 % more"), (-0.0004, "K = 1 holds 0.04 % less")])
def test_less_is_called_less(share, said):
    ratios = dict.fromkeys(("int8_over_fp32_k1_b8", "epoch_k2_b64_s_int8", "epoch_k2_b64_s_fp32", "peak_fp32_over_int8",
                            "peak_fp32_mb", "peak_int8_mb", "overhead_k2_int8", "overhead_k3_int8", "matmul_1t",
                            "matmul_2t", "einsum_share_b256"), 1.0) | {"overhead_k1_int8": share}
    steps = [{"precision": precision, "bp_tail": k, "batch": 8, "milliseconds": 1.0, "parts": {"draws": 3, "loss": 1}}
             for precision in BOTH for k in (0, 1, 2, 3)]
    lines = list(in_words.report({"threads": 1, "numpy": "2", "rounds": 3, "steps": steps, "ratios": ratios}))
    assert said in lines[6] and "75 % drawing z, 25 % loss" in lines[4] and "full BP" not in "".join(lines)


@pytest.mark.parametrize("arguments, named", [(["--rounds", "0"], "--rounds"), (["--batch-size", "0"], "--batch-size"),
                                              (["--batch-size", "x"], "--batch-size")])
def test_mistakes_are_refused(capsys, arguments, named):
    assert main(["bench", *arguments]) == 2
    assert named in capsys.readouterr().err


def test_line_through():
    batches = (1, 2, 4, 8)
    a, b, worst = bench.line_through(batches, [3 + 0.5 * n for n in batches])
    assert (a, b) == pytest.approx((3, 0.5)) and worst == pytest.approx(0, abs=1e-9)
    *_, worst = bench.line_through((1, 2, 3), [1, 2, 4])
    assert worst > 0.2


def test_a_function_inside_another_is_counted_once(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    watch = timing.Stopwatch()
    inner = watch.timed("patches", lambda: None)                  # one tick
    watch.timed("matmul", lambda: (inner(), inner()))()           # five ticks, two of them inside
    assert watch.taken["patches"] == 2 and watch.taken["matmul"] == 5 - 2


def test_watching_leaves_no_trace():
    before = [dict(vars(module)) for module in (int8, layers)], dict(loss.LOSSES)
    with pytest.raises(ZeroDivisionError), timing.Stopwatch().watching("int8"):
        assert layers.conv2d is not before[0][1]["conv2d"]
        1 / 0
    assert ([dict(vars(module)) for module in (int8, layers)], dict(loss.LOSSES)) == before


def test_threads_are_set_for_a_while(monkeypatch):
    monkeypatch.setenv("ZO_NUMPY_THREADS", "3")
    with timing.threads(2):
        assert tiles.threads() == 2
    assert tiles.threads() == 3
    monkeypatch.delenv("ZO_NUMPY_THREADS")
    with timing.threads(5):
        assert tiles.threads() == 5
    assert "ZO_NUMPY_THREADS" not in timing.os.environ


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_product_that_is_timed_is_the_product(monkeypatch, workers):
    made = []
    monkeypatch.setattr(kernels, "matmul", lambda a, b: made.append((b[0, 0], a @ b)))
    a, b = np.arange(6, dtype=np.int32).reshape(2, 3), np.arange(21, dtype=np.int32).reshape(3, 7)
    with timing.threads(workers):
        kernels.tiled_matmul(a, b)
    columns = np.concatenate([product for _, product in sorted(made, key=lambda pair: pair[0])], axis=1)
    np.testing.assert_array_equal(columns, a @ b)
