"""FP32's golden vectors have tolerances: float64 steps pass, what is beyond one by a little does not, NaN never."""
import json
import math
import pathlib
import shutil

import numpy as np
import pytest

import datasets
from small_runs import golden_said, refused, snapshot
from zo_numpy import rng
from zo_numpy.__main__ import main
from zo_numpy.app import vectors as commands
from zo_numpy.app.data import at_hand
from zo_numpy.fp32 import draws, elastic_zo, layers, precision, tail
from zo_numpy.golden import check, committed, diff, runs, tolerances, trace, update
from zo_numpy.golden.tolerances import Tolerances, first_beyond, summary
from zo_numpy.run import trainer
from zo_numpy.run.steps import own_method

GOLDEN = pathlib.Path(__file__).parent / "golden"
TRACES = GOLDEN / "traces"
NAMES = [name for name in committed.TRACES if "fp32" in name]
NARROW = TRACES / "narrow-lenet-fp32-k2"
RUN = "short-fp32-k1"     # made for these tests
SUBSET = datasets.load("mnist-subset")


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def given(options):
    """(Config, Dataset) of a committed trace or run."""
    config = committed.config_of(options)
    return config, at_hand(config)


def tolerances_of(folder):
    return Tolerances(manifest_of(folder)["config"]["schedules"])


# The tolerances themselves.

def box_muller(words):
    """That of fp32/draws.py in float64 throughout."""
    u, v = ((word.astype(np.float64) + 1) * 2.0**-24 for word in ((words & 0xffffffff) >> 8, words >> 40))
    radius = np.sqrt(-2 * np.log(u))
    return np.stack([radius * np.cos(2 * np.pi * v), radius * np.sin(2 * np.pi * v)], axis=1).reshape(-1)


@pytest.fixture
def in_float64(monkeypatch):
    """Every step, of whatever is trained from here on, in float64."""
    first = trainer.first_weights

    def weights(config):
        return {name: array.astype(np.float64) for name, array in first(config).items()}
    for module in (trace, runs):
        monkeypatch.setattr(module, "first_weights", weights)
    monkeypatch.setattr(draws, "box_muller", box_muller)


@pytest.mark.parametrize("name", NAMES)
def test_steps_in_float64_are_well_within_the_tolerances(name, in_float64, tmp_path):
    made, records = {}, manifest_of(TRACES / name)["records"]

    class Recorder(trace.Recorder):
        def add(self, phase, op, name, value, inputs=(), **extra):
            made[self.step, phase, op, name] = np.array(value)
            return super().add(phase, op, name, value, inputs, **extra)

    trace.record_steps(Recorder(tmp_path, True, 1, "fp32"), *given(committed.TRACES[name]), 3)
    limits = tolerances_of(TRACES / name)
    worst = 0
    assert [diff.key_of(record) for record in records] == list(made)
    for record in records:
        value = made[diff.key_of(record)]
        expected = summary(value) if "value" not in record else {"largest": np.abs(value).max(), "sample": value}
        if record.get("dtype", "float32") == "float32":
            assert value.dtype == np.float64 or record["op"] in ("images", "input")
            got = diff.reference_array(TRACES / name, record) if "file" in record else record.get("value")
            got, wanted = (got, value) if got is not None else (record["sample"], expected["sample"])
            error = np.abs(np.asarray(got, np.float64) - wanted).max()
            allowed = limits.allowed(record, expected["largest"])
            assert math.isfinite(error) and (error == 0 or error <= 0.6 * allowed), (record, error, allowed)
            worst = max(worst, error / allowed if allowed else 0)
    assert worst > 0.01    # and they are not a mile away


@pytest.mark.parametrize("name, lines", [("subset-fp32-k0", 64 + 2), ("subset-fp32-k3", 64 + 2),
                                         ("solids-fp32-k0", 112 + 4), ("solids-fp32-k3", 112 + 4)])
