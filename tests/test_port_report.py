"""golden check --port: what another implementation passes, by tier, op and run, also where it is not finished."""
import json
import pathlib
import shutil

import numpy as np
import pytest

from small_runs import golden_said, refused

GOLDEN = pathlib.Path(__file__).parent / "golden"
TRACE, RUN, FP32_RUN = "narrow-pointnet-int8-k2-frozen", "solids-int8-k1-queries3", "subset-fp32-k1"


@pytest.fixture
def port(tmp_path):
    """The answers of a port that has three ops, a trace and two runs, all right."""
    for name in ("relu", "round_shift", "half_words"):
        content = json.loads((GOLDEN / "ops" / f"{name}.json").read_text())
        cases = [{"id": case["id"], "expected": case["expected"]} for case in content["cases"]]
        write_op(tmp_path, name, cases)
    for name in (f"traces/{TRACE}", f"runs/{RUN}", f"runs/{FP32_RUN}"):
        shutil.copytree(GOLDEN / name, tmp_path / name)
    return tmp_path


def write_op(port, name, cases):
    (port / "ops").mkdir(exist_ok=True)
    (port / "ops" / f"{name}.json").write_text(json.dumps({"cases": cases}))


def read_op(port, name):
    return json.loads((port / "ops" / f"{name}.json").read_text())["cases"]


def said(capsys, port):
    status, lines = golden_said(capsys, "check", "--port", str(port))
    return status, {line.partition(": ")[0]: line.partition(": ")[2] for line in lines}


def test_a_part_that_is_right_passes_and_the_rest_is_named(port, capsys):
    status, lines = said(capsys, port)
    assert status == 0
    assert lines["ops/relu.json"] == f"passes, {len(read_op(port, 'relu'))} of {len(read_op(port, 'relu'))} cases"
    assert lines[f"traces/{TRACE}"].startswith("passes, ") and lines[f"runs/{RUN}"] == "passes, 117 lines"
    assert lines["ops"].startswith("3 of ") and ", 0 differ, " in lines["ops"]
    assert lines["traces"].startswith("1 of ") and lines["runs"].startswith("2 of ")
    assert "ops/linear.json" not in lines


def test_cases_fields_and_lines_that_are_left_out_are_no_differences(port, capsys):
    write_op(port, "relu", read_op(port, "relu")[:2])
    write_op(port, "half_words", [{**case, "expected": {"half_words": case["expected"]["half_words"]}}
                                  for case in read_op(port, "half_words")])
    log = port / "runs" / RUN / "steps.txt"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:30]))
    (port / "runs" / RUN / "evaluation.txt").unlink()
    manifest = port / "traces" / TRACE / "manifest.json"
    records = json.loads(manifest.read_text())["records"]
    files, manifest = sum("file" in record for record in records), manifest.unlink()
    status, lines = said(capsys, port)
    assert status == 0
    for name, words in (("ops/relu.json", "2 of "), ("ops/half_words.json", "fields"), (f"runs/{RUN}", "30 lines, 87 "),
                        (f"traces/{TRACE}", f", {files} of {len(records)} records, {len(records) - files} not there")):
        assert lines[name].startswith("passes in part, ") and words in lines[name]
    assert ", 2 in part, " in lines["ops"]


@pytest.mark.parametrize("manifest", ["none", "of some", "of all"])
def test_of_a_trace_that_is_begun_the_files_that_are_there_are_compared(port, capsys, manifest):
    folder = port / "traces" / TRACE
    whole = json.loads((folder / "manifest.json").read_text())
    first = whole["records"][0]
    for record in whole["records"][1:]:
        if "file" in record:
            (folder / record["file"]).unlink()
    if manifest == "none":
        (folder / "manifest.json").unlink()
    elif manifest == "of some":
        (folder / "manifest.json").write_text(json.dumps({**whole, "records": [first]}))
    numbers = sum("file" not in record for record in whole["records"]) if manifest == "of all" else 0
    status, lines = said(capsys, port)
    records = len(whole["records"])
    assert (status, lines[f"traces/{TRACE}"]) == (
        0, f"passes in part, {1 + numbers} of {records} records, {records - 1 - numbers} not there")
    np.save(folder / first["file"], np.load(folder / first["file"]) ^ 1)
    status, lines = said(capsys, port)
    assert status == 1 and lines[f"traces/{TRACE}"].startswith(
        f"DIFFERS, 1 of {1 + numbers} records; first step 0, phase init, op weights, tensor {first['name']}: index")


def test_what_is_begun_and_empty_is_not_there(port, capsys):
    for path in ("steps.txt", "evaluation.txt"):
        (port / "runs" / RUN / path).write_text("")
    for path in (port / "traces" / TRACE).iterdir():
        path.unlink()
    write_op(port, "relu", [])
    status, lines = said(capsys, port)
    assert status == 0
    assert lines["ops/relu.json"] == "not there, it answers nothing"
    assert lines[f"traces/{TRACE}"] == "not there, it holds none of the trace's files"
    assert lines[f"runs/{RUN}"] == "not there, it has no line of steps.txt or evaluation.txt"
    for tier, passing in (("ops", 2), ("traces", 0), ("runs", 1)):
        total = len(list((GOLDEN / tier).iterdir()))
        assert lines[tier] == f"{passing} of {total} pass, 0 in part, 0 differ, {total - passing} not there"


