"""Golden vectors of the ops: two implementations agree on them, and every flag catches its bug (see bugs.py)."""
import itertools
import json
import pathlib
import re

import pytest

from bugs import BUGS
from twin_ops import TWINS
from zo_numpy.golden import ops
from zo_numpy.int8 import arith

FOLDER = pathlib.Path(__file__).parent / "golden" / "ops"
SPEC = pathlib.Path(arith.__file__).parent / "SPEC.md"
VECTORS = {name: json.loads((FOLDER / f"{name}.json").read_text(encoding="ascii")) for name in ops.OPS}   # committed


def leaves(value):
    """The numbers and strings in a value of JSON's types."""
    if isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield value


# The vectors.

def test_there_are_no_other_files_and_they_are_small():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(f"{name}.json" for name in ops.OPS)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 1_000_000


@pytest.mark.parametrize("name", ops.OPS)
def test_the_twin_expects_the_same(name):
    for case in VECTORS[name]["cases"]:
        assert TWINS[name](case["inputs"], case["parameters"]) == case["expected"], case["id"]


@pytest.mark.parametrize("name", ops.OPS)
def test_the_committed_file_is_what_is_written_today(name):
    path = FOLDER / f"{name}.json"
    assert ops.written_again(path) == path.read_bytes()


@pytest.mark.parametrize("name", ops.OPS)
def test_a_file_reads_as_documented(name):
    vectors = VECTORS[name]
    assert ops.load_vectors(FOLDER / f"{name}.json") == vectors
    content = (FOLDER / f"{name}.json").read_text(encoding="ascii")
    assert content.count('\n    {"id": ') == len(vectors["cases"])          # a line each
    assert all(type(value) in (int, str) for value in leaves(vectors))
    comments = [case["comment"] for case in vectors["cases"]]
    assert all(comments) and len(set(comments)) == len(comments)
    questions = [json.dumps([case["inputs"], case["parameters"]]) for case in vectors["cases"]]
    assert len(set(questions)) == len(questions)
    assert all(text.endswith(".") for text in (vectors["description"], *vectors["flags"].values()))


@pytest.mark.parametrize("name", ["round_shift", "pseudo_stochastic_shift"])
def test_shifts_are_shown_from_0_to_30_with_both_signs(name):
    shown = {(case["parameters"]["shift"], value > 0)
             for case in VECTORS[name]["cases"] for value in case["inputs"]["values"] if value}
    assert shown == set(itertools.product(range(31), (True, False)))


def test_ties_are_shown_for_every_shift_with_both_signs():
    shown = {(case["parameters"]["shift"], value > 0)
             for case in VECTORS["round_shift"]["cases"] for value in case["inputs"]["values"]
             if 2 * (abs(value) % 2**case["parameters"]["shift"]) == 2**case["parameters"]["shift"]}
    assert shown == set(itertools.product(range(1, 31), (True, False)))


def test_requantisation_is_shown_for_every_shift_at_powers_of_two_and_beside_them():
    maxima = {case["expected"]["maximum"] for case in VECTORS["requantise"]["cases"]}
    assert {2**b + d for b in range(7, 31) for d in (-1, 0, 1)} <= maxima
    assert {case["expected"]["shift"] for case in VECTORS["requantise"]["cases"]} == set(range(25))


def test_perturbations_are_shown_for_every_r_max_with_and_without_zeros():
    shown = {(case["parameters"]["r_max"], case["parameters"]["p_zero"])
             for case in VECTORS["perturbation"]["cases"]}
    assert set(itertools.product((1, 3, 7, 15, 31, 63), (0, 128, 255))) <= shown


# The flags.

def test_every_op_has_a_twin_and_every_flag_a_bug():
    assert list(BUGS) and sorted(BUGS) == sorted(ops.OPS) == sorted(TWINS)
    for name, bugs in BUGS.items():
        assert sorted(bugs) == sorted(VECTORS[name]["flags"])


@pytest.mark.parametrize("name, flag", [(name, flag) for name in BUGS for flag in BUGS[name]])
def test_a_port_with_the_bug_fails_the_cases_with_its_flag_and_no_others(name, flag):
    cases = VECTORS[name]["cases"]
    flagged = [case["id"] for case in cases if flag in case["flags"]]
    failed = [case["id"] for case in cases
              if BUGS[name][flag](TWINS[name], case["inputs"], case["parameters"]) != case["expected"]]
    assert flagged
    assert failed == flagged


