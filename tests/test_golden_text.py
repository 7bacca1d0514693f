"""Vectors as flat text: nothing of a trace is lost in it, `golden diff` reads it through a pipe, whole, in part or with
noise between, and the page's program in C reads it too."""
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from small_runs import ROOT, environment, main
from zo_numpy.golden.diff import DTYPES
from zo_numpy.golden.text import BITS

GOLDEN = ROOT / "tests" / "golden"
TRACES = GOLDEN / "traces"


def text_of(path):
    return subprocess.run([sys.executable, "-m", "zo_numpy", "golden", "text", str(path)], capture_output=True, text=True,
                          check=True, env=environment()).stdout


def piped(reference, text):
    """(exit status, output) of `golden diff` with text, or bytes, on its standard input."""
    sent = text if isinstance(text, bytes) else text.encode()
    done = subprocess.run([sys.executable, "-m", "zo_numpy", "golden", "diff", str(TRACES / reference), "-"],
                          input=sent, capture_output=True, env=environment())
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.fixture(scope="module")
def trace():
    return text_of(TRACES / "narrow-lenet-int8-k2-running")


@pytest.mark.parametrize("name", ["narrow-lenet-int8-k2-running", "lenet5-int8-k1", "narrow-lenet-fp32-k1"])
def test_a_trace_as_text_is_the_trace(name):
    status, said = piped(name, text_of(TRACES / name))
    records = len(json.loads((TRACES / name / "manifest.json").read_text())["records"])
    assert status == 0 and f"{records:,} records compared, 0 differ" in said


def test_the_first_divergence_is_named(trace):
    lines = trace.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("1 minus linear_gradient fc2 "))
    *words, last = lines[place].split()
    changed = [*lines[:place], " ".join([*words, str(int(last) + 1)]), *lines[place + 1:]]
    status, said = piped("narrow-lenet-int8-k2-running", "\n".join(changed))
    assert status == 1
    assert f"step 1, phase minus, op linear_gradient, tensor fc2: index (11, 15): expected {last}, got" in said
    assert "1 differ" in said and "its inputs agree" in said
    exponent = [line.replace(" -7 ", " -6 ", 1) if line.startswith("0 init weights conv1") else line for line in lines]
    assert "exponent: expected -7, got -6" in piped("narrow-lenet-int8-k2-running", "\n".join(exponent))[1]


PART = "narrow-lenet-int8-k1"


@pytest.fixture(scope="module")
def losses():
    """The six losses of a trace, as lines, and how many records the trace has."""
    lines = text_of(TRACES / PART).splitlines()
    found = [line for line in lines if line.split()[2] == "loss"]
    assert len(found) == 6
    return found, len(lines)


def test_of_some_records_what_differs_comes_first_and_what_was_not_sent_is_a_line(losses):
    sent, records = losses
    *words, last = sent[-1].split()
    missing = f"{records - 6} of {records} records were not sent"
    place = "first divergence: step 2, phase minus, op {}, tensor {}: "
    status, said = piped(PART, "\n".join([*sent[:-1], " ".join([*words, str(int(last) + 1)])]))
    assert status == 1 and said.splitlines() == [
        place.format("loss", "batch") + f"value: expected {last}, got {int(last) + 1}; not all of its inputs could be "
        "compared", "6 records compared, 1 differ", missing]
    assert piped(PART, "\n".join(reversed(sent))) == (0, f"6 records compared, 0 differ\n{missing}\n")
    status, said = piped(PART, "\n".join([*sent, sent[-1].replace("loss batch", "loss lot")]))
    assert status == 1 and said.splitlines() == [
        place.format("loss", "lot") + "it is not in the reference; not all of its inputs could be compared",
        "6 records compared, 1 differ", missing]


def test_noise_between_the_records_is_skipped_and_counted(losses):
    noise = [b"ESP-ROM:esp32c3-api1-20210207", b"rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT) and then some more",
             b"\xff\x00\xfe 17", b"0 initial step", b"free heap: 100 200 300 int8 5 6 7 8 9", b"42"]
    mixed = [line for pair in zip(noise, (sent.encode() for sent in losses[0])) for line in pair]
    expected = f"6 records compared, 0 differ\n{losses[1] - 6} of {losses[1]} records were not sent\n"
    status, said = piped(PART, b"\r\n".join(mixed))
    assert (status, said) == (0, expected + f"6 lines skipped that are no record, the first: '{noise[0].decode()}'\n")
    status, said = piped(PART, b"\n".join([noise[2], *mixed[1::2]]))
    assert (status, said) == (0, expected + "1 line skipped that is no record, the first: "
                              r"'\ufffd\x00\ufffd 17'" + "\n")


def test_what_is_committed_as_text_is_what_the_command_prints(capsys):
    """All ops, and a trace with every tensor; a file that is not is found by `golden check`."""
    kept = {path.relative_to(GOLDEN / "text").as_posix(): path.read_text() for path in (GOLDEN / "text").rglob("*.txt")}
    vectors = [*(GOLDEN / "ops").glob("*.json"), TRACES / "narrow-lenet-int8-k2-colours"]
    assert sorted(kept) == sorted(f"{path.parent.name}/{path.stem}.txt" for path in vectors)
    for path in vectors:
        assert main(["golden", "text", str(path)]) == 0
        assert capsys.readouterr().out == kept[f"{path.parent.name}/{path.stem}.txt"]
    assert "sha256:" not in kept["traces/narrow-lenet-int8-k2-colours.txt"]


