"""Golden vectors of the ops: whatever may be wrong with a file or a folder of them is said in one line."""
import json
import pathlib
import shutil

import pytest

from zo_numpy.errors import UserError
from zo_numpy.golden import ops

FOLDER = pathlib.Path(__file__).parent / "golden" / "ops"


def refused(call, *words):
    with pytest.raises(UserError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    for word in words:
        assert word in message
    return message


def case_entry(**entries):
    return lambda content: content["cases"][1].update(entries)


DAMAGE = {   # change of the contents, a word of the message
    "no entry": (lambda content: content.pop("flags"), "exactly the entries"),
    "one more entry": (lambda content: content.update(more=1), "exactly the entries"),
    "another version": (lambda content: content.update(format_version=10**9), "format_version"),
    "another op": (lambda content: content.update(op="linear"), "not of op relu"),
    "flags a list": (lambda content: content.update(flags=[]), "flags"),
    "no cases": (lambda content: content.update(cases=[]), "no cases"),
    "cases an object": (lambda content: content.update(cases={}), "cases"),
    "a case missing": (lambda content: content["cases"].pop(0), "case 1"),
    "a case that is none": (lambda content: content["cases"].insert(0, 7), "case 1"),
    "an entry of a case missing": (lambda content: content["cases"][1].pop("inputs"), "case 2"),
    "inputs a list": (case_entry(inputs=[]), "case 2"),
    "an unexplained flag": (case_entry(flags=["Unheard"]), "flag"),
    "nothing expected": (case_entry(expected={}), "expects nothing"),
    "a float": (case_entry(expected={"result": [1.0]}), "1.0"),
    "a boolean": (case_entry(expected={"result": [True]}), "True"),
    "nothing": (case_entry(expected={"result": [None]}), "None"),
    "not a number": (case_entry(expected={"result": [float("nan")]}), "NaN"),
    "too large": (case_entry(expected={"result": [2**64]}), "64 bits"),
    "too small": (case_entry(expected={"result": [-2**63 - 1]}), "64 bits"),
    "thousands of digits": (case_entry(expected={"result": [10**4000]}), "64 bits"),
    "too deep": (case_entry(expected={"result": [[[[[[[[[[[[1]]]]]]]]]]]]}), "deeply"),
    "too much asked": (case_entry(parameters={"count": 10**9}), "more than"),
    "an input that is none": (case_entry(inputs={}), "case 2 cannot be computed"),
    "a ragged input": (case_entry(inputs={"x": [[1], [2, 3]]}), "case 2 cannot be computed"),
    "an input beyond 32 bits": (case_entry(inputs={"x": [[2**31]]}), "case 2 cannot be computed"),
    "an input of strings": (case_entry(inputs={"x": [["1"]]}), "case 2 cannot be computed"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_in_one_line(tmp_path, damage):
    change, word = DAMAGE[damage]
    content = json.loads((FOLDER / "relu.json").read_text())
    change(content)
    path = tmp_path / "relu.json"
    path.write_bytes(json.dumps(content).encode())
    refused(lambda: ops.check_file(path), str(path), word)


@pytest.mark.parametrize("cut", [0, 1, 2, 100, -3, -20])
def test_a_file_cut_short_is_damaged(tmp_path, cut):
    path = tmp_path / "relu.json"
    path.write_bytes((FOLDER / "relu.json").read_bytes()[:cut])
    refused(lambda: ops.load_vectors(path), str(path), "damaged")


@pytest.mark.parametrize("content, word", [
    (b"\xff\xfe", "damaged"), (b"[" * 200_000, "damaged"), (b"[]", "exactly the entries"),
    (b"null", "exactly"),
    (b" " * (ops.LARGEST_FILE + 1), "longer than")])
def test_other_bytes_are_damaged(tmp_path, content, word):
    path = tmp_path / "relu.json"
    path.write_bytes(content)
    refused(lambda: ops.load_vectors(path), str(path), word)


def test_missing_and_unreadable_files(tmp_path):
    refused(lambda: ops.load_vectors(tmp_path / "relu.json"), "relu.json", "does not exist")
    (tmp_path / "relu.json").mkdir()
    refused(lambda: ops.load_vectors(tmp_path / "relu.json"), "relu.json", "cannot be read")


def test_a_folder_with_a_file_missing_or_too_many_is_refused(tmp_path):
    folder = tmp_path / "ops"
    shutil.copytree(FOLDER, folder)
    (folder / "gelu.json").write_text("{}")
    refused(lambda: ops.check_ops(folder), "gelu.json", "no op")
    (folder / "gelu.json").unlink()
    (folder / "relu.json").unlink()
    refused(lambda: ops.check_ops(folder), "relu.json", "does not exist")


def test_comparing_nothing_is_a_failure(tmp_path, monkeypatch):
    refused(lambda: ops.check_ops(tmp_path), "does not exist")
    refused(lambda: ops.check_ops(tmp_path / "nowhere"), "does not exist")
    monkeypatch.setattr(ops, "OPS", {})
    refused(lambda: ops.check_ops(tmp_path), "nothing")


@pytest.mark.parametrize("op, name, value", [
    ("classify", "logits", [[128]]), ("classify", "logits", [[-128]]), ("from_pixels", "pixels", [[[[256]]]]),
    ("from_pixels", "pixels", [[[[-1]]]]), ("exp2_terms", "u", [[2**63]]), ("decode_points", "bits", [2**32])])
def test_an_input_out_of_range_is_refused(tmp_path, op, name, value):
    content = json.loads((FOLDER / f"{op}.json").read_text())
    content["cases"][1]["inputs"][name] = value
    path = tmp_path / f"{op}.json"
    path.write_bytes(json.dumps(content).encode())
    refused(lambda: ops.check_file(path), str(path), "case 2 cannot be computed")