def test_runs_in_float64_are_well_within_the_tolerances(name, lines, in_float64, monkeypatch):
    monkeypatch.setattr(tolerances, "RUN", tolerances.RUN / 5)
    config, dataset = given(committed.RUNS[name])
    compared, difference = runs.first_difference(GOLDEN / "runs" / name, config, own_method(config), dataset)
    assert difference is None and compared == lines


@pytest.mark.parametrize("name", NAMES)
def test_no_relu_is_so_near_zero_that_last_bits_decide_its_mask(name):
    """Of the tail, whose errors it lets through or not: their inputs, made again."""
    nearest = []

    class Recorder(trace.Recorder):
        def __call__(self, phase, op, layer, value):
            if op == "Linear":
                nearest.append(np.abs(value).min() / np.abs(value).max())
            super().__call__(phase, op, layer, value)

        def add(self, *given, **extra):
            return 0
    trace.record_steps(Recorder(None, True, 1, "fp32"), *given(committed.TRACES[name]), 3)
    assert len(nearest) == 3 * 2 * 3 and min(nearest) > 2 * tolerances.COMPUTED


# Finding what is beyond them.

def test_not_finite_comes_first_and_a_comparison_with_nan_fails():
    wanted = np.float32([1, 2, 3])
    assert first_beyond(wanted, wanted, 0) is None
    assert first_beyond(wanted, np.float32([1, 2, 3.5]), 0.5) is None
    assert "index (2,): expected 3.0, got 3.5, 0.5 apart where 0.4 is allowed; 1 of 3" in first_beyond(
        wanted, np.float32([1, 2, 3.5]), 0.4)
    for bad in (np.nan, np.inf, -np.inf):
        assert "index (1,)" in first_beyond(wanted, np.float32([9, bad, 3]), 1e9)
        assert "not finite; 1 of 3" in first_beyond(wanted, np.float32([9, bad, 3]), np.inf)
    assert first_beyond(wanted, wanted, np.nan)
    assert first_beyond([np.nan], [1.0], 1e9)
    assert "not finite" in first_beyond([1.0], [10**400], 1)
    assert first_beyond(2.5, 2.5, 0) is None and first_beyond(2.5, 2.6, 0.05).startswith("expected 2.5, got 2.6")


def test_a_summary_by_hand():
    assert summary(np.float32([[3, -4]])) == {"largest": 4, "norm": 5, "sample": [3, -4]}
    assert summary(np.arange(15, dtype=np.float32))["sample"] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert len(summary(np.zeros((3, 3), np.float32))["sample"]) == 8
    value = np.float32(1) / np.float32(3)
    assert np.float32(summary(value.reshape(1))["sample"][0]) == value


def compared(capsys, mine, reference=NARROW):
    return golden_said(capsys, "diff", reference, mine)


@pytest.fixture
def mine(tmp_path):
    return pathlib.Path(shutil.copytree(NARROW, tmp_path / "mine"))


def one_of_each():
    """(number of the first record of that kind, kind) of every op, with a file, a summary or a value."""
    found = {}
    for number, record in enumerate(manifest_of(NARROW)["records"]):
        kind = "file" if "file" in record else "value" if "value" in record else "summary"
        if record.get("dtype", "float32") == "float32" and record.get("largest", 1):
            found.setdefault((record["op"], record["phase"] == "init", kind), number)
    return list(found.items())


KINDS = one_of_each()


def test_every_kind_of_record_is_there():
    ops = {kind[0] for kind, _ in KINDS}
    assert ops == {"weights", "perturbation", "input", "Conv2d", "MaxPool2d", "ReLU", "Flatten", "Linear", "loss",
                   "clip", "softmax_error", "linear_gradient", "linear_backward", "relu_backward", "gradient_step"}
    assert {kind[2] for kind, _ in KINDS} == {"file", "summary", "value"}


