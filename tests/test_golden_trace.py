"""Traces: recording changes no result, a trace is the same bytes however it is made, and an export is whole or not
there."""
import errno
import json
import pathlib

import numpy as np
import pytest

import datasets
from small_runs import refused, snapshot
from zo_numpy.__main__ import main
from zo_numpy.errors import UserError
from zo_numpy.golden import committed, trace
from zo_numpy.golden.diff import key_of
from zo_numpy.run.config import make_config
from zo_numpy.run.steps import PRECISIONS, one_step, own_method, parts

GOLDEN = pathlib.Path(__file__).parent / "golden"
SUBSET = datasets.load("mnist-subset")
SETTINGS = {**committed.SETTINGS["int8"], "model": "narrow-lenet", "data": "mnist-subset", "batch_size": 3, "epochs": 1,
            "tail_scale": "own"}
KINDS = {   # what may decide which records a step has
    "k0": dict(bp_tail=0), "k3": dict(bp_tail=3), "both": dict(bp_tail=2, tail_passes="both"),
    "frozen": dict(bp_tail=2, zo_frozen=True), "queries": dict(bp_tail=1, queries=3),
    "queries, both": dict(bp_tail=2, queries=2, tail_passes="both"),
    "frozen, queries": dict(bp_tail=1, queries=2, zo_frozen=True),
    "running": dict(bp_tail=2, tail_scale="running"),
    "running, both": dict(bp_tail=3, tail_scale="running", tail_passes="both")}


def export(folder, steps=2, compact=False, **options):
    """The manifest of a trace made in `folder`."""
    folder.mkdir()
    trace.export_trace(make_config({**SETTINGS, **options}), SUBSET, folder, steps, compact)
    return json.loads((folder / "manifest.json").read_text())


# What is recorded.

@pytest.mark.parametrize("kind", KINDS)
def test_recording_changes_no_result(tmp_path, kind):
    config = make_config({**SETTINGS, **KINDS[kind]})
    weights = PRECISIONS["int8"].initialise(config)
    (images, labels), *_ = parts(config, SUBSET)
    signs = [one_step(config, own_method(config), weights, images, labels, step)[2] for step in range(2)]
    records = export(tmp_path / "t", **KINDS[kind])["records"]
    recorded = {record["name"]: record["sha256"] for record in records
                if (record["step"], record["phase"], record["op"]) == (1, "update", "weights")}
    arrays, _ = PRECISIONS["int8"].to_arrays(weights)
    assert recorded == {name: trace.array_digest(array) for name, array in arrays.items()}
    assert [record["value"] for record in records if record["op"] == "sign"] == json.loads(json.dumps(signs))


@pytest.mark.parametrize("kind", KINDS)
def test_records_have_unique_keys_and_earlier_inputs_and_all_are_read(tmp_path, kind):
    records = export(tmp_path / "t", **KINDS[kind])["records"]
    assert len({key_of(record) for record in records}) == len(records)
    assert all(i < number for number, record in enumerate(records) for i in record["inputs"])
    last_step = max(record["step"] for record in records)
    unread = set(range(len(records))) - {i for record in records for i in record["inputs"]}
    assert {(records[i]["phase"], records[i]["op"]) for i in unread if records[i]["step"] < last_step} <= \
        {("update", "sign")} if "frozen" in kind else \
        {records[i]["step"] for i in unread} == {last_step}
    assert {records[i]["phase"] for i in unread if records[i]["step"] == last_step} == {"update"}


def test_each_op_reads_what_the_contract_says(tmp_path):
    records = export(tmp_path / "t", steps=1, bp_tail=2)["records"]

    def inputs(phase, op, name):
        record, = (r for r in records if key_of(r) == (0, phase, op, name))
        return {"/".join(key_of(records[i])[1:]) for i in record["inputs"]}
    assert inputs("plus", "weights", "conv1") == {"init/weights/conv1", "draw/perturbation/conv1"}
    assert inputs("minus", "weights", "fc3") == {"plus/weights/fc3"}
    assert inputs("minus", "Conv2d", "conv2") == {"minus/weights/conv2", "minus/requantise/conv1"}
    assert inputs("minus", "softmax_error", "fc3") == {"minus/requantise/fc3", "batch/labels/batch"}
    assert inputs("minus", "linear_backward", "fc3") == {"minus/softmax_error/fc3", "minus/weights/fc3"}
    assert inputs("minus", "relu_backward", "fc3") == {"minus/linear_backward/fc3", "minus/requantise/fc2"}
    assert inputs("minus", "linear_gradient", "fc2") == {"minus/requantise_error/fc3", "minus/requantise/fc1"}
    assert inputs("update", "sign", "g") == {"plus/loss/batch", "minus/loss/batch"}
    assert inputs("update", "weights", "conv1") == {
        "minus/weights/conv1", "draw/perturbation/conv1", "update/sign/g"}
    assert inputs("update", "weights", "fc2") == {"minus/weights/fc2", "minus/gradient_step/fc2"}


