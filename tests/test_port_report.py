"""golden check --port: what another implementation passes, by tier, op and run, also where it is not finished."""
import json
import pathlib
import shutil

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
    next((port / "traces" / TRACE).glob("manifest.json")).unlink()
    status, lines = said(capsys, port)
    assert status == 0
    for name, words in (("ops/relu.json", "2 of "), ("ops/half_words.json", "fields"), (f"runs/{RUN}", "30 lines, 87 "),
                        (f"traces/{TRACE}", " without a file or a manifest")):
        assert lines[name].startswith("passes in part, ") and words in lines[name]
    assert ", 2 in part, " in lines["ops"]


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
    assert "has nothing by the name of a vector" in refused(capsys, "golden", "check", "--port", tmp_path)
    assert "is not a folder" in refused(capsys, "golden", "check", "--port", tmp_path / "none")