@pytest.mark.parametrize("kind, number", KINDS, ids=[" ".join(map(str, kind)) for kind, _ in KINDS])
@pytest.mark.parametrize("share, status", [(0.9, 0), (1.1, 1), (np.nan, 1), (np.inf, 1)])
def test_an_error_just_beyond_its_tolerance_is_caught(capsys, mine, kind, number, share, status):
    manifest = manifest_of(mine)
    record, limits = manifest["records"][number], tolerances_of(NARROW)
    if kind[2] == "file":
        array = np.load(mine / record["file"]).copy()
        exact = array.astype(np.float64).reshape(-1)
        at = int(np.abs(exact).argmin())        # a small element, where float32 can hold the error
        exact[at] += share * limits.allowed(record, np.abs(exact).max())
        np.save(mine / record["file"], exact.astype(np.float32).reshape(array.shape))
    elif kind[2] == "value":
        record["value"] += share * limits.allowed(record, abs(record["value"]))
    else:
        del record["sha256"]
        record["sample"][1] += share * limits.allowed(record, record["largest"])
        record["sha256"] = "0" * 64
    (mine / "manifest.json").write_text(json.dumps(manifest))
    assert compared(capsys, mine)[0] == status
    if status:
        place = "first divergence: step {step}, phase {phase}, op {op}, tensor {name}: ".format(**record)
        assert compared(capsys, mine)[1][0].startswith(place)


@pytest.mark.parametrize("name", tolerances.SUMMARY)
def test_each_part_of_a_summary_counts(capsys, mine, name):
    manifest = manifest_of(mine)
    record = next(r for r in manifest["records"] if "sample" in r and r["largest"])
    record["sha256"] = "0" * 64
    record[name] = [1.001 * x for x in record[name]] if name == "sample" else 1.001 * record[name]
    (mine / "manifest.json").write_text(json.dumps(manifest))
    status, lines = compared(capsys, mine)
    assert status == 1 and f": {name}: " in lines[0]
    record[name] = record[name][:-1] if name == "sample" else [1.0]
    (mine / "manifest.json").write_text(json.dumps(manifest))
    assert f"{name}: expected" in compared(capsys, mine)[1][0]
    del record[name]
    (mine / "manifest.json").write_text(json.dumps(manifest))
    assert "neither a file nor largest, norm, sample" in compared(capsys, mine)[1][0]


def test_a_file_where_the_reference_has_a_summary_is_summed_up(capsys, tmp_path):
    """The whole trace of a port, every tensor in a file."""
    whole = tmp_path / "whole"
    whole.mkdir()
    trace.export_trace(committed.config_of(committed.TRACES[NARROW.name]), SUBSET, whole, 3, compact=False)
    assert len(list(whole.iterdir())) > 2 * len(list(NARROW.iterdir()))
    status, lines = compared(capsys, whole)
    assert status == 0 and len(lines) == 2
    number, record = next((n, r) for n, r in enumerate(manifest_of(NARROW)["records"])
                          if r["op"] == "weights" and r["step"] == 2 and r["name"] == "fc1.weight")
    path = whole / manifest_of(whole)["records"][number]["file"]
    np.save(path, np.load(path) * np.float32(1.001))
    status, lines = compared(capsys, whole)
    assert status == 1 and "tensor fc1.weight: largest: expected" in lines[0]


def test_the_tolerances_are_said(capsys, mine):
    status, lines = compared(capsys, mine)
    assert status == 0 and lines[0].startswith("FP32, floats within tolerances") and "2e-06 of z" in lines[0]
    assert lines[-1].endswith(" records compared, 0 differ")
    int8 = TRACES / "narrow-lenet-int8-k2"
    assert "tolerance" not in "".join(compared(capsys, int8, int8)[1])


def test_integers_and_shapes_are_exact(capsys, mine):
    labels = next(record for record in manifest_of(mine)["records"] if record["op"] == "labels")
    array = np.load(mine / labels["file"])
    array[0] ^= 1
    np.save(mine / labels["file"], array)
    assert compared(capsys, mine)[1][0].startswith("first divergence: step 0, phase batch, op labels")
    np.save(mine / labels["file"], array[:-1])
    assert "has shape (1,) instead of (2,)" in compared(capsys, mine)[1][0]
    weight = next(record for record in manifest_of(mine)["records"] if record["name"] == "fc1.weight")
    np.save(mine / weight["file"], np.load(mine / weight["file"]).astype(np.float64))
    assert "has dtype float64 instead of float32" in compared(capsys, mine)[1][0]