def test_bugs_leave_the_twins_as_they_were():
    for name, bugs in BUGS.items():
        case = VECTORS[name]["cases"][-1]
        for bug in bugs.values():
            bug(TWINS[name], case["inputs"], case["parameters"])
            assert TWINS[name](case["inputs"], case["parameters"]) == case["expected"]


# Checking.

def test_check_finds_nothing_in_the_committed_files():
    mismatches, compared = ops.check_ops(FOLDER)
    assert mismatches == []
    assert compared == sum(len(list(leaves(case["expected"])))
                           for vectors in VECTORS.values() for case in vectors["cases"])


def test_check_finds_a_bug_in_the_library(monkeypatch):
    """Half up instead of half away from zero, as NumPy's >> on negative numbers would have it."""
    monkeypatch.setattr(arith, "round_shift", lambda values, shift: (values + (1 << shift >> 1)) >> shift)
    mismatches, _ = ops.check_ops(FOLDER)
    wrong = {(mismatch.file, mismatch.case) for mismatch in mismatches}
    for name in ("round_shift", "requantise"):
        flagged = {(f"{name}.json", case["id"]) for case in VECTORS[name]["cases"]
                   if "FloorNotTruncate" in case["flags"]}
        assert flagged == {place for place in wrong if place[0] == f"{name}.json"}
    assert {file for file, _ in wrong} <= {"round_shift.json", "requantise.json", "softmax_error.json",
                                           "forward_block.json", "tail_step.json", "tail_step_128.json",
                                           "tail_step_bare.json", "train_step.json", "short_run.json",
                                           "point_block_ends.json"}


@pytest.fixture
def copy(tmp_path):
    """write(name, change): the files once more, with that of one op changed."""
    for name in ops.OPS:
        (tmp_path / f"{name}.json").write_bytes((FOLDER / f"{name}.json").read_bytes())

    def write(name, change):
        content = json.loads((tmp_path / f"{name}.json").read_text())
        change(content)
        (tmp_path / f"{name}.json").write_bytes(ops.to_bytes(content))
        return tmp_path
    return write


def test_check_names_the_number_that_differs(copy):
    def change(content):
        content["cases"][3]["expected"]["accumulator"][0][1] += 1
    expected = VECTORS["linear"]["cases"][3]["expected"]["accumulator"][0][1]
    mismatch, = ops.check_ops(copy("linear", change))[0]
    assert mismatch == ("linear.json", 4, "accumulator", (0, 1), expected + 1, expected)
    assert str(mismatch) == f"linear.json, case 4: accumulator[0][1] is to be {expected + 1}, got {expected}"


def test_check_names_lengths_types_and_fields_that_differ(copy):
    def change(content):
        first, second, third, fourth = (case["expected"] for case in content["cases"][:4])
        first["data"].append(0)
        second["maximum"] = str(second["maximum"])
        del third["shift"]
        fourth["more"] = 1
    folder = copy("requantise", change)
    right = [case["expected"] for case in VECTORS["requantise"]["cases"]]
    length = len(right[0]["data"])
    assert ops.check_ops(folder)[0] == [
        ("requantise.json", 1, "data", (), f"{length + 1} elements", f"{length} elements"),
        ("requantise.json", 2, "maximum", (), str(right[1]["maximum"]), right[1]["maximum"]),
        ("requantise.json", 3, "shift", (), "no such field", right[2]["shift"]),
        ("requantise.json", 4, "more", (), 1, "no such field")]


def test_check_compares_answers_to_the_inputs_of_the_file(copy):
    def change(content):
        content["cases"][0]["inputs"]["x"][0][0] -= 1
    mismatch, = ops.check_ops(copy("linear", change))[0]
    assert (mismatch.case, mismatch.field, mismatch.index) == (1, "accumulator", (0, 0))
    assert (mismatch.expected, mismatch.got) == (127 * -127, 126 * -127)


# What the README says of them.

def test_the_readme_lists_every_op_once_in_the_order_to_bring_a_port_up():
    text = (FOLDER.parent / "README.md").read_text(encoding="ascii")
    table = re.search(r"^\| step \| op files.*?\n\n", text, re.M | re.S)[0]
    listed = [name for name in re.findall(r"`(\w+)`", table) if name in ops.OPS]
    assert sorted(listed) == sorted(ops.OPS)
    headings = re.findall(r"^##+ (\d+(?:\.\d+)?)", SPEC.read_text(encoding="ascii"), re.M)
    referred = re.findall(r"SPEC\.md (\d+(?:\.\d+)?)", text)
    for row in table.strip().splitlines()[2:]:
        referred += row.split("|")[-2].split(",")
    assert len(referred) > 20 and {section.strip() for section in referred} <= set(headings)