def test_no_array_of_a_trace_is_left_out_of_the_hexadecimal_files(tmp_path, capsys):
    """Full BP in a batch of 200 has sums of 64 bits."""
    assert main(["golden", "export", str(tmp_path / "t"), "--data", "mnist-subset", "--bp-tail", "all", "--batch-size",
                 "200", "--steps", "1", "--model", "narrow-lenet"]) == 0
    assert main(["golden", "text", str(tmp_path / "t"), "--hex", str(tmp_path / "hex")]) == 0
    records = json.loads((tmp_path / "t" / "manifest.json").read_text())["records"]
    assert "int64" in {record.get("dtype") for record in records} and set(DTYPES) <= BITS.keys()
    assert len(list((tmp_path / "hex").iterdir())) == sum("file" in record or "value" in record for record in records)


def test_hexadecimal_files_hold_the_same_numbers(tmp_path, capsys):
    folder = TRACES / "narrow-lenet-int8-k1"
    assert main(["golden", "text", str(folder), "--hex", str(tmp_path / "trace")]) == 0
    records = json.loads((folder / "manifest.json").read_text())["records"]
    assert len(list((tmp_path / "trace").iterdir())) == len(records)
    for record in records[::7]:
        name = "_".join(str(record[word]) for word in ("step", "phase", "op", "name")) + ".hex"
        words = (tmp_path / "trace" / name).read_text().split()
        if "file" in record:
            array = np.load(folder / record["file"])
            made = np.array([int(word, 16) for word in words], np.uint64).astype(f"u{array.itemsize}").view(array.dtype)
            assert {len(word) for word in words} == {2 * array.itemsize} and np.array_equal(made, array.reshape(-1))
        else:
            assert words == [f"{record['value'] % 2**64:016x}"]
    op = GOLDEN / "ops" / "philox4x64_10.json"
    case = json.loads(op.read_text())["cases"][-1]
    assert main(["golden", "text", str(op), "--hex", str(tmp_path / "op")]) == 0
    field, value = next(iter(case["expected"].items()))
    words = (tmp_path / "op" / f"philox4x64_10_{case['id']}_expected_{field}.hex").read_text().split()
    assert [int(word, 16) for word in words] == list(np.array(value, object).reshape(-1))
    assert main(["golden", "text", str(op), "--hex", str(tmp_path / "op")]) == 2
    assert "not empty" in capsys.readouterr().err


@pytest.mark.parametrize("line, why", [
    ("0 init weights conv1", "4 words; ten are the fewest"),
    ("0 init weights conv1 int8 2 - - - 1", "1 numbers, where 2 are 2"),
    ("0 init weights conv1 int8 1 - - - 200", "200"),
    ("0 init weights conv1 int9 1 - - - 2", "'int9' is no type"),
    ("x init weights conv1 int8 1 - - - 2", "'x'"),
    ("0 minus loss batch number - - - - nine", "'nine'"),
    ("0 minus loss batch number - - - - 1.5", "the value of record 1 is not a whole number"),
    ("0 a b c int8 1 - - - 2\n0 a b c int8 1 - - - 2", "stands above it"),
    ("0 a b c number - - - - 2\n0 a b c number - - - - 2", "stands above it"),
    ("0 minus lo", "3 words; ten are the fewest"),
    ("I (312) main: 0 minus loss batch number - - - - 5", "'I'"),
    ("0 minus mine conv1 int8 2 - - - 1", "1 numbers, where 2 are 2"),
    ("", "there is no line to compare"),
    ("hello\nthere", "there is no line to compare; print a record a line (2 are none, the first: 'hello')"),
])
def test_a_damaged_record_is_refused_in_a_line(line, why):
    status, said = piped("narrow-lenet-int8-k1", line + "\n")
    assert status == 2 and why in said and said.startswith("error: ") and said.count("\n") == 1


def test_cases_of_ops_as_text(tmp_path, capsys):
    for path in sorted((GOLDEN / "ops").glob("*.json")):
        assert main(["golden", "text", str(path)]) == 0
        lines = [line.split(" ") for line in capsys.readouterr().out.splitlines()]
        cases = json.loads(path.read_text())["cases"]
        assert {int(words[1]) for words in lines} == {case["id"] for case in cases}
        for words in lines:
            if words[4] == "number":
                assert len(words) - 6 == (1 if words[5] == "-" else np.prod([int(n) for n in words[5].split(",")]))
    (tmp_path / "x.json").write_text("{}")
    assert main(["golden", "text", str(tmp_path / "x.json")]) == 2
    assert "does not hold the cases of an op" in capsys.readouterr().err


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_the_program_of_the_page_reads_a_trace(trace, tmp_path):
    code = re.search(r"```c\n(.*?)```", (GOLDEN / "TEXT.md").read_text(), re.DOTALL)[1]
    (tmp_path / "read.c").write_text(code)
    subprocess.run(["cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-o", str(tmp_path / "read"),
                    str(tmp_path / "read.c")], check=True)
    said = subprocess.run([str(tmp_path / "read")], input=trace, capture_output=True, text=True, check=True).stdout
    expected = [(words := line.split(" "))[:4] + [str(len(words) - 9), str(sum(map(int, words[9:])))]
                for line in trace.splitlines()]
    assert [line.split(" (")[0].split() + line.rpartition(": ")[2].split(", ") for line in said.splitlines()] == expected