def test_the_other_precision_does_not_pass(capsys):
    int8, fp32 = TRACES / "narrow-lenet-int8-k0", TRACES / "narrow-lenet-fp32-k0"
    assert "is not a whole number" in refused(capsys, "golden", "diff", int8, fp32)
    assert compared(capsys, int8, fp32)[0] == 1


@pytest.mark.parametrize("config", [5, [], {"precision": "fp32"}, {"precision": "fp32", "schedules": {"eps": []}},
                                    {"precision": "fp32", "schedules": {"eps": ["a"], "eta": [1]}},
                                    {"precision": "fp32", "schedules": {"eps": [0], "eta": [1]}}])
def test_a_reference_without_its_configuration_is_refused(capsys, mine, config):
    manifest = manifest_of(mine)
    manifest["config"] = config
    (mine / "manifest.json").write_text(json.dumps(manifest))
    assert "is not the manifest of a trace" in refused(capsys, "golden", "diff", mine, NARROW)


@pytest.mark.parametrize("field, value", [("value", "1"), ("value", None), ("value", [True]), ("norm", "x"),
                                          ("sample", [[1.0]]), ("sample", {}), ("largest", None)])
def test_wrong_types_are_refused(capsys, mine, field, value):
    manifest = manifest_of(mine)
    next(record for record in manifest["records"] if field in record)[field] = value
    (mine / "manifest.json").write_text(json.dumps(manifest))
    assert f"the {field} of record" in refused(capsys, "golden", "diff", NARROW, mine)


# golden check and golden update.

@pytest.fixture
def golden(tmp_path, monkeypatch):
    """A copy of one FP32 trace, and a run of 14 steps, which `golden check` takes for all."""
    folder, short = tmp_path / "golden", dict(committed.FP32_RUN, model="narrow-lenet", bp_tail=1, limit=200, validate=100)
    for part in ("ops", f"traces/{NARROW.name}"):
        shutil.copytree(GOLDEN / part, folder / part)
    monkeypatch.setattr(commands, "GOLDEN", folder)
    monkeypatch.setattr(committed, "TRACES", {NARROW.name: committed.TRACES[NARROW.name]})
    monkeypatch.setattr(committed, "RUNS", {RUN: short})
    committed.make_run(RUN, committed.config_of(short), SUBSET, folder / "runs" / RUN)
    monkeypatch.setattr(check, "check_ops", lambda folder: (1, []))
    monkeypatch.setattr(check.contract, "check_files", lambda golden, made: (0, []))   # these list all vectors
    return folder


def checked(capsys):
    capsys.readouterr()
    status = main(["golden", "check"])
    return status, capsys.readouterr().out


def other_last_bits(monkeypatch):
    """Makes the library's results differ in their last bits, as another machine's do."""
    linear, conv2d = layers.linear, layers.conv2d
    for name, right in (("linear", linear), ("conv2d", conv2d)):
        monkeypatch.setattr(layers, name, lambda *given, right=right: right(*given) * np.float32(1 + 2**-22))


def test_check_passes_with_other_last_bits_and_update_keeps_what_is_committed(golden, capsys, monkeypatch):
    assert checked(capsys)[0] == 0
    other_last_bits(monkeypatch)
    status, out = checked(capsys)
    assert status == 0 and f"trace {NARROW.name}: equal" in out and f"run {RUN}: equal, 16 lines" in out
    monkeypatch.setattr(update.ops, "write_ops", lambda folder, flags_of: shutil.copytree(golden / "ops", folder))
    before = snapshot(golden)
    assert main(["golden", "update"]) == 0
    for part in ("contract", "data", "text"):   # not among the few vectors here
        shutil.rmtree(golden / part)
    assert snapshot(golden) == before
    out = capsys.readouterr().out
    assert out.count("kept, as within its tolerances,") == 2 and "format_version 1" in out