def test_a_step_reads_its_running_scale_and_a_scale_its_gradients(tmp_path):
    records = export(tmp_path / "t", steps=1, bp_tail=1, tail_scale="running", tail_passes="both")["records"]

    def inputs(phase, op, name):
        record, = (r for r in records if key_of(r) == (0, phase, op, name))
        return {"/".join(key_of(records[i])[1:]) for i in record["inputs"]}
    assert inputs("minus", "gradient_step", "fc3") == {"minus/linear_gradient/fc3", "minus/weights/fc3.scale"}
    assert inputs("minus", "weights", "fc3.scale") == {"plus/weights/fc3.scale"}
    assert inputs("update", "weights", "fc3.scale") == {
        "minus/weights/fc3.scale", "plus/linear_gradient/fc3", "minus/linear_gradient/fc3"}


def test_with_several_queries_each_pass_reads_the_z_of_its_query(tmp_path):
    records = export(tmp_path / "t", steps=1, bp_tail=1, queries=2, tail_passes="both")["records"]

    def inputs(phase, op, name):
        record, = (r for r in records if key_of(r) == (0, phase, op, name))
        return {"/".join(key_of(records[i])[1:]) for i in record["inputs"]}
    assert inputs("plus1", "weights", "conv1") == {
        "minus0/weights/conv1", "draw0/perturbation/conv1", "draw1/perturbation/conv1"}
    assert inputs("minus1", "weights", "conv1") == {"plus1/weights/conv1", "draw1/perturbation/conv1"}
    assert inputs("update", "sign", "g") == {f"{phase}{q}/loss/batch" for phase in ("plus", "minus") for q in (0, 1)}
    assert inputs("update", "weights", "fc3") == {
        "minus1/weights/fc3", "plus1/gradient_step/fc3", "minus1/gradient_step/fc3"}
    first, second = (np.load(tmp_path / "t" / record["file"]) for record in records
                     if record["op"] == "perturbation" and record["name"] == "fc1")
    assert (first != second).any()
    for sign in ("plus", "minus"):
        theta, moved = (np.load(tmp_path / "t" / record["file"]) for record in records
                        if key_of(record)[1:] in (("init", "weights", "fc1"), (f"{sign}1", "weights", "fc1")))
        assert (moved - theta == (second if sign == "plus" else -second)).all()


def test_files_hold_what_the_records_say(tmp_path):
    manifest = export(tmp_path / "t", bp_tail=1)
    for number, record in enumerate(manifest["records"]):
        if "value" in record:
            assert "file" not in record
            continue
        assert record["file"] == "{:04d}_s{step}_{phase}_{op}_{name}.npy".format(number, **record)
        content = (tmp_path / "t" / record["file"]).read_bytes()
        assert content[:8] == b"\x93NUMPY\x01\x00"
        array = np.load(tmp_path / "t" / record["file"], allow_pickle=False)
        assert (array.dtype.name, list(array.shape)) == (record["dtype"], record["shape"])
        assert array.dtype.str in ("|i1", "|u1", "<i4") and array.flags.c_contiguous
        assert trace.array_digest(array) == record["sha256"]
        assert ("exponent" in record) == (record["dtype"] == "int8" and record["op"] != "perturbation")
        assert ("max_abs" in record) == ("shift" in record) == record["op"].startswith("requantise")
    assert manifest["dataset"] == {"source": SUBSET.source, "digest": SUBSET.digest, "training_samples": 10000}


