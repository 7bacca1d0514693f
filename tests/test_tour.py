"""The guided tour: its numbers are those of SPEC.md's worked example, each beside a function that exists."""
import importlib
import re

import pytest

from small_runs import ROOT
from test_spec import WRITTEN, values_of
from zo_numpy.__main__ import main
from zo_numpy.app.tour import COLUMN, Tour, called
from zo_numpy.int8 import arith, tiled


@pytest.fixture(scope="module")
def walked():
    lines = []
    return Tour(lines.append).walk(), lines


def test_the_numbers_are_those_of_the_contract(walked):
    values, _ = walked
    written = values_of(WRITTEN)
    assert {name: (value, written.get(name)) for name, value in values.items() if written.get(name) != value} == {}
    assert values.keys() == written.keys()


def test_every_value_is_printed_once(walked):
    values, lines = walked
    text = "\n".join(lines)
    shown = re.findall(r"^(?:  [\w.]+ +)?([\w.]+) =", text, re.M)
    assert sorted(shown) == sorted(values)
    flat = "".join(text.split())
    for name, value in values.items():
        if not name.endswith("words"):
            assert "".join(f"{name}={value!r}".split()) in flat, name
        else:
            assert "".join(f"{name}=[0x{value[0]:0{4 if 'half' in name else 16}x}".split()) in flat, name


def test_every_function_named_exists_and_is_named_right(walked):
    _, lines = walked
    named = {found[1] for line in lines if (found := re.match(r"  ([a-z][\w.]+\.\w+) +[\w.]+ =", line))}
    assert len(named) > 15
    for name in named:
        module, function = name.rsplit(".", 1)
        assert called(getattr(importlib.import_module(f"zo_numpy.{module}"), function)) == name
        assert len(name) + 2 < COLUMN
    assert {"int8.arith.requantise", "int8.elastic_zo.perturb", "int8.elastic_zo.restore_and_update",
            "int8.tail.softmax_error", "int8.tail.update_tail", "int8.loss.cross_entropy"} <= named


def test_lines_fit(walked):
    assert max(map(len, "\n".join(walked[1]).splitlines())) <= 120


def test_the_functions_are_really_called(monkeypatch):
    """A bit width of one too many: the tour shows it, and refuses nothing that train_step does too."""
    monkeypatch.setattr(arith, "bit_width", lambda m: m.bit_length() + 1)
    values = Tour(lambda line: None).walk()
    assert values["plus.fc2.data"] != values_of(WRITTEN)["plus.fc2.data"]


def test_a_step_unlike_that_of_train_step_is_refused(monkeypatch):
    monkeypatch.setattr(tiled, "train_tail", lambda *given: None)
    with pytest.raises(AssertionError, match="another step"):
        Tour(lambda line: None).walk()


def test_the_command(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["tour"]) == 0
    out = capsys.readouterr().out
    assert "  int8.elastic_zo.zo_gradient" in out and "g = -1\n" in out