BUGS = {
    "bias forgotten": (layers, "linear", lambda right: lambda x, weight, bias: right(x, weight, 0 * bias)),
    "gradient of a sum": (tail, "softmax_error", lambda right: lambda logits, labels: right(logits, labels) * 2),
    "a rate off by a thousandth": (
        tail, "gradient_step", lambda right: lambda grad, eta: right(grad, 1.001 * eta)),
    "z off by a hundred-thousandth": (
        draws, "box_muller", lambda right: lambda words: right(words) * np.float32(1.00001)),
    "another query": (rng, "generator", lambda right: lambda seed, stream, step, tensor, query, start=0: right(
        seed, stream, step, tensor, query + (stream == rng.PERTURB), start)),
    "not clipped": (precision, "settings_at", lambda right: lambda *given: right(*given)._replace(clip=1e9)),
    "nan": (tail, "gradient_step", lambda right: lambda grad, eta: right(grad, eta) * np.float32(np.nan)),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_in_the_library_is_found(golden, capsys, monkeypatch, bug):
    module, name, wrong = BUGS[bug]
    monkeypatch.setattr(module, name, wrong(getattr(module, name)))
    if bug == "nan":
        monkeypatch.setattr(elastic_zo, "cross_entropy", lambda *given: 1.0)   # or the next step would stop the run
    status, out = checked(capsys)
    assert status == 1 and f"trace {NARROW.name}: DIFFERS" in out


@pytest.mark.parametrize("file, change", [
    ("steps.txt", lambda text: text.replace("\n3 ", "\n4 ")),
    ("steps.txt", lambda text: text.rpartition("\n13")[0] + "\n"),
    ("steps.txt", lambda text: text + "14 1.0 1.0 0.0\n"), ("steps.txt", lambda text: text.replace(" 2.", " nan", 1)),
    ("steps.txt", lambda text: text.replace(" 2.", " x", 1)), ("steps.txt", lambda text: ""),
    ("evaluation.txt", lambda text: text.replace(" 100", " 101")),
    ("evaluation.txt", lambda text: f"0 {int(text.split()[1]) + 1} 100\n" + text.split("\n", 1)[1]),
    ("evaluation.txt", lambda text: "0 nan 100\n" + text.split("\n", 1)[1])])
def test_a_changed_run_is_found(golden, capsys, file, change):
    path = golden / "runs" / RUN / file
    text = path.read_text()
    path.write_text(change(text))
    assert change(text) != text
    status, out = checked(capsys)
    assert status == 1 and f"run {RUN}: DIFFERS" in out and f"    {file}, line" in out


@pytest.mark.parametrize("field, share, status", [(1, 0.9, 0), (1, 1.1, 1), (2, -1.1, 1), (3, 0.9, 0), (3, 1.1, 1)])
def test_a_line_just_beyond_its_tolerance_is_found(golden, capsys, field, share, status):
    path = golden / "runs" / RUN / "steps.txt"
    lines = path.read_text().splitlines()
    parts = lines[9].split(" ")
    eps = min(committed.SETTINGS["fp32"]["eps"])
    allowed = tolerances.RUN * max(1, abs(float(parts[field]))) / (eps if field == 3 else 1)
    parts[field] = repr(float(parts[field]) + share * allowed)
    path.write_text("\n".join([*lines[:9], " ".join(parts), *lines[10:]]) + "\n")
    assert checked(capsys)[0] == status


@pytest.mark.parametrize("change", [
    lambda manifest: manifest["records"][3].update(inputs=[0]), lambda manifest: manifest.update(steps=4),
    lambda manifest: manifest["config"].update(seed=1), lambda manifest: manifest["records"].append(
        {**manifest["records"][-1], "name": "more"})])
def test_a_changed_manifest_is_found(golden, capsys, change):
    path = golden / "traces" / NARROW.name / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    assert checked(capsys)[0] == 1


def test_a_frozen_version_does_not_change(golden, capsys, monkeypatch):
    monkeypatch.setattr(update.ops, "write_ops", lambda folder, flags_of: shutil.copytree(golden / "ops", folder))
    for module in (update, diff, trace):
        monkeypatch.setattr(module, "FORMAT_VERSION", 2)
    assert main(["golden", "update"]) == 0                                  # from 1 to 2: all is written anew
    assert manifest_of(golden / "traces" / NARROW.name)["format_version"] == 2
    for path in (golden / "ops").glob("*.json"):                             # as ops.py would have
        path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    before = snapshot(golden)
    assert main(["golden", "update"]) == 0 and snapshot(golden) == before    # nothing would change
    assert "format_version 2" in capsys.readouterr().out
    monkeypatch.setattr(committed, "TRACES", {**committed.TRACES, "narrow-lenet-fp32-k0": dict(
        committed.TRACES[NARROW.name], bp_tail=0)})
    assert main(["golden", "update"]) == 0                                   # more may be added
    before = snapshot(golden)
    right = tail.softmax_error
    monkeypatch.setattr(tail, "softmax_error", lambda *given: -right(*given))
    message = refused(capsys, "golden", "update")
    assert "format_version 2 is frozen" in message and "raise FORMAT_VERSION" in message and snapshot(golden) == before


def test_export_and_diff_of_another_configuration(tmp_path, capsys, monkeypatch):
    options = ("golden", "export", "--precision", "fp32", "--model", "narrow-lenet", "--data", "mnist-subset",
               "--batch-size", "3", "--bp-tail", "1", "--queries", "2", "--tail-passes", "both", "--steps", "2")
    assert main([*options, str(tmp_path / "one")]) == 0
    other_last_bits(monkeypatch)
    assert main([*options, str(tmp_path / "other"), "--compact"]) == 0
    assert snapshot(tmp_path / "one") != snapshot(tmp_path / "other")
    assert compared(capsys, tmp_path / "one", tmp_path / "other")[0] == 0
    assert compared(capsys, tmp_path / "other", tmp_path / "one")[0] == 0
    assert compared(capsys, NARROW, tmp_path / "one")[0] == 1
    records = manifest_of(tmp_path / "one")["records"]
    assert len(next(r for r in records if r["op"] == "clip")["value"]) == 2


def test_each_op_reads_what_it_is_made_of(tmp_path):
    committed.make_trace(NARROW.name, at_hand, tmp_path / "made")
    records = manifest_of(tmp_path / "made")["records"]

    def inputs(phase, op, name):
        record, = (r for r in records if diff.key_of(r) == (0, phase, op, name))
        return {"/".join(diff.key_of(records[i])[1:]) for i in record["inputs"]}
    assert inputs("plus", "Conv2d", "conv1") == {
        "plus/input/images", "plus/weights/conv1.weight", "plus/weights/conv1.bias"}
    assert inputs("minus", "Linear", "fc2") == {"minus/ReLU/fc1", "minus/weights/fc2.weight", "minus/weights/fc2.bias"}
    assert inputs("minus", "softmax_error", "fc3") == {"minus/Linear/fc3", "batch/labels/batch"}
    assert inputs("minus", "linear_gradient", "fc3.weight") == {"minus/softmax_error/fc3", "minus/ReLU/fc2"}
    assert inputs("minus", "linear_gradient", "fc3.bias") == {"minus/softmax_error/fc3"}
    assert inputs("minus", "linear_backward", "fc3") == {"minus/softmax_error/fc3", "minus/weights/fc3.weight"}
    assert inputs("minus", "relu_backward", "fc3") == {"minus/linear_backward/fc3", "minus/ReLU/fc2"}
    assert inputs("minus", "linear_gradient", "fc2.weight") == {"minus/relu_backward/fc3", "minus/ReLU/fc1"}
    assert inputs("minus", "loss", "batch") == {"minus/Linear/fc3", "batch/labels/batch"}
    assert inputs("update", "clip", "g") == {"plus/loss/batch", "minus/loss/batch"}
    assert inputs("update", "weights", "conv1.bias") == {
        "minus/weights/conv1.bias", "draw/perturbation/conv1.bias", "update/clip/g"}
    assert inputs("update", "weights", "fc3.bias") == {"minus/weights/fc3.bias", "minus/gradient_step/fc3.bias"}