def test_a_compact_trace_has_the_batch_of_every_step_and_digests_of_the_rest(tmp_path):
    whole = export(tmp_path / "whole", bp_tail=1, model="lenet5")["records"]
    compact = export(tmp_path / "compact", bp_tail=1, model="lenet5", compact=True)["records"]
    assert [{**record, "file": 0} for record in whole] == [{**record, "file": 0} for record in compact]
    kept = [record for record in compact if "file" in record]
    assert {(r["step"], r["op"]) for r in kept if r["step"] > 0} == {(1, "images"), (1, "labels")}
    assert {r["phase"] for r in kept if r["op"] == "weights"} == {"init"}
    assert len(kept) > 30


# However it is made.

def test_a_trace_is_the_same_with_one_thread_and_two(tmp_path, monkeypatch):
    for threads in ("1", "2"):
        monkeypatch.setenv("ZO_NUMPY_THREADS", threads)
        export(tmp_path / threads, bp_tail=2, batch_size=8)
    assert snapshot(tmp_path / "1") == snapshot(tmp_path / "2")


def test_the_committed_trace_is_what_the_command_exports(tmp_path):
    options = [f"--{name.replace('_', '-')}={','.join(map(str, value)) if type(value) is tuple else value}"
               for name, value in {**committed.SETTINGS["int8"], **committed.TRACES["narrow-lenet-int8-k1"]}.items()]
    assert main(["golden", "export", str(tmp_path / "made" / "here"), *options]) == 0
    assert snapshot(tmp_path / "made" / "here") == snapshot(GOLDEN / "traces" / "narrow-lenet-int8-k1")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["here"]


def test_a_trace_begins_with_the_weights_of_another_run_where_the_run_does(tmp_path, monkeypatch):
    config = make_config({**SETTINGS, "bp_tail": 1, "init_from": "elsewhere"})
    weights = PRECISIONS["int8"].initialise(make_config({**SETTINGS, "bp_tail": 1, "seed": 5}))
    monkeypatch.setattr(trace, "first_weights", lambda given: weights if given == config else None)
    digests = [trace.array_digest(weight.data) for weight in weights.values()]
    assert [record["sha256"] for record in export(tmp_path / "t", bp_tail=1, init_from="elsewhere")["records"]
            if record["phase"] == "init"] == digests


# Whole or not there.

def command(folder, *more):
    return ["golden", "export", folder, "--data", "mnist-subset", "--model", "narrow-lenet", *more]


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path, capsys):
    (tmp_path / "mine").write_text("precious")
    before = snapshot(tmp_path)
    assert "not empty" in refused(capsys, *command(tmp_path))
    assert "not empty" in refused(capsys, *command(tmp_path / "mine"))
    assert snapshot(tmp_path) == before


def test_an_empty_folder_is_taken(tmp_path):
    assert main([str(word) for word in command(tmp_path, "--steps", "1")]) == 0
    assert (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("writes", [0, 7])
def test_a_full_disk_leaves_nothing_behind(tmp_path, capsys, monkeypatch, writes):
    write_array, made = np.lib.format.write_array, []

    def until_full(*given, **options):
        if len(made) == writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        made.append(1)
        write_array(*given, **options)
    monkeypatch.setattr(np.lib.format, "write_array", until_full)
    assert "No space left" in refused(capsys, *command(tmp_path / "a" / "b" / "c"))
    assert len(made) == writes and list(tmp_path.iterdir()) == []


def test_a_full_disk_at_the_manifest_leaves_nothing_behind(tmp_path, capsys, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(trace, "write_atomically", full)
    (tmp_path / "empty").mkdir()
    assert "No space left" in refused(capsys, *command(tmp_path / "empty"))
    assert snapshot(tmp_path) == {"empty": None}


@pytest.mark.parametrize("options, word", [
    (("--loss", "float"), "--loss float"), (("--bp-tail", "all", "--precision", "fp32"), "--bp-tail all"), (("--steps", "0"), "--steps 0"),
    (("--steps", "1000000000"), "--steps"), (("--seed", "-1"), "--seed -1")])
def test_what_cannot_be_traced_is_refused_before_a_folder_is_made(tmp_path, capsys, options, word):
    assert word in refused(capsys, *command(tmp_path / "new", *options))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError):
        trace.check_traceable(make_config({"precision": "fp32", "bp_tail": "all"}))