def test_names_that_no_vector_has_are_listed_with_the_nearest(port, capsys):
    (port / "ops" / "round_shift.json").rename(port / "ops" / "roundshift.json")
    (port / "ops" / "relu.json").rename(port / "ops" / "ReLU.txt")
    (port / "traces" / TRACE).rename(port / "traces" / "narrow-pointnet-k2-frozen")
    (port / "runs" / "qqqq").mkdir()
    (port / "runs" / ".hidden").mkdir()
    for name in ("trace", "src", "data"):
        (port / name).mkdir()
    status, lines = said(capsys, port)
    words = "not compared, the vectors have no such name"
    assert status == 0 and {name: line for name, line in lines.items() if words in line} == {
        "ops/roundshift.json": f"{words}; the nearest is round_shift.json", "ops/ReLU.txt": f"{words}; the nearest is "
        "relu.json", "traces/narrow-pointnet-k2-frozen": f"{words}; the nearest is {TRACE}", "runs/qqqq": words,
        "trace": f"{words}; the nearest is traces"}
    first = sorted((GOLDEN / "traces" / TRACE).glob("*.npy"))[0].name
    (port / "traces" / TRACE).mkdir()
    (port / "traces" / TRACE / first.replace("init", "start")).write_bytes(b"")
    status, lines = said(capsys, port)
    assert status == 1 and lines[f"traces/{TRACE}"] == (
        f"DIFFERS, 0 of 0 records; first {first.replace('init', 'start')} belongs to no record; the nearest is {first}")
    for number in range(30):
        (port / "ops" / f"more{number}").write_text("")
    assert f"and {30 + 5 - 20} more that have no vector's name" in golden_said(
        capsys, "check", "--port", str(port))[1]


def test_the_bug_is_named_whose_cases_are_wrong(port, capsys):
    content = json.loads((GOLDEN / "ops" / "round_shift.json").read_text())
    write_op(port, "round_shift", [
        {"id": case["id"], "expected": {"result": [
            (value + (1 << case["parameters"]["shift"] >> 1)) >> case["parameters"]["shift"]
            for value in case["inputs"]["values"]]}} for case in content["cases"]])
    status, lines = said(capsys, port)
    assert status == 1
    assert "DIFFERS" in lines["ops/round_shift.json"] and "the bug FloorNotTruncate (" in lines["ops/round_shift.json"]
    assert ", 1 differ, " in lines["ops"]


def damaged(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


@pytest.mark.parametrize("file, old, new, name, words", [
    ("ops/relu.json", b'"id": 1,', b'"id": 99,', "ops/relu.json", "there is no case 99"),
    ("ops/relu.json", b'"id"', b'id', "ops/relu.json", "it cannot be read (JSONDecodeError"),
    ("ops/relu.json", b'"result"', b'"outcome"', "ops/relu.json", "outcome is to be no such field"),
    (f"runs/{RUN}/steps.txt", b"\n3 ", b"\n3 1", f"runs/{RUN}", "steps.txt, line 4: expected '3 "),
    (f"runs/{RUN}/evaluation.txt", b"alone ", b"single ", f"runs/{RUN}", "evaluation.txt, line 5: expected 'alone "),
    (f"runs/{FP32_RUN}/steps.txt", b"\n3 ", b"\n3 9", f"runs/{FP32_RUN}", "steps.txt, line 4: expected '3 "),
    (f"traces/{TRACE}/manifest.json", b'"max_abs": ', b'"max_abs": 1', f"traces/{TRACE}", "first step 0, phase minus")])
def test_what_differs_is_named(port, capsys, file, old, new, name, words):
    damaged(port / file, old, new)
    status, lines = said(capsys, port)
    assert status == 1 and lines[name].startswith("DIFFERS, ") and words in lines[name]


def test_windows_line_ends_and_fp32_within_tolerances_pass(port, capsys):
    for run in (RUN, FP32_RUN):
        log = port / "runs" / run / "steps.txt"
        log.write_bytes(log.read_bytes().replace(b"\n", b"\r\n"))
    log = port / "runs" / FP32_RUN / "steps.txt"
    first, *others = log.read_text().splitlines()
    step, plus, *rest = first.split()
    log.write_text("\n".join([" ".join([step, str(float(plus) * 1.0001), *rest]), *others]) + "\n")
    assert said(capsys, port)[0] == 0


def test_a_folder_with_nothing_to_compare_is_refused(tmp_path, capsys):
    assert "has nothing to compare: write ops/" in refused(capsys, "golden", "check", "--port", tmp_path)
    write_op(tmp_path, "relu", [])
    (tmp_path / "ops" / "roundshift.json").write_text("")
    (tmp_path / "run").mkdir()
    message = refused(capsys, "golden", "check", "--port", tmp_path)
    for words in ("; ops/relu.json: it answers nothing; ", "run: not compared, ", "; the nearest is round_shift.json"):
        assert words in message
    assert "is not a folder" in refused(capsys, "golden", "check", "--port", tmp_path / "none")
